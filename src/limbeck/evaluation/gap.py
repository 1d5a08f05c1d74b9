"""Gap closed: which part of the way from the student alone to its ceiling the teaching went."""

from __future__ import annotations

import numpy as np

from limbeck.evaluation.judgement import GapClosed, Interval
from limbeck.evaluation.statistics import bootstrap_interval, bootstrap_means, expanded_tail

__all__ = ["gap_closed"]


def gap_closed(
    taught: np.ndarray, alone: np.ndarray, ceiling: np.ndarray, *, resamples: int = 10_000, seed: int = 0
) -> GapClosed:
    """Return (taught - alone) / (ceiling - alone), a ratio of means over subjects, bootstrapped jointly.

    A ratio per subject is not averaged: where a subject's own gap is near zero it is arbitrary. The ratio is undefined
    unless the 95 % interval of ceiling minus alone lies above zero, for then there is no gap that could be closed.

    Parameters
    ----------
    taught, alone, ceiling : ndarray of shape (n_subjects,), float
        Scores by subject in the same order, higher is better; NaN where missing.
    resamples, seed : int
        Of the bootstrap over subjects.

    Returns
    -------
    GapClosed
    """
    scores = np.column_stack([taught, alone, ceiling]).astype(float)
    scores = scores[np.isfinite(scores).all(1)]
    gains, gaps = scores[:, 0] - scores[:, 1], scores[:, 2] - scores[:, 1]
    ceiling_gap = bootstrap_interval(gaps, resamples=resamples, seed=seed)
    if not ceiling_gap.low > 0:
        return GapClosed(value=None, why_undefined=_why(ceiling_gap, len(gaps)), ceiling_gap=ceiling_gap)
    means = bootstrap_means(np.column_stack([gains, gaps]), resamples=resamples, seed=seed)
    # A resample without a gap leaves the ratio as undecided as can be: infinite, with the sign of its gain.
    ratios = np.copysign(np.inf, means[:, 0])
    np.divide(means[:, 0], means[:, 1], out=ratios, where=means[:, 1] > 0)
    tail = expanded_tail(len(gaps))
    low = np.quantile(ratios, tail, method="lower")
    high = np.quantile(ratios, 1 - tail, method="higher")
    value = Interval(float(gains.mean() / gaps.mean()), float(low), float(high))
    return GapClosed(value=value, why_undefined="", ceiling_gap=ceiling_gap)


def _why(ceiling_gap: Interval, n_subjects: int) -> str:
    if n_subjects < 2:
        return f"{n_subjects} subjects have scores of all three arms; an interval needs two."
    return (
        f"the ceiling is not shown to lie above the student alone: their difference is {ceiling_gap.estimate:.3f} "
        f"with a 95 % interval from {ceiling_gap.low:.3f} to {ceiling_gap.high:.3f}, so there is no gap to close."
    )
