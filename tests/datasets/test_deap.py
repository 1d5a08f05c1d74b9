"""Reading DEAP: preprocessed pickles and MATLAB files, original BDF, and the table that translates between orders."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpora.binary import py2_pickle

from limbeck.datasets import deap as reader
from limbeck.datasets import info, load
from limbeck.datasets.deap import GENEVA, TWENTE, read_ratings
from limbeck.errors import DataError, ReadError
from limbeck.recording import MODALITIES, UNITS, Recording

LABELS = ("valence", "arousal", "dominance", "liking")
PERIPHERAL = ("hEOG", "vEOG", "zEMG", "tEMG", "GSR", "Resp", "Plet", "Temp")
Table = Mapping[int, tuple[np.ndarray, np.ndarray]]


@cache
def trial_data() -> np.ndarray:
    """Full-size data of one subject, shape (40, 40, 8064), in the units of the published files."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(40, 8064))
    data = noise[np.newaxis] + 10 * np.arange(40)[:, np.newaxis, np.newaxis]  # a trial is known by its level
    data[:, 36] = 250_000 + 1_000 * np.arange(40)[:, np.newaxis] + 100 * noise[36]  # ohm
    data[:, 39] = 33 + 0.01 * np.arange(40)[:, np.newaxis]
    data.flags.writeable = False
    return data


def rated(seed: int) -> np.ndarray:
    """Labels of one subject, shape (40, 4), with two decimals as the table has them."""
    return np.round(np.random.default_rng(seed).uniform(1, 9, size=(40, 4)), 2)


def write_table(
    file: Path,
    subjects: Mapping[int, np.ndarray],
    *,
    blank: tuple[int, ...] = (),
    edit: Callable[[list[list[str]]], None] = lambda rows: None,
) -> dict[int, np.ndarray]:
    """Write the table of ratings; return the videos in the order in which each subject saw them, counted from 0."""
    shown, rows = {}, []
    for subject, labels in subjects.items():
        shown[subject] = np.random.default_rng(100 + subject).permutation(40)
        for place, video in enumerate(shown[subject]):
            familiarity = "" if subject in blank else str(1 + (subject + video) % 5)
            cells = [subject, place + 1, video + 1, 1_000_000 * place, *labels[video], familiarity]
            rows.append([str(cell) for cell in cells])
    edit(rows)
    head = "Participant_id,Trial,Experiment_id,Start_time,Valence,Arousal,Dominance,Liking,Familiarity"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\ufeff" + "\r\n".join([head, *map(",".join, rows)]) + "\r\n", encoding="utf-8")
    return shown


@pytest.fixture(scope="module")
def subject_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One full-size pickle, written once: 103 MB."""
    file = tmp_path_factory.mktemp("deap") / "s01.dat"
    file.write_bytes(py2_pickle({"labels": rated(1), "data": trial_data()}))
    return file


@pytest.fixture
def python_root(tmp_path: Path, subject_file: Path) -> Path:
    """Subjects 1, 2 and 31, whose files are one and the same, with a table that fits all three."""
    home = tmp_path / "DEAP" / "data_preprocessed_python"
    home.mkdir(parents=True)
    for name in ("s01.dat", "s02.dat", "s31.dat"):
        os.link(subject_file, home / name)
    write_table(table_of(tmp_path / "DEAP"), dict.fromkeys((1, 2, 31), rated(1)), blank=(2,))
    return tmp_path / "DEAP"


def table_of(root: Path) -> Path:
    return root / "metadata_csv" / "participant_ratings.csv"


def read_one(root: Path, subject: int | str, video: int, **options: Any) -> Recording:
    corpus = load("deap", root, subjects=[subject], **options)
    (source,) = [source for source in corpus.sources if source.trial == f"video{video:02d}"]
    return source.read()


def spans(recording: Recording) -> list[tuple[str, float, float]]:
    return [(event.name, event.start, event.end) for event in recording.events]


def test_the_pickle_of_the_tests_has_the_size_of_the_published_ones(subject_file: Path) -> None:
    assert subject_file.stat().st_size == 103_220_749


def test_a_trial_has_its_channels_units_rates_events_and_ratings(python_root: Path) -> None:
    recording = read_one(python_root, 1, 8)
    data = trial_data()[7]
    assert list(recording.signals) == ["eeg", "eog", "emg", "eda", "resp", "bvp", "temp"]
    assert {signal.rate for signal in recording.signals.values()} == {128.0}
    assert {modality: signal.unit for modality, signal in recording.signals.items()} == {
        modality: UNITS[modality] for modality in recording.signals
    }
    assert recording.signals["eeg"].channels == GENEVA
    assert recording.duration == 63
    assert spans(recording) == [("baseline", 0, 3), ("trial", 3, 63)]
    expected = {
        "eeg": data[:32],
        "eog": data[32:34],
        "emg": data[34:36] / 1000,
        "eda": 1e6 / data[36:37],
        "resp": data[37:38],
        "bvp": data[38:39],
        "temp": data[39:40],
    }
    for modality, values in expected.items():
        np.testing.assert_array_equal(recording.signals[modality].data, values.astype(np.float32), modality)
    names = [name for modality in list(expected)[1:] for name in recording.signals[modality].channels]
    assert tuple(names) == PERIPHERAL
    labels = dict(zip(LABELS, rated(1)[7], strict=True))
    assert recording.ratings == {**labels, "familiarity": 1 + (1 + 7) % 5}
    assert recording.notes == ()


def test_rows_belong_to_videos_and_the_table_says_when_each_was_shown(python_root: Path) -> None:
    shown = write_table(table_of(python_root), dict.fromkeys((1, 2, 31), rated(1)), blank=(2,))
    corpus = load("deap", python_root, subjects=[31])
    recordings = list(corpus)
    assert corpus.left_out == []
    assert [recording.order for recording in recordings] == list(range(40))
    for video, recording in zip(shown[31], recordings, strict=True):
        assert recording.trial == f"video{video + 1:02d}"
        np.testing.assert_allclose(recording.signals["eeg"].data.mean(), 10 * video, atol=0.1)
        assert [recording.ratings[name] for name in LABELS] == list(rated(1)[video])


def test_familiarity_that_was_not_asked_is_absent_and_no_defect(python_root: Path) -> None:
    assert set(read_one(python_root, 2, 1).ratings) == set(LABELS)
    assert load("deap", python_root).left_out == []


def test_electrodes_come_by_name_in_either_order(python_root: Path) -> None:
    assert sorted(GENEVA) == sorted(TWENTE)
    geneva, twente = (read_one(python_root, 1, 3, electrodes=order).signals["eeg"] for order in ("geneva", "twente"))
    assert twente.channels == TWENTE
    for name in GENEVA:
        rows = [signal.data[signal.channels.index(name)] for signal in (geneva, twente)]
        np.testing.assert_array_equal(*rows)


def test_the_file_of_a_subject_is_read_once_and_a_recording_holds_its_own_trial_only(
    python_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    whole = reader._read_content
    monkeypatch.setattr(reader, "_read_content", lambda file: (read.append(file.name), whole(file))[1])
    monkeypatch.setattr(reader, "_held", {})
    corpus = load("deap", python_root, subjects=[1, 2])
    assert read == [], "listing reads no signals"
    for recording in corpus:
        for signal in recording.signals.values():
            assert signal.data.base is None
            assert signal.data.dtype == np.float32
    assert read == ["s01.dat", "s02.dat"]
    assert len(reader._held) == 1


def test_listing_opens_no_file_of_a_subject(tmp_path: Path) -> None:
    (tmp_path / "s05.dat").write_bytes(b"no pickle")
    corpus = load("deap", tmp_path)
    assert len(corpus) == 40
    assert corpus.subjects == ("s05",)


def test_sources_pickle_and_read_the_same_and_their_fingerprints_tell_trials_apart(tmp_path: Path) -> None:
    (tmp_path / "s05.dat").write_bytes(b"no pickle")
    corpus = load("deap", tmp_path)
    again = pickle.loads(pickle.dumps(corpus.sources))
    prints = [source.fingerprint() for source in corpus.sources]
    assert [source.fingerprint() for source in again] == prints
    assert len(set(prints)) == 40
    assert load("deap", tmp_path, gsr="stored").sources[0].fingerprint() != prints[0]


def test_a_pickled_source_reads_the_same(python_root: Path) -> None:
    source = load("deap", python_root).sources[17]
    first, second = source.read(), pickle.loads(pickle.dumps(source)).read()
    assert (first.subject, first.trial, first.order, first.ratings) == (
        second.subject,
        second.trial,
        second.order,
        second.ratings,
    )
    np.testing.assert_array_equal(first.signals["eeg"].data, second.signals["eeg"].data)


@pytest.mark.parametrize("inner", ["", "data_preprocessed_python", "DEAP/data_preprocessed_python"])
def test_hidden_files_nesting_and_stray_files_are_met(tmp_path: Path, inner: str) -> None:
    home = tmp_path / "data_preprocessed_python" / inner
    home.mkdir(parents=True)
    for name in ("s01.dat", "s32.dat", "s33.dat", "copy of s01.dat", ".DS_Store", "._s01.dat", "Thumbs.db", "a.txt"):
        (home / name).write_bytes(b"")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "s07.dat").write_bytes(b"")
    corpus = load("deap", tmp_path)
    assert corpus.subjects == ("s01", "s32")
    stray = [item for item in corpus.left_out if "another name" in item.why]
    assert [Path(item.what).name for item in stray] == ["copy of s01.dat", "s33.dat"]


def test_a_link_that_leads_out_of_the_root_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "s02.dat").write_bytes(b"")
    root = tmp_path / "root"
    root.mkdir()
    (root / "s01.dat").write_bytes(b"")
    (root / "s02.dat").symlink_to(tmp_path / "elsewhere" / "s02.dat")
    corpus = load("deap", root)
    assert corpus.subjects == ("s01",)
    assert any("link" in item.why for item in corpus.left_out)


def test_without_the_table_the_order_is_that_of_videos_and_that_is_said_once(tmp_path: Path) -> None:
    for name in ("s01.dat", "s02.dat"):
        (tmp_path / name).write_bytes(b"")
    (note,) = load("deap", tmp_path).left_out
    assert "participant_ratings.csv" in note.why
    assert "in the order of videos" in note.why


@pytest.mark.parametrize("place", ["participant_ratings.csv", "metadata_csv/participant_ratings.csv"])
def test_the_table_is_found_beside_the_folder_that_is_given(tmp_path: Path, place: str) -> None:
    home = tmp_path / "data_preprocessed_python"
    home.mkdir()
    (home / "s01.dat").write_bytes(b"")
    shown = write_table(tmp_path / place, {1: rated(1)})
    corpus = load("deap", home)
    assert corpus.left_out == []
    assert [source.options["video"] - 1 for source in corpus.sources] == list(shown[1])


def test_a_spreadsheet_instead_of_the_table_is_said(tmp_path: Path) -> None:
    (tmp_path / "s01.dat").write_bytes(b"")
    (tmp_path / "participant_ratings.xls").write_bytes(b"\xd0\xcf\x11\xe0")
    (note,) = load("deap", tmp_path).left_out
    assert "publishes the table as CSV" in note.why


def test_labels_that_disagree_with_the_table_are_noted_and_used_without_its_familiarity(python_root: Path) -> None:
    labels = rated(1).copy()
    labels[4, 1] = 10 - labels[4, 1]  # arousal of the fifth video
    write_table(table_of(python_root), {1: labels})
    corpus = load("deap", python_root, subjects=[1])
    recordings = {recording.trial: recording for recording in corpus}
    assert recordings["video05"].ratings == dict(zip(LABELS, rated(1)[4], strict=True))
    (note,) = corpus.left_out
    assert note.what.endswith("trial 5: labels")
    assert "belong to Experiment_id, not to Trial" in note.why
    assert "familiarity" in recordings["video06"].ratings


def set_cell(row: int, column: int, value: str) -> Callable[[list[list[str]]], None]:
    def edit(rows: list[list[str]]) -> None:
        rows[row][column] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (set_cell(3, 1, "x"), "found Trial 'x' and Experiment_id"),
        (set_cell(3, 2, "1.5"), "in row 5; expected whole numbers"),
        (lambda rows: rows.__setitem__(3, rows[4]), "found 40 rows with 39 different values of Trial"),
        (lambda rows: rows.pop(3), "found 39 rows with 39 different values of Trial"),
        (set_cell(3, 1, "41"), "found 40 rows with 39 different values of Trial"),
    ],
)
def test_a_participant_whose_rows_cannot_be_trusted_is_left_out_of_the_table_and_others_are_not(
    tmp_path: Path, edit: Callable[[list[list[str]]], None], message: str
) -> None:
    write_table(tmp_path / "participant_ratings.csv", {1: rated(1), 2: rated(2)}, edit=edit)
    trials, (note,) = read_ratings(tmp_path / "participant_ratings.csv")
    assert set(trials) == {2}
    assert note.what.endswith("participant 1")
    assert message in note.why


@pytest.mark.parametrize(("column", "value"), [(4, ""), (5, "nan"), (6, "10"), (8, "much")])
def test_a_rating_that_is_none_costs_itself_only(tmp_path: Path, column: int, value: str) -> None:
    file = tmp_path / "participant_ratings.csv"
    shown = write_table(file, {1: rated(1)}, edit=set_cell(0, column, value))
    trials, (note,) = read_ratings(file)
    name = (*LABELS, "familiarity")[column - 4]
    trial = trials[1][int(shown[1][0]) + 1]
    assert set(trial.ratings) == {*LABELS, "familiarity"} - {name}
    assert note.what.endswith(f"row 2, {name}")


def test_a_table_without_its_columns_is_noted(tmp_path: Path) -> None:
    (tmp_path / "s01.dat").write_bytes(b"")
    (tmp_path / "participant_ratings.csv").write_text("Participant_id,Trial\n1,1\n")
    (note,) = load("deap", tmp_path).left_out
    assert "experiment_id" in note.why


# ---------------------------------------------------------------------------------------------------------------------
# Units and values that are in doubt
# ---------------------------------------------------------------------------------------------------------------------


def hold(monkeypatch: pytest.MonkeyPatch, data: np.ndarray, labels: np.ndarray | None = None) -> None:
    """Let subjects' files hold this, without writing 103 MB."""
    content = (data, rated(1) if labels is None else labels)
    monkeypatch.setattr(reader, "_content", lambda file: content)


@pytest.fixture
def placeholder(tmp_path: Path) -> Path:
    (tmp_path / "s01.dat").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize(
    ("gsr", "unit", "convert"),
    [
        ("auto", "µS", lambda v: 1e6 / v),
        ("ohm", "µS", lambda v: 1e6 / v),
        ("nS", "µS", lambda v: v / 1e3),
        ("µS", "µS", lambda v: v),
        ("stored", "a.u.", lambda v: v),
    ],
)
def test_gsr_is_converted_from_the_unit_said(
    placeholder: Path, monkeypatch: pytest.MonkeyPatch, gsr: str, unit: str, convert: Callable[..., np.ndarray]
) -> None:
    data = trial_data()
    hold(monkeypatch, data)
    signal = read_one(placeholder, 1, 2, gsr=gsr).signals["eda"]
    assert signal.unit == unit
    np.testing.assert_allclose(signal.data[0], convert(data[1, 36]), rtol=1e-6)


def test_gsr_that_no_skin_has_is_missing_and_noted(placeholder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = trial_data().copy()
    data[0, 36, 100:110] = -1
    data[1, 36, :5000] = 0
    hold(monkeypatch, data)
    first, second = (read_one(placeholder, 1, video) for video in (1, 2))
    assert np.isnan(first.signals["eda"].data[0]).nonzero()[0].tolist() == list(range(100, 110))
    assert "10 of 8064 samples are 0 or below" in first.notes[0].why
    assert "eda" not in second.signals
    assert "gsr='stored'" in second.notes[0].why
    assert read_one(placeholder, 1, 2, gsr="stored").notes == ()


def test_temperature_that_cannot_be_in_celsius_stays_as_stored(
    placeholder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = trial_data().copy()
    data[0, 39] = -1200
    hold(monkeypatch, data)
    doubtful = read_one(placeholder, 1, 1)
    assert doubtful.signals["temp"].unit == "a.u."
    assert "no skin temperature" in doubtful.notes[0].why
    assert read_one(placeholder, 1, 2).signals["temp"].unit == "°C"
    stored = read_one(placeholder, 1, 1, temperature="stored")
    assert (stored.signals["temp"].unit, stored.notes) == ("a.u.", ())


def test_labels_off_the_scale_are_noted_and_samples_that_are_no_numbers_are_missing(
    placeholder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, labels = trial_data().copy(), rated(1)
    data[0, 0, 0], data[0, 1, 1] = np.inf, np.nan
    labels[0] = [np.nan, 0, 9, 9.5]
    hold(monkeypatch, data, labels)
    recording = read_one(placeholder, 1, 1)
    assert recording.ratings == {"dominance": 9}
    assert [note.what.rpartition(": ")[2] for note in recording.notes] == ["valence", "arousal", "liking"]
    assert int(np.isnan(recording.signals["eeg"].data).sum()) == 2


# ---------------------------------------------------------------------------------------------------------------------
# Damaged and other files
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"labels": rated(1)}, "'data': found only 'labels'"),
        ({"data": np.zeros((40, 32, 9)), "labels": rated(1)}, r"'data': found shape \(40, 32, 9\)"),
        ({"data": np.zeros((2, 2), complex), "labels": rated(1)}, "found an array of"),
        ({"data": "text", "labels": rated(1)}, "found a str"),
    ],
)
def test_a_file_that_holds_something_else_is_refused_by_name(
    tmp_path: Path, content: dict[str, Any], message: str
) -> None:
    (tmp_path / "s01.dat").write_bytes(py2_pickle(content))
    with pytest.raises(ReadError, match=message) as caught:
        load("deap", tmp_path).sources[0].read()
    assert caught.value.file.endswith("s01.dat")


def test_a_cut_file_costs_its_subject_and_no_other(python_root: Path, subject_file: Path) -> None:
    broken = python_root / "data_preprocessed_python" / "s01.dat"
    broken.unlink()
    with subject_file.open("rb") as stream:
        broken.write_bytes(stream.read(100_000))
    corpus = load("deap", python_root, subjects=[1, 2])
    assert {recording.subject for recording in corpus} == {"s02"}
    assert any(item.what.endswith("s01.dat") for item in corpus.left_out)


def test_keys_of_bytes_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    arrays = {b"data": np.zeros((40, 40, 8064)), b"labels": rated(1)}
    monkeypatch.setattr("limbeck.datasets.pickles.load", lambda path, encoding: arrays)
    data, labels = reader._read_content(tmp_path / "s01.dat")
    assert data.shape == (40, 40, 8064)
    np.testing.assert_array_equal(labels, rated(1))


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"no s01.dat or s01.mat or s01.bdf"):
        load("deap", tmp_path)
    (tmp_path / "s01.dat").write_bytes(b"")
    with pytest.raises(ReadError, match="There is the release python"):
        load("deap", tmp_path, release="matlab")
    with pytest.raises(DataError, match="no subject 's04'"):
        load("deap", tmp_path, subjects=["4"])
    with pytest.raises(DataError, match=r"no gsr 'ohms'. Did you mean 'ohm'"):
        load("deap", tmp_path, gsr="ohms")
    with pytest.raises(DataError, match="no release 'phyton'"):
        load("deap", tmp_path, release="phyton")
    with pytest.raises(DataError, match="no such file or folder"):
        load("deap", tmp_path / "nowhere")


def test_the_defaults_in_doubt_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "s01.dat").write_bytes(b"")
    with caplog.at_level("INFO", logger="limbeck.datasets.deap"):
        load("deap", tmp_path)
    text = caplog.text
    assert "GSR is taken as ohm" in text
    assert "skin temperature is taken as °C" in text
    assert "release 'python'" in text


def test_the_layout_is_known(tmp_path: Path) -> None:
    assert not reader.looks_like(tmp_path)
    (tmp_path / "data_original").mkdir()
    (tmp_path / "data_original" / "s32.bdf").write_bytes(b"")
    assert reader.looks_like(tmp_path)
    assert set(info("deap").modalities) <= set(MODALITIES)
    assert "never tried on the real corpus" in info("deap").checked


# ---------------------------------------------------------------------------------------------------------------------
# MATLAB
# ---------------------------------------------------------------------------------------------------------------------


def test_matlab_files_give_the_same_recordings(tmp_path: Path, python_root: Path) -> None:
    from scipy.io import savemat

    home = python_root / "data_preprocessed_matlab"
    home.mkdir()
    savemat(home / "s01.mat", {"data": trial_data(), "labels": rated(1)})
    assert load("deap", python_root).sources[0].options["release"] == "python", "by default"
    first, second = (read_one(python_root, 1, 23, release=release) for release in ("python", "matlab"))
    assert (first.order, first.ratings, first.events) == (second.order, second.ratings, second.events)
    for modality, signal in first.signals.items():
        np.testing.assert_array_equal(signal.data, second.signals[modality].data)
        assert (signal.channels, signal.unit) == (second.signals[modality].channels, second.signals[modality].unit)


# ---------------------------------------------------------------------------------------------------------------------
# Original BDF
# ---------------------------------------------------------------------------------------------------------------------

RATE = 8  # Hz; published files have 512, the reader takes what the header says
FIRST, APART = 20.5, 70.25  # seconds: the first video, and from one to the next
SECONDS = 2840
BEHIND = (*(f"EXG{i + 1}" for i in range(8)), "GSR1", "GSR2", "Erg1", "Erg2", "Resp", "Plet", "Temp")


def status_words(idle: int, high: int, onsets: int = 40) -> np.ndarray:
    """The trigger channel of a whole experiment: fixations, videos and rating screens, each code held for a second."""
    words = np.full(SECONDS * RATE, idle)
    for trial in range(onsets):
        for code, offset in ((3, -5), (4, 0), (5, 60), (1, 63)):
            first = round((FIRST + APART * trial + offset) * RATE)
            words[first : first + RATE] = high | code
    return words


def write_bdf(
    file: Path,
    *,
    electrodes: tuple[str, ...] = TWENTE,
    behind: tuple[str, ...] = BEHIND,
    trigger: tuple[str, ...] = ("Status",),
    words: np.ndarray | None = None,
    gsr: float = 4000.0,
    seconds: int = SECONDS,
    blanks: str = "",
) -> Path:
    """Write a whole experiment; sample t of channel ``name`` is ``level(name)`` plus the trial's number, from 0.

    GSR is constant, Temp 33, and the last of the trigger channels holds the words.
    """
    labels = [*(name + blanks for name in electrodes), *behind, *trigger]
    time = np.arange(SECONDS * RATE) / RATE
    trial = np.floor((time - FIRST + 5) / APART).clip(0, 39)
    words = status_words(0, 0) if words is None else words
    scale = 2**23 / 262_144  # digital steps per µV
    rows = []
    for label in labels:
        name = label.strip()
        values = {"GSR1": np.full(time.shape, gsr), "Temp": np.full(time.shape, 33.0)}.get(name, level(name) + trial)
        rows.append(np.rint(values * scale).astype(np.int64))
    for i in range(len(trigger)):
        rows[len(rows) - 1 - i] = words if i == 0 else np.zeros_like(words)
    digital = np.stack(rows).reshape(len(labels), SECONDS, RATE).transpose(1, 0, 2)[:seconds]
    data = np.ascontiguousarray(digital.astype("<i4")).view(np.uint8).reshape(*digital.shape, 4)[..., :3].tobytes()
    n = len(labels)
    stim = [i >= n - len(trigger) for i in range(n)]
    ranges = [("-8388608", "8388607") if s else ("-262144", "262143.96875"[:8]) for s in stim]
    columns = [
        (labels, 16), (["Active Electrode"] * n, 80), (["Boolean" if s else "uV" for s in stim], 8),
        ([low for low, _ in ranges], 8), (["8388607" if s else "262144" for s in stim], 8),
        (["-8388608"] * n, 8), (["8388607" if s else "8388608" for s in stim], 8),
        ([""] * n, 80), ([str(RATE)] * n, 8), ([""] * n, 32),
    ]  # fmt: skip
    head = [b"\xffBIOSEMI", b" " * 80, b" " * 80, b"01.01.1010.00.00", str(256 * (n + 1)).encode().ljust(8)]
    head += [b"24BIT".ljust(44), str(SECONDS).encode().ljust(8), b"1".ljust(8), str(n).encode().ljust(4)]
    fields = [value.encode().ljust(width) for column, width in columns for value in column]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"".join([*head, *fields, data]))
    return file


def level(name: str) -> float:
    """A channel's own level in µV."""
    names = (*GENEVA, *BEHIND)
    return 100.0 * names.index(name) if name in names else 7000.0


@pytest.fixture
def original(tmp_path: Path) -> Callable[..., tuple[Path, np.ndarray]]:
    """Write the file of a subject and the table; return the root and the videos as they were shown."""

    def write(subject: int = 1, **options: Any) -> tuple[Path, np.ndarray]:
        write_bdf(tmp_path / "data_original" / f"s{subject:02d}.bdf", **options)
        shown = write_table(table_of(tmp_path), {subject: rated(subject)})
        return tmp_path, shown[subject]

    return write


@pytest.mark.parametrize(
    ("subject", "options"),
    [
        (1, {}),
        (24, {"electrodes": GENEVA, "trigger": ("",), "words": status_words(0x19FF00, 0x18FF00)}),
        (29, {"electrodes": GENEVA, "trigger": ("", ""), "words": status_words(0x19FF00, 0x58FF00)}),
        (23, {"electrodes": GENEVA, "blanks": "  "}),
    ],
)
def test_trials_of_the_original_are_in_order_of_presentation_and_go_to_their_videos(
    original: Callable[..., tuple[Path, np.ndarray]], subject: int, options: dict[str, Any]
) -> None:
    root, shown = original(subject, **options)
    corpus = load("deap", root)
    recordings = list(corpus)
    assert corpus.left_out == []
    for place, (video, recording) in enumerate(zip(shown, recordings, strict=True)):
        eeg = recording.signals["eeg"]
        assert (recording.order, recording.trial) == (place, f"video{video + 1:02d}")
        assert eeg.channels == GENEVA
        assert (eeg.data.shape, eeg.rate) == ((32, 63 * RATE), RATE)
        expected = np.array([level(name) + place for name in GENEVA])
        np.testing.assert_allclose(eeg.data, np.broadcast_to(expected[:, np.newaxis], eeg.data.shape), atol=0.05)
        assert [recording.ratings[name] for name in LABELS] == list(rated(subject)[video])
        assert "familiarity" in recording.ratings
        assert spans(recording) == [("baseline", 0, 3), ("trial", 3, 63)]


@pytest.mark.parametrize(("subject", "gsr", "expected"), [(22, 4000.0, 4.0), (23, 200_000.0, 5.0)])
def test_gsr_of_the_original_is_conductance_in_twente_and_resistance_in_geneva(
    original: Callable[..., tuple[Path, np.ndarray]], subject: int, gsr: float, expected: float
) -> None:
    root, _ = original(subject, gsr=gsr)
    recording = read_one(root, subject, 1)
    np.testing.assert_allclose(recording.signals["eda"].data, expected, rtol=1e-4)
    assert {m: s.channels for m, s in recording.signals.items() if m != "eeg"} == {
        "eog": ("hEOG", "vEOG"),
        "emg": ("zEMG", "tEMG"),
        "eda": ("GSR",),
        "resp": ("Resp",),
        "bvp": ("Plet",),
        "temp": ("Temp",),
    }
    np.testing.assert_allclose(recording.signals["eog"].data, -100, atol=0.1)
    np.testing.assert_allclose(recording.signals["emg"].data, -0.1, atol=1e-4)
    assert {m: s.unit for m, s in recording.signals.items()} == {m: UNITS[m] for m in recording.signals}


def test_peripheral_channels_of_other_names_are_taken_by_place_and_noted(
    original: Callable[..., tuple[Path, np.ndarray]],
) -> None:
    root, _ = original(behind=tuple("Respiration" if name == "Resp" else name for name in BEHIND))
    corpus = load("deap", root)
    recordings = list(corpus)
    assert all("resp" in recording.signals for recording in recordings)
    (note,) = corpus.left_out
    assert "channel 45, 'Respiration', is taken for it by its place" in note.why


def test_peripheral_channels_that_are_not_there_are_left_out_and_noted(
    original: Callable[..., tuple[Path, np.ndarray]],
) -> None:
    root, _ = original(behind=BEHIND[:-1])
    corpus = load("deap", root)
    assert all("temp" not in recording.signals for recording in corpus)
    (note,) = corpus.left_out
    assert "Temp is not used" in note.why


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"words": status_words(0, 0, onsets=39)}, "39 onsets of a video"),
        ({"electrodes": ("A1", *TWENTE[1:])}, "expected 'Fp1' among them"),
        ({"seconds": 2000}, "the end of the file"),
    ],
)
def test_an_original_that_is_not_whole_costs_its_subject(
    original: Callable[..., tuple[Path, np.ndarray]], options: dict[str, Any], message: str
) -> None:
    root, _ = original(**options)
    corpus = load("deap", root)
    assert list(corpus) == []
    assert all(message in item.why for item in corpus.left_out)
    assert len(corpus.left_out) == 1


def test_originals_need_the_table_and_their_row_in_it(original: Callable[..., tuple[Path, np.ndarray]]) -> None:
    root, _ = original()
    (root / "data_original" / "s09.bdf").write_bytes(b"")
    corpus = load("deap", root, release="original")
    assert corpus.subjects == ("s01",)
    assert [Path(item.what).name for item in corpus.left_out] == ["s09.bdf"]
    table_of(root).unlink()
    with pytest.raises(ReadError, match=r"participant_ratings.csv.*says when each subject saw each video"):
        load("deap", root)
