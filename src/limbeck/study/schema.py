"""The grammar of a study: what a YAML file may say, checked as a whole before anything is read.

Every mistake is reported at once, with the key where it stands and, for a misspelt name, the nearest one.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from limbeck import datasets
from limbeck.distillation.controls import CREDIT, DIAGNOSTICS
from limbeck.distillation.losses import LOSSES
from limbeck.errors import LimbeckError, StudyError, did_you_mean
from limbeck.metrics import METRICS
from limbeck.models.contract import MODELS
from limbeck.signals import parse_steps
from limbeck.targets import Target

__all__ = [
    "CalibrationMode",
    "Comparison",
    "Data",
    "Engine",
    "Protocol",
    "Stage",
    "Study",
    "Training",
    "Variant",
    "load_study",
    "parse_study",
]

SPLITS = ("leave_one_subject_out",)
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(_Strict):
    """Which corpus, where it lies, and options of its reader."""

    corpus: str
    root: Path | None = None
    options: dict[str, Any] = {}


class Windows(_Strict):
    """Length and hop of the windows in seconds."""

    length: PositiveFloat
    hop: PositiveFloat


class CalibrationMode(_Strict):
    """Normalisation by the earliest seconds of a named condition."""

    condition: str
    seconds: PositiveFloat
    short: Literal["leave_out", "train"] = "leave_out"


class _Calibrated(_Strict):
    calibration: CalibrationMode


class Protocol(_Strict):
    """How subjects are divided: the split, its repetitions, seeds, validation and labelled subjects."""

    split: Literal["leave_one_subject_out"] | Annotated[int, Field(ge=2)] = "leave_one_subject_out"
    repetitions: PositiveInt = 1
    seeds: Annotated[list[int], Field(min_length=1)] = [0]
    validation: Annotated[int, Field(ge=0, strict=True)] | Annotated[float, Field(ge=0, lt=1)] = 0.2
    labelled: Literal["all"] | PositiveInt = "all"
    seed: int = 0


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


def _as_mapping(value: Any) -> Any:
    """``name`` is short for ``{name: name}``."""
    return {"name": value} if isinstance(value, str) else value


class Model(_Strict):
    """A model's name with its options."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str

    @property
    def options(self) -> dict[str, Any]:
        """What stands beside the name."""
        return dict(self.model_extra or {})


def _as_view(value: Any) -> Any:
    """A list of modalities is short for a mapping without a choice of channels."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return dict.fromkeys(value)
    return value


def _as_losses(value: Any) -> Any:
    """``loss: {soft: 0.5}`` is short for ``{soft: {weight: 0.5}}``; a list takes every default."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return {name: {} for name in value}
    if isinstance(value, dict):
        return {k: {"weight": v} if isinstance(v, int | float) else ({} if v is None else v) for k, v in value.items()}
    return value


def _as_start(value: Any) -> Any:
    return {"stage": value} if isinstance(value, str) else value


class Start(_Strict):
    """The stage whose weights a stage starts from, and the parts (names of modules) that start anew."""

    stage: str
    reset: list[str] = []


class Stage(_Strict):
    """One training: this model, these inputs, taught by this stage, with this loss."""

    model: Annotated[Model, BeforeValidator(_as_mapping)]
    inputs: Annotated[dict[str, list[str] | None], BeforeValidator(_as_view), Field(min_length=1)]
    taught_by: str | None = None
    loss: Annotated[dict[str, dict[str, float | str]], BeforeValidator(_as_losses), Field(min_length=1)] = {"hard": {}}
    crossfit: Annotated[int, Field(ge=2)] | None = None
    start: Annotated[Start, BeforeValidator(_as_start)] | None = None
    unlabelled: bool | None = None
    labelled: Literal["all"] | None = None
    training: dict[str, Any] = {}

    @property
    def losses(self) -> dict[str, dict[str, Any]]:
        """The losses with every option filled in."""
        return {name: {**LOSSES[name].options, **given} for name, given in self.loss.items()}


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
    target: dict[str, Any]
    signals: dict[str, list[Any]]
    windows: Windows
    normalise: Literal["train", "transductive"] | _Calibrated = "train"
    protocol: Protocol = Protocol()
    training: Training = Training()
    stages: Annotated[dict[str, Stage], Field(min_length=1)]
    compare: list[Comparison] = []
    refit: Literal["all"] | None = None
    deploy: str | None = None
    report: Report = Report()
    engine: Engine = Engine()

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

    def settings(self, stage: Stage) -> Training:
        """Return how one stage trains."""
        return Training.model_validate({**self.training.model_dump(), **stage.training})


class Study(_Strict):
    """A study as it was written, and its variants: one per combination of the values of its sweep.

    Parameters
    ----------
    name : str
        The study's name.
    definition : dict
        The YAML with overrides applied.
    variants : mapping of str to Variant
        By label (``"labelled=3, normalise=train"``); one with an empty label when nothing is swept.
    """

    name: str
    definition: dict[str, Any]
    variants: dict[str, Variant]

    def to_yaml(self) -> str:
        """Return the definition as YAML."""
        return yaml.safe_dump(self.definition, sort_keys=False, allow_unicode=True)


def load_study(path: str | Path, overrides: Iterable[str] = ()) -> Study:
    """Read a study from a YAML file.

    Parameters
    ----------
    path : path-like
        The file. A relative ``data.root`` in it is relative to the file.
    overrides : iterable of str
        ``"protocol.labelled=6"``; values are YAML. A relative ``data.root`` here is relative to the working directory.

    Raises
    ------
    StudyError
        With every mistake in the file and the overrides.
    """
    file = Path(path)
    try:
        definition = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StudyError([f"There is no file '{file}'; give the path of a study, such as studies/demo.yaml."]) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise StudyError([f"The file cannot be read as YAML: {error}"], source=str(file)) from error
    return parse_study(definition, overrides=overrides, folder=file.parent, source=str(file))


def parse_study(
    definition: Any, *, overrides: Iterable[str] = (), folder: Path | None = None, source: str = "study"
) -> Study:
    """Check a study given as a mapping.

    Parameters
    ----------
    definition : mapping
        What the YAML holds.
    overrides : iterable of str
        As in :func:`load_study`.
    folder : Path or None
        Where a relative ``data.root`` of the definition starts; the working directory by default.
    source : str
        For messages.

    Raises
    ------
    StudyError
        With every mistake.
    """
    if not isinstance(definition, Mapping):
        raise StudyError([f"A study is a mapping of keys, found {type(definition).__name__}."], source=source)
    resolved = copy.deepcopy(dict(definition))
    _resolve_root(resolved, folder or Path())
    mistakes = _apply_overrides(resolved, overrides)
    sweep = resolved.pop("sweep", None) or {}
    mistakes += _sweep_mistakes(sweep)
    if mistakes:
        raise StudyError(mistakes, source=source)
    variants = {}
    for label, values in _combinations(sweep):
        one = copy.deepcopy(resolved)
        for key, value in values.items():
            mistakes += _set(one, key, value)
        variant, found = _check_variant(one)
        mistakes += [mistake for mistake in found if mistake not in mistakes]
        if variant is not None:
            variants[label] = variant
    if mistakes:
        raise StudyError(mistakes, source=source)
    first = next(iter(variants.values()))
    shown = {**resolved, "sweep": sweep} if sweep else resolved
    return Study(name=first.study, definition=_plain(shown), variants=variants)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


def _resolve_root(definition: dict[str, Any], folder: Path) -> None:
    data = definition.get("data")
    if isinstance(data, dict) and isinstance(data.get("root"), str):
        definition["data"] = {**data, "root": str(_joined(folder, data["root"]))}


def _joined(folder: Path, root: str) -> Path:
    path = Path(root).expanduser()
    return path if path.is_absolute() else (folder / path).resolve()


def _apply_overrides(definition: dict[str, Any], overrides: Iterable[str]) -> list[str]:
    mistakes = []
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            mistakes.append(f"--set {override}: expected KEY=VALUE, such as protocol.labelled=6.")
            continue
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            mistakes.append(f"--set {key}: the value is not YAML ({error}).")
            continue
        if key == "data.root" and isinstance(value, str):
            value = str(_joined(Path(), value))
        sweep = definition.get("sweep")
        if isinstance(sweep, dict) and key in sweep:
            definition["sweep"] = {k: v for k, v in sweep.items() if k != key}
        mistakes += _set(definition, key, value, prefix="--set ")
    return mistakes


def _set(definition: dict[str, Any], key: str, value: Any, prefix: str = "") -> list[str]:
    """Set ``a.b.c`` in nested mappings and lists; return what is wrong with the key."""
    *parents, last = key.split(".")
    place: Any = definition
    for depth, part in enumerate(parents):
        if isinstance(place, list) and part.isdigit() and int(part) < len(place):
            place = place[int(part)]
        elif isinstance(place, dict):
            if not isinstance(place.get(part), dict | list):
                place[part] = {}
            place = place[part]
        else:
            return [f"{prefix}{key}: there is nothing called '{'.'.join(parents[: depth + 1])}'."]
    if isinstance(place, list):
        if not (last.isdigit() and int(last) < len(place)):
            return [f"{prefix}{key}: the list has no item {last}."]
        place[int(last)] = value
    else:
        place[last] = value
    return []


def _sweep_mistakes(sweep: Any) -> list[str]:
    if not isinstance(sweep, dict):
        return [f"sweep: expected a mapping from keys to lists of values, found {type(sweep).__name__}."]
    return [
        f"sweep.{key}: expected a list of values, found {values!r}."
        for key, values in sweep.items()
        if not isinstance(values, list) or not values
    ]


def _combinations(sweep: Mapping[str, list[Any]]) -> list[tuple[str, dict[str, Any]]]:
    combinations = []
    for values in itertools.product(*sweep.values()):
        chosen = dict(zip(sweep, values, strict=True))
        label = ", ".join(f"{key.rsplit('.', 1)[-1]}={_short(value)}" for key, value in chosen.items())
        combinations.append((label, chosen))
    return combinations


def _short(value: Any) -> str:
    """Name a swept value in a label."""
    if isinstance(value, dict):
        return "+".join(str(key) for key in value)
    if isinstance(value, list):
        return "+".join(_short(item) for item in value)
    return str(value)


def _check_variant(definition: dict[str, Any]) -> tuple[Variant | None, list[str]]:
    """Return the variant, or None, with every mistake that can be known without reading data."""
    mistakes = _expand_like(definition)
    variant = None
    try:
        variant = Variant.model_validate(definition)
    except ValidationError as error:
        mistakes += _explain(error)
    mistakes += _registry_mistakes(definition)
    if variant is not None:
        mistakes += _reference_mistakes(variant)
    return (None if mistakes else variant), mistakes


def _expand_like(definition: dict[str, Any]) -> list[str]:
    """Resolve ``like: other`` in stages: everything of the other stage, with the own keys on top."""
    stages = definition.get("stages")
    if not isinstance(stages, dict):
        return []
    mistakes = []
    resolved: dict[str, Any] = {}
    for name, stage in stages.items():
        if not isinstance(stage, dict) or "like" not in stage:
            resolved[name] = stage
            continue
        other = stage["like"]
        if other not in resolved:
            mistakes.append(
                f"stages.{name}.like: there is no stage '{other}' above this one.{did_you_mean(str(other), resolved)}"
            )
            resolved[name] = {key: value for key, value in stage.items() if key != "like"}
        else:
            resolved[name] = {**copy.deepcopy(resolved[other]), **{k: v for k, v in stage.items() if k != "like"}}
    definition["stages"] = resolved
    return mistakes


def _explain(error: ValidationError) -> list[str]:
    """Turn pydantic's findings into sentences that name the key, with the nearest allowed one."""
    mistakes = []
    for problem in error.errors(include_url=False):
        location = [str(part) for part in problem["loc"] if not _is_union_tag(part)]
        key = ".".join(location)
        if problem["type"] == "extra_forbidden":
            allowed = _allowed_keys(problem["loc"][:-1])
            if location[:1] == ["stages"]:
                allowed = {*allowed, "like"}
            elif len(location) == 1:
                allowed = {*allowed, "sweep"}
            mistakes.append(f"{key}: there is no such key.{did_you_mean(location[-1], allowed)}")
        elif problem["type"] == "missing":
            mistakes.append(f"{key}: this key is needed.")
        else:
            found = repr(problem["input"])
            found = found if len(found) < 80 else found[:77] + "..."
            mistakes.append(f"{key}: {problem['msg']}, found {found}.")
    return list(dict.fromkeys(mistakes))


def _is_union_tag(part: int | str) -> bool:
    """Whether a part of pydantic's location names a member of a union instead of a key."""
    return isinstance(part, str) and not NAME.fullmatch(part) or part in ("_Calibrated", "int", "float", "function")


def _allowed_keys(location: tuple[int | str, ...]) -> set[str]:
    """Return the keys that a place of the grammar takes."""
    model: type[BaseModel] = Variant
    for part in location:
        field = model.model_fields.get(str(part))
        if field is None:
            continue
        nested = [m for m in _models_in(field.annotation)]
        if nested:
            model = nested[0]
    return set(model.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found = []
    for argument in getattr(annotation, "__args__", ()):
        found += _models_in(argument)
    return found


def _registry_mistakes(definition: Mapping[str, Any]) -> list[str]:
    """Check every name that a registry knows: corpus, steps, target, models, losses, metric."""
    mistakes = []
    data = definition.get("data")
    if isinstance(data, Mapping) and isinstance(data.get("corpus"), str):
        options = data.get("options") or {}
        found = datasets.DATASETS.mistakes(data["corpus"], options if isinstance(options, Mapping) else {})
        mistakes += [f"data: {mistake}" for mistake in found]
    if isinstance(definition.get("target"), Mapping):
        mistakes += _mistakes_of(lambda: Target.parse(definition["target"]), "target")
    signals = definition.get("signals")
    if isinstance(signals, Mapping):
        for modality, steps in signals.items():
            if isinstance(steps, list):
                mistakes += _mistakes_of(lambda s=steps, m=modality: parse_steps(s, modality=m), f"signals.{modality}")
    stages = definition.get("stages")
    for name, stage in (stages if isinstance(stages, Mapping) else {}).items():
        if isinstance(stage, Mapping):
            mistakes += [f"stages.{name}.{mistake}" for mistake in _stage_mistakes(stage)]
    report = definition.get("report")
    if isinstance(report, Mapping) and report.get("metric") not in (None, *METRICS):
        mistakes.append(f"report.metric: there is no metric '{report['metric']}'.{did_you_mean(report['metric'], METRICS)}")
    return mistakes


def _mistakes_of(parse: Any, key: str) -> list[str]:
    try:
        parse()
    except StudyError as error:
        return [f"{key}: {mistake}" for mistake in error.mistakes]
    except LimbeckError as error:
        return [f"{key}: {line}" for line in str(error).splitlines()]
    return []


def _stage_mistakes(stage: Mapping[str, Any]) -> list[str]:
    mistakes = []
    model = _as_mapping(stage.get("model"))
    if isinstance(model, Mapping) and isinstance(model.get("name"), str):
        options = [option for option in model if option != "name"]
        mistakes += [f"model: {mistake}" for mistake in MODELS.mistakes(model["name"], options)]
    losses = _as_losses(stage.get("loss"))
    for name, options in (losses if isinstance(losses, Mapping) else {}).items():
        if name not in LOSSES:
            mistakes.append(f"loss: there is no loss '{name}'.{did_you_mean(name, LOSSES)}")
            continue
        allowed = LOSSES[name].options
        for option in options if isinstance(options, Mapping) else ():
            if option not in allowed:
                mistakes.append(f"loss.{name}: there is no option '{option}'.{did_you_mean(option, allowed)}")
        needed = [option for option, default in allowed.items() if default is None and option not in (options or {})]
        mistakes += [f"loss.{name}.{option}: this option is needed." for option in needed]
        mistakes += [f"loss.{name}.{fault}" for fault in _loss_values(options, allowed)]
    if isinstance(stage.get("training"), Mapping):
        try:
            Training.model_validate(dict(stage["training"]))
        except ValidationError as error:
            for problem in error.errors(include_url=False):
                key = str(problem["loc"][0])
                if problem["type"] == "extra_forbidden":
                    mistakes.append(f"training.{key}: there is no such key.{did_you_mean(key, Training.model_fields)}")
                else:
                    mistakes.append(f"training.{key}: {problem['msg']}, found {problem['input']!r}.")
    return mistakes


def _loss_values(options: Any, allowed: Mapping[str, Any]) -> list[str]:
    """Check weight and temperature of one loss."""
    if not isinstance(options, Mapping):
        return []
    mistakes = []
    for option, value in options.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if option in ("weight", "temperature") and not (number and value > 0):
            mistakes.append(f"{option}: expected a number above 0, found {value!r}.")
        if option in allowed and option in ("teacher", "student") and not isinstance(value, str):
            mistakes.append(f"{option}: expected the name of a feature, found {value!r}.")
    return mistakes


def _reference_mistakes(variant: Variant) -> list[str]:
    """Check what refers to something else in the study: stages, modalities, controls."""
    mistakes = []
    stages, signals = variant.stages, variant.signals
    if not NAME.fullmatch(variant.study):
        mistakes.append(f"study: expected letters, digits and underscores, starting with a letter, found '{variant.study}'.")
    for name, stage in stages.items():
        if not NAME.fullmatch(name):
            mistakes.append(f"stages.{name}: a stage's name is letters, digits and underscores, starting with a letter.")
        for modality in stage.inputs:
            if modality not in signals:
                mistakes.append(f"stages.{name}.inputs: '{modality}' is not under signals.{did_you_mean(modality, signals)}")
        references = {"taught_by": stage.taught_by, "start": stage.start.stage if stage.start else None}
        for key, other in references.items():
            if other is not None and other not in stages:
                mistakes.append(f"stages.{name}.{key}: there is no stage '{other}'.{did_you_mean(other, stages)}")
        needs = [loss for loss in stage.loss if loss in LOSSES and LOSSES[loss].needs]
        if needs and stage.taught_by is None:
            mistakes.append(f"stages.{name}.loss: {needs} take a teacher's knowledge, but taught_by is not given.")
        if stage.taught_by is not None and not needs:
            mistakes.append(
                f"stages.{name}.taught_by: no loss of this stage takes the teacher's knowledge; add soft or hint, "
                "or remove taught_by."
            )
        if stage.crossfit is not None:
            if stage.taught_by is None:
                mistakes.append(f"stages.{name}.crossfit: there is no teacher to cross-fit; add taught_by.")
            if "hint" in stage.loss:
                mistakes.append(
                    f"stages.{name}.crossfit: features of different teachers live in different spaces, so a hint cannot be "
                    "cross-fitted; use soft alone."
                )
        if stage.unlabelled and stage.taught_by is None:
            mistakes.append(f"stages.{name}.unlabelled: without a teacher there is nothing to learn from unlabelled windows.")
    mistakes += _cycle_mistakes(variant)
    for position, comparison in enumerate(variant.compare):
        where = f"compare.{position}"
        for key, other in (("taught", comparison.taught), ("alone", comparison.alone)):
            if other not in stages:
                mistakes.append(f"{where}.{key}: there is no stage '{other}'.{did_you_mean(other, stages)}")
        for key, given, known in (
            ("controls", comparison.controls, CREDIT),
            ("diagnostics", comparison.diagnostics, DIAGNOSTICS),
        ):
            mistakes += [
                f"{where}.{key}: there is no '{kind}'.{did_you_mean(kind, known)}" for kind in given if kind not in known
            ]
        taught = stages.get(comparison.taught)
        if taught is not None and taught.taught_by is None and (comparison.controls or comparison.diagnostics):
            mistakes.append(
                f"{where}.taught: the stage '{comparison.taught}' has no teacher, so it has no controls; add taught_by to it "
                "or write controls: []."
            )
    if variant.deploy is not None and variant.deploy not in stages:
        mistakes.append(f"deploy: there is no stage '{variant.deploy}'.{did_you_mean(variant.deploy, stages)}")
    if variant.deploy is not None and variant.refit is None:
        mistakes.append("deploy: nothing is refitted, so nothing is deployed; add refit: all.")
    return mistakes


def _cycle_mistakes(variant: Variant) -> list[str]:
    edges = {
        name: [other for other in (s.taught_by, s.start.stage if s.start else None) if other in variant.stages]
        for name, s in variant.stages.items()
    }
    settled: set[str] = set()
    while True:
        ready = {name for name, others in edges.items() if name not in settled and set(others) <= settled}
        if not ready:
            break
        settled |= ready
    circle = sorted(set(edges) - settled)
    return [f"stages: {circle} stand on each other in a circle; a stage can only stand on others."] if circle else []
