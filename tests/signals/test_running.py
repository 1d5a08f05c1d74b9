"""Running band power is the band power of each window, at a time when the window is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import DataError, StudyError
from limbeck.recording import Signal
from limbeck.signals import band_power, parse_steps, running_bandpower

BANDS = {"theta": (4, 8), "alpha": (8, 13)}
ZHANG = {
    "bands": "zhang2022",
    "log": False,
    "relative": True,
    "method": "welch",
    "integral": "simpson",
    "total": "spectrum",
}


def test_each_value_is_the_band_power_of_its_window(rng):
    x = rng.normal(size=(3, 128 * 10 + 5))
    running = running_bandpower(x, 128, BANDS, window=1.5, hop=0.25)
    assert running.shape == (6, 35)
    for number in range(35):
        window = x[:, number * 32 : number * 32 + 192]
        np.testing.assert_allclose(running[:, number], band_power(window, 128, BANDS).T.ravel(), rtol=1e-9)


@pytest.mark.parametrize("rate", [250, 256, 500.5])
def test_windows_of_many_channels_keep_time_at_any_rate(rate, rng):
    x = rng.normal(size=(32, round(40 * rate))).astype(np.float32)
    running = running_bandpower(x, rate, **ZHANG)
    assert running.shape == (192, 38 * 4 + 1)
    assert running.dtype == np.float32
    options = {name: value for name, value in ZHANG.items() if name != "bands"}
    for number in (0, 1, 77, 151):
        first = int(number * 0.25 * rate)
        powers = band_power(x[:, first : first + round(2 * rate)], rate, "zhang2022", **options)
        np.testing.assert_allclose(running[:, number], powers.T.ravel(), rtol=1e-5)


@pytest.mark.parametrize("segment", [0.7, 1.0])  # of 0.7 s, the last 38 samples of a window are in none
@pytest.mark.parametrize("hop", [0.25, 0.3])
def test_windows_that_share_segments_have_the_band_power_of_each(segment, hop, rng):
    x = rng.normal(size=(2, 128 * 8)) + 50
    x[0, 700] = np.nan
    options = {"method": "welch", "segment": segment, "relative": True}
    running = running_bandpower(x, 128, BANDS, hop=hop, **options)
    for number in range(running.shape[1]):
        first = int(number * hop * 128 + 1e-9)
        powers = band_power(x[:, first : first + 256], 128, BANDS, **options)
        np.testing.assert_allclose(running[:, number], powers.T.ravel(), rtol=1e-12)


@pytest.mark.parametrize("rate", [128, 250])
def test_no_value_knows_what_comes_after_its_time(rate, rng):
    x = rng.normal(size=(2, rate * 10))
    changed = x.copy()
    changed[:, 5 * rate :] = rng.normal(size=(2, rate * 5))  # from 5.0 s on
    before, after = running_bandpower(x, rate, BANDS), running_bandpower(changed, rate, BANDS)
    times = 2.0 + 0.25 * np.arange(before.shape[1])
    np.testing.assert_array_equal(before[:, times <= 5.0], after[:, times <= 5.0])
    assert (before[:, times > 5.0] != after[:, times > 5.0]).all()


def recorded(rng, **options):
    pipeline = parse_steps([{"running_bandpower": {"bands": BANDS, **options}}], modality="eeg")
    signal = Signal(rng.normal(size=(2, 1280)).astype(np.float32), 128.0, ("Fp1", "Fp2"), "µV", 3.0)
    return pipeline, pipeline.on_recording(signal)


def test_a_recording_becomes_one_of_bands_by_electrodes_at_the_windows_end(rng):
    pipeline, signal = recorded(rng, hop=0.5)
    assert pipeline.causal
    assert signal.channels == ("Fp1.theta", "Fp2.theta", "Fp1.alpha", "Fp2.alpha")
    assert (signal.rate, signal.start, signal.unit) == (2.0, 5.0, "ln µV²")
    assert signal.data.shape == (4, 17)


def test_values_at_the_windows_centre_are_not_causal(rng):
    pipeline, signal = recorded(rng, causal=False, relative=True, log=False)
    assert not pipeline.causal
    assert (signal.rate, signal.start, signal.unit) == (4.0, 4.0, "share")


def test_gaps_and_constants_touch_only_the_windows_that_hold_them(rng):
    x = rng.normal(size=(2, 1280))
    bad = x.copy()
    bad[0, 640] = np.nan
    bad[1, 256:600] = 7.0
    values, clean = running_bandpower(bad, 128, BANDS), running_bandpower(x, 128, BANDS)
    starts = 32 * np.arange(values.shape[1])
    gap = (starts <= 640) & (starts + 256 > 640)
    np.testing.assert_array_equal(np.isnan(values), np.stack([gap, (starts >= 256) & (starts + 256 <= 600)] * 2))
    untouched = (starts + 256 <= 256) | (starts > 640)
    np.testing.assert_array_equal(values[:, untouched], clean[:, untouched])


@given(st.floats(0.01, 100), st.floats(-100, 100), st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_scale_shift_permutation_and_single_channels(scale, shift, seed):
    x = np.random.default_rng(seed).normal(size=(3, 700))
    running = running_bandpower(x, 128, BANDS)
    scaled = running_bandpower(scale * x + shift, 128, BANDS)
    np.testing.assert_allclose(scaled, running + 2 * np.log(scale), atol=1e-6)
    np.testing.assert_allclose(running_bandpower(x[1], 128, BANDS), running[[1, 4]], rtol=1e-12)
    turned = running_bandpower(x[::-1], 128, BANDS)
    np.testing.assert_allclose(turned, running[[2, 1, 0, 5, 4, 3]], rtol=1e-12)
    batch = running_bandpower(np.stack([x, 2 * x]), 128, BANDS)
    np.testing.assert_allclose(batch[0], running, rtol=1e-12)


def test_what_cannot_be_computed_is_refused(rng):
    x = rng.normal(size=(2, 128))
    with pytest.raises(DataError, match="window of 2 s has 256 samples at 128 Hz and the recording 128"):
        running_bandpower(x, 128, BANDS)
    with pytest.raises(DataError, match="must be a number above 0 s"):
        running_bandpower(x, 128, BANDS, hop=0.0)
    with pytest.raises(DataError, match="reaches above half"):
        running_bandpower(x, 16, BANDS)
    with pytest.raises(StudyError) as caught:
        parse_steps([{"running_bandpower": {"hop": 0, "method": "welsh"}}], modality="eeg")
    assert any("must be a number above 0 s" in mistake for mistake in caught.value.mistakes)
    assert any("Did you mean 'welch'" in mistake for mistake in caught.value.mistakes)
