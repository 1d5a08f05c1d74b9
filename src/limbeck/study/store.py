"""What is on disk: the store of trained stages, which studies share, and the run directories.

::

    runs/
      cache/                     windows, by content
      store/<key>/group-000/     what one task left: test predictions, knowledge, weights, history
      stress_from_skin-1a2b3c4d/ a run: study, plan, predictions, report, refit

Everything appears under a temporary name and is renamed when whole, so a killed process leaves nothing half done. Only
directories that carry Limbeck's marker are ever removed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from limbeck.atomic import UNFINISHED, temporary_beside, write_atomically
from limbeck.errors import LimbeckError

__all__ = ["MARKER", "Result", "RunInfo", "Store", "list_runs", "remove_run"]

MARKER = "limbeck-run.json"
"""The file that says that a directory is a run of Limbeck."""

UNREADABLE = "unreadable"
"""The state of a run whose marker is damaged."""

_KEY = re.compile(r"[0-9a-f]{32}")


def remove_whole(folder: Path) -> None:
    """Remove a directory so that it is either there as a whole or gone, whenever the process is killed."""
    aside = folder.rename(temporary_beside(folder))
    shutil.rmtree(aside)


def write_json(path: Path, value: Any) -> Path:
    """Write JSON atomically."""
    return write_atomically(path, lambda p: p.write_text(json.dumps(value, indent=1, default=str), encoding="utf-8"))


@dataclass(frozen=True)
class Result:
    """What one task leaves.

    Parameters
    ----------
    members : list of (int, int, int)
        Repetition, fold and seed of each member.
    predictions : DataFrame or None
        A row per member and test window: ``member window p0 p1 ...`` (probabilities) or, of a trace, ``value0 value1
        ...`` (one per step, ``value0`` alone without steps); None if not asked for.
    knowledge : dict of str to ndarray of shape (n_members, n_windows, width), float32
        What is handed over; NaN outside each member's training windows.
    states : list of dict of str to Tensor
        Parameters and buffers of each member.
    epochs : list of int
        The epoch that was kept.
    history : DataFrame
        Learning curves.
    seconds : float
        How long it took.
    chosen : list of int or None
        Of a choice: which candidate was taken for each member.
    """

    members: list[tuple[int, int, int]]
    predictions: pd.DataFrame | None
    knowledge: dict[str, np.ndarray]
    states: list[dict[str, Any]]
    epochs: list[int]
    history: pd.DataFrame
    seconds: float
    chosen: list[int] | None = None


class Store:
    """The trained stages under one folder, by key and group of members.

    Parameters
    ----------
    root : Path
        The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def group(self, key: str, group: int | str) -> Path:
        """Return the folder of one task."""
        return self.root / key / (f"group-{group:03d}" if isinstance(group, int) else group)

    def has(self, key: str, group: int | str) -> bool:
        """Whether a task is done."""
        return (self.group(key, group) / "done.json").is_file()

    def write(self, key: str, group: int | str, result: Result) -> None:
        """Write what a task left; whole or not at all."""
        from safetensors.torch import save_file

        def write(folder: Path) -> None:
            folder.mkdir()
            if result.predictions is not None:
                result.predictions.to_parquet(folder / "predictions.parquet", index=False)
            result.history.to_parquet(folder / "history.parquet", index=False)
            for name, values in result.knowledge.items():
                np.save(folder / f"knowledge.{name}.npy", values)
            tensors = {
                f"{position}/{name}": value.contiguous()
                for position, state in enumerate(result.states)
                for name, value in state.items()
            }
            save_file(tensors, folder / "weights.safetensors")
            done = {"members": result.members, "epochs": result.epochs, "seconds": result.seconds}
            if result.chosen is not None:
                done["chosen"] = result.chosen
            (folder / "done.json").write_text(json.dumps(done), encoding="utf-8")

        write_atomically(self.group(key, group), write)

    def lacks(
        self, key: str, group: int | str, *, knowledge: Iterable[str], predictions: bool
    ) -> tuple[set[str], bool]:
        """Return which knowledge, and whether test predictions, a task that is done has not left yet."""
        folder = self.group(key, group)
        missing = {name for name in knowledge if not (folder / f"knowledge.{name}.npy").is_file()}
        return missing, predictions and not (folder / "predictions.parquet").is_file()

    def add(
        self, key: str, group: int | str, knowledge: Mapping[str, np.ndarray], predictions: pd.DataFrame | None
    ) -> None:
        """Add what a task that is done did not leave because nobody asked for it then."""
        folder = self.group(key, group)
        for name, values in knowledge.items():
            with_values = partial(_save_array, values=values)
            write_atomically(folder / f"knowledge.{name}.npy", with_values)
        if predictions is not None:
            write_atomically(folder / "predictions.parquet", lambda p: predictions.to_parquet(p, index=False))

    def done(self, key: str, group: int | str) -> dict[str, Any]:
        """Return members, epochs and seconds of a task."""
        done: dict[str, Any] = json.loads((self.group(key, group) / "done.json").read_text(encoding="utf-8"))
        return done

    def predictions(self, key: str, group: int | str) -> pd.DataFrame:
        """Return the test predictions of a task."""
        return pd.read_parquet(self.group(key, group) / "predictions.parquet")

    def history(self, key: str, group: int | str) -> pd.DataFrame:
        """Return the learning curves of a task."""
        return pd.read_parquet(self.group(key, group) / "history.parquet")

    def predictions_of(self, key: str, groups: Iterable[int | str], member: tuple[int, int, int]) -> pd.DataFrame:
        """Return the test predictions of one member, whatever group it trained in."""
        for group in groups:
            for position, other in enumerate(self.done(key, group)["members"]):
                if tuple(other) == tuple(member):
                    table = self.predictions(key, group)
                    return table[table["member"] == position].reset_index(drop=True)
        raise LimbeckError(f"{self.root / key} holds nothing of the member {member}; remove that folder and run again.")

    def history_of(self, key: str, groups: Iterable[int | str], member: tuple[int, int, int]) -> pd.DataFrame:
        """Return the learning curve of one member, whatever group it trained in."""
        table = pd.concat([self.history(key, group) for group in groups], ignore_index=True)
        repetition, fold, seed = member
        own = (table["repetition"] == repetition) & (table["fold"] == fold) & (table["seed"] == seed)
        return table[own].reset_index(drop=True)

    def epochs(self, key: str, groups: Iterable[int | str], members: Sequence[tuple[int, int, int]]) -> list[int]:
        """Return the epochs that were kept of the given members."""
        return [int(epoch) for epoch in self._by_member(key, groups, members, "epochs")]

    def chosen(self, key: str, groups: Iterable[int | str], members: Sequence[tuple[int, int, int]]) -> list[int]:
        """Return which candidate was taken for the given members of a choice."""
        return [int(choice) for choice in self._by_member(key, groups, members, "chosen")]

    def _by_member(
        self, key: str, groups: Iterable[int | str], members: Sequence[tuple[int, int, int]], what: str
    ) -> list[Any]:
        found: dict[tuple[int, ...], Any] = {}
        for group in groups:
            done = self.done(key, group)
            found |= {tuple(m): value for m, value in zip(done["members"], done[what], strict=True)}
        return [found[tuple(member)] for member in members]

    def knowledge(
        self, key: str, groups: Iterable[int | str], members: Sequence[tuple[int, int, int]], name: str
    ) -> Any:
        """Return knowledge (n_members, n_windows, width) of the given members, whatever groups they trained in."""
        found: dict[tuple[int, int, int], np.ndarray] = {}
        wanted = set(members)
        for group in groups:
            own = [(position, tuple(m)) for position, m in enumerate(self.done(key, group)["members"])]
            chosen = [(position, m) for position, m in own if m in wanted]
            if chosen:
                values = np.load(self.group(key, group) / f"knowledge.{name}.npy", mmap_mode="r")
                found |= {m: values[position] for position, m in chosen}
        return np.stack([found[member] for member in members])

    def states(
        self, key: str, groups: Iterable[int | str], members: Sequence[tuple[int, int, int]]
    ) -> list[dict[str, Any]]:
        """Return parameters and buffers of the given members."""
        from safetensors import safe_open

        found: dict[tuple[int, ...], dict[str, Any]] = {}
        wanted = set(members)
        for group in groups:
            positions = {tuple(m): p for p, m in enumerate(self.done(key, group)["members"])}
            with safe_open(self.group(key, group) / "weights.safetensors", framework="pt") as file:
                names = list(file.keys())
                for member in wanted & set(positions):
                    prefix = f"{positions[member]}/"
                    found[member] = {n[len(prefix) :]: file.get_tensor(n) for n in names if n.startswith(prefix)}
        return [found[member] for member in members]


def _save_array(file: Path, values: np.ndarray) -> None:
    with file.open("wb") as stream:  # np.save would append .npy to the temporary name
        np.save(stream, values)


@dataclass(frozen=True)
class RunInfo:
    """A run directory, as ``limbeck runs`` lists it."""

    path: Path
    study: str
    state: str
    started: str
    bytes: int
    stages: tuple[str, ...]


def mark_run(folder: Path, *, study: str, state: str, stages: Iterable[str]) -> None:
    """Write the marker of a run: what it is, in which state, which stages of the store it stands on."""
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / MARKER
    before: dict[str, Any] = {}
    if marker.is_file():
        with suppress(ValueError):  # a damaged marker is written anew
            before = json.loads(marker.read_text(encoding="utf-8"))
    content = {
        "format": 1,
        "study": study,
        "state": state,
        "process": [socket.gethostname(), os.getpid()],
        "started": before.get("started", datetime.now(UTC).isoformat(timespec="seconds")),
        # Stages of earlier code stay on the list, or nobody would ever remove them.
        "stages": sorted({*stages, *map(str, before.get("stages", ()))}),
    }
    write_json(marker, content)


def read_run(folder: Path) -> RunInfo:
    """Return what a run directory says of itself.

    Raises
    ------
    LimbeckError
        When the folder is not a run of Limbeck.
    """
    marker = folder / MARKER
    if not marker.is_file():
        raise LimbeckError(
            f"{folder} is not a run of Limbeck: there is no {MARKER} in it. `limbeck runs` lists the runs."
        )
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))
        return RunInfo(
            folder,
            found["study"],
            _state(found),
            found["started"],
            _size(folder),
            tuple(map(str, found.get("stages", ()))),
        )
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise LimbeckError(f"{marker} cannot be read ({error}); expected the JSON that a run writes.") from error


def _state(marker: Mapping[str, Any]) -> str:
    """Return the state of a run; one that says it is running, while its process is gone, was stopped."""
    state = str(marker["state"])
    host, process = marker.get("process", ("", 0))
    dead = host == socket.gethostname() and not _alive(int(process))
    return "stopped" if state == "running" and dead else state


def list_runs(out: Path) -> list[RunInfo]:
    """Return the runs in a folder, oldest first."""
    if not out.is_dir():
        return []
    runs = []
    for folder in sorted(out.iterdir()):
        if (folder / MARKER).is_file():
            try:
                runs.append(read_run(folder))
            except LimbeckError:
                runs.append(RunInfo(folder, folder.name, UNREADABLE, "", _size(folder), ()))
    return sorted(runs, key=lambda run: run.started)


def remove_run(folder: Path) -> int:
    """Remove a run, and the stages of the store that no other run of the same folder stands on.

    Returns
    -------
    int
        Bytes set free.

    Raises
    ------
    LimbeckError
        When the folder is not a run of Limbeck; nothing is removed then.
    """
    if folder.is_symlink():
        raise LimbeckError(f"{folder} is a link; give the run itself, {folder.resolve()}.")
    folder = folder.resolve()
    run = read_run(folder)
    store = folder.parent / "store"
    others = [other for other in list_runs(folder.parent) if other.path.resolve() != folder]
    kept = {key for other in others for key in other.stages}
    if any(other.state == UNREADABLE for other in others):
        # Nobody knows what that one stands on.
        kept |= set(run.stages)
    freed = run.bytes
    remove_whole(folder)
    for key in run.stages:
        stage = store / key
        # A marker is a file that anybody can write: only what is named like a stage and lies in the store goes.
        if key not in kept and _KEY.fullmatch(key) and stage.is_dir() and not stage.is_symlink():
            freed += _size(stage)
            remove_whole(stage)
    return freed


def sweep_unfinished(out: Path) -> None:
    """Remove what killed processes left unfinished in the store, the cache and the runs of a folder.

    Names carry the process, and those that still live are spared; other folders in `out` are not looked at.
    """
    runs = [folder for folder in out.iterdir() if (folder / MARKER).is_file()] if out.is_dir() else []
    for folder in (out / "store", out / "cache", *runs):
        _sweep(folder)


def _sweep(folder: Path) -> None:
    marked = []
    # Other processes write here at the same time; os.walk passes over what is gone by the time it gets there.
    for place, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            if name.startswith(UNFINISHED) and name.count("-") >= 2:
                marked.append((Path(place, name), name.rsplit("-", 2)[-2]))
            elif name.startswith(".") and name.endswith(".part") and name.count(".") >= 4:
                # What the window sets leave: .<name>.<process>.<random>.part
                marked.append((Path(place, name), name.rsplit(".", 3)[-3]))
        folders[:] = [name for name in folders if not name.startswith(".")]
    for path, process in marked:
        if process.isdigit() and not _alive(int(process)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
