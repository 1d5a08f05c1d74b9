"""Losses for traces: distances of values that have a size and run with time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from limbeck.distillation import functional
from limbeck.distillation.contract import LOSSES, Batch, Loss, On, Said, number
from limbeck.distillation.functional.weighting import known, steps
from limbeck.distillation.terms.features import FeatureLoss, Terms
from limbeck.distillation.terms.labels import trace_error

__all__ = ["Absolute", "Concordance", "Mmpkd"]

LEAST_PUBLISHED = 0.2
"""Where the released code of MMPKD begins the weight of the cosine."""


@LOSSES.register("l1")
class Absolute(Loss):
    """Mean absolute distance from the teacher's value.

    For a feature that runs with time there is ``hint`` with ``norm: l1``.

    Parameters
    ----------
    weight : float
        Factor in the total.
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from.
    """

    paper: ClassVar[str] = "After Zhang, Tang and Guan, Visual-to-EEG distillation, Pattern Recognition 130, 2022"
    kinds = ("trace",)
    trains_prediction = True
    logits = True

    def forward(self, said: Said, batch: Batch) -> Terms:
        """Return the distance."""
        weights = self.weights(batch)
        value = trace_error(said.plain.prediction, known(said.logits, weights), weights, "l1")
        return value, {"l1": value}


@LOSSES.register("ccc")
class Concordance(Loss):
    """One minus the concordance correlation between the network's and the teacher's values.

    Over the steps of each window where the target has steps, else over the windows of the batch. From a window within
    which the teacher's value stands still nothing is learned: the loss is 1 there, whatever is predicted.

    Parameters
    ----------
    weight : float
        Factor in the total.
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from.
    """

    paper: ClassVar[str] = "Lin, A concordance correlation coefficient to evaluate reproducibility, Biometrics 45, 1989"
    kinds = ("trace",)
    trains_prediction = True
    logits = True
    fewest = 2

    def forward(self, said: Said, batch: Batch) -> Terms:
        """Return the loss."""
        weights = self.weights(batch)
        value = trace_error(said.plain.prediction, known(said.logits, weights), weights, "ccc")
        return value, {"ccc": value}


@LOSSES.register("mmpkd")
class Mmpkd(FeatureLoss):
    """Labels and a teacher's feature, in proportions that follow how good the teacher is on the batch.

    (1 - b) (1 - CCC with the labels) + b (1 - cosine with the teacher's feature), where b is `most` times
    clip(1 - g / `threshold`, 0, 1) and g is one minus the teacher's concordance with the labels of the batch, over all
    steps of its windows together. The network's own CCC is that of ``hard`` with ``form: ccc``: within each window
    where the target has steps, over the windows of the batch where it has none.

    Parameters
    ----------
    student, teacher : str
        Names of the features.
    weight : float
        Factor in the total.
    map : str
        How the network's feature takes the shape of the teacher's.
    most : float
        b of a perfect teacher, in [0, 1].
    threshold : float
        g at which the teacher is no longer followed.
    as_published : bool
        The rule of the released code: b = 0.2 + g where g ≤ threshold or g > 1, else 1. The worse the teacher, the more
        it is followed; with g > 0.8 the weight of the labels is negative, and the network is pushed away from them
        (``true``).
    of : str or list of str or None
        Which teachers; all of the stage by default, each with a map of its own, averaged.
    on : {"all", "labelled", "unlabelled"}
        Windows on which it follows the feature.
    """

    paper: ClassVar[str] = "Aslam et al., MMPKD, code of the authors"
    kinds = ("trace",)
    trains_prediction = True
    logits = True
    fewest = 2

    def __init__(
        self,
        student: str = "embedding",
        teacher: str = "embedding",
        weight: float = 1.0,
        map: str = "auto",  # noqa: A002
        most: float = 0.8,
        threshold: float = 1.0,
        as_published: bool = False,
        of: str | Sequence[str] | None = None,
        on: On = "all",
    ) -> None:
        super().__init__(student, teacher, weight, of, on, map=map)
        self.most = number("most", most, least=0.0, most=1.0)
        self.threshold = number("threshold", threshold, above=0.0)
        self.as_published = bool(as_published)

    def compare(self, name: str, student: Tensor, teacher: Tensor, weights: Tensor, batch: Batch) -> Terms:
        """Return one minus the cosine of the features."""
        terms = functional.cosine(student, teacher, weights)
        return terms["cosine"], terms

    def forward(self, said: Said, batch: Batch) -> Terms:
        """Return the weighted sum of both parts, the parts, and the weight of the second."""
        followed, _ = super().forward(said, batch)
        hard = trace_error(said.plain.prediction, batch.target, batch.labelled, "ccc")
        # Where nobody trusts the teacher its value may be missing, and says nothing of how good it is.
        counted = batch.labelled * (batch.trust > 0)
        heard = known(said.logits, counted).detach()
        every = counted[:, None].expand(heard.shape).reshape(-1)
        # How good the teacher is shows between windows, too, and in those within which the truth stands still.
        share = self.share_of(trace_error(heard.reshape(-1), steps(batch.target).reshape(-1), every, "ccc"))
        return (1.0 - share) * hard + share * followed, {"hard": hard, "cosine": followed, "share": share}

    def share_of(self, error: Tensor) -> Tensor:
        """Return the weight of the teacher's feature, from one minus its concordance with the labels."""
        if self.as_published:
            usual = (error <= self.threshold) | (error > 1.0)
            return torch.where(usual, LEAST_PUBLISHED + error, 1.0)
        return self.most * (1.0 - error / self.threshold).clamp(0.0, 1.0)
