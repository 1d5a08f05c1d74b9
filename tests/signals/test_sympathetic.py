"""Indices of sympathetic arousal: amplitudes of sines, derivatives of polynomials, shares of power."""

import warnings

import neurokit2 as nk
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import DataError
from limbeck.signals import decompose, sympathetic_amplitude, tvsymp
from limbeck.signals.sympathetic import _KINDS, _above_preceding, _five_point_derivative

ALL = tuple(_KINDS)


def named(x: np.ndarray, rate: float, **options: object) -> dict[str, float]:
    return dict(zip(ALL, tvsymp(x, rate, ALL, **options), strict=True))


@pytest.mark.parametrize("rate", [1, 4, 32, 512])
@pytest.mark.parametrize("frequency", [0.1, 0.15, 0.2])
def test_the_amplitude_of_a_sine_in_the_band_is_its_own(rate, frequency):
    times = np.arange(int(60 * rate)) / rate
    x = 3 + 0.05 * times + 0.7 * np.sin(2 * np.pi * frequency * times)
    amplitude = sympathetic_amplitude(x, rate, normalise=False)
    assert amplitude.shape == (240,)
    np.testing.assert_allclose(amplitude[60:180], 0.7, rtol=0.25)
    assert amplitude.mean() == pytest.approx(0.7, rel=0.1)
    # of unit variance, a sine has an amplitude of the root of two
    assert sympathetic_amplitude(x, rate).mean() == pytest.approx(np.sqrt(2), rel=0.1)


@pytest.mark.parametrize(
    ("seconds", "frequency", "least", "most"),
    [
        (60, 0.09, 0.88, 1.0),
        (60, 0.23, 0.88, 1.0),
        (60, 0.085, 0.74, 1.0),
        (60, 0.08, 0.36, 0.93),
        (60, 0.24, 0.13, 0.8),
        (20, 0.11, 0.8, 1.0),
        (20, 0.22, 0.8, 1.0),
        (20, 0.08, 0.12, 0.69),
        (20, 0.24, 0.27, 0.91),
    ],
)
def test_near_the_edges_of_the_band_it_keeps_as_much_as_is_said(seconds, frequency, least, most):
    times = np.arange(4 * seconds) / 4
    sines = np.sin(2 * np.pi * frequency * times + np.arange(16)[:, np.newaxis] * np.pi / 8)
    kept = sympathetic_amplitude(sines, 4, normalise=False).mean(axis=-1)
    assert least <= kept.min() <= least + 0.03
    assert most - 0.05 <= kept.max() <= most


def test_what_is_slower_or_faster_than_the_band_is_left_out():
    times = np.arange(400) / 4
    for frequency in (0.01, 0.02, 0.03, 0.5):
        x = np.sin(2 * np.pi * frequency * times)
        assert sympathetic_amplitude(x, 4, normalise=False).mean() < 0.04, frequency
    for frequency in (0.08, 0.24):  # both edges belong to it; mirrored cosines keep to one bin
        x = np.cos(2 * np.pi * frequency * (times + 1 / 8))
        assert sympathetic_amplitude(x, 4, normalise=False).mean() > 0.99


def test_amplitude_follows_a_burst_in_time():
    times = np.arange(480) / 4
    burst = np.exp(-0.5 * ((times - 40) / 8) ** 2)
    amplitude = sympathetic_amplitude(burst * np.sin(2 * np.pi * 0.16 * times), 4, normalise=False)
    assert abs(amplitude.argmax() / 4 - 40) < 1.5
    assert amplitude[300:].max() < 0.1


def test_it_agrees_with_the_analytic_signal_by_definition(rng):
    """Fourier sums one by one: the band's part of the mirrored row less its line, and its Hilbert transform."""
    x = rng.normal(size=200).cumsum()
    times = np.arange(200) / 4
    y = x - np.polyval(np.polyfit(times, x, 1), times)
    y = np.concatenate([y, y[::-1]])
    real, imaginary = np.zeros(400), np.zeros(400)
    for k in range(201):
        if 0.08 - 1e-9 <= k * 4 / 400 <= 0.24 + 1e-9:
            angle = 2 * np.pi * k * np.arange(400) / 400
            a, b = 2 * (y * np.cos(angle)).mean(), 2 * (y * np.sin(angle)).mean()
            real += a * np.cos(angle) + b * np.sin(angle)
            imaginary += a * np.sin(angle) - b * np.cos(angle)
    expected = np.hypot(real, imaginary)[:200]
    np.testing.assert_allclose(sympathetic_amplitude(x, 4, normalise=False), expected, rtol=1e-9)
    np.testing.assert_allclose(sympathetic_amplitude(x, 4), expected / real[:200].std(), rtol=1e-9)


def test_the_modified_form_counts_only_what_exceeds_the_mean_before(rng):
    amplitude = rng.uniform(size=(2, 60))
    expected = [[max(0, row[i] - row[i - 20 : i].mean()) for i in range(20, 60)] for row in amplitude]
    np.testing.assert_allclose(_above_preceding(amplitude, 20), expected, atol=1e-12)
    assert np.isnan(_above_preceding(amplitude[:, :20], 20)).all()


def test_the_five_point_derivative_is_exact_for_polynomials_of_degree_four():
    times = np.arange(40) / 8
    x = times**4 - 3 * times**2 + times
    np.testing.assert_allclose(_five_point_derivative(x[np.newaxis], 8)[0], (4 * times**3 - 6 * times + 1)[2:-2])


def test_kinds_are_the_statistics_of_the_series(rng):
    x = rng.normal(size=240).cumsum()
    values = named(x, 4)
    amplitude = sympathetic_amplitude(x, 4, normalise=False)
    derivative = _five_point_derivative(decompose(x, 4)[1][np.newaxis], 4)[0]
    for name, series in {
        "tvsymp": amplitude,
        "mtvsymp": _above_preceding(amplitude[np.newaxis], 20)[0],
        "dpheda": derivative,
    }.items():
        for statistic in ("mean", "max"):
            assert values[f"{name}_{statistic}"] == pytest.approx(getattr(series, statistic)(), abs=1e-12)
        assert values[f"{name}_sd"] == pytest.approx(series.std(), abs=1e-12)


def test_edasymp_is_the_power_of_the_band_and_its_share():
    times = np.arange(4 * 256) / 4
    x = 5 + 0.6 * np.sin(2 * np.pi * 0.125 * times) + 0.3 * np.sin(2 * np.pi * 0.5 * times)
    values = named(x, 4)
    assert values["edasymp"] == pytest.approx(0.18, rel=0.01)
    assert values["edasymp_share"] == pytest.approx(0.18 / 0.225, rel=0.01)


def test_edasymp_is_near_that_of_neurokit2():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = nk.eda_simulate(duration=300, sampling_rate=8, scr_number=25, noise=0, random_state=2)
        expected = nk.eda_sympathetic(x, sampling_rate=8, method="posada", show=False)["EDA_Sympathetic"]
    assert named(x, 8)["edasymp"] == pytest.approx(expected, rel=0.25)


def test_windows_that_hold_no_cycle_are_missing_and_longer_ones_are_not(rng):
    for seconds, finite in {
        2: set(),
        5: {"dpheda"},
        12: {"dpheda"},
        13: {"dpheda", "tvsymp", "mtvsymp"},
        30: {"dpheda", "tvsymp", "mtvsymp", "edasymp"},
    }.items():
        values = named(rng.normal(size=4 * seconds).cumsum(), 4)
        assert {kind.split("_")[0] for kind in ALL if np.isfinite(values[kind])} == finite, seconds


def test_a_constant_has_no_arousal_and_no_shape():
    values = named(np.full(240, 0.1), 4)
    for kind in ("tvsymp_mean", "tvsymp_max", "mtvsymp_max", "dpheda_max", "dpheda_sd", "edasymp"):
        assert values[kind] == 0, kind
    assert np.isnan(values["edasymp_share"])
    assert np.isnan(named(np.full(240, 0.1), 4, normalise=True)["tvsymp_mean"])


@pytest.mark.parametrize("rate", [4, 64])
def test_a_bad_row_is_missing_and_leaves_the_others_as_they_are(rate, rng):
    x = rng.normal(size=(4, 60 * rate)).cumsum(axis=-1).astype(np.float32)
    before = tvsymp(x, rate, ALL)
    x[1, 7], x[3] = np.nan, np.inf
    after = tvsymp(x, rate, ALL)
    assert np.isnan(after[[1, 3]]).all()
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])


@given(st.integers(0, 10_000), st.integers(1, 4), st.floats(0.1, 10), st.floats(-5, 5))
@settings(max_examples=25, deadline=None)
def test_batch_split_permutation_scale_and_shift(seed, split, scale, shift):
    x = np.random.default_rng(seed).normal(size=(5, 160)).cumsum(axis=-1)
    values = tvsymp(x, 4, ALL)
    np.testing.assert_allclose(tvsymp(x[::-1], 4, ALL), values[::-1], rtol=1e-9)
    parts = np.concatenate([tvsymp(x[:split], 4, ALL), tvsymp(x[split:], 4, ALL)])
    np.testing.assert_allclose(parts, values, rtol=1e-9)
    scaled = tvsymp(scale * x + shift, 4, ALL)
    factors = np.array([1 if kind == "edasymp_share" else scale**2 if kind == "edasymp" else scale for kind in ALL])
    np.testing.assert_allclose(scaled, values * factors, rtol=1e-6, atol=1e-8)


def test_unknown_kinds_are_refused():
    with pytest.raises(DataError, match="Did you mean 'tvsymp_mean'"):
        tvsymp(np.zeros(240), 4, ("tvsym_mean",))
    with pytest.raises(DataError, match=r"number of at least 2 Hz, .* found nan"):
        tvsymp(np.zeros(240), 4, decimate_to=np.nan)
