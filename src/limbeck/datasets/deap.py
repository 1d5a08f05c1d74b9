"""DEAP: EEG and peripheral signals of 32 people who watched 40 music videos each and rated them.

Koelstra et al., DEAP: A Database for Emotion Analysis using Physiological Signals, IEEE Trans. Affective Computing
3(1):18, 2012; on request at https://www.eecs.qmul.ac.uk/mmv/datasets/deap/. Three releases of the same trials are read:
``data_preprocessed_python/sNN.dat`` (pickles), ``data_preprocessed_matlab/sNN.mat`` and ``data_original/sNN.bdf``.

Two orders are in use. Rows of the preprocessed files follow the *videos* (Experiment_id), trials of the original files
follow the *presentation*, which was shuffled for each subject. ``participant_ratings.csv`` translates between them; a
recording's `trial` is always the video, its `order` the presentation.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.datasets import Check, DatasetInfo, dataset, edf, locate
from limbeck.datasets.files import chosen, is_inside, sources_inside, visible
from limbeck.datasets.inspecting import spans
from limbeck.datasets.numbers import shown
from limbeck.datasets.tables import read_rows
from limbeck.datasets.validating import named, outcome
from limbeck.errors import DataError, ReadError, did_you_mean
from limbeck.recording import UNITS, Corpus, Event, LeftOut, Recording, Signal, Source

__all__ = ["GENEVA", "TWENTE", "RatedTrial", "deap", "looks_like", "read_ratings"]

logger = logging.getLogger(__name__)

GENEVA = (
    *("Fp1", "AF3", "F3", "F7", "FC5", "FC1", "C3", "T7", "CP5", "CP1", "P3", "P7", "PO3", "O1", "Oz", "Pz"),
    *("Fp2", "AF4", "Fz", "F4", "F8", "FC6", "FC2", "Cz", "C4", "T8", "CP6", "CP2", "P4", "P8", "PO4", "O2"),
)
"""The electrodes in the order of the preprocessed files and of the original ones of subjects 23 to 32."""

TWENTE = (
    *("Fp1", "AF3", "F7", "F3", "FC1", "FC5", "T7", "C3", "CP1", "CP5", "P7", "P3", "Pz", "PO3", "O1", "Oz"),
    *("O2", "PO4", "P4", "P8", "CP6", "CP2", "C4", "T8", "FC6", "FC2", "F4", "F8", "AF4", "Fp2", "Fz", "Cz"),
)
"""The electrodes in the order of the original files of subjects 1 to 22."""

_ORDERS = {"geneva": GENEVA, "twente": TWENTE}
_SUFFIXES = {"python": ".dat", "matlab": ".mat", "original": ".bdf"}
_FOLDERS = {
    "python": "data_preprocessed_python",
    "matlab": "data_preprocessed_matlab",
    "original": "data_original",
}
_TABLE_FOLDERS = ("metadata_csv", "metadata_xls", "metadata")
_GSR = ("auto", "ohm", "nS", "µS", "stored")
_TEMPERATURE = ("celsius", "stored")

_MODULES = (
    *("limbeck.datasets.deap", "limbeck.datasets.pickles", "limbeck.datasets.matlab", "limbeck.datasets.edf"),
    *("limbeck.datasets.tables", "limbeck.datasets.files"),
)
_SUBJECTS = 32
_IN_TWENTE = 22  # subjects 1 to 22 were recorded there, with GSR as conductance; the others in Geneva, as resistance
_TRIALS = 40
_RATE = 128.0  # Hz, of the preprocessed files
_SAMPLES = 8064  # per trial and channel of the preprocessed files: 63 s
_BASELINE, _VIDEO = 3.0, 60.0  # seconds before and of each video
_EVENTS = (Event("baseline", 0.0, _BASELINE), Event("trial", _BASELINE, _BASELINE + _VIDEO))
_SCALES = {"valence": 9, "arousal": 9, "dominance": 9, "liking": 9, "familiarity": 5}  # from 1 to this
_LABELS = tuple(_SCALES)[:4]  # columns of the preprocessed files' labels
_TOLERANCE = 0.011  # by which labels and table may differ, as the table is rounded to two decimals
_SKIN = (10.0, 45.0)  # °C, between which the median of a trial's skin temperature is believed

# Rows behind the 32 electrodes in the preprocessed files, by modality. Voltages are in µV; row 37 (counted from 1) is
# the resistance of the skin.
_PERIPHERAL = {
    "eog": {"hEOG": 32, "vEOG": 33},
    "emg": {"zEMG": 34, "tEMG": 35},
    "eda": {"GSR": 36},
    "resp": {"Resp": 37},
    "bvp": {"Plet": 38},
    "temp": {"Temp": 39},
}

# What each of these is in the original files: a label, or the difference of two. The names behind the electrodes are
# less certain than the places (counted from 0), which serve where a name is not there.
_ORIGINAL = {
    "hEOG": ("EXG1", "EXG2"),
    "vEOG": ("EXG3", "EXG4"),
    "zEMG": ("EXG5", "EXG6"),
    "tEMG": ("EXG7", "EXG8"),
    "GSR": ("GSR1",),
    "Resp": ("Resp",),
    "Plet": ("Plet",),
    "Temp": ("Temp",),
}
_PLACES = {**{f"EXG{i + 1}": 32 + i for i in range(8)}, "GSR1": 40, "Resp": 44, "Plet": 45, "Temp": 46}
_VIDEO_CODE = 4


@dataclass(frozen=True)
class RatedTrial:
    """A row of the table of ratings.

    Parameters
    ----------
    presented : int
        The trial's place in the experiment, from 1: the column Trial.
    video : int
        The video shown, from 1: the column Experiment_id.
    ratings : mapping of str to float
        Valence, arousal, dominance and liking from 1 to 9, familiarity from 1 to 5; blank cells are not in it.
    """

    presented: int
    video: int
    ratings: Mapping[str, float]


@dataclass(frozen=True)
class _Settings:
    """How signals are taken: see the options of :func:`deap`."""

    gsr: str
    temperature: str
    electrodes: str


# ---------------------------------------------------------------------------------------------------------------------
# Finding files
# ---------------------------------------------------------------------------------------------------------------------


def _number(name: str, suffix: str) -> int | None:
    """Return the subject of a file's name, None for a file that is none of the release."""
    match = re.fullmatch(rf"s(\d\d){re.escape(suffix)}", name, re.IGNORECASE)
    return int(match[1]) if match and 1 <= int(match[1]) <= _SUBJECTS else None


def _spelling(name: str) -> str:
    match = re.fullmatch(r"s?0*(\d{1,2})", name, re.IGNORECASE)
    return f"s{int(match[1]):02d}" if match else name


def _folders(root: Path, depth: int = 3) -> Iterator[Path]:
    """Yield the folders in which files may lie, ``DEAP/data_preprocessed_python/data_preprocessed_python`` included."""
    if not root.is_dir():
        return
    yield root
    if depth:
        for child in visible(root):
            if child.is_dir() and is_inside(child, root):
                yield from _folders(child, depth - 1)


def _homes(root: Path) -> dict[str, list[Path]]:
    """Return the folders that hold each release, those named as published first."""
    homes: dict[str, list[Path]] = {release: [] for release in _SUFFIXES}
    for folder in _folders(root):
        names = [child.name for child in visible(folder)]
        for release, suffix in _SUFFIXES.items():
            if any(_number(name, suffix) is not None for name in names):
                homes[release].append(folder)
    for release, folders in homes.items():
        folders.sort(key=lambda folder, release=release: folder.name.lower() != _FOLDERS[release])  # type: ignore[misc]
    return homes


def looks_like(path: Path) -> bool:
    """Tell whether a folder is laid out as DEAP is published."""
    return any(_homes(path).values())


def _table(root: Path, home: Path) -> Path | None:
    """Return the table of ratings: anywhere under the root, or beside a root that is itself the folder of a release.

    The spreadsheets are returned where the text is not there, so that it can be said what is missing.
    """
    places = list(_folders(root))
    if home == root or root.name.lower() in _FOLDERS.values():
        places += [root.parent, *(root.parent / name for name in _TABLE_FOLDERS)]
    for suffix in (".csv", ".xls", ".xlsx", ".ods"):
        for folder in places:
            file = folder / f"participant_ratings{suffix}"
            if file.is_file():
                return file
    return None


# ---------------------------------------------------------------------------------------------------------------------
# Ratings
# ---------------------------------------------------------------------------------------------------------------------


def read_ratings(file: Path) -> tuple[dict[int, dict[int, RatedTrial]], list[LeftOut]]:
    """Read the table of ratings, which says when each subject saw each video.

    Parameters
    ----------
    file : Path
        ``participant_ratings.csv`` with the columns Participant_id, Trial (presentation), Experiment_id (video),
        Valence, Arousal, Dominance, Liking and Familiarity. The column Start_time is not read: sources do not agree on
        its unit.

    Returns
    -------
    trials : dict of int to dict of int to RatedTrial
        By participant and video, for participants with 40 trials and 40 videos, each once.
    left_out : list of LeftOut
        Participants whose rows cannot be trusted, and ratings that are no numbers on their scale. Blank Familiarity, as
        published of participants 2, 15 and 23, is no defect.

    Raises
    ------
    ReadError
        The file is missing, or is not that table.
    """
    if file.suffix.lower() != ".csv":
        raise ReadError(
            file,
            found="a spreadsheet",
            expected="participant_ratings.csv",
            advice="DEAP publishes the table as CSV, too (metadata_csv): put that beside it.",
        )
    rows = read_rows(file, needed=("participant_id", "trial", "experiment_id", *_LABELS))
    trials: dict[int, list[RatedTrial]] = {}
    left_out: list[LeftOut] = []
    spoilt: dict[int, str] = {}
    for number, row in rows:
        keys = [_whole(row[name]) for name in ("participant_id", "trial", "experiment_id")]
        participant, presented, video = keys
        if participant is None:
            found = shown(row["participant_id"])
            left_out.append(LeftOut(f"{file}, row {number}", f"found {found}; expected a Participant_id; not used"))
        elif presented is None or video is None:
            found = f"Trial {shown(row['trial'])} and Experiment_id {shown(row['experiment_id'])}"
            spoilt.setdefault(participant, f"found {found} in row {number}; expected whole numbers")
        else:
            ratings, notes = _row_ratings(row, f"{file}, row {number}")
            left_out += notes
            trials.setdefault(participant, []).append(RatedTrial(presented, video, ratings))
    whole = set(range(1, _TRIALS + 1))
    for participant, own in trials.items():
        for name, values in (("Trial", [t.presented for t in own]), ("Experiment_id", [t.video for t in own])):
            if sorted(values) != sorted(whole):
                found = f"{len(values)} rows with {len(set(values) & whole)} different values of {name}"
                spoilt.setdefault(participant, f"found {found}; expected 1 to {_TRIALS}, each once")
    left_out += [
        LeftOut(f"{file}, participant {participant}", f"{why}; the rows of this participant are not used")
        for participant, why in sorted(spoilt.items())
    ]
    trusted = {participant: own for participant, own in trials.items() if participant not in spoilt}
    return {participant: {trial.video: trial for trial in own} for participant, own in trusted.items()}, left_out


def _whole(cell: str) -> int | None:
    """Return a whole number, also where a spreadsheet wrote ``3.0``."""
    return int(float(cell)) if re.fullmatch(r"\d{1,6}(?:\.0*)?", cell) else None


def _row_ratings(row: Mapping[str, str], place: str) -> tuple[dict[str, float], list[LeftOut]]:
    ratings: dict[str, float] = {}
    notes = []
    for name, highest in _SCALES.items():
        cell = row.get(name, "")
        if not cell and name == "familiarity":
            continue
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if 1 <= value <= highest:
            ratings[name] = value
        else:
            why = f"found {shown(cell)}; expected a number from 1 to {highest}; this rating is not used"
            notes.append(LeftOut(f"{place}, {name}", why))
    return ratings, notes


# ---------------------------------------------------------------------------------------------------------------------
# Preprocessed files
# ---------------------------------------------------------------------------------------------------------------------

_Content = tuple[np.ndarray, np.ndarray]
_held: dict[tuple[str, int, int], _Content] = {}
_holding = threading.Lock()


def _content(file: Path) -> _Content:
    """Return data and labels of a subject's file, which is held until another one is read.

    Its 40 trials are 40 recordings, mostly read in turn: the file (103 MB) is read once for all of them, and never more
    than one is held per process.
    """
    try:
        status = file.stat()
    except OSError as error:
        raise ReadError(file, found=error.strerror or str(error), expected="a readable file") from error
    key = (str(file), status.st_mtime_ns, status.st_size)
    with _holding:
        if key not in _held:
            _held.clear()  # before the next one is read, so that there are never two
            _held[key] = _read_content(file)
        return _held[key]


def _read_content(file: Path) -> _Content:
    """Read data, shape (40, 40, 8064), and labels, shape (40, 4), both float64, of a pickle or MATLAB file."""
    from limbeck.datasets import matlab, pickles

    content: Any
    if file.suffix.lower() == ".mat":
        content = matlab.load(file, ("data", "labels"))
    else:
        content = pickles.load(file, encoding="latin1")
    if not isinstance(content, dict):
        raise ReadError(file, found=f"a {type(content).__name__}", expected="a dict with data and labels")
    arrays = {_key(key): value for key, value in content.items()}  # bytes where it was pickled again by Python 3
    data = _array(file, arrays, "data", (_TRIALS, 40, _SAMPLES), "trial, channel, sample")
    return data, _array(file, arrays, "labels", (_TRIALS, len(_LABELS)), "trial, rating")


def _key(key: object) -> str:
    return key.decode("latin-1") if isinstance(key, bytes) else str(key)


def _array(file: Path, arrays: Mapping[str, Any], name: str, shape: tuple[int, ...], axes: str) -> np.ndarray:
    expected = f"numbers of shape {shape} ({axes})"
    if name not in arrays:
        keys = ", ".join(sorted(key for key in arrays if not key.startswith("__")))
        raise ReadError(file, where=f"'{name}'", found=f"only {shown(keys)}", expected=expected)
    array = arrays[name]
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        what = f"an array of {array.dtype}" if isinstance(array, np.ndarray) else f"a {type(array).__name__}"
        raise ReadError(file, where=f"'{name}'", found=what, expected=expected)
    if array.shape != shape:
        advice = "Read the files as published; your own arrays go through limbeck.from_arrays."
        raise ReadError(file, where=f"'{name}'", found=f"shape {array.shape}", expected=expected, advice=advice)
    # MATLAB's order would make every trial a walk through all of the file.
    return np.ascontiguousarray(array, dtype=np.float64)


def _read_preprocessed(
    file: Path, subject: str, video: int, order: int, rated: RatedTrial | None, settings: _Settings
) -> Recording:
    data, labels = _content(file)
    place = f"{file}, trial {video}"
    rows = data[video - 1]
    ratings, notes = _label_ratings(labels[video - 1], rated, place)
    ohm = "ohm" if settings.gsr == "auto" else settings.gsr
    channels = {name: rows[row] for group in _PERIPHERAL.values() for name, row in group.items()}
    eeg = dict(zip(GENEVA, rows, strict=False))
    signals, signal_notes = _signals(eeg, channels, _RATE, ohm, settings, place)
    return _recording(subject, video, order, signals, ratings, [*notes, *signal_notes])


def _label_ratings(labels: np.ndarray, rated: RatedTrial | None, place: str) -> tuple[dict[str, float], list[LeftOut]]:
    """Return the ratings of a file's labels, with the table's familiarity if the table agrees with them."""
    ratings: dict[str, float] = {}
    notes = []
    for name, value in zip(_LABELS, labels.tolist(), strict=True):
        if 1 - _TOLERANCE <= value <= 9 + _TOLERANCE:
            ratings[name] = value
        else:
            why = f"found {value:g}; expected a rating from 1 to 9; it is not used"
            notes.append(LeftOut(f"{place}: {name}", why))
    if rated is None:
        return ratings, notes
    apart = [n for n in ratings if n in rated.ratings and abs(ratings[n] - rated.ratings[n]) > _TOLERANCE]
    if apart:
        pairs = ", ".join(f"{name} {ratings[name]:g} (table: {rated.ratings[name]:g})" for name in apart)
        why = (
            f"{pairs}: the labels disagree with the table of ratings, so its familiarity is not used; check the table: "
            "rows of the file belong to Experiment_id, not to Trial"
        )
        notes.append(LeftOut(f"{place}: labels", why))
    elif "familiarity" in rated.ratings:
        ratings["familiarity"] = rated.ratings["familiarity"]
    return ratings, notes


# ---------------------------------------------------------------------------------------------------------------------
# Signals
# ---------------------------------------------------------------------------------------------------------------------


def _signals(
    eeg: Mapping[str, np.ndarray],
    peripheral: Mapping[str, np.ndarray],
    rate: float,
    gsr: str,
    settings: _Settings,
    place: str,
) -> tuple[dict[str, Signal], list[LeftOut]]:
    """Return the modalities of a trial, in the units of `UNITS`, from channels in µV and as stored.

    Parameters
    ----------
    eeg, peripheral : mapping of str to ndarray of shape (n_times,), float64
        By channel; voltages in µV.
    rate : float
        Hz.
    gsr : str
        Unit of the GSR.
    settings : _Settings
    place : str
        For notes.
    """
    signals: dict[str, Signal] = {}
    notes: list[LeftOut] = []
    sites = _ORDERS[settings.electrodes]
    signals["eeg"] = _signal([eeg[site] for site in sites], rate, sites, UNITS["eeg"])
    for modality, group in _PERIPHERAL.items():
        names = tuple(name for name in group if name in peripheral)
        rows = [peripheral[name] for name in names]
        if not names:
            continue
        unit = UNITS[modality]
        if modality == "emg":
            rows = [row / 1000 for row in rows]  # µV to mV
        elif modality == "eda":
            rows, unit, own = _skin_conductance(rows, gsr, f"{place}: GSR")
            notes += own
        elif modality == "temp":
            unit, own = _temperature_unit(rows, settings.temperature, f"{place}: Temp")
            notes += own
        if rows:
            signals[modality] = _signal(rows, rate, names, unit)
    return signals, notes


def _signal(rows: Sequence[np.ndarray], rate: float, names: tuple[str, ...], unit: str) -> Signal:
    data = np.stack(rows).astype(np.float32)  # a copy: no view keeps the other trials in memory
    data[~np.isfinite(data)] = np.nan
    return Signal(data, rate, names, unit)


def _skin_conductance(rows: list[np.ndarray], unit: str, place: str) -> tuple[list[np.ndarray], str, list[LeftOut]]:
    """Return the skin's conductance in µS; samples of which there is none (0 and below) are missing."""
    if unit == "stored":
        return rows, "a.u.", []
    impossible = sum(int((row <= 0).sum()) for row in rows)
    total = sum(row.size for row in rows)
    positive = [np.where(row > 0, row, np.nan) for row in rows]
    converted = [edf.to_unit(row, "eda", unit) for row in positive]
    if not impossible:
        return [row for row in converted if row is not None], UNITS["eda"], []
    why = f"{impossible} of {total} samples are 0 or below, which is no skin in {unit}"
    if 2 * impossible >= total:
        why += "; the signal is not used. Pass gsr='stored' to have it as it stands"
        return [], UNITS["eda"], [LeftOut(place, why)]
    return [row for row in converted if row is not None], UNITS["eda"], [LeftOut(place, f"{why}; they are missing")]


def _temperature_unit(rows: Sequence[np.ndarray], wanted: str, place: str) -> tuple[str, list[LeftOut]]:
    """Return the unit of the temperature as stored, and a note where it cannot be °C."""
    if wanted == "stored":
        return "a.u.", []
    finite = np.concatenate(rows)
    finite = finite[np.isfinite(finite)]
    median = float(np.median(finite)) if finite.size else math.nan
    if _SKIN[0] <= median <= _SKIN[1]:
        return UNITS["temp"], []
    why = f"the median of {median:g} is no skin temperature in °C; it is kept as it stands, in arbitrary units"
    return "a.u.", [LeftOut(place, why)]


def _recording(
    subject: str,
    video: int,
    order: int,
    signals: Mapping[str, Signal],
    ratings: Mapping[str, float],
    notes: Sequence[LeftOut],
) -> Recording:
    return Recording(
        subject=subject,
        trial=_trial(video),
        order=order,
        signals=signals,
        ratings=ratings,
        events=_EVENTS,
        notes=tuple(notes),
    )


def _trial(video: int) -> str:
    return f"video{video:02d}"


# ---------------------------------------------------------------------------------------------------------------------
# Original files
# ---------------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=_SUBJECTS)
def _onsets(file: Path, modified: int, size: int) -> tuple[float, ...]:
    """Return when each video began, in s from the start of the file; `modified` and `size` tell versions apart.

    The status words of some subjects carry further bits above the code, and the trigger channel of some has no name: it
    is the last one then.
    """
    header = edf.read_header(file)
    if not header.channels:
        raise ReadError(file, found="no signals", expected="32 electrodes and a trigger channel")
    named = [channel for channel in header.channels if channel.label.strip().lower() == "status"]
    trigger = named[0] if named else header.channels[-1]
    physical = edf.read_channel(header, trigger)
    codes = np.rint((physical - trigger.offset) / trigger.gain).astype(np.int64) & 0xFF
    began = np.flatnonzero((codes[1:] == _VIDEO_CODE) & (codes[:-1] != _VIDEO_CODE)) + 1
    if len(began) != _TRIALS:
        raise ReadError(
            file,
            where=f"trigger channel '{trigger.label}'",
            found=f"{len(began)} onsets of a video (code {_VIDEO_CODE})",
            expected=f"{_TRIALS}: without all of them, trials cannot be told apart",
            advice="Copy the file again, or leave this subject out.",
        )
    return tuple((began / trigger.rate).tolist())


def _read_original(file: Path, subject: str, rated: RatedTrial, settings: _Settings) -> Recording:
    try:
        status = file.stat()
    except OSError as error:
        raise ReadError(file, found=error.strerror or str(error), expected="a readable file") from error
    onset = _onsets(file, status.st_mtime_ns, status.st_size)[rated.presented - 1]
    header = edf.read_header(file)
    start, end = onset - _BASELINE, onset + _VIDEO
    if start < 0 or end > header.seconds:
        raise ReadError(
            file,
            where=f"trial {rated.presented}",
            found=f"a recording from 0 to {header.seconds:g} s",
            expected=f"the samples from {start:g} to {end:g} s",
            advice="The file was cut: copy it again.",
        )
    place = f"{file}, trial {rated.presented}"
    cut = partial(_cut, header, start)
    channels = {site: _labelled(header, site) for site in GENEVA}
    rate = channels[GENEVA[0]].rate
    uneven = [site for site, channel in channels.items() if channel.rate != rate]
    if uneven:
        found = f"{channels[uneven[0]].rate:g} Hz of '{uneven[0]}'"
        raise ReadError(file, where="header", found=found, expected=f"{rate:g} Hz, as of '{GENEVA[0]}'")
    eeg = {site: _microvolts(cut(channel), channel, file) for site, channel in channels.items()}
    peripheral, notes = _original_peripheral(header, cut, rate, file)
    gsr = settings.gsr
    if gsr == "auto":
        gsr = "nS" if int(subject[1:]) <= _IN_TWENTE else "ohm"
    signals, signal_notes = _signals(eeg, peripheral, rate, gsr, settings, place)
    return _recording(subject, rated.video, rated.presented - 1, signals, dict(rated.ratings), [*notes, *signal_notes])


def _labelled(header: edf.Header, label: str) -> edf.Channel:
    """Return the channel of a label, whatever its case."""
    for channel in header.channels:
        if channel.label.strip().lower() == label.lower():
            return channel
    labels = ", ".join(channel.label for channel in header.channels)
    raise ReadError(header.file, where="labels", found=labels, expected=f"'{label}' among them")


def _cut(header: edf.Header, start: float, channel: edf.Channel) -> np.ndarray:
    """Return the physical values of one trial of a channel; only the records that hold it are read."""
    first = math.floor(start / header.record_seconds)
    behind = math.ceil((start + _BASELINE + _VIDEO) / header.record_seconds)
    stretch = dataclasses.replace(
        header,
        header_bytes=header.header_bytes + first * header.record_samples * header.sample_bytes,
        n_records=min(behind, header.n_records) - first,
    )
    begin = round((start - first * header.record_seconds) * channel.rate)
    return edf.read_channel(stretch, channel)[begin : begin + round((_BASELINE + _VIDEO) * channel.rate)]


def _microvolts(values: np.ndarray, channel: edf.Channel, file: Path) -> np.ndarray:
    converted = edf.to_unit(values, "eeg", channel.unit)
    if converted is None:
        raise ReadError(file, where=f"unit of '{channel.label}'", found=repr(channel.unit), expected="a voltage")
    return converted


def _original_peripheral(
    header: edf.Header, cut: Callable[[edf.Channel], np.ndarray], rate: float, file: Path
) -> tuple[dict[str, np.ndarray], list[LeftOut]]:
    """Return the peripheral channels of a trial, voltages as differences of two electrodes in µV."""
    found: dict[str, np.ndarray] = {}
    notes: list[LeftOut] = []
    for name, labels in _ORIGINAL.items():
        channels = [_peripheral_channel(header, label, notes) for label in labels]
        used = [channel for channel in channels if channel is not None and channel.rate == rate]
        if len(used) < len(labels):
            why = f"there is no {' and '.join(labels)} at {rate:g} Hz in the file; {name} is not used"
            notes.append(LeftOut(f"{file}: {name}", why))
        elif len(used) == 2:
            first, second = (_microvolts(cut(channel), channel, file) for channel in used)
            found[name] = first - second
        else:
            found[name] = cut(used[0])
    return found, notes


def _peripheral_channel(header: edf.Header, label: str, notes: list[LeftOut]) -> edf.Channel | None:
    """Return a channel by its label, else by its place if what stands there has no name of another one."""
    for channel in header.channels:
        if channel.label.strip().lower() == label.lower():
            return channel
    place = _PLACES[label]
    known = {name.lower() for name in (*GENEVA, *_PLACES, "GSR2", "Erg1", "Erg2", "Status", "")}
    if place >= len(header.channels) or header.channels[place].label.strip().lower() in known:
        return None
    channel = header.channels[place]
    why = f"there is no channel '{label}'; channel {place + 1}, '{channel.label}', is taken for it by its place"
    logger.warning("%s: %s", header.file, why)
    notes.append(LeftOut(f"{header.file}: {label}", why))
    return channel


# ---------------------------------------------------------------------------------------------------------------------
# Listing
# ---------------------------------------------------------------------------------------------------------------------


# ---------------------------------------------------------------------------------------------------------------------
# Checks
# ---------------------------------------------------------------------------------------------------------------------


def _checks(root: Path, corpus: Corpus) -> Iterator[Check]:
    """Check table, labels and orders of what was listed."""
    release = str(corpus.sources[0].options["release"]) if corpus.sources else "auto"
    release, home, _ = _chosen_release(root, release)
    table = _table(root, home)
    files = {int(source.subject[1:]): source.files[0] for source in corpus.sources}
    try:
        trials, left_out = read_ratings(table) if table is not None else ({}, [])
    except ReadError as error:
        yield Check("participant_ratings.csv can be read", False, str(error))
        trials, left_out = {}, []
    missing = "there is no participant_ratings.csv"
    wrong = [entry.why for entry in left_out if "participant" in entry.what]
    what = f"Trial and Experiment_id of participant_ratings.csv are 1 to {_TRIALS}, each once, of every participant"
    yield outcome(what, wrong, len(trials) + len(wrong), of="participants", missing=missing)
    refused = [entry.what for entry in left_out]
    absent = [f"s{k:02d}" for k in files if k not in trials and f"{table}, participant {k}" not in refused]
    what = "participant_ratings.csv has rows of every subject who is there"
    found = f"no row of {spans(absent)}: the table was cut; copy it again" if absent and trials else ""
    yield Check(what, not absent if trials else None, found if trials else missing)
    scale = [f"{entry.what}: {entry.why}" for entry in left_out if "participant" not in entry.what]
    rows = _TRIALS * len(trials)
    yield outcome("ratings are from 1 to 9, familiarity from 1 to 5", scale, rows, of="rows", missing=missing)
    same = [f"participant {number}" for number, own in trials.items() if all(t.presented == v for v, t in own.items())]
    what = "the videos were shown in an order of their own: Trial is not Experiment_id"
    yield outcome(what, same, len(trials), of="participants", missing=missing)
    if release == "original":
        yield from _check_sites(files)
    else:
        yield from _check_labels(files, trials, missing)


def _check_labels(
    files: Mapping[int, Path], trials: Mapping[int, Mapping[int, RatedTrial]], missing: str
) -> Iterator[Check]:
    """Compare the labels in the preprocessed files with the table, row by row."""
    looked, wrong, shuffled = 0, [], []
    for number, file in files.items():
        own = trials.get(number)
        if own is None:
            continue
        try:
            _, labels = _content(file)
        except ReadError:
            continue  # that it cannot be read is told already
        by_video = _rows_apart(labels, {trial.video: trial for trial in own.values()})
        by_place = _rows_apart(labels, {trial.presented: trial for trial in own.values()})
        looked += _TRIALS
        wrong += [f"{file.name}, row {row}" for row in by_video]
        if by_video and not by_place:
            shuffled.append(file.name)
    what = "labels of the files equal participant_ratings.csv, row k being Experiment_id k"
    check = outcome(what, wrong, looked, of="trials", missing=missing)
    if shuffled:
        advice = f"; rows of {named(shuffled)} follow Trial, the order of presentation"
        check = dataclasses.replace(check, found=check.found + advice)
    yield check
    yield Check("channels are in the order of Geneva", None, "the preprocessed files do not name their channels")


def _rows_apart(labels: np.ndarray, rated: Mapping[int, RatedTrial]) -> list[int]:
    """Return the rows (from 1) whose labels are not the ratings under their number; blank ratings are passed over."""
    table = np.full((_TRIALS, len(_LABELS)), np.nan)
    for row, trial in rated.items():
        table[row - 1] = [trial.ratings.get(name, math.nan) for name in _LABELS]
    return (np.flatnonzero((np.abs(labels - table) > _TOLERANCE).any(axis=1)) + 1).tolist()


def _check_sites(files: Mapping[int, Path]) -> Iterator[Check]:
    """Compare the electrodes of the original files with the two orders of the two sites."""
    wrong, looked = [], 0
    for number, file in files.items():
        try:
            labels = [channel.label.strip().lower() for channel in edf.read_header(file).channels][: len(GENEVA)]
        except ReadError:
            continue  # that it cannot be read is told already
        looked += 1
        site, order = ("Twente", TWENTE) if number <= _IN_TWENTE else ("Geneva", GENEVA)
        if labels != [name.lower() for name in order]:
            wrong.append(f"{file.name} is not in the order of {site}")
    what = f"electrodes are in the order of Twente up to s{_IN_TWENTE}, of Geneva from s{_IN_TWENTE + 1}"
    yield outcome(what, wrong, looked, of="files")


@dataset(
    "deap",
    info=DatasetInfo(
        title="DEAP: EEG and peripheral signals of people who watched and rated music videos",
        modalities=("eeg", "eog", "emg", "eda", "resp", "bvp", "temp"),
        subjects=_SUBJECTS,
        names=tuple(f"s{number:02d}" for number in range(1, _SUBJECTS + 1)),
        each=_TRIALS,
        licence="EULA, academic research only",
        citation="Koelstra et al., DEAP: A Database for Emotion Analysis using Physiological Signals, "
        "IEEE Trans. Affective Computing 3(1):18-31, 2012",
        url="https://www.eecs.qmul.ac.uk/mmv/datasets/deap/",
        access="gated",
        checked="format-faithful files only; never tried on the real corpus",
        obtain="Sign the EULA as a researcher with a permanent post and send it; take data_preprocessed_python.zip and "
        "metadata_csv.zip (participant_ratings.csv).",
        uncertain=(
            "the unit of GSR in the files: option gsr",
            "whether the skin temperature is in °C: option temperature",
            "the unit of Start_time in the table of ratings, which is not read",
            "names of channels behind the electrodes in the original files: taken by place where a name is not there, "
            "and noted",
        ),
    ),
    checks=_checks,
)
def deap(
    root: Path | None,
    *,
    release: str = "auto",
    subjects: Sequence[str | int] | None = None,
    electrodes: str = "geneva",
    gsr: str = "auto",
    temperature: str = "celsius",
) -> Corpus:
    """DEAP: 40 recordings per subject of 63 s, with the events ``baseline`` (3 s) and ``trial`` (60 s).

    Modalities: `eeg` (32 electrodes, µV), `eog` (hEOG, vEOG, µV), `emg` (zEMG of the zygomaticus, tEMG of the
    trapezius, mV), `eda` (GSR, as conductance in µS), `resp`, `bvp` (Plet) and `temp`. Ratings: valence, arousal,
    dominance and liking (1 to 9), and familiarity (1 to 5) where the table of ratings is there and has it. A
    recording's trial is the video (``video07``), its order the presentation, in which recordings are listed.

    The preprocessed releases are at 128 Hz, referenced to the common average and filtered to 4-45 Hz, with EOG taken
    out of the EEG: they hold no delta band. The baseline is still in them and is not subtracted. A subject's file
    (103 MB) is read once and held while its trials are read; sources sorted by subject read fastest. The original
    release is as recorded, mostly 512 Hz; of it, only the records of a trial are read.

    Parameters
    ----------
    root : Path, optional
        The folder with ``data_preprocessed_python``, ``data_preprocessed_matlab`` or ``data_original``, or one of
        these; with ``participant_ratings.csv`` in it, or beside it. Without that table, the preprocessed releases are
        in the order of videos (and that is said), and the original one cannot be read: it does not say which video a
        trial was.
    release : {"auto", "python", "matlab", "original"}
        Which files to read; ``auto`` takes the first of these that is there.
    subjects : sequence of str or int, optional
        Only these: ``s07``, ``7``.
    electrodes : {"geneva", "twente"}
        The order of the EEG channels, :data:`GENEVA` or :data:`TWENTE`. Channels are found by name in either.
    gsr : {"auto", "ohm", "nS", "µS", "stored"}
        The unit that the files are taken to hold. ``auto``: resistance in ohm in the preprocessed releases, and in the
        original one conductance in nS of subjects 1 to 22 and resistance in ohm of the others. Samples of 0 and below
        are missing, and noted. ``stored`` keeps the numbers, as ``a.u.``.
    temperature : {"celsius", "stored"}
        Whether the skin temperature is taken to be in °C; it is kept as ``a.u.``, and that noted, where it cannot be.

    Returns
    -------
    Corpus

    Raises
    ------
    DataError
        `root` does not exist, an option is wrong, or a subject asked for is not there.
    ReadError
        `root` is not laid out as published, or the table that the original release needs is missing.
    """
    root = locate("deap", root)
    for name, value, allowed in (
        ("release", release, ("auto", *_SUFFIXES)),
        ("electrodes", electrodes, _ORDERS),
        ("gsr", gsr, _GSR),
        ("temperature", temperature, _TEMPERATURE),
    ):
        if value not in allowed:
            raise DataError(f"deap: there is no {name} '{value}'.{did_you_mean(str(value), allowed)}")
    release, home, left_out = _chosen_release(root, release)
    settings = _Settings(gsr, temperature, electrodes)
    _log_defaults(settings)
    files, stray = _subject_files(home, release)
    trials, table_notes = _ratings_beside(root, home, release)
    found: list[tuple[Path, Callable[[], Source]]] = []
    for subject in chosen(sorted(files), subjects, _spelling):
        own = trials.get(int(subject[1:]), {})
        if not own and (trials or release == "original"):  # without any, that is said once
            table_notes.append(_without_table(files[subject], release))
        if own or release != "original":
            found += [
                (files[subject], partial(_source, files[subject], release, subject, video, own.get(video), settings))
                for video in _as_presented(own)
            ]
    sources, outside = sources_inside(root, found)
    return Corpus("deap", sources, [*left_out, *stray, *table_notes, *outside])


def _as_presented(rated: Mapping[int, RatedTrial]) -> list[int]:
    """Return the videos as a subject saw them, by number where that is not known."""
    videos = range(1, _TRIALS + 1)
    return sorted(videos, key=lambda video: rated[video].presented) if rated else list(videos)


def _chosen_release(root: Path, release: str) -> tuple[str, Path, list[LeftOut]]:
    """Return the release to read, its folder, and the further folders of it that are not read."""
    homes = _homes(root)
    wanted = [name for name in _SUFFIXES if release in (name, "auto") and homes[name]]
    if not wanted:
        there = [name for name, folders in homes.items() if folders]
        suffixes = list(_SUFFIXES.values()) if release == "auto" else [_SUFFIXES[release]]
        raise ReadError(
            root,
            found=f"no {' or '.join(f's01{suffix}' for suffix in suffixes)}",
            expected="the DEAP folder as published",
            advice=f"There is the release {' and '.join(there)}." if there else "",
        )
    home, *others = homes[wanted[0]]
    logger.info("deap: reading the release '%s' in %s", wanted[0], home)
    why = f"holds subjects' files, too; those in {home} are read"
    return wanted[0], home, [LeftOut(str(folder), why) for folder in others]


def _log_defaults(settings: _Settings) -> None:
    if settings.gsr == "auto":
        logger.info("deap: GSR is taken as ohm, and as nS in original files of subjects 1 to 22; gsr= says otherwise")
    if settings.temperature == "celsius":
        logger.info("deap: skin temperature is taken as °C; temperature='stored' keeps it in arbitrary units")


def _subject_files(home: Path, release: str) -> tuple[dict[str, Path], list[LeftOut]]:
    """Return the file of each subject, and the files that are none."""
    files: dict[str, Path] = {}
    stray: list[LeftOut] = []
    for child in visible(home):
        number = _number(child.name, _SUFFIXES[release])
        if number is not None and f"s{number:02d}" not in files:
            files[f"s{number:02d}"] = child
        elif child.suffix.lower() == _SUFFIXES[release]:
            why = f"found a file of another name; expected s01{_SUFFIXES[release]} to s32{_SUFFIXES[release]}; not read"
            stray.append(LeftOut(str(child), why))
    return files, stray


def _ratings_beside(root: Path, home: Path, release: str) -> tuple[dict[int, dict[int, RatedTrial]], list[LeftOut]]:
    """Read the table of ratings; the preprocessed releases can do without."""
    file = _table(root, home)
    try:
        if file is None:
            raise ReadError(
                root,
                found="no participant_ratings.csv",
                expected="the table of ratings, which says when each subject saw each video",
                advice="Put it (from metadata_csv) beside the data."
                + ("" if release == "original" else " Until then, recordings are in the order of videos."),
            )
        if not is_inside(file, root if file.is_relative_to(root) else root.parent):
            raise ReadError(file, found="a link that leads out of the data set's folder", expected="a file in it")
        return read_ratings(file)
    except ReadError as error:
        if release == "original":
            raise
        return {}, [LeftOut(error.file, str(error))]


def _without_table(file: Path, release: str) -> LeftOut:
    if release == "original":
        return LeftOut(str(file), "not in the table of ratings: which video each trial was is not known; not read")
    why = "not in the table of ratings: the order of its recordings is that of videos, not of presentation"
    return LeftOut(str(file), f"{why}; it is read without familiarity")


def _source(
    file: Path, release: str, subject: str, video: int, rated: RatedTrial | None, settings: _Settings
) -> Source:
    order = video - 1 if rated is None else rated.presented - 1
    if release == "original" and rated is not None:
        read = partial(_read_original, file, subject, rated, settings)
    else:
        read = partial(_read_preprocessed, file, subject, video, order, rated, settings)
    return Source(
        subject=subject,
        trial=_trial(video),
        read=read,
        files=(file,),
        options={
            "release": release,
            "video": video,
            "order": order,
            "ratings": dict(rated.ratings) if rated else {},
            **dataclasses.asdict(settings),
        },
        modules=_MODULES,
    )
