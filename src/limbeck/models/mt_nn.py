"""The multi-task network of personalised pain recognition: a trunk that people share, and heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models.contract import MODELS, FeatureNetwork, InputShape, Outputs
from limbeck.models.layers import Dropout

__all__ = ["MTNN"]


@MODELS.register("mt_nn")
class MTNN(FeatureNetwork):
    """A hidden layer that all people share and a linear head, over features of skin conductance and heart.

    Features: ``trunk`` (batch, hidden).

    The published network has one head per person, so it can only be judged on people whose windows it trained on. A
    network here is not told whose window it reads, and folds leave people out: by default there is one head for all.
    With `n_heads`, the mean of several, each started differently, stands in for the people's; since a head is linear,
    that is an average of starts, with the function of a single one.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features of any number of modalities.
    n_outputs : int
        Number of classes, or 1 for a trace.
    hidden : int
        Width of the shared layer.
    dropout : float
        Rate behind it.
    n_heads : int
        Heads that are averaged.

    Notes
    -----
    Lopez-Martinez and Picard 2017; the sizes and the list of features are our choice, the source gives none that could
    be read.
    """

    paper: ClassVar[str] = (
        "Lopez-Martinez and Picard, Multi-task neural networks for personalized pain recognition from physiological "
        "signals, ACII workshops, 2017"
    )
    example: ClassVar[Mapping[str, InputShape]] = {"eda": InputShape(18), "ecg": InputShape(5)}

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        hidden: int = 25,
        dropout: float = 0.2,
        n_heads: int = 1,
    ) -> None:
        super().__init__()
        if n_heads < 1:
            raise LimbeckError(f"n_heads is {n_heads}; expected at least 1.")
        self.n_heads = n_heads
        self.trunk = nn.Linear(self._read(modalities), hidden)
        self.dropout = Dropout(dropout)
        self.heads = nn.Linear(hidden, n_heads * n_outputs)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named feature."""
        trunk = torch.relu(self.trunk(self._row(inputs)))
        each = self.heads(self.dropout(trunk)).unflatten(-1, (self.n_heads, -1))
        return Outputs(each.mean(dim=-2), {"trunk": trunk})
