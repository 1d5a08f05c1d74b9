"""Reading MAHNOB-HCI, from files that have its formats and random numbers."""

from __future__ import annotations

import contextlib
import dataclasses
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpora import Expected
from corpora.mahnob import (
    FELT,
    LABELS,
    RATE,
    SITES,
    Trial,
    bdf,
    random_channels,
    tsv,
    write_labels,
    write_neutral,
    write_trial,
    xml,
)

from limbeck.datasets import Check, checks_of, guess, info, load
from limbeck.datasets.mahnob import CHANNELS, EMOTIONS, looks_like, read_continuous, read_guide
from limbeck.errors import DataError, ReadError
from limbeck.recording import UNITS, Recording

Make = Callable[..., Expected]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    return tmp_path / "MAHNOB" / "Sessions"


@pytest.fixture
def root(sessions: Path) -> Path:
    return sessions.parent


@pytest.fixture
def make(sessions: Path, rng: np.random.Generator) -> Make:
    """Write a session; options as of Trial."""

    def write(subject: int = 2, trial: int = 1, **options: Any) -> Expected:
        return write_trial(sessions, Trial(subject, trial, **options), rng)

    return write


def only(root: Path, **options: Any) -> Recording:
    corpus = load("mahnob-hci", root, **options)
    recordings = list(corpus)
    assert len(recordings) == 1, corpus.left_out
    return recordings[0]


def clip_of(recording: Recording) -> tuple[float, float]:
    return next((event.start, event.end) for event in recording.events if event.name == "clip")


def said(entries: Any) -> str:
    return "\n".join(f"{entry.what}: {entry.why}" for entry in entries)


def describe(sessions: Path, trial: Trial, **changes: str | None) -> None:
    """Write session.xml of a session again, with other attributes."""
    (sessions / str(trial.number) / "session.xml").write_text(xml(trial, **changes), encoding="utf-8")


# ---------------------------------------------------------------------------------------------------------------------
# Recordings
# ---------------------------------------------------------------------------------------------------------------------


def test_a_recording_is_what_was_written(root: Path, make: Make) -> None:
    expected = make(21, 9)
    recording = only(root)
    assert (recording.subject, recording.session, recording.trial, recording.order) == ("P21", "2618", "trial09", 8)
    assert recording.ratings == {"emotion": 11, "arousal": 4, "valence": 7, "dominance": 5, "predictability": 6}
    assert recording.notes == ()
    for modality, wanted in expected.signals.items():
        signal = recording.signals[modality]
        assert signal.unit == UNITS[modality]
        np.testing.assert_allclose(signal.data, wanted.data, rtol=wanted.rtol, atol=wanted.atol)


def test_the_felt_emotion_is_an_event_over_the_clip(root: Path, make: Make) -> None:
    make(clip=2.5, felt=dict(zip(FELT, (3, 8, 2, 2, 5), strict=True)))
    assert [(event.name, event.start, event.end) for event in only(root).events] == [
        ("baseline", 0, 1),
        ("clip", 1, 3.5),
        ("fear", 1, 3.5),
        ("after", 3.5, 5),
    ]


def test_trimmed_to_the_clip_time_0_is_its_start(root: Path, make: Make, rng: np.random.Generator) -> None:
    expected = make(clip=2.5)
    write_labels(root / "lable_continous_Mahnob.mat", {(2, 2): rng.normal(size=12)}, rng)
    whole = only(root, annotation="continuous_valence")
    clip = only(root, trim="clip", annotation="continuous_valence")
    assert [(event.name, event.start, event.end) for event in clip.events] == [
        ("clip", 0, 2.5),
        ("amusement", 0, 2.5),
    ]
    eeg = clip.signals["eeg"]
    assert eeg.start == 0
    np.testing.assert_array_equal(eeg.data, whole.signals["eeg"].data[:, RATE : RATE * 7 // 2])
    assert clip.signals["gaze"].start == pytest.approx(0.005)
    assert clip.clocks["gaze"].offset == pytest.approx(0.005)
    np.testing.assert_allclose(clip.signals["gaze"].data, expected.signals["gaze"].data, rtol=1e-6)
    assert len(whole.traces["valence"].times) == 12
    np.testing.assert_allclose(clip.traces["valence"].times, np.arange(10) / 4)


def test_electrodes_of_the_heart_instead_of_their_difference(root: Path, make: Make) -> None:
    make()
    lead, three = only(root).signals["ecg"], only(root, ecg="electrodes").signals["ecg"]
    assert three.channels == ("EXG1", "EXG2", "EXG3")
    np.testing.assert_allclose(lead.data[0], three.data[1] - three.data[2], atol=1e-5)
    assert 5 < np.median(three.data) < 15  # 10 mV of offset


def test_rates_are_those_of_the_header(root: Path, make: Make) -> None:
    make(rate=512)
    recording = only(root)
    assert recording.signals["eeg"].rate == 512
    assert clip_of(recording) == (1, 3)


def test_channels_are_found_by_label_wherever_they_stand(
    root: Path, make: Make, sessions: Path, rng: np.random.Generator
) -> None:
    expected = make()
    file = next(sessions.rglob("*.bdf"))
    before = only(root)
    channels = random_channels(rng, 4)
    channels |= dict(zip(SITES, expected.signals["eeg"].data, strict=True))
    channels["Status"][[RATE, 3 * RATE]] = 16
    names = [LABELS[i] for i in rng.permutation(len(LABELS))]
    file.write_bytes(bdf({name: channels[name] for name in names}))
    np.testing.assert_array_equal(only(root).signals["eeg"].data, before.signals["eeg"].data)


@pytest.mark.parametrize(("unit", "factor"), [("nS", 1e-3), ("µS", 1.0)])
def test_the_unit_of_the_skin_conductance_is_an_option(root: Path, make: Make, unit: str, factor: float) -> None:
    expected = make()
    stored = 1e6 / expected.signals["eda"].data
    np.testing.assert_allclose(only(root, gsr=unit).signals["eda"].data, stored * factor, rtol=1e-5)
    signal = only(root, gsr="stored").signals["eda"]
    assert signal.unit == "a.u."
    np.testing.assert_allclose(signal.data, stored, rtol=1e-5)
    np.testing.assert_allclose(
        only(root, gsr="header").signals["eda"].data, expected.signals["eda"].data, rtol=1e-5
    )  # Ohm


def rewrite(sessions: Path, rng: np.random.Generator, **values: Any) -> Path:
    """Write the only .bdf again, with other values in some channels; None takes a channel away."""
    file = next(sessions.rglob("*.bdf"))
    channels = random_channels(rng, 4)
    channels["Status"][[RATE, 3 * RATE]] = 16
    for label, value in values.items():
        if value is None:
            del channels[label]
        else:
            channels[label] = np.broadcast_to(value, 4 * RATE)
    file.write_bytes(bdf(channels))
    return file


def test_a_unit_that_cannot_be_is_said(root: Path, make: Make, sessions: Path, rng: np.random.Generator) -> None:
    make()
    rewrite(sessions, rng, GSR1=5.0)  # as if it were µS
    recording = only(root)
    assert "GSR1: unit" in said(recording.notes)
    assert "gsr=" in said(recording.notes)
    assert "which is no skin" not in said(only(root, gsr="µS").notes)


def test_resistance_of_nothing_is_missing(root: Path, make: Make, sessions: Path, rng: np.random.Generator) -> None:
    make()
    rewrite(sessions, rng, GSR1=np.r_[np.zeros(100), np.full(4 * RATE - 100, 2e5)])
    recording = only(root)
    assert np.isnan(recording.signals["eda"].data).sum() == 100
    assert "100 of 1024 samples are 0 or below" in said(recording.notes)
    rewrite(sessions, rng, GSR1=0.0)
    recording = only(root)
    assert "eda" not in recording.signals
    assert "gsr='stored'" in said(recording.notes)


def test_a_temperature_that_is_none_keeps_its_numbers(
    root: Path, make: Make, sessions: Path, rng: np.random.Generator
) -> None:
    make()
    rewrite(sessions, rng, Temp=88.0)
    recording = only(root)
    assert recording.signals["temp"].unit == "a.u."
    assert "Temp: the median of 88" in said(recording.notes)
    assert only(root, temperature="stored").notes == ()


def test_a_missing_channel_costs_its_modality(root: Path, make: Make, sessions: Path, rng: np.random.Generator) -> None:
    make()
    rewrite(sessions, rng, EXG3=None, Resp=None)
    recording = only(root)
    assert set(recording.signals) == {"eeg", "eda", "temp", "gaze"}
    assert "EXG3" in said(recording.notes)
    assert "'Resp'" in said(recording.notes)


def test_a_missing_electrode_costs_the_recording(
    root: Path, make: Make, sessions: Path, rng: np.random.Generator
) -> None:
    make(2)
    make(3)
    channels = random_channels(rng, 4)
    channels["Status"][[RATE, 3 * RATE]] = 16
    del channels["Oz"]
    (sessions / "132" / "Part_2_S_Trial1_emotion.bdf").write_bytes(bdf(channels))
    corpus = load("mahnob-hci", root)
    assert [recording.subject for recording in corpus] == ["P3"]
    assert "found no Oz among 46 channels" in said(corpus.left_out)


# ---------------------------------------------------------------------------------------------------------------------
# Where the clip is
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("idle", [0, 255, 0x19FF00, 0x100000])
@pytest.mark.parametrize("width", [1, 4, 100])
def test_triggers_of_any_idle_value_and_width(root: Path, make: Make, idle: int, width: int) -> None:
    make(idle=idle, pulses=[(1.25, width, 3), (3.5, width, 200)], attributes={"vidRate": None}, clip=2.25)
    recording = only(root, gaze=False)
    assert clip_of(recording) == (1.25, 3.5)
    assert recording.notes == ()


def test_a_status_that_begins_otherwise_is_no_trigger(root: Path, make: Make) -> None:
    make(pulses=[(0.0, 10, 7), (1.0, 4, 16), (3.0, 4, 16)])
    assert clip_of(only(root)) == (1, 3)


@pytest.mark.parametrize(("time", "clip"), [(30.0, (30.0, 32.0)), (32.0, (30.0, 32.0))])
def test_one_trigger_is_completed_by_the_length_of_the_clip(
    root: Path, make: Make, time: float, clip: tuple[float, float]
) -> None:
    make(before=30, after=30, pulses=[(time, 4, 16)])
    recording = only(root)
    assert clip_of(recording) == pytest.approx(clip, abs=1e-3)
    assert "one trigger" in said(recording.notes)
    assert ("clip's start" if time == 30 else "clip's end") in said(recording.notes)


def test_one_trigger_uses_the_length_of_the_cut_where_there_are_no_frames(root: Path, make: Make) -> None:
    make(before=30, after=30, pulses=[(30.0, 4, 16)], attributes={"vidEndSmp": "100.0", "cutLenSec": "1.5"})
    assert clip_of(only(root)) == (30, 31.5)


@pytest.mark.parametrize("stated", ["500", "0", "nan", "x", "-3"])
def test_one_trigger_without_a_length_that_fits_costs_the_recording(root: Path, make: Make, stated: str) -> None:
    make(before=30, after=30, pulses=[(30.0, 4, 16)], attributes={"vidEndSmp": None, "cutLenSec": stated})
    corpus = load("mahnob-hci", root)
    assert not list(corpus)
    assert "one trigger, at 30.0 s" in said(corpus.left_out)
    assert "clip_from='clock'" in said(corpus.left_out)


def test_of_many_triggers_those_count_that_are_a_clip_apart(root: Path, make: Make) -> None:
    make(clip=6.0, pulses=[(0.5, 4, 2), (1.0, 4, 16), (4.0, 4, 16), (7.0, 4, 1)])
    recording = only(root)
    assert clip_of(recording) == (1, 7)
    assert "4 triggers" in said(recording.notes)


def test_many_triggers_that_fit_nothing_cost_the_recording(root: Path, make: Make) -> None:
    make(clip=20.0, pulses=[(0.5, 4, 2), (1.0, 4, 16), (4.0, 4, 16)])
    corpus = load("mahnob-hci", root)
    assert not list(corpus)
    assert "3 triggers, none 20.0 s apart" in said(corpus.left_out)


def test_without_triggers_the_clock_can_say_where_the_clip_is(root: Path, make: Make) -> None:
    make(before=30, after=30, pulses=[])
    corpus = load("mahnob-hci", root)
    assert not list(corpus)
    assert "no trigger" in said(corpus.left_out)
    assert clip_of(only(root, clip_from="clock")) == (30, 32)


def test_no_channel_of_triggers(root: Path, make: Make, sessions: Path, rng: np.random.Generator) -> None:
    make()
    rewrite(sessions, rng, Status=None)
    corpus = load("mahnob-hci", root)
    assert not list(corpus)
    assert "no channel 'Status'" in said(corpus.left_out)
    corpus = load("mahnob-hci", root, clip_from="clock")
    assert not list(corpus)
    assert "30 s before and after the clip" in said(corpus.left_out)


def test_triggers_and_description_that_disagree_are_noted(root: Path, make: Make) -> None:
    make(attributes={"vidEndSmp": "900"})
    recording = only(root)
    assert clip_of(recording) == (1, 3)
    assert "the triggers, which are used, are 2.0 s apart; session.xml has a clip of 13.1 s" in said(recording.notes)


# ---------------------------------------------------------------------------------------------------------------------
# Sessions
# ---------------------------------------------------------------------------------------------------------------------


def test_what_is_no_clip_is_one_entry(root: Path, make: Make, sessions: Path, rng: np.random.Generator) -> None:
    make(2, 1)
    for cut in (1, 3, 5, 7):
        write_neutral(sessions, 2, cut, rng)
    (sessions / "4000").mkdir()
    tagging = Trial(31, 50, attributes={"experimentType": "video tagging"})
    (sessions / "4000" / "session.xml").write_text(xml(tagging))
    (sessions / "notes").mkdir()
    corpus = load("mahnob-hci", root)
    assert [source.session for source in corpus.sources] == ["132"]
    assert len(corpus.left_out) == 2
    assert "isStim is 0) is not read (4 sessions)" in said(corpus.left_out)
    assert "'video tagging'" in said(corpus.left_out)


def test_sessions_without_physiology_are_one_entry(root: Path, make: Make) -> None:
    make(2, 1)
    make(2, 2, bdf=False)
    make(3, 5, bdf=False)
    corpus = load("mahnob-hci", root)
    assert len(corpus) == 1
    (entry,) = corpus.left_out
    assert "134" in entry.what
    assert "270" in entry.what
    assert "no .bdf" in entry.why


def test_subjects_have_gaps_between_their_numbers(root: Path, make: Make) -> None:
    for subject in (30, 2, 16):
        make(subject)
    corpus = load("mahnob-hci", root)
    assert corpus.subjects == ("P2", "P16", "P30")
    assert load("mahnob-hci", root, subjects=["16", "p30"]).subjects == ("P16", "P30")
    assert load("mahnob-hci", root, subjects=[2]).subjects == ("P2",)
    with pytest.raises(DataError, match="'P12'"):
        load("mahnob-hci", root, subjects=[12])


def test_known_bad_subjects_are_read_unless_excluded(root: Path, make: Make) -> None:
    for subject in (11, 12, 15, 26):
        make(subject)
    assert len(load("mahnob-hci", root).subjects) == 4
    corpus = load("mahnob-hci", root, exclude_known_bad=True)
    assert corpus.subjects == ("P11",)
    assert "12, 15 and 26" in said(corpus.left_out)


def test_order_is_that_of_the_cuts_not_of_the_clips(root: Path, make: Make) -> None:
    make(2, 12, media="10.avi")
    make(2, 3, media="79.avi")
    recordings = list(load("mahnob-hci", root))
    assert [(recording.trial, recording.order) for recording in recordings] == [("trial03", 2), ("trial12", 11)]


@pytest.mark.parametrize("wrong", ["session.xml", "bdf", "folder"])
def test_one_number_that_disagrees_is_outvoted_and_noted(root: Path, make: Make, sessions: Path, wrong: str) -> None:
    make(5, 4)
    folder = sessions / "528"
    if wrong == "session.xml":
        file = folder / "session.xml"
        file.write_text(file.read_text().replace('<subject id="5" />', '<subject id="6" />'))
    elif wrong == "bdf":
        file = folder / "session.xml"
        file.write_text(file.read_text().replace("Part_5_", "Part_6_"))
        (folder / "Part_5_S_Trial4_emotion.bdf").rename(folder / "Part_6_S_Trial4_emotion.bdf")
    else:
        folder.rename(sessions / "658")
    recording = only(root)
    assert (recording.subject, recording.trial) == ("P5", "trial04")
    assert "5 is used" in said(recording.notes)
    failed = [check for check in run_checks(root) if check.passed is False]
    assert any("sessionId is" in check.what for check in failed)


def test_three_numbers_that_disagree_cost_the_recording(root: Path, make: Make, sessions: Path) -> None:
    make(5, 4)
    file = sessions / "528" / "session.xml"
    file.write_text(file.read_text().replace('<subject id="5" />', '<subject id="6" />').replace("Part_5_", "Part_7_"))
    (file.parent / "Part_5_S_Trial4_emotion.bdf").rename(file.parent / "Part_7_S_Trial4_emotion.bdf")
    corpus = load("mahnob-hci", root)
    assert not corpus.sources
    assert "5 by the session's number, 6 by session.xml, 7 by Part_7_S_Trial4_emotion.bdf" in said(corpus.left_out)


def test_a_session_that_is_there_twice_is_read_once(root: Path, make: Make, sessions: Path) -> None:
    make(2, 1)
    (sessions / "132").rename(sessions / "0132")
    make(2, 1)
    corpus = load("mahnob-hci", root)
    assert len(corpus) == 1
    assert "is in" in said(corpus.left_out)


def test_names_with_a_folder_in_them_lead_nowhere(root: Path, make: Make, sessions: Path) -> None:
    make(2, 1)
    file = sessions / "132" / "session.xml"
    text = file.read_text().replace('filename="Part_2', 'filename="../../secret/Part_2').replace('="P2-', '="/etc/P2-')
    file.write_text(text)
    recording = only(root)
    assert "secret" in said(recording.notes)
    assert "gaze" in recording.signals  # by its published name


def test_damaged_descriptions_cost_their_sessions(root: Path, make: Make, sessions: Path) -> None:
    for trial, text in enumerate(("", "<session", "<other/>", '<!DOCTYPE a [<!ENTITY b "c">]><session/>'), start=1):
        make(2, trial)
        (sessions / str(130 + 2 * trial) / "session.xml").write_text(text)
    make(2, 9)
    (sessions / "200").mkdir()
    corpus = load("mahnob-hci", root)
    assert [recording.trial for recording in corpus] == ["trial09"]
    assert len(corpus.left_out) == 5
    assert "no session.xml" in said(corpus.left_out)


def test_names_with_blanks_and_capitals(root: Path, make: Make, sessions: Path) -> None:
    make(2, 1)
    folder = sessions / "132"
    (folder / "P2-Rec1-2010.01.01.10.00.00_C1 trigger _C_Section_2.avi").write_bytes(b"video")
    bdf_file = folder / "Part_2_S_Trial1_emotion.bdf"
    bdf_file.rename(folder / "PART_2_S_TRIAL1_EMOTION.BDF")
    described = folder / "session.xml"
    text = described.read_text(encoding="utf-8").replace("emotion.bdf", "emotion.bdf ").replace("Physio", "physio")
    described.unlink()
    (folder / "Session.XML").write_text(text, encoding="utf-8")
    assert looks_like(root)
    recording = only(root)
    assert set(recording.signals) == {"eeg", "ecg", "eda", "resp", "temp", "gaze"}
    assert not recording.notes


def test_a_bdf_file_of_another_name_is_not_said_to_be_absent(root: Path, make: Make, sessions: Path) -> None:
    make(2, 1)
    make(2, 2)
    bdf_file = sessions / "134" / "Part_2_S_Trial2_emotion.bdf"
    bdf_file.rename(bdf_file.with_name("Part_2_S_Trial2_emotion (1).bdf"))
    corpus = load("mahnob-hci", root)
    assert len(corpus) == 1
    assert "no .bdf file that session.xml names, or that is named as published" in said(corpus.left_out)


def test_the_folder_of_sessions_itself_and_one_folder_more(root: Path, make: Make, sessions: Path) -> None:
    make()
    for place in (sessions, root, root.parent):
        assert looks_like(place)
        assert len(load("mahnob-hci", place)) == 1
    assert guess(root) == "mahnob-hci"
    assert not looks_like(sessions / "132")


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "Sessions" / "5").mkdir(parents=True)
    assert not looks_like(tmp_path)
    with pytest.raises(ReadError, match=r"no Sessions/<number>/session\.xml"):
        load("mahnob-hci", tmp_path)


def test_links_out_of_the_root_are_said(root: Path, make: Make, sessions: Path, tmp_path: Path) -> None:
    make(2, 1)
    make(2, 2)
    make(2, 3)
    (sessions / "134").rename(tmp_path / "134")
    (sessions / "134").symlink_to(tmp_path / "134")
    gaze = next((sessions / "136").glob("*.tsv"))
    gaze.rename(tmp_path / gaze.name)
    gaze.symlink_to(tmp_path / gaze.name)
    corpus = load("mahnob-hci", root)
    assert [recording.trial for recording in corpus] == ["trial01", "trial03"]
    assert [("134" in entry.what, "link" in entry.why) for entry in corpus.left_out] == [(True, True), (False, True)]
    other = tmp_path / "other"
    other.mkdir()
    (other / "Sessions").symlink_to(sessions)
    with pytest.raises(ReadError, match="link"):
        load("mahnob-hci", other)


def test_wrong_options_are_refused(root: Path, make: Make) -> None:
    make()
    for option, value in {"trim": "cut", "gsr": "Ohms", "annotation": "felf", "ecg": "lead II"}.items():
        with pytest.raises(DataError, match=re.escape(f"there is no {option} '{value}'")):
            load("mahnob-hci", root, **{option: value})
    for option in ("gaze_rate", "label_rate", "tolerance"):
        for value in (0, -1, float("nan"), "fast", True):
            with pytest.raises(DataError, match=option):
                load("mahnob-hci", root, **{option: value})


def test_sources_travel_to_workers_and_know_their_files(root: Path, make: Make) -> None:
    make()
    (source,) = load("mahnob-hci", root).sources
    assert {file.suffix for file in source.files} == {".bdf", ".xml", ".tsv"}
    assert pickle.loads(pickle.dumps(source)).read().ratings["valence"] == 7
    (without,) = load("mahnob-hci", root, gaze=False).sources
    assert {file.suffix for file in without.files} == {".bdf", ".xml"}
    assert without.fingerprint() != source.fingerprint()


# ---------------------------------------------------------------------------------------------------------------------
# Ratings
# ---------------------------------------------------------------------------------------------------------------------


def guide(sessions: Path, subject: int, rows: list[tuple[str, str]]) -> Path:
    """Write the log of the questionnaire into the subject's first session."""
    folder = sessions / str((subject - 1) * 130 + 1)
    folder.mkdir(parents=True, exist_ok=True)
    trial = Trial(subject, 1, felt={})
    (folder / "session.xml").write_text(xml(trial, isStim="0", cutNr="1", sessionId=folder.name))
    lines = ["Questionnaire", "Action\tName\tAudioSampleNumber\tAudioSampleCut"]
    lines += [f"{action}\t{name}\t{i * 1000}\t{i}" for i, (action, name) in enumerate(rows)]
    file = folder / f"P{subject}-Rec1-Guide-Cut.tsv"
    file.write_text("\ufeff" + "\r\n".join(lines) + "\r\n", encoding="utf-8", newline="")
    return file


ANSWERS = [
    *[("MovieStart", "colorbars.avi"), ("MovieEnd", "colorbars.avi")],
    *[("MovieStart", "69.avi"), ("KeyPress", "D1"), ("MovieEnd", "69.avi"), ("KeyPress", "Return")],
    *[("InstructionStart", "Emotion keyword"), ("KeyPress", "D7"), ("KeyPress", "D1")],
    *[("InstructionStart", "Arousal assessment"), ("KeyPress", "Space"), ("KeyPress", "D8")],
    *[("InstructionStart", "Valence assessment"), ("KeyPress", "D2")],
    *[("InstructionStart", "Dominance assessment"), ("KeyPress", "D3")],
    *[("InstructionStart", "Predictability assessment"), ("KeyPress", "D9")],
    *[("MovieStart", "80.avi"), ("MovieEnd", "80.avi")],
    *[("InstructionStart", "Arousal assessment"), ("KeyPress", "D1")],
]


def test_ratings_that_the_description_lacks_come_from_the_log(root: Path, make: Make, sessions: Path) -> None:
    make(2, 4, felt={})
    guide(sessions, 2, ANSWERS)
    recording = only(root)
    assert recording.ratings == {"emotion": 3, "arousal": 8, "valence": 2, "dominance": 3, "predictability": 9}
    assert "fear" in {event.name for event in recording.events}
    assert "P2-Rec1-Guide-Cut.tsv" in said(recording.notes)
    corpus = load("mahnob-hci", root, recover=False)
    assert not corpus.sources


def test_the_log_fills_gaps_and_overrules_nothing(root: Path, make: Make, sessions: Path) -> None:
    make(2, 4, felt={"emotion": 4, "arousal": 5})
    guide(sessions, 2, ANSWERS)
    assert only(root).ratings == {"emotion": 4, "arousal": 5, "valence": 2, "dominance": 3, "predictability": 9}


def test_the_keys_of_the_log_stand_for_the_emotions(sessions: Path) -> None:
    codes = []
    for key in range(1, 10):
        rows = [("MovieEnd", r"films\69.AVI"), ("InstructionStart", "Emotion keyword"), ("KeyPress", f"D{key}")]
        codes.append(read_guide(guide(sessions, 2, rows))["69.avi"]["emotion"])
    assert [EMOTIONS[int(code)] for code in codes] == [
        *("sadness", "joy", "disgust", "neutral", "amusement", "anger", "fear", "surprise", "anxiety")
    ]


def test_a_log_that_is_none_costs_nothing_else(root: Path, make: Make, sessions: Path) -> None:
    make(2, 4, felt={})
    make(2, 5)
    guide(sessions, 2, []).write_bytes(b"\0\1\2 nothing")
    corpus = load("mahnob-hci", root)
    assert [source.trial for source in corpus.sources] == ["trial05"]
    assert "no header with Action and Name" in said(corpus.left_out)
    assert "neither session.xml nor Guide-Cut.tsv" in said(corpus.left_out)


def test_clips_without_any_rating_are_one_entry(root: Path, make: Make) -> None:
    make(2, 1)
    make(2, 2, felt={})
    make(2, 3, felt={})
    corpus = load("mahnob-hci", root)
    assert len(corpus) == 1
    assert len(corpus.left_out) == 1
    assert "felt emotion or a rating (2 sessions)" in said(corpus.left_out)


def test_ratings_off_their_scale_are_not_used(root: Path, make: Make) -> None:
    make(2, 1, attributes={"feltVlnc": "0", "feltArsl": "10", "feltEmo": "13", "feltCtrl": "five"})
    recording = only(root)
    assert recording.ratings == {"predictability": 6}
    for name in ("feltVlnc", "feltArsl", "feltEmo", "feltCtrl"):
        assert name in said(recording.notes)
    assert [event.name for event in recording.events] == ["baseline", "clip", "after"]
    assert "has no emotion, arousal, valence, dominance" in said(recording.notes)


# ---------------------------------------------------------------------------------------------------------------------
# Gaze
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preamble", [0, 5, 40])
def test_a_preamble_of_any_length(root: Path, make: Make, preamble: int) -> None:
    expected = make(preamble=preamble)
    np.testing.assert_allclose(only(root).signals["gaze"].data, expected.signals["gaze"].data, rtol=1e-6)


def edit_gaze(sessions: Path, edit: Callable[[str], str]) -> Path:
    file = next(sessions.rglob("*All-Data*.tsv"))
    text = file.read_bytes().decode("utf-8-sig")
    file.write_bytes(edit(text).encode())
    return file


def test_gaze_is_missing_where_an_eye_was_not_seen(root: Path, make: Make, sessions: Path) -> None:
    make()
    gaze = only(root).signals["gaze"]
    assert gaze.channels[:4] == ("x_left", "y_left", "distance_left", "pupil_left")
    missing = np.isnan(gaze.data)
    assert missing.any()
    assert not missing[:, 0].any()
    assert (missing[:4] == missing[0]).all()  # all of an eye or nothing
    assert np.nanmin(gaze.data) > 0


def test_samples_stand_at_their_time_stamps_and_gaps_are_gaps(root: Path, make: Make, sessions: Path) -> None:
    expected = make()

    def drop(text: str) -> str:
        lines = text.split("\r\n")
        head = next(i for i, line in enumerate(lines) if line.startswith("Timestamp"))
        return "\r\n".join([*lines[: head + 22], *lines[head + 42 :]])  # samples 20 to 39

    edit_gaze(sessions, drop)
    recording = only(root)
    data, wanted = recording.signals["gaze"].data, expected.signals["gaze"].data
    assert data.shape == wanted.shape
    assert np.isnan(data[:, 21:39]).all()
    np.testing.assert_allclose(data[:, 40:], wanted[:, 40:], rtol=1e-6)
    assert len(recording.clocks["gaze"].gaps) == 1
    assert recording.clocks["gaze"].gaps[0] == pytest.approx((1 + 0.005 + 19 / 60, 1 + 0.005 + 40 / 60), abs=2e-3)


def test_gaze_begins_where_the_movie_does(root: Path, make: Make, sessions: Path) -> None:
    make()
    assert only(root).signals["gaze"].start == pytest.approx(1.005)
    edit_gaze(sessions, lambda text: text.replace("MovieStart", "Other"))
    recording = only(root)
    assert recording.signals["gaze"].start == pytest.approx(1.0)
    assert "no MovieStart" in said(recording.notes)


@pytest.mark.parametrize("with_end", [True, False])
def test_the_start_of_the_next_movie_is_not_that_of_the_clip(
    root: Path, make: Make, sessions: Path, *, with_end: bool
) -> None:
    """A section may end in the film that is shown next, and begin behind the mark of its own."""
    expected = make()

    def shift(text: str) -> str:
        lines = text.split("\r\n")
        (start,) = (line for line in lines if "\tMovieStart\t" in line)
        (end,) = (line for line in lines if "\tMovieEnd\t" in line)
        lines.remove(start)
        later = end.replace("MovieEnd", "MovieStart").replace("69.avi", "colorbars_final.avi")
        lines.insert(lines.index(end) + 1, later)
        if not with_end:
            lines.remove(end)
        return "\r\n".join(lines)

    edit_gaze(sessions, shift)
    gaze = only(root).signals["gaze"]
    assert gaze.start == pytest.approx(1.0)
    assert gaze.data.shape == expected.signals["gaze"].data.shape


def test_a_start_without_the_clips_name_is_its_start(root: Path, make: Make, sessions: Path) -> None:
    make()
    edit_gaze(sessions, lambda text: text.replace("69.avi", ""))
    assert only(root).signals["gaze"].start == pytest.approx(1.005)


def test_malformed_rows_of_gaze_are_counted(root: Path, make: Make, sessions: Path) -> None:
    make()
    edit_gaze(sessions, lambda text: text.replace("\r\n", "\r\nnonsense\r\n1\t2\t3\r\n") + "\r\n")
    recording = only(root)
    assert re.search(r"\d{3} rows are not numbers", said(recording.notes))
    assert np.isfinite(recording.signals["gaze"].data).any()


def test_another_rate_of_gaze_is_noted(root: Path, make: Make) -> None:
    make()
    recording = only(root, gaze_rate=50)
    assert recording.signals["gaze"].rate == 50
    assert "grid of 50 Hz" in said(recording.notes)


@pytest.mark.parametrize("damage", ["empty", "header", "columns", "elsewhere", "huge"])
def test_gaze_that_cannot_be_read_costs_the_gaze(root: Path, make: Make, sessions: Path, damage: str) -> None:
    make()
    edits: dict[str, Callable[[str], str]] = {
        "empty": lambda text: "",
        "header": lambda text: text[: text.index("Timestamp") + 40],
        "columns": lambda text: text.replace("ValidityRight", "Other"),
        "elsewhere": lambda text: re.sub(r"(?m)^(\d+)\t(?=\t\d)", r"9\g<1>999" + "\t", text),
        "huge": lambda text: re.sub(r"(?m)^(\d+)\t(?=\t\d)", "1e300\t", text),
    }
    edit_gaze(sessions, edits[damage])
    recording = only(root)
    assert "gaze" not in recording.signals
    assert "used without gaze" in said(recording.notes)


def test_sessions_without_gaze_are_one_entry(root: Path, make: Make) -> None:
    make(2, 1)
    make(2, 2, gaze=False)
    make(2, 3, gaze=False)
    corpus = load("mahnob-hci", root)
    assert ["gaze" in recording.signals for recording in corpus] == [True, False, False]
    (entry,) = corpus.left_out
    assert "used without gaze (2 sessions)" in entry.why
    assert load("mahnob-hci", root, gaze=False).left_out == []


# ---------------------------------------------------------------------------------------------------------------------
# Continuous valence
# ---------------------------------------------------------------------------------------------------------------------

LABEL_FILE = "lable_continous_Mahnob.mat"


def test_continuous_valence_is_matched_by_subject_and_cut(root: Path, make: Make, rng: np.random.Generator) -> None:
    for subject, trial in ((2, 1), (2, 7), (16, 7), (30, 20)):
        make(subject, trial)
    rows = {(subject, 2 * trial): rng.normal(size=8) for subject, trial in ((30, 20), (16, 7), (2, 7))}
    write_labels(root / LABEL_FILE, {(9, 2): np.zeros(8), **rows}, rng)
    corpus = load("mahnob-hci", root, annotation="continuous_valence")
    recordings = list(corpus)
    assert [(r.subject, r.trial) for r in recordings] == [("P2", "trial07"), ("P16", "trial07"), ("P30", "trial20")]
    for recording in recordings:
        trace = recording.traces["valence"]
        key = (int(recording.subject[1:]), 2 * int(recording.trial[5:]))
        np.testing.assert_allclose(trace.values, rows[key], rtol=1e-6)
        np.testing.assert_allclose(trace.times, 1 + np.arange(8) / 4)
        assert recording.ratings["valence"] == 7
    assert "P9 cut 2" in said(corpus.left_out)
    assert "has no continuous labels" in said(corpus.left_out)


@pytest.mark.parametrize(("count", "noted"), [(8, False), (9, False), (11, True), (5, True)])
def test_labels_a_little_longer_or_shorter_than_the_clip(
    root: Path, make: Make, rng: np.random.Generator, count: int, noted: bool
) -> None:
    make(clip=2.0)
    write_labels(root / LABEL_FILE, {(2, 2): rng.normal(size=count)}, rng)
    recording = only(root, annotation="continuous_valence")
    assert len(recording.traces["valence"].times) == count
    assert ("continuous valence" in said(recording.notes)) == noted


def test_labels_of_another_length_cost_the_recording(root: Path, make: Make, rng: np.random.Generator) -> None:
    make(clip=2.0)
    write_labels(root / LABEL_FILE, {(2, 2): rng.normal(size=12)}, rng)
    corpus = load("mahnob-hci", root, annotation="continuous_valence")
    assert not list(corpus)
    assert "3.00 s of labels and a clip of 2.00 s" in said(corpus.left_out)
    assert len(list(load("mahnob-hci", root, annotation="continuous_valence", tolerance=2))) == 1
    assert len(list(load("mahnob-hci", root, annotation="continuous_valence", label_rate=6))) == 1


def test_the_file_of_labels_may_lie_elsewhere(
    root: Path, make: Make, sessions: Path, rng: np.random.Generator, tmp_path: Path
) -> None:
    make()
    with pytest.raises(ReadError, match=LABEL_FILE):
        load("mahnob-hci", root, annotation="continuous_valence")
    write_labels(root / LABEL_FILE, {(2, 2): rng.normal(size=8)}, rng)
    assert len(load("mahnob-hci", sessions, annotation="continuous_valence")) == 1
    (root / LABEL_FILE).rename(tmp_path / "labels.mat")
    assert len(load("mahnob-hci", root, annotation="continuous_valence", labels=tmp_path / "labels.mat")) == 1


def test_rows_of_labels_that_are_none_are_reported(tmp_path: Path) -> None:
    from scipy.io import savemat

    cells = np.empty((5, 1), dtype=object)
    for i, cell in enumerate((np.ones((1, 9)), np.ones((3, 3)), "text", np.ones((9, 1)), np.ones((1, 9)))):
        cells[i, 0] = cell
    trials = np.array([[2, 2], [2, 4], [2, 6], [2, 2], [2, np.nan]])
    savemat(tmp_path / LABEL_FILE, {"trials_included": trials, "labels": cells})
    traces, left_out = read_continuous(tmp_path / LABEL_FILE)
    assert list(traces) == [(2, 2)]
    assert [entry.what.rpartition(", ")[2] for entry in left_out] == ["row 2", "row 3", "row 4", "row 5"]


def test_a_file_of_labels_that_is_none(tmp_path: Path) -> None:
    from scipy.io import savemat

    file = tmp_path / LABEL_FILE
    for content in (
        {"labels": np.ones((2, 2)), "trials_included": np.ones((2, 2))},
        {"labels": np.empty((2, 1), dtype=object), "trials_included": np.ones((3, 2))},
        {"labels": np.empty((2, 1), dtype=object), "trials_included": np.ones((2, 3))},
        {"other": np.ones((2, 3))},
    ):
        savemat(file, {name: _filled(value) for name, value in content.items()})
        with pytest.raises(ReadError):
            read_continuous(file)
    file.write_bytes(b"MATLAB")
    with pytest.raises(ReadError):
        read_continuous(file)


def _filled(value: np.ndarray) -> np.ndarray:
    for i in range(value.size if value.dtype == object else 0):
        value.flat[i] = np.ones((1, 4))
    return value


# ---------------------------------------------------------------------------------------------------------------------
# Checks and information
# ---------------------------------------------------------------------------------------------------------------------


def run_checks(root: Path, **options: Any) -> list[Check]:
    checks = checks_of("mahnob-hci")
    assert checks is not None
    return list(checks(root, load("mahnob-hci", root, **options)))


def outcome(checks: list[Check], text: str) -> Check:
    (check,) = [check for check in checks if text in check.what]
    return check


def test_checks_of_a_sound_corpus(root: Path, make: Make, rng: np.random.Generator) -> None:
    for subject, media in ((2, ("1.avi", "2.avi")), (3, ("2.avi", "1.avi"))):
        for trial, clip in zip((1, 2), media, strict=True):
            make(subject, trial, media=clip)
    write_labels(root / LABEL_FILE, {(2, 2): rng.normal(size=8)}, rng)
    checks = run_checks(root)
    assert {check.passed for check in checks} == {True, False, None}
    assert [check.what for check in checks if check.passed is False] == [
        "there are continuous labels of 239 clips and 24 subjects"
    ]
    count = outcome(checks, "527")
    assert (count.passed, count.found) == (None, "4 of 2 subjects")
    for text in ("sessionId", "another order", "47 channels", "256 Hz", "two triggers", "as far apart", "as long as"):
        assert outcome(checks, text).passed is True, text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"rate": 512}, "256 Hz"),
        ({"pulses": [(1.0, 4, 16)]}, "two triggers"),
        ({"attributes": {"vidEndSmp": "300"}}, "as far apart"),
        ({"attributes": {"cutNr": "6"}}, "sessionId"),
    ],
)
def test_checks_find_what_is_wrong(root: Path, make: Make, options: dict[str, Any], text: str) -> None:
    make(2, 1, media="1.avi")
    make(2, 2, media="2.avi", **options)
    check = outcome(run_checks(root), text)
    assert check.passed is False
    assert "134" in check.found
    assert "132" not in check.found


def test_a_clip_without_physiology_is_told_and_is_no_failure(root: Path, make: Make) -> None:
    make(2, 1, media="1.avi")
    make(2, 2, media="2.avi", bdf=False)
    check = outcome(run_checks(root), "has its .bdf file")
    assert check.passed is None, "some of the published sessions have none"
    assert check.found == "1 have none: 134"


def test_checks_find_missing_channels_and_one_order_for_all(
    root: Path, make: Make, sessions: Path, rng: np.random.Generator
) -> None:
    make(2, 1)
    assert outcome(run_checks(root), "another order").passed is None
    rewrite(sessions, rng, GSR2=None)
    make(3, 1)
    checks = run_checks(root)
    assert outcome(checks, "another order").passed is False
    assert "46 channels" in outcome(checks, "47 channels").found


def test_checks_find_labels_of_other_lengths_and_of_no_session(
    root: Path, make: Make, rng: np.random.Generator
) -> None:
    make()
    assert outcome(run_checks(root), "as long as").passed is None
    write_labels(root / LABEL_FILE, {(2, 2): rng.normal(size=40), (4, 2): rng.normal(size=4)}, rng)
    checks = run_checks(root)
    assert outcome(checks, "as long as").passed is False
    assert "subject 4, cut 2" in outcome(checks, "has its session").found
    (root / LABEL_FILE).write_bytes(b"MATLAB")
    assert outcome(run_checks(root), "239 clips").passed is False


def test_the_information_names_what_is_uncertain_and_its_options() -> None:
    known = info("mahnob-hci")
    assert known.checked == "format-faithful files only; never tried on the real corpus"
    for option in ("gsr", "temperature", "ecg", "clip_from", "gaze_rate", "label_rate", "recover", "exclude_known_bad"):
        assert any(option in text for text in known.uncertain), option
    assert "EULA" in known.obtain
    assert CHANNELS == LABELS


PUBLISHED = {  # labelled clips per subject
    **{1: 19, 2: 5, 3: 13, 4: 9, 5: 13, 6: 9, 7: 13, 8: 13, 10: 5, 13: 6, 14: 13, 16: 2, 18: 1, 19: 11, 20: 17, 21: 10},
    **{22: 14, 23: 15, 24: 12, 25: 16, 27: 6, 28: 4, 29: 10, 30: 3},
}


def test_labels_of_full_size(root: Path, make: Make, rng: np.random.Generator) -> None:
    expected = make(30, 3, clip=117.0)
    rows = {
        (subject, 2 * trial): rng.uniform(-0.33, 0.45, int(rng.integers(140, 470)))
        for subject, count in PUBLISHED.items()
        for trial in range(1, count + 1)
    }
    rows[30, 6] = rng.uniform(-0.33, 0.45, 469)
    write_labels(root / LABEL_FILE, rows, rng)
    recording = only(root, annotation="continuous_valence", gaze=False)
    np.testing.assert_allclose(recording.traces["valence"].values, rows[30, 6], rtol=1e-6)
    assert expected.session == recording.session
    checks = run_checks(root, annotation="continuous_valence")
    assert outcome(checks, "239 clips").passed is True
    assert outcome(checks, "as long as").passed is True
    assert "and 233 more" in outcome(checks, "has its session").found


def test_labels_beyond_float32_are_missing(root: Path, make: Make) -> None:
    make()
    write_labels(root / LABEL_FILE, {(2, 2): np.array([1e300, 0, np.inf, 0, 0, 0, 0, 0])}, np.random.default_rng(0))
    values = only(root, annotation="continuous_valence").traces["valence"].values
    np.testing.assert_array_equal(np.isnan(values), [True, False, True, *[False] * 5])


def test_a_session_of_full_length(root: Path, make: Make) -> None:
    expected = make(30, 20, before=30.0, clip=117.0, after=30.0)
    recording = only(root)
    assert recording.duration == 177
    assert recording.signals["eeg"].data.shape == (32, 177 * 256)
    assert clip_of(recording) == (30, 147)
    np.testing.assert_allclose(recording.signals["gaze"].data, expected.signals["gaze"].data, rtol=1e-6)


# ---------------------------------------------------------------------------------------------------------------------
# Damage
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
def test_damaged_bytes_raise_nothing_but_what_is_reported(
    root: Path, make: Make, rng: np.random.Generator, seed: int
) -> None:
    make(clip=1.0)
    make(3, clip=1.0)
    write_labels(root / LABEL_FILE, {(2, 2): rng.normal(size=4), (3, 2): rng.normal(size=4)}, rng)
    own = np.random.default_rng(seed)
    files = sorted(path for path in root.rglob("*") if path.suffix in (".bdf", ".xml", ".tsv", ".mat"))
    for file in files:
        whole = file.read_bytes()
        for _ in range(4):
            content = bytearray(whole)
            places = own.integers(0, min(len(content), own.choice([300, 13_000, 10**6])), 3)
            for place in places:
                content[place] = own.integers(256)
            file.write_bytes(content[: own.integers(len(content))] if own.random() < 0.3 else content)
            for annotation in ("felt", "continuous_valence"):
                with contextlib.suppress(ReadError):
                    list(load("mahnob-hci", root, annotation=annotation))
        file.write_bytes(whole)


def test_the_writer_makes_what_the_reader_needs(rng: np.random.Generator) -> None:
    trial = Trial(2, 1, clip=1.0)
    text, truth, _ = tsv(trial, rng)
    assert text.split("\r\n")[23].startswith("Timestamp\t")
    assert truth.shape == (8, 60)
    assert dataclasses.replace(trial, subject=30, trial=20).number == 3810
