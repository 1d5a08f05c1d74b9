"""Eyes: blinks and saccades in an EOG."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from limbeck.errors import DataError
from limbeck.signals.arrays import above_zero, as_signal, refuse
from limbeck.signals.kinds import feature
from limbeck.signals.rowwise import compute_rows
from limbeck.signals.spectral import unknown_kinds

__all__ = ["eog"]

BLINK = (0.05, 0.5)
"""Seconds that a blink can last at half its height."""

LARGEST_BLINK = 1.0
"""Seconds around a peak within which a blink rises and falls; slower deflections are gaze or drift."""

SACCADE = 6.0
"""A saccade is faster than this multiple of the velocity's median-based standard deviation (Engbert and Kliegl)."""

SHORTEST_SACCADE = 0.012
"""Seconds that a saccade lasts at least."""

EYE_RATE = 100.0
"""Hz to which signals are resampled, so that velocity spans the same time at every rate."""


@dataclass(frozen=True)
class _Eyes:
    """What happens in each row: numbers of events and sums over them, (n_rows,) each."""

    seconds: float
    blinks: np.ndarray
    blink_height: np.ndarray
    blink_seconds: np.ndarray
    saccades: np.ndarray
    saccade_distance: np.ndarray
    saccade_speed: np.ndarray
    saccade_energy: np.ndarray
    speed: np.ndarray


def _per(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


_KINDS: dict[str, Callable[[_Eyes], np.ndarray]] = {
    "blink_rate": lambda eyes: eyes.blinks * 60 / eyes.seconds,
    "blink_amplitude": lambda eyes: _per(eyes.blink_height, eyes.blinks),
    "blink_duration": lambda eyes: _per(eyes.blink_seconds, eyes.blinks),
    "saccade_rate": lambda eyes: eyes.saccades * 60 / eyes.seconds,
    "saccade_amplitude": lambda eyes: _per(eyes.saccade_distance, eyes.saccades),
    "saccade_velocity": lambda eyes: _per(eyes.saccade_speed, eyes.saccades),
    "saccade_energy": lambda eyes: eyes.saccade_energy,
    "velocity_rms": lambda eyes: eyes.speed,
}

_USUAL = ("blink_rate", "saccade_rate", "saccade_energy", "velocity_rms")


def _check(kinds: Sequence[str], blink: float) -> Iterator[str]:
    yield from unknown_kinds(kinds, _KINDS)
    yield from above_zero("blink", blink, " µV")


@feature(
    "eog",
    columns=lambda kinds, blink: tuple(kinds),
    modalities=("eog",),
    check=_check,
    unit="rates 1/min; amplitudes µV; blink_duration s; velocities µV/s; saccade_energy (µV/s)²",
    source="blinks: scipy.signal.find_peaks by prominence and width; saccades: Engbert and Kliegl, Vision Research "
    "43:1035, 2003",
)
def eog(x: np.ndarray, rate: float, kinds: Sequence[str] = _USUAL, *, blink: float = 100.0) -> np.ndarray:
    """Blinks and saccades of each EOG channel in each window.

    Blinks show in vertical channels, as upward peaks; horizontal ones have few or none. A window in which nothing
    happens has rates and an energy of 0, and NaN for what describes an event.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float, µV
        Positive when the eyes turn up (electrode above minus electrode below).
    rate : float
        Hz; at least 50.
    kinds : sequence of str
        Blinks (peaks that stand out by `blink`, 50 to 500 ms wide at half height): ``blink_rate``,
        ``blink_amplitude`` (mean height), ``blink_duration`` (mean width at half height).
        Saccades (faster than 6 median-based standard deviations of the velocity for 12 ms or more, not within a blink):
        ``saccade_rate``, ``saccade_amplitude`` (mean change), ``saccade_velocity`` (mean of the peaks),
        ``saccade_energy`` (squared velocity within saccades, over the whole window's samples).
        All movement: ``velocity_rms``.
        Signals are brought to 100 Hz first, and velocity is taken over 20 ms to either side, so it is lower than a
        short saccade's own: the peak is 0.9 of it for a saccade that takes 70 ms from 10 to 90 %, 0.7 for 35 ms (0.68
        at 50 Hz to 0.75 at 100 Hz), half for 18 ms.
    blink : float
        µV; a threshold in units, since one relative to the window would find blinks where there are none.

    Returns
    -------
    ndarray of shape (..., n_kinds), float64
        NaN where samples are missing, and for a constant signal, which no eye gives; what is said of saccades also
        where half of the samples or more do not change.

    Raises
    ------
    DataError
        A rate below 50 Hz; less than half a second.
    """
    refuse(_check(kinds, blink))
    x = as_signal(x, rate)
    if rate < 50:
        raise DataError(f"Blinks and saccades need a sampling rate of at least 50 Hz; found {rate:g} Hz.")
    x = as_signal(x, rate, least=int(rate / 2))

    def compute(rows: np.ndarray, flat: np.ndarray) -> np.ndarray:
        eyes = _follow(rows, rate, blink)
        values = np.stack([_KINDS[kind](eyes) for kind in kinds], axis=-1)
        return np.where(flat[:, np.newaxis], np.nan, values)

    return compute_rows(x, len(kinds), compute)


def _follow(rows: np.ndarray, rate: float, blink: float) -> _Eyes:
    seconds = rows.shape[-1] / rate
    x, rate = _at_eye_rate(rows, rate), EYE_RATE
    blinks, blinking = _find_blinks(x, rate, blink)
    # velocity over two samples to either side, smoothed, as Engbert and Kliegl take it
    velocity = (x[:, 4:] + x[:, 3:-1] - x[:, 1:-3] - x[:, :-4]) * rate / 6
    speed = np.abs(velocity)
    spread = np.median(np.square(velocity - np.median(velocity, axis=-1, keepdims=True)), axis=-1, keepdims=True)
    # where most samples are the same, nothing says what is fast
    known = np.where(spread[:, 0] > 0, 1.0, np.nan)
    fast = (speed > SACCADE * np.sqrt(spread)) & ~blinking[:, 2:-2]
    edges = np.diff(fast.astype(np.int8), axis=-1, prepend=0, append=0)
    row, begin = np.nonzero(edges == 1)
    end = np.nonzero(edges == -1)[1]
    long = end - begin >= max(2, SHORTEST_SACCADE * rate)
    row, begin, end = row[long], begin[long], end[long]

    def add_up(each: np.ndarray) -> np.ndarray:
        return np.bincount(row, weights=each, minlength=len(x)).astype(np.float64, copy=False)  # integers of nothing

    # one bound behind the other, with what lies between saccades in every second place
    bounds = np.stack([begin, end], axis=-1).reshape(-1) + np.repeat(row, 2) * (velocity.shape[-1] + 1)
    padded = np.pad(speed, ((0, 0), (0, 1))).reshape(-1)
    top = np.maximum.reduceat(padded, bounds)[::2] if len(row) else np.empty(0)
    energy = np.add.reduceat(np.square(padded), bounds)[::2] if len(row) else np.empty(0)
    return _Eyes(
        seconds=seconds,
        blinks=blinks[0],
        blink_height=blinks[1],
        blink_seconds=blinks[2],
        saccades=add_up(np.ones(len(row))) * known,
        saccade_distance=add_up(np.abs(x[row, end + 3] - x[row, begin])),
        saccade_speed=add_up(top),
        saccade_energy=add_up(energy) / velocity.shape[-1] * known,
        speed=np.sqrt(np.square(velocity).mean(axis=-1)),
    )


def _at_eye_rate(rows: np.ndarray, rate: float) -> np.ndarray:
    """Average down to `EYE_RATE` or somewhat more, and interpolate linearly.

    A sharper filter would ring at every saccade, and the ringing be taken for more of them.
    """
    every = max(1, int(rate / EYE_RATE))
    samples = rows.shape[-1] // every
    means = rows[:, : samples * every].reshape(len(rows), samples, every).mean(axis=-1)
    step = rate / every / EYE_RATE
    at = np.arange(int((samples - 1) / step + 1e-9) + 1) * step
    before = np.minimum(at.astype(np.int64), samples - 2)
    return means[:, before] + (at - before) * (means[:, before + 1] - means[:, before])


def _find_blinks(x: np.ndarray, rate: float, blink: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of blinks and the sums of their heights and widths, (3, n_rows), and which samples are in one.

    A blink is taken to last three times its width at half height.
    """
    from scipy import signal

    found = np.zeros((3, len(x)))
    blinking = np.zeros(x.shape, dtype=bool)
    widths = (BLINK[0] * rate, BLINK[1] * rate)
    for index in np.flatnonzero(np.ptp(x, axis=-1) >= blink):  # others have none
        peaks, facts = signal.find_peaks(
            x[index],
            plateau_size=(None, widths[1]),  # longer ones have no sides within the stretch looked at
            prominence=blink,
            width=widths,
            wlen=round(LARGEST_BLINK * rate),
        )
        found[:, index] = len(peaks), facts["prominences"].sum(), facts["widths"].sum() / rate
        begins = np.maximum(facts["left_ips"] - facts["widths"], 0).astype(int)
        ends = np.ceil(facts["right_ips"] + facts["widths"]).astype(int) + 1
        for begin, end in zip(begins, ends, strict=True):
            blinking[index, begin:end] = True
    return found, blinking
