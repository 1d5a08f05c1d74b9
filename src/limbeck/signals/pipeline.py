"""Steps and features by name, and pipelines of them as a study writes them.

A *step* turns samples into samples; it runs on the whole recording before windows are cut (filters, resampling) or on
each window. A *feature* turns the samples of a window into named numbers, per channel. Both are plain functions of an
array ``(..., n_times)`` and a rate; their decorators add what a pipeline must know.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, Literal, cast

import numpy as np

from limbeck.errors import DataError, StudyError, did_you_mean
from limbeck.recording import MODALITIES, Signal
from limbeck.registry import Registry

__all__ = [
    "FEATURES",
    "STEPS",
    "FeatureKind",
    "Pipeline",
    "Step",
    "StepKind",
    "WindowValues",
    "feature",
    "parse_signals",
    "parse_steps",
    "step",
]

STEPS = Registry("signal step")
FEATURES = Registry("feature")

Runs = Literal["recording", "window"]


def _same(value: Any, **_: Any) -> Any:
    return value


def _no_mistakes(**_: Any) -> Iterable[str]:
    return ()


@dataclass(frozen=True)
class Kind:
    """A registered function, and what a pipeline must know of it.

    Parameters
    ----------
    name : str
        As written in a study.
    function : callable
    modalities : tuple of str
        Those for which it makes sense; empty for all.
    check : callable
        Takes the parameters by name and yields what is wrong with them.
    libraries : tuple of str
        Packages, other than numpy and scipy, whose version can change the result.
    """

    name: str
    function: Callable[..., np.ndarray]
    modalities: tuple[str, ...] = field(default=(), kw_only=True)
    check: Callable[..., Iterable[str]] = field(default=_no_mistakes, kw_only=True)
    libraries: tuple[str, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "__doc__", self.function.__doc__)

    def __call__(self, x: np.ndarray, rate: float, **parameters: Any) -> np.ndarray:
        """Call the function."""
        return self.function(x, rate, **parameters)


@dataclass(frozen=True)
class StepKind(Kind):
    """A registered step: ``function(x, rate, **parameters)`` with `x` of shape (..., n_channels, n_times).

    Parameters
    ----------
    name, function, modalities, check, libraries
        As of :class:`Kind`.
    runs : {"recording", "window"}
        Before the cut or per window.
    causal : bool or str
        Whether no output depends on a later sample; the name of the boolean parameter that decides it.
    new_rate, new_channels, new_unit : callable
        What becomes of rate (``(rate, **parameters)``), channel names and unit.
    """

    runs: Runs
    causal: bool | str
    new_rate: Callable[..., float] = _same
    new_channels: Callable[..., tuple[str, ...]] = _same
    new_unit: Callable[..., str] = _same


@dataclass(frozen=True)
class FeatureKind(Kind):
    """A registered feature: ``function(x, rate, **parameters)``, (..., n_times) to (..., n_columns), per channel.

    A function that has a parameter `modality` is told it.

    Parameters
    ----------
    name, function, modalities, check, libraries
        As of :class:`Kind`.
    columns : callable
        Takes the parameters by name and returns the names of the columns.
    """

    columns: Callable[..., tuple[str, ...]]


def step(name: str, *, runs: Runs, causal: bool | str, **properties: Any) -> Callable[..., Any]:
    """Register a function as a step; the other keywords are those of :class:`StepKind`."""

    def decorate(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        STEPS.register(name)(StepKind(name, function, runs, causal, **properties))
        return function

    return decorate


def feature(name: str, *, columns: Callable[..., tuple[str, ...]], **properties: Any) -> Callable[..., Any]:
    """Register a function as a feature; the other keywords are those of :class:`FeatureKind`."""

    def decorate(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        FEATURES.register(name)(FeatureKind(name, function, columns, **properties))
        return function

    return decorate


@dataclass(frozen=True)
class Step:
    """A registered step or feature with its parameters, defaults filled in.

    Parameters
    ----------
    kind : StepKind or FeatureKind
    parameters : mapping
    """

    kind: StepKind | FeatureKind
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name as written in a study."""
        return self.kind.name

    @property
    def runs(self) -> Runs:
        """Whether it works on the ``"recording"`` before the cut or per ``"window"``."""
        return self.kind.runs if isinstance(self.kind, StepKind) else "window"

    @property
    def causal(self) -> bool:
        """Whether nothing depends on samples behind the one, or the window, that it is computed for."""
        if isinstance(self.kind, FeatureKind):
            return True
        causal = self.kind.causal
        return bool(self.parameters[causal]) if isinstance(causal, str) else causal

    def __reduce__(self) -> tuple[Any, ...]:
        # kinds hold lambdas; a worker finds them by name in its own registry
        registry = "steps" if isinstance(self.kind, StepKind) else "features"
        return (_rebuild_step, (registry, self.name, dict(self.parameters), self.kind.function.__module__))


def _rebuild_step(registry: str, name: str, parameters: dict[str, Any], module: str) -> Step:
    import_module(module)  # whoever's step it is, it registers itself there
    return Step(cast("StepKind | FeatureKind", (STEPS if registry == "steps" else FEATURES)[name]), parameters)


@dataclass(frozen=True)
class WindowValues:
    """What a pipeline makes of windows.

    Parameters
    ----------
    data : ndarray of shape (n_windows, n_channels, n_times) or (n_windows, n_columns), float32
    channels : tuple of str
        A name per channel; for features, the channel that each column comes from.
    features : tuple of str or None
        Column names such as ``eeg.Fp1.bandpower.alpha``, channel by channel and within it in the order of the features
        named; None for samples.
    """

    data: np.ndarray
    channels: tuple[str, ...]
    features: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Pipeline:
    """The steps of one modality, in order; without any, samples pass as they are.

    Parameters
    ----------
    modality : str
    steps : tuple of Step
        Those on the recording, then those per window.
    features : tuple of Step
        What becomes of each window; empty to keep its samples.
    """

    modality: str
    steps: tuple[Step, ...] = ()
    features: tuple[Step, ...] = ()

    @property
    def causal(self) -> bool:
        """Whether every step is."""
        return all(each.causal for each in self.steps)

    @property
    def definition(self) -> dict[str, Any]:
        """The whole pipeline with every parameter, as JSON values."""
        return {
            "modality": self.modality,
            "steps": [[each.name, _as_json(each.parameters)] for each in self.steps],
            "features": [[each.name, _as_json(each.parameters)] for each in self.features],
        }

    def on_recording(self, signal: Signal) -> Signal:
        """Run the steps that work before the cut.

        Parameters
        ----------
        signal : Signal
            Of this modality.

        Returns
        -------
        Signal
            float32, with the rate, channels and unit that the steps leave.

        Raises
        ------
        DataError
            What a step refuses, with the step's name and the modality.
        """
        for each in self.steps:
            if each.runs == "recording":
                signal = self._apply(each, signal)
        return replace(signal, data=signal.data.astype(np.float32, copy=False))

    def on_windows(self, data: np.ndarray, rate: float, channels: Sequence[str]) -> WindowValues:
        """Run the steps and features that work per window.

        Parameters
        ----------
        data : ndarray of shape (n_windows, n_channels, n_times)
        rate : float
            Hz.
        channels : sequence of str

        Returns
        -------
        WindowValues
        """
        names = tuple(channels)
        for each in self.steps:
            if each.runs == "window":
                with _naming(self.modality, each):
                    data = each.kind(data, rate, **each.parameters)
                names = cast("StepKind", each.kind).new_channels(names)
        if not self.features:
            return WindowValues(np.ascontiguousarray(data, dtype=np.float32), names)
        columns = [f"{each.name}.{name}" for each in self.features for name in self._columns(each)]
        values = np.concatenate([self._compute(each, data, rate) for each in self.features], axis=-1)
        return WindowValues(
            np.ascontiguousarray(values, dtype=np.float32).reshape(len(data), -1),
            tuple(name for name in names for _ in columns),
            tuple(f"{self.modality}.{name}.{column}" for name in names for column in columns),
        )

    def _apply(self, each: Step, signal: Signal) -> Signal:
        kind = cast("StepKind", each.kind)
        with _naming(self.modality, each):
            data = kind(signal.data, signal.rate, **each.parameters)
        return Signal(
            data=data,
            rate=kind.new_rate(signal.rate, **each.parameters),
            channels=kind.new_channels(signal.channels),
            unit=kind.new_unit(signal.unit),
            start=signal.start,
        )

    @staticmethod
    def _columns(each: Step) -> tuple[str, ...]:
        return cast("FeatureKind", each.kind).columns(**each.parameters)

    def _compute(self, each: Step, data: np.ndarray, rate: float) -> np.ndarray:
        told = {"modality": self.modality} if "modality" in inspect.signature(each.kind.function).parameters else {}
        with _naming(self.modality, each):
            return each.kind(data, rate, **each.parameters, **told)


class _naming:  # noqa: N801 (a context manager, used as a word)
    """Put the modality and the step in front of what a step refuses."""

    def __init__(self, modality: str, each: Step) -> None:
        self.place = f"signals.{modality}, {each.name}"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DataError):
            raise DataError(f"{self.place}: {error}") from error


def _as_json(value: Any) -> Any:
    if isinstance(value, Mapping):  # as pairs, since the order of bands is the order of columns
        return [[str(key), _as_json(entry)] for key, entry in value.items()]
    if isinstance(value, list | tuple):
        return [_as_json(entry) for entry in value]
    return value


def parse_signals(signals: Mapping[str, Any], *, source: str = "signals") -> dict[str, Pipeline]:
    """Build the pipelines of a study's ``signals``.

    Parameters
    ----------
    signals : mapping of str to list
        Modality to steps as of :func:`parse_steps`.
    source : str
        What messages call the mapping.

    Returns
    -------
    dict of str to Pipeline

    Raises
    ------
    StudyError
        With every mistake of every modality.

    Examples
    --------
    >>> pipelines = parse_signals({"eeg": [{"bandpass": [1, 40]}, {"features": ["bandpower"]}], "eda": []})
    >>> pipelines["eeg"].features[0].name
    'bandpower'
    """
    pipelines, mistakes = {}, []
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
    if mistakes:
        raise StudyError(mistakes, source=source)
    return pipelines


def parse_steps(steps: Any, *, modality: str, source: str = "") -> Pipeline:
    """Build the pipeline of one modality from its YAML form.

    Parameters
    ----------
    steps : list
        Each a bare name, or a mapping with one key, the name, to its arguments: a list is positional, a mapping by
        keyword, anything else the one positional argument. The last may be ``{features: [...]}``, a list in the same
        form over the features. Steps on the recording come before steps per window.
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
    for index, entry in enumerate(steps):
        place = f"{source}[{index}]"
        name, arguments = _name_and_arguments(entry, place, mistakes)
        if name == "features":
            if index != len(steps) - 1:
                mistakes.append(f"{place}: features must be the last step")
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
    return Pipeline(modality, tuple(chosen), tuple(features))


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
    # the first two are the signal and its rate; the modality is told by the pipeline
    declared = {
        name: parameter
        for name, parameter in list(inspect.signature(kind.function).parameters.items())[2:]
        if name != "modality"
    }
    positional = [name for name, parameter in declared.items() if parameter.kind is not inspect.Parameter.KEYWORD_ONLY]
    mistakes: list[str] = []
    given: dict[str, Any] = {}
    if isinstance(arguments, Mapping):
        given = dict(arguments)
    elif arguments is not None:
        values = list(arguments) if isinstance(arguments, list | tuple) else [arguments]
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


def _type_mistakes(name: str, value: Any, annotation: str) -> Iterator[str]:
    """Check numbers and switches by the annotation; the rest is the business of the kind's own check."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if annotation == "float" and not (number and math.isfinite(value)):
        yield f"{name} must be a number, found {value!r}"
    elif annotation == "int" and not (number and isinstance(value, int) and value > 0):
        yield f"{name} must be a whole number above 0, found {value!r}"
    elif annotation == "bool" and not isinstance(value, bool):
        yield f"{name} must be true or false, found {value!r}"
