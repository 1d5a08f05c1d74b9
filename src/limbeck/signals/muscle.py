"""Muscle activity: the envelope of an EMG, and what a window of it says in time and frequency."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import numpy as np

from limbeck.errors import DataError, did_you_mean
from limbeck.signals.arrays import above_zero, as_signal, refuse
from limbeck.signals.gaps import missing
from limbeck.signals.kinds import feature, step
from limbeck.signals.rowwise import compute_rows
from limbeck.signals.spectral import in_blocks, power_spectrum, unknown_kinds

__all__ = ["PAIN_EMG", "emg", "envelope"]

RISE = 3.0
"""A burst of activity is where the envelope is above this multiple of the window's resting level."""

REST = 0.1
"""Quantile of a window's envelope that is taken as its resting level."""

SHORTEST_BURST = 0.05
"""Seconds that a burst lasts at least, as in neurokit2.emg_activation."""

METHODS = ("rms", "mean_abs")
"""Forms of the envelope: root mean square, or rectified and averaged."""


def _check_envelope(window: float, method: str, causal: bool) -> Iterator[str]:
    yield from above_zero("window", window, " s")
    if method not in METHODS:
        yield f"there is no method '{method}'.{did_you_mean(str(method), METHODS)}"


@step(
    "envelope",
    runs="recording",
    causal="causal",
    check=_check_envelope,
    modalities=("emg",),
    source="De Luca, Journal of Applied Biomechanics 13:135, 1997: root mean square and average rectified value",
)
def envelope(
    x: np.ndarray, rate: float, window: float = 0.1, *, method: str = "rms", causal: bool = False
) -> np.ndarray:
    """Follow how strongly a muscle is active: the moving root mean square, or moving mean of the rectified signal.

    Take offset and drift off first (``{highpass: 20}``), since they count as activity.

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
        Missing samples do not count in the windows around them and are NaN in the output.
    rate : float
        Hz.
    window : float
        Seconds that are averaged over.
    method : {"rms", "mean_abs"}
    causal : bool
        Average over the window that ends with each sample, instead of the one around it.

    Returns
    -------
    ndarray of shape (..., n_times)
        In the unit and floating type of `x`; at the ends, over the part of the window that there is.

    Raises
    ------
    DataError
        A window of fewer than 2 samples, or longer than the signal.
    """
    refuse(_check_envelope(window, method, causal))
    x = as_signal(x, rate)
    width = _envelope_width(rate, window, x.shape[-1])
    ahead = 0 if causal else (width - 1) // 2

    def average(rows: np.ndarray) -> np.ndarray:
        gaps = missing(rows)
        present = np.where(gaps, 0.0, rows.astype(np.float64, copy=False))
        total = _moving_sum(np.square(present) if method == "rms" else np.abs(present), width, ahead)
        count = _moving_sum((~gaps).astype(np.float64), width, ahead)
        mean = np.divide(total, count, out=np.full_like(total, np.nan), where=~gaps)
        return np.sqrt(mean) if method == "rms" else mean

    return in_blocks(x, x.shape[-1], average, expansion=4, dtype=x.dtype)


def _envelope_width(rate: float, window: float, samples: int) -> int:
    width = round(min(window * rate, samples + 1))
    if width > samples:
        raise DataError(f"The envelope's window of {window:g} s is longer than the signal of {samples / rate:g} s.")
    if width < 2:
        raise DataError(
            f"The envelope needs at least 2 samples in its window; found {window:g} s at {rate:g} Hz. "
            f"Use a window of {2 / rate:g} s or more."
        )
    return width


def _moving_sum(x: np.ndarray, width: int, ahead: int) -> np.ndarray:
    """Return the sums over `width` samples, the last `ahead` of them behind the sample that a sum is for.

    Each is the end of one block and the beginning of the next, summed from within the blocks, so that no large sample
    outside a window leaves its rounding error in it, as a running sum would.
    """
    samples = x.shape[-1]
    blocks = -(-(samples + ahead) // width) + 1
    padded = np.zeros((len(x), blocks * width))
    padded[:, width : width + samples] = x
    padded = padded.reshape(len(x), blocks, width)
    begun = np.cumsum(padded, axis=-1).reshape(len(x), -1)
    ended = np.cumsum(padded[..., ::-1], axis=-1)[..., ::-1].reshape(len(x), -1)
    last = np.arange(width + ahead, width + ahead + samples)
    first = last - (width - 1)
    # a window that is exactly one block has its sum in either
    return begun[:, last] + np.where(first % width == 0, 0.0, ended[:, first])


class _Muscle:
    """One block of rows about their means, and what several kinds share."""

    def __init__(self, rows: np.ndarray, flat: np.ndarray, rate: float, window: float) -> None:
        # a constant must not be left with rounding noise, which crosses zero
        self.x = np.where(flat[:, np.newaxis], 0.0, rows - rows.mean(axis=-1, keepdims=True))
        self.rate, self.window = rate, window

    @cached_property
    def spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """Frequencies (n_bins,) and the one-sided periodogram (n_rows, n_bins), unit squared per Hz."""
        return power_spectrum(self.x, self.rate, taper="boxcar")

    @cached_property
    def moments(self) -> tuple[np.ndarray, ...]:
        """Spectral moments of order 0 to 3, (n_rows,) each: the sums of power times frequency to the order."""
        frequencies, density = self.spectrum
        width = self.rate / self.x.shape[-1]
        return tuple((density * frequencies**order).sum(axis=-1) * width for order in range(4))

    @cached_property
    def mean_frequency(self) -> np.ndarray:
        return _divide(self.moments[1], self.moments[0])

    @cached_property
    def envelope(self) -> np.ndarray:
        """The moving RMS (n_rows, n_times - width + 1) over windows that lie wholly in the row."""
        width = _envelope_width(self.rate, self.window, self.x.shape[-1])
        return np.sqrt(_moving_sum(np.square(self.x), width, 0)[:, width - 1 :] / width)

    @cached_property
    def active(self) -> tuple[np.ndarray, np.ndarray]:
        """The number of bursts, and the share of the envelope within them; (n_rows,) each."""
        above = self.envelope > RISE * np.quantile(self.envelope, REST, axis=-1, keepdims=True)
        edges = np.diff(above.astype(np.int8), axis=-1, prepend=0, append=0)
        # runs begin and end in turn, so that row by row the n-th beginning belongs to the n-th end
        row, begin = np.nonzero(edges == 1)
        length = np.nonzero(edges == -1)[1] - begin
        long = length >= SHORTEST_BURST * self.rate
        count = np.bincount(row[long], minlength=len(above))
        inside = np.bincount(row[long], weights=length[long], minlength=len(above))
        return count.astype(np.float64), inside / above.shape[-1]


def _divide(value: np.ndarray, by: np.ndarray) -> np.ndarray:
    return np.divide(value, by, out=np.full_like(value, np.nan), where=by > 0)


def _crossings(muscle: _Muscle) -> np.ndarray:
    negative = muscle.x < 0
    return (negative[:, 1:] != negative[:, :-1]).sum(axis=-1).astype(np.float64)


def _slope_sign_changes(muscle: _Muscle) -> np.ndarray:
    slopes = np.diff(muscle.x, axis=-1)
    return ((slopes[:, 1:] * slopes[:, :-1]) < 0).sum(axis=-1).astype(np.float64)


def _median_frequency(muscle: _Muscle) -> np.ndarray:
    frequencies, density = muscle.spectrum
    below = np.cumsum(density, axis=-1)
    middle = (below < below[:, -1:] / 2).sum(axis=-1)
    return np.where(below[:, -1] > 0, frequencies[np.minimum(middle, len(frequencies) - 1)], np.nan)


def _peak_frequency(muscle: _Muscle) -> np.ndarray:
    frequencies, density = muscle.spectrum
    return np.where(muscle.moments[0] > 0, frequencies[density.argmax(axis=-1)], np.nan)


def _frequency_ratio(muscle: _Muscle) -> np.ndarray:
    frequencies, density = muscle.spectrum
    low = frequencies < muscle.mean_frequency[:, np.newaxis]  # nowhere, where there is no mean frequency
    return _divide((density * low).sum(axis=-1), (density * ~low).sum(axis=-1))


def _variance_of_frequency(muscle: _Muscle) -> np.ndarray:
    variance = _divide(muscle.moments[2], muscle.moments[0]) - np.square(muscle.mean_frequency)
    return np.maximum(variance, 0.0)  # a pure tone's may come out below by rounding


_KINDS: dict[str, Callable[[_Muscle], np.ndarray]] = {
    "rms": lambda muscle: np.sqrt(np.square(muscle.x).mean(axis=-1)),
    "mean_abs": lambda muscle: np.abs(muscle.x).mean(axis=-1),
    "integrated": lambda muscle: np.abs(muscle.x).sum(axis=-1) / muscle.rate,
    "waveform_length": lambda muscle: np.abs(np.diff(muscle.x, axis=-1)).sum(axis=-1),
    "zero_crossings": _crossings,
    "zero_crossing_rate": lambda muscle: _crossings(muscle) * muscle.rate / (muscle.x.shape[-1] - 1),
    "slope_sign_changes": _slope_sign_changes,
    "mean_frequency": lambda muscle: muscle.mean_frequency,
    "median_frequency": _median_frequency,
    "peak_frequency": _peak_frequency,
    "total_power": lambda muscle: muscle.moments[0],
    "mean_power": lambda muscle: muscle.spectrum[1].mean(axis=-1),
    "moment_1": lambda muscle: muscle.moments[1],
    "moment_2": lambda muscle: muscle.moments[2],
    "moment_3": lambda muscle: muscle.moments[3],
    "frequency_ratio": _frequency_ratio,
    "frequency_variance": _variance_of_frequency,
    "envelope_mean": lambda muscle: muscle.envelope.mean(axis=-1),
    "envelope_max": lambda muscle: muscle.envelope.max(axis=-1),
    "envelope_sd": lambda muscle: muscle.envelope.std(axis=-1),
    "bursts": lambda muscle: muscle.active[0],
    "active_share": lambda muscle: muscle.active[1],
}

PAIN_EMG = (
    "zero_crossings",
    "mean_frequency",
    "median_frequency",
    "peak_frequency",
    "total_power",
    "mean_power",
    "moment_1",
    "moment_2",
    "moment_3",
    "frequency_ratio",
    "frequency_variance",
    "envelope_mean",
    "envelope_max",
    "envelope_sd",
)
"""What Gouverneur et al., *Sensors* 23:1959, 2023, compute for pain, beside statistics of the samples."""

_USUAL = ("rms", "zero_crossing_rate", "mean_frequency", "median_frequency", "envelope_sd")


def _check_emg(kinds: Sequence[str], window: float) -> Iterator[str]:
    yield from unknown_kinds(kinds, _KINDS)
    yield from above_zero("window", window, " s")


@feature(
    "emg",
    columns=lambda kinds, window: tuple(kinds),
    modalities=("emg",),
    check=_check_emg,
    unit="the signal's u for amplitudes, u·s if integrated; Hz, and Hz² for their variance; u² and u²/Hz for power; "
    "u²·Hz^k for moments; counts and shares",
    source="Phinyomark, Phukpattaranont and Limsakul, Expert Systems with Applications 39:7420, 2012",
)
def emg(x: np.ndarray, rate: float, kinds: Sequence[str] = _USUAL, *, window: float = 0.1) -> np.ndarray:
    """Strength, frequency content and bursts of muscle activity in each window.

    Everything is computed about the window's mean; drift counts as activity, so take it off first (``{highpass: 20}``).
    All spectral kinds come from one periodogram (``scipy.signal.periodogram(x, rate)``).

    Parameters
    ----------
    x : ndarray of shape (..., n_times), float
    rate : float
        Hz.
    kinds : sequence of str
        Strength: ``rms``, ``mean_abs``, ``integrated`` (of the rectified signal over time), ``waveform_length`` (sum of
        the steps from sample to sample).
        Counts: ``zero_crossings``, ``zero_crossing_rate`` (per second), ``slope_sign_changes``.
        Spectrum: ``mean_frequency``, ``median_frequency`` (where the power up to it reaches half), ``peak_frequency``,
        ``total_power``, ``mean_power`` (of the density, over its bins), ``moment_1`` to ``moment_3`` (sums of power
        times frequency to the order), ``frequency_ratio`` (power below the mean frequency over the rest),
        ``frequency_variance`` (of the central frequency: of frequency, weighted by power).
        Envelope (moving RMS, windows wholly inside): ``envelope_mean``, ``envelope_max``, ``envelope_sd``, ``bursts``
        (how often it rises, for 50 ms or more, above three times its 10 % quantile) and ``active_share`` (of the time
        in bursts). The last two need a window that holds rest.
    window : float
        Seconds over which the envelope is averaged.

    Returns
    -------
    ndarray of shape (..., n_kinds), float64
        NaN where samples are missing. For a constant signal, frequencies, their ratio and variance are NaN, the rest 0.

    Raises
    ------
    DataError
        Fewer than 3 samples; for kinds of the envelope, fewer than 2 samples in `window`, or fewer in all than that.

    References
    ----------
    Gouverneur et al., *Sensors* 23:1959, 2023, use the spectral and envelope kinds (`PAIN_EMG`). Their code takes
    frequencies in cycles per sample and the median frequency as a bin's number, and smooths the envelope once more.
    """
    refuse(_check_emg(kinds, window))
    x = as_signal(x, rate, least=3)

    def compute(rows: np.ndarray, flat: np.ndarray) -> np.ndarray:
        muscle = _Muscle(rows, flat, rate, window)
        return np.stack([_KINDS[kind](muscle) for kind in kinds], axis=-1)

    return compute_rows(x, len(kinds), compute)
