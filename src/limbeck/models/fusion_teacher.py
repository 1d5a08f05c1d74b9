"""A teacher of any set of modalities, each at its own rate, that still answers when some are missing."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import Dropout
from limbeck.models.shapes import refuse_short
from limbeck.models.steps import Encoder

__all__ = ["FusionTeacher"]

UNSEEN = -1e9
"""The score of a modality that is missing."""


@MODELS.register("fusion_teacher")
class FusionTeacher(Network):
    """A teacher of any signals at their own rates, fused by gates over those present; some may be missing.

    Each modality has an encoder of its own, whose embedding becomes a token of `hidden` numbers. Every number of the
    fused feature is a weighted mean of that number over the tokens; the weights, a softmax over the modalities that are
    there, are read from each token and the mean of all. In training each modality of each window is left out with the
    probability `modality_dropout` (all of those that are there stay where none would be left), so every subset has been
    learnt from.

    A modality that is NaN throughout its window is missing; single missing samples of one that is there count as zero,
    the mean. A window without any modality gets what the biases say.

    Features: ``fused`` (batch, hidden); ``weights`` (batch, modalities), the mean weight of each in the order of the
    view, 0 where missing; one token per modality, ``<modality>`` (batch, hidden), zeros where missing. With steps each
    is (batch, n_steps, ...).

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Signals of at least 8 samples per window.
    n_outputs : int
        Number of classes, or 1 for a trace.
    n_steps : int
        Steps within the window at which it predicts; 0 for one prediction per window.
    width : int
        Channels of each encoder.
    depth : int
        Blocks of each encoder; each but the first halves the steps.
    kernel : int
        Steps that a filter of a block spans.
    frames : int
        Steps after an encoder's first layer, at least, where the window has as many samples.
    hidden : int
        Width of the tokens and of the fused feature.
    dropout : float
        Rate within the encoders, on the tokens and before the head.
    modality_dropout : float
        Probability with which a modality of a window is left out in training.
    """

    taken = ("fused", "weights")
    missing_modalities = True
    per_step = True
    example = {  # noqa: RUF012  (declared in the base)
        "eda": InputShape(1, 240, 4.0),
        "bvp": InputShape(1, 3840, 64.0),
        "temp": InputShape(1, 240, 4.0),
        "acc": InputShape(3, 1920, 32.0),
    }

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        n_steps: int = 0,
        width: int = 24,
        depth: int = 3,
        kernel: int = 7,
        frames: int = 120,
        hidden: int = 32,
        dropout: float = 0.3,
        modality_dropout: float = 0.2,
    ) -> None:
        super().__init__()
        refuse_short("fusion_teacher", modalities)
        encoders = {
            name: Encoder(
                shape,
                n_steps=n_steps,
                width=width,
                depth=depth,
                kernel=kernel,
                frames=frames,
                dropout=dropout,
                causal=False,
            )
            for name, shape in modalities.items()
        }
        self.encoders = nn.ModuleDict(encoders)
        self.tokens = nn.ModuleDict({name: nn.Linear(encoder.width, hidden) for name, encoder in encoders.items()})
        self.gate = nn.Linear(2 * hidden, hidden, bias=False)
        self.leave_out, self.on_tokens = Dropout(modality_dropout), Dropout(dropout)
        self.fuse = nn.Linear(hidden, hidden)
        self.before_head = Dropout(dropout)
        self.head = nn.Linear(hidden, n_outputs)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's values with the named features."""
        names = tuple(self.encoders)
        unknown = {name: torch.isnan(inputs[name]) for name in names}
        there = torch.stack([(~unknown[name].flatten(1).all(dim=1)).float() for name in names], dim=1).unsqueeze(-1)
        kept = there * (self.leave_out(torch.ones_like(there)) > 0)
        there = torch.where(kept.sum(dim=1, keepdim=True) > 0, kept, there)
        embedded = []
        for name in names:
            known = torch.where(unknown[name], torch.zeros_like(inputs[name]), inputs[name])
            embedded.append(self.tokens[name](self.encoders[name](known)[1]))
        tokens = torch.stack(embedded, dim=1)  # (batch, modality[, step], hidden)
        present = there.unsqueeze(-1) if tokens.ndim > there.ndim else there
        tokens = nn.functional.gelu(tokens) * present
        count = present.sum(dim=1, keepdim=True).clamp(min=1.0)
        around = (tokens.sum(dim=1, keepdim=True) / count).expand_as(tokens)
        scores = self.gate(torch.cat([tokens, around], dim=-1)) + UNSEEN * (1.0 - present)
        weights = torch.softmax(scores, dim=1) * present
        mixed = (weights * self.on_tokens(tokens)).sum(dim=1)
        fused = nn.functional.gelu(self.fuse(mixed))
        features = {"fused": fused, "weights": weights.mean(dim=-1).movedim(1, -1)}
        features |= {name: tokens[:, place] for place, name in enumerate(names)}
        return Outputs(self.head(self.before_head(fused)), features)
