"""Targets: what the annotations say about windows, and every mistake of a definition at once."""

import numpy as np
import pytest

from limbeck.errors import DataError, StudyError
from limbeck.recording import Event, Recording, Signal, Trace
from limbeck.targets import Segment, Target


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


def test_a_rating_is_the_value_of_every_window_and_splits_above_the_threshold():
    target = Target("v", ratings="valence", threshold=5)
    starts = np.array([0.0, 10, 20])
    values = target.values(recording(ratings={"valence": 6.5}), np.full(3, -1), starts, 10)
    np.testing.assert_array_equal(values, [6.5] * 3)
    assert target.classes == ("low", "high")
    assert target.split(np.array([1.0, 9])) == 5
    assert Target("v", ratings="valence", threshold="subject_mean").split(np.array([1.0, 2, 9])) == 4
    assert Target("v", ratings="valence", threshold="subject_median").split(np.array([1.0, 2, 9])) == 2


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


def test_an_annotation_that_a_recording_lacks_is_named():
    with pytest.raises(DataError, match=r"no rating 'valence'. Did you mean 'valance'"):
        Target("v", ratings="valence", threshold=5).values(
            recording(ratings={"valance": 1}), np.zeros(1), np.zeros(1), 1
        )
    with pytest.raises(DataError, match="no trace 'arousal'"):
        Target("v", trace="arousal").values(recording(), np.zeros(1), np.zeros(1), 1)


def test_all_mistakes_are_told_at_once():
    text = mistakes({"event": {}, "ratings": "v", "trace": "a", "threshold": "subjct_mean", "within": 3})
    for part in (
        "there is no key 'event'. Did you mean 'events'",
        "the key 'name' is missing",
        "exactly one of events, ratings and trace; found ratings and trace",
        "there is no 'subjct_mean'. Did you mean 'subject_mean'",
        "within must be a list of event names, found 3",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("definition", "part"),
    [
        ({"name": "x"}, "exactly one of events, ratings and trace; found none"),
        ({"name": "x", "events": ["a"]}, "events must map classes to lists"),
        ({"name": "x", "events": {"a": ["a"]}}, "at least two classes, found 1"),
        ({"name": "x", "events": {"a": ["e"], "b": ["e"]}}, "'e' is in both a and b"),
        ({"name": "x", "events": {"a": ["e", "e"], "b": ["f"]}}, "events.a names 'e' twice"),
        ({"name": "x", "events": {"a": [], "b": ["f"]}}, "events.a must be a list of event names"),
        ({"name": "x", "events": {True: ["e"], "b": ["f"]}}, "the class True must be a word"),
        ({"name": "x", "events": {"a": "e", "b": "f"}, "within": ["e"]}, "within goes with ratings or trace"),
        ({"name": "x", "events": {"a": "e", "b": "f"}, "threshold": 5}, "threshold goes with ratings"),
        ({"name": "x", "ratings": "v"}, "threshold must be a number"),
        ({"name": "x", "ratings": "v", "threshold": True}, "threshold must be a number"),
        ({"name": "x", "ratings": ["v"], "threshold": 5}, "ratings must be the name of an annotation"),
        ({"name": "", "trace": "v"}, "name must be a word"),
        ("stress", "expected a mapping"),
    ],
)
def test_a_wrong_definition_says_what_is_wrong(definition, part):
    assert part in mistakes(definition)


def test_a_definition_holds_everything_that_decides_the_target():
    first = Target.parse({"name": "x", "events": {"a": "e", "b": "f"}})
    assert first.definition == Target("x", events={"a": ("e",), "b": ("f",)}).definition
    assert first.definition != Target("x", events={"b": ("f",), "a": ("e",)}).definition
