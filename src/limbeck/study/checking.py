"""What a study may not say although every key of it is allowed: names, references, and what does not go together."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from pydantic import ValidationError

from limbeck import datasets
from limbeck.distillation.contract import LOSSES, Loss, make_losses
from limbeck.distillation.controls import CREDIT, DIAGNOSTICS
from limbeck.distillation.steps import make_steps
from limbeck.distillation.teachers import COMBINATIONS, combine
from limbeck.errors import DataError, LimbeckError, StudyError, did_you_mean
from limbeck.metrics import METRICS
from limbeck.models.classical import is_classical
from limbeck.models.contract import MODELS, class_of
from limbeck.signals import parse_signals
from limbeck.study.explaining import explain
from limbeck.study.grammar import (
    IN_MEMORY,
    NAME,
    Comparison,
    Knowledge,
    Part,
    Stage,
    Training,
    Variant,
    as_list,
    as_losses,
    as_mapping,
    as_start,
    as_view,
)
from limbeck.study.keys import combinations, exact, set_key
from limbeck.targets import TARGETS, Target, known_targets, written_out

__all__ = ["alternatives", "reading_mistakes", "reference_mistakes", "registry_mistakes"]

MOST_CANDIDATES = 256
"""Candidates of one stage, at most: each is trained in each fold."""


def registry_mistakes(definition: Mapping[str, Any]) -> list[str]:
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
        mistakes += mistakes_of(lambda: Target.parse(definition["target"]), "target: ")
        mistakes += _foreign_target(definition["target"], data)
    if isinstance(definition.get("signals"), Mapping):
        mistakes += mistakes_of(lambda: parse_signals(definition["signals"]))
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


def mistakes_of(parse: Callable[[], object], prefix: str = "") -> list[str]:
    try:
        parse()
    except StudyError as error:
        return [f"{prefix}{mistake}" for mistake in error.mistakes]
    except LimbeckError as error:
        return [f"{prefix}{line}" for line in str(error).splitlines()]
    return []


def _stage_mistakes(stage: Mapping[str, Any]) -> list[str]:
    mistakes = []
    model = as_mapping(stage.get("model"))
    if isinstance(model, Mapping) and isinstance(model.get("name"), str):
        options = [option for option in model if option != "name"]
        mistakes += [f"model: {mistake}" for mistake in MODELS.mistakes(model["name"], options)]
    losses = as_losses(stage.get("loss"))
    for name, options in (losses if isinstance(losses, Mapping) else {}).items():
        if isinstance(options, Mapping):
            mistakes += mistakes_of(partial(make_losses, {name: options}), "loss.")
    steps = as_losses(stage.get("steps"))
    if isinstance(steps, Mapping) and all(isinstance(options, Mapping) for options in steps.values()):
        mistakes += mistakes_of(lambda: make_steps(steps), "steps: ")
    for name, partner in mapping(stage, "partners").items():
        model = as_mapping(partner.get("model")) if isinstance(partner, Mapping) else None
        if isinstance(model, Mapping) and isinstance(model.get("name"), str):
            options = [option for option in model if option != "name"]
            mistakes += [f"partners.{name}.model: {fault}" for fault in MODELS.mistakes(model["name"], options)]
    mistakes += [f"knowledge.{mistake}" for mistake in _knowledge_mistakes(mapping(stage, "knowledge"))]
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


def _knowledge_mistakes(knowledge: Mapping[str, Any]) -> list[str]:
    """Check how teachers are put together, and that one filter is asked for at most."""
    mistakes = []
    combine = knowledge.get("combine")
    combine = {combine: {}} if isinstance(combine, str) else combine
    if isinstance(combine, Mapping) and len(combine) != 1:
        mistakes.append(f"combine: expected one way of putting teachers together, found {list(combine)}.")
    elif isinstance(combine, Mapping):
        ((name, options),) = combine.items()
        mistakes += [f"combine: {m}" for m in COMBINATIONS.mistakes(str(name), options or {})]
    if knowledge.get("confidence") is not None and knowledge.get("share") is not None:
        mistakes.append("confidence: a share is asked for as well; a filter has one of them.")
    if knowledge.get("balance") and knowledge.get("share") is None and knowledge.get("confidence") is None:
        mistakes.append("balance: it is of a filter, and neither confidence nor share is given.")
    return mistakes


def reference_mistakes(definition: Mapping[str, Any]) -> list[str]:
    """Check what refers to something else in the study; parts that are wrong in themselves are not looked at."""
    mistakes = []
    study = definition.get("study")
    if isinstance(study, str) and not NAME.fullmatch(study):
        mistakes.append(f"study: expected letters, digits and underscores, starting with a letter, found '{study}'.")
    stages, signals = mapping(definition, "stages"), mapping(definition, "signals")
    for name, raw in stages.items():
        if not NAME.fullmatch(str(name)):
            mistakes.append(
                f"stages.{name}: a stage's name is letters, digits and underscores, starting with a letter."
            )
        if isinstance(raw, Mapping):
            mistakes += _unknown_references(name, raw, stages, signals)
            mistakes += _teaching_mistakes(name, _valid(Stage, raw))
    others = alternatives(definition)
    mistakes += _unused_signals([*stages.values(), *(one for own in others.values() for one in own.values())], signals)
    mistakes += [
        f"clip.{modality}: '{modality}' is not under signals.{did_you_mean(str(modality), signals)}"
        for modality in mapping(definition, "clip")
        if modality not in signals
    ]
    mistakes += [
        f"protocol.minimum_quality.{modality}: '{modality}' is not under signals.{did_you_mean(str(modality), signals)}"
        for modality in mapping(mapping(definition, "protocol"), "minimum_quality")
        if modality not in signals
    ]
    mistakes += _cycle_mistakes(stages, others)
    for name, raw in stages.items():
        mistakes += _start_mistakes(name, _valid(Stage, raw), stages, others)
    comparisons = definition.get("compare")
    comparisons = comparisons if isinstance(comparisons, list) else []
    for position, raw in enumerate(comparisons):
        comparison = _valid(Comparison, raw)
        if comparison is not None:
            mistakes += _comparison_mistakes(f"compare.{position}", comparison, definition)
            mistakes += _unlike_arms(f"compare.{position}", comparison, stages, others)
            if raw in comparisons[:position]:
                mistakes.append(f"compare.{position}: this comparison stands there already; it would count as a claim.")
    mistakes += _choice_mistakes(definition)
    mistakes += _target_mistakes(definition)
    mistakes += _classical_mistakes(definition)
    mistakes += _kind_mistakes(definition)
    deploy = definition.get("deploy")
    if isinstance(deploy, str) and deploy not in stages:
        mistakes.append(f"deploy: there is no stage '{deploy}'.{did_you_mean(deploy, stages)}")
    if deploy is not None and definition.get("refit") is None:
        mistakes.append("deploy: nothing is refitted, so nothing is deployed; add refit: all.")
    seeds = mapping(definition, "protocol").get("seeds")
    if isinstance(seeds, list) and len({str(seed) for seed in seeds}) < len(seeds):
        mistakes.append(f"protocol.seeds: expected different seeds, found {seeds}.")
    metric = mapping(definition, "report").get("metric")
    if isinstance(metric, str) and metric in METRICS and METRICS[metric].kind != _kind(definition):
        mistakes.append(
            f"report.metric: {metric} scores a {METRICS[metric].kind}, the target is a {_kind(definition)}."
        )
    return mistakes


def alternatives(definition: Mapping[str, Any]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Return by stage the stages that it is chosen from, by what is different in each, as they would be written.

    Choices that are wrong in themselves are passed over, as is what cannot be made of a stage.
    """
    stages, choose = mapping(definition, "stages"), mapping(definition, "choose")
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for name, written in stages.items():
        chosen = {str(key): values for key, values in choose.items() if _chosen_stage(key) == name}
        if not chosen or _clashes(chosen, choose) or not all(isinstance(v, list) for v in chosen.values()):
            continue
        if f"stages.{name}" in chosen:
            others = [other for other in chosen[f"stages.{name}"] if isinstance(other, str)]
            found[name] = {other: stages[other] for other in others if isinstance(stages.get(other), Mapping)}
            continue
        stage = _valid(Stage, written)
        if stage is None or math.prod(map(len, chosen.values())) > MOST_CANDIDATES:
            continue
        plain = stage.model_dump(exclude_unset=True)  # short forms have no keys that could be set
        made: dict[str, Mapping[str, Any]] = {}
        for label, values in combinations({key.removeprefix(f"stages.{name}."): v for key, v in chosen.items()}):
            one = copy.deepcopy(plain)
            if not [mistake for key, value in values.items() for mistake in set_key(one, key, copy.deepcopy(value))]:
                made[label] = one
        found[name] = made
    return found


def _chosen_stage(key: Any) -> str:
    """Return the stage that a key of ``choose`` is about."""
    return str(key).removeprefix("stages.").partition(".")[0]


def _clashes(chosen: Mapping[str, Any], choose: Mapping[str, Any]) -> list[str]:
    """Return what is chosen twice over: a key and something within it, or among stages that are chosen themselves."""
    mistakes = []
    for key, values in chosen.items():
        mistakes += [
            f"choose.{other}: it lies within {key}, which is chosen as a whole; keep one of the two."
            for other in chosen
            if other.startswith(f"{key}.")
        ]
        if key == f"stages.{_chosen_stage(key)}":
            itself = {_chosen_stage(other) for other in choose}
            mistakes += [
                f"choose.{key}: '{value}' is itself chosen; write its values as stages, and choose among all of them."
                for value in (values if isinstance(values, list) else ())
                if isinstance(value, str) and value in itself
            ]
    return mistakes


def _choice_mistakes(definition: Mapping[str, Any]) -> list[str]:
    """Check what is chosen inside each fold: keys of stages, or stages among each other."""
    mistakes = []
    stages, choose = mapping(definition, "stages"), mapping(definition, "choose")
    for key, values in choose.items():
        first, _, rest = str(key).partition(".")
        name, _, within = rest.partition(".")
        if first != "stages" or not name:
            mistakes.append(
                f"choose.{key}: expected a key of a stage, such as stages.taught.loss.soft.weight, or an option of a "
                "recipe under distil, such as distil.weight."
            )
            continue
        if name not in stages:
            mistakes.append(f"choose.{key}: there is no stage '{name}'.{did_you_mean(name, stages)}")
            continue
        if not isinstance(values, list):
            continue  # told elsewhere
        if len({exact(value) for value in values}) < len(values):
            mistakes.append(f"choose.{key}: a value stands there twice: {', '.join(map(exact, values))}.")
        if not within:
            mistakes += [
                f"choose.{key}: there is no stage '{value}'.{did_you_mean(str(value), stages)}"
                for value in values
                if not isinstance(value, str) or value not in stages
            ]
            mistakes += [
                f"choose.{key}: a stage cannot be chosen from itself; name the others."
                for value in values
                if value == name
            ]
            continue
        if is_classical(_model_of(stages[name])):
            mistakes.append(f"choose.{key}: options of classical models are chosen by giving lists beside the name.")
        stage = _valid(Stage, stages[name])
        for value in () if stage is None else values:
            one = {} if stage is None else stage.model_dump(exclude_unset=True)
            wrong = set_key(one, within, copy.deepcopy(value))
            mistakes += [f"choose.stages.{name}.{mistake}" for mistake in wrong[:1]]
    for name in dict.fromkeys(map(_chosen_stage, choose)):
        own = {str(key): values for key, values in choose.items() if _chosen_stage(key) == name}
        mistakes += _clashes(own, choose)
        count = math.prod(len(values) for values in own.values() if isinstance(values, list))
        if count > MOST_CANDIDATES:
            mistakes.append(
                f"choose: it makes {count} candidates of '{name}', each of which is trained in each fold; expected "
                f"{MOST_CANDIDATES} at most."
            )
    return list(dict.fromkeys(mistakes)) + _candidate_mistakes(definition)


def _candidate_mistakes(definition: Mapping[str, Any]) -> list[str]:
    """Check each candidate as if it were what stands in the study; what is wrong with the study is not repeated."""
    found = {name: one for name, one in alternatives(definition).items() if one}
    if not found:
        return []
    plain = {key: value for key, value in definition.items() if key != "choose"}
    stages = mapping(plain, "stages")
    known = {*registry_mistakes(plain), *reference_mistakes(plain)}
    told: dict[str, str] = {}
    for name, candidates in found.items():
        for label, stage in candidates.items():
            one = {**plain, "stages": {**stages, name: stage}}
            mistakes = [*registry_mistakes(one), *reference_mistakes(one)]
            try:
                Stage.model_validate(stage)
            except ValidationError as error:
                mistakes += [f"stages.{name}.{mistake}" for mistake in explain(error, Stage)]
            for mistake in mistakes:
                # What reads a signal, stands in a circle, or differs is looked at over all candidates.
                over_all = mistake.startswith(("signals.", "stages: ")) or " differ in " in mistake
                if mistake not in known and not over_all:
                    told.setdefault(mistake.removeprefix(f"stages.{name}."), f"choose.stages.{name}, {label}")
    return [f"{place}: {mistake}" for mistake, place in told.items()] + _unlike_candidates(found)


def _unlike_candidates(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """Refuse candidates that predict different things, or learn from different labels."""
    mistakes = []
    for name, candidates in found.items():
        for key in ("target", "labelled"):
            values = {exact(stage.get(key)) for stage in candidates.values()}
            if len(values) > 1:
                mistakes.append(
                    f"choose.stages.{name}: its candidates differ in {key} ({' and '.join(sorted(values))}), so one "
                    "cannot be held against the other; make them alike."
                )
    return mistakes


def _target_mistakes(definition: Mapping[str, Any]) -> list[str]:
    """Check targets of single stages: that they are targets, and that nobody is taught or compared across two."""
    stages = mapping(definition, "stages")
    mistakes, names = [], {}
    for name, stage in stages.items():
        given = stage.get("target") if isinstance(stage, Mapping) else None
        names[name] = ""
        if given is None:
            continue
        try:
            target = Target.parse(given)
        except StudyError as error:
            mistakes += [f"stages.{name}.target: {mistake}" for mistake in error.mistakes]
            continue
        names[name] = target.name
        if target.rate is not None:
            mistakes.append(
                f"stages.{name}.target.rate: the target of a stage has one value per window; leave rate out."
            )
    for name, stage in stages.items():
        if not isinstance(stage, Mapping):
            continue
        made = _valid(Stage, stage)
        logits = made is not None and _takes_logits(made)
        for other in _as_list_of(stage.get("taught_by")):
            if logits and names.get(str(other), names[name]) != names[name]:
                shown = [names[str(name_)] or "the study's target" for name_ in (other, name)]
                mistakes.append(
                    f"stages.{name}.taught_by: '{other}' predicts {shown[0]} and '{name}' predicts {shown[1]}; of a "
                    "teacher with another target take features (hint, sp), not what it predicts."
                )
    comparisons = definition.get("compare")
    for position, comparison in enumerate(comparisons if isinstance(comparisons, list) else []):
        for key in ("taught", "alone"):
            other = comparison.get(key) if isinstance(comparison, Mapping) else None
            if names.get(str(other)):
                mistakes.append(
                    f"compare.{position}.{key}: '{other}' predicts {names[str(other)]}, not the study's target; "
                    "compare a stage that starts from it."
                )
    return mistakes


def _valid(kind: type[Part], value: Any) -> Part | None:
    try:
        return kind.model_validate(value)
    except ValidationError:
        return None


def mapping(definition: Mapping[str, Any], key: str) -> Mapping[str, Any]:
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


def _stands_on(stage: Mapping[str, Any]) -> dict[str, str]:
    """Return the stages that a stage names, by the key where it does."""
    start = as_start(stage.get("start"))
    named = {f"taught_by.{place}": other for place, other in enumerate(_as_list_of(stage.get("taught_by")))}
    named["start"] = start.get("stage") if isinstance(start, Mapping) else None
    for name, partner in mapping(stage, "partners").items():
        named[f"partners.{name}.stage"] = partner.get("stage") if isinstance(partner, Mapping) else None
    if "taught_by.0" in named and "taught_by.1" not in named:
        named = {key.replace("taught_by.0", "taught_by"): other for key, other in named.items()}
    return {key: other for key, other in named.items() if isinstance(other, str)}


def _as_list_of(value: Any) -> list[Any]:
    found = as_list(value)
    return found if isinstance(found, list) else []


def _unknown_references(
    name: str, stage: Mapping[str, Any], stages: Mapping[str, Any], signals: Mapping[str, Any]
) -> list[str]:
    view = as_view(stage.get("inputs"))
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


def reading_mistakes(stages: Mapping[str, Any], signals: Mapping[str, Any]) -> list[str]:
    """Check that each model can read what the steps of its inputs make: features, or signals."""
    try:
        pipelines = parse_signals(signals)
    except LimbeckError:
        return []
    mistakes = []
    for name, stage in stages.items():
        model = _model_of(stage)
        view = as_view(stage.get("inputs")) if model in MODELS else None
        read = [modality for modality in view if modality in pipelines] if isinstance(view, Mapping) else []
        reads = getattr(class_of(model), "reads", None) if read else None
        for key, gone in _lost_modalities(stage).items():
            lost = [modality for modality in gone if modality in read and not pipelines[modality].features]
            if lost and not getattr(class_of(model), "missing_modalities", False):
                able = [other for other in MODELS if getattr(class_of(other), "missing_modalities", False)]
                mistakes.append(
                    f"stages.{name}.{key}: '{model}' cannot do without the signals of {' and '.join(lost)}; take a "
                    f"model that declares missing_modalities ({', '.join(able)}), or make features of them, which then "
                    "stand at their mean."
                )
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


def _lost_modalities(stage: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the modalities that a stage loses in training or at test, by the key that says so."""
    augment = stage.get("augment")
    dropped = augment.get("drop") if isinstance(augment, Mapping) else None
    found = {
        "without": _as_list_of(stage.get("without")),
        "augment.drop": list(dropped) if isinstance(dropped, Mapping) else [],
    }
    return {key: [name for name in names if isinstance(name, str)] for key, names in found.items()}


def _unused_signals(stages: Sequence[Any], signals: Mapping[str, Any]) -> list[str]:
    views = [as_view(stage.get("inputs")) if isinstance(stage, Mapping) else None for stage in stages]
    for stage in stages:
        beside = mapping(stage, "partners").values() if isinstance(stage, Mapping) else ()
        own = [partner.get("inputs") for partner in beside if isinstance(partner, Mapping)]
        views += [as_view(inputs) for inputs in own if inputs is not None]
    used = {modality for view in views if isinstance(view, Mapping) for modality in view}
    if not views or not all(isinstance(view, Mapping) for view in views) or used - set(signals):
        return []  # a view that is wrong may be what should have named it
    return [
        f"signals.{modality}: no stage reads it; remove it, since windows are cut where all signals exist."
        for modality in signals
        if modality not in used
    ]


def _teaching_mistakes(name: str, stage: Stage | None) -> list[str]:
    """Check that teachers, losses, partners, cross-fitting and unlabelled windows go together."""
    if stage is None:
        return []
    try:
        losses = stage.made_losses()
    except LimbeckError:
        return []  # told elsewhere
    mistakes = []
    takes = {key: loss for key, loss in losses.items() if loss.logits or loss.teacher_features}
    if takes and not stage.taught_by:
        mistakes.append(
            f"stages.{name}.loss: {' and '.join(takes)} take a teacher's knowledge, but taught_by is not given."
        )
    if stage.cached_teachers and not takes:
        mistakes.append(
            f"stages.{name}.taught_by: no loss of this stage takes the teacher's knowledge; add soft or hint, "
            "or remove taught_by."
        )
    for key, loss in losses.items():
        mistakes += [
            f"stages.{name}.loss.{key}.of: '{other}' does not teach this stage.{did_you_mean(other, stage.taught_by)}"
            for other in loss.of
            if other not in stage.taught_by
        ]
        mistakes += [
            f"stages.{name}.loss.{key}: it needs the partner '{other}', which is not under partners."
            f"{did_you_mean(other, stage.partners)}"
            for other in loss.partner_sights
            if other not in stage.partners
        ]
        compared = stage.training.get("batch")
        if isinstance(compared, int) and compared < loss.fewest:
            mistakes.append(
                f"stages.{name}.loss.{key}: it compares at least {loss.fewest} windows of a batch with each other, and "
                f"training.batch is {compared}; raise it."
            )
    mistakes += _partner_mistakes(name, stage, losses)
    if stage.crossfit is not None and not stage.cached_teachers:
        mistakes.append(f"stages.{name}.crossfit: there is no teacher to cross-fit; add taught_by.")
    features = [key for key, loss in losses.items() if loss.teacher_features and not loss.relational]
    if stage.crossfit is not None and features:
        mistakes.append(
            f"stages.{name}.crossfit: features of different teachers live in different spaces, so "
            f"{' and '.join(features)} cannot be cross-fitted; use soft or a relational loss (sp, rkd)."
        )
    mistakes += _knowledge_use_mistakes(name, stage, losses)
    if stage.unlabelled and not stage.learns_without_labels:
        mistakes.append(
            f"stages.{name}.unlabelled: no loss of this stage learns from unlabelled windows; add a teacher with soft "
            "or hint, write on: all where a loss says on: labelled, or remove unlabelled."
        )
    if stage.unlabelled is False:
        mistakes += [
            f"stages.{name}.loss.{key}.on: it would learn nothing, since this stage has unlabelled: false; write "
            "on: all, or remove unlabelled."
            for key, loss in losses.items()
            if loss.on == "unlabelled"
        ]
        mistakes += [
            f"stages.{name}.knowledge.{key}: it leaves out unlabelled windows, and this stage has unlabelled: false; "
            "remove one of them."
            for key in stage.filters
        ]
    mistakes += [
        f"stages.{name}.without: '{modality}' is no input of this stage.{did_you_mean(modality, stage.inputs)}"
        for modality in stage.without
        if modality not in stage.inputs
    ]
    if stage.without and set(stage.without) >= set(stage.inputs):
        mistakes.append(f"stages.{name}.without: nothing would be left to predict from; keep a modality.")
    if len(set(stage.taught_by)) < len(stage.taught_by):
        mistakes.append(f"stages.{name}.taught_by: a teacher stands there twice: {', '.join(stage.taught_by)}.")
    return mistakes


def _knowledge_use_mistakes(name: str, stage: Stage, losses: Mapping[str, Loss]) -> list[str]:
    """Refuse options of knowledge for which nothing is handed over that they could change."""
    knowledge = stage.knowledge
    if knowledge == Knowledge():
        return []
    place = f"stages.{name}.knowledge"
    if not stage.cached_teachers:
        return [
            f"{place}: it is about what teachers hand over before the stage trains, and no teacher of this stage does; "
            "remove it, or write knowledge: {} where like takes it over."
        ]
    mistakes = []
    if not stage.filters and not any(loss.logits for loss in losses.values()):
        mistakes += [
            f"{place}.{key}: it is about logits, and no loss of this stage takes them; add soft, or remove it."
            for key, wanted in (("calibrate", knowledge.calibrate), ("combine", knowledge.combine != {"average": {}}))
            if wanted
        ]
    count = len(stage.cached_teachers)
    if count < 2 and knowledge.combine != {"average": {}}:
        mistakes.append(
            f"{place}.combine: it puts several teachers together, and one hands over its knowledge here; name another "
            "under taught_by, or remove it."
        )
    if len(knowledge.combine) != 1 or not all(isinstance(o, Mapping | None) for o in knowledge.combine.values()):
        return mistakes  # told elsewhere
    way, options = knowledge.way
    pooled = options.get("of", "probabilities" if way == "confidence" else "logits") == "probabilities"
    if count > 1 and pooled and "temperature" not in options and len(stage.soft_temperatures) > 1:
        mistakes.append(
            f"{place}.combine: probabilities are put together at the temperature of the loss that takes them, and "
            f"the losses of this stage have {', '.join(f'{t:g}' for t in stage.soft_temperatures)}; give them one, or "
            f"write combine: {{{way}: {{temperature: ...}}}}."
        )
    return mistakes


def _combining_mistakes(name: str, stage: Stage, kind: str) -> list[str]:
    """Put made-up teachers together, as many as a stage has, and return what is refused."""
    count, given = len(stage.cached_teachers), stage.knowledge.combine
    if count < 2 or len(given) != 1 or not all(isinstance(options, Mapping | None) for options in given.values()):
        return []
    way, options = stage.knowledge.way
    if COMBINATIONS.mistakes(way, options):
        return []  # told elsewhere
    truth = np.array([0, 1, 0, 1]) if kind == "class" else np.array([0.0, 1.0, 0.3, 0.6])
    values = np.random.default_rng(0).normal(size=(count, len(truth), 2 if kind == "class" else 1))
    try:
        combine(values, way, options, truth=truth, labelled=np.array([True, True, True, False]), kind=kind)
    except DataError as error:
        told = [line.removeprefix("  - ") for line in str(error).splitlines()]
        return [f"stages.{name}.knowledge.combine: {line}" for line in told[1:] or told]
    except (TypeError, ValueError, ArithmeticError) as error:
        return [f"stages.{name}.knowledge.combine: {way} cannot be used with {options} ({error})."]
    return []


def _start_mistakes(
    name: str,
    stage: Stage | None,
    stages: Mapping[str, Any],
    others: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> list[str]:
    """Refuse to start from a partner that is not there, or of which nothing is kept."""
    if stage is None or stage.start is None or stage.start.partner is None:
        return []
    start, wanted, mistakes = stage.start.stage, stage.start.partner, []
    forms = [_valid(Stage, form) for form in others.get(start, {}).values() or (stages.get(start),)]
    for form in forms:
        if form is None:
            continue
        kept = [key for key, partner in form.partners.items() if partner.learns == "gradient"]
        if wanted in kept:
            continue
        found = form.partners.get(wanted)
        if found is None:
            why = f"'{start}' has no partner '{wanted}'.{did_you_mean(wanted, kept) if kept else ' It has none.'}"
        elif wanted == form.predict_with:
            why = f"'{start}' predicts with the average '{wanted}', so its own weights are these; remove partner."
        else:
            why = (
                f"the partner '{wanted}' of '{start}' does not learn by gradient (learns: {found.learns}), and only "
                "what does is kept; start from the stage itself, or from a partner that learns."
            )
        mistakes.append(f"stages.{name}.start.partner: {why}")
    return list(dict.fromkeys(mistakes))


def _partner_mistakes(name: str, stage: Stage, losses: Mapping[str, Loss]) -> list[str]:
    """Check partners against the losses and steps that use them."""
    mistakes = []
    try:
        steps = stage.made_steps()
    except LimbeckError:
        return []
    used = {other for loss in losses.values() for other in loss.partner_sights} | {steps.partner}
    trained = set(used)
    if stage.predict_with is not None:
        used.add(stage.predict_with)
        partner = stage.partners.get(stage.predict_with)
        if partner is None or partner.learns != "average" or partner.of is not None:
            mistakes.append(
                f"stages.{name}.predict_with: expected a partner that averages the network (learns: average), found "
                f"'{stage.predict_with}'."
            )
    if steps.partner and (steps.partner not in stage.partners or steps.partner not in stage.taught_by):
        mistakes.append(
            f"stages.{name}.steps: feedback is for a partner that teaches; name '{steps.partner}' under both taught_by "
            "and partners."
        )
    live = [other for other in stage.taught_by if other in stage.partners]
    if live and len(stage.taught_by) > 1 and any(loss.logits for loss in losses.values()):
        mistakes.append(
            f"stages.{name}.taught_by: '{live[0]}' answers anew at every step, and what it says is not put together "
            "with the logits of other teachers; take losses of features for these (of: ...), or hand it over."
        )
    for key, partner in stage.partners.items():
        if steps.partner and key != steps.partner and partner.learns == "gradient":
            mistakes.append(
                f"stages.{name}.partners.{key}: feedback moves the student and its teacher only, so '{key}' would not "
                "learn; remove it, or write learns: frozen."
            )
        if key not in used | set(stage.taught_by):
            mistakes.append(f"stages.{name}.partners.{key}: no loss and no step uses it; remove it.")
        if key in stage.taught_by and partner.learns == "frozen" and not partner.start:
            mistakes.append(
                f"stages.{name}.partners.{key}: a teacher that does not learn knows only what it starts with; write "
                "start: true."
            )
        if key in stage.taught_by and partner.learns == "gradient" and key not in trained:
            mistakes.append(
                f"stages.{name}.partners.{key}: no loss and no step trains it, since what it hands over is held fixed; "
                "write learns: frozen with start: true, or train it (partner_hard, feedback)."
            )
        if partner.start and partner.stage is None:
            mistakes.append(f"stages.{name}.partners.{key}.start: name the stage to start from under stage.")
        if partner.learns == "average" and (partner.stage or partner.model or partner.inputs):
            mistakes.append(
                f"stages.{name}.partners.{key}: an average is of the network beside it; remove stage, model and inputs."
            )
        followed = None if partner.of is None else stage.partners.get(partner.of)
        if partner.of is not None and partner.learns != "average":
            mistakes.append(f"stages.{name}.partners.{key}.of: only an average follows another; write learns: average.")
        elif partner.of is not None and (followed is None or followed.learns != "gradient"):
            mistakes.append(
                f"stages.{name}.partners.{key}.of: expected a partner of this stage that learns by gradient, found "
                f"'{partner.of}'.{did_you_mean(partner.of, stage.partners)}"
            )
        if key in stage.taught_by and partner.stage != key:
            mistakes.append(f"stages.{name}.partners.{key}: it stands for the teacher '{key}'; write stage: {key}.")
        if not NAME.fullmatch(key) or key == "network":
            mistakes.append(f"stages.{name}.partners.{key}: expected a name of letters, digits and underscores.")
    return mistakes


def _comparison_mistakes(where: str, comparison: Comparison, definition: Mapping[str, Any]) -> list[str]:
    stages = mapping(definition, "stages")
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
    if judged and alone is not None and comparison.taught != comparison.alone and _is_taught(comparison.alone, stages):
        mistakes.append(f"{where}.alone: the stage '{comparison.alone}' has a teacher; name one that learns alone.")
    if comparison.diagnostics and _kind(definition) == "trace":
        mistakes.append(
            f"{where}.diagnostics: they look at a teacher's decisions, and the target is a trace; remove them."
        )
    changed = [kind for kind in comparison.diagnostics if kind in ("hard_labels", "smoothed")]
    if changed and taught is not None and taught.taught_by and not _takes_logits(taught):
        mistakes.append(
            f"{where}.diagnostics: {' and '.join(changed)} change logits, which '{comparison.taught}' does not take; "
            "add the loss soft to it or remove them."
        )
    if comparison.diagnostics and taught is not None and set(taught.taught_by) & set(taught.partners):
        mistakes.append(
            f"{where}.diagnostics: they change knowledge that was handed over, and a teacher of '{comparison.taught}' "
            "answers anew at every step; remove them."
        )
    return mistakes


def _unlike_arms(
    where: str,
    comparison: Comparison,
    stages: Mapping[str, Any],
    others: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> list[str]:
    """Refuse to judge two arms that are not the same student, or are chosen among different ones."""
    taught, alone = (
        [_valid(Stage, form) for form in others.get(name, {}).values() or (stages.get(name),)]
        for name in (comparison.taught, comparison.alone)
    )
    judged = bool(comparison.controls or comparison.diagnostics) and comparison.taught != comparison.alone
    if not judged or None in taught or None in alone:
        return []
    differing = [
        key
        for key in ("model", "inputs", "training", "labelled", "augment", "without")
        if {_shown(form, key) for form in taught} != {_shown(form, key) for form in alone}
    ]
    if not differing:
        return []
    return [
        f"{where}: '{comparison.taught}' and '{comparison.alone}' differ in {' and '.join(differing)}, so "
        "a difference between them would not be the teaching; make them alike (like: does it)."
    ]


def _shown(stage: Stage | None, key: str) -> str:
    return "" if stage is None else exact(stage.model_dump()[key])


def _takes_logits(stage: Stage) -> bool:
    try:
        return any(loss.logits for loss in stage.made_losses().values())
    except LimbeckError:
        return True  # told elsewhere


def _kind_mistakes(definition: Mapping[str, Any]) -> list[str]:
    """Refuse what does not know the kind of a stage's target: losses, and what is done to knowledge."""
    mistakes = []
    for name, stage in mapping(definition, "stages").items():
        own = isinstance(stage, Mapping) and stage.get("target") is not None
        kind = _kind(stage if own else definition)
        mistakes += _knowledge_kind_mistakes(name, _valid(Stage, stage), kind)
        losses = as_losses(stage.get("loss")) if isinstance(stage, Mapping) else None
        for key, options in (losses if isinstance(losses, Mapping) else {}).items():
            loss = options.get("loss", key) if isinstance(options, Mapping) else None
            if not isinstance(loss, str) or loss not in LOSSES:
                continue
            known: Any = LOSSES[loss]
            if kind not in known.kinds:
                every: dict[str, Any] = {other: LOSSES[other] for other in LOSSES}
                able = [other for other, one in every.items() if kind in one.kinds and one.trains_prediction]
                mistakes.append(
                    f"stages.{name}.loss.{key}: {loss} is for a {known.kinds[0]}, and the target is a {kind}; for it "
                    f"there are {', '.join(able)}."
                )
            if kind == "trace" and "temperature" in options and known.logits:
                mistakes.append(
                    f"stages.{name}.loss.{key}.temperature: the target is a trace, which has no temperature; remove it."
                )
    return mistakes


def _knowledge_kind_mistakes(name: str, stage: Stage | None, kind: str) -> list[str]:
    """Refuse what needs probabilities where the target is a trace, and teachers that cannot be put together."""
    if stage is None:
        return []
    wanted = ["calibrate"] * stage.knowledge.calibrate + stage.filters
    mistakes = [
        f"stages.{name}.knowledge.{key}: it needs the probabilities of classes, and the target is a trace; remove it."
        for key in wanted
        if kind == "trace"
    ]
    return mistakes + _combining_mistakes(name, stage, kind)


def _classical_mistakes(definition: Mapping[str, Any]) -> list[str]:
    """Refuse what only a network can do: be taught, started from, trained in epochs, hand over features, be stored."""
    stages = mapping(definition, "stages")
    models = {name: _model_of(stage) for name, stage in stages.items()}
    mistakes = []
    for name, stage in stages.items():
        if not isinstance(stage, Mapping):
            continue
        model, named = models[name], _stands_on(stage)
        if is_classical(model):
            if _as_list_of(stage.get("taught_by")):
                mistakes.append(
                    f"stages.{name}.taught_by: the model '{model}' is fitted to labels and takes no soft targets, so "
                    "nobody can teach it; take a network (linear, mlp), or remove taught_by."
                )
            if "start" in named:
                mistakes.append(
                    f"stages.{name}.start: the model '{model}' has no weights to start with; remove start, or take a "
                    "network."
                )
            own_loss = as_losses(stage.get("loss", "hard")) in ({"hard": {}}, {"hard": {"weight": 1}})
            if not _as_list_of(stage.get("taught_by")) and not own_loss:
                mistakes.append(
                    f"stages.{name}.loss: the model '{model}' is fitted to labels by a loss of its own; remove loss."
                )
            if stage.get("training"):
                mistakes.append(
                    f"stages.{name}.training: the model '{model}' is fitted in one go, without epochs and batches; "
                    "remove training. Options of the model stand beside its name."
                )
        start = models.get(named.get("start", ""), "")
        losses = as_losses(stage.get("loss"))
        for teacher in map(str, _as_list_of(stage.get("taught_by"))):
            mistakes += [
                f"stages.{name}.loss.{loss}: the teacher '{teacher}' is of the model '{models[teacher]}', which has no "
                "features to hand over, only probabilities; use soft."
                for loss, options in (losses.items() if isinstance(losses, Mapping) else ())
                if is_classical(models.get(teacher, "")) and _takes_features(loss, options)
            ]
        mistakes += [
            f"stages.{name}.{key}: '{other}' is of the model '{models[other]}', which is fitted in one go and cannot "
            "train beside a network; take a network."
            for key, other in named.items()
            if key.startswith("partners.") and is_classical(models.get(other, ""))
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


def _takes_features(loss: str, options: Any) -> bool:
    try:
        made = make_losses({loss: options})[loss]
    except (LimbeckError, TypeError):
        return False  # told elsewhere
    return bool(made.teacher_features)


def _model_of(stage: Any) -> str:
    """Return the name of a stage's model, empty where there is none."""
    model = as_mapping(stage.get("model")) if isinstance(stage, Mapping) else None
    name = model.get("name") if isinstance(model, Mapping) else None
    return name if isinstance(name, str) else ""


def _is_taught(name: str, stages: Mapping[str, Any], seen: frozenset[str] = frozenset()) -> bool:
    """Whether a stage has a teacher, or starts from one that has."""
    stage = stages.get(name)
    if not isinstance(stage, Mapping) or name in seen:
        return False
    named = _stands_on(stage)
    beside = mapping(stage, "partners").values()
    if _as_list_of(stage.get("taught_by")) or any(
        isinstance(partner, Mapping) and partner.get("learns") != "average" for partner in beside
    ):
        return True
    return "start" in named and _is_taught(named["start"], stages, seen | {name})


def _cycle_mistakes(stages: Mapping[str, Any], others: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    forms = {name: [stage, *others.get(name, {}).values()] for name, stage in stages.items()}
    edges = {
        name: [
            other
            for form in own
            for other in (_stands_on(form).values() if isinstance(form, Mapping) else ())
            if other in stages
        ]
        for name, own in forms.items()
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
