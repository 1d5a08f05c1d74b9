"""EmotionNet: a convolution and a transformer per modality, whose depths are weighted and joined (EmotionKD)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import Attention, Dropout, RowNorm
from limbeck.models.shapes import refuse_short
from limbeck.models.starts import start_glorot

__all__ = [
    "EmotionNet",
    "EmotionNetStudent",
    "EmotionNetTeacher",
    "Extractor",
    "Fusion",
    "SharedFeature",
    "Sizes",
    "Stream",
]

SharedFeature = Literal["sum_halves", "gsr_half", "linear"]

RATE = 128.0
"""Hz of the published kernels."""

POSITIONS = 64
"""Rows of the published table of positions; windows of more tokens get as many rows as they need."""

FEWEST_TOKENS = 2
"""Of one window, for which batch normalisation knows a variance in a batch of one."""

BATCH_EPS, BATCH_MOMENTUM, LAYER_EPS = 1e-3, 0.01, 1e-6
"""Of the published framework, whose momentum of 0.99 is 0.01 here."""


@dataclass(frozen=True)
class Sizes:
    """What teacher and student have in common; the options of these names."""

    width: int
    heads: int
    head_width: int | None
    feed_forward: int
    depth: int
    hidden: int
    kernel: int
    stride: int
    dropout: float
    attention_dropout: float
    head_dropout: float
    pooling: bool


class Block(nn.Module):
    """Attention and a feed-forward network, each added and then normalised: (batch, tokens, width) to the same."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        head_width = width if sizes.head_width is None else sizes.head_width
        self.attention = Attention(width, sizes.heads, head_width=head_width)
        self.first, self.second = nn.Linear(width, sizes.feed_forward), nn.Linear(sizes.feed_forward, width)
        self.attention_norm, self.norm = (nn.LayerNorm(width, eps=LAYER_EPS) for _ in range(2))
        self.after_attention, self.after_second = (Dropout(sizes.attention_dropout) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, tokens, width)."""
        y = self.attention_norm(x + self.after_attention(self.attention(x, x, x)))
        return self.norm(y + self.after_second(self.second(torch.relu(self.first(y)))))


class Positions(nn.Module):
    """A learned position code, added to tokens: (batch, tokens, width) to the same, up to `rows` tokens."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, width).uniform_(-0.05, 0.05))

    def forward(self, x: Tensor) -> Tensor:
        """Return the tokens with their positions."""
        return x + self.weight[: x.shape[1]]


class Stream(nn.Module):
    """One modality: a convolution along time, one across its channels, then transformer blocks.

    Parameters
    ----------
    shape : InputShape
        Of the modality.
    sizes : Sizes
        Of its layers.

    Attributes
    ----------
    tokens : int
        Steps in time of each level; 0 where the window is shorter than the kernel.
    shortest : int
        Samples for which `tokens` would be `FEWEST_TOKENS`.
    """

    def __init__(self, shape: InputShape, sizes: Sizes) -> None:
        super().__init__()
        share, width = (shape.rate or RATE) / RATE, sizes.width
        kernel, stride = max(3, round(sizes.kernel * share)), max(1, round(sizes.stride * share))
        self.shortest = kernel + (FEWEST_TOKENS - 1) * stride
        self.temporal = nn.Conv2d(1, width, (1, kernel), stride=(1, stride))
        self.temporal_norm = nn.BatchNorm2d(width, eps=BATCH_EPS, momentum=BATCH_MOMENTUM)
        self.spatial = nn.Conv2d(width, width, (shape.channels, 1))
        self.dropout = Dropout(sizes.dropout)
        self.tokens = 0
        if shape.length >= kernel:
            with torch.no_grad():
                self.tokens = self.eval().convolve(shape.zeros(1)).shape[1]
            self.train()
        self.positions = Positions(max(POSITIONS, self.tokens), width)
        self.blocks = nn.ModuleList(Block(sizes) for _ in range(sizes.depth))

    def convolve(self, x: Tensor) -> Tensor:
        """Return (batch, tokens, width) for (batch, channels, length)."""
        h = torch.relu(self.temporal_norm(self.temporal(x.unsqueeze(1))))
        return self.spatial(h).squeeze(2).transpose(1, 2)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return what leaves each block, (batch, tokens, width)."""
        h = self.positions(self.dropout(self.convolve(x)))
        levels = []
        for block in self.blocks:
            h = block(h)
            levels.append(h)
        return levels


class Extractor(nn.Module):
    """The interactivity extractor: tokens times a score in (-1, 1), which two layers draw from the tokens themselves.

    Parameters
    ----------
    width : int
        Of a token.
    pooling : bool
        Whether there is one score for all tokens of a window, drawn from their mean, instead of one for each.
    """

    def __init__(self, width: int, *, pooling: bool) -> None:
        super().__init__()
        self.pooling = pooling
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.first_norm, self.second_norm = (RowNorm(width, eps=BATCH_EPS, momentum=BATCH_MOMENTUM) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, tokens, width) for the same."""
        h = x.mean(dim=1, keepdim=True) if self.pooling else x
        h = torch.relu(self.first_norm(self.first(h)))
        return x * nn.functional.softsign(self.second_norm(self.second(h)))


class Fusion(nn.Module):
    """The interactivity module of two neighbouring levels: each level's tokens, extracted, and their sum."""

    def __init__(self, width: int, *, pooling: bool) -> None:
        super().__init__()
        self.before, self.after = Extractor(width, pooling=pooling), Extractor(width, pooling=pooling)

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        """Return (batch, tokens, width) for two of the same."""
        return self.before(before) + self.after(after)


_NORMALISED = "batch normalisation behind it takes away what is added to all"


class EmotionNet(Network):
    """What teacher and student have in common: streams, the classifier, the feature that both share, the taps."""

    idle: Mapping[str, str] = {
        "*.key.bias": "a softmax takes no notice of what is added to all of its inputs",
        "streams.*.temporal.bias": _NORMALISED,
        "fusion.*.first.bias": _NORMALISED,
        "fusion.*.second.bias": _NORMALISED,
    }
    initialise = staticmethod(start_glorot)
    known_as: ClassVar[str]
    fusion: nn.ModuleList
    overlap: Tensor

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        sizes: Sizes,
        *,
        anchor: str | None,
        mapping: SharedFeature,
        activation: bool,
    ) -> None:
        super().__init__()
        for option, value in (("kernel", sizes.kernel), ("stride", sizes.stride)):
            if value < 1:
                raise LimbeckError(f"{self.known_as}: {option} is {value}; expected at least 1.")
        names = list(modalities)
        if anchor is None:
            anchor = names[-1]
        if anchor not in names:
            raise LimbeckError(f"{self.known_as}: student_modality is '{anchor}'; the view has {', '.join(names)}.")
        if mapping not in get_args(SharedFeature):
            known = ", ".join(get_args(SharedFeature))
            raise LimbeckError(f"{self.known_as}: mapping is '{mapping}'; expected one of {known}.")
        self.anchor, self.mapping, self.activation = anchor, mapping, activation
        self.streams = nn.ModuleDict()
        self.tokens: dict[str, int] = {}
        for name, shape in modalities.items():
            stream = Stream(shape, sizes)
            options = "a smaller kernel or stride"
            refuse_short(self.known_as, {name: shape}, stream.shortest, or_else=options, by_rate=True)
            self.streams[name] = stream
            self.tokens[name] = stream.tokens
        self.averages = mapping == "sum_halves" and len(set(self.tokens.values())) > 1
        if self.averages:
            each = [_overlap(tokens, self.tokens[anchor]) for tokens in self.tokens.values()]
            self.register_buffer("overlap", torch.cat(each, dim=1), persistent=False)
        widths = [sum(self.tokens.values()) * sizes.width, *(3 * [sizes.hidden])]
        self.before_hidden = Dropout(sizes.head_dropout)
        self.hidden = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.head = nn.Linear(sizes.hidden, n_outputs)

    def fuse(self, levels: Sequence[Sequence[Tensor]]) -> Tensor:
        """Return the tokens of all modalities, (batch, tokens, width), from each modality's levels."""
        raise NotImplementedError

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        levels = {name: stream(inputs[name]) for name, stream in self.streams.items()}
        fused = self.fuse(list(levels.values()))
        h = self.before_hidden(fused.flatten(1))
        for layer in self.hidden:
            h = torch.relu(layer(h)) if self.activation else layer(h)
        taps = {f"{name}_{k}": level for name, each in levels.items() for k, level in enumerate(each, start=1)}
        return Outputs(self.head(h), {**taps, "imf": self._mapped(fused), "hidden": h})

    def _mapped(self, fused: Tensor) -> Tensor:
        """Return the feature that teacher and student share."""
        if self.mapping == "linear":
            return fused
        if self.averages:
            return self.overlap @ fused
        parts = dict(zip(self.tokens, fused.split(list(self.tokens.values()), dim=1), strict=True))
        return parts[self.anchor] if self.mapping == "gsr_half" else torch.stack(list(parts.values())).sum(dim=0)


@MODELS.register("emotion_net_teacher")
class EmotionNetTeacher(EmotionNet):
    """EmotionNet teacher: a convolution and a transformer per modality, joined level by level with learned scores.

    Built for 4 s of EEG (28 channels) and skin conductance at 128 Hz. Features: ``<modality>_1`` to
    ``<modality>_<depth>`` (batch, tokens, width), what leaves each block (E1 to E3 and G1 to G3 of the paper); ``imf``
    (batch, tokens, width), what a student is to match (`mapping`); ``hidden`` (batch, hidden), the last hidden layer.

    Two neighbouring levels are joined as X_a([E1; G1]) + X_b([E2; G2]), where [;] puts tokens one after the other and X
    multiplies them by scores; the joined pairs are summed. Any number of modalities takes part, in the order of the
    view: [;] then runs over all of them. A single one is legal, so that a study can ask what this design teaches with
    the student's own sensor.

    Kernel and stride last 0.25 s and 0.0625 s; at other rates they keep these durations and never fall below 3 samples
    and 1. A window must have two tokens (40 samples at 128 Hz). The table of positions has 64 rows, more for windows of
    more tokens.

    Published faults that are mended: the joining of two levels took E1 once more where E2 was meant (so that the
    last EEG block was never trained), and three dense layers followed each other without an activation, which makes
    them one linear map. `as_released` brings both back (`aligned`, `activation`: either one). The published teacher's
    feature was twice as wide as its student's, so that their distance could not be computed: see `mapping`. The
    published penalty of 0.001 on the kernels of both convolutions is a matter of training.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Signals, each at its own rate.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        Filters of the convolutions and width of a token.
    heads : int
        Heads of each attention.
    head_width : int or None
        Width of each head; `width` by default, as published.
    feed_forward : int
        Width of the hidden layer in each block.
    depth : int
        Blocks of each modality, 2 or more.
    hidden : int
        Width of the three dense layers before the output.
    kernel, stride : int
        Of the convolution along time, in samples at 128 Hz.
    dropout : float
        Rate after the convolutions.
    attention_dropout : float
        Rate within the blocks, on what is added.
    head_dropout : float
        Rate before the dense layers.
    pooling : bool
        Whether a window has one score per filter, from the mean of its tokens, as in the published figure; the
        released code draws scores for each token. Of one window alone in a training batch, pooled scores are
        normalised by the running statistics.
    mapping : {"sum_halves", "gsr_half", "linear"}
        What ``imf`` is: the sum of the modalities' tokens (as many as those of `student_modality`, onto whose time
        those of others are averaged), the tokens of `student_modality`, or all tokens one after the other. The first
        two are as wide as the student's ``imf``; the last needs a linear map on the student's side, which the loss
        ``hint`` brings and trains.
    student_modality : str or None
        The modality that the student reads; None for the last of the view.
    aligned : bool or None
        Whether all modalities stand at the same level when levels are joined; if not, all but `student_modality` stay
        at the earlier one. None for yes unless `as_released`.
    activation : bool or None
        Whether the dense layers are rectified. None for yes unless `as_released`.
    as_released : bool
        Whether the two published faults return.

    Notes
    -----
    Liu, Jia and Wang 2023 and their released code; sizes and initial values are those of the code. Without `aligned`
    no gradient of the prediction reaches the last block of any modality but `student_modality`.
    """

    known_as = "emotion_net_teacher"
    paper: ClassVar[str] = (
        "Liu, Jia and Wang, EmotionKD: a cross-modal knowledge distillation framework for emotion recognition based on "
        "physiological signals, ACM Multimedia, 2023"
    )
    example: ClassVar[Mapping[str, InputShape]] = {"eeg": InputShape(28, 512, 128.0), "eda": InputShape(1, 512, 128.0)}

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 64,
        heads: int = 8,
        head_width: int | None = None,
        feed_forward: int = 64,
        depth: int = 3,
        hidden: int = 128,
        kernel: int = 32,
        stride: int = 8,
        dropout: float = 0.3,
        attention_dropout: float = 0.1,
        head_dropout: float = 0.5,
        pooling: bool = False,
        mapping: SharedFeature = "sum_halves",
        student_modality: str | None = None,
        aligned: bool | None = None,
        activation: bool | None = None,
        as_released: bool = False,
    ) -> None:
        if depth < 2:
            raise LimbeckError(f"{self.known_as}: depth is {depth}; two levels are joined, so it is 2 or more.")
        super().__init__(
            modalities,
            n_outputs,
            Sizes(
                width=width,
                heads=heads,
                head_width=head_width,
                feed_forward=feed_forward,
                depth=depth,
                hidden=hidden,
                kernel=kernel,
                stride=stride,
                dropout=dropout,
                attention_dropout=attention_dropout,
                head_dropout=head_dropout,
                pooling=pooling,
            ),
            anchor=student_modality,
            mapping=mapping,
            activation=not as_released if activation is None else activation,
        )
        self.aligned = not as_released if aligned is None else aligned
        if not self.aligned:
            last = "an earlier level of this modality stands where its last one was meant"
            behind = {f"streams.{name}.blocks.{depth - 1}.*": last for name in self.tokens if name != self.anchor}
            self.idle = {**self.idle, **behind}
        self.fusion = nn.ModuleList(Fusion(width, pooling=pooling) for _ in range(depth - 1))
        self.apply(_initialise)

    def fuse(self, levels: Sequence[Sequence[Tensor]]) -> Tensor:
        """Return the sum over neighbouring levels."""
        moves = [self.aligned or name == self.anchor for name in self.tokens]
        joined = []
        for k, fusion in enumerate(self.fusion):
            before = torch.cat([each[k] for each in levels], dim=1)
            after = torch.cat([each[k + move] for each, move in zip(levels, moves, strict=True)], dim=1)
            joined.append(fusion(before, after))
        return torch.stack(joined).sum(dim=0)


@MODELS.register("emotion_net_student")
class EmotionNetStudent(EmotionNet):
    """EmotionNet student: one stream of the EmotionNet teacher, whose levels are weighted by learned scores and summed.

    Built for 4 s of skin conductance at 128 Hz. Features: ``<modality>_1`` to ``<modality>_<depth>`` (batch, tokens,
    width), what leaves each block; ``imf`` (batch, tokens, width), the sum X_1(G1) + X_2(G2) + X_3(G3), which has the
    shape of the teacher's ``imf``; ``hidden`` (batch, hidden), the last hidden layer.

    Several modalities take part as in ``emotion_net_teacher``: X reads the tokens of all, one after the other, and
    ``imf`` is the sum over modalities, as many tokens as the last of the view has. Rates, lengths and positions are
    treated as there.

    Published fault that is mended: three dense layers followed each other without an activation, which makes them one
    linear map; `as_released` (or `activation`) brings that back.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Signals, each at its own rate; one as published.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        Filters of the convolutions and width of a token.
    heads : int
        Heads of each attention.
    head_width : int or None
        Width of each head; `width` by default, as published.
    feed_forward : int
        Width of the hidden layer in each block.
    depth : int
        Blocks of each modality.
    hidden : int
        Width of the three dense layers before the output.
    kernel, stride : int
        Of the convolution along time, in samples at 128 Hz.
    dropout : float
        Rate after the convolutions.
    attention_dropout : float
        Rate within the blocks, on what is added.
    head_dropout : float
        Rate before the dense layers.
    pooling : bool
        Whether a window has one score per filter instead of one per token; as of ``emotion_net_teacher``.
    activation : bool or None
        Whether the dense layers are rectified. None for yes unless `as_released`.
    as_released : bool
        Whether the published fault returns.

    Notes
    -----
    Liu, Jia and Wang 2023 and their released code; sizes and initial values are those of the code.
    """

    known_as = "emotion_net_student"
    paper: ClassVar[str] = EmotionNetTeacher.paper
    example: ClassVar[Mapping[str, InputShape]] = {"eda": InputShape(1, 512, 128.0)}

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 64,
        heads: int = 8,
        head_width: int | None = None,
        feed_forward: int = 64,
        depth: int = 3,
        hidden: int = 128,
        kernel: int = 32,
        stride: int = 8,
        dropout: float = 0.3,
        attention_dropout: float = 0.1,
        head_dropout: float = 0.5,
        pooling: bool = False,
        activation: bool | None = None,
        as_released: bool = False,
    ) -> None:
        if depth < 1:
            raise LimbeckError(f"{self.known_as}: depth is {depth}; expected 1 or more.")
        super().__init__(
            modalities,
            n_outputs,
            Sizes(
                width=width,
                heads=heads,
                head_width=head_width,
                feed_forward=feed_forward,
                depth=depth,
                hidden=hidden,
                kernel=kernel,
                stride=stride,
                dropout=dropout,
                attention_dropout=attention_dropout,
                head_dropout=head_dropout,
                pooling=pooling,
            ),
            anchor=None,
            mapping="sum_halves",
            activation=not as_released if activation is None else activation,
        )
        self.fusion = nn.ModuleList(Extractor(width, pooling=pooling) for _ in range(depth))
        self.apply(_initialise)

    def fuse(self, levels: Sequence[Sequence[Tensor]]) -> Tensor:
        """Return the sum over levels."""
        weighed = [extractor(torch.cat([each[k] for each in levels], dim=1)) for k, extractor in enumerate(self.fusion)]
        return torch.stack(weighed).sum(dim=0)


def _overlap(tokens: int, onto: int) -> Tensor:
    """Return weights (onto, tokens) that average equal parts of a window into other equal parts; rows sum to 1."""
    edges, targets = (torch.arange(n + 1, dtype=torch.float64) / n for n in (tokens, onto))
    shared = torch.minimum(targets[1:, None], edges[1:]) - torch.maximum(targets[:-1, None], edges[:-1])
    return (shared.clamp(min=0.0) * onto).to(torch.float32)


def _initialise(module: nn.Module) -> None:
    """Draw what the released code's framework draws by default: Glorot's uniform weights, no bias."""
    start_glorot(module)
    if isinstance(module, Attention):  # whose kernels have three axes there and are taken for a convolution's
        inner, width = module.query.weight.shape
        head_width = inner // module.heads
        bound = math.sqrt(6 / (width * (module.heads + head_width)))
        for projection in (module.query, module.key, module.value):
            nn.init.uniform_(projection.weight, -bound, bound)
        bound = math.sqrt(6 / (module.heads * (head_width + width)))
        nn.init.uniform_(module.out.weight, -bound, bound)
