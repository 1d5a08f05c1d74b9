"""Baselines know no signal and no test target; the clock knows the schedule and wins where all follow one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from limbeck.errors import DataError
from limbeck.evaluation import judge
from limbeck.evaluation.baselines import CLOCK, MAJORITY, MEAN, PRIOR, baselines, schedule

CLASSES = ("rest", "stress")


def window_table(rng: np.random.Generator, *, one_schedule: bool, n_subjects: int = 8) -> pd.DataFrame:
    """Make two recordings of 15 windows per subject; the second half of each is stress, or it is at random."""
    frames = []
    for s in range(n_subjects):
        for order in range(2):
            start = 30.0 * np.arange(15)
            target = (start > 200).astype(int) if one_schedule else (rng.random(15) < 0.3).astype(int)
            frames.append(
                pd.DataFrame(
                    {"subject": f"S{s}", "session": "", "trial": str(order), "order": order, "start": start}
                    | {"condition": np.array(CLASSES)[target], "calibration": False, "target": target}
                )
            )
    return pd.concat(frames, ignore_index=True)


def leave_one_out(table: pd.DataFrame, repetitions: int = 1) -> list:
    return [
        SimpleNamespace(
            repetition=r,
            fold=f,
            labelled=np.flatnonzero(table["subject"] != subject),
            test=np.flatnonzero(table["subject"] == subject),
        )
        for r in range(repetitions)
        for f, subject in enumerate(table["subject"].unique())
    ]


def test_rows_cover_every_test_window_and_can_be_judged(rng: np.random.Generator) -> None:
    table = window_table(rng, one_schedule=True)
    rows = baselines(table, leave_one_out(table, 2), classes=CLASSES, seed=3, variant="labelled=3")
    assert set(rows["arm"]) == {MAJORITY, PRIOR, CLOCK}
    for _, arm in rows.groupby(["arm", "repetition"]):
        assert sorted(arm["window"]) == list(range(len(table)))
        ordered = arm.sort_values("window")
        assert (ordered["truth"].to_numpy() == table["target"].to_numpy()).all()
        assert (ordered["subject"].to_numpy() == table["subject"].to_numpy()).all()
    assert (rows["seed"] == 3).all()
    assert rows[["p0", "p1"]].sum(axis=1).to_numpy() == pytest.approx(1.0)
    assert rows["p0"].dtype == np.float32
    (judgement,) = judge(rows, {}, classes=CLASSES, resamples=200)
    assert judgement.arms[MAJORITY].scores["balanced_accuracy"].estimate == pytest.approx(0.5)
    assert judgement.variant == "labelled=3"
    assert "segment" not in rows


def test_rows_carry_the_segment_of_their_window_where_it_is_known(rng: np.random.Generator) -> None:
    table = window_table(rng, one_schedule=True)
    table = table.assign(segment=(table["start"] > 200).astype(np.int32))
    rows = baselines(table, leave_one_out(table), classes=CLASSES)
    assert (rows["segment"].to_numpy() == table["segment"].to_numpy()[rows["window"]]).all()


def test_the_clock_wins_where_all_follow_one_schedule_and_knows_nothing_elsewhere(rng: np.random.Generator) -> None:
    scores = {}
    for one_schedule in (True, False):
        table = window_table(rng, one_schedule=one_schedule)
        rows = baselines(table, leave_one_out(table), classes=CLASSES)
        clock = rows[rows["arm"] == CLOCK]
        scores[one_schedule] = (clock["truth"] == clock["prediction"])[clock["truth"] == 1].mean()
    assert scores[True] > 0.95
    assert scores[False] < 0.7


def test_the_majority_and_the_prior_are_those_of_the_labelled_windows(rng: np.random.Generator) -> None:
    table = window_table(rng, one_schedule=True)
    labelled = np.flatnonzero(table["target"] == 1)[:9].tolist() + np.flatnonzero(table["target"] == 0)[:3].tolist()
    fold = SimpleNamespace(repetition=0, fold=0, labelled=np.sort(labelled), test=np.arange(200, 230))
    rows = baselines(table, [fold], classes=CLASSES)
    prior = rows[rows["arm"] == PRIOR]
    assert (rows[rows["arm"] == MAJORITY]["prediction"] == 1).all()
    assert prior["p1"].to_numpy() == pytest.approx(0.75)
    assert 0.5 < prior["prediction"].mean() < 1.0


def test_test_targets_are_never_looked_at(rng: np.random.Generator) -> None:
    table = window_table(rng, one_schedule=False)
    fold = leave_one_out(table)[:1]
    spoiled = table.assign(target=table["target"].where(~table.index.isin(fold[0].test), 1 - table["target"]))
    honest, other = (baselines(t, fold, classes=CLASSES) for t in (table, spoiled))
    columns = ["arm", "window", "prediction", "p0", "p1"]
    pd.testing.assert_frame_equal(honest[columns], other[columns])


def test_a_fold_is_what_it_is_whichever_others_there_are_and_is_fitted_once(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.ensemble import RandomForestClassifier

    fits = []
    fit = RandomForestClassifier.fit
    monkeypatch.setattr(RandomForestClassifier, "fit", lambda self, *data: (fits.append(1), fit(self, *data))[1])
    table = window_table(rng, one_schedule=False, n_subjects=3)
    whole = baselines(table, leave_one_out(table, 4), classes=CLASSES)
    assert len(fits) == 3
    single = baselines(table, leave_one_out(table)[1:2], classes=CLASSES)
    same = whole[(whole["fold"] == 1) & (whole["repetition"] == 2)]
    columns = ["arm", "window", "prediction", "p0", "p1"]
    pd.testing.assert_frame_equal(single[columns], same[columns].reset_index(drop=True))


def test_a_class_without_labelled_windows_gets_no_probability(rng: np.random.Generator) -> None:
    table = window_table(rng, one_schedule=True)
    table["target"] = np.where(table["target"] == 1, 2, 0)
    rows = baselines(table, leave_one_out(table), classes=("rest", "mild", "strong"))
    assert (rows["p1"] == 0).all()
    assert set(rows["prediction"]) <= {0, 2}


def test_a_trace_has_its_mean_and_a_clock_that_follows_the_course(rng: np.random.Generator) -> None:
    table = window_table(rng, one_schedule=True)
    table["target"] = np.sin(table["start"] / 100).astype(np.float32)
    folds = leave_one_out(table)
    rows = baselines(table, folds)
    assert set(rows["arm"]) == {MEAN, CLOCK}
    assert "p0" not in rows.columns
    mean = rows[(rows["arm"] == MEAN) & (rows["fold"] == 0)]["prediction"]
    assert mean.to_numpy() == pytest.approx(table["target"][folds[0].labelled].mean())
    clock = rows[rows["arm"] == CLOCK]
    assert np.corrcoef(clock["truth"], clock["prediction"])[0, 1] > 0.95


def test_time_since_the_session_began_runs_on_over_its_recordings(rng: np.random.Generator) -> None:
    table = window_table(rng, one_schedule=True, n_subjects=2)
    shuffled = table.sample(frac=1, random_state=0)
    clock = schedule(shuffled)[np.argsort(shuffled.index)]
    assert clock[:30, 0] == pytest.approx(30.0 * np.arange(30))
    assert clock[30:, 0] == pytest.approx(30.0 * np.arange(30))
    assert (clock[:, 1] == table["order"]).all()
    assert (clock[:, 2] == table["start"]).all()


def test_recordings_of_one_window_are_told_apart_by_their_order() -> None:
    table = pd.DataFrame({"subject": "S1", "session": "", "order": [0, 1, 2], "start": 0.0})
    assert schedule(table).tolist() == [[0, 0, 0], [0, 1, 0], [0, 2, 0]]


def test_tables_and_folds_that_do_not_fit_are_refused(rng: np.random.Generator) -> None:
    table = window_table(rng, one_schedule=True)
    folds = leave_one_out(table)
    with pytest.raises(DataError, match=r"lacks the columns \['order'\]"):
        baselines(table.drop(columns="order"), folds, classes=CLASSES)
    with pytest.raises(DataError, match="name window 239, but the table holds 100"):
        baselines(table.iloc[:100], folds, classes=CLASSES)
    with pytest.raises(DataError, match="at least one fold"):
        baselines(table, [], classes=CLASSES)
    with pytest.raises(DataError, match="0 labelled"):
        baselines(table, [SimpleNamespace(**vars(folds[0]) | {"labelled": np.zeros(0, int)})], classes=CLASSES)
    with pytest.raises(DataError, match="class codes -1"):
        baselines(table.assign(target=-1), folds, classes=CLASSES)
