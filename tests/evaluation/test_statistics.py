"""The tests hold their level, the intervals cover, and both do so at the number of subjects that studies have."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from limbeck.errors import DataError
from limbeck.evaluation import statistics


def p_by_enumeration(differences: np.ndarray) -> float:
    signs = np.array(list(itertools.product([-1, 1], repeat=len(differences))))
    return float((np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9).mean())


@pytest.mark.parametrize("n", [1, 2, 3, 7, 12])
def test_sign_flip_counts_every_flip(rng: np.random.Generator, n: int) -> None:
    for differences in (rng.normal(0.3, 1, n), rng.integers(-3, 5, n) / 7):
        assert statistics.sign_flip_test(differences) == pytest.approx(p_by_enumeration(differences))


def test_sign_flip_agrees_with_scipy_beyond_enumeration(rng: np.random.Generator) -> None:
    differences = rng.normal(0.4, 1, 22)
    expected = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=20_000, rng=rng, vectorized=True
    ).pvalue
    assert statistics.sign_flip_test(differences) == pytest.approx(expected, abs=0.01)


def test_drawn_flips_agree_with_all_flips_and_never_give_zero(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    differences = rng.normal(0.35, 1, 26)
    exact = statistics.sign_flip_test(differences)
    monkeypatch.setattr(statistics, "EXACT_UP_TO", 10)
    assert statistics.sign_flip_test(differences, resamples=20_000) == pytest.approx(exact, abs=0.01)
    assert statistics.sign_flip_test(np.ones(40), resamples=999) == pytest.approx(1 / 1000)
    assert statistics.sign_flip_test(differences, seed=1) == statistics.sign_flip_test(differences, seed=1)


def test_sign_flip_of_equal_arms_is_one_and_zeros_change_nothing(rng: np.random.Generator) -> None:
    assert statistics.sign_flip_test(np.zeros(22)) == 1.0
    differences = rng.normal(0.5, 1, 10)
    with_zeros = np.concatenate([differences, np.zeros(6)])
    assert statistics.sign_flip_test(with_zeros) == pytest.approx(statistics.sign_flip_test(differences))


def test_sign_flip_is_two_sided_and_does_not_depend_on_scale_or_order(rng: np.random.Generator) -> None:
    differences = rng.normal(0.5, 1, 15)
    p = statistics.sign_flip_test(differences)
    for same in (-differences, 1e-6 * differences, differences[::-1]):
        assert statistics.sign_flip_test(same) == pytest.approx(p)


@pytest.mark.parametrize("n", [4, 5, 6, 20])
def test_the_smallest_possible_p_is_that_of_gains_for_everyone(n: int) -> None:
    assert statistics.sign_flip_test(np.arange(1.0, n + 1)) == statistics.smallest_possible_p(n)


@pytest.mark.parametrize("values", [[], [1.0, np.nan], [[1.0, 2.0]]])
def test_differences_must_be_one_finite_value_per_subject(values: list) -> None:
    with pytest.raises(DataError, match="one finite difference per subject"):
        statistics.sign_flip_test(np.array(values))


def test_wilcoxon_drops_zeros_and_rounding_noise(rng: np.random.Generator) -> None:
    differences = rng.normal(0.5, 1, 20)
    expected = stats.wilcoxon(differences).pvalue
    assert statistics.wilcoxon_test(differences) == pytest.approx(expected)
    noisy = np.concatenate([differences, [0.0, 1e-17, -1e-17]])
    assert statistics.wilcoxon_test(noisy) == pytest.approx(expected)
    assert statistics.wilcoxon_test(np.full(9, 1e-17)) == 1.0


def test_holm_steps_down_and_stays_in_order() -> None:
    assert statistics.holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert statistics.holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])
    assert statistics.holm([]).size == 0


def test_bootstrap_resamples_subjects_jointly_and_repeatably(rng: np.random.Generator) -> None:
    values = rng.normal(size=(20, 2))
    counts = statistics.bootstrap_counts(20, 500, 3)
    assert (counts.sum(1) == 20).all()
    together = statistics.bootstrap_means(values, resamples=500, seed=3)
    assert together[:, 1] == pytest.approx(statistics.bootstrap_means(values[:, 1], resamples=500, seed=3))
    assert statistics.bootstrap_interval(values[:, 0]) == statistics.bootstrap_interval(values[:, 0])


@pytest.mark.parametrize("draw", ["normal", "skewed"])
def test_intervals_of_twenty_two_subjects_cover_as_often_as_they_say(rng: np.random.Generator, draw: str) -> None:
    truth = 0.0 if draw == "normal" else 2.0
    covered = 0
    for _ in range(1000):
        values = rng.normal(size=22) if draw == "normal" else rng.gamma(2.0, size=22)
        interval = statistics.bootstrap_interval(values, resamples=1000)
        covered += interval.low <= truth <= interval.high
    assert (0.93 if draw == "normal" else 0.91) <= covered / 1000 <= 0.97


def test_intervals_leave_out_missing_scores_and_have_no_limits_for_one_subject() -> None:
    whole = statistics.bootstrap_interval(np.array([0.1, 0.5, 0.4]))
    assert statistics.bootstrap_interval(np.array([0.1, np.nan, 0.5, 0.4])) == whole
    single = statistics.bootstrap_interval(np.array([0.3]))
    assert single.estimate == 0.3
    assert np.isnan([single.low, single.high]).all()
    assert np.isnan(statistics.bootstrap_interval(np.array([np.nan])).estimate)


def test_effect_size_and_standard_error_follow_their_definitions(rng: np.random.Generator) -> None:
    d = rng.normal(0.3, 1, 18)
    assert statistics.cohens_dz(d) == pytest.approx(d.mean() / d.std(ddof=1))
    assert statistics.standard_error(d) == pytest.approx(stats.sem(d))
    assert statistics.cohens_dz(np.zeros(5)) == 0.0
    assert statistics.cohens_dz(np.full(5, -0.2)) == -np.inf


def test_the_smallest_gain_is_that_of_the_paired_t_test(rng: np.random.Generator) -> None:
    d = rng.normal(0, 0.05, 22)
    for alpha in (0.05, 0.05 / 6):
        expected = TTestPower().solve_power(nobs=22, power=0.8, alpha=alpha) * d.std(ddof=1)
        assert statistics.smallest_detectable_gain(d, alpha=alpha) == pytest.approx(expected, rel=1e-4)


def test_sign_flips_show_the_smallest_gain_four_times_in_five(rng: np.random.Generator) -> None:
    gain = statistics.smallest_detectable_gain(stats.zscore(rng.normal(size=22), ddof=1))
    shown = [statistics.sign_flip_test(rng.normal(gain, 1, 22)) <= 0.05 for _ in range(1500)]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.04)


def test_too_few_subjects_can_show_no_gain_and_equal_differences_tell_none() -> None:
    assert statistics.smallest_detectable_gain(np.array([0.1, 0.2, 0.0, 0.3, 0.1])) == np.inf
    assert statistics.smallest_detectable_gain(np.arange(7.0), alpha=0.05 / 6) == np.inf
    assert np.isnan(statistics.smallest_detectable_gain(np.zeros(20)))
    assert np.isnan(statistics.smallest_detectable_gain(np.full(20, 0.1)))


def test_bayesian_test_tells_better_worse_and_equivalent_apart(rng: np.random.Generator) -> None:
    other = rng.uniform(0.5, 0.7, 22)
    noise = rng.normal(0, 0.001, 22)
    assert statistics.bayesian_signed_rank(other + 0.05 + noise, other, rope=0.01)[2] > 0.99
    assert statistics.bayesian_signed_rank(other - 0.05 + noise, other, rope=0.01)[0] > 0.99
    equal = statistics.bayesian_signed_rank(other + noise, other, rope=0.01)
    assert equal[1] > 0.99
    assert sum(equal) == pytest.approx(1.0)
    assert equal == statistics.bayesian_signed_rank(other + noise, other, rope=0.01)
