"""A small transformer over a few dozen steps of the window."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import Attention, Dropout, sinusoids
from limbeck.models.shapes import refuse_short
from limbeck.models.steps import CommonSteps

__all__ = ["SmallTransformer"]


class _Block(nn.Module):
    """Attention along time and a layer across channels, each on normalised tokens and added to what came in."""

    def __init__(self, width: int, heads: int, feed_forward: int, *, causal: bool, dropout: float) -> None:
        super().__init__()
        self.before_attention, self.before_layers = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout=dropout, bias=False, causal=causal)
        self.widen, self.narrow = nn.Linear(width, feed_forward), nn.Linear(feed_forward, width)
        self.after_attention, self.between, self.after_layers = Dropout(dropout), Dropout(dropout), Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        normal = self.before_attention(x)
        x = x + self.after_attention(self.attention(normal, normal, normal))
        h = self.between(nn.functional.gelu(self.widen(self.before_layers(x))))
        return x + self.after_layers(self.narrow(h))


@MODELS.register("small_transformer")
class SmallTransformer(Network):
    """A small transformer: patches of the signals become tokens, which attend to each other along time.

    Signals of any rates are brought to one sequence of tokens (:class:`limbeck.models.steps.CommonSteps`: strided
    filters that overlap by half, one set per modality, added up), with sines and cosines for their place. Blocks
    normalise before attention and layers; the sum over them is not normalised again, so that levels reach the head.

    Features: ``tokens`` (batch, steps, width), ``embedding`` (batch, width), their mean, or (batch, n_steps, width),
    their mean over each step.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Signals of at least 8 samples per window.
    n_outputs : int
        Number of classes, or 1 for a trace.
    n_steps : int
        Steps within the window at which it predicts; 0 for one prediction per window.
    width : int
        Of the tokens.
    heads : int
        Of each attention; divides the width.
    depth : int
        Blocks.
    feed_forward : int
        Width of the layer within each block.
    frames : int
        Tokens, about.
    dropout : float
        Rate on attention, within and after the layers and before the head.
    causal : bool
        Whether a token depends on samples up to its own end only.
    """

    per_step = True
    example = {"eda": InputShape(1, 240, 4.0)}  # noqa: RUF012  (declared in the base)

    positions: Tensor

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        n_steps: int = 0,
        width: int = 32,
        heads: int = 4,
        depth: int = 2,
        feed_forward: int = 64,
        frames: int = 32,
        dropout: float = 0.2,
        causal: bool = False,
    ) -> None:
        super().__init__()
        refuse_short("small_transformer", modalities)
        self.n_steps = n_steps
        self.front = CommonSteps(modalities, width=width, frames=frames, n_steps=n_steps, causal=causal)
        self.register_buffer("positions", sinusoids(self.front.steps, width), persistent=False)
        self.after_front = Dropout(dropout)
        self.blocks = nn.Sequential(
            *(_Block(width, heads, feed_forward, causal=causal, dropout=dropout) for _ in range(depth))
        )
        self.before_head = Dropout(dropout)
        self.head = nn.Linear(width, n_outputs)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's values with the named features."""
        patches = nn.functional.gelu(self.front(inputs)).transpose(-2, -1)
        tokens = self.blocks(self.after_front(patches + self.positions))
        embedding = tokens.unflatten(-2, (self.n_steps, -1)).mean(dim=-2) if self.n_steps else tokens.mean(dim=-2)
        return Outputs(self.head(self.before_head(embedding)), {"tokens": tokens, "embedding": embedding})
