"""Steps and features by name: what is registered, and what a pipeline must know of it.

A *step* turns samples into samples; it runs on the whole recording before windows are cut (filters, resampling) or on
each window. A *feature* turns the samples of a window into named numbers, per channel or across channels. Both are
plain functions of an array ``(..., n_times)`` and a rate; their decorators add what a pipeline must know.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Any, Literal, cast

import numpy as np

from limbeck.registry import Registry

__all__ = ["FEATURES", "STEPS", "FeatureKind", "Step", "StepKind", "feature", "step"]

STEPS = Registry("signal step")
FEATURES = Registry("feature")

Runs = Literal["recording", "window"]

TOLD = ("modality", "channels", "starts_at")
"""Parameters that are not written in a study: a pipeline tells them to functions that have them. `modality` is its
name, `channels` the names along the last axis but one, `starts_at` the time of a recording's first sample in
seconds."""


def _same(value: Any, /, **_: Any) -> Any:
    return value


def _same_start(start: float, rate: float, /, **_: Any) -> float:
    return start


def _none(channels: tuple[str, ...], /, **_: Any) -> tuple[str, ...]:
    return ()


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
    source : str
        Where the definition comes from: a paper, a library's function, a textbook.
    modalities : tuple of str
        Those for which it makes sense; empty for all.
    check : callable
        Takes the parameters by name and yields what is wrong with them.
    libraries : tuple of str
        Packages, other than numpy and scipy, whose version can change the result.
    """

    name: str
    function: Callable[..., np.ndarray]
    source: str = field(kw_only=True)
    modalities: tuple[str, ...] = field(default=(), kw_only=True)
    check: Callable[..., Iterable[str]] = field(default=_no_mistakes, kw_only=True)
    libraries: tuple[str, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "__doc__", self.function.__doc__)

    def __call__(self, x: np.ndarray, rate: float, **parameters: Any) -> np.ndarray:
        """Call the function."""
        return self.function(x, rate, **parameters)

    @cached_property
    def signature(self) -> dict[str, inspect.Parameter]:
        """The parameters behind the signal and its rate, by name."""
        return dict(list(inspect.signature(self.function).parameters.items())[2:])

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """Those parameters that a study may write, by name."""
        return {name: parameter for name, parameter in self.signature.items() if name not in TOLD}

    def told(self, **facts: Any) -> dict[str, Any]:
        """Return the facts that the function asks for."""
        return {name: value for name, value in facts.items() if name in self.signature}


@dataclass(frozen=True)
class StepKind(Kind):
    """A registered step: ``function(x, rate, **parameters)`` with `x` of shape (..., n_channels, n_times).

    Parameters
    ----------
    name, function, source, modalities, check, libraries
        As of :class:`Kind`.
    runs : {"recording", "window"}
        Before the cut or per window.
    causal : bool or str
        Whether no output depends on a later sample; the name of the boolean parameter that decides it.
    new_rate, new_channels, new_unit : callable
        What becomes of rate, channel names and unit: ``(value, **parameters)``. Steps per window keep the rate.
    new_start : callable
        What becomes of the time of the first sample: ``(start, rate, **parameters)``.
    shares : callable
        Which channels go into every channel that it makes, as a reference does: ``(channels, **parameters)``.
    """

    runs: Runs
    causal: bool | str
    new_rate: Callable[..., float] = _same
    new_channels: Callable[..., tuple[str, ...]] = _same
    new_unit: Callable[..., str] = _same
    new_start: Callable[..., float] = _same_start
    shares: Callable[..., tuple[str, ...]] = _none


@dataclass(frozen=True)
class FeatureKind(Kind):
    """A registered feature: ``function(x, rate, **parameters)``.

    Per channel: (..., n_times) to (..., n_columns). Across channels: (..., n_channels, n_times) to (..., n_columns).
    A feature reads one window and nothing outside it, so it is causal with the window's end.

    Parameters
    ----------
    name, function, source, modalities, check, libraries
        As of :class:`Kind`.
    columns : callable
        Takes the parameters by name and returns the names of the columns; across channels it also takes `channels` and
        returns a pair per column: what the column is of (``"F3-F4"``) and its name.
    unit : str
        Of the columns, as a user reads it.
    across : bool
        Whether it relates channels to one another.
    """

    columns: Callable[..., tuple[Any, ...]]
    unit: str = field(kw_only=True)
    across: bool = field(default=False, kw_only=True)


def step(name: str, *, runs: Runs, causal: bool | str, **properties: Any) -> Callable[..., Any]:
    """Register a function as a step; the other keywords are those of :class:`StepKind`."""

    def decorate(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        STEPS.register(name)(StepKind(name, function, runs, causal, **properties))
        return function

    return decorate


def feature(name: str, *, columns: Callable[..., tuple[Any, ...]], **properties: Any) -> Callable[..., Any]:
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
