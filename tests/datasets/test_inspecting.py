"""What is in a corpus, recording by recording and pooled."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.datasets import inspecting, load
from limbeck.datasets.inspecting import facts_of, find_source, inspect, reasons
from limbeck.errors import DataError, ReadError
from limbeck.recording import Clock, Corpus, Event, LeftOut, Recording, Signal, Source, Trace


def signal(seconds: float = 10, rate: float = 8, *channels: str, seed: int = 0, **options: Any) -> Signal:
    names = channels or ("eda",)
    data = np.random.default_rng(seed).normal(size=(len(names), round(seconds * rate))).astype(np.float32)
    return Signal(data, rate, names, options.pop("unit", "µS"), **options)


def corpus(*recordings: Recording | Exception, left_out: list[LeftOut] | None = None) -> Corpus:
    sources = [
        Source("broken", partial(fail, item), trial=f"{place}")
        if isinstance(item, Exception)
        else Source(item.subject, partial(give, item), item.session, item.trial)
        for place, item in enumerate(recordings)
    ]
    return Corpus("made", tuple(sources), left_out or [])


def give(recording: Recording) -> Recording:
    return recording


def fail(error: Exception) -> Recording:
    raise error


# ---- one recording --------------------------------------------------------------------------------------------------


def test_what_is_kept_of_a_signal_says_what_is_missing_flat_and_empty() -> None:
    data = np.random.default_rng(0).normal(size=(4, 100)).astype(np.float32)
    data[0, :50] = np.nan
    data[1] = 3.0
    data[2] = np.nan
    data[3, 7] = np.inf
    held = Signal(data, 10.0, ("a", "b", "c", "d"), "µV", start=2.0)
    facts = facts_of(Recording("S1", {"eeg": held})).signals["eeg"]
    assert (facts.rate, facts.channels, facts.unit, facts.start, facts.seconds) == (10, held.channels, "µV", 2, 10)
    assert facts.missing == pytest.approx(150 / 400)
    assert facts.infinite == 1
    assert facts.flat == ("b",)
    assert facts.empty == ("c",)


def test_signals_have_the_same_fingerprint_only_if_they_have_the_same_samples() -> None:
    def digest(held: Signal) -> str:
        return facts_of(Recording("S1", {"eda": held})).signals["eda"].digest

    assert digest(signal(seed=1)) == digest(signal(seed=1))
    assert digest(signal(seed=1)) != digest(signal(seed=2))
    still = Signal(np.ones((1, 80), dtype=np.float32), 8.0, ("eda",), "µS")
    assert digest(still) == ""


def test_events_are_summed_by_name_and_those_that_do_not_lie_inside_are_counted() -> None:
    events = (Event("rest", 0, 4), Event("task", 4, 10.2), Event("rest", 8, 12), Event("task", 5, 4))
    facts = facts_of(Recording("S1", {"eda": signal(10)}, events=events)).events
    assert (facts["rest"].count, facts["rest"].seconds, facts["rest"].outside) == (2, 8.0, 1)
    assert (facts["task"].count, facts["task"].outside) == (2, 1)


def test_traces_are_told_by_count_range_and_order() -> None:
    rising = Trace(np.arange(4.0), np.array([1, np.nan, 5, 2], dtype=np.float32))
    back = Trace(np.array([0.0, 2, 1]), np.zeros(3, dtype=np.float32))
    facts = facts_of(Recording("S1", {"eda": signal()}, traces={"valence": rising, "hr": back})).traces
    assert (facts["valence"].count, facts["valence"].missing) == (4, 1)
    assert (facts["valence"].lowest, facts["valence"].highest) == (1, 5)
    assert facts["valence"].ordered
    assert not facts["hr"].ordered


# ---- a corpus -------------------------------------------------------------------------------------------------------


def test_a_recording_that_cannot_be_read_costs_itself_only() -> None:
    broken = ReadError("S2.dat", found="nothing", expected="samples")
    found = inspect(
        corpus(Recording("S1", {"eda": signal()}), broken, DataError("no rate"), left_out=[LeftOut("x", "y")])
    )
    assert [facts.name for facts in found.recordings] == ["S1"]
    assert [each.why for each in found.unread] == [LeftOut("S2.dat", str(broken)), LeftOut("broken/2", "no rate")]
    assert found.left_out == (LeftOut("x", "y"), *(each.why for each in found.unread))


def test_notes_of_recordings_are_left_out_once() -> None:
    note = LeftOut("BVP.csv", "no samples")
    found = inspect(corpus(*(Recording(f"S{k}", {"eda": signal(seed=k)}, notes=(note,)) for k in range(3))))
    assert found.left_out == (note,)


def test_rates_and_channels_that_differ_are_told_apart_the_most_common_first() -> None:
    usual = [Recording(f"S{k}", {"eda": signal(10, 4), "ecg": signal(10, 64, "I", unit="mV")}) for k in range(3)]
    odd = Recording("S9", {"eda": signal(20, 8)})
    groups = inspect(corpus(odd, *usual)).signal_groups()
    assert [(g.modality, g.rate, g.recordings, g.subjects) for g in groups] == [
        ("ecg", 64, 3, ("S0", "S1", "S2")),
        ("eda", 4, 3, ("S0", "S1", "S2")),
        ("eda", 8, 1, ("S9",)),
    ]
    assert groups[2].seconds == 20


def test_subjects_that_have_the_same_stand_together() -> None:
    rest, task = (Event("rest", 0, 5),), (Event("task", 0, 5),)
    full = [
        Recording(f"S{k}", {"eda": signal(10 + k)}, trial=trial, events=events)
        for k in range(3)
        for trial, events in (("a", rest), ("b", task))
    ]
    half = Recording("S7", {"eda": signal()}, trial="a", events=rest)
    first, second = inspect(corpus(*full, half)).subject_groups()
    assert (first.subjects, first.recordings, first.events) == (("S0", "S1", "S2"), 2, ("rest", "task"))
    assert first.modalities == {"eda": 2}
    assert first.seconds == (20, 22, 24)
    assert (second.subjects, second.recordings, second.unread) == (("S7",), 1, 0)


def test_labels_are_pooled_with_their_ranges_and_what_lacks_them() -> None:
    made = [
        Recording(
            f"S{k}",
            {"eda": signal()},
            ratings={"valence": float(k)} if k else {},
            events=(Event("rest", 0, k + 1),) * 2,
            traces={"hr": Trace(np.arange(3.0), np.full(3, 60 + k, dtype=np.float32))},
        )
        for k in range(4)
    ]
    found = inspect(corpus(*made))
    (rating,), (event,), (trace,) = found.rating_groups(), found.event_groups(), found.trace_groups()
    assert (rating.name, rating.recordings, rating.missing, rating.values, rating.range) == (
        "valence",
        3,
        1,
        3,
        (1, 2, 3),
    )
    assert (event.name, event.recordings, event.subjects, event.count, event.seconds) == ("rest", 4, 4, 8, (2, 5, 8))
    assert (trace.count, trace.lowest, trace.highest) == (12, 60, 63)


def test_clocks_of_their_own_are_told_with_offset_drift_and_gaps() -> None:
    clocks = [Clock(offset=k, drift=10 * k, jitter=k / 100, gaps=((1, 3),) * k, source="time stamps") for k in range(3)]
    made = [Recording(f"S{k}", {"eda": signal(seed=k)}, clocks={"eda": clock}) for k, clock in enumerate(clocks)]
    (group,) = inspect(corpus(*made)).clock_groups()
    assert (group.modality, group.recordings, group.offset, group.drift) == ("eda", 3, (0, 1, 2), (0, 10, 20))
    assert (group.jitter, group.gaps, group.gap_seconds, group.sources) == (0.02, 3, 6, ("time stamps",))


def test_the_table_has_a_row_per_recording_also_of_those_that_could_not_be_read() -> None:
    made = Recording("S1", {"eda": signal(10, 4)}, trial="a", ratings={"valence": 3.0}, events=(Event("rest", 0, 5),))
    frame = inspect(corpus(made, ReadError("S2.dat", found="nothing", expected="samples"))).to_frame()
    assert list(frame["subject"]) == ["S1", "broken"]
    assert frame.loc[0, ["eda_rate", "eda_seconds", "event:rest", "rating:valence"]].tolist() == [4, 10, 5, 3]
    assert "expected samples" in frame.loc[1, "unread"]
    assert list(frame.columns)[:5] == ["subject", "session", "trial", "order", "seconds"]


def test_an_empty_corpus_is_told_as_such() -> None:
    found = inspect(corpus())
    assert found.subjects == ()
    assert np.isnan(found.seconds).all()
    assert found.signal_groups() == found.subject_groups() == found.event_groups() == []
    assert found.to_frame().empty


def test_several_processes_find_what_one_finds_and_hand_back_no_samples() -> None:
    made = load("simulated", subjects=3, trials=2, trial_seconds=60.0)
    told: list[tuple[int, int, str]] = []
    one = inspect(made)
    several = inspect(made, jobs=2, progress=lambda *args: told.append(args))
    assert several == one
    assert [done for done, _, _ in told] == list(range(1, len(made) + 1))
    assert {total for _, total, _ in told} == {len(made)}
    assert len(pickle.dumps(several)) < 20_000 < sum(s.data.nbytes for s in next(iter(made)).signals.values())


# ---- reasons and sources --------------------------------------------------------------------------------------------


def test_reasons_that_differ_in_numbers_and_names_only_are_told_once() -> None:
    entries = [
        LeftOut(f"/data/S{k}/a.csv", f"/data/S{k}/a.csv, row {k}: found 'x{k}'; expected a number") for k in range(5)
    ]
    found = reasons([LeftOut("b.csv", "no such file"), *entries])
    assert found == [(entries[0], 5), (LeftOut("b.csv", "no such file"), 1)]


def test_a_recording_is_found_by_subject_and_by_trial_or_session(tmp_path: Path) -> None:
    made = corpus(
        *(Recording(s, {}, session=session, trial=t) for s in ("S1", "S2") for session in ("pre", "post") for t in "ab")
    )
    assert find_source(made).subject == "S1"
    assert (find_source(made, "S2").subject, find_source(made, "S2", "b").trial) == ("S2", "b")
    assert find_source(made, trial="post").session == "post"
    with pytest.raises(DataError, match=r"no subject 'S22'\. There are S1, S2\."):
        find_source(made, "S22")
    with pytest.raises(DataError, match=r"no trial 'pst'\. Did you mean 'post'\?"):
        find_source(made, "S1", "pst")
    with pytest.raises(DataError, match="no recording"):
        find_source(corpus())


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["s01", "s02", "s03", "s05"], "s01 to s03, s05"),
        (["S8", "S9", "S10", "S11"], "S8 to S11"),
        (["s01", "s02"], "s01, s02"),
        (["a", "b", "c"], "a, b, c"),
        (["S9.dat", "S10.dat", "S11.csv"], "S9.dat, S10.dat, S11.csv"),
        (["s1", "s02", "s3"], "s1, s02, s3"),
        (["0", "1", "2"], "0 to 2"),
        ([], ""),
    ],
)
def test_names_in_a_row_are_told_in_few_words(names: list[str], told: str) -> None:
    assert inspecting.spans(names) == told


def test_who_misses_how_much_is_pooled_by_how_bad_it_is() -> None:
    def facts(subject: str, trial: int, **missing: float) -> inspecting.RecordingFacts:
        signals = {
            name: inspecting.SignalFacts(4.0, ("x",), "µS", 0.0, 10.0, share, 0, (), (), f"{subject}{trial}{name}")
            for name, share in missing.items()
        }
        return inspecting.RecordingFacts(subject, "", str(trial), trial, 10.0, signals)

    held = [facts(s, t, eda=0.0, temp=0.0) for s in ("a", "b") for t in range(2)]
    held += [facts("c", 0, eda=1.0, temp=0.0), facts("c", 1, eda=0.5, temp=0.0)]
    held += [facts("d", 0, temp=0.0), facts("d", 1, temp=0.002)]
    held += [facts("e", 0, eda=0.0, temp=0.0), facts("e", 1, temp=0.0)]
    found = inspecting.Inspection("made", tuple(held)).missing_groups()
    told = [(g.modality, g.subjects, g.recorded, round(g.share[2], 4), g.recordings, g.of) for g in found if g.recorded]
    assert told == [
        ("eda", ("c",), True, 0.75, 2, 2),
        ("eda", ("e",), True, 0.0, 1, 2),
        ("temp", ("d",), True, 0.001, 1, 2),
    ]
    assert [(g.modality, g.subjects, g.recordings, g.of) for g in found if not g.recorded] == [("eda", ("d",), 2, 2)]
