"""Changes of when a sensor shows what it shows: cuts, stretches, shifts and orders of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from limbeck.augment.contract import CHANGES, Change, Span

__all__ = ["CropResize", "Flip", "Permutation", "Shift", "TimeWarp", "pick", "reordered", "resample"]


def pick(x: Tensor, index: Tensor) -> Tensor:
    """Return the samples of signals (..., batch, channels, time) at `index` (..., batch, steps), int64."""
    return x.gather(-1, index.unsqueeze(-2).expand(*x.shape[:-1], index.shape[-1]))


def resample(x: Tensor, position: Tensor) -> Tensor:
    """Return signals at positions between their samples, on straight lines; whole positions give back the sample.

    Parameters
    ----------
    x : Tensor of shape (..., batch, channels, time)
        Signals of two samples or more.
    position : Tensor of shape (..., batch, steps)
        In samples, from 0 to time - 1; those beyond stand for the nearer end.
    """
    last = x.shape[-1] - 1
    position = position.clamp(0, last)
    left = position.floor().clamp(max=last - 1)
    index = left.long()
    weight = (position - left).unsqueeze(-2).to(x.dtype)
    return torch.lerp(pick(x, index), pick(x, index + 1), weight)


def reordered(batch: int, samples: int, pieces: int | np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the order of samples when windows are cut into equal pieces and these are put together anew.

    Parameters
    ----------
    batch, samples : int
        Windows and samples of each.
    pieces : int or ndarray of shape (batch,)
        Of each window; lengths differ by a sample where they do not come out even.
    rng : numpy.random.Generator
        Where the order is drawn from.

    Returns
    -------
    ndarray of shape (batch, samples), int64
        The sample that comes to stand at each place.
    """
    counts = np.broadcast_to(pieces, batch)[:, None]
    piece = np.arange(samples) * counts // samples
    rank = rng.random((batch, int(counts.max()))).argsort(axis=1).astype(np.int16)
    order: np.ndarray = np.take_along_axis(rank, piece, axis=1).argsort(axis=1, kind="stable")
    return order.astype(np.int64, copy=False)


def _ramp(x: Tensor) -> Tensor:
    """Return a number per sample from 0 to 1, float32."""
    return torch.linspace(0, 1, x.shape[-1], device=x.device)


@CHANGES.register("crop_resize")
@dataclass(frozen=True)
class CropResize(Change):
    """A part of the window, stretched to the whole: slower than it was.

    Parameters
    ----------
    low, high : float
        Between which the share of the window that is cut out lies.
    """

    spans: ClassVar[Mapping[str, Span]] = {"low": Span(0, 1, above=True), "high": Span(0, 1, above=True)}
    least_samples: ClassVar[int] = 4
    moves_time: ClassVar[bool] = True
    low: float = 0.6
    high: float = 0.9

    def _draw(self, shape: tuple[int, ...], rate: float | None, rng: np.random.Generator) -> dict[str, np.ndarray]:
        share = rng.uniform(self.low, self.high, shape[0])
        start = rng.random(shape[0]) * (1 - share)
        return {"share": share.astype(np.float32), "start": start.astype(np.float32)}

    def _change(self, x: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        place = noise["start"].unsqueeze(-1) + noise["share"].unsqueeze(-1) * _ramp(x)
        return resample(x, place * (x.shape[-1] - 1))


@CHANGES.register("time_warp")
@dataclass(frozen=True)
class TimeWarp(Change):
    """Time that runs faster here and slower there: beginning and end of the window stay where they are.

    Parameters
    ----------
    strength : float
        By how much, as a share, the speed of each piece is drawn to differ from one; the pieces are then brought to the
        length of the window together.
    pieces : int
        Equal parts of the window with a speed each.
    """

    spans: ClassVar[Mapping[str, Span]] = {"strength": Span(0, 0.9, above=True), "pieces": Span(2)}
    least_samples: ClassVar[int] = 4
    moves_time: ClassVar[bool] = True
    strength: float = 0.1
    pieces: int = 4

    def _draw(self, shape: tuple[int, ...], rate: float | None, rng: np.random.Generator) -> dict[str, np.ndarray]:
        speed = rng.uniform(1 - self.strength, 1 + self.strength, (shape[0], self.pieces))
        reached = np.cumsum(speed, axis=1)
        knots = np.concatenate([np.zeros((shape[0], 1)), reached / reached[:, -1:]], axis=1)
        return {"knots": knots.astype(np.float32)}

    def _change(self, x: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        place = _ramp(x) * self.pieces
        piece = place.floor().clamp(max=self.pieces - 1)
        index = piece.long()
        knots = noise["knots"]
        reached = torch.lerp(knots.index_select(-1, index), knots.index_select(-1, index + 1), place - piece)
        return resample(x, reached * (x.shape[-1] - 1))


@CHANGES.register("permutation")
@dataclass(frozen=True)
class Permutation(Change):
    """The window cut into equal pieces that are put together in another order; one order in a few is the old one.

    Parameters
    ----------
    pieces : int
        At most; each window is cut into two up to so many, all numbers alike.
    """

    spans: ClassVar[Mapping[str, Span]] = {"pieces": Span(2, 10_000)}
    least_samples: ClassVar[int] = 4
    moves_time: ClassVar[bool] = True
    pieces: int = 5

    def _draw(self, shape: tuple[int, ...], rate: float | None, rng: np.random.Generator) -> dict[str, np.ndarray]:
        pieces = rng.integers(2, self.pieces, shape[0], endpoint=True)
        return {"order": reordered(shape[0], shape[2], pieces, rng)}

    def _change(self, x: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        return pick(x, noise["order"])


@CHANGES.register("flip")
@dataclass(frozen=True)
class Flip(Change):
    """The window backwards.

    Parameters
    ----------
    probability : float
        With which each window is turned.
    """

    least_samples: ClassVar[int] = 2
    moves_time: ClassVar[bool] = True
    probability: float = field(default=0.5, kw_only=True)

    def _draw(self, shape: tuple[int, ...], rate: float | None, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {}

    def _change(self, x: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        return x.flip(-1)


@CHANGES.register("shift")
@dataclass(frozen=True)
class Shift(Change):
    """The window earlier or later by whole samples, one at least.

    Parameters
    ----------
    share : float
        The farthest, as a share of the window.
    circular : bool
        Whether what leaves at one end comes in at the other; otherwise the sample at the end is repeated.
    """

    spans: ClassVar[Mapping[str, Span]] = {"share": Span(0, 1, above=True)}
    least_samples: ClassVar[int] = 2
    moves_time: ClassVar[bool] = True
    share: float = 0.1
    circular: bool = True

    def _draw(self, shape: tuple[int, ...], rate: float | None, rng: np.random.Generator) -> dict[str, np.ndarray]:
        farthest = min(max(1, round(self.share * shape[2])), shape[2] - 1)
        by = rng.integers(1, farthest, shape[0], endpoint=True)
        return {"by": np.where(rng.random(shape[0]) < 0.5, -by, by)}

    def _change(self, x: Tensor, noise: Mapping[str, Tensor]) -> Tensor:
        samples = x.shape[-1]
        index = torch.arange(samples, device=x.device) - noise["by"].unsqueeze(-1)
        return pick(x, index.remainder(samples) if self.circular else index.clamp(0, samples - 1))
