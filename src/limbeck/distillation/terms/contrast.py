"""Losses that tell a window's own view by the teacher from the teacher's views of other windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from limbeck.distillation import functional
from limbeck.distillation.contract import LOSSES, Batch, Context, On, Shape, number, whole
from limbeck.distillation.functional.weighting import unit_rows
from limbeck.distillation.terms.features import FeatureLoss, Terms
from limbeck.distillation.terms.labels import sum_of
from limbeck.errors import LimbeckError

__all__ = ["ContrastiveRepresentation", "InfoNce", "near"]

UNKNOWN = -1
"""The class of a window whose label may not be seen."""

NEGATIVES_PER_ROW = 4
"""Negatives that are drawn, at most, for each window that can be one."""


@LOSSES.register("crd")
class ContrastiveRepresentation(FeatureLoss):
    """Contrastive representation distillation: a window's own row of a memory against the rows of others, both ways.

    Both features are projected to one width; two memories hold what the networks said of each window when they last saw
    it. The positive of a window is its own row, the negatives are the rows of all windows seen so far but those that
    lie near it and those of its own class, where both labels may be seen. Where published code draws K rows at random,
    their expectation is taken: every row counts K / n times, with K = min(`negatives`, 4 n) of n rows. A row is filled
    when its window is first seen rather than with random numbers, so nothing is learned from noise in the first epoch.

    The memories take 8 · width bytes per window of the data set and network.

    Parameters
    ----------
    student, teacher : str
        Names of the features.
    weight : float
        Factor in the total.
    width : int
        Of the projections.
    temperature : float
        Inner products are divided by it.
    negatives : int
        Draws of negatives per window, at most.
    momentum : float
        Share of a row that stays when its window is seen again, in [0, 1).
    apart : int
        Windows whose places in the data set differ by no more than this are no negatives of each other: neighbours of
        a recording, which overlap or resemble each other. 0, as published, leaves out the window itself only.
    of : str or list of str or None
        Which teachers; all of the stage by default, each with projections and memories of its own, averaged.
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from; others are nobody's negatives.
    """

    paper: ClassVar[str] = "Tian, Krishnan and Isola, Contrastive representation distillation, ICLR 2020"
    fewest = 2

    def __init__(
        self,
        student: str = "embedding",
        teacher: str = "embedding",
        weight: float = 0.8,
        width: int = 128,
        temperature: float = 0.07,
        negatives: int = 16384,
        momentum: float = 0.5,
        apart: int = 1,
        of: str | Sequence[str] | None = None,
        on: On = "all",
    ) -> None:
        super().__init__(student, teacher, weight, of, on)
        self.width, self.negatives, self.apart = (
            whole("width", width),
            whole("negatives", negatives),
            whole("apart", apart, 0),
        )
        self.temperature = number("temperature", temperature, above=0.0)
        self.momentum = number("momentum", momentum, least=0.0)
        if self.momentum >= 1:
            raise LimbeckError(
                f"momentum: expected a share below 1, found {momentum!r}; at 1 no row would ever change."
            )
        self.projections, self.memories = nn.ModuleDict(), nn.ModuleDict()

    def prepare(self, name: str, own: Shape, taught: Shape, context: Context) -> None:
        """Make the projections and the memories."""
        if context.n_windows < 2:
            raise LimbeckError(f"a memory of {context.n_windows} windows has no negatives; use info_nce.")
        self.projections[name] = _Projections(own, taught, self.width)
        self.memories[name] = _Memory(context.n_windows, self.width)

    def compare(self, name: str, student: Tensor, teacher: Tensor, weights: Tensor, batch: Batch) -> Terms:
        """Return the sum of both directions; in training the memories move on."""
        own, taught = self.projections[name](student, teacher)
        memory = cast(_Memory, self.memories[name])
        rows = memory.recall(batch, own.detach(), taught.detach(), weights)
        counts = rows.negatives_of(batch, self.negatives, self.apart)
        views = {"student": (own, rows.teacher), "teacher": (taught, rows.student)}
        index, samples = batch.index, rows.seen.sum().clamp_min(1.0)
        found = torch.stack(
            [
                functional.crd_normaliser(
                    view,
                    bank[index],
                    bank,
                    samples=1.0,
                    weights=weights,
                    counts=counts,
                    temperature=self.temperature,
                )
                for view, bank in views.values()
            ]
        )
        normalisers = torch.where(memory.normalisers > 0, memory.normalisers, found)
        terms = functional.crd(
            own,
            taught,
            weights,
            teacher_positive=rows.teacher[index],
            teacher_negatives=rows.teacher,
            student_positive=rows.student[index],
            student_negatives=rows.student,
            normalisers=(normalisers[0] * samples, normalisers[1] * samples),
            samples=samples,
            counts=counts,
            temperature=self.temperature,
        )
        if self.training:
            memory.remember(rows, batch, own.detach(), taught.detach(), weights, normalisers, self.momentum)
        terms = {"student": terms["crd_student"], "teacher": terms["crd_teacher"]}
        return sum_of(terms), terms


class _Rows:
    """The memories with the windows of a batch in them.

    Parameters
    ----------
    student, teacher : Tensor of shape (n_windows, width)
        What the networks said of each window.
    seen : Tensor of shape (n_windows,)
        1 for windows that have been seen.
    classes : Tensor of shape (n_windows,), int64
        Their classes, `UNKNOWN` where the label may not be seen.
    """

    def __init__(self, student: Tensor, teacher: Tensor, seen: Tensor, classes: Tensor) -> None:
        self.student, self.teacher, self.seen, self.classes = student, teacher, seen, classes

    def negatives_of(self, batch: Batch, most: int, apart: int) -> Tensor:
        """Return how often each row counts as a negative of each window, (batch, n_windows)."""
        own = self.classes[batch.index][:, None]
        alike = (own == self.classes[None, :]) & (own != UNKNOWN)
        beside = near(batch.index, torch.arange(len(self.seen), device=batch.index.device), apart)
        allowed = self.seen[None, :] * (1.0 - (alike | beside).to(self.seen))
        rows = allowed.sum(dim=1, keepdim=True)
        return allowed * (NEGATIVES_PER_ROW * rows).clamp_max(float(most)) / rows.clamp_min(1.0)


class _Memory(nn.Module):
    """What two networks said of each window when they last saw it; empty before."""

    student: Tensor
    teacher: Tensor
    seen: Tensor
    classes: Tensor
    normalisers: Tensor

    def __init__(self, n_windows: int, width: int) -> None:
        super().__init__()
        self.register_buffer("student", torch.zeros(n_windows, width))
        self.register_buffer("teacher", torch.zeros(n_windows, width))
        self.register_buffer("seen", torch.zeros(n_windows))
        self.register_buffer("classes", torch.full((n_windows,), UNKNOWN))
        self.register_buffer("normalisers", torch.zeros(2))

    def recall(self, batch: Batch, student: Tensor, teacher: Tensor, weights: Tensor) -> _Rows:
        """Return the memories with rows for windows that had none; what is remembered stays as it is."""
        index, here = batch.index, weights > 0
        first, empty = _first(index), self.seen[index] == 0
        fill = (here & empty)[:, None]
        classes = torch.full_like(self.classes[index], UNKNOWN)
        if not batch.target.is_floating_point():  # a trace has no classes
            classes = torch.where(batch.labelled > 0, batch.target.to(self.classes), UNKNOWN)
        return _Rows(
            _put(self.student, index, torch.where(fill, student[first], self.student[index])),
            _put(self.teacher, index, torch.where(fill, teacher[first], self.teacher[index])),
            _put(self.seen, index, torch.where(here, 1.0, self.seen[index])),
            _put(self.classes, index, torch.where(here, classes, self.classes[index])),
        )

    def remember(
        self,
        rows: _Rows,
        batch: Batch,
        student: Tensor,
        teacher: Tensor,
        weights: Tensor,
        normalisers: Tensor,
        momentum: float,
    ) -> None:
        """Move the rows of a batch towards what the networks say now; keep the normalisers of the first batch."""
        index, here = batch.index, weights > 0
        first = _first(index)
        for kept, rows_before, now in ((self.student, rows.student, student), (self.teacher, rows.teacher, teacher)):
            before = rows_before[index]
            after = unit_rows(momentum * before + (1.0 - momentum) * now[first])
            kept.copy_(_put(rows_before, index, torch.where(here[:, None], after, before)))
        self.seen.copy_(rows.seen)
        self.classes.copy_(rows.classes)
        self.normalisers.copy_(torch.where(here.any(), normalisers.detach(), self.normalisers))


@LOSSES.register("info_nce")
class InfoNce(FeatureLoss):
    """Finding a window's teacher embedding among those of the batch, and the other way round.

    The contrastive loss for small data: no memory, learned projections of both features.

    Parameters
    ----------
    student, teacher : str
        Names of the features.
    weight : float
        Factor in the total.
    width : int
        Of the projections.
    temperature : float
        Cosines are divided by it.
    supervised : bool
        Windows of one class are positives of each other where both labels may be seen (Khosla et al., 2020).
    apart : int
        Windows whose places in the data set differ by no more than this are no negatives of each other: neighbours of
        a recording, which overlap or resemble each other. 0 leaves out a window's own repetition only.
    of : str or list of str or None
        Which teachers; all of the stage by default, each with projections of its own, averaged.
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from; others are nobody's negatives.
    """

    paper: ClassVar[str] = "van den Oord, Li and Vinyals, Contrastive predictive coding, 2018"
    fewest = 2

    def __init__(
        self,
        student: str = "embedding",
        teacher: str = "embedding",
        weight: float = 1.0,
        width: int = 128,
        temperature: float = 0.1,
        supervised: bool = False,
        apart: int = 1,
        of: str | Sequence[str] | None = None,
        on: On = "all",
    ) -> None:
        super().__init__(student, teacher, weight, of, on)
        self.width, self.apart = whole("width", width), whole("apart", apart, 0)
        self.temperature = number("temperature", temperature, above=0.0)
        self.supervised = bool(supervised)
        self.projections = nn.ModuleDict()

    def join(self, context: Context) -> None:
        """Make the projections.

        Raises
        ------
        LimbeckError
            For features that are not there, or when a trace should be supervised.
        """
        if self.supervised and context.kind != "class":
            raise LimbeckError("supervised: the target is a trace, which has no classes; remove it.")
        super().join(context)

    def prepare(self, name: str, own: Shape, taught: Shape, context: Context) -> None:
        """Make the projections for one teacher."""
        self.projections[name] = _Projections(own, taught, self.width)

    def compare(self, name: str, student: Tensor, teacher: Tensor, weights: Tensor, batch: Batch) -> Terms:
        """Return the mean of both directions."""
        own, taught = self.projections[name](student, teacher)
        terms = functional.info_nce(
            own,
            taught,
            weights,
            temperature=self.temperature,
            classes=batch.target if self.supervised else None,
            labelled=batch.labelled,
            excluded=near(batch.index, batch.index, self.apart),
        )
        return terms["info_nce"], terms


class _Projections(nn.Module):
    """A linear layer from each of two features to directions of one width."""

    def __init__(self, own: Shape, taught: Shape, width: int) -> None:
        super().__init__()
        self.student = nn.Linear(math.prod(own), width)
        self.teacher = nn.Linear(math.prod(taught), width)

    def forward(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        """Return both features (batch, ...) as rows of length 1, (batch, width)."""
        return unit_rows(self.student(student.flatten(1))), unit_rows(self.teacher(teacher.flatten(1)))


def near(first: Tensor, second: Tensor, apart: int) -> Tensor:
    """Return where windows lie too near each other to be told apart, (n, m), from their places (n,) and (m,)."""
    return (first[:, None] - second[None, :]).abs() <= apart


def _first(index: Tensor) -> Tensor:
    """Return where each window stands first in the batch: one that stands twice is remembered as one."""
    return (index[:, None] == index[None, :]).to(torch.int64).argmax(dim=1)


def _put(bank: Tensor, index: Tensor, rows: Tensor) -> Tensor:
    """Return a memory with some of its rows replaced."""
    return bank.index_put((index,), rows.to(bank))
