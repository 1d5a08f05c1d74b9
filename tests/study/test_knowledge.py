"""What a run's teachers handed over: scores worked out by hand, and runs whose store holds knowledge that is known."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.errors import DataError, LimbeckError
from limbeck.report.knowledge import CertaintyPanel, TracePanel, draw_knowledge
from limbeck.study import Plan, make_plan, parse_study, run_study
from limbeck.study.knowledge import (
    BINS,
    Handover,
    Part,
    class_scores,
    effective_rank,
    reliability,
    what_was_handed_over,
)
from limbeck.study.runner import run_folder
from limbeck.study.store import Store, mark_run

Definition = Callable[..., dict[str, Any]]

NO_CONTROLS = [{"taught": "taught", "alone": "alone", "controls": []}]
HINT = {"hard": 1, "soft": {"temperature": 2}, "hint": {"teacher": "hidden", "student": "hidden"}}


def logits_of(*probabilities: float) -> np.ndarray:
    """Return logits of two classes with these probabilities of the second."""
    chosen = np.array(probabilities)
    return np.log(np.column_stack([1 - chosen, chosen]))


# ---- scores ---------------------------------------------------------------------------------------------------------


def test_scores_of_classes_are_those_worked_out_by_hand() -> None:
    scores = class_scores(logits_of(0.9, 0.9, 0.3, 0.4), np.array([1, 0, 0, 0]))
    assert scores["accuracy"] == pytest.approx(0.75)
    assert scores["balanced_accuracy"] == pytest.approx((1 + 2 / 3) / 2)
    assert scores["confidence"] == pytest.approx((0.9 + 0.9 + 0.7 + 0.6) / 4)
    assert scores["margin"] == pytest.approx((0.8 + 0.8 + 0.4 + 0.2) / 4)
    assert scores["nll"] == pytest.approx(-np.log([0.9, 0.1, 0.7, 0.6]).mean())
    shares = np.array([0.9, 0.9, 0.7, 0.6])
    expected = -(shares * np.log(shares) + (1 - shares) * np.log(1 - shares)).mean()
    assert scores["entropy"] == pytest.approx(expected)
    assert scores["entropy_share"] == pytest.approx(expected / np.log(2))
    # Two windows at .9 of which one is right, one at .7 and one at .6, both right.
    assert scores["ece"] == pytest.approx((2 * 0.4 + 0.3 + 0.4) / 4)


def test_scores_without_windows_are_undefined() -> None:
    assert np.isnan(list(class_scores(np.empty((0, 2)), np.empty(0, dtype=int)).values())).all()


def test_certainty_falls_into_the_highest_bin_and_nothing_is_lost() -> None:
    confidence, accuracy, counts = reliability(np.array([1.0, 0.99, 0.51, 1 / BINS]), np.array([1.0, 0.0, 1.0, 0.0]))
    assert counts.sum() == 4
    assert counts[-1] == 2
    assert counts[0] == 1
    assert confidence[-1] == pytest.approx(0.995)
    assert accuracy[-1] == pytest.approx(0.5)
    assert np.isnan(accuracy[1])


def test_the_effective_rank_counts_directions_that_are_used_alike() -> None:
    even = np.concatenate([np.eye(4), -np.eye(4)])
    assert effective_rank(even + 5) == pytest.approx(4)
    assert effective_rank(np.outer(np.arange(9.0), [1, 2, 3])) == pytest.approx(1)
    assert effective_rank(np.full((9, 3), 1.7, dtype=np.float32)) == 0
    assert effective_rank(np.concatenate([even, np.zeros((8, 4))], axis=1)) == pytest.approx(4)
    assert np.isnan(effective_rank(np.empty((0, 3))))


# ---- runs -----------------------------------------------------------------------------------------------------------


def trained(definition: dict[str, Any], out: Path, cache: Path) -> tuple[Path, Plan]:
    """Run a study; return its folder and its plan."""
    out.mkdir(parents=True)
    (out / "cache").symlink_to(cache)
    plan = make_plan(parse_study(definition), out)
    return run_study(plan.study, out=out, plan=plan).path, plan


@pytest.fixture(scope="module")
def crossed(tiny: Definition, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan]:
    """A run with cross-fitted teachers who hand over logits and a feature, in two variants that share them."""
    definition = tiny(
        protocol={"split": 2, "labelled": 2, "repetitions": 2},
        stages={
            "teacher": {"model": "mlp"},
            "alone": {"model": "mlp"},
            "taught": {"crossfit": 2, "loss": {"hard": 1, "soft": {"temperature": 2}}},
            "hinted": {"like": "alone", "taught_by": "teacher", "loss": HINT},
        },
        compare=NO_CONTROLS,
        sweep={"stages.taught.loss.soft.temperature": [2, 4]},
    )
    definition["compare"] = NO_CONTROLS
    return trained(definition, tmp_path_factory.mktemp("crossed") / "runs", cache)


@pytest.fixture
def copied(crossed: tuple[Path, Plan], tmp_path: Path) -> tuple[Path, Plan]:
    """A copy of that run, to be spoiled."""
    folder, plan = crossed
    out = tmp_path / "runs"
    shutil.copytree(folder.parent, out, symlinks=True)
    return out / folder.name, plan


def rewrite(folder: Path, plan: Plan, name: str, values: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
    """Replace the knowledge of 'teacher' by ``values(training windows, truth of these)``, member by member."""
    variant = plan.variants[0]
    truth = variant.dataset["target"].to_numpy()
    folds = {(fold.repetition, fold.fold): fold for fold in variant.folds}
    store, planned = Store(folder.parent / "store"), variant.stages["teacher"]
    for group, members in enumerate(planned.groups):
        path = store.group(planned.key, group) / f"knowledge.{name}.npy"
        knowledge = np.full_like(np.load(path), np.nan)
        for position, member in enumerate(members):
            windows = folds[member[:2]].training
            knowledge[position, windows] = values(windows, truth[windows])
        np.save(path, knowledge)


def teacher_of(folder: Path, stage: str = "teacher") -> Handover:
    (found,) = what_was_handed_over(folder, stage=stage)
    return found


def parts_of(handover: Handover) -> dict[str, Part]:
    return {part.name: part for part in handover.parts}


def test_windows_are_counted_by_whether_their_labels_were_known(crossed: tuple[Path, Plan]) -> None:
    folder, plan = crossed
    handover = teacher_of(folder)
    parts = parts_of(handover)
    folds = plan.variants[0].folds
    assert set(parts) == {"labelled", "unlabelled"}
    assert parts["labelled"].handed_over == sum(len(fold.labelled) for fold in folds)
    assert parts["unlabelled"].handed_over == sum(len(fold.unlabelled) for fold in folds)
    assert parts["unlabelled"].windows == len(np.unique(np.concatenate([fold.unlabelled for fold in folds])))
    assert parts["unlabelled"].missing == 0
    assert (handover.repetitions, handover.folds, handover.seeds) == (2, 2, 1)
    assert handover.classes == ("calm", "aroused")
    assert not handover.knows_all_labels


def test_what_is_said_is_what_lies_in_the_store(copied: tuple[Path, Plan]) -> None:
    folder, plan = copied
    table = plan.variants[0].table
    wrong = table["subject"].iloc[0]
    of_wrong = table["subject"].to_numpy() == wrong

    def values(windows: np.ndarray, truth: np.ndarray) -> np.ndarray:
        decided = np.where(of_wrong[windows], 1 - truth, truth)
        return logits_of(*np.where(decided == 1, 0.9, 0.1))

    rewrite(folder, plan, "logits", values)
    handover = teacher_of(folder)
    unlabelled = [fold.unlabelled for fold in plan.variants[0].folds]
    every = np.concatenate(unlabelled)
    expected = 1 - of_wrong[every].mean()
    assert 0 < expected < 1
    part = parts_of(handover)["unlabelled"]
    assert part.scores["accuracy"] == pytest.approx(expected)
    assert part.scores["confidence"] == pytest.approx(0.9)
    assert part.scores["margin"] == pytest.approx(0.8, rel=1e-5)
    assert part.scores["ece"] == pytest.approx(abs(0.9 - expected), rel=1e-5)
    worst = part.subjects.iloc[0]
    assert worst["subject"] == wrong
    assert worst["accuracy"] == 0
    assert worst["handed_over"] == of_wrong[every].sum()
    assert (part.subjects["accuracy"].iloc[1:] == 1).all()
    truth = plan.variants[0].dataset["target"].to_numpy()[every]
    recall = [1 - of_wrong[every][truth == code].mean() for code in (0, 1)]
    np.testing.assert_allclose(part.classes["recall"], recall)
    assert list(part.classes["class"]) == ["calm", "aroused"]
    assert isinstance(part.panel, CertaintyPanel)
    assert part.panel.counts.sum() == part.handed_over == part.panel.entropies.sum()
    assert f"right on {100 * expected:.0f} % of the windows whose labels were hidden" in handover.sentence
    assert "(confidence 0.90)" in handover.sentence


@pytest.mark.parametrize(
    ("confidence", "said"), [(0.99, "surer than it should be"), (0.501, "less sure than it should be")]
)
def test_the_sentence_says_whether_the_teacher_is_too_sure(
    copied: tuple[Path, Plan], confidence: float, said: str
) -> None:
    folder, plan = copied

    def right_in_three_of_four(windows: np.ndarray, truth: np.ndarray) -> np.ndarray:
        decided = np.where(windows % 4 == 0, 1 - truth, truth)
        return logits_of(*np.where(decided == 1, confidence, 1 - confidence))

    rewrite(folder, plan, "logits", right_in_three_of_four)
    assert said in teacher_of(folder).sentence


def test_the_sentence_says_where_there_is_little_to_hand_over(copied: tuple[Path, Plan]) -> None:
    folder, plan = copied
    rewrite(folder, plan, "logits", lambda windows, _: logits_of(*np.full(len(windows), 0.4)))
    assert "where guessing makes 50 %: there is little to hand over" in teacher_of(folder).sentence


def test_windows_without_knowledge_are_counted_and_left_out(copied: tuple[Path, Plan]) -> None:
    folder, plan = copied
    lacks = np.arange(len(plan.variants[0].table)) % 5 == 0

    def holed(windows: np.ndarray, truth: np.ndarray) -> np.ndarray:
        return np.where(lacks[windows][:, None], np.nan, logits_of(*np.where(truth == 1, 0.8, 0.2)))

    rewrite(folder, plan, "logits", holed)
    every = np.concatenate([fold.unlabelled for fold in plan.variants[0].folds])
    part = parts_of(teacher_of(folder))["unlabelled"]
    assert part.missing == lacks[every].sum()
    assert part.handed_over == len(every) - lacks[every].sum()
    assert part.scores["accuracy"] == 1


def test_a_teacher_of_cross_fitting_is_judged_apart_on_what_it_was_kept_from(crossed: tuple[Path, Plan]) -> None:
    folder, plan = crossed
    parts = [parts_of(teacher_of(folder, f"teacher/without_{group}_of_2")) for group in (1, 2)]
    labelled = sum(len(fold.labelled) for fold in plan.variants[0].folds)
    for part in parts:
        assert set(part) == {"labelled", "held out", "unlabelled"}
        assert part["labelled"].handed_over + part["held out"].handed_over == labelled
    assert parts[0]["held out"].handed_over + parts[1]["held out"].handed_over == labelled


def test_teachers_that_variants_share_are_there_once_and_those_of_the_study_first(crossed: tuple[Path, Plan]) -> None:
    folder, plan = crossed
    found = what_was_handed_over(folder)
    assert [handover.stage for handover in found] == ["teacher", "teacher/without_1_of_2", "teacher/without_2_of_2"]
    assert found[0].variants == tuple(variant.label for variant in plan.variants)
    assert len(found[0].variants) == 2
    (one,) = what_was_handed_over(folder, variant=plan.variants[1].label, stage="teacher")
    assert one.variants == (plan.variants[1].label,)


def test_features_are_summed_up(copied: tuple[Path, Plan]) -> None:
    folder, plan = copied
    (feature,) = teacher_of(folder).features
    assert feature.name == "hidden"
    assert feature.missing == 0
    assert 0 < feature.effective_rank <= feature.width
    width = feature.width

    def along_one_line(windows: np.ndarray, _: np.ndarray) -> np.ndarray:
        values = np.outer(np.where(windows % 2, 3.0, -3.0), np.eye(width)[1])
        values[windows % 10 == 0] = np.nan
        return values

    rewrite(folder, plan, "hidden", along_one_line)
    (feature,) = teacher_of(folder).features
    assert feature.effective_rank == pytest.approx(1)
    assert feature.norm == pytest.approx(3)
    assert feature.norm_spread == pytest.approx(0, abs=1e-6)
    every = np.concatenate([fold.training for fold in plan.variants[0].folds])
    assert feature.missing == pytest.approx((every % 10 == 0).mean())


def test_a_teacher_that_knows_all_labels_has_no_hidden_ones(tiny: Definition, cache: Path, tmp_path: Path) -> None:
    definition = tiny(stages={"teacher": {"labelled": "all"}})
    definition["compare"] = NO_CONTROLS
    folder, plan = trained(definition, tmp_path / "runs", cache)
    handover = teacher_of(folder)
    assert handover.knows_all_labels
    assert set(parts_of(handover)) == {"labelled"}
    assert handover.parts[0].handed_over == sum(len(fold.training) for fold in plan.variants[0].folds)
    assert "it knew their labels, so this tells little" in handover.sentence


def test_validation_windows_stand_apart_and_tell_more_than_those_it_learned_from(
    tiny: Definition, cache: Path, tmp_path: Path
) -> None:
    definition = tiny(
        data={"options": {"subjects": 16}}, protocol={"split": 2, "labelled": None, "validation": 0.25}, compare=None
    )
    definition["training"] = {"epochs": 2, "batch": 8, "patience": 2}
    folder, plan = trained(definition, tmp_path / "runs", cache)
    assert all(len(fold.validation) for fold in plan.variants[0].folds)
    parts = parts_of(teacher_of(folder))
    assert list(parts) == ["labelled", "validation"]
    assert parts["validation"].handed_over == sum(len(fold.validation) for fold in plan.variants[0].folds)
    assert "on which its epoch was chosen" in teacher_of(folder).sentence


def test_a_teacher_of_a_trace_is_held_against_its_values(tiny: Definition, cache: Path, tmp_path: Path) -> None:
    definition = tiny(stages={"taught": {"loss": None}})
    definition["stages"]["taught"]["loss"] = {"hard": 1, "soft": 1}
    definition["target"] = {"name": "arousal", "trace": "arousal", "within": ["calm", "aroused"]}
    definition["compare"] = NO_CONTROLS
    folder, plan = trained(definition, tmp_path / "runs", cache)
    rewrite(folder, plan, "logits", lambda _, truth: truth[:, None] + 0.25)
    handover = teacher_of(folder)
    part = parts_of(handover)["unlabelled"]
    truth = plan.variants[0].dataset["target"].to_numpy()
    every = truth[np.concatenate([fold.unlabelled for fold in plan.variants[0].folds])].astype(float)
    assert part.scores["rmse"] == pytest.approx(0.25, rel=1e-4)
    assert part.scores["pcc"] == pytest.approx(1, rel=1e-4)
    assert part.scores["ccc"] == pytest.approx(2 * every.var() / (2 * every.var() + 0.25**2), rel=1e-3)
    assert handover.classes == ()
    assert part.classes.empty
    assert part.subjects["handed_over"].sum() == part.handed_over
    assert isinstance(part.panel, TracePanel)
    assert "(concordance) on the windows whose labels were hidden" in handover.sentence
    figure = draw_knowledge([part.panel], "a trace")
    assert len(figure.axes) == 2


def test_a_teacher_of_another_target_hands_over_features_alone(tiny: Definition, cache: Path, tmp_path: Path) -> None:
    definition = tiny(stages={"teacher": {"model": "mlp"}, "alone": {"model": "mlp"}})
    definition["stages"]["teacher"]["target"] = {"name": "level", "trace": "arousal", "within": ["calm", "aroused"]}
    definition["stages"]["taught"]["loss"] = {"hard": 1, "hint": {"teacher": "hidden", "student": "hidden"}}
    del definition["compare"]
    folder, _ = trained(definition, tmp_path / "runs", cache)
    handover = teacher_of(folder)
    assert handover.kind == "trace"
    assert handover.parts == ()
    assert [feature.missing for feature in handover.features] == [0]
    assert "hands over features only: hidden, of whose 16 directions it uses" in handover.sentence


def test_a_row_is_drawn_per_part_of_the_windows(crossed: tuple[Path, Plan]) -> None:
    folder, _ = crossed
    figure = draw_knowledge([part.panel for part in teacher_of(folder).parts], "two parts")
    assert len(figure.axes) == 4
    drawn = figure.axes[1].get_legend()
    assert drawn is not None
    assert [text.get_text().partition(" ")[0] for text in drawn.get_texts()] == ["calm", "aroused"]


# ---- what cannot be shown -------------------------------------------------------------------------------------------


def test_unknown_names_are_refused_with_the_nearest(crossed: tuple[Path, Plan]) -> None:
    folder, _ = crossed
    with pytest.raises(DataError, match=r"no stage 'techer'\. Did you mean 'teacher'"):
        what_was_handed_over(folder, stage="techer")
    with pytest.raises(DataError, match="no variant 'temperature=9'"):
        what_was_handed_over(folder, variant="temperature=9")


def test_a_stage_that_teaches_nobody_is_refused_with_those_who_do(crossed: tuple[Path, Plan]) -> None:
    folder, _ = crossed
    with pytest.raises(DataError, match=r"'alone' hands nothing over.*Who teaches: teacher\."):
        what_was_handed_over(folder, stage="alone")


def test_a_study_in_which_nobody_is_taught_is_told_so(tiny: Definition, cache: Path, tmp_path: Path) -> None:
    definition = tiny(stages={"teacher": None, "taught": None}, signals={"temp": None}, compare=None)
    folder, _ = trained(definition, tmp_path / "runs", cache)
    with pytest.raises(DataError, match="Nobody is taught"):
        what_was_handed_over(folder)


LIVE = {"partners": {"teacher": {"stage": "teacher", "start": True, "learns": "frozen"}}}


def test_a_teacher_that_is_live_is_told_to_be_so(tiny: Definition, cache: Path, tmp_path: Path) -> None:
    definition = tiny(stages={"taught": LIVE}, compare=NO_CONTROLS)
    folder, _ = trained(definition, tmp_path / "runs", cache)
    for stage in (None, "teacher"):
        with pytest.raises(DataError, match=r"live \(teacher of taught\), answers at every step .* are not kept"):
            what_was_handed_over(folder, stage=stage)


@pytest.mark.parametrize("live", [False, True])
def test_what_is_there_to_choose_by_is_no_teacher(tiny: Definition, cache: Path, tmp_path: Path, live: bool) -> None:
    """All labels of few subjects leave nobody to validate on: how many groups judge, only the folds tell."""
    definition = tiny(
        choose={"stages.taught.loss.soft.weight": [0.1, 3]},
        protocol={"labelled": "all"},
        stages={"taught": LIVE} if live else {},
        compare=NO_CONTROLS,
    )
    folder, plan = trained(definition, tmp_path / "runs", cache)
    judges = [
        name for name in plan.variants[0].stages if name.startswith("taught/") and "/choosing_without_1_of_4" in name
    ]
    assert judges
    if live:
        with pytest.raises(DataError, match="who teaches is live"):
            what_was_handed_over(folder)
    else:
        assert [handover.stage for handover in what_was_handed_over(folder)] == ["teacher"]
        with pytest.raises(DataError, match=r"Who teaches: teacher\.$"):
            what_was_handed_over(folder, stage="alone")
    assert what_was_handed_over(folder, stage=judges[0])[0].stage == judges[0]


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LimbeckError, match="not a run of Limbeck"):
        what_was_handed_over(tmp_path)


@pytest.mark.parametrize("gone", ["", "knowledge.logits.npy"])
def test_knowledge_that_was_removed_is_told_with_where_it_lay(copied: tuple[Path, Plan], gone: str) -> None:
    folder, plan = copied
    planned = plan.variants[0].stages["teacher"]
    lost = folder.parent / "store" / planned.key / "group-000" / gone
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    with pytest.raises(LimbeckError, match=f"no longer in .*{planned.key}.*Run the study again"):
        what_was_handed_over(folder)


def test_windows_that_are_gone_are_told(copied: tuple[Path, Plan]) -> None:
    folder, _ = copied
    (folder.parent / "cache").unlink()
    with pytest.raises(LimbeckError, match=r"windows of the run .* are gone"):
        what_was_handed_over(folder)


def test_a_run_that_is_under_way_shows_the_teachers_that_are_done(copied: tuple[Path, Plan]) -> None:
    folder, plan = copied
    planned = plan.variants[0].stages["teacher/without_1_of_2"]
    shutil.rmtree(folder.parent / "store" / planned.key)
    mark_run(folder, study="tiny", state="stopped", stages=[])
    assert [handover.stage for handover in what_was_handed_over(folder)] == ["teacher", "teacher/without_2_of_2"]
    with pytest.raises(LimbeckError, match=r"is stopped, and what teacher/without_1_of_2 hands over is not there yet"):
        what_was_handed_over(folder, stage="teacher/without_1_of_2")


def test_a_run_that_has_trained_nothing_yet_is_told_so(tiny: Definition, cache: Path, tmp_path: Path) -> None:
    folder = run_folder(parse_study(tiny()), tmp_path)
    mark_run(folder, study="tiny", state="stopped", stages=[])
    with pytest.raises(LimbeckError, match="is stopped: it has no plan yet"):
        what_was_handed_over(folder)


def test_a_plan_of_other_variants_than_the_study_is_refused(copied: tuple[Path, Plan]) -> None:
    folder, _ = copied
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    plan["another"] = plan.pop(next(iter(plan)))
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    with pytest.raises(LimbeckError, match="do not fit together"):
        what_was_handed_over(folder)


def test_a_damaged_plan_and_damaged_windows_are_told(copied: tuple[Path, Plan], cache: Path) -> None:
    folder, plan = copied
    own = folder.parent / "cache"
    own.unlink()
    stored = plan.variants[0].windows
    shutil.copytree(cache / stored.relative_to(stored.parents[1]), own / stored.relative_to(stored.parents[1]))
    assert what_was_handed_over(folder)
    (own / stored.relative_to(stored.parents[1]) / "zarr.json").unlink()
    with pytest.raises(LimbeckError, match="nothing is trained again") as caught:
        what_was_handed_over(folder)
    assert not isinstance(caught.value, DataError)
    (folder / "plan.json").write_text("{", encoding="utf-8")
    with pytest.raises(LimbeckError, match=r"plan\.json cannot be read"):
        what_was_handed_over(folder)
