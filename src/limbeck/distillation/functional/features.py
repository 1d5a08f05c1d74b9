"""Losses that compare a feature of the student with one of the teacher, window by window and element by element.

Features are vectors (batch, width) or maps (batch, channels, time). Those of different shapes go through a map of
:mod:`limbeck.distillation.functional.maps` first.
"""

from __future__ import annotations

import math

import torch.nn.functional as functional
from torch import Tensor

from limbeck.distillation.functional.weighting import (
    flat,
    known,
    mean_over,
    resize_matrix,
    same_shape,
    unit_rows,
    weighted_mean,
)
from limbeck.errors import LimbeckError, did_you_mean

__all__ = ["attention_transfer", "cosine", "hint", "l1", "raw_variance", "vid"]

FORMS = {"time": 1, "channel": 2}
"""What attention runs over, and the axis of a map that is averaged away for it."""

LEAST_VARIANCE = 1e-5


def cosine(student: Tensor, teacher: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """One minus the cosine between the features.

    Parameters
    ----------
    student, teacher : Tensor of shape (batch, width) or (batch, channels, time)
        Features of one shape; flattened.
    weights : Tensor of shape (batch,)
        Weight of each window.

    Returns
    -------
    dict
        ``cosine``: the mean over windows, in [0, 2].
    """
    taught = known(teacher, weights)
    same_shape(student, taught, "cosine")
    return {"cosine": weighted_mean(1.0 - (unit_rows(student) * unit_rows(taught)).sum(dim=1), weights)}


def hint(student: Tensor, teacher: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Mean squared distance between a mapped feature of the student and a feature of the teacher.

    Parameters
    ----------
    student, teacher : Tensor of shape (batch, width) or (batch, channels, time)
        Features of one shape.
    weights : Tensor of shape (batch,)
        Weight of each window.

    Returns
    -------
    dict
        ``hint``: mean over windows and elements of the squared difference.

    References
    ----------
    Romero et al., FitNets: hints for thin deep nets, ICLR 2015.
    """
    taught = known(teacher, weights)
    same_shape(student, taught, "hint")
    return {"hint": mean_over((student - taught).square(), weights)}


def l1(student: Tensor, teacher: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Mean absolute distance between the features.

    Parameters
    ----------
    student, teacher : Tensor of shape (batch, width) or (batch, channels, time)
        Features of one shape.
    weights : Tensor of shape (batch,)
        Weight of each window.

    Returns
    -------
    dict
        ``l1``: mean over windows and elements of the absolute difference.

    References
    ----------
    Zhang, Tang, Guan, Visual-to-EEG cross-modal knowledge distillation for continuous emotion recognition, Pattern
    Recognition 130, 2022.
    """
    taught = known(teacher, weights)
    same_shape(student, taught, "l1")
    return {"l1": mean_over((student - taught).abs(), weights)}


def attention_transfer(student: Tensor, teacher: Tensor, weights: Tensor, *, form: str = "time") -> dict[str, Tensor]:
    """Squared difference of where the two networks are active.

    Attention is the mean of the squared activations, over channels (form ``time``) or over time (form ``channel``), as
    a vector of length 1. Along time, the longer one is averaged down to the shorter.

    Parameters
    ----------
    student, teacher : Tensor of shape (batch, channels, time)
        Features; their numbers of channels may differ in the form ``time``, their lengths in both.
    weights : Tensor of shape (batch,)
        Weight of each window.
    form : str
        ``time`` or ``channel``.

    Returns
    -------
    dict
        ``attention``: mean over windows and places of the squared difference.

    Raises
    ------
    LimbeckError
        For features that are no maps, or different numbers of channels in the form ``channel``.

    References
    ----------
    Zagoruyko, Komodakis, Paying more attention to attention, ICLR 2017.
    """
    mistakes = []
    if form not in FORMS:
        mistakes.append(f"There is no form of attention '{form}'.{did_you_mean(form, FORMS)}")
    for whose, feature in (("student", student), ("teacher", teacher)):
        if feature.ndim != 3:
            mistakes.append(
                f"Attention transfer takes maps (channels, time); the {whose}'s feature has shape "
                f"{tuple(feature.shape[1:])}. Name a feature before the network flattens it, or use cosine or hint."
            )
    if not mistakes and form == "channel" and student.shape[1] != teacher.shape[1]:
        mistakes.append(
            f"Attention over channels takes as many of them; the student has {student.shape[1]}, the teacher "
            f"{teacher.shape[1]}. Use the form 'time', or a map 'conv'."
        )
    if mistakes:
        raise LimbeckError("\n".join(mistakes))
    own = student.square().mean(dim=FORMS[form])
    taught = known(teacher, weights).square().mean(dim=FORMS[form])
    shorter = min(own.shape[1], taught.shape[1])
    gap = unit_rows(_shortened(own, shorter)) - unit_rows(_shortened(taught, shorter))
    return {"attention": mean_over(gap.square(), weights)}


def vid(
    mean: Tensor, teacher: Tensor, weights: Tensor, *, variance: Tensor, minimum: float = LEAST_VARIANCE
) -> dict[str, Tensor]:
    """Negative log-likelihood of the teacher's feature under a normal distribution that the student's predicts.

    Parameters
    ----------
    mean : Tensor of shape (batch, width) or (batch, channels, time)
        What a regressor on the student's feature expects of the teacher's.
    teacher : Tensor of the shape of `mean`
        The teacher's feature.
    weights : Tensor of shape (batch,)
        Weight of each window.
    variance : Tensor of shape (width,) or (channels,)
        A free parameter; the variance is its softplus plus `minimum`. `raw_variance` says where it starts.
    minimum : float
        The least variance.

    Returns
    -------
    dict
        ``vid``: mean over windows and elements of ((mean - teacher)² / variance + log variance) / 2; may be negative.

    References
    ----------
    Ahn et al., Variational information distillation for knowledge transfer, CVPR 2019.
    """
    taught = known(teacher, weights)
    same_shape(mean, taught, "vid")
    spread = functional.softplus(variance) + minimum
    spread = spread.reshape(1, -1, *[1] * (mean.ndim - 2))
    likelihood = 0.5 * ((mean - taught).square() / spread + spread.log())
    return {"vid": weighted_mean(flat(likelihood).mean(dim=1), weights)}


def raw_variance(variance: float = 5.0, minimum: float = LEAST_VARIANCE) -> float:
    """Return the parameter whose softplus plus `minimum` is `variance`: where the loss `vid` starts.

    Raises
    ------
    LimbeckError
        When the variance is not above the minimum.
    """
    if variance <= minimum:
        raise LimbeckError(f"The variance starts at {variance}; expected a value above {minimum}.")
    return math.log(math.expm1(variance - minimum))


def _shortened(attention: Tensor, length: int) -> Tensor:
    """Return attention (batch, time) averaged down to a length."""
    if attention.shape[1] == length:
        return attention
    return attention @ resize_matrix(attention.shape[1], length).to(attention)
