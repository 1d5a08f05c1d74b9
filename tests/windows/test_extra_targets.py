"""Several targets in one set of windows: those of the first stay what they are, and none carries what it crosses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from limbeck.errors import DataError, StudyError
from limbeck.recording import Event, Recording, Signal, Trace
from limbeck.targets import Target
from limbeck.windows import Calibration, cut, decode, extra_targets, load, save, table, view, with_target

FEAR = Target("fear", ratings="valence", threshold=5, within="film")
AROUSAL = Target("arousal", ratings="arousal", threshold="subject_median", within="film")
LOAD = Target("load", events={"rest": ("rest",), "work": ("film", "task")})
PARTS = Target("parts", events={"one": ("one",), "two": ("two",)})
CALM = Target("calm", trace="calm")


@pytest.fixture
def corpus(ramp, make_corpus):
    """Two subjects, three recordings each: 20 s rest, a film to 60 s in two parts that change at 41 s, a task to 80 s.

    The trace is its own time, with a gap from 30 to 52 s; the last recording has none, and no rating of valence.
    """
    events = (Event("rest", 0, 20), Event("film", 20, 60), Event("one", 20, 41), Event("two", 41, 60))
    times = np.arange(320) / 4
    calm = {"calm": Trace(times, np.where((times >= 30) & (times < 52), np.nan, times))}

    def recording(subject, order):
        ratings = {"valence": [2, 8, 7][order], "arousal": [1, 5, 9][order]}
        if order == 2:
            del ratings["valence"]
        return Recording(
            subject,
            {"eda": ramp(4.0, 80)},
            trial=str(order),
            order=order,
            ratings=ratings,
            events=(*events, Event("task", 60, 80)),
            traces={} if order == 2 else calm,
        )

    return make_corpus(*(recording(subject, order) for subject in "AB" for order in range(3)))


def made(corpus, target, extras=None, **options):
    usual = {"signals": {"eda": []}, "length": 10, "hop": 10}
    return cut(corpus, target=target, extra_targets=extras, **{**usual, **options})


def known(windows, name="target"):
    values = windows[name].to_numpy()
    values = values if values.ndim == 1 else np.where(np.isfinite(values).any(1), 1.0, np.nan)
    return np.isfinite(values) if np.issubdtype(values.dtype, np.floating) else values >= 0


def left_out(windows) -> str:
    return "\n".join(f"{entry['what']}: {entry['why']}" for entry in json.loads(windows.attrs["left_out"]))


@pytest.mark.parametrize("calibration", [None, Calibration("rest", 15), Calibration(None, 30)], ids=str)
@pytest.mark.parametrize("hop", [10, 3])
@pytest.mark.parametrize("main", [FEAR, LOAD, PARTS, CALM, Target("whole", ratings="arousal", threshold=2)], ids=str)
def test_windows_of_the_main_target_are_what_they_are_without_others(main, hop, calibration, corpus):
    extras = {"load": LOAD, "arousal": AROUSAL, "parts": PARTS, "calm": CALM}
    alone = made(corpus, main, hop=hop, calibration=calibration)
    both = made(corpus, main, extras, hop=hop, calibration=calibration)
    own = both.isel(window=known(both) | both.calibration.to_numpy())
    assert own.sizes["window"] == alone.sizes["window"]
    for name in ("eda", "target", "start", "segment", "order", "calibration"):
        np.testing.assert_array_equal(own[name], alone[name])
    for name in ("subject", "trial", "condition"):
        np.testing.assert_array_equal(decode(own[name]), decode(alone[name]))
    assert both.target.attrs == alone.target.attrs
    assert both.attrs["calibration_seconds"] == alone.attrs["calibration_seconds"]
    np.testing.assert_array_equal(both.eda[:, 0, 0], both.start)


@pytest.mark.parametrize("main", [FEAR, LOAD, PARTS], ids=str)
def test_no_window_has_a_value_of_a_target_whose_transition_it_crosses(main, corpus):
    extras = {"load": LOAD, "parts": PARTS, "arousal": AROUSAL}
    windows = made(corpus, main, extras, hop=3)
    edges = {"load": (20, 60), "parts": (20, 41, 60), "arousal": (20, 60)}
    starts = windows.start.to_numpy()
    for name, moments in edges.items():
        values = known(windows, f"target_{name}")
        assert values.any()
        assert not any(((starts < m - 1e-6) & (starts + 10 > m + 1e-6) & values).any() for m in moments)
    # where the main target says nothing, no window at all crosses a transition of any
    free = ~known(windows)
    assert not any(((starts < m - 1e-6) & (starts + 10 > m + 1e-6) & free).any() for m in (20, 60))


def test_a_window_that_only_another_target_labels_has_no_value_of_the_main_one(corpus):
    windows = made(corpus, FEAR, {"load": LOAD, "calm": CALM})
    first = windows.isel(window=(decode(windows.subject) == "A") & (decode(windows.trial) == "0"))
    assert first.start.to_numpy().tolist() == [0, 10, 20, 30, 40, 50, 60, 70]
    assert first.target.to_numpy().tolist() == [-1, -1, 0, 0, 0, 0, -1, -1]
    assert first.target_load.to_numpy().tolist() == [0, 0, 1, 1, 1, 1, 1, 1]
    means = [4.875, 14.875, 24.875, np.nan, np.nan, 55.875, 64.875, 74.875]
    np.testing.assert_allclose(first.target_calm, means)
    assert decode(first.condition).tolist() == ["rest"] * 2 + ["film"] * 4 + ["task"] * 2
    assert first.segment.to_numpy().tolist() == [1, 1, 0, 0, 0, 0, 2, 2]
    assert windows.target_load.attrs == {"kind": "class", "name": "load", "classes": ["rest", "work"]}
    assert windows.target_calm.attrs == {"kind": "trace", "name": "calm"}
    assert "A 0: 2 of 8 windows have no value of calm" in left_out(windows)


def test_a_recording_without_the_main_target_serves_the_others(corpus):
    without = made(corpus, FEAR)
    assert "2" not in decode(without.trial)
    windows = made(corpus, FEAR, {"load": LOAD})
    last = windows.isel(window=decode(windows.trial) == "2")
    assert not known(last).any()
    assert last.target_load.to_numpy().tolist() == [0, 0, 1, 1, 1, 1, 1, 1] * 2
    assert "A 2: 4 of 4 windows have no value of fear (no valence)" in left_out(windows)
    by_trace = made(corpus, CALM, {"load": LOAD})
    last = by_trace.isel(window=decode(by_trace.trial) == "2")
    assert not known(last).any()
    assert known(last, "target_load").all()
    assert made(corpus, FEAR, {"calm": CALM}).target_calm.sizes == {"window": len(without.window) + 16}


def test_windows_that_cross_an_edge_of_another_target_are_counted(corpus):
    windows = made(corpus, LOAD, {"parts": PARTS})
    assert "A 0: 1 of 8 windows cross an edge of parts; they have no value of it" in left_out(windows)
    assert windows.target_parts.to_numpy()[:8].tolist() == [-1, -1, 0, 0, -1, 1, -1, -1]


def test_calibration_has_no_value_of_any_target(corpus):
    extras = {"load": LOAD, "arousal": AROUSAL, "calm": CALM}
    for calibration in (Calibration("rest", 20), Calibration(None, 30)):
        windows = made(corpus, FEAR, extras, calibration=calibration)
        apart = windows.isel(window=windows.calibration.to_numpy())
        assert apart.sizes["window"]
        assert not any(known(apart, name).any() for name in ("target", *(f"target_{e}" for e in extras)))
        used = windows.isel(window=~windows.calibration.to_numpy())
        assert np.any([known(used, name) for name in ("target", *(f"target_{e}" for e in extras))], axis=0).all()


def test_thresholds_relative_to_the_subject_are_those_of_the_target_alone(corpus):
    windows, alone = made(corpus, FEAR, {"arousal": AROUSAL}), made(corpus, AROUSAL)
    np.testing.assert_array_equal(windows.target_arousal, alone.target)
    np.testing.assert_array_equal(windows.start, alone.start)


def test_the_cache_gives_what_cutting_gives_and_serves_targets_from_ratings_once(corpus, tmp_path):
    extras = {"load": LOAD, "calm": Target("calm", trace="calm", rate=1), "arousal": AROUSAL}
    fresh = made(corpus, FEAR, extras)
    for _ in range(2):
        assert made(corpus, FEAR, extras, cache=tmp_path).identical(fresh)
    corpus.truth["reads"].clear()
    assert made(corpus, FEAR, extras, cache=tmp_path).attrs["key"] == fresh.attrs["key"]
    assert not corpus.truth["reads"]
    plain = made(corpus, FEAR, cache=tmp_path)
    assert len(corpus.truth["reads"]) == 6
    corpus.truth["reads"].clear()
    rated = made(corpus, FEAR, {"arousal": AROUSAL}, cache=tmp_path)
    assert not corpus.truth["reads"], "ratings within the same events are the same windows"
    keys = {fresh.attrs["key"], plain.attrs["key"], rated.attrs["key"]}
    keys.add(made(corpus, FEAR, {"other": AROUSAL}, cache=tmp_path).attrs["key"])
    keys.add(made(corpus, FEAR, {"load": PARTS}, cache=tmp_path).attrs["key"])
    assert len(keys) == 5


def test_tables_views_and_files_carry_all_targets(corpus, tmp_path):
    windows = made(corpus, FEAR, {"load": LOAD, "calm": Target("calm", trace="calm", rate=2)})
    assert extra_targets(windows) == ("load", "calm")
    assert extra_targets(made(corpus, FEAR)) == ()
    assert windows.target_calm.dims == ("window", "target_calm_step")
    save(windows, tmp_path / "set.zarr")
    assert load(tmp_path / "set.zarr").identical(windows)
    seen = view(windows, {"eda": None})
    np.testing.assert_array_equal(seen.target_load, windows.target_load)
    listed = table(windows)
    np.testing.assert_array_equal(listed["target_load"], windows.target_load)
    np.testing.assert_array_equal(listed["target_calm_19"], windows.target_calm[:, 19])
    assert [name for name in table(made(corpus, FEAR)) if name.startswith("target")] == ["target"]


def test_another_target_takes_the_place_of_the_target(corpus):
    windows = made(corpus, FEAR, {"load": LOAD, "calm": Target("calm", trace="calm", rate=2)})
    changed = with_target(windows, "load")
    np.testing.assert_array_equal(changed.target, windows.target_load)
    assert changed.target.attrs == windows.target_load.attrs
    assert extra_targets(changed) == ("calm",)
    np.testing.assert_array_equal(changed.eda, windows.eda)
    steps = with_target(windows, "calm")
    assert steps.target.dims == ("window", "target_step")
    assert len({each.attrs["key"] for each in (windows, changed, steps)}) == 3
    assert "target_load" in windows, "what was handed over is as it was"
    with pytest.raises(StudyError, match=r"no further target 'laod' in these windows\. Did you mean 'load'"):
        with_target(windows, "laod")
    with pytest.raises(StudyError, match="name it in extra_targets"):
        with_target(made(corpus, FEAR), "load")


def test_every_mistake_in_further_targets_is_named_at_once(corpus):
    extras = {
        "1st": LOAD,
        "calm": Target("calm", trace="calm", rate=1),
        "calm_3": CALM,
        "step": CALM,
        "bad": {"name": "bad", "rating": "valence"},
        "rate": {"name": "slow", "trace": "calm", "rate": 0.15},
    }
    with pytest.raises(StudyError) as refused:
        made(corpus, FEAR, extras)
    text = str(refused.value)
    for part in ("found '1st'", "'calm_3' would", "'step' would", "extra_targets.bad: there is no key 'rating'"):
        assert part in text
    assert "extra_targets.rate: windows of 10 s hold 1.5 steps" in text
    with pytest.raises(StudyError, match="they go beside a target"):
        made(corpus, None, {"load": LOAD})


def test_annotations_that_no_recording_has_are_refused_with_the_target_that_wants_them(corpus):
    extras = {
        "a": Target("a", events={"rest": ("rest",), "work": ("filn",)}),
        "b": Target("b", ratings="valance", threshold=5),
        "c": Target("c", trace="clam"),
    }
    with pytest.raises(StudyError) as refused:
        made(corpus, FEAR, extras)
    for part in (
        "extra_targets.a: no recording has an event 'filn'. Did you mean 'film'",
        "extra_targets.b: no recording has a rating 'valance'. Did you mean 'valence'",
        "extra_targets.c: no recording has a trace 'clam'. Did you mean 'calm'",
    ):
        assert part in str(refused.value)


def test_a_class_of_a_further_target_without_a_window_is_refused(corpus):
    high = Target("high", ratings="valence", threshold=9)
    with pytest.raises(DataError, match=r"extra_targets.high: No window of the class high of high"):
        made(corpus, FEAR, {"high": high})


def test_windows_with_missing_samples_are_dropped_for_all_targets(make_corpus):
    data = np.arange(320, dtype=np.float32)[np.newaxis].copy()
    data[0, 12] = np.nan
    data[0, 100] = np.nan
    events = (Event("rest", 0, 20), Event("film", 20, 80))
    recording = Recording(
        "A",
        {"eda": Signal(data, 4.0, ("eda",), "µS")},
        events=events,
        traces={"calm": Trace(np.arange(80.0), data[0, :80])},
    )
    windows = made(
        make_corpus(recording),
        Target("calm", trace="calm", within="film"),
        {"l": Target("l", events={"rest": ("rest",), "film": ("film",)})},
    )
    assert windows.start.to_numpy().tolist() == [10, 30, 40, 50, 60, 70]
    assert windows.target_l.to_numpy().tolist() == [0, 1, 1, 1, 1, 1]
    assert "2 of 8 windows have missing samples (eda 2)" in left_out(windows)
