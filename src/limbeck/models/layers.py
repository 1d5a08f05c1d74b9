"""Layers that the training engine needs to know about, and blocks that several models share."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models.contract import InputShape
from limbeck.models.starts import start_recurrent

__all__ = [
    "Attention",
    "CausalConv1d",
    "DenseStack",
    "Dropout",
    "NormedConv1d",
    "NormedConv2d",
    "NormedLinear",
    "RowNorm",
    "SignalEncoder",
    "SingleBiasLSTM",
    "sinusoids",
    "within",
]


ABSENT = -1e30
"""The score of what is not there: finite, so that a window of which nothing is there has no NaN."""


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
        head_width = width // heads if head_width is None else head_width
        source_width = width if source_width is None else source_width
        self.heads, self.causal, self.scale = heads, causal, head_width**-0.5
        self.query = nn.Linear(width, heads * head_width, bias=bias)
        self.key = nn.Linear(source_width, heads * head_width, bias=bias)
        self.value = nn.Linear(source_width, heads * head_width, bias=bias)
        self.out = nn.Linear(heads * head_width, width, bias=bias)
        self.dropout = Dropout(dropout)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, present: Tensor | None = None) -> Tensor:
        """Return what each step of `query` (batch, time, width) takes from `value` (batch, source time, width).

        Where `present` (batch, source time) is false there is nothing to take.
        """
        q, k, v = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(-3, -2)
            for projection, x in ((self.query, query), (self.key, key), (self.value, value))
        )
        scores = (q * self.scale) @ k.transpose(-2, -1)
        if self.causal:
            later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
            scores = scores.masked_fill(later, -torch.inf)
        if present is not None:
            scores = torch.where(present[..., None, None, :], scores, ABSENT)
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


def within(weight: Tensor, limit: float | None) -> Tensor:
    """Return weights whose norm, for each output, is at most `limit`: longer ones are shortened; None for no limit.

    The published constraint shortens the stored weights after each step. Here they are shortened on their way into the
    layer, so that the engine need not know of it: the same weights predict alike, and the number of parameters stays.
    Training takes another path, though: what is stored may be longer than the limit, and the gradient there has no
    part along the weights.
    """
    if limit is None:
        return weight
    norm = torch.linalg.vector_norm(weight, dim=tuple(range(1, weight.dim())), keepdim=True)
    return weight * (limit / norm.clamp(min=1e-12)).clamp(max=1.0)


class NormedConv1d(nn.Conv1d):
    """A convolution along time whose filters have a norm of at most `max_norm`; see :func:`within`."""

    def __init__(
        self, channels: int, filters: int, kernel: int, *, bias: bool = True, max_norm: float | None = None
    ) -> None:
        super().__init__(channels, filters, kernel, bias=bias)
        self.max_norm = max_norm

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, filters, steps)."""
        return nn.functional.conv1d(x, within(self.weight, self.max_norm), self.bias)


class NormedConv2d(nn.Conv2d):
    """A convolution over electrodes and time whose filters have a norm of at most `max_norm`; see :func:`within`."""

    def __init__(
        self,
        channels: int,
        filters: int,
        kernel: tuple[int, int],
        *,
        groups: int = 1,
        bias: bool = True,
        max_norm: float | None = None,
    ) -> None:
        super().__init__(channels, filters, kernel, groups=groups, bias=bias)
        self.max_norm = max_norm

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, filters, electrodes, steps)."""
        return nn.functional.conv2d(x, within(self.weight, self.max_norm), self.bias, groups=self.groups)


class NormedLinear(nn.Linear):
    """A linear layer whose outputs have weights of a norm of at most `max_norm`; see :func:`within`."""

    def __init__(self, inputs: int, outputs: int, *, max_norm: float | None = None) -> None:
        super().__init__(inputs, outputs)
        self.max_norm = max_norm

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, outputs)."""
        return nn.functional.linear(x, within(self.weight, self.max_norm), self.bias)


class RowNorm(nn.BatchNorm1d):
    """Batch normalisation of the last axis over all others: (..., width) to the same.

    One row alone has no variance, and PyTorch's layer refuses it: in training it is normalised by the running
    statistics, which then stay as they are.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised rows."""
        rows = x.flatten(0, -2)
        if self.training and len(rows) == 1:
            rows = nn.functional.batch_norm(
                rows, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
            )
        else:
            rows = super().forward(rows)
        return rows.reshape(x.shape)


class SingleBiasLSTM(nn.LSTM):
    """One recurrent layer with one bias per gate, batch first; PyTorch's own has two, whose sum is all that counts.

    Parameters
    ----------
    inputs, width : int
        Size of a step, and of the state.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__(inputs, width, batch_first=True)
        del self.bias_hh_l0
        self.register_buffer("bias_hh_l0", torch.zeros(4 * width))  # stays at zero
        start_recurrent(self)


class DenseStack(nn.Module):
    """Hidden layers, each followed by dropout; the result holds every layer's activation, and what the head reads.

    Parameters
    ----------
    inputs : int
        Width of the row that comes in.
    hidden : sequence of int, or int
        Widths of the layers; a number for a single one.
    dropout : float
        Rate after each.
    early_tanh : bool
        Whether all layers but the last use tanh; all others use ReLU.
    """

    def __init__(self, inputs: int, hidden: Sequence[int] | int, *, dropout: float, early_tanh: bool = False) -> None:
        super().__init__()
        hidden = [hidden] if isinstance(hidden, int) else list(hidden)
        widths = [inputs, *hidden]
        if any(width < 1 for width in hidden):
            raise LimbeckError(f"hidden is {hidden}; expected widths of at least 1.")
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in itertools.pairwise(widths))
        self.dropouts = nn.ModuleList(Dropout(dropout) for _ in hidden)
        self.early_tanh = early_tanh
        self.width = widths[-1]

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what the head reads, and ``dense1``, ``dense2``, … before dropout."""
        features = {}
        for place, (layer, dropout) in enumerate(zip(self.layers, self.dropouts, strict=True), start=1):
            h = layer(x)
            h = torch.tanh(h) if self.early_tanh and place < len(self.layers) else torch.relu(h)
            features[f"dense{place}"] = h
            x = dropout(h)
        return x, features


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
