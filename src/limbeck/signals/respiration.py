"""Respiration: the breaths in a window, and how fast, deep and regular they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from limbeck.errors import DataError
from limbeck.signals.arrays import as_signal, is_flat, is_number, is_whole, refuse
from limbeck.signals.filtering import bandpass, highpass
from limbeck.signals.kinds import feature, step
from limbeck.signals.rowwise import compute_rows
from limbeck.signals.spectral import unknown_kinds

__all__ = ["find_breaths", "resp_clean", "respiration"]

SHORTEST, LONGEST = 1.0, 20.0
"""Durations that a breath can have, in seconds: 60 and 3 breaths per minute."""

FIRST_SWING = 0.37
"""In the first search for breaths the signal must turn by this share of its spread about a line, from the 10 % to the
90 % quantile, the median over stretches of `STRETCH`, so that neither drift nor a short artefact decides; a sine rises
by 1.05 of them."""

TAIL = 0.1
"""Share of a stretch that the spread leaves out at either end of its values."""

STRETCH = 15.0
"""Seconds."""

SWING = 0.4
"""In the second by this share of the median swing between the turns of the first. neurokit2.rsp_findpeaks takes 0.3 of
the signal filtered below 3 Hz; without the filter, noise makes turns of that size."""

DEEPEST = 3.0
"""A breath that rises or falls by more than this multiple of the row's median swing is an artefact, or none like the
others."""

COVERED = 0.4
"""Share of a window that its breaths must cover to be valid."""

ENOUGH_RATE = 8.0
"""Hz; faster signals are averaged down to this or more before turns are sought, which takes their noise with it."""


def _check_clean(low: float, high: float, order: int, causal: bool) -> Iterator[str]:
    if not (is_number(low) and is_number(high) and 0 < low < high):
        yield f"the cut-offs must satisfy 0 < low < high, found low {low!r} and high {high!r} Hz"
    if not (is_whole(order) and order > 0):
        yield f"order must be a whole number above 0, found {order!r}"


@step(
    "resp_clean",
    runs="recording",
    causal="causal",
    modalities=("resp",),
    check=_check_clean,
    source="neurokit2.rsp_clean, method khodadad2018",
)
def resp_clean(
    x: np.ndarray, rate: float, low: float = 0.05, high: float = 3.0, *, order: int = 2, causal: bool = False
) -> np.ndarray:
    """Take slow drift and fast noise off a respiration signal (Butterworth, 0.05 to 3 Hz).

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
        Missing samples are bridged and are missing again in the output.
    rate : float
        Hz; at twice `high` or below there is nothing above it to remove, and only `low` is applied.
    low, high : float
        Cut-offs in Hz; 0.01 and 1.5 in Gouverneur et al., *Sensors* 23:1959, 2023.
    order : int
        Of one pass.
    causal : bool
        Forwards only: no output depends on a later sample.

    Returns
    -------
    ndarray of shape (..., n_times)
        In the unit and floating type of `x`.

    Raises
    ------
    DataError
        Cut-offs that are not ``0 < low < high``, `low` at or above half the rate; an order that is not above 0; too
        few samples for the filter's padding.
    """
    refuse(_check_clean(low, high, order, causal))
    x = as_signal(x, rate)
    if 2 * high >= rate:
        return highpass(x, rate, low, order=order, causal=causal)
    return bandpass(x, rate, low, high, order=order, causal=causal)


@dataclass(frozen=True)
class _Breaths:
    """The plausible breaths of each row: (n_rows, n_most), NaN where a row has fewer or one is not plausible.

    Parameters
    ----------
    inspiration, duration : ndarray
        Seconds from a trough to the peak, and to the next trough.
    depth : ndarray
        From trough to peak, in the signal's unit.
    seconds : float
        Of the window.
    """

    inspiration: np.ndarray
    duration: np.ndarray
    depth: np.ndarray
    seconds: float


def _count(x: np.ndarray) -> np.ndarray:
    return np.isfinite(x).sum(axis=-1).astype(np.float64)


def _mean(x: np.ndarray, least: int = 2) -> np.ndarray:
    """Return the means of what there is in each row, NaN where that is fewer than `least`."""
    count = _count(x)
    total = np.where(np.isfinite(x), x, 0.0).sum(axis=-1)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count >= least)


def _sd(x: np.ndarray) -> np.ndarray:
    count = _count(x)
    variance = _mean(np.square(x - _mean(x, 3)[:, np.newaxis]), 3)
    return np.sqrt(variance * np.divide(count, count - 1, out=np.full_like(count, np.nan), where=count > 1))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


def _valid(breaths: _Breaths) -> np.ndarray:
    covered = np.where(np.isfinite(breaths.duration), breaths.duration, 0.0).sum(axis=-1)
    return ((_count(breaths.duration) >= 2) & (covered >= COVERED * breaths.seconds)).astype(np.float64)


_KINDS: dict[str, Callable[[_Breaths], np.ndarray]] = {
    "rate": lambda breaths: 60.0 / _mean(breaths.duration),
    "rate_sd": lambda breaths: _sd(60.0 / breaths.duration),
    "depth": lambda breaths: _mean(breaths.depth),
    "depth_sd": lambda breaths: _sd(breaths.depth),
    "duration_cv": lambda breaths: _sd(breaths.duration) / _mean(breaths.duration),
    "depth_cv": lambda breaths: _sd(breaths.depth) / _mean(breaths.depth),
    "ie_ratio": lambda breaths: _ratio(_mean(breaths.inspiration), _mean(breaths.duration - breaths.inspiration)),
    "duty": lambda breaths: _mean(breaths.inspiration) / _mean(breaths.duration),
    "breaths": lambda breaths: _count(breaths.duration),
    "valid": _valid,
}

_USUAL = ("rate", "rate_sd", "depth", "depth_sd", "duration_cv", "ie_ratio")


def _check(kinds: Sequence[str]) -> Iterator[str]:
    yield from unknown_kinds(kinds, _KINDS)


@feature(
    "respiration",
    columns=lambda kinds: tuple(kinds),
    modalities=("resp",),
    check=_check,
    unit="rate, rate_sd 1/min; depth, depth_sd the signal's; the others without",
    source="turns of the signal beyond a share of its median swing, as in neurokit2.rsp_findpeaks (Khodadad et al., "
    "Physiological Measurement 39:094001, 2018); timing: Tobin et al., Chest 84:202, 1983",
)
def respiration(x: np.ndarray, rate: float, kinds: Sequence[str] = _USUAL) -> np.ndarray:
    """Rate, depth, regularity and timing of the breaths in each window.

    A breath goes from a trough to the next. Turns of the signal count when it moves away from them, on either side, by
    0.4 of the median swing, so slow drift needs no filter (for much noise, use :func:`resp_clean` first). Breaths
    shorter than 1 s or longer than 20 s are left out, and so are those that rise or fall by more than three times the
    median swing: an artefact, or a sigh much deeper than the rest. An artefact of 0.2 s may still cut a breath in two,
    and counts in `depth` while it is not three times as large as the breaths. What a window cannot give (two breaths
    for means, three for spreads) is NaN: at 12 breaths per minute, windows should have 20 s or more.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
        Rising with inspiration, as belts and thermistor signals in most data sets do.
    rate : float
        Hz; at least 4.
    kinds : sequence of str
        Of ``rate`` (60 over the mean duration), ``rate_sd`` (of the breaths' own rates), ``depth`` (mean rise from
        trough to peak), ``depth_sd``, ``duration_cv`` and ``depth_cv`` (coefficients of variation: the smaller the more
        regular), ``ie_ratio`` (mean inspiration over mean expiration), ``duty`` (mean inspiration over mean duration),
        ``breaths`` (how many whole ones) and ``valid`` (1 where two breaths or more cover 0.4 of the window or more,
        else 0). Spreads divide by n - 1.

    Returns
    -------
    ndarray of shape (..., n_kinds), float64
        NaN where samples are missing, except `valid`, which is 0.

    Raises
    ------
    DataError
        A rate below 4 Hz.
    """
    refuse(_check(kinds))
    x = as_signal(x, rate)
    _refuse_slow(rate)

    def compute(rows: np.ndarray, flat: np.ndarray) -> np.ndarray:
        breaths = _find_breaths(rows, flat, rate)
        return np.stack([_KINDS[kind](breaths) for kind in kinds], axis=-1)

    # the search for turns costs the same for few rows as for many
    values = compute_rows(x, len(kinds), compute, expansion=0.1)
    if "valid" in kinds:
        valid = list(kinds).index("valid")
        values[..., valid] = np.nan_to_num(values[..., valid])
    return values


def find_breaths(x: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Find where each row turns: the troughs and peaks of breaths, one after the other.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
    rate : float
        Hz; at least 4. Signals above 16 Hz are averaged down to 8 Hz or a little more first.

    Returns
    -------
    times, values : ndarray of shape (..., n_turns), float64
        Seconds from the row's first sample, and the signal there, in its unit; NaN behind a row's last turn, and for
        rows that are flat, have missing samples or are too short for a breath.

    Raises
    ------
    DataError
        A rate below 4 Hz.
    """
    x = as_signal(x, rate)
    _refuse_slow(rate)
    rows = x.reshape(-1, x.shape[-1]).astype(np.float64)
    missing = np.isnan(rows).any(axis=-1)
    rows[missing] = 0
    times, values = _turns_in_seconds(rows, is_flat(rows), rate)
    shape = (*x.shape[:-1], times.shape[-1])
    return times.reshape(shape), values.reshape(shape)


def _refuse_slow(rate: float) -> None:
    if rate < 4:
        raise DataError(f"Breaths need a sampling rate of at least 4 Hz; found {rate:g} Hz.")


def _turns_in_seconds(rows: np.ndarray, flat: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    every = max(1, int(rate / ENOUGH_RATE))
    samples = rows.shape[-1] // every
    if samples < 5:  # no room for a trough, a peak and a trough inside
        nothing = np.full((len(rows), 3), np.nan)
        return nothing, nothing
    x = rows[:, : samples * every].reshape(len(rows), samples, every).mean(axis=-1)
    times, values = _turns(x, flat, max(1, int(rows.shape[-1] / rate / STRETCH)))
    return (times * every + (every - 1) / 2) / rate, values


def _find_breaths(rows: np.ndarray, flat: np.ndarray, rate: float) -> _Breaths:
    times, values = _turns_in_seconds(rows, flat, rate)
    # inside a breath stand, one after the other, a trough, a peak and a trough
    duration = times[:, 2:] - times[:, :-2]
    inspiration = times[:, 1:-1] - times[:, :-2]
    depth = values[:, 1:-1] - values[:, :-2]
    swings = np.abs(np.diff(values, axis=-1))
    likely = swings <= DEEPEST * _median(swings)[:, np.newaxis]
    breath = (depth > 0) & (duration >= SHORTEST) & (duration <= LONGEST) & likely[:, 1:] & likely[:, :-1]
    return _Breaths(
        inspiration=np.where(breath, inspiration, np.nan),
        duration=np.where(breath, duration, np.nan),
        depth=np.where(breath, depth, np.nan),
        seconds=rows.shape[-1] / rate,
    )


def _turns(x: np.ndarray, flat: np.ndarray, stretches: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where each row turns and its values there: (n_rows, n_most), in samples, NaN behind a row's last."""
    stretch = x.shape[-1] // stretches
    spread = _spread_about_line(x[:, : stretch * stretches].reshape(len(x), stretches, stretch))
    columns = _local_extrema(x)
    values = np.take_along_axis(x, columns, axis=-1)
    least = np.where(flat, np.inf, FIRST_SWING * np.median(spread, axis=-1))
    turns = _beyond(values, least)
    swings = np.abs(np.diff(_pack(values, turns), axis=-1))
    typical = _median(swings)
    least = np.where(np.isnan(typical), least, SWING * typical)
    turns = _beyond(values, least)
    return _pack(_between_samples(x, columns), turns), _pack(values, turns)


def _local_extrema(x: np.ndarray) -> np.ndarray:
    """Return the first sample, those where the slope changes its sign and the last, as often as rows need: (n_rows, k).

    Of a plateau it is the middle.
    """
    last = x.shape[-1] - 1
    slope = np.sign(np.diff(x, axis=-1))
    sample = np.arange(last)
    sloped = np.maximum.accumulate(np.where(slope != 0, sample, 0), axis=-1)  # the last step at or before, not level
    before = np.take_along_axis(slope, sloped[:, :-1], axis=-1)
    turning = before * slope[:, 1:] < 0
    middle = (sloped[:, :-1] + 1 + sample[1:]) // 2
    columns = np.full(x.shape, last)
    columns[:, 0] = 0
    columns[:, 1:-1] = np.where(turning, middle, last)
    columns.sort(axis=-1)
    return columns[:, : int(turning.sum(axis=-1).max(initial=0)) + 2]


def _beyond(values: np.ndarray, least: np.ndarray) -> np.ndarray:
    """Mark the turns of each row from which it moves away by `least` on either side; maxima and minima alternate.

    The loop runs over the extrema, which depend on one another, for all rows at once.
    """
    kept = np.zeros(values.shape, dtype=bool)
    rows = np.arange(len(values))
    direction = np.zeros(len(values), dtype=np.int8)
    top_at, low_at = np.zeros_like(rows), np.zeros_like(rows)
    top, low = values[:, 0].copy(), values[:, 0].copy()
    for column in range(1, values.shape[-1]):
        value = values[:, column]
        higher, lower = value > top, value < low
        top, top_at = np.where(higher, value, top), np.where(higher, column, top_at)
        low, low_at = np.where(lower, value, low), np.where(lower, column, low_at)
        fallen = (direction >= 0) & (top - value >= least)
        risen = (direction <= 0) & (value - low >= least)
        kept[rows[fallen], top_at[fallen]] = True
        kept[rows[risen], low_at[risen]] = True
        direction = np.where(fallen, -1, np.where(risen, 1, direction)).astype(np.int8)
        low, low_at = np.where(fallen, value, low), np.where(fallen, column, low_at)
        top, top_at = np.where(risen, value, top), np.where(risen, column, top_at)
    # nothing says that the first is more than where the window was cut
    kept[rows, kept.argmax(axis=-1)] = False
    return kept


def _pack(values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return what is kept of each row side by side: (n_rows, at least 3), NaN behind it."""
    row, column = np.nonzero(kept)
    place = np.cumsum(kept, axis=-1)[row, column] - 1
    packed = np.full((len(values), max(3, int(kept.sum(axis=-1).max(initial=0)))), np.nan)
    packed[row, place] = values[row, column]
    return packed


def _median(x: np.ndarray) -> np.ndarray:
    """Return the median of what there is in each row, NaN where there is nothing."""
    count = np.isfinite(x).sum(axis=-1, keepdims=True)
    ordered = np.sort(x, axis=-1)  # NaN last
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, x.shape[-1] - 1)
    return (np.take_along_axis(ordered, low, axis=-1) + np.take_along_axis(ordered, high, axis=-1))[:, 0] / 2


def _between_samples(x: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return where parabolas through each extremum and its neighbours turn, in samples."""
    inside = np.clip(columns, 1, x.shape[-1] - 2)
    before, at, after = (np.take_along_axis(x, inside + shift, axis=-1) for shift in (-1, 0, 1))
    curvature = before - 2 * at + after
    shift = np.divide(before - after, 2 * curvature, out=np.zeros_like(at), where=curvature != 0)
    return columns + np.clip(shift, -0.5, 0.5)


def _spread_about_line(x: np.ndarray) -> np.ndarray:
    """Return the range between the outer quantiles about a line along time, infinite where that is rounding only.

    The line goes through the medians of the first and the last third, which no artefact shorter than half of one bends.
    """
    samples = x.shape[-1]
    third = max(1, samples // 3)
    rise = np.median(x[..., -third:], axis=-1) - np.median(x[..., :third], axis=-1)
    line = rise[..., np.newaxis] / (samples - third) * np.arange(samples)
    low, high = np.quantile(x - line, [TAIL, 1 - TAIL], axis=-1)
    spread = high - low
    # windows come in single precision
    return np.where(spread > 8 * np.finfo(np.float32).eps * np.abs(x).max(axis=-1), spread, np.inf)
