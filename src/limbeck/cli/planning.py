"""What a run will do, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from limbeck.cli.printing import counted, duration, print_facts, print_table, size

if TYPE_CHECKING:
    import pandas as pd

    from limbeck.study import Plan
    from limbeck.study.grammar import Variant
    from limbeck.study.plan import PlannedStage, VariantPlan

REASONS_SHOWN = 20
"""Reasons for which something was left out that a plan names; nothing else would name them before the run."""


def print_plan(plan: Plan, jobs: int, *, keys: bool) -> None:
    """Print what a run will do and take; stages that are those of an earlier variant are not printed again."""
    from limbeck.study.expansion import recipes_of

    printed: dict[tuple[tuple[str, ...], ...], str] = {}
    recipes = recipes_of(plan.study.definition)
    written = plan.study.definition.get("stages") or {}
    for variant in plan.variants:
        label = f" [{variant.label}]" if variant.label else ""
        typer.echo(f"{plan.study.name}{label}: {variant.variant.question}".rstrip(": "))
        print_facts(_variant_facts(variant))
        rows = tuple(
            _stage_row(variant, name, recipe="" if name in written else _recipe(name, recipes), key=keys)
            for name in variant.stages
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
    used = ~plan.dataset["calibration"].to_numpy()
    truth = target.to_numpy()[used]
    counts = [f"{name} {(truth == code).sum():,}" for code, name in enumerate(target.attrs.get("classes", []))]
    split = "leave one subject out" if isinstance(protocol.split, str) else f"{protocol.split} folds over subjects"
    folds = len(plan.folds) // protocol.repetitions
    times = [counted(folds, "fold"), counted(protocol.repetitions, "repetition"), counted(len(protocol.seeds), "seed")]
    networks = counted(len(plan.folds) * len(protocol.seeds), "network")
    facts = {
        "data": f"{variant.data.corpus}: {counted(plan.n_subjects, 'subject')}, "
        f"{counted(int(used.sum()), 'window')} of {variant.windows.length:g} s, hop {variant.windows.hop:g} s",
        "target": f"{target.attrs['name']}: {', '.join(counts) or 'a trace'}",
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

    table = plan.table[~plan.table["calibration"]]
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


def _recipe(name: str, recipes: Mapping[str, str]) -> str:
    """Return the recipe whose arm a stage is, or leads to; empty for others."""
    own = [arm for arm in recipes if name == arm or name.startswith(f"{arm}_")]
    return recipes[max(own, key=len)] if own and "/" not in name else ""


def _stage_row(plan: VariantPlan, name: str, *, recipe: str, key: bool) -> tuple[str, ...]:
    """Return a stage's name and what it is; of a derived stage, what sets it apart from the one it comes from."""
    planned = plan.stages[name]
    what = _facts_of(planned)
    origin = name.rpartition("/")[0]
    if origin in plan.stages:
        known = _facts_of(plan.stages[origin])
        what = {"origin": f"as {origin}"} | {fact: text for fact, text in what.items() if text != known.get(fact)}
    if recipe:
        what["recipe"] = f"by recipe {recipe}"
    if key:
        what["tasks"] = f"in {counted(len(planned.groups), f'{planned.backend} task')}"
    row = (name, "; ".join(what.values()))
    return (planned.key[:8], *row) if key else row


def _facts_of(planned: PlannedStage) -> dict[str, str]:
    """Return model, inputs, losses, teachers, start, and what is hidden, shown or spoiled, as phrases."""
    node = planned.node
    inputs = [m if chosen is None else f"{m} {','.join(chosen)}" for m, chosen in node.stage.inputs.items()]
    losses = [_loss(loss, options) for loss, options in node.stage.losses.items()]
    # A classical model holds none that PyTorch knows of.
    size_of_it = counted(planned.parameters, "parameter") if planned.parameters else "fitted"
    facts = {
        "model": f"{node.stage.model.name} ({size_of_it})",
        "inputs": f"reads {' + '.join(inputs)}",
        "loss": f"loss {' + '.join(losses)}",
    }
    if node.candidates:
        judge = (
            f"judged by {len(node.judges[0])} groups left out" if node.judges[0] else "judged by validation subjects"
        )
        facts["loss"] = f"chosen in each fold among {len(node.candidates)} candidates, " + (
            f"as in {node.follows}" if node.follows else judge
        )
    if node.target:
        facts["target"] = f"predicts {node.target}"
    if node.stage.without:
        facts["without"] = f"tested without {' + '.join(node.stage.without)}"
    if node.teachers:
        crossed = sum(map(len, node.cross_teachers.values()))
        facts["teacher"] = f"taught by {' + '.join(node.teachers.values())}" + (
            f" and {crossed} cross-fitted" if crossed else ""
        )
    for name, partner in node.stage.partners.items():
        start = f", from {node.partner_starts[name]}" if name in node.partner_starts else ""
        facts[f"partner {name}"] = f"beside {name} (learns: {partner.learns}{start})"
    if node.stage.steps:
        facts["steps"] = f"steps: {', '.join(node.stage.steps)}"
    if node.stage.augment is not None:
        facts["augment"] = "augmented"
    if node.start is not None:
        facts["start"] = f"starts from {node.start}"
    if node.holdouts:
        facts["holdouts"] = "without " + " and ".join(f"group {k + 1} of {count}" for k, count in node.holdouts)
    if node.all_labels:
        facts["labels"] = "sees all labels"
    if node.spoil is not None:
        facts["spoil"] = f"knowledge: {node.spoil}"
    return facts


def _loss(name: str, options: Mapping[str, Any]) -> str:
    """Return a loss with its weight and options: ``0.5 soft (temperature 4)``; what is so by default is left out."""
    from limbeck.distillation import LOSSES

    usual = {**LOSSES.options(str(options.get("loss", name))), "loss": name}
    others = {key: value for key, value in options.items() if key != "weight" and value != usual.get(key)}
    shown = ", ".join(f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in others.items())
    return f"{options.get('weight', 1):g} {name}" + (f" ({shown})" if shown else "")
