"""Reading the small tables beside recordings."""

from __future__ import annotations

from pathlib import Path

import pytest

from limbeck.datasets.tables import read_rows
from limbeck.errors import ReadError


def test_rows_are_cells_by_column_with_their_number_whatever_the_line_ends(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    expected = [(2, {"who": "a", "how much": "1,5"}), (4, {"who": "b", "how much": ""})]
    for ending in ("\n", "\r\n", "\r"):
        file.write_bytes(b"\xef\xbb\xbf" + ending.join(["Who, How much", 'a , "1,5"', "", "b", ""]).encode())
        assert read_rows(file, ["who"]) == expected


def test_what_is_no_such_table_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    with pytest.raises(ReadError, match="no such file"):
        read_rows(file, ["who"])
    file.write_bytes(b"who\n\xff\n")
    with pytest.raises(ReadError, match="text in UTF-8"):
        read_rows(file, ["who"])
    file.write_bytes(b"a;b\n1;2\n")
    with pytest.raises(ReadError, match=r"row 1: found the columns 'a;b'; expected who among them"):
        read_rows(file, ["who"])


def test_a_cell_without_end_is_refused_with_its_row(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("subject,label\na,1\nb," + "x" * 200_000 + "\n")
    with pytest.raises(ReadError, match=r"labels\.csv, row 3: found .*; expected cells of ordinary length"):
        read_rows(file, ["subject"])


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("subject,label,label\na,1,0\n")
    with pytest.raises(ReadError, match=r"row 1: found the column .label. twice"):
        read_rows(file, ["subject"])
