"""Recipes in which more than one network learns, or answers anew at every step."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from limbeck.distillation.contract import one_of, whole
from limbeck.distillation.recipes.contract import (
    RECIPES,
    Fault,
    Party,
    Recipe,
    Site,
    Stage,
    Stages,
    losses,
    without_defaults,
)
from limbeck.distillation.recipes.features import summaries
from limbeck.distillation.recipes.logits import soft
from limbeck.distillation.steps import STEPS
from limbeck.errors import LimbeckError

__all__ = ["DML", "ONE", "SSD", "EmotionKD", "MeanTeacher", "MetaDistil", "ZhangLu"]

INTERACTIVE = frozenset({"emotion_net_student", "emotion_net_teacher", "zhang_lu_student", "zhang_lu_teacher"})
"""Models with the feature ``imf``, in which the interaction of levels stands."""


def interaction(recipe: Any, site: Site) -> Stage:
    """Return the features that EmotionKD matches: those of the interaction of levels where both networks have one."""
    if {site.student.model, site.rich.model} <= INTERACTIVE:
        return {"student": recipe.student_feature or "imf", "teacher": recipe.teacher_feature or "imf"}
    return dict(summaries(recipe, site))


def live(party: Party, **keys: Any) -> dict[str, Stage]:
    """Return a partner that stands for a teacher: its network with its weights, asked at every step."""
    return {party.stage: {"stage": party.stage, "start": True, **keys}}


def feedback(site: Site, mode: str, **options: Any) -> Stage:
    """Return partners and steps with which the teacher is told how its student does; without any for ``none``."""
    if one_of("feedback", mode, ("second_order", "finite_diff", "ce_only", "none")) == "none":
        return {}
    given = without_defaults({"partner": site.rich.stage, **options}, STEPS.options("feedback"))
    steps = {"feedback": {**given, "mode": mode}}
    return {"partners": live(site.rich), "steps": steps}


@RECIPES.register("emotionkd")
@dataclass(frozen=True)
class EmotionKD(Recipe):
    """A teacher with the rich sensors teaches by answers and by a feature, and is told how its student does.

    After every `every` steps of the student the teacher takes one: a copy of the student learns for a step and is then
    examined on other labelled windows of training subjects, and the teacher moves so that its own errors there become
    fewer, and those of the copy too, which reach it through what it taught. The copy is thrown away.

    Parameters
    ----------
    weight : float
        Of the soft targets.
    feature_weight : float
        Of the squared distance between the features.
    hard : float
        Of the labels.
    temperature : float
        Of the soft targets; there is none in the paper.
    feedback : {"second_order", "finite_diff", "ce_only", "none"}
        How the copy's errors reach the teacher: exactly, by differences, not at all (the teacher goes on learning from
        labels alone), or the teacher stays as it is.
    order : {"teach_first", "feedback_first"}
        Who takes the first step.
    every : int
        Steps of the student for each of the teacher.
    teacher_weight, student_weight : float
        Of the teacher's own errors in the quiz, and of the copy's.
    inner_rate : float or None
        Step size of the copy; the learning rate of the stage by default.
    teacher_rate : float or None
        Learning rate of the teacher; that of the stage by default.
    quiz : int
        Labelled windows of a quiz.
    student_feature, teacher_feature : str or None
        Which features; by default ``imf`` of the published networks, else those that the heads read.
    map : str
        How the features come to one shape.
    """

    weight: float = 0.1
    feature_weight: float = 1.0
    hard: float = 1.0
    temperature: float = 1.0
    feedback: str = "second_order"
    order: str = "teach_first"
    every: int = 1
    teacher_weight: float = 1.0
    student_weight: float = 1.0
    inner_rate: float | None = None
    teacher_rate: float | None = None
    quiz: int = 16
    student_feature: str | None = None
    teacher_feature: str | None = None
    map: str = "auto"

    paper: ClassVar[str] = (
        "Liu, Jia and Wang, EmotionKD: a cross-modal knowledge distillation framework for emotion recognition based on "
        "physiological signals, ACM Multimedia 2023"
    )
    year: ClassVar[int] = 2023
    needs: ClassVar[tuple[str, ...]] = ("features", "live teacher")
    faults: ClassVar[tuple[Fault, ...]] = (
        Fault(
            "In the released feedback the student's error is a number without gradient, so the teacher only goes on "
            "learning from labels.",
            "feedback: ce_only",
        ),
        Fault(
            "The teacher's feature is twice as long as the student's, so their distance cannot be computed; here "
            "emotion_net_teacher adds the halves up (its option mapping) and other networks have a map."
        ),
        Fault(
            "The fusion of levels takes the earlier level of one sensor with the later of the other, and three dense "
            "layers stand behind each other without activation.",
            "teacher: {model: {name: emotion_net_teacher, as_released: true}}",
        ),
        Fault(
            "The student's learning rate of 1e-6 makes the feature's pull weak; here it is that of the study.",
            "student: {training: {learning_rate: 1e-6}}",
        ),
    )
    example: ClassVar[Stage] = {
        "teacher": {"model": "emotion_net_teacher", "inputs": ["eeg", "eda"]},
        "student": {"model": "emotion_net_student", "inputs": ["eda"]},
    }

    def stages(self, site: Site) -> Stages:
        """Return the arm, with the teacher beside it."""
        loss = losses(
            hard=self.hard,
            soft=soft(site, self.weight, self.temperature),
            hint={"weight": self.feature_weight, **interaction(self, site), "map": self.map},
        )
        return site.taught(loss, **told(self, site))


def told(recipe: Any, site: Site, **options: Any) -> Stage:
    """Return the feedback that a recipe's options ask for."""
    return feedback(
        site,
        recipe.feedback,
        order=recipe.order,
        every=recipe.every,
        teacher_weight=recipe.teacher_weight,
        student_weight=recipe.student_weight,
        inner_rate=recipe.inner_rate,
        teacher_rate=recipe.teacher_rate,
        quiz=recipe.quiz,
        **options,
    )


@RECIPES.register("zhang_lu")
@dataclass(frozen=True)
class ZhangLu(Recipe):
    """EmotionKD with feedback that fades as the student comes near its teacher.

    The student's part of the feedback is weighted by how much worse it is than the teacher on validation subjects,
    relative to the teacher and between 0 and 1, anew in every epoch; a study without validation subjects takes
    ``regulated: false``. The paper gives no equation; this one is ours.

    Parameters
    ----------
    variant : {"v3", "v2", "v1"}
        The paper's ablation: features and feedback, features alone, or soft targets alone.
    regulated : bool
        Whether the feedback fades.
    weight, feature_weight, hard, temperature : float
        Of the soft targets, of the squared distance between the features, of the labels; temperature of the first.
    feedback, order, every, teacher_weight, student_weight, inner_rate, teacher_rate, quiz
        As in ``emotionkd``.
    student_feature, teacher_feature : str or None
        Which features; by default ``imf`` of the published networks, else those that the heads read.
    map : str
        How the features come to one shape.
    """

    variant: Literal["v3", "v2", "v1"] = "v3"
    regulated: bool = True
    weight: float = 0.1
    feature_weight: float = 1.0
    hard: float = 1.0
    temperature: float = 1.0
    feedback: str = "second_order"
    order: str = "teach_first"
    every: int = 1
    teacher_weight: float = 1.0
    student_weight: float = 1.0
    inner_rate: float | None = None
    teacher_rate: float | None = None
    quiz: int = 16
    student_feature: str | None = None
    teacher_feature: str | None = None
    map: str = "auto"

    paper: ClassVar[str] = (
        "Zhang and Lu, Multimodal knowledge distillation for emotion recognition, Brain Sciences 15(7):707, 2025"
    )
    year: ClassVar[int] = 2025
    needs: ClassVar[tuple[str, ...]] = ("features", "live teacher", "validation subjects")
    faults: ClassVar[tuple[Fault, ...]] = (
        Fault(
            "The printed ablation's full variant is not the headline model, and the baselines' scores are those of "
            "another paper moved by exactly one point; no number of it is a reference."
        ),
    )
    example: ClassVar[Stage] = {
        "teacher": {"model": "zhang_lu_teacher", "inputs": ["eeg", "eog"]},
        "student": {"model": "zhang_lu_student", "inputs": ["eog"]},
    }

    def __post_init__(self) -> None:
        if self.variant not in ("v1", "v2", "v3"):
            raise LimbeckError(f"variant: expected v1, v2 or v3, found {self.variant!r}.")

    def stages(self, site: Site) -> Stages:
        """Return the arm, with the teacher beside it in the full variant."""
        loss = losses(hard=self.hard, soft=soft(site, self.weight, self.temperature))
        if self.variant != "v1":
            loss |= losses(hint={"weight": self.feature_weight, **interaction(self, site), "map": self.map})
        return site.taught(loss, **(told(self, site, regulated=self.regulated) if self.variant == "v3" else {}))


@RECIPES.register("metadistil")
@dataclass(frozen=True)
class MetaDistil(Recipe):
    """A teacher that learns to teach: it is graded by how its student does after a step of what it taught.

    The teacher's step comes first, by an assumed step of the student; then the student takes its real one from the
    teacher that has already learned.

    Parameters
    ----------
    weight : float
        Of the soft targets.
    hard : float
        Of the labels.
    temperature : float
        Of the soft targets.
    feedback : {"second_order", "finite_diff", "ce_only", "none"}
        How the student's errors reach the teacher: exactly, by differences, not at all, or the teacher stays as it is.
    order : {"feedback_first", "teach_first"}
        Who takes the first step.
    every : int
        Steps of the student for each of the teacher.
    teacher_weight, student_weight : float
        Of the teacher's own errors in the quiz, and of the student's; published is the latter alone.
    inner_rate : float
        Step size of the assumed step.
    teacher_rate : float or None
        Learning rate of the teacher; that of the stage by default.
    quiz : int
        Labelled windows of a quiz.
    """

    weight: float = 0.5
    hard: float = 0.5
    temperature: float = 4.0
    feedback: str = "second_order"
    order: str = "feedback_first"
    every: int = 1
    teacher_weight: float = 0.0
    student_weight: float = 1.0
    inner_rate: float = 0.05
    teacher_rate: float | None = None
    quiz: int = 16

    paper: ClassVar[str] = (
        "Zhou, Xu and McAuley, BERT learns to teach: knowledge distillation with meta learning, ACL 2022"
    )
    year: ClassVar[int] = 2022
    needs: ClassVar[tuple[str, ...]] = ("live teacher",)

    def stages(self, site: Site) -> Stages:
        """Return the arm, with the teacher beside it."""
        loss = losses(hard=self.hard, soft=soft(site, self.weight, self.temperature))
        return site.taught(loss, **told(self, site))


@RECIPES.register("ssd")
@dataclass(frozen=True)
class SSD(Recipe):
    """One teacher as many: its dropout stays on, and the student follows the passes that come nearest to itself.

    Of `passes` answers of the teacher to each window those are mixed whose features the student's own feature resembles
    most, and the student learns the mixture. Each pass is another sub-network.

    Parameters
    ----------
    weight : float
        Of the squared distance from the mixture.
    hard : float
        Of the labels.
    passes : int
        Answers of the teacher per window and step.
    temperature : float
        By which the products of the features are divided before the softmax that weighs the passes.
    percentile : float
        Passes whose weight is below it are left out: at 90 a tenth is mixed.
    detach : bool
        Whether the weights are taken as numbers; otherwise a gradient flows through them too, as published.
    cosine : bool
        Whether the student's direction is drawn to that of all passes alike instead.
    as_released : bool
        Whether the teacher's dropout is off, so that all passes are one.
    student_feature, teacher_feature : str or None
        Which features; by default those that the heads read.
    map : str
        How the student's feature takes the shape of the teacher's.
    """

    weight: float = 0.5
    hard: float = 0.5
    passes: int = 30
    temperature: float = 5.0
    percentile: float = 90.0
    detach: bool = True
    cosine: bool = False
    as_released: bool = False
    student_feature: str | None = None
    teacher_feature: str | None = None
    map: str = "auto"

    paper: ClassVar[str] = "Aslam, Martinez et al., student-guided distillation (SSD), ECML PKDD 2025"
    year: ClassVar[int] = 2025
    needs: ClassVar[tuple[str, ...]] = ("features", "live teacher", "dropout in the teacher")
    faults: ClassVar[tuple[Fault, ...]] = (
        Fault(
            "Dropout is switched on in no layer that the teacher has, so all passes are the same and a plain distance "
            "between features is left.",
            "as_released: true",
        ),
        Fault("A gradient flows through the weights of the passes as well.", "detach: false"),
        Fault("The student stays in evaluation mode after the first epoch; here every epoch trains."),
    )

    def stages(self, site: Site) -> Stages:
        """Return the arm, with the teacher beside it."""
        given = {
            "weight": self.weight,
            **summaries(self, site),
            "map": self.map,
            "partner": site.rich.stage,
            "passes": self.passes,
            "temperature": self.temperature,
            "percentile": self.percentile,
            "detach": self.detach,
            "cosine": self.cosine,
            "as_released": self.as_released,
        }
        partner = live(site.rich, learns="frozen", dropout=not self.as_released)
        return {site.name: site.student.as_stage(loss=losses(hard=self.hard, stochastic=given), partners=partner)}


def peers(site: Site, count: int) -> dict[str, Stage]:
    """Return networks that learn beside the student: one that reads what the teacher reads, and others like it."""
    whole("peers", count, 1)
    like = None if site.teacher is None else {key: site.teacher.definition[key] for key in ("model", "inputs")}
    first: dict[str, Stage] = {"rich": like} if like is not None else {"peer": {}}
    return first | {f"peer_{number + 2}": {} for number in range(count - 1)}


@RECIPES.register("dml")
@dataclass(frozen=True)
class DML(Recipe):
    """Networks learn together, each from labels and from what the others say of the same windows.

    With a teacher in the study the student's peer has its model and reads its sensors, but has learned nothing before;
    without one the peers are like the student. The student alone is kept.

    Parameters
    ----------
    weight : float
        Of what they learn from each other, and of all that the peers learn.
    hard : float
        Of the labels, for every network.
    temperature : float
        Of what they say to each other.
    peers : int
        Networks beside the student; with a teacher one of them is of its kind.
    average : bool
        Whether the divergences from several peers are averaged; where they are added up, as in the reference code, all
        windows weigh the same, too.
    """

    weight: float = 1.0
    hard: float = 1.0
    temperature: float = 1.0
    peers: int = 1
    average: bool = True

    paper: ClassVar[str] = "Zhang, Xiang, Hospedales and Lu, Deep mutual learning, CVPR 2018"
    year: ClassVar[int] = 2018
    takes_teacher: ClassVar[Literal["needed", "optional", "none"]] = "optional"
    needs: ClassVar[tuple[str, ...]] = ("live peers",)
    faults: ClassVar[tuple[Fault, ...]] = (
        Fault("The reference code adds the divergences of several peers up.", "average: false"),
    )

    def stages(self, site: Site) -> Stages:
        """Return the arm, with its peers."""
        beside = peers(site, self.peers)
        given = {
            "weight": self.weight,
            "partner": list(beside),
            "temperature": self.temperature,
            "hard": self.hard,
            "average": self.average,
            "balanced": None if self.average else False,
        }
        return {site.name: site.student.as_stage(loss=losses(hard=self.hard, mutual=given), partners=beside)}


@RECIPES.register("one")
@dataclass(frozen=True)
class ONE(Recipe):
    """Networks learn together from an ensemble of themselves, put together by a gate that learns, too.

    With a teacher in the study one of them has its model and reads its sensors; otherwise all are like the student,
    which alone is kept.

    Parameters
    ----------
    weight : float
        Of what they learn from the ensemble, and of all that ensemble and peers learn.
    hard : float
        Of the labels, for every network.
    temperature : float
        Of the ensemble's answers.
    peers : int
        Networks beside the student.
    """

    weight: float = 1.0
    hard: float = 1.0
    temperature: float = 3.0
    peers: int = 2

    paper: ClassVar[str] = "Lan, Zhu and Gong, Knowledge distillation by on-the-fly native ensemble, NeurIPS 2018"
    year: ClassVar[int] = 2018
    takes_teacher: ClassVar[Literal["needed", "optional", "none"]] = "optional"
    needs: ClassVar[tuple[str, ...]] = ("live peers",)

    def stages(self, site: Site) -> Stages:
        """Return the arm, with its peers."""
        beside = peers(site, self.peers)
        given = {
            "weight": self.weight,
            "partner": list(beside),
            "temperature": self.temperature,
            "hard": self.hard,
        }
        return {site.name: site.student.as_stage(loss=losses(hard=self.hard, one=given), partners=beside)}


@RECIPES.register("mean_teacher")
@dataclass(frozen=True)
class MeanTeacher(Recipe):
    """The student is to answer as its own slow average does, however a window is changed.

    Nobody reads more than the student: what is learned from unlabelled windows is that changes which mean nothing
    change nothing. The average is what predicts in the end. As published, the network sees every window changed once,
    for the labels and for the average alike, and the average sees it changed otherwise. Other than published, the
    average keeps the same share of itself from the first step to the last.

    What learns alone sees windows changed in the same way and predicts with the same average, so that neither is taken
    for teaching.

    Parameters
    ----------
    weight : float
        Of the squared distance between the probabilities (or values), once the ramp is over.
    hard : float
        Of the labels.
    momentum : float
        Share of itself that the average keeps in a step.
    ramp : float
        Share of the training over which the weight rises.
    augment : str or mapping or None
        How windows are changed; by default as the student says, or else by what suits each sensor.
    """

    weight: float = 10.0
    hard: float = 1.0
    momentum: float = 0.99
    ramp: float = 0.2
    augment: Any = None

    paper: ClassVar[str] = "Tarvainen and Valpola, Mean teachers are better role models, NeurIPS 2017"
    year: ClassVar[int] = 2017
    takes_teacher: ClassVar[Literal["needed", "optional", "none"]] = "none"
    controls: ClassVar[tuple[str, ...]] = ()

    def stages(self, site: Site) -> Stages:
        """Return the arm with its average, and what learns alone with one."""
        agreeing = {"weight": self.weight, "partner": "average", "sight": "plain", "ramp": self.ramp}
        kept = {
            "partners": {"average": {"learns": "average", "momentum": self.momentum}},
            "predict_with": "average",
            "augment": self.augment or site.student.definition.get("augment") or "default",
        }
        return {
            site.called("alone"): site.student.as_stage(loss=losses(hard=self.hard), **copy.deepcopy(kept)),
            site.name: site.student.as_stage(loss=losses(hard=self.hard, consistency=agreeing), **kept),
        }
