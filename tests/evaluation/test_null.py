"""On tables of predictions without a difference the test rejects as often as it says."""

from __future__ import annotations

import numpy as np
from scipy.stats import kstest

from limbeck.evaluation import null
from limbeck.evaluation.tables import subject_scores


def test_one_thousand_null_tables_are_rejected_three_to_seven_times_in_a_hundred_at_five() -> None:
    assert 0.03 <= null.rejection_rate(1000, alpha=0.05) <= 0.07


def test_null_p_values_are_uniform() -> None:
    p_values = null.null_p_values(1000, seed=1)
    assert p_values.shape == (1000,)
    assert kstest(p_values, "uniform").pvalue > 0.01


def test_null_tables_have_subjects_that_differ_and_differences_that_spread() -> None:
    predictions = null.null_predictions(20, np.random.default_rng(0))
    assert len(predictions) == 20 * 2 * 22 * 2 * 35
    scores = subject_scores(predictions, n_classes=2)["balanced_accuracy"].to_numpy().reshape(20, 2, 22)
    assert scores.mean(1).std(1).mean() > 0.08
    assert (scores[:, 0] - scores[:, 1]).std(1).mean() > 0.04
    assert 0.55 < scores.mean() < 0.75


def test_a_real_difference_is_found_by_the_same_road() -> None:
    predictions = null.null_predictions(50, np.random.default_rng(0))
    worse = (predictions["arm"] == "alone").to_numpy() & (np.random.default_rng(1).random(len(predictions)) < 0.5)
    predictions.loc[worse, "prediction"] = 1 - predictions.loc[worse, "prediction"]
    scores = subject_scores(predictions, n_classes=2)["balanced_accuracy"].to_numpy().reshape(50, 2, 22)
    p_values = [null.sign_flip_test(d) for d in scores[:, 0] - scores[:, 1]]
    assert np.mean(np.array(p_values) <= 0.05) > 0.6


def test_the_command_prints_the_figure(capsys) -> None:
    null.main()
    assert "null tables of predictions" in capsys.readouterr().out
