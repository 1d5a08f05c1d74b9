"""Reading Empatica E4 sessions."""

from __future__ import annotations

import dataclasses
import pickle
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from limbeck.datasets import e4, load, zips
from limbeck.datasets.numbers import read_table
from limbeck.errors import DataError, ReadError
from limbeck.recording import Event, Signal, Trace

Write = Callable[..., Path]
START = 1_600_000_000.0


def zipped(path: Path, files: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_every_signal_has_the_unit_rate_and_values_of_its_file(tmp_path: Path, write_e4: Write) -> None:
    recording = e4.read_session(write_e4(tmp_path / "S1", 60), subject="S1")
    signals = recording.signals
    assert {name: (s.rate, s.unit, s.channels) for name, s in signals.items()} == {
        "acc": (32.0, "g", ("x", "y", "z")),
        "bvp": (64.0, "a.u.", ("bvp",)),
        "eda": (4.0, "µS", ("eda",)),
        "temp": (4.0, "°C", ("temp",)),
    }
    assert {s.data.dtype for s in signals.values()} == {np.dtype(np.float32)}
    np.testing.assert_allclose(signals["acc"].data[:, 5], [5 / 64, -5 % 90 / 64, 1.0])
    np.testing.assert_allclose(signals["eda"].data[0], 0.5 + 0.01 * np.arange(240), rtol=1e-6)
    np.testing.assert_allclose(signals["temp"].data[0, -1], 33 + 2.39, rtol=1e-6)
    assert recording.duration == 60.0
    assert recording.notes == ()


def test_fractions_of_a_second_between_sensors_are_kept(tmp_path: Path, write_e4: Write) -> None:
    folder = write_e4(tmp_path / "S1", 60, offsets={"EDA": 0.25, "TEMP": 0.5})
    recording = e4.read_session(folder, subject="S1")
    starts = {name: signal.start for name, signal in recording.signals.items()}
    assert starts == pytest.approx({"acc": 0.0, "bvp": 0.0, "eda": 0.25, "temp": 0.5}, abs=1e-6)
    assert recording.signals["eda"].end == pytest.approx(60.25)


def test_heart_rate_starts_ten_seconds_late_and_beats_keep_their_times(tmp_path: Path, write_e4: Write) -> None:
    traces = e4.read_session(write_e4(tmp_path / "S1", 60), subject="S1").traces
    np.testing.assert_allclose(traces["hr"].times, 10 + np.arange(50))
    np.testing.assert_allclose(traces["hr"].values[:3], [70, 71, 72])
    np.testing.assert_allclose(traces["ibi"].times, [12.5, 13.4375, 20.0])
    np.testing.assert_allclose(traces["ibi"].values, [0.84375, 0.9375, 0.828125])


@pytest.mark.parametrize("nesting", ["", "1600000000_A00123/", "X/X/"])
def test_a_zip_reads_like_its_folder(tmp_path: Path, write_e4: Write, e4_files: Callable, nesting: str) -> None:
    from_folder = e4.read_session(write_e4(tmp_path / "S1", 30), subject="S1")
    files = {f"{nesting}{name}": text for name, text in e4_files(30).items()}
    junk = {"__MACOSX/._ACC.csv": b"\x00\x05", f"{nesting}.DS_Store": b"\x00", f"{nesting}info.txt": "text"}
    from_zip = e4.read_session(zipped(tmp_path / "S1.zip", {**files, **junk}), subject="S1")
    for name, signal in from_folder.signals.items():
        np.testing.assert_array_equal(signal.data, from_zip.signals[name].data)
    assert from_zip.notes == ()


def test_one_extra_folder_and_hidden_files_do_no_harm(tmp_path: Path, write_e4: Write) -> None:
    write_e4(tmp_path / "S1" / "S1", 30)
    (tmp_path / "S1" / "__MACOSX").mkdir()
    (tmp_path / "S1" / "__MACOSX" / "ACC.csv").write_bytes(b"junk")
    (tmp_path / "S1" / "S1" / "._EDA.csv").write_bytes(b"\x00junk")
    assert len(e4.read_session(tmp_path / "S1", subject="S1").signals) == 4


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_marks_change_nothing(
    tmp_path: Path, write_e4: Write, e4_files: Callable, ending: str, mark: bytes
) -> None:
    plain = e4.read_session(write_e4(tmp_path / "plain", 30), subject="S")
    other = {name: mark + text.replace("\n", ending).encode() for name, text in e4_files(30).items() if text}
    changed = e4.read_session(write_e4(tmp_path / "other", 30, replace=other), subject="S")
    for name, signal in plain.signals.items():
        np.testing.assert_array_equal(signal.data, changed.signals[name].data)
    np.testing.assert_array_equal(plain.traces["ibi"].times, changed.traces["ibi"].times)


def test_a_last_row_without_line_end_is_read(tmp_path: Path, write_e4: Write, e4_files: Callable) -> None:
    files = {name: text.rstrip("\n") for name, text in e4_files(30).items()}
    recording = e4.read_session(write_e4(tmp_path / "S", 30, replace=files), subject="S")
    assert recording.signals["bvp"].data.shape == (1, 64 * 30)


@pytest.mark.parametrize("text", ["", "\n", "1600000000.0\n4.0\n", "1600000000.0\n", None])
def test_a_sensor_without_samples_costs_its_modality_and_is_noted(
    tmp_path: Path, write_e4: Write, text: str | None
) -> None:
    recording = e4.read_session(write_e4(tmp_path / "S", 30, replace={"EDA.csv": text}), subject="S")
    assert set(recording.signals) == {"acc", "bvp", "temp"}
    assert len(recording.notes) == 1
    assert recording.notes[0].what.endswith("EDA.csv")
    assert "without eda" in recording.notes[0].why


def test_a_session_whose_sensors_are_all_empty_is_refused(tmp_path: Path, write_e4: Write) -> None:
    folder = write_e4(tmp_path / "S", 30, replace=dict.fromkeys(("ACC.csv", "BVP.csv", "EDA.csv", "TEMP.csv"), ""))
    with pytest.raises(ReadError, match=r"S: found no sensor file with samples; expected at least one"):
        e4.read_session(folder, subject="S")


def cut(text: str, rows: int, last: str) -> str:
    return "\n".join([*text.split("\n")[:rows], last])


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("ACC.csv", lambda t: cut(t, 20, "3,4"), r"ACC\.csv, row 21: found '3,4'; expected 3 comma-separated numbers"),
        ("ACC.csv", lambda t: cut(t, 20, "3,4,"), r"row 21: found '3,4,'; expected 3 comma-separated numbers"),
        ("EDA.csv", lambda t: cut(t, 20, "0.5"), r"EDA\.csv, row 21: found '0\.5' at the end"),
        ("TEMP.csv", lambda t: cut(t, 20, "3"), r"TEMP\.csv, row 21: found '3' at the end"),
        ("EDA.csv", lambda t: cut(t, 20, "0."), r"EDA\.csv, row 21: found '0\.' at the end"),
        ("EDA.csv", lambda t: cut(t, 20, "-"), r"EDA\.csv, row 21: found '-'; expected one number.*ends in the middle"),
        ("EDA.csv", lambda t: t.replace("0.550000", "sensor off"), r"row 8: found 'sensor off'; expected one number"),
        ("EDA.csv", lambda t: t.replace("0.550000", ""), r"row 8: found ''; expected one number"),
        ("EDA.csv", lambda t: t.replace("0.550000", "0.55,1"), r"row 8: found '0\.55,1'; expected one number"),
        ("EDA.csv", lambda t: t.replace("0.550000", "nan"), r"row 8: found 'nan'"),
        ("EDA.csv", lambda t: t.replace("0.550000", "inf"), r"row 8: found 'inf'"),
        ("EDA.csv", lambda t: t.replace("0.550000", '"0.55"'), r"row 8: found"),
        ("EDA.csv", lambda t: t.replace("0.550000", "5500.0"), r"row 8: found 5500; expected skin conductance in µS"),
        ("TEMP.csv", lambda t: t.replace("33.05", "-273.15"), r"row 8: found -273\.15; expected skin temperature"),
        ("ACC.csv", lambda t: t.replace(",", ";"), r"row 1: found '1600000000.*'; expected the session's start"),
        ("BVP.csv", lambda t: t[:80] + t[80:].replace(".", ","), r"expected one number per row.*separator|row \d+"),
        ("EDA.csv", lambda t: t.split("\n", 1)[1], r"row 1: found 4; expected the session's start in unix seconds"),
        ("TEMP.csv", lambda t: t.replace("\n4.000000\n", "\n", 1), r"row 2: found 33; expected the sampling rate"),
        ("EDA.csv", lambda t: t.replace("\n4.000000\n", "\n", 1), r"row 2: found 0\.5; expected the sampling rate"),
        ("ACC.csv", lambda t: t.replace("32.000000, 32.000000, 32.000000\n", ""), r"row 2: found '0,0,64'"),
        ("EDA.csv", lambda t: t.replace("1600000000.000000", "1600000000000"), r"row 1: found 1\.6e\+12.*millisec"),
        ("EDA.csv", lambda t: t.replace("1600000000.000000", "1600009999.0"), r"row 1: found a start 9999 s after"),
        ("EDA.csv", lambda t: t.encode("utf-16"), r"found UTF-16 text"),
        ("EDA.csv", lambda t: t[:100].encode() + b"\x00\x9f" * 50, r"row \d+: found the byte 0x00, which is not text"),
        ("EDA.csv", lambda t: b"PK\x03\x04\x9c" * 50, r"row 1: found the byte 0x9c|row 1"),
        ("EDA.csv", lambda t: "<html>404: Not Found</html>", r"row 1: found '<html>404: Not Found</html>'"),
    ],
)
def test_a_damaged_sensor_file_is_refused_naming_file_row_and_what_was_expected(
    tmp_path: Path, write_e4: Write, e4_files: Callable, name: str, change: Callable, message: str
) -> None:
    folder = write_e4(tmp_path / "S", 30, replace={name: change(e4_files(30)[name])})
    with pytest.raises(ReadError, match=message) as caught:
        e4.read_session(folder, subject="S")
    assert name in str(caught.value)
    assert "expected" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "row"),
    [
        ("IBI.csv", "1600000000.0, IBI\n12.5,0.8\n13,gap\n", "row 3"),
        ("IBI.csv", "1600000000.0, IBI\n12.5,0.8\n11.5,0.8\n", "row 3"),
        ("IBI.csv", "1600000000.0, IBI\n12.5,80\n", "row 2"),
        ("HR.csv", "1600000010.0\n1.0\n70\n\n71\n", "row 4"),
        ("tags.csv", "1600000020\n16000000zz\n", "row 2"),
    ],
)
def test_a_damaged_annotation_costs_only_itself_and_is_noted(
    tmp_path: Path, write_e4: Write, name: str, text: str, row: str
) -> None:
    recording = e4.read_session(write_e4(tmp_path / "S", 30, replace={name: text}), subject="S")
    assert len(recording.signals) == 4
    assert [note.what.endswith(name) and row in note.why for note in recording.notes] == [True]


def test_an_ibi_file_with_only_its_header_is_noted(tmp_path: Path, write_e4: Write) -> None:
    recording = e4.read_session(write_e4(tmp_path / "S", 30, replace={"IBI.csv": "1600000000.0, IBI\n"}), subject="S")
    assert "ibi" not in recording.traces
    assert "no values" in recording.notes[0].why


def test_tags_are_unix_times_in_the_files_order_and_may_be_empty(tmp_path: Path, write_e4: Write) -> None:
    assert e4.read_tags(write_e4(tmp_path / "none", 30)).shape == (0,)
    tagged = write_e4(
        tmp_path / "some", 30, replace={"tags.csv": None, "tags_S1.csv": "1600000020.25\r\n1600000010\r\n"}
    )
    np.testing.assert_array_equal(e4.read_tags(tagged), [1600000020.25, 1600000010])


def test_intervals_between_tags_become_events(tmp_path: Path, write_e4: Write) -> None:
    tags = "1600000010\n1600000025\n1600500000\n"
    recording = e4.read_session(write_e4(tmp_path / "S", 60, replace={"tags.csv": tags}), subject="S", trim=5)
    assert recording.events == (Event("after_tag_1", 10.0, 25.0), Event("after_tag_2", 25.0, 55.0))
    assert "500000 s" in recording.notes[0].why


def test_trim_leaves_out_both_ends_and_keeps_times(tmp_path: Path, write_e4: Write) -> None:
    folder = write_e4(tmp_path / "S", 60, offsets={"EDA": 0.1})
    whole = e4.read_session(folder, subject="S")
    events = [Event("a", 0, 20), Event("b", 50, 60), Event("c", 0, 5)]
    cut_session = e4.read_session(folder, subject="S", trim=10, events=events)
    eda = cut_session.signals["eda"]
    assert eda.start == pytest.approx(10.1, abs=1e-6)
    np.testing.assert_array_equal(eda.data[0], whole.signals["eda"].data[0, 40 : 40 + eda.data.shape[1]])
    assert eda.end <= whole.duration - 10 + 1 / 4
    assert cut_session.traces["hr"].times[0] == 10
    assert cut_session.events == (Event("a", 10, 20), Event("b", 50, pytest.approx(50.1)))
    with pytest.raises(ReadError, match="more than twice the trim"):
        e4.read_session(folder, subject="S", trim=40)


def test_cutting_agrees_with_choosing_samples_by_their_times(rng: np.random.Generator) -> None:
    for _ in range(200):
        rate, start = rng.choice([1, 4, 32, 64, 500]), rng.uniform(0, 3)
        signal = Signal(rng.normal(size=(2, 400)).astype(np.float32), float(rate), ("a", "b"), "g", start)
        first, last = np.sort(rng.uniform(-1, 1.2 * signal.end, 2))
        times = start + np.arange(400) / rate
        kept = (times >= first - 1e-9) & (times < last - 1e-9)
        cut_out = e4.cut_signal(signal, first, last)
        np.testing.assert_array_equal(cut_out.data, signal.data[:, kept])
        if kept.any():
            assert cut_out.start == pytest.approx(times[kept][0])
    trace = e4.cut_trace(Trace(np.arange(5.0), np.arange(5, dtype=np.float32)), 1.0, 3.0)
    np.testing.assert_array_equal(trace.times, [1, 2])


def test_an_hour_of_acceleration_is_read_quickly(tmp_path: Path, write_e4: Write) -> None:
    rows = "\n".join(["-12,43,7"] * (3600 * 32))
    text = f"1600000000.0, 1600000000.0, 1600000000.0\n32.0, 32.0, 32.0\n{rows}\n"
    folder = write_e4(tmp_path / "S", 30, replace={"ACC.csv": text})
    e4.load_session(folder)
    start = time.perf_counter()
    session = e4.load_session(folder)
    assert session.signals["acc"].data.shape == (3, 115_200)
    assert time.perf_counter() - start < 1.5  # it takes a tenth of that on an idle machine


# Zips from strangers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../ACC.csv", "/tmp/ACC.csv", "a/../../ACC.csv", "..\\ACC.csv", "C:/ACC.csv"])
def test_a_zip_with_a_name_that_leads_out_is_refused(tmp_path: Path, e4_files: Callable, name: str) -> None:
    path = zipped(tmp_path / "S.zip", {**e4_files(30), name: "1"})
    with pytest.raises(ReadError, match="leads out of the zip"):
        e4.read_session(path, subject="S")


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("EDA.csv")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "S.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ReadError, match=r"EDA\.csv: found a link"):
        e4.read_session(tmp_path / "S.zip", subject="S")


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "LARGEST_FILE", 2**20)
    path = zipped(tmp_path / "S.zip", {"EDA.csv": b"1600000000\n4\n" + b"0\n" * 2**21})
    assert path.stat().st_size < 2**16
    with pytest.raises(ReadError, match=r"EDA\.csv: found more than 1 MiB unpacked"):
        e4.read_session(path, subject="S")


def test_a_zip_with_thousands_of_entries_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "S.zip", {f"{i}": b"" for i in range(10_001)})
    with pytest.raises(ReadError, match="10001 entries"):
        e4.read_session(path, subject="S")


def test_a_zip_that_was_cut_or_is_none_is_refused(tmp_path: Path, e4_files: Callable) -> None:
    whole = zipped(tmp_path / "S.zip", e4_files(30)).read_bytes()
    for content in (b"", b"no zip at all", whole[: len(whole) // 2]):
        (tmp_path / "bad.zip").write_bytes(content)
        with pytest.raises(ReadError, match=r"bad\.zip: found .*; expected a whole zip file"):
            e4.read_session(tmp_path / "bad.zip", subject="S")


def test_a_damaged_member_of_a_zip_is_named(tmp_path: Path, e4_files: Callable) -> None:
    with zipfile.ZipFile(tmp_path / "S.zip", "w", zipfile.ZIP_STORED) as archive:
        for name, text in e4_files(30).items():
            archive.writestr(name, text)
    content = (tmp_path / "S.zip").read_bytes()
    (tmp_path / "S.zip").write_bytes(content.replace(b"0.550000", b"0.650000", 1))
    with pytest.raises(ReadError, match=r"S\.zip, EDA\.csv: found Bad CRC-32"):
        e4.read_session(tmp_path / "S.zip", subject="S")


def test_two_sessions_in_a_zip_are_refused(tmp_path: Path, e4_files: Callable) -> None:
    files = {f"{s}/{name}": text for s in "ab" for name, text in e4_files(30).items()}
    with pytest.raises(ReadError, match="second file of that kind"):
        e4.read_session(zipped(tmp_path / "S.zip", files), subject="S")
    mixed = {"a/EDA.csv": e4_files(30)["EDA.csv"], "b/TEMP.csv": e4_files(30)["TEMP.csv"]}
    with pytest.raises(ReadError, match="in 2 folders"):
        e4.read_session(zipped(tmp_path / "T.zip", mixed), subject="S")


def test_links_out_of_the_session_are_refused_and_links_within_are_followed(tmp_path: Path, write_e4: Write) -> None:
    outside = write_e4(tmp_path / "elsewhere", 30)
    folder = write_e4(tmp_path / "S", 30, replace={"EDA.csv": None})
    (folder / "EDA.csv").symlink_to(outside / "EDA.csv")
    with pytest.raises(ReadError, match=r"EDA\.csv: found a link that leads out"):
        e4.read_session(folder, subject="S")
    (folder / "EDA.csv").unlink()
    (folder / "EDA.csv").symlink_to(folder / "TEMP.csv")
    assert "eda" in e4.read_session(folder, subject="S").signals


# Any laboratory's sessions --------------------------------------------------------------------------------------------


def test_a_folder_of_sessions_gives_a_subject_per_folder_and_zip(
    tmp_path: Path, write_e4: Write, e4_files: Callable
) -> None:
    root = tmp_path / "lab"
    write_e4(root / "P01", 30)
    write_e4(root / "P02" / "P02", 30)
    write_e4(root / "P03" / "monday", 30)
    write_e4(root / "P03" / "tuesday", 30)
    zipped(root / "P04.zip", e4_files(30))
    (root / "notes").mkdir()
    (root / ".hidden").mkdir()
    corpus = load("e4", root)
    found = [(source.subject, source.session) for source in corpus.sources]
    assert found == [("P01", ""), ("P02", ""), ("P03", "monday"), ("P03", "tuesday"), ("P04", "")]
    assert [recording.subject for recording in corpus] == ["P01", "P02", "P03", "P03", "P04"]
    assert corpus.left_out == []
    assert load("e4", root, subjects=["P03"]).subjects == ("P03",)
    assert [s.subject for s in load("e4", root / "P01").sources] == ["P01"]
    assert [s.subject for s in load("e4", root / "P04.zip").sources] == ["P04"]


def test_a_corpus_unpacked_into_a_folder_of_its_own_name_keeps_its_subjects(tmp_path: Path, write_e4: Write) -> None:
    for subject in ("P01", "P02"):
        write_e4(tmp_path / "lab" / "lab" / subject, 30)
    assert load("e4", tmp_path / "lab").subjects == ("P01", "P02")


def test_labels_beside_the_sessions_become_events_and_bad_rows_are_named(tmp_path: Path, write_e4: Write) -> None:
    write_e4(tmp_path / "P01", 60)
    labels = "subject, start, end, label\nP01,5,20,calm\nP01,20,x,pain\nP09,1,2,pain\nP01,30,25,pain\nP01,40,50,pain\n"
    (tmp_path / "labels.csv").write_bytes(b"\xef\xbb\xbf" + labels.replace("\n", "\r\n").encode())
    corpus = load("e4", tmp_path)
    (recording,) = corpus
    assert recording.events == (Event("calm", 5, 20), Event("pain", 40, 50))
    assert [item.what.rsplit(", ", 1)[1] for item in corpus.left_out] == ["row 3", "row 4", "row 5"]


def test_labels_without_their_columns_are_left_out_as_a_whole(tmp_path: Path, write_e4: Write) -> None:
    write_e4(tmp_path / "P01", 30)
    (tmp_path / "labels.csv").write_text("who;from;to\nP01;5;20\n")
    corpus = load("e4", tmp_path)
    assert len(corpus) == 1
    assert "expected subject, start, end, label among them" in corpus.left_out[0].why


def test_labels_outside_the_session_are_named_with_their_row(tmp_path: Path, write_e4: Write) -> None:
    write_e4(tmp_path / "P01", 60)
    rows = ("P01,5,20,calm", "P01,1600000030,1600000040,pain", "P01,40,90,pain", "P01,20,60.5,calm", 'P01,"1,2,pain')
    (tmp_path / "labels.csv").write_text("\n".join(["subject,start,end,label", *rows, "P01,50,55,pain"]))
    corpus = load("e4", tmp_path)
    (recording,) = corpus
    assert recording.events == (
        Event("calm", 5, 20),
        Event("pain", 40, 60),
        Event("calm", 20, 60),
        Event("pain", 50, 55),
    )
    notes = {entry.what.rpartition("/")[2]: entry.why for entry in corpus.left_out}
    assert set(notes) == {"labels.csv, row 3", "labels.csv, row 4", "labels.csv, row 6"}
    assert "1600000030 to 1600000040 s lies outside the session of 60 s (unix time?)" in notes["labels.csv, row 3"]
    assert "pain from 40 to 90 s goes beyond the session of 60 s" in notes["labels.csv, row 4"]


def test_a_sensor_cut_at_the_end_of_a_row_is_noted(tmp_path: Path, write_e4: Write, e4_files: Callable) -> None:
    short = {"EDA.csv": e4_files(100)["EDA.csv"], "TEMP.csv": e4_files(195)["TEMP.csv"]}
    write_e4(tmp_path / "P01", 200, replace=short)
    corpus = load("e4", tmp_path)
    list(corpus)
    (note,) = corpus.left_out
    assert note.what.endswith("EDA.csv")
    assert "eda stops at 100 s of 200 s" in note.why


def test_one_bad_session_is_left_out_with_its_reason_and_the_rest_is_read(tmp_path: Path, write_e4: Write) -> None:
    for subject in ("P01", "P02", "P03"):
        write_e4(tmp_path / subject, 30)
    (tmp_path / "P02" / "BVP.csv").write_bytes(b"1600000000\n64\n1\ntwo\n")
    (tmp_path / "P03" / "TEMP.csv").write_bytes(b"")
    corpus = load("e4", tmp_path)
    assert [recording.subject for recording in corpus] == ["P01", "P03"]
    assert "row 4" in corpus.left_out[0].why
    assert corpus.left_out[0].what.endswith("BVP.csv")
    assert corpus.left_out[1].what.endswith("TEMP.csv")
    list(corpus)
    assert len(corpus.left_out) == 2, "reading again lists nothing twice"


def test_a_session_behind_a_link_out_of_the_root_is_left_out(tmp_path: Path, write_e4: Write) -> None:
    write_e4(tmp_path / "lab" / "P01", 30)
    (tmp_path / "lab" / "P02").symlink_to(write_e4(tmp_path / "elsewhere", 30))
    corpus = load("e4", tmp_path / "lab")
    assert corpus.subjects == ("P01",)
    assert "link" in corpus.left_out[0].why


def test_sources_travel_to_other_processes_and_change_with_content(tmp_path: Path, write_e4: Write) -> None:
    write_e4(tmp_path / "P01", 30)
    (source,) = load("e4", tmp_path).sources
    assert pickle.loads(pickle.dumps(source)).read().subject == "P01"
    before = source.fingerprint()
    assert load("e4", tmp_path).sources[0].fingerprint() == before
    assert load("e4", tmp_path, trim=1).sources[0].fingerprint() != before
    (tmp_path / "P01" / "HR.csv").write_text("1600000010\n1\n80\n")
    assert dataclasses.replace(source).fingerprint() != before


def test_a_place_without_sessions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no E4 session"):
        load("e4", tmp_path)
    with pytest.raises(DataError, match="needs a root"):
        load("e4")
    with pytest.raises(DataError, match="there is no such file or folder"):
        load("e4", tmp_path / "nowhere")
    with pytest.raises(ReadError, match="no such file"):
        e4.read_session(tmp_path / "nowhere", subject="S")


def test_numbers_are_read_as_python_reads_them(rng: np.random.Generator) -> None:
    from limbeck.datasets.numbers import numbers_of, read_table

    alphabet = np.frombuffer(b"0123456789.,-+e \nx\t;\"'#", dtype=np.uint8)
    accepted = 0
    for _ in range(3000):
        weights = np.r_[np.full(10, 3), np.full(len(alphabet) - 10, 0.35)]
        body = rng.choice(alphabet, size=rng.integers(1, 14), p=weights / weights.sum()).tobytes()
        rows = [numbers_of(line, 1) for line in body.rstrip(b" \n\t").split(b"\n")]
        try:
            table = read_table(body, "f", 1, 1)
        except ReadError:
            continue
        accepted += 1
        assert None not in rows, body
        np.testing.assert_allclose(table[:, 0], [row[0] for row in rows if row], rtol=1e-12)
    assert accepted > 300


def test_reading_leaves_the_folder_as_it_was(tmp_path: Path, write_e4: Write) -> None:
    folder = write_e4(tmp_path / "S", 30)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    e4.read_session(folder, subject="S")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_number_that_would_crash_the_parser_is_named() -> None:
    with pytest.raises(ReadError, match="row 2"):
        read_table(b"1,2\n3,1e999700000000\n", "f.csv", 2, 1)
