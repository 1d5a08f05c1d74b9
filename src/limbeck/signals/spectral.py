"""Spectra and band power: every band from one Fourier transform, whole arrays at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from limbeck.errors import DataError, did_you_mean
from limbeck.signals.arrays import as_signal, is_flat, refuse
from limbeck.signals.kinds import feature

__all__ = ["BAND_SETS", "band_power", "bandpower", "power_spectrum", "resolve_bands", "spectrum"]

Bands = str | Mapping[str, Sequence[float]] | Sequence[Sequence[float]]

BAND_SETS: dict[str, dict[str, tuple[float, float]]] = {
    "standard": {
        "delta": (1.0, 4.0),
        "theta": (4.0, 8.0),
        "alpha": (8.0, 13.0),
        "beta": (13.0, 30.0),
        "gamma": (30.0, 40.0),
    },
    "fear": {
        "theta": (4.0, 8.0),
        "alpha": (8.0, 12.0),
        "beta1": (12.0, 16.0),
        "beta2": (16.0, 25.0),
        "gamma": (25.0, 45.0),
    },
    "zhang2022": {
        "delta": (0.3, 5.0),
        "theta": (5.0, 8.0),
        "alpha": (8.0, 12.0),
        "beta1": (12.0, 18.0),
        "beta2": (18.0, 30.0),
        "gamma": (30.0, 45.0),
    },
    "zhang2022_code": {
        "delta": (0.3, 4.0),
        "theta": (4.0, 8.0),
        "alpha": (8.0, 12.0),
        "beta1": (12.0, 18.0),
        "beta2": (18.0, 30.0),
        "gamma": (30.0, 45.0),
    },
}
"""Named sets of bands, name to edges in Hz.

``standard`` is Limbeck's own. ``fear`` has the edges 4, 8, 12, 16, 25, 45 Hz that are used on DEAP with pyeeg's band
power. ``zhang2022`` is the table of Zhang, Tang and Guan (visual-to-EEG knowledge distillation, 2022),
``zhang2022_code`` what their published code computes.
"""

TAPERS = ("hann", "hamming", "boxcar")
"""Windows under which a spectrum is taken."""

METHODS = ("periodogram", "welch")
"""How a spectrum is estimated: from the whole signal at once, or as the mean over overlapping segments."""

INTEGRALS = ("sum", "simpson")
"""How a band's power is made of its bins."""

TOTALS = ("bands", "spectrum")
"""What a share is a share of."""

BEYOND = ("error", "nan")
"""What becomes of bands that reach above half the rate."""

_KINDS = {"absolute": "", "relative": "_relative", "log_relative": "_log_relative", "amplitude": "_amplitude"}
"""Kind of band power to the ending of its column's name."""

_BLOCK = 100_000
"""Samples that are transformed at a time: what stays in the processor's cache is several times as fast."""


def resolve_bands(bands: Bands) -> dict[str, tuple[float, float]]:
    """Return bands as name to ``(low, high)`` in Hz.

    Parameters
    ----------
    bands : str, mapping of str to pair, or sequence of pairs
        A name in `BAND_SETS`; a mapping; or pairs, which are named ``"1-4"``.

    Raises
    ------
    DataError
        Unknown set, no bands, or a pair that is not ``0 <= low < high``.
    """
    if isinstance(bands, str):
        if bands not in BAND_SETS:
            raise DataError(f"There is no band set '{bands}'.{did_you_mean(bands, BAND_SETS)}")
        return dict(BAND_SETS[bands])
    pairs = list(bands.items()) if isinstance(bands, Mapping) else [(None, pair) for pair in bands]
    if not pairs:
        raise DataError("Band power needs at least one band, such as {alpha: [8, 13]}.")
    resolved: dict[str, tuple[float, float]] = {}
    for name, pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise DataError(f"A band is a pair [low, high] in Hz; found {pair!r}.")
        low, high = pair
        if not (isinstance(low, int | float) and isinstance(high, int | float) and 0 <= low < high):
            raise DataError(f"A band must satisfy 0 <= low < high in Hz; found {pair!r}.")
        resolved[name or f"{low:g}-{high:g}"] = (float(low), float(high))
    return resolved


def power_spectrum(
    x: np.ndarray,
    rate: float,
    *,
    method: str = "periodogram",
    taper: str = "hann",
    segment: float = 1.0,
    overlap: float = 0.5,
) -> tuple[np.ndarray, np.ndarray]:
    """One-sided power spectral density, of the whole signal or as the mean over segments (Welch).

    As ``scipy.signal.periodogram`` or ``scipy.signal.welch`` with ``detrend="constant"``: the mean is taken off, of the
    signal or of each segment.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
    rate : float
        Hz.
    method : {"periodogram", "welch"}
    taper : {"hann", "hamming", "boxcar"}
        ``hann`` leaks least and looks mostly at the middle; ``boxcar`` uses every sample alike.
    segment : float
        Seconds per segment, Welch only; the spectrum's bins are ``1 / segment`` Hz apart. Samples behind the last whole
        segment are not used.
    overlap : float
        Share of a segment that the next one shares, 0 <= overlap < 1, Welch only.

    Returns
    -------
    frequencies : ndarray of shape (n_bins,), float64
        Hz, from 0 to half the rate.
    density : ndarray of shape (..., n_bins)
        In the input's unit squared per Hz and in its floating type, computed in double precision. Rows with missing
        samples are NaN, rows that are constant 0.

    Raises
    ------
    DataError
        Fewer than 2 samples, or fewer than one segment; unknown method or taper; a segment or overlap out of range.
    """
    x = as_signal(x, rate, least=2)
    estimator = estimator_of(x.shape[-1], float(rate), method, taper, segment, overlap)
    squares = _Squares(estimator, 0, len(estimator.frequencies))
    density = in_blocks(
        x,
        len(estimator.frequencies),
        lambda rows: squares(rows) * estimator.density,
        expansion=estimator.expansion,
        dtype=x.dtype,
    )
    return estimator.frequencies, density


def band_power(
    x: np.ndarray,
    rate: float,
    bands: Bands = "standard",
    *,
    log: bool = True,
    relative: bool = False,
    taper: str = "hann",
    method: str = "periodogram",
    segment: float = 1.0,
    overlap: float = 0.5,
    integral: str = "sum",
    total: str = "bands",
) -> np.ndarray:
    """Power in frequency bands, from one Fourier transform for all bands.

    The spectrum is that of :func:`power_spectrum`, by default the one-sided periodogram of the mean-removed, tapered
    signal (as ``scipy.signal.periodogram(x, rate, window=taper, detrend="constant")``). A band's power is the sum over
    its bins, ``low <= f < high``, times the bin width, so that bands that adjoin share nothing.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
    rate : float
        Hz.
    bands : str, mapping or sequence
        As of :func:`resolve_bands`.
    log : bool
        Take the natural logarithm.
    relative : bool
        Divide by the total.
    taper, method, segment, overlap
        As of :func:`power_spectrum`.
    integral : {"sum", "simpson"}
        ``simpson`` integrates by Simpson's rule (``scipy.integrate.simpson``) over ``low <= f <= high``: a bin on an
        edge counts in both bands, and bands that adjoin leave nothing out.
    total : {"bands", "spectrum"}
        What a share is of: the power between the lowest and the highest edge of all bands, or that of all frequencies
        from 0 to half the rate; by the same `integral`.

    Returns
    -------
    ndarray of shape (..., n_bands)
        In the input's unit squared (absolute), as a share (relative), or the logarithm of these; in the floating type
        of `x`, computed in double precision. NaN where samples are missing; where there is no power at all, NaN for a
        share or a logarithm.

    Raises
    ------
    DataError
        A band reaches above half the rate, or lies between two bins because the signal or the segment is too short for
        it; what :func:`power_spectrum` refuses.

    Examples
    --------
    What Zhang et al. (2022) feed to their networks, per window of 2 s:

    >>> eeg = np.random.default_rng(0).normal(size=(32, 512))
    >>> band_power(
    ...     eeg, 256, "zhang2022", log=False, relative=True, method="welch", integral="simpson", total="spectrum"
    ... ).shape
    (32, 6)
    """
    x = as_signal(x, rate, least=2)
    resolved = resolve_bands(bands)
    estimator = estimator_of(x.shape[-1], float(rate), method, taper, segment, overlap)
    powers = powers_of_rows(estimator, rate, resolved, integral, total)
    return in_blocks(
        x,
        len(resolved),
        lambda rows: presented(powers(rows), log, relative),
        expansion=estimator.expansion,
        dtype=x.dtype,
    )


def presented(powers: np.ndarray, log: bool, relative: bool) -> np.ndarray:
    """Return powers (..., n_bands) as asked for, made of powers and, last, their total (..., n_bands + 1)."""
    power = powers[..., :-1]
    if relative:
        power = _divide(power, powers[..., -1:])
    return safe_log(power) if log else power


def estimator_mistakes(taper: str, method: str, segment: float, overlap: float) -> Iterator[str]:
    """Yield what is wrong with the parameters that say how a spectrum is estimated."""
    yield from _unknown("taper", taper, TAPERS)
    yield from _unknown("method", method, METHODS)
    if not segment > 0:
        yield f"segment must be above 0 s, found {segment}"
    if not 0 <= overlap < 1:
        yield f"overlap is the share of a segment, 0 <= overlap < 1; found {overlap}"


def band_mistakes(bands: Any) -> Iterator[str]:
    """Yield what is wrong with bands as a study writes them."""
    try:
        resolve_bands(bands)
    except DataError as error:
        yield str(error)


def unknown_kinds(kinds: Sequence[str], allowed: Iterable[str]) -> Iterator[str]:
    """Yield a mistake for each kind of a feature that does not exist, or when there is none at all."""
    allowed = tuple(allowed)
    if isinstance(kinds, str) or not isinstance(kinds, Sequence) or not kinds:
        yield f"kinds must be a list of at least one of {', '.join(allowed)}; found {kinds!r}"
        return
    for kind in kinds:
        if kind not in allowed:
            yield f"there is no kind '{kind}'.{did_you_mean(str(kind), allowed)}"
    if len(set(map(str, kinds))) < len(kinds):
        yield f"kinds names something twice: {list(kinds)}"


def _unknown(what: str, name: str, allowed: Sequence[str]) -> Iterator[str]:
    if name not in allowed:
        yield f"there is no {what} '{name}', only {', '.join(allowed)}.{did_you_mean(str(name), allowed)}"


def power_mistakes(
    bands: Any, taper: str, method: str, segment: float, overlap: float, integral: str, total: str, **_: Any
) -> Iterator[str]:
    """Yield what is wrong with the parameters of :func:`band_power`."""
    yield from band_mistakes(bands)
    yield from estimator_mistakes(taper, method, segment, overlap)
    yield from _unknown("integral", integral, INTEGRALS)
    yield from _unknown("total", total, TOTALS)


def _check_bandpower(kinds: Sequence[str], beyond: str, **parameters: Any) -> Iterator[str]:
    yield from power_mistakes(**parameters)
    yield from _unknown("way beyond half the rate", beyond, BEYOND)
    yield from unknown_kinds(kinds, _KINDS)


def _bandpower_columns(bands: Any, kinds: Sequence[str], **_: Any) -> tuple[str, ...]:
    return tuple(f"{band}{_KINDS[kind]}" for kind in kinds for band in resolve_bands(bands))


@feature(
    "bandpower",
    columns=_bandpower_columns,
    check=_check_bandpower,
    unit="ln of the unit squared; a share, or its ln, if relative; the unit times samples, if amplitude",
    source="scipy.signal.periodogram, scipy.signal.welch; amplitude: pyeeg.bin_power",
)
def bandpower(
    x: np.ndarray,
    rate: float,
    bands: Bands = "standard",
    kinds: Sequence[str] = ("absolute",),
    *,
    log: bool = True,
    taper: str = "hann",
    method: str = "periodogram",
    segment: float = 1.0,
    overlap: float = 0.5,
    integral: str = "sum",
    total: str = "bands",
    beyond: str = "error",
) -> np.ndarray:
    """Band powers per channel, of one or more kinds, from one Fourier transform.

    Columns, for each kind in turn, each band in turn: ``alpha`` (absolute power, its natural logarithm unless
    ``log: false``), ``alpha_relative`` (share of the total), ``alpha_log_relative`` and ``alpha_amplitude`` (the sum of
    the moduli of the plain Fourier transform over the bins ``floor(low / rate * n_times)`` up to, not including,
    ``floor(high / rate * n_times)``: not squared, without taper, never logged; it grows with the window's length).

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
    rate : float
        Hz.
    bands : str, mapping or sequence
        ``standard``, ``fear``, ``zhang2022``, ``zhang2022_code``; or name to [low, high] in Hz; or such pairs.
    kinds : sequence of {"absolute", "relative", "log_relative", "amplitude"}
    log : bool
        Whether absolute power is given as its logarithm.
    taper : {"hann", "hamming", "boxcar"}
    method : {"periodogram", "welch"}
        From the whole window, or the mean over segments: steadier, with wider bins.
    segment, overlap : float
        Seconds per segment, and the share of it that the next one shares; ``welch`` only.
    integral : {"sum", "simpson"}
        The sum over ``low <= f < high`` times the bin width, or Simpson's rule over ``low <= f <= high``.
    total : {"bands", "spectrum"}
        A share is of the power between the outermost edges, or of the whole spectrum.
    beyond : {"error", "nan"}
        Refuse bands that reach above half the rate, or give NaN for these (a published number of columns, of sensors
        that are too slow for some); shares of the power between edges are then of the bands that are left.

    Returns
    -------
    ndarray of shape (..., n_kinds * n_bands)
        NaN as in :func:`band_power`; an amplitude is NaN where samples are missing.
    """
    x = as_signal(x, rate, least=2)
    resolved = resolve_bands(bands)
    refuse(unknown_kinds(kinds, _KINDS))
    refuse(_unknown("way beyond half the rate", beyond, BEYOND))
    if beyond == "nan":
        heard = [high <= rate / 2 for _, high in resolved.values()]
        values = np.full((*x.shape[:-1], len(kinds), len(resolved)), np.nan, dtype=x.dtype)
        if any(heard):
            within = {name: edges for (name, edges), kept in zip(resolved.items(), heard, strict=True) if kept}
            options = {"method": method, "segment": segment, "overlap": overlap, "integral": integral, "total": total}
            powers = bandpower(x, rate, within, kinds, log=log, taper=taper, **options)
            values[..., heard] = powers.reshape(*x.shape[:-1], len(kinds), len(within))
        return values.reshape(*x.shape[:-1], -1)
    found: dict[str, np.ndarray] = {}
    if "amplitude" in kinds:
        amplitudes = _amplitudes_of_rows(x.shape[-1], float(rate), resolved)
        found["amplitude"] = in_blocks(x, len(resolved), amplitudes, dtype=x.dtype)
    squared = [kind for kind in kinds if kind != "amplitude"]
    if squared:
        estimator = estimator_of(x.shape[-1], float(rate), method, taper, segment, overlap)
        powers_of = powers_of_rows(estimator, rate, resolved, integral, total)
        ways = {"absolute": (log, False), "relative": (False, True), "log_relative": (True, True)}

        def columns(rows: np.ndarray) -> np.ndarray:
            powers = powers_of(rows)
            return np.concatenate([presented(powers, *ways[kind]) for kind in squared], axis=-1)

        count = len(squared) * len(resolved)
        power = in_blocks(x, count, columns, expansion=estimator.expansion, dtype=x.dtype)
        found.update(zip(squared, np.split(power, len(squared), axis=-1), strict=True))
    return np.concatenate([found[kind] for kind in kinds], axis=-1)


_SPECTRUM_KINDS = ("entropy", "edge", "peak", "mean", "median", "power")


def _check_spectrum(
    kinds: Sequence[str], low: float, high: float | None, share: float, **estimator: Any
) -> Iterator[str]:
    yield from unknown_kinds(kinds, _SPECTRUM_KINDS)
    number = isinstance(high, int | float) and not isinstance(high, bool)
    if low < 0 or (high is not None and not (number and high > low)):
        yield f"the range must satisfy 0 <= low < high in Hz, high being null for half the rate; found {low}, {high}"
    if not 0 < share < 1:
        yield f"share must lie between 0 and 1, found {share}"
    yield from estimator_mistakes(**estimator)


@feature(
    "spectrum",
    columns=lambda kinds, **_: tuple(kinds),
    check=_check_spectrum,
    unit="Hz; entropy from 0 to 1; power in the unit squared",
    source="Inouye et al. 1991 (spectral entropy); scipy.signal.periodogram, scipy.signal.welch",
)
def spectrum(
    x: np.ndarray,
    rate: float,
    kinds: Sequence[str] = ("entropy", "edge", "peak", "mean", "median"),
    *,
    low: float = 0.0,
    high: float | None = None,
    share: float = 0.95,
    taper: str = "hann",
    method: str = "periodogram",
    segment: float = 1.0,
    overlap: float = 0.5,
) -> np.ndarray:
    """Shape of each channel's spectrum: entropy, edge, peak, mean and median frequency, total power.

    The frequency 0, the level, never counts.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
    rate : float
        Hz.
    kinds : sequence of str
        ``entropy``: Shannon's, of the power's distribution over the bins, divided by that of an even one: 0 for a
        single line, 1 for a flat spectrum. ``edge``: the frequency up to which `share` of the power lies. ``peak``:
        that of the largest bin. ``mean``: weighted by power. ``median``: up to which half of the power lies. ``power``:
        the sum over the bins times their width, linear.
    low, high : float
        Only ``low <= f < high`` is looked at, in Hz; null for all up to half the rate.
    share : float
        Of the power that lies up to the edge.
    taper : {"hann", "hamming", "boxcar"}
    method : {"periodogram", "welch"}
    segment, overlap : float
        As of :func:`bandpower`.

    Returns
    -------
    ndarray of shape (..., n_kinds)
        NaN where samples are missing; for a constant signal power is 0 and the rest NaN.

    Raises
    ------
    DataError
        `high` above half the rate; fewer than two bins in the range.
    """
    x = as_signal(x, rate, least=2)
    refuse(_check_spectrum(kinds, low, high, share, taper=taper, method=method, segment=segment, overlap=overlap))
    estimator = estimator_of(x.shape[-1], float(rate), method, taper, segment, overlap)
    frequencies = estimator.frequencies
    slack = estimator.slack
    if high is not None and high > rate / 2 + slack:
        raise DataError(f"The range up to {high:g} Hz reaches above half the sampling rate of {rate:g} Hz.")
    inside = (frequencies >= max(low - slack, slack)) & (frequencies < (np.inf if high is None else high - slack))
    if inside.sum() < 2:
        raise DataError(
            f"Fewer than two bins lie between {low:g} and {rate / 2 if high is None else high:g} Hz: "
            f"{estimator.length} samples at {rate:g} Hz resolve {rate / estimator.length:g} Hz. "
            "Use longer windows or a wider range."
        )
    first, behind = _ends(inside)
    squares = _Squares(estimator, first, behind)

    def shape_of(rows: np.ndarray) -> np.ndarray:
        density = squares(rows) * estimator.density[first:behind]
        return _spectrum_shape(density, frequencies[first:behind], kinds, share)

    return in_blocks(x, len(kinds), shape_of, expansion=estimator.expansion).astype(x.dtype, copy=False)


def _spectrum_shape(density: np.ndarray, frequencies: np.ndarray, kinds: Sequence[str], share: float) -> np.ndarray:
    """Return the named properties (n_rows, n_kinds) of densities (n_rows, n_bins)."""
    whole = density.sum(axis=-1)
    defined = whole > 0

    def up_to(part: float) -> np.ndarray:
        # the sum's last bits must not push the edge one bin further
        return frequencies[np.argmax(np.cumsum(density, axis=-1) >= part * (1 - 1e-12) * whole[:, np.newaxis], axis=-1)]

    def entropy() -> np.ndarray:
        parts = _divide(density, whole[:, np.newaxis])
        return -(parts * np.log(np.where(parts > 0, parts, 1.0))).sum(axis=-1) / np.log(density.shape[-1])

    compute: dict[str, Callable[[], np.ndarray]] = {
        "entropy": entropy,
        "edge": lambda: up_to(share),
        "peak": lambda: frequencies[np.argmax(density, axis=-1)],
        "mean": lambda: _divide(density @ frequencies, whole),
        "median": lambda: up_to(0.5),
    }
    width = frequencies[1] - frequencies[0]
    columns = [whole * width if kind == "power" else np.where(defined, compute[kind](), np.nan) for kind in kinds]
    return np.stack(columns, axis=-1)


def in_blocks(
    x: np.ndarray,
    columns: int,
    compute: Callable[[np.ndarray], np.ndarray],
    *,
    expansion: float = 1.0,
    dtype: Any = np.float64,
) -> np.ndarray:
    """Compute columns of every row, so many rows at a time that the work stays in the processor's cache.

    Parameters
    ----------
    x : ndarray of shape (..., n_times)
    columns : int
        That `compute` makes of a row.
    compute : callable
        From rows (n_rows, n_times) to (n_rows, n_columns).
    expansion : float
        How many samples `compute` makes of one.
    dtype : dtype
        Of the result.

    Returns
    -------
    ndarray of shape (..., n_columns)
    """
    rows = x.reshape(int(np.prod(x.shape[:-1])), x.shape[-1])
    out = np.empty((len(rows), columns), dtype=dtype)
    size = max(1, int(_BLOCK / (x.shape[-1] * expansion)))
    for first in range(0, len(rows), size):
        out[first : first + size] = compute(rows[first : first + size])
    return out.reshape(*x.shape[:-1], columns)


@dataclass(frozen=True, eq=False)  # equal when the same: a key of caches
class Estimator:
    """How a spectrum is taken of signals of one length and rate.

    Parameters
    ----------
    length, step : int
        Samples of a segment, and from one to the next.
    taper : ndarray of shape (length,)
    frequencies : ndarray of shape (n_bins,)
        Hz.
    density : ndarray of shape (n_bins,)
        What turns a bin's squared modulus into a one-sided density.
    level : ndarray of shape (n_lowest,)
        What a level of 1 makes of the lowest bins under the taper; of all others it makes 0.
    slack : float
        Hz by which a bin may lie beside an edge through rounding and is still on it.
    """

    length: int
    step: int
    taper: np.ndarray
    frequencies: np.ndarray
    density: np.ndarray
    level: np.ndarray
    slack: float

    @property
    def expansion(self) -> float:
        """Tapered samples per sample."""
        return self.length / self.step


@lru_cache(maxsize=64)
def estimator_of(
    samples: int,
    rate: float,
    method: str = "periodogram",
    taper: str = "hann",
    segment: float = 1.0,
    overlap: float = 0.5,
) -> Estimator:
    """Return how a spectrum of so many samples is taken; parameters and errors as of :func:`power_spectrum`."""
    from scipy import signal

    refuse(estimator_mistakes(taper, method, segment, overlap))
    length = samples if method == "periodogram" else round(segment * rate)
    if not 2 <= length <= samples:
        raise DataError(
            f"A segment of {segment:g} s has {length} samples at {rate:g} Hz and the signal {samples} "
            f"({samples / rate:g} s); a segment needs at least 2 and at most those of the signal. "
            "Set segment to other seconds."
        )
    step = length if method == "periodogram" else length - int(length * overlap)
    weights = signal.get_window(taper, length)
    density = np.full(length // 2 + 1, 2.0)
    density[0] = 1.0
    if length % 2 == 0:
        density[-1] = 1.0
    density /= rate * np.square(weights).sum()
    level = np.fft.rfft(weights).real
    level = level[: _ends(np.abs(level) > 1e-12 * length)[1]]
    frequencies = np.fft.rfftfreq(length, 1 / rate)
    for array in (weights, density, level, frequencies):
        array.setflags(write=False)  # shared by all who ask for the same
    return Estimator(length, step, weights, frequencies, density, level, slack=1e-9 * rate)


def _ends(inside: np.ndarray) -> tuple[int, int]:
    """Return where the first true one of (n_bins,) is, and where the last one is plus 1."""
    places = np.flatnonzero(inside)
    return int(places[0]), int(places[-1]) + 1


class _Squares:
    """The squared moduli of bins, mean over the segments of a row: of one block of rows after another.

    All blocks use the same memory; new memory for each would cost as much as the arithmetic.

    Parameters
    ----------
    estimator : Estimator
    first, behind : int
        The bins ``first`` up to, not including, ``behind`` are wanted.
    """

    def __init__(self, estimator: Estimator, first: int, behind: int) -> None:
        self._estimator = estimator
        self._wanted = slice(first, behind)
        self._n_wanted = behind - first
        self._memory = np.empty((2, 0))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Return the squares (n_rows, n_wanted), float64, of rows (n_rows, n_times); they last until the next call."""
        length, step = self._estimator.length, self._estimator.step
        if length == rows.shape[-1]:
            return self._of_segments(rows)
        segments = np.lib.stride_tricks.sliding_window_view(rows, length, axis=-1)[:, ::step]
        size = max(1, _BLOCK // (len(rows) * length))
        squares = np.zeros((len(rows), self._n_wanted))
        for start in range(0, segments.shape[1], size):
            part = segments[:, start : start + size]
            squares += self._of_segments(part).reshape(*part.shape[:2], self._n_wanted).sum(axis=1)
        squares /= segments.shape[1]
        behind = (segments.shape[1] - 1) * step + length  # samples that are in no segment
        squares[np.isnan(rows[:, behind:]).any(axis=-1)] = np.nan
        return squares

    def _of_segments(self, segments: np.ndarray) -> np.ndarray:
        """Return the squares (n_segments, n_wanted) of segments (..., length)."""
        length, n_bins = self._estimator.length, len(self._estimator.frequencies)
        count, n_wanted = segments.size // length, self._n_wanted
        if 2 * n_bins * count > self._memory.shape[1]:
            self._memory = np.empty((2, 2 * n_bins * count))
        one, other = self._memory  # what is computed in one of them goes to the other
        tapered = one[: length * count].reshape(segments.shape)
        bins = other[: 2 * n_bins * count].view(np.complex128).reshape(count, n_bins)
        parts = one[: 2 * n_wanted * count].reshape(count, 2 * n_wanted)
        squares = other[: n_wanted * count].reshape(count, n_wanted)
        np.multiply(segments, self._estimator.taper, out=tapered)
        np.fft.rfft(tapered.reshape(count, length), axis=-1, out=bins)
        wanted = bins[:, self._wanted]
        level = self._estimator.level[self._wanted]
        if len(level):  # as if the mean had been taken off before: under these tapers it is in the lowest bins only
            mean = segments @ np.ones(length) / length
            wanted[:, : len(level)] -= mean.reshape(count, 1) * level
        np.square(wanted.view(np.float64), out=parts)
        np.add(parts[:, ::2], parts[:, 1::2], out=squares)
        squares[is_flat(segments).ravel()] = 0.0  # no rounding of the level
        return squares


def centred(rows: np.ndarray) -> np.ndarray:
    """Return rows (..., n_times) less their means, float64; what is constant up to rounding becomes 0 throughout."""
    out = rows.astype(np.float64)
    out -= out.mean(axis=-1, keepdims=True)
    out[is_flat(rows)] = 0.0
    return out


def powers_of_rows(
    estimator: Estimator,
    rate: float,
    bands: Mapping[str, tuple[float, float]],
    integral: str = "sum",
    total: str = "bands",
) -> Callable[[np.ndarray], np.ndarray]:
    """Return what turns rows (n_rows, n_times) into the power per band and, last, the total, (n_rows, n_bands + 1)."""
    weights, first = _weights(estimator, float(rate), tuple(bands.items()), integral, total)
    squares = _Squares(estimator, first, first + len(weights))
    return lambda rows: squares(rows) @ weights


@lru_cache(maxsize=64)
def _weights(
    estimator: Estimator, rate: float, bands: tuple[tuple[str, tuple[float, float]], ...], integral: str, total: str
) -> tuple[np.ndarray, int]:
    """Return what each bin's squared modulus adds to each band and, last, to the total, and which bin is the first.

    Of shape (n_bins, n_bands + 1): the bins that add anything, and those in between.
    """
    refuse([*_unknown("integral", integral, INTEGRALS), *_unknown("total", total, TOTALS)])
    frequencies, slack = estimator.frequencies, estimator.slack
    # a rounding error in a bin's frequency must not move it over an edge
    beyond = slack if integral == "simpson" else -slack
    outermost = (min(low for _, (low, _) in bands), max(high for _, (_, high) in bands))
    inside = [
        (frequencies >= low - slack) & (frequencies < high + beyond)
        for low, high in (*(e for _, e in bands), outermost)
    ]
    if total == "spectrum":
        inside[-1] = np.ones(len(frequencies), dtype=bool)
    least = 2 if integral == "simpson" else 1
    for (name, (low, high)), bins in zip(bands, inside, strict=False):
        _refuse_above_nyquist(name, low, high, rate, slack)
        if bins.sum() < least:
            raise DataError(
                f"The band {name} ({low:g} to {high:g} Hz) holds {'no bin' if not bins.any() else 'one bin only'}: "
                f"{estimator.length} samples at {rate:g} Hz resolve {rate / estimator.length:g} Hz. "
                "Use longer windows or a wider band."
            )
    shares = np.stack([_integral_weights(bins, integral) for bins in inside], axis=1)
    first, behind = _ends(np.any(inside, axis=0))
    return (shares * (estimator.density * rate / estimator.length)[:, np.newaxis])[first:behind], first


def _integral_weights(bins: np.ndarray, integral: str) -> np.ndarray:
    """Return the weight of every bin (n_bins,) in the integral over those inside, at a distance of 1."""
    weights = bins.astype(np.float64)
    if integral == "simpson":
        from scipy import integrate

        # the rule is linear: what it makes of each unit vector is that bin's weight
        weights[bins] = integrate.simpson(np.eye(int(bins.sum())), dx=1.0, axis=-1)
    return weights


def _refuse_above_nyquist(name: str, low: float, high: float, rate: float, slack: float) -> None:
    if high > rate / 2 + slack:
        raise DataError(
            f"The band {name} ({low:g} to {high:g} Hz) reaches above half the sampling rate of {rate:g} Hz."
        )


def _amplitudes_of_rows(
    samples: int, rate: float, bands: Mapping[str, tuple[float, float]]
) -> Callable[[np.ndarray], np.ndarray]:
    """Return what turns rows (n_rows, samples) into the sum of the moduli of each band's bins, (n_rows, n_bands)."""
    edges = {}
    for name, (low, high) in bands.items():
        _refuse_above_nyquist(name, low, high, rate, slack=1e-9 * rate)
        first, behind = (int(edge / rate * samples + 1e-9) for edge in (low, high))
        if first == behind:
            raise DataError(
                f"The band {name} ({low:g} to {high:g} Hz) holds no bin: {samples} samples at {rate:g} Hz resolve "
                f"{rate / samples:g} Hz. Use longer windows or a wider band."
            )
        edges[name] = (first, behind)
    highest = max(behind for _, behind in edges.values())

    def sums(rows: np.ndarray) -> np.ndarray:
        moduli = np.abs(np.fft.rfft(centred(rows), axis=-1)[:, :highest])
        moduli[:, 0] = np.abs(rows.sum(axis=-1, dtype=np.float64))  # the level, taken off for the sake of rounding
        return np.stack([moduli[:, first:behind].sum(axis=-1) for first, behind in edges.values()], axis=-1)

    return sums


def _divide(power: np.ndarray, total: np.ndarray) -> np.ndarray:
    return np.divide(power, total, out=np.full_like(power, np.nan), where=total > 0)


def safe_log(power: np.ndarray) -> np.ndarray:
    """Return the natural logarithm; NaN where there is nothing above 0."""
    return np.log(np.where(power > 0, power, np.nan))
