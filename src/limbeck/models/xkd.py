"""XKD: an encoder of patches per modality, made for learning between modalities before any label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import Dropout
from limbeck.models.masked_autoencoder import PatchEncoder, mean_of_present
from limbeck.models.starts import start_glorot

__all__ = ["XKD", "cross_modal_attention", "refine"]


def refine(tokens: Tensor, attention: Tensor) -> Tensor:
    """Weight tokens by the attention that the summary pays them, at the same energy of their mean.

    Parameters
    ----------
    tokens : Tensor of shape (batch, tokens, width)
        Of the teacher.
    attention : Tensor of shape (batch, heads, tokens)
        Averaged over the heads here.
    """
    weighted = tokens * attention.mean(dim=-2).unsqueeze(-1)
    before = tokens.mean(dim=-2).square().sum(dim=-1)
    after = weighted.mean(dim=-2).square().sum(dim=-1).clamp(min=torch.finfo(tokens.dtype).tiny)
    return weighted * (before / after).sqrt()[..., None, None]


def cross_modal_attention(own: Tensor, other: Tensor) -> Tensor:
    """Return the published attention across modalities: `own` times one number per head, (batch, heads, tokens).

    The number is the mean of `other` (batch, heads, other tokens) over that of `own`; nothing else of the other
    modality enters.
    """
    return own * other.mean(dim=-1, keepdim=True) / own.mean(dim=-1, keepdim=True)


def _encoders(
    modalities: Mapping[str, InputShape],
    *,
    width: int,
    depth: int,
    heads: int,
    feed_forward: int,
    frames: int,
    dropout: float,
) -> nn.ModuleDict:
    return nn.ModuleDict(
        {
            name: PatchEncoder(
                {name: shape},
                width=width,
                depth=depth,
                heads=heads,
                feed_forward=feed_forward,
                frames=frames,
                dropout=dropout,
                summary=True,
            )
            for name, shape in modalities.items()
        }
    )


@MODELS.register("xkd")
class XKD(Network):
    """XKD's encoder of each modality, the means of their tokens, and a linear layer for the task.

    Features: ``<modality>`` (batch, tokens, width) per modality; ``attention_<modality>`` (batch, heads, tokens), what
    a learnt summary of all tokens looks at in the last block; ``embedding`` (batch, width * modalities), the mean of
    each one's tokens.

    One modality suffices: before any label the loss `xkd` lets it and a partner that reads another modality learn from
    each other, and the stage that starts from it needs its own alone. Without such a stage to start from it is trained
    from scratch. Patches of an absent sensor (NaN) are not read.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Signals of at least 8 samples, each at its own rate.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        Of the tokens.
    depth : int
        Blocks of each encoder.
    heads : int
        Of each attention; divides the width.
    feed_forward : int
        Width of the layer within each block.
    frames : int
        Patches per window wanted; each modality has at least as many, or one per sample.
    dropout : float
        Rate in the blocks and before the head.
    frozen : bool
        Whether no gradient reaches the encoders (a linear probe); train such a stage without weight decay, which would
        shrink them all the same.

    Notes
    -----
    The published networks read video and sound; widths here are chosen for biosignals. Each token is a span of all
    channels.
    """

    paper: ClassVar[str] = (
        "Sarkar and Etemad, XKD: cross-modal knowledge distillation with domain alignment for video representation "
        "learning, AAAI 2024"
    )
    example: ClassVar[Mapping[str, InputShape]] = {"eda": InputShape(1, 240, 4.0), "bvp": InputShape(1, 3840, 64.0)}
    missing_modalities = True
    taken = ("embedding",)
    initialise = staticmethod(start_glorot)

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        feed_forward: int = 512,
        frames: int = 24,
        dropout: float = 0.1,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        self.frozen = frozen
        if frozen:
            self.idle = {**self.idle, "encoders.*": "frozen"}
        self.encoders = _encoders(
            modalities, width=width, depth=depth, heads=heads, feed_forward=feed_forward, frames=frames, dropout=dropout
        )
        self.before_head = Dropout(dropout)
        self.head = nn.Linear(width * len(modalities), n_outputs)
        start_glorot(self.head)

    @property
    def patch_encoders(self) -> dict[str, PatchEncoder]:
        """Its encoders, by the feature that holds the tokens of each."""
        return {name: cast(PatchEncoder, encoder) for name, encoder in self.encoders.items()}

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        found, attended, means = {}, {}, []
        for name, encoder in self.patch_encoders.items():
            tokens, attention, present = encoder.read(inputs)
            if self.frozen:
                tokens, attention = tokens.detach(), attention.detach()
            found[name], attended[f"attention_{name}"] = tokens, attention
            means.append(mean_of_present(tokens, present))
        embedding = torch.cat(means, dim=-1)
        return Outputs(self.head(self.before_head(embedding)), {**found, **attended, "embedding": embedding})
