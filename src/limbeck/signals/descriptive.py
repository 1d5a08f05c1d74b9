"""Plain statistics of a window, for any modality."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from limbeck.signals.pipeline import feature
from limbeck.signals.spectral import unknown_kinds

__all__ = ["statistics"]


def _slope(x: np.ndarray, rate: float) -> np.ndarray:
    times = np.arange(x.shape[-1]) / rate
    times -= times.mean()
    spread = np.square(times).sum()
    return x @ times / spread if spread > 0 else np.full(x.shape[:-1], np.nan)


def _rms_difference(x: np.ndarray, rate: float) -> np.ndarray:
    return np.sqrt(np.square(np.diff(x, axis=-1)).mean(axis=-1)) if x.shape[-1] > 1 else np.full(x.shape[:-1], np.nan)


def _standard_moment(x: np.ndarray, order: int) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    sd = x.std(axis=-1)
    # rounding leaves a constant signal with a spread of a few units in the last place
    flat = sd <= 1e-12 * np.abs(x).max(axis=-1)
    moment = (centred**order).mean(axis=-1)
    return np.divide(moment, sd**order, out=np.full_like(moment, np.nan), where=~flat)


_STATISTICS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "mean": lambda x, rate: x.mean(axis=-1),
    "sd": lambda x, rate: x.std(axis=-1),
    "min": lambda x, rate: x.min(axis=-1),
    "max": lambda x, rate: x.max(axis=-1),
    "range": lambda x, rate: np.ptp(x, axis=-1),
    "slope": _slope,
    "rms_difference": _rms_difference,
    "median": lambda x, rate: np.median(x, axis=-1),
    "iqr": lambda x, rate: np.subtract(*np.quantile(x, [0.75, 0.25], axis=-1)),
    "skewness": lambda x, rate: _standard_moment(x, 3),
    "kurtosis": lambda x, rate: _standard_moment(x, 4) - 3,
}

_USUAL = ("mean", "sd", "min", "max", "range", "slope", "rms_difference")


def _check(kinds: Sequence[str]) -> Iterator[str]:
    yield from unknown_kinds(kinds, _STATISTICS)


@feature("statistics", columns=lambda kinds: tuple(kinds), check=_check)
def statistics(x: np.ndarray, rate: float, kinds: Sequence[str] = _USUAL) -> np.ndarray:
    """Statistics of each channel over the window, in the order in which they are named.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
    rate : float
        Hz.
    kinds : sequence of str
        Of ``mean sd min max range median iqr`` (in the signal's unit; sd divides by n), ``slope`` (of the least-squares
        line, unit per second), ``rms_difference`` (root mean square of the differences of neighbouring samples),
        ``skewness`` and ``kurtosis`` (excess; both NaN for a constant signal).

    Returns
    -------
    ndarray of shape (..., n_kinds), float64
        NaN where samples are missing.
    """
    x = np.asarray(x, dtype=np.float64)
    return np.stack([_STATISTICS[kind](x, rate) for kind in kinds], axis=-1)
