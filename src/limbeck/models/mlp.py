"""A small multi-layer perceptron over the features of any set of modalities."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import Dropout

__all__ = ["MLP"]


@MODELS.register("mlp")
class MLP(Network):
    """Two hidden layers over the concatenated features.

    Features: ``hidden`` (batch, hidden // 2).

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features of any number of modalities.
    n_outputs : int
        Number of classes, or 1 for a trace.
    hidden : int
        Width of the first hidden layer; the second has half of it.
    dropout : float
        Rate before each hidden layer's successor.
    """

    reads = "features"

    def __init__(
        self, modalities: Mapping[str, InputShape], n_outputs: int, *, hidden: int = 32, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.modalities = tuple(modalities)
        width = sum(shape.channels for shape in modalities.values())
        self.first, self.second = nn.Linear(width, hidden), nn.Linear(hidden, hidden // 2)
        self.after_first, self.after_second = Dropout(dropout), Dropout(dropout)
        self.head = nn.Linear(hidden // 2, n_outputs)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named feature."""
        x = torch.cat([inputs[name] for name in self.modalities], dim=-1)
        h = self.after_first(nn.functional.gelu(self.first(x)))
        hidden = nn.functional.gelu(self.second(h))
        return Outputs(self.head(self.after_second(hidden)), {"hidden": hidden})
