"""Filters: band-pass, low-pass, high-pass, band-stop and notch, recursive (Butterworth) or linear in phase.

A filter is designed once per cut-off and rate, and runs over whole arrays in double precision, some rows at a time.

``method: iir``, the default, is a Butterworth filter (the notch a second-order resonator) as second-order sections. It
runs forwards and backwards (``sosfiltfilt``: no phase shift, twice the order); with ``causal: true`` forwards only
(``sosfilt``): little delay, which differs with the frequency.

``method: fir`` is a symmetric window-sinc filter (``firwin``, Hamming), which delays all frequencies alike. It runs
once with the delay taken off; with ``causal: true`` the delay of half its length stays in: (length - 1) / 2 samples.
Its length follows the transition band, as in MNE and in Widmann et al. 2015: 3.3 * rate / width taps, rounded up to an
odd number. The width at a cut-off is a quarter of it, but at least 2 Hz; never more than the distance to 0 Hz or half
the rate, nor than half of the band. The amplitude is one half at the cut-offs. Low-passes of that length, taken from
one another or from an impulse, make the other kinds. A high-pass at 0.5 Hz has 6.6 s of taps and delays a causal
pipeline by 3.3 s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np

from limbeck.errors import DataError, did_you_mean
from limbeck.signals.arrays import as_signal
from limbeck.signals.gaps import fill_gaps, hold_gaps, missing, row_chunks
from limbeck.signals.kinds import step
from limbeck.signals.rowwise import refuse

__all__ = ["bandpass", "bandstop", "highpass", "lowpass", "notch"]

METHODS = ("iir", "fir")
"""How a filter is made."""

_KEEP_LEVEL = ("lowpass", "bandstop")
"""Kinds of filter that pass 0 Hz."""

_HAMMING = 3.3
"""Transition bandwidth of a Hamming-windowed sinc, times its duration."""


def _check_method(method: str) -> Iterator[str]:
    if method not in METHODS:
        yield f"there is no method '{method}'.{did_you_mean(str(method), METHODS)}"


def _check_band(low: float, high: float, method: str, **_: object) -> Iterator[str]:
    yield from _check_method(method)
    if not 0 < low < high:
        yield f"the cut-offs must satisfy 0 < low < high, found low {low} and high {high} Hz"


def _check_cutoff(cutoff: float, method: str, **_: object) -> Iterator[str]:
    yield from _check_method(method)
    if cutoff <= 0:
        yield f"the cut-off must be above 0 Hz, found {cutoff}"


def _check_notch(frequency: float, quality: float, method: str, **_: object) -> Iterator[str]:
    yield from _check_method(method)
    if frequency <= 0 or quality <= 0.5:
        yield f"frequency must be above 0 and quality above 0.5, found {frequency} and {quality}"


@step("bandpass", runs="recording", causal="causal", check=_check_band, source="scipy.signal.butter, firwin")
def bandpass(
    x: np.ndarray,
    rate: float,
    low: float,
    high: float,
    *,
    order: int = 4,
    method: str = "iir",
    causal: bool = False,
) -> np.ndarray:
    """Keep the frequencies between two cut-offs.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
        Missing samples (NaN) are interpolated for the filter (held, if causal) and are NaN again in the output.
    rate : float
        Hz.
    low, high : float
        Cut-offs in Hz: -3 dB of one pass (iir) or -6 dB (fir).
    order : int
        Order of one pass of the Butterworth filter; not used by ``fir``.
    method : {"iir", "fir"}
        Butterworth; or linear in phase, whose length follows the transition band (a quarter of the cut-off, at least
        2 Hz, at most the cut-off itself): long and slow for low cut-offs.
    causal : bool
        Forwards only: no output depends on a later sample. ``iir`` then delays little, and each frequency differently;
        ``fir`` delays by half its length, ``(ceil(3.3 * rate / transition) - 1) / 2`` samples (up to the rounding of a
        Fourier transform, which runs over later samples too).

    Returns
    -------
    ndarray of shape (..., n_times)
        In the floating type of `x`, filtered in double precision.

    Raises
    ------
    DataError
        A cut-off at or above half the rate; too few samples for the zero-phase filter's padding.
    """
    return _filter(x, rate, "bandpass", (low, high), order, method, causal)


@step("bandstop", runs="recording", causal="causal", check=_check_band, source="scipy.signal.butter, firwin")
def bandstop(
    x: np.ndarray,
    rate: float,
    low: float,
    high: float,
    *,
    order: int = 4,
    method: str = "iir",
    causal: bool = False,
) -> np.ndarray:
    """Remove the frequencies between two cut-offs in Hz; parameters as of :func:`bandpass`."""
    return _filter(x, rate, "bandstop", (low, high), order, method, causal)


@step("lowpass", runs="recording", causal="causal", check=_check_cutoff, source="scipy.signal.butter, firwin")
def lowpass(
    x: np.ndarray, rate: float, cutoff: float, *, order: int = 4, method: str = "iir", causal: bool = False
) -> np.ndarray:
    """Keep the frequencies below a cut-off in Hz; parameters as of :func:`bandpass`."""
    return _filter(x, rate, "lowpass", (cutoff,), order, method, causal)


@step("highpass", runs="recording", causal="causal", check=_check_cutoff, source="scipy.signal.butter, firwin")
def highpass(
    x: np.ndarray, rate: float, cutoff: float, *, order: int = 4, method: str = "iir", causal: bool = False
) -> np.ndarray:
    """Keep the frequencies above a cut-off in Hz; parameters as of :func:`bandpass`."""
    return _filter(x, rate, "highpass", (cutoff,), order, method, causal)


@step("notch", runs="recording", causal="causal", check=_check_notch, source="scipy.signal.iirnotch, firwin")
def notch(
    x: np.ndarray,
    rate: float,
    frequency: float = 50.0,
    *,
    quality: float = 30.0,
    method: str = "iir",
    causal: bool = False,
) -> np.ndarray:
    """Remove one frequency in Hz, such as the mains'; `quality` is frequency over bandwidth.

    ``iir`` is ``scipy.signal.iirnotch``, ``fir`` a band-stop of the same bandwidth; the other parameters are those of
    :func:`bandpass`.
    """
    if method == "fir":
        half = frequency / quality / 2
        return _filter(x, rate, "bandstop", (frequency - half, frequency + half), 0, method, causal)
    refuse(_check_method(method))
    x = as_signal(x, rate, least=0)
    return _run_sections(x, _notch(float(frequency), float(quality), float(rate)), causal, True)


def _filter(
    x: np.ndarray, rate: float, kind: str, cutoffs: tuple[float, ...], order: int, method: str, causal: bool
) -> np.ndarray:
    x = as_signal(x, rate, least=0)
    refuse(_check_method(method))
    cutoffs = tuple(float(cutoff) for cutoff in cutoffs)
    if method == "fir":
        return _run_taps(x, _window_sinc(kind, cutoffs, float(rate)), causal, kind in _KEEP_LEVEL)
    return _run_sections(x, _butterworth(kind, cutoffs, float(rate), order), causal, kind in _KEEP_LEVEL)


@lru_cache(maxsize=256)
def _butterworth(kind: str, cutoffs: tuple[float, ...], rate: float, order: int) -> np.ndarray:
    from scipy import signal

    _refuse_cutoffs(cutoffs, rate, kind)
    sections = signal.butter(order, cutoffs if len(cutoffs) > 1 else cutoffs[0], btype=kind, fs=rate, output="sos")
    return _read_only(sections)


@lru_cache(maxsize=256)
def _notch(frequency: float, quality: float, rate: float) -> np.ndarray:
    from scipy import signal

    _refuse_cutoffs((frequency,), rate, "notch")
    return _read_only(signal.tf2sos(*signal.iirnotch(frequency, quality, fs=rate)))


@lru_cache(maxsize=256)
def _window_sinc(kind: str, cutoffs: tuple[float, ...], rate: float) -> np.ndarray:
    from scipy import signal

    _refuse_cutoffs(cutoffs, rate, kind)
    widths = [min(max(cutoff / 4, 2.0), cutoff, rate / 2 - cutoff) for cutoff in cutoffs]
    width = min(widths) if len(cutoffs) == 1 else min(*widths, (cutoffs[1] - cutoffs[0]) / 2)
    # an odd length is symmetric about a sample, and the only one with which a high-pass can be made
    taps = max(3, math.ceil(_HAMMING * rate / width) | 1)
    # low-passes have a gain of exactly 1 at 0 Hz, so that what is made of them removes or keeps a level exactly
    below = [signal.firwin(taps, cutoff, fs=rate) for cutoff in cutoffs]
    impulse = np.zeros(taps)
    impulse[taps // 2] = 1.0
    between = below[-1] - below[0]
    designs = {"lowpass": below[0], "highpass": impulse - below[0], "bandpass": between, "bandstop": impulse - between}
    return _read_only(designs[kind])


def _refuse_cutoffs(cutoffs: tuple[float, ...], rate: float, kind: str) -> None:
    if not all(np.isfinite(cutoffs)) or cutoffs[0] <= 0 or any(np.diff(cutoffs) <= 0):
        found = " and ".join(f"{cutoff:g}" for cutoff in cutoffs)
        raise DataError(f"{kind}: cut-offs must be above 0 Hz, the lower one first; found {found} Hz.")
    if cutoffs[-1] >= rate / 2:
        raise DataError(
            f"{kind}: {cutoffs[-1]:g} Hz cannot be filtered in a signal sampled at {rate:g} Hz; "
            f"the frequency must lie below {rate / 2:g} Hz."
        )


def _read_only(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)  # the design is shared by all who ask for the same filter
    return array


def _run_sections(x: np.ndarray, sections: np.ndarray, causal: bool, keeps_level: bool) -> np.ndarray:
    from scipy import signal

    sections = sections.copy()  # scipy wants sections that it may write to

    def forwards(rows: np.ndarray) -> np.ndarray:
        # starting as if the first sample had always been there avoids the step response at the beginning
        state = signal.sosfilt_zi(sections)[:, np.newaxis] * rows[:, :1]
        return signal.sosfilt(sections, rows, axis=-1, zi=state)[0]

    if causal:
        return _by_rows(x, forwards, hold_gaps, keeps_level)
    _refuse_short(x, _padding(sections) + 1, "Use a longer recording, a lower order or causal: true.")
    return _by_rows(x, lambda rows: signal.sosfiltfilt(sections, rows, axis=-1), fill_gaps, keeps_level)


def _run_taps(x: np.ndarray, taps: np.ndarray, causal: bool, keeps_level: bool) -> np.ndarray:
    from scipy import signal

    half = len(taps) // 2

    def convolve(padded: np.ndarray) -> np.ndarray:
        return signal.oaconvolve(padded, taps[np.newaxis], mode="valid", axes=-1)

    def forwards(rows: np.ndarray) -> np.ndarray:
        return convolve(np.concatenate([np.repeat(rows[:, :1], 2 * half, axis=-1), rows], axis=-1))

    def centred(rows: np.ndarray) -> np.ndarray:
        # mirrored through its end sample, as sosfiltfilt does, a signal keeps its level and its slope at the ends
        before = 2 * rows[:, :1] - rows[:, half:0:-1]
        behind = 2 * rows[:, -1:] - rows[:, -2 : -half - 2 : -1]
        return convolve(np.concatenate([before, rows, behind], axis=-1))

    if causal:
        return _by_rows(x, forwards, hold_gaps, keeps_level)
    _refuse_short(x, half + 1, "Use a longer recording, method: iir or causal: true.")
    return _by_rows(x, centred, fill_gaps, keeps_level)


def _refuse_short(x: np.ndarray, needed: int, advice: str) -> None:
    if x.shape[-1] < needed:
        raise DataError(f"The zero-phase filter needs at least {needed} samples; found {x.shape[-1]}. {advice}")


def _by_rows(
    x: np.ndarray,
    run: Callable[[np.ndarray], np.ndarray],
    fill: Callable[[np.ndarray, np.ndarray], np.ndarray],
    keeps_level: bool,
) -> np.ndarray:
    """Run a filter over some rows at a time in double precision, gaps filled before it and NaN behind it.

    The level of the first sample is set aside and, where the filter passes 0 Hz, put back: a constant row becomes
    exactly itself or 0, and a large offset costs no precision.
    """
    if x.size == 0:
        return x.copy()
    rows = x.reshape(-1, x.shape[-1])
    filtered = np.empty_like(rows)
    for chunk in row_chunks(*rows.shape):
        gaps = missing(rows[chunk])
        filled = fill(rows[chunk].astype(np.float64, copy=False), gaps)
        level = filled[:, :1]
        changes = run(filled - level)
        filtered[chunk] = changes + level if keeps_level else changes
        filtered[chunk][gaps] = np.nan
    return filtered.reshape(x.shape)


def _padding(sections: np.ndarray) -> int:
    """Return the samples by which ``scipy.signal.sosfiltfilt`` pads, which must be fewer than there are."""
    taps = 2 * len(sections) + 1
    return int(3 * (taps - min((sections[:, 2] == 0).sum(), (sections[:, 5] == 0).sum())))
