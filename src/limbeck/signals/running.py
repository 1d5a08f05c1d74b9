"""Running band power: a slow signal per channel and band, from overlapping windows over a whole recording."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from limbeck.errors import DataError
from limbeck.signals.arrays import above_zero, as_signal, refuse
from limbeck.signals.kinds import step
from limbeck.signals.spectral import (
    Bands,
    estimator_of,
    in_blocks,
    power_mistakes,
    powers_of_rows,
    presented,
    resolve_bands,
)

__all__ = ["running_bandpower"]


def _check(window: float, hop: float, **power: Any) -> Iterator[str]:
    yield from above_zero("window", window, " s")
    yield from above_zero("hop", hop, " s")
    yield from power_mistakes(**power)


def _channels(channels: tuple[str, ...], *, bands: Any, **_: Any) -> tuple[str, ...]:
    return tuple(f"{channel}.{band}" for band in resolve_bands(bands) for channel in channels)


def _unit(unit: str, *, log: bool, relative: bool, **_: Any) -> str:
    power = "share" if relative else f"{unit}²"
    return f"ln {power}" if log else power


def _start(start: float, rate: float, *, window: float, causal: bool, **_: Any) -> float:
    return start + (window if causal else window / 2)


@step(
    "running_bandpower",
    runs="recording",
    causal="causal",
    check=_check,
    new_rate=lambda rate, hop, **_: 1 / hop,
    new_channels=_channels,
    new_unit=_unit,
    new_start=_start,
    modalities=("eeg",),
    source="Zhang et al. 2022; scipy.signal.periodogram, scipy.signal.welch",
)
def running_bandpower(
    x: np.ndarray,
    rate: float,
    bands: Bands = "standard",
    *,
    window: float = 2.0,
    hop: float = 0.25,
    log: bool = True,
    relative: bool = False,
    taper: str = "hann",
    method: str = "periodogram",
    segment: float = 1.0,
    overlap: float = 0.5,
    integral: str = "sum",
    total: str = "bands",
    causal: bool = True,
) -> np.ndarray:
    """Band power in a window that runs over the recording, as a signal of its own at a rate of ``1 / hop``.

    The channels become ``Fp1.delta``, ``Fp2.delta``, ..., ``Fp1.theta``, ...: all electrodes of the first band, then
    all of the next. Each value is :func:`band_power` of its window.

    Parameters
    ----------
    x : ndarray of shape (..., n_channels, n_times), float
        Or one channel, (n_times,).
    rate : float
        Hz.
    bands : str, mapping or sequence
        ``standard``, ``fear``, ``zhang2022``, ``zhang2022_code``; or name to [low, high] in Hz; or such pairs.
    window, hop : float
        Seconds: of a window, and from one to the next. A window begins at the sample at or just before its time.
    log, relative, taper, method, segment, overlap, integral, total
        As of :func:`band_power`.
    causal : bool
        A value has the time of its window's end, so that it never knows what comes later. Otherwise that of its
        window's centre, which aligns best with what happened, half a window ahead of what can be known.

    Returns
    -------
    ndarray of shape (..., n_bands * n_channels, n_windows)
        In the floating type of `x`. NaN where the window has missing samples.

    Raises
    ------
    DataError
        The recording is shorter than a window; what :func:`band_power` refuses.
    """
    x = as_signal(x, rate)
    refuse([*above_zero("window", window, " s"), *above_zero("hop", hop, " s")])
    length, samples = round(window * rate), x.shape[-1]
    if not 1 <= length <= samples:
        raise DataError(
            f"A window of {window:g} s has {length} samples at {rate:g} Hz and the recording {samples} "
            f"({samples / rate:g} s): there is no whole window. Use a shorter window."
        )
    # the slack keeps a start that rounding put just below a sample from falling back to the one before
    starts = np.floor(np.arange(int((samples - length) / (hop * rate) + 1e-9) + 1) * hop * rate + 1e-9).astype(np.int64)
    names = resolve_bands(bands)
    rows = x.reshape(-1, samples)
    within = estimator_of(length, float(rate), method, taper, segment, overlap)
    offsets = np.arange(0, length - within.length + 1, within.step)
    # windows share segments; each of these is transformed once
    places, used = np.unique(starts[:, np.newaxis] + offsets, return_inverse=True)
    segments = np.lib.stride_tricks.sliding_window_view(rows, within.length, axis=-1)
    alone = estimator_of(within.length, float(rate), "periodogram", taper)
    compute = powers_of_rows(alone, rate, names, integral, total)

    def powers(which: np.ndarray) -> np.ndarray:
        row, number = np.divmod(which[:, 0], len(places))
        return compute(segments[row, places[number]])

    every = np.arange(len(rows) * len(places))[:, np.newaxis]
    power = in_blocks(every, len(names) + 1, powers, expansion=within.length)
    power = power.reshape(len(rows), len(places), len(names) + 1)
    mean = np.zeros((len(rows), len(starts), len(names) + 1))
    for nth in used.reshape(len(starts), len(offsets)).T:
        mean += power[:, nth]
    mean /= len(offsets)
    covered = int(offsets[-1]) + within.length
    if covered < length:  # a window's last samples are in none of its segments
        mean[_have_gaps(rows, starts + covered, length - covered)] = np.nan
    shown = presented(mean, log, relative).astype(x.dtype, copy=False)
    channels = x.shape[-2] if x.ndim > 1 else 1
    shown = shown.reshape(*x.shape[:-2], channels, len(starts), len(names))
    by_band = np.moveaxis(shown, -1, -3)
    return by_band.reshape(*x.shape[:-2], len(names) * channels, len(starts))


def _have_gaps(rows: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """Return which stretches of rows (n_rows, n_times) have missing samples, (n_rows, n_starts), bool."""
    before = np.zeros((len(rows), rows.shape[-1] + 1), dtype=np.int32)
    np.cumsum(np.isnan(rows), axis=-1, out=before[:, 1:])
    return before[:, starts + length] > before[:, starts]
