"""What every change of windows promises: numbers drawn on the CPU for one network, then applied to any number of them.

A change is a frozen class below :class:`Change`, registered with ``@CHANGES.register(name)``. All that is random in it
is drawn by :meth:`Change.noise` from a generator that belongs to one network; :meth:`Change.apply` is then a plain
function of tensors, to which the noise of many networks may be handed stacked. So no network's windows depend on which
others are trained beside it, and every device sees the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from functools import cache
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from limbeck.errors import StudyError
from limbeck.registry import Registry

__all__ = ["CHANGES", "Change", "Span", "WindowShape", "check_options", "stacked", "white", "widened"]

CHANGES = Registry("change")


class Span(NamedTuple):
    """The values that an option may have: from `least` to `most`, or only above `least`.

    Attributes
    ----------
    least, most : float
        Bounds; infinite where there is none.
    above : bool
        Whether `least` itself is excluded.
    """

    least: float = -math.inf
    most: float = math.inf
    above: bool = False

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int | float):
            return False
        return (self.least < value if self.above else self.least <= value) and value <= self.most

    def __str__(self) -> str:
        if self.least == -math.inf:
            return "" if self.most == math.inf else f"of {self.most:g} or less"
        if self.above:
            return f"above {self.least:g}" + ("" if self.most == math.inf else f" and up to {self.most:g}")
        return f"of {self.least:g} or more" if self.most == math.inf else f"from {self.least:g} to {self.most:g}"


class WindowShape(NamedTuple):
    """The shape of one modality of one window.

    Attributes
    ----------
    channels : int
        Channels, or columns of features.
    length : int
        Samples; 0 for features.
    rate : float or None
        Sampling rate in Hz; None for features.
    """

    channels: int
    length: int
    rate: float | None

    @property
    def is_feature(self) -> bool:
        """Whether a window is a row of features instead of a signal."""
        return self.rate is None

    def of_batch(self, batch: int) -> tuple[int, ...]:
        """Return the shape of a batch of such windows."""
        return (batch, self.channels) if self.is_feature else (batch, self.channels, self.length)


@dataclass(frozen=True)
class Change:
    """One random change of the windows of one modality.

    Parameters
    ----------
    probability : float
        With which each window is changed; the others stay as they are.

    Attributes
    ----------
    suits : {"signals", "features"}
        What it changes: windows of samples, or rows of features.
    spans : mapping of str to Span
        By option, where not every number will do.
    least_channels, least_samples : int
        Below which there is nothing to change.
    moves_time : bool
        Whether what stood at one moment may stand at another behind it: what is true of each moment moves, too.

    Raises
    ------
    StudyError
        With every option that is of the wrong kind or outside its bounds.
    """

    suits: ClassVar[Literal["signals", "features"]] = "signals"
    spans: ClassVar[Mapping[str, Span]] = {}
    least_channels: ClassVar[int] = 1
    least_samples: ClassVar[int] = 1
    moves_time: ClassVar[bool] = False

    probability: float = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        check_options(self, {"probability": Span(0, 1), **self.spans})

    def noise(self, shape: tuple[int, ...], rate: float | None, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draw all that is random in the change of one network's batch.

        Parameters
        ----------
        shape : tuple of int
            Of the batch: (batch, channels, time) or (batch, features).
        rate : float or None
            Sampling rate in Hz; None for features.
        rng : numpy.random.Generator
            The network's own.

        Returns
        -------
        dict of str to ndarray
            float32 or int64, batch first.
        """
        drawn = self._draw(shape, rate, rng)
        if self.probability < 1:
            drawn["applied"] = (rng.random(shape[0], dtype=np.float32) < self.probability).astype(np.float32)
        return drawn

    def apply(self, x: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        """Return changed windows, of the same shape and dtype; what is NaN throughout stays so.

        Parameters
        ----------
        x : Tensor of shape (..., batch, channels, time) or (..., batch, features)
            Normalised windows.
        noise : mapping of str to Tensor
            As :meth:`noise` draws it, with the same leading axes.
        """
        changed = self._change(x, noise)
        if "applied" not in noise:
            return changed
        return torch.where(widened(noise["applied"], x) > 0.5, changed, x)

    def unfit(self, shape: WindowShape) -> Iterator[str]:
        """Yield why windows of a shape cannot be changed so, if they cannot."""
        if shape.channels < self.least_channels:
            what = "features" if shape.is_feature else "channels"
            yield f"needs {self.least_channels} {what} or more, and there is {shape.channels}"
        if not shape.is_feature and shape.length < self.least_samples:
            yield f"needs windows of {self.least_samples} samples or more, and they have {shape.length}"

    def _draw(self, shape: tuple[int, ...], rate: float | None, rng: np.random.Generator) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def _change(self, x: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        raise NotImplementedError


def check_options(options: Any, spans: Mapping[str, Span]) -> None:
    """Refuse a dataclass whose fields are of another kind than their defaults, out of bounds, or low above high."""
    mistakes = [
        mistake for each in fields(options) for mistake in _mistakes_of(each, getattr(options, each.name), spans)
    ]
    low, high = getattr(options, "low", None), getattr(options, "high", None)
    if not mistakes and low is not None and high is not None and low > high:
        mistakes.append(f"low is {low}, above high, which is {high}; swap them")
    if mistakes:
        raise StudyError(mistakes, source=type(options).__name__)


def _mistakes_of(option: Field[Any], value: Any, spans: Mapping[str, Span]) -> Iterator[str]:
    if isinstance(option.default, bool):
        if not isinstance(value, bool):
            yield f"{option.name} is {value!r}; expected true or false"
        return
    if value is None and option.default is None:
        return
    whole = isinstance(option.default, int)
    span = spans.get(option.name, Span())
    number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value not in span:
        yield f"{option.name} is {value!r}; expected {'a whole number' if whole else 'a number'} {span}".rstrip()


@cache
def _quantiles() -> np.ndarray:
    """Return the normal quantiles in the middle of 65,536 equal shares of probability, float32."""
    from scipy.special import ndtri

    table: np.ndarray = ndtri((np.arange(65_536) + 0.5) / 65_536).astype(np.float32)
    return table


def white(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Draw standard normal numbers, float32, each from sixteen random bits.

    They lie within 4.2 standard deviations, which noise on windows cannot tell from the exact distribution, and cost a
    fifth of it.
    """
    count = math.prod(shape)
    words: np.ndarray = rng.bit_generator.random_raw(-(-count // 4))
    drawn: np.ndarray = np.take(_quantiles(), words.view(np.uint16)[:count]).reshape(shape)
    return drawn


def widened(noise: Tensor, x: Tensor) -> Tensor:
    """Return noise (..., batch[, channels]) with the axes at its end that it lacks to be spread over `x`."""
    return noise.reshape(noise.shape + (1,) * (x.ndim - noise.ndim))


def stacked(noises: Sequence[Any], device: torch.device | str = "cpu") -> Any:
    """Return the noise of many networks as one.

    Parameters
    ----------
    noises : sequence of nested dict of str to ndarray
        One per network, all with the same keys.
    device : torch.device or str
        Where the tensors go.

    Returns
    -------
    nested dict of str to Tensor
        The same keys; a leading axis of networks on every tensor.
    """
    first = noises[0]
    if isinstance(first, Mapping):
        return {key: stacked([noise[key] for noise in noises], device) for key in first}
    return torch.from_numpy(np.stack(noises)).to(device)
