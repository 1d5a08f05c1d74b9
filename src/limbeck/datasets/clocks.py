"""Clocks of several devices: how one ran against another, and samples put onto one regular time.

Two devices that were started together lose each other: quartz clocks differ by tens of parts per million, so that
after an hour a wristband is a few hundred milliseconds beside the amplifier. Such a clock is a straight line, an
*offset* and a *drift*, which can be told from moments that both devices saw (taps, buttons, movement) or from the time
stamps of the samples.

=============================================== ================================================================
`fit_clock`                                     the line through pairs of times, whatever a few of them say
`clock_from_events`, `clock_from_signals`       the line from marks or movement that both devices recorded
`dejitter`, `place`                             time stamps of samples: their jitter removed, onto a regular grid
`align`                                         signals of a recording put onto its time
=============================================== ================================================================

The robust line minimises Huber's loss (Huber, Robust Estimation of a Location Parameter, Ann. Math. Stat. 35:73, 1964)
from a start that a quarter of wild pairs cannot move (after Theil, Indagationes Mathematicae 12:85, 1950).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from limbeck.errors import DataError, did_you_mean
from limbeck.recording import Clock, Recording, Signal

__all__ = [
    "BREAK",
    "LARGEST_DRIFT",
    "Placed",
    "Steady",
    "align",
    "clock_from_events",
    "clock_from_signals",
    "dejitter",
    "fit_clock",
    "place",
    "robust_line",
]

BREAK = 0.5
"""Seconds of samples that must be missing before the time stamps of a regular stream are taken to be interrupted."""

LARGEST_DRIFT = 10_000.0
"""Parts per million beyond which a drift is a mistake; quartz stays within 100, its worst imitations within 1000."""

_GAP = 1.5  # periods between neighbours from which on samples are missing
_SAME = 0.01  # share of a period within which a sample is on the grid already
_ENVELOPE = 10.0  # seconds to each side of a possible break in which the earliest stamps are compared
_LEAST_ENVELOPE = 50  # samples, for slow sensors
_MOST_CANDIDATES = 100_000
_MOST_FILLED = 10  # missing samples for each one that there is, beyond which time stamps cannot be meant so
_WILD = 4.0  # standard deviations beyond which a pair of times is a mistake
_HUBER = 1.345  # standard deviations; 95 % as precise as least squares where there are no wild pairs (Huber 1964)


# ---- lines -------------------------------------------------------------------------------------------------------


def robust_line(x: np.ndarray, y: np.ndarray, *, threshold: float | None = None) -> tuple[float, float]:
    """Fit a straight line that a few wild points do not move.

    Parameters
    ----------
    x, y : ndarray of shape (n,), float64
        Two points or more, not all at one `x`.
    threshold : float, optional
        Residual from which on a point counts by its side only, not by its distance. By default that is 1.345 robust
        standard deviations, points beyond four of them are then left out, and the rest gets the least-squares line.

    Returns
    -------
    intercept, slope : float
        ``y = intercept + slope * x``.

    Raises
    ------
    DataError
        There are fewer than two points, they are not finite, or all at one `x`.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1 or len(x) < 2 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise DataError(f"A line needs two or more finite pairs; found shapes {x.shape} and {y.shape}.")
    with np.errstate(over="ignore", invalid="ignore"):
        middle, level = float(x.mean()), float(np.median(y))
        u, v = x - middle, y - level
        spread = float(u @ u)
    if not (np.isfinite(spread) and np.isfinite(v).all() and spread > 0):
        raise DataError("A line needs points at two or more places that are not all the same; found one, or too far.")
    rise, slope = _start(u, v)
    if threshold is not None:
        rise, slope = _huber(u, v, rise, slope, threshold)
        return level + rise - slope * middle, slope
    deviation = _deviation(v - rise - slope * u)
    if deviation > 0:
        rise, slope = _huber(u, v, rise, slope, _HUBER * deviation)
        # wild points on one side still pull at Huber's line, so they go
        kept = np.abs(v - rise - slope * u) <= _WILD * _deviation(v - rise - slope * u)
        if kept.sum() > 2:
            rise, slope = _huber(u[kept], v[kept], rise, slope, np.inf)
    return level + rise - slope * middle, slope


def _deviation(residual: np.ndarray) -> float:
    """Return a standard deviation that a few wild values do not move."""
    return 1.4826 * float(np.median(np.abs(residual)))


def _start(u: np.ndarray, v: np.ndarray) -> tuple[float, float]:
    """Return the line of the median slope between points half of the range apart, and the median level."""
    order = np.argsort(u, kind="stable")
    half = (len(u) + 1) // 2
    run = u[order[half:]] - u[order[: len(u) - half]]
    climb = v[order[half:]] - v[order[: len(u) - half]]
    slope = float(np.median(climb[run > 0] / run[run > 0])) if (run > 0).any() else float(u @ v / (u @ u))
    return float(np.median(v - slope * u)), slope


def _huber(u: np.ndarray, v: np.ndarray, rise: float, slope: float, threshold: float) -> tuple[float, float]:
    """Minimise Huber's loss by weighting the points anew until the line rests."""
    for _ in range(2000):
        distance = np.abs(v - rise - slope * u)
        weights = np.ones(len(u)) if threshold == np.inf else threshold / np.maximum(distance, threshold)
        total = weights.sum()
        mu, mv = weights @ u / total, weights @ v / total
        spread = weights @ np.square(u - mu)
        if not spread > 0:
            break
        new = float(weights @ ((u - mu) * (v - mv)) / spread)
        moved = max(abs(new - slope) * float(np.abs(u).max()), abs(float(mv - new * mu) - rise))
        rise, slope = float(mv - new * mu), new
        if moved < 1e-10 * threshold:
            break
    return rise, slope


def fit_clock(own_times: np.ndarray, common_times: np.ndarray, *, source: str = "pairs of times") -> Clock:
    """Return how a sensor's clock ran, from moments that are known on it and on the recording's.

    Parameters
    ----------
    own_times : ndarray of shape (n,), float64
        Seconds as the sensor has them, from its first sample (from where its signal has 0).
    common_times : ndarray of shape (n,), float64
        The same moments in seconds from the recording's start, in the same order.
    source : str
        Where they come from, for whoever reads the clock.

    Returns
    -------
    Clock
        `jitter` is a robust standard deviation of what the line leaves.

    Raises
    ------
    DataError
        There are fewer than two pairs, or the drift is larger than any clock's.
    """
    own, common = np.asarray(own_times, dtype=np.float64), np.asarray(common_times, dtype=np.float64)
    offset, slope = robust_line(own, common)
    drift = (slope - 1) * 1e6
    if not abs(drift) <= LARGEST_DRIFT:
        raise DataError(
            f"The times of {source} tell a drift of {drift:.0f} parts per million; clocks have less than "
            f"{LARGEST_DRIFT:.0f}. Are both in seconds, and of the same moments?"
        )
    residual = common - offset - slope * own
    jitter = 1.4826 * float(np.median(np.abs(residual - np.median(residual)))) if len(own) > 2 else 0.0
    return Clock(offset=offset, drift=drift, jitter=jitter, source=source)


# ---- time stamps -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Steady:
    """Time stamps of a regular stream without their jitter.

    Parameters
    ----------
    stamps : ndarray of shape (n,), float64
        Seconds; evenly spaced within each part.
    parts : tuple of (int, int)
        First and behind-the-last sample of each stretch without an interruption.
    rate : float
        Samples per second of the common clock, over all parts; NaN where there are fewer than two samples.
    jitter : float
        Standard deviation, in seconds, of what was removed.
    """

    stamps: np.ndarray
    parts: tuple[tuple[int, int], ...]
    rate: float
    jitter: float


def dejitter(stamps: np.ndarray, rate: float, *, breaks: float = BREAK) -> Steady:
    """Return evenly spaced time stamps for samples that a device took evenly and that arrived unevenly.

    Each stretch without an interruption gets the least-squares line through its stamps. A long step between stamps is
    an interruption only if the samples behind it are late *for good*: data that were held up and came in a burst have
    been taken on time.

    Parameters
    ----------
    stamps : ndarray of shape (n,), float64
        Seconds.
    rate : float
        The stream's nominal rate in Hz.
    breaks : float
        Seconds (and at least two periods) that must be missing to be an interruption.

    Returns
    -------
    Steady

    Raises
    ------
    DataError
        Stamps are not finite, run back, or do not follow each other at anything like `rate`.
    """
    stamps = np.asarray(stamps, dtype=np.float64)
    wild = ~(np.abs(stamps) < 1e12)
    if wild.any():
        place = int(np.argmax(wild))
        raise DataError(f"sample {place} has the time stamp {stamps[place]:g}, which is no time")
    n = len(stamps)
    if n < 2:
        return Steady(stamps.copy(), ((0, n),) if n else (), np.nan, 0.0)
    parts = _parts(stamps, rate, breaks)
    steady = np.empty(n)
    usual = _usual_period(stamps, parts, rate)
    for first, stop in parts:
        steady[first:stop] = _evenly(stamps[first:stop], usual)
    back = np.flatnonzero(np.diff(steady) <= 0)
    if len(back):
        i = int(back[0])
        raise DataError(f"time runs back behind sample {i}: from {stamps[i]:.6f} to {stamps[i + 1]:.6f} s")
    counts = sum(stop - first - 1 for first, stop in parts)
    seconds = sum(float(steady[stop - 1] - steady[first]) for first, stop in parts)
    effective = counts / seconds if seconds > 0 else np.nan
    return Steady(steady, tuple(parts), effective, float(np.std(stamps - steady)))


def _parts(stamps: np.ndarray, rate: float, breaks: float) -> list[tuple[int, int]]:
    """Return the stretches without an interruption."""
    n = len(stamps)
    width = min(max(round(min(_ENVELOPE * rate, 1e9)), _LEAST_ENVELOPE), n - 1)
    period = _period(stamps, rate, width)
    threshold = max(breaks, 2 * period)
    steps = np.diff(stamps) - period
    candidates = np.flatnonzero(np.abs(steps) > threshold) + 1
    if len(candidates) > _MOST_CANDIDATES:
        raise DataError(f"{n} samples have {len(candidates)} interruptions of more than {threshold:g} s")
    late = stamps - period * np.arange(n)
    begins = [0]
    for i in candidates.tolist():
        before = late[max(begins[-1], i - width) : i].min()
        lost = late[i : i + width].min() - before
        if lost < -threshold:
            raise DataError(f"time runs back behind sample {i - 1}: from {stamps[i - 1]:.6f} to {stamps[i]:.6f} s")
        if lost > threshold:
            begins.append(i)
    return list(zip(begins, [*begins[1:], n], strict=True))


def _period(stamps: np.ndarray, rate: float, width: int) -> float:
    """Return seconds per sample before interruptions are known: the nominal ones, where the stamps are near them."""
    n = len(stamps)
    # a quarter of the stamps at most, so that a gap is in fewer than half of the differences
    lags = {max(1, n // 4), max(1, min(width, n // 4)), max(1, min(_LEAST_ENVELOPE, n // 4))}
    told = [float(np.median(stamps[lag:] - stamps[:-lag])) / lag for lag in lags]
    told = [period for period in told if period > 0]
    if not told:
        raise DataError(f"the time stamps of {n} samples do not increase")
    if min(told) * 0.98 <= 1 / rate <= max(told) * 1.02:  # bursts make short differences too long or too short
        return 1 / rate
    return min(told)  # gaps make them longer


def _usual_period(stamps: np.ndarray, parts: Sequence[tuple[int, int]], rate: float) -> float:
    """Return seconds per sample in the longest stretch, or the nominal ones where that is too short to tell."""
    first, stop = max(parts, key=lambda part: part[1] - part[0])
    if stop - first < _LEAST_ENVELOPE:
        return float(stamps[stop - 1] - stamps[first]) / (stop - first - 1) if len(parts) == 1 else 1 / rate
    return _slope(stamps[first:stop])


def _slope(stamps: np.ndarray) -> float:
    places = np.arange(len(stamps)) - (len(stamps) - 1) / 2
    return float(places @ (stamps - stamps.mean()) / (places @ places))


def _evenly(stamps: np.ndarray, usual: float) -> np.ndarray:
    """Return the least-squares line of one stretch; a short one whose slope is not to be trusted gets the usual."""
    slope = _slope(stamps) if len(stamps) > 1 else usual
    if not abs(slope - usual) <= 0.01 * usual and len(stamps) < _LEAST_ENVELOPE:
        slope = usual
    if not slope > 0:
        raise DataError(f"the time stamps of {len(stamps)} samples from {stamps[0]:.6f} s on do not increase")
    return stamps.mean() + slope * (np.arange(len(stamps)) - (len(stamps) - 1) / 2)


@dataclass(frozen=True)
class Placed:
    """Samples on a regular grid.

    Parameters
    ----------
    data : ndarray of shape (n_channels, n_times), float32
        NaN where there were no samples.
    start : float
        Seconds of the first sample, on the clock of the stamps.
    gaps : tuple of (float, float)
        Stretches without samples, on that clock: from where the next sample was due to where it came.
    """

    data: np.ndarray
    start: float
    gaps: tuple[tuple[float, float], ...]


def place(samples: np.ndarray, stamps: np.ndarray, rate: float, *, gap: float = _GAP) -> Placed:
    """Put samples with time stamps onto a regular grid at `rate`, which begins with the first of them.

    A grid point within a hundredth of a period of a sample takes it as it is. Elsewhere the value is interpolated
    *linearly* between the two neighbours: with a drift this makes the fast end of a spectrum breathe (at a quarter of
    the sampling rate by up to a third), and leaves what is slow against the rate as it was. Nothing is interpolated
    across a gap, and nothing is made up outside of the samples.

    Parameters
    ----------
    samples : ndarray of shape (n_channels, n), float
    stamps : ndarray of shape (n,), float64
        Seconds, increasing.
    rate : float
        Hz of the grid.
    gap : float
        Periods between neighbours from which on samples are missing.

    Returns
    -------
    Placed

    Raises
    ------
    DataError
        Stamps do not increase, there are none, or the grid would be ten times longer than the samples.
    """
    samples, stamps = np.asarray(samples), np.asarray(stamps, dtype=np.float64)
    if samples.dtype.kind != "f":
        samples = samples.astype(np.float64)  # differences of small integers would run over
    if samples.ndim != 2 or samples.shape[1] != len(stamps) or not len(stamps):
        raise DataError(f"{len(stamps)} time stamps are not those of samples of the shape {samples.shape}.")
    if not (np.isfinite(stamps).all() and (np.diff(stamps) > 0).all()):
        raise DataError("Time stamps must be finite and increase.")
    if not (np.isfinite(rate) and rate > 0):
        raise DataError(f"A grid needs a rate in Hz above 0; found {rate}.")
    start = float(stamps[0])
    length = (float(stamps[-1]) - start) * rate + _SAME
    if length > (_MOST_FILLED + 1) * len(stamps) + 1000:
        raise DataError(
            f"{len(stamps)} samples over {stamps[-1] - start:.6g} s do not follow each other at {rate:g} Hz."
        )
    near = _SAME / rate
    times = start + np.arange(int(length) + 1) / rate
    left = np.maximum(np.searchsorted(stamps, times + near, side="right") - 1, 0)
    right = np.minimum(left + 1, len(stamps) - 1)
    ahead = times - stamps[left]
    exact = np.abs(ahead) <= near
    apart = np.maximum(stamps[right] - stamps[left], np.finfo(np.float64).tiny)
    share = np.where(exact, 0.0, ahead / apart)
    empty = ~exact & ((apart > gap / rate) | (right == left))
    wide = np.flatnonzero(np.diff(stamps) > gap / rate)
    gaps = tuple((float(stamps[i]) + 1 / rate, float(stamps[i + 1])) for i in wide)
    if exact.all() and len(times) == len(stamps):  # each sample has its place
        with np.errstate(over="ignore"):
            return Placed(samples.astype(np.float32), start, gaps)
    data = np.empty((len(samples), len(times)), dtype=np.float32)
    for row, values in zip(data, samples, strict=True):
        with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold becomes infinite
            here = values[left]
            row[:] = np.where(exact, here, here + share * (values[right] - here))
    data[:, empty] = np.nan
    return Placed(data, start, gaps)


def align(recording: Recording, clocks: Mapping[str, Clock]) -> Recording:
    """Put signals of a recording, whose sensors had clocks of their own, onto the recording's time.

    A moment that a signal has at ``t`` seconds comes to ``offset + t * (1 + drift * 1e-6)``. The offset moves
    `Signal.start` and no sample; a drift is undone by :func:`place` on the signal's nominal rate (unless it stays below
    a hundredth of a sample from the first to the last). Events, traces and other signals stay where they are.

    Parameters
    ----------
    recording : Recording
    clocks : mapping of str to Clock
        By modality.

    Returns
    -------
    Recording
        With the clocks of the signals that were moved; the offset there is where the first sample came to be.

    Raises
    ------
    DataError
        The recording has no such modality, or an offset or drift is no clock's.
    """
    unknown = sorted(set(clocks) - set(recording.signals))
    if unknown:
        raise DataError(
            " ".join(
                f"There is no signal '{name}' to align.{did_you_mean(name, recording.signals)}" for name in unknown
            )
        )
    signals, told = dict(recording.signals), dict(recording.clocks)
    for modality, clock in clocks.items():
        if not (np.isfinite(clock.offset) and abs(clock.drift) <= LARGEST_DRIFT):
            raise DataError(
                f"The clock of {modality} has an offset of {clock.offset:g} s and a drift of {clock.drift:g} parts "
                f"per million; expected a finite offset and a drift within {LARGEST_DRIFT:.0f}."
            )
        signals[modality] = _moved(signals[modality], clock)
        told[modality] = dataclasses.replace(clock, offset=signals[modality].start)
    return dataclasses.replace(recording, signals=signals, clocks=told)


def _moved(signal: Signal, clock: Clock) -> Signal:
    slope = 1 + clock.drift * 1e-6
    start = clock.offset + signal.start * slope
    n = signal.data.shape[1]
    if n < 2 or abs(clock.drift) * 1e-6 * (n - 1) <= _SAME:
        return dataclasses.replace(signal, start=start)
    stamps = start + np.arange(n) * (slope / signal.rate)
    return dataclasses.replace(signal, data=place(signal.data, stamps, signal.rate).data, start=start)


# ---- clocks from what two devices recorded -----------------------------------------------------------------------


def clock_from_events(
    own: Sequence[float] | np.ndarray,
    common: Sequence[float] | np.ndarray,
    *,
    tolerance: float = 0.05,
    max_drift: float = 200.0,
    source: str = "shared events",
) -> Clock:
    """Return how a sensor's clock ran from marks that both devices recorded: taps, button presses, flashes.

    Which mark is which is found out: the offset under which most marks of the one have a partner in the other. Marks
    that only one device has do no harm as long as the others leave no doubt.

    Parameters
    ----------
    own : sequence of float
        Seconds on the sensor's clock, in any order.
    common : sequence of float
        Seconds from the recording's start, in any order.
    tolerance : float
        Seconds by which partners may differ once offset and drift are right.
    max_drift : float
        Parts per million that are believed.
    source : str
        For whoever reads the clock; the number of pairs is put behind it.

    Returns
    -------
    Clock
        With fewer than three pairs the drift cannot be checked: it is 0, and `source` says so.

    Raises
    ------
    DataError
        There are no marks, no offset has two pairs where both have two or more, or another offset fits nearly as many.
    """
    mine, theirs = (_marks(values) for values in (own, common))
    if len(mine) == 1 or len(theirs) == 1:
        if len(mine) != len(theirs):
            raise DataError(
                f"{len(mine)} and {len(theirs)} marks: which of them is the same moment cannot be told; expected "
                "several in both, or one in each."
            )
        text = f"{source}: 1 pair, drift not estimated"
        return Clock(offset=float(theirs[0] - mine[0]), source=text)
    slack = tolerance + max_drift * 1e-6 * float(mine[-1] - mine[0])
    fits = _offsets(mine, theirs, slack)
    best, count = fits[0]
    rivals = [(offset, pairs) for offset, pairs in fits[1:] if abs(offset - best) > 2 * slack and pairs >= 0.75 * count]
    if count < 2:
        raise DataError(f"{len(mine)} and {len(theirs)} marks have no offset in common that fits two pairs or more.")
    if rivals:
        raise DataError(
            f"{count} pairs of marks fit with an offset of {best:.3f} s, and {rivals[0][1]} with {rivals[0][0]:.3f} s; "
            "marks at uneven distances would tell."
        )
    i, j = _partners(mine + best, theirs, slack)
    if len(i) < 3:
        offset = float(np.median(theirs[j] - mine[i]))
        return Clock(offset=offset, source=f"{source}: {len(i)} pairs, drift not estimated")
    clock = fit_clock(mine[i], theirs[j], source=source)
    for _ in range(5):
        i, j = _partners(clock.offset + mine * (1 + clock.drift * 1e-6), theirs, tolerance)
        if len(i) < 3:
            raise DataError(f"Only {len(i)} pairs of marks lie within {tolerance:g} s of one line; expected three.")
        clock = fit_clock(mine[i], theirs[j], source=source)
    if abs(clock.drift) > max_drift:
        raise DataError(
            f"The marks tell a drift of {clock.drift:.0f} parts per million; expected at most {max_drift:g}."
        )
    text = f"{source}: {len(i)} pairs of {len(mine)} and {len(theirs)} marks"
    return dataclasses.replace(clock, source=text)


def _marks(values: Sequence[float] | np.ndarray) -> np.ndarray:
    marks = np.unique(np.asarray(values, dtype=np.float64).ravel())
    if not len(marks) or not np.isfinite(marks).all():
        raise DataError("Marks must be finite times, one or more.")
    if len(marks) > 2000:
        raise DataError(f"{len(marks)} marks are no marks; expected at most 2000.")
    return marks


def _offsets(mine: np.ndarray, theirs: np.ndarray, slack: float) -> list[tuple[float, int]]:
    """Return offsets with the number of pairs that each of them makes, the most first."""
    apart = np.sort((theirs[None, :] - mine[:, None]).ravel())
    crowd = np.searchsorted(apart, apart + 2 * slack, side="right") - np.arange(len(apart))
    found: list[tuple[float, int]] = []
    for k in np.argsort(-crowd, kind="stable")[:200].tolist():
        offset = float(np.median(apart[k : k + int(crowd[k])]))
        if all(abs(offset - other) > slack for other, _ in found):
            found.append((offset, len(_partners(mine + offset, theirs, slack)[0])))
    return sorted(found, key=lambda fit: -fit[1])


def _partners(mine: np.ndarray, theirs: np.ndarray, slack: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of marks that are each other's nearest, and not further apart than `slack`."""
    apart = np.abs(theirs[None, :] - mine[:, None])
    nearest, reverse = apart.argmin(axis=1), apart.argmin(axis=0)
    i = np.flatnonzero((reverse[nearest] == np.arange(len(mine))) & (apart[np.arange(len(mine)), nearest] <= slack))
    return i, nearest[i]


def clock_from_signals(
    own: Signal,
    common: Signal,
    *,
    search: float = 10.0,
    stretch: float = 60.0,
    clearness: float = 1.5,
    source: str = "cross-correlation",
) -> Clock:
    """Return how a sensor's clock ran from a signal that saw the same as another: two accelerometers on one body, say.

    Signals of several channels count by their length (for acceleration: whichever way the devices were worn), and by
    how that changes from sample to sample. In each stretch the lag of highest correlation is taken where it is clear;
    the clock is the line through these lags.

    Parameters
    ----------
    own, common : Signal
        Of the sensor whose clock is asked for, and on the recording's time.
    search : float
        Seconds to either side in which the lag is looked for.
    stretch : float
        Seconds that are correlated at a time.
    clearness : float
        How many times higher than any other the highest peak must be to count.
    source : str
        For whoever reads the clock; the uncertainty is put behind it.

    Returns
    -------
    Clock
        `source` states a standard error of offset (at the middle of what was compared) and drift.

    Raises
    ------
    DataError
        Fewer than three stretches have a clear peak, or their lags are not on one line.
    """
    rate = float(max(own.rate, common.rate))
    first, last = max(own.start - search, common.start), min(own.end + search, common.end)
    if not (last - first) * rate < 1e9:
        raise DataError("Signals of such a length cannot be correlated.")
    lags = [
        (begin, found)
        for begin in np.arange(first, last - stretch + 1e-9, stretch)
        if (found := _lag(own, common, float(begin), rate, search, stretch, clearness)) is not None
    ]
    tried = max(int((last - first) / stretch + 1e-9), 0)
    if len(lags) < 3:
        raise DataError(
            f"{len(lags)} of {tried} stretches of {stretch:g} s have a clear peak of correlation; expected three or "
            "more. Did both devices see the same movement?"
        )
    theirs = np.array([begin + stretch / 2 for begin, _ in lags])
    mine = theirs - np.array([lag for _, lag in lags])
    offset, slope = robust_line(mine, theirs)
    residual = theirs - offset - slope * mine
    near = np.abs(residual) <= 2 / rate
    if near.sum() < max(3, len(lags) / 2):
        raise DataError(f"The lags of {len(lags)} stretches are not on one line; is one of the signals interrupted?")
    clock = fit_clock(mine[near], theirs[near], source=source)
    scatter = max(float(np.std(residual[near])), 0.01 / rate)  # parabolas through peaks are not more right than that
    error = scatter / np.sqrt(near.sum())
    drift_error = 1e6 * scatter / float(np.sqrt(np.square(mine[near] - mine[near].mean()).sum()))
    text = f"{source} of {int(near.sum())} of {tried} stretches: ±{error * 1e3:.1f} ms, ±{drift_error:.1f} ppm"
    return dataclasses.replace(clock, source=text)


def _lag(
    own: Signal, common: Signal, begin: float, rate: float, search: float, stretch: float, clearness: float
) -> float | None:
    """Return by how many seconds the sensor's times must be moved on for one stretch, None where it is not clear."""
    n, reach = round(stretch * rate), round(search * rate)
    theirs = _change(common, begin + np.arange(n + 1) / rate)
    mine = _change(own, begin + np.arange(-reach, n + 1 + reach) / rate)
    if theirs is None or mine is None:
        return None
    size = 1 << (len(mine) + n).bit_length()
    product = np.fft.irfft(np.fft.rfft(mine, size) * np.conj(np.fft.rfft(theirs, size)), size)[: 2 * reach + 1]
    total = np.concatenate([[0.0], np.cumsum(np.square(mine))])
    energy = total[n : n + 2 * reach + 1] - total[: 2 * reach + 1]
    norm = np.sqrt(np.maximum(energy, 1e-6 * energy.max() + 1e-300) * (theirs @ theirs))
    score = product / norm
    top = int(score.argmax())
    width = max(round(0.1 * rate), 2)  # the flanks of the peak itself
    others = np.concatenate([score[: max(top - width, 0)], score[top + width + 1 :]])
    if top in (0, 2 * reach) or score[top] < 0.2 or score[top] < clearness * others.max(initial=0.0):
        return None
    left, middle, right = score[top - 1 : top + 2]
    bend = left - 2 * middle + right
    fine = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return -(top + float(fine) - reach) / rate


def _change(signal: Signal, times: np.ndarray) -> np.ndarray | None:
    """Return how the length of a signal's samples changes between times; None where it does not, or is not there."""
    length = np.sqrt(np.square(signal.data.astype(np.float64)).sum(axis=0)) if len(signal.data) > 1 else signal.data[0]
    own = signal.start + np.arange(len(length)) / signal.rate
    there = np.isfinite(length)
    inside = (times >= own[0]) & (times <= own[-1])
    if there.sum() < 2 or inside.mean() < 0.5:
        return None
    values = np.diff(np.interp(times, own[there], length[there]))
    values = np.where(inside[1:] & inside[:-1], values, 0.0)
    values = values - values.mean()
    return values if np.any(values) else None
