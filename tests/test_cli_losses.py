"""``limbeck losses``: the losses by what they learn from, one of them, and what stands beside losses."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from typer.testing import CliRunner

from limbeck import cli
from limbeck.augment import CHANGES, STRENGTHS
from limbeck.cli import describing
from limbeck.distillation import COMBINATIONS, LOSSES, STEPS
from limbeck.distillation.functional.maps import MAPS
from limbeck.notation import read_yaml
from limbeck.study import parse_study

BESIDE = [*COMBINATIONS, *STEPS, *CHANGES, *STRENGTHS, *MAPS]

STUDY: dict[str, Any] = {
    "study": "tiny",
    "data": {"corpus": "simulated"},
    "windows": {"length": 8, "hop": 8},
}

TARGETS: Mapping[str, dict[str, Any]] = {
    "class": {"name": "arousal", "events": {"calm": ["calm"], "aroused": ["aroused"]}},
    "trace": {"name": "felt", "trace": "arousal"},
}


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(cli.app, ["losses", *arguments], prog_name="limbeck")


def test_every_loss_is_listed_under_what_it_learns_from_and_so_is_what_stands_beside() -> None:
    group, rows = "", {}
    for line in invoke().stdout.partition("\n\nlimbeck losses NAME")[0].splitlines()[1:]:
        if line.startswith("  "):
            rows[line.split()[0]] = (group, line)
        elif line:
            group = line.split()[0]
    assert set(rows) == {*LOSSES, *BESIDE, "auto"}
    groups = {name: found for name, (found, _) in rows.items()}
    assert groups["hard"] == "labels"
    assert groups["soft"] == groups["ccc"] == "predictions"
    assert groups["hint"] == groups["crd"] == groups["coral"] == "features"
    assert groups["rkd"] == groups["pkdot"] == "relations"
    assert groups["mutual"] == groups["self_distil"] == "partners"
    assert groups["contrast"] == groups["xkd"] == "windows"
    assert (groups["best"], groups["feedback"], groups["jitter"]) == ("teachers", "steps", "augment")
    for name in LOSSES:
        assert describing.plain(LOSSES.help(name).splitlines()[0]) in rows[name][1]
    assert rows["l1"][1].split()[1:3] == ["trace", "logits"]
    assert re.search("partner, changed windows ", rows["consistency"][1])


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_described_with_an_example_that_is_a_study(name: str) -> None:
    answer = invoke(name)
    assert answer.exit_code == 0, answer.output
    loss: Any = LOSSES[name]
    words = " ".join(answer.stdout.split())
    assert words.startswith(f"{name}: {describing.plain(LOSSES.help(name).splitlines()[0])}")
    assert loss.paper in words
    example, _, options = answer.stdout.partition("Written in a study")[2].partition("\n\nOptions")
    for option in LOSSES.options(name):
        assert re.search(rf"\b{option}\b", options)
    stages = read_yaml(example)
    read: dict[str, list[Any]] = {
        modality: [] for stage in stages["stages"].values() for modality in stage.get("inputs", ())
    }
    whole = {**STUDY, "signals": read, "target": TARGETS[loss.kinds[0]], **stages}
    (variant,) = parse_study(whole).variants.values()
    assert any(name in stage.loss for stage in variant.stages.values())


@pytest.mark.parametrize("name", BESIDE)
def test_what_stands_beside_losses_is_described_too(name: str) -> None:
    answer = invoke(name)
    assert answer.exit_code == 0, answer.output
    registry = next((one for one in (COMBINATIONS, STEPS, CHANGES) if name in one), None)
    for option in registry.options(name) if registry else ():
        assert option in answer.stdout.partition("\nOptions")[2]


def test_every_option_of_a_loss_is_documented() -> None:
    lacking = [
        f"{name}.{option.name}" for name in LOSSES for option in describing.options_of(LOSSES, name) if not option.text
    ]
    assert not lacking


def test_faults_that_were_published_are_told_with_the_option_that_brings_them_back() -> None:
    words = " ".join(invoke("soft").stdout.split())
    assert "t_squared: false – The published code of SDT" in words
    assert "reverse: true – The published code" in words
    assert "as_released: true – The released code" in " ".join(invoke("stochastic").stdout.split())
    assert "detach – Published is false" in " ".join(invoke("adapters").stdout.split())


def test_nothing_is_told_twice() -> None:
    for name, once in (("hint", "twice as wide"), ("crd", "draws K rows"), ("crd", "0, as published"), ("soft", "SDT")):
        assert " ".join(invoke(name).stdout.split()).count(once) == 1


def test_maps_are_told_where_a_loss_has_one() -> None:
    assert all(f" {name}: " in invoke("hint").stdout for name in MAPS)
    assert "maps " not in invoke("rkd").stdout.partition("Written")[0]


def test_everything_is_there_as_json() -> None:
    whole = json.loads(invoke("--json").stdout)
    assert [one["name"] for one in whole["losses"]] == list(LOSSES)
    assert [one["name"] for one in whole["steps"]] == list(STEPS)
    (soft,) = (one for one in whole["losses"] if one["name"] == "soft")
    assert soft == json.loads(invoke("soft", "--json").stdout)
    assert soft["options"]["temperature"] == LOSSES.options("soft")["temperature"]
    assert json.loads(invoke("jitter", "--json").stdout)["kind"] == "change of windows"


def test_what_is_no_loss_is_refused_with_what_was_meant() -> None:
    assert "Did you mean 'soft'" in invoke("sof").output
    assert "limbeck methods emotionkd" in " ".join(invoke("emotionkd").output.split())
    assert invoke("sof").exit_code == 2
