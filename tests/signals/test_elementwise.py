"""Clip, log, magnitude and demean."""

import warnings

import numpy as np
import pytest

from limbeck.errors import DataError
from limbeck.signals import clip, demean, log, magnitude


def test_clip_limits_and_keeps_gaps():
    np.testing.assert_array_equal(clip(np.array([-5.0, 0.5, 9.0, np.nan]), 4, 0, 1), [0, 0.5, 1, np.nan])


def test_log_raises_small_values_to_the_floor():
    np.testing.assert_allclose(log(np.array([0.0, -1.0, 1.0]), 4, 0.01), [np.log(0.01), np.log(0.01), 0.0])
    assert np.isnan(log(np.array([np.nan]), 4)).all()


def test_magnitude_is_the_length_of_the_vector():
    x = np.array([[3.0, 0.0, np.nan], [4.0, -2.0, 1.0], [0.0, 0.0, 1.0]])
    np.testing.assert_array_equal(magnitude(x, 32), [[5, 2, np.nan]])
    assert magnitude(np.ones((7, 3, 10)), 32).shape == (7, 1, 10)


def test_demean_takes_each_windows_mean_off(rng):
    x = rng.normal(5, 1, size=(4, 2, 30)).astype(np.float32)
    centred = demean(x, 4)
    assert centred.dtype == np.float32
    np.testing.assert_allclose(centred, x - x.mean(axis=-1, keepdims=True), atol=1e-6)


def test_demean_counts_what_is_there_and_leaves_nothing_of_a_level():
    x = np.array([[1.0, np.nan, 3.0], [0.1, 0.1, 0.1], [np.nan] * 3])
    np.testing.assert_array_equal(demean(x, 4), [[-1, np.nan, 1], [0, 0, 0], [np.nan] * 3])


def test_infinite_samples_are_missing_and_what_is_no_signal_is_refused():
    x = np.array([[1.0, np.inf], [2.0, 5.0]])
    np.testing.assert_array_equal(clip(x, 4, 0, 4), [[1, np.nan], [2, 4]])
    np.testing.assert_array_equal(np.isnan(log(x, 4)), [[False, True], [False, False]])
    np.testing.assert_array_equal(magnitude(x, 4), [[np.sqrt(5), np.nan]])
    assert log(x.astype(np.float32), 4).dtype == np.float32
    with pytest.raises(DataError, match="real numbers"):
        clip(np.array(["a"]), 4, 0, 1)
    with pytest.raises(DataError, match="channel, time"):
        magnitude(np.ones(4), 4)


@pytest.mark.parametrize(("low", "high"), [(1, 0), (0, 0), (np.nan, 1), (0, np.nan), ("0", 1), (None, 1)])
def test_limits_that_are_none_are_refused(low, high):
    with pytest.raises(DataError, match="Low must be below high"):
        clip(np.zeros(4), 4, low, high)


def test_a_limit_may_be_open_and_does_not_change_the_type():
    x = np.float32([-3, 3])
    limited = clip(x, 4, np.float64(0), np.inf)
    assert limited.dtype == np.float32
    np.testing.assert_array_equal(limited, [0, 3])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(clip(x, 4, -1e300, 1e300), x)


@pytest.mark.parametrize("floor", [0, -1, np.nan, np.inf, "1", None])
def test_a_floor_that_has_no_logarithm_is_refused(floor):
    with pytest.raises(DataError, match="Floor must be a number above 0"):
        log(np.zeros(4), 4, floor)


def test_a_floor_below_single_precision_gives_numbers():
    assert np.isfinite(log(np.zeros(4, dtype=np.float32), 4, 1e-60)).all()
