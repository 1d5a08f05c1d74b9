"""From faces to EEG (Zhang, Tang, Guan 2022): networks that follow an emotion step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from limbeck.errors import LimbeckError
from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.ir50 import frame_encoder, frame_shape
from limbeck.models.layers import CausalConv1d, Dropout
from limbeck.models.shapes import refuse_short
from limbeck.models.steps import segments

__all__ = ["TemporalBlocks", "Zhang2022LSTM", "Zhang2022Student", "Zhang2022Teacher"]

SPREAD = 0.01
"""Standard deviation of the first weights of the temporal convolutions."""

_SHIFT = "it shifts a whole channel by one number, which the batch normalisation behind it takes away in training"

BAND_POWER = {"eeg": InputShape(192, 96, 4.0)}
FACES = {"video": InputShape(3 * 40 * 40, 96, 4.0)}


class _WeightNormed(CausalConv1d):
    """A causal convolution whose filters have a direction (``weight``) and a length (``gain``) of their own."""

    def __init__(self, channels: int, filters: int, kernel: int, *, dilation: int = 1) -> None:
        super().__init__(channels, filters, kernel, dilation=dilation)
        self.gain = nn.Parameter(_length(self.weight.detach()))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight * (self.gain / _length(self.weight))
        return self._conv_forward(nn.functional.pad(x, (self.past, 0)), weight, self.bias)


def _length(weight: Tensor) -> Tensor:
    return weight.square().sum(dim=(1, 2), keepdim=True).sqrt()


class _Block(nn.Module):
    """Two dilated causal convolutions, and what came in added."""

    def __init__(
        self, inputs: int, width: int, kernel: int, dilation: int, *, dropout: float, weight_norm: bool
    ) -> None:
        super().__init__()
        convolution = _WeightNormed if weight_norm else CausalConv1d
        self.conv1 = convolution(inputs, width, kernel, dilation=dilation)
        self.conv2 = convolution(width, width, kernel, dilation=dilation)
        self.shortcut = nn.Conv1d(inputs, width, 1) if inputs != width else None
        self.after_conv1, self.after_conv2, self.after_sum = nn.PReLU(), nn.PReLU(), nn.PReLU()
        self.dropout1, self.dropout2 = Dropout(dropout), Dropout(dropout)
        drawn = [] if weight_norm else [self.conv1, self.conv2]
        for layer in [*drawn, *([] if self.shortcut is None else [self.shortcut])]:
            nn.init.normal_(layer.weight, std=SPREAD)

    def forward(self, x: Tensor) -> Tensor:
        h = self.dropout1(self.after_conv1(self.conv1(x)))
        h = self.dropout2(self.after_conv2(self.conv2(h)))
        return self.after_sum(h + (x if self.shortcut is None else self.shortcut(x)))


class TemporalBlocks(nn.Module):
    """Residual blocks of causal convolutions whose dilation doubles: (batch, channels, steps) to (batch, width, steps).

    Parameters
    ----------
    channels, width, depth, kernel : int
        Of the input, of each block, number of blocks, steps that a filter spans.
    dropout : float
        Rate after each convolution.
    weight_norm : bool
        Whether the length of a filter is a parameter of its own, as released.

    Attributes
    ----------
    field : int
        Steps that a step depends on: itself and those before.
    shortest : int
        Steps of the shortest sequence that reaches every weight.
    """

    def __init__(
        self, channels: int, *, width: int, depth: int, kernel: int, dropout: float, weight_norm: bool = False
    ) -> None:
        super().__init__()
        if depth < 1 or kernel < 2:
            raise LimbeckError(f"depth is {depth} and kernel {kernel}; expected a block or more, of 2 steps or more.")
        self.blocks = nn.Sequential(
            *(
                _Block(inputs, filters, kernel, 2**place, dropout=dropout, weight_norm=weight_norm)
                for place, (inputs, filters) in enumerate(pairwise([channels, *[width] * depth]))
            )
        )
        self.field = 1 + 2 * (kernel - 1) * (2**depth - 1)
        self.shortest = 1 + (kernel - 1) * 2 ** (depth - 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return what each step makes of itself and its past."""
        return self.blocks(x)


class _Continuous(Network):
    """What the three networks have in common: one modality, a sequence with its steps, a linear layer on each step."""

    max_modalities = 1
    per_step = True
    paper: ClassVar[str] = (
        "Zhang, Tang and Guan, Visual-to-EEG cross-modal knowledge distillation for continuous emotion recognition, "
        "Pattern Recognition 130, 108833, 2022"
    )

    averages: Tensor | None

    def _only(self, modalities: Mapping[str, InputShape]) -> InputShape:
        ((self.modality, shape),) = modalities.items()
        return shape

    def _read_out(self, width: int, length: int, n_steps: int, n_outputs: int) -> None:
        self.head = nn.Linear(width, n_outputs)
        self.n_steps = n_steps
        weights = segments(torch.arange(length), length, n_steps) if n_steps not in (0, length) else None
        self.register_buffer("averages", weights, persistent=False)

    def _outputs(self, sequence: Tensor, **features: Tensor) -> Outputs:
        """Return the prediction from (batch, steps, width)."""
        if not self.n_steps:
            embedding = sequence.mean(dim=-2)
        else:
            embedding = sequence if self.averages is None else self.averages @ sequence
        return Outputs(self.head(embedding), {**features, "sequence": sequence, "embedding": embedding})


@MODELS.register("zhang2022_student")
class Zhang2022Student(_Continuous):
    """Causal temporal convolutions on a sequence of features, a value at each step: the published EEG student.

    Features: ``sequence`` (batch, length, width), the published knowledge of teacher and student; ``embedding``
    (batch, width), its mean over time, or (batch, n_steps, width).

    Published is the power of 6 bands at 32 electrodes at 4 Hz, so a step sees 13 steps or 3.25 s. Signals of another
    rate are seen for 13 of their own steps: bring them to one that makes these seconds. Stored embeddings of frames are
    read in the same way; with 512 channels this is the temporal part of `zhang2022_teacher`.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        One sequence of features or signal, of 5 steps or more with the default kernel and depth.
    n_outputs : int
        Number of classes, or 1 for a trace.
    n_steps : int
        Steps within the window at which it predicts; 0 for one prediction per window. Where the window has another
        number of steps, the sequence is averaged over each of `n_steps` equal parts of the window, and a part without
        a step holds the last one before its end.
    width : int
        Channels of each block.
    depth : int
        Blocks; the dilation is 1, 2, 4, …
    kernel : int
        Steps that a filter spans.
    dropout : float
        Rate after each convolution.
    as_released : bool
        Whether filters are weight-normalised as in the released code.

    Notes
    -----
    The released code draws first weights of standard deviation 0.01, which its weight normalisation then ignores (it
    is 0.024 as drawn by default). Here there is no weight normalisation, so they count; `as_released` brings back both.
    """

    example: ClassVar[Mapping[str, InputShape]] = BAND_POWER

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        n_steps: int = 0,
        width: int = 128,
        depth: int = 2,
        kernel: int = 3,
        dropout: float = 0.1,
        as_released: bool = False,
    ) -> None:
        super().__init__()
        shape = self._only(modalities)
        self.temporal = TemporalBlocks(
            shape.channels, width=width, depth=depth, kernel=kernel, dropout=dropout, weight_norm=as_released
        )
        refuse_short("zhang2022_student", modalities, self.temporal.shortest, or_else="a smaller kernel or depth")
        self._read_out(width, shape.length, n_steps, n_outputs)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's values with the named features."""
        return self._outputs(self.temporal(inputs[self.modality]).transpose(-2, -1))


@MODELS.register("zhang2022_lstm")
class Zhang2022LSTM(_Continuous):
    """Two recurrent layers in both directions on a sequence of features, a value at each step: the published baseline.

    Features: ``sequence`` (batch, length, 2 * hidden); ``embedding`` (batch, 2 * hidden), its mean over time, or
    (batch, n_steps, 2 * hidden).

    Parameters
    ----------
    modalities : mapping of str to InputShape
        One sequence of features or signal, of 2 steps or more; published are band powers of the EEG at 4 Hz, and the
        embeddings of frames.
    n_outputs : int
        Number of classes, or 1 for a trace.
    n_steps : int
        Steps within the window at which it predicts; 0 for one prediction per window. Where the window has another
        number of steps: as of `zhang2022_student`.
    hidden : int
        Width of each direction of each layer.
    depth : int
        Layers.
    dropout : float
        Rate between them; a single layer has none.
    """

    looped: ClassVar[str] = "PyTorch has no rule for recurrent layers of many networks at once"
    example: ClassVar[Mapping[str, InputShape]] = BAND_POWER

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        n_steps: int = 0,
        hidden: int = 64,
        depth: int = 2,
        dropout: float = 0.4,
    ) -> None:
        super().__init__()
        shape = self._only(modalities)
        refuse_short("zhang2022_lstm", modalities, 2)
        widths = [shape.channels, *[2 * hidden] * depth]
        self.layers = nn.ModuleList(
            nn.LSTM(inputs, hidden, batch_first=True, bidirectional=True) for inputs, _ in pairwise(widths)
        )
        self.between = nn.ModuleList(Dropout(dropout) for _ in range(depth - 1))
        self._read_out(widths[-1], shape.length, n_steps, n_outputs)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's values with the named features."""
        h = inputs[self.modality].transpose(-2, -1)
        for place, layer in enumerate(self.layers):
            h, _ = layer(self.between[place - 1](h) if place else h)
        return self._outputs(h)


@MODELS.register("zhang2022_teacher")
class Zhang2022Teacher(_Continuous):
    """Faces, frame by frame through IR-50 or a network of timm, then causal convolutions: the published visual teacher.

    Features: ``frames`` (batch, length, embedding), a row of length 1 for each frame; ``sequence``
    (batch, length, width), the published knowledge; ``embedding`` (batch, width), its mean over time, or
    (batch, n_steps, width).

    A window of video is a signal whose channels are the pixels of a frame, colour after colour and row after row:
    published are 40 x 40 pixels in three colours at 4 Hz, 4,800 channels, cut at random from 48 x 48 in training and
    from their middle else, and scaled to between -1 and 1 by one mean and spread of 0.5 for all pixels.

    The backbone is trained beforehand on faces and released in groups, from its top; see `released` and
    :meth:`stages`. Other parts of it are held: no gradient reaches them and they stay in evaluation mode, their batch
    normalisation on its running statistics.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        One video of frames of 8 x 8 pixels or more, of 5 steps or more with the default kernel and depth.
    n_outputs : int
        Number of classes, or 1 for a trace.
    n_steps : int
        Steps within the window at which it predicts; 0 for one prediction per window. Where the window has another
        number of steps: as of `zhang2022_student`.
    frame : sequence of int
        Rows and columns of a frame; empty for square ones of three colours or of one.
    width, depth, kernel : int
        Of the temporal blocks: channels, number, steps that a filter spans.
    dropout : float
        Rate after each temporal convolution.
    backbone : str
        ``"ir50"``, or the name of a model of timm, which is an extra (``pip install 'limbeck[vision]'``).
    weights : str
        A safetensors file with the weights of the backbone; empty for none. Weights of IR-50 that torch has saved are
        converted by :func:`limbeck.models.ir50.convert_weights`.
    released : int or None
        Groups of the backbone that learn, from its top; None for all. Of IR-50: 0 none, 1 its output layer, 2 also its
        last stage, 3 also the last three units of the stage before, 4 all; published are stages with 1, 2 and 3, each
        starting from the one before. Train without weight decay while parts are held: it would shrink them.
    embedding : int
        Numbers that IR-50 returns for a frame.
    backbone_width : int
        Channels of the first stage of IR-50.
    backbone_depth : sequence of int
        Units of its four stages.
    backbone_dropout : float
        Rate before its last layer.
    chunk : int
        Frames that pass the backbone at a time wherever it does not learn, which bounds the memory; 0 for all.
    as_released : bool
        Whether the temporal filters are weight-normalised, and held parts of the backbone normalise by the batch and
        drop out in training, as in the released code.

    Notes
    -----
    Mended: weights of the temporal convolutions as for `zhang2022_student`; batch normalisation of held parts, whose
    statistics drift in the released code. Published knowledge was drawn from this network at 64 frames per second,
    though it was trained at 4: give it windows at the rate at which it was trained.
    """

    example: ClassVar[Mapping[str, InputShape]] = FACES
    least: ClassVar[Mapping[str, int]] = {"chunk": 0, "released": 0}
    idle: Mapping[str, str] = {
        "backbone.body.stage*.norm_out.bias": _SHIFT,
        "backbone.body.stage*.shortcut.1.bias": _SHIFT,
        "backbone.output.norm_in.bias": f"{_SHIFT}, but for what dropout leaves of it",
        "backbone.output.linear.bias": _SHIFT,
    }

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        n_steps: int = 0,
        frame: Sequence[int] = (),
        width: int = 128,
        depth: int = 2,
        kernel: int = 3,
        dropout: float = 0.1,
        backbone: str = "ir50",
        weights: str = "",
        released: int | None = None,
        embedding: int = 512,
        backbone_width: int = 64,
        backbone_depth: Sequence[int] = (3, 4, 14, 3),
        backbone_dropout: float = 0.4,
        chunk: int = 64,
        as_released: bool = False,
    ) -> None:
        super().__init__()
        shape = self._only(modalities)
        self.frame = frame_shape(self.modality, shape, frame)
        options: dict[str, Any] = {
            "width": backbone_width,
            "depth": backbone_depth,
            "embedding": embedding,
            "dropout": backbone_dropout,
        }
        self.backbone = frame_encoder(
            backbone, *self.frame, weights=weights, chunk=chunk, **(options if backbone == "ir50" else {})
        )
        self.backbone.release(released, asleep=not as_released)
        self.temporal = TemporalBlocks(
            self.backbone.width, width=width, depth=depth, kernel=kernel, dropout=dropout, weight_norm=as_released
        )
        refuse_short("zhang2022_teacher", modalities, self.temporal.shortest, or_else="a smaller kernel or depth")
        self._read_out(width, shape.length, n_steps, n_outputs)
        self.length = shape.length

    def stages(self) -> dict[str, tuple[str, ...]]:
        """Return the names of all parameters by group, in the order in which the groups are released.

        The first, ``temporal``, is no part of the backbone and always learns; the others are those that `released`
        counts.
        """
        groups = {group: tuple(f"backbone.{name}" for name in names) for group, names in self.backbone.parts().items()}
        others = tuple(name for name, _ in self.named_parameters() if not name.startswith("backbone."))
        return {"temporal": others, **groups}

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's values with the named features."""
        pixels = inputs[self.modality].transpose(-2, -1)
        frames = pixels.unflatten(-1, self.frame).flatten(0, 1)
        held = self.backbone.held() if self.training else {}
        rows = functional_call(self.backbone, held, (frames,)) if held else self.backbone(frames)
        embedded = rows.unflatten(0, (-1, self.length))
        sequence = self.temporal(embedded.transpose(-2, -1)).transpose(-2, -1)
        return self._outputs(sequence, frames=embedded)
