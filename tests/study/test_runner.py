"""A study runs to its verdict, the same every time, whatever stops it on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from limbeck import datasets
from limbeck.errors import LimbeckError, ReadError
from limbeck.recording import Corpus, Event, Recording
from limbeck.study import Plan, Run, judge_run, load_run, parse_study, run_study
from limbeck.study import tasks as tasks_room
from limbeck.study.runner import comparisons_of
from limbeck.study.store import MARKER, read_run, remove_run

Definition = Callable[..., dict[str, Any]]
PlanOf = Callable[..., Plan]
Train = Callable[..., pd.DataFrame]

DIAGNOSTICS = ["hard_labels", "within_predicted", "smoothed"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The tiny study with everything a study can have, run to its end."""
    from limbeck.study import parse_study

    definition = yaml.safe_load(FULL)
    return run_study(parse_study(definition), out=tmp_path_factory.mktemp("finished"))


FULL = """
study: full
question: Does temperature teach skin conductance?
data:
  corpus: simulated
  options: {subjects: 6, trials: 6, trial_seconds: 4.0, seed: 3, modalities: [eda, temp]}
target: {name: arousal, events: {calm: [calm], aroused: [aroused]}}
signals: {eda: [{features: [statistics]}], temp: [{features: [statistics]}]}
windows: {length: 4, hop: 4}
protocol: {split: 3, labelled: 3, seeds: [0, 1], repetitions: 2}
training: {epochs: 2, batch: 8}
stages:
  teacher: {model: linear, inputs: [eda, temp]}
  alone: {model: linear, inputs: [eda]}
  taught: {like: alone, taught_by: teacher, loss: {hard: 1, soft: {temperature: 2}}}
  crossed: {like: taught, crossfit: 2}
compare:
  - {taught: taught, alone: alone, diagnostics: [hard_labels, within_predicted, smoothed]}
  - {taught: crossed, alone: alone}
refit: all
sweep: {normalise: [transductive, train]}
engine: {backend: looped}
"""


def records(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.path / "record.json").read_text())
    return found


# ---- what a run leaves ----------------------------------------------------------------------------------------------


def test_a_run_leaves_its_study_its_plan_its_predictions_and_its_report(finished: Run) -> None:
    expected = {
        MARKER,
        "study.yaml",
        "plan.json",
        "record.json",
        "predictions.parquet",
        "history.parquet",
        "report.html",
        "deployed",
    }
    assert {file.name for file in finished.path.iterdir()} == expected
    assert {folder.name for folder in (finished.path / "deployed").iterdir()} == {
        "normalise-transductive",
        "normalise-train",
    }
    assert "Does temperature teach skin conductance?" in finished.report.read_text(encoding="utf-8")
    assert read_run(finished.path).state == "finished"
    assert parse_study(yaml.safe_load((finished.path / "study.yaml").read_text())).variants


def test_every_usable_window_is_predicted_once_per_arm_repetition_and_seed(finished: Run) -> None:
    table = finished.predictions
    trained = table[~table["arm"].astype(str).str.contains("baseline|confound")]
    counts = trained.groupby(["variant", "arm", "repetition", "seed"], observed=True)["window"].agg(["size", "nunique"])
    assert (counts == 36).all().all()
    assert len(counts) == 2 * 2 * 2 * 12
    assert np.allclose(trained[["p0", "p1"]].sum(axis=1), 1, atol=1e-5)
    assert (trained["prediction"] == trained[["p0", "p1"]].to_numpy().argmax(axis=1)).all()
    assert trained.groupby("window")["truth"].nunique().max() == 1
    assert set(trained["condition"].astype(str)) == {"calm", "aroused"}


def test_the_arms_are_those_of_the_design(finished: Run) -> None:
    arms = {str(arm) for arm in finished.predictions["arm"].unique()}
    assert arms == {
        "teacher",
        "alone",
        "alone/all_labels",
        "taught",
        *(f"taught/{kind}" for kind in ("own_input", "scrambled", *DIAGNOSTICS)),
        "crossed",
        "crossed/own_input",
        "crossed/scrambled",
        "baseline/majority",
        "baseline/prior",
        "confound/clock",
    }
    roles = {arm["arm"]: arm["role"] for arm in finished.record.arms}
    assert roles["taught/own_input"] == "credit"
    assert roles["taught/smoothed"] == "diagnostic"
    assert roles["alone/all_labels"] == "ceiling"


def test_each_variant_is_judged_on_its_own(finished: Run) -> None:
    assert [judgement.variant for judgement in finished.judgements] == ["normalise=transductive", "normalise=train"]
    for judgement in finished.judgements:
        assert [verdict.comparison.taught for verdict in judgement.verdicts] == ["taught", "crossed"]
        kinds = {difference.kind for difference in judgement.verdicts[0].differences}
        assert {"alone", "own_input", "scrambled", *DIAGNOSTICS} <= kinds
        assert judgement.verdicts[0].comparison.ceiling == "alone/all_labels"


def test_the_record_states_protocol_normalisation_and_warnings(finished: Run) -> None:
    record = finished.record
    assert record.protocol["normalisation"] == {
        "normalise=transductive": "transductive",
        "normalise=train": "train",
    }
    assert (record.protocol["repetitions"], record.protocol["seeds"]) == (2, [0, 1])
    assert record.data["classes"] == {"calm": 18, "aroused": 18}
    assert any("transductive" in warning for warning in record.warnings)
    assert not any("optimistic" in warning for warning in record.warnings)
    assert record.environment["packages"]["torch"]
    assert record.timing["tasks"] > 100


def test_scores_can_be_computed_again_at_any_later_time(finished: Run) -> None:
    again = load_run(finished.path)
    pd.testing.assert_frame_equal(again.predictions, finished.predictions)
    for one, other in zip(again.judgements, finished.judgements, strict=True):
        pd.testing.assert_frame_equal(one.per_subject, other.per_subject)
        assert [v.p_claim for v in one.verdicts] == [v.p_claim for v in other.verdicts]
    finished.report.unlink()
    assert judge_run(finished.path).report.is_file()


def test_the_plan_names_the_windows_and_the_stages_by_their_keys(finished: Run) -> None:
    plan = json.loads((finished.path / "plan.json").read_text())
    assert set(plan) == {"normalise=transductive", "normalise=train"}
    for variant in plan.values():
        assert (finished.path.parent / variant["windows"]).is_dir()
        for stage in variant["stages"].values():
            assert (finished.path.parent / "store" / stage["key"] / "group-000" / "done.json").is_file()


def test_a_folder_that_is_no_run_and_a_run_that_is_not_finished_are_refused(finished: Run, tmp_path: Path) -> None:
    with pytest.raises(LimbeckError, match="is not a run of Limbeck"):
        load_run(tmp_path)
    (tmp_path / MARKER).write_bytes((finished.path / MARKER).read_bytes().replace(b"finished", b"running"))
    with pytest.raises(LimbeckError, match="is running: it has no predictions yet"):
        load_run(tmp_path)


# ---- the same every time --------------------------------------------------------------------------------------------


def test_running_a_finished_study_again_trains_nothing(finished: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks_room, "fit", None)
    steps: list[tuple[int, int, str]] = []
    said: list[str] = []
    again = run_study(
        parse_study(yaml.safe_load(FULL)),
        out=finished.path.parent,
        progress=lambda *step: steps.append(step),
        say=said.append,
    )
    assert again.path == finished.path
    pd.testing.assert_frame_equal(again.predictions, finished.predictions)
    assert [done for done, _, _ in steps] == list(range(1, len(steps) + 1))
    assert steps[-1][0] == steps[-1][1]
    assert any("cutting windows" in line for line in said)


def test_a_run_that_is_removed_leaves_nothing_behind_but_the_cache(finished: Run, tmp_path: Path) -> None:
    import shutil

    out = tmp_path / "copy"
    shutil.copytree(finished.path.parent, out)
    assert remove_run(out / finished.path.name) > 0
    assert {file.name for file in out.iterdir()} == {"cache", "store"}
    assert [file.name for file in (out / "store").iterdir()] == ["timings"]


def test_one_process_and_two_come_to_the_same_predictions_anywhere(
    tiny: Definition, plan_of: PlanOf, train: Train, tmp_path: Path
) -> None:
    definition = tiny(stages={"teacher": {"model": "mlp"}, "alone": {"model": "mlp"}})
    one = train(plan_of(definition, tmp_path / "one"))
    again = train(plan_of(definition, tmp_path / "again"))
    two = train(plan_of(definition, tmp_path / "two"), jobs=2)
    pd.testing.assert_frame_equal(again, one)
    pd.testing.assert_frame_equal(two, one)


def test_a_task_that_fails_says_which_it_was(
    tiny: Definition, plan_of: PlanOf, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise LimbeckError("the loss is not finite")

    monkeypatch.setattr(tasks_room, "fit", fail)
    with pytest.raises(LimbeckError, match="teacher, group 0: the loss is not finite"):
        train(plan_of(tiny()))


def test_a_killed_run_goes_on_where_it_stopped_and_ends_in_the_same_predictions(
    tiny: Definition, tmp_path: Path
) -> None:
    definition = tiny(protocol={"repetitions": 5}, engine={"group": 1}, training={"epochs": 4}, refit="all", compare=[])
    definition["compare"] = [{"taught": "taught", "alone": "alone"}]
    undisturbed = run_study(parse_study(definition), out=tmp_path / "undisturbed")
    total = len(list((tmp_path / "undisturbed").rglob("group-*/done.json")))
    assert total == 6 * 15

    file, out = tmp_path / "study.yaml", tmp_path / "killed"
    file.write_text(yaml.safe_dump(definition, sort_keys=False))
    rng = np.random.default_rng(20)
    left: dict[Path, int] = {}
    # Twice among the tasks, then while what they left is gathered, judged, reported or refitted.
    for enough, jobs in ((rng.integers(1, 30), 2), (rng.integers(35, 60), 2), (total, 1)):
        process = start_run(file, out, jobs)
        wait_for(lambda enough=enough: len(finished_tasks(out)) >= enough, process)
        time.sleep(float(rng.uniform(0, 0.3)))
        kill(process)
        done = finished_tasks(out)
        assert {path: done.get(path) for path in left} == left
        left = done
    assert list(left)

    again = run_study(parse_study(definition), out=out)
    assert {path: finished_tasks(out)[path] for path in left} == left
    pd.testing.assert_frame_equal(again.predictions, undisturbed.predictions)
    pd.testing.assert_frame_equal(again.history, undisturbed.history)
    names = {str(path.relative_to(out)) for path in out.rglob("*")}
    assert not {name for name in names if ".unfinished" in name or name.endswith(".part")}
    undisturbed_names = {
        str(path.relative_to(tmp_path / "undisturbed")) for path in (tmp_path / "undisturbed").rglob("*")
    }
    assert names == undisturbed_names


def start_run(file: Path, out: Path, jobs: int) -> subprocess.Popen[bytes]:
    code = "import sys, limbeck; limbeck.run(sys.argv[1], out=sys.argv[2], jobs=int(sys.argv[3]))"
    command = [sys.executable, "-c", code, str(file), str(out), str(jobs)]
    environment = {**os.environ, "JOBLIB_TEMP_FOLDER": str(out.parent)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, start_new_session=True, env=environment, **quiet)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not condition() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.03)
    assert condition()


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with all of its workers, as a power failure would."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.2)


def finished_tasks(out: Path) -> dict[Path, int]:
    """Return the tasks that are done, with the time at which their weights were written."""
    return {
        file: (file.parent / "weights.safetensors").stat().st_mtime_ns
        for file in (out / "store").glob("*/group-*/done.json")
    }


# ---- kinds of study -------------------------------------------------------------------------------------------------


def test_a_trace_is_predicted_and_judged_by_its_concordance(tiny: Definition, tmp_path: Path) -> None:
    definition = tiny(refit="all", stages={"teacher": {"model": "mlp"}, "alone": {"model": "mlp"}})
    definition["target"] = {"name": "arousal", "trace": "arousal", "within": ["calm", "aroused"]}
    definition["stages"]["taught"]["loss"] = {"hard": 1, "soft": 1}
    run = run_study(parse_study(definition), out=tmp_path)
    (judgement,) = run.judgements
    assert judgement.metric == "ccc"
    assert judgement.classes == ()
    assert {"ccc", "pcc", "rmse"} <= set(judgement.arms["taught"].scores)
    assert "p0" not in run.predictions
    assert run.predictions["truth"].dtype.kind == "f"
    assert run.predictions["truth"].nunique() > 30
    taught = run.predictions[run.predictions["arm"] == "taught"]
    assert np.isfinite(taught["prediction"]).all()
    assert taught["prediction"].nunique() > 10


def test_windows_are_judged_as_trials_where_the_study_says_so(tiny: Definition, tmp_path: Path) -> None:
    definition = tiny(windows={"length": 2, "hop": 2}, report={"level": "trial", "metric": "accuracy"}, compare=[])
    definition["compare"] = [{"taught": "taught", "alone": "alone", "controls": []}]
    run = run_study(parse_study(definition), out=tmp_path)
    (judgement,) = run.judgements
    assert (judgement.level, judgement.metric) == ("trial", "accuracy")
    assert {difference.kind for difference in judgement.verdicts[0].differences} >= {"alone"}
    assert judgement.verdicts[0].comparison.credit == {}


def test_a_study_without_comparisons_is_a_table_of_arms(tiny: Definition, tmp_path: Path) -> None:
    run = run_study(parse_study(tiny(compare=[], protocol={"labelled": "all", "validation": 0})), out=tmp_path)
    (judgement,) = run.judgements
    assert judgement.verdicts == ()
    assert {"teacher", "alone", "taught"} <= set(judgement.arms)


def test_selection_on_the_test_subjects_is_marked_wherever_it_is_shown(tiny: Definition, tmp_path: Path) -> None:
    best = {"training": {"select": "test_best", "epochs": 3}}
    definition = tiny(
        stages={"alone": best, "taught": {"like": "alone"}},
        compare=[{"taught": "taught", "alone": "alone", "controls": ["scrambled"]}],
    )
    run = run_study(parse_study(definition), out=tmp_path)
    optimistic = {arm["arm"] for arm in run.record.arms if arm["optimistic"]}
    assert optimistic == {"alone", "taught", "taught/scrambled", "alone/all_labels"}
    (warning,) = [warning for warning in run.record.warnings if "optimistic" in warning]
    assert "alone, taught, taught/scrambled" in warning
    history = run.history[run.history["arm"] == "taught"]
    assert (history["split"] == "validation").any()
    assert not (run.history.loc[run.history["arm"] == "teacher", "split"] == "validation").any()
    assert "optimistic" in run.report.read_text(encoding="utf-8")


def test_calibration_keeps_its_windows_out_of_training_and_test_and_lists_who_has_too_few(
    tiny: Definition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_source(monkeypatch, "S004", without_rest)
    definition = tiny(normalise={"calibration": {"condition": "rest", "seconds": 8}}, protocol={"split": 5})
    run = run_study(parse_study(definition), out=tmp_path)
    assert run.record.protocol["normalisation"] == "calibration on the first 8 s of rest"
    assert run.record.data["subjects"] == 5
    assert run.record.data["windows"] == 30
    assert "S004" not in set(run.predictions["subject"].astype(str))
    assert any("S004" in entry["what"] and "calibrate on" in entry["why"] for entry in run.record.left_out)
    assert set(run.predictions["condition"].astype(str)) == {"calm", "aroused"}
    assert "S004" in run.report.read_text(encoding="utf-8")


def test_a_recording_that_cannot_be_read_is_listed_and_the_rest_goes_on(
    tiny: Definition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def garbled(recording: Recording) -> Recording:
        raise ReadError("S004/EDA.csv", where="row 17", found="'abc'", expected="a number")

    change_source(monkeypatch, "S004", garbled)
    run = run_study(parse_study(tiny(protocol={"split": 5})), out=tmp_path)
    assert run.record.data["subjects"] == 5
    (entry,) = run.record.left_out
    assert entry["what"] == "S004/EDA.csv"
    assert "row 17" in entry["why"]
    assert "row 17" in run.report.read_text(encoding="utf-8")


def without_rest(recording: Recording) -> Recording:
    return replace(recording, events=tuple(Event(e.name, e.start, e.end) for e in recording.events if e.name != "rest"))


def change_source(monkeypatch: pytest.MonkeyPatch, subject: str, change: Callable[[Recording], Recording]) -> None:
    """Let one subject's recording be read otherwise."""
    load = datasets.load

    def changed(*args: Any, **options: Any) -> Corpus:
        corpus = load(*args, **options)
        sources = [
            replace(s, read=lambda s=s: change(s.read()), options={**s.options, "changed": change.__name__})
            if s.subject == subject
            else s
            for s in corpus.sources
        ]
        return Corpus(corpus.name, tuple(sources), corpus.left_out, corpus.truth)

    monkeypatch.setattr(datasets, "load", changed)


def test_of_several_teachers_the_best_is_what_the_gap_is_measured_against(
    tiny: Definition, plan_of: PlanOf, train: Train
) -> None:
    definition = tiny(protocol={"labelled": "all"}, compare=[{"taught": "taught", "alone": "alone", "controls": []}])
    definition["stages"]["other"] = {"model": "linear", "inputs": ["temp"]}
    definition["stages"]["taught"]["taught_by"] = ["teacher", "other"]
    plan = plan_of(definition)
    table = train(plan)
    for best, worse in (("teacher", "other"), ("other", "teacher")):
        told = table.copy()
        right = told["truth"].to_numpy(int)
        for arm, said in ((best, right), (worse, 1 - right)):
            of = (told["arm"] == arm).to_numpy()
            told.loc[of, "prediction"] = said[of]
            told.loc[of, ["p0", "p1"]] = np.eye(2)[said[of]]
        (comparison,) = comparisons_of(plan.variants[0], told)
        assert (comparison.teacher, comparison.ceiling) == (best, best)
