"""Steps that change samples one by one, or the channels of one sample together: clip, log, magnitude, demean."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from limbeck.errors import DataError
from limbeck.signals.arrays import above_zero, as_signal, refuse
from limbeck.signals.kinds import step
from limbeck.signals.trends import detrend

__all__ = ["clip", "demean", "log", "magnitude"]


def _check_limits(low: float, high: float) -> Iterator[str]:
    real = all(isinstance(limit, int | float | np.integer | np.floating) for limit in (low, high))
    if not (real and low < high):  # one that is infinite limits one side only
        yield f"low must be below high, found {low!r} and {high!r}"


def _check_floor(floor: float) -> Iterator[str]:
    yield from above_zero("floor", floor, "")


@step("clip", runs="recording", causal=True, check=_check_limits, source="numpy.clip")
def clip(x: np.ndarray, rate: float, low: float, high: float) -> np.ndarray:
    """Limit samples to ``[low, high]`` in the signal's unit; missing samples stay missing."""
    x = as_signal(x, rate, least=0)
    refuse(_check_limits(low, high))
    with np.errstate(over="ignore"):  # a limit beyond single precision is none
        return np.clip(x, float(low), float(high))


@step(
    "log",
    runs="recording",
    causal=True,
    check=_check_floor,
    new_unit=lambda unit, **_: f"ln({unit})",
    source="numpy.log",
)
def log(x: np.ndarray, rate: float, floor: float = 1e-3) -> np.ndarray:
    """Take the natural logarithm; samples below `floor` (in the signal's unit) are raised to it first."""
    x = as_signal(x, rate, least=0)
    refuse(_check_floor(floor))
    smallest = float(np.finfo(x.dtype).tiny)  # in single precision a floor below it is 0
    return np.log(np.maximum(x, max(float(floor), smallest)))


@step("magnitude", runs="recording", causal=True, new_channels=lambda channels: ("magnitude",), source="Euclidean norm")
def magnitude(x: np.ndarray, rate: float) -> np.ndarray:
    """Combine the channels into the length of their vector: the acceleration of a three-axis sensor.

    Parameters
    ----------
    x : ndarray of shape (..., n_channels, n_times)
    rate : float
        Hz; not used.

    Returns
    -------
    ndarray of shape (..., 1, n_times)
        Missing where any channel is.
    """
    x = as_signal(x, rate, least=0)
    if x.ndim < 2:
        raise DataError(f"The magnitude needs an array (..., channel, time); found shape {x.shape}.")
    return np.sqrt(np.square(x).sum(axis=-2, keepdims=True))


@step("demean", runs="window", causal=True, source="numpy.mean")
def demean(x: np.ndarray, rate: float) -> np.ndarray:
    """Take each channel's mean over the window off it; the same as :func:`detrend` with ``kind: constant``."""
    return detrend(x, rate, "constant")
