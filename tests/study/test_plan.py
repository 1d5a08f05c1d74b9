"""The plan resolves a study against its data: what is trained once, what is trained anew, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck import from_arrays
from limbeck.errors import StudyError
from limbeck.recording import LeftOut
from limbeck.study import Plan, make_plan, parse_study
from limbeck.study import plan as room
from limbeck.study.runner import execute

Definition = Callable[..., dict[str, Any]]
PlanOf = Callable[..., Plan]

MLPS = {"teacher": {"model": "mlp"}, "alone": {"model": "mlp"}}


def keys(plan: Plan) -> dict[str, str]:
    return {name: planned.key for name, planned in plan.variants[0].stages.items()}


def refused(plan_of: PlanOf, definition: dict[str, Any]) -> list[str]:
    with pytest.raises(StudyError) as caught:
        plan_of(definition)
    return list(caught.value.mistakes)


# ---- keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"question": "Is it something else?"},
        {"report": {"level": "trial", "alpha": 0.01}},
        {"refit": "all"},
        {"stages": {"more": {"model": "mlp", "inputs": ["temp"]}}},
        {"compare": []},
        {"stages": {"teacher": {"training": {"epochs": 2}}}},
    ],
    ids=["question", "report", "refit", "another stage", "fewer controls", "the default said again"],
)
def test_what_does_not_decide_a_result_leaves_every_key_alone(
    tiny: Definition, plan_of: PlanOf, change: dict[str, Any]
) -> None:
    before = keys(plan_of(tiny()))
    after = keys(plan_of(tiny(**change)))
    assert {name: key for name, key in after.items() if name in before and before[name] != key} == {}


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({"data": {"options": {"seed": 4}}}, {"teacher", "alone", "taught"}),
        ({"signals": {"temp": [{"lowpass": 1.0}, {"features": ["statistics"]}]}}, {"teacher", "alone", "taught"}),
        ({"windows": {"hop": 2}}, {"teacher", "alone", "taught"}),
        ({"protocol": {"seeds": [1]}}, {"teacher", "alone", "taught"}),
        ({"protocol": {"seed": 1}}, {"teacher", "alone", "taught"}),
        ({"protocol": {"split": 2}}, {"teacher", "alone", "taught"}),
        ({"protocol": {"labelled": 2}}, {"teacher", "alone", "taught"}),
        ({"normalise": "transductive"}, {"teacher", "alone", "taught"}),
        ({"clip": {"eda": 5}}, {"teacher", "alone", "taught"}),
        ({"training": {"learning_rate": 0.01}}, {"teacher", "alone", "taught"}),
        ({"stages": {"teacher": {"training": {"epochs": 3}}}}, {"teacher", "taught"}),
        ({"stages": {"teacher": {"model": "mlp"}}}, {"teacher", "taught"}),
        ({"stages": {"teacher": {"labelled": "all"}}}, {"teacher", "taught"}),
        ({"stages": {"taught": {"loss": {"soft": {"temperature": 3}}}}}, {"taught"}),
        ({"stages": {"taught": {"loss": {"hard": 2}}}}, {"taught"}),
        ({"stages": {"taught": {"unlabelled": False}}}, {"taught"}),
        ({"stages": {"taught": {"crossfit": 2}}}, {"taught"}),
        ({"stages": {"taught": {"start": "alone"}}}, {"taught"}),
    ],
    ids=lambda value: " ".join(sorted(value)) if isinstance(value, set) else str(value),
)
def test_what_decides_a_result_changes_the_keys_of_what_stands_on_it(
    tiny: Definition, plan_of: PlanOf, change: dict[str, Any], changed: set[str]
) -> None:
    before, after = keys(plan_of(tiny(compare=[]))), keys(plan_of(tiny(compare=[], **change)))
    assert {name for name in before if before[name] != after[name]} == changed


def test_keys_change_with_the_code_that_trains(
    tiny: Definition, plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = keys(plan_of(tiny(compare=[])))
    monkeypatch.setattr(room, "code_digest", lambda: "other code")
    assert not set(before.values()) & set(keys(plan_of(tiny(compare=[]))).values())


def test_the_code_that_trains_is_read_as_a_whole() -> None:
    read: list[str] = []
    digest = room.code_digest.__wrapped__
    original = Path.read_bytes

    def note(path: Path) -> bytes:
        read.append(f"{path.parent.name}/{path.name}")
        return original(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_bytes", note)
        assert len(digest()) == 64
    for needed in (
        "models/linear.py",
        "distillation/learner.py",
        "functional/logits.py",
        "terms/logits.py",
        "augment/pipeline.py",
        "training/loop.py",
        "limbeck/metrics.py",
        "limbeck/protocols.py",
        "study/tasks.py",
    ):
        assert needed in read


# ---- shared stages --------------------------------------------------------------------------------------------------


def test_two_studies_that_share_a_teacher_train_it_once(tiny: Definition, plan_of: PlanOf) -> None:
    one = plan_of(tiny(stages=MLPS))
    hint = {**MLPS, "taught": {"loss": {"hint": {"teacher": "hidden", "student": "hidden"}}}}
    other = plan_of(tiny(study="another", question="?", stages=hint))
    assert keys(one)["teacher"] == keys(other)["teacher"]
    assert keys(one)["taught"] != keys(other)["taught"]
    for level in one.levels():
        list(execute(level, 1))
    folder = one.store.group(keys(one)["teacher"], 0)
    weights = (folder / "weights.safetensors").stat()
    assert not (folder / "knowledge.hidden.npy").exists()
    for level in other.levels():
        list(execute(level, 1))
    assert (folder / "weights.safetensors").stat().st_mtime_ns == weights.st_mtime_ns
    assert (folder / "knowledge.hidden.npy").exists()


def test_stages_that_are_the_same_stand_in_the_levels_once(tiny: Definition, plan_of: PlanOf) -> None:
    plan = plan_of(tiny(sweep={"stages.taught.loss.soft": [{"weight": 1}, {"weight": 2}]}))
    tasks = [(task.key, task.group) for level in plan.levels() for task in level]
    assert len(tasks) == len(set(tasks))
    stages = {planned.key for variant in plan.variants for planned in variant.stages.values()}
    # The own-input teacher, linear on skin conductance, is what the student alone is.
    names = [name for variant in plan.variants for name in variant.stages]
    assert len(names) == 14
    assert len(stages) == len(tasks) / 3 == 9
    assert keys(plan)["alone"] == keys(plan)["teacher/own_input_of_taught"]


def test_a_shared_stage_leaves_what_any_of_its_nodes_is_asked_for(tiny: Definition, plan_of: PlanOf) -> None:
    plan = plan_of(tiny())
    shared = [task for task in plan.levels()[0] if task.key == keys(plan)["alone"]]
    assert all(task.node.is_arm and task.node.hands_over == {"logits"} for task in shared)


def test_levels_stand_on_earlier_levels_only(tiny: Definition, plan_of: PlanOf) -> None:
    plan = plan_of(tiny(stages={"taught": {"crossfit": 2}}))
    done: set[str] = set()
    for level in plan.levels():
        for task in level:
            assert {key for key, _ in task.keys.values()} <= done
        done |= {task.key for task in level}


# ---- backends and the estimate --------------------------------------------------------------------------------------


def test_the_choice_of_backend_is_timed_once_and_remembered(
    tiny: Definition, plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[str] = []

    def time(timer: object, node: Any) -> tuple[str, int, float]:
        timed.append(node.name)
        return "stacked", 2, 0.001 * len(timed)

    monkeypatch.setattr(room._Timer, "_time", time)
    definition = tiny(engine={"backend": "auto"}, compare=[])
    definition["stages"]["again"] = {"like": "alone"}
    first = plan_of(definition)
    assert timed == ["teacher", "alone", "taught"]
    assert {planned.backend for planned in first.variants[0].stages.values()} == {"stacked"}
    assert [len(group) for group in first.variants[0].stages["alone"].groups] == [2, 1]
    again = plan_of(definition)
    assert timed == ["teacher", "alone", "taught"]
    assert keys(again) == keys(first)
    assert len(list((first.store.root / "timings").iterdir())) == 3


def test_the_backend_and_the_grouping_are_part_of_the_key(tiny: Definition, plan_of: PlanOf) -> None:
    looped = plan_of(tiny(compare=[], engine={"backend": "looped", "group": 1}))
    grouped = plan_of(tiny(compare=[], engine={"backend": "looped", "group": 3}))
    stacked = plan_of(tiny(compare=[], engine={"backend": "stacked", "group": 3}))
    assert len({keys(plan)["alone"] for plan in (looped, grouped, stacked)}) == 3
    assert [len(plan.variants[0].stages["alone"].groups) for plan in (looped, grouped, stacked)] == [3, 1, 1]


def test_the_timing_really_trains(tiny: Definition, plan_of: PlanOf) -> None:
    plan = plan_of(tiny(engine={"backend": "auto"}, compare=[]))
    for planned in plan.variants[0].stages.values():
        assert planned.backend in ("stacked", "looped")
        assert 0 < planned.seconds_per_step < 1
        assert sum(len(group) for group in planned.groups) == 3


def test_the_estimate_counts_what_is_left_to_do(tiny: Definition, plan_of: PlanOf) -> None:
    plan = plan_of(tiny())
    before = plan.estimate(1)
    assert (before.tasks, before.done) == (18, 0)
    assert before.seconds > 0
    assert before.memory > 1e8
    assert before.disk > 0
    assert plan.estimate(2).seconds == pytest.approx(before.seconds / 2)
    list(execute(plan.levels()[0], 1))
    after = plan.estimate(1)
    assert after.done == len(plan.levels()[0])
    assert after.seconds < before.seconds


def test_the_estimate_counts_how_wide_what_is_handed_over_is(
    tiny: Definition, plan_of: PlanOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(teacher: dict[str, Any]) -> Plan:
        definition = tiny(stages=MLPS, compare=[])
        definition["stages"]["teacher"]["model"] = {"name": "mlp", **teacher}
        definition["stages"]["taught"]["loss"] = {
            "soft": 1,
            "hint": {"teacher": "hidden", "student": "hidden", "map": "linear"},
        }
        return plan_of(definition)

    narrow, wide = plan({"hidden": 8}), plan({"hidden": 64})
    one, other = (each.variants[0].stages["teacher"] for each in (narrow, wide))
    assert (one.width({"logits", "hidden"}), other.width({"logits", "hidden"})) == (6, 34)
    assert wide.variants[0].taken_width(wide.variants[0].stages["taught"].node) == 34
    members, windows = 3, wide.variants[0].dataset.sizes["window"]
    grown = 4 * members * (28 * windows + other.stored - one.stored)
    assert wide.estimate(1).disk - narrow.estimate(1).disk == pytest.approx(grown)
    whole = wide.estimate(2).memory
    monkeypatch.setattr(room, "KNOWLEDGE_COPIES", 0)
    largest = max(map(len, other.groups))
    assert whole - wide.estimate(2).memory == pytest.approx(2 * 4 * 4 * largest * windows * 34)


# ---- what is refused ------------------------------------------------------------------------------------------------


def test_channels_and_features_that_do_not_exist_are_all_named_with_their_stages(
    tiny: Definition, plan_of: PlanOf
) -> None:
    stages = {"teacher": {"inputs": {"eda": ["edda"], "temp": None}}, "alone": {"inputs": {"eda": ["x"]}}}
    found = refused(plan_of, tiny(stages=stages))
    assert any("stages.teacher.inputs" in m and "'edda'" in m and "Did you mean 'eda'" in m for m in found)
    assert any(m.startswith("stages.alone.inputs") for m in found)
    assert not any("own_input" in mistake for mistake in found)


def test_a_modality_that_no_recording_has_is_refused(tiny: Definition, plan_of: PlanOf) -> None:
    found = refused(
        plan_of,
        tiny(signals={"emg": [{"features": ["statistics"]}]}, stages={"teacher": {"inputs": ["eda", "temp", "emg"]}}),
    )
    assert "no recording has emg" in found[0]


def test_events_that_no_recording_has_are_refused(tiny: Definition, plan_of: PlanOf) -> None:
    definition = tiny()
    definition["target"]["events"]["calm"] = ["clam"]
    assert "Did you mean 'calm'?" in refused(plan_of, definition)[0]


def test_a_model_is_refused_what_it_cannot_read(tiny: Definition, plan_of: PlanOf) -> None:
    stages = {"teacher": {"model": "fusion_cnn"}}
    found = refused(plan_of, tiny(stages=stages))
    assert any(m.startswith("stages.teacher.model: 'fusion_cnn' reads signals") for m in found)
    definition = tiny(compare=[])
    definition["signals"]["eda"] = []
    found = refused(plan_of, definition)
    assert {m.partition(":")[0] for m in found} == {f"stages.{name}.model" for name in ("teacher", "alone", "taught")}


def test_features_for_a_hint_must_exist_on_both_sides(tiny: Definition, plan_of: PlanOf) -> None:
    hint = {"hint": {"teacher": "hiden", "student": "hidden"}}
    found = refused(plan_of, tiny(stages={"teacher": {"model": "mlp"}, "taught": {"loss": hint}}))
    place = "stages.taught.loss.hint"
    for expected in (
        f"{place}.teacher: 'teacher' has no feature 'hiden'. Did you mean 'hidden'?",
        f"{place}.student: the network has no feature 'hidden'. It offers none",
    ):
        assert any(mistake.startswith(expected) for mistake in found)
    stages = {
        "teacher": {"model": "mlp"},
        "alone": {"model": "mlp"},
        "taught": {"loss": {"hint": {"student": "hidden"}}},
    }
    (mistake,) = refused(plan_of, tiny(stages=stages))
    assert "no feature 'embedding'. It is the default of teacher; name another. It has: hidden (" in mistake


@pytest.mark.parametrize(
    ("stages", "says"),
    [
        ({"taught": {"start": "teacher"}}, "stages.taught.start: the weights head.weight of 'teacher' do not fit"),
        ({"taught": {"start": {"stage": "alone", "reset": ["haed"]}}}, "has no part 'haed'. Did you mean 'head'?"),
        ({"other": {"model": "mlp", "inputs": ["eda"], "start": "alone"}}, "of 'alone' do not fit"),
    ],
)
def test_a_start_that_does_not_fit_is_refused_before_anything_is_trained(
    tiny: Definition, plan_of: PlanOf, stages: dict[str, Any], says: str
) -> None:
    assert any(says in mistake for mistake in refused(plan_of, tiny(stages=stages)))


def test_a_start_that_fits_after_its_reset_is_planned(tiny: Definition, plan_of: PlanOf) -> None:
    assert plan_of(tiny(stages={"taught": {"start": {"stage": "teacher", "reset": ["head"]}}})).variants


def test_cross_fitting_needs_enough_labelled_subjects(tiny: Definition, plan_of: PlanOf) -> None:
    found = refused(plan_of, tiny(stages={"taught": {"crossfit": 4}}))
    assert len(found) == 1
    assert "Cross-fitting with K = 4" in found[0]
    nested = {"teacher": {"taught_by": "first", "loss": "soft", "crossfit": 2}, "taught": {"crossfit": 2}}
    definition = tiny(stages={"first": {"model": "linear", "inputs": ["eda"]}, **nested}, protocol={"labelled": 2})
    assert "leaves a teacher no labelled subject" in refused(plan_of, definition)[0]


def test_mistakes_of_several_variants_are_named_with_the_variants_where_they_are(
    tiny: Definition, plan_of: PlanOf
) -> None:
    definition = tiny(sweep={"protocol.labelled": [3, 9]}, stages={"alone": {"inputs": {"eda": ["x"]}}})
    found = refused(plan_of, definition)
    assert any(mistake.startswith("labelled=9: ") and "9" in mistake for mistake in found)
    channel = [mistake for mistake in found if "stages.alone.inputs" in mistake]
    assert len(channel) == 1


def test_a_corpus_that_is_not_there_is_refused(tiny: Definition, plan_of: PlanOf, tmp_path: Path) -> None:
    definition = tiny(data={"corpus": "stress-predict", "root": str(tmp_path / "nowhere"), "options": {}})
    definition["data"]["options"] = {}
    definition["signals"] = {"eda": [{"features": ["statistics"]}], "temp": [{"features": ["statistics"]}]}
    assert "nowhere" in refused(plan_of, definition)[0]


# ---- windows --------------------------------------------------------------------------------------------------------


def test_subjects_without_calibration_are_left_out_and_listed(
    tiny: Definition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = tiny(normalise={"calibration": {"condition": "rest", "seconds": 8}})
    whole = make_plan(parse_study(definition), tmp_path / "whole").variants[0]
    assert whole.n_subjects == 6
    assert whole.table["calibration"].sum() == 12
    shorten(monkeypatch, "S002", 3.0)
    left = make_plan(parse_study(definition), tmp_path / "short").variants[0]
    assert left.n_subjects == 5
    assert "S002" not in set(left.table["subject"])
    assert any("S002" in entry.what and "less than half of 8 s of 'rest'" in entry.why for entry in left.left_out)
    assert not left.warnings


def test_subjects_without_calibration_may_fall_back_to_the_scale_of_the_others(
    tiny: Definition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = tiny(normalise={"calibration": {"condition": "rest", "seconds": 8, "short": "train"}})
    shorten(monkeypatch, "S002", 3.0)
    kept = make_plan(parse_study(definition), tmp_path / "short").variants[0]
    assert kept.n_subjects == 6
    assert any("too little of rest to calibrate on" in warning and "S002" in warning for warning in kept.warnings)


def shorten(monkeypatch: pytest.MonkeyPatch, subject: str, seconds: float) -> None:
    """Let a subject's rest end after so many seconds."""
    from dataclasses import replace

    from limbeck import datasets
    from limbeck.recording import Corpus, Event, Recording

    load = datasets.load

    def cut(recording: Recording) -> Recording:
        events = [Event(e.name, e.start, e.start + seconds) if e.name == "rest" else e for e in recording.events]
        return replace(recording, events=tuple(events))

    def shortened(*args: Any, **options: Any) -> Corpus:
        corpus = load(*args, **options)
        sources = [
            replace(s, read=lambda s=s: cut(s.read()), options={**s.options, "short": seconds})
            if s.subject == subject
            else s
            for s in corpus.sources
        ]
        return Corpus(corpus.name, tuple(sources), corpus.left_out, corpus.truth)

    monkeypatch.setattr(datasets, "load", shortened)


def test_damaged_windows_are_made_again(tiny: Definition, plan_of: PlanOf) -> None:
    plan = plan_of(tiny(compare=[]))
    path = plan.variants[0].windows
    chunk = next(file for file in sorted((path / "eda").rglob("*")) if file.is_file() and file.name != "zarr.json")
    chunk.unlink()
    again = plan_of(tiny(compare=[]))
    assert again.variants[0].windows == path
    assert chunk.is_file()


def test_windows_that_lack_a_needed_sensor_are_left_out_and_listed(
    tiny: Definition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from limbeck import windows as windows_room

    cut = windows_room.cut

    def without_temperature_of_the_second(*arguments: Any, **options: Any) -> Any:
        windows = cut(*arguments, **options)
        second = windows["subject"].to_numpy() == 1
        windows["temp_present"][second] = False
        windows["temp"][second] = np.nan
        return windows

    monkeypatch.setattr(windows_room, "cut", without_temperature_of_the_second)
    planned = make_plan(parse_study(tiny()), tmp_path).variants[0]
    assert "S002" not in set(planned.table["subject"])
    assert planned.n_subjects == 5
    assert any(entry.what == "S002" and entry.why.startswith("lacks temp") for entry in planned.left_out)
    assert any("with them all of S002" in warning for warning in planned.warnings)


@pytest.fixture
def poor_skin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of which the third subject's skin conductance is poor by half, and the fourth's wholly."""
    from limbeck import windows as windows_room

    cut = windows_room.cut

    def with_poor_windows(*arguments: Any, **options: Any) -> Any:
        windows = cut(*arguments, **options)
        quality = np.full(windows["eda_quality"].shape, 0.9, dtype=np.float32)
        subjects, numbers = windows["subject"].to_numpy(), np.arange(len(quality))
        for poor, kind, value in (((subjects == 2) & (numbers % 2 == 0), 4, 0.4), (subjects == 3, 0, 0.1)):
            quality[np.ix_(poor, [0], [kind, 6])] = value
        windows["eda_quality"].values[:] = quality
        return windows

    monkeypatch.setattr(windows_room, "cut", with_poor_windows)


@pytest.mark.usefixtures("poor_skin")
def test_windows_below_the_minimum_quality_are_left_out_for_all_and_counted(tiny: Definition, tmp_path: Path) -> None:
    protocol = {"minimum_quality": {"eda": 0.5}, "split": 2, "labelled": "all"}
    planned = make_plan(parse_study(tiny(protocol=protocol)), tmp_path / "a").variants[0]
    whole = make_plan(parse_study(tiny(protocol={"split": 2, "labelled": "all"})), tmp_path / "b").variants[0]
    counts, all_counts = (each.table["subject"].value_counts() for each in (planned, whole))
    assert "S004" not in counts
    assert counts["S001"] == all_counts["S001"]
    left = all_counts["S003"] - counts["S003"]
    assert 0 < left < all_counts["S003"]
    assert planned.folds[0].test.size < whole.folds[0].test.size or planned.n_subjects < whole.n_subjects
    reasons = {entry.what: entry.why for entry in planned.left_out}
    n = all_counts["S003"]
    assert reasons["S003"] == f"has eda of a quality below 0.5 in {left} of {n} windows, lowest in motion"
    assert reasons["S004"].endswith("lowest in flat")
    (told,) = (warning for warning in planned.warnings if "with them all of S004" in warning)
    assert "(eda 0.5)" in told
    kept, had = (each.table["target"].value_counts() for each in (planned, whole))
    for code, name in enumerate(("calm", "aroused")):
        assert f"{name} {100 * (1 - kept[code] / had[code]):.0f} %" in told
    # what was recorded is told as it was, with the windows that were too poor
    assert planned.quality == whole.quality
    (eda,) = (row for row in planned.quality if row["modality"] == "eda")
    assert eda["windows"] == len(whole.table)
    assert eda["subjects"]["S004"]["below"] == 1
    assert planned.stages["alone"].key != whole.stages["alone"].key


def test_the_loss_of_a_trace_has_no_classes() -> None:
    import xarray as xr

    gone, counted = np.array([True, False, True, False]), np.array([True, True, False, True])
    trace = xr.DataArray([0.1, 0.2, 0.3, 0.4], attrs={"kind": "trace"})
    assert room._lost_by_class(trace, gone, counted) == ""
    classes = xr.DataArray([0, 1, 1, 0], attrs={"kind": "class", "classes": ["rest", "task", "empty"]})
    assert "rest 50 %, task 0 %;" in room._lost_by_class(classes, gone, counted)


@pytest.mark.usefixtures("poor_skin")
def test_a_minimum_that_everything_reaches_changes_nothing(tiny: Definition, tmp_path: Path) -> None:
    low = make_plan(parse_study(tiny(protocol={"minimum_quality": {"eda": 0.05}})), tmp_path)
    none = make_plan(parse_study(tiny()), tmp_path)
    assert keys(low) == keys(none)
    assert low.variants[0].warnings == none.variants[0].warnings


@pytest.mark.usefixtures("poor_skin")
def test_a_minimum_that_nothing_reaches_is_refused(tiny: Definition, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"(?s)No window was left.*of a quality below 0\.95 in"):
        make_plan(parse_study(tiny(protocol={"minimum_quality": {"eda": 0.95}})), tmp_path)


def test_members_with_and_without_unlabelled_windows_train_apart(tiny: Definition, plan_of: PlanOf) -> None:
    plan = plan_of(tiny(compare=[], protocol={"split": 4, "labelled": 4}, engine={"backend": "looped", "group": 9}))
    variant = plan.variants[0]
    unlabelled = {(fold.repetition, fold.fold): len(fold.unlabelled) > 0 for fold in variant.folds}
    assert set(unlabelled.values()) == {True, False}
    for group in variant.stages["alone"].groups:
        assert len({unlabelled[member[:2]] for member in group}) == 1


def test_a_device_that_is_not_there_is_refused_before_anything_is_read(tiny: Definition, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"engine\.device: 'gpu' cannot be used here"):
        make_plan(parse_study(tiny(engine={"device": "gpu"})), tmp_path)
    assert not (tmp_path / "cache").exists()


def test_a_model_option_of_the_wrong_kind_is_a_mistake_of_the_stage(tiny: Definition, plan_of: PlanOf) -> None:
    definition = tiny(stages={"other": {"model": {"name": "mlp", "hidden": "big"}, "inputs": ["eda"]}})
    assert any("stages.other: the model 'mlp' cannot be built" in mistake for mistake in refused(plan_of, definition))


def test_what_is_wrong_with_several_models_alike_is_told_once(tiny: Definition, plan_of: PlanOf) -> None:
    wrong = {"model": {"name": "mlp", "hidden": "big"}}
    (mistake,) = refused(plan_of, tiny(stages={"alone": wrong, "taught": wrong}))
    assert mistake.startswith("stages.alone, stages.taught: the model 'mlp' cannot be built with {hidden: big} (")


def test_files_are_named_from_the_root_of_the_data_on(tmp_path: Path) -> None:
    entry = LeftOut(str(tmp_path / "S01" / "EDA.csv"), f"{tmp_path / 'S01' / 'EDA.csv'}, row 3: found 'x'")
    assert room._below_root(entry, tmp_path) == LeftOut("S01/EDA.csv", "S01/EDA.csv, row 3: found 'x'")
    assert room._below_root(entry, None) == entry


# ---- channels that are made of others ------------------------------------------------------------------------------


BANDS = {"features": [{"bandpower": {"bands": {"alpha": [8, 13]}}}]}


@pytest.fixture
def two_electrodes(tiny: Definition) -> Callable[..., dict[str, Any]]:
    """Make a study whose student reads two electrodes of a cap, behind the steps given."""

    def make(*steps: Any, **changes: Any) -> dict[str, Any]:
        return tiny(
            data={"options": {"modalities": ["eeg", "eda"], "subjects": 4}},
            signals={"eeg": [*steps, BANDS], "temp": None},
            stages={"teacher": {"inputs": ["eeg", "eda"]}, "alone": {"inputs": {"eeg": ["Fp1", "Fp2"]}}},
            protocol={"split": 2, "labelled": "all", "validation": 0},
            **changes,
        )

    return make


def test_two_electrodes_behind_an_average_reference_borrow_the_cap(
    two_electrodes: Callable[..., dict[str, Any]], plan_of: PlanOf
) -> None:
    warnings = plan_of(two_electrodes({"reference": "average"})).variants[0].warnings
    assert [warning.split()[0] for warning in warnings] == ["stages.alone", "stages.taught"]
    assert "reads Fp1, Fp2 of eeg, and a step makes these of 8 channels: a device without C3, C4, F3" in warnings[0]
    (only,) = {m.partition(": ")[2] for m in plan_of(two_electrodes({"reference": "O1"})).variants[0].warnings}
    assert only.startswith("a device without O1 cannot compute them")
    whole = two_electrodes({"reference": "average"}, live=True)
    whole["stages"]["alone"]["inputs"] = ["eeg"]
    assert not plan_of(whole).variants[0].warnings
    assert not plan_of(two_electrodes()).variants[0].warnings
    assert not plan_of(two_electrodes({"pick": ["Fp1", "Fp2"]}, {"reference": "average"})).variants[0].warnings
    (mistake,) = refused(plan_of, two_electrodes({"reference": "average"}, live=True))
    assert mistake.startswith("live: stages.taught reads Fp1, Fp2 of eeg")
    assert plan_of(two_electrodes({"pick": ["Fp1", "Fp2"]}, {"reference": "average"}, live=True))


def test_a_bipolar_channel_is_made_of_its_two_electrodes_alone(
    two_electrodes: Callable[..., dict[str, Any]], plan_of: PlanOf
) -> None:
    definition = two_electrodes({"reference": {"kind": "bipolar", "pairs": [["Fp1", "Fp2"], ["O1", "O2"]]}})
    definition["stages"]["alone"]["inputs"] = {"eeg": ["Fp1-Fp2"]}
    assert not plan_of(definition).variants[0].warnings


def test_too_few_subjects_are_told_with_whom_there_is_and_why_the_others_are_not(
    tiny: Definition, tmp_path: Path
) -> None:
    eda = np.random.default_rng(0).normal(2, 0.1, (6, 1, 64))
    eda[2:] = np.nan
    corpus = from_arrays({"eda": eda}, {"eda": 4}, list("aabbcc"), ["calm", "aroused"] * 3)
    stages = {name: {"model": "linear", "inputs": ["eda"]} for name in ("alone",)}
    definition = {**tiny(data={"corpus": "arrays"}, protocol={"split": 2}, compare=[]), "stages": stages}
    definition["data"].pop("options")
    definition["signals"] = {"eda": definition["signals"]["eda"]}
    with pytest.raises(StudyError) as caught:
        make_plan(parse_study(definition), tmp_path, corpus=corpus)
    said = str(caught.value)
    assert "the windows come from 1 subjects" in said
    assert "Usable windows have: a." in said
    assert "b 2, b 3, c 4, c 5: " in said
    assert "missing" in said


def test_what_is_left_out_is_told_by_reason_with_everything_that_it_is_about() -> None:
    lines = room.by_reason(
        [
            LeftOut("s04", "150 of 150 windows have missing samples (eda 150)"),
            LeftOut("/data/a.dat", "/data/a.dat, row 3: found 'x'; expected a number."),
            *(LeftOut(f"s{i:02}", f"{i} of 150 windows have missing samples (eda {i})") for i in range(6, 10)),
            LeftOut("s01", "has no label"),
            LeftOut("s03", "has no label"),
            LeftOut("s03", "has no label"),
        ]
    )
    assert lines == [
        "s04, s06 to s09; the first: 150 of 150 windows have missing samples (eda 150)",
        "/data/a.dat: row 3: found 'x'; expected a number.",
        "s01, s03: has no label",
    ]
    trials = [LeftOut(f"s{i:02} {j}", "no value") for i in range(1, 33, 2) for j in range(1, 41, 2)]
    (line,) = room.by_reason(trials)
    assert line.startswith("s01, s03, s05")
    assert line.endswith("s29, s31 (320 in all): no value")


# ---- windows without a label ----------------------------------------------------------------------------------------

ON_UNLABELLED = {"taught": {"loss": {"hard": 1, "soft": {"on": "unlabelled"}}}}


def test_a_loss_on_unlabelled_windows_is_refused_where_there_are_none(tiny: Definition, plan_of: PlanOf) -> None:
    plan_of(tiny(stages=ON_UNLABELLED))
    (told,) = refused(plan_of, tiny(stages=ON_UNLABELLED, protocol={"labelled": "all"}))
    assert told.startswith("stages.taught.loss.soft.on: in repetition 0, fold 0, no window is unlabelled")
    assert "write on: all" in told
    (told,) = refused(plan_of, tiny(stages=ON_UNLABELLED, sweep={"protocol.labelled": [3, "all"]}))
    assert told.startswith("labelled=all: stages.taught.loss.soft.on")
    some = tiny(compare=[], stages=ON_UNLABELLED, protocol={"split": 4, "labelled": 4})
    (told,) = refused(plan_of, some)
    assert "stages.taught.loss.soft.on: in repetition 0, fold" in told


def test_a_stage_that_sees_every_label_has_no_unlabelled_windows(tiny: Definition, plan_of: PlanOf) -> None:
    definition = tiny(compare=[], stages=ON_UNLABELLED)
    definition["stages"]["taught"]["labelled"] = "all"
    (told,) = refused(plan_of, definition)
    assert told.startswith("stages.taught.loss.soft.on: the stage sees every label (labelled: all)")


def test_candidates_on_unlabelled_windows_are_looked_at_each(tiny: Definition, plan_of: PlanOf) -> None:
    choose = {"stages.taught.loss.soft.on": ["all", "unlabelled"]}
    definition = tiny(choose=choose, protocol={"labelled": "all"})
    (told,) = refused(plan_of, definition)
    assert told.startswith("stages.taught, chosen")
    assert "loss.soft.on" in told


def test_a_refit_in_which_a_loss_would_learn_nothing_is_refused(tiny: Definition, plan_of: PlanOf) -> None:
    definition = tiny(stages=ON_UNLABELLED, refit="all")
    (told,) = refused(plan_of, definition)
    assert told.startswith("refit: it shows every label, so no window is unlabelled and stages.taught.loss.soft")
    plan_of({**definition, "deploy": "alone"})


@pytest.mark.parametrize("key", ["share", "confidence"])
def test_a_filter_of_unlabelled_windows_is_refused_where_there_are_none_and_told_of_the_refit(
    tiny: Definition, plan_of: PlanOf, key: str
) -> None:
    filtered = {"taught": {"knowledge": {key: 0.5}}}
    (told,) = refused(plan_of, tiny(stages=filtered, protocol={"labelled": "all"}))
    assert told.startswith(f"stages.taught.knowledge.{key}: in repetition 0, fold 0, no window is unlabelled")
    (warning,) = plan_of(tiny(stages=filtered, refit="all")).variants[0].warnings
    assert f"stages.taught.knowledge.{key} leaves out nothing, unlike in the folds" in warning
    assert plan_of(tiny(stages=filtered)).variants[0].warnings == ()


def test_a_sweep_goes_on_to_all_labels_where_a_filter_has_nothing_to_leave_out(
    tiny: Definition, plan_of: PlanOf
) -> None:
    definition = tiny(sweep={"protocol.labelled": [3, "all"]})
    definition["stages"]["taught"]["knowledge"] = {"share": 0.5}
    few, everyone = plan_of(definition).variants
    assert not any("leave out nothing" in warning for warning in few.warnings)
    assert sum("leave out nothing" in warning for warning in everyone.warnings) == 1


# ---- the refit ------------------------------------------------------------------------------------------------------

VALIDATED: dict[str, Any] = {"protocol": {"labelled": "all"}, "data": {"options": {"subjects": 12}}}
"""Eight labelled subjects in each fold: enough that some of them validate."""


def test_a_temperature_that_the_refit_cannot_fit_is_refused_before_the_folds_are_trained(
    tiny: Definition, plan_of: PlanOf
) -> None:
    calibrated: dict[str, Any] = {"stages": {"taught": {"knowledge": {"calibrate": True}}}, **VALIDATED}
    plan_of(tiny(**calibrated))
    (told,) = refused(plan_of, tiny(**calibrated, refit="all"))
    assert told.startswith("refit: it has no validation subjects to fit the temperature of stages.taught.knowledge.cal")
    crossfitted = tiny(**calibrated, refit="all", compare=[])
    crossfitted["stages"]["taught"]["crossfit"] = 2
    plan_of(crossfitted)
    plan_of(tiny(**calibrated, refit="all", deploy="alone"))


def test_what_is_otherwise_in_the_refit_is_a_warning(tiny: Definition, plan_of: PlanOf) -> None:
    scored = tiny(compare=[], **VALIDATED, refit="all", deploy="taught")
    scored["stages"]["cool"] = {"model": "linear", "inputs": ["temp"]}
    scored["stages"]["taught"] |= {"taught_by": ["teacher", "cool"], "knowledge": {"combine": "accuracy"}}
    (warning,) = plan_of(scored).variants[0].warnings
    assert "stages.taught.knowledge.combine scores the teachers on the labels that they have learned from" in warning
    scored["stages"]["taught"]["crossfit"] = 2
    assert plan_of(scored).variants[0].warnings == ()
    regulated = tiny(compare=[], **VALIDATED, refit="all", deploy="taught")
    regulated["stages"]["taught"] |= {
        "partners": {"teacher": {"stage": "teacher", "start": True}},
        "steps": {"feedback": {"quiz": 4, "regulated": True}},
    }
    (warning,) = plan_of(regulated).variants[0].warnings
    assert "the feedback of stages.taught is not regulated there" in warning
