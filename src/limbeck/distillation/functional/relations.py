"""Losses on how the windows of a batch lie to each other, which need no map between features of different widths.

All take features (batch, ...) of any shape, flattened, and weigh a pair of windows by the product of their weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from limbeck.distillation.functional.weighting import (
    NEVER,
    TINY,
    different,
    flat,
    huber,
    in_windows,
    known,
    pair_weights,
    shares,
    squared_distances,
    unit_rows,
    weighted_mean,
)
from limbeck.errors import LimbeckError

__all__ = [
    "anchored_similarity_rows",
    "centroid_distance",
    "correlation_congruence",
    "pkt",
    "rkd_angle",
    "rkd_distance",
    "similarity",
    "similarity_of_many",
]

COINCIDENT = 16.0
"""Two rows are one point when their squared distance is below this many rounding errors of their squared lengths."""


def rkd_distance(student: Tensor, teacher: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Huber distance between the distances of all pairs, each in units of its network's mean distance.

    Parameters
    ----------
    student, teacher : Tensor of shape (batch, ...)
        Features; widths may differ. Rotation, translation and scale of either change nothing.
    weights : Tensor of shape (batch,)
        Weight of each window.

    Returns
    -------
    dict
        ``rkd_distance``: the mean over pairs of two windows.

    References
    ----------
    Park, Kim, Lu, Cho, Relational knowledge distillation, CVPR 2019.
    """
    pairs = pair_weights(weights) * different(weights)
    gap = huber(_relative_distances(flat(student), pairs), _relative_distances(flat(known(teacher, weights)), pairs))
    return {"rkd_distance": weighted_mean(gap, pairs)}


def rkd_angle(student: Tensor, teacher: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Huber distance between the cosines of the angles that all triples of windows form.

    Parameters
    ----------
    student, teacher : Tensor of shape (batch, ...)
        Features; widths may differ. Rotation, translation and scale of either change nothing.
    weights : Tensor of shape (batch,)
        Weight of each window.

    Returns
    -------
    dict
        ``rkd_angle``: the mean over triples of three windows; 0 with fewer.

    Notes
    -----
    Time and memory grow with the cube of the batch, whatever the width: 128 windows are two million angles.

    References
    ----------
    Park, Kim, Lu, Cho, Relational knowledge distillation, CVPR 2019.
    """
    apart = different(weights)
    triples = (
        pair_weights(weights)[:, :, None]
        * weights[None, None, :]
        * apart[:, :, None]
        * apart[:, None, :]
        * apart[None, :, :]
    )
    gap = huber(_angle_cosines(flat(student)), _angle_cosines(flat(known(teacher, weights))))
    return {"rkd_angle": weighted_mean(gap, triples)}


def similarity(student: Tensor, teacher: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Squared difference of the matrices of inner products, their rows brought to length 1.

    Parameters
    ----------
    student, teacher : Tensor of shape (batch, ...)
        Features; widths may differ. An orthogonal map of either changes nothing.
    weights : Tensor of shape (batch,)
        Weight of each window.

    Returns
    -------
    dict
        ``similarity``: squared Frobenius norm of the difference, divided by batch².

    References
    ----------
    Tung, Mori, Similarity-preserving knowledge distillation, ICCV 2019.
    """
    gap = _gram(student, weights) - _gram(known(teacher, weights), weights)
    return {"similarity": weighted_mean(gap.square(), pair_weights(weights))}


def similarity_of_many(
    student: Tensor, teachers: Sequence[Tensor], weights: Tensor, *, parts: Tensor | None = None
) -> dict[str, Tensor]:
    """Squared difference from the mean matrix of inner products of several teachers, of any widths.

    Parameters
    ----------
    student : Tensor of shape (batch, ...)
        The student's feature.
    teachers : sequence of Tensor of shape (batch, ...)
        One feature per teacher.
    weights : Tensor of shape (batch,)
        Weight of each window.
    parts : Tensor of shape (n_teachers,) or (batch, n_teachers), optional
        How much each teacher counts, for all windows or for each; brought to a sum of 1. Equal by default.

    Returns
    -------
    dict
        ``similarity``: squared Frobenius norm of the difference of the row-normalised matrices, divided by batch².

    Raises
    ------
    LimbeckError
        When there is no teacher, or `parts` is not one number per teacher.
    """
    if not teachers:
        raise LimbeckError("A mean over teachers takes at least one; found none.")
    grams = torch.stack([_gram(known(teacher, weights), weights) for teacher in teachers], dim=-1)
    part = student.new_ones(len(teachers)) if parts is None else parts.detach()
    if part.shape[-1] != len(teachers):
        raise LimbeckError(f"{part.shape[-1]} weights of teachers for {len(teachers)} teachers; expected as many.")
    part = part / part.sum(dim=-1, keepdim=True).clamp_min(TINY)
    together = (grams * (part if part.ndim == 1 else part[:, None, :])).sum(dim=-1)
    gap = _gram(student, weights) - together
    return {"similarity": weighted_mean(gap.square(), pair_weights(weights))}


def pkt(student: Tensor, teacher: Tensor, weights: Tensor, *, steady: float = 1e-7) -> dict[str, Tensor]:
    """Divergence between the probabilities with which a window picks its neighbours.

    The probabilities are the cosines, moved to [0, 1] and brought to a sum of 1 along each row.

    Parameters
    ----------
    student, teacher : Tensor of shape (batch, ...)
        Features; widths may differ.
    weights : Tensor of shape (batch,)
        Weight of each window.
    steady : float
        Added to the probabilities before their logarithm.

    Returns
    -------
    dict
        ``pkt``: the mean over rows of KL(teacher ‖ student). Published code divides by the batch once more.

    References
    ----------
    Passalis, Tefas, Learning deep representations with probabilistic knowledge transfer, ECCV 2018.
    """
    counted = in_windows(weights)
    own, taught = _neighbours(student, counted), _neighbours(known(teacher, weights), counted)
    divergence = (counted * taught * ((taught + steady) / (own + steady)).log()).sum(dim=1)
    return {"pkt": weighted_mean(divergence, weights)}


def correlation_congruence(
    student: Tensor, teacher: Tensor, weights: Tensor, *, gamma: float = 0.4, order: int = 2
) -> dict[str, Tensor]:
    """Squared difference of the correlations of all pairs, as a Gaussian kernel measures them.

    Of rows of length 1 the kernel is exp(-2 gamma) exp(2 gamma cosine); its second factor is taken as a Taylor series.

    Parameters
    ----------
    student, teacher : Tensor of shape (batch, ...)
        Features; widths may differ.
    weights : Tensor of shape (batch,)
        Weight of each window.
    gamma : float
        Of the kernel.
    order : int
        Of the series.

    Returns
    -------
    dict
        ``correlation``: the mean over pairs.

    References
    ----------
    Peng et al., Correlation congruence for knowledge distillation, ICCV 2019.
    """
    gap = _kernel(student, gamma, order) - _kernel(known(teacher, weights), gamma, order)
    return {"correlation": weighted_mean(gap.square(), pair_weights(weights))}


def anchored_similarity_rows(
    student: Tensor, teacher: Tensor, weights: Tensor, *, anchors: int = 30, per_row: bool = False
) -> tuple[Tensor, Tensor]:
    """Return each window's similarities to a few anchor windows, in the student and in the teacher.

    Similarities are cosines minus the least one of the batch. Anchors are the windows that are least like the rest of
    the batch to the teacher: one set for all rows, so that a column means the same window everywhere.

    Parameters
    ----------
    student, teacher : Tensor of shape (batch, ...)
        Features; widths may differ.
    weights : Tensor of shape (batch,)
        Windows of weight 0 are no anchors; columns that are left over for want of windows are zero.
    anchors : int
        How many; the batch if that has fewer.
    per_row : bool
        Every row with its own anchors, as the published code of PKDOT chooses them. Columns of different rows then mean
        different windows, so rows cannot be compared, and transport may match a row with another.

    Returns
    -------
    rows_student, rows_teacher : Tensor of shape (batch, anchors)

    References
    ----------
    Aslam et al., Distilling privileged multimodal information for expression recognition using optimal transport, 2024.
    """
    counts = (weights > 0).to(student)
    own, taught = _similarities(student, counts), _similarities(known(teacher, weights), counts)
    likeness = taught if per_row else (shares(weights)[:, None] * taught).sum(dim=0).expand_as(taught)
    likeness = torch.where(counts > 0, likeness, -NEVER)
    chosen = likeness.topk(min(anchors, len(taught)), dim=1, largest=False).indices
    counted = counts.expand_as(taught).gather(1, chosen)
    return own.gather(1, chosen) * counted, taught.gather(1, chosen) * counted


def _relative_distances(rows: Tensor, pairs: Tensor) -> Tensor:
    """Return the distances (batch, batch) of all pairs in units of the mean of those that are above 0."""
    squared = squared_distances(rows, rows)
    apart = _apart(rows, squared)
    distances = torch.where(apart, squared, 1.0).sqrt() * apart
    return distances / weighted_mean(distances, pairs * apart).clamp_min(TINY)


def _angle_cosines(rows: Tensor) -> Tensor:
    """Return cosines (batch, batch, batch): at [i, j, k] of the angle at i between the ways to j and to k.

    From inner products alone: (j - i)·(k - i) = j·k - i·j - i·k + i·i. Points that coincide have no direction: 0.
    """
    centred = rows - rows.detach().mean(dim=0, keepdim=True)
    products = centred @ centred.T
    squared = squared_distances(rows, rows)
    apart = _apart(rows, squared)
    inverse = torch.where(apart, squared, 1.0).rsqrt() * apart
    own = products.diagonal()
    inner = products[None, :, :] - products[:, :, None] - products[:, None, :] + own[:, None, None]
    return inner * inverse[:, :, None] * inverse[:, None, :]


def _apart(rows: Tensor, squared: Tensor) -> Tensor:
    """Return where two rows are further apart than rounding could make them."""
    centred = (rows - rows.mean(dim=0, keepdim=True)).detach().square().sum(dim=1)
    rounding = COINCIDENT * torch.finfo(rows.dtype).eps * (centred[:, None] + centred[None, :])
    return squared.detach() > rounding + torch.finfo(rows.dtype).tiny


def _similarities(feature: Tensor, counts: Tensor) -> Tensor:
    """Return the cosines (batch, batch) of all pairs, minus the least one among the counted windows."""
    rows = unit_rows(feature)
    cosines = rows @ rows.T
    return cosines - torch.where(pair_weights(counts) > 0, cosines, 1.0).amin()


def centroid_distance(first: Tensor, second: Tensor, weights: Tensor) -> Tensor:
    """Return the Euclidean distance between the mean rows; its gradient is 0 where they are one."""
    squared = (shares(weights)[:, None] * (first - second)).sum(dim=0).square().sum()
    apart = squared.detach() > TINY
    return torch.where(apart, squared, 1.0).sqrt() * apart


def _gram(feature: Tensor, weights: Tensor) -> Tensor:
    """Return the inner products (batch, batch) of all pairs, each row brought to length 1 over the counted windows."""
    rows = flat(feature)
    products = rows @ rows.T
    return products / (in_windows(weights) * products.square()).sum(dim=1, keepdim=True).clamp_min(TINY**2).sqrt()


def _neighbours(feature: Tensor, weights: Tensor) -> Tensor:
    """Return (1 + cosine) / 2 of all pairs, divided by its sum along each row over the counted windows."""
    rows = unit_rows(feature)
    likeness = 0.5 * (1.0 + rows @ rows.T)
    return likeness / (weights * likeness).sum(dim=1, keepdim=True).clamp_min(TINY)


def _kernel(feature: Tensor, gamma: float, order: int) -> Tensor:
    """Return the Gaussian kernel (batch, batch) of rows of length 1, as a Taylor series of an order."""
    rows = unit_rows(feature)
    cosines = rows @ rows.T
    series = sum(((2.0 * gamma) ** power / math.factorial(power)) * cosines**power for power in range(order + 1))
    return math.exp(-2.0 * gamma) * torch.as_tensor(series)
