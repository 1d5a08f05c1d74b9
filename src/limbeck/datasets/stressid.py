"""StressID: eleven tasks from breathing to public speaking, with ECG, skin conductance and respiration.

Chaptoukaev et al., StressID: a Multimodal Dataset for Stress Identification, NeurIPS 2023 (Datasets and Benchmarks). As
published: ``Physiological/2ea4/2ea4_Stroop.txt`` per subject and task, comma-separated with the header ``ECG,EDA,RR``
and no times, at 500 Hz; ``labels.csv`` with a row per subject and task; ``self_assessments.csv`` with one per subject.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from limbeck.datasets import Check, DatasetInfo, dataset, locate
from limbeck.datasets.columns import as_float32, header_of, read_columns
from limbeck.datasets.edf import to_unit
from limbeck.datasets.files import chosen, find_folder, inside, is_inside, read_bytes, sources_inside, visible
from limbeck.datasets.numbers import shown
from limbeck.datasets.tables import read_rows
from limbeck.errors import DataError, ReadError, did_you_mean
from limbeck.recording import UNITS, Corpus, Event, LeftOut, Recording, Signal, Source

__all__ = ["TASKS", "looks_like", "read_assessments", "read_labels", "stressid"]

TASKS = (
    *("Baseline", "Breathing", "Video1", "Video2", "Counting1", "Counting2"),
    *("Stroop", "Speaking", "Math", "Reading", "Counting3", "Relax"),
)
"""What everyone did, in the order of the protocol; of ``Baseline``, which has no label, it is not known for certain."""

_SUBJECTS = 65
_RATE = 500.0
_COLUMNS = {"ecg": ("ecg", "ECG"), "eda": ("eda", "EDA"), "rr": ("resp", "RR")}
_UNUSABLE = {("r5s8", "Counting3"): ("eda",)}
"""What the authors say is not to be used."""

_SUFFIXES = (".txt", ".csv")  # in the order of preference
_FILE = re.compile(r"([A-Za-z0-9]{2,12})_([A-Za-z]+[0-9]?)")
_SCALES = ("relax", "stress", "valence", "arousal")
_LABELS = {"binary-stress": ("binary_stress", (0, 1)), "affect3-class": ("affect3", (0, 1, 2))}
_LARGEST_ECG, _LARGEST_EDA = 30.0, 150.0  # mV and µS that a median of absolute values cannot reach
_MODULES = (*(f"limbeck.datasets.{name}" for name in ("stressid", "columns", "edf", "files")), "pandas")

Ratings = dict[tuple[str, str], dict[str, float]]
"""By subject and task."""


# ---------------------------------------------------------------------------------------------------------------------
# Labels
# ---------------------------------------------------------------------------------------------------------------------


def _number(cell: str) -> float:
    """Return a cell's number, NaN where it is empty or says so.

    Raises
    ------
    ValueError
        It is anything else.
    """
    plain = cell.strip().replace(",", ".")
    if plain.lower() in ("", "nan", "na", "n/a"):
        return math.nan
    if not re.fullmatch(r"[-+]?\d{1,9}(\.\d{0,20})?", plain):
        raise ValueError(cell)
    return float(plain)


def read_labels(file: Path) -> tuple[Ratings, list[LeftOut]]:
    """Read ``labels.csv``.

    Parameters
    ----------
    file : Path
        With the columns ``subject/task`` (``2ea4_Stroop``), ``binary-stress`` (0, 1) and ``affect3-class`` (0 relaxed,
        1 between, 2 stressed); a row without a label is passed over.

    Returns
    -------
    ratings : dict
        ``binary_stress`` and ``affect3`` by subject and task; empty for a row without a label.
    left_out : list of LeftOut
        Rows that are not used: what is none of these labels, and labels that contradict those of an earlier row.

    Raises
    ------
    ReadError
        The file cannot be read or lacks a column.
    """
    ratings: Ratings = {}
    left_out: list[LeftOut] = []
    for number, row in read_rows(file, needed=("subject/task", "binary-stress")):
        match = _FILE.fullmatch(row["subject/task"])
        try:
            values = {key: _number(row[key]) for key in _LABELS if key in row}
        except ValueError as error:
            values, match = {}, None
            left_out.append(LeftOut(f"{file}, row {number}", f"found {shown(str(error))}; expected a label"))
        wrong = [key for key, value in values.items() if not math.isnan(value) and value not in _LABELS[key][1]]
        if wrong:
            allowed = ", ".join(map(str, _LABELS[wrong[0]][1]))
            why = f"found {wrong[0]} {values[wrong[0]]:g}; expected one of {allowed}; not used"
            left_out.append(LeftOut(f"{file}, row {number}", why))
        elif match is None and values:
            why = f"found {shown(row['subject/task'])}; expected subject and task, such as 2ea4_Stroop"
            left_out.append(LeftOut(f"{file}, row {number}", why))
        elif match is not None:
            found = {_LABELS[key][0]: value for key, value in values.items() if not math.isnan(value)}
            key = (match[1].lower(), match[2].lower())
            if not ratings.get(key):
                ratings[key] = found
            elif found and ratings[key] != found:
                why = f"contradicts an earlier row of {row['subject/task']}, which is used"
                left_out.append(LeftOut(f"{file}, row {number}", why))
    return ratings, left_out


def read_assessments(file: Path) -> tuple[Ratings, list[LeftOut]]:
    """Read ``self_assessments.csv``.

    Parameters
    ----------
    file : Path
        Separated by semicolons: the subject, and columns such as ``Stroop_stress`` for each task and each of
        ``relax``, ``stress``, ``valence`` and ``arousal``. Blank cells are passed over.

    Returns
    -------
    ratings : dict
        By subject and task, the scales that were answered; as they stand (from 0 to 10, so far as is known).
    left_out : list of LeftOut
        Cells that are not used: no number, or not from 0 to 10; and second rows of a subject.

    Raises
    ------
    ReadError
        The file cannot be read or is not that table.
    """
    try:
        text = read_bytes(file, limit=2**24).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReadError(file, found=str(error), expected="text in UTF-8", advice="Save it again as UTF-8.") from error
    first, *lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    separator = ";" if ";" in first else ","
    header = [cell.strip().strip('"').lower() for cell in first.split(separator)]
    places = {
        (match[1], match[2]): place
        for place, name in enumerate(header)
        if (match := re.fullmatch(rf"([a-z]+[0-9]?)_({'|'.join(_SCALES)})", name))
    }
    if not places:
        expected = "columns such as Stroop_stress, separated by semicolons"
        raise ReadError(file, where="row 1", found=shown(first), expected=expected)
    ratings: Ratings = {}
    left_out: list[LeftOut] = []
    seen: set[str] = set()
    for number, line in enumerate(lines, start=2):
        try:
            cells = [cell.strip() for row in csv.reader([line], delimiter=separator) for cell in row]
        except csv.Error as error:
            left_out.append(LeftOut(f"{file}, row {number}", f"found {error}; expected a row of answers; not used"))
            continue
        if not any(cells):
            continue
        subject = cells[0].lower()
        if subject in seen:
            left_out.append(LeftOut(f"{file}, row {number}", f"a second row of {shown(cells[0])}; the first is used"))
            continue
        seen.add(subject)
        for (task, scale), place in places.items():
            cell = cells[place] if place < len(cells) else ""
            try:
                value = _number(cell)
            except ValueError:
                value = math.inf
            if math.isnan(value):
                continue
            if 0 <= value <= 10:
                ratings.setdefault((subject, task), {})[scale] = value
            else:
                why = f"found {shown(cell)}; expected a number from 0 to 10; not used"
                left_out.append(LeftOut(f"{file}, row {number}, {task}_{scale}", why))
    return ratings, left_out


def _beside(home: Path, root: Path, name: str) -> Path | None:
    """Return the table of that name in the corpus' folder, or in the folder of recordings, whatever its case."""
    places = [home, *(child for child in visible(home) if child.is_dir() and child.name.lower() == "physiological")]
    if home.name.lower() == "physiological" and home != root:
        places.append(home.parent)
    files = (child for place in places if is_inside(place, root) for child in visible(place))
    return next((file for file in files if file.name.lower() == name and file.is_file()), None)


def _tables(home: Path, root: Path) -> tuple[Ratings, Ratings, list[LeftOut]]:
    """Return the labels and the answers of the tables that there are; a broken one costs what it says, and no more."""
    found: list[Ratings] = []
    left_out: list[LeftOut] = []
    for name, read in (("labels.csv", read_labels), ("self_assessments.csv", read_assessments)):
        file = _beside(home, root, name)
        ratings: Ratings = {}
        if file is None:
            left_out.append(LeftOut(f"{home}: {name}", "no such file; recordings are used without what it says"))
        else:
            try:
                ratings, wrong = read(inside(file, root))
                left_out += wrong
            except ReadError as error:
                left_out.append(LeftOut(str(file), f"{error} Recordings are used without what it says."))
        found.append(ratings)
    return found[0], found[1], left_out


# ---------------------------------------------------------------------------------------------------------------------
# Recordings
# ---------------------------------------------------------------------------------------------------------------------


def _read(
    file: Path,
    root: Path,
    subject: str,
    task: str,
    order: int,
    ratings: Mapping[str, float],
    units: Mapping[str, str],
) -> Recording:
    inside(file, root)
    found = read_columns(file, _COLUMNS).numbers
    if not found:
        names = shown(", ".join(header_of(file)))
        raise ReadError(file, where="row 1", found=f"the columns {names}", expected="ECG, EDA and RR")
    signals: dict[str, Signal] = {}
    notes: list[LeftOut] = []
    for column, (modality, name) in _COLUMNS.items():
        what = f"{file}: {name}"
        if column not in found:
            notes.append(LeftOut(what, f"there is no column {name}; {modality} is not used here"))
        elif modality in _UNUSABLE.get((subject, task), ()):
            notes.append(LeftOut(what, f"unusable in {subject}_{task}, as the authors say; not used"))
        else:
            signal = _signal(found[column], modality, name, units.get(modality, ""), what, notes)
            if signal is not None:
                signals[modality] = signal
    if not signals:
        raise ReadError(file, found="no samples that can be used", expected="samples of ECG, EDA or RR")
    end = max(signal.end for signal in signals.values())
    events = [Event(task, 0.0, end)]
    if "binary_stress" in ratings:
        events.append(Event("stressed" if ratings["binary_stress"] else "not_stressed", 0.0, end))
    return Recording(
        subject,
        signals,
        trial=task,
        order=order,
        ratings=dict(ratings),
        events=tuple(events),
        notes=tuple(notes),
    )


def _signal(column: np.ndarray, modality: str, name: str, unit: str, what: str, notes: list[LeftOut]) -> Signal | None:
    """Return one column in Limbeck's unit, None where it has no samples; what is doubtful goes to the notes."""
    with np.errstate(over="ignore", invalid="ignore"):
        converted = to_unit(column, modality, unit)
    data, wild = as_float32(column if converted is None else converted)
    if wild:
        notes.append(LeftOut(what, f"{wild} samples are infinite or too large; taken as missing"))
    known = np.isfinite(data)
    if not known.any():
        notes.append(LeftOut(what, "all samples are missing"))
        return None
    if not known.all():
        notes.append(LeftOut(what, f"{int((~known).sum())} samples are missing"))
    largest = {"ecg": _LARGEST_ECG, "eda": _LARGEST_EDA}.get(modality, math.inf)
    typical = float(np.median(np.abs(data[known])))
    if typical > largest:
        why = f"typically {typical:.4g} {UNITS[modality]} if the file is in {unit}; {modality}_unit says another unit"
        notes.append(LeftOut(what, why))
    return Signal(data[np.newaxis], _RATE, (name,), UNITS[modality])


def _task_of(name: str, tasks: Sequence[str]) -> str | None:
    return next((task for task in tasks if task.lower() == name.lower()), None)


def _tables_of(folder: Path) -> Iterator[Path]:
    """Yield the files in a subject's folder that may be recordings; it may hold another of the same name."""
    nested = [child for child in visible(folder) if child.is_dir() and child.name == folder.name]
    for place in (folder, *(child for child in nested if is_inside(child, folder))):
        yield from (file for file in visible(place) if file.suffix.lower() in _SUFFIXES)


def _recording_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the task and file of each recording of a subject."""
    for file in _tables_of(folder):
        match = _FILE.fullmatch(file.stem)
        if match and match[1].lower() == folder.name.lower():
            yield match[2], file


def _subject_folders(place: Path, root: Path) -> dict[str, Path]:
    """Return the folders of subjects that hold recordings, and those behind links that lead out of the root."""
    folders = [c for c in visible(place) if c.is_dir() and re.fullmatch(r"[A-Za-z0-9]{2,12}", c.name)]
    return {
        folder.name.lower(): folder
        for folder in folders
        if not is_inside(folder, root) or any(_task_of(task, TASKS) for task, _ in _recording_files(folder))
    }


def _physiological(home: Path) -> Path | None:
    """Return the folder of recordings in the corpus' folder: ``Physiological``, or that folder itself."""
    named = [child for child in visible(home) if child.is_dir() and child.name.lower() == "physiological"]
    for place in (*named, *([home] if home.name.lower() == "physiological" else [])):
        nested = find_folder(place, lambda folder: bool(_subject_folders(folder, home)))
        if nested is not None:
            return nested
    return None


def _home(path: Path) -> Path | None:
    return find_folder(path, lambda folder: _physiological(folder) is not None)


def looks_like(path: Path) -> bool:
    """Tell whether a folder is laid out as StressID is published."""
    return _home(path) is not None


def checks(root: Path, corpus: Corpus) -> Iterator[Check]:
    """Look whether there are the published subjects, a label per labelled task, and labels that fit the answers."""
    there = len(corpus.subjects)
    yield Check(f"there are at most {_SUBJECTS} subjects", 0 < there <= _SUBJECTS, f"{there} subjects")
    yield Check(f"signals are at {_RATE:g} Hz", None, "the files have no times")
    labelled = [source for source in corpus.sources if source.trial != "Baseline"]
    ratings = {f"{source.subject}_{source.trial}": source.options["ratings"] for source in labelled}
    if not any("binary_stress" in own for own in ratings.values()):
        yield Check("labels.csv has every recording", None, "no labels were read")
        return
    home = _home(root)
    rows = set() if home is None else set(_tables(home, root)[0])  # of these some have no label, as published
    bare = [f"{s.subject}_{s.trial}" for s in labelled if (s.subject, s.trial.lower()) not in rows]
    blank = [name for name, own in ratings.items() if "binary_stress" not in own and name not in bare]
    yield Check("labels.csv has every recording", not bare, _some(bare))
    yield Check("every row of labels.csv has a label", None if blank else True, _some(blank))
    answered = {name: own for name, own in ratings.items() if {"stress", "binary_stress"} <= set(own)}
    what = "a recording is labelled as stressed where the answer to stress is 5 or more"
    if not answered:
        yield Check(what, None, "no answers in self_assessments.csv")
    else:
        off = [name for name, own in answered.items() if (own["stress"] >= 5) != bool(own["binary_stress"])]
        yield Check(what, not off, _some(off))
    three = {name: own for name, own in ratings.items() if {"affect3", "binary_stress"} <= set(own)}
    if three:
        off = [name for name, own in three.items() if own["affect3"] == 2 and not own["binary_stress"]]
        # a clear difference between stress and relaxation makes the third class below 5, too, but rarely
        found = _some(off)
        yield Check("class 2 of affect3 is labelled as stressed nearly always", len(off) <= 0.1 * len(three), found)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


@dataset(
    "stressid",
    info=DatasetInfo(
        title="StressID: stress tasks and rest, with ECG, skin conductance and respiration",
        modalities=("ecg", "eda", "resp"),
        subjects=_SUBJECTS,
        licence="EULA, academic research only",
        citation="Chaptoukaev et al., StressID: a Multimodal Dataset for Stress Identification, NeurIPS 2023",
        url="https://project.inria.fr/stressid/",
        access="gated",
        checked="format-faithful files only; never tried on the real corpus",
        obtain="Sign the agreement on its page; take the physiological signals, labels.csv and self_assessments.csv.",
        uncertain=(
            "the units of ECG and EDA: options ecg_unit and eda_unit",
            "in which order the tasks were recorded, and where Baseline stood: option tasks",
            "the scale of the self-assessments, taken as 0 to 10: answers outside are listed and not used",
            "how many subjects have which modality, and whether files are .txt or .csv: both are read",
        ),
    ),
    checks=checks,
)
def stressid(
    root: Path | None,
    *,
    subjects: Sequence[str] | None = None,
    tasks: Sequence[str] | None = None,
    ecg_unit: str = "mV",
    eda_unit: str = "µS",
) -> Corpus:
    """StressID: a recording per subject and task, with `ecg` (mV), `eda` (µS) and `resp` (a.u.) at 500 Hz.

    A recording's trial is its task, and it has an event of that name from its start to its end. Ratings:
    ``binary_stress`` (1 for stressed) and ``affect3`` (0 relaxed, 1 between, 2 stressed) of ``labels.csv``, where they
    are there, and what the subject answered from 0 to 10: ``stress``, ``relax``, ``valence``, ``arousal``. Where
    ``binary_stress`` is there, a second event over the whole recording is ``stressed`` or ``not_stressed``, so that
    the classes can be had from events as well. All subjects are taken to have followed one protocol, so the place of
    a recording gives most of its label away: let no model see time.

    Parameters
    ----------
    root : Path, optional
        The folder with ``Physiological``, ``labels.csv`` and ``self_assessments.csv``; by default in the folder of
        data sets.
    subjects : sequence of str, optional
        Only these: ``2ea4``.
    tasks : sequence of str, optional
        Only these, and in the order in which they were recorded; by default :data:`TASKS`.
    ecg_unit, eda_unit : str
        The unit that the files are taken to hold, such as ``µV`` or ``kOhm``.

    Returns
    -------
    Corpus

    Raises
    ------
    DataError
        `root` does not exist, a subject asked for is not there, or an option has a value that there is not.
    ReadError
        `root` is not laid out as published.
    """
    wanted = _wanted(tasks)
    units = {"ecg": ecg_unit, "eda": eda_unit}
    for modality, unit in units.items():
        if not isinstance(unit, str) or to_unit(np.ones(1), modality, unit) is None:
            raise DataError(f"stressid: {modality}_unit '{unit}' is no unit that can become {UNITS[modality]}.")
    root = locate("stressid", root)
    home = _home(root)
    place = None if home is None else _physiological(home)
    if home is None or place is None:
        expected = "the StressID folder as published"
        raise ReadError(root, found="no Physiological/2ea4/2ea4_Stroop.txt or the like", expected=expected)
    labels, answers, left_out = _tables(home, root)
    folders = _subject_folders(place, root)
    found: list[tuple[Path, Callable[[], Source]]] = []
    for subject in chosen(sorted(folders), subjects, str.lower):
        folder = folders[subject]
        if not is_inside(folder, root):
            found.append((folder, partial(_unreachable, folder)))
            continue
        files, doubled = _by_task(folder)
        left_out += doubled
        for order, task in enumerate(wanted):
            if task in files:
                key = (subject, task.lower())
                ratings = {**labels.get(key, {}), **answers.get(key, {})}
                found.append((files[task], partial(_source, files[task], root, subject, task, order, ratings, units)))
    sources, outside = sources_inside(root, found)
    if subjects is None:
        left_out += _without_recording(labels, sources, wanted)
    return Corpus("stressid", sources, [*left_out, *outside])


def _wanted(tasks: Sequence[str] | None) -> tuple[str, ...]:
    """Return the tasks asked for, as they are spelled."""
    if tasks is None:
        return TASKS
    names = [tasks] if isinstance(tasks, str) else list(map(str, tasks))
    unknown = [name for name in names if _task_of(name, TASKS) is None]
    if unknown:
        raise DataError(" ".join(f"stressid: there is no task '{n}'.{did_you_mean(n, TASKS)}" for n in unknown))
    return tuple(dict.fromkeys(task for name in names if (task := _task_of(name, TASKS)) is not None))


def _unreachable(folder: Path) -> Source:
    """Refuse what lies behind a link that leads out of the root, and so is never made into a source."""
    raise ReadError(folder, found="a link that leads out of the data set's folder", expected="a folder in it")


def _by_task(folder: Path) -> tuple[dict[str, Path], list[LeftOut]]:
    """Return a subject's file of each task, and the files that are none or stand twice."""
    files: dict[str, Path] = {}
    left_out: list[LeftOut] = []
    by_preference = sorted(_recording_files(folder), key=lambda item: _SUFFIXES.index(item[1].suffix.lower()))
    for name, file in by_preference:
        task = _task_of(name, TASKS)
        if task is None:
            left_out.append(LeftOut(str(file), f"'{name}' is no task of the protocol; not read"))
        elif task in files:
            left_out.append(LeftOut(str(file), f"a second file of {task}; {files[task].name} is read"))
        else:
            files[task] = file
    named = {file for _, file in by_preference}
    why = f"not called as a recording of {folder.name}, such as {folder.name}_Stroop.txt; not read"
    left_out += [LeftOut(str(file), why) for file in _tables_of(folder) if file not in named]
    return files, left_out


def _without_recording(labels: Ratings, sources: Sequence[Source], wanted: Sequence[str]) -> list[LeftOut]:
    """List the labels whose recording is not there, in one entry per subject."""
    there = {(source.subject, source.trial.lower()) for source in sources}
    known = [task.lower() for task in wanted]
    missing: dict[str, list[str]] = {}
    for subject, task in sorted(set(labels) - there):
        if task in known:
            missing.setdefault(subject, []).append(_task_of(task, wanted) or task)
    return [LeftOut(f"labels.csv: {subject}", f"no recording of {', '.join(t)}") for subject, t in missing.items()]


def _source(
    file: Path,
    root: Path,
    subject: str,
    task: str,
    order: int,
    ratings: Mapping[str, float],
    units: Mapping[str, str],
) -> Source:
    return Source(
        subject=subject,
        trial=task,
        read=partial(_read, file, root, subject, task, order, dict(ratings), dict(units)),
        files=(file,),
        options={"order": order, "ratings": dict(ratings), "units": dict(units)},
        modules=_MODULES,
    )
