from __future__ import annotations

import numpy as np
import pytest

from limbeck.errors import DataError
from limbeck.recording import Signal
from limbeck.signals import FEATURES, STEPS, FeatureKind, Pipeline, Step, StepKind


def shift(x, rate, by=1.0, *, channels=(), modality="", starts_at=0.0):
    return x + by + starts_at + len(channels) + 10 * len(modality)


def spread(x, rate, *, channels=()):
    return np.ptp(x, axis=-2).mean(axis=-1, keepdims=True)


def test_what_a_pipeline_tells_is_no_parameter_of_a_study():
    kind = StepKind("shift", shift, "recording", True, source="here")
    assert list(kind.parameters) == ["by"]
    assert kind.told(modality="eeg", channels=("a",), starts_at=2.0, other=1) == {
        "modality": "eeg",
        "channels": ("a",),
        "starts_at": 2.0,
    }


def test_a_step_is_told_modality_channels_and_start():
    kind = StepKind("shift", shift, "recording", True, source="here")
    signal = Signal(np.zeros((2, 5), np.float32), 1.0, ("a", "b"), "µV", start=0.5)
    made = Pipeline("eda", (Step(kind, {"by": 1.0}),)).on_recording(signal)
    np.testing.assert_array_equal(made.data, np.full((2, 5), 1 + 0.5 + 2 + 30))


def test_a_step_may_move_the_start_and_rename_channels():
    kind = StepKind(
        "halve",
        lambda x, rate, by=2: x[..., ::2],
        "recording",
        True,
        source="here",
        new_rate=lambda rate, by: rate / by,
        new_channels=lambda channels, by: tuple(f"{name}/{by}" for name in channels),
        new_start=lambda start, rate, by: start + by / rate,
    )
    made = Pipeline("eda", (Step(kind, {"by": 2}),)).on_recording(
        Signal(np.zeros((1, 8), np.float32), 4.0, ("a",), "µS", start=1.0)
    )
    assert (made.rate, made.channels, made.start, made.data.shape) == (2.0, ("a/2",), 1.5, (1, 4))


def test_columns_across_channels_stand_behind_those_per_channel():
    per = FeatureKind("mean", lambda x, rate: x.mean(-1, keepdims=True), lambda: ("mean",), unit="", source="here")
    across = FeatureKind(
        "spread", spread, lambda channels: ((("-").join(channels), "spread"),), unit="", source="here", across=True
    )
    data = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    values = Pipeline("eeg", features=(Step(across), Step(per))).on_windows(data, 4, ("a", "b"))
    assert values.features == ("eeg.a.mean.mean", "eeg.b.mean.mean", "eeg.a-b.spread.spread")
    assert values.channels == ("a", "b", "a-b")
    np.testing.assert_array_equal(values.data, [[1, 4, 3], [7, 10, 3]])


def test_column_major_orders_by_column_then_channel():
    kind = FeatureKind("ends", lambda x, rate: x[..., [0, -1]], lambda: ("first", "last"), unit="", source="here")
    data = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    values = Pipeline("eeg", features=(Step(kind),), column_major=True).on_windows(data, 4, ("a", "b"))
    assert values.features == ("eeg.a.ends.first", "eeg.b.ends.first", "eeg.a.ends.last", "eeg.b.ends.last")
    np.testing.assert_array_equal(values.data[0], [0, 3, 2, 5])


def test_a_transposed_recording_is_refused():
    with pytest.raises(DataError, match=r"signals.eeg: .* found \(100, 4\), more channels than samples"):
        Pipeline("eeg").on_recording(Signal(np.zeros((100, 4), np.float32), 4.0, tuple(map(str, range(100))), "µV"))


def test_names_of_steps_and_features_are_apart():
    assert not set(STEPS) & set(FEATURES)
