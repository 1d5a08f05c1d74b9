"""PKDOT: a transformer of two modalities, and its student, which makes up the second one from the first."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import Attention, Dropout, sinusoids
from limbeck.models.shapes import refuse_short
from limbeck.models.starts import start_attention
from limbeck.models.steps import CommonSteps

__all__ = ["Adapter", "MultimodalTransformer", "PKDOTStudent", "PKDOTTeacher", "TNet"]

TNetSizes = Literal["pkdot", "mt_pkdot"]

SHARES: dict[str, tuple[float, ...]] = {
    "pkdot": (0.5, 0.25, 0.5),
    "mt_pkdot": (4.0, 2.0, 1.0, 0.5, 1.0, 2.0, 4.0),
}
"""Hidden widths of the two published T-Nets, in parts of the width of the embeddings."""


class TNet(nn.Module):
    """From the embeddings of the modality that is there to those of the one that is not: layers of given widths.

    Parameters
    ----------
    width : int
        Of both embeddings.
    hidden : sequence of int
        Widths of the hidden layers.
    between, last : nn.Module
        Activations after each hidden layer and after the last one.
    """

    def __init__(self, width: int, hidden: Sequence[int], *, between: nn.Module, last: nn.Module) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise((width, *hidden)):
            layers += [nn.Linear(before, after), between]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden[-1], width), last)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, steps, width) for the same."""
        return self.layers(x)


class Adapter(nn.Module):
    """A narrow linear map of a modality's embedding: half as wide in between.

    Parameters
    ----------
    width : int
        Of the embedding and of what is returned.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.narrow, self.widen = nn.Linear(width, max(1, width // 2)), nn.Linear(max(1, width // 2), width)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, width) for the same."""
        return self.widen(self.narrow(x))


class _Backbone(nn.Module):
    """A signal as a sequence of embeddings: (batch, channels, length) to (batch, steps, width)."""

    def __init__(self, name: str, shape: InputShape, *, width: int, frames: int) -> None:
        super().__init__()
        self.name = name
        self.front = CommonSteps({name: shape}, width=width, frames=frames, n_steps=frames, causal=False)
        self.along = nn.Conv1d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.along(nn.functional.gelu(self.front({self.name: x})))
        return nn.functional.gelu(h).transpose(-2, -1)


class _EncoderBlock(nn.Module):
    """Attention along time and two layers, each added to what came in and then normalised."""

    def __init__(self, width: int, heads: int, feed_forward: int, *, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout=dropout)
        self.widen, self.narrow = nn.Linear(width, feed_forward), nn.Linear(feed_forward, width)
        self.after_attention, self.after_layers = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.after_attention(x + self.attention(x, x, x))
        return self.after_layers(x + self.narrow(torch.relu(self.widen(x))))


class MultimodalTransformer(nn.Module):
    """Two sequences encoded each by itself, then each read by the other, and a gate that mixes the two readings.

    Parameters
    ----------
    width, heads, feed_forward, depth : int
        Of the tokens, of each attention, of the layer within each block, and blocks per modality.
    dropout : float
        Rate on the attention.
    key_bias : bool
        Whether keys have a bias, which changes nothing.
    """

    def __init__(
        self, *, width: int, heads: int, feed_forward: int, depth: int = 1, dropout: float = 0.0, key_bias: bool = False
    ) -> None:
        super().__init__()
        if depth < 1:
            raise LimbeckError(f"depth is {depth}; expected at least 1.")
        self.first, self.second = (
            nn.Sequential(*(_EncoderBlock(width, heads, feed_forward, dropout=dropout) for _ in range(depth)))
            for _ in range(2)
        )
        self.cross_first, self.cross_second = (Attention(width, heads, dropout=dropout) for _ in range(2))
        self.gate = nn.Linear(2 * width, 1)
        for module in self.modules():
            if isinstance(module, Attention):
                start_attention(module)
                if not key_bias:
                    module.key.register_parameter("bias", None)

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Return the joint sequence (batch, steps, width), and the share of the first modality at each step."""
        first, second = self.first(first), self.second(second)
        of_first, of_second = self.cross_first(second, first, first), self.cross_second(first, second, second)
        gate = torch.sigmoid(self.gate(torch.cat([of_first, of_second], dim=-1)))
        return gate * of_first + (1 - gate) * of_second, gate.squeeze(-1)


class _PKDOT(Network):
    """What teacher and student have in common."""

    paper: ClassVar[str] = (
        "Aslam et al., Distilling privileged multimodal information for expression recognition using optimal "
        "transport, FG 2024; Aslam et al., Multi teacher privileged knowledge distillation for multimodal expression "
        "recognition, 2024"
    )
    taken = ("joint", "gate", "pseudo")
    positions: Tensor

    def _lay_out(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int,
        heads: int,
        feed_forward: int,
        depth: int,
        frames: int,
        dropout: float,
        embedded: bool,
        key_bias: bool,
    ) -> None:
        if embedded:
            steps = {shape.length for shape in modalities.values()}
            if len(steps) > 1 or any(shape.channels != width for shape in modalities.values()):
                shapes = {name: (shape.channels, shape.length) for name, shape in modalities.items()}
                raise LimbeckError(
                    f"embedded needs {width} channels (width) and the same number of steps of each modality; the view "
                    f"has {shapes}."
                )
            (frames,) = steps
        else:
            refuse_short("PKDOT", modalities)
            if frames < 2:
                raise LimbeckError(f"frames is {frames}; expected at least 2.")
            frames = min(frames, max(shape.length for shape in modalities.values()))
        self.backbones = nn.ModuleDict(
            {}
            if embedded
            else {name: _Backbone(name, shape, width=width, frames=frames) for name, shape in modalities.items()}
        )
        positions = sinusoids(frames, width) if frames > 1 else torch.zeros(1, width)
        self.register_buffer("positions", positions, persistent=False)
        self.transformer = MultimodalTransformer(
            width=width, heads=heads, feed_forward=feed_forward, depth=depth, dropout=dropout, key_bias=key_bias
        )
        self.before_head = Dropout(dropout)
        self.head = nn.Linear(width, n_outputs)
        if key_bias:
            self.idle = {
                **self.idle,
                "transformer.*.key.bias": "a softmax takes no notice of what is added to all of its inputs",
            }

    def _embed(self, name: str, x: Tensor) -> Tensor:
        """Return the tokens of a modality: (batch, steps, width)."""
        return self.backbones[name](x) if name in self.backbones else x.transpose(-2, -1)

    def _join(self, first: Tensor, second: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the prediction of two sequences and the features that teacher and student share."""
        joint, gate = self.transformer(first + self.positions, second + self.positions)
        pooled = joint.mean(dim=-2)
        return self.head(self.before_head(pooled)), {"joint": pooled, "gate": gate}


@MODELS.register("pkdot_teacher")
class PKDOTTeacher(_PKDOT):
    """PKDOT's teacher: two modalities attend to themselves, then to each other along time, and a gate mixes them.

    Features: ``<modality>`` (batch, steps, width), the embeddings that enter the transformer; ``joint`` (batch, width),
    what its student is taught to arrange alike; ``gate`` (batch, steps), the share of the first modality. With
    `adapters` (MT-PKDOT) also ``adapted_<modality>`` (batch, width) and ``logits_<modality>`` (batch, n_outputs).

    Published faults that are mended: attention ran over the windows of the batch, so that a prediction depended on its
    companions (each window was a single token); it runs along time here, over `frames` tokens with their place, and
    the joint feature is their mean; no flag brings the fault back. A number of layers was asked for and not used;
    `depth` is. Keys have a bias `as_released` only: it has no effect.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Exactly two signals of at least 8 samples: the one that will be there in use, and the privileged one.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        Of the embeddings.
    heads : int
        Of each attention; divides the width.
    feed_forward : int
        Width of the layer within each block.
    depth : int
        Blocks per modality before they meet.
    frames : int
        Tokens of each modality, at most one per sample of the longest.
    dropout : float
        Rate on the attention and before the head; none is published.
    adapters : bool
        Whether each modality has an adapter and a head of its own, for teaching within the teacher (MT-PKDOT); no part
        of the prediction.
    embedded : bool
        Whether the signals are embeddings of other networks already, `width` channels at common steps: they enter the
        transformer as they are. Published is a video network's and a spectrogram network's, of 512.
    as_released : bool
        Whether keys have a bias: with `embedded` 5,259,267 parameters for the published sizes.
    """

    min_modalities = 2
    max_modalities = 2
    example: ClassVar[Mapping[str, InputShape]] = {"eda": InputShape(1, 240, 4.0), "emg": InputShape(1, 2560, 256.0)}
    idle: Mapping[str, str] = {
        "adapters.*": "the losses within the teacher reach them, the prediction does not pass them",
        "sides.*": "the losses within the teacher reach them, the prediction does not pass them",
    }

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 64,
        heads: int = 2,
        feed_forward: int = 64,
        depth: int = 1,
        frames: int = 32,
        dropout: float = 0.0,
        adapters: bool = False,
        embedded: bool = False,
        as_released: bool = False,
    ) -> None:
        super().__init__()
        self._lay_out(
            modalities,
            n_outputs,
            width=width,
            heads=heads,
            feed_forward=feed_forward,
            depth=depth,
            frames=frames,
            dropout=dropout,
            embedded=embedded,
            key_bias=as_released,
        )
        self.names = tuple(modalities)
        with_adapters = self.names if adapters else ()
        self.adapters = nn.ModuleDict({name: Adapter(width) for name in with_adapters})
        self.sides = nn.ModuleDict({name: nn.Linear(width, n_outputs) for name in with_adapters})

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        embedded = {name: self._embed(name, inputs[name]) for name in self.names}
        first, second = embedded.values()
        prediction, features = self._join(first, second)
        adapted = {name: adapter(embedded[name].mean(dim=-2)) for name, adapter in self.adapters.items()}
        features |= {f"adapted_{name}": value for name, value in adapted.items()}
        features |= {f"logits_{name}": self.sides[name](value) for name, value in adapted.items()}
        return Outputs(prediction, {**embedded, **features})


@MODELS.register("pkdot_student")
class PKDOTStudent(_PKDOT):
    """PKDOT's student: one modality, from which T-Net makes up the privileged one, in the teacher's transformer.

    Features: ``<modality>`` and ``pseudo`` (batch, steps, width), the embeddings and what T-Net makes of them;
    ``joint`` (batch, width) and ``gate`` (batch, steps) as of ``pkdot_teacher``.

    Published faults that are mended: attention across the batch and the unused number of layers, as of
    ``pkdot_teacher``; a T-Net that stayed as it was drawn (here it learns: a loss on ``pseudo`` and the teacher's
    embeddings of the privileged modality is what it was meant to have; `frozen` keeps one that a stage before has
    trained); a T-Net that could only return values between 0 and 1 (PKDOT), or one of seven hidden layers without an
    activation, a single linear map (MT-PKDOT). `as_released` brings the two last ones back.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Exactly one signal of at least 8 samples.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        Of the embeddings.
    heads : int
        Of each attention; divides the width.
    feed_forward : int
        Width of the layer within each block.
    depth : int
        Blocks per modality before they meet.
    frames : int
        Tokens of each modality, at most one per sample of the longest.
    dropout : float
        Rate on the attention and before the head; none is published.
    t_net : {"pkdot", "mt_pkdot"}
        Whose hidden layers T-Net has: 1/2, 1/4, 1/2 of the width, or 4, 2, 1, 1/2, 1, 2, 4 times the width.
    frozen : bool
        Whether no gradient reaches T-Net, nor the backbone through it.
    embedded : bool
        Whether the signal is embeddings of another network already, `width` channels.
    as_released : bool
        Whether T-Net ends and is activated as published and keys have a bias: with `embedded` 5,588,099 (PKDOT) or
        12,869,379 (MT-PKDOT) parameters for the published sizes.
    """

    max_modalities = 1
    example: ClassVar[Mapping[str, InputShape]] = {"eda": InputShape(1, 240, 4.0)}

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 64,
        heads: int = 2,
        feed_forward: int = 64,
        depth: int = 1,
        frames: int = 32,
        dropout: float = 0.0,
        t_net: TNetSizes = "pkdot",
        frozen: bool = False,
        embedded: bool = False,
        as_released: bool = False,
    ) -> None:
        super().__init__()
        if t_net not in get_args(TNetSizes):
            raise LimbeckError(f"t_net is '{t_net}'; expected one of {', '.join(get_args(TNetSizes))}.")
        self._lay_out(
            modalities,
            n_outputs,
            width=width,
            heads=heads,
            feed_forward=feed_forward,
            depth=depth,
            frames=frames,
            dropout=dropout,
            embedded=embedded,
            key_bias=as_released,
        )
        (self.modality,) = modalities
        self.frozen = frozen
        if frozen:
            self.idle = {**self.idle, "t_net.*": "frozen"}
        linear = as_released and t_net == "mt_pkdot"
        bounded = as_released and t_net == "pkdot"
        self.t_net = TNet(
            width,
            [max(1, round(share * width)) for share in SHARES[t_net]],
            between=nn.Identity() if linear else nn.ReLU(),
            last=nn.Sigmoid() if bounded else nn.Identity(),
        )

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        embedded = self._embed(self.modality, inputs[self.modality])
        pseudo = self.t_net(embedded)
        if self.frozen:
            pseudo = pseudo.detach()
        prediction, features = self._join(embedded, pseudo)
        return Outputs(prediction, {self.modality: embedded, "pseudo": pseudo, **features})
