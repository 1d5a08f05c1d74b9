"""What an annotation that runs with time says of windows, and of the steps inside them."""

from __future__ import annotations

import numpy as np

from limbeck.recording import Trace

__all__ = ["AGGREGATES", "n_steps", "over_steps", "over_windows"]

AGGREGATES = ("mean", "median", "last")

_NEAR = 1.5
"""Intervals between samples across which a trace is interpolated; a missing sample makes a gap of two."""


def n_steps(length: float, rate: float) -> int:
    """Return the steps of a window of `length` seconds at `rate` Hz."""
    return round(length * rate)


def over_windows(trace: Trace, starts: np.ndarray, length: float, aggregate: str, lag: float) -> np.ndarray:
    """Sum up the samples of each window.

    Parameters
    ----------
    trace : Trace
    starts : ndarray of shape (n_windows,), float64
        Seconds from the recording's start.
    length : float
        Seconds.
    aggregate : {"mean", "median", "last"}
        Of the finite samples in ``[start + lag, start + lag + length)``.
    lag : float
        Seconds by which the annotation comes late.

    Returns
    -------
    ndarray of shape (n_windows,), float64
        NaN where there is no sample.
    """
    times, values = np.asarray(trace.times, dtype=np.float64) - lag, np.asarray(trace.values, dtype=np.float64)
    finite = np.isfinite(values)
    if aggregate == "mean":
        return _means(times, values, finite, starts, length)
    times, values = times[finite], values[finite]
    first, behind = _edges(times, starts, length)
    found = np.full(len(starts), np.nan)
    some = behind > first
    if aggregate == "last":
        found[some] = values[behind[some] - 1]
        return found
    for index in np.flatnonzero(some):
        found[index] = np.median(values[first[index] : behind[index]])
    return found


def over_steps(trace: Trace, starts: np.ndarray, length: float, rate: float, aggregate: str, lag: float) -> np.ndarray:
    """Bring a trace onto the steps of windows, step k from ``start + k / rate`` to ``start + (k + 1) / rate``.

    A trace that is sampled at least as often as there are steps is summed up in each; one that is sampled less often is
    interpolated at the middles of the steps. Steps that lie in a gap of the trace, or outside of it, have no value; the
    last sample holds for one interval.

    Parameters
    ----------
    trace, starts, length, aggregate, lag
        As of :func:`over_windows`.
    rate : float
        Steps per second.

    Returns
    -------
    ndarray of shape (n_windows, n_steps), float64
    """
    grid = starts[:, np.newaxis] + np.arange(n_steps(length, rate)) / rate
    # windows that overlap share steps: each is worked out once, at its own time, for samples lie on the edges
    _, first, place = np.unique(np.round(grid.ravel(), 6), return_index=True, return_inverse=True)
    edges = grid.ravel()[first]
    times, values = np.asarray(trace.times, dtype=np.float64) - lag, np.asarray(trace.values, dtype=np.float64)
    interval = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    between = _between(times, values, edges + 0.5 / rate, interval, max(interval, 1 / rate))
    if interval <= (1 + 1e-6) / rate:
        within = over_windows(Trace(times, values), edges, 1 / rate, aggregate, 0.0)
        # where samples do not come quite evenly, a step may fall between two
        between = np.where(np.isfinite(within), within, between)
    return between[place].reshape(grid.shape)


def _between(times: np.ndarray, values: np.ndarray, moments: np.ndarray, interval: float, near: float) -> np.ndarray:
    """Interpolate at moments whose neighbouring finite samples are close enough; NaN at the others."""
    finite = np.isfinite(values)
    times, values = times[finite], values[finite]
    found = np.full(len(moments), np.nan)
    if not len(times):
        return found
    after = np.searchsorted(times, moments, side="left")
    inside = (after > 0) & (after < len(times))
    inside[inside] = times[after[inside]] - times[after[inside] - 1] <= _NEAR * near
    found[inside] = np.interp(moments[inside], times, values)
    found[(after == 0) & (moments == times[0])] = values[0]
    found[(after == len(times)) & (moments - times[-1] <= interval)] = values[-1]
    return found


def _edges(times: np.ndarray, starts: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the first sample of each window and the one behind its last."""
    # a time that equals a start up to rounding belongs to the window
    first, behind = (np.searchsorted(times, edge - 1e-9, side="left") for edge in (starts, starts + length))
    return first, behind


def _means(times: np.ndarray, values: np.ndarray, finite: np.ndarray, starts: np.ndarray, length: float) -> np.ndarray:
    sums = np.concatenate([[0.0], np.cumsum(np.where(finite, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(finite)])
    first, behind = _edges(times, starts, length)
    count = counts[behind] - counts[first]
    return np.divide(sums[behind] - sums[first], count, out=np.full(len(starts), np.nan), where=count > 0)
