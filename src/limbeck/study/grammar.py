"""The grammar of a study: what a YAML file may say, as models that hold it once it is checked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveFloat, PositiveInt

from limbeck.distillation.contract import LOSSES, Loss, make_losses
from limbeck.distillation.controls import CREDIT
from limbeck.distillation.steps import Feedback, Joint, make_steps
from limbeck.models.classical import is_classical
from limbeck.protocols import FEWEST_FOR_VALIDATION
from limbeck.study.keys import combinations, set_key
from limbeck.targets import Target

__all__ = [
    "IN_MEMORY",
    "MOST_GROUPS",
    "CalibrationMode",
    "Comparison",
    "Data",
    "Engine",
    "Knowledge",
    "Partner",
    "Protocol",
    "Stage",
    "Start",
    "Study",
    "Training",
    "Variant",
]

MOST_GROUPS = 5
"""Groups of labelled subjects, at most, each of which judges once what was chosen without it."""

IN_MEMORY = "arrays"
"""The name of a corpus that is handed to a run instead of being read by it."""

Part = TypeVar("Part", bound=BaseModel)

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def as_list(value: Any) -> Any:
    """Read one name as a list of it, and nothing as an empty one."""
    return [] if value is None else [value] if isinstance(value, str) else value


def _as_optional_list(value: Any) -> Any:
    return None if value is None else as_list(value)


class Data(_Strict):
    """Which corpus, where it lies, options of its reader, and which subjects take part.

    `subjects` are names, or stretches such as ``S01..S12`` in the order of the corpus; all by default. The corpus
    ``arrays`` is handed to the run; `fingerprint` is then a hash of what it holds, as a run writes it.
    """

    corpus: str
    root: Path | None = None
    options: dict[str, Any] = {}
    subjects: Annotated[Annotated[list[str], Field(min_length=1)] | None, BeforeValidator(_as_optional_list)] = None
    fingerprint: str | None = None


class Windows(_Strict):
    """Length and hop of the windows in seconds."""

    length: PositiveFloat
    hop: PositiveFloat


class CalibrationMode(_Strict):
    """Normalisation by the earliest seconds of a named condition."""

    condition: str
    seconds: PositiveFloat
    short: Literal["leave_out", "train"] = "leave_out"


class Calibrated(_Strict):
    calibration: CalibrationMode


class Protocol(_Strict):
    """How subjects are divided: the split, its repetitions, seeds, validation and labelled subjects.

    With `minimum_quality`, by modality between 0 and 1, windows whose worst channel is below it are left out for all.
    """

    split: Literal["leave_one_subject_out"] | Annotated[int, Field(ge=2)] = "leave_one_subject_out"
    repetitions: Annotated[int, Field(gt=0, strict=True)] = 1
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = [0]
    validation: Annotated[int, Field(ge=0, strict=True)] | Annotated[float, Field(ge=0, lt=1)] = 0.2
    labelled: Literal["all"] | Annotated[int, Field(gt=0, strict=True)] = "all"
    seed: Annotated[int, Field(ge=0)] = 0
    minimum_quality: dict[str, Annotated[float, Field(ge=0, le=1, strict=True)]] = {}


class Training(_Strict):
    """How stages train; a stage may override single keys."""

    epochs: PositiveInt = 30
    batch: Annotated[int, Field(ge=2)] = 64
    labelled_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    learning_rate: PositiveFloat = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    schedule: Literal["constant", "cosine"] = "constant"
    clip: PositiveFloat | None = 1.0
    patience: PositiveInt | None = 10
    select: Literal["validation", "last", "test_best"] = "validation"


def as_mapping(value: Any) -> Any:
    """``name`` is short for ``{name: name}``."""
    return {"name": value} if isinstance(value, str) else value


def as_target(value: Any) -> Any:
    """Write the name of a known target as what it is short for, ``{preset: name}``."""
    return {"preset": value} if isinstance(value, str) else value


class Model(_Strict):
    """A model's name with its options."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str

    @property
    def options(self) -> dict[str, Any]:
        """What stands beside the name."""
        return dict(self.model_extra or {})


def as_view(value: Any) -> Any:
    """Read a list of modalities as a mapping without a choice of channels."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return dict.fromkeys(value)
    return value


def as_losses(value: Any) -> Any:
    """``loss: {soft: 0.5}`` is short for ``{soft: {weight: 0.5}}``; a list takes every default."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return {name: {} for name in value}
    if isinstance(value, dict):
        return {k: {"weight": v} if isinstance(v, int | float) else ({} if v is None else v) for k, v in value.items()}
    return value


def as_start(value: Any) -> Any:
    return {"stage": value} if isinstance(value, str) else value


class Start(_Strict):
    """The stage whose weights a stage starts from, and the parts (names of modules) that start anew.

    `partner` takes those of a partner of that stage instead of its own network's.
    """

    stage: str
    reset: list[str] = []
    partner: str | None = None


class Partner(_Strict):
    """A network that trains beside the one of a stage, and is left behind afterwards.

    It has the model and the inputs of `stage`, and with `start` its weights, or a `model` and `inputs` of its own; with
    neither it is like the network beside it. One that is called like a teacher of the stage stands for that teacher. An
    average follows the network of the stage, or the partner `of`.
    """

    stage: str | None = None
    model: Annotated[Model, BeforeValidator(as_mapping)] | None = None
    inputs: Annotated[dict[str, list[str] | None], BeforeValidator(as_view), Field(min_length=1)] | None = None
    start: bool = False
    learns: Literal["gradient", "average", "frozen"] = "gradient"
    dropout: bool = False
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.99
    of: str | None = None


class Knowledge(_Strict):
    """What is done to knowledge before it is taught.

    `combine` puts several teachers together; `calibrate` divides logits by a temperature that is fitted on validation
    subjects (or on cross-fitted labelled ones); `confidence` leaves out unlabelled windows of which the teachers are
    less sure, `share` keeps the surest share of each decision; with `balance` what is kept weighs alike by decision.
    """

    combine: Annotated[dict[str, Any], BeforeValidator(lambda v: {v: {}} if isinstance(v, str) else v)] = {
        "average": {}
    }
    calibrate: bool = False
    confidence: Annotated[float, Field(gt=0, lt=1)] | None = None
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    balance: bool = False

    @property
    def way(self) -> tuple[str, dict[str, Any]]:
        """Name and options of how teachers are combined."""
        ((name, options),) = self.combine.items()
        return name, dict(options or {})


class Stage(_Strict):
    """One training: this model, these inputs, taught by these stages, with these losses."""

    model: Annotated[Model, BeforeValidator(as_mapping)]
    inputs: Annotated[dict[str, list[str] | None], BeforeValidator(as_view), Field(min_length=1)]
    taught_by: Annotated[list[str], BeforeValidator(as_list)] = []
    knowledge: Knowledge = Knowledge()
    loss: Annotated[dict[str, dict[str, Any]], BeforeValidator(as_losses), Field(min_length=1)] = {"hard": {}}
    crossfit: Annotated[int, Field(ge=2)] | None = None
    start: Annotated[Start, BeforeValidator(as_start)] | None = None
    partners: dict[str, Partner] = {}
    steps: Annotated[dict[str, dict[str, Any]], BeforeValidator(as_losses)] | None = None
    predict_with: str | None = None
    augment: str | dict[str, Any] | None = None
    unlabelled: bool | None = None
    labelled: Literal["all"] | None = None
    without: list[str] = []
    target: Annotated[dict[str, Any], BeforeValidator(as_target)] | None = None
    training: dict[str, Any] = {}

    @property
    def losses(self) -> dict[str, dict[str, Any]]:
        """The losses with their kind and every option filled in."""
        return {
            name: {"loss": given.get("loss", name), **LOSSES.options(str(given.get("loss", name))), **given}
            for name, given in self.loss.items()
        }

    def made_losses(self) -> dict[str, Loss]:
        """Return the losses, not yet joined to a network."""
        return make_losses(self.loss)

    def made_steps(self) -> Joint | Feedback:
        """Return what a step of the training is."""
        return make_steps(self.steps)

    @property
    def cached_teachers(self) -> list[str]:
        """The teachers whose knowledge is handed over; the others are partners, which are asked at every step."""
        return [name for name in self.taught_by if name not in self.partners]

    @property
    def soft_temperatures(self) -> list[float]:
        """The different temperatures of the losses that take what teachers predict."""
        takes = [name for name, loss in self.made_losses().items() if loss.logits]
        found = [self.losses[name].get("temperature") for name in takes]
        return list(dict.fromkeys(float(value) for value in found if value is not None))

    @property
    def predicts(self) -> bool:
        """Whether it learns to predict the target; a stage that does not is trained to be started from."""
        return any(loss.trains_prediction for loss in self.made_losses().values())

    @property
    def learns_without_labels(self) -> bool:
        """Whether some loss learns from unlabelled windows."""
        return any(not loss.labels and loss.on != "labelled" for loss in self.made_losses().values())

    @property
    def filters(self) -> list[str]:
        """Which options of its knowledge leave out unlabelled windows."""
        return [key for key in ("confidence", "share") if getattr(self.knowledge, key) is not None]


class Comparison(_Strict):
    """What is compared: a taught arm with the arm that learned alone, and the controls."""

    taught: str
    alone: str
    controls: list[str] = list(CREDIT)
    diagnostics: list[str] = []


class Report(_Strict):
    """What is scored and how it is tested."""

    metric: str | None = None
    level: Literal["window", "trial"] = "window"
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    rope: Annotated[float, Field(ge=0, lt=0.5)] = 0.01

    def metric_for(self, kind: str) -> str:
        """Return the metric that verdicts are made on, for a target of classes or a trace."""
        return self.metric or ("balanced_accuracy" if kind == "class" else "ccc")


class Engine(_Strict):
    """How the work is done; nothing here changes a result by more than rounding."""

    backend: Literal["auto", "stacked", "looped"] = "auto"
    group: PositiveInt | None = None
    device: str = "cpu"


class Variant(_Strict):
    """A study without a sweep: everything that one plan of stages needs."""

    study: str
    question: str = ""
    data: Data
    target: Annotated[dict[str, Any], BeforeValidator(as_target)]
    signals: dict[str, list[Any]]
    live: bool = False
    windows: Windows
    normalise: Literal["train", "transductive"] | Calibrated = "train"
    clip: dict[str, PositiveFloat] = {}
    protocol: Protocol = Protocol()
    training: Training = Training()
    stages: Annotated[dict[str, Stage], Field(min_length=1)]
    choose: dict[str, Annotated[list[Any], Field(min_length=2)]] = {}
    compare: list[Comparison] = []
    refit: Literal["all"] | None = None
    deploy: str | None = None
    report: Report = Report()
    engine: Engine = Engine()

    @property
    def channels_read(self) -> dict[str, list[str] | None]:
        """The channels that any stage reads, by modality; None for all."""
        read: dict[str, list[str] | None] = {}
        views = [stage.inputs for stage in self.stages.values()]
        views += [stage.inputs for name in self.stages for stage in self.candidates(name).values()]
        views += [partner.inputs or {} for stage in self.stages.values() for partner in stage.partners.values()]
        for view in views:
            for modality, channels in view.items():
                before = read.get(modality, [])
                read[modality] = None if channels is None or before is None else list(dict.fromkeys(before + channels))
        return read

    @property
    def mode(self) -> str:
        """The mode of normalisation."""
        return self.normalise if isinstance(self.normalise, str) else "calibration"

    @property
    def calibration(self) -> CalibrationMode | None:
        """The calibration, where it is the mode."""
        return None if isinstance(self.normalise, str) else self.normalise.calibration

    @property
    def deployed(self) -> str:
        """The stage that is refitted: ``deploy``, else the first taught arm, else the last stage."""
        if self.deploy is not None:
            return self.deploy
        return self.compare[0].taught if self.compare else list(self.stages)[-1]

    @property
    def judging_groups(self) -> int:
        """Into how many groups the labelled subjects are split for choices; 0 where validation subjects judge."""
        labelled, validation = self.protocol.labelled, self.protocol.validation
        if validation and (labelled == "all" or labelled >= FEWEST_FOR_VALIDATION):
            return 0
        return MOST_GROUPS if labelled == "all" else min(labelled, MOST_GROUPS)

    def candidates(self, name: str) -> dict[str, Stage]:
        """Return the stages that a stage is chosen from, by what is different in each; empty without a choice."""
        prefix = f"stages.{name}."
        if f"stages.{name}" in self.choose:
            return {str(other): self.stages[str(other)] for other in self.choose[f"stages.{name}"]}
        own = {key.removeprefix(prefix): values for key, values in self.choose.items() if key.startswith(prefix)}
        if not own:
            return {}
        found = {}
        for label, values in combinations(own):
            definition = self.stages[name].model_dump(exclude_unset=True)
            for key, value in values.items():
                set_key(definition, key, value)
            found[label] = Stage.model_validate(definition)
        return found

    @property
    def extra_targets(self) -> dict[str, Target]:
        """The targets of stages that have one of their own, by name."""
        own = [Target.parse(stage.target) for stage in self.stages.values() if stage.target is not None]
        return {target.name: target for target in own}

    def target_of(self, stage: Stage) -> str:
        """Return the name of a stage's own target; empty where it is the study's."""
        return "" if stage.target is None else Target.parse(stage.target).name

    def partner(self, stage: Stage, name: str) -> tuple[Model, dict[str, list[str] | None]]:
        """Return model and inputs of a partner."""
        partner = stage.partners[name]
        like = stage if partner.stage is None else self.stages[partner.stage]
        return partner.model or like.model, dict(like.inputs if partner.inputs is None else partner.inputs)

    def settings(self, stage: Stage) -> Training:
        """Return how one stage trains; a classical model is fitted in one go, whatever the study says of training."""
        if is_classical(stage.model.name):
            return Training(select="last")
        if not stage.predicts:  # nothing that could be validated is learned
            return Training.model_validate({**self.training.model_dump(), **stage.training, "select": "last"})
        return Training.model_validate({**self.training.model_dump(), **stage.training})


class Study(_Strict):
    """A study as it was written, and its variants: one per target and combination of the values of its sweep.

    Parameters
    ----------
    name : str
        The study's name.
    definition : dict
        The YAML with overrides applied.
    resolved : dict
        The same with ``data.root`` as an absolute path: it means the same wherever it is read from.
    variants : mapping of str to Variant
        By label (``"target=valence, labelled=3"``); one with an empty label when there is one target and nothing is
        swept.
    """

    name: str
    definition: dict[str, Any]
    resolved: dict[str, Any]
    variants: dict[str, Variant]
