"""Networks for levels of fear: convolutions and recurrent layers that read a row of features as a sequence."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import Dropout

__all__ = [
    "DEAP",
    "DenseStack",
    "FearCNN",
    "FearGRU",
    "FearLSTM",
    "FearStudent",
    "FeatureNetwork",
    "SingleBiasLSTM",
    "fan_initialise",
    "start_recurrent",
]

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


def fan_initialise(module: nn.Module) -> None:
    """Draw the weights of linear layers and convolutions by Glorot and Bengio's uniform rule, with biases of zero."""
    if isinstance(module, nn.Linear | nn.Conv1d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def start_recurrent(layer: nn.LSTM | nn.GRU) -> None:
    """Draw Glorot-uniform input weights and orthogonal recurrent ones; an LSTM's forget gate starts open."""
    tensors = dict(layer.named_parameters()) | dict(layer.named_buffers())
    nn.init.xavier_uniform_(tensors["weight_ih_l0"])
    nn.init.orthogonal_(tensors["weight_hh_l0"])
    nn.init.zeros_(tensors["bias_ih_l0"])
    nn.init.zeros_(tensors["bias_hh_l0"])
    if isinstance(layer, nn.LSTM):
        with torch.no_grad():
            tensors["bias_ih_l0"][layer.hidden_size : 2 * layer.hidden_size] = 1.0


class SingleBiasLSTM(nn.LSTM):
    """One recurrent layer with one bias per gate, batch first; PyTorch's own has two, whose sum is all that counts.

    Parameters
    ----------
    inputs, width : int
        Size of a step, and of the state.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__(inputs, width, batch_first=True)
        del self.bias_hh_l0
        self.register_buffer("bias_hh_l0", torch.zeros(4 * width))  # stays at zero
        start_recurrent(self)


class DenseStack(nn.Module):
    """Hidden layers, each followed by dropout; the result holds every layer's activation, and what the head reads.

    Parameters
    ----------
    inputs : int
        Width of the row that comes in.
    hidden : sequence of int, or int
        Widths of the layers; a number for a single one.
    dropout : float
        Rate after each.
    early_tanh : bool
        Whether all layers but the last use tanh; all others use ReLU.
    """

    def __init__(self, inputs: int, hidden: Sequence[int] | int, *, dropout: float, early_tanh: bool = False) -> None:
        super().__init__()
        hidden = [hidden] if isinstance(hidden, int) else list(hidden)
        widths = [inputs, *hidden]
        if any(width < 1 for width in hidden):
            raise LimbeckError(f"hidden is {hidden}; expected widths of at least 1.")
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in itertools.pairwise(widths))
        self.dropouts = nn.ModuleList(Dropout(dropout) for _ in hidden)
        self.early_tanh = early_tanh
        self.width = widths[-1]

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what the head reads, and ``dense1``, ``dense2``, … before dropout."""
        features = {}
        for place, (layer, dropout) in enumerate(zip(self.layers, self.dropouts, strict=True), start=1):
            h = layer(x)
            h = torch.tanh(h) if self.early_tanh and place < len(self.layers) else torch.relu(h)
            features[f"dense{place}"] = h
            x = dropout(h)
        return x, features


class FeatureNetwork(Network):
    """What the networks here have in common: a row of all features, in the order of the view."""

    reads = "features"
    paper: ClassVar[str] = SLIDES
    initialise = staticmethod(fan_initialise)

    def _read(self, modalities: Mapping[str, InputShape]) -> int:
        """Remember the order of the modalities and return the number of their features."""
        self.modalities = tuple(modalities)
        return sum(shape.channels for shape in modalities.values())

    def _row(self, inputs: dict[str, Tensor]) -> Tensor:
        return torch.cat([inputs[name] for name in self.modalities], dim=-1)


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

    def _lay_out(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int,
        depth: int,
        kernel: int,
        hidden: Sequence[int],
        dropout: float,
    ) -> None:
        n_features = self._read(modalities)
        if depth < 1:
            raise LimbeckError(f"depth is {depth}; expected at least 1.")
        least = 2 ** (depth + 1)
        if n_features < least:
            fits = int(math.log2(n_features)) - 1
            advice = f"; choose depth {fits} or" if fits >= 1 else ";"
            raise LimbeckError(
                f"Its {depth + 1} poolings halve the row of features each time, which takes at least {least} features, "
                f"and the view has {n_features}{advice} a model for few features (mlp, linear)."
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
        self.apply(fan_initialise)

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
    hidden : sequence of int
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
        hidden: Sequence[int] = (64, 32, 16),
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self._lay_out(modalities, n_outputs, width=width, depth=depth, kernel=kernel, hidden=hidden, dropout=dropout)


@MODELS.register("fear_student")
class FearStudent(_FearConvolutions):
    """The student for fear levels: three convolutions along the row of features, then two hidden layers.

    Published for 86 features of 14 electrodes and eight other sensors, and for 32. Features and options are those of
    `fear_cnn`, with a depth of 2 (at least 8 features) and hidden layers of 64 and 16. Printed sizes count 512 running
    statistics.
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
        hidden: Sequence[int] = (64, 16),
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self._lay_out(modalities, n_outputs, width=width, depth=depth, kernel=kernel, hidden=hidden, dropout=dropout)


class _FearRecurrent(FeatureNetwork):
    """The two recurrent networks, which differ in the kind of layer."""

    looped: ClassVar[str] = "its recurrent layers have no rule for many networks at once"
    example: ClassVar[Mapping[str, InputShape]] = DEAP

    def _lay_out(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        gru: bool,
        width: int,
        hidden: Sequence[int],
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
        self.apply(fan_initialise)
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
        State of the first layer; the second has half of it.
    hidden : sequence of int
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
        hidden: Sequence[int] = (32, 16),
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self._lay_out(modalities, n_outputs, gru=False, width=width, hidden=hidden, dropout=dropout)


@MODELS.register("fear_gru")
class FearGRU(_FearRecurrent):
    """The recurrent backbone for fear levels with gated units: two GRU layers along the row, then two hidden layers.

    Features, options and provenance are those of `fear_lstm`.
    """

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 128,
        hidden: Sequence[int] = (32, 16),
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self._lay_out(modalities, n_outputs, gru=True, width=width, hidden=hidden, dropout=dropout)
