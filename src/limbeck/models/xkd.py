"""XKD: one encoder per modality, taught by filling in hidden patches and by the other modality's slow copy."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import Dropout
from limbeck.models.masked_autoencoder import PatchDecoder, PatchEncoder, Reconstruction, show_and_fill_in
from limbeck.models.projector import PrototypeProjector
from limbeck.models.starts import start_glorot

__all__ = ["XKD", "XKDPretext", "XKDTaps", "cross_modal_attention", "refine"]


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


class XKDTaps(NamedTuple):
    """What the losses of XKD compare.

    Attributes
    ----------
    reconstructions : dict of str to Reconstruction
        By modality: hidden patches, and how they were filled in.
    students : dict of str to Tensor of shape (batch, outputs)
        Projections of the tokens that were shown.
    teachers : dict of str to Tensor of shape (batch, outputs)
        Projections of all tokens by the slow copy, without gradient: each is what another modality's student learns.
    """

    reconstructions: dict[str, Reconstruction]
    students: dict[str, Tensor]
    teachers: dict[str, Tensor]


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


class XKDPretext(nn.Module):
    """XKD before any label: per modality an encoder, a decoder and a projector, and slow copies as teachers.

    Each student fills in hidden patches and projects what it was shown; each teacher projects the whole window, its
    tokens weighted by its summary's attention (:func:`refine`). A loss pulls a student to the teacher of the *other*
    modality, and another one the distributions of both together. `xkd` starts from ``encoders``.

    Published faults: what is called attention across modalities lets a single number per head pass, which `as_released`
    brings back; by default a teacher weights its tokens by its own attention, which is what remains. The published
    alignment of one teacher with the other has no gradient; a loss may leave it out.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Two or more signals of at least 8 samples.
    width, depth, heads, feed_forward, frames : int
        Of the encoders, as of `xkd`.
    dropout : float
        Rate in encoders and decoders.
    decoder_width, decoder_depth, decoder_heads : int
        Of the decoders; the layer within their blocks is four times as wide.
    mask : float
        Share of the tokens that is hidden.
    projector, bottleneck, outputs : int
        Widths of the projectors' hidden layers and narrow layer, and their directions.
    as_released : bool
        Whether teachers weight their tokens as published; needs exactly two modalities.

    Notes
    -----
    Sizes are chosen for biosignals; published for video and sound are encoders of 768 with 12 blocks and 12 heads,
    decoders of 384 with 4 and 12, projectors of 2048-256-8192, and masks of 0.85 and 0.8.
    """

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        *,
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        feed_forward: int = 512,
        frames: int = 24,
        dropout: float = 0.0,
        decoder_width: int = 64,
        decoder_depth: int = 2,
        decoder_heads: int = 4,
        mask: float = 0.6,
        projector: int = 512,
        bottleneck: int = 64,
        outputs: int = 1024,
        as_released: bool = False,
    ) -> None:
        super().__init__()
        if len(modalities) < 2 or (as_released and len(modalities) > 2):
            expected = "exactly two" if as_released else "at least two"
            raise LimbeckError(f"XKD learns between modalities and needs {expected}; there are {sorted(modalities)}.")
        if not 0.0 < mask < 1.0:
            raise LimbeckError(f"mask is {mask}; expected a share above 0 and below 1.")
        self.mask, self.as_released = mask, as_released
        self.encoders = _encoders(
            modalities, width=width, depth=depth, heads=heads, feed_forward=feed_forward, frames=frames, dropout=dropout
        )
        self.decoders = nn.ModuleDict(
            {
                name: PatchDecoder(
                    self._encoder(name),
                    {name: shape},
                    frames=frames,
                    width=decoder_width,
                    depth=decoder_depth,
                    heads=decoder_heads,
                    feed_forward=4 * decoder_width,
                    dropout=dropout,
                )
                for name, shape in modalities.items()
            }
        )
        self.projectors = nn.ModuleDict(
            {
                name: PrototypeProjector(width, hidden=projector, bottleneck=bottleneck, outputs=outputs)
                for name in modalities
            }
        )
        self.teachers = nn.ModuleDict(
            {"encoders": copy.deepcopy(self.encoders), "projectors": copy.deepcopy(self.projectors)}
        ).requires_grad_(False)
        for module in self.teachers.modules():
            if isinstance(module, Dropout):
                module.p = 0.0
        self.n_tokens = {name: self._encoder(name).n_tokens[name] for name in modalities}

    def _encoder(self, name: str, *, teacher: bool = False) -> PatchEncoder:
        encoders = self.teachers.get_submodule("encoders") if teacher else self.encoders
        return cast(PatchEncoder, encoders.get_submodule(name))

    def forward(self, inputs: dict[str, Tensor], noise: Mapping[str, Tensor]) -> XKDTaps:
        """Return what the losses compare.

        Parameters
        ----------
        inputs : dict of str to Tensor
            Whole windows.
        noise : mapping of str to Tensor
            By modality (batch, n_tokens of it), from :func:`limbeck.models.masked_autoencoder.masking_noise`.
        """
        reconstructions, students = {}, {}
        for name in self.n_tokens:
            decoder = cast(PatchDecoder, self.decoders[name])
            found = show_and_fill_in(self._encoder(name), decoder, {name: inputs[name]}, noise[name], mask=self.mask)
            reconstructions[name] = found
            students[name] = self.projectors[name](found.tokens.mean(dim=-2))
        return XKDTaps(reconstructions, students, self.teach(inputs))

    def study(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the students' projections of local views: windows that may be shorter, nothing hidden."""
        found = {}
        for name in self.n_tokens:
            found[name] = self.projectors[name](self.encoders[name](inputs).mean(dim=-2))
        return found

    def teach(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the teachers' projections of whole windows, without gradient."""
        tokens, attention = {}, {}
        for name in self.n_tokens:
            encoder = self._encoder(name, teacher=True)
            before = encoder.tokens(encoder.patches(inputs))
            tokens[name], attention[name] = encoder.encode(before), encoder.attention_of_summary(before)
        if self.as_released:
            first, second = attention
            attention = {
                first: cross_modal_attention(attention[first], attention[second]),
                second: cross_modal_attention(attention[second], attention[first]),
            }
        projectors = self.teachers.get_submodule("projectors")
        return {
            name: projectors.get_submodule(name)(refine(tokens[name], attention[name]).mean(dim=-2)).detach()
            for name in self.n_tokens
        }

    @torch.no_grad()
    def update_teachers(self, momentum: float) -> None:
        """Move the teachers towards the students: momentum times theirs plus (1 - momentum) times the students'."""
        for part, own in (("encoders", self.encoders), ("projectors", self.projectors)):
            copies = self.teachers.get_submodule(part)
            for slow, fast in zip(copies.parameters(), own.parameters(), strict=True):
                slow.lerp_(fast, 1.0 - momentum)


@MODELS.register("xkd")
class XKD(Network):
    """XKD after pre-training: its encoder of each modality that is there, the means of their tokens, a linear layer.

    Features: ``<modality>`` (batch, tokens, width) per modality and ``embedding`` (batch, width * modalities), the mean
    of each one's tokens.

    One modality suffices here: the others have taught it. Without weights of an :class:`XKDPretext` to start from
    (``encoders``) it is trained from scratch.

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

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        tokens = {}
        for name, encoder in self.encoders.items():
            found = encoder(inputs)
            tokens[name] = found.detach() if self.frozen else found
        embedding = torch.cat([found.mean(dim=-2) for found in tokens.values()], dim=-1)
        return Outputs(self.head(self.before_head(embedding)), {**tokens, "embedding": embedding})
