"""EMG features agree with their definitions written out and with scipy; the envelope follows and keeps gaps."""

import neurokit2 as nk
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from limbeck.errors import DataError
from limbeck.signals import FEATURES, PAIN_EMG, emg, envelope, parse_steps

TIME = (
    "rms",
    "mean_abs",
    "integrated",
    "waveform_length",
    "zero_crossings",
    "zero_crossing_rate",
    "slope_sign_changes",
)
ALL = (*TIME, *PAIN_EMG[1:], "bursts", "active_share")


def named(x: np.ndarray, rate: float, kinds: tuple[str, ...] = ALL, **options: float) -> dict[str, np.ndarray]:
    return dict(zip(kinds, np.moveaxis(emg(x, rate, kinds, **options), -1, 0), strict=True))


def naive(x: np.ndarray, rate: float) -> dict[str, float]:
    """One row by the definitions."""
    x = x - np.mean(x)
    n, width = len(x), round(0.1 * rate)
    frequencies, density = signal.periodogram(x, rate)
    bin_width = frequencies[1]
    total, mean = density.sum(), np.sum(density * frequencies) / density.sum()
    moving = np.array([np.sqrt(np.mean(x[i : i + width] ** 2)) for i in range(n - width + 1)])
    return {
        "rms": np.sqrt(np.mean(x**2)),
        "mean_abs": np.mean(np.abs(x)),
        "integrated": sum(abs(each) for each in x) / rate,
        "waveform_length": sum(abs(x[i + 1] - x[i]) for i in range(n - 1)),
        "zero_crossings": sum(x[i] * x[i + 1] < 0 for i in range(n - 1)),
        "zero_crossing_rate": sum(x[i] * x[i + 1] < 0 for i in range(n - 1)) / ((n - 1) / rate),
        "slope_sign_changes": sum((x[i] - x[i - 1]) * (x[i + 1] - x[i]) < 0 for i in range(1, n - 1)),
        "mean_frequency": mean,
        "median_frequency": frequencies[np.flatnonzero(np.cumsum(density) >= total / 2)[0]],
        "peak_frequency": frequencies[np.argmax(density)],
        "total_power": total * bin_width,
        "mean_power": np.mean(density),
        "moment_1": np.sum(density * frequencies) * bin_width,
        "moment_2": np.sum(density * frequencies**2) * bin_width,
        "moment_3": np.sum(density * frequencies**3) * bin_width,
        "frequency_ratio": density[frequencies < mean].sum() / density[frequencies >= mean].sum(),
        "frequency_variance": np.sum(density * (frequencies - mean) ** 2) / total,
        "envelope_mean": moving.mean(),
        "envelope_max": moving.max(),
        "envelope_sd": moving.std(),
    }


@pytest.mark.parametrize(("samples", "rate"), [(640, 128), (1001, 512), (2000, 2048)])
def test_every_kind_agrees_with_its_definition(samples, rate, rng):
    x = rng.normal(0.3, 1, size=(2, 2, samples)).cumsum(-1) * 0.02 + rng.normal(size=(2, 2, samples))
    values = named(x, rate)
    for index in np.ndindex(2, 2):
        for kind, expected in naive(x[index], rate).items():
            assert values[kind][index] == pytest.approx(expected, rel=1e-9), kind


def test_the_pain_set_has_its_14_columns_in_order():
    assert len(PAIN_EMG) == 14
    step = parse_steps([{"features": [{"emg": {"kinds": list(PAIN_EMG)}}]}], modality="emg").features[0]
    assert FEATURES["emg"].columns(**step.parameters) == PAIN_EMG


def test_a_tone_has_its_frequency_and_the_power_of_its_amplitude():
    x = 3 * np.sin(2 * np.pi * 80 * np.arange(5120) / 512) + 7
    values = named(x, 512)
    for kind in ("mean_frequency", "median_frequency", "peak_frequency"):
        assert values[kind] == pytest.approx(80)
    assert values["total_power"] == pytest.approx(4.5)
    assert values["rms"] == pytest.approx(np.sqrt(4.5))
    assert values["frequency_variance"] == pytest.approx(0, abs=1e-9)
    assert values["zero_crossing_rate"] == pytest.approx(160, abs=1)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_bursts_are_counted_as_they_were_simulated_and_as_neurokit2_counts_them(count):
    x = nk.emg_simulate(duration=20, sampling_rate=512, burst_number=count, burst_duration=1.0, random_state=3)
    _, info = nk.emg_process(x, sampling_rate=512)
    values = named(x, 512)
    assert values["bursts"] == count == len(info["EMG_Onsets"])
    assert values["active_share"] == pytest.approx(count / 20, rel=0.15)


def test_even_activity_has_no_bursts(rng):
    assert (emg(rng.normal(size=(20, 2560)), 512, ("bursts", "active_share")) == 0).all()


def test_a_bad_row_is_nan_and_leaves_the_others_as_they_are(rng):
    x = rng.normal(size=(90, 700)).astype(np.float32)
    clean = emg(x, 256, ALL)
    x[4, 3], x[6, 0], x[80] = np.nan, np.inf, np.nan
    values = emg(x, 256, ALL)
    bad = np.isin(np.arange(90), [4, 6, 80])
    assert np.isnan(values[bad]).all()
    np.testing.assert_array_equal(values[~bad], clean[~bad])


@pytest.mark.parametrize("level", [0.0, 0.1, -1e6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_has_no_frequency_and_no_activity(level, dtype):
    values = named(np.full((2, 777), level, dtype=dtype), 512)
    undefined = {"mean_frequency", "median_frequency", "peak_frequency", "frequency_ratio", "frequency_variance"}
    for kind, value in values.items():
        assert np.isnan(value).all() if kind in undefined else (value == 0).all(), kind


@given(st.floats(0.01, 100), st.floats(-50, 50), st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_scale_shift_order_and_batch(scale, shift, seed):
    x = np.random.default_rng(seed).normal(size=(4, 300))
    values = named(x, 128)
    powers = {"total_power": 2, "mean_power": 2, "moment_1": 2, "moment_2": 2, "moment_3": 2}
    amplitudes = {"rms", "mean_abs", "integrated", "waveform_length", "envelope_mean", "envelope_max", "envelope_sd"}
    for kind, value in named(scale * x + shift, 128).items():
        factor = scale ** powers.get(kind, kind in amplitudes)
        np.testing.assert_allclose(value, factor * values[kind], rtol=1e-6, atol=1e-9, err_msg=kind)
    whole = emg(x, 128, ALL)
    np.testing.assert_array_equal(emg(x[::-1], 128, ALL), whole[::-1])
    np.testing.assert_allclose(np.stack([emg(row, 128, ALL) for row in x]), whole, rtol=1e-12)


def test_a_wrong_question_is_refused_in_words(rng):
    x = rng.normal(size=200)
    with pytest.raises(DataError, match=r"no kind 'rmss'.*'rms'"):
        emg(x, 128, ("rmss",))
    with pytest.raises(DataError, match=r"at least 2 samples in its window; found 0.1 s at 10 Hz"):
        emg(x, 10, ("envelope_sd",))
    with pytest.raises(DataError, match=r"window of 2 s is longer than the signal of 1.5625 s"):
        emg(x, 128, ("envelope_sd",), window=2.0)
    with pytest.raises(DataError, match="At least 3 samples"):
        emg(x[:2], 128)
    assert np.isfinite(emg(x, 10, TIME)).all()


# ---- envelope -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["rms", "mean_abs"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("samples", "window"), [(300, 0.1), (301, 0.25), (40, 0.25), (40, 0.3125), (64, 0.125)])
def test_the_envelope_averages_the_window_that_there_is(method, causal, samples, window, rng):
    x = rng.normal(size=(3, samples))
    x[1, 10:14] = np.nan
    width = round(window * 128)
    ahead = 0 if causal else (width - 1) // 2
    expected = np.full(x.shape, np.nan)
    for row, at in zip(*np.nonzero(np.isfinite(x)), strict=True):
        part = x[row, max(0, at + ahead - width + 1) : at + ahead + 1]
        expected[row, at] = np.sqrt(np.nanmean(part**2)) if method == "rms" else np.nanmean(np.abs(part))
    np.testing.assert_allclose(envelope(x, 128, window, method=method, causal=causal), expected, rtol=1e-12)


def test_the_causal_envelope_does_not_look_ahead_and_the_other_does(rng):
    x = rng.normal(size=(2, 500))
    changed = x.copy()
    changed[:, 250:] = 100
    np.testing.assert_array_equal(envelope(x, 256, causal=True)[:, :250], envelope(changed, 256, causal=True)[:, :250])
    assert not np.array_equal(envelope(x, 256)[:, :250], envelope(changed, 256)[:, :250])


def test_a_huge_artefact_leaves_no_trace_outside_its_windows():
    x = np.zeros(2000)
    x[500] = 1e12
    x[1500] = 1e-6
    followed = envelope(x, 512, 0.1)
    assert (followed[600:1400] == 0).all()
    assert followed[1500] == pytest.approx(1e-6 / np.sqrt(51))


def test_the_envelope_keeps_shape_and_precision(rng):
    x = rng.normal(size=(2, 3, 400)).astype(np.float32)
    followed = envelope(x, 512)
    assert followed.dtype == np.float32
    assert followed.shape == x.shape
    np.testing.assert_allclose(followed, envelope(x.astype(float), 512), rtol=1e-6)


@pytest.mark.parametrize("window", [10.1, 1000, 1e6, 1e307])
def test_a_window_longer_than_the_signal_is_refused_before_it_takes_memory(window):
    x = np.ones((4, 5120))
    with pytest.raises(DataError, match=r"window of .* s is longer than the signal of 10 s"):
        envelope(x, 512, window)
    np.testing.assert_allclose(envelope(x, 512, 10), 1)


def test_a_window_without_samples_is_refused():
    with pytest.raises(DataError, match=r"found 0.1 s at 4 Hz. Use a window of 0.5 s or more"):
        envelope(np.zeros(100), 4)
    for wrong in (-1, 0, "1", np.nan, np.inf, None):
        with pytest.raises(DataError, match="Window must be a number above 0 s, found"):
            envelope(np.zeros(100), 512, wrong)
        with pytest.raises(DataError, match="Window must be a number above 0 s, found"):
            emg(np.zeros(100), 512, window=wrong)
    with pytest.raises(DataError, match="'rms'"):
        envelope(np.zeros(100), 512, method="rns")
