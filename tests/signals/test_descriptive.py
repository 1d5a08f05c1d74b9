"""Statistics of windows against plain NumPy, SciPy and a least-squares fit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from limbeck.errors import DataError
from limbeck.signals import PAIN_STATISTICS, statistics

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


def naive_pain_statistics(row: np.ndarray, rate: float) -> list[float]:
    """The 18 of pain recognition, one by one."""
    inner = range(1, len(row) - 1)
    maxima = [i for i in inner if row[i - 1] < row[i] > row[i + 1]]
    minima = [i for i in inner if row[i - 1] > row[i] < row[i + 1]]
    standard = (row - row.mean()) / row.std()
    return [
        max(row),
        min(row),
        max(row) - min(row),
        row.std(),
        stats.iqr(row),
        row.mean(),
        np.sqrt(np.mean(row**2)),
        np.mean(maxima) / rate,
        np.mean(minima) / rate,
        np.mean(np.abs(row)),
        np.mean(np.abs(np.diff(row))),
        np.mean(np.abs(np.diff(np.diff(row)))),
        np.mean(np.abs(np.diff(standard))),
        np.mean(np.abs(np.diff(np.diff(standard)))),
        np.var([row.mean(), row.var()]),
        np.argmax(row) / rate,
        np.argmin(row) / rate,
        row[-1] - row[0],
    ]


def test_the_statistics_of_pain_recognition_are_eighteen_and_those_of_their_names(rng):
    x = rng.normal(1, 2, size=(3, 2, 50))
    values = statistics(x, 4.0, PAIN_STATISTICS)
    assert values.shape == (3, 2, 18)
    for index in np.ndindex(3, 2):
        np.testing.assert_allclose(values[index], naive_pain_statistics(x[index], 4.0), rtol=1e-9)


def test_half_difference_compares_the_halves_in_time_of_every_row():
    x = np.array([[[1.0, 1, 5, 5]], [[2.0, 4, 2, 0]]])
    np.testing.assert_array_equal(statistics(x, 4, ("half_difference",)), [[[4]], [[-2]]])
    np.testing.assert_array_equal(statistics(np.array([1.0, 3, 99, 4, 8]), 4, ("half_difference",)), [4])


def test_a_plateau_is_one_extreme_in_its_middle_and_ends_are_none():
    x = np.array([[9.0, 0, 1, 1, 1, 0, 2, 9], [0.0, 1, 2, 3, 4, 5, 6, 7]])
    values = statistics(x, 2, ("maxima_position", "minima_position"))
    np.testing.assert_array_equal(values, [[1.5, (1 + 5) / 2 / 2], [np.nan, np.nan]])


EVERY = (*dict.fromkeys((*ALL, *PAIN_STATISTICS, "variance", "half_difference")),)


@pytest.mark.parametrize("level", [0.0, 0.1, -12345.678])
def test_rounding_noise_of_a_constant_is_no_number(level):
    constant = level * (1 + 2e-16 * np.random.default_rng(0).integers(-2, 3, size=60))
    values = dict(zip(EVERY, statistics(constant, 4, EVERY), strict=True))
    undefined = {kind for kind, value in values.items() if np.isnan(value)}
    standard = {"standard_mean_abs_difference", "standard_mean_abs_second_difference"}
    assert undefined == standard | {"skewness", "kurtosis", "maxima_position", "minima_position"}
    for kind in ("sd", "range", "iqr", "slope", "mean_abs_difference", "end_difference", "argmax", "half_difference"):
        assert values[kind] == 0, kind


@given(st.integers(0, 10_000), st.integers(1, 4), st.floats(0.01, 100), st.floats(-10, 10))
@settings(max_examples=25, deadline=None)
def test_batch_split_permutation_scale_and_shift(seed, split, scale, shift):
    x = np.random.default_rng(seed).normal(size=(5, 40))
    values = statistics(x, 4, EVERY)
    np.testing.assert_array_equal(statistics(x[::-1], 4, EVERY), values[::-1])
    parts = np.concatenate([statistics(x[:split], 4, EVERY), statistics(x[split:], 4, EVERY)])
    np.testing.assert_array_equal(parts, values)
    scaled = dict(zip(EVERY, statistics(scale * x + shift, 4, EVERY).T, strict=True))
    before = dict(zip(EVERY, values.T, strict=True))
    for kind in ("mean", "min", "max", "median"):
        np.testing.assert_allclose(scaled[kind], scale * before[kind] + shift, rtol=1e-9, atol=1e-9)
    for kind in ("sd", "range", "iqr", "slope", "mean_abs_second_difference", "end_difference", "half_difference"):
        np.testing.assert_allclose(scaled[kind], scale * before[kind], rtol=1e-6, atol=1e-9)
    for kind in ("skewness", "kurtosis", "standard_mean_abs_difference", "argmax", "minima_position"):
        np.testing.assert_allclose(scaled[kind], before[kind], rtol=1e-6, atol=1e-9)


def test_a_bad_row_leaves_the_others_bit_for_bit_the_same(rng):
    x = rng.normal(size=(4, 3, 50)).astype(np.float32)
    before = statistics(x, 4, EVERY)
    x[1, 2, 10], x[2] = np.inf, np.nan
    after = statistics(x, 4, EVERY)
    bad = np.zeros((4, 3), dtype=bool)
    bad[1, 2], bad[2] = True, True
    assert np.isnan(after[bad]).all()
    np.testing.assert_array_equal(after[~bad], before[~bad])


def test_unknown_kinds_and_no_samples_are_refused():
    with pytest.raises(DataError, match="Did you mean 'mean'"):
        statistics(np.zeros(10), 4, ("meen",))
    with pytest.raises(DataError, match="At least 1 samples"):
        statistics(np.zeros((3, 0)), 4)
