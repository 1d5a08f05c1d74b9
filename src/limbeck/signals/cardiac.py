"""The heart: its rate and variability, the pulse wave in BVP, and the waves of the ECG, in each window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from limbeck.errors import DataError
from limbeck.signals.arrays import as_signal
from limbeck.signals.beats import cleaned_rows, extreme_between, find_beats, pad_rows, pulse_waves, r_peaks
from limbeck.signals.intervals import correct_intervals, mean_of, quantile_of, sd_of
from limbeck.signals.kinds import feature
from limbeck.signals.spectral import refuse, unknown_kinds
from limbeck.signals.variability import VARIABILITY, Rhythm

__all__ = ["ecg_waves", "heart", "pulse"]


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

    Beats are found by :func:`find_beats`; intervals are those of :func:`normal_intervals`: outliers are left out. What
    a window cannot give (too few beats, a flat signal, missing samples) is NaN, never an exception; ``valid`` tells.

    Kinds, by what they need:

    * two intervals: ``hr`` (beats per minute: 60 over the mean interval), ``period`` (mean interval, s),
      ``period_median`` (s);
    * three intervals: ``sdnn`` (standard deviation, ms), ``hr_sd`` (of 60 over each interval), ``cvnn`` (sdnn over the
      mean), ``mad`` (1.4826 times the median deviation from the median, ms), ``range`` (longest less shortest, ms),
      ``slope`` (of the intervals over time, least squares, ms/s);
    * two differences of successive intervals: ``rmssd`` (root mean square, ms), ``pnn50``, ``pnn20`` (share above 50,
      20 ms); three: ``sdsd`` (standard deviation, ms), ``sd1``, ``sd2`` (Poincaré plot, ms), ``sd1_sd2``, ``ellipse``
      (pi sd1 sd2, ms²);
    * a valid window, and beats that span 10 s: ``hf`` (power from 0.15 to 0.4 Hz, ms²); 25 s: ``lf`` (0.04 to 0.15 Hz),
      ``total`` (below 0.4 Hz), ``lf_hf``, ``lf_norm``, ``hf_norm`` (share of lf + hf); 270 s: ``vlf`` (0.0033 to
      0.04 Hz). The spectrum is one Hann periodogram of the intervals, by a cubic spline at 4 Hz;
    * 30 intervals: ``sampen`` (sample entropy: 2 intervals, a tolerance of 0.2 sdnn);
    * always there: ``valid`` (1 where normal intervals cover at least 80 % of the window, less one interval at either
      end; else 0), ``count`` (beats found).

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
        ECG or BVP, as recorded; filtered here.
    rate : float
        Hz; at least 20.
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
        A rate below 20 Hz, or another modality.

    References
    ----------
    Task Force of the European Society of Cardiology, *Circulation* 93:1043, 1996; Brennan et al., *IEEE TBME* 48:1342,
    2001 (Poincaré); Richman & Moorman, *American Journal of Physiology* 278:H2039, 2000 (sample entropy).
    """
    x = as_signal(x, rate)
    refuse(_check_heart(kinds, correct))
    beats = find_beats(x, rate, modality).reshape(x[..., 0].size, -1)
    rhythm = Rhythm(correct_intervals(beats) if correct else beats, x.shape[-1] / rate)
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
    for cleaned, usable, fine in cleaned_rows(x, rate, "bvp"):
        row, foot, peak, height = pulse_waves(cleaned, fine)
        heights, rises = (pad_rows(row, values, len(cleaned)) for values in (height, peak - foot))
        computed = dict(zip(_PULSE, (mean_of(heights), sd_of(heights), mean_of(rises), sd_of(rises)), strict=True))
        part = np.full((len(usable), len(kinds)), np.nan)
        part[usable] = np.stack([computed[kind] for kind in kinds], axis=-1)
        parts.append(part)
    return np.concatenate(parts or [np.empty((0, len(kinds)))]).reshape(*x.shape[:-1], len(kinds))


LEAST_ECG_RATE = 100.0
"""Hz; below it Q and S cannot be told from R."""

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
    it to 60 % of the way to the next beat, at most 480 ms; P the highest from there, at most 280 ms before the beat, to
    60 ms before it. A wave is missed where no peak lies there. These are times between peaks: a cardiologist's PR, QRS
    and QT run from onset to end.

    Columns, for each kind in turn: ``_mean``, ``_sd`` (over the beats, n - 1), ``_range`` (largest less smallest) and
    ``_change`` (last less first beat). Kinds: ``pr``, ``qs``, ``qt``, ``rt``, ``st`` (ms) and ``r_amplitude`` (R above
    the baseline, above 0.5 Hz). A mean needs one beat that has both waves, the others two.

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
    for cleaned, usable, _ in cleaned_rows(x, rate, "ecg"):
        part = np.full((len(usable), 4 * len(kinds)), np.nan)
        part[usable] = _wave_statistics(cleaned, rate, kinds)
        parts.append(part)
    return np.concatenate(parts or [np.empty((0, 4 * len(kinds)))]).reshape(*x.shape[:-1], 4 * len(kinds))


def _wave_statistics(cleaned: np.ndarray, rate: float, kinds: Sequence[str]) -> np.ndarray:
    row, peak = r_peaks(cleaned, rate)
    r = extreme_between(cleaned, row, peak, peak)
    ahead = np.where(np.diff(row, append=-1) == 0, np.roll(peak, -1) - peak, np.inf)
    behind = np.where(np.diff(row, prepend=-1) == 0, peak - np.roll(peak, 1), np.inf)
    ahead, behind = np.where(np.isinf(ahead), behind, ahead), np.where(np.isinf(behind), ahead, behind)
    until_t, from_p = np.minimum(0.6 * ahead, 0.48 * rate), np.minimum(0.4 * behind, 0.28 * rate)
    q = extreme_between(-cleaned, row, peak - 0.08 * rate, peak)
    s = extreme_between(-cleaned, row, peak, peak + 0.08 * rate)
    p = extreme_between(cleaned, row, peak - from_p, peak - 0.06 * rate)
    t = extreme_between(cleaned, row, peak + 0.1 * rate, peak + until_t)
    ends = {"pr": (p, r), "qs": (q, s), "qt": (q, t), "rt": (r, t), "st": (s, t)}
    values = {kind: 1000.0 * (last - first) / rate for kind, (first, last) in ends.items()}
    values["r_amplitude"] = cleaned[row, peak]
    return np.concatenate([_statistics(row, values[kind], len(cleaned)) for kind in kinds], axis=-1)


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
