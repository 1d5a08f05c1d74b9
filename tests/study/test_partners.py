"""Networks that train beside another: where they start, how they learn, and that a study runs with each to its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from limbeck.errors import StudyError
from limbeck.study import Plan, Run, parse_study, run_study

Definition = Callable[..., dict[str, Any]]
Mistakes = Callable[..., list[str]]
PlanOf = Callable[..., Plan]
Train = Callable[..., pd.DataFrame]
States = Callable[..., list[dict[str, np.ndarray]]]


def with_partner(tiny: Definition, partners: dict[str, Any], loss: dict[str, Any], **stage: Any) -> dict[str, Any]:
    """Return the tiny study whose taught arm has partners instead of a teacher."""
    definition = tiny(compare=[{"taught": "taught", "alone": "alone", "controls": []}])
    definition["stages"]["taught"] = {"like": "alone", "partners": partners, "loss": loss, **stage}
    return definition


def feedback(tiny: Definition, **steps: Any) -> dict[str, Any]:
    """Return the tiny study whose taught arm has a teacher that learns from its student."""
    definition = tiny()
    definition["stages"]["taught"] |= {
        "partners": {"teacher": {"stage": "teacher", "start": True}},
        "steps": {"feedback": {"quiz": 4, **steps}},
    }
    return definition


# ---- how partners learn ---------------------------------------------------------------------------------------------


def test_a_peer_that_learns_by_gradient_is_kept_and_starts_elsewhere_than_the_network(
    tiny: Definition, plan_of: PlanOf, train: Train, states: States
) -> None:
    definition = with_partner(tiny, {"peer": {}}, {"hard": 1, "mutual": 1})
    definition["stages"]["alone"]["model"] = "mlp"
    plan = plan_of(definition)
    train(plan)
    for state in states(plan, "taught"):
        own, peer = state["network.head.weight"], state["partners.peer.head.weight"]
        assert own.shape == peer.shape
        assert not np.allclose(own, peer, atol=1e-4)


def test_a_peer_reads_what_it_is_given_and_leaves_the_network_with_its_own_inputs(
    tiny: Definition, plan_of: PlanOf, train: Train, states: States
) -> None:
    rich = {"rich": {"model": {"name": "mlp", "hidden": 8}, "inputs": ["eda", "temp"]}}
    plan = plan_of(with_partner(tiny, rich, {"hard": 1, "mutual": {"partner": "rich"}}))
    train(plan)
    state = states(plan, "taught")[0]
    assert state["network.head.weight"].shape[1] * 2 == state["partners.rich.first.weight"].shape[1]


def test_an_average_is_left_behind_unless_it_predicts(
    tiny: Definition, plan_of: PlanOf, train: Train, states: States
) -> None:
    average, loss = {"average": {"learns": "average", "momentum": 0.9}}, {"hard": 1, "consistency": 1}
    beside = plan_of(with_partner(tiny, average, loss))
    train(beside)
    predicts = plan_of(with_partner(tiny, average, loss, predict_with="average"))
    train(predicts)
    assert beside.variants[0].stages["taught"].key != predicts.variants[0].stages["taught"].key
    for one, other in zip(states(beside, "taught"), states(predicts, "taught"), strict=True):
        assert one.keys() == other.keys()
        assert all(name.startswith("network.") for name in one)
        assert not np.allclose(one["network.head.weight"], other["network.head.weight"], atol=1e-6)


def test_a_frozen_teacher_says_what_it_knows_and_is_not_kept(
    tiny: Definition, plan_of: PlanOf, train: Train, states: States
) -> None:
    found = []
    frozen = {"teacher": {"stage": "teacher", "start": True, "learns": "frozen"}}
    for epochs in (1, 9):
        definition = with_partner(tiny, frozen, {"hard": 1, "soft": 1}, taught_by="teacher")
        definition["stages"]["teacher"]["training"] = {"epochs": epochs, "learning_rate": 0.1}
        plan = plan_of(definition)
        train(plan)
        found.append(states(plan, "taught")[0])
        assert not [name for name in found[-1] if name.startswith("partners.")]
    assert not np.allclose(found[0]["network.head.weight"], found[1]["network.head.weight"], atol=1e-6)


def test_a_stage_can_start_from_a_partner_of_another(
    tiny: Definition, plan_of: PlanOf, train: Train, states: States
) -> None:
    definition = with_partner(tiny, {"peer": {}}, {"hard": 1, "mutual": 1})
    still = {"epochs": 1, "learning_rate": 1e-9, "weight_decay": 0}
    definition["stages"]["after"] = {
        "like": "alone",
        "start": {"stage": "taught", "partner": "peer"},
        "training": still,
    }
    plan = plan_of(definition)
    train(plan)
    for before, after in zip(states(plan, "taught"), states(plan, "after"), strict=True):
        np.testing.assert_allclose(after["network.head.weight"], before["partners.peer.head.weight"], atol=1e-6)


@pytest.mark.parametrize(
    ("partners", "loss", "stage"),
    [
        ({"peer": {}}, {"hard": 1, "mutual": 1}, {}),
        ({"average": {"learns": "average"}}, {"hard": 1, "consistency": 1}, {"predict_with": "average"}),
        (
            {"peer": {"inputs": ["temp"]}, "slow": {"learns": "average", "of": "peer"}},
            {"hard": 1, "mutual": 1, "consistency": {"partner": "slow"}},
            {},
        ),
    ],
    ids=["peer", "average", "average_of_a_peer"],
)
def test_a_study_with_a_partner_runs_to_its_verdict(
    tiny: Definition, tmp_path: Path, partners: dict[str, Any], loss: dict[str, Any], stage: dict[str, Any]
) -> None:
    run = run_study(parse_study(with_partner(tiny, partners, loss, **stage)), out=tmp_path)
    assert_judged(run)


# ---- teachers that learn --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["none", "ce_only", "second_order", "finite_diff"])
def test_a_teacher_with_feedback_runs_to_its_verdict_with_its_controls(
    tiny: Definition, tmp_path: Path, mode: str
) -> None:
    run = run_study(parse_study(feedback(tiny, mode=mode)), out=tmp_path)
    assert_judged(run)
    assert {"taught/own_input", "taught/scrambled"} <= set(run.judgements[0].arms)


def assert_judged(run: Run) -> None:
    (judgement,) = run.judgements
    assert {difference.kind for difference in judgement.verdicts[0].differences} >= {"alone"}
    taught = run.predictions[run.predictions["arm"] == "taught"]
    assert len(taught) == 36
    assert np.isfinite(taught[["p0", "p1"]]).all().all()


def test_a_teacher_learns_from_its_student_only_with_feedback(
    tiny: Definition, plan_of: PlanOf, train: Train, states: States
) -> None:
    kept = {}
    for mode in ("none", "ce_only", "second_order"):
        plan = plan_of(feedback(tiny, mode=mode))
        train(plan)
        kept[mode] = states(plan, "taught")[0]["partners.teacher.head.weight"]
        before = states(plan, "teacher")[0]["network.head.weight"]
        assert np.allclose(kept[mode], before, atol=1e-7) == (mode == "none")
    assert not np.allclose(kept["ce_only"], kept["second_order"], atol=1e-9)


def test_the_live_teacher_of_own_input_reads_what_the_student_reads_and_starts_from_one_that_did(
    tiny: Definition, plan_of: PlanOf, train: Train, states: States
) -> None:
    plan = plan_of(feedback(tiny, mode="none"))
    train(plan)
    stages = plan.variants[0].stages
    control = stages["taught/own_input"].node
    start = control.partner_starts["teacher"]
    assert list(stages[start].node.stage.inputs) == ["eda"]
    assert control.stage.partners["teacher"].inputs == {"eda": None}
    for own, blind in zip(states(plan, "taught/own_input"), states(plan, start), strict=True):
        np.testing.assert_allclose(own["partners.teacher.head.weight"], blind["network.head.weight"], atol=1e-7)


def test_what_a_partner_reads_decides_the_key(tiny: Definition, plan_of: PlanOf) -> None:
    rich = {"rich": {"model": "linear", "inputs": ["temp"]}}
    definition = with_partner(tiny, rich, {"hard": 1, "mutual": {"partner": "rich"}})
    one = plan_of(definition).variants[0].stages
    other = plan_of({**definition, "clip": {"temp": 2.0}}).variants[0].stages
    assert one["taught"].key != other["taught"].key
    assert one["alone"].key == other["alone"].key


# ---- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "says"),
    [
        ({"partners": {"peer": {}}}, "no loss and no step uses it; remove it"),
        ({"loss": {"hard": 1, "mutual": 1}}, "it needs the partner 'peer', which is not under partners"),
        ({"partners": {"peer": {"start": True}}}, "name the stage to start from under stage"),
        ({"partners": {"peer": {"learns": "average", "inputs": ["temp"]}}}, "an average is of the network beside it"),
        ({"partners": {"slow": {"of": "peer"}}}, "only an average follows another; write learns: average"),
        (
            {"partners": {"peer": {}, "slow": {"learns": "average", "of": "pear"}}},
            "expected a partner of this stage that learns by gradient, found 'pear'. Did you mean 'peer'?",
        ),
        ({"partners": {"network": {}}}, "expected a name of letters"),
        ({"partners": {"peer": {"stage": "teachr"}}}, "there is no stage 'teachr'. Did you mean 'teacher'?"),
        ({"partners": {"peer": {"model": "mpl"}}}, "mlp"),
        ({"partners": {"peer": {"learns": "averge"}}}, "'average'"),
        ({"predict_with": "alone"}, "expected a partner that averages the network (learns: average), found 'alone'"),
        ({"steps": {"feedback": {}}}, "name 'teacher' under both taught_by and partners"),
        ({"steps": {"feedbak": {}}}, "feedback"),
        ({"steps": {"feedback": {"mode": "third_order"}}}, "second_order"),
        (
            {"taught_by": "teacher", "loss": {"soft": 1}, "partners": {"teacher": {"learns": "frozen"}}},
            "a teacher that does not learn knows only what it starts with; write start: true",
        ),
        (
            {"taught_by": "teacher", "loss": {"soft": 1}, "partners": {"teacher": {"stage": "teacher", "start": True}}},
            "no loss and no step trains it, since what it hands over is held fixed; write learns: frozen",
        ),
        (
            {"taught_by": "teacher", "loss": {"soft": 1}, "partners": {"teacher": {"model": "linear"}}},
            "it stands for the teacher 'teacher'; write stage: teacher",
        ),
    ],
)
def test_a_partner_that_cannot_be_is_refused(
    tiny: Definition, mistakes: Mistakes, stage: dict[str, Any], says: str
) -> None:
    definition = tiny(compare=[])
    definition["stages"]["taught"] = {"like": "alone", **stage}
    found = mistakes(definition)
    assert any(says in mistake and mistake.startswith("stages.taught") for mistake in found), found


def test_a_teacher_that_learns_from_labels_at_its_student_s_side_is_taken(tiny: Definition) -> None:
    loss = {"hard": 1, "soft": 1, "partner_hard": {"partner": "teacher"}}
    parse_study(with_partner(tiny, {"teacher": {"stage": "teacher"}}, loss, taught_by="teacher"))


def start_from(tiny: Definition, partners: dict[str, Any], loss: dict[str, Any], partner: str) -> dict[str, Any]:
    """Return a study in which a stage starts from a partner of another."""
    definition = with_partner(tiny, partners, loss)
    definition["stages"]["after"] = {"like": "alone", "start": {"stage": "taught", "partner": partner}}
    return definition


def test_a_start_from_a_partner_of_which_nothing_is_kept_is_refused(tiny: Definition, mistakes: Mistakes) -> None:
    (found,) = mistakes(start_from(tiny, {"peer": {}}, {"hard": 1, "mutual": 1}, "pear"))
    assert found == "stages.after.start.partner: 'taught' has no partner 'pear'. Did you mean 'peer'?"
    average = {"average": {"learns": "average"}}
    definition = start_from(tiny, average, {"hard": 1, "consistency": 1}, "average")
    (found,) = mistakes(definition)
    assert "does not learn by gradient (learns: average), and only what does is kept" in found
    definition["stages"]["taught"]["predict_with"] = "average"
    (found,) = mistakes(definition)
    assert "so its own weights are these; remove partner" in found


def test_a_start_is_held_against_every_stage_that_may_be_chosen(tiny: Definition, mistakes: Mistakes) -> None:
    definition = start_from(tiny, {"peer": {}}, {"hard": 1, "mutual": 1}, "peer")
    definition["choose"] = {"stages.taught.partners.peer.learns": ["gradient", "frozen"]}
    assert any("'peer' of 'taught' does not learn by gradient (learns: frozen)" in one for one in mistakes(definition))


def test_the_weights_of_a_partner_to_start_from_have_to_fit(tiny: Definition, plan_of: PlanOf) -> None:
    partners = {"peer": {"inputs": ["eda", "temp"], "model": "linear"}}
    definition = start_from(tiny, partners, {"hard": 1, "mutual": 1}, "peer")
    told = r"stages\.after\.start: the weights head\.weight of the partner 'peer' of 'taught' do not fit"
    with pytest.raises(StudyError, match=told):
        plan_of(definition)
    definition["stages"]["after"]["start"]["reset"] = ["haed"]
    with pytest.raises(StudyError, match=r"the partner 'peer' of 'taught' has no part 'haed'\. Did you mean 'head'"):
        plan_of(definition)


def test_what_is_kept_of_partners_is_in_the_estimate(tiny: Definition, plan_of: PlanOf) -> None:
    plan = plan_of(with_partner(tiny, {"peer": {}}, {"hard": 1, "mutual": 1}))
    taught, alone = (plan.variants[0].stages[name] for name in ("taught", "alone"))
    assert (taught.parameters, taught.stored) == (alone.parameters, 2 * alone.stored)
    average = plan_of(with_partner(tiny, {"average": {"learns": "average"}}, {"hard": 1, "consistency": 1}))
    assert average.variants[0].stages["taught"].stored == alone.stored
