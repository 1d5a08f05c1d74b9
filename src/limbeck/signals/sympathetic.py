"""Sympathetic arousal by the frequencies of skin conductance: TVSymp, its modified form, EDASymp and dPhEDA."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from limbeck.signals.arrays import as_signal, refuse
from limbeck.signals.decomposition import LEAST_SAMPLES, decompose, unknown_method
from limbeck.signals.kinds import feature
from limbeck.signals.resampling import resample
from limbeck.signals.rowwise import compute_rows
from limbeck.signals.spectral import unknown_kinds

__all__ = ["sympathetic_amplitude", "tvsymp"]

LOW, HIGH = 0.08, 0.24
"""Hz, both included: the band of TVSymp."""

EDASYMP_BAND = (0.045, 0.25)
"""Hz, both included: the band of EDASymp."""

AMPLITUDE_RATE = 4.0
"""Hz at which the amplitude of the band is given, whatever the signal's rate: it changes within seconds."""

PRECEDING = 5.0
"""Seconds before a sample over whose mean amplitude the modified TVSymp must rise."""

SEGMENT = 64.0
"""Seconds of a segment of the spectrum."""

_DERIVATIVE_RATE = 8.0
"""Hz at which the phasic part is differentiated where the signal's rate is higher: noise would swamp it."""


def sympathetic_amplitude(x: np.ndarray, rate: float, *, normalise: bool = True) -> np.ndarray:
    """Instantaneous amplitude of skin conductance between 0.08 and 0.24 Hz: the series TVSymp.

    The least-squares line is taken off each row, the row is mirrored at its end, so that slow drift leaves no jump that
    would leak into the band, and what its Fourier transform holds in the band becomes an analytic signal, whose modulus
    is the amplitude. How much of a sine's amplitude the mean over a window keeps depends on its phase and on how near
    it is to an edge, where the band is cut off sharply and the window smears it over both sides: over 60 s, 0.89 to 1
    from 0.09 to 0.23 Hz, but 0.75 to 0.99 at 0.085 Hz, 0.37 to 0.92 at 0.08 Hz and 0.14 to 0.79 at 0.24 Hz; over 20 s,
    0.8 to 1 from 0.11 to 0.22 Hz, but 0.13 to 0.68 at 0.08 Hz and 0.28 to 0.9 at 0.24 Hz. Single samples can be a
    quarter off, and more within 5 s of the ends. The original finds the band by variable frequency complex
    demodulation, which follows a frequency more sharply in time.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
    rate : float
        Hz; above 0.48.
    normalise : bool
        Divide by the standard deviation of the band-limited signal over the row, as the original does over a whole
        recording; else the amplitude is in the signal's unit.

    Returns
    -------
    ndarray of shape (..., ceil(n_times * 4 / rate)), float64
        At 4 Hz from the first sample on. NaN for rows with missing samples, for rows shorter than a cycle of 0.08 Hz
        (12.5 s), at rates that hold no such band and, if normalised, for rows without any power in the band.

    References
    ----------
    Posada-Quintero et al., *Am. J. Physiol. Regul. Integr. Comp. Physiol.* 311:R582-R591, 2016.
    """
    x = as_signal(x, rate)
    samples = int(np.ceil(x.shape[-1] * AMPLITUDE_RATE / rate - 1e-9))
    if x.shape[-1] / rate < 1 / LOW - 1e-9 or rate <= 2 * HIGH:
        return np.full((*x.shape[:-1], samples), np.nan)
    return compute_rows(x, samples, lambda rows, flat: _band_amplitude(_levelled(rows, flat), rate, samples, normalise))


def _levelled(rows: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """Return rows in which what is constant up to rounding is constant."""
    return np.where(flat[:, np.newaxis], rows[:, :1], rows)


def _band_amplitude(rows: np.ndarray, rate: float, samples: int, normalise: bool) -> np.ndarray:
    from scipy import fft

    level = _without_line(rows)
    count = 2 * rows.shape[-1]
    frequencies = fft.rfftfreq(count, 1 / rate)
    slack = 1e-9 * rate  # a rounding error in a bin's frequency must not move it over an edge
    inside = np.flatnonzero((frequencies >= LOW - slack) & (frequencies <= HIGH + slack))
    spectrum = fft.rfft(np.concatenate([level, level[:, ::-1]], axis=-1), axis=-1)[:, inside]
    times = np.arange(samples) / AMPLITUDE_RATE
    analytic = spectrum @ np.exp(2j * np.pi * frequencies[inside, np.newaxis] * times) * (2 / count)
    amplitude = np.abs(analytic)
    if normalise:
        # by Parseval: a bin of modulus m is a sine of variance 2 (m / count) ** 2
        sd = np.sqrt(2 * np.square(np.abs(spectrum)).sum(axis=-1, keepdims=True)) / count
        amplitude = np.divide(amplitude, sd, out=np.full_like(amplitude, np.nan), where=sd > 0)
    return amplitude


def _without_line(rows: np.ndarray) -> np.ndarray:
    # from the first sample on, so that a constant leaves no rounding noise
    centred = rows - rows[:, :1]
    centred -= centred.mean(axis=-1, keepdims=True)
    times = np.arange(rows.shape[-1]) - (rows.shape[-1] - 1) / 2
    slope = np.vecdot(centred, times) / np.square(times).sum()
    return centred - slope[:, np.newaxis] * times


@dataclass(frozen=True)
class _Window:
    """Rows whose parts are computed once, when a kind asks for them."""

    rows: np.ndarray  # (n_rows, n_times), float64
    rate: float
    normalise: bool
    method: str
    decimate_to: float

    @cached_property
    def amplitude(self) -> np.ndarray:
        return sympathetic_amplitude(self.rows, self.rate, normalise=self.normalise)

    @cached_property
    def modified(self) -> np.ndarray:
        return _above_preceding(self.amplitude, round(PRECEDING * AMPLITUDE_RATE))

    @cached_property
    def derivative(self) -> np.ndarray:
        if self.rows.shape[-1] < LEAST_SAMPLES:
            return np.full((len(self.rows), 1), np.nan)
        phasic, rate = decompose(self.rows, self.rate, self.method, decimate_to=self.decimate_to)[1], self.rate
        if rate > _DERIVATIVE_RATE:
            phasic, rate = resample(phasic, rate, _DERIVATIVE_RATE), _DERIVATIVE_RATE
        return _five_point_derivative(phasic, rate)

    @cached_property
    def powers(self) -> tuple[np.ndarray, np.ndarray]:
        return _edasymp(self.rows, self.rate)


def _above_preceding(amplitude: np.ndarray, length: int) -> np.ndarray:
    """Return by how much samples, from the `length`-th on, exceed the mean of the `length` before; 0 where not."""
    if amplitude.shape[-1] <= length:
        return np.full((len(amplitude), 1), np.nan)
    sums = np.cumsum(np.pad(amplitude, ((0, 0), (1, 0))), axis=-1)
    preceding = (sums[:, length:-1] - sums[:, : -length - 1]) / length
    return np.maximum(amplitude[:, length:] - preceding, 0.0)


def _five_point_derivative(x: np.ndarray, rate: float) -> np.ndarray:
    if x.shape[-1] < 5:
        return np.full((len(x), 1), np.nan)
    return (x[:, :-4] - 8 * x[:, 1:-3] + 8 * x[:, 3:-1] - x[:, 4:]) * (rate / 12)


def _edasymp(rows: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the power in the band and its share of that up to 1 Hz, (n_rows,) each."""
    from scipy import signal

    samples = rows.shape[-1]
    if samples / rate < 1 / EDASYMP_BAND[0] or rate <= 2 * EDASYMP_BAND[1]:
        return np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    frequencies, density = signal.welch(
        _without_line(rows),
        rate,
        window="blackman",
        nperseg=min(samples, round(SEGMENT * rate)),
        axis=-1,
    )
    inside = (frequencies >= EDASYMP_BAND[0]) & (frequencies <= EDASYMP_BAND[1])
    width = frequencies[1]
    power = density[:, inside].sum(axis=-1) * width
    total = density[:, (frequencies > 0) & (frequencies <= 1.0)].sum(axis=-1) * width
    return power, np.divide(power, total, out=np.full_like(power, np.nan), where=total > 0)


_KINDS: dict[str, Callable[[_Window], np.ndarray]] = {
    "tvsymp_mean": lambda window: window.amplitude.mean(axis=-1),
    "tvsymp_sd": lambda window: window.amplitude.std(axis=-1),
    "tvsymp_max": lambda window: window.amplitude.max(axis=-1),
    "mtvsymp_mean": lambda window: window.modified.mean(axis=-1),
    "mtvsymp_sd": lambda window: window.modified.std(axis=-1),
    "mtvsymp_max": lambda window: window.modified.max(axis=-1),
    "dpheda_mean": lambda window: window.derivative.mean(axis=-1),
    "dpheda_sd": lambda window: window.derivative.std(axis=-1),
    "dpheda_max": lambda window: window.derivative.max(axis=-1),
    "edasymp": lambda window: window.powers[0],
    "edasymp_share": lambda window: window.powers[1],
}

_USUAL = ("tvsymp_mean", "tvsymp_max", "mtvsymp_mean", "dpheda_sd", "dpheda_max")


def _check(kinds: Sequence[str], normalise: bool, **parameters: object) -> Iterator[str]:
    yield from unknown_kinds(kinds, _KINDS)
    yield from unknown_method(**parameters)  # type: ignore[arg-type]


@feature(
    "tvsymp",
    columns=lambda kinds, **_: tuple(kinds),
    modalities=("eda",),
    check=_check,
    unit="tvsymp, mtvsymp the signal's (none if normalised); dpheda per second; edasymp squared; edasymp_share a share",
    source="Posada-Quintero et al., Am. J. Physiol. 311:R582, 2016; Kong et al., IEEE TBME 68:3122, 2021",
)
def tvsymp(
    x: np.ndarray,
    rate: float,
    kinds: Sequence[str] = _USUAL,
    *,
    normalise: bool = False,
    method: str = "highpass",
    decimate_to: float = 8.0,
) -> np.ndarray:
    """Sympathetic arousal by the frequencies of skin conductance, per window.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
    rate : float
        Hz.
    kinds : sequence of str
        ``tvsymp_*``: amplitude between 0.08 and 0.24 Hz (:func:`sympathetic_amplitude`), from 12.5 s on.
        ``mtvsymp_*``: by how much that exceeds its mean over the 5 s before, 0 where it does not, from the sixth second
        on. ``dpheda_*``: derivative of the phasic part by the five-point stencil, at 8 Hz or the signal's lower rate.
        Each as ``mean sd max``. ``edasymp``: power between 0.045 and 0.25 Hz by Welch's method (Blackman segments of
        64 s, or of the window, half overlapping), from 22.2 s on; ``edasymp_share``: its share of the power up to 1 Hz.
    normalise : bool
        Divide tvsymp and mtvsymp by the standard deviation of the band over the window. In the original a whole
        recording has unit variance; within one window this takes away how strong the window's arousal is and leaves
        only its shape.
    method, decimate_to : str, float
        Of the decomposition for ``dpheda_*``, as of :func:`~limbeck.signals.decomposition.decompose`.

    Returns
    -------
    ndarray of shape (..., n_kinds), float64
        NaN where samples are missing or the window is too short for the kind (``dpheda_*``: 10 samples).

    References
    ----------
    Posada-Quintero et al., *Am. J. Physiol. Regul. Integr. Comp. Physiol.* 311:R582-R591, 2016 (TVSymp) and *Ann.
    Biomed. Eng.* 44:3124-3135, 2016 (EDASymp); Kong et al., *IEEE Trans. Biomed. Eng.* 68:3122-3130, 2021 (MTVSymp,
    dPhEDA).
    """
    x = as_signal(x, rate)
    refuse(_check(kinds, normalise, method=method, decimate_to=decimate_to))

    def compute(rows: np.ndarray, flat: np.ndarray) -> np.ndarray:
        window = _Window(_levelled(rows, flat), rate, normalise, method, decimate_to)
        return np.stack([_KINDS[kind](window) for kind in kinds], axis=-1)

    return compute_rows(x, len(kinds), compute)
