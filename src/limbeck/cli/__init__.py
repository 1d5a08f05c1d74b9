"""The command line: parses, calls, prints.

Results go to stdout, everything else to stderr. Exit codes: 0 when the work was done (whether or not a claim is
supported), 2 for mistakes in a study or in arguments, 1 for what else went wrong, 130 when interrupted. Each command
imports what it needs when it runs, so that ``--help`` is there at once.

============ ==========================================================================
`running`    ``run``, ``report``, ``predict``; `planning` says what a run will do
`runs`       ``runs``: list, show, remove
`knowledge`  ``knowledge``: what the teachers of a run handed over
`datasets`   ``datasets``: list, describe, fetch, inspect, validate, convert
`models`     ``models``; `methods`: ``methods``, the recipes of teaching; `losses`: ``losses``
`catalogue`  ``features``, ``targets``
`describing` what registered things say of themselves
`printing`   tables and facts; `progress` how far the work is; `processes` how many work
============ ==========================================================================
"""

from __future__ import annotations

import io
import sys
from typing import Annotated, Any

import typer
import typer.core

from limbeck import __version__
from limbeck.cli.catalogue import features, targets
from limbeck.cli.datasets import datasets_app
from limbeck.cli.knowledge import knowledge
from limbeck.cli.losses import losses
from limbeck.cli.methods import methods
from limbeck.cli.models import models
from limbeck.cli.printing import ArgumentError
from limbeck.cli.running import predict, report, run
from limbeck.cli.runs import runs_app
from limbeck.errors import LimbeckError, StudyError

__all__ = ["app", "main"]


class _Commands(typer.core.TyperGroup):
    """Turns what Limbeck refuses, and Ctrl-C, into a message and an exit code; other exceptions pass."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except LimbeckError as error:
            typer.echo(f"limbeck: {error}", err=True)
            raise typer.Exit(2 if isinstance(error, StudyError | ArgumentError) else 1) from error
        except KeyboardInterrupt:
            goes_on = ctx.invoked_subcommand == "run"
            typer.echo(
                "\nlimbeck: stopped." + (" Run it again to go on where it stopped." if goes_on else ""), err=True
            )
            raise typer.Exit(130) from None


app = typer.Typer(
    name="limbeck",
    cls=_Commands,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
)
for _command in (run, report, knowledge, predict, methods, losses, models, features, targets):
    app.command()(_command)
app.add_typer(runs_app, name="runs")
app.add_typer(datasets_app, name="datasets")


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A sign that the terminal's encoding lacks is no reason to lose a result.
            stream.reconfigure(errors="replace")
    app(prog_name="limbeck")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"limbeck {__version__}")
        raise typer.Exit


@app.callback()
def _limbeck(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Teach models that read cheap physiological sensors by models that read rich ones, and judge what it brought."""
