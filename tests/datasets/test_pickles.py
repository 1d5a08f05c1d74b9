"""Pickles from outside: what recorders write is read, everything else is refused and nothing of it runs."""

from __future__ import annotations

import builtins
import contextlib
import functools
import os
import pickle
import pickletools
import struct
import subprocess
import time
import tracemalloc
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from limbeck.datasets import pickles
from limbeck.errors import ReadError

PROTOCOLS = range(6)


def put(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "s01.dat"
    path.write_bytes(content)
    return path


def py2_pickle(value: Any) -> bytes:
    """Protocol 2 as Python 2 writes it: ``str`` as bytes without encoding, for keys and for the content of arrays."""

    def text(raw: bytes) -> bytes:
        return b"U" + bytes([len(raw)]) + raw if len(raw) < 256 else b"T" + struct.pack("<i", len(raw)) + raw

    def integer(number: int) -> bytes:
        return b"J" + struct.pack("<i", number)

    def one(value: Any) -> bytes:
        if isinstance(value, dict):
            return b"}(" + b"".join(one(key) + one(item) for key, item in value.items()) + b"u"
        if isinstance(value, str):
            return text(value.encode("latin1"))
        if isinstance(value, float):
            return b"G" + struct.pack(">d", value)
        order = value.dtype.byteorder.replace("=", "<").encode()
        dtype = b"cnumpy\ndtype\n(" + text(value.dtype.str[1:].encode()) + b"K\0K\1tR"
        dtype += b"(K\3" + text(order) + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
        shape = b"(" + b"".join(map(integer, value.shape)) + b"t"
        array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\0tU\1btR"
        return array + b"(K\1" + shape + dtype + b"\x89" + text(value.tobytes()) + b"tb"

    return b"\x80\x02" + one(value) + b"."


def py0_pickle(name: str, array: np.ndarray) -> bytes:
    """Protocol 0 as Python 2 writes it: text, with the array's bytes as a string literal."""
    literal = repr(array.tobytes())[1:].encode()
    shape = "".join(f"I{n}\n" for n in array.shape)
    return (
        f"(dp1\nS'{name}'\np2\ncnumpy.core.multiarray\n_reconstruct\np3\n(cnumpy\nndarray\np4\n(I0\ntp5\nS'b'\np6\n"
        f"tp7\nRp8\n(I1\n({shape}tp9\ncnumpy\ndtype\np10\n(S'{array.dtype.str[1:]}'\np11\nI0\nI1\ntp12\nRp13\n"
        "(I3\nS'<'\np14\nNNNI-1\nI-1\nI0\ntp15\nbI00\n"
    ).encode() + (b"S" + literal + b"\np16\ntp17\nbs.")


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and one.dtype.kind == "O":
        return one.shape == other.shape and all(same(a, b) for a, b in zip(one.flat, other.flat, strict=True))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


def values(rng: np.random.Generator) -> dict[str, Any]:
    objects = np.empty((2, 2), dtype=object)
    objects[:] = [["a", None], [1.5, rng.normal(size=3)]]
    return {
        "plain": [
            None,
            True,
            False,
            0,
            -1,
            255,
            65536,
            -(2**31),
            2**70,
            0.5,
            float("inf"),
            "",
            "Fläche €",
            b"",
            b"\xff",
        ],
        "containers": {"a": (1,), "b": (1, 2), "c": (1, 2, 3), "d": (1, 2, 3, 4), "e": [], "f": {}, "g": ()},
        "sets": [{1, 2, "x"}, set(), frozenset({1, "y"})],
        "ordered": OrderedDict([("b", 1), ("a", OrderedDict())]),
        "keys": {1: "a", b"k": 2, 2.5: 3, None: 4, ("s01", 3): 5},
        "arrays": [
            rng.normal(size=(3, 4)),
            np.arange(5, dtype=">i2"),
            np.zeros((0, 3)),
            np.array(3.0),
            np.arange(2) > 0,
        ],
        "fortran": np.asfortranarray(rng.normal(size=(3, 4))),
        "strided": rng.normal(size=(4, 6, 2))[::2, ::3].transpose(2, 0, 1),
        "large": [rng.normal(size=(40, 60)), rng.integers(0, 9, 9000, dtype=np.int32)],
        "text": np.array(["rest", "Stroop"]),
        "bytes": np.array([b"a", b"bc"]),
        "objects": objects,
        "fields": np.array([(1, 2.5), (3, 4.5)], dtype=[("x", "i4"), ("y", ">f8")]),
        "scalars": [np.float64(1.5), np.int32(-4), np.bool_(True), np.str_("x"), np.float32(2)],
        "dtypes": [np.dtype("f4"), np.dtype(">u2"), np.dtype("S5")],
        "complex": np.array([1 + 2j]),
        "long text": "é" * 10_000,
        "long text in a tuple": ("x" * 10_000, [b"y" * 10_000]),
        "shared": (lambda array: [array, array])(np.arange(3.0)),
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", values(np.random.default_rng(0)))
def test_what_python_writes_is_read(tmp_path: Path, rng: np.random.Generator, protocol: int, name: str) -> None:
    value = values(rng)[name]
    assert same(value, pickles.load(put(tmp_path, pickle.dumps(value, protocol))))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_names_of_both_numpys_are_known(tmp_path: Path, protocol: int) -> None:
    content = pickle.dumps([np.arange(5.0), np.float32(2)], protocol)
    for core in (b"numpy.core", b"numpy._core"):
        other = content.replace(b"numpy._core", core)
        if protocol >= 4:  # the names have their length before them, and frames theirs
            other = pickle.dumps([np.arange(5.0), np.float32(2)], 3).replace(b"numpy._core", core)
        assert same([np.arange(5.0), np.float32(2)], pickles.load(put(tmp_path, other)))


def test_arrays_are_writable_and_shared_ones_stay_one(tmp_path: Path) -> None:
    array = np.arange(10_000.0)
    one, other = pickles.load(put(tmp_path, pickle.dumps([array, array])))
    one[0] = 7
    assert other[0] == 7


def test_python_2_pickles_as_deap_and_wesad_write_them(tmp_path: Path, rng: np.random.Generator) -> None:
    value = {
        "subject": "S2é",
        "signal": {"chest": {"ACC": rng.normal(size=(5000, 3)), "Temp": rng.normal(size=(5000, 1)).astype("f4")}},
        "label": rng.integers(0, 8, 5000, dtype=np.int32),
        "few": rng.normal(size=3),
    }
    path = put(tmp_path, py2_pickle(value))
    assert same(value, pickles.load(path))
    with pytest.raises(ReadError, match="UnicodeDecodeError"):
        pickles.load(path, encoding="ascii")
    as_bytes = pickles.load(path, encoding="bytes")
    assert list(as_bytes) == [b"subject", b"signal", b"label", b"few"]
    assert same(value["label"], as_bytes[b"label"])
    assert same(value["few"], as_bytes[b"few"])


@pytest.mark.parametrize("size", [3, 700, 200_000])
def test_python_2_pickles_of_protocol_0(tmp_path: Path, rng: np.random.Generator, size: int) -> None:
    array = rng.integers(-(2**62), 2**62, size)
    array[::3] = int.from_bytes(b"\\'\"\n\\\\\\x", "little")  # runs of backslashes at the borders of pieces
    assert same({"label": array}, pickles.load(put(tmp_path, py0_pickle("label", array))))


def test_a_subject_of_deap_in_full_size(tmp_path: Path) -> None:
    data = np.zeros((40, 40, 8064))
    data[3, 2, 1] = 1
    path = put(tmp_path, py2_pickle({"labels": np.ones((40, 4)), "data": data}))
    assert path.stat().st_size > 103_000_000
    tracemalloc.start()
    try:
        read = pickles.load(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read["data"].shape == (40, 40, 8064)
    assert read["data"][3, 2, 1] == read["data"].sum() == 1
    assert peak < 1.1 * path.stat().st_size  # the content of an array is in memory once


# --- hostile ---


class Sentinel:
    """Whatever runs leaves a file."""

    def __init__(self, path: Path) -> None:
        self.command = f"touch {path}"
        self.code = f"open({str(path)!r}, 'w').close()"


class Calls:
    """Pickles as a call; with a state, as a call and what is done to its result."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, state: Any = None) -> None:
        self.call = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


class Plain:
    """A class of the user's."""

    def __init__(self) -> None:
        self.x = 1


def nested(value: Any) -> np.ndarray:
    array = np.empty(2, dtype=object)
    array[1] = [{"deep": value}]
    return array


HOSTILE: dict[str, Callable[[Sentinel], Any]] = {
    "os.system": lambda s: Calls(os.system, s.command),
    "eval": lambda s: Calls(builtins.eval, s.code),
    "exec": lambda s: Calls(builtins.exec, s.code),
    "import": lambda s: Calls(builtins.__import__, "antigravity"),
    "getattr": lambda s: Calls(getattr, "", "join"),
    "getattr chain": lambda s: Calls(Calls, Calls(getattr, Calls(__import__, "os"), "system"), s.command),
    "numpy.load": lambda s: Calls(np.load, s.command),
    "numpy.fromfile": lambda s: Calls(np.fromfile, "/etc/passwd"),
    "open": lambda s: Calls(open, s.command.split()[1], "w"),
    "partial": lambda s: Calls(functools.partial, os.system, s.command),
    "partial with state": lambda s: Calls(functools.partial, print, state=(os.system, (s.command,), {}, {})),
    "subprocess": lambda s: Calls(subprocess.Popen, s.command.split()),
    "in an array": lambda s: nested(Calls(os.system, s.command)),
    "in a dict beside data": lambda s: {"data": np.zeros((4, 4)), "labels": Calls(os.system, s.command)},
    "in a set": lambda s: {1, Calls(os.system, s.command)},
    "as a key": lambda s: {Calls(os.system, s.command): 1},
    "state": lambda s: Calls(OrderedDict, state={"x": 1}),
    "items": lambda s: Calls(OrderedDict, [["a", Calls(os.system, s.command)]]),
    "unpickling": lambda s: Calls(pickle.loads, pickle.dumps(Calls(os.system, s.command))),
    "a class": lambda s: Plain(),
    "a default dict": lambda s: defaultdict(list),
    "a counter": lambda s: Counter("ab"),
    "an exception": lambda s: ValueError("x"),
    "a class of arrays": lambda s: np.ma.masked_array([1, 2]),
    "a record array": lambda s: np.rec.array([(1, 2.0)]),
    "a path": lambda s: Path("x"),
    "a complex number": lambda s: 1j,
    "a slice": lambda s: slice(3),
    "dates": lambda s: np.array(["2020-01-01"], dtype="M8[D]"),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_hostile_runs(tmp_path: Path, protocol: int, name: str) -> None:
    sentinel = tmp_path / "ran"
    path = put(tmp_path, pickle.dumps(HOSTILE[name](Sentinel(sentinel)), protocol))
    with pytest.raises(ReadError, match=r"global|state|dtype|instruction|append") as caught:
        pickles.load(path)
    assert str(path) in str(caught.value)
    assert not sentinel.exists()


def test_the_test_would_see_a_hostile_pickle_run(tmp_path: Path) -> None:
    sentinel = tmp_path / "ran"
    pickle.loads(pickle.dumps(HOSTILE["in an array"](Sentinel(sentinel))))
    assert sentinel.exists()


def test_the_refused_global_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"the global 'posix\.system', which could run anything"):
        pickles.load(put(tmp_path, pickle.dumps(Calls(os.system, "true"))))


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\0t" + text("b") + b"tR"
F8 = b"cnumpy\ndtype\n(" + text("f8") + b"K\0K\1tR"
OBJECT = b"cnumpy\ndtype\n(" + text("O8") + b"K\0K\1tR"
U1 = b"cnumpy\ndtype\n(" + text("U1") + b"K\0K\1tR"
BIG = struct.pack("<q", 2**40)
V8 = b"cnumpy\ndtype\n(" + text("V8") + b"K\0K\1tR"
FAR_FIELD = (
    V8 + b"(K\3" + text("|") + b"N(" + text("x") + b"t}(" + text("x") + b"(" + F8 + b"J\xff\xff\0\0tuK\x08K\1K\0tb"
)

PROGRAMS: dict[str, bytes] = {
    "inst": b"(S'true'\niposix\nsystem\n.",
    "obj": b"(cposix\nsystem\nS'true'\no.",
    "newobj": b"cnumpy\nndarray\n(J\0\0\0\x7ft\x81.",
    "stack global": b"\x80\x04\x8c\x05posix\x8c\x06system\x93.",
    "stack global of no text": b"\x80\x04K\1K\2\x93.",
    "a dotted name": b"\x80\x04\x8c\x05numpy\x8c\x15ndarray.__init__.func_\x93.",
    "extension": b"\x82\x01.",
    "persistent": b"Pname\n.",
    "persistent of the stack": b"K\1Q.",
    "buffers": b"\x80\x05\x97.",
    "a huge array": b"cnumpy\nndarray\n(J\0\0\0\x7ftR.",
    "a huge array to start with": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(\x8a\x08"
    + BIG
    + b"tU\1btR.",
    "a huge shape": ARRAY + b"(K\1(\x8a\x08" + BIG + b"t" + F8 + b"\x89U\x08" + bytes(8) + b"tb.",
    "a huge shape of objects": ARRAY + b"(K\1(\x8a\x08" + BIG + b"t" + OBJECT + b"\x89]tb.",
    "a negative shape": ARRAY + b"(K\1(J\xff\xff\xff\xfft" + F8 + b"\x89U\0tb.",
    "a shape of text": ARRAY + b"(K\1(U\1at" + F8 + b"\x89U\0tb.",
    "an array in itself": ARRAY + b"q\1(K\1(K\1t" + OBJECT + b"\x89](h\1etb.",
    "an array without state": ARRAY + b".",
    "a state twice": ARRAY + (b"(K\1(K\0t" + F8 + b"\x89U\0tb") * 2 + b".",
    "a field outside its item": FAR_FIELD + b".",
    "an item of a claimed size": F8 + b"(K\3" + text("<") + b"NNNM\0\x10K\1K\0tb.",
    "text that is none": ARRAY + b"(K\1(K\1t" + U1 + b"\x89U\4\xff\xff\xff\xfftb.",
    "a call of a value": b"K\1)R.",
    "a call of data": b"cnumpy\nndarray\n)R.",
    "a call with too many": b"c_codecs\nencode\n(K\1K\1K\1tR.",
    "an encoding with a meaning": b"c_codecs\nencode\n(" + text("abc") + text("zip") + b"tR.",
    "a global as a value": b"cnumpy\nndarray\n.",
    "a global in a list": b"](cnumpy\nndarray\ne.",
    "a state for a dict": b"}}b.",
    "a huge text": b"X\xff\xff\xff\xffabc.",
    "a huge text of 8 bytes": b"\x8d" + struct.pack("<Q", 2**62) + b"abc.",
    "huge bytes": b"\x8e" + struct.pack("<Q", 2**63) + b"abc.",
    "a huge bytearray": b"\x96" + struct.pack("<Q", 2**40) + b"abc.",
    "a text of negative size": b"T\xff\xff\xff\xffabc.",
    "a huge integer": b"\x8b\xff\xff\xff\x7f1.",
    "a long decimal": b"I" + b"9" * 100_000 + b"\n.",
    "a list in itself": b"]q\1h\1a.",
    "a dict in itself": b"}q\1K\1h\1s.",
    "a list as a key": b"}]K\1s.",
    "a deep tuple": b")" + b"\x85" * 20_000 + b".",
    "a deep list": b"]" * 20_000 + b"a" * 19_999 + b".",
    "a deep key": b"})" + b"\x85" * 20_000 + b"K\1s.",
    "a key of shared tuples": b"})" + b"2\x86" * 200 + b"K\1s.",
    "shared tuples": b")" + b"2\x86" * 90 + b".",
    "shared lists": b"(]q\0" + b"".join(b"]q%c(h%ch%ce" % (i, i - 1, i - 1) for i in range(1, 90)) + b"t.",
    "a reference to nothing": b"h\7.",
    "two values": b"K\1K\2.",
    "no value": b".",
    "a mark": b"(.",
    "a mark in a tuple": b"((\x85.",
    "a mark in a list": b"](a.",
    "no mark": b"K\1t.",
    "an append to a tuple": b")K\1a.",
    "odd items": b"}(K\1u.",
    "nothing": b"",
    "an unknown protocol": b"\x80\x09N.",
    "an unknown instruction": b"\xfe.",
    "another file": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "text": b"time,EDA\n1,2\n",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_that_no_pickler_writes_are_refused(tmp_path: Path, name: str) -> None:
    path = put(tmp_path, PROGRAMS[name])
    tracemalloc.start()
    try:
        with pytest.raises(ReadError) as caught:
            pickles.load(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert peak < 100_000_000


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("shared lists", "share parts over and over"),
        ("shared tuples", "share parts over and over"),
        ("a deep tuple", "more than 100 deep"),
        ("a deep key", "a key of type tuple"),
        ("a list in itself", "contains itself"),
        ("an array in itself", "an array without its state"),
        ("a state twice", "a second state"),
        ("a huge array", "a call of the global ndarray"),
        ("a huge array to start with", "does not start empty"),
        ("a huge shape", "more bytes than the file has"),
        ("a field outside its item", "does not fit|out of bounds|itemsize"),
        ("an item of a claimed size", "claims another size"),
        ("text that is none", "text that is none"),
        ("inst", "the instruction INST"),
        ("newobj", "the instruction NEWOBJ"),
        ("extension", "the instruction EXT1"),
        ("persistent", "the instruction PERSID"),
        ("stack global", r"the global 'posix\.system'"),
        ("a huge text", "a text of 4294967295 bytes where 4 are left"),
        ("nothing", "the end of the file"),
    ],
)
def test_refusals_say_what_is_wrong(tmp_path: Path, name: str, found: str) -> None:
    with pytest.raises(ReadError, match=found):
        pickles.load(put(tmp_path, PROGRAMS[name]))


def test_memo_of_a_huge_index_costs_nothing(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        assert pickles.load(put(tmp_path, b"Nr\xff\xff\xff\xff0j\xff\xff\xff\xff.")) is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


def test_one_text_cannot_fill_many_arrays(tmp_path: Path) -> None:
    payload = b"T" + struct.pack("<i", 80_000) + bytes(80_000) + b"q\1" + F8 + b"q\2"
    array = ARRAY + b"(K\1(M\x10\x27th\2\x89h\1tb"
    assert len(pickles.load(put(tmp_path, payload + array + b"q\x03000h\3."))) == 10_000
    with pytest.raises(ReadError, match="arrays of more bytes than the file has"):
        pickles.load(put(tmp_path, payload + b"](" + array * 50 + b"e."))


@pytest.mark.slow
@pytest.mark.parametrize("step", [b"]", b"\x8f", b"2", b"\x94"])
def test_a_million_cheap_instructions_end(tmp_path: Path, step: bytes) -> None:
    start = time.monotonic()
    with pytest.raises(ReadError, match="more than 3000000 instructions"):
        pickles.load(put(tmp_path, b"N" + step * 30_000_000))
    assert time.monotonic() - start < 10


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no such file"):
        pickles.load(tmp_path / "missing.pkl")
    with pytest.raises(ReadError, match="not a plain file"):
        pickles.load(tmp_path)
    with pytest.raises(ReadError, match="at most 10"):
        pickles.load(put(tmp_path, pickle.dumps("x" * 100)), limit=10)


SEEDS = [
    pickle.dumps({"a": [1, 2.5, "x", np.arange(3.0)], "b": np.array(["x"], dtype=object)}, protocol)
    for protocol in PROTOCOLS
] + [
    py2_pickle({"labels": np.ones((2, 2)), "data": np.zeros((2, 3, 4))}),
    py0_pickle("label", np.arange(900)),
]
ANY_FILE = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_or_refuse(tmp_path: Path, content: bytes) -> None:
    with contextlib.suppress(ReadError):
        pickles.load(put(tmp_path, content))


@ANY_FILE
@given(seed=st.integers(0, len(SEEDS) - 1), cut=st.floats(0, 1))
def test_cut_files(tmp_path: Path, seed: int, cut: float) -> None:
    content = SEEDS[seed][: int(cut * (len(SEEDS[seed]) - 1))]
    with pytest.raises(ReadError):
        pickles.load(put(tmp_path, content))


@ANY_FILE
@given(
    seed=st.integers(0, len(SEEDS) - 1),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), min_size=1, max_size=4),
)
def test_flipped_bytes(tmp_path: Path, seed: int, flips: list[tuple[float, int]]) -> None:
    content = bytearray(SEEDS[seed])
    for place, change in flips:
        content[int(place * len(content))] ^= change
    read_or_refuse(tmp_path, bytes(content))


OPCODES = [opcode.code.encode("latin1") for opcode in pickletools.opcodes]


@ANY_FILE
@given(program=st.lists(st.sampled_from([*OPCODES, ARRAY, F8, b"\n", b"\0", b"\1", b"(K\1(K\0t"]), max_size=30))
@example(program=[ARRAY, b"q", b"\1", b"h", b"\1", b"b", b"."])
def test_random_programs(tmp_path: Path, program: list[bytes]) -> None:
    read_or_refuse(tmp_path, b"".join(program) + b".")
