"""The heart: beats in ECG or BVP, and what their intervals say about a window."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from limbeck.errors import DataError
from limbeck.signals.pipeline import feature
from limbeck.signals.spectral import unknown_kinds

__all__ = ["find_beats", "heart", "normal_intervals"]

SHORTEST, LONGEST = 0.3, 2.0
"""Intervals between beats that a heart can have, in seconds: 200 and 30 beats per minute."""

DEVIATION = 0.3
"""Largest deviation of a normal interval from the window's median, as a share of it. An interval that spans a missed
beat or is cut by a false one deviates by half and more, sinus arrhythmia at rest by less than a fifth."""


def _rate(normal: np.ndarray, pairs: np.ndarray) -> float:
    return 60.0 / float(normal.mean()) if len(normal) >= 2 else np.nan


def _period(normal: np.ndarray, pairs: np.ndarray) -> float:
    return float(normal.mean()) if len(normal) >= 2 else np.nan


def _sdnn(normal: np.ndarray, pairs: np.ndarray) -> float:
    return 1000.0 * float(normal.std(ddof=1)) if len(normal) >= 3 else np.nan


def _rmssd(normal: np.ndarray, pairs: np.ndarray) -> float:
    return 1000.0 * float(np.sqrt(np.square(pairs).mean())) if len(pairs) >= 2 else np.nan


def _pnn50(normal: np.ndarray, pairs: np.ndarray) -> float:
    return float((np.abs(pairs) > 0.05).mean()) if len(pairs) >= 2 else np.nan


_KINDS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "hr": _rate,
    "period": _period,
    "sdnn": _sdnn,
    "rmssd": _rmssd,
    "pnn50": _pnn50,
}


def _check(kinds: Sequence[str]) -> Iterator[str]:
    yield from unknown_kinds(kinds, _KINDS)


@feature("heart", columns=lambda kinds: tuple(kinds), modalities=("ecg", "bvp"), check=_check, libraries=("neurokit2",))
def heart(
    x: np.ndarray, rate: float, kinds: Sequence[str] = ("hr", "period", "sdnn", "rmssd"), *, modality: str = "ecg"
) -> np.ndarray:
    """Heart rate and its variability in each window, from the beats that neurokit2 finds.

    Beats are found by :func:`find_beats`; intervals are those of :func:`normal_intervals`. What a window cannot give
    (too few beats, a flat signal) is NaN, never an exception.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
    rate : float
        Hz; at least 20.
    kinds : sequence of str
        Of ``hr`` (beats per minute: 60 over the mean interval), ``period`` (mean interval, s), ``sdnn`` (standard
        deviation of the intervals, ms), ``rmssd`` (root mean square of successive differences, ms), ``pnn50`` (share of
        successive differences above 50 ms). `hr` and `period` need two intervals, `sdnn` three, the others two
        successive differences.
    modality : {"ecg", "bvp"}
        What `x` is.

    Returns
    -------
    ndarray of shape (..., n_kinds), float64

    References
    ----------
    Task Force of the European Society of Cardiology, *Circulation* 93:1043, 1996.
    """
    x = np.asarray(x)
    rows = x.reshape(-1, x.shape[-1])
    values = np.full((len(rows), len(kinds)), np.nan)
    for index, beats in enumerate(find_beats(rows, rate, modality)):
        normal, pairs = normal_intervals(beats)
        values[index] = [_KINDS[kind](normal, pairs) for kind in kinds]
    return values.reshape(*x.shape[:-1], len(kinds))


def find_beats(rows: np.ndarray, rate: float, modality: str) -> Iterator[np.ndarray]:
    """Yield the times of the beats of each row, in seconds from its first sample.

    ECG: neurokit2's default detector (steepness of the QRS complex); BVP: Elgendi et al., *PLoS ONE* 8(10):e76585,
    2013. Peaks are refined between samples by a parabola, since at 64 Hz a sample is 16 ms, as much as the variability
    sought.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_times), float
    rate : float
        Hz.
    modality : {"ecg", "bvp"}

    Raises
    ------
    DataError
        A rate below 20 Hz, or another modality.
    """
    import neurokit2 as nk

    if modality not in ("ecg", "bvp"):
        raise DataError(f"Beats can be found in ecg and bvp; found {modality}.")
    if rate < 20:
        raise DataError(f"Beats need a sampling rate of at least 20 Hz; found {rate:g} Hz.")
    for row in np.asarray(rows, dtype=np.float64):
        if len(row) < rate or not np.isfinite(row).all() or np.ptp(row) <= 1e-9 * np.abs(row).max():
            yield np.empty(0)
            continue
        if modality == "ecg":
            cleaned, find, name = nk.ecg_clean(row, sampling_rate=rate), nk.ecg_findpeaks, "ECG_R_Peaks"
        else:
            cleaned, find, name = nk.ppg_clean(row, sampling_rate=rate), nk.ppg_findpeaks, "PPG_Peaks"
        try:
            peaks = find(cleaned, sampling_rate=rate)[name]
        except IndexError:  # how the detectors end when nothing rises above their thresholds
            peaks = np.empty(0)
        yield _between_samples(cleaned, np.asarray(peaks, dtype=np.int64)) / rate


def _between_samples(x: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Return where parabolas through each peak and its neighbours have their tops, in samples."""
    peaks = peaks[(peaks > 0) & (peaks < len(x) - 1)]
    before, at, after = x[peaks - 1], x[peaks], x[peaks + 1]
    curvature = before - 2 * at + after
    shift = np.divide(before - after, 2 * curvature, out=np.zeros(len(peaks)), where=curvature < 0)
    return peaks + np.clip(shift, -0.5, 0.5)


def normal_intervals(beats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the plausible intervals between beats and the differences of those that follow one another.

    An interval is kept when it lies within `SHORTEST` to `LONGEST` and within `DEVIATION` of the median of those.

    Parameters
    ----------
    beats : ndarray of shape (n_beats,)
        Seconds, increasing.

    Returns
    -------
    normal : ndarray of shape (n_normal,)
        Seconds.
    differences : ndarray of shape (n_pairs,)
        Seconds, of neighbouring intervals that are both normal.
    """
    intervals = np.diff(beats)
    kept = (intervals >= SHORTEST) & (intervals <= LONGEST)
    if kept.any():
        middle = np.median(intervals[kept])
        kept &= np.abs(intervals - middle) <= DEVIATION * middle
    return intervals[kept], np.diff(intervals)[kept[1:] & kept[:-1]]
