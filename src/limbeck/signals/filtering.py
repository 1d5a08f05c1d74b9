"""Filters: Butterworth band-pass, low-pass and high-pass, and a notch, as second-order sections over whole arrays.

A filter is designed once per cut-off and rate. By default it runs forwards and backwards (``sosfiltfilt``: no phase
shift, twice the order); with ``causal=True`` it runs forwards only (``sosfilt``): no output depends on a later sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from limbeck.errors import DataError
from limbeck.signals.gaps import fill_gaps, hold_gaps, missing
from limbeck.signals.pipeline import step

__all__ = ["bandpass", "highpass", "lowpass", "notch"]


def _check_band(low: float, high: float, **_: object) -> Iterator[str]:
    if not 0 < low < high:
        yield f"the cut-offs must satisfy 0 < low < high, found low {low} and high {high} Hz"


def _check_cutoff(cutoff: float, **_: object) -> Iterator[str]:
    if cutoff <= 0:
        yield f"the cut-off must be above 0 Hz, found {cutoff}"


def _check_notch(frequency: float, quality: float, **_: object) -> Iterator[str]:
    if frequency <= 0 or quality <= 0:
        yield f"frequency and quality must be above 0, found {frequency} and {quality}"


@step("bandpass", runs="recording", causal="causal", check=_check_band)
def bandpass(
    x: np.ndarray, rate: float, low: float, high: float, *, order: int = 4, causal: bool = False
) -> np.ndarray:
    """Keep the frequencies between two cut-offs (Butterworth).

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
        Missing samples (NaN) are interpolated for the filter (held, if causal) and are NaN again in the output.
    rate : float
        Hz.
    low, high : float
        Cut-offs (-3 dB of one pass) in Hz.
    order : int
        Order of one pass.
    causal : bool
        Forwards only: no output depends on a later sample.

    Returns
    -------
    ndarray of shape (..., n_times)
        In the floating type of `x`, filtered in double precision.

    Raises
    ------
    DataError
        A cut-off at or above half the rate; too few samples for the zero-phase filter's padding.
    """
    return _apply(x, _butterworth("bandpass", (float(low), float(high)), float(rate), order), causal)


@step("lowpass", runs="recording", causal="causal", check=_check_cutoff)
def lowpass(x: np.ndarray, rate: float, cutoff: float, *, order: int = 4, causal: bool = False) -> np.ndarray:
    """Keep the frequencies below a cut-off in Hz (Butterworth); parameters as of :func:`bandpass`."""
    return _apply(x, _butterworth("lowpass", (float(cutoff),), float(rate), order), causal)


@step("highpass", runs="recording", causal="causal", check=_check_cutoff)
def highpass(x: np.ndarray, rate: float, cutoff: float, *, order: int = 4, causal: bool = False) -> np.ndarray:
    """Keep the frequencies above a cut-off in Hz (Butterworth); parameters as of :func:`bandpass`."""
    return _apply(x, _butterworth("highpass", (float(cutoff),), float(rate), order), causal)


@step("notch", runs="recording", causal="causal", check=_check_notch)
def notch(
    x: np.ndarray, rate: float, frequency: float = 50.0, *, quality: float = 30.0, causal: bool = False
) -> np.ndarray:
    """Remove one frequency in Hz, such as the mains'; `quality` is frequency over bandwidth.

    The filter is ``scipy.signal.iirnotch``; the other parameters are those of :func:`bandpass`.
    """
    return _apply(x, _notch(float(frequency), float(quality), float(rate)), causal)


@lru_cache(maxsize=256)
def _butterworth(kind: str, cutoffs: tuple[float, ...], rate: float, order: int) -> np.ndarray:
    from scipy import signal

    _refuse_above_nyquist(max(cutoffs), rate, kind)
    sections = signal.butter(order, cutoffs if len(cutoffs) > 1 else cutoffs[0], btype=kind, fs=rate, output="sos")
    return _read_only(sections)


@lru_cache(maxsize=256)
def _notch(frequency: float, quality: float, rate: float) -> np.ndarray:
    from scipy import signal

    _refuse_above_nyquist(frequency, rate, "notch")
    return _read_only(signal.tf2sos(*signal.iirnotch(frequency, quality, fs=rate)))


def _refuse_above_nyquist(frequency: float, rate: float, kind: str) -> None:
    if frequency >= rate / 2:
        raise DataError(
            f"{kind}: {frequency:g} Hz cannot be filtered in a signal sampled at {rate:g} Hz; "
            f"the frequency must lie below {rate / 2:g} Hz."
        )


def _read_only(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)  # the design is shared by all who ask for the same filter
    return array


def _apply(x: np.ndarray, sections: np.ndarray, causal: bool) -> np.ndarray:
    from scipy import signal

    x = np.asarray(x)
    dtype = x.dtype if np.issubdtype(x.dtype, np.floating) else np.dtype(np.float64)
    if causal and x.shape[-1] == 0:
        return x.astype(dtype)
    gaps = missing(x)
    if causal:
        filled = hold_gaps(x.astype(np.float64, copy=False), gaps)
        # starting as if the first sample had always been there avoids the step response at the beginning
        state = signal.sosfilt_zi(sections)
        state = state.reshape(len(state), *[1] * (x.ndim - 1), 2) * filled[..., :1]
        # scipy wants sections that it may write to
        filtered = signal.sosfilt(sections.copy(), filled, axis=-1, zi=state)[0]
    else:
        needed = _padding(sections) + 1
        if x.shape[-1] < needed:
            raise DataError(
                f"The zero-phase filter needs at least {needed} samples; found {x.shape[-1]}. "
                "Use a longer recording, a lower order or causal: true."
            )
        filtered = signal.sosfiltfilt(sections.copy(), fill_gaps(x.astype(np.float64, copy=False), gaps), axis=-1)
    filtered = filtered.astype(dtype, copy=False)
    filtered[gaps] = np.nan
    return filtered


def _padding(sections: np.ndarray) -> int:
    """Return the samples by which ``scipy.signal.sosfiltfilt`` pads, which must be fewer than there are."""
    taps = 2 * len(sections) + 1
    return int(3 * (taps - min((sections[:, 2] == 0).sum(), (sections[:, 5] == 0).sum())))
