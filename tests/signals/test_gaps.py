"""Gaps are filled by interpolation, or from the past alone."""

import numpy as np

from limbeck.signals.gaps import fill_gaps, hold_gaps, missing


def test_gaps_are_interpolated_and_the_ends_held():
    x = np.array([[np.nan, 1.0, np.nan, np.inf, 4.0, np.nan], [np.nan] * 6])
    np.testing.assert_allclose(fill_gaps(x, missing(x)), [[1, 1, 2, 3, 4, 4], [0] * 6])


def test_held_gaps_take_the_last_sample_before_them():
    x = np.array([[np.nan, 1.0, np.nan, np.inf, 4.0, np.nan], [np.nan] * 6])
    np.testing.assert_allclose(hold_gaps(x, missing(x)), [[1, 1, 1, 1, 4, 4], [0] * 6])


def test_a_whole_signal_is_not_copied():
    x = np.arange(4.0)
    assert fill_gaps(x, missing(x)) is x
    assert hold_gaps(x, missing(x)) is x
