"""Gaps: samples that are missing (not finite), filled before arithmetic that would smear them and put back after it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = ["fill_gaps", "gap_lengths", "hold_gaps", "missing", "row_chunks"]

_CHUNK = 250_000
"""Samples that are worked on in double precision at a time: 2 MB per copy, however many rows there are."""


def missing(x: np.ndarray) -> np.ndarray:
    """Return where samples are NaN or infinite.

    Parameters
    ----------
    x : ndarray of shape (..., n_times)

    Returns
    -------
    ndarray of shape (..., n_times), bool
    """
    finite = np.isfinite(x)
    return np.logical_not(finite, out=finite)


def fill_gaps(x: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """Interpolate linearly over gaps; the ends hold the nearest sample, a row that is all gap becomes 0.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
    gaps : ndarray of shape (..., n_times), bool
        As of :func:`missing`.

    Returns
    -------
    ndarray of shape (..., n_times)
        A copy when there are gaps, else `x` itself.
    """
    if not gaps.any():
        return x
    filled = x.reshape(-1, x.shape[-1]).copy()
    gaps = gaps.reshape(filled.shape)
    times = np.arange(x.shape[-1])
    for row in np.flatnonzero(gaps.any(axis=-1)):  # rows without a gap cost nothing
        gap = gaps[row]
        filled[row, gap] = 0.0 if gap.all() else np.interp(times[gap], times[~gap], filled[row, ~gap])
    return filled.reshape(x.shape)


def hold_gaps(x: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """Fill gaps with the last sample before them, so that nothing looks ahead.

    Samples before the first finite one take its value: whoever uses them must put the gap back, as the filters do.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
    gaps : ndarray of shape (..., n_times), bool

    Returns
    -------
    ndarray of shape (..., n_times)
        A copy when there are gaps, else `x` itself; a row that is all gap becomes 0.
    """
    if not gaps.any():
        return x
    last = np.maximum.accumulate(np.where(gaps, -1, np.arange(x.shape[-1])), axis=-1)
    first = np.argmin(gaps, axis=-1)[..., np.newaxis]
    held = np.take_along_axis(x, np.where(last < 0, first, last), axis=-1)
    return np.where(gaps.all(axis=-1, keepdims=True), np.zeros((), dtype=x.dtype), held)


def gap_lengths(gaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each missing sample, how far its gap reaches back and how long it is.

    Parameters
    ----------
    gaps : ndarray of shape (n_rows, n_times), bool

    Returns
    -------
    before : ndarray of shape (n_rows, n_times), int
        Samples since the last one that is there: 1 at a gap's first sample; 0 where nothing is missing.
    lengths : ndarray of shape (n_rows, n_times), int
        Samples of the whole gap; 0 where nothing is missing.
    """
    times = np.arange(gaps.shape[-1])
    last = np.maximum.accumulate(np.where(gaps, -1, times), axis=-1)
    following = np.minimum.accumulate(np.where(gaps, gaps.shape[-1], times)[..., ::-1], axis=-1)[..., ::-1]
    return times - last, np.where(gaps, following - last - 1, 0)


def row_chunks(rows: int, samples: int) -> Iterator[slice]:
    """Yield slices of rows, each of about 250,000 samples, for arithmetic that needs copies in double precision.

    Parameters
    ----------
    rows, samples : int
        Of the array; a slice holds one row at least.
    """
    size = max(1, _CHUNK // max(1, samples))
    for first in range(0, rows, size):
        yield slice(first, first + size)
