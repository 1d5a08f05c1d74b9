"""``limbeck features``: what there is for signals, what it costs, and what cleaning does to a window."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from limbeck import cli
from limbeck.cli import printing
from limbeck.report import catalogue
from limbeck.signals import FEATURE_SETS, FEATURES, STEPS, feature_set

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = Path(sys.executable).parent / "limbeck"

UNFINISHED = """
study: unfinished
data: {corpus: simulated, options: {subjects: 2, trials: 4, modalities: [eda, resp]}}
signals:
  eda: [{lowpass: 1.5}]
  resp: []
windows: {length: 16, hop: 8}
stages: {}
"""

runner = CliRunner()


def invoke(*arguments: object) -> Any:
    return runner.invoke(cli.app, ["features", *map(str, arguments)], prog_name="limbeck")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    file = tmp_path / "unfinished.yaml"
    file.write_text(UNFINISHED, encoding="utf-8")
    return file


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure costs once, on little."""
    monkeypatch.setattr(catalogue, "RUNS", 1)
    monkeypatch.setattr(catalogue, "SECONDS", 30.0)


# ---- lists and descriptions -----------------------------------------------------------------------------------------


def test_every_step_feature_and_set_is_listed_with_what_it_is():
    lines = [line.split(maxsplit=3) for line in invoke().stdout.splitlines() if line]
    rows = {line[0]: line for line in lines}
    assert {*STEPS, *FEATURES, *FEATURE_SETS} <= set(rows)
    assert rows["bandpass"][1:3] == ["recording", "on"]  # on request
    assert rows["demean"][1:3] == ["window", "yes"]
    assert rows["resample"][1:3] == ["recording", "no"]
    assert rows["respiration"][1:3] == ["resp", "6"]


def test_the_list_is_readable_on_a_terminal_of_100_columns(monkeypatch: pytest.MonkeyPatch):
    from rich.console import Console

    monkeypatch.setattr(printing, "console", lambda: Console(highlight=False, force_terminal=True, width=100))
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in invoke().stdout.splitlines()]
    assert max(map(len, lines)) <= 100
    starts = {line.split()[0] for line in lines if line and not line.startswith(" ")}
    assert {*STEPS, *FEATURES, *FEATURE_SETS} <= starts  # no name is folded


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", sorted({*STEPS, *FEATURES} - {"ica"}))
def test_every_step_and_feature_can_be_described_with_a_measured_cost(name: str):
    for entry in catalogue.describe(name):
        assert entry.text
        assert "``" not in entry.text
        assert ":func:" not in entry.text
        assert {"is", "modalities", "causal", "unit", "source", "arguments", "cost"} <= set(entry.facts)
        assert re.fullmatch(
            r"[\d.]+(e-\d+)? m?s (per channel|for \d+ channels) of 30 s at \d+ Hz \(.*\), measured now on this machine",
            entry.facts["cost"],
        ), f"{entry.facts['cost']}: give catalogue.EXAMPLES values for the parameters of {name} that have no default"


def test_the_cost_is_that_of_the_function(monkeypatch: pytest.MonkeyPatch):
    times = iter([0.0, 0.3, 1.0, 1.2, 2.0, 2.1])
    monkeypatch.setattr(catalogue.time, "perf_counter", lambda: next(times))
    monkeypatch.setattr(catalogue, "RUNS", 3)
    calls = []
    assert catalogue._median_seconds(lambda: calls.append(1)) == pytest.approx(0.2)
    assert len(calls) == 4  # the first one designs filters and imports


def test_a_step_is_described_with_defaults_causality_and_source():
    out = invoke("notch").stdout
    assert out.startswith("notch\n  is ")
    assert "a step on the recording, before windows are cut" in out
    assert "frequency=50.0, quality=30.0" in out
    assert "with causal: true; by default it looks at later samples" in out
    assert "scipy.signal.iirnotch" in out
    assert re.search(r"cost +[\d.]+ ms per channel of 60 s at 128 Hz \(eeg\), measured now", out)
    assert "Remove one frequency in Hz" in out


def test_a_feature_is_described_with_unit_modalities_and_columns():
    out = invoke("heart").stdout
    assert "ecg bvp" in out
    assert "4 by default: hr, period, sdnn, rmssd" in out
    assert "1/min" in out
    assert "yes, with the end of the window" in out


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", FEATURE_SETS)
def test_a_set_is_described_with_its_columns_modalities_and_layout(name: str):
    (entry,) = catalogue.describe(name)
    chosen = feature_set(name)
    assert set(chosen.signals) <= set(entry.facts)
    assert chosen.title in entry.facts["is"]
    assert entry.facts["columns"] == (str(chosen.columns) if chosen.columns else "by the sensors at hand")
    assert "measured now on this machine" in entry.facts["cost"]
    assert f"signals: {name}" in entry.text


def test_a_wrong_name_is_answered_with_the_nearest():
    result = invoke("bandpas")
    assert result.exit_code == 2
    assert "Did you mean 'bandpass'?" in result.stderr


def test_usual_signals_are_the_same_each_time_and_finite():
    for modality in catalogue.RATES:
        signal = catalogue.usual_signal(modality, 8.0)
        np.testing.assert_array_equal(signal.data, catalogue.usual_signal(modality, 8.0).data)
        assert signal.data.shape == (len(signal.channels), round(8 * signal.rate))
        assert np.isfinite(signal.data).all()
        assert (signal.data.std(axis=-1) > 0).all()


def test_help_and_lists_import_neither_torch_nor_what_draws() -> None:
    environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    for arguments, unwanted in [(["--help"], {"numpy"}), ([], {"torch", "matplotlib", "neurokit2", "mne", "sklearn"})]:
        done = subprocess.run(
            [PROGRAM, "features", *arguments], capture_output=True, text=True, env=environment, check=True
        )
        imported = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if "|" in line}
        assert "limbeck.cli" in imported
        assert imported.isdisjoint(unwanted)


# ---- drawings -------------------------------------------------------------------------------------------------------


def test_a_window_of_a_study_without_stages_is_drawn(study: Path):
    out = study.parent / "deep" / "window.svg"
    result = invoke("--plot", study, "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}\n"
    text = out.read_text()
    assert "unfinished · S001" in text
    assert "after lowpass 1.5 (8 Hz)" in text
    assert "resp, as recorded, without steps (16 Hz)" in text
    assert re.search(r"\d responses", text)
    assert re.search(r"\d breaths", text)
    assert invoke("--plot", study, "--out", out).exit_code == 0
    assert out.read_text() == text


def test_subject_modality_start_length_and_steps_can_be_chosen(study: Path):
    out = study.parent / "window.html"
    chosen = ("--subject", "S002", "--modality", "eda", "--start", 4, "--length", 10)
    result = invoke("--plot", study, "--out", out, *chosen, "--set", "signals.eda=[{median: 1}]")
    assert result.exit_code == 2
    assert "there is no signal step 'median'" in result.stderr
    result = invoke("--plot", study, "--out", out, *chosen, "--set", "signals.eda=[{highpass: 0.1}]")
    assert result.exit_code == 0, result.output
    text = out.read_text()
    assert "S002 · 0:04 to 0:14" in text
    assert "after highpass 0.1" in text
    assert "resp, as recorded" not in text


def test_by_default_the_drawing_is_named_after_the_study(study: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(study.parent)
    assert invoke("--plot", study, "--modality", "resp").stdout == "unfinished-window.png\n"
    assert (study.parent / "unfinished-window.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--subject", "S02"], 2, "there is no subject 'S02'. There are S001, S002."),
        (["--trial", "second"], 2, "S001 has no trial 'second'. There is only one recording; leave --trial out."),
        (["--modality", "edaa"], 2, "no modality 'edaa' under signals. Did you mean 'eda'?"),
        (["--start", "1000"], 1, "can start from 0 to"),
        (["--length", "1000"], 1, "which holds no window of 1000 s"),
        (["--length", "0"], 2, "must be above 0"),
        (["--length", "nan"], 2, "must be above 0"),
        (["--length", "inf"], 1, "which holds no window of inf s"),
        (["--length", "0.01"], 1, "less than two samples of eda at 8 Hz; choose a length of 0.25 s at least"),
        (["--start", "nan"], 2, "greater than or equal to 0"),
        (["--out", "window.yaml"], 2, "ends with .png, .svg, .html"),
        (["--set", "data.corpus=simulate"], 2, "Did you mean 'simulated'?"),
        (["--set", "windows.length=long"], 2, "windows.length"),
        (["--set", "signals=[]"], 2, "signals"),
        (["heart"], 2, "not both"),
    ],
)
def test_what_cannot_be_drawn_is_told(study: Path, arguments: list[str], code: int, said: str):
    result = invoke("--plot", study, "--out", study.parent / "x.png", *arguments)
    assert result.exit_code == code, result.output
    assert said in " ".join(result.stderr.split())
    assert not list(study.parent.glob("*.png"))


def test_a_study_that_is_not_there_or_lacks_a_key_is_told(study: Path):
    result = invoke("--plot", study.parent / "absent.yaml")
    assert result.exit_code == 2
    assert "absent.yaml" in result.stderr
    study.write_text("study: a\nsignals: {eda: []}\nwindows: {length: 4}\n")
    result = invoke("--plot", study)
    assert result.exit_code == 2
    assert "data: this key is needed." in result.stderr
    assert "windows.hop: this key is needed." in result.stderr


@pytest.mark.parametrize("arguments", [("--subject", "S01"), ("--start", 0), ("--length", 0), ("--modality", "eda")])
def test_options_of_a_drawing_need_a_study(arguments: tuple[object, ...]):
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert f"{arguments[0]} goes with --plot" in result.stderr


@pytest.mark.usefixtures("shared_data")
def test_the_trials_that_there_are_are_named(tmp_path: Path):
    result = invoke("--plot", ROOT / "studies" / "headband_from_cap.yaml", "--trial", "zz", "--out", tmp_path / "a.png")
    assert result.exit_code == 2
    assert "Subject00 has no trial 'zz'. Allowed: rest, task." in " ".join(result.stderr.split())


def test_studies_that_ship_with_limbeck_can_be_drawn(tmp_path: Path, shared_data: Path):
    for name in ("stress_from_skin", "headband_from_cap"):
        result = invoke("--plot", ROOT / "studies" / f"{name}.yaml", "--out", tmp_path / f"{name}.svg")
        assert result.exit_code == 0, result.output
        assert re.search(r"\d+ beats, (\d+ per min|too doubtful)", (tmp_path / f"{name}.svg").read_text())


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("rmssd", "It is a kind of heart: write {heart: [rmssd]}."),
        ("bvp", "Of bvp there are: heart, pulse, and those for any modality."),
        ("bandpas", "Did you mean 'bandpass'?"),
    ],
)
def test_a_name_that_is_none_is_answered_with_what_may_be_meant(name: str, meant: str) -> None:
    answer = invoke(name)
    assert answer.exit_code == 2
    assert meant in " ".join(answer.stderr.split())
