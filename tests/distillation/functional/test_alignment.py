"""Distances between clouds, and the reversed gradient."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from limbeck.distillation.functional import (
    adversarial,
    adversarial_ramp,
    coral,
    mmd,
    reverse_gradient,
    similarity_transport,
    sinkhorn_divergence,
)
from limbeck.errors import LimbeckError


def cloud(seed: int, windows: int = 10, width: int = 3) -> Tensor:
    return torch.randn(windows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


ONES = torch.ones(10, dtype=torch.float64)


def transport(student: Tensor, teacher: Tensor, **options: Any) -> Tensor:
    return sinkhorn_divergence(student, teacher, ONES, **options)["sinkhorn"]


def test_transport_is_zero_for_one_cloud_in_any_order_symmetric_and_positive_otherwise() -> None:
    first, second = cloud(1), cloud(2)
    assert transport(first, first).item() == pytest.approx(0, abs=1e-9)
    assert transport(first, first.flip(0)).item() == pytest.approx(0, abs=1e-6)
    torch.testing.assert_close(transport(first, second), transport(second, first))
    assert transport(first, second) > 0.05


def test_transport_with_little_blur_is_the_cost_of_the_best_matching() -> None:
    first, second = cloud(1), cloud(2) + 1.0
    cost = 0.5 * torch.cdist(first, second).square().numpy()
    best = cost[linear_sum_assignment(cost)].mean()
    assert transport(first, second).item() == pytest.approx(best, rel=0.02)


def test_transport_of_a_moved_cloud_pulls_every_window_back() -> None:
    first = cloud(1)
    shift = torch.tensor([0.5, 0.0, -1.0], dtype=torch.float64)
    moved = (first + shift).requires_grad_()
    loss = transport(moved, first)
    assert loss.item() == pytest.approx(0.5 * shift.square().sum().item(), rel=0.02)
    (gradient,) = torch.autograd.grad(loss, moved)
    torch.testing.assert_close(gradient.sum(dim=0), shift, rtol=1e-2, atol=1e-3)


def test_transport_in_single_precision_of_far_clouds_stays_finite() -> None:
    student = (1e3 * cloud(1).float()).requires_grad_()
    loss = sinkhorn_divergence(student, cloud(2).float(), ONES.float())["sinkhorn"]
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss.isfinite()
    assert gradient.isfinite().all()


def test_transport_of_similarities_is_zero_for_like_geometry() -> None:
    feature = cloud(1)
    turned = feature @ torch.linalg.qr(cloud(3, 3))[0]
    terms = similarity_transport(turned, feature, ONES, anchors=4, centroid=1.0)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        {"transport": 0, "transport_centroid": 0}, abs=1e-9
    )
    assert similarity_transport(cloud(2), feature, ONES, anchors=4)["transport"] > 1e-3


@pytest.mark.parametrize("kernel", ["multi", "gammas"])
def test_discrepancy_is_zero_for_identical_samples_and_positive_otherwise(kernel: str) -> None:
    first = cloud(1)
    assert mmd(first, first.flip(0), ONES, kernel=kernel)["mmd"].item() == pytest.approx(0, abs=1e-12)
    near, far = (mmd(first + shift, first, ONES, kernel=kernel)["mmd"].item() for shift in (0.5, 2.0))
    assert 0 < near < far


def test_the_width_of_the_kernels_follows_the_data_without_a_gradient_of_its_own() -> None:
    student, teacher = cloud(1).requires_grad_(), cloud(2)
    torch.testing.assert_close(mmd(10 * student, 10 * teacher, ONES)["mmd"], mmd(student, teacher, ONES)["mmd"])
    both = torch.cat([student, teacher]).detach()
    width = torch.cdist(both, both).square().sum() / (20 * 19)

    def with_fixed_width(x: Tensor) -> Tensor:
        def expected(a: Tensor, b: Tensor) -> Tensor:
            squared = (a[:, None] - b[None, :]).square().sum(dim=2)
            return sum((torch.exp(-squared / (width * 2.0 ** (i - 2))) for i in range(5)), torch.zeros(())).mean()

        return expected(x, x) + expected(teacher, teacher) - 2 * expected(x, teacher)

    found = torch.autograd.grad(mmd(student, teacher, ONES)["mmd"], student)[0]
    torch.testing.assert_close(found, torch.autograd.grad(with_fixed_width(student), student)[0])


def test_an_unknown_kernel_is_refused_with_the_known_ones() -> None:
    with pytest.raises(LimbeckError, match="Did you mean 'multi'"):
        mmd(cloud(1), cloud(2), ONES, kernel="mult")


def test_moments_tell_a_shift_from_a_stretch() -> None:
    first = cloud(1)
    shifted = coral(first + 1, first, ONES)
    assert shifted["coral_mean"].item() == pytest.approx(1)
    assert shifted["coral_covariance"].item() == pytest.approx(0, abs=1e-12)
    centred = first - first.mean(dim=0)
    stretched = coral(2 * centred, centred, ONES)
    assert stretched["coral_mean"].item() == pytest.approx(0, abs=1e-12)
    assert stretched["coral_covariance"] > 0.01


@pytest.mark.parametrize("strength", [0.0, 0.3, torch.tensor(0.7, dtype=torch.float64)])
def test_the_gradient_is_reversed_and_scaled(strength: float | Tensor) -> None:
    x = cloud(1).requires_grad_()
    reversed_ = reverse_gradient(x, strength)
    torch.testing.assert_close(reversed_, x)
    (gradient,) = torch.autograd.grad(reversed_.square().sum(), x)
    torch.testing.assert_close(gradient, -float(strength) * 2 * x.detach())


def test_the_gradient_is_reversed_in_many_networks_each_with_its_own_strength() -> None:
    x = torch.stack([cloud(1), cloud(2)])
    strengths = torch.tensor([0.5, 1.0], dtype=torch.float64)

    def loss(x: Tensor, strength: Tensor) -> Tensor:
        return reverse_gradient(x, strength).square().sum()

    gradients = torch.vmap(torch.func.grad(loss))(x, strengths)
    torch.testing.assert_close(gradients, -2 * strengths[:, None, None] * x)


def test_the_ramp_begins_at_zero_and_ends_near_one() -> None:
    ramp = [adversarial_ramp(torch.tensor(progress)).item() for progress in (0.0, 0.1, 0.5, 1.0)]
    assert ramp == sorted(ramp)
    assert ramp[0] == 0
    assert ramp[1] == pytest.approx(math.tanh(0.5))
    assert ramp[3] == pytest.approx(1, abs=1e-3)


def test_a_discriminator_that_cannot_tell_costs_log_two() -> None:
    undecided = torch.zeros(10)
    assert adversarial(undecided, undecided[:, None], torch.ones(10))["adversarial"].item() == pytest.approx(
        math.log(2)
    )
    assert adversarial(undecided - 9, undecided + 9, torch.ones(10))["adversarial"].item() < 1e-3
