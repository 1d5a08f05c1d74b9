"""Contrastive losses: what is a positive, what a negative, and what is neither."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck.distillation.functional import byol_regression, crd, crd_normaliser, info_nce, nt_xent
from limbeck.errors import LimbeckError

ONES = torch.ones(4)
EYE = torch.eye(4)


def loss_of(student: Tensor, teacher: Tensor, **options: Any) -> float:
    return info_nce(student, teacher, ONES, **options)["info_nce"].item()


def test_the_right_partner_costs_nothing_and_a_wrong_one_much() -> None:
    assert loss_of(EYE, EYE) == pytest.approx(0, abs=1e-3)
    assert loss_of(EYE.roll(1, dims=0), EYE) == pytest.approx(10, abs=1e-2)
    assert loss_of(torch.ones(4, 4), torch.ones(4, 4)) == pytest.approx(math.log(4), rel=1e-5)


def test_excluded_pairs_are_no_negatives_but_a_window_stays_its_own_positive() -> None:
    same = torch.ones(4, 4)
    overlapping = torch.ones(4, 4)
    assert loss_of(same, same, excluded=overlapping) == pytest.approx(0, abs=1e-6)
    overlapping[0] = overlapping[:, 0] = 0
    assert 0 < loss_of(same, same, excluded=overlapping) < math.log(4)


def test_windows_of_one_class_are_positives_where_the_label_may_be_seen() -> None:
    classes = torch.tensor([0, 0, 1, 1])
    assert loss_of(EYE, EYE, classes=classes) == pytest.approx(5, abs=1e-2), (
        "half of the positives are at a right angle"
    )
    assert loss_of(EYE, EYE, classes=classes, labelled=torch.zeros(4)) == pytest.approx(0, abs=1e-2)
    half = torch.tensor([1.0, 1.0, 1.0, 0.0])
    assert loss_of(EYE, EYE, classes=classes, labelled=half) == pytest.approx(2.5, abs=1e-2)


def test_a_view_is_not_its_own_negative() -> None:
    assert nt_xent(EYE[:1], EYE[1:2], ONES[:1])["nt_xent"].item() == pytest.approx(0, abs=1e-6)
    assert nt_xent(EYE, EYE, ONES, temperature=0.05)["nt_xent"].item() == pytest.approx(0, abs=1e-4)
    assert nt_xent(EYE, EYE.roll(1, dims=0), ONES, temperature=0.05)["nt_xent"].item() > 5


def test_the_normaliser_makes_the_mean_score_one_over_the_bank() -> None:
    negatives = torch.nn.functional.normalize(torch.randn(4, 9, 4, generator=torch.Generator().manual_seed(0)), dim=2)
    z = crd_normaliser(EYE, EYE, negatives, samples=50, temperature=0.5)
    scores = torch.cat([EYE[:, None], negatives], dim=1) @ EYE[:, :, None]
    assert ((scores / 0.5).exp() / z).mean().item() == pytest.approx(1 / 50, rel=1e-5)


def test_the_bank_pulls_towards_its_positive_and_away_from_its_negatives() -> None:
    def terms(embedding: Tensor) -> dict[str, Tensor]:
        return crd(
            embedding,
            embedding,
            ONES,
            teacher_positive=EYE,
            student_positive=EYE,
            teacher_negatives=EYE.roll(1, dims=0)[:, None],
            student_negatives=EYE.roll(1, dims=0)[:, None],
            normalisers=(100.0, 100.0),
            samples=50,
        )

    right, wrong = terms(EYE), terms(EYE.roll(1, dims=0))
    assert all(right[name] < wrong[name] for name in ("crd_student", "crd_teacher"))


def test_negatives_that_belong_to_no_window_are_refused() -> None:
    with pytest.raises(LimbeckError, match=r"negatives \(9, 3\)"):
        crd_normaliser(EYE, EYE, torch.zeros(9, 3), samples=50)


def test_regression_of_directions_ignores_their_lengths() -> None:
    assert byol_regression(3 * EYE, EYE, ONES)["byol"].item() == pytest.approx(0, abs=1e-6)
    assert byol_regression(-EYE, EYE, ONES)["byol"].item() == pytest.approx(4, abs=1e-6)


def test_rows_common_to_all_windows_that_count_once_are_the_negatives_of_each() -> None:
    generator = torch.Generator().manual_seed(1)
    rows = torch.nn.functional.normalize(torch.randn(9, 4, generator=generator), dim=1)
    embedding, positive = torch.randn(4, 4, generator=generator), rows[:4]
    counts = (torch.rand(4, 9, generator=generator) > 0.4).float()
    counts[:, 0] = 1.0

    def contrast(negatives: Tensor, **options: Tensor) -> Tensor:
        terms = crd(
            embedding,
            embedding,
            ONES[: len(embedding)],
            teacher_positive=positive,
            teacher_negatives=negatives,
            student_positive=positive,
            student_negatives=negatives,
            normalisers=(20.0, 20.0),
            samples=50,
            temperature=0.5,
            **options,
        )
        return terms["crd_student"]

    together = contrast(rows)
    torch.testing.assert_close(together, contrast(rows.expand(4, 9, 4)))
    torch.testing.assert_close(together, contrast(rows, counts=torch.ones(4, 9)))
    torch.testing.assert_close(
        contrast(rows, counts=2 * torch.ones(4, 9)), contrast(torch.cat([rows, rows]).expand(4, 18, 4))
    )
    z = crd_normaliser(embedding[:1], positive[:1], rows, samples=50, counts=counts[:1], temperature=0.5)
    kept = rows[counts[0] > 0]
    torch.testing.assert_close(z, crd_normaliser(embedding[:1], positive[:1], kept, samples=50, temperature=0.5))
