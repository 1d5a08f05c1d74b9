"""``limbeck methods``: the recipes, one of them, and a study written out."""

from __future__ import annotations

import json
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


def test_every_recipe_is_listed_with_its_year_its_needs_and_one_line() -> None:
    lines = invoke().stdout.splitlines()[1:]
    rows = {line.split()[0]: line for line in lines}
    assert set(rows) == set(RECIPES)
    assert rows["hinton"].split()[1:3] == ["2015", "needed"]
    assert "features, live teacher" in rows["emotionkd"]
    for name in RECIPES:
        assert RECIPES.help(name).splitlines()[0] in rows[name]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_described_with_the_stages_that_it_makes(name: str) -> None:
    answer = invoke(name)
    assert answer.exit_code == 0, answer.output
    assert RECIPES.help(name).splitlines()[0] in answer.stdout
    recipe: Any = RECIPES[name]
    assert recipe.paper in answer.stdout
    for fault in recipe.faults:
        assert fault.what in answer.stdout
        assert fault.option in answer.stdout
    shown = read_yaml(answer.stdout.partition("What it stands for")[2])
    assert name in shown["stages"]
    assert shown["compare"][0]["taught"] == name


def test_everything_is_there_as_json() -> None:
    listed = json.loads(invoke("--json").stdout)
    assert [one["name"] for one in listed] == list(RECIPES)
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
