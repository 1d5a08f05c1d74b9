"""AMIGOS: EEG, ECG and skin conductance of 40 people who watched short and long videos and rated them.

Miranda-Correa, Abadi, Sebe & Patras, AMIGOS: A Dataset for Affect, Personality and Mood Research on Individuals and
Groups, IEEE Trans. Affective Computing 12(2):479, 2021; on request at
https://www.eecs.qmul.ac.uk/mmv/datasets/amigos/. The preprocessed release is read: ``Data_Preprocessed_P01.mat`` to
``P40``, each with a cell per video of signals, of the participant's own ratings and of the ratings of outsiders for
every 20 s. Sixteen videos are short (alone), four are long (alone or in groups, on another day).
"""

from __future__ import annotations

import itertools
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from limbeck.datasets import Check, DatasetInfo, dataset, edf, locate, matlab
from limbeck.datasets.dreamer import ECG_UNITS, ELECTRODES, ecg_doubts
from limbeck.datasets.files import chosen, is_inside, sources_inside, visible
from limbeck.datasets.numbers import shown
from limbeck.errors import DataError, ReadError, did_you_mean
from limbeck.recording import UNITS, Corpus, Event, LeftOut, Recording, Signal, Source, Trace

__all__ = ["FLAWED", "amigos", "looks_like"]

logger = logging.getLogger(__name__)

FLAWED = ("P09", "P12", "P21", "P22", "P23", "P24", "P33")
"""Participants with missing or invalid samples, which published code leaves out."""

_NO_LONG = ("P08", "P24", "P28")
_NO_LONG_RATINGS = (*_NO_LONG, "P32")
_MODULES = tuple(f"limbeck.datasets.{name}" for name in ("amigos", "dreamer", "edf", "matlab"))
_SUBJECTS = 40
_SHORT, _LONG = 16, 4
_RATE = 128.0
_COLUMNS = 17
_ROWS = {"eeg": slice(0, 14), "ecg": slice(14, 16), "eda": slice(16, 17)}
_CHANNELS = {"eeg": ELECTRODES, "ecg": ("ECG right", "ECG left"), "eda": ("GSR",)}
_SCALES = ("arousal", "valence", "dominance", "liking", "familiarity")  # 1 to 9
_EMOTIONS = ("neutral", "disgust", "happiness", "surprise", "anger", "fear", "sadness")  # 0 or 1
_LABELS = (*_SCALES, *_EMOTIONS)
_SEGMENT = 20.0  # s
_GSR = ("stored", "ohm", "kohm", "nS", "µS")
_LARGEST_VIDEO = 256 * 2**20  # bytes: four hours
_LARGEST_TABLES = 16 * 2**20


@dataclass(frozen=True)
class _Settings:
    """How signals and ratings are taken: see the options of :func:`amigos`."""

    baseline: float
    segments: str
    ecg: str
    gsr: str


# ---------------------------------------------------------------------------------------------------------------------
# Finding files
# ---------------------------------------------------------------------------------------------------------------------


def _subject(name: str) -> str | None:
    """Return the participant of a file's name, None for another file."""
    match = re.fullmatch(r"Data_Preprocessed_P(\d{1,3})\.mat", name, re.IGNORECASE)
    return f"P{int(match[1]):02d}" if match else None


def _spelling(name: str) -> str:
    match = re.fullmatch(r"P?0*(\d{1,3})", name, re.IGNORECASE)
    return f"P{int(match[1]):02d}" if match else name


def _files(folder: Path, depth: int = 3) -> Iterator[tuple[str, Path]]:
    """Yield participants and files: beside one another, or each in a folder of its own."""
    if not folder.is_dir():
        return
    children = visible(folder)
    for child in children:
        subject = _subject(child.name)
        if subject is not None and child.is_file():
            yield subject, child
    if depth:
        for child in children:
            if child.is_dir() and is_inside(child, folder):
                yield from _files(child, depth - 1)


def _without_file(folder: Path, depth: int = 3) -> Iterator[LeftOut]:
    """Yield the folders of participants without their file, what is called as a file but is none, and archives."""
    for child in visible(folder):
        if child.suffix.lower() == ".zip" and child.is_file() and _subject(f"{child.stem}.mat") is not None:
            yield LeftOut(str(child), "an archive is not read: unpack it")
        if not child.is_dir() or not is_inside(child, folder):
            continue
        subject = _subject(child.name) or _subject(f"{child.name}.mat")
        if subject is not None and next(_files(child), None) is None:
            why = f"a folder without a file Data_Preprocessed_{subject}.mat; {subject} is not read"
            yield LeftOut(str(child), why)
        elif depth:
            yield from _without_file(child, depth - 1)


def looks_like(path: Path) -> bool:
    """Tell whether a folder holds preprocessed files of AMIGOS."""
    return next(_files(path), None) is not None


def _key(file: Path, beginning: str) -> str:
    """Return the variable whose name begins so: copies differ in how names end."""
    names = matlab.names(file)
    found = [name for name in names if name.lower().startswith(beginning)]
    if not found:
        expected = f"'{beginning}' among them"
        raise ReadError(file, found=f"the variables {shown(', '.join(names))}", expected=expected)
    return min(found, key=len)


def _cells(file: Path, beginning: str, *, plain: bool = False) -> list[Any]:
    """Return a small variable's cells, one per video; `plain` also takes a row of characters or a number for each."""
    key = _key(file, beginning)
    value = matlab.load(file, [key], limit=_LARGEST_TABLES)[key]
    if plain and isinstance(value, list):
        return value
    if not isinstance(value, np.ndarray) or value.dtype.kind not in ("Ofiu" if plain else "O"):
        raise ReadError(file, where=f"'{key}'", found=f"a {type(value).__name__}", expected="a cell per video")
    return value.ravel(order="F").tolist()


def _videos(file: Path) -> tuple[list[str], list[LeftOut]]:
    """Return what the videos are called, in the order of the file's cells."""
    try:
        ids = [_video(cell) for cell in _cells(file, "videoid", plain=True)]
    except ReadError as error:
        if error.where == "" and "the variables" not in error.found:
            raise  # the file as a whole cannot be read
        ids = []
    if len(ids) <= 1000 and ids and all(ids) and len(set(ids)) == len(ids):
        return ids, []
    why = f"found no VideoIDs that tell videos apart; they are called 1 to {_SHORT + _LONG}, by their place in the file"
    return [str(place) for place in range(1, _SHORT + _LONG + 1)], [LeftOut(f"{file}: VideoIDs", why)]


def _video(cell: Any) -> str:
    """Return a video's name, which is text, or a number."""
    if isinstance(cell, np.ndarray) and cell.size == 1:
        cell = cell.item()
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    text = str(cell).strip() if isinstance(cell, str | int) else ""
    return text if len(text) <= 40 else ""


def _sessions(videos: Sequence[str]) -> list[str]:
    """Return whether each video is a short or a long one: long ones have letters in their names (N1, P1, B1, U1)."""
    lettered = [bool(re.fullmatch(r"[A-Za-z]+\d*", video)) for video in videos]
    if not any(lettered):
        lettered = [place >= _SHORT for place in range(len(videos))]
    return ["long" if is_long else "short" for is_long in lettered]


# ---------------------------------------------------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------------------------------------------------


def _read(file: Path, subject: str, session: str, video: str, cell: int, order: int, settings: _Settings) -> Recording:
    place = f"{file}, video {video}"
    key = _key(file, "joined_data")
    parts = matlab.outline(file, key).cells
    if cell >= len(parts):
        raise ReadError(file, where=f"'{key}'", found=f"{len(parts)} cells", expected=f"at least {cell + 1}")
    value = matlab.load_part(parts[cell], limit=_LARGEST_VIDEO)
    samples = matlab.table(value, file, f"'{key}', video {video}", columns=_COLUMNS)
    signals, notes = _signals(samples, settings, file, place)
    if not signals:
        raise ReadError(file, where=f"video {video}", found="no sample that is a number", expected="signals")
    end = len(samples) / _RATE
    onset = min(settings.baseline, end)
    if onset == end:
        notes.append(LeftOut(place, f"it lasts {end:g} s, not more than the baseline of {settings.baseline:g} s"))
    events = [Event("baseline", 0.0, onset)] if onset else []
    if onset < end:
        events.append(Event("video", onset, end))
    ratings, more = _ratings(file, cell, place)
    traces, most = _external(file, cell, place, onset if settings.segments == "video" else 0.0, end)
    return Recording(
        subject=subject,
        session=session,
        trial=video,
        order=order,
        signals=signals,
        ratings=ratings,
        events=tuple(events),
        traces=traces,
        notes=(*notes, *more, *most),
    )


def _signals(
    samples: np.ndarray, settings: _Settings, file: Path, place: str
) -> tuple[dict[str, Signal], list[LeftOut]]:
    signals: dict[str, Signal] = {}
    notes: list[LeftOut] = []
    for modality, columns in _ROWS.items():
        scale = ECG_UNITS[settings.ecg] if modality == "ecg" else 1.0
        data = matlab.samples(samples[:, columns].T, scale)
        bad = np.isnan(data)
        names = " ".join(_CHANNELS[modality]) if len(data) < 14 else "EEG"
        if bad.all():
            notes.append(LeftOut(f"{place}: {names}", "no sample is a number; it is not used"))
            continue
        if bad.any():
            notes.append(
                LeftOut(f"{place}: {names}", f"{int(bad.sum())} of {bad.size} samples are no numbers: missing")
            )
        unit = UNITS[modality]
        if modality == "ecg":
            notes += ecg_doubts(data, settings.ecg, file)
            unit = "a.u." if settings.ecg == "stored" else unit
        elif modality == "eda":
            data, unit, more = _conductance(data, settings.gsr, f"{place}: GSR")
            notes += more
        signals[modality] = Signal(data, _RATE, _CHANNELS[modality], unit)
    return signals, notes


def _conductance(data: np.ndarray, unit: str, place: str) -> tuple[np.ndarray, str, list[LeftOut]]:
    """Return the skin's conductance in µS; no skin has one of 0 or below."""
    if unit == "stored":
        return data, "a.u.", []
    impossible = data <= 0
    converted = edf.to_unit(np.where(impossible, np.nan, data).astype(np.float64), "eda", unit)
    if converted is None:
        raise DataError(f"amigos: the unit {unit} is none of the skin's conductance or resistance.")
    count = int(impossible.sum())
    notes = [LeftOut(place, f"{count} of {data.size} samples are 0 or below, which is no skin in {unit}: missing")]
    return matlab.samples(converted), UNITS["eda"], notes if count else []


def _ratings(file: Path, cell: int, place: str) -> tuple[dict[str, float], list[LeftOut]]:
    """Return a participant's own ratings of a video."""
    try:
        cells = _cells(file, "labels_selfassess")
        if cell >= len(cells):
            raise ReadError(file, where="self-assessment", found=f"{len(cells)} cells", expected=f"at least {cell + 1}")
        values = matlab.table(cells[cell], file, "self-assessment", rows=1, columns=len(_LABELS))
    except ReadError as error:
        why = f"found {error.found}; expected {error.expected}; there are no ratings"
        return {}, [LeftOut(f"{place}: self-assessment", why)]
    ratings: dict[str, float] = {}
    notes = []
    for name, value in zip(_LABELS, values[0].astype(float).tolist(), strict=True):
        low, high = (1, 9) if name in _SCALES else (0, 1)
        if low <= value <= high:
            ratings[name] = value
        else:
            found = "no number" if math.isnan(value) else f"{value:g}"
            why = f"found {found}; expected {low} to {high}; this rating is not used"
            notes.append(LeftOut(f"{place}: {name}", why))
    return ratings, notes


def _external(file: Path, cell: int, place: str, onset: float, end: float) -> tuple[dict[str, Trace], list[LeftOut]]:
    """Return what outsiders saw in the face: a value in the middle of each segment of 20 s."""
    try:
        cells = _cells(file, "labels_ext")
    except ReadError as error:
        return {}, [LeftOut(f"{file}: external annotation", f"found {error.found}; expected {error.expected}")]
    value = cells[cell] if cell < len(cells) else None
    if isinstance(value, np.ndarray) and value.size == 0:
        return {}, []  # not every video was annotated
    try:
        rows = matlab.table(value, file, "external annotation", columns=3).astype(float)
        if len(rows) > 10_000 or not np.isfinite(rows[:, 0]).all() or (np.diff(rows[:, 0]) < 0.5).any():
            raise ReadError(
                file, where="external annotation", found="segments that are not counted upwards",
                expected="the number of the segment, valence and arousal in each row",
            )  # fmt: skip
    except ReadError as error:
        why = f"found {error.found}; expected {error.expected}; it is not used"
        return {}, [LeftOut(f"{place}: external annotation", why)]
    # Counted from 0 or from 1; a first row of a later number means that rows before it are missing, where that fits.
    first, notes = float(rows[0, 0]), []
    base = 1.0 if first > 1 and onset + _SEGMENT * (first - 1) < end else first
    if first > 1:
        why = f"its first segment has the number {first:g}; taken as counted from {base:g}"
        notes.append(LeftOut(f"{place}: external annotation", why))
    starts = onset + _SEGMENT * (rows[:, 0] - base)
    there = starts < end
    middles = (starts + np.minimum(starts + _SEGMENT, end)) / 2
    if not there.all():
        why = f"{int((~there).sum())} of {len(rows)} segments begin after the end of the signals; they are not used"
        notes.append(LeftOut(f"{place}: external annotation", why))
    traces = {}
    for column, name in ((1, "valence_external"), (2, "arousal_external")):
        values = matlab.samples(rows[:, column])
        used = there & np.isfinite(values)
        if used.any():
            traces[name] = Trace(middles[used], values[used])
    return traces, notes


# ---------------------------------------------------------------------------------------------------------------------
# Checks
# ---------------------------------------------------------------------------------------------------------------------


def _checks(root: Path, corpus: Corpus) -> Iterator[Check]:
    files = dict(reversed(list(_files(root))))
    names: set[tuple[str, ...]] = set()
    odd: dict[str, list[str]] = {"cells": [], "labels": [], "external": []}
    for subject, file in sorted(files.items()):
        try:
            videos, notes = _videos(file)
            if not notes:
                names.add(tuple(videos))
            counts = [len(_cells(file, key)) for key in ("labels_selfassess", "labels_ext")]
            counts += [len(videos), len(matlab.outline(file, _key(file, "joined_data")).cells)]
            if set(counts) != {_SHORT + _LONG}:
                odd["cells"].append(f"{subject}: {counts}")
            for cell, value in enumerate(_cells(file, "labels_selfassess")):
                known = subject in _NO_LONG_RATINGS and cell >= _SHORT and np.size(value) == 0
                if not known and (not isinstance(value, np.ndarray) or value.shape != (1, len(_LABELS))):
                    odd["labels"].append(f"{subject}, video {cell + 1}")
            for cell, value in enumerate(_cells(file, "labels_ext")):
                table = value if isinstance(value, np.ndarray) and value.ndim == 2 else np.zeros((0, 0))
                if table.shape[1] == 3 and table.dtype.kind in "fiu" and (np.abs(table[:, 1:]) > 1).any():
                    odd["external"].append(f"{subject}, video {cell + 1}")
        except ReadError as error:
            odd["cells"].append(f"{subject}: {error.found}")
    alike = len(names) == 1 if names else None
    yield Check("the videos stand in the same order in every file", alike, f"{len(names)} orders")
    for name, what in (
        ("cells", f"every file has {_SHORT + _LONG} cells of each kind"),
        ("labels", f"every self-assessment has {len(_LABELS)} numbers"),
    ):
        yield Check(what, not odd[name], ", ".join(odd[name][:12]))
    # The range is not known for certain, so that values outside of it prove nothing.
    what = "annotations of outsiders lie between -1 and 1"
    yield Check(what, None if odd["external"] else True, ", ".join(odd["external"][:12]))


# ---------------------------------------------------------------------------------------------------------------------
# Listing
# ---------------------------------------------------------------------------------------------------------------------


@dataset(
    "amigos",
    info=DatasetInfo(
        title="AMIGOS: EEG, ECG and skin conductance of people who watched and rated short and long videos",
        modalities=("ecg", "eda", "eeg"),
        subjects=_SUBJECTS,
        names=tuple(f"P{number:02d}" for number in range(1, _SUBJECTS + 1)),
        licence="EULA, academic research only",
        citation="Miranda-Correa et al., AMIGOS: A Dataset for Affect, Personality and Mood Research on Individuals "
        "and Groups, IEEE Trans. Affective Computing 12(2):479-493, 2021",
        url="https://www.eecs.qmul.ac.uk/mmv/datasets/amigos/",
        access="gated",
        checked="format-faithful files only; never tried on the real corpus",
        obtain="Sign the EULA as a researcher with a permanent post; take Data_Preprocessed_P01 to P40.",
        uncertain=(
            "the unit of the GSR: kept as stored, in arbitrary units; option gsr",
            "the unit of the ECG: taken as mV, and said where it cannot be; option ecg",
            "the baseline: taken as the first 5 s; option baseline",
            "where the outsiders' segments of 20 s begin: taken as with the video; option segments",
            "the order of presentation: videos are in the order of the file",
        ),
    ),
    checks=_checks,
)
def amigos(
    root: Path | None,
    *,
    subjects: Sequence[str | int] | None = None,
    videos: Literal["short", "long", "all"] = "all",
    flawed: Literal["keep", "leave"] = "keep",
    baseline: float = 5.0,
    segments: Literal["video", "recording"] = "video",
    ecg: Literal["mV", "µV", "V", "stored"] = "mV",
    gsr: Literal["stored", "ohm", "kohm", "nS", "µS"] = "stored",
) -> Corpus:
    """AMIGOS: a recording per video, 16 ``short`` and 4 ``long`` ones, with the events ``baseline`` and ``video``.

    Modalities, all at 128 Hz: `eeg` (the 14 electrodes of the Emotiv EPOC; 4-45 Hz and referenced to the average, as
    published), `ecg` (right and left arm) and `eda` (GSR, in arbitrary units unless `gsr` says what it is). A
    recording's trial is the video (``VideoIDs``), its session ``short`` or ``long``, its order the place in the file:
    in which order a participant saw the videos is not in it.

    Ratings are the participant's own: arousal, valence, dominance, liking and familiarity (1 to 9), and neutral,
    disgust, happiness, surprise, anger, fear and sadness (0 or 1). The traces ``valence_external`` and
    ``arousal_external`` are those of outsiders who saw the face, one value in the middle of each segment of 20 s.

    P08, P24 and P28 have no long videos, and P32 no ratings of these: empty cells are on `left_out`. `FLAWED`
    participants (P09, P12, P21 to P24, P33) have samples that are no numbers, or invalid ones. Listing reads only the
    names of the videos in each file; a recording holds one video (long ones: about 20 MB).

    Parameters
    ----------
    root : Path, optional
        The folder with ``Data_Preprocessed_P01.mat``, ..., or with a folder of each.
    subjects : sequence of str or int, optional
        Only these: ``P07``, ``7``.
    videos : {"all", "short", "long"}
        Which videos.
    flawed : {"keep", "leave"}
        Whether the participants in `FLAWED` are read.
    baseline : float
        Seconds before the video at the beginning of each recording; 0 for none.
    segments : {"video", "recording"}
        Where the outsiders' first segment begins: with the video, or with the baseline.
    ecg : {"mV", "µV", "V", "stored"}
        The unit that the ECG is taken to be in. ``stored`` keeps the numbers, as ``a.u.``.
    gsr : {"stored", "ohm", "kohm", "nS", "µS"}
        The unit that the GSR is taken to be in; what is not ``stored`` becomes conductance in µS, and samples of 0 and
        below are missing.

    Returns
    -------
    Corpus

    Raises
    ------
    DataError
        `root` does not exist, an option is wrong, or a subject asked for is not there.
    ReadError
        There is no preprocessed file in `root`.
    """
    for name, value, allowed in (
        ("videos", videos, ("all", "short", "long")),
        ("flawed", flawed, ("keep", "leave")),
        ("segments", segments, ("video", "recording")),
        ("ecg", ecg, tuple(ECG_UNITS)),
        ("gsr", gsr, _GSR),
    ):
        if value not in allowed:
            raise DataError(f"amigos: there is no {name} {shown(str(value))}.{did_you_mean(str(value), allowed)}")
    if not 0 <= baseline < math.inf:
        raise DataError(f"amigos: the baseline lasts 0 s or more; found {baseline}.")
    root = locate("amigos", root)
    settings = _Settings(float(baseline), segments, ecg, gsr)
    files: dict[str, Path] = {}
    left_out: list[LeftOut] = []
    for subject, file in _files(root):
        if subject in files:
            left_out.append(LeftOut(str(file), f"{files[subject]} holds {subject}, too, and is read instead"))
        else:
            files[subject] = file
    if not files:
        raise ReadError(
            root,
            found="no Data_Preprocessed_P01.mat or the like",
            expected="the folder of the preprocessed files of AMIGOS for MATLAB",
        )
    if gsr == "stored":
        logger.info("amigos: the unit of the GSR is not known: kept in arbitrary units; gsr= says what it is")
    logger.info("amigos: the ECG is taken as %s (ecg=), the first %g s as baseline (baseline=)", ecg, baseline)
    left_out += _without_file(root)
    if subjects is None:
        left_out += _missing(files, root)
    found: list[tuple[Path, Callable[[], Source]]] = []
    for subject in chosen(sorted(files, key=lambda name: int(name[1:])), subjects, _spelling):
        if flawed == "leave" and subject in FLAWED:
            left_out.append(LeftOut(str(files[subject]), f"{subject} is known to be flawed; option flawed='leave'"))
        elif not is_inside(files[subject], root):
            found.append((files[subject], partial(_no_source, subject)))
        else:
            more, notes = _listed(files[subject], subject, videos, settings)
            found += [(files[subject], make) for make in more]
            left_out += notes
    sources, outside = sources_inside(root, found)
    return Corpus("amigos", sources, [*left_out, *outside])


def _missing(files: Mapping[str, Path], root: Path) -> list[LeftOut]:
    missing = [name for name in (f"P{number:02d}" for number in range(1, _SUBJECTS + 1)) if name not in files]
    why = f"there is no file of {len(missing)} of the {_SUBJECTS} participants: {', '.join(missing)}"
    first = next(iter(files.values()))
    home = first.parent.parent if _subject(f"{first.parent.name}.mat") else first.parent
    return [LeftOut(str(home), why)] if missing else []


def _no_source(subject: str) -> Source:
    raise AssertionError(f"what lies outside of the root is not listed: {subject}")


def _listed(
    file: Path, subject: str, wanted: str, settings: _Settings
) -> tuple[list[Callable[[], Source]], list[LeftOut]]:
    """Return what makes the sources of a participant's videos."""
    try:
        names, notes = _videos(file)
    except ReadError as error:
        return [], [LeftOut(error.file, str(error))]
    notes += _without_name(file, len(names))
    sessions = _sessions(names)
    orders = {"short": itertools.count(), "long": itertools.count()}
    makers = [
        partial(_source, file, subject, session, name, cell, next(orders[session]), settings)
        for cell, (name, session) in enumerate(zip(names, sessions, strict=True))
    ]
    return [make for make, session in zip(makers, sessions, strict=True) if wanted in ("all", session)], notes


def _without_name(file: Path, names: int) -> list[LeftOut]:
    """Say which videos are rated, but have no name: the signals' own cells are not opened for listing."""
    try:
        rated = len(_cells(file, "labels_selfassess"))
    except ReadError:
        return []  # said where it is read
    why = f"VideoIDs names {names} of {rated} videos; the others are not read"
    return [LeftOut(f"{file}: videos {names + 1} to {rated}", why)] if rated > names else []


def _source(file: Path, subject: str, session: str, video: str, cell: int, order: int, settings: _Settings) -> Source:
    return Source(
        subject=subject,
        session=session,
        trial=video,
        read=partial(_read, file, subject, session, video, cell, order, settings),
        files=(file,),
        options={"cell": cell, "order": order, **asdict(settings)},
        modules=_MODULES,
    )
