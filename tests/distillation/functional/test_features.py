"""Losses on features: what is refused, and where a learned variance starts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from limbeck.distillation.functional import attention_transfer, cosine, hint, l1, raw_variance, vid
from limbeck.errors import LimbeckError

ONES = torch.ones(4)


@pytest.mark.parametrize("loss", [cosine, hint, l1])
def test_features_of_different_widths_are_refused_before_they_are_broadcast(
    loss: Callable[..., dict[str, Tensor]],
) -> None:
    with pytest.raises(LimbeckError, match=r"\(4, 1\).*\(4, 6\).*map"):
        loss(torch.zeros(4, 1), torch.zeros(4, 6), ONES)


def test_cosine_sees_directions_only() -> None:
    feature = torch.randn(4, 3, 5)
    assert cosine(feature, 7 * feature, ONES)["cosine"].item() == pytest.approx(0, abs=1e-6)
    assert cosine(feature, -feature, ONES)["cosine"].item() == pytest.approx(2, abs=1e-6)


def test_attention_ignores_the_scale_and_the_order_of_channels() -> None:
    feature = torch.randn(4, 3, 8)
    assert attention_transfer(5 * feature[:, [2, 0, 1]], feature, ONES)["attention"].item() == pytest.approx(
        0, abs=1e-9
    )
    assert attention_transfer(feature.flip(2), feature, ONES)["attention"].item() > 1e-4


def test_attention_of_a_longer_student_is_averaged_down_to_the_teacher() -> None:
    feature = torch.rand(4, 3, 5) + 0.5
    stretched = feature.repeat_interleave(3, dim=2)
    assert attention_transfer(stretched, feature, ONES)["attention"].item() == pytest.approx(0, abs=1e-9)


def test_attention_of_vectors_and_unequal_channels_is_refused_with_what_would_work() -> None:
    with pytest.raises(LimbeckError) as error:
        attention_transfer(torch.zeros(4, 3), torch.zeros(4, 3), ONES, form="tine")
    assert str(error.value).count("(3,)") == 2
    assert "Did you mean 'time'" in str(error.value)
    with pytest.raises(LimbeckError, match="the student has 3, the teacher 2"):
        attention_transfer(torch.zeros(4, 3, 5), torch.zeros(4, 2, 5), ONES, form="channel")


def test_the_learned_variance_starts_where_it_is_asked_to_and_is_learned() -> None:
    start = torch.full((6,), raw_variance(5.0), requires_grad=True)
    mean, teacher = torch.zeros(4, 6), torch.full((4, 6), 3.0)
    loss = vid(mean, teacher, ONES, variance=start)["vid"]
    assert loss.item() == pytest.approx((9 / 5 + torch.tensor(5.0).log().item()) / 2, rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, start)
    assert (gradient < 0).all(), "an error of 3 asks for a variance above 5"
    with pytest.raises(LimbeckError, match="above"):
        raw_variance(0.0)
