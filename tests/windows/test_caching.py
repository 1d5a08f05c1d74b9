"""The cache gives what cutting gives, only for what is the same, and survives kills, damage and company."""

import dataclasses
import json
import logging
import multiprocessing
import os
import shutil
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from limbeck.errors import ReadError
from limbeck.recording import Corpus, Event, LeftOut, Recording, Signal, Source
from limbeck.targets import Target
from limbeck.windows import Calibration, cut

TARGET = Target("load", events={"rest": ("rest",), "task": ("task",)})
EVENTS = (Event("rest", 0, 50), Event("task", 50, 100))


def made(corpus, cache, **options):
    usual = {"signals": {"eda": [{"lowpass": 1}]}, "target": TARGET, "length": 10, "hop": 5}
    return cut(corpus, cache=cache, **{**usual, **options})


def plain_corpus(subjects: int = 4) -> Corpus:
    """Sources that any process can read: the recording itself travels."""
    sources = []
    for subject in range(subjects):
        data = np.random.default_rng(subject).normal(size=(1, 400)).astype(np.float32)
        read = partial(Recording, f"S{subject}", {"eda": Signal(data, 4.0, ("eda",), "µS")}, events=EVENTS)
        sources.append(Source(f"S{subject}", read, options={"seed": subject}))
    return Corpus("plain", tuple(sources))


def entries(cache: Path) -> list[Path]:
    return sorted((cache / "windows").glob("*.zarr"))


def test_the_second_time_nothing_is_read_and_the_windows_are_the_same(two_subjects, tmp_path):
    first = made(two_subjects, tmp_path)
    assert two_subjects.truth["reads"] == ["S1", "S2"]
    again = made(two_subjects, tmp_path)
    assert two_subjects.truth["reads"] == ["S1", "S2"]
    assert again.identical(first)
    assert again.identical(made(two_subjects, None))
    assert len(entries(tmp_path)) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"signals": {"eda": [{"lowpass": 1.5}]}},
        {"signals": {"eda": [{"lowpass": {"cutoff": 1, "causal": True}}]}},
        {"signals": {"eda": [{"lowpass": 1}], "acc": []}},
        {"length": 11},
        {"hop": 6},
        {"target": Target("load", events={"task": ("task",), "rest": ("rest",)})},
        {"calibration": Calibration("rest", 20)},
    ],
    ids=["parameter", "option", "modality", "length", "hop", "target", "calibration"],
)
def test_any_change_of_what_is_asked_is_cut_anew(change, two_subjects, tmp_path):
    first = made(two_subjects, tmp_path)
    changed = made(two_subjects, tmp_path, **change)
    assert two_subjects.truth["reads"] == ["S1", "S2"] * 2
    assert changed.attrs["key"] != first.attrs["key"]
    assert changed.identical(made(two_subjects, None, **change))


def test_the_same_asked_in_other_words_is_not_cut_anew(two_subjects, tmp_path):
    made(two_subjects, tmp_path)
    made(two_subjects, tmp_path, signals={"eda": [{"lowpass": {"cutoff": 1, "order": 4, "causal": False}}]})
    assert two_subjects.truth["reads"] == ["S1", "S2"]


def test_one_byte_of_a_file_cuts_that_recording_anew(two_subjects, tmp_path):
    files = [tmp_path / "one.csv", tmp_path / "two.csv"]
    for file in files:
        file.write_bytes(b"1,2,3")
    sources = tuple(
        Source(source.subject, source.read, files=(file,))
        for source, file in zip(two_subjects.sources, files, strict=True)
    )
    corpus = Corpus("files", sources)
    made(corpus, tmp_path)
    files[1].write_bytes(b"1,2,4")
    made(corpus, tmp_path)
    assert two_subjects.truth["reads"] == ["S1", "S2", "S2"]
    os.utime(files[0], (1, 1))
    made(corpus, tmp_path)
    assert two_subjects.truth["reads"] == ["S1", "S2", "S2"]


def test_another_source_of_the_reading_module_cuts_anew(two_subjects, tmp_path, monkeypatch):
    module = tmp_path / "some_reader.py"
    module.write_text("VERSION = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    sources = tuple(
        Source(source.subject, source.read, options=source.options, modules=("some_reader",))
        for source in two_subjects.sources
    )
    corpus = Corpus("modules", sources)
    made(corpus, tmp_path)
    made(corpus, tmp_path)
    assert two_subjects.truth["reads"] == ["S1", "S2"]
    module.write_text("VERSION = 2\n")
    made(corpus, tmp_path)
    assert two_subjects.truth["reads"] == ["S1", "S2"] * 2


@pytest.mark.parametrize(
    "module", ["limbeck.recording", "limbeck.targets.target", "limbeck.windows.cutting", "limbeck.signals.filtering"]
)
def test_another_source_of_the_modules_that_cut_is_another_key(module, two_subjects, tmp_path, monkeypatch):
    first = made(two_subjects, tmp_path)
    changed = tmp_path / "changed.py"
    changed.write_bytes(Path(sys.modules[module].__file__).read_bytes() + b"\n")
    monkeypatch.setattr(sys.modules[module], "__file__", str(changed))
    assert made(two_subjects, tmp_path).attrs["key"] != first.attrs["key"]


def test_another_version_of_a_library_is_another_key(two_subjects, tmp_path, monkeypatch):
    import importlib.metadata

    first = made(two_subjects, None)
    version = importlib.metadata.version
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0" if name == "neurokit2" else version(name))
    assert made(two_subjects, None).attrs["key"] == first.attrs["key"]  # nothing here uses it
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0" if name == "scipy" else version(name))
    assert made(two_subjects, None).attrs["key"] != first.attrs["key"]


def truncate(entry: Path) -> None:
    chunk = entry / "columns" / "c" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-3])


def flip_a_byte(entry: Path) -> None:
    chunk = entry / "eda" / "c" / "0" / "0" / "0"
    content = bytearray(chunk.read_bytes())
    content[100] ^= 0xFF
    chunk.write_bytes(content)


def remove_a_chunk(entry: Path) -> None:
    (entry / "eda" / "c" / "0" / "0" / "0").unlink()


def garble_the_metadata(entry: Path) -> None:
    (entry / "zarr.json").write_bytes(b"\x00\xff{")


def garble_an_array(entry: Path) -> None:
    (entry / "eda" / "zarr.json").write_bytes(b"{}")


def empty(entry: Path) -> None:
    shutil.rmtree(entry)
    entry.mkdir()


def a_file(entry: Path) -> None:
    shutil.rmtree(entry)
    entry.write_text("?")


@pytest.mark.parametrize(
    "damage", [truncate, flip_a_byte, remove_a_chunk, garble_the_metadata, garble_an_array, empty, a_file]
)
def test_a_damaged_entry_is_made_again_with_a_log_line(damage, two_subjects, tmp_path, caplog):
    first = made(two_subjects, tmp_path)
    damage(entries(tmp_path)[0])
    with caplog.at_level(logging.WARNING):
        again = made(two_subjects, tmp_path)
    assert again.identical(first)
    assert len(two_subjects.truth["reads"]) == 3
    assert "is damaged and is made again" in caplog.text
    caplog.clear()
    assert made(two_subjects, tmp_path).identical(first)
    assert len(two_subjects.truth["reads"]) == 3
    assert not caplog.text


def test_what_a_killed_writer_left_is_ignored_and_swept_when_old(two_subjects, tmp_path):
    first = made(two_subjects, tmp_path)
    entry = entries(tmp_path)[0]
    fresh, old = (entry.with_name(f".{entry.name}.{pid}.0.part") for pid in (1, 2))
    shutil.copytree(entry, old)
    entry.rename(fresh)
    os.utime(old, (time.time() - 100_000,) * 2)
    stranger = entry.with_name("notes.txt")
    stranger.write_text("mine")
    assert made(two_subjects, tmp_path).identical(first)
    assert len(two_subjects.truth["reads"]) == 3
    assert fresh.exists()
    assert not old.exists()
    assert stranger.exists()


def test_nothing_unfinished_is_left_when_reading_or_writing_fails(two_subjects, tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="No space left"):
        made(two_subjects, tmp_path)
    assert list((tmp_path / "windows").iterdir()) == []


def test_a_recording_that_cannot_be_read_is_listed_and_the_rest_is_cut(two_subjects, tmp_path):
    def broken() -> Recording:
        raise ReadError("S0.csv", where="row 3", found="'x'", expected="a number")

    corpus = Corpus("broken", (Source("S0", broken), *two_subjects.sources))
    for _ in range(2):
        windows = made(corpus, tmp_path)
        assert windows.subject.attrs["categories"] == ["S1", "S2"]
        assert "S0.csv, row 3: found 'x'; expected a number" in windows.attrs["left_out"]
    assert two_subjects.truth["reads"] == ["S1", "S2"]


def test_what_was_left_out_names_the_files_where_they_lie_now(tmp_path):
    def listed(folder: Path, cache: Path | None) -> list[str]:
        folder.mkdir(exist_ok=True, parents=True)
        (folder / "EDA.csv").write_text("1")
        notes = (LeftOut(f"{folder}/TEMP.csv", f"no samples in {folder}, while there is data"),)
        signals = {"eda": Signal(np.zeros((1, 400), np.float32), 4.0, ("eda",), "µS")}
        read = partial(Recording, "S1", signals, events=EVENTS, notes=notes)
        windows = made(Corpus("moving", (Source("S1", read, files=(folder / "EDA.csv",)),)), cache)
        return windows.attrs["left_out"]

    cache = tmp_path / "cache"
    for folder in (tmp_path / "data" / "S1", tmp_path / "moved" / "elsewhere" / "S1"):
        fresh = listed(folder, None)
        assert str(folder) in fresh
        assert listed(folder, cache) == fresh
    assert len(entries(cache)) == 1
    assert "data" not in json.loads((entries(cache)[0] / "zarr.json").read_text())["attributes"]["facts"].replace(
        "there is data", ""
    )


def test_another_version_of_what_a_reader_uses_cuts_anew(tmp_path, monkeypatch):
    import importlib.metadata

    from limbeck.datasets.e4 import MODULES

    corpus = plain_corpus(1)
    corpus = Corpus("e4", tuple(dataclasses.replace(source, modules=MODULES) for source in corpus.sources))
    first = made(corpus, None).attrs["key"]
    version = importlib.metadata.version
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0" if name == "pandas" else version(name))
    assert made(corpus, None).attrs["key"] != first


@pytest.mark.parametrize("cached", [False, True])
def test_workers_give_the_same_windows_in_the_same_order(cached, tmp_path):
    cache = tmp_path if cached else None
    assert made(plain_corpus(), cache, jobs=2).identical(made(plain_corpus(), None))


def _cut_in_a_process(cache: Path, start: threading.Barrier, results: "multiprocessing.Queue[str]") -> None:
    start.wait()
    results.put(made(plain_corpus(8), cache).attrs["key"])


def test_processes_that_write_the_same_entries_do_not_hurt_each_other(tmp_path):
    context = multiprocessing.get_context("fork")
    results, start = context.Queue(), context.Barrier(3)
    processes = [context.Process(target=_cut_in_a_process, args=(tmp_path, start, results)) for _ in range(3)]
    for process in processes:
        process.start()
    keys = {results.get(timeout=60) for _ in processes}
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
    assert keys == {made(plain_corpus(8), None).attrs["key"]}
    assert len(list((tmp_path / "windows").iterdir())) == 8
    assert made(plain_corpus(8), tmp_path).identical(made(plain_corpus(8), None))


def test_a_cut_that_is_killed_goes_on_where_it_stopped(tmp_path):
    context = multiprocessing.get_context("fork")
    for delay in (0.05, 0.15, 0.3):
        process = context.Process(target=made, args=(plain_corpus(40), tmp_path))
        process.start()
        time.sleep(delay)
        process.kill()
        process.join()
    assert made(plain_corpus(40), tmp_path).identical(made(plain_corpus(40), None))
