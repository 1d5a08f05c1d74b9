"""Zips from outside: listed and read in memory, within bounds; nothing is unpacked to disk."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from limbeck.datasets.files import LARGEST_FILE
from limbeck.errors import ReadError

__all__ = ["read_member", "zip_members"]

_MOST_MEMBERS = 10_000


def zip_members(path: Path) -> list[zipfile.ZipInfo]:
    """Return what a zip lists.

    Raises
    ------
    ReadError
        It is not a whole zip, has thousands of entries, or one whose name leads out of it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ReadError(path, found=str(error), expected="a whole zip file", advice="Download it again.") from error
    if len(members) > _MOST_MEMBERS:
        raise ReadError(path, found=f"{len(members)} entries", expected="the few files of a session")
    for member in members:
        parts = member.filename.replace("\\", "/").split("/")
        if member.filename.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
            raise ReadError(
                path,
                where=repr(member.filename),
                found="a name that leads out of the zip",
                expected="plain relative names",
                advice="Do not use this file: an honest packer does not write it.",
            )
    return members


def read_member(path: Path, member: str) -> bytes:
    """Return a member's bytes, whatever size the zip states never more than `LARGEST_FILE`.

    Raises
    ------
    ReadError
        It does not unpack, or into more than that.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            content = stream.read(LARGEST_FILE + 1)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError, KeyError) as error:
        raise ReadError(
            path, where=member, found=str(error), expected="a member that unpacks", advice="Download the zip again."
        ) from error
    if len(content) > LARGEST_FILE:
        raise ReadError(
            path, where=member, found=f"more than {LARGEST_FILE >> 20} MiB unpacked", expected="a sensor's file"
        )
    return content
