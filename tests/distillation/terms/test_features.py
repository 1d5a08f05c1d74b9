"""Losses on features: shapes that fit, shapes that cannot, several teachers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck.distillation import functional
from limbeck.errors import LimbeckError

Tried = Callable[..., Any]
BOTH = ("rich", "other")
MAPS = {"student": "map", "teacher": "map"}


def feature(tried: Any, name: str) -> Tensor:
    said: Tensor = tried.learner().network(tried.batch().sights["plain"].inputs).features[name]
    return said.detach()


def test_features_that_are_not_there_are_named_with_those_that_are(trial: Tried) -> None:
    with pytest.raises(LimbeckError) as refused:
        trial("hint", {"student": "embeding", "teacher": "fused"}, teachers=BOTH).learner()
    lines = str(refused.value).splitlines()
    assert lines[0] == (
        "hint.student: the network has no feature 'embeding'. Did you mean 'embedding'? "
        "It has: map (5, 12), embedding (5,)."
    )
    assert lines[1] == "hint.teacher: 'rich' has no feature 'fused'. It has: map (4, 16), embedding (4,)."
    assert lines[2].startswith("hint.teacher: 'other' has no feature 'fused'.")


@pytest.mark.parametrize(
    ("loss", "options", "message"),
    [
        (
            "hint",
            {"map": "none"},
            r"hint\.map: 'embedding' with 'embedding' of 'rich': The map 'none'.*can join them: linear",
        ),
        ("cosine", {"map": "sum_halves"}, "twice as wide"),
        ("hint", {"map": "cnov"}, r"no map 'cnov'\. Did you mean 'conv'\?"),
        ("at", {}, "takes maps .channels, time.; the student's feature has shape .5,."),
        ("at", {**MAPS, "form": "channel"}, "the student has 5, the teacher 4"),
        ("mmd", {"map": "conv"}, "can join them: linear"),
        ("hint", {"norm": "l3"}, "norm: expected one of l2, l1, found 'l3'"),
        ("vid", {"variance": 0.0}, r"variance: The variance starts at 0\.0"),
        ("hint", {"student": 3}, "student: expected a name, found 3"),
    ],
)
def test_shapes_and_options_that_cannot_work_are_refused_with_what_would(
    trial: Tried, loss: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(LimbeckError, match=message):
        trial(loss, options).learner()


def test_a_loss_on_features_needs_a_teacher(trial: Tried) -> None:
    with pytest.raises(LimbeckError, match=r"hint\.taught_by: there is no teacher; name one"):
        trial("hint", teachers=()).learner()


@pytest.mark.parametrize(("norm", "power"), [("l2", 2), ("l1", 1)])
def test_a_hint_is_the_mean_difference_in_its_norm(trial: Tried, norm: str, power: int) -> None:
    tried = trial("hint", {**MAPS, "map": "pool", "norm": norm})
    own, taught = feature(tried, "map").flatten(1), tried.batch().teachers["rich"]["map"]
    shorter = taught @ functional.build_map("pool", (60,), (64,)).double().resize
    torch.testing.assert_close(tried.learner()(tried.batch())[0], (own - shorter).abs().pow(power).mean())


def test_several_teachers_have_maps_of_their_own_and_count_alike(trial: Tried) -> None:
    def of(**options: Any) -> Tensor:
        tried = trial("at", {**MAPS, "weight": 1.0, **options}, teachers=BOTH)
        total: Tensor = tried.learner()(tried.batch())[0]
        return total

    torch.testing.assert_close(of(), (of(of="rich") + of(of=["other"])) / 2)
    assert set(trial("hint", teachers=BOTH).learner().losses["hint"].matched) == set(BOTH)


def test_similarity_is_that_to_the_mean_matrix_of_all_teachers(trial: Tried) -> None:
    tried = trial("sp", {"weight": 1.0}, teachers=BOTH)
    batch, ones = tried.batch(), torch.ones(8, dtype=torch.float64)
    teachers = [batch.teachers[name]["embedding"] for name in BOTH]
    expected = functional.similarity_of_many(feature(tried, "embedding"), teachers, ones)["similarity"]
    torch.testing.assert_close(tried.learner()(batch)[0], expected)
    alone = trial("sp", {"weight": 1.0, "of": "rich"}, teachers=BOTH)
    expected = functional.similarity(feature(tried, "embedding"), teachers[0], ones)["similarity"]
    torch.testing.assert_close(alone.learner()(alone.batch())[0], expected)


def test_teachers_count_in_the_mean_matrix_as_much_as_the_study_says(trial: Tried) -> None:
    tried = trial("sp", {"weight": 1.0, "parts": {"other": 3.0, "rich": 1.0}}, teachers=BOTH)
    batch, ones = tried.batch(), torch.ones(8, dtype=torch.float64)
    teachers = [batch.teachers[name]["embedding"] for name in BOTH]
    parts = torch.tensor([0.25, 0.75], dtype=torch.float64)
    expected = functional.similarity_of_many(feature(tried, "embedding"), teachers, ones, parts=parts)["similarity"]
    torch.testing.assert_close(tried.learner()(batch)[0], expected)
    assert not torch.isclose(
        expected, functional.similarity_of_many(feature(tried, "embedding"), teachers, ones)["similarity"]
    )
    for wrong, message in (
        ({"rich": 1.0}, r"sp\.parts: it names rich, and the loss learns from rich, other"),
        ({"rich": 0.0, "other": 0}, "parts: no teacher counts"),
        ({"rich": -1.0}, r"parts\.rich: expected a number of at least 0"),
        ([1.0, 2.0], "parts: expected a number for each teacher by its name"),
    ):
        with pytest.raises(LimbeckError, match=message):
            trial("sp", {"parts": wrong}, teachers=BOTH).learner()


@pytest.mark.parametrize(("options", "widths"), [(MAPS, (5, 4)), ({}, (5, 4)), ({"student": "map"}, (60, 4))])
def test_the_regressor_of_vid_is_three_layers_as_wide_as_the_teacher_and_not_linear(
    trial: Tried, options: dict[str, Any], widths: tuple[int, int]
) -> None:
    regressor = trial("vid", options).learner().losses["vid"].regressors["rich"]
    own, taught = widths
    convolutions = [layer for layer in regressor.layers if isinstance(layer, torch.nn.Conv1d)]
    assert [tuple(layer.weight.shape) for layer in convolutions] == [
        (taught, own, 1),
        (taught, taught, 1),
        (taught, taught, 1),
    ]
    assert [type(layer) for layer in regressor.layers][1::2] == [torch.nn.ReLU] * 2
    assert len(regressor.layers) == 5
    assert regressor.variance.shape == (taught,)


def test_the_relational_parts_can_be_weighed_and_left_out(trial: Tried) -> None:
    def of(**options: float) -> Tensor:
        tried = trial("rkd", options)
        total: Tensor = tried.learner()(tried.batch())[0]
        return total

    torch.testing.assert_close(of(), of(angle=0) + of(distance=0))
    with pytest.raises(LimbeckError, match="both 0"):
        of(angle=0, distance=0)


def test_the_regressor_of_vid_learns_the_variance_that_is_left(trial: Tried) -> None:
    tried = trial("vid", MAPS)
    learner, batch = tried.learner(), tried.batch()
    regressor = learner.losses["vid"].regressors["rich"]
    assert regressor.variance.shape == (4,)
    torch.testing.assert_close(torch.nn.functional.softplus(regressor.variance) + 1e-5, torch.full((4,), 5.0).double())
    optimiser = torch.optim.Adam(learner.parameters(), 0.05)
    for _ in range(200):
        optimiser.zero_grad()
        learner(batch)[0].backward()
        optimiser.step()
    mean, taught, _ = regressor(feature_now(learner, batch), batch.teachers["rich"]["map"].reshape(8, 4, 16))
    left = (mean - taught).square().mean(dim=(0, 2))
    torch.testing.assert_close(torch.nn.functional.softplus(regressor.variance), left, rtol=0.1, atol=0.01)


def feature_now(learner: Any, batch: Any) -> Tensor:
    found: Tensor = learner.network(batch.sights["plain"].inputs).features["map"]
    return found
