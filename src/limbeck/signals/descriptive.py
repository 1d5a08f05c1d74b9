"""Plain statistics of a window, for any modality."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from limbeck.signals.arrays import as_signal, refuse
from limbeck.signals.kinds import feature
from limbeck.signals.rowwise import compute_rows
from limbeck.signals.spectral import unknown_kinds

__all__ = ["PAIN_STATISTICS", "statistics"]


def _undefined(x: np.ndarray) -> np.ndarray:
    return np.full(x.shape[:-1], np.nan)


def _slope(x: np.ndarray, rate: float) -> np.ndarray:
    times = np.arange(x.shape[-1]) / rate
    times -= times.mean()
    spread = np.square(times).sum()
    # from the first sample on, so that a constant has no slope by rounding
    return np.vecdot(x - x[..., :1], times) / spread if spread > 0 else _undefined(x)


def _sd(x: np.ndarray) -> np.ndarray:
    return (x - x[..., :1]).std(axis=-1)


def _rms_difference(x: np.ndarray, rate: float) -> np.ndarray:
    return np.sqrt(np.square(np.diff(x, axis=-1)).mean(axis=-1)) if x.shape[-1] > 1 else _undefined(x)


def _mean_abs_difference(x: np.ndarray, order: int) -> np.ndarray:
    return np.abs(np.diff(x, n=order, axis=-1)).mean(axis=-1) if x.shape[-1] > order else _undefined(x)


def _in_sd(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return what `values` is of the standardised signal; NaN where there is no spread to standardise by."""
    sd = _sd(x)
    return np.divide(values, sd, out=_undefined(x), where=sd > 0)


def _standard_moment(x: np.ndarray, order: int) -> np.ndarray:
    centred = x - x[..., :1]
    centred -= centred.mean(axis=-1, keepdims=True)
    moment, sd = (centred**order).mean(axis=-1), _sd(x)
    return np.divide(moment, sd**order, out=_undefined(x), where=sd > 0)


def _mean_position(x: np.ndarray, rate: float) -> np.ndarray:
    """Return the mean time of the local maxima; a plateau counts once, in its middle; the ends do not count."""
    from scipy import signal

    samples = x.shape[-1]
    # all rows in one long one with a NaN between them, which no maximum reaches across
    flat = np.full((int(np.prod(x.shape[:-1])), samples + 1), np.nan)
    flat[:, :-1] = x.reshape(-1, samples)
    _, plateaus = signal.find_peaks(flat.ravel(), plateau_size=1)
    row, left = np.divmod(plateaus["left_edges"], samples + 1)
    right = plateaus["right_edges"] % (samples + 1)
    count = np.bincount(row, minlength=len(flat))
    total = np.bincount(row, weights=(left + right) / 2, minlength=len(flat))
    mean = np.divide(total, count * rate, out=np.full(len(flat), np.nan), where=count > 0)
    return mean.reshape(x.shape[:-1])


def _half_difference(x: np.ndarray, rate: float) -> np.ndarray:
    samples = x.shape[-1]
    if samples < 2:
        return _undefined(x)
    return x[..., samples - samples // 2 :].mean(axis=-1) - x[..., : samples // 2].mean(axis=-1)


_STATISTICS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "mean": lambda x, rate: x.mean(axis=-1),
    "sd": lambda x, rate: _sd(x),
    "min": lambda x, rate: x.min(axis=-1),
    "max": lambda x, rate: x.max(axis=-1),
    "range": lambda x, rate: np.ptp(x, axis=-1),
    "slope": _slope,
    "rms_difference": _rms_difference,
    "median": lambda x, rate: np.median(x, axis=-1),
    "iqr": lambda x, rate: np.subtract(*np.quantile(x, [0.75, 0.25], axis=-1)),
    "skewness": lambda x, rate: _standard_moment(x, 3),
    "kurtosis": lambda x, rate: _standard_moment(x, 4) - 3,
    "variance": lambda x, rate: np.square(_sd(x)),
    "rms": lambda x, rate: np.sqrt(np.square(x).mean(axis=-1)),
    "mean_abs": lambda x, rate: np.abs(x).mean(axis=-1),
    "mean_abs_difference": lambda x, rate: _mean_abs_difference(x, 1),
    "mean_abs_second_difference": lambda x, rate: _mean_abs_difference(x, 2),
    "standard_mean_abs_difference": lambda x, rate: _in_sd(_mean_abs_difference(x, 1), x),
    "standard_mean_abs_second_difference": lambda x, rate: _in_sd(_mean_abs_difference(x, 2), x),
    "moments_variance": lambda x, rate: np.square(x.mean(axis=-1) - np.square(_sd(x))) / 4,
    "argmax": lambda x, rate: x.argmax(axis=-1) / rate,
    "argmin": lambda x, rate: x.argmin(axis=-1) / rate,
    "maxima_position": _mean_position,
    "minima_position": lambda x, rate: _mean_position(-x, rate),
    "end_difference": lambda x, rate: x[..., -1] - x[..., 0],
    "half_difference": _half_difference,
}

_USUAL = ("mean", "sd", "min", "max", "range", "slope", "rms_difference")

PAIN_STATISTICS: tuple[str, ...] = (
    "max",
    "min",
    "range",
    "sd",
    "iqr",
    "mean",
    "rms",
    "maxima_position",
    "minima_position",
    "mean_abs",
    "mean_abs_difference",
    "mean_abs_second_difference",
    "standard_mean_abs_difference",
    "standard_mean_abs_second_difference",
    "moments_variance",
    "argmax",
    "argmin",
    "end_difference",
)
"""The 18 kinds of :func:`statistics` of hand-made features in pain recognition (Gouverneur et al., *Sensors* 23:1959,
2023), in order."""


def _check(kinds: Sequence[str]) -> Iterator[str]:
    yield from unknown_kinds(kinds, _STATISTICS)


@feature(
    "statistics",
    columns=lambda kinds: tuple(kinds),
    check=_check,
    unit="the signal's; slope per second; positions s; skewness, kurtosis, standard_* without",
    source="moments and quantiles, numpy.quantile; those of pain recognition: Gouverneur et al., Sensors 23:1959, 2023",
)
def statistics(x: np.ndarray, rate: float, kinds: Sequence[str] = _USUAL) -> np.ndarray:
    """Statistics of each channel over the window, in the order in which they are named.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
    rate : float
        Hz.
    kinds : sequence of str
        Of ``mean sd min max range median iqr rms mean_abs`` (in the signal's unit; sd divides by n), ``variance``,
        ``slope`` (of the least-squares line, unit per second), ``rms_difference`` (root mean square of the differences
        of neighbouring samples), ``mean_abs_difference``, ``mean_abs_second_difference`` (mean size of first and second
        differences) and the same of the standardised signal, ``standard_mean_abs_difference``,
        ``standard_mean_abs_second_difference``; ``skewness`` and ``kurtosis`` (excess); ``moments_variance`` (the
        variance of the two numbers mean and variance: a quarter of their squared difference, which depends on the
        unit); ``argmax`` and ``argmin`` (of the first such sample), ``maxima_position`` and ``minima_position`` (mean
        over the local ones, ends excluded), in seconds from the window's start; ``end_difference`` (last sample less
        first), ``half_difference`` (mean of the second half less that of the first; a middle sample is in neither).

    Returns
    -------
    ndarray of shape (..., n_kinds), float64
        NaN where samples are missing, where there are too few samples for a difference, for skewness, kurtosis and
        ``standard_*`` of a constant, and for the positions of local extremes where there is none.

    Raises
    ------
    DataError
        No samples at all.
    """
    x = as_signal(x, rate)
    refuse(_check(kinds))

    def compute(rows: np.ndarray, flat: np.ndarray) -> np.ndarray:
        rows = np.where(flat[:, np.newaxis], rows[:, :1], rows)  # rounding noise is no signal
        return np.stack([_STATISTICS[kind](rows, rate) for kind in kinds], axis=-1)

    return compute_rows(x, len(kinds), compute)
