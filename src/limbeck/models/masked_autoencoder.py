"""Masked autoencoder: an encoder of patches that reads those that are there, and what fills in the others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import ABSENT, Attention, Dropout
from limbeck.models.shapes import refuse_short
from limbeck.models.starts import start_glorot

__all__ = ["Block", "MaskedAutoencoder", "PatchDecoder", "PatchEncoder", "Summary", "mean_of_present"]


class Block(nn.Module):
    """Attention along time and a layer across channels, each on normalised tokens and added to what came in.

    Parameters
    ----------
    width, heads, feed_forward : int
        Of the tokens, of the attention, and of the layer within.
    dropout : float
        Rate on the attention and after both layers.
    """

    def __init__(self, width: int, heads: int, feed_forward: int, *, dropout: float) -> None:
        super().__init__()
        self.before_attention, self.before_layers = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout=dropout)
        self.attention.key.register_parameter("bias", None)  # softmax takes away what all keys share
        self.widen, self.narrow = nn.Linear(width, feed_forward), nn.Linear(feed_forward, width)
        self.after_attention, self.between, self.after_layers = Dropout(dropout), Dropout(dropout), Dropout(dropout)

    def forward(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        """Return (batch, tokens, width) for the same; no token sees one where `present` (batch, tokens) is false."""
        normal = self.before_attention(x)
        x = x + self.after_attention(self.attention(normal, normal, normal, present))
        h = self.between(nn.functional.gelu(self.widen(self.before_layers(x))))
        return x + self.after_layers(self.narrow(h))

    def attention_of_first(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        """Return how the first token shares its attention among the others: (batch, heads, tokens - 1)."""
        normal = self.before_attention(x)
        query = self.attention.query(normal[:, :1]).unflatten(-1, (self.attention.heads, -1)).transpose(-3, -2)
        key = self.attention.key(normal).unflatten(-1, (self.attention.heads, -1)).transpose(-3, -2)
        scores = (query * self.attention.scale) @ key.transpose(-2, -1)
        if present is not None:
            scores = torch.where(present[..., None, None, :], scores, ABSENT)
        return torch.softmax(scores, dim=-1)[..., 0, 1:]


class Summary(nn.Module):
    """A learnt token before all others.

    Parameters
    ----------
    width : int
        Of the tokens.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.empty(1, width))
        nn.init.normal_(self.token, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (batch, 1 + tokens, width) for (batch, tokens, width)."""
        return torch.cat([self.token.expand_as(tokens[:, :1]), tokens], dim=-2)


def _places(tokens: int, patch: int, length: int, frames: int, width: int) -> Tensor:
    """Return the position code of a signal's patches, by where in the window each lies: (tokens, width), float32.

    Signals of other rates have other numbers of patches; those of the same time get the same code.
    """
    places = (torch.arange(tokens) + 0.5) * patch / length * frames
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angles = places[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width]


def mean_of_present(tokens: Tensor, present: Tensor) -> Tensor:
    """Return the mean (batch, width) of the tokens (batch, tokens, width) where `present` (batch, tokens) is true.

    Zero where none is.
    """
    there = present.to(tokens.dtype).unsqueeze(-1)
    return (tokens * there).sum(dim=-2) / there.sum(dim=-2).clamp_min(1.0)


class PatchEncoder(nn.Module):
    """A transformer on patches of signals: each patch, all channels of a short span, is a token.

    A patch with NaN is not there: no token sees it, as if it had been taken out. So a sensor may be absent, and a loss
    can hide parts of a window.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Signals of at least 8 samples, each at its own rate; their tokens stand one after the other.
    width, depth, heads, feed_forward : int
        Of the tokens, blocks, heads of each, and width of the layer within each.
    frames : int
        Patches of each window wanted; there are at least as many, or one per sample. Samples behind the last whole
        patch are not read.
    dropout : float
        Rate in the blocks.
    summary : bool
        Whether a learnt token stands before the others.

    Attributes
    ----------
    patch, n_tokens : dict of str to int
        Samples of a patch and patches of a window, by modality.
    """

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        *,
        width: int,
        depth: int,
        heads: int,
        feed_forward: int,
        frames: int,
        dropout: float,
        summary: bool = False,
    ) -> None:
        super().__init__()
        if frames < 2:
            raise LimbeckError(f"frames is {frames}; expected at least 2 patches.")
        if depth < 1:
            raise LimbeckError(f"depth is {depth}; expected at least 1.")
        refuse_short("An encoder of patches", modalities)
        self.modalities, self.frames, self.width = dict(modalities), frames, width
        self.patch = {name: max(1, shape.length // frames) for name, shape in modalities.items()}
        self.n_tokens = {name: shape.length // self.patch[name] for name, shape in modalities.items()}
        self.embed = nn.ModuleDict(
            {name: nn.Linear(shape.channels * self.patch[name], width) for name, shape in modalities.items()}
        )
        for name in modalities:
            self.register_buffer(f"_places_of_{name}", self.places(name, width), persistent=False)
        self.summary = Summary(width) if summary else nn.Identity()
        self.blocks = nn.ModuleList(Block(width, heads, feed_forward, dropout=dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.apply(start_glorot)

    def places(self, modality: str, width: int) -> Tensor:
        """Return the code of the place of each patch of a modality: (tokens, width)."""
        length = self.modalities[modality].length
        return _places(self.n_tokens[modality], self.patch[modality], length, self.frames, width)

    def patches(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return (batch, patches, channels * samples) of each modality."""
        found = {}
        for name, patch in self.patch.items():
            x = inputs[name]
            whole = x.shape[-1] // patch
            found[name] = x[..., : whole * patch].unflatten(-1, (whole, patch)).transpose(-3, -2).flatten(-2)
        return found

    def tokens(self, patches: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return all tokens with their place, before any block, and which are there.

        Returns
        -------
        tokens : Tensor of shape (batch, tokens, width)
        present : Tensor of shape (batch, tokens), bool
        """
        parts = [
            embed(torch.where(patches[name].isnan(), 0.0, patches[name])) + self.get_buffer(f"_places_of_{name}")
            for name, embed in self.embed.items()
        ]
        present = [~patches[name].isnan().any(dim=-1) for name in self.embed]
        return torch.cat(parts, dim=-2), torch.cat(present, dim=-1)

    def forward(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return all tokens after all blocks, the summary not among them, and which are there.

        Returns
        -------
        tokens : Tensor of shape (batch, tokens, width)
            Those that are not there hold nothing of the window.
        present : Tensor of shape (batch, tokens), bool
        """
        tokens, _, present = self.read(inputs)
        return tokens, present

    def read(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return what :meth:`forward` does, and how the summary shares its attention in the last block.

        Returns
        -------
        tokens : Tensor of shape (batch, tokens, width)
        attention : Tensor of shape (batch, heads, tokens)
            Of the summary; empty where there is none.
        present : Tensor of shape (batch, tokens), bool
        """
        tokens, present = self.tokens(self.patches(inputs))
        x = self.summary(tokens)
        extra = x.shape[-2] - tokens.shape[-2]
        seen = torch.cat([torch.ones_like(present[..., :extra]), present], dim=-1)
        for block in self.blocks[:-1]:
            x = block(x, seen)
        last = cast(Block, self.blocks[-1])
        attention = last.attention_of_first(x, seen) if extra else x[..., :0]
        return self.norm(last(x, seen))[..., extra:, :], attention, present


class PatchDecoder(nn.Module):
    """A small transformer from the tokens that were there to the patches of all.

    Parameters
    ----------
    encoder : PatchEncoder
        Whose tokens it reads; it is not kept.
    width, depth, heads, feed_forward : int
        Of the decoder.
    dropout : float
        Rate in its blocks.
    """

    def __init__(
        self,
        encoder: PatchEncoder,
        *,
        width: int,
        depth: int,
        heads: int,
        feed_forward: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.n_tokens = dict(encoder.n_tokens)
        self.embed = nn.Linear(encoder.width, width)
        self.unseen = nn.Parameter(torch.empty(1, width))
        self.kinds = nn.Parameter(torch.empty(len(self.n_tokens), width))
        places = torch.cat([encoder.places(name, width) for name in self.n_tokens])
        self.register_buffer("_all_places", places, persistent=False)
        self.blocks = nn.Sequential(*(Block(width, heads, feed_forward, dropout=dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.fill_in = nn.ModuleDict(
            {name: nn.Linear(width, shape.channels * encoder.patch[name]) for name, shape in encoder.modalities.items()}
        )
        self.apply(start_glorot)
        nn.init.normal_(self.unseen, std=0.02)
        nn.init.normal_(self.kinds, std=0.02)

    def forward(self, tokens: Tensor, present: Tensor) -> dict[str, Tensor]:
        """Return all patches (batch, patches, channels * samples) by modality.

        Parameters
        ----------
        tokens : Tensor of shape (batch, tokens, width of the encoder)
            Encoded.
        present : Tensor of shape (batch, tokens), bool
            Which of them were there; the same learnt token stands for all others.
        """
        counts = list(self.n_tokens.values())
        x = torch.where(present.unsqueeze(-1), self.embed(tokens), self.unseen)
        kinds = torch.cat([kind.expand(count, -1) for kind, count in zip(self.kinds, counts, strict=True)])
        x = self.norm(self.blocks(x + self.get_buffer("_all_places") + kinds))
        parts = x.split(counts, dim=-2)
        return {name: fill_in(part) for (name, fill_in), part in zip(self.fill_in.items(), parts, strict=True)}


@MODELS.register("masked_autoencoder")
class MaskedAutoencoder(Network):
    """A masked autoencoder's encoder of patches, the mean of those that are there, and a linear layer for the task.

    Features: ``tokens`` (batch, tokens, width), the patches of each modality after those of the one before, and
    ``embedding`` (batch, width), their mean.

    It learns before any label by the loss `reconstruct`, which brings its decoder: patches that are hidden never pass
    the encoder. Without such a stage to start from it is a transformer on patches trained from scratch. Patches of an
    absent sensor (NaN) are not read either.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Signals of at least 8 samples, each at its own rate.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        Of the tokens.
    depth : int
        Blocks.
    heads : int
        Of each attention; divides the width.
    feed_forward : int
        Width of the layer within each block.
    frames : int
        Patches per window wanted; each modality has at least as many, or one per sample.
    dropout : float
        Rate in the blocks and before the head.
    frozen : bool
        Whether no gradient reaches the encoder (a linear probe); train such a stage without weight decay, which would
        shrink the encoder all the same.

    Notes
    -----
    The published network reads pictures; patches of a 24th of the window, and widths, are chosen here for recordings of
    a few thousand windows.
    """

    paper: ClassVar[str] = (
        "He, Chen, Xie, Li, Dollár and Girshick, Masked autoencoders are scalable vision learners, CVPR 2022"
    )
    missing_modalities = True
    example: ClassVar[Mapping[str, InputShape]] = {"eda": InputShape(1, 240, 4.0), "bvp": InputShape(1, 3840, 64.0)}
    initialise = staticmethod(start_glorot)

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 64,
        depth: int = 4,
        heads: int = 4,
        feed_forward: int = 256,
        frames: int = 24,
        dropout: float = 0.1,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        self.frozen = frozen
        if frozen:
            self.idle = {"encoder.*": "frozen"}
        self.encoder = PatchEncoder(
            modalities, width=width, depth=depth, heads=heads, feed_forward=feed_forward, frames=frames, dropout=dropout
        )
        self.before_head = Dropout(dropout)
        self.head = nn.Linear(width, n_outputs)
        start_glorot(self.head)

    @property
    def patch_encoders(self) -> dict[str, PatchEncoder]:
        """Its encoder, by the feature that holds its tokens."""
        return {"tokens": self.encoder}

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        tokens, present = self.encoder(inputs)
        if self.frozen:
            tokens = tokens.detach()
        embedding = mean_of_present(tokens, present)
        return Outputs(self.head(self.before_head(embedding)), {"tokens": tokens, "embedding": embedding})
