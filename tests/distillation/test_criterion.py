"""The losses of a stage put together; the student with its projectors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from limbeck.distillation import Batch, Criterion, Student
from limbeck.distillation.losses import (
    expected_class_weights,
    hard_target,
    hint,
    mean_squared_error,
    soft_target,
    soft_trace,
)
from limbeck.errors import LimbeckError
from limbeck.models import InputShape, Outputs, build

SHAPES = {"eeg": InputShape(5)}
BATCH = 4


def make_batch(kind: str = "class") -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch(
        inputs={"eeg": torch.randn(BATCH, 5, generator=generator)},
        target=torch.tensor([0, 1, 0, 0]) if kind == "class" else torch.tensor([0.5, -1.0, 0.0, 0.0]),
        labelled=torch.tensor([1.0, 1.0, 0.0, 0.0]),
        class_weights=torch.tensor([0.5, 2.0]),
        logits=torch.randn(BATCH, 2 if kind == "class" else 1, generator=generator),
        features={"fused": torch.randn(BATCH, 3, generator=generator)},
    )


def make_student(n_outputs: int = 2) -> Student:
    torch.manual_seed(0)
    return Student(build("mlp", SHAPES, n_outputs, hidden=8), {"hidden": (4, 3)}).eval()


HINT = {"teacher": "fused", "student": "hidden"}


def test_the_total_is_the_weighted_sum_of_the_terms() -> None:
    batch, student = make_batch(), make_student()
    outputs = student(batch.inputs)
    criterion = Criterion(
        {"hard": {"weight": 0.5}, "soft": {"weight": 2.0, "temperature": 3.0}, "hint": {"weight": 0.1, **HINT}},
        kind="class",
    )

    total, terms = criterion(outputs, batch)

    every = torch.ones(BATCH)
    expected = {
        **hard_target(outputs.prediction, batch.target, batch.class_weights, batch.labelled),
        **soft_target(
            outputs.prediction,
            batch.logits,
            expected_class_weights(batch.logits, batch.class_weights),
            temperature=3.0,
        ),
        **hint(outputs.features["projected.hidden"], batch.features["fused"], every),
    }
    torch.testing.assert_close(terms, expected)
    torch.testing.assert_close(total, 0.5 * expected["hard"] + 2.0 * expected["soft"] + 0.1 * expected["hint"])


def test_a_trace_has_squared_distances_for_hard_and_soft() -> None:
    batch = make_batch("trace")
    outputs = make_student(1)(batch.inputs)

    _, terms = Criterion({"hard": {}, "soft": {}}, kind="trace")(outputs, batch)

    expected = {
        **mean_squared_error(outputs.prediction, batch.target, batch.labelled),
        **soft_trace(outputs.prediction, batch.logits, torch.ones(BATCH)),
    }
    torch.testing.assert_close(terms, expected)


@pytest.mark.parametrize("kind", ["class", "trace"])
def test_the_target_of_an_unlabelled_window_is_never_read(kind: str) -> None:
    batch = make_batch(kind)
    other = batch._replace(target=torch.where(batch.labelled > 0, batch.target, 1 - batch.target))
    outputs = make_student(batch.logits.shape[1])(batch.inputs)
    criterion = Criterion({"hard": {}, "soft": {}}, kind=kind)

    torch.testing.assert_close(criterion(outputs, batch), criterion(outputs, other), rtol=0, atol=0)


def test_soft_target_and_hint_learn_from_unlabelled_windows() -> None:
    batch = make_batch()
    prediction = torch.zeros(BATCH, 2, requires_grad=True)
    projected = torch.zeros(BATCH, 3, requires_grad=True)
    criterion = Criterion({"hard": {}, "soft": {}, "hint": HINT}, kind="class")

    total, _ = criterion(Outputs(prediction, {"projected.hidden": projected}), batch)
    gradients = torch.autograd.grad(total, [prediction, projected])

    for gradient in gradients:
        assert gradient[2:].abs().min() > 0


def test_options_that_are_not_given_take_their_defaults() -> None:
    batch, outputs = make_batch(), make_student()(make_batch().inputs)

    given = Criterion({"soft": {"weight": 1.0, "temperature": 2.0}}, kind="class")(outputs, batch)

    torch.testing.assert_close(Criterion({"soft": {}}, kind="class")(outputs, batch), given)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"sotf": {}}, r"no loss 'sotf'\. Did you mean 'soft'"),
        ({"soft": {"temprature": 2}}, r"'soft' has no option 'temprature'\. Did you mean 'temperature'"),
        ({"hint": {"teacher": "fused"}}, "'hint' needs the option 'student'"),
        ({}, "A stage needs a loss"),
    ],
)
def test_a_mistaken_loss_is_refused(terms: dict[str, dict[str, Any]], message: str) -> None:
    with pytest.raises(LimbeckError, match=message):
        Criterion(terms, kind="class")


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(LimbeckError, match=r"sotf(.|\n)*heavy(.|\n)*'nominal'"):
        Criterion({"sotf": {}, "hard": {"heavy": 1}}, kind="nominal")


def test_what_is_needed_of_the_teacher_follows_from_the_losses() -> None:
    assert not Criterion({"hard": {}}, kind="class").needs_logits
    assert Criterion({"hard": {}, "soft": {}}, kind="class").needs_logits
    assert Criterion({"hard": {}}, kind="class").teacher_features == ()
    assert Criterion({"hint": HINT}, kind="class").teacher_features == ("fused",)


def test_a_projector_leads_from_the_students_feature_to_the_width_of_the_teachers() -> None:
    network = build("mlp", SHAPES, 2, hidden=8)

    assert Criterion({"hint": HINT}, kind="class").projectors(network, SHAPES, {"fused": 3}) == {"hidden": (4, 3)}
    assert Criterion({"soft": {}}, kind="class").projectors(network, SHAPES, {"fused": 3}) == {}


def test_a_feature_that_is_not_there_is_refused() -> None:
    network = build("mlp", SHAPES, 2, hidden=8)
    wrong_student = Criterion({"hint": {"teacher": "fused", "student": "hiden"}}, kind="class")
    wrong_teacher = Criterion({"hint": {"teacher": "fsed", "student": "hidden"}}, kind="class")

    with pytest.raises(LimbeckError, match=r"student has no feature 'hiden'\. Did you mean 'hidden'"):
        wrong_student.projectors(network, SHAPES, {"fused": 3})
    with pytest.raises(LimbeckError, match=r"teacher has no feature 'fsed'\. Did you mean 'fused'"):
        wrong_teacher.projectors(network, SHAPES, {"fused": 3})


def test_a_student_adds_its_projections_and_leaves_the_network_as_it_is() -> None:
    student, inputs = make_student(), make_batch().inputs

    outputs, plain = student(inputs), student.network(inputs)

    assert torch.equal(outputs.prediction, plain.prediction)
    projector = student.projectors["hidden"]
    torch.testing.assert_close(outputs.features["projected.hidden"], projector(plain.features["hidden"]))


def test_projectors_are_told_from_the_network_by_name() -> None:
    names = {name.split(".")[0] for name, _ in make_student().named_parameters()}

    assert names == {"network", "projectors"}


def test_a_feature_with_more_than_one_dimension_is_projected_flat() -> None:
    class Convolution(nn.Module):
        def forward(self, inputs: dict[str, torch.Tensor]) -> Outputs:
            return Outputs(inputs["eda"][:, 0, :2], {"map": inputs["eda"]})

    student = Student(Convolution(), {"map": (12, 5)})

    assert student({"eda": torch.zeros(2, 3, 4)}).features["projected.map"].shape == (2, 5)
