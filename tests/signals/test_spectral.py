"""Band power agrees with a naive reference and with scipy, and keeps its properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from limbeck.errors import DataError
from limbeck.signals import band_power, bandpower, resolve_bands

BANDS = {"delta": (1, 4), "theta": (4, 8), "alpha": (8, 13), "beta": (13, 30), "gamma": (30, 40)}


def naive_band_power(x: np.ndarray, rate: float, low: float, high: float) -> float:
    """One row and one band by the definition, with a slow Fourier sum."""
    n = len(x)
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    tapered = (x - x.mean()) * taper
    power = 0.0
    for k in range(n // 2 + 1):
        if low <= k * rate / n < high:
            coefficient = np.sum(tapered * np.exp(-2j * np.pi * k * np.arange(n) / n))
            sides = 1 if k in (0, n / 2) else 2
            power += sides * abs(coefficient) ** 2 / (rate * np.sum(taper**2)) * rate / n
    return power


@pytest.mark.parametrize("samples", [256, 255])
def test_band_power_agrees_with_the_definition(samples, rng):
    x = rng.normal(3, 2, size=(2, 3, samples))
    powers = band_power(x, 128, BANDS, log=False)
    expected = [[[naive_band_power(row, 128, *edges) for edges in BANDS.values()] for row in rows] for rows in x]
    np.testing.assert_allclose(powers, expected, rtol=1e-10)


def test_band_power_agrees_with_the_periodogram_of_scipy(rng):
    x = rng.normal(size=(5, 1000))
    frequencies, density = signal.periodogram(x, 100, window="hann", detrend="constant")
    expected = [density[:, (frequencies >= a) & (frequencies < b)].sum(-1) * 0.1 for a, b in BANDS.values()]
    np.testing.assert_allclose(band_power(x, 100, BANDS), np.log(np.stack(expected, -1)), rtol=1e-10)


def test_the_power_of_a_sine_is_half_its_amplitude_squared_and_lies_in_its_band():
    x = 6 * np.sin(2 * np.pi * 10 * np.arange(1280) / 128) + 100
    powers = band_power(x, 128, "standard", log=False)
    np.testing.assert_allclose(powers, [0, 0, 18, 0, 0], atol=1e-9)
    np.testing.assert_allclose(band_power(x, 128, log=False, relative=True), [0, 0, 1, 0, 0], atol=1e-9)


def test_shares_of_adjoining_bands_add_up_to_one(rng):
    x = rng.normal(size=(20, 512)).astype(np.float32)
    shares = band_power(x, 128, BANDS, log=False, relative=True)
    assert shares.dtype == np.float32
    np.testing.assert_allclose(shares.sum(-1), 1, rtol=1e-5)


@given(st.floats(0.01, 100), st.floats(-1000, 1000), st.integers(1, 11), st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_scale_shift_permutation_and_batch_split(scale, shift, split, seed):
    x = np.random.default_rng(seed).normal(size=(12, 256))
    powers = band_power(x, 128, BANDS)
    np.testing.assert_allclose(band_power(scale * x + shift, 128, BANDS), powers + 2 * np.log(scale), atol=1e-6)
    np.testing.assert_array_equal(band_power(x[::-1], 128, BANDS), powers[::-1])
    parts = np.concatenate([band_power(x[:split], 128, BANDS), band_power(x[split:], 128, BANDS)])
    np.testing.assert_allclose(parts, powers, rtol=1e-12)


def test_rows_beyond_one_chunk_are_the_same_as_row_by_row(rng):
    x = rng.normal(size=(300, 1000))
    each = np.stack([band_power(row, 128, BANDS) for row in x])
    np.testing.assert_allclose(band_power(x, 128, BANDS), each, rtol=1e-9)


def test_missing_samples_and_flat_signals_give_nan_not_a_number(rng):
    x = rng.normal(size=(3, 256))
    x[0, 10] = np.nan
    x[1] = 5.0
    powers = bandpower(x, 128, BANDS, ("absolute", "relative", "log_relative"))
    assert np.isnan(powers[:2]).all()
    assert np.isfinite(powers[2]).all()


def test_kinds_follow_one_another_each_with_all_bands(rng):
    x = rng.normal(size=(4, 256))
    powers = bandpower(x, 128, BANDS, ("absolute", "relative"))
    np.testing.assert_array_equal(powers[:, :5], band_power(x, 128, BANDS))
    np.testing.assert_array_equal(powers[:, 5:], band_power(x, 128, BANDS, log=False, relative=True))
    np.testing.assert_array_equal(
        bandpower(x, 128, BANDS, ("log_relative",)), band_power(x, 128, BANDS, log=True, relative=True)
    )


def test_bands_are_named_sets_mappings_or_pairs():
    assert list(resolve_bands("standard")) == ["delta", "theta", "alpha", "beta", "gamma"]
    assert resolve_bands([[1, 4], [4.5, 8]]) == {"1-4": (1, 4), "4.5-8": (4.5, 8)}
    with pytest.raises(DataError, match="Did you mean 'standard'"):
        resolve_bands("standart")
    for wrong in ([[4, 1]], [4], {"alpha": [8]}, {"alpha": "8-13"}, {}):
        with pytest.raises(DataError, match="band"):
            resolve_bands(wrong)


def test_a_band_that_the_signal_cannot_resolve_is_refused_by_name():
    with pytest.raises(DataError, match=r"theta \(4 to 4.5 Hz\) holds no bin: 100 samples at 128 Hz resolve 1.28 Hz"):
        band_power(np.zeros(100), 128, {"theta": (4, 4.5)})
    with pytest.raises(DataError, match=r"gamma .* reaches above half the sampling rate of 64 Hz"):
        band_power(np.zeros(1000), 64, BANDS)
    with pytest.raises(DataError, match="at least 2 samples"):
        band_power(np.zeros(1), 64, BANDS)
