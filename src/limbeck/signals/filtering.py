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

Near its ends no filter knows what lay beyond, and what it gives there is a guess: over about one period of the lowest
cut-off (``1 / low`` seconds: 20 s for 0.05 Hz), after the first sample and, where the filter runs both ways, before the
last. Backwards and forwards, ``iir`` goes on beyond an end by that end turned over, as ``sosfiltfilt`` does, for a few
samples whatever the cut-off (27 for a band-pass of order 4), and from there as if the level stayed: white noise at
2 kHz, band-passed from 0.05 to 0.5 Hz, has several times its spread in the first seconds. So filter the whole recording
and not its windows, and leave a period at either end out. Under a cut-off whose period is longer than the recording all
of it is such a guess.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np

from limbeck.errors import DataError, did_you_mean
from limbeck.signals.arrays import above_zero, as_signal, is_number, is_whole, refuse
from limbeck.signals.gaps import fill_gaps, hold_gaps, missing, row_chunks
from limbeck.signals.kinds import step

__all__ = ["bandpass", "bandstop", "highpass", "lowpass", "notch"]

METHODS = ("iir", "fir")
"""How a filter is made."""

_KEEP_LEVEL = ("lowpass", "bandstop")
"""Kinds of filter that pass 0 Hz."""

_HAMMING = 3.3
"""Transition bandwidth of a Hamming-windowed sinc, times its duration."""

_MOST_TAPS = 10_000_000
"""Of a linear-phase filter."""

_STRETCH = 100_000
"""Samples that go through the sections at a time: what stays in the processor's cache is faster."""

HIGHEST_ORDER = 100
"""Of a Butterworth filter; from about 150 on its gain is no longer right in double precision."""

_SOUND = 1e-14
"""Least distance of a section's coefficients from an unstable one's; at that distance rounding costs a gain 1 %."""


def _check_method(method: str) -> Iterator[str]:
    if method not in METHODS:
        yield f"there is no method '{method}'.{did_you_mean(str(method), METHODS)}"


def _check_order(order: int) -> Iterator[str]:
    if not (is_whole(order) and 1 <= order <= HIGHEST_ORDER):
        yield f"order must be a whole number from 1 to {HIGHEST_ORDER}, found {order!r}"


def _check_band(low: float, high: float, order: int, method: str, **_: object) -> Iterator[str]:
    yield from _check_method(method)
    yield from _check_order(order)
    if not (is_number(low) and is_number(high) and 0 < low < high):
        yield f"the cut-offs must satisfy 0 < low < high, found low {low!r} and high {high!r} Hz"


def _check_cutoff(cutoff: float, order: int, method: str, **_: object) -> Iterator[str]:
    yield from _check_method(method)
    yield from _check_order(order)
    yield from above_zero("the cut-off", cutoff, " Hz")


def _check_notch(frequency: float, quality: float, method: str, **_: object) -> Iterator[str]:
    yield from _check_method(method)
    yield from above_zero("frequency", frequency, " Hz")
    if not (is_number(quality) and quality > 0.5):
        yield f"quality must be a number above 0.5, found {quality!r}"


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
        Cut-offs in Hz: -3 dB of one pass (iir) or -6 dB (fir). About ``1 / low`` seconds at either end are a guess
        (with ``causal`` at the start only), and all of a shorter signal.
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
        Cut-offs that are no band, or lie at or above half the rate; one so near to 0 Hz (some 1e-8 of the rate) or to
        half the rate that double precision cannot hold the filter; an order that is no whole number from 1 to 100; too
        few samples for the zero-phase filter's padding.
    """
    refuse(_check_band(low, high, order, method))
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
    refuse(_check_band(low, high, order, method))
    return _filter(x, rate, "bandstop", (low, high), order, method, causal)


@step("lowpass", runs="recording", causal="causal", check=_check_cutoff, source="scipy.signal.butter, firwin")
def lowpass(
    x: np.ndarray, rate: float, cutoff: float, *, order: int = 4, method: str = "iir", causal: bool = False
) -> np.ndarray:
    """Keep the frequencies below a cut-off in Hz; parameters as of :func:`bandpass`."""
    refuse(_check_cutoff(cutoff, order, method))
    return _filter(x, rate, "lowpass", (cutoff,), order, method, causal)


@step("highpass", runs="recording", causal="causal", check=_check_cutoff, source="scipy.signal.butter, firwin")
def highpass(
    x: np.ndarray, rate: float, cutoff: float, *, order: int = 4, method: str = "iir", causal: bool = False
) -> np.ndarray:
    """Keep the frequencies above a cut-off in Hz; parameters as of :func:`bandpass`."""
    refuse(_check_cutoff(cutoff, order, method))
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
    """Remove one frequency in Hz, such as the mains'; `quality` is frequency over bandwidth, above 0.5.

    ``iir`` is ``scipy.signal.iirnotch``, ``fir`` a band-stop of the same bandwidth; the other parameters are those of
    :func:`bandpass`. What is removed goes on ringing for about ``quality / frequency`` seconds: so long are the ends a
    guess.
    """
    refuse(_check_notch(frequency, quality, method))
    if method == "fir":
        half = frequency / quality / 2
        return _filter(x, rate, "bandstop", (frequency - half, frequency + half), 0, method, causal)
    x = as_signal(x, rate, least=0)
    return _run_sections(x, _notch(float(frequency), float(quality), float(rate)), causal, True)


def _filter(
    x: np.ndarray, rate: float, kind: str, cutoffs: tuple[float, ...], order: int, method: str, causal: bool
) -> np.ndarray:
    x = as_signal(x, rate, least=0)
    cutoffs = tuple(float(cutoff) for cutoff in cutoffs)
    if method == "fir":
        return _run_taps(x, _window_sinc(kind, cutoffs, float(rate)), causal, kind in _KEEP_LEVEL)
    return _run_sections(x, _butterworth(kind, cutoffs, float(rate), int(order)), causal, kind in _KEEP_LEVEL)


@lru_cache(maxsize=256)
def _butterworth(kind: str, cutoffs: tuple[float, ...], rate: float, order: int) -> np.ndarray:
    from scipy import signal

    _refuse_above_nyquist(cutoffs[-1], rate, kind)
    sections = signal.butter(order, cutoffs if len(cutoffs) > 1 else cutoffs[0], btype=kind, fs=rate, output="sos")
    if not _is_sound(sections):
        found = " to ".join(f"{cutoff:g}" for cutoff in cutoffs)
        raise DataError(
            f"{kind}: double precision cannot hold a filter with a cut-off so near to 0 Hz, or to half the rate; found "
            f"{found} Hz at {rate:g} Hz. Choose another cut-off, or lower the rate first ({{resample: ...}})."
        )
    return _read_only(sections)


@lru_cache(maxsize=256)
def _notch(frequency: float, quality: float, rate: float) -> np.ndarray:
    from scipy import signal

    _refuse_above_nyquist(frequency, rate, "notch")
    width = frequency / quality
    sections = signal.tf2sos(*signal.iirnotch(frequency, quality, fs=rate)) if width < rate / 2 else None
    if sections is None or not _is_sound(sections):
        raise DataError(
            f"notch: a band of {width:g} Hz around {frequency:g} Hz cannot be removed at {rate:g} Hz; its width, "
            f"frequency / quality, must lie between 0 and {rate / 2:g} Hz, and far from both. Choose another quality."
        )
    return _read_only(sections)


def _is_sound(sections: np.ndarray) -> bool:
    """Return whether the poles lie inside the unit circle, by more than rounding can move them."""
    _, first, second = sections[:, 3:].T
    inside = [1 + first + second, 1 - first + second, 1 - second]
    return bool(np.min(inside) > _SOUND)


@lru_cache(maxsize=256)
def _window_sinc(kind: str, cutoffs: tuple[float, ...], rate: float) -> np.ndarray:
    from scipy import signal

    _refuse_above_nyquist(cutoffs[-1], rate, kind)
    widths = [min(max(cutoff / 4, 2.0), cutoff, rate / 2 - cutoff) for cutoff in cutoffs]
    width = min(widths) if len(cutoffs) == 1 else min(*widths, (cutoffs[1] - cutoffs[0]) / 2)
    if not _HAMMING * rate < _MOST_TAPS * width:
        raise DataError(
            f"{kind}: a transition of {width:g} Hz at {rate:g} Hz needs a linear-phase filter of more than "
            f"{_MOST_TAPS:,} taps. Use method: iir, or lower the rate first ({{resample: ...}})."
        )
    # an odd length is symmetric about a sample, and the only one with which a high-pass can be made
    taps = max(3, math.ceil(_HAMMING * rate / width) | 1)
    # low-passes have a gain of exactly 1 at 0 Hz, so that what is made of them removes or keeps a level exactly
    below = [signal.firwin(taps, cutoff, fs=rate) for cutoff in cutoffs]
    impulse = np.zeros(taps)
    impulse[taps // 2] = 1.0
    between = below[-1] - below[0]
    designs = {"lowpass": below[0], "highpass": impulse - below[0], "bandpass": between, "bandstop": impulse - between}
    return _read_only(designs[kind])


def _refuse_above_nyquist(highest: float, rate: float, kind: str) -> None:
    if highest >= rate / 2:
        raise DataError(
            f"{kind}: {highest:g} Hz cannot be filtered in a signal sampled at {rate:g} Hz; "
            f"the frequency must lie below {rate / 2:g} Hz."
        )


def _read_only(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)  # the design is shared by all who ask for the same filter
    return array


def _run_sections(x: np.ndarray, sections: np.ndarray, causal: bool, keeps_level: bool) -> np.ndarray:
    from scipy import signal

    sections = sections.copy()  # scipy wants sections that it may write to

    # starting as if the first sample had always been there avoids the step response at the beginning
    resting = signal.sosfilt_zi(sections)[:, np.newaxis]
    pad = _padding(sections)

    def forwards(rows: np.ndarray) -> np.ndarray:
        _advance(sections, rows, resting * rows[:, :1])
        return rows

    def both_ways(rows: np.ndarray) -> np.ndarray:
        # as scipy.signal.sosfiltfilt, which holds several copies of long rows
        before = 2 * rows[:, :1] - rows[:, pad:0:-1]
        behind = 2 * rows[:, -1:] - rows[:, -2 : -pad - 2 : -1]
        state = resting * before[:, :1]
        for part in (before, rows, behind):
            state = _advance(sections, part, state)
        state = resting * behind[:, -1:]
        for part in (behind, rows):
            state = _advance(sections, part[:, ::-1], state)
        return rows

    if causal:
        return _by_rows(x, forwards, hold_gaps, keeps_level)
    _refuse_short(x, pad + 1, "Use a longer recording, a lower order or causal: true.")
    return _by_rows(x, both_ways, fill_gaps, keeps_level)


def _advance(sections: np.ndarray, rows: np.ndarray, state: np.ndarray) -> np.ndarray:
    """Filter rows in place, a stretch of time after the other, and return the state that the filter is left in."""
    from scipy import signal

    stretch = max(1, _STRETCH // len(rows))
    for first in range(0, rows.shape[1], stretch):
        part = rows[:, first : first + stretch]
        part[...], state = signal.sosfilt(sections, part, axis=-1, zi=state)
    return state


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
        holes = np.nonzero(gaps)
        work = fill(rows[chunk].astype(np.float64), gaps)
        del gaps  # a long row has room for its numbers, once
        level = work[:, :1].copy()
        work -= level
        work = run(work)
        if keeps_level:
            work += level
        filtered[chunk] = work
        filtered[chunk][holes] = np.nan
    return filtered.reshape(x.shape)


def _padding(sections: np.ndarray) -> int:
    """Return the samples by which ``scipy.signal.sosfiltfilt`` pads, which must be fewer than there are."""
    taps = 2 * len(sections) + 1
    return int(3 * (taps - min((sections[:, 2] == 0).sum(), (sections[:, 5] == 0).sum())))
