"""HKD-MER: a network per modality whose answers are fused by attention, made for teaching between modalities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from limbeck.models.contract import MODELS, InputShape, Network, Outputs
from limbeck.models.layers import Dropout, SignalEncoder
from limbeck.models.shapes import refuse_short

__all__ = ["HKDMER"]


@MODELS.register("hkd_mer")
class HKDMER(Network):
    """HKD-MER's fusion: every modality answers for itself, and attention says how much each answer counts.

    Each modality has an encoder of its own, whose embedding lies in a space that all share, and so one head answers for
    each and one attention scores each. The softmax of the scores over the modalities weights their probabilities (or
    trace values); the prediction is the logarithm of the sum, which is as good as logits.

    Features: ``<modality>`` (batch, hidden), the embeddings, which a contrastive loss draws together; ``weights``
    (batch, modalities) in the order of the view; with `answers` also ``logits_<modality>`` (batch, n_outputs), the
    modality's own answer, which the dominant modality teaches the others.

    Known of the paper are its three parts (features, distillation at the level of features and of labels, attentive
    fusion of scores) and that one modality dominates and teaches; sizes and equations are not public. The layers here
    are a proposal in its spirit: do not expect the numbers of the paper from them.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Two or more signals of at least 8 samples.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int
        Channels of each encoder.
    hidden : int
        Width of the embeddings and of the attention.
    dropout : float
        Rate within the encoders and before the head.
    answers : bool
        Whether each modality's own answer is among the features.
    """

    min_modalities = 2
    taken = ("weights",)
    paper: ClassVar[str] = (
        "Sun et al., Muti-modal emotion recognition via hierarchical knowledge distillation, IEEE Transactions on "
        "Multimedia 26, 2024"
    )
    example: ClassVar[Mapping[str, InputShape]] = {"eda": InputShape(1, 240, 4.0), "bvp": InputShape(1, 3840, 64.0)}

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int = 24,
        hidden: int = 64,
        dropout: float = 0.3,
        answers: bool = False,
    ) -> None:
        super().__init__()
        refuse_short("hkd_mer", modalities)
        self.answers = answers
        self.encoders = nn.ModuleDict(
            {name: SignalEncoder(shape, width=width, dropout=dropout) for name, shape in modalities.items()}
        )
        self.embed = nn.ModuleDict({name: nn.Linear(2 * width, hidden) for name in modalities})
        self.attend, self.score = nn.Linear(hidden, hidden), nn.Linear(hidden, 1, bias=False)
        self.before_head = Dropout(dropout)
        self.head = nn.Linear(hidden, n_outputs)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return logits or a trace's value with the named features."""
        features = {
            name: nn.functional.gelu(self.embed[name](encoder(inputs[name]))) for name, encoder in self.encoders.items()
        }
        embedded = torch.stack(list(features.values()), dim=-2)  # (batch, modality, hidden)
        said = self.head(self.before_head(embedded))
        scores = self.score(torch.tanh(self.attend(embedded)))
        weights = torch.softmax(scores, dim=-2)
        if said.shape[-1] == 1:
            prediction = (weights * said).sum(dim=-2)
        else:
            shares = torch.log_softmax(scores, dim=-2) + torch.log_softmax(said, dim=-1)
            prediction = torch.logsumexp(shares, dim=-2)
        answers = {f"logits_{name}": said[..., place, :] for place, name in enumerate(features) if self.answers}
        return Outputs(prediction, {**features, "weights": weights.squeeze(-1), **answers})
