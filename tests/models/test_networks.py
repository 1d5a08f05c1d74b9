"""What is particular to each network."""

from __future__ import annotations

import pytest
import torch

from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build, count_parameters

EDA = {"eda": InputShape(1, 240, 4.0)}


def test_the_default_student_has_a_few_thousand_parameters() -> None:
    assert 1_000 < count_parameters(build("student_cnn", EDA, 2)) < 5_000


def test_the_student_reads_one_modality_only() -> None:
    with pytest.raises(LimbeckError, match=r"at most 1 modality; the view has \['bvp', 'eda'\]"):
        build("student_cnn", {**EDA, "bvp": InputShape(1, 1920, 32.0)}, 2)


def test_the_width_of_the_student_sets_its_embedding() -> None:
    narrow = build("student_cnn", EDA, 2, width=4)

    assert narrow.eval()({"eda": torch.zeros(1, 1, 240)}).features["embedding"].shape == (1, 8)
    assert count_parameters(narrow) < count_parameters(build("student_cnn", EDA, 2))


def test_fusion_reads_every_modality_it_was_built_for() -> None:
    torch.manual_seed(0)
    shapes = {**EDA, "acc": InputShape(3, 960, 16.0)}
    model = build("fusion_cnn", shapes, 2).eval()
    inputs = {name: torch.randn(shape.zeros(1).shape) for name, shape in shapes.items()}

    for modality in shapes:
        changed = {**inputs, modality: inputs[modality] + 1.0}
        assert not torch.allclose(model(inputs).prediction, model(changed).prediction)


def test_the_linear_model_starts_at_zero() -> None:
    model = build("linear", {"ecg": InputShape(4)}, 3)

    assert torch.equal(model({"ecg": torch.randn(5, 4)}).prediction, torch.zeros(5, 3))


def test_the_linear_model_is_a_linear_map_of_all_columns_in_the_order_of_the_view() -> None:
    model = build("linear", {"eeg": InputShape(2), "ecg": InputShape(1)}, 1)
    with torch.no_grad():
        model.head.weight.copy_(torch.tensor([[1.0, 10.0, 100.0]]))
        model.head.bias.fill_(0.5)

    prediction = model({"ecg": torch.tensor([[3.0]]), "eeg": torch.tensor([[1.0, 2.0]])}).prediction

    assert prediction.item() == pytest.approx(1 + 20 + 300 + 0.5)


def test_a_balanced_linear_model_gives_each_modality_the_same_weight() -> None:
    shapes = {"eeg": InputShape(100), "ecg": InputShape(4)}
    inputs = {name: torch.ones(1, shape.channels) for name, shape in shapes.items()}
    norms = {}
    for balance in (False, True):
        model = build("linear", shapes, 1, balance=balance)
        model(inputs).prediction.sum().backward()
        eeg, ecg = model.head.weight.grad.split([100, 4], dim=1)
        norms[balance] = eeg.norm().item(), ecg.norm().item()

    assert norms[False] == pytest.approx((10.0, 2.0))
    assert norms[True] == pytest.approx((1.0, 1.0))


def test_the_perceptron_mixes_its_modalities() -> None:
    """Only a hidden layer can answer to the product of two modalities."""
    torch.manual_seed(0)
    model = build("mlp", {"eeg": InputShape(1), "ecg": InputShape(1)}, 1).eval()

    def at(a: float, b: float) -> float:
        return model({"eeg": torch.tensor([[a]]), "ecg": torch.tensor([[b]])}).prediction.item()

    assert abs(at(2.0, 2.0) - at(2.0, -2.0) - at(-2.0, 2.0) + at(-2.0, -2.0)) > 1e-3
