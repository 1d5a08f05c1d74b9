"""Signals of any rate as a few steps: segments of a window, and the front end that several models share."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models.contract import InputShape
from limbeck.models.layers import Dropout

__all__ = ["FLOOR", "CommonSteps", "Encoder", "Front", "Pooling", "frame_times", "segments"]

FLOOR = 1e-3
"""Added to a variance before its logarithm."""


def segments(times: Tensor, length: int, steps: int, *, so_far: bool = False) -> Tensor:
    """Return weights that average frames into equal segments of a window, of shape (steps, n_frames), float32.

    Parameters
    ----------
    times : Tensor of shape (n_frames,)
        The last sample (or the middle one) that each frame stands for, increasing.
    length : int
        Samples of the window.
    steps : int
        Number of segments.
    so_far : bool
        Average over everything up to the end of each segment instead of over the segment.

    Returns
    -------
    Tensor
        Rows sum to 1. A segment in which no frame lies holds the last frame before its end, never a later one (the
        first frame stands in where there is none yet).
    """
    ends = torch.arange(1, steps + 1, dtype=torch.float64) * length / steps
    starts = torch.zeros_like(ends) if so_far else ends - length / steps
    times = times.to(torch.float64)
    inside = (times[None] < ends[:, None]) & (times[None] >= starts[:, None])
    last = (times[None] < ends[:, None]).sum(dim=1).sub(1).clamp(min=0)
    held = nn.functional.one_hot(last, len(times)).bool()
    chosen = torch.where(inside.any(dim=1, keepdim=True), inside, held).to(torch.float64)
    return (chosen / chosen.sum(dim=1, keepdim=True)).to(torch.float32)


def frame_times(n_frames: int, stride: int, *, causal: bool) -> Tensor:
    """Return the last sample that each frame has seen when `causal`, else the sample in its middle."""
    return torch.arange(n_frames) * stride + (stride - 1 if causal else (stride - 1) // 2)


class _Strided(nn.Conv1d):
    """A convolution with a frame per whole stride: on samples up to the stride's end when causal, else around it."""

    def __init__(
        self, channels: int, filters: int, kernel: int, *, stride: int = 1, groups: int = 1, causal: bool = False
    ) -> None:
        super().__init__(channels, filters, kernel, stride=stride, groups=groups)
        beyond = max(0, kernel - stride)
        self.beyond = (beyond, 0) if causal else (beyond // 2, beyond - beyond // 2)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(nn.functional.pad(x, self.beyond))


class Front(nn.Module):
    """Brings a signal of any rate down to about `frames` steps: (batch, channels, length) to (batch, width, frames).

    Several channels are first mixed, then filtered along time one by one (a separable convolution), so that a cap of
    many electrodes costs little. The filters span two strides, and a quarter of a second at least, so that the rhythms
    of an EEG fit into them.

    Parameters
    ----------
    shape : InputShape
        Of the signal.
    width : int
        Filters.
    frames : int
        Steps wanted; a window has at least as many, and less than twice as many, or one per sample.
    causal : bool
        Whether a frame sees samples up to its own last one only.

    Attributes
    ----------
    stride, n_frames : int
        Samples per frame, and frames per window; samples behind the last whole stride are not read.
    """

    def __init__(self, shape: InputShape, *, width: int, frames: int, causal: bool = False) -> None:
        super().__init__()
        if frames < 1:
            raise LimbeckError(f"frames is {frames}; expected at least 1.")
        self.stride = max(1, shape.length // frames)
        self.n_frames = shape.length // self.stride
        kernel = max(2 * self.stride + 1, math.ceil((shape.rate or 0.0) / 4) // 2 * 2 + 1)
        several = shape.channels > 1
        self.mix = nn.Conv1d(shape.channels, width, 1, bias=False) if several else nn.Identity()
        self.filter = _Strided(
            width if several else 1, width, kernel, stride=self.stride, groups=width if several else 1, causal=causal
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the frames of a batch of signals."""
        return self.filter(self.mix(x))


class CommonSteps(nn.Module):
    """Brings signals of any rates to one sequence of steps, added up: (batch, width, steps).

    Each modality passes a :class:`Front` of its own, and its frames are averaged into the common steps; a modality with
    fewer samples than steps holds its last value.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Signals.
    width : int
        Channels of the sequence.
    frames, n_steps : int
        Steps wanted, and steps of the prediction (0 for none), of which there is then a whole multiple.
    causal : bool
        Whether a step sees samples up to its own end only.

    Attributes
    ----------
    steps : int
        Of the sequence; no more than the longest modality has samples, unless `n_steps` is more.
    """

    def __init__(
        self, modalities: Mapping[str, InputShape], *, width: int, frames: int, n_steps: int, causal: bool
    ) -> None:
        super().__init__()
        wanted = min(frames, max(shape.length for shape in modalities.values()))
        self.steps = n_steps * max(1, wanted // n_steps) if n_steps else wanted
        fronts = {
            name: Front(shape, width=width, frames=self.steps, causal=causal) for name, shape in modalities.items()
        }
        for name, front in fronts.items():
            times = frame_times(front.n_frames, front.stride, causal=causal)
            self.register_buffer(
                f"_of_{name}", segments(times, modalities[name].length, self.steps).T.contiguous(), persistent=False
            )
        self.fronts = nn.ModuleDict(fronts)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the sequence."""
        parts = [front(inputs[name]) @ self.get_buffer(f"_of_{name}") for name, front in self.fronts.items()]
        return torch.stack(parts).sum(dim=0)


class _Block(nn.Module):
    """A convolution along time per channel, two layers across channels, and what came in added."""

    def __init__(self, width: int, kernel: int, *, stride: int, causal: bool, dropout: float) -> None:
        super().__init__()
        self.stride = stride
        self.along = _Strided(width, width, kernel, stride=stride, groups=width, causal=causal)
        self.widen = nn.Conv1d(width, 2 * width, 1)
        self.narrow = nn.Conv1d(2 * width, width, 1)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        change = self.narrow(self.dropout(nn.functional.relu(self.widen(self.along(x)))))
        return (x if self.stride == 1 else nn.functional.avg_pool1d(x, self.stride)) + change


class Pooling(nn.Module):
    """Mean and logarithmic spread over time: (batch, width, frames) to (batch, 2 * width), or to steps of the window.

    With steps the result is (batch, steps, 3 * width): the mean of each step's own segment, then mean and spread over
    the window, or over what has passed of it when causal.

    Parameters
    ----------
    times : Tensor of shape (n_frames,)
        As :func:`frame_times` returns them.
    length, steps : int
        Samples of the window, and steps; 0 for the window as a whole.
    causal : bool
        Whether a step sees what has passed only.
    """

    here: Tensor
    around: Tensor

    def __init__(self, times: Tensor, length: int, steps: int, *, causal: bool) -> None:
        super().__init__()
        self.steps = steps
        if steps:
            context = segments(times, length, steps, so_far=True)
            self.register_buffer("here", segments(times, length, steps), persistent=False)
            self.register_buffer("around", context if causal else context[-1:].repeat(steps, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the head reads."""
        if not self.steps:
            mean = x.mean(dim=-1)
            return torch.cat([mean, _log_spread(mean, (x * x).mean(dim=-1))], dim=-1)
        frames = x.transpose(-2, -1)
        mean = self.around @ frames
        return torch.cat([self.here @ frames, mean, _log_spread(mean, self.around @ (frames * frames))], dim=-1)


def _log_spread(mean: Tensor, square: Tensor) -> Tensor:
    return 0.5 * torch.log(torch.relu(square - mean * mean) + FLOOR)


class Encoder(nn.Module):
    """A :class:`Front`, separable blocks, and a :class:`Pooling`: a signal's map over time and its embedding.

    Parameters
    ----------
    shape : InputShape
        Of the signal.
    n_steps : int
        Steps of the embedding; 0 for one of the whole window.
    width, depth, kernel, frames : int
        Channels, blocks, steps that a filter of a block spans, and steps after the front, at least.
    dropout : float
        Rate within the blocks.
    causal : bool
        Whether a step depends on what has passed only.

    Attributes
    ----------
    width : int
        Of the embedding.
    """

    def __init__(
        self,
        shape: InputShape,
        *,
        n_steps: int,
        width: int,
        depth: int,
        kernel: int,
        frames: int,
        dropout: float,
        causal: bool,
    ) -> None:
        super().__init__()
        if kernel < 2:
            raise LimbeckError(f"kernel is {kernel}; expected at least 2, as blocks halve the steps.")
        front = Front(shape, width=width, frames=max(frames, n_steps), causal=causal)
        self.front, self.blocks = front, nn.ModuleList()
        stride, n_frames = front.stride, front.n_frames
        for place in range(depth):
            halves = 2 if place and n_frames // 2 >= max(4, n_steps) else 1
            self.blocks.append(_Block(width, kernel, stride=halves, causal=causal, dropout=dropout))
            stride, n_frames = stride * halves, n_frames // halves
        self.pool_filters, self.pool = (
            Pooling(frame_times(n, each, causal=causal), shape.length, n_steps, causal=causal)
            for n, each in ((front.n_frames, front.stride), (n_frames, stride))
        )
        self.width = (6 if n_steps else 4) * width

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (batch, width of the blocks, frames) and (batch[, n_steps], width)."""
        filtered = self.front(x)
        h = torch.relu(filtered)
        for block in self.blocks:
            h = block(h)
        return h, torch.cat([self.pool(h), self.pool_filters(filtered)], dim=-1)
