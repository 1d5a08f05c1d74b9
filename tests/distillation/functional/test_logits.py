"""Losses on predictions: what temperature, parts and detached sides do to gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from limbeck.distillation.functional import (
    decoupled,
    expected_class_weights,
    gated_mixture,
    mutual,
    pseudo_label,
    soft_cross_entropy,
    soft_target,
    soft_trace,
)
from limbeck.errors import LimbeckError


def logits(seed: int, classes: int = 4, windows: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(windows, classes, generator=generator, dtype=torch.float64).requires_grad_()


ONES = torch.ones(6, dtype=torch.float64)
TARGET = torch.tensor([0, 1, 2, 3, 1, 0])


def gradient(loss: Tensor, of: Tensor) -> Tensor:
    return torch.autograd.grad(loss, of, retain_graph=True)[0]


def test_equal_logits_are_no_divergence_and_no_gradient() -> None:
    student = logits(0)
    loss = soft_target(student, student.detach(), ONES, temperature=3.0)["soft"]
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert gradient(loss, student).abs().max() < 1e-12


def test_the_size_of_the_gradient_hardly_depends_on_the_temperature_when_scaled() -> None:
    student, teacher = (0.3 * logits(seed).detach() for seed in (1, 2))
    student.requires_grad_()
    sizes, unscaled = [], []
    for temperature in (1.0, 2.0, 8.0):
        loss = soft_target(student, teacher, ONES, temperature=temperature)["soft"]
        plain = soft_target(student, teacher, ONES, temperature=temperature, scale=False)["soft"]
        sizes.append(gradient(loss, student).norm().item())
        unscaled.append(gradient(plain, student).norm().item())
    assert sizes == pytest.approx([sizes[0]] * 3, rel=0.1)
    assert unscaled[2] == pytest.approx(sizes[2] / 64)


def test_soft_cross_entropy_has_the_gradient_of_the_divergence_and_lies_above_it() -> None:
    student, teacher = logits(1), logits(2).detach()
    divergence = soft_target(student, teacher, ONES, temperature=3.0)["soft"]
    entropy = soft_cross_entropy(student, teacher, ONES, temperature=3.0)["soft"]
    assert entropy > divergence
    torch.testing.assert_close(gradient(entropy, student), gradient(divergence, student))


def test_the_parts_of_the_decoupled_loss_make_up_the_divergence() -> None:
    student, teacher = logits(1, windows=1), logits(2, windows=1)
    sure = torch.softmax(teacher / 2, dim=1)[0, 3].item()
    parts = decoupled(student, teacher, TARGET[3:4], ONES[:1], alpha=1.0, beta=1.0 - sure, temperature=2.0)
    whole = soft_target(student, teacher, ONES[:1], temperature=2.0)["soft"]
    torch.testing.assert_close(parts["decoupled_class"] + parts["decoupled_others"], whole)


def test_two_classes_leave_nothing_to_tell_of_the_other_classes() -> None:
    student = logits(1, classes=2)
    terms = decoupled(student, logits(2, classes=2), TARGET % 2, ONES)
    assert terms["decoupled_class"] > 0
    assert terms["decoupled_others"].item() == 0
    assert not gradient(terms["decoupled_others"], student).any()


def test_pseudo_labels_below_the_threshold_teach_nothing() -> None:
    student, teacher = logits(1), logits(2)
    assert pseudo_label(student, teacher, ONES, threshold=0.0)["pseudo"] > 0
    loss = pseudo_label(student, teacher, ONES, threshold=1.1)["pseudo"]
    assert loss.item() == 0
    assert not gradient(loss, student).any()


def test_two_networks_that_learn_from_each_other_may_change_places() -> None:
    first, second = logits(1), logits(2)
    own = mutual(first, [second], ONES)["mutual"]
    torch.testing.assert_close(own, soft_target(first, second, ONES, temperature=1.0)["soft"])
    assert torch.autograd.grad(own, second, allow_unused=True)[0] is None
    swapped = [mutual(one, [other], ONES)["mutual"] for one, other in ((second, first), (first, second))]
    torch.testing.assert_close(swapped[1], own)


def test_learning_from_many_is_their_mean_or_as_published_their_sum() -> None:
    own, others = logits(1), [logits(2), logits(3), logits(4)]
    mean = mutual(own, others, ONES)["mutual"]
    torch.testing.assert_close(mean, sum(mutual(own, [other], ONES)["mutual"] for other in others) / 3)
    torch.testing.assert_close(mutual(own, others, ONES, average=False)["mutual"], 3 * mean)
    with pytest.raises(LimbeckError, match="at least 2 networks"):
        mutual(own, [], ONES)


def test_a_mixture_lies_between_what_is_mixed_and_a_sure_gate_chooses() -> None:
    said = torch.stack([logits(seed).detach() for seed in (1, 2, 3)], dim=1)
    gate = torch.zeros(6, 3, dtype=torch.float64)
    torch.testing.assert_close(gated_mixture(said, gate), said.mean(dim=1))
    gate[:, 2] = 50.0
    torch.testing.assert_close(gated_mixture(said, gate), said[:, 2])
    with pytest.raises(LimbeckError, match="3 outputs for 2 networks"):
        gated_mixture(said[:, :2], gate)


def test_the_released_half_of_the_first_divergence_pushes_past_the_teacher() -> None:
    teacher = logits(2).detach()
    student = teacher.clone().requires_grad_()
    whole, half = (
        decoupled(student, teacher, TARGET, ONES, as_released=released)["decoupled_class"] for released in (False, True)
    )
    assert gradient(whole, student).abs().max() < 1e-12
    own = gradient(half, student).gather(1, TARGET[:, None])
    assert (own < 0).all(), "the class is raised although student and teacher agree"


def test_class_weights_are_expected_under_the_teacher() -> None:
    sure = torch.tensor([[50.0, 0.0], [0.0, 50.0], [0.0, 0.0]])
    torch.testing.assert_close(expected_class_weights(sure, torch.tensor([1.0, 3.0])), torch.tensor([1.0, 3.0, 2.0]))


def test_an_unknown_norm_is_refused_with_the_known_ones() -> None:
    with pytest.raises(LimbeckError, match=r"'l3'.*Allowed: l1, l2"):
        soft_trace(torch.zeros(6, 1), torch.zeros(6, 1), ONES, norm="l3")
