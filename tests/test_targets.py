"""Targets: what the annotations say about windows, and every mistake of a definition at once."""

from functools import partial

import numpy as np
import pytest

from limbeck.errors import DataError, StudyError
from limbeck.recording import Corpus, Event, Recording, Signal, Source, Trace
from limbeck.targets import LEVELS, Segment, Target
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
        "exactly one of events, ratings, levels and trace; found ratings and trace",
        "there is no 'subjct_mean'. Did you mean 'subject_mean'",
        "within must be a list of event names, found 3",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("definition", "part"),
    [
        ({"name": "x"}, "exactly one of events, ratings, levels and trace; found none"),
        ({"name": "x", "events": ["a"]}, "events must map classes to lists"),
        ({"name": "x", "events": {"a": ["a"]}}, "at least two classes, found 1"),
        ({"name": "x", "events": {"a": ["e"], "b": ["e"]}}, "'e' is in both a and b"),
        ({"name": "x", "events": {"a": ["e", "e"], "b": ["f"]}}, "events.a names 'e' twice"),
        ({"name": "x", "events": {"a": [], "b": ["f"]}}, "events.a must be a list of event names"),
        ({"name": "x", "events": {True: ["e"], "b": ["f"]}}, "the class True must be a word"),
        ({"name": "x", "events": {"a": "e", "b": "f"}, "within": ["e"]}, "within goes with ratings, levels or trace"),
        ({"name": "x", "events": {"a": "e", "b": "f"}, "threshold": 5}, "threshold goes with ratings"),
        ({"name": "x", "ratings": "v"}, "threshold must be a number"),
        ({"name": "x", "ratings": "v", "threshold": True}, "threshold must be a number"),
        ({"name": "x", "ratings": ["v"], "threshold": 5}, "ratings must be the name of an annotation"),
        ({"name": "", "trace": "v"}, "name must be a word"),
        ("stress", "expected a mapping"),
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
    values = target.values(recording(ratings=ratings), np.full(2, -1), np.array([0.0, 5]), 5)
    assert values.shape == (2,)
    assert values[0] == values[1] or np.isnan(values).all()
    return None if np.isnan(values[0]) else target.classes[int(values[0])]


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


def test_levels_of_ones_own_are_coded_in_their_order_and_name_the_rating_that_lacks():
    quadrants = {
        "lalv": {"arousal": "[1, 5]", "valence": "[1, 5]"},
        "halv": {"arousal": "(5, 9]", "valence": "[1, 5]"},
        "lahv": {"arousal": "[1, 5]", "valence": "(5, 9]"},
        "hahv": {"arousal": "(5.0, 9]", "valence": "( 5 , 9 ]"},
    }
    assert level(quadrants, arousal=5, valence=5.01) == "lahv"
    assert level(quadrants, arousal=9, valence=9) == "hahv"
    with pytest.raises(DataError, match=r"no rating 'arousal'. Did you mean 'arrousal'"):
        level(quadrants, arrousal=5, valence=5)


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
