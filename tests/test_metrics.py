"""Metrics agree with scikit-learn and SciPy, and say NaN where a score is undefined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import pearsonr
from sklearn import metrics as reference

from limbeck import metrics
from limbeck.errors import DataError, LimbeckError

codes = st.integers(2, 60).flatmap(
    lambda n: st.tuples(
        arrays(np.int64, n, elements=st.integers(0, 3)), arrays(np.int64, n, elements=st.integers(0, 3))
    )
)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label was found")
@settings(max_examples=60, deadline=None)
@given(codes)
def test_class_scores_agree_with_scikit_learn(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, prediction = pair
    assert metrics.accuracy(truth, prediction) == pytest.approx(reference.accuracy_score(truth, prediction))
    assert metrics.balanced_accuracy(truth, prediction) == pytest.approx(
        reference.balanced_accuracy_score(truth, prediction)
    )
    assert metrics.macro_f1(truth, prediction) == pytest.approx(
        reference.f1_score(truth, prediction, average="macro", zero_division=0)
    )
    if len(np.unique(truth)) > 1:
        assert metrics.kappa(truth, prediction) == pytest.approx(reference.cohen_kappa_score(truth, prediction))
        assert metrics.mcc(truth, prediction) == pytest.approx(reference.matthews_corrcoef(truth, prediction))


def test_confusion_matrix_agrees_with_scikit_learn_and_stacks_by_group(rng: np.random.Generator) -> None:
    truth, prediction, group = rng.integers(0, 3, 200), rng.integers(0, 3, 200), rng.integers(0, 4, 200)
    assert np.array_equal(metrics.confusion_matrix(truth, prediction), reference.confusion_matrix(truth, prediction))
    stacked = metrics.confusion_matrix(truth, prediction, 3, group=group, n_groups=5)
    for g in range(4):
        expected = reference.confusion_matrix(truth[group == g], prediction[group == g], labels=[0, 1, 2])
        assert np.array_equal(stacked[g], expected)
    assert not stacked[4].any()


def test_scores_of_stacked_matrices_are_those_of_each(rng: np.random.Generator) -> None:
    stacked = rng.integers(0, 9, (2, 5, 3, 3))
    for metric in metrics.METRICS.values():
        if metric.of_confusion is not None:
            whole = metric.of_confusion(stacked)
            assert whole.shape == (2, 5)
            assert whole[1, 3] == pytest.approx(float(metric.of_confusion(stacked[1, 3])))


@pytest.mark.parametrize("ties", [False, True])
def test_binary_auc_agrees_with_scikit_learn(rng: np.random.Generator, ties: bool) -> None:
    truth, score = rng.integers(0, 2, 150), rng.random(150)
    score = np.round(score, 1) if ties else score
    expected = reference.roc_auc_score(truth, score)
    assert metrics.auc(truth, score) == pytest.approx(expected)
    assert metrics.auc(truth, np.column_stack([1 - score, score]).astype(np.float32)) == pytest.approx(expected)


def test_auc_of_several_classes_is_one_against_the_rest_averaged(rng: np.random.Generator) -> None:
    truth = rng.integers(0, 4, 200)
    probabilities = rng.dirichlet(np.ones(4), 200)
    expected = reference.roc_auc_score(truth, probabilities, multi_class="ovr", average="macro")
    assert metrics.auc(truth, probabilities) == pytest.approx(expected)


def test_auc_within_groups_is_that_of_each_group_alone(rng: np.random.Generator) -> None:
    truth, group, score = rng.integers(0, 2, 300), rng.integers(0, 6, 300), np.round(rng.random(300), 1)
    together = metrics.grouped_auc(truth, score, group, 6)
    alone = [reference.roc_auc_score(truth[group == g], score[group == g]) for g in range(6)]
    assert together == pytest.approx(np.array(alone))


def test_two_scores_that_do_not_mirror_each_other_are_both_ranked() -> None:
    truth = np.array([0, 0, 1, 1])
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.85, 0.3], [0.1, 0.4]])
    assert metrics.auc(truth, scores) == pytest.approx((1.0 + 0.75) / 2)


def test_trace_scores_agree_with_their_definitions(rng: np.random.Generator) -> None:
    truth = rng.normal(3, 2, 80)
    prediction = 0.5 * truth + rng.normal(0, 1, 80)
    assert metrics.rmse(truth, prediction) == pytest.approx(reference.root_mean_squared_error(truth, prediction))
    assert metrics.pcc(truth, prediction) == pytest.approx(pearsonr(truth, prediction).statistic)
    covariance = np.cov(truth, prediction, ddof=0)
    shift = (truth.mean() - prediction.mean()) ** 2
    assert metrics.ccc(truth, prediction) == pytest.approx(2 * covariance[0, 1] / (np.trace(covariance) + shift))
    assert metrics.ccc(truth, truth) == pytest.approx(1.0)


def test_trace_scores_within_groups_are_those_of_each_group_alone(rng: np.random.Generator) -> None:
    truth, prediction, group = rng.normal(size=90), rng.normal(size=90), rng.integers(0, 3, 90)
    together = metrics.grouped_trace_scores(truth, prediction, group, 3)
    for name, values in together.items():
        alone = [metrics.METRICS[name].score(truth[group == g], prediction[group == g]) for g in range(3)]
        assert values == pytest.approx(np.array(alone))


def test_balanced_accuracy_of_a_missing_class_is_the_recall_of_the_others() -> None:
    assert metrics.balanced_accuracy(np.array([0, 0, 0, 0]), np.array([0, 0, 1, 2])) == 0.5


@pytest.mark.parametrize("prediction", [[0, 0, 0], [0, 1, 1]])
def test_scores_that_need_two_classes_are_nan_for_one_whatever_was_predicted(prediction: list[int]) -> None:
    truth = np.zeros(3, int)
    assert np.isnan(metrics.kappa(truth, np.array(prediction)))
    assert np.isnan(metrics.mcc(truth, np.array(prediction)))
    assert np.isnan(metrics.auc(truth, np.array(prediction, float)))


def test_a_collapsed_prediction_scores_zero_and_a_constant_truth_is_undefined() -> None:
    varied, constant = np.array([0.1, 0.4, 0.2]), np.full(3, 0.1)
    assert metrics.pcc(varied, constant) == 0.0
    assert metrics.ccc(varied, constant) == 0.0
    assert np.isnan(metrics.pcc(constant, varied))
    assert np.isnan(metrics.ccc(constant, varied))
    assert metrics.mcc(np.array([0, 1, 1]), np.array([1, 1, 1])) == 0.0


def test_missing_probabilities_make_the_auc_undefined() -> None:
    assert np.isnan(metrics.auc(np.array([0, 1, 0]), np.array([0.1, np.nan, 0.3])))


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        ([0, -1], [0, 1], "without a target"),
        ([0, 3], [0, 1], r"0 \.\. 1"),
        ([0, 1, 1], [0, 1], "3 and 2"),
        ([0.5, 1], [0, 1], "whole numbers"),
    ],
)
def test_codes_that_are_no_class_codes_are_refused(truth: list, prediction: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        metrics.confusion_matrix(np.array(truth), np.array(prediction), 2)


def test_empty_arrays_score_nan() -> None:
    empty = np.zeros(0, int)
    assert np.isnan(metrics.accuracy_of(metrics.confusion_matrix(empty, empty, 2)))
    assert np.isnan(metrics.auc(empty, np.zeros((0, 2))))
    assert np.isnan(metrics.ccc(empty.astype(float), empty.astype(float)))


def test_the_table_of_metrics_names_each_by_its_key_and_only_the_error_wants_to_be_low() -> None:
    assert all(name == metric.name for name, metric in metrics.METRICS.items())
    assert [name for name, metric in metrics.METRICS.items() if not metric.higher_is_better] == ["rmse"]
    with pytest.raises(LimbeckError, match="Did you mean 'balanced_accuracy'"):
        metrics.find_metric("balanced_acuracy")
