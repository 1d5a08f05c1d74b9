"""A study so small that it trains in a fraction of a second, and ways to run it without judging."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from limbeck.errors import StudyError
from limbeck.study import Plan, make_plan, parse_study
from limbeck.study.runner import execute, gather_predictions
from limbeck.study.store import Store

STATISTICS = [{"features": ["statistics"]}]

TINY: dict[str, Any] = {
    "study": "tiny",
    "question": "Does temperature teach skin conductance?",
    "data": {
        "corpus": "simulated",
        "options": {"subjects": 6, "trials": 6, "trial_seconds": 4.0, "seed": 3, "modalities": ["eda", "temp"]},
    },
    "target": {"name": "arousal", "events": {"calm": ["calm"], "aroused": ["aroused"]}},
    "signals": {"eda": STATISTICS, "temp": STATISTICS},
    "windows": {"length": 4, "hop": 4},
    "normalise": "train",
    "protocol": {"split": 3, "labelled": 3},
    "training": {"epochs": 2, "batch": 8},
    "stages": {
        "teacher": {"model": "linear", "inputs": ["eda", "temp"]},
        "alone": {"model": "linear", "inputs": ["eda"]},
        "taught": {"like": "alone", "taught_by": "teacher", "loss": {"hard": 1, "soft": {"temperature": 2}}},
    },
    "compare": [{"taught": "taught", "alone": "alone"}],
    "engine": {"backend": "looped"},
}


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of nested mappings with changes; a value of None removes the key."""
    result = copy.deepcopy(base)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


@pytest.fixture(scope="session")
def tiny() -> Callable[..., dict[str, Any]]:
    """Make the tiny study with changes: ``tiny(training={"epochs": 3})``."""

    def make(**changes: Any) -> dict[str, Any]:
        return merged(TINY, changes)

    return make


@pytest.fixture
def mistakes() -> Callable[..., list[str]]:
    """Return the mistakes that are found in a definition."""

    def find(definition: Any, overrides: Iterable[str] = ()) -> list[str]:
        with pytest.raises(StudyError) as caught:
            parse_study(definition, overrides=overrides)
        return list(caught.value.mistakes)

    return find


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of windows for all tests, which is safe since they are found by their content."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def plan_of(tmp_path: Path, cache: Path) -> Callable[..., Plan]:
    """Plan a definition in a folder of its own, or in a given one."""

    def make(definition: dict[str, Any], out: Path | None = None) -> Plan:
        out = out or tmp_path / "runs"
        out.mkdir(exist_ok=True)
        if not (out / "cache").exists():
            (out / "cache").symlink_to(cache)
        return make_plan(parse_study(definition), out)

    return make


@pytest.fixture
def train() -> Callable[..., pd.DataFrame]:
    """Train every stage of a plan and return the test predictions, without judging them."""

    def go(plan: Plan, jobs: int = 1) -> pd.DataFrame:
        for level in plan.levels():
            list(execute(level, jobs))
        return gather_predictions(plan)

    return go


@pytest.fixture
def states() -> Callable[..., list[dict[str, np.ndarray]]]:
    """Return the weights of every member of a stage, as arrays."""

    def read(plan: Plan, stage: str, variant: int = 0) -> list[dict[str, np.ndarray]]:
        planned = plan.variants[variant].stages[stage]
        store = Store(plan.out / "store")
        members = [member for group in planned.groups for member in group]
        found = store.states(planned.key, tuple(range(len(planned.groups))), members)
        return [{name: value.numpy() for name, value in state.items()} for state in found]

    return read
