"""Reading EEGMAT."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from limbeck.datasets import load
from limbeck.datasets.eegmat import SITES
from limbeck.errors import DataError, ReadError
from limbeck.recording import Event

Make = Callable[..., bytes]
INFO = "Subject,Age,Gender,Recording year,Number of subtractions,Count quality\n"


@pytest.fixture
def root(tmp_path: Path, eegmat_edf: Make) -> Path:
    """Two subjects as published, with the table."""
    for subject in ("00", "01"):
        (tmp_path / f"Subject{subject}_1.edf").write_bytes(eegmat_edf(6))
        (tmp_path / f"Subject{subject}_2.edf").write_bytes(eegmat_edf(3))
    (tmp_path / "subject-info.csv").write_text(f"{INFO}Subject00,21,F,2011,9.7,0\nSubject01,18,F,2011,29.35,1\n")
    return tmp_path


def test_each_subject_has_rest_then_task_with_an_event_over_the_whole(root: Path) -> None:
    corpus = load("eegmat", root)
    found = [(r.subject, r.trial, r.order, r.events, r.duration) for r in corpus]
    rest, task = (Event("rest", 0.0, 6.0),), (Event("task", 0.0, 3.0),)
    assert found == [
        ("Subject00", "rest", 0, rest, 6.0),
        ("Subject00", "task", 1, task, 3.0),
        ("Subject01", "rest", 0, rest, 6.0),
        ("Subject01", "task", 1, task, 3.0),
    ]
    assert corpus.left_out == []


def test_channels_are_picked_by_name_in_our_units_without_the_ears(root: Path) -> None:
    recording = next(iter(load("eegmat", root)))
    eeg, ecg = recording.signals["eeg"], recording.signals["ecg"]
    assert (eeg.channels, eeg.unit, eeg.rate) == (SITES, "µV", 50.0)
    np.testing.assert_allclose(eeg.data[:, 0], 100 * np.arange(19), atol=1e-2)
    assert (ecg.channels, ecg.unit) == (("ECG",), "mV")
    np.testing.assert_allclose(ecg.data, 1.5, rtol=1e-5)


def test_channels_in_another_order_are_the_same_channels(root: Path, make_edf: Make) -> None:
    channels = [
        {"label": f"EEG {site}", "digital": np.full(200, 100 * k), "samples": 50}
        for k, site in enumerate((*SITES, "A2-A1"))
    ]
    channels.append({"label": "ECG ECG", "digital": np.full(200, 2), "samples": 50, "unit": "mV"})
    (root / "Subject00_1.edf").write_bytes(make_edf(channels[::-1]))
    recording = next(iter(load("eegmat", root)))
    assert recording.signals["eeg"].channels == SITES
    np.testing.assert_allclose(recording.signals["eeg"].data[:, 0], 100 * np.arange(19), atol=1e-2)
    np.testing.assert_allclose(recording.signals["ecg"].data, 2)


def test_ratings_come_from_the_table(root: Path) -> None:
    ratings = [recording.ratings for recording in load("eegmat", root)]
    assert ratings[0] == ratings[1] == {"age": 21.0, "subtractions": 9.7, "quality": 0.0}
    assert ratings[2]["subtractions"] == 29.35


def test_the_table_is_not_needed_and_its_bad_fields_are_named(root: Path) -> None:
    table = root / "subject-info.csv"
    table.write_bytes(b"\xef\xbb\xbf" + f"{INFO}Subject00,old,F,2011,9.7,\n".replace("\n", "\r\n").encode())
    corpus = load("eegmat", root)
    assert [dict(r.ratings) for r in corpus] == [{"subtractions": 9.7}, {"subtractions": 9.7}, {}, {}]
    assert corpus.left_out[0].what.endswith("subject-info.csv, row 2, Age")
    assert corpus.left_out[0].why == "found 'old'; expected a number"
    table.write_text("a;b\n")
    assert "expected subject among them" in load("eegmat", root).left_out[0].why
    table.unlink()
    assert load("eegmat", root).left_out == []


def test_a_quote_that_is_never_closed_costs_its_row_and_prints_no_more_than_that(root: Path) -> None:
    row = f'Subject00,"21{"1" * 500},F,2011,9.7,0'
    (root / "subject-info.csv").write_text(f"{INFO}{row}\nSubject01,18,F,2011,29.35,1\n")
    corpus = load("eegmat", root)
    ratings = [dict(recording.ratings) for recording in corpus]
    assert ratings[0] == {}
    assert ratings[2] == {"age": 18.0, "subtractions": 29.35, "quality": 1.0}
    (entry,) = corpus.left_out
    assert entry.what.endswith("row 2, Age")
    assert len(entry.why) < 120


def test_a_missing_recording_is_left_out_and_its_partner_read(root: Path) -> None:
    (root / "Subject00_2.edf").unlink()
    corpus = load("eegmat", root)
    assert [(r.subject, r.order) for r in corpus] == [("Subject00", 0), ("Subject01", 0), ("Subject01", 1)]
    assert corpus.left_out[0].what.endswith("Subject00_2.edf")
    assert "without its task" in corpus.left_out[0].why


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:3000], lambda b: b[:-100], lambda b: b"x" * 9000])
def test_a_damaged_recording_is_left_out_with_its_reason_and_the_rest_read(
    root: Path, damage: Callable[[bytes], bytes]
) -> None:
    file = root / "Subject00_1.edf"
    file.write_bytes(damage(file.read_bytes()))
    corpus = load("eegmat", root)
    assert [(r.subject, r.trial) for r in corpus] == [
        ("Subject00", "task"),
        ("Subject01", "rest"),
        ("Subject01", "task"),
    ]
    assert corpus.left_out[0].what == str(file)
    assert "expected" in corpus.left_out[0].why


def test_a_missing_electrode_costs_the_recording_and_a_missing_ecg_only_the_ecg(root: Path, make_edf: Make) -> None:
    channels = [{"label": f"EEG {site}", "digital": np.zeros(200), "samples": 50} for site in SITES]
    (root / "Subject00_1.edf").write_bytes(make_edf(channels))
    ecg = {"label": "ECG ECG", "digital": np.zeros(200), "samples": 50}
    (root / "Subject00_2.edf").write_bytes(make_edf([*channels[1:], ecg]))
    corpus = load("eegmat", root)
    assert [set(r.signals) for r in corpus][:2] == [{"eeg"}, {"eeg", "ecg"}]
    assert [r.subject for r in corpus] == ["Subject00", "Subject01", "Subject01"]
    assert "without ecg" in corpus.left_out[0].why
    assert "found no Fp1; expected all of Fp1" in corpus.left_out[1].why


def test_hidden_files_one_extra_folder_and_links(root: Path, tmp_path: Path) -> None:
    (root / "._Subject00_1.edf").write_bytes(b"\0")
    nested = root / "eegmat-1.0.0"
    nested.mkdir()
    for file in [*root.glob("Subject*"), root / "subject-info.csv"]:
        file.rename(nested / file.name)
    elsewhere = tmp_path.parent / f"{tmp_path.name}.edf"
    elsewhere.write_bytes((nested / "Subject00_1.edf").read_bytes())
    (nested / "Subject00_1.edf").unlink()
    (nested / "Subject00_1.edf").symlink_to(elsewhere)
    corpus = load("eegmat", root)
    assert len(corpus) == 3
    assert "link" in corpus.left_out[0].why


def test_a_corpus_that_is_all_links_is_told_once_where_it_really_lies(root: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    for file in root.glob("*.edf"):
        (linked / file.name).symlink_to(file)
    corpus = load("eegmat", linked)
    assert len(corpus) == 0
    (entry,) = corpus.left_out
    assert entry.what == f"{linked / 'Subject00_1.edf'} and 3 more"
    assert f"pass the real folder ({root.resolve()})" in entry.why


def test_subjects_can_be_chosen(root: Path) -> None:
    assert load("eegmat", root, subjects=[1]).subjects == ("Subject01",)
    assert load("eegmat", root, subjects=["Subject00"]).subjects == ("Subject00",)
    with pytest.raises(DataError, match=r"no subject 'Subject10'\. There are Subject00, Subject01\."):
        load("eegmat", root, subjects=["10"])


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"found no Subject00_1\.edf"):
        load("eegmat", tmp_path)


def test_sources_travel_to_other_processes(root: Path) -> None:
    source = load("eegmat", root).sources[1]
    assert pickle.loads(pickle.dumps(source)).read().trial == "task"


def test_the_real_recordings_read_as_their_notes_say(shared_data: Path) -> None:
    import pyedflib

    folder = shared_data / "eegmat"
    start = time.perf_counter()
    corpus = load("eegmat", folder)
    recordings = list(corpus)
    assert time.perf_counter() - start < 5
    assert (len(recordings), len(corpus.subjects), corpus.left_out) == (44, 22, [])
    for recording in recordings:
        eeg, ecg = recording.signals["eeg"], recording.signals["ecg"]
        assert (eeg.channels, eeg.rate, ecg.rate) == (SITES, 500.0, 500.0)
        assert 2 < np.median(eeg.data.std(axis=1)) < 40, "microvolts"
        assert 0.1 < np.ptp(ecg.data) < 10, "millivolts"
        assert recording.duration == pytest.approx(182 if recording.order == 0 else 62, abs=13)
        assert recording.events == (Event(("rest", "task")[recording.order], 0.0, recording.duration),)
        assert set(recording.ratings) == {"age", "subtractions", "quality"}
    with pyedflib.EdfReader(str(folder / "Subject00_2.edf")) as reader:
        labels = reader.getSignalLabels()
        for name, row in zip(SITES, recordings[1].signals["eeg"].data, strict=True):
            np.testing.assert_allclose(row, reader.readSignal(labels.index(f"EEG {name}")), atol=1e-4)
