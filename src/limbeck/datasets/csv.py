"""Comma-separated files with a table of labels: the folder to write where recordings come from any other program.

::

    my-corpus/
      channels.csv                    name,modality,unit,rate
      labels.csv                      subject,trial[,session][,order][,start,end],<one column per label>
      signals/<subject>/<trial>.csv   [time,]<one column per channel>
      labels/<subject>/<trial>.csv    time,<one column per annotation that runs with time>
      clocks.csv                      subject[,trial],modality,offset,drift

Every file has a header. Separators are commas, semicolons or tabs; with the latter two, decimal commas are read as
well. Missing values are empty, ``NaN``, ``NA`` or ``n/a``. Times are in seconds and on one clock for all files of a
recording: that of its ``time`` column, or from its first sample where it has none. Sensors that had another clock are
put onto it by ``clocks.csv``: what the file has at ``t`` seconds from the recording's start was, on the recording's
clock, at ``offset + t * (1 + drift * 1e-6)``, `offset` in seconds and `drift` in parts per million.
"""

from __future__ import annotations

import csv
import io
import logging
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from limbeck.datasets import DatasetInfo, dataset, locate
from limbeck.datasets.clocks import LARGEST_DRIFT, align
from limbeck.datasets.edf import doubtful, to_unit
from limbeck.datasets.files import chosen, find_folder, inside, is_inside, read_bytes, sources_inside, visible
from limbeck.datasets.numbers import shown
from limbeck.errors import DataError, ReadError, did_you_mean
from limbeck.recording import (
    MODALITIES,
    UNITS,
    Clock,
    Corpus,
    Event,
    LeftOut,
    Recording,
    Signal,
    Source,
    Trace,
    which_modality,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Channel", "Row", "csv_folder", "looks_like", "read_channels", "read_clocks", "read_labels"]

logger = logging.getLogger(__name__)

_MODULES = tuple(f"limbeck.datasets.{name}" for name in ("csv", "clocks", "edf", "files", "numbers"))

_LARGEST = 2**28
"""Bytes of one recording's text: half an hour of 64 channels at 256 Hz. Reading takes five times as much memory."""

# pandas' quick conversion of numbers reads outside of its table of powers for some of these, and may take the
# process down with it
_EXTREME = re.compile(rb"[eE][-+]?\d{3}|\d{200}")

_PIECE = 2**24  # bytes that are searched at a time
_LINE_END = ord("\n")

_MISSING = ["", "nan", "NaN", "NAN", "na", "NA", "n/a", "N/A"]
_RESERVED = ("subject", "trial", "session", "order", "start", "end")
_GAP = 1.5  # sampling periods between neighbours from which on samples are missing
_TOLERANCE = 0.01  # share by which the rates of clock and manifest may differ
_MOST_FILLED = 10  # missing samples for each one that there is, beyond which a time column cannot be meant so


@dataclass(frozen=True)
class Channel:
    """One row of ``channels.csv``; `rate` in Hz is None where the time column has to tell it."""

    name: str
    modality: str
    unit: str
    rate: float | None


@dataclass(frozen=True)
class Row:
    """One row of ``labels.csv``: where it stands, what it is about and its cells by label column.

    `start` and `end` are seconds on the recording's clock, None for its own start and end.
    """

    number: int
    subject: str
    trial: str
    session: str
    order: int | None
    start: float | None
    end: float | None
    cells: Mapping[str, str]


@dataclass(frozen=True)
class _Labels:
    """What ``labels.csv`` says of one recording; `order` is its place among those of its subject and session."""

    session: str = ""
    order: int = 0
    events: tuple[tuple[str, float | None, float | None], ...] = ()
    ratings: tuple[tuple[str, float], ...] = ()


# ---- mistakes ----------------------------------------------------------------------------------------------------

_MOST_TOLD = 25


class _Mistakes:
    """Collects what is wrong with a table, so that all of it is told at once: they are mended in one go."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.found: list[ReadError] = []

    def add(self, where: str, found: str, expected: str, advice: str = "") -> None:
        self.found.append(ReadError(self.file, where=where, found=found, expected=expected, advice=advice))

    def error(self) -> ReadError | None:
        """Return one error that names all mistakes, None where there are none."""
        if len(self.found) < 2:
            return self.found[0] if self.found else None
        ordered = sorted(self.found, key=lambda error: int(error.where.removeprefix("row ").partition(",")[0]))
        lines = [
            f"  - {error.where}: found {error.found}; expected {error.expected}. {error.advice}".rstrip()
            for error in ordered[:_MOST_TOLD]
        ]
        lines += [f"  - and {len(ordered) - _MOST_TOLD} more"] if len(ordered) > _MOST_TOLD else []
        found = f"{len(ordered)} mistakes"
        return ReadError(self.file, found=found, expected="a table without any", advice="\n".join(["", *lines]))

    def refuse(self) -> None:
        """Raise what was found, if anything was."""
        error = self.error()
        if error is not None:
            raise error


# ---- tables ------------------------------------------------------------------------------------------------------


def _lines(file: Path) -> list[str]:
    """Return the lines of a small table, without byte-order mark and line ends."""
    try:
        text = read_bytes(file, limit=2**26).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReadError(file, found=str(error), expected="text in UTF-8", advice="Save it again as UTF-8.") from error
    if "\0" in text:
        raise ReadError(file, found="zero bytes", expected="text", advice="Save it again as CSV, not as a workbook.")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _separator(header: str) -> str:
    """Return what divides the columns: the tab or semicolon if there is one in the header, else the comma."""
    return next((mark for mark in ("\t", ";") if mark in header), ",")


def _cells(line: str, separator: str) -> list[str]:
    return [cell.strip() for row in csv.reader([line], delimiter=separator, skipinitialspace=True) for cell in row]


def _rows(
    file: Path, needed: Sequence[str], columns: str, mistakes: _Mistakes
) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Read a small table: its columns as written, and the number and cells of each row that is not empty."""
    first, *lines = _lines(file)
    separator = _separator(first)
    reserved = columns.split(",")
    names = _header(file, [cell.lower() if cell.lower() in reserved else cell for cell in _cells(first, separator)])
    missing = [name for name in needed if name not in names]
    if missing:
        found = f"the columns {shown(', '.join(names))}"
        raise ReadError(file, where="row 1", found=found, expected=f"{', '.join(missing)} among them")
    rows = []
    for number, line in enumerate(lines, start=2):
        cells = _cells(line, separator)
        if not any(cells):
            continue
        if len(cells) != len(names):
            found = f"{len(cells)} fields in {shown(line)}"
            mistakes.add(f"row {number}", found, f"{len(names)}, as in the header")
            continue
        rows.append((number, dict(zip(names, cells, strict=True))))
    return names, rows


def _header(file: Path, names: list[str]) -> list[str]:
    """Return the names of the columns if each has one, and its own."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if not all(names) or twice:
        found = f"{', '.join(twice)} twice" if twice else "a column without a name"
        raise ReadError(file, where="row 1", found=found, expected="a name per column, and each once")
    return names


def _missing(cell: str) -> bool:
    return cell in _MISSING


def _number(cell: str) -> float | None:
    """Return a cell as a number, also with a decimal comma; None where it is none."""
    plain = cell.replace(",", ".") if "." not in cell else cell
    if not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", plain):
        return None
    value = float(plain)
    return value if math.isfinite(value) else None


def read_channels(file: Path) -> tuple[Channel, ...]:
    """Read which columns of the recordings are which channels.

    Parameters
    ----------
    file : Path
        ``channels.csv`` with the columns name, modality, unit and rate; the latter two may be empty or absent.

    Returns
    -------
    tuple of Channel
        In the order of the file.

    Raises
    ------
    ReadError
        It is not that table, or rows of it cannot be used, all of which are named: an unknown modality or unit, no rate
        above 0, a name that stands twice, channels of one modality at several rates.
    """
    mistakes = _Mistakes(file)
    _, rows = _rows(file, ("name", "modality"), "name,modality,unit,rate", mistakes)
    if not rows and not mistakes.found:
        raise ReadError(file, found="no rows", expected="a row per channel")
    channels: list[Channel] = []
    for number, row in rows:
        name, modality, unit = row["name"], row["modality"].lower(), row.get("unit", "")
        cell = row.get("rate", "")
        rate = None if _missing(cell) else _number(cell)
        unit = "" if _missing(unit) else unit
        wrong = advice = ""
        if not name or name.lower() == "time" or name in {channel.name for channel in channels}:
            wrong, expected = f"the channel {shown(name)}", "a name that no other row has, and not 'time'"
        elif modality not in MODALITIES:
            wrong, expected = f"the modality {shown(row['modality'])}", f"one of {', '.join(MODALITIES)}"
            advice = which_modality(modality).strip()
        elif not _missing(cell) and not (rate and rate > 0):
            wrong, expected = f"the rate {shown(cell)}", "a number of Hz above 0, or nothing"
        elif to_unit(np.ones(1), modality, unit) is None:
            wrong, expected = f"the unit {shown(unit)} of {modality}", f"one that can become {UNITS[modality]}"
        elif any(channel.modality == modality and channel.rate != rate for channel in channels):
            wrong, expected = f"a second rate of {modality}, {shown(cell)}", "one rate for all channels of a modality"
        if wrong:
            mistakes.add(f"row {number}", wrong, expected, advice)
        else:
            channels.append(Channel(name, modality, unit, rate))
    mistakes.refuse()
    return tuple(channels)


def read_labels(file: Path) -> tuple[tuple[str, ...], tuple[Row, ...]]:
    """Read the table of labels.

    Parameters
    ----------
    file : Path
        ``labels.csv`` with the columns subject and trial, optionally session, order, start and end, and the labels.

    Returns
    -------
    columns : tuple of str
        The label columns, as written.
    rows : tuple of Row
        In the order of the file.

    Raises
    ------
    ReadError
        It is not that table, or rows of it cannot be used, all of which are named: an order, start or end is no number;
        an interval ends before it starts.
    """
    mistakes = _Mistakes(file)
    columns, rows, _ = _label_rows(file, mistakes)
    mistakes.refuse()
    return columns, rows


def _label_rows(file: Path, mistakes: _Mistakes) -> tuple[tuple[str, ...], tuple[Row, ...], tuple[Row, ...]]:
    """Return the label columns, the rows that can be used, and the others, whose mistakes are added."""
    names, rows = _rows(file, ("subject", "trial"), ",".join(_RESERVED), mistakes)
    columns = tuple(name for name in names if name not in _RESERVED)
    found: list[Row] = []
    unusable: list[Row] = []
    for number, row in rows:
        before = len(mistakes.found)
        times = {key: _time(mistakes, number, key, row.get(key, "")) for key in ("order", "start", "end")}
        start, end, order = times["start"], times["end"], times["order"]
        if start is not None and end is not None and not start < end:
            what = f"an interval from {start:g} to {end:g} s"
            mistakes.add(f"row {number}", what, "one that ends after it starts")
        if order is not None and order != int(order):
            mistakes.add(f"row {number}, order", f"{order:g}", "a whole number")
        if not row["subject"] or not row["trial"]:
            mistakes.add(f"row {number}", "no subject or trial", "both")
        place = None if order is None else int(order)
        cells = {column: row[column] for column in columns}
        session = row.get("session", "")
        made = Row(number, row["subject"], row["trial"], session, place, start, end, cells)
        (unusable if len(mistakes.found) > before else found).append(made)
    return columns, tuple(found), tuple(unusable)


def _time(mistakes: _Mistakes, number: int, column: str, cell: str) -> float | None:
    if _missing(cell):
        return None
    value = _number(cell)
    if value is None:
        mistakes.add(f"row {number}, {column}", shown(cell), "a number or nothing")
    return value


# ---- labels of recordings ----------------------------------------------------------------------------------------

_Key = tuple[str, str]
"""Subject and trial."""


def _class_columns(
    mistakes: _Mistakes,
    columns: Sequence[str],
    rows: Sequence[Row],
    labels: Sequence[str] | None,
    classes: Sequence[str] | None,
    notes: list[LeftOut],
) -> tuple[list[str], list[str]]:
    """Return the columns of classes and those of ratings among the wanted ones.

    A column of numbers with a word here and there is one of ratings with slips of the pen, unless it was said to be
    one of classes.
    """
    file = mistakes.file
    asked = [*([] if labels is None else labels), *([] if classes is None else classes)]
    unknown = [name for name in asked if name not in columns]
    if unknown:
        sentences = [f"{file} has no label column '{name}'.{did_you_mean(name, columns)}" for name in unknown]
        raise DataError(" ".join(sentences))
    wanted = list(columns) if labels is None else [name for name in columns if name in (*labels, *(classes or ()))]
    if classes is None:
        classes = [name for name in wanted if _holds_words(file, name, rows, notes)]
    ratings = [name for name in wanted if name not in classes]
    for name in ratings:
        advice = f"If '{name}' holds classes, add it to the option classes."
        for row in rows:
            if _is_word(row.cells[name]):
                mistakes.add(f"row {row.number}, {name}", shown(row.cells[name]), "a number", advice)
    return [name for name in wanted if name in classes], ratings


def _holds_words(file: Path, name: str, rows: Sequence[Row], notes: list[LeftOut]) -> bool:
    """Tell whether a column is one of classes: at least as many words as numbers; the numbers among them are noted."""
    words = sum(_is_word(row.cells[name]) for row in rows)
    numbers = [row for row in rows if not _missing(row.cells[name]) and not _is_word(row.cells[name])]
    if words and words >= len(numbers):
        if numbers:
            few = ", ".join(f"row {row.number}" for row in numbers[:5]) + (" and more" if len(numbers) > 5 else "")
            why = f"{words} words and {len(numbers)} numbers ({few}); all are taken for classes"
            notes.append(LeftOut(f"{file}: {name}", why))
        return True
    return False


def _is_word(cell: str) -> bool:
    return not _missing(cell) and _number(cell) is None


def _refuse_shared_names(mistakes: _Mistakes, rows: Sequence[Row], classes: Sequence[str]) -> None:
    """Refuse a class that stands in two columns, where it most likely means two things."""
    owner: dict[str, str] = {}
    told: set[tuple[str, str]] = set()
    for row in rows:
        for column in classes:
            name = row.cells[column]
            if not _missing(name) and owner.setdefault(name, column) != column and (name, column) not in told:
                told.add((name, column))
                mistakes.add(
                    f"row {row.number}, {column}",
                    f"the class {shown(name)}, which '{owner[name]}' has as well",
                    "classes of different columns by different names",
                    "Rename it, or choose one of the columns with the option labels.",
                )


def _by_recording(
    mistakes: _Mistakes, rows: Sequence[Row], classes: Sequence[str], ratings: Sequence[str]
) -> dict[_Key, _Labels]:
    """Return the labels of each recording, whose place in the order is not known yet."""
    groups: dict[_Key, list[Row]] = {}
    for row in rows:
        groups.setdefault((row.subject, row.trial), []).append(row)
    _refuse_unordered(mistakes, rows)
    found = {}
    for key, members in groups.items():
        for what in ("session", "order"):
            _one_value(mistakes, members, what, [getattr(row, what) for row in members], "")
        events = tuple(
            (row.cells[column], row.start, row.end)
            for row in members
            for column in classes
            if not _missing(row.cells[column])
        )
        values = []
        for column in ratings:
            numbers = [_number(row.cells[column]) for row in members]
            advice = f"If these are classes of intervals, add '{column}' to the option classes."
            _one_value(mistakes, members, column, numbers, advice)
            values.append((column, math.nan if numbers[0] is None else numbers[0]))
        order = members[0].order
        found[key] = _Labels(members[0].session, 0 if order is None else order, events, tuple(values))
    return found


def _refuse_unordered(mistakes: _Mistakes, rows: Sequence[Row]) -> None:
    """Refuse an order that only some rows have, and one that two recordings of a session share."""
    if all(row.order is None for row in rows):
        return
    owner: dict[tuple[str, str, int], Row] = {}
    for row in rows:
        where = f"row {row.number}, order"
        if row.order is None:
            mistakes.add(where, "nothing", "a whole number, as in other rows")
            continue
        first = owner.setdefault((row.subject, row.session, row.order), row)
        if first.trial != row.trial:
            found = f"{row.order}, which row {first.number} has for another trial of {row.subject}"
            mistakes.add(where, found, "numbers that differ within subject and session")


def _one_value(mistakes: _Mistakes, rows: Sequence[Row], column: str, values: Sequence[object], advice: str) -> None:
    """Refuse rows of one recording that say different things of the whole of it."""
    for row, value in zip(rows, values, strict=True):
        if value != values[0]:
            mistakes.add(
                f"row {row.number}, {column}",
                f"{value}, but {values[0]} in row {rows[0].number} of the same recording",
                f"one {column} per recording",
                advice,
            )
            return


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key by which ``t2`` comes before ``t10``."""
    parts = re.split(r"(\d+)", name)
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]


# ---- clocks ------------------------------------------------------------------------------------------------------

_LARGEST_OFFSET = 86_400.0  # seconds: beyond a day it is a date, not an offset


def read_clocks(file: Path) -> dict[tuple[str, str], dict[str, Clock]]:
    """Read the table of clocks.

    Parameters
    ----------
    file : Path
        ``clocks.csv`` with the columns subject and modality, one of offset (s) and drift (parts per million) or both,
        and optionally trial; where that is empty, the row holds for all trials of the subject without their own.

    Returns
    -------
    dict
        By subject and trial (``""`` for all of them), the clock of each modality.

    Raises
    ------
    ReadError
        It is not that table; a modality is unknown, a number is none or no clock's, a clock stands twice.
    """
    mistakes = _Mistakes(file)
    names, rows = _rows(file, ("subject", "modality"), "subject,trial,modality,offset,drift", mistakes)
    if not {"offset", "drift"} & set(names):
        found = f"the columns {shown(', '.join(names))}"
        raise ReadError(file, where="row 1", found=found, expected="offset, drift or both among them")
    clocks: dict[tuple[str, str], dict[str, Clock]] = {}
    for number, row in rows:
        modality = row["modality"].lower()
        trial = "" if _missing(row.get("trial", "")) else row["trial"]
        numbers = {name: _time(mistakes, number, name, row.get(name, "")) or 0.0 for name in ("offset", "drift")}
        wrong = ""
        if not row["subject"]:
            wrong, expected = "no subject", "one"
        elif modality not in MODALITIES:
            wrong, expected = f"the modality {shown(row['modality'])}", f"one of {', '.join(MODALITIES)}"
        elif abs(numbers["offset"]) > _LARGEST_OFFSET:
            wrong, expected = f"an offset of {numbers['offset']:g} s", "seconds from the recording's start"
        elif abs(numbers["drift"]) > LARGEST_DRIFT:
            wrong = f"a drift of {numbers['drift']:g}"
            expected = f"parts per million, at most {LARGEST_DRIFT:.0f} of them"
        elif modality in clocks.get((row["subject"], trial), {}):
            wrong, expected = f"a second clock of {modality}", "one for each subject, trial and modality"
        if wrong:
            mistakes.add(f"row {number}", wrong, expected)
            continue
        clock = Clock(numbers["offset"], numbers["drift"], source=file.name)
        clocks.setdefault((row["subject"], trial), {})[modality] = clock
    mistakes.refuse()
    return clocks


def _clocks_of(key: _Key, clocks: Mapping[tuple[str, str], Mapping[str, Clock]]) -> dict[str, Clock]:
    """Return the clocks of one recording: those of its subject, with its own before them."""
    return {**clocks.get((key[0], ""), {}), **clocks.get(key, {})}


def _idle_clocks(
    file: Path,
    clocks: Mapping[tuple[str, str], Mapping[str, Clock]],
    keys: Collection[_Key],
    channels: Sequence[Channel],
) -> Iterator[LeftOut]:
    """Yield the clocks that no recording has a use for."""
    subjects, modalities = {subject for subject, _ in keys}, {channel.modality for channel in channels}
    for (subject, trial), of_recording in clocks.items():
        if (subject not in subjects) if not trial else ((subject, trial) not in keys):
            what = f"{file}: {subject}, {trial}" if trial else f"{file}: {subject}"
            yield LeftOut(what, "there is no such recording; its clocks are not used")
            continue
        for modality in sorted(set(of_recording) - modalities):
            yield LeftOut(f"{file}: {modality}", "channels.csv has no channel of this modality; its clock is not used")


# ---- the corpus --------------------------------------------------------------------------------------------------


def _fits(folder: Path) -> bool:
    return (folder / "signals").is_dir() and (folder / "channels.csv").is_file()


def looks_like(path: Path) -> bool:
    """Tell whether a folder holds ``signals`` and ``channels.csv``, itself or in the one folder that it unpacked to."""
    return find_folder(path, _fits) is not None


@dataset(
    "csv",
    info=DatasetInfo(
        title="Any recordings as CSV files, with a table of channels and a table of labels",
        modalities=MODALITIES,
        subjects=0,
        licence="",
        citation="",
        url="",
        access="own",
        checked="format-faithful files only: the format is Limbeck's own",
        obtain="Your own, written as `limbeck datasets describe csv` says.",
    ),
)
def csv_folder(
    root: Path | None,
    *,
    subjects: Sequence[str | int] | None = None,
    labels: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
) -> Corpus:
    """CSV files with a header, beside tables of their channels and labels.

    One recording per ``signals/<subject>/<trial>.csv``. ``channels.csv`` (name, modality, unit, rate) says what each
    column is; columns that it does not name are not read. A file has a column ``time`` in seconds, or channels.csv
    gives each rate; both together are checked against each other, and gaps in time become missing samples. Without a
    time column a slower channel's column simply ends earlier. Label columns of words become events of these names, over
    the recording or from ``start`` to ``end``; columns of numbers become ratings. ``labels/<subject>/<trial>.csv``
    becomes traces. The optional columns ``session`` and ``order`` of labels.csv say how recordings follow each other;
    without ``order``, that is taken to be the order of their names (``t2`` before ``t10``). An optional ``clocks.csv``
    (subject, modality, offset, drift; trial) puts sensors that had a clock of their own onto the recording's time.

    Parameters
    ----------
    root : Path
        The folder with ``signals``.
    subjects : sequence of str or int, optional
        Only these, as their folders are called.
    labels : sequence of str, optional
        Only these columns of labels.csv.
    classes : sequence of str, optional
        Columns of labels.csv that hold classes, also where these are numbers; by default those that hold at least as
        many words as numbers. A column of numbers with fewer words among them is refused, with the rows of the words.

    Returns
    -------
    Corpus

    Raises
    ------
    DataError
        `root` does not exist; a subject or label column asked for is not there.
    ReadError
        There are no ``signals`` or ``channels.csv``, or one of the tables cannot be used, with every mistake in it.
    """
    root = locate("csv", root)
    home = find_folder(root, _fits)
    if home is None:
        held = ", ".join(child.name for child in visible(root)[:8]) if root.is_dir() else "a file"
        raise ReadError(root, found=held or "an empty folder", expected="a folder with signals and channels.csv")
    channels, wrong = _try_channels(inside(home / "channels.csv", root))
    table = home / "labels.csv"
    left_out: list[LeftOut] = []
    known: dict[_Key, _Labels] = {}
    has_order = False
    if table.exists():
        mistakes = _Mistakes(inside(table, root))
        columns, rows, unusable = _label_rows(table, mistakes)
        of_classes, of_ratings = _class_columns(
            mistakes, columns, (*rows, *unusable), _listed(labels), _listed(classes), left_out
        )
        _refuse_shared_names(mistakes, rows, of_classes)
        known = _by_recording(mistakes, rows, of_classes, of_ratings)
        _refuse_both(wrong, mistakes.error())
        has_order = any(row.order is not None for row in rows)
    elif labels is not None or classes is not None:
        raise ReadError(table, found="no such file", expected="the table of the labels asked for")
    else:
        left_out.append(LeftOut(str(table), "no such file; the recordings are read without labels"))
    _refuse_both(wrong, None)
    files = _signal_files(home, root, left_out)
    names = chosen(sorted({subject for subject, _ in files}, key=_natural), subjects, str)
    files = {key: file for key, file in files.items() if key[0] in names}
    left_out += _mismatches(table, files, known if subjects is None else [key for key in known if key[0] in names])
    told = home / "clocks.csv"
    clocks = read_clocks(inside(told, root)) if told.exists() else {}
    wanted = {key: of for key, of in clocks.items() if subjects is None or key[0] in names}
    left_out += _idle_clocks(told, wanted, files, channels)
    placed = _in_order(list(files), known, has_order)
    found = [
        (files[key], partial(_source, home, root, files[key], key, channels, said, _clocks_of(key, clocks)))
        for key, said in placed
    ]
    sources, outside = sources_inside(root, found)
    return Corpus("csv", sources, [*left_out, *outside])


def _try_channels(file: Path) -> tuple[tuple[Channel, ...], ReadError | None]:
    """Return the channels, or what is wrong with them, to be told together with what is wrong with the labels."""
    try:
        return read_channels(file), None
    except ReadError as error:
        return (), error


def _refuse_both(first: ReadError | None, second: ReadError | None) -> None:
    """Raise the mistakes of two tables as one error."""
    if first is not None and second is not None:
        advice = "\n".join(filter(None, (first.advice, f"Besides, {second}")))
        raise ReadError(
            first.file, where=first.where, found=first.found, expected=first.expected, advice=advice
        ) from first
    for error in (first, second):
        if error is not None:
            raise error


def _listed(names: Sequence[str] | None) -> list[str] | None:
    return [names] if isinstance(names, str) else None if names is None else list(names)


def _signal_files(home: Path, root: Path, left_out: list[LeftOut]) -> dict[_Key, Path]:
    """Return the recordings' files by subject and trial; other visible things are told."""
    files = {}
    for folder in visible(home / "signals"):
        if not folder.is_dir():
            left_out.append(
                LeftOut(str(folder), "not in the folder of a subject; expected signals/<subject>/<trial>.csv")
            )
            continue
        for file in visible(folder) if is_inside(folder, root) else [folder]:
            if file.suffix.lower() == ".csv" or file == folder:  # a linked folder is told by whoever follows links
                files[folder.name, file.stem] = file
            else:
                left_out.append(LeftOut(str(file), "not a CSV file"))
    return files


def _mismatches(table: Path, files: Mapping[_Key, Path], known: Collection[_Key]) -> Iterator[LeftOut]:
    """Yield rows without a recording, and recordings without a row."""
    for subject, trial in sorted(set(known) - set(files)):
        near = did_you_mean(trial, [other for who, other in files if who == subject])
        yield LeftOut(f"{table}: {subject}, {trial}", f"there is no file signals/{subject}/{trial}.csv.{near}")
    if known:
        for key in sorted(set(files) - set(known)):
            yield LeftOut(f"{files[key]}: labels", f"{table.name} has no row for it; it is read without labels")


def _in_order(keys: Sequence[_Key], known: Mapping[_Key, _Labels], has_order: bool) -> list[tuple[_Key, _Labels]]:
    """Return recordings by subject, session and order, with the place among those of subject and session."""
    if keys and not has_order:
        logger.info("labels.csv has no column order: recordings are taken to follow each other by their trials' names")
    said = {key: known.get(key, _Labels()) for key in keys}
    ordered = sorted(
        keys,
        # those that the table does not know come last
        key=lambda key: (
            _natural(key[0]),
            _natural(said[key].session),
            has_order and key not in known,
            said[key].order,
            _natural(key[1]),
        ),
    )
    counts: dict[_Key, int] = {}
    placed = []
    for key in ordered:
        labels = said[key]
        group = (key[0], labels.session)
        placed.append((key, _Labels(labels.session, counts.get(group, 0), labels.events, labels.ratings)))
        counts[group] = counts.get(group, 0) + 1
    return placed


def _source(
    home: Path,
    root: Path,
    file: Path,
    key: _Key,
    channels: tuple[Channel, ...],
    labels: _Labels,
    clocks: Mapping[str, Clock],
) -> Source:
    traces = home / "labels" / key[0] / file.name
    with_traces = traces.is_file()
    return Source(
        subject=key[0],
        session=labels.session,
        trial=key[1],
        read=partial(_read, file, traces if with_traces else None, root, key, channels, labels, clocks),
        files=(file, traces) if with_traces and is_inside(traces, root) else (file,),
        options={
            "channels": [asdict(channel) for channel in channels],
            "labels": asdict(labels),
            "clocks": {modality: asdict(clock) for modality, clock in sorted(clocks.items())},
        },
        modules=_MODULES,
    )


# ---- one recording -----------------------------------------------------------------------------------------------


def _read_numbers(file: Path, wanted: Collection[str] | None = None) -> tuple[list[str], pd.DataFrame]:
    """Read a table of numbers.

    Parameters
    ----------
    file : Path
    wanted : collection of str, optional
        Columns to be read where they are there; by default all. ``time`` always is.

    Returns
    -------
    names : list of str
        Of all columns.
    table : DataFrame, float64
        The wanted ones.

    Raises
    ------
    ReadError
        It is no table, a row has more or fewer fields than the header, or a wanted column holds anything but numbers.
    """
    import pandas as pd

    names, separator, body = _split(file)
    _refuse_ragged(file, body, separator.encode(), len(names))
    read = [name for name in names if wanted is None or name == "time" or name in wanted]
    if not read:
        return names, pd.DataFrame()
    try:
        table = pd.read_csv(
            io.BytesIO(body),
            header=None,
            names=names,
            usecols=read,
            sep=separator,
            decimal="," if separator != "," and b"," in body else ".",
            na_values=_MISSING,
            keep_default_na=False,
            skipinitialspace=True,
            skip_blank_lines=False,
            quoting=csv.QUOTE_NONE,
            float_precision="round_trip" if _EXTREME.search(body) else "high",
            index_col=False,
            low_memory=False,
        )
    except (ValueError, OverflowError) as error:  # pandas' ParserError is a ValueError
        raise ReadError(file, found=str(error).strip(), expected="a field per column in every row") from error
    for name in read:
        if table[name].dtype.kind not in "fiu":
            _refuse_words(file, name, table[name])
    return names, table.astype(np.float64)


def _split(file: Path) -> tuple[list[str], str, bytes]:
    """Return the columns' names, what divides them, and the rows, without the quotes that some programs put."""
    raw = read_bytes(file, limit=_LARGEST)
    if b"\0" in raw[:4096]:
        advice = "Save it again as CSV in UTF-8, not as a workbook or UTF-16."
        raise ReadError(file, found="zero bytes", expected="text", advice=advice)
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b'"' in raw:
        raw = raw.replace(b'"', b"")
    first, _, body = raw.rstrip(b" \n\x1a").partition(b"\n")
    try:
        header = first.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReadError(
            file, where="row 1", found=str(error), expected="text in UTF-8", advice="Save it again as UTF-8."
        ) from error
    separator = _separator(header)
    cells = _cells(header, separator)
    if not cells or all(_number(cell) is not None for cell in cells):
        raise ReadError(file, where="row 1", found=shown(header), expected="a header with the channels' names")
    if not body:
        raise ReadError(file, found="a header and no rows", expected="a row per sample")
    return _header(file, ["time" if cell.lower() == "time" else cell for cell in cells]), separator, body


def _refuse_ragged(file: Path, body: bytes, separator: bytes, columns: int) -> None:
    """Refuse a row with more or fewer fields than the header; pandas would fill or drop them without a word."""
    marks = _marks(body, separator)
    rows = marks[: len(marks) // columns * columns].reshape(-1, columns)
    ragged = (rows[:, :-1] == _LINE_END).any(axis=1) | (rows[:, -1] != _LINE_END)
    if not ragged.any() and rows.size == len(marks):
        return
    row = int(np.argmax(ragged)) if ragged.any() else len(rows)
    line, *rest = body.split(b"\n", row + 1)[row:]
    fields = line.count(separator) + 1
    advice = ""
    if separator == b"," and columns < fields <= 2 * columns and b"." not in line:
        advice = "Decimal commas need semicolons or tabs between the columns."
    elif not rest:
        advice = "The file ends in the middle of a row: copy it again."
    raise ReadError(
        file,
        where=f"row {row + 2}",
        found=f"{fields} fields in {shown(line)}",
        expected=f"{columns}, as in the header",
        advice=advice,
    )


def _marks(body: bytes, separator: bytes) -> np.ndarray:
    """Return the separators and line ends of a text in their order, with a line end behind the last row."""
    content = np.frombuffer(body, dtype=np.uint8)
    pieces = (content[i : i + _PIECE] for i in range(0, len(content), _PIECE))
    found = [piece[(piece == ord(separator)) | (piece == _LINE_END)] for piece in pieces]
    return np.concatenate([*found, np.array([_LINE_END], dtype=np.uint8)])


def _refuse_words(file: Path, name: str, column: pd.Series) -> None:
    """Refuse a column that is not of numbers, with its first row that is none."""
    given = column.notna().to_numpy()  # pandas' own to_numeric converts as quickly, and falls over the same numbers
    cells = (row for row, cell in enumerate(column) if given[row] and _number(str(cell).strip()) is None)
    row = next(cells, 0)
    found = shown(str(column.iloc[row]))
    raise ReadError(
        file, where=f"row {row + 2}, {name}", found=found, expected="a number, or nothing where it is missing"
    )


def _clock(file: Path, table: pd.DataFrame) -> np.ndarray | None:
    """Return the time column in seconds, None if there is none; times that do not increase are refused."""
    if "time" not in table:
        return None
    times = table["time"].to_numpy()
    finite = np.isfinite(times)
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0]) + 2
        raise ReadError(file, where=f"row {row}, time", found="no time", expected="seconds in every row")
    back = np.flatnonzero(np.diff(times) <= 0)
    if len(back):
        row = int(back[0])
        raise ReadError(
            file,
            where=f"row {row + 3}, time",
            found=f"{times[row + 1]:.9g} s after {times[row]:.9g} s",
            expected="times that increase",
            advice="Sort the rows, or remove those that stand twice.",
        )
    return times


def _read(
    file: Path,
    traces: Path | None,
    root: Path,
    key: _Key,
    channels: tuple[Channel, ...],
    labels: _Labels,
    clocks: Mapping[str, Clock],
) -> Recording:
    """Read one recording with its labels, its sensors on one clock."""
    known = [channel.name for channel in channels]
    names, table = _read_numbers(inside(file, root), known)
    times = _clock(file, table)
    origin = 0.0 if times is None else float(times[0])
    notes = [
        LeftOut(f"{file}: {name}", "channels.csv does not name this column; not read")
        for name in names
        if name != "time" and name not in known
    ]
    signals = {}
    for modality in dict.fromkeys(channel.modality for channel in channels):
        members = [channel for channel in channels if channel.modality == modality]
        absent = [channel.name for channel in members if channel.name not in table]
        if absent:
            why = f"there is no column {', '.join(absent)}; {modality} is not used here"
            notes.append(LeftOut(f"{file}: {modality}", why))
            continue
        signal = _signal(file, table, times, members, notes)
        if signal is not None:
            signals[modality] = signal
    if not signals:
        raise ReadError(
            file,
            found=f"the columns {shown(', '.join(names))}",
            expected="samples of at least one modality of channels.csv",
        )
    moved = align(Recording(key[0], signals), {name: clock for name, clock in clocks.items() if name in signals})
    end = max(signal.end for signal in moved.signals.values())
    return Recording(
        subject=key[0],
        session=labels.session,
        trial=key[1],
        order=labels.order,
        signals=moved.signals,
        ratings=dict(labels.ratings),
        events=tuple(_events(file, labels, origin, end, notes)),
        traces={} if traces is None else _traces(traces, root, origin, notes),
        notes=tuple(notes),
        clocks=moved.clocks,
    )


def _events(file: Path, labels: _Labels, origin: float, end: float, notes: list[LeftOut]) -> Iterator[Event]:
    """Yield the events in seconds from the recording's start; those outside of it are told instead."""
    for name, start, stop in labels.events:
        event = Event(name, 0.0 if start is None else start - origin, end if stop is None else stop - origin)
        if event.end <= 0 or event.start >= end or event.end <= event.start:
            span = f"{event.start + origin:g} to {event.end + origin:g} s"
            why = f"labels.csv has it at {span}, but the recording is from {origin:g} to {origin + end:g} s; not used"
            notes.append(LeftOut(f"{file}: event {name}", why))
        else:
            yield event


def _traces(file: Path, root: Path, origin: float, notes: list[LeftOut]) -> dict[str, Trace]:
    """Return the annotations that run with time; a file of them that cannot be read is told, and the rest goes on."""
    try:
        names, table = _read_numbers(inside(file, root))
        times = _clock(file, table)
        if times is None:
            raise ReadError(file, where="row 1", found="no column time", expected="one, in seconds")
    except ReadError as error:
        notes.append(LeftOut(error.file, f"{error} The recording is used without it."))
        return {}
    found = {}
    for name in names:
        values = table[name].to_numpy()
        said = np.isfinite(values)
        if name != "time" and said.any():
            found[name] = Trace(times[said] - origin, values[said].astype(np.float32))
    return found


def _signal(
    file: Path, table: pd.DataFrame, times: np.ndarray | None, channels: Sequence[Channel], notes: list[LeftOut]
) -> Signal | None:
    """Return one modality on a regular grid and in Limbeck's unit; None, with a note, where it has no samples."""
    modality, rate = channels[0].modality, channels[0].rate
    raw = table[[channel.name for channel in channels]].to_numpy().T
    infinite = np.isinf(raw)
    if infinite.any():
        raw = np.where(infinite, np.nan, raw)
        notes.append(LeftOut(f"{file}: {modality}", f"{int(infinite.sum())} samples are infinite; taken as missing"))
    given = np.flatnonzero(np.isfinite(raw).any(axis=0))
    if not len(given):
        notes.append(LeftOut(f"{file}: {modality}", "all samples are missing"))
        return None
    start = 0.0
    if times is None:
        if rate is None:
            raise ReadError(
                file,
                where=f"row 1, {channels[0].name}",
                found="no column time, and no rate in channels.csv",
                expected="one of them",
            )
        grid = raw[:, : given[-1] + 1]  # what is missing at the end was never there: a slower channel's column ends
    else:
        rate, places = _places(file, times[given], channels, notes)
        grid = np.full((len(channels), places[-1] + 1), np.nan)
        grid[:, places] = raw[:, given]
        start = float(times[given[0]] - times[0])
    rows = [to_unit(row, modality, channel.unit) for row, channel in zip(grid, channels, strict=True)]
    # units were checked with channels.csv, so that none of the rows is None
    data = np.stack([row for row in rows if row is not None]).astype(np.float32)
    stated = next((channel.unit for channel in channels if channel.unit), "")
    doubt = doubtful(data, modality, stated) if stated else ""
    if doubt:
        notes.append(LeftOut(f"{file}: {modality}: unit", doubt))
    return Signal(data, rate, tuple(channel.name for channel in channels), UNITS[modality], start)


def _places(
    file: Path, times: np.ndarray, channels: Sequence[Channel], notes: list[LeftOut]
) -> tuple[float, np.ndarray]:
    """Return the rate in Hz and the place of each sample on the regular grid, where gaps leave places free.

    Within a stretch without gaps samples follow each other, whatever the jitter of their times; each stretch begins
    where its first time says.
    """
    place, stated = f"{channels[0].modality} by the column time", channels[0].rate
    if len(times) < 2:
        if stated is None:
            raise ReadError(file, where=place, found="one sample", expected="two or more, or a rate in channels.csv")
        return stated, np.zeros(1, dtype=np.int64)
    steps = np.diff(times)
    told = _rate_of(steps)
    if stated is not None and abs(told - stated) > _TOLERANCE * stated and len(times) > 2:
        found = f"{told:.6g} Hz"
        advice = "Correct the rate there, or leave it empty to have it from the times."
        raise ReadError(file, where=place, found=found, expected=f"{stated:g} Hz, as in channels.csv", advice=advice)
    rate = told if stated is None else stated
    span = float(times[-1] - times[0])
    if span * rate > (_MOST_FILLED + 1) * len(times):
        found = f"{len(times)} samples over {span:.6g} s at {rate:g} Hz"
        raise ReadError(file, where=place, found=found, expected="samples that follow each other", advice="Is it in s?")
    gaps = np.flatnonzero(steps > _GAP / told) + 1
    starts = np.concatenate([[0], gaps])
    lengths = np.diff(np.concatenate([starts, [len(times)]]))
    begins = np.rint((times[starts] - times[0]) * rate).astype(np.int64)
    # a clock that is a little slow must not let a stretch run into the next one
    late = np.maximum.accumulate(begins - np.concatenate([[0], np.cumsum(lengths)[:-1]]))
    begins = late + np.concatenate([[0], np.cumsum(lengths)[:-1]])
    places = np.repeat(begins - starts, lengths) + np.arange(len(times))
    free = int(places[-1] + 1 - len(times))
    if len(gaps):
        why = f"{len(gaps)} gap{'s' if len(gaps) > 1 else ''} of {free} samples in all; taken as missing"
        notes.append(LeftOut(f"{file}: {channels[0].modality}", why))
    slide = abs(places[-1] / rate - span)
    if slide > max(0.5, 2 / rate):
        why = f"at {rate:g} Hz it ends {slide:.2f} s from where its times say ({told:.6g} Hz); its clock drifts"
        notes.append(LeftOut(f"{file}: {channels[0].modality}", why))
    return rate, places


def _rate_of(steps: np.ndarray) -> float:
    """Return the rate in Hz that steps of time tell: their mean without gaps, rounded where it is nearly whole.

    The median alone would be that of times as they were rounded: 8 ms, so 125 Hz, for 128 Hz in milliseconds.
    """
    steps = steps[steps <= _GAP * np.median(steps)]
    mean = float(steps.mean())
    rate = 1 / mean
    # times are off by the jitter at most, so their span by twice that, which counts less the longer it is
    uncertain = 2 * float(np.abs(steps - mean).max()) / float(steps.sum())
    whole = round(rate)
    near = abs(rate - whole) <= min(max(uncertain, 1e-4), 2e-3) * rate
    return float(whole) if whole and near else rate
