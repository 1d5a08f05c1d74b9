"""Beats are those that neurokit2 finds, and a wristband's own where it is sure of them."""

import neurokit2 as nk
import numpy as np
import pytest

from limbeck.datasets import load
from limbeck.errors import DataError
from limbeck.signals import clean_heart, find_beats, normal_intervals, resample
from limbeck.signals.beats import _apart, _pulse_peaks, _steep_peaks, beats_and_likeness, cleaned_rows, pulse_waves

RATES = [64, 128, 256, 512, 1000, 2000]


def neurokit_peaks(row: np.ndarray, rate: float, modality: str) -> np.ndarray:
    if modality == "ecg":
        return nk.ecg_findpeaks(nk.ecg_clean(row, sampling_rate=rate), sampling_rate=rate)["ECG_R_Peaks"]
    return nk.ppg_findpeaks(nk.ppg_clean(row, sampling_rate=rate), sampling_rate=rate)["PPG_Peaks"]


def simulated(rate: int, modality: str, seconds: float = 15) -> np.ndarray:
    simulate = nk.ecg_simulate if modality == "ecg" else nk.ppg_simulate
    per_minute = (40, 70, 120)
    rows = [simulate(duration=seconds, sampling_rate=rate, heart_rate=hr, random_state=hr) for hr in per_minute]
    return np.stack([row[: int(seconds * rate)] for row in rows])


@pytest.mark.parametrize("modality", ["ecg", "bvp"])
@pytest.mark.parametrize("rate", RATES)
def test_peaks_are_those_of_neurokit(rate, modality, rng):
    clean = simulated(rate, modality)
    x = np.concatenate([clean, clean + rng.normal(0, 0.2, clean.shape)])
    cleaned = clean_heart(x, rate, modality=modality)
    if modality == "ecg":
        row, peak = _apart(*_steep_peaks(cleaned, rate)[:2], rate)  # before what is no complex is left out
    else:
        row, peak = _pulse_peaks(cleaned, rate)
    for index in range(len(x)):
        found = peak[row == index]
        expected = neurokit_peaks(x[index], rate, modality)
        np.testing.assert_array_equal(found[found > np.rint(0.3 * rate)], expected)
        assert len(expected) >= 9


@pytest.mark.parametrize("rate", [64, 100, 250, 1000])
def test_cleaning_is_that_of_neurokit(rate, rng):
    x = np.cumsum(rng.normal(size=(2, 10 * rate)), axis=-1)
    for modality, reference in (("ecg", nk.ecg_clean), ("bvp", nk.ppg_clean)):
        expected = np.stack([reference(row, sampling_rate=rate) for row in x])
        np.testing.assert_allclose(clean_heart(x, rate, modality=modality), expected, atol=1e-9 * np.abs(x).max())


@pytest.mark.parametrize("rate", [32, 40, 50, 64])
@pytest.mark.parametrize("per_minute", [45, 70, 110])
def test_slow_ecg_is_interpolated_and_its_beats_found(rate, per_minute):
    ecg = nk.ecg_simulate(duration=40, sampling_rate=1000, heart_rate=per_minute, random_state=3)
    expected = find_beats(ecg, 1000)
    found = find_beats(resample(ecg, 1000, rate), rate)
    assert abs(len(found) - len(expected)) <= 1
    assert np.nanmedian(np.diff(found)) == pytest.approx(np.nanmedian(np.diff(expected)), rel=0.02)


@pytest.mark.parametrize("rate", [20, 25, 32, 40, 50])
@pytest.mark.parametrize("per_minute", [50, 110, 160, 180])
def test_slow_bvp_is_interpolated_and_its_beats_found(rate, per_minute, rng):
    at = np.arange(0.4, 40, 60 / per_minute)
    time = np.arange(40 * rate) / rate
    bvp = np.exp(-0.5 * ((time[:, np.newaxis] - at) / 0.09) ** 2).sum(axis=1) + rng.normal(0, 0.005, 40 * rate)
    found = find_beats(bvp, rate, "bvp")
    assert np.median(np.diff(found)) == pytest.approx(60 / per_minute, rel=0.01)
    assert len(found) >= 0.95 * len(at)


@pytest.mark.parametrize("modality", ["ecg", "bvp"])
def test_waves_of_a_heart_are_alike_and_those_of_noise_are_not(modality, rng):
    x = np.concatenate([simulated(128, modality), rng.normal(size=(20, 15 * 128))])
    beats, likeness = beats_and_likeness(x, 128, modality)
    np.testing.assert_array_equal(beats, find_beats(x, 128, modality))
    assert likeness[:3].min() > 0.6
    assert np.nanmax(likeness[3:]) < 0.5
    np.testing.assert_allclose(beats_and_likeness(7 * x + 3, 128, modality)[1], likeness, atol=1e-9)
    assert np.isnan(beats_and_likeness(np.zeros(500), 128, modality)[1])


@pytest.mark.parametrize("rate", [64, 128, 512])
def test_ecg_upside_down_has_the_same_beats(rate):
    ecg = simulated(rate, "ecg")
    np.testing.assert_array_equal(find_beats(-ecg, rate), find_beats(ecg, rate))


def test_feet_are_where_waves_begin_to_rise_and_before_their_peaks():
    starts = 0.6 + 0.8 * np.arange(20)
    time = np.arange(17 * 128) / 128
    since = time[:, np.newaxis] - starts
    # a steep rise of 0.2 s, then a slow fall
    waves = np.where(since < 0.2, np.clip(since / 0.2, 0, 1), np.exp(-(since - 0.2) / 0.25)).sum(axis=1)
    ((cleaned, _, usable, rate),) = cleaned_rows(waves[np.newaxis], 128.0, "bvp")
    row, foot, peak, height = pulse_waves(cleaned, rate)
    assert usable.all()
    assert (row == 0).all()
    assert len(foot) >= 18
    assert (height > 0).all()
    late = foot - starts[np.abs(foot[:, np.newaxis] - starts).argmin(axis=1)]
    assert np.abs(late).max() < 0.05
    assert np.ptp(late[1:-1]) < 0.01
    np.testing.assert_allclose(peak - foot, 0.2, atol=0.06)


def test_beats_scale_shift_and_split_with_the_signal(rng):
    for modality in ("ecg", "bvp"):
        x = simulated(128, modality) + rng.normal(0, 0.05, (3, 15 * 128))
        beats = find_beats(x, 128, modality)
        np.testing.assert_allclose(find_beats(1000 * x + 5000, 128, modality), beats, atol=1e-9)
        np.testing.assert_array_equal(find_beats(x.reshape(3, 1, -1), 128, modality), beats[:, np.newaxis])
        np.testing.assert_array_equal(find_beats(x[::-1], 128, modality), beats[::-1])
        for row, expected in zip(x, beats, strict=True):
            found = find_beats(row, 128, modality)
            np.testing.assert_array_equal(found, expected[: len(found)])
            assert np.isnan(expected[len(found) :]).all()
        np.testing.assert_allclose(find_beats(x.astype(np.float32), 128, modality), beats, atol=1e-4)


def test_rows_beyond_one_chunk_are_the_same(rng, monkeypatch):
    x = simulated(128, "ecg")
    whole = find_beats(x, 128)
    monkeypatch.setattr("limbeck.signals.beats._CHUNK", 2000)
    np.testing.assert_array_equal(find_beats(x, 128), whole)


def test_other_modalities_and_rates_are_refused():
    with pytest.raises(DataError, match="found eda"):
        find_beats(np.zeros(100), 64.0, "eda")
    with pytest.raises(DataError, match="at least 20 Hz; found 4 Hz"):
        clean_heart(np.zeros(100), 4.0)
    for rate in (float("nan"), None, 0):
        with pytest.raises(DataError, match="sampling rate must be a number"):
            clean_heart(np.zeros(100), rate)
    with pytest.raises(DataError, match="At least 64 samples"):
        clean_heart(np.zeros(63), 64.0)


def wristband_windows(root, subjects: list[str], seconds: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """BVP windows whose own intervals cover 90 % of their length, and the mean and RMSSD (s) of these."""
    windows, means, variability = [], [], []
    for source in load("stress-predict", root, subjects=subjects).sources:
        recording = source.read()
        bvp, ibi = recording.signals["bvp"], recording.traces["ibi"]
        size = int(seconds * bvp.rate)
        ends, lengths = ibi.times - bvp.start, ibi.values.astype(np.float64)
        for first in range(0, bvp.data.shape[1] - size + 1, size):
            begin = first / bvp.rate
            inside = (ends - lengths >= begin) & (ends <= begin + seconds)
            if lengths[inside].sum() >= 0.9 * seconds:
                follows = np.abs(np.diff(ends[inside]) - lengths[inside][1:]) < 1e-3
                windows.append(bvp.data[0, first : first + size])
                means.append(lengths[inside].mean())
                variability.append(np.sqrt(np.mean(np.square(np.diff(lengths[inside])[follows]))))
    return np.stack(windows), np.array(means), np.array(variability)


@pytest.mark.parametrize("seconds", [60, 30])
def test_intervals_of_a_wristband_agree_with_its_own_where_it_is_sure_of_them(shared_data, seconds):
    subjects = ["S01", "S05", "S06", "S08", "S13", "S14", "S19", "S24"]
    bvp, expected, variability = wristband_windows(shared_data / "stress-predict", subjects, seconds)
    intervals = normal_intervals(find_beats(bvp, 64.0, "bvp"))
    found = np.nanmean(intervals, axis=-1)
    r = np.corrcoef(found, expected)[0, 1]
    rmssd = np.sqrt(np.nanmean(np.square(np.diff(intervals, axis=-1)), axis=-1))
    print(f"{len(bvp)} windows of {seconds} s: r {r:.4f}, RMSSD r {np.corrcoef(rmssd, variability)[0, 1]:.2f}")
    assert len(bvp) >= 50
    assert r >= 0.98
    assert np.corrcoef(60 / found, 60 / expected)[0, 1] >= 0.98
    assert np.abs(found - expected).mean() < 0.004
    assert np.abs(rmssd - variability).mean() < 0.015  # intervals between the waves' tops are off by 0.09


def test_a_t_wave_at_the_end_of_a_window_is_no_beat():
    rate, period = 250, 0.8
    seconds = np.arange(20 * rate) / rate
    r_wave = sum(np.exp(-0.5 * ((seconds - at) / 0.012) ** 2) for at in np.arange(0.4, 20, period))
    t_wave = sum(0.4 * np.exp(-0.5 * ((seconds - at) / 0.05) ** 2) for at in np.arange(0.7, 20, period))
    ecg = r_wave + t_wave
    for first in np.arange(0.45, 0.45 + period, 0.02):  # windows that begin and end all over the cycle
        window = ecg[int(first * rate) : int((first + 6.0) * rate)]
        found = find_beats(window, rate)
        found = found[np.isfinite(found)]
        phase = (found + int(first * rate) / rate - 0.4) % period
        assert (np.minimum(phase, period - phase) < 0.02).all(), (first, found)
        assert len(found) >= 6


def ecg_of_a_slow_heart(
    rate: float, per_minute: float, t: float, *, breathing: float = 0.0, drop: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """A minute of ECG with T waves `t` times as high as R, sampled as a device does, and when its beats are.

    R and T swing with breathing by a share of their height, and are `drop` times as high in the second half.
    """
    rng = np.random.default_rng(1)
    period = 60 / per_minute
    beats = 0.4 + np.cumsum(period * rng.normal(1, 0.02, int(60 / period)))
    beats = beats[beats < 59.8]
    since = np.arange(60 * 500)[:, np.newaxis] / 500 - beats
    height = (1 + breathing * np.sin(2 * np.pi * 0.25 * beats)) * np.where(beats < 30, 1, drop)
    waves = [(0.0, 1.0, 0.01), (0.03, -0.2, 0.01), (0.32 * min(1, period / 0.8) ** 0.5, t, 0.04)]
    ecg = sum((size * height * np.exp(-0.5 * ((since - at) / sd) ** 2)).sum(axis=1) for at, size, sd in waves)
    return resample(ecg + rng.normal(0, 0.02, len(since)), 500, rate), beats


@pytest.mark.parametrize("rate", [50, 64, 128, 250])
@pytest.mark.parametrize("per_minute", [35, 45, 60, 75])
def test_high_t_waves_of_slow_hearts_are_no_beats(rate, per_minute):
    for t in (0.5, 0.6, 0.8):
        for breathing in (0.0, 0.4):
            ecg, beats = ecg_of_a_slow_heart(rate, per_minute, t, breathing=breathing)
            found = find_beats(ecg, rate)
            assert np.abs(found[:, np.newaxis] - beats).min(axis=1).max() < 0.03, (t, breathing)
            assert len(found) >= len(beats) - 2


@pytest.mark.parametrize("rate", [64, 250])
@pytest.mark.parametrize("per_minute", [45, 75, 150])
def test_beats_may_halve_in_height(rate, per_minute):
    ecg, beats = ecg_of_a_slow_heart(rate, per_minute, 0.3, drop=0.5)
    found = find_beats(ecg, rate)
    assert len(beats) - 2 <= len(found) <= len(beats)


@pytest.mark.parametrize("rate", [49, 50, 64])
@pytest.mark.parametrize("per_minute", [150, 180])
def test_fast_hearts_are_found_without_an_anti_aliasing_filter(rate, per_minute, rng):
    at = np.arange(0.4, 30, 60 / per_minute)
    since = np.arange(30 * rate)[:, np.newaxis] / rate - at
    ecg = np.exp(-0.5 * (since / 0.01) ** 2).sum(axis=1) + rng.normal(0, 0.01, 30 * rate)
    found = find_beats(ecg, rate)
    assert len(at) - 2 <= len(found) <= len(at)
    assert np.median(np.diff(found)) == pytest.approx(60 / per_minute, rel=0.01)
