"""Masked autoencoder: an encoder of patches that learns by filling in what it was not shown, and a network on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import Attention, Dropout
from limbeck.models.shapes import refuse_short
from limbeck.models.starts import start_glorot

__all__ = [
    "Block",
    "MaskedAutoencoder",
    "MaskedAutoencoderPretext",
    "PatchDecoder",
    "PatchEncoder",
    "Reconstruction",
    "Summary",
    "masking_noise",
    "reconstruction_error",
    "show_and_fill_in",
]

FLOOR = 1e-6
"""Added to the variance of a patch before its root."""


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

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, tokens, width) for the same."""
        normal = self.before_attention(x)
        x = x + self.after_attention(self.attention(normal, normal, normal))
        h = self.between(nn.functional.gelu(self.widen(self.before_layers(x))))
        return x + self.after_layers(self.narrow(h))

    def attention_of_first(self, x: Tensor) -> Tensor:
        """Return how the first token shares its attention among the others: (batch, heads, tokens - 1)."""
        normal = self.before_attention(x)
        query = self.attention.query(normal[:, :1]).unflatten(-1, (self.attention.heads, -1)).transpose(-3, -2)
        key = self.attention.key(normal).unflatten(-1, (self.attention.heads, -1)).transpose(-3, -2)
        scores = (query * self.attention.scale) @ key.transpose(-2, -1)
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


class PatchEncoder(nn.Module):
    """A transformer on patches of signals: each patch, all channels of a short span, is a token.

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
        self.patch = {name: max(1, shape.length // frames) for name, shape in modalities.items()}
        self.n_tokens = {name: shape.length // self.patch[name] for name, shape in modalities.items()}
        self.embed = nn.ModuleDict(
            {name: nn.Linear(shape.channels * self.patch[name], width) for name, shape in modalities.items()}
        )
        for name, shape in modalities.items():
            places = _places(self.n_tokens[name], self.patch[name], shape.length, frames, width)
            self.register_buffer(f"_places_of_{name}", places, persistent=False)
        self.summary = Summary(width) if summary else nn.Identity()
        self.blocks = nn.ModuleList(Block(width, heads, feed_forward, dropout=dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.apply(start_glorot)

    def patches(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return (batch, patches, channels * samples) of each modality; windows may be shorter than those built for."""
        found = {}
        for name, patch in self.patch.items():
            x = inputs[name]
            whole = x.shape[-1] // patch
            found[name] = x[..., : whole * patch].unflatten(-1, (whole, patch)).transpose(-3, -2).flatten(-2)
        return found

    def tokens(self, patches: Mapping[str, Tensor]) -> Tensor:
        """Return all tokens with their place, before any block: (batch, tokens, width)."""
        parts = [
            embed(patches[name]) + self.get_buffer(f"_places_of_{name}")[: patches[name].shape[-2]]
            for name, embed in self.embed.items()
        ]
        return torch.cat(parts, dim=-2)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return all tokens of whole windows after all blocks: (batch, tokens, width), the summary not among them."""
        return self.encode(self.tokens(self.patches(inputs)))

    def encode(self, tokens: Tensor) -> Tensor:
        """Return any of the tokens after all blocks, the summary not among them."""
        x = self.summary(tokens)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)[..., x.shape[-2] - tokens.shape[-2] :, :]

    def attention_of_summary(self, tokens: Tensor) -> Tensor:
        """Return how the summary shares its attention in the last block: (batch, heads, tokens)."""
        x = self.summary(tokens)
        for block in self.blocks[:-1]:
            x = block(x)
        return cast(Block, self.blocks[-1]).attention_of_first(x)


class PatchDecoder(nn.Module):
    """A small transformer from the tokens that were shown to the patches of all.

    Parameters
    ----------
    encoder : PatchEncoder
        Whose tokens it reads; it is not kept.
    modalities : mapping of str to InputShape
        Those of the encoder.
    frames : int
        That of the encoder.
    width, depth, heads, feed_forward : int
        Of the decoder.
    dropout : float
        Rate in its blocks.
    """

    def __init__(
        self,
        encoder: PatchEncoder,
        modalities: Mapping[str, InputShape],
        *,
        frames: int,
        width: int,
        depth: int,
        heads: int,
        feed_forward: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.n_tokens = dict(encoder.n_tokens)
        self.embed = nn.Linear(encoder.norm.normalized_shape[0], width)
        self.unseen = nn.Parameter(torch.empty(1, width))
        self.kinds = nn.Parameter(torch.empty(len(modalities), width))
        places = [
            _places(self.n_tokens[name], encoder.patch[name], shape.length, frames, width)
            for name, shape in modalities.items()
        ]
        self.register_buffer("_all_places", torch.cat(places), persistent=False)
        self.blocks = nn.Sequential(*(Block(width, heads, feed_forward, dropout=dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.fill_in = nn.ModuleDict(
            {name: nn.Linear(width, shape.channels * encoder.patch[name]) for name, shape in modalities.items()}
        )
        self.apply(start_glorot)
        nn.init.normal_(self.unseen, std=0.02)
        nn.init.normal_(self.kinds, std=0.02)

    def forward(self, shown: Tensor, rank: Tensor) -> dict[str, Tensor]:
        """Return all patches by modality.

        Parameters
        ----------
        shown : Tensor of shape (batch, shown tokens, width of the encoder)
            Encoded, in the order in which they were drawn.
        rank : Tensor of shape (batch, tokens)
            The place of every token in that order; those behind the shown ones are not there.
        """
        counts = list(self.n_tokens.values())
        hidden = rank.shape[-1] - shown.shape[-2]
        unseen = self.unseen.expand(shown.shape[0], hidden, -1)
        x = torch.cat([self.embed(shown), unseen], dim=-2)
        x = x.gather(-2, rank.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
        kinds = torch.cat([kind.expand(count, -1) for kind, count in zip(self.kinds, counts, strict=True)])
        x = self.norm(self.blocks(x + self.get_buffer("_all_places") + kinds))
        parts = x.split(counts, dim=-2)
        return {name: fill_in(part) for (name, fill_in), part in zip(self.fill_in.items(), parts, strict=True)}


class Reconstruction(NamedTuple):
    """What came of a window of which a part was hidden.

    Attributes
    ----------
    predicted, target : dict of str to Tensor
        Patches by modality, (batch, patches, channels * samples); targets are normalised patch by patch.
    hidden : dict of str to Tensor
        1 for the patches that were hidden, 0 for the others: (batch, patches), float32.
    tokens : Tensor of shape (batch, shown tokens, width)
        The encoded tokens of those that were shown, in the order in which they were drawn.
    """

    predicted: dict[str, Tensor]
    target: dict[str, Tensor]
    hidden: dict[str, Tensor]
    tokens: Tensor


def masking_noise(batch: int, tokens: int, *, block: int = 1, generator: torch.Generator | None = None) -> Tensor:
    """Draw what decides which tokens are hidden: the largest are; (batch, tokens), float32.

    Parameters
    ----------
    batch, tokens : int
        Windows, and tokens of each.
    block : int
        Neighbouring tokens that share one draw, so that they are shown or hidden together (one block is cut where the
        share does not come out even).
    generator : torch.Generator or None
        Where numbers are drawn from; the global one by default.
    """
    drawn = torch.rand(batch, math.ceil(tokens / block), generator=generator)
    return drawn.repeat_interleave(block, dim=1)[:, :tokens]


def show_and_fill_in(
    encoder: PatchEncoder, decoder: PatchDecoder, inputs: Mapping[str, Tensor], noise: Tensor, *, mask: float
) -> Reconstruction:
    """Encode the tokens with the smallest noise and fill in all patches from them.

    Parameters
    ----------
    encoder, decoder : PatchEncoder, PatchDecoder
        The encoder sees the shown tokens only.
    inputs : mapping of str to Tensor
        Whole windows.
    noise : Tensor of shape (batch, tokens)
        As :func:`masking_noise` draws it; ties go by place.
    mask : float
        Share of the tokens that is hidden; one at least is shown, and one hidden.
    """
    patches = encoder.patches(inputs)
    tokens = encoder.tokens(patches)
    total = tokens.shape[-2]
    shown = min(max(1, total - round(mask * total)), total - 1)
    order = torch.argsort(noise, dim=-1, stable=True)
    rank = torch.argsort(order, dim=-1)
    chosen = order[..., :shown].unsqueeze(-1)
    encoded = encoder.encode(tokens.gather(-2, chosen.expand(-1, -1, tokens.shape[-1])))
    hidden = (rank >= shown).to(tokens.dtype).split(list(encoder.n_tokens.values()), dim=-1)
    return Reconstruction(
        predicted=decoder(encoded, rank),
        target={name: _normalised(patch) for name, patch in patches.items()},
        hidden=dict(zip(patches, hidden, strict=True)),
        tokens=encoded,
    )


def _normalised(patches: Tensor) -> Tensor:
    """Bring each patch to mean 0 and variance 1; one of a single number stays as it is."""
    if patches.shape[-1] == 1:
        return patches
    centred = patches - patches.mean(dim=-1, keepdim=True)
    return centred / (centred.square().mean(dim=-1, keepdim=True) + FLOOR).sqrt()


def reconstruction_error(found: Reconstruction) -> Tensor:
    """Return the mean squared error of the hidden patches, each counting the same whatever its size."""
    errors = torch.cat([(found.predicted[n] - target).square().mean(dim=-1) for n, target in found.target.items()], -1)
    hidden = torch.cat(list(found.hidden.values()), dim=-1)
    return (errors * hidden).sum() / hidden.sum()


class MaskedAutoencoderPretext(nn.Module):
    """The masked autoencoder before any label: encoder, decoder, and how much is hidden.

    Only the tokens that are shown pass the encoder, whose weights `masked_autoencoder` starts from: both keep it under
    the name ``encoder``. Which tokens are hidden is decided by numbers from outside, so that every network has its own
    stream of them; tokens of all modalities are hidden together.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Signals of at least 8 samples, each at its own rate.
    width, depth, heads, feed_forward, frames : int
        Of the encoder, as of `masked_autoencoder`.
    dropout : float
        Rate in encoder and decoder.
    decoder_width, decoder_depth, decoder_heads : int
        Of the decoder; the layer within its blocks is four times as wide.
    mask : float
        Share of the tokens that is hidden, between 0 and 1; 0.5 to 0.75 suits these signals.
    """

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        *,
        width: int = 64,
        depth: int = 4,
        heads: int = 4,
        feed_forward: int = 256,
        frames: int = 24,
        dropout: float = 0.0,
        decoder_width: int = 32,
        decoder_depth: int = 2,
        decoder_heads: int = 4,
        mask: float = 0.6,
    ) -> None:
        super().__init__()
        if not 0.0 < mask < 1.0:
            raise LimbeckError(f"mask is {mask}; expected a share above 0 and below 1.")
        self.mask = mask
        self.encoder = PatchEncoder(
            modalities, width=width, depth=depth, heads=heads, feed_forward=feed_forward, frames=frames, dropout=dropout
        )
        self.decoder = PatchDecoder(
            self.encoder,
            modalities,
            frames=frames,
            width=decoder_width,
            depth=decoder_depth,
            heads=decoder_heads,
            feed_forward=4 * decoder_width,
            dropout=dropout,
        )
        self.n_tokens = sum(self.encoder.n_tokens.values())

    def forward(self, inputs: dict[str, Tensor], noise: Tensor) -> Reconstruction:
        """Hide a part of each window and fill it in; `noise` is (batch, n_tokens), see :func:`masking_noise`."""
        return show_and_fill_in(self.encoder, self.decoder, inputs, noise, mask=self.mask)


@MODELS.register("masked_autoencoder")
class MaskedAutoencoder(Network):
    """A masked autoencoder after pre-training: its encoder of patches, their mean, and a linear layer for the task.

    Features: ``tokens`` (batch, tokens, width), the patches of each modality after those of the one before, and
    ``embedding`` (batch, width), their mean.

    Without weights of a :class:`MaskedAutoencoderPretext` to start from it is a transformer on patches trained from
    scratch.

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

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        tokens = self.encoder(inputs)
        if self.frozen:
            tokens = tokens.detach()
        embedding = tokens.mean(dim=-2)
        return Outputs(self.head(self.before_head(embedding)), {"tokens": tokens, "embedding": embedding})
