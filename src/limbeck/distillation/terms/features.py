"""Losses that compare a feature of the network with a feature of its teacher, window by window."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from limbeck.distillation import functional
from limbeck.distillation.contract import LOSSES, Batch, Context, Loss, On, Said, Shape, one_of
from limbeck.distillation.functional.maps import build_map
from limbeck.distillation.functional.weighting import known, resize_matrix
from limbeck.errors import LimbeckError, did_you_mean

__all__ = ["Attention", "Cosine", "FeatureLoss", "Hint", "Variational"]

Terms = tuple[Tensor, dict[str, Tensor]]


class FeatureLoss(Loss):
    """A loss between one feature of the network and one of each teacher.

    What a class below adds is :meth:`compare` and, where it learns or remembers something, :meth:`prepare`. One that
    compares element by element sets `map`, so that the features get one shape.

    Parameters
    ----------
    student, teacher : str
        Names of the features.
    weight : float
        Factor in the total.
    of : str or list of str or None
        Which teachers; all of the stage by default. The loss is the mean over them.
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from.
    map : str or None
        How the network's feature takes the shape of the teacher's (see :mod:`limbeck.distillation.functional.maps`), by
        a map for each teacher; None where the shapes need not agree.
    """

    def __init__(
        self,
        student: str = "embedding",
        teacher: str = "embedding",
        weight: float = 1.0,
        of: str | Sequence[str] | None = None,
        on: On = "all",
        *,
        map: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(weight, on)
        for name, value in (("student", student), ("teacher", teacher), ("map", "none" if map is None else map)):
            if not isinstance(value, str) or not value:
                raise LimbeckError(f"{name}: expected a name, found {value!r}.")
        self.student, self.teacher, self.map = student, teacher, map
        self._of = (of,) if isinstance(of, str) else tuple(of or ())

    @property
    def of(self) -> tuple[str, ...]:
        """The teachers whose features it takes; empty for all of the stage."""
        return self._of

    @property
    def student_features(self) -> tuple[str, ...]:
        """Names of the network's features that it reads."""
        return (self.student,)

    @property
    def teacher_features(self) -> tuple[str, ...]:
        """Names of the teachers' features that it takes."""
        return (self.teacher,)

    def join(self, context: Context) -> None:
        """Make the maps and what the loss learns or remembers, for each teacher.

        Raises
        ------
        LimbeckError
            For features that are not there or whose shapes the loss cannot take; all that is wrong at once.
        """
        self.among = self._of or tuple(context.teachers)
        mistakes = []
        if not self.among:
            mistakes.append("taught_by: there is no teacher; name one.")
        if self.student not in context.features:
            mistakes.append(
                f"student: the network has no feature '{self.student}'.{self._usual('student')}"
                f"{_instead(self.student, context.features)}"
            )
        for name in self.among:
            if self.teacher not in context.teachers.get(name, {}):
                there = context.teachers.get(name, {})
                mistakes.append(
                    f"teacher: '{name}' has no feature '{self.teacher}'.{self._usual('teacher')}"
                    f"{_instead(self.teacher, there)}"
                )
        if mistakes:
            raise LimbeckError("\n".join(mistakes))
        own = context.features[self.student]
        self.matched = nn.ModuleDict()
        for name in self.among:
            taught = context.teachers[name][self.teacher]
            try:
                if self.map is not None:
                    self.matched[name] = build_map(self.map, own, taught)
                self.prepare(name, own, taught, context)
            except LimbeckError as error:
                option, reason = "student" if self.map is None else "map", " ".join(str(error).splitlines())
                mistakes.append(f"{option}: '{self.student}' with '{self.teacher}' of '{name}': {reason}")
        if mistakes:
            raise LimbeckError("\n".join(mistakes))

    def _usual(self, option: str) -> str:
        """Say of a feature that nobody may have written that it is the default of its option."""
        usual = inspect.signature(type(self)).parameters.get(option)
        written = usual is None or getattr(self, option) != usual.default
        return "" if written else f" It is the default of {option}; name another."

    def prepare(self, name: str, own: Shape, taught: Shape, context: Context) -> None:
        """Make what is learned or remembered for one teacher; refuse shapes that cannot be compared.

        Parameters
        ----------
        name : str
            The teacher.
        own, taught : tuple of int
            Shapes of the features of the network and of the teacher, without the batch and before the map.
        context : Context
            What the loss is told.

        Raises
        ------
        LimbeckError
            When it cannot be used here, saying what would work.
        """

    def forward(self, said: Said, batch: Batch) -> Terms:
        """Return the mean over the teachers of the loss and of its terms."""
        weights = self.weights(batch)
        found = []
        for name in self.among:
            student, teacher = said.plain.features[self.student], known(said.teachers[name][self.teacher], weights)
            if self.map is not None:
                student, teacher = self.matched[name](student, teacher)
            found.append(self.compare(name, student, teacher, weights, batch))
        parts = self.parts(said, batch)

        def together(values: Sequence[Tensor]) -> Tensor:
            return torch.stack(list(values)).mean(dim=0) if parts is None else (parts * torch.stack(list(values))).sum()

        value = together([value for value, _ in found])
        return value, {key: together([terms[key] for _, terms in found]) for key in found[0][1]}

    def compare(self, name: str, student: Tensor, teacher: Tensor, weights: Tensor, batch: Batch) -> Terms:
        """Return the loss between the features of the network and of one teacher, behind the map, and its terms."""
        raise NotImplementedError

    def parts(self, said: Said, batch: Batch) -> Tensor | None:
        """Return how much each teacher counts, (n_teachers,) with a sum of 1; None for all alike."""
        return None


Norm = Literal["l2", "l1"]
NORMS = ("l2", "l1")


@LOSSES.register("hint")
class Hint(FeatureLoss):
    """FitNets: distance from a feature of the teacher, through a map that is learned on the way.

    With the norm ``l1`` and a feature that has steps it is the visual-to-EEG distillation of Zhang, Tang and Guan
    (Pattern Recognition 130, 2022). EmotionKD's teacher has a feature twice as wide as its student's, which cannot be
    subtracted as published: the map ``sum_halves`` or ``linear`` makes it possible.

    Parameters
    ----------
    student, teacher : str
        Names of the features.
    weight : float
        Factor in the total.
    map : str
        How the network's feature takes the shape of the teacher's; ``auto`` is ``none`` for equal shapes, else a
        convolution or a linear layer.
    norm : {"l2", "l1"}
        Mean squared or mean absolute difference.
    of : str or list of str or None
        Which teachers; all of the stage by default, each with a map of its own, averaged.
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from.
    """

    paper: ClassVar[str] = "Romero et al., FitNets: hints for thin deep nets, ICLR 2015"

    def __init__(
        self,
        student: str = "embedding",
        teacher: str = "embedding",
        weight: float = 1.0,
        map: str = "auto",  # noqa: A002
        norm: Norm = "l2",
        of: str | Sequence[str] | None = None,
        on: On = "all",
    ) -> None:
        super().__init__(student, teacher, weight, of, on, map=map)
        self.norm = one_of("norm", norm, NORMS)

    def compare(self, name: str, student: Tensor, teacher: Tensor, weights: Tensor, batch: Batch) -> Terms:
        """Return the mean difference over windows and elements."""
        if self.norm == "l1":
            value = functional.l1(student, teacher, weights)["l1"]
        else:
            value = functional.hint(student, teacher, weights)["hint"]
        return value, {"hint": value}


@LOSSES.register("cosine")
class Cosine(FeatureLoss):
    """One minus the cosine between a feature and the teacher's: its direction is taught, its size is free.

    Parameters
    ----------
    student, teacher : str
        Names of the features.
    weight : float
        Factor in the total.
    map : str
        How the network's feature takes the shape of the teacher's; ``pool`` averages the longer one down and learns
        nothing.
    of : str or list of str or None
        Which teachers; all of the stage by default, each with a map of its own, averaged.
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from.
    """

    def __init__(
        self,
        student: str = "embedding",
        teacher: str = "embedding",
        weight: float = 1.0,
        map: str = "auto",  # noqa: A002
        of: str | Sequence[str] | None = None,
        on: On = "all",
    ) -> None:
        super().__init__(student, teacher, weight, of, on, map=map)

    def compare(self, name: str, student: Tensor, teacher: Tensor, weights: Tensor, batch: Batch) -> Terms:
        """Return the mean over windows."""
        terms = functional.cosine(student, teacher, weights)
        return terms["cosine"], terms


@LOSSES.register("at")
class Attention(FeatureLoss):
    """Attention transfer: where in time (or in which channels) a feature is active, as in the teacher.

    Parameters
    ----------
    student, teacher : str
        Names of features of shape (channels, time); of a sequence (steps, width) the two forms change places.
    weight : float
        Factor in the total; the literature takes 1000.
    form : {"time", "channel"}
        Activity over time, with any numbers of channels, the longer series averaged down to the shorter; or over
        channels, of which there must be as many.
    of : str or list of str or None
        Which teachers; all of the stage by default, averaged.
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from.
    """

    paper: ClassVar[str] = "Zagoruyko and Komodakis, Paying more attention to attention, ICLR 2017"

    def __init__(
        self,
        student: str = "embedding",
        teacher: str = "embedding",
        weight: float = 1000.0,
        form: Literal["time", "channel"] = "time",
        of: str | Sequence[str] | None = None,
        on: On = "all",
    ) -> None:
        super().__init__(student, teacher, weight, of, on)
        self.form = one_of("form", form, ("time", "channel"))

    def prepare(self, name: str, own: Shape, taught: Shape, context: Context) -> None:
        """Refuse features that are no maps, or that have different numbers of channels."""
        functional.attention_transfer(torch.zeros(1, *own), torch.zeros(1, *taught), torch.ones(1), form=self.form)

    def compare(self, name: str, student: Tensor, teacher: Tensor, weights: Tensor, batch: Batch) -> Terms:
        """Return the mean over windows and places of the squared difference."""
        value = functional.attention_transfer(student, teacher, weights, form=self.form)["attention"]
        return value, {"at": value}


@LOSSES.register("vid")
class Variational(FeatureLoss):
    """Variational information distillation: how likely the teacher's feature is, given what the network's tells of it.

    A regressor of three layers (convolutions of width 1 between maps, linear layers else) expects the teacher's feature
    with a variance per channel that is learned too, so that what the network cannot know of a channel costs little. May
    be negative.

    Parameters
    ----------
    student, teacher : str
        Names of the features.
    weight : float
        Factor in the total.
    variance : float
        Where the variances start.
    of : str or list of str or None
        Which teachers; all of the stage by default, each with a regressor of its own, averaged.
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from.
    """

    paper: ClassVar[str] = "Ahn et al., Variational information distillation for knowledge transfer, CVPR 2019"

    def __init__(
        self,
        student: str = "embedding",
        teacher: str = "embedding",
        weight: float = 1.0,
        variance: float = 5.0,
        of: str | Sequence[str] | None = None,
        on: On = "all",
    ) -> None:
        super().__init__(student, teacher, weight, of, on)
        try:
            self.raw = functional.raw_variance(variance)
        except LimbeckError as error:
            raise LimbeckError(f"variance: {error}") from error
        self.regressors = nn.ModuleDict()

    def prepare(self, name: str, own: Shape, taught: Shape, context: Context) -> None:
        """Make the regressor."""
        self.regressors[name] = _Regressor(own, taught, self.raw)

    def compare(self, name: str, student: Tensor, teacher: Tensor, weights: Tensor, batch: Batch) -> Terms:
        """Return the mean over windows and elements of the negative log-likelihood."""
        mean, taught, variance = self.regressors[name](student, teacher)
        terms = functional.vid(mean, taught, weights, variance=variance)
        return terms["vid"], terms


class _Regressor(nn.Module):
    """Three layers from a feature to what it makes one expect of another, and the variance that is left."""

    resize: Tensor

    def __init__(self, own: Shape, taught: Shape, raw: float) -> None:
        super().__init__()
        self.between_maps = len(own) == len(taught) == 2
        if not self.between_maps:
            own, taught = (math.prod(own), 1), (math.prod(taught), 1)
        channels = taught[0]
        self.layers = nn.Sequential(
            nn.Conv1d(own[0], channels, 1),
            nn.ReLU(),
            nn.Conv1d(channels, channels, 1),
            nn.ReLU(),
            nn.Conv1d(channels, channels, 1),
        )
        self.variance = nn.Parameter(torch.full((channels,), raw))
        self.register_buffer("resize", resize_matrix(own[1], taught[1]).float(), persistent=False)

    def forward(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the expected feature of the teacher, the feature, and the variances, one per channel."""
        if not self.between_maps:
            student, teacher = student.flatten(1)[..., None], teacher.flatten(1)[..., None]
        return self.layers(student) @ self.resize.to(student), teacher, self.variance


def _instead(name: str, there: Mapping[str, Shape]) -> str:
    """Return which features could have been meant, with their shapes."""
    if not there:
        return " It offers none; choose a model with features (limbeck models), or a loss that takes logits."
    shapes = ", ".join(f"{other} {tuple(shape)}" for other, shape in there.items())
    guess = did_you_mean(name, there)
    return (guess if guess.startswith(" Did") else "") + f" It has: {shapes}."
