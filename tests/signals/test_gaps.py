"""Gaps are filled by interpolation, or from the past alone."""

import numpy as np

from limbeck.signals.gaps import fill_gaps, gap_lengths, hold_gaps, missing, row_chunks


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


def test_gaps_have_a_length_and_a_distance_from_the_last_sample():
    x = np.array([[np.nan, 1.0, np.nan, np.inf, 4.0, np.nan], [np.nan] * 6])
    before, lengths = gap_lengths(missing(x))
    np.testing.assert_array_equal(before, [[1, 0, 1, 2, 0, 1], [1, 2, 3, 4, 5, 6]])
    np.testing.assert_array_equal(lengths, [[1, 0, 2, 2, 0, 1], [6] * 6])


def test_chunks_cover_every_row_once_however_long_it_is():
    for rows, samples in ((7, 100_000), (3, 10_000_000), (1000, 1), (0, 5)):
        covered = [row for chunk in row_chunks(rows, samples) for row in range(rows)[chunk]]
        assert covered == list(range(rows))
