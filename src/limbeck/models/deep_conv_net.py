"""DeepConvNet: a deep convolutional network for EEG."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import Dropout, NormedConv1d, NormedConv2d
from limbeck.models.shapes import refuse_limits, refuse_short, shortest_window
from limbeck.models.starts import start_glorot

__all__ = ["DeepConvNet"]

SCHIRRMEISTER = (
    "Schirrmeister et al., Deep learning with convolutional neural networks for EEG decoding and visualization, "
    "Human Brain Mapping, 2017"
)


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
        Whether the first convolution has a bias, and weights start as PyTorch draws them, as in that repository.

    Notes
    -----
    Layers, norms and initial values (Glorot's uniform rule) are those of the paper and of braindecode. Weights are
    shortened as they enter a layer (`limbeck.models.layers.within`), not where they are stored.
    """

    max_modalities = 1
    paper: ClassVar[str] = SCHIRRMEISTER
    example: ClassVar[Mapping[str, InputShape]] = {"eeg": InputShape(28, 512, 128.0)}
    initialise: Callable[[nn.Module], None] | None

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
        refuse_short("deep_conv_net", modalities, shortest_window(*spans), or_else="a smaller kernel or pool")
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
        self.initialise = None if as_released else start_glorot
        if not as_released:
            self.apply(start_glorot)
        else:
            self.idle = {"temporal.bias": "normalisation takes away what it adds"}

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        h = self.spatial(self.temporal(inputs[self.modality].unsqueeze(1))).squeeze(2)
        h = self.pool(nn.functional.elu(self.norm(h)))
        features = {"block1": h}
        for place, block in enumerate(self.blocks, start=2):
            h = features[f"block{place}"] = block(h)
        return Outputs(self.head(h).squeeze(-1), features)
