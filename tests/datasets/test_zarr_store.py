"""Recordings converted to Zarr: what is damaged is named, and nothing beyond the folder is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from corpora.zarr_store import recording, sources

from limbeck.datasets import checks_of, load
from limbeck.datasets.converting import convert
from limbeck.datasets.zarr_store import looks_like
from limbeck.errors import DataError, ReadError
from limbeck.recording import Corpus, LeftOut


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Three recordings of two subjects."""
    corpus = Corpus("invented", sources(3), [LeftOut("S7", "never came")])
    return convert(corpus, tmp_path / "store", to="zarr").out


def change(folder: Path, **entries: Any) -> None:
    """Change entries of a group's attributes; those that are None are taken out."""
    file = folder / "zarr.json"
    content = json.loads(file.read_text())
    content["attributes"] |= entries
    content["attributes"] = {key: value for key, value in content["attributes"].items() if value is not None}
    file.write_text(json.dumps(content))


def test_everything_comes_back(store: Path) -> None:
    corpus = load("zarr", store)
    found = list(corpus)
    wanted = [source.read() for source in sources(3)]
    assert [(r.subject, r.session, r.trial, r.order) for r in found] == [
        (r.subject, r.session, r.trial, r.order) for r in wanted
    ]
    assert found[0].clocks == wanted[0].clocks
    assert found[0].notes == wanted[0].notes
    assert found[0].events == wanted[0].events
    assert repr(found[0].ratings) == repr(wanted[0].ratings)
    assert LeftOut("S7", "never came") in corpus.left_out
    assert looks_like(store)
    assert not looks_like(store / "r00000")


def test_subjects_are_chosen(store: Path) -> None:
    assert load("zarr", store, subjects=["S/2"]).subjects == ("S/2",)
    with pytest.raises(DataError, match="no subject 'S/3'"):
        load("zarr", store, subjects=["S/3"])


@pytest.mark.parametrize("kind", ["gone", "short", "changed"])
def test_a_damaged_chunk_costs_its_recording(store: Path, kind: str) -> None:
    chunk = store / "r00001/eeg/c/0/0"
    content = chunk.read_bytes()
    if kind == "gone":
        chunk.unlink()
    else:
        chunk.write_bytes(content[:-4] if kind == "short" else bytes([content[0] ^ 1]) + content[1:])
    corpus = load("zarr", store)
    assert [r.trial for r in corpus] == ["first", ""]
    assert any("r00001" in item.what for item in corpus.left_out)
    check = list(checks_of("zarr")(store, corpus))[1]
    assert check.passed is (kind == "changed")  # the sizes are looked at; the sums when it is read


@pytest.mark.parametrize(
    ("entries", "where"),
    [
        ({"order": "first"}, "order"),
        ({"files": None}, "files"),
        ({"files": {"../../secret": 3}}, "files"),
        (
            {"signals": {"eeg": {"rate": -1, "channels": ["a", "b"], "unit": "µV", "start": 0}}},
            "positive sampling rate",
        ),
        ({"signals": {"eeg": {"rate": 128, "channels": ["a"], "unit": "µV", "start": 0}}}, "name per channel"),
        ({"signals": {"../eeg": {"rate": 128, "channels": ["a"], "unit": "µV", "start": 0}}}, "modalities"),
        ({"events": [["film", 0.0]]}, "events"),
        ({"ratings": [["valence", "much"]]}, "ratings"),
        ({"subject": "someone else"}, "subject"),
    ],
)
def test_what_is_wrong_in_a_recording_is_named(store: Path, entries: dict[str, Any], where: str) -> None:
    change(store / "r00000", **entries)
    with pytest.raises(ReadError, match=where):
        load("zarr", store).sources[0].read()


@pytest.mark.parametrize(
    ("key", "value"),
    [("shape", [2, 2**39]), ("shape", [-1, 300]), ("data_type", "float64"), ("codecs", [{"name": "gzip"}])],
)
def test_an_array_that_is_not_as_limbeck_writes_is_refused_before_it_is_read(store: Path, key: str, value: Any) -> None:
    file = store / "r00000/eeg/zarr.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    with pytest.raises(ReadError):
        load("zarr", store).sources[0].read()


def test_a_list_of_recordings_cannot_lead_out(store: Path) -> None:
    entry = {"group": "../r00000", "subject": "x", "session": "", "trial": ""}
    change(store, recordings=[entry])
    with pytest.raises(ReadError, match="a group such as"):
        load("zarr", store)


def test_a_link_out_of_the_folder_is_not_followed(store: Path, tmp_path: Path) -> None:
    (store / "r00000").rename(tmp_path / "elsewhere")
    (store / "r00000").symlink_to(tmp_path / "elsewhere")
    corpus = load("zarr", store)
    assert len(list(corpus)) == 2
    assert any("not followed" in item.why for item in corpus.left_out)


def test_another_version_is_refused(store: Path) -> None:
    change(store, version=2)
    with pytest.raises(ReadError, match="version"):
        load("zarr", store)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="converted"):
        load("zarr", tmp_path)
    with pytest.raises(DataError, match="needs a root"):
        load("zarr")


def test_the_checks_find_a_recording_that_is_gone(store: Path, tmp_path: Path) -> None:
    checks = list(checks_of("zarr")(store, load("zarr", store)))
    assert [check.passed for check in checks] == [True, True]
    (store / "r00002").rename(tmp_path / "elsewhere")
    [check, _] = checks_of("zarr")(store, load("zarr", store))
    assert check.passed is False
    assert "r00002" in check.found


def test_a_long_recording_lies_in_chunks(tmp_path: Path) -> None:
    import numpy as np

    from limbeck.datasets.zarr_store import manifest, write_recording
    from limbeck.recording import Recording, Signal

    data = np.arange(2 * 1_500_000, dtype=np.float32).reshape(2, -1)
    write_recording(Recording("1", {"ecg": Signal(data, 1000.0, ("a", "b"), "mV")}), tmp_path / "r0")
    manifest(tmp_path, "x", [{"group": "r0", "subject": "1", "session": "", "trial": ""}], [])
    assert len([file for file in (tmp_path / "r0/ecg/c").rglob("*") if file.is_file()]) == 2
    [found] = load("zarr", tmp_path)
    np.testing.assert_array_equal(found.signals["ecg"].data, data)


def test_a_fixture_holds_every_kind_of_content() -> None:
    held = recording(0, "1", "", "", 0)
    assert held.signals
    assert held.events
    assert held.traces
    assert held.notes
    assert held.clocks
    assert held.ratings
