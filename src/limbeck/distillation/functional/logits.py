"""Losses on what two networks predict: softened probabilities, decisions and traces."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor

from limbeck.distillation.functional.labels import hard_target, mean_squared_error
from limbeck.distillation.functional.weighting import NEVER, both_steps, known, mean_over, one_of_n, weighted_mean
from limbeck.errors import LimbeckError, did_you_mean

__all__ = [
    "consistency",
    "decoupled",
    "expected_class_weights",
    "gated_mixture",
    "mutual",
    "ordinal_soft",
    "pseudo_label",
    "soft_cross_entropy",
    "soft_target",
    "soft_trace",
]

NORMS = ("l2", "l1")


def expected_class_weights(teacher: Tensor, class_weights: Tensor) -> Tensor:
    """Return the class weight (batch,) that a teacher's probabilities make one expect of each window.

    A teacher that was trained with class weights speaks as if the classes were balanced. A student that took its word
    over windows that are not balanced would learn the imbalance back in; weighing every window by the classes that the
    teacher sees in it keeps soft targets on the scale of the hard loss.

    Parameters
    ----------
    teacher : Tensor of shape (batch, n_classes)
        The teacher's logits.
    class_weights : Tensor of shape (n_classes,)
        Weight of each class.
    """
    return (functional.softmax(teacher, dim=-1) * class_weights).sum(dim=-1)


def soft_target(
    student: Tensor,
    teacher: Tensor,
    weights: Tensor,
    *,
    temperature: float = 2.0,
    student_temperature: float | None = None,
    scale: bool = True,
    reverse: bool = False,
) -> dict[str, Tensor]:
    """Kullback-Leibler divergence from the teacher's softened probabilities, times the temperature squared.

    Parameters
    ----------
    student, teacher : Tensor of shape (batch, n_classes)
        Logits.
    weights : Tensor of shape (batch,)
        Weight of each window.
    temperature : float
        Both logits are divided by it.
    student_temperature : float, optional
        Of the student alone, where only the teacher is softened (snapshot distillation: 1).
    scale : bool
        Multiply by the student's temperature squared, which keeps the size of the gradient independent of it. Published
        code of SDT and of densely guided distillation leaves it out (False).
    reverse : bool
        KL(student ‖ teacher), as the published code of densely guided distillation has it with its arguments swapped.

    Returns
    -------
    dict
        ``soft``: T² · mean KL(softmax(teacher / T) ‖ softmax(student / T)).

    References
    ----------
    Hinton, Vinyals, Dean, Distilling the knowledge in a neural network, arXiv:1503.02531, 2015.
    """
    own = temperature if student_temperature is None else student_temperature
    log_student = functional.log_softmax(student / own, dim=-1)
    log_teacher = functional.log_softmax(known(teacher, weights) / temperature, dim=-1)
    divergence = _divergence(log_student, log_teacher) if reverse else _divergence(log_teacher, log_student)
    return {"soft": (own**2 if scale else 1.0) * weighted_mean(divergence, weights)}


def soft_cross_entropy(
    student: Tensor, teacher: Tensor, weights: Tensor, *, temperature: float = 2.0
) -> dict[str, Tensor]:
    """Cross-entropy with the teacher's softened probabilities, times the temperature squared.

    It lies above `soft_target` by the teacher's entropy and has the same gradient.

    Parameters
    ----------
    student, teacher : Tensor of shape (batch, n_classes)
        Logits.
    weights : Tensor of shape (batch,)
        Weight of each window.
    temperature : float
        Both logits are divided by it.

    Returns
    -------
    dict
        ``soft``: -T² · mean Σ_k p_teacher log p_student.
    """
    log_student = functional.log_softmax(student / temperature, dim=-1)
    probabilities = functional.softmax(known(teacher, weights) / temperature, dim=-1)
    return {"soft": temperature**2 * weighted_mean(-(probabilities * log_student).sum(dim=-1), weights)}


def decoupled(
    student: Tensor,
    teacher: Tensor,
    target: Tensor,
    weights: Tensor,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    temperature: float = 4.0,
    as_released: bool = False,
) -> dict[str, Tensor]:
    """Soft targets in two parts of free weight: how sure of the class, and which of the other classes.

    Parameters
    ----------
    student, teacher : Tensor of shape (batch, n_classes)
        Logits.
    target : Tensor of shape (batch,), int64
        The class that is set apart: the label, or the teacher's decision where there is none.
    weights : Tensor of shape (batch,)
        Weight of each window.
    alpha, beta : float
        Weights of the two parts. Plain soft targets are alpha = 1, beta = 1 - the teacher's probability of the class.
    temperature : float
        Both logits are divided by it.
    as_released : bool
        Of the first divergence, p log(p / q) + (1 - p) log((1 - p) / (1 - q)) for the probabilities p and q that
        teacher and student give the class, keep the first half alone, as the released code of a follow-up on emotion
        does. It has no minimum at q = p: it falls on as q grows, below 0.

    Returns
    -------
    dict
        ``decoupled_class``: alpha · T² · KL between the probabilities of the class and of all others together;
        ``decoupled_others``: beta · T² · KL between the distributions over the other classes, 0 with two classes.

    References
    ----------
    Zhao et al., Decoupled knowledge distillation, CVPR 2022.
    """
    taken = one_of_n(target, student.shape[-1], student).bool()
    log_student = functional.log_softmax(student / temperature, dim=-1)
    log_teacher = functional.log_softmax(known(teacher, weights) / temperature, dim=-1)
    class_student, others_student = _set_apart(log_student, taken)
    class_teacher, others_teacher = _set_apart(log_teacher, taken)
    if as_released:
        class_teacher, class_student = class_teacher[:, :1], class_student[:, :1]
    return {
        "decoupled_class": alpha * temperature**2 * weighted_mean(_divergence(class_teacher, class_student), weights),
        "decoupled_others": beta * temperature**2 * weighted_mean(_divergence(others_teacher, others_student), weights),
    }


def pseudo_label(
    student: Tensor,
    teacher: Tensor,
    weights: Tensor,
    *,
    threshold: float = 0.0,
    by_confidence: bool = False,
) -> dict[str, Tensor]:
    """Cross-entropy with the teacher's decisions, as if they were labels.

    Parameters
    ----------
    student, teacher : Tensor of shape (batch, n_classes)
        Logits.
    weights : Tensor of shape (batch,)
        Weight of each window.
    threshold : float
        Windows that the teacher gives a lower probability than this are left out.
    by_confidence : bool
        Weigh windows by the teacher's probability of its decision.

    Returns
    -------
    dict
        ``pseudo``: the mean over the windows that remain; 0 when none does.
    """
    confidence, decision = functional.softmax(known(teacher, weights), dim=-1).max(dim=-1)
    kept = weights * (confidence >= threshold).to(weights)
    if by_confidence:
        kept = kept * confidence
    return {"pseudo": hard_target(student, decision, student.new_ones(student.shape[-1]), kept)["hard"]}


def ordinal_soft(student: Tensor, teacher: Tensor, weights: Tensor, *, temperature: float = 1.0) -> dict[str, Tensor]:
    """Squared earth mover's distance between the softened distributions over classes in an order.

    Parameters
    ----------
    student, teacher : Tensor of shape (batch, n_classes)
        Logits, classes in their order.
    weights : Tensor of shape (batch,)
        Weight of each window.
    temperature : float
        Both logits are divided by it.

    Returns
    -------
    dict
        ``ordinal_soft``: T² · mean Σ_k (difference of the cumulative distributions at class k)².
    """
    gap = functional.softmax(student / temperature, dim=-1) - functional.softmax(
        known(teacher, weights) / temperature, dim=-1
    )
    return {"ordinal_soft": temperature**2 * weighted_mean(gap.cumsum(dim=-1).square().sum(dim=-1), weights)}


def soft_trace(student: Tensor, teacher: Tensor, weights: Tensor, *, norm: str = "l2") -> dict[str, Tensor]:
    """Distance from the teacher's trace.

    Parameters
    ----------
    student, teacher : Tensor of shape (batch,), (batch, steps) or (batch, steps, 1)
        One value per window, or one per step.
    weights : Tensor of shape (batch,)
        Weight of each window.
    norm : str
        ``l2`` for the squared, ``l1`` for the absolute difference.

    Returns
    -------
    dict
        ``soft``: the weighted mean.

    Raises
    ------
    LimbeckError
        For another norm.
    """
    if norm not in NORMS:
        raise LimbeckError(f"There is no norm '{norm}' of a trace's distance.{did_you_mean(norm, NORMS)}")
    if norm == "l2":
        return {"soft": mean_squared_error(student, teacher, weights)["hard"]}
    student, teacher = both_steps(student, known(teacher, weights))
    return {"soft": mean_over((student - teacher).abs(), weights)}


def consistency(student: Tensor, teacher: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Mean squared difference of the probabilities, as between a student and the moving average of itself.

    Parameters
    ----------
    student, teacher : Tensor of shape (batch, n_classes)
        Logits.
    weights : Tensor of shape (batch,)
        Weight of each window.

    Returns
    -------
    dict
        ``consistency``: the mean over windows and classes.

    References
    ----------
    Tarvainen, Valpola, Mean teachers are better role models, NeurIPS 2017.
    """
    gap = functional.softmax(student, dim=-1) - functional.softmax(known(teacher, weights), dim=-1)
    return {"consistency": mean_over(gap.square(), weights)}


def mutual(
    student: Tensor,
    others: Sequence[Tensor],
    weights: Tensor | Sequence[Tensor],
    *,
    temperature: float = 1.0,
    average: bool = True,
) -> dict[str, Tensor]:
    """Mean divergence of one network from each of those that it learns with.

    Parameters
    ----------
    student : Tensor of shape (batch, n_classes)
        Logits of the network that is moved.
    others : sequence of Tensor of shape (batch, n_classes)
        Logits of the other networks, at least one; detached here.
    weights : Tensor of shape (batch,) or sequence of them
        Weight of each window, for all of the others or for each.
    temperature : float
        All logits are divided by it; the loss is multiplied by its square.
    average : bool
        Divide by the number of the others. The published code adds them up (False).

    Returns
    -------
    dict
        ``mutual``: the mean over the others j of KL(p_j ‖ p_student).

    Raises
    ------
    LimbeckError
        When there is no other network.

    References
    ----------
    Zhang, Xiang, Hospedales, Lu, Deep mutual learning, CVPR 2018.
    """
    if not others:
        raise LimbeckError("Mutual learning takes at least 2 networks; found 1. Add a member.")
    of_each = [weights] * len(others) if isinstance(weights, Tensor) else list(weights)
    terms = [
        soft_target(student, other.detach(), own, temperature=temperature)["soft"]
        for other, own in zip(others, of_each, strict=True)
    ]
    total = torch.stack(terms).sum()
    return {"mutual": total / len(others) if average else total}


def gated_mixture(said: Tensor, gate: Tensor) -> Tensor:
    """Return what several networks say together, in proportions that a gate gives each window.

    Parameters
    ----------
    said : Tensor of shape (batch, n_networks, n_outputs)
        Logits, or values of a trace.
    gate : Tensor of shape (batch, n_networks)
        Logits of the gate; the proportions are their softmax.

    Returns
    -------
    Tensor of shape (batch, n_outputs)

    Raises
    ------
    LimbeckError
        When the gate has not one output per network.

    References
    ----------
    Lan, Zhu, Gong, Knowledge distillation by on-the-fly native ensemble, NeurIPS 2018.
    """
    if gate.shape[-1] != said.shape[1]:
        raise LimbeckError(f"The gate has {gate.shape[-1]} outputs for {said.shape[1]} networks; expected as many.")
    return (functional.softmax(gate, dim=-1)[..., None] * said).sum(dim=1)


def _divergence(log_first: Tensor, log_second: Tensor) -> Tensor:
    """Return KL(first ‖ second) along the last axis, from logarithms of probabilities."""
    return (log_first.exp() * (log_first - log_second)).sum(dim=-1)


def _set_apart(log_probabilities: Tensor, taken: Tensor) -> tuple[Tensor, Tensor]:
    """Return log (p, 1 - p) of the class that is taken (batch, 2), and the log distribution over the other classes."""
    others = torch.where(taken, NEVER, log_probabilities)
    rest = others.logsumexp(dim=-1)
    of_class = torch.where(taken, log_probabilities, 0.0).sum(dim=-1)
    return torch.stack([of_class, rest], dim=-1), torch.where(taken, NEVER, others - rest[:, None])
