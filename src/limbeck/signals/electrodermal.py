"""Electrodermal activity: cleaning, and what a window's level and responses amount to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from limbeck.signals.arrays import above_zero, as_signal, is_whole, refuse
from limbeck.signals.decomposition import LEAST_SAMPLES, decompose, unknown_method
from limbeck.signals.filtering import lowpass
from limbeck.signals.kinds import feature, step
from limbeck.signals.resampling import resample
from limbeck.signals.rowwise import compute_rows
from limbeck.signals.scr import LEAST_RATE, SCRs, find_scrs, limit_mistakes
from limbeck.signals.spectral import unknown_kinds

__all__ = ["PAIN_EDA", "eda", "eda_clean"]

PEAK_RATE = 16.0
"""Hz to which the phasic part is resampled before responses are sought: a response rises for a second or more."""


def _check_clean(cutoff: float, order: int, **_: object) -> Iterator[str]:
    yield from above_zero("cutoff", cutoff, " Hz")
    if not (is_whole(order) and order > 0):
        yield f"order must be a whole number above 0, found {order!r}"


@step(
    "eda_clean",
    runs="recording",
    causal="causal",
    modalities=("eda",),
    check=_check_clean,
    source="neurokit2.eda_clean",
)
def eda_clean(x: np.ndarray, rate: float, cutoff: float = 3.0, *, order: int = 4, causal: bool = False) -> np.ndarray:
    """Take noise off skin conductance: a Butterworth low-pass at 3 Hz.

    Where the cut-off is not below half the rate there is nothing to filter, and the signal passes as it is: so it is
    with wristbands that sample EDA at 4 Hz.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
        Missing samples (NaN) are interpolated for the filter (held, if causal) and are NaN again in the output.
    rate : float
        Hz.
    cutoff : float
        Hz (-3 dB of one pass).
    order : int
        Order of one pass.
    causal : bool
        Forwards only: no output depends on a later sample.

    Returns
    -------
    ndarray of shape (..., n_times)
        In the floating type of `x`.

    Raises
    ------
    DataError
        Too few samples for the zero-phase filter's padding; a cut-off or an order that is not above 0.
    """
    refuse(_check_clean(cutoff, order))
    x = as_signal(x, rate)
    return x.copy() if cutoff >= rate / 2 else lowpass(x, rate, cutoff, order=order, causal=causal)


@dataclass(frozen=True)
class _Window:
    """What the statistics are taken of; float64."""

    signal: np.ndarray  # (n_rows, n_times)
    tonic: np.ndarray
    phasic: np.ndarray
    rate: float
    scrs: SCRs | None  # None where no statistic asks for them, or the rate is too low

    @property
    def responses(self) -> SCRs:
        assert self.scrs is not None  # noqa: S101 (which kinds ask for them is stated beside them)
        return self.scrs

    def value(self, kind: str) -> np.ndarray:
        if kind in _RESPONSES and self.scrs is None:
            return np.full(len(self.signal), np.nan)
        return _KINDS[kind](self)


def _sum(values: np.ndarray) -> np.ndarray:
    """Return the sum of what is there per row, added up one by one so that padding never changes a digit."""
    padded = np.pad(np.nan_to_num(values), ((0, 0), (0, 1)))
    return np.cumsum(padded, axis=-1)[:, -1]


def _mean(values: np.ndarray) -> np.ndarray:
    """Return the mean of what is there per row; NaN where nothing is."""
    count = np.isfinite(values).sum(axis=-1)
    return np.divide(_sum(values), count, out=np.full(len(values), np.nan), where=count > 0)


def _sd(values: np.ndarray) -> np.ndarray:
    return np.sqrt(_mean(np.square(values - _mean(values)[:, np.newaxis])))


def _first(values: np.ndarray) -> np.ndarray:
    there = np.isfinite(values)
    if not values.shape[-1]:
        return np.full(len(values), np.nan)
    return np.take_along_axis(values, there.argmax(axis=-1)[:, np.newaxis], axis=-1)[:, 0]


def _slope(values: np.ndarray, rate: float) -> np.ndarray:
    times = np.arange(values.shape[-1]) / rate
    times -= times.mean()
    return np.vecdot(values - values[:, :1], times) / np.square(times).sum()


def _scaled(values: np.ndarray) -> np.ndarray:
    low, span = values.min(axis=-1, keepdims=True), np.ptp(values, axis=-1, keepdims=True)
    return np.divide(values - low, span, out=np.full_like(values, np.nan), where=span > 0)


_PARTS: dict[str, Callable[[_Window], np.ndarray]] = {
    "tonic_mean": lambda window: window.tonic.mean(axis=-1),
    "tonic_sd": lambda window: (window.tonic - window.tonic[:, :1]).std(axis=-1),
    "tonic_range": lambda window: np.ptp(window.tonic, axis=-1),
    "tonic_slope": lambda window: _slope(window.tonic, window.rate),
    "phasic_mean": lambda window: window.phasic.mean(axis=-1),
    "phasic_sd": lambda window: window.phasic.std(axis=-1),
    "phasic_max": lambda window: window.phasic.max(axis=-1),
    "scaled_mean": lambda window: _scaled(window.signal).mean(axis=-1),
    "scaled_sd": lambda window: _scaled(window.signal).std(axis=-1),
    "scaled_var": lambda window: _scaled(window.signal).var(axis=-1),
}
_RESPONSES: dict[str, Callable[[_Window], np.ndarray]] = {
    "scr_count": lambda window: window.responses.count,
    "scr_rate": lambda window: window.responses.count * 60 * window.rate / window.signal.shape[-1],
    "amplitude_mean": lambda window: _mean(window.responses.amplitude),
    "amplitude_sd": lambda window: _sd(window.responses.amplitude),
    "amplitude_sum": lambda window: _sum(window.responses.amplitude),
    "amplitude_first": lambda window: _first(window.responses.amplitude),
    "rise_time_mean": lambda window: _mean(window.responses.rise_time),
    "rise_time_sd": lambda window: _sd(window.responses.rise_time),
    "half_recovery_mean": lambda window: _mean(window.responses.half_recovery_time),
    "half_recovery_sd": lambda window: _sd(window.responses.half_recovery_time),
    "recovery_mean": lambda window: _mean(window.responses.recovery_time),
    "recovery_sd": lambda window: _sd(window.responses.recovery_time),
    "onset_mean": lambda window: _mean(window.responses.onset),
    "onset_sd": lambda window: _sd(window.responses.onset),
    "offset_mean": lambda window: _mean(window.responses.offset),
    "offset_sd": lambda window: _sd(window.responses.offset),
}
_KINDS = _PARTS | _RESPONSES

_USUAL = ("tonic_mean", "tonic_sd", "tonic_slope", "phasic_sd", "phasic_max", "scr_rate", "amplitude_sum")

PAIN_EDA: tuple[str, ...] = (
    "phasic_mean",
    "phasic_sd",
    "tonic_mean",
    "tonic_sd",
    "tonic_range",
    "scr_count",
    *(
        f"{of}_{statistic}"
        for of in ("amplitude", "rise_time", "half_recovery", "recovery", "onset", "offset")
        for statistic in ("mean", "sd")
    ),
    "amplitude_sum",
    "amplitude_first",
    "phasic_max",
    "scaled_mean",
    "scaled_sd",
    "scaled_var",
)
"""The 24 kinds of :func:`eda` of hand-made features in pain recognition (Gouverneur et al., *Sensors* 23:1959, 2023),
in order."""


def _check(kinds: Sequence[str], minimum: float, relative: float, **parameters: object) -> Iterator[str]:
    yield from unknown_kinds(kinds, _KINDS)
    yield from unknown_method(**parameters)  # type: ignore[arg-type]
    yield from limit_mistakes(minimum, relative)


@feature(
    "eda",
    columns=lambda kinds, **_: tuple(kinds),
    modalities=("eda",),
    check=_check,
    unit="the signal's; per second (slope); s (times); 1/min (scr_rate); scaled_* without",
    source="neurokit2.eda_phasic and eda_peaks; Boucsein et al., Psychophysiology 49:1017, 2012",
)
def eda(
    x: np.ndarray,
    rate: float,
    kinds: Sequence[str] = _USUAL,
    *,
    method: str = "highpass",
    minimum: float = 0.01,
    relative: float = 0.1,
    decimate_to: float = 8.0,
) -> np.ndarray:
    """Level and responses of skin conductance in each window, from one decomposition.

    Without a response, counts and sums are 0 and the rest is NaN, as it is where no response has what is averaged (an
    onset or a recovery inside the window); ``amplitude_first`` is that of the first response with an onset. Responses
    are sought at 16 Hz where the rate is higher. Put `eda_clean` first where the rate allows it.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
    rate : float
        Hz; below 4, all that is said of responses is NaN, their count too: they fall between the samples.
    kinds : sequence of str
        ``tonic_mean tonic_sd tonic_range tonic_slope`` and ``phasic_mean phasic_sd phasic_max`` of the parts;
        ``scr_count``, ``scr_rate`` (per minute); ``amplitude_mean amplitude_sd amplitude_sum amplitude_first``;
        ``rise_time_mean``, ``half_recovery_mean`` (from the peak until half of the amplitude is lost),
        ``recovery_mean`` (from the peak to the offset), ``onset_mean``, ``offset_mean`` (from the window's start), in
        seconds, and the same with ``_sd``; ``scaled_mean scaled_sd scaled_var`` of the window scaled to 0 to 1. Every
        sd divides by n.
    method : {"highpass", "median", "cvxeda"}
        As of :func:`~limbeck.signals.decomposition.decompose`, `decimate_to` too.
    minimum, relative : float
        What counts as a response, as of :func:`~limbeck.signals.scr.find_scrs`: `minimum` is in the signal's unit
        (microsiemens), so set it to 0 when the signal has been standardised.
    decimate_to : float
        Hz.

    Returns
    -------
    ndarray of shape (..., n_kinds), float64
        NaN where samples are missing and for windows of fewer than 10 samples; the spread of a constant is 0, its
        scaled form NaN.

    Raises
    ------
    DataError
        An unknown kind or method, or limits out of their ranges; a rate of 0.1 Hz or less.
    """
    x = as_signal(x, rate)
    refuse(_check(kinds, minimum, relative, method=method, decimate_to=decimate_to))
    if x.shape[-1] < LEAST_SAMPLES:
        return np.full((*x.shape[:-1], len(kinds)), np.nan)

    def compute(rows: np.ndarray, flat: np.ndarray) -> np.ndarray:
        rows = np.where(flat[:, np.newaxis], rows[:, :1], rows)  # rounding noise is no signal
        tonic, phasic = decompose(rows, rate, method, decimate_to=decimate_to)
        wanted = rate >= LEAST_RATE and not set(kinds).isdisjoint(_RESPONSES)
        window = _Window(rows, tonic, phasic, rate, _find(phasic, rate, minimum, relative) if wanted else None)
        return np.stack([window.value(kind) for kind in kinds], axis=-1)

    return compute_rows(x, len(kinds), compute)


def _find(phasic: np.ndarray, rate: float, minimum: float, relative: float) -> SCRs:
    if rate > PEAK_RATE:
        phasic, rate = resample(phasic, rate, PEAK_RATE), PEAK_RATE
    return find_scrs(phasic, rate, minimum=minimum, relative=relative)
