"""MAHNOB-HCI: EEG, peripheral signals and gaze of 30 people who watched 20 film clips each and said what they felt.

Soleymani, Lichtenauer, Pun & Pantic, A Multimodal Database for Affect Recognition and Implicit Tagging, IEEE Trans.
Affective Computing 3(1):42, 2012; on request at https://mahnob-db.eu/hci-tagging/. The emotion elicitation experiment
is read: ``Sessions/<id>/session.xml`` describes a session, ``Part_<subject>_S_Trial<k>_emotion.bdf`` holds about 30 s
before the clip, the clip, and about 30 s after it, and ``P<subject>-Rec1-All-Data-..._Section_<n>.tsv`` the gaze. Even
sessions are clips, odd ones what was shown between them.

Continuous valence, at 4 Hz, comes from a file of its own, ``lable_continous_Mahnob.mat`` (Soleymani, Asghari-Esfeden,
Fu & Pantic, Analysis of EEG signals and facial expressions for continuous emotion detection, IEEE Trans. Affective
Computing 7(1):17, 2016), whose rows are matched by subject and cut, never by their place.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal
from xml.etree.ElementTree import Element

import numpy as np

from limbeck.datasets import Check, DatasetInfo, dataset, edf, locate, markup, matlab
from limbeck.datasets.deap import GENEVA
from limbeck.datasets.files import chosen, find_folder, inside, is_inside, read_bytes, visible
from limbeck.datasets.numbers import shown
from limbeck.errors import DataError, ReadError, did_you_mean
from limbeck.recording import UNITS, Clock, Corpus, Event, LeftOut, Recording, Signal, Source, Trace

__all__ = ["CHANNELS", "EMOTIONS", "looks_like", "mahnob_hci", "read_continuous", "read_guide"]

EMOTIONS = {
    **{0: "neutral", 1: "anger", 2: "disgust", 3: "fear", 4: "joy", 5: "sadness", 6: "surprise"},
    **{7: "scream", 8: "bored", 9: "sleepy", 10: "unknown", 11: "amusement", 12: "anxiety"},
}
"""What the codes of the felt emotion mean; 7 to 10 were not used."""

CHANNELS = (*GENEVA, *(f"EXG{i}" for i in range(1, 9)), "GSR1", "GSR2", "Erg1", "Erg2", "Resp", "Temp", "Status")
"""The 47 channels of a file of physiology, in its order."""

KNOWN_BAD = (12, 15, 26)
"""Subjects that published work leaves out: 12 and 15 as unusable, 26 for reasons not stated."""

_MODULES = tuple(
    f"limbeck.datasets.{name}" for name in ("mahnob", "deap", "edf", "markup", "matlab", "files", "numbers")
)
_SCALES = {"arousal": "feltArsl", "valence": "feltVlnc", "dominance": "feltCtrl", "predictability": "feltPred"}
_LABEL_FILE = "lable_continous_Mahnob.mat"  # spelled so
_PER_SUBJECT = 130  # ids of sessions between one subject and the next
_MARGIN = 30.0  # seconds before and after the clip
_LONGEST = 7200.0  # seconds; the longest clip has two minutes
_RATES = (1.0, 20_000.0)  # Hz
_LARGEST_GAZE = 16 * 2**20  # bytes; two minutes have two million
_LARGEST_LABELS = 64 * 2**20
_MOST_LABELLED = 10_000
_SKIN_CELSIUS = (10.0, 45.0)  # between which the median of skin temperature is believed
_SKIN_MICROSIEMENS = (0.05, 100.0)
_CLIP_SLACK = 2.0  # seconds by which triggers and session.xml may disagree about the clip

_ALLOWED: dict[str, tuple[str, ...]] = {
    "annotation": ("felt", "continuous_valence"),
    "trim": ("all", "clip"),
    "clip_from": ("status", "clock"),
    "ecg": ("lead", "electrodes"),
    "gsr": ("ohm", "kohm", "nS", "µS", "header", "stored"),
    "temperature": ("celsius", "stored"),
}

_BDF = re.compile(r"Part_(\d{1,2})_([SN])_Trial(\d{1,2})_emotion\.bdf", re.IGNORECASE)
_GAZE = re.compile(r"P(\d+)-Rec\d+-All-Data-.*_Section_(\d+)\.tsv", re.IGNORECASE)
_GUIDE = re.compile(r"P(\d+)-Rec1-Guide-Cut\.tsv", re.IGNORECASE)


@dataclass(frozen=True)
class _Settings:
    """How recordings are read: see the options of :func:`mahnob_hci`."""

    annotation: str
    trim: str
    clip_from: str
    ecg: str
    gsr: str
    temperature: str
    gaze: bool
    gaze_rate: float
    label_rate: float
    tolerance: float


@dataclass(frozen=True)
class _Session:
    """A stimulus session: its files, and what session.xml says of it.

    `cut` is the even number of the clip's section; `seconds` is the clip's length by the frames of its video,
    `cut_seconds` that by cutLenSec.
    """

    number: int
    subject: int
    cut: int
    bdf: Path
    described: Path
    gaze: Path | None = None
    ratings: Mapping[str, float] = field(default_factory=dict)
    media: str = ""
    seconds: float | None = None
    cut_seconds: float | None = None
    notes: tuple[LeftOut, ...] = ()

    @property
    def name(self) -> str:
        return f"P{self.subject}"

    @property
    def trial(self) -> int:
        return max(self.cut // 2, 1)  # an odd cut is noted

    @property
    def clip_seconds(self) -> float | None:
        return self.seconds or self.cut_seconds


@dataclass
class _Found:
    """What lies in the folder of sessions, before anything is chosen."""

    sessions: list[_Session] = field(default_factory=list)
    skipped: dict[str, list[Path]] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    guides: dict[int, Path] = field(default_factory=dict)

    def skip(self, why: str, place: Path) -> None:
        self.skipped.setdefault(why, []).append(place)


def _grouped(skipped: Mapping[str, Sequence[Path]]) -> list[LeftOut]:
    """Return one entry per reason, however many sessions share it."""
    entries = []
    for why, places in skipped.items():
        first, *others = places
        names = ", ".join(place.name for place in others[:20])
        more = f" and {len(others) - 20} more" if len(others) > 20 else ""
        count = f" ({len(places)} sessions)" if others else ""
        entries.append(LeftOut(f"{first}{', ' if names else ''}{names}{more}", f"{why}{count}"))
    return entries


# ---------------------------------------------------------------------------------------------------------------------
# Finding sessions
# ---------------------------------------------------------------------------------------------------------------------


def _holds_sessions(folder: Path) -> bool:
    return any(
        child.name.isascii() and child.name.isdigit() and child.is_dir() and _description(child).is_file()
        for child in visible(folder)
    )


def _description(folder: Path) -> Path:
    """Return the place of a session's description, whatever the case of its name."""
    usual = folder / "session.xml"
    if usual.exists():
        return usual
    with contextlib.suppress(ReadError):  # a folder that cannot be listed has none
        return next((file for file in visible(folder) if file.name.lower() == "session.xml"), usual)
    return usual


def _sessions_in(folder: Path) -> Path | None:
    """Return the folder itself, or ``Sessions`` in it, whichever holds numbered sessions."""
    named = [child for child in visible(folder) if child.name.lower() == "sessions" and child.is_dir()]
    return next((place for place in [*named, folder] if is_inside(place, folder) and _holds_sessions(place)), None)


def looks_like(path: Path) -> bool:
    """Tell whether a folder is laid out as MAHNOB-HCI is published."""
    return find_folder(path, lambda folder: _sessions_in(folder) is not None) is not None


def _home(root: Path) -> Path:
    """Return the folder whose children are the sessions."""
    home = find_folder(root, lambda folder: _sessions_in(folder) is not None)
    sessions = None if home is None else _sessions_in(home)
    if sessions is None:
        for child in visible(root) if root.is_dir() else ():
            if child.name.lower() == "sessions":
                inside(child, root)  # says so where it is a link that is not followed
        raise ReadError(
            root,
            found="no Sessions/<number>/session.xml",
            expected="the folder of MAHNOB-HCI as published, or its folder Sessions",
        )
    return sessions


def _find(root: Path) -> _Found:
    """Look through every session's folder; of the files, only session.xml is opened."""
    found = _Found()
    taken: dict[tuple[int, int], Path] = {}
    folders = [child for child in visible(_home(root)) if re.fullmatch(r"[0-9]{1,6}", child.name)]
    for folder in sorted(folders, key=lambda child: (int(child.name), child.name)):
        if not is_inside(folder, root):
            found.skip("a link that leads out of the data set's folder is not followed; pass the real folder", folder)
            continue
        if not folder.is_dir():
            continue
        try:
            session = _described(folder, root, found)
        except ReadError as error:
            found.left_out.append(LeftOut(error.file, str(error)))
            continue
        if session is None:
            continue
        first = taken.setdefault((session.subject, session.cut), folder)
        if first is folder:
            found.sessions.append(session)
        else:
            why = f"subject {session.subject}, cut {session.cut}, is in {first}, too; that one is read"
            found.left_out.append(LeftOut(str(folder), why))
    found.sessions.sort(key=lambda session: (session.subject, session.cut))
    return found


def _described(folder: Path, root: Path, found: _Found) -> _Session | None:
    """Return a stimulus session of the emotion experiment with its physiology; else put it on the list of skipped."""
    files = visible(folder)
    for file in files:
        if match := _GUIDE.fullmatch(file.name):
            found.guides.setdefault(int(match[1]), file)
    described = _description(folder)
    if not described.is_file():
        found.skip("there is no session.xml in it", folder)
        return None
    element = markup.parse(inside(described, root))
    if element.tag != "session":
        raise ReadError(described, where="root element", found=shown(element.tag), expected="'session'")
    kind = element.get("experimentType", "").strip().lower()
    if kind not in ("", "emotion elicitation"):
        found.skip(f"sessions of the experiment {shown(kind)} are not read", folder)
        return None
    bdfs = [file for file in files if _BDF.fullmatch(file.name)]
    if not _is_stimulus(element, bdfs):
        found.skip("what was shown between two clips (isStim is 0) is not read", folder)
        return None
    bdf, notes = _physiology(element, described, files)
    if bdf is None:
        other = any(file.name.lower().endswith(".bdf") for file in files)
        which = "that session.xml names, or that is named as published, " if other else ""
        found.skip(f"there is no .bdf file {which}in the session's folder: no physiology", folder)
        return None
    if not is_inside(bdf, root):
        found.skip("a link that leads out of the data set's folder is not followed; copy the .bdf file", folder)
        return None
    return _session(element, described, bdf, files, notes)


def _is_stimulus(element: Element, bdfs: Sequence[Path]) -> bool:
    """Tell whether a clip was shown: by isStim, else by the S in the name of the physiology's file."""
    stated = element.get("isStim", "").strip().lower()
    if stated in ("0", "false", "1", "true"):
        return stated in ("1", "true")
    return not any("_N_" in file.name.upper() for file in bdfs)


def _physiology(element: Element, described: Path, files: Sequence[Path]) -> tuple[Path | None, list[LeftOut]]:
    """Return the session's .bdf file: the one that session.xml names, else the only one that is named as published."""
    there = {file.name.lower(): file for file in files if file.name.lower().endswith(".bdf") and file.is_file()}
    tracks = [track for track in element.iter("track") if track.get("type", "").strip().lower() == "physiological"]
    stated = [track.get("filename", "").strip() for track in tracks]
    for name in stated:
        if name.lower() in there:  # a name with a folder in it is none of these
            return there[name.lower()], []
    named = [file for file in there.values() if (match := _BDF.fullmatch(file.name)) and match[2] in "Ss"]
    if len(named) > 1:
        names = ", ".join(file.name for file in named)
        found = f"the files {names}"
        raise ReadError(described.parent, found=found, expected="one, or session.xml to name one of them")
    if not named:
        return None, []
    if not stated:
        return named[0], []
    why = f"session.xml names {shown(stated[0])}, which is not there; {named[0].name} is read"
    return named[0], [LeftOut(str(described), why)]


def _session(element: Element, described: Path, bdf: Path, files: Sequence[Path], notes: list[LeftOut]) -> _Session:
    folder = described.parent
    number = int(folder.name)
    person = element.find("subject")
    subjects = {
        "the session's number": (number - 1) // _PER_SUBJECT + 1,
        "session.xml": None if person is None else _whole(person.get("id")),
    }
    cuts = {"the session's number": (number - 1) % _PER_SUBJECT + 1, "session.xml": _whole(element.get("cutNr"))}
    if match := _BDF.fullmatch(bdf.name):
        subjects[bdf.name], cuts[bdf.name] = int(match[1]), 2 * int(match[3])
    subject, more = _agreed("subject", subjects, folder)
    cut, still_more = _agreed("cut", cuts, folder)
    notes = [*notes, *more, *still_more]
    if cut % 2:
        notes.append(LeftOut(str(described), f"a clip's cut is even, this one is {cut}; used as trial {cut // 2}"))
    stated = _whole(element.get("sessionId"))
    if stated not in (None, number):
        notes.append(LeftOut(str(described), f"states the sessionId {stated}; the folder's name, {number}, is used"))
    ratings, rating_notes = _felt(element, described)
    return _Session(
        number=number,
        subject=subject,
        cut=cut,
        bdf=bdf,
        described=described,
        gaze=_gaze_file(element, files),
        ratings=ratings,
        media=element.get("mediaFile", "").strip(),
        seconds=_video_seconds(element),
        cut_seconds=_positive(_real(element.get("cutLenSec"))),
        notes=(*notes, *rating_notes),
    )


def _agreed(what: str, claims: Mapping[str, int | None], folder: Path) -> tuple[int, list[LeftOut]]:
    """Return the number that most places give; without such a majority it is not known whose session this is."""
    given = {place: value for place, value in claims.items() if value is not None}
    value, count = Counter(given.values()).most_common(1)[0]
    if count == len(given):
        return value, []
    said = ", ".join(f"{number} by {place}" for place, number in given.items())
    if 2 * count <= len(given):
        raise ReadError(folder, where=f"{what}", found=said, expected="one number: whose session it is is not known")
    return value, [LeftOut(f"{folder}: {what}", f"{said}; {value} is used")]


def _gaze_file(element: Element, files: Sequence[Path]) -> Path | None:
    """Return the gaze's file: the one that session.xml names, else the only one that is named as published."""
    there = {file.name.lower(): file for file in files if file.name.lower().endswith(".tsv") and file.is_file()}
    for annotation in element.iter("annotation"):
        name = annotation.get("filename", "").strip().lower()
        if annotation.get("type", "").strip().lower() == "gaze" and name in there:
            return there[name]
    named = [file for file in there.values() if _GAZE.fullmatch(file.name)]
    return named[0] if len(named) == 1 else None


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"\s*[0-9]{1,6}\s*", text) else None


def _real(text: str | None) -> float | None:
    """Return a finite number, None for what is none."""
    try:
        value = float((text or "").strip()[:40])
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _positive(value: float | None) -> float | None:
    return value if value is not None and 0 < value <= _LONGEST else None


def _video_seconds(element: Element) -> float | None:
    """Return the clip's length by the frames of its video, None where that is not written."""
    first, last, rate = (_real(element.get(name)) for name in ("vidBeginSmp", "vidEndSmp", "vidRate"))
    if first is None or last is None or rate is None or rate <= 0:
        return None
    return _positive((last - first) / rate)


# ---------------------------------------------------------------------------------------------------------------------
# Ratings
# ---------------------------------------------------------------------------------------------------------------------


def _felt(element: Element, file: Path) -> tuple[dict[str, float], list[LeftOut]]:
    """Return what the subject said, as far as session.xml has it, and notes on what is no answer."""
    ratings: dict[str, float] = {}
    notes = []
    for name, attribute in {"emotion": "feltEmo", **_SCALES}.items():
        text = element.get(attribute)
        if text is None:
            continue
        value = _whole(text)
        allowed = range(13) if name == "emotion" else range(1, 10)
        if value is not None and value in allowed:
            ratings[name] = float(value)
        else:
            why = f"found {shown(text)}; expected {allowed[0]} to {allowed[-1]}; it is not used"
            notes.append(LeftOut(f"{file}: {attribute}", why))
    return ratings, notes


_QUESTIONS = {
    "emotion keyword": "emotion",
    **{f"{name} assessment": name for name in ("arousal", "valence", "dominance", "predictability")},
}
_KEYWORDS = (5, 4, 2, 0, 11, 1, 3, 6, 12)  # codes of the emotions on the keys 1 to 9


def read_guide(file: Path) -> dict[str, dict[str, float]]:
    """Read a subject's answers from the log of the questionnaire, ``P<subject>-Rec1-Guide-Cut.tsv``.

    Parameters
    ----------
    file : Path
        Tab-separated with the columns Action and Name. Behind ``MovieEnd`` of a clip come, per question,
        ``InstructionStart`` with its title and ``KeyPress`` with ``D1`` to ``D9``.

    Returns
    -------
    dict of str to dict of str to float
        By the clip's file in lower case (``69.avi``): the code of the emotion, arousal, valence, dominance and
        predictability, as far as they were answered. Of several key presses for a question, the first counts.

    Raises
    ------
    ReadError
        The file cannot be read, or lacks a column.
    """
    answers: dict[str, dict[str, float]] = {}
    clip = question = ""
    names: list[str] = []
    for line in _lines(file):
        cells = [cell.strip() for cell in line.split("\t", 64)]
        if not names:
            lowered = [cell.lower() for cell in cells]
            names = lowered if {"action", "name"} <= set(lowered) else []
            continue
        row = dict(zip(names, cells, strict=False))
        action, name = row.get("action", "").lower(), row.get("name", "")
        if action in ("moviestart", "movieend"):
            clip, question = (_base(name) if action == "movieend" else ""), ""
        elif action == "instructionstart":
            question = next((what for title, what in _QUESTIONS.items() if title in name.lower()), "")
        elif action == "keypress" and clip and question and (key := re.fullmatch(r"D([1-9])", name)):
            digit = int(key[1])
            value = _KEYWORDS[digit - 1] if question == "emotion" else digit
            answers.setdefault(clip, {}).setdefault(question, float(value))
            question = ""
    if not names:
        raise ReadError(file, found="no header with Action and Name", expected="these columns, separated by tabs")
    return answers


def _base(name: str) -> str:
    """Return a file's name in lower case, without the folders of the machine that showed it."""
    return re.split(r"[\\/]", name)[-1].strip().lower()


def _lines(file: Path) -> list[str]:
    raw = read_bytes(file, limit=_LARGEST_GAZE)
    encoding = "utf-16" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    return raw.decode(encoding, "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _recovered(found: _Found, root: Path) -> list[LeftOut]:
    """Fill ratings that session.xml lacks from the log of the questionnaire; return the logs that cannot be read."""
    read: dict[int, dict[str, dict[str, float]]] = {}
    left_out = []
    for index, session in enumerate(found.sessions):
        guide = found.guides.get(session.subject)
        if guide is None or not session.media or len(session.ratings) == 1 + len(_SCALES):
            continue
        if session.subject not in read:
            try:
                read[session.subject] = read_guide(inside(guide, root))
            except ReadError as error:
                read[session.subject] = {}
                left_out.append(LeftOut(error.file, f"{error} It is not used for ratings that session.xml lacks."))
        answers = read[session.subject].get(_base(session.media), {})
        fresh = {name: value for name, value in answers.items() if name not in session.ratings}
        if fresh:
            why = f"session.xml lacks {', '.join(fresh)}; taken from {guide.name}"
            notes = (*session.notes, LeftOut(str(session.described), why))
            ratings = {**session.ratings, **fresh}
            found.sessions[index] = dataclasses.replace(session, ratings=ratings, notes=notes)
    return left_out


def _labels_beside(root: Path, labels: str | Path | None) -> Path | None:
    """Return the file of continuous valence: as given, else beside or in the folder of sessions."""
    if labels is not None:
        return Path(labels)
    sessions = _home(root)
    places = [sessions.parent, sessions, root] if sessions != root else [root]
    if sessions == root and root.name.lower() == "sessions":
        places.append(root.parent)
    for place in places:
        for file in visible(place):
            if file.name.lower() == _LABEL_FILE.lower() and is_inside(file, place):
                return file
    return None


def read_continuous(file: Path) -> tuple[dict[tuple[int, int], np.ndarray], list[LeftOut]]:
    """Read the traces of valence that annotators gave with a joystick.

    Parameters
    ----------
    file : Path
        ``lable_continous_Mahnob.mat``: `trials_included`, shape (trials, 2), holds subject and (even) cut; `labels` as
        many cells with a vector each.

    Returns
    -------
    traces : dict of (int, int) to ndarray of shape (n_times,), float64
        By subject and cut, at the rate of the annotation (4 Hz).
    left_out : list of LeftOut
        Rows that are not used: no vector of numbers, or a second one for the same session.

    Raises
    ------
    ReadError
        The file is not that table.
    """
    content = matlab.load(file, ("trials_included", "labels"), limit=_LARGEST_LABELS)
    trials, cells = content["trials_included"], content["labels"]
    if not _is_numeric(trials) or trials.ndim != 2 or trials.shape[1] != 2 or len(trials) > _MOST_LABELLED:
        raise ReadError(file, where="trials_included", found=_kind(trials), expected="numbers of shape (trials, 2)")
    if not isinstance(cells, np.ndarray) or cells.dtype != object or cells.size != len(trials):
        expected = f"a cell for each of the {len(trials)} rows of trials_included"
        raise ReadError(file, where="labels", found=_kind(cells), expected=expected)
    traces: dict[tuple[int, int], np.ndarray] = {}
    left_out = []
    for row, (pair, cell) in enumerate(zip(trials.astype(np.float64).tolist(), cells.ravel(), strict=True), start=1):
        place = f"{file}, row {row}"
        if not all(value in range(1, 1000) for value in pair):
            left_out.append(LeftOut(place, f"found {pair}; expected the numbers of a subject and a cut; not used"))
            continue
        key = (int(pair[0]), int(pair[1]))
        if not _is_numeric(cell) or cell.size == 0 or cell.size != max(cell.shape):
            left_out.append(LeftOut(place, f"found {_kind(cell)}; expected a vector of numbers; not used"))
        elif key in traces:
            left_out.append(LeftOut(place, f"subject {key[0]}, cut {key[1]}, stands in a row before; not used"))
        else:
            traces[key] = cell.ravel().astype(np.float64)
    return traces, left_out


def _is_numeric(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "iuf"


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} with the shape {value.shape}"
    return f"a {type(value).__name__}"


# ---------------------------------------------------------------------------------------------------------------------
# The clip within a file
# ---------------------------------------------------------------------------------------------------------------------


def _channel(header: edf.Header, label: str) -> edf.Channel | None:
    """Return the first channel of a label, whatever its case and a common reference behind it."""
    for channel in header.channels:
        if channel.label.strip().lower() == label.lower():
            return channel
    wanted = ("eeg", label)
    return next((c for c in header.channels if label in GENEVA and edf.classify(c.label) == wanted), None)


def _values(header: edf.Header, channel: edf.Channel) -> np.ndarray:
    """Return a channel's samples; one whose header cannot be true is refused."""
    lowest, highest = _RATES
    if not lowest <= channel.rate <= highest:
        expected = f"{lowest:g} to {highest:g} Hz"
        raise ReadError(header.file, where=f"rate of '{channel.label}'", found=f"{channel.rate:g}", expected=expected)
    if not (math.isfinite(channel.gain) and math.isfinite(channel.offset) and channel.gain != 0):
        found = f"a gain of {channel.gain:g} and an offset of {channel.offset:g}"
        raise ReadError(header.file, where=f"range of '{channel.label}'", found=found, expected="a scale")
    with np.errstate(over="ignore", invalid="ignore"):
        return edf.read_channel(header, channel)


def _header(file: Path) -> edf.Header:
    header = edf.read_header(file)
    if not 0 < header.seconds <= _LONGEST:
        expected = f"at most {_LONGEST:g} s"
        raise ReadError(file, where="header", found=f"a recording of {header.seconds:g} s", expected=expected)
    return header


def _pulses(header: edf.Header) -> tuple[list[int], float]:
    """Return the samples at which Status leaves its idle value, and the rate of Status.

    What idle is, how long a pulse lasts and which value it has are not relied on: idle is the most frequent value of
    the 16 bits that carry triggers. The bits above them tell the amplifier's state.
    """
    channel = _channel(header, "Status")
    if channel is None:
        raise ReadError(
            header.file,
            where="labels",
            found="no channel 'Status'",
            expected="the triggers at which the clip began and ended",
            advice="Pass clip_from='clock' to take 30 s before and after the clip.",
        )
    physical = _values(header, channel)
    with np.errstate(all="ignore"):  # only where the header cannot be true
        codes = np.rint((physical - channel.offset) / channel.gain).astype(np.int64) & 0xFFFF
    values, counts = np.unique(codes, return_counts=True)
    active = codes != values[np.argmax(counts)]
    return (np.flatnonzero(active[1:] & ~active[:-1]) + 1).tolist(), channel.rate


def _clip(header: edf.Header, session: _Session, clip_from: str) -> tuple[float, float, list[LeftOut]]:
    """Return start and end of the clip in seconds from the start of the file, and what had to be supposed."""
    if clip_from == "clock":
        start, end = _MARGIN, header.seconds - _MARGIN
        if end <= start:
            found = f"a recording of {header.seconds:g} s"
            raise ReadError(header.file, found=found, expected=f"{_MARGIN:g} s before and after the clip")
        return start, end, []
    pulses, rate = _pulses(header)
    times = [pulse / rate for pulse in pulses]
    if len(times) == 1:
        return _from_one_trigger(times[0], header, session)
    notes = []
    if len(times) > 2:
        pair, note = _from_many_triggers(times, header, session)
        notes.append(note)
    elif times:
        pair = (times[0], times[1])
    else:
        raise ReadError(
            header.file,
            where="Status",
            found="no trigger",
            expected="one where the clip began and one where it ended",
            advice="Pass clip_from='clock' to take 30 s before and after the clip.",
        )
    stated = session.seconds
    apart = pair[1] - pair[0]
    if stated is not None and abs(apart - stated) > _CLIP_SLACK:
        why = f"the triggers, which are used, are {apart:.1f} s apart; session.xml has a clip of {stated:.1f} s"
        notes.append(LeftOut(f"{header.file}: Status", why))
    return *pair, notes


def _from_one_trigger(time: float, header: edf.Header, session: _Session) -> tuple[float, float, list[LeftOut]]:
    """Complete a single trigger by the clip's length: it is the one that stands about 30 s from its end of the file."""
    length = session.clip_seconds
    after = header.seconds - time
    is_start = abs(time - _MARGIN) <= abs(after - _MARGIN)
    fits = length is not None and length <= (after if is_start else time)
    if length is None or not fits:
        stated = "no length in session.xml" if length is None else f"a clip of {length:.1f} s that does not fit"
        raise ReadError(
            header.file,
            where="Status",
            found=f"one trigger, at {time:.1f} s of {header.seconds:.1f} s, and {stated}",
            expected="a trigger at each end of the clip",
            advice="Pass clip_from='clock' to take 30 s before and after the clip.",
        )
    start, end = (time, time + length) if is_start else (time - length, time)
    which, other = ("start", "end") if is_start else ("end", "start")
    why = f"one trigger, at {time:.1f} s, taken for the clip's {which}; its {other} is by the length in session.xml"
    return start, end, [LeftOut(f"{header.file}: Status", why)]


def _from_many_triggers(
    times: Sequence[float], header: edf.Header, session: _Session
) -> tuple[tuple[float, float], LeftOut]:
    """Choose the two triggers whose distance is the clip's length."""
    length = session.clip_seconds
    best = None
    if length is not None:
        instants = np.array(times)
        places = np.searchsorted(instants, instants + length)
        near = [
            (abs(instants[j] - start - length), float(start), float(instants[j]))
            for start, place in zip(instants, places, strict=True)
            for j in (place - 1, place)
            if 0 <= j < len(instants) and instants[j] > start
        ]
        best = min(near, default=None)
    if best is None or best[0] > _CLIP_SLACK:
        stated = "no length in session.xml" if length is None else f"none {length:.1f} s apart, as session.xml has it"
        raise ReadError(
            header.file,
            where="Status",
            found=f"{len(times)} triggers, {stated}",
            expected="one where the clip began and one where it ended",
            advice="Pass clip_from='clock' to take 30 s before and after the clip.",
        )
    used = f"those at {best[1]:.1f} and {best[2]:.1f} s"
    why = f"{len(times)} triggers; {used} are used, which are as far apart as session.xml has it"
    return (best[1], best[2]), LeftOut(f"{header.file}: Status", why)


# ---------------------------------------------------------------------------------------------------------------------
# Signals
# ---------------------------------------------------------------------------------------------------------------------


def _float32(rows: Sequence[np.ndarray]) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        data = np.stack(rows).astype(np.float32)
    data[~np.isfinite(data)] = np.nan
    return data


def _voltages(header: edf.Header, labels: Sequence[str], modality: str) -> tuple[list[np.ndarray], float]:
    """Return channels of one rate in the unit of their modality; BioSemi's unit is µV where none is written."""
    channels = [_channel(header, label) for label in labels]
    missing = [label for label, channel in zip(labels, channels, strict=True) if channel is None]
    present = [channel for channel in channels if channel is not None]
    if missing:
        found = f"no {', '.join(missing)} among {len(header.channels)} channels"
        raise ReadError(header.file, where=f"{modality} channels", found=found, expected="all of them, by their labels")
    uneven = next((channel for channel in present if channel.rate != present[0].rate), None)
    if uneven is not None:
        found, expected = f"{uneven.rate:g} Hz of '{uneven.label}'", f"{present[0].rate:g} Hz, as of '{labels[0]}'"
        raise ReadError(header.file, where="rates", found=found, expected=expected)
    rows = []
    for channel in present:
        row = edf.to_unit(_values(header, channel), modality, channel.unit or "uV")
        if row is None:
            where = f"unit of '{channel.label}'"
            raise ReadError(header.file, where=where, found=repr(channel.unit), expected="a voltage, such as uV")
        rows.append(row)
    return rows, present[0].rate


def _signals(header: edf.Header, settings: _Settings) -> tuple[dict[str, Signal], list[LeftOut]]:
    """Return the modalities of a file; without EEG there is no recording, anything else only costs itself."""
    rows, rate = _voltages(header, GENEVA, "eeg")
    signals = {"eeg": Signal(_float32(rows), rate, GENEVA, UNITS["eeg"])}
    notes: list[LeftOut] = []
    others = {"ecg": _ecg, "eda": _eda, "resp": _resp, "temp": _temp}
    for modality, take in others.items():
        try:
            signal, own = take(header, settings)
        except ReadError as error:
            notes.append(LeftOut(f"{header.file}: {modality}", f"{error} The recording is used without {modality}."))
            continue
        notes += own
        if signal is not None:
            signals[modality] = signal
    return signals, notes


_Taken = tuple[Signal | None, list[LeftOut]]


def _ecg(header: edf.Header, settings: _Settings) -> _Taken:
    if settings.ecg == "electrodes":
        names: tuple[str, ...] = ("EXG1", "EXG2", "EXG3")
        rows, rate = _voltages(header, names, "ecg")
    else:
        (left, lower), rate = _voltages(header, ("EXG2", "EXG3"), "ecg")
        names, rows = ("EXG2-EXG3",), [left - lower]
    return Signal(_float32(rows), rate, names, UNITS["ecg"]), []


def _only(header: edf.Header, label: str) -> tuple[np.ndarray, edf.Channel]:
    channel = _channel(header, label)
    if channel is None:
        raise ReadError(header.file, where="labels", found=f"no '{label}'", expected="the 47 channels as published")
    return _values(header, channel), channel


def _eda(header: edf.Header, settings: _Settings) -> _Taken:
    """Return the skin's conductance; samples of which there is none (0 and below) are missing."""
    values, channel = _only(header, "GSR1")
    place = f"{header.file}: GSR1"
    if settings.gsr == "stored":
        return Signal(_float32([values]), channel.rate, ("GSR1",), "a.u."), []
    unit = channel.unit if settings.gsr == "header" else settings.gsr
    impossible = int((values <= 0).sum())
    with np.errstate(over="ignore", invalid="ignore"):
        converted = edf.to_unit(np.where(values > 0, values, np.nan), "eda", unit) if unit else None
    if converted is None:
        why = f"the header's unit is {channel.unit!r}; name it by gsr=; the recording is used without eda"
        return None, [LeftOut(place, why)]
    if 2 * impossible >= len(values):
        why = f"{impossible} of {len(values)} samples are 0 or below, which is no skin in {unit}; it is not used"
        return None, [LeftOut(place, f"{why}. Pass gsr='stored' to have it as it stands")]
    notes = []
    if impossible:
        why = f"{impossible} of {len(values)} samples are 0 or below, which is no skin in {unit}; they are missing"
        notes.append(LeftOut(place, why))
    median = float(np.nanmedian(converted)) if np.isfinite(converted).any() else math.nan
    if not _SKIN_MICROSIEMENS[0] <= median <= _SKIN_MICROSIEMENS[1]:
        why = f"taken as {unit}, its median is {median:.3g} µS, which is no skin; check the unit (gsr=)"
        notes.append(LeftOut(f"{place}: unit", why))
    return Signal(_float32([converted]), channel.rate, ("GSR1",), UNITS["eda"]), notes


def _resp(header: edf.Header, settings: _Settings) -> _Taken:
    values, channel = _only(header, "Resp")
    return Signal(_float32([values]), channel.rate, ("Resp",), UNITS["resp"]), []


def _temp(header: edf.Header, settings: _Settings) -> _Taken:
    values, channel = _only(header, "Temp")
    finite = values[np.isfinite(values)]
    median = float(np.median(finite)) if finite.size else math.nan
    if settings.temperature == "stored" or _SKIN_CELSIUS[0] <= median <= _SKIN_CELSIUS[1]:
        unit = "a.u." if settings.temperature == "stored" else UNITS["temp"]
        return Signal(_float32([values]), channel.rate, ("Temp",), unit), []
    why = f"the median of {median:g} is no skin temperature in °C; it is kept as it stands, in arbitrary units"
    return Signal(_float32([values]), channel.rate, ("Temp",), "a.u."), [LeftOut(f"{header.file}: Temp", why)]


# ---------------------------------------------------------------------------------------------------------------------
# Gaze
# ---------------------------------------------------------------------------------------------------------------------

_EYES = ("Left", "Right")
_GAZE_CHANNELS = tuple(f"{what}_{eye.lower()}" for eye in _EYES for what in ("x", "y", "distance", "pupil"))
_GAZE_COLUMNS = tuple(
    f"{what}{eye}" for eye in _EYES for what in ("GazePointX", "GazePointY", "Distance", "Pupil", "Validity")
)


@dataclass(frozen=True)
class _GazeTable:
    """Times in s as the tracker counts them, shape (n,); samples, shape (n, 8); events by name, their file and time.

    `malformed` counts rows that are neither; `cut` tells whether the file ends in the middle of a row.
    """

    times: np.ndarray
    samples: np.ndarray
    events: tuple[tuple[str, str, float], ...]
    malformed: int
    cut: bool


def _decimal(cell: str) -> float:
    """Return a cell's number, NaN for none; trackers write the decimal sign of their country."""
    try:
        value = float(cell.replace(",", ".")) if len(cell) < 40 else math.nan
    except ValueError:
        value = math.nan
    return value if math.isfinite(value) else math.nan


def _gaze_table(file: Path) -> _GazeTable:
    """Read the tracker's table: a preamble of any length, the header, and rows of samples and of events."""
    lines = _lines(file)
    head = next((i for i, line in enumerate(lines[:1000]) if line.lstrip().startswith("Timestamp\t")), None)
    if head is None:
        raise ReadError(file, found="no line that starts with Timestamp", expected="the header of the gaze's table")
    names = [cell.strip() for cell in lines[head].split("\t", 200)]
    missing = [name for name in _GAZE_COLUMNS if name not in names]
    if missing:
        raise ReadError(file, where=f"row {head + 1}", found=f"no {', '.join(missing)}", expected="these columns")
    time_at, columns = names.index("Timestamp"), [names.index(name) for name in _GAZE_COLUMNS]
    event_at, film_at = (names.index(name) if name in names else -1 for name in ("Event", "StimuliName"))
    times, rows, events, malformed = [], [], [], 0
    cut = bool(lines[-1].strip()) and lines[-1].count("\t") < len(names) - 1
    for line in lines[head + 1 : -1 if cut else None]:
        if not line or line.isspace():
            continue
        cells = line.split("\t", len(names))
        cells += [""] * (len(names) - len(cells))
        time = _decimal(cells[time_at]) / 1000
        event = cells[event_at].strip() if event_at >= 0 else ""
        if event and math.isfinite(time):
            events.append((event.lower(), _base(cells[film_at]) if film_at >= 0 else "", time))
        own = [cells[i].strip() for i in columns]
        if not any(own) and event:
            continue
        numbers = [_decimal(cell) for cell in own]
        if math.isfinite(time) and not all(map(math.isnan, numbers)):
            times.append(time)
            rows.append(numbers)
        else:
            malformed += 1
    table = np.array(rows, dtype=np.float64).reshape(-1, len(_GAZE_COLUMNS))
    return _GazeTable(np.array(times), _valid(table), tuple(events), malformed, cut)


def _valid(table: np.ndarray) -> np.ndarray:
    """Return x, y, distance and pupil of both eyes, shape (n, 8), NaN where the tracker did not see the eye."""
    eyes = []
    for first in (0, 5):
        samples, validity = table[:, first : first + 4].copy(), table[:, first + 4]
        samples[~(validity < 2)] = np.nan
        samples[samples < 0] = np.nan
        off_screen = np.isnan(samples[:, :2]).any(axis=1)
        samples[off_screen, :2] = np.nan
        eyes.append(samples)
    return np.hstack(eyes)


def _began(table: _GazeTable, media: str) -> tuple[float, str]:
    """Return when the clip began on the tracker's clock, and what says so."""
    starts = [(film, time) for event, film, time in table.events if event == "moviestart"]
    own = [time for film, time in starts if film == _base(media)]
    if own:
        return own[0], "MovieStart"
    # a film of another name may be the next one, of which a section's end can have the start
    ends = [time for event, film, time in table.events if event == "movieend" and film in ("", _base(media))]
    before = [time for _, time in starts if time < min(ends, default=math.inf)]
    half = float(table.times[0] + table.times[-1]) / 2
    if before and (ends or before[0] <= half):
        return before[0], "MovieStart"
    return float(table.times[0]), "first row"


def _gaze(
    file: Path, media: str, clip: tuple[float, float], seconds: float, rate: float
) -> tuple[Signal, Clock, list[LeftOut]]:
    """Return the gaze on a regular grid: at each instant the nearest sample, NaN where none is within a period."""
    table = _gaze_table(file)
    notes = []
    if table.cut:
        notes.append(LeftOut(str(file), "ends in the middle of a row, which is not used: copy the file again"))
    if table.malformed:
        notes.append(LeftOut(str(file), f"{table.malformed} rows are not numbers; they are not used"))
    if not len(table.times):
        raise ReadError(file, found="no samples", expected="rows with Timestamp and gaze")
    began, source = _began(table, media)
    if source != "MovieStart":
        notes.append(LeftOut(str(file), "there is no MovieStart; its first row is taken for the clip's start"))
    times = np.clip(table.times - began, -_LONGEST, _LONGEST) + clip[0]
    if (np.diff(times) <= 0).any():
        notes.append(LeftOut(f"{file}: Timestamp", "does not increase from row to row; the rows are sorted by it"))
    times, first = np.unique(times, return_index=True)
    kept = (times >= 0) & (times < seconds)
    times, samples = times[kept], table.samples[first][kept]
    if not len(times):
        raise ReadError(file, where="Timestamp", found="no samples during the recording", expected="those of the clip")
    period = float(np.median(np.diff(times))) if len(times) > 1 else 1 / rate
    if abs(period * rate - 1) > 0.05:
        why = f"samples come at {1 / period:.1f} Hz; they are put on a grid of {rate:g} Hz (gaze_rate=)"
        notes.append(LeftOut(f"{file}: Timestamp", why))
    ends = [time for event, _, time in table.events if event == "movieend" and time > began]
    if ends and source == "MovieStart" and abs(ends[0] - began - (clip[1] - clip[0])) > _CLIP_SLACK:
        why = f"the clip has {ends[0] - began:.1f} s here and {clip[1] - clip[0]:.1f} s in the physiology"
        notes.append(LeftOut(f"{file}: MovieEnd", why))
    if clip[1] - times[-1] > _CLIP_SLACK or times[0] - clip[0] > _CLIP_SLACK:
        why = f"samples from {times[0]:.1f} to {times[-1]:.1f} s; the clip is from {clip[0]:.1f} to {clip[1]:.1f} s"
        notes.append(LeftOut(f"{file}: Timestamp", why))
    grid = times[0] + np.arange(round((times[-1] - times[0]) * rate) + 1) / rate
    after = np.clip(np.searchsorted(times, grid), 1, max(len(times) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(times) - 1)
    nearest = np.where(grid - times[before] <= times[after] - grid, before, after)
    data = samples[nearest].T.astype(np.float32)
    data[:, np.abs(times[nearest] - grid) > 1 / rate] = np.nan
    gaps = [(float(times[i]), float(times[i + 1])) for i in np.flatnonzero(np.diff(times) > 2.5 / rate)]
    jitter = float(np.std(times[nearest] - grid))
    clock = Clock(offset=float(times[0]), jitter=jitter, gaps=tuple(gaps), source=f"Timestamp, from {source}")
    return Signal(data, rate, _GAZE_CHANNELS, UNITS["gaze"], float(times[0])), clock, notes


# ---------------------------------------------------------------------------------------------------------------------
# Recordings
# ---------------------------------------------------------------------------------------------------------------------


def _events(clip: tuple[float, float], seconds: float, code: float | None) -> list[Event]:
    events = [Event("baseline", 0.0, clip[0]), Event("clip", *clip)]
    if code is not None:
        events.append(Event(EMOTIONS[int(code)], *clip))
    events.append(Event("after", clip[1], seconds))
    return [event for event in events if event.end > event.start]


def _trace(
    labels: np.ndarray, clip: tuple[float, float], session: _Session, settings: _Settings
) -> tuple[Trace, list[LeftOut]]:
    """Place continuous labels at the clip's start; they may be a little longer or shorter than it."""
    length, labelled = clip[1] - clip[0], len(labels) / settings.label_rate
    place = f"continuous valence of subject {session.subject}, cut {session.cut}"
    if abs(labelled - length) >= settings.tolerance:
        raise ReadError(
            session.bdf,
            where=place,
            found=f"{labelled:.2f} s of labels and a clip of {length:.2f} s",
            expected=f"a difference below {settings.tolerance:g} s",
            advice="Are labels and session of each other? tolerance= allows more, label_rate= says their rate.",
        )
    notes = []
    if abs(labelled - length) > 1 / settings.label_rate:
        notes.append(LeftOut(f"{session.bdf}: {place}", f"{labelled:.2f} s long, the clip {length:.2f} s"))
    times = clip[0] + np.arange(len(labels)) / settings.label_rate
    return Trace(times, _float32([labels])[0]), notes


def _read(
    session: _Session, root: Path, gaze: Path | None, labels: np.ndarray | None, settings: _Settings
) -> Recording:
    header = _header(inside(session.bdf, root))
    start, end, clip_notes = _clip(header, session, settings.clip_from)
    clip = (start, end)
    signals, notes = _signals(header, settings)
    notes = [*session.notes, *_surplus(header), *clip_notes, *notes]
    clocks = {}
    if gaze is not None:
        try:
            signals["gaze"], clocks["gaze"], more = _gaze(
                inside(gaze, root), session.media, clip, header.seconds, settings.gaze_rate
            )
            notes += more
        except ReadError as error:
            notes.append(LeftOut(str(gaze), f"{error} The recording is used without gaze."))
    traces = {}
    if labels is not None:
        traces["valence"], more = _trace(labels, clip, session, settings)
        notes += more
    recording = Recording(
        subject=session.name,
        session=str(session.number),
        trial=_trial_name(session),
        order=session.trial - 1,
        signals=signals,
        ratings=dict(session.ratings),
        events=tuple(_events(clip, header.seconds, session.ratings.get("emotion"))),
        traces=traces,
        notes=tuple(notes),
        clocks=clocks,
    )
    return _trimmed(recording, clip) if settings.trim == "clip" else recording


def _trial_name(session: _Session) -> str:
    return f"trial{session.trial:02d}"


def _surplus(header: edf.Header) -> list[LeftOut]:
    if not header.surplus_bytes:
        return []
    why = f"{header.surplus_bytes} bytes behind the {header.n_records} records that the header states are not read"
    return [LeftOut(f"{header.file}: end", why)]


def _trimmed(recording: Recording, clip: tuple[float, float]) -> Recording:
    """Return the clip alone, its start as the recording's."""
    start, end = clip
    signals = {}
    for modality, signal in recording.signals.items():
        first, behind = (math.ceil((edge - signal.start) * signal.rate - 1e-6) for edge in clip)
        data = signal.data[:, max(first, 0) : max(behind, 0)].copy()
        shifted = signal.start + max(first, 0) / signal.rate - start
        if data.shape[1]:
            signals[modality] = dataclasses.replace(signal, data=data, start=shifted if abs(shifted) > 1e-9 else 0.0)
    traces = {}
    for name, trace in recording.traces.items():
        inside_clip = trace.times < end - 1e-9
        traces[name] = Trace(trace.times[inside_clip] - start, trace.values[inside_clip])
    clocks = {
        name: dataclasses.replace(
            clock, offset=clock.offset - start, gaps=tuple((first - start, last - start) for first, last in clock.gaps)
        )
        for name, clock in recording.clocks.items()
        if name in signals
    }
    events = tuple(
        Event(event.name, 0.0, end - start) for event in recording.events if (event.start, event.end) == clip
    )
    return dataclasses.replace(recording, signals=signals, traces=traces, clocks=clocks, events=events)


# ---------------------------------------------------------------------------------------------------------------------
# What can be checked
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Look:
    """What a file's header and triggers say."""

    session: _Session
    labels: tuple[str, ...]
    rates: tuple[float, ...]
    pulses: tuple[float, ...]


def _look(session: _Session) -> _Look | None:
    """Look into a file; one that cannot be read is reported where all are read."""
    try:
        header = _header(session.bdf)
        pulses, rate = _pulses(header) if _channel(header, "Status") else ([], 1.0)
    except ReadError:
        return None
    labels = tuple(channel.label for channel in header.channels)
    rates = tuple(sorted({channel.rate for channel in header.channels}))
    return _Look(session, labels, rates, tuple(pulse / rate for pulse in pulses))


def _verdict(what: str, wrong: Sequence[str], looked_at: int, missing: str) -> Check:
    """Return a check of many sessions: none looked at, all well, or which are not."""
    if not looked_at:
        return Check(what, None, missing)
    more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
    found = f"{'; '.join(wrong[:5])}{more}" if wrong else f"so in all {looked_at} looked at"
    return Check(what, not wrong, found)


def _checks(root: Path, corpus: Corpus) -> Iterator[Check]:
    """Yield what can be said of a MAHNOB-HCI folder beyond that its files can be read."""
    found = _find(root)
    _recovered(found, root)
    listed = {source.session for source in corpus.sources}
    sessions = [session for session in found.sessions if str(session.number) in listed]
    yield _counts(found)
    yield _all_have_physiology(found)
    yield _verdict(
        "sessionId is (subject - 1) * 130 + cutNr, and file names agree",
        [note.what for session in sessions for note in session.notes if note.what.endswith((": subject", ": cut"))],
        len(sessions),
        "no session is listed",
    )
    yield _orders(sessions)
    looks = [look for session in sessions if (look := _look(session)) is not None]
    yield from _file_checks(looks)
    yield from _continuous_checks(root, found, looks)


def _counts(found: _Found) -> Check:
    rated = [session for session in found.sessions if session.ratings]
    subjects = len({session.subject for session in rated})
    what = "there are 527 rated clips with physiology, of 27 subjects, as most published work counts"
    stated = f"{len(rated)} of {subjects} subjects"
    # published counts differ (527, 533, 547), so another one is no defect
    return Check(what, True if (len(rated), subjects) == (527, 27) else None, stated)


def _all_have_physiology(found: _Found) -> Check:
    lacking = [folder.name for why, places in found.skipped.items() if "no physiology" in why for folder in places]
    what = "every clip's session has its .bdf file"
    if lacking:  # as some of the published ones, so this is no defect of the copy
        return Check(what, None, f"{len(lacking)} have none: {', '.join(lacking[:10])}")
    return _verdict(what, lacking, len(found.sessions), "no session was found")


def _orders(sessions: Sequence[_Session]) -> Check:
    """Clips were shuffled for each subject: were they the same at each place, trial and clip would be confused."""
    at_place: dict[int, list[str]] = {}
    for session in sessions:
        if session.media:
            at_place.setdefault(session.trial, []).append(session.media)
    several = {place: clips for place, clips in at_place.items() if len(clips) > 1}
    what = "the clips were shown to each subject in another order"
    if not several:
        return Check(what, None, "no place in the order is known of two subjects")
    same = sum(len(set(clips)) == 1 for clips in several.values())
    return Check(what, same < len(several), f"{same} of {len(several)} places have one and the same clip for all")


def _file_checks(looks: Sequence[_Look]) -> Iterator[Check]:
    none = "no .bdf file could be read"
    yield _verdict(
        "every .bdf file has the 47 channels",
        [f"{look.session.bdf}: {len(look.labels)} channels" for look in looks if set(look.labels) != set(CHANNELS)],
        len(looks),
        none,
    )
    yield _verdict(
        "every channel has 256 Hz",
        [f"{look.session.bdf}: {', '.join(f'{r:g}' for r in look.rates)} Hz" for look in looks if look.rates != (256,)],
        len(looks),
        none,
    )
    yield _verdict(
        "Status has two triggers",
        [f"{look.session.bdf}: {len(look.pulses)}" for look in looks if len(look.pulses) != 2],
        len(looks),
        none,
    )
    timed = [look for look in looks if len(look.pulses) == 2 and look.session.seconds is not None]
    apart = [
        f"{look.session.bdf}: {look.pulses[1] - look.pulses[0]:.2f} s, session.xml {look.session.seconds:.2f} s"
        for look in timed
        if abs(look.pulses[1] - look.pulses[0] - (look.session.seconds or 0.0)) > 1
    ]
    what = "the triggers are as far apart as session.xml says the clip lasts (within 1 s)"
    yield _verdict(what, apart, len(timed), "session.xml has no frames of the video, or there are not two triggers")


def _continuous_checks(root: Path, found: _Found, looks: Sequence[_Look]) -> Iterator[Check]:
    known = "there are continuous labels of 239 clips and 24 subjects"
    matched = "every row of continuous labels has its session"
    fitting = "continuous labels at 4 Hz are as long as their clip (within 1 s)"
    try:
        file = _labels_beside(root, None)
        traces = None if file is None else read_continuous(file)[0]
    except ReadError as error:
        yield Check(known, False, str(error))
        return
    if traces is None:
        for what in (known, matched, fitting):
            yield Check(what, None, f"there is no {_LABEL_FILE}")
        return
    subjects = len({subject for subject, _ in traces})
    yield Check(known, (len(traces), subjects) == (239, 24), f"{len(traces)} of {subjects} subjects")
    there = {(session.subject, session.cut) for session in found.sessions}
    absent = [f"subject {subject}, cut {cut}" for subject, cut in sorted(set(traces) - there)]
    yield _verdict(matched, absent, len(traces), "it has no rows")
    pairs = [
        (look, len(traces[key]) / 4)
        for look in looks
        if len(look.pulses) == 2 and (key := (look.session.subject, look.session.cut)) in traces
    ]
    wrong = [
        f"{look.session.bdf}: labels {seconds:.2f} s, clip {look.pulses[1] - look.pulses[0]:.2f} s"
        for look, seconds in pairs
        if abs(look.pulses[1] - look.pulses[0] - seconds) >= 1
    ]
    yield _verdict(fitting, wrong, len(pairs), "no listed session with two triggers has continuous labels")


# ---------------------------------------------------------------------------------------------------------------------
# The data set
# ---------------------------------------------------------------------------------------------------------------------


@dataset(
    "mahnob-hci",
    info=DatasetInfo(
        title="MAHNOB-HCI: EEG, peripheral signals and gaze of people who watched emotional film clips",
        modalities=("eeg", "ecg", "eda", "resp", "temp", "gaze"),
        subjects=30,
        licence="EULA, academic research only",
        citation="Soleymani et al., A Multimodal Database for Affect Recognition and Implicit Tagging, "
        "IEEE Trans. Affective Computing 3(1):42-55, 2012",
        url="https://mahnob-db.eu/hci-tagging/",
        access="gated",
        checked="format-faithful files only; never tried on the real corpus",
        obtain="Sign the EULA at https://mahnob-db.eu/hci-tagging/. Of each session of the emotion elicitation "
        "experiment, session.xml, the .bdf and the .tsv are enough; video is not read. For continuous valence, put "
        f"{_LABEL_FILE} (https://github.com/soheilrayatdoost/ContinuousEmotionDetection, folder data) beside Sessions.",
        uncertain=(
            "the unit of GSR1: taken as ohm (gsr)",
            "the unit of Temp: taken as °C where that can be (temperature)",
            "where EXG1 to EXG3 were: EXG2-EXG3 is taken as the lead, or all three (ecg)",
            "width and value of the triggers in Status: not relied on; 30 s around the clip instead (clip_from)",
            "the rate of the gaze: put on a grid of 60 Hz by its time stamps (gaze_rate)",
            "whether a continuous label stands for its quarter second's start: taken so (label_rate, tolerance)",
            "how ratings that session.xml lacks stand in Guide-Cut.tsv: known from one description (recover)",
            "why published work leaves subject 26 out (exclude_known_bad)",
        ),
    ),
    checks=_checks,
)
def mahnob_hci(
    root: Path | None,
    *,
    subjects: Sequence[str | int] | None = None,
    annotation: Literal["felt", "continuous_valence"] = "felt",
    trim: Literal["all", "clip"] = "all",
    clip_from: Literal["status", "clock"] = "status",
    ecg: Literal["lead", "electrodes"] = "lead",
    gsr: Literal["ohm", "kohm", "nS", "µS", "header", "stored"] = "ohm",
    temperature: Literal["celsius", "stored"] = "celsius",
    gaze: bool = True,
    gaze_rate: float = 60.0,
    labels: str | Path | None = None,
    label_rate: float = 4.0,
    tolerance: float = 1.0,
    recover: bool = True,
    exclude_known_bad: bool = False,
) -> Corpus:
    """MAHNOB-HCI: a recording per clip, with the events ``baseline``, ``clip``, ``after`` and the felt emotion.

    Modalities, at the rates of the files (256 Hz as distributed): `eeg` (32 electrodes in the order of
    :data:`limbeck.datasets.deap.GENEVA`, µV, as recorded: not referenced, with the amplifier's offset), `ecg` (mV),
    `eda` (µS), `resp`, `temp` (°C) and, where the tracker's table is there, `gaze`: position on the screen, distance
    and pupil of each eye as stored, NaN where the eye was not seen, on a regular grid. The gaze covers little more than
    the clip, so windows that want it lie there; its clock is the tracker's, aligned where the clip began.

    Ratings: ``emotion`` (code in :data:`EMOTIONS`), ``arousal``, ``valence``, ``dominance`` and ``predictability`` (1
    to 9). The felt emotion is an event, too, over the clip: ``fear``, ``amusement``. A recording's session is the
    corpus's number of it, its trial the place in the subject's own order of clips (``trial07``), its order that place
    from 0; time 0 is the file's start, about 30 s before the clip.

    The clip is between the two triggers of ``Status``. A single one is taken for its start or its end, whichever leaves
    about 30 s outside the clip, and the length is that of session.xml; of more than two, those are taken that are as
    far apart as session.xml has it; both are noted. Without triggers a recording is left out, unless `clip_from` is
    ``clock``.

    Parameters
    ----------
    root : Path, optional
        The folder with ``Sessions``, or that folder itself; by default in the folder of data sets.
    subjects : sequence of str or int, optional
        Only these: ``P7``, ``7``.
    annotation : {"felt", "continuous_valence"}
        ``felt`` lists the clips that were rated. ``continuous_valence`` lists those with a trace ``valence`` from
        ``lable_continous_Mahnob.mat``, from the clip's start, rated or not.
    trim : {"all", "clip"}
        Whether the time around the clip is kept. With ``clip``, time 0 is the clip's start.
    clip_from : {"status", "clock"}
        Where the clip is: between triggers, or all but the first and last 30 s.
    ecg : {"lead", "electrodes"}
        The difference EXG2-EXG3, or EXG1, EXG2 and EXG3.
    gsr : {"ohm", "kohm", "nS", "µS", "header", "stored"}
        The unit that GSR1 is taken to have (``header``: the file's). Samples of 0 and below are missing, and noted.
        ``stored`` keeps the numbers, as ``a.u.``.
    temperature : {"celsius", "stored"}
        Whether Temp is taken to be in °C; it is kept as ``a.u.``, and that noted, where it cannot be.
    gaze : bool
        Whether the gaze is read.
    gaze_rate : float
        Hz of the grid that the gaze is put on.
    labels : path-like, optional
        The file of continuous valence, where it does not lie beside ``Sessions``.
    label_rate : float
        Hz of the continuous valence.
    tolerance : float
        Seconds by which continuous labels may be longer or shorter than the clip; beyond, the recording is left out.
    recover : bool
        Whether ratings that session.xml lacks are taken from the log of the questionnaire (``Guide-Cut.tsv``).
    exclude_known_bad : bool
        Whether subjects 12, 15 and 26, which published work leaves out, are left out.

    Returns
    -------
    Corpus
        Sessions that are not read are on `left_out`, one entry per reason.

    Raises
    ------
    DataError
        `root` does not exist, an option is wrong, or a subject asked for is not there.
    ReadError
        `root` is not laid out as published, or the file of continuous valence is missing or not that table.
    """
    given: dict[str, str] = {"annotation": annotation, "trim": trim, "clip_from": clip_from}
    given |= {"ecg": ecg, "gsr": gsr, "temperature": temperature}
    for name, value in given.items():
        if value not in _ALLOWED[name]:
            raise DataError(f"mahnob-hci: there is no {name} '{value}'.{did_you_mean(str(value), _ALLOWED[name])}")
    _require_positive(gaze_rate=gaze_rate, label_rate=label_rate, tolerance=tolerance)
    settings = _Settings(**given, gaze=gaze, gaze_rate=gaze_rate, label_rate=label_rate, tolerance=tolerance)
    root = locate("mahnob-hci", root)
    found = _find(root)
    left_out = list(found.left_out)
    if recover:
        left_out += _recovered(found, root)
    traces, label_file = None, None
    if annotation == "continuous_valence":
        label_file = _label_file(root, labels)
        traces, bad_rows = read_continuous(label_file)
        left_out += bad_rows
    sessions = _chosen(found, subjects, exclude_known_bad)
    if traces is None:
        sessions = _rated(found, sessions)
    else:
        sessions = _labelled(found, sessions, traces, left_out, label_file, subjects)
    sources = [_source(session, root, label_file, traces, settings) for session in sessions]
    for session in sessions if gaze else ():
        if session.gaze is None:
            found.skip("there is no (one) table of the gaze in it; used without gaze", session.described.parent)
        elif _readable_gaze(session, root) is None:
            why = "a link that leads out of the data set's folder is not followed; used without gaze"
            found.skip(why, session.described.parent)
    return Corpus("mahnob-hci", tuple(sources), [*_grouped(found.skipped), *left_out])


def _require_positive(**values: float) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _RATES[1]:
            raise DataError(f"mahnob-hci: {name} must be a number above 0 and at most {_RATES[1]:g}; found {value!r}.")


def _spelling(name: str) -> str:
    match = re.fullmatch(r"[Pp]?0*(\d{1,4})", name.strip())
    return f"P{int(match[1])}" if match else name


def _chosen(found: _Found, subjects: Sequence[str | int] | None, exclude: bool) -> list[_Session]:
    """Return the sessions of the subjects wanted."""
    names = list(dict.fromkeys(session.name for session in found.sessions))
    wanted = set(chosen(names, subjects, _spelling))
    sessions = []
    for session in found.sessions:
        if session.name not in wanted:
            continue
        if exclude and session.subject in KNOWN_BAD:
            found.skip("subjects 12, 15 and 26 are left out (exclude_known_bad)", session.described.parent)
        else:
            sessions.append(session)
    return sessions


def _rated(found: _Found, sessions: Iterable[_Session]) -> list[_Session]:
    kept = []
    for session in sessions:
        missing = [name for name in ("emotion", *_SCALES) if name not in session.ratings]
        if not missing:
            kept.append(session)
        elif session.ratings:
            note = LeftOut(str(session.described), f"has no {', '.join(missing)}; used without")
            kept.append(dataclasses.replace(session, notes=(*session.notes, note)))
        else:
            why = "neither session.xml nor Guide-Cut.tsv has a felt emotion or a rating"
            found.skip(why, session.described.parent)
    return kept


def _label_file(root: Path, labels: str | Path | None) -> Path:
    file = _labels_beside(root, labels)
    if file is None:
        raise ReadError(
            root,
            found=f"no {_LABEL_FILE}",
            expected="the file of continuous valence beside Sessions",
            advice="`limbeck datasets describe mahnob-hci` says where it comes from; labels= names it elsewhere.",
        )
    return file


def _labelled(
    found: _Found,
    sessions: Iterable[_Session],
    traces: Mapping[tuple[int, int], np.ndarray],
    left_out: list[LeftOut],
    file: Path | None,
    subjects: Sequence[str | int] | None,
) -> list[_Session]:
    """Return the sessions that have continuous labels, matched by subject and cut."""
    kept = []
    for session in sessions:
        if (session.subject, session.cut) in traces:
            kept.append(session)
        else:
            found.skip("has no continuous labels", session.described.parent)
    there = {(session.subject, session.cut) for session in found.sessions}
    absent = [f"P{subject} cut {cut}" for subject, cut in sorted(set(traces) - there)]
    if absent and subjects is None:
        names = ", ".join(absent[:10]) + (f" and {len(absent) - 10} more" if len(absent) > 10 else "")
        left_out.append(LeftOut(f"{file}: {names}", "continuous labels without a session that can be read; not used"))
    return kept


def _readable_gaze(session: _Session, root: Path) -> Path | None:
    return session.gaze if session.gaze is not None and is_inside(session.gaze, root) else None


def _source(
    session: _Session,
    root: Path,
    label_file: Path | None,
    traces: Mapping[tuple[int, int], np.ndarray] | None,
    settings: _Settings,
) -> Source:
    gaze = _readable_gaze(session, root) if settings.gaze else None
    labels = None if traces is None else traces[session.subject, session.cut]
    return Source(
        subject=session.name,
        session=str(session.number),
        trial=_trial_name(session),
        read=partial(_read, session, root, gaze, labels, settings),
        files=tuple(file for file in (session.bdf, session.described, gaze, label_file) if file is not None),
        options={**dataclasses.asdict(settings), "ratings": dict(session.ratings), "cut": session.cut},
        modules=_MODULES,
    )
