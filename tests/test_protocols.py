from __future__ import annotations

import pickle
import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import DataError
from limbeck.protocols import (
    FEWEST_FOR_VALIDATION,
    Fold,
    LeaveOneSubjectOut,
    SubjectKFold,
    crossfit_groups,
    make_folds,
    usable,
)

ROLES = ("labelled", "unlabelled", "validation", "test")


def window_table(
    n_subjects: int, per_subject: int = 6, n_classes: int = 2, *, calibration: int = 1, unknown: int = 1
) -> pd.DataFrame:
    """Subjects named so that corpus order and alphabetical order differ; each begins with calibration windows."""
    subject = np.repeat([f"S{n_subjects - number}" for number in range(n_subjects)], per_subject)
    place = np.tile(np.arange(per_subject), n_subjects)
    target = place % n_classes
    target[place >= per_subject - unknown] = -1
    return pd.DataFrame({"subject": subject, "calibration": place < calibration, "target": target.astype(np.int64)})


@st.composite
def protocols(draw) -> tuple[pd.DataFrame, dict]:
    n_subjects = draw(st.integers(2, 14))
    classes_of = [draw(st.sets(st.integers(0, 2), min_size=1)) for _ in range(n_subjects)]
    rows = []
    for number, classes in enumerate(classes_of):
        targets = sorted(classes) + draw(st.lists(st.sampled_from([-1, *sorted(classes)]), max_size=4))
        rows += [(f"P{number}", False, target) for target in targets]
        rows += [(f"P{number}", True, sorted(classes)[0])] * draw(st.integers(0, 2))
    table = pd.DataFrame(rows, columns=["subject", "calibration", "target"])
    arguments = {
        "split": draw(st.one_of(st.just("leave_one_subject_out"), st.integers(2, n_subjects))),
        "repetitions": draw(st.integers(1, 3)),
        "validation": draw(st.one_of(st.integers(0, 2), st.floats(0.05, 0.5))),
        "labelled": draw(st.one_of(st.just("all"), st.integers(1, n_subjects))),
        "seed": draw(st.integers(0, 2**40)),
    }
    return table, arguments


def folds_or_none(table: pd.DataFrame, arguments: dict) -> list[Fold] | None:
    try:
        return make_folds(table, **arguments)
    except DataError:
        return None


@settings(max_examples=60, deadline=None)
@given(protocols())
def test_every_usable_window_stands_in_exactly_one_set_and_with_its_subject(case) -> None:
    table, arguments = case
    expected = table.index[(table.target >= 0) & ~table.calibration]
    for fold in folds_or_none(table, arguments) or []:
        sets = [getattr(fold, role) for role in ROLES]
        assert sorted(np.concatenate(sets)) == list(expected)
        assert all(indices.dtype == np.int64 and (np.diff(indices) > 0).all() for indices in sets)
        names = [getattr(fold, f"{role}_subjects") for role in ROLES]
        assert len(set().union(*names)) == sum(map(len, names)) == table.subject.nunique()
        for indices, subjects in zip(sets, names, strict=True):
            assert set(table.subject[indices]) == set(subjects)
        assert sorted([*fold.labelled, *fold.unlabelled]) == list(fold.training)


@settings(max_examples=60, deadline=None)
@given(protocols())
def test_each_repetition_tests_every_subject_once(case) -> None:
    table, arguments = case
    folds = folds_or_none(table, arguments)
    if folds is None:
        return
    for repetition in range(arguments["repetitions"]):
        tested = [fold.test_subjects for fold in folds if fold.repetition == repetition]
        assert sorted(sum(tested, ())) == sorted(table.subject.unique())
        sizes = [len(group) for group in tested]
        assert max(sizes) - min(sizes) <= 1
        assert [fold.fold for fold in folds if fold.repetition == repetition] == list(range(len(tested)))


@settings(max_examples=60, deadline=None)
@given(protocols())
def test_subjects_trained_on_hold_every_class_of_the_training_subjects(case) -> None:
    table, arguments = case
    for fold in folds_or_none(table, arguments) or []:
        outside = np.setdiff1d(table.index[(table.target >= 0) & ~table.calibration], fold.test)
        assert set(table.target[fold.labelled]) == set(table.target[outside])


@settings(max_examples=60, deadline=None)
@given(protocols(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(case, shuffler: random.Random) -> None:
    table, arguments = case
    rows = list(range(len(table)))
    shuffler.shuffle(rows)
    assert_same_folds(folds_or_none(table, arguments), folds_or_none(table.iloc[rows], arguments))


@settings(max_examples=60, deadline=None)
@given(protocols(), st.integers(1, 13))
def test_labelled_draws_are_nested(case, fewer: int) -> None:
    table, arguments = case
    more = folds_or_none(table, arguments)
    less = folds_or_none(table, {**arguments, "labelled": fewer})
    if more is None or less is None:
        return
    for large, small in zip(more, less, strict=True):
        labels_large = {*large.labelled_subjects, *large.validation_subjects}
        labels_small = {*small.labelled_subjects, *small.validation_subjects}
        assert len(labels_small) == fewer
        assert labels_small <= labels_large or labels_large <= labels_small
        trained = [set(large.labelled_subjects), set(small.labelled_subjects)]
        assert trained[0] <= trained[1] or trained[1] <= trained[0]


def assert_same_folds(one: list[Fold] | None, other: list[Fold] | None) -> None:
    assert (one is None) == (other is None)
    for left, right in zip(one or [], other or [], strict=True):
        assert (left.repetition, left.fold) == (right.repetition, right.fold)
        for role in ROLES:
            np.testing.assert_array_equal(getattr(left, role), getattr(right, role))
            assert getattr(left, f"{role}_subjects") == getattr(right, f"{role}_subjects")


def naive_folds(table: pd.DataFrame, split: str | int, repetitions: int, validation: int, labelled: int, seed: int):
    """The protocol in loops and sets, for tables where every subject has every class."""
    subjects: list[str] = []
    windows_of: dict[str, list[int]] = {}
    for window in sorted(table.index):
        row = table.loc[window]
        if row.calibration or row.target < 0:
            continue
        if row.subject not in windows_of:
            subjects.append(row.subject)
            windows_of[row.subject] = []
        windows_of[row.subject].append(window)
    for repetition in range(repetitions):
        if split == "leave_one_subject_out":
            groups = [[subject] for subject in subjects]
        else:
            shuffled = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0, repetition))).permutation(
                len(subjects)
            )
            size, larger = divmod(len(subjects), split)
            groups, at = [], 0
            for number in range(split):
                step = size + (number < larger)
                groups.append([subjects[place] for place in shuffled[at : at + step]])
                at += step
        for fold, group in enumerate(groups):
            rest = [place for place, subject in enumerate(subjects) if subject not in group]
            key = np.random.SeedSequence(seed, spawn_key=(1, repetition, fold))
            order = [subjects[place] for place in np.random.default_rng(key).permutation(rest)]
            held = validation if labelled >= 8 else 0
            yield {
                "labelled": sorted(w for s in order[: labelled - held] for w in windows_of[s]),
                "validation": sorted(w for s in order[labelled - held : labelled] for w in windows_of[s]),
                "unlabelled": sorted(w for s in order[labelled:] for w in windows_of[s]),
                "test": sorted(w for s in group for w in windows_of[s]),
            }


@pytest.mark.parametrize("split", ["leave_one_subject_out", 2, 5, 13])
@pytest.mark.parametrize(("labelled", "validation"), [(3, 2), (6, 0), (6, 2)])
@pytest.mark.parametrize("n_subjects", [13, 26])
def test_folds_agree_with_a_naive_reimplementation(split, labelled, validation, n_subjects) -> None:
    table = window_table(n_subjects)
    labelled = labelled if n_subjects == 13 else labelled + 6
    arguments = {"split": split, "repetitions": 2, "validation": validation, "labelled": labelled, "seed": 11}
    folds = make_folds(table, **arguments)
    naive = list(naive_folds(table, **arguments))
    assert len(folds) == len(naive)
    for fold, expected in zip(folds, naive, strict=True):
        assert {role: getattr(fold, role).tolist() for role in ROLES} == expected


def test_calibration_windows_and_windows_without_target_are_in_no_set() -> None:
    table = window_table(4, 6, calibration=2, unknown=1)
    used = make_folds(table, split="leave_one_subject_out", labelled=1)[0]
    everything = np.concatenate([getattr(used, role) for role in ROLES])
    assert sorted(everything) == [window for window in range(24) if window % 6 in (2, 3, 4)]


def test_traces_leave_out_windows_whose_target_is_nan() -> None:
    table = window_table(4)
    table["target"] = np.where(table.target < 0, np.nan, table.target - 5.0).astype(np.float32)
    assert usable(table).sum() == 4 * 4
    folds = make_folds(table, split=2, labelled=1)
    assert sum(fold.test.size for fold in folds) == 16


def test_subject_with_calibration_windows_only_is_nobody() -> None:
    table = window_table(4)
    table.loc[table.subject == "S4", "calibration"] = True
    folds = make_folds(table, split="leave_one_subject_out")
    assert [fold.test_subjects for fold in folds] == [("S3",), ("S2",), ("S1",)]


def test_window_column_goes_before_the_index_of_the_frame() -> None:
    table = window_table(3)
    expected = make_folds(table, split=3, labelled=1)
    named = table.assign(window=table.index + 100).set_index(table.index[::-1])
    for plain, shifted in zip(expected, make_folds(named, split=3, labelled=1), strict=True):
        np.testing.assert_array_equal(plain.training + 100, shifted.training)


def test_all_labelled_leaves_nobody_unlabelled() -> None:
    for fold in make_folds(window_table(12), split=3, validation=0.25):
        assert fold.unlabelled.size == 0
        assert fold.unlabelled_subjects == ()
        assert len(fold.validation_subjects) == 2
        assert len(fold.labelled_subjects) == 6


def test_labelled_counts_validation_subjects() -> None:
    for fold in make_folds(window_table(20), split="leave_one_subject_out", labelled=10, validation=3):
        assert len(fold.labelled_subjects) == 7
        assert len(fold.validation_subjects) == 3
        assert len(fold.unlabelled_subjects) == 9


@pytest.mark.parametrize("labelled", [FEWEST_FOR_VALIDATION - 1, FEWEST_FOR_VALIDATION])
def test_few_labelled_subjects_are_not_spent_on_validation(labelled: int) -> None:
    for fold in make_folds(window_table(12), split=4, labelled=labelled, validation=2):
        assert len(fold.validation_subjects) == (2 if labelled >= FEWEST_FOR_VALIDATION else 0)
        assert len(fold.labelled_subjects) + len(fold.validation_subjects) == labelled


def test_validation_share_takes_one_subject_at_least() -> None:
    fold = make_folds(window_table(12), split="leave_one_subject_out", validation=0.01)[0]
    assert len(fold.validation_subjects) == 1


def test_leave_one_subject_out_tests_the_same_subjects_in_every_repetition_with_other_draws() -> None:
    folds = make_folds(window_table(10), split="leave_one_subject_out", repetitions=2, labelled=3)
    first, second = folds[:10], folds[10:]
    assert [fold.test_subjects for fold in first] == [fold.test_subjects for fold in second]
    assert any(a.labelled_subjects != b.labelled_subjects for a, b in zip(first, second, strict=True))


def test_k_fold_shuffles_anew_in_every_repetition_and_with_every_seed() -> None:
    table = window_table(12)
    one, two = (make_folds(table, split=4, repetitions=2, seed=seed) for seed in (0, 1))
    groups = [{fold.test_subjects for fold in folds} for folds in (one[:4], one[4:], two[:4])]
    assert groups[0] != groups[1] != groups[2] != groups[0]


def test_a_repetition_does_not_depend_on_how_many_there_are() -> None:
    table = window_table(9)
    few, many = (make_folds(table, split=3, repetitions=n, labelled=2, seed=5) for n in (2, 4))
    assert_same_folds(few, many[:6])


def test_draws_are_uniform_over_subjects() -> None:
    folds = make_folds(window_table(8), split="leave_one_subject_out", repetitions=200, labelled=3)
    counts = pd.Series([name for fold in folds for name in fold.labelled_subjects]).value_counts()
    assert len(counts) == 8
    assert counts.between(0.9 * 600, 1.1 * 600).all()


def test_draws_cover_a_class_that_few_subjects_have() -> None:
    table = window_table(10, calibration=0, unknown=0)
    table.loc[(table.target == 1) & ~table.subject.isin(["S3", "S7"]), "target"] = 0
    for fold in make_folds(table, split=5, repetitions=5, labelled=2):
        trained = set(table.target[fold.labelled])
        reachable = set(table.target[~table.subject.isin(fold.test_subjects)])
        assert trained == reachable


def test_a_class_that_no_draw_of_this_size_can_cover_is_an_error_with_its_code() -> None:
    table = window_table(4, n_classes=1, calibration=0, unknown=0)
    table["target"] = table.subject.map({"S4": 0, "S3": 1, "S2": 0, "S1": 1})
    with pytest.raises(DataError, match=r"no window of class code \[[01]\].*Label more subjects"):
        make_folds(table, split="leave_one_subject_out", labelled=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "leave_one_subjct_out"}, "Did you mean 'leave_one_subject_out'"),
        ({"split": 11}, "11 folds over subjects .* 10 subjects"),
        ({"split": 1}, "1 folds over subjects"),
        ({"split": 5, "labelled": 9}, "labelled: 9 .* 8 training subjects of repetition 0, fold 0"),
        ({"split": 5, "labelled": "most"}, "labelled is 'most'"),
        ({"split": 5, "validation": 8}, "takes 8 of the 8 labelled subjects"),
        ({"split": 5, "validation": 1.5}, "validation is 1.5"),
        ({"split": 5, "repetitions": 0, "labelled": 0, "seed": -1}, r"(?s)repetitions is 0.*labelled is 0.*seed is -1"),
    ],
)
def test_arguments_that_cannot_be_met_are_refused_with_the_numbers(arguments: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make_folds(window_table(10), **arguments)


def test_one_subject_cannot_be_left_out() -> None:
    with pytest.raises(DataError, match="at least 2 subjects"):
        make_folds(window_table(1), split="leave_one_subject_out")


def test_table_without_needed_columns_or_with_doubled_windows_is_refused() -> None:
    with pytest.raises(DataError, match=r"lacks \['calibration'\]"):
        make_folds(window_table(3).drop(columns="calibration"), split=2)
    with pytest.raises(DataError, match="more than once"):
        make_folds(pd.concat([window_table(3)] * 2), split=2)
    with pytest.raises(DataError, match="no subject"):
        make_folds(window_table(3).assign(subject=[None, *["A", "B"] * 8, "A"], calibration=False, target=0), split=2)


def test_folds_survive_pickling() -> None:
    folds = make_folds(window_table(6), split=3, labelled=2)
    assert_same_folds(folds, pickle.loads(pickle.dumps(folds)))


@settings(max_examples=40, deadline=None)
@given(st.integers(4, 14), st.integers(2, 6), st.integers(0, 2**32))
def test_crossfit_groups_are_whole_subjects_and_make_up_the_labelled_windows(n_subjects, k, seed) -> None:
    table = window_table(n_subjects)
    fold = make_folds(table, split="leave_one_subject_out", labelled=n_subjects - 2, seed=seed)[-1]
    if k > len(fold.labelled_subjects):
        with pytest.raises(DataError, match=f"K = {k}"):
            crossfit_groups(fold, table, k, seed)
        return
    groups = crossfit_groups(fold, table, k, seed)
    assert len(groups) == k
    np.testing.assert_array_equal(np.sort(np.concatenate(groups)), fold.labelled)
    subjects = [set(table.subject[group]) for group in groups]
    assert sum(map(len, subjects)) == len(fold.labelled_subjects)
    assert max(map(len, subjects)) - min(map(len, subjects)) <= 1
    assert all((np.diff(group) > 0).all() for group in groups)
    for group, again in zip(groups, crossfit_groups(fold, table.iloc[::-1], k, seed), strict=True):
        np.testing.assert_array_equal(group, again)


def test_crossfit_groups_differ_between_folds_and_seeds() -> None:
    table = window_table(13)
    folds = make_folds(table, split="leave_one_subject_out", repetitions=2)
    same_subjects = [folds[0], folds[13]]
    drawn = {tuple(map(tuple, crossfit_groups(fold, table, 3, seed))) for fold in same_subjects for seed in (0, 1)}
    assert len(drawn) == 4


def test_crossfitting_refuses_a_class_that_only_one_group_has() -> None:
    table = window_table(6, calibration=0, unknown=0)
    table.loc[(table.subject != "S3"), "target"] = 0
    fold = make_folds(table, split="leave_one_subject_out")[0]
    with pytest.raises(DataError, match=r"class code \[1\] .* one group"):
        crossfit_groups(fold, table, 2, 0)


def test_crossfitting_refuses_the_table_of_other_windows() -> None:
    table = window_table(6)
    fold = make_folds(table, split=3)[0]
    with pytest.raises(DataError, match="made from"):
        crossfit_groups(fold, table[table.subject != fold.labelled_subjects[0]], 2, 0)


@pytest.mark.parametrize("splitter", [LeaveOneSubjectOut(repetitions=2), SubjectKFold(3, repetitions=2, seed=4)])
def test_splitters_serve_scikit_learn_and_agree_with_the_folds(splitter) -> None:
    from sklearn.dummy import DummyClassifier
    from sklearn.model_selection import cross_val_score

    table = window_table(6, calibration=0, unknown=0)
    scores = cross_val_score(
        DummyClassifier(), np.zeros((len(table), 1)), table.target, groups=table.subject, cv=splitter
    )
    assert scores.shape == (splitter.get_n_splits(groups=table.subject),)
    split = "leave_one_subject_out" if isinstance(splitter, LeaveOneSubjectOut) else 3
    folds = make_folds(table, split=split, repetitions=2, seed=4)
    for (training, test), fold in zip(splitter.split(table, groups=table.subject), folds, strict=True):
        np.testing.assert_array_equal(training, fold.training)
        np.testing.assert_array_equal(test, fold.test)


def test_splitter_without_groups_says_what_it_needs() -> None:
    with pytest.raises(DataError, match="subject of every row"):
        next(SubjectKFold(2).split(np.zeros(3)))
