"""Heart features on simulated signals of known rate, and on windows that have no heart."""

import warnings

import neurokit2 as nk
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import DataError, StudyError
from limbeck.signals import ecg_waves, find_beats, heart, highpass, parse_signals, pulse
from limbeck.signals.variability import VARIABILITY

ALL = tuple(VARIABILITY)


def pulses(beats: np.ndarray, rate: float, seconds: float) -> np.ndarray:
    """A pulse wave whose beats are where they are put."""
    time = np.arange(int(seconds * rate)) / rate
    return np.exp(-0.5 * ((time[:, np.newaxis] - beats) / 0.09) ** 2).sum(axis=1)


@pytest.mark.parametrize("rate", [64, 128, 256, 512, 1000])
@pytest.mark.parametrize("beats_per_minute", [40, 80, 120])
def test_heart_rate_of_simulated_ecg_is_the_one_simulated(rate, beats_per_minute):
    ecg = nk.ecg_simulate(duration=40, sampling_rate=rate, heart_rate=beats_per_minute, random_state=1)
    values = heart(ecg.reshape(4, 1, -1), rate)
    assert values.shape == (4, 1, 4)
    np.testing.assert_allclose(values[:, 0, 0], beats_per_minute, atol=1.5)
    np.testing.assert_allclose(values[:, 0, 1], 60 / beats_per_minute, rtol=0.02)


@pytest.mark.parametrize("rate", [64, 128, 1000])
@pytest.mark.parametrize("beats_per_minute", [40, 75, 120])
def test_heart_rate_of_simulated_bvp_is_the_one_simulated(rate, beats_per_minute):
    bvp = nk.ppg_simulate(duration=60, sampling_rate=rate, heart_rate=beats_per_minute, random_state=2)
    hr, sdnn, valid = heart(bvp, rate, ("hr", "sdnn", "valid"), modality="bvp")
    assert hr == pytest.approx(beats_per_minute, rel=0.02)
    assert valid == 1
    if beats_per_minute > 60:  # in slower hearts neurokit2 takes some dicrotic waves for beats
        peaks = nk.ppg_findpeaks(nk.ppg_clean(bvp, sampling_rate=rate), sampling_rate=rate)["PPG_Peaks"]
        theirs = nk.hrv_time(peaks, rate).iloc[0]
        assert hr == pytest.approx(60_000 / theirs.HRV_MeanNN, rel=0.003)
        assert sdnn == pytest.approx(theirs.HRV_SDNN, rel=0.1)


@pytest.mark.parametrize("rate", [128, 512, 1000])
def test_variability_of_simulated_ecg_is_that_of_neurokit(rate):
    for seed in (1, 2, 3):
        ecg = nk.ecg_simulate(duration=60, sampling_rate=rate, heart_rate=70, heart_rate_std=4, random_state=seed)
        peaks = nk.ecg_findpeaks(nk.ecg_clean(ecg, sampling_rate=rate), sampling_rate=rate)["ECG_R_Peaks"]
        theirs = nk.hrv_time(peaks, rate).iloc[0]
        hr, sdnn, rmssd = heart(ecg, rate, ("hr", "sdnn", "rmssd"))
        assert hr == pytest.approx(60_000 / theirs.HRV_MeanNN, abs=0.3)
        assert sdnn == pytest.approx(theirs.HRV_SDNN, abs=2.5)
        assert rmssd == pytest.approx(theirs.HRV_RMSSD, abs=4)


def test_intervals_of_a_pulse_wave_are_right_to_a_few_milliseconds(rng):
    intervals = rng.normal(0.85, 0.04, size=70)
    beats = 0.5 + np.cumsum(intervals)
    wave = pulses(beats, 64, 62) + rng.normal(0, 0.005, size=62 * 64)
    found = find_beats(wave, 64, "bvp")
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
    with pytest.raises(DataError, match="in ECG needs at least 32 Hz; found 25 Hz"):
        heart(np.zeros((1, 100)), 25.0)
    with pytest.raises(DataError, match="at least 20 Hz; found 4 Hz"):
        heart(np.zeros((1, 100)), 4.0, modality="bvp")
    with pytest.raises(DataError, match="found eda"):
        heart(np.zeros((1, 100)), 64.0, modality="eda")
    with pytest.raises(DataError, match="at least 20 Hz; found 4 Hz"):
        pulse(np.zeros((1, 100)), 4.0)
    with pytest.raises(DataError, match="at least 100 Hz; found 64 Hz"):
        ecg_waves(np.zeros((1, 100)), 64.0)


def test_kinds_that_do_not_exist_are_refused():
    with pytest.raises(DataError, match=r"no kind 'rmsd'. Did you mean 'rmssd'"):
        heart(np.zeros(1000), 64, ("hr", "rmsd"))
    with pytest.raises(DataError, match="no kind 'width'"):
        pulse(np.zeros(1000), 64, ("width",))
    with pytest.raises(DataError, match="no kind 'pq'"):
        ecg_waves(np.zeros(1000), 128, ("pq",))
    with pytest.raises(StudyError, match="pulse is for bvp, not for ecg"):
        parse_signals({"ecg": [{"features": ["pulse"]}]})


def test_a_study_can_ask_for_kinds_and_correction():
    ecg = np.stack([nk.ecg_simulate(duration=20, sampling_rate=128, random_state=1)[np.newaxis]] * 2)
    steps = [{"features": [{"heart": {"kinds": ["hr", "lf", "valid"], "correct": True}}, {"ecg_waves": [["pr"]]}]}]
    values = parse_signals({"ecg": steps})["ecg"].on_windows(ecg, 128, ["chest"])
    assert values.features == (
        "ecg.chest.heart.hr",
        "ecg.chest.heart.lf",
        "ecg.chest.heart.valid",
        "ecg.chest.ecg_waves.pr_mean",
        "ecg.chest.ecg_waves.pr_sd",
        "ecg.chest.ecg_waves.pr_range",
        "ecg.chest.ecg_waves.pr_change",
    )
    assert np.isnan(values.data[:, 1]).all()  # 20 s are too short for it
    assert np.isfinite(values.data[:, [0, 2, 3]]).all()


def test_correction_restores_the_variability_that_a_spurious_beat_spoils():
    beats = 0.5 + np.cumsum(0.8 + 0.03 * np.sin(2 * np.pi * 0.25 * 0.8 * np.arange(70)))
    wave = pulses(np.append(beats, beats[30] + 0.4), 128, 56)
    clean = heart(pulses(beats, 128, 56), 128, ALL, modality="bvp")
    mended = heart(wave, 128, ALL, correct=True, modality="bvp")
    for kind in ("hr", "sdnn", "rmssd"):
        assert mended[ALL.index(kind)] == pytest.approx(clean[ALL.index(kind)], rel=0.1)
    assert mended[ALL.index("count")] == clean[ALL.index("count")]
    assert heart(wave, 128, ("count",), modality="bvp") == clean[ALL.index("count")] + 1


@pytest.mark.parametrize("correct", [False, True])
@pytest.mark.parametrize("modality", ["ecg", "bvp"])
def test_a_bad_row_in_a_batch_leaves_every_kind_of_the_others_as_it_is(modality, correct, rng):
    x = nk.ecg_simulate(duration=120, sampling_rate=128, heart_rate=80, random_state=1).reshape(2, -1)
    bad = rng.normal(size=(3, x.shape[1]))
    bad[0, 100] = np.nan
    bad[1] = 7
    together = heart(np.concatenate([x[:1], bad, x[1:]]), 128, ALL, correct=correct, modality=modality)
    np.testing.assert_array_equal(together[[0, 4]], heart(x, 128, ALL, correct=correct, modality=modality))
    each = np.stack([heart(row, 128, ALL, correct=correct, modality=modality) for row in x])
    np.testing.assert_allclose(together[[0, 4]], each, rtol=1e-10)
    lost = together[1:3]
    zero = [ALL.index("count"), ALL.index("valid")]
    assert (lost[:, zero] == 0).all()
    assert np.isnan(np.delete(lost, zero, axis=1)).all()


def _spoilt(x: np.ndarray, how: str, rng: np.random.Generator) -> np.ndarray:
    x = x + rng.normal(0, 1e-3, x.shape)
    match how:
        case "noisy":
            return x + rng.normal(0, 2, x.shape)
        case "clipped":
            return np.clip(x, np.quantile(x, 0.3), np.quantile(x, 0.7))
        case "inverted":
            return -x
        case "offset":
            return x + 1e6
        case "spikes":
            return x + 50 * (rng.random(x.shape) < 0.01)
        case "steps":
            return x + np.cumsum(5 * (rng.random(x.shape) < 0.005))
        case "partly flat":
            return np.where(np.arange(x.size) < x.size // 2, 0.0, x)
        case "missing":
            return np.where(rng.random(x.shape) < 0.1, np.nan, x)
        case "noise alone":
            return rng.normal(size=x.shape)
    return x


HOW = ("clean", "noisy", "clipped", "inverted", "offset", "spikes", "steps", "partly flat", "missing", "noise alone")


@given(
    st.sampled_from(HOW),
    st.sampled_from([20, 25, 64, 100, 128, 500]),
    st.sampled_from(["ecg", "bvp"]),
    st.floats(0.02, 12),
    st.booleans(),
    st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_whatever_a_window_holds_there_is_a_number_or_nan_and_a_flag(how, rate, modality, seconds, correct, seed):
    rng = np.random.default_rng(seed)
    rate = rate if modality == "bvp" else max(rate, 32)
    samples = max(1, int(seconds * rate))
    x = _spoilt(pulses(0.4 + 0.8 * np.arange(20), rate, 13)[:samples], how, rng)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = heart(x, rate, ALL, correct=correct, modality=modality)
        others = [pulse(x, rate), *([ecg_waves(x, rate)] if rate >= 100 else [])]
    assert not np.isinf(values).any()
    assert values[ALL.index("valid")] in (0, 1)
    if how == "missing" and np.isnan(x).any():
        assert np.isnan(np.concatenate(others)).all()
        assert values[ALL.index("valid")] == 0
    if values[ALL.index("valid")] == 1:
        assert 30 <= values[ALL.index("hr")] <= 200
    assert not np.isinf(np.concatenate(others)).any()


@pytest.mark.parametrize("rate", [64, 128, 1000])
def test_pulse_amplitude_and_rise_are_the_same_at_every_rate(rate):
    time = np.arange(30 * rate) / rate
    since = (time - 0.3) % 0.9
    wave = np.where(since < 0.2, np.sin(np.pi / 2 * since / 0.2), np.exp(-(since - 0.2) / 0.2))
    amplitude, amplitude_sd, rise, rise_sd = pulse(5 * wave + 100, rate)
    reference = pulse(5 * np.interp(np.arange(30 * 500) / 500, time, wave), 500)
    assert amplitude == pytest.approx(reference[0], rel=0.02)
    assert 3.5 < amplitude < 5.5
    assert amplitude_sd < 0.1 * amplitude
    assert rise == pytest.approx(reference[2], abs=0.006)
    assert 0.1 < rise < 0.25
    assert rise_sd < 0.03


@given(st.floats(0.01, 100), st.floats(-1000, 1000), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_amplitudes_scale_with_the_signal_and_times_do_not(scale, shift, seed):
    rng = np.random.default_rng(seed)
    beats = 0.4 + np.cumsum(rng.normal(0.8, 0.03, 16))
    bvp = np.stack([pulses(beats, 64, 12), pulses(beats + 0.1, 64, 12)]) + rng.normal(0, 0.005, (2, 12 * 64))
    found, expected = pulse(scale * bvp + shift, 64), pulse(bvp, 64)
    np.testing.assert_allclose(found, expected * [scale, scale, 1, 1], rtol=1e-5, atol=1e-6 * scale)
    np.testing.assert_allclose(
        heart(scale * bvp + shift, 64, modality="bvp"), heart(bvp, 64, modality="bvp"), rtol=1e-5
    )
    np.testing.assert_array_equal(pulse(bvp[::-1], 64), expected[::-1])
    np.testing.assert_allclose(np.stack([pulse(row, 64) for row in bvp]), expected, rtol=1e-12)


@pytest.mark.parametrize("rate", [128, 256, 512, 1000])
@pytest.mark.parametrize("beats_per_minute", [45, 75, 100, 150])
def test_waves_of_simulated_ecg_are_where_neurokit_finds_them(rate, beats_per_minute):
    ecg = nk.ecg_simulate(duration=20, sampling_rate=rate, heart_rate=beats_per_minute, random_state=1)
    kinds = ("pr", "qs", "qt", "rt", "st")
    found = ecg_waves(ecg, rate, kinds)[::4]
    cleaned = nk.ecg_clean(ecg, sampling_rate=rate)
    peaks = nk.ecg_findpeaks(cleaned, sampling_rate=rate)["ECG_R_Peaks"]
    smooth, sharp = (
        nk.ecg_delineate(each, peaks, sampling_rate=rate, method="peak")[1]
        for each in (cleaned, highpass(ecg, rate, 0.5, order=5))
    )
    p, t = (np.asarray(smooth[f"ECG_{wave}_Peaks"], dtype=float) for wave in "PT")
    q, s = (np.asarray(sharp[f"ECG_{wave}_Peaks"], dtype=float) for wave in "QS")  # smoothing moves them outwards
    expected = [1000 * np.nanmedian(each) / rate for each in (peaks - p, s - q, t - q, t - peaks, t - s)]
    np.testing.assert_allclose(found, expected, atol=5 + 500 / rate)
    np.testing.assert_allclose(ecg_waves(-ecg, rate, kinds)[::4], found)


def made_ecg(
    rate: float, per_minute: float = 75, *, p: float = 0.12, t: float = 0.3, t_after: float = 0.28, noise: float = 0.003
) -> np.ndarray:
    """ECG of 30 s with P, Q, R, S and T where and as high as they are put: R is 1, Q and S are 60 ms apart."""
    rng = np.random.default_rng(1)
    time, period = np.arange(30 * rate) / rate, 60 / per_minute
    beats = 0.35 + np.cumsum(period * rng.normal(1, 0.02, int(30 / period) + 2))
    shrink = min(1.0, period / 0.8)
    bumps = [(-0.16 * shrink**0.5, p, 0.02), (-0.03, -0.15, 0.008), (0.0, 1.0, 0.006), (0.03, -0.2, 0.008)]
    since = time[:, np.newaxis] - beats
    waves = sum(
        size * np.exp(-0.5 * ((since - at) / sd) ** 2) for at, size, sd in [*bumps, (t_after, t, 0.04 * shrink)]
    )
    return waves.sum(axis=1) + rng.normal(0, noise, time.size)


@pytest.mark.parametrize("rate", [128, 256, 512])
@pytest.mark.parametrize("noise", [0.003, 0.03])
def test_waves_that_are_not_there_are_nan(rate, noise):
    rt_mean, rt_sd = ecg_waves(made_ecg(rate, noise=noise), rate, ("rt",))[:2]
    assert rt_mean == pytest.approx(280, abs=2)
    assert rt_sd < 10
    assert np.isnan(ecg_waves(made_ecg(rate, t=0, noise=noise), rate, ("rt", "qt", "st"))).all()
    assert np.isnan(ecg_waves(made_ecg(rate, p=0, noise=noise), rate, ("pr",))).all()
    assert ecg_waves(made_ecg(rate, p=0, noise=noise), rate, ("rt",))[0] == pytest.approx(280, abs=2)


@pytest.mark.parametrize("rate", [128, 256, 512])
@pytest.mark.parametrize("size", [-0.3, -0.1])
def test_an_inverted_t_wave_is_found(rate, size):
    mean, sd = ecg_waves(made_ecg(rate, t=size), rate, ("rt",))[:2]
    assert mean == pytest.approx(280, abs=2)
    assert sd < 4


@pytest.mark.parametrize("rate", [128, 256, 512])
@pytest.mark.parametrize(("per_minute", "t_after"), [(160, 0.171), (120, 0.22), (45, 0.32)])
def test_the_next_beat_s_p_wave_is_no_t_wave(rate, per_minute, t_after):
    mean, sd = ecg_waves(made_ecg(rate, per_minute, t_after=t_after), rate, ("rt",))[:2]
    assert mean == pytest.approx(1000 * t_after, abs=2)
    assert sd < 2
    assert np.isnan(ecg_waves(made_ecg(rate, per_minute, t=0), rate, ("rt",))).all()


def test_a_t_wave_that_the_window_cuts_off_is_not_counted():
    rate = 256
    ecg = made_ecg(rate)
    peaks = np.rint(rate * find_beats(ecg, rate)).astype(int)
    for after in (0.15, 0.25, 0.3, 0.35):  # the last beat's T is at 0.28 s, and sought until 0.4 s
        window = ecg[: peaks[20] + int(after * rate)]
        mean, _, spread, _ = ecg_waves(window, rate, ("rt",))
        assert mean == pytest.approx(280, abs=2)
        assert spread < 10


@pytest.mark.parametrize("rate", [100, 125, 149, 150, 256, 1000])
def test_the_height_of_r_and_the_width_from_q_to_s_are_the_same_at_every_rate(rate):
    ecg = made_ecg(rate, p=0, t=0, noise=0)
    amplitude, amplitude_sd, *_ = ecg_waves(ecg, rate, ("r_amplitude",))
    # between samples 10 ms apart, a parabola misses a tenth of so narrow a top
    assert amplitude == pytest.approx(0.99, abs=0.1 if rate == 100 else 0.04)
    assert amplitude_sd < 0.1
    assert ecg_waves(-ecg, rate, ("r_amplitude",))[0] == pytest.approx(amplitude)
    assert ecg_waves(ecg, rate, ("qs",))[0] == pytest.approx(60, abs=1.5)


@pytest.mark.parametrize("rate", [256, 500])
def test_the_height_of_r_does_not_depend_on_the_heart_rate(rate):
    for per_minute, t_after in ((50, 0.3), (75, 0.28), (100, 0.24), (160, 0.171)):
        amplitude = ecg_waves(made_ecg(rate, per_minute, t_after=t_after), rate, ("r_amplitude",))[0]
        assert amplitude == pytest.approx(1, abs=0.02)


def test_statistics_of_waves_are_those_of_the_beats():
    ecg = nk.ecg_simulate(duration=10, sampling_rate=500, heart_rate=60, heart_rate_std=0, random_state=1)
    growing = ecg * np.linspace(1, 2, ecg.size)
    mean, sd, spread, change = ecg_waves(growing, 500, ("r_amplitude",))
    peaks = np.rint(500 * find_beats(growing, 500)).astype(int)
    peaks = peaks[peaks >= 45]
    tops = growing[peaks[:, np.newaxis] + np.arange(-5, 6)].max(axis=1)
    heights = tops - np.median(growing[peaks[:, np.newaxis] + np.arange(-40, -24)], axis=1)
    assert mean == pytest.approx(heights.mean(), rel=0.05)
    assert sd == pytest.approx(heights.std(ddof=1), rel=0.1)
    assert spread == pytest.approx(np.ptp(heights), rel=0.1)
    assert change == pytest.approx(heights[-1] - heights[0], abs=0.1)
    single = ecg_waves(ecg[:1000][250:950], 500, ("r_amplitude",))
    assert np.isfinite(single[0])
    assert np.isnan(single[1:]).all() or len(find_beats(ecg[250:950], 500)) > 1


@pytest.mark.parametrize("shape", [(0, 640), (3, 0, 640), (0, 2, 640)])
def test_no_windows_give_no_values(shape):
    x = np.empty(shape)
    assert heart(x, 64).shape == (*shape[:-1], 4)
    assert heart(x, 64, ALL, correct=True).shape == (*shape[:-1], len(ALL))
    assert pulse(x, 64).shape == (*shape[:-1], 4)
    assert ecg_waves(x, 128).shape == (*shape[:-1], 20)
    assert find_beats(x, 64).shape == (*shape[:-1], 0)


@pytest.mark.parametrize(("modality", "rate"), [("bvp", 64), ("ecg", 250)])
@pytest.mark.parametrize(("seconds", "most"), [(5, 0.12), (10, 0.05), (60, 0)])
def test_noise_has_no_heart_rate(modality, rate, seconds, most, rng):
    x = rng.normal(size=(100, seconds * rate))
    for noise, share in ((x, most / 4), (np.cumsum(x, axis=-1), most)):  # white, and drifting as a moving sensor does
        values = heart(noise, rate, ("hr", "sdnn", "rmssd", "valid"), modality=modality)
        assert values[:, 3].mean() <= share
        np.testing.assert_array_equal(np.isfinite(values[:, 0]), values[:, 3] == 1)
        assert np.isnan(values[values[:, 3] == 0][:, :3]).all()


@pytest.mark.parametrize("rate", [20, 25, 32, 50])
@pytest.mark.parametrize("per_minute", [50, 160, 180])
def test_heart_rate_of_bvp_is_right_at_low_rates(rate, per_minute, rng):
    wave = pulses(np.arange(0.4, 60, 60 / per_minute), rate, 60) + rng.normal(0, 0.005, 60 * rate)
    hr, valid = heart(wave, rate, ("hr", "valid"), modality="bvp")
    assert hr == pytest.approx(per_minute, rel=0.005)
    assert valid == 1


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_single_precision_and_integers_are_taken(dtype):
    ecg = 1000 * nk.ecg_simulate(duration=20, sampling_rate=256, random_state=1)
    found, expected = heart(ecg.astype(dtype), 256), heart(ecg, 256)
    np.testing.assert_allclose(found, expected, rtol=0.02)
    np.testing.assert_allclose(ecg_waves(ecg.astype(dtype), 256)[::4], ecg_waves(ecg, 256)[::4], rtol=0.02)
