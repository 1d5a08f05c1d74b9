"""Filters agree with scipy, keep gaps, and look ahead only when they may."""

import numpy as np
import pytest
from scipy import signal

from limbeck.errors import DataError
from limbeck.signals import bandpass, highpass, lowpass, notch

RATE = 128.0


@pytest.mark.parametrize(
    ("apply", "kind", "cutoffs"),
    [
        (lambda x, **k: bandpass(x, RATE, 1, 40, **k), "bandpass", (1, 40)),
        (lambda x, **k: lowpass(x, RATE, 20, **k), "lowpass", 20),
        (lambda x, **k: highpass(x, RATE, 0.5, **k), "highpass", 0.5),
    ],
)
def test_butterworth_filters_agree_with_scipy(apply, kind, cutoffs, rng):
    x = rng.normal(size=(3, 4, 1000))
    sections = signal.butter(4, cutoffs, kind, fs=RATE, output="sos")
    np.testing.assert_allclose(apply(x), signal.sosfiltfilt(sections, x, axis=-1), rtol=1e-10)
    state = signal.sosfilt_zi(sections)
    expected = [[signal.sosfilt(sections, row, zi=state * row[0])[0] for row in rows] for rows in x]
    np.testing.assert_allclose(apply(x, causal=True), expected, rtol=1e-8, atol=1e-10)


def test_notch_agrees_with_scipy_and_removes_its_frequency(rng):
    time = np.arange(4000) / RATE
    x = np.sin(2 * np.pi * 50 * time)
    kept = np.sin(2 * np.pi * 10 * time)
    np.testing.assert_allclose(
        notch(x + kept, RATE, 50),
        signal.sosfiltfilt(signal.tf2sos(*signal.iirnotch(50, 30, fs=RATE)), x + kept),
        rtol=1e-10,
    )
    assert np.abs(notch(x, RATE, 50)[1000:-1000]).max() < 0.01
    assert np.abs(notch(kept, RATE, 50)[1000:-1000]).max() > 0.98


@pytest.mark.parametrize("gap", [False, True])
@pytest.mark.parametrize(
    "apply",
    [
        lambda x, causal: bandpass(x, RATE, 1, 40, causal=causal),
        lambda x, causal: lowpass(x, RATE, 10, causal=causal),
        lambda x, causal: highpass(x, RATE, 1, causal=causal),
        lambda x, causal: notch(x, RATE, 50, causal=causal),
    ],
)
def test_only_the_zero_phase_filter_changes_when_the_future_does(apply, gap, rng):
    x = rng.normal(size=(2, 600))
    if gap:
        x[0, 290:310] = np.nan
        x[1, :20] = np.nan
    other = x.copy()
    other[:, 300:] += rng.normal(size=(2, 300))
    np.testing.assert_array_equal(apply(x, True)[:, :300], apply(other, True)[:, :300])
    assert np.nanmax(np.abs(apply(x, False)[:, :300] - apply(other, False)[:, :300])) > 1e-3


@pytest.mark.parametrize("causal", [False, True])
def test_missing_samples_stay_missing_and_do_not_spread(causal, rng):
    x = np.sin(2 * np.pi * 5 * np.arange(1280) / RATE)[np.newaxis].repeat(2, axis=0)
    holed = x.copy()
    holed[0, 600:603] = np.nan
    holed[1] = np.nan
    filtered = bandpass(holed, RATE, 1, 40, causal=causal)
    np.testing.assert_array_equal(np.isnan(filtered), np.isnan(holed))
    far = np.r_[0:500, 750:1280]
    assert np.abs(filtered[0, far] - bandpass(x, RATE, 1, 40, causal=causal)[0, far]).max() < 0.05


def test_the_floating_type_is_kept_and_the_input_is_not_changed(rng):
    x = rng.normal(size=500).astype(np.float32)
    before = x.copy()
    assert bandpass(x, RATE, 1, 40).dtype == np.float32
    assert bandpass(x, RATE, 1, 40, causal=True).dtype == np.float32
    assert bandpass(np.arange(500), RATE, 1, 40).dtype == np.float64
    np.testing.assert_array_equal(x, before)


def test_a_level_makes_no_transient_at_the_causal_start():
    np.testing.assert_allclose(lowpass(np.full(200, 7.0), RATE, 5, causal=True), 7.0, rtol=1e-9)
    np.testing.assert_allclose(highpass(np.full(200, 7.0), RATE, 5, causal=True), 0.0, atol=1e-9)


def test_too_short_a_signal_says_how_many_samples_are_needed():
    with pytest.raises(DataError, match="at least 28 samples; found 27"):
        bandpass(np.zeros(27), RATE, 1, 40)
    assert bandpass(np.zeros(28), RATE, 1, 40).shape == (28,)
    assert bandpass(np.zeros(5), RATE, 1, 40, causal=True).shape == (5,)
    assert bandpass(np.zeros((2, 0)), RATE, 1, 40, causal=True).shape == (2, 0)


def test_a_cutoff_above_half_the_rate_is_refused():
    with pytest.raises(DataError, match="70 Hz cannot be filtered in a signal sampled at 128 Hz"):
        bandpass(np.zeros(1000), RATE, 1, 70)
    with pytest.raises(DataError, match="below 2 Hz"):
        notch(np.zeros(1000), 4.0, 50)
