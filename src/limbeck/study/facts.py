"""What a stage is, in phrases that the plan and the report share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from limbeck.distillation import LOSSES
from limbeck.distillation.steps import STEPS
from limbeck.distillation.teachers import COMBINATIONS
from limbeck.study.grammar import Knowledge, Partner

if TYPE_CHECKING:
    from limbeck.study.plan import PlannedStage

__all__ = ["besides", "facts_of", "losses_in_words"]

COLUMNS = ("model", "inputs", "loss", "teacher")
"""Facts that have columns of their own in the report."""


def facts_of(planned: PlannedStage) -> dict[str, str]:
    """Return model, inputs, losses, teachers, start, and what is hidden, shown or spoiled, as phrases.

    Options are those of the study that are not as they are by default.
    """
    node, stage = planned.node, planned.node.stage
    inputs = [m if chosen is None else f"{m} {','.join(chosen)}" for m, chosen in stage.inputs.items()]
    # A classical model holds none that PyTorch knows of.
    count = planned.parameters
    size = f"{count:,} parameter{'s' if count != 1 else ''}" if count else "fitted"
    facts = {
        "model": f"{stage.model.name} ({size})",
        "inputs": f"reads {' + '.join(inputs)}",
        "loss": f"loss {losses_in_words(stage.losses)}",
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
    if stage.without:
        facts["without"] = f"tested without {' + '.join(stage.without)}"
    if node.teachers:
        facts["teacher"] = f"taught by {' + '.join(node.teachers.values())}"
    if crossed := sum(map(len, node.cross_teachers.values())):
        facts["crossfit"] = f"{crossed} teachers cross-fitted"
    if knowledge := _knowledge(stage.knowledge):
        facts["knowledge"] = f"knowledge: {knowledge}"
    for name, partner in stage.partners.items():
        start = node.partner_starts.get(name) or (partner.stage if partner.start else None)
        facts[f"partner {name}"] = f"beside {name} ({_partner(partner, start)})"
    if stage.steps:
        shown = [_with_options(name, options, STEPS.options(name)) for name, options in stage.steps.items()]
        facts["steps"] = f"steps: {', '.join(shown)}"
    if stage.predict_with is not None:
        facts["predict_with"] = f"predicts with {stage.predict_with}"
    if stage.augment is not None:
        facts["augment"] = f"augmented: {_value(stage.augment)}"
    if node.start is not None:
        written = stage.start
        whose = f" (its partner {written.partner})" if written and written.partner else ""
        anew = f", {' + '.join(written.reset)} anew" if written and written.reset else ""
        facts["start"] = f"starts from {node.start}{whose}{anew}"
    if node.holdouts:
        facts["holdouts"] = "without " + " and ".join(f"group {k + 1} of {count}" for k, count in node.holdouts)
    if node.all_labels:
        facts["labels"] = "sees all labels"
    if node.spoil is not None:
        facts["spoil"] = f"knowledge: {node.spoil}"
    return facts


def besides(planned: PlannedStage) -> list[str]:
    """Return the phrases for what a table of model, inputs, losses and teachers leaves unsaid."""
    return [phrase for fact, phrase in facts_of(planned).items() if fact not in COLUMNS]


def losses_in_words(losses: Mapping[str, Mapping[str, Any]]) -> str:
    """Return losses with weights and options: ``0.1 hard + 0.9 soft (temperature 9)``; what is default is left out."""
    shown = []
    for name, options in losses.items():
        usual = {**LOSSES.options(str(options.get("loss", name))), "loss": name}
        others = {key: value for key, value in options.items() if key != "weight"}
        shown.append(_with_options(f"{options.get('weight', 1):g} {name}", others, usual))
    return " + ".join(shown)


def _knowledge(knowledge: Knowledge) -> str:
    """Return what is done to knowledge before it is taught, where that is anything."""
    written = {key: value for key, value in knowledge if key != "combine" and value != getattr(Knowledge(), key)}
    way, options = knowledge.way
    parts = [] if way == "average" else [f"combine {_with_options(way, options, COMBINATIONS.options(way))}"]
    return ", ".join([*parts, *(_option(key, value) for key, value in written.items())])


def _partner(partner: Partner, start: str | None) -> str:
    """Return how a partner learns, and what it is where it is not like the network."""
    parts = [f"learns: {partner.learns}"]
    if partner.model is not None:
        parts.append(partner.model.name)
    elif partner.stage is not None and start is None:
        parts.append(f"like {partner.stage}")
    if partner.inputs is not None:
        parts.append(f"reads {' + '.join(partner.inputs)}")
    usual = Partner()
    parts += [
        _option(key, getattr(partner, key))
        for key in ("momentum", "of", "dropout")
        if getattr(partner, key) != getattr(usual, key)
    ]
    return ", ".join([*parts, *([f"from {start}"] if start else [])])


def _with_options(name: str, options: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    shown = [_option(key, value) for key, value in options.items() if value != usual.get(key)]
    return f"{name} ({', '.join(shown)})" if shown else name


def _option(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return key if value else f"no {key}"
    return f"{key} {_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_value(held)}".rstrip() for key, held in value.items())
    if isinstance(value, list | tuple):
        return " + ".join(map(_value, value))
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
