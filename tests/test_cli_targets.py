"""``limbeck targets``: what is commonly predicted on published data sets."""

from __future__ import annotations

from typing import Any

import yaml
from typer.testing import CliRunner

from limbeck import cli
from limbeck.targets import TARGETS, Target


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(cli.app, ["targets", *arguments], prog_name="limbeck", env={"COLUMNS": "160"})


def test_every_target_is_listed_and_those_of_a_data_set_alone() -> None:
    everything = [line.split()[0] for line in invoke().stdout.splitlines()[1:]]
    assert everything == list(TARGETS)
    of_wesad = [line.split()[0] for line in invoke("wesad").stdout.splitlines()[1:]]
    assert of_wesad == [name for name, preset in TARGETS.items() if preset.corpus == "wesad"]


def test_a_target_is_described_by_what_it_stands_for_in_a_study() -> None:
    said = invoke("biovid_t0_t4").stdout
    assert "no_pain, pain" in said
    definition = yaml.safe_load(said[said.index("target:\n") :])["target"]
    assert Target.parse(definition).definition == Target.parse("biovid_t0_t4").definition


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    done = invoke("wesda")
    assert done.exit_code == 2
    assert "no target or data set 'wesda'. Did you mean 'wesad'?" in done.output


def test_a_data_set_without_targets_is_no_misspelt_name() -> None:
    done = invoke("decaf")
    assert done.exit_code == 0
    assert "No target is known for the data set 'decaf'" in done.stderr
    assert "Did you mean" not in done.output
