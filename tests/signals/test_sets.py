from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from limbeck.errors import DataError, StudyError
from limbeck.recording import Signal
from limbeck.signals import FEATURE_SETS, bandpower, extract, parse_signals, parse_steps
from limbeck.signals.sets import DEAP_EEG, EMOTIV

DEAP = {"eeg": 32, "eog": 2, "emg": 2, "eda": 1, "resp": 1, "bvp": 1, "temp": 1}
"""Channels of the preprocessed files, all at 128 Hz."""


def deap(rng: np.random.Generator, seconds: float = 2.0, rows: int = 3) -> dict[str, tuple[np.ndarray, float]]:
    return {m: (rng.normal(size=(rows, count, int(128 * seconds))), 128.0) for m, count in DEAP.items()}


def test_the_fear_sets_have_the_columns_of_the_slides(rng):
    windows, names = deap(rng), {"eeg": DEAP_EEG}
    for name, columns in (("fear_deap", 176), ("fear_deap_student", 86)):
        values, features = extract(name, windows, names)
        assert values.shape == (3, columns) == (3, FEATURE_SETS[name].columns)
        assert np.isfinite(values).all()
        assert [feature.partition(".")[0] for feature in features] == sorted(
            (feature.partition(".")[0] for feature in features), key=list(DEAP).index
        )
        first = "Fp1" if columns == 176 else "AF3"
        assert features[:2] == (f"eeg.{first}.bandpower.theta_amplitude", f"eeg.{first}.bandpower.alpha_amplitude")
        assert features[-2:] == ("temp.1.statistics.mean", "temp.1.statistics.variance")


def test_the_band_power_of_the_fear_sets_is_the_sum_of_spectral_amplitudes(rng):
    windows = deap(rng)
    values, _ = extract("fear_deap", windows, {"eeg": DEAP_EEG})
    x = windows["eeg"][0]
    modulus = np.abs(np.fft.fft(x))
    edges = [4, 8, 12, 16, 25, 45]
    expected = [modulus[..., int(low / 128 * 256) : int(high / 128 * 256)].sum(-1) for low, high in pairwise(edges)]
    np.testing.assert_allclose(values[:, :160].reshape(3, 32, 5), np.stack(expected, -1), rtol=1e-5)


def test_the_student_reads_the_electrodes_of_the_headset(rng):
    windows = deap(rng)
    _, names = extract("fear_deap_student", windows, {"eeg": DEAP_EEG})
    assert tuple(dict.fromkeys(name.split(".")[1] for name in names if name.startswith("eeg"))) == EMOTIV


def test_the_ascertain_sets_have_the_columns_of_the_slides(rng):
    def rows(channels, rate):
        return rng.normal(size=(2, channels, int(4 * rate))), float(rate)

    for eeg_rate, finite in ((128, 1.0), (32, None)):
        teacher = {"eeg": rows(8, eeg_rate), "acc": rows(3, 100), "eda": rows(1, 100), "ecg": rows(2, 256)}
        values, names = extract("fear_ascertain", teacher)
        assert values.shape == (2, 52)
        if finite:
            assert np.isfinite(values).all()
        else:  # of five bands, three end at or below the 16 Hz that 32 Hz can hold
            assert np.isfinite(values).sum() == 2 * (8 * 3 + 12)
            assert {n.rsplit(".")[-1] for n, v in zip(names, values[0], strict=True) if np.isnan(v)} == {
                "beta2_amplitude",
                "gamma_amplitude",
            }
    values, _ = extract("fear_ascertain_student", {"eeg": rows(6, 128), "eda": rows(1, 100)})
    assert values.shape == (2, 32)


@pytest.mark.parametrize("name", ["zhang2022", "zhang2022_code"])
def test_zhang_2022_is_192_shares_band_by_band(name, rng):
    x = rng.normal(size=(2, 32, 512))
    values, names = extract(name, {"eeg": (x, 256.0)}, {"eeg": DEAP_EEG})
    assert values.shape == (2, 192)
    assert names[:2] == ("eeg.Fp1.bandpower.delta_relative", "eeg.AF3.bandpower.delta_relative")
    assert names[32] == "eeg.Fp1.bandpower.theta_relative"
    # the step that gives the same 192 values over time
    steps = FEATURE_SETS[name].signals["eeg"][:-1]
    cleaned = parse_steps(steps, modality="eeg").on_recording(Signal(x[0].astype(np.float32), 256.0, DEAP_EEG, "µV"))
    power = FEATURE_SETS[name].signals["eeg"][-1]["features"][0]["bandpower"]
    step = {key: value for key, value in power.items() if key != "kinds"} | {"relative": True}
    running = parse_steps([{"running_bandpower": step}], modality="eeg").on_recording(cleaned)
    assert running.rate == 4
    assert running.channels[:2] == ("Fp1.delta", "AF3.delta")
    assert running.channels[32] == "Fp1.theta"
    np.testing.assert_allclose(running.data[:, 0], values[0], rtol=1e-4)


def test_the_lowest_band_of_zhang_2022_begins_at_1_hz(rng):
    seconds = np.arange(512) / 256
    slow, fast = np.sin(2 * np.pi * 2 * seconds), np.sin(2 * np.pi * 20 * seconds)
    options = FEATURE_SETS["zhang2022_code"].signals["eeg"][-1]["features"][0]["bandpower"]
    shares = bandpower(np.stack([slow, fast]), 256, **options)
    assert shares[0, 0] > 0.8
    assert shares[1, 0] < 0.01
    assert shares[1].argmax() == 4


def test_the_pain_set_has_the_features_of_its_source(rng):
    import neurokit2 as nk

    seconds, rate = 5.5, 512
    eda = 2 + nk.eda_simulate(duration=30, sampling_rate=rate, scr_number=6, random_state=1)
    ecg = nk.ecg_simulate(duration=30, sampling_rate=rate, heart_rate=75, random_state=1)
    emg = 0.02 * rng.normal(size=30 * rate)
    samples = int(seconds * rate)
    windows = {
        name: (x[: 5 * samples].reshape(5, 1, samples), float(rate))
        for name, x in (("eda", eda), ("ecg", ecg), ("emg", emg))
    }
    values, names = extract("pain", windows)
    assert values.shape == (5, FEATURE_SETS["pain"].columns)
    per = {m: sum(name.startswith(f"{m}.") for name in names) for m in ("eda", "ecg", "emg")}
    assert per == {"eda": 18 + 24 + 2, "ecg": 5 + 20, "emg": 18 + 14}
    counts = values[:, names.index("ecg.1.heart.count")]
    assert (np.abs(counts - 6.9) < 1.5).all()
    assert np.isfinite(values).mean() > 0.85
    assert not np.isinf(values).any()


def test_the_wearable_set_runs_live_and_takes_what_there_is(rng):
    pipelines = parse_signals("wearable", live=FEATURE_SETS["wearable"].signals)
    assert all(pipeline.causal for pipeline in pipelines.values())
    eda = 2 + 0.1 * rng.normal(size=(2, 1, 240)).cumsum(-1)
    temp = 33 + 0.01 * rng.normal(size=(2, 1, 240))
    values, names = extract("wearable", {"temp": (temp, 4.0), "eda": (eda, 4.0)})
    assert {name.partition(".")[0] for name in names} == {"eda", "temp"}
    assert np.isfinite(values[:, [names.index("eda.1.eda.scr_rate"), names.index("temp.1.statistics.slope")]]).all()


def test_other_numbers_of_channels_are_refused_with_what_to_do(rng):
    with pytest.raises(DataError, match=r"this feature set is of 32 channels; found 4 .*pick"):
        extract("zhang2022", {"eeg": (rng.normal(size=(2, 4, 512)), 256.0)})
    with pytest.raises(DataError, match="AF3"):
        extract("fear_deap", {m: v for m, v in deap(rng).items() if m == "eeg"})


def test_the_features_of_a_set_can_follow_steps_of_ones_own():
    pipeline = parse_steps([{"bandpass": [1, 40]}, {"features": "zhang2022"}], modality="eeg")
    assert [each.name for each in pipeline.steps] == ["bandpass"]
    assert pipeline.column_major
    assert pipeline.n_channels == 32
    with pytest.raises(StudyError, match="is of eeg, not of eda"):
        parse_steps([{"features": "zhang2022"}], modality="eda")
    with pytest.raises(StudyError, match=r"no feature set 'zhang2023'. Did you mean 'zhang2022'"):
        parse_steps([{"features": "zhang2023"}], modality="eeg")
    with pytest.raises(StudyError, match=r"write \{features: \[bandpower\]\}"):
        parse_steps([{"features": "bandpower"}], modality="eeg")


@pytest.mark.parametrize("name", FEATURE_SETS)
def test_every_set_says_what_it_is_and_can_be_parsed(name):
    chosen = FEATURE_SETS[name]
    assert chosen.title
    assert chosen.source
    pipelines = parse_signals(name)
    assert list(pipelines) == list(chosen.signals)
    assert all(pipeline.features for pipeline in pipelines.values())
