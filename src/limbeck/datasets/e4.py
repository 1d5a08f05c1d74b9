"""Empatica E4 wristband sessions: a folder or zip of CSV files, one per sensor.

Row 1 of a sensor file is the UTC unix time of its first sample, row 2 its rate, the rest are samples; ``ACC.csv``
repeats both per axis and counts in 1/64 g. ``IBI.csv`` has no rate row, ``HR.csv`` starts ten seconds late,
``tags.csv`` (unix times of button presses) may be empty, and so may the file of a sensor that failed (Empatica, "E4
data export and formatting").

A defect costs as little as it safely can. A sensor file that is missing or without samples costs that modality; a
damaged ``HR.csv``, ``IBI.csv`` or ``tags.csv`` costs that annotation; both are noted on the recording. A sensor file
that is *damaged* costs the recording, because a copy that broke once is not to be trusted elsewhere.
"""

from __future__ import annotations

import math
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from limbeck.datasets import DatasetInfo, dataset, locate
from limbeck.datasets.files import chosen, hidden, inside, is_inside, read_bytes, sources_inside, visible
from limbeck.datasets.numbers import numbers_of, plain_text, read_table, refuse_cut_number, shown
from limbeck.datasets.tables import read_rows
from limbeck.datasets.zips import read_member, zip_members
from limbeck.errors import DataError, ReadError
from limbeck.recording import UNITS, Corpus, Event, LeftOut, Recording, Signal, Source, Trace

__all__ = [
    "MODULES",
    "Session",
    "clip_events",
    "cut_signal",
    "cut_trace",
    "e4",
    "early_ends",
    "list_sessions",
    "load_session",
    "looks_like",
    "read_session",
    "read_tags",
    "session_files",
    "trimmed",
]

MODULES = (*(f"limbeck.datasets.{name}" for name in ("e4", "files", "numbers", "zips")), "pandas")
"""The modules whose code reads a session; pandas turns the text into numbers."""

_FIRST_TIME, _LAST_TIME = 946_684_800.0, 4_102_444_800.0  # the years 2000 and 2100
_LATEST_SENSOR = 3600.0  # seconds: sensors of one session start within a fraction of a second of each other
_EARLY_END = 60.0  # seconds; lengths of one session's sensors differ by up to 6 s where nothing failed
_TAG_SLACK = 60.0
_LABEL_SLACK = 1.0  # seconds: labels are often given in whole ones


@dataclass(frozen=True)
class _Sensor:
    """How one sensor's file is read: its columns, the device's rate, the factor to our unit, the believable range."""

    file: str
    channels: tuple[str, ...]
    rate: float
    scale: float
    lowest: float
    highest: float
    means: str


# The ranges are wider than the device can measure (Empatica E4 user's manual: ±2 g, 0.01–100 µS, -40–115 °C): they
# catch text read as numbers and shifted columns, not artefacts. BVP and HR have no stated range.
_SENSORS = {
    "acc": _Sensor("ACC.csv", ("x", "y", "z"), 32.0, 1 / 64, -1024, 1024, "acceleration in 1/64 g"),
    "bvp": _Sensor("BVP.csv", ("bvp",), 64.0, 1.0, -1e6, 1e6, "blood volume pulse"),
    "eda": _Sensor("EDA.csv", ("eda",), 4.0, 1.0, -5, 200, "skin conductance in µS"),
    "temp": _Sensor("TEMP.csv", ("temp",), 4.0, 1.0, -60, 150, "skin temperature in °C"),
}
_HEART = _Sensor("HR.csv", ("hr",), 1.0, 1.0, 0, 400, "heart rate in beats per minute")
_LONGEST_BEAT = 10.0  # seconds between two beats


@dataclass(frozen=True)
class Session:
    """One E4 session as it lies on disk, in Limbeck's units.

    Parameters
    ----------
    start : float
        UTC unix time of the earliest sensor's first sample: the zero of every time below.
    signals : mapping of str to Signal
        Of ``acc`` (g), ``bvp`` (a.u.), ``eda`` (µS), ``temp`` (°C), those that have samples; each with its own start.
    traces : mapping of str to Trace
        ``hr`` in beats per minute and ``ibi`` in seconds, where the files have values.
    tags : ndarray of shape (n_tags,), float64
        Seconds from `start` of the button presses, as the file has them (not sorted, not corrected).
    notes : tuple of LeftOut
        What could not be used.
    """

    start: float
    signals: Mapping[str, Signal]
    traces: Mapping[str, Trace]
    tags: np.ndarray
    notes: tuple[LeftOut, ...] = ()

    @property
    def end(self) -> float:
        """Seconds from `start` to the end of the longest signal."""
        return max(signal.end for signal in self.signals.values())


@dataclass(frozen=True)
class _Files:
    """The files of a session by lower-case name, each with the name to show and a function that reads its bytes."""

    label: str
    readers: Mapping[str, tuple[str, Callable[[], bytes]]]

    def shown(self, name: str) -> str:
        return self.readers[name.lower()][0]

    def read(self, name: str) -> bytes:
        return self.readers[name.lower()][1]()

    def __contains__(self, name: str) -> bool:
        return name.lower() in self.readers


# ---------------------------------------------------------------------------------------------------------------------
# Finding the files
# ---------------------------------------------------------------------------------------------------------------------


def _is_session_file(name: str) -> bool:
    lower = name.lower()
    is_sensor = lower in {sensor.file.lower() for sensor in _SENSORS.values()} or lower in ("hr.csv", "ibi.csv")
    return is_sensor or (lower.startswith("tags") and lower.endswith(".csv"))


def _is_sensor_file(name: str) -> bool:
    return name.lower() in {sensor.file.lower() for sensor in _SENSORS.values()}


def _canonical(name: str) -> str:
    """Return ``tags.csv`` for ``tags_S01.csv``, else the name in lower case."""
    return "tags.csv" if name.lower().startswith("tags") else name.lower()


def _holds_sensors(folder: Path) -> bool:
    return any(_is_sensor_file(child.name) for child in visible(folder) if not child.is_dir())


def _session_folder(path: Path, root: Path) -> Path | None:
    """Return the folder of a session: the path itself or the only folder in it that holds sensor files."""
    if not path.is_dir():
        return None
    if _holds_sensors(path):
        return path
    nested = [child for child in visible(path) if child.is_dir() and is_inside(child, root) and _holds_sensors(child)]
    return nested[0] if len(nested) == 1 else None


def session_files(path: Path, root: Path | None = None) -> tuple[Path, ...]:
    """Return the files on disk that decide what a session holds; a link that leaves `root` is not among them."""
    root = path if root is None else root
    folder = _session_folder(path, root)
    if folder is None:
        return (path,)
    names = [child for child in visible(folder) if _is_session_file(child.name)]
    return tuple(child for child in names if is_inside(child, root))


def _open(path: Path, root: Path) -> _Files:
    if not path.exists():
        raise ReadError(path, found="no such file or folder", expected="an E4 session (a folder or a zip)")
    inside(path, root)
    if not path.is_dir():
        return _open_zip(path)
    folder = _session_folder(path, root)
    if folder is None:
        raise ReadError(
            path,
            found="no sensor file" if path.is_dir() else "a file that is not a zip",
            expected="ACC.csv, BVP.csv, EDA.csv or TEMP.csv in the folder, or in the only folder in it",
        )
    readers: dict[str, tuple[str, Callable[[], bytes]]] = {}
    for file in visible(folder):
        if not _is_session_file(file.name):
            continue
        name = _canonical(file.name)
        if name in readers:
            raise ReadError(file, found="a second file of that kind", expected=f"one {name} per session")
        readers[name] = (str(file), partial(_read_inside, file, root))
    return _Files(str(folder), readers)


def _read_inside(file: Path, root: Path) -> bytes:
    return read_bytes(inside(file, root))


def _open_zip(path: Path) -> _Files:
    """List the session files of a zip; nothing is unpacked to disk."""
    members: dict[str, str] = {}
    folders: set[str] = set()
    for member in zip_members(path):
        *parents, name = member.filename.split("/")
        if any(hidden(part) for part in (*parents, name)) or not _is_session_file(name):
            continue
        if len(parents) > 2:
            continue  # deeper than one extra level: not this session
        if _canonical(name) in members:
            raise ReadError(
                path,
                where=member.filename,
                found="a second file of that kind",
                expected=f"one {_canonical(name)} per zip",
                advice="Pack each session into a zip of its own.",
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ReadError(path, where=member.filename, found="a link", expected="a plain file")
        members[_canonical(name)] = member.filename
        folders.add("/".join(parents))
    if not any(_is_sensor_file(name) for name in members):
        raise ReadError(path, found="no sensor file", expected="ACC.csv, BVP.csv, EDA.csv or TEMP.csv in the zip")
    if len(folders) > 1:
        raise ReadError(path, found=f"session files in {len(folders)} folders", expected="one session per zip")
    return _Files(
        str(path),
        {name: (f"{path}/{member}", partial(read_member, path, member)) for name, member in members.items()},
    )


# ---------------------------------------------------------------------------------------------------------------------
# Sensor files
# ---------------------------------------------------------------------------------------------------------------------


def _header_value(line: bytes, file: str, row: int, columns: int, means: str) -> float:
    values = numbers_of(line, columns) or numbers_of(line, 1)
    if values is None or len(set(values)) > 1:
        repeated = f", {columns} times" if columns > 1 else ""
        raise ReadError(file, where=f"row {row}", found=shown(line), expected=f"{means}{repeated}")
    return values[0]


def _header_start(line: bytes, file: str, columns: int) -> float:
    start = _header_value(line, file, 1, columns, "the session's start in unix seconds")
    if start != 0 and not _FIRST_TIME <= start <= _LAST_TIME:  # 0: a corpus that hides its dates
        raise ReadError(
            file,
            where="row 1",
            found=f"{start:g}",
            expected="the session's start in unix seconds, between the years 2000 and 2100",
            advice="Is the first row missing, or the time in milliseconds?",
        )
    return start


def _header_rate(line: bytes, file: str, sensor: _Sensor) -> float:
    rate = _header_value(line, file, 2, len(sensor.channels), "the sampling rate in Hz")
    if rate != round(rate) or not sensor.rate / 4 <= rate <= 4 * sensor.rate:
        raise ReadError(
            file,
            where="row 2",
            found=f"{rate:g}",
            expected=f"the sampling rate in Hz (the device writes {sensor.rate:g})",
            advice="Is the rate row missing?",
        )
    return rate


def _read_sensor(raw: bytes, file: str, sensor: _Sensor) -> tuple[float, float, np.ndarray] | None:
    """Return unix start, rate in Hz and samples of shape (n_channels, n_times), None if there are no samples."""
    text = plain_text(raw, file)
    if not text.strip():
        return None
    first, _, rest = text.partition(b"\n")
    columns = len(sensor.channels)
    start = _header_start(first, file, columns)
    second, _, body = rest.partition(b"\n")
    if not second.strip() and not body.strip():
        return None
    rate = _header_rate(second, file, sensor)
    if not body.strip():
        return None
    table = read_table(body, file, columns, first_row=3)
    outside = ((table < sensor.lowest) | (table > sensor.highest)).any(axis=1)
    if outside.any():
        row = int(np.argmax(outside))
        raise ReadError(
            file,
            where=f"row {row + 3}",
            found=", ".join(f"{value:g}" for value in table[row]),
            expected=f"{sensor.means}, between {sensor.lowest:g} and {sensor.highest:g}",
        )
    refuse_cut_number(body, file, len(table))
    return start, rate, table.T


def _read_intervals(raw: bytes, file: str) -> tuple[float, np.ndarray] | None:
    """Return unix start and rows of (seconds since start, interval in s) of ``IBI.csv``, None if there are none."""
    text = plain_text(raw, file)
    if not text.strip():
        return None
    first, _, body = text.partition(b"\n")
    start = _header_start(first.partition(b",")[0], file, 1)
    if not body.strip():
        return None
    table = read_table(body, file, 2, first_row=2)
    wrong = (table[:, 0] < 0) | (table[:, 1] <= 0) | (table[:, 1] > _LONGEST_BEAT)
    wrong[1:] |= np.diff(table[:, 0]) <= 0
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ReadError(
            file,
            where=f"row {row + 2}",
            found=f"{table[row, 0]:g}, {table[row, 1]:g}",
            expected=f"increasing seconds since the start, and an interval between 0 and {_LONGEST_BEAT:g} s",
        )
    return start, table


def _parse_tags(raw: bytes, file: str) -> np.ndarray:
    text = plain_text(raw, file)
    if not text.strip():
        return np.empty(0)
    tags = read_table(text, file, 1, first_row=1)[:, 0]
    wrong = (tags < 0) | (tags > _LAST_TIME)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ReadError(file, where=f"row {row + 1}", found=f"{tags[row]:g}", expected="a time in unix seconds")
    return tags


# ---------------------------------------------------------------------------------------------------------------------
# Sessions
# ---------------------------------------------------------------------------------------------------------------------


def looks_like(path: Path) -> bool:
    """Tell whether a path is an E4 session, or a folder of E4 sessions, by the names in it."""
    if path.is_file():
        return path.suffix.lower() == ".zip"
    return bool(_entries(path, path))


def read_tags(path: str | Path) -> np.ndarray:
    """Return the button presses of an E4 session.

    Parameters
    ----------
    path : path-like
        The session's folder or zip.

    Returns
    -------
    ndarray of shape (n_tags,), float64
        UTC unix times in s, in the order of the file; empty where the file is empty or missing.

    Raises
    ------
    ReadError
        The session or its tags cannot be read.
    """
    files = _open(Path(path), Path(path))
    return _parse_tags(files.read("tags.csv"), files.shown("tags.csv")) if "tags.csv" in files else np.empty(0)


def load_session(path: str | Path, *, root: Path | None = None) -> Session:
    """Read an E4 session as it lies on disk, in Limbeck's units.

    Parameters
    ----------
    path : path-like
        A folder with the sensor files, or with one folder that has them; or a zip of either.
    root : Path, optional
        Links may lead anywhere inside this folder; by default inside `path`.

    Returns
    -------
    Session

    Raises
    ------
    ReadError
        There is no sensor with samples, or a sensor's file is damaged: the message names file and row.
    """
    path = Path(path)
    files = _open(path, path if root is None else root)
    notes: list[LeftOut] = []
    parts: dict[str, tuple[float, float, np.ndarray]] = {}
    for modality, sensor in _SENSORS.items():
        if sensor.file not in files:
            why = f"no {sensor.file}; the recording is used without {modality}"
            notes.append(LeftOut(f"{files.label}/{sensor.file}", why))
            continue
        part = _read_sensor(files.read(sensor.file), files.shown(sensor.file), sensor)
        if part is None:
            why = f"no samples (a sensor that failed?); the recording is used without {modality}"
            notes.append(LeftOut(files.shown(sensor.file), why))
        else:
            parts[modality] = part
    if not parts:
        raise ReadError(
            files.label, found="no sensor file with samples", expected="at least one of ACC, BVP, EDA, TEMP"
        )
    start = min(part[0] for part in parts.values())
    signals = {
        modality: _signal(modality, part, start, files.shown(_SENSORS[modality].file))
        for modality, part in parts.items()
    }
    traces, trace_notes = _read_traces(files, start)
    tags, tag_notes = _read_tags(files, start)
    return Session(start, signals, traces, tags, (*notes, *_early_notes(signals, files), *trace_notes, *tag_notes))


def early_ends(signals: Mapping[str, Signal]) -> dict[str, float]:
    """Return, of the sensors that stopped long before the longest one, by modality, the second at which they did."""
    longest = max(signal.end for signal in signals.values())
    return {modality: signal.end for modality, signal in signals.items() if signal.end < longest - _EARLY_END}


def _early_notes(signals: Mapping[str, Signal], files: _Files) -> list[LeftOut]:
    """Name sensors that stopped early: the device failed, or the file was cut at the end of a row."""
    longest = max(signal.end for signal in signals.values())
    return [
        LeftOut(
            files.shown(_SENSORS[modality].file),
            f"{modality} stops at {end:.0f} s of {longest:.0f} s; nothing is there after that",
        )
        for modality, end in early_ends(signals).items()
    ]


def _signal(modality: str, part: tuple[float, float, np.ndarray], start: float, file: str) -> Signal:
    sensor, (own_start, rate, samples) = _SENSORS[modality], part
    if own_start - start > _LATEST_SENSOR:
        raise ReadError(
            file,
            where="row 1",
            found=f"a start {own_start - start:.0f} s after the session's first sensor",
            expected="sensors that start together",
            advice="The files seem to come from different sessions.",
        )
    data = np.ascontiguousarray(samples * sensor.scale, dtype=np.float32)
    return Signal(data, rate, sensor.channels, UNITS[modality], start=own_start - start)


def _read_traces(files: _Files, start: float) -> tuple[dict[str, Trace], list[LeftOut]]:
    """Return heart rate and beat intervals; what the device computed is never worth a recording."""
    traces: dict[str, Trace] = {}
    notes: list[LeftOut] = []
    for name, read in {"hr": _heart_rate, "ibi": _beats}.items():
        file = f"{name}.csv"
        if file not in files:
            continue
        try:
            trace = read(files.read(file), files.shown(file), start)
        except ReadError as error:
            notes.append(LeftOut(files.shown(file), f"{error} The recording is used without {name}."))
            continue
        if trace is None:
            notes.append(LeftOut(files.shown(file), f"no values; the recording is used without {name}"))
        else:
            traces[name] = trace
    return traces, notes


def _heart_rate(raw: bytes, file: str, start: float) -> Trace | None:
    part = _read_sensor(raw, file, _HEART)
    if part is None:
        return None
    own_start, rate, samples = part
    times = own_start - start + np.arange(samples.shape[1]) / rate
    return Trace(times, samples[0].astype(np.float32))


def _beats(raw: bytes, file: str, start: float) -> Trace | None:
    part = _read_intervals(raw, file)
    if part is None:
        return None
    own_start, table = part
    return Trace(own_start - start + table[:, 0], table[:, 1].astype(np.float32))


def _read_tags(files: _Files, start: float) -> tuple[np.ndarray, list[LeftOut]]:
    if "tags.csv" not in files:
        return np.empty(0), []
    try:
        return _parse_tags(files.read("tags.csv"), files.shown("tags.csv")) - start, []
    except ReadError as error:
        return np.empty(0), [LeftOut(files.shown("tags.csv"), f"{error} The recording is used without tags.")]


def cut_signal(signal: Signal, start: float, end: float) -> Signal:
    """Return the samples of a signal that lie in ``[start, end)``, with their times kept.

    Parameters
    ----------
    signal : Signal
        What to cut.
    start, end : float
        Seconds from the recording's start.

    Returns
    -------
    Signal
        With no samples where none lies inside.
    """
    tolerance = 1e-6  # of a sample: times such as 30.000000001 s, from unix times in float64
    first, last = (
        min(max(math.ceil((time - signal.start) * signal.rate - tolerance), 0), signal.data.shape[1])
        for time in (start, end)
    )
    data = signal.data[:, first : max(first, last)]
    return Signal(data, signal.rate, signal.channels, signal.unit, signal.start + first / signal.rate)


def cut_trace(trace: Trace, start: float, end: float) -> Trace:
    """Return the values of a trace that lie in ``[start, end)`` seconds from the recording's start."""
    kept = (trace.times >= start) & (trace.times < end)
    return Trace(trace.times[kept], trace.values[kept])


def read_session(
    path: str | Path,
    *,
    subject: str,
    session: str = "",
    trial: str = "",
    events: Sequence[Event] = (),
    origins: Sequence[str] = (),
    trim: float = 0.0,
    root: Path | None = None,
) -> Recording:
    """Read an E4 session as a recording.

    Parameters
    ----------
    path : path-like
        The session's folder or zip.
    subject, session, trial : str
        As in :class:`limbeck.recording.Recording`.
    events : sequence of Event
        Known intervals, in seconds from the earliest sensor's start. What of them lies outside the session is noted.
    origins : sequence of str
        Where each event was read, for the notes; by default the session's path.
    trim : float
        Seconds left out at both ends of the session: of signals, traces and events. Times stay as they were.
    root : Path, optional
        Links may lead anywhere inside this folder; by default inside `path`.

    Returns
    -------
    Recording
        With the given events and, behind them, an event ``after_tag_N`` from each button press to the next (the last to
        the session's end). Each signal keeps its own start and length.

    Raises
    ------
    ReadError
        As :func:`load_session`; or the session is shorter than twice the trim.
    """
    loaded = load_session(path, root=root)
    tagged, notes = _tag_events(loaded, str(path))
    notes += _outside(events, origins or [str(path)] * len(events), loaded.end)
    return trimmed(
        loaded, path, trim, subject=subject, session=session, trial=trial, events=[*events, *tagged], notes=notes
    )


def trimmed(
    loaded: Session,
    path: str | Path,
    trim: float,
    *,
    subject: str,
    session: str = "",
    trial: str = "",
    end: float | None = None,
    events: Sequence[Event] = (),
    notes: Sequence[LeftOut] = (),
) -> Recording:
    """Return a session as a recording, without its first and last seconds.

    Parameters
    ----------
    loaded : Session
    path : path-like
        Where it was read, for messages.
    trim : float
        Seconds left out at both ends: of signals, traces and events. Times stay as they were.
    subject, session, trial : str
        As in :class:`limbeck.recording.Recording`.
    end : float, optional
        Where the session ends, in seconds from its start; by default with the longest signal.
    events : sequence of Event
    notes : sequence of LeftOut
        Put behind the session's own.

    Returns
    -------
    Recording

    Raises
    ------
    ReadError
        The session is shorter than twice the trim.
    """
    last = loaded.end if end is None else end
    if last - trim <= trim:
        raise ReadError(path, found=f"{last:.0f} s of samples", expected=f"more than twice the trim of {trim:g} s")
    span = (trim, last - trim)
    return Recording(
        subject=subject,
        session=session,
        trial=trial,
        signals={name: cut_signal(signal, *span) for name, signal in loaded.signals.items()},
        events=tuple(clip_events(events, *span)),
        traces={name: cut_trace(trace, *span) for name, trace in loaded.traces.items()},
        notes=(*loaded.notes, *notes),
    )


def _outside(events: Sequence[Event], origins: Sequence[str], end: float) -> list[LeftOut]:
    """Name the events that lie wholly or partly behind a session's end."""
    notes = []
    for event, origin in zip(events, origins, strict=True):
        span = f"{event.name} from {event.start:.10g} to {event.end:.10g} s"
        if event.start >= end:
            hint = " (unix time?)" if event.start >= _FIRST_TIME else ""
            notes.append(LeftOut(origin, f"{span} lies outside the session of {end:.0f} s{hint} and is not used"))
        elif event.end > end + _LABEL_SLACK:
            notes.append(LeftOut(origin, f"{span} goes beyond the session of {end:.0f} s and is cut there"))
    return notes


def clip_events(events: Sequence[Event], start: float, end: float) -> list[Event]:
    """Return the parts of events inside ``[start, end]`` seconds; those wholly outside are dropped."""
    clipped = [Event(event.name, max(event.start, start), min(event.end, end)) for event in events]
    return [event for event in clipped if event.end > event.start]


def _tag_events(session: Session, label: str) -> tuple[list[Event], list[LeftOut]]:
    within = (session.tags >= -_TAG_SLACK) & (session.tags <= session.end + _TAG_SLACK)
    tags = np.clip(np.sort(session.tags[within]), 0, session.end)
    notes = []
    if not within.all():
        far = ", ".join(f"{tag:.0f} s" for tag in session.tags[~within])
        why = f"button presses at {far}, outside the session of {session.end:.0f} s, are not used"
        notes.append(LeftOut(f"{label}: tags", why))
    stops = [*tags[1:], session.end] if len(tags) else []
    pairs = zip(tags, stops, strict=True)
    return [Event(f"after_tag_{i}", float(a), float(b)) for i, (a, b) in enumerate(pairs, start=1)], notes


# ---------------------------------------------------------------------------------------------------------------------
# Any laboratory's sessions
# ---------------------------------------------------------------------------------------------------------------------


def _is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip" and not path.is_dir()


def _entries(path: Path, root: Path) -> list[tuple[str, str, Path]]:
    """Return (subject, session, path) of every session at or below a path, by names only.

    A link that leads out of the root is listed like a session, so that it can be named as left out.
    """
    if not path.is_dir():
        return [(path.stem, "", path)] if _is_zip(path) else []
    if _holds_sensors(path):
        return [(path.name, "", path)]
    children = visible(path)
    folders = [child for child in children if child.is_dir()]
    if [folder.name for folder in folders] == [path.name] and is_inside(folders[0], root):
        return _entries(folders[0], root)  # a corpus unpacked into X/X
    found = []
    for child in children:
        inner = _sessions_in(child, root)
        alone = len(inner) == 1
        found += [(_stem(child), "" if alone else _stem(place), place) for place in inner]
    return found


def _sessions_in(child: Path, root: Path) -> list[Path]:
    """Return the sessions of one subject: its zip, its folder, or the zips and folders in it."""
    if _is_zip(child) or (child.is_dir() and not is_inside(child, root)):
        return [child]
    if not child.is_dir():
        return []
    if _holds_sensors(child):
        return [child]
    return [
        place
        for place in visible(child)
        if _is_zip(place) or (is_inside(place, root) and _session_folder(place, root) is not None)
    ]


def _stem(path: Path) -> str:
    return path.name if path.is_dir() else path.stem


def list_sessions(path: Path, *, trim: float = 0.0, labels: bool = True) -> Corpus:
    """List the E4 sessions at or below a path; see :func:`e4` for the layout.

    Raises
    ------
    ReadError
        There is none.
    """
    entries = _entries(path, path)
    if not entries:
        raise ReadError(
            path,
            found="no E4 session",
            expected="a folder or zip with ACC.csv, BVP.csv, EDA.csv or TEMP.csv, or a folder of such",
        )
    file = path / "labels.csv"
    known = {(subject, session) for subject, session, _ in entries}
    events, left_out = _read_labels(file, known) if labels and path.is_dir() and file.exists() else ({}, [])
    found = [
        (place, partial(_source, place, path, subject, session, events.get((subject, session), {}), trim))
        for subject, session, place in entries
    ]
    sources, outside = sources_inside(path, found)
    return Corpus("e4", sources, [*left_out, *outside])


def _source(place: Path, root: Path, subject: str, session: str, events: Mapping[str, Event], trim: float) -> Source:
    own, origins = tuple(events.values()), tuple(events)
    read = partial(
        read_session, place, subject=subject, session=session, events=own, origins=origins, trim=trim, root=root
    )
    return Source(
        subject=subject,
        session=session,
        read=read,
        files=session_files(place, root),
        options={
            "trim": trim,
            "events": [[name, event.name, event.start, event.end] for name, event in events.items()],
        },
        modules=MODULES,
    )


def _read_labels(
    file: Path, known: set[tuple[str, str]]
) -> tuple[dict[tuple[str, str], dict[str, Event]], list[LeftOut]]:
    """Read ``labels.csv``: by subject and session, events by their row; a row that cannot be used is named."""
    events: dict[tuple[str, str], dict[str, Event]] = {}
    left_out: list[LeftOut] = []
    try:
        rows = read_rows(file, needed=("subject", "start", "end", "label"))
    except ReadError as error:
        return {}, [LeftOut(str(file), f"{error} The recordings are used without its labels.")]
    for number, cells in rows:
        key = (cells["subject"], cells.get("session", ""))
        try:
            event = Event(cells["label"], float(cells["start"]), float(cells["end"]))
        except ValueError:
            event = Event(cells["label"], math.nan, math.nan)
        if key not in known:
            why = f"there is no recording of subject {shown(key[0])} {key[1][:40]}".rstrip()
            left_out.append(LeftOut(f"{file}, row {number}", why))
        elif not (event.name and 0 <= event.start < event.end < math.inf):
            found = f"found start {shown(cells['start'])}, end {shown(cells['end'])}, label {shown(cells['label'])}"
            why = f"{found}; expected seconds with 0 <= start < end, and a label"
            left_out.append(LeftOut(f"{file}, row {number}", why))
        else:
            events.setdefault(key, {})[f"{file.name}, row {number}"] = event
    return events, left_out


@dataset(
    "e4",
    info=DatasetInfo(
        title="Empatica E4 sessions of any laboratory",
        modalities=("acc", "bvp", "eda", "temp"),
        subjects=0,
        licence="",
        citation="",
        url="",
        access="own",
        checked="the format as Empatica describes it; 25 real sessions of Stress-Predict",
        obtain="Your own: unzip nothing, Empatica's archives are read as they are downloaded.",
        uncertain=("how archives are named: any name is read, and becomes that of the subject",),
    ),
)
def e4(
    root: Path | None,
    *,
    subjects: Sequence[str | int] | None = None,
    trim: float = 0.0,
) -> Corpus:
    """Empatica E4 sessions: a folder or zip of ``ACC.csv``, ``BVP.csv``, ``EDA.csv``, ``TEMP.csv`` and company.

    Parameters
    ----------
    root : Path
        One session (folder or zip), a folder of sessions (the subject is the name of the folder or zip), or a folder of
        subjects with several sessions each. A ``labels.csv`` in it (columns subject, start, end, label; session where
        there are several; seconds from the session's start) gives the events.
    subjects : sequence of str, optional
        Only these.
    trim : float
        Seconds left out at both ends of each session.

    Returns
    -------
    Corpus
        A recording per session with events from ``labels.csv``, and ``after_tag_N`` from each button press to the next.

    Raises
    ------
    DataError
        No root is given, it does not exist, or a subject asked for is not there.
    ReadError
        There is no session.
    """
    if root is None:
        raise DataError("The data set 'e4' needs a root: the folder or zip of your own sessions.")
    corpus = list_sessions(locate("e4", root), trim=trim)
    kept = chosen(corpus.subjects, subjects, str)
    sources = tuple(source for source in corpus.sources if source.subject in kept)
    return Corpus("e4", sources, corpus.left_out)
