"""Recipes of several trainings, one after the other."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from limbeck.distillation.contract import whole
from limbeck.distillation.recipes.contract import (
    RECIPES,
    Fault,
    Recipe,
    Site,
    Stage,
    Stages,
    losses,
    reads_many,
)
from limbeck.distillation.recipes.logits import soft
from limbeck.errors import LimbeckError

__all__ = ["DGKD", "TAKD", "BornAgain", "DistilThenTransfer", "NoisyStudent", "Snapshot", "TransferThenDistil"]


def assistants(site: Site, given: Any) -> Stages:
    """Return networks between teacher and student, the largest first, without loss and teacher.

    Raises
    ------
    LimbeckError
        When what is given is no list of networks, or none is given and none can be made up.
    """
    if given is not None:
        if not isinstance(given, Sequence) or isinstance(given, str) or not given:
            raise LimbeckError(f"assistants: expected a list of {{model, inputs}}, found {given!r}.")
        wrong = [one for one in given if not isinstance(one, Mapping) or not {"model", "inputs"} <= set(one)]
        if wrong:
            raise LimbeckError(f"assistants: each has a model and inputs; found {wrong[0]!r}.")
        return {site.called(f"assistant_{k + 1}"): copy.deepcopy(dict(one)) for k, one in enumerate(given)}
    name, student, teacher = site.called("assistant_1"), site.student, site.rich
    if reads_many(student.model, len(teacher.inputs)):
        return {name: student.as_stage(inputs=copy.deepcopy(teacher.definition["inputs"]))}
    if reads_many(teacher.model, len(student.inputs)):
        return {name: teacher.as_stage(inputs=copy.deepcopy(student.definition["inputs"]))}
    raise LimbeckError(
        f"assistants: neither can '{student.model}' read what the teacher reads nor '{teacher.model}' what the student "
        "reads; say who stands between them: assistants: [{model: MODEL, inputs: [...]}]."
    )


@RECIPES.register("takd")
@dataclass(frozen=True)
class TAKD(Recipe):
    """A chain of assistants carries the knowledge from the teacher to the student, each taught by the one before.

    Unless assistants are given there is one: the student's network with the teacher's sensors, or, where it cannot read
    these, the teacher's network with the student's.

    Parameters
    ----------
    weight : float
        Of the soft targets, at every step of the chain.
    hard : float
        Of the labels.
    temperature : float
        Of the soft targets.
    assistants : list of {model, inputs}, optional
        From the teacher to the student; one by default, as said above.
    """

    weight: float = 0.5
    hard: float = 0.5
    temperature: float = 4.0
    assistants: Any = None

    paper: ClassVar[str] = (
        "Mirzadeh, Farajtabar, Li, Levine, Matsukawa and Ghasemzadeh, Improved knowledge distillation via teacher "
        "assistant, AAAI 2020"
    )
    year: ClassVar[int] = 2020

    def stages(self, site: Site) -> Stages:
        """Return the assistants and the arm."""
        loss = losses(hard=self.hard, soft=soft(site, self.weight, self.temperature))
        chain, before = {}, site.rich.stage
        for name, network in assistants(site, self.assistants).items():
            chain[name] = {**network, "taught_by": before, "loss": copy.deepcopy(loss)}
            before = name
        return {**chain, **site.taught(loss, by=before)}


@RECIPES.register("dgkd")
@dataclass(frozen=True)
class DGKD(Recipe):
    """Assistants as in a chain, but each, and the student, learns from all that stand above.

    In every step each of these teachers is left out by chance, so that no error of one is carried down the chain. The
    first assistant has one teacher, who is never left out.

    Parameters
    ----------
    weight : float
        Of the soft targets of all teachers together.
    hard : float
        Of the labels.
    temperature : float
        Of the soft targets.
    drop : float
        Chance of a teacher to be left out of a step, where there are several.
    assistants : list of {model, inputs}, optional
        From the teacher to the student; as in ``takd`` by default.
    as_published : bool
        Whether the divergence is taken the other way round, without the temperature squared and with all windows
        weighing the same.
    """

    weight: float = 0.5
    hard: float = 0.5
    temperature: float = 2.0
    drop: float = 0.5
    assistants: Any = None
    as_published: bool = False

    paper: ClassVar[str] = (
        "Son, Na, Choi and Hwang, Densely guided knowledge distillation using multiple teacher assistants, ICCV 2021"
    )
    year: ClassVar[int] = 2021
    faults: ClassVar[tuple[Fault, ...]] = (
        Fault(
            "The released code swaps the arguments of the divergence and leaves out the temperature squared.",
            "as_published: true",
        ),
    )

    def stages(self, site: Site) -> Stages:
        """Return the assistants and the arm."""
        above, chain = [site.rich.stage], {}
        for name, network in assistants(site, self.assistants).items():
            chain[name] = {**network, "taught_by": list(above), "loss": self._loss(site, len(above))}
            above.append(name)
        return {**chain, **site.taught(self._loss(site, len(above)), by=above)}

    def _loss(self, site: Site, teachers: int) -> Stage:
        """Return the loss of who has so many teachers; leaving out the only one would leave steps without any."""
        parity = {"reverse": True, "t_squared": False, "balanced": False} if self.as_published else {}
        dense = soft(site, self.weight, self.temperature, **parity)
        return losses(hard=self.hard, dense={**dense, "drop": self.drop if teachers > 1 else 0.0})


@RECIPES.register("born_again")
@dataclass(frozen=True)
class BornAgain(Recipe):
    """A network is taught by one that is just like it, generation after generation.

    The first teacher is the student that learned alone. Nobody reads more than the student: what helps is that soft
    targets are softer than labels.

    Parameters
    ----------
    generations : int
        Students that are taught.
    weight : float
        Of the soft targets.
    hard : float
        Of the labels.
    temperature : float
        Of the soft targets.
    """

    generations: int = 3
    weight: float = 0.5
    hard: float = 0.5
    temperature: float = 4.0

    paper: ClassVar[str] = "Furlanello, Lipton, Tschannen, Itti and Anandkumar, Born-again neural networks, ICML 2018"
    year: ClassVar[int] = 2018
    takes_teacher: ClassVar[Literal["needed", "optional", "none"]] = "none"
    controls: ClassVar[tuple[str, ...]] = ("scrambled",)

    def stages(self, site: Site) -> Stages:
        """Return the generations; the last is the arm."""
        whole("generations", self.generations, 1)
        loss = losses(hard=self.hard, soft=soft(site, self.weight, self.temperature))
        names = [site.called(str(number + 1)) for number in range(self.generations - 1)] + [site.name]
        teachers = [site.student.stage, *names[:-1]]
        return {
            name: site.student.as_stage(taught_by=teacher, loss=copy.deepcopy(loss))
            for name, teacher in zip(names, teachers, strict=True)
        }


@RECIPES.register("snapshot")
@dataclass(frozen=True)
class Snapshot(Recipe):
    """One training in cycles: in each, the network goes on from where it was and learns from what it was.

    The learning rate falls to zero in a cycle and begins anew. A cycle is never cut short: what it ends with is kept,
    whatever the study says of patience and selection. What learns alone goes through the same cycles without teaching.
    Only the teacher's answers are softened, as published.

    Parameters
    ----------
    cycles : int
        At least 2; the first has no teacher.
    weight : float
        Of the soft targets.
    hard : float
        Of the labels.
    temperature : float
        By which the teacher's logits are divided.
    epochs : int or None
        Of a cycle; as many as the study's stages have by default.
    """

    cycles: int = 3
    weight: float = 1.0
    hard: float = 1.0
    temperature: float = 2.0
    epochs: int | None = None

    paper: ClassVar[str] = "Yang, Xie, Su and Yuille, Snapshot distillation: teacher-student optimization, CVPR 2019"
    year: ClassVar[int] = 2019
    takes_teacher: ClassVar[Literal["needed", "optional", "none"]] = "none"
    controls: ClassVar[tuple[str, ...]] = ("scrambled",)

    def stages(self, site: Site) -> Stages:
        """Return the cycles, and the same without teaching."""
        whole("cycles", self.cycles, 2)
        uncut = {"schedule": "cosine", "patience": None, "select": "last"}
        training = {**dict(site.student.definition.get("training") or {}), **uncut}
        if self.epochs is not None:
            training["epochs"] = self.epochs
        loss = losses(hard=self.hard, soft=soft(site, self.weight, self.temperature, student_temperature=1.0))
        first = site.called("1")
        made = {first: site.student.as_stage(training=training)}
        taught, alone = first, first
        for number in range(2, self.cycles + 1):
            last = number == self.cycles
            taught_now = site.name if last else site.called(str(number))
            alone_now = site.called("alone" if last else f"alone_{number}")
            made[alone_now] = site.student.as_stage(training=dict(training), start=alone)
            made[taught_now] = site.student.as_stage(
                training=dict(training), start=taught, taught_by=taught, loss=copy.deepcopy(loss)
            )
            taught, alone = taught_now, alone_now
        return made


@RECIPES.register("noisy_student")
@dataclass(frozen=True)
class NoisyStudent(Recipe):
    """A teacher labels what has no labels, a student learns it with noise, and becomes the next teacher.

    Only windows whose label is hidden and of which the teacher is sure are added, and what is kept of each decision
    weighs the same in sum; the soft targets are not weighed by class once more. The student's windows are changed by
    chance, the teacher's are not; what learns alone has the same changes, so that they are not taken for teaching.
    Further noise is the dropout of the student's model.

    Parameters
    ----------
    rounds : int
        Students, one after the other.
    weight : float
        Of the soft targets on unlabelled windows.
    hard : float
        Of the labels.
    temperature : float
        Of the soft targets.
    confidence : float or None
        Least probability of a decision that is kept; with two classes anything is above a half.
    share : float or None
        Share of the unlabelled windows that are kept instead, the surest, of each decision as many.
    augment : str or mapping
        How the student's windows are changed.
    """

    rounds: int = 3
    weight: float = 1.0
    hard: float = 1.0
    temperature: float = 1.0
    confidence: float | None = 0.3
    share: float | None = None
    augment: Any = "default"

    paper: ClassVar[str] = (
        "Xie, Luong, Hovy and Le, Self-training with noisy student improves ImageNet classification, CVPR 2020"
    )
    year: ClassVar[int] = 2020
    needs: ClassVar[tuple[str, ...]] = ("unlabelled windows",)
    kinds: ClassVar[tuple[str, ...]] = ("class",)

    def stages(self, site: Site) -> Stages:
        """Return the students, the last of which is the arm, and one that learns alone with the same noise."""
        whole("rounds", self.rounds, 1)
        kept = {"confidence": self.confidence} if self.share is None else {"share": self.share}
        knowledge = {**kept, "balance": True} if any(value is not None for value in kept.values()) else None
        # Balanced by decision already: class weights on top would turn an imbalance round.
        once = {} if knowledge is None else {"balanced": False}
        loss = losses(hard=self.hard, soft=soft(site, self.weight, self.temperature, on="unlabelled", **once))
        names = [site.called(str(number + 1)) for number in range(self.rounds - 1)] + [site.name]
        made = {site.called("alone"): site.student.as_stage(augment=self.augment)}
        for name, teacher in zip(names, [site.rich.stage, *names[:-1]], strict=True):
            made[name] = site.student.as_stage(
                augment=self.augment, taught_by=teacher, knowledge=knowledge, loss=copy.deepcopy(loss)
            )
        return made


Targets = Literal["hard", "soft", "custom"]


@dataclass(frozen=True)
class _Answers:
    """What a student of the fear programmes learns of its teacher's answers."""

    targets: Targets
    alpha: float
    temperature: float
    as_published: bool

    def loss(self, site: Site) -> Stage:
        if self.targets == "hard":
            return losses(hard=1.0, pseudo={"weight": 1.0, "on": "unlabelled"})
        if self.targets == "soft":
            return losses(soft_ce={"temperature": 1.0})
        parity = {"of_probabilities": True, "t_squared": False, "balanced": False} if self.as_published else {}
        return losses(hard=self.alpha, soft=soft(site, 1.0 - self.alpha, self.temperature, **parity))


def _checked(recipe: Any, site: Site) -> _Answers:
    """Return what a fear programme teaches, after its options are checked."""
    mistakes = []
    if recipe.source is None:
        mistakes.append(
            "source: the target of the backbone is needed, as a target of a study is written: its name, or "
            "{name: valence, ratings: valence, threshold: 5}."
        )
    if recipe.targets not in ("hard", "soft", "custom"):
        mistakes.append(f"targets: expected hard, soft or custom, found {recipe.targets!r}.")
    if not isinstance(recipe.alpha, int | float) or not 0 <= recipe.alpha < 1:
        mistakes.append(f"alpha: expected a number of at least 0 and below 1, found {recipe.alpha!r}.")
    if site.rich.written:
        mistakes.append(
            f"teacher: the backbone is trained before it, so write the network itself instead of the stage "
            f"'{site.rich.stage}'."
        )
    if mistakes:
        raise LimbeckError("\n".join(mistakes))
    return _Answers(recipe.targets, recipe.alpha, recipe.temperature, recipe.as_published)


_FEAR_FAULTS = (
    Fault(
        "The custom loss takes the softmax of probabilities and has no temperature squared, so its soft part is tiny.",
        "as_published: true",
    ),
    Fault(
        "Windows that overlap by 94 % of themselves lie in training and test; a study here splits subjects.",
    ),
    Fault("The scaler is fitted again on the test windows; a study here has three named modes, none of which does."),
)
_FEAR = "No paper: transfer learning with distillation for levels of fear on DEAP and ASCERTAIN, known from slides"


@RECIPES.register("tlkd_method1")
@dataclass(frozen=True)
class TransferThenDistil(Recipe):
    """Transfer, then distil: a backbone learns another target first, becomes the teacher, and teaches the student.

    The backbone has the teacher's network and sensors; its last layer is replaced and all of it is trained on.

    Parameters
    ----------
    source : str or mapping
        The backbone's target, as a study writes one: its name, or a mapping such as {name: valence, ratings: valence,
        threshold: 5}. It has to be given.
    targets : {"custom", "soft", "hard"}
        Labels and soft targets mixed; soft targets alone, as cross-entropy; labels alone, and where these are hidden
        the teacher's decisions.
    alpha : float
        Of ``custom``: weight of the labels, the rest being that of the soft targets.
    temperature : float
        Of ``custom``.
    head : str
        The part of the teacher that is replaced.
    as_published : bool
        Of ``custom``: whether the softened softmax is taken of probabilities, without the temperature squared and with
        all windows weighing the same.
    """

    source: Any = None
    targets: Targets = "custom"
    alpha: float = 0.5
    temperature: float = 2.0
    head: str = "head"
    as_published: bool = False

    paper: ClassVar[str] = _FEAR
    needs: ClassVar[tuple[str, ...]] = ("source target",)
    kinds: ClassVar[tuple[str, ...]] = ("class",)
    faults: ClassVar[tuple[Fault, ...]] = _FEAR_FAULTS
    example: ClassVar[Stage] = {
        "source": {"name": "valence", "ratings": "valence", "threshold": 5},
        "teacher": {"model": "fear_cnn", "inputs": ["eeg", "eda"]},
        "student": {"model": "fear_student", "inputs": ["eda"]},
    }

    def stages(self, site: Site) -> Stages:
        """Return the backbone, the teacher that starts from it, and the arm."""
        answers = _checked(self, site)
        backbone, teacher = site.called("backbone"), site.called("teacher")
        return {
            backbone: site.rich.as_stage(target=copy.deepcopy(self.source)),
            teacher: site.rich.as_stage(start={"stage": backbone, "reset": [self.head]}),
            **site.taught(answers.loss(site), by=teacher),
        }


@RECIPES.register("tlkd_method2")
@dataclass(frozen=True)
class DistilThenTransfer(Recipe):
    """Distil, then transfer: a backbone teaches another target to the student, which then learns the one in question.

    Parameters
    ----------
    source : str or mapping
        The target of the backbone and of the student's first training, as a study writes one: its name, or a mapping
        such as {name: valence, ratings: valence, threshold: 5}. It has to be given.
    targets : {"custom", "soft", "hard"}
        Labels and soft targets mixed; soft targets alone, as cross-entropy; labels alone, and where these are hidden
        the backbone's decisions.
    alpha : float
        Of ``custom``: weight of the labels, the rest being that of the soft targets.
    temperature : float
        Of ``custom``.
    head : str
        The part of the student that is replaced between the two.
    as_published : bool
        Of ``custom``: whether the softened softmax is taken of probabilities, without the temperature squared and with
        all windows weighing the same.
    """

    source: Any = None
    targets: Targets = "custom"
    alpha: float = 0.5
    temperature: float = 2.0
    head: str = "head"
    as_published: bool = False

    paper: ClassVar[str] = _FEAR
    needs: ClassVar[tuple[str, ...]] = ("source target",)
    kinds: ClassVar[tuple[str, ...]] = ("class",)
    faults: ClassVar[tuple[Fault, ...]] = _FEAR_FAULTS
    example: ClassVar[Stage] = TransferThenDistil.example

    def stages(self, site: Site) -> Stages:
        """Return the backbone, the student that it teaches, and the arm that starts from it."""
        answers = _checked(self, site)
        backbone, pupil = site.called("backbone"), site.called("source_student")
        target = copy.deepcopy(self.source)
        return {
            backbone: site.rich.as_stage(target=target),
            pupil: site.student.as_stage(target=copy.deepcopy(target), taught_by=backbone, loss=answers.loss(site)),
            site.name: site.student.as_stage(start={"stage": pupil, "reset": [self.head]}),
        }
