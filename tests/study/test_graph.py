"""Controls, ceilings and cross-fitted teachers follow from the stages as written, and differ in one thing only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from limbeck.study import parse_study
from limbeck.study.graph import Node, ancestors, build_graph, levels, taken

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
    assert differences(nodes["taught/own_input"], nodes["taught"]) == {"teachers"}
    teacher, own = nodes["teacher"], nodes["teacher/own_input_of_taught"]
    assert nodes["taught/own_input"].teachers == {"teacher": own.name}
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
    assert (own.teachers, own.start) == ({"grand": f"grand/{suffix}"}, f"first/{suffix}")
    for name in ("first", "grand", "teacher"):
        derived = nodes[f"{name}/{suffix}"]
        assert derived.stage == nodes[name].stage.model_copy(update={"inputs": {"eda": None}})
        assert derived.role == "helper"


def test_cross_fitting_gives_each_group_a_teacher_that_has_not_seen_it(chained: dict[str, Any]) -> None:
    nodes = graph(chained)
    taught = nodes["taught"]
    assert taught.teachers == {"teacher": "teacher"}
    assert taught.cross_teachers == {"teacher": ("teacher/without_1_of_2", "teacher/without_2_of_2")}
    for group, name in enumerate(taught.cross_teachers["teacher"]):
        held = nodes[name]
        suffix = f"without_{group + 1}_of_2"
        assert held.holdouts == ((group, 2),)
        assert held.stage == nodes["teacher"].stage
        assert (held.teachers, held.start) == ({"grand": f"grand/{suffix}"}, f"first/{suffix}")
        assert nodes[f"grand/{suffix}"].holdouts == nodes[f"first/{suffix}"].holdouts == ((group, 2),)


def test_own_input_of_a_cross_fitted_arm_is_cross_fitted_too(chained: dict[str, Any]) -> None:
    nodes = graph(chained)
    own = nodes["taught/own_input"]
    blinded = "teacher/own_input_of_taught"
    assert own.teachers == {"teacher": blinded}
    assert own.cross_teachers == {"teacher": tuple(f"{blinded}/without_{k}_of_2" for k in (1, 2))}
    for group, name in enumerate(own.cross_teachers["teacher"]):
        assert nodes[name].holdouts == ((group, 2),)
        assert nodes[name].stage.inputs == {"eda": None}
        assert all(nodes[other].stage.inputs == {"eda": None} for other in ancestors(nodes, name))
    assert nodes["taught/scrambled"].cross_teachers == nodes["taught"].cross_teachers


def test_nested_cross_fitting_holds_out_the_groups_of_both(chained: dict[str, Any]) -> None:
    chained["stages"]["teacher"]["crossfit"] = 3
    nodes = graph(chained)
    inner = nodes["teacher/without_2_of_2"].cross_teachers["grand"]
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
        assert node.start == f"hinted/{control}_before_taught"
        assert "hinted" not in ancestors(nodes, node.name)
    assert nodes["hinted/scrambled_before_taught"].spoil == "scrambled"
    own = nodes["hinted/own_input_before_taught"]
    assert list(nodes[own.teachers["teacher"]].stage.inputs) == ["eda"]
    assert "teacher" not in ancestors(nodes, "taught/own_input")


def test_who_starts_from_a_taught_stage_is_taught_and_has_controls(tiny: Definition) -> None:
    """Distil first, then transfer: the last stage sees labels only, and stands on teaching all the same."""
    definition = tiny()
    definition["stages"]["distilled"] = {**definition["stages"]["taught"]}
    definition["stages"]["taught"] = {"like": "alone", "start": "distilled"}
    definition["stages"] = {name: definition["stages"][name] for name in ("teacher", "alone", "distilled", "taught")}
    nodes = graph(definition)
    assert nodes["taught/scrambled"].start == "distilled/scrambled_before_taught"
    assert nodes["distilled/scrambled_before_taught"].spoil == "scrambled"
    assert nodes["taught/scrambled"].spoil is None


# ---- teachers in the plural, partners --------------------------------------------------------------------------------


@pytest.fixture
def plural(tiny: Definition) -> dict[str, Any]:
    """Two teachers of which one hands over a feature as well, a live one that starts from a stage, and an average."""
    definition = tiny()
    definition["stages"] = {
        "warm": {"model": "mlp", "inputs": ["temp"]},
        "wide": {"model": "mlp", "inputs": ["eda", "temp"]},
        "live": {"model": "mlp", "inputs": ["eda", "temp"]},
        "alone": {"model": "mlp", "inputs": ["eda"]},
        "taught": {
            "like": "alone",
            "taught_by": ["warm", "wide"],
            "loss": {
                "hard": 1,
                "soft": 1,
                "early": {"loss": "hint", "student": "hidden", "teacher": "hidden", "of": "wide"},
            },
        },
        "beside": {
            "like": "alone",
            "taught_by": "live",
            "loss": {"hard": 1, "soft": 1},
            "partners": {"live": {"stage": "live", "start": True}, "slow": {"learns": "average"}},
            "steps": {"feedback": {"partner": "live", "quiz": 2}},
            "predict_with": "slow",
        },
    }
    definition["compare"] = [{"taught": name, "alone": "alone"} for name in ("taught", "beside")]
    return definition


def test_every_teacher_hands_over_what_is_taken_of_it(plural: dict[str, Any]) -> None:
    nodes = graph(plural)
    assert nodes["taught"].teachers == {"warm": "warm", "wide": "wide"}
    assert nodes["warm"].hands_over == {"logits"}
    assert nodes["wide"].hands_over == {"logits", "hidden"}
    assert taken(nodes["taught"], "warm") == {"logits"}
    assert taken(nodes["taught"], "wide") == {"logits", "hidden"}
    assert nodes["wide/own_input_of_taught"].hands_over == {"logits", "hidden"}


def test_a_filter_by_confidence_needs_the_logits_of_a_hint(plural: dict[str, Any]) -> None:
    del plural["stages"]["taught"]["loss"]["soft"]
    assert graph(plural | {"compare": []})["warm"].hands_over == set()
    plural["stages"]["taught"]["knowledge"] = {"confidence": 0.8}
    assert graph(plural | {"compare": []})["warm"].hands_over == {"logits"}


def test_each_of_several_teachers_is_cross_fitted(plural: dict[str, Any]) -> None:
    del plural["stages"]["taught"]["loss"]["early"]
    plural["stages"]["taught"]["crossfit"] = 2
    nodes = graph(plural)
    assert nodes["taught"].cross_teachers == {
        name: (f"{name}/without_1_of_2", f"{name}/without_2_of_2") for name in ("warm", "wide")
    }
    for names in nodes["taught"].cross_teachers.values():
        assert [nodes[name].holdouts for name in names] == [((0, 2),), ((1, 2),)]
        assert all(nodes[name].hands_over == {"logits"} for name in names)
    own = nodes["taught/own_input"]
    assert own.teachers == {name: f"{name}/own_input_of_taught" for name in ("warm", "wide")}
    for key, names in own.cross_teachers.items():
        assert names == tuple(f"{key}/own_input_of_taught/without_{k}_of_2" for k in (1, 2))
        assert all(nodes[name].stage.inputs == {"eda": None} for name in names)
        assert [nodes[name].holdouts for name in names] == [((0, 2),), ((1, 2),)]


def test_every_teacher_of_an_own_input_control_reads_what_the_student_reads(plural: dict[str, Any]) -> None:
    nodes = graph(plural)
    for other in ancestors(nodes, "taught/own_input"):
        assert nodes[other].stage.inputs == {"eda": None}
    assert differences(nodes["taught/own_input"], nodes["taught"]) == {"teachers"}
    assert differences(nodes["taught/scrambled"], nodes["taught"]) == {"spoil"}


def test_a_teacher_that_is_a_partner_hands_nothing_over_and_is_started_from(plural: dict[str, Any]) -> None:
    nodes = graph(plural)
    node = nodes["beside"]
    assert node.teachers == {}
    assert node.partner_starts == {"live": "live"}
    assert node.needs == ("live",)
    assert nodes["live"].hands_over == set()


def test_partners_read_what_the_student_reads_in_own_input_and_start_from_a_blinded_stage(
    plural: dict[str, Any],
) -> None:
    variant = parse_study(plural).variants[""]
    nodes = build_graph(variant)
    own = nodes["beside/own_input"]
    assert own.partner_starts == {"live": "live/own_input_of_beside"}
    assert nodes["live/own_input_of_beside"].stage.inputs == {"eda": None}
    assert differences(own, nodes["beside"]) == {"stage", "partner_starts"}
    model, inputs = variant.partner(own.stage, "live")
    assert inputs == {"eda": None}
    assert model == variant.stages["live"].model
    assert variant.partner(nodes["beside"].stage, "live")[1] == {"eda": None, "temp": None}
    assert own.stage.partners["slow"] == nodes["beside"].stage.partners["slow"]
    kept = own.stage.model_dump() | {"partners": None}
    assert kept == nodes["beside"].stage.model_dump() | {"partners": None}


def test_a_live_teacher_is_spoiled_by_the_scrambled_control(plural: dict[str, Any]) -> None:
    nodes = graph(plural)
    assert differences(nodes["beside/scrambled"], nodes["beside"]) == {"spoil"}
    assert nodes["beside/scrambled"].spoil == "scrambled"


def test_a_partner_that_starts_afresh_needs_no_stage(plural: dict[str, Any]) -> None:
    plural["stages"]["beside"]["partners"]["live"] = {"stage": "live"}
    node = graph(plural)["beside"]
    assert node.partner_starts == {}
    assert node.needs == ()


def test_cross_fitting_reaches_the_stage_that_a_partner_of_a_teacher_starts_from(plural: dict[str, Any]) -> None:
    plural["stages"]["student"] = {"like": "alone", "taught_by": "beside", "loss": "soft", "crossfit": 2}
    nodes = graph(plural | {"compare": []})
    held = nodes["beside/without_1_of_2"]
    assert held.partner_starts == {"live": "live/without_1_of_2"}
    assert nodes["live/without_1_of_2"].holdouts == held.holdouts == ((0, 2),)


# ---- starts and streams ----------------------------------------------------------------------------------------------


def from_a_partner(tiny: Definition, model: Any = "mlp", student: Any = "mlp") -> dict[str, Any]:
    """Return a study whose student starts from a small network that has learned beside a large one."""
    definition = tiny()
    definition["stages"] = {
        "pre": {
            "model": model,
            "inputs": ["temp", "eda"],
            "partners": {"small": {"model": student, "inputs": ["eda"]}},
            "loss": {"hard": 1, "mutual": {"partner": "small"}},
        },
        "alone": {"model": student, "inputs": ["eda"]},
        "taught": {"like": "alone", "start": {"stage": "pre", "partner": "small"}},
    }
    return definition


def test_own_input_of_who_starts_from_a_partner_leaves_the_network_beside_it_no_other_sensor(tiny: Definition) -> None:
    nodes = graph(from_a_partner(tiny))
    own = nodes["taught/own_input"]
    assert own.stage.start == nodes["taught"].stage.start
    assert own.start == "pre/own_input_of_taught"
    for name in ancestors(nodes, own.name):
        assert "temp" not in nodes[name].stage.inputs
        assert all("temp" not in (partner.inputs or {}) for partner in nodes[name].stage.partners.values())
    # Scrambled spoils what the networks say to each other, not what they read.
    scrambled = nodes["pre/scrambled_before_taught"]
    assert (nodes["taught/scrambled"].start, scrambled.spoil) == (scrambled.name, "scrambled")
    assert scrambled.stage == nodes["pre"].stage


def test_where_a_design_gives_way_with_its_partners_the_network_itself_is_started_from(tiny: Definition) -> None:
    definition = from_a_partner(tiny, model="fusion_cnn", student={"name": "mlp", "hidden": 5})
    definition["signals"] = {**definition["signals"], "temp": [{"resample": 16}]}
    definition["stages"]["pre"] |= {"inputs": ["temp"]}
    nodes = graph(definition)
    own = nodes["taught/own_input"]
    assert nodes[str(own.start)].stage.model == own.stage.model
    assert nodes[str(own.start)].stage.partners == {}
    assert own.stage.start is not None
    assert own.stage.start.partner is None


def test_a_start_that_reads_more_than_the_student_is_blinded_however_far_back_it_lies(tiny: Definition) -> None:
    definition = tiny()
    definition["stages"]["far"] = {"model": "linear", "inputs": ["eda", "temp"]}
    definition["stages"]["near"] = {"model": "linear", "inputs": ["eda"], "start": {"stage": "far", "reset": ["head"]}}
    definition["stages"]["taught"] |= {"start": "near"}
    definition["stages"]["alone"] = {"model": "linear", "inputs": ["eda"]}
    nodes = graph(definition)
    assert nodes["taught/own_input"].start == "near/own_input_of_taught"
    assert all("temp" not in nodes[name].stage.inputs for name in ancestors(nodes, "taught/own_input"))
    assert nodes["taught/scrambled"].start == "near"


def test_a_stage_that_teaches_and_is_started_from_has_a_control_for_each(tiny: Definition) -> None:
    """As a start it has its own inputs and a blinded teacher, as a teacher it has the student's inputs itself."""
    definition = tiny()
    definition["stages"] = {
        "teacher": {"model": "linear", "inputs": ["eda", "temp"]},
        "alone": {"model": "linear", "inputs": ["eda"]},
        "first": {"like": "alone", "taught_by": "teacher", "loss": "soft"},
        "taught": {"like": "alone", "taught_by": ["first", "teacher"], "loss": "soft", "start": "first"},
    }
    nodes = graph(definition)
    own = nodes["taught/own_input"]
    assert own.start == "first/own_input_before_taught"
    assert own.teachers["first"] == "first/own_input_of_taught"
    assert nodes[own.start].teachers == nodes[own.teachers["first"]].teachers


def test_teachers_that_would_be_one_network_draw_numbers_of_their_own(tiny: Definition) -> None:
    definition = tiny()
    definition["stages"] = {
        "warm": {"model": "linear", "inputs": ["temp"]},
        "wide": {"model": "linear", "inputs": ["eda", "temp"]},
        "other": {"model": "mlp", "inputs": ["eda", "temp"]},
        "twin": {"like": "wide"},
        "alone": {"model": "linear", "inputs": ["eda"]},
        "taught": {"like": "alone", "taught_by": ["warm", "wide", "other", "twin"], "loss": "soft", "crossfit": 2},
    }
    nodes = graph(definition)
    names = ("warm", "wide", "other", "twin")
    assert [nodes[name].stream for name in names] == [0, 0, 0, 1]
    # Blinded, all of one design are alike; those of cross-fitting draw as the one that they stand in for.
    blinded = [f"{name}/own_input_of_taught" for name in names]
    assert [nodes[name].stream for name in blinded] == [0, 1, 0, 2]
    for name in (*names, *blinded):
        assert {nodes[f"{name}/without_{k}_of_2"].stream for k in (1, 2)} == {nodes[name].stream}
    assert all(nodes[name].stream == 0 for name in ("alone", "taught", "taught/own_input", "taught/scrambled"))


def test_live_teachers_that_start_alike_draw_numbers_of_their_own(tiny: Definition) -> None:
    definition = tiny()
    live = {"stage": "teacher", "start": True, "learns": "frozen"}
    hint = {"loss": "hint", "student": "hidden", "teacher": "hidden"}
    definition["stages"] = {
        "teacher": {"model": "mlp", "inputs": ["eda", "temp"]},
        "twin": {"like": "teacher"},
        "alone": {"model": "mlp", "inputs": ["eda"]},
        "taught": {
            "like": "alone",
            "taught_by": ["teacher", "twin"],
            "partners": {"teacher": live, "twin": {**live, "stage": "twin"}},
            "loss": {"hard": 1, "one": {**hint, "of": "teacher"}, "two": {**hint, "of": "twin"}},
        },
    }
    nodes = build_graph(parse_study(definition).variants[""])
    assert [nodes[name].stream for name in ("teacher", "twin")] == [0, 1]
    assert [nodes[f"{name}/own_input_of_taught"].stream for name in ("teacher", "twin")] == [0, 1]
