"""Resampling: to another rate with anti-aliasing, by any ratio."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from limbeck.errors import DataError
from limbeck.signals.gaps import fill_gaps, missing
from limbeck.signals.pipeline import step

__all__ = ["decimate", "resample", "resampling_ratio"]


_LARGEST = 1_000_000
"""The larger number of a ratio; the filter has twenty times as many taps."""


def _check_rate(to: float, **_: object) -> Iterator[str]:
    if to <= 0:
        yield f"the rate must be above 0 Hz, found {to}"


def _check_factor(factor: int, **_: object) -> Iterator[str]:
    if factor < 1:
        yield f"the factor must be at least 1, found {factor}"


def resampling_ratio(rate: float, to: float) -> Fraction:
    """Return `to` / `rate` as a fraction of small numbers, right to 1 in ten million (0.4 ms in an hour).

    Raises
    ------
    DataError
        Such a fraction needs numbers above a million, and the filter for it twenty times as many taps.
    """
    exact = to / rate
    larger = max(exact, 1 / exact)
    most = int(_LARGEST / larger)
    for limit in (*(10 * 2**power for power in range(17)), most):  # small numbers first: they make short filters
        ratio = Fraction(larger).limit_denominator(max(1, limit))
        if abs(float(ratio) / larger - 1) < 1e-7 and ratio.numerator <= _LARGEST:
            return ratio if exact >= 1 else 1 / ratio
    raise DataError(
        f"Resampling from {rate:g} to {to:g} Hz: the ratio {exact:.10g} is too far from 1, or too near, for a filter "
        "of bearable length; choose another rate."
    )


@step("resample", runs="recording", causal=False, new_rate=lambda rate, to: float(to), check=_check_rate)
def resample(x: np.ndarray, rate: float, to: float) -> np.ndarray:
    """Resample to a rate in Hz, with a polyphase anti-aliasing filter (``scipy.signal.resample_poly``).

    The first sample keeps its time. The filter looks a few samples ahead, so the step is not causal.

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
    """
    from scipy import signal

    x = np.asarray(x)
    dtype = x.dtype if np.issubdtype(x.dtype, np.floating) else np.dtype(np.float64)
    ratio = resampling_ratio(rate, to)
    if ratio == 1 or x.shape[-1] == 0:
        return x.astype(dtype)
    gaps = missing(x)
    # a line through the ends is taken off, so that a level or drift leaves no step at the ends
    filled = fill_gaps(x.astype(np.float64, copy=False), gaps)
    resampled = signal.resample_poly(filled, ratio.numerator, ratio.denominator, axis=-1, padtype="line")
    resampled = resampled.astype(dtype, copy=False)
    if gaps.any():
        resampled[_gaps_after(gaps, ratio, resampled.shape[-1])] = np.nan
    return resampled


@step("decimate", runs="recording", causal=False, new_rate=lambda rate, factor: rate / factor, check=_check_factor)
def decimate(x: np.ndarray, rate: float, factor: int) -> np.ndarray:
    """Keep every `factor`-th sample behind an anti-aliasing filter: :func:`resample` to ``rate / factor``."""
    return resample(x, rate, rate / factor)


def _gaps_after(gaps: np.ndarray, ratio: Fraction, samples: int) -> np.ndarray:
    """Return which output samples have a missing input sample within half an output step, (..., samples)."""
    step_length = ratio.denominator / ratio.numerator
    centre = np.arange(samples) * step_length
    reach = max(step_length / 2, 0.5)
    first = np.clip(np.ceil(centre - reach), 0, gaps.shape[-1] - 1).astype(np.int64)
    behind = np.clip(np.floor(centre + reach) + 1, first + 1, gaps.shape[-1]).astype(np.int64)
    count = np.concatenate([np.zeros((*gaps.shape[:-1], 1), np.int64), np.cumsum(gaps, axis=-1)], axis=-1)
    return count[..., behind] > count[..., first]
