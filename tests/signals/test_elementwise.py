"""Clip, log, magnitude and demean."""

import numpy as np

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
