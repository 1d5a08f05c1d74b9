"""A made-up study whose figures hang together, for everything that prints a report."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from limbeck.evaluation.judgement import ArmScore, Comparison, Difference, GapClosed, Interval, Judgement, Verdict
from limbeck.notation import write_yaml
from limbeck.report import StudyRecord

LEVELS = {
    "teacher": 0.70,
    "alone": 0.60,
    "taught": 0.645,
    "taught/own_input": 0.605,
    "taught/scrambled": 0.59,
    "taught/hard_labels": 0.635,
    "taught/within_predicted": 0.64,
    "taught/smoothed": 0.638,
    "alone/all_labels": 0.69,
    "baseline/majority": 0.50,
    "baseline/prior": 0.498,
    "confound/clock": 0.56,
}
CLASS_METRICS = ("balanced_accuracy", "accuracy", "macro_f1", "kappa", "mcc", "auc")


def mean_interval(values: np.ndarray) -> Interval:
    values = values[np.isfinite(values)]
    if not len(values):
        return Interval(np.nan, np.nan, np.nan)
    middle, error = values.mean(), values.std(ddof=1) / np.sqrt(len(values))
    return Interval(middle, middle - 2 * error, middle + 2 * error)


def difference(table: pd.DataFrame, arm: str, other: str, kind: str, role: str) -> Difference:
    paired = (table[arm] - table[other]).dropna().to_numpy()
    spread = paired.std(ddof=1)
    error = spread / np.sqrt(len(paired))
    p = float(np.clip(np.exp(-0.72 * (paired.mean() / error) ** 2), 1e-4, 1))
    better = float(np.clip(0.5 + 0.2 * paired.mean() / error, 0.01, 0.97))
    return Difference(
        arm=arm, other=other, kind=kind, role=role, gain=mean_interval(paired), p_sign_flip=p, p_wilcoxon=p * 1.1,
        p_holm=min(1.0, 2 * p) if role == "credit" else None, effect_size=float(paired.mean() / spread),
        standard_error=float(error), n_subjects=len(paired), posterior=(1 - better - 0.02, 0.02, better),
    )  # fmt: skip


def verdict(table: pd.DataFrame, variant: str) -> Verdict:
    credit = {"own_input": "taught/own_input", "scrambled": "taught/scrambled"}
    diagnostics = {kind: f"taught/{kind}" for kind in ("hard_labels", "within_predicted", "smoothed")}
    credit, diagnostics = ({kind: arm for kind, arm in held.items() if arm in table} for held in (credit, diagnostics))
    ceiling = "alone/all_labels" if "alone/all_labels" in table else "teacher"
    comparison = Comparison("taught", "alone", "teacher", ceiling, credit, diagnostics)
    differences = [difference(table, "taught", "alone", "alone", "credit")]
    differences += [difference(table, "taught", arm, kind, "credit") for kind, arm in credit.items()]
    differences += [difference(table, "taught", arm, kind, "diagnostic") for kind, arm in diagnostics.items()]
    differences += [difference(table, "taught", "teacher", "teacher", "reference")]
    p = max(row.p_sign_flip for row in differences if row.role == "credit")
    claimable = not comparison.missing_credit
    claim = claimable and p * 3 <= 0.05
    gain = differences[0].gain
    figures = f"{100 * gain.estimate:.1f} points [{100 * gain.low:.1f}, {100 * gain.high:.1f}]"
    words = "Teaching helped: taught beats alone by" if claim else "No evidence that teaching helped: the gain is"
    gap_room = mean_interval((table[ceiling] - table["alone"]).dropna().to_numpy())
    gap = (
        GapClosed(Interval(0.42, 0.11, 0.78), "", gap_room)
        if gap_room.low > 0
        else GapClosed(None, "the ceiling is not clearly above alone", gap_room)
    )
    return Verdict(
        comparison, claim, p, min(1.0, 3 * p) if claimable else np.nan,
        f"{words} {figures} in {variant or 'this study'}.", tuple(differences), gap,
        float(2.8 * differences[0].standard_error), level=0.05 / 3, n_claims=3, claimable=claimable,
    )  # fmt: skip


@pytest.fixture
def make_study() -> Callable[..., tuple[StudyRecord, tuple[Judgement, ...], pd.DataFrame]]:
    return fake_study


def fake_study(
    *,
    variants: Sequence[str] = ("",),
    arms: Sequence[str] = tuple(LEVELS),
    subjects: int = 22,
    classes: tuple[str, ...] = ("rest", "task"),
    compare: bool = True,
    epochs: int = 40,
    repetitions: int = 3,
    seed: int = 0,
    **changes: Any,
) -> tuple[StudyRecord, tuple[Judgement, ...], pd.DataFrame]:
    """Record, judgements and history of a study; `changes` replace fields of the record."""
    rng = np.random.default_rng(seed)
    metrics = CLASS_METRICS if classes else ("ccc", "pcc", "rmse")
    judgements = tuple(judgement_of(variant, arms, subjects, classes, metrics, compare, rng) for variant in variants)
    fields = {
        "study": "Stress from skin",
        "question": "Does a wristband that reads only skin conductance tell stress from rest better when a teacher "
        "with all its sensors has taught it?",
        "definition": "data:\n  name: stress-predict\nstages:\n  alone: {inputs: [eda]}\n",
        "data": {
            "name": "stress-predict", "title": "Stress-Predict", "licence": "MIT", "citation": "Iqbal et al. (2022)",
            "subjects": subjects, "windows": 4210, "length": 60.0, "hop": 30.0,
            "classes": {name: 4210 // len(classes) for name in classes} if classes else {},
        },
        "protocol": {
            "split": "5 folds over subjects", "repetitions": repetitions, "seeds": [0, 1], "labelled": "all",
            "validation": 4, "normalisation": dict.fromkeys(variants, "train"),
        },
        "arms": [
            {"variant": variant, "arm": arm, "model": "encoder", "parameters": 3412,
             "inputs": ["eda", "bvp"] if "teacher" in arm else ["eda"],
             "taught_by": "teacher" if arm.startswith("taught") else None,
             "loss": "0.5 hard + 0.5 soft (T = 4)" if arm.startswith("taught") else "hard", "role": "student",
             "optimistic": False}
            for variant in variants for arm in arms if "/" not in arm or arm.startswith("taught")
        ],
        "quality": [],
        "left_out": [{"what": "S09/EDA.csv", "why": "row 1204 has 2 columns; expected 1."}],
        "warnings": [],
        "environment": {
            "python": "3.12.3", "platform": "Linux", "cpu": "2 cores", "limbeck": "0.1.0", "commit": "86723db",
            "packages": {"numpy": "2.4.6", "torch": "2.13.0"},
        },
        "timing": {"seconds": 812.4, "tasks": 118, "started": "2026-11-20 12:00", "finished": "2026-11-20 12:13"},
        "command": "limbeck run studies/stress_from_skin.yaml --jobs 2",
    }  # fmt: skip
    return StudyRecord(**{**fields, **changes}), judgements, history_of(variants, arms, epochs, repetitions, rng)


def judgement_of(
    variant: str, arms: Sequence[str], subjects: int, classes: tuple[str, ...], metrics: Sequence[str], compare: bool,
    rng: np.random.Generator,
) -> Judgement:  # fmt: skip
    names = [f"S{number:02d}" for number in range(1, subjects + 1)]
    own = rng.normal(0, 0.06, subjects)
    shift = 0.0 if classes else -0.25
    table = pd.DataFrame(
        {arm: LEVELS.get(arm, 0.6) + shift + own + rng.normal(0, 0.05, subjects) for arm in arms},
        index=pd.Index(names, name="subject"),
    )
    if "baseline/majority" in table:
        table["baseline/majority"] = 0.5
    scores = {}
    for arm in arms:
        held = {metric: mean_interval(table[arm].to_numpy() - 0.03 * place) for place, metric in enumerate(metrics)}
        confusion = None
        if classes:
            right = np.full(len(classes), LEVELS.get(arm, 0.6))
            confusion = np.full((len(classes),) * 2, 0.0)
            confusion[:] = (300 * (1 - right) / max(len(classes) - 1, 1))[:, None]
            np.fill_diagonal(confusion, 300 * right)
        scores[arm] = ArmScore(
            arm, held, {metric: held[metric].estimate + 0.01 for metric in metrics},
            dict.fromkeys(metrics, 0.07), subjects, confusion,
        )  # fmt: skip
    verdicts = (verdict(table, variant),) if compare else ()
    return Judgement(variant, metrics[0], "window", 0.05, scores, verdicts, table, (), classes)


def history_of(
    variants: Sequence[str], arms: Sequence[str], epochs: int, repetitions: int, rng: np.random.Generator
) -> pd.DataFrame:
    trained = [arm for arm in arms if not arm.startswith(("baseline", "confound"))]
    grid = pd.MultiIndex.from_product(
        [variants, trained, range(repetitions), range(5), [0], range(epochs), ["train", "validation"]],
        names=["variant", "arm", "repetition", "fold", "seed", "epoch", "split"],
    )
    table = grid.to_frame(index=False)
    decay = np.exp(-table["epoch"] / 12)
    table["loss"] = 0.35 + 0.35 * decay + (table["split"] == "validation") * 0.12 * (1 - decay) ** 2
    table["loss"] += rng.normal(0, 0.02, len(table))
    return table


def fake_sweep(
    counts: Sequence[int | str] = (3, 6, "all"), targets: Sequence[str] = ("",), *, rise: float = 0.03
) -> tuple[StudyRecord, tuple[Judgement, ...], pd.DataFrame]:
    """Record, judgements and history of a study that sweeps its labelled subjects; alone gains `rise` by doubling."""
    rng = np.random.default_rng(3)
    about = {target: f"target={target}, " if target else "" for target in targets}
    labelled = {f"{about[target]}labelled={count}": count for target in targets for count in counts}
    given: Any = [{"name": target, "rating": target} for target in targets] if len(targets) > 1 else "stress"
    record, judgements, history = fake_study(variants=list(labelled), epochs=4)
    record = dataclasses.replace(
        record,
        definition=write_yaml({"study": "sweep", "target": given, "sweep": {"protocol.labelled": list(counts)}}),
        protocol={**record.protocol, "labelled": labelled},
    )
    made = []
    own = rng.normal(0, 0.05, len(judgements[0].per_subject))  # of the subjects, the same in all variants
    for judgement in judgements:
        count = labelled[judgement.variant]
        steps = np.log2(21 if count == "all" else float(count))
        table = judgement.per_subject.copy()
        for arm, ahead in {"alone": 0.0, "taught/own_input": 0.2, "taught": 0.8 if count != "all" else 0.0}.items():
            table[arm] = 0.55 + rise * (steps + ahead) + own + rng.normal(0, 0.001, len(table))
        made.append(dataclasses.replace(judgement, per_subject=table, training_subjects=21.0))
    return record, tuple(made), history


@pytest.fixture
def make_sweep() -> Callable[..., tuple[StudyRecord, tuple[Judgement, ...], pd.DataFrame]]:
    return fake_sweep
