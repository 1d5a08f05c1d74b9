"""A temporal convolutional network whose depth follows from the seconds it is to see."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import Dropout
from limbeck.models.shapes import refuse_short
from limbeck.models.steps import CommonSteps

__all__ = ["TCN"]


class _Dilated(nn.Conv1d):
    """A dilated convolution as long as its input, on what has passed when causal, else on both sides alike."""

    def __init__(self, width: int, kernel: int, dilation: int, *, causal: bool) -> None:
        super().__init__(width, width, kernel, dilation=dilation)
        beyond = (kernel - 1) * dilation
        self.beyond = (beyond, 0) if causal else (beyond // 2, beyond - beyond // 2)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(nn.functional.pad(x, self.beyond))


class _Block(nn.Module):
    """Two dilated convolutions, and what came in added; it starts as the identity, whatever the depth."""

    def __init__(self, width: int, kernel: int, dilation: int, *, causal: bool, dropout: float) -> None:
        super().__init__()
        self.first = _Dilated(width, kernel, dilation, causal=causal)
        self.second = _Dilated(width, kernel, dilation, causal=causal)
        self.after_first, self.after_second = Dropout(dropout), Dropout(dropout)
        nn.init.zeros_(self.second.weight)
        if self.second.bias is not None:
            nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = self.after_first(nn.functional.gelu(self.first(x)))
        return x + self.after_second(nn.functional.gelu(self.second(h)))


@MODELS.register("tcn")
class TCN(Network):
    """A temporal convolutional network: dilated residual blocks, as many as the wanted seconds of context need.

    Signals of any rates are brought to one sequence of steps (:class:`limbeck.models.steps.CommonSteps`); the
    dilation doubles from block to block (after Bai, Kolter, Koltun, "An empirical evaluation of generic convolutional
    and recurrent networks for sequence modeling", 2018). Instead of weight normalisation each block starts as the
    identity.

    Features: ``sequence`` (batch, steps, width), ``embedding`` (batch, width), its mean over time, or
    (batch, n_steps, width), its mean over each step.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Signals of at least 8 samples per window.
    n_outputs : int
        Number of classes, or 1 for a trace.
    n_steps : int
        Steps within the window at which it predicts; 0 for one prediction per window.
    width : int
        Channels.
    kernel : int
        Steps that a filter spans.
    field : float
        Seconds that a step is to see (up to its own end when causal, else around it); 0 for the whole window.
    frames : int
        Steps of the sequence, about.
    dropout : float
        Rate after each convolution and before the head.
    causal : bool
        Whether a step depends on samples up to its own end only.

    Attributes
    ----------
    depth : int
        Number of blocks.
    seconds : float
        What a step sees through them.
    """

    per_step = True
    example = {"eda": InputShape(1, 240, 4.0)}  # noqa: RUF012  (declared in the base)

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        n_steps: int = 0,
        width: int = 32,
        kernel: int = 5,
        field: float = 0.0,
        frames: int = 128,
        dropout: float = 0.2,
        causal: bool = False,
    ) -> None:
        super().__init__()
        refuse_short("tcn", modalities)
        if kernel < 2:
            raise LimbeckError(f"kernel is {kernel}; a filter that sees no other step can take in no context.")
        self.n_steps = n_steps
        self.front = CommonSteps(modalities, width=width, frames=frames, n_steps=n_steps, causal=causal)
        shape = next(iter(modalities.values()))
        window = shape.length / (shape.rate or 1.0)
        wanted = self.front.steps * (min(field, window) if field else window) / window
        self.depth = max(1, math.ceil(math.log2((wanted - 1) / (2 * (kernel - 1)) + 1)))
        self.seconds = (1 + 2 * (kernel - 1) * (2**self.depth - 1)) * window / self.front.steps
        self.blocks = nn.Sequential(
            *(_Block(width, kernel, 2**place, causal=causal, dropout=dropout) for place in range(self.depth))
        )
        self.before_head = Dropout(dropout)
        self.head = nn.Linear(width, n_outputs)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's values with the named features."""
        h = nn.functional.gelu(self.blocks(self.front(inputs)))
        sequence = h.transpose(-2, -1)
        embedding = sequence.unflatten(-2, (self.n_steps, -1)).mean(dim=-2) if self.n_steps else sequence.mean(dim=-2)
        return Outputs(self.head(self.before_head(embedding)), {"sequence": sequence, "embedding": embedding})
