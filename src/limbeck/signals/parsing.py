"""Pipelines as a study writes them: names and arguments checked as a whole, every mistake at once."""

from __future__ import annotations

import inspect
import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any, cast

from limbeck.errors import StudyError, did_you_mean
from limbeck.recording import MODALITIES
from limbeck.registry import Registry
from limbeck.signals.kinds import FEATURES, STEPS, FeatureKind, Step, StepKind
from limbeck.signals.pipeline import Pipeline
from limbeck.signals.sets import FEATURE_SETS, FeatureSet, feature_set

__all__ = ["parse_signals", "parse_steps"]


def parse_signals(
    signals: Mapping[str, Any] | str, *, live: Collection[str] = (), source: str = "signals"
) -> dict[str, Pipeline]:
    """Build the pipelines of a study's ``signals``.

    Parameters
    ----------
    signals : mapping of str to list, or str
        Modality to steps as of :func:`parse_steps`; the name of a set in `FEATURE_SETS` for all of its modalities.
    live : collection of str
        Modalities whose pipelines are to run live, which they can only if every step is causal.
    source : str
        What messages call the mapping.

    Returns
    -------
    dict of str to Pipeline

    Raises
    ------
    StudyError
        With every mistake of every modality; each step that looks ahead in a pipeline that is to run live.

    Examples
    --------
    >>> pipelines = parse_signals({"eeg": [{"bandpass": [1, 40]}, {"features": ["bandpower"]}], "eda": []})
    >>> pipelines["eeg"].features[0].name
    'bandpower'
    """
    pipelines, mistakes = {}, []
    if isinstance(signals, str):
        return parse_signals(feature_set(signals).pipelines, live=live, source=source)
    if not isinstance(signals, Mapping) or not signals:
        raise StudyError(
            [f"name at least one modality with its steps, such as {{eda: []}}; found {signals!r}"], source=source
        )
    for modality, steps in signals.items():
        if modality not in MODALITIES:
            mistakes.append(f"{source}: there is no modality '{modality}'.{did_you_mean(str(modality), MODALITIES)}")
            continue
        try:
            pipelines[modality] = parse_steps(steps, modality=modality, source=f"{source}.{modality}")
        except StudyError as error:
            mistakes.extend(error.mistakes)
    mistakes += [
        f"live: there are no signals of '{modality}'.{did_you_mean(modality, signals)}"
        for modality in live
        if modality not in signals
    ]
    mistakes += [
        f"{source}.{modality}: a pipeline that runs live must be causal, and {why}"
        for modality, pipeline in pipelines.items()
        if modality in live
        for why in pipeline.not_causal
    ]
    if mistakes:
        raise StudyError(mistakes, source=source)
    return pipelines


def parse_steps(steps: Any, *, modality: str, source: str = "") -> Pipeline:
    """Build the pipeline of one modality from its YAML form.

    Parameters
    ----------
    steps : list
        Each a bare name, or a mapping with one key, the name, to its arguments: a list is positional (or, where there
        is one positional argument that is a list, that one), a mapping by keyword, anything else the one positional
        argument. The last may be ``{features: [...]}``, a list in the same
        form over the features, or ``{features: wearable}``, the features of a set in `FEATURE_SETS` for this modality.
        Steps on the recording come before steps per window.
    modality : str
    source : str
        What messages call the list; ``signals.<modality>`` by default.

    Returns
    -------
    Pipeline

    Raises
    ------
    StudyError
        With every mistake: unknown names (with the nearest), wrong or missing arguments, wrong order.
    """
    source = source or f"signals.{modality}"
    mistakes: list[str] = []
    if steps is None:
        steps = []
    if not isinstance(steps, list | tuple):
        raise StudyError([f"{source}: expected a list of steps ([] for none), found {steps!r}"], source=source)
    chosen: list[Step] = []
    features: list[Step] = []
    chosen_set: FeatureSet | None = None
    for index, entry in enumerate(steps):
        place = f"{source}[{index}]"
        name, arguments = _name_and_arguments(entry, place, mistakes)
        if name == "features":
            if index != len(steps) - 1:
                mistakes.append(f"{place}: features must be the last step")
            if isinstance(arguments, str):
                chosen_set = FEATURE_SETS.get(arguments)
                arguments = _features_of_set(arguments, modality, place, mistakes)
                features = _parse_features(arguments, modality, place, mistakes) if arguments else []
            else:
                features = _parse_features(arguments, modality, place, mistakes)
        elif name is not None:
            each = _parse_entry(STEPS, name, arguments, modality, place, mistakes)
            if each and each.runs == "recording" and chosen and chosen[-1].runs == "window":
                mistakes.append(
                    f"{place}: {each.name} works on the recording before the cut, so it must stand before "
                    f"{chosen[-1].name}, which works on windows"
                )
            chosen += [each] if each else []
    if mistakes:
        raise StudyError(mistakes, source=source)
    if chosen_set is None:
        return Pipeline(modality, tuple(chosen), tuple(features))
    return Pipeline(
        modality,
        tuple(chosen),
        tuple(features),
        column_major=chosen_set.column_major,
        n_channels=chosen_set.channels.get(modality),
    )


def _features_of_set(name: str, modality: str, place: str, mistakes: list[str]) -> list[Any] | None:
    """Return the features that a set computes from a modality, without its steps."""
    if name not in FEATURE_SETS:
        nearest = did_you_mean(name, [*FEATURE_SETS, *FEATURES])
        hint = f" '{name}' is a feature: write {{features: [{name}]}}." if name in FEATURES else nearest
        mistakes.append(f"{place}.features: there is no feature set '{name}'.{hint}")
        return None
    chosen = FEATURE_SETS[name]
    if modality not in chosen.signals:
        mistakes.append(f"{place}.features: the set {name} is of {', '.join(chosen.signals)}, not of {modality}")
        return None
    last = chosen.signals[modality][-1]
    return cast("list[Any]", last["features"])


def _parse_features(entries: Any, modality: str, place: str, mistakes: list[str]) -> list[Step]:
    if not isinstance(entries, list | tuple) or not entries:
        mistakes.append(f"{place}.features: expected a list of features, found {entries!r}")
        return []
    features: list[Step] = []
    for index, entry in enumerate(entries):
        name, arguments = _name_and_arguments(entry, f"{place}.features[{index}]", mistakes)
        if name is not None:
            each = _parse_entry(FEATURES, name, arguments, modality, f"{place}.features[{index}]", mistakes)
            features += [each] if each else []
    columns = [
        f"{each.name}.{column}"
        for each in features
        if not cast("FeatureKind", each.kind).across
        for column in cast("FeatureKind", each.kind).columns(**each.parameters)
    ]
    twice = sorted({column for column in columns if columns.count(column) > 1})
    mistakes.extend(f"{place}.features: the column {column} is computed twice" for column in twice)
    return features


def _name_and_arguments(entry: Any, place: str, mistakes: list[str]) -> tuple[str | None, Any]:
    if isinstance(entry, str):
        return entry, None
    if isinstance(entry, Mapping) and len(entry) == 1:
        ((name, arguments),) = entry.items()
        if isinstance(name, str):
            return name, arguments
    mistakes.append(f"{place}: expected a name or a mapping with one name, found {entry!r}")
    return None, None


def _parse_entry(
    registry: Registry, name: str, arguments: Any, modality: str, place: str, mistakes: list[str]
) -> Step | None:
    if name not in registry:
        other = FEATURES if registry is STEPS else STEPS
        hint = (
            f" '{name}' is a {other.kind}: write {{features: [{name}]}}."
            if name in other and registry is STEPS
            else did_you_mean(name, [*registry, *(["features"] if registry is STEPS else [])])
        )
        mistakes.append(f"{place}: there is no {registry.kind} '{name}'.{hint}")
        return None
    kind = cast("StepKind | FeatureKind", registry[name])
    if kind.modalities and modality not in kind.modalities:
        mistakes.append(f"{place}: {name} is for {' and '.join(kind.modalities)}, not for {modality}")
        return None
    parameters, wrong = _bind(kind, arguments)
    if not wrong:
        wrong = list(kind.check(**parameters))
    mistakes.extend(f"{place}: {name}: {mistake}" for mistake in wrong)
    return None if wrong else Step(kind, parameters)


def _bind(kind: StepKind | FeatureKind, arguments: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the parameters with defaults filled in, and what is wrong with the arguments."""
    declared = kind.parameters
    positional = [name for name, parameter in declared.items() if parameter.kind is not inspect.Parameter.KEYWORD_ONLY]
    mistakes: list[str] = []
    given: dict[str, Any] = {}
    if isinstance(arguments, Mapping):
        given = dict(arguments)
    elif arguments is not None:
        values = list(arguments) if isinstance(arguments, list | tuple) else [arguments]
        if (
            isinstance(arguments, list | tuple)
            and len(positional) == 1
            and _is_one_list(values, declared[positional[0]])
        ):
            values = [values]
        if len(values) > len(positional):
            usage = f"takes {', '.join(positional)}" if positional else "takes none without a name"
            mistakes.append(f"{len(values)} arguments found, {usage}")
        given = dict(zip(positional, values, strict=False))
    unknown = [name for name in given if name not in declared]
    mistakes.extend(f"there is no argument '{name}'.{did_you_mean(str(name), declared)}" for name in unknown)
    for name, parameter in declared.items():
        if name in given:
            mistakes.extend(_type_mistakes(name, given[name], str(parameter.annotation)))
        elif parameter.default is inspect.Parameter.empty:
            mistakes.append(f"the argument '{name}' is missing")
    return {name: given.get(name, parameter.default) for name, parameter in declared.items()}, mistakes


def _is_one_list(values: list[Any], parameter: inspect.Parameter) -> bool:
    """Return whether ``{pick: [F3, F4]}`` gives one list, where it could give two arguments."""
    return "Sequence" in str(parameter.annotation) and not any(isinstance(value, list | tuple) for value in values)


def _type_mistakes(name: str, value: Any, annotation: str) -> Iterator[str]:
    """Check numbers and switches by the annotation; the rest is the business of the kind's own check."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if annotation == "float" and not (number and math.isfinite(value)):
        yield f"{name} must be a number, found {value!r}"
    elif annotation == "int" and not (number and isinstance(value, int) and value >= 0):
        yield f"{name} must be a whole number, 0 or more, found {value!r}"
    elif annotation == "bool" and not isinstance(value, bool):
        yield f"{name} must be true or false, found {value!r}"
