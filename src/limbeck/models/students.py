"""Tiny students of one modality in four sizes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import Dropout
from limbeck.models.shapes import refuse_short
from limbeck.models.steps import FLOOR, Encoder

__all__ = ["StudentBase", "StudentNano", "StudentSmall", "StudentTiny"]


class _Student(Network):
    """What the sizes have in common."""

    max_modalities = 1
    per_step = True
    example = {"eda": InputShape(1, 240, 4.0)}  # noqa: RUF012  (declared in the base)

    def _lay_out(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        n_steps: int,
        *,
        width: int,
        depth: int,
        kernel: int,
        frames: int,
        dropout: float,
        causal: bool,
        standardise: bool,
    ) -> None:
        ((self.modality, shape),) = modalities.items()
        refuse_short("A student", modalities)
        if causal and standardise:
            raise LimbeckError("standardise needs the whole window, which a causal student has not seen; choose one.")
        self.standardise = standardise
        self.encoder = Encoder(
            shape,
            n_steps=n_steps,
            width=width,
            depth=depth,
            kernel=kernel,
            frames=frames,
            dropout=dropout,
            causal=causal,
        )
        self.before_head = Dropout(dropout)
        self.head = nn.Linear(self.encoder.width + 2 * shape.channels * standardise, n_outputs)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's values with the named features."""
        x = inputs[self.modality]
        if not self.standardise:
            encoded, embedding = self.encoder(x)
        else:
            mean = x.mean(dim=-1, keepdim=True)
            spread = torch.sqrt(((x - mean) ** 2).mean(dim=-1, keepdim=True) + FLOOR)
            encoded, embedding = self.encoder((x - mean) / spread)
            level = torch.cat([mean, spread.log()], dim=-2).squeeze(-1)
            if embedding.ndim > level.ndim:
                level = level.unsqueeze(-2).expand(*embedding.shape[:-1], -1)
            embedding = torch.cat([embedding, level], dim=-1)
        return Outputs(self.head(self.before_head(embedding)), {"map": encoded, "embedding": embedding})


@MODELS.register("student_nano")
class StudentNano(_Student):
    """A student of about a thousand parameters: separable convolutions of one modality, causal on request.

    For two classes and one window of

    * EDA 1 x 240 at 4 Hz: 802 parameters (0.8 kB in 8 bits, 3.2 kB in float32), 0.06 million multiply-adds
    * BVP 1 x 3840 at 64 Hz: 1,282 parameters (1.3 kB in 8 bits, 5.1 kB in float32), 0.12 million multiply-adds
    * EEG 2 x 1250 at 250 Hz: 1,282 parameters (1.3 kB in 8 bits, 5.1 kB in float32), 0.14 million multiply-adds

    A strided front brings any rate down to `frames` steps or a few more; blocks of separable convolutions follow, and a
    linear head. There is no normalisation layer and nothing is divided by the window's own spread unless asked for:
    levels are what carries arousal, and for a network of integers there is nothing to fold.

    Features: ``map`` (batch, width, frames), what the last block returns; ``embedding`` (batch, 4 * width), mean over
    time and logarithmic spread of the map, then of the front's filters: their mean hands the signal's level to the head
    as it is, and their spread is the power in their bands. With steps ``embedding`` is (batch, n_steps, 6 * width): of
    both the mean of the step, then mean and spread of the window around it.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Exactly one signal of at least 8 samples per window.
    n_outputs : int
        Number of classes, or 1 for a trace.
    n_steps : int
        Steps within the window at which it predicts; 0 for one prediction per window.
    width : int
        Channels.
    depth : int
        Blocks; each but the first halves the steps while at least 4 remain.
    kernel : int
        Steps that a filter of a block spans.
    frames : int
        Steps after the first layer, at least, where the window has as many samples.
    dropout : float
        Rate within the blocks and before the head.
    causal : bool
        Whether every step depends on samples up to its own end only, and its mean and spread on what has passed of the
        window, so that the student can run as samples arrive.
    standardise : bool
        Whether each channel of each window is brought to mean 0 and spread 1 first; both then stand beside the
        embedding, which grows by 2 * channels. Not with `causal`.
    """

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        n_steps: int = 0,
        width: int = 8,
        depth: int = 2,
        kernel: int = 7,
        frames: int = 120,
        dropout: float = 0.1,
        causal: bool = False,
        standardise: bool = False,
    ) -> None:
        super().__init__()
        self._lay_out(
            modalities,
            n_outputs,
            n_steps,
            width=width,
            depth=depth,
            kernel=kernel,
            frames=frames,
            dropout=dropout,
            causal=causal,
            standardise=standardise,
        )


@MODELS.register("student_tiny")
class StudentTiny(_Student):
    """A student of about four thousand parameters: separable convolutions of one modality, causal on request.

    For two classes and one window of

    * EDA 1 x 240 at 4 Hz: 3,826 parameters (3.8 kB in 8 bits, 15.3 kB in float32), 0.25 million multiply-adds
    * BVP 1 x 3840 at 64 Hz: 4,786 parameters (4.8 kB in 8 bits, 19.1 kB in float32), 0.36 million multiply-adds
    * EEG 2 x 1250 at 250 Hz: 4,786 parameters (4.8 kB in 8 bits, 19.1 kB in float32), 0.41 million multiply-adds

    Features and options are those of `student_nano`.
    """

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        n_steps: int = 0,
        width: int = 16,
        depth: int = 3,
        kernel: int = 7,
        frames: int = 120,
        dropout: float = 0.2,
        causal: bool = False,
        standardise: bool = False,
    ) -> None:
        super().__init__()
        self._lay_out(
            modalities,
            n_outputs,
            n_steps,
            width=width,
            depth=depth,
            kernel=kernel,
            frames=frames,
            dropout=dropout,
            causal=causal,
            standardise=standardise,
        )


@MODELS.register("student_small")
class StudentSmall(_Student):
    """A student of about fifteen thousand parameters: separable convolutions of one modality, causal on request.

    For two classes and one window of

    * EDA 1 x 240 at 4 Hz: 13,794 parameters (13.8 kB in 8 bits, 55.2 kB in float32), 0.93 million multiply-adds
    * BVP 1 x 3840 at 64 Hz: 15,714 parameters (15.7 kB in 8 bits, 62.9 kB in float32), 1.16 million multiply-adds
    * EEG 2 x 1250 at 250 Hz: 15,714 parameters (15.7 kB in 8 bits, 62.9 kB in float32), 1.27 million multiply-adds

    Features and options are those of `student_nano`.
    """

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        n_steps: int = 0,
        width: int = 32,
        depth: int = 3,
        kernel: int = 7,
        frames: int = 120,
        dropout: float = 0.2,
        causal: bool = False,
        standardise: bool = False,
    ) -> None:
        super().__init__()
        self._lay_out(
            modalities,
            n_outputs,
            n_steps,
            width=width,
            depth=depth,
            kernel=kernel,
            frames=frames,
            dropout=dropout,
            causal=causal,
            standardise=standardise,
        )


@MODELS.register("student_base")
class StudentBase(_Student):
    """A student of about seventy thousand parameters: separable convolutions of one modality, causal on request.

    For two classes and one window of

    * EDA 1 x 240 at 4 Hz: 69,250 parameters (69.2 kB in 8 bits, 277.0 kB in float32), 3.83 million multiply-adds
    * BVP 1 x 3840 at 64 Hz: 73,090 parameters (73.1 kB in 8 bits, 292.4 kB in float32), 4.29 million multiply-adds
    * EEG 2 x 1250 at 250 Hz: 73,090 parameters (73.1 kB in 8 bits, 292.4 kB in float32), 4.59 million multiply-adds

    Features and options are those of `student_nano`.
    """

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        n_steps: int = 0,
        width: int = 64,
        depth: int = 4,
        kernel: int = 7,
        frames: int = 120,
        dropout: float = 0.3,
        causal: bool = False,
        standardise: bool = False,
    ) -> None:
        super().__init__()
        self._lay_out(
            modalities,
            n_outputs,
            n_steps,
            width=width,
            depth=depth,
            kernel=kernel,
            frames=frames,
            dropout=dropout,
            causal=causal,
            standardise=standardise,
        )
