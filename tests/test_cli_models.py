"""``limbeck models``: what there is, what it costs, and the layers of one."""

from __future__ import annotations

from typing import Any

from typer.testing import CliRunner

from limbeck import cli
from limbeck.models import MODELS, InputShape, build, count_multiply_adds, count_parameters
from limbeck.models.contract import class_of


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(cli.app, ["models", *arguments], prog_name="limbeck")


def test_every_model_is_listed_with_parameters_and_operations() -> None:
    lines = invoke().stdout.splitlines()[1:]
    rows = {line.split()[0]: line for line in lines}
    assert set(MODELS) <= set(rows)
    assert "558,068" in rows["pain_attn_net"]
    assert "48.2 M" in rows["pain_attn_net"]
    assert rows["fear_gru"].split()[1:3] == ["eeg,", "eog,"]
    for name in MODELS:
        assert MODELS.help(name).splitlines()[0] in rows[name]
        if class_of(name).family == "network":
            assert any(word.replace(",", "").isdigit() for word in rows[name].split()), name


def test_a_model_is_described_layer_by_layer_for_given_shapes() -> None:
    said = invoke("student_tiny", "--input", "eeg=2x1250@250", "--outputs", "3").stdout
    shapes = {"eeg": InputShape(2, 1250, 250.0)}
    model = build("student_tiny", shapes, 3)
    assert "2 × 1250 samples at 250 Hz" in said
    assert f"{count_parameters(model):,} (" in said
    assert f"{count_multiply_adds(model, shapes):,} for one window" in said
    rows = [line.split() for line in said[said.index("layer  ") :].splitlines()[1:]]
    assert sum(int(row[3].replace(",", "")) for row in rows) == count_parameters(model)
    assert rows[-1][:3] == ["head", "Linear", "3"]


def test_options_change_what_is_printed() -> None:
    assert "558,308 (" in invoke("pain_attn_net", "--option", "as_released=true").stdout
    assert "558,068 (" in invoke("pain_attn_net").stdout


def test_features_are_a_shape_too() -> None:
    assert "12 features" in invoke("mlp", "--input", "eda=12").stdout


def test_mistakes_are_answered_with_what_was_expected() -> None:
    assert "found 'eda=1*240'; expected a signal such as eda=1x240@4" in invoke("mlp", "--input", "eda=1*240").output
    assert "Did you mean 'student_tiny'" in invoke("student_tine").output
    assert "no option 'wdth'" in invoke("mlp", "--option", "wdth=3").output
    assert "expected KEY=VALUE" in invoke("mlp", "--option", "width").output
    assert "reads features, but 'eda' is a signal" in invoke("mlp", "--input", "eda=1x240@4").output
