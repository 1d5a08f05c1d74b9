"""Resampling keeps time, removes what the new rate cannot hold, and keeps gaps."""

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import signal

from limbeck.errors import DataError
from limbeck.signals import decimate, resample
from limbeck.signals.resampling import resampling_ratio


def test_resampling_agrees_with_the_polyphase_filter_of_scipy(rng):
    x = rng.normal(size=(3, 1024))
    np.testing.assert_allclose(resample(x, 512, 128), signal.resample_poly(x, 1, 4, axis=-1, padtype="line"))
    expected = signal.resample_poly(x, 25, 64, axis=-1, padtype="line")
    np.testing.assert_allclose(resample(x, 512, 200), expected, atol=3e-4)


def test_a_level_gets_no_ripple():
    x = np.full(700, 1e4)
    assert (resample(x, 700, 128) == 1e4).all()
    assert np.ptp(signal.resample_poly(x, 32, 175, padtype="line")) > 0.1  # which is why scipy's taps are not used


@pytest.mark.parametrize(("rate", "to"), [(500, 128), (64, 4), (700, 128), (4, 32), (31.25, 25), (499.987, 128)])
def test_a_slow_wave_keeps_its_times(rate, to):
    time = np.arange(int(60 * rate)) / rate
    resampled = resample(np.sin(2 * np.pi * 0.5 * time) + 3, rate, to)
    assert len(resampled) == int(np.ceil(len(time) * float(resampling_ratio(rate, to))))
    new = np.arange(len(resampled)) / to
    inner = (new > 3) & (new < 57)
    np.testing.assert_allclose(resampled[inner], np.sin(2 * np.pi * 0.5 * new[inner]) + 3, atol=0.01)


def test_what_the_new_rate_cannot_hold_is_filtered_out():
    time = np.arange(5120) / 512
    assert np.abs(resample(np.sin(2 * np.pi * 100 * time), 512, 128)[100:-100]).max() < 0.02


@given(st.floats(1, 2000), st.floats(1, 2000))
@example(1.0, 1.00001)
@example(1.0, 1.0000003)
@settings(max_examples=200, deadline=None)
def test_two_rates_have_a_ratio_right_to_a_ten_millionth_or_there_is_none_below_a_million(rate, to):
    try:
        ratio = resampling_ratio(rate, to)
    except DataError:
        larger = max(to / rate, rate / to)
        denominators = np.arange(1, int(1_000_000 / larger) + 1)
        assert np.abs(np.rint(larger * denominators) / denominators / larger - 1).min() > 0.99e-7
    else:
        assert float(ratio) == pytest.approx(to / rate, rel=1.01e-7)


def test_rates_that_differ_by_a_hundred_thousandth_have_a_ratio():
    assert resampling_ratio(1.0, 1.00001) == Fraction(100_001, 100_000)


def test_usual_rates_have_small_ratios():
    assert resampling_ratio(512.0, 128.0) == Fraction(1, 4)
    assert resampling_ratio(700.0, 128.0) == Fraction(32, 175)


def test_a_ratio_out_of_reach_is_refused():
    with pytest.raises(DataError, match="too far from 1"):
        resample(np.zeros(10), 1e9, 1)


@pytest.mark.parametrize(("rate", "to"), [(100, 10), (10, 100), (100, 100), (100, 30)])
def test_a_gap_stays_where_it_was(rate, to, rng):
    x = np.ones((2, 40 * rate), dtype=np.float32)
    x[0, 20 * rate : 21 * rate] = np.nan
    resampled = resample(x, rate, to)
    time = np.arange(resampled.shape[-1]) / to
    missing = np.isnan(resampled[0])
    assert missing[(time > 20) & (time < 21 - 1 / rate)].all()
    step = max(1 / rate, 1 / to)
    assert not missing[(time < 20 - step) | (time > 21 + step)].any()
    assert not np.isnan(resampled[1]).any()
    np.testing.assert_allclose(resampled[0, ~missing], 1, atol=1e-3)


def test_one_missing_sample_is_not_lost_by_a_large_factor():
    x = np.zeros(1000)
    x[533] = np.nan
    assert np.isnan(resample(x, 1000, 10)).sum() == 1


def test_decimating_is_resampling_to_a_fraction_of_the_rate(rng):
    x = rng.normal(size=(2, 400)).astype(np.float32)
    np.testing.assert_array_equal(decimate(x, 100, 4), resample(x, 100, 25))
    assert decimate(x, 100, 4).dtype == np.float32


@given(st.floats(0.01, 100), st.floats(-100, 100), st.integers(1, 5), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_resampling_is_linear_and_treats_every_row_alike(scale, shift, split, seed):
    x = np.random.default_rng(seed).normal(size=(2, 3, 200))
    resampled = resample(x, 64, 20)
    tolerance = 1e-9 * (scale + abs(shift))
    np.testing.assert_allclose(resample(scale * x + shift, 64, 20), scale * resampled + shift, atol=tolerance + 1e-12)
    rows = x.reshape(6, 200)
    parts = np.concatenate([resample(rows[:split], 64, 20), resample(rows[split:], 64, 20)])
    np.testing.assert_array_equal(parts.reshape(resampled.shape), resampled)


def test_infinite_samples_are_missing_and_one_bad_row_leaves_the_others_as_they_are(rng):
    x = rng.normal(size=(3, 640)).astype(np.float32)
    bad = x.copy()
    bad[1, 320] = np.inf
    resampled = resample(bad, 64, 4)
    np.testing.assert_array_equal(resampled[[0, 2]], resample(x, 64, 4)[[0, 2]])
    assert np.isnan(resampled[1]).sum() == 1


def test_resampling_takes_no_more_than_three_times_the_memory_of_its_input(rng):
    x = rng.normal(size=(64, 76_800)).astype(np.float32)
    resample(x[:1, :1000], 512, 128)
    tracemalloc.start()
    resample(x, 512, 128)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * x.nbytes  # beside the input


def test_rates_and_factors_that_are_none_are_refused():
    with pytest.raises(DataError, match="rate must be a number above 0 Hz, found -4"):
        resample(np.zeros(10), 64, -4)
    with pytest.raises(DataError, match="factor must be a whole number of at least 1, found 0"):
        decimate(np.zeros(10), 64, 0)
    with pytest.raises(DataError, match="at least 2 samples; found 1"):
        resample(np.zeros((3, 1)), 64, 4)
    with pytest.raises(DataError, match="sampling rate must be a number of Hz above 0"):
        resample(np.zeros(10), 0, 4)
    for to in (np.nan, np.inf, "64", None):
        with pytest.raises(DataError, match="rate must be a number above 0 Hz"):
            resample(np.zeros(10), 64, to)
    for factor in (2.5, "2", np.nan):
        with pytest.raises(DataError, match="whole number of at least 1"):
            decimate(np.zeros(10), 64, factor)
    with pytest.raises(DataError, match="sampling rate must be a number of Hz above 0"):
        decimate(np.zeros(10), "128", 2)
    for rate, to in ((1e-200, 1e200), (1e200, 1e-200)):
        with pytest.raises(DataError, match="too far from 1"):
            resample(np.zeros(10), rate, to)


def test_rates_of_numpy_are_rates(rng):
    x = rng.normal(size=300)
    np.testing.assert_array_equal(resample(x, np.float32(64), np.int16(32)), resample(x, 64, 32))
    np.testing.assert_array_equal(decimate(x, np.float32(64), np.int64(2)), decimate(x, 64, 2))
