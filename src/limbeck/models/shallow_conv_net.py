"""ShallowConvNet: filters whose logarithmic power is what a linear layer reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from torch import Tensor, nn

from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.deep_conv_net import SCHIRRMEISTER
from limbeck.models.layers import Dropout, NormedConv1d, NormedConv2d
from limbeck.models.shapes import refuse_limits, refuse_short, shortest_window
from limbeck.models.starts import start_glorot

__all__ = ["ShallowConvNet"]

FLOOR = 1e-6
"""Power below which the logarithm is not taken, as in braindecode."""


@MODELS.register("shallow_conv_net")
class ShallowConvNet(Network):
    """ShallowConvNet: filters along time and across electrodes, squared, averaged, and the logarithm of that.

    Features: ``power`` (batch, width, steps), the logarithm of each filter's power in each stretch of time.

    Published faults that are mended: the first convolution has a bias although normalisation, which follows with
    nothing but a linear layer in between, takes any constant away; and the TSception repository takes the logarithm of
    a power that may be zero. `as_released` brings both back. That version is ``dropout: 0.25, head_max_norm: null,
    as_released: true``.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        One signal of one channel or more. Kernel and pool count samples, whatever the rate (250 Hz in the paper): 99
        samples at least, fewer with a smaller `kernel` or `pool`.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        Filters.
    kernel : int
        Samples that a filter spans.
    pool, stride : int
        Samples over which the power is averaged, and those between one average and the next.
    dropout : float
        Rate before the last layer.
    max_norm, head_max_norm : float or None
        Largest norm of a filter's weights, and of those of an output; None for any.
    as_released : bool
        Whether the first convolution has a bias, the logarithm no floor, and weights start as PyTorch draws them, as in
        that repository.

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
        width: int = 40,
        kernel: int = 25,
        pool: int = 75,
        stride: int = 15,
        dropout: float = 0.5,
        max_norm: float | None = 2.0,
        head_max_norm: float | None = 0.5,
        as_released: bool = False,
    ) -> None:
        super().__init__()
        refuse_limits("shallow_conv_net", max_norm=max_norm, head_max_norm=head_max_norm)
        # Two steps at least, for normalisation knows no variance of one.
        shortest = shortest_window((kernel, 1), (max(pool, 2), stride))
        refuse_short("shallow_conv_net", modalities, shortest, or_else="a smaller kernel or pool")
        ((self.modality, shape),) = modalities.items()
        self.temporal = NormedConv2d(1, width, (1, kernel), bias=as_released, max_norm=max_norm)
        self.spatial = NormedConv2d(width, width, (shape.channels, 1), bias=False, max_norm=max_norm)
        self.norm = nn.BatchNorm1d(width)
        self.pool = nn.AvgPool1d(pool, stride=stride)
        self.as_released = as_released
        self.before_head = Dropout(dropout)
        steps = (shape.length - kernel + 1 - pool) // stride + 1
        self.head = NormedConv1d(width, n_outputs, steps, max_norm=head_max_norm)
        self.initialise = None if as_released else start_glorot
        if not as_released:
            self.apply(start_glorot)
        else:
            self.idle = {"temporal.bias": "normalisation takes away what it adds"}

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        h = self.norm(self.spatial(self.temporal(inputs[self.modality].unsqueeze(1))).squeeze(2))
        power = self.pool(h.square())
        power = (power if self.as_released else power.clamp(min=FLOOR)).log()
        return Outputs(self.head(self.before_head(power)).squeeze(-1), {"power": power})
