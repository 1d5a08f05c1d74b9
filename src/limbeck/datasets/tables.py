"""Small comma-separated tables with a header that people keep beside recordings: labels, ratings."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from limbeck.datasets.files import read_bytes
from limbeck.datasets.numbers import shown
from limbeck.errors import ReadError

__all__ = ["read_rows"]


def read_rows(file: Path, needed: Iterable[str]) -> list[tuple[int, dict[str, str]]]:
    """Read a table line by line, so that a quote which is never closed costs its own row and no other.

    Parameters
    ----------
    file : Path
        UTF-8 text, comma-separated, with the names of the columns in row 1.
    needed : iterable of str
        Columns without which it is not that table, in lower case.

    Returns
    -------
    list of (int, dict of str to str)
        Number of each row in the file and its cells by column, in lower case; a cell that the row lacks is ``""``.
        Empty rows are not listed.

    Raises
    ------
    ReadError
        The file cannot be read, is no text, or lacks a column.
    """
    try:
        text = read_bytes(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReadError(file, found=str(error), expected="text in UTF-8", advice="Save it again as UTF-8.") from error
    first, *lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    columns = [name.lower() for name in _cells(first, file, 1)]
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    if twice:
        raise ReadError(file, where="row 1", found=f"the column {shown(twice[0])} twice", expected="each name once")
    missing = [name for name in needed if name not in columns]
    if missing:
        raise ReadError(
            file,
            where="row 1",
            found=f"the columns {shown(', '.join(columns))}",
            expected=f"{', '.join(missing)} among them, comma-separated",
        )
    empty = dict.fromkeys(columns, "")
    return [
        (number, empty | dict(zip(columns, _cells(line, file, number), strict=False)))
        for number, line in enumerate(lines, start=2)
        if line.strip()
    ]


def _cells(line: str, file: Path, number: int) -> list[str]:
    """Return the cells of one row, bare of blanks."""
    try:
        return [cell.strip() for row in csv.reader([line], skipinitialspace=True) for cell in row]
    except csv.Error as error:
        raise ReadError(file, where=f"row {number}", found=str(error), expected="cells of ordinary length") from error
