"""Projectors for learning without labels: what a loss compares in the place of an encoder's own features.

None of them is part of what is deployed; they are used in pre-training and left behind.
"""

from __future__ import annotations

import itertools
from typing import Literal, get_args

from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models.layers import RowNorm

__all__ = ["ContrastiveProjector", "Norm", "Predictor", "PrototypeProjector"]

Norm = Literal["batch", "layer", "none"]
"""What follows the hidden layers: statistics of the batch, of each row, or nothing."""


def _norm_layer(norm: Norm, width: int) -> nn.Module:
    if norm not in get_args(Norm):
        raise LimbeckError(f"norm is '{norm}'; expected one of {', '.join(get_args(Norm))}.")
    return {"batch": RowNorm, "layer": nn.LayerNorm, "none": nn.Identity}[norm](width)


class ContrastiveProjector(nn.Module):
    """From an embedding to the space of a contrastive loss (SimCLR): hidden layers and a last one without activation.

    Each hidden layer is followed by `norm` and ReLU. The projection is not brought to unit length: cosine losses do
    that, and others need not.

    Parameters
    ----------
    width : int
        Of the embedding.
    hidden : int
        Of the hidden layers.
    outputs : int
        Of the projection.
    depth : int
        Layers, the last one among them.
    norm : {"batch", "layer", "none"}
        After each hidden layer. Batch is published; a projection then depends on the batch in training, and a batch of
        a single row takes the running statistics.

    Notes
    -----
    Chen, Kornblith, Norouzi and Hinton, A simple framework for contrastive learning of visual representations, ICML
    2020; widths of 512 and 256 as in torcheeg.
    """

    def __init__(
        self, width: int, *, hidden: int = 512, outputs: int = 256, depth: int = 2, norm: Norm = "batch"
    ) -> None:
        super().__init__()
        if depth < 1:
            raise LimbeckError(f"depth is {depth}; expected at least 1.")
        widths = [width] + [hidden] * (depth - 1)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Linear(before, after, bias=norm != "batch"), _norm_layer(norm, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, outputs) for (batch, width)."""
        return self.layers(x)


class Predictor(ContrastiveProjector):
    """From a projection to what it is to predict, of the same width (BYOL): only the student has one.

    Parameters
    ----------
    width : int
        Of the projections.
    hidden : int
        Of the hidden layer.
    norm : {"batch", "layer", "none"}
        After the hidden layer.

    Notes
    -----
    Grill et al., Bootstrap your own latent: a new approach to self-supervised learning, NeurIPS 2020.
    """

    def __init__(self, width: int, *, hidden: int = 512, norm: Norm = "batch") -> None:
        super().__init__(width, hidden=hidden, outputs=width, norm=norm)


class PrototypeProjector(nn.Module):
    """From an embedding to its likeness with learnt directions (DINO, XKD), which a loss turns into probabilities.

    Two hidden layers with layer normalisation and GELU, a narrow layer whose output is brought to unit length, and the
    cosines of that with `outputs` directions. A last normalisation without weights spreads the cosines.

    Parameters
    ----------
    width : int
        Of the embedding.
    hidden : int
        Of the two hidden layers.
    bottleneck : int
        Of the narrow layer.
    outputs : int
        Directions.

    Notes
    -----
    As published, the directions have a fixed length of 1: only where they point is learnt. Sizes published for video
    and sound are 2048-256-8192, those here fit recordings of a few thousand windows.
    """

    def __init__(self, width: int, *, hidden: int = 512, bottleneck: int = 64, outputs: int = 1024) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden),
            nn.LayerNorm(hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.LayerNorm(hidden),
            nn.GELU(),
            nn.Linear(hidden, bottleneck),
        )
        self.directions = nn.Linear(bottleneck, outputs, bias=False)
        self.last_norm = nn.LayerNorm(outputs, elementwise_affine=False)
        self.layers.apply(_start_narrow)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, outputs) for (batch, width)."""
        normalise = nn.functional.normalize
        cosines = nn.functional.linear(normalise(self.layers(x), dim=-1), normalise(self.directions.weight, dim=-1))
        return self.last_norm(cosines)


def _start_narrow(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
