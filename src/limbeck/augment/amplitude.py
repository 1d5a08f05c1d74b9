"""Changes of what a sensor shows at each moment: noise, gain, sign, hidden spans, channels and bands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from limbeck.augment.contract import CHANGES, Change, Span, WindowShape, white, widened

__all__ = ["BandStop", "ChannelDrop", "Jitter", "Negate", "Noise", "Scale", "TimeMask", "kept", "noise_amplitude"]


@CHANGES.register("jitter")
@dataclass(frozen=True)
class Jitter(Change):
    """White noise of a fixed strength on every sample.

    Parameters
    ----------
    sigma : float
        Its standard deviation, in standard deviations of the normalised signal.
    """

    spans: ClassVar[Mapping[str, Span]] = {"sigma": Span(0, above=True)}
    sigma: float = 0.05

    def _draw(self, shape: tuple[int, ...], rate: float | None, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {"white": white(shape, rng)}

    def _change(self, x: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        return torch.add(x, noise["white"].to(x.dtype), alpha=self.sigma)


@CHANGES.register("noise")
@dataclass(frozen=True)
class Noise(Change):
    """White noise as strong as the window allows: at a signal-to-noise ratio, channel by channel.

    Parameters
    ----------
    snr : float
        Ratio in dB of the channel's power about its mean to that of the noise; a flat channel gets none.
    """

    snr: float = 15.0

    def _draw(self, shape: tuple[int, ...], rate: float | None, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {"white": white(shape, rng)}

    def _change(self, x: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        return torch.addcmul(x, noise["white"].to(x.dtype), noise_amplitude(x, self.snr))


def noise_amplitude(x: Tensor, snr: float) -> Tensor:
    """Return the standard deviation of noise that lies `snr` dB below the power of signals about their mean.

    Parameters
    ----------
    x : Tensor of shape (..., time)
        Signals.
    snr : float
        In dB.

    Returns
    -------
    Tensor of shape (..., 1)
    """
    return x.std(dim=-1, correction=0, keepdim=True) * 10 ** (-snr / 20)


@CHANGES.register("scale")
@dataclass(frozen=True)
class Scale(Change):
    """Another gain.

    Parameters
    ----------
    low, high : float
        Between which the factor lies, all values alike.
    per_channel : bool
        Whether each channel has a factor of its own; otherwise one holds for the whole window.
    """

    spans: ClassVar[Mapping[str, Span]] = {"low": Span(0), "high": Span(0, above=True)}
    low: float = 0.8
    high: float = 1.2
    per_channel: bool = True

    def _draw(self, shape: tuple[int, ...], rate: float | None, rng: np.random.Generator) -> dict[str, np.ndarray]:
        drawn = rng.random((shape[0], shape[1] if self.per_channel else 1), dtype=np.float32)
        return {"factor": np.float32(self.low) + np.float32(self.high - self.low) * drawn}

    def _change(self, x: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        return x * widened(noise["factor"], x).to(x.dtype)


@CHANGES.register("negate")
@dataclass(frozen=True)
class Negate(Change):
    """The signal upside down.

    Parameters
    ----------
    probability : float
        With which each window is turned.
    """

    probability: float = field(default=0.5, kw_only=True)

    def _draw(self, shape: tuple[int, ...], rate: float | None, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {}

    def _change(self, x: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        return -x


@CHANGES.register("time_mask")
@dataclass(frozen=True)
class TimeMask(Change):
    """One span of the window hidden in all channels: its samples stand at zero, the mean of normalised signals.

    Parameters
    ----------
    low, high : float
        Between which the hidden share of the window lies; one sample at least is hidden.
    """

    spans: ClassVar[Mapping[str, Span]] = {"low": Span(0, 1), "high": Span(0, 1, above=True)}
    least_samples: ClassVar[int] = 2
    low: float = 0.1
    high: float = 0.3

    def _draw(self, shape: tuple[int, ...], rate: float | None, rng: np.random.Generator) -> dict[str, np.ndarray]:
        batch, _, samples = shape
        length = np.clip(np.rint(rng.uniform(self.low, self.high, batch) * samples), 1, samples).astype(np.int64)
        start = rng.integers(samples - length + 1)
        return {"start": start, "stop": start + length}

    def _change(self, x: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        time = torch.arange(x.shape[-1], device=x.device)
        outside = (time < noise["start"].unsqueeze(-1)) | (time >= noise["stop"].unsqueeze(-1))
        return x * outside.unsqueeze(-2).to(x.dtype)  # a product, so that NaN stays what it is


def kept(shape: tuple[int, int], share: float, rng: np.random.Generator) -> np.ndarray:
    """Draw which columns of each row stay: each is lost with probability `share`, but one always stays.

    Returns
    -------
    ndarray of `shape`, float32
        1 for those that stay, 0 for the others.
    """
    drawn = rng.random(shape, dtype=np.float32)
    stays = drawn >= share
    stays[np.arange(shape[0]), drawn.argmax(axis=1)] = True
    return stays.astype(np.float32)


@CHANGES.register("channel_drop")
@dataclass(frozen=True)
class ChannelDrop(Change):
    """Channels lost, as by a loose electrode: they stand at zero; one always stays.

    Parameters
    ----------
    share : float
        Probability with which each channel is lost.
    """

    spans: ClassVar[Mapping[str, Span]] = {"share": Span(0, 1, above=True)}
    least_channels: ClassVar[int] = 2
    share: float = 0.2

    def _draw(self, shape: tuple[int, ...], rate: float | None, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {"kept": kept((shape[0], shape[1]), self.share, rng)}

    def _change(self, x: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        return x * widened(noise["kept"], x).to(x.dtype)


@CHANGES.register("band_stop")
@dataclass(frozen=True)
class BandStop(Change):
    """A band of frequencies taken out, the same in all channels; the mean of a window stays.

    Parameters
    ----------
    low, high : float, float or None
        In Hz, between which the band is drawn; the upper end is half the sampling rate where it is None or lies above.
    width : float
        Of the band, as a share of what lies between `low` and `high`; one line of the window's spectrum at least.
    """

    spans: ClassVar[Mapping[str, Span]] = {
        "low": Span(0),
        "high": Span(0, above=True),
        "width": Span(0, 1, above=True),
    }
    least_samples: ClassVar[int] = 8
    low: float = 0.0
    high: float | None = None
    width: float = 0.1

    def _draw(self, shape: tuple[int, ...], rate: float | None, rng: np.random.Generator) -> dict[str, np.ndarray]:
        batch, _, samples = shape
        bottom, top = self._range(rate)
        line = _rate(rate) / samples
        band = max(self.width * (top - bottom), line)
        bottom = max(bottom, line / 2)  # a band around zero alone would hold nothing but the mean
        start = rng.uniform(bottom, max(bottom, top - band), (batch, 1))
        frequency = np.fft.rfftfreq(samples, 1 / _rate(rate))
        stays = (frequency < start) | (frequency >= start + band)
        return {"gain": stays.astype(np.float32)}

    def _change(self, x: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        spectrum = torch.fft.rfft(x) * noise["gain"].unsqueeze(-2).to(x.dtype)
        return torch.fft.irfft(spectrum, n=x.shape[-1])

    def unfit(self, shape: WindowShape) -> Iterator[str]:
        """Yield why windows of a shape cannot be changed so, if they cannot."""
        yield from super().unfit(shape)
        if shape.rate is None or shape.length < self.least_samples:
            return
        bottom, top = self._range(shape.rate)
        if top - bottom < 2 * shape.rate / shape.length:
            yield (
                f"needs two lines of the spectrum from low to high, and between {bottom:g} and {top:g} Hz windows of "
                f"{shape.length} samples at {shape.rate:g} Hz have fewer"
            )

    def _range(self, rate: float | None) -> tuple[float, float]:
        highest = _rate(rate) / 2
        return self.low, highest if self.high is None else min(self.high, highest)


def _rate(rate: float | None) -> float:
    if rate is None:
        raise ValueError("A band is in Hz: frequencies need a sampling rate, which features do not have.")
    return rate
