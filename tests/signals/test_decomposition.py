"""Level and responses of skin conductance: neurokit2's filters, a running median, and what every method keeps."""

import time
import warnings

import neurokit2 as nk
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from limbeck.errors import DataError, StudyError
from limbeck.signals import decompose, parse_steps, phasic, resample, tonic
from limbeck.signals.decomposition import DECOMPOSITIONS


def simulated(rate: int, seconds: int = 60, seed: int = 0, count: int = 5) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(
            nk.eda_simulate(duration=seconds, sampling_rate=rate, scr_number=count, noise=0.01, random_state=seed)
        )


@pytest.mark.parametrize("rate", [4, 8, 100, 512])
def test_highpass_is_that_of_neurokit2(rate):
    x = np.stack([simulated(rate, seed=seed) for seed in range(2)])
    level, responses = decompose(x, rate)
    for row in range(2):
        expected = nk.eda_phasic(x[row], sampling_rate=rate, method="highpass")
        np.testing.assert_allclose(level[row], expected["EDA_Tonic"], atol=1e-8)
        np.testing.assert_allclose(responses[row], expected["EDA_Phasic"], atol=1e-8)


@pytest.mark.parametrize("rate", [4, 32])
def test_median_is_that_of_neurokit2_away_from_the_ends(rate):
    x = simulated(rate)
    level, responses = decompose(x, rate, "median")
    expected = nk.eda_phasic(x, sampling_rate=rate, method="smoothmedian")
    inner = slice(2 * rate, -2 * rate)
    np.testing.assert_array_equal(level[inner], expected["EDA_Tonic"].to_numpy()[inner])
    np.testing.assert_allclose(level + responses, x, rtol=1e-12)
    np.testing.assert_array_equal(level, ndimage.median_filter(x, size=4 * rate + 1, mode="reflect"))


def test_the_causal_median_is_that_of_the_last_seconds(rng):
    x = rng.normal(size=(3, 50))
    level = tonic(x, 2, "median", causal=True)
    for at in range(50):
        last = np.concatenate([np.repeat(x[:, :1], max(0, 8 - at), axis=1), x[:, max(0, at - 8) : at + 1]], axis=1)
        np.testing.assert_array_equal(level[:, at], np.median(last, axis=1))


def test_cvxeda_is_solved_at_the_lower_rate_and_brought_back():
    x = simulated(64)
    fine, coarse = decompose(x, 64, "cvxeda"), decompose(x, 64, "cvxeda", decimate_to=4)
    assert fine[1].shape == x.shape
    assert np.abs(fine[0] + fine[1] - x).mean() < 0.1 * x.std()
    assert np.corrcoef(fine[1], coarse[1])[0, 1] > 0.95
    at_eight = decompose(x, 64, "cvxeda", decimate_to=8)[1][::8]
    np.testing.assert_allclose(at_eight, decompose(resample(x, 64, 8), 8, "cvxeda")[1], atol=1e-9)


@pytest.mark.parametrize(("method", "kept"), [("highpass", 0.48), ("median", 0.142), ("cvxeda", 0.50)])
def test_a_response_keeps_as_much_of_its_height_as_is_said(method, kept):
    times = np.arange(60 * 16) / 16
    since = np.maximum(times[:, np.newaxis] - [10, 25, 42], 0)
    response = np.exp(-since / 2) - np.exp(-since / 0.7)
    responses = decompose(2 + (0.5 * response / response[:, 0].max()).sum(axis=-1), 16, method)[1]
    amplitude = responses[400:500].max() - responses[390:400].min()
    assert amplitude == pytest.approx(kept, abs=0.01)


@pytest.mark.parametrize("method", DECOMPOSITIONS)
@given(scale=st.floats(0.01, 100), shift=st.floats(-100, 100), split=st.integers(1, 4), seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_scale_shift_permutation_and_batch_split(method, scale, shift, split, seed):
    x = np.random.default_rng(seed).normal(size=(5, 60)).cumsum(axis=-1)
    level, responses = decompose(x, 4, method)
    other_level, other_responses = decompose(scale * x + shift, 4, method)
    np.testing.assert_allclose(other_level, scale * level + shift, rtol=1e-3, atol=1e-3 * scale)
    np.testing.assert_allclose(other_responses, scale * responses, rtol=1e-3, atol=1e-3 * scale)
    np.testing.assert_array_equal(decompose(x[::-1], 4, method)[1], responses[::-1])
    parts = np.concatenate([decompose(x[:split], 4, method)[1], decompose(x[split:], 4, method)[1]])
    np.testing.assert_array_equal(parts, responses)


@pytest.mark.parametrize("method", DECOMPOSITIONS)
def test_a_constant_is_all_level_and_missing_samples_stay_missing(method, rng):
    constant = np.full((2, 40), 0.1)
    level, responses = decompose(constant, 4, method)
    np.testing.assert_array_equal(level, constant)
    np.testing.assert_array_equal(responses, 0)

    x = rng.normal(size=(4, 80)).cumsum(axis=-1).astype(np.float32)
    whole = decompose(x, 4, method)
    x[1, 20:24], x[2, 0], x[3] = np.nan, np.inf, np.nan
    for part, before in zip(decompose(x, 4, method), whole, strict=True):
        assert part.dtype == np.float32
        np.testing.assert_array_equal(np.isnan(part), ~np.isfinite(x))
        np.testing.assert_array_equal(part[0], before[0])


@pytest.mark.parametrize("method", ["highpass", "median"])
def test_causal_parts_do_not_depend_on_later_samples(method, rng):
    x = rng.normal(size=(2, 200)).cumsum(axis=-1)
    x[1, 30:40] = np.nan
    later = x.copy()
    later[:, 120:] += 100
    for part in (tonic, phasic):
        before, after = part(x, 4, method, causal=True), part(later, 4, method, causal=True)
        np.testing.assert_array_equal(before[:, :120], after[:, :120])
        assert not np.array_equal(before[:, 120:], after[:, 120:])


def test_steps_are_the_parts_and_refuse_what_cannot_be():
    x = simulated(4)
    np.testing.assert_array_equal(tonic(x, 4, "median"), decompose(x, 4, "median")[0])
    np.testing.assert_array_equal(phasic(x, 4, "cvxeda"), decompose(x, 4, "cvxeda")[1])
    with pytest.raises(StudyError, match="no causal form"):
        parse_steps([{"phasic": {"method": "cvxeda", "causal": True}}], modality="eda")
    with pytest.raises(StudyError, match="Did you mean 'highpass'"):
        parse_steps([{"tonic": "highpas"}], modality="eda")
    with pytest.raises(StudyError, match="is for eda"):
        parse_steps(["tonic"], modality="ecg")
    with pytest.raises(DataError, match="no causal form"):
        decompose(x, 4, "cvxeda", causal=True)
    for wrong in (1, np.nan, np.inf, "8", None):
        with pytest.raises(DataError, match=r"number of at least 2 Hz, .* found"):
            decompose(x, 4, "cvxeda", decimate_to=wrong)
    for wrong in (["highpass"], None, 3):
        with pytest.raises(DataError, match="no method"):
            phasic(x, 4, wrong)
    with pytest.raises(DataError, match="At least 10 samples"):
        decompose(x[:9], 4)


def test_a_minute_at_512_hz_takes_milliseconds():
    x = np.random.default_rng(0).normal(size=30720).cumsum()
    decompose(x, 512)
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        decompose(x, 512)
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.05
