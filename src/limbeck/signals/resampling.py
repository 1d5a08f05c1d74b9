"""Resampling: to another rate with anti-aliasing, by any ratio."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache

import numpy as np

from limbeck.errors import DataError
from limbeck.signals.arrays import above_zero, as_signal, is_whole, refuse
from limbeck.signals.gaps import fill_gaps, missing, row_chunks
from limbeck.signals.kinds import step

__all__ = ["decimate", "resample", "resampling_ratio"]


_LARGEST = 1_000_000
"""The larger number of a ratio; the filter has twenty times as many taps."""


def _check_rate(to: float, **_: object) -> Iterator[str]:
    yield from above_zero("the rate", to, " Hz")


def _check_factor(factor: int, **_: object) -> Iterator[str]:
    if not (is_whole(factor) and factor >= 1):
        yield f"the factor must be a whole number of at least 1, found {factor!r}"


def resampling_ratio(rate: float, to: float) -> Fraction:
    """Return `to` / `rate` as a fraction of small numbers, right to 1 in ten million (0.4 ms in an hour).

    Raises
    ------
    DataError
        Such a fraction needs numbers above a million, and the filter for it twenty times as many taps.
    """
    rate, to = float(rate), float(to)  # of NumPy, single precision would be no more right than 1 in ten million
    exact = to / rate
    larger = max(rate, to) / min(rate, to)
    most = int(_LARGEST / larger)
    limits = (*(10 * 2**power for power in range(17)), most) if most else ()
    for limit in limits:  # small numbers first: they make short filters
        ratio = Fraction(larger).limit_denominator(limit)
        if abs(float(ratio) / larger - 1) < 1e-7 and ratio.numerator <= _LARGEST:
            return ratio if exact >= 1 else 1 / ratio
    raise DataError(
        f"Resampling from {rate:g} to {to:g} Hz: the ratio {exact:.10g} is too far from 1, or too near, for a filter "
        "of bearable length; choose another rate."
    )


@step(
    "resample",
    runs="recording",
    causal=False,
    new_rate=lambda rate, to: float(to),
    check=_check_rate,
    source="scipy.signal.resample_poly",
)
def resample(x: np.ndarray, rate: float, to: float) -> np.ndarray:
    """Resample to a rate in Hz, with a polyphase anti-aliasing filter.

    The filter is that of ``scipy.signal.resample_poly``, but keeps a level exactly: there it gets a ripple of some
    0.01 %. The first sample keeps its time. The filter looks a few samples ahead, so the step is not causal.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
        Missing samples are interpolated; every output sample that stands for a missing one is NaN.
    rate, to : float
        Hz, before and after; any ratio.

    Returns
    -------
    ndarray of shape (..., ceil(n_times * to / rate))
        In the floating type of `x`.

    Raises
    ------
    DataError
        A rate that is not above 0, a single sample, or a ratio for which the filter would be of unbearable length.
    """
    from scipy import signal

    x = as_signal(x, rate, least=0)
    refuse(_check_rate(to))
    ratio = resampling_ratio(rate, to)
    if ratio == 1 or x.shape[-1] == 0:
        return x.copy()
    if x.shape[-1] == 1:
        raise DataError("Resampling needs at least 2 samples; found 1.")
    taps = _anti_aliasing(ratio)
    rows = x.reshape(-1, x.shape[-1])
    resampled = np.empty((len(rows), math.ceil(x.shape[-1] * ratio)), dtype=x.dtype)
    for chunk in row_chunks(len(rows), max(x.shape[-1], resampled.shape[-1])):
        gaps = missing(rows[chunk])
        filled = fill_gaps(rows[chunk].astype(np.float64, copy=False), gaps)
        level = filled[:, :1]  # set aside, so that a constant row stays one to the last bit
        # the line through its ends goes on at either end, so that a level or drift leaves no step there
        changes = signal.resample_poly(
            filled - level, ratio.numerator, ratio.denominator, axis=-1, window=taps, padtype="line"
        )
        resampled[chunk] = changes + level
        if gaps.any():
            resampled[chunk][_gaps_after(gaps, ratio, resampled.shape[-1])] = np.nan
    return resampled.reshape(*x.shape[:-1], resampled.shape[-1])


@step(
    "decimate",
    runs="recording",
    causal=False,
    new_rate=lambda rate, factor: rate / factor,
    check=_check_factor,
    source="scipy.signal.resample_poly",
)
def decimate(x: np.ndarray, rate: float, factor: int) -> np.ndarray:
    """Keep every `factor`-th sample behind an anti-aliasing filter: :func:`resample` to ``rate / factor``."""
    x = as_signal(x, rate, least=0)
    refuse(_check_factor(factor))
    return resample(x, rate, float(rate) / factor)


@lru_cache(maxsize=8)
def _anti_aliasing(ratio: Fraction) -> np.ndarray:
    """Return the low-pass of ``scipy.signal.resample_poly``, with the same gain at 0 Hz for every output sample."""
    from scipy import signal

    larger = max(ratio.numerator, ratio.denominator)
    taps = signal.firwin(20 * larger + 1, 1 / larger, window=("kaiser", 5.0))
    # each output sample is made with every so many-th tap: unequal sums of these would put a ripple on a level
    branches = np.arange(len(taps)) % ratio.numerator
    taps /= np.bincount(branches, weights=taps)[branches] * ratio.numerator
    taps.setflags(write=False)
    return taps


def _gaps_after(gaps: np.ndarray, ratio: Fraction, samples: int) -> np.ndarray:
    """Return which output samples have a missing input sample within half an output step, (..., samples)."""
    step_length = ratio.denominator / ratio.numerator
    centre = np.arange(samples) * step_length
    reach = max(step_length / 2, 0.5)
    first = np.clip(np.ceil(centre - reach), 0, gaps.shape[-1] - 1).astype(np.int64)
    behind = np.clip(np.floor(centre + reach) + 1, first + 1, gaps.shape[-1]).astype(np.int64)
    count = np.concatenate([np.zeros((*gaps.shape[:-1], 1), np.int64), np.cumsum(gaps, axis=-1)], axis=-1)
    return count[..., behind] > count[..., first]
