"""Stress-Predict: an E4 wristband through three stress tasks, with rest around them.

Iqbal et al., Stress Monitoring Using Wearable Sensors: A Pilot Study and Stress-Predict Dataset, Sensors 22:8135, 2022.
As published at https://github.com/italha-d/Stress-Predict-Dataset: ``Raw_data/SNN/`` holds E4 files and
``Processed_data/Improved_All_Combined_hr_rsp_binary.csv`` the label of every second (1 in the tasks). Where that table
has a participant, its runs of 1 are the tasks; else the first six button presses are their starts and ends, in order.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from limbeck.datasets import Check, DatasetInfo, dataset, locate
from limbeck.datasets.e4 import MODULES, Session, early_ends, load_session, session_files, trimmed
from limbeck.datasets.files import chosen, find_folder, is_inside, read_bytes, sources_inside, visible
from limbeck.datasets.inspecting import spans
from limbeck.datasets.numbers import HUGE_EXPONENT
from limbeck.datasets.validating import named, outcome
from limbeck.errors import ReadError
from limbeck.recording import Corpus, Event, LeftOut, Recording, Source

__all__ = ["TASKS", "looks_like", "read_labels", "stress_predict", "task_intervals"]

TASKS = ("stroop", "interview", "hyperventilation")
"""The stress tasks in the order in which everyone did them."""

_LABELS = Path("Processed_data") / "Improved_All_Combined_hr_rsp_binary.csv"
_COLUMNS = ("Participant", "Time(sec)", "Label")
_HALF_DAY = 43_200.0  # some tags are written on a 12-hour clock
_SLACK = 60.0  # seconds by which a tag may lie outside the session and still belong to it
_SUBJECTS = 35
_COMPARED = 25  # subjects up to which the presses were compared with the labels when this was written
_DISAGREE = (6, 17, 18)  # those among them whose presses are known to be off
_AGREEMENT = 2.0  # seconds between tags and labels; the corpus agrees within one

# Shortest and longest task in seconds that is believed of button presses: wide around what the corpus holds (Stroop
# 257-434, interview 468-682, hyperventilation 89-153), narrow enough to notice that a press is missing or one too many.
_BELIEVABLE = {"stroop": (120, 600), "interview": (360, 1200), "hyperventilation": (45, 240)}

# Sessions whose presses do not follow the rule, by unix start: S01 (not in the table of labels) and S06 (no presses in
# Stroop), in seconds from the session's start.
_KNOWN = {
    1_644_226_061: ((79.0, 374.0), (1031.0, 1596.0), (1930.0, 2072.0)),
    1_644_831_900: ((600.0, 960.0), (1320.0, 1980.0), (2280.0, 2400.0)),
}

Interval = tuple[float, float]


def _raw_folder(root: Path) -> Path | None:
    """Return the folder of subjects: ``Raw_data`` in the root or in the one folder that an archive unpacked into."""
    if not root.is_dir():
        return None
    if root.name.lower() == "raw_data":
        return root
    home = find_folder(root, lambda folder: (folder / "Raw_data").is_dir())
    return None if home is None else home / "Raw_data"


def looks_like(path: Path) -> bool:
    """Tell whether a folder is laid out as Stress-Predict is published."""
    raw = _raw_folder(path)
    return raw is not None and any(_number(child.name) is not None for child in visible(raw))


def _number(name: str) -> int | None:
    match = re.fullmatch(r"[Ss]?0*(\d{1,4})", name)
    return int(match[1]) if match else None


def _spelling(name: str) -> str:
    number = _number(name)
    return name if number is None else f"S{number:02d}"


def read_labels(file: Path) -> tuple[dict[int, list[Interval]], list[LeftOut]]:
    """Read when each participant was in a task.

    Parameters
    ----------
    file : Path
        The table of labels, with the columns Participant, Time(sec) (unix) and Label (0 or 1) at 1 Hz.

    Returns
    -------
    intervals : dict of int to list of (start, end)
        Unix times in s per participant of every run of label 1.
    left_out : list of LeftOut
        Participants whose rows cannot be trusted, with the row.

    Raises
    ------
    ReadError
        The file is missing, or is not that table.
    """
    import pandas as pd

    columns = ", ".join(_COLUMNS)
    content = read_bytes(file)
    if not content.strip():
        raise ReadError(file, found="an empty file", expected=f"a table with the columns {columns}")
    try:
        table = pd.read_csv(io.BytesIO(content), encoding="utf-8-sig", dtype=str, skip_blank_lines=False)
    except (ValueError, UnicodeDecodeError) as error:  # pandas' ParserError is a ValueError
        raise ReadError(file, found=str(error).strip(), expected=f"a table with the columns {columns}") from error
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes the surplus of the first row for row names
        found = f"more fields in row 2 than the {len(table.columns)} columns of row 1"
        raise ReadError(file, where="row 2", found=found, expected="a field per column")
    table.columns = table.columns.str.strip()
    missing = [column for column in _COLUMNS if column not in table.columns]
    if missing:
        raise ReadError(file, where="row 1", found=f"the columns {list(table.columns)[:8]}", expected=f"{columns}")
    # the parser of pandas crashes on exponents far outside those of a float
    cells = table[list(_COLUMNS)].replace(rf".*{HUGE_EXPONENT.pattern.decode()}.*", np.nan, regex=True)
    numbers = cells.apply(pd.to_numeric, errors="coerce")
    values = numbers.to_numpy(dtype=np.float64)
    bad = ~np.isfinite(values).all(axis=1) | ~np.isin(values[:, 2], (0, 1))
    participants = numbers["Participant"].ffill().bfill().to_numpy()
    left_out = []
    for participant in np.unique(participants[bad & np.isfinite(participants)]):
        row = int(np.flatnonzero(bad & (participants == participant))[0])
        found = ", ".join(f"{column}={str(table[column].iloc[row])[:40]}" for column in _COLUMNS)
        why = f"found {found}; expected numbers and a label of 0 or 1; labels of participant {participant:g} not used"
        left_out.append(LeftOut(f"{file}, row {row + 2}", why))
    trusted = np.isfinite(participants) & ~np.isin(participants, participants[bad])
    runs = {
        int(participant): _runs(values[participants == participant]) for participant in np.unique(participants[trusted])
    }
    return runs, left_out


def _runs(rows: np.ndarray) -> list[Interval]:
    """Return unix start and end of every run of label 1 in rows of (participant, time, label)."""
    rows = rows[np.argsort(rows[:, 1], kind="stable")]
    stress = np.concatenate([[0], rows[:, 2], [0]]).astype(int)
    starts, ends = np.flatnonzero(np.diff(stress) == 1), np.flatnonzero(np.diff(stress) == -1)
    return [(float(rows[a, 1]), float(rows[b - 1, 1]) + 1.0) for a, b in zip(starts, ends, strict=True)]


def _into_session(times: np.ndarray, end: float) -> np.ndarray:
    """Move times that are half a day early, in seconds from the session's start, to where they belong."""
    later = times + _HALF_DAY
    early = (times < -_SLACK) & (later >= -_SLACK) & (later <= end + _SLACK)
    return np.where(early, later, times)


def task_intervals(
    session: Session, labels: Sequence[Interval] | None, name: str
) -> tuple[tuple[Interval, ...], list[LeftOut]]:
    """Return when the three tasks were, from labels where they serve, else from the button presses.

    Parameters
    ----------
    session : Session
        With the tags.
    labels : sequence of (start, end), optional
        Unix times of the runs of label 1; None where the table of labels lacks the participant.
    name : str
        Whose session it is, for messages.

    Returns
    -------
    intervals : tuple of (start, end)
        Of Stroop, interview and hyperventilation, in seconds from the session's start.
    notes : list of LeftOut
        Where labels and button presses disagree, or labels could not be used.

    Raises
    ------
    ReadError
        Neither labels nor tags say when the tasks were.
    """
    notes: list[LeftOut] = []
    tags = _into_session(session.tags, session.end)
    if labels is not None:
        runs = _into_session(np.array(labels, dtype=np.float64).reshape(-1, 2) - session.start, session.end)
        if len(runs) == len(TASKS) and (runs[:, 0] >= -_SLACK).all() and (runs[:, 0] < session.end).all():
            notes += _disagreement(runs, tags, name)
            return _pairs(runs), notes
        spans = ", ".join(f"{start:.0f}-{end:.0f} s" for start, end in runs) or "none"
        why = f"found runs of label 1 at {spans}; expected three inside the session; the button presses are used"
        notes.append(LeftOut(f"{name}: processed labels", why))
    known = _KNOWN.get(round(session.start))
    if known is not None:
        return known, notes
    return _from_tags(tags, name), notes


def _pairs(intervals: np.ndarray) -> tuple[Interval, ...]:
    return tuple((float(start), float(end)) for start, end in intervals)


def _disagreement(runs: np.ndarray, tags: np.ndarray, name: str) -> list[LeftOut]:
    """Compare the labels' transitions with the first six presses."""
    transitions = runs.ravel()
    if len(tags) == 0:
        return []
    compared = min(len(tags), len(transitions))
    off = np.flatnonzero(np.abs(tags[:compared] - transitions[:compared]) > _AGREEMENT)
    if len(off) == 0 and compared == len(transitions):
        return []
    which = ", ".join(f"press {i + 1} at {tags[i]:.0f} s (labels: {transitions[i]:.0f} s)" for i in off)
    why = which or f"{len(tags)} button presses where there should be six or more"
    return [LeftOut(f"{name}: button presses", f"{why}; they disagree with the labels, which are used")]


def _from_tags(tags: np.ndarray, name: str) -> tuple[Interval, ...]:
    """Return the task intervals from the first six presses, if these can be what they should be."""
    expected = "six button presses: start and end of Stroop, interview and hyperventilation"
    advice = "Give the table of labels (Processed_data), or leave this subject out."
    if len(tags) < 2 * len(TASKS):
        raise ReadError(name, where="tags", found=f"{len(tags)} button presses", expected=expected, advice=advice)
    intervals = tags[: 2 * len(TASKS)].reshape(-1, 2)
    for task, (start, end) in zip(TASKS, intervals, strict=True):
        shortest, longest = _BELIEVABLE[task]
        if not shortest <= end - start <= longest:
            raise ReadError(
                name,
                where="tags",
                found=f"{task} from {start:.0f} to {end:.0f} s by the button presses",
                expected=f"{expected}; {task} lasts {shortest} to {longest} s",
                advice=advice,
            )
    if (np.diff(intervals.ravel()) <= 0).any():
        found = "button presses at " + ", ".join(f"{tag:.0f}" for tag in intervals.ravel()) + " s"
        raise ReadError(name, where="tags", found=found, expected=f"{expected}, one after the other", advice=advice)
    return _pairs(intervals)


def _schedule(intervals: Sequence[Interval], end: float) -> list[Event]:
    """Return the tasks with a ``rest`` before, between and after them."""
    events: list[Event] = []
    free = 0.0
    for task, (start, stop) in zip(TASKS, intervals, strict=True):
        events += [Event("rest", free, start), Event(task, start, stop)]
        free = stop
    return [*events, Event("rest", free, end)]


def _read_subject(folder: Path, root: Path, subject: str, labels: Sequence[Interval] | None, trim: float) -> Recording:
    session = load_session(folder, root=root)
    intervals, notes = task_intervals(session, labels, str(folder))
    early = early_ends(session.signals)  # named in the session's notes; these shorten nothing else
    shortest = min(signal.end for modality, signal in session.signals.items() if modality not in early)
    schedule = _schedule(intervals, shortest)
    end = shortest - trim
    cut_short = [event for event in schedule if event.name != "rest" and event.end > end]
    if cut_short:
        what = ", ".join(f"{event.name} until {event.end:.0f} s" for event in cut_short)
        notes.append(LeftOut(f"{folder}: tasks", f"{what}, but the samples used end at {end:.0f} s; cut there"))
    return trimmed(session, folder, trim, end=shortest, subject=subject, events=schedule, notes=notes)


# ---------------------------------------------------------------------------------------------------------------------
# Checks
# ---------------------------------------------------------------------------------------------------------------------


def _checks(root: Path, corpus: Corpus) -> Iterator[Check]:
    """Check the table of labels, the tasks and the button presses; every recording is read once more for its events."""
    numbers = {subject: _number(subject) or 0 for subject in corpus.subjects}
    strangers = [subject for subject, number in numbers.items() if not 1 <= number <= _SUBJECTS]
    yield outcome(f"subjects are S01 to S{_SUBJECTS}", strangers, len(numbers), of="subjects")
    labelled = [numbers[source.subject] for source in corpus.sources if source.options["labels"] is not None]
    last = max(labelled, default=0)  # the table may have been cut to those who are there
    unlabelled = [s for s, number in numbers.items() if number not in (1, *labelled) and number < last]
    what = "the table of labels has every subject but S01, up to the last one in it"
    missing = "there is no readable Processed_data with any of them"
    yield outcome(what, unlabelled, sum(number <= last for number in numbers.values()), of="subjects", missing=missing)
    behind = [subject for subject, number in numbers.items() if number > last]
    if labelled and behind:
        found = f"it ends with S{last:02d}, and recordings of {spans(behind)} are there: was it cut?"
        yield Check("the table of labels goes on to the last subject who is there", None, found, incomplete=True)
    odd, apart, others, compared, read = [], [], [], 0, 0
    for source in corpus.sources:
        try:
            recording = source.read()
        except ReadError:
            continue  # that it cannot be read is told already
        read += 1
        lengths = {event.name: event.end - event.start for event in recording.events}
        odd += [
            f"{source.subject}: {task} lasts {lengths.get(task, 0):.0f} s"
            for task, (low, high) in _BELIEVABLE.items()
            if not low <= lengths.get(task, 0) <= high
        ]
        compared += source.options["labels"] is not None
        notes = [f"{source.subject}: {n.why}" for n in recording.notes if n.what.endswith("button presses")]
        if numbers[source.subject] > _COMPARED:
            others += notes
        elif numbers[source.subject] not in _DISAGREE:
            apart += notes
    yield outcome("tasks last as long as is believed of each", odd, read, of="subjects")
    told = ", ".join(f"S{number:02d}" for number in _DISAGREE)
    what = f"button presses agree with the labels within {_AGREEMENT:g} s (but for {told}, as published)"
    check = outcome(what, apart, compared, of="subjects", missing=missing)
    if others:  # as published, for all that is known: the labels are used
        found = f"{check.found}; {len(others)} behind S{_COMPARED} do not, which is not judged: {named(others)}"
        check = Check(what, check.passed, found)
    yield check


@dataset(
    "stress-predict",
    info=DatasetInfo(
        title="Stress-Predict: wristband through Stroop, interview and hyperventilation, with rest between",
        modalities=("acc", "bvp", "eda", "temp"),
        subjects=35,
        names=tuple(f"S{number:02d}" for number in range(1, _SUBJECTS + 1)),
        licence="MIT",
        citation="Iqbal et al., Stress Monitoring Using Wearable Sensors, Sensors 22(21):8135, 2022",
        url="https://github.com/italha-d/Stress-Predict-Dataset",
        access="open",
        checked="the real files of subjects S01 to S25",
        obtain="`limbeck datasets fetch stress-predict` downloads it from GitHub.",
    ),
    checks=_checks,
)
def stress_predict(
    root: Path | None,
    *,
    subjects: Sequence[str | int] | None = None,
    trim: float = 30.0,
) -> Corpus:
    """Stress-Predict: E4 wristband signals with events ``rest``, ``stroop``, ``interview`` and ``hyperventilation``.

    One recording per subject with `acc` (32 Hz), `bvp` (64 Hz), `eda` and `temp` (4 Hz), cut to the shortest sensor,
    and the device's own heart rate and beat intervals as traces ``hr`` and ``ibi``. Everyone follows one schedule: time
    alone reaches a balanced accuracy of 0.885, so let no model see time.

    Parameters
    ----------
    root : Path, optional
        The folder with ``Raw_data`` and ``Processed_data``; by default where it is fetched to.
    subjects : sequence of str or int, optional
        Only these: ``S07``, ``7``.
    trim : float
        Seconds left out at both ends of each session; the first EDA sample is always 0.

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
    root = locate("stress-predict", root)
    raw = _raw_folder(root)
    folders = {} if raw is None else {_spelling(c.name): c for c in visible(raw) if _number(c.name) is not None}
    if raw is None or not folders:
        raise ReadError(root, found="no Raw_data/S01, S02, ...", expected="the Stress-Predict folder as published")
    labels, left_out = _labels_beside(raw, root)
    found = [
        (folders[subject], partial(_source, folders[subject], root, subject, labels.get(_number(subject) or 0), trim))
        for subject in chosen(sorted(folders), subjects, _spelling)
    ]
    sources, outside = sources_inside(root, found)
    return Corpus("stress-predict", sources, [*left_out, *outside])


def _source(folder: Path, root: Path, subject: str, labels: Sequence[Interval] | None, trim: float) -> Source:
    return Source(
        subject=subject,
        read=partial(_read_subject, folder, root, subject, labels, trim),
        files=session_files(folder, root),
        options={"labels": labels, "trim": trim},
        modules=("limbeck.datasets.stress_predict", *MODULES),
    )


def _labels_beside(raw: Path, root: Path) -> tuple[dict[int, list[Interval]], list[LeftOut]]:
    """Read the labels that belong to a folder of subjects; without them the button presses have to serve."""
    file = raw.parent / _LABELS
    if raw == root:
        root = raw.parent
    try:
        if not is_inside(file, root):
            raise ReadError(file, found="a link that leads out of the data set's folder", expected="a file in it")
        return read_labels(file)
    except ReadError as error:
        return {}, [LeftOut(str(file), f"{error} The button presses are used instead.")]
