"""What a run will do, in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from limbeck.cli.printing import counted, duration, print_facts, print_table, size

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from limbeck.study import Plan
    from limbeck.study.grammar import Variant
    from limbeck.study.plan import VariantPlan

REASONS_SHOWN = 20
"""Reasons for which something was left out that a plan names; nothing else would name them before the run."""


def print_plan(plan: Plan, jobs: int, *, keys: bool) -> None:
    """Print what a run will do and take; stages that are those of an earlier variant are not printed again."""
    from limbeck.study.expansion import recipe_of, recipes_of

    printed: dict[tuple[tuple[str, ...], ...], str] = {}
    recipes = recipes_of(plan.study.definition)
    written = plan.study.definition.get("stages") or {}
    for variant in plan.variants:
        label = f" [{variant.label}]" if variant.label else ""
        typer.echo(f"{plan.study.name}{label}: {variant.variant.question}".rstrip(": "))
        print_facts(_variant_facts(variant))
        kinds: dict[str, list[str]] = {}
        for name in variant.stages:
            kinds.setdefault(_kind(variant, name), []).append(name)
        rows = tuple(
            _alike_row(variant, kind, names, key=keys)
            if len(names) > 1
            else _stage_row(variant, names[0], recipe="" if kind in written else recipe_of(kind, recipes), key=keys)
            for kind, names in kinds.items()
        )
        if rows in printed:
            typer.echo(f"  stages as for {printed[rows]}")
        else:
            printed[rows] = variant.label
            print_table(("key", "stage", "what it is") if keys else ("stage", "what it is"), rows)
        typer.echo("")
    estimate = plan.estimate(jobs)
    done = f", {estimate.done} done already" if estimate.done else ""
    typer.echo(
        f"{counted(estimate.tasks, 'task')}{done}; estimate with {counted(jobs, 'process', 'processes')}: "
        f"{duration(estimate.seconds)} of training, {size(estimate.memory)} of memory, {size(estimate.disk)} of disk"
    )


def _variant_facts(plan: VariantPlan) -> dict[str, str]:
    """Return data, shapes and protocol of a variant, by key."""
    variant, protocol = plan.variant, plan.variant.protocol
    target = plan.dataset["target"]
    used = plan.counted
    truth = target.to_numpy()[used]
    counts = [f"{name} {(truth == code).sum():,}" for code, name in enumerate(target.attrs.get("classes", []))]
    split = "leave one subject out" if isinstance(protocol.split, str) else f"{protocol.split} folds over subjects"
    folds = len(plan.folds) // protocol.repetitions
    times = [counted(folds, "fold"), counted(protocol.repetitions, "repetition"), counted(len(protocol.seeds), "seed")]
    networks = counted(len(plan.folds) * len(protocol.seeds), "network")
    facts = {
        "data": f"{variant.data.corpus}: {counted(plan.n_subjects, 'subject')}, "
        f"{counted(int(used.sum()), 'window')} of {variant.windows.length:g} s, hop {variant.windows.hop:g} s",
        "target": f"{target.attrs['name']}: {', '.join(counts) or _trace(target)}",
        **_spread(plan),
        "shapes": ", ".join(_shape(plan, modality) for modality in variant.signals),
        "protocol": f"{split}; {' x '.join(times)} = {networks} per stage; "
        f"labelled subjects: {protocol.labelled}; validation: {plan.validation}",
        "normalise": _normalisation(variant),
    }
    if variant.refit is not None:
        facts["refit"] = f"{variant.deployed}, on {variant.refit}"
    if plan.left_out:
        from limbeck.study.plan import by_reason

        lines = by_reason(plan.left_out)
        more = [f"and for {len(lines) - REASONS_SHOWN} other reasons"] if len(lines) > REASONS_SHOWN else []
        facts["left out"] = "\n".join(lines[:REASONS_SHOWN] + more)
    if plan.warnings:
        facts["warning"] = "\n".join(plan.warnings)
    return facts


def _spread(plan: VariantPlan) -> dict[str, str]:
    """Return how many windows of each class the subjects have, and who has none of one."""
    from limbeck.datasets.inspecting import spans

    table = plan.table[plan.counted]
    classes = plan.dataset["target"].attrs.get("classes", [])
    subjects = list(dict.fromkeys(table["subject"]))
    if not subjects:
        return {}
    if not classes:
        counts = table["subject"].value_counts()
        return {"per subject": f"{_range(counts)} windows"}
    told, lacking = [], []
    for code, name in enumerate(classes):
        counts = table.loc[table["target"] == code, "subject"].value_counts().reindex(subjects, fill_value=0)
        told.append(f"{name} {_range(counts)}")
        without = [subject for subject in subjects if not counts[subject]]
        if without:
            lacking.append(f"no {name}: {spans(without)}")
    return {"per subject": "\n".join([", ".join(told), *lacking])}


def _trace(target: xr.DataArray) -> str:
    return f"a trace, {target.shape[1]} values per window" if target.ndim > 1 else "a trace"


def _range(counts: pd.Series) -> str:
    """Return ``12 to 30``, or the one number."""
    low, high = int(counts.min()), int(counts.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _normalisation(variant: Variant) -> str:
    calibration = variant.calibration
    return f"by the first {calibration.seconds:g} s of {calibration.condition}" if calibration else variant.mode


def _shape(plan: VariantPlan, modality: str) -> str:
    """Return the shape of one window of a modality: ``eda 1 x 240 (4 Hz)``, ``ecg 2 features``."""
    if modality not in plan.dataset:
        return f"{modality} absent"
    variable = plan.dataset[modality]
    if "features" in variable.attrs:
        return f"{modality} {counted(variable.shape[1], 'feature')}"
    return f"{modality} {variable.shape[1]} x {variable.shape[2]} ({variable.attrs['rate']:g} Hz)"


def _kind(plan: VariantPlan, name: str) -> str:
    """Return the name of a stage; * stands for what is chosen and who is left out for it where that is derived."""
    from limbeck.study.graph import CHOOSING

    first, *rest = name.split("/")
    if first not in plan.stages or name in plan.stages[first].node.candidates:
        return name
    chosen = {candidate.partition("/")[2] for candidate in plan.stages[first].node.candidates}
    parts = ["*" if part in chosen else re.sub(rf"(?<={CHOOSING})\d+", "*", part) for part in rest]
    return "/".join([first, *parts])


def _alike_row(plan: VariantPlan, kind: str, names: Sequence[str], *, key: bool) -> tuple[str, ...]:
    """Return the row of stages that differ in nothing but what is chosen, and who is left out for it."""
    first = _stage_row(plan, names[0], recipe="", key=key)[-1]
    row = (kind, f"{len(names)} stages; the first, {names[0]}: {first}")
    return (f"{len(names)} keys", *row) if key else row


def _stage_row(plan: VariantPlan, name: str, *, recipe: str, key: bool) -> tuple[str, ...]:
    """Return a stage's name and what it is; of a derived stage, what sets it apart from the one it comes from."""
    from limbeck.study.facts import facts_of

    planned = plan.stages[name]
    what = facts_of(planned)
    origin = name.rpartition("/")[0]
    if origin in plan.stages:
        known = facts_of(plan.stages[origin])
        what = {"origin": f"as {origin}"} | {fact: text for fact, text in what.items() if text != known.get(fact)}
    if recipe:
        what["recipe"] = f"by recipe {recipe}"
    if key:
        what["tasks"] = f"in {counted(len(planned.groups), f'{planned.backend} task')}"
    row = (name, "; ".join(what.values()))
    return (planned.key[:8], *row) if key else row
