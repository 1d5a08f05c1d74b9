"""What BIDS data sets are made of: names cut into entities, sidecars that are inherited, tables, packed tables."""

from __future__ import annotations

import io
import json
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.datasets.files import is_inside, read_bytes, visible
from limbeck.datasets.numbers import HUGE_EXPONENT, shown
from limbeck.errors import ReadError
from limbeck.recording import LeftOut

__all__ = [
    "LARGEST_PHYSIO",
    "Folders",
    "Name",
    "applying",
    "cell_number",
    "json_number",
    "merged",
    "parse_name",
    "read_json",
    "read_physio",
    "read_tsv",
    "tsv_rows",
]

LARGEST_PHYSIO = 2**30
"""Bytes of text that one ``_physio.tsv.gz`` may unpack to; it is parsed piece by piece."""

_MOST_VALUES = 2**26
_MOST_CELLS = 2**22
_PIECE = 2**23
_BOMB_BYTES, _BOMB_RATIO = 2**26, 200  # beyond so many bytes, numbers that anything measured do not pack so well
_MOST_FILES = 200_000
_MOST_MEMBERS = 1000


@dataclass(frozen=True)
class Name:
    """A file's name, cut: entities in their order, suffix, ending in lower case."""

    entities: tuple[tuple[str, str], ...]
    suffix: str
    ending: str

    def value(self, key: str) -> str:
        """Return the value of an entity, ``""`` where the name has it not."""
        return dict(self.entities).get(key, "")

    @property
    def key(self) -> tuple[tuple[str, str], ...]:
        """What all files of one recording share."""
        return tuple(sorted(entity for entity in self.entities if entity[0] != "recording"))


_NAME = re.compile(r"((?:[a-zA-Z]+-[a-zA-Z0-9+]+_)*)([a-zA-Z0-9]+)(\.[a-zA-Z0-9.]+)")


def parse_name(name: str) -> Name | None:
    """Return a file name cut into its parts, None for one that BIDS does not know."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    pairs = [part.split("-", 1) for part in match[1].split("_") if part]
    return Name(tuple((key, value) for key, value in pairs), match[2], match[3].lower())


@dataclass
class Folders:
    """What lies in each folder between the data set's and a file's, listed once, without links out of the root."""

    root: Path
    listed: dict[Path, list[tuple[Path, Name | None]]] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    count: int = 0

    def __call__(self, folder: Path) -> list[tuple[Path, Name | None]]:
        """Return what lies in a folder: each path, and its name cut where it is one of BIDS."""
        if folder not in self.listed:
            children = visible(folder)
            self.count += len(children)
            if self.count > _MOST_FILES:
                raise ReadError(self.root, found=f"more than {_MOST_FILES} files", expected="a data set of fewer")
            self.listed[folder] = [(child, parse_name(child.name)) for child in children if self._stays(child)]
        return self.listed[folder]

    def _stays(self, path: Path) -> bool:
        if not path.is_symlink() or is_inside(path, self.root):
            return True
        why = "a link that leads out of the data set's folder is not followed; copy what it leads to"
        self.left_out.append(LeftOut(str(path), why))
        return False


def applying(folders: Folders, home: Path, file: Path, name: Name, suffix: str, ending: str) -> list[Path]:
    """Return the sidecars that apply to a file, the most general first: with no entity that it has not."""
    chain = [file.parent]
    while chain[-1] != home and chain[-1] != chain[-1].parent:
        chain.append(chain[-1].parent)
    entities = set(name.entities)
    found: list[Path] = []
    for folder in reversed(chain):
        here = [
            (len(other.entities), path)
            for path, other in folders(folder)
            if other is not None
            and other.suffix == suffix
            and other.ending == ending
            and set(other.entities) <= entities
        ]
        found += [path for _, path in sorted(here)]
    return found


def read_json(file: Path) -> dict[str, Any]:
    """Return an object of a JSON file.

    Raises
    ------
    ReadError
        It is missing, not JSON, or no object.
    """
    raw = read_bytes(file, limit=2**22)
    try:
        content = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ReadError(file, found="no text in UTF-8", expected="JSON in UTF-8") from error
    except json.JSONDecodeError as error:
        where = f"row {error.lineno}, character {error.colno}"
        found = "no JSON" if raw.strip() else "nothing: no JSON"
        advice = "Something is missing there, or too much: a comma, a quote, a bracket."
        raise ReadError(file, where=where, found=found, expected="JSON in UTF-8", advice=advice) from error
    except (ValueError, RecursionError) as error:
        raise ReadError(file, found="JSON with numbers or nesting beyond all bounds", expected="a sidecar") from error
    if not isinstance(content, dict):
        raise ReadError(file, found=f"a {type(content).__name__}", expected="a JSON object")
    return content


def merged(files: Sequence[Path]) -> dict[str, Any]:
    """Return the entries of sidecars, those nearer to the data before those above."""
    entries: dict[str, Any] = {}
    for file in files:
        entries |= read_json(file)
    return entries


def json_number(value: Any) -> float | None:
    """Return a JSON number as float, None where it is none or beyond what any time or rate can be."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -1e12 < value < 1e12 else None  # NaN compares False


_DECIMAL = re.compile(r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,3})?")


def cell_number(text: str) -> float | None:
    """Return the finite number in a cell of a table, None where there is none."""
    if not _DECIMAL.fullmatch(text) or not math.isfinite(float(text)):
        return None
    return float(text)


def tsv_rows(
    file: Path, needed: Sequence[str] = (), *, limit: int = 2**25, most_cells: int = _MOST_CELLS
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a table with a header line: number in the file, and cells by column.

    Raises
    ------
    ReadError
        It is missing, no text, lacks a column, or has more than `most_cells` cells.
    """
    try:
        text = read_bytes(file, limit=limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReadError(file, found=str(error), expected="text in UTF-8", advice="Save it again as UTF-8.") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    first, _, rest = text.partition("\n")
    if (rest.count("\n") + 1) * (first.count("\t") + 1) > most_cells:
        raise ReadError(file, found=f"more than {most_cells} cells", expected="a table of ordinary size")
    columns = [name.strip() for name in first.split("\t")]
    missing = [name for name in needed if name not in columns]
    if missing:
        expected = f"{', '.join(missing)} among them, separated by tabs"
        raise ReadError(file, where="row 1", found=f"the columns {shown(', '.join(columns))}", expected=expected)
    empty = dict.fromkeys(columns, "")
    for number, line in enumerate(rest.split("\n"), start=2):
        if line.strip():
            yield number, empty | dict(zip(columns, map(str.strip, line.split("\t")), strict=False))


def read_tsv(file: Path, needed: Sequence[str] = ()) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a table as :func:`tsv_rows` yields them."""
    return list(tsv_rows(file, needed))


def _unpacked(file: Path) -> Iterator[bytes]:
    """Yield pieces of whole lines of a packed table, within bounds on what it may unpack to."""
    done = packed_bytes = members = 0
    rest = b""
    try:
        with file.open("rb") as stream:
            unpack = zlib.decompressobj(wbits=31)
            packed = stream.read(2**18)
            if not packed:
                raise ReadError(file, found="an empty file", expected="a table packed with gzip")
            while packed or unpack.unconsumed_tail:
                packed_bytes += len(packed)
                piece = unpack.decompress(unpack.unconsumed_tail + packed, _PIECE)
                done += len(piece)
                _refuse_bomb(file, done, packed_bytes)
                head, mark, tail = piece.rpartition(b"\n")
                if mark:
                    yield rest + head + mark
                    rest = tail
                else:
                    rest += piece
                if len(rest) > _PIECE:
                    raise ReadError(file, found="a line of megabytes", expected="a row of numbers per sample")
                if unpack.eof:
                    more = unpack.unused_data
                    packed = more or stream.read(2**18)
                    packed_bytes -= len(more)
                    members += 1
                    if members > _MOST_MEMBERS:
                        raise ReadError(file, found=f"{members} packed parts", expected="one, or a few")
                    if packed:  # a gzip file may have several parts
                        unpack = zlib.decompressobj(wbits=31)
                else:
                    packed = b"" if unpack.unconsumed_tail else stream.read(2**18)
            if not unpack.eof:
                advice = "The file was cut: copy it again."
                raise ReadError(file, found="the end of the file", expected="more packed data", advice=advice)
    except zlib.error as error:
        raise ReadError(file, found=str(error), expected="a table packed with gzip") from error
    except OSError as error:
        raise ReadError(file, found=error.strerror or str(error), expected="a readable file") from error
    if rest.strip():
        yield rest + b"\n"


def _refuse_bomb(file: Path, done: int, packed: int) -> None:
    if done > LARGEST_PHYSIO or (done > _BOMB_BYTES and done > _BOMB_RATIO * packed):
        found = f"{packed} bytes that unpack to more than {done >> 20} MiB"
        raise ReadError(file, found=found, expected=f"a recording of at most {LARGEST_PHYSIO >> 20} MiB of text")


def read_physio(file: Path, columns: Sequence[str]) -> tuple[np.ndarray, bool]:
    """Read the numbers of a ``_physio.tsv.gz`` or ``_stim.tsv.gz``.

    Parameters
    ----------
    file : Path
        Packed with gzip; a row per sample, separated by tabs, ``n/a`` where there is none.
    columns : sequence of str
        The names of its columns, as the sidecar gives them.

    Returns
    -------
    values : ndarray of shape (n_columns, n_times), float64 where few, float32 where many
        NaN for missing samples.
    header : bool
        Whether the first row was a header line, which BIDS does not have; it is left out.

    Raises
    ------
    ReadError
        It is damaged, unpacks to too much, or a row is not a number per column; the message names the row.
    """
    import pandas as pd

    parts: list[np.ndarray] = []
    row, header = 0, False
    for text in _unpacked(file):
        text = text.replace(b"\r\n", b"\n")
        if row == 0 and not header:
            first, _, others = text.partition(b"\n")
            names = [cell.strip().strip('"') for cell in first.decode("utf-8", "replace").split("\t")]
            if names == list(columns):
                header, text = True, others
        if not text.strip():
            continue
        if HUGE_EXPONENT.search(text):
            raise _blame(file, text, len(columns), row + header)
        try:
            frame = pd.read_csv(
                io.BytesIO(text),
                sep="\t",
                header=None,
                dtype=np.float64,
                na_values=["n/a", "NaN", "nan", "N/A", ""],
                keep_default_na=False,
                quoting=3,
                skip_blank_lines=False,
                engine="c",
            )
        except (ValueError, OverflowError) as error:
            raise _blame(file, text, len(columns), row + header) from error
        if frame.shape[1] != len(columns):
            raise _blame(file, text, len(columns), row + header)
        row += len(frame)
        if row * len(columns) > _MOST_VALUES:
            raise ReadError(file, found=f"more than {_MOST_VALUES} numbers", expected="a recording of fewer")
        with np.errstate(over="ignore"):
            parts.append(frame.to_numpy().T.astype(np.float32))
    if not row:
        raise ReadError(file, found="no rows", expected="a row of numbers per sample")
    return np.concatenate(parts, axis=1), header


def _blame(file: Path, text: bytes, columns: int, before: int) -> ReadError:
    """Return the error that names the first row that is not a number per column."""
    for number, line in enumerate(text.split(b"\n"), start=before + 1):
        cells = [cell.strip().decode("utf-8", "replace") for cell in line.split(b"\t")]
        wrong = [c for c in cells if c.lower() not in ("n/a", "nan", "inf", "-inf", "") and cell_number(c) is None]
        if (len(cells) != columns or wrong) and (line or number <= before + text.count(b"\n")):
            expected = f"{columns} number{'s' if columns > 1 else ''}, separated by tabs"
            return ReadError(
                file, where=f"row {number}", found=shown(line.decode("utf-8", "replace")), expected=expected
            )
    return ReadError(file, found="rows that are not plain numbers", expected=f"{columns} numbers per row")
