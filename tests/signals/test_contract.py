"""What holds for every registered step and feature, whatever it computes."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from typing import Any

import numpy as np
import pytest

from limbeck.errors import DataError
from limbeck.recording import Signal
from limbeck.signals import FEATURES, STEPS, Pipeline
from limbeck.signals.parsing import parse_steps

RATES = {"eeg": 128, "eog": 128, "ecg": 256, "bvp": 64, "eda": 4, "emg": 512, "resp": 32, "temp": 4, "acc": 32}
"""Hz that sensors usually have."""

CHANNELS = {"eeg": ("Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"), "acc": ("x", "y", "z")}
"""One channel elsewhere."""

SECONDS = {"eda": 60, "resp": 60, "temp": 60, "bvp": 30, "ecg": 30}
"""Ten elsewhere."""

STEP_ARGUMENTS: dict[str, Any] = {
    "bandpass": [1, 20],
    "bandstop": [8, 12],
    "baseline": [0, 2],
    "clip": [-1, 1],
    "decimate": 2,
    "highpass": 1,
    "lowpass": 10,
    "pick": ["C3", "F4"],
    "resample": 50,
}
"""Arguments of the steps that have to be told some."""


def modality_of(kind: Any) -> str:
    return kind.modalities[0] if kind.modalities else "eeg"


def samples(modality: str, rows: int = 3, seed: int = 0) -> tuple[np.ndarray, float, tuple[str, ...]]:
    """Return windows of a plausible signal, (rows, n_channels, n_times) float32, with rate and names."""
    rate, names = RATES[modality], CHANNELS.get(modality, (modality,))
    rng = np.random.default_rng(seed)
    times = np.arange(int(SECONDS.get(modality, 10) * rate)) / rate
    shape = (rows, len(names), len(times))
    noise = rng.normal(size=shape)
    phase = rng.uniform(0, 1, size=(rows, len(names), 1))
    if modality in ("ecg", "bvp"):
        beat = (times * 1.2 + phase) % 1
        # place in the beat, width and height: P, Q, R, S and T; a pulse
        waves = [(0.12, 0.025, 0.15), (0.265, 0.01, -0.1), (0.3, 0.015, 1.0), (0.34, 0.01, -0.2), (0.62, 0.05, 0.3)]
        waves = waves if modality == "ecg" else [(0.3, 0.1, 1.0)]
        x = sum(height * np.exp(-0.5 * ((beat - at) / width) ** 2) for at, width, height in waves) + 0.003 * noise
    elif modality == "eda":
        x = 2 + 0.01 * times + np.maximum(0, np.sin(2 * np.pi * (times / 12 + phase))) ** 4 + 0.002 * noise
    elif modality == "resp":
        x = np.sin(2 * np.pi * (0.25 * times + phase)) + 0.02 * noise
    elif modality == "temp":
        x = 33 + 0.002 * times + 0.01 * noise
    elif modality == "acc":
        x = np.array([[0.1], [0.2], [0.97]]) + 0.05 * noise
    else:
        x = 10 * np.sin(2 * np.pi * (10 * times + phase)) + 5 * noise
    return x.astype(np.float32), float(rate), names


def pipeline_of(name: str, modality: str) -> Pipeline:
    if name in STEPS:
        arguments = STEP_ARGUMENTS.get(name)
        return parse_steps([name if arguments is None else {name: arguments}], modality=modality)
    return parse_steps([{"features": [name]}], modality=modality)


def computed(name: str, x: np.ndarray, rate: float, names: tuple[str, ...]) -> np.ndarray:
    """Return the columns of a feature, (rows, n_columns); nothing may be warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return pipeline_of(name, modality_of(FEATURES[name])).on_arrays(x, rate, names).data


def run_step(name: str, x: np.ndarray, rate: float, names: tuple[str, ...]) -> Signal:
    modality = modality_of(STEPS[name])
    pipeline = pipeline_of(name, modality)
    signal = Signal(x, rate, names, "unit")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if pipeline.steps[0].runs == "window":
            made = pipeline.on_windows(x[np.newaxis], rate, names)
            return Signal(made.data[0], rate, made.channels, "unit")
        return pipeline.on_recording(signal)


def test_arguments_are_for_steps_that_exist_and_need_them() -> None:
    needing = {
        name
        for name in STEPS
        if any(p.default is inspect.Parameter.empty for p in STEPS[name].parameters.values())  # type: ignore[attr-defined]
    }
    assert set(STEP_ARGUMENTS) == needing


@pytest.mark.parametrize("name", [*STEPS, *FEATURES])
def test_it_says_what_it_computes_and_where_that_comes_from(name: str) -> None:
    kind: Any = STEPS[name] if name in STEPS else FEATURES[name]
    registry = STEPS if name in STEPS else FEATURES
    assert len(registry.help(name)) > 40
    assert kind.source
    if name in FEATURES:
        assert kind.unit
    undocumented = [
        option for option in kind.parameters if not any(option in line for line in registry.help(name).splitlines())
    ]
    shared = "parameters as of" in registry.help(name) or "other parameters are those of" in registry.help(name)
    assert not undocumented or shared, undocumented


# ---- features -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_computes_its_columns_of_a_plausible_signal(name: str) -> None:
    kind: Any = FEATURES[name]
    for modality in kind.modalities or ("eeg", "ecg"):
        x, rate, names = samples(modality)
        values = pipeline_of(name, modality).on_windows(x, rate, names)
        assert values.features is not None
        assert values.data.shape == (3, len(values.features))
        assert len(set(values.features)) == len(values.features)
        assert all(column.startswith(f"{modality}.") for column in values.features)
        assert np.isfinite(values.data).mean() > 0.8, (modality, values.features, values.data)


@pytest.mark.parametrize("name", FEATURES)
def test_a_batch_of_windows_is_the_same_as_one_by_one(name: str) -> None:
    x, rate, names = samples(modality_of(FEATURES[name]), rows=4)
    whole = computed(name, x, rate, names)
    alone = np.concatenate([computed(name, x[[row]], rate, names) for row in range(4)])
    np.testing.assert_allclose(whole, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", FEATURES)
def test_a_bad_window_is_not_a_number_and_leaves_the_others_as_they_are(name: str) -> None:
    modality = modality_of(FEATURES[name])
    x, rate, names = samples(modality, rows=4)
    good = computed(name, x, rate, names)
    bad = x.copy()
    bad[1] = np.nan
    bad[2, ..., 5] = np.inf
    values = computed(name, bad, rate, names)
    np.testing.assert_allclose(values[[0, 3]], good[[0, 3]], rtol=1e-5, atol=1e-6)
    columns = pipeline_of(name, modality).on_windows(x, rate, names).features
    assert columns is not None
    flags = np.array([column.endswith((".valid", ".count", "_count")) for column in columns])
    for row in (1, 2):
        assert not np.isfinite(values[row, ~flags]).any(), (np.array(columns)[np.isfinite(values[row])], row)
        assert not np.nan_to_num(values[row, flags]).any()


@pytest.mark.parametrize("name", FEATURES)
def test_a_constant_window_and_a_short_one_end_in_numbers_or_a_clear_refusal(name: str) -> None:
    x, rate, names = samples(modality_of(FEATURES[name]))
    for value in (0.0, 0.1 + 0.2):
        constant = computed(name, np.full_like(x, value), rate, names)
        assert not np.isinf(constant).any()
    for length in (1, 2, 3, int(rate)):
        with contextlib.suppress(DataError):
            assert not np.isinf(computed(name, x[..., :length], rate, names)).any()


@pytest.mark.parametrize("name", FEATURES)
def test_single_and_double_precision_agree(name: str) -> None:
    x, rate, names = samples(modality_of(FEATURES[name]))
    single = computed(name, x, rate, names)
    double = computed(name, x.astype(np.float64), rate, names)
    np.testing.assert_allclose(single, double, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_leaves_its_input_alone_and_refuses_what_is_no_rate(name: str) -> None:
    x, rate, names = samples(modality_of(FEATURES[name]))
    before = x.copy()
    computed(name, x, rate, names)
    np.testing.assert_array_equal(x, before)
    for wrong in (0, -4, np.nan):
        with pytest.raises(DataError, match=r"[Hh]z"):
            computed(name, x, wrong, names)


@pytest.mark.parametrize("name", [name for name in FEATURES if not FEATURES[name].across])  # type: ignore[attr-defined]
def test_channels_are_computed_each_for_itself(name: str) -> None:
    x, rate, _ = samples(modality_of(FEATURES[name]), rows=4)
    function = FEATURES[name]
    told = {"modality": modality_of(function)} if "modality" in function.signature else {}  # type: ignore[attr-defined]
    stacked = x[:, 0]
    forward = function(stacked, rate, **told)
    np.testing.assert_allclose(function(stacked[::-1], rate, **told), forward[::-1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(function(stacked[0], rate, **told), forward[0], rtol=1e-5, atol=1e-6)


# ---- steps ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STEPS)
def test_a_step_gives_a_signal_and_leaves_its_input_alone(name: str) -> None:
    kind: Any = STEPS[name]
    for modality in kind.modalities or ("eeg", "emg"):
        x, rate, names = samples(modality, rows=1)
        if name == "pick" and modality == "emg":
            continue  # it has one channel
        before = x.copy()
        pipeline = pipeline_of(name, modality)
        if pipeline.steps[0].runs == "window":
            made = pipeline.on_windows(x, rate, names)
            assert made.data.shape[-1] == x.shape[-1]
            data, channels = made.data[0], made.channels
        else:
            after = pipeline.on_recording(Signal(x[0], rate, names, "unit"))
            data, channels = after.data, after.channels
        assert data.dtype == np.float32
        assert data.shape[0] == len(channels)
        assert np.isfinite(data).mean() > 0.8
        np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("name", STEPS)
def test_a_missing_sample_stays_where_it_is(name: str) -> None:
    if name in ("interpolate", "hampel"):
        pytest.skip("mends gaps, which is its purpose")
    x, rate, names = samples(modality_of(STEPS[name]), rows=1)
    holed = x[0].copy()
    holed[:, 400 // 4 : 420 // 4] = np.nan
    whole, made = run_step(name, x[0], rate, names), run_step(name, holed, rate, names)
    assert made.data.shape == whole.data.shape
    lost = ~np.isfinite(made.data) & np.isfinite(whole.data)
    assert lost.any()
    times = made.start + np.arange(made.data.shape[1]) / made.rate
    near = (times > 100 / rate - 1e-6 - 1 / made.rate) & (times < 105 / rate + 2.1)
    assert not lost[:, ~near].any()


@pytest.mark.parametrize("name", STEPS)
def test_a_causal_step_does_not_look_ahead(name: str) -> None:
    kind: Any = STEPS[name]
    modality = modality_of(kind)
    arguments = dict(pipeline_of(name, modality).steps[0].parameters)
    if name == "interpolate_electrodes":
        arguments["names"] = ["C3"]  # which are broken, only the whole recording could tell
    if isinstance(kind.causal, str):
        arguments[kind.causal] = True
    elif not kind.causal:
        pytest.skip("says that it looks ahead")
    if kind.runs == "window":
        pytest.skip("sees one window, whole")
    x, rate, names = samples(modality, rows=1)
    pipeline = parse_steps([{name: arguments}], modality=modality)
    assert pipeline.causal
    changed = x[0].copy()
    at = changed.shape[1] // 2
    changed[:, at:] = changed[:, at:][:, ::-1] * 3 + 1
    one = pipeline.on_recording(Signal(x[0], rate, names, "unit"))
    other = pipeline.on_recording(Signal(changed, rate, names, "unit"))
    times = one.start + np.arange(one.data.shape[1]) / one.rate
    earlier = times < at / rate - 1e-9
    assert earlier.any()
    np.testing.assert_allclose(one.data[:, earlier], other.data[:, earlier], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", STEPS)
def test_all_missing_stays_missing(name: str) -> None:
    x, rate, names = samples(modality_of(STEPS[name]), rows=1)
    with contextlib.suppress(DataError):
        assert not np.isfinite(run_step(name, np.full_like(x[0], np.nan), rate, names).data).any()
