"""Complexity of a signal in time: Hjorth's parameters, line length and zero crossings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from limbeck.signals.arrays import as_signal, refuse
from limbeck.signals.kinds import feature
from limbeck.signals.spectral import centred, in_blocks, unknown_kinds

__all__ = ["hjorth", "waveform"]

_HJORTH = ("activity", "mobility", "complexity")


def _check_hjorth(kinds: Sequence[str]) -> Iterator[str]:
    yield from unknown_kinds(kinds, _HJORTH)


@feature(
    "hjorth",
    columns=lambda kinds: tuple(kinds),
    check=_check_hjorth,
    unit="activity: the unit squared; mobility: 1/s; complexity: none",
    source="Hjorth 1970",
)
def hjorth(x: np.ndarray, rate: float, kinds: Sequence[str] = _HJORTH) -> np.ndarray:
    """Hjorth's parameters of each channel: activity, mobility and complexity.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
    rate : float
        Hz.
    kinds : sequence of str
        ``activity``: the variance. ``mobility``: the standard deviation of the slope over that of the signal, the slope
        being the difference of neighbouring samples times the rate; a slow sine of f Hz has 2 pi f. Libraries that
        leave the rate out give it per sample. ``complexity``: the mobility of the slope over that of the signal; 1 for
        a sine, more the less it is like one.

    Returns
    -------
    ndarray of shape (..., n_kinds)
        In the floating type of `x`, computed in double precision. NaN where samples are missing; mobility is NaN for a
        constant signal, complexity also for a straight line.

    Raises
    ------
    DataError
        Fewer than 4 samples.
    """
    x = as_signal(x, rate, least=4)
    refuse(_check_hjorth(kinds))

    def parameters(rows: np.ndarray) -> np.ndarray:
        level = centred(rows)
        activity = np.square(level).mean(axis=-1)
        slope = np.diff(level, axis=-1)
        slope_variance = slope.var(axis=-1)
        # the slope of a straight line varies by the rounding of its samples only
        slope_variance[slope_variance <= np.square(2 * np.finfo(rows.dtype).eps * np.abs(rows).max(axis=-1))] = 0.0
        bend_variance = np.diff(slope, axis=-1).var(axis=-1)
        squared_mobility = _ratio(slope_variance, activity)
        columns = {
            "activity": activity,
            "mobility": np.sqrt(squared_mobility) * rate,
            "complexity": np.sqrt(_ratio(_ratio(bend_variance, slope_variance), squared_mobility)),
        }
        return np.stack([columns[kind] for kind in kinds], axis=-1)

    return in_blocks(x, len(kinds), parameters, expansion=2).astype(x.dtype, copy=False)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


def _line_length(level: np.ndarray, rate: float) -> np.ndarray:
    return np.abs(np.diff(level, axis=-1)).mean(axis=-1) * rate


def _zero_crossings(level: np.ndarray, rate: float) -> np.ndarray:
    # a sample on the mean belongs to the side above it, so that resting there crosses nothing
    above = level >= 0
    return (above[:, 1:] != above[:, :-1]).mean(axis=-1) * rate


_WAVEFORM: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "line_length": _line_length,
    "zero_crossings": _zero_crossings,
}


def _check_waveform(kinds: Sequence[str]) -> Iterator[str]:
    yield from unknown_kinds(kinds, _WAVEFORM)


@feature(
    "waveform",
    columns=lambda kinds: tuple(kinds),
    check=_check_waveform,
    unit="line_length: the unit per second; zero_crossings: per second",
    source="Esteller et al. 2001 (line length)",
)
def waveform(x: np.ndarray, rate: float, kinds: Sequence[str] = ("line_length", "zero_crossings")) -> np.ndarray:
    """Line length and crossings of the mean per second, of each channel.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
    rate : float
        Hz.
    kinds : sequence of str
        ``line_length``: the path that the signal goes up and down, per second. ``zero_crossings``: how often per second
        it changes to the other side of the window's mean.

    Returns
    -------
    ndarray of shape (..., n_kinds)
        In the floating type of `x`, computed in double precision. NaN where samples are missing; 0 for a constant
        signal.

    Raises
    ------
    DataError
        Fewer than 2 samples.
    """
    x = as_signal(x, rate, least=2)
    refuse(_check_waveform(kinds))

    def columns(rows: np.ndarray) -> np.ndarray:
        level = centred(rows)
        values = np.stack([_WAVEFORM[kind](level, rate) for kind in kinds], axis=-1)
        values[np.isnan(level[:, 0])] = np.nan  # the mean of a row with a missing sample is missing
        return values

    return in_blocks(x, len(kinds), columns, expansion=2).astype(x.dtype, copy=False)
