"""A trace with several values per window: learned from, taught, judged and deployed step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import limbeck
from limbeck import cli, datasets, evaluation, windows
from limbeck.augment.defaults import default_changes
from limbeck.cli.planning import print_plan
from limbeck.errors import StudyError
from limbeck.recording import Corpus, Trace
from limbeck.study import Plan, make_plan, parse_study, run_study
from limbeck.study.deploy import load as load_student
from limbeck.study.knowledge import what_was_handed_over

Definition = Callable[..., dict[str, Any]]
PlanOf = Callable[..., Plan]
Train = Callable[..., pd.DataFrame]

LENGTH, STEPS = 4.0, 8
SERIES = {"model": {"name": "tcn", "width": 8, "frames": 8}}


def in_steps(tiny: Definition, **changes: Any) -> dict[str, Any]:
    """Return the tiny study on how aroused a subject is, twice a second."""
    definition = tiny(**changes)
    definition["target"] = {"name": "arousal", "trace": "arousal", "within": ["calm", "aroused"], "rate": 2}
    definition["signals"] = {"eda": [{"resample": {"to": 4}}], "temp": []}
    for name in ("teacher", "alone"):
        definition["stages"][name] = {**definition["stages"][name], **SERIES}
    definition["stages"]["teacher"]["loss"] = {"hard": {"form": "ccc"}}
    definition["stages"]["taught"]["loss"] = {"hard": {"form": "ccc"}, "soft": 1, "l1": 1, "ccc": 1}
    return definition


def truth_of(plan: Plan) -> np.ndarray:
    return np.asarray(plan.variants[0].dataset["target"].to_numpy(), dtype=np.float64)


def test_every_step_of_a_window_is_predicted_and_has_its_own_truth(
    tiny: Definition, plan_of: PlanOf, train: Train
) -> None:
    plan = plan_of(in_steps(tiny))
    predictions = train(plan)
    truth = truth_of(plan)
    assert truth.shape[1] == STEPS
    tested = np.isfinite(truth).all(axis=1).sum()
    for arm in ("teacher", "alone", "taught", "taught/scrambled"):
        rows = predictions[predictions["arm"] == arm]
        assert len(rows) == tested * STEPS
        assert set(rows["step"]) == set(range(STEPS))
        window, step = rows["window"].to_numpy(), rows["step"].to_numpy()
        np.testing.assert_allclose(rows["truth"].to_numpy(np.float64), truth[window, step], rtol=1e-6)
    taught = predictions[predictions["arm"] == "taught"]
    assert taught.groupby("window")["prediction"].nunique().max() == STEPS


def swinging(
    subjects: int = 6, trials: int = 4, seconds: int = 16, spoil: Callable[[np.ndarray], None] | None = None
) -> Corpus:
    """Skin conductance that swings, noise for temperature, and a trace that follows the swings, spoiled or not."""
    rng = np.random.default_rng(5)
    count = subjects * trials
    times = np.arange(4 * seconds) / 4
    period, phase = rng.uniform(6, 12, (count, 1)), rng.uniform(0, 2 * np.pi, (count, 1))
    swing = np.sin(2 * np.pi * times / period + phase)
    corpus = limbeck.from_arrays(
        signals={
            "eda": (swing + 5 + rng.normal(0, 0.1, swing.shape))[:, None],
            "temp": rng.normal(30, 1, swing.shape)[:, None],
        },
        rates={"eda": 4, "temp": 4},
        subjects=np.repeat([f"p{k}" for k in range(subjects)], trials).tolist(),
        labels=["calm", "aroused"] * (count // 2),
    )
    if spoil is not None:
        spoil(swing)
    traces = [Trace(times, values.astype(np.float32)) for values in swing]
    sources = [
        replace(source, read=lambda read=source.read, own=own: replace(read(), traces={"arousal": own}))
        for source, own in zip(corpus.sources, traces, strict=True)
    ]
    return replace(corpus, sources=tuple(sources))


def test_a_network_learns_what_runs_within_a_window(tiny: Definition, tmp_path: Path) -> None:
    definition = in_steps(
        tiny, training={"epochs": 30, "batch": 8, "learning_rate": 0.01}, protocol={"labelled": "all"}, compare=[]
    )
    definition["data"] = {"corpus": "arrays"}
    definition["stages"] = {
        name: {**SERIES, "inputs": [name], "loss": {"hard": {"form": "mse"}}} for name in ("eda", "temp")
    }
    run = run_study(parse_study(definition), out=tmp_path, corpus=swinging())
    truth = run.predictions.query("arm == 'eda'").set_index(["subject", "window", "step"])["truth"]
    assert (truth.groupby("window").agg(np.ptp) > 0.5).any()
    within = {}
    for arm, rows in run.predictions.groupby("arm", observed=True):
        both = rows[["truth", "prediction"]]
        moved = both - both.groupby(rows["window"]).transform("mean")
        within[arm] = np.corrcoef(moved["truth"], moved["prediction"])[0, 1] if moved["prediction"].any() else 0.0
    assert within["eda"] > 0.8
    assert abs(within["temp"]) < 0.3
    (judgement,) = run.judgements
    assert judgement.arms["eda"].scores["ccc"].estimate > 0.8


def test_the_study_goes_to_its_verdict_and_its_student_says_a_value_per_step(tiny: Definition, tmp_path: Path) -> None:
    definition = in_steps(tiny, refit="all", deploy="taught")
    run = run_study(parse_study(definition), out=tmp_path / "runs")
    assert {"baseline/mean", "confound/clock", "taught/scrambled"} <= set(run.predictions["arm"].astype(str))
    (judgement,) = run.judgements
    assert (judgement.metric, judgement.level) == ("ccc", "step")
    page = run.report.read_text(encoding="utf-8")
    assert "per step" in page
    assert "per window" not in page
    shown = CliRunner().invoke(cli.app, ["knowledge", str(run.path)]).stdout
    assert f"windows, scores over all {STEPS} steps of each" in shown
    assert np.isfinite(judgement.arms["taught"].scores["ccc"].estimate)
    (teacher,) = [
        handed for handed in what_was_handed_over(run.path) if handed.stage == "teacher" and handed.role == "stage"
    ]
    assert {"ccc", "rmse"} <= set(teacher.parts[0].scores)
    student = load_student(run.path)
    corpus = datasets.load("simulated", **{**definition["data"]["options"], "subjects": 2})
    frame = student.predict(corpus)
    width = LENGTH / STEPS
    np.testing.assert_allclose(frame["end"] - frame["start"], width)
    first = frame[frame["recording"] == frame["recording"].iloc[0]]
    np.testing.assert_allclose(np.diff(first["start"]), width)
    assert len(frame) % STEPS == 0
    assert frame["prediction"].notna().all()


@pytest.mark.parametrize("backend", ["looped", "stacked"])
def test_both_backends_learn_the_same_of_steps(
    tiny: Definition, plan_of: PlanOf, train: Train, backend: str, tmp_path: Path
) -> None:
    found = [
        train(plan_of(in_steps(tiny, engine={"backend": name}), tmp_path / name)).set_index(["arm", "window", "step"])[
            "prediction"
        ]
        for name in ("looped", backend)
    ]
    pd.testing.assert_series_equal(found[0].sort_index(), found[1].sort_index(), check_exact=False, atol=1e-4)


def test_a_choice_is_judged_on_all_steps(tiny: Definition, plan_of: PlanOf, train: Train) -> None:
    definition = in_steps(tiny, protocol={"validation": 1})
    definition["choose"] = {"stages.taught.loss.soft.weight": [0.1, 1.0]}
    predictions = train(plan_of(definition))
    assert (predictions["arm"] == "taught").sum() == (predictions["arm"] == "alone").sum() > 0


def test_several_teachers_of_steps_are_weighed_by_their_concordance(
    tiny: Definition, plan_of: PlanOf, train: Train
) -> None:
    definition = in_steps(tiny)
    definition["stages"]["other"] = {"like": "teacher", "inputs": ["temp"]}
    definition["stages"]["taught"]["taught_by"] = ["teacher", "other"]
    definition["stages"]["taught"]["knowledge"] = {"combine": "accuracy"}
    predictions = train(plan_of(definition))
    assert predictions.loc[predictions["arm"] == "taught", "prediction"].notna().all()


def test_a_window_with_a_gap_in_its_trace_stands_in_no_fold(tiny: Definition, plan_of: PlanOf) -> None:
    dataset = plan_of(in_steps(tiny)).variants[0].dataset
    values = dataset["target"].to_numpy().copy()
    known = np.flatnonzero(np.isfinite(values).all(axis=1))
    values[known[0], 3] = np.nan
    table = windows.table(dataset.assign(target=(dataset["target"].dims, values, dataset["target"].attrs)))
    assert np.isnan(table["target"][known[0]])
    assert np.isfinite(table["target"][known[1]])


def test_a_model_that_predicts_once_per_window_is_refused_with_those_that_do_not(
    tiny: Definition, plan_of: PlanOf
) -> None:
    definition = in_steps(tiny)
    definition["stages"]["alone"]["model"] = "fusion_cnn"
    with pytest.raises(StudyError, match=r"predicts once per window, not at 8 steps; models that do: .*tcn"):
        plan_of(definition)


def test_steps_that_do_not_fill_a_window_are_refused(tiny: Definition, plan_of: PlanOf) -> None:
    definition = in_steps(tiny)
    definition["target"]["rate"] = 0.3
    with pytest.raises(StudyError, match=r"hold 1\.2 steps"):
        plan_of(definition)


def alone_in_steps(tiny: Definition, **changes: Any) -> dict[str, Any]:
    """Return the study of steps with one stage, which nothing is compared with."""
    definition = in_steps(tiny, compare=[])
    definition["stages"] = {"alone": {**definition["stages"]["alone"], **changes}}
    del definition["signals"]["temp"]
    return definition


def on_swings(tiny: Definition, **changes: Any) -> dict[str, Any]:
    """Return the study of steps, to be run on :func:`swinging`."""
    definition = in_steps(tiny, **changes)
    definition["data"] = {"corpus": "arrays"}
    return definition


def test_windows_with_a_gap_are_told_and_not_counted(
    tiny: Definition, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def gap(swing: np.ndarray) -> None:
        swing[3, 4:7] = np.nan

    plan = make_plan(parse_study(on_swings(tiny)), tmp_path, corpus=swinging(spoil=gap))
    said = "1 of 96 windows have a gap in the trace arousal and are neither trained nor tested on."
    assert said in plan.variants[0].warnings
    print_plan(plan, 1, keys=False)
    told = " ".join(capsys.readouterr().out.split())
    assert "95 windows of 4 s" in told
    assert "arousal: a trace, 8 values per window" in told
    assert "15 to 16 windows" in told


def test_windows_within_which_the_truth_stands_still_are_told_where_only_concordance_learns(
    tiny: Definition, tmp_path: Path
) -> None:
    def still(swing: np.ndarray) -> None:
        swing[:6] = 0.5

    definition = on_swings(tiny, protocol={"labelled": "all"})
    definition["stages"]["both"] = {"like": "alone", "loss": {"hard": {"form": "ccc"}, "far": {"loss": "hard"}}}
    corpus = swinging(spoil=still)
    (told,) = make_plan(parse_study(definition), tmp_path, corpus=corpus).variants[0].warnings
    assert told.startswith("teacher, taught: hard with form: ccc learns nothing")
    assert "24 of 96 labelled ones (25 %); take form: mse, or add it." in told
    for name in ("teacher", "taught"):
        definition["stages"][name]["loss"]["hard"] = {"form": "mse"}
    assert not make_plan(parse_study(definition), tmp_path, corpus=corpus).variants[0].warnings


def test_a_change_that_moves_time_is_refused_where_steps_are_learned(tiny: Definition, plan_of: PlanOf) -> None:
    moving = {"eda": ["permutation", "flip", {"shift": 0.5}, "jitter"]}
    definition = alone_in_steps(tiny, augment=moving)
    with pytest.raises(StudyError) as caught:
        plan_of(definition)
    places = [mistake.partition(":")[0] for mistake in caught.value.mistakes]
    assert places == [f"stages.alone.augment.eda[{k}]" for k in range(3)]
    assert all("would not move along. Use one of: " in mistake for mistake in caught.value.mistakes)
    del definition["stages"]["alone"]["augment"]
    definition["stages"]["seen"] = {"like": "alone", "loss": {"contrast": {}}, "augment": moving}
    plan_of(definition)  # which looks at no target


def test_a_strength_moves_nothing_in_time_where_steps_are_learned(
    tiny: Definition, plan_of: PlanOf, train: Train, tmp_path: Path
) -> None:
    still = [step for step in default_changes("eda", False, "strong") if "time_warp" not in step]
    assert len(still) < len(default_changes("eda", False, "strong"))
    found = []
    for number, changes in enumerate(("strong", still)):
        definition = alone_in_steps(tiny, augment={"eda": changes})
        found.append(train(plan_of(definition, tmp_path / str(number)))["prediction"])
    pd.testing.assert_series_equal(*found)


def test_steps_are_timed_apart_from_one_value_per_window(tiny: Definition, plan_of: PlanOf, tmp_path: Path) -> None:
    definition = alone_in_steps(tiny)
    plan_of(definition, tmp_path)
    del definition["target"]["rate"]
    plan_of(definition, tmp_path)
    assert len(list((tmp_path / "store" / "timings").iterdir())) == 2


def test_steps_stay_whole_numbers_beside_a_target_without(
    tiny: Definition, plan_of: PlanOf, train: Train, tmp_path: Path
) -> None:
    definition = alone_in_steps(tiny)
    definition["target"] = [definition["target"], {"name": "mean", "trace": "arousal", "within": ["calm", "aroused"]}]
    train(plan_of(definition)).to_parquet(tmp_path / "predictions.parquet", index=False)
    predictions = pd.read_parquet(tmp_path / "predictions.parquet")
    assert predictions["step"].dtype == "Int16"
    assert set(predictions["step"].dropna()) == set(range(STEPS))
    assert predictions["step"].isna().any()
    judged = evaluation.judge(predictions, {}, metric="ccc", resamples=100)
    assert [judgement.level for judgement in judged] == ["step", "window"]
