"""Losses on how the windows of a batch lie to each other: they need no map between features of different widths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor

from limbeck.distillation import functional
from limbeck.distillation.contract import LOSSES, Batch, Context, On, Said, number, whole
from limbeck.distillation.functional.weighting import known
from limbeck.distillation.terms.features import FeatureLoss, Terms
from limbeck.distillation.terms.labels import sum_of
from limbeck.errors import LimbeckError

__all__ = ["CorrelationCongruence", "ProbabilisticTransfer", "Relational", "Similarity"]


@LOSSES.register("rkd")
class Relational(FeatureLoss):
    """Relational distillation: the distances of all pairs of windows and the angles of all triples, as in the teacher.

    Time and memory of the angles grow with the cube of the batch: keep it at 128 or less, or set ``angle: 0``.

    Parameters
    ----------
    student, teacher : str
        Names of the features; widths may differ.
    weight : float
        Factor in the total.
    distance, angle : float
        Weights of the two parts; 0 leaves one out.
    of : str or list of str or None
        Which teachers; all of the stage by default, averaged.
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from.
    """

    paper: ClassVar[str] = "Park et al., Relational knowledge distillation, CVPR 2019"
    relational = True
    fewest = 3

    def __init__(
        self,
        student: str = "embedding",
        teacher: str = "embedding",
        weight: float = 1.0,
        distance: float = 25.0,
        angle: float = 50.0,
        of: str | Sequence[str] | None = None,
        on: On = "all",
    ) -> None:
        super().__init__(student, teacher, weight, of, on)
        self.distance, self.angle = number("distance", distance, least=0.0), number("angle", angle, least=0.0)
        if not self.distance and not self.angle:
            raise LimbeckError("distance: it and angle are both 0, which leaves nothing to learn; raise one of them.")

    def compare(self, name: str, student: Tensor, teacher: Tensor, weights: Tensor, batch: Batch) -> Terms:
        """Return the weighted sum of the parts."""
        terms = {}
        if self.distance:
            found = functional.rkd_distance(student, teacher, weights)["rkd_distance"]
            terms["distance"] = self.distance * found
        if self.angle:
            terms["angle"] = self.angle * functional.rkd_angle(student, teacher, weights)["rkd_angle"]
        return sum_of(terms), terms


@LOSSES.register("sp")
class Similarity(FeatureLoss):
    """Similarity-preserving distillation: which windows are alike, as in the teacher, or in the mean of all teachers.

    The matrices of inner products of several teachers, of any widths, are averaged before they are compared.

    Parameters
    ----------
    student, teacher : str
        Names of the features; widths may differ.
    weight : float
        Factor in the total; the literature takes 3000.
    parts : mapping of str to float or None
        How much each teacher counts in the mean, by its name; all alike by default. Brought to a sum of 1.
    of : str or list of str or None
        Which teachers; all of the stage by default.
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from.
    """

    paper: ClassVar[str] = "Tung and Mori, Similarity-preserving knowledge distillation, ICCV 2019"
    relational = True
    fewest = 2

    def __init__(
        self,
        student: str = "embedding",
        teacher: str = "embedding",
        weight: float = 3000.0,
        parts: Mapping[str, float] | None = None,
        of: str | Sequence[str] | None = None,
        on: On = "all",
    ) -> None:
        super().__init__(student, teacher, weight, of, on)
        if parts is not None and not isinstance(parts, Mapping):
            raise LimbeckError(f"parts: expected a number for each teacher by its name, found {parts!r}.")
        self.shares_of = {name: number(f"parts.{name}", part, least=0.0) for name, part in (parts or {}).items()}
        if parts is not None and not any(self.shares_of.values()):
            raise LimbeckError("parts: no teacher counts; give one a number above 0, or remove the option.")

    def join(self, context: Context) -> None:
        """Remember the teachers.

        Raises
        ------
        LimbeckError
            For features that are not there, and parts that do not name the teachers.
        """
        super().join(context)
        if self.shares_of and set(self.shares_of) != set(self.among):
            raise LimbeckError(
                f"parts: it names {', '.join(self.shares_of)}, and the loss learns from {', '.join(self.among)}; give "
                "each of these a number, and no other."
            )

    def forward(self, said: Said, batch: Batch) -> Terms:
        """Return the mean over pairs of the squared difference."""
        weights = self.weights(batch)
        teachers = [known(said.teachers[name][self.teacher], weights) for name in self.among]
        parts = weights.new_tensor([self.shares_of[name] for name in self.among]) if self.shares_of else None
        found = functional.similarity_of_many(said.plain.features[self.student], teachers, weights, parts=parts)
        return found["similarity"], {"sp": found["similarity"]}


@LOSSES.register("pkt")
class ProbabilisticTransfer(FeatureLoss):
    """Probabilistic knowledge transfer: with which probability a window picks another as its neighbour.

    The mean over windows; the published code divides by the batch once more.

    Parameters
    ----------
    student, teacher : str
        Names of the features; widths may differ.
    weight : float
        Factor in the total; the literature takes 30000, of the value that is divided twice.
    of : str or list of str or None
        Which teachers; all of the stage by default, averaged.
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from.
    """

    paper: ClassVar[str] = "Passalis and Tefas, Learning deep representations with probabilistic transfer, ECCV 2018"
    relational = True
    fewest = 2

    def __init__(
        self,
        student: str = "embedding",
        teacher: str = "embedding",
        weight: float = 1.0,
        of: str | Sequence[str] | None = None,
        on: On = "all",
    ) -> None:
        super().__init__(student, teacher, weight, of, on)

    def compare(self, name: str, student: Tensor, teacher: Tensor, weights: Tensor, batch: Batch) -> Terms:
        """Return the mean over windows of the divergence."""
        terms = functional.pkt(student, teacher, weights)
        return terms["pkt"], terms


@LOSSES.register("cc")
class CorrelationCongruence(FeatureLoss):
    """Correlation congruence: the correlations of all pairs, as a Gaussian kernel measures them.

    Parameters
    ----------
    student, teacher : str
        Names of the features; widths may differ.
    weight : float
        Factor in the total.
    gamma : float
        Of the kernel.
    order : int
        Of the Taylor series that the kernel is taken as.
    of : str or list of str or None
        Which teachers; all of the stage by default, averaged.
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from.
    """

    paper: ClassVar[str] = "Peng et al., Correlation congruence for knowledge distillation, ICCV 2019"
    relational = True
    fewest = 2

    def __init__(
        self,
        student: str = "embedding",
        teacher: str = "embedding",
        weight: float = 1.0,
        gamma: float = 0.4,
        order: int = 2,
        of: str | Sequence[str] | None = None,
        on: On = "all",
    ) -> None:
        super().__init__(student, teacher, weight, of, on)
        self.gamma = number("gamma", gamma, above=0.0)
        self.order = whole("order", order)

    def compare(self, name: str, student: Tensor, teacher: Tensor, weights: Tensor, batch: Batch) -> Terms:
        """Return the mean over pairs of the squared difference."""
        value = functional.correlation_congruence(student, teacher, weights, gamma=self.gamma, order=self.order)
        return value["correlation"], {"cc": value["correlation"]}
