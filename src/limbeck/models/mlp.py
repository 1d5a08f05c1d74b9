"""A small multi-layer perceptron over the features of any set of modalities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from limbeck.models.contract import MODELS, FeatureNetwork, InputShape, Outputs
from limbeck.models.layers import Dropout

__all__ = ["MLP"]


@MODELS.register("mlp")
class MLP(FeatureNetwork):
    """Two hidden layers over the concatenated features.

    Features: ``hidden`` (batch, hidden // 2).

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features of any number of modalities.
    n_outputs : int
        Number of classes, or 1 for a trace.
    hidden : int
        Width of the first hidden layer; 2 or more; the second has half of it.
    dropout : float
        Rate before each hidden layer's successor.
    """

    least: ClassVar[Mapping[str, int]] = {"hidden": 2}

    def __init__(
        self, modalities: Mapping[str, InputShape], n_outputs: int, *, hidden: int = 32, dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(self._read(modalities), hidden), nn.Linear(hidden, hidden // 2)
        self.after_first, self.after_second = Dropout(dropout), Dropout(dropout)
        self.head = nn.Linear(hidden // 2, n_outputs)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named feature."""
        h = self.after_first(nn.functional.gelu(self.first(self._row(inputs))))
        hidden = nn.functional.gelu(self.second(h))
        return Outputs(self.head(self.after_second(hidden)), {"hidden": hidden})
