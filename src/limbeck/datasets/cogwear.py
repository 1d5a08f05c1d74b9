"""CogWear: a research wristband and a consumer watch, worn together at rest and in cognitive load.

Grzeszczyk et al., CogWear, PhysioNet 2023, doi 10.13026/5f6t-b637. As published: ``pilot/<subject>/<condition>/`` and
``survey_gamification/<subject>/{pre,post}/<condition>/`` hold ``empatica_{bvp,eda,temp}.csv`` (wristband: 64, 4 and
4 Hz) and ``samsung_bvp.csv`` (watch: photoplethysmogram in counts, nominally at 25 Hz), each with a value and its unix
time in seconds, on one time base. ``muse_eeg.csv`` is not read.

The watch's rows come in batches that overlap and leave gaps. They are sorted by time, rows with a time already seen are
dropped, and the rest is interpolated to an even grid; within gaps of more than 1.5 s samples are NaN.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from limbeck.datasets import Check, DatasetInfo, dataset, locate
from limbeck.datasets.files import chosen, find_folder, inside, read_bytes, sources_inside, visible
from limbeck.datasets.numbers import HUGE_EXPONENT, plain_text, read_table, shown
from limbeck.datasets.tables import read_rows
from limbeck.datasets.validating import outcome
from limbeck.errors import DataError, ReadError, did_you_mean
from limbeck.recording import UNITS, Corpus, Event, LeftOut, Recording, Signal, Source

__all__ = ["CONDITIONS", "Device", "cogwear", "looks_like"]

logger = logging.getLogger(__name__)

CONDITIONS = ("cognitive_load", "baseline", "survey")
"""The conditions in the order in which everyone went through them; the pilot has no survey."""

Device = Literal["wristband", "watch", "both"]

_MODULES = (*(f"limbeck.datasets.{name}" for name in ("cogwear", "files", "numbers", "tables")), "pandas")
_STUDIES = {"pilot": ("",), "survey_gamification": ("pre", "post")}
_MISSPELT = {"empatica_eda.csv": "empatica_emda.csv"}  # so published of pilot/3, cognitive_load
_WATCH_FILE = "samsung_bvp.csv"
_WATCH_RATE = 25.0
_SUBJECTS = tuple(str(number) for number in range(25) if number != 19)
_LONGEST_GAP = 1.5  # seconds between two rows of the watch that are bridged
_LONGEST = 4 * 3600.0  # seconds; the longest condition lasts seven minutes
_RATE_TOLERANCE = 0.05
_FIRST_TIME, _LAST_TIME = 946_684_800.0, 4_102_444_800.0  # the years 2000 and 2100
_STATUS, _SPEED = "status(correct=1,wrong=2,timeout=3)", "response_speed[ms]"


@dataclass(frozen=True)
class _Sensor:
    """A wristband's file, its rate in Hz and the believable range (wider than the device can measure)."""

    file: str
    rate: float
    lowest: float
    highest: float


_SENSORS = {
    "bvp": _Sensor("empatica_bvp.csv", 64.0, -1e6, 1e6),
    "eda": _Sensor("empatica_eda.csv", 4.0, -5, 200),
    "temp": _Sensor("empatica_temp.csv", 4.0, -60, 150),
}


# ---------------------------------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------------------------------


def _is_home(folder: Path) -> bool:
    return any(
        child.name in _STUDIES and child.is_dir() and any(place.name.isdigit() for place in visible(child))
        for child in visible(folder)
    )


def looks_like(path: Path) -> bool:
    """Tell whether a folder is laid out as CogWear is published."""
    return find_folder(path, _is_home) is not None


def _read_values(file: Path, root: Path) -> np.ndarray:
    """Read a file of values with their times.

    Returns
    -------
    ndarray of shape (n_rows, 2), float64
        Value, and unix time in s, in the order of the file; no rows where the file has only its header.

    Raises
    ------
    ReadError
        The file cannot be read, or a row is not a number and a time of this century.
    """
    text = plain_text(read_bytes(inside(file, root)), str(file))
    header, _, body = text.partition(b"\n")
    names = [name.strip().lower() for name in header.decode().split(",")]
    if len(names) != 2 or names[1] != "time":
        raise ReadError(file, where="row 1", found=shown(header), expected="the name of a value, and time")
    if not body.strip():
        return np.empty((0, 2))
    huge = HUGE_EXPONENT.search(body)
    if huge is not None:
        row = body.count(b"\n", 0, huge.start()) + 2
        found = shown(body.split(b"\n")[row - 2])
        raise ReadError(file, where=f"row {row}", found=found, expected="a value and its time in unix seconds")
    table = read_table(body, str(file), 2, first_row=2)
    wrong = (table[:, 1] < _FIRST_TIME) | (table[:, 1] > _LAST_TIME)
    wrong |= np.abs(table[:, 1] - np.median(table[:, 1])) > _LONGEST
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ReadError(
            file,
            where=f"row {row + 2}",
            found=f"the time {table[row, 1]:.10g}",
            expected="unix seconds, near those of the other rows",
            advice="The file is damaged or cut: fetch it again.",
        )
    return table


def _read_sensor(file: Path, root: Path, sensor: _Sensor) -> tuple[float, np.ndarray, int] | None:
    """Return unix start, samples of shape (n_times,) and how many of them are missing (NaN); None without samples."""
    table = _read_values(file, root)
    if len(table) == 0:
        return None
    outside = (table[:, 0] < sensor.lowest) | (table[:, 0] > sensor.highest)
    if outside.any():
        row = int(np.argmax(outside))
        expected = f"a value between {sensor.lowest:g} and {sensor.highest:g}"
        raise ReadError(file, where=f"row {row + 2}", found=f"{table[row, 0]:g}", expected=expected)
    steps = np.diff(table[:, 1]) * sensor.rate
    if (steps < 0.5).any():
        row = int(np.argmax(steps < 0.5)) + 1
        found = f"the time {table[row, 1]:.10g} behind {table[row - 1, 1]:.10g}"
        raise ReadError(file, where=f"row {row + 2}", found=found, expected=f"times at {sensor.rate:g} Hz")
    if len(steps) and abs(np.median(steps) - 1) > _RATE_TOLERANCE:
        rate = sensor.rate / np.median(steps)
        raise ReadError(file, where="time", found=f"{rate:.4g} Hz", expected=f"{sensor.rate:g} Hz")
    places = np.rint((table[:, 1] - table[0, 1]) * sensor.rate).astype(np.int64)
    samples = np.full(places[-1] + 1, np.nan)
    samples[places] = table[:, 0]
    return float(table[0, 1]), samples, int(places[-1]) + 1 - len(places)


def _read_watch(file: Path, root: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return times and counts of the watch, each of shape (n_rows,), in the order of time and without repeats.

    Raises
    ------
    ReadError
        The file cannot be read, or its rows are not those of a sensor at 25 Hz.
    """
    table = _read_values(file, root)
    if len(np.unique(table[:, 1])) < 2:
        raise ReadError(file, found=f"{len(table)} samples", expected=f"counts at {_WATCH_RATE:g} Hz")
    times, first = np.unique(table[:, 1], return_index=True)
    counts = table[first, 0]
    if np.array_equal(times, np.rint(times)):
        found = "times in whole seconds" + (" and values that are no counts" if np.abs(counts).max() < 1 else "")
        raise ReadError(file, found=found, expected=f"counts at {_WATCH_RATE:g} Hz", advice="The watch is not usable.")
    return times, counts


def _interpolated(times: np.ndarray, counts: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return the watch's counts at the times of a grid, NaN outside and in long gaps; shape (n_grid,), float64."""
    values = np.interp(grid, times, counts, left=np.nan, right=np.nan)
    later = np.clip(np.searchsorted(times, grid), 1, len(times) - 1)
    in_gap = (times[later] - times[later - 1] > _LONGEST_GAP) & (grid > times[later - 1]) & (grid < times[later])
    values[in_gap] = np.nan
    return values


def _stroop(file: Path, root: Path) -> tuple[dict[str, float], list[LeftOut]]:
    """Return how well the Stroop task was done; it has no times, so it holds for the whole recording."""
    try:
        # The name of the column with the status has commas in quotes, which the table's reader takes as one cell.
        rows = read_rows(inside(file, root), needed=(_STATUS, _SPEED))
        status = np.array([float(row[_STATUS]) for _, row in rows])
        speed = np.array([float(row[_SPEED]) for _, row in rows])
    except (ReadError, ValueError) as error:
        return {}, [LeftOut(str(file), f"{error} The recording is used without it.")]
    if not len(status) or not np.isin(status, (1, 2, 3)).all() or not np.isfinite(speed).all():
        return {}, [LeftOut(str(file), "not a status of 1 to 3 and a time in every row; the recording is used without")]
    answered = speed[status != 3]
    ratings = {"stroop_correct": float((status == 1).mean())}
    if len(answered):
        ratings["stroop_response"] = float(answered.mean()) / 1000
    return ratings, []


# ---------------------------------------------------------------------------------------------------------------------
# Recordings
# ---------------------------------------------------------------------------------------------------------------------


def _read(folder: Path, root: Path, subject: str, session: str, device: Device) -> Recording:
    watch = None if device == "wristband" else _read_watch(folder / _WATCH_FILE, root)
    if watch is None or device == "both":
        signals, notes = _wristband(folder, root, watch)
    else:
        signals, notes = {"bvp": _watch_alone(*watch)}, []
    ratings: dict[str, float] = {}
    if folder.name == "cognitive_load":
        ratings, more = _stroop(folder / "stroop_responses.csv", root)
        notes += more
    start, end = _common(signals)
    if end <= start:
        raise ReadError(folder, found="sensors that share no time", expected="signals of one recording")
    return Recording(
        subject=subject,
        session=session,
        trial=folder.name,
        order=CONDITIONS.index(folder.name),
        signals=signals,
        ratings=ratings,
        events=(Event(folder.name, start, end),),
        notes=tuple(notes),
    )


def _common(signals: Mapping[str, Signal]) -> tuple[float, float]:
    """Return the span in which every channel has samples, in seconds from the recording's start."""
    starts, ends = [], []
    for signal in signals.values():
        known = np.flatnonzero(np.isfinite(signal.data).all(axis=0))
        if len(known) == 0:
            return 0.0, 0.0
        starts.append(signal.start + known[0] / signal.rate)
        ends.append(signal.start + (known[-1] + 1) / signal.rate)
    return float(max(starts)), float(min(ends))


def _watch_alone(times: np.ndarray, counts: np.ndarray) -> Signal:
    grid = times[0] + np.arange(int((times[-1] - times[0]) * _WATCH_RATE) + 1) / _WATCH_RATE
    data = _interpolated(times, counts, grid)[np.newaxis].astype(np.float32)
    return Signal(data, _WATCH_RATE, ("watch",), UNITS["bvp"])


def _sensor_file(folder: Path, sensor: _Sensor) -> Path:
    """Return where a sensor's values lie; one file of the published set is misspelt."""
    misspelt = folder / _MISSPELT.get(sensor.file, sensor.file)
    file = folder / sensor.file
    return misspelt if misspelt.exists() and not file.exists() else file


def _wristband(
    folder: Path, root: Path, watch: tuple[np.ndarray, np.ndarray] | None
) -> tuple[dict[str, Signal], list[LeftOut]]:
    """Return the wristband's signals, with the watch, where given, as a second channel of ``bvp`` at its rate."""
    notes = []
    parts: dict[str, tuple[float, np.ndarray]] = {}
    for modality, sensor in _SENSORS.items():
        file = _sensor_file(folder, sensor)
        if not file.exists():
            notes.append(LeftOut(str(file), f"no such file; the recording is used without {modality}"))
            continue
        part = _read_sensor(file, root, sensor)
        if part is None:
            notes.append(LeftOut(str(file), f"no samples; the recording is used without {modality}"))
            continue
        first, samples, missing = part
        parts[modality] = first, samples
        if missing:
            notes.append(LeftOut(str(file), f"{missing} samples are missing by its times; they are NaN"))
    if not parts or (watch is not None and "bvp" not in parts):
        needed = "empatica_bvp.csv" if watch is not None else "at least one file of the wristband"
        raise ReadError(folder, found=f"the wristband's {', '.join(parts) or 'nothing'}", expected=needed)
    start = min(first for first, _ in parts.values())
    signals = {}
    for modality, (first, samples) in parts.items():
        rows, rate = [samples], _SENSORS[modality].rate
        names = [modality]
        if modality == "bvp":
            names = ["wristband"]
            if watch is not None:
                rows.append(_interpolated(*watch, first + np.arange(len(samples)) / rate))
                names.append("watch")
        data = np.stack(rows).astype(np.float32)
        signals[modality] = Signal(data, rate, tuple(names), UNITS[modality], start=first - start)
    return signals, notes


# ---------------------------------------------------------------------------------------------------------------------
# Checks
# ---------------------------------------------------------------------------------------------------------------------


def _checks(root: Path, corpus: Corpus) -> Iterator[Check]:
    """Check conditions, their order in time, and the table of the Stroop task."""
    sessions: dict[tuple[str, str], dict[str, Source]] = {}
    for source in corpus.sources:
        sessions.setdefault((source.subject, source.session), {})[source.trial] = source
    lacking = [
        f"{'/'.join(filter(None, key))} has {', '.join(own)}"
        for key, own in sessions.items()
        if set(own) != set(CONDITIONS if key[1] else CONDITIONS[:2])
    ]
    what = "every session has its load, its baseline and, but for the pilot, its survey"
    yield outcome(what, lacking, len(sessions), of="sessions")
    strangers = sorted(set(corpus.subjects) - set(_SUBJECTS))
    yield outcome("subjects are 0 to 24 without 19", strangers, len(corpus.subjects), of="subjects")
    earlier, compared = [], 0
    for key, own in sessions.items():
        starts = [_first_time(own[name]) for name in CONDITIONS[:2] if name in own]
        known = [start for start in starts if start is not None]
        compared += len(known) > 1
        if known != sorted(known):
            earlier.append("/".join(filter(None, key)))
    yield outcome("the load was recorded before the baseline", earlier, compared, of="sessions")
    tables, bad = 0, []
    for own in sessions.values():
        for source in own.values():
            file = next((file for file in source.files if file.name == "stroop_responses.csv"), None)
            if file is not None and source.trial == CONDITIONS[0]:
                tables += 1
                bad += [f"{note.what}: {note.why}" for note in _stroop(file, root)[1]]
    what = "answers of the Stroop task have a status of 1 to 3 and a time"
    yield outcome(what, bad, tables, of="tables", missing="there is no stroop_responses.csv")


def _first_time(source: Source) -> float | None:
    """Return the unix time of the first row of a recording's first file, None where it has none."""
    for file in source.files:
        try:
            row = read_bytes(file).split(b"\n", 2)[1].split(b",")
            return float(row[1])
        except (ReadError, IndexError, ValueError):
            continue
    return None


@dataset(
    "cogwear",
    info=DatasetInfo(
        title="CogWear: research wristband and consumer watch at rest, in cognitive load and in a survey",
        modalities=("bvp", "eda", "temp"),
        subjects=24,
        names=_SUBJECTS,
        licence="ODbL 1.0",
        citation="Grzeszczyk et al., CogWear (1.0.0), PhysioNet, 2023, doi 10.13026/5f6t-b637",
        url="https://physionet.org/content/cogwear/1.0.0/",
        access="open",
        checked="the real files of subjects 0 to 6 and 11 to 17, without EEG",
        obtain="Download cogwear 1.0.0 from PhysioNet; the folders pilot and survey_gamification are read.",
    ),
    checks=_checks,
)
def cogwear(
    root: Path | None,
    *,
    subjects: Sequence[str | int] | None = None,
    device: Device = "wristband",
) -> Corpus:
    """CogWear: ``bvp`` (64 Hz), ``eda``, ``temp`` (4 Hz) with an event ``cognitive_load``, ``baseline`` or ``survey``.

    One recording per condition, in that order: the load comes *before* the baseline in every session, so slow drift of
    temperature and skin conductance gives the condition away. The two sessions of the second study (``pre``, ``post``)
    belong to one subject. Ratings of the load: ``stroop_correct`` (fraction of all answers) and ``stroop_response``
    (mean time of answers in s).

    Parameters
    ----------
    root : Path, optional
        The folder with ``pilot`` and ``survey_gamification``; by default where it is fetched to.
    subjects : sequence of str or int, optional
        Only these, by number: 0 to 10 in the pilot, 11 to 24 in the second study.
    device : {"wristband", "watch", "both"}
        ``wristband``: its three sensors, ``bvp`` with the channel ``wristband``. ``watch``: only ``bvp`` with the
        channel ``watch``, in counts at 25 Hz. ``both``: the wristband's sensors, and the watch as second channel of
        ``bvp`` at the wristband's 64 Hz, the event being cut to where both have samples. Recordings whose watch is
        missing or unusable are left out where it is asked for; gaps of the watch over 1.5 s are NaN.

    Returns
    -------
    Corpus

    Raises
    ------
    DataError
        `root` does not exist, or a device or subject asked for is not there.
    ReadError
        `root` is not laid out as published.
    """
    if device not in get_args(Device):
        raise DataError(f"cogwear: there is no device '{device}'.{did_you_mean(device, get_args(Device))}")
    root = locate("cogwear", root)
    home = find_folder(root, _is_home)
    if home is None:
        raise ReadError(
            root, found="no pilot/0, survey_gamification/11, ...", expected="the CogWear folder as published"
        )
    folders = {
        child.name: child
        for study in _STUDIES
        if (home / study).is_dir()
        for child in visible(home / study)
        if child.name.isdigit() and child.is_dir()
    }
    if device != "wristband":
        logger.info("cogwear: the watch is interpolated, with NaN in gaps of more than %g s", _LONGEST_GAP)
    left_out: list[LeftOut] = []
    found: list[tuple[Path, Callable[[], Source]]] = []
    for subject in chosen(sorted(folders, key=int), subjects, str):
        for session, place in _conditions(folders[subject]):
            if place.is_dir():
                found.append((place, partial(_source, place, root, subject, session, device)))
            elif place.name != "survey":
                left_out.append(LeftOut(str(place), f"no such folder: {subject} is used without its {place.name}"))
    sources, outside = sources_inside(root, found)
    return Corpus("cogwear", sources, [*left_out, *outside])


def _conditions(folder: Path) -> list[tuple[str, Path]]:
    """Return (session, folder) of every condition that a subject should have, in the order of recording."""
    return [
        (session, folder / session / condition) for session in _STUDIES[folder.parent.name] for condition in CONDITIONS
    ]


def _source(folder: Path, root: Path, subject: str, session: str, device: Device) -> Source:
    names: Mapping[str, tuple[str, ...]] = {
        "wristband": tuple(_sensor_file(folder, sensor).name for sensor in _SENSORS.values()),
        "watch": (_WATCH_FILE,),
    }
    wanted = [name for key, files in names.items() if device in (key, "both") for name in files]
    files = [folder / name for name in (*wanted, "stroop_responses.csv")]
    return Source(
        subject=subject,
        session=session,
        trial=folder.name,
        read=partial(_read, folder, root, subject, session, device),
        files=tuple(file for file in files if file.is_file()),
        options={"device": device},
        modules=_MODULES,
    )
