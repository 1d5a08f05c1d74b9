"""SEED-IV: EEG of 15 people who watched 24 film clips (neutral, sad, fear, happy) in each of three sessions.

Zheng, Liu, Lu, Lu & Cichocki, EmotionMeter: A Multimodal Framework for Recognizing Human Emotions, IEEE Trans.
Cybernetics 49(3):1110, 2019; on application at https://bcmi.sjtu.edu.cn/home/seed/seed-iv.html. The signals of
``eeg_raw_data`` are read; the published features in ``eeg_feature_smooth`` through
:func:`limbeck.datasets.seed.read_features`. How the folders of eye movements are built has not been described.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from limbeck.datasets import Check, DatasetInfo, dataset, locate
from limbeck.datasets.files import chosen, is_inside, sources_inside
from limbeck.datasets.numbers import shown
from limbeck.datasets.seed import (
    EEG_UNITS,
    SubjectFile,
    chosen_sessions,
    file_checks,
    folders_below,
    holds_subjects,
    missing_subjects,
    spelling,
    subject_files,
    trial_source,
)
from limbeck.errors import DataError, ReadError, did_you_mean
from limbeck.recording import Corpus, LeftOut, Source

__all__ = ["CLASSES", "LABELS", "looks_like", "seed_iv"]

CLASSES = {0: "neutral", 1: "sad", 2: "fear", 3: "happy"}
"""What the labels stand for; also the names of events."""

LABELS = {
    "1": (1, 2, 3, 0, 2, 0, 0, 1, 0, 1, 2, 1, 1, 1, 2, 3, 2, 2, 3, 3, 0, 3, 0, 3),
    "2": (2, 1, 3, 0, 0, 2, 0, 2, 3, 3, 2, 3, 2, 0, 1, 1, 2, 1, 0, 3, 0, 1, 3, 1),
    "3": (1, 2, 2, 1, 3, 3, 3, 1, 1, 2, 1, 0, 2, 3, 3, 0, 2, 3, 0, 0, 2, 0, 1, 0),
}
"""The label of each trial by session, the same for every subject, as published."""

_MODULES = ("limbeck.datasets.seed_iv", "limbeck.datasets.seed", "limbeck.datasets.matlab")
_SUBJECTS, _TRIALS = 15, 24


def _home(root: Path) -> Path | None:
    """Return the folder with the folders of sessions: files of features and of eye movements have the same names."""
    found = [folder for folder in folders_below(root, 2) if any(holds_subjects(folder / name) for name in LABELS)]
    named = [folder for folder in found if folder.name.lower() == "eeg_raw_data"]
    other = [folder for folder in found if not any(word in folder.name.lower() for word in ("feature", "eye"))]
    return next(iter([*named, *other]), None)


def looks_like(path: Path) -> bool:
    """Tell whether a folder holds SEED-IV's signals."""
    return path.is_dir() and _home(path) is not None


def _files(home: Path) -> tuple[dict[str, dict[str, SubjectFile]], list[LeftOut]]:
    """Return the files of signals by subject and session, and what is not read."""
    files: dict[str, dict[str, SubjectFile]] = {}
    left_out: list[LeftOut] = []
    for session in LABELS:
        folder = home / session
        if not folder.is_dir() or not is_inside(folder, home):
            why = f"there is no folder of session {session}; none of its recordings is read"
            left_out.append(LeftOut(str(folder), why))
            continue
        found, stray = subject_files(folder)
        left_out += stray
        for file in found:
            own = files.setdefault(file.subject, {})
            if session in own:
                why = f"{own[session].path.name} is of the same subject and session, and is read instead"
                left_out.append(LeftOut(str(file.path), why))
            else:
                own[session] = file
    return dict(sorted(files.items())), left_out


def _checks(root: Path, corpus: Corpus) -> Iterator[Check]:
    files, _ = _files(_home(root) or root)
    odd = [f"{subject}: {', '.join(own)}" for subject, own in files.items() if len(own) != len(LABELS)]
    yield Check("every subject has the sessions 1, 2 and 3", not odd, "; ".join(odd))
    yield from file_checks(corpus.sources, _TRIALS)
    yield Check("the labels are those of the files", None, "SEED-IV publishes them in its read-me only")


@dataset(
    "seed-iv",
    info=DatasetInfo(
        title="SEED-IV: EEG through neutral, sad, frightening and happy film clips, in three sessions",
        modalities=("eeg",),
        subjects=_SUBJECTS,
        names=tuple(f"S{number:02d}" for number in range(1, 16)),
        licence="on application, academic research only",
        citation="Zheng, Liu, Lu, Lu & Cichocki, EmotionMeter: A Multimodal Framework for Recognizing Human Emotions, "
        "IEEE Trans. Cybernetics 49(3):1110-1122, 2019",
        url="https://bcmi.sjtu.edu.cn/home/seed/seed-iv.html",
        access="gated",
        checked="format-faithful files only; never tried on the real corpus",
        obtain="Send the application form of the BCMI laboratory; take eeg_raw_data.",
        uncertain=(
            "the unit of the EEG: taken as µV, and said where it cannot be; option eeg",
            "files do not name electrodes: rows are taken in the published order",
            "the folders of eye movements: not read",
        ),
    ),
    checks=_checks,
)
def seed_iv(
    root: Path | None,
    *,
    subjects: Sequence[str | int] | None = None,
    sessions: Sequence[str | int] | None = None,
    eeg: Literal["µV", "mV", "V", "stored"] = "µV",
) -> Corpus:
    """SEED-IV: 24 recordings per session, one per film clip, each with an event over all of it that names its class.

    The one modality is `eeg` (62 electrodes, 200 Hz, 1-75 Hz as published). The event is ``neutral``, ``sad``,
    ``fear`` or ``happy``, and the rating ``label`` 0 to 3, in this order. A recording's trial is the clip, ``"1"`` to
    ``"24"``, in the order in which everyone saw them; each session has its own clips. Labels depend on nothing but
    session and trial: let no model see these.

    Reading a recording unpacks its own trial only. The features that come with SEED-IV are no signals:
    `limbeck.datasets.seed.read_features` reads them. Eye movements are not read: nobody has described their files.

    Parameters
    ----------
    root : Path, optional
        The folder with ``eeg_raw_data``, or that folder, with the folders ``1``, ``2`` and ``3`` in it.
    subjects : sequence of str or int, optional
        Only these: ``S07``, ``7``.
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
        raise DataError(f"seed-iv: there is no eeg {shown(str(eeg))}.{did_you_mean(str(eeg), EEG_UNITS)}")
    root = locate("seed-iv", root)
    home = _home(root)
    if home is None:
        raise ReadError(root, found="no file such as 1/1_20160518.mat", expected="the folder eeg_raw_data of SEED-IV")
    files, left_out = _files(home)
    if subjects is None:
        left_out += missing_subjects(files, home)
    wanted = chosen_sessions(list(LABELS), sessions)
    found: list[tuple[Path, Callable[[], Source]]] = []
    for subject in chosen(files, subjects, spelling):
        own = files[subject]
        missing = [session for session in wanted if session not in own and (home / session).is_dir()]
        if missing:
            left_out.append(LeftOut(f"{home}: {subject}", f"there is no file of session {', '.join(missing)}"))
        found += [
            (own[session].path, partial(trial_source, own[session], session, trial, label, CLASSES, eeg, _MODULES))
            for session in wanted
            if session in own
            for trial, label in enumerate(LABELS[session], start=1)
        ]
    sources, outside = sources_inside(root, found)
    return Corpus("seed-iv", sources, [*left_out, *outside])
