"""Breaths are found at the rates they were simulated at, as neurokit2 finds them, and not where there are none."""

import neurokit2 as nk
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import DataError
from limbeck.signals import bandpass, find_breaths, highpass, resp_clean, respiration

ALL = ("rate", "rate_sd", "depth", "depth_sd", "duration_cv", "depth_cv", "ie_ratio", "duty", "breaths", "valid")


def named(x: np.ndarray, rate: float) -> dict[str, np.ndarray]:
    return dict(zip(ALL, np.moveaxis(respiration(x, rate, ALL), -1, 0), strict=True))


def breathing(
    durations: np.ndarray, rate: float, *, duty: float = 0.5, depths: np.ndarray | float = 2.0, starts: float = 0.0
) -> np.ndarray:
    """Breaths of given durations (s) from trough to trough, each rising for `duty` of it."""
    troughs = starts + np.concatenate([[0], np.cumsum(durations)])
    times = np.arange(0, troughs[-1], 1 / rate)
    which = np.clip(np.searchsorted(troughs, times, side="right") - 1, 0, len(durations) - 1)
    phase = (times - troughs[which]) / durations[which]
    rising = np.where(phase < duty, phase / duty, 1 + (phase - duty) / (1 - duty)) / 2
    depths = np.broadcast_to(depths, durations.shape)[which]
    return -depths / 2 * np.cos(2 * np.pi * rising)


@pytest.mark.parametrize("rate", [10, 25, 128, 1000])
@pytest.mark.parametrize("per_minute", [8, 12, 15, 20, 30])
def test_a_simulated_rate_is_found_within_half_a_breath_per_minute(rate, per_minute):
    x = nk.rsp_simulate(
        duration=60, sampling_rate=rate, respiratory_rate=per_minute, method="sinusoidal", noise=0.05, random_state=1
    )
    values = named(x, rate)
    assert values["rate"] == pytest.approx(per_minute, abs=0.2)
    assert values["valid"] == 1


@pytest.mark.parametrize("rate", [4, 5.3, 2048])
@pytest.mark.parametrize("duration", [1.5, 2.0, 3.7, 9.0])
def test_even_breathing_is_found_at_slow_and_fast_rates(rate, duration):
    values = named(breathing(np.full(int(60 / duration), duration), rate), rate)
    assert values["rate"] == pytest.approx(60 / duration, rel=0.01)
    assert values["rate_sd"] < 0.03 * 60 / duration
    assert values["duty"] == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("per_minute", [8, 12, 20, 30])
def test_irregular_breathing_agrees_with_neurokit2(per_minute):
    x = nk.rsp_simulate(duration=120, sampling_rate=64, respiratory_rate=per_minute, noise=0.02, random_state=4)
    signals, info = nk.rsp_process(x, sampling_rate=64)
    values = named(x, 64)
    expected = 60 * 64 / np.diff(info["RSP_Troughs"]).mean()
    assert values["rate"] == pytest.approx(expected, abs=0.5)
    assert values["depth"] == pytest.approx(signals["RSP_Amplitude"].mean(), rel=0.05)


def test_depth_timing_and_spread_are_those_of_the_breaths(rng):
    durations = rng.uniform(3, 6, size=14)
    depths = rng.uniform(1.5, 2.5, size=14)
    x = breathing(durations, 32, duty=0.4, depths=depths)
    values = named(x, 32)
    inner = slice(1, -1)  # the window is cut in the first and the last
    assert values["breaths"] == 12
    assert values["rate"] == pytest.approx(60 / durations[inner].mean(), rel=0.01)
    assert values["rate_sd"] == pytest.approx((60 / durations[inner]).std(ddof=1), rel=0.05)
    assert values["duration_cv"] == pytest.approx(durations[inner].std(ddof=1) / durations[inner].mean(), rel=0.05)
    assert values["duty"] == pytest.approx(0.4, abs=0.02)
    assert values["ie_ratio"] == pytest.approx(0.4 / 0.6, abs=0.05)
    # a breath's peak stands over the trough before it, which is where the last breath's depth ends
    assert values["depth"] == pytest.approx(np.mean((depths[inner] + (depths[:-2] + depths[inner]) / 2) / 2), rel=0.05)


def test_drift_noise_and_sighs_hide_no_breath(rng):
    durations = np.full(15, 4.0)
    depths = np.where(np.arange(15) % 5 == 3, 6.0, 2.0)
    x = breathing(durations, 64, depths=depths) + 0.1 * rng.normal(size=60 * 64)
    drift = np.linspace(0, 15, x.size) + 4 * np.sin(2 * np.pi * np.arange(x.size) / 64 / 60)
    assert named(x + drift, 64)["rate"] == pytest.approx(15, abs=0.4)
    assert named(resp_clean(x + drift, 64), 64)["rate"] == pytest.approx(15, abs=0.4)


@pytest.mark.parametrize("seconds", [20, 30, 60])
@pytest.mark.parametrize("height", [10, 50, -10, -50])
def test_one_artefact_decides_neither_rate_nor_depth(seconds, height, rng):
    clean = breathing(np.full(seconds // 4 + 1, 4.0), 32)[: seconds * 32]
    x = clean + 0.02 * rng.normal(size=(40, seconds * 32))
    places = np.append(rng.integers(0, seconds * 32 - 6, size=39), seconds * 16)  # also in the very middle
    for row, place in zip(x, places, strict=True):
        row[place : place + 6] += height
    values = named(x, 32)
    assert np.nanmax(np.abs(values["depth"] - 2)) < 0.5  # 10 and 50, where they count, add 2 and more
    error = np.abs(values["rate"] - 15)
    if seconds == 60:
        assert (values["valid"] == 1).all()
        assert error.max() < 1
    assert np.isnan(error).mean() <= 0.3  # it can touch two of the three breaths of 20 s
    assert np.nanmedian(error) < 0.5


def test_two_artefacts_at_the_same_place_of_two_stretches_hide_no_breath():
    x = breathing(np.full(15, 4.0), 32)
    for place in (15 * 32 - 3, 30 * 32 - 3):
        x[place : place + 6] += 50
    assert named(x, 32)["rate"] == pytest.approx(15, abs=1)


def test_short_windows_give_nan_and_are_not_valid():
    x = np.sin(2 * np.pi * 0.25 * np.arange(5 * 32) / 32)
    for length in (1, 3, 40, 5 * 32):
        values = named(x[:length], 32)
        assert values["breaths"] <= 1
        assert values["valid"] == 0
        assert all(np.isnan(value) for kind, value in values.items() if kind not in ("breaths", "valid"))


def test_two_breaths_have_a_rate_but_no_spread():
    x = breathing(np.full(4, 4.0), 32)
    values = named(x, 32)
    assert values["breaths"] == 2
    assert values["rate"] == pytest.approx(15, abs=0.1)
    assert np.isnan(values["rate_sd"])
    assert values["valid"] == 1


def test_where_nobody_breathes_there_is_no_rate(rng):
    noise = rng.normal(size=(20, 60 * 64))
    values = named(noise, 64)
    assert (values["valid"] == 0).all()
    flat_and_line = np.stack([np.full(2000, 0.1), 0.1 * np.arange(2000), 5 - 1e-3 * np.arange(2000)])
    for dtype in (np.float32, np.float64):
        values = named(flat_and_line.astype(dtype), 32)
        assert np.isnan(values["rate"]).all()
        assert (values["valid"] == 0).all()
        assert (values["breaths"] == 0).all()


def test_a_clipped_signal_turns_in_the_middle_of_its_plateaus():
    x = np.clip(np.sin(2 * np.pi * 0.2 * np.arange(60 * 8) / 8 - 1), -0.5, 0.5)
    values = named(x, 8)
    assert values["rate"] == pytest.approx(12, abs=0.05)
    assert values["duty"] == pytest.approx(0.5, abs=0.02)


def test_a_bad_row_is_nan_and_leaves_the_others_as_they_are(rng):
    x = breathing(np.full(10, 4.0), 32) + 0.02 * rng.normal(size=(6, 40 * 32))
    clean = respiration(x, 32, ALL)
    x[2, 100], x[4] = np.nan, np.inf
    values = respiration(x, 32, ALL)
    assert np.isnan(values[[2, 4], :-1]).all()
    assert (values[[2, 4], -1] == 0).all()
    np.testing.assert_array_equal(values[[0, 1, 3, 5]], clean[[0, 1, 3, 5]])


@given(st.floats(0.01, 100), st.floats(-20, 20), st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_scale_shift_order_and_batch(scale, shift, seed):
    rng = np.random.default_rng(seed)
    x = np.stack([breathing(rng.uniform(3, 5, size=30), 16)[: 60 * 16] for _ in range(4)])
    x += 0.05 * rng.normal(size=x.shape)
    values = named(x, 16)
    for kind, value in named(scale * x + shift * scale, 16).items():
        factor = scale if kind in ("depth", "depth_sd") else 1
        np.testing.assert_allclose(value, factor * values[kind], rtol=1e-6, err_msg=kind)
    whole = respiration(x, 16, ALL)
    np.testing.assert_array_equal(respiration(x[::-1], 16, ALL), whole[::-1])
    np.testing.assert_array_equal(np.stack([respiration(row, 16, ALL) for row in x]), whole)


def test_too_slow_a_rate_and_unknown_kinds_are_refused():
    with pytest.raises(DataError, match="at least 4 Hz; found 1 Hz"):
        respiration(np.zeros(100), 1)
    with pytest.raises(DataError, match="'rate'"):
        respiration(np.zeros(100), 10, ("rates",))


# ---- cleaning -------------------------------------------------------------------------------------------------------


def test_cleaning_is_that_of_neurokit2(rng):
    x = rng.normal(size=2000).cumsum()
    np.testing.assert_allclose(resp_clean(x, 50), nk.rsp_clean(x, sampling_rate=50, method="khodadad2018"), atol=1e-8)


def test_slow_signals_lose_their_drift_only(rng):
    x = rng.normal(size=400)
    np.testing.assert_array_equal(resp_clean(x, 4), highpass(x, 4, 0.05, order=2))
    np.testing.assert_array_equal(resp_clean(x, 4, 0.01, 1.5), bandpass(x, 4, 0.01, 1.5, order=2))


@pytest.mark.parametrize("rate", [4, 32])
def test_causal_cleaning_does_not_look_ahead_and_gaps_stay(rate, rng):
    x = rng.normal(size=(2, 800))
    x[1, 50:60] = np.nan
    changed = x.copy()
    changed[:, 400:] += 5
    clean = resp_clean(x, rate, causal=True)
    np.testing.assert_array_equal(clean[:, :400], resp_clean(changed, rate, causal=True)[:, :400])
    np.testing.assert_array_equal(np.isnan(clean), np.isnan(x))
    np.testing.assert_array_equal(np.isnan(resp_clean(x, rate)), np.isnan(x))


def test_cut_offs_that_make_no_band_are_refused():
    for low, high in ((3.0, 0.05), ("1", 3.0), (0.05, np.nan), (0.05, np.inf), (None, 3.0)):
        with pytest.raises(DataError, match="0 < low < high, found"):
            resp_clean(np.zeros(1000), 32, low, high)
    for order in (0, 1.5, "2"):
        with pytest.raises(DataError, match="Order must be a whole number above 0, found"):
            resp_clean(np.zeros(1000), 32, order=order)


@pytest.mark.parametrize("shape", [(0, 640), (3, 0, 640), (0, 3)])
def test_of_no_rows_there_are_no_breaths(shape):
    times, values = find_breaths(np.empty(shape), 32)
    assert times.shape == values.shape == (*shape[:-1], 3)
    assert respiration(np.empty(shape), 32).shape == (*shape[:-1], 6)


@pytest.mark.parametrize("rate", [4, 10, 32, 500])
def test_breaths_are_found_where_they_turn(rate):
    seconds = np.arange(60 * rate) / rate
    belt = np.stack([3 * np.sin(2 * np.pi * 0.25 * seconds) + 7, np.ones_like(seconds), np.full_like(seconds, np.nan)])
    times, values = find_breaths(belt, rate)
    assert not np.isfinite(times[1:]).any()
    times, values = times[0][np.isfinite(times[0])], values[0][np.isfinite(times[0])]
    expected = 1 + 2 * np.arange(30)
    np.testing.assert_allclose(times, expected[np.abs(expected[:, None] - times).min(axis=1) < 1], atol=0.1)
    assert len(times) >= 28
    np.testing.assert_allclose(np.abs(values - 7), 3, atol=0.3)
    with pytest.raises(DataError, match="at least 4 Hz"):
        find_breaths(belt, 2)
