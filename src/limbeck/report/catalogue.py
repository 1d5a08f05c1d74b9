"""What the registered steps, features and feature sets are, in words, with what they cost measured on the spot."""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from limbeck.errors import LimbeckError, did_you_mean
from limbeck.recording import MODALITIES, UNITS, Signal
from limbeck.signals import FEATURE_SETS, FEATURES, STEPS, FeatureKind, Pipeline, StepKind, parse_signals
from limbeck.signals.sets import DEAP_EEG, FeatureSet

__all__ = ["Entry", "describe", "list_features", "list_sets", "list_steps", "named", "usual_signal"]

SECONDS = 60.0
"""Length of the signal on which costs are measured."""

RATES = {
    "eeg": 128.0, "eog": 128.0, "ecg": 256.0, "emg": 512.0, "eda": 4.0, "bvp": 64.0, "resp": 32.0, "temp": 4.0,
    "acc": 32.0, "gaze": 60.0, "video": 30.0,
}  # fmt: skip
"""Hz at which each modality is usually recorded."""

LABORATORY = 512.0
"""Hz at which a set is measured whose filters the usual rates do not allow."""

EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "bandpass": {"low": 1.0, "high": 40.0},
    "bandstop": {"low": 48.0, "high": 52.0},
    "baseline": {"start": 0.0, "end": 5.0},
    "clip": {"low": -100.0, "high": 100.0},
    "decimate": {"factor": 2},
    "highpass": {"cutoff": 1.0},
    "lowpass": {"cutoff": 40.0},
    "pick": {"names": ["Fp1", "Fp2"]},
    "resample": {"to": 64.0},
}
"""Values for parameters without defaults, by kind, with which its cost is measured."""

BUDGET = 1.0
"""Seconds that a measurement may take, but for the first run."""

RUNS = 7
"""Runs of which the median is told, at most."""


@dataclass(frozen=True)
class Entry:
    """What there is to say of a step, a feature or a set.

    Parameters
    ----------
    name : str
    facts : mapping of str to str
        By their names, in the order in which they are shown.
    text : str
        The help, as it is written in the code.
    """

    name: str
    facts: Mapping[str, str]
    text: str


def named() -> list[str]:
    """Return the names of all steps, features and sets."""
    return sorted({*STEPS, *FEATURES, *FEATURE_SETS})


def hint(name: str) -> str:
    """Say what somebody may have meant by a name that is none: a kind of a feature, a modality, a misspelt name."""
    if name in MODALITIES:
        of = [other for other in FEATURES if name in cast("FeatureKind", FEATURES[other]).modalities]
        return f" Of {name} there are: {', '.join(of)}, and those for any modality." if of else ""
    kinds = [other for other in FEATURES if _has_kind(cast("FeatureKind", FEATURES[other]), name)]
    if kinds:
        return f" It is a kind of {' and of '.join(kinds)}: write {{{kinds[0]}: [{name}]}}."
    return did_you_mean(name, named())


def _has_kind(feature: FeatureKind, name: str) -> bool:
    defaults = {key: parameter.default for key, parameter in feature.parameters.items()}
    return "kinds" in defaults and not list(feature.check(**defaults | {"kinds": [name]}))


# ---- lists ----------------------------------------------------------------------------------------------------------


def list_steps() -> list[tuple[str, ...]]:
    """Return a row per step: name, what it runs on, whether it is causal, modalities, what it does."""
    rows: list[tuple[str, ...]] = []
    for name in STEPS:
        kind = cast("StepKind", STEPS[name])
        causal = "yes" if kind.causal is True else "no"
        if isinstance(kind.causal, str):
            causal = "by default" if kind.parameters[kind.causal].default else "on request"
        rows.append((name, kind.runs, causal, _modalities(kind), _first_line(kind)))
    return rows


def list_features() -> list[tuple[str, ...]]:
    """Return a row per feature: name, modalities, columns by default, what it computes."""
    rows: list[tuple[str, ...]] = []
    for name in FEATURES:
        kind = cast("FeatureKind", FEATURES[name])
        columns = _default_columns(kind)
        count = "" if columns is None else str(len(columns))
        rows.append((name, _modalities(kind), "by channels" if kind.across else count, _first_line(kind)))
    return rows


def list_sets() -> list[tuple[str, ...]]:
    """Return a row per feature set: name, modalities, columns, what it is."""
    return [
        (name, " ".join(each.signals), str(each.columns or "by channels"), each.title)
        for name, each in FEATURE_SETS.items()
    ]


def _modalities(kind: StepKind | FeatureKind) -> str:
    return " ".join(kind.modalities) or "any"


def _first_line(kind: StepKind | FeatureKind) -> str:
    return _plain(inspect.cleandoc(kind.function.__doc__ or "").partition("\n")[0])


def _plain(text: str) -> str:
    """Take the marks of the documentation's markup out: ``:func:`x``` becomes ``x``."""
    return re.sub(r":\w+:`~?([^`]*)`", r"\1", text).replace("``", "`")


def _default_columns(kind: FeatureKind) -> tuple[str, ...] | None:
    """Return the columns of a feature with its defaults; None where a parameter has none."""
    parameters = _defaults(kind)
    if parameters is None:
        return None
    if kind.across:
        modality = _usual_modality(kind)
        columns = kind.columns(channels=usual_signal(modality, 1.0).channels, **parameters)
        return tuple(
            f"{of_what}.{name}.{column}" for name, (of_what, column) in ((kind.name, pair) for pair in columns)
        )
    return kind.columns(**parameters)


def _defaults(kind: StepKind | FeatureKind) -> dict[str, Any] | None:
    """Return the parameters by default, with the examples where there is none; None where there is no example."""
    given = {name: parameter.default for name, parameter in kind.parameters.items()} | dict(EXAMPLES.get(kind.name, {}))
    return None if any(value is inspect.Parameter.empty for value in given.values()) else given


# ---- one of them ----------------------------------------------------------------------------------------------------


def describe(name: str) -> list[Entry]:
    """Return what there is to say of a name: of the step, the feature and the set that are called so."""
    entries = []
    if name in STEPS:
        entries.append(_describe_step(cast("StepKind", STEPS[name])))
    if name in FEATURES:
        entries.append(_describe_feature(cast("FeatureKind", FEATURES[name])))
    if name in FEATURE_SETS:
        entries.append(_describe_set(FEATURE_SETS[name]))
    return entries


def _describe_step(kind: StepKind) -> Entry:
    where = "the recording, before windows are cut" if kind.runs == "recording" else "each window"
    if isinstance(kind.causal, str):
        causal = f"with {kind.causal}: true; by default it looks at later samples"
        if kind.parameters[kind.causal].default:
            causal = f"yes, unless {kind.causal}: false"
    else:
        causal = "yes" if kind.causal else "no, it looks at later samples"
    facts = {"is": f"a step on {where}", "modalities": _modalities(kind), "causal": causal}
    parameters = _defaults(kind)
    if parameters is not None:
        unit = kind.new_unit("u", **parameters)
        facts["unit"] = "the signal's" if unit == "u" else f"{unit}, where u is the signal's"
    return _finish(kind, facts)


def _describe_feature(kind: FeatureKind) -> Entry:
    of_what = "across channels" if kind.across else "per channel"
    facts = {"is": f"a feature of each window, {of_what}", "modalities": _modalities(kind)}
    facts["causal"] = "yes, with the end of the window"
    facts["unit"] = kind.unit
    columns = _default_columns(kind)
    if columns is not None:
        facts["columns"] = f"{len(columns)} by default: {_shortened(columns)}"
    return _finish(kind, facts)


def _shortened(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _finish(kind: StepKind | FeatureKind, facts: dict[str, str]) -> Entry:
    facts["source"] = kind.source
    if kind.libraries:
        facts["libraries"] = ", ".join(kind.libraries)
    facts["arguments"] = ", ".join(_written(parameter) for parameter in kind.parameters.values()) or "none"
    facts["cost"] = _cost(kind)
    return Entry(kind.name, facts, _plain(inspect.cleandoc(kind.function.__doc__ or "")))


def _written(parameter: inspect.Parameter) -> str:
    return parameter.name if parameter.default is parameter.empty else f"{parameter.name}={parameter.default!r}"


def _describe_set(each: FeatureSet) -> Entry:
    pipelines = parse_signals(each.name)
    facts = {"is": f"a feature set: {each.title}", "source": each.source}
    facts["columns"] = str(each.columns) if each.columns else "by the sensors at hand"
    layout = "all channels of a column, then of the next" if each.column_major else "channel by channel"
    facts["layout"] = f"{', then '.join(each.signals)}; within a modality {layout}"
    for modality, count in each.channels.items():
        facts[f"{modality} channels"] = str(count)
    for modality, pipeline in pipelines.items():
        facts[modality] = _pipeline_in_words(pipeline)
    facts["causal"] = "yes" if all(pipeline.causal for pipeline in pipelines.values()) else "no"
    facts["cost"] = _cost_of_set(each, pipelines)
    return Entry(each.name, facts, f"In a study: signals: {each.name}, or under a modality {{features: {each.name}}}.")


def _pipeline_in_words(pipeline: Pipeline) -> str:
    from limbeck.report.signals import steps_in_words

    return f"{steps_in_words(pipeline.steps) or 'no steps'} → {steps_in_words(pipeline.features)}"


# ---- cost -----------------------------------------------------------------------------------------------------------


def usual_signal(
    modality: str, seconds: float = SECONDS, *, channels: int | None = None, rate: float | None = None
) -> Signal:
    """Return a synthetic signal of a modality at its usual rate.

    Parameters
    ----------
    modality : str
        Of `MODALITIES`.
    seconds : float
    channels : int, optional
        By default 32 electrodes for EEG, three axes for acceleration, two for EOG, else one.
    rate : float, optional
        Hz; by default that of `RATES`.

    Returns
    -------
    Signal
        The same each time: beats, breaths or responses where the modality has them, and noise.
    """
    rate = rate or RATES[modality]
    names = {"eeg": DEAP_EEG, "acc": ("x", "y", "z"), "eog": ("hEOG", "vEOG")}.get(modality, (modality,))
    if channels is not None:
        names = names[:channels] if channels <= len(names) else tuple(f"{modality}{n + 1}" for n in range(channels))
    rng = np.random.default_rng(MODALITIES.index(modality))
    times = np.arange(round(seconds * rate)) / rate
    noise = rng.normal(size=(len(names), len(times)))
    shape = _SHAPES.get(modality, lambda times, noise: noise)
    return Signal(shape(times, noise).astype(np.float32), rate, names, UNITS[modality])


def _pulses(times: np.ndarray, period: float, width: float, skew: float = 1.0) -> np.ndarray:
    """Return bumps a period apart, with `width` the spread of their rise and `skew` times it that of their fall."""
    phase = (times + period / 2) % period - period / 2
    return np.exp(-0.5 * np.square(phase / np.where(phase < 0, width, skew * width)))


_SHAPES: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "eeg": lambda times, noise: 10 * noise + 15 * np.sin(2 * np.pi * 10 * times),
    "eog": lambda times, noise: 5 * noise + 150 * _pulses(times, 4.1, 0.08),
    "ecg": lambda times, noise: 0.01 * noise + _pulses(times, 0.83, 0.012) + 0.2 * _pulses(times - 0.25, 0.83, 0.04),
    "emg": lambda times, noise: 0.05 * noise * (0.2 + _pulses(times, 6.0, 0.5)),
    "eda": lambda times, noise: 2 + 0.002 * noise + 0.005 * times + 0.3 * _pulses(times, 7.3, 0.5, skew=3.0),
    "bvp": lambda times, noise: noise + 50 * _pulses(times, 0.83, 0.1, skew=1.5),
    "resp": lambda times, noise: 0.02 * noise + np.sin(2 * np.pi * times / 3.9),
    "temp": lambda times, noise: 32 + 0.02 * noise + 0.001 * times,
    "acc": lambda times, noise: 0.02 * noise + np.eye(len(noise))[:, -1:],
}
"""What a modality looks like, of times (n_times,) and unit noise (n_channels, n_times)."""


def _usual_modality(kind: StepKind | FeatureKind) -> str:
    return kind.modalities[0] if kind.modalities else "eeg"


def _cost(kind: StepKind | FeatureKind) -> str:
    """Measure how long a kind takes, and say on what."""
    modality = _usual_modality(kind)
    parameters = _defaults(kind)
    if parameters is None:
        lacking = [name for name, parameter in kind.parameters.items() if parameter.default is parameter.empty]
        return f"not measured: {' and '.join(lacking)} must be given"
    signal = usual_signal(modality, SECONDS)
    told = kind.told(modality=modality, channels=signal.channels, starts_at=0.0)
    try:
        seconds = _median_seconds(lambda: kind(signal.data, signal.rate, **parameters, **told))
    except LimbeckError as error:
        return f"not measured: {error}"
    whole = isinstance(kind, FeatureKind) and kind.across
    count = len(signal.channels)
    of_what = f"{count} channels" if whole else "channel"
    given = ", ".join(f"{name}={value!r}" for name, value in EXAMPLES.get(kind.name, {}).items())
    return (
        f"{_duration(seconds if whole else seconds / count)} {'for' if whole else 'per'} {of_what} of {SECONDS:g} s at "
        f"{signal.rate:g} Hz ({modality}{'; ' if given else ''}{given}), measured now on this machine"
    )


def _cost_of_set(each: FeatureSet, pipelines: Mapping[str, Pipeline]) -> str:
    refused = ""
    for rate in (None, LABORATORY):
        signals = {}
        for modality, pipeline in pipelines.items():
            # who picks electrodes by name picks them from a whole cap
            picks = any(step.name == "pick" for step in pipeline.steps)
            signals[modality] = usual_signal(
                modality, SECONDS, channels=None if picks else each.channels.get(modality), rate=rate
            )
        try:
            seconds = _median_seconds(lambda held=signals: _run_set(pipelines, held))  # type: ignore[misc]
        except LimbeckError as error:
            refused = refused or str(error)
            continue
        sizes = ", ".join(f"{name} {len(s.channels)} at {s.rate:g} Hz" for name, s in signals.items())
        return f"{_duration(seconds)} for a window of {SECONDS:g} s ({sizes}), measured now on this machine"
    return f"not measured: {refused}"


def _run_set(pipelines: Mapping[str, Pipeline], signals: Mapping[str, Signal]) -> None:
    for modality, pipeline in pipelines.items():
        signal = signals[modality]
        pipeline.on_arrays(signal.data[np.newaxis], signal.rate, signal.channels)


def _median_seconds(run: Callable[[], object]) -> float:
    """Return the median time of a few runs, behind one that loads and designs what the others find."""
    run()
    taken: list[float] = []
    while len(taken) < RUNS and (not taken or sum(taken) < BUDGET):
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))


def _duration(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{1000 * seconds:.2g} ms" if seconds < 0.0995 else f"{1000 * seconds:.0f} ms"
