"""The windows of each recording, made once and kept in a cache."""

from __future__ import annotations

import json
import logging
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.errors import DataError, ReadError
from limbeck.recording import Corpus, LeftOut, Source
from limbeck.windows.cutting import cut_recording, name_of
from limbeck.windows.plan import Plan
from limbeck.windows.storing import load, read_attributes, temporary_name, write

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Piece", "each_subject", "sweep", "windows_of"]

logger = logging.getLogger(__name__)

_NEAR = 3
"""Folders above a file that may stand in messages: of the session, of the subject, of the corpus."""

_MARK = "\x00folder {}\x00"
"""Stands for a folder in stored text; no file's name holds a zero byte."""


@dataclass
class Piece:
    """The windows of one recording: in memory, or in the cache.

    `facts` is known without the arrays: identity, order, counts, layouts of the modalities, which windows have a
    value of which target, ratings, events, what was left out, seconds of calibration. Where not all windows are used,
    since ratings give them no class, `kept` says which are; `facts` counts these then.
    """

    source: Source
    wanted: float
    key: str
    facts: dict[str, Any]
    windows: xr.Dataset | None = None
    kept: np.ndarray | None = None


def each_subject(
    corpus: Corpus, plan: Plan, store: Path | None, jobs: int
) -> Iterator[tuple[list[Source], tuple[list[Piece], list[LeftOut]]]]:
    """Yield each subject's sources with their pieces and what could not be read.

    Parameters
    ----------
    corpus : Corpus
    plan : Plan
    store : Path or None
        Folder of the cache.
    jobs : int
        Worker processes, over subjects.

    Yields
    ------
    list of Source, (list of Piece, list of LeftOut)
        In the order of the corpus.
    """
    subjects: dict[str, list[Source]] = {}
    for source in corpus.sources:
        subjects.setdefault(source.subject, []).append(source)
    groups = list(subjects.values())
    if jobs == 1 or len(groups) <= 1:
        results: Iterable[tuple[list[Piece], list[LeftOut]]] = (cut_subject(group, plan, store) for group in groups)
    else:
        import joblib

        work = (joblib.delayed(cut_subject)(group, plan, store) for group in groups)
        results = joblib.Parallel(n_jobs=jobs, backend="loky", return_as="generator")(work)
    yield from zip(groups, results, strict=True)


def cut_subject(sources: list[Source], plan: Plan, store: Path | None) -> tuple[list[Piece], list[LeftOut]]:
    """Cut a subject's recordings in the order of recording, since the earliest ones give the calibration."""
    pieces, left_out = _cut_in_turn(sources, plan, store)
    if plan.calibration is None:
        return pieces, left_out
    sessions = list(dict.fromkeys(source.session for source in sources))
    ranks = [(sessions.index(piece.facts["session"]), piece.facts["order"]) for piece in pieces]
    if ranks == sorted(ranks):
        return pieces, left_out
    # the corpus lists them otherwise than they were recorded, which only reading could tell: once more, in their order
    in_order = [pieces[index].source for index in sorted(range(len(pieces)), key=ranks.__getitem__)]
    pieces, again = _cut_in_turn(in_order, plan, store)
    return pieces, list(dict.fromkeys([*left_out, *again]))


def _cut_in_turn(sources: list[Source], plan: Plan, store: Path | None) -> tuple[list[Piece], list[LeftOut]]:
    wanted = plan.calibration.seconds if plan.calibration else 0.0
    pieces, left_out = [], []
    for source in sources:
        try:
            piece = _piece(source, plan, wanted, store)
        except ReadError as error:
            left_out.append(LeftOut(what=error.file, why=str(error)))
        except DataError as error:
            left_out.append(LeftOut(what=name_of(source), why=str(error)))
        else:
            pieces.append(piece)
            wanted = max(0.0, wanted - piece.facts["calibration_seconds"])
    return pieces, left_out


def _piece(source: Source, plan: Plan, wanted: float, store: Path | None) -> Piece:
    key = plan.key(source, wanted)
    path = store / f"{key}.zarr" if store is not None else None
    if path is not None and path.exists():
        try:
            return Piece(source, wanted, key, _attached(json.loads(read_attributes(path)["facts"]), source))
        except (DataError, KeyError, ValueError) as error:
            discard(path, str(error))
    windows = cut_recording(source.read(), plan, wanted)
    facts = json.loads(windows.attrs["facts"])
    if path is None:
        return Piece(source, wanted, key, facts, windows)
    path.parent.mkdir(parents=True, exist_ok=True)
    _keep(windows, path, source)
    return Piece(source, wanted, key, facts)


def windows_of(piece: Piece, plan: Plan, store: Path | None) -> xr.Dataset:
    """Return a piece's arrays, from memory or the cache; a damaged entry is made again.

    Parameters
    ----------
    piece : Piece
    plan : Plan
        The one that the piece was made for.
    store : Path or None
        Folder of the cache.

    Returns
    -------
    xarray.Dataset
        As of :func:`limbeck.windows.cutting.cut_recording`.
    """
    if piece.windows is not None:
        return piece.windows
    if store is None:
        raise DataError(f"The windows of {name_of(piece.source)} are neither in memory nor in a cache.")
    path = store / f"{piece.key}.zarr"
    try:
        return _unpacked(load(path))
    except DataError as error:
        discard(path, str(error))
    windows = cut_recording(piece.source.read(), plan, piece.wanted)
    _keep(windows, path, piece.source)
    return windows


def _keep(windows: xr.Dataset, path: Path, source: Source) -> None:
    """Write an entry; what was left out is stored without the folders of the files, which may move."""
    facts = json.loads(windows.attrs["facts"])
    write(_packed(windows).assign_attrs(facts=json.dumps(_detached(facts, source))), path)


def _packed(windows: xr.Dataset) -> xr.Dataset:
    """Put the variables that have one number per window into one array, since an entry pays for each that it holds.

    All of them are exact as float64: times, classes, counts, and yes or no.
    """
    names = [str(name) for name, variable in windows.data_vars.items() if variable.dims == ("window",)]
    table = np.stack([windows[name].to_numpy().astype(np.float64) for name in names], axis=1)
    about = [[name, windows[name].dtype.str, dict(windows[name].attrs)] for name in names]
    return windows.drop_vars(names).assign(columns=(("window", "column"), table, {"about": about}))


def _unpacked(stored: xr.Dataset) -> xr.Dataset:
    """Return what was packed; an entry of another form is damaged."""
    try:
        columns = stored["columns"]
        about = columns.attrs["about"]
        single = {
            name: ("window", column.astype(np.dtype(kind)), attributes)
            for (name, kind, attributes), column in zip(about, columns.to_numpy().T, strict=True)
        }
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"The windows are damaged ({type(error).__name__}: {error}).") from error
    return stored.drop_vars("columns").assign(single)


def _folders(source: Source) -> list[str]:
    """Return the folders above a source's files, the nearest first, as messages write them."""
    return [str(folder) for folder in source.files[0].parents[:_NEAR] if folder.name] if source.files else []


def _detached(facts: dict[str, Any], source: Source) -> dict[str, Any]:
    """Put marks in place of the folders that `left_out` names."""
    text = facts["left_out"]
    for number, folder in enumerate(_folders(source)):
        named = re.compile(rf"(?<![^\s'\"(]){re.escape(folder)}(?=[/\\:,])")  # as a path, not as a word
        text = [[named.sub(_MARK.format(number), part) for part in entry] for entry in text]
    return {**facts, "left_out": text}


def _attached(facts: dict[str, Any], source: Source) -> dict[str, Any]:
    """Put the folders where the files lie now in place of the marks."""
    text, folders = facts["left_out"], _folders(source)
    for number in range(_NEAR):
        folder = folders[number] if number < len(folders) else ""
        text = [[part.replace(_MARK.format(number), folder) for part in entry] for entry in text]
    return {**facts, "left_out": text}


def discard(path: Path, why: str) -> None:
    logger.warning("The cache entry %s is damaged and is made again: %s", path.name, why)
    aside = temporary_name(path)
    with suppress(FileNotFoundError):  # another process was quicker
        path.rename(aside)
        if aside.is_dir():
            shutil.rmtree(aside)
        else:
            aside.unlink()


def sweep(folder: Path) -> None:
    """Remove from a cache what writers that were killed left behind more than a day ago."""
    yesterday = time.time() - 86_400
    for left in folder.glob(".*.zarr.*.part"):
        with suppress(FileNotFoundError):  # another process sweeps too
            if left.stat().st_mtime < yesterday:
                shutil.rmtree(left)
