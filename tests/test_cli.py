"""The command line, on studies of seconds."""

from __future__ import annotations

import contextlib
import csv
import functools
import hashlib
import http.server
import io
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
import yaml
from typer.testing import CliRunner

import limbeck
from limbeck import cli
from limbeck.cli import planning, printing, processes, progress
from limbeck.datasets import fetch as fetching
from limbeck.errors import DataError, LimbeckError, ReadError, StudyError
from limbeck.recording import Corpus
from limbeck.signals import parse_signals

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = Path(sys.executable).parent / "limbeck"
ESCAPE = "\x1b"
KEY = "0123456789abcdef" * 2

MINI = """
study: mini
question: Does it run?
data: {corpus: simulated, options: {subjects: 6, trials: 6, trial_seconds: 4.0, seed: 3, modalities: [eeg, eda]}}
target: {name: arousal, events: {calm: [calm], aroused: [aroused]}}
signals:
  eeg: [{features: [{bandpower: standard}]}]
  eda: [{features: [statistics]}]
windows: {length: 4, hop: 4}
protocol: {split: 2, labelled: 2}
training: {epochs: 2, batch: 8}
engine: {backend: looped}
stages:
  teacher: {model: linear, inputs: [eeg, eda]}
  alone: {model: linear, inputs: [eda]}
  taught: {like: alone, taught_by: teacher, loss: {hard: 1, soft: {temperature: 2}}}
compare:
  - {taught: taught, alone: alone, diagnostics: [hard_labels]}
refit: all
"""

runner = CliRunner()


def invoke(*arguments: object, **options: Any) -> Any:
    return runner.invoke(cli.app, [str(argument) for argument in arguments], prog_name="limbeck", **options)


def write_study(folder: Path, text: str = MINI) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "mini.yaml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study and, in ``runs``, its finished run."""
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def finished(place: Path) -> Any:
    """What the first run of the study printed."""
    result = invoke("run", write_study(place), "--out", place / "runs", "--jobs", 1)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def run_folder(place: Path, finished: Any) -> Path:
    (folder,) = (place / "runs").glob("mini-*")
    return folder


def write_e4(folder: Path, *, damaged: bool = False) -> Path:
    """Write an E4 session with 48 s of skin conductance."""
    folder.mkdir(parents=True)
    rows = ["1600000000.0", "4.0", *(f"{0.5 + 0.01 * (n % 37):.4f}" for n in range(192))]
    if damaged:
        rows[50] = "no number"
    (folder / "EDA.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def all_commands() -> list[tuple[str, ...]]:
    """Every command and group, as one types it."""

    def below(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield path
        for name, other in getattr(command, "commands", {}).items():
            yield from below(other, (*path, name))

    return list(below(typer.main.get_command(cli.app), ()))


# ---- help -----------------------------------------------------------------------------------------------------------


def test_the_commands_are_those_that_are_promised() -> None:
    words = {" ".join(path) for path in all_commands()}
    runs = {"runs", "runs list", "runs show", "runs remove"}
    data = {
        "datasets",
        *(f"datasets {name}" for name in ("list", "describe", "fetch", "inspect", "validate", "convert")),
    }
    own = {"", "run", "report", "knowledge", "methods", "losses", "predict", "models", "features", "targets"}
    assert words == own | runs | data


@pytest.mark.parametrize("path", all_commands(), ids=" ".join)
def test_every_command_has_help_without_cut_sentences(path: tuple[str, ...]) -> None:
    result = invoke(*path, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: limbeck")
    assert not [line for line in result.stdout.splitlines()[1:] if line.endswith("...")]


@pytest.mark.parametrize("arguments", [("run", "--help"), ("runs", "remove", "--help"), ("--version",)], ids=" ".join)
def test_help_imports_neither_the_road_nor_what_draws_bars(arguments: tuple[str, ...]) -> None:
    environment = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, env=environment, check=True)
    imported = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "limbeck.cli" in imported
    heavy = {"numpy", "torch", "pandas", "xarray", "sklearn", "scipy", "joblib", "rich.console", "limbeck.study"}
    assert imported.isdisjoint(heavy)


def test_help_of_a_command_takes_less_than_its_share_of_time() -> None:
    def processor_time() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([PROGRAM, "run", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(processor_time() for _ in range(3)) < 0.3


def test_the_version_is_printed() -> None:
    assert invoke("--version").stdout == f"limbeck {limbeck.__version__}\n"


# ---- mistakes and exit codes ----------------------------------------------------------------------------------------


def test_every_mistake_in_a_study_is_printed_and_the_exit_code_is_2(tmp_path: Path) -> None:
    text = MINI.replace("model: linear, inputs: [eda]", "model: liner, inputs: [eda]").replace("epochs", "epoch")
    result = invoke("run", write_study(tmp_path, text), "--out", tmp_path / "runs")
    assert result.exit_code == 2
    assert "Did you mean 'linear'?" in result.stderr
    assert "Did you mean 'epochs'?" in result.stderr
    assert "Traceback" not in result.output
    assert not result.stdout
    assert not (tmp_path / "runs").exists()


def test_a_study_that_is_not_there_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    result = invoke("run", tmp_path / "absent.yaml")
    assert result.exit_code == 2
    assert "absent.yaml" in result.stderr


@pytest.mark.parametrize("override", ["protocol.labelled", "protocol.labeled=3", "training.epochs=none"])
def test_a_wrong_override_is_a_mistake_of_the_user(tmp_path: Path, override: str) -> None:
    result = invoke("run", write_study(tmp_path), "--set", override, "--out", tmp_path / "runs")
    assert result.exit_code == 2
    assert override.partition("=")[0] in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [("run",), ("run", "a.yaml", "--jobs", "0"), ("report", "absent"), ("predict", ".", "absent.zip"), ("fly",)],
    ids=" ".join,
)
def test_wrong_arguments_end_with_2(arguments: tuple[str, ...]) -> None:
    assert invoke(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StudyError(["a: b"]), 2),
        (DataError("no windows"), 1),
        (ReadError("a.csv", found="nothing", expected="numbers"), 1),
        (LimbeckError("other"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_what_is_raised_decides_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: BaseException, code: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("limbeck.study.load_study", fail)
    result = invoke("run", tmp_path / "study.yaml")
    assert result.exit_code == code
    assert (str(error) or "go on where it stopped") in result.stderr


def test_an_unexpected_exception_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("limbeck.study.load_study", fail)
    assert isinstance(invoke("run", "study.yaml").exception, ZeroDivisionError)


# ---- run and report -------------------------------------------------------------------------------------------------


def test_a_run_prints_plan_verdict_and_report_and_ends_with_0_without_a_claim(finished: Any, run_folder: Path) -> None:
    out = finished.stdout
    assert re.search(r"2 folds x 1 repetition x 1 seed = 2 networks per stage", out)
    assert re.search(r"eeg 40 features, eda 7 features", out)
    assert re.search(r"\d+ tasks?; estimate with 1 process: \d+ s of training, .* memory, .* disk", out)
    assert "NOT SUPPORTED" in out
    assert out.index("estimate") < out.index("NOT SUPPORTED") < out.index("Report: ")
    assert out.rstrip().endswith(str(run_folder / "report.html"))
    assert (run_folder / "report.html").is_file()


def test_where_stderr_is_no_terminal_progress_is_plain_lines(finished: Any) -> None:
    lines = finished.stderr.splitlines()
    assert "training" in lines
    assert "judging" in lines
    assert [line for line in lines if re.fullmatch(r"training: \d+ of \d+ \(100 %\), \d+ s", line)]
    assert ESCAPE not in finished.output
    assert "Warning" not in finished.stderr


def test_a_second_run_trains_nothing_and_finds_the_same(place: Path, finished: Any, run_folder: Path) -> None:
    def state() -> dict[Path, int]:
        return {file: file.stat().st_mtime_ns for file in (place / "runs" / "store").rglob("weights.safetensors")}

    before, predictions = state(), (run_folder / "predictions.parquet").read_bytes()
    result = invoke("run", place / "mini.yaml", "--out", place / "runs", "--jobs", 1)
    assert result.exit_code == 0
    tasks = re.search(r"(\d+) tasks, (\d+) done already", result.stdout)
    assert tasks is not None
    assert tasks[1] == tasks[2]
    assert state() == before
    assert (run_folder / "predictions.parquet").read_bytes() == predictions


def test_quiet_prints_nothing_but_the_path_of_the_report(place: Path, run_folder: Path) -> None:
    result = invoke("run", place / "mini.yaml", "--out", place / "runs", "--jobs", 1, "--quiet")
    assert result.exit_code == 0
    assert result.stdout == f"{run_folder / 'report.html'}\n"
    assert not result.stderr


def test_a_dry_run_says_of_a_classical_model_that_it_is_fitted(tmp_path: Path) -> None:
    text = MINI.replace("{model: linear, inputs: [eeg, eda]}", "{model: lda, inputs: [eeg, eda]}")
    result = invoke("run", write_study(tmp_path, text), "--out", tmp_path / "runs", "--dry-run", "--jobs", 1)
    assert result.exit_code == 0
    assert "lda (fitted); reads eeg + eda" in result.stdout
    assert "(0 parameters)" not in result.stdout


def test_a_dry_run_shows_every_stage_with_its_teacher_loss_and_key_and_trains_nothing(tmp_path: Path) -> None:
    text = MINI + "sweep: {normalise: [train, transductive]}\n"
    result = invoke("run", write_study(tmp_path, text), "--out", tmp_path / "runs", "--dry-run", "--jobs", 1)
    assert result.exit_code == 0
    assert "mini [normalise=train]: Does it run?" in result.stdout
    assert "mini [normalise=transductive]: Does it run?" in result.stdout
    lines = [line.split(maxsplit=2) for line in result.stdout.splitlines() if re.match(r"[0-9a-f]{8} ", line)]
    assert all(re.search(r"; in \d+ looped tasks?$", what) for _, _, what in lines)
    rows = {name: what.rpartition("; in ")[0] for _, name, what in lines}
    student = "linear (16 parameters); reads eda"
    assert rows == {
        "teacher": "linear (96 parameters); reads eeg + eda; loss 1 hard",
        "alone": f"{student}; loss 1 hard",
        "taught": f"{student}; loss 1 hard + 1 soft; taught by teacher",
        "teacher/own_input_of_taught": f"as teacher; {student}",
        "taught/own_input": "as taught; taught by teacher/own_input_of_taught",
        "taught/scrambled": "as taught; knowledge: scrambled",
        "taught/hard_labels": "as taught; knowledge: hard_labels",
        "alone/all_labels": "as alone; sees all labels",
    }
    assert not list((tmp_path / "runs").glob("mini-*"))
    assert not list((tmp_path / "runs").rglob("weights.safetensors"))


def test_a_dry_run_says_which_stages_a_recipe_made_and_leaves_defaults_out(tmp_path: Path) -> None:
    text = re.sub(r"\nstages:(?:\n  .*)*|\ncompare:.*(?:\n  .*)*", "", MINI) + (
        "distil:\n  recipes: [{softer: {recipe: hinton, temperature: 9}}, takd]\n"
        "  teacher: {model: linear, inputs: [eeg, eda]}\n  student: {model: linear, inputs: [eda]}\n  controls: []\n"
    )
    result = invoke("run", write_study(tmp_path, text), "--out", tmp_path / "runs", "--dry-run", "--jobs", 1)
    assert result.exit_code == 0, result.output
    rows = {line.split()[1]: line for line in result.stdout.splitlines() if re.match(r"[0-9a-f]{8} ", line)}
    assert "loss 0.1 hard + 0.9 soft (temperature 9); taught by teacher; by recipe hinton" in rows["softer"]
    assert "by recipe takd" in rows["takd"]
    assert "by recipe takd" in rows["takd_assistant_1"]
    assert "by recipe" not in rows["teacher"] + rows["alone"]


def test_a_dry_run_has_a_row_for_what_choices_derive_alike(tmp_path: Path) -> None:
    text = MINI + "choose: {stages.taught.loss.soft.weight: [0.1, 0.9]}\n"
    result = invoke("run", write_study(tmp_path, text), "--out", tmp_path / "runs", "--dry-run", "--jobs", 1)
    assert result.exit_code == 0, result.output
    rows = [line.split(maxsplit=2)[1:] for line in result.stdout.splitlines() if re.match(r"[0-9a-f]{8} ", line)]
    assert {"taught", "taught/weight=0.1", "taught/weight=0.9", "taught/scrambled"} <= {name for name, _ in rows}
    assert not any(re.search("choosing_without|weight=0.[19]/", name) for name, _ in rows)
    (alike,) = (line for line in result.stdout.splitlines() if " taught/*/scrambled " in line)
    assert alike.startswith("2 keys ")
    assert "2 stages; the first, taught/weight=0.1/scrambled: as taught/weight=0.1; knowledge: scrambled" in alike
    assert result.stdout.count(" taught/*/choosing_without_*_of_2 ") == 1


def test_a_dry_run_counts_windows_by_subject_and_groups_what_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import numpy as np

    from limbeck.cli import planning
    from limbeck.study import make_plan

    eda = np.random.default_rng(0).normal(2, 0.1, (20, 1, 32))
    eda[12:18] = np.nan  # s3 and a part of s4
    subjects = [f"s{i // 4}" for i in range(20)]
    corpus = limbeck.from_arrays({"eda": eda}, {"eda": 4}, subjects, ["calm", "aroused", "calm", "calm"] * 5)
    text = re.sub(r"data: .*", "data: {corpus: arrays}", MINI).replace("{model: linear, inputs: [eeg, eda]}", "alone")
    text = re.sub(r"\n  eeg: .*|\n  teacher: .*|\n  taught: .*|\ncompare:.*(?:\n  .*)*", "", text)
    study = limbeck.load_study(write_study(tmp_path, text))
    planning.print_plan(make_plan(study, tmp_path / "runs", corpus=corpus), 1, keys=False)
    told = " ".join(capsys.readouterr().out.split())
    assert "per subject calm 4 to 6, aroused 0 to 2 no aroused: s4 " in told
    assert "left out s3 12 to s3 15, s4 16, s4 17: 2 of 2 windows have missing samples (eda 2)" in told
    assert "[...]" not in told


def test_stages_that_two_variants_share_are_printed_once_before_a_run(tmp_path: Path) -> None:
    text = MINI + "sweep: {normalise: [train, transductive]}\n"
    study = limbeck.load_study(write_study(tmp_path, text))
    from limbeck.study import make_plan

    with contextlib.redirect_stdout(io.StringIO()) as printed:
        planning.print_plan(make_plan(study, tmp_path / "runs"), 1, keys=False)
    assert printed.getvalue().count("teacher/own_input_of_taught  as teacher") == 1
    assert "stages as for normalise=train" in printed.getvalue()


def test_what_a_reader_left_out_is_named_before_a_run(tmp_path: Path) -> None:
    for number in range(4):
        folder = write_e4(tmp_path / "data" / f"s{number}", damaged=number == 3)
        labels = [f"s{number},{start},{start + 12},{name}" for start, name in ((0, "rest"), (12, "work"), (24, "rest"))]
        (tmp_path / "data" / "labels.csv").open("a").writelines(f"{row}\n" for row in labels)
        assert folder.is_dir()
    listed = (tmp_path / "data" / "labels.csv").read_text()
    (tmp_path / "data" / "labels.csv").write_text("subject,start,end,label\n" + listed)
    study = yaml.safe_load(MINI)
    study |= {
        "data": {"corpus": "e4", "root": str(tmp_path / "data")},
        "target": {"name": "work", "events": {"rest": ["rest"], "work": ["work"]}},
        "signals": {"eda": [{"features": ["statistics"]}]},
        "stages": {"alone": {"model": "linear", "inputs": ["eda"]}},
        "compare": [],
        "protocol": {"split": "leave_one_subject_out", "validation": 0},
    }
    file = write_study(tmp_path / "study", yaml.safe_dump(study))
    result = invoke("run", file, "--out", tmp_path / "runs", "--jobs", 1, "--dry-run")
    assert result.exit_code == 0, result.output
    assert re.search(r"left out .*s3.EDA\.csv", result.stdout)
    assert "3 subjects" in result.stdout


def test_report_judges_a_run_again_and_rewrites_its_report(run_folder: Path) -> None:
    (run_folder / "report.html").unlink()
    result = invoke("report", run_folder)
    assert result.exit_code == 0, result.output
    assert (run_folder / "report.html").is_file()
    assert "NOT SUPPORTED" in result.stdout


def test_report_refuses_a_folder_that_is_no_run(tmp_path: Path) -> None:
    result = invoke("report", tmp_path)
    assert result.exit_code == 1
    assert "not a run" in result.stderr


def test_an_interrupted_run_ends_with_130_and_goes_on_afterwards(tmp_path: Path) -> None:
    text = MINI.replace("{epochs: 2, batch: 8}", "{epochs: 300, batch: 2, patience: null}")
    command: list[str | Path] = [
        str(PROGRAM),
        "run",
        write_study(tmp_path, text),
        "--out",
        tmp_path / "runs",
        "--jobs",
        "1",
    ]
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # where the tests run in the background of a shell, their children would ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if re.match(r"training: \d", line):
                break
        os.killpg(process.pid, signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130, rest
    assert "Run it again to go on" in rest
    assert "Traceback" not in rest
    result = invoke(*map(str, command[1:]), "--dry-run")
    assert re.search(r"\d+ tasks, [1-9]\d* done already", result.stdout)


# ---- predict --------------------------------------------------------------------------------------------------------


def test_predict_prints_a_row_per_window(run_folder: Path, tmp_path: Path) -> None:
    result = invoke("predict", run_folder, write_e4(tmp_path / "anna"))
    assert result.exit_code == 0, result.output
    head, *rows = result.stdout.splitlines()
    assert head.split() == ["recording", "start", "end", "prediction", "p_calm", "p_aroused", "quality"]
    assert len(rows) == 12
    assert {row.split()[0] for row in rows} == {"anna"}
    assert {row.split()[3] for row in rows} <= {"calm", "aroused"}


def test_predict_writes_csv_to_a_file_or_to_stdout(run_folder: Path, tmp_path: Path) -> None:
    session = write_e4(tmp_path / "anna")
    to_file = invoke("predict", run_folder, session, "--csv", tmp_path / "own.csv")
    to_stdout = invoke("predict", run_folder, session, "--csv", "-")
    assert to_file.exit_code == to_stdout.exit_code == 0
    assert not to_file.stdout
    assert "12 rows" in to_file.stderr
    assert to_stdout.stdout == (tmp_path / "own.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(to_stdout.stdout)))
    assert all(abs(float(row["p_calm"]) + float(row["p_aroused"]) - 1) < 1e-5 for row in rows)


def test_predict_prints_times_as_finely_as_the_steps_of_a_trace_need(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = np.arange(8) / 4
    frame = pd.DataFrame({"recording": "anna", "start": start, "end": start + 0.25, "prediction": 0.5})
    monkeypatch.setattr("limbeck.study.predict_files", lambda *_: (frame, Corpus("anna", ())))
    rows = invoke("predict", run_folder, tmp_path).stdout.splitlines()[1:]
    assert [row.split()[1:3] for row in rows[:2]] == [["0.00", "0.25"], ["0.25", "0.50"]]
    assert "8 rows" in invoke("predict", run_folder, tmp_path, "--csv", tmp_path / "own.csv").stderr


def test_predict_names_what_it_left_out_on_stderr_and_reads_the_rest(run_folder: Path, tmp_path: Path) -> None:
    good, bad = write_e4(tmp_path / "anna"), write_e4(tmp_path / "bert", damaged=True)
    result = invoke("predict", run_folder, good, bad)
    assert result.exit_code == 0, result.output
    assert "anna" in result.stdout
    assert "bert" not in result.stdout
    (line,) = [line for line in result.stderr.splitlines() if "no number" in line]
    assert line.startswith("left out: ")
    assert f"{bad / 'EDA.csv'}, row 51" in line


def test_predict_fails_when_nothing_can_be_read(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no recording")
    result = invoke("predict", run_folder, tmp_path / "notes.txt")
    assert result.exit_code == 1
    assert "notes.txt" in result.stderr


# ---- runs -----------------------------------------------------------------------------------------------------------


def test_runs_lists_name_state_date_and_size(place: Path, run_folder: Path) -> None:
    plain, spelt = invoke("runs", "--out", place / "runs"), invoke("runs", "list", "--out", place / "runs")
    assert plain.exit_code == 0
    assert plain.stdout == spelt.stdout
    (row,) = [line for line in plain.stdout.splitlines() if line.startswith("mini-")]
    assert re.fullmatch(rf"{run_folder.name} +finished +\d{{4}}-\d\d-\d\dT\S+ +[\d.]+ kB", row)


def test_runs_of_a_folder_without_any_are_none(tmp_path: Path) -> None:
    result = invoke("runs", "--out", tmp_path / "runs")
    assert result.exit_code == 0
    assert not result.stdout
    assert "no runs" in result.stderr


def test_show_says_where_the_files_of_a_run_lie(place: Path, run_folder: Path) -> None:
    for name in (run_folder.name, run_folder):
        result = invoke("runs", "show", name, "--out", place / "runs")
        assert result.exit_code == 0
        for file in ("study.yaml", "predictions.parquet", "report.html", "deployed/student"):
            assert str(run_folder / file) in result.stdout


def test_the_name_of_a_study_is_answered_with_its_runs(run_folder: Path, tmp_path: Path) -> None:
    guessed = run_folder.parent / run_folder.name.rpartition("-")[0]
    for command in (["report", guessed], ["predict", guessed, tmp_path]):
        result = invoke(*command)
        assert result.exit_code == 2
        assert f"Did you mean {run_folder}" in " ".join(result.stderr.split())


def test_a_misspelt_run_is_answered_with_the_nearest(place: Path, run_folder: Path) -> None:
    result = invoke("runs", "show", run_folder.name[:-2], "--out", place / "runs")
    assert result.exit_code == 2
    assert f"Did you mean '{run_folder.name}'?" in result.stderr


@pytest.fixture
def marked_run(tmp_path: Path) -> Path:
    """A run as the store marks it, in ``runs``, with nothing trained."""
    from limbeck.study.store import mark_run

    folder = tmp_path / "runs" / "old-12345678"
    mark_run(folder, study="old", state="finished", stages=[KEY])
    (tmp_path / "runs" / "store" / KEY).mkdir(parents=True)
    return folder


def test_remove_asks_and_keeps_the_run_when_denied(marked_run: Path) -> None:
    arguments = ("runs", "remove", marked_run.name, "--out", marked_run.parent)
    assert invoke(*arguments, input="n\n").exit_code == 0
    assert marked_run.is_dir()
    assert invoke(*arguments, input="").exit_code == 1  # nobody there to answer
    assert marked_run.is_dir()
    assert invoke(*arguments, input="y\n").exit_code == 0
    assert not marked_run.exists()


def test_remove_with_yes_takes_the_run_and_the_stages_that_only_it_used(marked_run: Path) -> None:
    result = invoke("runs", "remove", marked_run.name, "--out", marked_run.parent, "--yes")
    assert result.exit_code == 0
    assert "set free" in result.stdout
    assert not marked_run.exists()
    assert not (marked_run.parent / "store" / KEY).exists()


def test_remove_touches_no_folder_that_is_not_a_run_and_nothing_when_one_name_is_wrong(marked_run: Path) -> None:
    other = marked_run.parent / "notes"
    other.mkdir()
    result = invoke("runs", "remove", marked_run.name, "notes", "--out", marked_run.parent, "--yes")
    assert result.exit_code == 2
    assert other.is_dir()
    assert marked_run.is_dir()


# ---- data sets and models -------------------------------------------------------------------------------------------


def test_datasets_list_names_every_data_set() -> None:
    from limbeck import datasets

    result = invoke("datasets", "list")
    assert result.exit_code == 0
    assert re.findall(r"^([\w-]+): ", result.stdout, flags=re.M) == datasets.available()


def test_describe_gives_terms_options_and_how_to_fetch() -> None:
    result = invoke("datasets", "describe", "stress-predict")
    assert result.exit_code == 0
    for part in ("MIT", "Iqbal et al.", "limbeck datasets fetch stress-predict", "trim=30.0"):
        assert part in result.stdout


def test_describe_of_the_simulated_cohort_states_regime_and_ceilings_of_every_preset() -> None:
    from limbeck.datasets.simulated import PRESETS, ceiling

    result = invoke("datasets", "describe", "simulated")
    assert result.exit_code == 0
    told = " ".join(result.stdout.split())
    for preset, described in PRESETS.items():
        part = told[told.index(f"{preset} {described['regime']}") :]
        for view in ("teacher", "student"):
            modalities = described["protocol"][view]
            best = ceiling(modalities, preset=preset)
            assert f"ceiling of the {view}, {' + '.join(modalities)}: {best:.3f}" in part
    assert "eda + eeg: 0.500" in told  # nothing tells anything in no_signal


@pytest.mark.parametrize("arguments", [("datasets", "describe", "eegmet"), ("datasets", "fetch", "eegmet")])
def test_a_misspelt_data_set_is_answered_with_the_nearest(arguments: tuple[str, ...]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "'eegmat'" in result.stderr


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A server of the folder ``published``."""
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "a.txt").write_text("published")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(tmp_path / "published"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize("published", ["published", "something else"])
def test_fetch_downloads_what_is_published_and_fails_on_anything_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: str, published: str
) -> None:
    digest = hashlib.sha256(published.encode()).hexdigest()
    monkeypatch.setattr(fetching, "checksums", lambda name: {"a.txt": digest})
    monkeypatch.setattr(fetching, "fetch", functools.partial(fetching.fetch, retries=0))
    result = invoke("datasets", "fetch", "eegmat", "--to", tmp_path / "own", "--url", server)
    if published == "published":
        assert result.exit_code == 0, result.output
        assert result.stdout == f"{tmp_path / 'own'}\n"
        assert (tmp_path / "own" / "a.txt").read_text() == "published"
    else:
        assert result.exit_code == 1
        assert "a.txt" in result.stderr
        assert not (tmp_path / "own" / "a.txt").exists()


# ---- printing -------------------------------------------------------------------------------------------------------


def test_lines_of_progress_come_once_per_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.Lines() as watch:
        watch.phase("training")
        for done in range(1, 1001):
            watch.step(done, 1000, "teacher")
        watch.phase("judging")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "training"
    assert [int(found[1]) for line in lines if (found := re.search(r"\((\d+) %\)", line))] == list(range(10, 101, 10))
    assert lines[-1] == "judging"


def test_bars_are_drawn_on_a_terminal_and_names_with_brackets_are_no_markup() -> None:
    from rich.console import Console

    screen = io.StringIO()
    with progress.Bars(Console(file=screen, force_terminal=True, width=120)) as watch:
        watch.phase("reading [bold]a[/bold]")
        watch.step(2, 5, "anna")
        watch.phase("judging")
    shown = screen.getvalue()
    assert "reading [bold]a[/bold]" in shown
    assert "2/5" in shown or "5/5" in shown
    assert "1/1" in shown


@pytest.mark.parametrize(("count", "shown"), [(0, "0 B"), (999, "999 B"), (1.5e6, "1.5 MB"), (2.25e9, "2.2 GB")])
def test_sizes_are_shown_in_the_unit_that_fits(count: float, shown: str) -> None:
    assert printing.size(count) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(0.1, "1 s"), (59, "59 s"), (120, "2 min"), (7500, "2 h 05 min")])
def test_durations_are_shown_in_the_unit_that_fits(seconds: float, shown: str) -> None:
    assert printing.duration(seconds) == shown


@pytest.mark.parametrize(("cores", "jobs"), [(1, 1), (2, 2), (64, processes.MOST_JOBS)])
def test_by_default_a_process_runs_per_core_up_to_a_bound(
    monkeypatch: pytest.MonkeyPatch, cores: int, jobs: int
) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: cores)
    assert processes.available_jobs() == jobs


# ---- the README -----------------------------------------------------------------------------------------------------


def readme_blocks(language: str) -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.M | re.S)
    return [block for own, block in blocks if own == language]


def test_the_readme_runs_from_python(
    place: Path, finished: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = [block for block in readme_blocks("python") if "run_study" in block]
    assert len([line for line in block.splitlines() if line.strip()]) <= 12
    write_study(tmp_path / "studies").rename(tmp_path / "studies" / "demo.yaml")
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})  # the documentation itself is what is tested
    printed = capsys.readouterr().out
    assert "No evidence that teaching helped" in printed
    assert "taught/scrambled" in printed
    assert (tmp_path / printed.splitlines()[-1]).is_file()


def test_the_study_in_the_readme_is_valid() -> None:
    study = limbeck.parse_study(yaml.safe_load(readme_blocks("yaml")[0]))
    assert list(study.variants) == ["labelled=6", "labelled=all"]


def test_the_signals_in_the_readme_are_valid_and_run_on_arrays() -> None:
    signals = yaml.safe_load(readme_blocks("yaml")[1])["signals"]
    assert set(parse_signals(signals)) == set(signals)
    (block,) = [block for block in readme_blocks("python") if "extract" in block]
    names: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), names)
    assert names["values"].shape == (100, 192)
    table = names["table"]
    assert len(table) == names["cohort"].sizes["window"]
    assert {"subject", "start", "eda.eda.eda.scr_rate"} <= set(table.columns)


def test_the_commands_in_the_readme_exist() -> None:
    known = {" ".join(path) for path in all_commands()}
    lines = [line for block in readme_blocks("") for line in block.splitlines() if line.startswith("limbeck ")]
    assert len(lines) >= 7
    for line in lines:
        words = shlex.split(line.partition("   ")[0])[1:]
        assert words[0] in known
        command = words[:1]
        if words[0] in ("runs", "datasets") and len(words) > 1:
            command = words[:2]
            assert " ".join(command) in known
        options = {word for word in words if word.startswith("--")}
        assert options <= set(re.findall(r"--[a-z-]+", invoke(*command, "--help").stdout))


def test_the_readme_opens_with_what_it_is_and_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.index("```\nmake demo\nmake test\n```") < text.index("\n## ")
    first = text.split("\n\n")[1].replace("\n", " ")
    assert len(re.findall(r"\.(?: |$)", first)) == 3


def test_arrays_of_ones_own_are_cut_as_the_readme_says() -> None:
    (block,) = [block for block in readme_blocks("python") if "from_arrays" in block]
    names: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), names)
    assert names["cohort"].sizes["window"] == 6
