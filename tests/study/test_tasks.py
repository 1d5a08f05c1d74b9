"""What a stage learns from: nothing that the protocol hides, and the teachers that the graph says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from limbeck import windows
from limbeck.distillation import fit_temperature
from limbeck.errors import LimbeckError
from limbeck.models import InputShape
from limbeck.study import Plan, parse_study
from limbeck.study import tasks as room
from limbeck.study.graph import build_graph
from limbeck.study.store import Store
from limbeck.study.tasks import Task, run_task
from limbeck.training import Settings, fit
from limbeck.training.sights import SECOND

Definition = Callable[..., dict[str, Any]]
PlanOf = Callable[..., Plan]
States = Callable[..., list[dict[str, np.ndarray]]]
Train = Callable[..., pd.DataFrame]

FIRST = (0, 0, 0)
FEATURELESS = {"name": "mlp", "hidden": 8, "dropout": 0.0}


def first_member(plan: Plan, windows_at: Path | None = None, store: Path | None = None) -> list[Task]:
    """Return the tasks of a plan, each for the first member alone, on other windows and into another store if given."""
    variant = plan.variants[0]
    return [
        replace(
            task,
            members=(FIRST,),
            keys={name: (key, (0,)) for name, (key, _) in task.keys.items()},
            windows=windows_at or task.windows,
            store=store or plan.out / "first",
        )
        for task in (variant.task(name, 0, plan.store) for name in variant.stages)
    ]


def run_all(tasks: list[Task]) -> dict[str, dict[str, np.ndarray]]:
    """Run tasks in order and return every stage's weights and test predictions as arrays."""
    found = {}
    for task in tasks:
        run_task(task)
        store = Store(task.store)
        (state,) = store.states(task.key, (0,), [FIRST])
        found[task.node.name] = {name: value.numpy() for name, value in state.items()}
        if task.node.is_arm:
            found[task.node.name]["predictions"] = store.predictions(task.key, 0).to_numpy()
    return found


def changed_windows(plan: Plan, path: Path, change: Callable[[xr.Dataset], xr.Dataset]) -> Path:
    dataset = change(windows.load(plan.variants[0].windows).copy(deep=True))
    windows.save(dataset.assign_attrs(key="changed"), path)
    return path


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


# ---- hidden labels --------------------------------------------------------------------------------------------------


def test_no_stage_but_the_ceiling_reads_a_label_that_the_protocol_hides(
    tiny: Definition, plan_of: PlanOf, tmp_path: Path
) -> None:
    diagnostics = ["hard_labels", "within_predicted", "smoothed"]
    compare = [
        {"taught": name, "alone": "alone", "diagnostics": diagnostics} for name in ("taught", "crossed", "hinted")
    ]
    definition = tiny(stages={"teacher": {"model": FEATURELESS}, "alone": {"model": FEATURELESS}}, compare=compare)
    definition["stages"]["crossed"] = {"like": "taught", "crossfit": 2}
    hint = {"hard": 1, "soft": 1, "hint": {"teacher": "hidden", "student": "hidden"}}
    definition["stages"]["hinted"] = {"like": "taught", "loss": hint, "start": "alone"}
    plan = plan_of(definition)
    fold = plan.variants[0].folds[0]
    assert len(fold.unlabelled)

    def poison(dataset: xr.Dataset) -> xr.Dataset:
        hidden = np.concatenate([fold.unlabelled, fold.test])
        dataset["target"].values[hidden] = 1 - dataset["target"].values[hidden]
        return dataset

    poisoned = changed_windows(plan, tmp_path / "poisoned.zarr", poison)
    before = run_all(first_member(plan))
    after = run_all(first_member(plan, poisoned, tmp_path / "other"))
    assert {name for name in before if not same(before[name], after[name])} == {"alone/all_labels"}
    assert len(before) > 20


def test_the_trainer_never_gets_the_test_windows(
    tiny: Definition, plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = tiny(data={"options": {"subjects": 12}}, protocol={"split": 6, "labelled": "all", "validation": 2})
    definition["stages"]["best"] = {"like": "taught", "training": {"select": "test_best"}}
    plan = plan_of(definition)
    fold = plan.variants[0].folds[0]
    seen: dict[str, tuple[set[int], str]] = {}
    running = ""

    def note(ensemble: Any, tensors: Any, settings: Settings, taught: Any, **options: Any) -> Any:
        (member,) = ensemble.members
        parts = (member.fold.labelled, member.fold.unlabelled, member.fold.test)
        assert not set(np.concatenate(parts)) & set(fold.test)
        seen[running] = (set(member.fold.validation), settings.select)
        return fit(ensemble, tensors, settings, taught, **options)

    monkeypatch.setattr(room, "fit", note)
    for task in first_member(plan):
        running = task.node.name
        run_task(task)
    assert seen.pop("best") == (set(fold.test), "validation")
    assert all(validation == set(fold.validation) for validation, _ in seen.values())
    assert len(fold.validation_subjects) == 2


# ---- controls -------------------------------------------------------------------------------------------------------


def test_a_taught_arm_and_its_controls_have_the_same_start_and_the_same_batches_as_the_arm_alone(
    tiny: Definition, plan_of: PlanOf
) -> None:
    # With a teacher who says next to nothing all of them are one arm, if only the knowledge differs.
    compare = [{"taught": "taught", "alone": "alone", "diagnostics": ["hard_labels", "smoothed"]}]
    stages = {"alone": {"model": FEATURELESS}, "taught": {"loss": {"soft": {"weight": 1e-20}}}}
    found = run_all(first_member(plan_of(tiny(stages=stages, compare=compare))))
    arms = ["alone", "taught", "taught/own_input", "taught/scrambled", "taught/hard_labels", "taught/smoothed"]
    for arm in arms[1:]:
        for name, value in found["alone"].items():
            np.testing.assert_allclose(found[arm][name], value, atol=1e-6, err_msg=f"{arm} {name}")
    assert not np.allclose(found["alone"]["predictions"], found["alone/all_labels"]["predictions"], atol=1e-3)


def test_a_teacher_who_says_something_sets_the_controls_apart(tiny: Definition, plan_of: PlanOf) -> None:
    compare = [{"taught": "taught", "alone": "alone", "diagnostics": ["hard_labels", "within_predicted", "smoothed"]}]
    found = run_all(first_member(plan_of(tiny(compare=compare, stages={"taught": {"loss": {"soft": 5}}}))))
    arms = [name for name in found if name.startswith("taught")] + ["alone"]
    assert len(arms) == 7
    weights = {arm: found[arm]["network.head.weight"].tobytes() for arm in arms}
    assert len(set(weights.values())) == len(arms)


def test_scrambling_moves_knowledge_within_subjects_and_within_true_classes(tiny: Definition, plan_of: PlanOf) -> None:
    plan = plan_of(tiny(protocol={"labelled": 2}))
    *_, scrambled = [task for task in first_member(plan) if task.node.name in ("taught", "taught/scrambled")]
    run_all(first_member(plan))
    dataset = windows.load(plan.variants[0].windows)
    taught = room._taught(
        scrambled, Store(scrambled.store), dataset, [room._member(scrambled, member) for member in scrambled.members]
    )
    key, _ = scrambled.keys["teacher"]
    plain = Store(scrambled.store).knowledge(key, (0,), [FIRST], "logits")[0]
    assert taught.logits is not None
    moved = taught.logits[0].numpy()
    fold = plan.variants[0].folds[0]
    subjects, truth = dataset["subject"].to_numpy(), dataset["target"].to_numpy()
    assert len(fold.unlabelled_subjects) == len(fold.labelled_subjects) == 2
    groups = {f"subject {code}": fold.unlabelled[subjects[fold.unlabelled] == code] for code in np.unique(subjects)}
    groups |= {f"class {code}": fold.labelled[truth[fold.labelled] == code] for code in (0, 1)}
    for group in groups.values():
        np.testing.assert_array_equal(np.sort(moved[group], axis=0), np.sort(plain[group], axis=0))
    assert (moved[fold.training] != plain[fold.training]).any(axis=1).mean() > 0.5


# ---- knowledge ------------------------------------------------------------------------------------------------------


def test_what_is_handed_over_is_what_the_teacher_says_of_each_training_window(
    tiny: Definition, plan_of: PlanOf
) -> None:
    plan = plan_of(tiny())
    run_all(first_member(plan))
    variant = plan.variants[0]
    fold, store = variant.folds[0], Store(plan.out / "first")
    key = variant.stages["teacher"].key
    logits = store.knowledge(key, (0,), [FIRST], "logits")[0]
    assert np.isnan(logits[np.setdiff1d(np.arange(len(logits)), fold.training)]).all()
    (state,) = store.states(key, (0,), [FIRST])
    x = np.concatenate([variant.dataset["eda"].to_numpy(), variant.dataset["temp"].to_numpy()], axis=1)
    scaled = (x - x[fold.training].mean(axis=0)) / x[fold.training].std(axis=0)
    from limbeck.models import InputShape, build

    shapes = {m: InputShape(variant.dataset[m].shape[1]) for m in ("eda", "temp")}
    network = build("linear", shapes, 2)
    network.load_state_dict({name.removeprefix("network."): value for name, value in state.items()})
    import torch

    width = variant.dataset["eda"].shape[1]
    inputs = {"eda": torch.from_numpy(scaled[:, :width]).float(), "temp": torch.from_numpy(scaled[:, width:]).float()}
    said = network(inputs).prediction.detach().numpy()
    np.testing.assert_allclose(logits[fold.training], said[fold.training], atol=1e-4)


@pytest.mark.parametrize("teacher", [{}, {"labelled": "all"}], ids=["few labels", "all labels"])
def test_a_teacher_of_cross_fitting_has_not_seen_the_group_that_it_teaches(
    tiny: Definition, plan_of: PlanOf, tmp_path: Path, teacher: dict[str, Any]
) -> None:
    definition = tiny(stages={"taught": {"crossfit": 3}, "teacher": teacher}, compare=[])
    plan = plan_of(definition)
    variant = plan.variants[0]
    fold = variant.folds[0]
    before = run_all(first_member(plan))
    groups = room.labelled_groups(fold, variant.table, 3, 0)
    assert sorted(np.concatenate(groups)) == sorted(fold.labelled)
    for number, group in enumerate(groups):

        def poison(dataset: xr.Dataset, group: np.ndarray = group) -> xr.Dataset:
            for modality in ("eda", "temp"):
                dataset[modality].values[group] += 100.0
            return dataset

        path = changed_windows(plan, tmp_path / f"{number}.zarr", poison)
        after = run_all(first_member(plan, path, tmp_path / f"store {number}"))
        unchanged = {name for name in before if same_weights(before[name], after[name])}
        assert unchanged == {f"teacher/without_{number + 1}_of_3"}


def same_weights(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one if name != "predictions")


def test_cross_fitted_knowledge_of_labelled_windows_comes_from_the_teacher_that_has_not_seen_them(
    tiny: Definition, plan_of: PlanOf
) -> None:
    plan = plan_of(tiny(stages={"taught": {"crossfit": 3}}, compare=[]))
    run_all(first_member(plan))
    variant = plan.variants[0]
    task = first_member(plan)[list(variant.stages).index("taught")]
    store, fold = Store(task.store), variant.folds[0]
    taught = room._taught(task, store, variant.dataset, [room._member(task, FIRST)])
    assert taught.logits is not None
    logits = taught.logits[0].numpy()

    def said(name: str) -> np.ndarray:
        values: np.ndarray = store.knowledge(variant.stages[name].key, (0,), [FIRST], "logits")[0]
        return values

    np.testing.assert_array_equal(logits[fold.unlabelled], said("teacher")[fold.unlabelled])
    for number, group in enumerate(room.labelled_groups(fold, variant.table, 3, 0)):
        own = said(f"teacher/without_{number + 1}_of_3")
        np.testing.assert_array_equal(logits[group], own[group])
        assert not np.array_equal(own[group], said("teacher")[group])


def test_nested_cross_fitting_hides_the_groups_of_both_stages(
    tiny: Definition, plan_of: PlanOf, tmp_path: Path
) -> None:
    stages = {
        "first": {"model": "linear", "inputs": ["eda", "temp"]},
        "teacher": {"taught_by": "first", "loss": "soft", "crossfit": 3},
        "taught": {"crossfit": 2},
    }
    definition = tiny(stages=stages, compare=[], protocol={"labelled": "all"}, data={"options": {"subjects": 9}})
    definition["protocol"]["validation"] = 0
    plan = plan_of(definition)
    variant = plan.variants[0]
    before = run_all(first_member(plan))
    group = room.labelled_groups(variant.folds[0], variant.table, 2, 0)[1]

    def poison(dataset: xr.Dataset) -> xr.Dataset:
        dataset["eda"].values[group] += 100.0
        return dataset

    after = run_all(first_member(plan, changed_windows(plan, tmp_path / "x.zarr", poison), tmp_path / "other"))
    unseen = [name for name in before if name.endswith("without_2_of_2")]
    assert len(unseen) == 5
    assert all(same_weights(before[name], after[name]) for name in unseen)


def test_unlabelled_windows_teach_unless_the_stage_says_no(tiny: Definition, plan_of: PlanOf) -> None:
    stages = {"labels_only": {"like": "taught", "unlabelled": False}}
    definition = tiny(stages={"teacher": {}, "alone": {}, "taught": {}}, compare=[])
    definition["stages"] |= stages
    plan = plan_of(definition)
    tasks = {task.node.name: task for task in first_member(plan)}
    run_all(list(tasks.values()))
    taught = {
        name: room._taught(tasks[name], Store(tasks[name].store), plan.variants[0].dataset, [room._member(task, FIRST)])
        for name, task in tasks.items()
    }
    assert taught["taught"].unlabelled
    assert not taught["labels_only"].unlabelled
    assert taught["alone"].logits is None
    found = run_all(list(tasks.values()))
    assert not same(found["taught"], found["labels_only"])


# ---- starts and maps ------------------------------------------------------------------------------------------


def test_a_stage_starts_from_the_weights_of_another_but_for_what_is_reset(tiny: Definition, plan_of: PlanOf) -> None:
    still = {"training": {"epochs": 1, "learning_rate": 1e-12}}
    stages = {
        "alone": {"model": FEATURELESS, "training": {"epochs": 5}},
        "fresh": {"model": FEATURELESS, "inputs": ["eda"], **still},
        "tuned": {"model": FEATURELESS, "inputs": ["eda"], "start": "alone", **still},
        "reset": {"model": FEATURELESS, "inputs": ["eda"], "start": {"stage": "alone", "reset": ["head"]}, **still},
    }
    found = run_all(first_member(plan_of(tiny(stages=stages, compare=[]))))
    weights = [name for name in found["fresh"] if name != "predictions"]
    for name in weights:
        np.testing.assert_allclose(found["tuned"][name], found["alone"][name], atol=1e-6)
        source = "fresh" if "head" in name else "alone"
        np.testing.assert_allclose(found["reset"][name], found[source][name], atol=1e-6)
    assert not np.allclose(found["alone"]["network.head.weight"], found["fresh"]["network.head.weight"], atol=1e-3)


def test_a_hint_pulls_the_mapped_feature_towards_the_teacher_and_the_map_stays_behind(
    tiny: Definition, plan_of: PlanOf
) -> None:
    hint = {"hint": {"teacher": "hidden", "student": "hidden"}}
    stages = {
        "teacher": {"model": {"name": "mlp", "hidden": 12, "dropout": 0.0}},
        "alone": {"model": FEATURELESS},
        "taught": {"training": {"epochs": 40, "learning_rate": 0.03}},
        "after": {"model": FEATURELESS, "inputs": ["eda"], "start": "taught"},
    }
    definition = tiny(stages=stages, compare=[])
    definition["stages"]["taught"]["loss"] = hint
    plan = plan_of(definition)
    found = run_all(first_member(plan))
    for name in ("taught", "after"):
        assert all(key.startswith("network.") for key in found[name] if key != "predictions")
    assert {"network.head.weight", "network.hidden.weight"} & found["taught"].keys()
    history = Store(plan.out / "first").history(plan.variants[0].stages["taught"].key, 0)
    pulled = history.loc[history["split"] == "train", "hint"].to_numpy()
    assert pulled[-1] < 0.5 * pulled[0]


# ---- teachers in the plural -----------------------------------------------------------------------------------------

PLURAL = {
    "teacher": {"model": "linear", "inputs": ["eda", "temp"]},
    "other": {"model": FEATURELESS, "inputs": ["temp"]},
    "alone": {"model": "linear", "inputs": ["eda"]},
    "taught": {"like": "alone", "taught_by": ["teacher", "other"], "loss": {"hard": 1, "soft": {"temperature": 2}}},
}


def plural(tiny: Definition, **stage: Any) -> dict[str, Any]:
    """Return a study of nine subjects, one of them for validation, whose student has two teachers."""
    definition = tiny(
        compare=[],
        data={"options": {"subjects": 12}},
        protocol={"split": 6, "labelled": 8, "validation": 2},
        training={"epochs": 6, "learning_rate": 0.05},
    )
    definition["stages"] = {**PLURAL, "taught": {**PLURAL["taught"], **stage}}
    return definition


def handed(plan: Plan) -> tuple[Any, dict[str, np.ndarray], Any]:
    """Return what the student is taught, what each teacher has left, and the fold."""
    tasks = {task.node.name: task for task in first_member(plan)}
    for name, task in tasks.items():
        if name != "taught":
            run_task(task)
    task, variant = tasks["taught"], plan.variants[0]
    store = Store(task.store)
    said = {
        name: store.knowledge(variant.stages[name].key, (0,), [FIRST], "logits")[0] for name in ("teacher", "other")
    }
    taught = room._taught(task, store, variant.dataset, [room._member(task, FIRST)])
    return taught, said, variant.folds[0]


def test_knowledge_of_validation_windows_is_kept_and_never_taught(
    tiny: Definition, plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(plural(tiny))
    fold = plan.variants[0].folds[0]
    assert len(fold.validation)
    drawn: set[int] = set()

    def note(ensemble: Any, tensors: Any, settings: Settings, taught: Any, **options: Any) -> Any:
        original = ensemble.gradients

        def gradients(phase: Any, batch: Any, step: int) -> Any:
            drawn.update(batch.index.flatten().tolist())
            return original(phase, batch, step)

        ensemble.gradients = gradients
        return fit(ensemble, tensors, settings, taught, **options)

    monkeypatch.setattr(room, "fit", note)
    _, said, _ = handed(plan)
    run_task({task.node.name: task for task in first_member(plan)}["taught"])

    for values in said.values():
        assert np.isfinite(values[np.concatenate([fold.training, fold.validation])]).all()
        assert np.isnan(values[fold.test]).all()
    assert drawn == set(fold.training)


def test_several_teachers_are_averaged_unless_the_stage_says_otherwise(tiny: Definition, plan_of: PlanOf) -> None:
    taught, said, fold = handed(plan_of(plural(tiny)))

    expected = (said["teacher"] + said["other"])[fold.training] / 2
    np.testing.assert_allclose(taught.logits[0].numpy()[fold.training], expected, rtol=1e-5, atol=1e-6)
    assert np.isnan(taught.logits[0].numpy()[np.concatenate([fold.validation, fold.test])]).all()
    assert taught.trust is None
    for name in ("teacher", "other"):
        np.testing.assert_array_equal(taught.teachers[name]["logits"][0].numpy(), said[name])


def test_a_way_to_combine_teachers_reaches_the_student(tiny: Definition, plan_of: PlanOf) -> None:
    knowledge = {"combine": {"weights": {"weights": [3, 1]}}}
    taught, said, fold = handed(plan_of(plural(tiny, knowledge=knowledge)))

    expected = (0.75 * said["teacher"] + 0.25 * said["other"])[fold.training]
    np.testing.assert_allclose(taught.logits[0].numpy()[fold.training], expected, rtol=1e-5, atol=1e-6)


def test_teachers_are_weighed_by_what_they_say_of_validation_subjects(
    tiny: Definition, plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []
    original = room.combine

    def note(*arguments: Any, **options: Any) -> Any:
        seen.append(options)
        return original(*arguments, **options)

    monkeypatch.setattr(room, "combine", note)
    plan = plan_of(plural(tiny, knowledge={"combine": "accuracy"}))
    _, said, fold = handed(plan)

    logits, truth = seen[0]["validation"]
    np.testing.assert_array_equal(logits, np.stack([said[name][fold.validation] for name in ("teacher", "other")]))
    np.testing.assert_array_equal(truth, plan.variants[0].dataset["target"].to_numpy()[fold.validation])
    np.testing.assert_array_equal(fold.training[seen[0]["labelled"]], fold.labelled)


def test_calibrated_logits_are_divided_by_the_temperature_that_fits_validation_windows(
    tiny: Definition, plan_of: PlanOf
) -> None:
    plan = plan_of(plural(tiny, knowledge={"calibrate": True}))
    taught, said, fold = handed(plan)

    truth = plan.variants[0].dataset["target"].to_numpy()[fold.validation]
    temperatures = {name: fit_temperature(values[fold.validation], truth) for name, values in said.items()}
    assert any(abs(temperature - 1) > 0.05 for temperature in temperatures.values())
    for name, temperature in temperatures.items():
        found = taught.teachers[name]["logits"][0].numpy()[fold.training]
        np.testing.assert_allclose(found, said[name][fold.training] / temperature, rtol=1e-4)
    expected = sum(said[name][fold.training] / temperature for name, temperature in temperatures.items()) / 2
    np.testing.assert_allclose(taught.logits[0].numpy()[fold.training], expected, rtol=1e-4, atol=1e-6)


def test_cross_fitted_logits_are_calibrated_on_labelled_windows(tiny: Definition, plan_of: PlanOf) -> None:
    plan = plan_of(tiny(stages={"taught": {"crossfit": 3}}, compare=[], training={"epochs": 6, "learning_rate": 0.05}))
    variant = plan.variants[0]
    assert not len(variant.folds[0].validation)
    run_all(first_member(plan))
    task = {task.node.name: task for task in first_member(plan)}["taught"]
    store, members = Store(task.store), [room._member(task, FIRST)]
    plain = room._taught(task, store, variant.dataset, members).logits
    stage = task.node.stage.model_copy(
        update={"knowledge": task.node.stage.knowledge.model_copy(update={"calibrate": True})}
    )
    calibrated = replace(task, node=replace(task.node, stage=stage))

    found = room._taught(calibrated, store, variant.dataset, members).logits

    assert plain is not None
    assert found is not None
    labelled = variant.folds[0].labelled
    truth = variant.dataset["target"].to_numpy()[labelled]
    temperature = fit_temperature(plain[0].numpy()[labelled], truth)
    training = variant.folds[0].training
    np.testing.assert_allclose(found[0].numpy()[training], plain[0].numpy()[training] / temperature, rtol=1e-4)


def test_unsure_windows_are_not_trusted_and_labelled_ones_always_are(tiny: Definition, plan_of: PlanOf) -> None:
    taught, said, fold = handed(plan_of(plural(tiny, knowledge={"share": 0.5})))
    trust = taught.trust[0].numpy()
    together = (said["teacher"] + said["other"]) / 2

    assert len(fold.unlabelled)
    assert (trust[fold.labelled] == 1).all()
    shifted = np.exp(together[fold.unlabelled] - together[fold.unlabelled].max(axis=1, keepdims=True))
    sure = (shifted / shifted.sum(axis=1, keepdims=True)).max(axis=1)
    kept = trust[fold.unlabelled] > 0
    assert 0 < kept.sum() < len(kept)
    assert sure[kept].min() >= sure[~kept].max()


def test_scrambled_teachers_are_moved_together(tiny: Definition, plan_of: PlanOf) -> None:
    definition = plural(tiny) | {"compare": [{"taught": "taught", "alone": "alone", "controls": ["scrambled"]}]}
    plan = plan_of(definition)
    _, said, fold = handed(plan)
    task = {task.node.name: task for task in first_member(plan)}["taught/scrambled"]
    taught = room._taught(task, Store(task.store), plan.variants[0].dataset, [room._member(task, FIRST)])

    moved = {name: taught.teachers[name]["logits"][0].numpy()[fold.training] for name in said}
    places = {}
    for name, values in said.items():
        own = values[fold.training]
        places[name] = [int(np.flatnonzero((own == row).all(axis=1))[0]) for row in moved[name]]
    assert places["teacher"] == places["other"]
    assert (np.array(places["teacher"]) != np.arange(len(fold.training))).mean() > 0.5


# ---- partners --------------------------------------------------------------------------------------------------------


def beside(tiny: Definition, **partner: Any) -> dict[str, Any]:
    """Return a study whose student has its teacher beside it."""
    definition = tiny(compare=[], protocol={"labelled": "all"})
    definition["stages"]["taught"] |= {"partners": {"teacher": {"stage": "teacher", **partner}}}
    return definition


def test_a_partner_starts_from_its_stage_and_is_kept_as_it_has_become(tiny: Definition, plan_of: PlanOf) -> None:
    definition = beside(tiny, start=True)
    definition["stages"]["taught"] |= {
        "steps": {"feedback": {"quiz": 4}},
        "training": {"epochs": 1, "learning_rate": 1e-9, "weight_decay": 0},
    }
    found = run_all(first_member(plan_of(definition)))

    kept = found["taught"]["partners.teacher.head.weight"]
    np.testing.assert_allclose(kept, found["teacher"]["network.head.weight"], atol=1e-6)
    definition["stages"]["taught"]["training"] = {"epochs": 2, "learning_rate": 1e-2}
    moved = run_all(first_member(plan_of(definition)))["taught"]["partners.teacher.head.weight"]
    assert np.abs(moved - kept).max() > 1e-3


def test_a_live_teacher_that_stands_still_teaches_what_it_would_have_handed_over(
    tiny: Definition, plan_of: PlanOf
) -> None:
    handed_over = run_all(first_member(plan_of(tiny(compare=[], protocol={"labelled": "all"}))))
    live = run_all(first_member(plan_of(beside(tiny, start=True, learns="frozen"))))

    assert not [name for name in live["taught"] if name.startswith("partners.")]
    for name, value in handed_over["taught"].items():
        np.testing.assert_allclose(live["taught"][name], value, atol=1e-5, err_msg=name)


def test_the_average_of_a_network_is_what_a_stage_leaves_where_it_predicts(tiny: Definition, plan_of: PlanOf) -> None:
    def trained(momentum: float) -> dict[str, np.ndarray]:
        definition = tiny(compare=[])
        slow = {"slow": {"learns": "average", "momentum": momentum}}
        definition["stages"]["smooth"] = {"like": "alone", "partners": slow, "predict_with": "slow"}
        return run_all(first_member(plan_of(definition)))["smooth"]

    alone = run_all(first_member(plan_of(tiny(compare=[]))))["alone"]
    smooth = trained(0.9)

    assert smooth.keys() == alone.keys()
    assert not np.allclose(smooth["network.head.weight"], alone["network.head.weight"], atol=1e-4)
    # An average that keeps nothing of itself is the network.
    for name, value in trained(0.0).items():
        np.testing.assert_allclose(value, alone[name], atol=1e-6, err_msg=name)


def test_partners_of_the_scrambled_control_see_windows_of_the_same_subject_or_class(
    tiny: Definition, plan_of: PlanOf
) -> None:
    definition = beside(tiny, start=True, learns="frozen") | {"compare": [{"taught": "taught", "alone": "alone"}]}
    definition["protocol"]["labelled"] = 2
    plan = plan_of(definition)
    tasks = {task.node.name: task for task in first_member(plan)}
    task, variant = tasks["taught/scrambled"], plan.variants[0]
    fold = variant.folds[0]
    read = room._partner_windows(task, [room._member(task, FIRST)])["teacher"]
    order = read.order[0].numpy()

    assert room._partner_windows(tasks["taught"], [room._member(task, FIRST)])["teacher"].order is None
    subjects, truth = variant.dataset["subject"].to_numpy(), variant.dataset["target"].to_numpy()
    np.testing.assert_array_equal(subjects[order[fold.unlabelled]], subjects[fold.unlabelled])
    np.testing.assert_array_equal(truth[order[fold.labelled]], truth[fold.labelled])
    assert sorted(order[fold.training]) == sorted(fold.training)
    np.testing.assert_array_equal(order[fold.test], fold.test)
    assert (order[fold.training] != fold.training).mean() > 0.4
    own = tasks["taught/own_input"]
    assert list(room._partner_windows(own, [room._member(own, FIRST)])["teacher"].windows.shapes) == ["eda"]
    found = run_all(list(tasks.values()))
    arms = ["taught", "taught/own_input", "taught/scrambled"]
    assert len({found[arm]["network.head.weight"].tobytes() for arm in arms}) == 3


# ---- refit ----------------------------------------------------------------------------------------------------------


def test_a_refit_learns_from_every_usable_window_and_can_be_cross_fitted(tiny: Definition, plan_of: PlanOf) -> None:
    calibration = {"calibration": {"condition": "rest", "seconds": 8}}
    definition = tiny(stages={"taught": {"crossfit": 2}}, refit="all", deploy="taught", normalise=calibration)
    plan = plan_of(definition)
    variant = plan.variants[0]
    fold = room.refit_fold(variant.table)
    assert len(fold.labelled) == 36 == (~variant.table["calibration"]).sum()
    assert not len(fold.unlabelled)
    assert not len(fold.test)
    assert variant.refit_stages() == ["teacher", "teacher/without_1_of_2", "teacher/without_2_of_2", "taught"]
    for name in variant.refit_stages():
        run_task(variant.task(name, "refit", plan.store, epochs=3))
    key = variant.stages["taught"].key
    assert plan.store.done(key, "refit")["epochs"] == [3]
    logits = plan.store.knowledge(variant.stages["teacher"].key, ("refit",), [room.REFIT], "logits")[0]
    assert np.isfinite(logits[fold.labelled]).all()


def test_a_task_that_is_done_is_not_done_again(
    tiny: Definition, plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(tiny())
    tasks = first_member(plan)
    run_all(tasks)
    assert all(room.is_done(task) for task in tasks)
    monkeypatch.setattr(room, "fit", None)
    run_all(tasks)


def test_knowledge_that_is_asked_for_later_is_what_it_would_have_been(tiny: Definition, plan_of: PlanOf) -> None:
    plan = plan_of(tiny(stages={"teacher": {"model": "mlp"}}, compare=[]))
    teacher = first_member(plan)[0]
    wanted = replace(teacher, node=replace(teacher.node, hands_over=frozenset({"logits", "hidden"})))
    silent = replace(
        teacher, node=replace(teacher.node, hands_over=frozenset(), role="helper"), store=plan.out / "late"
    )
    late = replace(wanted, store=plan.out / "late")
    run_task(wanted)
    run_task(silent)
    assert not room.is_done(late)
    run_task(late)
    assert room.is_done(late)
    for name in ("logits", "hidden"):
        early = Store(wanted.store).knowledge(wanted.key, (0,), [FIRST], name)
        np.testing.assert_array_equal(early, Store(late.store).knowledge(late.key, (0,), [FIRST], name))
    pd.testing.assert_frame_equal(
        Store(wanted.store).predictions(wanted.key, 0), Store(late.store).predictions(late.key, 0)
    )


# ---- changes of windows, starts, views ------------------------------------------------------------------------------


SIGNALS = {"eda": InputShape(1, 64, 16.0), "temp": InputShape(1, 64, 16.0)}
EDA = {"eda": SIGNALS["eda"]}


def changed(tiny: Definition, n_steps: int = 0, **stage: Any) -> dict[str, Any]:
    """Return how windows are changed in an arm that learns to say the same of two sights."""
    partners = {"rich": {"model": "fusion_cnn", "inputs": ["eda", "temp"]}, "average": {"learns": "average"}}
    definition = tiny(signals={"eda": [{"resample": 16}], "temp": [{"resample": 16}]}, compare=[])
    definition["stages"] = {
        "taught": {
            "model": "fusion_cnn",
            "inputs": ["eda"],
            "partners": partners,
            "loss": {"hard": 1, "mutual": {"partner": "rich"}, "consistency": 1},
            **stage,
        }
    }
    (variant,) = parse_study(definition).variants.values()
    node = build_graph(variant)["taught"]
    found = room.make_augmentations(node, EDA, {"rich": SIGNALS}, n_steps)
    return {name: augmentation.resolved() for name, augmentation in found.items()}


def test_a_loss_that_needs_a_second_sight_leaves_the_plain_one_as_the_stage_has_it(tiny: Definition) -> None:
    found = changed(tiny)
    assert set(found) == {SECOND, "rich", "average"}
    assert found["average"] == found[SECOND]
    assert all(found[SECOND].values())

    written = changed(tiny, augment={"eda": [{"jitter": 0.3}]})
    assert set(written) == {"", "rich", "average"}
    assert written["average"] == written[""]


def test_no_sight_moves_time_where_steps_are_learned(tiny: Definition) -> None:
    for n_steps, moves in ((0, True), (8, False)):
        found = changed(tiny, n_steps, augment="strong")
        for sight in ("", "rich", "average"):
            assert any("time_warp" in change for change in found[sight]["eda"]) is moves


def test_a_partners_second_sight_changes_as_the_stage_says_where_it_reads_the_same(tiny: Definition) -> None:
    by_default = changed(tiny)["rich"]
    found = changed(tiny, augment={"eda": [{"jitter": 0.3}]})
    assert found["rich"]["eda"] == found[""]["eda"]
    assert found["rich"]["temp"] == by_default["temp"]
    assert changed(tiny, augment="weak")["rich"] != by_default


@pytest.mark.parametrize("partner", ["nobody", "average"])
def test_a_start_that_has_left_no_weights_is_refused(
    tiny: Definition, plan_of: PlanOf, tmp_path: Path, partner: str
) -> None:
    definition = tiny(compare=[], signals={"temp": None})
    peers = {"peer": {}, "average": {"learns": "average"}}
    loss = {"hard": 1, "mutual": {"partner": "peer"}, "consistency": 1}
    definition["stages"] = {
        "pre": {"model": "linear", "inputs": ["eda"], "partners": peers, "loss": loss},
        "taught": {"model": "linear", "inputs": ["eda"], "start": {"stage": "pre", "partner": "peer"}},
    }
    before, task = first_member(plan_of(definition))
    run_task(before)
    start = task.node.stage.start
    assert start is not None
    stage = task.node.stage.model_copy(update={"start": start.model_copy(update={"partner": partner})})
    with pytest.raises(
        LimbeckError, match=rf"'pre' has left no weights called partners\.{partner}.*network, partners\.peer"
    ):
        run_task(replace(task, node=replace(task.node, stage=stage)))


def test_as_many_views_are_kept_as_take_no_more_than_the_windows_twice(tiny: Definition, plan_of: PlanOf) -> None:
    (variant,) = plan_of(tiny()).variants
    size = sum(values.nbytes for values in variant.dataset.data_vars.values())
    how = [f'{{"mode": "train", "clip": {{"eda": {limit}}}}}' for limit in range(1, 40)]
    views = room._Views(least=2)
    first = views.of(variant.windows, "", (("eda", None),), how[0])
    assert views.of(variant.windows, "", (("eda", None),), how[0]) is first
    own = first.inputs["eda"].nbytes
    room_for = int(2 * size // own)
    assert 4 < room_for < 39
    for text in how:
        views.of(variant.windows, "", (("eda", None),), text)
    assert len(views.kept) == room_for
    assert views.of(variant.windows, "", (("eda", None),), how[-1]) is next(reversed(views.kept.values()))
    assert (variant.windows, "", (("eda", None),), how[0]) not in views.kept
