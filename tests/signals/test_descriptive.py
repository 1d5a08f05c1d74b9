"""Statistics of windows against plain NumPy, SciPy and a least-squares fit."""

import numpy as np
import pytest
from scipy import stats

from limbeck.signals import statistics

ALL = ("mean", "sd", "min", "max", "range", "slope", "rms_difference", "median", "iqr", "skewness", "kurtosis")


def test_every_statistic_agrees_with_its_reference(rng):
    x = rng.gamma(2.0, size=(3, 2, 40))
    values = statistics(x, 4.0, ALL)
    assert values.shape == (3, 2, len(ALL))
    time = np.arange(40) / 4
    for index in np.ndindex(3, 2):
        row = x[index]
        expected = [
            np.mean(row),
            np.std(row),
            np.min(row),
            np.max(row),
            np.max(row) - np.min(row),
            np.polyfit(time, row, 1)[0],
            np.sqrt(np.mean(np.diff(row) ** 2)),
            np.median(row),
            stats.iqr(row),
            stats.skew(row),
            stats.kurtosis(row),
        ]
        np.testing.assert_allclose(values[index], expected, rtol=1e-9, atol=1e-12)


def test_columns_come_in_the_order_named(rng):
    x = rng.normal(size=(5, 20))
    np.testing.assert_array_equal(statistics(x, 4, ("max", "mean")), statistics(x, 4, ("mean", "max"))[:, ::-1])


def test_missing_samples_give_nan_in_every_column(rng):
    x = rng.normal(size=(2, 20))
    x[0, 3] = np.nan
    assert np.isnan(statistics(x, 4, ALL)[0]).all()
    assert np.isfinite(statistics(x, 4, ALL)[1]).all()


@pytest.mark.parametrize("level", [0.0, 0.1, 1e6])
def test_a_constant_has_no_shape(level):
    values = dict(zip(ALL, statistics(np.full(30, level), 4, ALL), strict=True))
    assert values["mean"] == pytest.approx(level)
    assert values["slope"] == pytest.approx(0, abs=1e-9)
    assert np.isnan(values["skewness"])
    assert np.isnan(values["kurtosis"])


def test_one_sample_has_no_slope_and_no_difference():
    values = dict(zip(ALL, statistics(np.array([2.0]), 4, ALL), strict=True))
    assert values["mean"] == 2
    assert np.isnan(values["slope"])
    assert np.isnan(values["rms_difference"])
