"""Skin conductance responses (SCR): where they begin, peak and recover in phasic skin conductance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from limbeck.errors import DataError
from limbeck.signals.arrays import as_signal, is_number, refuse

__all__ = ["LEAST_RATE", "SCRs", "find_scrs", "limit_mistakes"]

LEAST_RATE = 4.0
"""Hz below which the rise of a response falls between the samples."""


def limit_mistakes(minimum: float, relative: float) -> Iterator[str]:
    """Yield what is wrong with the limits of what counts as a response."""
    if not (is_number(minimum) and minimum >= 0):
        yield f"minimum must be a number of at least 0, found {minimum!r}"
    if not (is_number(relative) and 0 <= relative <= 1):
        yield f"relative must be a number between 0 and 1, found {relative!r}"


@dataclass(frozen=True)
class SCRs:
    """The responses of each row in their order in time, padded with NaN to the largest count.

    Parameters
    ----------
    onset, peak, half_recovery, offset : ndarray of shape (..., n_most), float64
        Seconds from the row's first sample: the trough before the peak, the peak, the first sample behind it (before
        the next response) at which half of the amplitude is lost, the trough behind it. Where a trough is level for a
        while, a response begins at its last sample and ends at its first; so it is with rows that begin or end level.
        NaN for what lies outside the row.
    amplitude : ndarray of shape (..., n_most), float64
        From onset to peak, in the signal's unit; NaN without an onset.
    """

    onset: np.ndarray
    peak: np.ndarray
    half_recovery: np.ndarray
    offset: np.ndarray
    amplitude: np.ndarray

    @property
    def count(self) -> np.ndarray:
        """Responses per row, of shape (...), int64; 0 also for rows with missing samples."""
        return np.isfinite(self.peak).sum(axis=-1)

    @property
    def rise_time(self) -> np.ndarray:
        """Seconds from onset to peak."""
        return self.peak - self.onset

    @property
    def half_recovery_time(self) -> np.ndarray:
        """Seconds from the peak until half of the amplitude is lost."""
        return self.half_recovery - self.peak

    @property
    def recovery_time(self) -> np.ndarray:
        """Seconds from the peak to the offset."""
        return self.offset - self.peak


def find_scrs(phasic: np.ndarray, rate: float, *, minimum: float = 0.01, relative: float = 0.1) -> SCRs:
    """Find the skin conductance responses of every row.

    A response is a local maximum whose prominence is at least `relative` of the row's largest, and which rises by at
    least `minimum` from the trough before it (from the row's first sample, where there is no such trough). With
    ``minimum=0`` these are the peaks, onsets and amplitudes of ``neurokit2.eda_peaks(method="neurokit")``.

    Parameters
    ----------
    phasic : ndarray of shape (..., n_times), float
        The phasic part of skin conductance, as of :func:`~limbeck.signals.decomposition.decompose`. Clean it first:
        every local minimum ends a response, noise included.
    rate : float
        Hz; at least 4.
    minimum : float
        In the signal's unit: 0.01 microsiemens is the lowest that is usual in the field (Boucsein 2012). Set it to 0
        for signals in another unit.
    relative : float
        Share of the largest prominence in the row, 0 to 1.

    Returns
    -------
    SCRs
        No response in rows with missing samples.

    Raises
    ------
    DataError
        A rate below 4 Hz, a negative `minimum`, or a `relative` outside 0 to 1.

    References
    ----------
    Makowski et al., *Behavior Research Methods* 53:1689-1696, 2021; Boucsein et al., *Psychophysiology* 49:1017-1034,
    2012.
    """
    from scipy import signal

    x = as_signal(phasic, rate)
    refuse(limit_mistakes(minimum, relative))
    if rate < LEAST_RATE:
        raise DataError(f"Responses need a sampling rate of at least {LEAST_RATE:g} Hz; found {rate:g} Hz.")
    shape, samples = x.shape[:-1], x.shape[-1]
    # all rows in one long one with a NaN between them, which no peak, trough or slope reaches across
    flat = np.full((int(np.prod(shape)), samples + 1), np.nan)
    flat[:, :-1] = x.reshape(-1, samples)
    flat[np.isnan(flat[:, :-1]).any(axis=-1)] = np.nan
    rows, flat = len(flat), flat.ravel()
    peaks = signal.find_peaks(flat)[0]
    firsts, lasts = _troughs(flat, samples)
    row = peaks // (samples + 1)

    prominence = signal.peak_prominences(flat, peaks)[0]
    largest = np.zeros(rows)
    np.maximum.at(largest, row, prominence)
    onset = _trough_in_row(lasts, np.searchsorted(lasts, peaks) - 1, row, samples)
    start = np.where(onset < 0, row * (samples + 1), onset)
    kept = (prominence >= relative * largest[row]) & (flat[peaks] - flat[start] >= minimum)
    peaks, row, onset = peaks[kept], row[kept], onset[kept]

    offset = _trough_in_row(firsts, np.searchsorted(firsts, peaks), row, samples)
    amplitude = np.where(onset < 0, np.nan, flat[peaks] - flat[onset])
    half = _first_at_or_below(flat, peaks, row, samples, flat[peaks] - 0.5 * amplitude)

    columns = np.arange(len(row)) - np.searchsorted(row, row)
    most = int(columns.max()) + 1 if len(row) else 0

    def pad(values: np.ndarray) -> np.ndarray:
        padded = np.full((rows, most), np.nan)
        padded[row, columns] = values
        return padded.reshape(*shape, most)

    def seconds(index: np.ndarray) -> np.ndarray:
        return pad(np.where(index < 0, np.nan, (index - row * (samples + 1)) / rate))

    return SCRs(seconds(onset), seconds(peaks), seconds(half), seconds(offset), pad(amplitude))


def _troughs(flat: np.ndarray, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last sample of every trough: a local minimum, level for one sample or more.

    Rows end high here, so that a level they begin or end with is one too; a single sample at the end may be on a slope.
    """
    from scipy import signal

    ends_high = np.append(np.inf, np.nan_to_num(flat, nan=np.inf))
    facts = signal.find_peaks(-ends_high, plateau_size=1)[1]
    first, last = facts["left_edges"] - 1, facts["right_edges"] - 1
    at_end = (first % (samples + 1) == 0) | (last % (samples + 1) == samples - 1)
    kept = ~at_end | (first < last)
    return first[kept], last[kept]


def _trough_in_row(troughs: np.ndarray, which: np.ndarray, row: np.ndarray, samples: int) -> np.ndarray:
    """Return the troughs of the indices `which`, -1 where there is none or it lies in another row."""
    found = np.full(len(which), -1, dtype=np.int64)
    there = (which >= 0) & (which < len(troughs))
    found[there] = troughs[which[there]]
    found[found // (samples + 1) != row] = -1
    return found


def _first_at_or_below(
    flat: np.ndarray, peaks: np.ndarray, row: np.ndarray, samples: int, level: np.ndarray
) -> np.ndarray:
    """Return the first sample behind each peak, before the next and in its row, that is at most `level`; else -1."""
    row_ends = row * (samples + 1) + samples
    stops = np.minimum(np.append(peaks[1:], len(flat)), row_ends)
    lengths = stops - peaks
    begins = np.cumsum(lengths) - lengths
    # the stretches behind the peaks do not overlap, so that all of them together are no longer than the signal
    index = np.arange(lengths.sum()) - np.repeat(begins - peaks, lengths)
    below = np.flatnonzero(flat[index] <= np.repeat(level, lengths))
    which = np.searchsorted(below, begins)
    found = np.full(len(peaks), -1, dtype=np.int64)
    there = which < len(below)
    there[there] = below[which[there]] < (begins + lengths)[there]
    found[there] = index[below[which[there]]]
    return found
