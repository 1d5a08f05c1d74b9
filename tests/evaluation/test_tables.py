"""Scores by subject, pooled and by trial are those of a naive loop over the table of predictions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from limbeck import metrics
from limbeck.errors import DataError
from limbeck.evaluation import tables


@pytest.fixture
def predictions(rng: np.random.Generator) -> pd.DataFrame:
    """Two variants, two arms, four subjects, two repetitions, two seeds, in shuffled rows."""
    rows = []
    truth = {(s, w): int(rng.random() < 0.5) for s in range(4) for w in range(12)}
    for variant in ("few", "all"):
        for arm in ("taught", "alone"):
            for (s, w), true in truth.items():
                for repetition in range(2):
                    for seed in range(2):
                        p = rng.dirichlet([1, 1, 1])
                        rows.append(
                            {
                                "variant": variant,
                                "arm": arm,
                                "subject": f"S{s}",
                                "session": "",
                                "trial": str(w // 3),
                                "window": s * 12 + w,
                                "start": 5.0 * w,
                                "condition": "task" if true else "rest",
                                "fold": s,
                                "repetition": repetition,
                                "seed": seed,
                                "truth": true,
                                "prediction": int(p.argmax()),
                                "p0": p[0],
                                "p1": p[1],
                                "p2": p[2],
                            }
                        )
    table = pd.DataFrame(rows)
    return table.sample(frac=1, random_state=0).reset_index(drop=True)


def naive(frame: pd.DataFrame) -> dict[str, float]:
    """Score per repetition and seed and average, one group at a time."""
    found: dict[str, list[float]] = {}
    for _, draw in frame.groupby(["repetition", "seed"]):
        for name, metric in metrics.METRICS.items():
            if metric.kind == "class":
                given = draw[["p0", "p1", "p2"]] if metric.needs_probabilities else draw["prediction"]
                found.setdefault(name, []).append(metric.score(draw["truth"].to_numpy(), given.to_numpy()))
    return {name: float(np.mean(values)) for name, values in found.items()}


def test_subject_scores_are_averages_over_repetitions_and_seeds(predictions: pd.DataFrame) -> None:
    scores = tables.subject_scores(predictions, n_classes=3)
    assert len(scores) == 2 * 2 * 4
    for key, frame in predictions.groupby(["variant", "arm", "subject"]):
        expected = naive(frame)
        assert set(expected) == set(scores.columns)
        assert scores.loc[key].to_dict() == pytest.approx(expected, nan_ok=True)


def test_pooled_scores_are_those_of_all_subjects_together(predictions: pd.DataFrame) -> None:
    pooled = tables.pooled_scores(predictions, n_classes=3)
    for key, frame in predictions.groupby(["variant", "arm"]):
        assert pooled.loc[key].to_dict() == pytest.approx(naive(frame), nan_ok=True)


def test_categorical_columns_and_shuffled_rows_change_nothing(predictions: pd.DataFrame) -> None:
    coded = predictions.astype(dict.fromkeys(("variant", "arm", "subject", "trial", "condition"), "category"))
    coded["arm"] = coded["arm"].cat.add_categories(["never run"])
    plain, other = tables.subject_scores(predictions), tables.subject_scores(coded.iloc[::-1])
    pd.testing.assert_frame_equal(plain.sort_index(), other.sort_index())


def test_the_mean_confusion_matrix_counts_each_window_once(predictions: pd.DataFrame) -> None:
    confusion = tables.mean_confusion(predictions, 3)
    assert set(confusion) == {(v, a) for v in ("few", "all") for a in ("taught", "alone")}
    for (variant, arm), matrix in confusion.items():
        rows = predictions[(predictions["variant"] == variant) & (predictions["arm"] == arm)]
        expected = pd.crosstab(rows["truth"], rows["prediction"]).reindex(range(3), fill_value=0)[[0, 1, 2]] / 4
        assert matrix == pytest.approx(expected.to_numpy())
        assert matrix.sum() == pytest.approx(48)


def test_trials_average_the_probabilities_of_their_windows(predictions: pd.DataFrame) -> None:
    trials = tables.to_trials(predictions)
    keys = ["variant", "arm", "subject", "trial", "condition", "repetition", "seed"]
    expected = predictions.groupby(keys)[["p0", "p1", "p2"]].mean()
    found = trials.set_index(keys).loc[expected.index]
    assert found[["p0", "p1", "p2"]].to_numpy() == pytest.approx(expected.to_numpy())
    assert (found["prediction"].to_numpy() == expected.to_numpy().argmax(1)).all()
    assert (found["truth"].to_numpy() == (found.reset_index()["condition"] == "task").to_numpy()).all()


def test_trials_of_a_trace_average_it() -> None:
    table = pd.DataFrame(
        {
            "variant": "",
            "arm": "alone",
            "subject": "S1",
            "session": "",
            "trial": ["a", "a", "b"],
            "window": [0, 1, 2],
            "condition": "",
        }
        | {"condition": "", "repetition": 0, "seed": 0, "truth": [1.0, 2.0, 5.0], "prediction": [0.0, 1.0, 4.0]}
    )
    trials = tables.to_trials(table, kind="trace")
    assert trials["truth"].tolist() == [1.5, 5.0]
    assert trials["prediction"].tolist() == [0.5, 4.0]


def test_trials_with_several_truths_are_refused_by_name(predictions: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="several; judge by window"):
        tables.to_trials(predictions.assign(condition=""))
    with pytest.raises(DataError, match="no columns p0"):
        tables.to_trials(predictions.drop(columns=["p0", "p1", "p2"]))


def test_scores_of_a_trace_are_per_subject() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"subject": np.repeat(["S1", "S2"], 20), "truth": rng.normal(size=40)})
    table = table.assign(variant="", arm="alone", repetition=0, seed=0, prediction=rng.normal(size=40))
    scores = tables.subject_scores(table, kind="trace")
    first = table[table["subject"] == "S1"]
    for name in ("rmse", "pcc", "ccc"):
        expected = metrics.METRICS[name].score(first["truth"].to_numpy(), first["prediction"].to_numpy())
        assert scores.loc[("", "alone", "S1"), name] == pytest.approx(expected)


def test_without_probabilities_only_the_auc_is_missing(predictions: pd.DataFrame) -> None:
    scores = tables.subject_scores(predictions.drop(columns=["p0", "p1", "p2"]), n_classes=3)
    assert scores["auc"].isna().all()
    assert scores["balanced_accuracy"].notna().all()


def test_coverage_tells_arms_on_other_windows_apart(predictions: pd.DataFrame) -> None:
    one = predictions[predictions["variant"] == "few"]
    one = one[~((one["arm"] == "alone") & (one["window"] == 7))]
    seen, combinations = tables.coverage(one, ("subject", "window"))
    assert seen["taught"].all()
    assert combinations["window"][~seen["alone"]].tolist() == [7]


def test_samples_of_each_class_are_counted_once_however_often_they_were_predicted() -> None:
    table = pd.DataFrame(
        {"subject": ["S10", "S10", "S2", "S2", "S2"], "window": [0, 1, 2, 3, 3], "truth": [0, 1, 1, 1, 1]}
    )
    counts = tables.class_counts(pd.concat([table.assign(arm="a"), table.assign(arm="b")]), 3)
    assert counts.index.tolist() == ["S2", "S10"]
    assert counts.to_numpy().tolist() == [[0, 2, 0], [1, 1, 0]]


def test_a_subject_with_one_class_has_no_score_and_still_counts_when_pooled(predictions: pd.DataFrame) -> None:
    one_class = predictions["subject"] == "S1"
    changed = predictions.assign(truth=predictions["truth"].where(~one_class, 2))
    scores = tables.subject_scores(changed, n_classes=3)
    lost = scores.index.get_level_values("subject") == "S1"
    assert scores[lost].isna().all(axis=None)
    assert scores[~lost].notna().all(axis=None)
    assert tables.pooled_scores(changed, n_classes=3).notna().all(axis=None)


def test_segments_of_one_name_are_trials_of_their_own(predictions: pd.DataFrame) -> None:
    keys = ["variant", "arm", "subject", "trial", "repetition", "seed"]
    split = predictions.assign(segment=predictions["window"] % 3, truth=1, condition="task")
    trials = tables.to_trials(split)
    assert len(trials) == len(predictions)
    assert (trials["condition"] == "task").all()
    merged = tables.to_trials(split.drop(columns="segment"))
    assert len(merged) == len(predictions.groupby(keys))
    partly = split.assign(segment=split["segment"].where(split["arm"] == "taught"))
    assert len(tables.to_trials(partly)) == len(merged)


def test_a_target_that_differs_in_no_subject_is_refused_with_what_they_hold() -> None:
    windows = pd.DataFrame({"subject": ["S1", "S1", "S2"], "target": [0, 0, 1], "calibration": False})
    with pytest.raises(DataError, match=r"2 subjects has windows of one class only: S1 \(rest\), S2 \(task\)"):
        tables.check_target(windows, classes=("rest", "task"))
    other = pd.DataFrame({"subject": ["S1"], "target": [1], "calibration": True})
    with pytest.raises(DataError, match="one class only"):  # the calibration stretch is never tested
        tables.check_target(pd.concat([windows, other]), classes=("rest", "task"))
    tables.check_target(pd.concat([windows, other.assign(calibration=False)]), classes=("rest", "task"))


def test_a_constant_trace_is_refused_unless_its_error_is_what_counts() -> None:
    windows = pd.DataFrame({"subject": ["S1", "S1", "S2"], "target": [0.25, 0.25, 1.0]})
    with pytest.raises(DataError, match=r"one value of the trace only: S1 \(0.25\)"):
        tables.check_target(windows, metric="ccc")
    tables.check_target(windows, metric="rmse")


def test_a_trace_that_moves_within_windows_of_one_mean_is_judged_by_step_and_not_by_trial() -> None:
    steps = {"target_0": [0.0, 1.0, 0.5], "target_1": [1.0, 0.0, 0.5]}
    windows = pd.DataFrame({"subject": ["S1", "S1", "S2"], "target": 0.5, **steps})
    tables.check_target(windows, metric="ccc")
    with pytest.raises(DataError, match=r"one value of the trace only: S1 \(0.5\), S2 \(0.5\)"):
        tables.check_target(windows, metric="ccc", level="trial")
    still = windows.assign(target_0=0.5, target_1=0.5)
    with pytest.raises(DataError, match="one value of the trace only"):
        tables.check_target(still, metric="ccc")
    gap = pd.DataFrame({"subject": ["S1"], "target": [np.nan], "target_0": [0.9], "target_1": [np.nan]})
    for level in ("window", "trial"):  # what is missing is no second value
        with pytest.raises(DataError, match="one value of the trace only"):
            tables.check_target(pd.concat([still, gap]), metric="ccc", level=level)


def test_names_sort_with_their_numbers_as_numbers() -> None:
    assert tables.natural_order(["S10", "S2", "A", "S1"]) == ["A", "S1", "S2", "S10"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda table: table.drop(columns=["seed", "truth"]), r"lacks the columns \['seed', 'truth'\]"),
        (lambda table: table.iloc[:0], "is empty"),
        (lambda table: table.assign(prediction=table["prediction"].where(table["window"] != 3)), "no prediction"),
    ],
)
def test_tables_that_cannot_be_scored_are_refused(predictions: pd.DataFrame, spoil, message: str) -> None:
    with pytest.raises(DataError, match=message):
        tables.check_predictions(spoil(predictions))


def test_a_study_of_a_million_rows_is_scored_in_seconds() -> None:
    import time

    shape = (10, 30, 22, 150)
    arm, repetition, subject, window = (axis.ravel() for axis in np.indices(shape, dtype=np.int32))
    rng = np.random.default_rng(0)
    p1 = rng.random(len(arm), np.float32)
    table = pd.DataFrame(
        {"variant": "", "arm": arm, "subject": subject, "window": window, "repetition": repetition, "seed": 0}
        | {"truth": rng.integers(0, 2, len(arm)), "prediction": (p1 > 0.5).astype(int), "p0": 1 - p1, "p1": p1}
    )
    begun = time.perf_counter()
    tables.subject_scores(table)
    assert time.perf_counter() - begun < 10


def test_training_subjects_are_those_a_fold_does_not_test_on_average() -> None:
    subjects = ["A", "A", "B", "C", "D", "E"]
    folds = [0, 0, 0, 0, 1, 1]  # three tested, then two
    frame = pd.DataFrame({"subject": subjects, "fold": folds, "repetition": 0})
    assert tables.training_subjects(frame) == 2.5
    assert np.isnan(tables.training_subjects(frame.drop(columns="fold")))
