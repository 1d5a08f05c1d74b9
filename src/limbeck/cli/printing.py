"""Tables, facts and numbers as the commands print them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import typer

from limbeck.errors import DataError, LimbeckError, did_you_mean

if TYPE_CHECKING:
    from rich.console import Console

    from limbeck.recording import LeftOut
    from limbeck.registry import Registry

WIDE = 1000
"""Columns where no terminal limits them: a line of a log is not to be cut."""

NUMBERS = frozenset({"columns", "multiply-adds", "parameters", "size", "subjects"})
"""Columns of tables that are read from the right."""


class ArgumentError(LimbeckError):
    """An argument of the command line cannot be used; as for a mistake in a study, the exit code is 2."""


@contextmanager
def arguments_in_use() -> Iterator[None]:
    """Take refusals of what an argument says (a value of an option, a name, a place) for mistakes in the arguments.

    Files that are not what they should be are no such mistake: a :class:`~limbeck.errors.ReadError` passes.
    """
    try:
        yield
    except DataError as error:
        raise ArgumentError(str(error)) from error


def console() -> Console:
    """Return the terminal that stdout is, or what stands for it."""
    from rich.console import Console

    return Console(highlight=False)


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, indent: int = 0, most: Mapping[str, int] | None = None
) -> None:
    """Print a table without rules and without its empty columns; in a pipe, no line is folded.

    Parameters
    ----------
    columns : sequence of str
        Their titles; those in `NUMBERS` are read from the right.
    rows : iterable of sequence of str
    indent : int
        Blanks before every line.
    most : mapping of str to int, optional
        The most characters of a column, by its title, where a terminal limits the lines.
    """
    from rich.table import Table
    from rich.text import Text

    screen = console()
    if screen.is_terminal:
        screen.width -= indent
    else:
        screen.width, most = WIDE, None
    cells = list(rows)
    kept = [position for position in range(len(columns)) if any(row[position] for row in cells)]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for position in kept:
        title = columns[position]
        justify: Literal["left", "right"] = "right" if title in NUMBERS else "left"
        table.add_column(Text(title), overflow="fold", justify=justify, max_width=(most or {}).get(title))
    for row in cells:
        table.add_row(*(Text(row[position]) for position in kept))
    with screen.capture() as captured:
        screen.print(table)
    typer.echo("\n".join(f"{'':{indent}}{line.rstrip()}".rstrip() for line in captured.get().splitlines()))


def width() -> int:
    """Return how many columns a line may have: those of the terminal, `WIDE` where there is none."""
    screen = console()
    return screen.width if screen.is_terminal else WIDE


def print_facts(facts: Mapping[str, str]) -> None:
    """Print ``key  value`` lines; a value of several lines is indented."""
    width = max(map(len, facts))
    for key, value in facts.items():
        first, *more = value.splitlines() or [""]
        typer.echo("\n".join([f"  {key:<{width}}  {first}", *(f"  {'':<{width}}  {line}" for line in more)]))


def counted(number: int, one: str, many: str = "") -> str:
    """Return ``1 window``, ``1,200 windows``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size(count: float) -> str:
    """Return a number of bytes in the unit that fits: ``2.2 GB``."""
    for unit, whole in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= whole:
            return f"{count / whole:.1f} {unit}"
    return f"{count:.0f} B"


def duration(seconds: float) -> str:
    """Return ``59 s``, ``2 min``, ``2 h 05 min``."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def print_left_out(left_out: Iterable[LeftOut]) -> None:
    """Name on stderr what was not used, a line each."""
    for entry in left_out:
        typer.echo(f"left out: {in_one_line(entry)}", err=True)


def in_one_line(entry: LeftOut) -> str:
    """Return in one line what was left out and why; messages of readers begin with the file."""
    text = entry.why if entry.why.startswith(entry.what) else f"{entry.what}: {entry.why}"
    return " ".join(text.split())


def check_name(name: str, registry: Registry) -> None:
    """Refuse a name that is not registered, with the one that was probably meant."""
    if name not in registry:
        raise typer.BadParameter(f"there is no {registry.kind} '{name}'.{did_you_mean(name, registry)}")


def print_entry(name: str, registry: Registry, key: str) -> None:
    """Print the docstring of an entry of a registry, and its options as a study writes them."""
    typer.echo(f"\n{registry.help(name)}")
    options = {option: default for option, default in registry.options(name).items() if option != "root"}
    if options:
        shown = ", ".join(f"{option}={default!r}" for option, default in options.items())
        typer.echo(f"\nOptions with their defaults ({key} in a study): {shown}")
