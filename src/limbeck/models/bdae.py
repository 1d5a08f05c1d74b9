"""The bimodal deep auto-encoder: a code that two modalities share, from which both can be read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.shapes import checked_widths
from limbeck.models.starts import start_glorot

__all__ = ["BDAE"]


def _layers(widths: Sequence[int], *, last: bool) -> nn.Sequential:
    """Return linear layers with logistic units; the last ones are linear unless `last`."""
    layers = nn.Sequential()
    for place, pair in enumerate(pairwise(widths), start=1):
        layers.append(nn.Linear(*pair))
        if last or place < len(widths) - 1:
            layers.append(nn.Sigmoid())
    return layers


@MODELS.register("bdae")
class BDAE(Network):
    """Bimodal deep auto-encoder: features of two modalities become one code, which a linear layer classifies.

    Features: ``<modality>`` (batch, hidden[-1]), one branch each; ``shared`` (batch, code), the code, in (0, 1);
    ``reconstruction`` (batch, n_columns), all columns in the order of the view as the decoder reads them off the code,
    to be compared with the standardised columns.

    The decoder is the encoder unfolded: the same layers the other way round, which start as its transposes and are
    free of it from then on. It takes no part in the prediction, so that only a loss on ``reconstruction`` trains it.

    In the paper each pair of layers is first trained as a restricted Boltzmann machine, the whole is then tuned on the
    reconstruction alone, and a linear support-vector machine reads the code. Here there is no such first training, and
    the labels reach the encoder too; with `as_released` they train nothing but the linear layer, whose scores are
    those of a linear machine on the code.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features of two modalities, or of more.
    n_outputs : int
        Number of classes, or 1 for a trace.
    hidden : sequence of int, or int
        Widths of the layers of each branch.
    code : int
        Width of the shared code.
    as_released : bool
        Whether the prediction's loss stops at the code.

    Notes
    -----
    Sizes are our choice, the paper's are not known to us. Layers are logistic as in a Boltzmann machine, the last one
    of the decoder is linear because columns are standardised here, not brought into [0, 1]. Weights start by Glorot's
    uniform rule.
    """

    reads = "features"
    taken = ("shared", "reconstruction")
    min_modalities = 2
    paper: ClassVar[str] = (
        "Liu, Zheng and Lu, Emotion recognition using multimodal deep learning, International Conference on Neural "
        "Information Processing, 2016"
    )
    example: ClassVar[Mapping[str, InputShape]] = {"eeg": InputShape(310), "gaze": InputShape(33)}
    initialise = staticmethod(start_glorot)
    idle: Mapping[str, str] = {
        "unfold.*": "only a loss on the reconstruction reaches the decoder",
        "decoders.*": "only a loss on the reconstruction reaches the decoder",
    }

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        hidden: Sequence[int] | int = (64, 64),
        code: int = 32,
        as_released: bool = False,
    ) -> None:
        super().__init__()
        hidden, (code,) = checked_widths("bdae", "hidden", hidden), checked_widths("bdae", "code", code)
        columns = {name: shape.channels for name, shape in modalities.items()}
        self.width, self.as_released = hidden[-1], as_released
        if as_released:
            stops = "the loss of the prediction stops at the code"
            self.idle = {**self.idle, "encoders.*": stops, "share.*": stops}
        self.encoders = nn.ModuleDict({name: _layers([n, *hidden], last=True) for name, n in columns.items()})
        self.share = nn.Linear(hidden[-1] * len(columns), code)
        self.unfold = nn.Linear(code, hidden[-1] * len(columns))
        self.decoders = nn.ModuleDict({name: _layers([*hidden[::-1], n], last=False) for name, n in columns.items()})
        self.head = nn.Linear(code, n_outputs)
        self.apply(start_glorot)
        with torch.no_grad():
            self.unfold.weight.copy_(self.share.weight.T)
            for name, encoder in self.encoders.items():
                there, back = (
                    [layer for layer in part.modules() if isinstance(layer, nn.Linear)]
                    for part in (encoder, self.decoders[name])
                )
                for layer, mirror in zip(there, reversed(back), strict=True):
                    mirror.weight.copy_(layer.weight.T)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        branches = {name: encoder(inputs[name]) for name, encoder in self.encoders.items()}
        shared = torch.sigmoid(self.share(torch.cat(list(branches.values()), dim=-1)))
        parts = torch.sigmoid(self.unfold(shared)).split(self.width, dim=-1)
        decoded = [decoder(part) for decoder, part in zip(self.decoders.values(), parts, strict=True)]
        prediction = self.head(shared.detach() if self.as_released else shared)
        return Outputs(prediction, {**branches, "shared": shared, "reconstruction": torch.cat(decoded, dim=-1)})
