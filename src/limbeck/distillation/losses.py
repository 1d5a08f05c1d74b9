"""Losses of one batch of one network, as pure functions that ``torch.vmap`` can carry over many networks.

Every function takes tensors of one batch and a weight per window (0 leaves a window out; no boolean indexing) and
returns a dict of named terms. `LOSSES` is what a study can name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

__all__ = [
    "LOSSES",
    "LossKind",
    "expected_class_weights",
    "hard_target",
    "hint",
    "mean_squared_error",
    "soft_target",
    "weighted_mean",
]


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean of `values` (batch,); 0 when all weights are 0."""
    return (values * weights).sum() / weights.sum().clamp_min(1e-12)


def hard_target(logits: Tensor, target: Tensor, class_weights: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Cross-entropy with the labels, weighted by class.

    Parameters
    ----------
    logits : Tensor of shape (batch, n_classes)
        The student's logits.
    target : Tensor of shape (batch,), int64
        Class codes; any valid code where the weight is 0.
    class_weights : Tensor of shape (n_classes,)
        Weight of each class.
    weights : Tensor of shape (batch,)
        Weight of each window; 0 for unlabelled ones.

    Returns
    -------
    dict
        ``hard``: the mean over windows, weighted by class weight times window weight.
    """
    log_probabilities = functional.log_softmax(logits, dim=-1)
    picked = -log_probabilities.gather(-1, target[:, None])[:, 0]
    return {"hard": weighted_mean(picked, class_weights[target] * weights)}


def mean_squared_error(prediction: Tensor, target: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Squared error of a trace: `prediction` (batch, 1) against `target` (batch,)."""
    return {"hard": weighted_mean((prediction[:, 0] - target) ** 2, weights)}


def expected_class_weights(teacher: Tensor, class_weights: Tensor) -> Tensor:
    """Return the class weight (batch,) that a teacher's probabilities make one expect of each window.

    A teacher that was trained with class weights speaks as if the classes were balanced. A student that took its word
    over windows that are not balanced would learn the imbalance back in; weighing every window by the classes that the
    teacher sees in it keeps soft targets on the scale of the hard loss.
    """
    return (functional.softmax(teacher, dim=-1) * class_weights).sum(dim=-1)


def soft_target(logits: Tensor, teacher: Tensor, weights: Tensor, *, temperature: float = 2.0) -> dict[str, Tensor]:
    """Kullback-Leibler divergence from the teacher's softened probabilities, times the temperature squared.

    Parameters
    ----------
    logits, teacher : Tensor of shape (batch, n_classes)
        Logits of student and teacher.
    weights : Tensor of shape (batch,)
        Weight of each window.
    temperature : float
        Both logits are divided by it. The factor T² keeps the size of the gradient independent of it.

    Returns
    -------
    dict
        ``soft``: T² · mean KL(softmax(teacher / T) ‖ softmax(logits / T)).

    References
    ----------
    Hinton, Vinyals, Dean, Distilling the knowledge in a neural network, arXiv:1503.02531, 2015.
    """
    log_student = functional.log_softmax(logits / temperature, dim=-1)
    log_teacher = functional.log_softmax(teacher / temperature, dim=-1)
    divergence = (log_teacher.exp() * (log_teacher - log_student)).sum(dim=-1)
    return {"soft": temperature**2 * weighted_mean(divergence, weights)}


def soft_trace(prediction: Tensor, teacher: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Squared distance from the teacher's trace: `prediction` and `teacher` (batch, 1)."""
    return {"soft": weighted_mean((prediction[:, 0] - teacher[:, 0]) ** 2, weights)}


def hint(projected: Tensor, teacher: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Mean squared distance between a projected feature of the student and a feature of the teacher.

    Parameters
    ----------
    projected : Tensor of shape (batch, width)
        The student's feature through its projector.
    teacher : Tensor of shape (batch, width)
        The teacher's feature.
    weights : Tensor of shape (batch,)
        Weight of each window.

    Returns
    -------
    dict
        ``hint``: mean over windows of the mean squared difference.

    References
    ----------
    Romero et al., FitNets: hints for thin deep nets, ICLR 2015.
    """
    return {"hint": weighted_mean(((projected - teacher) ** 2).mean(dim=-1), weights)}


@dataclass(frozen=True)
class LossKind:
    """What a study may say about one loss.

    Attributes
    ----------
    help : str
        One line.
    options : mapping
        Options with their defaults; None means that it must be given.
    needs : str
        What it takes of the teacher: ``""``, ``"logits"`` or ``"features"``.
    """

    help: str
    options: Mapping[str, float | str | None]
    needs: str = ""


LOSSES: Mapping[str, LossKind] = {
    "hard": LossKind("cross-entropy with the labels (squared error for a trace)", {"weight": 1.0}),
    "soft": LossKind(
        "Hinton's soft target: T² times the divergence from the teacher's softened probabilities",
        {"weight": 1.0, "temperature": 2.0},
        needs="logits",
    ),
    "hint": LossKind(
        "squared distance from a named feature of the teacher, through a linear projector on the student's",
        {"weight": 1.0, "teacher": None, "student": None},
        needs="features",
    ),
}


def flat(feature: Tensor) -> Tensor:
    """Return a feature as (batch, width)."""
    return torch.flatten(feature, start_dim=1)
