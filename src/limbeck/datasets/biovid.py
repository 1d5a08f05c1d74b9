"""BioVid Heat Pain Database: skin conductance, ECG and EMG under four calibrated levels of heat pain.

Walter et al., The BioVid Heat Pain Database, IEEE CYBCONF 2013; parts A to E as distributed by the University of
Magdeburg. Parts A and B hold 5.5 s windows, ``biosignals_filtered/<subject>/<sample>_bio.csv`` and the same under
``biosignals_raw``, with ``starting_point/samples.csv`` beside them; part C holds a table per subject and another,
``stimulus/<subject>.csv``, with the level of pain over time on the clock of the biosignals. The class of a window is
the one in its file's name.

The lists of subjects are those in use for part A: the 67 of Werner et al., ACII 2017, who left out 20 that did not
react, and the 26 that Gkikas proposed to hold out.
"""

from __future__ import annotations

import csv
import io
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.datasets import Check, DatasetInfo, dataset, locate
from limbeck.datasets.files import chosen, find_folder, inside, is_inside, read_bytes, sources_inside, visible
from limbeck.datasets.numbers import HUGE_EXPONENT, plain_text, refuse_cut_number, shown
from limbeck.datasets.validating import outcome
from limbeck.errors import DataError, ReadError, did_you_mean
from limbeck.recording import UNITS, Corpus, Event, LeftOut, Recording, Signal, Source, Trace

__all__ = ["CLASSES", "COHORTS", "HOLD_OUT_26", "NON_REACTIVE_20", "PART_A_87", "RATE", "biovid", "looks_like"]

logger = logging.getLogger(__name__)

RATE = 512.0
"""Sampling rate of the biosignals in Hz."""

WINDOW = 2816
"""Samples of a window of parts A and B: 5.5 s."""

CLASSES = ("BL1", "PA1", "PA2", "PA3", "PA4")
"""The classes by ``class_id``: baseline, then pain from threshold to tolerance. Events are named so in lower case."""

_HOLD_OUT = """
    100914_m_39 101114_w_37 082315_w_60 083114_w_55 083109_m_60 072514_m_27 080309_m_29 112016_m_25 112310_m_20
    092813_w_24 112809_w_23 112909_w_20 071313_m_41 101309_m_48 101609_m_36 091809_w_43 102214_w_36 102316_w_50
    112009_w_43 101814_m_58 101908_m_61 102309_m_61 112209_m_51 112610_w_60 112914_w_51 120514_w_56
"""
_OTHERS = """
    071309_w_21 071614_m_20 071709_w_23 071814_w_23 071911_w_24 072414_m_23 072609_w_23 072714_m_23 073109_w_28
    073114_m_25 080209_w_26 080314_w_25 080609_w_27 080614_m_24 080709_m_24 080714_m_23 081014_w_27 081609_w_40
    081617_m_27 081714_m_36 082014_w_24 082109_m_53 082208_w_45 082414_m_64 082714_m_22 082809_m_26 082814_w_46
    082909_m_47 083009_w_42 083013_w_47 091814_m_37 091914_m_46 092009_m_54 092014_m_56 092509_w_51 092514_m_50
    092714_m_64 092808_m_51 100117_w_36 100214_m_50 100417_m_44 100509_w_43 100514_w_51 100909_w_65 101015_w_43
    101209_w_61 101216_m_40 101514_w_36 101809_m_59 101916_m_40 102008_w_22 102414_w_58 102514_w_40 110614_m_42
    110810_m_62 110909_m_29 111313_m_64 111409_w_63 111609_m_65 111914_w_63 120614_w_61
"""
_NON_REACTIVE = """
    082315_w_60 082414_m_64 082909_m_47 083009_w_42 083013_w_47 083109_m_60 083114_w_55 091914_m_46 092009_m_54
    092014_m_56 092509_w_51 092714_m_64 100514_w_51 100914_m_39 101114_w_37 101209_w_61 101809_m_59 101916_m_40
    111313_m_64 120614_w_61
"""

HOLD_OUT_26 = tuple(sorted(_HOLD_OUT.split()))
"""The subjects proposed to be held out for testing."""

NON_REACTIVE_20 = tuple(sorted(_NON_REACTIVE.split()))
"""The subjects who showed no reaction to the stimuli, left out in studies of 67."""

PART_A_87 = tuple(sorted((*HOLD_OUT_26, *_OTHERS.split())))
"""Everyone in part A."""

COHORTS: dict[str, tuple[str, ...]] = {
    "87": PART_A_87,
    "67": tuple(name for name in PART_A_87 if name not in NON_REACTIVE_20),
    "non_reactive_20": NON_REACTIVE_20,
    "hold_out_26": HOLD_OUT_26,
    "development_61": tuple(sorted(_OTHERS.split())),
}
"""Lists of subjects by name, for the option ``cohort``."""

_MODULES = (*(f"limbeck.datasets.{name}" for name in ("biovid", "files", "numbers")), "pandas")
_SUBJECT = re.compile(r"\d{6}_([mw])_(\d{2})")
_SAMPLE = re.compile(r"(\d{6}_[mw]_\d{2})-(BL1|PA[1-4])-(\d{3})_bio\.csv", re.IGNORECASE)
_PARTS = {
    "A": "windows of 5.5 s",
    "B": "windows of 5.5 s with facial EMG",
    "C": "a continuous recording per subject",
}
_WITHOUT_SIGNALS = {
    "D": "holds video of posed expressions and no biosignals",
    "E": "(film clips) has a layout that Limbeck does not know; bring it in as tables or arrays of your own",
}
_VOLTAGE = {"µV": 1e-3, "uV": 1e-3, "mV": 1.0, "V": 1e3}
_FACIAL = ("emg_corrugator", "emg_zygomaticus")
_SAMPLES_COLUMNS = ("subject_name", "class_id", "class_name", "sample_name")
_PER_CLASS = 20
_ODD_ROWS = 8  # rows by which a window may differ from WINDOW (16 ms); more is a cut file
_RATE_TOLERANCE = 0.01
_LONGEST = int(4 * 3600 * RATE)  # samples; the sessions of part C last 25 minutes


@dataclass(frozen=True)
class _Reading:
    """How files are read: everything that decides content besides the files."""

    root: Path
    part: str
    facial_emg: bool
    voltage_unit: str
    idle: str = ""

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """Columns by modality."""
        emg = ("emg_trapezius", *(_FACIAL if self.facial_emg else ()))
        return {"eda": ("gsr",), "ecg": ("ecg",), "emg": emg}

    @property
    def options(self) -> dict[str, Any]:
        """What of it is part of a source's identity."""
        return {"facial_emg": self.facial_emg, "voltage_unit": self.voltage_unit, "idle": self.idle}


# ---------------------------------------------------------------------------------------------------------------------
# Finding the files
# ---------------------------------------------------------------------------------------------------------------------


def _part_of(name: str) -> str:
    """Return ``"A"`` for a folder called ``PartA`` (or ``part_a``, ``Part A``), ``""`` for any other."""
    match = re.fullmatch(r"part[ _-]?([a-e])", name.lower())
    return match[1].upper() if match else ""


def _children(folder: Path) -> dict[str, Path]:
    """Return the folders in a folder by lower-case name."""
    return {child.name.lower(): child for child in visible(folder) if child.is_dir()}


def _signal_folders(folder: Path) -> dict[str, Path]:
    """Return the folders of biosignals by variant, ``raw`` and ``filtered``, each without its doubling ``X/X``."""
    children = _children(folder)
    found = {}
    for variant in ("filtered", "raw"):
        name = f"biosignals_{variant}"
        if name in children:
            found[variant] = _undoubled(children[name])
    return found


def _undoubled(folder: Path) -> Path:
    return _children(folder).get(folder.name.lower(), folder)


def _is_part(folder: Path) -> bool:
    return bool(_signal_folders(folder))


def _part_folder(root: Path, part: str) -> Path | None:
    """Return the folder of a part: the root, ``PartX`` in it, or either in the one folder that an archive made."""

    def wanted(folder: Path) -> bool:
        return any(_part_of(child.name) == part and child.is_dir() for child in visible(folder))

    if not root.is_dir() or _part_of(root.name) not in ("", part):
        return None
    home = find_folder(root, wanted)
    if home is not None:
        root = next(c for c in visible(home) if _part_of(c.name) == part and c.is_dir())
        if not is_inside(root, home):
            return None
    return find_folder(root, lambda folder: _part_of(folder.name) in ("", part) and _is_part(folder))


def looks_like(path: Path) -> bool:
    """Tell whether a folder holds a part of BioVid, by the names in it."""
    return path.is_dir() and any(_part_folder(path, part) is not None for part in _PARTS)


# ---------------------------------------------------------------------------------------------------------------------
# Tables of samples
# ---------------------------------------------------------------------------------------------------------------------


def _separator(header: str) -> str | None:
    """Return the separator of a table by its first row, None for runs of blanks."""
    return next((mark for mark in ("\t", ";", ",") if mark in header), None)


def _read_table(file: Path, needed: Iterable[str]) -> dict[str, np.ndarray]:
    """Read a text table of numbers with a row of names, separated by tab, semicolon, comma or blanks.

    Parameters
    ----------
    file : Path
        Names may have blanks around them; an empty cell is a missing sample.
    needed : iterable of str
        Columns that have to be there, in lower case.

    Returns
    -------
    dict of str to ndarray of shape (n_rows,), float64
        By lower-case name, in the order of the file.

    Raises
    ------
    ReadError
        The file is missing, empty, cut, lacks a column, or has a cell that is no number.
    """
    import pandas as pd

    text = plain_text(read_bytes(file), str(file))
    header, _, body = text.partition(b"\n")
    mark = _separator(header.decode())
    if mark is None:
        body = b"\n".join(b"\t".join(line.split()) for line in body.split(b"\n"))
    names = [name.strip().lower() for name in header.decode().split(mark)]
    missing = [name for name in needed if name not in names]
    if missing or len(set(names)) < len(names):
        raise ReadError(
            file,
            where="row 1",
            found=f"the columns {shown(', '.join(names))}" if header.strip() else "no row of column names",
            expected=f"{', '.join(missing) or 'each name once'} among them, tab-separated",
            advice="Copy the file again from the distributed archive." if not header.strip() else "",
        )
    mark = mark or "\t"
    ended = body.endswith(b"\n")
    body = body.rstrip(b"\n \x1a")
    rows = body.count(b"\n") + 1
    if not body.strip():
        raise ReadError(file, found="no samples", expected="a row per sample", advice="Copy the file again.")
    if body.count(mark.encode()) != rows * (len(names) - 1) or HUGE_EXPONENT.search(body):
        raise _bad_row(file, body, mark, len(names))
    try:
        frame = pd.read_csv(
            io.BytesIO(body),
            sep=mark,
            header=None,
            dtype=np.float64,
            skipinitialspace=True,
            skip_blank_lines=False,
            quoting=csv.QUOTE_NONE,
        )
    except (ValueError, OverflowError) as error:  # pandas' ParserError is a ValueError
        raise _bad_row(file, body, mark, len(names)) from error
    values = frame.to_numpy()
    if values.shape[1] != len(names) or np.isinf(values).any():
        raise _bad_row(file, body, mark, len(names))
    refuse_cut_number(body + b"\n" if ended else body, str(file), rows - 1)
    return dict(zip(names, values.T, strict=True))


def _bad_row(file: Path, body: bytes, mark: str, columns: int) -> ReadError:
    """Return the error that names the first row that is not `columns` numbers."""
    for number, line in enumerate(body.decode().split("\n"), start=2):
        cells = [cell.strip() for cell in line.split(mark)]
        huge = HUGE_EXPONENT.search(line.encode()) is not None
        if huge or len(cells) != columns or not all(_is_number(cell) for cell in cells):
            return ReadError(
                file,
                where=f"row {number}",
                found=shown(line),
                expected=f"{columns} numbers with decimal points",
                advice="The file is damaged or cut: copy it again from the distributed archive.",
            )
    return ReadError(file, found="rows that are not plain numbers", expected=f"{columns} numbers in each")


def _is_number(cell: str) -> bool:
    try:
        return not np.isinf(float(cell or "nan"))
    except ValueError:
        return False


def _positions(times: np.ndarray, file: Path) -> np.ndarray:
    """Return the place of each row on the grid of 512 Hz, from its time.

    Parameters
    ----------
    times : ndarray of shape (n_rows,), float64
        Microseconds.
    file : Path
        Where they are from.

    Returns
    -------
    ndarray of shape (n_rows,), int64
        From 0; a gap where rows are missing.

    Raises
    ------
    ReadError
        Times are missing, do not increase, or are not those of 512 Hz.
    """
    advice = "Times have to be microseconds: copy the file again from the distributed archive."
    steps = np.diff(times) * RATE / 1e6
    if not np.isfinite(times).all() or (steps <= 0).any():
        row = int(np.argmax(~np.isfinite(times))) if not np.isfinite(times).all() else int(np.argmax(steps <= 0)) + 1
        found = f"the time {times[row]:g}"
        raise ReadError(file, where=f"row {row + 2}", found=found, expected="times that increase", advice=advice)
    rate = RATE / np.median(steps) if len(steps) else RATE
    if abs(rate - RATE) > _RATE_TOLERANCE * RATE:
        raise ReadError(file, where="time", found=f"{rate:.4g} Hz", expected=f"{RATE:g} Hz", advice=advice)
    places = np.concatenate([[0], np.cumsum(np.maximum(np.rint(steps), 1))])
    if places[-1] >= _LONGEST:
        raise ReadError(file, where="time", found=f"{places[-1] / RATE:.0f} s", expected="at most 4 hours")
    return places.astype(np.int64)


def _read_signals(
    file: Path, reading: _Reading
) -> tuple[dict[str, Signal], np.ndarray, np.ndarray | None, list[LeftOut]]:
    """Read a table of biosignals.

    Returns
    -------
    signals : dict of str to Signal
        ``eda`` in µS, ``ecg`` and ``emg`` in mV, at 512 Hz; samples that are missing are NaN.
    places : ndarray of shape (n_rows,), int64
        The sample of each row.
    times : ndarray of shape (n_rows,), float64, or None
        Microseconds, None where the table has no times.
    notes : list of LeftOut
    """
    needed = [column for columns in reading.columns.values() for column in columns if column not in _FACIAL]
    table = _read_table(inside(file, reading.root), needed)
    notes = []
    times = table.get("time")
    if times is None:
        notes.append(LeftOut(str(file), f"no column time; rows are taken to follow each other at {RATE:g} Hz"))
        places = np.arange(len(table["gsr"]))
    else:
        places = _positions(times, file)
    length = int(places[-1]) + 1
    if length > len(places):
        notes.append(LeftOut(str(file), f"{length - len(places)} rows are missing by its times; they are NaN"))
    signals = {}
    for modality, wanted in reading.columns.items():
        columns = tuple(column for column in wanted if column in table)
        if columns != wanted:
            absent = ", ".join(column for column in wanted if column not in table)
            notes.append(LeftOut(str(file), f"no column {absent}; the recording is used without"))
        data = np.full((len(columns), length), np.nan, dtype=np.float32)
        scale = 1.0 if modality == "eda" else _VOLTAGE[reading.voltage_unit]
        for row, column in enumerate(columns):
            with np.errstate(over="ignore"):
                data[row, places] = table[column] * scale
        data[np.isinf(data)] = np.nan  # what float32 cannot hold is no sample
        empty = int(np.isnan(data[:, places]).sum())
        if empty:
            notes.append(LeftOut(f"{file}, {modality}", f"{empty} cells without a number; they are NaN"))
        signals[modality] = Signal(data, RATE, columns, UNITS[modality])
    return signals, places, times, notes


# ---------------------------------------------------------------------------------------------------------------------
# Parts A and B: windows
# ---------------------------------------------------------------------------------------------------------------------


def _personal(subject: str) -> dict[str, float]:
    """Return what a subject's name says: age in years, and 1 for a woman, 0 for a man."""
    match = _SUBJECT.fullmatch(subject)
    return {"age": float(match[2]), "woman": float(match[1] == "w")} if match else {}


def _read_window(
    file: Path, temperature: Path | None, subject: str, trial: str, order: int, reading: _Reading
) -> Recording:
    signals, _, times, notes = _read_signals(file, reading)
    rows = next(iter(signals.values())).data.shape[1]
    if abs(rows - WINDOW) > _ODD_ROWS:
        raise ReadError(
            file,
            found=f"{rows} samples",
            expected=f"{WINDOW} (5.5 s at {RATE:g} Hz), give or take {_ODD_ROWS}",
            advice="The file is cut: copy it again from the distributed archive.",
        )
    if rows != WINDOW:
        what = "the last are NaN" if rows < WINDOW else "those beyond are not used"
        notes.append(LeftOut(str(file), f"{rows} samples where windows have {WINDOW}; {what}"))
    label = trial.partition("-")[0]
    traces = {}
    if temperature is not None:
        try:
            traces["temperature"] = _read_temperature(inside(temperature, reading.root), times)
        except ReadError as error:
            notes.append(LeftOut(str(temperature), f"{error} The recording is used without it."))
    return Recording(
        subject=subject,
        session=reading.part,
        trial=trial,
        order=order,
        signals={modality: _fitted(signal) for modality, signal in signals.items()},
        ratings={"class_id": float(CLASSES.index(label)), **_personal(subject)},
        events=(Event(label.lower(), 0.0, WINDOW / RATE),),
        traces=traces,
        notes=tuple(notes),
    )


def _fitted(signal: Signal) -> Signal:
    """Return a signal of exactly one window: every window of the corpus has to have the same shape."""
    short = max(WINDOW - signal.data.shape[1], 0)
    data = np.pad(signal.data[:, :WINDOW], ((0, 0), (0, short)), constant_values=np.nan)
    return Signal(data, signal.rate, signal.channels, signal.unit)


def _read_temperature(file: Path, times: np.ndarray | None) -> Trace:
    """Read the temperature of the thermode in °C; its times count from the window's first sample."""
    table = _read_table(file, ("time", "temperature"))
    start = 0.0 if times is None else times[0]
    seconds = (table["time"] - start) / 1e6
    if not np.isfinite(seconds).all() or (np.diff(seconds) <= 0).any():
        raise ReadError(file, where="time", found="times that do not increase", expected="microseconds, increasing")
    return Trace(seconds, table["temperature"].astype(np.float32))


def _windows_of(folder: Path) -> tuple[dict[str, Path], list[LeftOut]]:
    """Return a subject's files by trial (``PA1-003``), in the order of their running numbers."""
    found: dict[str, Path] = {}
    left_out = []
    for child in visible(_undoubled(folder)):
        match = _SAMPLE.fullmatch(child.name)
        if match is None or match[1].lower() != folder.name.lower():
            expected = f"{folder.name}-<class>-<number>_bio.csv with a class of {', '.join(CLASSES)}"
            left_out.append(LeftOut(str(child), f"not a window of this subject; expected {expected}"))
        else:
            found[f"{match[2].upper()}-{match[3]}"] = child
    return dict(sorted(found.items(), key=lambda item: (item[0][-3:], item[0]))), left_out


def _read_samples(file: Path) -> dict[tuple[str, str], str]:
    """Read ``samples.csv``: the class by (subject, trial).

    Raises
    ------
    ReadError
        The file is not that table, or a row's name, class and number contradict each other.
    """
    text = plain_text(read_bytes(file), str(file)).decode()
    header, *lines = text.split("\n")
    mark = _separator(header)
    names = [name.strip().lower() for name in header.split(mark)]
    missing = [name for name in _SAMPLES_COLUMNS if name not in names]
    if missing:
        found = f"the columns {shown(', '.join(names))}"
        raise ReadError(file, where="row 1", found=found, expected=f"{', '.join(missing)} among them, tab-separated")
    classes: dict[tuple[str, str], str] = {}
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        row = dict(zip(names, (cell.strip() for cell in line.split(mark)), strict=False))
        match = _SAMPLE.fullmatch(f"{row.get('sample_name', '')}_bio.csv")
        stated = row.get("class_name", "").upper()
        if match is None or stated not in CLASSES or row.get("class_id") != str(CLASSES.index(stated)):
            raise ReadError(
                file,
                where=f"row {number}",
                found=shown(line),
                expected="a sample's name, and a class_name and class_id that mean the same",
            )
        classes[row["subject_name"], f"{match[2].upper()}-{match[3]}"] = stated
    return classes


def _samples_beside(folder: Path, root: Path) -> tuple[dict[tuple[str, str], str], list[LeftOut]]:
    places = [folder / "starting_point" / "samples.csv", folder / "samples.csv"]
    places.insert(1, folder / "starting_point" / "starting_point" / "samples.csv")
    file = next((place for place in places if place.is_file() and is_inside(place, root)), None)
    if file is None:
        return {}, [
            LeftOut(str(places[0]), "no such file; the windows found are not compared with the distributed list")
        ]
    try:
        return _read_samples(file), []
    except ReadError as error:
        return {}, [LeftOut(str(file), f"{error} The windows found are not compared with it.")]


def _compared(
    subject: str, folder: Path, found: Iterable[str], classes: Mapping[tuple[str, str], str]
) -> list[LeftOut]:
    """Compare a subject's windows with ``samples.csv``, or where there is none with twenty per class."""
    trials = set(found)
    stated = {trial: name for (name_of, trial), name in classes.items() if name_of == subject}
    left_out: list[LeftOut] = []
    if classes:
        left_out += [
            LeftOut(str(folder / f"{subject}-{trial}_bio.csv"), "in samples.csv, but not there")
            for trial in sorted(stated.keys() - trials)
        ]
        unlisted = sorted(trials - stated.keys())
        if unlisted:
            left_out.append(LeftOut(str(folder), f"not in samples.csv, used nevertheless: {_some(unlisted)}"))
        for trial in sorted(trials & stated.keys()):
            if not trial.startswith(stated[trial]):
                why = f"samples.csv states {stated[trial]}; the class in the file's name is used"
                left_out.append(LeftOut(f"{subject}-{trial}", why))
        return left_out
    counts = Counter(trial.partition("-")[0] for trial in trials)
    uneven = ", ".join(f"{counts[name]} of {name}" for name in CLASSES if counts[name] != _PER_CLASS)
    return [LeftOut(str(folder), f"found {uneven}; expected {_PER_CLASS} windows of each class")] if uneven else []


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _temperatures(folder: Path, subject: str) -> dict[str, Path]:
    """Return the files of the thermode's temperature by trial."""
    home = _children(folder).get("temperature")
    own = None if home is None else _children(_undoubled(home)).get(subject.lower())
    if own is None:
        return {}
    pattern = re.compile(rf"{re.escape(subject)}-(BL1|PA[1-4])-(\d{{3}})_temp\.csv", re.IGNORECASE)
    matches = ((pattern.fullmatch(child.name), child) for child in visible(own))
    return {f"{match[1].upper()}-{match[2]}": child for match, child in matches if match}


def _window_sources(
    folder: Path, subjects: Mapping[str, Path], names: Sequence[str], reading: _Reading, temperature: bool
) -> tuple[tuple[Source, ...], list[LeftOut]]:
    classes, left_out = _samples_beside(folder, reading.root)
    absent = sorted({name for name, _ in classes} - set(subjects))
    if absent:
        left_out.append(LeftOut(str(folder), f"subjects in samples.csv, but not there: {', '.join(absent)}"))
    found: list[tuple[Path, Callable[[], Source]]] = []
    for subject in names:
        if not is_inside(subjects[subject], reading.root):
            found.append((subjects[subject], partial(_no_source, subject)))
            continue
        windows, strange = _windows_of(subjects[subject])
        left_out += [*strange, *_compared(subject, subjects[subject], windows, classes)]
        warm = _temperatures(folder, subject) if temperature else {}
        cold = [trial for trial in windows if trial not in warm] if temperature else []
        if cold:
            left_out.append(LeftOut(f"{subject}: temperature", f"no file for {_some(cold)}; used without"))
        for order, (trial, file) in enumerate(windows.items()):
            found.append((file, partial(_window_source, file, warm.get(trial), subject, trial, order, reading)))
    sources, outside = sources_inside(reading.root, found)
    return sources, [*left_out, *outside]


def _no_source(subject: str) -> Source:
    """Stand in for a subject behind a link that leads out of the root; such a place is never asked for its source."""
    raise ReadError(subject, found="a link that leads out of the data set's folder", expected="a folder in it")


def _window_source(
    file: Path, temperature: Path | None, subject: str, trial: str, order: int, reading: _Reading
) -> Source:
    return Source(
        subject=subject,
        session=reading.part,
        trial=trial,
        read=partial(_read_window, file, temperature, subject, trial, order, reading),
        files=(file,) if temperature is None else (file, temperature),
        options={"order": order, **reading.options},
        modules=_MODULES,
    )


# ---------------------------------------------------------------------------------------------------------------------
# Part C: continuous recordings
# ---------------------------------------------------------------------------------------------------------------------


def _read_continuous(file: Path, stimulus: Path, subject: str, reading: _Reading) -> Recording:
    signals, places, times, notes = _read_signals(file, reading)
    if times is None:
        raise ReadError(file, where="row 1", found="no column time", expected="times in µs, which place the stimuli")
    events, late = _stimuli(inside(stimulus, reading.root), times, places, reading.idle)
    return Recording(
        subject=subject,
        session=reading.part,
        signals=signals,
        ratings=_personal(subject),
        events=tuple(events),
        notes=(*notes, *late),
    )


def _stimuli(file: Path, times: np.ndarray, places: np.ndarray, idle: str) -> tuple[list[Event], list[LeftOut]]:
    """Return the runs of equal label, and a note on those that lie outside the signals.

    A row's label holds until the next row, the last one's to the end: that reads a row per sample and a row per change
    alike.
    """
    table = _read_table(file, ("time", "label"))
    labels, starts = table["label"], table["time"]
    wrong = ~np.isin(labels, range(5)) | ~np.isfinite(starts)
    wrong[1:] |= np.diff(starts) <= 0
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ReadError(
            file,
            where=f"row {row + 2}",
            found=f"time {starts[row]:g}, label {labels[row]:g}",
            expected="increasing times in µs, and a label of 0 (none) or 1 to 4 (the level)",
        )
    first = np.concatenate([[0], np.flatnonzero(np.diff(labels)) + 1])
    # Stimuli are placed by the row of signals that has their time, so that they stay with it across gaps.
    rows = np.searchsorted(times, starts[first])
    marks = np.append(places, places[-1] + 1)[rows] / RATE
    ends = np.append(marks[1:], (places[-1] + 1) / RATE)
    names = [CLASSES[int(label)].lower() if label else idle for label in labels[first]]
    runs = zip(names, marks, ends, strict=True)
    events = [Event(name, float(a), float(b)) for name, a, b in runs if name and b > a]
    outside = int(((labels[first] > 0) & (ends <= marks)).sum())
    why = f"{outside} stimuli lie outside the times of the biosignals and are not used"
    return events, [LeftOut(str(file), why)] if outside else []


def _continuous_sources(
    folder: Path, files: Mapping[str, Path], names: Sequence[str], reading: _Reading
) -> tuple[tuple[Source, ...], list[LeftOut]]:
    home = _children(folder).get("stimulus")
    if home is None:
        raise ReadError(folder, found="no folder stimulus", expected="stimulus/<subject>.csv beside the biosignals")
    stimuli = {child.stem.lower(): child for child in visible(_undoubled(home)) if child.suffix.lower() == ".csv"}
    left_out = []
    found: list[tuple[Path, Callable[[], Source]]] = []
    for subject in names:
        if subject.lower() not in stimuli:
            why = f"no such file: without its stimuli {subject} is not used"
            left_out.append(LeftOut(str(home / f"{subject}.csv"), why))
            continue
        file, stimulus = files[subject], stimuli[subject.lower()]
        found.append((file, partial(_continuous_source, file, stimulus, subject, reading)))
    sources, outside = sources_inside(reading.root, found)
    return sources, [*left_out, *outside]


def _continuous_source(file: Path, stimulus: Path, subject: str, reading: _Reading) -> Source:
    return Source(
        subject=subject,
        session=reading.part,
        read=partial(_read_continuous, file, stimulus, subject, reading),
        files=(file, stimulus),
        options=reading.options,
        modules=_MODULES,
    )


# ---------------------------------------------------------------------------------------------------------------------
# The reader
# ---------------------------------------------------------------------------------------------------------------------


def _options_checked(part: str, variant: str | None, cohort: str, voltage_unit: str) -> tuple[str, str]:
    """Return part and variant as they are meant.

    Raises
    ------
    DataError
        One of the options is not among those allowed.
    """
    part = part.upper().removeprefix("PART").strip(" _-")
    if part in _WITHOUT_SIGNALS:
        raise DataError(f"BioVid part {part} {_WITHOUT_SIGNALS[part]}. Parts with a reader: {', '.join(_PARTS)}.")
    for name, value, allowed in (
        ("part", part, [*_PARTS]),
        ("variant", variant or "raw", ["filtered", "raw"]),
        ("cohort", cohort or "87", [*COHORTS]),
        ("voltage_unit", voltage_unit, [*_VOLTAGE]),
    ):
        if value not in allowed:
            raise DataError(f"biovid: there is no {name} '{value}'.{did_you_mean(value, allowed)}")
    return part, variant or ("raw" if part == "C" else "filtered")


def _subjects_in(home: Path, part: str) -> tuple[dict[str, Path], list[LeftOut]]:
    """Return each subject's folder (part C: file) by name, and what else lies there."""
    found: dict[str, Path] = {}
    left_out = []
    for child in visible(home):
        is_file = child.suffix.lower() == ".csv" and not child.is_dir()
        name = child.stem if is_file else child.name
        if is_file == (part == "C") and _SUBJECT.fullmatch(name):
            found[name] = child
        else:
            left_out.append(LeftOut(str(child), "not a subject's; expected names such as 010101_w_30"))
    return found, left_out


def _in_cohort(found: Iterable[str], cohort: str, home: Path) -> tuple[list[str], list[LeftOut]]:
    names = sorted(found)
    if not cohort:
        return names, []
    kept = [name for name in names if name in COHORTS[cohort]]
    absent = sorted(set(COHORTS[cohort]) - set(kept))
    if not kept:
        raise DataError(f"biovid: none of the {len(absent)} subjects of the cohort '{cohort}' is in {home}.")
    if not absent:
        return kept, []
    return kept, [
        LeftOut(str(home), f"{len(absent)} subjects of the cohort '{cohort}' are not there: {', '.join(absent)}")
    ]


# ---------------------------------------------------------------------------------------------------------------------
# Checks
# ---------------------------------------------------------------------------------------------------------------------


def _checks(root: Path, corpus: Corpus) -> Iterator[Check]:
    """Check subjects, classes and windows of what was listed."""
    part = corpus.sources[0].session if corpus.sources else "A"
    if part == "B":
        yield Check("subjects are those of a published list", None, "there is a list of part A (and C) only")
    else:
        strangers = sorted(set(corpus.subjects) - set(PART_A_87))
        counts = ", ".join(f"{len(set(corpus.subjects) & set(own))} of the {key}" for key, own in COHORTS.items())
        check = outcome("subjects are among the 87 of part A", strangers, len(corpus.subjects), of="subjects")
        foreign = len(strangers) == len(corpus.subjects)  # under other names, which nothing can be said of
        yield Check(check.what, None if foreign else check.passed, f"{check.found}; {counts}")
    if part == "C" or not corpus.sources:
        return
    found: dict[str, set[str]] = {}
    for source in corpus.sources:
        found.setdefault(source.subject, set()).add(source.trial)
    uneven = []
    for subject, trials in found.items():
        counted = Counter(trial.partition("-")[0] for trial in trials)
        uneven += [f"{subject} has {counted[name]} of {name}" for name in CLASSES if counted[name] != _PER_CLASS]
    yield outcome(f"every subject has {_PER_CLASS} windows of each class", uneven, len(found), of="subjects")
    home = _part_folder(root, part)
    classes, left_out = ({}, []) if home is None else _samples_beside(home, root)
    if left_out and "no such file" not in left_out[0].why:
        yield Check("samples.csv can be read", False, left_out[0].why)
    stated: dict[str, dict[str, str]] = {}
    for (subject, trial), name in classes.items():
        stated.setdefault(subject, {})[trial] = name
    missing = "there is no samples.csv"
    other = [
        f"{subject}: {len(trials ^ set(stated.get(subject, ())))} windows"
        for subject, trials in found.items()
        if trials != set(stated.get(subject, ()))
    ]
    yield outcome(
        "the windows are those of samples.csv", other, len(found) * bool(classes), of="subjects", missing=missing
    )
    wrong = [f"{s}-{t}: {name}" for s, own in stated.items() for t, name in own.items() if not t.startswith(name)]
    yield outcome(
        "classes of samples.csv are those of the files' names", wrong, len(classes), of="rows", missing=missing
    )
    odd = [
        f"{source.files[0].name} has {rows}"
        for source in corpus.sources
        if (rows := _rows_in(source.files[0])) != WINDOW
    ]
    yield outcome(f"every window has {WINDOW} rows", odd, len(corpus.sources), of="windows")


def _rows_in(file: Path) -> int:
    """Return the rows below a table's header; 0 where it cannot be read, which is told elsewhere."""
    try:
        return max(len(read_bytes(file).strip().splitlines()) - 1, 0)
    except ReadError:
        return 0


@dataset(
    "biovid",
    info=DatasetInfo(
        title="BioVid Heat Pain Database: skin conductance, ECG and EMG under four levels of heat pain",
        modalities=("eda", "ecg", "emg"),
        subjects=87,
        licence="signed agreement, non-commercial research only",
        citation="Walter et al., The BioVid Heat Pain Database, IEEE CYBCONF, 2013",
        url="https://www.nit.ovgu.de/BioVid.html",
        access="gated",
        checked="format-faithful files only; never tried on the real corpus",
        obtain="Sign the agreement of the University of Magdeburg; take biosignals_filtered.zip (or "
        "biosignals_raw.zip) and starting_point.zip of part A.",
        uncertain=(
            "the unit of ECG and EMG: option voltage_unit",
            "whether corrugator and zygomaticus of part A hold anything: option facial_emg",
            "what label 0 of part C means: option idle",
            "the layout of part E, which is not read",
        ),
    ),
    checks=_checks,
)
def biovid(
    root: Path | None,
    *,
    part: str = "A",
    variant: str | None = None,
    subjects: Sequence[str] | None = None,
    cohort: str = "",
    facial_emg: bool | None = None,
    voltage_unit: str = "µV",
    temperature: bool = False,
    idle: str = "idle",
) -> Corpus:
    """BioVid: ``eda`` in µS, ``ecg`` and ``emg`` in mV at 512 Hz, with events ``bl1`` and ``pa1`` to ``pa4``.

    Parts A and B: a recording per window of 5.5 s, 100 per subject, with one event over all of it and the ratings
    ``class_id`` (0 to 4), ``age`` and ``woman`` (1 or 0, both from the subject's name); its session is the part, its
    trial class and running number (``PA3-017``), and ``order`` follows the running numbers. Baseline windows have the
    numbers behind all others, so let no model see order. Part C: one recording of about 25 minutes per subject with an
    event per stimulus; parts D and E are refused with the reason. Video is not read.

    Parameters
    ----------
    root : Path
        The folder with ``PartA`` and others, or the folder of one part, as unpacked.
    part : {"A", "B", "C"}
        Two subjects of B are not in A, and the others are the same people.
    variant : {"filtered", "raw"}, optional
        Which biosignals; by default as filtered by the providers in parts A and B, and raw in part C.
    subjects : sequence of str, optional
        Only these, by name.
    cohort : {"87", "67", "non_reactive_20", "hold_out_26", "development_61"}, optional
        Only those of a published list: all of part A; those who reacted; those who did not; those proposed for
        testing; the remaining ones of part A. By default everyone found.
    facial_emg : bool, optional
        Whether to read corrugator and zygomaticus; by default only in part B: in parts A and C no electrodes were
        there, although the files have the columns.
    voltage_unit : {"µV", "uV", "mV", "V"}
        Unit of ECG and EMG in the files, which no source states for certain.
    temperature : bool
        Whether to read the thermode's temperature in °C as the trace ``temperature`` (parts A and B); its times are
        taken to have the same zero as those of the biosignals.
    idle : str
        Name of the event between the stimuli of part C (label 0); ``""`` for none.

    Returns
    -------
    Corpus

    Raises
    ------
    DataError
        `root` does not exist, or an option or subject asked for is not there.
    ReadError
        `root` is not laid out as distributed.
    """
    part, variant = _options_checked(part, variant, cohort, voltage_unit)
    root = locate("biovid", root)
    home = _part_folder(root, part)
    folders = {} if home is None else _signal_folders(home)
    if home is None or variant not in folders:
        there = ", ".join(f"biosignals_{name}" for name in folders) or f"no part {part} with a folder of biosignals"
        advice = f"Set variant to {' or '.join(folders)}." if folders else "Give the folder of PartA, or set part."
        raise ReadError(root, found=there, expected=f"biosignals_{variant} of BioVid part {part}", advice=advice)
    reading = _Reading(root, part, (part == "B") if facial_emg is None else facial_emg, voltage_unit, idle)
    if part != "C":
        reading = _Reading(root, part, reading.facial_emg, voltage_unit)
    _log_assumptions(reading, variant)
    found, left_out = _subjects_in(folders[variant], part)
    if not found:
        raise ReadError(folders[variant], found="no subject", expected="names such as 010101_w_30")
    names, absent = _in_cohort(chosen(sorted(found), subjects, str), cohort, folders[variant])
    if part == "C":
        sources, more = _continuous_sources(home, found, names, reading)
    else:
        sources, more = _window_sources(home, found, names, reading, temperature)
    return Corpus("biovid", sources, [*left_out, *absent, *more])


def _log_assumptions(reading: _Reading, variant: str) -> None:
    """Log what was decided where sources do not state it."""
    logger.info("biovid part %s: the %s biosignals are read", reading.part, variant)
    logger.info("biovid: ECG and EMG are taken to be in %s in the files (option voltage_unit)", reading.voltage_unit)
    facial = "read" if reading.facial_emg else "not read, no electrodes were there"
    logger.info("biovid part %s: corrugator and zygomaticus are %s (option facial_emg)", reading.part, facial)
    if reading.part == "C":
        logger.info("biovid part C: label 0 is called %r (option idle)", reading.idle)
