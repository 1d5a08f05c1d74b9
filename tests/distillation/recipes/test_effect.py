"""A recipe that gains nothing on some data is not broken: where its teacher knows the truth, it gains.

The cohort: one sensor of the teacher states the class without any error, the student's own sensor tells it nearly, among
two that tell nothing; one subject of fifteen carries labels. What carries no knowledge of a teacher is tested by what it
is made of: a pretext is learned, an average is followed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from limbeck.distillation.recipes import RECIPES
from limbeck.metrics import balanced_accuracy
from limbeck.models import build
from limbeck.study import make_plan, parse_study
from limbeck.study.plan import Plan
from limbeck.study.runner import execute, gather_history
from limbeck.training import Member, draws
from limbeck.training.tensors import WindowTensors
from limbeck.windows import view

STUDENT = {"name": "tcn", "width": 8, "frames": 8, "kernel": 3}
WRISTBAND = ["eda", "acc", "bvp"]
SOURCE = {"name": "active", "events": {"resting": ["rest"], "busy": ["calm", "aroused"]}}
QUIZ = {"quiz": 4}

NEEDED: dict[str, dict[str, Any]] = {
    "emotionkd": QUIZ,
    "metadistil": QUIZ,
    "zhang_lu": {"regulated": False, **QUIZ},  # nobody validates here
    "tlkd_method1": {"source": SOURCE},
}
"""What a recipe needs where so few windows carry labels."""


def study(name: str) -> dict[str, Any]:
    """Return a study of one recipe, with a teacher that is told the truth."""
    nothing = {"informative": 0.0, "noise": 1.0}
    return {
        "study": "oracle",
        "data": {
            "corpus": "simulated",
            "options": {
                "subjects": 30,
                "trials": 12,
                "trial_seconds": 4.0,
                "rest_seconds": 24.0,
                "latent_spread": 0.0,
                "seed": 5,
                "modalities": {
                    "eda": {"informative": 1.0, "noise": 0.3, "shift": 0.0, "background": 0.5},
                    "temp": {"informative": 1.0, "noise": 0.0, "shift": 0.0, "background": 0.0},
                    "acc": nothing,
                    "bvp": nothing,
                },
            },
        },
        "target": {"name": "arousal", "events": {"calm": ["calm"], "aroused": ["aroused"]}},
        "signals": {**{modality: [{"resample": {"to": 4}}] for modality in WRISTBAND}, "temp": []},
        "windows": {"length": 4, "hop": 4},
        "normalise": "transductive",
        "protocol": {"split": 2, "labelled": 1, "seeds": [0, 1]},
        "training": {
            "epochs": 40,
            "batch": 40,
            "labelled_share": 0.2,
            "learning_rate": 0.005,
            "schedule": "cosine",
            "patience": None,
            "select": "last",
        },
        "distil": {
            "recipes": [{name: NEEDED.get(name, {})}],
            "teacher": {"model": {**STUDENT, "width": 16}, "inputs": ["temp", "eda"]},
            "student": {"model": STUDENT, "inputs": WRISTBAND},
            "controls": [],
        },
        "engine": {"backend": "stacked"},
    }


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Plan]:
    """Train what a recipe needs; teachers and those who learn alone are shared."""
    out: Path = tmp_path_factory.mktemp("runs")

    def train(name: str) -> Plan:
        plan = make_plan(parse_study(study(name)), out)
        for level in plan.levels():
            list(execute(level, 1))
        return plan

    return train


def scores(plan: Plan, arm: str) -> np.ndarray:
    """Return the balanced accuracy of an arm by subject, averaged over seeds."""
    (variant,) = plan.variants
    groups = range(len(variant.stages[arm].groups))
    found = pd.concat([plan.store.predictions(variant.stages[arm].key, group) for group in groups])
    table = variant.table.set_index("window").loc[found["window"]]
    found = found.assign(truth=table["target"].to_numpy(), subject=table["subject"].to_numpy())
    decided = found.assign(decision=(found["p1"] > found["p0"]).astype(int))
    return np.array([balanced_accuracy(own["truth"], own["decision"]) for _, own in decided.groupby("subject")])


TAUGHT = [
    name
    for name in RECIPES
    if name not in ("mmpkd", "tlkd_method2", "born_again", "mean_teacher", "snapshot")  # no teacher of the target
]


@pytest.mark.slow
@pytest.mark.parametrize("name", TAUGHT)
def test_a_teacher_that_knows_the_truth_raises_the_student(name: str, planned: Callable[[str], Plan]) -> None:
    plan = planned(name)
    (comparison,) = plan.variants[0].variant.compare
    gains = scores(plan, name) - scores(plan, comparison.alone)
    error = gains.std(ddof=1) / np.sqrt(len(gains))
    assert gains.mean() > LEAST
    assert gains.mean() > 3 * error


# ---- before any label ----------------------------------------------------------------------------------------------

PRETEXTS = {"masked": "reconstruct", "contrastive": "contrast", "xkd": "xkd"}


@pytest.mark.slow
@pytest.mark.parametrize("name", PRETEXTS)
def test_a_pretext_is_learned(name: str, planned: Callable[[str], Plan]) -> None:
    curve = losses(planned(name), f"{name}_pretext", PRETEXTS[name])
    assert curve[-1] < 0.9 * curve[0]


def losses(plan: Plan, stage: str, term: str) -> np.ndarray:
    """Return a term of a stage by epoch, averaged over its networks."""
    planned = plan.variants[0].stages[stage]
    table = pd.concat([plan.store.history(planned.key, group) for group in range(len(planned.groups))])
    return table[table["split"] == "train"].groupby("epoch")[term].mean().to_numpy()


def linear_probe(plan: Plan, stage: str, *, trained: bool) -> float:
    """Return how well a linear model reads the class off the embedding, on subjects that it was not fitted to.

    The model is fitted to every label of a fold's training subjects; with `trained` false, to the embedding of the
    network before its first step.
    """
    (variant,) = plan.variants
    node, key = variant.stages[stage].node, variant.stages[stage].key
    windows = WindowTensors.from_windows(
        view(variant.dataset, dict(node.stage.inputs)), list(node.stage.inputs), mode="transductive"
    )
    target = variant.dataset["target"].to_numpy()
    found = []
    for fold in variant.folds:
        member = (fold.repetition, fold.fold, 0)
        torch.manual_seed(draws.initialisation_seed(Member(fold, 0)))
        network = build(node.stage.model.name, windows.shapes, 2, **node.stage.model.options).eval()
        if trained:
            (state,) = plan.store.states(key, range(len(variant.stages[stage].groups)), [member])
            prefix = "network."
            network.load_state_dict({n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)})
        with torch.no_grad():
            embedding = network(windows.inputs).features["embedding"].numpy()
        fitted = LogisticRegression(max_iter=1000).fit(embedding[fold.training], target[fold.training])
        found.append(balanced_accuracy(target[fold.test], fitted.predict(embedding[fold.test])))
    return float(np.mean(found))
