"""Gap closed is a ratio of means with a joint interval, and undefined where there is no gap."""

from __future__ import annotations

import numpy as np
import pytest

from limbeck.evaluation import statistics
from limbeck.evaluation.gap import gap_closed


def test_the_ratio_is_that_of_the_means_over_subjects() -> None:
    alone = np.linspace(0.5, 0.6, 20)
    ceiling, taught = alone + np.linspace(0.05, 0.25, 20), alone + np.linspace(0.0, 0.1, 20)
    gap = gap_closed(taught, alone, ceiling)
    assert gap.value is not None
    assert gap.value.estimate == pytest.approx(0.05 / 0.15)
    assert gap.ceiling_gap.estimate == pytest.approx(0.15)
    assert gap.why_undefined == ""


def test_subjects_are_resampled_jointly_so_a_fixed_share_has_no_spread(rng: np.random.Generator) -> None:
    alone = rng.uniform(0.5, 0.6, 22)
    ceiling = alone + rng.uniform(0.02, 0.4, 22)
    gap = gap_closed(alone + 0.4 * (ceiling - alone), alone, ceiling)
    assert gap.value is not None
    assert (gap.value.low, gap.value.high) == pytest.approx((0.4, 0.4))


def test_the_interval_covers_the_true_share(rng: np.random.Generator) -> None:
    covered = 0
    for _ in range(400):
        alone = rng.normal(0.6, 0.08, 22)
        gap = gap_closed(alone + rng.normal(0.06, 0.05, 22), alone, alone + rng.normal(0.15, 0.08, 22), resamples=1000)
        assert gap.value is not None
        covered += gap.value.low <= 0.4 <= gap.value.high
    assert 0.92 <= covered / 400 <= 0.985


def test_it_is_undefined_with_the_reason_when_the_ceiling_is_not_shown_to_be_higher(rng: np.random.Generator) -> None:
    alone = rng.uniform(0.5, 0.6, 22)
    for ceiling in (alone + rng.normal(0.0, 0.1, 22), alone - 0.1, alone):
        gap = gap_closed(alone + 0.1, alone, ceiling)
        assert gap.value is None
        assert "no gap to close" in gap.why_undefined


def test_subjects_without_all_three_scores_are_left_out() -> None:
    alone = np.array([0.5, 0.5, 0.5, 0.5])
    gap = gap_closed(np.array([0.6, 0.6, 0.6, np.nan]), alone, np.array([0.7, 0.7, 0.7, 5.0]))
    assert gap.value is not None
    assert gap.value.estimate == pytest.approx(0.5)
    single = gap_closed(np.array([0.6, np.nan, np.nan, np.nan]), alone, alone + 0.2)
    assert single.value is None
    assert "needs two" in single.why_undefined


def test_resamples_without_a_gap_do_not_spoil_the_interval() -> None:
    gaps = np.array([0.3] * 11 + [-0.5])
    assert statistics.bootstrap_means(gaps).min() <= 0
    gap = gap_closed(np.linspace(0.05, 0.15, 12), np.zeros(12), gaps)
    assert gap.value is not None
    assert 0 < gap.value.low < gap.value.estimate < gap.value.high < np.inf
