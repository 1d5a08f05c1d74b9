"""Signal quality: how far the samples of a window can be believed, between 0 and 1, where 1 means nothing is wrong.

Quality is read from signals as they were recorded, before any cleaning. :func:`window_quality` looks at windows of a
recording, which knows more than a window: runs that cross its edge, the rails of the converter, the beats around it.
:func:`quality` takes windows alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from limbeck.errors import DataError, did_you_mean
from limbeck.recording import MODALITIES
from limbeck.signals.arrays import as_signal
from limbeck.signals.beats import find_beats
from limbeck.signals.gaps import fill_gaps, row_chunks
from limbeck.signals.respiration import find_breaths

__all__ = ["QUALITY", "moving_share", "quality", "window_quality"]

QUALITY = ("flat", "clipped", "missing", "line", "motion", "peaks", "overall")
"""Kinds of quality, in the order of the columns. Each is 1 where nothing is wrong and 0 where all is: ``missing`` is 1
when no sample is missing, ``motion`` is 1 when nothing moved. NaN: the kind does not apply."""


@dataclass(frozen=True)
class _Limits:
    """What is plausible in one modality.

    Parameters
    ----------
    flat : float
        Seconds that a signal may stay on one value: what the coarsest usual converter makes of a quiet signal.
    rail : float or None
        Seconds at a recording's lowest or highest value that count as clipped (three samples at least); None where
        signals are so slow that they rest at their extremes.
    strays : bool
        Whether samples beyond a rail are thinkable; not where a signal may rest anywhere, as an axis of gravity does.
    floor : float
        Hz from which on power counts in comparing the mains with the rest; 0: the whole variance.
    swing : float or None
        Largest peak to peak within a second, in the modality's unit.
    slow : float or None
        Seconds; what varies more slowly than their mean is wander of the baseline, not signal.
    span : pair of float or None
        Smallest and largest plausible value.
    step : pair of float or None
        Largest plausible change, and the seconds within which it is one.
    around : float
        Seconds before and behind an implausible sample that are not believed either.
    """

    flat: float = 1.0
    rail: float | None = None
    strays: bool = True
    floor: float = 0.0
    swing: float | None = None
    slow: float | None = None
    span: tuple[float, float] | None = None
    step: tuple[float, float] | None = None
    around: float = 0.0


_LIMITS: dict[str, _Limits] = {
    "eeg": _Limits(flat=0.5, rail=0.02, floor=2.0, swing=200.0),
    "eog": _Limits(flat=0.5, rail=0.02, floor=2.0, swing=2000.0),
    "ecg": _Limits(flat=0.5, rail=0.01, floor=2.0, slow=1.0),
    "emg": _Limits(flat=0.5, rail=0.005, floor=2.0, slow=0.05),
    "bvp": _Limits(flat=1.0, rail=0.05, floor=0.5, slow=2.0),
    "resp": _Limits(flat=5.0, rail=0.25),
    "acc": _Limits(flat=60.0, rail=0.05, strays=False),
    "eda": _Limits(flat=10.0, span=(0.05, 60.0), step=(2.5, 0.25), around=5.0),
    "temp": _Limits(flat=120.0, span=(15.0, 45.0), step=(1.0, 1.0), around=1.0),
    "gaze": _Limits(flat=2.0),
    "video": _Limits(flat=2.0),
}


@dataclass(frozen=True)
class _Rhythm:
    """Which intervals between the peaks of a modality are plausible.

    Parameters
    ----------
    rate : float
        Hz that suffice to tell; what is faster is averaged down, since the search costs most.
    span : pair of float
        Shortest and longest interval in seconds.
    deviation : float
        Largest deviation from the median of the intervals around, as a share of that.
    stretch : float
        Seconds in which beats are sought at a time. The search for pulse waves compares them with the row's mean: in
        short stretches a burst of motion spoils itself and not the whole recording. On Stress-Predict the quality of
        the peaks then follows the share of beats that the device itself is sure of with r = 0.83 (whole: 0.73).
    """

    rate: float
    span: tuple[float, float]
    deviation: float
    stretch: float


# A missed or a false beat makes an interval deviate by half and more, sinus arrhythmia by less than a fifth. Breaths
# vary by a third at rest (Tobin et al., J. Appl. Physiol. 65:309, 1988): only a missed or a halved one stands out.
_RHYTHMS = {
    "ecg": _Rhythm(128.0, (0.3, 2.0), 0.3, stretch=480.0),
    "bvp": _Rhythm(64.0, (0.3, 2.0), 0.3, stretch=120.0),
    "resp": _Rhythm(8.0, (1.0, 20.0), 0.75, stretch=np.inf),
}

_AROUND = 11
"""Intervals over which that median is taken."""

_OVERLAP = 30.0
"""Seconds on either side of them that are looked at too."""

_ON_END = 3
"""Plausible intervals that must follow one another."""

_MAINS = (50.0, 60.0)
"""Hz."""

_NEXT = (1.6, 8.0)
"""Hz: power closer to a harmonic of the mains than the first is the mains'; what lies between the two is its
neighbourhood, which tells what would be there without it."""

_MOVING = 0.05
"""g: the wearer moves where the acceleration scatters more than this within a second, all axes together. At a
wrist in the laboratory half of the seconds stay below 0.015, and nine of ten below 0.14 (Stress-Predict)."""

_QUARTERS = 4
"""Blocks per second, at least, in which motion is looked for."""

_TOUCHES = 3
"""Stretches in which a row rests at a rail, at least, if some samples lie beyond it."""

_BEYOND = 0.02
"""Largest number of samples beyond such a rail, as a share of those that rest at it."""

_INSIDE = 0.3
"""The same of samples on the next value inside, where a coarse converter that is not at its end has about as many."""

_AT_HOME = 0.25
"""Share of a row's samples that may lie at such a rail; a value that holds more is where the signal is at home."""


def quality(x: np.ndarray, rate: float, modality: str, *, moving: np.ndarray | None = None) -> np.ndarray:
    """How far windows can be believed, by kind, between 0 and 1: 1 means nothing is wrong.

    Every row is judged by itself, as if it were a recording with one window; kinds are those of
    :func:`window_quality`.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
        Windows as recorded, in the modality's unit (`limbeck.recording.UNITS`); missing samples are NaN.
    rate : float
        Hz.
    modality : str
        One of `limbeck.recording.MODALITIES`.
    moving : ndarray of shape (...), optional
        The share of each row's time in which the wearer moved, as of :func:`moving_share`; of fewer axes or a length
        of 1, where rows share it.

    Returns
    -------
    ndarray of shape (..., 7), float64
        In the order of `QUALITY`.

    Raises
    ------
    DataError
        An unknown modality, no samples, or another number of `moving` than rows.
    """
    x = as_signal(x, rate)
    rows = x.reshape(-1, x.shape[-1])
    at = np.zeros(1, dtype=np.int64)
    values = _judged(rows, rate, modality, at, x.shape[-1])
    if moving is not None:
        _put_motion(values, modality, _shaped(moving, x.shape[:-1], "row").reshape(1, -1))
    return values[0].reshape(*x.shape[:-1], len(QUALITY))


def window_quality(
    x: np.ndarray, rate: float, modality: str, first: np.ndarray, samples: int, *, moving: np.ndarray | None = None
) -> np.ndarray:
    """How far the windows of a recording can be believed, by kind, between 0 and 1: 1 means nothing is wrong.

    ``flat``
        Share of the samples that are not in a stretch of one and the same value, longer than a signal of this kind
        rests: 0.5 s (EEG, EOG, ECG, EMG), 1 s (BVP), 5 s (respiration), 10 s (EDA), 1 min (acceleration), 2 min
        (temperature).
    ``clipped``
        Share of the samples that do not rest at a rail of the recording, for three samples on end and 5 to 250 ms, by
        modality: where a converter is at its end, the tops are cut off. Rails are the lowest and the highest value,
        and what a few stray samples keep from being that: the outermost value at which the recording rests three times
        and more, if for each 100 samples there it has no more than 2 beyond, and 30 on the next value inside (but not
        in acceleration, which rests anywhere). Not for EDA and temperature.
    ``missing``
        Share of the samples that are there.
    ``line``
        Share of the power that is not the mains': what rises above the neighbouring frequencies at 50 or 60 Hz,
        whichever is more, and the harmonics, against all power above 2 Hz (BVP: 0.5 Hz; others but the electrical: the
        whole variance of the window). For rates above 104 Hz and windows of a second and more.
    ``motion``
        Share of the samples that movement has not spoiled. EEG, EOG: those not within a second that spans more than
        200 µV, or 2 mV (the usual limit of artefact rejection; blinks count), from 1 Hz on. EDA: rules 1, 2 and 4 of
        Kleckner et al.: 0.05 to 60 µS, changing by at most 10 µS/s over a quarter of a second, and 5 s away from
        anything else. Skin temperature: 15 to 45 °C, changing by at most 1 °C in a second. BVP and ECG: `moving`, where
        it is known. ECG, BVP and EMG else: the share of the power that is not wander of the baseline, slower than 1 s,
        2 s, 50 ms.
    ``peaks``
        ECG, BVP: share of the time covered by plausible intervals between beats: 0.3 to 2 s, and within 30 % of the
        median of the 11 around it, three on end. Respiration: the same of breaths, 1 to 20 s, within 75 %.
    ``overall``
        The smallest of those that apply: a window is as good as what is worst in it.

    Parameters
    ----------
    x : ndarray of shape (n_channels, n_times), float
        A recording as recorded, in the modality's unit; missing samples are NaN.
    rate : float
        Hz.
    modality : str
        One of `limbeck.recording.MODALITIES`.
    first : ndarray of shape (n_windows,), int
        The first sample of each window.
    samples : int
        Samples per window.
    moving : ndarray of shape (n_windows,), optional
        The share of each window in which the wearer moved, as of :func:`moving_share`; NaN where it is not known.

    Returns
    -------
    ndarray of shape (n_windows, n_channels, 7), float64
        In the order of `QUALITY`; NaN where a kind does not apply.

    Raises
    ------
    DataError
        An unknown modality, windows that are not in the recording, or another number of `moving` than windows.

    References
    ----------
    Kleckner et al., *IEEE Trans. Biomed. Eng.* 65:1460, 2018 (EDA). Clifford et al., *Physiol. Meas.* 33:1419, 2012
    (flat line, relative power of the baseline). De Luca et al., *J. Biomech.* 43:1573, 2010 (EMG below 20 Hz).
    """
    x = as_signal(x, rate)
    first = np.asarray(first, dtype=np.int64)
    if x.ndim != 2:
        raise DataError(f"A recording has shape (channel, time); found shape {x.shape}.")
    if not 0 < samples <= x.shape[1] or (first < 0).any() or (first > x.shape[1] - samples).any():
        raise DataError(
            f"Windows of {samples} samples must lie in the recording's {x.shape[1]}; found windows from sample "
            f"{first.min(initial=0)} to {first.max(initial=0) + samples}."
        )
    values = _judged(x, rate, modality, first, samples)
    if moving is not None:
        _put_motion(values, modality, _shaped(moving, (len(first),), "window")[:, np.newaxis])
    return values


def moving_share(acceleration: np.ndarray, rate: float, starts: np.ndarray, length: float) -> np.ndarray:
    """Return the share of stretches of time in which the wearer of an accelerometer moved.

    The wearer moves where the acceleration scatters within a second by more than 0.05 g: the root of the summed
    variances of the axes, so that turning the sensor counts, and its resting direction does not.

    Parameters
    ----------
    acceleration : ndarray of shape (n_axes, n_times), float
        In g. A sample is missing where one of its axes is; short gaps are interpolated, and no gap is taken for rest.
    rate : float
        Hz.
    starts : ndarray of shape (n_windows,), float
        Seconds from the first sample.
    length : float
        Seconds.

    Returns
    -------
    ndarray of shape (n_windows,), float64
        Of the time that was recorded; NaN where that is less than half of the stretch, and at rates below 1 Hz.

    Raises
    ------
    DataError
        Another shape than that of axes and time, starts that are no finite numbers, a length that is not above 0.
    """
    x = as_signal(acceleration, rate)
    starts = np.asarray(starts, dtype=np.float64)
    if x.ndim != 2:
        raise DataError(f"An acceleration has shape (axis, time); found shape {x.shape}.")
    if starts.ndim != 1 or not np.isfinite(starts).all():
        raise DataError(f"Starts of stretches are a list of finite seconds; found {starts}.")
    if not (np.isfinite(length) and length > 0):
        raise DataError(f"A stretch must last a number of seconds above 0; found {length:g}.")
    size, width = _within_a_second(rate, x.shape[1])
    if size * width < 2:
        return np.full(len(starts), np.nan)
    gaps = np.isnan(x)
    blocks = _in_blocks(fill_gaps(x, gaps), size)
    # by sums, which are faster than .mean over a few; g are so small that single precision can tell
    mean = _sliding(blocks @ np.full(size, 1 / size, dtype=x.dtype), width).mean(axis=-1)
    squares = _sliding(np.einsum("abs,abs->ab", blocks, blocks) / size, width).mean(axis=-1)
    scatter = (squares - np.square(mean)).sum(axis=0)
    there = 1 - _in_blocks(gaps.any(axis=0, keepdims=True), size).mean(axis=-1)
    recorded = _sliding(there, width).mean(axis=-1) >= 0.5  # a second that was mostly interpolated shows no motion
    moves = _spread(recorded & (scatter > _MOVING**2), width)
    edges = np.clip([starts * rate, (starts + length) * rate], 0, x.shape[1])
    samples = _between(there, size, *edges)[:, 0]
    share = _ratio(_between(there * moves, size, *edges)[:, 0], samples)
    return np.where(samples >= 0.5 * length * rate, share, np.nan)


def _judged(x: np.ndarray, rate: float, modality: str, first: np.ndarray, samples: int) -> np.ndarray:
    """Return the quality (n_windows, n_rows, 7), some rows at a time."""
    if modality not in _LIMITS:
        raise DataError(f"There is no modality '{modality}'.{did_you_mean(str(modality), MODALITIES)}")
    values = np.full((len(first), len(x), len(QUALITY)), np.nan)
    for rows in row_chunks(*x.shape):
        values[:, rows, :-1] = _kinds(x[rows], rate, modality, first, samples)
    values[..., -1] = np.fmin.reduce(values[..., :-1], axis=-1)
    return values


def _shaped(moving: np.ndarray, shape: tuple[int, ...], each: str) -> np.ndarray:
    """Return the shares of motion in the shape that is needed."""
    shares = np.asarray(moving, dtype=np.float64)
    try:
        return np.broadcast_to(shares, shape)
    except ValueError as error:
        raise DataError(f"`moving` needs a number per {each}, shape {shape}; found shape {shares.shape}.") from error


def _put_motion(values: np.ndarray, modality: str, moving: np.ndarray) -> None:
    """Take the motion of the accelerometer for that which a pulse or an ECG shows itself."""
    if modality in ("bvp", "ecg"):
        at = QUALITY.index("motion")
        values[..., at] = np.where(np.isnan(moving), values[..., at], 1 - moving)
        values[..., -1] = np.fmin.reduce(values[..., :-1], axis=-1)


def _kinds(x: np.ndarray, rate: float, modality: str, first: np.ndarray, samples: int) -> np.ndarray:
    """Return all kinds but the overall one, (n_windows, n_rows, 6)."""
    limits, behind = _LIMITS[modality], first + samples
    gaps = np.isnan(x)
    present = 1 - _share(gaps, first, samples)
    filled = fill_gaps(x, gaps)

    def believed(wrong: np.ndarray) -> np.ndarray:
        """Return the share of the present samples that are not wrong."""
        return _ratio(present - _share(wrong, first, samples), present)

    nothing = np.full(present.shape, np.nan)
    motion = nothing
    if limits.span is not None:
        motion = believed(_implausible(x, rate, limits) & ~gaps)
    elif limits.swing is not None:
        motion = 1 - _share_of_swings(filled, rate, limits.swing, first, behind)
    elif limits.slow is not None:
        motion = 1 - _share_of_wander(filled, max(1, round(limits.slow * rate)), first, behind)
    kinds = {
        "flat": believed(_flat(x, rate, limits.flat)),
        "clipped": nothing if limits.rail is None else believed(_clipped(x, rate, limits.rail, limits.strays)),
        "missing": present,
        "line": _line(filled, gaps, rate, limits.floor, first, behind),
        "motion": motion,
        "peaks": _peaks(filled, gaps, rate, modality, first, behind),
    }
    values = np.stack([kinds[kind] for kind in QUALITY[:-1]], axis=-1)
    values[present == 0] = np.nan  # where nothing was recorded there is nothing to say but that
    values[..., QUALITY.index("missing")] = present
    return values


# ---- shares of windows -----------------------------------------------------------------------------------------------


def _share(wrong: np.ndarray, first: np.ndarray, samples: int) -> np.ndarray:
    """Return the share of each window's samples that are marked, (n_windows, n_rows)."""
    if not wrong.any():
        return np.zeros((len(first), len(wrong)))
    count = np.zeros((len(wrong), wrong.shape[1] + 1), dtype=np.int32)
    np.cumsum(wrong, axis=-1, out=count[:, 1:])
    return (count[:, first + samples] - count[:, first]).T / samples


def _between(values: np.ndarray, size: int, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Sum values that hold for blocks of samples from one place to another, (n_windows, n_rows).

    A value counts as often as samples of its block lie between the two; behind the last block there is nothing.
    """
    total = np.zeros((len(values), values.shape[1] + 1))
    np.cumsum(values, axis=-1, out=total[:, 1:])

    def until(place: np.ndarray) -> np.ndarray:
        blocks = np.clip(place / size, 0, values.shape[1])
        whole = np.minimum(blocks.astype(np.int64), values.shape[1] - 1)
        return total[:, whole] + (blocks - whole) * values[:, whole]

    return size * (until(end) - until(begin)).T


def _ratio(part: np.ndarray, whole: np.ndarray, least: np.ndarray | float = 0.0) -> np.ndarray:
    """Divide, limited to [0, 1]; NaN where the whole is not above the least."""
    ratio = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > least)
    return np.clip(ratio, 0, 1)


def _in_blocks(x: np.ndarray, size: int) -> np.ndarray:
    """Return rows in blocks, (n_rows, n_blocks, size); the last sample fills the last block up."""
    lacking = -x.shape[1] % size
    if lacking:
        x = np.concatenate([x, np.repeat(x[:, -1:], lacking, axis=1)], axis=1)
    return x.reshape(len(x), -1, size)


def _within_a_second(rate: float, samples: int) -> tuple[int, int]:
    """Return the samples of a block, and the most blocks whose samples lie no more than a second apart."""
    whole = int(rate + 1e-9)
    size = max(1, whole // _QUARTERS)
    return size, min((whole + 1) // size, -(-samples // size))


def _sliding(x: np.ndarray, width: int) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(x, width, axis=-1)


def _spread(stretches: np.ndarray, width: int) -> np.ndarray:
    """Mark the blocks that lie in a marked stretch; stretch j holds the blocks j to j + width - 1."""
    padded = np.pad(stretches, ((0, 0), (width - 1, width - 1)))
    return np.logical_or.reduce(_sliding(padded, width), axis=-1)


# ---- kinds -----------------------------------------------------------------------------------------------------------


def _in_runs(marked: np.ndarray, least: int) -> np.ndarray:
    """Return which marked samples have at least so many marked ones on end, themselves included."""
    padded = np.zeros((len(marked), marked.shape[1] + 2), dtype=np.int8)
    padded[:, 1:-1] = marked
    edges = np.diff(padded, axis=-1)
    begin, end = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    long = end - begin >= least
    if not long.any():
        return np.zeros(marked.shape, dtype=bool)
    kept = np.zeros(edges.size, dtype=np.int8)
    kept[begin[long]], kept[end[long]] = 1, -1
    return np.cumsum(kept, dtype=np.int8).reshape(edges.shape)[:, :-1].astype(bool)


def _resting(x: np.ndarray, least: int) -> np.ndarray:
    """Mark samples in stretches of one value, of at least so many samples."""
    same = np.zeros(x.shape, dtype=bool)
    apart = max(1, least // 2)
    if not (x[:, apart::apart] == x[:, :-apart:apart]).any():  # such a stretch would hold two of these samples
        return same
    np.equal(x[:, 1:], x[:, :-1], out=same[:, 1:])
    runs = _in_runs(same, max(least - 1, 1))
    runs[:, :-1] |= runs[:, 1:]  # the sample that the others repeat
    return runs


def _flat(x: np.ndarray, rate: float, seconds: float) -> np.ndarray:
    """Mark samples in stretches of one value that last at least so many seconds, and three samples."""
    return _resting(x, max(3, int(np.ceil(seconds * rate - 1e-9)) + 1))


def _clipped(x: np.ndarray, rate: float, seconds: float, strays: bool) -> np.ndarray:
    """Mark samples that rest at a rail of their row."""
    least = max(3, int(np.ceil(seconds * rate - 1e-9)))
    resting = _resting(x, least)
    for row in np.flatnonzero(np.logical_or.reduce(resting, axis=-1)):
        rails = [np.fmin.reduce(x[row]), np.fmax.reduce(x[row])]
        if rails[0] == rails[1]:  # a row of one value has none
            rails = []
        elif strays:
            rails += _passed_rails(x[row], resting[row], _TOUCHES * least)
        resting[row] &= np.isin(x[row], rails)
    return resting


def _passed_rails(x: np.ndarray, resting: np.ndarray, often: int) -> list[float]:
    """Return the lowest and the highest of the values at which a row rests often, where it can hardly go beyond."""
    values, counts = np.unique(x[resting], return_counts=True)
    values = values[counts >= often]
    if not len(values):
        return []
    high = [values[-1]] if _piles_up(x, resting, values[-1]) else []
    return [values[0], *high] if _piles_up(-x, resting, -values[0]) else high


def _piles_up(x: np.ndarray, resting: np.ndarray, value: float) -> bool:
    """Return whether a row comes to rest at a high value again and again, and hardly goes beyond."""
    at = x == value
    rests = np.count_nonzero(resting & at)
    stretches = np.count_nonzero(np.diff((resting & at).astype(np.int8), prepend=0) == 1)
    inside = np.fmax.reduce(x, where=x < value, initial=-np.inf)
    if stretches < _TOUCHES or np.count_nonzero(at) > _AT_HOME * np.count_nonzero(~np.isnan(x)):
        return False
    return bool(np.count_nonzero(x > value) <= _BEYOND * rests and np.count_nonzero(x == inside) <= _INSIDE * rests)


def _implausible(x: np.ndarray, rate: float, limits: _Limits) -> np.ndarray:
    """Mark samples outside of what the body gives, those that change too fast, and those around them."""
    low, high = limits.span or (-np.inf, np.inf)
    wrong = (x < low) | (x > high)
    change, seconds = limits.step or (np.inf, 1.0)
    apart = max(1, round(seconds * rate))
    jump = np.abs(x[:, apart:] - x[:, :-apart]) > change * max(1.0, apart / (seconds * rate))
    wrong[:, apart:] |= jump
    wrong[:, :-apart] |= jump
    reach = round(limits.around * rate)
    if not reach or not wrong.any():
        return wrong
    count = np.zeros((len(x), x.shape[1] + 1), dtype=np.int32)
    np.cumsum(wrong, axis=-1, out=count[:, 1:])
    here = np.arange(x.shape[1])
    ahead, behind = np.maximum(here - reach, 0), np.minimum(here + reach + 1, x.shape[1])
    return count[:, behind] > count[:, ahead]


def _share_of_swings(x: np.ndarray, rate: float, swing: float, first: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """Return the share of each window in seconds that span more than `swing`."""
    size, width = _within_a_second(rate, x.shape[1])
    if size * width < 2:
        return np.full((len(first), len(x)), np.nan)
    blocks = _in_blocks(x, size)
    high, low = _sliding(blocks.max(axis=-1), width), _sliding(blocks.min(axis=-1), width)
    wide = _spread(high.max(axis=-1) - low.min(axis=-1) > swing, width)
    return np.clip(_between(wide, size, first, behind) / (behind - first)[:, np.newaxis], 0, 1)


def _share_of_wander(x: np.ndarray, size: int, first: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """Return the share of each window's variance that the means of blocks of `size` samples have."""
    samples = behind[0] - first[0] if len(first) else 0
    if size < 2 or samples < 2 * size:
        return np.full((len(first), len(x)), np.nan)
    blocks = _in_blocks(x, size)
    centre = x.mean(axis=-1, dtype=np.float64)[:, np.newaxis, np.newaxis]
    means, squares = np.empty(blocks.shape[:2]), np.empty(blocks.shape[:2])
    for part in row_chunks(blocks.shape[1], len(x) * size):
        around = blocks[:, part] - centre
        means[:, part], squares[:, part] = around.mean(axis=-1), np.square(around).mean(axis=-1)
    level = _between(means, size, first, behind) / samples
    whole = _between(squares, size, first, behind) / samples - np.square(level)
    slow = _between(np.square(means), size, first, behind) / samples - np.square(level)
    return _ratio(slow, whole, _noise(x))


def _line(
    x: np.ndarray, gaps: np.ndarray, rate: float, floor: float, first: np.ndarray, behind: np.ndarray
) -> np.ndarray:
    """Return the share of each window's power that is not the mains', from the spectra of whole seconds."""
    from scipy import fft, signal

    size = max(1, round(rate))
    frequencies = fft.rfftfreq(size, 1 / rate)
    above = [_above_neighbours(mains, frequencies, rate) for mains in _MAINS]
    if not any(map(len, above)) or not len(first) or behind[0] - first[0] < size:
        return np.full((len(first), len(x)), np.nan)
    used = x.shape[1] // size * size
    seconds = x[:, :used].reshape(len(x), -1, size)
    there = ~np.logical_or.reduce(gaps[:, :used].reshape(seconds.shape), axis=-1)
    level = seconds.mean(axis=-1, dtype=np.float64)
    taper = signal.get_window("hann", size)
    weights = np.stack([frequencies >= floor, *above[0], *above[1]], axis=-1) * (2 / (size * np.square(taper).sum()))
    powers = np.empty((*level.shape, weights.shape[-1]), dtype=x.dtype)
    for part in row_chunks(seconds.shape[1], len(x) * size):
        around = seconds[:, part] - level[:, part, np.newaxis].astype(x.dtype)
        spectrum = fft.rfft(around * taper.astype(x.dtype), axis=-1)
        powers[:, part] = (np.square(spectrum.real) + np.square(spectrum.imag)) @ weights.astype(x.dtype)
    around = level - level.mean(axis=-1, keepdims=True)
    values = np.concatenate([powers, around[..., np.newaxis], np.square(around)[..., np.newaxis]], axis=-1)
    # the mean of each over the whole seconds of each window, (n_windows, n_rows, n_values)
    values = np.where(there[..., np.newaxis], values, 0.0).swapaxes(1, 2).reshape(-1, there.shape[1])
    total = _between(values, size, first, behind).reshape(len(first), len(x), -1)
    weight = _between(there, size, first, behind)[..., np.newaxis]
    means = np.divide(total, weight, out=np.full(total.shape, np.nan), where=weight > 0)
    whole = means[..., 0]
    if not floor:  # what varies from second to second counts too
        whole = whole + means[..., -1] - np.square(means[..., -2])
    rising = np.maximum(means[..., 1:-2], 0)
    mains = np.maximum(rising[..., : len(above[0])].sum(axis=-1), rising[..., len(above[0]) :].sum(axis=-1))
    return 1 - _ratio(mains, whole, _noise(x))


def _above_neighbours(mains: float, frequencies: np.ndarray, rate: float) -> list[np.ndarray]:
    """Return, per harmonic below half the rate, weights of the bins that give what rises above the neighbourhood."""
    near, far = _NEXT
    weights = []
    for harmonic in np.arange(mains, rate / 2 - near, mains):
        distance = np.abs(frequencies - harmonic)
        own, next_to = distance <= near, (distance > near) & (distance <= far)
        weights.append(own - next_to * (own.sum() / next_to.sum()))
    return weights


def _noise(x: np.ndarray) -> np.ndarray:
    """Return the variance that rounding alone can give each row."""
    return np.square(8 * np.finfo(x.dtype).eps * np.abs(x).max(axis=-1, initial=0)).astype(np.float64)


def _peaks(
    x: np.ndarray, gaps: np.ndarray, rate: float, modality: str, first: np.ndarray, behind: np.ndarray
) -> np.ndarray:
    """Return the share of each window that plausible intervals between beats cover."""
    rhythm = _RHYTHMS.get(modality)
    slowest, shortest = (4, 20) if modality == "resp" else (20, 4)  # Hz, seconds: what the search needs
    if rhythm is None or rate < slowest or x.shape[1] < shortest * rate:
        return np.full((len(first), len(x)), np.nan)
    every = max(1, int(rate / rhythm.rate))
    fewer = x if every == 1 else _in_blocks(x, every) @ np.full(every, 1 / every, dtype=x.dtype)
    if modality == "resp":
        peaks = find_breaths(fewer, rate / every)[0][:, ::2]  # troughs and peaks take turns
    else:
        peaks = _beats_in_stretches(fewer, rate / every, modality)
    shares = np.zeros((len(first), len(x)))
    for row, found in enumerate(peaks):
        times = found[np.isfinite(found)] + (every - 1) / 2 / rate
        times = times[~gaps[row, np.minimum(np.rint(times * rate).astype(np.int64), x.shape[1] - 1)]]
        covered = _covered(times, rhythm, first / rate, behind / rate)
        shares[:, row] = np.clip(covered * rate / (behind - first), 0, 1)
    return shares


def _beats_in_stretches(x: np.ndarray, rate: float, modality: str) -> np.ndarray:
    """Return the beats as of :func:`find_beats`, sought a stretch at a time, each with what is around it."""
    length, reach = round(_RHYTHMS[modality].stretch * rate), round(_OVERLAP * rate)
    parts = []
    for begin in range(0, x.shape[1], length):
        start, end = max(0, begin - reach), begin + length
        beats = find_beats(x[:, start : end + reach], rate, modality) + start / rate
        parts.append(np.where((beats >= begin / rate) & (beats < end / rate), beats, np.nan))
    return np.concatenate(parts, axis=1)


def _covered(peaks: np.ndarray, rhythm: _Rhythm, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the seconds between two times that lie in plausible intervals between peaks."""
    from scipy.ndimage import median_filter

    intervals = np.diff(peaks)
    plausible = (intervals >= rhythm.span[0]) & (intervals <= rhythm.span[1])
    if plausible.sum() < 2:
        return np.zeros(len(begin))
    around = median_filter(intervals[plausible], size=_AROUND, mode="nearest")
    plausible[plausible] = np.abs(intervals[plausible] - around) <= rhythm.deviation * around
    # noise looks like a beat by chance, but seldom three times on end
    plausible = _in_runs(plausible[np.newaxis], min(_ON_END, len(intervals)))[0]
    # the row begins and ends within an interval, which is taken for as long as its neighbour
    edges = np.concatenate([peaks[:1] - intervals[:1], peaks, peaks[-1:] + intervals[-1:]])
    good = np.concatenate([plausible[:1], plausible, plausible[-1:]])
    until = np.concatenate([[0.0], np.cumsum(np.diff(edges) * good)])
    return np.interp(end, edges, until) - np.interp(begin, edges, until)
