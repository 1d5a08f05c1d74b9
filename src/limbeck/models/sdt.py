"""SDT: transformers within and between modalities at the steps of a window, fused by gates in two levels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, cast, get_args

import torch
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import Attention, Dropout, sinusoids
from limbeck.models.shapes import refuse_short
from limbeck.models.steps import frame_times, segments

__all__ = ["SDT"]

Gate = Literal["learnt", "identity"]

SPEAKER = "speaker"
"""The name under which a view holds who speaks."""

SHORTEST = 2
"""Samples below which a window is no sequence."""


class _Steps(nn.Module):
    """Brings a signal to the common steps, a linear map of each span: (batch, channels, length) to (…, step, width)."""

    def __init__(self, shape: InputShape, *, width: int, steps: int) -> None:
        super().__init__()
        span = max(1, shape.length // steps)
        self.spans = nn.Conv1d(shape.channels, width, span, stride=span, bias=False)
        frames = shape.length // span
        weights = segments(frame_times(frames, span, causal=False), shape.length, steps)
        self.register_buffer("_of_frames", None if frames == steps else weights.T, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        frames = self.spans(x)
        weights = cast("Tensor | None", self._of_frames)
        return (frames if weights is None else frames @ weights).transpose(-2, -1)


class _Transformer(nn.Module):
    """One layer: a modality's steps attend to those of a source, itself or another, and two layers follow."""

    def __init__(self, width: int, heads: int, *, dropout: float, between: bool, as_released: bool) -> None:
        super().__init__()
        self.on_target = Dropout(dropout)
        self.on_source = Dropout(dropout) if between else None
        self.attention = Attention(width, heads, dropout=dropout)
        if as_released:
            self.norm = nn.LayerNorm(width, eps=1e-6)
        else:
            self.attention.key.register_parameter("bias", None)
        self.before_layers = nn.LayerNorm(width, eps=1e-6)
        self.widen, self.narrow = nn.Linear(width, width), nn.Linear(width, width)
        self.after_attention, self.between_layers, self.after_layers = (Dropout(dropout) for _ in range(3))

    def forward(self, target: Tensor, source: Tensor) -> Tensor:
        target = self.on_target(target)
        source = target if self.on_source is None else self.on_source(source)
        x = target + self.after_attention(self.attention(target, source, source))
        h = self.between_layers(nn.functional.gelu(self.widen(self.before_layers(x)), approximate="tanh"))
        return x + self.after_layers(self.narrow(h))


@MODELS.register("sdt")
class SDT(Network):
    """SDT: each modality attends to itself and to every other along time; gates fuse what each found, then them all.

    Built for conversations: a step was an utterance, a window a dialogue. Here a window of signals is the sequence, and
    its steps are equal spans of it: every modality is cut into spans, each of which becomes a token through one linear
    map (a signal of one sample per step is read exactly as published). A signal with fewer samples than steps holds its
    last one. The published network answers at every step, as this one does with ``n_steps`` equal to the steps;
    otherwise the head reads the mean of the steps.

    Features: ``<modality>`` and ``fused`` (batch, steps, width), before and after the modalities are fused;
    ``embedding`` (batch, width) or (batch, n_steps, width), what the head reads; with `answers` also
    ``logits_<modality>`` (batch, n_outputs) or (batch, n_steps, n_outputs), what each modality says alone.

    Self-distillation lets the fused prediction teach the modalities' own `answers`; the released loss sends a gradient
    into that teacher as well, which a loss should not. The released network also counts parameters without any effect
    (a layer normalisation in each transformer that is not used, the speakers' padding row, biases of keys), which
    `as_released` brings back: 79,687,704 parameters, with `answers`, for the sizes published for IEMOCAP.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Two or more signals of at least 2 samples; with `n_speakers` also ``speaker``.
    n_outputs : int
        Number of classes, or 1 for a trace.
    n_steps : int
        Steps within the window at which it predicts; 0 for one prediction per window.
    width : int
        Width of the tokens; 1024 is published for text, sound and video, 64 to 128 suits biosignals.
    heads : int
        Of each attention; divides the width; 8 published.
    frames : int
        Steps of the sequence, at most one per sample of the longest modality; with `n_steps` a whole multiple of it.
    gate : {"learnt", "identity"}
        Whether the gate of each transformer has a matrix (published for IEMOCAP) or reads its input as it is (MELD).
    dropout : float
        Rate on the tokens, in the transformers and before the heads of single modalities.
    n_speakers : int
        Who speaks, where several do: the view's ``speaker`` then holds a row per speaker, 1 where that one speaks, and
        each has a learnt code that is added to all modalities; 0 for none. From Python only: no study makes such a
        modality.
    answers : bool
        Whether each modality has a head of its own for self-distillation; no part of the prediction.
    as_released : bool
        Whether the parameters without effect are there.
    """

    per_step = True
    taken = ("fused", "embedding")
    min_modalities = 2
    paper: ClassVar[str] = (
        "Ma, Wang, Lin, Zhang, Zhang and Xu, A transformer-based model with self-distillation for multimodal emotion "
        "recognition in conversations, IEEE Transactions on Multimedia 26, 2024"
    )
    example: ClassVar[Mapping[str, InputShape]] = {"eda": InputShape(1, 240, 4.0), "bvp": InputShape(1, 3840, 64.0)}
    idle: Mapping[str, str] = {
        "students.*": "heads of single modalities, for losses on their own answers; the prediction does not pass them"
    }

    positions: Tensor

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        n_steps: int = 0,
        width: int = 64,
        heads: int = 4,
        frames: int = 32,
        gate: Gate = "learnt",
        dropout: float = 0.5,
        n_speakers: int = 0,
        answers: bool = False,
        as_released: bool = False,
    ) -> None:
        super().__init__()
        if gate not in get_args(Gate):
            raise LimbeckError(f"gate is '{gate}'; expected one of {', '.join(get_args(Gate))}.")
        signals = {name: shape for name, shape in modalities.items() if not (n_speakers and name == SPEAKER)}
        _refuse(modalities, signals, n_speakers=n_speakers, frames=frames)
        self.names, self.n_steps, self.n_speakers = tuple(signals), n_steps, n_speakers
        wanted = min(frames, max(shape.length for shape in signals.values()))
        self.steps = n_steps * max(1, wanted // n_steps) if n_steps else wanted
        self.register_buffer("positions", sinusoids(self.steps, width), persistent=False)
        if n_speakers:
            self.speakers = nn.Parameter(torch.randn(n_speakers + as_released, width))
            with torch.no_grad():
                self.speakers[n_speakers:] = 0.0
            length = modalities[SPEAKER].length
            weights = segments(frame_times(length, 1, causal=False), length, self.steps).T
            self.register_buffer("_of_speaker", weights, persistent=False)
        self.tokens = nn.ModuleDict(
            {name: _Steps(shape, width=width, steps=self.steps) for name, shape in signals.items()}
        )
        pairs = [(target, source) for target in signals for source in signals]
        self.transformers = nn.ModuleDict(
            {
                f"{target}_{source}": _Transformer(
                    width, heads, dropout=dropout, between=target != source, as_released=as_released
                )
                for target, source in pairs
            }
        )
        self.gates = nn.ModuleDict(
            {
                f"{target}_{source}": nn.Linear(width, width, bias=False) if gate == "learnt" else nn.Identity()
                for target, source in pairs
            }
        )
        self.reduce = nn.ModuleDict({name: nn.Linear(len(signals) * width, width) for name in signals})
        self.fuse = nn.Linear(width, width, bias=False)
        alone = signals if answers else ()
        self.before_students = nn.ModuleDict({name: Dropout(dropout) for name in alone})
        self.students = nn.ModuleDict({name: nn.Linear(width, n_outputs) for name in alone})
        self.head = nn.Linear(width, n_outputs)
        if as_released:
            self.idle = {
                **self.idle,
                "transformers.*.norm.*": "not used, as released",
                "transformers.*.attention.key.bias": "a softmax takes no notice of what is added to all of its inputs",
            }

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's values with the named features."""
        around = self.positions
        if self.n_speakers:
            share = inputs[SPEAKER] @ self.get_buffer("_of_speaker")
            around = around + share.transpose(-2, -1) @ self.speakers[: self.n_speakers]
        tokens = {name: steps(inputs[name]) + around for name, steps in self.tokens.items()}
        found = {}
        for target in self.names:
            parts = []
            for source in self.names:
                pair = f"{target}_{source}"
                h = self.transformers[pair](tokens[target], tokens[source])
                parts.append(h * torch.sigmoid(self.gates[pair](h)))
            found[target] = self.reduce[target](torch.cat(parts, dim=-1))
        each = torch.stack([found[name] for name in self.names], dim=-2)  # (batch, step, modality, width)
        fused = (torch.softmax(self.fuse(each), dim=-2) * each).sum(dim=-2)
        embedding = self._pool(fused)
        answers = {
            f"logits_{name}": student(self.before_students[name](torch.relu(self._pool(found[name]))))
            for name, student in self.students.items()
        }
        return Outputs(self.head(embedding), {**found, "fused": fused, "embedding": embedding, **answers})

    def _pool(self, x: Tensor) -> Tensor:
        """Return the mean of all steps, or of those of each step of the prediction."""
        return x.unflatten(-2, (self.n_steps, -1)).mean(dim=-2) if self.n_steps else x.mean(dim=-2)


def _refuse(
    modalities: Mapping[str, InputShape], signals: Mapping[str, InputShape], *, n_speakers: int, frames: int
) -> None:
    """Refuse views and options that make no sequence."""
    if n_speakers and (SPEAKER not in modalities or modalities[SPEAKER].channels != n_speakers):
        raise LimbeckError(
            f"n_speakers is {n_speakers}, so the view needs '{SPEAKER}' with {n_speakers} channels, 1 where that one "
            f"speaks; it has {sorted(modalities)}."
        )
    if len(signals) < 2:
        raise LimbeckError(f"The model 'sdt' needs at least 2 modalities next to '{SPEAKER}'; it has {list(signals)}.")
    refuse_short("sdt", signals, SHORTEST)
    if frames < SHORTEST:
        raise LimbeckError(f"frames is {frames}; expected at least {SHORTEST} steps.")
