"""MATLAB files from outside: v5 (which ``save -v6`` and ``-v7`` write) and v7.3, as plain Python values.

SciPy's reader believes the sizes that a file states, so every variable is walked once before SciPy sees it: sizes are
held against the bytes that are there, and what would run code in MATLAB (objects, function handles) is refused.

================= =======================================================================
`load`, `names`   variables of a file
`outline`         what a variable of cells and structs is made of, without reading numbers
`load_part`       one of these parts: of a variable of gigabytes, one participant
`table`           a value that must be numbers of so many rows or columns
`samples`         numbers as float32, with NaN for what is missing
================= =======================================================================
"""

from __future__ import annotations

import functools
import io
import logging
import math
import struct
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, Protocol

import numpy as np

from limbeck.errors import ReadError, did_you_mean

__all__ = ["LARGEST_CONTENT", "Part", "load", "load_part", "names", "outline", "samples", "table"]

_LOG = logging.getLogger(__name__)

LARGEST_CONTENT = 768 * 2**20
"""Bytes of unpacked arrays that are read at once by default; SciPy holds up to twice as many while it reads."""

_MOST_ARRAYS = 500_000  # cells, fields and variables of a file together
_DEEPEST = 32  # cells in structs in cells
_LONGEST_NAME = 4096
_MOST_CHARACTERS = 2**24
_CHUNK, _FIRST_CHUNK = 2**16, 2**9
_MOST_PARTS = 256  # of an outline: each holds a state of the unpacker

_COMPRESSED, _MATRIX = 15, 14
_STORED = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}  # bytes of a number
_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE = 1, 2, 3, 4, 5
_NUMERIC = {6: 8, 7: 4, 8: 1, 9: 1, 10: 2, 11: 2, 12: 4, 13: 4, 14: 8, 15: 8}  # bytes of a number in memory
_REFUSED = {_OBJECT: "an object of a MATLAB class", 16: "a function handle", 17: "an object of a MATLAB class"}
_KINDS = {_CELL: "cell", _STRUCT: "struct", _CHAR: "text"}
_COMPLEX = 0x0800
_HDF5 = b"\x89HDF\r\n\x1a\n"
_NUMBER_CLASSES = {f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
_HDF5_CLASSES = {"double": "f8", "single": "f4", "logical": "bool", "char": "u2", "cell": "O", "struct": "O"} | (
    _NUMBER_CLASSES
)


def load(path: Path, names: Collection[str] | None = None, *, limit: int = LARGEST_CONTENT) -> dict[str, Any]:
    """Read variables of a MATLAB file.

    Parameters
    ----------
    path : Path
        A file that MATLAB (or SciPy) saved as v6, v7 or v7.3.
    names : collection of str, optional
        The variables wanted, which must be there; all of them by default.
    limit : int
        The most bytes that the variables may take in memory.

    Returns
    -------
    dict of str to value
        Numbers are arrays of at least two dimensions in their MATLAB class (logicals are bool), however compactly
        the file stores them (in a variable with complex numbers: in the types that it stores). Cells are object
        arrays of their shape; a struct is a dict, an array of structs an object array of dicts; characters are a
        str, several rows of them a list of str; a sparse matrix is SciPy's.
        From v7.3, an array of structs is a dict of object arrays, as it is stored, and sparse matrices are refused.

    Raises
    ------
    ReadError
        The file cannot be read, is damaged, states sizes that it does not have, unpacks to more than `limit`, lacks a
        variable, or holds MATLAB objects or function handles.
    """
    if isinstance(names, str):
        names = [names]
    if _is_hdf5(path):
        return _load_hdf5(path, names, limit)
    return _load_v5(path, names, limit)


def names(path: Path) -> list[str]:
    """Return the names of a MATLAB file's variables, in its order (v7.3: sorted), without reading their numbers.

    Raises
    ------
    ReadError
        As for :func:`load`.
    """
    if _is_hdf5(path):
        with _opened_hdf5(path) as file:
            return sorted(name for name in file if not name.startswith("#"))
    return [name for name, _ in _checked_variables(path, set(), LARGEST_CONTENT) if name]


@dataclass(frozen=True)
class Part:
    """A value inside a variable, found by :func:`outline` and read by :func:`load_part`.

    Parameters
    ----------
    path : Path
        The file.
    kind : {"cell", "struct", "text", "numbers"}
        What it is.
    shape : tuple of int
        Of the array of cells, structs, characters or numbers.
    fields : mapping of str to Part
        Of a single struct within the outline's depth.
    cells : tuple of Part
        Of an array of cells within the outline's depth, down its columns first, as MATLAB counts them.
    """

    path: Path
    kind: str
    shape: tuple[int, ...]
    fields: Mapping[str, Part] = field(default_factory=dict)
    cells: tuple[Part, ...] = ()
    _name: str = ""
    _order: str = "<"
    _place: _Place | None = field(default=None, repr=False, compare=False)
    _stamp: tuple[int, int] = (0, 0)


def outline(path: Path, name: str, *, depth: int = 1) -> Part:
    """Find the parts of a variable without holding their numbers.

    A compressed variable is unpacked once, in small pieces; each part remembers how far that was, so that it is read
    later without unpacking what stands before it. The last few outlines are kept as long as their files are the same.

    Parameters
    ----------
    path : Path
        A file of MATLAB's v5 format (``save -v6`` or ``-v7``).
    name : str
        A variable in it.
    depth : int
        How many levels of cells and structs are told apart.

    Returns
    -------
    Part

    Raises
    ------
    ReadError
        As for :func:`load`; also a file of v7.3, and more than 256 parts.
    """
    if _is_hdf5(path):
        raise ReadError(
            path,
            found="a file of MATLAB's v7.3",
            expected="one of v5",
            advice=f"Save the variable '{name}' again with -v7.",
        )
    return _outlined(path, name, depth, _stamp_of(path))


def load_part(part: Part, *, limit: int = LARGEST_CONTENT) -> Any:
    """Read one part of a variable.

    Parameters
    ----------
    part : Part
        From :func:`outline`.
    limit : int
        The most bytes that it may take in memory; while it is read, three times as many are used for a moment.

    Returns
    -------
    value
        As of :func:`load`.

    Raises
    ------
    ReadError
        As for :func:`load`; also where the file has changed since it was outlined.
    """
    if _stamp_of(part.path) != part._stamp:
        raise ReadError(part.path, found="another file than before", expected="a file that nobody writes to")
    if part._name:
        return load(part.path, [part._name], limit=limit)[part._name]
    if part._place is None:
        return np.zeros(part.shape)
    return _load_v5(part.path, ["part"], limit, _extracted(part, part._place, limit))["part"]


def table(
    value: Any, path: Path, where: str, *, columns: int | None = None, rows: int | None = None, least: int = 1
) -> np.ndarray:
    """Return a value as an array of two dimensions of real numbers.

    Parameters
    ----------
    value : value
        As of :func:`load`.
    path, where : Path, str
        For messages.
    columns, rows : int, optional
        How many there must be.
    least : int
        How many there must be at least along the other dimension.

    Returns
    -------
    ndarray of shape (n_rows, n_columns), as stored

    Raises
    ------
    ReadError
        It is something else.
    """
    wanted = " x ".join(f"at least {least}" if n is None else str(n) for n in (rows, columns))
    expected = f"real numbers, {wanted}"
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        kind = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
        raise ReadError(path, where=where, found=kind, expected=expected)
    fits = value.ndim == 2 and all(
        size >= least if wanted is None else size == wanted
        for size, wanted in zip(value.shape, (rows, columns), strict=True)
    )
    if not fits:
        size = " x ".join(map(str, value.shape))
        raise ReadError(
            path, where=where, found=f"{size} numbers" if value.size else f"nothing ({size})", expected=expected
        )
    return value


def samples(values: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Return numbers times `scale` as float32 in C order; what is no number, or larger than float32 holds, is NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = values if scale == 1 else values * scale
        data = np.array(scaled, dtype=np.float32, order="C")
    data[~np.isfinite(data)] = np.nan
    return data


def _require(path: Path, found: Collection[str], wanted: Collection[str] | None) -> None:
    for name in wanted or ():
        if name not in found:
            raise ReadError(
                path,
                found=f"no variable '{name}' among {len(found)}",
                expected="a variable of that name",
                advice=f"Is this the right file?{did_you_mean(name, found)}",
            )


# --- v5: walked before it is read ----------------------------------------------------------------------------------


class _Bytes(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def skip(self, size: int, /) -> None: ...

    def place(self) -> _Place: ...


class _Plain:
    """The bytes of an uncompressed variable."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self._left = stream, size

    def read(self, size: int, /) -> bytes:
        size = min(size, self._left)
        self._left -= size
        return self._stream.read(size)

    def skip(self, size: int, /) -> None:
        if size > self._left:
            raise EOFError
        self._left -= size
        self._stream.seek(size, 1)

    def place(self) -> _Place:
        return _Place(self._stream.tell(), self._left)


class _Inflated:
    """The bytes of a compressed variable, unpacked in small pieces and never all at once."""

    def __init__(self, stream: BinaryIO, size: int, unpack: Any = None, ready: bytes = b"") -> None:
        self._stream, self._left = stream, size
        self._unpack = zlib.decompressobj() if unpack is None else unpack
        self._ready, self._at = ready, 0
        self._step = _FIRST_CHUNK  # of most variables only the header is wanted

    def _piece(self, size: int) -> bytes:
        if self._at == len(self._ready):
            self._ready, self._at = self._more(), 0
        piece = self._ready[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def _more(self) -> bytes:
        while not self._unpack.eof:
            packed = self._unpack.unconsumed_tail
            if not packed:
                packed = self._stream.read(min(self._left, self._step))
                self._left -= len(packed)
            piece = bytes(self._unpack.decompress(packed, self._step))
            self._step = min(2 * self._step, _CHUNK)
            if piece or not packed:
                return piece
        return b""

    def read(self, size: int, /) -> bytes:
        pieces: list[bytes] = []
        while size and (piece := self._piece(size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def skip(self, size: int, /) -> None:
        while size:
            piece = self._piece(size)
            if not piece:
                raise EOFError
            size -= len(piece)

    def place(self) -> _Place:
        return _Place(self._stream.tell(), self._left, self._unpack.copy(), self._ready[self._at :])

    def rest(self) -> str:
        """Return what is wrong behind the variable's end, ``""`` if nothing is."""
        try:
            more = self._piece(1)
        except zlib.error as error:
            return str(error)
        return "more data than the variable has" if more else "" if self._unpack.eof else "no end of the packed data"


@dataclass(frozen=True)
class _Place:
    """Where a part begins: in the file, and in the unpacking of a compressed variable."""

    position: int
    left: int
    unpack: Any = None
    ready: bytes = b""

    def resumed(self, stream: BinaryIO) -> _Plain | _Inflated:
        """Return the bytes from here on."""
        stream.seek(self.position)
        if self.unpack is None:
            return _Plain(stream, self.left)
        return _Inflated(stream, self.left, self.unpack.copy(), self.ready)


@dataclass
class _Budget:
    """What the rest of a file may still hold."""

    content: int
    arrays: int = _MOST_ARRAYS
    complex_found: bool = False


@dataclass(frozen=True)
class _Header:
    kind: int
    is_complex: bool
    shape: tuple[int, ...]
    name: str


class _Walk:
    """One variable, from its tag to its end."""

    def __init__(self, path: Path, source: _Bytes, order: str, budget: _Budget) -> None:
        self._path, self._source, self._order, self._budget = path, source, order, budget

    def refuse(self, found: str, expected: str, advice: str = "The file is damaged: copy it again.") -> NoReturn:
        raise ReadError(self._path, found=found, expected=expected, advice=advice)

    def take(self, size: int) -> bytes:
        piece = self._source.read(size)
        if len(piece) != size:
            raise EOFError
        return piece

    def tag(self) -> tuple[int, int, bytes | None]:
        """Return an element's type, its size in bytes, and its content where that stands in the tag itself."""
        raw = self.take(8)
        kind, size = struct.unpack(self._order + "II", raw)
        if not kind >> 16:
            return kind, size, None
        size, kind = kind >> 16, kind & 0xFFFF
        if size > 4:
            self.refuse(f"a short element of {size} bytes", "at most 4")
        return kind, size, raw[4 : 4 + size]

    def element(self, room: int, most: int) -> tuple[int, bytes, int]:
        """Return a small element's type, content, and how many bytes it took."""
        kind, size, content = self.tag()
        if content is not None:
            return kind, content, 8
        padded = -(-size // 8) * 8
        if size > most or 8 + padded > room:
            self.refuse(f"{size} bytes of a variable's description", f"at most {min(most, max(room - 8, 0))}")
        return kind, self.take(padded)[:size], 8 + padded

    def header(self, room: int) -> tuple[_Header, int]:
        """Return what a matrix says of itself, and how many bytes that took."""
        kind, flags, used = self.element(room, 8)
        if len(flags) != 8 or kind != 6:
            self.refuse(f"array flags of {len(flags)} bytes and type {kind}", "8 bytes of type 6")
        word = struct.unpack(self._order + "II", flags)[0]
        if word & 0xFF in _REFUSED:
            self.refuse(_REFUSED[word & 0xFF], "numbers, text, cells and structs", "Export the values that it holds.")
        kind, raw, more = self.element(room - used, 4 * 32)
        used += more
        if kind not in (5, 6) or len(raw) % 4 or len(raw) < 8:  # some writers store them without sign
            self.refuse(f"dimensions of {len(raw)} bytes and type {kind}", "at least two of type 5")
        shape = struct.unpack(f"{self._order}{len(raw) // 4}i", raw)
        if min(shape) < 0:
            self.refuse(f"the shape {shape}", "no negative dimension")
        _, name, more = self.element(room - used, _LONGEST_NAME)
        used += more
        if used > room:
            self.refuse(f"{used} bytes of a variable's description", f"at most the {room} that it has")
        return _Header(word & 0xFF, bool(word & _COMPLEX), shape, name.decode("latin1")), used

    def matrix(self, room: int, depth: int) -> int:
        """Check a matrix with its tag; return how many bytes it took."""
        self._budget.arrays -= 1
        if self._budget.arrays < 0 or depth > _DEEPEST:
            self.refuse(
                f"more than {_MOST_ARRAYS} cells and fields, or more than {_DEEPEST} in one another", "a recording"
            )
        size = self.matrix_tag(room)
        if size:
            header, used = self.header(size)
            self.content(header, size - used, depth)
        return 8 + size

    def matrix_tag(self, room: int) -> int:
        """Return how many bytes a matrix says that it has behind its tag."""
        kind, size, short = self.tag()
        if kind != _MATRIX or short is not None or size > room - 8:
            self.refuse(f"an element of type {kind} and {size} bytes", f"an array of at most {room - 8} bytes")
        return size

    def outline(self, header: _Header, room: int, depth: int, part: Part) -> Part:
        """Return a part with its own parts down to `depth`, going over all of its bytes."""
        count = math.prod(header.shape)
        if depth == 0 or header.kind not in (_CELL, _STRUCT) or (header.kind == _STRUCT and count != 1):
            self._source.skip(room)
            return part
        labels: list[str] = []
        if header.kind == _STRUCT:
            labels, used = self.fields(room)
            room, count = room - used, len(labels)
        if count > self._budget.arrays:
            self.refuse(f"an array of {count} cells or fields", f"at most {_MOST_PARTS} parts")
        self._budget.arrays -= count
        parts = []
        for _ in range(count):
            place = self._source.place()
            size = self.matrix_tag(room)
            room -= 8 + size
            parts.append(self.outlined(size, depth - 1, replace(part, _name="", _place=place)))
        if room and not part._name:
            self.refuse(f"{room} bytes behind an array's end", "its cells or fields to fill it")
        if labels:
            return replace(part, fields=dict(zip(labels, parts, strict=True)))
        return replace(part, cells=tuple(parts))

    def outlined(self, size: int, depth: int, part: Part) -> Part:
        if not size:
            return replace(part, kind="numbers", shape=(0, 0), _place=None)
        header, used = self.header(size)
        kind = _KINDS.get(header.kind, "numbers")
        return self.outline(header, size - used, depth, replace(part, kind=kind, shape=header.shape))

    def content(self, header: _Header, room: int, depth: int) -> None:
        """Check what follows a header, which must fill the bytes that the matrix states."""
        count = math.prod(header.shape)
        if header.kind in (_CELL, _STRUCT):
            fields = 1
            if header.kind == _STRUCT:
                labels, used = self.fields(room)
                room -= used
                fields = len(labels)
            count *= fields
            if count * 8 > room or count > self._budget.arrays:
                self.refuse(f"an array of {count} cells or fields in {room} bytes", "at least 8 bytes for each")
            for _ in range(count):
                room -= self.matrix(room, depth + 1)
        elif header.kind in _NUMERIC:
            self._budget.complex_found |= header.is_complex
            parts = 1 + header.is_complex
            self.spend(count * _NUMERIC[header.kind] * parts)
            for _ in range(parts):
                room -= self.numbers(room, count)
        elif header.kind == _CHAR:
            if count > _MOST_CHARACTERS:
                self.refuse(f"a text of {count} characters", f"at most {_MOST_CHARACTERS}")
            self.spend(4 * count)
            room -= self.numbers(room, None)
        elif header.kind == _SPARSE:
            if len(header.shape) != 2:
                self.refuse(f"a sparse array of {len(header.shape)} dimensions", "two")
            self.spend(8 * header.shape[1])
            for part in range(3 + header.is_complex):
                room -= self.numbers(room, header.shape[1] + 1 if part == 1 else None)
        else:
            self.refuse(f"an array of the unknown class {header.kind}", "a class of MATLAB's v5 format")
        if room and depth:  # SciPy would take them for the next cell; behind a whole variable it skips them
            self.refuse(f"{room} bytes behind an array's end", "its numbers to fill it")

    def fields(self, room: int) -> tuple[list[str], int]:
        """Return the names of a struct's fields, and how many bytes they took."""
        _, raw, used = self.element(room, 4)
        length = struct.unpack(self._order + "i", raw)[0] if len(raw) == 4 else 0
        _, text, more = self.element(room - used, 2**20)
        if not 0 < length <= _LONGEST_NAME or len(text) % length:
            self.refuse(f"{len(text)} bytes of field names of {length} each", "whole names")
        labels = [text[i : i + length].split(b"\0")[0].decode("latin1") for i in range(0, len(text), length)]
        if len(set(labels)) != len(labels):
            self.refuse("a struct with two fields of one name", "each name once")
        return labels, used + more

    def numbers(self, room: int, count: int | None) -> int:
        """Check an element of numbers without reading them; return how many bytes it took."""
        kind, size, short = self.tag()
        if kind not in _STORED:
            self.refuse(f"an element of type {kind}", "numbers")
        if count is not None and size != count * _STORED[kind]:
            self.refuse(f"{size} bytes of numbers", f"{count * _STORED[kind]} as the shape says")
        if count is None:
            self.spend(8 * (size // _STORED[kind]))
        if short is not None:
            return 8
        padded = -(-size // 8) * 8
        if 8 + padded > room:
            self.refuse(f"{size} bytes of numbers", f"at most the {max(room - 8, 0)} that the array has")
        self._source.skip(padded)
        return 8 + padded

    def warn_of_rest(self, name: str) -> None:
        """Log what is wrong behind a compressed variable's end: a sign of damage, though DREAMER is said to show it."""
        wrong = self._source.rest() if isinstance(self._source, _Inflated) else ""
        if wrong:
            _LOG.warning("%s: variable '%s' may be damaged: found %s behind its end.", self._path, name, wrong)

    def spend(self, size: int) -> None:
        self._budget.content -= size
        if self._budget.content < 0:
            self.refuse("more numbers than fit the limit", "variables of a recording's size", "Ask for fewer by name.")


def _load_v5(path: Path, names: Collection[str] | None, limit: int, held: bytes | None = None) -> dict[str, Any]:
    """Read variables of a v5 file, or of bytes that are one."""
    sought = None if names is None else set(names)
    found = {name: is_complex for name, is_complex in _checked_variables(path, sought, limit, held) if name}
    _require(path, found, names)
    wanted = [name for name in found if sought is None or name in sought]
    # Told to keep MATLAB's classes, SciPy drops imaginary parts.
    read = _through_scipy(path, [name for name in wanted if not found[name]], held, classes=True)
    read |= _through_scipy(path, [name for name in wanted if found[name]], held, classes=False)
    return {name: read[name] for name in wanted}


@contextmanager
def _opened(path: Path, held: bytes | None = None) -> Iterator[BinaryIO]:
    """Open a file, or the bytes held of it; what the operating system and zlib mind is said of the file."""
    try:
        with path.open("rb") if held is None else io.BytesIO(held) as stream:
            yield stream
    except EOFError as error:
        what = f"the end of the file{f' in {error}' if str(error) else ''}"
        raise ReadError(path, found=what, expected="all of it", advice="The file was cut: copy it again.") from error
    except (OSError, zlib.error) as error:
        raise ReadError(path, found=str(error), expected="a whole MATLAB file", advice="Copy it again.") from error


def _stamp_of(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise ReadError(path, found=error.strerror or str(error), expected="a readable file") from error
    return status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=4)
def _outlined(path: Path, name: str, depth: int, stamp: tuple[int, int]) -> Part:
    found = []
    with _opened(path) as stream:
        for source, order, room in _variables(path, stream):
            walk = _Walk(path, source, order, _Budget(0, _MOST_PARTS))
            header, left = _variable_header(walk, room)
            if header.name == name:
                kind = _KINDS.get(header.kind, "numbers")
                part = Part(path, kind, header.shape, _name=name, _order=order, _stamp=stamp)
                part = walk.outline(header, left, depth, part)
                walk.warn_of_rest(name)
                return part
            found.append(header.name)
    _require(path, [other for other in found if other], [name])
    raise AssertionError("a variable that is required is there")


def _extracted(part: Part, place: _Place, limit: int) -> bytes:
    """Return a part as a v5 file of its own, with one variable ``part`` that is not compressed."""
    order = part._order
    with _opened(part.path) as stream:
        source = place.resumed(stream)
        walk = _Walk(part.path, source, order, _Budget(limit))
        tag = walk.take(8)
        size = struct.unpack(order + "II", tag)[1]
        if size > limit + 64 * _MOST_ARRAYS:
            walk.refuse(f"a part of {size >> 20} MiB", f"at most {limit >> 20}", "Is this the right file?")
        content = walk.take(size)
        header, used = _Walk(part.path, _Plain(io.BytesIO(content), size), order, _Budget(limit)).header(size)
    if header.name:
        walk.refuse(f"a cell or field that calls itself '{header.name}'", "no name of its own")
    # The name is the header's last element; an empty one takes as many bytes as this one.
    name = struct.pack(order + "I", 4 << 16 | 1) + b"part"
    mark = struct.pack(order + "H", 0x0100) + (b"IM" if order == "<" else b"MI")
    view = memoryview(content)
    return b"".join([b"MATLAB 5.0 MAT-file".ljust(124), mark, tag, view[: used - 8], name, view[used:]])


def _checked_variables(
    path: Path, sought: Collection[str] | None, limit: int, held: bytes | None = None
) -> list[tuple[str, bool]]:
    """Walk a v5 file, checking the content of the variables sought (None for all).

    Returns
    -------
    list of (str, bool)
        The name of each variable, ``""`` for MATLAB's own, and whether complex numbers were met in it.
    """
    budget = _Budget(limit)
    found: list[tuple[str, bool]] = []
    with _opened(path, held) as stream:
        try:
            for source, order, room in _variables(path, stream):
                walk = _Walk(path, source, order, budget)
                budget.complex_found = False
                name = _check_variable(walk, room, sought)
                found.append((name, budget.complex_found))
        except EOFError as error:
            raise EOFError(f"variable {len(found) + 1}") from error
    counts = Counter(name for name, _ in found if name)
    double = next((name for name, count in counts.items() if count > 1), None)
    if double is not None:
        raise ReadError(path, found=f"the variable '{double}' more than once", expected="each name once")
    return found


def _variable_header(walk: _Walk, room: int | None) -> tuple[_Header, int]:
    """Return what a variable says of itself, and how many bytes follow."""
    kind, size, short = walk.tag()
    if kind != _MATRIX or short is not None or (room is not None and size != room - 8):
        walk.refuse(f"an element of type {kind} and {size} bytes", "a variable")
    header, used = walk.header(size)
    return header, size - used


def _check_variable(walk: _Walk, room: int | None, sought: Collection[str] | None) -> str:
    header, left = _variable_header(walk, room)
    if header.name and (sought is None or header.name in sought):
        walk.content(header, left, 0)
        walk.warn_of_rest(header.name)
    return header.name


def _variables(path: Path, stream: BinaryIO) -> Iterator[tuple[_Bytes, str, int | None]]:
    """Go through a v5 file's variables: their bytes, the order of bytes, their size where it is known."""
    head = stream.read(128)
    if len(head) < 128 or head[126:128] not in (b"IM", b"MI"):
        raise ReadError(
            path,
            found="no header of MATLAB's v5 format",
            expected="a file that MATLAB saved as v6, v7 or v7.3",
            advice="Is it damaged, or of MATLAB 4? Then save it again with -v7.",
        )
    order = "<" if head[126:128] == b"IM" else ">"
    end = stream.seek(0, 2)
    place = 128
    while place < end:
        stream.seek(place)
        raw = stream.read(8)
        if len(raw) < 8:
            raise EOFError
        kind, size = struct.unpack(order + "II", raw)
        if size > end - place - 8:
            raise EOFError
        if kind == _COMPRESSED:
            yield _Inflated(stream, size), order, None
        else:
            stream.seek(place)
            yield _Plain(stream, size + 8), order, size + 8
        place += 8 + size


def _through_scipy(path: Path, wanted: list[str], held: bytes | None, *, classes: bool) -> dict[str, Any]:
    """Read variables that were checked, in MATLAB's classes or in the types that the file stores."""
    import scipy.io

    if not wanted:
        return {}  # SciPy takes an empty list for all
    try:
        # DREAMER is said to fail SciPy's check of the compressed data's end; the walk has looked at that and warned.
        raw = scipy.io.loadmat(
            path if held is None else io.BytesIO(held),
            variable_names=wanted,
            mat_dtype=classes,
            squeeze_me=False,
            verify_compressed_data_integrity=False,
        )
    except Exception as error:  # SciPy's parser lets many kinds out for a damaged file, and names none of them
        raise ReadError(
            path, found=f"{type(error).__name__}: {error}", expected="a MATLAB file that SciPy can read"
        ) from error
    lost = [name for name in wanted if name not in raw]
    if lost:
        raise ReadError(path, found=f"the variable {lost[0]!a} that SciPy does not see", expected="a plain name")
    return {name: _plain(path, raw[name]) for name in wanted}


def _plain(path: Path, value: Any) -> Any:
    """Return SciPy's value as the contract of :func:`load` says."""
    from scipy.io.matlab import MatlabFunction, MatlabObject, MatlabOpaque

    if isinstance(value, MatlabFunction | MatlabObject | MatlabOpaque):
        raise ReadError(path, found="an object of MATLAB", expected="numbers, text, cells and structs")
    if not isinstance(value, np.ndarray):
        return value  # a sparse matrix
    if value.dtype.names is not None:
        return _structs(path, value)
    if value.dtype.kind == "U":
        rows = [str(row) for row in value.ravel()]
        return rows if len(rows) > 1 else "".join(rows)
    if value.dtype.kind != "O":
        return value
    # A struct without fields comes as an object array of None, a cell as one of arrays.
    if value.size == 1 and value.flat[0] is None:
        return {}
    return _object_array([{} if item is None else _plain(path, item) for item in value.flat], value.shape)


def _structs(path: Path, value: np.ndarray) -> Any:
    fields = value.dtype.names or ()
    structs = [{field: _plain(path, item[field]) for field in fields} for item in value.flat]
    return structs[0] if len(structs) == 1 else _object_array(structs, value.shape)


def _object_array(items: list[Any], shape: tuple[int, ...]) -> np.ndarray:
    """Return items, given in C order, as an array of objects."""
    objects = np.empty(len(items), dtype=object)
    for index, item in enumerate(items):
        objects[index] = item
    return objects.reshape(shape)


# --- v7.3: HDF5 ----------------------------------------------------------------------------------------------------


def _is_hdf5(path: Path) -> bool:
    """Tell whether a file is HDF5, which MATLAB puts behind a block of 512 bytes of its own.

    Raises
    ------
    ReadError
        It cannot be opened.
    """
    if path.exists() and not path.is_file():
        raise ReadError(path, found="something that is not a plain file", expected="a MATLAB file")
    try:
        with path.open("rb") as stream:
            head = stream.read(520)
    except FileNotFoundError as error:
        raise ReadError(path, found="no such file", expected="a file of that name") from error
    except OSError as error:
        raise ReadError(path, found=str(error), expected="a readable file") from error
    return _HDF5 in (head[:8], head[512:520])


def _opened_hdf5(path: Path) -> Any:
    import h5py

    try:
        return h5py.File(path, "r")
    except (OSError, ValueError, RuntimeError) as error:
        raise ReadError(path, found=str(error), expected="a whole HDF5 file", advice="Copy it again.") from error


def _load_hdf5(path: Path, wanted: Collection[str] | None, limit: int) -> dict[str, Any]:
    with _opened_hdf5(path) as file:
        try:
            found = [name for name in file if not name.startswith("#")]
            _require(path, found, wanted)
            reading = _Hdf5(path, file, _Budget(limit))
            return {name: reading.child(file, name, 0) for name in found if wanted is None or name in wanted}
        except (
            OSError,
            ValueError,
            RuntimeError,
            KeyError,
            TypeError,
            AttributeError,
            ArithmeticError,
            MemoryError,
        ) as error:
            found_text = f"{type(error).__name__}: {error}"
            raise ReadError(
                path, found=found_text, expected="a MATLAB file of v7.3", advice="Copy it again."
            ) from error


class _Hdf5:
    """One reading of one v7.3 file: what HDF5 could fetch from elsewhere is refused, and sizes are held to a budget."""

    def __init__(self, path: Path, file: Any, budget: _Budget) -> None:
        self._path, self._file, self._budget = path, file, budget

    def _refuse(self, where: str, found: str, expected: str) -> NoReturn:
        raise ReadError(self._path, where=where, found=found, expected=expected, advice="Export its values with -v7.")

    def child(self, group: Any, name: str, depth: int) -> Any:
        """Return a member of a group, which must lie in this very file."""
        import h5py

        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            self._refuse(name, "a link to another place or file", "the data itself")
        return self.value(group[name], depth)

    def value(self, item: Any, depth: int) -> Any:
        """Return a dataset or group as the contract of :func:`load` says."""
        import h5py

        self._budget.arrays -= 1
        if self._budget.arrays < 0 or depth > _DEEPEST:
            self._refuse(item.name, "very many cells and fields, or very deep in one another", "a recording")
        kind = item.attrs.get("MATLAB_class", b"double")
        kind = kind.decode("ascii") if isinstance(kind, bytes) else str(kind)
        if "MATLAB_object_decode" in item.attrs or kind not in _HDF5_CLASSES:
            self._refuse(item.name, f"the MATLAB class {kind!a}", "numbers, text, cells and structs")
        if isinstance(item, h5py.Group):
            return self._group(item, depth)
        if item.external or item.is_virtual:
            self._refuse(item.name, "data that lie in another file", "the data itself")
        return self._dataset(item, kind, depth)

    def _group(self, group: Any, depth: int) -> Any:
        """Return a struct; an array of structs has its fields as arrays of references."""
        if "MATLAB_sparse" in group.attrs:
            self._refuse(group.name, "a sparse matrix", "full arrays")
        return {name: self.child(group, name, depth + 1) for name in group}

    def _dataset(self, data: Any, kind: str, depth: int) -> Any:
        import h5py

        if data.attrs.get("MATLAB_empty", 0):
            if data.size > 32:
                self._refuse(data.name, f"{data.size} dimensions", "at most 32")
            shape: tuple[int, ...] = tuple(int(n) for n in data[()].ravel())
            if 0 not in shape:
                self._refuse(data.name, f"an empty array of shape {shape}", "a dimension of 0")
            if kind == "char":
                return ""
            return {} if kind == "struct" else np.empty(shape, dtype=object if kind == "cell" else _HDF5_CLASSES[kind])
        self._budget.content -= data.size * max(data.dtype.itemsize, 8)
        if self._budget.content < 0:
            self._refuse(data.name, "more numbers than fit the limit", "variables of a recording's size")
        if h5py.check_ref_dtype(data.dtype) is not None:
            references = data[()].T  # HDF5 has the dimensions the other way round
            items = [self.value(self._file[reference], depth + 1) for reference in references.flat]
            return _object_array(items, references.shape)
        values = data[()].T
        if kind == "char":
            rows = ["".join(map(chr, row)) for row in np.atleast_2d(values)]
            return rows if len(rows) > 1 else "".join(rows)
        if values.dtype.names == ("real", "imag"):
            return values["real"] + 1j * values["imag"]
        return values.astype(_HDF5_CLASSES[kind], copy=False)
