"""Quality is 1 where nothing is wrong, falls with the share of what is wrong, and says what it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import DataError
from limbeck.recording import MODALITIES
from limbeck.signals import QUALITY, moving_share, quality, window_quality

RATES = {"eda": 4, "temp": 4, "bvp": 64, "acc": 32, "eeg": 256, "ecg": 512, "emg": 1024, "resp": 32, "eog": 128}


def clean(modality: str, seconds: float = 60.0, rate: float | None = None, seed: int = 0) -> np.ndarray:
    """A signal in its modality's unit with nothing wrong in it."""
    rate = rate or RATES[modality]
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * rate)) / rate
    noise = rng.normal(size=len(times))
    phase = 2 * np.pi * (1.1 * times + 0.1 * np.sin(2 * np.pi * 0.1 * times))
    beat = np.mod(phase, 2 * np.pi) - np.pi
    slow = np.cumsum(rng.normal(size=len(times))) / np.sqrt(rate)

    def bump(at: float, width: float) -> np.ndarray:
        return np.exp(-0.5 * ((beat - at) / width) ** 2)

    made = {
        "eda": lambda: 3 + 0.05 * slow + 0.002 * noise,
        "temp": lambda: 33 + 0.01 * slow + 0.01 * noise,
        "bvp": lambda: 90 * bump(-0.8, 0.45) + 40 * bump(0.6, 0.6) + noise,
        "acc": lambda: 0.7 + 0.005 * noise,
        "eeg": lambda: 10 * np.sin(2 * np.pi * 10 * times) + 8 * noise,
        "eog": lambda: 50 * np.sin(2 * np.pi * 0.5 * times) + 5 * noise,
        "ecg": lambda: bump(0, 0.06) - 0.2 * bump(0.15, 0.08) + 0.02 * noise,
        "emg": lambda: 0.05 * noise,
        "resp": lambda: np.sin(2 * np.pi * 0.25 * times) + 0.02 * noise,
    }  # fmt: skip
    return made[modality]()


def kind(values: np.ndarray, name: str) -> np.ndarray:
    return values[..., QUALITY.index(name)]


@pytest.mark.parametrize("modality", RATES)
def test_a_clean_signal_has_nothing_wrong(modality):
    values = quality(clean(modality), RATES[modality], modality)
    assert np.nanmin(values) > 0.93, dict(zip(QUALITY, values, strict=True))
    assert values[-1] == np.nanmin(values[:-1])


@pytest.mark.parametrize("modality", RATES)
def test_a_constant_signal_is_flat_and_not_clipped(modality):
    seconds = 200.0
    for level in (0.0, 33.0, 0.1):
        values = quality(np.full(round(seconds * RATES[modality]), level), RATES[modality], modality)
        assert kind(values, "flat") == 0
        assert kind(values, "overall") == 0
        assert kind(values, "missing") == 1
        assert np.isnan(kind(values, "line"))
        assert np.isnan(kind(values, "clipped")) or kind(values, "clipped") == 1


def test_flat_is_the_share_outside_of_long_constant_stretches(rng):
    x = rng.normal(size=(2, 1280))
    x[0, 320:640] = x[0, 320]  # 2.5 s of 10 s
    x[1, 320:370] = x[1, 320]  # 0.39 s, shorter than 0.5 s
    np.testing.assert_allclose(kind(quality(x, 128, "eeg"), "flat"), [1 - 320 / 1280, 1])


def test_temperature_may_rest_where_eeg_may_not():
    x = np.repeat(33 + 0.02 * np.arange(4), 60)  # at 4 Hz: 15 s on each value
    assert kind(quality(x, 4, "temp"), "flat") == 1
    assert kind(quality(x, 4, "eda"), "flat") == 0


def test_clipped_is_the_share_of_samples_that_stay_at_the_rails(rng):
    x = clean("ecg")
    cut = np.minimum(x, 0.5)
    at_rail = (cut == 0.5).mean()
    assert at_rail > 0.02
    found = 1 - kind(quality(cut, 512, "ecg"), "clipped")
    assert 0.8 * at_rail < found <= at_rail
    assert kind(quality(x, 512, "ecg"), "clipped") == 1
    assert kind(quality(rng.integers(-3, 4, 2000), 256, "eeg"), "clipped") == 1  # coarse, but not at its end
    assert np.isnan(kind(quality(clean("eda"), 4, "eda"), "clipped"))


def test_rails_are_those_of_the_recording_not_of_the_window():
    x = clean("ecg")
    x[:512] = np.clip(x[:512], None, 0.5)
    values = window_quality(x[np.newaxis], 512, "ecg", np.array([0, 5120]), 512)
    np.testing.assert_array_equal(kind(values, "clipped"), 1)  # elsewhere the signal goes beyond 0.5


@pytest.mark.parametrize("stray", [5.0, -5.0])
@pytest.mark.parametrize("step", [1e-9, 1 / 64])
def test_a_stray_sample_beyond_the_rails_does_not_hide_them(stray, step):
    x = np.round(np.clip(clean("ecg"), -0.1, 0.4) / step) * step
    without = quality(x, 512, "ecg")
    assert kind(without, "clipped") < 0.97
    x[100] = stray
    assert kind(quality(x, 512, "ecg"), "clipped") == pytest.approx(kind(without, "clipped"), abs=0.002)


@pytest.mark.parametrize("modality", ["ecg", "emg", "eeg", "eog", "resp"])
@pytest.mark.parametrize("bits", [5, 6, 8])
def test_the_values_of_a_coarse_converter_are_no_rails(modality, bits):
    x = clean(modality, 120)
    step = 2 * np.abs(x).max() / 2**bits
    assert kind(quality(np.round(x / step) * step, RATES[modality], modality), "clipped") > 0.995


def test_where_an_accelerometer_rests_is_no_rail(rng):
    x = np.round((0.2 + 0.1 * rng.normal(size=60 * 32)) * 64) / 64
    x[640:960] = np.round((-0.39 + 0.003 * rng.normal(size=320)) * 64) / 64
    x[960:1200:60] = -1.0
    assert kind(quality(x, 32, "acc"), "clipped") == 1


def test_recordings_from_outside_are_not_clipped(shared_data):
    from limbeck import datasets

    for name, subject in (("eegmat", "Subject00"), ("stress-predict", "S08")):
        corpus = datasets.load(name, shared_data / name)
        source = next((source for source in corpus.sources if source.subject == subject), corpus.sources[0])
        for modality, signal in source.read().signals.items():
            clipped = kind(quality(signal.data, signal.rate, modality), "clipped")
            assert (np.isnan(clipped) | (clipped > 0.999)).all(), modality


def test_missing_is_the_share_of_samples_that_are_there(rng):
    x = rng.normal(size=(3, 1000))
    x[1, 100:350] = np.nan
    x[2] = np.inf
    values = quality(x, 256, "eeg")
    np.testing.assert_allclose(kind(values, "missing"), [1, 0.75, 0])
    assert np.isnan(values[2][[i for i, name in enumerate(QUALITY) if name not in ("missing", "overall")]]).all()
    assert kind(values, "overall")[2] == 0
    np.testing.assert_array_equal(values[0], quality(x[0], 256, "eeg"))


@pytest.mark.parametrize("mains", [50, 60])
@pytest.mark.parametrize("rate", [160, 256, 500, 1000, 2048])
def test_line_is_the_share_of_power_that_is_not_the_mains(mains, rate, rng):
    x = rng.normal(size=30 * rate)
    times = np.arange(len(x)) / rate
    total = 1 - 4 / rate  # of white noise, from 2 Hz on
    for amplitude in (0.0, 0.5, 1.0, 4.0):
        values = quality(x + amplitude * np.sin(2 * np.pi * (mains + 0.1) * times), rate, "eeg")
        hum = amplitude**2 / 2
        assert kind(values, "line") == pytest.approx(1 - hum / (hum + total), abs=0.02)


def test_line_counts_the_harmonics(rng):
    x = rng.normal(size=15000)
    times = np.arange(15000) / 500
    hum = np.sin(2 * np.pi * 50 * times) + np.sin(2 * np.pi * 150 * times)
    assert kind(quality(x + hum, 500, "emg"), "line") == pytest.approx(0.5, abs=0.03)


def test_line_of_skin_conductance_is_held_against_all_of_its_variance():
    x = clean("eda", rate=512) + 0.001 * np.sin(2 * np.pi * 50 * np.arange(60 * 512) / 512)
    assert kind(quality(x, 512, "eda"), "line") > 0.95


@pytest.mark.parametrize(("rate", "samples"), [(4, 240), (64, 640), (100, 1000), (256, 255)])
def test_line_does_not_apply_where_it_cannot_be_seen(rate, samples, rng):
    assert np.isnan(kind(quality(rng.normal(size=samples), rate, "eeg"), "line"))


def test_motion_of_eeg_is_the_seconds_that_swing_too_far(rng):
    x = rng.normal(size=(2, 2560)) * 10
    x[1, 1280:1300] += 500
    steady, jolted = kind(quality(x + 3000, 256, "eeg"), "motion")  # an offset is no motion
    assert steady == 1
    assert 0.75 < jolted < 0.9  # a second on either side of the jolt


@pytest.mark.parametrize("rate", [1, 2, 3, 5, 6, 10, 30, 128, 250, 255.9, 256])
def test_a_second_is_a_second_at_any_rate(rate):
    times = np.arange(round(90 * rate)) / rate
    x = np.sin(2 * np.pi * times / 4.5)  # within a second it changes by 1.286 at most
    below, above = kind(quality(np.stack([150 * x, 180 * x]), rate, "eeg"), "motion")
    assert below == 1
    assert above < 0.9
    acceleration = np.stack([0.14 * x, np.zeros_like(x), np.ones_like(x)])  # 0.057 g in the steepest second
    assert moving_share(0.5 * acceleration, rate, np.array([9.0]), 72.0) == 0
    assert moving_share(2 * acceleration, rate, np.array([9.0]), 72.0) > 0.4


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_second_of_less_than_two_samples_cannot_be_judged(modality, rng):
    x = 30 + rng.normal(size=(2, 100))
    values = quality(x, 0.4, modality, moving=moving_share(x, 0.4, np.array([0.0, 50.0]), 100.0))
    for name in ("line", "peaks", *(["motion"] if modality not in ("eda", "temp") else [])):
        assert np.isnan(kind(values, name)).all()
    np.testing.assert_array_equal(kind(values, "missing"), 1)


def test_motion_of_skin_conductance_follows_the_rules_of_kleckner():
    x = np.full((4, 400), 2.0) + 0.001 * np.arange(400)
    x[1, 200] = 8.0  # 24 µS/s
    x[2, 100:140] = 0.01
    x[3] += 100
    motion = kind(quality(x, 4, "eda"), "motion")
    # the jump and 5 s before and behind its two ends; 10 s off the skin and 5 s on either side
    np.testing.assert_allclose(motion, [1, 1 - (3 + 40) / 400, 1 - (40 + 2 * 20) / 400, 0], atol=0.01)


def test_skin_conductance_is_judged_alike_at_any_rate():
    slow = 2 + np.sin(np.arange(400) / 40)
    fast = np.interp(np.arange(50_000) / 500, np.arange(400) / 4, slow)
    fast += np.round(np.random.default_rng(0).normal(0, 0.01, len(fast)), 2)  # 20 µS/s from sample to sample
    assert kind(quality(slow, 4, "eda"), "motion") == 1
    assert kind(quality(fast, 500, "eda"), "motion") == 1


def test_motion_of_temperature_is_what_skin_cannot_be():
    x = np.full((3, 400), 33.0) + 0.001 * np.arange(400)
    x[1, 100:200] = 50
    x[2, 200:] = 38
    motion = kind(quality(x, 4, "temp"), "motion")
    assert motion[0] == 1
    assert motion[1] == pytest.approx(0.72, abs=0.02)
    assert 0.9 < motion[2] < 0.99


@pytest.mark.parametrize("modality", ["ecg", "bvp", "emg"])
def test_without_an_accelerometer_motion_is_the_wander_of_the_baseline(modality):
    x = clean(modality)
    times = np.arange(len(x)) / RATES[modality]
    wander = np.sqrt(2) * x.std() * np.sin(2 * np.pi * 0.1 * times)
    assert kind(quality(x, RATES[modality], modality), "motion") > 0.95
    assert kind(quality(x + wander, RATES[modality], modality), "motion") == pytest.approx(0.5, abs=0.06)
    assert kind(quality(x + 1000, RATES[modality], modality), "motion") > 0.95


def test_motion_of_a_pulse_is_that_of_the_accelerometer_where_there_is_one():
    x = np.stack([clean("bvp", seed=seed) for seed in range(3)])
    values = quality(x, 64, "bvp", moving=np.array([0.0, 0.7, np.nan]))
    alone = quality(x, 64, "bvp")
    np.testing.assert_allclose(kind(values, "motion"), [1, 0.3, kind(alone, "motion")[2]])
    assert kind(values, "overall")[1] == pytest.approx(0.3)
    np.testing.assert_array_equal(quality(x, 64, "eda", moving=np.ones(3)), quality(x, 64, "eda"))


@pytest.mark.parametrize("rate", [20, 32, 50, 100])
def test_an_accelerometer_moves_when_it_is_shaken_or_turned_not_when_it_rests_tilted(rate, rng):
    resting = np.stack([np.full(60 * rate, level) for level in (0.6, 0.0, 0.8)]) + rng.normal(0, 0.01, (3, 60 * rate))
    shaken = resting.copy()
    shaken[0, 20 * rate : 40 * rate] += rng.normal(0, 0.2, 20 * rate)
    turned = resting.copy()
    turned[:, 30 * rate :] = turned[[1, 2, 0], 30 * rate :]
    starts = np.array([0.0, 20.0, 40.0])
    np.testing.assert_array_equal(moving_share(resting, rate, starts, 20.0), 0)
    np.testing.assert_allclose(moving_share(shaken, rate, starts, 20.0), [0, 1, 0], atol=0.06)
    assert 0 < moving_share(turned, rate, starts, 20.0)[1] < 0.15
    assert np.isnan(moving_share(resting, rate, np.array([55.0, -30.0]), 20.0)).all()
    assert 0.5 <= moving_share(shaken, rate, np.array([35.0]), 10.0)[0] < 0.6


@pytest.mark.parametrize("missing", [np.nan, np.inf])
def test_an_accelerometer_that_recorded_nothing_did_not_rest(missing, rng):
    x = rng.normal(size=(3, 80 * 32))
    assert np.isnan(moving_share(np.full((3, 1920), missing), 32, np.array([0.0]), 60.0)).all()
    x[:, : 17 * 32 + 16] = missing
    np.testing.assert_array_equal(moving_share(x, 32, np.array([0.0, 5.0, 18.0]), 1.0), [np.nan, np.nan, 1])
    x[:, 40 * 32 : 44 * 32] = missing
    # the share is that of the time that was recorded
    np.testing.assert_array_equal(moving_share(x, 32, np.array([35.0, 39.0, 40.0]), 10.0), [1, 1, 1])
    assert np.isnan(moving_share(x, 32, np.array([40.0]), 6.0)[0])
    x[:, 44 * 32 :] = 0.5
    assert moving_share(x, 32, np.array([36.0]), 12.0)[0] == pytest.approx(0.5, abs=0.07)
    x[1, 50 * 32 :] = missing  # an axis alone tells nothing
    assert np.isnan(moving_share(x, 32, np.array([60.0]), 10.0)[0])


@pytest.mark.parametrize(("modality", "rate"), [("ecg", 128), ("ecg", 512), ("bvp", 32), ("bvp", 64), ("bvp", 256)])
def test_peaks_are_the_share_of_time_with_plausible_beats(modality, rate):
    x = clean(modality, 120, rate)
    spoiled = x.copy()
    noise = np.random.default_rng(1).normal(0, 3 * x.std(), 60 * rate)
    spoiled[60 * rate :] = noise
    first = np.array([0, 50 * rate, 62 * rate])
    values = kind(window_quality(np.stack([x, spoiled]), rate, modality, first, 50 * rate), "peaks")
    np.testing.assert_allclose(values[:, 0], 1, atol=0.05)
    assert values[0, 1] > 0.95
    assert values[2, 1] < 0.5
    assert values[2, 1] < values[1, 1] < 0.8
    assert kind(quality(x[: 5 * rate], rate, modality), "peaks") > 0.9  # on windows of 5 s too


def test_peaks_do_not_apply_without_beats_rate_or_time(rng):
    for x, rate, modality in (
        (clean("eda"), 4, "eda"),
        (clean("bvp", rate=8), 8, "bvp"),
        (clean("ecg", 3), 512, "ecg"),
    ):
        assert np.isnan(kind(quality(x, rate, modality), "peaks"))
    assert kind(quality(np.zeros(3840), 64, "bvp"), "peaks") == 0


def test_windows_of_a_recording_are_shares_of_it(rng):
    x = clean("bvp", 100)
    x[1000:1400] = x[1000]
    x[2000:2200] = np.nan
    whole = window_quality(x[np.newaxis], 64, "bvp", np.array([0]), 6400)
    parts = window_quality(x[np.newaxis], 64, "bvp", np.arange(0, 6400, 640), 640)
    for name in ("missing", "peaks"):
        np.testing.assert_allclose(kind(parts, name).mean(), kind(whole, name), atol=0.02)
    present = kind(parts, "missing")
    np.testing.assert_allclose(
        (kind(parts, "flat") * present).mean(), (kind(whole, "flat") * kind(whole, "missing")).mean()
    )
    np.testing.assert_array_equal(whole[0, 0], quality(x, 64, "bvp"))


@given(st.sampled_from(sorted(RATES)), st.integers(0, 10_000), st.sampled_from([np.float32, np.float64]))
@settings(max_examples=25, deadline=None)
def test_rows_do_not_see_each_other(modality, seed, dtype):
    rng = np.random.default_rng(seed)
    x = np.stack([clean(modality, 10, seed=seed + row) for row in range(4)]).astype(dtype)
    x[rng.integers(4), rng.integers(x.shape[1])] = 1e4
    values = quality(x, RATES[modality], modality)
    assert np.nanmin(values) >= 0
    assert np.nanmax(values) <= 1
    np.testing.assert_array_equal(quality(x[::-1], RATES[modality], modality), values[::-1])
    spoiled = x.copy()
    spoiled[2, ::3] = np.nan
    spoiled[2, 1::3] = np.inf
    others = [0, 1, 3]
    np.testing.assert_array_equal(quality(spoiled, RATES[modality], modality)[others], values[others])
    np.testing.assert_array_equal(quality(x.reshape(2, 2, -1), RATES[modality], modality), values.reshape(2, 2, -1))
    each = np.stack([quality(row, RATES[modality], modality) for row in x])
    np.testing.assert_allclose(each, values, atol=1e-6 if dtype == np.float64 else 1e-4)


@given(
    st.sampled_from(MODALITIES),
    st.floats(1, 2048),
    st.integers(1, 3000),
    st.sampled_from(["noise", "constant", "nan", "infinite", "square", "huge", "tiny", "gaps"]),
)
@settings(max_examples=60, deadline=None)
def test_whatever_is_recorded_gets_a_number_or_nan(modality, rate, samples, shape):
    rng = np.random.default_rng(samples)
    noise = rng.normal(size=(2, samples))
    x = {
        "noise": noise,
        "constant": np.full((2, samples), 0.1),
        "nan": np.full((2, samples), np.nan),
        "infinite": np.full((2, samples), np.inf),
        "square": np.sign(noise),
        "huge": 1e30 * noise,
        "tiny": 1e-30 * noise,
        "gaps": np.where(rng.random((2, samples)) < 0.3, np.nan, noise),
    }[shape]
    values = quality(x, rate, modality, moving=np.array([0.2, np.nan]))
    assert values.shape == (2, 7)
    finite = values[np.isfinite(values)]
    assert ((finite >= 0) & (finite <= 1)).all()
    assert not np.isnan(kind(values, "missing")).any()
    assert not np.isnan(kind(values, "overall")).any()


def test_what_is_no_recording_is_refused(rng):
    with pytest.raises(DataError, match=r"There is no modality 'ekg'\. Did you mean 'e"):
        quality(rng.normal(size=100), 100, "ekg")
    with pytest.raises(DataError, match=r"shape \(channel, time\)"):
        window_quality(rng.normal(size=100), 100, "eeg", np.array([0]), 10)
    with pytest.raises(DataError, match="must lie in the recording's 100"):
        window_quality(rng.normal(size=(1, 100)), 100, "eeg", np.array([95]), 10)
    with pytest.raises(DataError, match="rate"):
        quality(rng.normal(size=100), 0, "eeg")
    assert window_quality(rng.normal(size=(3, 100)), 100, "eeg", np.empty(0, int), 10).shape == (0, 3, 7)
    assert quality(np.empty((0, 100)), 100, "eeg").shape == (0, 7)


def test_motion_of_another_shape_is_refused(rng):
    x = rng.normal(size=(2, 1000))
    with pytest.raises(DataError, match=r"a number per row, shape \(2,\); found shape \(3,\)"):
        quality(x, 64, "bvp", moving=np.zeros(3))
    with pytest.raises(DataError, match=r"a number per window, shape \(2,\); found shape \(3,\)"):
        window_quality(x, 64, "bvp", np.array([0, 1]), 500, moving=np.zeros(3))
    np.testing.assert_array_equal(quality(x, 64, "bvp", moving=0.3), quality(x, 64, "bvp", moving=np.full(2, 0.3)))


@pytest.mark.parametrize(
    ("shape", "starts", "length", "said"),
    [
        ((1000,), [0.0], 10.0, r"shape \(axis, time\); found shape \(1000,\)"),
        ((3, 1000), [0.0, np.nan], 10.0, "finite seconds"),
        ((3, 1000), 0.0, 10.0, "finite seconds"),
        ((3, 1000), [0.0], 0.0, "above 0; found 0"),
        ((3, 1000), [0.0], np.nan, "above 0; found nan"),
    ],
)
def test_stretches_that_are_none_are_refused(shape, starts, length, said, rng):
    with pytest.raises(DataError, match=said):
        moving_share(rng.normal(size=shape), 64, np.array(starts), length)


@pytest.mark.parametrize(("rate", "rows"), [(128, 2), (256, 1), (256, 2), (512, 2)])
def test_half_an_hour_of_ecg_is_judged_in_little_memory(rate, rows):
    import tracemalloc

    x = np.stack([clean("ecg", 1800, rate, seed) for seed in range(rows)]).astype(np.float32)
    first = np.arange(0, x.shape[1] - 60 * rate, 30 * rate)
    window_quality(x[:, : 60 * rate], rate, "ecg", first[:1], 60 * rate)  # what is imported is not the signal's
    tracemalloc.start()
    window_quality(x, rate, "ecg", first, 60 * rate)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 3 * x.nbytes


def test_beats_sought_in_stretches_are_those_of_the_whole_recording():
    from limbeck.signals import find_beats
    from limbeck.signals.quality import _beats_in_stretches

    x = np.stack([clean("ecg", 1500, 128), np.zeros(1500 * 128)])
    found, whole = _beats_in_stretches(x, 128.0, "ecg"), find_beats(x, 128.0, "ecg")
    assert found.shape[0] == 2
    np.testing.assert_allclose(found[0][np.isfinite(found[0])], whole[0][np.isfinite(whole[0])], atol=1e-3)
    assert np.isnan(found[1]).all()


def test_a_burst_of_motion_spoils_its_own_minutes_of_pulse_alone(rng):
    pulse = clean("bvp", 600, 64)
    spoiled = pulse.copy()
    spoiled[: 60 * 64] += 50 * np.std(pulse) * np.repeat(rng.normal(size=120), 32)
    starts = np.arange(10) * 60 * 64
    peaks = window_quality(np.stack([pulse, spoiled]), 64, "bvp", starts, 60 * 64)[..., QUALITY.index("peaks")]
    assert (peaks[:, 0] > 0.9).all()
    assert peaks[0, 1] < 0.5
    assert (peaks[4:, 1] > 0.9).all()


def test_breaths_that_go_on_are_plausible_and_noise_is_not(rng):
    import neurokit2 as nk

    rate, at = 32, QUALITY.index("peaks")
    breathing = nk.rsp_simulate(duration=120, sampling_rate=rate, respiratory_rate=15, random_state=1)[: 120 * rate]
    rows = np.stack([breathing, breathing, np.full(len(breathing), np.nan)])
    rows[1, 60 * rate :] = 0.2 * np.cumsum(rng.normal(size=60 * rate))
    found = window_quality(rows, rate, "resp", np.array([0, 30, 60, 90]) * rate, 30 * rate)[..., at]
    assert (found[:, 0] > 0.9).all()
    assert (found[:2, 1] > 0.85).all()
    assert found[2:, 1].mean() < 0.8
    assert np.isnan(found[:, 2]).all()
    assert np.isnan(quality(breathing[: 10 * rate], rate, "resp")[at])  # too short to say
