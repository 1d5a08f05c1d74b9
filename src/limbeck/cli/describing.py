"""What registered things say of themselves: the idea and the options of a docstring, as the commands print them."""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from limbeck.cli.printing import print_facts, print_table, width

if TYPE_CHECKING:
    from limbeck.registry import Registry

__all__ = [
    "NOTHING",
    "Option",
    "as_json",
    "as_written",
    "first_line",
    "idea_of",
    "indented",
    "options_of",
    "plain",
    "print_entries",
    "print_filled",
    "print_heading",
    "print_options",
    "print_paragraphs",
]

NOTHING = "–"
"""Stands in an empty cell, and for an option that is not set."""

WIDEST = 100
"""Columns that lines of running text have at most."""

_SECTION = re.compile(r"^(\w[\w ]*)\n-{3,}$", re.MULTILINE)
_NAMES = re.compile(r"(?P<names>\w+(?:, \w+)*)(?: : (?P<kind>.+))?")


class Option(NamedTuple):
    """An option of something that is registered.

    Attributes
    ----------
    name : str
        As a study writes it.
    default : object
        None where it is not set by default; the text says what then happens.
    kind : str
        What values it takes, as documented; empty where that is said elsewhere.
    text : str
        What it does, in one line.
    """

    name: str
    default: Any
    kind: str
    text: str


def first_line(registry: Registry, name: str) -> str:
    """Return the first line of an entry's docstring."""
    return registry.help(name).partition("\n")[0]


def idea_of(text: str) -> str:
    """Return what stands in a docstring before its first section."""
    found = _SECTION.search(text)
    return (text[: found.start()] if found else text).strip()


def options_of(registry: Registry, name: str) -> list[Option]:
    """Return the options of an entry with their defaults, in the order of its signature."""
    said = _documented(registry[name])
    return [Option(option, default, *said.get(option, ("", ""))) for option, default in registry.options(name).items()]


def _documented(entry: Callable[..., Any]) -> dict[str, tuple[str, str]]:
    """Return by option its kind and its text; a class may leave options to the classes above it."""
    found: dict[str, tuple[str, str]] = {}
    for one in inspect.getmro(entry) if inspect.isclass(entry) else (entry,):
        if one is not object and one.__doc__:
            found = {**_parameters(inspect.cleandoc(one.__doc__)), **found}
    return found


def _parameters(text: str) -> dict[str, tuple[str, str]]:
    """Return by name the kind and the text of what a numpydoc section of parameters describes."""
    sections = list(_SECTION.finditer(text))
    ends = [*(section.start() for section in sections[1:]), len(text)][: len(sections)]
    found: dict[str, tuple[str, str]] = {}
    for section, end in zip(sections, ends, strict=True):
        if section[1] != "Parameters":
            continue
        for block in re.split(r"\n(?=\S)", text[section.end() : end].strip("\n")):
            head, _, body = block.partition("\n")
            if named := _NAMES.fullmatch(head.strip()):
                entry = ((named["kind"] or "").strip(), " ".join(body.split()))
                found |= dict.fromkeys(named["names"].split(", "), entry)
    return found


def as_written(value: Any) -> str:
    """Return a value as a study writes it, in one line; `NOTHING` for what is not set."""
    if value is None:
        return NOTHING
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {as_written(one)}' for name, one in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_written, value))}]"
    if isinstance(value, float):
        return f"{value:.4g}" if value != int(value) else f"{value:.1f}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def print_options(options: Sequence[Option], place: str) -> None:
    """Print options with their defaults; neighbours of which the same is said share a row.

    Parameters
    ----------
    options : sequence of Option
        None prints nothing.
    place : str
        Where a study writes them.
    """
    if not options:
        return
    rows: list[tuple[str, ...]] = []
    for option in options:
        told = (as_written(option.default), *_in_words(option))
        if rows and option.text and rows[-1][1:] == told:
            rows[-1] = (f"{rows[-1][0]}, {option.name}", *told)
        else:
            rows.append((option.name, *told))
    typer.echo(f"\nOptions ({place})\n")
    print_table(("option", "default", "takes", "what it does"), rows, indent=2, most={"option": 22, "takes": 22})
    if any(option.default is None for option in options):
        typer.echo(f"  {NOTHING}: not set; what then happens stands beside it")


def _in_words(option: Option) -> tuple[str, str]:
    """Return what values an option takes, and what it does."""
    kind = option.kind.replace(", optional", "").replace(" or None", "" if option.default is None else " or null")
    choices = re.sub(r"\{([^}]*)\}", lambda found: found[1].replace('"', "").replace(", ", " | "), kind)
    return choices, plain(option.text)


def plain(text: str) -> str:
    """Return text without the marks that only a rendered page needs."""
    text = re.sub(r":\w+:`~?(?:\w+\.)*([^`]+)`|``([^`]+)``", lambda found: found[1] or found[2], text)
    return re.sub(r"(?<![*\w])\*(\w[^*]*)\*", r"\1", text.replace("`", "'"))


def print_heading(name: str, idea: str) -> None:
    """Print a name with its idea, in lines that can be read."""
    first, _, rest = idea.partition("\n")
    print_filled(f"{name}: {plain(first)}")
    for paragraph in filter(None, re.split(r"\n\s*\n", rest.strip())):
        typer.echo()
        print_filled(plain(" ".join(paragraph.split())))


def print_filled(text: str, first: str = "", others: str = "") -> None:
    """Print running text within the terminal; words are not cut."""
    room = min(width(), WIDEST)
    lines = textwrap.wrap(
        text, room, initial_indent=first, subsequent_indent=others, break_long_words=False, break_on_hyphens=False
    )
    typer.echo("\n".join(lines))


def print_entries(
    columns: Sequence[str], groups: Mapping[str, tuple[str, Iterable[Sequence[str]]]], *, most: Mapping[str, int]
) -> None:
    """Print a table in groups; what is empty says so.

    Parameters
    ----------
    columns : sequence of str
        Titles; names stand in the first column, a sentence in the last.
    groups : mapping of str to (str, iterable of rows)
        By name of the group, what it is and its rows.
    most : mapping of str to int
        As of :func:`~limbeck.cli.printing.print_table`.
    """
    rows: list[Sequence[str]] = []
    between = [""] * (len(columns) - 2)
    for title, (about, entries) in groups.items():
        rows += [("", *between, "")] if rows else []
        rows.append((title, *between, plain(about)))
        rows += [(f"  {first}", *(plain(cell) or NOTHING for cell in others)) for first, *others in entries]
    print_table(columns, rows, most=most)


def print_paragraphs(facts: Mapping[str, str]) -> None:
    """Print facts, each in as many lines as it needs; empty ones are left out."""
    facts = {key: text for key, text in facts.items() if text}
    room = min(width(), WIDEST) - 4 - max(map(len, facts), default=0)
    print_facts(
        {
            key: "\n".join(
                line
                for part in text.splitlines()
                for line in textwrap.wrap(part, room, break_long_words=False, break_on_hyphens=False)
            )
            for key, text in facts.items()
        }
    )


def indented(text: str) -> str:
    """Return text two columns further to the right."""
    return textwrap.indent(text.rstrip(), "  ")


def as_json(value: Any) -> str:
    """Return a value as JSON that one can read."""
    return json.dumps(value, indent=2, ensure_ascii=False)
