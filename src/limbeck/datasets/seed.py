"""SEED: EEG of 15 people who watched 15 film clips, negative, neutral or positive, in each of three sessions.

Zheng & Lu, Investigating Critical Frequency Bands and Channels for EEG-based Emotion Recognition with Deep Neural
Networks, IEEE Trans. Autonomous Mental Development 7(3):162, 2015; on application at
https://bcmi.sjtu.edu.cn/home/seed/. The signals of ``Preprocessed_EEG`` are read; the published features in
``ExtractedFeatures`` through :func:`read_features`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from limbeck.datasets import Check, DatasetInfo, dataset, locate, matlab
from limbeck.datasets.files import chosen, is_inside, sources_inside, visible
from limbeck.datasets.numbers import shown
from limbeck.errors import DataError, ReadError, did_you_mean
from limbeck.recording import UNITS, Corpus, Event, LeftOut, Recording, Signal, Source

__all__ = ["BANDS", "CLASSES", "ELECTRODES", "LABELS", "looks_like", "read_features", "seed"]

ELECTRODES = (
    *("FP1", "FPZ", "FP2", "AF3", "AF4", "F7", "F5", "F3", "F1", "FZ", "F2", "F4", "F6", "F8", "FT7", "FC5", "FC3"),
    *("FC1", "FCZ", "FC2", "FC4", "FC6", "FT8", "T7", "C5", "C3", "C1", "CZ", "C2", "C4", "C6", "T8", "TP7", "CP5"),
    *("CP3", "CP1", "CPZ", "CP2", "CP4", "CP6", "TP8", "P7", "P5", "P3", "P1", "PZ", "P2", "P4", "P6", "P8", "PO7"),
    *("PO5", "PO3", "POZ", "PO4", "PO6", "PO8", "CB1", "O1", "OZ", "O2", "CB2"),
)
"""The 62 electrodes, in the order of the files (which do not name them)."""

BANDS = ("delta", "theta", "alpha", "beta", "gamma")
"""The bands along the last axis of the published features."""

CLASSES = {-1: "negative", 0: "neutral", 1: "positive"}
"""What the labels stand for; also the names of events."""

LABELS = (1, 0, -1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 0, 1, -1)
"""The label of each trial, the same for every subject and session, as published."""

EEG_UNITS = {"µV": 1.0, "mV": 1e3, "V": 1e6, "stored": 1.0}
_MODULES = ("limbeck.datasets.seed", "limbeck.datasets.matlab")
_SUBJECTS, _SESSIONS = 15, 3
_RATE = 200.0
_LARGEST_TRIAL = 512 * 2**20  # bytes: an hour and a half
_SPAN = (0.5, 5000.0)  # µV between which the EEG of a channel spans, most of the time
_FEATURES = ("de", "psd", "dasm", "rasm", "asm", "dcau")
_SMOOTHINGS = ("LDS", "movingAve")


@dataclass(frozen=True)
class SubjectFile:
    """A file of signals by its name, ``1_20131027.mat``; in old copies a name stands in the number's place."""

    number: int
    date: str
    path: Path
    name: str = ""

    @property
    def subject(self) -> str:
        """The subject as recordings call it."""
        return self.name or f"S{self.number:02d}"


# ---------------------------------------------------------------------------------------------------------------------
# Files, as SEED-IV has them, too
# ---------------------------------------------------------------------------------------------------------------------


def subject_files(folder: Path) -> tuple[list[SubjectFile], list[LeftOut]]:
    """Return a folder's files of signals by subject and date, and the MATLAB files of other names."""
    children = visible(folder)
    old = _of_old_copies(folder, children)
    if old:
        return old, []
    files: list[SubjectFile] = []
    stray: list[LeftOut] = []
    for child in children:
        match = re.fullmatch(r"(\d{1,3})_(\d{8})\.mat", child.name, re.IGNORECASE | re.ASCII)
        if match and child.is_file():
            files.append(SubjectFile(int(match[1]), match[2], child))
        elif child.suffix.lower() == ".mat" and child.name.lower() != "label.mat":
            what = "a folder" if child.is_dir() else "a file of another name"
            stray.append(LeftOut(str(child), f"found {what}; expected files such as 1_20131027.mat; it is not read"))
    return sorted(files, key=lambda file: (file.number, file.date)), stray


def _of_old_copies(folder: Path, children: Sequence[Path]) -> list[SubjectFile]:
    """Return the files that are called after people, ``dujc_20131027.mat``: only where nothing else is SEED's."""
    names = {child.name.lower() for child in children}
    if folder.name.lower() != "preprocessed_eeg" and "label.mat" not in names:
        return []
    if any(re.fullmatch(r"\d{1,3}_\d{8}\.mat", name, re.ASCII) for name in names):
        return []
    found = [
        SubjectFile(0, match[2], child, match[1])
        for child in children
        if (match := re.fullmatch(r"([A-Za-z]{2,40})_(\d{8})\.mat", child.name, re.ASCII)) and child.is_file()
    ]
    return sorted(found, key=lambda file: (file.name, file.date))


def holds_subjects(folder: Path) -> bool:
    """Tell whether files of signals (or of features: they have the same names) lie in a folder."""
    return folder.is_dir() and bool(subject_files(folder)[0])


def folders_below(root: Path, depth: int) -> Iterator[Path]:
    """Yield a folder and those in it, outer ones first, without following links out of it."""
    if not root.is_dir():
        return
    yield root
    if depth:
        for child in visible(root):
            if child.is_dir() and is_inside(child, root):
                yield from folders_below(child, depth - 1)


def spelling(name: str) -> str:
    """Return a subject's name for its number."""
    match = re.fullmatch(r"S?0*(\d{1,3})", name, re.IGNORECASE | re.ASCII)
    return f"S{int(match[1]):02d}" if match else name


def chosen_sessions(found: Sequence[str], wanted: Sequence[str | int] | None) -> list[str]:
    """Return those of the sessions that are wanted, in the order found; refuse what is not there."""
    if wanted is None:
        return list(found)
    names = [str(name) for name in ([wanted] if isinstance(wanted, str | int) else wanted)]
    missing = [name for name in names if name not in found]
    if missing:
        raise DataError(" ".join(f"There is no session {shown(name)} among {', '.join(found)}." for name in missing))
    return [session for session in found if session in names]


def missing_subjects(found: Collection[str], place: Path) -> list[LeftOut]:
    """Say which of the subjects 1 to 15 have no file."""
    if found and not any(re.fullmatch(r"S\d+", name) for name in found):  # an old copy's, who have names
        why = f"there are files of {len(found)} of the {_SUBJECTS} subjects"
        return [LeftOut(str(place), why)] if len(found) < _SUBJECTS else []
    missing = [name for name in (f"S{number:02d}" for number in range(1, _SUBJECTS + 1)) if name not in found]
    why = f"there is no file of {len(missing)} of the {_SUBJECTS} subjects: {', '.join(missing)}"
    return [LeftOut(str(place), why)] if missing else []


def trial_source(
    file: SubjectFile,
    session: str,
    trial: int,
    label: int,
    classes: Mapping[int, str],
    eeg: str,
    modules: tuple[str, ...] = _MODULES,
) -> Source:
    """Return the source of a trial, counted from 1."""
    return Source(
        subject=file.subject,
        session=session,
        trial=str(trial),
        read=partial(_read, file.path, file.subject, session, trial, label, classes[label], eeg),
        files=(file.path,),
        options={"label": label, "class": classes[label], "eeg": eeg},
        modules=modules,
    )


def trial_variables(file: Path) -> dict[int, str]:
    """Return the variables of a file's trials: ``djc_eeg1``, where what stands before differs between subjects."""
    try:
        status = file.stat()
    except OSError as error:
        raise ReadError(file, found=error.strerror or str(error), expected="a readable file") from error
    return _trial_variables(file, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _trial_variables(file: Path, *version: int) -> dict[int, str]:
    trials: dict[int, str] = {}
    for name in matlab.names(file):
        match = re.search(r"_eeg(\d{1,4})$", name, re.IGNORECASE | re.ASCII)
        if match and int(match[1]) in trials:
            found = f"'{trials[int(match[1])]}' and '{name}'"
            raise ReadError(file, where=f"trial {int(match[1])}", found=found, expected="one variable for a trial")
        if match:
            trials[int(match[1])] = name
    return dict(sorted(trials.items()))


def _read(file: Path, subject: str, session: str, trial: int, label: int, name: str, eeg: str) -> Recording:
    variables = trial_variables(file)
    if trial not in variables:
        found = f"the trials {', '.join(map(str, variables)) or 'none'}"
        raise ReadError(file, where=f"trial {trial}", found=found, expected=f"a variable ending in _eeg{trial}")
    variable = variables[trial]
    stored = matlab.load(file, [variable], limit=_LARGEST_TRIAL)[variable]
    data = matlab.samples(matlab.table(stored, file, f"'{variable}'", rows=len(ELECTRODES)), EEG_UNITS[eeg])
    bad = np.isnan(data)
    notes: list[LeftOut] = []
    if bad.all():
        raise ReadError(file, where=f"'{variable}'", found="no sample that is a number", expected="EEG")
    if bad.any():
        why = f"{int(bad.sum())} of {bad.size} samples are no numbers: missing"
        notes.append(LeftOut(f"{file}, trial {trial}", why))
    signal = Signal(data, _RATE, ELECTRODES, "a.u." if eeg == "stored" else UNITS["eeg"])
    notes += _doubts(data, eeg, file)
    return Recording(
        subject=subject,
        session=session,
        trial=str(trial),
        order=trial - 1,
        signals={"eeg": signal},
        ratings={"label": float(label)},
        events=(Event(name, 0.0, signal.end),),
        notes=tuple(notes),
    )


def _doubts(data: np.ndarray, unit: str, file: Path) -> list[LeftOut]:
    """Say where an EEG cannot be in the unit that it was taken to be in; in the same words for all trials of a file."""
    if unit == "stored":
        return []
    some = data[:, :: max(1, data.shape[1] // 2000)]
    some = some[np.isfinite(some).all(axis=1)]
    if not len(some):
        return []
    low, high = np.percentile(some, [5, 95], axis=1)
    span = float(np.median(high - low))
    if span == 0 or _SPAN[0] <= span <= _SPAN[1]:
        return []
    why = f"taken to be in {unit}, it spans {'less' if span < _SPAN[0] else 'more'} than EEG does in some trials; "
    return [LeftOut(f"{file}: EEG", why + "the option eeg says what it is, 'stored' that it is not known")]


def read_features(
    file: str | Path, kind: str = "de", *, smoothing: Literal["LDS", "movingAve"] = "LDS"
) -> dict[int, np.ndarray]:
    """Read published features of SEED (``ExtractedFeatures``) or SEED-IV (``eeg_feature_smooth``).

    Parameters
    ----------
    file : path-like
        A subject's file, ``1_20131027.mat``.
    kind : {"de", "psd", "dasm", "rasm", "asm", "dcau"}
        Differential entropy, power, and what is made of both sides of the head; SEED-IV has the first two.
    smoothing : {"LDS", "movingAve"}
        A linear dynamical system, or a moving average.

    Returns
    -------
    dict of int to ndarray of shape (n_electrodes, n_windows, 5), float64
        By trial, from 1, in the order of trials; windows of 1 s (SEED) or 4 s (SEED-IV), bands as :data:`BANDS`,
        electrodes as :data:`ELECTRODES` where there are 62.

    Raises
    ------
    DataError
        There is no such kind or smoothing.
    ReadError
        The file cannot be read, or has no such features.
    """
    file = Path(file)
    for name, value, allowed in (("kind", kind, _FEATURES), ("smoothing", smoothing, _SMOOTHINGS)):
        if value not in allowed:
            raise DataError(f"There is no {name} {shown(str(value))} of features.{did_you_mean(str(value), allowed)}")
    pattern = re.compile(rf"{kind}_{smoothing}(\d{{1,4}})", re.ASCII)
    trials = {int(match[1]): name for name in matlab.names(file) if (match := pattern.fullmatch(name))}
    if not trials:
        raise ReadError(file, found=f"no variable {kind}_{smoothing}1", expected="a file of published features")
    values = matlab.load(file, list(trials.values()))
    return {trial: _feature(values[name], file, name) for trial, name in sorted(trials.items())}


def _feature(value: Any, file: Path, name: str) -> np.ndarray:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu" or value.shape[2:] != (len(BANDS),):
        found = f"shape {value.shape}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
        expected = f"numbers of the shape (electrodes, windows, {len(BANDS)})"
        raise ReadError(file, where=f"'{name}'", found=found, expected=expected)
    return np.ascontiguousarray(value, dtype=np.float64)


def file_checks(sources: Sequence[Source], trials: int) -> Iterator[Check]:
    """Look at the variables of every file without reading samples."""
    wrong = []
    for file in dict.fromkeys(source.files[0] for source in sources):
        try:
            found = list(trial_variables(file))
        except ReadError as error:
            wrong.append(f"{file.name}: {error.found}")
            continue
        if found != list(range(1, trials + 1)):
            wrong.append(f"{file.name}: {', '.join(map(str, found))}")
    yield Check(f"every file has the trials 1 to {trials}", not wrong, "; ".join(wrong[:8]))


# ---------------------------------------------------------------------------------------------------------------------
# SEED
# ---------------------------------------------------------------------------------------------------------------------


def _home(root: Path) -> Path | None:
    """Return the folder of signals: files of features have the same names, and SEED-IV's are in numbered folders."""
    found = [folder for folder in folders_below(root, 2) if holds_subjects(folder)]
    named = [folder for folder in found if folder.name.lower() == "preprocessed_eeg"]
    other = [
        folder
        for folder in found
        if "feature" not in folder.name.lower() and not re.fullmatch(r"\d", folder.name, re.ASCII)
    ]
    return next(iter([*named, *other]), None)


def looks_like(path: Path) -> bool:
    """Tell whether a folder holds SEED's signals."""
    return path.is_dir() and _home(path) is not None


def _labels(home: Path, root: Path) -> tuple[tuple[int, ...], list[LeftOut]]:
    """Return the labels of the trials, those published where there is no file of them."""
    places = [home, home.parent] if home != root else [home]
    file = next((place / "label.mat" for place in places if (place / "label.mat").exists()), None)
    if file is None or not is_inside(file, root):
        return LABELS, [LeftOut(str(home / "label.mat"), "it is not there; the labels are those published")]
    try:
        stored = matlab.load(file, ["label"])["label"]
        if isinstance(stored, np.ndarray) and stored.shape == (len(LABELS), 1):
            stored = stored.T
        values = matlab.table(stored, file, "'label'", rows=1, columns=len(LABELS))
        labels = tuple(values[0].astype(float).tolist())
        if not set(labels) <= set(map(float, CLASSES)):
            raise ReadError(file, where="'label'", found=shown(str(labels)), expected="-1, 0 or 1 for each trial")
    except ReadError as error:
        return LABELS, [LeftOut(str(file), f"{error} The labels are those published.")]
    whole = tuple(map(int, labels))
    if whole == LABELS:
        return whole, []
    apart = [str(trial) for trial, (a, b) in enumerate(zip(whole, LABELS, strict=True), start=1) if a != b]
    return whole, [LeftOut(str(file), f"it differs from the published labels in trial {', '.join(apart)}; it is used")]


def _checks(root: Path, corpus: Corpus) -> Iterator[Check]:
    home = _home(root) or root
    files, _ = subject_files(home)
    subjects = {file.subject for file in files}
    counts = {subject: sum(file.subject == subject for file in files) for subject in sorted(subjects)}
    odd = [f"{subject}: {count}" for subject, count in counts.items() if count != _SESSIONS]
    yield Check(f"every subject has {_SESSIONS} sessions", not odd, ", ".join(odd))
    labels, notes = _labels(home, root)
    if notes and labels == LABELS:
        yield Check("label.mat holds the published labels", None, notes[0].why)
    else:
        yield Check("label.mat holds the published labels", labels == LABELS, notes[0].why if notes else "")
    yield from file_checks(corpus.sources, len(LABELS))


@dataset(
    "seed",
    info=DatasetInfo(
        title="SEED: EEG through negative, neutral and positive film clips, in three sessions",
        modalities=("eeg",),
        subjects=_SUBJECTS,
        names=tuple(f"S{number:02d}" for number in range(1, 16)),
        licence="on application, academic research only",
        citation="Zheng & Lu, Investigating Critical Frequency Bands and Channels for EEG-based Emotion Recognition "
        "with Deep Neural Networks, IEEE Trans. Autonomous Mental Development 7(3):162-175, 2015",
        url="https://bcmi.sjtu.edu.cn/home/seed/",
        access="gated",
        checked="format-faithful files only; never tried on the real corpus",
        obtain="Send the application form of the BCMI laboratory; take Preprocessed_EEG (with label.mat).",
        uncertain=(
            "the unit of the EEG: taken as µV, and said where it cannot be; option eeg",
            "files do not name electrodes: rows are taken in the published order",
        ),
    ),
    checks=_checks,
)
def seed(
    root: Path | None,
    *,
    subjects: Sequence[str | int] | None = None,
    sessions: Sequence[str | int] | None = None,
    eeg: Literal["µV", "mV", "V", "stored"] = "µV",
) -> Corpus:
    """SEED: 15 recordings per session, one per film clip, each with an event over all of it that names its class.

    The one modality is `eeg` (62 electrodes, 200 Hz). The event is ``negative``, ``neutral`` or ``positive``, and the
    rating ``label`` -1, 0 or 1. A recording's trial is the clip, ``"1"`` to ``"15"``, in the order in which everyone
    saw them in every session: the clock alone tells the class (let no model see it), and a clip that is in training
    with another session is known in test. Sessions are counted by their dates, from ``"1"``.

    Reading a recording unpacks its own trial only. The features that come with SEED are no signals: `read_features`
    in this module reads them. Eye movements are not read.

    Parameters
    ----------
    root : Path, optional
        The folder with ``Preprocessed_EEG``, or that folder.
    subjects : sequence of str or int, optional
        Only these: ``S07``, ``7``. In an old copy, whose files are called after people (``dujc_20131027.mat``),
        subjects have these names.
    sessions : sequence of str or int, optional
        Only these: 1, 2, 3.
    eeg : {"µV", "mV", "V", "stored"}
        The unit that the EEG is taken to be in. ``stored`` keeps the numbers, as ``a.u.``.

    Returns
    -------
    Corpus

    Raises
    ------
    DataError
        `root` does not exist, an option is wrong, or a subject or session asked for is not there.
    ReadError
        There is no file of signals in `root`.
    """
    if eeg not in EEG_UNITS:
        raise DataError(f"seed: there is no eeg {shown(str(eeg))}.{did_you_mean(str(eeg), EEG_UNITS)}")
    root = locate("seed", root)
    home = _home(root)
    if home is None:
        raise ReadError(root, found="no file such as 1_20131027.mat", expected="the folder Preprocessed_EEG of SEED")
    files, left_out = subject_files(home)
    by_subject: dict[str, list[SubjectFile]] = {}
    for file in files:
        by_subject.setdefault(file.subject, []).append(file)
    if subjects is None:
        left_out += missing_subjects(by_subject, home)
    labels, notes = _labels(home, root)
    left_out += notes
    wanted = chosen_sessions(_numbers(by_subject), sessions)
    found: list[tuple[Path, Callable[[], Source]]] = []
    for subject in chosen(by_subject, subjects, spelling):
        own = by_subject[subject]
        if len(own) != _SESSIONS:
            names = ", ".join(file.path.name for file in own)
            why = f"{subject} has {len(own)} of {_SESSIONS} sessions ({names}), counted by date among those there"
            left_out.append(LeftOut(f"{home}: {subject}", why))
        found += [
            (file.path, partial(trial_source, file, str(session), trial, label, CLASSES, eeg))
            for session, file in enumerate(own, start=1)
            if str(session) in wanted
            for trial, label in enumerate(labels, start=1)
        ]
    sources, outside = sources_inside(root, found)
    return Corpus("seed", sources, [*left_out, *outside])


def _numbers(by_subject: Mapping[str, Sequence[SubjectFile]]) -> list[str]:
    """Return the sessions that some subject has."""
    return [str(number) for number in range(1, max(map(len, by_subject.values()), default=0) + 1)]
