"""Convolutions and a recurrent layer on skin conductance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import Dropout
from limbeck.models.shapes import checked_widths, refuse_short

__all__ = ["CNNRNN"]


@MODELS.register("cnn_rnn")
class CNNRNN(Network):
    """Three convolutions that halve a signal each, then a gated recurrent layer: the baseline for skin conductance.

    Features: ``conv`` (batch, width[-1], steps), what leaves the last convolution; ``sequence`` (batch, steps, hidden),
    what the recurrent layer says at each step; ``hidden`` (batch, hidden), what the head reads.

    The paper's abstract names convolutions and a residual bidirectional recurrent layer; how large they are is not
    known to us, and all sizes are our choice. The default reads forwards and hands on the last step. `bidirectional`
    reads both ways, adds both to what was read, and hands on the mean over time: what the abstract says, in our way.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        One signal, long enough for two steps: 9 samples with three convolutions.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : sequence of int, or int
        Filters of each convolution, which normalisation and ReLU follow.
    kernel : int
        Samples, then steps, that a filter spans; odd.
    hidden : int
        Width of the recurrent layer.
    dropout : float
        Rate before the last layer; none by default.
    bidirectional : bool
        Whether it reads both ways, beside a direct path; `hidden` is then the width of the last convolution.
    """

    max_modalities = 1
    looped: ClassVar[str] = "PyTorch has no rule for recurrent layers of many networks at once"
    paper: ClassVar[str] = (
        "Susanto et al., Emotion recognition from galvanic skin response signal based on deep hybrid neural networks, "
        "ICMR, 2020"
    )
    example: ClassVar[Mapping[str, InputShape]] = {"eda": InputShape(1, 512, 128.0)}

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: Sequence[int] | int = (16, 32, 64),
        kernel: int = 7,
        hidden: int = 64,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        ((self.modality, shape),) = modalities.items()
        width = checked_widths("cnn_rnn", "width", width)
        if kernel < 1 or kernel % 2 == 0:
            raise LimbeckError(f"cnn_rnn: kernel is {kernel}; expected an odd number.")
        if bidirectional and hidden != width[-1]:
            raise LimbeckError(
                f"cnn_rnn: hidden is {hidden} and the last convolution has {width[-1]} filters; both are added up when "
                "bidirectional, so they must agree."
            )
        # On one step the recurrent weights would never be used.
        shortest = 2 ** len(width) + 1
        refuse_short("cnn_rnn", modalities, shortest, or_else="fewer convolutions (width)")
        self.convs = nn.Sequential()
        for channels, filters in pairwise([shape.channels, *width]):
            self.convs.append(nn.Conv1d(channels, filters, kernel, stride=2, padding=kernel // 2, bias=False))
            self.convs.append(nn.BatchNorm1d(filters))
            self.convs.append(nn.ReLU())
        self.recurrent = nn.GRU(width[-1], hidden, batch_first=True, bidirectional=bidirectional)
        self.bidirectional = bidirectional
        self.before_head = Dropout(dropout)
        self.head = nn.Linear(hidden, n_outputs)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        conv = self.convs(inputs[self.modality])
        steps = conv.transpose(1, 2)
        sequence, _ = self.recurrent(steps)
        if self.bidirectional:
            sequence = steps + torch.stack(sequence.chunk(2, dim=-1)).sum(dim=0)
        hidden = sequence.mean(dim=1) if self.bidirectional else sequence[:, -1]
        return Outputs(self.head(self.before_head(hidden)), {"conv": conv, "sequence": sequence, "hidden": hidden})
