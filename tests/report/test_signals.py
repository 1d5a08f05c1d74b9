"""A window before and after cleaning, as a person sees it."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from limbeck.errors import DataError
from limbeck.recording import Event, Recording, Signal
from limbeck.report import figures, signals
from limbeck.report.catalogue import usual_signal
from limbeck.signals import parse_signals

EVERY = {
    "eeg": [{"bandpass": [1, 40]}, "demean"],
    "ecg": [{"bandpass": [0.5, 40]}],
    "eda": [{"lowpass": 1}],
    "bvp": [{"bandpass": [0.5, 8]}, {"resample": 32}],
    "resp": [],
    "temp": [{"resample": 1}],
    "acc": [{"resample": 16}],
}


def recording(*modalities: str, seconds: float = 60.0, **changed: Signal) -> Recording:
    held = {modality: usual_signal(modality, seconds) for modality in modalities} | changed
    return Recording("S01", held, events=(Event("rest", 0, 40), Event("task", 40, 60)))


def drawn(steps: dict[str, Any], *, of: Recording | None = None, length: float = 20.0, **options: Any) -> Figure:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return signals.draw_window(of or recording(*steps), parse_signals(steps), length=length, **options)


def panels(figure: Figure, *, spectra: bool = False) -> list[Any]:
    return [panel for panel in figure.axes if panel.get_title(loc="left").startswith("spectrum") == spectra]


def marks(panel: Any, marker: str) -> np.ndarray:
    """Moments at which a panel shows a marker."""
    held = [line.get_xdata() for line in panel.lines if line.get_marker() == marker]
    return np.concatenate(held) if held else np.empty(0)


def legend_of(panel: Any) -> list[str]:
    legend = panel.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


# ---- which window ---------------------------------------------------------------------------------------------------


def test_default_window_is_the_middle_one_that_all_signals_cover():
    held = {"eda": usual_signal("eda", 100), "temp": replace(usual_signal("temp", 80), start=10.0)}
    assert signals.middle_window(held, length=20, hop=10) == 10 + 3 * 10  # seven windows start at 10, 20, ..., 70


def test_windows_with_missing_samples_are_passed_over_for_the_nearest_without():
    signal = usual_signal("eda", 100)
    signal.data[:, 45 * 4 : 46 * 4] = np.nan
    assert signals.middle_window({"eda": signal}, length=20, hop=20) == 20
    signal.data[:] = np.nan
    assert signals.middle_window({"eda": signal}, length=20, hop=20) == 40


def test_signals_without_a_window_in_common_are_refused():
    held = {"eda": usual_signal("eda", 10), "temp": replace(usual_signal("temp", 10), start=5.0)}
    with pytest.raises(DataError, match="5 s in common, which holds no window of 8 s"):
        signals.middle_window(held, length=8, hop=8)


def test_a_start_outside_the_recording_is_refused_with_what_is_possible():
    with pytest.raises(DataError, match="from 0 to 40 s in the recording of S01; found 50 s"):
        drawn({"eda": []}, start=50)


def test_a_recording_without_the_modalities_is_refused_with_what_it_has():
    with pytest.raises(DataError, match="none of the modalities eda; it has temp"):
        drawn({"eda": []}, of=recording("temp"))


def test_modalities_that_the_recording_lacks_are_left_out():
    titles = [panel.get_title(loc="left") for panel in panels(drawn({"eda": [], "temp": []}, of=recording("temp")))]
    assert titles == ["temp, as recorded, without steps (4 Hz)"]


# ---- before and after -----------------------------------------------------------------------------------------------


def test_what_is_drawn_is_the_recording_and_what_the_steps_of_recording_and_window_make_of_it():
    of = recording("temp")
    steps = {"temp": [{"lowpass": 0.5}, {"resample": 2}, "demean"]}
    before, after = panels(drawn(steps, of=of, start=10))
    raw = of.signals["temp"]
    np.testing.assert_array_equal(before.lines[0].get_ydata(), raw.data[0, 40:120].astype(float))
    np.testing.assert_allclose(before.lines[0].get_xdata(), 10 + np.arange(80) / 4)
    cleaned = parse_signals(steps)["temp"].on_recording(raw).data[0, 20:60].astype(float)
    np.testing.assert_allclose(after.lines[0].get_ydata(), cleaned - cleaned.mean(), atol=1e-5)
    np.testing.assert_allclose(after.lines[0].get_xdata(), 10 + np.arange(40) / 2)
    assert after.get_title(loc="left") == "after lowpass 0.5, resample 2, demean (2 Hz)"
    assert before.get_ylabel() == "°C"


def test_without_steps_a_signal_is_drawn_once():
    (only,) = panels(drawn({"temp": []}))
    assert len(only.lines) == 1


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (0.0, "above 0; found 0"),
        (np.nan, "above 0; found nan"),
        (1.5, r"less than two samples of temp at 1 Hz; choose a length of 2 s at least"),
    ],
)
def test_a_window_of_less_than_two_samples_is_refused(length: float, said: str):
    with pytest.raises(DataError, match=said):
        drawn({"eda": [], "temp": [{"resample": 1}]}, length=length)


def test_the_heading_tells_subject_time_and_events():
    assert drawn({"temp": []}, start=30, title="my study").get_suptitle().strip() == (
        "my study · S01 · 0:30 to 0:50 · rest, task"
    )


def test_of_many_channels_a_few_are_drawn_in_lanes_by_name():
    before, after = panels(drawn({"eeg": [{"bandpass": [1, 40]}]}))
    for panel in (before, after):
        names = [tick.get_text() for tick in panel.get_yticklabels()]
        assert names == ["Fp1", "C3", "PO3", "F4", "T8", "O2"]
        levels = [np.median(line.get_ydata()) for line in panel.lines]
        assert (np.diff(levels) < 0).all()
        assert "6 of 32 channels" in panel.get_title(loc="left")
        assert panel.get_ylabel().endswith("µV apart")


def test_spectra_show_what_a_filter_took():
    (panel,) = panels(drawn({"eeg": [{"lowpass": 20}]}), spectra=True)
    before, after = panel.lines
    assert [before.get_label(), after.get_label()] == ["before", "after"]
    frequencies = before.get_xdata()
    ratio = after.get_ydata() / before.get_ydata()
    assert (ratio[frequencies > 30] < 1e-2).all()
    np.testing.assert_allclose(ratio[frequencies < 10], 1, rtol=0.02)
    assert frequencies[before.get_ydata().argmax()] == 10  # the rhythm of the signal


# ---- what is found --------------------------------------------------------------------------------------------------


def test_beats_of_an_ecg_are_marked_where_they_are():
    after = panels(drawn({"ecg": [{"bandpass": [0.5, 40]}]}, start=10))[1]
    expected = np.arange(13, 37) * 0.83  # one beat each 0.83 s
    expected = expected[(expected > 10.5) & (expected < 29.9)]
    found = marks(after, "v")
    np.testing.assert_allclose(found[(found > 10.5) & (found < 29.9)], expected, atol=0.02)
    assert legend_of(after) == [f"{len(found)} beats, 72 per min"]


def test_beats_of_a_pulse_are_marked_once_per_wave():
    (panel,) = panels(drawn({"bvp": []}, start=10))
    intervals = np.diff(marks(panel, "^"))
    np.testing.assert_allclose(intervals, 0.83, atol=0.08)
    assert len(intervals) >= 21


def test_skin_conductance_has_level_responses_and_their_onsets():
    _, after, phasic = panels(drawn({"eda": [{"lowpass": 1}]}, length=50, start=0))
    assert legend_of(after)[:2] == ["level (tonic)", "onset"]
    found = marks(after, "v")
    expected = np.arange(1, 7) * 7.3  # where the bumps of the signal have their tops
    assert all(np.abs(found - top).min() < 0.5 for top in expected)
    np.testing.assert_array_equal(marks(phasic, "v"), found)
    assert all((marks(after, "^") < top).any() for top in expected)
    level = next(line for line in after.lines if line.get_label() == "level (tonic)")
    trace = next(line for line in after.lines if len(line.get_xdata()) == 200 and line is not level)
    responses = next(line for line in phasic.lines if len(line.get_xdata()) == 200)
    np.testing.assert_allclose(level.get_ydata() + responses.get_ydata(), trace.get_ydata(), atol=0.1)


def test_responses_are_sought_as_the_feature_of_the_study_seeks_them():
    usual = panels(drawn({"eda": []}, length=50, start=0))
    strict = panels(drawn({"eda": [{"features": [{"eda": {"minimum": 100.0}}]}]}, length=50, start=0))
    assert len(marks(usual[0], "v")) >= 6
    assert not len(marks(strict[0], "v"))


def test_a_signal_that_is_phasic_already_is_not_split_again():
    figure = drawn({"eda": ["phasic"]}, length=50, start=0)
    assert len(panels(figure)) == 2
    assert len(marks(panels(figure)[1], "v")) >= 6


def test_breaths_are_marked_at_their_turns():
    (panel,) = panels(drawn({"resp": []}, length=40, start=0))
    tops = (np.arange(1, 9) + 0.25) * 3.9
    found = marks(panel, "v")
    assert all(np.abs(found - top).min() < 0.3 for top in tops)
    assert legend_of(panel)[-1].endswith("breaths, 15 per min")
    assert all(np.abs(marks(panel, "^") - top - 1.95).min() < 0.3 for top in tops[:-1])


def test_missing_samples_are_shaded_and_nothing_is_sought_among_them():
    signal = usual_signal("ecg")
    signal.data[:, 20 * 256 : 21 * 256] = np.nan
    (panel,) = panels(drawn({"ecg": []}, of=recording(ecg=signal), start=10))
    (shade,) = panel.patches
    assert shade.get_x() == pytest.approx(20, abs=0.01)
    assert shade.get_width() == pytest.approx(1, abs=0.01)
    assert not len(marks(panel, "v"))
    assert panel.get_title(loc="right") == "nothing is sought where samples are missing"


@pytest.mark.parametrize("value", [np.nan, 0.0, 3.0])
@pytest.mark.parametrize("modality", ["eeg", "ecg", "eda", "resp", "acc"])
def test_signals_without_content_are_drawn_without_a_warning(modality: str, value: float):
    signal = usual_signal(modality)
    signal.data[:] = value
    assert drawn({modality: []}, of=recording(**{modality: signal})).axes


def test_a_rate_at_which_no_beat_can_be_found_is_told():
    signal = replace(usual_signal("bvp"), rate=10.0)
    (panel,) = panels(drawn({"bvp": []}, of=recording(bvp=signal)))
    assert "at least 20 Hz" in panel.get_title(loc="right")


# ---- the page -------------------------------------------------------------------------------------------------------


def test_no_text_lies_over_another():
    with mpl.rc_context(figures.STYLE):
        figure = drawn(EVERY, title="a study with every modality")
        figure.draw_without_rendering()
        texts = [figure._suptitle]
        for panel in figure.axes:
            texts += [panel._left_title, panel._right_title, panel.xaxis.label, panel.yaxis.label, *panel.texts]
            texts += [tick.label1 for axis in (panel.xaxis, panel.yaxis) for tick in axis._update_ticks()]
            texts += panel.get_legend().get_texts() if panel.get_legend() is not None else []
        shown = [text for text in texts if text.get_visible() and text.get_text()]
        visible = {text: text.get_window_extent().padded(-1) for text in shown}
    overlapping = [
        (one.get_text(), other.get_text())
        for one, other in itertools.combinations(visible, 2)
        if visible[one].overlaps(visible[other])
    ]
    assert len(visible) > 100
    assert not overlapping


def test_the_heading_keeps_off_the_edge(tmp_path: Path):
    picture = mpl.image.imread(signals.write_figure(drawn({"temp": []}), tmp_path / "a.png"))
    inked = np.flatnonzero((picture != picture[0, 0]).any(axis=(1, 2)))
    assert 0.1 * 160 < inked[0] < 0.25 * 160


def test_steps_are_told_with_what_differs_from_the_defaults():
    steps = parse_signals({"eda": [{"lowpass": {"cutoff": 1.5, "causal": True}}, {"bandpass": [0.1, 1]}, "log"]})["eda"]
    assert signals.steps_in_words(steps.steps) == "lowpass 1.5 causal, bandpass 0.1 1, log"


@pytest.fixture(scope="module")
def figure() -> Figure:
    return drawn({"temp": [{"resample": 2}]})


@pytest.mark.parametrize(
    ("name", "begins"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.HTML", b"<!DOCTYPE html>")]
)
def test_a_figure_is_written_by_the_ending_of_its_name_and_may_be_replaced(
    tmp_path: Path, figure: Figure, name: str, begins: bytes
):
    path = signals.write_figure(figure, tmp_path / "new" / name)
    first = path.read_bytes()
    assert first.startswith(begins)
    assert signals.write_figure(figure, path).read_bytes() == first
    assert [file.name for file in path.parent.iterdir()] == [name]


def test_a_page_holds_the_figure_with_its_text(tmp_path: Path, figure: Figure):
    text = signals.write_figure(figure, tmp_path / "a.html").read_text()
    assert "after resample 2 (2 Hz)" in text
    assert "<title>S01 · 0:20 to 0:40 · rest</title>" in text
    assert "http://" not in text.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )


def test_files_of_others_and_other_kinds_of_files_are_not_replaced(tmp_path: Path, figure: Figure):
    report = tmp_path / "report.html"
    report.write_text("<html></html>")
    with pytest.raises(DataError, match="was not drawn by this command"):
        signals.write_figure(figure, report)
    assert report.read_text() == "<html></html>"
    with pytest.raises(DataError, match=r"ends with \.png, \.svg, \.html; found study\.yaml"):
        signals.write_figure(figure, tmp_path / "study.yaml")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        signals.write_figure(figure, tmp_path / "folder.png")


def test_recordings_from_outside_are_drawn(shared_data: Path):
    from limbeck import datasets

    corpus = datasets.load("stress-predict", shared_data / "stress-predict", subjects=["S02"])
    steps = {"eda": [{"lowpass": 1.0}], "bvp": [{"bandpass": [0.5, 8.0]}, {"resample": 32}], "acc": [{"resample": 16}]}
    figure = drawn(steps, of=corpus.sources[0].read(), length=60)
    pulse = panels(figure)[4]
    assert "beats" in legend_of(pulse)[0]
    assert 30 < len(marks(pulse, "^")) < 120


def test_the_window_drawn_lies_within_one_event() -> None:
    signal = Signal(np.zeros((1, 400), np.float32), 4.0, ("eda",), "µS")
    events = (Event("rest", 0.0, 55.0), Event("stress", 55.0, 100.0))
    assert signals.middle_window({"eda": signal}, length=20, hop=10) == 40
    assert signals.middle_window({"eda": signal}, length=20, hop=10, events=events) == 30


def test_lanes_are_as_far_apart_before_as_after(rng: np.random.Generator) -> None:
    data = np.stack([50 * np.sin(2 * np.pi * 0.5 * np.arange(1280) / 128) + rng.normal(size=1280)] * 2)
    recording = Recording("S1", {"eeg": Signal(data.astype(np.float32), 128.0, ("Fp1", "Fp2"), "µV")})
    figure = signals.draw_window(recording, parse_signals({"eeg": [{"bandpass": [4, 40]}]}), length=8, title="t")
    labels = [axes.get_ylabel() for axes in figure.axes if "apart" in axes.get_ylabel()]
    assert len(labels) == 2
    assert labels[0] == labels[1]
