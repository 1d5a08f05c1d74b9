"""WESAD: a chest belt and a wristband through baseline, stress, amusement and meditation.

Schmidt et al., Introducing WESAD, a Multimodal Dataset for Wearable Stress and Affect Detection, ICMI 2018. As
published: ``S2/S2.pkl`` holds the signals of both devices, synchronised, and a label per chest sample;
``S2/S2_quest.csv`` the order of the conditions and the questionnaires after each. Units are those of the official
``wesad_readme.pdf``: the pickles hold chest signals in physical units and wrist acceleration in 1/64 g.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from limbeck.datasets import Check, DatasetInfo, dataset, locate, pickles
from limbeck.datasets.files import chosen, find_folder, inside, is_inside, read_bytes, sources_inside, visible
from limbeck.datasets.numbers import shown
from limbeck.datasets.validating import outcome
from limbeck.errors import DataError, ReadError, did_you_mean
from limbeck.recording import UNITS, Corpus, Event, LeftOut, Recording, Signal, Source, Trace

__all__ = ["CONDITIONS", "Questionnaires", "looks_like", "read_questionnaires", "wesad"]

CONDITIONS = {0: "transient", 1: "baseline", 2: "stress", 3: "amusement", 4: "meditation"}
"""The labels that become events; 5, 6 and 7 are, as the authors say, to be ignored."""

_IGNORED = (5, 6, 7)
_MODULES = tuple(f"limbeck.datasets.{name}" for name in ("wesad", "pickles", "files"))
_PUBLISHED = tuple(f"S{number}" for number in range(2, 18) if number != 12)
_LABEL_RATE = 700.0
_SLACK = 1.0  # seconds by which a wrist signal may be shorter or longer than the chest's


@dataclass(frozen=True)
class _Sensor:
    """Where a sensor's samples stand in the pickle, and what they are."""

    device: str
    key: str
    modality: str
    rate: float
    channels: tuple[str, ...]
    scale: float = 1.0


_SENSORS = (
    _Sensor("chest", "ACC", "acc", 700.0, ("x", "y", "z")),
    _Sensor("chest", "ECG", "ecg", 700.0, ("ECG",)),
    _Sensor("chest", "EDA", "eda", 700.0, ("eda",)),
    _Sensor("chest", "EMG", "emg", 700.0, ("EMG",)),
    _Sensor("chest", "Resp", "resp", 700.0, ("Resp",)),
    _Sensor("chest", "Temp", "temp", 700.0, ("temp",)),
    _Sensor("wrist", "ACC", "acc", 32.0, ("x", "y", "z"), 1 / 64),
    _Sensor("wrist", "BVP", "bvp", 64.0, ("bvp",)),
    _Sensor("wrist", "EDA", "eda", 4.0, ("eda",)),
    _Sensor("wrist", "TEMP", "temp", 4.0, ("temp",)),
)
_DEVICES = ("chest", "wrist")


def _sensors(device: str, shared: str) -> tuple[_Sensor, ...]:
    """Return one sensor per modality: those of a device, or of both with what both have from `shared`."""
    if device in _DEVICES:
        return tuple(sensor for sensor in _SENSORS if sensor.device == device)
    by_modality = {sensor.modality: sensor for sensor in _SENSORS}
    by_modality |= {sensor.modality: sensor for sensor in _SENSORS if sensor.device == shared}
    return tuple(by_modality[modality] for modality in sorted(by_modality))


# ---------------------------------------------------------------------------------------------------------------------
# Signals and labels
# ---------------------------------------------------------------------------------------------------------------------


def _part(content: Any, key: str, file: Path, where: str) -> Any:
    """Return an entry of a dictionary."""
    if not isinstance(content, Mapping):
        raise ReadError(file, where=where, found=f"a {type(content).__name__}", expected=f"a dictionary with '{key}'")
    if key not in content:
        names = ", ".join(map(str, list(content)[:12])) or "nothing"
        raise ReadError(file, where=where, found=f"the entries {names}", expected=f"'{key}' among them")
    return content[key]


def _array(values: Any, file: Path, where: str) -> np.ndarray:
    """Return numbers as an array; lists, which an honest file does not have, only where they are regular."""
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise ReadError(file, where=where, found=str(error), expected="an array of numbers") from error
    if array.dtype.kind not in "iuf":
        raise ReadError(file, where=where, found=f"values of type {array.dtype}", expected="an array of numbers")
    return array


def _signal(content: Any, sensor: _Sensor, file: Path) -> Signal:
    """Take one sensor's samples out of the pickle's content, in Limbeck's unit."""
    where = f"signal, {sensor.device}"
    samples = _part(
        _part(_part(content, "signal", file, "content"), sensor.device, file, "signal"), sensor.key, file, where
    )
    where, columns = f"{where}, {sensor.key}", len(sensor.channels)
    array = _array(samples, file, where)
    if array.ndim == 1 and columns == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] != columns or len(array) == 0:
        found = f"an array of {array.dtype} with the shape {array.shape}"
        raise ReadError(file, where=where, found=found, expected=f"numbers of the shape (samples, {columns})")
    data = np.empty((columns, len(array)), dtype=np.float32)
    np.multiply(array.T, sensor.scale, out=data, casting="unsafe")
    data[~np.isfinite(data)] = np.nan
    return Signal(data, sensor.rate, sensor.channels, UNITS[sensor.modality])


def _labels(content: Any, file: Path) -> np.ndarray:
    """Return the label of every chest sample as int64."""
    labels = _array(_part(content, "label", file, "content"), file, "label")
    if labels.size != max(labels.shape, default=0) or labels.size == 0:
        found = f"an array of {labels.dtype} with the shape {labels.shape}"
        raise ReadError(file, where="label", found=found, expected="a whole number per chest sample")
    flat = labels.ravel()
    known = (*CONDITIONS, *_IGNORED)
    wrong = ~np.isin(flat, known)
    if wrong.any():
        place = int(np.argmax(wrong))
        expected = f"0 to {max(known)}"
        raise ReadError(file, where=f"label of sample {place}", found=f"{flat[place]}", expected=expected)
    return flat.astype(np.int64)


def _events(labels: np.ndarray) -> list[Event]:
    """Return every run of one label as an event; labels to be ignored make none."""
    edges = np.flatnonzero(np.diff(labels)) + 1
    bounds = np.concatenate([[0], edges, [len(labels)]])
    return [
        Event(CONDITIONS[code], float(start) / _LABEL_RATE, float(end) / _LABEL_RATE)
        for start, end in itertools.pairwise(bounds)
        if (code := int(labels[start])) in CONDITIONS
    ]


def _lengths(signals: Mapping[str, Signal], sensors: Sequence[_Sensor], n_labels: int, file: Path) -> list[LeftOut]:
    """Refuse chest signals that the labels do not fit, and note wrist signals that end at another time."""
    end = n_labels / _LABEL_RATE
    notes = []
    for sensor in sensors:
        signal = signals[sensor.modality]
        if sensor.device == "chest" and signal.data.shape[1] != n_labels:
            found = f"{signal.data.shape[1]} samples and {n_labels} labels"
            raise ReadError(file, where=f"signal, chest, {sensor.key}", found=found, expected="a label per sample")
        if abs(signal.end - end) > _SLACK:
            why = f"ends at {signal.end:.1f} s, the labels at {end:.1f} s; nothing is moved or filled"
            notes.append(LeftOut(f"{file}: {sensor.device} {sensor.key}", why))
    return notes


# ---------------------------------------------------------------------------------------------------------------------
# Questionnaires
# ---------------------------------------------------------------------------------------------------------------------

_PARTS = {"base": "baseline", "tsst": "stress", "fun": "amusement", "medi1": "meditation_1", "medi2": "meditation_2"}
_READING = ("sread", "fread", "bread")  # reading aloud between the conditions, which nobody rated


@dataclass(frozen=True)
class Questionnaires:
    """What a subject answered after each condition.

    Parameters
    ----------
    subject : str
        As the file says, ``""`` where it does not.
    order : tuple of str
        The rated conditions in the order in which this subject had them: ``baseline``, ``stress``, ``amusement``,
        ``meditation_1``, ``meditation_2``.
    spans : mapping of str to (float, float)
        By condition, start and end in seconds from the chest belt's start.
    panas, stai, sssq : mapping of str to tuple of float
        By condition, the items as they were ticked (none reversed or summed).
    valence, arousal : mapping of str to float
        By condition, the self-assessment manikins from 1 to 9.
    """

    subject: str
    order: tuple[str, ...]
    spans: Mapping[str, tuple[float, float]]
    panas: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    stai: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    sssq: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    valence: Mapping[str, float] = field(default_factory=dict)
    arousal: Mapping[str, float] = field(default_factory=dict)


def _rows(file: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Yield number, name in lower case and cells of every row that starts with ``#``; empty cells end a row."""
    text = read_bytes(file, limit=2**20).decode("latin1").removeprefix("\xef\xbb\xbf")
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        name, *cells = [cell.strip() for cell in line.rstrip("; \t").split(";")]
        if name.startswith("#"):
            yield number, name.lstrip("# ").lower(), cells


def _clock(text: str, file: Path, row: int) -> float:
    """Return the seconds that ``minutes.seconds`` stands for: 7.08 is 7 min 8 s, 50.3 (of 50.30) is 50 min 30 s."""
    match = re.fullmatch(r"(\d{1,4})(?:[.,](\d{1,2}))?", text)
    seconds = int((match[2] or "0").ljust(2, "0")) if match else 60
    if match is None or seconds >= 60:
        raise ReadError(file, where=f"row {row}", found=shown(text), expected="minutes.seconds, such as 7.08")
    return 60.0 * int(match[1]) + seconds


def _answers(cells: Sequence[str], file: Path, row: int) -> tuple[float, ...]:
    try:
        return tuple(float(cell) if cell else float("nan") for cell in cells)
    except ValueError as error:
        raise ReadError(file, where=f"row {row}", found=shown(";".join(cells)), expected="numbers") from error


def _heads(rows: Mapping[str, tuple[int, list[str]]], file: Path) -> dict[str, tuple[float, float]]:
    """Return start and end of the rated conditions, in the order of the file."""
    missing = [name.upper() for name in ("order", "start", "end") if name not in rows]
    if missing:
        raise ReadError(file, found=f"no row '# {missing[0]}'", expected="the rows # ORDER, # START and # END")
    (order_row, names), (start_row, starts), (end_row, ends) = rows["order"], rows["start"], rows["end"]
    spans: dict[str, tuple[float, float]] = {}
    for place, name in enumerate(names):
        plain = re.sub(r"[\s_]", "", name).lower()
        if plain in _READING or not plain:
            continue
        if plain not in _PARTS or _PARTS[plain] in spans:
            expected = "Base, TSST, Fun, Medi 1 and Medi 2, once each"
            raise ReadError(file, where=f"row {order_row}", found=shown(name), expected=expected)
        if place >= min(len(starts), len(ends)):
            found = f"no time for {shown(name)}"
            raise ReadError(file, where=f"row {start_row} or {end_row}", found=found, expected="a start and an end")
        span = (_clock(starts[place], file, start_row), _clock(ends[place], file, end_row))
        if span[1] <= span[0]:
            found = f"{name} from {starts[place]} to {ends[place]}"
            raise ReadError(
                file, where=f"rows {start_row} and {end_row}", found=found, expected="an end after the start"
            )
        spans[_PARTS[plain]] = span
    return spans


def read_questionnaires(file: str | Path) -> Questionnaires:
    """Read a subject's ``SX_quest.csv``.

    Parameters
    ----------
    file : path-like
        Separated by semicolons: ``# Subj``, ``# ORDER``, ``# START``, ``# END`` (times as minutes.seconds), then a row
        per condition, in their order, of ``# PANAS``, ``# STAI`` and ``# DIM``, and one of ``# SSSQ`` (after stress).

    Returns
    -------
    Questionnaires
        A condition whose rows are missing at the end has no answers.

    Raises
    ------
    ReadError
        The file is missing, lacks the rows at the top, or a row is not what it should be: the message names it.
    """
    file = Path(file)
    heads: dict[str, tuple[int, list[str]]] = {}
    answers: dict[str, list[tuple[float, ...]]] = {"panas": [], "stai": [], "dim": [], "sssq": []}
    for number, name, cells in _rows(file):
        if name in answers:
            given = _answers(cells, file, number)
            if name == "dim" and (len(given) != 2 or not all(1 <= value <= 9 for value in given)):
                found = shown(";".join(cells))
                raise ReadError(file, where=f"row {number}", found=found, expected="valence and arousal, 1 to 9")
            answers[name].append(given)
        elif name not in heads:
            heads[name] = (number, cells)
    spans = _heads(heads, file)
    order = tuple(spans)
    for name, given_rows in answers.items():
        if len(given_rows) > len(order):
            found = f"{len(given_rows)} rows '# {name.upper()}' for {len(order)} conditions"
            raise ReadError(file, found=found, expected="one per condition")
    by_condition = {name: dict(zip(order, given_rows, strict=False)) for name, given_rows in answers.items()}
    _, subject = heads.get("subj", (0, []))
    return Questionnaires(
        subject=subject[0].upper() if subject else "",
        order=order,
        spans=spans,
        panas=by_condition["panas"],
        stai=by_condition["stai"],
        sssq={"stress": answers["sssq"][0]} if answers["sssq"] and "stress" in order else {},
        valence={name: given[0] for name, given in by_condition["dim"].items()},
        arousal={name: given[1] for name, given in by_condition["dim"].items()},
    )


def _rated(events: Sequence[Event], answers: Questionnaires, file: Path) -> tuple[dict[str, Event], list[LeftOut]]:
    """Match the conditions of the questionnaires with the events, which both follow the order of the session."""
    found = [event for event in events if event.name != CONDITIONS[0]]
    if [event.name for event in found] == [name.rstrip("_12") for name in answers.order]:
        return dict(zip(answers.order, found, strict=True)), []
    labelled = ", ".join(event.name for event in found) or "none"
    why = f"found the conditions {', '.join(answers.order)}; the labels have {labelled}; used without traces of answers"
    return {}, [LeftOut(f"{file}: ORDER", why)]


def _held(values: Mapping[str, float], rated: Mapping[str, Event]) -> Trace | None:
    """Return answers as a trace: each at every second of the condition that it was given for."""
    spans = sorted((event.start, event.end, values[name]) for name, event in rated.items() if name in values)
    if not spans:
        return None
    times = [np.arange(start, end, 1.0) for start, end, _ in spans]
    held = [np.full(len(own), value, dtype=np.float32) for own, (_, _, value) in zip(times, spans, strict=True)]
    return Trace(np.concatenate(times), np.concatenate(held))


def _with_answers(
    file: Path | None, root: Path, subject: str, events: Sequence[Event]
) -> tuple[dict[str, float], dict[str, Trace], list[LeftOut]]:
    """Return ratings and traces from the questionnaires; what is wrong with them costs nothing else."""
    if file is None:
        return {}, {}, []
    try:
        answers = read_questionnaires(inside(file, root))
    except ReadError as error:
        return {}, {}, [LeftOut(str(file), f"{error} The recording is used without ratings.")]
    if answers.subject not in ("", subject):
        why = f"found the answers of {answers.subject}; expected those of {subject}; not used"
        return {}, {}, [LeftOut(str(file), why)]
    rated, notes = _rated(events, answers, file)
    scales = {"valence": answers.valence, "arousal": answers.arousal}
    ratings = {f"{name}_{scale}": value for scale, values in scales.items() for name, value in values.items()}
    traces = {scale: trace for scale, values in scales.items() if (trace := _held(values, rated)) is not None}
    return ratings, traces, notes


# ---------------------------------------------------------------------------------------------------------------------
# Subjects
# ---------------------------------------------------------------------------------------------------------------------


def _number(name: str) -> int | None:
    match = re.fullmatch(r"[Ss]?0*(\d{1,3})", name)
    return int(match[1]) if match else None


def _spelling(name: str) -> str:
    number = _number(name)
    return name if number is None else f"S{number}"


def _file(folder: Path, ending: str) -> Path | None:
    """Return the file of a subject with that ending, in its folder or in the only folder in that."""
    pattern = re.compile(rf"[Ss]\d+{re.escape(ending)}", re.IGNORECASE)

    def named(place: Path) -> Path | None:
        return next((child for child in visible(place) if pattern.fullmatch(child.name)), None)

    home = find_folder(folder, lambda place: named(place) is not None)
    return None if home is None else named(home)


def _holds_subjects(folder: Path) -> bool:
    return any(
        child.name[:1] in "Ss"
        and _number(child.name) is not None
        and child.is_dir()
        and _file(child, ".pkl") is not None
        for child in visible(folder)
    )


def looks_like(path: Path) -> bool:
    """Tell whether a folder is laid out as WESAD is published."""
    return find_folder(path, _holds_subjects) is not None


def _read(
    file: Path, quest: Path | None, root: Path, subject: str, sensors: Sequence[_Sensor], with_transient: bool
) -> Recording:
    content = pickles.load(inside(file, root), encoding="latin1")
    stated = _part(content, "subject", file, "content")
    if _spelling(str(stated)) != subject:
        advice = "The file lies in another subject's folder: two subjects would be one."
        raise ReadError(file, where="subject", found=shown(str(stated)), expected=subject, advice=advice)
    labels = _labels(content, file)
    signals = {sensor.modality: _signal(content, sensor, file) for sensor in sensors}
    notes = _lengths(signals, sensors, len(labels), file)
    del content  # about a gigabyte; what is needed of it was copied
    events = _events(labels)
    ratings, traces, more = _with_answers(quest, root, subject, events)
    return Recording(
        subject,
        signals,
        ratings=ratings,
        events=tuple(event for event in events if with_transient or event.name != CONDITIONS[0]),
        traces=traces,
        notes=(*notes, *more),
    )


# ---------------------------------------------------------------------------------------------------------------------
# Checks
# ---------------------------------------------------------------------------------------------------------------------


def _checks(root: Path, corpus: Corpus) -> Iterator[Check]:
    """Check subjects, conditions and questionnaires; every recording is read once more for its labels."""
    strangers = sorted(set(corpus.subjects) - set(_PUBLISHED))
    yield outcome("subjects are S2 to S17 without S12", strangers, len(corpus.subjects), of="subjects")
    incomplete, unlike, apart, read, asked = [], [], [], 0, 0
    for source in corpus.sources:
        try:
            recording = source.read()
        except ReadError:
            continue  # that it cannot be read is told already
        read += 1
        names = [event.name for event in recording.events if event.name != CONDITIONS[0]]
        if sorted(names) != ["amusement", "baseline", "meditation", "meditation", "stress"]:
            incomplete.append(f"{source.subject} has {', '.join(names) or 'none'}")
        if len(source.files) > 1:
            asked += 1
            unlike += [f"{source.subject}: {note.why}" for note in recording.notes if "quest" in note.what]
            apart += _spans_apart(source.files[1], source.subject, recording.events)
    yield outcome(
        "labels have baseline, stress and amusement once, and meditation twice", incomplete, read, of="subjects"
    )
    missing = "there is no SX_quest.csv"
    what = "the questionnaires' order of conditions is that of the labels"
    yield outcome(what, unlike, asked, of="subjects", missing=missing)
    what = "conditions lie at the questionnaires' times, read as minutes.seconds"
    yield outcome(what, apart, asked, of="subjects", missing=missing)


def _spans_apart(file: Path, subject: str, events: Sequence[Event]) -> list[str]:
    """Return the conditions of which less than half lies in the span that the questionnaires give for it."""
    try:
        answers = read_questionnaires(file)
    except ReadError:
        return []  # the notes of the recording say so
    rated, _ = _rated(events, answers, file)
    apart = []
    for name, event in rated.items():
        start, end = answers.spans[name]
        if min(end, event.end) - max(start, event.start) < (event.end - event.start) / 2:
            apart.append(
                f"{subject}: {name} from {event.start:.0f} to {event.end:.0f} s, stated {start:.0f} to {end:.0f} s"
            )
    return apart


@dataset(
    "wesad",
    info=DatasetInfo(
        title="WESAD: chest belt and wristband through baseline, stress, amusement and meditation",
        modalities=("acc", "bvp", "ecg", "eda", "emg", "resp", "temp"),
        subjects=15,
        names=_PUBLISHED,
        licence="academic research, non-commercial",
        citation="Schmidt et al., Introducing WESAD, ICMI 2018",
        url="https://archive.ics.uci.edu/dataset/465",
        access="gated",
        checked="format-faithful files only; never tried on the real corpus",
        obtain="Download WESAD.zip (2 to 3 GB) from the UCI repository, data set 465.",
        uncertain=(
            "the width of label integers, which does not matter here",
            "what subject-specific remarks in SX_readme.txt mean for the signals: read them",
        ),
    ),
    checks=_checks,
)
def wesad(
    root: Path | None,
    *,
    subjects: Sequence[str | int] | None = None,
    device: Literal["both", "chest", "wrist"] = "both",
    shared: Literal["chest", "wrist"] = "chest",
    transient: bool = True,
) -> Corpus:
    """WESAD: events ``baseline``, ``stress``, ``amusement``, ``meditation`` (twice) and ``transient`` between them.

    One recording per subject, at native rates: of the chest `acc` (g), `ecg` and `emg` (mV), `eda` (µS), `resp` (% of
    the belt's range) and `temp` (°C) at 700 Hz; of the wrist `acc` (32 Hz, converted from 1/64 g), `bvp` (64 Hz), `eda`
    and `temp` (4 Hz). A recording holds one signal per modality, so `device` and `shared` say whose.

    Where ``SX_quest.csv`` is there, `ratings` has the self-assessed valence and arousal (1 to 9) of every condition
    (``stress_arousal``, ``meditation_2_valence``), and the traces ``valence`` and ``arousal`` hold each answer at every
    second of its condition: one answer for minutes, not a continuous annotation. The order of the conditions has two
    versions, with baseline always first: let no model see time. Reading a subject holds its whole pickle for
    a moment: of a full-size file of 277 MB, 0.5 GB in all.

    Parameters
    ----------
    root : Path, optional
        The folder with ``S2``, ``S3``, ... (there is no S1 and no S12); by default in the folder of data sets.
    subjects : sequence of str or int, optional
        Only these: ``S2``, ``2``.
    device : {"both", "chest", "wrist"}
        Whose signals are read.
    shared : {"chest", "wrist"}
        With both devices: whose `acc`, `eda` and `temp`.
    transient : bool
        Whether what the authors leave undefined (label 0) becomes an event. Labels 5, 6 and 7 never do.

    Returns
    -------
    Corpus
        Folders of subjects without their pickle are on `left_out`.

    Raises
    ------
    DataError
        `root` does not exist, a subject asked for is not there, or an option has a value that there is not.
    ReadError
        `root` is not laid out as published.
    """
    for name, value, allowed in (("device", device, ("both", *_DEVICES)), ("shared", shared, _DEVICES)):
        if value not in allowed:
            raise DataError(f"WESAD has no {name} '{value}'.{did_you_mean(value, allowed)}")
    root = locate("wesad", root)
    home = find_folder(root, _holds_subjects)
    if home is None:
        raise ReadError(root, found="no S2/S2.pkl, S3/S3.pkl, ...", expected="the WESAD folder as published")
    folders = {_spelling(c.name): c for c in visible(home) if c.name[:1] in "Ss" and _number(c.name) and c.is_dir()}
    sensors = _sensors(device, shared)
    left_out: list[LeftOut] = []
    found: list[tuple[Path, Callable[[], Source]]] = []
    for subject in chosen(sorted(folders, key=lambda name: _number(name) or 0), subjects, _spelling):
        folder = folders[subject]
        file = _file(folder, ".pkl") if is_inside(folder, root) else folder
        if file is None:
            left_out.append(LeftOut(str(folder), f"there is no {subject}.pkl in it; {subject} is left out"))
        else:
            found.append((file, partial(_source, file, folder, root, subject, sensors, transient)))
    sources, outside = sources_inside(root, found)
    return Corpus("wesad", sources, [*left_out, *outside])


def _source(
    file: Path, folder: Path, root: Path, subject: str, sensors: Sequence[_Sensor], with_transient: bool
) -> Source:
    quest = _file(folder, "_quest.csv")
    return Source(
        subject=subject,
        read=partial(_read, file, quest, root, subject, sensors, with_transient),
        files=(file,) if quest is None or not is_inside(quest, root) else (file, quest),
        options={"sensors": [f"{s.device} {s.key}" for s in sensors], "transient": with_transient},
        modules=_MODULES,
    )
