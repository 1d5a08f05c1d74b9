"""``limbeck methods``: the recipes, one of them, and a study written out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from limbeck import cli
from limbeck.distillation.recipes import RECIPES
from limbeck.notation import read_yaml, write_yaml
from limbeck.study import parse_study

STUDY: dict[str, Any] = {
    "study": "tiny",
    "data": {"corpus": "simulated", "options": {"subjects": 4, "modalities": ["eda", "temp"]}},
    "target": {"name": "arousal", "events": {"calm": ["calm"], "aroused": ["aroused"]}},
    "signals": {"eda": [], "temp": []},
    "windows": {"length": 8, "hop": 8},
    "distil": {
        "recipe": "hinton",
        "teacher": {"model": "tcn", "inputs": ["eda", "temp"]},
        "student": {"model": "tcn", "inputs": ["eda"]},
    },
}


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(cli.app, ["methods", *arguments], prog_name="limbeck")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A file that names a recipe."""
    file = tmp_path / "tiny.yaml"
    file.write_text(write_yaml(STUDY), encoding="utf-8")
    return file


def rows() -> dict[str, str]:
    """The lines of the list by recipe, in their order."""
    table = invoke().stdout.partition("\n\nlive:")[0].splitlines()[1:]
    return {line.split()[0]: line for line in table if line.startswith("  ")}


def test_every_recipe_is_listed_with_its_year_its_needs_and_one_line() -> None:
    listed = rows()
    assert set(listed) == set(RECIPES)
    assert listed["hinton"].split()[1:5] == ["2015", "needed", "both", "–"]
    assert "features, live teacher" in listed["emotionkd"]
    for name in RECIPES:
        assert RECIPES.help(name).splitlines()[0] in listed[name]


def test_the_list_is_grouped_begins_with_the_oldest_and_says_where_there_is_more() -> None:
    listed, answer = list(rows()), invoke().stdout
    assert listed[0] == "hinton"
    assert listed.index("dkd") < listed.index("fitnets") < listed.index("pkdot") < listed.index("takd")
    assert all(f"\n{title} " in answer for title in ("predictions", "together", "chains", "pre-training"))
    last = " ".join(answer.split("\n\n")[-1].split())
    assert "limbeck methods NAME" in last
    assert "--expand STUDY" in last


def test_the_list_fits_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    monkeypatch.setattr(
        "limbeck.cli.printing.console", lambda: Console(width=120, force_terminal=True, no_color=True, highlight=False)
    )
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in invoke().stdout.splitlines()]
    assert max(map(len, lines)) <= 120
    assert any(line.startswith("  visual_to_eeg  2022") for line in lines)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_described_with_the_stages_that_it_makes(name: str) -> None:
    answer = invoke(name)
    assert answer.exit_code == 0, answer.output
    assert RECIPES.help(name).splitlines()[0] in " ".join(answer.stdout.split())
    recipe: Any = RECIPES[name]
    words = " ".join(answer.stdout.split())
    assert recipe.paper in words
    for fault in recipe.faults:
        assert fault.what in words
        assert fault.option in words
    made, _, options = answer.stdout.partition("What it stands for")[2].partition("\n\nOptions")
    shown = read_yaml(made.partition("\n\n")[2])
    assert name in shown["stages"]
    assert shown["compare"][0]["taught"] == name
    assert "&id" not in made
    for option in RECIPES.options(name):
        assert re.search(rf"\b{option}\b", options)
    assert "Parameters" not in answer.stdout


def test_the_controls_are_those_that_the_example_has() -> None:
    def told(name: str) -> str:
        return next(line for line in invoke(name).stdout.splitlines() if line.startswith("  controls "))

    assert told("hinton").split(maxsplit=1)[1] == "own_input, scrambled"
    assert "scrambled in the example; own_input where" in told("pkdot")
    assert "none: nobody reads more than the student" in told("mean_teacher")


def test_a_fault_says_where_its_flag_is_written() -> None:
    assert "(as published: under distil, feedback: ce_only)" in " ".join(invoke("emotionkd").stdout.split())


def test_what_distil_takes_beside_the_options_of_a_recipe_is_told() -> None:
    words = " ".join(invoke("hinton").stdout.split())
    assert all(key in words for key in ("controls and diagnostics", "crossfit, knowledge and unlabelled"))
    assert "It has to be given." in " ".join(invoke("tlkd_method1").stdout.split())


def test_what_is_no_recipe_but_a_loss_is_found_in_the_other_list() -> None:
    assert "limbeck losses soft" in " ".join(invoke("soft").output.split())
    assert "limbeck losses jitter" in " ".join(invoke("jitter").output.split())


def test_everything_is_there_as_json() -> None:
    listed = json.loads(invoke("--json").stdout)
    assert {one["name"] for one in listed} == set(RECIPES)
    (ssd,) = (one for one in listed if one["name"] == "ssd")
    assert ssd["options"]["passes"] == 30
    assert "as_released: true" in [fault["option"] for fault in ssd["faults"]]
    alone = json.loads(invoke("ssd", "--json").stdout)
    assert alone["stages"]["ssd"]["partners"]["teacher"]["dropout"] is True
    assert alone["distil"]["recipe"] == "ssd"


def test_a_study_is_written_out_without_recipes_and_means_the_same(study: Path) -> None:
    written = read_yaml(invoke("--expand", str(study)).stdout)
    assert "distil" not in written
    assert list(written["stages"]) == ["teacher", "alone", "hinton"]
    assert parse_study(written).variants == parse_study(STUDY).variants
    changed = read_yaml(invoke("--expand", str(study), "--set", "distil.temperature=9").stdout)
    assert changed["stages"]["hinton"]["loss"]["soft"]["temperature"] == 9
    assert json.loads(invoke("--expand", str(study), "--json").stdout) == written


def test_mistakes_are_answered_with_what_was_expected(study: Path) -> None:
    assert "Did you mean 'hinton'" in invoke("hintn").output
    assert "not both" in invoke("hinton", "--expand", str(study)).output
    assert "name it by --expand" in invoke("--set", "distil.weight=2").output
    assert "has no such option" in invoke("--expand", str(study), "--set", "distil.wight=2").output
    assert invoke("--expand", str(study), "--set", "distil.wight=2").exit_code == 2
