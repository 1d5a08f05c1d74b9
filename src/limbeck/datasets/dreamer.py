"""DREAMER: EEG and ECG of 23 people who watched 18 film clips and rated them, recorded with low-cost devices.

Katsigiannis & Ramzan, DREAMER: A Database for Emotion Recognition Through EEG and ECG Signals From Wireless Low-cost
Off-the-Shelf Devices, IEEE J. Biomedical and Health Informatics 22(1):98, 2018; on request at
https://zenodo.org/records/546113. Everything is one struct in one file, ``DREAMER.mat``, of about 2 GB when unpacked:
it is gone through once for where each participant begins, and of these one at a time is held.

The release as ``DREAMER_Data.json`` is not read.
"""

from __future__ import annotations

import logging
import math
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from limbeck.datasets import Check, DatasetInfo, dataset, locate, matlab
from limbeck.datasets.files import chosen, find_folder, inside, visible
from limbeck.datasets.numbers import shown
from limbeck.errors import DataError, ReadError, did_you_mean
from limbeck.recording import UNITS, Corpus, Event, LeftOut, Recording, Signal, Source

__all__ = ["ELECTRODES", "dreamer", "looks_like"]

logger = logging.getLogger(__name__)

ELECTRODES = ("AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4")
"""The electrodes of the Emotiv EPOC, in its order."""

_MODULES = tuple(f"limbeck.datasets.{name}" for name in ("dreamer", "matlab"))
_VARIABLE = "DREAMER"
_SUBJECTS, _FILMS = 23, 18
_MOST_FILMS = 1000
_RATES = {"eeg": 128.0, "ecg": 256.0}
_LEADS = ("ECG1", "ECG2")
_SCORES = {"valence": "ScoreValence", "arousal": "ScoreArousal", "dominance": "ScoreDominance"}
_BASELINE = 61.0  # s
# By unit, what makes it mV; "stored" keeps the numbers in arbitrary units.
ECG_UNITS = {"mV": 1.0, "µV": 1e-3, "V": 1e3, "stored": 1.0}
_LARGEST_BEAT = 20.0  # mV: that much between common samples is no heart's
_SLACK = 1.0  # s by which EEG and ECG of a film may differ in length
_LARGEST_PARTICIPANT = 512 * 2**20


@dataclass(frozen=True)
class _Frame:
    """What holds for all participants of a file, and how it is to be taken."""

    eeg_rate: float
    ecg_rate: float
    electrodes: tuple[str, ...]
    baseline: str
    ecg: str


# ---------------------------------------------------------------------------------------------------------------------
# The file
# ---------------------------------------------------------------------------------------------------------------------


def _file_in(folder: Path) -> Path | None:
    return next((child for child in visible(folder) if child.name.lower() == "dreamer.mat" and child.is_file()), None)


def _find(root: Path) -> Path:
    if root.is_file():
        return root
    home = find_folder(root, lambda folder: _file_in(folder) is not None)
    file = _file_in(home) if home else None
    if file is None:
        other = any(child.name.lower() == "dreamer_data.json" for child in visible(root))
        raise ReadError(
            root,
            found="DREAMER_Data.json only" if other else "no DREAMER.mat",
            expected="the file DREAMER.mat of the release for MATLAB",
            advice="The release as JSON is not read." if other else "",
        )
    return inside(file, root)


def looks_like(path: Path) -> bool:
    """Tell whether a path is DREAMER's file, or a folder with it."""
    try:
        if path.is_file():
            return path.suffix.lower() == ".mat" and _VARIABLE in matlab.names(path)
        return find_folder(path, lambda folder: _file_in(folder) is not None) is not None
    except ReadError:
        return False


def _participants(file: Path) -> tuple[matlab.Part, tuple[matlab.Part, ...]]:
    """Return the outline of the struct, and of each participant."""
    outline = matlab.outline(file, _VARIABLE, depth=2)
    data = outline.fields.get("Data")
    if data is None or data.kind != "cell" or not data.cells:
        fields = ", ".join(outline.fields) or f"a {outline.kind} of shape {outline.shape}"
        found = fields if data is None else f"Data as a {data.kind} of shape {data.shape}"
        raise ReadError(
            file, where=f"'{_VARIABLE}'", found=found, expected="a struct with Data, a cell per participant"
        )
    return outline, data.cells


_held: dict[tuple[str, int, int, int], Mapping[str, Any]] = {}
_holding = threading.Lock()


def _participant(file: Path, number: int) -> Mapping[str, Any]:
    """Return what the file holds of a participant, counted from 1; held until another one is asked for."""
    try:
        status = file.stat()
    except OSError as error:
        raise ReadError(file, found=error.strerror or str(error), expected="a readable file") from error
    key = (str(file), status.st_mtime_ns, status.st_size, number)
    with _holding:
        if key not in _held:
            _held.clear()  # before the next one is read, so that there are never two
            _, parts = _participants(file)
            if number > len(parts):
                found = f"{len(parts)} participants"
                raise ReadError(file, where=f"participant {number}", found=found, expected=f"at least {number}")
            value = matlab.load_part(parts[number - 1], limit=_LARGEST_PARTICIPANT)
            if not isinstance(value, Mapping):
                found = f"a {type(value).__name__}"
                raise ReadError(file, where=f"participant {number}", found=found, expected="a struct")
            _held[key] = value
        return _held[key]


def _film(participant: Mapping[str, Any], sensor: str, part: str, film: int, columns: int, file: Path) -> np.ndarray:
    """Return the samples of a film (or of the baseline before it), shape (n_times, columns)."""
    where = f"{sensor}.{part}, film {film}"
    struct = participant.get(sensor)
    cells = struct.get(part) if isinstance(struct, Mapping) else None
    if not isinstance(cells, np.ndarray) or cells.dtype != object:
        raise ReadError(file, where=where, found="no cells of that name", expected="a cell per film")
    if film > cells.size:
        raise ReadError(file, where=where, found=f"{cells.size} cells", expected=f"at least {film}")
    return matlab.table(cells.ravel(order="F")[film - 1], file, where, columns=columns)


# ---------------------------------------------------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------------------------------------------------


def _read(file: Path, subject: str, number: int, film: int, frame: _Frame) -> Recording:
    participant = _participant(file, number)
    place = f"{file}, participant {number}, film {film}"
    notes: list[LeftOut] = []
    films: dict[str, np.ndarray] = {}
    before: dict[str, np.ndarray] = {}
    for modality, columns in (("eeg", len(frame.electrodes)), ("ecg", len(_LEADS))):
        sensor = modality.upper()
        try:
            films[modality] = _film(participant, sensor, "stimuli", film, columns, file)
            if frame.baseline == "event":
                before[modality] = _film(participant, sensor, "baseline", film, columns, file)
        except ReadError as error:
            what = "" if modality in films else f"{sensor} is not used: "
            notes.append(LeftOut(place, f"{what}{error.where}: found {error.found}; expected {error.expected}"))
    if not films:
        raise ReadError(file, where=f"participant {number}, film {film}", found="neither EEG nor ECG",
                        expected="samples of the film")  # fmt: skip
    rates = {"eeg": frame.eeg_rate, "ecg": frame.ecg_rate}
    onset = max((len(samples) / rates[modality] for modality, samples in before.items()), default=0.0)
    signals = {}
    for modality, samples in films.items():
        first = before.get(modality, samples[:0])
        names = frame.electrodes if modality == "eeg" else _LEADS
        unit = UNITS[modality] if modality == "eeg" or frame.ecg != "stored" else "a.u."
        scale = ECG_UNITS[frame.ecg] if modality == "ecg" else 1.0
        data = matlab.samples(np.concatenate([first, samples]).T, scale)
        bad = np.isnan(data)
        if bad[:, len(first) :].all():
            notes.append(LeftOut(f"{place}: {modality.upper()}", "no sample of the film is a number; it is not used"))
            continue
        if bad.any():
            why = f"{int(bad.sum())} of {bad.size} samples are no numbers: missing"
            notes.append(LeftOut(f"{place}: {modality.upper()}", why))
        if modality == "ecg":
            notes += ecg_doubts(data, frame.ecg, file)
        signals[modality] = Signal(data, rates[modality], names, unit, start=onset - len(first) / rates[modality])
    if not signals:
        raise ReadError(file, where=f"participant {number}, film {film}", found="no sample that is a number",
                        expected="samples of the film")  # fmt: skip
    ends = [signal.end for signal in signals.values()]
    if max(ends) - min(ends) > _SLACK:
        notes.append(LeftOut(place, f"EEG and ECG end {max(ends) - min(ends):.1f} s apart; nothing is moved or cut"))
    ratings, more = _ratings(participant, film, place)
    events = [Event("baseline", 0.0, onset)] if onset else []
    return Recording(
        subject=subject,
        trial=str(film),
        order=film - 1,
        signals=signals,
        ratings=ratings,
        events=(*events, Event("film", onset, max(ends))),
        notes=(*notes, *more),
    )


def ecg_doubts(data: np.ndarray, unit: str, file: Path) -> list[LeftOut]:
    """Say where an ECG, shape (n_leads, n_times) in mV, cannot be in the unit that it was taken to be in.

    What is said holds no numbers of the recording, so that it is said once for a file.
    """
    if unit == "stored" or not np.isfinite(data).any():
        return []
    leads = data[np.isfinite(data).any(axis=1)]
    low, high = np.nanpercentile(leads, [5, 95], axis=1)
    if float((high - low).max()) <= _LARGEST_BEAT:
        return []
    why = f"taken to be in {unit}, it spans more than {_LARGEST_BEAT:g} mV in some recordings, which no heart does; "
    return [LeftOut(f"{file}: ECG", why + "the option ecg says what it is, 'stored' that it is not known")]


def _ratings(participant: Mapping[str, Any], film: int, place: str) -> tuple[dict[str, float], list[LeftOut]]:
    ratings: dict[str, float] = {}
    notes = []
    for name, key in _SCORES.items():
        values = participant.get(key)
        value = math.nan
        if isinstance(values, np.ndarray) and values.dtype.kind in "fiu" and values.size >= film:
            value = float(values.ravel(order="F")[film - 1])
        if 1 <= value <= 5:
            ratings[name] = value
        else:
            found = "no number" if math.isnan(value) else f"{value:g}"
            notes.append(LeftOut(f"{place}: {key}", f"found {found}; expected 1 to 5; this rating is not used"))
    return ratings, notes


# ---------------------------------------------------------------------------------------------------------------------
# Listing
# ---------------------------------------------------------------------------------------------------------------------


def _number(outline: matlab.Part, name: str, default: float, notes: list[LeftOut]) -> float:
    """Return a number that holds for the whole file."""
    part = outline.fields.get(name)
    if part is None:
        notes.append(LeftOut(f"{outline.path}: {name}", f"it is not there; taken to be {default:g}, as published"))
        return default
    value = float(matlab.table(matlab.load_part(part), outline.path, name, rows=1, columns=1)[0, 0])
    if not 1 <= value <= 100_000:
        raise ReadError(outline.path, where=name, found=f"{value:g}", expected=f"a number such as {default:g}")
    return value


def _electrodes(outline: matlab.Part, notes: list[LeftOut]) -> tuple[str, ...]:
    part = outline.fields.get("EEG_Electrodes")
    value = matlab.load_part(part) if part else None
    names = value.ravel(order="F").tolist() if isinstance(value, np.ndarray) else value
    if isinstance(names, list) and names and all(isinstance(name, str) and name.strip() for name in names):
        electrodes = tuple(name.strip() for name in names)
        if len(set(electrodes)) == len(electrodes):
            return electrodes
    why = f"found {'names that are not told apart' if part else 'nothing'}; taken to be {' '.join(ELECTRODES)}"
    logger.warning("%s: EEG_Electrodes: %s", outline.path, why)
    notes.append(LeftOut(f"{outline.path}: EEG_Electrodes", why))
    return ELECTRODES


def _spelling(name: str) -> str:
    match = re.fullmatch(r"[SsPp]?0*(\d{1,3})", name)
    return _subject(int(match[1])) if match else name


def _subject(number: int) -> str:
    return f"S{number:02d}"


def _checks(root: Path, corpus: Corpus) -> Iterator[Check]:
    file = _find(root)
    outline, parts = _participants(file)
    notes: list[LeftOut] = []
    stated = _number(outline, "noOfSubjects", _SUBJECTS, notes)
    yield Check("there are as many participants as noOfSubjects says", len(parts) == stated,
                f"{len(parts)} cells, noOfSubjects {stated:g}")  # fmt: skip
    films = _number(outline, "noOfVideoSequences", _FILMS, notes)
    yield Check(f"there are {_FILMS} films", films == _FILMS, f"noOfVideoSequences {films:g}")
    rates = {name: _number(outline, f"{name.upper()}_SamplingRate", rate, notes) for name, rate in _RATES.items()}
    yield Check("EEG has 128 Hz and ECG 256 Hz", rates == _RATES, str(rates))
    found = _electrodes(outline, notes)
    yield Check("the electrodes are those of the Emotiv EPOC", found == ELECTRODES, " ".join(found))
    for item in notes:
        yield Check("the file says what holds for all participants", None, f"{item.what}: {item.why}")
    yield from _trial_checks(file, parts, int(films), rates, len(found))


def _trial_checks(
    file: Path, parts: Sequence[matlab.Part], films: int, rates: Mapping[str, float], electrodes: int
) -> Iterator[Check]:
    """Look at every participant, one at a time."""
    odd: dict[str, list[str]] = {"baseline": [], "lengths": [], "scores": []}
    for number in range(1, len(parts) + 1):
        for film in range(1, films + 1):
            place = f"participant {number}, film {film}"
            try:
                participant = _participant(file, number)
                lengths = {
                    (sensor, part): len(_film(participant, sensor.upper(), part, film, columns, file)) / rates[sensor]
                    for sensor, columns in (("eeg", electrodes), ("ecg", len(_LEADS)))
                    for part in ("baseline", "stimuli")
                }
            except ReadError as error:
                odd["lengths"].append(f"{place}: {error.where} {error.found}")
                continue
            if any(abs(lengths[sensor, "baseline"] - _BASELINE) > _SLACK for sensor in rates):
                odd["baseline"].append(f"{place}: {lengths['eeg', 'baseline']:g} s")
            if abs(lengths["eeg", "stimuli"] - lengths["ecg", "stimuli"]) > _SLACK:
                odd["lengths"].append(place)
            ratings, _ = _ratings(participant, film, place)
            if len(ratings) < len(_SCORES) or any(value != round(value) for value in ratings.values()):
                odd["scores"].append(place)
    for name, what in (
        ("baseline", f"every baseline lasts {_BASELINE:g} s"),
        ("lengths", "EEG and ECG of every film are there and equally long"),
        ("scores", "every score is a whole number from 1 to 5"),
    ):
        more = f" and {len(odd[name]) - 1} more" if len(odd[name]) > 1 else ""
        yield Check(what, not odd[name], f"{odd[name][0]}{more}" if odd[name] else "")


@dataset(
    "dreamer",
    info=DatasetInfo(
        title="DREAMER: EEG and ECG from low-cost devices of people who watched and rated film clips",
        modalities=("ecg", "eeg"),
        subjects=_SUBJECTS,
        names=tuple(f"S{number:02d}" for number in range(1, _SUBJECTS + 1)),
        each=_FILMS,
        licence="on request, academic research only",
        citation="Katsigiannis & Ramzan, DREAMER: A Database for Emotion Recognition Through EEG and ECG Signals From "
        "Wireless Low-cost Off-the-Shelf Devices, IEEE J. Biomedical and Health Informatics 22(1):98-107, 2018",
        url="https://zenodo.org/records/546113",
        access="gated",
        checked="format-faithful files only; never tried on the real corpus",
        obtain="Request access at the Zenodo record with an academic address; take DREAMER.mat (about 450 MB).",
        uncertain=(
            "the unit of the ECG: taken as mV, and said where it cannot be; option ecg",
            "the EEG is taken as µV with the amplifier's offset (some 4000 µV) left in: steps remove it",
            "how long passed between baseline and film: they are put end to end; option baseline",
            "the order of presentation: films are in the order of the file for everyone",
        ),
    ),
    checks=_checks,
)
def dreamer(
    root: Path | None,
    *,
    subjects: Sequence[str | int] | None = None,
    baseline: Literal["event", "omit"] = "event",
    ecg: Literal["mV", "µV", "V", "stored"] = "mV",
) -> Corpus:
    """DREAMER: 18 recordings per subject, one per film, with the events ``baseline`` (61 s) and ``film`` (65 to 393 s).

    Modalities: `eeg` (the 14 electrodes of the Emotiv EPOC, 128 Hz) and `ecg` (2 leads, 256 Hz). Ratings: valence,
    arousal and dominance, whole numbers from 1 to 5. A recording's trial is the film, ``"1"`` to ``"18"``; its order is
    the place in the file, as the file does not say in which order films were shown. Many studies use the last 60 s.

    The baseline is an array of its own in the file and is put before the film: between the events, signals break, and
    no filter before the cut should be trusted there (``baseline: omit`` has none). The EEG is as recorded, with the
    amplifier's offset of some thousands of µV: take the mean out of it, or filter, in the study's steps.

    Listing goes through the whole file once (2 GB unpacked, some seconds, little memory). One participant (about
    90 MB, three times that while it is read) is held while its films are read; sources sorted by subject read fastest.

    Parameters
    ----------
    root : Path, optional
        ``DREAMER.mat``, or the folder that it lies in.
    subjects : sequence of str or int, optional
        Only these: ``S07``, ``7``; in the order of the file, from 1.
    baseline : {"event", "omit"}
        Whether the baseline stands before the film, as an event.
    ecg : {"mV", "µV", "V", "stored"}
        The unit that the ECG is taken to be in. ``stored`` keeps the numbers, as ``a.u.``.

    Returns
    -------
    Corpus

    Raises
    ------
    DataError
        `root` does not exist, an option is wrong, or a subject asked for is not there.
    ReadError
        There is no DREAMER.mat, or it is damaged.
    """
    for name, value, allowed in (("baseline", baseline, ("event", "omit")), ("ecg", ecg, tuple(ECG_UNITS))):
        if value not in allowed:
            raise DataError(f"dreamer: there is no {name} {shown(str(value))}.{did_you_mean(str(value), allowed)}")
    file = _find(locate("dreamer", root))
    outline, parts = _participants(file)
    notes: list[LeftOut] = []
    films = int(_number(outline, "noOfVideoSequences", _FILMS, notes))
    if films > _MOST_FILMS:
        raise ReadError(file, where="noOfVideoSequences", found=f"{films}", expected=f"{_FILMS}")
    frame = _Frame(
        eeg_rate=_number(outline, "EEG_SamplingRate", _RATES["eeg"], notes),
        ecg_rate=_number(outline, "ECG_SamplingRate", _RATES["ecg"], notes),
        electrodes=_electrodes(outline, notes),
        baseline=baseline,
        ecg=ecg,
    )
    numbers = {_subject(number): number for number in range(1, len(parts) + 1)}
    sources = tuple(
        _source(file, subject, numbers[subject], film, frame)
        for subject in chosen(numbers, subjects, _spelling)
        for film in range(1, films + 1)
    )
    return Corpus("dreamer", sources, notes)


def _source(file: Path, subject: str, number: int, film: int, frame: _Frame) -> Source:
    return Source(
        subject=subject,
        trial=str(film),
        read=partial(_read, file, subject, number, film, frame),
        files=(file,),
        options={"participant": number, "film": film, **asdict(frame)},
        modules=_MODULES,
    )
