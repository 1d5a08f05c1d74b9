"""Controls, ceilings and cross-fitted teachers follow from the stages as written, and differ in one thing only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from limbeck.study import parse_study
from limbeck.study.graph import Node, ancestors, build_graph, levels

Definition = Callable[..., dict[str, Any]]


def graph(definition: dict[str, Any]) -> dict[str, Node]:
    return build_graph(parse_study(definition).variants[""])


def differences(one: Node, other: Node) -> set[str]:
    """Return in which fields, but their names and roles, two nodes differ."""
    names = set(Node.__dataclass_fields__) - {"name", "role"}
    return {name for name in names if getattr(one, name) != getattr(other, name)}


@pytest.fixture
def chained(tiny: Definition) -> dict[str, Any]:
    """A teacher taught by a teacher and started from a third stage; the student is cross-fitted."""
    definition = tiny()
    definition["stages"] = {
        "first": {"model": "mlp", "inputs": ["eda", "temp"], "training": {"epochs": 9}},
        "grand": {"model": {"name": "mlp", "hidden": 8}, "inputs": ["eda", "temp"]},
        "teacher": {
            "model": "mlp",
            "inputs": ["temp", "eda"],
            "taught_by": "grand",
            "start": "first",
            "loss": {"hard": 1, "soft": 2},
        },
        "alone": {"model": "linear", "inputs": ["eda"]},
        "taught": {"like": "alone", "taught_by": "teacher", "loss": {"soft": 1}, "crossfit": 2},
    }
    return definition


def test_a_node_stands_behind_what_it_stands_on_wherever_it_was_written(tiny: Definition) -> None:
    definition = tiny()
    definition["stages"]["taught"] = {"model": "linear", "inputs": ["eda"], "taught_by": "teacher", "loss": "soft"}
    definition["stages"] = dict(reversed(definition["stages"].items()))
    nodes = list(graph(definition))
    assert nodes.index("teacher") < nodes.index("taught")
    for name, node in graph(definition).items():
        assert all(nodes.index(other) < nodes.index(name) for other in node.needs)


def test_the_usual_comparison_has_its_credit_controls_and_the_ceiling(tiny: Definition) -> None:
    nodes = graph(tiny())
    assert {name: node.role for name, node in nodes.items()} == {
        "teacher": "stage",
        "alone": "stage",
        "taught": "stage",
        "teacher/own_input_of_taught": "helper",
        "taught/own_input": "credit",
        "taught/scrambled": "credit",
        "alone/all_labels": "ceiling",
    }
    assert [name for name, node in nodes.items() if not node.is_arm] == ["teacher/own_input_of_taught"]


def test_own_input_differs_from_the_taught_arm_in_its_teacher_alone(tiny: Definition) -> None:
    nodes = graph(tiny())
    assert differences(nodes["taught/own_input"], nodes["taught"]) == {"teacher"}
    teacher, own = nodes["teacher"], nodes["teacher/own_input_of_taught"]
    assert nodes["taught/own_input"].teacher == own.name
    assert differences(own, teacher) == {"stage"}
    assert own.stage == teacher.stage.model_copy(update={"inputs": {"eda": None}})


def test_own_input_reaches_the_channels_that_the_student_reads(tiny: Definition) -> None:
    definition = tiny(stages={"alone": {"inputs": {"eda": ["eda"]}}})
    assert graph(definition)["teacher/own_input_of_taught"].stage.inputs == {"eda": ["eda"]}


def test_scrambled_and_diagnostics_have_the_same_teachers_and_spoil_the_knowledge(tiny: Definition) -> None:
    kinds = ["hard_labels", "within_predicted", "smoothed"]
    definition = tiny(compare=[{"taught": "taught", "alone": "alone", "diagnostics": kinds}])
    nodes = graph(definition)
    for kind in ["scrambled", *kinds]:
        node = nodes[f"taught/{kind}"]
        assert differences(node, nodes["taught"]) == {"spoil"}
        assert node.spoil == kind
        assert node.role == ("credit" if kind == "scrambled" else "diagnostic")


def test_own_input_goes_through_the_whole_chain_of_teachers(chained: dict[str, Any]) -> None:
    nodes = graph(chained)
    suffix = "own_input_of_taught"
    own = nodes[f"teacher/{suffix}"]
    assert (own.teacher, own.start) == (f"grand/{suffix}", f"first/{suffix}")
    for name in ("first", "grand", "teacher"):
        derived = nodes[f"{name}/{suffix}"]
        assert derived.stage == nodes[name].stage.model_copy(update={"inputs": {"eda": None}})
        assert derived.role == "helper"


def test_cross_fitting_gives_each_group_a_teacher_that_has_not_seen_it(chained: dict[str, Any]) -> None:
    nodes = graph(chained)
    taught = nodes["taught"]
    assert taught.teacher == "teacher"
    assert taught.cross_teachers == ("teacher/without_1_of_2", "teacher/without_2_of_2")
    for group, name in enumerate(taught.cross_teachers):
        held = nodes[name]
        suffix = f"without_{group + 1}_of_2"
        assert held.holdouts == ((group, 2),)
        assert held.stage == nodes["teacher"].stage
        assert (held.teacher, held.start) == (f"grand/{suffix}", f"first/{suffix}")
        assert nodes[f"grand/{suffix}"].holdouts == nodes[f"first/{suffix}"].holdouts == ((group, 2),)


def test_own_input_of_a_cross_fitted_arm_is_cross_fitted_too(chained: dict[str, Any]) -> None:
    nodes = graph(chained)
    own = nodes["taught/own_input"]
    assert own.teacher == "teacher/own_input_of_taught"
    assert own.cross_teachers == tuple(f"{own.teacher}/without_{k}_of_2" for k in (1, 2))
    for group, name in enumerate(own.cross_teachers):
        assert nodes[name].holdouts == ((group, 2),)
        assert nodes[name].stage.inputs == {"eda": None}
        assert all(nodes[other].stage.inputs == {"eda": None} for other in ancestors(nodes, name))
    assert nodes["taught/scrambled"].cross_teachers == nodes["taught"].cross_teachers


def test_nested_cross_fitting_holds_out_the_groups_of_both(chained: dict[str, Any]) -> None:
    chained["stages"]["teacher"]["crossfit"] = 3
    nodes = graph(chained)
    inner = nodes["teacher/without_2_of_2"].cross_teachers
    assert inner == tuple(f"grand/without_{k}_of_3/without_2_of_2" for k in (1, 2, 3))
    assert [nodes[name].holdouts for name in inner] == [((0, 3), (1, 2)), ((1, 3), (1, 2)), ((2, 3), (1, 2))]


def test_two_arms_share_the_teachers_of_cross_fitting(chained: dict[str, Any]) -> None:
    chained["stages"]["other"] = {"like": "taught", "loss": {"hard": 1, "soft": 1}}
    nodes = graph(chained)
    assert nodes["other"].cross_teachers == nodes["taught"].cross_teachers


def test_the_ceiling_is_the_student_alone_with_every_label(tiny: Definition) -> None:
    nodes = graph(tiny())
    assert differences(nodes["alone/all_labels"], nodes["alone"]) == {"all_labels"}
    assert "alone/all_labels" not in graph(tiny(protocol={"labelled": "all"}))


def test_a_stage_may_see_every_label_where_the_protocol_hides_some(tiny: Definition) -> None:
    nodes = graph(tiny(stages={"teacher": {"labelled": "all"}}))
    assert nodes["teacher"].all_labels
    assert not nodes["taught"].all_labels


def test_only_the_controls_that_are_asked_for_are_trained(tiny: Definition) -> None:
    definition = tiny(compare=[{"taught": "taught", "alone": "alone", "controls": ["scrambled"]}])
    assert set(graph(definition)) == {"teacher", "alone", "taught", "taught/scrambled", "alone/all_labels"}
    assert set(graph(tiny(compare=[]))) == {"teacher", "alone", "taught"}


def test_a_teacher_hands_over_what_the_losses_take_and_nothing_else(tiny: Definition) -> None:
    stages = {
        "teacher": {"model": "mlp"},
        "alone": {"model": "mlp"},
        "taught": {"loss": {"hint": {"teacher": "hidden", "student": "hidden"}}},
    }
    nodes = graph(tiny(stages=stages))
    assert nodes["teacher"].hands_over == {"logits", "hidden"}
    assert nodes["teacher/own_input_of_taught"].hands_over == {"logits", "hidden"}
    assert all(nodes[name].hands_over == set() for name in ("alone", "taught", "taught/own_input", "alone/all_labels"))
    assert graph(tiny())["teacher"].hands_over == {"logits"}


def test_within_predicted_needs_the_logits_of_a_hint_as_well(tiny: Definition) -> None:
    compare = [{"taught": "taught", "alone": "alone", "controls": [], "diagnostics": ["within_predicted"]}]
    definition = tiny(stages={"teacher": {"model": "mlp"}, "alone": {"model": "mlp"}}, compare=compare)
    definition["stages"]["taught"]["loss"] = {"hard": 1, "hint": {"teacher": "hidden", "student": "hidden"}}
    assert graph(definition)["teacher"].hands_over == {"logits", "hidden"}
    assert graph(definition | {"compare": []})["teacher"].hands_over == {"hidden"}


def test_levels_hold_every_node_once_behind_what_it_stands_on(chained: dict[str, Any]) -> None:
    nodes = graph(chained)
    found = list(levels(nodes))
    assert sorted(name for level in found for name in level) == sorted(nodes)
    depth = {name: number for number, level in enumerate(found) for name in level}
    for name, node in nodes.items():
        assert depth[name] == max((depth[other] + 1 for other in node.needs), default=0)
    assert depth["first"] == depth["grand"] == depth["alone"] == 0
    assert depth["taught"] == 2


def test_ancestors_are_what_a_refit_has_to_train(chained: dict[str, Any]) -> None:
    nodes = graph(chained)
    assert ancestors(nodes, "alone") == ["alone"]
    assert set(ancestors(nodes, "teacher")) == {"first", "grand", "teacher"}
    suffixes = ("without_1_of_2", "without_2_of_2")
    cross = {f"{name}/{suffix}" for name in ("first", "grand", "teacher") for suffix in suffixes}
    assert set(ancestors(nodes, "taught")) == {"first", "grand", "teacher", "taught"} | cross
    order = list(nodes)
    assert ancestors(nodes, "taught") == sorted(ancestors(nodes, "taught"), key=order.index)


def test_a_graph_without_nodes_has_no_levels() -> None:
    assert list(levels({})) == []


def test_nodes_are_values(tiny: Definition) -> None:
    nodes = graph(tiny())
    assert replace(nodes["taught"]) == nodes["taught"]
    assert graph(tiny()) == nodes


def test_a_control_starts_from_nothing_that_the_real_teacher_has_taught(tiny: Definition) -> None:
    """Hint first, then soft targets: the controls spoil both steps."""
    definition = tiny()
    student = {"model": {"name": "mlp", "hidden": 8}, "inputs": ["eda"]}
    hint = {"hint": {"teacher": "hidden", "student": "hidden"}}
    definition["stages"] = {
        "teacher": {"model": "mlp", "inputs": ["eda", "temp"]},
        "alone": student,
        "hinted": {**student, "taught_by": "teacher", "loss": hint},
        "taught": {**student, "taught_by": "teacher", "loss": {"hard": 1, "soft": 1}, "start": "hinted"},
    }
    nodes = graph(definition)
    for control in ("own_input", "scrambled"):
        node = nodes[f"taught/{control}"]
        assert node.start == f"hinted/{control}_of_taught"
        assert "hinted" not in ancestors(nodes, node.name)
    assert nodes["hinted/scrambled_of_taught"].spoil == "scrambled"
    own = nodes["hinted/own_input_of_taught"]
    assert list(nodes[own.teacher or ""].stage.inputs) == ["eda"]
    assert "teacher" not in ancestors(nodes, "taught/own_input")


def test_who_starts_from_a_taught_stage_is_taught_and_has_controls(tiny: Definition) -> None:
    """Distil first, then transfer: the last stage sees labels only, and stands on teaching all the same."""
    definition = tiny()
    definition["stages"]["distilled"] = {**definition["stages"]["taught"]}
    definition["stages"]["taught"] = {"like": "alone", "start": "distilled"}
    definition["stages"] = {name: definition["stages"][name] for name in ("teacher", "alone", "distilled", "taught")}
    nodes = graph(definition)
    assert nodes["taught/scrambled"].start == "distilled/scrambled_of_taught"
    assert nodes["distilled/scrambled_of_taught"].spoil == "scrambled"
    assert nodes["taught/scrambled"].spoil is None
