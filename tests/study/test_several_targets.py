"""Targets by name, several targets in one study, and targets that no model can predict yet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limbeck.study import parse_study, run_study
from limbeck.study.schema import as_yaml
from limbeck.targets import Preset, Target

Definition = Callable[..., dict[str, Any]]
Mistakes = Callable[..., list[str]]

STATE = {"name": "state", "events": {"low": ["calm"], "high": ["aroused"]}}
TASK = {"name": "task", "events": {"low": ["rest"], "high": ["calm", "aroused"]}}
TRACE = {"name": "arousal", "trace": "arousal", "within": ["calm", "aroused"]}


def with_target(definition: dict[str, Any], target: Any) -> dict[str, Any]:
    return {**definition, "target": target}


def only(found: list[str], start: str) -> str:
    matches = [mistake for mistake in found if mistake.startswith(start)]
    assert len(matches) == 1, (start, found)
    return matches[0]


# ---- one target -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["biovid_t0_t4", {"preset": "biovid_t0_t4"}, ["biovid_t0_t4"]])
def test_a_target_may_be_named(tiny: Definition, target: Any) -> None:
    study = parse_study(with_target(tiny(), target))
    assert list(study.variants) == [""]
    assert Target.parse(study.variants[""].target).classes == ("no_pain", "pain")
    assert study.resolved["target"] == target


def test_a_named_target_is_found_by_its_nearest_name(tiny: Definition, mistakes: Mistakes) -> None:
    found = mistakes(with_target(tiny(training={"epochs": 0}), "biovid_t0_t9"))
    assert "Did you mean 'biovid_t0_t" in only(found, "target: there is no known target")
    assert only(found, "training.epochs")


def test_a_named_trace_is_a_trace(tiny: Definition, mistakes: Mistakes) -> None:
    found = mistakes(with_target(tiny(report={"metric": "kappa"}), "case_valence_trace"))
    assert "kappa scores a class, the target is a trace" in only(found, "report.metric")


# ---- several --------------------------------------------------------------------------------------------------------


def test_a_study_has_a_variant_per_target(tiny: Definition) -> None:
    study = parse_study(
        with_target(tiny(sweep={"protocol.labelled": [3, 4]}), [STATE, TASK]),
    )
    assert list(study.variants) == [
        f"target={name}, labelled={count}" for name in ("state", "task") for count in (3, 4)
    ]
    assert study.variants["target=task, labelled=4"].target == TASK
    assert parse_study(study.resolved).variants == study.variants


def test_binary_tasks_on_heat_make_one_study(tiny: Definition) -> None:
    study = parse_study(with_target(tiny(), [f"biovid_t0_t{level}" for level in range(1, 5)]))
    assert list(study.variants) == [f"target=t0_t{level}" for level in range(1, 5)]


def test_a_part_of_the_target_may_be_swept(tiny: Definition, mistakes: Mistakes) -> None:
    rated = {"name": "valence", "ratings": "valence", "threshold": 5}
    study = parse_study(with_target(tiny(sweep={"target.threshold": [4, "subject_mean"]}), rated))
    assert list(study.variants) == ["threshold=4", "threshold=subject_mean"]
    named = parse_study(with_target(tiny(sweep={"target.threshold": [4, 5]}), ["deap_valence", "deap_arousal"]))
    assert list(named.variants)[1:3] == ["target=valence, threshold=5", "target=arousal, threshold=4"]
    found = mistakes(with_target(tiny(sweep={"target": [STATE, TASK]}), STATE))
    assert "write them as a list" in only(found, "sweep.target")


@pytest.mark.parametrize(
    ("targets", "start", "part"),
    [
        ([], "target: expected at least one", "empty list"),
        ([STATE, STATE], "target: two targets are called state", "another name"),
        ([STATE, TRACE], "target: the targets", "target=arousal has a trace"),
        ([STATE, "biovid_five"], "target: the targets", "target=pain_level has t0, t1, t2, t3, t4"),
        ([STATE, "biovid_sox"], "target.1: there is no known target", "biovid_"),
        ([STATE, {"name": "x", "evnts": {}}], "target.1: there is no key 'evnts'", "Did you mean 'events'"),
        ([STATE, 4], "target.1: expected a mapping", "found 4"),
    ],
)
def test_targets_that_one_score_cannot_judge_are_refused(
    tiny: Definition, mistakes: Mistakes, targets: list[Any], start: str, part: str
) -> None:
    assert part in only(mistakes(with_target(tiny(), targets)), start)


def test_a_wrong_target_does_not_hide_other_mistakes(tiny: Definition, mistakes: Mistakes) -> None:
    found = mistakes(with_target(tiny(training={"epochs": 0}), [STATE, "biovid_sox"]))
    assert only(found, "target.1")
    assert only(found, "training.epochs")


@pytest.mark.slow
def test_every_target_is_judged_and_reported(tiny: Definition, tmp_path: Path) -> None:
    definition = with_target(tiny(refit="all", data={"options": {"rest_seconds": 16}}), [STATE, TASK])
    run = run_study(parse_study(definition), out=tmp_path)
    assert [judgement.variant for judgement in run.judgements] == ["target=state", "target=task"]
    verdicts = [verdict for judgement in run.judgements for verdict in judgement.verdicts]
    assert [verdict.n_claims for verdict in verdicts] == [2, 2], "Holm is over the claims about both"
    truths = run.predictions[run.predictions["arm"] == "alone"].groupby("variant", observed=True)["truth"].mean()
    assert truths["target=task"] == pytest.approx(6 / 10)
    assert truths["target=state"] == pytest.approx(0.5, abs=0.2)
    assert run.record.data["classes"]["target=task"] == "low 24, high 36"
    assert run.record.data["windows"] == {"target=state": 36, "target=task": 60}
    assert {path.name for path in (run.path / "deployed").iterdir()} == {"target-state", "target-task"}
    assert {view.partition(",")[0] for view in run.record.data["ceilings"]} == {"target=state"}
    page = run.report.read_text(encoding="utf-8")
    assert "target=state" in page
    assert "target=task" in page


# ---- in other forms, and in the wrong place --------------------------------------------------------------------------


def test_a_target_may_be_an_object(tiny: Definition) -> None:
    as_written = parse_study(with_target(tiny(), STATE))
    study = parse_study(with_target(tiny(), Target.parse(STATE)))
    assert Target.parse(study.variants[""].target) == Target.parse(as_written.variants[""].target)
    assert as_yaml(study.definition)
    several = parse_study(with_target(tiny(), [Target.parse(STATE), Preset("simulated", TASK, "")]))
    assert list(several.variants) == ["target=state", "target=task"]


def test_the_target_of_another_data_set_is_refused_before_anything_is_read(
    tiny: Definition, mistakes: Mistakes
) -> None:
    def on(corpus: str, target: Any) -> dict[str, Any]:
        return {**with_target(tiny(), target), "data": {"corpus": corpus, "root": "nowhere"}}

    said = only(mistakes(on("deap", "wesad_stress")), "target: 'wesad_stress' is of the data set wesad")
    assert "the study reads deap; those of deap are deap_valence, deap_arousal" in said
    assert only(mistakes(on("wesad", {"preset": "deap_valence"})), "target: 'deap_valence' is of the data set deap")
    for corpus, target in (
        ("deap", "deap_valence"),
        ("csv", "deap_valence"),  # own files may have any names
        ("dreamer", {"preset": "deap_valence", "within": ["film"], "threshold": 3}),
    ):
        assert parse_study(on(corpus, target))
