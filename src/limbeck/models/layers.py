"""Layers that the training engine needs to know about, and blocks that several models share."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models.contract import InputShape

__all__ = ["Attention", "CausalConv1d", "Dropout", "SignalEncoder", "sinusoids"]


class Dropout(nn.Module):
    """Dropout whose mask is drawn outside, so that a network's result does not depend on its companions.

    Many networks that train as one under ``torch.vmap`` would share one stream of random numbers; the training engine
    therefore draws every mask from a generator of its own network and puts it into ``mask`` before each step.

    Parameters
    ----------
    p : float
        Share of the elements that are set to zero, in [0, 1).
    """

    mask: Tensor

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0.0 <= p < 1.0:
            raise LimbeckError(f"dropout is {p}; expected a share of at least 0 and below 1.")
        self.p = p
        self.register_buffer("mask", torch.ones(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` times the mask in training, `x` otherwise; the mask holds 0 or 1 / (1 - p)."""
        return x * self.mask if self.training and self.p > 0 else x

    def extra_repr(self) -> str:
        """Show the rate in the layer table."""
        return f"p={self.p}"


class Attention(nn.Module):
    """Multi-head attention along time, never across the batch: (batch, time, width) to the same.

    Written out, so that it goes through ``torch.vmap`` and its dropout is drawn by the training engine.

    Parameters
    ----------
    width : int
        Of the queries and of what is returned.
    heads : int
        Number of heads.
    head_width : int or None
        Width of each head; ``width / heads`` by default.
    source_width : int or None
        Width of keys and values; `width` by default.
    dropout : float
        Rate on the attention weights.
    bias : bool
        Whether the four projections have one.
    causal : bool
        Whether a step sees itself and earlier ones only.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        head_width: int | None = None,
        source_width: int | None = None,
        dropout: float = 0.0,
        bias: bool = True,
        causal: bool = False,
    ) -> None:
        super().__init__()
        if head_width is None and width % heads:
            raise LimbeckError(f"heads is {heads}, which does not divide the width of {width}.")
        head_width, source_width = head_width or width // heads, source_width or width
        self.heads, self.causal, self.scale = heads, causal, head_width**-0.5
        self.query = nn.Linear(width, heads * head_width, bias=bias)
        self.key = nn.Linear(source_width, heads * head_width, bias=bias)
        self.value = nn.Linear(source_width, heads * head_width, bias=bias)
        self.out = nn.Linear(heads * head_width, width, bias=bias)
        self.dropout = Dropout(dropout)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Return what each step of `query` (batch, time, width) takes from `value` (batch, source time, width)."""
        q, k, v = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(-3, -2)
            for projection, x in ((self.query, query), (self.key, key), (self.value, value))
        )
        scores = (q * self.scale) @ k.transpose(-2, -1)
        if self.causal:
            later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
            scores = scores.masked_fill(later, -torch.inf)
        mixed = self.dropout(torch.softmax(scores, dim=-1)) @ v
        return self.out(mixed.transpose(-3, -2).flatten(-2))


class CausalConv1d(nn.Conv1d):
    """A convolution along time whose output at a step depends on that step and earlier ones: as long as its input.

    Parameters
    ----------
    channels, filters, kernel : int
        Of the input, of the output, and steps that a filter spans.
    dilation : int
        Distance between them.
    bias : bool
        Whether it has one.
    """

    def __init__(self, channels: int, filters: int, kernel: int, *, dilation: int = 1, bias: bool = True) -> None:
        super().__init__(channels, filters, kernel, dilation=dilation, bias=bias)
        self.past = (kernel - 1) * dilation

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, filters, time) for (batch, channels, time)."""
        return super().forward(nn.functional.pad(x, (self.past, 0)))


def sinusoids(steps: int, width: int) -> Tensor:
    """Return the fixed position code of transformers (Vaswani et al. 2017), of shape (steps, width), float32.

    Sines fill the even columns and cosines the odd ones, of wavelengths from 2π to 20,000π steps.
    """
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angles = torch.arange(steps)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width]


class SignalEncoder(nn.Module):
    """A small convolutional encoder of one modality: (batch, channels, length) to (batch, 2 * width).

    A strided first layer brings every rate down to about `frames` steps, so that a 64 Hz pulse wave costs no more than
    a 4 Hz skin conductance; three convolutions follow, then the mean and the maximum over time. There is no
    normalisation layer: levels and amplitudes (a skin conductance above a person's usual) are what carries arousal, and
    a batch has no say in a sample.

    Parameters
    ----------
    shape : InputShape
        A signal's shape.
    width : int
        Channels of the convolutions.
    dropout : float
        Rate between the convolutions.
    frames : int
        Steps after the first layer, about.
    """

    def __init__(self, shape: InputShape, *, width: int, dropout: float, frames: int = 128) -> None:
        super().__init__()
        stride = max(1, shape.length // frames)
        kernel = min(2 * stride + 3, shape.length)
        self.stem = nn.Conv1d(shape.channels, width, kernel, stride=stride, padding=kernel // 2)
        self.middle = nn.Conv1d(width, width, 5, stride=2, padding=2)
        self.last = nn.Conv1d(width, width, 5, stride=2, padding=2)
        self.activation = nn.GELU()
        self.dropout = Dropout(dropout)
        self.width = 2 * width

    def forward(self, x: Tensor) -> Tensor:
        """Return the embedding of a batch of signals."""
        h = self.activation(self.stem(x))
        h = self.activation(self.middle(h))
        h = self.dropout(h)
        h = self.activation(self.last(h))
        return torch.cat([h.mean(dim=-1), h.amax(dim=-1)], dim=-1)
