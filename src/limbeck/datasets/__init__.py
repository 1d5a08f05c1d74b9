"""Data sets: readers that list the recordings of a corpus without reading them.

A *data set* is a function ``reader(root, **options) -> Corpus``, registered under the name by which studies and the
command line call it. Its module is imported when the data set is asked for, so that listing names costs nothing.

=================== ==========================================================================
`load`              the corpus of a registered data set
`read_files`        single files from outside, for prediction: E4 sessions, EDF, BDF and XDF
`available`, `info` names, and what a data set holds
`guess`             which reader fits a file or folder
`data_home`         where fetched data sets lie
=================== ==========================================================================
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from limbeck.errors import DataError, ReadError
from limbeck.recording import Corpus, LeftOut, Source
from limbeck.registry import Registry

__all__ = [
    "DATASETS",
    "Check",
    "Checks",
    "DatasetInfo",
    "available",
    "checks_of",
    "data_home",
    "dataset",
    "guess",
    "how_to_get",
    "info",
    "load",
    "locate",
    "read_files",
]

_MODULES = {
    "amigos": "limbeck.datasets.amigos",
    "ascertain": "limbeck.datasets.ascertain",
    "bids": "limbeck.datasets.bids",
    "biovid": "limbeck.datasets.biovid",
    "case": "limbeck.datasets.case",
    "cogwear": "limbeck.datasets.cogwear",
    "csv": "limbeck.datasets.csv",
    "deap": "limbeck.datasets.deap",
    "decaf": "limbeck.datasets.unknown",
    "dreamer": "limbeck.datasets.dreamer",
    "e4": "limbeck.datasets.e4",
    "edf": "limbeck.datasets.edf",
    "eegmat": "limbeck.datasets.eegmat",
    "emopain": "limbeck.datasets.emopain",
    "joined": "limbeck.datasets.joined",
    "k-emocon": "limbeck.datasets.k_emocon",
    "lumed-2": "limbeck.datasets.unknown",
    "mahnob-hci": "limbeck.datasets.mahnob",
    "seed": "limbeck.datasets.seed",
    "seed-iv": "limbeck.datasets.seed_iv",
    "simulated": "limbeck.datasets.simulated",
    "stress-predict": "limbeck.datasets.stress_predict",
    "stressid": "limbeck.datasets.stressid",
    "wesad": "limbeck.datasets.wesad",
    "xdf": "limbeck.datasets.xdf",
    "zarr": "limbeck.datasets.zarr_store",
}


class _LazyRegistry(Registry):
    """A registry that imports the module of an entry when the entry is asked for."""

    def __getitem__(self, name: str) -> Callable[..., Any]:
        if name in _MODULES:
            importlib.import_module(_MODULES[name])
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        return name in _MODULES or super().__contains__(name)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*_MODULES, *self._entries}))

    def __len__(self) -> int:
        return len({*_MODULES, *self._entries})


DATASETS: Registry = _LazyRegistry("data set")
"""Every registered data set by name; the reader's docstring is its help."""


@dataclass(frozen=True)
class DatasetInfo:
    """What a data set holds and who may use it.

    Parameters
    ----------
    title : str
        One line.
    modalities : tuple of str
        What its recordings hold, as in :data:`limbeck.recording.MODALITIES`.
    subjects : int
        Subjects as published; 0 where the user brings the recordings.
    licence, citation, url : str
        Terms, what to cite, where it comes from; empty where the user brings the recordings.
    access : {"open", "gated", "simulated", "own", "unread"}
        Free to fetch, on request, made by Limbeck, the user's own files, or a corpus whose files nobody has described.
    checked : str
        What the reader was checked against.
    obtain : str
        How to get it: whom to ask, which archives to take; empty where the user brings the recordings.
    uncertain : tuple of str
        What is not known for certain of its files, each with the option that decides it.
    names : tuple of str
        The subjects as published, as the reader names them; empty where that is not known.
    each : int
        Recordings of every subject as published; 0 where they differ, or that is not known.
    """

    title: str
    modalities: tuple[str, ...]
    subjects: int
    licence: str
    citation: str
    url: str
    access: Literal["open", "gated", "simulated", "own", "unread"]
    checked: str
    obtain: str = ""
    uncertain: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    each: int = 0


@dataclass(frozen=True)
class Check:
    """One thing that was looked at in a corpus.

    Parameters
    ----------
    what : str
        What should hold, as a sentence without its dot: ``"labels of s01.dat equal participant_ratings.csv"``.
    passed : bool or None
        Whether it holds; None where it could not be looked at, for want of a file.
    found : str
        What was found: where it fails, the file and the row; where it could not be looked at, what is missing. Lines
        are told one below the other.
    incomplete : bool
        Whether it holds of what is there, and something that was published is not: no failure, and not all is well.
    """

    what: str
    passed: bool | None
    found: str = ""
    incomplete: bool = False

    def __post_init__(self) -> None:
        if self.incomplete and self.passed is not None:
            raise ValueError("what is incomplete has neither passed nor failed")


Checks = Callable[[Path, Corpus], Iterator[Check]]
"""What looks over a corpus beyond what every reader sees: ``checks(root, corpus)``, `root` as `locate` gives it."""


_INFOS: dict[str, DatasetInfo] = {}
_CHECKS: dict[str, Checks] = {}


def dataset(
    name: str, *, info: DatasetInfo, checks: Checks | None = None
) -> Callable[[Callable[..., Corpus]], Callable[..., Corpus]]:
    """Register a reader ``reader(root, **options) -> Corpus`` under `name`, with what can be checked of its files."""

    def decorate(reader: Callable[..., Corpus]) -> Callable[..., Corpus]:
        DATASETS.register(name)(reader)
        _INFOS[name] = info
        if checks is not None:
            _CHECKS[name] = checks
        return reader

    return decorate


def available() -> list[str]:
    """Return the names of all data sets, sorted; imports no reader."""
    return list(DATASETS)


def info(name: str) -> DatasetInfo:
    """Return what is known about a data set.

    Raises
    ------
    LimbeckError
        There is no data set of that name.
    """
    DATASETS[name]  # an unknown name is refused here; a known one registers its info on import
    return _INFOS[name]


def checks_of(name: str) -> Checks | None:
    """Return what a reader's module can check of its corpus, None if nothing.

    Raises
    ------
    LimbeckError
        There is no data set of that name.
    """
    DATASETS[name]
    return _CHECKS.get(name)


def load(name: str, root: str | Path | None = None, **options: Any) -> Corpus:
    """List the recordings of a data set; signals are read when the corpus is iterated.

    Parameters
    ----------
    name : str
        One of :func:`available`.
    root : path-like, optional
        The data set's folder as published; by default where ``limbeck datasets fetch`` puts it.
    **options
        What the reader takes, see ``limbeck datasets describe NAME``.

    Returns
    -------
    Corpus

    Raises
    ------
    DataError
        Unknown name or options (all of them in one message), or nothing to read in `root`.
    ReadError
        `root` is not laid out as the data set is published.
    """
    mistakes = DATASETS.mistakes(name, options)
    if mistakes:
        raise DataError(" ".join(mistakes))
    return DATASETS[name](None if root is None else Path(root), **options)


def data_home() -> Path:
    """Return the folder of fetched data sets: ``$LIMBECK_DATA``, else ``limbeck`` in the user's data folder."""
    named = os.environ.get("LIMBECK_DATA")
    if named:
        return Path(named).expanduser()
    shared = os.environ.get("XDG_DATA_HOME")
    return (Path(shared) if shared else Path.home() / ".local" / "share") / "limbeck"


def locate(name: str, root: Path | None) -> Path:
    """Return the folder (or file) of a data set, by default where it is fetched to.

    Raises
    ------
    DataError
        It is not there.
    """
    place = Path(root) if root is not None else data_home() / name
    if not place.exists():
        advice = "Correct the path." if root is not None else how_to_get(name)
        raise DataError(f"The data set '{name}' is not in {place}: there is no such file or folder. {advice}")
    return place


def how_to_get(name: str) -> str:
    """Return in a sentence or two how to come by a data set, and what to do with it then."""
    from limbeck.datasets.fetch import fetchable

    if name in fetchable():
        return f"Run `limbeck datasets fetch {name}`, or give its folder as root."
    known = info(name)
    if known.access not in ("open", "gated"):
        return "Give its folder as root."
    ways = {"open": f"It is at {known.url}.", "gated": f"It is given on request, see {known.url}."}
    return f"Limbeck cannot download it. {known.obtain or ways[known.access]} Then give its folder as root."


_GUESSED_FILES: tuple[str, ...] = ("edf", "xdf", "dreamer", "e4")
_GUESSED_FOLDERS: tuple[str, ...] = (
    *("stress-predict", "deap", "wesad", "ascertain", "biovid", "mahnob-hci", "cogwear", "amigos", "dreamer"),
    *("seed-iv", "seed", "stressid", "k-emocon", "case", "emopain", "eegmat"),
    *("zarr", "bids", "csv", "e4", "xdf", "edf"),
)  # in this order


def guess(path: str | Path) -> str:
    """Return the name of the data set whose reader fits a file or folder.

    Files are judged by their first bytes, folders by the names in them; published corpora come before formats that
    they may hold files of.

    Raises
    ------
    ReadError
        No reader fits, or there is no such file.
    """
    path = Path(path)
    if not path.exists():
        raise ReadError(path, found="no such file or folder", expected="a recording", advice="Correct the path.")
    for name in _GUESSED_FILES if path.is_file() else _GUESSED_FOLDERS:
        if importlib.import_module(_MODULES[name]).looks_like(path):
            return name
    from limbeck.datasets.guessing import near_misses

    raise ReadError(
        path,
        found="nothing that a reader knows",
        expected="an Empatica E4 session (folder or zip), an EDF, BDF or XDF file, a folder of these, of BIDS or CSV "
        "recordings, or a data set of `limbeck datasets list`",
        advice=" ".join(near_misses(path)),
    )


def read_files(paths: list[Path]) -> Corpus:
    """List new recordings, to be predicted on: E4 sessions (folder or zip), EDF, BDF and XDF files, mixed as they come.

    Parameters
    ----------
    paths : list of Path
        Files and folders; a folder may hold several sessions or files.

    Returns
    -------
    Corpus
        With a subject per file, named by its stem (with the folder's name before it where stems coincide). What cannot
        be read is on `left_out`.

    Raises
    ------
    ReadError
        None of the paths holds a recording.
    """
    from limbeck.datasets import e4, edf, xdf
    from limbeck.datasets.files import renamed

    readers = {"e4": e4, "stress-predict": e4, "edf": edf, "eegmat": edf, "xdf": xdf}
    sources: list[Source] = []
    left_out: list[LeftOut] = []
    failures: list[ReadError] = []
    for path in map(Path, paths):
        try:
            name = guess(path)
            if name not in readers:
                raise ReadError(
                    path,
                    found=f"a folder of {name}",
                    expected="an Empatica E4 session or an EDF, BDF or XDF file",
                    advice=f"Read it in a study as data: {{corpus: {name}, root: ...}}.",
                )
            found = readers[name].list_sessions(path)
        except ReadError as error:
            failures.append(error)
            left_out.append(LeftOut(what=error.file, why=str(error)))
            continue
        if len(found.sources) == 1:
            sources.append(renamed(found.sources[0], path.stem if path.is_file() else path.name))
        else:
            sources.extend(found.sources)
        left_out.extend(found.left_out)
    if not sources and failures:
        raise failures[0]
    return Corpus(name="files", sources=_distinct(sources), left_out=left_out)


def _distinct(sources: list[Source]) -> tuple[Source, ...]:
    """Give sources that share a subject's name (from different folders) names that differ."""
    from limbeck.datasets.files import renamed

    names = [source.subject for source in sources]
    taken: set[tuple[str, str, str]] = set()
    distinct = []
    for source in sources:
        place = source.files[0].parent.name if source.files else ""
        name = f"{place}/{source.subject}" if names.count(source.subject) > 1 and place else source.subject
        number = 2
        while (name, source.session, source.trial) in taken:
            name, number = f"{source.subject} ({number})", number + 1
        taken.add((name, source.session, source.trial))
        distinct.append(source if name == source.subject else renamed(source, name))
    return tuple(distinct)
