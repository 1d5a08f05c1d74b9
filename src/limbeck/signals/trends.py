"""Trends and levels: detrending per window, and correction by a baseline interval."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from limbeck.errors import DataError, did_you_mean
from limbeck.signals.arrays import as_signal, is_number, refuse
from limbeck.signals.gaps import missing, row_chunks
from limbeck.signals.kinds import step

__all__ = ["baseline", "detrend"]

TRENDS = ("linear", "constant")
"""What is taken off a window."""

MODES = ("subtract", "divide")
"""What is done with the mean of a baseline."""


def _check_trend(kind: str) -> Iterator[str]:
    if kind not in TRENDS:
        yield f"there is no kind '{kind}'.{did_you_mean(str(kind), TRENDS)}"


def _check_baseline(start: float, end: float, mode: str) -> Iterator[str]:
    if not (is_number(start) and is_number(end) and start < end):
        yield f"the baseline must start before it ends, found start {start!r} and end {end!r} s"
    if mode not in MODES:
        yield f"there is no mode '{mode}'.{did_you_mean(str(mode), MODES)}"


@step("detrend", runs="window", causal=True, check=_check_trend, source="least squares, as scipy.signal.detrend")
def detrend(x: np.ndarray, rate: float, kind: str = "linear") -> np.ndarray:
    """Take the least-squares line, or the mean, of each channel over the window off it.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
        The line is fitted to the samples that are there; missing samples (NaN) stay missing.
    rate : float
        Hz; not used.
    kind : {"linear", "constant"}

    Returns
    -------
    ndarray of shape (..., n_times)
        In the floating type of `x`; exactly 0 for a constant row and for a row with a single sample.
    """
    x = as_signal(x, rate)
    refuse(_check_trend(kind))
    rows = x.reshape(-1, x.shape[-1])
    flattened = np.empty_like(rows)
    for chunk in row_chunks(*rows.shape):
        flattened[chunk] = _take_off(rows[chunk], kind)
    return flattened.reshape(x.shape)


def _take_off(rows: np.ndarray, kind: str) -> np.ndarray:
    gaps = missing(rows)
    there = np.logical_not(gaps)
    count = there.sum(axis=-1, keepdims=True)
    # counted from a sample of its own, a constant row is exactly 0 whatever its level
    first = np.take_along_axis(rows, there.argmax(axis=-1)[:, np.newaxis], axis=-1)
    values = rows.astype(np.float64) - first
    values[gaps] = 0.0
    values -= values.sum(axis=-1, keepdims=True) / np.maximum(count, 1)
    if kind == "linear":
        times = np.arange(rows.shape[-1], dtype=np.float64)
        middle = (there @ times)[:, np.newaxis] / np.maximum(count, 1)
        centred = np.where(there, times - middle, 0.0)
        spread = np.square(centred).sum(axis=-1, keepdims=True)
        slope = (centred * values).sum(axis=-1, keepdims=True)
        values -= centred * np.divide(slope, spread, out=np.zeros_like(slope), where=spread > 0)
    values[gaps] = np.nan
    return values


@step(
    "baseline",
    runs="recording",
    causal=False,  # samples before the interval's end are corrected by what comes later
    check=_check_baseline,
    new_unit=lambda unit, start, end, mode: unit if mode == "subtract" else "baselines",
    source="mean of an interval before the stimulus",
)
def baseline(
    x: np.ndarray, rate: float, start: float, end: float, *, mode: str = "subtract", starts_at: float = 0.0
) -> np.ndarray:
    """Correct each channel by its mean over an interval, such as the rest before a stimulus.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
        Missing samples (NaN) stay missing and do not count for the mean; a channel without any sample in the interval
        is NaN throughout.
    rate : float
        Hz.
    start, end : float
        The interval ``[start, end)`` in seconds from the recording's start.
    mode : {"subtract", "divide"}
        Take the mean off, or divide by it (1 is then the baseline's level; for signals that stay above 0).
    starts_at : float
        Time of the first sample in seconds from the recording's start.

    Returns
    -------
    ndarray of shape (..., n_times)
        In the floating type of `x`.

    Raises
    ------
    DataError
        No sample lies in the interval, or all of them are missing; a mean to divide by that is 0 but for rounding.
    """
    x = as_signal(x, rate)
    refuse(_check_baseline(start, end, mode))
    if not is_number(starts_at):
        raise DataError(f"The time of the first sample must be a number of seconds; found {starts_at!r}.")
    rate = float(rate)
    slack = 1e-6  # of a sample: rounding in a time must not move a sample over an edge
    first = max(0, int(np.ceil((start - starts_at) * rate - slack)))
    behind = int(np.ceil((end - starts_at) * rate - slack))
    interval = x[..., first : max(behind, 0)]
    there = np.isfinite(interval)
    if not interval.shape[-1] or (there.size and not there.any()):
        held = f"{starts_at:g} to {starts_at + x.shape[-1] / rate:g} s"
        raise DataError(
            f"The baseline from {start:g} to {end:g} s holds no sample; the signal runs from {held}"
            + (", and is missing in that interval." if interval.size else ". Choose an interval within it.")
        )
    count = there.sum(axis=-1, keepdims=True)
    total = interval.sum(axis=-1, keepdims=True, dtype=np.float64, where=there)
    level = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    if mode == "subtract":
        return np.subtract(x, level, out=np.empty_like(x), casting="same_kind")
    largest = np.abs(interval).max(axis=-1, keepdims=True, where=there, initial=0.0)
    vanishing = (np.abs(level) <= 1e-6 * largest) & (count > 0)
    if vanishing.any():
        raise DataError(
            f"The mean of the baseline is 0 in {vanishing.sum()} of {vanishing.size} channels, which cannot be "
            "divided by; use mode: subtract."
        )
    return np.divide(x, level, out=np.empty_like(x), casting="same_kind")
