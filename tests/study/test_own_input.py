"""A teacher that sees no more than its student: the same design where it can read that, the student's where not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from limbeck.study import Plan, parse_study
from limbeck.study.graph import Node, build_graph

Definition = Callable[..., dict[str, Any]]
PlanOf = Callable[..., Plan]
Train = Callable[..., pd.DataFrame]


def nodes_of(definition: dict[str, Any]) -> dict[str, Node]:
    (variant,) = parse_study(definition).variants.values()
    return build_graph(variant)


def blinded(definition: dict[str, Any], teacher: str = "teacher") -> Any:
    """Return the stage of a teacher as the own-input control of the taught arm has it."""
    return nodes_of(definition)[f"{teacher}/own_input_of_taught"].stage


def test_a_control_that_would_be_the_arm_itself_is_refused(
    tiny: Definition, mistakes: Callable[..., list[str]]
) -> None:
    alike = {"teacher": {"model": "linear", "inputs": ["eda"]}}
    definition = tiny(stages=alike, signals={"temp": None})
    (mistake,) = mistakes(definition)
    assert mistake.startswith("compare.0.controls: own_input of 'taught' would be 'taught' once more")
    parse_study({**definition, "compare": [{"taught": "taught", "alone": "alone", "controls": ["scrambled"]}]})


def test_a_design_that_can_read_it_is_kept(tiny: Definition) -> None:
    stage = blinded(tiny(stages={"teacher": {"model": {"name": "mlp", "hidden": 5}, "training": {"epochs": 7}}}))
    assert (stage.model.name, stage.model.options) == ("mlp", {"hidden": 5})
    assert stage.inputs == {"eda": None}
    assert stage.training == {"epochs": 7}


def test_a_design_for_signals_gives_way_where_the_student_reads_features(tiny: Definition) -> None:
    definition = tiny(
        signals={"temp": [{"resample": 16}]},
        stages={
            "teacher": {"model": "fusion_cnn", "inputs": ["temp"], "training": {"epochs": 7}},
            "alone": {"model": {"name": "mlp", "hidden": 5}, "training": {"epochs": 3}},
        },
    )
    stage = blinded(definition)
    assert (stage.model.name, stage.model.options) == ("mlp", {"hidden": 5})
    assert stage.inputs == {"eda": None}
    assert stage.training == {"epochs": 3}  # a design comes with how it is trained


def test_a_design_for_features_gives_way_where_the_student_reads_signals(
    tiny: Definition, plan_of: PlanOf, train: Train
) -> None:
    definition = tiny(
        signals={"eda": [{"resample": 16}]},
        stages={"teacher": {"model": "linear", "inputs": ["temp"]}, "alone": {"model": "fusion_cnn"}},
        training={"epochs": 1},
    )
    assert blinded(definition).model.name == "fusion_cnn"
    table = train(plan_of(definition))
    assert "taught/own_input" in set(table["arm"].astype(str))


@pytest.mark.parametrize("model", ["pkdot_teacher", "hkd_mer", "sdt"])
def test_a_design_for_several_sensors_gives_way_where_the_student_has_one(tiny: Definition, model: str) -> None:
    definition = tiny(
        signals={"eda": [{"resample": 16}], "temp": [{"resample": 16}]},
        stages={"teacher": {"model": model}, "alone": {"model": "fusion_cnn"}},
    )
    assert blinded(definition).model.name == "fusion_cnn"


def test_a_design_that_does_without_sensors_reads_the_one_that_is_left(tiny: Definition) -> None:
    definition = tiny(
        signals={"eda": [{"resample": 16}], "temp": [{"resample": 16}]},
        stages={"teacher": {"model": "fusion_teacher"}, "alone": {"model": "fusion_cnn"}},
    )
    assert blinded(definition).model.name == "fusion_teacher"


def test_what_a_teacher_does_without_or_drops_goes_where_it_does_not_read_it(
    tiny: Definition, plan_of: PlanOf, train: Train
) -> None:
    definition = tiny(stages={"teacher": {"without": ["temp"], "augment": {"drop": {"temp": 0.5}}}})
    stage = blinded(definition)
    assert (stage.without, stage.augment) == ([], None)
    train(plan_of(definition))


@pytest.mark.parametrize(
    ("augment", "inputs", "left"),
    [
        ("weak", ["eda"], "weak"),
        ({"temp": [{"gain": 0.1}], "eda": "weak"}, ["eda"], {"eda": "weak"}),
        ({"drop": {"temp": 0.5, "eda": 0.1}}, {"eda": ["eda"], "temp": None}, {"drop": {"temp": 0.5, "eda": 0.1}}),
        ({"drop": {"temp": 0.5, "eda": 0.1}, "eda": "weak"}, ["eda"], {"eda": "weak"}),
    ],
)
def test_changes_of_what_is_left_to_read_are_kept(tiny: Definition, augment: Any, inputs: Any, left: Any) -> None:
    definition = tiny(stages={"teacher": {"augment": augment}, "alone": {"inputs": inputs}})
    assert blinded(definition).augment == left


def test_the_whole_chain_of_a_teacher_is_blinded_with_its_partners(tiny: Definition) -> None:
    definition = tiny()
    first = {"first": {"model": "mlp", "inputs": ["eda", "temp"]}}
    definition["stages"] = {**first, **definition["stages"]}
    definition["stages"]["teacher"] |= {
        "model": "mlp",
        "start": "first",
        "partners": {"peer": {"inputs": ["temp"]}},
        "loss": {"hard": 1, "mutual": 1},
    }
    nodes = nodes_of(definition)
    teacher = nodes["teacher/own_input_of_taught"]
    assert teacher.start == "first/own_input_of_taught"
    assert nodes[teacher.start].stage.inputs == {"eda": None}
    assert teacher.stage.partners["peer"].inputs == {"eda": None}
    for name, node in nodes.items():
        if "own_input" in name:
            assert "temp" not in node.stage.inputs
