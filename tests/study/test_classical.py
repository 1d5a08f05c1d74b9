"""Classical models in studies: as arms and as teachers, resumed to the same result, refused where only networks can."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from limbeck import windows
from limbeck.errors import LimbeckError, StudyError
from limbeck.models.classical import Classical, RandomForest
from limbeck.study import Plan, load_run, parse_study, run_study
from limbeck.study import tasks as room
from limbeck.study.deploy import load
from limbeck.study.store import Store
from limbeck.study.tasks import Task, is_done, run_task

Definition = Callable[..., dict[str, Any]]
Mistakes = Callable[..., list[str]]
PlanOf = Callable[..., Plan]
Train = Callable[..., pd.DataFrame]

FIRST = (0, 0, 0)
FOREST = {"name": "random_forest", "trees": 10}


def all_tasks(plan: Plan) -> list[Task]:
    return [task for level in plan.levels() for task in level]


def task_of(plan: Plan, stage: str, **changes: Any) -> Task:
    """Return the task of one stage for the first member alone, in a store of its own."""
    task = plan.variants[0].task(stage, 0, plan.store)
    keys = {name: (key, (0,)) for name, (key, _) in task.keys.items()}
    return replace(task, members=(FIRST,), keys=keys, store=plan.out / "first", **changes)


def knowledge_of(plan: Plan, stage: str) -> np.ndarray:
    """Return the logits that the first member of a stage hands over."""
    planned = plan.variants[0].stages[stage]
    groups = tuple(range(len(planned.groups)))
    found: np.ndarray = plan.store.knowledge(planned.key, groups, [FIRST], "logits")[0]
    return found


def members_of(plan: Plan, stage: str) -> int:
    return sum(len(group) for group in plan.variants[0].stages[stage].groups)


# ---- arms and teachers ----------------------------------------------------------------------------------------------


def test_every_model_is_an_arm(tiny: Definition, plan_of: PlanOf, train: Train) -> None:
    models: dict[str, Any] = {
        "logistic": {"name": "logistic_regression", "c": [0.1, 1.0]},
        "svm": "svm",
        "knn": "knn",
        "lda": "lda",
        "forest": FOREST,
        "boosted": {"name": "gradient_boosting", "trees": 5, "leaf": 3},
    }
    stages = {name: {"model": model, "inputs": ["eda", "temp"]} for name, model in models.items()}
    definition = tiny(stages=stages, compare=None, protocol={"labelled": "all", "seeds": [0, 1]})
    plan = plan_of(definition)

    table = train(plan)

    for name in models:
        own = table[table["arm"] == name]
        assert own.groupby("seed")["window"].nunique().tolist() == [36, 36]
        np.testing.assert_allclose(own[["p0", "p1"]].sum(axis=1), 1, atol=1e-5)
        assert (own["prediction"] == own["truth"]).mean() > 0.6, name
        assert plan.variants[0].stages[name].backend == "fitted"
        history = plan.store.history(plan.variants[0].stages[name].key, 0)
        assert set(history["epoch"]) == {1}
        assert set(history["split"]) == {"train"}
    assert all(is_done(task) for task in all_tasks(plan))


def test_a_forest_teaches_by_its_probabilities(tiny: Definition, plan_of: PlanOf, train: Train) -> None:
    plan = plan_of(tiny(stages={"teacher": {"model": FOREST}}))
    train(plan)
    (fold,) = (fold for fold in plan.variants[0].folds if fold.fold == 0)

    logits = knowledge_of(plan, "teacher")

    taught = np.isfinite(logits).all(axis=1)
    assert np.flatnonzero(taught).tolist() == fold.training.tolist()
    np.testing.assert_allclose(np.exp(logits[taught]).sum(axis=1), 1, atol=1e-5)
    truth = plan.variants[0].dataset["target"].to_numpy()
    assert (logits[fold.labelled].argmax(axis=1) == truth[fold.labelled]).mean() > 0.9
    assert "taught/own_input" in plan.variants[0].stages


def test_cross_fitting_takes_the_word_of_a_forest_that_has_not_seen_the_subject(
    tiny: Definition, plan_of: PlanOf, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[tuple[np.ndarray, np.ndarray]] = []
    fit = Classical.fit

    def note(self: Classical, x: Any, y: Any, weights: Any = None, **given: Any) -> Classical:
        fitted.append((x, given["groups"]))
        return fit(self, x, y, weights, **given)

    monkeypatch.setattr(Classical, "fit", note)
    definition = tiny(stages={"teacher": {"model": FOREST}, "taught": {"crossfit": 3}}, compare=None)
    plan = plan_of(definition)
    fold = plan.variants[0].folds[0]
    subjects = plan.variants[0].dataset["subject"].to_numpy()
    labelled = set(subjects[fold.labelled].tolist())
    held_out: set[int] = set()
    for group in range(3):
        fitted.clear()
        run_task(task_of(plan, f"teacher/without_{group + 1}_of_3"))
        ((_, seen),) = fitted
        assert set(seen) < labelled
        held_out |= labelled - set(seen)
    assert held_out == labelled
    assert train(plan)["arm"].astype(str).eq("taught").any()


def test_no_hidden_label_and_no_test_window_is_read(tiny: Definition, plan_of: PlanOf, tmp_path: Path) -> None:
    plan = plan_of(tiny(stages={"teacher": {"model": FOREST}}))
    fold = plan.variants[0].folds[0]
    assert len(fold.unlabelled)

    def changed(change: Callable[[xr.Dataset], None], name: str) -> Path:
        dataset = windows.load(plan.variants[0].windows).copy(deep=True)
        change(dataset)
        windows.save(dataset.assign_attrs(key=name), tmp_path / f"{name}.zarr")
        return tmp_path / f"{name}.zarr"

    def poison_labels(dataset: xr.Dataset) -> None:
        hidden = np.concatenate([fold.unlabelled, fold.test])
        dataset["target"].values[hidden] = 1 - dataset["target"].values[hidden]

    def poison_test(dataset: xr.Dataset) -> None:
        dataset["eda"].values[fold.test] = np.nan

    found = []
    for place in (None, changed(poison_labels, "labels"), changed(poison_test, "test")):
        task = task_of(plan, "teacher")
        task = replace(task, windows=place or task.windows, store=tmp_path / f"store{len(found)}")
        run_task(task)
        store = Store(task.store)
        predictions = store.predictions(task.key, 0).to_numpy()
        logits = store.knowledge(task.key, (0,), [FIRST], "logits")[0][fold.training]
        found.append((predictions, logits))
    assert np.array_equal(found[0][0], found[1][0])
    assert np.array_equal(found[0][1], found[1][1])
    assert np.array_equal(found[0][1], found[2][1])


def test_a_trace_is_learned_and_taught(tiny: Definition, plan_of: PlanOf, train: Train) -> None:
    definition = tiny(stages={"teacher": {"model": FOREST}}, compare=None)
    definition["target"] = {"name": "arousal", "trace": "arousal"}
    definition["stages"]["taught"]["loss"] = {"hard": 1, "soft": 1}
    plan = plan_of(definition)
    table = train(plan)
    own = table[table["arm"] == "teacher"]
    assert np.corrcoef(own["prediction"], own["truth"])[0, 1] > 0.3
    fold = plan.variants[0].folds[0]
    assert np.isfinite(knowledge_of(plan, "teacher")[fold.training]).all()


def test_rows_are_scaled_and_weighed_as_those_of_networks(
    tiny: Definition, plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, np.ndarray] = {}
    fit = Classical.fit

    def note(self: Classical, x: Any, y: Any, weights: Any = None, **given: Any) -> Classical:
        seen.update(x=x, y=y, weights=weights, groups=given["groups"])
        return fit(self, x, y, weights, **given)

    monkeypatch.setattr(Classical, "fit", note)
    stages = {"teacher": {"model": FOREST}}
    protocol = {"split": 6, "labelled": 9, "validation": 2}
    plan = plan_of(tiny(stages=stages, data={"options": {"subjects": 12}}, protocol=protocol, clip={"eda": 1.5}))
    task = task_of(plan, "teacher")
    fold, dataset = plan.variants[0].folds[0], plan.variants[0].dataset
    assert len(fold.unlabelled)
    assert len(fold.validation_subjects) == 2

    run_task(task)

    raw = [dataset[modality].to_numpy().astype(np.float64) for modality in ("eda", "temp")]
    scaled = [(x - np.nanmean(x[fold.training], axis=0)) / np.nanstd(x[fold.training], axis=0) for x in raw]
    expected = np.concatenate([np.clip(scaled[0], -1.5, 1.5), scaled[1]], axis=1)[fold.labelled]
    np.testing.assert_allclose(seen["x"], np.nan_to_num(expected), atol=1e-3)
    truth = dataset["target"].to_numpy()[fold.labelled]
    counts = np.bincount(truth)
    assert np.array_equal(seen["y"], truth)
    np.testing.assert_allclose(seen["weights"], len(truth) / (2 * counts[truth]), rtol=1e-5)
    assert np.array_equal(seen["groups"], dataset["subject"].to_numpy()[fold.labelled])
    history = Store(task.store).history(task.key, 0)
    assert history["split"].tolist() == ["train", "validation"]
    assert history["loss"].iloc[0] < history["loss"].iloc[1]


# ---- resumed --------------------------------------------------------------------------------------------------------


def test_what_is_done_is_not_fitted_again_and_what_is_lost_is_fitted_alike(
    tiny: Definition, plan_of: PlanOf, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = tiny(stages={"teacher": {"model": FOREST}})
    plan = plan_of(definition)
    before = train(plan)
    fitted: list[int] = []
    fit = Classical.fit

    def count(self: Classical, *given: Any, **named: Any) -> Classical:
        fitted.append(1)
        return fit(self, *given, **named)

    monkeypatch.setattr(Classical, "fit", count)
    pd.testing.assert_frame_equal(train(plan_of(definition)), before)
    assert not fitted
    shutil.rmtree(plan.store.group(plan.variants[0].stages["teacher"].key, 0))
    pd.testing.assert_frame_equal(train(plan_of(definition)), before)
    assert len(fitted) == len(plan.variants[0].stages["teacher"].groups[0])


def test_knowledge_that_is_asked_for_later_is_that_of_the_same_forest(
    tiny: Definition, plan_of: PlanOf, train: Train
) -> None:
    alone = tiny(stages={"teacher": {"model": FOREST}, "taught": None}, compare=None)
    first = plan_of(alone)
    train(first)
    key = first.variants[0].stages["teacher"].key
    assert not (first.store.group(key, 0) / "knowledge.logits.npy").exists()
    predictions = first.store.predictions(key, 0)

    second = plan_of(tiny(stages={"teacher": {"model": FOREST}}))
    assert second.variants[0].stages["teacher"].key == key
    train(second)

    late = knowledge_of(second, "teacher")
    fresh = plan_of(tiny(stages={"teacher": {"model": FOREST}}), second.out.parent / "fresh")
    train(fresh)
    np.testing.assert_array_equal(late, knowledge_of(fresh, "teacher"))
    pd.testing.assert_frame_equal(second.store.predictions(key, 0), predictions)


def test_a_forest_is_the_same_in_two_processes_and_in_other_groups(
    tiny: Definition, plan_of: PlanOf, train: Train, tmp_path: Path
) -> None:
    one = train(plan_of(tiny(stages={"teacher": {"model": FOREST}}, engine={"group": 1}), tmp_path / "one"))
    other = train(plan_of(tiny(stages={"teacher": {"model": FOREST}}, engine={"group": 3}), tmp_path / "other"), jobs=2)
    columns = ["window", "p0", "p1"]
    tables = [t.loc[t["arm"] == "teacher", columns].sort_values("window").reset_index(drop=True) for t in (one, other)]
    pd.testing.assert_frame_equal(*tables)


# ---- keys, settings, estimates --------------------------------------------------------------------------------------


def test_how_networks_train_is_not_part_of_a_forests_key(
    tiny: Definition, plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key(**changes: Any) -> str:
        definition = tiny(stages={"teacher": {"model": FOREST}})
        for name, value in changes.items():
            definition[name] = {**definition[name], **value}
        return plan_of(definition).variants[0].stages["teacher"].key

    first = key()
    assert key(training={"epochs": 7, "select": "test_best"}) == first
    assert key(protocol={"seed": 4}) != first
    monkeypatch.setattr(RandomForest, "version", classmethod(lambda cls: "scikit-learn 0.0"))
    assert key() != first


def test_a_forest_is_never_chosen_on_test_windows(tiny: Definition) -> None:
    study = parse_study(tiny(stages={"teacher": {"model": FOREST}}, training={"select": "test_best"}))
    (variant,) = study.variants.values()
    assert variant.settings(variant.stages["teacher"]).select == "last"
    assert variant.settings(variant.stages["alone"]).select == "test_best"


def test_the_estimate_counts_a_fit_once_per_member(tiny: Definition, plan_of: PlanOf) -> None:
    plan = plan_of(tiny(stages={"teacher": {"model": FOREST}, "alone": None, "taught": None}, compare=None, signals={}))
    planned = plan.variants[0].stages["teacher"]
    assert planned.parameters == 0
    assert plan.estimate(jobs=1).seconds == pytest.approx(members_of(plan, "teacher") * planned.seconds_per_step)


def test_a_missing_package_is_told_before_anything_is_trained(
    tiny: Definition, plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    from limbeck.models.classical import TabNet

    sentence = "the package pytorch-tabnet is not installed; pip install 'limbeck[tabnet]' brings it."
    monkeypatch.setattr(TabNet, "lacking", classmethod(lambda cls: sentence))
    with pytest.raises(StudyError) as caught:
        plan_of(tiny(stages={"teacher": {"model": "tabnet"}}))
    assert f"stages.teacher: the model 'tabnet' cannot be fitted: {sentence}" in caught.value.mistakes


def test_options_that_make_no_sense_are_told_with_the_stage(tiny: Definition, plan_of: PlanOf) -> None:
    with pytest.raises(StudyError, match=r"stages.teacher: (.|\n)*c is -1; expected a number above 0"):
        plan_of(tiny(stages={"teacher": {"model": {"name": "svm", "c": [1, -1]}}}))


def test_options_to_choose_from_need_two_labelled_subjects(tiny: Definition, plan_of: PlanOf) -> None:
    several: dict[str, Any] = {"stages": {"teacher": {"model": {"name": "knn", "neighbours": [1, 3]}}}, "compare": None}
    with pytest.raises(StudyError, match=r"stages.teacher: the model 'knn' has 2 combinations .* one labelled subject"):
        plan_of(tiny(**several, protocol={"labelled": 1}))
    plan_of(tiny(**several, protocol={"labelled": 2}))

    # of three subjects, two groups of cross-fitting leave one teacher a single one
    crossed = {"taught": {"crossfit": 2}}
    with pytest.raises(StudyError, match=r"(?s)'teacher.*needs, cannot be made: .* one labelled subject only"):
        plan_of(tiny(stages={**several["stages"], **crossed}, compare=None))
    plan_of(tiny(stages={"teacher": {"model": "knn"}, **crossed}, compare=None))


# ---- refused --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"stages": {"taught": {"like": None, "model": "svm", "inputs": ["eda"]}}, "compare": None},
            "stages.taught.taught_by: the model 'svm' is fitted to labels and takes no soft targets",
        ),
        (
            {"stages": {"teacher": {"model": "svm", "training": {"epochs": 3}}}},
            "stages.teacher.training: the model 'svm' is fitted in one go, without epochs and batches",
        ),
        (
            {"stages": {"teacher": {"model": "svm", "loss": {"hard": 0.5}}}},
            "stages.teacher.loss: the model 'svm' is fitted to labels by a loss of its own; remove loss.",
        ),
        (
            {"stages": {"teacher": {"model": "svm", "start": "alone"}}},
            "stages.teacher.start: the model 'svm' has no weights to start with",
        ),
        (
            {"stages": {"teacher": {"model": "svm"}, "alone": {"start": "teacher"}}, "compare": None},
            "stages.alone.start: the stage 'teacher' is of the model 'svm', which has no weights that a network",
        ),
        (
            {
                "stages": {
                    "teacher": {"model": "svm"},
                    "taught": {"loss": {"hint": {"teacher": "hidden", "student": "hidden"}}},
                }
            },
            "stages.taught.loss.hint: the teacher 'teacher' is of the model 'svm', which has no features to hand over",
        ),
        (
            {"stages": {"teacher": {"model": "svm"}}, "refit": "all", "deploy": "teacher"},
            "refit: 'teacher' is of the model 'svm', which cannot be stored without code in the file",
        ),
    ],
)
def test_what_only_a_network_can_do_is_refused(
    tiny: Definition, mistakes: Mistakes, changes: dict[str, Any], sentence: str
) -> None:
    found = mistakes(tiny(**changes))
    assert any(mistake.startswith(sentence) for mistake in found), found


def test_a_definition_that_is_wrong_in_itself_is_not_looked_at_further(tiny: Definition, mistakes: Mistakes) -> None:
    found = mistakes(tiny(stages={"teacher": {"model": 3}, "alone": {"model": {"name": "svmm"}}, "taught": None}))
    assert not any("fitted" in mistake for mistake in found)


# ---- the whole road -------------------------------------------------------------------------------------------------


def test_a_run_with_a_forest_is_judged_refitted_and_reported(tiny: Definition, tmp_path: Path) -> None:
    stages = {"teacher": {"model": FOREST}, "forest": {"model": FOREST, "inputs": ["eda"]}}
    definition = tiny(stages=stages, refit="all", protocol={"labelled": "all", "validation": 0})

    run = run_study(parse_study(definition), out=tmp_path / "runs")

    (judgement,) = run.judgements
    assert len(judgement.verdicts) == 1
    assert {"teacher", "forest", "taught"} <= set(run.predictions["arm"].astype(str))
    assert load_run(run.path).predictions.equals(run.predictions)
    student = load(run.path)
    assert student.description["model"]["name"] == "linear"
    file = run.path / "deployed" / "student" / "model.json"
    description = json.loads(file.read_text())
    file.write_text(json.dumps({**description, "model": FOREST}))
    with pytest.raises(LimbeckError, match="'random_forest', which cannot be stored or deployed"):
        load(run.path)


def test_a_run_of_classical_models_alone_needs_no_network(tiny: Definition, tmp_path: Path) -> None:
    stages = {"teacher": {"model": "lda"}, "alone": {"model": "svm"}, "taught": None}
    run = run_study(parse_study(tiny(stages=stages, compare=None)), out=tmp_path / "runs")
    assert run.report.is_file()
    assert len(run.history) == 2 * 3


def test_classical_arms_are_compared_without_controls(tiny: Definition, tmp_path: Path) -> None:
    stages = {"teacher": {"model": FOREST, "loss": "hard"}, "alone": {"model": "svm"}, "taught": None}
    compare = [{"taught": "teacher", "alone": "alone", "controls": []}]
    run = run_study(parse_study(tiny(stages=stages, compare=compare)), out=tmp_path / "runs")
    ((verdict,),) = (judgement.verdicts for judgement in run.judgements)
    assert not verdict.claim
    assert "alone/all_labels" in set(run.predictions["arm"].astype(str))


def test_a_network_is_not_made_where_a_classical_model_is_needed(tiny: Definition, plan_of: PlanOf) -> None:
    plan = plan_of(tiny())
    task = task_of(plan, "teacher")
    with pytest.raises(LimbeckError, match="'linear' is a network"):
        room.make_classical(task.node, room._tensors(task))
