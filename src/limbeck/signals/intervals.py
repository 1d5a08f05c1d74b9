"""Intervals between heart beats: which are plausible, mending of falsely found beats, and what the intervals say.

Beats come padded, as :func:`limbeck.signals.beats.find_beats` gives them; intervals stay padded, NaN where there is no
plausible one, so that all rows are computed at once and a difference over a gap is NaN by itself.
"""

from __future__ import annotations

import numpy as np

__all__ = ["correct_intervals", "divide", "mean_of", "normal_intervals", "quantile_of", "sd_of", "sum_of"]

SHORTEST, LONGEST = 0.3, 2.0
"""Intervals between beats that a heart can have, in seconds: 200 and 30 beats per minute."""

DEVIATION = 0.3
"""Largest deviation of a normal interval from the window's median, as a share of it. An interval that spans a missed
beat deviates by half and more, the shorter part of one that a false beat cuts too; sinus arrhythmia at rest by less
than a fifth."""

REMAINDER = 0.9
"""Share of the window's median below which an interval next to one that is too short is what a false beat left of it:
the longer part may be within `DEVIATION`."""

FEWEST = 12
"""Beats below which a row is not corrected: the running median needs 11 intervals, the thresholds their quartiles."""

# Lipponen & Tarvainen 2019: thresholds are ALPHA quartile deviations of AROUND beats; the lines between a beat out of
# turn and a false or missed one are -C1 x - C2.
_ALPHA, _AROUND, _MEDIAN_OF, _C1, _C2 = 5.2, 91, 11, 0.13, 0.17

_CHUNK = 200
"""Rows that are corrected at a time: each takes an array of beats by 91."""


def normal_intervals(beats: np.ndarray) -> np.ndarray:
    """Return the plausible intervals between beats.

    An interval is kept when it lies within `SHORTEST` to `LONGEST` and within `DEVIATION` of the row's median of those,
    but not next to one that is too short, if it is itself below `REMAINDER` of the median: a false beat cut both.

    Parameters
    ----------
    beats : ndarray of shape (..., n_beats)
        Seconds, increasing, NaN behind the last.

    Returns
    -------
    ndarray of shape (..., n_beats - 1), float64
        Seconds, to the nanosecond, NaN where not plausible or where there is none. ``np.diff`` of it holds the
        differences of those that follow one another, and NaN.
    """
    # rounding noise of equal intervals must not become variability
    intervals = np.round(np.diff(np.asarray(beats, dtype=np.float64), axis=-1), 9)
    possible = np.where((intervals >= SHORTEST) & (intervals <= LONGEST), intervals, np.nan)
    middle = quantile_of(possible, 0.5)[..., np.newaxis]
    short = intervals < (1 - DEVIATION) * middle
    beside = np.zeros_like(short)
    beside[..., 1:] |= short[..., :-1]
    beside[..., :-1] |= short[..., 1:]
    normal = (np.abs(possible - middle) <= DEVIATION * middle) & ~(beside & (intervals < REMAINDER * middle))
    return np.where(normal, possible, np.nan)


def correct_intervals(beats: np.ndarray) -> np.ndarray:
    """Mend beats that were missed, found where there is none, or come out of turn (ectopic).

    Beats are classified by how their intervals differ from the neighbours' and from a running median, against
    thresholds that follow the spread of the 91 beats around (Lipponen & Tarvainen, *Journal of Medical Engineering &
    Technology* 43:173, 2019). False beats are removed, missed ones put in the middle, those out of turn spread evenly
    between the good ones around them; again, as long as fewer are left than before. Beats are classified as by
    neurokit2's ``signal_fixpeaks(method="Kubios")``, and mended alike where each is alone; of neighbours that are both
    out of turn, neurokit2 moves each to the middle of where the others were.

    Parameters
    ----------
    beats : ndarray of shape (..., n_beats)
        Seconds, increasing, NaN behind the last. Rows with fewer than `FEWEST` stay as they are.

    Returns
    -------
    ndarray of shape (..., n_corrected_beats), float64
        Seconds, increasing, NaN behind the last.
    """
    beats = np.asarray(beats, dtype=np.float64)
    if beats.size == 0:
        return beats
    rows = beats.reshape(-1, beats.shape[-1])
    parts = [_correct(rows[first : first + _CHUNK]) for first in range(0, len(rows), _CHUNK)]
    corrected = np.full((len(rows), max(part.shape[1] for part in parts)), np.nan)
    for index, part in enumerate(parts):
        corrected[index * _CHUNK : index * _CHUNK + len(part), : part.shape[1]] = part
    return corrected.reshape(*beats.shape[:-1], -1)


def _correct(beats: np.ndarray) -> np.ndarray:
    """Correct a chunk of rows until no row gets better."""
    beats = beats.copy()
    active = np.flatnonzero(np.isfinite(beats).sum(axis=-1) >= FEWEST)
    before = np.full(len(active), np.inf)
    while len(active):
        kinds = _classify(beats[active])
        wrong = (kinds != _NORMAL).sum(axis=-1)
        better = (wrong < before) & (wrong > 0)
        active, before = active[better], wrong[better]
        mended = _mend(beats[active], kinds[better])
        if mended.shape[1] > beats.shape[1]:
            more = np.full((len(beats), mended.shape[1] - beats.shape[1]), np.nan)
            beats = np.concatenate([beats, more], axis=-1)
        beats[active] = np.nan
        beats[active, : mended.shape[1]] = mended
    return beats


_NORMAL, _EXTRA, _MISSED, _MISPLACED = range(4)


def _classify(beats: np.ndarray) -> np.ndarray:
    """Return what each beat (n_rows, n_beats) is; equations by their numbers in figure 1 of the paper."""
    n_rows, n_beats = beats.shape
    valid = np.isfinite(beats)
    count = valid.sum(axis=-1)
    intervals = np.full(beats.shape, np.nan)
    intervals[:, 1:] = np.diff(beats, axis=-1)
    intervals[:, 0] = mean_of(intervals)
    change = np.full(beats.shape, np.nan)
    change[:, 1:] = np.diff(intervals, axis=-1)
    change[:, 0] = mean_of(change)
    median = _running_quantile(intervals, 0.5, _MEDIAN_OF)
    deviation = intervals - median
    deviation = np.where(deviation < 0, 2 * deviation, deviation)
    limit = _threshold(deviation)
    with np.errstate(divide="ignore", invalid="ignore"):
        change_limit = _threshold(change)
        change = np.where(change_limit > 0, change / change_limit, np.nan)
        deviation = np.where(limit > 0, deviation / limit, np.nan)
    # reflected at both ends, as the paper's series
    places = np.arange(-2, n_beats + 2) + np.zeros((n_rows, 1), dtype=np.intp)
    last = count[:, np.newaxis] - 1
    places = np.abs(places)
    places = np.clip(np.where(places > last, 2 * last - places, places), 0, n_beats - 1)
    around = np.take_along_axis(change, places, axis=-1)
    before, now, after, later = (around[:, shift : shift + n_beats] for shift in (1, 2, 3, 4))
    upper, lower = np.maximum(before, after), np.minimum(before, after)
    s12 = np.where(now > 0, upper, np.where(now < 0, lower, 0.0))
    s22 = np.where(now >= 0, np.minimum(after, later), np.maximum(after, later))
    judged = np.arange(n_beats) < count[:, np.newaxis] - 2
    steep = judged & (np.abs(now) > 1)
    ectopic = steep & (((now > 1) & (s12 < -_C1 * now - _C2)) | ((now < -1) & (s12 > -_C1 * now + _C2)))
    suspect = steep & ~ectopic
    # a suspect's follower is judged with it, and then not on its own
    drags = suspect & (np.abs(after) < np.abs(later))
    dragged = _every_other(drags)
    candidate = (suspect & ~dragged) | dragged
    long = (now > 1) & (s22 < -1)
    short = (now < -1) & (s22 > 1)
    abnormal = candidate & (long | short | (np.abs(deviation) > 3))
    following = np.concatenate([intervals[:, 1:], np.full((n_rows, 1), np.nan)], axis=-1)
    extra = abnormal & short & (np.abs(intervals + following - median) < limit)
    missed = abnormal & long & (np.abs(intervals / 2 - median) < limit) & ~extra
    kinds = np.where((ectopic & ~dragged) | abnormal, _MISPLACED, _NORMAL)
    kinds[extra], kinds[missed] = _EXTRA, _MISSED
    return kinds


def _every_other(drags: np.ndarray) -> np.ndarray:
    """Return which beats follow one that drags them along: in an unbroken chain, every other."""
    places = np.arange(drags.shape[-1])
    broken = np.maximum.accumulate(np.where(drags, -1, places), axis=-1)
    odd_in_chain = drags & ((places - broken) % 2 == 1)
    dragged = np.zeros_like(drags)
    dragged[:, 1:] = odd_in_chain[:, :-1]
    return dragged


def _mend(beats: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Remove, add and move beats by their kinds."""
    beats, kinds = _sorted(np.where(kinds == _EXTRA, np.nan, beats), kinds)
    row, place = np.nonzero((kinds == _MISSED) & (np.arange(beats.shape[1]) > 1) & np.isfinite(beats))
    if len(row):
        added = np.full(beats.shape, np.nan)
        added[row, place] = (beats[row, place - 1] + beats[row, place]) / 2
        beats, kinds = _sorted(
            np.concatenate([beats, added], axis=-1), np.concatenate([kinds, np.zeros_like(kinds)], axis=-1)
        )
    count = np.isfinite(beats).sum(axis=-1)
    beats, kinds = beats[:, : count.max(initial=0)], kinds[:, : count.max(initial=0)]
    places = np.arange(beats.shape[1])
    moved = (kinds == _MISPLACED) & (places > 1) & (places < count[:, np.newaxis] - 1)
    before = np.maximum.accumulate(np.where(moved, -1, places), axis=-1)
    behind = np.minimum.accumulate(np.where(moved, len(places), places)[:, ::-1], axis=-1)[:, ::-1]
    row, place = np.nonzero(moved)
    first, last = before[row, place], behind[row, place]
    share = (place - first) / (last - first)
    beats[row, place] = (1 - share) * beats[row, first] + share * beats[row, last]
    return beats


def _sorted(beats: np.ndarray, kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(beats, axis=-1, kind="stable")
    return np.take_along_axis(beats, order, axis=-1), np.take_along_axis(kinds, order, axis=-1)


def _threshold(values: np.ndarray) -> np.ndarray:
    size = np.abs(values)
    return _ALPHA * (_running_quantile(size, 0.75, _AROUND) - _running_quantile(size, 0.25, _AROUND)) / 2


def _running_quantile(values: np.ndarray, share: float, width: int) -> np.ndarray:
    """Return a quantile of the `width` values around each (n_rows, n), of fewer at the ends."""
    half = width // 2
    if values.shape[-1] <= half + 1:  # every window holds the whole row
        return np.repeat(quantile_of(values, share)[:, np.newaxis], values.shape[-1], axis=-1)
    padded = np.pad(values, ((0, 0), (half, half)), constant_values=np.nan)
    return quantile_of(np.lib.stride_tricks.sliding_window_view(padded, width, axis=-1), share)


def quantile_of(values: np.ndarray, share: float) -> np.ndarray:
    """Return a quantile along the last axis, interpolated linearly, of what is not NaN; NaN of nothing."""
    if values.shape[-1] == 0:
        return np.full(values.shape[:-1], np.nan)
    ordered = np.sort(values, axis=-1)
    place = np.maximum(np.isfinite(values).sum(axis=-1) - 1, 0) * share
    below = np.floor(place).astype(np.intp)
    low = np.take_along_axis(ordered, below[..., np.newaxis], axis=-1)[..., 0]
    high = np.take_along_axis(ordered, np.ceil(place).astype(np.intp)[..., np.newaxis], axis=-1)[..., 0]
    return low + (place - below) * (high - low)


def mean_of(values: np.ndarray) -> np.ndarray:
    """Return the mean along the last axis of what is not NaN; NaN of nothing."""
    return divide(sum_of(values), np.isfinite(values).sum(axis=-1))


def sd_of(values: np.ndarray) -> np.ndarray:
    """Return the standard deviation (n - 1) along the last axis of what is not NaN; NaN of fewer than two."""
    above = values - quantile_of(values, 0.0)[..., np.newaxis]  # 0 where all are equal, which their mean need not be
    squares = sum_of(np.square(above - mean_of(above)[..., np.newaxis]))
    return np.sqrt(divide(squares, np.maximum(np.isfinite(values).sum(axis=-1) - 1, 0)))


def sum_of(values: np.ndarray) -> np.ndarray:
    """Return the sum along the last axis of what is not NaN; 0 of nothing."""
    # added one by one, for how a row is padded depends on its neighbours, and must not change its last digit
    return (
        np.cumsum(np.where(np.isnan(values), 0.0, values), axis=-1)[..., -1]
        if values.shape[-1]
        else (np.zeros(values.shape[:-1]))
    )


def divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Return quotients, NaN where the divisor is 0."""
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below != 0)
