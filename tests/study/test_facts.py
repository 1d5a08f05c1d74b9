"""What a stage is, in the phrases of the plan and of the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from limbeck.study import Plan
from limbeck.study.facts import besides, facts_of, losses_in_words
from limbeck.study.grammar import Stage

Definition = Callable[..., dict[str, Any]]
PlanOf = Callable[..., Plan]


def test_losses_show_what_is_not_as_by_default() -> None:
    stage = Stage.model_validate(
        {
            "model": "linear",
            "inputs": ["eda"],
            "loss": {"hard": {"weight": 0.5, "ordinal": 0.0}, "soft": {"temperature": 9}, "early": {"loss": "soft"}},
        }
    )
    assert losses_in_words(stage.losses) == "0.5 hard + 1 soft (temperature 9) + 1 early (loss soft)"
    assert losses_in_words({"hard": {"loss": "hard", "a": True, "b": False, "c": ["x", "y"]}}) == (
        "1 hard (a, no b, c x + y)"
    )


def test_what_is_done_to_knowledge_is_told(tiny: Definition, plan_of: PlanOf) -> None:
    planned = plan_of(tiny()).variants[0].stages["taught"]
    assert besides(planned) == []
    knowledge = {"combine": "confidence", "share": 0.5, "balance": True, "calibrate": True}
    stage = Stage.model_validate({**planned.node.stage.model_dump(exclude_unset=True), "knowledge": knowledge})
    crossed = {"teacher": ("teacher/without_1_of_2", "teacher/without_2_of_2")}
    node = replace(planned.node, stage=stage, cross_teachers=crossed)
    assert besides(replace(planned, node=node)) == [
        "2 teachers cross-fitted",
        "knowledge: combine confidence, calibrate, share 0.5, balance",
    ]


def test_partners_steps_starts_and_whose_prediction_counts_are_told(tiny: Definition, plan_of: PlanOf) -> None:
    live = {
        "partners": {
            "teacher": {"stage": "teacher", "start": True},
            "slow": {"learns": "average", "momentum": 0.9},
        },
        "loss": {"hard": 1, "soft": 1, "consistency": 1},
        "steps": {"feedback": {"mode": "ce_only", "quiz": 4}},
        "predict_with": "slow",
        "start": {"stage": "alone", "reset": ["head"]},
        "augment": {"eda": ["jitter"]},
    }
    planned = plan_of(tiny()).variants[0].stages["taught"]
    stage = Stage.model_validate({**planned.node.stage.model_dump(exclude_unset=True), **live})
    node = replace(planned.node, stage=stage, start="alone", partner_starts={"teacher": "teacher"})
    assert besides(replace(planned, node=node)) == [
        "beside teacher (learns: gradient, from teacher)",
        "beside slow (learns: average, momentum 0.9)",
        "steps: feedback (mode ce_only, quiz 4)",
        "predicts with slow",
        "augmented: eda jitter",
        "starts from alone, head anew",
    ]
    assert facts_of(planned)["teacher"] == "taught by teacher"
