"""List the recipes of teaching, describe one, and write out what the recipes of a study stand for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limbeck.cli.describing import (
    as_json,
    first_line,
    idea_of,
    indented,
    options_of,
    print_entries,
    print_filled,
    print_heading,
    print_options,
    print_paragraphs,
)
from limbeck.cli.printing import ArgumentError, check_name
from limbeck.cli.processes import one_thread

if TYPE_CHECKING:
    from limbeck.distillation.recipes import Recipe

EXAMPLE: dict[str, Any] = {
    "teacher": {"model": "fusion_cnn", "inputs": ["eeg", "eda"]},
    "student": {"model": "student_cnn", "inputs": ["eda"]},
}
"""Networks with which a recipe is shown, unless it suits others."""

TARGETS: dict[str, dict[str, Any]] = {
    "class": {"name": "arousal", "ratings": "arousal", "threshold": 5},
    "trace": {"name": "valence", "trace": "valence"},
}
"""Targets for the same purpose."""

KINDS: Mapping[str, tuple[str, str]] = {
    "logits": ("predictions", "what the teacher answers is learned"),
    "features": ("features", "what the teacher makes of a window before it answers is learned"),
    "privileged": ("privileged", "for sensors that are there in training only"),
    "cotraining": ("together", "networks learn beside each other, or answer anew at every step"),
    "chains": ("chains", "several trainings, one after the other"),
    "pretraining": ("pre-training", "before any label is seen, and whole published systems"),
}
"""By module of the recipes: title and what they have in common, in the order of the list."""

NEEDS: Mapping[str, str] = {
    "live teacher": "it is asked at every step, since its answers change; nothing is stored",
    "live peers": "networks that learn beside it and are left behind",
    "features": "of student and teacher; those of a model are listed by limbeck models MODEL",
    "unlabelled windows": "training subjects whose labels are hidden (protocol.labelled)",
    "source target": "what the backbone learns before",
}
"""What needs mean, where the word alone does not say it."""


def methods(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Describe this one, with the stages that it makes.")
    ] = None,
    expand: Annotated[
        Path | None,
        typer.Option("--expand", metavar="STUDY", dir_okay=False, help="Write this study out, without recipes."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key of that study; may be repeated."),
    ] = None,
    as_json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List or describe the recipes that a study can name.

    A recipe stands under distil and makes stages that could have been written by hand; --expand writes them. The
    losses of such stages are listed by limbeck losses.
    """
    one_thread()
    if expand is not None:
        if name is not None:
            raise ArgumentError("Give a recipe to describe or a study to write out, not both.")
        _print_expanded(expand, overrides or [], json=as_json_)
        return
    if overrides:
        raise ArgumentError("--set overrides keys of a study; name it by --expand.")
    from limbeck.distillation.recipes import RECIPES

    if name is None:
        _print_list(json=as_json_)
        return
    _refuse_loss(name)
    check_name(name, RECIPES)
    if as_json_:
        typer.echo(as_json({**_facts(name), "idea": idea_of(RECIPES.help(name)), **_example(name)}))
    else:
        _print_one(name)


def _refuse_loss(name: str) -> None:
    """Point to the other list where a name is one of a loss, or of what stands beside losses."""
    from limbeck.cli.losses import beside_losses
    from limbeck.distillation import LOSSES
    from limbeck.distillation.recipes import RECIPES

    if name in RECIPES:
        return
    what = (
        "loss"
        if name in LOSSES
        else next((kind for kind, among in beside_losses().items() if name in among.names), None)
    )
    if what is not None:
        raise typer.BadParameter(f"'{name}' is a {what}, no recipe: limbeck losses {name} describes it.")


def _recipe(name: str) -> type[Recipe]:
    from limbeck.distillation.recipes import RECIPES

    found: Any = RECIPES[name]
    return found


def _kind(name: str) -> str:
    """Return the key of `KINDS` that a recipe belongs to."""
    return _recipe(name).__module__.rpartition(".")[2]


def _facts(name: str) -> dict[str, Any]:
    """Return all that is known of a recipe but its idea and an example."""
    from limbeck.distillation.recipes import RECIPES

    recipe = _recipe(name)
    return {
        "name": name,
        "kind": KINDS[_kind(name)][0],
        "about": first_line(RECIPES, name),
        "paper": recipe.paper,
        "year": recipe.year or None,
        "teacher": recipe.takes_teacher,
        "needs": list(recipe.needs),
        "targets": list(recipe.kinds),
        "controls": list(recipe.controls),
        "options": RECIPES.options(name),
        "faults": [fault._asdict() for fault in recipe.faults],
    }


def _in_order() -> Iterator[str]:
    """Yield the recipes by kind and year, what has no year last; the oldest of all comes first."""
    from limbeck.distillation.recipes import RECIPES

    place = {kind: position for position, kind in enumerate(KINDS)}
    yield from sorted(RECIPES, key=lambda name: (place[_kind(name)], _recipe(name).year or 9999, name))


def _print_list(*, json: bool) -> None:
    facts = [_facts(name) for name in _in_order()]
    if json:
        typer.echo(as_json(facts))
        return
    groups = {
        title: (about, [_row(each) for each in facts if each["kind"] == title]) for title, about in KINDS.values()
    }
    print_entries(
        ("method", "year", "teacher", "target", "needs", "what it is"),
        {title: group for title, group in groups.items() if group[1]},
        most={"needs": 20},
    )
    typer.echo()
    print_filled(
        "live: asked at every step. A teacher that is optional makes one of the networks read the rich sensors."
    )
    print_filled(
        "limbeck methods NAME: its options, the faults of what was published, the stages that it makes. "
        "limbeck methods --expand STUDY: a study with its recipes written out. limbeck losses: what stages learn by."
    )


def _row(facts: Mapping[str, Any]) -> tuple[str, ...]:
    targets = facts["targets"]
    return (
        facts["name"],
        str(facts["year"] or ""),
        facts["teacher"],
        "both" if len(targets) == 2 else targets[0],
        ", ".join(facts["needs"]),
        facts["about"],
    )


def _example(name: str) -> dict[str, Any]:
    """Return how a recipe is written, and the stages and comparisons that it makes."""
    from limbeck.study.expansion import expanded

    recipe = _recipe(name)
    written = {"recipe": name, **EXAMPLE, **recipe.example}
    if recipe.takes_teacher == "none":
        del written["teacher"]
    whole = expanded({"target": TARGETS[recipe.kinds[0]], "protocol": {"labelled": 6}, "distil": written})
    return {"distil": written, "stages": whole["stages"], "compare": whole["compare"]}


def _print_one(name: str) -> None:
    from limbeck.distillation import LOSSES
    from limbeck.distillation.recipes import RECIPES
    from limbeck.notation import write_yaml

    facts, example = _facts(name), _example(name)
    print_heading(name, idea_of(RECIPES.help(name)))
    typer.echo()
    explained = [f"{need}: {NEEDS[need]}" if need in NEEDS else need for need in facts["needs"]]
    used = sorted({str(given.get("loss", loss)) for loss, given in _losses_of(example["stages"])})
    print_paragraphs(
        {
            "paper": facts["paper"],
            "year": str(facts["year"] or ""),
            "teacher": facts["teacher"],
            "needs": "\n".join(explained),
            "target": " or ".join(facts["targets"]),
            "controls": _controls(facts, example),
            "losses": ", ".join(loss for loss in used if loss in LOSSES) + " (limbeck losses NAME)",
        }
    )
    if facts["faults"]:
        typer.echo("\nFaults of what was published")
        for fault in facts["faults"]:
            back = f" (as published: under distil, {fault['option']})" if fault["option"] else ""
            print_filled(f"{fault['what']}{back}", "  - ", "    ")
    typer.echo(f"\nWritten in a study\n\n{indented(write_yaml({'distil': example['distil']}))}")
    made = {"stages": example["stages"], "compare": example["compare"]}
    typer.echo(f"\nWhat it stands for (options with their defaults are left out)\n\n{indented(write_yaml(made))}")
    print_options(options_of(RECIPES, name), f"under distil, beside recipe: {name}")
    typer.echo()
    print_filled(
        "Of every recipe distil also takes controls and diagnostics, as compare has them, and crossfit, knowledge and "
        "unlabelled, as a stage has them: they are those of the arm that is taught."
    )


def _losses_of(stages: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for stage in stages.values():
        for loss, given in (stage.get("loss") or {}).items():
            yield loss, given if isinstance(given, Mapping) else {}


def _controls(facts: Mapping[str, Any], example: Mapping[str, Any]) -> str:
    """Return which credit controls the example has, and why not all that there could be."""
    possible, given = facts["controls"], example["compare"][0]["controls"]
    if not possible:
        return "none: nobody reads more than the student"
    if not (lacking := [control for control in possible if control not in given]):
        return ", ".join(given)
    # The expansion leaves out nothing else than own_input of a teacher that cannot read what the student reads.
    return (
        f"{', '.join(given) or 'none'} in the example; {', '.join(lacking)} where the teacher's model can read the "
        f"student's sensors, or is asked for: controls: [{', '.join(possible)}]"
    )


def _print_expanded(file: Path, overrides: list[str], *, json: bool) -> None:
    """Print a study that was found right, with its recipes written out."""
    from limbeck.study import load_study
    from limbeck.study.expansion import expanded
    from limbeck.study.schema import as_yaml

    whole = expanded(load_study(file, overrides).definition)
    typer.echo(as_json(whole) if json else as_yaml(whole).rstrip())
