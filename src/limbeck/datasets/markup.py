"""XML from outside: parsed without document types and entities, so that nothing is expanded or fetched."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree
from xml.parsers import expat

from limbeck.datasets.files import read_bytes
from limbeck.errors import ReadError

__all__ = ["LARGEST_MARKUP", "parse", "parse_bytes"]

LARGEST_MARKUP = 8 * 2**20
"""Bytes of XML that are parsed by default; a session's description has a few thousand."""

_DEEPEST = 64
_CHUNK = 2**16


def parse(path: Path, *, limit: int = LARGEST_MARKUP) -> ElementTree.Element:
    """Return the root of an XML file.

    Entities are refused where they are declared, before one is expanded (an expansion may have billions of characters,
    or be another file); only the five that XML itself defines, and character references, are read.

    Parameters
    ----------
    path : Path
        The file.
    limit : int
        The most bytes that it may have.

    Returns
    -------
    xml.etree.ElementTree.Element
        Names in a namespace are written ``{uri}name``, as ElementTree does.

    Raises
    ------
    ReadError
        The file cannot be read, is longer than `limit`, is not well-formed, nests deeper than 64 elements, or has a
        document type declaration.
    """
    return parse_bytes(read_bytes(path, limit=limit), path)


def parse_bytes(content: bytes, path: Path) -> ElementTree.Element:
    """Return the root of XML that stands within a file, by the rules of :func:`parse`; `path` is for messages."""
    return _Markup(path).parse(content)


class _Markup:
    """One parsing of one file: expat's events become a tree, its declarations errors."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tree = ElementTree.TreeBuilder()
        self._depth = 0
        self._parser = parser = expat.ParserCreate(namespace_separator="}")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._tree.data
        parser.StartDoctypeDeclHandler = self._refusal("a document type declaration (<!DOCTYPE ...>)")
        parser.EntityDeclHandler = self._refusal("the declaration of an entity")
        parser.UnparsedEntityDeclHandler = self._refusal("the declaration of an entity")
        parser.NotationDeclHandler = self._refusal("the declaration of a notation")
        parser.ExternalEntityRefHandler = self._refusal("a reference to another file")
        parser.SkippedEntityHandler = self._refusal("an entity that XML does not define")

    def parse(self, content: bytes) -> ElementTree.Element:
        """Return the tree of the file's bytes, given to expat in pieces so that a refusal ends the work early."""
        try:
            for start in range(0, len(content), _CHUNK):
                self._parser.Parse(content[start : start + _CHUNK], False)
            self._parser.Parse(b"", True)
            return self._tree.close()
        except expat.ExpatError as error:
            advice = "The file is damaged or cut: copy it again."
            raise ReadError(self._path, found=str(error), expected="well-formed XML", advice=advice) from error
        except (LookupError, ValueError) as error:  # the XML declaration names an encoding that is none
            raise ReadError(self._path, where="line 1", found=str(error), expected="XML in UTF-8") from error

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._refuse(f"elements more than {_DEEPEST} deep in one another", "the few levels of a description")
        self._tree.start(_qualified(name), {_qualified(key): value for key, value in attributes.items()})

    def _end(self, name: str) -> None:
        self._depth -= 1
        self._tree.end(_qualified(name))

    def _refusal(self, found: str) -> Callable[..., NoReturn]:
        def refuse(*_: object) -> NoReturn:
            self._refuse(found, "plain XML, without declarations of its own")

        return refuse

    def _refuse(self, found: str, expected: str) -> NoReturn:
        raise ReadError(
            self._path,
            where=f"line {self._parser.CurrentLineNumber}",
            found=found,
            expected=expected,
            advice="Do not use this file before you know who wrote it: recorders do not write such XML.",
        )


def _qualified(name: str) -> str:
    """Return expat's ``uri}name`` as ElementTree writes it."""
    return re.sub(r"^(?=[^}]*})", "{", name)
