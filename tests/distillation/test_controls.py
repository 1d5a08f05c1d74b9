"""The controls: what they spoil, what they keep, and that no hidden label is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from limbeck.distillation import CREDIT, DIAGNOSTICS, spoil
from limbeck.distillation.controls import constant_confidence, permute_within, scrambling_groups
from limbeck.errors import DataError

N, CLASSES = 240, 3
SPOILS = ("scrambled", *DIAGNOSTICS)


def softmax(x: np.ndarray) -> np.ndarray:
    shares = np.exp(x - x.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


@pytest.fixture
def fold(rng: np.random.Generator) -> dict[str, Any]:
    """Six subjects of forty windows, of which the first two carry labels; knowledge that says which window it is of."""
    logits = rng.normal(0, 2, (N, CLASSES)).astype(np.float32)
    return {
        "knowledge": {"logits": logits, "fused": np.arange(N, dtype=np.float32)[:, None] * np.ones(2, np.float32)},
        "subjects": np.repeat(np.arange(6), 40),
        "labelled": np.repeat([True, False], [80, 160]),
        "truth": rng.integers(0, CLASSES, N),
        "temperature": 2.0,
        "kind": "class",
    }


def spoiled(fold: dict[str, Any], control: str, seed: int = 0, **changes: Any) -> dict[str, np.ndarray]:
    arguments = {**fold, **changes}
    return spoil(arguments.pop("knowledge"), control, **arguments, rng=np.random.default_rng(seed))


def origin(result: dict[str, np.ndarray]) -> np.ndarray:
    """Which window each window's knowledge was taken from."""
    return result["fused"][:, 0].astype(int)


@pytest.mark.parametrize("control", ["scrambled", "within_predicted"])
def test_permuted_knowledge_is_a_permutation_that_keeps_each_window_s_knowledge_together(
    fold: dict[str, Any], control: str
) -> None:
    result = spoiled(fold, control)
    taken = origin(result)

    assert sorted(taken) == list(range(N))
    np.testing.assert_array_equal(result["logits"], fold["knowledge"]["logits"][taken])
    assert (taken == np.arange(N)).mean() < 0.2


def test_scrambling_stays_within_subject_where_there_are_no_labels(fold: dict[str, Any]) -> None:
    taken, hidden = origin(spoiled(fold, "scrambled")), ~fold["labelled"]

    np.testing.assert_array_equal(fold["subjects"][taken][hidden], fold["subjects"][hidden])


def test_scrambling_stays_within_true_class_where_there_are_labels(fold: dict[str, Any]) -> None:
    taken, seen = origin(spoiled(fold, "scrambled")), fold["labelled"]

    np.testing.assert_array_equal(fold["truth"][taken][seen], fold["truth"][seen])
    assert fold["labelled"][taken][seen].all()
    # Within class it goes across subjects: a teacher's idea of the person is taken away as well.
    assert (fold["subjects"][taken][seen] != fold["subjects"][seen]).mean() > 0.3


def test_scrambling_breaks_what_the_knowledge_says_of_a_window(fold: dict[str, Any]) -> None:
    result, hidden = spoiled(fold, "scrambled"), ~fold["labelled"]
    before, after = fold["knowledge"]["logits"][hidden, 0], result["logits"][hidden, 0]

    assert abs(np.corrcoef(before, after)[0, 1]) < 0.25


@pytest.mark.parametrize("control", SPOILS)
def test_no_control_reads_a_label_that_the_protocol_hides(fold: dict[str, Any], control: str) -> None:
    other_truth = np.where(fold["labelled"], fold["truth"], CLASSES - 1 - fold["truth"])
    nonsense = np.where(fold["labelled"], fold["truth"], -99)

    result = spoiled(fold, control)
    for truth in (other_truth, nonsense):
        changed = spoiled(fold, control, truth=truth)
        for name in result:
            np.testing.assert_array_equal(changed[name], result[name])


def test_scrambling_does_read_the_labels_that_may_be_seen(fold: dict[str, Any]) -> None:
    shifted = np.where(fold["labelled"], (fold["truth"] + fold["subjects"]) % CLASSES, fold["truth"])

    assert (origin(spoiled(fold, "scrambled", truth=shifted)) != origin(spoiled(fold, "scrambled"))).any()


@pytest.mark.parametrize("control", ["within_predicted", "hard_labels", "smoothed"])
def test_a_diagnostic_keeps_every_decision_of_the_teacher(fold: dict[str, Any], control: str) -> None:
    decided = fold["knowledge"]["logits"].argmax(axis=1)

    np.testing.assert_array_equal(spoiled(fold, control)["logits"].argmax(axis=1), decided)


def test_hard_labels_are_certain(fold: dict[str, Any]) -> None:
    shares = softmax(spoiled(fold, "hard_labels")["logits"] / fold["temperature"])

    np.testing.assert_allclose(shares.max(axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 8.0])
def test_smoothed_knowledge_has_the_teacher_s_mean_confidence_everywhere(
    fold: dict[str, Any], temperature: float
) -> None:
    confidence = softmax(fold["knowledge"]["logits"] / temperature).max(axis=1)
    shares = softmax(spoiled(fold, "smoothed", temperature=temperature)["logits"] / temperature)

    np.testing.assert_allclose(shares.max(axis=1), confidence.mean(), rtol=1e-5)
    # What is left goes to the other classes in equal parts.
    np.testing.assert_allclose(np.sort(shares, axis=1)[:, 0], np.sort(shares, axis=1)[:, 1], rtol=1e-5)


@pytest.mark.parametrize("control", SPOILS)
def test_a_control_is_drawn_from_its_generator_alone(fold: dict[str, Any], control: str) -> None:
    first, again = spoiled(fold, control, seed=3), spoiled(fold, control, seed=3)

    for name in first:
        np.testing.assert_array_equal(first[name], again[name])


def test_another_seed_draws_another_permutation(fold: dict[str, Any]) -> None:
    assert (origin(spoiled(fold, "scrambled", seed=1)) != origin(spoiled(fold, "scrambled", seed=2))).any()


@pytest.mark.parametrize("control", SPOILS)
def test_the_teacher_s_knowledge_itself_is_left_alone(fold: dict[str, Any], control: str) -> None:
    before = {name: values.copy() for name, values in fold["knowledge"].items()}

    spoiled(fold, control)

    for name, values in before.items():
        np.testing.assert_array_equal(fold["knowledge"][name], values)


@pytest.mark.parametrize("control", SPOILS)
def test_spoiled_knowledge_keeps_shapes_and_types(fold: dict[str, Any], control: str) -> None:
    for name, values in spoiled(fold, control).items():
        assert values.shape == fold["knowledge"][name].shape
        assert values.dtype == np.float32


def test_a_trace_is_scrambled_within_subject_and_within_fifths_of_the_labels(
    fold: dict[str, Any], rng: np.random.Generator
) -> None:
    truth = np.where(fold["labelled"], rng.normal(size=N), np.nan)
    seen = fold["labelled"]
    edges = np.quantile(truth[seen], [0.2, 0.4, 0.6, 0.8])

    taken = origin(spoiled(fold, "scrambled", truth=truth, kind="trace"))

    np.testing.assert_array_equal(np.searchsorted(edges, truth[taken][seen]), np.searchsorted(edges, truth[seen]))
    np.testing.assert_array_equal(fold["subjects"][taken][~seen], fold["subjects"][~seen])


def test_a_fold_without_any_label_is_scrambled_within_subject(fold: dict[str, Any]) -> None:
    for kind in ("class", "trace"):
        taken = origin(spoiled(fold, "scrambled", labelled=np.zeros(N, bool), kind=kind))
        np.testing.assert_array_equal(fold["subjects"][taken], fold["subjects"])


@pytest.mark.parametrize("control", DIAGNOSTICS)
def test_a_diagnostic_of_a_trace_or_without_logits_is_refused(fold: dict[str, Any], control: str) -> None:
    with pytest.raises(DataError, match=f"'{control}' needs a teacher's class logits"):
        spoiled(fold, control, kind="trace")
    with pytest.raises(DataError, match=f"'{control}' needs a teacher's class logits"):
        spoiled(fold, control, knowledge={"fused": fold["knowledge"]["fused"]})


def test_an_unknown_control_is_refused(fold: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="'shuffled'"):
        spoiled(fold, "shuffled")


def test_permuting_within_groups_is_even(rng: np.random.Generator) -> None:
    """Every element of a group goes to every place of it about equally often."""
    groups = np.array([0, 1, 0, 1, 0])
    counts = np.zeros((5, 5))
    for _ in range(3000):
        counts[np.arange(5), permute_within(groups, rng)] += 1

    np.testing.assert_allclose(counts[np.ix_([0, 2, 4], [0, 2, 4])] / 3000, 1 / 3, atol=0.04)
    np.testing.assert_allclose(counts[np.ix_([1, 3], [1, 3])] / 3000, 1 / 2, atol=0.04)


def test_constant_confidence_is_reached_for_two_classes_too() -> None:
    logits = np.array([[0.1, 3.0], [2.0, -1.0]], dtype=np.float32)

    shares = softmax(constant_confidence(logits, 0.8, 1.0))

    np.testing.assert_allclose(shares, [[0.2, 0.8], [0.8, 0.2]], rtol=1e-6)


def test_credit_controls_and_diagnostics_are_those_of_the_design() -> None:
    assert set(CREDIT) == {"own_input", "scrambled"}
    assert set(DIAGNOSTICS) == {"hard_labels", "within_predicted", "smoothed"}


def test_groups_to_scramble_within_are_subjects_without_labels_and_classes_with(fold: dict[str, Any]) -> None:
    groups = scrambling_groups(fold["subjects"], fold["labelled"], fold["truth"], "class")
    seen, hidden = fold["labelled"], ~fold["labelled"]

    np.testing.assert_array_equal(groups[hidden], fold["subjects"][hidden])
    assert len(set(groups[seen])) == CLASSES
    assert not set(groups[seen]) & set(groups[hidden])
    for group in set(groups[seen]):
        assert len(set(fold["truth"][seen][groups[seen] == group])) == 1


def test_what_is_handed_over_is_scrambled_as_windows_shown_to_a_partner_are(fold: dict[str, Any]) -> None:
    """A teacher that is asked at every step and one whose knowledge is handed over are controlled alike."""
    groups = scrambling_groups(fold["subjects"], fold["labelled"], fold["truth"], "class")
    order = permute_within(groups, np.random.default_rng(5))
    np.testing.assert_array_equal(origin(spoiled(fold, "scrambled", seed=5)), order)
