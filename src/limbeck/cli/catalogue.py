"""List and describe models, steps and features of signals; draw what cleaning does."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli.printing import arguments_in_use, print_facts, print_table
from limbeck.cli.processes import one_thread


def targets(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Describe this one, or those of this data set.")
    ] = None,
) -> None:
    """List or describe the targets that have a name."""
    from limbeck import datasets
    from limbeck.errors import did_you_mean
    from limbeck.study.schema import as_yaml
    from limbeck.targets import known_targets

    rows = known_targets()
    chosen = [row for row in rows if name in (None, row["corpus"], row["name"])]
    if not chosen:
        if name in datasets.DATASETS:
            typer.echo(f"No target is known for the data set '{name}'; a study says what it predicts itself.", err=True)
            return
        names = {row[key] for row in rows for key in ("name", "corpus")}
        raise typer.BadParameter(f"there is no target or data set '{name}'.{did_you_mean(str(name), names)}")
    if len(chosen) == 1 and name == chosen[0]["name"]:
        (row,) = chosen
        print_facts(
            {
                "target": row["name"],
                "data set": row["corpus"],
                "what it is": row["about"],
                "classes": ", ".join(row["classes"]) or "a trace",
            }
        )
        typer.echo(f"\nIn a study, `target: {row['name']}` stands for\n")
        typer.echo(textwrap.indent(as_yaml({"target": row["definition"]}), "    "))
        return
    print_table(
        ("target", "data set", "classes", "what it is"),
        ((row["name"], row["corpus"], ", ".join(row["classes"]) or "a trace", row["about"]) for row in chosen),
    )


def features(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Describe this step, feature or set.")] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot", metavar="STUDY", help="Draw a window of the study's recordings before and after its steps."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Where to: .png, .svg or .html. [default: STUDY-window.png]"),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. signals.temp=[]; may be repeated."),
    ] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="NAME", help="Whose recording. [default: the first]")
    ] = None,
    trial: Annotated[
        str | None, typer.Option("--trial", metavar="NAME", help="Which trial or session. [default: the first]")
    ] = None,
    modalities: Annotated[
        list[str] | None,
        typer.Option("--modality", metavar="NAME", help="One to draw; may be repeated. [default: all]"),
    ] = None,
    start: Annotated[
        float | None,
        typer.Option("--start", metavar="SECONDS", min=0, help="When it starts. [default: the middle window]"),
    ] = None,
    length: Annotated[
        float | None, typer.Option("--length", metavar="SECONDS", help="How long it is. [default: the study's windows]")
    ] = None,
) -> None:
    """List or describe steps and features of signals, or draw cleaning.

    What one costs is measured when it is described. A drawing shows a window of every modality as recorded and after
    the steps of a study, with the beats, breaths and skin conductance responses that are found in it.
    """
    one_thread()
    if plot is not None:
        if name is not None:
            raise typer.BadParameter("give the name of a feature or --plot, not both")
        _plot_window(plot, out, overrides or (), subject, trial, modalities or (), start, length)
        return
    for option, value in {
        "--out": out,
        "--set": overrides,
        "--subject": subject,
        "--trial": trial,
        "--modality": modalities,
        "--start": start,
        "--length": length,
    }.items():
        if value is not None and value != []:
            raise typer.BadParameter(f"{option} goes with --plot STUDY")
    if name is None:
        _list_features()
    else:
        _describe_feature(name)


def _plot_window(
    study: Path,
    out: Path | None,
    overrides: Sequence[str],
    subject: str | None,
    trial: str | None,
    modalities: Sequence[str],
    start: float | None,
    length: float | None,
) -> None:
    from limbeck.report.signals import refuse_to_replace, write_figure
    from limbeck.study.preview import draw_preview

    if length is not None and not length > 0:
        raise typer.BadParameter(f"--length must be above 0 seconds; found {length:g}")
    path = out or Path(f"{study.stem}-window.png")
    with arguments_in_use():
        refuse_to_replace(path)
    figure = draw_preview(
        study, overrides, subject=subject, trial=trial, modalities=modalities, start=start, length=length
    )
    typer.echo(write_figure(figure, path))


def _list_features() -> None:
    from limbeck.report import catalogue

    columns = {
        "steps": ("step", "runs on", "causal", "modalities", "what it does"),
        "features": ("feature", "modalities", "columns", "what it computes"),
        "sets": ("feature set", "modalities", "columns", "what it is"),
    }
    print_table(columns["steps"], catalogue.list_steps())
    typer.echo("")
    print_table(columns["features"], catalogue.list_features())
    if sets := catalogue.list_sets():
        typer.echo("")
        print_table(columns["sets"], sets)
    typer.echo(
        "\ncausal: no output depends on a later sample; columns: by default, of a feature per channel\n"
        "limbeck features NAME says more, and what it costs."
    )


def _describe_feature(name: str) -> None:
    from limbeck.report import catalogue

    entries = catalogue.describe(name)
    if not entries:
        raise typer.BadParameter(f"there is no step, feature or feature set '{name}'.{catalogue.hint(name)}")
    for number, entry in enumerate(entries):
        typer.echo("\n" * (number > 0) + entry.name)
        print_facts({fact: textwrap.fill(text, 100) for fact, text in entry.facts.items()})
        typer.echo(f"\n{entry.text}")
