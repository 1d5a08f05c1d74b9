"""What is asked of windows, and the keys that everything which decides their content goes into."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import pkgutil
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from limbeck import signals as signal_room
from limbeck import targets as target_room
from limbeck.errors import StudyError
from limbeck.recording import Source
from limbeck.signals import Pipeline, parse_signals
from limbeck.targets import Preset, Target

__all__ = ["SLACK", "Calibration", "Plan", "make_plan"]

SLACK = 1e-6
"""Seconds (or samples) by which rounding may move an edge."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
"""Names of further targets."""

_TAKEN = ("_step", "_present", "_valid", "_quality")
"""Ends of names that would make a target's variable look like a dimension, or a part of a modality."""

_FORMAT = 5
"""Raised when stored windows change in a way that their modules' source does not tell."""


@dataclass(frozen=True)
class Calibration:
    """The earliest part of a condition, kept apart for normalisation: never trained on, never tested on.

    Parameters
    ----------
    condition : str or None
        An event's name; None takes the beginning of the subject's first recording, whatever happens in it.
    seconds : float
        How much of each subject's earliest samples in that condition.
    """

    condition: str | None
    seconds: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.seconds) and self.seconds > 0):
            raise StudyError([f"seconds must be above 0, found {self.seconds}"], source="calibration")


@dataclass(frozen=True)
class Plan:
    """Everything but the recordings that decides the windows.

    Parameters
    ----------
    pipelines : dict of str to Pipeline
        By wanted modality.
    target : Target or None
    length, hop : float
        Seconds.
    calibration : Calibration or None
    quality : bool
        Whether the quality of the signals as recorded is kept.
    code : str
        Hash of the code that does the work.
    at_hand : bool
        Whether modalities that no recording has are left out instead of refused: a feature set was named.
    extras : dict of str to Target
        Further targets, by the name that they have in the window set.
    """

    pipelines: dict[str, Pipeline]
    target: Target | None
    length: float
    hop: float
    calibration: Calibration | None
    quality: bool
    code: str
    at_hand: bool = False
    extras: dict[str, Target] = field(default_factory=dict)

    @cached_property
    def targets(self) -> dict[str, Target]:
        """The target, under the name ``""``, and the further ones."""
        return ({"": self.target} if self.target is not None else {}) | self.extras

    @cached_property
    def placed(self) -> dict[str, Target]:
        """Those targets that decide one recording's windows each in its own way, the main one first.

        All targets that come from ratings within the same events are one of these, so that a recording's windows are
        cut and cached once for all of them.
        """
        first: dict[str, str] = {}
        for name, target in self.targets.items():
            first.setdefault(_as_text(target.placement), name)
        return {name: self.targets[name] for name in first.values()}

    def place(self, name: str) -> int:
        """Return which of `placed` a target is."""
        placements = [_as_text(target.placement) for target in self.placed.values()]
        return placements.index(_as_text(self.targets[name].placement))

    @cached_property
    def definition(self) -> dict[str, Any]:
        """What of it decides one recording's windows, as JSON values.

        The seconds of calibration are asked of each recording anew; what ratings make of the windows is decided when
        they are put together.
        """
        definition = {
            "signals": [pipeline.definition for pipeline in self.pipelines.values()],
            "target": self.target.placement if self.target else None,
            "length": float(self.length),
            "hop": float(self.hop),
            "calibration": self.calibration.condition if self.calibration else None,
            "quality": self.quality,
            "code": self.code,
        }
        further = [target.placement for name, target in self.placed.items() if name]
        return definition | ({"further": further} if further else {})

    def key(self, source: Source, wanted: float) -> str:
        """Return the key of one recording's windows; `wanted` seconds of it are still needed for calibration."""
        parts = [
            source.fingerprint(),
            [_module_digest(name) for name in source.modules],
            self.definition,
            wanted,
            _FORMAT,
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def make_plan(
    signals: Mapping[str, Any] | str,
    target: Target | Preset | Mapping[str, Any] | str | None,
    length: float,
    hop: float,
    calibration: Calibration | None,
    quality: bool = True,
    extra_targets: Mapping[str, Target | Preset | Mapping[str, Any] | str] | None = None,
) -> Plan:
    """Check what is asked, as of :func:`limbeck.windows.cut`; raises StudyError with every mistake."""
    mistakes = [
        f"windows: {name} must be a number of seconds above 0, found {value!r}"
        for name, value in (("length", length), ("hop", hop))
        if not (isinstance(value, int | float) and np.isfinite(value) and value > 0)
    ]
    if not mistakes and calibration is not None and calibration.seconds < length - SLACK:
        mistakes.append(
            f"calibration: {calibration.seconds:g} s hold no window of {length:g} s; use at least {length:g} s"
        )
    if extra_targets and target is None:
        mistakes.append("extra_targets: they go beside a target; give the one that decides where windows lie as target")
    mistakes += _name_mistakes(list(extra_targets or ()))
    targets: dict[str, Target] = {}
    for name, given in {"": target, **(extra_targets or {})}.items():
        if given is None and not name:
            continue
        where = f"extra_targets.{name}" if name else "target"
        try:
            targets[name] = Target.parse(given)  # type: ignore[arg-type] # what it cannot read, it refuses
        except StudyError as error:
            mistakes += [f"{where}: {mistake}" for mistake in error.mistakes]
            continue
        if isinstance(length, int | float) and np.isfinite(length) and length > 0:
            mistakes += [f"{where}: {mistake}" for mistake in _step_mistakes(targets[name], length)]
    pipelines: dict[str, Pipeline] = {}
    try:
        pipelines = parse_signals(signals)
    except StudyError as error:
        mistakes += error.mistakes
    if mistakes:
        raise StudyError(mistakes, source="windows")
    return Plan(
        pipelines,
        targets.pop("", None),
        float(length),
        float(hop),
        calibration,
        quality,
        _code_digest(pipelines),
        isinstance(signals, str),
        targets,
    )


def _as_text(placement: Mapping[str, Any]) -> str:
    return json.dumps(placement, sort_keys=True)


def _name_mistakes(names: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with the names of further targets, which variables and columns are called by."""
    for name in names:
        if not (isinstance(name, str) and _NAME.fullmatch(name)):
            yield f"extra_targets: the name must be letters, digits and _, beginning with a letter; found {name!r}"
        elif f"_{name}".endswith(_TAKEN) or any(re.fullmatch(rf"{re.escape(str(other))}_\d+", name) for other in names):
            yield f"extra_targets: '{name}' would be taken for a part of another target; choose another name"


def _step_mistakes(target: Target, length: float) -> Iterator[str]:
    """Yield why a window of `length` seconds does not hold a whole number of the target's steps."""
    if target.rate is None:
        return
    steps = length * target.rate
    if round(steps) < 1 or abs(steps - round(steps)) > SLACK:
        yield (
            f"windows of {length:g} s hold {steps:g} steps of {target.name} at {target.rate:g} Hz; choose a rate at "
            "which it is a whole number"
        )


def _code_digest(pipelines: Mapping[str, Pipeline]) -> str:
    """Return a hash of the source of the modules that make windows, and of the versions of the libraries they use."""
    steps = [step for pipeline in pipelines.values() for step in (*pipeline.steps, *pipeline.features)]
    modules = {"limbeck.recording"}
    for room in (__package__, signal_room.__name__, target_room.__name__):
        modules |= {f"{room}.{module.name}" for module in pkgutil.iter_modules(sys.modules[room].__path__)}
    modules -= {"limbeck.targets.presets"}  # only names of definitions, which are in the keys themselves
    modules |= {step.kind.function.__module__ for step in steps}
    libraries = {"numpy", "scipy"} | {library for step in steps for library in step.kind.libraries}
    versions = [[library, importlib.metadata.version(library)] for library in sorted(libraries)]
    parts = [[[name, _module_digest(name)] for name in sorted(modules)], versions]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _module_digest(name: str) -> str:
    """Return a hash of a module's source file; of a library, also of its version."""
    digest = hashlib.sha256(name.encode())
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if file is None:
        spec = importlib.util.find_spec(name)
        file = spec.origin if spec is not None else None
    if file is not None and Path(file).is_file():
        digest.update(Path(file).read_bytes())
    package = name.partition(".")[0]
    if package != "limbeck":
        with suppress(importlib.metadata.PackageNotFoundError):  # a module of the user's own has no version
            digest.update(importlib.metadata.version(package).encode())
    return digest.hexdigest()
