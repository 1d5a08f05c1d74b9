"""SSL-ECG: an encoder of the heart's signal that learns by telling transformations apart, and a classifier on it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor, nn

from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import DenseStack, Dropout
from limbeck.models.shapes import refuse_short
from limbeck.models.starts import start_glorot

__all__ = ["SSLECG", "TRANSFORMATIONS", "SSLECGEncoder", "TaskHead"]

TRANSFORMATIONS: dict[str, float] = {
    "original": 0.195,
    "noise": 0.195,
    "scale": 0.195,
    "negate": 0.0125,
    "flip": 0.0125,
    "permute": 0.195,
    "time_warp": 0.195,
}
"""What is told apart, in the order of the heads, with the published weight of each one's loss."""

KERNELS = (32, 16, 8)
"""Samples at 256 Hz that the filters of the three blocks span."""

POOL, STRIDE = 8, 2
SHORTEST = STRIDE * (POOL - 1) + POOL
"""Samples below which the second pooling has no whole span."""

SLOPE = 0.2
"""Of the activations, below zero."""

ECG = {"ecg": InputShape(1, 2560, 256.0)}


class _SameConv(nn.Conv1d):
    """A convolution as long as its input; an even filter reaches one sample further ahead than back."""

    def forward(self, x: Tensor) -> Tensor:
        beyond = self.kernel_size[0] - 1
        return super().forward(nn.functional.pad(x, (beyond // 2, beyond - beyond // 2)))


class SSLECGEncoder(nn.Module):
    """Six convolutions in three blocks, pooled between them, then the maximum over time: a row for each signal.

    Parameters
    ----------
    shape : InputShape
        A signal of 22 samples or more.
    width : int
        Filters of the first block; the second and third have two and four times as many.
    """

    def __init__(self, shape: InputShape, *, width: int) -> None:
        super().__init__()
        channels = (shape.channels, width, 2 * width, 4 * width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                _SameConv(inputs, filters, kernel),
                nn.LeakyReLU(SLOPE),
                _SameConv(filters, filters, kernel),
                nn.LeakyReLU(SLOPE),
            )
            for (inputs, filters), kernel in zip(itertools.pairwise(channels), KERNELS, strict=True)
        )
        self.width = channels[-1]

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the embedding and the feature map of each block, before its pooling."""
        features = {}
        for place, block in enumerate(self.blocks, start=1):
            if place > 1:
                x = nn.functional.max_pool1d(x, POOL, STRIDE)
            x = block(x)
            features[f"conv{place}"] = x
        return x.amax(dim=-1), features


class TaskHead(nn.Module):
    """Two hidden layers and one logit: whether a window is the work of one transformation.

    Parameters
    ----------
    inputs, hidden : int
        Widths of the embedding and of the hidden layers.
    dropout : float
        Rate after each of them.
    """

    def __init__(self, inputs: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, 1)
        self.after_first, self.after_second = Dropout(dropout), Dropout(dropout)
        self.apply(start_glorot)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, 1) for (batch, inputs)."""
        h = self.after_first(nn.functional.leaky_relu(self.first(x), SLOPE))
        return self.last(self.after_second(nn.functional.leaky_relu(self.second(h), SLOPE)))


@MODELS.register("ssl_ecg")
class SSLECG(Network):
    """SSL-ECG: an encoder of convolutions with two hidden layers for the task at hand.

    Features: ``conv1``, ``conv2``, ``conv3`` (batch, width or 2 or 4 times as many, steps), ``embedding``
    (batch, 4 * width), ``dense1``, ``dense2``, … (batch, hidden).

    It learns before any label by the loss `transformations` on ``embedding``, which brings the published heads; without
    a stage to start from that did so it is trained from scratch.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Exactly one signal of 22 samples or more; published is 10 s of ECG at 256 Hz.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        Filters of the first two convolutions; later pairs have two and four times as many.
    hidden : sequence of int, or int
        Widths of the hidden layers: two of 512, or three for the corpora DREAMER and AMIGOS.
    dropout : float
        Rate after each hidden layer; 0 is published for two layers, 0.2 (DREAMER) and 0.4 (AMIGOS) for three.
    frozen : bool
        Whether no gradient reaches the encoder. Published is true, with a pre-trained encoder; the default trains it
        along, which suits one that is not. Train a frozen one without weight decay, which would shrink it all the same.

    Notes
    -----
    Layers as in the authors' code. Filters span 32, 16 and 8 samples, which belongs to 256 Hz: resample other rates to
    use weights trained there. The published folds mix windows of all subjects; here a study's protocol makes them.
    """

    max_modalities = 1
    paper: ClassVar[str] = (
        "Sarkar and Etemad, Self-supervised ECG representation learning for emotion recognition, IEEE Transactions on "
        "Affective Computing 13(3), 2022"
    )
    example: ClassVar[Mapping[str, InputShape]] = ECG
    initialise = staticmethod(start_glorot)

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 32,
        hidden: Sequence[int] | int = (512, 512),
        dropout: float = 0.0,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        self.frozen = frozen
        if frozen:
            self.idle = {"encoder.*": "frozen"}
        ((self.modality, shape),) = modalities.items()
        refuse_short("SSL-ECG", modalities, SHORTEST)
        self.encoder = SSLECGEncoder(shape, width=width)
        self.dense = DenseStack(self.encoder.width, hidden, dropout=dropout)
        self.head = nn.Linear(self.dense.width, n_outputs)
        self.apply(start_glorot)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        embedding, features = self.encoder(inputs[self.modality])
        if self.frozen:
            embedding = embedding.detach()
        last, dense = self.dense(embedding)
        return Outputs(self.head(last), {**features, "embedding": embedding, **dense})
