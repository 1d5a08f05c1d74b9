"""Recipes that hand over what a network makes of a window before it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from limbeck.distillation.recipes.contract import RECIPES, Recipe, Site, Stages, losses
from limbeck.distillation.recipes.logits import soft
from limbeck.distillation.recipes.taps import TOKEN_FEATURES

__all__ = ["AT", "CRD", "PKT", "RKD", "SP", "VID", "Cosine", "FitNets", "summaries"]


def summaries(recipe: Any, site: Site) -> dict[str, str]:
    """Return the features that a recipe names for student and teacher; the ones that their heads read by default."""
    return {
        "student": recipe.student_feature or site.student.summary(),
        "teacher": recipe.teacher_feature or site.rich.summary(),
    }


@RECIPES.register("cosine")
@dataclass(frozen=True)
class Cosine(Recipe):
    """The student's feature is turned into the direction of its teacher's.

    Published for the flattened output of the last convolution. Here it is by default what the head of each network
    reads, since sensors of different rates have no map in common; name the convolutions to have them.

    Parameters
    ----------
    weight : float
        Of one minus the cosine between the features.
    hard : float
        Of the labels.
    student_feature, teacher_feature : str or None
        Which features; by default those that the heads read.
    map : str
        How the features come to one shape; ``pool`` averages the longer one, as published.
    """

    weight: float = 0.25
    hard: float = 0.75
    student_feature: str | None = None
    teacher_feature: str | None = None
    map: str = "pool"

    paper: ClassVar[str] = (
        "Chariton, Knowledge distillation tutorial of PyTorch, cosine loss between hidden features, 2023"
    )
    year: ClassVar[int] = 2023
    needs: ClassVar[tuple[str, ...]] = ("features",)

    def stages(self, site: Site) -> Stages:
        """Return the arm."""
        given = {"weight": self.weight, **summaries(self, site), "map": self.map}
        return site.taught(losses(hard=self.hard, cosine=given))


@RECIPES.register("fitnets")
@dataclass(frozen=True)
class FitNets(Recipe):
    """The student's feature, through a map that it learns, is drawn to its teacher's.

    In one stage, labels and features together; or in two, as first published: the student learns the feature alone,
    without any label, and starts from there to learn the labels and soft targets.

    Parameters
    ----------
    weight : float
        Of the mean squared distance between the features.
    hard : float
        Of the labels.
    soft : float
        Of soft targets beside the features; 0 leaves them out.
    temperature : float
        Of the soft targets.
    student_feature, teacher_feature : str or None
        Which features; by default those that the heads read.
    map : str
        How the student's feature takes the shape of the teacher's.
    two_stages : bool
        Whether the features are learned before the labels instead of with them; the second stage then has the soft
        targets, of weight 0.9 unless `soft` is given.
    """

    weight: float = 100.0
    hard: float = 1.0
    soft: float = 0.0
    temperature: float = 4.0
    student_feature: str | None = None
    teacher_feature: str | None = None
    map: str = "auto"
    two_stages: bool = False

    paper: ClassVar[str] = (
        "Romero, Ballas, Kahou, Chassang, Gatta and Bengio, FitNets: hints for thin deep nets, ICLR 2015"
    )
    year: ClassVar[int] = 2015
    needs: ClassVar[tuple[str, ...]] = ("features",)

    def stages(self, site: Site) -> Stages:
        """Return the arm, and before it the stage that learns the features where there are two."""
        hint = {"weight": self.weight, **summaries(self, site), "map": self.map}
        if not self.two_stages:
            return site.taught(losses(hard=self.hard, hint=hint, soft=soft(site, self.soft, self.temperature)))
        first = site.called("hint")
        second = losses(hard=self.hard, soft=soft(site, self.soft or 0.9, self.temperature))
        return {
            first: site.student.as_stage(taught_by=site.rich.stage, loss=losses(hint=hint)),
            **site.taught(second, start=first),
        }


@RECIPES.register("at")
@dataclass(frozen=True)
class AT(Recipe):
    """The student looks where its teacher looks: maps of attention along time are drawn together.

    A map of attention is the mean square over the channels of a feature, at each step, as a vector of length one. The
    two features may differ in channels and steps; both have an axis of time.

    Parameters
    ----------
    weight : float
        Of the mean squared distance between the maps.
    hard : float
        Of the labels.
    student_feature, teacher_feature : str or None
        Which features; by default the last with channels before time, or of two networks that make tokens, of as many
        steps, these.
    form : {"time", "channel"} or None
        Along which axis; for tokens (steps, width), whose axes are the other way round, ``channel`` is time.
    """

    weight: float = 1000.0
    hard: float = 1.0
    student_feature: str | None = None
    teacher_feature: str | None = None
    form: str | None = None

    paper: ClassVar[str] = "Zagoruyko and Komodakis, Paying more attention to attention, ICLR 2017"
    year: ClassVar[int] = 2017
    needs: ClassVar[tuple[str, ...]] = ("features with time",)
    example: ClassVar[Mapping[str, Any]] = {
        "teacher": {"model": "tcn", "inputs": ["eeg", "eda"]},
        "student": {"model": "tcn", "inputs": ["eda"]},
    }

    def stages(self, site: Site) -> Stages:
        """Return the arm."""
        student, teacher, form = self._courses(site)
        given = {"weight": self.weight, "student": student, "teacher": teacher, "form": form}
        return site.taught(losses(hard=self.hard, at=given))

    def _courses(self, site: Site) -> tuple[str, str, str | None]:
        """Return the features of student and teacher, and the form in which they are compared."""
        student, teacher = site.student.model, site.rich.model
        if student in TOKEN_FEATURES and teacher in TOKEN_FEATURES:
            tokens = self.student_feature or TOKEN_FEATURES[student], self.teacher_feature or TOKEN_FEATURES[teacher]
            named = self.student_feature or self.teacher_feature
            return *tokens, self.form or (None if named else "channel")
        return self.student_feature or site.student.map(), self.teacher_feature or site.rich.map(), self.form


@RECIPES.register("rkd")
@dataclass(frozen=True)
class RKD(Recipe):
    """Windows lie to each other as they do for the teacher: distances between two, angles between three.

    Nothing needs to have one shape: both are taken relative to the mean distance.

    Parameters
    ----------
    weight : float
        Of distances and angles together.
    hard : float
        Of the labels.
    distance, angle : float
        Of each.
    student_feature, teacher_feature : str or None
        Which features; by default those that the heads read.
    """

    weight: float = 1.0
    hard: float = 1.0
    distance: float = 25.0
    angle: float = 50.0
    student_feature: str | None = None
    teacher_feature: str | None = None

    paper: ClassVar[str] = "Park, Kim, Lu and Cho, Relational knowledge distillation, CVPR 2019"
    year: ClassVar[int] = 2019
    needs: ClassVar[tuple[str, ...]] = ("features",)

    def stages(self, site: Site) -> Stages:
        """Return the arm."""
        given = {
            "weight": self.weight,
            "distance": self.distance,
            "angle": self.angle,
            **summaries(self, site),
        }
        return site.taught(losses(hard=self.hard, rkd=given))


@RECIPES.register("sp")
@dataclass(frozen=True)
class SP(Recipe):
    """Windows that are alike for the teacher are to be alike for the student.

    The matrices of inner products between the windows of a batch, with rows of length one, are drawn together; they
    have one size whatever the sensors and networks, so nothing has to be matched.

    Parameters
    ----------
    weight : float
        Of the squared distance between the matrices, divided by the batch squared.
    hard : float
        Of the labels.
    student_feature, teacher_feature : str or None
        Which features; by default those that the heads read.
    """

    weight: float = 3000.0
    hard: float = 1.0
    student_feature: str | None = None
    teacher_feature: str | None = None

    paper: ClassVar[str] = "Tung and Mori, Similarity-preserving knowledge distillation, ICCV 2019"
    year: ClassVar[int] = 2019
    needs: ClassVar[tuple[str, ...]] = ("features",)

    def stages(self, site: Site) -> Stages:
        """Return the arm."""
        return site.taught(losses(hard=self.hard, sp={"weight": self.weight, **summaries(self, site)}))


@RECIPES.register("crd")
@dataclass(frozen=True)
class CRD(Recipe):
    """The student's view of a window is told apart from the teacher's views of other windows.

    Both features are projected to one space; what the networks said of all windows is remembered. With `in_batch` the
    other windows are those of the batch, which suits few windows.

    Parameters
    ----------
    weight : float
        Of the contrastive loss.
    hard : float
        Of the labels.
    temperature : float or None
        Of the similarities: 0.07 with memory and 0.1 within the batch where it is None.
    negatives : int
        Windows of other classes, at most, that a window is told apart from.
    momentum : float
        Of the memory.
    in_batch : bool
        Whether windows are told apart from those of their batch instead of remembered ones.
    student_feature, teacher_feature : str or None
        Which features; by default those that the heads read.
    """

    weight: float = 0.8
    hard: float = 1.0
    temperature: float | None = None
    negatives: int = 16384
    momentum: float = 0.5
    in_batch: bool = False
    student_feature: str | None = None
    teacher_feature: str | None = None

    paper: ClassVar[str] = "Tian, Krishnan and Isola, Contrastive representation distillation, ICLR 2020"
    year: ClassVar[int] = 2020
    needs: ClassVar[tuple[str, ...]] = ("features",)

    def stages(self, site: Site) -> Stages:
        """Return the arm."""
        given = {"weight": self.weight, "temperature": self.temperature, **summaries(self, site)}
        if self.in_batch:
            return site.taught(losses(hard=self.hard, info_nce=given))
        given |= {"negatives": self.negatives, "momentum": self.momentum}
        return site.taught(losses(hard=self.hard, crd=given))


@RECIPES.register("vid")
@dataclass(frozen=True)
class VID(Recipe):
    """The student's feature predicts its teacher's with an error bar of its own for every channel.

    Channels that the student's sensors cannot tell get a wide bar and stop to pull.

    Parameters
    ----------
    weight : float
        Of the negative log-likelihood.
    hard : float
        Of the labels.
    variance : float
        Where the error bars start.
    student_feature, teacher_feature : str or None
        Which features; by default those that the heads read.
    """

    weight: float = 1.0
    hard: float = 1.0
    variance: float = 5.0
    student_feature: str | None = None
    teacher_feature: str | None = None

    paper: ClassVar[str] = (
        "Ahn, Hu, Damianou, Lawrence and Dai, Variational information distillation for knowledge transfer, CVPR 2019"
    )
    year: ClassVar[int] = 2019
    needs: ClassVar[tuple[str, ...]] = ("features",)

    def stages(self, site: Site) -> Stages:
        """Return the arm."""
        given = {"weight": self.weight, "variance": self.variance, **summaries(self, site)}
        return site.taught(losses(hard=self.hard, vid=given))


@RECIPES.register("pkt")
@dataclass(frozen=True)
class PKT(Recipe):
    """The chance with which each window would pick each other as its neighbour is handed over.

    Parameters
    ----------
    weight : float
        Of the divergence between the chances, a mean over windows; the 30000 of the published code is of a value that
        is divided by its batch of 64 once more.
    hard : float
        Of the labels.
    student_feature, teacher_feature : str or None
        Which features; by default those that the heads read.
    """

    weight: float = 470.0
    hard: float = 1.0
    student_feature: str | None = None
    teacher_feature: str | None = None

    paper: ClassVar[str] = (
        "Passalis and Tefas, Learning deep representations with probabilistic knowledge transfer, ECCV 2018"
    )
    year: ClassVar[int] = 2018
    needs: ClassVar[tuple[str, ...]] = ("features",)

    def stages(self, site: Site) -> Stages:
        """Return the arm."""
        return site.taught(losses(hard=self.hard, pkt={"weight": self.weight, **summaries(self, site)}))
