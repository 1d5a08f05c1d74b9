"""Hjorth's parameters, line length and zero crossings, against neurokit2 and by their definitions."""

from itertools import pairwise

import neurokit2 as nk
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import DataError, StudyError
from limbeck.signals import hjorth, parse_steps, waveform


@pytest.mark.parametrize("rate", [4, 128, 1000])
def test_hjorth_agrees_with_neurokit2(rate, rng):
    x = np.cumsum(rng.normal(5, 2, size=(2, 3, 640)), axis=-1)
    for row, ours in zip(x.reshape(6, -1), hjorth(x, rate).reshape(6, 3), strict=True):
        complexity, info = nk.complexity_hjorth(row)
        np.testing.assert_allclose(ours, [info["Activity"], info["Mobility"] * rate, complexity], rtol=1e-9)


def test_a_slow_sine_has_its_angular_frequency_as_mobility_and_complexity_one():
    x = 3 * np.sin(2 * np.pi * 2 * np.arange(2560) / 256) + 10
    np.testing.assert_allclose(hjorth(x, 256), [4.5, 4 * np.pi, 1], rtol=1e-3)


def test_a_sine_crosses_its_mean_twice_a_period_and_travels_four_amplitudes():
    x = 3 * np.sin(2 * np.pi * 2 * np.arange(2560) / 256 + 0.1) + 10
    np.testing.assert_allclose(waveform(x, 256), [24, 4], rtol=0.02)


def test_waveform_follows_its_definition(rng):
    x = rng.normal(2, 1, size=(3, 50))
    for row, (length, crossings) in zip(x, waveform(x, 4), strict=True):
        assert length == pytest.approx(sum(abs(b - a) for a, b in pairwise(row)) / 49 * 4)
        level = row - row.mean()
        assert crossings == pytest.approx(sum(a * b < 0 for a, b in pairwise(level)) / 49 * 4)


@given(st.floats(0.01, 100), st.floats(-1000, 1000), st.integers(1, 11), st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_scale_shift_permutation_and_batch_split(scale, shift, split, seed):
    x = np.random.default_rng(seed).normal(size=(12, 200))
    by_hjorth, by_waveform = hjorth(x, 64), waveform(x, 64)
    np.testing.assert_allclose(hjorth(scale * x + shift, 64), by_hjorth * [scale**2, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(waveform(scale * x + shift, 64)[:, 0], by_waveform[:, 0] * scale, rtol=1e-6)
    for function, whole in ((hjorth, by_hjorth), (waveform, by_waveform)):
        np.testing.assert_array_equal(function(x[::-1], 64), whole[::-1])
        np.testing.assert_array_equal(np.concatenate([function(x[:split], 64), function(x[split:], 64)]), whole)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constants_and_straight_lines_have_what_is_defined_and_nan_for_the_rest(dtype):
    flat = np.full(500, 1 / 3, dtype=dtype)
    np.testing.assert_array_equal(hjorth(flat, 50), [0, np.nan, np.nan])
    np.testing.assert_array_equal(waveform(flat, 50), [0, 0])
    activity, mobility, complexity = hjorth((20 + 0.1 * np.arange(500)).astype(dtype), 50)
    assert activity > 0
    assert mobility == 0
    assert np.isnan(complexity)


def test_missing_samples_give_nan_in_their_row_only(rng):
    x = rng.normal(size=(4, 100))
    bad = x.copy()
    bad[1, 50], bad[2, 0] = np.nan, np.inf
    for function in (hjorth, waveform):
        values = function(bad, 32)
        assert np.isnan(values[1:3]).all()
        np.testing.assert_array_equal(values[[0, 3]], function(x, 32)[[0, 3]])


def test_kinds_come_in_the_order_named_and_wrong_ones_are_refused(rng):
    x = rng.normal(size=(4, 100)).astype(np.float32)
    assert hjorth(x, 32).dtype == waveform(x, 32).dtype == np.float32
    np.testing.assert_array_equal(hjorth(x, 32, ("complexity", "activity")), hjorth(x, 32)[:, [2, 0]])
    np.testing.assert_array_equal(waveform(x, 32, ("zero_crossings",)), waveform(x, 32)[:, 1:])
    with pytest.raises(DataError, match="At least 4 samples"):
        hjorth(x[:, :3], 32)
    with pytest.raises(DataError, match="Did you mean 'mobility'"):
        hjorth(x, 32, ("mobilty",))
    with pytest.raises(StudyError, match="no kind 'length'"):
        parse_steps([{"features": [{"waveform": [["length"]]}]}], modality="eeg")
