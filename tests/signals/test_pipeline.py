"""Pipelines as a study writes them: every mistake at once, steps in their order, names for every column."""

import pickle

import numpy as np
import pytest

from limbeck.errors import DataError, StudyError
from limbeck.recording import Signal
from limbeck.signals import FEATURES, STEPS, bandpass, bandpower, parse_signals, parse_steps, resample, statistics


def eeg(rng, seconds=20, rate=256.0) -> Signal:
    data = rng.normal(size=(2, int(seconds * rate))).astype(np.float32)
    return Signal(data, rate, ("Fp1", "Fp2"), "µV", start=1.5)


def mistakes(modality, steps) -> str:
    with pytest.raises(StudyError) as caught:
        parse_steps(steps, modality=modality)
    return "\n".join(caught.value.mistakes)


@pytest.mark.parametrize("registry", [STEPS, FEATURES])
def test_every_entry_has_help_and_says_what_a_pipeline_must_know(registry):
    assert len(registry)
    for name in registry:
        assert len(registry.help(name)) > 30
        assert registry[name].name == name


def test_every_step_says_where_it_runs_and_whether_it_is_causal():
    where = {name: STEPS[name].runs for name in STEPS}
    assert where["bandpass"] == "recording"
    assert where["demean"] == "window"
    assert not parse_steps([{"bandpass": [1, 40]}], modality="eeg").causal
    assert parse_steps([{"bandpass": {"low": 1, "high": 40, "causal": True}}], modality="eeg").causal
    assert not parse_steps([{"resample": 64}], modality="eeg").causal
    assert parse_steps([{"features": ["bandpower"]}], modality="eeg").causal


def test_steps_before_the_cut_run_in_the_order_written(rng):
    signal = eeg(rng)
    pipeline = parse_steps([{"bandpass": {"low": 1, "high": 40}}, {"resample": 128}], modality="eeg")
    made = pipeline.on_recording(signal)
    np.testing.assert_allclose(made.data, resample(bandpass(signal.data, 256, 1, 40), 256, 128), rtol=1e-6)
    assert (made.rate, made.channels, made.start, made.data.dtype) == (128, ("Fp1", "Fp2"), 1.5, np.float32)


def test_no_steps_pass_the_samples_as_they_are(rng):
    signal = eeg(rng)
    pipeline = parse_steps([], modality="eeg")
    np.testing.assert_array_equal(pipeline.on_recording(signal).data, signal.data)
    windows = signal.data.reshape(2, 10, -1).swapaxes(0, 1)
    values = pipeline.on_windows(windows, 256, signal.channels)
    np.testing.assert_array_equal(values.data, windows)
    assert values.features is None


def test_units_and_channels_follow_the_steps(rng):
    acc = Signal(rng.normal(size=(3, 320)), 32, ("x", "y", "z"), "g")
    made = parse_steps(["magnitude", {"log": 0.01}], modality="acc").on_recording(acc)
    assert made.channels == ("magnitude",)
    assert made.unit == "ln(g)"


def test_features_are_named_channel_by_channel_and_have_their_own_values(rng):
    windows = rng.normal(size=(6, 2, 512)).astype(np.float32)
    steps = [{"features": [{"bandpower": {"bands": {"a": [1, 8], "b": [8, 20]}}}, {"statistics": [["mean", "sd"]]}]}]
    values = parse_steps(steps, modality="eeg").on_windows(windows, 128, ("Fp1", "Fp2"))
    assert values.features == (
        "eeg.Fp1.bandpower.a",
        "eeg.Fp1.bandpower.b",
        "eeg.Fp1.statistics.mean",
        "eeg.Fp1.statistics.sd",
        "eeg.Fp2.bandpower.a",
        "eeg.Fp2.bandpower.b",
        "eeg.Fp2.statistics.mean",
        "eeg.Fp2.statistics.sd",
    )
    assert values.channels == ("Fp1",) * 4 + ("Fp2",) * 4
    assert values.data.dtype == np.float32
    for channel in (0, 1):
        expected = bandpower(windows[:, channel], 128, {"a": (1, 8), "b": (8, 20)})
        np.testing.assert_allclose(values.data[:, 4 * channel : 4 * channel + 2], expected, rtol=1e-5)
        expected = statistics(windows[:, channel], 128, ("mean", "sd"))
        np.testing.assert_allclose(values.data[:, 4 * channel + 2 : 4 * channel + 4], expected, rtol=1e-5, atol=1e-7)


def test_the_heart_knows_which_sensor_it_listens_to(rng):
    time = np.arange(1920) / 64
    bvp = np.exp(3 * np.cos(2 * np.pi * 1.2 * time))[np.newaxis, np.newaxis]
    values = parse_steps([{"features": ["heart"]}], modality="bvp").on_windows(bvp, 64, ("bvp",))
    assert values.features is not None
    assert values.features[0] == "bvp.bvp.heart.hr"
    assert values.data[0, 0] == pytest.approx(72, abs=1)


def test_window_steps_run_before_the_features(rng):
    windows = rng.normal(9, 1, size=(3, 1, 100)).astype(np.float32)
    steps = ["demean", {"features": [{"statistics": {"kinds": ["mean"]}}]}]
    assert np.abs(parse_steps(steps, modality="eda").on_windows(windows, 4, ("eda",)).data).max() < 1e-5


def test_all_mistakes_are_told_at_once_with_the_nearest_name():
    with pytest.raises(StudyError) as caught:
        parse_signals(
            {
                "egg": [],
                "eeg": [{"bandpas": [1, 40]}, {"bandpass": [40, 1]}, {"lowpass": {"cutof": 3}}, 7],
                "eda": [{"features": ["heart", "statistic", {"statistics": {"kinds": ["mean", "sdd"]}}]}],
                "ecg": "raw",
            }
        )
    text = str(caught.value)
    for part in (
        "no modality 'egg'. Did you mean 'eog'",
        "signals.eeg[0]: there is no signal step 'bandpas'. Did you mean 'bandpass'",
        "signals.eeg[1]: bandpass: the cut-offs must satisfy 0 < low < high, found low 40 and high 1",
        "signals.eeg[2]: lowpass: there is no argument 'cutof'. Did you mean 'cutoff'",
        "signals.eeg[2]: lowpass: the argument 'cutoff' is missing",
        "signals.eeg[3]: expected a name or a mapping with one name, found 7",
        "signals.eda[0].features[0]: heart is for ecg and bvp, not for eda",
        "signals.eda[0].features[1]: there is no feature 'statistic'. Did you mean 'statistics'",
        "signals.eda[0].features[2]: statistics: there is no kind 'sdd'. Did you mean 'sd'",
        "signals.ecg: expected a list of steps",
    ):
        assert part in text
    assert len(caught.value.mistakes) == 10


def test_values_of_the_wrong_type_are_told():
    assert "low must be a number, found 'one'" in mistakes("eeg", [{"bandpass": ["one", 40]}])
    assert "low must be a number, found nan" in mistakes("eeg", [{"bandpass": [float("nan"), 40]}])
    assert "causal must be true or false, found 1" in mistakes("eeg", [{"lowpass": {"cutoff": 4, "causal": 1}}])
    assert "order must be a whole number, 0 or more, found 2.5" in mistakes(
        "eeg", [{"lowpass": {"cutoff": 4, "order": 2.5}}]
    )
    assert "factor must be a whole number, 0 or more, found True" in mistakes("eeg", [{"decimate": True}])
    assert "3 arguments found, takes low, high" in mistakes("eeg", [{"bandpass": [1, 2, 3]}])
    assert "takes none without a name" in mistakes("acc", [{"magnitude": 3}])
    assert "There is no band set 'fera'" in mistakes("eeg", [{"features": [{"bandpower": "fera"}]}])


def test_a_list_is_the_one_argument_that_is_a_list():
    def parameters(entry):
        return parse_steps([entry], modality="eeg").definition["steps"][0][1]

    assert parameters({"pick": ["F3", "F4"]}) == parameters({"pick": {"names": ["F3", "F4"]}})
    assert parameters({"pick": [["F3", "F4"]]}) == parameters({"pick": ["F3", "F4"]})
    assert dict(parameters({"interpolate_electrodes": "auto"}))["names"] == "auto"
    chosen = parse_steps([{"features": [{"statistics": ["mean", "sd"]}]}], modality="eda").features[0]
    assert list(chosen.parameters["kinds"]) == ["mean", "sd"]


def test_wrong_orders_are_told():
    assert "features must be the last step" in mistakes("eeg", [{"features": ["bandpower"]}, "demean"])
    assert "must stand before demean" in mistakes("eeg", ["demean", {"resample": 64}])
    assert "write {features: [bandpower]}" in mistakes("eeg", ["bandpower"])
    assert "expected a list of features" in mistakes("eeg", [{"features": []}])
    assert "expected a list of features" in mistakes("eeg", [{"features": None}])
    with pytest.raises(StudyError, match=r"no signals of 'eegg'\. Did you mean 'eeg'"):
        parse_signals({"eeg": []}, live=["eegg"])
    assert "computed twice" in mistakes("eeg", [{"features": ["bandpower", {"bandpower": {"log": False}}]}])
    with pytest.raises(StudyError, match="at least one modality"):
        parse_signals({})


def test_what_a_step_refuses_names_modality_and_step(rng):
    with pytest.raises(DataError, match=r"signals\.eeg, bandpass: .*200 Hz cannot be filtered"):
        parse_steps([{"bandpass": [1, 200]}], modality="eeg").on_recording(eeg(rng))
    with pytest.raises(DataError, match=r"signals\.eeg, bandpower: The band beta"):
        parse_steps([{"features": ["bandpower"]}], modality="eeg").on_windows(np.zeros((1, 1, 64)), 32, ("Cz",))


def test_a_definition_holds_defaults_and_the_order_of_bands():
    def definition(steps):
        return parse_steps(steps, modality="eeg").definition

    assert definition([{"lowpass": 10}]) == definition([{"lowpass": {"cutoff": 10, "order": 4}}])
    assert definition([{"lowpass": 10}]) != definition([{"lowpass": {"cutoff": 10, "order": 2}}])
    one, other = {"a": [1, 4], "b": [4, 8]}, {"b": [4, 8], "a": [1, 4]}
    assert definition([{"features": [{"bandpower": {"bands": one}}]}]) != definition(
        [{"features": [{"bandpower": {"bands": other}}]}]
    )


def test_a_pipeline_travels_to_a_worker(rng):
    pipeline = parse_steps([{"bandpass": [1, 40]}, {"features": ["bandpower"]}], modality="eeg")
    again = pickle.loads(pickle.dumps(pipeline))
    assert again.definition == pipeline.definition
    signal = eeg(rng)
    np.testing.assert_array_equal(again.on_recording(signal).data, pipeline.on_recording(signal).data)
