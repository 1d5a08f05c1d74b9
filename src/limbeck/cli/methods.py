"""List the recipes of teaching, describe one, and write out what the recipes of a study stand for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limbeck.cli.printing import ArgumentError, check_name, print_entry, print_facts, print_table
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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List or describe the recipes that a study can name.

    A recipe stands under distil and makes stages that could have been written by hand; --expand writes them.
    """
    one_thread()
    if expand is not None:
        if name is not None:
            raise ArgumentError("Give a recipe to describe or a study to write out, not both.")
        _print_expanded(expand, overrides or [], as_json=as_json)
        return
    if overrides:
        raise ArgumentError("--set overrides keys of a study; name it by --expand.")
    from limbeck.distillation.recipes import RECIPES

    if name is None:
        _print_list(as_json=as_json)
        return
    check_name(name, RECIPES)
    if as_json:
        typer.echo(_as_json({**_facts(name), "idea": RECIPES.help(name), **_example(name)}))
    else:
        _print_one(name)


def _recipe(name: str) -> type[Recipe]:
    from limbeck.distillation.recipes import RECIPES

    found: Any = RECIPES[name]
    return found


def _facts(name: str) -> dict[str, Any]:
    """Return all that is known of a recipe but its idea and an example."""
    from limbeck.distillation.recipes import RECIPES

    recipe = _recipe(name)
    return {
        "name": name,
        "about": RECIPES.help(name).partition("\n")[0],
        "paper": recipe.paper,
        "year": recipe.year or None,
        "teacher": recipe.takes_teacher,
        "needs": list(recipe.needs),
        "targets": list(recipe.kinds),
        "controls": list(recipe.controls),
        "options": RECIPES.options(name),
        "faults": [fault._asdict() for fault in recipe.faults],
    }


def _print_list(*, as_json: bool) -> None:
    from limbeck.distillation.recipes import RECIPES

    facts = [_facts(name) for name in RECIPES]
    if as_json:
        typer.echo(_as_json(facts))
        return
    rows = [
        (
            each["name"],
            str(each["year"] or ""),
            each["teacher"],
            ", ".join(each["needs"]),
            " or ".join(each["targets"]),
            each["about"],
        )
        for each in facts
    ]
    print_table(("method", "year", "teacher", "needs", "target", "what it is"), rows)


def _example(name: str) -> dict[str, Any]:
    """Return how a recipe is written, and the stages and comparisons that it makes."""
    from limbeck.study.expansion import expanded

    recipe = _recipe(name)
    written = {"recipe": name, **EXAMPLE, **recipe.example}
    if recipe.takes_teacher == "none":
        del written["teacher"]
    whole = expanded({"target": TARGETS[recipe.kinds[0]], "distil": written})
    return {"distil": written, "stages": whole["stages"], "compare": whole["compare"]}


def _print_one(name: str) -> None:
    from limbeck.distillation.recipes import RECIPES
    from limbeck.notation import write_yaml

    facts, example = _facts(name), _example(name)
    print_entry(name, RECIPES, f"distil: {{recipe: {name}}}")
    typer.echo()
    shown = {
        "paper": facts["paper"],
        "teacher": facts["teacher"],
        "needs": ", ".join(facts["needs"]),
        "target": " or ".join(facts["targets"]),
        "controls": ", ".join(facts["controls"]) or "none: nobody reads more than the student",
    }
    print_facts({key: text for key, text in shown.items() if text})
    if facts["faults"]:
        typer.echo("\nFaults of what was published")
        for fault in facts["faults"]:
            back = f" (as published: {fault['option']})" if fault["option"] else ""
            typer.echo(f"  - {fault['what']}{back}")
    typer.echo(f"\nWritten in a study\n\n{_indented(write_yaml({'distil': example['distil']}))}")
    made = {"stages": example["stages"], "compare": example["compare"]}
    typer.echo(f"\nWhat it stands for\n\n{_indented(write_yaml(made))}")


def _indented(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())


def _print_expanded(file: Path, overrides: list[str], *, as_json: bool) -> None:
    """Print a study that was found right, with its recipes written out."""
    from limbeck.study import load_study
    from limbeck.study.expansion import expanded
    from limbeck.study.schema import as_yaml

    whole = expanded(load_study(file, overrides).definition)
    typer.echo(_as_json(whole) if as_json else as_yaml(whole).rstrip())


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
