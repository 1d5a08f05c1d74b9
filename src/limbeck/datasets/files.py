"""What every reader does with files: list them without the system's own, stay inside the root, read within bounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from limbeck.errors import DataError, ReadError
from limbeck.recording import LeftOut, Recording, Source

__all__ = [
    "LARGEST_FILE",
    "chosen",
    "find_folder",
    "hidden",
    "inside",
    "is_inside",
    "read_bytes",
    "renamed",
    "sources_inside",
    "there_are",
    "visible",
]

LARGEST_FILE = 128 * 2**20
"""Bytes of text that a reader takes into memory at once; a wristband's battery is empty before that."""

_LISTED = 60  # names in a message: all of any published corpus but the largest

_SYSTEM_NAMES = {"__macosx", "thumbs.db", "desktop.ini"}


def hidden(name: str) -> bool:
    """Tell whether a name is the system's (``.DS_Store``, ``._ACC.csv``, ``__MACOSX``), not the data's."""
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def visible(folder: Path) -> list[Path]:
    """Return what lies in a folder, sorted by name, without hidden and system files.

    Raises
    ------
    ReadError
        The folder cannot be listed.
    """
    try:
        return sorted(child for child in folder.iterdir() if not hidden(child.name))
    except OSError as error:
        raise ReadError(folder, found=str(error), expected="a folder that can be listed") from error


def is_inside(path: Path, root: Path) -> bool:
    """Tell whether a path, with every link in it followed, ends inside `root` (itself followed)."""
    return path.resolve().is_relative_to(root.resolve())


def inside(path: Path, root: Path) -> Path:
    """Return the path if no link in it leads out of `root`.

    Raises
    ------
    ReadError
        A link leads out of the root.
    """
    if not is_inside(path, root):
        raise ReadError(
            path,
            found="a link that leads out of the data set's folder",
            expected=f"a file inside {root}",
            advice="Copy the file there, or name the folder that it lies in.",
        )
    return path


def sources_inside(
    root: Path, found: Iterable[tuple[Path, Callable[[], Source]]]
) -> tuple[tuple[Source, ...], list[LeftOut]]:
    """Return the sources whose files lie inside the root, and one entry for all those behind links that lead out.

    Parameters
    ----------
    root : Path
        The data set's folder.
    found : iterable of (Path, callable)
        Where a recording lies, and what makes its source.

    Returns
    -------
    sources : tuple of Source
        In the order found.
    left_out : list of LeftOut
        Empty, or one entry that says how many links were not followed and where they lead.
    """
    sources: list[Source] = []
    outside: list[Path] = []
    for place, make in found:
        if is_inside(place, root):
            sources.append(make())
        else:
            outside.append(place)
    if not outside:
        return tuple(sources), []
    homes = list(dict.fromkeys(str(place.resolve().parent) for place in outside))
    real = homes[0] if len(homes) == 1 else f"{homes[0]} and {len(homes) - 1} more"
    if len(outside) == 1:
        what, link = str(outside[0]), "a link that leads out of the data set's folder is not followed"
    else:
        what = f"{outside[0]} and {len(outside) - 1} more"
        link = "links that lead out of the data set's folder are not followed"
    return tuple(sources), [LeftOut(what, f"{link}; pass the real folder ({real}), or copy the files")]


def find_folder(root: Path, fits: Callable[[Path], bool]) -> Path | None:
    """Return `root` if it fits, else the first folder directly in it that does (archives often unpack into ``X/X``)."""
    if not root.is_dir():
        return None
    if fits(root):
        return root
    children = [child for child in visible(root) if child.is_dir() and is_inside(child, root)]
    return next((child for child in children if fits(child)), None)


def read_bytes(path: Path, *, limit: int = LARGEST_FILE) -> bytes:
    """Return a file's bytes.

    Raises
    ------
    ReadError
        It is missing, unreadable, not a plain file or longer than `limit`.
    """
    if path.exists() and not path.is_file():
        raise ReadError(path, found="something that is not a plain file", expected="a file")
    try:
        with path.open("rb") as stream:
            content = stream.read(limit + 1)
    except FileNotFoundError as error:
        raise ReadError(path, found="no such file", expected="a file of that name") from error
    except OSError as error:
        raise ReadError(path, found=str(error), expected="a readable file") from error
    if len(content) > limit:
        raise ReadError(path, found=f"more than {limit >> 20} MiB", expected="a recording's file of ordinary size")
    return content


def chosen(found: Iterable[str], wanted: Iterable[str | int] | None, spelling: Callable[[str], str]) -> list[str]:
    """Return those of the found subjects that are wanted, in the order found.

    Parameters
    ----------
    found : iterable of str
        Subjects that there are.
    wanted : iterable of str or int, optional
        Subjects asked for, as they are called or by number; None for all.
    spelling : callable
        Turns what was asked for into the data set's spelling (``"7"`` into ``"S07"``).

    Raises
    ------
    DataError
        Subjects asked for are not there; all of them in one message.
    """
    subjects = list(found)
    if wanted is None:
        return subjects
    if isinstance(wanted, str | int):
        wanted = [wanted]
    names = {spelling(str(subject)) for subject in wanted}
    missing = sorted(names - set(subjects))
    if missing:
        unknown = ", ".join(f"'{name}'" for name in missing)
        raise DataError(f"There is no subject {unknown}.{there_are(subjects)}")
    return [subject for subject in subjects if subject in names]


def there_are(names: Sequence[str]) -> str:
    """Return the names that there are as a sentence to be put behind a message; of very many, the first.

    Names that differ by a number are all alike: what was meant by one that is not there, nobody can tell.
    """
    if not names:
        return " There is none."
    more = len(names) - _LISTED
    listed = f"{', '.join(names[:_LISTED])} and {more} more" if more > 0 else ", ".join(names)
    return f" There {'is' if len(names) == 1 else 'are'} {listed}."


def renamed(source: Source, subject: str) -> Source:
    """Return the source under another subject's name."""
    return dataclasses.replace(source, subject=subject, read=partial(_read_renamed, source, subject))


def _read_renamed(source: Source, subject: str) -> Recording:
    return dataclasses.replace(source.read(), subject=subject)
