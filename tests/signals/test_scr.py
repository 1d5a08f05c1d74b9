"""Skin conductance responses are those of neurokit2, for all rows at once."""

import warnings

import neurokit2 as nk
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import DataError
from limbeck.signals import decompose, find_scrs


def neurokit_events(phasic: np.ndarray, rate: float) -> dict[str, np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nk.eda_peaks(phasic, sampling_rate=rate, method="neurokit", amplitude_min=0.1)[1]


@pytest.mark.parametrize("rate", [8, 32, 100])
@pytest.mark.parametrize("noise", [0, 0.01])
@pytest.mark.parametrize("number", [1, 4, 9])
def test_events_are_those_of_neurokit2(rate, noise, number):
    x = nk.eda_simulate(duration=60, sampling_rate=rate, scr_number=number, noise=noise, random_state=number)
    phasic = decompose(x, rate)[1]
    scrs, expected = find_scrs(phasic, rate, minimum=0), neurokit_events(phasic, rate)
    assert scrs.count == len(expected["SCR_Peaks"])
    np.testing.assert_allclose(scrs.peak * rate, expected["SCR_Peaks"], atol=1e-6)
    np.testing.assert_allclose(scrs.onset * rate, expected["SCR_Onsets"], atol=1e-6)
    np.testing.assert_allclose(scrs.amplitude, expected["SCR_Amplitude"], atol=1e-12)
    np.testing.assert_allclose(scrs.rise_time, expected["SCR_RiseTime"], atol=1e-9)
    np.testing.assert_allclose(scrs.half_recovery_time, expected["SCR_RecoveryTime"], atol=1e-9)


def test_where_the_fall_is_not_steady_half_recovery_is_the_first_sample_that_reaches_it():
    x = np.array([0, 0.1, 0, 4, 8, 5, 3.9, 4.1, 2, 1, 0, 0.5], dtype=float)
    scrs = find_scrs(x, 4, relative=0.5)
    np.testing.assert_array_equal(scrs.onset, [0.5])
    np.testing.assert_array_equal(scrs.peak, [1])
    np.testing.assert_array_equal(scrs.half_recovery, [1.5])
    np.testing.assert_array_equal(scrs.half_recovery_time, [0.5])
    np.testing.assert_array_equal(scrs.offset, [1.5])
    np.testing.assert_array_equal(scrs.recovery_time, [0.5])
    np.testing.assert_array_equal(scrs.amplitude, [8])


def test_what_lies_outside_the_row_is_not_a_number():
    rising = np.array([0.0, 1, 2, 1, 1.5, 3, 2.5, 2.4])
    scrs = find_scrs(rising, 4, relative=0)
    np.testing.assert_array_equal(scrs.onset * 4, [np.nan, 3])
    np.testing.assert_array_equal(scrs.peak * 4, [2, 5])
    np.testing.assert_array_equal(scrs.offset * 4, [3, np.nan])
    np.testing.assert_array_equal(scrs.amplitude, [np.nan, 2])
    np.testing.assert_array_equal(scrs.half_recovery, [np.nan, np.nan])


def test_a_level_ends_with_the_onset_of_a_response_and_begins_with_its_offset():
    x = np.array([0, 0, 0, 1, 3, 1, 0, 0, 0, 0, 2, 0, 0, 0], dtype=float)
    single = np.array([0, 1, 3, 1, 0, 0, 0, 0, 2, 1, 0.5, 0.4, 0.3, 0.2])  # its ends may lie on slopes
    scrs = find_scrs(np.stack([x, x, single, np.full(14, np.nan), x]), 4)
    for row in (0, 1, 4):
        np.testing.assert_array_equal(scrs.onset[row] * 4, [2, 9])
        np.testing.assert_array_equal(scrs.peak[row] * 4, [4, 10])
        np.testing.assert_array_equal(scrs.offset[row] * 4, [6, 11])
        np.testing.assert_array_equal(scrs.amplitude[row], [3, 2])
    np.testing.assert_array_equal(scrs.onset[2] * 4, [np.nan, 7])
    np.testing.assert_array_equal(scrs.offset[2] * 4, [4, np.nan])
    np.testing.assert_array_equal(scrs.count, [2, 2, 2, 0, 2])


@pytest.mark.parametrize("rate", [4, 8, 16])
def test_the_rise_of_a_response_on_a_level_does_not_count_the_level(rate):
    times = np.arange(60 * rate) / rate
    x = 2 + 0.5 * np.sin(np.pi * np.clip((times[:, np.newaxis] - [10, 30]) / 8, 0, 1)).sum(axis=-1) ** 2
    scrs = find_scrs(decompose(x, rate, "median")[1], rate)
    np.testing.assert_allclose(scrs.peak, [14, 34])
    np.testing.assert_allclose(scrs.rise_time, 1, atol=0.3)
    np.testing.assert_allclose(scrs.recovery_time, 1, atol=0.3)


def test_thresholds_leave_out_what_is_small():
    x = np.concatenate([[0.0, 1, 0], [0.0, 0.2, 0], [0.0, 0.05, 0], [0.0, 0.004, 0]])
    assert find_scrs(x, 4, minimum=0, relative=0).count == 4
    assert find_scrs(x, 4, minimum=0.01, relative=0).count == 3
    assert find_scrs(x, 4).count == 2
    assert find_scrs(x, 4, minimum=0.5).count == 1
    assert find_scrs(x, 4, minimum=2).peak.shape == (0,)


@given(st.integers(0, 10_000), st.integers(1, 5), st.floats(0.01, 100))
@settings(max_examples=25, deadline=None)
def test_rows_are_independent_and_scale_with_the_signal(seed, split, scale):
    x = np.random.default_rng(seed).normal(size=(6, 2, 90))
    scrs = find_scrs(x, 4, minimum=0)
    assert scrs.count.shape == (6, 2)
    assert scrs.peak.shape == (6, 2, scrs.count.max())
    for index in np.ndindex(6, 2):
        alone = find_scrs(x[index], 4, minimum=0)
        for part in ("onset", "peak", "half_recovery", "offset", "amplitude"):
            row = getattr(scrs, part)[index]
            np.testing.assert_array_equal(row[: alone.count], getattr(alone, part))
            assert np.isnan(row[alone.count :]).all()
    scaled = find_scrs(x * scale, 4, minimum=0)
    np.testing.assert_allclose(scaled.amplitude, scrs.amplitude * scale, rtol=1e-9)
    np.testing.assert_array_equal(find_scrs(x[:split], 4, minimum=0).count, scrs.count[:split])


def test_rows_with_missing_samples_or_without_a_peak_have_no_response(rng):
    x = rng.normal(size=(4, 60))
    expected = find_scrs(x, 4).count[3]
    x[0, 10], x[1, 59], x[2] = np.nan, -np.inf, 3.0
    np.testing.assert_array_equal(find_scrs(x, 4).count, [0, 0, 0, expected])
    assert find_scrs(np.arange(20.0), 4).count == 0
    assert find_scrs(np.empty((0, 20)), 4).peak.shape == (0, 0)


def test_wrong_thresholds_are_refused():
    for wrong in (-1, None, "a", np.nan, np.inf):
        with pytest.raises(DataError, match="Minimum must be a number of at least 0, found"):
            find_scrs(np.zeros(20), 4, minimum=wrong)
    for wrong in (2, np.nan, "0.1"):
        with pytest.raises(DataError, match="Relative must be a number between 0 and 1, found"):
            find_scrs(np.zeros(20), 4, relative=wrong)


def test_a_rate_at_which_responses_fall_between_the_samples_is_refused():
    with pytest.raises(DataError, match="at least 4 Hz; found 2 Hz"):
        find_scrs(np.zeros(20), 2)
