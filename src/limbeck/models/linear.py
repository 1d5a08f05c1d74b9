"""A linear model over features: logistic regression for classes, linear regression for a trace."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from limbeck.models.contract import MODELS, InputShape, Outputs

__all__ = ["Linear"]


@MODELS.register("linear")
class Linear(nn.Module):
    """One linear layer over the concatenated features, started at zero.

    With weight decay this is a regularised logistic regression; its loss is convex, so the start does not matter and zero
    makes it deterministic. It has no intermediate features.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features of any number of modalities.
    n_outputs : int
        Number of classes, or 1 for a trace.
    """

    reads = "features"
    max_modalities = None
    missing_modalities = False

    def __init__(self, modalities: Mapping[str, InputShape], n_outputs: int) -> None:
        super().__init__()
        self.modalities = tuple(modalities)
        self.head = nn.Linear(sum(shape.channels for shape in modalities.values()), n_outputs)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value."""
        x = torch.cat([inputs[name] for name in self.modalities], dim=-1)
        return Outputs(self.head(x), {})
