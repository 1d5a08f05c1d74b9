"""Sensors that are missing when a student is used, and that are lost at random while it learns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from limbeck.errors import StudyError
from limbeck.study import Plan, parse_study, run_study
from limbeck.study import tasks as tasks_room

Definition = Callable[..., dict[str, Any]]
Mistakes = Callable[..., list[str]]
PlanOf = Callable[..., Plan]
Train = Callable[..., pd.DataFrame]
States = Callable[..., list[dict[str, np.ndarray]]]


def lacking(tiny: Definition, **changes: Any) -> dict[str, Any]:
    """Return a study of a stage that reads two sensors and is used with one of them."""
    definition = tiny(compare=[], **changes)
    definition["stages"]["used"] = {"like": "teacher", "without": ["temp"]}
    return definition


def test_features_of_a_missing_sensor_stand_at_their_mean_in_the_test_alone(
    tiny: Definition, plan_of: PlanOf, train: Train, states: States
) -> None:
    plan = plan_of(lacking(tiny))
    table = train(plan)
    for whole, used in zip(states(plan, "teacher"), states(plan, "used"), strict=True):
        for name, value in whole.items():  # it has learned with all of its sensors
            np.testing.assert_array_equal(used[name], value)

    (variant,) = plan.variants
    task = variant.task("used", 0, plan.store)
    member = tasks_room._member(task, task.members[0])
    tensors = tasks_room._tensors(task)
    scalers = tensors.scalers([member.fold.training])
    inputs = tensors.gather(torch.from_numpy(member.fold.test)[None], scalers)
    state = states(plan, "used")[0]
    inputs["temp"] = torch.zeros_like(inputs["temp"])  # the mean of the training windows
    features = torch.cat([inputs["eda"], inputs["temp"]], dim=-1)[0].numpy()
    logits = features @ state["network.head.weight"].T + state["network.head.bias"]
    expected = torch.from_numpy(logits).softmax(dim=-1).numpy()
    own = table[(table["arm"] == "used") & (table["fold"] == member.fold.fold) & (table["repetition"] == 0)]
    found = own.set_index("window").loc[member.fold.test, ["p0", "p1"]].to_numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_is_missing_in_use_is_handed_over_in_training(tiny: Definition, plan_of: PlanOf, train: Train) -> None:
    definition = lacking(tiny)
    definition["stages"]["taught"]["taught_by"] = ["teacher", "used"]
    plan = plan_of(definition)
    train(plan)
    stages = plan.variants[0].stages
    whole, used = (plan.store.knowledge(stages[name].key, (0,), [(0, 0, 0)], "logits") for name in ("teacher", "used"))
    np.testing.assert_array_equal(whole, used)


def test_a_sensor_that_is_lost_at_random_changes_what_is_learned_and_the_key(
    tiny: Definition, plan_of: PlanOf, train: Train, states: States
) -> None:
    definition = tiny(compare=[])
    definition["stages"]["robust"] = {"like": "teacher", "augment": {"drop": {"temp": 0.5}}}
    definition["stages"]["always"] = {"like": "teacher", "augment": {"drop": {"temp": 1.0}}}
    plan = plan_of(definition)
    train(plan)
    stages = plan.variants[0].stages
    assert len({stages[name].key for name in ("teacher", "robust", "always")}) == 3
    whole, robust, always = (states(plan, name)[0]["network.head.weight"] for name in ("teacher", "robust", "always"))
    assert not np.allclose(whole, robust, atol=1e-6)
    width = whole.shape[1] // 2
    np.testing.assert_allclose(always[:, width:], 0, atol=1e-7)  # nothing is learned from what is never there
    assert np.abs(always[:, :width]).min() > 0


def test_a_study_with_missing_and_dropped_sensors_runs_to_its_verdict(tiny: Definition, tmp_path: Path) -> None:
    compare = [{"taught": "taught", "alone": "alone", "controls": ["scrambled"]}]  # the teacher reads no more
    definition = tiny(refit="all", deploy="taught", compare=compare)
    for name in ("alone", "taught"):
        definition["stages"][name] |= {"inputs": ["eda", "temp"], "without": ["temp"]}
        definition["stages"][name]["augment"] = {"drop": {"temp": 0.5}}
    run = run_study(parse_study(definition), out=tmp_path)
    (judgement,) = run.judgements
    assert {"taught", "taught/scrambled"} <= set(judgement.arms)


def test_signals_of_a_missing_sensor_need_a_network_that_does_without(tiny: Definition, mistakes: Mistakes) -> None:
    definition = lacking(tiny, signals={"eda": [{"resample": 16}], "temp": [{"resample": 16}]})
    for name in ("teacher", "alone"):
        definition["stages"][name]["model"] = "fusion_cnn"
    (mistake,) = mistakes(definition)
    assert mistake.startswith("stages.used.without: 'fusion_cnn' cannot do without the signals of temp; take a model")
    assert "fusion_teacher" in mistake


@pytest.mark.parametrize(
    ("stage", "says"),
    [
        ({"without": ["tmep"]}, "stages.used.without: 'tmep' is no input of this stage. Did you mean 'temp'?"),
        ({"without": ["eda", "temp"]}, "stages.used.without: nothing would be left to predict from; keep a modality"),
        ({"without": 3}, "stages.used.without"),
    ],
)
def test_what_cannot_be_missing_is_named(
    tiny: Definition, mistakes: Mistakes, stage: dict[str, Any], says: str
) -> None:
    definition = lacking(tiny)
    definition["stages"]["used"] |= stage
    assert any(mistake.startswith(says) for mistake in mistakes(definition))


@pytest.mark.parametrize(
    ("augment", "says"),
    [
        ({"drop": {"tmep": 0.5}}, "has no modality 'tmep'"),
        ({"drop": {"temp": 2}}, "expected a probability from 0 to 1"),
        ({"temp": ["flp"]}, "flp"),
        ("storng", "there is no strength 'storng'. Did you mean 'strong'?"),
        ({"temp": ["flip"]}, "flip changes signals, and these windows are features"),
    ],
)
def test_changes_that_cannot_be_made_are_named_with_their_stage_before_anything_is_trained(
    tiny: Definition, plan_of: PlanOf, augment: Any, says: str
) -> None:
    definition = tiny(compare=[], stages={"teacher": {"augment": augment}})
    with pytest.raises(StudyError) as caught:
        plan_of(definition)
    assert all(mistake.startswith("stages.teacher.augment") for mistake in caught.value.mistakes)
    assert any(says in mistake for mistake in caught.value.mistakes), caught.value.mistakes


def test_one_sensor_cannot_be_dropped_from_one(tiny: Definition, plan_of: PlanOf) -> None:
    with pytest.raises(StudyError, match=r"a view of eda alone has no modality to spare"):
        plan_of(tiny(stages={"alone": {"augment": {"drop": {"eda": 0.5}}}}))


def test_modalities_are_dropped_only_for_networks_that_can_do_without(tiny: Definition) -> None:
    definition = tiny(stages={"taught": {"augment": {"drop": {"eda": 0.5}}}}, compare=[])
    definition["signals"]["eda"] = []
    for stage in definition["stages"].values():
        stage["model"] = "student_cnn"
    with pytest.raises(StudyError, match=r"stages\.taught\.augment\.drop: 'student_cnn' cannot do without the signals"):
        parse_study(definition)
