"""Blinks and saccades are found where they were put, at every rate, and nowhere else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import DataError
from limbeck.signals import eog

ALL = (
    "blink_rate",
    "blink_amplitude",
    "blink_duration",
    "saccade_rate",
    "saccade_amplitude",
    "saccade_velocity",
    "saccade_energy",
    "velocity_rms",
)
BLINKS, SACCADES = (3, 8, 13, 21), ((5, 80), (10, -60), (16, 120), (25, -90))


def looking(rate: float, rng: np.random.Generator, *, noise: float = 2.0, sd: float = 0.08) -> np.ndarray:
    """Half a minute of an eye that blinks and jumps: µV."""
    times = np.arange(int(30 * rate)) / rate
    x = noise * rng.normal(size=times.size)
    for at in BLINKS:
        x += 200 * np.exp(-0.5 * ((times - at) / sd) ** 2)
    for at, size in SACCADES:
        x += size * (1 + np.tanh((times - at) / 0.016)) / 2
    return x


def named(x: np.ndarray, rate: float, **options: float) -> dict[str, np.ndarray]:
    return dict(zip(ALL, np.moveaxis(eog(x, rate, ALL, **options), -1, 0), strict=True))


@pytest.mark.parametrize("rate", [64, 128, 256, 512, 1000])
def test_blinks_and_saccades_are_found_as_they_were_put(rate, rng):
    values = named(looking(rate, rng), rate)
    assert values["blink_rate"] == 2 * len(BLINKS)
    assert values["blink_amplitude"] == pytest.approx(200, rel=0.05)
    assert values["blink_duration"] == pytest.approx(2.355 * 0.08, rel=0.1)  # of a Gauss curve at half height
    assert values["saccade_rate"] == 2 * len(SACCADES)
    assert values["saccade_amplitude"] == pytest.approx(np.mean([abs(size) for _, size in SACCADES]), rel=0.1)


@pytest.mark.parametrize("rate", [50, 64, 99, 100, 128, 150, 199, 200, 250, 399, 512, 1000, 2000])
def test_velocity_is_that_over_20_ms_at_every_rate(rate):
    times = np.arange(int(30 * rate)) / rate
    x = 0.5 * np.random.default_rng(0).normal(size=times.size)
    for at in (5, 10, 16, 25):
        x += 50 * np.tanh((times - at) / 0.016)
    over_20_ms = 100 * (np.tanh(10 / 16) + np.tanh(20 / 16)) / 0.06  # 0.75 of the true peak of 3125
    values = named(x, rate)
    assert values["saccade_rate"] == 8
    assert values["saccade_velocity"] == pytest.approx(over_20_ms, rel=0.1)
    assert values["velocity_rms"] == pytest.approx(147, rel=0.05)


@pytest.mark.parametrize(("milliseconds", "share"), [(70, 0.9), (35, 0.75), (18, 0.5)])
def test_short_saccades_lose_as_much_of_their_peak_as_is_said(milliseconds, share):
    times, constant = np.arange(3000) / 100, milliseconds / 2197  # tanh is at 10 and 90 % at +-1.0986
    x = 0.5 * np.random.default_rng(0).normal(size=times.size) + 50 * np.tanh((times - 15) / constant)
    assert named(x, 100)["saccade_velocity"] == pytest.approx(share * 50 / constant, rel=0.05)


def test_a_gaze_that_stays_away_and_drift_are_no_blinks(rng):
    times = np.arange(30 * 128) / 128
    step = 300.0 * ((times > 5) & (times < 12)) + 2 * rng.normal(size=times.size)
    drift = 400 * np.sin(2 * np.pi * times / 10) + 2 * rng.normal(size=times.size)
    assert (eog(np.stack([step, drift]), 128, ("blink_rate",)) == 0).all()
    assert named(step, 128)["saccade_rate"] == 4
    assert named(looking(128, rng) + drift, 128)["blink_rate"] == 2 * len(BLINKS)


def test_noise_alone_holds_no_events(rng):
    values = named(20 * rng.normal(size=(20, 10 * 256)), 256)
    assert (values["blink_rate"] == 0).all()
    assert np.isnan(values["blink_amplitude"]).all()
    assert (values["saccade_rate"] == 0).all()
    assert (values["saccade_energy"] == 0).all()
    assert (values["velocity_rms"] > 0).all()


def test_the_height_of_a_blink_is_the_users(rng):
    x = looking(128, rng) / 4  # 50 µV
    assert named(x, 128)["blink_rate"] == 0
    assert named(x, 128, blink=40)["blink_rate"] == 2 * len(BLINKS)


@pytest.mark.parametrize("level", [0.0, 0.1])
def test_a_constant_is_no_eye(level):
    assert np.isnan(eog(np.full((2, 640), level, dtype=np.float32), 128, ALL)).all()


def test_a_mostly_level_signal_has_no_measure_of_what_is_fast():
    x = np.zeros(1280)
    x[600:] = 50
    values = named(x, 128)
    assert np.isnan([values[kind] for kind in ALL if kind.startswith("saccade")]).all()
    assert values["blink_rate"] == 0


def test_long_plateaus_are_looked_at_without_a_warning(rng):
    x = np.repeat(rng.normal(0, 200, size=12), 256)
    with np.errstate(all="raise"):
        assert np.isfinite(eog(x, 128, ("blink_rate", "velocity_rms"))).all()


def test_a_bad_row_is_nan_and_leaves_the_others_as_they_are(rng):
    x = np.stack([looking(128, rng) for _ in range(12)]).astype(np.float32)
    clean = eog(x, 128, ALL)
    x[2, 77], x[9] = np.inf, np.nan
    values = eog(x, 128, ALL)
    bad = np.isin(np.arange(12), [2, 9])
    assert np.isnan(values[bad]).all()
    np.testing.assert_array_equal(values[~bad], clean[~bad])


@given(st.floats(-1000, 1000), st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_shift_order_and_batch(shift, seed):
    rng = np.random.default_rng(seed)
    x = np.stack([looking(100, rng, noise=10) for _ in range(3)])
    whole = eog(x, 100, ALL)
    np.testing.assert_allclose(eog(x + shift, 100, ALL), whole, rtol=1e-6)
    np.testing.assert_array_equal(eog(x[::-1], 100, ALL), whole[::-1])
    np.testing.assert_allclose(np.stack([eog(row, 100, ALL) for row in x]), whole, rtol=1e-12)


def test_what_cannot_show_eyes_is_refused(rng):
    with pytest.raises(DataError, match="at least 50 Hz; found 32 Hz"):
        eog(np.zeros(320), 32)
    with pytest.raises(DataError, match="At least 64 samples"):
        eog(np.zeros(60), 128)
    for wrong in (0, "a", np.nan, np.inf, None):
        with pytest.raises(DataError, match="Blink must be a number above 0 µV, found"):
            eog(np.zeros(640), 128, blink=wrong)
