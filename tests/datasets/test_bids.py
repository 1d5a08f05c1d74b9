"""BIDS: formats, sidecars, tables and everything that may be wrong with them."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpora.bids import write_brainvision, write_description, write_json, write_physio, write_sidecar, write_tsv

from limbeck.datasets import checks_of, eeg_files, load
from limbeck.datasets.bids_files import read_json, read_physio
from limbeck.errors import DataError, ReadError
from limbeck.recording import Corpus, Event, Recording

STEM = "sub-1_task-t"


def home(root: Path, folder: str = "eeg") -> Path:
    return root / "sub-1" / folder


def brainvision(root: Path, *names: str, **options: Any) -> np.ndarray:
    """One recording, 2 s at 100 Hz; returns what is stored."""
    if not (root / "dataset_description.json").exists():
        write_description(root)
    data = np.random.default_rng(0).normal(0, 20, (len(names), 200)).astype(np.float32)
    write_brainvision(home(root) / f"{STEM}_eeg", data, 100, names, **options)
    return data


def physio(root: Path, columns: dict[str, np.ndarray] | None = None, *, name: str = "", **options: Any) -> Path:
    if not (root / "dataset_description.json").exists():
        write_description(root)
    file = home(root, "beh") / f"{STEM}_{name}physio.tsv.gz"
    arguments: dict[str, Any] = {"rate": 10.0, "start": 0.0} | options
    write_physio(file, columns or {"eda": np.arange(20.0)}, **arguments)
    return file


def only(corpus: Corpus) -> Recording:
    [recording] = corpus
    return recording


def notes(recording: Recording) -> str:
    return " | ".join(f"{note.what}: {note.why}" for note in recording.notes)


def channels(root: Path, *rows: tuple[str, ...], header: tuple[str, ...] = ("name", "type", "units", "status")) -> None:
    write_tsv(home(root) / f"{STEM}_channels.tsv", header, rows)


# ---- EEG -------------------------------------------------------------------------------------------------------------


def test_types_come_from_the_table_of_channels_whatever_its_order(tmp_path: Path) -> None:
    data = brainvision(tmp_path, "A1x", "B1", "EXG1", "Status")
    rows = [("EXG1", "ECG", "µV", "good"), ("Status", "TRIG", "n/a", "n/a")]
    channels(tmp_path, *rows, ("B1", "EEG", "µV", "good"), ("A1x", "VEOG", "µV", "good"))
    found = only(load("bids", tmp_path))
    assert {m: s.channels for m, s in found.signals.items()} == {"eog": ("A1x",), "eeg": ("B1",), "ecg": ("EXG1",)}
    np.testing.assert_array_equal(found.signals["eeg"].data, data[1:2])
    np.testing.assert_allclose(found.signals["ecg"].data, data[2:3] / 1000, rtol=1e-6)
    assert found.notes == ()


def test_without_a_table_names_say_what_channels_are(tmp_path: Path) -> None:
    brainvision(tmp_path, "Fp1", "ECG", "thing")
    found = only(load("bids", tmp_path))
    assert {m: s.channels for m, s in found.signals.items()} == {"eeg": ("Fp1",), "ecg": ("ECG",)}
    assert "thing: neither its type nor its name" in notes(found)
    told = only(load("bids", tmp_path, columns={"thing": "resp", "ECG": ""}))
    assert set(told.signals) == {"eeg", "resp"}


def test_bad_channels_are_used_and_noted_or_dropped(tmp_path: Path) -> None:
    brainvision(tmp_path, "Fp1", "Cz")
    channels(tmp_path, ("Fp1", "EEG", "µV", "bad"), ("Cz", "EEG", "µV", "good"))
    kept = only(load("bids", tmp_path))
    assert kept.signals["eeg"].channels == ("Fp1", "Cz")
    assert "Fp1: bad by _channels.tsv; used all the same" in notes(kept)
    dropped = only(load("bids", tmp_path, drop_bad=True))
    assert dropped.signals["eeg"].channels == ("Cz",)
    assert "bad by _channels.tsv; left out" in notes(dropped)


def test_a_unit_that_the_table_contradicts_is_noted_and_an_option(tmp_path: Path) -> None:
    data = brainvision(tmp_path, "Cz")
    channels(tmp_path, ("Cz", "EEG", "mV", "good"))
    found = only(load("bids", tmp_path))
    np.testing.assert_allclose(found.signals["eeg"].data, data, rtol=1e-6)
    assert "µV in the file, mV in _channels.tsv; µV is used" in notes(found)
    other = only(load("bids", tmp_path, units="channels"))
    np.testing.assert_allclose(other.signals["eeg"].data, data * 1000, rtol=1e-6)


def test_a_table_with_other_names_is_taken_by_place_and_said(tmp_path: Path) -> None:
    brainvision(tmp_path, "Ch1", "Ch2")
    channels(tmp_path, ("Fp1", "EEG", "µV", "good"), ("heart", "ECG", "µV", "good"))
    found = only(load("bids", tmp_path))
    assert set(found.signals) == {"eeg", "ecg"}
    assert "taken in the data's order" in notes(found)


def test_a_broken_table_of_channels_costs_nothing_else(tmp_path: Path) -> None:
    brainvision(tmp_path, "Cz")
    channels(tmp_path, ("Cz",), header=("label",))
    found = only(load("bids", tmp_path))
    assert set(found.signals) == {"eeg"}
    assert "expected name, type among them" in notes(found)


@pytest.mark.parametrize("kind", ["INT_16", "IEEE_FLOAT_32"])
@pytest.mark.parametrize("vectorized", [False, True])
def test_brainvision_is_read_as_mne_reads_it(kind: str, vectorized: bool, tmp_path: Path) -> None:
    import mne

    marks = ["Stimulus,S  1,51,1,0", "Comment,a\\1b,101,20,0"]
    brainvision(tmp_path, "Fp1", "C,z", kind=kind, scale=0.5, vectorized=vectorized, markers=marks)
    path = home(tmp_path) / f"{STEM}_eeg.vhdr"
    raw = mne.io.read_raw_brainvision(path, verbose="error")
    file = eeg_files.read_eeg_file(path, (path.with_suffix(".eeg"), path.with_suffix(".vmrk")))
    assert [channel.name for channel in file.channels] == raw.ch_names == ["Fp1", "C,z"]
    np.testing.assert_allclose([c.read() for c in file.channels], raw.get_data() * 1e6, rtol=1e-9, atol=1e-9)
    assert file.events() == [Event("S  1", 0.5, 0.5), Event("a,b", 1.0, 1.2)]


def test_markers_are_the_events_where_no_table_is(tmp_path: Path) -> None:
    brainvision(tmp_path, "Cz", markers=["Stimulus,S  7,101,1,0"])
    assert only(load("bids", tmp_path)).events == (Event("S  7", 1.0, 1.0),)
    write_tsv(home(tmp_path) / f"{STEM}_events.tsv", ("onset", "duration"), [(0.5, 1)])
    assert only(load("bids", tmp_path)).events == (Event("event", 0.5, 1.5),)


@pytest.mark.parametrize("target", ["../../../secret.eeg", "/etc/passwd", "..\\secret.eeg", "old_name.eeg"])
def test_a_header_that_points_elsewhere_reads_the_file_beside_it(target: str, tmp_path: Path) -> None:
    root = tmp_path / "deep" / "data"
    (tmp_path / "secret.eeg").write_bytes(bytes(800))
    data = brainvision(root, "Cz", data_file=target)
    found = only(load("bids", root))
    np.testing.assert_array_equal(found.signals["eeg"].data, data)
    assert "is not beside it under that name" in notes(found)
    (home(root) / f"{STEM}_eeg.eeg").unlink()
    corpus = load("bids", root)
    assert list(corpus) == []
    assert "its file of samples" in corpus.left_out[0].why


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("DataFormat=BINARY", "DataFormat=ASCII", "DataFormat"),
        ("IEEE_FLOAT_32", "IEEE_FLOAT_16", "BinaryFormat"),
        ("NumberOfChannels=1", "NumberOfChannels=2", "Channel Infos"),
        ("NumberOfChannels=1", "NumberOfChannels=1e11", "Channel Infos"),
        ("SamplingInterval=10000", "SamplingInterval=0", "SamplingInterval"),
        ("SamplingInterval=10000", "Interval=1", "no entry 'SamplingInterval'"),
        ("NumberOfChannels=1", "NumberOfChannels=1\nDataPoints=999", "999, as"),
        ("Brain Vision", "Brian Vision", "row 1"),
    ],
)
def test_what_is_wrong_in_a_brainvision_header_is_named(old: str, new: str, message: str, tmp_path: Path) -> None:
    brainvision(tmp_path, "Cz")
    path = home(tmp_path) / f"{STEM}_eeg.vhdr"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ReadError, match=message):
        load("bids", tmp_path).sources[0].read()


def eeglab(root: Path, **changes: Any) -> Path:
    from scipy.io import savemat

    write_description(root)
    file = home(root) / f"{STEM}_eeg.set"
    file.parent.mkdir(parents=True)
    data = np.random.default_rng(0).normal(0, 20, (2, 200)).astype(np.float32)
    names = np.array([("Fp1",), ("Cz",)], dtype=[("labels", "O")])
    content = {"nbchan": 2.0, "pnts": 200.0, "trials": 1.0, "srate": 100.0, "xmin": 0.0, "xmax": 1.99}
    content |= {"setname": "", "ref": "common", "icawinv": [], "icaweights": [], "icasphere": [], "epoch": []}
    savemat(file, {"EEG": content | {"data": data, "chanlocs": names, "event": []} | changes})
    return file


def test_eeglab_is_read_as_mne_reads_it(tmp_path: Path) -> None:
    import mne

    file = eeglab(tmp_path)
    raw = mne.io.read_raw_eeglab(file, verbose="error")
    found = only(load("bids", tmp_path))
    assert list(found.signals["eeg"].channels) == raw.ch_names
    np.testing.assert_allclose(found.signals["eeg"].data, raw.get_data() * 1e6, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trials": 3.0}, "3 epochs"),
        ({"srate": 0.0}, "EEG.srate"),
        ({"pnts": 1e11}, "EEG.data"),
        ({"nbchan": 3.0}, "EEG.data"),
        ({"data": "../../secret.fdt"}, "its file of samples"),
    ],
)
def test_what_is_wrong_in_an_eeglab_file_is_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    eeglab(tmp_path, **changes)
    with pytest.raises(ReadError, match=message):
        load("bids", tmp_path).sources[0].read()


def test_a_rate_that_the_sidecar_contradicts_is_the_datas(tmp_path: Path) -> None:
    brainvision(tmp_path, "Cz")
    write_json(home(tmp_path) / f"{STEM}_eeg.json", {"SamplingFrequency": 250})
    found = only(load("bids", tmp_path))
    assert found.signals["eeg"].rate == 100
    assert "250 Hz by the sidecar, 100 Hz by the data" in notes(found)


# ---- physio ----------------------------------------------------------------------------------------------------------


def test_physio_may_begin_before_the_eeg(tmp_path: Path) -> None:
    brainvision(tmp_path, "Cz")
    physio(tmp_path, {"respiratory": np.arange(40.0), "trigger": np.zeros(40)}, start=-1.5)
    found = only(load("bids", tmp_path))
    assert found.signals["resp"].start == -1.5
    assert found.signals["resp"].end == 2.5
    assert found.signals["eeg"].start == 0
    assert found.notes == ()


@pytest.mark.parametrize(
    ("column", "unit", "modality"),
    [
        ("cardiac", "", "bvp"),
        ("cardiac", "mV", "ecg"),
        ("ECG_II", "mV", "ecg"),
        ("skin conductance", "microsiemens", "eda"),
        ("GSR", "kOhm", "eda"),
        ("PPG", "", "bvp"),
        ("respiratory", "n/a", "resp"),
        ("skin_temp", "oC", None),
        ("skin_temp", "°C", "temp"),
        ("acc_x", "m/s^2", "acc"),
        ("EMG_zyg", "V", "emg"),
        ("mystery", "", None),
    ],
)
def test_columns_are_known_by_name_and_unit(column: str, unit: str, modality: str | None, tmp_path: Path) -> None:
    physio(tmp_path, {name: np.ones(4) for name in ("respiratory", column)}, units={column: unit})
    found = only(load("bids", tmp_path))
    assert set(found.signals) == {"resp"} | ({modality} if modality else set())
    if modality is None:
        assert column in notes(found)


def test_conductance_and_resistance_become_microsiemens(tmp_path: Path) -> None:
    physio(tmp_path, {"gsr": np.array([100.0, 0.0])}, units={"gsr": "kOhm"})
    np.testing.assert_array_equal(only(load("bids", tmp_path)).signals["eda"].data, [[10.0, np.nan]])


def test_columns_in_arbitrary_units_are_not_called_physical(tmp_path: Path) -> None:
    columns = {name: np.array([1e6, np.inf]) for name in ("eda_left", "eda_right")} | {"skt": np.array([3.0, 4.0])}
    physio(tmp_path, columns, units={"eda_left": "arbitrary", "eda_right": "µS", "skt": "°C"})
    found = only(load("bids", tmp_path))
    assert {name: signal.unit for name, signal in found.signals.items()} == {"eda": "a.u.", "temp": "°C"}
    assert found.signals["eda"].channels == ("eda_left",)
    np.testing.assert_array_equal(found.signals["eda"].data, np.array([[1e6, np.nan]], dtype=np.float32))
    assert "eda_left: in arbitrary units by its sidecar" in notes(found)
    assert "eda_right: its unit is µS, that of the other columns of eda a.u.; not used" in notes(found)


def test_the_users_word_and_the_files_label_say_what_a_column_is(tmp_path: Path) -> None:
    physio(tmp_path, {"cardiac": np.ones(4)})
    physio(tmp_path, {"col1": np.ones(4)}, name="recording-eda_")
    found = only(load("bids", tmp_path, columns={"cardiac": "ecg"}))
    assert set(found.signals) == {"ecg", "eda"}
    assert "a pulse or an ECG" in notes(only(load("bids", tmp_path)))


def test_missing_samples_and_a_header_line_are_met(tmp_path: Path) -> None:
    file = physio(tmp_path, {"eda": np.array([1.0, np.nan, 3.0])})
    np.testing.assert_array_equal(only(load("bids", tmp_path)).signals["eda"].data, [[1, np.nan, 3]])
    file.write_bytes(gzip.compress(b"eda\n1\nn/a\n3\n"))
    found = only(load("bids", tmp_path))
    np.testing.assert_array_equal(found.signals["eda"].data, [[1, np.nan, 3]])
    assert "a header line" in notes(found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"1\nx\n3\n", "row 2"),
        (b"1\n2\t3\n", "row 2"),
        (b"1e99999\n", "row 1"),
        (b"", "no rows"),
    ],
)
def test_a_row_that_is_no_number_is_named(text: bytes, message: str, tmp_path: Path) -> None:
    file = physio(tmp_path)
    file.write_bytes(gzip.compress(text))
    with pytest.raises(ReadError, match=message):
        load("bids", tmp_path).sources[0].read()


def test_a_bomb_is_refused_early(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, wbits=31)
    piece = b"0\n" * 2**19
    bomb = b"".join(packer.compress(piece) for _ in range(80)) + packer.flush()
    file = tmp_path / "x_physio.tsv.gz"
    file.write_bytes(bomb)
    with pytest.raises(ReadError, match="unpack to more than"):
        read_physio(file, ["eda"])
    file.write_bytes(gzip.compress(b"0" * 2**25))
    with pytest.raises(ReadError, match="a line of megabytes"):
        read_physio(file, ["eda"])


def test_a_table_of_millions_of_cells_is_refused_before_it_is_cut(tmp_path: Path) -> None:
    physio(tmp_path)
    file = home(tmp_path, "beh") / f"{STEM}_events.tsv"
    file.write_text("onset" + "\t" * 3000 + "\n" * 3000)
    assert "more than 4194304 cells" in notes(only(load("bids", tmp_path)))


def test_packed_parts_one_after_the_other_are_one_table(tmp_path: Path) -> None:
    file = tmp_path / "x_physio.tsv.gz"
    file.write_bytes(gzip.compress(b"1\n2") + gzip.compress(b"5\n3\n"))
    np.testing.assert_array_equal(read_physio(file, ["eda"])[0], [[1, 25, 3]])
    file.write_bytes(gzip.compress(b"1\n2\n")[:-5])
    with pytest.raises(ReadError, match="The file was cut"):
        read_physio(file, ["eda"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"SamplingFrequency": None}, "SamplingFrequency"),
        ({"SamplingFrequency": 1e400}, "SamplingFrequency"),
        ({"SamplingFrequency": True}, "SamplingFrequency"),
        ({"Columns": "eda"}, "Columns"),
        ({"Columns": ["eda", "eda"]}, "Columns"),
        ({"Columns": ["eda", "ecg"]}, "row 1"),
    ],
)
def test_a_sidecar_that_lacks_what_it_must_say_costs_the_file(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    file = physio(tmp_path)
    head = {"SamplingFrequency": 10, "StartTime": 0, "Columns": ["eda"]} | change
    write_json(file.with_name(file.name.replace(".tsv.gz", ".json")), head)
    with pytest.raises(ReadError, match=message):
        load("bids", tmp_path).sources[0].read()
    brainvision(tmp_path, "Cz")
    found = only(load("bids", tmp_path))
    assert set(found.signals) == {"eeg"}
    assert "used without it" in notes(found)


def test_a_start_that_is_not_given_is_zero_and_said(tmp_path: Path) -> None:
    file = physio(tmp_path)
    write_json(file.with_name(file.name.replace(".tsv.gz", ".json")), {"SamplingFrequency": 10, "Columns": ["eda"]})
    assert "StartTime: found 'nothing'; taken to be 0 s" in notes(only(load("bids", tmp_path)))


def test_a_second_file_of_a_modality_is_noted(tmp_path: Path) -> None:
    physio(tmp_path, name="recording-a_")
    physio(tmp_path, {"gsr": np.ones(4)}, name="recording-b_")
    found = only(load("bids", tmp_path))
    assert found.signals["eda"].channels == ("eda",)
    assert "a second file with eda" in notes(found)


# ---- sidecars, tables, names -----------------------------------------------------------------------------------------


def test_sidecars_are_inherited_and_the_nearest_wins(tmp_path: Path) -> None:
    file = physio(tmp_path)
    file.with_name(file.name.replace(".tsv.gz", ".json")).unlink()
    write_json(tmp_path / "physio.json", {"SamplingFrequency": 5, "StartTime": 3, "Columns": ["eda"]})
    write_json(tmp_path / "task-t_physio.json", {"SamplingFrequency": 8})
    write_json(tmp_path / "sub-1" / "sub-1_physio.json", {"StartTime": -1})
    write_json(tmp_path / "task-other_physio.json", {"SamplingFrequency": 99})
    corpus = load("bids", tmp_path)
    signal = only(corpus).signals["eda"]
    assert (signal.rate, signal.start) == (8, -1)
    names = {path.name for path in corpus.sources[0].files}
    assert names == {file.name, "physio.json", "task-t_physio.json", "sub-1_physio.json"}


@pytest.mark.parametrize(("duration", "end"), [("n/a", 2.0), ("0", 2.0), ("", 2.0), ("1.5", 3.5), ("-1", 2.0)])
def test_an_event_without_duration_is_a_moment(duration: str, end: float, tmp_path: Path) -> None:
    physio(tmp_path)
    rows = [(2.0, duration, "film", "9")]
    write_tsv(home(tmp_path, "beh") / f"{STEM}_events.tsv", ("onset", "duration", "trial_type", "value"), rows)
    assert only(load("bids", tmp_path)).events == (Event("film", 2.0, end),)
    assert only(load("bids", tmp_path, event_column="value")).events[0].name == "9"


def test_events_that_are_no_numbers_are_named_and_a_missing_column_too(tmp_path: Path) -> None:
    physio(tmp_path)
    file = home(tmp_path, "beh") / f"{STEM}_events.tsv"
    write_tsv(
        file, ("onset", "duration", "trial_type"), [("n/a", 1, "a"), (1, "long", "b"), ("1e999", 1, "c"), (2, 1, "d")]
    )
    found = only(load("bids", tmp_path))
    assert [event.name for event in found.events] == ["d"]
    assert "row 2, 3, 4: onset or duration is no number" in notes(found)
    assert "expected 'emotion', as asked for" in notes(only(load("bids", tmp_path, event_column="emotion")))
    write_tsv(file, ("time",), [(1,)])
    assert "used without events" in notes(only(load("bids", tmp_path)))


def test_numbers_beside_the_events_are_not_read_and_noted(tmp_path: Path) -> None:
    physio(tmp_path)
    file = home(tmp_path, "beh") / f"{STEM}_events.tsv"
    write_tsv(file, ("onset", "duration", "value", "valence", "mood"), [(0, 1, 3, 7, "calm"), (1, 1, 3, "n/a", "sad")])
    assert f"{file.name}: valence: numbers beside the events are not read" in notes(only(load("bids", tmp_path)))


def test_numbers_of_the_tables_are_ratings(tmp_path: Path) -> None:
    file = physio(tmp_path)
    table = [("sub-1", "34", "F", "n/a"), ("sub-2", "9", "M", "3")]
    write_tsv(tmp_path / "participants.tsv", ("participant_id", "age", "sex", "score"), table)
    scan = [(f"beh/{file.name}", "2020-01-01T10:00:00", "7", "n/a", "NaN", "calm")]
    header = ("filename", "acq_time", "valence", "arousal", "pain", "mood")
    write_tsv(tmp_path / "sub-1" / "sub-1_scans.tsv", header, scan)
    ratings = only(load("bids", tmp_path)).ratings
    assert ratings == pytest.approx({"participant_age": 34, "valence": 7, "pain": float("nan")}, nan_ok=True)


def test_runs_follow_their_numbers_where_no_time_is_known(tmp_path: Path) -> None:
    write_description(tmp_path)
    for run in (10, 9, 1):
        write_physio(home(tmp_path, "beh") / f"sub-1_task-t_run-{run}_physio.tsv.gz", {"eda": np.ones(3)}, 4, 0)
    found = list(load("bids", tmp_path))
    assert [(r.trial, r.order) for r in found] == [("t_run-1", 0), ("t_run-9", 1), ("t_run-10", 2)]


def test_what_is_not_read_is_listed(tmp_path: Path) -> None:
    file = physio(tmp_path)
    (home(tmp_path, "func")).mkdir()
    (home(tmp_path, "func") / "sub-1_task-t_bold.nii.gz").write_bytes(b"x")
    (file.parent / file.name.replace("sub-1", "sub-2")).write_bytes(file.read_bytes())
    (file.parent / f"{STEM}_recording-belt_physio.tsv").write_text("1\n2\n")  # not packed
    (home(tmp_path, "func") / "sub-1_task-t_eeg.cnt").write_bytes(b"x")
    (tmp_path / "sub-3").mkdir()
    (tmp_path / "derivatives" / "sub-4").mkdir(parents=True)
    corpus = load("bids", tmp_path)
    text = " | ".join(f"{item.what}: {item.why}" for item in corpus.left_out)
    assert corpus.subjects == ("1",)
    for kind in ("*_bold.nii.gz", "*_physio.tsv", "*_eeg.cnt"):
        assert f"{kind}: 1 file of a kind that is not read" in text
    assert text.count("of a kind that is not read") == 3
    assert "another subject or session than its folder" in text
    assert "sub-3: no EEG" in text


def test_a_file_that_the_other_recordings_have_is_missed(tmp_path: Path) -> None:
    for name in ("1", "2", "3"):
        folder = tmp_path / f"sub-{name}" / "beh"
        for kind in ("eda", "ecg"):
            if (name, kind) != ("2", "ecg"):
                write_physio(folder / f"sub-{name}_task-t_recording-{kind}_physio.tsv.gz", {kind: np.ones(3)}, 4, 0)
    found = list(load("bids", tmp_path))
    assert ["sub-2_task-t_recording-ecg_physio.tsv.gz: there is no such file" in notes(r) for r in found] == [
        *(False, True, False),
    ]


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "data"
    file = physio(root)
    file.rename(tmp_path / "elsewhere.tsv.gz")
    file.symlink_to(tmp_path / "elsewhere.tsv.gz")
    physio(root, name="recording-b_")
    corpus = load("bids", root)
    assert [path.name for path in corpus.sources[0].files if path.name.endswith("gz")] == [
        f"{STEM}_recording-b_physio.tsv.gz"
    ]
    assert any("not followed" in item.why for item in corpus.left_out)


def test_tasks_and_subjects_are_chosen(tmp_path: Path) -> None:
    for name in ("1", "2"):
        for task in ("a", "b"):
            place = tmp_path / f"sub-{name}" / "beh" / f"sub-{name}_task-{task}_physio.tsv.gz"
            write_physio(place, {"eda": np.ones(3)}, 4, 0)
    assert [(s.subject, s.trial) for s in load("bids", tmp_path, tasks=["b"]).sources] == [("1", "b"), ("2", "b")]
    assert load("bids", tmp_path, subjects=["sub-2"]).subjects == ("2",)
    assert load("bids", tmp_path, subjects=[2]).subjects == load("bids", tmp_path, subjects=["02"]).subjects == ("2",)
    with pytest.raises(DataError, match="no task 'c'"):
        load("bids", tmp_path, tasks=["c"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": "header"}, "no units 'header'"),
        ({"columns": {"x": "eegg"}}, "Did you mean 'eeg'"),
        ({"columns": ["x"]}, "needs a mapping"),
    ],
)
def test_options_that_there_are_not_are_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    physio(tmp_path)
    with pytest.raises(DataError, match=message):
        load("bids", tmp_path, **options)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="laid out by BIDS"):
        load("bids", tmp_path)
    with pytest.raises(DataError, match="needs a root"):
        load("bids")


# ---- checks ----------------------------------------------------------------------------------------------------------


def verdicts(root: Path) -> dict[str, bool | None]:
    return {check.what: check.passed for check in checks_of("bids")(root, load("bids", root))}


def test_the_checks_pass_where_all_agrees_and_cannot_be_made_where_files_lack(tmp_path: Path) -> None:
    brainvision(tmp_path, "Cz")
    write_sidecar(home(tmp_path) / f"{STEM}_eeg.json", "t", 100)
    found = verdicts(tmp_path)
    assert sorted(map(str, found.values())) == ["None"] * 3 + ["True"] * 4
    channels(tmp_path, ("Cz", "EEG", "µV", "good"))
    write_tsv(home(tmp_path) / f"{STEM}_events.tsv", ("onset", "duration"), [(0.5, 1)])
    write_tsv(tmp_path / "participants.tsv", ("participant_id",), [("sub-1",)])
    assert set(verdicts(tmp_path).values()) == {True}


def test_the_checks_find_what_disagrees(tmp_path: Path) -> None:
    brainvision(tmp_path, "Cz", "Pz")
    write_json(tmp_path / "dataset_description.json", {"Name": "x"})
    write_json(home(tmp_path) / f"{STEM}_eeg.json", {"SamplingFrequency": 200})
    channels(tmp_path, ("Pz", "EEG", "µV", "good"))
    write_tsv(home(tmp_path) / f"{STEM}_events.tsv", ("onset", "duration"), [(1.5, 60)])
    write_tsv(tmp_path / "participants.tsv", ("participant_id",), [("sub-2",)])
    file = physio(tmp_path)
    file.write_bytes(gzip.compress(b"1\t2\n"))
    found = list(checks_of("bids")(tmp_path, load("bids", tmp_path)))
    assert [check.what for check in found if check.passed is not False] == ["every EEG file can be opened"]
    assert len(found) == 8
    text = " | ".join(check.found for check in found)
    for part in (
        "no BIDSVersion",
        "sub-2 has no folder",
        "no TaskName",
        "200 Hz in it, 100 Hz in the data",
        "1 rows for 2 channels",
        "row 1",
        "61.5 s",
    ):
        assert part in text


def test_one_check_is_made_of_those_of_many_recordings(tmp_path: Path) -> None:
    write_description(tmp_path)
    for number in range(1, 7):
        place = tmp_path / f"sub-{number}" / "beh" / f"sub-{number}_task-t_physio.tsv.gz"
        write_physio(place, {"eda": np.ones(3)}, 4, 0)
        if number > 1:
            end = 60 if number > 2 else 0
            table = place.with_name(f"sub-{number}_task-t_events.tsv")
            write_tsv(table, ("onset", "duration", "trial_type"), [(0, end, "film")])
    *_, check = checks_of("bids")(tmp_path, load("bids", tmp_path))
    assert (check.passed, check.found.count("ends at 60 s")) == (False, 3)
    assert check.found.endswith("and 1 more")
    *_, check = checks_of("bids")(tmp_path, load("bids", tmp_path, subjects=[1, 2]))
    assert (check.passed, check.found) == (True, "not possible for 1 of 2 recordings")


# ---- full shape ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_hour_of_64_channels_and_a_belt(tmp_path: Path) -> None:
    write_description(tmp_path)
    data = np.random.default_rng(0).normal(0, 20, (64, 256 * 3600)).astype(np.float32)
    write_brainvision(home(tmp_path) / f"{STEM}_eeg", data, 256, [f"E{i}" for i in range(64)])
    channels(tmp_path, *((f"E{i}", "EEG", "µV", "good") for i in range(64)))
    physio(tmp_path, {"ecg": np.arange(500.0 * 3600)}, rate=500.0, units={"ecg": "mV"})
    found = only(load("bids", tmp_path))
    assert found.signals["eeg"].data.shape == (64, 256 * 3600)
    assert found.signals["ecg"].data.shape == (1, 500 * 3600)
    np.testing.assert_array_equal(found.signals["eeg"].data[63], data[63])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{\n "a": 1\n "b": 2}', "row 3, character 2: found no JSON; expected JSON in UTF-8"),
        (b"", "found nothing: no JSON"),
        (b'{"a": "\xe9"}', "found no text in UTF-8"),
        (b"[" * 100_000, "beyond all bounds"),
        (b"[1]", "expected a JSON object"),
    ],
)
def test_a_sidecar_that_is_no_json_is_told_in_plain_words(tmp_path: Path, text: bytes, said: str) -> None:
    file = tmp_path / "t_eeg.json"
    file.write_bytes(text)
    with pytest.raises(ReadError) as caught:
        read_json(file)
    assert said in str(caught.value)
    assert "delimiter" not in str(caught.value)
