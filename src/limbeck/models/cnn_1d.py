"""The two-layer convolutional network of BioVid baselines, which is also the backbone of fusion models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import Dropout
from limbeck.models.shapes import refuse_short, shortest_window

__all__ = ["CNN1D"]


@MODELS.register("cnn_1d")
class CNN1D(Network):
    """Two convolutions and two linear layers over one signal, the plain baseline of pain studies on BioVid.

    Features: ``conv2`` (batch, 2 * width, steps), after its pooling, and ``fc1`` (batch, hidden).

    Nearly all of its weights lie between the two: 11.4 million for 5.5 s at 512 Hz. Half the channels and a hidden
    width of 64 (``width=16, hidden=64``) make a student of it.

    The released code declares an activation between the two linear layers and does not apply it, so both are one linear
    map; here it is applied and followed by dropout. `as_released` leaves both out.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        One signal; 27 samples or more with the default kernel.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        Channels of the first convolution; the second has twice as many.
    hidden : int
        Width of the first linear layer.
    kernel : int
        Samples, then steps, that the convolutions span.
    dropout : float
        Rate before the last layer, unless `as_released`.
    as_released : bool
        Whether the linear layers follow each other without activation and dropout.

    Notes
    -----
    The layers are those of the code PoloWlg/Transformer_fusion_biovid. It has no dropout; the rate is our choice.
    """

    max_modalities = 1
    paper: ClassVar[str] = "Code PoloWlg/Transformer_fusion_biovid, GitHub; used by Martinez, thesis, 2024"
    example: ClassVar[Mapping[str, InputShape]] = {"eda": InputShape(1, 2816, 512.0)}

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 32,
        hidden: int = 512,
        kernel: int = 5,
        dropout: float = 0.5,
        as_released: bool = False,
    ) -> None:
        super().__init__()
        shortest = shortest_window((kernel, 2), (2, 2), (kernel, 1), (2, 2))
        refuse_short("cnn_1d", modalities, shortest, or_else="a smaller kernel")
        ((self.modality, shape),) = modalities.items()
        self.conv1 = nn.Conv1d(shape.channels, width, kernel, stride=2)
        self.conv2 = nn.Conv1d(width, 2 * width, kernel)
        self.pool = nn.MaxPool1d(2)
        with torch.no_grad():
            steps = self.convolve(shape.zeros(1)).shape[-1]
        self.fc1 = nn.Linear(2 * width * steps, hidden)
        self.as_released = as_released
        self.before_head = Dropout(0.0 if as_released else dropout)
        self.head = nn.Linear(hidden, n_outputs)

    def convolve(self, x: Tensor) -> Tensor:
        """Return the last feature map for a signal."""
        return self.pool(torch.relu(self.conv2(self.pool(torch.relu(self.conv1(x))))))

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        conv2 = self.convolve(inputs[self.modality])
        fc1 = self.fc1(conv2.flatten(1))
        if not self.as_released:
            fc1 = torch.relu(fc1)
        return Outputs(self.head(self.before_head(fc1)), {"conv2": conv2, "fc1": fc1})
