"""Filters agree with scipy, keep gaps, and look ahead only when they may."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from limbeck.errors import DataError, StudyError
from limbeck.signals import bandpass, bandstop, highpass, lowpass, notch, parse_steps

RATE = 128.0

FIR = [
    (lambda x, **k: bandpass(x, RATE, 4, 30, method="fir", **k), "bandpass", (4, 30), 2.0),
    (lambda x, **k: lowpass(x, RATE, 20, method="fir", **k), "lowpass", 20, 5.0),
    (lambda x, **k: highpass(x, RATE, 1, method="fir", **k), "highpass", 1, 1.0),
    (lambda x, **k: bandstop(x, RATE, 48, 52, method="fir", **k), "bandstop", (48, 52), 2.0),
    (lambda x, **k: notch(x, RATE, 50, quality=10, method="fir", **k), "bandstop", (47.5, 52.5), 2.5),
]
"""Filter, kind and cut-offs for scipy, and the width of the transition in Hz."""


def taps_of(kind, cutoffs, width):
    """Low-passes of scipy, taken from one another or from an impulse."""
    length = int(np.ceil(3.3 * RATE / width)) // 2 * 2 + 1
    below = [signal.firwin(length, cutoff, fs=RATE) for cutoff in np.atleast_1d(cutoffs)]
    impulse = signal.unit_impulse(length, "mid")
    return {
        "lowpass": below[0],
        "highpass": impulse - below[0],
        "bandpass": below[-1] - below[0],
        "bandstop": impulse - below[-1] + below[0],
    }[kind]


@pytest.mark.parametrize(
    ("apply", "kind", "cutoffs"),
    [
        (lambda x, **k: bandpass(x, RATE, 1, 40, **k), "bandpass", (1, 40)),
        (lambda x, **k: lowpass(x, RATE, 20, **k), "lowpass", 20),
        (lambda x, **k: highpass(x, RATE, 0.5, **k), "highpass", 0.5),
        (lambda x, **k: bandstop(x, RATE, 48, 52, **k), "bandstop", (48, 52)),
    ],
)
def test_butterworth_filters_agree_with_scipy(apply, kind, cutoffs, rng):
    x = rng.normal(size=(3, 4, 1000))
    sections = signal.butter(4, cutoffs, kind, fs=RATE, output="sos")
    np.testing.assert_allclose(apply(x), signal.sosfiltfilt(sections, x, axis=-1), rtol=1e-10, atol=1e-12)
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
        lambda x, causal: bandstop(x, RATE, 45, 55, causal=causal),
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


@pytest.mark.parametrize(("apply", "kind", "cutoffs", "width"), FIR)
def test_linear_phase_filters_agree_with_scipy_in_both_directions(apply, kind, cutoffs, width, rng):
    x = rng.normal(3, 1, size=(2, 3, 3000))
    taps = taps_of(kind, cutoffs, width)
    half = len(taps) // 2
    of_scipy = signal.firwin(len(taps), cutoffs, pass_zero=kind, fs=RATE)
    np.testing.assert_allclose(np.abs(np.fft.rfft(taps)), np.abs(np.fft.rfft(of_scipy)), atol=0.004)
    padded = np.concatenate([np.repeat(x[..., :1], 2 * half, axis=-1), x], axis=-1)
    forwards = signal.lfilter(taps, 1, padded, axis=-1)[..., 2 * half :]
    np.testing.assert_allclose(apply(x, causal=True), forwards, atol=1e-12)
    centred = apply(x)
    # away from the ends the zero-phase filter is the causal one with its delay taken off
    np.testing.assert_allclose(centred[..., half:-half], forwards[..., 2 * half :], atol=1e-12)
    mirrored = np.pad(x, ((0, 0), (0, 0), (half, half)), mode="reflect", reflect_type="odd")
    np.testing.assert_allclose(centred, signal.lfilter(taps, 1, mirrored, axis=-1)[..., 2 * half :], atol=1e-12)


@pytest.mark.parametrize(("apply", "kind", "cutoffs", "width"), FIR)
def test_a_linear_phase_filter_passes_and_stops_outside_its_transition(apply, kind, cutoffs, width):
    # the response to an impulse far from the ends is the filter itself
    impulse = np.zeros(8192)
    impulse[4096] = 1.0
    gain = np.abs(np.fft.rfft(apply(impulse)))
    frequencies = np.fft.rfftfreq(8192, 1 / RATE)
    edges = np.atleast_1d(cutoffs)
    far = np.abs(frequencies[:, np.newaxis] - edges).min(axis=-1) > 0.55 * width
    inside = (frequencies > edges[0]) & (frequencies < edges[-1]) if len(edges) > 1 else frequencies < edges[0]
    passes = inside if kind in ("bandpass", "lowpass") else ~inside
    np.testing.assert_allclose(gain[far & passes], 1, atol=0.005)
    assert gain[far & ~passes].max() < 0.005
    np.testing.assert_allclose(np.interp(edges, frequencies, gain), 0.5, atol=0.02)


@pytest.mark.parametrize("gap", [False, True])
@pytest.mark.parametrize("apply", [each[0] for each in FIR])
def test_only_the_zero_phase_linear_filter_changes_when_the_future_does(apply, gap, rng):
    x = rng.normal(size=(2, 1500))
    if gap:
        x[0, 790:810] = np.nan
        x[1, :20] = np.nan
    other = x.copy()
    other[:, 800:] += 1000 * rng.normal(size=(2, 700))
    np.testing.assert_allclose(apply(x, causal=True)[:, :800], apply(other, causal=True)[:, :800], atol=1e-10)
    assert np.nanmax(np.abs(apply(x)[:, :800] - apply(other)[:, :800])) > 1e-2


def test_a_causal_linear_phase_filter_delays_by_half_its_length():
    time = np.arange(4000) / RATE
    x = np.sin(2 * np.pi * 10 * time)
    delay = len(taps_of("highpass", 1, 1.0)) // 2
    filtered = highpass(x, RATE, 1, method="fir", causal=True)
    assert delay == 211
    np.testing.assert_allclose(filtered[2000:], x[2000 - delay : -delay], atol=0.005)


@pytest.mark.parametrize("causal", [False, True])
def test_missing_samples_stay_missing_in_a_linear_phase_filter(causal, rng):
    x = rng.normal(size=(3, 1000)).astype(np.float32)
    x[0, 500:503] = np.nan
    x[1] = np.nan
    x[2, 7] = np.inf
    filtered = bandpass(x, RATE, 4, 30, method="fir", causal=causal)
    assert filtered.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(filtered), ~np.isfinite(x))


@pytest.mark.parametrize(("rate", "cutoff"), [(4.0, 0.05), (2000.0, 0.5)])
@pytest.mark.parametrize("method", ["iir", "fir"])
def test_low_cut_offs_take_the_drift_and_leave_the_rest_at_any_rate(rate, cutoff, method):
    time = np.arange(int(120 * rate)) / rate
    wave = np.sin(2 * np.pi * 10 * cutoff * time)
    filtered = highpass(wave + 50 + 0.1 * time, rate, cutoff, method=method)
    inner = (time > 40) & (time < 80)
    np.testing.assert_allclose(filtered[inner], wave[inner], atol=0.02)


@pytest.mark.parametrize("method", ["iir", "fir"])
@pytest.mark.parametrize("causal", [False, True])
def test_of_a_level_all_is_left_or_nothing(method, causal):
    x = np.full((2, 900), [[0.1], [1e6 / 3]])
    x[1, :30] = np.nan
    options = {"method": method, "causal": causal}
    for kept in (lowpass(x, RATE, 5, **options), bandstop(x, RATE, 48, 52, **options), notch(x, RATE, **options)):
        np.testing.assert_array_equal(kept, x)
    for lost in (highpass(x, RATE, 5, **options), bandpass(x, RATE, 5, 9, **options)):
        np.testing.assert_array_equal(lost, 0 * x)


def test_too_short_a_signal_for_a_linear_phase_filter_says_how_long_it_must_be():
    with pytest.raises(DataError, match=r"at least 212 samples; found 211.*method: iir"):
        highpass(np.zeros(211), RATE, 1, method="fir")
    assert highpass(np.zeros(212), RATE, 1, method="fir").shape == (212,)
    assert highpass(np.zeros(5), RATE, 1, method="fir", causal=True).shape == (5,)


@given(st.floats(0.01, 100), st.integers(1, 5), st.booleans(), st.sampled_from(["iir", "fir"]), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_filters_are_linear_and_treat_every_row_alike(scale, split, causal, method, seed):
    x = np.random.default_rng(seed).normal(size=(6, 300))
    filtered = bandpass(x, RATE, 8, 30, method=method, causal=causal)
    scaled = bandpass(scale * x, RATE, 8, 30, method=method, causal=causal)
    np.testing.assert_allclose(scaled, scale * filtered, atol=1e-9 * scale)
    parts = [bandpass(part, RATE, 8, 30, method=method, causal=causal) for part in (x[:split], x[split:])]
    np.testing.assert_allclose(np.concatenate(parts), filtered, atol=1e-12)


def test_one_bad_row_leaves_the_others_as_they_are(rng):
    x = rng.normal(size=(3, 600)).astype(np.float32)
    bad = x.copy()
    bad[1, ::2] = np.nan
    for method in ("iir", "fir"):
        np.testing.assert_array_equal(
            bandpass(bad, RATE, 4, 30, method=method)[[0, 2]], bandpass(x, RATE, 4, 30, method=method)[[0, 2]]
        )


@pytest.mark.parametrize("method", ["iir", "fir"])
@pytest.mark.parametrize("causal", [False, True])
def test_filtering_takes_no_more_than_three_times_the_memory_of_its_input(method, causal, rng):
    x = rng.normal(size=(64, 76_800)).astype(np.float32)
    bandpass(x[:1, :1000], RATE, 4, 30, method=method, causal=causal)  # what is imported is not counted
    tracemalloc.start()
    bandpass(x, RATE, 4, 30, method=method, causal=causal)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * x.nbytes  # beside the input


def test_mistakes_in_a_study_are_named():
    with pytest.raises(StudyError, match=r"no method 'firr'. Did you mean 'fir'"):
        parse_steps([{"bandstop": {"low": 48, "high": 52, "method": "firr"}}], modality="ecg")
    with pytest.raises(StudyError, match="0 < low < high, found low 52 and high 48"):
        parse_steps([{"bandstop": [52, 48]}], modality="ecg")
    with pytest.raises(DataError, match=r"There is no method 'firr'. Did you mean 'fir'"):
        lowpass(np.zeros(100), RATE, 10, method="firr")
    with pytest.raises(DataError, match="0 < low < high, found low 52 and high 48 Hz"):
        bandstop(np.zeros(100), RATE, 52, 48)


@pytest.mark.parametrize("method", ["iir", "fir"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1, 0, "4", None, True])
def test_cut_offs_orders_and_qualities_that_are_none_are_refused_from_python(method, wrong):
    x = np.zeros(1000)
    for call in (
        lambda: bandpass(x, RATE, wrong, 30, method=method),
        lambda: bandstop(x, RATE, 4, wrong, method=method),
        lambda: lowpass(x, RATE, wrong, method=method),
        lambda: highpass(x, RATE, wrong, method=method),
        lambda: notch(x, RATE, wrong, method=method),
        lambda: notch(x, RATE, 50, quality=wrong, method=method),
        lambda: bandpass(x, RATE, 4, 30, order=wrong, method=method),
        lambda: lowpass(x, RATE, 4, order=wrong, method=method),
    ):
        with pytest.raises(DataError, match="found"):
            call()


@pytest.mark.parametrize("order", [2.5, 101, -1])
def test_an_order_is_a_whole_number_up_to_a_hundred(order):
    with pytest.raises(DataError, match=f"Order must be a whole number from 1 to 100, found {order}"):
        highpass(np.zeros(1000), RATE, 1, order=order)


@pytest.mark.parametrize(("frequency", "quality"), [(50, 0.1), (50, -5), (50, 0.6), (60, 0.9), (50, 1e16)])
def test_a_notch_that_would_not_be_stable_is_refused(frequency, quality):
    with pytest.raises(DataError, match=r"[Qq]uality"):
        notch(np.zeros(1000), RATE, frequency, quality=quality)


def test_the_widest_notches_that_are_stable_do_not_grow(rng):
    x = rng.normal(size=5000)
    assert np.abs(notch(x, RATE, 50, quality=0.8)).max() < np.abs(x).max() * 2


def test_cut_offs_that_double_precision_cannot_hold_are_refused(rng):
    x = rng.normal(size=2000)
    for call in (
        lambda: highpass(x, 1000, 1e-6),
        lambda: highpass(x, 1000, 1e-5, causal=True),
        lambda: bandpass(x, 1000, 1e-6, 30),
        lambda: lowpass(x, 1000, 499.999999),
    ):
        with pytest.raises(DataError, match="double precision cannot hold a filter"):
            call()
    with pytest.raises(DataError, match="more than 10,000,000 taps"):
        highpass(x, 1000, 1e-6, method="fir", causal=True)
    # what is not refused is right: the gain at the cut-off is that of a Butterworth filter
    for cutoff in (4e-5, 1e-3):
        sections = signal.butter(4, cutoff, "highpass", fs=1000, output="sos")
        assert np.abs(signal.sosfreqz(sections, [cutoff], fs=1000)[1]) == pytest.approx(np.sqrt(0.5), rel=0.01)
        np.testing.assert_allclose(highpass(x, 1000, cutoff), signal.sosfiltfilt(sections, x), rtol=0, atol=0.2)


@pytest.mark.parametrize("causal", [False, True])
def test_a_single_long_row_takes_no_more_than_about_three_times_its_memory(causal, rng):
    x = rng.normal(size=(1, 2_000_000)).astype(np.float32)
    bandpass(x[:, :1000], 512, 1, 40)  # the design
    tracemalloc.start()
    bandpass(x, 512, 1, 40, causal=causal)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3.3 * x.nbytes  # the output, the samples in double precision, where they are missing
