"""MATLAB files from outside: read as plain values, damaged and hostile ones refused."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limbeck.datasets import matlab
from limbeck.errors import ReadError


def save(tmp_path: Path, variables: dict[str, Any], *, compressed: bool = True) -> Path:
    path = tmp_path / "s01.mat"
    scipy.io.savemat(path, variables, do_compression=compressed)
    return path


def cell(*items: Any, shape: tuple[int, ...] | None = None) -> np.ndarray:
    array = np.empty(len(items), dtype=object)
    for index, item in enumerate(items):
        array[index] = item
    return array.reshape(shape or (1, len(items)))


def variables(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "data": rng.normal(size=(40, 3, 64)),
        "vector": np.arange(5.0),
        "number": 3.0,
        "single": np.ones((2, 2), dtype="f4"),
        "bytes": np.arange(6, dtype="u1").reshape(2, 3),
        "logical": np.array([[True, False]]),
        "complex": np.array([[1 + 2j, 3.0]]),
        "empty": np.zeros((0, 3)),
        "text": "Exercise é",
        "rows": np.array(["ab", "c "]),
        "no_text": "",
        "cells": cell(rng.normal(size=(7, 2)), "a", cell(1.0, cell())),
        "square": cell(1.0, 2.0, 3.0, 4.0, shape=(2, 2)),
        "record": {"EEG": {"stimuli": cell(np.ones((5, 14)), np.zeros((6, 14)))}, "name": "P01", "n": 2.0},
        "records": np.array([[(1.0, "x"), (2.0, "y")]], dtype=[("a", "O"), ("b", "O")]),
        "sparse": scipy.sparse.csc_matrix(np.diag([1.0, 0, 2])),
    }


@pytest.mark.parametrize("compressed", [False, True])
def test_values_are_plain(tmp_path: Path, rng: np.random.Generator, compressed: bool) -> None:
    written = variables(rng)
    read = matlab.load(save(tmp_path, written, compressed=compressed))
    assert list(read) == list(written)
    np.testing.assert_array_equal(read["data"], written["data"])
    assert {name: (read[name].shape, read[name].dtype.str) for name in list(written)[1:8]} == {
        "vector": ((1, 5), "<f8"),
        "number": ((1, 1), "<f8"),
        "single": ((2, 2), "<f4"),
        "bytes": ((2, 3), "|u1"),
        "logical": ((1, 2), "|b1"),
        "complex": ((1, 2), "<c16"),
        "empty": ((0, 3), "<f8"),
    }
    np.testing.assert_array_equal(read["complex"], [[1 + 2j, 3]])
    assert (read["text"], read["rows"], read["no_text"]) == ("Exercise é", ["ab", "c "], "")
    assert read["cells"].shape == (1, 3)
    np.testing.assert_array_equal(read["cells"][0, 0], written["cells"][0, 0])
    assert read["cells"][0, 1] == "a"
    assert read["cells"][0, 2][0, 0].item() == 1
    assert read["cells"][0, 2][0, 1].dtype == object
    assert [value.item() for value in read["square"].ravel()] == [1, 2, 3, 4]
    assert read["record"]["EEG"]["stimuli"].shape == (1, 2)
    assert read["record"]["EEG"]["stimuli"][0, 1].shape == (6, 14)
    assert read["record"]["name"] == "P01"
    assert read["records"].shape == (1, 2)
    assert [(record["a"].item(), record["b"]) for record in read["records"].flat] == [(1, "x"), (2, "y")]
    np.testing.assert_array_equal(read["sparse"].toarray(), np.diag([1.0, 0, 2]))


@pytest.mark.parametrize("compressed", [False, True])
def test_variables_by_name(tmp_path: Path, rng: np.random.Generator, compressed: bool) -> None:
    path = save(tmp_path, variables(rng), compressed=compressed)
    assert matlab.names(path) == list(variables(rng))
    assert list(matlab.load(path, ["vector", "text"])) == ["vector", "text"]
    assert matlab.load(path, []) == {}
    assert list(matlab.load(path, "number")) == ["number"]
    with pytest.raises(ReadError, match=r"no variable 'Data' among 16.*Did you mean 'data'"):
        matlab.load(path, ["Data"])


def test_only_what_is_asked_for_has_to_fit(tmp_path: Path) -> None:
    path = save(tmp_path, {"large": np.zeros((1000, 1000)), "small": np.ones((2, 2))})
    assert list(matlab.load(path, ["small"], limit=100)) == ["small"]
    with pytest.raises(ReadError, match="more numbers than fit the limit"):
        matlab.load(path, limit=100)


def test_numbers_come_in_their_matlab_class_however_they_are_stored(tmp_path: Path) -> None:
    content = HEAD + matrix(6, (1, 3), element(2, b"\1\2\3"), name=b"label")  # doubles that MATLAB stored as bytes
    read = matlab.load(put(tmp_path, content))["label"]
    assert read.dtype == np.float64
    np.testing.assert_array_equal(read, [[1, 2, 3]])


def test_big_endian_files(tmp_path: Path) -> None:
    content = b"MATLAB".ljust(124) + b"\x01\x00MI"
    body = struct.pack(">IIII", 6, 8, 6, 0) + struct.pack(">IIii", 5, 8, 1, 2) + struct.pack(">HH4s", 1, 1, b"x")
    body = body.replace(struct.pack(">HH", 1, 1) + b"x", struct.pack(">HH", 1, 1) + b"x")
    body += struct.pack(">II", 9, 16) + struct.pack(">dd", 1.5, 2.5)
    path = put(tmp_path, content + struct.pack(">II", 14, len(body)) + body)
    np.testing.assert_array_equal(matlab.load(path)["x"], [[1.5, 2.5]])


def test_a_subject_of_deap_in_full_size(tmp_path: Path) -> None:
    data = np.zeros((40, 40, 8064))
    data[3, 2, 1] = 1
    path = save(tmp_path, {"data": data, "labels": np.ones((40, 4))}, compressed=False)
    assert matlab.names(path) == ["data", "labels"]
    read = matlab.load(path)
    assert read["data"].shape == (40, 40, 8064)
    assert read["data"][3, 2, 1] == 1


UNREADABLE = {"corrupted_zlib_checksum", "malformed1", "bad_miuint32", "bad_miutf8_array_name", "debigged_m4"}
REFUSED = {"some_functions", "parabola", "sqr", "nasty_duplicate_fieldnames"}


def test_files_that_matlab_wrote_hold_what_scipy_finds(caplog: pytest.LogCaptureFixture) -> None:
    files = sorted((Path(scipy.io.__file__).parent / "matlab" / "tests" / "data").glob("*.mat"))
    if not files:
        pytest.skip("SciPy is installed without the files of its own tests")
    for path in files:
        odd = path.stem in UNREADABLE | REFUSED or any(word in path.stem for word in ("object", "func"))
        if odd or b"MATLAB" not in path.read_bytes()[:128]:  # classes, functions, v7.3; MATLAB 4
            with pytest.raises(ReadError):
                matlab.load(path)
            continue
        if "hdf5" in path.stem:  # SciPy does not read v7.3
            assert matlab.load(path)
            continue
        expected = scipy.io.loadmat(path, verify_compressed_data_integrity=False)
        assert set(matlab.load(path)) == {name for name in expected if not name.startswith("__")}, path.name
    assert {Path(record.args[0]).name for record in caplog.records} == {"corrupted_zlib_data.mat"}  # type: ignore[index,arg-type]


# --- hostile ---

HEAD = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"


def put(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "s01.mat"
    path.write_bytes(content)
    return path


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def matrix(kind: int, shape: tuple[int, ...], content: bytes = b"", *, name: bytes = b"", flags: int = 0) -> bytes:
    head = element(6, struct.pack("<II", kind | flags, 0)) + element(5, struct.pack(f"<{len(shape)}i", *shape))
    return element(14, head + element(1, name) + content)


def deep(levels: int) -> bytes:
    content = matrix(6, (0, 0), element(9, b""))
    for level in range(levels):
        content = matrix(1, (1, 1), content, name=b"x" if level == levels - 1 else b"")
    return content


def fields(*names: bytes) -> bytes:
    return element(5, struct.pack("<i", 32)) + element(1, b"".join(name.ljust(32, b"\0") for name in names))


NUMBER = matrix(6, (1, 1), element(9, bytes(8)))
HOSTILE: dict[str, tuple[bytes, str]] = {
    "a function": (matrix(16, (1, 1), NUMBER, name=b"x"), "function handle"),
    "an opaque object": (matrix(17, (1, 1), NUMBER, name=b"x"), "object of a MATLAB class"),
    "an object": (matrix(3, (1, 1), element(1, b"inline"), name=b"x"), "object of a MATLAB class"),
    "a function in a cell": (matrix(1, (1, 1), matrix(16, (1, 1), NUMBER), name=b"x"), "function handle"),
    "an object in a struct": (
        matrix(2, (1, 1), fields(b"f") + matrix(17, (1, 1), NUMBER), name=b"x"),
        "object of a MATLAB class",
    ),
    "a huge cell": (matrix(1, (2**31 - 1, 2**31 - 1), name=b"x"), "cells or fields"),
    "a large cell": (matrix(1, (100_000, 1000), NUMBER, name=b"x"), "cells or fields"),
    "a huge struct": (matrix(2, (2**31 - 1, 2**31 - 1), fields(b"a"), name=b"x"), "cells or fields"),
    "many dimensions": (matrix(6, (2,) * 60, element(9, b""), name=b"x"), "dimensions|description"),
    "numbers that are not there": (matrix(6, (2**31 - 1, 1), element(9, bytes(8)), name=b"x"), "fit the limit"),
    "few numbers": (matrix(6, (3, 1), element(9, bytes(16)), name=b"x"), "16 bytes of numbers; expected 24"),
    "a negative shape": (matrix(6, (-1, 1), element(9, b""), name=b"x"), "negative dimension"),
    "much text": (matrix(4, (2**28, 1), element(4, b""), name=b"x"), "characters"),
    "a deep cell": (deep(40), "more than 32 in one another"),
    "a very deep cell": (deep(3000), "more than 32 in one another"),
    "twice a field": (matrix(2, (1, 1), fields(b"a", b"a") + NUMBER * 2, name=b"x"), "two fields of one name"),
    "an unknown class": (matrix(99, (1, 1), NUMBER, name=b"x"), "unknown class 99"),
    "a sparse array of claims": (matrix(5, (1, 2**31 - 1), element(5, b"") * 3, name=b"x"), "limit"),
    "twice a variable": (matrix(6, (1, 1), element(9, bytes(8)), name=b"x") * 2, "'x' more than once"),
    "an unknown element": (element(77, bytes(8)), "element of type 77"),
    "an element beyond the end": (struct.pack("<II", 14, 2**31) + bytes(64), "end of the file"),
    "a half tag": (b"\x0e\0\0", "end of the file"),
    "packed noise": (element(15, b"noise" * 10), "incorrect header check"),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(tmp_path: Path, name: str, packed: bool) -> None:
    content, found = HOSTILE[name]
    if packed and content[:1] == b"\x0e" and "twice a variable" not in name and "end" not in found:
        raw = zlib.compress(content)
        content = struct.pack("<II", 15, len(raw)) + raw
    path = put(tmp_path, HEAD + content)
    tracemalloc.start()
    try:
        with pytest.raises(ReadError, match=found) as caught:
            matlab.load(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert peak < 50_000_000


@pytest.mark.parametrize(
    ("kind", "shape", "content"),
    [(6, (2**17, 2**11), struct.pack("<II", 9, 2**31)), (1, (2**22, 1), b"")],
)
def test_bombs_are_refused_before_they_unpack(
    tmp_path: Path, kind: int, shape: tuple[int, ...], content: bytes
) -> None:
    size = 40_000_000
    raw = matrix(kind, shape, content, name=b"x")
    packer = zlib.compressobj(9)
    packed = packer.compress(struct.pack("<II", 14, len(raw) - 8 + size) + raw[8:])
    zeros = struct.pack("<II", 14, 0) * (size // 8)
    packed += packer.compress(zeros) + packer.flush()
    path = put(tmp_path, HEAD + struct.pack("<II", 15, len(packed)) + packed)
    tracemalloc.start()
    try:
        with pytest.raises(ReadError):
            matlab.load(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


def test_what_is_not_a_matlab_file(tmp_path: Path) -> None:
    for read in (matlab.load, matlab.names):
        with pytest.raises(ReadError, match="no such file"):
            read(tmp_path / "missing.mat")
        with pytest.raises(ReadError, match="not a plain file"):
            read(tmp_path)
        for content in (b"", b"time,EDA\n1,2\n", bytes(300), b"\0" * 126 + b"IX"):
            with pytest.raises(ReadError, match=r"no header of MATLAB's v5"):
                read(put(tmp_path, content))
    assert matlab.load(put(tmp_path, HEAD)) == {}


ANY_FILE = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    written = variables(np.random.default_rng(0)) | {"data": np.arange(12.0).reshape(2, 3, 2)}
    folder = tmp_path_factory.mktemp("seeds")
    return [save(folder, written, compressed=compressed).read_bytes() for compressed in (False, True)]


def read_or_refuse(tmp_path: Path, content: bytes) -> None:
    path = put(tmp_path, content)
    for read in (matlab.load, matlab.names):
        with contextlib.suppress(ReadError):
            read(path)


@ANY_FILE
@given(seed=st.integers(0, 1), cut=st.floats(0, 0.999))
def test_cut_files(tmp_path: Path, seeds: list[bytes], seed: int, cut: float) -> None:
    read_or_refuse(tmp_path, seeds[seed][: int(cut * len(seeds[seed]))])


@ANY_FILE
@given(
    seed=st.integers(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), min_size=1, max_size=4),
)
def test_flipped_bytes(tmp_path: Path, seeds: list[bytes], seed: int, flips: list[tuple[float, int]]) -> None:
    content = bytearray(seeds[seed])
    for place, change in flips:
        content[int(place * len(content))] ^= change
    read_or_refuse(tmp_path, bytes(content))


# --- v7.3 ---

HDF5 = b"MATLAB 7.3 MAT-file".ljust(124) + struct.pack("<H", 0x0200) + b"IM" + bytes(384) + b"\x89HDF\r\n\x1a\n"


def test_a_damaged_v73_file_is_named(tmp_path: Path) -> None:
    for read in (matlab.load, matlab.names):
        with pytest.raises(ReadError, match="whole HDF5 file"):
            read(put(tmp_path, HDF5 + bytes(100)))


@pytest.fixture
def write_hdf5(tmp_path: Path) -> Callable[[Callable[[Any], None]], Path]:
    def write(fill: Callable[[Any], None]) -> Path:
        path = tmp_path / "s01.mat"
        with h5py.File(path, "w", userblock_size=512) as file:
            fill(file)
        with path.open("r+b") as stream:
            stream.write(HDF5[:512])
        return path

    return write


def test_v73_values_are_plain(write_hdf5: Callable[[Callable[[Any], None]], Path]) -> None:
    def fill(file: Any) -> None:
        file["data"] = np.arange(6.0).reshape(3, 2)
        file["data"].attrs["MATLAB_class"] = np.bytes_("double")
        file["text"] = np.array([[ord(c)] for c in "P01"], dtype="u2")
        file["text"].attrs["MATLAB_class"] = np.bytes_("char")
        file["record/n"] = np.array([[2.0]])
        file["record"].attrs["MATLAB_class"] = np.bytes_("struct")

    path = write_hdf5(fill)
    read = matlab.load(path)
    assert matlab.names(path) == ["data", "record", "text"]
    np.testing.assert_array_equal(read["data"], np.arange(6.0).reshape(3, 2).T)
    assert read["text"] == "P01"
    assert read["record"]["n"].item() == 2


def test_v73_links_out_of_the_file_are_refused(write_hdf5: Callable[[Callable[[Any], None]], Path]) -> None:
    def fill(file: Any) -> None:
        file["elsewhere"] = h5py.ExternalLink("other.mat", "/data")

    with pytest.raises(ReadError, match="a link to another place or file"):
        matlab.load(write_hdf5(fill))


# --- parts ---


def nested(rng: np.random.Generator) -> dict[str, Any]:
    people = [{"EEG": {"stimuli": cell(rng.normal(size=(300 * n, 14)), np.zeros((0, 0)))}, "n": n} for n in (1, 2, 3)]
    return {"Data": cell(*people), "rate": 128.0, "names": cell("AF3", "F7"), "text": "none", "empty": np.zeros((0, 0))}


@pytest.mark.parametrize("compressed", [False, True])
def test_parts_are_what_the_whole_holds_in_any_order(
    tmp_path: Path, rng: np.random.Generator, compressed: bool
) -> None:
    path = save(tmp_path, {"before": rng.normal(size=(50, 50)), "s": nested(rng)}, compressed=compressed)
    whole = matlab.load(path)["s"]
    found = matlab.outline(path, "s", depth=2)
    assert (found.kind, list(found.fields)) == ("struct", ["Data", "rate", "names", "text", "empty"])
    assert (found.fields["Data"].kind, found.fields["Data"].shape) == ("cell", (1, 3))
    assert (found.fields["text"].kind, found.fields["rate"].kind) == ("text", "numbers")
    for number in (2, 0, 1, 0):
        part = matlab.load_part(found.fields["Data"].cells[number])
        expected = whole["Data"][0, number]
        np.testing.assert_array_equal(part["EEG"]["stimuli"][0, 0], expected["EEG"]["stimuli"][0, 0])
        assert part["n"].item() == number + 1
    assert matlab.load_part(found.fields["rate"]).item() == 128
    assert matlab.load_part(found.fields["text"]) == "none"
    assert [matlab.load_part(part) for part in found.fields["names"].cells] == ["AF3", "F7"]
    assert matlab.load_part(found.fields["empty"]).shape == (0, 0)
    assert matlab.load_part(found)["rate"].item() == 128, "the whole is a part"


def test_cells_are_counted_down_the_columns(tmp_path: Path) -> None:
    path = save(tmp_path, {"c": cell(11.0, 12.0, 21.0, 22.0, shape=(2, 2))})
    assert [matlab.load_part(part).item() for part in matlab.outline(path, "c").cells] == [11, 21, 12, 22]


def test_a_part_takes_little_more_memory_than_itself(tmp_path: Path) -> None:
    path = save(tmp_path, {"c": cell(*(np.full((100_000, 5), float(n)) for n in range(10)))})
    tracemalloc.start()
    try:
        parts = matlab.outline(path, "c").cells
        _, listing = tracemalloc.get_traced_memory()
        assert matlab.load_part(parts[7])[0, 0] == 7
        _, reading = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert listing < 4_000_000
    assert reading < 4 * 4_000_000 < 40_000_000


def test_a_large_part_does_not_hinder_a_small_one(tmp_path: Path) -> None:
    path = save(tmp_path, {"c": cell(np.zeros((1000, 1000)), np.ones((2, 2)))})
    large, small = matlab.outline(path, "c").cells
    assert matlab.load_part(small, limit=100).sum() == 4
    with pytest.raises(ReadError, match="more numbers than fit the limit"):
        matlab.load_part(large, limit=100)


def test_what_an_outline_refuses(tmp_path: Path, rng: np.random.Generator) -> None:
    path = save(tmp_path, {"c": cell(*([1.0] * 300))})
    with pytest.raises(ReadError, match="300 cells or fields; expected at most 256 parts"):
        matlab.outline(path, "c")
    with pytest.raises(ReadError, match=r"no variable 'C' among 1"):
        matlab.outline(path, "C")
    with pytest.raises(ReadError, match=r"v7\.3.*Save the variable 'c' again with -v7"):
        matlab.outline(put(tmp_path, HDF5 + bytes(100)), "c")
    path = save(tmp_path, {"c": cell(rng.normal(size=(5, 5)), 2.0)})
    part = matlab.outline(path, "c").cells[1]
    save(tmp_path, {"c": cell(rng.normal(size=(50, 50)), 2.0)})
    with pytest.raises(ReadError, match="another file than before"):
        matlab.load_part(part)
    assert matlab.load_part(matlab.outline(path, "c").cells[1]).item() == 2
    path.unlink()
    with pytest.raises(ReadError, match="No such file"):
        matlab.load_part(part)


def test_a_part_with_a_name_of_its_own_is_refused(tmp_path: Path) -> None:
    inner = matrix(6, (1, 1), element(9, bytes(8)), name=b"odd")
    path = put(tmp_path, HEAD + matrix(1, (1, 1), inner, name=b"c"))
    with pytest.raises(ReadError, match="calls itself 'odd'"):
        matlab.load_part(matlab.outline(path, "c").cells[0])


def parts_or_refuse(path: Path) -> None:
    with contextlib.suppress(ReadError):
        waiting = [matlab.outline(path, "s", depth=3)]
        while waiting:
            part = waiting.pop()
            waiting += [*part.fields.values(), *part.cells]
            with contextlib.suppress(ReadError):
                matlab.load_part(part)


@ANY_FILE
@given(
    compressed=st.booleans(),
    cut=st.floats(0.3, 1),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), max_size=3),
)
def test_parts_of_damaged_files(tmp_path: Path, compressed: bool, cut: float, flips: list[tuple[float, int]]) -> None:
    people = cell({"EEG": cell(np.arange(28.0).reshape(2, 14)), "n": "x"}, {"EEG": cell(), "n": 2.0})
    content = bytearray(save(tmp_path, {"s": {"Data": people, "rate": 3.0}}, compressed=compressed).read_bytes())
    for place, change in flips:
        content[int(place * len(content))] ^= change
    parts_or_refuse(put(tmp_path, bytes(content[: int(cut * len(content))])))


def test_samples_beyond_float32_are_missing() -> None:
    values = np.array([[1.0, 1e300], [np.inf, -2.0]])
    data = matlab.samples(values, 2.0)
    assert (data.dtype, data.flags.c_contiguous) == (np.float32, True)
    np.testing.assert_array_equal(data, [[2, np.nan], [np.nan, -4]])
    assert values[0, 0] == 1, "what was read stays as it is"


def test_tables(tmp_path: Path) -> None:
    assert matlab.table(np.ones((3, 2)), tmp_path, "x", columns=2).shape == (3, 2)
    for value, message in (
        (np.ones((2, 3)), "x: found 2 x 3 numbers; expected real numbers, at least 1 x 2"),
        (np.ones((0, 2)), r"nothing \(0 x 2\)"),
        (np.ones((2, 2), dtype=complex), "array of complex"),
        ("text", "found a str"),
        (np.ones((1, 2, 2)), "1 x 2 x 2"),
    ):
        with pytest.raises(ReadError, match=message.replace("x: ", "")):
            matlab.table(value, tmp_path, "x", columns=2)
