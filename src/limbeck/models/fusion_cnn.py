"""A small convolutional encoder per modality with late fusion: the plain teacher."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import Dropout, SignalEncoder

__all__ = ["FusionCNN"]


@MODELS.register("fusion_cnn")
class FusionCNN(Network):
    """One small convolutional encoder per modality at its own rate, concatenated, then a hidden layer.

    Features: ``fused`` (batch, hidden) and one embedding per modality, ``<modality>`` (batch, 2 * width).

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Signals, each at its own rate and length.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        Channels of each encoder.
    hidden : int
        Width of the fused feature.
    dropout : float
        Rate within the encoders and before the last two layers.
    """

    taken = ("fused",)

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 24,
        hidden: int = 32,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(
            {name: SignalEncoder(shape, width=width, dropout=dropout) for name, shape in modalities.items()}
        )
        self.fuse = nn.Linear(2 * width * len(modalities), hidden)
        self.before_fuse, self.before_head = Dropout(dropout), Dropout(dropout)
        self.head = nn.Linear(hidden, n_outputs)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        embeddings = {name: encoder(inputs[name]) for name, encoder in self.encoders.items()}
        fused = nn.functional.gelu(self.fuse(self.before_fuse(torch.cat(list(embeddings.values()), dim=-1))))
        return Outputs(self.head(self.before_head(fused)), {"fused": fused, **embeddings})
