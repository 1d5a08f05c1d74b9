"""What is chosen is chosen inside each fold, by subjects that are not tested on, and said in the record."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from limbeck import windows
from limbeck.errors import StudyError
from limbeck.study import Plan, parse_study, run_study
from limbeck.study import runner as runner_room
from limbeck.study.graph import ancestors, build_graph
from limbeck.study.store import Store
from limbeck.study.tasks import Task, run_task

Definition = Callable[..., dict[str, Any]]
Mistakes = Callable[..., list[str]]
PlanOf = Callable[..., Plan]
Train = Callable[..., pd.DataFrame]

WEIGHT = {"stages.taught.loss.soft.weight": [0.01, 30]}

MANY = {"data": {"options": {"subjects": 13}}, "protocol": {"labelled": "all"}}
"""So many labelled subjects that some of them can be spared for validation."""


def chosen(plan: Plan, stage: str, variant: int = 0) -> dict[tuple[int, ...], int]:
    """Return which candidate was taken for each member."""
    planned = plan.variants[variant].stages[stage]
    done = [plan.store.done(planned.key, group) for group in range(len(planned.groups))]
    return {tuple(m): k for one in done for m, k in zip(one["members"], one["chosen"], strict=True)}


def predicted(plan: Plan, stage: str, member: tuple[int, ...]) -> np.ndarray:
    planned = plan.variants[0].stages[stage]
    table = plan.store.predictions_of(planned.key, range(len(planned.groups)), member)  # type: ignore[arg-type]
    return table.drop(columns="member").to_numpy()


def logits(plan: Plan, stage: str, member: tuple[int, ...]) -> np.ndarray:
    planned = plan.variants[0].stages[stage]
    found: np.ndarray = plan.store.knowledge(planned.key, range(len(planned.groups)), [member], "logits")[0]  # type: ignore[list-item]
    return found


def balanced_error(said: np.ndarray, truth: np.ndarray) -> float:
    """Return the cross-entropy with every class counting alike, written out."""
    shifted = said - said.max(axis=1, keepdims=True)
    sure = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    costs = -sure[np.arange(len(truth)), truth]
    return float(np.mean([costs[truth == code].mean() for code in np.unique(truth)]))


# ---- who judges -----------------------------------------------------------------------------------------------------


def test_a_choice_trains_every_combination_and_each_again_without_every_group(tiny: Definition) -> None:
    choose = {**WEIGHT, "stages.taught.loss.soft.temperature": [1, 4]}
    (variant,) = parse_study(tiny(choose=choose)).variants.values()
    nodes = build_graph(variant)
    node = nodes["taught"]
    assert node.candidates == tuple(
        f"taught/loss.soft.weight={weight}, loss.soft.temperature={temperature}".replace("loss.soft.", "")
        for weight in (0.01, 30)
        for temperature in (1, 4)
    )
    assert [len(judges) for judges in node.judges] == [3] * 4
    for k, names in enumerate(node.judges):
        assert [nodes[name].holdouts for name in names] == [((group, 3),) for group in range(3)]
        losses = {json.dumps(nodes[name].stage.losses, default=str) for name in (*names, node.candidates[k])}
        assert len(losses) == 1
        for name in names:  # whoever judges has no teacher that has seen the subjects who are left out
            assert nodes[nodes[name].teachers["teacher"]].holdouts == nodes[name].holdouts


@pytest.mark.parametrize(("labelled", "groups"), [(2, 2), (5, 5), (7, 5)])
def test_labelled_subjects_are_left_out_in_five_groups_at_most(tiny: Definition, labelled: int, groups: int) -> None:
    (variant,) = parse_study(tiny(choose=WEIGHT, protocol={"labelled": labelled})).variants.values()
    assert {len(judges) for judges in build_graph(variant)["taught"].judges} == {groups}


def test_whoever_has_validation_subjects_is_judged_on_these(tiny: Definition, plan_of: PlanOf, train: Train) -> None:
    plan = plan_of(tiny(**MANY, choose=WEIGHT))
    assert set(plan.variants[0].stages["taught"].node.judges) == {()}
    train(plan)
    (variant,) = plan.variants
    truth = variant.dataset["target"].to_numpy()
    folds = {(fold.repetition, fold.fold): fold for fold in variant.folds}
    for member, taken in chosen(plan, "taught").items():
        held_out = folds[member[0], member[1]].validation
        candidates = variant.stages["taught"].node.candidates
        errors = [balanced_error(logits(plan, name, member)[held_out], truth[held_out]) for name in candidates]
        assert taken == int(np.argmin(errors))


def test_all_labels_of_few_subjects_leave_nobody_to_validate_on_so_groups_are_left_out(
    tiny: Definition, plan_of: PlanOf
) -> None:
    (variant,) = plan_of(tiny(protocol={"labelled": "all"}, choose=WEIGHT)).variants
    assert not any(len(fold.validation) for fold in variant.folds)
    assert [len(names) for names in variant.stages["taught"].node.judges] == [4, 4]  # four subjects train in each fold


# ---- what is chosen -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny: Definition, cache: Path) -> Plan:
    """A study with a choice, trained, with one member in each group."""
    from limbeck.study import make_plan
    from limbeck.study.runner import execute

    out = tmp_path_factory.mktemp("chosen")
    (out / "cache").symlink_to(cache)
    plan = make_plan(parse_study(tiny(choose=WEIGHT, engine={"group": 1})), out)
    for level in plan.levels():
        list(execute(level, 1))
    return plan


def test_the_best_on_subjects_who_were_left_out_is_taken_whole(trained: Plan) -> None:
    (variant,) = trained.variants
    node = variant.stages["taught"].node
    truth, subjects = variant.dataset["target"].to_numpy(), windows.decode(variant.dataset["subject"])
    labelled = {(fold.repetition, fold.fold): fold.labelled for fold in variant.folds}
    for member, taken in chosen(trained, "taught").items():
        mine, errors = labelled[member[0], member[1]], []
        for names in node.judges:
            # A judge knows nothing of exactly one labelled subject, and that one it is asked about.
            left_out = []
            for name in names:
                task = variant.task(name, 0, trained.store)
                own = replace(task, members=(member,))  # type: ignore[arg-type]
                left_out.append(hidden_from(own, mine))
            assert sorted(np.concatenate(left_out)) == sorted(mine)
            assert all(len(set(subjects[group])) == 1 for group in left_out)
            scores = [
                balanced_error(logits(trained, name, member)[group], truth[group])
                for name, group in zip(names, left_out, strict=True)
            ]
            errors.append(float(np.mean(scores)))
        assert taken == int(np.argmin(errors)), errors
        np.testing.assert_array_equal(
            predicted(trained, "taught", member), predicted(trained, node.candidates[taken], member)
        )
        assert not np.array_equal(
            predicted(trained, "taught", member), predicted(trained, node.candidates[1 - taken], member)
        )


def hidden_from(task: Task, labelled: np.ndarray) -> np.ndarray:
    """Return the labelled windows that a task does not train on."""
    from limbeck.study import tasks as tasks_room

    seen = tasks_room._held_out(task, tasks_room._member(task, task.members[0]))
    return np.setdiff1d(labelled, seen.fold.labelled)


def test_controls_take_what_the_taught_arm_has_taken(trained: Plan) -> None:
    stages = trained.variants[0].stages
    for control in ("scrambled", "own_input"):
        assert chosen(trained, f"taught/{control}") == chosen(trained, "taught")
        candidates = stages[f"taught/{control}"].node.candidates
        for member, taken in chosen(trained, "taught").items():
            np.testing.assert_array_equal(
                predicted(trained, f"taught/{control}", member), predicted(trained, candidates[taken], member)
            )


def test_the_order_of_the_values_does_not_matter(
    trained: Plan, tiny: Definition, plan_of: PlanOf, train: Train
) -> None:
    turned = plan_of(tiny(choose={key: values[::-1] for key, values in WEIGHT.items()}, engine={"group": 1}))
    train(turned)
    assert chosen(turned, "taught") == {member: 1 - taken for member, taken in chosen(trained, "taught").items()}


def test_no_test_window_has_a_say(trained: Plan, tiny: Definition, plan_of: PlanOf, tmp_path: Path) -> None:
    plan = plan_of(tiny(choose=WEIGHT, engine={"group": 1}), tmp_path / "poisoned")
    (variant,) = plan.variants
    test = next(fold.test for fold in variant.folds if fold.fold == 0)

    def poison(dataset: xr.Dataset) -> xr.Dataset:
        dataset["target"].values[test] = 1 - dataset["target"].values[test]
        dataset["eda"].values[test] = 1e3 * np.random.default_rng(0).normal(size=dataset["eda"].values[test].shape)
        return dataset

    path = tmp_path / "poisoned.zarr"
    windows.save(poison(windows.load(variant.windows).copy(deep=True)).assign_attrs(key="poisoned"), path)
    first = variant.stages["taught"].groups.index(((0, 0, 0),))
    for name in variant.stages:
        task = variant.task(name, first, plan.store)
        keys: dict[str, tuple[str, tuple[int | str, ...]]] = {
            other: (key, (first,)) for other, (key, _) in task.keys.items()
        }
        run_task(replace(task, windows=path, keys=keys))
    stage = variant.stages["taught"]
    member = (0, 0, 0)
    assert plan.store.done(stage.key, first)["chosen"] == [chosen(trained, "taught")[member]]
    for names in stage.node.judges:
        for name in names:
            judge = plan.store.knowledge(variant.stages[name].key, (first,), [member], "logits")[0]
            np.testing.assert_array_equal(judge, logits(trained, name, member))
    poisoned = plan.store.predictions_of(stage.key, (first,), member).to_numpy()
    assert not np.allclose(poisoned[:, 2:], predicted(trained, "taught", member)[:, 1:])


def test_a_run_that_stops_in_the_midst_goes_on_to_the_same_choices(
    trained: Plan, tiny: Definition, plan_of: PlanOf, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(tiny(choose=WEIGHT, engine={"group": 1}))
    left = 40

    def stops(task: Task) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        run_task(task)

    monkeypatch.setattr(runner_room, "run_task", stops)
    with pytest.raises(KeyboardInterrupt):
        train(plan)
    monkeypatch.setattr(runner_room, "run_task", run_task)
    resumed = train(plan)
    assert chosen(plan, "taught") == chosen(trained, "taught")
    pd.testing.assert_frame_equal(resumed, train(trained))


# ---- stages among each other ----------------------------------------------------------------------------------------


def among(tiny: Definition, **changes: Any) -> dict[str, Any]:
    """Return a study that chooses between the stage taught and one that listens to its teacher alone."""
    stages = {
        "listening": {"like": "taught", "loss": {"soft": {"weight": 3, "temperature": 4}}},
        "best": {"like": "taught"},
    }
    return tiny(
        stages=stages,
        choose={"stages.best": ["taught", "listening"]},
        compare=[{"taught": "best", "alone": "alone"}],
        **changes,
    )


def test_a_stage_is_chosen_among_written_ones(tiny: Definition, plan_of: PlanOf, train: Train) -> None:
    plan = plan_of(among(tiny))
    train(plan)
    node = plan.variants[0].stages["best"].node
    assert node.candidates == ("best/taught", "best/listening")
    stages = plan.variants[0].stages
    assert stages["best/taught"].key == stages["taught"].key  # a candidate that is written is trained once
    for member, taken in chosen(plan, "best").items():
        written = ("taught", "listening")[taken]
        np.testing.assert_array_equal(predicted(plan, "best", member), predicted(plan, written, member))


def test_what_is_chosen_can_be_started_from_and_taught_by(tiny: Definition, plan_of: PlanOf, train: Train) -> None:
    definition = among(tiny)
    definition["stages"]["next"] = {"like": "taught", "taught_by": "best", "start": "best", "training": {"epochs": 1}}
    plan = plan_of(definition)
    train(plan)
    (variant,) = plan.variants
    for member, taken in chosen(plan, "best").items():
        name = variant.stages["best"].node.candidates[taken]
        np.testing.assert_array_equal(logits(plan, "best", member), logits(plan, name, member))


def test_the_ceiling_of_a_chosen_arm_sees_every_label_and_takes_the_same(
    tiny: Definition, plan_of: PlanOf, train: Train
) -> None:
    values = [0, 0.5]
    keys = {f"stages.{name}.training.weight_decay": values for name in ("alone", "taught")}
    plan = plan_of(tiny(choose=keys))
    train(plan)
    stages = plan.variants[0].stages
    ceiling = stages["alone/all_labels"].node
    assert all(stages[name].node.all_labels for name in ceiling.candidates)
    assert chosen(plan, "alone/all_labels") == chosen(plan, "alone")
    for member in chosen(plan, "alone"):
        assert not np.array_equal(predicted(plan, "alone/all_labels", member), predicted(plan, "alone", member))


# ---- what a run makes of it -----------------------------------------------------------------------------------------


def test_the_record_says_what_was_chosen_and_what_was_taken_most_often_is_refitted(
    tiny: Definition, tmp_path: Path
) -> None:
    definition = tiny(
        choose={f"stages.{name}.model": ["linear", {"name": "mlp", "hidden": 8}] for name in ("alone", "taught")},
        protocol={"repetitions": 2},
        refit="all",
        deploy="taught",
    )
    run = run_study(parse_study(definition), out=tmp_path)
    arms = {arm["arm"]: arm for arm in run.record.arms}
    counts = arms["taught"]["chosen"]
    assert set(counts) == {"model=linear", "model=name+hidden"}
    assert sum(counts.values()) == 6
    assert list(counts.values()) == sorted(counts.values(), reverse=True)
    assert arms["teacher"]["chosen"] == {}
    places = [(one["repetition"], one["fold"], one["seed"]) for one in arms["taught"]["choices"]]
    assert places == [(repetition, fold, 0) for repetition in range(2) for fold in range(3)]
    for name, count in counts.items():
        assert [one["chosen"] for one in arms["taught"]["choices"]].count(name) == count
    assert all(one["tested"].startswith("S") for one in arms["taught"]["choices"])
    # What is told of the arm is what was taken most often, not what was written first.
    most = {"model=linear": "linear", "model=name+hidden": "mlp"}[next(iter(counts))]
    assert arms["taught"]["model"] == arms["taught/scrambled"]["model"] == most

    key = json.loads((run.path / "plan.json").read_text())[""]["stages"]["taught"]["key"]
    done = [json.loads(file.read_text()) for file in (tmp_path / "store" / key).glob("group-*/done.json")]
    taken = [k for one in done for k in one["chosen"]]
    (refitted,) = json.loads((tmp_path / "store" / key / "refit" / "done.json").read_text())["chosen"]
    assert refitted == int(np.bincount(taken, minlength=2).argmax())
    # What is shipped is the model that was taken, whichever stands first in the list.
    shipped = json.loads((run.path / "deployed" / "student" / "model.json").read_text())["model"]["name"]
    assert shipped == ("linear", "mlp")[refitted]


def test_the_deployed_student_of_a_choice_is_what_was_taken(
    tiny: Definition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from limbeck.study import deploy
    from limbeck.study import tasks as tasks_room

    monkeypatch.setattr(tasks_room, "_most_chosen", lambda *_: 1)
    definition = tiny(choose={"stages.taught.model": ["linear", "mlp"]}, compare=[], refit="all", deploy="taught")
    run = run_study(parse_study(definition), out=tmp_path)
    student = deploy.load(run.path)
    assert type(student.network).__name__.lower() == "mlp"


# ---- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choose", "says"),
    [
        ({"training.epochs": [1, 2]}, "expected a key of a stage, such as stages.taught.loss.soft.weight"),
        ({"stages.taugt.loss": ["soft", "hard"]}, "there is no stage 'taugt'. Did you mean 'taught'?"),
        ({"stages.taught.loss.soft.weight": [1]}, "at least 2 items"),
        ({"stages.taught.loss.soft.weight": 1}, "choose.stages.taught.loss.soft.weight"),
        ({"stages.taught.loss.soft.weight": [1, 1]}, "a value stands there twice: 1, 1"),
        ({"stages.taught.loss.soft.weight": [1, -1]}, "weight=-1: loss.soft.weight: expected a number above 0"),
        ({"stages.taught.los.soft.weight": [1, 2]}, "weight=1: los: there is no such key. Did you mean 'loss'?"),
        ({"stages.taught.loss.soft.wieght": [1, 2]}, "Did you mean 'weight'?"),
        ({"stages.taught.loss": ["soft", "sof"]}, "Did you mean 'soft'?"),
        ({"stages.taught.taught_by": ["teacher", "teachr"]}, "there is no stage 'teachr'. Did you mean 'teacher'?"),
        ({"stages.taught.taught_by": ["teacher", "taught"]}, "stages: taught stand on each other in a circle"),
        ({"stages.taught.inputs": [["eda"], ["edda"]]}, "Did you mean 'eda'?"),
        ({"stages.taught": ["alone", "taught"]}, "a stage cannot be chosen from itself"),
        ({"stages.taught": ["alone", "alnoe"]}, "there is no stage 'alnoe'. Did you mean 'alone'?"),
        ({"stages.taught": ["alone", 3]}, "there is no stage '3'"),
        ({"stages.taught.loss": ["soft", "hard"], **WEIGHT}, "it lies within stages.taught.loss, which is chosen"),
        ({"stages.taught.model": ["linear", "mlp"]}, "'taught' and 'alone' differ in model"),
        ({"stages.taught.training.batch": list(range(8, 300))}, "292 candidates of 'taught'"),
        ({"stages.taught.labelled": [None, "all"]}, "its candidates differ in labelled"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused_before_anything_is_read(
    tiny: Definition, mistakes: Mistakes, choose: dict[str, Any], says: str
) -> None:
    found = mistakes(tiny(choose=choose))
    assert any(says in mistake for mistake in found), found


def test_a_choice_among_stages_that_are_chosen_themselves_is_refused(tiny: Definition, mistakes: Mistakes) -> None:
    definition = among(tiny)
    definition["choose"] |= WEIGHT
    assert any("'taught' is itself chosen; write its values as stages" in one for one in mistakes(definition))


def test_a_model_that_cannot_read_the_inputs_is_no_candidate(tiny: Definition, mistakes: Mistakes) -> None:
    found = mistakes(tiny(choose={"stages.taught.model": ["linear", "fusion_cnn"]}, compare=[]))
    assert any("'fusion_cnn' reads signals" in mistake for mistake in found)


def test_keys_within_short_forms_can_be_chosen(tiny: Definition, plan_of: PlanOf) -> None:
    definition = tiny()
    definition["stages"]["taught"]["loss"] = ["hard", "soft"]
    definition["choose"] = {**WEIGHT, "stages.taught.model.hidden": [4, 8]}
    definition["stages"]["alone"]["model"] = "mlp"
    definition["compare"] = []
    (variant,) = parse_study(definition).variants.values()
    found = variant.candidates("taught")
    assert [stage.losses["soft"]["weight"] for stage in found.values()] == [0.01, 0.01, 30, 30]
    assert [stage.model.options["hidden"] for stage in found.values()] == [4, 8, 4, 8]


def test_both_arms_may_choose_if_they_choose_from_the_same(tiny: Definition, mistakes: Mistakes) -> None:
    keys = {f"stages.{name}.training.learning_rate": [1e-3, 1e-2] for name in ("alone", "taught")}
    assert parse_study(tiny(choose=keys)).variants
    keys["stages.alone.training.learning_rate"] = [1e-3, 1e-1]
    assert any("differ in training" in mistake for mistake in mistakes(tiny(choose=keys)))


def test_one_labelled_subject_can_judge_nothing(tiny: Definition, plan_of: PlanOf) -> None:
    with pytest.raises(StudyError, match=r"stages\.taught: a fold has one labelled subject .* nobody to judge on"):
        plan_of(tiny(choose=WEIGHT, protocol={"labelled": 1}))


def test_a_loss_that_fits_no_candidate_names_the_candidate(tiny: Definition, plan_of: PlanOf) -> None:
    hint = {"hard": 1, "hint": {"teacher": "hidden", "student": "hidden"}}
    definition = tiny(choose={"stages.taught.loss.hint.weight": [1, 2]}, stages={"taught": {"loss": None}})
    definition["stages"]["taught"]["loss"] = hint
    with pytest.raises(StudyError, match=r"stages\.taught, chosen weight=1, loss\.hint\.student"):
        plan_of(definition)


def test_features_that_depend_on_the_choice_are_not_handed_over(tiny: Definition, plan_of: PlanOf) -> None:
    sizes = [{"name": "mlp", "hidden": hidden} for hidden in (4, 8)]
    definition = tiny(stages={"teacher": {"model": "mlp"}, "alone": {"model": "mlp"}, "taught": {"loss": None}})
    definition["stages"]["taught"]["loss"] = {"hint": {"teacher": "hidden", "student": "hidden", "map": "linear"}}
    definition["choose"] = {"stages.teacher.model": sizes}
    with pytest.raises(StudyError, match=r"stages\.teacher: it hands over 'hidden', which is .* let it teach by soft"):
        plan_of(definition)
    definition["stages"]["taught"]["loss"] = "soft"
    plan_of(definition)


# ---- teachers that are chosen ---------------------------------------------------------------------------------------


BOTH = {"stages.teacher.training.learning_rate": [1e-4, 0.3], **WEIGHT}


def test_who_must_not_see_a_group_does_not_choose_by_it(tiny: Definition, plan_of: PlanOf, train: Train) -> None:
    plan = plan_of(tiny(choose=BOTH, compare=[{"taught": "taught", "alone": "alone", "controls": []}]))
    train(plan)
    (variant,) = plan.variants
    original = variant.stages["teacher"].node
    truth = variant.dataset["target"].to_numpy()
    folds = {(fold.repetition, fold.fold): fold for fold in variant.folds}
    for group in range(3):
        node = variant.stages[f"teacher/choosing_without_{group + 1}_of_3"].node
        assert (node.follows, node.judges) == (None, original.judges)  # nothing is trained for it
        for member, taken in chosen(plan, node.name).items():
            errors = []
            for names in original.judges:
                scores = []
                for other, name in enumerate(names):
                    seen = hidden_from(
                        replace(variant.task(name, 0, plan.store), members=(member,)),  # type: ignore[arg-type]
                        folds[member[0], member[1]].labelled,
                    )
                    if other != group:
                        scores.append(balanced_error(logits(plan, name, member)[seen], truth[seen]))
                assert len(scores) == 2
                errors.append(float(np.mean(scores)))
            assert taken == int(np.argmin(errors))


def test_labels_of_a_group_do_not_reach_who_is_judged_by_it(tiny: Definition, plan_of: PlanOf, tmp_path: Path) -> None:
    """Neither as a temperature, nor as the weight of a teacher, nor as what a control permutes within."""
    stages = {
        "other": {"model": "mlp", "inputs": ["temp"]},
        "taught": {"taught_by": ["teacher", "other"], "knowledge": {"combine": "best", "calibrate": True}},
    }
    definition = tiny(
        stages=stages,
        choose=WEIGHT,
        protocol={"labelled": 4},
        engine={"group": 1},
        compare=[{"taught": "taught", "alone": "alone", "controls": ["scrambled"]}],
    )
    definition["stages"]["taught"]["crossfit"] = 2
    definition["stages"] = {name: definition["stages"][name] for name in ("teacher", "other", "alone", "taught")}
    plan = plan_of(definition)
    (variant,) = plan.variants
    first = variant.stages["taught"].groups.index(((0, 0, 0),))
    judge = variant.stages["taught"].node.judges[1][0]
    task = variant.task(judge, first, plan.store)
    hidden = hidden_from(task, next(fold.labelled for fold in variant.folds if fold.fold == 0))
    assert len(hidden)

    dataset = windows.load(variant.windows).copy(deep=True)
    dataset["target"].values[hidden] = 1 - dataset["target"].values[hidden]
    path = tmp_path / "poisoned.zarr"
    windows.save(dataset.assign_attrs(key="poisoned"), path)
    nodes = {name: planned.node for name, planned in variant.stages.items()}
    found = []
    for at, store in ((variant.windows, tmp_path / "one"), (path, tmp_path / "two")):
        store.mkdir()
        for name in ancestors(nodes, judge):
            own = variant.task(name, first, plan.store)
            keys: dict[str, tuple[str, tuple[int | str, ...]]] = {
                k: (key, (first,)) for k, (key, _) in own.keys.items()
            }
            run_task(replace(own, windows=at, store=store, keys=keys))
        key = variant.stages[judge].key
        found.append(Store(store).knowledge(key, (first,), [(0, 0, 0)], "logits"))
    np.testing.assert_array_equal(*found)


def test_a_blinded_teacher_is_chosen_anew_by_blinded_judges(tiny: Definition, plan_of: PlanOf, train: Train) -> None:
    compare = [{"taught": "taught", "alone": "alone", "controls": ["own_input"]}]
    plan = plan_of(tiny(choose={"stages.teacher.training.learning_rate": [1e-4, 0.3]}, compare=compare))
    train(plan)
    (variant,) = plan.variants
    nodes = {name: planned.node for name, planned in variant.stages.items()}
    node = nodes["teacher/own_input_of_taught"]
    assert node.follows is None
    assert [len(names) for names in node.judges] == [3, 3]
    for name in ancestors(nodes, node.name):
        assert nodes[name].stage.inputs == {"eda": None}
    holdouts = [[nodes[name].holdouts for name in names] for names in node.judges]
    assert holdouts == [[((group, 3),) for group in range(3)]] * 2
    assert set(chosen(plan, node.name).values()) <= {0, 1}


def test_nodes_that_share_a_key_may_call_their_teachers_otherwise(
    tiny: Definition, plan_of: PlanOf, train: Train
) -> None:
    definition = tiny(choose={"stages.taught.loss.soft.weight": [0.3, 1.0]})
    definition["stages"]["fixed"] = {"like": "taught"}
    definition["compare"] = [{"taught": name, "alone": "alone"} for name in ("taught", "fixed")]
    plan = plan_of(definition)
    stages = plan.variants[0].stages
    shared = "taught/weight=1.0/own_input"
    assert stages[shared].key == stages["fixed/own_input"].key
    assert stages[shared].node.teachers != stages["fixed/own_input"].node.teachers
    table = train(plan)
    assert {"taught/own_input", "fixed/own_input"} <= set(table["arm"].astype(str))
