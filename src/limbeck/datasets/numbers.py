"""Text files of numbers without a header, read fast, strictly, and with the offending row named."""

from __future__ import annotations

import csv
import io
import math
import re

import numpy as np

from limbeck.errors import ReadError

__all__ = ["HUGE_EXPONENT", "numbers_of", "plain_text", "read_table", "refuse_cut_number", "shown"]

HUGE_EXPONENT = re.compile(rb"[eE][+-]?[0-9]{4}")
"""What no sensor writes and no float holds; the parser of pandas crashes where it is larger still."""


def plain_text(raw: bytes, file: str) -> bytes:
    """Return a file's text without byte-order mark and with bare line feeds.

    Raises
    ------
    ReadError
        It is not ASCII text; the message names the row.
    """
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ReadError(file, found="UTF-16 text", expected="ASCII text", advice="Save it again as plain CSV.")
    text = raw.removeprefix(b"\xef\xbb\xbf")
    if not text.isascii() or b"\0" in text:
        content = np.frombuffer(text, dtype=np.uint8)
        place = int(np.flatnonzero((content > 127) | (content == 0))[0])
        row = text.count(b"\n", 0, place) + 1
        raise ReadError(
            file,
            where=f"row {row}",
            found=f"the byte 0x{text[place]:02x}, which is not text",
            expected="numbers in ASCII",
            advice="The file is damaged: copy it again from the device's export.",
        )
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _columns(count: int) -> str:
    return "one number" if count == 1 else f"{count} comma-separated numbers"


def shown(line: bytes | str) -> str:
    """Return a row or a cell as a message shows it: quoted, and not too long."""
    text = line if isinstance(line, str) else line.decode("ascii", "replace")
    return repr(text if len(text) <= 60 else text[:57] + "...")


def numbers_of(line: bytes, columns: int) -> list[float] | None:
    """Return the finite numbers of a row, None if it is not `columns` of them."""
    fields = line.split(b",")
    try:
        values = [float(field) for field in fields]
    except ValueError:
        return None
    return values if len(values) == columns and all(map(math.isfinite, values)) else None


def read_table(text: bytes, file: str, columns: int, first_row: int) -> np.ndarray:
    """Read rows of comma-separated numbers.

    Parameters
    ----------
    text : bytes
        As from :func:`plain_text`.
    file : str
        Where it is from, for messages.
    columns : int
        Numbers in a row.
    first_row : int
        The number of the text's first row in the file, for messages.

    Returns
    -------
    ndarray of shape (n_rows, columns), float64

    Raises
    ------
    ReadError
        A row is not `columns` finite numbers; the first such row is named.
    """
    import pandas as pd

    body = text.rstrip(b" \n\t\x1a")
    if HUGE_EXPONENT.search(body):
        raise _blame(body, file, columns, first_row)
    try:
        frame = pd.read_csv(
            io.BytesIO(body),
            header=None,
            dtype=np.float64,
            na_filter=False,
            quoting=csv.QUOTE_NONE,
            skip_blank_lines=False,
            engine="c",
        )
        table = frame.to_numpy()
    except (ValueError, OverflowError) as error:  # pandas' ParserError is a ValueError
        raise _blame(body, file, columns, first_row) from error
    if table.shape[1] != columns or not np.isfinite(table).all():
        raise _blame(body, file, columns, first_row)
    return table


def _blame(body: bytes, file: str, columns: int, first_row: int) -> ReadError:
    """Return the error that names the first row that is not `columns` finite numbers."""
    lines = body.split(b"\n")
    number = next((i for i, line in enumerate(lines) if numbers_of(line, columns) is None), None)
    if number is None:  # only where Python reads numbers that pandas does not, such as 1_000
        return ReadError(file, found="rows that are not plain numbers", expected=f"{_columns(columns)} per row")
    advice = "The file is damaged or cut: copy it again from the device's export."
    if any(mark in lines[number] for mark in (b";", b"\t")):
        advice = "The separator is not a comma: save it again as comma-separated, with decimal points."
    elif number == len(lines) - 1:
        advice = "The file ends in the middle of a row: copy it again from the device's export."
    return ReadError(
        file,
        where=f"row {first_row + number}",
        found=shown(lines[number]),
        expected=f"{_columns(columns)} per row",
        advice=advice,
    )


def refuse_cut_number(text: bytes, file: str, rows: int) -> None:
    """Refuse a last row without line end that has fewer decimals than all rows before it: it was cut in a number."""
    if text.endswith(b"\n") or rows < 3:
        return
    *before, last = text[-4096:].split(b"\n")[1:] or [b""]
    decimals = {len(line.rpartition(b".")[2]) for line in before if b"." in line}
    complete = len(decimals) == 1 and all(b"." in line for line in before)
    if complete and len(last.rpartition(b".")[2] if b"." in last else b"") < decimals.pop():
        raise ReadError(
            file,
            where=f"row {rows + 2}",
            found=f"{shown(last)} at the end of the file, shorter than every number before it",
            expected="a whole number and a line end",
            advice="The file was cut: copy it again from the device's export.",
        )
