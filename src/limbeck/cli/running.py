"""Run a study, judge it again, predict with its student."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limbeck.cli.planning import print_plan
from limbeck.cli.printing import console, counted, print_left_out
from limbeck.cli.processes import MOST_JOBS, available_jobs, one_thread
from limbeck.cli.progress import watching
from limbeck.errors import did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from limbeck.study import Run

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", file_okay=False)]
OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", file_okay=False, help="The folder of runs.")]


def run(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="A study in YAML.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. protocol.labelled=6; may be repeated."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            metavar="N",
            min=1,
            help=f"Worker processes. [default: one per processor core, at most {MOST_JOBS}]",
        ),
    ] = None,
    out: OutOption = Path("runs"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the study against its data, print the plan and stop.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but the path of the report.")] = False,
) -> None:
    """Run a study: train, judge, report.

    Its stages are trained with their controls, fold by fold; the verdict is made from the test predictions. What is
    done already is not done again: a run that was stopped goes on where it was.

    A study writes its stages out, or names under distil a recipe of the literature that makes them (recipe: hinton,
    with a teacher and a student). limbeck methods lists the recipes, limbeck losses what a stage can learn by.
    """
    import warnings

    one_thread()
    from limbeck.study import load_study, make_plan, run_study

    # Workers that were lent to cutting and then load PyTorch look like a leak to joblib, which puts fresh ones in their
    # place and loses nothing; a worker that truly dies is an error, not a warning.
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given", category=UserWarning)

    definition = load_study(study, overrides or ())
    jobs = jobs or available_jobs()
    with watching(quiet) as watch:
        plan = make_plan(definition, out, jobs=jobs, report=watch.phase, progress=watch.step)
    if dry_run or not quiet:
        print_plan(plan, jobs, keys=dry_run)
    if dry_run:
        return
    with watching(quiet) as watch:
        watch.phase("training")
        finished = run_study(
            definition,
            out=out,
            jobs=jobs,
            say=watch.phase,
            progress=watch.step,
            plan=plan,
            command=_command(study, overrides or (), jobs, out),
        )
    if quiet:
        typer.echo(finished.report)
    else:
        _print_summary(finished)


def report(folder: RunArgument) -> None:
    """Judge a run anew and rewrite its report.

    Every score is computed from the stored predictions; nothing is trained.
    """
    one_thread()
    _refuse_no_run(folder)
    from limbeck.study import judge_run

    _print_summary(judge_run(folder))


def _refuse_no_run(folder: Path) -> None:
    """Refuse a folder that is not there, with the run that was probably meant: names of runs end in eight letters."""
    from limbeck.study.store import list_runs

    if folder.exists():
        return
    known = [str(run.path) for run in list_runs(folder.parent)]
    named = [path for path in known if Path(path).name.startswith(f"{folder.name}-")]
    hint = f" Did you mean {' or '.join(named)}?" if named else did_you_mean(str(folder), known)
    raise typer.BadParameter(f"there is no folder '{folder}'.{hint}")


def _print_summary(run: Run) -> None:
    from limbeck.report import print_summary

    print_summary(run.record, run.judgements, console(), report=run.report)


def _command(study: Path, overrides: Sequence[str], jobs: int, out: Path) -> str:
    sets = [part for override in overrides for part in ("--set", override)]
    return shlex.join(["limbeck", "run", str(study), *sets, "--jobs", str(jobs), "--out", str(out)])


def predict(
    folder: RunArgument,
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="E4 sessions (folders or zips), EDF or BDF files.", exists=True),
    ],
    csv: Annotated[
        str | None, typer.Option("--csv", metavar="FILE", help="Write a CSV file instead of a table; - for stdout.")
    ] = None,
) -> None:
    """Predict new recordings with the student of a run.

    The run's study says `refit: all`. Prints a row per window, or per step of a trace; what was left out is named on
    stderr.
    """
    one_thread()
    _refuse_no_run(folder)
    from limbeck.study import predict_files

    predictions, corpus = predict_files(folder, files)
    print_left_out(corpus.left_out)
    if csv is None:
        typer.echo(predictions.to_string(index=False, formatters=_formatters(predictions)))
        return
    text = predictions.to_csv(index=False)
    if csv == "-":
        typer.echo(text, nl=False)
    else:
        Path(csv).write_text(text, encoding="utf-8")
        typer.echo(f"{counted(len(predictions), 'row')} written to {csv}", err=True)


def _formatters(predictions: pd.DataFrame) -> dict[str, Any]:
    """Return how columns of numbers are shown: times as finely as windows or steps need, all else in thousandths."""
    width = float((predictions["end"] - predictions["start"]).min())
    fine = next((digits for digits in (1, 2) if abs(width - round(width, digits)) < 1e-6), 3)
    digits = {name: fine if name in ("start", "end") else 3 for name in predictions.select_dtypes("number").columns}
    return {name: lambda value, d=d: f"{value:.{d}f}" for name, d in digits.items()}
