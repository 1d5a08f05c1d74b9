"""Networks for levels of fear: convolutions and recurrent layers that read a row of features as a sequence."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models.contract import MODELS, FeatureNetwork, InputShape, Outputs
from limbeck.models.layers import DenseStack, Dropout, SingleBiasLSTM
from limbeck.models.starts import start_glorot, start_recurrent

__all__ = ["DEAP", "FearCNN", "FearGRU", "FearLSTM", "FearStudent"]

SLIDES = (
    "Fear levels by transfer learning and knowledge distillation on DEAP and ASCERTAIN (slides; authors and year not "
    "recorded)"
)

DEAP = {
    "eeg": InputShape(160),
    "eog": InputShape(4),
    "emg": InputShape(4),
    "eda": InputShape(2),
    "resp": InputShape(2),
    "bvp": InputShape(2),
    "temp": InputShape(2),
}
"""Five band powers of 32 electrodes, mean and variance of eight other sensors: 176 numbers."""

DEAP_STUDENT = {**DEAP, "eeg": InputShape(70)}
"""The same of 14 electrodes: 86 numbers."""

BATCH_NORM_EPSILON = 1e-3
"""Added to the variance, as the source's library does."""


class _Block(nn.Module):
    """Convolution, ReLU, batch normalisation where wanted, and the larger of every two steps."""

    def __init__(self, channels: int, width: int, kernel: int, *, norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, width, kernel, padding="same")
        self.norm = nn.BatchNorm1d(width, eps=BATCH_NORM_EPSILON) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.max_pool1d(self.norm(torch.relu(self.conv(x))), 2)


class _FearConvolutions(FeatureNetwork):
    """The two convolutional networks, which differ in depth and hidden layers."""

    paper: ClassVar[str] = SLIDES
    initialise = staticmethod(start_glorot)

    def _lay_out(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int,
        depth: int,
        kernel: int,
        hidden: Sequence[int] | int,
        dropout: float,
    ) -> None:
        n_features = self._read(modalities)
        if depth < 1:
            raise LimbeckError(f"depth is {depth}; expected at least 1.")
        least = 2 ** (depth + 1)
        if n_features < least:
            fits = int(math.log2(n_features)) - 1
            advice = f"Choose depth {fits} or" if fits >= 1 else "Choose"
            raise LimbeckError(
                f"The network's {depth + 1} poolings halve the row of features each time, which takes at least {least} "
                f"features, and the view has {n_features}. {advice} a model for few features (mlp, linear)."
            )
        widths = [1, *[width] * depth, max(1, width // 2)]
        self.blocks = nn.ModuleList(
            _Block(channels, filters, kernel, norm=place < depth)
            for place, (channels, filters) in enumerate(itertools.pairwise(widths))
        )
        with torch.no_grad():
            x = torch.zeros(1, 1, n_features)
            for block in self.blocks.eval():
                x = block(x)
        self.blocks.train()
        self.dense = DenseStack(x.numel(), hidden, dropout=dropout, early_tanh=True)
        self.head = nn.Linear(self.dense.width, n_outputs)
        self.apply(start_glorot)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        x = self._row(inputs).unsqueeze(1)
        features = {}
        for place, block in enumerate(self.blocks, start=1):
            x = block(x)
            features[f"conv{place}"] = x
        flat = x.flatten(1)
        last, dense = self.dense(flat)
        return Outputs(self.head(last), {**features, "flat": flat, **dense})


@MODELS.register("fear_cnn")
class FearCNN(_FearConvolutions):
    """The backbone for fear levels: five convolutions along the row of features, then three hidden layers.

    The features of all modalities, in the order of the view, are one sequence with one channel. Features: ``conv1`` to
    ``conv<depth + 1>`` (batch, width or width / 2, steps), ``flat``, and ``dense1`` to ``dense3`` (batch, hidden).

    Published for 176 features: trained on ten classes of valence, then given a new head for four fear levels, with all
    layers trainable (`limbeck.models.heads.with_new_head` copies; the published code changed the backbone in place).
    Printed sizes count the running statistics of batch normalisation, 1,024 numbers that are not trained.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features, at least ``2 ** (depth + 1)`` in all.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        Channels of the convolutions; the last has half of it.
    depth : int
        Convolutions with batch normalisation; one without it follows.
    kernel : int
        Features that a filter spans.
    hidden : sequence of int, or int
        Widths of the hidden layers; all but the last use tanh.
    dropout : float
        Rate after each hidden layer.

    Notes
    -----
    Layers and sizes as the slides print them; the activations of the hidden layers are those of the public notebook
    that the slides extend. Logits leave it: the published loss softened probabilities a second time. Running statistics
    follow PyTorch's momentum, faster than the published one, since small studies take few steps.
    """

    example: ClassVar[Mapping[str, InputShape]] = DEAP

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 128,
        depth: int = 4,
        kernel: int = 3,
        hidden: Sequence[int] | int = (64, 32, 16),
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self._lay_out(modalities, n_outputs, width=width, depth=depth, kernel=kernel, hidden=hidden, dropout=dropout)


@MODELS.register("fear_student")
class FearStudent(_FearConvolutions):
    """The student for fear levels: three convolutions along the row of features, then two hidden layers.

    Published for 86 features of 14 electrodes and eight other sensors, and for 32. Features are those of `fear_cnn`:
    ``conv1`` to ``conv<depth + 1>``, ``flat``, and ``dense1`` and ``dense2``. Printed sizes count 512 running
    statistics.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features, at least ``2 ** (depth + 1)`` in all: 8 by default.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        Channels of the convolutions; the last has half of it.
    depth : int
        Convolutions with batch normalisation; one without it follows.
    kernel : int
        Features that a filter spans.
    hidden : sequence of int, or int
        Widths of the hidden layers; all but the last use tanh.
    dropout : float
        Rate after each hidden layer.
    """

    example: ClassVar[Mapping[str, InputShape]] = DEAP_STUDENT

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 128,
        depth: int = 2,
        kernel: int = 3,
        hidden: Sequence[int] | int = (64, 16),
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self._lay_out(modalities, n_outputs, width=width, depth=depth, kernel=kernel, hidden=hidden, dropout=dropout)


class _FearRecurrent(FeatureNetwork):
    """The two recurrent networks, which differ in the kind of layer."""

    paper: ClassVar[str] = SLIDES
    initialise = staticmethod(start_glorot)
    looped: ClassVar[str] = "its recurrent layers have no rule for many networks at once"
    example: ClassVar[Mapping[str, InputShape]] = DEAP
    least: ClassVar[Mapping[str, int]] = {"width": 2}

    def _lay_out(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        gru: bool,
        width: int,
        hidden: Sequence[int] | int,
        dropout: float,
    ) -> None:
        self._read(modalities)
        if width < 2:
            raise LimbeckError(f"width is {width}; expected at least 2, since the second layer has half of it.")
        self.first, self.second = (
            nn.GRU(inputs, size, batch_first=True) if gru else SingleBiasLSTM(inputs, size)
            for inputs, size in ((1, width), (width, width // 2))
        )
        self.between = Dropout(dropout)
        self.dense = DenseStack(width // 2, hidden, dropout=0.0)
        self.head = nn.Linear(self.dense.width, n_outputs)
        self.apply(start_glorot)
        for layer in (self.first, self.second):
            start_recurrent(layer)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        sequence, _ = self.first(self._row(inputs).unsqueeze(-1))
        states, _ = self.second(self.between(sequence))
        state = states[:, -1]
        last, dense = self.dense(state)
        return Outputs(self.head(last), {"sequence": sequence, "state": state, **dense})


@MODELS.register("fear_lstm")
class FearLSTM(_FearRecurrent):
    """The recurrent backbone for fear levels: two LSTM layers along the row of features, then two hidden layers.

    Features: ``sequence`` (batch, n_features, width), ``state`` (batch, width / 2), ``dense1`` and ``dense2``
    (batch, hidden).

    The source gives its scores and no layers: these are ours, of the size that goes with the convolutional backbone.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features of any number of modalities: one sequence, in the order of the view.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        State of the first layer, 2 or more; the second has half of it.
    hidden : sequence of int, or int
        Widths of the hidden layers.
    dropout : float
        Rate between the recurrent layers.
    """

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 128,
        hidden: Sequence[int] | int = (32, 16),
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self._lay_out(modalities, n_outputs, gru=False, width=width, hidden=hidden, dropout=dropout)


@MODELS.register("fear_gru")
class FearGRU(_FearRecurrent):
    """The recurrent backbone for fear levels with gated units: two GRU layers along the row, then two hidden layers.

    Features and provenance are those of `fear_lstm`.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features of any number of modalities: one sequence, in the order of the view.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        State of the first layer, 2 or more; the second has half of it.
    hidden : sequence of int, or int
        Widths of the hidden layers.
    dropout : float
        Rate between the recurrent layers.
    """

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 128,
        hidden: Sequence[int] | int = (32, 16),
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self._lay_out(modalities, n_outputs, gru=True, width=width, hidden=hidden, dropout=dropout)
