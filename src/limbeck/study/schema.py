"""The grammar of a study: what a YAML file may say, checked as a whole before anything is read.

Every mistake is reported at once, with the key where it stands and, for a misspelt name, the nearest one.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from limbeck import datasets
from limbeck.distillation.controls import CREDIT, DIAGNOSTICS
from limbeck.distillation.losses import LOSSES
from limbeck.errors import LimbeckError, StudyError, did_you_mean
from limbeck.metrics import METRICS
from limbeck.models.classical import is_classical
from limbeck.models.contract import MODELS, class_of
from limbeck.notation import read_yaml, write_yaml
from limbeck.signals import FEATURE_SETS, FEATURES, parse_signals
from limbeck.targets import TARGETS, Preset, Target, known_targets, written_out

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
    "as_yaml",
    "load_part",
    "load_study",
    "parse_study",
]

UNSWEPT = {
    "study": "it names the whole study",
    "question": "it is asked of the whole study",
    "report": "the verdicts of a study are made on one score at one level",
}
"""What a sweep may not change, and why."""

IN_MEMORY = "arrays"
"""The name of a corpus that is handed to a run instead of being read by it."""

Part = TypeVar("Part", bound=BaseModel)

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(_Strict):
    """Which corpus, where it lies, and options of its reader.

    The corpus ``arrays`` is handed to the run; `fingerprint` is then a hash of what it holds, as a run writes it.
    """

    corpus: str
    root: Path | None = None
    options: dict[str, Any] = {}
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


class _Calibrated(_Strict):
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


def _as_mapping(value: Any) -> Any:
    """``name`` is short for ``{name: name}``."""
    return {"name": value} if isinstance(value, str) else value


def _as_target(value: Any) -> Any:
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


def _as_view(value: Any) -> Any:
    """Read a list of modalities as a mapping without a choice of channels."""
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
    target: Annotated[dict[str, Any], BeforeValidator(_as_target)]
    signals: dict[str, list[Any]]
    live: bool = False
    windows: Windows
    normalise: Literal["train", "transductive"] | _Calibrated = "train"
    clip: dict[str, PositiveFloat] = {}
    protocol: Protocol = Protocol()
    training: Training = Training()
    stages: Annotated[dict[str, Stage], Field(min_length=1)]
    compare: list[Comparison] = []
    refit: Literal["all"] | None = None
    deploy: str | None = None
    report: Report = Report()
    engine: Engine = Engine()

    @property
    def channels_read(self) -> dict[str, list[str] | None]:
        """The channels that any stage reads, by modality; None for all."""
        read: dict[str, list[str] | None] = {}
        for stage in self.stages.values():
            for modality, channels in stage.inputs.items():
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

    def settings(self, stage: Stage) -> Training:
        """Return how one stage trains; a classical model is fitted in one go, whatever the study says of training."""
        if is_classical(stage.model.name):
            return Training(select="last")
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


def as_yaml(definition: Mapping[str, Any]) -> str:
    """Return a definition as YAML, in the order in which it was written."""
    return write_yaml(dict(definition))


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
    return parse_study(_read_file(file), overrides=overrides, folder=file.parent, source=str(file))


def load_part(path: str | Path, part: type[Part], overrides: Iterable[str] = ()) -> Part:
    """Read some keys of a study; the others may be missing or wrong, and what is swept is as written outside the sweep.

    Parameters
    ----------
    path : path-like
        The file.
    part : type of pydantic model
        Its fields are the keys; ``study`` is the file's name unless it is written.
    overrides : iterable of str
        As of :func:`load_study`; those of other keys change nothing.

    Raises
    ------
    StudyError
        With every mistake in these keys.
    """
    file = Path(path)
    definition = _read_file(file)
    if not isinstance(definition, dict):
        raise StudyError([f"A study is a mapping of keys, found {type(definition).__name__}."], source=str(file))
    _resolve_root(definition, file.parent)
    mistakes = _apply_overrides(definition, overrides)
    read = {key: value for key, value in definition.items() if key in part.model_fields}
    found = None
    try:
        found = part.model_validate({"study": file.stem, **read})
    except ValidationError as error:
        mistakes += _explain(error)
    mistakes += _registry_mistakes(read)
    if mistakes or found is None:
        raise StudyError(mistakes, source=str(file))
    return found


def _read_file(file: Path) -> Any:
    try:
        return read_yaml(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StudyError(
            [f"There is no file '{file}'; give the path of a study, such as studies/demo.yaml."]
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise StudyError([f"The file cannot be read as YAML: {error}"], source=str(file)) from error


def parse_study(
    definition: Any, *, overrides: Iterable[str] = (), folder: Path | None = None, source: str = "study"
) -> Study:
    """Check a study given as a mapping.

    Parameters
    ----------
    definition : mapping
        What the YAML holds; its ``target`` may also be a :class:`limbeck.targets.Target` or an entry of
        :data:`limbeck.targets.TARGETS`.
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
    if "target" in resolved:
        given = resolved["target"]
        resolved["target"] = [_spelled(one) for one in given] if isinstance(given, list | tuple) else _spelled(given)
    overrides = list(overrides)
    written = copy.deepcopy(resolved)
    _apply_overrides(written, overrides, resolve=False)
    _resolve_root(resolved, folder or Path())
    mistakes = _apply_overrides(resolved, overrides)
    sweep = resolved.pop("sweep", None) or {}
    mistakes += _sweep_mistakes(sweep)
    targets, wrong = _targets(resolved)
    mistakes += wrong
    if mistakes:
        found = []
        if not (isinstance(sweep, dict) and sweep) and (targets or not wrong):
            # with a list of targets that holds a wrong one, everything else is checked with one that is not
            found = _check_variant({**resolved, **({"target": targets[0][1]} if wrong else {})})[1]
        raise StudyError([*mistakes, *found], source=source)
    variants = {}
    for (about, target), (label, values) in itertools.product(targets, _combinations(sweep)):
        one = copy.deepcopy(resolved)
        if target is not None:
            one["target"] = copy.deepcopy(target)
        for key, value in values.items():
            mistakes += _set(one, key, value)
        variant, found = _check_variant(one)
        mistakes += [mistake for mistake in found if mistake not in mistakes]
        if variant is not None:
            variants[", ".join(part for part in (about, label) if part)] = variant
    if not mistakes:  # what a sweep makes of the targets
        mistakes += _unlike_targets({label: Target.parse(variant.target) for label, variant in variants.items()})
    if mistakes:
        raise StudyError(mistakes, source=source)
    first = next(iter(variants.values()))
    whole = {**resolved, "sweep": sweep} if sweep else resolved
    return Study(name=first.study, definition=_plain(written), resolved=_plain(whole), variants=variants)


def _targets(definition: Mapping[str, Any]) -> tuple[list[tuple[str, Any]], list[str]]:
    """Return each target with its part of a variant's label, and what is wrong with the list of them.

    One target is None and has no label: it stands in the definition already.
    """
    given = definition.get("target")
    if isinstance(given, str):
        return [("", _as_target(given))], []
    if not isinstance(given, list):
        return [("", None)], []
    if not given:
        return [], ["target: expected at least one target, found an empty list."]
    mistakes, targets, parsed = [], [], {}
    for place, one in enumerate(given):
        try:
            target = Target.parse(one)
        except StudyError as error:
            mistakes += [f"target.{place}: {mistake}" for mistake in error.mistakes]
        else:
            label = f"target={target.name}" if len(given) > 1 else ""
            targets.append((label, _as_target(one)))
            parsed[label] = target
    labels = [label for label, _ in targets]
    twice = [label.partition("=")[2] for place, label in enumerate(labels) if label in labels[:place]]
    mistakes += [f"target: two targets are called {name}; give one another name." for name in dict.fromkeys(twice)]
    return targets, mistakes + _unlike_targets(parsed)


def _unlike_targets(targets: Mapping[str, Target]) -> list[str]:
    """Refuse targets that one score cannot judge: the verdicts of a study are corrected together."""
    kinds = {label: ", ".join(target.classes) or "a trace" for label, target in targets.items()}
    first, *others = kinds or [""]
    other = next((label for label in others if kinds[label] != kinds[first]), None)
    if other is None:
        return []
    return [
        f"target: the targets of a study are judged by one score and so have the same classes, in the same order; "
        f"{first} has {kinds[first]}, and {other} has {kinds[other]}. Make a study of each, or call the classes alike."
    ]


def _spelled(target: Any) -> Any:
    """Return a target as a study would have it written, where it is given as an object."""
    return _plain(written_out(target)) if isinstance(target, Target | Preset) else target


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


def _apply_overrides(definition: dict[str, Any], overrides: Iterable[str], *, resolve: bool = True) -> list[str]:
    mistakes = []
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            mistakes.append(f"--set {override}: expected KEY=VALUE, such as protocol.labelled=6.")
            continue
        try:
            value = read_yaml(text)
        except yaml.YAMLError as error:
            mistakes.append(f"--set {key}: the value is not YAML ({error}).")
            continue
        if resolve and key == "data.root" and isinstance(value, str):
            value = str(_joined(Path(), value))
        if key.startswith("sweep."):
            sweep = definition.get("sweep")
            definition["sweep"] = {**(sweep if isinstance(sweep, dict) else {}), key.removeprefix("sweep."): value}
            continue
        mistakes += _unsweep(definition, key) or _set(definition, key, value, prefix="--set ")
    return mistakes


def _unsweep(definition: dict[str, Any], key: str) -> list[str]:
    """Take what an override fixes out of the sweep; return why it cannot be fixed."""
    sweep = definition.get("sweep")
    if not isinstance(sweep, dict):
        return []
    above = [swept for swept in sweep if key.startswith(f"{swept}.")]
    definition["sweep"] = {k: v for k, v in sweep.items() if k != key and not str(k).startswith(f"{key}.")}
    return [
        f"--set {key}: the study sweeps {swept}, which would replace it; set {swept} as a whole." for swept in above
    ]


def _set(definition: dict[str, Any], key: str, value: Any, prefix: str = "") -> list[str]:
    """Set ``a.b.c`` in nested mappings and lists; return what is wrong with the key."""
    *parents, last = key.split(".")
    place: Any = definition
    for depth, part in enumerate(parents):
        if isinstance(place, list) and part.isdigit() and int(part) < len(place):
            place = place[int(part)]
        elif isinstance(place, dict):
            name = ".".join(parents[: depth + 1])
            if "like" in place and part not in place:
                return [f"{prefix}{key}: {name} is inherited through like; set it as a whole, {name}={{...}}."]
            if place.get(part) is None:
                place[part] = {}
            if not isinstance(place[part], dict | list):
                return [
                    f"{prefix}{key}: {name} is {place[part]!r}, without keys of its own; set it as a whole, "
                    f"{name}={{...}}."
                ]
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
    mistakes = [
        f"sweep.{key}: expected a list of values, found {values!r}."
        for key, values in sweep.items()
        if not isinstance(values, list) or not values
    ]
    mistakes += [
        f"sweep.{key}: {UNSWEPT[part]}, so it is the same in all variants."
        for key in sweep
        if (part := str(key).split(".")[0]) in UNSWEPT
    ]
    if "target" in sweep:
        mistakes.append("sweep.target: several targets are no sweep; write them as a list, target: [..., ...].")
    for key, values in sweep.items():
        exact = [_exact(value) for value in values] if isinstance(values, list) else []
        twice = [value for position, value in enumerate(exact) if value in exact[:position]]
        mistakes += [f"sweep.{key}: {value} stands there twice." for value in dict.fromkeys(twice)]
    return mistakes


def _combinations(sweep: Mapping[str, list[Any]]) -> list[tuple[str, dict[str, Any]]]:
    named = {key: [_short(value) for value in values] for key, values in sweep.items()}
    for key, labels in named.items():
        if len(set(labels)) < len(labels):
            named[key] = [_exact(value) for value in sweep[key]]
    last = [key.rsplit(".", 1)[-1] for key in sweep]
    names = [short if last.count(short) == 1 else key for key, short in zip(sweep, last, strict=True)]
    return [
        (
            ", ".join(f"{name}={label}" for name, label in zip(names, labels, strict=True)),
            dict(zip(sweep, values, strict=True)),
        )
        for labels, values in zip(itertools.product(*named.values()), itertools.product(*sweep.values()), strict=True)
    ]


def _exact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str).replace('"', "")


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
    mistakes += _expand_signals(definition)
    variant = None
    try:
        variant = Variant.model_validate(definition)
    except ValidationError as error:
        mistakes += _explain(error)
    mistakes += _registry_mistakes(definition)
    mistakes += _reference_mistakes(definition)
    if not mistakes:  # only then do the steps say what a model is given
        mistakes += _reading_mistakes(_mapping(definition, "stages"), _mapping(definition, "signals"))
    if variant is not None and variant.live and not mistakes:
        student = variant.stages[variant.deployed].inputs
        if variant.mode == "transductive":
            mistakes.append(
                "live: a student that runs live cannot be scaled by recordings that have not ended: "
                "write normalise: train, or by calibration."
            )
        mistakes += _mistakes_of(lambda: parse_signals(definition["signals"], live=student), "live: ")
    return (None if mistakes else variant), mistakes


def _expand_signals(definition: dict[str, Any]) -> list[str]:
    """Resolve ``signals: wearable``: the set's steps for those of its modalities that a stage reads."""
    name = definition.get("signals")
    if not isinstance(name, str):
        return []
    views = [
        _as_view(stage.get("inputs")) for stage in _mapping(definition, "stages").values() if isinstance(stage, dict)
    ]
    used = list(dict.fromkeys(modality for view in views if isinstance(view, Mapping) for modality in view))
    mistakes = []
    steps: Mapping[str, list[Any]] = {}
    if name in FEATURES:
        mistakes = [f"signals: '{name}' is a feature: write {{MODALITY: [{{features: [{name}]}}]}}."]
    elif name not in FEATURE_SETS:
        mistakes = [f"signals: there is no feature set '{name}'.{did_you_mean(name, FEATURE_SETS)}"]
    elif lacking := [modality for modality in used if modality not in FEATURE_SETS[name].signals]:
        of = ", ".join(FEATURE_SETS[name].signals)
        mistakes = [f"signals: the feature set {name} is of {of}; the stages also read {', '.join(lacking)}."]
    else:
        steps = FEATURE_SETS[name].pipelines
    # every modality stands there, so that nothing else is told than what is wrong with the name
    definition["signals"] = {
        modality: steps.get(modality, []) for modality in dict.fromkeys([*steps, *used]) if modality in used
    }
    return mistakes


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
        if isinstance(other, str) and other in resolved and not isinstance(resolved[other], dict):
            resolved[name] = None  # the mistake is the other's
        elif not isinstance(other, str) or other not in resolved:
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
    refused: dict[str, tuple[list[str], Any]] = {}
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
        elif problem["type"] in ("dict_type", "model_type", "model_attributes_type"):
            mistakes.append(f"{key}: expected a mapping of keys, found {_cropped(problem['input'])}.")
        else:
            # A key that may be of several kinds is refused once per kind; that is one mistake.
            refused.setdefault(key, ([], problem["input"]))[0].append(_wanted(problem))
    mistakes += [
        f"{key}: {' or '.join(dict.fromkeys(wanted))}, found {_cropped(value)}." + _near(wanted, value)
        for key, (wanted, value) in refused.items()
    ]
    return list(dict.fromkeys(mistakes))


def _wanted(problem: Any) -> str:
    """Return what pydantic expected, in its words, but for names: these are listed."""
    return str(problem["msg"][0].lower() + problem["msg"][1:])


def _near(wanted: list[str], value: Any) -> str:
    """Return the nearest of the names that were expected, as a sentence, or nothing."""
    names = re.findall(r"'([^']+)'", " ".join(wanted))
    hint = did_you_mean(value, names) if isinstance(value, str) and names else ""
    return hint if "Did you mean" in hint else ""


def _cropped(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) < 80 else shown[:77] + "..."


def _is_union_tag(part: int | str) -> bool:
    """Whether a part of pydantic's location names a member of a union instead of a key."""
    return (isinstance(part, str) and not NAME.fullmatch(part)) or part in ("_Calibrated", "int", "float", "function")


def _allowed_keys(location: tuple[int | str, ...]) -> set[str]:
    """Return the keys that a place of the grammar takes."""
    model: type[BaseModel] = Variant
    for part in location:
        field = model.model_fields.get(str(part))
        if field is None:
            continue
        nested = _models_in(field.annotation)
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
    if isinstance(data, Mapping) and data.get("corpus") == IN_MEMORY:
        mistakes += [
            f"data.{key}: arrays in memory have no {key}; remove it."
            for key in ("root", "options")
            if data.get(key) not in (None, {})
        ]
    elif isinstance(data, Mapping) and isinstance(data.get("corpus"), str):
        if data.get("fingerprint") is not None:
            mistakes.append(f"data.fingerprint: it is of the corpus {IN_MEMORY} alone; remove it.")
        options = data.get("options") or {}
        found = datasets.DATASETS.mistakes(data["corpus"], options if isinstance(options, Mapping) else {})
        mistakes += [f"data: {mistake}" for mistake in found]
        if isinstance(options, Mapping) and "root" in options:
            mistakes.append("data.options.root: the root is no option of a reader; write it as data.root.")
        known = data["corpus"] in datasets.DATASETS
        if known and data.get("root") is not None and datasets.info(data["corpus"]).access == "simulated":
            mistakes.append(f"data.root: the data set '{data['corpus']}' is made and has no folder; remove it.")
    if isinstance(definition.get("target"), str | Mapping):
        mistakes += _mistakes_of(lambda: Target.parse(definition["target"]), "target: ")
        mistakes += _foreign_target(definition["target"], data)
    if isinstance(definition.get("signals"), Mapping):
        mistakes += _mistakes_of(lambda: parse_signals(definition["signals"]))
    stages = definition.get("stages")
    for name, stage in (stages if isinstance(stages, Mapping) else {}).items():
        if isinstance(stage, Mapping):
            mistakes += [f"stages.{name}.{mistake}" for mistake in _stage_mistakes(stage)]
    report = definition.get("report")
    if isinstance(report, Mapping) and report.get("metric") not in (None, *METRICS):
        mistakes.append(
            f"report.metric: there is no metric '{report['metric']}'.{did_you_mean(str(report['metric']), METRICS)}"
        )
    return mistakes


def _foreign_target(target: Any, data: Any) -> list[str]:
    """Refuse the target of one published data set on another, where nothing but its name says what it is about.

    With anything written beside its name, whoever wrote it has thought of the other data set's annotations; and own
    files may have any names.
    """
    name = target.get("preset") if isinstance(target, Mapping) and len(target) == 1 else target
    corpus = data.get("corpus") if isinstance(data, Mapping) else None
    preset = TARGETS.get(name) if isinstance(name, str) else None
    if preset is None or corpus == preset.corpus or not isinstance(corpus, str):
        return []
    if corpus not in datasets.DATASETS or datasets.info(corpus).access in ("own", "simulated"):
        return []
    own = ", ".join(row["name"] for row in known_targets(corpus))
    there = f"those of {corpus} are {own}" if own else f"none is known for {corpus}"
    return [f"target: '{name}' is of the data set {preset.corpus}, and the study reads {corpus}; {there}."]


def _mistakes_of(parse: Callable[[], object], prefix: str = "") -> list[str]:
    try:
        parse()
    except StudyError as error:
        return [f"{prefix}{mistake}" for mistake in error.mistakes]
    except LimbeckError as error:
        return [f"{prefix}{line}" for line in str(error).splitlines()]
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
            mistakes.append(f"loss: there is no loss '{name}'.{did_you_mean(str(name), LOSSES)}")
            continue
        allowed = LOSSES[name].options
        for option in options if isinstance(options, Mapping) else ():
            if option not in allowed:
                mistakes.append(f"loss.{name}: there is no option '{option}'.{did_you_mean(str(option), allowed)}")
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


def _reference_mistakes(definition: Mapping[str, Any]) -> list[str]:
    """Check what refers to something else in the study; parts that are wrong in themselves are not looked at."""
    mistakes = []
    study = definition.get("study")
    if isinstance(study, str) and not NAME.fullmatch(study):
        mistakes.append(f"study: expected letters, digits and underscores, starting with a letter, found '{study}'.")
    stages, signals = _mapping(definition, "stages"), _mapping(definition, "signals")
    for name, raw in stages.items():
        if not NAME.fullmatch(str(name)):
            mistakes.append(
                f"stages.{name}: a stage's name is letters, digits and underscores, starting with a letter."
            )
        if isinstance(raw, Mapping):
            mistakes += _unknown_references(name, raw, stages, signals)
            mistakes += _teaching_mistakes(name, _valid(Stage, raw))
    mistakes += _unused_signals(stages, signals)
    mistakes += [
        f"clip.{modality}: '{modality}' is not under signals.{did_you_mean(str(modality), signals)}"
        for modality in _mapping(definition, "clip")
        if modality not in signals
    ]
    mistakes += [
        f"protocol.minimum_quality.{modality}: '{modality}' is not under signals.{did_you_mean(str(modality), signals)}"
        for modality in _mapping(_mapping(definition, "protocol"), "minimum_quality")
        if modality not in signals
    ]
    mistakes += _cycle_mistakes(stages)
    comparisons = definition.get("compare")
    comparisons = comparisons if isinstance(comparisons, list) else []
    for position, raw in enumerate(comparisons):
        comparison = _valid(Comparison, raw)
        if comparison is not None:
            mistakes += _comparison_mistakes(f"compare.{position}", comparison, definition)
            if raw in comparisons[:position]:
                mistakes.append(f"compare.{position}: this comparison stands there already; it would count as a claim.")
    mistakes += _classical_mistakes(definition)
    mistakes += _trace_loss_mistakes(definition)
    mistakes += _step_mistakes(definition)
    deploy = definition.get("deploy")
    if isinstance(deploy, str) and deploy not in stages:
        mistakes.append(f"deploy: there is no stage '{deploy}'.{did_you_mean(deploy, stages)}")
    if deploy is not None and definition.get("refit") is None:
        mistakes.append("deploy: nothing is refitted, so nothing is deployed; add refit: all.")
    seeds = _mapping(definition, "protocol").get("seeds")
    if isinstance(seeds, list) and len({str(seed) for seed in seeds}) < len(seeds):
        mistakes.append(f"protocol.seeds: expected different seeds, found {seeds}.")
    metric = _mapping(definition, "report").get("metric")
    if isinstance(metric, str) and metric in METRICS and METRICS[metric].kind != _kind(definition):
        mistakes.append(
            f"report.metric: {metric} scores a {METRICS[metric].kind}, the target is a {_kind(definition)}."
        )
    return mistakes


def _valid(kind: type[Part], value: Any) -> Part | None:
    try:
        return kind.model_validate(value)
    except ValidationError:
        return None


def _mapping(definition: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = definition.get(key)
    return value if isinstance(value, Mapping) else {}


def _kind(definition: Mapping[str, Any]) -> str:
    return "trace" if _target_of(definition).get("trace") else "class"


def _target_of(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the target with what a preset stands for; one that is wrong in itself is not looked at."""
    given = definition.get("target")
    if not isinstance(given, str | Mapping):
        return {}
    try:
        return written_out(given)
    except StudyError:
        return {}


def _step_mistakes(definition: Mapping[str, Any]) -> list[str]:
    """Refuse a target with a value per step: windows and models can have steps, losses and scores not yet."""
    if _target_of(definition).get("rate") is None:
        return []
    return [
        "target.rate: it asks for several values per window; studies cannot train on these yet (windows.cut makes them "
        "and models such as tcn predict them); leave rate out to predict one value per window."
    ]


def _stands_on(stage: Mapping[str, Any]) -> dict[str, str]:
    """Return the stages that a stage names, by the key where it does."""
    start = _as_start(stage.get("start"))
    named = {"taught_by": stage.get("taught_by"), "start": start.get("stage") if isinstance(start, Mapping) else None}
    return {key: other for key, other in named.items() if isinstance(other, str)}


def _unknown_references(
    name: str, stage: Mapping[str, Any], stages: Mapping[str, Any], signals: Mapping[str, Any]
) -> list[str]:
    view = _as_view(stage.get("inputs"))
    mistakes = [
        f"stages.{name}.inputs: '{modality}' is not under signals.{did_you_mean(str(modality), signals)}"
        for modality in (view if isinstance(view, Mapping) else ())
        if modality not in signals
    ]
    return mistakes + [
        f"stages.{name}.{key}: there is no stage '{other}'.{did_you_mean(other, stages)}"
        for key, other in _stands_on(stage).items()
        if other not in stages
    ]


def _reading_mistakes(stages: Mapping[str, Any], signals: Mapping[str, Any]) -> list[str]:
    """Check that each model can read what the steps of its inputs make: features, or signals."""
    try:
        pipelines = parse_signals(signals)
    except LimbeckError:
        return []
    mistakes = []
    for name, stage in stages.items():
        model = _model_of(stage)
        view = _as_view(stage.get("inputs")) if model in MODELS else None
        read = [modality for modality in view if modality in pipelines] if isinstance(view, Mapping) else []
        reads = getattr(class_of(model), "reads", None) if read else None
        raw = [modality for modality in read if not pipelines[modality].features]
        made = [modality for modality in read if pipelines[modality].features]
        if reads == "features" and raw:
            are = "is" if len(raw) == 1 else "are"
            mistakes.append(
                f"stages.{name}.model: '{model}' reads features, but {' and '.join(raw)} {are} left as signals; add a "
                f"features step to signals.{raw[0]} or choose another model."
            )
        if reads == "signals" and made:
            mistakes.append(
                f"stages.{name}.model: '{model}' reads signals, but of {' and '.join(made)} features are made; remove "
                f"the features step of signals.{made[0]} or choose a model for features (mlp, linear)."
            )
    return mistakes


def _unused_signals(stages: Mapping[str, Any], signals: Mapping[str, Any]) -> list[str]:
    views = [_as_view(stage.get("inputs")) if isinstance(stage, Mapping) else None for stage in stages.values()]
    used = {modality for view in views if isinstance(view, Mapping) for modality in view}
    if not views or not all(isinstance(view, Mapping) for view in views) or used - set(signals):
        return []  # a view that is wrong may be what should have named it
    return [
        f"signals.{modality}: no stage reads it; remove it, since windows are cut where all signals exist."
        for modality in signals
        if modality not in used
    ]


def _teaching_mistakes(name: str, stage: Stage | None) -> list[str]:
    """Check that teacher, losses, cross-fitting and unlabelled windows go together."""
    if stage is None:
        return []
    mistakes = []
    needs = [loss for loss in stage.loss if loss in LOSSES and LOSSES[loss].needs]
    known = all(loss in LOSSES for loss in stage.loss)
    if needs and stage.taught_by is None:
        mistakes.append(
            f"stages.{name}.loss: {' and '.join(needs)} take a teacher's knowledge, but taught_by is not given."
        )
    if stage.taught_by is not None and not needs and known:
        mistakes.append(
            f"stages.{name}.taught_by: no loss of this stage takes the teacher's knowledge; add soft or hint, "
            "or remove taught_by."
        )
    if stage.crossfit is not None and stage.taught_by is None:
        mistakes.append(f"stages.{name}.crossfit: there is no teacher to cross-fit; add taught_by.")
    if stage.crossfit is not None and "hint" in stage.loss:
        mistakes.append(
            f"stages.{name}.crossfit: features of different teachers live in different spaces, so a hint cannot be "
            "cross-fitted; use soft alone."
        )
    if stage.unlabelled and stage.taught_by is None:
        mistakes.append(
            f"stages.{name}.unlabelled: without a teacher there is nothing to learn from unlabelled windows."
        )
    return mistakes


def _comparison_mistakes(where: str, comparison: Comparison, definition: Mapping[str, Any]) -> list[str]:
    stages = _mapping(definition, "stages")
    mistakes = [
        f"{where}.{key}: there is no stage '{other}'.{did_you_mean(other, stages)}"
        for key, other in (("taught", comparison.taught), ("alone", comparison.alone))
        if other not in stages
    ]
    for key, given, known in (
        ("controls", comparison.controls, CREDIT),
        ("diagnostics", comparison.diagnostics, DIAGNOSTICS),
    ):
        mistakes += [
            f"{where}.{key}: there is no '{kind}'.{did_you_mean(kind, known)}" for kind in given if kind not in known
        ]
    if comparison.taught == comparison.alone:
        mistakes.append(f"{where}: '{comparison.taught}' is compared with itself.")
    taught, alone = _valid(Stage, stages.get(comparison.taught)), _valid(Stage, stages.get(comparison.alone))
    judged = bool(comparison.controls or comparison.diagnostics)
    if judged and taught is not None and not _is_taught(comparison.taught, stages):
        mistakes.append(
            f"{where}.taught: the stage '{comparison.taught}' has no teacher, nor has a stage that it starts from, so "
            "it has no controls; add taught_by to it or write controls: []."
        )
    if judged and alone is not None and comparison.taught != comparison.alone:
        if _is_taught(comparison.alone, stages):
            mistakes.append(f"{where}.alone: the stage '{comparison.alone}' has a teacher; name one that learns alone.")
        if taught is not None:
            differing = [
                key
                for key in ("model", "inputs", "training", "labelled")
                if getattr(taught, key) != getattr(alone, key)
            ]
            if differing:
                mistakes.append(
                    f"{where}: '{comparison.taught}' and '{comparison.alone}' differ in {' and '.join(differing)}, so "
                    "a difference between them would not be the teaching; make them alike (like: does it)."
                )
    if comparison.diagnostics and _kind(definition) == "trace":
        mistakes.append(
            f"{where}.diagnostics: they look at a teacher's decisions, and the target is a trace; remove them."
        )
    changed = [kind for kind in comparison.diagnostics if kind in ("hard_labels", "smoothed")]
    if changed and taught is not None and taught.taught_by is not None and "soft" not in taught.loss:
        mistakes.append(
            f"{where}.diagnostics: {' and '.join(changed)} change logits, which '{comparison.taught}' does not take; "
            "add the loss soft to it or remove them."
        )
    return mistakes


def _trace_loss_mistakes(definition: Mapping[str, Any]) -> list[str]:
    """Refuse a temperature where there are no probabilities that it could soften."""
    if _kind(definition) != "trace":
        return []
    return [
        f"stages.{name}.loss.soft.temperature: the target is a trace, which has no temperature; remove it."
        for name, stage in _mapping(definition, "stages").items()
        if isinstance(stage, Mapping) and isinstance(losses := _as_losses(stage.get("loss")), Mapping)
        if isinstance(losses.get("soft"), Mapping) and "temperature" in losses["soft"]
    ]


def _classical_mistakes(definition: Mapping[str, Any]) -> list[str]:
    """Refuse what only a network can do: be taught, started from, trained in epochs, hand over features, be stored."""
    stages = _mapping(definition, "stages")
    models = {name: _model_of(stage) for name, stage in stages.items()}
    mistakes = []
    for name, stage in stages.items():
        if not isinstance(stage, Mapping):
            continue
        model, named = models[name], _stands_on(stage)
        if is_classical(model):
            if "taught_by" in named:
                mistakes.append(
                    f"stages.{name}.taught_by: the model '{model}' is fitted to labels and takes no soft targets, so "
                    "nobody can teach it; take a network (linear, mlp), or remove taught_by."
                )
            if "start" in named:
                mistakes.append(
                    f"stages.{name}.start: the model '{model}' has no weights to start with; remove start, or take a "
                    "network."
                )
            own_loss = _as_losses(stage.get("loss", "hard")) in ({"hard": {}}, {"hard": {"weight": 1}})
            if "taught_by" not in named and not own_loss:
                mistakes.append(
                    f"stages.{name}.loss: the model '{model}' is fitted to labels by a loss of its own; remove loss."
                )
            if stage.get("training"):
                mistakes.append(
                    f"stages.{name}.training: the model '{model}' is fitted in one go, without epochs and batches; "
                    "remove training. Options of the model stand beside its name."
                )
        teacher, start = models.get(named.get("taught_by", ""), ""), models.get(named.get("start", ""), "")
        losses = _as_losses(stage.get("loss"))
        mistakes += [
            f"stages.{name}.loss.{loss}: the teacher '{named['taught_by']}' is of the model '{teacher}', which has no "
            "features to hand over, only probabilities; use soft."
            for loss in (losses if isinstance(losses, Mapping) and is_classical(teacher) else ())
            if loss in LOSSES and LOSSES[loss].needs == "features"
        ]
        if is_classical(start) and not is_classical(model):
            mistakes.append(
                f"stages.{name}.start: the stage '{named['start']}' is of the model '{start}', which has no weights "
                "that a network could start from; be taught_by it instead."
            )
    variant = _valid(Variant, definition)
    if variant is not None and variant.refit is not None and is_classical(models.get(variant.deployed, "")):
        mistakes.append(
            f"refit: '{variant.deployed}' is of the model '{models[variant.deployed]}', which cannot be stored without "
            "code in the file, so it is not deployed; name a network under deploy, teach one by it (taught_by), or "
            "remove refit."
        )
    return mistakes


def _model_of(stage: Any) -> str:
    """Return the name of a stage's model, empty where there is none."""
    model = _as_mapping(stage.get("model")) if isinstance(stage, Mapping) else None
    name = model.get("name") if isinstance(model, Mapping) else None
    return name if isinstance(name, str) else ""


def _is_taught(name: str, stages: Mapping[str, Any], seen: frozenset[str] = frozenset()) -> bool:
    """Whether a stage has a teacher, or starts from one that has."""
    stage = stages.get(name)
    if not isinstance(stage, Mapping) or name in seen:
        return False
    named = _stands_on(stage)
    return "taught_by" in named or ("start" in named and _is_taught(named["start"], stages, seen | {name}))


def _cycle_mistakes(stages: Mapping[str, Any]) -> list[str]:
    edges = {
        name: [other for other in _stands_on(stage).values() if other in stages] if isinstance(stage, Mapping) else []
        for name, stage in stages.items()
    }
    settled: set[str] = set()
    while True:
        ready = {name for name, others in edges.items() if name not in settled and set(others) <= settled}
        if not ready:
            break
        settled |= ready
    circle = [str(name) for name in edges if name not in settled]
    return (
        [f"stages: {', '.join(circle)} stand on each other in a circle; a stage can only stand on others."]
        if circle
        else []
    )
