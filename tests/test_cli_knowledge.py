"""What ``limbeck knowledge`` prints, writes and refuses."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from limbeck import cli

# The package has the command under this name, too.
room = importlib.import_module("limbeck.cli.knowledge")

STATISTICS = [{"features": ["statistics"]}]

STUDY: dict[str, Any] = {
    "study": "shown",
    "question": "What is handed over?",
    "data": {
        "corpus": "simulated",
        "options": {"subjects": 6, "trials": 6, "trial_seconds": 4.0, "seed": 3, "modalities": ["eda", "temp"]},
    },
    "target": {"name": "arousal", "events": {"calm": ["calm"], "aroused": ["aroused"]}},
    "signals": {"eda": STATISTICS, "temp": STATISTICS},
    "windows": {"length": 4, "hop": 4},
    "normalise": "train",
    "protocol": {"split": 2, "labelled": 2},
    "training": {"epochs": 2, "batch": 8},
    "stages": {
        "teacher": {"model": "mlp", "inputs": ["eda", "temp"]},
        "alone": {"model": "mlp", "inputs": ["eda"]},
        "taught": {
            "like": "alone",
            "taught_by": "teacher",
            "loss": {"hard": 1, "soft": {"temperature": 2}, "hint": {"teacher": "hidden", "student": "hidden"}},
        },
    },
    "compare": [{"taught": "taught", "alone": "alone"}],
    "engine": {"backend": "looped"},
}


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments], prog_name="limbeck")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run."""
    place = tmp_path_factory.mktemp("knowledge")
    (place / "shown.yaml").write_text(yaml.safe_dump(STUDY), encoding="utf-8")
    result = invoke("run", place / "shown.yaml", "--out", place / "runs", "--jobs", 1, "--quiet")
    assert result.exit_code == 0, result.output
    (folder,) = (place / "runs").glob("shown-*")
    return folder


def test_a_teacher_is_shown_with_parts_classes_subjects_features_and_a_sentence(finished: Path) -> None:
    result = invoke("knowledge", finished)
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0] == "teacher: 2 folds × 1 repetition × 1 seed"
    assert "windows handed over accuracy balanced confidence entropy entropy (share) margin ECE NLL" in lines
    assert {"windows", "true class, unlabelled windows", "subjects, unlabelled windows", "features"} <= {*lines}
    assert [line for line in lines if line.startswith("labelled ")]
    assert [line for line in lines if line.startswith("aroused ")]
    assert len([line for line in lines if line.startswith("S0")]) == 2
    assert [line for line in lines if line.startswith("hidden 16 ")]
    assert [line for line in lines if line.startswith("'teacher' is right on ") and line.endswith(".")]


def test_teachers_of_controls_are_lines_until_they_are_asked_for(finished: Path) -> None:
    shown = invoke("knowledge", finished).stdout
    assert "Other teachers" in shown
    assert "teacher/own_input_of_taught" in shown.partition("Other teachers")[2]
    one = invoke("knowledge", finished, "--stage", "teacher/own_input_of_taught").stdout
    assert one.startswith("teacher/own_input_of_taught: 2 folds")
    assert "Other teachers" not in one


def test_a_run_is_found_from_within(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)
    result = invoke("knowledge", ".", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["run"] == finished.name


def test_a_run_is_found_by_its_name_among_the_runs(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished.parent.parent)
    assert invoke("knowledge", finished.name).stdout == invoke("knowledge", finished).stdout != ""


def test_json_holds_everything_and_is_valid(finished: Path) -> None:
    result = invoke("knowledge", finished, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert found["run"] == finished.name
    teacher = found["teachers"][0]
    assert teacher["stage"] == "teacher"
    parts = {part["name"]: part for part in teacher["parts"]}
    assert set(parts) == {"labelled", "unlabelled"}
    for part in parts.values():
        assert sum(subject["handed_over"] for subject in part["subjects"]) == part["handed_over"]
        assert sum(each["handed_over"] for each in part["classes"]) == part["handed_over"]
        assert 0 <= part["scores"]["ece"] <= 1
    assert teacher["features"][0]["name"] == "hidden"


def test_what_is_undefined_is_null_and_named_in_tables() -> None:
    assert room._defined({"a": [float("nan"), 1.0], "b": "nan"}) == {"a": [None, 1.0], "b": "nan"}
    assert room._number(float("nan")) == "undefined"
    assert room._number(1234.5678) == "1235"


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_figure_is_written(finished: Path, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"sure.{ending}"
    result = invoke("knowledge", finished, "--stage", "teacher", "--figure", file)
    assert result.exit_code == 0, result.output
    assert f"drawn to {file}" in result.stderr
    content = file.read_bytes()
    if ending == "png":
        assert content.startswith(b"\x89PNG")
    else:
        assert b"unlabelled windows" in content
        assert b"entropy" in content
    again = invoke("knowledge", finished, "--stage", "teacher", "--figure", file)
    assert again.exit_code == 0, "a figure of Limbeck's own may be replaced"


def test_a_file_of_somebody_else_is_not_replaced(finished: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.png"
    file.write_bytes(b"not a picture")
    result = invoke("knowledge", finished, "--figure", file)
    assert result.exit_code == 2
    assert file.read_bytes() == b"not a picture"


@pytest.mark.parametrize(("option", "name"), [("--stage", "techer"), ("--variant", "labelled=9")])
def test_mistakes_in_names_end_with_2(finished: Path, option: str, name: str) -> None:
    result = invoke("knowledge", finished, option, name)
    assert result.exit_code == 2
    assert f"'{name}'" in result.stderr
    assert "Traceback" not in result.output


def test_a_run_without_variants_says_that_it_has_none(finished: Path) -> None:
    stderr = " ".join(invoke("knowledge", finished, "--variant", "x").stderr.replace("│", " ").split())
    assert "has no variants, and so no 'x': leave --variant out" in stderr
    assert "Allowed" not in stderr


def test_a_folder_that_is_no_run_ends_with_1(tmp_path: Path) -> None:
    result = invoke("knowledge", tmp_path)
    assert result.exit_code == 1
    assert "not a run of Limbeck" in result.stderr


def test_knowledge_that_was_removed_ends_with_1_and_says_what_to_do(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished.parent, tmp_path / "runs")
    for file in (tmp_path / "runs").glob("store/*/group-*/knowledge.logits.npy"):
        file.unlink()
    result = invoke("knowledge", tmp_path / "runs" / finished.name)
    assert result.exit_code == 1
    assert "no longer in" in result.stderr
    assert "Run the study again" in result.stderr


def test_of_many_subjects_both_ends_are_shown() -> None:
    records = [{"subject": str(number)} for number in range(50)]
    ends = room._ends(records)
    assert ends[:10] == records[:10]
    assert ends[10] is None
    assert ends[11:] == records[-10:]
    assert room._ends(records[:20]) == records[:20]
