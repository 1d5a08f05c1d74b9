"""Features of whole rows: those with a missing sample are not a number, and touch no other row."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from limbeck.signals.arrays import is_flat
from limbeck.signals.spectral import in_blocks

__all__ = ["compute_rows"]


def compute_rows(
    x: np.ndarray,
    width: int,
    compute: Callable[[np.ndarray, np.ndarray], np.ndarray],
    *,
    axes: int = 1,
    expansion: float = 4.0,
) -> np.ndarray:
    """Apply a feature, in double precision and block by block, to rows of which no sample is missing.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
        With ``axes=2`` a row is an array (n_channels, n_times).
    width : int
        Columns that the feature has.
    compute : callable
        Takes rows (n_rows, n_times), float64, and which of them are flat (n_rows,), bool (with ``axes=2`` one axis more
        each); returns (n_rows, width).
    axes : {1, 2}
        Last axes of `x` that are one row.
    expansion : float
        How many samples `compute` makes of one; the less, the more rows at a time.

    Returns
    -------
    ndarray of shape (..., width), float64
        NaN where samples are missing.
    """
    shape = x.shape[x.ndim - axes :]

    def block(rows: np.ndarray) -> np.ndarray:
        missing = np.isnan(rows).any(axis=-1, keepdims=True)
        # rows with gaps are computed as zeros, not left out, so that the others meet the same arithmetic
        whole = (np.where(missing, 0, rows) if missing.any() else rows).reshape(-1, *shape)
        return np.where(missing, np.nan, compute(whole.astype(np.float64, copy=False), is_flat(whole)))

    return in_blocks(x.reshape(*x.shape[: x.ndim - axes], prod(shape)), width, block, expansion=expansion)
