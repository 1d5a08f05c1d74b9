"""A study for every recipe, so small that it trains in a second, and ways to write it out and to run it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from limbeck.distillation.recipes import RECIPES
from limbeck.study import make_plan, parse_study
from limbeck.study.expansion import expanded
from limbeck.study.runner import execute, gather_predictions

CLASSES = {"name": "arousal", "events": {"calm": ["calm"], "aroused": ["aroused"]}}
TRACE = {"name": "felt", "trace": "arousal"}
SOURCE = {"name": "source", "events": {"still": ["calm"], "stirred": ["aroused"]}}

SMALL = {"name": "tcn", "width": 4, "frames": 8, "kernel": 3}

SPECIAL: Mapping[str, Mapping[str, Any]] = {
    "at": {"teacher": {"model": SMALL, "inputs": ["eda", "temp"]}},
    "emotionkd": {"quiz": 3},
    "metadistil": {"quiz": 3},
    "zhang_lu": {"quiz": 3, "regulated": False},  # there are no validation subjects to compare on
    "ssd": {"passes": 4},
    "mt_pkdot": {"anchors": 4},
    "tlkd_method1": {"source": SOURCE},
    "tlkd_method2": {"source": SOURCE},
    "noisy_student": {"rounds": 2},
    "xkd": {"options": {"projector": 16, "bottleneck": 8, "outputs": 16, "width": 8, "depth": 1}},
    "masked": {"options": {"width": 8, "depth": 1}},
}
"""What a recipe needs to be small, or needs at all."""


def study_with(name: str, **options: Any) -> dict[str, Any]:
    """Return a study of six subjects that names one recipe; of three to train on, two carry labels."""
    recipe: Any = RECIPES[name]
    distil: dict[str, Any] = {"recipe": name, "student": {"model": dict(SMALL), "inputs": ["eda"]}}
    read = ["eda"]
    if recipe.takes_teacher != "none":
        distil["teacher"] = {"model": {"name": "fusion_cnn", "width": 4}, "inputs": ["eda", "temp"]}
        read = ["eda", "temp"]
    return {
        "study": "tiny",
        "data": {
            "corpus": "simulated",
            "options": {"subjects": 6, "trials": 4, "trial_seconds": 4.0, "seed": 3, "modalities": read},
        },
        "target": copy.deepcopy(CLASSES if "class" in recipe.kinds else TRACE),
        "signals": {modality: [] for modality in read},
        "windows": {"length": 4, "hop": 4},
        "protocol": {"split": 2, "labelled": 2, "validation": 0},
        "training": {"epochs": 2, "batch": 4, "patience": None},
        "distil": {**distil, **copy.deepcopy(dict(SPECIAL.get(name, {}))), **options},
        "engine": {"backend": "looped"},
    }


@pytest.fixture
def study_of() -> Callable[..., dict[str, Any]]:
    """Make the study of a recipe: ``study_of("hinton", weight=2)``."""
    return study_with


@pytest.fixture
def stages_of() -> Callable[..., dict[str, Any]]:
    """Write out the stages of a recipe."""

    def make(name: str, **options: Any) -> dict[str, Any]:
        stages: dict[str, Any] = expanded(study_with(name, **options))["stages"]
        return stages

    return make


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs that all recipes share: teachers and those who learn alone are trained once."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def run_of(out: Path) -> Callable[[dict[str, Any]], pd.DataFrame]:
    """Train all of a study and return its test predictions."""

    def run(definition: dict[str, Any]) -> pd.DataFrame:
        plan = make_plan(parse_study(definition), out)
        for level in plan.levels():
            list(execute(level, 1))
        return gather_predictions(plan)

    return run
