"""A generator that makes multimodal features out of a cheap modality's, with the discriminator that teaches it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models.contract import MODELS, FeatureNetwork, InputShape, Outputs
from limbeck.models.layers import Dropout
from limbeck.models.shapes import checked_widths

__all__ = ["CGAN", "Discriminator"]

Activation = Literal["sigmoid", "identity"]

SLOPE = 0.2
"""Of the leaky ReLU, below zero; the paper's is not known to us."""


class Discriminator(nn.Module):
    """Tells real multimodal features from generated ones, given the features of the cheap modality.

    It is no part of the deployed network and of no model's parameters: an adversarial loss builds one for itself.

    Parameters
    ----------
    code : int
        Width of the multimodal features.
    condition : int
        Width of the cheap modality's.
    hidden : sequence of int
        Widths of the hidden layers, with leaky ReLU.
    """

    def __init__(self, code: int, condition: int, *, hidden: Sequence[int] = (64, 32)) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        for pair in pairwise([code + condition, *hidden]):
            self.layers.append(nn.Linear(*pair))
            self.layers.append(nn.LeakyReLU(SLOPE))
        self.last = nn.Linear([code + condition, *hidden][-1], 1)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Return one logit per window, (batch, 1): above zero for real ones."""
        return self.last(self.layers(torch.cat([features, condition], dim=-1)))


@MODELS.register("cgan")
class CGAN(FeatureNetwork):
    """Conditional GAN, as deployed: a generator of multimodal features from a cheap modality, and a classifier of them.

    Features: ``condition`` (batch, n_columns), the columns it was given, in the order of the view; ``generated``
    (batch, code), what stands for the multimodal features; it has the shape of ``shared`` of ``bdae``.

    In the paper an auto-encoder of both modalities (``bdae``) is trained first, and its shared code is what is real; a
    conditional GAN then learns to make that code out of the cheap modality, and a classifier reads what is made. This
    network is what is left in use: the generator and the classifier. Its teacher is a ``bdae`` stage, whose ``shared``
    is given as a hint to ``generated``; `Discriminator` is the module that an adversarial loss puts between the two.

    Without such a loss it is a perceptron whose hidden layer is taught. It draws no noise: what varies in training is
    dropout, if any.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features of the cheap modality; those of more than one are joined.
    n_outputs : int
        Number of classes, or 1 for a trace.
    hidden : sequence of int, or int
        Widths of the generator's hidden layers, with leaky ReLU.
    code : int
        Width of the multimodal features.
    dropout : float
        Rate after each hidden layer.
    activation : {"sigmoid", "identity"}
        Of the last layer of the generator: the code of ``bdae`` lies in (0, 1); ``identity`` for features that do not.

    Notes
    -----
    The paper names an auto-encoder, a fully connected generator with leaky ReLU, and a classifier. Sizes, slope and
    the single linear layer of the classifier are our choice.
    """

    paper: ClassVar[str] = (
        "Yan, Zhao and Lu, Simplifying multimodal emotion recognition with single eye movement modality, ACM "
        "Multimedia, 2021"
    )
    example: ClassVar[Mapping[str, InputShape]] = {"gaze": InputShape(33)}

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        hidden: Sequence[int] | int = (64, 64),
        code: int = 32,
        dropout: float = 0.0,
        activation: Activation = "sigmoid",
    ) -> None:
        super().__init__()
        if activation not in get_args(Activation):
            known = ", ".join(get_args(Activation))
            raise LimbeckError(f"cgan: activation is '{activation}'; expected one of {known}.")
        hidden, (code,) = checked_widths("cgan", "hidden", hidden), checked_widths("cgan", "code", code)
        self.generator = nn.Sequential()
        for pair in pairwise([self._read(modalities), *hidden]):
            self.generator.extend([nn.Linear(*pair), nn.LeakyReLU(SLOPE), Dropout(dropout)])
        self.generator.append(nn.Linear(hidden[-1], code))
        self.generator.append(nn.Sigmoid() if activation == "sigmoid" else nn.Identity())
        self.head = nn.Linear(code, n_outputs)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        condition = self._row(inputs)
        generated = self.generator(condition)
        return Outputs(self.head(generated), {"condition": condition, "generated": generated})
