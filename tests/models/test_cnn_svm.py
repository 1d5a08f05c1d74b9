"""Convolutions per modality whose joined features a linear machine reads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from sklearn.svm import LinearSVC

from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build

BODY = {"ecg": InputShape(2, 80, 32.0), "eda": InputShape(1, 40, 4.0)}


def test_it_is_its_layer_table() -> None:
    torch.manual_seed(0)
    model = build("cnn_svm", BODY, 3).eval()
    state = model.state_dict()
    inputs = {"ecg": torch.randn(4, 2, 80), "eda": torch.randn(4, 1, 40)}

    joined = []
    for name, h in inputs.items():
        for place in (0, 4):
            h = torch.einsum("bctk,fck->bft", h.unfold(2, 5, 1), state[f"encoders.{name}.{place}.weight"])
            norm = f"encoders.{name}.{place + 1}"
            h = (h - state[f"{norm}.running_mean"][:, None]) / (state[f"{norm}.running_var"][:, None] + 1e-5).sqrt()
            h = (h * state[f"{norm}.weight"][:, None] + state[f"{norm}.bias"][:, None]).clamp(min=0)
            h = h[..., : h.shape[-1] // 4 * 4].unflatten(2, (-1, 4)).amax(dim=-1)
        joined.append(h.flatten(1))
    row = torch.cat(joined, dim=1)
    found = model(inputs)

    expected = {"ecg": joined[0], "eda": joined[1], "joined": row}
    torch.testing.assert_close(found.features, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.prediction, row @ state["head.weight"].T + state["head.bias"])


def test_its_head_holds_a_support_vector_machine_on_its_features() -> None:
    torch.manual_seed(0)
    model = build("cnn_svm", BODY, 3).eval()
    inputs = {"ecg": torch.randn(30, 2, 80), "eda": torch.randn(30, 1, 40)}
    row = model(inputs).features["joined"].numpy(force=True)
    machine = LinearSVC(dual=True, random_state=0).fit(row, np.arange(30) % 3)

    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(machine.coef_))
        model.head.bias.copy_(torch.from_numpy(machine.intercept_))

    scores = model(inputs).prediction.numpy(force=True)
    np.testing.assert_allclose(scores, machine.decision_function(row), rtol=1e-4, atol=1e-4)
    assert (scores.argmax(axis=1) == machine.predict(row)).all()


def test_a_hinge_loss_trains_it() -> None:
    torch.manual_seed(0)
    model = build("cnn_svm", BODY, 2).train()
    target = torch.arange(16) % 2
    inputs = {"ecg": torch.randn(16, 2, 80), "eda": torch.randn(16, 1, 40) + target[:, None, None]}
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    errors = []
    for _ in range(30):
        error = F.multi_margin_loss(model(inputs).prediction, target)
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        errors.append(error.item())

    assert errors[-1] < 0.5 * errors[0]


def test_the_shortest_window_gives_one_step() -> None:
    model = build("cnn_svm", {"eda": InputShape(1, 36, 4.0)}, 2).train()
    assert model({"eda": torch.randn(1, 1, 36)}).features["joined"].shape == (1, 32)
    with pytest.raises(LimbeckError, match="36 samples or more; 'eda' has 35"):
        build("cnn_svm", {"eda": InputShape(1, 35, 4.0)}, 2)
    unpooled = {"eda": InputShape(1, 10, 4.0)}
    assert build("cnn_svm", unpooled, 2, pool=1).train()({"eda": torch.randn(1, 1, 10)}).prediction.shape == (1, 2)
    with pytest.raises(LimbeckError, match="10 samples or more"):
        build("cnn_svm", {"eda": InputShape(1, 9, 4.0)}, 2, pool=1)
    with pytest.raises(LimbeckError, match="width is"):
        build("cnn_svm", BODY, 2, width=())
