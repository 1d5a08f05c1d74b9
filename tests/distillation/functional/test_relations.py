"""Losses on relations: what they must not see, and where points coincide."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from limbeck.distillation.functional import (
    anchored_similarity_rows,
    correlation_congruence,
    pkt,
    rkd_angle,
    rkd_distance,
    similarity,
    similarity_of_many,
)
from limbeck.errors import LimbeckError

WINDOWS, WIDTH = 8, 5
ONES = torch.ones(WINDOWS, dtype=torch.float64)


def cloud(seed: int, width: int = WIDTH) -> Tensor:
    return torch.randn(WINDOWS, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(width: int = WIDTH) -> Tensor:
    return torch.linalg.qr(cloud(9, width)[:width])[0]


@pytest.mark.parametrize("loss", [rkd_distance, rkd_angle], ids=["distance", "angle"])
def test_distances_and_angles_ignore_rotation_translation_and_scale(loss: Callable[..., dict[str, Tensor]]) -> None:
    teacher, student = cloud(1), cloud(2)
    moved = 4.0 * student @ rotation() + torch.arange(WIDTH)
    (expected,) = loss(student, teacher, ONES).values()
    (found,) = loss(moved, teacher, ONES).values()
    assert expected > 1e-3
    torch.testing.assert_close(found, expected)
    (itself,) = loss(4.0 * teacher @ rotation() + 3, teacher, ONES).values()
    assert itself.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("loss", [similarity, pkt, correlation_congruence])
def test_similarities_ignore_orthogonal_maps_of_the_features(loss: Callable[..., dict[str, Tensor]]) -> None:
    teacher, student = cloud(1, 3), cloud(2)
    (expected,) = loss(student, teacher, ONES).values()
    (found,) = loss(student @ rotation(), teacher @ rotation(3), ONES).values()
    assert expected > 1e-4
    torch.testing.assert_close(found, expected)


def test_coincident_windows_have_no_angle_even_in_single_precision() -> None:
    student = 100.0 + cloud(1).float()
    student[3] = student[5]
    student.requires_grad_()
    angle = rkd_angle(student, cloud(2).float(), ONES.float())["rkd_angle"]
    distance = rkd_distance(student, cloud(2).float(), ONES.float())["rkd_distance"]
    (gradient,) = torch.autograd.grad(angle + distance, student)
    assert gradient.isfinite().all()
    apart = student.detach().double().numpy()
    torch.testing.assert_close(
        angle.double(),
        rkd_angle(torch.from_numpy(apart), cloud(2), ONES)["rkd_angle"],
        rtol=1e-3,
        atol=1e-5,
    )


def test_the_mean_of_one_teacher_is_that_teacher_and_parts_choose_among_many() -> None:
    student, first, second = cloud(1), cloud(2, 3), cloud(3, 7)
    alone = similarity(student, first, ONES)["similarity"]
    torch.testing.assert_close(similarity_of_many(student, [first], ONES)["similarity"], alone)
    parts = torch.tensor([2.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(similarity_of_many(student, [first, second], ONES, parts=parts)["similarity"], alone)
    with pytest.raises(LimbeckError, match="found none"):
        similarity_of_many(student, [], ONES)
    with pytest.raises(LimbeckError, match="2 weights of teachers for 1"):
        similarity_of_many(student, [first], ONES, parts=parts)


def test_windows_that_all_weigh_the_same_have_rows_of_length_one_as_published() -> None:
    student, teacher = cloud(1), cloud(2, 3)
    own, taught = (torch.nn.functional.normalize(x @ x.T, dim=1) for x in (student, teacher))
    for weight in (1.0, 0.3):
        found = similarity(student, teacher, weight * ONES)["similarity"]
        torch.testing.assert_close(found, (own - taught).square().sum() / WINDOWS**2)


def test_all_rows_are_compared_with_the_same_anchors() -> None:
    student, teacher = cloud(1), cloud(2, 3)
    order = torch.randperm(WINDOWS, generator=torch.Generator().manual_seed(0))
    own, taught = anchored_similarity_rows(student, teacher, ONES, anchors=4)
    unit = torch.nn.functional.normalize(teacher, dim=1)
    cosines = unit @ unit.T - (unit @ unit.T).min()
    anchors = cosines.mean(dim=0).argsort()[:4]
    torch.testing.assert_close(taught, cosines[:, anchors])
    moved = anchored_similarity_rows(student[order], teacher[order], ONES, anchors=4)
    torch.testing.assert_close(moved[0], own[order])
    torch.testing.assert_close(moved[1], taught[order])


def test_as_published_every_row_takes_the_windows_least_like_it() -> None:
    teacher = cloud(2, 3)
    _, taught = anchored_similarity_rows(cloud(1), teacher, ONES, anchors=3, per_row=True)
    unit = torch.nn.functional.normalize(teacher, dim=1)
    cosines = unit @ unit.T - (unit @ unit.T).min()
    torch.testing.assert_close(taught, cosines.sort(dim=1).values[:, :3])


def test_windows_of_weight_zero_are_no_anchors() -> None:
    student, teacher = cloud(1), cloud(2, 3)
    weights = ONES.clone()
    weights[[1, 4, 6]] = 0
    kept = weights > 0
    own, taught = anchored_similarity_rows(student, teacher, weights, anchors=7)
    few = anchored_similarity_rows(student[kept], teacher[kept], ONES[kept], anchors=7)
    for found, expected in ((own, few[0]), (taught, few[1])):
        torch.testing.assert_close(found[kept][:, :5], expected)
        assert not found[:, 5:].any()
