"""Protocols: which windows a model may learn from, is selected on and is judged on.

A *fold* holds the windows of four disjoint sets of subjects: labelled, unlabelled, validation and test. A subject's
windows never stand in two of them, and every draw comes from a generator that is keyed by what it is drawn for, so that
all arms of a study meet the same subjects and a fold stays what it is whichever other folds are made with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from limbeck.errors import DataError, did_you_mean

__all__ = [
    "FEWEST_FOR_VALIDATION",
    "Fold",
    "LeaveOneSubjectOut",
    "SubjectKFold",
    "crossfit_groups",
    "make_folds",
    "usable",
    "with_target_of",
]

FEWEST_FOR_VALIDATION = 8
"""With fewer labelled subjects none is spent on validation: epochs are fixed and every label is trained on."""

_LABELLED, _UNLABELLED, _VALIDATION, _TEST = range(4)

# What a generator is drawn for; a part of its key, so that the draws of one purpose do not repeat those of another.
_FOR_SPLIT, _FOR_LABELS, _FOR_CROSSFIT = range(3)


@dataclass(frozen=True, eq=False)
class Fold:
    """The windows of one fold of one repetition, by what they may be used for.

    Parameters
    ----------
    repetition, fold : int
        Which draw of the protocol, and which part of it; both from 0.
    labelled, unlabelled, validation, test : ndarray of shape (n_windows,), int64
        Window indices, sorted. Training sees inputs and targets of `labelled`, the inputs alone of `unlabelled`;
        models are selected on `validation`; `test` is for judging and nothing else.
    labelled_subjects, unlabelled_subjects, validation_subjects, test_subjects : tuple of str
        Whose windows these are, in the order of the corpus. No subject is in two of them.
    """

    repetition: int
    fold: int
    labelled: np.ndarray
    unlabelled: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    labelled_subjects: tuple[str, ...]
    unlabelled_subjects: tuple[str, ...]
    validation_subjects: tuple[str, ...]
    test_subjects: tuple[str, ...]

    @property
    def training(self) -> np.ndarray:
        """Labelled and unlabelled windows together, sorted, int64."""
        return np.sort(np.concatenate([self.labelled, self.unlabelled]))


class _SubjectSplit:
    """A scikit-learn cross-validator whose groups are subjects; `groups_of` says who is tested together."""

    repetitions: int

    def groups_of(self, n_subjects: int, repetition: int) -> list[np.ndarray]:
        """Return, per fold, the places of the test subjects among `n_subjects`, sorted."""
        raise NotImplementedError

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:  # noqa: N803
        """Yield the row positions of training and test, fold by fold, repetition by repetition.

        Parameters
        ----------
        X, y : array-like
            Not looked at.
        groups : array-like of shape (n_windows,)
            The subject of every row. Subjects are numbered in the order of their first row.
        """
        codes, subjects = _subject_codes(groups)
        for repetition in range(self.repetitions):
            for tested in self.groups_of(len(subjects), repetition):
                in_test = np.isin(codes, tested)
                yield np.flatnonzero(~in_test), np.flatnonzero(in_test)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: N803
        """Return the number of folds over all repetitions."""
        return self.repetitions * len(self.groups_of(len(_subject_codes(groups)[1]), 0))


class LeaveOneSubjectOut(_SubjectSplit):
    """Every subject is tested once per repetition, by a model that has learnt from others only.

    Parameters
    ----------
    repetitions : int
        How often the whole is done; the test subjects are the same each time, what else is drawn is not.
    """

    def __init__(self, *, repetitions: int = 1) -> None:
        self.repetitions = repetitions

    def groups_of(self, n_subjects: int, repetition: int) -> list[np.ndarray]:
        """Return one group per subject, in the order of the corpus."""
        if n_subjects < 2:
            raise DataError(
                f"Leaving one subject out needs at least 2 subjects with usable windows; found {n_subjects}."
            )
        return list(np.arange(n_subjects)[:, None])


class SubjectKFold(_SubjectSplit):
    """Subjects are shuffled and dealt into k groups as equal as possible, each of which is tested once.

    Parameters
    ----------
    k : int
        Number of groups, 2 up to the number of subjects.
    repetitions : int
        How often the subjects are shuffled anew.
    seed : int
        With the repetition, the key of the shuffling.
    """

    def __init__(self, k: int, *, repetitions: int = 1, seed: int = 0) -> None:
        self.k = k
        self.repetitions = repetitions
        self.seed = seed

    def groups_of(self, n_subjects: int, repetition: int) -> list[np.ndarray]:
        """Return the groups of one repetition; the first ones are larger by one where k does not divide."""
        if not 2 <= self.k <= n_subjects:
            raise DataError(
                f"{self.k} folds over subjects cannot be made: the windows come from {n_subjects} subjects. "
                f"Use 2 to {n_subjects} folds, or leave_one_subject_out."
            )
        shuffled = _generator(self.seed, _FOR_SPLIT, repetition).permutation(n_subjects)
        return [np.sort(group) for group in np.array_split(shuffled, self.k)]


def usable(table: pd.DataFrame) -> np.ndarray:
    """Say which windows may stand in a fold: not of a calibration stretch, and with a target.

    Parameters
    ----------
    table : DataFrame
        As from :func:`limbeck.windows.table`; needs ``calibration`` and ``target``.

    Returns
    -------
    ndarray of shape (n_windows,), bool
        False for calibration windows and for targets of -1 (class codes) or NaN (traces).
    """
    _require_columns(table, "calibration", "target")
    target = table["target"].to_numpy()
    known = np.isfinite(target) if _is_trace(target) else target >= 0
    return known & ~table["calibration"].to_numpy(dtype=bool)


def make_folds(
    table: pd.DataFrame,
    *,
    split: str | int,
    repetitions: int = 1,
    validation: int | float = 0,
    labelled: int | str = "all",
    seed: int = 0,
) -> list[Fold]:
    """Make the folds of a protocol over a window table.

    Calibration windows and windows without a target are in no fold. The order of the rows does not matter.

    Parameters
    ----------
    table : DataFrame
        A row per window, as from :func:`limbeck.windows.table`: ``subject``, ``calibration``, ``target``; the window's
        index in the column ``window``, else in the frame's index. Subjects are ordered by their first window.
    split : "leave_one_subject_out" or int
        Who is tested together: one subject, or one of so many groups of subjects, shuffled per repetition.
    repetitions : int
        Number of draws of everything that is drawn.
    validation : int or float
        Subjects taken from the labelled ones for model selection: a number, or a share of them in (0, 1) (at least
        one). With fewer labelled subjects than `FEWEST_FOR_VALIDATION` none is taken, whatever stands here.
    labelled : int or "all"
        How many of a fold's training subjects carry labels, validation subjects included; the others are unlabelled.
    seed : int
        With repetition and fold, the key of every draw.

    Returns
    -------
    list of Fold
        Repetition by repetition, fold by fold.

    Raises
    ------
    DataError
        If an argument is out of range, or the subjects do not suffice for what is asked.

    Notes
    -----
    The training subjects of a fold are drawn into one order. The labelled ones are the first n of it, so that those of
    n = 3 are among those of n = 6; the validation subjects are the last of these n.

    So that few labels hold every class, the order is repaired where subjects lack classes: from the front, as long as a
    class is missing, the next place goes to the first subject in the draw that brings a missing one. The repair does
    not know n (draws stay nested) and changes nothing where every subject has every class. It is the only use that a
    protocol makes of labels it hides: whether a subject has a class at all.
    """
    _check_arguments(split, repetitions, validation, labelled, seed)
    _require_columns(table, "subject", "calibration", "target")
    windows, codes, subjects, classes = _sorted_usable(table)
    has_class = _classes_of_subjects(codes, len(subjects), classes)
    splitter = LeaveOneSubjectOut() if isinstance(split, str) else SubjectKFold(split, seed=seed)
    folds = []
    for repetition in range(repetitions):
        for fold, tested in enumerate(splitter.groups_of(len(subjects), repetition)):
            available = np.setdiff1d(np.arange(len(subjects)), tested)
            drawn = _generator(seed, _FOR_LABELS, repetition, fold).permutation(available)
            order = _cover_classes(drawn, has_class)
            place = f"repetition {repetition}, fold {fold}"
            n_labelled = _count_labelled(labelled, available.size, place)
            n_validation = _count_validation(validation, n_labelled, place)
            _require_classes(order[: n_labelled - n_validation], available, has_class, place)
            role = np.full(len(subjects), _UNLABELLED)
            role[order[: n_labelled - n_validation]] = _LABELLED
            role[order[n_labelled - n_validation : n_labelled]] = _VALIDATION
            role[tested] = _TEST
            folds.append(_fold_of_roles(repetition, fold, windows, codes, subjects, role))
    return folds


def with_target_of(fold: Fold, table: pd.DataFrame) -> Fold:
    """Return a fold of the same subjects in the same roles, with the windows that are usable for another target.

    Parameters
    ----------
    fold : Fold
        Of the study's target.
    table : DataFrame
        Of the same windows, with the other target as ``target``.

    Raises
    ------
    DataError
        If its labelled subjects have no window with that target.
    """
    windows, codes, subjects, _ = _sorted_usable(table)
    role_of = {
        **dict.fromkeys(fold.labelled_subjects, _LABELLED),
        **dict.fromkeys(fold.unlabelled_subjects, _UNLABELLED),
        **dict.fromkeys(fold.validation_subjects, _VALIDATION),
        **dict.fromkeys(fold.test_subjects, _TEST),
    }
    nobody = len(subjects)
    role = np.array([role_of.get(subject, nobody) for subject in subjects], dtype=np.int64)[codes]
    labelled, unlabelled, validation, test = (windows[role == wanted] for wanted in range(4))
    if not labelled.size:
        raise DataError(
            f"The labelled subjects of repetition {fold.repetition}, fold {fold.fold} have no window with this target; "
            "label more subjects, or give the stage a target that they have."
        )
    return replace(fold, labelled=labelled, unlabelled=unlabelled, validation=validation, test=test)


def crossfit_groups(fold: Fold, table: pd.DataFrame, k: int, seed: int) -> list[np.ndarray]:
    """Split a fold's labelled subjects into k groups, each to be taught by a teacher that has not seen it.

    Parameters
    ----------
    fold : Fold
        Whose labelled windows are split.
    table : DataFrame
        The table that the fold was made from.
    k : int
        Number of groups, 2 up to the number of labelled subjects.
    seed : int
        With the fold's repetition and number, the key of the shuffling.

    Returns
    -------
    list of ndarray of shape (n_windows,), int64
        Sorted window indices per group: disjoint, together `fold.labelled`. No subject is in two groups.

    Raises
    ------
    DataError
        If there are fewer labelled subjects than groups, or if a class is to be found in one group only, so that the
        teacher of that group would never have seen it.
    """
    place = f"repetition {fold.repetition}, fold {fold.fold}"
    n_subjects = len(fold.labelled_subjects)
    if not 2 <= k <= n_subjects:
        raise DataError(
            f"Cross-fitting with K = {k} cannot be done in {place}: it has {n_subjects} labelled subjects to train on. "
            "Use K from 2 up to the number of labelled subjects, or leave cross-fitting out."
        )
    windows, codes, _, classes = _sorted_usable(table)
    is_labelled = np.isin(windows, fold.labelled)
    if is_labelled.sum() != fold.labelled.size:
        raise DataError(f"The table does not hold all labelled windows of {place}; pass the table it was made from.")
    windows, classes = windows[is_labelled], classes[is_labelled]
    present, codes = np.unique(codes[is_labelled], return_inverse=True)
    shuffled = _generator(seed, _FOR_CROSSFIT, fold.repetition, fold.fold).permutation(present.size)
    group_of_subject = np.empty(present.size, dtype=np.int64)
    for number, members in enumerate(np.array_split(shuffled, k)):
        group_of_subject[members] = number
    group = group_of_subject[codes]
    in_groups = _classes_of_subjects(group, k, classes).sum(axis=0)
    if (in_groups == 1).any():
        lonely = np.flatnonzero(in_groups == 1).tolist()
        raise DataError(
            f"Cross-fitting with K = {k} in {place}: class code {lonely} is to be found in one group of subjects only, "
            "and the teacher of that group would never have seen it. Leave cross-fitting out or merge rare classes."
        )
    return [windows[group == number] for number in range(k)]


def _generator(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _check_arguments(
    split: str | int, repetitions: int, validation: int | float, labelled: int | str, seed: int
) -> None:
    mistakes = []
    if isinstance(split, str) and split != "leave_one_subject_out":
        mistakes.append(f"split is '{split}'.{did_you_mean(split, ['leave_one_subject_out'])} Or a number of folds.")
    if repetitions < 1:
        mistakes.append(f"repetitions is {repetitions}; use 1 or more.")
    if validation < 0 or (isinstance(validation, float) and validation >= 1):
        mistakes.append(f"validation is {validation}; use a number of subjects from 0, or a share in (0, 1).")
    if isinstance(labelled, str) and labelled != "all":
        mistakes.append(f"labelled is '{labelled}'; use 'all' or a number of subjects.")
    if not isinstance(labelled, str) and labelled < 1:
        mistakes.append(f"labelled is {labelled}; use 'all' or 1 subject or more.")
    if seed < 0:
        mistakes.append(f"seed is {seed}; use 0 or more.")
    if mistakes:
        raise DataError("The protocol cannot be used: " + " ".join(mistakes))


def _require_columns(table: pd.DataFrame, *columns: str) -> None:
    missing = [column for column in columns if column not in table]
    if missing:
        raise DataError(
            f"The window table lacks {missing}; found the columns {list(table.columns)}. "
            "Make it with limbeck.windows.table."
        )


def _is_trace(target: np.ndarray) -> bool:
    return bool(np.issubdtype(target.dtype, np.floating))


def _subject_codes(subjects: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the subject of every row as a number from 0, in the order of first rows, and the names."""
    if subjects is None:
        raise DataError("A split over subjects needs `groups`: the subject of every row.")
    codes, names = pd.factorize(np.asarray(subjects, dtype=object))
    if (codes < 0).any():
        raise DataError(f"{(codes < 0).sum()} windows have no subject; every window needs one.")
    return codes.astype(np.int64), tuple(str(name) for name in names)


def _sorted_usable(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], np.ndarray]:
    """Return window indices (sorted), subject codes, subject names and class codes (0 for traces) of usable windows."""
    windows = table.get("window", table.index).to_numpy(dtype=np.int64)
    if np.unique(windows).size != windows.size:
        raise DataError("The window table names a window more than once; every row needs a window index of its own.")
    kept = np.flatnonzero(usable(table))
    kept = kept[np.argsort(windows[kept])]
    codes, subjects = _subject_codes(table["subject"].to_numpy()[kept])
    target = table["target"].to_numpy()[kept]
    classes = np.zeros(kept.size, dtype=np.int64) if _is_trace(target) else target.astype(np.int64)
    return windows[kept], codes, subjects, classes


def _classes_of_subjects(codes: np.ndarray, n_subjects: int, classes: np.ndarray) -> np.ndarray:
    """Return a boolean (n_subjects, n_classes): who has at least one window of which class."""
    has_class = np.zeros((n_subjects, int(classes.max(initial=0)) + 1), dtype=bool)
    has_class[codes, classes] = True
    return has_class


def _cover_classes(drawn: np.ndarray, has_class: np.ndarray) -> np.ndarray:
    """Move subjects of a draw forward, as few as it takes, until the first ones hold every class of the draw."""
    left = list(drawn)
    missing = has_class[drawn].any(axis=0)
    front = []
    while missing.any():
        brings = next(subject for subject in left if (has_class[subject] & missing).any())
        left.remove(brings)
        front.append(brings)
        missing = missing & ~has_class[brings]
    return np.array(front + left, dtype=np.int64)


def _count_labelled(labelled: int | str, n_available: int, place: str) -> int:
    if isinstance(labelled, str):
        return n_available
    if labelled > n_available:
        raise DataError(
            f"labelled: {labelled} asks for more subjects than the {n_available} training subjects of {place}. "
            f"Use up to {n_available}, or all."
        )
    return labelled


def _count_validation(validation: int | float, n_labelled: int, place: str) -> int:
    if n_labelled < FEWEST_FOR_VALIDATION or validation == 0:
        return 0
    count = max(1, round(validation * n_labelled)) if isinstance(validation, float) else validation
    if count >= n_labelled:
        raise DataError(
            f"validation: {validation} takes {count} of the {n_labelled} labelled subjects of {place} and leaves none "
            "to train on. Take fewer."
        )
    return count


def _require_classes(trained: np.ndarray, available: np.ndarray, has_class: np.ndarray, place: str) -> None:
    lacking = has_class[available].any(axis=0) & ~has_class[trained].any(axis=0)
    if lacking.any():
        raise DataError(
            f"The {trained.size} labelled subjects trained on in {place} have no window of class code "
            f"{np.flatnonzero(lacking).tolist()}, which other training subjects have; no {trained.size} subjects drawn "
            "by the rule hold every class. Label more subjects, use fewer for validation, or merge rare classes."
        )


def _fold_of_roles(
    repetition: int, fold: int, windows: np.ndarray, codes: np.ndarray, subjects: Sequence[str], role: np.ndarray
) -> Fold:
    role_of_window = role[codes]
    indices = [windows[role_of_window == wanted] for wanted in range(4)]
    names = [tuple(subjects[place] for place in np.flatnonzero(role == wanted).tolist()) for wanted in range(4)]
    return Fold(repetition, fold, *indices, *names)
