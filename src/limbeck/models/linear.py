"""A linear model over features: logistic regression for classes, linear regression for a trace."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from limbeck.models.contract import MODELS, InputShape, Network, Outputs

__all__ = ["Linear"]


def _start_at_zero(layer: nn.Linear) -> None:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


@MODELS.register("linear")
class Linear(Network):
    """One linear layer over the concatenated features, started at zero.

    With weight decay this is a regularised logistic regression; its loss is convex, so the start does not matter and
    zero makes it deterministic. It has no intermediate features.

    With `balance`, the features of each modality are divided by the root of their number (block scaling, as in
    multi-block principal component analysis), so that 190 band powers do not drown 4 numbers of the heart.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features of any number of modalities.
    n_outputs : int
        Number of classes, or 1 for a trace.
    balance : bool
        Whether every modality weighs the same, however many features it has.
    """

    reads = "features"
    initialise = staticmethod(_start_at_zero)

    def __init__(self, modalities: Mapping[str, InputShape], n_outputs: int, *, balance: bool = False) -> None:
        super().__init__()
        self.scales = {name: shape.channels**-0.5 if balance else 1.0 for name, shape in modalities.items()}
        self.head = nn.Linear(sum(shape.channels for shape in modalities.values()), n_outputs)
        self.initialise(self.head)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value."""
        x = torch.cat([inputs[name] * scale for name, scale in self.scales.items()], dim=-1)
        return Outputs(self.head(x), {})
