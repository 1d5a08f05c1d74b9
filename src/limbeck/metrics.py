"""Scores of predictions: pure functions of arrays.

Scores of classes are functions of a confusion matrix, so that thousands of subjects, repetitions and arms are scored
in one call: every ``*_of`` function takes matrices of shape (..., n_classes, n_classes) and returns shape (...). The
functions of the same name without ``_of`` take class codes. `METRICS` lists all of them with their direction.

What is undefined is NaN, by a rule that looks at the truth and never at the prediction: a model that collapses to a
constant must not lose the subjects on whom it did so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from limbeck.errors import DataError, LimbeckError, did_you_mean

__all__ = [
    "METRICS",
    "Metric",
    "accuracy",
    "accuracy_of",
    "auc",
    "balanced_accuracy",
    "balanced_accuracy_of",
    "ccc",
    "confusion_matrix",
    "find_metric",
    "grouped_auc",
    "grouped_trace_scores",
    "kappa",
    "kappa_of",
    "macro_f1",
    "macro_f1_of",
    "mcc",
    "mcc_of",
    "pcc",
    "rmse",
]


def confusion_matrix(
    truth: np.ndarray,
    prediction: np.ndarray,
    n_classes: int | None = None,
    *,
    group: np.ndarray | None = None,
    n_groups: int | None = None,
) -> np.ndarray:
    """Count samples by truth and prediction.

    Parameters
    ----------
    truth, prediction : ndarray of shape (n_samples,), int
        Class codes from 0.
    n_classes : int, optional
        By default one more than the largest code.
    group : ndarray of shape (n_samples,), int, optional
        Codes from 0; a matrix is returned per group.
    n_groups : int, optional
        By default one more than the largest group.

    Returns
    -------
    ndarray of shape (n_classes, n_classes) or (n_groups, n_classes, n_classes), int64
        Rows are truth, columns are prediction.

    Raises
    ------
    DataError
        When the arrays differ in length or a code is outside ``0 .. n_classes - 1``.
    """
    truth, prediction = _codes(truth, "truth"), _codes(prediction, "prediction")
    _check_same_length(truth, prediction)
    largest = int(max(truth.max(initial=-1), prediction.max(initial=-1)))
    k = largest + 1 if n_classes is None else n_classes
    if largest >= k or min(truth.min(initial=0), prediction.min(initial=0)) < 0:
        raise DataError(
            f"Class codes must lie in 0 .. {k - 1}; found {min(truth.min(), prediction.min())} .. {largest}. "
            "Windows without a target (code -1) must be left out before scoring."
        )
    cell = truth * k + prediction
    if group is None:
        return np.bincount(cell, minlength=k * k).reshape(k, k)
    group = _codes(group, "group")
    _check_same_length(truth, group)
    g = int(group.max(initial=-1)) + 1 if n_groups is None else n_groups
    return np.bincount(group * (k * k) + cell, minlength=g * k * k).reshape(g, k, k)


def _codes(values: np.ndarray, what: str) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 1:
        raise DataError(f"Expected a one-dimensional array of {what} codes; found shape {array.shape}.")
    codes = array.astype(np.int64)
    if array.dtype.kind == "f" and not np.array_equal(codes, array):
        raise DataError(f"Expected whole numbers as {what} codes; found other values (are these scores of a trace?).")
    return codes


def _check_same_length(first: np.ndarray, second: np.ndarray) -> None:
    if len(first) != len(second):
        raise DataError(f"Expected arrays of one length; found {len(first)} and {len(second)} samples.")


def _divide(numerator: np.ndarray, denominator: np.ndarray, *, otherwise: float = np.nan) -> np.ndarray:
    """Divide where the denominator is not zero."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    out = np.full(numerator.shape, otherwise)
    np.divide(numerator, denominator, out=out, where=denominator != 0)
    return out


def accuracy_of(confusion: np.ndarray) -> np.ndarray:
    """Share of samples predicted right, per confusion matrix."""
    c = np.asarray(confusion, float)
    return _divide(np.trace(c, axis1=-2, axis2=-1), c.sum((-2, -1)))


def balanced_accuracy_of(confusion: np.ndarray) -> np.ndarray:
    """Mean recall over the classes that are present in the truth, per confusion matrix."""
    c = np.asarray(confusion, float)
    support = c.sum(-1)
    recall = _divide(np.diagonal(c, axis1=-2, axis2=-1), support, otherwise=0.0)
    return _divide(recall.sum(-1), (support > 0).sum(-1))


def macro_f1_of(confusion: np.ndarray) -> np.ndarray:
    """Mean F1 over the classes that are present in truth or prediction, per confusion matrix."""
    c = np.asarray(confusion, float)
    either = c.sum(-1) + c.sum(-2)
    f1 = _divide(2 * np.diagonal(c, axis1=-2, axis2=-1), either, otherwise=0.0)
    return _divide(f1.sum(-1), (either > 0).sum(-1))


def kappa_of(confusion: np.ndarray) -> np.ndarray:
    """Cohen's kappa, per confusion matrix; NaN where the truth holds one class only."""
    c = np.asarray(confusion, float)
    total = c.sum((-2, -1))
    truth, prediction = c.sum(-1), c.sum(-2)
    agreed = _divide(np.trace(c, axis1=-2, axis2=-1), total)
    by_chance = _divide((truth * prediction).sum(-1), total**2)
    score = _divide(agreed - by_chance, 1 - by_chance)
    return np.where((truth > 0).sum(-1) > 1, score, np.nan)


def mcc_of(confusion: np.ndarray) -> np.ndarray:
    """Matthews correlation coefficient (Gorodkin 2004 for several classes), per confusion matrix.

    A constant prediction scores 0; NaN where the truth holds one class only.
    """
    c = np.asarray(confusion, float)
    total = c.sum((-2, -1))
    truth, prediction = c.sum(-1), c.sum(-2)
    covariance = np.trace(c, axis1=-2, axis2=-1) * total - (truth * prediction).sum(-1)
    spread = np.sqrt((total**2 - (truth**2).sum(-1)) * (total**2 - (prediction**2).sum(-1)))
    score = _divide(covariance, spread, otherwise=0.0)
    return np.where((truth > 0).sum(-1) > 1, score, np.nan)


def accuracy(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Share of samples predicted right; arguments as in :func:`confusion_matrix`."""
    return float(accuracy_of(confusion_matrix(truth, prediction)))


def balanced_accuracy(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Mean recall over the classes that are present in the truth; arguments as in :func:`confusion_matrix`.

    A subject with one class only is scored by the recall of that class, for which 1/n_classes is not the chance level.
    """
    return float(balanced_accuracy_of(confusion_matrix(truth, prediction)))


def macro_f1(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Mean F1 over the classes in truth or prediction; arguments as in :func:`confusion_matrix`."""
    return float(macro_f1_of(confusion_matrix(truth, prediction)))


def kappa(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Cohen's kappa, unweighted; NaN for one class in the truth; arguments as in :func:`confusion_matrix`."""
    return float(kappa_of(confusion_matrix(truth, prediction)))


def mcc(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Matthews correlation coefficient; NaN for one class in the truth; arguments as in :func:`confusion_matrix`."""
    return float(mcc_of(confusion_matrix(truth, prediction)))


def auc(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Area under the ROC curve: one class against the rest, averaged over the classes present in the truth.

    Parameters
    ----------
    truth : ndarray of shape (n_samples,), int
        Class codes from 0.
    probabilities : ndarray of shape (n_samples, n_classes) or (n_samples,), float
        A score per class; one column is taken as the score of class 1 of two.

    Returns
    -------
    float
        NaN when the truth holds fewer than two classes or a score is NaN.
    """
    truth = _codes(truth, "truth")
    return float(grouped_auc(truth, probabilities, np.zeros(len(truth), np.int64), 1)[0])


def grouped_auc(truth: np.ndarray, probabilities: np.ndarray, group: np.ndarray, n_groups: int) -> np.ndarray:
    """Area under the ROC curve within each group of samples, by the Mann-Whitney statistic.

    Parameters
    ----------
    truth, probabilities : ndarray
        As in :func:`auc`.
    group : ndarray of shape (n_samples,), int
        Codes from 0.
    n_groups : int
        How many groups there are.

    Returns
    -------
    ndarray of shape (n_groups,), float64
        NaN as in :func:`auc`.
    """
    truth = _codes(truth, "truth")
    scores = np.asarray(probabilities, float)
    if scores.ndim == 1:
        scores = np.column_stack([-scores, scores])
    _check_same_length(truth, scores)
    if truth.size and (truth.min() < 0 or truth.max() >= scores.shape[1]):
        raise DataError(f"Class codes {truth.min()} .. {truth.max()} need as many columns; found {scores.shape[1]}.")
    size = np.bincount(group, minlength=n_groups)
    total, present = np.zeros(n_groups), np.zeros(n_groups)
    # With two classes whose scores mirror each other, the area of one is that of the other.
    mirrored = scores.shape[1] == 2 and np.allclose(scores.sum(1), scores[:1].sum(), atol=1e-5, equal_nan=False)
    for k in [1] if mirrored else range(scores.shape[1]):
        rank = _ranks_within(scores[:, k], group)
        positive = np.bincount(group[truth == k], minlength=n_groups)
        rank_sum = np.bincount(group[truth == k], weights=rank[truth == k], minlength=n_groups)
        area = _divide(rank_sum - positive * (positive + 1) / 2, positive * (size - positive))
        defined = (positive > 0) & (positive < size)
        total += np.where(defined, area, 0.0)
        present += defined
    missing = np.bincount(group, weights=np.isnan(scores).any(1), minlength=n_groups) > 0
    return np.where(missing, np.nan, _divide(total, present))


def _ranks_within(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Rank values from 1 within each group; ties share their mean rank."""
    if not len(values):
        return np.empty(0)
    order = np.lexsort((values, group))
    v, g = values[order], group[order]
    position = np.arange(len(v))
    new_group = np.concatenate([[True], g[1:] != g[:-1]])
    new_value = new_group | np.concatenate([[True], v[1:] != v[:-1]])
    group_start = np.maximum.accumulate(np.where(new_group, position, 0))
    run = np.cumsum(new_value) - 1
    first = position[new_value]
    last = np.append(first[1:], len(v)) - 1
    ranks = np.empty(len(v))
    ranks[order] = (first[run] + last[run]) / 2 - group_start + 1
    return ranks


def grouped_trace_scores(
    truth: np.ndarray, prediction: np.ndarray, group: np.ndarray, n_groups: int
) -> dict[str, np.ndarray]:
    """Root mean squared error, Pearson's and Lin's concordance correlation within each group of samples.

    Parameters
    ----------
    truth, prediction : ndarray of shape (n_samples,), float
        Values of a trace.
    group : ndarray of shape (n_samples,), int
        Codes from 0.
    n_groups : int
        How many groups there are.

    Returns
    -------
    dict of str to ndarray of shape (n_groups,), float64
        ``rmse``, ``pcc`` and ``ccc``. Where the truth is constant both correlations are NaN; where only the
        prediction is, they are 0.
    """
    x, y = np.asarray(truth, float), np.asarray(prediction, float)
    _check_same_length(x, y)

    def mean(values: np.ndarray) -> np.ndarray:
        return _divide(np.bincount(group, weights=values, minlength=n_groups), size)

    size = np.bincount(group, minlength=n_groups)
    mean_x, mean_y = mean(x), mean(y)
    centred_x, centred_y = x - mean_x[group], y - mean_y[group]
    var_x, var_y, covariance = mean(centred_x**2), mean(centred_y**2), mean(centred_x * centred_y)
    # A constant array leaves rounding errors behind its mean; they are no variance.
    varies = var_x > 1e-12 * np.maximum(mean_x**2, np.finfo(float).tiny)
    y_varies = var_y > 1e-12 * np.maximum(mean_y**2, np.finfo(float).tiny)
    correlation = np.where(y_varies, _divide(covariance, np.sqrt(var_x * var_y), otherwise=0.0), 0.0)
    concordance = np.where(y_varies, _divide(2 * covariance, var_x + var_y + (mean_x - mean_y) ** 2), 0.0)
    undefined = ~varies | np.isnan(mean_y)
    return {
        "rmse": np.sqrt(mean((x - y) ** 2)),
        "pcc": np.where(undefined, np.nan, correlation),
        "ccc": np.where(undefined, np.nan, concordance),
    }


def _trace_score(name: str, truth: np.ndarray, prediction: np.ndarray) -> float:
    return float(grouped_trace_scores(truth, prediction, np.zeros(len(np.asarray(truth)), np.int64), 1)[name][0])


def rmse(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Root mean squared error, in the unit of the trace."""
    return _trace_score("rmse", truth, prediction)


def pcc(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Pearson's correlation coefficient; 0 for a constant prediction, NaN for a constant truth."""
    return _trace_score("pcc", truth, prediction)


def ccc(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Concordance correlation coefficient (Lin 1989), with moments over n; NaN for a constant truth."""
    return _trace_score("ccc", truth, prediction)


@dataclass(frozen=True)
class Metric:
    """A score and how to read it.

    Parameters
    ----------
    name : str
        As in studies and tables.
    label : str
        As on an axis.
    kind : str
        ``class`` or ``trace``.
    score : callable
        ``score(truth, prediction)``, or ``score(truth, probabilities)`` when `needs_probabilities`.
    of_confusion : callable or None
        The same score from confusion matrices of shape (..., n_classes, n_classes).
    higher_is_better : bool
        Direction.
    in_points : bool
        True for shares, whose differences are said in percentage points.
    needs_probabilities : bool
        True when the score reads probabilities.
    """

    name: str
    label: str
    kind: str
    score: Callable[[np.ndarray, np.ndarray], float]
    of_confusion: Callable[[np.ndarray], np.ndarray] | None = None
    higher_is_better: bool = True
    in_points: bool = False
    needs_probabilities: bool = False


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "balanced_accuracy", "balanced accuracy", "class", balanced_accuracy, balanced_accuracy_of, in_points=True
        ),
        Metric("accuracy", "accuracy", "class", accuracy, accuracy_of, in_points=True),
        Metric("macro_f1", "macro F1", "class", macro_f1, macro_f1_of, in_points=True),
        Metric("kappa", "Cohen's kappa", "class", kappa, kappa_of),
        Metric("mcc", "Matthews correlation", "class", mcc, mcc_of),
        Metric("auc", "area under the ROC curve", "class", auc, in_points=True, needs_probabilities=True),
        Metric("ccc", "concordance correlation", "trace", ccc),
        Metric("pcc", "Pearson correlation", "trace", pcc),
        Metric("rmse", "root mean squared error", "trace", rmse, higher_is_better=False),
    )
}
"""Every metric by name; the first of a kind is what verdicts are made on unless a study says otherwise."""


def find_metric(name: str) -> Metric:
    """Return the metric of that name.

    Raises
    ------
    LimbeckError
        When there is none; the message names the nearest.
    """
    if name not in METRICS:
        raise LimbeckError(f"There is no metric '{name}'.{did_you_mean(name, METRICS)}")
    return METRICS[name]
