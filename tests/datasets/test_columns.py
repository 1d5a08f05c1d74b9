"""Long tables of numbers, read by the names of their columns."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from limbeck.datasets import columns
from limbeck.datasets.columns import header_of, read_columns
from limbeck.errors import ReadError


def test_blocks_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.round(np.random.default_rng(1).normal(size=(500, 3)), 3)
    file = tmp_path / "t.csv"
    file.write_bytes(b"a;b;c\r\n" + "\r\n".join(";".join(map(str, row)) for row in values.tolist()).encode())
    monkeypatch.setattr(columns, "_BLOCK", 100)
    found = read_columns(file, ("c", "a")).numbers
    np.testing.assert_array_equal(found["a"], values[:, 0])
    np.testing.assert_array_equal(found["c"], values[:, 2])
    file.write_bytes(file.read_bytes() + b"\r\n1;x")
    with pytest.raises(ReadError, match="row 502: found 2 cells"):
        read_columns(file, ("c", "a"))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"\xef\xbb\xbfA,b\n1,2\n", [1.0]),
        (b"a\tb\n1,5\t2\n", [1.5]),
        (b'"a","b"\n"1","2"\n\n', [1.0]),
        (b"a,b\n,2\nn/a,2\n1e-400,2\n-inf,1\n", [np.nan, np.nan, 0.0, -np.inf]),
        (b"a,b\n1,\xe9\n", [1.0]),
    ],
)
def test_ways_of_writing_a_table(tmp_path: Path, text: bytes, wanted: list[float]) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(text)
    np.testing.assert_array_equal(read_columns(file, ("a",)).numbers["a"], wanted)
    assert [name.lower() for name in header_of(file)] == ["a", "b"]


def test_exponents_that_no_float_holds_do_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    for number in ("1e99999999999999999999", "9" * 400, "-1e400"):
        file.write_text(f"a,b\n1,1\n{number},1\n")
        with suppress(ReadError):  # pandas reads some of these as infinity
            assert np.isinf(read_columns(file, ("a",)).numbers["a"][1])
        assert read_columns(file, ("b",)).numbers["b"].tolist() == [1, 1]


@pytest.mark.parametrize(
    "content", [b"", b"\n1,2\n", b"a,b\n1,\0\n", b"a,a\n1,2\n", b"a,b\n1,2\n3,4,5\n", b"\xff\xfea\0", b"A,a\n1,2\n"]
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(content)
    with pytest.raises(ReadError):
        read_columns(file, ("a", "b"))


def test_a_row_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_BLOCK", 1000)
    file = tmp_path / "t.csv"
    file.write_text("a\n1\n" + "2" * 40_000 + "\n3\n")
    with pytest.raises(ReadError, match="a row of more than 16384 bytes"):
        read_columns(file, ("a",))
