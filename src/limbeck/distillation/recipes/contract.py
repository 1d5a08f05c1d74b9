"""What every recipe promises: options by name, and from two networks the stages that teach one by the other.

A recipe is a frozen dataclass below :class:`Recipe`, registered with ``@RECIPES.register(name)``; its fields are its
options. :meth:`Recipe.stages` returns stages as a study writes them, so that whatever a recipe does, a user could have
written. Options of losses and steps are handed on as they are: these check them.

A recipe writes the weight of each of its losses. Its defaults are those of the paper, or of the benchmark in common use
where the paper has none; a loss that is written by hand has its own default, which is 1 unless its paper gives the loss
a factor on its own scale, so that the two may differ. An option that brings a published loss back also takes the
classes' weights off the teacher's word (``balanced: false``): in the literature all windows weigh the same there.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from limbeck.distillation.contract import LOSSES
from limbeck.distillation.recipes.taps import MAP_FEATURES, SUMMARY_FEATURES
from limbeck.errors import LimbeckError
from limbeck.models.contract import MODELS, class_of
from limbeck.registry import Registry

__all__ = [
    "RECIPES",
    "Fault",
    "Party",
    "Recipe",
    "Site",
    "as_inputs",
    "losses",
    "reads_many",
    "without_defaults",
]

RECIPES: Registry = Registry("recipe")

Stage = dict[str, Any]
"""A stage as a study writes it."""

Stages = dict[str, Stage]
"""Stages by name, each behind those that it is like."""


class Fault(NamedTuple):
    """What is wrong in what was published, and how to have it nevertheless.

    Attributes
    ----------
    what : str
        The fault, and what happens here instead.
    option : str
        What brings it back, as written in a study; empty where nothing does.
    """

    what: str
    option: str = ""


@dataclass(frozen=True)
class Party:
    """A network that a recipe teaches or teaches with.

    Parameters
    ----------
    stage : str
        The stage that trains it on labels.
    definition : mapping of str to object
        That stage as it is written, with nothing inherited.
    written : bool
        Whether the user wrote that stage; a recipe's own stages stand above those, so they cannot be ``like`` it.
    """

    stage: str
    definition: Mapping[str, Any]
    written: bool = False

    @property
    def model(self) -> str:
        """Name of the model; empty where the definition has none that could be read."""
        model = self.definition.get("model")
        model = model.get("name") if isinstance(model, Mapping) else model
        return model if isinstance(model, str) else ""

    @property
    def inputs(self) -> dict[str, Any]:
        """What it reads: modality to channels, None for all."""
        inputs = self.definition.get("inputs")
        if isinstance(inputs, str):
            return {inputs: None}
        if isinstance(inputs, Mapping):
            return {str(name): channels for name, channels in inputs.items()}
        return {str(name): None for name in inputs} if isinstance(inputs, list) else {}

    def as_stage(self, **keys: Any) -> Stage:
        """Return a stage with this network and other keys; a key that is None is left out."""
        own = copy.deepcopy(dict(self.definition)) if self.written else {"like": self.stage}
        return {**own, **{key: value for key, value in keys.items() if value is not None}}

    def summary(self) -> str:
        """Return the feature that the network's head reads.

        Raises
        ------
        LimbeckError
            When the model has none, or none of a name that is known before it is built.
        """
        return _feature(self, SUMMARY_FEATURES, "summary of a window")

    def map(self) -> str:
        """Return a feature with an axis of time, channels first.

        Raises
        ------
        LimbeckError
            When the model has none.
        """
        return _feature(self, MAP_FEATURES, "map (channels, time)")


def _feature(party: Party, known: Mapping[str, str], what: str) -> str:
    if party.model in known:
        return known[party.model]
    if party.model in MODELS and class_of(party.model).family != "network":
        raise LimbeckError(
            f"'{party.model}' is fitted in one go and has no features to hand over, only probabilities; take a "
            "network, or a recipe that takes predictions (hinton)."
        )
    able = ", ".join(sorted(known))
    raise LimbeckError(
        f"no feature of '{party.model}' is known to be its {what}; name one by student_feature or teacher_feature "
        f"(limbeck models {party.model} lists them), or take one of {able}."
    )


@dataclass(frozen=True)
class Site:
    """Where a recipe is to stand.

    Parameters
    ----------
    name : str
        Of the arm; other stages of the recipe are called ``<name>_<what>``.
    student : Party
        Who is taught; its stage learns alone.
    teacher : Party or None
        Who teaches; None where the study names nobody.
    kind : {"class", "trace"}
        Of the target.
    """

    name: str
    student: Party
    teacher: Party | None = None
    kind: Literal["class", "trace"] = "class"

    def called(self, what: str) -> str:
        """Return the name of another stage of the recipe."""
        return f"{self.name}_{what}"

    @property
    def rich(self) -> Party:
        """The teacher.

        Raises
        ------
        LimbeckError
            When there is none.
        """
        if self.teacher is None:
            raise LimbeckError("a teacher is needed: teacher: {model: MODEL, inputs: [MODALITY, ...]}.")
        return self.teacher

    def taught(self, loss: Stage, *, by: str | list[str] | None = None, **keys: Any) -> dict[str, Stage]:
        """Return the arm: the student with this loss, taught by the teacher, or by stages that are named."""
        arm = self.student.as_stage(taught_by=self.rich.stage if by is None else by, loss=loss, **keys)
        return {self.name: arm}


@dataclass(frozen=True)
class Recipe:
    """A way of teaching from the literature; below it, one class per way.

    Attributes
    ----------
    paper : str
        Where it was published.
    year : int
        When.
    takes_teacher : {"needed", "optional", "none"}
        Whether it needs somebody who reads more than the student.
    needs : tuple of str
        What else it needs, as words.
    kinds : tuple of str
        Kinds of target that it knows.
    controls : tuple of str
        Credit controls that mean something for it.
    faults : tuple of Fault
        What is wrong in what was published.
    example : mapping
        What its help writes under ``distil`` otherwise than for other recipes: networks that suit it.
    """

    paper: ClassVar[str] = ""
    year: ClassVar[int] = 0
    takes_teacher: ClassVar[Literal["needed", "optional", "none"]] = "needed"
    needs: ClassVar[tuple[str, ...]] = ()
    kinds: ClassVar[tuple[str, ...]] = ("class", "trace")
    controls: ClassVar[tuple[str, ...]] = ("own_input", "scrambled")
    faults: ClassVar[tuple[Fault, ...]] = ()
    example: ClassVar[Mapping[str, Any]] = {}

    def stages(self, site: Site) -> Stages:
        """Return the stages by name, in the order of the study; the arm is called ``site.name``.

        The arm is compared with the stage of ``site.student``; where the recipe brings a stage ``<name>_alone``, with
        that one. The stages of student and teacher themselves are not among them.

        Raises
        ------
        LimbeckError
            When the recipe cannot stand here, a line per mistake.
        """
        raise NotImplementedError

    def controls_at(self, site: Site) -> tuple[str, ...]:
        """Return the credit controls that mean something for it here: none of a teacher that is not there."""
        return self.controls if site.teacher is not None or self.takes_teacher == "none" else ()

    def teacher_model(self, site: Site) -> str:
        """Return the model that reads the student's sensors in the control `own_input`; empty without a teacher."""
        return site.teacher.model if site.teacher is not None else ""

    @property
    def about(self) -> str:
        """The idea in one line."""
        return (type(self).__doc__ or "").strip().partition("\n")[0]


def as_inputs(view: Mapping[str, Any]) -> Any:
    """Return what a network reads as a study writes it: a list, unless channels are chosen."""
    return list(view) if all(channels is None for channels in view.values()) else dict(view)


TELLING = frozenset({"weight", "student", "teacher", "feature", "partner", "loss"})
"""Options that are written also where they are the default: how much of what, of whom."""


def without_defaults(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> Stage:
    """Return a copy of options without those that are None or what they are by default; the `TELLING` ones stay."""
    return {
        name: copy.deepcopy(value)
        for name, value in given.items()
        if value is not None and (name in TELLING or not _equal(value, defaults.get(name)))
    }


def _equal(value: Any, default: Any) -> bool:
    """Whether an option has its default; true is not 1."""
    return bool(value == default) and isinstance(value, bool) == isinstance(default, bool)


def losses(**terms: Any) -> Stage:
    """Return losses as a study writes them: a number is a weight, 0 leaves a loss out, and so does a weight of 0.

    Options that are None keep the loss's default, and what is the default is not written.
    """
    found: Stage = {}
    for name, given in terms.items():
        options = given
        if isinstance(given, Mapping):
            kind = str(given.get("loss", name))
            options = without_defaults(given, LOSSES.options(kind) if kind in LOSSES else {})
        weight = options.get("weight", 1) if isinstance(options, Mapping) else options
        if weight == 0 and not isinstance(weight, bool):
            continue
        found[name] = options
    return found


def reads_many(model: str, count: int) -> bool:
    """Whether a model can read so many modalities; True for a model that does not exist, which is told elsewhere."""
    if model not in MODELS:
        return True
    known = class_of(model)
    return known.min_modalities <= count and (known.max_modalities is None or count <= known.max_modalities)
