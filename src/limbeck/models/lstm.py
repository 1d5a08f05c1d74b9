"""Recurrent baselines: an LSTM on a thinned signal, and one on convolutions."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import Dropout
from limbeck.models.shapes import refuse_short, shortest_window

__all__ = ["CNNLSTM", "LSTM"]

_RECURRENT = "PyTorch has no rule for recurrent layers of many networks at once"
_THESIS = "Listed without sizes in Martinez, thesis, 2024; the sizes are our choice"


@MODELS.register("lstm")
class LSTM(Network):
    """Two recurrent layers over a signal thinned to about 32 Hz, read at the last step.

    Features: ``sequence`` (batch, steps, hidden), what the last layer says at each step, and ``hidden`` (batch,
    hidden), its last step.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        One signal, long enough for two steps.
    n_outputs : int
        Number of classes, or 1 for a trace.
    hidden : int
        Width of each layer.
    depth : int
        Number of layers.
    dropout : float
        Rate between them; a single layer has none.
    frequency : float
        Hz that the recurrent layers see, about: as many samples as go into one of its periods are averaged, so that a
        signal slower than it stays as it is. Samples that fill no period are left out at the end.

    Notes
    -----
    The source names the model and neither its sizes nor its rate; all of them are our choice.
    """

    max_modalities = 1
    looped: ClassVar[str] = _RECURRENT
    paper: ClassVar[str] = _THESIS
    example: ClassVar[Mapping[str, InputShape]] = {"eda": InputShape(1, 2816, 512.0)}

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        hidden: int = 64,
        depth: int = 2,
        dropout: float = 0.2,
        frequency: float = 32.0,
    ) -> None:
        super().__init__()
        if frequency <= 0:
            raise LimbeckError(f"frequency is {frequency}; expected more than 0 Hz.")
        ((self.modality, shape),) = modalities.items()
        self.average = max(1, round((shape.rate or frequency) / frequency))
        refuse_short("lstm", modalities, 2 * self.average, or_else="a higher frequency", by_rate=True)
        widths = [shape.channels, *[hidden] * depth]
        self.layers = nn.ModuleList(nn.LSTM(inputs, outputs, batch_first=True) for inputs, outputs in pairwise(widths))
        self.between = nn.ModuleList(Dropout(dropout) for _ in range(depth - 1))
        self.head = nn.Linear(hidden, n_outputs)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        x = inputs[self.modality]
        h = (nn.functional.avg_pool1d(x, self.average) if self.average > 1 else x).transpose(1, 2)
        for position, layer in enumerate(self.layers):
            h, _ = layer(self.between[position - 1](h) if position else h)
        last = h[:, -1]
        return Outputs(self.head(last), {"sequence": h, "hidden": last})


@MODELS.register("cnn_lstm")
class CNNLSTM(Network):
    """Two convolutions that thin a signal by 128, then a recurrent layer read at its last step.

    Features: ``conv2`` (batch, 2 * width, steps), ``hidden`` (batch, hidden).

    Parameters
    ----------
    modalities : mapping of str to InputShape
        One signal; 339 samples or more with the default `pool`, 107 with 2, 39 with 1.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        Channels of the first convolution; the second has twice as many.
    hidden : int
        Width of the recurrent layer.
    kernel : int
        Samples, then steps, that the convolutions span.
    pool : int
        Steps of which each convolution hands on the largest; fewer for short or slow signals.

    Notes
    -----
    The source names the model and not its sizes; all of them are our choice. The convolutions have no biases, which the
    normalisation behind them would take away: 48,162 parameters for 5.5 s at 512 Hz, with biases 96 more.
    """

    max_modalities = 1
    looped: ClassVar[str] = _RECURRENT
    paper: ClassVar[str] = _THESIS
    example: ClassVar[Mapping[str, InputShape]] = {"eda": InputShape(1, 2816, 512.0)}

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 32,
        hidden: int = 64,
        kernel: int = 7,
        pool: int = 4,
    ) -> None:
        super().__init__()
        # The last span asks for two steps: on one, the recurrent weights would never be used.
        shortest = shortest_window((kernel, 4), (pool, pool), (kernel, 2), (pool, pool), (2, 1))
        refuse_short("cnn_lstm", modalities, shortest, or_else="a smaller kernel or pool")
        ((self.modality, shape),) = modalities.items()
        self.conv1, self.norm1 = nn.Conv1d(shape.channels, width, kernel, stride=4, bias=False), nn.BatchNorm1d(width)
        self.conv2, self.norm2 = nn.Conv1d(width, 2 * width, kernel, stride=2, bias=False), nn.BatchNorm1d(2 * width)
        self.pool = nn.MaxPool1d(pool)
        self.recurrent = nn.LSTM(2 * width, hidden, batch_first=True)
        self.head = nn.Linear(hidden, n_outputs)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        h = self.pool(torch.relu(self.norm1(self.conv1(inputs[self.modality]))))
        conv2 = self.pool(torch.relu(self.norm2(self.conv2(h))))
        sequence, _ = self.recurrent(conv2.transpose(1, 2))
        hidden = sequence[:, -1]
        return Outputs(self.head(hidden), {"conv2": conv2, "hidden": hidden})
