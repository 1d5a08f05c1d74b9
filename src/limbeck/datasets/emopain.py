"""EmoPain: exercises of people with and without chronic low-back pain, with four sEMG channels of the back.

Aung et al., The Automatic Detection of Chronic Pain-Related Expression: Requirements, Challenges and the Multimodal
EmoPain Dataset, IEEE Transactions on Affective Computing 7(4), 2016; Egede et al., EmoPain Challenge 2020, FG 2020. As
handed out for the challenge: a MATLAB file per participant in ``train``, ``validation`` and ``test``, with one matrix
of a row per frame. Its columns are either (31) 13 joint angles, 13 joint energies, 4 sEMG envelopes and whether the
behaviour was protective; or (73 and more) the coordinates of 22 joints (1 to 66), 4 sEMG (67 to 70) and, in column 73,
protective behaviour. The columns have no names.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from limbeck.datasets import Check, DatasetInfo, dataset, locate, matlab
from limbeck.datasets.columns import as_float32
from limbeck.datasets.edf import to_unit
from limbeck.datasets.files import chosen, find_folder, inside, is_inside, sources_inside, visible
from limbeck.datasets.numbers import shown
from limbeck.errors import DataError, ReadError, did_you_mean
from limbeck.recording import UNITS, Corpus, Event, LeftOut, Recording, Signal, Source, Trace

__all__ = ["PARTITIONS", "emopain", "looks_like"]

PARTITIONS = ("train", "validation", "test")
"""The folders of the challenge, which are the sessions of recordings."""

SameNames = Literal["same", "different"]

_PUBLISHED = {"train": (10, 6), "validation": (4, 3), "test": (3, 5)}  # patients, controls
_CHANNELS = ("emg_1", "emg_2", "emg_3", "emg_4")
_LARGEST_MATRIX = 512 * 2**20
_MODULES = (*(f"limbeck.datasets.{name}" for name in ("emopain", "columns", "edf", "files", "matlab")), "scipy")


@dataclass(frozen=True)
class _Columns:
    """Where in a matrix what stands, from 0."""

    emg: int
    protective: int
    others: str


_ANGLES = _Columns(26, 30, "13 joint angles and 13 joint energies")
_COORDINATES = _Columns(66, 72, "coordinates of 22 joints")


@dataclass(frozen=True)
class _Settings:
    rate: float
    emg_unit: str
    variable: str | None


# ---------------------------------------------------------------------------------------------------------------------
# One participant
# ---------------------------------------------------------------------------------------------------------------------


def _is_matrix(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype.kind in "iufb" and min(value.shape) > 1


def _matrix(file: Path, variable: str | None) -> tuple[str, np.ndarray]:
    """Return name and content of the variable that holds the frames: the named one, or the only matrix of numbers."""
    content = matlab.load(file, None if variable is None else [variable], limit=_LARGEST_MATRIX)
    found = [name for name, value in content.items() if _is_matrix(value)]
    if len(found) != 1:
        names = ", ".join(content) or "nothing"
        what = f"{len(found)} matrices of numbers among {shown(names)}"
        advice = "Name the one that holds the frames with the option variable." if found else ""
        raise ReadError(file, found=what, expected="one, with a row per frame", advice=advice)
    return found[0], content[found[0]]


def _columns(width: int, file: Path, where: str) -> _Columns:
    """Return which columns a matrix of that width has."""
    if width in (30, 31):
        return _ANGLES
    if width >= 70:
        return _COORDINATES
    expected = "31 (angles, energies, sEMG, protective behaviour) or 73 and more (coordinates)"
    raise ReadError(file, where=where, found=f"{width} columns", expected=expected)


def _behaviour(column: np.ndarray, rate: float, what: str) -> tuple[dict[str, Trace], list[Event], list[LeftOut]]:
    """Return protective behaviour as a trace, and its runs as events."""
    known = (column == 0) | (column == 1)
    notes = []
    if not known.all():
        count = int((~known).sum())
        place = int(np.argmax(~known))
        why = f"{count} frames are neither 0 nor 1 (frame {place + 1}: {column[place]:g}); not used"
        notes.append(LeftOut(what, why))
    if not known.any():
        return {}, [], notes
    times = np.flatnonzero(known) / rate
    codes = np.where(known, column, -1).astype(int)
    edges = np.flatnonzero(np.diff(codes)) + 1
    bounds = np.concatenate([[0], edges, [len(codes)]])
    events = [
        Event("protective" if codes[a] else "not_protective", float(a) / rate, float(b) / rate)
        for a, b in itertools.pairwise(bounds)
        if codes[a] >= 0
    ]
    return {"protective": Trace(times, column[known].astype(np.float32))}, events, notes


def _read(file: Path, root: Path, subject: str, partition: str, is_patient: bool, settings: _Settings) -> Recording:
    name, matrix = _matrix(inside(file, root), settings.variable)
    columns = _columns(matrix.shape[1], file, name)
    notes = [LeftOut(f"{file}: {name}", f"{columns.others} have no modality in Limbeck; not read")]
    emg = np.asarray(matrix[:, columns.emg : columns.emg + len(_CHANNELS)], dtype=np.float64).T
    stored = settings.emg_unit == "stored"
    if not stored:
        converted = to_unit(emg, "emg", settings.emg_unit)
        emg = emg if converted is None else converted
        why = f"the unit is not stated: taken as {settings.emg_unit} (option emg_unit)"
        notes.append(LeftOut(f"{file}: emg", why))
    data, wild = as_float32(emg)
    if wild:
        notes.append(LeftOut(f"{file}: emg", f"{wild} samples are infinite or too large; taken as missing"))
    if not np.isfinite(data).any():
        raise ReadError(file, where=name, found="no sEMG that is a number", expected="four channels of sEMG")
    traces: dict[str, Trace] = {}
    events: list[Event] = []
    if matrix.shape[1] > columns.protective:
        column = np.asarray(matrix[:, columns.protective], dtype=np.float64)
        traces, events, wrong = _behaviour(column, settings.rate, f"{file}: protective")
        notes += wrong
    else:
        notes.append(LeftOut(f"{file}: protective", "there is no such column; used without labels"))
    signal = Signal(data, settings.rate, _CHANNELS, "a.u." if stored else UNITS["emg"])
    return Recording(
        subject,
        {"emg": signal},
        session=partition,
        ratings={"chronic_pain": float(is_patient)},
        events=tuple(events),
        traces=traces,
        notes=tuple(notes),
    )


# ---------------------------------------------------------------------------------------------------------------------
# Participants
# ---------------------------------------------------------------------------------------------------------------------


def _participant(name: str) -> str | None:
    """Return the participant that a file is called after: ``P3``, ``C12``; None if it is none."""
    match = re.fullmatch(r"([PC])[ _-]?0*(\d{1,4})([ _-].*)?", name, re.IGNORECASE)
    return f"{match[1].upper()}{int(match[2])}" if match else None


def _files(folder: Path) -> dict[str, Path]:
    """Return the files of participants in a partition, patients and controls by number; the first of a name counts."""
    found: dict[str, Path] = {}
    for file in visible(folder):
        name = _participant(file.stem)
        if file.suffix.lower() == ".mat" and name is not None:
            found.setdefault(name, file)
    return {name: found[name] for name in sorted(found, key=lambda name: (name[0] != "P", int(name[1:])))}


def _partitions(folder: Path) -> dict[str, Path]:
    """Return the folders of the partitions that hold participants, in the order of the challenge."""
    places = {child.name.lower(): child for child in visible(folder) if child.is_dir()}
    places.setdefault("validation", places.get("valid", folder))
    found = {name: places[name] for name in PARTITIONS if name in places and places[name] != folder}
    deeper = {name: _nested(place) for name, place in found.items() if is_inside(place, folder)}
    return {name: place for name, place in deeper.items() if _files(place)}


def _nested(place: Path) -> Path:
    """Return a partition's folder, or the one of its own name in it, as archives unpack, if that holds the files."""
    if _files(place):
        return place
    inner = (child for child in visible(place) if child.is_dir() and child.name.lower() == place.name.lower())
    return next((child for child in inner if is_inside(child, place) and _files(child)), place)


def looks_like(path: Path) -> bool:
    """Tell whether a folder is laid out as EmoPain was handed out for the challenge."""
    return find_folder(path, lambda folder: bool(_partitions(folder))) is not None


def _spelling(name: str) -> str:
    partition, _, own = name.rpartition("/")
    plain = _participant(own)
    return name if plain is None else f"{partition}/{plain}" if partition else plain


def checks(root: Path, corpus: Corpus) -> Iterator[Check]:
    """Look whether there are the published participants, labels that are 0 or 1, and more protection in patients."""
    for partition, (patients, controls) in _PUBLISHED.items():
        own = [source for source in corpus.sources if source.session == partition]
        count = sum(bool(source.options["is_patient"]) for source in own)
        what = f"{partition} has {patients} patients and {controls} controls"
        if not own:
            yield Check(what, None, "no such folder")
        else:
            found = f"{count} patients and {len(own) - count} controls"
            more = count > patients or len(own) - count > controls
            fewer = not more and (count < patients or len(own) - count < controls)  # a part of the corpus
            yield Check(what, None if fewer else not more, found)
    yield Check("frames are at the stated rate", None, "the files have no times")
    shares: dict[bool, list[float]] = {True: [], False: []}
    for source in corpus.sources:
        try:
            trace = source.read().traces.get("protective")
        except ReadError as error:
            yield Check(f"{source.subject} can be read", False, str(error))
            continue
        if trace is not None:
            shares[bool(source.options["is_patient"])].append(float(trace.values.mean()))
    what = "patients are protective more of the time than controls"
    if not shares[True] or not shares[False]:
        yield Check(what, None, "no labels of one of the groups")
    else:
        mean = {key: float(np.mean(values)) for key, values in shares.items()}
        yield Check(what, mean[True] > mean[False], f"{mean[True]:.1%} and {mean[False]:.1%} of the frames")


@dataset(
    "emopain",
    info=DatasetInfo(
        title="EmoPain: exercises with and without chronic back pain, with sEMG and protective behaviour",
        modalities=("emg",),
        subjects=31,
        licence="EULA, academic research only",
        citation="Aung et al., The automatic detection of chronic pain-related expression, IEEE Transactions on "
        "Affective Computing 7(4):435-451, 2016",
        url="https://wangchongyang.ai/EmoPainChallenge2020/",
        access="gated",
        checked="format-faithful files only; never tried on the real corpus",
        obtain="Ask for the agreement of the EmoPain Challenge 2020 by e-mail (see its page); take the data of the "
        "movement task.",
        uncertain=(
            "the name of the matrix in the files: the only one is taken; option variable",
            "the rate of frames: option rate",
            "the unit of sEMG, and at which muscle each channel was: option emg_unit; channels are numbered",
            "whether P1 of one partition is P1 of another: option same_names",
        ),
    ),
    checks=checks,
)
def emopain(
    root: Path | None,
    *,
    subjects: Sequence[str] | None = None,
    rate: float = 60.0,
    emg_unit: str = "mV",
    variable: str | None = None,
    same_names: SameNames = "same",
) -> Corpus:
    """EmoPain, movement task: a recording per participant with `emg` (4 channels) and protective behaviour.

    The trace ``protective`` is 0 or 1 per frame; its runs are the events ``protective`` and ``not_protective``. The
    rating ``chronic_pain`` is 1 for patients (``P1``, ...) and 0 for controls (``C1``, ...), as files are named. The
    session is the partition of the challenge: ``train``, ``validation`` or ``test``. sEMG is at the rate of the motion
    capture's frames, in the version with joint angles as envelopes. Joint angles, energies and coordinates have no
    modality in Limbeck and are not read, which is noted; nor are the challenge's tasks of pain and of faces, which
    come as features.

    Parameters
    ----------
    root : Path, optional
        The folder with ``train``, ``validation`` and ``test``; by default in the folder of data sets.
    subjects : sequence of str, optional
        Only these: ``P3``, ``C12``.
    rate : float
        Frames per second; the files do not say.
    emg_unit : str
        The unit that the files are taken to hold, such as ``µV``. ``stored`` keeps the numbers, as ``a.u.``.
    variable : str, optional
        The variable that holds the frames; by default the only matrix of numbers.
    same_names : {"same", "different"}
        Whether participants of one name in two partitions are one; else they are called ``train/P1``, ``test/P1``.

    Returns
    -------
    Corpus

    Raises
    ------
    DataError
        `root` does not exist, a subject asked for is not there, or an option has a value that there is not.
    ReadError
        `root` is not laid out as handed out.
    """
    settings = _settings(rate, emg_unit, variable)
    if same_names not in get_args(SameNames):
        near = did_you_mean(str(same_names), get_args(SameNames))
        raise DataError(f"emopain: there is no same_names '{same_names}'.{near}")
    root = locate("emopain", root)
    home = find_folder(root, lambda folder: bool(_partitions(folder)))
    if home is None:
        expected = "the folder of the movement task, with train, validation and test"
        raise ReadError(root, found="no train/P1.mat or the like", expected=expected)
    entries = [
        (partition, name, file)
        for partition, place in _partitions(home).items()
        for name, file in _files(place).items()
    ]
    names = [name for _, name, _ in entries]
    doubled = {name for name in names if names.count(name) > 1}
    called = [
        f"{partition}/{name}" if name in doubled and same_names == "different" else name
        for partition, name, _ in entries
    ]
    found: list[tuple[Path, Callable[[], Source]]] = [
        (file, partial(_source, file, root, subject, partition, name[0] == "P", settings))
        for subject in chosen(dict.fromkeys(called), subjects, _spelling)
        for own, (partition, name, file) in zip(called, entries, strict=True)
        if own == subject
    ]
    sources, outside = sources_inside(root, found)
    left_out = [] if subjects is not None else [*_stray(home), *_others(root, home)]
    if doubled and same_names == "same":
        why = "the name is in several partitions: taken as one participant (option same_names)"
        left_out += [LeftOut(name, why) for name in sorted(doubled)]
    return Corpus("emopain", sources, [*left_out, *outside])


def _settings(rate: float, emg_unit: str, variable: str | None) -> _Settings:
    """Return the options, checked."""
    is_number = isinstance(rate, int | float) and not isinstance(rate, bool)
    if not is_number or not math.isfinite(rate) or not 0 < rate <= 10_000:
        raise DataError(f"emopain: rate needs a number of frames per second above 0; found {rate!r}.")
    if emg_unit != "stored" and (not isinstance(emg_unit, str) or to_unit(np.ones(1), "emg", emg_unit) is None):
        raise DataError(f"emopain: emg_unit '{emg_unit}' is none that can become {UNITS['emg']}, nor 'stored'.")
    if variable is not None and (not isinstance(variable, str) or not variable):
        raise DataError(f"emopain: variable needs the name of one; found {variable!r}.")
    return _Settings(float(rate), emg_unit, variable)


def _stray(home: Path) -> Iterator[LeftOut]:
    """Yield the files of the partitions that are no participant's, second ones of one, and partitions elsewhere."""
    for child in visible(home):
        if child.name.lower() in (*PARTITIONS, "valid") and child.is_dir() and not is_inside(child, home):
            why = "a link that leads out of the data set's folder is not followed; pass the real folder, or copy it"
            yield LeftOut(str(child), why)
    for place in _partitions(home).values():
        used = set(_files(place).values())
        for file in visible(place):
            if file not in used and file.suffix.lower() == ".mat":
                yield LeftOut(str(file), "called after no participant, or a second file of one; not read")


def _others(root: Path, home: Path) -> Iterator[LeftOut]:
    """Yield the folders beside the one that is read that hold participants, too: the other version of the columns."""
    if home == root:
        return
    for child in visible(root):
        if child != home and child.is_dir() and is_inside(child, root) and _partitions(child):
            yield LeftOut(str(child), f"holds participants, too; those in {home} are read")


def _source(file: Path, root: Path, subject: str, partition: str, is_patient: bool, settings: _Settings) -> Source:
    return Source(
        subject=subject,
        session=partition,
        read=partial(_read, file, root, subject, partition, is_patient, settings),
        files=(file,),
        options={"is_patient": is_patient, **asdict(settings)},
        modules=_MODULES,
    )
