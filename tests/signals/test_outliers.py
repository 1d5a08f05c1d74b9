"""The Hampel filter agrees with its definition, and gaps are filled whole or not at all."""

import time
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline

from limbeck.errors import DataError, StudyError
from limbeck.signals import hampel, interpolate, parse_steps


def naive_hampel(row, half, threshold, causal):
    """One row by the definition, sample by sample; returns medians and which are outliers."""
    medians, outliers = np.full(len(row), np.nan), np.zeros(len(row), dtype=bool)
    for i in np.flatnonzero(np.isfinite(row)):
        window = row[max(0, i - (2 * half if causal else half)) : i + 1 + (0 if causal else half)]
        window = window[np.isfinite(window)]
        medians[i] = np.median(window)
        outliers[i] = abs(row[i] - medians[i]) > threshold * 1.4826 * np.median(np.abs(window - medians[i]))
    return medians, outliers


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [3, 5, 8, 31])
@pytest.mark.parametrize("kind", ["laplace", "quantised", "missing"])
def test_the_hampel_filter_agrees_with_its_definition(causal, window, kind, rng):
    x = rng.laplace(size=(3, 400)) + np.cumsum(rng.normal(size=(3, 400)), axis=-1)
    if kind == "quantised":
        x = np.round(x)
    if kind == "missing":
        x[0, rng.random(400) < 0.2] = np.nan
        x[1, 100:200] = np.inf
    cleaned = hampel(x, 1, window, 2.5, causal=causal)
    opened = hampel(x, 1, window, 2.5, replace="nan", causal=causal)
    found = 0
    for row, result, gaps in zip(x, cleaned, opened, strict=True):
        medians, outliers = naive_hampel(row, window // 2, 2.5, causal)
        expected = np.where(outliers, medians, np.where(np.isfinite(row), row, np.nan))
        np.testing.assert_array_equal(result, expected)
        np.testing.assert_array_equal(gaps, np.where(outliers, np.nan, expected))
        found += outliers.sum()
    assert found > 10


@pytest.mark.parametrize("rate", [4, 64, 2000])
def test_spikes_go_and_a_smooth_signal_stays(rate, rng):
    time = np.arange(20 * rate) / rate
    x = np.float32(5 + np.sin(2 * np.pi * 0.1 * time) + 0.01 * rng.normal(size=len(time)))
    spiked = x.copy()
    spiked[:: 3 * rate] += 7
    cleaned = hampel(spiked, rate, 2.0, 6.0)
    assert cleaned.dtype == np.float32
    assert np.abs(cleaned - x).max() < 0.6
    np.testing.assert_array_equal(hampel(x, rate, 2.0, 6.0), x)


@pytest.mark.parametrize("gap", [False, True])
def test_only_the_centred_filter_changes_when_the_future_does(gap, rng):
    x = rng.standard_cauchy(size=(2, 300))
    if gap:
        x[0, 140:160] = np.nan
    other = x.copy()
    other[:, 150:] = 50 * rng.normal(size=(2, 150))
    np.testing.assert_array_equal(hampel(x, 4, 5, causal=True)[:, :150], hampel(other, 4, 5, causal=True)[:, :150])
    assert not np.array_equal(hampel(x, 4, 5)[:, :150], hampel(other, 4, 5)[:, :150], equal_nan=True)
    held = interpolate(x, 4, 3, causal=True)[:, :150]
    np.testing.assert_array_equal(held, interpolate(other, 4, 3, causal=True)[:, :150])


@given(st.floats(0.01, 100), st.floats(-1000, 1000), st.booleans(), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_scale_and_shift_go_through_and_rows_are_alone(scale, shift, causal, seed):
    x = np.random.default_rng(seed).laplace(size=(3, 80))
    cleaned = hampel(x, 4, 2, causal=causal)
    moved = hampel(scale * x + shift, 4, 2, causal=causal)
    np.testing.assert_allclose(moved, scale * cleaned + shift, atol=1e-9 * (scale + abs(shift)))
    bad = x.copy()
    bad[1, ::2] = np.nan
    np.testing.assert_array_equal(hampel(bad, 4, 2, causal=causal)[[0, 2]], cleaned[[0, 2]])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_where_one_stretch_of_a_row_ends_and_samples_are_missing_nothing_changes(causal, share, rng):
    row = rng.laplace(size=20_000)  # more than are worked on at a time
    row[rng.random(len(row)) < share] = np.nan
    row[18_000:18_400] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cleaned = hampel(row, 10, 3.0, causal=causal)
    for part in (slice(0, 400), slice(16_200, 16_600), slice(17_900, 18_500), slice(19_700, 20_000)):
        around = row[max(0, part.start - 30) : part.stop + (0 if causal else 15)]
        medians, outliers = naive_hampel(around, 15, 3.0, causal)
        expected = np.where(outliers, medians, around)[part.start - max(0, part.start - 30) :][: part.stop - part.start]
        np.testing.assert_array_equal(cleaned[part], expected)


def test_a_window_longer_than_the_signal_holds_all_of_it(rng):
    x = rng.standard_cauchy(size=90)
    medians, outliers = naive_hampel(x, 90, 3.0, causal=False)
    np.testing.assert_array_equal(hampel(x, 1, 1e12), np.where(outliers, medians, x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("share", [0, 0.01])
def test_the_hampel_filter_takes_little_more_memory_than_its_result(dtype, share, rng):
    x = rng.normal(size=(2, 128 * 1800)).astype(dtype)
    x[rng.random(x.shape) < share] = np.nan
    hampel(x[:, :1000], 128)  # what is imported is not counted
    tracemalloc.start()
    hampel(x, 128)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.2 * x.nbytes  # beside the input


def test_scattered_missing_samples_cost_the_hampel_filter_little(rng):
    x = rng.normal(size=(2, 60_000))
    holed = np.where(rng.random(x.shape) < 0.01, np.nan, x)

    def seconds(signal):
        times = []
        for _ in range(3):
            begin = time.process_time()
            hampel(signal, 512)
            times.append(time.process_time() - begin)
        return min(times)

    assert seconds(holed) < 6 * seconds(x)  # sorting each window that has a gap takes more than 20 times as long


def test_levels_and_rows_without_samples_stay_as_they_are():
    x = np.stack([np.full(50, 0.1), np.full(50, np.nan)])
    np.testing.assert_array_equal(hampel(x, 4), x)
    np.testing.assert_array_equal(interpolate(x, 4), x)
    assert hampel(np.array([3.0]), 4).tolist() == [3.0]


def test_gaps_up_to_the_longest_are_filled_and_longer_ones_stay_whole():
    x = np.arange(20.0)
    x[[0, 3, 5, 6, 10, 11, 12, 19]] = np.nan
    filled = interpolate(x, 2, 1.0)
    expected = np.arange(20.0)
    expected[[0, 10, 11, 12, 19]] = np.nan
    np.testing.assert_allclose(filled, expected)
    np.testing.assert_allclose(interpolate(x, 2, 1.5)[1:19], np.arange(1.0, 19))


def test_a_cubic_fill_is_the_spline_through_the_samples_that_are_there():
    time = np.arange(200) / 4
    x = np.sin(2 * np.pi * 0.2 * time)
    holed = np.float32(np.stack([x, x]))
    holed[0, 50:54] = np.nan
    holed[0, 100:120] = np.nan
    filled = interpolate(holed, 4, 1, method="cubic")
    known = np.isfinite(holed[0])
    spline = CubicSpline(np.flatnonzero(known), holed[0, known].astype(float))(np.arange(50, 54))
    np.testing.assert_allclose(filled[0, 50:54], spline, rtol=1e-5)
    np.testing.assert_allclose(filled[0, 50:54], x[50:54], atol=0.01)
    assert np.abs(interpolate(holed, 4, 1)[0, 50:54] - x[50:54]).max() > 0.05
    assert np.isnan(filled[0, 100:120]).all()
    np.testing.assert_array_equal(filled[1], holed[1])
    assert filled.dtype == np.float32


def test_a_causal_fill_holds_the_last_sample_for_as_long_as_it_may():
    x = np.array([[np.nan, 1, np.nan, np.nan, np.nan, np.inf, 2, np.nan], [np.nan] * 8])
    np.testing.assert_array_equal(
        interpolate(x, 2, 1.0, causal=True), [[np.nan, 1, 1, 1, np.nan, np.nan, 2, 2], [np.nan] * 8]
    )


def test_windows_and_gaps_shorter_than_the_samples_are_refused():
    with pytest.raises(DataError, match=r"window of 0.25 s holds fewer than 3 samples at 4 Hz; it needs 0.5 s"):
        hampel(np.zeros(50), 4, 0.25)
    assert hampel(np.zeros(50), 4, 0.5).shape == (50,)
    with pytest.raises(DataError, match=r"up to 0.2 s hold no sample at 4 Hz; a sample lasts 0.25 s"):
        interpolate(np.zeros(50), 4, 0.2)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1, 0, "4", None, True])
def test_spans_and_thresholds_that_are_no_numbers_above_0_are_refused(wrong):
    x = np.zeros(50)
    for call in (
        lambda: hampel(x, 4, wrong),
        lambda: hampel(x, 4, threshold=wrong),
        lambda: interpolate(x, 4, wrong),
    ):
        with pytest.raises(DataError, match="must be a number above 0"):
            call()


def test_numbers_of_numpy_are_numbers(rng):
    x = rng.laplace(size=200)
    np.testing.assert_array_equal(hampel(x, np.float32(10), np.float32(2.5), np.int64(3)), hampel(x, 10, 2.5, 3))
    np.testing.assert_array_equal(interpolate(x, np.float32(10), np.int32(1)), interpolate(x, 10, 1))


def test_mistakes_in_a_study_are_named():
    with pytest.raises(StudyError, match=r"no replacement 'medain'. Did you mean 'median'"):
        parse_steps([{"hampel": {"replace": "medain"}}], modality="eda")
    with pytest.raises(StudyError, match="window must be a number above 0 s, found -1"):
        parse_steps([{"hampel": [-1, 3]}], modality="eda")
    with pytest.raises(StudyError, match="no method 'spline'"):
        parse_steps([{"interpolate": {"method": "spline"}}], modality="eda")
    assert parse_steps([{"hampel": {"causal": True}}, {"interpolate": {"causal": True}}], modality="eda").causal
    assert not parse_steps(["hampel"], modality="eda").causal
    assert not parse_steps(["interpolate"], modality="eda").causal
