"""Reading AMIGOS, from files that have its format and random numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpora.amigos import LABELS, LONG, SHORT, participant, write_file
from corpora.dreamer import cell

from limbeck.datasets import amigos, checks_of, guess, info, load
from limbeck.errors import DataError, ReadError
from limbeck.recording import Corpus, Recording

VIDEOS = [*SHORT[:2], *LONG]
SECONDS = [46, 6, 7, 30]


@pytest.fixture
def content(rng: np.random.Generator) -> dict[str, Any]:
    return participant(rng, VIDEOS, SECONDS)


def put(folder: Path, content: dict[str, Any], number: int = 1) -> Path:
    return write_file(folder / f"Data_Preprocessed_P{number:02d}.mat", content)


def one(folder: Path, place: int = 0, **options: Any) -> Recording:
    return load("amigos", folder, **options).sources[place].read()


def said(corpus: Corpus) -> str:
    list(corpus)
    return " ".join(f"{item.what}: {item.why}" for item in corpus.left_out)


def test_videos_are_chosen_by_their_length(tmp_path: Path, content: dict[str, Any]) -> None:
    put(tmp_path, content)
    assert guess(tmp_path) == "amigos"
    for videos, expected in (("short", VIDEOS[:2]), ("long", VIDEOS[2:]), ("all", VIDEOS)):
        corpus = load("amigos", tmp_path, videos=videos)
        assert [source.trial for source in corpus.sources] == expected
    assert [(s.session, s.read().order) for s in corpus.sources] == [
        ("short", 0), ("short", 1), ("long", 0), ("long", 1),
    ]  # fmt: skip


def test_empty_cells_cost_their_own_video(tmp_path: Path, content: dict[str, Any]) -> None:
    content["joined_data"][0, 3] = np.zeros((0, 0))
    content["labels_selfassessment"][0, 3] = np.zeros((0, 0))
    put(tmp_path, content)
    corpus = load("amigos", tmp_path)
    assert [recording.trial for recording in corpus] == VIDEOS[:3]
    assert f"video {VIDEOS[3]}: found nothing (0 x 0); expected real numbers, at least 1 x 17" in said(corpus)


@pytest.mark.parametrize(("labels", "found"), [(np.zeros((1, 0)), "nothing"), (np.ones((1, 11)), "1 x 11")])
def test_labels_of_another_length_are_no_ratings(
    tmp_path: Path, content: dict[str, Any], labels: np.ndarray, found: str
) -> None:
    content["labels_selfassessment"][0, 0] = labels
    put(tmp_path, content)
    recording = one(tmp_path)
    assert recording.ratings == {}
    assert f"found {found}" in recording.notes[0].why
    assert set(recording.signals) == {"eeg", "ecg", "eda"}


def test_labels_that_are_no_numbers_or_off_the_scale_are_left_out_one_by_one(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    content["labels_selfassessment"][0, 0][0, [0, 1, 6]] = [np.nan, 9.5, 2]
    put(tmp_path, content)
    recording = one(tmp_path)
    assert set(LABELS) - set(recording.ratings) == {"arousal", "valence", "disgust"}
    assert [note.what.rpartition(": ")[2] for note in recording.notes] == ["arousal", "valence", "disgust"]
    assert "found 9.5; expected 1 to 9" in recording.notes[1].why


def test_another_spelling_of_the_key_is_read(tmp_path: Path, content: dict[str, Any]) -> None:
    content["labels_selfassessments"] = content.pop("labels_selfassessment")
    put(tmp_path, content)
    assert len(one(tmp_path).ratings) == 12
    del content["labels_selfassessments"]
    put(tmp_path, content)
    recording = one(tmp_path)
    assert recording.ratings == {}
    assert "'labels_selfassess' among them" in recording.notes[0].why


def test_samples_that_are_no_numbers_are_missing_and_reported(tmp_path: Path, content: dict[str, Any]) -> None:
    content["joined_data"][0, 0][:3, 2] = np.nan
    content["joined_data"][0, 0][:, 14:16] = np.nan
    content["joined_data"][0, 1][:] = np.nan
    put(tmp_path, content)
    corpus = load("amigos", tmp_path)
    text = said(corpus)
    first = corpus.sources[0].read()
    assert set(first.signals) == {"eeg", "eda"}
    assert np.isnan(first.signals["eeg"].data).sum() == 3
    assert "EEG: 3 of 82432 samples are no numbers" in text
    assert "ECG right ECG left: no sample is a number; it is not used" in text
    assert f"video {VIDEOS[1]}: found no sample that is a number" in text


@pytest.mark.parametrize(
    ("gsr", "unit", "scale"), [("ohm", "µS", 1e6), ("kohm", "µS", 1e3), ("nS", "µS", None), ("stored", "a.u.", None)]
)
def test_the_unit_of_the_gsr_is_an_option(
    tmp_path: Path, content: dict[str, Any], gsr: str, unit: str, scale: float | None
) -> None:
    put(tmp_path, content)
    signal = one(tmp_path, gsr=gsr).signals["eda"]
    values = content["joined_data"][0, 0][:, 16]
    expected = scale / values if scale else values / (1000 if gsr == "nS" else 1)
    assert signal.unit == unit
    np.testing.assert_allclose(signal.data[0], expected, rtol=1e-6)


def test_the_defaults_in_doubt_are_logged(
    tmp_path: Path, content: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, content)
    with caplog.at_level("INFO", logger="limbeck.datasets.amigos"):
        load("amigos", tmp_path)
    assert "unit of the GSR is not known" in caplog.text
    assert "ECG is taken as mV" in caplog.text


def test_an_ecg_that_cannot_be_in_its_unit_is_said_once_for_a_file(tmp_path: Path, content: dict[str, Any]) -> None:
    for samples in content["joined_data"].flat:
        samples[:, 14:16] *= 500
    put(tmp_path, content)
    corpus = load("amigos", tmp_path)
    assert said(corpus).count("which no heart does") == 1
    assert "no heart" not in said(load("amigos", tmp_path, ecg="µV"))


def test_gsr_that_no_skin_has_is_missing(tmp_path: Path, content: dict[str, Any]) -> None:
    content["joined_data"][0, 0][4:6, 16] = [0, -1]
    put(tmp_path, content)
    recording = one(tmp_path, gsr="kohm")
    assert np.flatnonzero(np.isnan(recording.signals["eda"].data[0])).tolist() == [4, 5]
    assert "2 of 5888 samples are 0 or below" in recording.notes[0].why


def test_the_baseline_is_an_option(tmp_path: Path, content: dict[str, Any]) -> None:
    put(tmp_path, content)

    def events(place: int, **options: Any) -> list[tuple[str, float, float]]:
        return [(event.name, event.start, event.end) for event in one(tmp_path, place, **options).events]

    assert events(1) == [("baseline", 0, 5), ("video", 5, 6)]
    assert events(1, baseline=0) == [("video", 0, 6)]
    assert events(1, baseline=10) == [("baseline", 0, 6)]
    assert "not more than the baseline of 10 s" in one(tmp_path, 1, baseline=10).notes[0].why
    with pytest.raises(DataError, match="0 s or more; found -1"):
        load("amigos", tmp_path, baseline=-1)


def test_what_outsiders_saw_is_a_trace_of_one_value_per_segment(tmp_path: Path, content: dict[str, Any]) -> None:
    rows = np.array([[0, 0.5, -0.5], [1, np.nan, 0.25], [3, 0.1, 0.2], [4, 0, 0]])
    content["labels_ext_annotation"][0, 0] = rows[:2]
    content["labels_ext_annotation"][0, 3] = rows
    content["labels_ext_annotation"][0, 1] = np.zeros((0, 0))
    content["labels_ext_annotation"][0, 2] = rows[::-1]
    put(tmp_path, content)
    first = one(tmp_path)
    np.testing.assert_allclose(first.traces["valence_external"].times, [15])
    np.testing.assert_allclose(first.traces["arousal_external"].times, [15, 35])
    np.testing.assert_allclose(first.traces["arousal_external"].values, [-0.5, 0.25])
    np.testing.assert_allclose(one(tmp_path, segments="recording").traces["arousal_external"].times, [10, 30])
    last = one(tmp_path, 3)
    np.testing.assert_allclose(last.traces["arousal_external"].times, [15, 27.5], err_msg="the video ends at 30 s")
    assert "2 of 4 segments begin after the end" in last.notes[0].why
    assert (one(tmp_path, 1).traces, one(tmp_path, 1).notes) == ({}, ()), "not every video was annotated"
    assert "segments that are not counted upwards" in one(tmp_path, 2).notes[0].why


@pytest.mark.parametrize(("number", "middle", "base"), [(1, 15, None), (2, 35, 1), (7, 15, 7)])
def test_segments_keep_their_time_where_the_first_ones_are_missing(
    tmp_path: Path, content: dict[str, Any], number: int, middle: float, base: int | None
) -> None:
    content["labels_ext_annotation"][0, 0] = np.array([[number, 0.5, -0.5]])
    put(tmp_path, content)
    recording = one(tmp_path)  # of 46 s
    np.testing.assert_allclose(recording.traces["valence_external"].times, [middle])
    said = [note.why for note in recording.notes]
    assert said == (
        [] if base is None else [f"its first segment has the number {number}; taken as counted from {base}"]
    )


def test_names_of_videos_that_do_not_tell_them_apart_become_places(tmp_path: Path, content: dict[str, Any]) -> None:
    content["VideoIDs"] = cell(["a", "a", "b", "c"], (1, 4))
    put(tmp_path, content)
    corpus = load("amigos", tmp_path)
    assert [source.trial for source in corpus.sources] == [str(n) for n in range(1, 21)]
    assert [source.session for source in corpus.sources] == ["short"] * 16 + ["long"] * 4
    text = said(corpus)
    assert "no VideoIDs that tell videos apart" in text
    assert "'joined_data': found 4 cells; expected at least 20" in text


def test_participants_known_to_be_flawed_are_an_option(tmp_path: Path, content: dict[str, Any]) -> None:
    for number in (1, 9):
        put(tmp_path, content, number)
    assert load("amigos", tmp_path).subjects == ("P01", "P09")
    corpus = load("amigos", tmp_path, flawed="leave")
    assert corpus.subjects == ("P01",)
    assert "P09 is known to be flawed" in said(corpus)
    assert amigos.FLAWED[0] == "P09"


def test_files_twice_and_folders_without_a_file_are_reported(tmp_path: Path, content: dict[str, Any]) -> None:
    put(tmp_path, content)
    put(tmp_path / "Data_Preprocessed_P01", content)
    (tmp_path / "Data_Preprocessed_P07").mkdir()
    put(tmp_path, content, 3).write_bytes(b"MATLAB")
    corpus = load("amigos", tmp_path)
    assert corpus.subjects == ("P01",)
    text = said(corpus)
    assert "holds P01, too, and is read instead" in text
    assert "without a file Data_Preprocessed_P07.mat" in text
    assert "Data_Preprocessed_P03.mat: found no header" in text
    assert "no file of 38 of the 40 participants: P02, P04" in text


def test_what_is_not_there_is_said(tmp_path: Path, content: dict[str, Any]) -> None:
    with pytest.raises(ReadError, match="no Data_Preprocessed_P01"):
        load("amigos", tmp_path)
    put(tmp_path, content, 12)
    assert load("amigos", tmp_path, subjects=[12]).subjects == ("P12",)
    with pytest.raises(DataError, match="no subject 'P02'"):
        load("amigos", tmp_path, subjects=["2"])
    with pytest.raises(DataError, match=r"no gsr 'µs'.*µS"):
        load("amigos", tmp_path, gsr="µs")
    assert any("option gsr" in fact for fact in info("amigos").uncertain)


def test_checks(tmp_path: Path, rng: np.random.Generator) -> None:
    checks = checks_of("amigos")
    assert checks is not None
    videos = [*(str(n) for n in range(1, 17)), "N1", "P1", "B1", "U1"]
    for number in (1, 2):
        content = participant(rng, videos, [6] * 20)
        if number == 2:
            content["labels_selfassessment"][0, 4] = np.zeros((1, 0))
            content["labels_ext_annotation"][0, 7][0, 1] = 4
        put(tmp_path, content, number)
    found = {check.what: check for check in checks(tmp_path, load("amigos", tmp_path))}
    assert found["the videos stand in the same order in every file"].passed
    assert found["every file has 20 cells of each kind"].passed
    assert found["every self-assessment has 12 numbers"].found == "P02, video 5"
    beyond = found["annotations of outsiders lie between -1 and 1"]
    assert (beyond.passed, beyond.found) == (None, "P02, video 8")  # the range is not known for certain
    (tmp_path / "Data_Preprocessed_P03.mat").write_bytes(b"")
    found = {check.what: check for check in checks(tmp_path, load("amigos", tmp_path))}
    assert "P03" in found["every file has 20 cells of each kind"].found


def test_what_is_known_to_be_missing_fails_no_check(tmp_path: Path, rng: np.random.Generator) -> None:
    checks = checks_of("amigos")
    assert checks is not None
    videos = [*(str(n) for n in range(1, 17)), "N1", "P1", "B1", "U1"]
    what = "every self-assessment has 12 numbers"
    for number in (8, 32):
        content = participant(rng, videos, [6] * 20)
        content["labels_selfassessment"][0, 16:] = cell([np.zeros((0, 0))] * 4, (4,))
        put(tmp_path, content, number)
    assert {check.what: check.passed for check in checks(tmp_path, load("amigos", tmp_path))}[what]
    content["labels_selfassessment"][0, 2] = np.zeros((0, 0))
    put(tmp_path, content, 32)
    found = {check.what: check for check in checks(tmp_path, load("amigos", tmp_path))}[what]
    assert (found.passed, found.found) == (False, "P32, video 3")


@pytest.mark.parametrize("ids", [np.array(["13", "138", "N1", "U1"]), np.array([[13.0, 138, 4, 80]])])
def test_names_of_videos_may_be_characters_or_numbers(tmp_path: Path, content: dict[str, Any], ids: np.ndarray) -> None:
    put(tmp_path, content | {"VideoIDs": ids})
    corpus = load("amigos", tmp_path)
    assert [source.trial for source in corpus.sources][:2] == ["13", "138"]
    assert "VideoIDs" not in said(corpus)


def test_videos_without_a_name_are_said(tmp_path: Path, content: dict[str, Any]) -> None:
    put(tmp_path, content | {"VideoIDs": cell(VIDEOS[:2], (1, 2))})
    corpus = load("amigos", tmp_path)
    assert len(corpus) == 2
    assert "videos 3 to 4: VideoIDs names 2 of 4 videos; the others are not read" in said(corpus)


def test_archives_are_named(tmp_path: Path, content: dict[str, Any]) -> None:
    put(tmp_path, content)
    (tmp_path / "Data_Preprocessed_P02.zip").write_bytes(b"")
    assert "P02.zip: an archive is not read: unpack it" in said(load("amigos", tmp_path))


@pytest.mark.slow
def test_a_participant_of_full_length(tmp_path: Path, rng: np.random.Generator) -> None:
    videos = [*(str(n) for n in range(1, 17)), "N1", "P1", "B1", "U1"]
    content = participant(rng, videos, [95] * 16 + [1200] * 4)
    for cells in content["joined_data"][0, 1:-1]:
        cells[:] = 1  # noise takes long to pack
    put(tmp_path, content)
    recordings = list(load("amigos", tmp_path))
    assert [recording.signals["eeg"].data.shape[1] for recording in recordings] == [95 * 128] * 16 + [1200 * 128] * 4
    np.testing.assert_allclose(recordings[-1].signals["ecg"].data, content["joined_data"][0, -1][:, 14:16].T, rtol=1e-6)
