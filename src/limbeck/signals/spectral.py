"""Band power: every band from one Fourier transform."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from limbeck.errors import DataError, did_you_mean
from limbeck.signals.pipeline import feature

__all__ = ["BAND_SETS", "band_power", "resolve_bands"]

BAND_SETS: dict[str, dict[str, tuple[float, float]]] = {
    "standard": {
        "delta": (1.0, 4.0),
        "theta": (4.0, 8.0),
        "alpha": (8.0, 13.0),
        "beta": (13.0, 30.0),
        "gamma": (30.0, 40.0),
    },
}
"""Named sets of bands: name to ``[low, high)`` in Hz."""

_KINDS = {"absolute": "", "relative": "_relative", "log_relative": "_log_relative"}
"""Kind of band power to the ending of its column's name."""

TAPERS = ("hann", "boxcar")
"""Windows under which a spectrum is taken."""

_CHUNK = 100_000
"""Samples that are transformed at a time: what stays in the processor's cache is five times as fast."""


def resolve_bands(
    bands: str | Mapping[str, Sequence[float]] | Sequence[Sequence[float]],
) -> dict[str, tuple[float, float]]:
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


def band_power(
    x: np.ndarray,
    rate: float,
    bands: str | Mapping[str, Sequence[float]] | Sequence[Sequence[float]] = "standard",
    *,
    log: bool = True,
    relative: bool = False,
    taper: str = "hann",
) -> np.ndarray:
    """Power in frequency bands, from one Fourier transform for all bands.

    The spectrum is the one-sided periodogram of the mean-removed, tapered signal (as
    ``scipy.signal.periodogram(x, rate, window=taper, detrend="constant")``); a band's power is the sum over its bins,
    ``low <= f < high``, times the bin width.

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
        Divide by the power between the lowest and the highest edge of all bands.
    taper : str
        One of `TAPERS`. ``hann`` leaks least and looks mostly at the middle of the window; ``boxcar`` uses every sample
        alike, which makes steadier powers where neighbouring bands do not differ by orders of magnitude.

    Returns
    -------
    ndarray of shape (..., n_bands)
        In the input's unit squared (absolute), as a share (relative), or the logarithm of these. NaN where samples are
        missing; where there is no power at all, NaN for a share or a logarithm.

    Raises
    ------
    DataError
        A band reaches above half the rate, or lies between two bins because the signal is too short for it.
    """
    power, total = _powers(x, rate, resolve_bands(bands), taper)
    if relative:
        power = _divide(power, total)
    return _log(power) if log else power


def _check_bandpower(bands: Any, kinds: Sequence[str], log: bool, taper: str) -> Iterator[str]:
    try:
        resolve_bands(bands)
    except DataError as error:
        yield str(error)
    yield from unknown_kinds(kinds, _KINDS)
    if taper not in TAPERS:
        yield f"there is no taper '{taper}'.{did_you_mean(str(taper), TAPERS)}"


def unknown_kinds(kinds: Sequence[str], allowed: Mapping[str, Any]) -> Iterator[str]:
    """Yield a mistake for each kind of a feature that does not exist, or when there is none at all."""
    if isinstance(kinds, str) or not isinstance(kinds, Sequence) or not kinds:
        yield f"kinds must be a list of at least one of {', '.join(allowed)}; found {kinds!r}"
        return
    for kind in kinds:
        if kind not in allowed:
            yield f"there is no kind '{kind}'.{did_you_mean(str(kind), allowed)}"
    if len(set(map(str, kinds))) < len(kinds):
        yield f"kinds names something twice: {list(kinds)}"


def _bandpower_columns(bands: Any, kinds: Sequence[str], log: bool, taper: str) -> tuple[str, ...]:
    return tuple(f"{band}{_KINDS[kind]}" for kind in kinds for band in resolve_bands(bands))


@feature("bandpower", columns=_bandpower_columns, check=_check_bandpower)
def bandpower(
    x: np.ndarray,
    rate: float,
    bands: str | Mapping[str, Sequence[float]] | Sequence[Sequence[float]] = "standard",
    kinds: Sequence[str] = ("absolute",),
    *,
    log: bool = True,
    taper: str = "hann",
) -> np.ndarray:
    """Band powers per channel, of one or more kinds, from one Fourier transform.

    Columns, for each kind in turn, each band in turn: ``alpha`` (absolute power, its natural logarithm unless
    ``log: false``), ``alpha_relative`` (share of the power between the lowest and the highest edge) and
    ``alpha_log_relative``.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
    rate : float
        Hz.
    bands : str, mapping or sequence
        As of :func:`resolve_bands`.
    kinds : sequence of {"absolute", "relative", "log_relative"}
    log : bool
        Whether absolute power is given as its logarithm.
    taper : str
        As of :func:`band_power`.

    Returns
    -------
    ndarray of shape (..., n_kinds * n_bands)
        NaN as in :func:`band_power`.
    """
    power, total = _powers(x, rate, resolve_bands(bands), taper)
    compute = {
        "absolute": lambda: _log(power) if log else power,
        "relative": lambda: _divide(power, total),
        "log_relative": lambda: _log(_divide(power, total)),
    }
    return np.concatenate([compute[kind]() for kind in kinds], axis=-1)


def _powers(
    x: np.ndarray, rate: float, bands: Mapping[str, tuple[float, float]], taper: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the power per band (..., n_bands) and between the outermost edges (..., 1), in the type of `x`."""
    x = np.asarray(x)
    if not np.issubdtype(x.dtype, np.floating):
        x = x.astype(np.float64)
    if taper not in TAPERS:
        raise DataError(f"There is no taper '{taper}'.{did_you_mean(taper, TAPERS)}")
    shape, weights = _design(x.shape[-1], float(rate), tuple(bands.items()), taper)
    shape, weights = shape.astype(x.dtype), weights.astype(x.dtype)
    rows = x.reshape(-1, x.shape[-1])
    powers = np.empty((len(rows), weights.shape[1]), dtype=x.dtype)
    size = max(1, _CHUNK // x.shape[-1])
    for first in range(0, len(rows), size):
        powers[first : first + size] = _chunk_powers(rows[first : first + size], shape, weights)
    powers = powers.reshape(*x.shape[:-1], -1)
    return powers[..., :-1], powers[..., -1:]


def _chunk_powers(rows: np.ndarray, taper: np.ndarray, weights: np.ndarray) -> np.ndarray:
    from scipy import fft

    centred = rows - rows.mean(axis=-1, keepdims=True, dtype=np.float64).astype(rows.dtype)
    centred *= taper
    spectrum = fft.rfft(centred, axis=-1, overwrite_x=True)[:, : len(weights)]
    return (np.square(spectrum.real) + np.square(spectrum.imag)) @ weights


@lru_cache(maxsize=64)
def _design(
    samples: int, rate: float, bands: tuple[tuple[str, tuple[float, float]], ...], window: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the taper (samples,) and what each bin's squared modulus adds to each band and to the total."""
    from scipy import fft, signal

    if samples < 2:
        raise DataError(f"Band power needs at least 2 samples; found {samples}.")
    frequencies = fft.rfftfreq(samples, 1 / rate)
    taper = signal.get_window(window, samples)
    density = np.full(len(frequencies), 2.0)
    density[0] = 1.0
    if samples % 2 == 0:
        density[-1] = 1.0
    density /= rate * np.square(taper).sum()
    low, high = min(edges[0] for _, edges in bands), max(edges[1] for _, edges in bands)
    # a rounding error in a bin's frequency must not move it over an edge
    slack = 1e-9 * rate
    inside = [(frequencies >= a - slack) & (frequencies < b - slack) for _, (a, b) in (*bands, ("", (low, high)))]
    for (name, (a, b)), bins in zip(bands, inside, strict=False):
        if b > rate / 2 + slack:
            raise DataError(f"The band {name} ({a:g} to {b:g} Hz) reaches above half the sampling rate of {rate:g} Hz.")
        if not bins.any():
            raise DataError(
                f"The band {name} ({a:g} to {b:g} Hz) holds no bin: {samples} samples at {rate:g} Hz resolve "
                f"{rate / samples:g} Hz. Use longer windows or a wider band."
            )
    weights = np.stack(inside, axis=1) * (density * rate / samples)[:, np.newaxis]
    used = int(np.flatnonzero(inside[-1])[-1]) + 1
    return taper, weights[:used]


def _divide(power: np.ndarray, total: np.ndarray) -> np.ndarray:
    return np.divide(power, total, out=np.full_like(power, np.nan), where=total > 0)


def _log(power: np.ndarray) -> np.ndarray:
    return np.log(power, out=np.full_like(power, np.nan), where=power > 0)
