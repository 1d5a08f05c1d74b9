"""Statistics of paired differences, one value per subject.

The subject is the unit: windows, folds, repetitions and seeds of one subject are not independent, so they are averaged
before anything here is called.

*Intervals.* Bootstrap over subjects with the expanded percentile interval (Hesterberg 2015, The American Statistician
69:371): the plain percentile interval is as wide as a normal interval with the variance over n, too narrow for few
subjects; here the quantiles move outwards until the width is that of a t interval. Coverage of a nominal 95 % interval
of the mean of 22 values, 3,000 draws: percentile 0.93, 0.91, 0.92 and 0.94 (normal, gamma(1.5), t(3), difference of two
binomial accuracies over 35 windows), BCa 0.93, 0.92, 0.89, 0.94, expanded 0.95, 0.93, 0.95, 0.95. With 10 values the
plain one falls to 0.87 to 0.90, the expanded one stays at 0.92 to 0.95.

*Tests.* The sign-flip test asks only that under the null hypothesis the two arms could be swapped for any subject; it
is exact at every number of subjects.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from limbeck.errors import DataError
from limbeck.evaluation.judgement import Interval

__all__ = [
    "EXACT_UP_TO",
    "bayesian_signed_rank",
    "bootstrap_counts",
    "bootstrap_interval",
    "bootstrap_means",
    "cohens_dz",
    "expanded_tail",
    "holm",
    "sign_flip_test",
    "smallest_detectable_gain",
    "smallest_possible_p",
    "standard_error",
    "wilcoxon_test",
]

EXACT_UP_TO = 32
"""Subjects up to which every one of the 2^n sign flips counts; beyond, flips are drawn."""

CONFIDENCE = 0.95
POWER = 0.8


def sign_flip_test(differences: np.ndarray, *, resamples: int = 10_000, seed: int = 0) -> float:
    """Paired permutation test of the mean difference, two-sided.

    Up to `EXACT_UP_TO` subjects the p-value is exact: each of the 2^n sums is one of the first half of the subjects
    plus one of the second, and the pairs beyond the observed sum are counted in sorted order, in 2^(n/2) steps. Beyond,
    `resamples` flips are drawn and the observed sum counts as one more (Phipson and Smyth 2010), so that p is never 0.

    Parameters
    ----------
    differences : ndarray of shape (n_subjects,), float
        Arm minus other, one per subject, finite.
    resamples : int
        Flips drawn for more than `EXACT_UP_TO` subjects.
    seed : int
        Key of these draws.

    Returns
    -------
    float
        In (0, 1]; 1 when all differences are zero.
    """
    d = _finite(differences)
    observed = abs(d.sum())
    # Sums that differ only by rounding are ties, and ties count as at least as extreme.
    threshold = observed - 1e-9 * np.abs(d).sum()
    if threshold <= 0:
        return 1.0
    # A zero adds the same to a sum with either sign, so it leaves the distribution as it is.
    d = d[d != 0]
    if len(d) > EXACT_UP_TO:
        extreme = _random_flips_beyond(d, threshold, resamples, seed)
        return (1 + extreme) / (1 + resamples)
    low, high = _signed_sums(d[: len(d) // 2]), np.sort(_signed_sums(d[len(d) // 2 :]))
    above = len(high) - np.searchsorted(high, threshold - low, side="left")
    # The distribution is symmetric: as many sums lie at or below minus the threshold.
    return float(2 * above.sum() / 2.0 ** len(d))


def _finite(values: np.ndarray) -> np.ndarray:
    array = np.asarray(values, float)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise DataError(
            f"Expected one finite difference per subject; found shape {array.shape} with "
            f"{int((~np.isfinite(array)).sum())} missing values. Leave out subjects without a score."
        )
    return array


def _signed_sums(values: np.ndarray) -> np.ndarray:
    """Return the 2^n sums of plus or minus each value."""
    sums = np.zeros(1)
    for value in values:  # n steps that double the array, not 2^n
        sums = np.concatenate([sums - value, sums + value])
    return sums


def _random_flips_beyond(d: np.ndarray, threshold: float, resamples: int, seed: int) -> int:
    generator = np.random.default_rng([seed, len(d)])
    extreme, chunk = 0, max(1, 4_000_000 // len(d))
    for start in range(0, resamples, chunk):
        flips = generator.integers(0, 2, (min(chunk, resamples - start), len(d)), dtype=np.int8)
        extreme += int((np.abs((2.0 * flips - 1.0) @ d) >= threshold).sum())
    return extreme


def smallest_possible_p(n_subjects: int) -> float:
    """Return the smallest p-value that the two-sided sign-flip test of so many subjects can give."""
    return min(1.0, 2.0 ** (1 - n_subjects))


def wilcoxon_test(differences: np.ndarray) -> float:
    """Wilcoxon signed-rank test, two-sided; zeros are dropped as Wilcoxon did; 1 when all are zero.

    Parameters
    ----------
    differences : ndarray of shape (n_subjects,), float
        One per subject, finite.
    """
    from scipy.stats import wilcoxon

    # Means over repetitions leave differences of 1e-17 where there is none; they would be ranked as if real.
    d = np.round(_finite(differences), 12)
    if not d.any():
        return 1.0
    return float(wilcoxon(d[d != 0]).pvalue)


def holm(p_values: list[float] | np.ndarray) -> np.ndarray:
    """Adjust p-values for their number by Holm's step-down method.

    Parameters
    ----------
    p_values : sequence of float
        The family that is corrected together; may be empty.

    Returns
    -------
    ndarray of the same length, float64
    """
    from statsmodels.stats.multitest import multipletests

    p = np.asarray(p_values, float)
    return np.asarray(multipletests(p, method="holm")[1]) if p.size else p


@lru_cache(maxsize=8)
def bootstrap_counts(n_subjects: int, resamples: int = 10_000, seed: int = 0) -> np.ndarray:
    """Draw how often each subject appears in each bootstrap resample.

    The same arguments give the same draws, so quantities of one study are resampled jointly.

    Returns
    -------
    ndarray of shape (resamples, n_subjects), float32
        Rows sum to `n_subjects`; read-only.
    """
    generator = np.random.default_rng([seed, n_subjects, resamples])
    counts = generator.multinomial(n_subjects, np.full(n_subjects, 1 / n_subjects), resamples).astype(np.float32)
    counts.setflags(write=False)
    return counts


def bootstrap_means(values: np.ndarray, *, resamples: int = 10_000, seed: int = 0) -> np.ndarray:
    """Return the mean of each bootstrap resample of subjects.

    Parameters
    ----------
    values : ndarray of shape (n_subjects,) or (n_subjects, n_columns), float
        Finite.
    resamples, seed : int
        As in :func:`bootstrap_counts`.

    Returns
    -------
    ndarray of shape (resamples,) or (resamples, n_columns), float64
    """
    values = np.asarray(values, float)
    return bootstrap_counts(len(values), resamples, seed) @ values / len(values)


def expanded_tail(n_subjects: int, confidence: float = CONFIDENCE) -> float:
    """Return the share of bootstrap means to cut off at each end for an expanded percentile interval."""
    from scipy.stats import norm, t

    if n_subjects < 2:
        return 0.0
    widened = np.sqrt(n_subjects / (n_subjects - 1)) * t.ppf((1 - confidence) / 2, n_subjects - 1)
    return float(norm.cdf(widened))


def bootstrap_interval(values: np.ndarray, *, resamples: int = 10_000, seed: int = 0) -> Interval:
    """Mean over subjects with its 95 % expanded percentile interval.

    Parameters
    ----------
    values : ndarray of shape (n_subjects,), float
        NaN where a subject has no score; these are left out.
    resamples, seed : int
        As in :func:`bootstrap_counts`.

    Returns
    -------
    Interval
        All NaN without a finite value; NaN limits with a single one.
    """
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if not values.size:
        return Interval(np.nan, np.nan, np.nan)
    if values.size == 1:
        return Interval(float(values[0]), np.nan, np.nan)
    tail = expanded_tail(len(values))
    low, high = np.quantile(bootstrap_means(values, resamples=resamples, seed=seed), [tail, 1 - tail])
    return Interval(float(values.mean()), float(low), float(high))


def cohens_dz(differences: np.ndarray) -> float:
    """Cohen's dz: mean of the paired differences over their standard deviation (n - 1).

    0 when all are zero, infinite when all are alike and not zero, NaN for one subject.
    """
    d = _finite(differences)
    if len(d) < 2:
        return float("nan")
    mean, spread = d.mean(), d.std(ddof=1)
    if spread <= 1e-12 * abs(mean) or spread == 0:
        return 0.0 if mean == 0 else float(np.copysign(np.inf, mean))
    return float(mean / spread)


def standard_error(differences: np.ndarray) -> float:
    """Return the standard error of the mean difference; NaN for one subject."""
    d = _finite(differences)
    return float(d.std(ddof=1) / np.sqrt(len(d))) if len(d) > 1 else float("nan")


def smallest_detectable_gain(differences: np.ndarray, *, alpha: float = 0.05, power: float = POWER) -> float:
    """Return the mean gain that a two-sided paired test of these subjects would show with probability `power`.

    The power is that of the paired t-test, which the sign-flip test follows closely (a test of this function simulates
    it); the spread is that of the observed differences.

    Parameters
    ----------
    differences : ndarray of shape (n_subjects,), float
        Observed differences, of which only spread and number are used.
    alpha : float
        Level of the test.
    power : float
        Probability of showing the gain.

    Returns
    -------
    float
        In the unit of the differences; infinite when so few subjects cannot reach `alpha` by sign flips at all, NaN
        when all differences are alike: without a spread there is nothing to tell it from.
    """
    from scipy.optimize import brentq
    from scipy.stats import nct, t

    d = _finite(differences)
    n = len(d)
    if smallest_possible_p(n) > alpha:
        return float("inf")
    spread = d.std(ddof=1)
    if spread <= 1e-12 * np.abs(d).max():
        return float("nan")
    critical = t.ppf(1 - alpha / 2, n - 1)

    def shortfall(noncentrality: float) -> float:
        below = float(nct.cdf(critical, n - 1, noncentrality))
        return power - (1.0 - below)

    noncentrality = brentq(shortfall, 0.0, 10.0 * critical)
    return float(noncentrality * spread / np.sqrt(n))


def bayesian_signed_rank(
    arm: np.ndarray, other: np.ndarray, *, rope: float, seed: int = 0, samples: int = 5_000
) -> tuple[float, float, float]:
    """Bayesian signed-rank test with a region of practical equivalence (Benavoli et al. 2014), by baycomp.

    Parameters
    ----------
    arm, other : ndarray of shape (n_subjects,), float
        Scores of the two arms, higher is better.
    rope : float
        Differences up to this size count as equal, in the unit of the scores.
    seed : int
        Key of the draws from the posterior.
    samples : int
        Draws; 5,000 leave a standard error of at most 0.007 on each probability.

    Returns
    -------
    tuple of three floats
        P(other better), P(practically equivalent), P(arm better).
    """
    from baycomp import SignedRankTest

    posterior = SignedRankTest(
        np.asarray(other, float), np.asarray(arm, float), rope, nsamples=samples, random_state=seed
    )
    other_better, equivalent, arm_better = posterior.probs()
    return float(other_better), float(equivalent), float(arm_better)
