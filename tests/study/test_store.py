"""What is on disk appears whole or not at all, and nothing is removed that Limbeck did not make."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from limbeck.errors import LimbeckError
from limbeck.study import store as room
from limbeck.study.store import MARKER, Result, Store, list_runs, mark_run, read_run, remove_run, sweep_unfinished

KEYS = [f"{number:032x}" for number in range(4)]


def a_result(members: list[tuple[int, int, int]], shift: float = 0.0) -> Result:
    return Result(
        members=members,
        predictions=pd.DataFrame({"member": [0], "window": [3], "p0": [0.25], "p1": [0.75]}),
        knowledge={"logits": np.arange(len(members) * 6, dtype=np.float32).reshape(len(members), 3, 2) + shift},
        states=[{"network.weight": torch.full((2,), float(fold) + shift)} for _, fold, _ in members],
        epochs=[1] * len(members),
        history=pd.DataFrame({"epoch": [1], "loss": [0.5]}),
        seconds=0.1,
    )


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two runs that share a stage, a stage that no run stands on, and somebody's own files."""
    out = tmp_path / "runs"
    for key in KEYS:
        Store(out / "store").write(key, 0, a_result([(0, 0, 0)]))
    mark_run(out / "one-00000000", study="one", state="finished", stages=KEYS[:2])
    mark_run(out / "two-00000000", study="two", state="running", stages=KEYS[1:3])
    (out / "mine").mkdir()
    (out / "mine" / "thesis.txt").write_text("years of work")
    return out


def stages(out: Path) -> list[str]:
    return sorted(folder.name for folder in (out / "store").iterdir())


# ---- tasks ----------------------------------------------------------------------------------------------------------


def test_a_result_is_read_back_member_by_member_from_any_group(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(KEYS[0], 0, a_result([(0, 0, 0), (0, 1, 0)]))
    store.write(KEYS[0], 1, a_result([(0, 2, 0)], shift=100.0))
    wanted = [(0, 2, 0), (0, 0, 0)]
    knowledge = store.knowledge(KEYS[0], (0, 1), wanted, "logits")
    np.testing.assert_array_equal(knowledge[:, 0, 0], [100.0, 0.0])
    assert [float(s["network.weight"][0]) for s in store.states(KEYS[0], (0, 1), wanted)] == [102.0, 0.0]
    assert store.done(KEYS[0], 1)["members"] == [[0, 2, 0]]
    assert store.predictions(KEYS[0], 0)["p1"].tolist() == [0.75]
    assert store.history(KEYS[0], 0)["loss"].tolist() == [0.5]


def test_a_result_that_was_not_finished_does_not_count(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.group(KEYS[0], 0)
    unfinished = folder.parent / f".unfinished-{folder.name}-1-00000000"
    unfinished.mkdir(parents=True)
    (unfinished / "weights.safetensors").write_bytes(b"half")
    assert not store.has(KEYS[0], 0)
    store.write(KEYS[0], 0, a_result([(0, 0, 0)]))
    assert store.has(KEYS[0], 0)


def test_a_result_that_fails_while_it_is_written_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    broken = a_result([(0, 0, 0)])
    broken.states[0]["network.weight"] = "no tensor"
    with pytest.raises(AttributeError):
        store.write(KEYS[0], 0, broken)
    assert not store.has(KEYS[0], 0)
    assert list((tmp_path / KEYS[0]).iterdir()) == []


def test_the_first_writer_of_a_result_wins(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(KEYS[0], "refit", a_result([(0, -1, 0)]))
    store.write(KEYS[0], "refit", a_result([(0, -1, 0)], shift=5.0))
    assert float(store.states(KEYS[0], ("refit",), [(0, -1, 0)])[0]["network.weight"][0]) == -1.0
    assert [file.name for file in (tmp_path / KEYS[0]).iterdir()] == ["refit"]


def test_knowledge_and_predictions_that_are_asked_for_later_are_added(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = a_result([(0, 0, 0)])
    store.write(KEYS[0], 0, Result(**{**vars(first), "predictions": None}))
    lacking = store.lacks(KEYS[0], 0, knowledge=["logits", "hidden"], predictions=True)
    assert lacking == ({"hidden"}, True)
    store.add(KEYS[0], 0, {"hidden": np.ones((1, 3, 4), np.float32)}, first.predictions)
    assert store.lacks(KEYS[0], 0, knowledge=["logits", "hidden"], predictions=True) == (set(), False)
    assert store.knowledge(KEYS[0], (0,), [(0, 0, 0)], "hidden").shape == (1, 3, 4)
    assert len(store.predictions(KEYS[0], 0)) == 1
    assert not list(tmp_path.rglob(".unfinished*"))


# ---- files ----------------------------------------------------------------------------------------------------------


def test_a_file_is_replaced_as_a_whole_and_a_failure_leaves_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "plan.json"
    room.write_json(file, {"a": 1})
    room.write_json(file, {"a": 2})

    def half(path: Path) -> None:
        path.write_text("{")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        room.write_atomically(file, half)
    assert json.loads(file.read_text()) == {"a": 2}
    assert [f.name for f in file.parent.iterdir()] == ["plan.json"]


def test_what_dead_processes_left_is_swept_and_what_living_ones_write_is_spared(tmp_path: Path) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    process = dead.stdout.strip()
    (tmp_path / "store" / KEYS[0]).mkdir(parents=True)
    for name in ("run", "cache", "others"):
        (tmp_path / name).mkdir()
    mark_run(tmp_path / "run", study="s", state="running", stages=[])
    left = [
        tmp_path / "run" / f".unfinished-plan.json-{process}-0a1b2c3d",
        tmp_path / "store" / KEYS[0] / f".unfinished-group-000-{process}-0a1b2c3d",
        tmp_path / "cache" / f".abc.zarr.{process}.0123.part",
    ]
    spared = [
        tmp_path / "run" / f".unfinished-study.yaml-{os.getpid()}-0a1b2c3d",
        tmp_path / "cache" / f".def.zarr.{os.getpid()}.0123.part",
        tmp_path / "store" / ".unfinished-thoughts",
        tmp_path / "others" / f".unfinished-thesis-{process}-0a1b2c3d",
    ]
    for path in (left[1], left[2], spared[1]):
        path.mkdir()
        (path / "half").write_text("half")
    for path in (left[0], spared[0], spared[2], spared[3]):
        path.write_text("half")
    sweep_unfinished(tmp_path)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in spared)


# ---- runs -----------------------------------------------------------------------------------------------------------


def test_runs_are_listed_by_what_their_markers_say(runs: Path) -> None:
    found = list_runs(runs)
    assert [(run.study, run.state, run.stages) for run in found] == [
        ("one", "finished", tuple(KEYS[:2])),
        ("two", "running", tuple(KEYS[1:3])),
    ]
    assert all(run.bytes > 0 for run in found)
    assert list_runs(runs / "nowhere") == []


def test_a_run_keeps_the_time_of_its_start(runs: Path) -> None:
    marker = runs / "one-00000000" / MARKER
    marker.write_text(marker.read_text().replace(read_run(runs / "one-00000000").started, "2020-01-01T00:00:00+00:00"))
    mark_run(runs / "one-00000000", study="one", state="finished", stages=KEYS[:2])
    assert read_run(runs / "one-00000000").started == "2020-01-01T00:00:00+00:00"


def test_removing_a_run_keeps_the_stages_that_other_runs_stand_on(runs: Path) -> None:
    freed = remove_run(runs / "one-00000000")
    assert freed > 0
    assert stages(runs) == KEYS[1:]
    assert not (runs / "one-00000000").exists()
    assert (runs / "mine" / "thesis.txt").read_text() == "years of work"
    assert (runs / "two-00000000" / MARKER).is_file()
    remove_run(runs / "two-00000000")
    assert stages(runs) == KEYS[3:]
    assert not list(runs.rglob(".unfinished*"))


def test_a_run_is_removed_by_whatever_path_it_is_named(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs / "mine")
    remove_run(Path("..") / "mine" / ".." / "one-00000000")
    assert stages(runs) == KEYS[1:]


@pytest.mark.parametrize("name", ["mine", ".", "store", "nowhere"])
def test_a_folder_that_is_no_run_is_refused(runs: Path, name: str) -> None:
    before = sorted(runs.rglob("*"))
    with pytest.raises(LimbeckError, match="is not a run of Limbeck"):
        remove_run(runs / name)
    assert sorted(runs.rglob("*")) == before


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"study": "one"}'])
def test_a_marker_that_cannot_be_read_is_named_and_nothing_is_removed(runs: Path, text: str) -> None:
    (runs / "one-00000000" / MARKER).write_text(text)
    with pytest.raises(LimbeckError, match=MARKER):
        remove_run(runs / "one-00000000")
    assert stages(runs) == KEYS


@pytest.mark.parametrize("key", ["..", ".", "", "../mine", "mine", "/", 5, "A" * 32])
def test_a_marker_cannot_name_anything_but_a_stage_for_removal(runs: Path, key: object) -> None:
    outside = runs / "store" / ("A" * 32)
    outside.mkdir()
    marker = runs / "one-00000000" / MARKER
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "stages": [key]}))
    remove_run(runs / "one-00000000")
    assert stages(runs) == sorted([*KEYS, "A" * 32])
    assert (runs / "mine" / "thesis.txt").is_file()


def test_links_are_not_followed(runs: Path, tmp_path: Path) -> None:
    treasure = tmp_path / "treasure"
    (treasure / "deep").mkdir(parents=True)
    (treasure / "deep" / "gold").write_text("gold")
    (runs / "one-00000000" / "link").symlink_to(treasure)
    linked = runs / "store" / ("f" * 32)
    linked.symlink_to(treasure)
    marker = runs / "one-00000000" / MARKER
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "stages": [linked.name]}))
    (tmp_path / "alias").symlink_to(runs / "one-00000000")
    with pytest.raises(LimbeckError, match="is a link"):
        remove_run(tmp_path / "alias")
    remove_run(runs / "one-00000000")
    assert (treasure / "deep" / "gold").read_text() == "gold"
    assert linked.is_symlink()
