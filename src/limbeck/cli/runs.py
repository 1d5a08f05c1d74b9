"""List, show and remove runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limbeck.cli.printing import counted, print_facts, print_table, size
from limbeck.errors import did_you_mean

if TYPE_CHECKING:
    from limbeck.study.store import RunInfo

runs_app = typer.Typer(rich_markup_mode=None, add_completion=False)

OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", file_okay=False, help="The folder of runs.")]
OwnOutOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", file_okay=False, help="The folder of runs. [default: runs]")
]


@runs_app.callback(invoke_without_command=True)
def _runs(ctx: typer.Context, out: OutOption = Path("runs")) -> None:
    """List, show and remove runs."""
    ctx.obj = out
    if ctx.invoked_subcommand is None:
        _list_runs(out)


@runs_app.command("list")
def list_(ctx: typer.Context, out: OwnOutOption = None) -> None:
    """List the runs of a folder with state, date and size."""
    _list_runs(out or ctx.obj)


@runs_app.command()
def show(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="RUN", help="Its name in the list, or its folder.")],
    out: OwnOutOption = None,
) -> None:
    """Show what a run is and where its files lie."""
    found = _find_run(name, out or ctx.obj)
    facts = {"study": found.study, "state": found.state, "started": found.started, "folder": str(found.path)}
    facts["size"] = f"{size(found.bytes)}, and {counted(len(found.stages), 'stage')} in {found.path.parent / 'store'}"
    for key, file in {
        "definition": "study.yaml",
        "predictions": "predictions.parquet",
        "report": "report.html",
    }.items():
        if (found.path / file).is_file():
            facts[key] = str(found.path / file)
    students = [str(file.parent) for file in sorted(found.path.glob("deployed/*/model.json"))]
    if students:
        facts["students"] = "\n".join(students)
    print_facts(facts)


@runs_app.command()
def remove(
    ctx: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="RUN...", help="Names in the list, or folders.")],
    out: OwnOutOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove runs that are no longer wanted.

    With them go the trained stages that no other run of the folder stands on. Only what a run of Limbeck made is
    removed; cached windows stay.
    """
    from limbeck.study.store import remove_run

    for found in [_find_run(name, out or ctx.obj) for name in names]:
        state = "" if found.state == "finished" else f", which is {found.state}"
        if yes or typer.confirm(f"Remove {found.path}{state}?"):
            typer.echo(f"{found.path} removed, {size(remove_run(found.path))} set free")


def _list_runs(out: Path) -> None:
    from limbeck.study.store import list_runs

    found = list_runs(out)
    if not found:
        typer.echo(f"There are no runs in {out}.", err=True)
        return
    print_table(
        ("run", "state", "started", "size"),
        [(run.path.name, run.state, run.started, size(run.bytes)) for run in found],
    )
    for place, holds in {"store": "trained stages", "cache": "windows"}.items():
        typer.echo(f"{out / place}: {size(_bytes_in(out / place))} of {holds}, shared by the runs")


def _find_run(name: str, out: Path) -> RunInfo:
    """Return a run by its folder, or by its name in the folder of runs."""
    from limbeck.study.store import MARKER, list_runs, read_run

    for folder in (out / name, Path(name)):
        if (folder / MARKER).is_file():
            return read_run(folder)
    known = [run.path.name for run in list_runs(out)]
    raise typer.BadParameter(f"there is no run '{name}' in {out}.{did_you_mean(name, known)}")


def _bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
