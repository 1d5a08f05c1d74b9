"""Layers that the training engine needs to know about, and blocks that several models share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models.contract import InputShape

__all__ = ["Dropout", "SignalEncoder"]


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
