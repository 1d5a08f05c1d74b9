"""The benchmarks run, and say what they could not run."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from limbeck.distillation import functional
from limbeck.distillation.recipes import RECIPES
from limbeck.models.contract import Outputs

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def signals() -> ModuleType:
    return load("signals")


@pytest.fixture
def peers() -> ModuleType:
    return load("peers")


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def test_signals_run_without_their_peers_and_data_and_say_so(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    command = [sys.executable, BENCHMARKS / "signals.py", "--quick", "--peers", absent, "--eegmat", absent]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    said = done.stdout
    assert "peers: skipped, there is no environment absent; `make bench-signals` makes it" in said
    assert "skipped: there is no folder absent; name it with --eegmat" in said
    assert "Not tried: ratios to mne-features and TorchEEG" in said
    for name in ("band_power", "differential_entropy, variance", "extract", "running_bandpower", "bandpass"):
        assert f"  limbeck {name}" in said
    assert "neurokit2 eda_process + ecg_process + emg_process" in said
    assert "Targets met:" in said


def test_a_peer_that_fails_does_not_end_the_others(signals: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> float:
        raise signals.PeerError("ImportError: no such library")

    verdicts = signals.Verdicts()
    peers = (signals.Peer("broken", fail), signals.Peer("slow", lambda: 1e6, target=2.0))
    signals.compare(signals.Case("sums", "ours", lambda: sum(range(9)), peers), 2, verdicts)
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].split("failed: ") == [f"  {'broken':<58} ", "ImportError: no such library"]
    assert lines[4].endswith("≥ 2 met")
    assert verdicts.failed == ["broken: ImportError: no such library"]
    assert verdicts.met == 1


def test_a_missed_target_is_named(signals: ModuleType) -> None:
    verdicts = signals.Verdicts()
    signals.compare(
        signals.Case("sums", "ours", lambda: sum(range(9999)), (signals.Peer("fast", float, 3, 2.0),)), 1, verdicts
    )
    assert str(verdicts) == "Targets met: 0 of 1.\nMissed: sums: 0.0 times as fast as fast"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_the_peak_of_memory_counts_copies_and_not_the_input() -> None:
    # in a process of its own, since the peak of one that has done other things lies higher already
    script = (
        f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r}); import signals\n"
        "for compute in (lambda x: x[:1], lambda x: x + 1, lambda x: [x + 1, x + 2]):\n"
        "    print(signals.peak_beyond_input(signals.windows, compute, 32.0)[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert [float(line) for line in done.stdout.split()] == pytest.approx([0.0, 1.0, 2.0], abs=0.1)


def test_a_worker_times_its_peer_and_hands_over_what_it_computed(
    peers: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(peers.PEERS, "scale", lambda windows, rate, bands: lambda: windows * rate + bands[0][1])
    np.save(tmp_path / "windows.npy", np.arange(6.0).reshape(1, 2, 3))
    files = {"windows": str(tmp_path / "windows.npy"), "values": str(tmp_path / "values.npy")}
    answer = peers.answer({"peer": "scale", "rate": 2.0, "bands": [[0.0, 1.0]], **files})
    assert answer["seconds"] > 0
    np.testing.assert_array_equal(np.load(tmp_path / "values.npy"), np.arange(6.0).reshape(1, 2, 3) * 2 + 1)


def test_a_worker_says_why_it_could_not(peers: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("bands above half the rate")

    monkeypatch.setitem(peers.PEERS, "refuse", refuse)
    np.save(tmp_path / "windows.npy", np.zeros((1, 2, 3)))
    request = {"peer": "refuse", "rate": 2.0, "bands": [], "windows": str(tmp_path / "windows.npy"), "values": ""}
    assert peers.answer(request) == {"error": "ValueError: bands above half the rate"}


def test_corpora_are_written_and_read_and_targets_only_judged_at_full_size() -> None:
    names = ["deap", "deap_cached", "windows", "bdf", "biovid", "wesad", "case"]
    command = [sys.executable, BENCHMARKS / "datasets.py", "--quick", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    (deap,) = [line for line in lines if line.startswith("DEAP s01.dat")]
    assert "read and cut" in deap
    assert "met" not in deap
    for name in ("each trial cached", "1,000 windows", "WESAD", "BioVid", "BDF", "CASE"):
        assert any(name in line for line in lines), name


def test_an_unknown_case_is_refused_with_those_there_are() -> None:
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "datasets.py", "depa"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "there is no case depa; there are deap, deap_all" in done.stderr


def test_the_ways_of_training_that_are_compared_train_the_same_networks() -> None:
    training = load("training")
    case = training.Case("tiny", "mlp", {"eda": training.InputShape(5)}, steps=1, epochs=1)
    windows, folds = training.make_windows(case, "cpu"), training.make_folds(case, 2)
    for backend in ("looped", "stacked"):
        training.prepare_ensemble(case, windows, folds, backend)()
    training.prepare_plain(case, windows, folds)()


def test_a_study_of_teaching_is_timed_against_the_plain_script_on_the_same_arms() -> None:
    command = [sys.executable, BENCHMARKS / "distillation.py", "--quick", "--jobs", "1", "--only", "sharing", "all"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for way in ("script, a process per core", "study, sharing alone", "study, all of them"):
        (row,) = [line for line in done.stdout.splitlines() if line.startswith(f"  {way}  ")]
        assert all(f"{arm} 0." in row for arm in ("teacher", "alone", "soft", "hint", "similarity")), way
    assert "of all 11 arms, study and script differ most in" in done.stdout
    assert "times as fast as the script in training; the aim of 3 is" in done.stdout


def test_the_benchmark_of_teaching_says_when_its_data_are_not_there(tmp_path: Path) -> None:
    command = [sys.executable, BENCHMARKS / "distillation.py", "--eegmat", tmp_path / "absent"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "skipped: there is no folder absent; name it with --eegmat" in done.stdout


def test_the_plain_script_teaches_by_the_losses_of_the_study() -> None:
    distillation = load("distillation")
    generator = torch.Generator().manual_seed(0)
    student, taught = (
        Outputs(torch.randn(8, 2, generator=generator), {"embedding": torch.randn(8, width, generator=generator)})
        for width in (3, 5)
    )
    losses = {
        "soft": {"weight": 1.0, "temperature": 4.0},
        "sp": {"weight": 10.0, "student": "embedding", "teacher": "embedding"},
    }
    every = torch.ones(8)
    soft = functional.soft_target(student.prediction, taught.prediction, every, temperature=4.0)["soft"]
    alike = functional.similarity(student.features["embedding"], taught.features["embedding"], every)["similarity"]
    torch.testing.assert_close(distillation.teaching(student, taught, losses, None), soft + 10.0 * alike)


def test_recipes_stand_in_one_table_and_the_best_meet_their_controls_on_two_cohorts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load("recipes").main(["--quick", "--jobs", "1", "--out", str(tmp_path), "hinton", "mean_teacher"]) == 0
    said = capsys.readouterr().out
    assert "balanced_accuracy, mean over 20 subjects" in said
    assert "labels of 3 subjects learned from, 5 subjects to validate" in said
    rows = [line.split()[0] for line in said.splitlines() if line.startswith(("hinton ", "mean_teacher "))]
    # once in the table, and where both controls mean something once per cohort
    assert sorted(rows) == ["hinton", "hinton", "hinton", "mean_teacher"]
    assert said.index("chosen on this cohort") < said.index("This cohort:") < said.index("Another cohort:")


def test_the_table_of_recipes_is_printed_in_columns_and_in_markdown() -> None:
    table = load("recipes").as_table
    assert table(("recipe", "gain"), [["sp", "+0.010"]], markdown=False) == "recipe    gain\nsp      +0.010"
    assert table(("recipe", "gain"), [["sp", "+0.010"]], markdown=True).splitlines() == [
        "| recipe | gain |",
        "| --- | --: |",
        "| sp | +0.010 |",
    ]


def test_the_recipes_of_the_table_are_all_that_there_are() -> None:
    recipes = load("recipes")
    studies = [recipes.load(table, quick=False) for table in recipes.TABLES]
    named = [recipes.name_of(entry) for study in studies for entry in study["distil"]["recipes"]]
    assert sorted(named) == sorted(RECIPES)


def test_an_unknown_recipe_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load("recipes").main(["--quick", "hintn"])
    assert "there is no recipe hintn; there are hinton, dkd" in capsys.readouterr().err
