"""Means, distances and lengths that the losses share."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as reference

from limbeck.distillation.functional.weighting import (
    in_windows,
    resize_matrix,
    squared_distances,
    unit_rows,
    weighted_mean,
)


@pytest.mark.parametrize(("length_in", "length_out"), [(12, 4), (12, 5), (7, 3), (5, 1), (6, 6)])
def test_a_longer_series_is_averaged_as_adaptive_pooling_does(length_in: int, length_out: int) -> None:
    series = torch.randn(2, 3, length_in, dtype=torch.float64)
    expected = reference.adaptive_avg_pool1d(series, length_out)
    torch.testing.assert_close(series @ resize_matrix(length_in, length_out), expected)


@pytest.mark.parametrize(("length_in", "length_out"), [(4, 12), (5, 12), (1, 4), (3, 7)])
def test_a_shorter_series_is_interpolated_between_the_middles_of_its_steps(length_in: int, length_out: int) -> None:
    series = torch.randn(2, 3, length_in, dtype=torch.float64)
    expected = reference.interpolate(series, length_out, mode="linear", align_corners=False)
    torch.testing.assert_close(series @ resize_matrix(length_in, length_out), expected)


def test_distances_keep_their_digits_far_from_the_origin() -> None:
    rows = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    far = squared_distances(rows + 100, rows + 100)
    torch.testing.assert_close(far, torch.cdist(rows, rows).square(), atol=1e-3, rtol=1e-3)


def test_a_row_of_zeros_stays_zero_with_a_finite_gradient() -> None:
    x = torch.zeros(2, 3, requires_grad=True)
    unit = unit_rows(x)
    (gradient,) = torch.autograd.grad(unit.sum(), x)
    assert not unit.any()
    assert gradient.isfinite().all()


def test_a_mean_over_nothing_is_zero() -> None:
    assert weighted_mean(torch.ones(3), torch.zeros(3)).item() == 0


def test_weights_in_units_of_windows_ignore_a_common_factor_and_leave_out_what_weighs_nothing() -> None:
    for factor in (1e-4, 1.0, 50.0):
        torch.testing.assert_close(in_windows(factor * torch.tensor([1.0, 0.0, 1.0])), torch.tensor([1.0, 0.0, 1.0]))
    assert in_windows(torch.tensor([3.0, 1.0])).sum().item() == pytest.approx(16 / 10)
    assert not in_windows(torch.zeros(3)).any()
