"""What a study says of its losses is checked before anything is built, and where a loss learns is what it says."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from limbeck.distillation import LOSSES, Loss, make_losses
from limbeck.distillation.contract import as_batch_of, number
from limbeck.errors import LimbeckError


def test_losses_go_by_the_names_that_the_study_gives_them() -> None:
    losses = make_losses({"hard": {"weight": 0.1}, "late": {"loss": "soft", "temperature": 8}, "soft": {}})

    assert list(losses) == ["hard", "late", "soft"]
    assert type(losses["late"]) is type(losses["soft"]) is LOSSES["soft"]
    assert (losses["hard"].weight, losses["soft"].weight) == (0.1, 1.0)
    assert (losses["late"].temperature, losses["soft"].temperature) == (8.0, 2.0)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"sotf": {}}, r"sotf: there is no loss 'sotf'\. Did you mean 'soft'"),
        ({"late": {"loss": "sotf"}}, r"late: there is no loss 'sotf'\. Did you mean 'soft'"),
        ({"soft": {"temprature": 2}}, r"soft: there is no option 'temprature'\. Did you mean 'temperature'"),
        ({"soft": {"temperature": 0}}, r"soft\.temperature: expected a number above 0, found 0"),
        ({"hard": {"weight": -1}}, r"hard\.weight: expected a number above 0, found -1"),
        ({"soft": {"on": "some"}}, r"soft\.on: expected all, labelled or unlabelled, found 'some'"),
        ({"hint": {"student": 3}}, r"hint\.student: expected a name, found 3"),
        ({}, "a stage needs a loss"),
    ],
)
def test_a_mistaken_loss_is_refused(terms: dict[str, dict[str, Any]], message: str) -> None:
    with pytest.raises(LimbeckError, match=message):
        make_losses(terms)


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(LimbeckError) as caught:
        make_losses({"sotf": {}, "hard": {"heavy": 1, "weigth": 2}, "soft": {"temperature": math.nan}})

    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["sotf", "hard", "hard", "soft.temperature"]


def test_making_a_loss_twice_makes_two() -> None:
    given = {"soft": {"weight": 0.5}}
    assert make_losses(given)["soft"] is not make_losses(given)["soft"]
    assert given == {"soft": {"weight": 0.5}}


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ("all", [1.0, 0.5, 1.0, 1.0, 1.0, 0.2]),
        ("labelled", [1.0, 0.5, 1.0, 1.0, 0.0, 0.0]),
        ("unlabelled", [0.0, 0.0, 0.0, 0.0, 1.0, 0.2]),
    ],
)
def test_a_window_counts_where_the_loss_learns_as_much_as_it_is_trusted(
    batch: Callable[..., Any], on: Any, expected: list[float]
) -> None:
    one = batch(trust=torch.tensor([1.0, 0.5, 1.0, 1.0, 1.0, 0.2]))
    assert Loss(on=on).weights(one).tolist() == pytest.approx(expected)


def test_what_is_needed_of_the_teacher_follows_from_the_losses() -> None:
    losses = make_losses({"hard": {}, "soft": {}, "hint": {"teacher": "fused", "student": "hidden", "of": "rich"}})

    assert [loss.logits for loss in losses.values()] == [False, True, False]
    assert [loss.labels for loss in losses.values()] == [True, False, False]
    assert [loss.trains_prediction for loss in losses.values()] == [True, True, False]
    assert losses["hint"].teacher_features == ("fused",)
    assert losses["hint"].student_features == ("hidden",)
    assert losses["hint"].of == ("rich",)
    assert losses["soft"].teacher_features == losses["soft"].of == ()


@pytest.mark.parametrize("value", [True, "2", None, math.inf, math.nan, [1.0]])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(LimbeckError, match="depth: expected a number of at least 0"):
        number("depth", value, least=0.0)


@pytest.mark.parametrize(
    ("value", "bounds", "taken"),
    [
        (0, {"least": 0.0}, True),
        (0, {"above": 0.0}, False),
        (-1e-9, {"least": 0.0}, False),
        (1, {"least": 0.0, "most": 1.0}, True),
        (1.1, {"least": 0.0, "most": 1.0}, False),
        (-5, {}, True),
    ],
)
def test_a_number_lies_within_its_bounds(value: float, bounds: dict[str, float], taken: bool) -> None:
    if taken:
        assert number("depth", value, **bounds) == value
        assert isinstance(number("depth", value, **bounds), float)
        return
    with pytest.raises(LimbeckError, match="depth: expected a number"):
        number("depth", value, **bounds)


def test_flattened_values_take_their_shape_again() -> None:
    values = torch.arange(24.0).reshape(2, 3, 4)
    torch.testing.assert_close(as_batch_of((3, 4), values.flatten(1)), values)
    assert as_batch_of((), torch.ones(5, 1)).shape == (5,)
