"""Reading DREAMER, from files that have its format and random numbers."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpora.dreamer import EMOTIV, cell, content, participant, write_file

from limbeck.datasets import checks_of, dreamer, guess, info, load
from limbeck.errors import DataError, ReadError
from limbeck.recording import Recording


@pytest.fixture
def people(rng: np.random.Generator) -> list[dict[str, Any]]:
    return [participant(rng, [3, 4]) for _ in range(2)]


def test_the_file_is_guessed_by_itself_and_in_its_folder(tmp_path: Path, people: list[dict[str, Any]]) -> None:
    file = write_file(tmp_path, content(people, 2))
    assert guess(tmp_path) == guess(file) == "dreamer"
    assert len(load("dreamer", file)) == len(load("dreamer", tmp_path)) == 4
    (tmp_path / "x").mkdir()
    other = file.rename(tmp_path / "x" / "other.mat")
    assert not dreamer.looks_like(tmp_path)
    other.write_bytes(b"nothing")
    assert not dreamer.looks_like(other)


def one(file: Path, place: int = 0, **options: Any) -> Recording:
    return load("dreamer", file, **options).sources[place].read()


def test_the_offset_of_the_eeg_is_left_in(tmp_path: Path, people: list[dict[str, Any]]) -> None:
    recording = one(write_file(tmp_path, content(people, 2)))
    assert recording.signals["eeg"].data.mean() == pytest.approx(4200, abs=1)
    assert [(event.name, event.start, event.end) for event in recording.events] == [
        ("baseline", 0, 2), ("film", 2, 5),
    ]  # fmt: skip


def test_the_film_begins_at_one_time_in_both_sensors(tmp_path: Path, people: list[dict[str, Any]]) -> None:
    people[0]["ECG"]["baseline"][0, 0] = people[0]["ECG"]["baseline"][0, 0][:256]
    recording = one(write_file(tmp_path, content(people, 2)))
    eeg, ecg = recording.signals["eeg"], recording.signals["ecg"]
    assert (eeg.start, ecg.start) == (0, 1)
    np.testing.assert_allclose(ecg.data[:, 256], people[0]["ECG"]["stimuli"][0, 0][0], rtol=1e-6)
    assert recording.events[1].start == 2


def test_electrodes_are_taken_by_the_names_in_the_file(tmp_path: Path, people: list[dict[str, Any]]) -> None:
    struct = content(people, 2)
    names = list(reversed(EMOTIV))
    struct["EEG_Electrodes"] = cell(names, (14, 1))
    assert one(write_file(tmp_path, struct)).signals["eeg"].channels == tuple(names)
    del struct["EEG_Electrodes"], struct["ECG_SamplingRate"]
    corpus = load("dreamer", write_file(tmp_path, struct))
    assert corpus.sources[0].read().signals["eeg"].channels == EMOTIV
    text = " ".join(f"{item.what} {item.why}" for item in corpus.left_out)
    assert "EEG_Electrodes found nothing; taken to be AF3" in text
    assert "ECG_SamplingRate it is not there; taken to be 256" in text


def test_scores_off_the_scale_are_no_ratings(tmp_path: Path, people: list[dict[str, Any]]) -> None:
    people[0]["ScoreValence"][0, 0] = 6
    people[0]["ScoreArousal"][0, 0] = np.nan
    people[0]["ScoreDominance"] = np.ones((1, 0))
    recording = one(write_file(tmp_path, content(people, 2)))
    assert recording.ratings == {}
    assert ["found 6;" in n.why or "found no number;" in n.why for n in recording.notes] == [True] * 3
    assert "participant 1, film 1: ScoreValence" in recording.notes[0].what


def _no_eeg(person: dict[str, Any]) -> None:
    person["EEG"]["stimuli"][0, 0] = np.zeros((0, 0))


def _seven_columns(person: dict[str, Any]) -> None:
    person["EEG"]["stimuli"][0, 0] = np.zeros((128, 7))


def _one_film(person: dict[str, Any]) -> None:
    person["EEG"]["stimuli"] = cell([np.zeros((128, 14))], (1, 1))


@pytest.mark.parametrize(
    ("spoil", "film", "found"),
    [(_no_eeg, 0, r"nothing (0 x 0)"), (_seven_columns, 0, "128 x 7 numbers"), (_one_film, 1, "1 cells")],
)
def test_a_film_without_eeg_has_its_ecg(
    tmp_path: Path,
    people: list[dict[str, Any]],
    spoil: Callable[[dict[str, Any]], None],
    film: int,
    found: str,
) -> None:
    spoil(people[0])
    recording = one(write_file(tmp_path, content(people, 2)), film)
    assert set(recording.signals) == {"ecg"}
    assert found in recording.notes[0].why
    assert recording.notes[0].why.startswith("EEG is not used")


def test_a_film_without_samples_costs_its_own_recording(tmp_path: Path, people: list[dict[str, Any]]) -> None:
    for sensor in ("EEG", "ECG"):
        people[0][sensor]["stimuli"][1, 0] = np.zeros((0, 0))
        people[1][sensor]["baseline"][0, 0] = np.zeros((0, 0))
    corpus = load("dreamer", write_file(tmp_path, content(people, 2)))
    recordings = list(corpus)
    assert [(r.subject, r.trial) for r in recordings] == [("S01", "1"), ("S02", "1"), ("S02", "2")]
    assert [event.name for event in recordings[1].events] == ["film"], "there is no baseline"
    text = " ".join(f"{item.what} {item.why}" for item in corpus.left_out)
    assert "participant 1, film 2: found neither EEG nor ECG" in text
    assert "participant 2, film 1 EEG.baseline, film 1: found nothing" in text


def test_samples_that_are_no_numbers_are_missing(tmp_path: Path, people: list[dict[str, Any]]) -> None:
    people[0]["EEG"]["stimuli"][0, 0][5, 3] = np.inf
    people[0]["ECG"]["stimuli"][0, 0][:] = np.nan
    people[0]["EEG"]["stimuli"][1, 0][:] = np.nan
    people[0]["ECG"]["stimuli"][1, 0][:] = np.nan
    corpus = load("dreamer", write_file(tmp_path, content(people, 2)), baseline="omit")
    recordings = list(corpus)
    assert np.argwhere(np.isnan(recordings[0].signals["eeg"].data)).tolist() == [[3, 5]]
    assert set(recordings[0].signals) == {"eeg"}
    assert [(r.subject, r.trial) for r in recordings] == [("S01", "1"), ("S02", "1"), ("S02", "2")]
    text = " ".join(f"{item.what}: {item.why}" for item in corpus.left_out)
    assert "participant 1, film 1: EEG: 1 of " in text
    assert "participant 1, film 1: ECG: no sample of the film is a number" in text
    assert "participant 1, film 2: found no sample that is a number" in text


def test_the_unit_of_the_ecg_is_an_option_and_doubted_where_it_cannot_be(
    tmp_path: Path, people: list[dict[str, Any]]
) -> None:
    people[0]["ECG"]["stimuli"][0, 0] *= 100
    people[0]["ECG"]["stimuli"][1, 0] *= 200
    file = write_file(tmp_path, content(people, 2))
    corpus = load("dreamer", file)
    plain, *_ = (recording.signals["ecg"] for recording in corpus)
    assert "no heart does" in corpus.left_out[0].why
    assert len(corpus.left_out) == 1, "said once"
    micro, stored = (one(file, ecg=unit) for unit in ("µV", "stored"))
    np.testing.assert_allclose(micro.signals["ecg"].data, plain.data / 1000, rtol=1e-5)
    assert (plain.unit, micro.signals["ecg"].unit, stored.signals["ecg"].unit) == ("mV", "mV", "a.u.")
    assert (micro.notes, stored.notes) == ((), ())


def test_what_is_not_there_is_said(tmp_path: Path, people: list[dict[str, Any]]) -> None:
    with pytest.raises(ReadError, match=r"no DREAMER.mat"):
        load("dreamer", tmp_path)
    (tmp_path / "DREAMER_Data.json").write_text("[]")
    with pytest.raises(ReadError, match=r"DREAMER_Data.json only.*JSON is not read"):
        load("dreamer", tmp_path)
    file = write_file(tmp_path, content(people, 2))
    assert load("dreamer", file, subjects=[2]).subjects == ("S02",)
    with pytest.raises(DataError, match="no subject 'S03'"):
        load("dreamer", file, subjects=["3"])
    with pytest.raises(DataError, match=r"no ecg 'mv'.*mV"):
        load("dreamer", file, ecg="mv")
    struct = content(people, 2)
    struct["EEG_SamplingRate"] = -128.0
    with pytest.raises(ReadError, match="EEG_SamplingRate: found -128"):
        load("dreamer", write_file(tmp_path, struct))
    struct = content(people, 2)
    struct["Data"] = 1.0
    with pytest.raises(ReadError, match="Data as a numbers"):
        load("dreamer", write_file(tmp_path, struct))


def test_checks(tmp_path: Path, rng: np.random.Generator) -> None:
    checks = checks_of("dreamer")
    assert checks is not None
    people = [participant(rng, [2] * 18) for _ in range(2)]
    for sensor, rate, columns in (("EEG", 128, 14), ("ECG", 256, 2)):
        people[1][sensor]["baseline"] = cell([np.zeros((61 * rate, columns))] * 18, (18, 1))
    file = write_file(tmp_path, content(people, 18))
    found = {check.what: check for check in checks(tmp_path, load("dreamer", file))}
    participants = found["there are as many participants as noOfSubjects says"]
    assert (participants.passed, participants.found) == (True, "2 cells, noOfSubjects 2")
    assert found["there are 18 films"].passed
    assert found["EEG has 128 Hz and ECG 256 Hz"].passed
    assert found["EEG and ECG of every film are there and equally long"].passed
    assert not found["every baseline lasts 61 s"].passed
    assert found["every baseline lasts 61 s"].found == "participant 1, film 1: 2 s and 17 more"
    assert found["every score is a whole number from 1 to 5"].passed


def test_what_is_known_of_it() -> None:
    known = info("dreamer")
    assert "never tried on the real corpus" in known.checked
    assert any("option ecg" in fact for fact in known.uncertain)
    assert "JSON" in (dreamer.__doc__ or "") or "json" in (dreamer.__doc__ or "")


@pytest.mark.slow
def test_participants_of_full_length_are_held_one_at_a_time(tmp_path: Path, rng: np.random.Generator) -> None:
    seconds = [65, 393, *[200] * 16]
    people = [participant(rng, [1] * 18) for _ in range(3)]
    for person in people:
        for sensor, rate, columns in (("EEG", 128, 14), ("ECG", 256, 2)):  # constants, since noise takes long to pack
            person[sensor] = {
                "baseline": cell([np.ones((61 * rate, columns))] * 18, (18, 1)),
                "stimuli": cell([np.ones((length * rate, columns)) for length in seconds], (18, 1)),
            }
    size = 8 * sum((3658 + 61 * 18) * rate * columns for rate, columns in ((128, 14), (256, 2)))
    file = write_file(tmp_path, content(people, 18))
    del people
    tracemalloc.start()
    try:
        corpus = load("dreamer", file)
        _, listing = tracemalloc.get_traced_memory()
        shapes = [recording.signals["eeg"].data.shape for recording in corpus]
        _, reading = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert shapes[:2] == [(14, (61 + 65) * 128), (14, (61 + 393) * 128)]
    assert len(shapes) == 54
    assert listing < 20_000_000
    assert reading < 4 * size
