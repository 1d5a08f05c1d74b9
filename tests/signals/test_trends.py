"""Detrending agrees with scipy where nothing is missing, and a baseline is what lies in its interval."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from limbeck.errors import DataError, StudyError
from limbeck.recording import Signal
from limbeck.signals import baseline, detrend, parse_steps


@pytest.mark.parametrize("kind", ["linear", "constant"])
@pytest.mark.parametrize("rate", [1, 4, 64, 2000])
def test_detrending_agrees_with_scipy(kind, rate, rng):
    x = rng.normal(size=(3, 2, 5 * rate)) + np.linspace(0, 9, 5 * rate) + 1000
    np.testing.assert_allclose(detrend(x, rate, kind), signal.detrend(x, type=kind, axis=-1), atol=1e-9)


def test_the_line_is_fitted_to_the_samples_that_are_there(rng):
    x = rng.normal(size=(2, 100)) + 0.3 * np.arange(100)
    x[0, 20:50] = np.nan
    x[1, 3] = np.inf
    detrended = detrend(x, 4)
    for row, result in zip(x, detrended, strict=True):
        there = np.isfinite(row)
        line = np.polyfit(np.flatnonzero(there), row[there], 1)
        np.testing.assert_allclose(result[there], row[there] - np.polyval(line, np.flatnonzero(there)), atol=1e-10)
        assert np.isnan(result[~there]).all()


def test_nothing_is_left_of_a_level_or_of_a_single_sample():
    x = np.full((3, 7), 0.1)
    x[1, 1:] = np.nan
    x[2] = np.nan
    for kind in ("linear", "constant"):
        np.testing.assert_array_equal(detrend(x, 4, kind), [[0] * 7, [0] + [np.nan] * 6, [np.nan] * 7])
        assert np.count_nonzero(detrend(np.float32([[1 / 3] * 9]), 4, kind)) == 0


@given(st.floats(0.01, 100), st.floats(-1000, 1000), st.floats(-10, 10), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_levels_and_lines_do_not_matter_and_rows_are_alone(scale, shift, slope, seed):
    x = np.random.default_rng(seed).normal(size=(4, 60))
    detrended = detrend(x, 4)
    moved = detrend(scale * x + shift + slope * np.arange(60), 4)
    np.testing.assert_allclose(moved, scale * detrended, atol=1e-9 * (scale + abs(shift) + abs(slope)))
    bad = x.copy()
    bad[2, ::3] = np.nan
    np.testing.assert_array_equal(detrend(bad, 4)[[0, 1, 3]], detrended[[0, 1, 3]])
    np.testing.assert_array_equal(np.stack([detrend(row, 4) for row in x]), detrended)


def test_the_floating_type_is_kept(rng):
    assert detrend(rng.normal(size=50).astype(np.float32), 4).dtype == np.float32
    assert baseline(rng.normal(size=50).astype(np.float32), 4, 0, 5).dtype == np.float32
    assert detrend(np.arange(50), 4).dtype == np.float64


@pytest.mark.parametrize("starts_at", [0.0, -2.0, 1.5])
def test_the_baseline_is_the_mean_of_an_interval_of_the_recordings_time(starts_at, rng):
    x = rng.normal(10, 1, size=(2, 40))
    time = starts_at + np.arange(40) / 4
    inside = (time >= 2) & (time < 5)
    level = x[:, inside].mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(baseline(x, 4, 2, 5, starts_at=starts_at), x - level)
    np.testing.assert_allclose(baseline(x, 4, 2, 5, mode="divide", starts_at=starts_at), x / level)


def test_a_pipeline_tells_the_time_and_changes_the_unit():
    pipeline = parse_steps([{"baseline": {"start": 2, "end": 4, "mode": "divide"}}], modality="eda")
    signal_ = Signal(np.float32([[9, 2, 2, 6]]), 1.0, ("eda",), "µS", start=1.0)
    corrected = pipeline.on_recording(signal_)
    np.testing.assert_array_equal(corrected.data, [[4.5, 1, 1, 3]])
    assert corrected.unit == "baselines"
    assert not pipeline.causal
    assert parse_steps([{"detrend": "constant"}], modality="eda").causal


def test_missing_samples_do_not_count_for_the_baseline():
    x = np.array([[1.0, np.nan, 3.0, 10.0], [np.nan, np.nan, np.nan, 10.0]])
    np.testing.assert_array_equal(baseline(x, 1, 0, 3), [[-1, np.nan, 1, 8], [np.nan] * 4])


def test_a_baseline_without_samples_or_without_a_level_is_refused():
    x = np.array([[1.0, 2.0, 3.0, 4.0]])
    with pytest.raises(DataError, match=r"from 7 to 9 s holds no sample; the signal runs from 5 to 7 s\. Choose"):
        baseline(x, 2, 7, 9, starts_at=5)
    with pytest.raises(DataError, match="holds no sample"):
        baseline(x, 2, -3, -1)
    with pytest.raises(DataError, match="missing in that interval"):
        baseline(np.full((1, 4), np.nan), 2, 0, 1)
    with pytest.raises(DataError, match="mean of the baseline is 0 in 1 of 2 channels"):
        baseline(np.array([[1.0, -1.0, 3.0], [1, 1, 1]]), 1, 0, 2, mode="divide")
    with pytest.raises(DataError, match="must start before it ends"):
        baseline(x, 2, 3, 3)
    for start, end in ((-np.inf, 1), (np.nan, 1), (0, np.inf), (0, np.nan), ("0", 1), (None, 1)):
        with pytest.raises(DataError, match="must start before it ends"):
            baseline(x, 2, start, end)
    with pytest.raises(DataError, match="time of the first sample must be a number"):
        baseline(x, 2, 0, 1, starts_at=np.nan)


def test_mistakes_in_a_study_are_named():
    with pytest.raises(StudyError, match=r"no kind 'liner'. Did you mean 'linear'"):
        parse_steps([{"detrend": "liner"}], modality="eda")
    with pytest.raises(StudyError, match="start before it ends, found start 3 and end 0"):
        parse_steps([{"baseline": [3, 0]}], modality="eda")
    with pytest.raises(StudyError, match=r"no mode 'substract'. Did you mean 'subtract'"):
        parse_steps([{"baseline": {"start": 0, "end": 3, "mode": "substract"}}], modality="eda")
