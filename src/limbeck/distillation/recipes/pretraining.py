"""Recipes that learn from windows without any label first, and recipes of whole systems with several answers."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from limbeck.distillation.recipes.contract import RECIPES, Fault, Party, Recipe, Site, Stage, Stages, losses
from limbeck.distillation.recipes.features import summaries
from limbeck.distillation.recipes.logits import soft
from limbeck.errors import LimbeckError

__all__ = ["HKDMER", "SDT", "XKD", "Contrastive", "Masked"]


def pretrained(site: Site, pretext: str, options: Stage, loss: Stage, head: str) -> Stages:
    """Return student and, where there is one, teacher, pre-trained; the teacher fine-tuned, the student taught.

    Parameters
    ----------
    site : Site
        Where.
    pretext : str
        A loss that needs no labels and reads one `feature`.
    options : dict
        Its options; the feature is by default the one that the head reads.
    loss : dict
        How the student is taught; without a teacher it learns from labels alone.
    head : str
        What begins anew after the pre-training.
    """

    def first_loss(party: Party) -> Stage:
        feature = {} if "feature" in options else {"feature": party.summary()}
        return {pretext: {**options, **feature}}

    first = site.called("pretext")
    made = {first: site.student.as_stage(loss=first_loss(site.student))}
    start = {"stage": first, "reset": [head]}
    if site.teacher is None:
        return {**made, site.name: site.student.as_stage(start=start)}
    if site.teacher.written:
        return {**made, **site.taught(loss, start=start)}
    rich, teacher = site.called("rich_pretext"), site.called("teacher")
    made[rich] = site.teacher.as_stage(loss=first_loss(site.teacher))
    made[teacher] = site.teacher.as_stage(start={"stage": rich, "reset": [head]})
    return {**made, **site.taught(loss, by=teacher, start=start)}


@RECIPES.register("masked")
@dataclass(frozen=True)
class Masked(Recipe):
    """Networks first fill in what is hidden of the windows, then learn the labels, then the one teaches the other.

    Student and teacher each learn by windows of training subjects, labelled or not; without a teacher the student is
    fine-tuned on the labels. A teacher that is a stage of the user is not pre-trained again.

    Parameters
    ----------
    weight : float
        Of the soft targets.
    hard : float
        Of the labels.
    temperature : float
        Of the soft targets.
    options : mapping, optional
        Of the loss ``reconstruct``.
    head : str
        What begins anew after the pre-training.
    """

    weight: float = 0.9
    hard: float = 0.1
    temperature: float = 4.0
    options: Any = None
    head: str = "head"

    paper: ClassVar[str] = "He, Chen, Xie, Li, Dollár and Girshick, Masked autoencoders are scalable, CVPR 2022"
    year: ClassVar[int] = 2022
    takes_teacher: ClassVar[Literal["needed", "optional", "none"]] = "optional"
    needs: ClassVar[tuple[str, ...]] = ("signals",)

    def stages(self, site: Site) -> Stages:
        """Return the pre-training, the teacher and the arm."""
        loss = losses(hard=self.hard, soft=soft(site, self.weight, self.temperature))
        return pretrained(site, "reconstruct", dict(self.options or {}), loss, self.head)


@RECIPES.register("contrastive")
@dataclass(frozen=True)
class Contrastive(Recipe):
    """Networks first learn to tell whether two changed windows were one, then labels, then the one teaches the other.

    Student and teacher each learn by windows of training subjects, labelled or not; without a teacher the student is
    fine-tuned on the labels. A teacher that is a stage of the user is not pre-trained again.

    Parameters
    ----------
    weight : float
        Of the soft targets.
    hard : float
        Of the labels.
    temperature : float
        Of the soft targets.
    options : mapping, optional
        Of the loss ``contrast``.
    head : str
        What begins anew after the pre-training.
    """

    weight: float = 0.9
    hard: float = 0.1
    temperature: float = 4.0
    options: Any = None
    head: str = "head"

    paper: ClassVar[str] = (
        "Chen, Kornblith, Norouzi and Hinton, A simple framework for contrastive learning (SimCLR), ICML 2020"
    )
    year: ClassVar[int] = 2020
    takes_teacher: ClassVar[Literal["needed", "optional", "none"]] = "optional"
    needs: ClassVar[tuple[str, ...]] = ("features",)

    def stages(self, site: Site) -> Stages:
        """Return the pre-training, the teacher and the arm."""
        loss = losses(hard=self.hard, soft=soft(site, self.weight, self.temperature))
        return pretrained(site, "contrast", dict(self.options or {}), loss, self.head)


@RECIPES.register("xkd")
@dataclass(frozen=True)
class XKD(Recipe):
    """Two masked autoencoders learn to fill in, from each other across sensors, and to lie in one space; then labels.

    Before any label: student and a network with the rich sensors fill in what is hidden, each is to answer as the slow
    average of the other does, and their features are to have one distribution. Then the rich network is fine-tuned and
    teaches the student, which starts from the same pre-training.

    Other than published: the local views of the students are left out; the averages keep the same share of themselves
    from the first step to the last, where it grows to 1 in the paper; and a network without patches fills in from a
    feature and has no attention that its average's tokens could be weighed by.

    Parameters
    ----------
    weight : float
        Of the soft targets.
    hard : float
        Of the labels.
    temperature : float
        Of the soft targets.
    options : mapping, optional
        Of the loss ``xkd``.
    head : str
        What begins anew after the pre-training.
    as_released : bool
        Whether attention crosses the sensors by a number per head only, and the alignment is halved.
    student_feature, teacher_feature : str or None
        Which features; by default those that the heads read.
    """

    weight: float = 0.9
    hard: float = 0.1
    temperature: float = 4.0
    options: Any = None
    head: str = "head"
    as_released: bool = False
    student_feature: str | None = None
    teacher_feature: str | None = None

    paper: ClassVar[str] = (
        "Sarkar and Etemad, XKD: cross-modal knowledge distillation with domain alignment for video representation "
        "learning, AAAI 2024"
    )
    year: ClassVar[int] = 2024
    needs: ClassVar[tuple[str, ...]] = ("signals", "live peers")
    faults: ClassVar[tuple[Fault, ...]] = (
        Fault(
            "The alignment of the two averages is taken without gradient, so it is a constant that halves the "
            "students' part, and of the attention across sensors a single number per head passes.",
            "as_released: true",
        ),
    )
    example: ClassVar[Stage] = {
        "teacher": {"model": "masked_autoencoder", "inputs": ["eeg", "eda"]},
        "student": {"model": "masked_autoencoder", "inputs": ["eda"]},
    }

    def stages(self, site: Site) -> Stages:
        """Return the pre-training, the teacher that starts from it, and the arm."""
        rich = site.rich
        first, teacher = site.called("pretext"), site.called("teacher")
        beside = {
            "other": {key: copy.deepcopy(rich.definition[key]) for key in ("model", "inputs")},
            "average": {"learns": "average"},
            "other_average": {"learns": "average", "of": "other"},
        }
        loss = losses(hard=self.hard, soft=soft(site, self.weight, self.temperature))
        given = {**summaries(self, site), **dict(self.options or {}), "as_released": self.as_released or None}
        return {
            first: site.student.as_stage(loss=losses(xkd=given), partners=beside),
            teacher: rich.as_stage(start={"stage": first, "partner": "other", "reset": [self.head]}),
            **site.taught(loss, by=teacher, start={"stage": first, "reset": [self.head]}),
        }


@RECIPES.register("sdt")
@dataclass(frozen=True)
class SDT(Recipe):
    """A transformer over several sensors teaches itself, the whole its parts, and then teaches the student.

    The teacher is ``sdt`` whatever network stands under teacher: its own answer is learned from labels, and every
    sensor's answer from labels and from the whole.

    Other than published: there, the steps are the utterances of a dialogue, each with an answer; here they are spans
    within a window, which has one answer. A window as long as a trial (``windows.length``) makes them spans of the
    trial; as all windows are then of one length, nothing is padded and no step has to be masked.

    Parameters
    ----------
    weight : float
        Of the soft targets of the student.
    hard : float
        Of the student's labels.
    temperature : float
        Of these soft targets.
    own_hard, own_soft : float
        Within the teacher: of the labels, and of the whole's answer, for every sensor.
    own_temperature : float
        Within the teacher; published are 1 and 8.
    detach_teacher : bool
        Whether the whole's answer is held fixed for its parts.
    t_squared : bool
        Whether what the parts learn of the whole is multiplied by the temperature squared. Without it, or without
        `detach_teacher`, all windows weigh the same in what the parts learn of the whole, as published.
    """

    weight: float = 0.9
    hard: float = 0.1
    temperature: float = 4.0
    own_hard: float = 1.0
    own_soft: float = 1.0
    own_temperature: float = 1.0
    detach_teacher: bool = True
    t_squared: bool = True

    paper: ClassVar[str] = (
        "Ma, Wang, Lin, Zhang, Zhang and Xu, A transformer-based model with self-distillation for multimodal emotion "
        "recognition in conversations, IEEE Transactions on Multimedia 26, 2024"
    )
    year: ClassVar[int] = 2024
    needs: ClassVar[tuple[str, ...]] = ("several modalities", "signals")
    faults: ClassVar[tuple[Fault, ...]] = (
        Fault("A gradient flows from the parts into the whole that teaches them.", "detach_teacher: false"),
        Fault("The temperature squared is left out.", "t_squared: false"),
        Fault("The best of all epochs is chosen on the test data, and no share is kept for validation."),
    )
    example: ClassVar[Stage] = {
        "teacher": {"model": "sdt", "inputs": ["eeg", "eda"]},
        "student": {"model": "student_cnn", "inputs": ["eda"]},
    }

    def stages(self, site: Site) -> Stages:
        """Return the teacher that teaches itself, and the arm."""
        rich = site.rich
        if len(rich.inputs) < 2:
            raise LimbeckError("teacher.inputs: the parts of the teacher are its modalities; it needs two or more.")
        teacher = site.called("teacher")
        own = {
            "hard": self.own_hard,
            "soft": self.own_soft,
            "temperature": self.own_temperature,
            "t_squared": self.t_squared,
            "detach_teacher": self.detach_teacher,
            "balanced": None if self.t_squared and self.detach_teacher else False,
        }
        loss = losses(hard=self.hard, soft=soft(site, self.weight, self.temperature))
        return {
            teacher: rich.as_stage(model=_answering(rich), loss=losses(hard=1.0, self_distil=own)),
            **site.taught(loss, by=teacher),
        }

    def teacher_model(self, site: Site) -> str:
        """Return ``sdt``."""
        return "sdt"


def _answering(party: Party) -> Stage:
    """Return the model ``sdt`` with an answer per modality, with the options of the party's if it is one."""
    model = party.definition.get("model")
    own = dict(model) if party.model == "sdt" and isinstance(model, dict) else {}
    return {**own, "name": "sdt", "answers": True}


@RECIPES.register("hkd_mer")
@dataclass(frozen=True)
class HKDMER(Recipe):
    """The dominant sensor's network and the student's learn together: features, answers, and their fusion by attention.

    Of the paper the parts are known, not the equations: this is a proposal in its spirit. The teacher of the study is
    the dominant network; it is not trained before. The student alone is kept.

    Other than published: there, a sample is an utterance of a dialogue; here it is a window, and a network that reads
    steps reads spans within it. A window as long as a trial (``windows.length``) makes them spans of the trial; as
    all windows are then of one length, nothing is padded and no step has to be masked.

    Parameters
    ----------
    weight : float
        Of all that is learned beside the student's labels.
    hard : float
        Of the labels, for every network and their fusion.
    feature : float
        Of the contrast between features.
    label : float
        Of the distance between answers.
    contrast : float
        Temperature of the contrast.
    temperature : float
        Of the answers.
    supervised : bool
        Whether labelled windows of one class are counterparts of each other.
    student_feature, teacher_feature : str or None
        Which features; by default those that the heads read.
    """

    weight: float = 1.0
    hard: float = 1.0
    feature: float = 0.5
    label: float = 0.5
    contrast: float = 0.1
    temperature: float = 2.0
    supervised: bool = False
    student_feature: str | None = None
    teacher_feature: str | None = None

    paper: ClassVar[str] = (
        "Sun et al., Muti-modal emotion recognition via hierarchical knowledge distillation, IEEE Transactions on "
        "Multimedia 26, 2024"
    )
    year: ClassVar[int] = 2024
    needs: ClassVar[tuple[str, ...]] = ("features", "live peers")
    faults: ClassVar[tuple[Fault, ...]] = (
        Fault("No code and no equations are public; numbers printed elsewhere cannot be compared with these."),
    )

    def stages(self, site: Site) -> Stages:
        """Return the arm, with the dominant network beside it."""
        given = {
            "weight": self.weight,
            "partner": "dominant",
            **summaries(self, site),
            "hard": self.hard,
            "feature": self.feature,
            "label": self.label,
            "contrast": self.contrast,
            "temperature": self.temperature,
            "supervised": self.supervised,
        }
        partner = {"dominant": {key: site.rich.definition[key] for key in ("model", "inputs")}}
        return {site.name: site.student.as_stage(loss=losses(hard=self.hard, joint_teacher=given), partners=partner)}
