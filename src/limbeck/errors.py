"""The exceptions of Limbeck: every message says what was found, what was expected and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

__all__ = [
    "DataError",
    "DownloadError",
    "LimbeckError",
    "ReadError",
    "StudyError",
    "did_you_mean",
]


class LimbeckError(Exception):
    """Anything that Limbeck refuses with an explanation; the command line prints it without a traceback."""


class DataError(LimbeckError):
    """Arrays, windows or folds are not what a function needs."""


class DownloadError(LimbeckError):
    """Published files could not be fetched, or are not the published ones."""


class ReadError(LimbeckError):
    """A file from outside cannot be read as what it should be.

    Parameters
    ----------
    file : path-like
        The offending file.
    where : str
        The row, field, column or byte that is wrong; ``""`` when it is the whole file.
    found, expected : str
        What stands there and what should.
    advice : str
        What the user can do about it.
    """

    def __init__(self, file: str | Path, *, found: str, expected: str, where: str = "", advice: str = "") -> None:
        self.file, self.where, self.found, self.expected, self.advice = str(file), where, found, expected, advice
        place = f"{self.file}, {where}" if where else self.file
        super().__init__(f"{place}: found {found}; expected {expected}." + (f" {advice}" if advice else ""))

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_read_error, (self.file, self.where, self.found, self.expected, self.advice))


def _rebuild_read_error(file: str, where: str, found: str, expected: str, advice: str) -> ReadError:
    return ReadError(file, where=where, found=found, expected=expected, advice=advice)


class StudyError(LimbeckError):
    """A study is not valid; ``mistakes`` lists every mistake found, not only the first."""

    def __init__(self, mistakes: Iterable[str], *, source: str = "study") -> None:
        self.mistakes = tuple(mistakes)
        self.source = source
        count = len(self.mistakes)
        head = f"{source}: {count} mistake{'s' if count != 1 else ''}"
        super().__init__("\n".join([head, *(f"  - {mistake}" for mistake in self.mistakes)]))

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_study_error, (self.mistakes, self.source))


def _rebuild_study_error(mistakes: tuple[str, ...], source: str) -> StudyError:
    return StudyError(mistakes, source=source)


_LISTED = 60
"""Names that a message lists at most."""


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest allowed name, or the list of allowed names.

    Parameters
    ----------
    name : str
        What was written.
    allowed : iterable of str
        What could have been written.

    Returns
    -------
    str
        A sentence that starts with a blank, to be put behind an error message.
    """
    names = sorted(map(str, allowed))  # keys of a YAML mapping may be numbers
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    if near:
        return f" Did you mean '{near[0]}'?"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f" Allowed: {', '.join(names[:_LISTED])}{more}." if names else ""
