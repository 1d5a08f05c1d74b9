"""Convolutions per modality whose joined features a linear machine reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.shapes import checked_widths, refuse_short, shortest_window

__all__ = ["CNNSVM"]


@MODELS.register("cnn_svm")
class CNNSVM(Network):
    """CNN-SVM: convolutions of each modality, whose joined features one linear layer scores.

    Features: ``<modality>`` (batch, width[-1] * steps), what leaves its last pooling; ``joined``, all of them in the
    order of the view, which the head reads.

    In the paper a support-vector machine is fitted on what the trained convolutions say. Here the head is a linear
    layer: its outputs are the scores of linear machines, one against the rest. They become those of a support-vector
    machine by how they are trained, a hinge loss and a weight decay on the head; with cross-entropy it is a logistic
    regression. A machine with a kernel, and the paper's augmentation (inversion, recombination, noise), are not in it.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Signals, each at its own rate, of 36 samples at least; fewer with a smaller `kernel` or `pool`.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : sequence of int, or int
        Filters of each convolution, which normalisation, ReLU and pooling follow.
    kernel : int
        Samples, then steps, that a filter spans.
    pool : int
        Steps of which each layer hands on the largest.

    Notes
    -----
    The paper's abstract gives the sensors (ECG, skin conductance, respiration) and the method; all sizes are our
    choice.
    """

    taken = ("joined",)
    paper: ClassVar[str] = "Guo et al., Multimodal emotion recognition using CNN-SVM and data augmentation, 2022"
    example: ClassVar[Mapping[str, InputShape]] = {
        "ecg": InputShape(1, 512, 128.0),
        "eda": InputShape(1, 512, 128.0),
        "resp": InputShape(1, 512, 128.0),
    }

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: Sequence[int] | int = (16, 32),
        kernel: int = 5,
        pool: int = 4,
    ) -> None:
        super().__init__()
        width = checked_widths("cnn_svm", "width", width)
        # Without pooling the last span asks for two steps: normalisation knows no variance of one.
        spans = [(kernel, 1), (pool, pool)] * len(width) + ([(2, 1)] if pool == 1 else [])
        refuse_short("cnn_svm", modalities, shortest_window(*spans), or_else="a smaller kernel or pool")
        self.encoders = nn.ModuleDict()
        steps = 0
        for name, shape in modalities.items():
            layers, left = nn.Sequential(), shape.length
            for channels, filters in pairwise([shape.channels, *width]):
                layers.append(nn.Conv1d(channels, filters, kernel, bias=False))
                layers.extend([nn.BatchNorm1d(filters), nn.ReLU(), nn.MaxPool1d(pool)])
                left = (left - kernel + 1) // pool
            self.encoders[name] = layers
            steps += left
        self.head = nn.Linear(width[-1] * steps, n_outputs)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        features = {name: encoder(inputs[name]).flatten(1) for name, encoder in self.encoders.items()}
        joined = torch.cat(list(features.values()), dim=-1)
        return Outputs(self.head(joined), {**features, "joined": joined})
