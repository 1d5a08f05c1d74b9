"""The heart: its rate and variability, the pulse wave in BVP, and the waves of the ECG, in each window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from limbeck.errors import DataError
from limbeck.signals.arrays import as_signal, refuse
from limbeck.signals.beats import (
    Cleaned,
    beats_and_likeness,
    cleaned_rows,
    extreme_between,
    pad_rows,
    pulse_waves,
    r_peaks,
)
from limbeck.signals.intervals import correct_intervals, mean_of, quantile_of, sd_of
from limbeck.signals.kinds import feature
from limbeck.signals.spectral import unknown_kinds
from limbeck.signals.variability import VARIABILITY, Rhythm

__all__ = ["ecg_waves", "heart", "pulse"]


LEAST_RHYTHM_RATE = 32.0
"""Hz; below it a high T wave of the ECG is as steep as its complex, and is taken for a beat."""


def _check_heart(kinds: Sequence[str], correct: bool) -> Iterator[str]:
    yield from unknown_kinds(kinds, VARIABILITY)


@feature(
    "heart",
    columns=lambda kinds, correct: tuple(kinds),
    modalities=("ecg", "bvp"),
    check=_check_heart,
    unit="hr, hr_sd 1/min; period, period_median s; slope ms/s; powers, ellipse ms²; pnn, cvnn, ratios shares; else ms",
    source="Task Force of the European Society of Cardiology, Circulation 93:1043, 1996",
)
def heart(
    x: np.ndarray,
    rate: float,
    kinds: Sequence[str] = ("hr", "period", "sdnn", "rmssd"),
    *,
    correct: bool = False,
    modality: str = "ecg",
) -> np.ndarray:
    """Heart rate and its variability in each window, from R peaks (ECG) or the feet of pulse waves (BVP).

    Beats are found by :func:`find_beats`; intervals are those of :func:`normal_intervals`: outliers are left out. A
    window is valid where

    * there are three normal intervals (two in windows of less than 4 s),
    * they cover 80 % of it; of its length, an interval at either end does not count, but at most a quarter in all;
    * the waves around its beats are alike (:func:`beats_and_likeness`, at least 0.45), as those of noise are not.

    In any other window all kinds but ``valid`` and ``count`` are NaN, never a number or an exception. At a wrist that
    moves, that is most windows: of those of 60 s in the Stress-Predict recordings two in three. Shorter windows are
    valid more often, but noise passes for a pulse more often too: drifting noise in 1 in 13 windows of 5 s. Motion as
    regular as a heart, such as steps at 1.8 Hz, is not told from a pulse: the rate is then that of the steps.

    Kinds, by what they need in a valid window:

    * two intervals: ``hr`` (beats per minute: 60 over the mean interval), ``period`` (mean interval, s),
      ``period_median`` (s);
    * three intervals: ``sdnn`` (standard deviation, ms), ``hr_sd`` (of 60 over each interval), ``cvnn`` (sdnn over the
      mean), ``mad`` (1.4826 times the median deviation from the median, ms), ``range`` (longest less shortest, ms),
      ``slope`` (of the intervals over time, least squares, ms/s);
    * two differences of successive intervals: ``rmssd`` (root mean square, ms), ``pnn50``, ``pnn20`` (share above 50,
      20 ms); three: ``sdsd`` (standard deviation, ms), ``sd1``, ``sd2`` (Poincaré plot, ms), ``sd1_sd2``, ``ellipse``
      (pi sd1 sd2, ms²);
    * beats that span 10 s: ``hf`` (power from 0.15 to 0.4 Hz, ms²); 25 s: ``lf`` (0.04 to 0.15 Hz), ``total`` (below
      0.4 Hz), ``lf_hf``, ``lf_norm``, ``hf_norm`` (share of lf + hf); 270 s: ``vlf`` (0.0033 to 0.04 Hz). The spectrum
      is one Hann periodogram of the intervals, by a cubic spline at 4 Hz; across a gap the spline runs along a straight
      line, which takes from ``hf``: it, ``lf_hf``, ``lf_norm`` and ``hf_norm`` are NaN where gaps make up more than 5 %
      of the time spanned (two missed beats in a minute). Gaps of more than 3 s (half a cycle of 0.15 Hz) make all these
      NaN;
    * 30 intervals: ``sampen`` (sample entropy: 2 intervals, a tolerance of 0.2 sdnn);
    * always there: ``valid`` (1 or 0), ``count`` (beats found).

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
        ECG or BVP, as recorded; filtered here.
    rate : float
        Hz; at least 32 (ECG) or 20 (BVP).
    kinds : sequence of str
    correct : bool
        Mend missed, false and ectopic beats first (:func:`correct_intervals`), where there are at least 12.
    modality : {"ecg", "bvp"}
        What `x` is.

    Returns
    -------
    ndarray of shape (..., n_kinds), float64

    Raises
    ------
    DataError
        A rate below that, or another modality.

    References
    ----------
    Task Force of the European Society of Cardiology, *Circulation* 93:1043, 1996; Brennan et al., *IEEE TBME* 48:1342,
    2001 (Poincaré); Richman & Moorman, *American Journal of Physiology* 278:H2039, 2000 (sample entropy).
    """
    x = as_signal(x, rate)
    refuse(_check_heart(kinds, correct))
    if modality == "ecg" and rate < LEAST_RHYTHM_RATE:
        raise DataError(f"The heart rate in ECG needs at least {LEAST_RHYTHM_RATE:g} Hz; found {rate:g} Hz.")
    beats, likeness = beats_and_likeness(x.reshape(-1, x.shape[-1]), rate, modality)
    rhythm = Rhythm(correct_intervals(beats) if correct else beats, x.shape[-1] / rate, likeness)
    values = np.stack([VARIABILITY[kind](rhythm) for kind in kinds], axis=-1)
    return values.reshape(*x.shape[:-1], len(kinds))


_PULSE = ("amplitude", "amplitude_sd", "rise_time", "rise_time_sd")


def _check_pulse(kinds: Sequence[str]) -> Iterator[str]:
    yield from unknown_kinds(kinds, dict.fromkeys(_PULSE))


@feature(
    "pulse",
    columns=lambda kinds: tuple(kinds),
    modalities=("bvp",),
    check=_check_pulse,
    unit="amplitudes in the signal's unit; rise times s",
    source="Elgendi et al., PLoS ONE 8(10):e76585, 2013 (peaks); Chiu et al., Am. Heart J. 121:1460, 1991 (feet)",
)
def pulse(x: np.ndarray, rate: float, kinds: Sequence[str] = _PULSE) -> np.ndarray:
    """How high and how fast the pulse waves of BVP rise in each window.

    Columns: ``amplitude`` (mean of peak less the minimum before the rise; needs one wave), ``amplitude_sd`` (its
    standard deviation over the waves; two), ``rise_time`` (mean time from foot to peak; one), ``rise_time_sd`` (two).
    They are taken from the signal between 0.5 and 8 Hz, whatever its rate. A narrowing of the vessels (cold, stress,
    pain) makes the amplitude small; so does a loose sensor.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
        BVP, as recorded; filtered here.
    rate : float
        Hz; at least 20.
    kinds : sequence of {"amplitude", "amplitude_sd", "rise_time", "rise_time_sd"}

    Returns
    -------
    ndarray of shape (..., n_kinds), float64
        NaN where samples are missing, the signal is flat or too few waves are found.

    Raises
    ------
    DataError
        A rate below 20 Hz.
    """
    x = as_signal(x, rate)
    refuse(_check_pulse(kinds))
    parts = []
    for cleaned in cleaned_rows(x, rate, "bvp"):
        row, foot, peak, height = pulse_waves(cleaned.signal, cleaned.rate)
        heights, rises = (pad_rows(row, values, len(cleaned.signal)) for values in (height, peak - foot))
        computed = dict(zip(_PULSE, (mean_of(heights), sd_of(heights), mean_of(rises), sd_of(rises)), strict=True))
        part = np.full((len(cleaned.usable), len(kinds)), np.nan)
        part[cleaned.usable] = np.stack([computed[kind] for kind in kinds], axis=-1)
        parts.append(part)
    return np.concatenate(parts or [np.empty((0, len(kinds)))]).reshape(*x.shape[:-1], len(kinds))


LEAST_ECG_RATE = 100.0
"""Hz; below it Q and S cannot be told from R."""

LEAST_WAVE, LEAST_OVER_NOISE = 0.05, 4.5
"""How far a P or T wave must rise above both sides: this share of the row's median R, and so many standard deviations
of the noise, whose highest point rises by three to four of them in such a time."""

BEFORE_Q = (0.08, 0.05)
"""From when until when before R, in seconds, the signal is level: behind P, before Q."""

_WAVES = ("pr", "qs", "qt", "rt", "st", "r_amplitude")
_STATISTICS = ("mean", "sd", "range", "change")


def _check_waves(kinds: Sequence[str]) -> Iterator[str]:
    yield from unknown_kinds(kinds, dict.fromkeys(_WAVES))


@feature(
    "ecg_waves",
    columns=lambda kinds: tuple(f"{kind}_{statistic}" for kind in kinds for statistic in _STATISTICS),
    modalities=("ecg",),
    check=_check_waves,
    unit="intervals ms; r_amplitude in the signal's unit",
    source="windows after the normal intervals in Goldberger's Clinical Electrocardiography; statistics as "
    "Gouverneur et al., Sensors 23:1959, 2023",
)
def ecg_waves(x: np.ndarray, rate: float, kinds: Sequence[str] = ("pr", "qs", "qt", "st", "r_amplitude")) -> np.ndarray:
    """Intervals between the P, Q, R, S and T waves of the ECG in each window, from peak to peak.

    Around each R peak: Q and S are the lowest points within 80 ms before and after it; T the highest from 100 ms after
    it to halfway to the next beat, at most 480 ms, or the lowest, where that stands out more (an inverted T); P the
    highest after 60 % of the way from the beat before, at most 280 ms and at least 60 ms before the beat. P and T must
    rise above both sides by 5 % of the row's median R and by 4.5 standard deviations of its noise, for most of the
    row's beats; else they are not there, nor are those whose time the window does not hold in full. These are times
    between peaks: a cardiologist's PR, QRS and QT run from onset to end. Above 150 beats per minute P runs into the T
    before it; below some 150 Hz it is then often not found.

    P and T are sought in the signal as :func:`clean_heart` gives it; Q, R and S are read where it is only high-passed
    at 0.5 Hz, as its smoothing takes a third and more of a narrow complex. Remove the mains before (``notch``).

    Columns, for each kind in turn: ``_mean``, ``_sd`` (over the beats, n - 1), ``_range`` (largest less smallest) and
    ``_change`` (last less first beat). Kinds: ``pr``, ``qs``, ``qt``, ``rt``, ``st`` (ms) and ``r_amplitude`` (R above
    the level from 80 to 50 ms before it; below 125 Hz up to a tenth too low where complexes are narrow). A mean needs
    one beat that has both waves, the others two.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
        ECG, as recorded; filtered here, and turned where its complexes point down.
    rate : float
        Hz; at least 100.
    kinds : sequence of {"pr", "qs", "qt", "rt", "st", "r_amplitude"}

    Returns
    -------
    ndarray of shape (..., 4 * n_kinds), float64
        NaN where samples are missing, the signal is flat or too few waves are found.

    Raises
    ------
    DataError
        A rate below 100 Hz.
    """
    x = as_signal(x, rate)
    refuse(_check_waves(kinds))
    if rate < LEAST_ECG_RATE:
        raise DataError(f"The waves of the ECG need at least {LEAST_ECG_RATE:g} Hz; found {rate:g} Hz.")
    parts = []
    for cleaned in cleaned_rows(x, rate, "ecg"):
        part = np.full((len(cleaned.usable), 4 * len(kinds)), np.nan)
        part[cleaned.usable] = _wave_statistics(cleaned, kinds)
        parts.append(part)
    return np.concatenate(parts or [np.empty((0, 4 * len(kinds)))]).reshape(*x.shape[:-1], 4 * len(kinds))


def _wave_statistics(cleaned: Cleaned, kinds: Sequence[str]) -> np.ndarray:
    signal, sharp, rate = cleaned.signal, cleaned.sharp, cleaned.rate
    row, peak = r_peaks(signal, rate)
    ahead = np.where(np.diff(row, append=-1) == 0, np.roll(peak, -1) - peak, np.inf)
    behind = np.where(np.diff(row, prepend=-1) == 0, peak - np.roll(peak, 1), np.inf)
    ahead, behind = np.where(np.isinf(ahead), behind, ahead), np.where(np.isinf(behind), ahead, behind)
    until_t, from_p = np.minimum(0.5 * ahead, 0.48 * rate), np.minimum(0.4 * behind, 0.28 * rate)
    near = np.ceil(0.02 * rate)  # the moving average may shift the top of a lopsided complex
    r = extreme_between(sharp, row, peak - near, peak + near)
    height = _height(sharp, row, r) - _level_before(sharp, row, r, rate)
    q = extreme_between(-sharp, row, peak - 0.08 * rate, peak)
    s = extreme_between(-sharp, row, peak, peak + 0.08 * rate)
    least = np.maximum(LEAST_WAVE * _middle(row, height, signal), LEAST_OVER_NOISE * _noise(signal, rate))
    p = _kept(*_prominent(signal, row, peak - 0.06 * rate, peak - from_p, rate), row, least)
    upright, inverted = (_prominent(x, row, peak + 0.1 * rate, peak + until_t, rate) for x in (signal, -signal))
    points_down = (_middle(row, inverted[1], signal) > _middle(row, upright[1], signal))[row]
    place, prominence = np.where(points_down, inverted, upright)
    t = _kept(place, prominence, row, least)
    ends = {"pr": (p, r), "qs": (q, s), "qt": (q, t), "rt": (r, t), "st": (s, t)}
    values = {kind: 1000.0 * (last - first) / rate for kind, (first, last) in ends.items()}
    values["r_amplitude"] = height
    return np.concatenate([_statistics(row, values[kind], len(signal)) for kind in kinds], axis=-1)


def _middle(row: np.ndarray, values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the median of the values of each row of `x`, NaN left out."""
    return quantile_of(pad_rows(row, values, len(x)), 0.5)


def _noise(x: np.ndarray, rate: float) -> np.ndarray:
    """Return the standard deviation of what is faster than P and T waves, by its lower quartile.

    Complexes and waves leave that alone, for they take less than three quarters of the time.
    """
    from scipy.ndimage import uniform_filter1d

    fast = x - uniform_filter1d(x, 2 * round(0.02 * rate) + 1, axis=-1, mode="nearest")
    return np.quantile(np.abs(fast, out=fast), 0.25, axis=-1) / 0.3186  # that quartile of the normal distribution


def _kept(place: np.ndarray, prominence: np.ndarray, row: np.ndarray, least: np.ndarray) -> np.ndarray:
    """Return places of waves that are prominent enough, in rows in which half of the waves are; else NaN."""
    usual = quantile_of(pad_rows(row, prominence, len(least)), 0.5) >= least
    return np.where(usual[row] & (prominence >= least[row]), place, np.nan)


def _height(x: np.ndarray, row: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Return the signal at places between samples, by a parabola through the three samples around; NaN stays."""
    known = ~np.isnan(place)
    middle = np.rint(np.where(known, place, 1)).astype(np.intp)
    before, at, after = (x[row, middle + step] for step in (-1, 0, 1))
    shift = place - middle
    return at + shift * (after - before) / 2 + np.square(shift) * (after - 2 * at + before) / 2


def _level_before(x: np.ndarray, row: np.ndarray, place: np.ndarray, rate: float) -> np.ndarray:
    """Return the median of the signal over `BEFORE_Q`, the level on which a complex stands; NaN outside the row.

    The high-pass sets the mean of all waves to 0, so that the level sinks as they crowd in a faster heart.
    """
    first, last = (np.rint(seconds * rate) for seconds in BEFORE_Q)
    whole = place >= first
    places = np.rint(np.where(whole, place, first))[:, np.newaxis] - np.arange(last, first + 1)
    return np.where(whole, np.median(x[row[:, np.newaxis], places.astype(np.intp)], axis=-1), np.nan)


def _prominent(
    x: np.ndarray, row: np.ndarray, near: np.ndarray, far: np.ndarray, rate: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return where the highest peak between two samples of a row lies, and how far it rises above both sides.

    `near` is the one by the complex; the side away from it reaches 60 ms farther, for in fast hearts a wave may lie at
    its window's end. NaN and 0 where there is none; both NaN where the row does not hold all that lies between.
    """
    first, last = np.minimum(near, far), np.maximum(near, far)
    whole = (first >= 1) & (last <= x.shape[-1] - 2)
    place = extreme_between(x, row, np.where(whole, first, np.nan), last)
    prominence = np.where(whole, 0.0, np.nan)
    found = np.flatnonzero(~np.isnan(place))
    beyond = 0.06 * rate
    first = np.maximum(np.where(far < near, far - beyond, near), 0)
    last = np.minimum(np.where(far < near, near, far + beyond), x.shape[-1] - 1)
    top, begin, end = (
        side[found, np.newaxis].astype(np.intp) for side in (np.rint(place), np.ceil(first), np.floor(last))
    )
    places = np.minimum(begin + np.arange(np.max(end - begin, initial=0) + 1), x.shape[-1] - 1)
    values = x[row[found, np.newaxis], places]
    before = np.min(values, axis=-1, where=places <= top, initial=np.inf)
    behind = np.min(values, axis=-1, where=(places >= top) & (places <= end), initial=np.inf)
    prominence[found] = x[row[found], top[:, 0]] - np.maximum(before, behind)
    return place, prominence


def _statistics(row: np.ndarray, values: np.ndarray, n_rows: int) -> np.ndarray:
    """Return mean, standard deviation, range, and last less first (n_rows, 4) of what is not NaN."""
    known = ~np.isnan(values)
    padded = pad_rows(row[known], values[known], n_rows)
    count = np.isfinite(padded).sum(axis=-1)
    spread = quantile_of(padded, 1.0) - quantile_of(padded, 0.0)
    change = np.full(n_rows, np.nan)
    some = np.flatnonzero(count)
    change[some] = padded[some, count[some] - 1] - padded[some, np.zeros_like(some)]
    several = np.where(count[:, np.newaxis] > 1, np.stack([spread, change], axis=-1), np.nan)
    return np.concatenate([np.stack([mean_of(padded), sd_of(padded)], axis=-1), several], axis=-1)
