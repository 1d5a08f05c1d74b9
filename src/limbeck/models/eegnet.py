"""EEGNet: a compact network of filters along time, across electrodes, and along time again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import Dropout, NormedConv2d, NormedLinear
from limbeck.models.shapes import refuse_limits, refuse_short
from limbeck.models.starts import start_glorot

__all__ = ["EEGNet"]

MIDDLE_RATE = 32.0
"""Hz to which the first pooling brings a signal, about: every fourth sample of 128 Hz."""

LAST_POOL = 8
"""Steps that the second pooling averages."""

EPSILON, MOMENTUM = 1e-3, 0.01
"""Of batch normalisation in the published framework, whose momentum of 0.99 is 0.01 here."""


@MODELS.register("eegnet")
class EEGNet(Network):
    """EEGNet: filters along time, electrode weights for each, and separable filters, in some two thousand parameters.

    Features: ``block1`` (batch, width * multiplier, steps), after the electrodes are weighted, about 32 steps a second;
    ``block2`` (batch, hidden, steps), after the separable filters, an eighth as many steps.

    The default is EEGNet-8,2. Lengths follow the rate, as the paper advises for others than its 128 Hz: the first
    filters span half a second, the first pooling brings the signal to about 32 Hz (every fourth sample of 128 Hz; none
    at 32 Hz or slower), and the second filters span half a second of that. Convolutions keep the length.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        One signal of one channel or more and a quarter of a second at least (32 samples of 128 Hz; 8 of a slow one).
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        Filters along time (F1).
    multiplier : int
        Weightings of the electrodes for each of them (D).
    hidden : int
        Filters of the second block (F2).
    kernel : int or None
        Samples that the first filters span; None for half a second.
    dropout : float
        Rate after each block: 0.25 across subjects, 0.5 within one, in the paper.
    max_norm, head_max_norm : float or None
        Largest norm of an electrode weighting, and of the weights of an output; None for any.

    Notes
    -----
    Lawhern et al. 2018 and their released code, whose initial values (Glorot's uniform rule) these are. Weights are
    shortened as they enter a layer (`limbeck.models.layers.within`), not where they are stored. The first
    normalisation has a bias on which nothing depends; it is kept for the published number of parameters.
    """

    max_modalities = 1
    paper: ClassVar[str] = (
        "Lawhern et al., EEGNet: a compact convolutional neural network for EEG-based brain-computer interfaces, "
        "Journal of Neural Engineering, 2018"
    )
    example: ClassVar[Mapping[str, InputShape]] = {"eeg": InputShape(64, 128, 128.0)}
    idle: Mapping[str, str] = {"norm1.bias": "the second normalisation takes away what it adds"}
    initialise = staticmethod(start_glorot)

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 8,
        multiplier: int = 2,
        hidden: int = 16,
        kernel: int | None = None,
        dropout: float = 0.25,
        max_norm: float | None = 1.0,
        head_max_norm: float | None = 0.25,
    ) -> None:
        super().__init__()
        refuse_limits("eegnet", max_norm=max_norm, head_max_norm=head_max_norm)
        ((self.modality, shape),) = modalities.items()
        rate = shape.rate or MIDDLE_RATE
        pool = max(1, round(rate / MIDDLE_RATE))
        refuse_short("eegnet", modalities, pool * LAST_POOL, by_rate=True)
        first = max(1, round(rate / 2)) if kernel is None else kernel
        second = max(1, round(rate / pool / 2))
        inner = width * multiplier
        self.temporal = nn.Conv2d(1, width, (1, first), bias=False)
        self.norm1 = nn.BatchNorm2d(width, eps=EPSILON, momentum=MOMENTUM)
        self.spatial = NormedConv2d(width, inner, (shape.channels, 1), groups=width, bias=False, max_norm=max_norm)
        self.norm2 = nn.BatchNorm1d(inner, eps=EPSILON, momentum=MOMENTUM)
        self.pool1, self.dropout1 = nn.AvgPool1d(pool), Dropout(dropout)
        self.separable = nn.Conv1d(inner, inner, second, groups=inner, bias=False)
        self.pointwise = nn.Conv1d(inner, hidden, 1, bias=False)
        self.norm3 = nn.BatchNorm1d(hidden, eps=EPSILON, momentum=MOMENTUM)
        self.pool2, self.dropout2 = nn.AvgPool1d(LAST_POOL), Dropout(dropout)
        self.head = NormedLinear(hidden * (shape.length // pool // LAST_POOL), n_outputs, max_norm=head_max_norm)
        self.apply(start_glorot)
        # The published framework counts the inputs of a grouped convolution otherwise.
        bound = math.sqrt(6 / (shape.channels * (width + multiplier)))
        nn.init.uniform_(self.spatial.weight, -bound, bound)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        x = inputs[self.modality].unsqueeze(1)
        h = self.norm1(self.temporal(_around(x, self.temporal.kernel_size[-1])))
        h = nn.functional.elu(self.norm2(self.spatial(h).squeeze(2)))
        block1 = self.pool1(h)
        h = self.separable(_around(self.dropout1(block1), self.separable.kernel_size[0]))
        block2 = self.pool2(nn.functional.elu(self.norm3(self.pointwise(h))))
        return Outputs(self.head(self.dropout2(block2).flatten(1)), {"block1": block1, "block2": block2})


def _around(x: Tensor, kernel: int) -> Tensor:
    """Return `x` with zeros on both sides, so that a filter keeps its length; an even one has one more behind."""
    return nn.functional.pad(x, ((kernel - 1) // 2, kernel // 2))
