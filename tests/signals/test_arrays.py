from __future__ import annotations

import numpy as np
import pytest

from limbeck.errors import DataError
from limbeck.signals.arrays import above_zero, as_signal, is_flat, is_number, is_whole


def test_floating_samples_are_passed_as_they_are():
    for dtype in (np.float32, np.float64):
        x = np.ones((2, 3), dtype=dtype)
        assert as_signal(x, 4) is x


def test_whole_numbers_become_double_precision():
    assert as_signal(np.arange(4, dtype=np.int16), 4).dtype == np.float64
    assert as_signal([1, 2, 3], 4).dtype == np.float64


def test_infinite_samples_are_missing_in_a_copy():
    x = np.array([1.0, np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(as_signal(x, 4), [1, np.nan, np.nan, np.nan])
    assert np.isinf(x).sum() == 2


@pytest.mark.parametrize("every", [1, 2])
def test_large_samples_are_finite_and_infinite_ones_are_found_in_any_layout(every):
    x = np.full((3, 8), 1e30, dtype=np.float32)  # their squares are not finite in single precision
    np.testing.assert_array_equal(as_signal(x[:, ::every], 4), x[:, ::every])
    x[1, 4] = -np.inf
    found = np.isnan(as_signal(x[:, ::every], 4))
    assert found[1, 4 // every]
    assert found.sum() == 1


@pytest.mark.parametrize("rate", [0, -1, np.nan, np.inf, "64", None, True])
def test_what_is_no_rate_is_refused(rate):
    with pytest.raises(DataError, match="sampling rate must be a number of Hz above 0"):
        as_signal(np.zeros(4), rate)


@pytest.mark.parametrize("x", [np.array(["a", "b"]), np.array([1 + 2j]), np.float64(3), np.array([None, 1])])
def test_what_is_no_signal_is_refused(x):
    with pytest.raises(DataError, match="array of real numbers"):
        as_signal(x, 4)


def test_too_few_samples_are_refused_with_their_duration():
    with pytest.raises(DataError, match=r"At least 8 samples are needed; found 3 \(0.75 s at 4 Hz\)"):
        as_signal(np.zeros((5, 3)), 4, least=8)


def test_a_row_whose_halves_begin_alike_is_not_flat():
    x = np.sin(2 * np.pi * np.arange(64) / 32) * [[1], [1e-3]] + [[0], [5]]
    assert x[0, 0] == pytest.approx(x[0, 32], abs=1e-15)
    np.testing.assert_array_equal(is_flat(np.vstack([x, np.tile([1.0, 2.0], 32), np.full(64, 1 / 3)])), [0, 0, 0, 1])
    assert is_flat(np.full(5, 0.1, dtype=np.float32))
    assert not is_flat(np.arange(5.0))


def test_flat_is_flat_up_to_rounding():
    rows = np.array([[0.1 + 0.2, 0.3, 0.3], [0.3, 0.3, 0.3001], [np.nan, 1, 1], [0, 0, 0]])
    np.testing.assert_array_equal(is_flat(rows), [True, False, False, True])


def test_numbers_are_finite_and_no_truth_values():
    for number in (1, -2.5, np.float32(3), np.int16(4)):
        assert is_number(number)
    for other in (np.nan, np.inf, True, np.bool_(True), "4", None, 1j, [1]):
        assert not is_number(other)
        assert list(above_zero("span", other, " s")) == [f"span must be a number above 0 s, found {other!r}"]
    assert list(above_zero("span", 0.5, " s")) == []
    assert len(list(above_zero("span", 0, " s"))) == 1
    assert [is_whole(value) for value in (3, np.uint8(3), 3.0, True, "3")] == [True, True, False, False, False]
