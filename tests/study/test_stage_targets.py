"""A stage may predict something else than the study: the same subjects in the same roles, other labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from limbeck import windows
from limbeck.errors import StudyError
from limbeck.protocols import Fold
from limbeck.study import Plan, parse_study, run_study
from limbeck.study import plan as plan_room
from limbeck.study import tasks as tasks_room
from limbeck.study.tasks import Task, run_task

Definition = Callable[..., dict[str, Any]]
Mistakes = Callable[..., list[str]]
PlanOf = Callable[..., Plan]
Train = Callable[..., pd.DataFrame]

RESTING = {"name": "resting", "events": {"resting": ["rest"], "aroused": ["aroused"]}}
"""Another target, of which other windows have a value."""

LEVEL = {"name": "level", "trace": "arousal", "within": ["calm", "aroused"]}

HINT = {"hard": 1, "hint": {"teacher": "hidden", "student": "hidden", "map": "linear"}}


def transfer(tiny: Definition, target: dict[str, Any] = RESTING, **changes: Any) -> dict[str, Any]:
    """Return a study whose taught arm starts from a stage that has learned another target."""
    definition = tiny(**changes)
    first = {"before": {"model": "mlp", "inputs": ["eda"], "target": target}}
    definition["stages"] = {**first, **definition["stages"]}
    for name in ("teacher", "alone"):
        definition["stages"][name]["model"] = "mlp"
    reset = ["head"] if target is LEVEL else []
    definition["stages"]["taught"]["start"] = {"stage": "before", "reset": reset}
    return definition


def fold_of(plan: Plan, stage: str) -> Any:
    task = plan.variants[0].task(stage, 0, plan.store)
    return tasks_room._member(task, task.members[0]).fold


def test_subjects_keep_their_roles_and_windows_follow_the_target(tiny: Definition, plan_of: PlanOf) -> None:
    plan = plan_of(transfer(tiny))
    dataset = plan.variants[0].dataset
    subjects = windows.decode(dataset["subject"])
    own = windows.with_target(dataset, "resting")["target"].to_numpy()
    before, alone = fold_of(plan, "before"), fold_of(plan, "alone")
    for part in ("labelled", "unlabelled", "test"):
        mine, theirs = getattr(before, part), getattr(alone, part)
        assert set(subjects[mine]) == set(subjects[theirs])
        assert set(mine) != set(theirs)
    usable = np.concatenate([before.labelled, before.unlabelled, before.test])
    assert (own[usable] >= 0).all()
    assert before.labelled_subjects == alone.labelled_subjects
    assert before.test_subjects == alone.test_subjects


def test_labels_that_the_protocol_hides_stay_hidden_in_the_target_of_the_stage(
    tiny: Definition, plan_of: PlanOf, tmp_path: Path
) -> None:
    plan = plan_of(transfer(tiny))
    (variant,) = plan.variants
    fold = fold_of(plan, "before")
    dataset = windows.load(variant.windows).copy(deep=True)
    values = dataset["target_resting"].values
    for part in (fold.unlabelled, fold.test):
        values[part] = 1 - values[part]
    poisoned = tmp_path / "poisoned.zarr"
    windows.save(dataset.assign_attrs(key="poisoned"), poisoned)

    task = Task(**{**vars(variant.task("before", 0, plan.store)), "members": ((0, 0, 0),)})
    other = Task(**{**vars(task), "windows": poisoned, "store": tmp_path / "other"})
    found = []
    for one in (task, other):
        run_task(one)
        store = tasks_room.Store(one.store)
        found.append(store.states(one.key, (0,), [(0, 0, 0)])[0])
    assert found[0].keys() == found[1].keys()
    assert all(bool((found[0][name] == found[1][name]).all()) for name in found[0])


@pytest.mark.parametrize("target", [RESTING, LEVEL], ids=["classes", "trace"])
def test_a_study_goes_from_one_target_to_another_to_its_verdict(
    tiny: Definition, tmp_path: Path, target: dict[str, Any]
) -> None:
    run = run_study(parse_study(transfer(tiny, target, refit="all", deploy="taught")), out=tmp_path)
    arms = {str(arm) for arm in run.predictions["arm"].unique()}
    assert "before" not in arms  # its predictions are of something else
    assert {"taught", "taught/own_input", "taught/scrambled"} <= arms
    assert run.predictions.loc[run.predictions["arm"] == "taught", "window"].nunique() == 36
    assert (run.path / "deployed" / "student" / "model.json").is_file()


def test_the_target_of_a_stage_is_part_of_its_key(tiny: Definition, plan_of: PlanOf) -> None:
    other = {"name": "restless", "events": {"resting": ["rest"], "aroused": ["aroused", "calm"]}}
    one, two = (plan_of(transfer(tiny, target)).variants[0].stages for target in (RESTING, other))
    assert one["before"].key != two["before"].key
    assert one["taught"].key != two["taught"].key


def test_the_windows_of_the_study_are_the_same_with_and_without_the_target_of_a_stage(
    tiny: Definition, plan_of: PlanOf
) -> None:
    with_target = plan_of(transfer(tiny)).variants[0]
    without = plan_of(tiny()).variants[0]
    columns = ["subject", "trial", "start", "target"]
    one, other = (variant.table[variant.table["target"] >= 0][columns] for variant in (with_target, without))
    pd.testing.assert_frame_equal(one.reset_index(drop=True), other.reset_index(drop=True))


def test_logits_of_a_teacher_with_another_target_are_refused_and_its_features_are_taken(
    tiny: Definition, mistakes: Mistakes, plan_of: PlanOf, train: Train
) -> None:
    definition = tiny(stages={"teacher": {"model": "mlp", "target": RESTING}, "alone": {"model": "mlp"}})
    (mistake,) = mistakes(definition)
    assert mistake.startswith("stages.taught.taught_by: 'teacher' predicts resting and 'taught' predicts the study's")
    assert "take features (hint, sp)" in mistake
    definition["stages"]["taught"]["loss"] = HINT
    definition["compare"][0]["controls"] = ["own_input"]
    table = train(plan_of(definition))
    assert "teacher" not in set(table["arm"].astype(str))
    assert "taught/own_input" in set(table["arm"].astype(str))


def test_what_predicts_another_target_is_not_compared(tiny: Definition, mistakes: Mistakes) -> None:
    compare = [{"taught": "before", "alone": "alone", "controls": []}]
    found = mistakes(transfer(tiny, compare=compare))
    assert any("compare.0.taught: 'before' predicts resting, not the study's target" in one for one in found)


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ({"name": "x", "events": {"calm": ["calm"]}}, "stages.before.target"),
        ({"name": "x", "evnts": {}}, "stages.before.target"),
        ("valense", "stages.before.target"),
        ({"name": "level", "trace": "arousal", "rate": 2.0}, "one value per window; leave rate out"),
    ],
)
def test_a_wrong_target_of_a_stage_is_named(tiny: Definition, mistakes: Mistakes, target: Any, says: str) -> None:
    assert any(says in mistake for mistake in mistakes(transfer(tiny, target)))


def test_a_start_whose_head_predicts_something_else_is_refused_unless_it_is_reset(
    tiny: Definition, plan_of: PlanOf
) -> None:
    definition = transfer(tiny, LEVEL)
    definition["stages"]["taught"]["start"] = "before"
    with pytest.raises(StudyError, match=r"stages\.taught\.start: the weights head\.weight, head\.bias"):
        plan_of(definition)


def test_a_partner_that_starts_from_a_stage_with_another_head_is_refused(tiny: Definition, plan_of: PlanOf) -> None:
    definition = transfer(tiny, LEVEL, compare=[{"taught": "taught", "alone": "alone", "controls": []}])
    definition["stages"]["taught"] = {
        "like": "alone",
        "loss": {"hard": 1, "mutual": 1},
        "partners": {"peer": {"stage": "before", "start": True}},
    }
    says = r"stages\.taught\.partners\.peer\.start: the weights head\.weight, head\.bias of 'before' do not fit"
    with pytest.raises(StudyError, match=says):
        plan_of(definition)
    definition["stages"]["taught"]["partners"]["peer"]["start"] = False
    plan_of(definition)


# ---- the folds of a target ------------------------------------------------------------------------------------------


TWELVE = {"options": {"subjects": 12}}
"""Eight labelled subjects in each fold: enough that some of them validate."""


def lacking(part: str, number: int) -> Callable[[Fold, pd.DataFrame], Fold]:
    """Return how one fold loses a part under the target of a stage, which the subjects in it do not have."""

    def follow(fold: Fold, table: pd.DataFrame) -> Fold:
        return replace(fold, **{part: np.empty(0, np.int64)}) if fold.fold == number else fold

    return follow


def test_members_are_grouped_by_the_unlabelled_windows_of_their_stage_s_target(
    tiny: Definition, plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = transfer(tiny, compare=[], engine={"backend": "looped", "group": 9})
    monkeypatch.setattr(plan_room, "with_target_of", lacking("unlabelled", 1))
    stages = plan_of(definition).variants[0].stages
    assert sorted(map(len, stages["alone"].groups)) == [3]
    assert sorted(map(len, stages["before"].groups)) == [1, 2]


def test_what_needs_validation_or_unlabelled_windows_is_held_against_the_folds_of_the_target(
    tiny: Definition, plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = transfer(tiny, compare=[], protocol={"labelled": "all"}, data=TWELVE)
    definition["stages"] = {
        "rested": {"model": "mlp", "inputs": ["eda", "temp"], "target": RESTING},
        **definition["stages"],
    }
    definition["stages"]["before"] |= {"taught_by": "rested", "loss": "soft", "knowledge": {"calibrate": True}}
    plan_of(definition)
    with monkeypatch.context() as patch:
        patch.setattr(plan_room, "with_target_of", lacking("validation", 1))
        with pytest.raises(StudyError, match=r"stages\.before\.knowledge\.calibrate: a fold has no validation"):
            plan_of(definition)
    definition["protocol"]["labelled"] = 3
    definition["stages"]["before"] |= {"loss": {"soft": {"on": "unlabelled"}}, "knowledge": {}}
    plan_of(definition)
    monkeypatch.setattr(plan_room, "with_target_of", lacking("unlabelled", 1))
    with pytest.raises(StudyError, match=r"stages\.before\.loss\.soft\.on: in repetition 0, fold 1, no window"):
        plan_of(definition)


def test_labelled_subjects_without_the_target_of_a_stage_are_a_mistake_of_the_stage(
    tiny: Definition, plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = windows.table

    def nowhere(dataset: Any) -> pd.DataFrame:
        found = table(dataset)
        return found.assign(target=-1) if dataset["target"].attrs["name"] == "resting" else found

    monkeypatch.setattr(plan_room.windows_room, "table", nowhere)
    with pytest.raises(StudyError, match=r"stages\.before\.target: The labelled subjects of repetition 0, fold 0"):
        plan_of(transfer(tiny, compare=[]))


def test_the_kind_of_a_stage_s_own_target_decides_what_its_losses_may_be(tiny: Definition, mistakes: Mistakes) -> None:
    definition = transfer(tiny, LEVEL, compare=[])
    definition["stages"]["before"] |= {"taught_by": "level", "loss": {"dkd": {}}}
    definition["stages"]["level"] = {"model": "mlp", "inputs": ["temp"], "target": LEVEL}
    (told,) = mistakes(definition)
    assert told.startswith("stages.before.loss.dkd: dkd is for a class, and the target is a trace")
