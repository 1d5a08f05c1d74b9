"""Recordings: one trial, or one continuous stretch, of one subject, with several modalities at their own rates.

A *source* says where a recording comes from and how it is read, without reading it; a *corpus* is the list of sources
that a reader in :mod:`limbeck.datasets` found, with what it left out and why.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.errors import DataError, ReadError, did_you_mean

__all__ = [
    "MODALITIES",
    "UNITS",
    "Clock",
    "Corpus",
    "Event",
    "LeftOut",
    "Recording",
    "Signal",
    "Source",
    "Trace",
    "which_modality",
]

MODALITIES = ("eeg", "ecg", "eda", "emg", "bvp", "resp", "temp", "acc", "eog", "gaze", "video")

_CALLED = {
    "ppg": "bvp", "pleth": "bvp", "pulse": "bvp", "gsr": "eda", "scl": "eda", "scr": "eda", "skt": "temp",
    "rsp": "resp", "respiration": "resp", "temperature": "temp", "ekg": "ecg", "accelerometer": "acc", "accel": "acc",
    "eye": "gaze",
}  # fmt: skip


def which_modality(name: str) -> str:
    """Return what a modality of another name is called here, as a sentence to be put behind a message: ``PPG is bvp``.

    Of a name that is none of the usual ones it is the nearest, or the list, as of
    :func:`limbeck.errors.did_you_mean`.
    """
    known = _CALLED.get(name.strip().lower())
    return f" {name.strip().upper()} is {known} here." if known else did_you_mean(name, MODALITIES)


UNITS = {
    "eeg": "µV",
    "eog": "µV",
    "ecg": "mV",
    "emg": "mV",
    "eda": "µS",
    "temp": "°C",
    "acc": "g",
    "bvp": "a.u.",
    "resp": "a.u.",
    "gaze": "a.u.",
    "video": "a.u.",
}
"""The one unit in which Limbeck holds each modality."""


_SHOWN = 4


def _few(names: Sequence[str]) -> str:
    """Return names in a row for a ``repr``: the first ones, and how many more there are."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _named(one: Recording | Source) -> str:
    """Return whose recording it is and which, as far as it says."""
    return " ".join(part for part in (one.subject, one.session, one.trial) if part)


@dataclass(frozen=True, repr=False)
class Signal:
    """One modality of one recording.

    Parameters
    ----------
    data : ndarray of shape (n_channels, n_times), float32
        Samples in the unit of `UNITS`; missing samples are NaN.
    rate : float
        Sampling rate in Hz.
    channels : tuple of str
        A name per row of `data`.
    unit : str
        The unit of `data`.
    start : float
        Time of the first sample in seconds from the recording's start.
    """

    data: np.ndarray
    rate: float
    channels: tuple[str, ...]
    unit: str
    start: float = 0.0

    def __post_init__(self) -> None:
        if self.data.ndim != 2 or self.data.shape[0] != len(self.channels):
            raise DataError(
                f"A signal needs shape (channel, time) with a name per channel; found shape {self.data.shape} "
                f"and {len(self.channels)} names."
            )
        if not (np.isfinite(self.rate) and self.rate > 0):
            raise DataError(f"A signal needs a positive sampling rate in Hz; found {self.rate}.")

    def __repr__(self) -> str:
        channels = _few(self.channels)
        return f"<Signal: {channels}; {self.data.shape[1]} samples at {self.rate:g} Hz, {self.unit}>"

    @property
    def end(self) -> float:
        """Time behind the last sample, in seconds from the recording's start."""
        return self.start + self.data.shape[1] / self.rate


@dataclass(frozen=True)
class Event:
    """A named interval ``[start, end)`` in seconds from the recording's start."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, repr=False)
class Trace:
    """An annotation that runs with time.

    Parameters
    ----------
    times : ndarray of shape (n_times,), float64
        Seconds from the recording's start, increasing.
    values : ndarray of shape (n_times,), float32
        The annotated value.
    """

    times: np.ndarray
    values: np.ndarray

    def __repr__(self) -> str:
        return f"<Trace: {len(self.values)} values>"


@dataclass(frozen=True)
class Clock:
    """How the clock of one sensor ran against the recording's, and how its samples lay on it.

    A moment that the sensor calls ``t`` (seconds since its first sample) is ``offset + t * (1 + drift * 1e-6)`` seconds
    from the recording's start. `Signal.start` and the samples of a recording are on the recording's time already; a
    clock reports what was done to put them there.

    Parameters
    ----------
    offset : float
        Seconds from the recording's start to the sensor's first sample.
    drift : float
        By how many parts per million more seconds passed than the sensor counted; negative where it counted more.
    jitter : float
        Standard deviation, in seconds, of the sensor's times around the line above.
    gaps : tuple of (float, float)
        Stretches without samples, in seconds from the recording's start; NaN in the signal.
    source : str
        Where offset and drift come from: ``"clocks.csv"``, ``"time stamps"``.
    """

    offset: float = 0.0
    drift: float = 0.0
    jitter: float = 0.0
    gaps: tuple[tuple[float, float], ...] = ()
    source: str = ""


@dataclass(frozen=True, repr=False)
class Recording:
    """One trial, or one continuous stretch, of one subject.

    Parameters
    ----------
    subject, session, trial : str
        Whose recording it is and which; `session` and `trial` may be empty.
    order : int
        The place of this recording among those of its subject and session, from 0, in the order of recording.
    signals : mapping of str to Signal
        By modality (`MODALITIES`).
    ratings : mapping of str to float
        A value per recording.
    events : tuple of Event
        Named intervals.
    traces : mapping of str to Trace
        Values that run with time.
    notes : tuple of LeftOut
        Parts of the recording that could not be used (a sensor without samples, tags that contradict the labels) while
        the rest could.
    clocks : mapping of str to Clock
        By modality, for sensors whose clock was not the recording's; empty where one device recorded everything.
    """

    subject: str
    signals: Mapping[str, Signal]
    session: str = ""
    trial: str = ""
    order: int = 0
    ratings: Mapping[str, float] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    traces: Mapping[str, Trace] = field(default_factory=dict)
    notes: tuple[LeftOut, ...] = ()
    clocks: Mapping[str, Clock] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.signals) - set(MODALITIES))
        if unknown:
            raise DataError(f"Unknown modality {unknown} in the recording of {self.subject}; use {MODALITIES}.")

    def __repr__(self) -> str:
        return f"<Recording: {_named(self)}; {_few(tuple(self.signals)) or 'no signals'}; {self.duration:g} s>"

    @property
    def duration(self) -> float:
        """Seconds from the recording's start to the end of its longest signal."""
        return max((signal.end for signal in self.signals.values()), default=0.0)


@dataclass(frozen=True, repr=False)
class Source:
    """Where one recording comes from, before it is read.

    Parameters
    ----------
    subject, session, trial : str
        As in :class:`Recording`.
    files : tuple of Path
        Every file that decides the content.
    read : callable without arguments
        Returns the :class:`Recording`; picklable (a ``functools.partial`` over a function of a module), for workers.
    options : mapping
        Whatever else decides the content (JSON values).
    modules : tuple of str
        Names of the modules whose code reads the files; their source is part of cache keys.
    """

    subject: str
    read: Callable[[], Recording]
    session: str = ""
    trial: str = ""
    files: tuple[Path, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    modules: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Source: {_named(self)}; {_few(tuple(file.name for file in self.files)) or 'no files'}>"

    def fingerprint(self) -> str:
        """Return a SHA-256 over identity, options and the bytes of the files (not their paths or dates)."""
        digest = hashlib.sha256()
        identity = [self.subject, self.session, self.trial, dict(self.options)]
        digest.update(json.dumps(identity, sort_keys=True, default=str).encode())
        for file in self.files:
            digest.update(file.name.encode())
            if file.is_file():
                status = file.stat()
                digest.update(_digest(file, status.st_size, status.st_mtime_ns, status.st_ino))
        return digest.hexdigest()


@lru_cache(maxsize=4096)
def _digest(file: Path, *status: int) -> bytes:
    """Return the SHA-256 of a file's bytes; many recordings may lie in one, which is read once while it is the same."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


@dataclass(frozen=True)
class LeftOut:
    """Something that was not used: which file, subject or part, and why."""

    what: str
    why: str


@dataclass(repr=False)
class Corpus:
    """The recordings that a reader found, read lazily.

    Iterating reads one recording at a time; one that cannot be read is put on `left_out` and the rest goes on. What a
    recording itself had to leave out (`Recording.notes`) is put there too. Iterating again lists nothing twice.

    Parameters
    ----------
    name : str
        The corpus, as in ``limbeck datasets list``.
    sources : tuple of Source
        One per recording, in the order of subjects, sessions and trials.
    left_out : list of LeftOut
        What was found unusable so far, with file and reason.
    truth : mapping
        What is known about the truth of a simulated corpus; empty for recorded ones.
    """

    name: str
    sources: tuple[Source, ...]
    left_out: list[LeftOut] = field(default_factory=list)
    truth: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        subjects = _few(self.subjects) or "none"
        return (
            f"<Corpus {self.name}: {len(self.subjects)} subjects ({subjects}), {len(self.sources)} recordings, "
            f"{len(self.left_out)} left out>"
        )

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects in the order of their first source."""
        return tuple(dict.fromkeys(source.subject for source in self.sources))

    def of(self, subjects: Sequence[str]) -> Corpus:
        """Return the same corpus with some of its subjects only, what was left out so far included.

        Parameters
        ----------
        subjects : sequence of str
            Names, or stretches such as ``S01..S12`` in the order of the corpus, both ends included.

        Raises
        ------
        DataError
            With every name that no subject has.
        """
        known, chosen, mistakes = list(self.subjects), set(), []
        for entry in subjects:
            ends = entry.split("..") if entry.count("..") == 1 else [entry, entry]
            unknown = [end for end in dict.fromkeys(ends) if end not in known]
            mistakes += [f"There is no subject '{end}'.{did_you_mean(end, known)}" for end in unknown]
            if not unknown:
                first, last = (known.index(end) for end in ends)
                chosen |= set(known[first : last + 1])
                if last < first:
                    mistakes.append(f"'{entry}' runs backwards: '{ends[1]}' stands before '{ends[0]}' in this corpus.")
        if mistakes:
            raise DataError("\n".join(mistakes))
        return replace(self, sources=tuple(source for source in self.sources if source.subject in chosen))

    def __len__(self) -> int:
        return len(self.sources)

    def __iter__(self) -> Iterator[Recording]:
        for source in self.sources:
            try:
                recording = source.read()
            except ReadError as error:
                self.leave_out(LeftOut(what=error.file, why=str(error)))
                continue
            self.leave_out(*recording.notes)
            yield recording

    def leave_out(self, *items: LeftOut) -> None:
        """Put items on `left_out` that are not there yet."""
        self.left_out.extend(item for item in dict.fromkeys(items) if item not in self.left_out)
