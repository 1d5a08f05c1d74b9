"""A whole recording, as a person sees it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from limbeck.errors import DataError
from limbeck.recording import Event, Recording, Signal, Trace
from limbeck.report import recordings
from limbeck.report.catalogue import usual_signal
from limbeck.report.signals import write_figure


def drawn(recording: Recording, **options: Any) -> Figure:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return recordings.draw_recording(recording, **options)


def titles(figure: Figure) -> list[str]:
    return [panel.get_title(loc="left") for panel in figure.axes]


def recording(*modalities: str, **options: Any) -> Recording:
    signals = {modality: usual_signal(modality, 60.0) for modality in modalities}
    events = (Event("rest", 0, 30), Event("task", 30, 60), Event("beep", 45, 45))
    return Recording("S01", signals, **({"events": events, "ratings": {"valence": 7.25}} | options))


def test_events_stand_above_a_panel_per_modality_and_trace() -> None:
    hr = Trace(np.arange(60.0), np.linspace(60, 80, 60, dtype=np.float32))
    figure = drawn(recording("eeg", "eda", "acc", traces={"hr": hr}), title="deap")
    channels = len(usual_signal("eeg", 60.0).channels)
    shown = f"eeg; 6 of {channels} channels" if channels > 6 else "eeg"
    assert titles(figure) == ["events", shown, "eda", "acc", "hr (trace)"]
    strip = figure.axes[0]
    assert [label.get_text() for label in strip.get_yticklabels()] == ["rest", "task", "beep"]
    assert [line.get_xdata().tolist() for line in strip.lines if line.get_marker() == "|"] == [[], [], [45]]
    assert figure.get_suptitle().strip() == "deap · S01 · 60 s · valence 7.25"
    assert all(panel.get_xlim() == (0, 60) for panel in figure.axes)


def test_only_the_modalities_that_are_asked_for_are_drawn() -> None:
    assert titles(drawn(recording("eeg", "eda"), modalities=["eda"])) == ["events", "eda"]
    with pytest.raises(DataError, match="none of the modalities ecg; it has eda, eeg"):
        drawn(recording("eeg", "eda"), modalities=["ecg"])
    with pytest.raises(DataError, match="has no signals"):
        drawn(Recording("S1", {}))


def test_a_recording_without_events_and_with_missing_samples_is_drawn() -> None:
    data = usual_signal("eda", 60.0).data.copy()
    data[:, 100:200] = np.nan
    figure = drawn(Recording("S$1", {"eda": Signal(data, 4.0, ("eda",), "µS")}))
    assert titles(figure) == ["eda"]
    assert figure.axes[0].patches, "the gap is shaded"


@pytest.mark.parametrize("count", [4000, 4001, 8001, 100_000, 1_234_567])
def test_a_thinned_signal_keeps_its_extremes_its_length_and_its_gaps(count: int) -> None:
    data = np.random.default_rng(count).normal(size=(2, count)).astype(np.float32)
    data[0, count // 2] = 99
    data[1, count // 3] = -99
    data[0, : count // 4] = np.nan
    whole = Signal(data, 100.0, ("a", "b"), "µV", start=5.0)
    thin = recordings.thinned(whole)
    assert thin.data.shape[1] <= max(2 * recordings.POINTS, 4000)
    assert (np.nanmax(thin.data[0]), np.nanmin(thin.data[1])) == (99, -99)
    assert thin.start == 5
    assert thin.end == pytest.approx(whole.end, rel=2e-3)
    share = np.isnan(thin.data[0]).mean()
    assert share == pytest.approx(0.25, abs=0.01)


def test_no_line_is_drawn_across_a_stretch_without_values_of_a_trace() -> None:
    times = np.concatenate([np.arange(0.0, 10), np.arange(40.0, 50)])
    figure = drawn(recording("eda", traces={"ibi": Trace(times, np.ones(20, dtype=np.float32))}))
    values = figure.axes[-1].lines[0].get_ydata()
    assert np.isnan(values).sum() == 1
    assert np.isnan(values[10])


@pytest.mark.parametrize(("unit", "modality", "alike"), [("a.u.", "bvp", True), ("µV", "eeg", False)])
def test_only_arbitrary_units_that_are_far_apart_are_drawn_by_their_own_scales(
    unit: str, modality: str, alike: bool
) -> None:
    data = np.random.default_rng(0).normal(size=(2, 400)).astype(np.float32) * np.array([[1], [1000]], dtype=np.float32)
    panel = drawn(Recording("S1", {modality: Signal(data, 40.0, ("a", "b"), unit)})).axes[0]
    first, second = (np.ptp(line.get_ydata()) for line in panel.lines)
    assert bool(0.5 < first / second < 2) is alike
    assert (panel.get_ylabel() == "own scales") is alike


def test_a_trace_of_one_value_or_none_is_drawn() -> None:
    for count in (0, 1):
        held = Trace(np.arange(float(count)), np.ones(count, dtype=np.float32))
        assert titles(drawn(recording("eda", traces={"hr": held})))[-1] == "hr (trace)"


@pytest.mark.parametrize("ending", [".png", ".svg", ".html"])
def test_the_drawing_is_written_in_each_format_twice_the_same(tmp_path: Path, ending: str) -> None:
    held = recording("eda", "bvp")
    first, second = (write_figure(drawn(held), tmp_path / f"{k}{ending}").read_bytes() for k in "ab")
    assert first == second
    assert len(first) > 2000
