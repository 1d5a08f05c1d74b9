"""Heart rate variability: numbers of the intervals between beats, in time, in frequency and in the Poincaré plot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from limbeck.signals.intervals import divide, mean_of, normal_intervals, quantile_of, sd_of, sum_of

__all__ = ["VARIABILITY", "Rhythm"]

LEAST_COVERED = 0.8
"""Share of a window that normal intervals must cover for it to be valid, less what its ends cut off."""

CUT_OFF = 0.25
"""The ends cut off an interval each, but are not taken for more than this share of the window."""

LEAST_ALIKE = 0.45
"""Likeness of the beats' waves below which a window is not valid. Noise in BVP has 0.3 to 0.5; in windows in which a
wristband is sure of its own beats, one in twenty has less."""

FEWEST, BRIEF = 3, 4.0
"""Intervals that a valid window has; one less in windows of fewer seconds than that, which may not hold so many."""

BANDS = {"vlf": (0.0033, 0.04), "lf": (0.04, 0.15), "hf": (0.15, 0.4)}
"""Bands of the Task Force, in Hz."""

SPAN = {"vlf": 270.0, "lf": 25.0, "hf": 10.0, "total": 25.0}
"""Seconds from the first to the last beat without which a band's power is NaN: about one cycle of its lower edge."""

LONGEST_GAP = 3.0
"""Seconds without a normal interval beyond which there is no spectrum: half a cycle of 0.15 Hz."""

LEAST_KNOWN = 0.95
"""Share of the time spanned that normal intervals must cover for ``hf``, and what is made of it. The straight lines
across gaps have no fast swings: five missed beats in 60 s take a fifth of it, and make ``lf_hf`` up to 2.7 times as
large, where ``lf`` and ``total`` change by a tenth."""

_RATE = 4.0  # Hz at which the intervals are interpolated

_FEWEST_FOR_ENTROPY = 30

_MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class Rhythm:
    """The beats of windows.

    Parameters
    ----------
    beats : ndarray of shape (n_rows, n_beats)
        Seconds, increasing, NaN behind the last.
    duration : float
        Of the windows, in seconds.
    likeness : ndarray of shape (n_rows,), optional
        Of the beats' waves (:func:`limbeck.signals.beats.beats_and_likeness`), where there are waves.
    """

    beats: np.ndarray
    duration: float
    likeness: np.ndarray | None = None

    @cached_property
    def normal(self) -> np.ndarray:
        """Normal intervals (n_rows, n_beats - 1) in seconds, NaN where there is none."""
        return normal_intervals(self.beats)

    @cached_property
    def intervals(self) -> np.ndarray:
        """Normal intervals of valid windows (n_rows, n_beats - 1) in seconds, NaN where there is none."""
        return np.where(self.valid[:, np.newaxis] == 1, self.normal, np.nan)

    @cached_property
    def differences(self) -> np.ndarray:
        """Differences (n_rows, n_beats - 2) of normal intervals that follow one another, in seconds."""
        return np.round(np.diff(self.intervals, axis=-1), 9)

    @cached_property
    def count(self) -> np.ndarray:
        """Beats per row."""
        return np.isfinite(self.beats).sum(axis=-1).astype(np.float64)

    @cached_property
    def mean(self) -> np.ndarray:
        """Mean interval, NaN of fewer than two."""
        return _at_least(2, self.intervals, mean_of(self.intervals))

    @cached_property
    def sdnn(self) -> np.ndarray:
        """Standard deviation of the intervals, NaN of fewer than three."""
        return _at_least(3, self.intervals, sd_of(self.intervals))

    @cached_property
    def valid(self) -> np.ndarray:
        """1 where normal intervals are enough, cover enough of the window and have waves that are alike, else 0."""
        cut_off = np.fmin(2 * quantile_of(self.normal, 0.5), CUT_OFF * self.duration)
        covered = sum_of(self.normal) >= LEAST_COVERED * (self.duration - cut_off)
        enough = np.isfinite(self.normal).sum(axis=-1) >= FEWEST - (self.duration < BRIEF)
        alike = True if self.likeness is None else self.likeness >= LEAST_ALIKE
        return (covered & enough & alike).astype(np.float64)

    @cached_property
    def extent(self) -> np.ndarray:
        """Shortest and longest interval, their difference; NaN of fewer than three."""
        return _at_least(3, self.intervals, quantile_of(self.intervals, 1.0) - quantile_of(self.intervals, 0.0))

    @cached_property
    def poincare(self) -> tuple[np.ndarray, np.ndarray]:
        """Standard deviations across and along the diagonal of each interval over the one before."""
        along = (self.intervals[:, 1:] + self.intervals[:, :-1]) / np.sqrt(2)
        across = self.differences / np.sqrt(2)
        return _at_least(3, across, sd_of(across)), _at_least(3, along, sd_of(along))

    @cached_property
    def powers(self) -> dict[str, np.ndarray]:
        """Power per band in s², NaN where the beats span too little of the window or leave too much out."""
        times = np.where(np.isfinite(self.intervals), self.beats[:, 1:], np.nan)
        without = times[:, 1:] - self.intervals[:, 1:] - np.fmax.accumulate(times, axis=-1)[:, :-1]
        gaps = np.nan_to_num(quantile_of(without, 1.0))
        span = np.nan_to_num(quantile_of(times, 1.0) - quantile_of(times, 0.0))
        span[gaps > LONGEST_GAP] = 0.0
        usable = np.flatnonzero((span >= min(SPAN.values())) & (np.isfinite(times).sum(axis=-1) >= 4))
        frequencies, density = self._spectrum(times, usable)
        powers = {}
        for name, (low, high) in {**BANDS, "total": (0.0, BANDS["hf"][1])}.items():
            inside = (frequencies >= low) & (frequencies < high) & (frequencies > 0)
            powers[name] = np.full(len(span), np.nan)
            powers[name][usable] = (density * inside).sum(axis=-1) * frequencies[1]
            powers[name][span < SPAN[name]] = np.nan
        powers["hf"][sum_of(without) > (1 - LEAST_KNOWN) * span] = np.nan
        return powers

    def _spectrum(self, times: np.ndarray, usable: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return frequencies (Hz) and the one-sided density (s²/Hz) of the intervals of some rows."""
        from scipy import fft, interpolate

        longest = int(self.duration * _RATE) + 1
        series = np.zeros((len(usable), longest))
        lengths = np.ones((len(usable), 1))
        for index, row in enumerate(usable):
            known = np.isfinite(times[row])
            time, interval = times[row, known], self.intervals[row, known]
            # a spline swings far in a gap: there it gets supports, one per beat that is missing, on a straight line
            beat = np.cumsum(np.rint(np.diff(time, prepend=time[0]) / np.median(interval)).clip(1)) - 1
            every = np.arange(beat[-1] + 1)
            time, interval = np.interp(every, beat, time), np.interp(every, beat, interval)
            grid = np.arange(time[0], time[-1], 1 / _RATE)
            lengths[index] = len(grid)
            if np.ptp(interval) > 0:
                series[index, : len(grid)] = interpolate.CubicSpline(time, interval)(grid)
                series[index, : len(grid)] -= series[index, : len(grid)].mean()
        places = np.arange(longest)
        taper = np.where(places < lengths, 0.5 - 0.5 * np.cos(2 * np.pi * places / lengths), 0.0)
        padded = fft.next_fast_len(2 * longest, real=True)  # rows of different length share one grid of frequencies
        spectrum = np.abs(fft.rfft(series * taper, padded, axis=-1)) ** 2
        density = 2 * spectrum / (_RATE * np.square(taper).sum(axis=-1, keepdims=True))
        return fft.rfftfreq(padded, 1 / _RATE), density


def _at_least(fewest: int, values: np.ndarray, result: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values).sum(axis=-1) >= fewest, result, np.nan)


def _rate_spread(rhythm: Rhythm) -> np.ndarray:
    rates = 60.0 / rhythm.intervals
    return _at_least(3, rates, sd_of(rates))


def _rmssd(rhythm: Rhythm) -> np.ndarray:
    return _at_least(2, rhythm.differences, np.sqrt(mean_of(np.square(rhythm.differences))))


def _share_above(rhythm: Rhythm, seconds: float) -> np.ndarray:
    above = np.where(np.isnan(rhythm.differences), np.nan, np.abs(rhythm.differences) > seconds)
    return _at_least(2, rhythm.differences, mean_of(above))


def _median_deviation(rhythm: Rhythm) -> np.ndarray:
    middle = quantile_of(rhythm.intervals, 0.5)[..., np.newaxis]
    return _at_least(3, rhythm.intervals, _MAD_TO_SD * quantile_of(np.abs(rhythm.intervals - middle), 0.5))


def _slope(rhythm: Rhythm) -> np.ndarray:
    times = np.where(np.isfinite(rhythm.intervals), rhythm.beats[:, 1:], np.nan)
    times = times - mean_of(times)[..., np.newaxis]
    slope = divide(sum_of(times * rhythm.intervals), sum_of(np.square(times)))
    return _at_least(3, rhythm.intervals, np.where(rhythm.extent > 0, slope, 0.0))


def _sample_entropy(rhythm: Rhythm) -> np.ndarray:
    """Return minus the logarithm of how often intervals that were alike for two beats are for a third."""
    count = np.isfinite(rhythm.intervals).sum(axis=-1)
    entropy = np.full(len(count), np.nan)
    for row in np.flatnonzero((count >= _FEWEST_FOR_ENTROPY) & (rhythm.sdnn > 0)):
        normal = rhythm.intervals[row][np.isfinite(rhythm.intervals[row])]
        near = np.abs(normal[:, np.newaxis] - normal) <= 0.2 * rhythm.sdnn[row]
        two = near[:-2, :-2] & near[1:-1, 1:-1]
        three = two & near[2:, 2:]
        itself = len(two)
        if three.sum() > itself:
            entropy[row] = np.log((two.sum() - itself) / (three.sum() - itself))
    return entropy


VARIABILITY: dict[str, Callable[[Rhythm], np.ndarray]] = {
    "hr": lambda rhythm: 60.0 / rhythm.mean,
    "period": lambda rhythm: rhythm.mean,
    "sdnn": lambda rhythm: 1000.0 * rhythm.sdnn,
    "rmssd": lambda rhythm: 1000.0 * _rmssd(rhythm),
    "pnn50": lambda rhythm: _share_above(rhythm, 0.05),
    "pnn20": lambda rhythm: _share_above(rhythm, 0.02),
    "hr_sd": _rate_spread,
    "period_median": lambda rhythm: _at_least(2, rhythm.intervals, quantile_of(rhythm.intervals, 0.5)),
    "sdsd": lambda rhythm: 1000.0 * _at_least(3, rhythm.differences, sd_of(rhythm.differences)),
    "cvnn": lambda rhythm: rhythm.sdnn / rhythm.mean,
    "mad": lambda rhythm: 1000.0 * _median_deviation(rhythm),
    "range": lambda rhythm: 1000.0 * rhythm.extent,
    "slope": lambda rhythm: 1000.0 * _slope(rhythm),
    "count": lambda rhythm: rhythm.count,
    "vlf": lambda rhythm: 1e6 * rhythm.powers["vlf"],
    "lf": lambda rhythm: 1e6 * rhythm.powers["lf"],
    "hf": lambda rhythm: 1e6 * rhythm.powers["hf"],
    "total": lambda rhythm: 1e6 * rhythm.powers["total"],
    "lf_hf": lambda rhythm: divide(rhythm.powers["lf"], rhythm.powers["hf"]),
    "lf_norm": lambda rhythm: divide(rhythm.powers["lf"], rhythm.powers["lf"] + rhythm.powers["hf"]),
    "hf_norm": lambda rhythm: divide(rhythm.powers["hf"], rhythm.powers["lf"] + rhythm.powers["hf"]),
    "sd1": lambda rhythm: 1000.0 * rhythm.poincare[0],
    "sd2": lambda rhythm: 1000.0 * rhythm.poincare[1],
    "sd1_sd2": lambda rhythm: divide(*rhythm.poincare),
    "ellipse": lambda rhythm: 1e6 * np.pi * rhythm.poincare[0] * rhythm.poincare[1],
    "sampen": _sample_entropy,
    "valid": lambda rhythm: rhythm.valid,
}
"""Kind to its values, one per row; times in ms but for periods (s), powers in ms²."""
