"""The perceptron and the convolutional network of the comparison on skin conductance."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from limbeck.errors import LimbeckError
from limbeck.models import Dropout, InputShape, build

EDA = {"eda": InputShape(1, 1408, 256.0)}


def test_the_mlp_is_its_layers_over_all_samples_side_by_side() -> None:
    torch.manual_seed(0)
    shapes = {"eda": InputShape(1, 30, 4.0), "bvp": InputShape(2, 60, 64.0)}
    model = build("xai_mlp", shapes, 2).eval()
    eda, bvp = torch.randn(3, 1, 30), torch.randn(3, 2, 60)
    state = model.state_dict()

    h = torch.cat([eda[:, 0], bvp[:, 0], bvp[:, 1]], dim=1)
    for name in ("first", "second"):
        h = (h @ state[f"{name}.weight"].T + state[f"{name}.bias"]).clamp(min=0)
    found = model({"eda": eda, "bvp": bvp})

    torch.testing.assert_close(found.features["hidden"], h, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.prediction, h @ state["head.weight"].T + state["head.bias"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("length", "steps"), [(1408, 1), (2816, 4)])
def test_the_cnn_is_its_layers(length: int, steps: int) -> None:
    torch.manual_seed(0)
    model = build("xai_cnn", {"eda": InputShape(1, length, 256.0)}, 2).eval()
    x = torch.randn(2, 1, length)
    state = model.state_dict()

    h = x
    for layer in range(3):
        weight, bias = state[f"convolutions.{layer}.0.weight"], state[f"convolutions.{layer}.0.bias"]
        h = F.max_pool1d(F.conv1d(h, weight, bias, stride=2).clamp(min=0), 4)
    hidden = h.reshape(2, -1)
    for name in ("first", "second"):
        hidden = (hidden @ state[f"{name}.weight"].T + state[f"{name}.bias"]).clamp(min=0)
    found = model({"eda": x})

    assert h.shape == (2, 32, steps)
    torch.testing.assert_close(found.features, {"conv3": h, "hidden": hidden}, rtol=1e-5, atol=1e-5)
    prediction = hidden @ state["head.weight"].T + state["head.bias"]
    torch.testing.assert_close(found.prediction, prediction, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "places"), [("xai_mlp", 2), ("xai_cnn", 3)])
def test_every_place_has_a_dropout_of_its_own(name: str, places: int) -> None:
    found = [module for module in build(name, EDA, 2).modules() if isinstance(module, Dropout)]

    assert [module.p for module in found] == [0.2] * places


@pytest.mark.parametrize(("pool", "shortest"), [(4, 909), (2, 185), (1, 51)])
def test_the_cnn_reads_short_windows_with_a_smaller_pool(pool: int, shortest: int) -> None:
    model = build("xai_cnn", {"eda": InputShape(1, shortest, 64.0)}, 2, pool=pool)

    assert model({"eda": torch.randn(1, 1, shortest)}).features["conv3"].shape == (1, 32, 1)
    with pytest.raises(LimbeckError, match=rf"{shortest} samples or more; 'eda' has {shortest - 1}"):
        build("xai_cnn", {"eda": InputShape(1, shortest - 1, 64.0)}, 2, pool=pool)


def test_weights_start_within_the_bounds_of_glorot_and_biases_at_zero() -> None:
    torch.manual_seed(0)
    model = build("xai_cnn", EDA, 2)

    first = model.convolutions[0][0]
    bound = (6 / (1 * 7 + 128 * 7)) ** 0.5
    assert 0.95 * bound < first.weight.abs().max() <= bound
    assert not any(value.any() for name, value in model.named_parameters() if name.endswith("bias"))
