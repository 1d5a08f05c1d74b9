"""Beats: when the heart beats in ECG and BVP, found in all rows of an array at once.

The filters and the detectors are neurokit2's defaults, written over arrays: the same peaks in a fraction of the time.
Rows differ in how many beats they have, so beats are padded: an array (..., n_beats) of seconds, NaN behind a row's
last beat.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from limbeck.errors import DataError
from limbeck.signals.arrays import as_signal, is_flat
from limbeck.signals.filtering import bandpass, highpass
from limbeck.signals.intervals import divide, quantile_of
from limbeck.signals.resampling import resample

__all__ = [
    "Cleaned",
    "beats_and_likeness",
    "clean_heart",
    "cleaned_rows",
    "extreme_between",
    "find_beats",
    "pad_rows",
    "pulse_waves",
    "r_peaks",
]

LOWEST_RATE = 20.0
"""Hz; below it a pulse is too few samples to be one."""

FINER = {"ecg": (100.0, 128.0), "bvp": (64.0, 64.0)}
"""Rates (Hz) below which a modality is interpolated before the search, and the rate that it then has at least.
The detectors' averages over a tenth of a second are too few samples in slower signals, and complexes too few to be
steeper than T waves."""

APART = 0.3
"""Seconds that must lie between two beats: 200 beats per minute."""

RISE = 0.45
"""Longest time from a pulse wave's foot to its steepest rise, and from there to its peak, in seconds."""

DICROTIC = 0.3
"""Height of a wave, as a share of the one before it, below which it is that one's echo (the dicrotic wave), no beat.
Echoes in slow hearts have 0.05 to 0.15; of two beats in a row at the wrist, the second had more in 4,000 of 4,000."""

T_WAVE, T_WAVE_WITHIN = 0.6, 0.5
"""Steepness of a peak, as a share of the complex before it, below which it is that one's T wave if it follows within
so many seconds (as the 0.36 s and a half of Pan & Tompkins, *IEEE TBME* 32:230, 1985, but for slow hearts). T waves as
high as 0.8 of R have 0.3 to 0.55; a complex that close behind another is as steep but for an ectopic one."""

LEAST_STEEP = 0.4
"""Steepness of a peak, as a share of the row's upper quartile, below which it is no complex wherever it lies."""

AROUND = 0.4
"""Seconds on either side of a beat in which its wave is compared with the others' of the row."""

_CHUNK = 200_000
"""Samples that are searched at a time, so that what is computed on the way stays small."""


def find_beats(x: np.ndarray, rate: float, modality: str = "ecg") -> np.ndarray:
    """Find the beats of each row.

    ECG: R peaks by neurokit2's default detector (steepness of the QRS complex). BVP: pulse waves by their systolic
    peaks (Elgendi et al., *PLoS ONE* 8(10):e76585, 2013), each timed at its foot: where the tangent to its steepest
    rise meets the level of the minimum before it (Chiu et al., *American Heart Journal* 121:1460, 1991). At the wrist
    a wave's top is broad, its foot is not: intervals between tops vary by tens of milliseconds that no heart made.

    Two things differ from neurokit2's peaks. Those in a row's first 0.3 s, where neurokit2 does not look, are given.
    And some are left out: of the ECG's, those less steep than a complex, which in slow hearts are T waves (`T_WAVE`)
    and ripples of the baseline (`LEAST_STEEP`); of the pulse's, those without a rise before them and those that echo
    the wave before them (`DICROTIC`). Times lie between samples, since at 64 Hz a sample is 16 ms, as much as the
    variability sought.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
        As recorded; it is cleaned by :func:`clean_heart`.
    rate : float
        Hz; at least 20. ECG below 100 Hz and BVP below 64 Hz are interpolated before the search. In ECG below 32 Hz
        high T waves may be taken for beats: there they are as steep as complexes.
    modality : {"ecg", "bvp"}

    Returns
    -------
    ndarray of shape (..., n_beats), float64
        Seconds from the row's first sample, increasing, NaN behind the last beat; `n_beats` is that of the row with
        the most. Rows that are flat, have missing samples or last less than a second have none.

    Raises
    ------
    DataError
        A rate below 20 Hz, or another modality.
    """
    return beats_and_likeness(x, rate, modality)[0]


def beats_and_likeness(x: np.ndarray, rate: float, modality: str) -> tuple[np.ndarray, np.ndarray]:
    """Find the beats of each row, and how alike their waves are: near 1 in a heart, near 0 in noise.

    A wave is the signal within `AROUND` of a beat's peak. What is given is the median, over the beats, of a wave's mean
    correlation with the row's others (after the template matching of Orphanidou et al., *IEEE Journal of Biomedical and
    Health Informatics* 19:832, 2015).

    Parameters
    ----------
    x, rate, modality
        As of :func:`find_beats`.

    Returns
    -------
    beats : ndarray of shape (..., n_beats), float64
        As of :func:`find_beats`.
    likeness : ndarray of shape (...), float64
        From -1 to 1; NaN of fewer than two whole waves.
    """
    x = as_signal(x, rate)
    parts = []
    for cleaned in cleaned_rows(x, rate, modality):
        if modality == "ecg":
            row, peak = r_peaks(cleaned.signal, cleaned.rate)
            times = _between_samples(cleaned.signal, row, peak) / cleaned.rate
        else:
            row, times, top, _ = pulse_waves(cleaned.signal, cleaned.rate)
            peak = np.rint(top * cleaned.rate).astype(np.intp)
        found = pad_rows(row, times, len(cleaned.signal))
        part, alike = np.full((len(cleaned.usable), found.shape[1]), np.nan), np.full(len(cleaned.usable), np.nan)
        part[cleaned.usable] = found
        alike[cleaned.usable] = _likeness(cleaned.signal, row, peak, cleaned.rate)
        parts.append((part, alike))
    n_rows = sum(len(part) for part, _ in parts)
    beats = np.full((n_rows, max((part.shape[1] for part, _ in parts), default=0)), np.nan)
    likeness = np.full(n_rows, np.nan)
    first = 0
    for part, alike in parts:
        beats[first : first + len(part), : part.shape[1]] = part
        likeness[first : first + len(part)] = alike
        first += len(part)
    return beats.reshape(*x.shape[:-1], beats.shape[1]), likeness.reshape(x.shape[:-1])


def _likeness(cleaned: np.ndarray, row: np.ndarray, peak: np.ndarray, rate: float) -> np.ndarray:
    reach = int(AROUND * rate)
    whole = (peak >= reach) & (peak + reach < cleaned.shape[-1])
    row, peak = row[whole], peak[whole]
    if len(row) == 0:
        return np.full(len(cleaned), np.nan)
    waves = cleaned[row[:, np.newaxis], peak[:, np.newaxis] + np.arange(-reach, reach + 1)]
    waves -= waves.mean(axis=-1, keepdims=True)
    waves = np.nan_to_num(divide(waves, np.sqrt(np.square(waves).sum(axis=-1, keepdims=True))))
    begins = np.flatnonzero(np.diff(row, prepend=-1))
    count = np.diff(begins, append=len(row))
    all_waves = np.repeat(np.add.reduceat(waves, begins, axis=0), count, axis=0)
    others = np.repeat(count - 1, count)
    with_others = divide(np.einsum("ij,ij->i", waves, all_waves) - 1, others)
    return quantile_of(pad_rows(row, with_others, len(cleaned)), 0.5)


class Cleaned(NamedTuple):
    """The rows of a chunk in which beats can be sought.

    Parameters
    ----------
    signal : ndarray of shape (n_usable, n_times), float64
        As :func:`clean_heart` gives it.
    sharp : ndarray of shape (n_usable, n_times), float64
        ECG before the moving average, which takes a third and more of a narrow complex; BVP: `signal`.
    usable : ndarray of shape (n_rows,), bool
        Which rows of the chunk these are: not those that are flat, have missing samples or are too short.
    rate : float
        Hz: a multiple of the recorded rate where that is below `FINER`.
    """

    signal: np.ndarray
    sharp: np.ndarray
    usable: np.ndarray
    rate: float


def cleaned_rows(x: np.ndarray, rate: float, modality: str) -> Iterator[Cleaned]:
    """Yield the rows a chunk at a time: those in which beats can be sought, cleaned, and which of the chunk they are.

    ECG is upright in them: rows whose complexes point down are turned.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
    rate : float
        Hz.
    modality : {"ecg", "bvp"}

    Yields
    ------
    Cleaned
    """
    _check(rate, modality)
    rows = x.reshape(-1, x.shape[-1])
    size = max(1, _CHUNK // max(1, x.shape[-1]))
    for first in range(0, len(rows), size):
        chunk = rows[first : first + size]
        long = x.shape[-1] >= _least(rate)
        usable = ~(is_flat(chunk) | np.isnan(chunk).any(axis=-1)) if long else np.zeros(len(chunk), dtype=bool)
        if not usable.any():
            yield Cleaned(np.empty((0, 2)), np.empty((0, 2)), usable, rate)
            continue
        chunk, fine = chunk[usable].astype(np.float64), rate
        below, least = FINER[modality]
        if rate < below:
            fine = rate * np.ceil(least / rate)
            chunk = resample(chunk, rate, fine)
        sharp = _without_wander(chunk, fine, modality)
        cleaned = sharp
        if modality == "ecg":
            cleaned = _average_mains(sharp, fine)
            down = _points_down(cleaned, fine)
            for signal in (cleaned, sharp):
                np.negative(signal, out=signal, where=down[:, np.newaxis])
        yield Cleaned(cleaned, sharp, usable, fine)


def _points_down(cleaned: np.ndarray, rate: float) -> np.ndarray:
    """Return which rows' complexes point down; what stands up in those is not the same from beat to beat."""
    width = min(int(1.5 * rate), cleaned.shape[-1])  # nearly always a beat in each
    blocks = cleaned[:, : cleaned.shape[-1] // width * width].reshape(len(cleaned), -1, width)
    return np.median(blocks.max(axis=-1) + blocks.min(axis=-1), axis=-1) < 0


def clean_heart(x: np.ndarray, rate: float, *, modality: str = "ecg") -> np.ndarray:
    """Filter ECG or BVP as neurokit2's ``ecg_clean`` and ``ppg_clean`` do, all rows at once.

    ECG: high-pass at 0.5 Hz (Butterworth, order 5), then a moving average over one period of 50 Hz, both forwards and
    backwards. BVP: band-pass from 0.5 to 8 Hz (Butterworth, order 2), forwards and backwards.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
        At least a second, and 30 samples.
    rate : float
        Hz; at least 20.
    modality : {"ecg", "bvp"}

    Returns
    -------
    ndarray of shape (..., n_times), float64
        NaN where samples are missing.
    """
    x = as_signal(x, rate)
    _check(rate, modality)
    x = as_signal(x, rate, least=_least(rate)).astype(np.float64, copy=False)
    filtered = _without_wander(x, rate, modality)
    return _average_mains(filtered, rate) if modality == "ecg" else filtered


def _without_wander(x: np.ndarray, rate: float, modality: str) -> np.ndarray:
    return bandpass(x, rate, 0.5, 8.0, order=2) if modality == "bvp" else highpass(x, rate, 0.5, order=5)


def _check(rate: float, modality: str) -> None:
    if modality not in ("ecg", "bvp"):
        raise DataError(f"Beats can be found in ecg and bvp; found {modality}.")
    if rate < LOWEST_RATE:
        raise DataError(f"Beats need a sampling rate of at least {LOWEST_RATE:g} Hz; found {rate:g} Hz.")


def _least(rate: float) -> int:
    """Return the samples below which there is nothing to filter, let alone to find."""
    return max(int(np.ceil(rate)), 30)


def _average_mains(x: np.ndarray, rate: float) -> np.ndarray:
    """Average over one period of 50 Hz (two samples below 100 Hz), forwards and backwards.

    This is ``scipy.signal.filtfilt`` with a boxcar, by running sums.
    """
    from scipy.ndimage import uniform_filter1d

    width = int(rate / 50) if rate >= 100 else 2
    pad = 3 * width
    ahead = 2 * x[..., :1] - x[..., pad:0:-1]
    behind = 2 * x[..., -1:] - x[..., -2 : -pad - 2 : -1]
    padded = np.concatenate([ahead, x, behind], axis=-1)
    back = (width - 1) // 2  # what centres a boxcar of even width on one side, and then on the other
    forwards = uniform_filter1d(padded, width, axis=-1, origin=0)
    smooth = uniform_filter1d(forwards, width, axis=-1, origin=back - width // 2)
    return smooth[..., pad:-pad]


def r_peaks(cleaned: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Return row and sample of each R peak: the tops of steep stretches that are complexes."""
    row, peak, steepness = _steep_peaks(cleaned, rate)
    real = _is_complex(steepness, row, peak, rate)
    return _apart(row[real], peak[real], rate)


def _steep_peaks(cleaned: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row, sample and steepness of tops where that, smoothed, rises above 1.5 times its local average."""
    steep = _boxcar(np.abs(np.gradient(cleaned, axis=-1)), 0.1 * rate)
    complexes = steep > 1.5 * _boxcar(steep, 0.75 * rate)
    row, begin, end = _stretches(complexes)
    length = end - begin
    mean = np.bincount(row, length, len(cleaned)) / np.maximum(np.bincount(row, minlength=len(cleaned)), 1)
    long = length >= 0.4 * mean[row]
    row, peak = _tops(cleaned, row[long], begin[long], end[long])
    return row, peak, steep[row, peak]


def _is_complex(steepness: np.ndarray, row: np.ndarray, peak: np.ndarray, rate: float) -> np.ndarray:
    """Return which peaks are complexes: the others are T waves, or ripples in the long pauses of a slow heart.

    A T wave is told by the complex before it; what comes first in a row may be one whose complex is cut off.
    """
    usual = quantile_of(pad_rows(row, steepness, row.max(initial=-1) + 1), 0.75)[row]
    first = np.diff(row, prepend=-1) != 0
    follows = ~first & (peak - np.roll(peak, 1) <= T_WAVE_WITHIN * rate)
    least = np.where(first, T_WAVE, LEAST_STEEP) * usual
    return (steepness >= least) & ~(follows & (steepness < T_WAVE * np.roll(steepness, 1)))


def pulse_waves(cleaned: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Find the pulse waves in BVP: their feet, their peaks and how high they rise.

    Parameters
    ----------
    cleaned : ndarray of shape (n_rows, n_times), float64
        By :func:`clean_heart`, without missing samples.
    rate : float
        Hz.

    Returns
    -------
    row : ndarray of shape (n_waves,), int
    foot, peak : ndarray of shape (n_waves,), float64
        Seconds; feet by intersecting tangents.
    height : ndarray of shape (n_waves,), float64
        Peak less the minimum before the rise, in the signal's unit.
    """
    row, peak = _pulse_peaks(cleaned, rate)
    slope = np.gradient(cleaned, axis=-1) * rate
    reach = RISE * rate
    previous = np.where(np.diff(row, prepend=-1) == 0, np.roll(peak, 1), 0)
    steepest = extreme_between(slope, row, np.maximum(peak - reach, previous), peak)
    lowest = extreme_between(-cleaned, row, np.maximum(steepest - reach, previous), steepest)
    found = ~np.isnan(steepest + lowest)
    found[found] = _at(slope, row[found], steepest[found]) > 0  # a bump on the way down is no wave
    row, peak, steepest, lowest = row[found], peak[found], steepest[found], lowest[found]
    floor = _at(cleaned, row, lowest)
    foot = steepest - (_at(cleaned, row, steepest) - floor) / _at(slope, row, steepest) * rate
    height = cleaned[row, peak] - floor
    beat = (height >= DICROTIC * np.roll(height, 1)) | (np.diff(row, prepend=-1) != 0)
    row, foot, peak, height = row[beat], foot[beat], peak[beat], height[beat]
    return row, foot / rate, _between_samples(cleaned, row, peak) / rate, height


def extreme_between(x: np.ndarray, row: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return where the highest local maximum between two samples of a row lies, to a part of a sample.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_times), float
    row : ndarray of shape (n,), int
    first, last : ndarray of shape (n,), float
        Samples, inclusive; NaN, or beyond the row's ends, to have none.

    Returns
    -------
    ndarray of shape (n,), float64
        NaN where the highest sample is no local maximum: it lies at an end towards which the signal still rises.
    """
    known = ~np.isnan(first + last)
    begin = np.maximum(np.ceil(np.where(known, first, 1)), 1).astype(np.intp)
    end = np.minimum(np.floor(np.where(known, last, 0)), x.shape[-1] - 2).astype(np.intp)
    width = int((end - begin).max(initial=0)) + 1
    places = begin[:, np.newaxis] + np.arange(width)
    inside = places <= end[:, np.newaxis]
    places = np.minimum(places, x.shape[-1] - 2)
    values = np.where(inside, x[row[:, np.newaxis], places], -np.inf)
    top = places[np.arange(len(row)), values.argmax(axis=-1)]
    is_top = (x[row, top] >= x[row, top - 1]) & (x[row, top] >= x[row, top + 1]) & (end >= begin) & known
    return np.where(is_top, _between_samples(x, row, top), np.nan)


def _at(x: np.ndarray, row: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Return the signal between samples, linearly."""
    before = np.floor(place).astype(np.intp)
    share = place - before
    after = np.minimum(before + 1, x.shape[-1] - 1)
    return (1 - share) * x[row, before] + share * x[row, after]


def _pulse_peaks(cleaned: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and samples of systolic peaks: where the square of the positive part rises above its average.

    Both are moving averages, of 111 and 667 ms (a systole and a beat); the latter is raised by 2 % of the row's mean.
    """
    squared = np.square(np.maximum(cleaned, 0))
    threshold = _boxcar(squared, 0.667 * rate) + 0.02 * squared.mean(axis=-1, keepdims=True)
    waves = _boxcar(squared, 0.111 * rate) > threshold
    row, begin, end = _stretches(waves)
    long = end - begin >= np.rint(0.111 * rate)
    return _apart(*_tops(cleaned, row[long], begin[long], end[long]), rate)


def _boxcar(x: np.ndarray, width: float) -> np.ndarray:
    from scipy.ndimage import uniform_filter1d

    return uniform_filter1d(x, max(1, int(np.rint(width))), axis=-1, mode="nearest")


def _stretches(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row, last sample before, and last sample of each stretch of True that begins and ends within its row."""
    row, begin = np.nonzero(inside[:, 1:] & ~inside[:, :-1])
    closed = ~(inside[row, -1] & (np.diff(row, append=-1) != 0))
    end_row, end = np.nonzero(inside[:, :-1] & ~inside[:, 1:])
    opened = ~(inside[end_row, 0] & (np.diff(end_row, prepend=-1) != 0))
    return row[closed], begin[closed], end[opened]


def _tops(cleaned: np.ndarray, row: np.ndarray, begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return row and sample of the most prominent local maximum in each stretch ``[begin, end)`` that has one."""
    from scipy import signal

    if len(row) == 0:
        return row, begin
    # All stretches in one line, with walls between them: a local maximum's prominence ends at what is higher than it.
    length = end - begin
    first = 1 + np.concatenate([[0], np.cumsum(length + 1)[:-1]])
    stretch = np.repeat(np.arange(len(row)), length)
    place = np.arange(len(stretch)) + stretch + 1
    line = np.full(place[-1] + 2, np.inf)
    line[place] = cleaned[row[stretch], place - first[stretch] + begin[stretch]]
    tops = signal.find_peaks(line)[0]
    tops = tops[np.isfinite(line[tops])]
    prominence = signal.peak_prominences(line, tops)[0]
    which = np.searchsorted(first, tops, side="right") - 1
    order = np.lexsort((tops, -prominence, which))
    tops, which = tops[order], which[order]
    best = np.diff(which, prepend=-1) != 0
    tops, which = tops[best], which[best]
    return row[which], tops - first[which] + begin[which]


def _apart(row: np.ndarray, peak: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Drop each peak that follows the last one kept of its row by no more than `APART`."""
    least = np.rint(APART * rate)
    close = (np.diff(peak) <= least) & (np.diff(row) == 0)
    if not close.any():
        return row, peak
    # one farther from the last is always kept, so that crowds of close ones do not depend on each other
    crowd = np.concatenate([[0], np.cumsum(~close)])
    padded = pad_rows(crowd, peak, crowd[-1] + 1)
    last = np.full(len(padded), -np.inf)
    kept = np.zeros(padded.shape, dtype=bool)
    for column in range(padded.shape[1]):  # which peaks go depends on which before them went
        kept[:, column] = padded[:, column] - last > least
        last = np.where(kept[:, column], padded[:, column], last)
    chosen = kept[~np.isnan(padded)]
    return row[chosen], peak[chosen]


def pad_rows(row: np.ndarray, values: np.ndarray, n_rows: int) -> np.ndarray:
    """Return values that are sorted by row as an array (n_rows, n_values), NaN behind a row's last.

    Parameters
    ----------
    row : ndarray of shape (n,), int
    values : ndarray of shape (n,), float
    n_rows : int
    """
    counts = np.bincount(row, minlength=n_rows)
    padded = np.full((n_rows, counts.max(initial=0)), np.nan)
    padded[np.arange(padded.shape[1]) < counts[:, np.newaxis]] = values
    return padded


def _between_samples(x: np.ndarray, row: np.ndarray, peak: np.ndarray) -> np.ndarray:
    """Return where parabolas through each peak and its neighbours have their tops, in samples."""
    before, at, after = x[row, peak - 1], x[row, peak], x[row, peak + 1]
    curvature = before - 2 * at + after
    shift = np.divide(before - after, 2 * curvature, out=np.zeros(len(peak)), where=curvature < 0)
    return peak + np.clip(shift, -0.5, 0.5)
