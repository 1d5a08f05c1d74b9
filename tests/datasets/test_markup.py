"""XML from outside: descriptions are read, whatever would be expanded or fetched is refused."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limbeck.datasets import markup
from limbeck.errors import ReadError

SESSION = """<?xml version="1.0" encoding="utf-8" standalone="yes"?>
<session cutLenSec="66" cutNr="2" feltEmo="0" mediaFile="111.avi" sessionId="10" xmlns:x="urn:x">
  <subject id="1" gender="f">a &lt; b &#233; é</subject>
  <!-- recorded --><track type="Physiological" filename="Part_1_S_Trial1.bdf" x:note="&amp;"><annotation/>tail</track>
  <x:empty><![CDATA[<raw>]]></x:empty>
</session>
"""


def put(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "session.xml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def flat(root: ElementTree.Element) -> list[tuple[str, dict[str, str], str | None, str | None]]:
    return [(element.tag, element.attrib, element.text, element.tail) for element in root.iter()]


@pytest.mark.parametrize(
    "content",
    [
        SESSION.encode(),
        SESSION.replace("\n", "\r\n").encode(),
        SESSION.encode("utf-8-sig"),
        SESSION.replace("utf-8", "utf-16").encode("utf-16"),
        SESSION.replace("utf-8", "iso-8859-1").encode("latin1"),
    ],
)
def test_trees_are_those_of_elementtree(tmp_path: Path, content: bytes) -> None:
    assert flat(markup.parse(put(tmp_path, content))) == flat(ElementTree.fromstring(content))


def test_text_longer_than_a_piece(tmp_path: Path) -> None:
    assert markup.parse(put(tmp_path, f"<a>{'é' * 200_000}</a>")).text == "é" * 200_000


LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10 if i else "ha"}">' for i in range(12))
HOSTILE = {
    "billion laughs": f"<!DOCTYPE s [{LAUGHS}]><s>&l11;</s>",
    "quadratic": f'<!DOCTYPE s [<!ENTITY a "{"x" * 50_000}">]><s>{"&a;" * 50_000}</s>',
    "another file": '<!DOCTYPE s [<!ENTITY f SYSTEM "SECRET">]><s>&f;</s>',
    "another file as an attribute": '<!DOCTYPE s [<!ENTITY f SYSTEM "SECRET">]><s a="&f;"/>',
    "a parameter": '<!DOCTYPE s [<!ENTITY % f SYSTEM "SECRET"> %f;]><s/>',
    "a type elsewhere": '<!DOCTYPE s SYSTEM "SECRET"><s/>',
    "a type in public": '<!DOCTYPE s PUBLIC "-//X//Y" "http://localhost/x.dtd"><s/>',
    "a type that is harmless": "<!DOCTYPE s><s/>",
    "default attributes": '<!DOCTYPE s [<!ATTLIST s a CDATA "x">]><s/>',
    "a notation": '<!DOCTYPE s [<!NOTATION n SYSTEM "x">]><s/>',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_declarations_are_refused_before_they_work(tmp_path: Path, name: str) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the password")
    path = put(tmp_path, HOSTILE[name].replace("SECRET", secret.as_uri()))
    start = time.monotonic()
    with pytest.raises(ReadError, match="line 1: found a document type declaration") as caught:
        markup.parse(path)
    assert time.monotonic() - start < 1
    assert str(path) in str(caught.value)
    assert "password" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", "no element found"),
        ("<a><b></a>", "mismatched tag"),
        ("<a>", "no element found"),
        ("<a/><b/>", "junk after document element"),
        ("<a>&nbsp;</a>", "undefined entity"),
        ("<a>\x01</a>", "not well-formed"),
        ("<a x='1' x='2'/>", "duplicate attribute"),
        ("<?xml version='1.0' encoding='nonsense'?><a/>", "unknown encoding"),
        ("<?xml version='1.0' encoding='rot13'?><a/>", "encoding"),
        (b"<a>\xff</a>", "not well-formed"),
        ("<a>" * 100 + "</a>" * 100, "more than 64 deep"),
        ("<a>" * 1_000_000, "more than 64 deep"),
        ("time,EDA\n1,2\n", "syntax error: line 1"),
    ],
)
def test_what_is_not_a_description(tmp_path: Path, content: str | bytes, found: str) -> None:
    with pytest.raises(ReadError, match=found):
        markup.parse(put(tmp_path, content))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no such file"):
        markup.parse(tmp_path / "missing.xml")
    with pytest.raises(ReadError, match="not a plain file"):
        markup.parse(tmp_path)
    with pytest.raises(ReadError, match="more than 8 MiB"):
        markup.parse(put(tmp_path, f"<a>{' ' * markup.LARGEST_MARKUP}</a>"))


ANY_FILE = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@ANY_FILE
@given(cut=st.integers(0, len(SESSION.encode()) - 2))
def test_cut_files(tmp_path: Path, cut: int) -> None:
    content = SESSION.encode()[:cut]
    with pytest.raises(ReadError, match=r"session\.xml"):
        markup.parse(put(tmp_path, content))


@ANY_FILE
@given(
    flips=st.lists(st.tuples(st.integers(0, len(SESSION.encode()) - 1), st.integers(1, 255)), min_size=1, max_size=4)
)
def test_flipped_bytes(tmp_path: Path, flips: list[tuple[int, int]]) -> None:
    content = bytearray(SESSION.encode())
    for place, change in flips:
        content[place] ^= change
    with contextlib.suppress(ReadError):
        markup.parse(put(tmp_path, bytes(content)))
