"""The losses against their formulas written in NumPy, and their gradients against finite differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from limbeck.distillation import LOSSES
from limbeck.distillation.losses import (
    expected_class_weights,
    flat,
    hard_target,
    hint,
    mean_squared_error,
    soft_target,
    soft_trace,
    weighted_mean,
)

BATCH, CLASSES, WIDTH = 6, 3, 4
WEIGHTS = np.array([1.0, 0.0, 2.0, 0.5, 0.0, 1.0])
CLASS_WEIGHTS = np.array([0.5, 2.0, 1.5])


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 2, shape)


def log_softmax(x: np.ndarray) -> np.ndarray:
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def mean(values: np.ndarray, weights: np.ndarray) -> float:
    return float((values * weights).sum() / weights.sum())


def tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))


TARGET = np.array([0, 2, 1, 1, 0, 2])

FORMULAS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[np.ndarray], float], tuple[int, int]]] = {
    "hard_target": (
        lambda x: hard_target(x, tensor(TARGET), tensor(CLASS_WEIGHTS), tensor(WEIGHTS))["hard"],
        lambda x: mean(-log_softmax(x)[np.arange(BATCH), TARGET], CLASS_WEIGHTS[TARGET] * WEIGHTS),
        (BATCH, CLASSES),
    ),
    "mean_squared_error": (
        lambda x: mean_squared_error(x, tensor(drawn(BATCH, seed=1)), tensor(WEIGHTS))["hard"],
        lambda x: mean((x[:, 0] - drawn(BATCH, seed=1)) ** 2, WEIGHTS),
        (BATCH, 1),
    ),
    "soft_target": (
        lambda x: soft_target(x, tensor(drawn(BATCH, CLASSES, seed=1)), tensor(WEIGHTS), temperature=3.0)["soft"],
        lambda x: (
            9.0
            * mean(
                (
                    np.exp(log_softmax(drawn(BATCH, CLASSES, seed=1) / 3))
                    * (log_softmax(drawn(BATCH, CLASSES, seed=1) / 3) - log_softmax(x / 3))
                ).sum(axis=1),
                WEIGHTS,
            )
        ),
        (BATCH, CLASSES),
    ),
    "soft_trace": (
        lambda x: soft_trace(x, tensor(drawn(BATCH, 1, seed=1)), tensor(WEIGHTS))["soft"],
        lambda x: mean((x[:, 0] - drawn(BATCH, 1, seed=1)[:, 0]) ** 2, WEIGHTS),
        (BATCH, 1),
    ),
    "hint": (
        lambda x: hint(x, tensor(drawn(BATCH, WIDTH, seed=1)), tensor(WEIGHTS))["hint"],
        lambda x: mean(((x - drawn(BATCH, WIDTH, seed=1)) ** 2).mean(axis=1), WEIGHTS),
        (BATCH, WIDTH),
    ),
}

every_loss = pytest.mark.parametrize("name", FORMULAS)


@every_loss
def test_a_loss_is_its_formula(name: str) -> None:
    loss, formula, shape = FORMULAS[name]

    assert loss(tensor(drawn(*shape))).item() == pytest.approx(formula(drawn(*shape)), rel=1e-12)


@every_loss
def test_a_gradient_is_that_of_finite_differences(name: str) -> None:
    loss, formula, shape = FORMULAS[name]
    x = tensor(drawn(*shape)).requires_grad_()

    (gradient,) = torch.autograd.grad(loss(x), x)

    step = 1e-6
    for place in np.ndindex(*shape):
        up, down = drawn(*shape), drawn(*shape)
        up[place] += step
        down[place] -= step
        slope = (formula(up) - formula(down)) / (2 * step)
        assert gradient[place].item() == pytest.approx(slope, rel=1e-6, abs=1e-8)


@every_loss
def test_a_window_of_weight_zero_is_left_out(name: str) -> None:
    loss, _, shape = FORMULAS[name]
    changed = drawn(*shape)
    changed[WEIGHTS == 0] = 1e3
    x = tensor(changed).requires_grad_()

    value = loss(x)
    (gradient,) = torch.autograd.grad(value, x)

    assert value.item() == pytest.approx(loss(tensor(drawn(*shape))).item(), rel=1e-12)
    assert torch.equal(gradient[tensor(WEIGHTS) == 0], torch.zeros(2, shape[1], dtype=torch.float64))
    assert gradient[tensor(WEIGHTS) > 0].abs().min() > 0


@every_loss
def test_a_loss_runs_over_many_networks_under_vmap(name: str) -> None:
    loss, _, shape = FORMULAS[name]
    many = tensor(drawn(5, *shape))

    together = torch.vmap(loss)(many)

    torch.testing.assert_close(together, torch.stack([loss(one) for one in many]))


def test_a_batch_without_any_weight_has_no_loss_and_no_gradient() -> None:
    x = tensor(drawn(BATCH, CLASSES)).requires_grad_()

    loss = hard_target(x, tensor(TARGET), tensor(CLASS_WEIGHTS), torch.zeros(BATCH, dtype=torch.float64))["hard"]

    assert loss.item() == 0.0
    assert torch.equal(torch.autograd.grad(loss, x)[0], torch.zeros_like(x))


def test_cross_entropy_is_that_of_torch_where_all_windows_count() -> None:
    x = tensor(drawn(BATCH, CLASSES))
    expected = torch.nn.functional.cross_entropy(x, tensor(TARGET), weight=tensor(CLASS_WEIGHTS))

    ones = torch.ones(BATCH, dtype=torch.float64)
    torch.testing.assert_close(hard_target(x, tensor(TARGET), tensor(CLASS_WEIGHTS), ones)["hard"], expected)


def test_the_soft_target_is_zero_with_zero_gradient_where_student_and_teacher_agree() -> None:
    teacher = tensor(drawn(BATCH, CLASSES))
    # Logits that differ by a constant per window are the same probabilities.
    student = (teacher + torch.arange(BATCH, dtype=torch.float64)[:, None]).requires_grad_()

    loss = soft_target(student, teacher, torch.ones(BATCH, dtype=torch.float64), temperature=2.0)["soft"]
    (gradient,) = torch.autograd.grad(loss, student)

    assert loss.item() == pytest.approx(0.0, abs=1e-12)
    assert gradient.abs().max() < 1e-12


def test_the_soft_target_is_positive_where_they_differ() -> None:
    ones = torch.ones(BATCH, dtype=torch.float64)

    assert soft_target(tensor(drawn(BATCH, CLASSES)), tensor(drawn(BATCH, CLASSES, seed=1)), ones)["soft"] > 0.1


def test_the_temperature_squared_keeps_the_size_of_the_gradient() -> None:
    """For small logits the gradient tends to (student - teacher) / classes / batch, whatever the temperature."""
    student, teacher = 0.01 * drawn(BATCH, CLASSES), 0.01 * drawn(BATCH, CLASSES, seed=1)
    student, teacher = (x - x.mean(axis=1, keepdims=True) for x in (student, teacher))
    for temperature in (1.0, 2.0, 8.0):
        x = tensor(student).requires_grad_()
        loss = soft_target(x, tensor(teacher), torch.ones(BATCH, dtype=torch.float64), temperature=temperature)["soft"]
        (gradient,) = torch.autograd.grad(loss, x)
        np.testing.assert_allclose(gradient.numpy(), (student - teacher) / CLASSES / BATCH, rtol=0.2, atol=2e-5)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 8.0])
def test_divergence_and_soft_cross_entropy_have_the_same_gradient(temperature: float) -> None:
    x = tensor(drawn(BATCH, CLASSES)).requires_grad_()
    teacher = tensor(drawn(BATCH, CLASSES, seed=1))
    ones = torch.ones(BATCH, dtype=torch.float64)
    probabilities = (teacher / temperature).softmax(dim=1)
    cross_entropy = -(probabilities * (x / temperature).log_softmax(dim=1)).sum(dim=1).mean() * temperature**2

    (ours,) = torch.autograd.grad(soft_target(x, teacher, ones, temperature=temperature)["soft"], x)

    torch.testing.assert_close(ours, torch.autograd.grad(cross_entropy, x)[0])


def test_the_teacher_is_what_the_student_is_drawn_to_not_the_reverse() -> None:
    """KL(teacher || student): a student that gives no chance to what the teacher thinks possible pays most."""
    sure, open_minded = torch.tensor([[12.0, -12.0]]), torch.tensor([[0.0, 0.0]])
    one = torch.ones(1)

    too_sure = soft_target(sure, open_minded, one, temperature=1.0)["soft"]
    too_open = soft_target(open_minded, sure, one, temperature=1.0)["soft"]

    assert too_sure > 10 > 1 > too_open


def test_extreme_logits_give_a_finite_loss() -> None:
    x = torch.tensor([[500.0, -500.0], [-500.0, 500.0]], requires_grad=True)

    loss = soft_target(x, -x.detach(), torch.ones(2), temperature=1.0)["soft"]

    assert torch.isfinite(loss)
    assert torch.isfinite(torch.autograd.grad(loss, x)[0]).all()


def test_a_window_weighs_what_the_teacher_expects_of_its_class() -> None:
    teacher = torch.tensor([[40.0, 0.0], [0.0, 40.0], [0.0, 0.0]])

    weights = expected_class_weights(teacher, torch.tensor([0.5, 3.0]))

    torch.testing.assert_close(weights, torch.tensor([0.5, 3.0, 1.75]))


def test_weighted_soft_targets_do_not_draw_a_student_to_the_common_class() -> None:
    """Nine windows in ten are of one class, and the student cannot tell them apart.

    Plain soft targets draw it to the common class, as unweighted labels would; weighted ones hardly do.
    """
    teacher = torch.cat([torch.tensor([[4.0, 0.0]]).repeat(90, 1), torch.tensor([[0.0, 4.0]]).repeat(10, 1)]).double()
    class_weights = torch.tensor([100 / 180, 100 / 20]).double()
    answer = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    gradients = {}
    for name, weights in (
        ("plain", torch.ones(100, dtype=torch.float64)),
        ("weighted", expected_class_weights(teacher, class_weights)),
    ):
        loss = soft_target(answer.expand(100, 2), teacher, weights, temperature=1.0)["soft"]
        gradients[name] = torch.autograd.grad(loss, answer)[0].abs().max().item()

    assert gradients["plain"] > 0.3
    assert gradients["weighted"] < 0.05


def test_a_feature_of_any_shape_becomes_a_row_per_window() -> None:
    assert flat(torch.zeros(5, 2, 3)).shape == (5, 6)


def test_a_weighted_mean_weighs() -> None:
    assert weighted_mean(torch.tensor([1.0, 5.0]), torch.tensor([3.0, 1.0])).item() == pytest.approx(2.0)


def test_every_loss_that_a_study_can_name_says_what_it_does_and_has_a_weight() -> None:
    assert set(LOSSES) == {"hard", "soft", "hint"}
    for kind in LOSSES.values():
        assert kind.help
        assert kind.options["weight"] == 1.0
