"""Pickles from outside, read without running what they say.

A pickle is a program, and Python's own unpickler imports and calls whatever it names; even one whose ``find_class`` is
narrowed takes its word for the sizes of arrays, of memos and of dtypes. Here the program is interpreted instead: the
few globals that arrays need are names with a fixed meaning, nothing is imported, nothing of the file's choosing is
called, and no size is believed beyond the bytes that are there. Large data stay in the file until an array takes them,
so that memory is bounded by the arrays (which the protocol-0 pickles of Python 2 write at up to four times their size).
"""

from __future__ import annotations

import codecs
import math
import os
import pickle
import re
import struct
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from limbeck.errors import ReadError

__all__ = ["LARGEST_PICKLE", "load"]

LARGEST_PICKLE = 1536 * 2**20
"""Bytes of a pickle that is read by default; a subject of WESAD has about 1,000 MB."""

_MOST_STEPS = 3_000_000  # opcodes; a subject of a corpus has some hundred
_MOST_TEXT = 256 * 2**20  # bytes of text and bytes outside arrays
_MOST_TUPLE_KEYS = 4096  # their hashes can be made to collide, those of text cannot
_DEEPEST = 100  # containers in one another
_LARGEST_WALK = 5_000_000  # values met when the result is walked, as often as it refers to them
_LAZY = 4096  # bytes of text beyond which it stays in the file until it is used
_PIECE = 2**20
_LONGEST_NUMBER = 64  # digits or bytes

_GLOBALS = {
    **{(f"numpy.{core}.multiarray", name): name for core in ("core", "_core") for name in ("_reconstruct", "scalar")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): "_frombuffer" for core in ("core", "_core")},
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
    ("collections", "OrderedDict"): "OrderedDict",
    **{(home, name): name for home in ("builtins", "__builtin__") for name in ("set", "frozenset", "bytes")},
}
_DTYPE = re.compile(r"[<>|=]?[biufcSUVO][0-9]{0,9}")
_PLAIN_KEYS = (str, bytes, int, float, bool, type(None))
_NAMES = {
    value[0]: name
    for name, value in vars(pickle).items()
    if isinstance(value, bytes) and len(value) == 1 and name.isupper()
}


def load(path: Path, *, encoding: str = "latin1", limit: int = LARGEST_PICKLE) -> Any:
    """Read a pickle of plain values and NumPy arrays, of any protocol, from Python 2 or 3.

    Parameters
    ----------
    path : Path
        The file.
    encoding : str
        How the ``str`` of Python 2 are decoded; ``"bytes"`` leaves them as bytes. The content of its arrays is ``str``,
        too, so that with any other encoding than ``"latin1"`` and ``"bytes"`` some files cannot be read.
    limit : int
        The most bytes that the file may have.

    Returns
    -------
    value
        dict, OrderedDict, list, tuple, set, frozenset, str, bytes, int, float, bool and None, arrays (writable, in the
        byte order of the file; of plain or structured numbers, text or objects of the kinds named here), dtypes and
        scalars of NumPy.

    Raises
    ------
    ReadError
        The file cannot be read, is longer than `limit`, damaged or cut; it names any other global (which the message
        gives), refers to itself, nests deeper than 100 containers, or is not what a recorder writes in some other way.
    """
    if path.exists() and not path.is_file():
        raise ReadError(path, found="something that is not a plain file", expected="a pickle")
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > limit:
                raise ReadError(path, found=f"{size} bytes", expected=f"a pickle of at most {limit}")
            return _Machine(path, stream, size, encoding).run()
    except FileNotFoundError as error:
        raise ReadError(path, found="no such file", expected="a file of that name") from error
    except OSError as error:
        raise ReadError(path, found=str(error), expected="a readable file") from error


# --- what stands on the stack besides values -----------------------------------------------------------------------


@dataclass(frozen=True)
class _Global:
    """A name with a fixed meaning; never the thing of that name."""

    name: str


@dataclass
class _Payload:
    """Text or bytes that are left in the file."""

    start: int
    size: int
    form: str  # of _Machine._decoded
    latin1: bool = False  # the text was passed through ``_codecs.encode(..., "latin1")``
    value: str | bytes | None = None


@dataclass
class _Parts:
    """A tuple some of whose items are not values yet: the arguments of a call, the state of an array."""

    items: tuple[Any, ...]
    value: tuple[Any, ...] | None = None


@dataclass
class _Mould:
    """An array or dtype between its making and the setting of its state."""

    kind: str
    value: Any = None


_MARK = object()
_UNSETTLED = (_Global, _Payload, _Parts, _Mould)


class _Damaged(Exception):  # noqa: N818  (a finding inside this module, not an error of Limbeck)
    """What is wrong, without the place."""


class _Machine:
    """One reading of one pickle."""

    def __init__(self, path: Path, stream: BinaryIO, size: int, encoding: str) -> None:
        self._path, self._stream, self._size, self._encoding = path, stream, size, encoding
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._steps, self._text, self._tuple_keys = _MOST_STEPS, _MOST_TEXT, _MOST_TUPLE_KEYS
        self._unread = size  # bytes of the file that arrays may still take: an honest pickle gives each to one array

    def run(self) -> Any:
        """Interpret the program up to its STOP and return the value it leaves."""
        opcode = 0
        place = 0
        try:
            while opcode != ord("."):
                step = self._stream.read(1)
                if not step:
                    raise _Damaged("the end of the file")
                opcode = step[0]
                self._charge_steps(1)
                action = _ACTIONS.get(opcode)
                if action is None:
                    name = _NAMES.get(opcode, f"0x{opcode:02x}")
                    raise _Damaged(f"the instruction {name}, which arrays and plain values do not need")
                action(self)
            if len(self._stack) != 1:
                raise _Damaged(f"{len(self._stack)} values at the end")
            result = self._settled(self._stack.pop())
            _refuse_knots(result)
            return result
        except _Damaged as error:
            place = self._stream.tell()
            self._refuse(str(error), place, error)
        except (ValueError, TypeError, IndexError, KeyError, OverflowError, LookupError, struct.error) as error:
            place = self._stream.tell()
            self._refuse(f"{type(error).__name__} ({str(error)[:200]})", place, error)
        except (MemoryError, RecursionError) as error:
            self._refuse(f"more than this machine can hold ({type(error).__name__})", 0, error)

    def _refuse(self, found: str, place: int, cause: BaseException) -> NoReturn:
        raise ReadError(
            self._path,
            where=f"byte {place}",
            found=found,
            expected="a pickle of plain values and NumPy arrays",
            advice="The file is cut, damaged or hostile: nothing of it was run. Get it again from its publisher.",
        ) from cause

    # --- reading ---

    def _charge_steps(self, count: int) -> None:
        self._steps -= count
        if self._steps < 0:
            raise _Damaged(f"more than {_MOST_STEPS} instructions")

    def _charge_text(self, size: int) -> None:
        self._text -= size
        if self._text < 0:
            raise _Damaged(f"more than {_MOST_TEXT >> 20} MiB of text")

    def take(self, size: int) -> bytes:
        """Return the next bytes, all of them."""
        content = self._stream.read(size)
        if len(content) != size:
            raise _Damaged("the end of the file")
        return content

    def number(self, form: str) -> int:
        """Return the next binary integer."""
        value: int = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return value

    def line(self, most: int = 1024) -> bytes:
        """Return the next line without its end."""
        line = self._stream.readline(most)
        if not line.endswith(b"\n"):
            raise _Damaged("a line without end" if len(line) < most else f"a line of more than {most} bytes")
        return line[:-1]

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self._stack.append(value)

    def push_text(self, size: int, form: str) -> None:
        """Put the next bytes on the stack as text: at once if they are few, else as their place in the file."""
        start = self._stream.tell()
        if not 0 <= size <= self._size - start:
            raise _Damaged(f"a text of {size} bytes where {self._size - start} are left")
        if size <= _LAZY:
            self._charge_text(size)
            self.push(self._decoded(self.take(size), form))
        else:
            self._stream.seek(size, 1)
            self.push(_Payload(start, size, form))

    def push_line(self, form: str) -> None:
        """Put the next line on the stack as text."""
        start, size = self._stream.tell(), 0
        while not (piece := self._stream.readline(_PIECE)).endswith(b"\n"):
            if not piece:
                raise _Damaged("a line without end")
            size += len(piece)
        size += len(piece) - 1
        if form == "escaped":
            start, size = self._unquoted(start, size)
        after = self._stream.tell()
        self._stream.seek(start)
        self.push_text(size, form)
        self._stream.seek(after)

    def _unquoted(self, start: int, size: int) -> tuple[int, int]:
        """Return where a quoted line's text lies."""
        after = self._stream.tell()
        self._stream.seek(start)
        first = self._stream.read(1)
        self._stream.seek(start + max(size - 1, 0))
        last = self._stream.read(1)
        self._stream.seek(after)
        if size < 2 or first != last or first not in (b"'", b'"'):
            raise _Damaged("a text without quotes")
        return start + 1, size - 2

    def _decoded(self, raw: bytes, form: str) -> str | bytes:
        if form == "utf-8":
            return raw.decode("utf-8", "surrogatepass")
        if form == "raw-unicode-escape":
            return raw.decode("raw-unicode-escape")
        if form == "escaped":
            raw = _unescaped(raw)
        if form == "bytes" or self._encoding == "bytes":
            return raw
        return raw.decode(self._encoding)

    # --- values ---

    def _settled(self, value: Any) -> Any:
        """Return a value as it may stand in the result; what is not one is refused."""
        if not isinstance(value, _UNSETTLED):
            if value is _MARK:
                raise _Damaged("a mark in place of a value")
            return value
        if isinstance(value, _Global):
            raise _Damaged(f"the global {value.name} in place of a value")
        if isinstance(value, _Mould) and value.value is None:
            raise _Damaged("an array without its state")
        if isinstance(value, _Parts) and value.value is None:
            value.value = tuple(self._settled(item) for item in value.items)
        if isinstance(value, _Payload) and value.value is None:
            self._charge_text(value.size)
            text = self._decoded(self._raw(value), value.form)
            value.value = text.encode("latin1") if value.latin1 and isinstance(text, str) else text
        return value.value

    def _raw(self, payload: _Payload) -> bytes:
        after = self._stream.tell()
        self._stream.seek(payload.start)
        try:
            return self.take(payload.size)
        finally:
            self._stream.seek(after)

    def pop(self) -> Any:
        """Take the top of the stack, whatever it is."""
        if not self._stack:
            raise _Damaged("an instruction that needs a value where there is none")
        return self._stack.pop()

    def popped_to_mark(self) -> list[Any]:
        """Take everything above the last mark, and the mark."""
        items: list[Any] = []
        while (item := self.pop()) is not _MARK:
            items.append(item)
        items.reverse()
        return items

    def push_tuple(self, items: Iterable[Any]) -> None:
        """Put a tuple on the stack."""
        # Only one level waits to be settled: no argument and no state needs more.
        parts = tuple(self._settled(item) if isinstance(item, _Parts) else item for item in items)
        if any(isinstance(item, _UNSETTLED) for item in parts):
            self.push(_Parts(parts))
        else:
            self.push(tuple(map(self._settled, parts)))

    def key(self, value: Any) -> Any:
        """Return a key of a dict or an element of a set; only what hashes in one step is one."""
        value = self._settled(value)
        if isinstance(value, tuple) and len(value) <= 16 and all(isinstance(item, _PLAIN_KEYS) for item in value):
            self._tuple_keys -= 1
            if self._tuple_keys < 0:
                raise _Damaged(f"more than {_MOST_TUPLE_KEYS} keys that are tuples")
        elif isinstance(value, np.generic) and value.dtype.kind in "biufSU":
            value = value.item()
        elif not isinstance(value, _PLAIN_KEYS):
            raise _Damaged(f"a key of type {type(value).__name__}")
        return value

    def extend(self, items: list[Any]) -> None:
        """Append to the list on top of the stack."""
        target = self._top()
        if type(target) is not list:
            raise _Damaged(f"an append to a {type(target).__name__}")
        target.extend(map(self._settled, items))

    def update(self, items: list[Any]) -> None:
        """Set items, alternately keys and values, of the dict on top of the stack."""
        target = self._top()
        if type(target) not in (dict, OrderedDict) or len(items) % 2:
            raise _Damaged(f"{len(items)} keys and values for a {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[self.key(key)] = self._settled(value)

    def add(self, items: list[Any]) -> None:
        """Add to the set on top of the stack."""
        target = self._top()
        if type(target) is not set:
            raise _Damaged(f"elements of a set for a {type(target).__name__}")
        target.update(map(self.key, items))

    def _top(self) -> Any:
        if not self._stack:
            raise _Damaged("an instruction that needs a value where there is none")
        return self._stack[-1]

    def put(self, index: int) -> None:
        """Remember the top of the stack."""
        top = self._top()
        if top is _MARK:
            raise _Damaged("a mark in place of a value")
        self._memo[index] = top

    def memoize(self) -> None:
        """Remember the top of the stack under the next number."""
        self.put(len(self._memo))

    def get(self, index: int) -> None:
        """Put a remembered value on the stack."""
        if index not in self._memo:
            raise _Damaged(f"a reference to value {index}, which there is not")
        self.push(self._memo[index])

    # --- globals and the calls of them ---

    def push_global(self, module: Any, name: Any) -> None:
        """Put one of the few names on the stack."""
        if not (isinstance(module, str) and isinstance(name, str)):
            raise _Damaged("a global whose name is not text")
        known = _GLOBALS.get((module, name))
        if known is None:
            raise _Damaged(f"the global {f'{module}.{name}'[:200]!a}, which could run anything")
        self.push(_Global(known))

    def reduce(self) -> None:
        """Do what a known global means to the arguments on the stack."""
        arguments, function = self.pop(), self.pop()
        items = arguments.items if isinstance(arguments, _Parts) else arguments
        if not isinstance(function, _Global) or not isinstance(items, tuple):
            raise _Damaged("a call of something that is not a known global")
        call = _CALLS.get(function.name)
        if call is None:
            raise _Damaged(f"a call of the global {function.name}")
        self.push(call(self, *items))

    def make_array(self, kind: Any, shape: Any, _: Any) -> _Mould:
        """``numpy._core.multiarray._reconstruct``: an empty array, to be given its state."""
        if kind != _Global("ndarray") or shape != (0,):
            raise _Damaged("an array that does not start empty, or is of a class of its own")
        return _Mould("array")

    def make_dtype(self, text: Any, *_: Any) -> _Mould:
        """``numpy.dtype``."""
        text = self._settled(text)
        text = text.decode("ascii") if isinstance(text, bytes) else text
        if not (isinstance(text, str) and _DTYPE.fullmatch(text)):
            raise _Damaged("a dtype that is not of numbers, text or objects")
        return _Mould("dtype", np.dtype(text))

    def make_scalar(self, dtype: Any, content: Any) -> Any:
        """``numpy._core.multiarray.scalar``."""
        return self._array(self._dtype(dtype), (), False, content)[()]

    def make_from_buffer(self, content: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> np.ndarray:
        """``numpy._core.numeric._frombuffer``, of protocol 5."""
        if order not in ("C", "F", "K"):
            raise _Damaged("an array in an unknown order")
        array = self._array(self._dtype(dtype), shape, order == "F", content)
        return array.transpose(axes) if order == "K" and axes is not None else array

    def encode(self, text: Any, encoding: Any) -> Any:
        """``_codecs.encode``: how Python 3 writes bytes for Python 2."""
        if encoding not in ("latin1", "latin-1"):
            raise _Damaged("bytes in another encoding than latin1")
        if isinstance(text, _Payload) and text.form in ("utf-8", "raw-unicode-escape"):
            return _Payload(text.start, text.size, text.form, latin1=True)
        text = self._settled(text)
        if not isinstance(text, str):
            raise _Damaged(f"a {type(text).__name__} to be encoded")
        self._charge_text(len(text))
        return text.encode("latin1")

    def make_bytes(self, *items: Any) -> bytes:
        """``bytes()``: how Python 3 writes no bytes for Python 2."""
        if items:
            raise _Damaged("bytes made of something")
        return b""

    def make_set(self, items: Any = ()) -> set[Any]:
        """``set(list)``."""
        return set(map(self.key, self._listed(items)))

    def make_frozenset(self, items: Any = ()) -> frozenset[Any]:
        """``frozenset(list)``."""
        return frozenset(self.make_set(items))

    def make_ordered(self, items: Any = ()) -> OrderedDict[Any, Any]:
        """``OrderedDict(pairs)``."""
        pairs = self._listed(items)
        if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
            raise _Damaged("an ordered dict of something else than pairs")
        return OrderedDict((self.key(key), self._settled(value)) for key, value in pairs)

    def _listed(self, items: Any) -> list[Any] | tuple[Any, ...]:
        items = self._settled(items)
        if not isinstance(items, list | tuple):
            raise _Damaged(f"elements in a {type(items).__name__}")
        self._charge_steps(len(items))  # a remembered list can be given to many calls
        return items

    # --- arrays ---

    def build(self) -> None:
        """Give the array or dtype below the top of the stack its state, once."""
        state, mould = self.pop(), self._top()
        items = state.items if isinstance(state, _Parts) else state
        if not isinstance(mould, _Mould) or not isinstance(items, tuple):
            raise _Damaged(f"a state for a {type(mould).__name__}")
        if mould.kind == "array":
            if len(items) not in (4, 5):
                raise _Damaged(f"an array's state of {len(items)} items")
            shape, dtype, fortran, content = items[-4:]
            mould.value = self._array(self._dtype(dtype), shape, bool(fortran), content)
        elif mould.kind == "dtype":
            mould.value = self._dtype_of_state(mould.value, tuple(map(self._settled, items)))
        else:
            raise _Damaged("a second state")
        mould.kind = "done"

    def _dtype(self, value: Any) -> np.dtype[Any]:
        value = self._settled(value)
        if not isinstance(value, np.dtype):
            raise _Damaged(f"a {type(value).__name__} in place of a dtype")
        return value

    def _dtype_of_state(self, dtype: np.dtype[Any], state: tuple[Any, ...]) -> np.dtype[Any]:
        """Return the dtype that a state describes, made anew: NumPy believes whatever offsets it is given."""
        if len(state) not in (8, 9) or state[2] is not None or (len(state) == 9 and state[8]):
            raise _Damaged("a dtype's state of an unknown form")
        order, names, fields, size = (_text(state[1]), *state[3:6])
        if order not in ("<", ">", "|", "="):
            raise _Damaged("a dtype in an unknown byte order")
        if names:
            if dtype.kind != "V" or not isinstance(fields, dict) or not isinstance(names, tuple):
                raise _Damaged("fields of a dtype that has none")
            formats = [self._dtype(fields[name][0]) for name in names]
            if any(part.hasobject for part in formats) or len(names) > 1000:
                raise _Damaged("objects among an array's fields, or very many of them")
            offsets = [fields[name][1] for name in names]
            made = {"names": list(map(_text, names)), "formats": formats, "offsets": offsets, "itemsize": size}
            return np.dtype(made)  # type: ignore[call-overload]
        if size not in (-1, dtype.itemsize):
            raise _Damaged(f"a dtype of {dtype.itemsize} bytes that claims another size")
        return dtype.newbyteorder(order) if order in "<>" else dtype

    def _array(self, dtype: np.dtype[Any], shape: Any, fortran: bool, content: Any) -> np.ndarray:
        """Make an array, once its content is known to have the size that its shape states."""
        shape = (shape,) if isinstance(shape, int) else shape
        if not isinstance(shape, tuple) or len(shape) > 32 or not all(type(n) is int and n >= 0 for n in shape):
            raise _Damaged("an array of an impossible shape")
        count = math.prod(shape)
        if dtype.kind == "O":
            return self._objects(shape, count, fortran, content)
        if dtype.itemsize == 0 and count:
            raise _Damaged("an array of items without size")
        raw = self._content(content, count * dtype.itemsize)
        array = np.frombuffer(raw, dtype=dtype) if count else np.empty(0, dtype=dtype)
        if dtype.kind == "b" and count:
            array = array.view(np.uint8) != 0  # any other byte is a bool that is neither true nor false
        if dtype.kind == "U" and count and array.view(np.dtype("u4").newbyteorder(dtype.byteorder)).max() > 0x10FFFF:
            raise _Damaged("text that is none in an array")
        return array.reshape(shape, order="F" if fortran else "C")

    def _objects(self, shape: tuple[int, ...], count: int, fortran: bool, content: Any) -> np.ndarray:
        items = self._listed(content)
        if len(items) != count:
            raise _Damaged(f"{len(items)} objects for an array of {count}")
        objects = np.empty(count, dtype=object)
        for index, item in enumerate(items):
            objects[index] = item
        return objects.reshape(shape, order="F" if fortran else "C")

    def _content(self, content: Any, size: int) -> bytearray:
        """Return an array's bytes, of which there must be `size`."""
        self._unread -= content.size if isinstance(content, _Payload) else size
        if self._unread < 0:
            raise _Damaged("arrays of more bytes than the file has")
        if not isinstance(content, _Payload):
            content = self._settled(content)
            # The str of Python 2, decoded as text; NumPy, too, takes it back as Latin-1.
            raw = bytearray(content.encode("latin1") if isinstance(content, str) else content)
        elif content.form in ("bytes", "string") and content.size == size:
            raw = self._read_into(content.start, size)
        elif content.form == "escaped":
            raw = self._read_escaped(content, size)
        else:
            content = self._settled(content)
            raw = bytearray(content.encode("latin1") if isinstance(content, str) else content)
        if len(raw) != size:
            raise _Damaged(f"{len(raw)} bytes for an array of {size}")
        return raw

    def _read_into(self, start: int, size: int) -> bytearray:
        after = self._stream.tell()
        self._stream.seek(start)
        raw = bytearray(size)
        if self._stream.readinto(raw) != size:  # type: ignore[attr-defined]
            raise _Damaged("the end of the file")
        self._stream.seek(after)
        return raw

    def _read_escaped(self, payload: _Payload, size: int) -> bytearray:
        """Return the bytes of a quoted text, piece by piece: it has up to four times as many."""
        after = self._stream.tell()
        self._stream.seek(payload.start)
        raw, rest, left = bytearray(), b"", payload.size
        while left and len(raw) <= size:
            piece = rest + self.take(min(left, _PIECE))
            left -= len(piece) - len(rest)
            cut = _whole_escapes(piece) if left else len(piece)
            raw += _unescaped(piece[:cut])
            rest = piece[cut:]
        self._stream.seek(after)
        return raw


def _text(value: Any) -> Any:
    return value.decode("latin1") if isinstance(value, bytes) else value


def _unescaped(raw: bytes) -> bytes:
    """Return what the inside of a Python 2 string literal means."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # an escape that there is not: the text is damaged
        try:
            content: bytes = codecs.escape_decode(raw)[0]
        except DeprecationWarning as error:
            raise _Damaged(str(error)) from error
    return content


def _whole_escapes(piece: bytes) -> int:
    """Return how many bytes of a literal's piece end before an escape that may be cut; one has four at most."""
    last = piece.rfind(b"\\", len(piece) - 4)
    if last < 0:
        return len(piece)
    run = last + 1 - len(piece[: last + 1].rstrip(b"\\"))
    return last if run % 2 else len(piece)


def _refuse_knots(root: Any) -> None:
    """Refuse values that contain themselves, that nest deeply, or that are small only because they share parts."""
    sizes: dict[int, int] = {}  # of what was walked whole, by identity
    open_now: set[int] = set()
    stack: list[tuple[Any, list[Any]]] = []

    def enter(value: Any) -> None:
        children = _containers_in(value)
        if id(value) in open_now:
            raise _Damaged("a value that contains itself")
        if len(stack) >= _DEEPEST:
            raise _Damaged(f"values more than {_DEEPEST} deep in one another")
        open_now.add(id(value))
        sizes[id(value)] = 1 + (len(value) if hasattr(value, "__len__") and not _is_scalar_array(value) else 0)
        stack.append((value, children))

    if _is_container(root):
        enter(root)
    while stack:
        value, children = stack[-1]
        if not children:
            stack.pop()
            open_now.discard(id(value))
            if stack:
                sizes[id(stack[-1][0])] += sizes[id(value)]
                if sizes[id(stack[-1][0])] > _LARGEST_WALK:
                    raise _Damaged("values that share parts over and over")
            continue
        child = children.pop()
        if id(child) in sizes and id(child) not in open_now:
            sizes[id(value)] += sizes[id(child)]
            if sizes[id(value)] > _LARGEST_WALK:
                raise _Damaged("values that share parts over and over")
        else:
            enter(child)


def _is_scalar_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 0


def _is_container(value: Any) -> bool:
    return isinstance(value, dict | list | tuple) or (isinstance(value, np.ndarray) and value.dtype.kind == "O")


def _containers_in(value: Any) -> list[Any]:
    """Return the items of a container that are containers themselves; sets have none."""
    if isinstance(value, dict):
        items: Iterable[Any] = value.values()
    elif isinstance(value, np.ndarray):
        items = value.ravel().tolist()
    else:
        items = value
    return [item for item in items if _is_container(item)]


# --- the instructions ----------------------------------------------------------------------------------------------


def _decimal(machine: _Machine) -> None:
    line = machine.line(_LONGEST_NUMBER)
    machine.push({b"00": False, b"01": True}[line] if line in (b"00", b"01") else int(line))


def _long(machine: _Machine, size: int) -> None:
    if not 0 <= size <= _LONGEST_NUMBER:
        raise _Damaged(f"an integer of {size} bytes")
    machine.push(int.from_bytes(machine.take(size), "little", signed=True))


def _protocol(machine: _Machine) -> None:
    version = machine.number("<B")
    if version > 5:
        raise _Damaged(f"a pickle of protocol {version}")


def _dict(machine: _Machine) -> None:
    items = machine.popped_to_mark()
    machine.push({})
    machine.update(items)


def _list(machine: _Machine) -> None:
    items = machine.popped_to_mark()
    machine.push([])
    machine.extend(items)


def _frozenset(machine: _Machine) -> None:
    machine.push(frozenset(map(machine.key, machine.popped_to_mark())))


def _tuple(count: int) -> Callable[[_Machine], None]:
    def action(machine: _Machine) -> None:
        items = [machine.pop() for _ in range(count)]
        if _MARK in items:
            raise _Damaged("a mark in place of a value")
        machine.push_tuple(reversed(items))

    return action


def _append(machine: _Machine) -> None:
    item = machine.pop()
    machine.extend([item])


def _set_item(machine: _Machine) -> None:
    value, key = machine.pop(), machine.pop()
    machine.update([key, value])


def _dup(machine: _Machine) -> None:
    top = machine.pop()
    machine.push(top)
    machine.push(top)


def _stack_global(machine: _Machine) -> None:
    name, module = machine.pop(), machine.pop()
    machine.push_global(module, name)


_ACTIONS: dict[int, Callable[[_Machine], Any]] = {
    opcode[0]: action
    for opcode, action in {
        pickle.PROTO: _protocol,
        pickle.FRAME: lambda machine: machine.take(8),  # frames help a reader to read ahead, which this one need not
        pickle.STOP: lambda machine: None,
        pickle.MARK: lambda machine: machine.push(_MARK),
        pickle.POP: lambda machine: machine.pop(),
        pickle.POP_MARK: lambda machine: machine.popped_to_mark(),
        pickle.DUP: _dup,
        pickle.NONE: lambda machine: machine.push(None),
        pickle.NEWTRUE: lambda machine: machine.push(True),
        pickle.NEWFALSE: lambda machine: machine.push(False),
        pickle.INT: _decimal,
        pickle.LONG: lambda machine: machine.push(int(machine.line(_LONGEST_NUMBER).removesuffix(b"L"))),
        pickle.BININT: lambda machine: machine.push(machine.number("<i")),
        pickle.BININT1: lambda machine: machine.push(machine.number("<B")),
        pickle.BININT2: lambda machine: machine.push(machine.number("<H")),
        pickle.LONG1: lambda machine: _long(machine, machine.number("<B")),
        pickle.LONG4: lambda machine: _long(machine, machine.number("<i")),
        pickle.FLOAT: lambda machine: machine.push(float(machine.line(_LONGEST_NUMBER))),
        pickle.BINFLOAT: lambda machine: machine.push(machine.number(">d")),
        pickle.STRING: lambda machine: machine.push_line("escaped"),
        pickle.BINSTRING: lambda machine: machine.push_text(machine.number("<i"), "string"),
        pickle.SHORT_BINSTRING: lambda machine: machine.push_text(machine.number("<B"), "string"),
        pickle.UNICODE: lambda machine: machine.push_line("raw-unicode-escape"),
        pickle.BINUNICODE: lambda machine: machine.push_text(machine.number("<I"), "utf-8"),
        pickle.SHORT_BINUNICODE: lambda machine: machine.push_text(machine.number("<B"), "utf-8"),
        pickle.BINUNICODE8: lambda machine: machine.push_text(machine.number("<Q"), "utf-8"),
        pickle.BINBYTES: lambda machine: machine.push_text(machine.number("<I"), "bytes"),
        pickle.SHORT_BINBYTES: lambda machine: machine.push_text(machine.number("<B"), "bytes"),
        pickle.BINBYTES8: lambda machine: machine.push_text(machine.number("<Q"), "bytes"),
        pickle.BYTEARRAY8: lambda machine: machine.push_text(machine.number("<Q"), "bytes"),
        pickle.EMPTY_LIST: lambda machine: machine.push([]),
        pickle.EMPTY_DICT: lambda machine: machine.push({}),
        pickle.EMPTY_TUPLE: lambda machine: machine.push(()),
        pickle.EMPTY_SET: lambda machine: machine.push(set()),
        pickle.LIST: _list,
        pickle.DICT: _dict,
        pickle.TUPLE: lambda machine: machine.push_tuple(machine.popped_to_mark()),
        pickle.TUPLE1: _tuple(1),
        pickle.TUPLE2: _tuple(2),
        pickle.TUPLE3: _tuple(3),
        pickle.FROZENSET: _frozenset,
        pickle.APPEND: _append,
        pickle.APPENDS: lambda machine: machine.extend(machine.popped_to_mark()),
        pickle.SETITEM: _set_item,
        pickle.SETITEMS: lambda machine: machine.update(machine.popped_to_mark()),
        pickle.ADDITEMS: lambda machine: machine.add(machine.popped_to_mark()),
        pickle.PUT: lambda machine: machine.put(int(machine.line(_LONGEST_NUMBER))),
        pickle.BINPUT: lambda machine: machine.put(machine.number("<B")),
        pickle.LONG_BINPUT: lambda machine: machine.put(machine.number("<I")),
        pickle.MEMOIZE: lambda machine: machine.memoize(),
        pickle.GET: lambda machine: machine.get(int(machine.line(_LONGEST_NUMBER))),
        pickle.BINGET: lambda machine: machine.get(machine.number("<B")),
        pickle.LONG_BINGET: lambda machine: machine.get(machine.number("<I")),
        pickle.GLOBAL: lambda machine: machine.push_global(
            machine.line().decode("utf-8"), machine.line().decode("utf-8")
        ),
        pickle.STACK_GLOBAL: _stack_global,
        pickle.REDUCE: lambda machine: machine.reduce(),
        pickle.BUILD: lambda machine: machine.build(),
    }.items()
}

_CALLS: dict[str, Callable[..., Any]] = {
    "_reconstruct": _Machine.make_array,
    "scalar": _Machine.make_scalar,
    "_frombuffer": _Machine.make_from_buffer,
    "dtype": _Machine.make_dtype,
    "encode": _Machine.encode,
    "OrderedDict": _Machine.make_ordered,
    "set": _Machine.make_set,
    "frozenset": _Machine.make_frozenset,
    "bytes": _Machine.make_bytes,
}
