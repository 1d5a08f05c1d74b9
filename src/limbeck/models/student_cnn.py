"""A single-modality student of a few thousand parameters."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import Dropout, SignalEncoder

__all__ = ["StudentCNN"]


@MODELS.register("student_cnn")
class StudentCNN(Network):
    """A convolutional encoder of one modality and a linear head: small enough for a wearable.

    Features: ``embedding`` (batch, 2 * width).

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Exactly one signal.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        Channels of the encoder.
    dropout : float
        Rate within the encoder and before the head.
    """

    max_modalities = 1

    def __init__(
        self, modalities: Mapping[str, InputShape], n_outputs: int, *, width: int = 16, dropout: float = 0.2
    ) -> None:
        super().__init__()
        ((self.modality, shape),) = modalities.items()
        self.encoder = SignalEncoder(shape, width=width, dropout=dropout)
        self.before_head = Dropout(dropout)
        self.head = nn.Linear(self.encoder.width, n_outputs)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named feature."""
        embedding = self.encoder(inputs[self.modality])
        return Outputs(self.head(self.before_head(embedding)), {"embedding": embedding})
