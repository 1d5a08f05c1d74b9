"""Differential entropy agrees with its definitions, one row and one band at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from limbeck.errors import DataError, StudyError
from limbeck.signals import differential_entropy, parse_steps, resolve_bands

BANDS = {"theta": (4, 8), "alpha": (8, 14), "beta": (14, 31), "gamma": (31, 49)}


def of_variance(variance: float) -> float:
    return 0.5 * np.log(2 * np.pi * np.e * variance)


def naive_parseval(row: np.ndarray, rate: float, low: float, high: float) -> float:
    """A band's variance is the mean square of the signal made of its lines alone."""
    n = len(row)
    lines = np.fft.fft(row - row.mean())
    frequencies = np.abs(np.fft.fftfreq(n, 1 / rate))
    lines[~((frequencies >= low) & (frequencies < high))] = 0
    return of_variance(np.mean(np.fft.ifft(lines).real ** 2))


@pytest.mark.parametrize("rate", [128, 250.5])
def test_the_parseval_form_is_the_entropy_of_the_bands_variance(rate, rng):
    x = rng.normal(3, 2, size=(2, 3, 400))
    expected = [[[naive_parseval(row, rate, *edges) for edges in BANDS.values()] for row in rows] for rows in x]
    np.testing.assert_allclose(differential_entropy(x, rate, BANDS), expected, rtol=1e-9)


@pytest.mark.parametrize("order", [2, 5])
def test_the_variance_form_is_that_of_one_causal_filter_per_row_and_band(order, rng):
    x = rng.normal(size=(6, 4, 128))
    ours = differential_entropy(x, 128, BANDS, form="variance", order=order)
    for column, edges in enumerate(BANDS.values()):
        sections = signal.butter(order, edges, btype="bandpass", fs=128, output="sos")
        for place in np.ndindex(6, 4):
            expected = of_variance(np.var(signal.sosfilt(sections, x[place])))
            np.testing.assert_allclose(ours[(*place, column)], expected, rtol=1e-9)


def test_in_bits_it_is_what_a_transfer_function_gives_as_far_as_that_is_right(rng):
    # TorchEEG's BandDifferentialEntropy: order 5, bits; its transfer function is right to seven digits here
    x = rng.normal(size=(6, 128))
    expected = np.empty((6, len(BANDS)))
    for column, (low, high) in enumerate(BANDS.values()):
        b, a = signal.butter(5, [low / 64, high / 64], btype="band")
        expected[:, column] = [np.log2(2 * np.pi * np.e * np.var(signal.lfilter(b, a, row))) / 2 for row in x]
    ours = differential_entropy(x, 128, BANDS, form="variance", unit="bits")
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_the_variance_form_without_shift_filters_both_ways(rng):
    x = rng.normal(size=(3, 512))
    ours = differential_entropy(x, 256, BANDS, form="variance", causal=False)
    for column, edges in enumerate(BANDS.values()):
        filtered = signal.sosfiltfilt(signal.butter(5, edges, btype="bandpass", fs=256, output="sos"), x)
        np.testing.assert_allclose(ours[:, column], of_variance(filtered.var(axis=-1)), rtol=1e-9)


@pytest.mark.parametrize("form", ["parseval", "variance"])
def test_white_noise_has_the_entropy_of_its_share_in_the_band(form, rng):
    x = 2 * rng.normal(size=(40, 128 * 60))
    entropy = differential_entropy(x, 128, BANDS, form=form).mean(axis=0)
    expected = [of_variance(4 * (high - low) / 64) for low, high in BANDS.values()]
    np.testing.assert_allclose(entropy, expected, atol=0.02)


@given(st.floats(0.01, 100), st.integers(1, 11), st.sampled_from(["parseval", "variance"]), st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_scale_permutation_and_batch_split(scale, split, form, seed):
    x = np.random.default_rng(seed).normal(size=(12, 128))
    entropy = differential_entropy(x, 128, BANDS, form=form)
    np.testing.assert_allclose(
        differential_entropy(-scale * x, 128, BANDS, form=form), entropy + np.log(scale), atol=1e-9
    )
    np.testing.assert_allclose(differential_entropy(x[::-1], 128, BANDS, form=form), entropy[::-1], rtol=1e-12)
    parts = [differential_entropy(part, 128, BANDS, form=form) for part in (x[:split], x[split:])]
    np.testing.assert_allclose(np.concatenate(parts), entropy, rtol=1e-12)


@given(st.floats(-1000, 1000))
@settings(max_examples=25, deadline=None)
def test_a_level_changes_nothing_in_the_parseval_form(level):
    x = np.random.default_rng(0).normal(size=(3, 256))
    np.testing.assert_allclose(
        differential_entropy(x + level, 128, BANDS), differential_entropy(x, 128, BANDS), atol=1e-9
    )


@pytest.mark.parametrize("options", [{}, {"form": "variance"}, {"form": "variance", "causal": False}])
def test_missing_samples_and_constants_give_nan_in_their_row_only(options, rng):
    x = rng.normal(size=(5, 256))
    bad = x.copy()
    bad[0, 255] = np.nan
    bad[2] = 0.1
    bad[3, 7] = -np.inf
    entropy, clean = (differential_entropy(each, 128, BANDS, **options) for each in (bad, x))
    assert np.isnan(entropy[[0, 2, 3]]).all()
    np.testing.assert_array_equal(entropy[[1, 4]], clean[[1, 4]])


def test_bits_are_nats_in_another_unit(rng):
    x = rng.normal(size=(2, 256))
    np.testing.assert_allclose(
        differential_entropy(x, 128, unit="bits") * np.log(2), differential_entropy(x, 128), rtol=1e-12
    )


@pytest.mark.parametrize("form", ["parseval", "variance"])
def test_single_precision_comes_back_single_and_is_computed_in_double(form, rng):
    x = rng.normal(size=(900, 256)).astype(np.float32)
    entropy = differential_entropy(x, 128, BANDS, form=form)
    assert entropy.dtype == np.float32
    np.testing.assert_allclose(entropy, differential_entropy(x.astype(np.float64), 128, BANDS, form=form), rtol=1e-6)


def test_narrow_bands_at_high_rates_stay_right(rng):
    x = rng.normal(size=(50, 8000))
    variance = np.exp(2 * differential_entropy(x, 1000, [[1, 4]], form="variance")) / (2 * np.pi * np.e)
    np.testing.assert_allclose(variance.mean(), 3 / 500, rtol=0.1)
    # where a transfer function of order ten has lost all its digits
    b, a = signal.butter(5, [1 / 500, 4 / 500], btype="band")
    assert not np.var(signal.lfilter(b, a, x[0])) < 1


def test_what_cannot_be_computed_is_refused(rng):
    x = rng.normal(size=(2, 128))
    with pytest.raises(DataError, match=r"gamma \(31 to 49 Hz\) reaches above half"):
        differential_entropy(x, 64, BANDS)
    with pytest.raises(DataError, match=r"gamma \(31 to 49 Hz\) cannot be filtered"):
        differential_entropy(x, 64, BANDS, form="variance")
    with pytest.raises(DataError, match="cannot be filtered"):
        differential_entropy(x, 128, [[0, 4]], form="variance")
    with pytest.raises(DataError, match="needs at least 34 samples; found 20"):
        differential_entropy(x[:, :20], 128, BANDS, form="variance", causal=False)
    with pytest.raises(DataError, match="Did you mean 'variance'"):
        differential_entropy(x, 128, BANDS, form="varianz")
    with pytest.raises(DataError, match="At least 2 samples"):
        differential_entropy(x[:, :1], 128, BANDS)


def test_a_study_names_it_de_and_hears_its_mistakes():
    step = parse_steps([{"features": [{"de": {"bands": "fear", "form": "variance"}}]}], modality="eeg").features[0]
    assert step.kind.columns(**step.parameters) == tuple(resolve_bands("fear"))
    with pytest.raises(StudyError, match="no unit 'bit'"):
        parse_steps([{"features": [{"de": {"unit": "bit"}}]}], modality="eeg")


@pytest.mark.parametrize("order", [0, -1, 2.5, "4", 101])
def test_an_order_that_is_none_is_refused(order, rng):
    with pytest.raises(DataError, match="Order must be a whole number from 1 to 100"):
        differential_entropy(rng.normal(size=(2, 512)), 128, form="variance", order=order)
