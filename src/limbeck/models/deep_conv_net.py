"""DeepConvNet, and the layers that keep the norm of their weights within a bound."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models.cnn_1d import refuse_short_windows
from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import Dropout

__all__ = ["DeepConvNet", "NormedConv1d", "NormedConv2d", "NormedLinear", "glorot_initialise", "within"]

SCHIRRMEISTER = (
    "Schirrmeister et al., Deep learning with convolutional neural networks for EEG decoding and visualization, "
    "Human Brain Mapping, 2017"
)


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


def glorot_initialise(module: nn.Module) -> None:
    """Draw the weights of convolutions and linear layers by Glorot and Bengio's uniform rule, with biases of zero."""
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def refuse_limits(name: str, **limits: float | None) -> None:
    """Raise LimbeckError unless each limit of a norm is None or above zero."""
    for option, limit in limits.items():
        if limit is not None and limit <= 0:
            raise LimbeckError(f"{name}: {option} is {limit}; expected more than 0, or none for no limit.")


class _Block(nn.Module):
    """Dropout, a convolution, normalisation, ELU, and the largest of every `pool` steps."""

    def __init__(
        self, channels: int, filters: int, kernel: int, *, pool: int, dropout: float, max_norm: float | None
    ) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.conv = NormedConv1d(channels, filters, kernel, bias=False, max_norm=max_norm)
        self.norm = nn.BatchNorm1d(filters)
        self.pool = nn.MaxPool1d(pool)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(nn.functional.elu(self.norm(self.conv(self.dropout(x)))))


@MODELS.register("deep_conv_net")
class DeepConvNet(Network):
    """DeepConvNet: filters along time, then across electrodes, then three more blocks of ever more filters.

    Features: ``block1`` to ``block<depth>`` (batch, filters, steps), what leaves each pooling; the filters of the first
    block are `width`, those of each later one twice as many as before.

    The default is the design of braindecode (Deep4). The version that the TSception repository compares with, and
    EmotionKD probably as well, is ``kernel: 5, dropout: 0.25, as_released: true``.

    Published fault that is mended: the first convolution has a bias although normalisation, which follows with nothing
    but a linear layer in between, takes any constant away; `as_released` brings the bias back, for the published number
    of parameters.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        One signal of one channel or more. Kernels and pools count samples, whatever the rate: they were chosen for
        250 Hz (`kernel` 10) and 128 Hz (`kernel` 5), and read 441 or 241 samples at least; fewer with a smaller
        `kernel`, `pool` or `depth`.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        Filters of the first block.
    depth : int
        Blocks.
    kernel : int
        Samples, then steps, that a filter spans.
    pool : int
        Steps of which each block hands on the largest.
    dropout : float
        Rate before each block but the first.
    max_norm, head_max_norm : float or None
        Largest norm of a filter's weights, and of those of an output; None for any.
    as_released : bool
        Whether the first convolution has a bias.

    Notes
    -----
    Layers, norms and initial values (Glorot's uniform rule) are those of the paper and of braindecode. Weights are
    shortened as they enter a layer (`within`), not where they are stored.
    """

    max_modalities = 1
    paper: ClassVar[str] = SCHIRRMEISTER
    example: ClassVar[Mapping[str, InputShape]] = {"eeg": InputShape(28, 512, 128.0)}
    initialise = staticmethod(glorot_initialise)

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 25,
        depth: int = 4,
        kernel: int = 10,
        pool: int = 3,
        dropout: float = 0.5,
        max_norm: float | None = 2.0,
        head_max_norm: float | None = 0.5,
        as_released: bool = False,
    ) -> None:
        super().__init__()
        if depth < 1:
            raise LimbeckError(f"deep_conv_net: depth is {depth}; expected 1 or more.")
        refuse_limits("deep_conv_net", max_norm=max_norm, head_max_norm=head_max_norm)
        # Without pooling the last span asks for two steps: normalisation knows no variance of one.
        spans = [(kernel, 1), (pool, pool)] * depth + ([(2, 1)] if pool == 1 else [])
        refuse_short_windows("deep_conv_net", modalities, *spans)
        ((self.modality, shape),) = modalities.items()
        self.temporal = NormedConv2d(1, width, (1, kernel), bias=as_released, max_norm=max_norm)
        self.spatial = NormedConv2d(width, width, (shape.channels, 1), bias=False, max_norm=max_norm)
        self.norm = nn.BatchNorm1d(width)
        self.pool = nn.MaxPool1d(pool)
        filters = [width * 2**place for place in range(depth)]
        self.blocks = nn.ModuleList(
            _Block(*pair, kernel, pool=pool, dropout=dropout, max_norm=max_norm) for pair in pairwise(filters)
        )
        steps = shape.length
        for _ in range(depth):
            steps = (steps - kernel + 1) // pool
        self.head = NormedConv1d(filters[-1], n_outputs, steps, max_norm=head_max_norm)
        self.apply(glorot_initialise)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        h = self.spatial(self.temporal(inputs[self.modality].unsqueeze(1))).squeeze(2)
        h = self.pool(nn.functional.elu(self.norm(h)))
        features = {"block1": h}
        for place, block in enumerate(self.blocks, start=2):
            h = features[f"block{place}"] = block(h)
        return Outputs(self.head(h).squeeze(-1), features)
