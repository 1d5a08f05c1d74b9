"""The grammar of a study: what a YAML file may say, checked as a whole before anything is read.

Every mistake is reported at once, with the key where it stands and, for a misspelt name, the nearest one.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from limbeck.errors import StudyError, did_you_mean
from limbeck.notation import read_yaml, write_yaml
from limbeck.signals import FEATURE_SETS, FEATURES, parse_signals
from limbeck.study.checking import (
    alternatives,
    mapping,
    mistakes_of,
    reading_mistakes,
    reference_mistakes,
    registry_mistakes,
)
from limbeck.study.expansion import expand_recipes, with_recipes
from limbeck.study.explaining import explain
from limbeck.study.grammar import Part, Study, Variant, as_target, as_view
from limbeck.study.graph import idle_controls
from limbeck.study.keys import combinations, exact, set_key
from limbeck.targets import Preset, Target, written_out

__all__ = ["as_yaml", "load_part", "load_study", "parse_study"]

UNSWEPT = {
    "study": "it names the whole study",
    "question": "it is asked of the whole study",
    "report": "the verdicts of a study are made on one score at one level",
}
"""What a sweep may not change, and why."""


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
        mistakes += explain(error)
    mistakes += registry_mistakes(read)
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
    for (about, target), (label, values) in itertools.product(targets, combinations(sweep)):
        one = copy.deepcopy(resolved)
        if target is not None:
            one["target"] = copy.deepcopy(target)
        for key, value in values.items():
            mistakes += set_key(one, key, value)
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
        return [("", as_target(given))], []
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
            targets.append((label, as_target(one)))
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
        data = definition["data"] = {**data, "root": str(_joined(folder, data["root"]))}
    options = data.get("options") if isinstance(data, dict) else None
    parts = options.get("of") if isinstance(options, dict) else None
    if isinstance(data, dict) and isinstance(options, dict) and isinstance(parts, list):
        base = Path(data["root"]) if isinstance(data.get("root"), str) else folder
        resolved = [
            {**part, "root": str(_joined(base, part["root"]))}
            if isinstance(part, dict) and isinstance(part.get("root"), str)
            else part
            for part in parts
        ]
        definition["data"] = {**data, "options": {**options, "of": resolved}}


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
        mistakes += _unsweep(definition, key) or set_key(definition, key, value, prefix="--set ")
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
        shown = [exact(value) for value in values] if isinstance(values, list) else []
        twice = [value for position, value in enumerate(shown) if value in shown[:position]]
        mistakes += [f"sweep.{key}: {value} stands there twice." for value in dict.fromkeys(twice)]
    return mistakes


def _check_variant(definition: dict[str, Any]) -> tuple[Variant | None, list[str]]:
    """Return the variant, or None, with every mistake that can be known without reading data."""
    written: dict[str, Any] = {k: copy.deepcopy(definition[k]) for k in ("distil", "stages") if k in definition}
    if mistakes := expand_recipes(definition):
        return None, mistakes + _beside_stages(definition)
    variant, mistakes = _check_expanded(definition)
    return variant, with_recipes(mistakes, written)


def _beside_stages(definition: Mapping[str, Any]) -> list[str]:
    """Return what is wrong beside the stages, where recipes could not make these."""
    signals = definition.get("signals")
    unknown = {"stages", "compare", "choose", "deploy"} | ({"signals"} if isinstance(signals, str) else set())
    rest = {key: value for key, value in definition.items() if key not in unknown}
    mistakes = registry_mistakes(rest)
    try:
        Variant.model_validate(rest)
    except ValidationError as error:
        mistakes += [mistake for mistake in explain(error) if mistake.partition(":")[0] not in unknown]
    return mistakes


def _check_expanded(definition: dict[str, Any]) -> tuple[Variant | None, list[str]]:
    """Return the variant, or None, with every mistake, of a study without recipes."""
    mistakes = _expand_like(definition)
    mistakes += _expand_signals(definition)
    variant = None
    try:
        variant = Variant.model_validate(definition)
    except ValidationError as error:
        mistakes += explain(error)
    mistakes += registry_mistakes(definition)
    mistakes += reference_mistakes(definition)
    if not mistakes:  # only then do the steps say what a model is given
        signals = mapping(definition, "signals")
        mistakes += reading_mistakes(mapping(definition, "stages"), signals)
        for name, candidates in alternatives(definition).items():
            found = [m for stage in candidates.values() for m in reading_mistakes({name: stage}, signals)]
            mistakes += [mistake for mistake in dict.fromkeys(found) if mistake not in mistakes]
    if variant is not None and not mistakes:
        mistakes += idle_controls(variant)
    if variant is not None and variant.live and not mistakes:
        student = variant.stages[variant.deployed].inputs
        if variant.mode == "transductive":
            mistakes.append(
                "live: a student that runs live cannot be scaled by recordings that have not ended: "
                "write normalise: train, or by calibration."
            )
        mistakes += mistakes_of(lambda: parse_signals(definition["signals"], live=student), "live: ")
    return (None if mistakes else variant), mistakes


def _expand_signals(definition: dict[str, Any]) -> list[str]:
    """Resolve ``signals: wearable``: the set's steps for those of its modalities that a stage reads."""
    name = definition.get("signals")
    if not isinstance(name, str):
        return []
    views = [
        as_view(stage.get("inputs")) for stage in mapping(definition, "stages").values() if isinstance(stage, dict)
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
