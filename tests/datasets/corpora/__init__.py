"""Small corpora of random numbers in the file formats of the real ones, with what a reader must find in them.

A writer is registered under the data set that reads what it writes. It makes a corpus of two or three subjects in an
empty folder and returns, in Limbeck's words and units, what it wrote. The contract of all readers is tested on these.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["CASES", "Case", "Expected", "ExpectedSignal", "Written", "corpus"]


@dataclass(frozen=True)
class ExpectedSignal:
    """One modality as a reader must give it.

    Parameters
    ----------
    data : ndarray of shape (n_channels, n_times), float64
        What was written, in the unit of `limbeck.recording.UNITS`; NaN where samples are missing.
    rate : float
        Hz.
    channels : tuple of str
        In order.
    start : float
        Seconds.
    rtol, atol : float
        What the file format rounds away, beyond float32.
    """

    data: np.ndarray
    rate: float
    channels: tuple[str, ...]
    start: float = 0.0
    rtol: float = 1e-6
    atol: float = 0.0


@dataclass(frozen=True)
class Expected:
    """One recording as a reader must give it; the fields are those of `limbeck.recording.Recording`."""

    subject: str
    signals: Mapping[str, ExpectedSignal]
    session: str = ""
    trial: str = ""
    order: int = 0
    ratings: Mapping[str, float] = field(default_factory=dict)
    events: Sequence[tuple[str, float, float]] = ()
    traces: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)


@dataclass(frozen=True)
class Written:
    """What a writer made.

    Parameters
    ----------
    root : Path
        What a user would pass as the data set's folder (or file).
    recordings : sequence of Expected
        In the reader's order.
    options : mapping
        Options of the reader that this case needs.
    signal_files : sequence of Path
        The files that hold samples: listing a corpus opens none of them, unless `listing_opens` says so.
    listing_opens : sequence of Path
        Signal files that must be opened to know what recordings there are (one file for the whole corpus, say).
    nests : bool
        Whether the reader tolerates that the corpus lies one folder deeper than `root`.
    guessed : str
        What `limbeck.datasets.guess` says of `root`; ``""`` for the data set itself.
    """

    root: Path
    recordings: Sequence[Expected]
    options: Mapping[str, Any] = field(default_factory=dict)
    signal_files: Sequence[Path] = ()
    listing_opens: Sequence[Path] = ()
    nests: bool = True
    guessed: str = ""


Writer = Callable[[Path, np.random.Generator], Written]


@dataclass(frozen=True)
class Case:
    """A data set and one way in which its files come.

    Parameters
    ----------
    dataset, variant : str
        The data set's name, and which of its layouts; ``""`` where there is one.
    write : callable
        ``write(folder, rng) -> Written``.
    heavy : bool
        Whether the format admits no corpus that is read in a fraction of a second (files of 100 MB, 40 trials in each):
        such a one is written with one seed, and of its recordings mostly one per subject is read.
    """

    dataset: str
    variant: str
    write: Writer
    heavy: bool = False

    def __str__(self) -> str:
        return f"{self.dataset}-{self.variant}" if self.variant else self.dataset


CASES: list[Case] = []
"""Every writer, in the order of the modules' names."""


def corpus(dataset: str, variant: str = "", *, heavy: bool = False) -> Callable[[Writer], Writer]:
    """Register a writer ``write(folder, rng) -> Written``; `rng` decides the numbers and the orders of presentation."""

    def decorate(write: Writer) -> Writer:
        CASES.append(Case(dataset, variant, write, heavy))
        return write

    return decorate


for _module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")
