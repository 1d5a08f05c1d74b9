"""Targets: what the annotations say about windows, and every mistake of a definition at once."""

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from limbeck import datasets
from limbeck.errors import DataError, StudyError
from limbeck.recording import Corpus, Event, Recording, Signal, Source, Trace
from limbeck.targets import LEVELS, TARGETS, Preset, Segment, Target, known_targets, written_out
from limbeck.windows import cut


def recording(events=(), ratings=None, traces=None, seconds=100) -> Recording:
    eda = Signal(np.zeros((1, 4 * seconds), np.float32), 4.0, ("eda",), "µS")
    return Recording("S1", {"eda": eda}, events=tuple(events), ratings=ratings or {}, traces=traces or {})


def mistakes(definition) -> str:
    with pytest.raises(StudyError) as caught:
        Target.parse(definition)
    return "\n".join(caught.value.mistakes)


def test_events_are_the_segments_coded_in_the_order_of_the_classes():
    target = Target.parse({"name": "stress", "events": {"rest": "rest", "stress": ["stroop", "interview"]}})
    events = [Event("interview", 60, 90), Event("rest", 0, 20), Event("lunch", 20, 30), Event("stroop", 30, 60)]
    assert target.labelled(recording(events)).segments == [
        Segment(0, 20, "rest", 0),
        Segment(30, 60, "stroop", 1),
        Segment(60, 90, "interview", 1),
    ]
    assert (target.kind, target.classes) == ("class", ("rest", "stress"))
    values = target.values(recording(events), np.array([0, 1, 1]), np.array([0.0, 30, 60]), 10)
    np.testing.assert_array_equal(values, [0, 1, 1])


def test_events_of_different_classes_that_overlap_are_not_used_and_named_and_the_others_are():
    target = Target("x", events={"a": ("a",), "b": ("b",)})
    events = [Event("a", 0, 20), Event("b", 19, 30), Event("a", 30, 50), Event("b", 40, 40), Event("b", 50, 60)]
    found = target.labelled(recording(events))
    assert found.segments == [Segment(30, 50, "a", 0), Segment(50, 60, "b", 1)]
    assert found.contradictory == (Event("a", 0, 20), Event("b", 19, 30))
    (note,) = found.notes
    assert "a (0 to 20 s) and b (19 to 30 s) overlap and belong to different classes" in note


def test_many_contradictions_are_counted():
    target = Target("x", events={"a": ("a",), "b": ("b",)})
    events = [Event(name, 10 * k, 10 * k + 11) for k, name in enumerate("ababab")]
    found = target.labelled(recording(events))
    assert found.segments == []
    assert len(found.notes) == 4
    assert "2 more pairs" in found.notes[-1]


def test_events_of_one_class_that_overlap_share_their_time():
    target = Target("x", events={"rest": ("rest", "quiet"), "task": ("task",)})
    events = [Event("rest", 0, 20), Event("rest", 10, 30), Event("quiet", 25, 40), Event("quiet", 5, 8)]
    found = target.labelled(recording([*events, Event("task", 40, 60)]))
    assert found.segments == [Segment(0, 30, "rest", 0), Segment(30, 40, "quiet", 0), Segment(40, 60, "task", 1)]
    assert found.contradictory == ()
    assert found.notes == ("3 of 5 events overlap others of their class; the time shared counts once",)
    assert target.labelled(recording(events[:1])).notes == ()


def test_ratings_and_traces_use_the_whole_recording_or_the_events_named():
    events = [Event("film", 10, 90), Event("rest", 0, 10)]
    assert Target("v", ratings="valence", threshold=5).labelled(recording(events)).segments == [Segment(0, 100, "")]
    target = Target("v", ratings="valence", threshold=5, within="film")
    assert target.labelled(recording(events)).segments == [Segment(10, 90, "film")]


def codes(target, *ratings, name="valence") -> list[float | None]:
    """The classes of a subject's recordings with these ratings; None for no class."""
    found = target.codes_of([{name: rating} if rating is not None else {} for rating in ratings])
    return [None if np.isnan(code) else code for code in found]


def test_a_rating_above_the_threshold_is_high():
    target = Target("v", ratings="valence", threshold=5)
    assert target.classes == ("low", "high")
    assert codes(target, 4, 5, 5.001, 9) == [0, 0, 1, 1]
    assert codes(target, None, np.nan, np.inf, 6) == [None, None, None, 1]


def test_a_subjects_own_threshold_is_the_mean_or_median_of_what_it_rated():
    assert codes(Target("v", ratings="valence", threshold="subject_mean"), 1, 3, 5, 11, None) == [0, 0, 0, 1, None]
    assert codes(Target("v", ratings="valence", threshold="subject_median"), 1, 3, 5, 11, np.nan) == [0, 0, 1, 1, None]
    assert codes(Target("v", ratings="valence", threshold="subject_mean"), None, None) == [None, None]
    assert Target("v", ratings="valence", threshold="subject_mean").is_relative
    assert not Target("v", ratings="valence", threshold=5).is_relative


@pytest.mark.parametrize(
    ("at_threshold", "expected"), [("low", [0, 0, 1]), ("high", [0, 1, 1]), ("drop", [0, None, 1])]
)
def test_a_rating_at_the_threshold_is_what_was_asked(at_threshold, expected):
    target = Target("v", ratings="valence", threshold=5, at_threshold=at_threshold)
    assert codes(target, 4, 5, 6) == expected
    own = Target("v", ratings="valence", threshold="subject_median", at_threshold=at_threshold)
    assert codes(own, 1, 2, 3) == expected


@pytest.mark.parametrize(
    ("neutral", "expected"),
    [
        ([4, 6], [0, None, None, None, 1]),
        ("(4, 6)", [0, 0, None, 1, 1]),
        ("[4, 6)", [0, None, None, 1, 1]),
    ],
)
def test_ratings_in_a_neutral_zone_have_no_class(neutral, expected):
    assert codes(Target("v", ratings="valence", neutral=neutral), 3, 4, 5, 6, 7) == expected
    assert codes(Target("v", ratings="valence", neutral=neutral, threshold=5), 3, 4, 5, 6, 7) == expected


def test_quadrants_split_two_ratings_at_once():
    target = Target("q", quadrants=["valence", "arousal"], threshold=5)
    assert target.classes == ("hvha", "hvla", "lvha", "lvla")
    assert target.kind == "class"
    assert target.rating_names == ("valence", "arousal")
    rated = [(9, 9), (9, 1), (1, 9), (1, 1), (5, 6)]
    found = target.codes_of([dict(zip(("valence", "arousal"), pair, strict=True)) for pair in rated])
    assert found.tolist() == [0, 1, 2, 3, 2]
    assert np.isnan(target.codes_of([{"valence": 9}, {"valence": 9, "arousal": np.nan}])).all()


def test_quadrants_split_each_rating_by_its_own_rule():
    rated = [{"valence": v, "arousal": a} for v, a in ((6, 1), (8, 2), (8, 9), (5, 6))]
    target = Target("q", quadrants=["valence", "arousal"], threshold={"valence": 7, "arousal": "subject_median"})
    assert [target.classes[int(code)] for code in target.codes_of(rated)] == ["lvla", "hvla", "hvha", "lvha"]
    assert target.is_relative
    target = Target("q", quadrants=["valence", "arousal"], threshold={"valence": 5}, neutral={"arousal": [1, 2]})
    assert codes_or_none(target.codes_of(rated)) == [None, None, 0, 2]
    target = Target("q", quadrants=["valence", "arousal"], threshold=5, at_threshold="drop")
    assert codes_or_none(target.codes_of(rated)) == [1, 1, 0, None]


def codes_or_none(found) -> list[float | None]:
    return [None if np.isnan(code) else code for code in found]


def test_quadrants_of_ratings_with_one_initial_are_written_out():
    assert Target("q", quadrants=["arousal", "anger"], threshold=3).classes[1] == "high arousal, low anger"


def test_a_trace_is_averaged_over_each_window(rng):
    times = np.sort(rng.uniform(0, 100, size=500))
    values = rng.normal(size=500)
    values[::17] = np.nan
    starts = np.array([0.0, 7.5, 40.0, 99.9, 150.0])
    trace = Trace(times, values)
    found = Target("a", trace="arousal").values(recording(traces={"arousal": trace}), np.full(5, -1), starts, 10.0)
    expected = [
        np.nanmean(inside) if (inside := values[(times >= start) & (times < start + 10)]).size else np.nan
        for start in starts
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert np.isnan(found[4])
    assert Target("a", trace="arousal").kind == "trace"


def test_a_sample_on_an_edge_belongs_to_the_window_that_begins_there():
    trace = Trace(np.arange(10) / 10, np.arange(10.0))
    starts = np.arange(3) * 0.3
    found = Target("a", trace="t").values(recording(traces={"t": trace}), np.full(3, -1), starts, 0.3)
    np.testing.assert_allclose(found, [1, 4, 7])


def test_a_trace_can_be_summed_up_by_its_median_or_its_last_sample(rng):
    times = np.sort(rng.uniform(0, 60, size=300))
    values = rng.normal(size=300)
    values[::7] = np.nan
    starts = np.array([0.0, 2.5, 40.0, 70.0])
    traced = recording(traces={"arousal": Trace(times, values)})
    for aggregate, of in (("median", np.nanmedian), ("last", lambda inside: inside[np.isfinite(inside)][-1])):
        found = Target("a", trace="arousal", aggregate=aggregate).values(traced, np.full(4, -1), starts, 10.0)
        for start, value in zip(starts[:3], found, strict=False):
            assert value == pytest.approx(of(values[(times >= start) & (times < start + 10)]))
        assert np.isnan(found[3])


def test_a_lag_takes_what_was_annotated_later():
    trace = Trace(np.arange(100.0), np.arange(100.0))
    found = Target("a", trace="t", lag=3).values(
        recording(traces={"t": trace}), np.full(3, -1), np.arange(3) * 45.0, 10
    )
    np.testing.assert_allclose(found, [7.5, 52.5, 96.0])


def steps(trace: Trace, starts, length=4.0, rate=4.0, **options) -> np.ndarray:
    target = Target("a", trace="t", rate=rate, **options)
    starts = np.asarray(starts, dtype=float)
    return target.values(recording(traces={"t": trace}), np.full(len(starts), -1), starts, length)


def test_a_trace_at_a_rate_has_the_mean_of_the_samples_of_each_step():
    times = np.arange(1000) / 10
    trace = Trace(times, times)
    found = steps(trace, [0, 3, 10.5], length=2.0, rate=2.0)
    assert found.shape == (3, 4)
    np.testing.assert_allclose(found[0], [0.2, 0.7, 1.2, 1.7])
    np.testing.assert_allclose(found[2], [10.7, 11.2, 11.7, 12.2])
    np.testing.assert_allclose(steps(trace, [0], length=2.0, rate=2.0, aggregate="last")[0], [0.4, 0.9, 1.4, 1.9])
    np.testing.assert_allclose(steps(trace, [0], length=2.0, rate=2.0, lag=5)[0], [5.2, 5.7, 6.2, 6.7])


def test_a_trace_at_its_own_rate_is_taken_as_it_is_even_where_its_clock_jitters(rng):
    times = np.arange(200) / 4
    values = rng.normal(size=200)
    np.testing.assert_allclose(steps(Trace(times, values), [5.0])[0], values[20:36])
    jittered = np.sort(times + rng.uniform(-0.04, 0.04, size=200))
    found = steps(Trace(jittered, jittered), [5.0, 20.0, 30.0])
    middles = np.array([5.0, 20.0, 30.0])[:, np.newaxis] + (np.arange(16) + 0.5) / 4
    np.testing.assert_allclose(found, middles, atol=0.3)
    assert np.isfinite(found).all()


def test_steps_keep_to_the_samples_wherever_a_window_starts():
    """A clip that begins between two microseconds, as at 256 Hz, must not move its labels by a step."""
    for begin in 30 + np.arange(64) / 256:
        trace = Trace(begin + np.arange(120) / 4, np.arange(120.0))
        found = steps(trace, begin + np.array([0.0, 8.0]), length=8.0)
        np.testing.assert_allclose(found, np.arange(64.0).reshape(2, 32))


def test_a_trace_of_few_samples_is_interpolated_at_the_middles_of_the_steps_and_not_across_gaps():
    times = np.arange(0.0, 60.0)
    values = 2 * times
    values[20] = np.nan
    found = steps(Trace(times, values), [0, 18, 57])
    np.testing.assert_allclose(found[0], 2 * (np.arange(16) + 0.5) / 4)
    np.testing.assert_array_equal(np.isnan(found[1]), [False] * 4 + [True] * 8 + [False] * 4)
    # the last sample holds for a second
    np.testing.assert_allclose(found[2], [*(2 * (57 + (np.arange(8) + 0.5) / 4)), *[118] * 4, *[np.nan] * 4])


def test_traces_of_one_sample_or_none_have_no_steps_elsewhere():
    assert np.isnan(steps(Trace(np.empty(0), np.empty(0)), [0.0])).all()
    found = steps(Trace(np.array([0.6]), np.array([3.0])), [0.0])
    assert found[0, 2] == 3
    assert np.isnan(np.delete(found[0], 2)).all()


def test_an_annotation_that_a_recording_lacks_is_named():
    with pytest.raises(DataError, match="no trace 'arousal'"):
        Target("v", trace="arousal").values(recording(), np.zeros(1), np.zeros(1), 1)


def test_all_mistakes_are_told_at_once():
    text = mistakes({"event": {}, "ratings": "v", "trace": "a", "threshold": "subjct_mean", "within": 3})
    for part in (
        "there is no key 'event'. Did you mean 'events'",
        "the key 'name' is missing",
        "exactly one of events, ratings, quadrants, levels and trace; found ratings and trace",
        "there is no 'subjct_mean'. Did you mean 'subject_mean'",
        "within must be a list of event names, found 3",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("definition", "part"),
    [
        ({"name": "x"}, "exactly one of events, ratings, quadrants, levels and trace; found none"),
        ({"name": "x", "events": ["a"]}, "events must map classes to lists"),
        ({"name": "x", "events": {"a": ["a"]}}, "at least two classes, found 1"),
        ({"name": "x", "events": {"a": ["e"], "b": ["e"]}}, "'e' is in both a and b"),
        ({"name": "x", "events": {"a": ["e", "e"], "b": ["f"]}}, "events.a names 'e' twice"),
        ({"name": "x", "events": {"a": [], "b": ["f"]}}, "events.a must be a list of event names"),
        ({"name": "x", "events": {True: ["e"], "b": ["f"]}}, "the class True must be a word"),
        (
            {"name": "x", "events": {"a": "e", "b": "f"}, "within": ["e"]},
            "within goes with ratings, quadrants, levels or trace",
        ),
        ({"name": "x", "events": {"a": "e", "b": "f"}, "threshold": 5}, "threshold goes with ratings"),
        ({"name": "x", "ratings": "v"}, "threshold must be a number"),
        ({"name": "x", "ratings": "v", "threshold": True}, "threshold must be a number"),
        ({"name": "x", "ratings": ["v"], "threshold": 5}, "ratings must be the name of an annotation"),
        ({"name": "", "trace": "v"}, "name must be a word"),
        (3, "expected a mapping"),
        (
            {"name": "x", "ratings": "v", "threshold": 5, "at_threshold": "hihg"},
            "at_threshold must be low, high or drop",
        ),
        ({"name": "x", "trace": "v", "at_threshold": "high"}, "at_threshold goes with ratings or quadrants"),
        ({"name": "x", "trace": "v", "neutral": [4, 6]}, "neutral goes with ratings or quadrants"),
        ({"name": "x", "ratings": "v", "neutral": [6, 4]}, "neutral must be an interval such as [4, 6]"),
        ({"name": "x", "ratings": "v", "neutral": 5}, "neutral must be an interval such as [4, 6]"),
        (
            {"name": "x", "ratings": "v", "neutral": [4, 6], "threshold": 7},
            "threshold is 7, outside of what is neutral",
        ),
        ({"name": "x", "ratings": "v", "neutral": [4, 6], "threshold": "subject_mean"}, "give one of the two"),
        (
            {"name": "x", "ratings": "v", "neutral": [4, 6], "at_threshold": "high"},
            "at_threshold goes with threshold; with neutral",
        ),
        (
            {"name": "x", "quadrants": ["v", "a"], "neutral": {"v": [4, 6], "a": [3, 5]}, "at_threshold": "drop"},
            "at_threshold goes with threshold; with neutral",
        ),
        ({"name": "x", "quadrants": ["v"], "threshold": 5}, "quadrants must be a list of two ratings"),
        ({"name": "x", "quadrants": ["v", "v"], "threshold": 5}, "quadrants must be a list of two ratings"),
        ({"name": "x", "quadrants": "va", "threshold": 5}, "quadrants must be a list of two ratings"),
        ({"name": "x", "quadrants": ["v", "a"]}, "threshold must be a number"),
        ({"name": "x", "quadrants": ["v", "a"], "threshold": {"v": 5}}, "threshold of a must be a number"),
        ({"name": "x", "quadrants": ["valence", "a"], "threshold": {"valance": 5}}, "Did you mean 'valence'"),
        ({"name": "x", "trace": "v", "rate": 0}, "rate must be a number of values per second above 0"),
        ({"name": "x", "trace": "v", "rate": "4 Hz"}, "rate must be a number of values per second above 0"),
        ({"name": "x", "trace": "v", "lag": -1}, "lag must be a number of seconds, 0 or more"),
        ({"name": "x", "trace": "v", "aggregate": "max"}, "aggregate must be mean, median or last"),
        ({"name": "x", "ratings": "v", "threshold": 5, "rate": 4}, "rate goes with trace"),
        ({"name": "x", "ratings": "v", "threshold": 5, "lag": 1.5}, "lag goes with trace"),
        ("biovid_t0_t9", "there is no known target 'biovid_t0_t9'. Did you mean 'biovid_t0_t"),
        ({"preset": 4}, "there is no known target '4'"),
        ({"preset": "deap_valence", "trace": "v"}, "found ratings and trace"),
        (["deap_valence"], "expected a mapping"),
        ({"name": "x", "levels": "deap_feer"}, "no table 'deap_feer'. Did you mean 'deap_fear'"),
        ({"name": "x", "levels": "deap_fear", "ratings": "v", "threshold": 5}, "found ratings and levels"),
        ({"name": "x", "levels": ["a"]}, "levels must be one of deap_fear"),
        ({"name": "x", "levels": {"a": {"v": "[1, 2]"}}}, "levels needs at least two classes, found 1"),
        ({"name": "x", "levels": {"a": {"v": "[1, 2]"}, "b": {}}}, "levels.b must map ratings to intervals"),
        ({"name": "x", "levels": {"a": {"v": "[1, 2]"}, "b": {"v": "1-2"}}}, "levels.b.v must be an interval"),
        ({"name": "x", "levels": {"a": {"v": "[1, 2]"}, "b": {"v": "[3, 2]"}}}, "levels.b.v must be an interval"),
        ({"name": "x", "levels": {"a": {"v": "[1, 2]"}, True: {"v": "(2, 3]"}}}, "the class True must be a word"),
    ],
)
def test_a_wrong_definition_says_what_is_wrong(definition, part):
    assert part in mistakes(definition)


def test_a_definition_holds_everything_that_decides_the_target():
    first = Target.parse({"name": "x", "events": {"a": "e", "b": "f"}})
    assert first.definition == Target("x", events={"a": ("e",), "b": ("f",)}).definition
    assert first.definition != Target("x", events={"b": ("f",), "a": ("e",)}).definition


FEAR = ("none", "low", "medium", "high")


def level(table, **ratings) -> str | None:
    """The class of a recording with these ratings, None if it has none."""
    target = Target("fear", levels=table)
    (code,) = target.codes_of([ratings])
    return None if np.isnan(code) else target.classes[int(code)]


@pytest.mark.parametrize("table", ["deap_fear", "deap_fear_printed"])
def test_fear_levels_of_deap_are_boxes_of_three_ratings(table):
    assert Target("fear", levels=table).classes == FEAR
    assert Target("fear", levels=table).kind == "class"
    insides = [(8, 2, 8), (6, 4, 6), (4, 6, 4), (2, 8, 2)]
    found = [level(table, valence=v, arousal=a, dominance=d) for v, a, d in insides]
    assert found == list(FEAR)
    assert level(table, valence=8, arousal=2, dominance=2) is None, "all columns must fit"
    assert level(table, valence=9, arousal=1, dominance=9) == "none"
    assert level(table, valence=1, arousal=9, dominance=1) == "high"


@pytest.mark.parametrize(
    ("ratings", "corrected", "printed"),
    [
        ((7, 2, 8), "none", "none"),
        ((7, 4, 6), None, "low"),  # valence 7 is the lower edge of the level above
        ((5, 4, 6), "low", "low"),
        ((3, 5, 3), "medium", "medium"),
        ((8, 3, 8), None, "none"),
        ((5, 5, 5), None, None),  # as printed it is both low and medium
        ((3, 7, 3), None, None),
        ((2.99, 7, 1), "high", "high"),
    ],
)
def test_edges_of_deap_fear_levels_belong_to_one_level_or_as_printed_to_two(ratings, corrected, printed):
    rated = dict(zip(("valence", "arousal", "dominance"), ratings, strict=True))
    assert level("deap_fear", **rated) == corrected
    assert level("deap_fear_printed", **rated) == printed


def test_no_point_of_the_scales_belongs_to_two_corrected_levels():
    grid = np.arange(1, 9.01, 0.5)
    for v in grid:
        for a in grid:
            named = level("deap_fear", valence=v, arousal=a, dominance=v)
            column = FEAR[3 - min(int((v - 1) // 2), 3)]
            row = FEAR[min(int((a - 1) // 2), 3)]
            assert named == (row if row == column else None)


@pytest.mark.parametrize(
    ("ratings", "expected"),
    [
        ((2, 1, 1, 5, 3), "none"),
        ((-1, 3, 3, 3, 2), "low"),
        ((-2, 4, 4, 2, 1), "medium"),
        ((-3, 5, 6, 1, 0), "high"),
        ((-3, 6, 5, 0, 0), "high"),
        ((0, 1, 1, 5, 3), None),  # valence 0 is in no level
        ((-3, 4, 4, 2, 1), None),
    ],
)
def test_fear_levels_of_ascertain_with_the_columns_put_right(ratings, expected):
    names = ("valence", "arousal", "engagement", "liking", "familiarity")
    assert level("ascertain_fear", **dict(zip(names, ratings, strict=True))) == expected


def test_fear_levels_of_ascertain_as_printed_can_only_be_none_on_its_scales():
    names = ("valence", "arousal", "engagement", "liking", "familiarity")
    assert level("ascertain_fear_printed", **dict(zip(names, (1, 2, 1, 5, 3), strict=True))) == "none"
    assert level("ascertain_fear_printed", **dict(zip(names, (3, -1, 3, 3, 2), strict=True))) == "low"
    assert level("ascertain_fear_printed", **dict(zip(names, (-1, 3, 3, 3, 2), strict=True))) is None


def test_levels_of_ones_own_are_coded_in_their_order():
    quadrants = {
        "lalv": {"arousal": "[1, 5]", "valence": "[1, 5]"},
        "halv": {"arousal": "(5, 9]", "valence": "[1, 5]"},
        "lahv": {"arousal": "[1, 5]", "valence": "(5, 9]"},
        "hahv": {"arousal": "(5.0, 9]", "valence": "( 5 , 9 ]"},
    }
    assert level(quadrants, arousal=5, valence=5.01) == "lahv"
    assert level(quadrants, arousal=9, valence=9) == "hahv"
    assert level(quadrants, arrousal=5, valence=5) is None


def test_levels_decide_the_definition_and_other_targets_have_none():
    assert "levels" not in Target("v", ratings="valence", threshold=5).definition
    corrected, printed = (Target("f", levels=table).definition for table in ("deap_fear", "deap_fear_printed"))
    assert corrected != printed
    own = Target.parse({"name": "f", "levels": dict(LEVELS["deap_fear"])})
    assert own.definition == corrected, "a table by name and the same one written out are the same target"


def test_windows_of_levels_are_cut_within_events():
    target = Target.parse({"name": "fear", "levels": "deap_fear", "within": "trial"})
    events = [Event("baseline", 0, 3), Event("trial", 3, 63)]
    assert target.labelled(recording(events)).segments == [Segment(3, 63, "trial")]


def test_windows_carry_the_level_of_their_recording_and_recordings_in_none_are_named():
    rated = {"1": (8, 2, 8), "2": (2, 8, 2), "3": (5, 5, 8), "4": (6, 4, 6), "5": (4, 6, 4)}
    sources = []
    for trial, ratings in rated.items():
        events = (Event("baseline", 0, 3), Event("trial", 3, 63))
        eda = Signal(np.ones((1, 4 * 63), np.float32), 4.0, ("eda",), "µS")
        named = dict(zip(("valence", "arousal", "dominance"), ratings, strict=True))
        read = partial(Recording, "S1", {"eda": eda}, trial=trial, ratings=named, events=events)
        sources.append(Source("S1", read, trial=trial))
    target = Target("fear", levels="deap_fear", within=("trial",))
    found = cut(Corpus("x", tuple(sources)), signals={"eda": []}, target=target, length=4, hop=4, quality=False)
    assert found["target"].attrs["classes"] == list(FEAR)
    assert found["target"].to_numpy().tolist() == [code for code in (0, 3, 1, 2) for _ in range(15)]
    assert "15 of 15 windows have no value of fear" in str(found.attrs["left_out"])


# ---- targets by name ------------------------------------------------------------------------------------------------


def test_targets_by_name_are_listed_with_their_classes():
    rows = known_targets()
    assert [row["name"] for row in rows] == list(TARGETS)
    by_name = {row["name"]: row for row in rows}
    assert by_name["biovid_five"]["classes"] == ["t0", "t1", "t2", "t3", "t4"]
    assert by_name["biovid_t0_t2"]["definition"]["events"] == {"no_pain": ["bl1"], "pain": ["pa2"]}
    assert by_name["biovid_t0_all"]["definition"]["events"]["pain"] == ["pa1", "pa2", "pa3", "pa4"]
    assert by_name["wesad_stress_binary"]["definition"]["events"]["no_stress"] == ["baseline", "amusement"]
    assert by_name["deap_quadrants"]["classes"] == ["hvha", "hvla", "lvha", "lvla"]
    assert by_name["case_valence_trace"]["kind"] == "trace"
    assert {row["corpus"] for row in known_targets("wesad")} == {"wesad"}
    assert len(known_targets("wesad")) == 3
    json.dumps(rows)


def test_every_target_by_name_is_of_a_data_set_that_there_is():
    assert {preset.corpus for preset in TARGETS.values()} <= set(datasets.available())


def test_a_target_by_name_is_what_it_stands_for_and_can_be_changed():
    plain = Target.parse("deap_valence")
    assert plain == Target("valence", ratings="valence", threshold=5.0, within=("trial",))
    assert Target.parse({"preset": "deap_valence"}).definition == plain.definition
    changed = Target.parse({"preset": "deap_valence", "name": "liked", "threshold": "subject_median"})
    assert changed == Target("liked", ratings="valence", threshold="subject_median", within=("trial",))
    assert Target.parse({"preset": "deap_valence", "neutral": [4, 6]}).codes_of([{"valence": 6}]).tolist() != [1]


def test_a_key_that_is_empty_says_nothing():
    empty = {"events": None, "quadrants": None, "levels": None, "threshold": None, "neutral": None, "rate": None}
    assert Target.parse({"name": "a", "trace": "arousal", **empty}) == Target("a", trace="arousal")


def test_numbers_beyond_all_bounds_are_refused():
    text = mistakes({"name": "a", "trace": "arousal", "rate": 10**400, "lag": float("inf")})
    assert "rate must be a number" in text
    assert "lag must be a number" in text
    assert "threshold must be a number" in mistakes({"name": "a", "ratings": "v", "threshold": -(10**400)})


def test_binary_tasks_on_heat_have_the_same_classes_so_that_one_study_holds_them():
    tasks = [f"biovid_t0_{other}" for other in ("t1", "t2", "t3", "t4", "all")]
    assert {Target.parse(task).classes for task in tasks} == {("no_pain", "pain")}
    assert len({Target.parse(task).name for task in tasks}) == 5


@pytest.mark.parametrize("dataset", sorted({preset.corpus for preset in TARGETS.values()}))
def test_readers_give_the_annotations_that_targets_by_name_need(dataset, tmp_path, rng):
    sys.path.insert(0, str(Path(__file__).parent / "datasets"))
    try:
        from corpora import CASES
    finally:
        sys.path.pop(0)
    cases = [case for case in CASES if case.dataset == dataset]
    if not cases:
        pytest.skip("nothing writes files of this data set")
    found: dict[str, set[str]] = {"events": set(), "ratings": set(), "traces": set()}
    targets = [Target.parse(row["name"]) for row in known_targets(dataset)]
    wanted = {
        "events": {name for target in targets for name in target.event_names},
        "ratings": {name for target in targets for name in target.rating_names},
        "traces": {target.trace for target in targets} - {""},
    }
    for number, case in enumerate(cases):
        if all(names <= found[kind] for kind, names in wanted.items()):
            break  # a data set may come in several forms, of which not all have traces
        folder = tmp_path / str(number)
        folder.mkdir()
        written = case.write(folder, rng)
        for each in written.recordings:
            found["events"] |= {name for name, *_ in each.events}
            found["ratings"] |= set(each.ratings)
            found["traces"] |= set(each.traces)
    assert {kind: names - found[kind] for kind, names in wanted.items()} == {kind: set() for kind in wanted}


def test_definitions_say_what_is_new_only_where_it_is_used():
    assert set(Target("v", ratings="v", threshold=5).definition) == {
        *("name", "events", "ratings", "threshold", "trace", "within")
    }
    assert set(Target("v", trace="v").definition) == set(Target("v", ratings="v", threshold=5).definition)
    different = [
        Target("v", trace="v"),
        Target("v", trace="v", rate=4),
        Target("v", trace="v", lag=1),
        Target("v", trace="v", aggregate="last"),
        Target("v", ratings="v", threshold=5),
        Target("v", ratings="v", threshold=5, at_threshold="high"),
        Target("v", ratings="v", neutral=[4, 6]),
        Target("v", ratings="v", neutral="(4, 6)"),
        Target("v", quadrants=["v", "a"], threshold=5),
        Target("v", quadrants=["v", "a"], threshold={"v": 5, "a": "subject_mean"}),
        Target("v", quadrants=["v", "a"], neutral={"v": [4, 6], "a": [3, 4]}),
    ]
    assert len({json.dumps(target.definition, sort_keys=True) for target in different}) == len(different)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_is_parsed_from_its_name_its_entry_itself_and_as_it_is_written_out(name):
    by_name = Target.parse(name)
    assert Target.parse(TARGETS[name]) == by_name
    assert Target.parse(by_name) is by_name
    assert Target.parse(written_out(by_name)) == by_name


def test_windows_are_cut_for_a_target_in_every_form():
    corpus = datasets.load("simulated", subjects=2, trials=2, trial_seconds=8.0, modalities=["eda"])
    given = {"name": "arousal", "events": {"calm": ["calm"], "aroused": ["aroused"]}}

    def made(target):
        return cut(corpus, signals={"eda": []}, target=target, length=4, hop=4)

    keys = {made(target).attrs["key"] for target in (given, Target.parse(given), Preset("simulated", given, ""))}
    assert len(keys) == 1
    with pytest.raises(StudyError, match=r"target: there is no known target 'deap_valance'\. Did you mean 'deap_val"):
        made("deap_valance")
    with pytest.raises(StudyError, match="no recording has a rating 'valence'"):
        made("deap_valence")
    with pytest.raises(StudyError, match="target: there is no key 'evens'"):
        made({"name": "x", "evens": {}})
