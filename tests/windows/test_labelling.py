"""Classes that come from the ratings of a whole subject, and targets with a value per step."""

from __future__ import annotations

import json

import numpy as np
import pytest

from limbeck.errors import StudyError
from limbeck.recording import Event, Recording, Trace
from limbeck.targets import Target
from limbeck.windows import Calibration, cut, decode, feature_table, load, save, table, view

QUADRANTS = Target("q", quadrants=["valence", "arousal"], threshold="subject_median", within="film")


def left_out(windows) -> str:
    return "\n".join(f"{entry['what']}: {entry['why']}" for entry in json.loads(windows.attrs["left_out"]))


@pytest.fixture
def rated(ramp, make_corpus):
    """Two subjects with three films each of 20 s after 10 s of rest; the second never rated arousal of the last."""

    def recording(subject, order, valence, arousal):
        ratings = {"valence": valence} | ({} if arousal is None else {"arousal": arousal})
        events = (Event("rest", 0, 10), Event("film", 10, 30))
        signals = {"eda": ramp(4.0, 30)}
        return Recording(subject, signals, trial=str(order), order=order, ratings=ratings, events=events)

    values = {"A": [(1, 5), (5, 9), (9, 1)], "B": [(6, 2), (7, 8), (2, None)]}
    return make_corpus(
        *(recording(subject, order, *pair) for subject, pairs in values.items() for order, pair in enumerate(pairs))
    )


def made(corpus, target, **options):
    return cut(corpus, target=target, **{"signals": {"eda": []}, "length": 10, "hop": 10, **options})


def of_films(windows) -> list[tuple[str, str, int]]:
    """Subject, trial and class of the first window of each film."""
    rows = zip(decode(windows.subject), decode(windows.trial), windows.target.to_numpy(), strict=True)
    return [row for index, row in enumerate(rows) if index % 2 == 0]


def test_quadrants_by_the_medians_of_each_subject(rated):
    windows = made(rated, QUADRANTS)
    names = windows.target.attrs["classes"]
    assert names == ["hvha", "hvla", "lvha", "lvla"]
    expected = [("A", "0", "lvla"), ("A", "1", "lvha"), ("A", "2", "hvla"), ("B", "0", "lvla"), ("B", "1", "hvha")]
    assert [(subject, trial, names[code]) for subject, trial, code in of_films(windows)] == expected
    assert "B 2: 2 of 2 windows have no value of q (valence 2, no arousal)" in left_out(windows)


def test_neutral_recordings_are_left_out_and_named_with_their_ratings(rated):
    windows = made(rated, Target("v", ratings="valence", neutral=[5, 6], within="film"))
    assert of_films(windows) == [("A", "0", 0), ("A", "2", 1), ("B", "1", 1), ("B", "2", 0)]
    assert "A 1: 2 of 2 windows have no value of v (valence 5)" in left_out(windows)
    assert "B 0: 2 of 2 windows have no value of v (valence 6)" in left_out(windows)


def test_a_rating_that_no_recording_has_is_refused_with_the_nearest(rated):
    with pytest.raises(StudyError, match=r"no recording has a rating 'valance'. Did you mean 'valence'"):
        made(rated, Target("v", ratings="valance", threshold=5))
    with pytest.raises(StudyError, match="no recording has a rating 'dominance'"):
        made(rated, Target("v", quadrants=["valence", "dominance"], threshold=5))


def test_recordings_without_a_class_still_calibrate(rated, tmp_path):
    target = Target("a", ratings="arousal", threshold=4, within="film")
    neutral = Target("a", ratings="arousal", neutral=[5, 6], within="film")
    for cache in (None, tmp_path, tmp_path):
        windows = made(rated, target, calibration=Calibration("rest", 30), cache=cache)
        calibration = windows.calibration.to_numpy()
        assert calibration.sum() == 6
        assert (windows.target.to_numpy()[calibration] == -1).all()
        rows = list(zip(decode(windows.subject), decode(windows.trial), calibration, strict=True))
        assert ("B", "2", True) in rows
        assert ("B", "2", False) not in rows
        assert windows.target.to_numpy()[~calibration].tolist() == [1, 1, 1, 1, 0, 0, 0, 0, 1, 1]
        windows = made(rated, neutral, calibration=Calibration("rest", 30), cache=cache)
        assert windows.target.to_numpy().tolist() == [-1, -1, 1, 1, -1, 0, 0, -1, 0, 0, -1, 1, 1, -1]
    np.testing.assert_array_equal(windows.eda[:, 0, 0], windows.start)


def test_targets_from_ratings_share_the_windows_of_each_recording_in_the_cache(rated, tmp_path):
    targets = [
        Target("v", ratings="valence", threshold=5, within="film"),
        Target("a", ratings="arousal", threshold="subject_mean", within="film"),
        QUADRANTS,
        Target("l", levels={"no": {"valence": "[1, 5]"}, "yes": {"valence": "(5, 9]"}}, within="film"),
    ]
    found = [made(rated, target, cache=tmp_path) for target in targets]
    assert len(rated.truth["reads"]) == 6, "each recording was read once"
    assert len({windows.attrs["key"] for windows in found}) == 4
    for target, windows in zip(targets, found, strict=True):
        assert made(rated, target).identical(windows)
    rated.truth["reads"].clear()
    elsewhere = Target("v", ratings="valence", threshold=5)
    made(rated, elsewhere, cache=tmp_path)
    assert len(rated.truth["reads"]) == 6, "windows of the whole recording are others"


# ---- a value per step -----------------------------------------------------------------------------------------------


@pytest.fixture
def traced(ramp, make_corpus):
    """Two subjects of 60 s with a trace of 8 Hz that is its own time, with a gap from 20 to 31 s."""
    times = np.arange(480) / 8
    values = np.where((times >= 20) & (times < 31), np.nan, times)
    return make_corpus(
        *(Recording(name, {"eda": ramp(4.0, 60)}, traces={"valence": Trace(times, values)}) for name in "AB")
    )


STEPS = Target("v", trace="valence", rate=4)


def test_windows_carry_a_value_per_step(traced):
    windows = made(traced, STEPS, length=5, hop=2.5)
    assert windows.target.dims == ("window", "target_step")
    assert windows.target.dtype == np.float32
    assert windows.target.attrs == {"kind": "trace", "name": "v", "rate": 4.0}
    starts = windows.start.to_numpy()
    assert 22.5 not in starts
    assert 25.0 not in starts
    assert 20.0 not in starts
    assert 17.5 in starts
    assert 27.5 in starts
    grid = starts[:, np.newaxis] + np.arange(20) / 4
    known = (grid < 19.99) | (grid > 30.99)
    np.testing.assert_array_equal(np.isfinite(windows.target), known)
    np.testing.assert_allclose(windows.target.to_numpy()[known], (grid + 1 / 16)[known], rtol=1e-6)
    assert "3 of 23 windows have no value of v" in left_out(windows)


def test_steps_are_kept_on_disk_and_in_the_cache_and_listed(traced, tmp_path):
    windows = made(traced, STEPS, length=5, hop=2.5, cache=tmp_path)
    assert windows.identical(made(traced, STEPS, length=5, hop=2.5, cache=tmp_path))
    assert len(traced.truth["reads"]) == 2
    save(windows, tmp_path / "set.zarr")
    assert load(tmp_path / "set.zarr").identical(windows)
    seen = view(windows, {"eda": None})
    np.testing.assert_array_equal(seen.target, windows.target)
    listed = table(windows)
    assert [name for name in listed.columns if name.startswith("target")] == [
        "target",
        *(f"target_{step}" for step in range(20)),
    ]
    np.testing.assert_allclose(listed["target"], windows.target.to_numpy().mean(axis=1), rtol=1e-6)  # NaN where one is
    np.testing.assert_array_equal(listed["target_7"], windows.target[:, 7])
    features = made(traced, STEPS, length=5, hop=2.5, signals={"eda": [{"features": ["statistics"]}]})
    np.testing.assert_array_equal(feature_table(features)["target_19"], windows.target[:, 19])


def test_steps_of_calibration_have_no_value(traced):
    windows = made(traced, STEPS, calibration=Calibration(None, 10))
    calibration = windows.calibration.to_numpy()
    assert calibration.sum() == 2
    assert np.isnan(windows.target.to_numpy()[calibration]).all()


def test_another_rate_lag_or_aggregate_is_cut_anew(traced, tmp_path):
    targets = [
        Target("v", trace="valence", **options)
        for options in ({}, {"rate": 4}, {"rate": 2}, {"lag": 2}, {"aggregate": "last"}, {"rate": 4, "lag": 2})
    ]
    keys = {made(traced, target, cache=tmp_path).attrs["key"] for target in targets}
    assert len(keys) == len(targets)


@pytest.mark.parametrize(("length", "rate"), [(2.5, 1), (0.5, 1), (10, 0.25)])
def test_a_window_holds_a_whole_number_of_steps(traced, length, rate):
    with pytest.raises(StudyError, match="choose a rate at which it is a whole number"):
        made(traced, Target("v", trace="valence", rate=rate), length=length)


def test_a_lag_shifts_the_windows_target_and_loses_those_at_the_end(traced):
    plain, late = made(traced, Target("v", trace="valence")), made(traced, Target("v", trace="valence", lag=3))
    at = {float(start): float(value) for start, value in zip(plain.start, plain.target, strict=True)}
    lagged = {float(start): float(value) for start, value in zip(late.start, late.target, strict=True)}
    assert at[0.0] == pytest.approx(4.9375)
    assert lagged[0.0] == pytest.approx(7.9375)
    assert lagged[50.0] == pytest.approx(np.mean(np.arange(53 * 8, 480) / 8))
