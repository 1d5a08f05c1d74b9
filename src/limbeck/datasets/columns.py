"""Long tables of numbers with a header, read by the names of their columns, a block of rows at a time."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from limbeck.datasets.numbers import shown
from limbeck.errors import ReadError

__all__ = ["Columns", "as_float32", "header_of", "read_columns"]

_BLOCK = 2**24  # bytes that are parsed at a time
_LONGEST_ROW = 2**14
_LARGEST_TABLE = 2**30
_MOST_NUMBERS = 2**26  # half a gigabyte of float64
_NEWLINE = ord("\n")
_SEPARATORS = ("\t", ";", ",")
_MISSING = ["", "nan", "NaN", "NAN", "na", "NA", "n/a", "N/A", "null"]

# pandas' quick conversion reads outside of its table of powers for some of these
_EXTREME = re.compile(rb"[eE][-+]?\d{3}|\d{200}")


@dataclass(frozen=True)
class Columns:
    """What :func:`read_columns` found.

    Parameters
    ----------
    numbers : mapping of str to ndarray of shape (n_rows,), float64
        By name, as the header of the file writes it; NaN where a cell is empty.
    text : mapping of str to ndarray of shape (n_rows,), object
        Columns that were asked for as text, stripped.
    """

    numbers: Mapping[str, np.ndarray]
    text: Mapping[str, np.ndarray] = field(default_factory=dict)


def _header(first: bytes, file: Path) -> tuple[str, list[str]]:
    """Return what divides the columns of a table, and their names."""
    try:
        line = first.decode("utf-8-sig").strip("\r\n \x1a")
    except UnicodeDecodeError as error:
        raise ReadError(file, where="row 1", found=str(error), expected="a header in UTF-8") from error
    if not line or "\0" in line:
        raise ReadError(file, where="row 1", found=shown(line), expected="a header with the columns' names")
    separator = next((mark for mark in _SEPARATORS if mark in line), ",")
    names = [name.strip().strip('"').strip() for name in line.split(separator)]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        found = f"the column {shown(twice[0])} twice" if twice[0] else "several columns without a name"
        raise ReadError(file, where="row 1", found=found, expected="each name once")
    return separator, names


def header_of(file: Path) -> list[str]:
    """Return the names of a table's columns, from its first row.

    Raises
    ------
    ReadError
        It cannot be read, or its first row is no header.
    """
    return _header(_first_row(file), file)[1]


def _first_row(file: Path) -> bytes:
    if file.exists() and not file.is_file():
        raise ReadError(file, found="something that is not a plain file", expected="a file")
    try:
        with file.open("rb") as stream:
            return stream.readline(_LONGEST_ROW)
    except FileNotFoundError as error:
        raise ReadError(file, found="no such file", expected="a file of that name") from error
    except OSError as error:
        raise ReadError(file, found=str(error), expected="a readable file") from error


def read_columns(file: Path, wanted: Collection[str], *, text: Collection[str] = ()) -> Columns:
    """Read columns by name from a long table with a header, a block of rows at a time.

    Parameters
    ----------
    file : Path
        Separated by commas, semicolons or tabs.
    wanted : collection of str
        Columns of numbers to be read where they are there, in lower case; the header is compared in lower case, too.
    text : collection of str
        Likewise, columns of words.

    Returns
    -------
    Columns
        By name in lower case.

    Raises
    ------
    ReadError
        It is no table, it is longer than a gigabyte, a row has more or fewer cells than the header, or a wanted
        column holds anything but numbers; the message names the row.
    """
    first = _first_row(file)
    separator, names = _header(first, file)
    names = [name.lower() for name in names]
    if len(set(names)) < len(names):
        raise ReadError(file, where="row 1", found=shown(", ".join(names)), expected="each name once")
    read = [name for name in names if name in wanted or name in text]
    parts: dict[str, list[np.ndarray]] = {name: [] for name in read}
    row, held = 2, 0
    for block in _blocks(file, len(first)):
        _refuse_ragged(block, separator.encode(), len(names), file, row)
        rows = block.count(b"\n")
        held += rows * len(read)
        if held > _MOST_NUMBERS:
            raise ReadError(file, found=f"more than {_MOST_NUMBERS} numbers", expected="a recording of ordinary length")
        if read:
            for name, values in _parsed(block, separator, names, read, text, file, row).items():
                parts[name].append(values)
        row += rows
    if row == 2:
        raise ReadError(file, found="a header and no rows", expected="a row per sample")
    whole = {name: np.concatenate(values) for name, values in parts.items()}
    return Columns(
        {name: values for name, values in whole.items() if name not in text},
        {name: values for name, values in whole.items() if name in text},
    )


def _blocks(file: Path, start: int) -> Iterator[bytes]:
    """Yield the rows of a file in blocks that end with a row, without quotes and with bare line feeds."""
    try:
        size = file.stat().st_size
        if size > _LARGEST_TABLE:
            found = f"{size >> 20} MiB"
            raise ReadError(file, found=found, expected=f"at most {_LARGEST_TABLE >> 20} MiB")
        with file.open("rb") as stream:
            stream.seek(start)
            while block := stream.read(_BLOCK):
                if not block.endswith(b"\n"):
                    block += stream.readline(_LONGEST_ROW)
                if not block.endswith(b"\n") and stream.tell() < size:
                    found = f"a row of more than {_LONGEST_ROW} bytes"
                    raise ReadError(file, found=found, expected="rows of ordinary length")
                if stream.tell() >= size:
                    block = block.rstrip(b" \r\n\x1a") + b"\n"
                block = block.replace(b"\r\n", b"\n").replace(b'"', b"")
                if block != b"\n":
                    yield block
    except OSError as error:
        raise ReadError(file, found=str(error), expected="a readable file") from error


def _refuse_ragged(block: bytes, separator: bytes, columns: int, file: Path, row: int) -> None:
    """Refuse a row with more or fewer cells than the header; pandas would fill or drop them without a word."""
    content = np.frombuffer(block, dtype=np.uint8)
    marks = content[(content == ord(separator)) | (content == _NEWLINE)] == _NEWLINE
    whole = len(marks) % columns == 0
    if whole and (grid := marks.reshape(-1, columns))[:, -1].all() and not grid[:, :-1].any():
        return
    for number, line in enumerate(block.split(b"\n"), start=row):
        cells = line.count(separator) + 1
        if cells != columns:
            last = number == row + block.count(b"\n") - 1
            raise ReadError(
                file,
                where=f"row {number}",
                found=f"{cells} cells in {shown(line)}",
                expected=f"{columns}, as in the header",
                advice="The file may end in the middle of a row: copy it again." if last else "",
            )


def _is_extreme(block: bytes) -> bool:
    """Tell whether numbers need the careful conversion; most blocks have neither exponents nor rows so long."""
    ends = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == _NEWLINE)
    longest = int(np.diff(ends, prepend=-1).max())
    return (b"e" in block or b"E" in block or longest > 200) and _EXTREME.search(block) is not None


def _parsed(
    block: bytes, separator: str, names: list[str], read: list[str], text: Collection[str], file: Path, row: int
) -> dict[str, np.ndarray]:
    """Return the wanted columns of one block."""
    import pandas as pd

    if b"\0" in block:
        raise ReadError(file, where=f"rows from {row}", found="zero bytes", expected="text")
    types = {name: object if name in text else np.float64 for name in read}
    try:
        frame = pd.read_csv(
            io.BytesIO(block),
            header=None,
            names=names,
            usecols=read,
            dtype=types,
            sep=separator,
            decimal="," if separator != "," and b"," in block else ".",
            na_values=_MISSING,
            keep_default_na=False,
            skipinitialspace=True,
            skip_blank_lines=False,
            quoting=csv.QUOTE_NONE,
            encoding="latin-1",
            float_precision="round_trip" if _is_extreme(block) else None,
            index_col=False,
            low_memory=False,
        )
    except (ValueError, OverflowError) as error:  # pandas' ParserError is a ValueError
        raise _blamed(block, separator, names, [n for n in read if n not in text], file, row, error) from error
    return {
        name: np.array([str(cell).strip() for cell in frame[name]], dtype=object)
        if name in text
        else frame[name].to_numpy(dtype=np.float64)
        for name in read
    }


def _blamed(
    block: bytes, separator: str, names: list[str], read: list[str], file: Path, row: int, error: Exception
) -> ReadError:
    """Return the error that names the first cell that is no number."""
    places = [(name, names.index(name)) for name in read]
    for number, line in enumerate(block.decode("latin-1").split("\n"), start=row):
        cells = line.split(separator)
        for name, place in places:
            cell = cells[place].strip() if place < len(cells) else ""
            if cell not in _MISSING and not _is_finite(cell.replace(",", ".")):
                where = f"row {number}, {name}"
                return ReadError(file, where=where, found=shown(cell), expected="a number, or nothing")
    return ReadError(file, where=f"rows from {row}", found=str(error).strip(), expected="a number in every cell")


def _is_finite(cell: str) -> bool:
    plain = re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", cell, re.ASCII)
    return plain is not None and math.isfinite(float(cell))


def as_float32(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Return samples as float32, and how many are infinite or beyond what float32 holds, which become NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        out = np.asarray(values, dtype=np.float64).astype(np.float32)
    wild = np.isinf(out)
    out[wild] = np.nan
    return out, int(wild.sum())
