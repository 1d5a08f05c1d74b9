"""What every function of this room asks of its arrays, checked in one place."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from limbeck.errors import DataError

__all__ = ["above_zero", "as_signal", "is_flat", "is_number", "is_whole", "refuse"]


def is_number(value: object) -> bool:
    """Return whether a value is a finite real number, of Python or of NumPy; truth values are none."""
    kinds = (int, float, np.integer, np.floating)
    return isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: object) -> bool:
    """Return whether a value is an integer, of Python or of NumPy; truth values are none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def above_zero(what: str, value: object, unit: str) -> Iterator[str]:
    """Yield what is wrong with a parameter that is a finite number above 0.

    Parameters
    ----------
    what : str
        What a sentence calls it.
    value : object
    unit : str
        Of the number, such as ``" s"``; empty for none.
    """
    if not (is_number(value) and value > 0):  # type: ignore[operator]
        yield f"{what} must be a number above 0{unit}, found {value!r}"


def refuse(mistakes: Iterable[str]) -> None:
    """Raise DataError with the first of the mistakes, if there is one."""
    for mistake in mistakes:
        raise DataError(f"{mistake[0].upper()}{mistake[1:].removesuffix('.')}.")


def as_signal(x: np.ndarray, rate: float, *, least: int = 1) -> np.ndarray:
    """Return samples as a floating array, refusing what is no signal.

    Parameters
    ----------
    x : array-like of shape (..., n_times)
        Numbers; integers become float64, float32 and float64 stay as they are.
    rate : float
        Hz.
    least : int
        Samples that there must be.

    Returns
    -------
    ndarray of shape (..., n_times), float32 or float64
        `x` itself where it is one already; infinite samples, which no sensor gives, are missing (NaN) in a copy.

    Raises
    ------
    DataError
        No numbers, no time axis, fewer samples than needed, or a rate that is not finite and above 0.
    """
    x = np.asarray(x)
    if not (is_number(rate) and rate > 0):
        raise DataError(f"The sampling rate must be a number of Hz above 0; found {rate!r}.")
    if x.ndim == 0 or x.dtype.kind not in "fiub":
        raise DataError(
            f"A signal is an array of real numbers of shape (..., time); found {x.dtype} of shape {x.shape}."
        )
    if x.shape[-1] < least:
        raise DataError(
            f"At least {least} samples are needed; found {x.shape[-1]} ({x.shape[-1] / rate:g} s at {rate:g} Hz)."
        )
    if x.dtype not in (np.float32, np.float64):
        x = x.astype(np.float64)
    if x.flags.c_contiguous and np.isfinite(np.vdot(x, x)):
        return x  # a sum of squares is finite only if all samples are, and costs less than to look at each
    infinite = np.isinf(x)
    return np.where(infinite, np.asarray(np.nan, dtype=x.dtype), x) if infinite.any() else x


def is_flat(x: np.ndarray) -> np.ndarray:
    """Return which rows hold one value only, up to rounding.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float

    Returns
    -------
    ndarray of shape (...), bool
        False for rows with missing samples.
    """
    rounding = 8 * np.finfo(x.dtype).eps
    # of most rows two samples tell that they are not flat; only the others are looked at as a whole
    one, other = x[..., 0], x[..., x.shape[-1] // 2]
    flat = np.asarray(np.abs(one - other) <= 2 * rounding * np.abs(one))
    if flat.any():
        rows = x[flat]
        flat[flat] = np.ptp(rows, axis=-1) <= rounding * np.abs(rows).max(axis=-1)
    return flat
