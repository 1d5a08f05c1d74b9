"""Heart features on simulated signals of known rate, and on windows that have no heart."""

import neurokit2 as nk
import numpy as np
import pytest

from limbeck.errors import DataError
from limbeck.signals import find_beats, heart, normal_intervals


def pulses(beats: np.ndarray, rate: float, seconds: float) -> np.ndarray:
    """A pulse wave whose beats are where they are put."""
    time = np.arange(int(seconds * rate)) / rate
    return np.exp(-0.5 * ((time[:, np.newaxis] - beats) / 0.09) ** 2).sum(axis=1)


@pytest.mark.parametrize("rate", [128, 250, 500])
@pytest.mark.parametrize("beats_per_minute", [55, 80, 120])
def test_heart_rate_of_simulated_ecg_is_the_one_simulated(rate, beats_per_minute):
    ecg = nk.ecg_simulate(duration=40, sampling_rate=rate, heart_rate=beats_per_minute, random_state=1)
    values = heart(ecg.reshape(4, 1, -1), rate)
    assert values.shape == (4, 1, 4)
    np.testing.assert_allclose(values[:, 0, 0], beats_per_minute, atol=1.5)
    np.testing.assert_allclose(values[:, 0, 1], 60 / beats_per_minute, rtol=0.02)


def test_intervals_of_a_pulse_wave_are_right_to_a_few_milliseconds(rng):
    intervals = rng.normal(0.85, 0.04, size=70)
    beats = 0.5 + np.cumsum(intervals)
    wave = pulses(beats, 64, 62) + rng.normal(0, 0.005, size=62 * 64)
    (found,) = find_beats(wave[np.newaxis], 64, "bvp")
    nearest = np.abs(found[:, np.newaxis] - beats).min(axis=1)
    assert len(found) > 0.95 * (beats < 62).sum()
    assert np.median(nearest - np.median(nearest)) < 0.004
    hr, period, sdnn, rmssd, pnn50 = heart(
        wave[np.newaxis], 64, ("hr", "period", "sdnn", "rmssd", "pnn50"), modality="bvp"
    )[0]
    inside = intervals[1 : (beats < 62).sum()]
    assert period == pytest.approx(inside.mean(), abs=0.005)
    assert hr == pytest.approx(60 / inside.mean(), abs=0.5)
    assert sdnn == pytest.approx(1000 * inside.std(ddof=1), rel=0.15)
    assert rmssd == pytest.approx(1000 * np.sqrt(np.mean(np.diff(inside) ** 2)), rel=0.15)
    assert pnn50 == pytest.approx((np.abs(np.diff(inside)) > 0.05).mean(), abs=0.1)


def test_an_interval_over_a_missed_beat_is_not_counted():
    beats = np.delete(np.arange(20) * 0.8, 7)
    normal, differences = normal_intervals(beats)
    np.testing.assert_allclose(normal, 0.8)
    assert len(normal) == 17
    assert len(differences) == 15
    np.testing.assert_allclose(differences, 0, atol=1e-12)


def test_five_seconds_suffice_for_a_rate():
    ecg = nk.ecg_simulate(duration=5, sampling_rate=250, heart_rate=75, random_state=1)
    assert heart(ecg[np.newaxis], 250)[0, 0] == pytest.approx(75, abs=3)


@pytest.mark.parametrize("modality", ["ecg", "bvp"])
@pytest.mark.parametrize(
    "x",
    [
        np.zeros(640),
        np.full(640, 3.3),
        np.full(640, np.nan),
        np.r_[np.inf, np.zeros(639)],
        np.ones(3),
        np.arange(640.0),
        np.r_[np.zeros(320), 1, np.zeros(319)],
    ],
    ids=["zero", "flat", "missing", "infinite", "three samples", "ramp", "one spike"],
)
def test_what_has_no_beats_gives_nan_and_no_exception(x, modality):
    values = heart(x[np.newaxis], 64, modality=modality)
    assert values.shape == (1, 4)
    assert np.isnan(values[0, 2:]).all()


def test_one_bad_window_leaves_the_others_as_they_are():
    ecg = nk.ecg_simulate(duration=20, sampling_rate=128, heart_rate=70, random_state=1).reshape(2, -1)
    both = heart(np.stack([ecg[0], np.zeros(1280), ecg[1]]), 128)
    np.testing.assert_array_equal(both[[0, 2]], heart(ecg, 128))
    assert np.isnan(both[1]).all()


def test_slow_sampling_and_other_modalities_are_refused():
    with pytest.raises(DataError, match="at least 20 Hz; found 4 Hz"):
        heart(np.zeros((1, 100)), 4.0)
    with pytest.raises(DataError, match="found eda"):
        heart(np.zeros((1, 100)), 64.0, modality="eda")
