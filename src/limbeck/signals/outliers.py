"""Outliers and short gaps: the Hampel filter, and interpolation that leaves long gaps open."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from limbeck.errors import DataError, did_you_mean
from limbeck.signals.arrays import above_zero, as_signal, refuse
from limbeck.signals.gaps import gap_lengths, hold_gaps, missing, row_chunks
from limbeck.signals.kinds import step

__all__ = ["hampel", "interpolate"]

REPLACEMENTS = ("median", "nan")
"""What takes the place of an outlier."""

METHODS = ("linear", "cubic")
"""How a gap is filled."""

_NORMAL = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""

_STRETCH = 16_384
"""Samples of a row that are worked on at a time, or four windows if that is more."""

_SORTED = 32_768
"""Samples of windows that are sorted at a time."""

_SPARSE = 0.05
"""Share of windows that may hold fewer samples than the ranks of a stretch are chosen for."""


def _check_hampel(window: float, threshold: float, replace: str, **_: object) -> Iterator[str]:
    yield from above_zero("window", window, " s")
    yield from above_zero("threshold", threshold, "")
    if replace not in REPLACEMENTS:
        yield f"there is no replacement '{replace}'.{did_you_mean(str(replace), REPLACEMENTS)}"


def _check_interpolate(longest: float, method: str, **_: object) -> Iterator[str]:
    yield from above_zero("longest", longest, " s")
    if method not in METHODS:
        yield f"there is no method '{method}'.{did_you_mean(str(method), METHODS)}"


@step(
    "hampel",
    runs="recording",
    causal="causal",
    check=_check_hampel,
    source="Hampel, J. Am. Stat. Assoc. 69:383, 1974; Pearson et al., EURASIP J. Adv. Signal Process. 2016:87",
)
def hampel(
    x: np.ndarray,
    rate: float,
    window: float = 1.0,
    threshold: float = 3.0,
    *,
    replace: str = "median",
    causal: bool = False,
) -> np.ndarray:
    """Replace samples that lie far from the median of their neighbours.

    A sample is an outlier when its distance from the median of the window around it exceeds `threshold` times 1.4826
    times the median absolute deviation in that window. Where more than half of a window has one value (a coarsely
    quantised signal at rest), the deviation is 0 and every other value in it is an outlier.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
        Missing samples (NaN) do not count and stay missing; at the ends the window holds what there is.
    rate : float
        Hz.
    window : float
        Seconds; rounded to an odd number of samples, of which there must be 3.
    threshold : float
        In standard deviations, as a normal distribution has them.
    replace : {"median", "nan"}
        What takes the outlier's place: the window's median, or a gap for later steps.
    causal : bool
        The window ends at the sample, which delays nothing but sees a steep rise as an outlier; else it is centred.

    Returns
    -------
    ndarray of shape (..., n_times)
        In the floating type of `x`.

    Raises
    ------
    DataError
        The window holds fewer than 3 samples.
    """
    x = as_signal(x, rate)
    refuse(_check_hampel(window, threshold, replace))
    half = int(min(float(window) * float(rate) / 2 + 1e-9, x.shape[-1]))  # a longer window holds no more
    if half < 1:
        raise DataError(
            f"The Hampel filter's window of {window:g} s holds fewer than 3 samples at {rate:g} Hz; "
            f"it needs {2 / rate:g} s or more."
        )
    cleaned = x.reshape(-1, x.shape[-1]).copy()
    length, lead = max(_STRETCH, 8 * half), 2 * half if causal else half
    for row, result in zip(x.reshape(cleaned.shape), cleaned, strict=True):
        for first in range(0, len(row), length):
            stretch = result[first : first + length]
            around = _part(row, first - lead, len(stretch) + 2 * half)
            where, medians = _find_outliers(stretch, around, half, float(threshold))
            stretch[where] = np.nan if replace == "nan" else medians
    return cleaned.reshape(x.shape)


def _part(row: np.ndarray, first: int, length: int) -> np.ndarray:
    """Return so many samples in double precision; where the row has none, they are missing."""
    part = np.full(length, np.nan)
    there = row[max(0, first) : first + length]
    part[max(0, -first) :][: len(there)] = there
    return part


def _find_outliers(row: np.ndarray, padded: np.ndarray, half: int, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of outliers and the medians there; sample i is judged by ``padded[i : i + 2 * half + 1]``.

    Few windows are sorted: the median absolute deviation lies between the smaller and the larger distance of two
    ranks, half of the samples apart, from the median, and running ranks cost little. Only where these leave the answer
    open it is computed.
    """
    there = ~np.isnan(row)
    if not there.any():
        return np.flatnonzero(there), row[there]
    size, limit = 2 * half + 1, threshold * _NORMAL
    gaps = np.isnan(padded)
    missed = np.concatenate([[0], np.cumsum(gaps)])
    count = size - (missed[size:] - missed[:-size])
    # most windows hold twice so many samples, or more
    apart = int(np.quantile(count[there], _SPARSE, method="lower")) // 2
    low, medians, high = _ranks(padded, gaps, half, apart)
    distance = np.abs(row - medians)
    # between the two ranks lie fewer than half of the window's samples, if it holds enough of them ...
    unsure = there & ((distance > limit * np.minimum(high - medians, medians - low)) | (count < 2 * apart))
    # ... and from one to the other half of them or more, if it does not hold too many
    sure = (distance > limit * np.maximum(high - medians, medians - low)) & (count <= 2 * apart + 1)
    outliers = unsure & sure
    unsure &= ~outliers
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)
    places = np.flatnonzero(unsure)
    step_length = max(1, _SORTED // size)
    for first in range(0, len(places), step_length):
        place = places[first : first + step_length]
        sorted_ = windows[place]
        middle = _median(sorted_)
        deviation = _median(np.abs(sorted_ - middle[:, np.newaxis]))
        outliers[place] = np.abs(row[place] - middle) > limit * deviation
        medians[place] = middle
    where = np.flatnonzero(outliers)
    return where, medians[where]


def _ranks(padded: np.ndarray, gaps: np.ndarray, half: int, apart: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the median of each window, and two values around it that are `apart` ranks from one another.

    Missing samples become the smallest and the largest number by turns, so that a window holds as many of the one as of
    the other, or one more. Its median is then that of the samples that are there, or the upper or lower of the two in
    their middle; with the turns exchanged it is the other of the two.
    """
    from scipy import ndimage

    def rank(samples: np.ndarray, which: int) -> np.ndarray:
        return ndimage.rank_filter(samples, which, size=2 * half + 1)[half : len(samples) - half]

    below = half - apart // 2
    turns = np.where(np.arange(np.count_nonzero(gaps)) % 2, np.inf, -np.inf)
    filled = padded.copy()
    filled[gaps] = turns
    low, medians, high = rank(filled, below), rank(filled, half), rank(filled, below + apart)
    if len(turns):
        filled[gaps] = -turns
        with np.errstate(invalid="ignore"):  # of a window without samples the two are infinite
            medians = (medians + rank(filled, half)) / 2
    return low, medians, high


def _median(windows: np.ndarray) -> np.ndarray:
    """Return the median of the samples that are there, at least one per row."""
    ordered = np.sort(windows, axis=-1)  # missing samples go to the end
    count = (~np.isnan(windows)).sum(axis=-1, keepdims=True)
    middle = np.take_along_axis(ordered, np.concatenate([(count - 1) // 2, count // 2], axis=-1), axis=-1)
    return middle.mean(axis=-1)


@step(
    "interpolate",
    runs="recording",
    causal="causal",
    check=_check_interpolate,
    source="numpy.interp, scipy.interpolate.CubicSpline",
)
def interpolate(
    x: np.ndarray, rate: float, longest: float = 1.0, *, method: str = "linear", causal: bool = False
) -> np.ndarray:
    """Fill short gaps; longer ones stay missing as a whole.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
    rate : float
        Hz.
    longest : float
        Seconds of the longest gap that is filled. Gaps at the very start and end have one side only and stay.
    method : {"linear", "cubic"}
        A line between the neighbours, or the cubic spline through all samples that are there, which is smoother and
        can overshoot. Not used by ``causal: true``.
    causal : bool
        Hold the last sample for up to `longest` seconds: what comes later is not known then, so the first `longest`
        seconds of a longer gap are filled too.

    Returns
    -------
    ndarray of shape (..., n_times)
        In the floating type of `x`.

    Raises
    ------
    DataError
        `longest` is shorter than one sample.
    """
    x = as_signal(x, rate)
    refuse(_check_interpolate(longest, method))
    most = int(min(float(longest) * float(rate) + 1e-9, x.shape[-1]))  # no gap is longer than the signal
    if most < 1:
        raise DataError(f"Gaps of up to {longest:g} s hold no sample at {rate:g} Hz; a sample lasts {1 / rate:g} s.")
    filled = x.reshape(-1, x.shape[-1]).copy()
    for chunk in row_chunks(*filled.shape):
        gaps = missing(filled[chunk])
        if gaps.any():
            before, lengths = gap_lengths(gaps)
            begun = np.logical_or.accumulate(~gaps, axis=-1)
            if causal:
                short = gaps & begun & (before <= most)
                filled[chunk][short] = hold_gaps(filled[chunk], gaps)[short]
            else:
                goes_on = np.logical_or.accumulate(~gaps[:, ::-1], axis=-1)[:, ::-1]
                _fill(filled[chunk], gaps, gaps & begun & goes_on & (lengths <= most), method)
    return filled.reshape(x.shape)


def _fill(rows: np.ndarray, gaps: np.ndarray, short: np.ndarray, method: str) -> None:
    from scipy.interpolate import CubicSpline

    times = np.arange(rows.shape[-1], dtype=np.float64)
    for row, gap, where in zip(rows, gaps, short, strict=True):
        if where.any():
            known, values = times[~gap], row[~gap].astype(np.float64)
            row[where] = (
                CubicSpline(known, values)(times[where])
                if method == "cubic"
                else np.interp(times[where], known, values)
            )
