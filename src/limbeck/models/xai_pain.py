"""The perceptron and the convolutional network of a comparison of pain recognition from skin conductance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import Dropout
from limbeck.models.shapes import refuse_short, shortest_window
from limbeck.models.starts import start_glorot

__all__ = ["XaiCNN", "XaiMLP"]

_PAPER = (
    "Gouverneur et al., Explainable artificial intelligence (XAI) in pain research: understanding the role of "
    "electrodermal activity for automated pain recognition, Sensors 23(4):1959, 2023"
)
_EXAMPLE = {"eda": InputShape(1, 1408, 256.0)}


@MODELS.register("xai_mlp")
class XaiMLP(Network):
    """Two hidden layers over the samples of a window, as they are.

    Features: ``hidden`` (batch, second width).

    Published on 5.5 s of skin conductance at 256 Hz, smoothed and scaled to between 0 and 1 window by window; such
    steps belong to the study.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Signals; their samples are put side by side.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        Of the first hidden layer.
    hidden : int
        Of the second.
    dropout : float
        Rate behind each.

    Notes
    -----
    Gouverneur et al. 2023; weights start as Keras, in which it was written, starts them.
    """

    paper: ClassVar[str] = _PAPER
    example: ClassVar[Mapping[str, InputShape]] = _EXAMPLE
    initialise = staticmethod(start_glorot)

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 250,
        hidden: int = 100,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.modalities = tuple(modalities)
        self.first = nn.Linear(sum(shape.channels * shape.length for shape in modalities.values()), width)
        self.second = nn.Linear(width, hidden)
        self.after_first, self.after_second = Dropout(dropout), Dropout(dropout)
        self.head = nn.Linear(hidden, n_outputs)
        self.apply(start_glorot)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named feature."""
        x = torch.cat([inputs[name].flatten(1) for name in self.modalities], dim=-1)
        hidden = torch.relu(self.second(self.after_first(torch.relu(self.first(x)))))
        return Outputs(self.head(self.after_second(hidden)), {"hidden": hidden})


@MODELS.register("xai_cnn")
class XaiCNN(Network):
    """Three convolutions that narrow from 128 to 32 channels and thin a signal by 512, then two hidden layers.

    Features: ``conv3`` (batch, width // 4, steps), after its pooling, and ``hidden`` (batch, hidden).

    Published on 5.5 s of skin conductance at 256 Hz, smoothed and scaled to between 0 and 1 window by window; such
    steps belong to the study.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        One signal; 909 samples or more with the default `pool`, 185 with 2, 51 with 1.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        Channels of the first convolution; the second has half of it, the third a quarter; 4 or
        more.
    hidden : int
        Width of the two hidden layers.
    pool : int
        Steps of which each convolution hands on the largest; fewer for short or slow signals.
    dropout : float
        Rate behind each convolution.

    Notes
    -----
    Gouverneur et al. 2023; weights start as Keras, in which it was written, starts them.
    """

    max_modalities = 1
    paper: ClassVar[str] = _PAPER
    example: ClassVar[Mapping[str, InputShape]] = _EXAMPLE
    initialise = staticmethod(start_glorot)
    least: ClassVar[Mapping[str, int]] = {"width": 4}

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 128,
        hidden: int = 100,
        pool: int = 4,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        kernels = (7, 11, 7)
        shortest = shortest_window(*(span for k in kernels for span in ((k, 2), (pool, pool))))
        refuse_short("xai_cnn", modalities, shortest, or_else="a smaller pool")
        ((self.modality, shape),) = modalities.items()
        channels = (shape.channels, width, width // 2, width // 4)
        self.convolutions = nn.Sequential(
            *(
                nn.Sequential(nn.Conv1d(i, o, k, stride=2), nn.ReLU(), nn.MaxPool1d(pool), Dropout(dropout))
                for i, o, k in zip(channels[:-1], channels[1:], kernels, strict=True)
            )
        )
        with torch.no_grad():
            size = self.convolutions.eval()(shape.zeros(1)).numel()
        self.convolutions.train()
        self.first, self.second = nn.Linear(size, hidden), nn.Linear(hidden, hidden)
        self.head = nn.Linear(hidden, n_outputs)
        self.apply(start_glorot)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        conv3 = self.convolutions(inputs[self.modality])
        hidden = torch.relu(self.second(torch.relu(self.first(conv3.flatten(1)))))
        return Outputs(self.head(hidden), {"conv3": conv3, "hidden": hidden})
