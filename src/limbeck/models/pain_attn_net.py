"""PainAttnNet: convolutions at three scales, squeeze and excitation, and a transformer encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import Attention, Dropout
from limbeck.models.shapes import refuse_short
from limbeck.models.starts import start_attention

__all__ = ["PainAttnNet"]

Axis = Literal["time", "channel"]

RATE = 512.0
"""Hz of the published kernels."""

SHORTEST = 16
"""Samples below which a pooling layer leaves a single step, of which batch normalisation knows no variance."""

TCN_KERNEL = 7


class Pool(NamedTuple):
    """Kernel, stride and padding of a maximum over time."""

    kernel: int
    stride: int
    padding: int


class Scale(NamedTuple):
    """The layers of one branch, as published: the first kernel in samples at 512 Hz, all others in steps."""

    kernel: int
    stride: int
    padding: int
    first_pool: Pool
    inner_kernel: int
    inner_padding: int
    last_pool: Pool


SCALES = {
    "short": Scale(50, 6, 24, Pool(8, 2, 4), 8, 4, Pool(4, 4, 2)),
    "medium": Scale(512, 42, 256, Pool(4, 4, 0), 4, 3, Pool(2, 2, 1)),
    "long": Scale(1024, 84, 512, Pool(8, 8, 0), 7, 3, Pool(2, 2, 1)),
}
_ENOUGH = 1408
"""Samples at 512 Hz from which the pooling layers of every scale leave two steps or more."""


def _along_time(inputs: int, outputs: int, kernel: int, *, bias: bool = False, groups: int = 1) -> nn.Conv2d:
    """Return a convolution along the last axis of (batch, channels, 1, time)."""
    return nn.Conv2d(inputs, outputs, (1, kernel), bias=bias, groups=groups)


def _channels_innermost(x: Tensor) -> Tensor:
    """Return the same (batch, channels, 1, time) with the channels of a step side by side in memory.

    Convolutions, batch normalisation and pooling take about 1.4 times as long on the usual layout. Said with permute,
    for which ``torch.vmap`` has a rule.
    """
    return x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)


class Branch(nn.Module):
    """Three convolutions of one scale: (batch, channels, 1, length) to (batch, width, steps)."""

    def __init__(self, scale: Scale, shape: InputShape, *, width: int, steps: int, dropout: float) -> None:
        super().__init__()
        share = min((shape.rate or RATE) / RATE, shape.length / _ENOUGH)
        kernel = max(3, round(scale.kernel * share))
        self.conv1 = nn.Conv2d(
            shape.channels,
            width,
            (1, kernel),
            stride=(1, max(1, int(scale.stride * share))),
            padding=(0, min(kernel // 2, max(1, round(scale.padding * share)))),
            bias=False,
        )
        inner, padding = scale.inner_kernel, scale.inner_padding
        self.conv2, self.conv3 = _along_time(width, 2 * width, inner), _along_time(2 * width, width, inner)
        self.conv2.padding = self.conv3.padding = (0, padding)
        self.norm1, self.norm2, self.norm3 = (nn.BatchNorm2d(n) for n in (width, 2 * width, width))
        self.first_pool, self.last_pool = (
            nn.MaxPool2d((1, pool.kernel), (1, pool.stride), (0, pool.padding))
            for pool in (scale.first_pool, scale.last_pool)
        )
        self.dropout = Dropout(dropout)
        with torch.no_grad():
            frames = self.eval().convolve(shape.zeros(1)[:, :, None]).shape[-1]
        self.train()
        self.resize = nn.Linear(frames, steps)

    def convolve(self, x: Tensor) -> Tensor:
        """Return the feature map before its time axis is resized."""
        gelu = nn.functional.gelu
        h = self.first_pool(gelu(self.norm1(_channels_innermost(self.conv1(x)))))
        h = self.dropout(h.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # as it lies in memory, and so does its mask
        h = gelu(self.norm2(self.conv2(h)))
        return self.last_pool(gelu(self.norm3(self.conv3(h))))

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, width, steps)."""
        return self.resize(self.convolve(x).squeeze(2))


class SqueezeExcite(nn.Module):
    """A residual block of 1x1 convolutions whose channels are weighted by their means: (batch, width, 1, steps)."""

    def __init__(self, channels: int, width: int, hidden: int, *, bias: bool) -> None:
        super().__init__()
        self.conv1, self.norm1 = _along_time(channels, width, 1, bias=bias), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = _along_time(width, width, 1, bias=bias), nn.BatchNorm2d(width)
        self.squeeze, self.excite = nn.Linear(width, hidden, bias=False), nn.Linear(hidden, width, bias=False)
        self.shortcut, self.shortcut_norm = _along_time(channels, width, 1), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, width, 1, steps)."""
        h = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        weights = torch.sigmoid(self.excite(torch.relu(self.squeeze(h.mean(dim=(2, 3))))))
        return torch.relu(h * weights[:, :, None, None] + self.shortcut_norm(self.shortcut(x)))


class CausalUnits(nn.Module):
    """The units of query, key and value at once: (batch, width, 1, steps) to (batch, 3 * width, 1, steps).

    Each is two causal convolutions with a residual connection. They read the same input, so the three first ones are
    one convolution, and the three second ones are one with three groups.
    """

    def __init__(self, width: int, *, bias: bool) -> None:
        super().__init__()
        self.conv1 = _along_time(width, 3 * width, TCN_KERNEL, bias=bias)
        self.conv2 = _along_time(3 * width, 3 * width, TCN_KERNEL, bias=bias, groups=3)
        self.norm1, self.norm2 = nn.BatchNorm2d(3 * width), nn.BatchNorm2d(3 * width)

    def forward(self, x: Tensor) -> Tensor:
        """Return what queries, keys and values are made of, one after the other along the channels."""
        past = (TCN_KERNEL - 1, 0)
        h = torch.relu(self.norm1(self.conv1(nn.functional.pad(x, past))))
        h = self.norm2(self.conv2(nn.functional.pad(h, past)))
        return torch.relu(h + torch.cat([x, x, x], dim=1))


class EncoderLayer(nn.Module):
    """Attention along time on causal convolutions, then a feed-forward network along one axis."""

    def __init__(
        self,
        width: int,
        steps: int,
        *,
        heads: int,
        feed_forward: int,
        dropout: float,
        prenorm: bool,
        along_time: bool,
        bias: bool,
    ) -> None:
        super().__init__()
        self.prenorm, self.along_time = prenorm, along_time
        self.units = CausalUnits(width, bias=bias)
        self.attention_norm, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout=dropout)
        size = steps if along_time else width
        self.first, self.second = nn.Linear(size, feed_forward), nn.Linear(feed_forward, size)
        self.after_attention, self.after_first, self.after_second = Dropout(dropout), Dropout(dropout), Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, width, 1, steps) for the same."""
        q, k, v = self.units(x).squeeze(2).transpose(1, 2).chunk(3, dim=-1)
        taken = self.attention(self.attention_norm(q) if self.prenorm else q, k, v)
        y = q + self.after_attention(taken)
        h = self.norm(y)
        if self.along_time:
            h = h.transpose(1, 2)
        h = self.second(self.after_first(torch.relu(self.first(h))))
        if self.along_time:
            h = h.transpose(1, 2)
        return (y + self.after_second(h)).transpose(1, 2).unsqueeze(2)


@MODELS.register("pain_attn_net")
class PainAttnNet(Network):
    """PainAttnNet: convolutions at three scales, squeeze and excitation, then attention on causal convolutions.

    Built for 5.5 s of skin conductance at 512 Hz. Features: ``mscn`` (batch, 3 * width * modalities, steps), ``se`` and
    ``encoder`` (batch, hidden, steps), ``flat`` (batch, hidden * steps), which is ``encoder`` as a row.

    The first kernels of the three scales last 0.1, 1 and 2 s. At other rates they keep these durations, in windows
    shorter than 2.75 s their share of 2.75 s, and never fall below 3 samples; windows of any length from 16 samples are
    read, since the layers that resize each scale to `steps` take their size from the input. Several modalities have
    three scales each, joined along the channels, at their own rates.

    Published faults that are mended: the attention's layer normalisation was computed and not used, and the hidden
    layer of squeeze and excitation had a single unit. `as_released` brings both back (`prenorm_attn`, `se_hidden`:
    either one). It also keeps the biases in front of batch normalisation: they change nothing, and the gradient that
    reaches them is rounding noise, which Adam takes for a direction.

    The released training read raw µS; here a study's normalisation scales the input, or `standardise` does so for each
    window by itself.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Signals of 16 samples or more.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        Channels of the first and third convolution of each scale; the second has twice as many.
    hidden : int
        Channels of the encoder.
    steps : int
        Steps in time of the encoder.
    depth : int
        Layers of the encoder.
    heads : int
        Heads of its attention; a divisor of `hidden`.
    feed_forward : int
        Width of the hidden layer in each layer of the encoder.
    dropout : float
        Rate at the three scales and on what joins them.
    attention_dropout : float
        Rate in the encoder.
    prenorm_attn : bool or None
        Whether the attention's queries are normalised, as the design intends; None for yes unless `as_released`. What
        the attention finds is added to the queries as they were before.
    se_hidden : int or None
        Hidden units of squeeze and excitation; None for a sixteenth of `hidden` and at least 4, or 1 if `as_released`.
    ffn_axis : {"time", "channel"}
        What the feed-forward network of the encoder mixes. Published is time, against the custom of transformers.
    standardise : bool
        Whether every channel of every window is brought to mean 0 and standard deviation 1 first.
    as_released : bool
        Whether the published faults and biases return: 558,308 parameters for the published shapes.

    Notes
    -----
    Lu, Ozek and Kamarthi 2023; where paper and released code differ, the code is followed: it has three convolutions
    per scale.
    """

    paper: ClassVar[str] = (
        "Lu, Ozek and Kamarthi, Transformer encoder with multiscale deep learning for pain classification using "
        "physiological signals, Frontiers in Physiology 14:1294577, 2023"
    )
    example: ClassVar[Mapping[str, InputShape]] = {"eda": InputShape(1, 2816, 512.0)}
    idle: Mapping[str, str] = {"*.key.bias": "a softmax takes no notice of what is added to all of its inputs"}

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 64,
        hidden: int = 30,
        steps: int = 75,
        depth: int = 2,
        heads: int = 5,
        feed_forward: int = 120,
        dropout: float = 0.5,
        attention_dropout: float = 0.1,
        prenorm_attn: bool | None = None,
        se_hidden: int | None = None,
        ffn_axis: Axis = "time",
        standardise: bool = False,
        as_released: bool = False,
    ) -> None:
        super().__init__()
        refuse_short("pain_attn_net", modalities, SHORTEST)
        prenorm = not as_released if prenorm_attn is None else prenorm_attn
        if not prenorm:
            self.idle = {**self.idle, "encoder.*.attention_norm.*": "computed and not used, as published"}
        if as_released:
            before = "batch normalisation behind it takes away what is added to all"
            self.idle = {**self.idle, "encoder.*.units.conv*.bias": before, "excitation.conv*.bias": before}
        if ffn_axis not in get_args(Axis):
            raise LimbeckError(f"ffn_axis is '{ffn_axis}'; expected one of {', '.join(get_args(Axis))}.")
        if se_hidden is None:
            se_hidden = 1 if as_released else max(4, hidden // 16)
        if se_hidden < 1:
            raise LimbeckError(f"se_hidden is {se_hidden}; expected at least 1.")
        self.standardise = standardise
        self.scales = nn.ModuleDict(
            {
                name: nn.ModuleDict(
                    {
                        size: Branch(scale, shape, width=width, steps=steps, dropout=dropout)
                        for size, scale in SCALES.items()
                    }
                )
                for name, shape in modalities.items()
            }
        )
        self.dropout = Dropout(dropout)
        self.excitation = SqueezeExcite(len(SCALES) * width * len(modalities), hidden, se_hidden, bias=as_released)
        self.encoder = nn.Sequential(
            *(
                EncoderLayer(
                    hidden,
                    steps,
                    heads=heads,
                    feed_forward=feed_forward,
                    dropout=attention_dropout,
                    prenorm=prenorm,
                    along_time=ffn_axis == "time",
                    bias=as_released,
                )
                for _ in range(depth)
            )
        )
        self.norm = nn.LayerNorm(steps)
        self.head = nn.Linear(hidden * steps, n_outputs)
        self.apply(_initialise)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        found = []
        for name, scales in self.scales.items():
            x = inputs[name]
            if self.standardise:
                x = x - x.mean(dim=-1, keepdim=True)
                x = x / (x.square().mean(dim=-1, keepdim=True) + 1e-8).sqrt()
            found += [branch(x.unsqueeze(2)) for branch in scales.children()]
        mscn = self.dropout(torch.cat(found, dim=1))
        se = self.excitation(_channels_innermost(mscn.unsqueeze(2)))
        encoder = self.norm(self.encoder(se).squeeze(2))
        flat = encoder.flatten(1)
        return Outputs(self.head(flat), {"mscn": mscn, "se": se.squeeze(2), "encoder": encoder, "flat": flat})


def _initialise(module: nn.Module) -> None:
    """Draw what the released code draws, where that is not PyTorch's own choice."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, Attention):
        start_attention(module)
