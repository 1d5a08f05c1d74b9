"""Losses against labels: what concordance and order mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from limbeck.distillation.functional import ccc_loss, mean_squared_error, ordinal_target
from limbeck.errors import LimbeckError

ONES = torch.ones(5, dtype=torch.float64)
TRACE = torch.tensor([1.0, -2.0, 0.5, 2.0, -1.5], dtype=torch.float64)


def concordance_loss(prediction: torch.Tensor, target: torch.Tensor) -> float:
    return ccc_loss(prediction, target, ONES)["ccc"].item()


def test_concordance_loss_is_zero_at_equality_and_two_at_negation() -> None:
    assert TRACE.mean() == 0
    assert concordance_loss(TRACE, TRACE) == pytest.approx(0, abs=1e-7)
    assert concordance_loss(-TRACE, TRACE) == pytest.approx(2, abs=1e-7)


def test_concordance_loss_ignores_a_change_of_unit_and_origin_of_both() -> None:
    other = torch.tensor([0.5, -1.0, 1.5, 1.0, 0.0], dtype=torch.float64)
    assert concordance_loss(3 * other + 7, 3 * TRACE + 7) == pytest.approx(concordance_loss(other, TRACE), rel=1e-6)
    assert concordance_loss(3 * other + 7, TRACE) != pytest.approx(concordance_loss(other, TRACE), rel=1e-2)


def test_a_constant_prediction_of_a_constant_trace_has_a_finite_gradient() -> None:
    prediction = torch.full((5,), 2.0, dtype=torch.float64, requires_grad=True)
    loss = ccc_loss(prediction, torch.full((5,), 2.0, dtype=torch.float64), ONES)["ccc"]
    (gradient,) = torch.autograd.grad(loss, prediction)
    assert gradient.isfinite().all()


def test_an_ordinal_prediction_costs_more_the_further_off_it_is() -> None:
    sure = 20 * torch.eye(4, dtype=torch.float64)
    target = torch.zeros(4, dtype=torch.int64)
    ones = torch.ones(4, dtype=torch.float64)
    costs = [ordinal_target(sure[i : i + 1], target[:1], ones, ones[:1])["ordinal"].item() for i in range(4)]
    assert costs == pytest.approx([0, 1, 2, 3], abs=1e-6)


def test_a_trace_with_several_values_per_step_is_refused() -> None:
    with pytest.raises(LimbeckError, match=r"\(5, 4, 3\).*one value per step"):
        mean_squared_error(torch.zeros(5, 4, 3), torch.zeros(5, 4), torch.ones(5))


@pytest.mark.parametrize("mixed", [False, True])
def test_a_trace_with_steps_has_a_concordance_of_its_own_in_each_window(mixed: bool) -> None:
    rng = np.random.default_rng(3)
    said, truth, weights = rng.normal(size=(5, 7)), rng.normal(size=(5, 7)), np.array([1.0, 0.0, 2.0, 0.5, 1.0])
    expected = 0.0
    for one, other, weight in zip(said, truth, weights, strict=True):
        covariance = ((one - one.mean()) * (other - other.mean())).mean()
        spread = one.var(ddof=mixed) + other.var(ddof=mixed) + (one.mean() - other.mean()) ** 2
        expected += weight * (1.0 - 2.0 * covariance / spread)
    truth[1] = np.nan  # nobody knows it, and it weighs nothing
    tensors = (torch.from_numpy(values) for values in (said, truth, weights))
    assert ccc_loss(*tensors, mixed=mixed)["ccc"].item() == pytest.approx(expected / weights.sum(), rel=1e-6)
