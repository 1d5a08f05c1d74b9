"""Several teachers made one, temperatures, and filters by confidence, against answers worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from limbeck.distillation.teachers import (
    COMBINATIONS,
    FOR_TRACES,
    calibrated,
    combine,
    confident,
    entropies,
    fit_temperature,
    log_softmax,
    unfittable,
)
from limbeck.errors import DataError

RNG = np.random.default_rng(4)
LOGITS = RNG.normal(size=(3, 40, 4)).astype(np.float32) * 2
TRUTH = RNG.integers(0, 4, 40)
LABELLED = np.arange(40) < 15


def softmax(values: np.ndarray) -> np.ndarray:
    exponents = np.exp(values.astype(np.float64))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def combined(how: str, logits: np.ndarray = LOGITS, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    return combine(logits, how, options, truth=TRUTH, labelled=LABELLED)


def options_for(how: str) -> dict[str, Any]:
    return {"weights": [1.0, 2.0, 3.0]} if how == "weights" else {}


def cross_entropies(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return -np.log(softmax(logits))[:, np.arange(len(truth)), truth]


# ---- ways to combine ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", list(COMBINATIONS))
def test_weights_sum_to_one_and_the_type_stays(how: str) -> None:
    found, weights = combined(how, **options_for(how))
    assert found.shape == (40, 4)
    assert found.dtype == np.float32
    np.testing.assert_allclose(weights.sum(axis=0), 1)
    assert (weights >= 0).all()


@pytest.mark.parametrize("how", list(COMBINATIONS))
def test_one_teacher_alone_is_handed_on_as_it_is(how: str) -> None:
    options = {"weights": [2.0]} if how == "weights" else {}
    found, weights = combine(LOGITS[:1], how, options, truth=TRUTH, labelled=LABELLED)
    np.testing.assert_array_equal(weights, 1)
    np.testing.assert_allclose(softmax(found), softmax(LOGITS[0]), atol=1e-6)


@pytest.mark.parametrize("how", list(COMBINATIONS))
def test_truth_is_read_where_it_may_be_seen_only(how: str) -> None:
    poisoned = np.where(LABELLED, TRUTH, -(10**6)).astype(np.float64)
    poisoned[~LABELLED] = np.nan
    clean = combined(how, **options_for(how))
    found = combine(LOGITS, how, options_for(how), truth=poisoned, labelled=LABELLED)
    np.testing.assert_array_equal(found[0], clean[0])
    np.testing.assert_array_equal(found[1], clean[1])


@pytest.mark.parametrize("how", list(COMBINATIONS))
def test_who_hands_over_nothing_weighs_nothing_there(how: str) -> None:
    logits = LOGITS.copy()
    logits[1, [2, 30]] = np.nan
    logits[2, 30, 0] = np.nan
    found, weights = combined(how, logits, **options_for(how))
    assert np.isfinite(found).all()
    assert not weights[1, [2, 30]].any()
    assert weights[0, 30] == 1
    np.testing.assert_allclose(softmax(found)[30], softmax(LOGITS)[0, 30], atol=1e-6)
    np.testing.assert_allclose(weights.sum(axis=0), 1)


def test_windows_without_any_teacher_are_named() -> None:
    logits = LOGITS.copy()
    logits[:, [5, 9]] = np.nan
    with pytest.raises(DataError, match="windows 5, 9: all values are NaN"):
        combined("average", logits)


def test_the_average_is_of_logits_or_of_softened_probabilities() -> None:
    np.testing.assert_allclose(combined("average")[0], LOGITS.mean(axis=0), atol=1e-6)
    found, _ = combined("average", of="probabilities", temperature=3.0)
    np.testing.assert_allclose(softmax(found / 3), softmax(LOGITS / 3).mean(axis=0), atol=1e-6)


def test_averaging_probabilities_does_not_overflow() -> None:
    found, _ = combined("average", LOGITS * 1e4, of="probabilities")
    assert np.isfinite(found).all()


def test_written_weights_are_shared_out_where_one_is_missing() -> None:
    logits = LOGITS.copy()
    logits[2, 7] = np.nan
    _, weights = combined("weights", logits, weights=[1, 1, 2])
    np.testing.assert_allclose(weights[:, 0], [0.25, 0.25, 0.5])
    np.testing.assert_allclose(weights[:, 7], [0.5, 0.5, 0])


def test_a_window_where_only_weightless_teachers_speak_is_refused() -> None:
    logits = LOGITS.copy()
    logits[0, 7] = np.nan
    with pytest.raises(DataError, match="In window 7 only teachers of weight 0"):
        combined("weights", logits, weights=[1, 0, 0])


@pytest.mark.parametrize("weights", [[1, 2], [1, -1, 2], [0, 0, 0], [1, np.nan, 1], []])
def test_weights_that_cannot_be_used_are_refused(weights: list[float]) -> None:
    with pytest.raises(DataError, match="3 numbers, one per teacher"):
        combined("weights", weights=weights)


def right_with(accuracy_of_class: tuple[float, float], truth: np.ndarray) -> np.ndarray:
    """Return logits of two classes that are right on these shares of the windows of each class."""
    decided = truth.copy()
    for code, share in enumerate(accuracy_of_class):
        own = np.flatnonzero(truth == code)
        decided[own[round(share * len(own)) :]] = 1 - code
    return np.where(decided[:, None] == np.arange(2), 1.0, -1.0)


def test_scores_are_balanced_accuracies_of_validation_windows_where_there_are_any() -> None:
    truth = np.repeat([0, 1], [80, 20])
    good, poor = (
        right_with((0.5, 1.0), truth),
        right_with((1.0, 0.0), truth),
    )  # accuracies .6 and .8, balanced .75 and .5
    logits = np.stack([poor, good])
    everywhere = np.ones(100, dtype=bool)
    _, weights = combine(
        logits, "accuracy", truth=truth, labelled=everywhere, validation=(np.stack([good, poor]), truth)
    )
    expected = np.exp(0.25 / 0.1)
    np.testing.assert_allclose(weights[0] / weights[1], expected)
    _, weights = combine(logits, "accuracy", {"tau": 0.5}, truth=truth, labelled=everywhere)
    np.testing.assert_allclose(weights[1] / weights[0], np.exp(0.25 / 0.5))


def test_a_teacher_that_cannot_be_scored_counts_as_the_mean_of_the_others() -> None:
    truth = np.repeat([0, 1], 10)
    logits = np.stack([right_with((1, 1), truth), right_with((0.5, 0.5), truth), right_with((1, 1), truth)])
    labelled = np.arange(20) % 2 == 0
    logits[2, labelled] = np.nan
    _, weights = combine(logits, "accuracy", truth=truth, labelled=labelled)
    scores = -0.1 * np.log(weights[:, 1] / weights[0, 1])
    assert scores[2] == pytest.approx(scores[1] / 2)


def test_scores_without_any_label_are_refused() -> None:
    with pytest.raises(DataError, match="no labelled window"):
        combine(LOGITS, "accuracy", truth=TRUTH, labelled=np.zeros(40, dtype=bool))


def test_confidence_weights_are_those_of_the_formula_where_labels_are_seen() -> None:
    _, weights = combined("confidence")
    costs = np.exp(cross_entropies(LOGITS, TRUTH))
    expected = (1 - costs / costs.sum(axis=0)) / 2
    np.testing.assert_allclose(weights[:, LABELLED], expected[:, LABELLED], atol=1e-6)


def test_confidence_weights_fall_with_entropy_where_labels_are_hidden() -> None:
    _, weights = combined("confidence", tau=0.5)
    shares = softmax(LOGITS)
    uncertain = -(shares * np.log(shares)).sum(axis=-1)
    expected = np.exp(-uncertain / 0.5) / np.exp(-uncertain / 0.5).sum(axis=0)
    np.testing.assert_allclose(weights[:, ~LABELLED], expected[:, ~LABELLED], atol=1e-6)


def test_a_teacher_that_is_wrong_beyond_measure_does_not_overflow() -> None:
    logits = LOGITS.copy()
    logits[0] *= 1e5
    found, weights = combined("confidence", logits)
    assert np.isfinite(found).all()
    assert np.isfinite(weights).all()


def test_one_combined_teacher_teaches_what_the_sum_of_weighted_losses_does() -> None:
    found, weights = combined("confidence", temperature=4.0)
    students = np.random.default_rng(1).normal(size=(2, 40, 4))

    def of_all(student: np.ndarray) -> np.ndarray:
        teachers, student_logs = log_softmax(LOGITS / 4), log_softmax(student / 4)
        return (weights * (np.exp(teachers) * (teachers - student_logs)).sum(axis=-1)).sum(axis=0)

    def of_one(student: np.ndarray) -> np.ndarray:
        teacher = log_softmax(found / 4)
        return (np.exp(teacher) * (teacher - log_softmax(student / 4))).sum(axis=-1)

    np.testing.assert_allclose(
        of_all(students[0]) - of_all(students[1]), of_one(students[0]) - of_one(students[1]), atol=1e-5
    )


def test_the_best_teacher_of_a_window_is_nearest_to_its_label_or_surest_without_one() -> None:
    found, weights = combined("best")
    nearest = cross_entropies(LOGITS, TRUTH).argmin(axis=0)
    surest = softmax(LOGITS).max(axis=-1).argmax(axis=0)
    chosen = np.where(LABELLED, nearest, surest)
    assert (nearest[LABELLED] != surest[LABELLED]).any(), "the two rules must differ somewhere"
    np.testing.assert_array_equal(weights.argmax(axis=0), chosen)
    np.testing.assert_allclose(found, LOGITS[chosen, np.arange(40)])


@pytest.mark.parametrize("score", ["ccc", "rmse"])
def test_teachers_of_traces_are_weighed_by_their_agreement(score: str) -> None:
    truth = np.sin(np.arange(30.0))
    values = np.stack([truth + 0.01 * np.cos(np.arange(30)), np.roll(truth, 2)])[..., None]
    labelled = np.arange(30) < 20
    hidden = np.where(labelled, truth, np.nan)
    found, weights = combine(values, "accuracy", {"score": score}, truth=hidden, labelled=labelled, kind="trace")
    assert found.shape == (30, 1)
    assert (weights[0] > 0.99).all()
    rescaled = combine(100 * values, "accuracy", {"score": score}, truth=100 * hidden, labelled=labelled, kind="trace")
    np.testing.assert_allclose(rescaled[1], weights, atol=1e-9)


def test_traces_with_steps_are_averaged_step_by_step() -> None:
    values = RNG.normal(size=(2, 10, 5))
    found, _ = combine(values, "average", truth=values[0], labelled=np.ones(10, dtype=bool), kind="trace")
    np.testing.assert_allclose(found, values.mean(axis=0))


@pytest.mark.parametrize("how", sorted(set(COMBINATIONS) - FOR_TRACES))
def test_what_needs_probabilities_is_refused_for_traces(how: str) -> None:
    with pytest.raises(DataError, match="for a trace take accuracy, average, weights"):
        combine(LOGITS[..., :1], how, truth=TRUTH.astype(float), labelled=LABELLED, kind="trace")


def test_everything_that_does_not_fit_is_named_at_once() -> None:
    logits = LOGITS.copy()
    logits[1, 0, 0] = np.inf
    with pytest.raises(DataError) as caught:
        combine(logits, "averag", truth=TRUTH[:5], labelled=LABELLED[:7], validation=(LOGITS[:2], TRUTH))
    for part in ("Did you mean 'average'", r"teachers [1] are infinite", "40 windows", "40 booleans", "validation"):
        assert part in str(caught.value)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(DataError, match=r"no option 'tao'\. Did you mean 'tau'"):
        combined("confidence", tao=1)


@pytest.mark.parametrize(("option", "value"), [("of", "logit"), ("temperature", 0.0), ("tau", -1.0)])
def test_values_of_options_are_checked(option: str, value: Any) -> None:
    with pytest.raises(DataError, match=f"{option}: expected"):
        combined("confidence", **{option: value})


def test_a_labelled_window_without_target_is_refused() -> None:
    truth = TRUTH.copy()
    truth[3], truth[20] = -1, -1
    with pytest.raises(DataError, match="window 3 have none"):
        combine(LOGITS, "average", truth=truth, labelled=LABELLED)


# ---- how sure ------------------------------------------------------------------------------------------------------


def drawn(temperature: float, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Return logits, and labels that are drawn from their probabilities at a temperature."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(count, 3)) * 3
    labels = (softmax(logits / temperature).cumsum(axis=1) < rng.random((count, 1))).sum(axis=1)
    return logits, labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_labels_were_drawn_at_is_found(temperature: float) -> None:
    assert fit_temperature(*drawn(temperature)) == pytest.approx(temperature, rel=0.05)


def test_the_temperature_is_where_the_likelihood_has_no_slope() -> None:
    logits, labels = drawn(2.0, 300)
    found = fit_temperature(logits, labels)
    inverse = 1 / found
    slope = (softmax(logits * inverse) * logits).sum(axis=1) - logits[np.arange(300), labels]
    assert abs(slope.mean()) < 1e-4


def test_calibrated_logits_are_as_sure_as_they_are_right() -> None:
    logits, labels = drawn(3.0)
    accuracy = (logits.argmax(axis=1) == labels).mean()
    better = calibrated(logits.astype(np.float32), fit_temperature(logits, labels))
    assert better.dtype == np.float32
    assert softmax(logits).max(axis=1).mean() > accuracy + 0.1
    assert softmax(better).max(axis=1).mean() == pytest.approx(accuracy, abs=0.01)
    np.testing.assert_array_equal(better.argmax(axis=1), logits.argmax(axis=1))


def test_windows_without_knowledge_are_passed_over() -> None:
    logits, labels = drawn(3.0, 500)
    holed = np.concatenate([logits, np.full((50, 3), np.nan)])
    assert fit_temperature(holed, np.concatenate([labels, np.zeros(50, dtype=int)])) == fit_temperature(logits, labels)


def test_logits_that_are_always_right_or_tell_nothing_end_at_the_bounds() -> None:
    truth = np.arange(10) % 2
    right = np.where(truth[:, None] == np.arange(2), 1.0, -1.0)
    assert fit_temperature(right, truth) == pytest.approx(0.05, rel=1e-3)
    assert fit_temperature(-right, truth, bounds=(0.1, 5.0)) == pytest.approx(5.0, rel=1e-3)


@pytest.mark.parametrize(("truth", "why"), [([], "there is none"), ([1, 1, 1], "one class only")])
def test_a_temperature_that_cannot_be_told_is_one_for_a_reason(truth: list[int], why: str) -> None:
    codes = np.array(truth, dtype=int)
    assert fit_temperature(np.ones((len(codes), 2)) * [3.0, 1.0], codes) == 1.0
    assert why in unfittable(codes)
    assert not unfittable(np.array([0, 1]))


def test_a_temperature_of_things_that_do_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match=r"(?s)class codes from 0 to 1: found 0 to 2.*bounds above 0"):
        fit_temperature(np.zeros((3, 2)), np.array([0, 1, 2]), bounds=(2.0, 1.0))
    with pytest.raises(DataError, match="temperature: expected a number above 0"):
        calibrated(LOGITS, 0.0)


def test_entropy_is_that_of_the_formula_even_of_certainty() -> None:
    np.testing.assert_allclose(entropies(np.zeros((2, 4))), np.log(4))
    np.testing.assert_allclose(entropies(np.array([[1e5, 0.0]])), 0)


# ---- filters -------------------------------------------------------------------------------------------------------


def sure(*probabilities: float) -> np.ndarray:
    """Return logits of two classes with these probabilities of the second."""
    chosen = np.array(probabilities)
    return np.log(np.column_stack([1 - chosen, chosen]))


NONE_LABELLED = np.zeros(6, dtype=bool)
SIX = sure(0.9, 0.8, 0.7, 0.6, 0.2, 0.4)


def test_a_threshold_keeps_the_windows_that_the_teacher_is_sure_of() -> None:
    np.testing.assert_array_equal(confident(SIX, labelled=NONE_LABELLED, threshold=0.75), [1, 1, 0, 0, 1, 0])


def test_a_share_keeps_the_surest_of_every_class_that_the_teacher_sees() -> None:
    np.testing.assert_array_equal(confident(SIX, labelled=NONE_LABELLED, share=0.5), [1, 1, 0, 0, 1, 0])
    np.testing.assert_array_equal(confident(SIX, labelled=NONE_LABELLED, share=0.01), [1, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(confident(SIX, labelled=NONE_LABELLED, share=1.0), np.ones(6))


def test_what_is_kept_by_both_has_passed_both() -> None:
    np.testing.assert_array_equal(confident(SIX, labelled=NONE_LABELLED, share=0.5, threshold=0.85), [1, 0, 0, 0, 0, 0])


def test_a_share_is_not_rounded_up_by_floating_point() -> None:
    assert confident(sure(*np.linspace(0.6, 0.9, 30)), labelled=np.zeros(30, dtype=bool), share=0.1).sum() == 3


def test_balance_gives_every_class_the_same_weight_in_sum() -> None:
    weights = confident(SIX, labelled=NONE_LABELLED, share=1.0, balance=True)
    assert weights[:4].sum() == pytest.approx(3)
    assert weights[4:].sum() == pytest.approx(3)
    assert weights.mean() == pytest.approx(1)


def test_labelled_windows_weigh_one_and_windows_without_knowledge_nothing() -> None:
    logits = SIX.copy()
    logits[[0, 3]] = np.nan
    labelled = np.array([False, False, False, True, False, True])
    weights = confident(logits, labelled=labelled, threshold=0.75, balance=True)
    np.testing.assert_array_equal(weights, [0, 1, 0, 1, 1, 1])


def test_nothing_is_kept_where_the_teacher_is_never_sure_enough() -> None:
    assert not confident(SIX, labelled=NONE_LABELLED, threshold=0.99, balance=True).any()


@pytest.mark.parametrize("options", [{}, {"threshold": 0.0}, {"share": 1.5}])
def test_filters_that_cannot_be_meant_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(DataError, match="cannot be chosen by confidence"):
        confident(SIX, labelled=NONE_LABELLED, **options)
