"""Small networks over one number per channel that work on fear levels compared: dense, recurrent, convolutional."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models.contract import MODELS, FeatureNetwork, InputShape, Outputs
from limbeck.models.layers import DenseStack, Dropout, SingleBiasLSTM
from limbeck.models.starts import start_glorot

__all__ = ["ZooANN", "ZooCNN", "ZooCNNLSTM", "ZooDNN", "ZooLSTM"]

CAP_AND_BODY = {
    "eeg": InputShape(32),
    "eog": InputShape(2),
    "emg": InputShape(2),
    "eda": InputShape(1),
    "resp": InputShape(1),
    "bvp": InputShape(1),
    "temp": InputShape(1),
}
"""One number of each of 40 channels."""

BODY = {name: shape for name, shape in CAP_AND_BODY.items() if name != "eeg"}
"""One number of each of 8 channels."""

COMPARED = "Prior work on fear levels as compared in slides on transfer learning and knowledge distillation (DEAP)"

Padding = Literal["same", "valid"]


class _Zoo(FeatureNetwork):
    """What they have in common: a row of numbers, one per channel, and hidden layers with ReLU before the head."""

    paper: ClassVar[str] = COMPARED
    initialise = staticmethod(start_glorot)
    example: ClassVar[Mapping[str, InputShape]] = CAP_AND_BODY

    def _finish(self, inputs: int, hidden: Sequence[int] | int, n_outputs: int, dropout: float) -> None:
        """Add the hidden layers and the head, and draw the weights."""
        self.dense = DenseStack(inputs, hidden, dropout=dropout)
        self.head = nn.Linear(self.dense.width, n_outputs)
        self.apply(start_glorot)

    def _answer(self, row: Tensor, features: Mapping[str, Tensor]) -> Outputs:
        last, dense = self.dense(row)
        return Outputs(self.head(last), {**features, **dense})


@MODELS.register("zoo_ann")
class ZooANN(_Zoo):
    """Two hidden layers over one number per channel: the smallest teacher in the comparison of fear networks.

    Features: ``dense1``, ``dense2``, … (batch, hidden). Published with 40 numbers and hidden layers of 64 and 32; its
    student reads 8 and has one of 32 (``hidden: [32]``).

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features of any number of modalities, joined in the order of the view.
    n_outputs : int
        Number of classes, or 1 for a trace.
    hidden : sequence of int, or int
        Widths of the hidden layers.
    dropout : float
        Rate after each; none is published.

    Notes
    -----
    Layers were found from the printed sizes, some of which count the optimiser's state as well (three times the
    parameters, plus two). ReLU is assumed.
    """

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        hidden: Sequence[int] | int = (64, 32),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self._finish(self._read(modalities), hidden, n_outputs, dropout)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        return self._answer(self._row(inputs), {})


@MODELS.register("zoo_dnn")
class ZooDNN(_Zoo):
    """Two to five equal hidden layers over one number per channel, of 150 or 300 units.

    Features: ``dense1``, ``dense2``, … (batch, width). Published are, of 40 numbers, 3 layers of 150 and 3 to 5 of 300;
    of 8 numbers, 2 layers of 150 and 3 or 4 of 300.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features of any number of modalities, joined in the order of the view.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        Units of each hidden layer.
    depth : int
        Hidden layers.
    dropout : float
        Rate after each; none is published.

    Notes
    -----
    Of what was printed and how layers were found from it see `zoo_ann`.
    """

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 150,
        depth: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if depth < 1:
            raise LimbeckError(f"depth is {depth}; expected at least 1.")
        self._finish(self._read(modalities), [width] * depth, n_outputs, dropout)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        return self._answer(self._row(inputs), {})


@MODELS.register("zoo_lstm")
class ZooLSTM(_Zoo):
    """An LSTM along the channels, one number each, then hidden layers.

    Features: ``state`` (batch, width), ``dense1``, ``dense2``, … (batch, hidden).

    Published with 40 numbers, 64 units and hidden layers of 32 and 16; with 8 numbers, 32 units and one of 16, or 64
    units and 128, 64 and 32.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features of any number of modalities: one sequence, in the order of the view.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        State of the recurrent layer.
    hidden : sequence of int, or int
        Widths of the hidden layers.
    dropout : float
        Rate after the recurrent layer and after each hidden one; none is published.

    Notes
    -----
    Of what was printed and how layers were found from it see `zoo_ann`.
    """

    looped: ClassVar[str] = "its recurrent layer has no rule for many networks at once"

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 64,
        hidden: Sequence[int] | int = (32, 16),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self._read(modalities)
        self.recurrent = SingleBiasLSTM(1, width)
        self.after_recurrent = Dropout(dropout)
        self._finish(width, hidden, n_outputs, dropout)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        state = self.recurrent(self._row(inputs).unsqueeze(-1))[0][:, -1]
        return self._answer(self.after_recurrent(state), {"state": state})


@MODELS.register("zoo_cnn_lstm")
class ZooCNNLSTM(_Zoo):
    """A convolution and an LSTM along the channels, one number each, then hidden layers.

    Features: ``conv1`` (batch, width, n_features), ``state`` (batch, 4 * width), ``dense1``, ``dense2``, …
    (batch, hidden).

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features of any number of modalities: one sequence, in the order of the view.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        Filters of the convolution; the recurrent layer's state is four times as wide.
    kernel : int
        Channels that a filter spans.
    hidden : sequence of int, or int
        Widths of the hidden layers.
    dropout : float
        Rate after the recurrent layer and after each hidden one; none is published.

    Notes
    -----
    The printed size says nothing of padding and pooling: here the convolution keeps the length, and nothing is pooled.
    Other designs without batch normalisation have the same size. Of how layers were found from sizes see `zoo_ann`.
    """

    looped: ClassVar[str] = "its recurrent layer has no rule for many networks at once"

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 32,
        kernel: int = 3,
        hidden: Sequence[int] | int = (256, 128),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self._read(modalities)
        self.conv = nn.Conv1d(1, width, kernel, padding="same")
        self.recurrent = SingleBiasLSTM(width, 4 * width)
        self.after_recurrent = Dropout(dropout)
        self._finish(4 * width, hidden, n_outputs, dropout)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        conv = torch.relu(self.conv(self._row(inputs).unsqueeze(1)))
        state = self.recurrent(conv.transpose(1, 2))[0][:, -1]
        return self._answer(self.after_recurrent(state), {"conv1": conv, "state": state})


@MODELS.register("zoo_cnn")
class ZooCNN(_Zoo):
    """Convolutions along the channels, one number each, with pooling behind the first of them, then hidden layers.

    Features: ``conv1``, ``conv2``, … (batch, width, steps), after pooling, and ``dense1``, ``dense2``, …
    (batch, hidden).

    Published are, of 8 numbers, the default, and one convolution of 64 with ``padding: valid``, no pooling and a hidden
    layer of 128. Of the teachers of 40 numbers only the size is known; it fits ``width: [32, 256, 128], kernel: 5,
    pools: 2, hidden: [64, 64]`` and ``width: [64, 256, 64], pools: 1, hidden: [128, 64]``, and other designs.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features of any number of modalities: one sequence, in the order of the view.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : sequence of int
        Filters of each convolution.
    kernel : int
        Channels that a filter spans.
    pools : int
        How many convolutions, from the first on, are followed by the larger of every two steps.
    padding : {"same", "valid"}
        Whether convolutions keep the length, or read whole spans only.
    hidden : sequence of int, or int
        Widths of the hidden layers.
    dropout : float
        Rate after each hidden layer; none is published.

    Notes
    -----
    Of what was printed and how layers were found from it see `zoo_ann`.
    """

    example: ClassVar[Mapping[str, InputShape]] = BODY
    least: ClassVar[Mapping[str, int]] = {"pools": 0}

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: Sequence[int] = (64, 64),
        kernel: int = 3,
        pools: int = 2,
        padding: Padding = "same",
        hidden: Sequence[int] | int = (128,),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        steps = n_features = self._read(modalities)
        if padding not in get_args(Padding):
            raise LimbeckError(f"padding is '{padding}'; expected one of {', '.join(get_args(Padding))}.")
        if not width:
            raise LimbeckError("width is empty; expected the filters of each convolution, one number at least.")
        if not 0 <= pools <= len(width):
            raise LimbeckError(f"pools is {pools}; expected 0 to {len(width)}, the number of convolutions.")
        for place in range(len(width)):
            steps -= kernel - 1 if padding == "valid" else 0
            steps = steps // 2 if place < pools else steps
            if steps < 1:
                raise LimbeckError(
                    f"Convolution {place + 1} of zoo_cnn has nothing to return for {n_features} features; use fewer "
                    "convolutions (width), fewer pools, or padding 'same'."
                )
        widths = [1, *width]
        self.convs = nn.ModuleList(
            nn.Conv1d(channels, filters, kernel, padding=padding) for channels, filters in itertools.pairwise(widths)
        )
        self.pools = pools
        with torch.no_grad():
            flat = self._convolve(torch.zeros(1, 1, n_features))[0].shape[1]
        self._finish(flat, hidden, n_outputs, dropout)

    def _convolve(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        features = {}
        for place, conv in enumerate(self.convs, start=1):
            x = torch.relu(conv(x))
            x = nn.functional.max_pool1d(x, 2) if place <= self.pools else x
            features[f"conv{place}"] = x
        return x.flatten(1), features

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        return self._answer(*self._convolve(self._row(inputs).unsqueeze(1)))
