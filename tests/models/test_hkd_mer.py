"""HKD-MER: what attention makes of the answers of single modalities."""

from __future__ import annotations

import pytest
import torch
from cases.hkd_mer import SHAPES
from torch import Tensor

from limbeck.errors import LimbeckError
from limbeck.models import InputShape, Outputs, build
from limbeck.models.hkd_mer import HKDMER


def try_out(n_outputs: int) -> tuple[HKDMER, Outputs]:
    """Return a small network with the outputs of three windows."""
    torch.manual_seed(0)
    model = build("hkd_mer", SHAPES, n_outputs, width=4, hidden=5, answers=True).eval()
    return model, model({name: torch.randn(shape.zeros(3).shape) for name, shape in SHAPES.items()})


def weights_of(model: HKDMER, features: dict[str, Tensor]) -> Tensor:
    """Return softmax(u tanh(W g + b)) over the modalities."""
    scores = [
        torch.tanh(features[m] @ model.attend.weight.T + model.attend.bias) @ model.score.weight[0] for m in SHAPES
    ]
    powers = torch.stack([score.exp() for score in scores], dim=1)
    return powers / powers.sum(dim=1, keepdim=True)


def test_the_prediction_is_the_logarithm_of_the_weighted_probabilities() -> None:
    model, (prediction, features) = try_out(4)
    weights = weights_of(model, features)
    mixed = sum(weights[:, [m]] * features[f"logits_{name}"].softmax(dim=1) for m, name in enumerate(SHAPES))

    torch.testing.assert_close(features["weights"], weights)
    torch.testing.assert_close(prediction, mixed.log(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(prediction.softmax(dim=1), mixed, rtol=1e-5, atol=1e-5)


def test_a_trace_is_the_weighted_value() -> None:
    model, (prediction, features) = try_out(1)
    weights = weights_of(model, features)
    mixed = sum(weights[:, [m]] * features[f"logits_{name}"] for m, name in enumerate(SHAPES))

    torch.testing.assert_close(prediction, mixed, rtol=1e-5, atol=1e-5)


def test_each_answer_reads_its_own_modality_only() -> None:
    torch.manual_seed(0)
    model = build("hkd_mer", SHAPES, 3, width=4, hidden=5, answers=True).eval()
    inputs = {name: torch.randn(shape.zeros(2).shape) for name, shape in SHAPES.items()}
    before, after = (model({**inputs, "acc": acc}).features for acc in (inputs["acc"], -inputs["acc"]))

    assert torch.equal(before["logits_eda"], after["logits_eda"])
    assert not torch.allclose(before["logits_acc"], after["logits_acc"])


def test_what_it_cannot_read_is_refused() -> None:
    with pytest.raises(LimbeckError, match="at least 2 modalities"):
        build("hkd_mer", {"eda": SHAPES["eda"]}, 2)
    with pytest.raises(LimbeckError, match="8 samples or more; 'eda' has 7"):
        build("hkd_mer", {**SHAPES, "eda": InputShape(1, 7, 4.0)}, 2)
