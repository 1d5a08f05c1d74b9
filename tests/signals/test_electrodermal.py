"""Features of skin conductance: of the decomposition and its responses, at the rates and lengths that there are."""

import time
import warnings

import neurokit2 as nk
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import DataError, StudyError
from limbeck.signals import PAIN_EDA, decompose, eda, eda_clean, find_scrs, parse_steps
from limbeck.signals.electrodermal import _KINDS, _RESPONSES

ALL = tuple(_KINDS)


def simulated(rate: int, seconds: int = 60, seed: int = 0, number: int = 5, noise: float = 0.01) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(
            nk.eda_simulate(duration=seconds, sampling_rate=rate, scr_number=number, noise=noise, random_state=seed)
        )


def named(x: np.ndarray, rate: float, **options: object) -> dict[str, float]:
    return dict(zip(ALL, eda(x, rate, ALL, **options), strict=True))


@pytest.mark.parametrize("rate", [8, 100, 512])
def test_cleaning_is_that_of_neurokit2(rate):
    x = np.stack([simulated(rate, seed=seed) for seed in range(2)])
    for row, cleaned in zip(x, eda_clean(x, rate), strict=True):
        np.testing.assert_allclose(cleaned, nk.eda_clean(row, sampling_rate=rate), atol=1e-10)


def test_at_4_hz_there_is_nothing_to_clean():
    x = simulated(4).astype(np.float32)
    cleaned = eda_clean(x, 4)
    np.testing.assert_array_equal(cleaned, x)
    assert cleaned is not x
    assert cleaned.dtype == np.float32


def test_causal_cleaning_does_not_look_ahead():
    x = simulated(32)
    later = x.copy()
    later[1000:] = 0
    np.testing.assert_array_equal(eda_clean(x, 32, causal=True)[:1000], eda_clean(later, 32, causal=True)[:1000])


def test_parts_and_responses_are_those_of_neurokits_whole_process():
    rate = 16
    x = simulated(rate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signals, info = nk.eda_process(x, sampling_rate=rate)
    values = named(eda_clean(x, rate), rate, minimum=0)
    assert values["tonic_mean"] == pytest.approx(signals["EDA_Tonic"].mean(), rel=1e-6)
    assert values["tonic_sd"] == pytest.approx(signals["EDA_Tonic"].std(ddof=0), rel=1e-6)
    assert values["phasic_sd"] == pytest.approx(signals["EDA_Phasic"].std(ddof=0), rel=1e-6)
    assert values["phasic_max"] == pytest.approx(signals["EDA_Phasic"].max(), rel=1e-6)
    assert values["scr_count"] == len(info["SCR_Peaks"])
    assert values["scr_rate"] == len(info["SCR_Peaks"])
    for ours, theirs in (("amplitude", "Amplitude"), ("rise_time", "RiseTime"), ("half_recovery", "RecoveryTime")):
        assert values[f"{ours}_mean"] == pytest.approx(np.nanmean(info[f"SCR_{theirs}"]), rel=1e-6)
        assert values[f"{ours}_sd"] == pytest.approx(np.nanstd(info[f"SCR_{theirs}"]), rel=1e-6)
    assert values["amplitude_sum"] == pytest.approx(np.nansum(info["SCR_Amplitude"]), rel=1e-6)
    assert values["amplitude_first"] == pytest.approx(info["SCR_Amplitude"][0], rel=1e-6)
    assert values["onset_mean"] == pytest.approx(np.nanmean(info["SCR_Onsets"]) / rate, rel=1e-6)


@pytest.mark.parametrize("method", ["highpass", "median", "cvxeda"])
def test_every_kind_is_what_its_name_says_of_the_parts(method):
    x = simulated(4, seed=3)
    values = named(x, 4, method=method)
    tonic, phasic = decompose(x, 4, method)
    scrs = find_scrs(phasic, 4)
    scaled = (x - x.min()) / (x.max() - x.min())
    expected = {
        "tonic_mean": tonic.mean(),
        "tonic_sd": tonic.std(),
        "tonic_range": tonic.max() - tonic.min(),
        "tonic_slope": np.polyfit(np.arange(len(x)) / 4, tonic, 1)[0],
        "phasic_mean": phasic.mean(),
        "phasic_sd": phasic.std(),
        "phasic_max": phasic.max(),
        "scaled_mean": scaled.mean(),
        "scaled_sd": scaled.std(),
        "scaled_var": scaled.var(),
        "scr_count": scrs.count,
        "scr_rate": scrs.count,
        "amplitude_sum": np.nansum(scrs.amplitude),
        "amplitude_first": scrs.amplitude[np.isfinite(scrs.amplitude)][0],
    }
    for kind, of in {
        "amplitude": scrs.amplitude,
        "rise_time": scrs.rise_time,
        "half_recovery": scrs.half_recovery_time,
        "recovery": scrs.recovery_time,
        "onset": scrs.onset,
        "offset": scrs.offset,
    }.items():
        expected |= {f"{kind}_mean": np.nanmean(of), f"{kind}_sd": np.nanstd(of)}
    assert set(expected) == set(ALL)
    for kind, value in expected.items():
        assert values[kind] == pytest.approx(value, rel=1e-9, abs=1e-12), kind


@pytest.mark.parametrize("rate", [32, 128, 512, 1000])
def test_high_rates_give_the_numbers_of_low_ones(rate):
    x = simulated(rate, noise=0)
    low, high = named(x[:: rate // 8], 8), named(x, rate)
    assert high["scr_count"] == low["scr_count"] == 5
    assert high["amplitude_mean"] == pytest.approx(low["amplitude_mean"], rel=0.05)
    assert high["rise_time_mean"] == pytest.approx(low["rise_time_mean"], abs=0.15)
    assert high["tonic_mean"] == pytest.approx(low["tonic_mean"], rel=0.02)


@pytest.mark.parametrize(("rate", "seconds"), [(4, 5), (4, 5.5), (4, 60), (32, 5), (512, 5.5), (1, 5), (1, 60), (8, 1)])
def test_short_windows_give_what_they_hold_and_never_an_exception(rate, seconds, rng):
    x = rng.normal(size=(3, int(rate * seconds))).cumsum(axis=-1).astype(np.float32)
    values = eda(x, rate, ALL)
    assert values.shape == (3, len(ALL))
    if rate * seconds < 10:
        assert np.isnan(values).all()
    else:
        parts = [ALL.index(kind) for kind in ("tonic_mean", "phasic_sd", "scaled_sd")]
        assert np.isfinite(values[:, parts]).all()
        responses = [ALL.index(kind) for kind in ("scr_count", "scr_rate", "amplitude_sum")]
        assert (np.isfinite if rate >= 4 else np.isnan)(values[:, responses]).all()


@pytest.mark.parametrize("rate", [1, 2, 3.9])
def test_below_4_hz_nothing_is_said_of_responses(rate):
    x = 2 + np.sin(np.arange(int(60 * rate)) / rate)
    values = named(x, rate)
    assert {kind for kind in ALL if np.isnan(values[kind])} == set(_RESPONSES)
    assert np.isfinite(eda(x, rate, ("tonic_mean", "scaled_sd"))).all()


def test_without_a_response_counts_and_sums_are_zero_and_means_are_missing():
    values = named(np.linspace(1, 2, 240), 4, method="median")
    assert values["scr_count"] == values["scr_rate"] == values["amplitude_sum"] == 0
    for kind in ("amplitude_mean", "amplitude_first", "rise_time_sd", "half_recovery_mean", "offset_sd"):
        assert np.isnan(values[kind]), kind


@pytest.mark.parametrize("method", ["highpass", "median", "cvxeda"])
@pytest.mark.parametrize("level", [0.0, 0.1, 12345.678])
def test_a_constant_has_a_level_and_nothing_else(method, level):
    constant = level * (1 + 2e-16 * np.random.default_rng(0).integers(-2, 3, size=240))
    values = named(constant, 4, method=method, minimum=0)
    assert values["tonic_mean"] == pytest.approx(level)
    for kind in ("tonic_sd", "tonic_range", "tonic_slope", "phasic_mean", "phasic_sd", "phasic_max", "scr_count"):
        assert values[kind] == 0, kind
    assert np.isnan(values["scaled_mean"])


def test_a_bad_row_is_missing_and_leaves_the_others_as_they_are():
    x = np.stack([simulated(4, seed=seed, number=3 + seed) for seed in range(4)]).astype(np.float32)
    before = eda(x, 4, ALL)
    x[3, 100], x[1] = np.nan, np.inf
    after = eda(x, 4, ALL)
    assert np.isnan(after[[1, 3]]).all()
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])


@given(st.integers(0, 10_000), st.integers(1, 4), st.floats(0.1, 10), st.floats(-5, 5))
@settings(max_examples=25, deadline=None)
def test_batch_split_permutation_scale_and_shift(seed, split, scale, shift):
    x = np.random.default_rng(seed).normal(size=(5, 80)).cumsum(axis=-1)
    values = eda(x, 4, ALL, minimum=0)
    np.testing.assert_array_equal(eda(x[::-1], 4, ALL, minimum=0), values[::-1])
    parts = np.concatenate([eda(x[:split], 4, ALL, minimum=0), eda(x[split:], 4, ALL, minimum=0)])
    np.testing.assert_array_equal(parts, values)
    scaled = dict(zip(ALL, eda(scale * x + shift, 4, ALL, minimum=0).T, strict=True))
    before = dict(zip(ALL, values.T, strict=True))
    np.testing.assert_allclose(scaled["tonic_mean"], scale * before["tonic_mean"] + shift, atol=1e-8)
    for kind in ("tonic_sd", "tonic_slope", "phasic_sd", "amplitude_mean", "amplitude_sum"):
        np.testing.assert_allclose(scaled[kind], scale * before[kind], rtol=1e-6, atol=1e-8)
    for kind in ("scr_count", "rise_time_mean", "offset_sd", "scaled_var"):
        np.testing.assert_allclose(scaled[kind], before[kind], rtol=1e-6, atol=1e-8)


def test_the_pain_set_names_each_kind_of_the_literature_once():
    assert len(PAIN_EDA) == len(set(PAIN_EDA)) == 24
    assert set(PAIN_EDA) <= set(ALL)
    assert set(ALL) - set(PAIN_EDA) == {"tonic_slope", "scr_rate"}


def test_it_is_written_in_a_study_and_mistakes_are_told():
    pipeline = parse_steps(["eda_clean", {"features": [{"eda": {"kinds": list(PAIN_EDA)}}]}], modality="eda")
    values = pipeline.on_windows(simulated(4)[np.newaxis, np.newaxis], 4, ("EDA",))
    assert values.features is not None
    assert values.features[0] == "eda.EDA.eda.phasic_mean"
    with pytest.raises(StudyError, match="Did you mean 'scr_count'"):
        parse_steps([{"features": [{"eda": {"kinds": ["scr_cont"]}}]}], modality="eda")
    with pytest.raises(StudyError, match="no method 'fft'"):
        parse_steps([{"features": [{"eda": {"method": "fft"}}]}], modality="eda")
    with pytest.raises(DataError, match="Relative must be a number between 0 and 1, found 2"):
        eda(np.zeros(40), 4, relative=2)
    for wrong in ("a", np.inf, np.nan, None, -1):
        with pytest.raises(DataError, match="Minimum must be a number of at least 0, found"):
            eda(np.zeros(40), 4, minimum=wrong)
    with pytest.raises(DataError, match=r"number of at least 2 Hz, .* found nan"):
        eda(np.zeros(40), 4, method="cvxeda", decimate_to=np.nan)
    for wrong in ("3", None, np.nan, 0):
        with pytest.raises(DataError, match="Cutoff must be a number above 0 Hz, found"):
            eda_clean(np.zeros(40), 4, wrong)
    for wrong in (1.5, 0, "4"):
        with pytest.raises(DataError, match="Order must be a whole number above 0, found"):
            eda_clean(np.zeros(40), 4, order=wrong)


def test_a_minute_at_512_hz_takes_milliseconds(rng):
    x = rng.normal(size=30720).cumsum()
    eda(x, 512)
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        eda(x, 512)
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.05


def test_it_finds_responses_in_a_wristbands_recording(shared_data):
    files = sorted((shared_data / "stress-predict").rglob("EDA.csv"))
    if not files:
        pytest.skip("no EDA of stress-predict")
    x = np.loadtxt(files[0], skiprows=2, delimiter=",").ravel()
    windows = x[: len(x) // 240 * 240].reshape(-1, 240)
    values = dict(zip(ALL, eda(windows, 4, ALL).T, strict=True))
    assert np.isfinite(values["tonic_mean"]).all()
    assert 0 < values["scr_rate"].mean() < 30
    assert (values["tonic_mean"] <= windows.max(axis=1) + 1).all()
