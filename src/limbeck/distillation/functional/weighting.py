"""What the losses of one batch share: means that leave windows out, pairs of windows, rows and distances.

Nothing here branches on the value of a tensor or indexes with a mask, so that ``torch.vmap`` carries it over networks.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from limbeck.errors import LimbeckError

__all__ = [
    "NEVER",
    "TINY",
    "both_steps",
    "different",
    "flat",
    "huber",
    "in_windows",
    "known",
    "mean_over",
    "one_of_n",
    "pair_weights",
    "resize_matrix",
    "same_shape",
    "shares",
    "squared_distances",
    "steps",
    "unit_rows",
    "weighted_mean",
]

TINY = 1e-12
"""Below it a sum of weights, or a squared length, counts as zero."""

NEVER = -1e30
"""The logarithm that stands for a probability of zero: finite, so that differences and gradients stay finite."""


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean of `values`, of the shape of `weights`; 0 when all weights are 0."""
    return (values * weights).sum() / weights.sum().clamp_min(TINY)


def mean_over(values: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean over windows of the mean of all that each holds, values being (batch, ...)."""
    return weighted_mean(values.flatten(1).mean(dim=1), weights)


def shares(weights: Tensor) -> Tensor:
    """Return weights that sum to 1; zeros when all are 0."""
    return weights / weights.sum().clamp_min(TINY)


def in_windows(weights: Tensor) -> Tensor:
    """Return weights in units of windows: a common factor cancels, and windows that weigh alike weigh 1.

    Their sum is the number of windows that would weigh as much alike, (Σ w)² / Σ w². For sums that are no means, such
    as the length of a row over the windows of a batch.
    """
    return shares(weights) / shares(weights).square().sum().clamp_min(TINY)


def one_of_n(index: Tensor, n: int, like: Tensor) -> Tensor:
    """Return rows (..., n) with 1 at the index and 0 elsewhere, of the kind of `like`.

    ``torch.nn.functional.one_hot`` looks at the values, which ``torch.vmap`` does not let it.
    """
    return (index[..., None] == torch.arange(n, device=index.device)).to(like)


def pair_weights(weights: Tensor) -> Tensor:
    """Return the weight (batch, batch) of each pair of windows, the pairs of a window with itself included."""
    return weights[:, None] * weights[None, :]


def different(x: Tensor) -> Tensor:
    """Return (batch, batch) with 0 on the diagonal and 1 elsewhere, of the kind of `x`."""
    return 1.0 - torch.eye(x.shape[0], dtype=x.dtype, device=x.device)


def known(teacher: Tensor, weights: Tensor) -> Tensor:
    """Return what a teacher says, with zeros for windows that do not count.

    A window of weight 0 may be one that the teacher could not read, so that NaN stands there; NaN times 0 would still
    be NaN.
    """
    counts = (weights > 0).reshape(-1, *[1] * (teacher.ndim - 1))
    return torch.where(counts, teacher, 0.0)


def flat(feature: Tensor) -> Tensor:
    """Return a feature as (batch, width)."""
    return torch.flatten(feature, start_dim=1)


def steps(trace: Tensor) -> Tensor:
    """Return a trace as (batch, steps), from (batch,), (batch, steps) or (batch, steps, 1).

    Raises
    ------
    LimbeckError
        When it has another shape.
    """
    if trace.ndim == 1:
        return trace[:, None]
    if trace.ndim == 3 and trace.shape[-1] == 1:
        return trace[..., 0]
    if trace.ndim != 2:
        raise LimbeckError(
            f"A trace of shape {tuple(trace.shape)}; expected (batch,), (batch, steps) or (batch, steps, 1): one value "
            "per step."
        )
    return trace


def both_steps(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return two traces as (batch, steps).

    Raises
    ------
    LimbeckError
        When their steps differ in number: values would be compared that belong to different moments.
    """
    first, second = steps(first), steps(second)
    if first.shape != second.shape:
        raise LimbeckError(
            f"A trace of {first.shape[1]} steps and one of {second.shape[1]} cannot be compared value by value; "
            "expected as many in both."
        )
    return first, second


def same_shape(student: Tensor, teacher: Tensor, loss: str) -> None:
    """Refuse features that cannot be compared element by element.

    Raises
    ------
    LimbeckError
        When the shapes differ.
    """
    if student.shape != teacher.shape:
        raise LimbeckError(
            f"The loss '{loss}' compares element by element: the student's feature has shape {tuple(student.shape)}, "
            f"the teacher's {tuple(teacher.shape)}. Put a map between them, or use a loss on the relations of windows "
            "(similarity, rkd_distance, pkt), which needs none."
        )


def unit_rows(x: Tensor) -> Tensor:
    """Return rows of length 1, flattened; a row of zeros stays zero and its gradient finite."""
    rows = flat(x)
    return rows / rows.square().sum(dim=1, keepdim=True).clamp_min(TINY).sqrt()


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Return the squared Euclidean distances (n, m) between the rows of `x` (n, width) and of `y` (m, width).

    Through inner products, which takes no (n, m, width) array. The rows are moved to a common origin first: distances
    do not change by it, and far fewer digits are lost.
    """
    origin = y.detach().mean(dim=0, keepdim=True)
    x, y = x - origin, y - origin
    squares = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)[None, :]
    return (squares - 2.0 * x @ y.T).clamp_min(0.0)


def huber(x: Tensor, y: Tensor, delta: float = 1.0) -> Tensor:
    """Return, element by element, half the squared difference up to `delta` and a straight line beyond."""
    size = (x - y).abs()
    return torch.where(size < delta, 0.5 * size.square(), delta * (size - 0.5 * delta))


def resize_matrix(length_in: int, length_out: int) -> Tensor:
    """Return the matrix (length_in, length_out) that brings a series to another length.

    A longer series is averaged over bins that may overlap by one step (adaptive average pooling); a shorter one is
    interpolated linearly between the middles of its steps and held constant beyond the outer ones. Every column sums
    to 1, so a constant stays what it is.

    Parameters
    ----------
    length_in, length_out : int
        Steps before and after, at least 1.

    Returns
    -------
    Tensor of shape (length_in, length_out), float64
        Multiply a series (..., length_in) with it from the right.
    """
    matrix = torch.zeros(length_in, length_out, dtype=torch.float64)
    for step in range(length_out):
        if length_in >= length_out:
            start, stop = step * length_in // length_out, math.ceil((step + 1) * length_in / length_out)
            matrix[start:stop, step] = 1.0 / (stop - start)
        else:
            place = min(max((step + 0.5) * length_in / length_out - 0.5, 0.0), length_in - 1.0)
            below = int(place)
            matrix[below, step] += 1.0 - (place - below)
            matrix[min(below + 1, length_in - 1), step] += place - below
    return matrix
