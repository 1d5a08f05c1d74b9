"""List, describe, fetch, inspect, validate and convert data sets."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limbeck.cli.inspection import print_checks, print_inspection
from limbeck.cli.printing import (
    arguments_in_use,
    check_name,
    counted,
    print_entry,
    print_facts,
    print_left_out,
    size,
    width,
)
from limbeck.cli.processes import available_jobs, one_thread
from limbeck.cli.progress import watching
from limbeck.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from limbeck.datasets import DatasetInfo
    from limbeck.datasets.inspecting import Inspection

datasets_app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, add_completion=False)

WIDEST = 100
"""Columns that lines of text have at most, on wide terminals and in a pipe."""

WhatArgument = Annotated[
    str | None, typer.Argument(metavar="NAME", help="A data set, or the folder or file of one, to be guessed.")
]
RootOption = Annotated[
    Path | None, typer.Option("--root", metavar="DIR", help="Its folder. [default: where it is fetched to]")
]
OptionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--option", metavar="KEY=VALUE", help="An option of the reader, e.g. subjects=[1,2]; may be repeated."
    ),
]
JobsOption = Annotated[
    int | None,
    typer.Option("--jobs", metavar="N", min=1, help="Worker processes. [default: one per processor core, at most 8]"),
]


@datasets_app.callback()
def _datasets() -> None:
    """List, describe, fetch, inspect, validate and convert data sets."""


@datasets_app.command("list")
def list_datasets() -> None:
    """List the data sets that Limbeck reads."""
    from limbeck import datasets

    for name in datasets.available():
        _print_block(name, datasets.info(name))
    typer.echo("\n`limbeck datasets describe NAME` says more of one.")


def _print_block(name: str, info: DatasetInfo) -> None:
    """Print a data set in a few lines."""
    before, colon, behind = info.title.partition(": ")
    title = behind if colon and before.lower() == name else info.title
    counts = f"{info.subjects} subjects" if info.subjects else "any number of subjects"
    lines = [f"{counts}; {' '.join(info.modalities)}", f"licence: {_terms(info)}"]
    lines += [f"get it: {_way(info)}", f"verified: {info.checked}"]
    for indent, line in (("", f"{name}: {title}"), *(("  ", line) for line in lines)):
        filled = textwrap.fill(
            line,
            min(width(), WIDEST),
            initial_indent=indent,
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        typer.echo(filled)


def _subjects(info: DatasetInfo) -> str:
    return str(info.subjects or "")


def _terms(info: DatasetInfo) -> str:
    return info.licence or "your own files"


def _way(info: DatasetInfo) -> str:
    ways = {
        "own": "your own recordings",
        "simulated": "made by Limbeck",
        "open": f"free: {info.url}",
        "gated": f"on request: {info.url}",
        "unread": "not read",
    }
    return info.obtain or ways[info.access]


@datasets_app.command()
def describe(name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Describe a data set.

    What it holds, its terms, how to get it, what to cite, what is uncertain, and the options of its reader.
    """
    from limbeck import datasets
    from limbeck.datasets import fetch as fetching

    check_name(name, datasets.DATASETS)
    info = datasets.info(name)
    published = len(fetching.checksums(name)) if name in fetching.fetchable() else 0
    facts = {
        "title": info.title,
        "modalities": ", ".join(info.modalities),
        "subjects": _subjects(info),
        "access": info.access,
        "licence": info.licence,
        "citation": info.citation,
        "address": info.url,
        "obtain": info.obtain,
        "checked on": info.checked,
        "uncertain": "\n".join(info.uncertain),
        "validated": "limbeck datasets validate has checks of its own for it" if datasets.checks_of(name) else "",
        "fetch": f"limbeck datasets fetch {name} ({published} files, to {datasets.data_home() / name})"
        if published
        else "",
    }
    room = min(width(), WIDEST) - 2 - max(map(len, facts)) - 2
    print_facts({key: _filled(value, room) for key, value in facts.items() if value})
    print_entry(name, datasets.DATASETS, "data.options")
    if info.access == "simulated":
        _print_presets()


def _filled(text: str, room: int) -> str:
    """Return lines that fit; words are not cut, so that addresses and commands can be copied."""
    lines = [textwrap.wrap(line, room, break_long_words=False, break_on_hyphens=False) for line in text.splitlines()]
    return "\n".join(line for own in lines for line in own)


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
    from limbeck import datasets
    from limbeck.datasets import fetch as fetching

    if name not in fetching.fetchable():
        check_name(name, datasets.DATASETS)
        which = " and ".join(fetching.fetchable())
        raise typer.BadParameter(f"only {which} can be fetched. For {name}: {datasets.how_to_get(name)}")
    try:
        with watching(quiet=False) as watch:
            watch.phase(f"fetching {name}")
            folder = fetching.fetch(name, to, base_url=url, overwrite=overwrite, progress=watch.step)
    except KeyboardInterrupt:
        typer.echo("\nlimbeck: stopped. Run it again to go on where it stopped.", err=True)
        raise typer.Exit(130) from None
    typer.echo(folder)


# ---- what is in a folder --------------------------------------------------------------------------------------------


@datasets_app.command()
def inspect(
    what: WhatArgument = None,
    root: RootOption = None,
    options: OptionOption = None,
    jobs: JobsOption = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", dir_okay=False, help="Write a row per recording to this file, too."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw a recording to this .png, .svg or .html."),
    ] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="NAME", help="Whose recording is drawn. [default: the first]")
    ] = None,
    trial: Annotated[
        str | None, typer.Option("--trial", metavar="NAME", help="Which trial or session. [default: the first]")
    ] = None,
    modalities: Annotated[
        list[str] | None,
        typer.Option("--modality", metavar="NAME", help="One to draw; may be repeated. [default: all]"),
    ] = None,
) -> None:
    """Read a data set once and say what is in it.

    Subjects, modalities, rates, durations and labels, and what is missing or broken. A folder or file instead of a name
    is enough: what it is, is guessed.
    """
    one_thread()
    from limbeck import datasets
    from limbeck.datasets.inspecting import find_source
    from limbeck.datasets.inspecting import inspect as look_over

    if plot is None and (subject is not None or trial is not None or modalities):
        raise typer.BadParameter("--subject, --trial and --modality say what is drawn: they go with --plot FILE")
    with arguments_in_use():
        if plot is not None:
            from limbeck.report.signals import refuse_to_replace

            refuse_to_replace(plot)
        if csv is not None:
            _refuse_to_replace(csv)
    name, place = _find(what, root)
    with arguments_in_use():
        corpus = datasets.load(name, place, **_options(options, name))
        drawn = find_source(corpus, subject, trial) if plot is not None else None
    with watching(quiet=False) as watch:
        watch.phase(f"reading {name}")
        inspection = look_over(corpus, jobs=jobs or available_jobs(), progress=watch.step)
    print_inspection(inspection, datasets.info(name))
    if csv is not None:
        made = _new_folder(csv)
        _write_table(inspection, csv)
        typer.echo(f"{counted(len(corpus), 'recording')} written to {csv}{made}", err=True)
    if drawn is not None and plot is not None:
        from limbeck.report.recordings import draw_recording
        from limbeck.report.signals import write_figure

        made = _new_folder(plot)
        write_figure(draw_recording(drawn.read(), title=name, modalities=modalities or ()), plot)
        whose = "/".join(filter(None, (drawn.subject, drawn.session, drawn.trial)))
        typer.echo(f"{whose} drawn to {plot}{made}", err=True)
    if not inspection.recordings:
        raise typer.Exit(1)


@datasets_app.command()
def validate(
    what: WhatArgument = None,
    root: RootOption = None,
    options: OptionOption = None,
    jobs: JobsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
) -> None:
    """Check a data set against all that is known of it.

    Files, samples, labels and counts. Ends with 1 if a check failed; one that cannot be made, for want of a file, is no
    failure.
    """
    one_thread()
    from limbeck.datasets import validating

    name, place = _find(what, root)
    with watching(quiet=False) as watch:
        watch.phase(f"checking {name}")
        given = _options(options, name)
        with arguments_in_use():
            checks = validating.validate(name, place, given, jobs=jobs or available_jobs(), progress=watch.step)
    if as_json:
        typer.echo(json.dumps([vars(check) for check in checks], indent=2, ensure_ascii=False))
    else:
        print_checks(checks)
    if validating.failed(checks):
        raise typer.Exit(1)


@datasets_app.command()
def convert(
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help="BIDS, or zarr.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", file_okay=False, help="Where to.")],
    what: WhatArgument = None,
    root: RootOption = None,
    options: OptionOption = None,
    jobs: JobsOption = None,
) -> None:
    """Write a data set as BIDS or zarr.

    Every recording with its annotations, for other programs or for faster reading. The terms of the data set hold for
    the copy, too.
    """
    one_thread()
    from limbeck import datasets
    from limbeck.datasets import converting

    formats: dict[str, Any] = {"bids": "bids", "zarr": "zarr"}
    if to.lower() not in formats:
        raise typer.BadParameter(f"there is no format '{to}'.{did_you_mean(to.lower(), formats)}")
    name, place = _find(what, root)
    with arguments_in_use():
        _refuse_inside(out, datasets.data_home() / name if place is None else place)
        corpus = datasets.load(name, place, **_options(options, name))
    with watching(quiet=False) as watch:
        watch.phase(f"converting {name}")
        done = converting.convert(
            corpus, out, to=formats[to.lower()], progress=watch.step, jobs=jobs or available_jobs()
        )
    print_left_out(done.left_out)
    typer.echo(f"{counted(done.recordings, 'recording')} written to {done.out}, {size(done.bytes)}")
    if licence := datasets.info(name).licence:
        typer.echo(f"The copy stands under the terms of {name}: {licence}.", err=True)


def _find(what: str | None, root: Path | None) -> tuple[str, Path | None]:
    """Return the data set and where it lies; without a name it is guessed, which is said."""
    from limbeck import datasets

    if root is not None:
        _can_be_looked_into(root)
    if what is not None and what in datasets.DATASETS:
        if root is None and Path(what).exists():
            mean = f"if that is meant, write ./{what} or --root {what}"
            typer.echo(
                f"'{what}' is taken for the data set of that name, and not for ./{what}, which is there, too; {mean}",
                err=True,
            )
        return what, root
    if what is not None and not _can_be_looked_into(Path(what)):
        raise typer.BadParameter(
            f"there is no data set and no folder or file '{what}'.{did_you_mean(what, datasets.DATASETS)}"
        )
    if what is not None and root is not None:
        raise typer.BadParameter(f"'{what}' is no data set; give its name with --root, or a folder or file alone")
    place = root if what is None else Path(what)
    if place is None:
        raise typer.BadParameter("give the name of a data set, or the folder or file of one")
    name = datasets.guess(place)
    typer.echo(f"{place} is read as {name}; `limbeck datasets describe {name}` says what that is", err=True)
    return name, place


def _can_be_looked_into(place: Path) -> bool:
    """Tell whether a file or folder is there; refuse one that may not be read."""
    try:
        if place.is_dir():
            next(place.iterdir(), None)
        return place.exists()
    except OSError as error:
        raise DataError(f"{place} cannot be looked into: {error.strerror}.") from error


def _new_folder(file: Path) -> str:
    """Return what is to be said where a file's folder has to be made: it may be a slip of the pen."""
    return "" if file.parent.is_dir() else f"; the folder {file.parent} was made for it"


def _refuse_inside(out: Path, place: Path) -> None:
    """Refuse to write into the folder of the data set that is read: raw data stay as they are."""
    if place.is_dir() and out.resolve().is_relative_to(place.resolve()):
        raise DataError(f"{out} lies in {place}, the folder of the data set itself. Choose a folder outside of it.")


def _refuse_to_replace(table: Path) -> None:
    """Refuse the name of a file that is not such a table: it may be one of the data set's own."""
    from limbeck.datasets.inspecting import KEYS

    try:
        if not table.is_file():  # nothing, or /dev/stdout
            return
        with table.open("rb") as stream:
            start = stream.read(200)
    except OSError as error:
        raise DataError(f"{table} cannot be written: {error}.") from error
    if not start.startswith(",".join(KEYS).encode()):
        raise DataError(f"{table} is there already and was not written by this command; choose another name.")


def _write_table(inspection: Inspection, table: Path) -> None:
    """Write a row per recording; whole, or not at all."""
    from limbeck.atomic import write_atomically

    frame = inspection.to_frame()
    try:
        if table.exists() and not table.is_file():
            frame.to_csv(table, index=False)
        else:
            write_atomically(table, lambda place: frame.to_csv(place, index=False))
    except OSError as error:
        raise DataError(f"{table} cannot be written: {error}.") from error


def _options(given: Sequence[str] | None, name: str) -> dict[str, Any]:
    """Return options of a reader from ``key=value``, the values being YAML."""
    import yaml

    from limbeck.notation import read_yaml

    options = {}
    for text in given or ():
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise typer.BadParameter(f"--option takes KEY=VALUE; found '{text}'")
        try:
            options[key.strip()] = read_yaml(value)
        except yaml.YAMLError as error:
            raise typer.BadParameter(f"--option {key}: the value '{value}' is no YAML") from error
    _refuse_types(name, options)
    return options


def _refuse_types(name: str, options: Mapping[str, Any]) -> None:
    """Refuse what is no number, or no true or false, where the reader's option can be nothing else."""
    import typing

    from limbeck import datasets

    hints = typing.get_type_hints(datasets.DATASETS[name])
    for option, value in options.items():
        hint = hints.get(option)
        kinds = set(typing.get_args(hint) or (hint,))
        if not kinds <= {int, float, bool, type(None)} or type(value) in kinds:
            continue
        if float in kinds and type(value) is int:
            continue
        wanted = "true or false" if bool in kinds else "a whole number" if int in kinds else "a number"
        raise typer.BadParameter(f"--option {option}: needs {wanted}; found {value!r}")
