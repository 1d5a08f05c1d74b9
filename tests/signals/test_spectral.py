"""Band power agrees with a naive reference and with scipy, and keeps its properties."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, signal

from limbeck.errors import DataError, StudyError
from limbeck.signals import (
    BAND_SETS,
    FEATURES,
    band_power,
    bandpower,
    parse_steps,
    power_spectrum,
    resolve_bands,
    spectrum,
)

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
    with pytest.raises(DataError, match="At least 2 samples"):
        band_power(np.zeros(1), 64, BANDS)


def naive_welch(row: np.ndarray, rate: float, length: int, step: int) -> np.ndarray:
    """Hann-tapered, mean-removed segments one after another; the density of each bin."""
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    densities = []
    for first in range(0, len(row) - length + 1, step):
        part = row[first : first + length]
        squares = np.abs(np.fft.fft((part - part.mean()) * taper)[: length // 2 + 1]) ** 2
        squares[1 : (length + 1) // 2] *= 2
        densities.append(squares / (rate * np.sum(taper**2)))
    return np.mean(densities, axis=0)


@pytest.mark.parametrize(("rate", "segment", "overlap"), [(128, 1.0, 0.5), (250.5, 0.7, 0.3), (4, 30.0, 0.0)])
def test_welch_agrees_with_a_loop_over_segments(rate, segment, overlap, rng):
    x = rng.normal(2, 3, size=(2, 3, round(90 * rate)))
    length = round(segment * rate)
    frequencies, density = power_spectrum(x, rate, method="welch", segment=segment, overlap=overlap)
    np.testing.assert_allclose(frequencies, np.arange(length // 2 + 1) * rate / length)
    expected = [[naive_welch(row, rate, length, length - int(length * overlap)) for row in rows] for rows in x]
    np.testing.assert_allclose(density, expected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("taper", ["hann", "hamming", "boxcar"])
@pytest.mark.parametrize("rate", [64, 500, 2048])
def test_power_spectrum_agrees_with_scipy(rate, taper, rng):
    x = rng.normal(size=(3, 5 * rate + 1)) * 1e-3
    periodogram = signal.periodogram(x, rate, window=taper, detrend="constant")
    welch = signal.welch(x, rate, window=taper, nperseg=2 * rate, noverlap=rate)
    for ours, theirs in (
        (power_spectrum(x, rate, taper=taper), periodogram),
        (power_spectrum(x, rate, taper=taper, method="welch", segment=2), welch),
    ):
        np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-12)
        np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-9, atol=1e-20)


def test_band_power_by_welch_agrees_with_mne_integrated_over_the_bands(rng):
    from mne.time_frequency import psd_array_welch

    x = np.cumsum(rng.normal(size=(6, 30 * 256)), axis=-1) * 1e-6
    for taper, overlap in (("hann", 0.5), ("hamming", 0.25)):
        density, frequencies = psd_array_welch(
            x, 256, fmin=0, n_fft=512, n_per_seg=512, n_overlap=int(512 * overlap), window=taper, verbose="error"
        )
        expected = [density[:, (frequencies >= a) & (frequencies < b)].sum(-1) * 0.5 for a, b in BANDS.values()]
        ours = band_power(x, 256, BANDS, log=False, method="welch", segment=2, overlap=overlap, taper=taper)
        np.testing.assert_allclose(ours, np.stack(expected, -1), rtol=1e-6)


@pytest.mark.parametrize("bands", ["zhang2022", "zhang2022_code"])
def test_shares_by_simpson_of_one_second_segments_count_shared_edges_twice(bands, rng):
    x = rng.normal(size=(4, 512))
    frequencies, density = signal.welch(x, 256, nperseg=256)
    whole = integrate.simpson(density, dx=1.0)
    expected = []
    for low, high in BAND_SETS[bands].values():
        inside = (frequencies >= low) & (frequencies <= high)
        expected.append(integrate.simpson(density[:, inside], dx=1.0) / whole)
    shares = band_power(x, 256, bands, log=False, relative=True, method="welch", integral="simpson", total="spectrum")
    np.testing.assert_allclose(shares, np.stack(expected, -1), rtol=1e-9)


def test_simpson_is_exact_where_the_density_is_even():
    # an impulse has the same density everywhere, so that a band's power is that density times the band's width
    x = np.zeros(1000)
    x[500] = 1.0
    level = power_spectrum(x, 100, taper="boxcar")[1][500 // 2]
    powers = band_power(x, 100, [[1, 4], [4, 8], [8, 9]], log=False, taper="boxcar", integral="simpson")
    np.testing.assert_allclose(powers, level * np.array([3, 4, 1]), rtol=1e-9)


def test_amplitude_is_the_sum_of_moduli_of_the_plain_transform(rng):
    x = rng.normal(5, 1, size=(3, 255))
    amplitudes = bandpower(x, 128, "fear", ("amplitude",))
    edges = [int(np.floor(edge / 128 * 255)) for edge in (4, 8, 12, 16, 25, 45)]
    moduli = np.abs(np.fft.fft(x))
    expected = [moduli[:, a:b].sum(-1) for a, b in pairwise(edges)]
    np.testing.assert_allclose(amplitudes, np.stack(expected, -1), rtol=1e-10)
    level = bandpower(x, 128, [[0, 0.6]], ("amplitude",))[:, 0]
    np.testing.assert_allclose(level, moduli[:, 0], rtol=1e-10)


def test_amplitude_grows_with_the_signal_not_with_its_square_and_is_zero_for_a_constant(rng):
    x = rng.normal(size=(2, 256))
    amplitude = bandpower(x, 128, "fear", ("amplitude",))
    np.testing.assert_allclose(bandpower(-3 * x + 7, 128, "fear", ("amplitude",)), 3 * amplitude, rtol=1e-9)
    np.testing.assert_array_equal(bandpower(np.full(256, 0.1), 128, "fear", ("amplitude",)), np.zeros(5))


def test_kinds_from_squares_and_from_moduli_stand_side_by_side(rng):
    x = rng.normal(size=(2, 256))
    both = bandpower(x, 128, "fear", ("amplitude", "relative"))
    np.testing.assert_array_equal(both[:, :5], bandpower(x, 128, "fear", ("amplitude",)))
    np.testing.assert_array_equal(both[:, 5:], bandpower(x, 128, "fear", ("relative",)))
    kind = FEATURES["bandpower"]
    parameters = parse_steps([{"features": [{"bandpower": ["fear", ["amplitude"]]}]}], modality="eeg").features[0]
    assert kind.columns(**parameters.parameters) == (
        "theta_amplitude",
        "alpha_amplitude",
        "beta1_amplitude",
        "beta2_amplitude",
        "gamma_amplitude",
    )


@given(st.floats(0.01, 100), st.floats(-1000, 1000), st.integers(1, 11), st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_welch_keeps_scale_shift_permutation_and_batch_split(scale, shift, split, seed):
    x = np.random.default_rng(seed).normal(size=(12, 256))
    options = {"method": "welch", "segment": 0.75, "integral": "simpson", "taper": "hamming"}
    powers = band_power(x, 128, BANDS, **options)
    scaled = band_power(scale * x + shift, 128, BANDS, **options)
    np.testing.assert_allclose(scaled, powers + 2 * np.log(scale), atol=1e-6)
    np.testing.assert_allclose(band_power(x[::-1], 128, BANDS, **options), powers[::-1], rtol=1e-12)
    parts = [band_power(part, 128, BANDS, **options) for part in (x[:split], x[split:])]
    np.testing.assert_allclose(np.concatenate(parts), powers, rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"method": "welch", "segment": 0.7}, {"method": "welch", "segment": 2.3}])
def test_one_bad_row_leaves_the_others_as_they_are(options, rng):
    x = rng.normal(size=(5, 300))
    bad = x.copy()
    bad[1, 299] = np.nan  # behind the last whole segment
    bad[3, 0] = np.inf
    kinds = ("absolute", "relative", "amplitude")
    powers, clean = (bandpower(each, 128, BANDS, kinds, **options) for each in (bad, x))
    assert np.isnan(powers[[1, 3]]).all()
    np.testing.assert_array_equal(powers[[0, 2, 4]], clean[[0, 2, 4]])
    shapes, clean = (spectrum(each, 128, **options) for each in (bad, x))
    assert np.isnan(shapes[[1, 3]]).all()
    np.testing.assert_array_equal(shapes[[0, 2, 4]], clean[[0, 2, 4]])


@pytest.mark.parametrize("level", [0.0, 0.1, 1e6 / 3, -33.3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_makes_no_power_of_a_constant(level, dtype):
    x = np.full((2, 1000), level, dtype=dtype)
    assert np.isnan(band_power(x, 100, BANDS)).all()
    np.testing.assert_array_equal(band_power(x, 100, BANDS, log=False, method="welch"), np.zeros((2, 5)))
    shape = spectrum(x, 100, ("entropy", "edge", "peak", "mean", "median", "power"))
    np.testing.assert_array_equal(shape, [[np.nan] * 5 + [0.0]] * 2)


def test_single_precision_comes_back_single_and_is_computed_in_double(rng):
    x = (rng.normal(size=(3, 640)) + 1e4).astype(np.float32)
    powers = band_power(x, 128, BANDS, log=False)
    assert powers.dtype == np.float32
    np.testing.assert_allclose(powers, band_power(x.astype(np.float64), 128, BANDS, log=False), rtol=1e-6)
    assert power_spectrum(x, 128)[1].dtype == np.float32


@pytest.mark.parametrize("taper", ["hann", "hamming", "boxcar"])
@pytest.mark.parametrize("options", [{}, {"method": "welch"}])
@pytest.mark.parametrize("samples", [255, 256])
def test_a_large_level_hides_nothing(taper, options, samples, rng):
    x = np.round(rng.normal(size=(6, samples)), 9)
    bands = {"lowest": (0, 1.5), **BANDS}
    powers, raised = (band_power(each, 128, bands, log=False, taper=taper, **options) for each in (x, x + 1e4))
    np.testing.assert_allclose(raised, powers, rtol=1e-9)


def test_rows_that_are_constant_in_part_have_the_power_of_their_other_segments(rng):
    x = rng.normal(size=(2, 512)) + 40
    x[1, :256] = x[0, 0]
    options = {"log": False, "method": "welch", "overlap": 0.0}
    whole, half = band_power(x, 128, BANDS, **options)[1], band_power(x[1, 256:], 128, BANDS, **options)
    np.testing.assert_allclose(whole, half / 2, rtol=1e-12)


def test_the_spectrum_of_a_sine_is_one_line_and_that_of_an_impulse_is_even():
    times = np.arange(1280) / 128
    line = spectrum(3 * np.sin(2 * np.pi * 10 * times), 128, low=1, high=60, taper="boxcar")
    np.testing.assert_allclose(line, [0, 10, 10, 10, 10], atol=1e-9)
    impulse = np.zeros(1280)
    impulse[0] = 1.0
    entropy, edge, _, mean, median = spectrum(impulse, 128, low=10, high=50, taper="boxcar")
    np.testing.assert_allclose([entropy, edge, mean, median], [1, 47.9, 29.95, 29.9], atol=1e-9)


def test_shapes_agree_with_their_definitions(rng):
    x = np.cumsum(rng.normal(size=(4, 2048)), axis=-1)
    kinds = ("entropy", "edge", "peak", "mean", "median", "power")
    shapes = spectrum(x, 1000, kinds, low=2, high=200, share=0.9, method="welch", segment=1.0)
    frequencies, density = signal.welch(x, 1000, nperseg=1000)
    inside = (frequencies >= 2) & (frequencies < 200)
    frequencies, density = frequencies[inside], density[:, inside]
    for row, shape in zip(density, shapes, strict=True):
        share = row / row.sum()
        expected = [
            -sum(p * np.log(p) for p in share) / np.log(len(share)),
            next(f for f, reached in zip(frequencies, np.cumsum(share), strict=True) if reached >= 0.9),
            frequencies[np.argmax(row)],
            sum(frequencies * share),
            next(f for f, reached in zip(frequencies, np.cumsum(share), strict=True) if reached >= 0.5),
            row.sum() * 1.0,
        ]
        np.testing.assert_allclose(shape, expected, rtol=1e-9)


def test_shapes_do_not_depend_on_scale_or_level(rng):
    x = rng.normal(size=(4, 512))
    np.testing.assert_allclose(spectrum(1e-3 * x + 5, 512), spectrum(x, 512), rtol=1e-6)


def test_wrong_ways_to_take_a_spectrum_are_refused_by_name(rng):
    x = rng.normal(size=(2, 256))
    for options, message in (
        ({"method": "welsh"}, "Did you mean 'welch'"),
        ({"taper": "hanning"}, "no taper 'hanning'"),
        ({"integral": "trapezoid"}, "no integral"),
        ({"total": "all"}, "no total"),
        ({"method": "welch", "segment": 3.0}, "segment of 3 s has 384 samples at 128 Hz and the signal 256"),
        ({"method": "welch", "overlap": 1.0}, "overlap"),
        ({"method": "welch", "segment": 0.0}, "Segment must be above 0"),
        ({"integral": "simpson", "bands": [[8.1, 8.6]]}, "holds one bin only"),
    ):
        with pytest.raises(DataError, match=message):
            band_power(x, 128, **options)
    with pytest.raises(DataError, match=r"between 8 and 8\.5 Hz"):
        spectrum(x, 128, low=8, high=8.5)
    with pytest.raises(DataError, match="reaches above half"):
        spectrum(x, 128, high=65)
    with pytest.raises(DataError, match="reaches above half"):
        bandpower(x, 64, "fear", ("amplitude",))
    with pytest.raises(DataError, match="no kind 'amplitud'"):
        bandpower(x, 128, "fear", ("amplitud",))
    with pytest.raises(StudyError) as caught:
        parse_steps([{"features": [{"bandpower": {"method": "welsh"}}, {"spectrum": {"share": 2}}]}], modality="eeg")
    assert any("Did you mean 'welch'" in mistake for mistake in caught.value.mistakes)
    assert any("share must lie between 0 and 1" in mistake for mistake in caught.value.mistakes)
