"""Corpora of the literature that nobody has described: named, and refused with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from limbeck.datasets import available, info, load
from limbeck.errors import DataError


@pytest.mark.parametrize(("name", "title"), [("lumed-2", "LUMED-2"), ("decaf", "DECAF")])
def test_they_are_refused_with_what_to_use_instead(name: str, title: str, tmp_path: Path) -> None:
    (tmp_path / "recording.csv").write_text("a,b\n1,2\n")
    for root in (None, tmp_path):
        with pytest.raises(DataError, match=f"The files of {title} have no public description") as refused:
            load(name, root)
        for way in ("describe csv", "`e4`", "`edf`", "`bids`", "`xdf`", "from_arrays"):
            assert way in str(refused.value)


@pytest.mark.parametrize(("name", "subjects"), [("lumed-2", 13), ("decaf", 30)])
def test_what_is_published_about_them_is_told(name: str, subjects: int) -> None:
    known = info(name)
    assert name in available()
    assert known.access == "unread"
    assert known.checked.startswith("nothing")
    assert known.subjects == subjects
    assert known.url.startswith("https://doi.org/")
    assert known.obtain
    assert any("whole layout" in fact for fact in known.uncertain)


@pytest.mark.parametrize("name", ["lumed-2", "decaf"])
def test_options_are_refused_as_those_of_other_readers(name: str) -> None:
    with pytest.raises(DataError, match="subjects"):
        load(name, subjects=["1"])
