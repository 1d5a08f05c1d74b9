"""Recipes for sensors that are there in training only."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from limbeck.distillation.recipes.contract import (
    RECIPES,
    Fault,
    Party,
    Recipe,
    Site,
    Stage,
    Stages,
    as_inputs,
    losses,
    reads_many,
)
from limbeck.distillation.recipes.features import summaries
from limbeck.distillation.recipes.logits import soft
from limbeck.errors import LimbeckError
from limbeck.models.contract import MODELS

__all__ = ["MMPKD", "MTPKDOT", "PKDOT", "MultiTeacher", "VisualToEEG"]

_PKDOT_EXAMPLE: Stage = {
    "teacher": {"model": "pkdot_teacher", "inputs": ["eda", "emg"]},
    "student": {"model": "pkdot_student", "inputs": ["eda"]},
}
_FROZEN = Fault(
    "T-Net stays as it was drawn at random; here it learns the teacher's embeddings of the sensor that it stands for.",
    "student: {model: {name: pkdot_student, frozen: true}}",
)


@RECIPES.register("visual_to_eeg")
@dataclass(frozen=True)
class VisualToEEG(Recipe):
    """The student's sequence of features follows its teacher's, step by step; a trace is learned by its concordance.

    Published for valence that runs with time, from faces to EEG; a class is learned by cross-entropy here. Published,
    too, is the concordance along the 96 steps of each window, averaged over windows; here a target is one value per
    window, so it is the concordance over the labelled windows of a batch. What learns a trace alone learns it by the
    same loss.

    Parameters
    ----------
    weight : float
        Of the mean absolute difference between the features; published are 1.0 for random trials and 0.4 for left-out
        subjects.
    hard : float
        Of the labels.
    student_feature, teacher_feature : str or None
        Which features; by default ``sequence`` of the published networks, else those that the heads read.
    map : str
        How the features come to one shape.
    as_published : bool
        Of a trace: whether the concordance mixes two estimators of the variance.
    """

    weight: float = 0.4
    hard: float = 1.0
    student_feature: str | None = None
    teacher_feature: str | None = None
    map: str = "auto"
    as_published: bool = False

    paper: ClassVar[str] = (
        "Zhang, Tang and Guan, Visual-to-EEG cross-modal knowledge distillation for continuous emotion recognition, "
        "Pattern Recognition 130, 2022"
    )
    year: ClassVar[int] = 2022
    needs: ClassVar[tuple[str, ...]] = ("features",)
    faults: ClassVar[tuple[Fault, ...]] = (
        Fault(
            "The concordance mixes two estimators of the variance, so that perfect agreement still costs 0.01.",
            "as_published: true",
        ),
        Fault(
            "Features are taken of the teacher at 64 Hz where it was trained at 4 Hz, and of windows cropped by "
            "chance; here they are those of the windows that the student reads."
        ),
        Fault("Trials of a random split are not shuffled, and validation is of the training subjects."),
    )
    example: ClassVar[Stage] = {
        "teacher": {"model": "tcn", "inputs": ["eeg", "eda"]},
        "student": {"model": "tcn", "inputs": ["eda"]},
    }

    def stages(self, site: Site) -> Stages:
        """Return the arm."""
        if self.as_published and site.kind != "trace":
            raise LimbeckError("as_published: it is of the concordance, and the target is a class; remove it.")
        sequence = {"tcn", "zhang2022_student", "zhang2022_teacher", "zhang2022_lstm"}
        if {site.student.model, site.rich.model} <= sequence:
            tapped = {
                "student": self.student_feature or "sequence",
                "teacher": self.teacher_feature or "sequence",
            }
        else:
            tapped = summaries(self, site)
        hint = {"weight": self.weight, "norm": "l1", **tapped, "map": self.map}
        hard = concordant(site, self.hard, mixed=self.as_published)
        return {**alone_by(site, hard), **site.taught(losses(hard=hard, hint=hint))}


def concordant(site: Site, weight: float, *, mixed: bool = False) -> Any:
    """Return the options of the loss on labels where a trace is learned by its concordance."""
    return {"weight": weight, "form": "ccc", "mixed": mixed} if site.kind == "trace" else weight


def alone_by(site: Site, hard: Any) -> Stages:
    """Return who learns a trace alone by the loss of the arm, lest another loss be taken for teaching.

    None for a class, which everybody learns by one loss, and where the labels count for nothing.
    """
    loss = losses(hard=hard)
    return {site.called("alone"): site.student.as_stage(loss=loss)} if site.kind == "trace" and loss else {}


@RECIPES.register("pkdot")
@dataclass(frozen=True)
class PKDOT(Recipe):
    """The student arranges windows as a teacher with privileged sensors does, by optimal transport.

    The similarities of each window to the same few anchors of the batch, those least alike for the teacher, are a point
    for the teacher and one for the student; the transport cost between the two clouds of points is made small. The
    published student makes up the sensor that it lacks (T-Net), and learns to from the teacher's embeddings of it.

    Parameters
    ----------
    weight : float
        Of the transport cost.
    hard : float
        Of the labels.
    privileged : float
        Of the squared distance between what T-Net makes up and the teacher's embeddings of the privileged sensor, for a
        ``pkdot_student`` of a ``pkdot_teacher``. A teacher that lacks this sensor has no such embeddings, so there is
        no control `own_input` unless it is 0.
    anchors : int
        Windows of a batch that all are compared with.
    centroid : float
        Of the distance between the means of the clouds.
    blur : float
        Of the transport.
    as_published : bool
        Whether each window has anchors of its own.
    student_feature, teacher_feature : str or None
        Which features; by default ``joint`` of the published networks, else those that the heads read.
    """

    weight: float = 0.6
    hard: float = 1.0
    privileged: float = 1.0
    anchors: int = 30
    centroid: float = 0.0
    blur: float = 0.1
    as_published: bool = False
    student_feature: str | None = None
    teacher_feature: str | None = None

    paper: ClassVar[str] = "Aslam et al., privileged knowledge distillation by optimal transport, arXiv 2401.15489"
    year: ClassVar[int] = 2024
    needs: ClassVar[tuple[str, ...]] = ("features",)
    faults: ClassVar[tuple[Fault, ...]] = (
        Fault(
            "Every row has anchors of its own, so that coordinates of different rows are not comparable.",
            "as_published: true",
        ),
        _FROZEN,
        Fault("Attention runs over the windows of the batch, so a prediction depends on its companions."),
        Fault("Folds are drawn over trials, one teacher serves all of them, and the best epoch is chosen on the test."),
    )
    example: ClassVar[Stage] = _PKDOT_EXAMPLE

    def stages(self, site: Site) -> Stages:
        """Return the arm."""
        made_up = made_up_sensor(site.student, site.rich, self.privileged)
        return site.taught(losses(hard=self.hard, pkdot=transport(self, site), hint=made_up))

    def controls_at(self, site: Site) -> tuple[str, ...]:
        """Return the credit controls; without `own_input` where a feature is learned that only this teacher has."""
        return without_own_input(super().controls_at(site), site, self.privileged)


def made_up_sensor(student: Party, teacher: Party, weight: float, *, of: str | None = None) -> Stage:
    """Return the loss by which T-Net learns what it stands for, of weight 0 where there is none that could.

    Parameters
    ----------
    student : Party
        Whose T-Net; published is that of ``pkdot_student``. A frozen one learns nothing.
    teacher : Party
        A ``pkdot_teacher``, whose embeddings of the sensor that the student lacks are the target.
    weight : float
        Of the squared distance.
    of : str, optional
        The teacher's stage, where the student has several teachers.
    """
    model = student.definition.get("model")
    frozen = isinstance(model, Mapping) and bool(model.get("frozen"))
    lacking = [modality for modality in teacher.inputs if modality not in student.inputs]
    if (student.model, teacher.model) != ("pkdot_student", "pkdot_teacher") or frozen or not lacking:
        return {"weight": 0}
    # The second modality of the teacher is the privileged one where the student reads neither.
    return {"weight": weight, "student": "pseudo", "teacher": lacking[-1], "of": of}


def without_own_input(controls: tuple[str, ...], site: Site, weight: float) -> tuple[str, ...]:
    """Return controls without `own_input` where T-Net is taught: no teacher without the sensor has its embeddings."""
    taught = site.teacher is not None and made_up_sensor(site.student, site.teacher, weight)["weight"] != 0
    return tuple(kind for kind in controls if not (taught and kind == "own_input"))


def transport(recipe: Any, site: Site) -> Stage:
    """Return the options of the transport loss."""
    return {
        "weight": recipe.weight,
        "anchors": recipe.anchors,
        "centroid": recipe.centroid,
        "blur": recipe.blur,
        "per_row": recipe.as_published,
        **summaries(recipe, site),
    }


@RECIPES.register("mt_pkdot")
@dataclass(frozen=True)
class MTPKDOT(Recipe):
    """PKDOT with several teachers: a joint one, and one per sensor that has learned to point where the joint one does.

    In each batch the student follows the one that errs least on its labels.

    Other than published: there, narrow adapters within the joint teacher turn the embedding of each modality towards
    the joint feature, which they move in turn, since it is not held fixed. Here a network of its own for each modality
    is taught by the joint teacher, which is trained before and stays as it is, so that each can answer and be stored.
    ``pkdot_teacher`` with ``adapters: true`` and the loss ``adapters`` is the published form of that phase.

    Parameters
    ----------
    weight : float
        Of the transport cost.
    hard : float
        Of the labels.
    privileged : float
        Of the squared distance between what a T-Net makes up and the joint teacher's embeddings of the sensor that it
        stands for: that of a ``pkdot_student``, and those of the teachers of single sensors, where the joint one is a
        ``pkdot_teacher``. There is no control `own_input` then, as in ``pkdot``.
    similarity : float
        Of the cosine with the joint feature, for the teachers of single sensors; half of it is the weight of their
        labels.
    select : {"batch", "none"}
        The teacher that errs least in the batch, or all of them, averaged.
    anchors : int
        Windows of a batch that all are compared with.
    centroid : float
        Of the distance between the means of the clouds, as a multiple of `weight`; the released code has it not.
    blur : float
        Of the transport.
    as_published : bool
        Whether each window has anchors of its own.
    student_feature, teacher_feature : str or None
        Which features; by default ``joint`` of the published networks, else those that the heads read.
    """

    weight: float = 0.2
    hard: float = 0.8
    privileged: float = 1.0
    similarity: float = 0.5
    select: str = "batch"
    anchors: int = 30
    centroid: float = 1.0
    blur: float = 0.1
    as_published: bool = False
    student_feature: str | None = None
    teacher_feature: str | None = None

    paper: ClassVar[str] = "Aslam et al., multi-teacher privileged distillation (MT-PKDOT), arXiv 2408.09035"
    year: ClassVar[int] = 2024
    needs: ClassVar[tuple[str, ...]] = ("features", "several modalities")
    faults: ClassVar[tuple[Fault, ...]] = (
        Fault("The paper's distance between the means is left out of the released code.", "centroid: 0"),
        Fault(
            "Every row has anchors of its own, so that coordinates of different rows are not comparable.",
            "as_published: true",
        ),
        _FROZEN,
        Fault(
            "In the validation of the adapters the head of the first modality answers for both, so that of the second "
            "is never scored; here each teacher is a stage with a validation of its own."
        ),
        Fault("Folds are drawn over trials, and attention runs over the windows of the batch."),
    )
    example: ClassVar[Stage] = _PKDOT_EXAMPLE

    def stages(self, site: Site) -> Stages:
        """Return the teachers of single sensors and the arm."""
        rich, named = site.rich, summaries(self, site)
        if len(rich.inputs) < 2:
            raise LimbeckError("teacher.inputs: a joint teacher reads at least two modalities.")
        single = None if reads_many(rich.model, 1) else {"pkdot_teacher": "pkdot_student"}.get(rich.model)
        if single is None and not reads_many(rich.model, 1):
            raise LimbeckError(
                f"teacher.model: '{rich.model}' cannot read one modality alone, as a teacher for each sensor has to; "
                "take pkdot_teacher or fusion_cnn."
            )
        pull = {"weight": self.similarity, "student": named["teacher"], "teacher": named["teacher"]}
        sides = {}
        for modality, channels in rich.inputs.items():
            view = as_inputs({modality: channels})
            side = Party(site.called(modality), {"model": single, "inputs": view})
            hint = made_up_sensor(side, rich, self.privileged)
            sides[side.stage] = rich.as_stage(
                model=_of_one(rich, single),
                inputs=view,
                taught_by=rich.stage,
                loss=losses(hard=self.similarity / 2, cosine=dict(pull), hint=hint),
            )
        given = {**transport(self, site), "select": self.select}
        made_up = made_up_sensor(site.student, rich, self.privileged, of=rich.stage)
        loss = losses(hard=self.hard, pkdot=given, hint=made_up)
        return {**sides, **site.taught(loss, by=[rich.stage, *sides])}

    def controls_at(self, site: Site) -> tuple[str, ...]:
        """Return the credit controls; without `own_input` where a feature is learned that only this teacher has."""
        return without_own_input(super().controls_at(site), site, self.privileged)


def _of_one(rich: Party, single: str | None) -> Any:
    """Return the model that reads one modality in the place of the joint teacher's, of the same sizes."""
    model = rich.definition.get("model")
    if single is None or not isinstance(model, Mapping):
        return single
    common = MODELS.options(single).keys() - {"as_released"}
    return {"name": single, **{key: copy.deepcopy(value) for key, value in model.items() if key in common}}


@RECIPES.register("multi_teacher")
@dataclass(frozen=True)
class MultiTeacher(Recipe):
    """A teacher for every privileged sensor, and one for the student's own, teach together.

    Each has the network of the study's teacher; one that needs several sensors reads the student's beside its own.

    Parameters
    ----------
    weight : float
        Of what is taught.
    hard : float
        Of the labels.
    temperature : float
        Of the soft targets.
    teaches : {"logits", "similarity", "gated"}
        Predictions, put together by `combine`; matrices of similarity between windows, averaged; or predictions, put
        together by a gate that learns.
    combine : str or mapping
        How predictions are put together: average, accuracy, confidence, best, or {weights: {weights: [...]}}.
    own : bool
        Whether a teacher reads the student's sensors alone.
    student_feature, teacher_feature : str or None
        Of ``similarity``: which features; by default those that the heads read.
    """

    weight: float = 0.5
    hard: float = 0.5
    temperature: float = 4.0
    teaches: str = "logits"
    combine: Any = "average"
    own: bool = True
    student_feature: str | None = None
    teacher_feature: str | None = None

    paper: ClassVar[str] = (
        "Several: averaged teachers; Zhang, Chen and Wang, Confidence-aware multi-teacher distillation, ICASSP 2022; "
        "Lan, Zhu and Gong, NeurIPS 2018 (gates)"
    )
    year: ClassVar[int] = 2022
    needs: ClassVar[tuple[str, ...]] = ("several modalities",)
    example: ClassVar[Stage] = {
        "teacher": {"model": "fusion_cnn", "inputs": ["eeg", "ecg", "eda"]},
        "student": {"model": "student_cnn", "inputs": ["eda"]},
    }

    def stages(self, site: Site) -> Stages:
        """Return the teachers and the arm."""
        if self.teaches not in ("logits", "similarity", "gated"):
            raise LimbeckError(f"teaches: expected logits, similarity or gated, found {self.teaches!r}.")
        views = self._views(site)
        made = {site.called(name): site.rich.as_stage(inputs=as_inputs(view)) for name, view in views.items()}
        if self.teaches == "logits":
            loss = losses(hard=self.hard, soft=soft(site, self.weight, self.temperature))
        elif self.teaches == "gated":
            loss = losses(hard=self.hard, gated=soft(site, self.weight, self.temperature))
        else:
            loss = losses(hard=self.hard, sp={"weight": self.weight, **summaries(self, site)})
        chosen = self.teaches == "logits" and self.combine != "average"
        knowledge = {"combine": copy.deepcopy(self.combine)} if chosen else None
        return {**made, **site.taught(loss, by=list(made), knowledge=knowledge)}

    def _views(self, site: Site) -> dict[str, Stage]:
        """Return what each teacher reads, by what it is called."""
        rich, poor = site.rich.inputs, site.student.inputs
        privileged = [modality for modality in rich if modality not in poor]
        if not privileged:
            raise LimbeckError(
                f"teacher.inputs: the teacher reads {', '.join(rich)}, all of which the student reads too, so there is "
                "no privileged sensor; add one."
            )
        alone = reads_many(site.rich.model, 1)
        views = {m: {m: rich[m]} if alone else {m: rich[m], **poor} for m in privileged}
        if self.own and reads_many(site.rich.model, len(poor)):
            views["own"] = dict(poor)
        if len(views) < 2:
            raise LimbeckError(
                f"teacher.inputs: {', '.join(privileged)} gives one teacher, and this recipe puts several together; "
                "add a privileged sensor, or take hinton."
            )
        return views


@RECIPES.register("mmpkd")
@dataclass(frozen=True)
class MMPKD(Recipe):
    """A trace is learned by its concordance and from the teacher's feature, in proportions that follow the teacher.

    The better the teacher agrees with the labels of a batch, the more of the loss is the direction of its feature and
    the less the labels. What learns alone learns by concordance, too.

    Parameters
    ----------
    weight : float
        Of the whole loss.
    most : float
        Share of the feature where the teacher is perfect.
    threshold : float
        One minus the teacher's concordance from which on the labels alone count.
    as_published : bool
        Whether the share grows with the teacher's error, and the labels' may fall below zero.
    student_feature, teacher_feature : str or None
        Which features; by default those that the heads read.
    map : str
        How the features come to one shape.
    """

    weight: float = 1.0
    most: float = 0.8
    threshold: float = 1.0
    as_published: bool = False
    student_feature: str | None = None
    teacher_feature: str | None = None
    map: str = "auto"

    paper: ClassVar[str] = (
        "Aslam, Zeeshan, Pedersoli, Koerich, Bacon and Granger, Privileged knowledge distillation for dimensional "
        "emotion recognition in the wild, CVPR workshops 2023; code haseebaslam95/MMPKD"
    )
    year: ClassVar[int] = 2023
    needs: ClassVar[tuple[str, ...]] = ("features",)
    kinds: ClassVar[tuple[str, ...]] = ("trace",)
    faults: ClassVar[tuple[Fault, ...]] = (
        Fault(
            "The sign of the adaptive weight is reversed: the worse the teacher, the more it is followed, and where it "
            "is worse than nothing the student is pushed away from the labels.",
            "as_published: true",
        ),
    )

    def stages(self, site: Site) -> Stages:
        """Return the arm."""
        given = {
            "weight": self.weight,
            "most": self.most,
            "threshold": self.threshold,
            "as_published": self.as_published,
            **summaries(self, site),
            "map": self.map,
        }
        return {**alone_by(site, concordant(site, 1.0)), **site.taught(losses(mmpkd=given))}
