"""The command line: parses, calls, prints.

Results go to stdout, everything else to stderr. Exit codes: 0 when the work was done (whether or not a claim is
supported), 2 for mistakes in a study or in arguments, 1 for what else went wrong, 130 when interrupted. Each command
imports what it needs when it runs, so that ``--help`` is there at once.
"""

from __future__ import annotations

import io
import shlex
import sys
import textwrap
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from limbeck import __version__
from limbeck.errors import LimbeckError, StudyError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from limbeck.recording import LeftOut
    from limbeck.registry import Registry
    from limbeck.study import Plan, Run
    from limbeck.study.plan import PlannedStage, VariantPlan
    from limbeck.study.schema import Variant
    from limbeck.study.store import RunInfo

__all__ = ["app", "main"]

MOST_JOBS = 8
"""Processes by default, at most: each holds PyTorch and a copy of the windows."""

WIDE = 1000
"""Columns where no terminal limits them: a line of a log is not to be cut."""

NUMBERS = frozenset({"columns", "parameters", "size", "subjects"})
"""Columns of tables that are read from the right."""

LEFT_OUT_SHOWN = 5
"""Things left out that a plan names; the report names all."""


class _Commands(typer.core.TyperGroup):
    """Turns what Limbeck refuses, and Ctrl-C, into a message and an exit code; other exceptions pass."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except LimbeckError as error:
            typer.echo(f"limbeck: {error}", err=True)
            raise typer.Exit(2 if isinstance(error, StudyError) else 1) from error
        except KeyboardInterrupt:
            goes_on = ctx.invoked_subcommand in ("run", "datasets")
            typer.echo(
                "\nlimbeck: stopped." + (" Run it again to go on where it stopped." if goes_on else ""), err=True
            )
            raise typer.Exit(130) from None


_PLAIN: dict[str, Any] = {"rich_markup_mode": None, "no_args_is_help": True, "add_completion": False}

app = typer.Typer(name="limbeck", cls=_Commands, pretty_exceptions_enable=False, **_PLAIN)
runs_app = typer.Typer(**{**_PLAIN, "no_args_is_help": False})
datasets_app = typer.Typer(**_PLAIN)
app.add_typer(runs_app, name="runs")
app.add_typer(datasets_app, name="datasets")

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", exists=True, file_okay=False)]
OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", file_okay=False, help="The folder of runs.")]
OwnOutOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", file_okay=False, help="The folder of runs. [default: runs]")
]


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


# ---- run and report -------------------------------------------------------------------------------------------------


@app.command()
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
    """
    import warnings

    _one_thread()
    from limbeck.study import load_study, make_plan, run_study

    # Workers that were lent to cutting and then load PyTorch look like a leak to joblib, which puts fresh ones in their
    # place and loses nothing; a worker that truly dies is an error, not a warning.
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given", category=UserWarning)

    definition = load_study(study, overrides or ())
    jobs = jobs or _available_jobs()
    with _watch(quiet) as watch:
        plan = make_plan(definition, out, jobs=jobs, report=watch.phase, progress=watch.step)
    if dry_run or not quiet:
        _print_plan(plan, jobs, keys=dry_run)
    if dry_run:
        return
    with _watch(quiet) as watch:
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


@app.command()
def report(folder: RunArgument) -> None:
    """Judge a run anew and rewrite its report.

    Every score is computed from the stored predictions; nothing is trained.
    """
    _one_thread()
    from limbeck.study import judge_run

    _print_summary(judge_run(folder))


def _print_summary(run: Run) -> None:
    from limbeck.report import print_summary

    print_summary(run.record, run.judgements, _console(), report=run.report)


def _one_thread() -> None:
    """Ask the numerical libraries, before they are imported, for one thread per process."""
    import os

    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def _available_jobs() -> int:
    """Return how many processes run by default: one per core that affinity and container limits allow."""
    import joblib

    return max(1, min(MOST_JOBS, joblib.cpu_count()))


def _command(study: Path, overrides: Sequence[str], jobs: int, out: Path) -> str:
    sets = [part for override in overrides for part in ("--set", override)]
    return shlex.join(["limbeck", "run", str(study), *sets, "--jobs", str(jobs), "--out", str(out)])


# ---- predict --------------------------------------------------------------------------------------------------------


@app.command()
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

    The run's study says `refit: all`. Prints a row per window; what was left out is named on stderr.
    """
    _one_thread()
    from limbeck.study import predict_files

    predictions, corpus = predict_files(folder, files)
    _print_left_out(corpus.left_out)
    if csv is None:
        typer.echo(predictions.to_string(index=False, formatters=_formatters(predictions)))
        return
    text = predictions.to_csv(index=False)
    if csv == "-":
        typer.echo(text, nl=False)
    else:
        Path(csv).write_text(text, encoding="utf-8")
        typer.echo(f"{_count(len(predictions), 'window')} written to {csv}", err=True)


def _formatters(predictions: pd.DataFrame) -> dict[str, Any]:
    """Return how columns of numbers are shown: times in tenths of a second, all else in thousandths."""
    digits = {name: 1 if name in ("start", "end") else 3 for name in predictions.select_dtypes("number").columns}
    return {name: lambda value, d=d: f"{value:.{d}f}" for name, d in digits.items()}


def _print_left_out(left_out: Iterable[LeftOut]) -> None:
    for entry in left_out:
        typer.echo(f"left out: {_left_out(entry)}", err=True)


def _left_out(entry: LeftOut) -> str:
    """Return in one line what was left out and why; messages of readers begin with the file."""
    text = entry.why if entry.why.startswith(entry.what) else f"{entry.what}: {entry.why}"
    return " ".join(text.split())


# ---- runs -----------------------------------------------------------------------------------------------------------


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
    facts["size"] = f"{_size(found.bytes)}, and {_count(len(found.stages), 'stage')} in {found.path.parent / 'store'}"
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
    _print_facts(facts)


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
            typer.echo(f"{found.path} removed, {_size(remove_run(found.path))} set free")


def _list_runs(out: Path) -> None:
    from limbeck.study.store import list_runs

    found = list_runs(out)
    if not found:
        typer.echo(f"There are no runs in {out}.", err=True)
        return
    _print_table(
        ("run", "state", "started", "size"),
        [(run.path.name, run.state, run.started, _size(run.bytes)) for run in found],
    )
    for place, holds in {"store": "trained stages", "cache": "windows"}.items():
        typer.echo(f"{out / place}: {_size(_bytes_in(out / place))} of {holds}, shared by the runs")


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


# ---- data sets and models -------------------------------------------------------------------------------------------


@datasets_app.callback()
def _datasets() -> None:
    """List, describe and fetch data sets."""


@datasets_app.command("list")
def list_datasets() -> None:
    """List the data sets that Limbeck reads."""
    from limbeck import datasets

    infos = {name: datasets.info(name) for name in datasets.available()}
    _print_table(
        ("data set", "subjects", "modalities", "access", "what it is"),
        [
            (name, str(info.subjects or ""), " ".join(info.modalities), info.access, info.title)
            for name, info in infos.items()
        ],
    )


@datasets_app.command()
def describe(name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Describe a data set.

    What it holds, its terms, what to cite, and the options of its reader.
    """
    from limbeck import datasets
    from limbeck.datasets import fetch as fetching

    _check_name(name, datasets.DATASETS)
    info = datasets.info(name)
    published = len(fetching.checksums(name)) if name in fetching.fetchable() else 0
    facts = {
        "title": info.title,
        "modalities": ", ".join(info.modalities),
        "subjects": str(info.subjects or ""),
        "access": info.access,
        "licence": info.licence,
        "citation": info.citation,
        "address": info.url,
        "checked on": info.checked,
        "fetch": f"limbeck datasets fetch {name} ({published} files, to {datasets.data_home() / name})"
        if published
        else "",
    }
    _print_facts({key: value for key, value in facts.items() if value})
    _print_entry(name, datasets.DATASETS, "data.options")
    if info.access == "simulated":
        _print_presets()


def _print_presets() -> None:
    """Print what the ready cohorts are and the best score that any model could reach there, by view."""
    from limbeck.datasets.simulated import PRESETS, ceiling

    typer.echo("\nPresets (data.options.preset), with the best balanced accuracy that any model of a trial can reach:")
    for preset, described in PRESETS.items():
        typer.echo(f"\n{preset}")
        typer.echo(textwrap.fill(described["regime"], 100, initial_indent="  ", subsequent_indent="  "))
        for view in ("teacher", "student"):
            modalities = described["protocol"][view]
            best = ceiling(modalities, preset=preset)
            typer.echo(f"  ceiling of the {view}, {' + '.join(modalities)}: {best:.3f}")


@datasets_app.command()
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", file_okay=False, help="Where to. [default: where the reader looks for it]"),
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", metavar="BASE", help="Another server with the same files.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that differ from the published.")
    ] = False,
) -> None:
    """Download an open data set as published.

    Files are checked against checksums, and what is there already is not downloaded again.
    """
    from limbeck.datasets import fetch as fetching

    if name not in fetching.fetchable():
        raise typer.BadParameter(f"the data set '{name}' cannot be fetched.{did_you_mean(name, fetching.fetchable())}")
    with _watch(quiet=False) as watch:
        watch.phase(f"fetching {name}")
        folder = fetching.fetch(name, to, base_url=url, overwrite=overwrite, progress=watch.step)
    typer.echo(folder)


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Describe this one.")] = None,
) -> None:
    """List the models, or describe one with its options."""
    _one_thread()
    from limbeck.models import MODELS

    if name is not None:
        _check_name(name, MODELS)
        _print_entry(name, MODELS, "model")
        return
    _print_table(("model", "reads", "modalities", "parameters", "what it is"), map(_model_row, MODELS))
    typer.echo(
        "parameters: with default options, for 2 classes and one modality: 60 s at 4 Hz of one channel, or 12 features"
    )


def _model_row(name: str) -> tuple[str, ...]:
    from limbeck.models import MODELS, InputShape, build, count_parameters

    model: Any = MODELS[name]
    most = f"at most {model.max_modalities}" if model.max_modalities else "any number"
    example = InputShape(12) if model.reads == "features" else InputShape(1, 240, 4.0)
    parameters = count_parameters(build(name, {"eda": example}, 2))
    return name, model.reads, most, f"{parameters:,}", MODELS.help(name).partition("\n")[0]


def _check_name(name: str, registry: Registry) -> None:
    if name not in registry:
        raise typer.BadParameter(f"there is no {registry.kind} '{name}'.{did_you_mean(name, registry)}")


def _print_entry(name: str, registry: Registry, key: str) -> None:
    """Print the docstring of an entry of a registry, and its options as a study writes them."""
    typer.echo(f"\n{registry.help(name)}")
    options = {option: default for option, default in registry.options(name).items() if option != "root"}
    if options:
        shown = ", ".join(f"{option}={default!r}" for option, default in options.items())
        typer.echo(f"\nOptions with their defaults ({key} in a study): {shown}")


# ---- signals --------------------------------------------------------------------------------------------------------


@app.command()
def features(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Describe this step, feature or set.")] = None,
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
    _one_thread()
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
    _print_table(columns["steps"], catalogue.list_steps())
    typer.echo("")
    _print_table(columns["features"], catalogue.list_features())
    if sets := catalogue.list_sets():
        typer.echo("")
        _print_table(columns["sets"], sets)
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
        _print_facts({fact: textwrap.fill(text, 100) for fact, text in entry.facts.items()})
        typer.echo(f"\n{entry.text}")


# ---- the plan in words ----------------------------------------------------------------------------------------------


def _print_plan(plan: Plan, jobs: int, *, keys: bool) -> None:
    """Print what a run will do and take; stages that are those of an earlier variant are not printed again."""
    printed: dict[tuple[tuple[str, ...], ...], str] = {}
    for variant in plan.variants:
        label = f" [{variant.label}]" if variant.label else ""
        typer.echo(f"{plan.study.name}{label}: {variant.variant.question}".rstrip(": "))
        _print_facts(_variant_facts(variant))
        rows = tuple(_stage_row(variant, name, key=keys) for name in variant.stages)
        if rows in printed:
            typer.echo(f"  stages as for {printed[rows]}")
        else:
            printed[rows] = variant.label
            _print_table(("key", "stage", "what it is") if keys else ("stage", "what it is"), rows)
        typer.echo("")
    estimate = plan.estimate(jobs)
    done = f", {estimate.done} done already" if estimate.done else ""
    typer.echo(
        f"{_count(estimate.tasks, 'task')}{done}; estimate with {_count(jobs, 'process', 'processes')}: "
        f"{_duration(estimate.seconds)} of training, {_size(estimate.memory)} of memory, {_size(estimate.disk)} of disk"
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
    times = [_count(folds, "fold"), _count(protocol.repetitions, "repetition"), _count(len(protocol.seeds), "seed")]
    networks = _count(len(plan.folds) * len(protocol.seeds), "network")
    facts = {
        "data": f"{variant.data.corpus}: {_count(plan.n_subjects, 'subject')}, {_count(int(used.sum()), 'window')} of "
        f"{variant.windows.length:g} s, hop {variant.windows.hop:g} s",
        "target": f"{target.attrs['name']}: {', '.join(counts) or 'a trace'}",
        "shapes": ", ".join(_shape(plan, modality) for modality in variant.signals),
        "protocol": f"{split}; {' x '.join(times)} = {networks} per stage; "
        f"labelled subjects: {protocol.labelled}; validation: {plan.validation}",
        "normalise": _normalisation(variant),
    }
    if variant.refit is not None:
        facts["refit"] = f"{variant.deployed}, on {variant.refit}"
    if plan.left_out:
        shown = [textwrap.shorten(_left_out(entry), 160) for entry in plan.left_out[:LEFT_OUT_SHOWN]]
        if len(plan.left_out) > LEFT_OUT_SHOWN:
            shown.append(f"and {len(plan.left_out) - LEFT_OUT_SHOWN} more, which the report lists")
        facts["left out"] = "\n".join(shown)
    if plan.warnings:
        facts["warning"] = "\n".join(plan.warnings)
    return facts


def _normalisation(variant: Variant) -> str:
    calibration = variant.calibration
    return f"by the first {calibration.seconds:g} s of {calibration.condition}" if calibration else variant.mode


def _shape(plan: VariantPlan, modality: str) -> str:
    """Return the shape of one window of a modality: ``eda 1 x 240 (4 Hz)``, ``ecg 2 features``."""
    if modality not in plan.dataset:
        return f"{modality} absent"
    variable = plan.dataset[modality]
    if "features" in variable.attrs:
        return f"{modality} {_count(variable.shape[1], 'feature')}"
    return f"{modality} {variable.shape[1]} x {variable.shape[2]} ({variable.attrs['rate']:g} Hz)"


def _stage_row(plan: VariantPlan, name: str, *, key: bool) -> tuple[str, ...]:
    """Return a stage's name and what it is; of a derived stage, what sets it apart from the one it comes from."""
    planned = plan.stages[name]
    what = _facts_of(planned)
    origin = name.rpartition("/")[0]
    if origin in plan.stages:
        known = _facts_of(plan.stages[origin])
        what = {"origin": f"as {origin}"} | {fact: text for fact, text in what.items() if text != known.get(fact)}
    if key:
        what["tasks"] = f"in {_count(len(planned.groups), f'{planned.backend} task')}"
    row = (name, "; ".join(what.values()))
    return (planned.key[:8], *row) if key else row


def _facts_of(planned: PlannedStage) -> dict[str, str]:
    """Return model, inputs, losses, teachers, start, and what is hidden, shown or spoiled, as phrases."""
    node = planned.node
    inputs = [m if chosen is None else f"{m} {','.join(chosen)}" for m, chosen in node.stage.inputs.items()]
    losses = [_loss(loss, options) for loss, options in node.stage.losses.items()]
    facts = {
        "model": f"{node.stage.model.name} ({_count(planned.parameters, 'parameter')})",
        "inputs": f"reads {' + '.join(inputs)}",
        "loss": f"loss {' + '.join(losses)}",
    }
    if node.teacher is not None:
        crossed = f" and {len(node.cross_teachers)} cross-fitted" if node.cross_teachers else ""
        facts["teacher"] = f"taught by {node.teacher}{crossed}"
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
    """Return a loss with its weight and options: ``0.5 soft (temperature 2)``."""
    others = {key: value for key, value in options.items() if key != "weight"}
    shown = ", ".join(f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in others.items())
    return f"{options.get('weight', 1):g} {name}" + (f" ({shown})" if shown else "")


# ---- printing -------------------------------------------------------------------------------------------------------


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def _print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table without rules and without its empty columns; in a pipe, no line is folded."""
    from rich.table import Table
    from rich.text import Text

    console = _console()
    if not console.is_terminal:
        console.width = WIDE
    cells = list(rows)
    kept = [position for position in range(len(columns)) if any(row[position] for row in cells)]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for position in kept:
        title = columns[position]
        table.add_column(Text(title), overflow="fold", justify="right" if title in NUMBERS else "left")
    for row in cells:
        table.add_row(*(Text(row[position]) for position in kept))
    with console.capture() as captured:
        console.print(table)
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _print_facts(facts: Mapping[str, str]) -> None:
    """Print ``key  value`` lines; a value of several lines is indented."""
    width = max(map(len, facts))
    for key, value in facts.items():
        first, *more = value.splitlines() or [""]
        typer.echo("\n".join([f"  {key:<{width}}  {first}", *(f"  {'':<{width}}  {line}" for line in more)]))


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _size(count: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


# ---- how far it is --------------------------------------------------------------------------------------------------


class _Watch:
    """Told how far the work is, and silent about it."""

    def __enter__(self) -> _Watch:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(whole=kind is None)

    def phase(self, name: str) -> None:
        """Another phase begins."""

    def step(self, done: int, total: int, what: str = "") -> None:
        """So many of so many steps of the phase are done."""

    def close(self, *, whole: bool) -> None:
        """Nothing more is coming; `whole` when all went well."""


class _Lines(_Watch):
    """A line on stderr per phase, and one per tenth of it."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.name, self.tenth = "", 0

    def phase(self, name: str) -> None:
        self.name, self.tenth = name, 0
        typer.echo(name, err=True)

    def step(self, done: int, total: int, what: str = "") -> None:
        tenth = 10 * done // total if total else 0
        if tenth > self.tenth:
            self.tenth = tenth
            seconds = time.monotonic() - self.started
            typer.echo(f"{self.name}: {done} of {total} ({10 * tenth} %), {_duration(seconds)}", err=True)


class _Bars(_Watch):
    """A bar on the terminal per phase."""

    def __init__(self, console: Console) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        # No markup: names of variants and stages may hold brackets.
        columns = [TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()]
        self.bars: Progress = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)
        self.name = ""
        self.current: TaskID | None = None

    def __enter__(self) -> _Bars:
        self.bars.start()
        return self

    def phase(self, name: str) -> None:
        self._finish()
        self.name = name
        self.current = self.bars.add_task(name, total=None)

    def step(self, done: int, total: int, what: str = "") -> None:
        if self.current is not None:
            description = f"{self.name}: {what}" if what and done < total else self.name
            self.bars.update(self.current, total=total, completed=done, description=description)

    def close(self, *, whole: bool) -> None:
        if whole:
            self._finish()
        self.bars.stop()

    def _finish(self) -> None:
        """Fill the bar of the phase that ends, also where it had nothing to count."""
        if self.current is not None:
            task = self.bars.tasks[-1]
            total = task.total or 1
            self.bars.update(self.current, total=total, completed=total, description=self.name)


def _watch(quiet: bool) -> _Watch:
    if quiet:
        return _Watch()
    if not sys.stderr.isatty():
        return _Lines()
    from rich.console import Console

    return _Bars(Console(stderr=True))


if __name__ == "__main__":
    main()
