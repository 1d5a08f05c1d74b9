"""Differential entropy of band-limited signals, from one Fourier transform or from one filter per band."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from limbeck.errors import DataError, did_you_mean
from limbeck.signals.arrays import as_signal, is_flat, is_whole, refuse
from limbeck.signals.filtering import HIGHEST_ORDER
from limbeck.signals.kinds import feature
from limbeck.signals.spectral import (
    Bands,
    band_mistakes,
    estimator_of,
    in_blocks,
    powers_of_rows,
    resolve_bands,
    safe_log,
)

__all__ = ["differential_entropy"]

_FORMS = ("parseval", "variance")

_UNITS = {"nats": 1.0, "bits": 1 / np.log(2)}
"""Unit of entropy to what one nat is in it."""


def _check(bands: Any, form: str, order: int, causal: bool, unit: str) -> Iterator[str]:
    yield from band_mistakes(bands)
    if not (is_whole(order) and 1 <= order <= HIGHEST_ORDER):
        yield f"order must be a whole number from 1 to {HIGHEST_ORDER}, found {order!r}"
    for what, name, allowed in (("form", form, _FORMS), ("unit", unit, tuple(_UNITS))):
        if name not in allowed:
            yield f"there is no {what} '{name}', only {', '.join(allowed)}.{did_you_mean(str(name), allowed)}"


@feature(
    "de",
    columns=lambda bands, **_: tuple(resolve_bands(bands)),
    check=_check,
    unit="nats or bits, of samples in the signal's unit",
    source="Shi et al. 2013; Zheng & Lu 2015; variance form: scipy.signal.butter as TorchEEG's BandDifferentialEntropy",
)
def differential_entropy(
    x: np.ndarray,
    rate: float,
    bands: Bands = "standard",
    *,
    form: str = "parseval",
    order: int = 5,
    causal: bool = True,
    unit: str = "nats",
) -> np.ndarray:
    """Differential entropy per band: half the logarithm of 2 pi e times the band's variance, as of a Gaussian signal.

    A column per band, named like it.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
    rate : float
        Hz.
    bands : str, mapping or sequence
        ``standard``, ``fear``, ``zhang2022``, ``zhang2022_code``; or name to [low, high] in Hz; or such pairs.
    form : {"parseval", "variance"}
        ``parseval``: the variance is the sum over the band's bins of one periodogram without taper (Parseval's
        theorem); bands that adjoin share nothing. ``variance``: that of the signal behind a Butterworth band-pass: ten
        times slower, the bands' skirts overlap.
    order : int
        Of the Butterworth low-pass that the band-pass is made of, for one pass; ``variance`` only.
    causal : bool
        ``variance`` only. Forwards from the state 0, as TorchEEG does, so that a level in the window shows as a step at
        its beginning: take it off first (``demean``, ``bandpass``). Otherwise forwards and backwards, without shift.
    unit : {"nats", "bits"}
        Natural or binary logarithm; TorchEEG's has bits.

    Returns
    -------
    ndarray of shape (..., n_bands)
        In the floating type of `x`, computed in double precision. NaN where samples are missing and for constant
        signals.

    Raises
    ------
    DataError
        A band reaches above half the rate or, for the variance form, up to it or down to 0; no bin in a band; fewer
        samples than the zero-phase filter pads with.

    Notes
    -----
    The variance form with its defaults and ``unit="bits"`` is TorchEEG 1.1.3's ``BandDifferentialEntropy`` in
    second-order sections, which are right to 12 digits. TorchEEG's transfer function of order ten is right to 7 digits
    for 4 to 8 Hz at 128 Hz, to 4 for 1 to 4 Hz, and to none for 1 to 4 Hz at 500 Hz. Constant signals are NaN here.
    """
    x = as_signal(x, rate, least=2)
    refuse(_check(bands, form, order, causal, unit))
    resolved = resolve_bands(bands)
    if form == "parseval":
        variances = _bin_variances(x, float(rate), resolved)
    else:
        variances = _filtered_variances(x, float(rate), resolved, order, causal)

    def entropies(rows: np.ndarray) -> np.ndarray:
        return 0.5 * safe_log(2 * np.pi * np.e * variances(rows)) * _UNITS[unit]

    return in_blocks(x, len(resolved), entropies, dtype=x.dtype)


def _bin_variances(
    x: np.ndarray, rate: float, bands: Mapping[str, tuple[float, float]]
) -> Callable[[np.ndarray], np.ndarray]:
    """Return what turns rows into the variance in each band's bins, (n_rows, n_bands); 0 for constant rows."""
    powers_of = powers_of_rows(estimator_of(x.shape[-1], rate, taper="boxcar"), rate, bands)
    return lambda rows: powers_of(rows)[:, :-1]


def _filtered_variances(
    x: np.ndarray, rate: float, bands: Mapping[str, tuple[float, float]], order: int, causal: bool
) -> Callable[[np.ndarray], np.ndarray]:
    """Return what turns rows into the variance behind each band's filter, (n_rows, n_bands); 0 for constant rows."""
    from scipy import signal

    filters = [_band_filter(name, low, high, rate, order) for name, (low, high) in bands.items()]
    padding = 3 * (2 * order + 1)
    if not causal and x.shape[-1] <= padding:
        raise DataError(
            f"The zero-phase filter needs at least {padding + 1} samples; found {x.shape[-1]}. "
            "Use longer windows, a lower order or causal: true."
        )

    def variances(rows: np.ndarray) -> np.ndarray:
        rows64 = rows.astype(np.float64, copy=False)
        out = np.empty((len(rows), len(filters)))
        for column, sections in enumerate(filters):
            if causal:
                filtered = signal.sosfilt(sections, rows64, axis=-1)
            else:
                filtered = signal.sosfiltfilt(sections, rows64, axis=-1, padlen=padding)
            filtered -= filtered.mean(axis=-1, keepdims=True)
            out[:, column] = np.einsum("ij,ij->i", filtered, filtered) / rows.shape[-1]
        out[is_flat(rows)] = 0.0
        return out

    return variances


@lru_cache(maxsize=64)
def _band_filter(name: str, low: float, high: float, rate: float, order: int) -> np.ndarray:
    from scipy import signal

    if not 0 < low < high < rate / 2:
        raise DataError(
            f"The band {name} ({low:g} to {high:g} Hz) cannot be filtered out of a signal sampled at {rate:g} Hz: it "
            f"must lie between 0 and {rate / 2:g} Hz, without these. Use other edges or the form parseval."
        )
    return signal.butter(order, (low, high), btype="bandpass", fs=rate, output="sos")
