"""TSception: filters of three lengths along time, then of whole head and halves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import Dropout
from limbeck.models.shapes import refuse_short

__all__ = ["TSception"]

TIME_POOL, SPACE_POOL, FUSION_POOL = 8, 2, 4
"""Steps averaged behind each kind of filter."""

FEWEST_STEPS = 2
"""Steps at the last normalisation, which knows no variance of one in a batch of one."""


@MODELS.register("tsception")
class TSception(Network):
    """TSception: filters of a half, a quarter and an eighth of a second, then filters of the head and of its halves.

    Features: ``temporal`` (batch, width, electrodes, steps), the three lengths one after the other; ``spatial`` (batch,
    spatial, 3, steps), the whole head, then the left half and the right one; ``fused`` (batch, spatial), their mean
    over time; ``hidden`` (batch, hidden).

    **The order of the electrodes matters.** One filter reads both halves of the head, so the first half of the channels
    must be the left electrodes and the second half their partners on the right, in the same order, without those of the
    midline. A model does not see the names of channels: name them in this order in a ``pick`` step of the signal, or
    give their places as `order`. For the 32 channels of DEAP's preprocessed files, `order` is 0 to 13, then 16, 17, 19,
    20, 21, 22, and 24 to 31.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        One EEG of an even number of channels (of any number with `order`), and 79 samples of 128 Hz at least (0.6 s).
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        Filters of each length along time (T).
    spatial : int
        Filters across electrodes (S).
    hidden : int
        Width of the layer before the last.
    kernel : sequence of float, or float
        Seconds that the filters along time span, one length each.
    dropout : float
        Rate before the last layer.
    order : sequence of int or None
        Places of the channels to read, from 0: those of the left half, then their partners on the right. None for all
        of them as they stand.

    Notes
    -----
    Ding et al. 2023 and the code yi-ding-cs/TSception; 15 filters of each kind are its setting for DEAP. Initial values
    are PyTorch's, as there.
    """

    max_modalities = 1
    least: ClassVar[Mapping[str, int]] = {"order": 0}
    paper: ClassVar[str] = (
        "Ding et al., TSception: capturing temporal dynamics and spatial asymmetry from EEG for emotion recognition, "
        "IEEE Transactions on Affective Computing, 2023"
    )
    example: ClassVar[Mapping[str, InputShape]] = {"eeg": InputShape(28, 512, 128.0)}

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 15,
        spatial: int = 15,
        hidden: int = 32,
        kernel: Sequence[float] | float = (0.5, 0.25, 0.125),
        dropout: float = 0.5,
        order: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        ((self.modality, shape),) = modalities.items()
        self.order = _checked_order(order, shape.channels)
        channels = shape.channels if self.order is None else len(self.order)
        if channels < 2 or channels % 2:
            raise LimbeckError(
                f"tsception reads pairs of electrodes, left and right; '{self.modality}' gives it {channels}. Leave "
                "out those of the midline, or name the places of the pairs (order)."
            )
        seconds = [kernel] if isinstance(kernel, int | float) else list(kernel)
        if not seconds or min(seconds) <= 0:
            raise LimbeckError(f"tsception: kernel is {kernel}; expected seconds above 0, one number at least.")
        rate = shape.rate or 1.0
        spans = [max(1, int(each * rate)) for each in seconds]
        shortest = next(length for length in range(max(spans), 10**9) if _steps(length, spans) >= FEWEST_STEPS)
        refuse_short("tsception", modalities, shortest, or_else="shorter filters (kernel)", by_rate=True)
        self.temporal = nn.ModuleList(nn.Conv2d(1, width, (1, span)) for span in spans)
        self.temporal_norm = nn.BatchNorm2d(width)
        self.whole = nn.Conv2d(width, spatial, (channels, 1))
        self.halves = nn.Conv2d(width, spatial, (channels // 2, 1), stride=(channels // 2, 1))
        self.spatial_norm = nn.BatchNorm2d(spatial)
        self.fusion = nn.Conv2d(spatial, spatial, (3, 1))
        self.fusion_norm = nn.BatchNorm2d(spatial)
        self.dense = nn.Linear(spatial, hidden)
        self.before_head = Dropout(dropout)
        self.head = nn.Linear(hidden, n_outputs)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        x = inputs[self.modality]
        x = (x if self.order is None else x[:, self.order]).unsqueeze(1)
        temporal = self.temporal_norm(torch.cat([_pooled(conv(x), TIME_POOL) for conv in self.temporal], dim=-1))
        halves = [_pooled(conv(temporal), SPACE_POOL) for conv in (self.whole, self.halves)]
        spatial = self.spatial_norm(torch.cat(halves, dim=2))
        fused = self.fusion_norm(_pooled(self.fusion(spatial), FUSION_POOL)).mean(dim=(2, 3))
        hidden = torch.relu(self.dense(fused))
        features = {"temporal": temporal, "spatial": spatial, "fused": fused, "hidden": hidden}
        return Outputs(self.head(self.before_head(hidden)), features)


def _pooled(x: Tensor, steps: int) -> Tensor:
    """Return the mean of every few steps, after the activation."""
    return nn.functional.avg_pool2d(nn.functional.leaky_relu(x), (1, steps))


def _steps(length: int, spans: Sequence[int]) -> int:
    """Return how many steps the last normalisation sees; 0 where a filter along time leaves nothing to average."""
    each = [(length - span + 1) // TIME_POOL for span in spans]
    return sum(each) // SPACE_POOL // FUSION_POOL if min(each) > 0 else 0


def _checked_order(order: Sequence[int] | None, channels: int) -> list[int] | None:
    """Return the places as a list, or raise LimbeckError for one that is not there or comes twice."""
    if order is None:
        return None
    wrong = sorted({place for place in order if not 0 <= place < channels})
    if wrong or len(set(order)) < len(order):
        what = f"there is no channel at {wrong}" if wrong else "a channel comes twice"
        raise LimbeckError(f"tsception: order names places from 0 to {channels - 1}, each once; {what}.")
    return list(order)
