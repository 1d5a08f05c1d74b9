"""EEGMAT: EEG and ECG at rest and in mental arithmetic (Zyma et al., Data 4(1):14, 2019).

As published at https://physionet.org/content/eegmat/1.0.0/: ``SubjectNN_1.edf`` is the rest before, ``SubjectNN_2.edf``
the serial subtraction; ``subject-info.csv`` has age, subtractions and how well they were done.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from limbeck.datasets import Check, DatasetInfo, dataset, locate
from limbeck.datasets.edf import read_header, read_recording
from limbeck.datasets.files import chosen, find_folder, is_inside, sources_inside, visible
from limbeck.datasets.inspecting import spans
from limbeck.datasets.numbers import shown
from limbeck.datasets.tables import read_rows
from limbeck.datasets.validating import outcome
from limbeck.errors import ReadError
from limbeck.recording import Corpus, Event, LeftOut, Recording, Source

__all__ = ["SITES", "eegmat", "looks_like"]

SITES = (
    *("Fp1", "Fp2", "F3", "F4", "F7", "F8", "T3", "T4", "C3", "C4"),
    *("T5", "T6", "P3", "P4", "O1", "O2", "Fz", "Cz", "Pz"),
)
"""The electrodes, in the order in which they are read; the difference of the ears that is also recorded is not used."""

_MODULES = ("limbeck.datasets.eegmat", "limbeck.datasets.edf", "limbeck.datasets.files")
_CHANNELS = {"eeg": SITES, "ecg": ("ECG",)}
_TRIALS = ("rest", "task")
_RATE = 500.0
_LABELS = (*(f"EEG {site}" for site in SITES), "EEG A2-A1", "ECG ECG")
_BELIEVABLE = {"rest": (60, 200), "task": (55, 70)}  # seconds; one subject's rest has 80 s, most have 182
_RATINGS = {"age": "Age", "subtractions": "Number of subtractions", "quality": "Count quality"}


def _parts(name: str) -> tuple[str, int] | None:
    """Return (subject, 0 for rest or 1 for task) of a file's name."""
    match = re.fullmatch(r"subject(\d+)_([12])\.edf", name, re.IGNORECASE)
    return (f"Subject{match[1]}", int(match[2]) - 1) if match else None


def _holds_recordings(folder: Path) -> bool:
    return any(_parts(child.name) is not None for child in visible(folder))


def looks_like(path: Path) -> bool:
    """Tell whether a folder is laid out as EEGMAT is published."""
    return find_folder(path, _holds_recordings) is not None


def _spelling(name: str) -> str:
    match = re.fullmatch(r"(?:subject)?(\d+)", name, re.IGNORECASE)
    return f"Subject{int(match[1]):02d}" if match else name


def _read(file: Path, subject: str, order: int, ratings: dict[str, float]) -> Recording:
    trial = _TRIALS[order]
    whole = Event(trial, 0.0, read_header(file).seconds)
    return read_recording(
        file, subject=subject, trial=trial, order=order, ratings=ratings, events=(whole,), select=_CHANNELS
    )


def _read_ratings(file: Path) -> tuple[dict[str, dict[str, float]], list[LeftOut]]:
    """Read the table of subjects; a field that is not a number is named and the others are used."""
    try:
        rows = read_rows(file, needed=("subject",))
    except ReadError as error:
        return {}, [LeftOut(str(file), f"{error} The recordings are used without its ratings.")]
    ratings: dict[str, dict[str, float]] = {}
    left_out: list[LeftOut] = []
    for number, row in rows:
        own = ratings.setdefault(_spelling(row["subject"]), {})
        for name, column in _RATINGS.items():
            cell = row.get(column.lower(), "")
            try:
                value = float(cell or "nan")
            except ValueError:
                left_out.append(LeftOut(f"{file}, row {number}, {column}", f"found {shown(cell)}; expected a number"))
                continue
            if math.isfinite(value):
                own[name] = value
    return ratings, left_out


# ---------------------------------------------------------------------------------------------------------------------
# Checks
# ---------------------------------------------------------------------------------------------------------------------


def _checks(root: Path, corpus: Corpus) -> Iterator[Check]:
    """Check pairs, headers and the table of subjects."""
    trials: dict[str, set[str]] = {}
    for source in corpus.sources:
        trials.setdefault(source.subject, set()).add(source.trial)
    single = [subject for subject, own in trials.items() if own != set(_TRIALS)]
    yield outcome("every subject has a rest and a task", single, len(trials), of="subjects")
    other_rate, other_channels, odd_length, read = [], [], [], 0
    for source in corpus.sources:
        file = source.files[0]
        try:
            header = read_header(file)
        except ReadError:
            continue  # that it cannot be read is told already
        read += 1
        rates = {channel.rate for channel in header.channels}
        if rates != {_RATE}:
            other_rate.append(f"{file.name} has {', '.join(f'{rate:g}' for rate in sorted(rates))} Hz")
        if [channel.label for channel in header.channels] != list(_LABELS):
            other_channels.append(file.name)
        low, high = _BELIEVABLE[source.trial]
        if not low <= header.seconds <= high:
            odd_length.append(f"{file.name} lasts {header.seconds:g} s")
    yield outcome(f"all channels are at {_RATE:g} Hz", other_rate, read, of="files")
    yield outcome("the 21 channels are in the published order", other_channels, read, of="files")
    yield outcome("a rest lasts 60 to 200 s, a task 55 to 70 s", odd_length, read, of="files")
    blank = sorted({source.subject for source in corpus.sources if not source.options["ratings"]})
    rated = len(trials) if len(blank) < len(trials) else 0
    what = "subject-info.csv has every subject"
    check = outcome(what, blank, rated, of="subjects", missing="there is no readable subject-info.csv")
    found = f"nothing of {spans(blank)}: the table was cut, or is not the published one" if blank else check.found
    yield Check(what, check.passed, found if rated else check.found)


@dataset(
    "eegmat",
    info=DatasetInfo(
        title="EEGMAT: EEG and ECG at rest and in mental arithmetic",
        modalities=("eeg", "ecg"),
        subjects=36,
        names=tuple(f"Subject{number:02d}" for number in range(36)),
        licence="ODC-By 1.0",
        citation="Zyma et al., Electroencephalograms during Mental Arithmetic Task Performance, Data 4(1):14, 2019",
        url="https://physionet.org/content/eegmat/1.0.0/",
        access="open",
        checked="the real files of subjects 00 to 21",
        obtain="`limbeck datasets fetch eegmat` downloads it from PhysioNet.",
    ),
    checks=_checks,
)
def eegmat(root: Path | None, *, subjects: Sequence[str | int] | None = None) -> Corpus:
    """EEGMAT: 19-channel EEG (µV) and ECG (mV) at 500 Hz, with the event ``rest`` or ``task`` over each recording.

    Two recordings per subject: about 182 s of rest (order 0), then 62 s of serial subtraction (order 1). Rest always
    comes first, so let no model see time or order. Linked-ears reference, 0.5-45 Hz, cleaned by the authors. Ratings,
    where ``subject-info.csv`` is there: age in years, subtractions in the task, quality (1 good, 0 bad counters).

    Parameters
    ----------
    root : Path, optional
        The folder with the EDF files; by default where it is fetched to.
    subjects : sequence of str or int, optional
        Only these: ``Subject07``, ``7``.

    Returns
    -------
    Corpus

    Raises
    ------
    DataError
        `root` does not exist, or a subject asked for is not there.
    ReadError
        `root` is not laid out as published.
    """
    root = locate("eegmat", root)
    folder = find_folder(root, _holds_recordings)
    if folder is None:
        raise ReadError(root, found="no Subject00_1.edf, ...", expected="the EEGMAT folder as published")
    files: dict[str, dict[int, Path]] = {}
    for child in visible(folder):
        parts = _parts(child.name)
        if parts is not None:
            files.setdefault(parts[0], {})[parts[1]] = child
    table = folder / "subject-info.csv"
    ratings, left_out = _read_ratings(table) if is_inside(table, root) and table.exists() else ({}, [])
    found: list[tuple[Path, Callable[[], Source]]] = []
    for subject in chosen(sorted(files), subjects, _spelling):
        for order, trial in enumerate(_TRIALS):
            file = files[subject].get(order, folder / f"{subject}_{order + 1}.edf")
            if order not in files[subject]:
                left_out.append(LeftOut(str(file), f"there is no such file: {subject} is used without its {trial}"))
            else:
                found.append((file, partial(_source, file, subject, order, ratings.get(subject, {}))))
    sources, outside = sources_inside(root, found)
    return Corpus("eegmat", sources, [*left_out, *outside])


def _source(file: Path, subject: str, order: int, ratings: dict[str, float]) -> Source:
    return Source(
        subject=subject,
        trial=_TRIALS[order],
        read=partial(_read, file, subject, order, ratings),
        files=(file,),
        options={"order": order, "ratings": ratings},
        modules=_MODULES,
    )
