"""Reads damaged corpora in a process of its own: a crash, a hang or a flood of memory ends this process only.

Run as a program. It reads jobs from its standard input and answers each with an outcome, both as pickled dictionaries
(the fields of :class:`Job` and :class:`Outcome`), preceded by their length.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import resource
import runpy
import signal
import struct
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

__all__ = ["CPU_SECONDS", "MEMORY", "Job", "Outcome", "receive", "send"]

CPU_SECONDS = 10.0
"""Of the processor, for listing and reading one corpus."""

MEMORY = 2 << 30
"""Bytes of address space beyond those of a process that has read an undamaged corpus of the kind."""


@dataclass(frozen=True)
class Job:
    """A corpus to be listed and read.

    Parameters
    ----------
    dataset : str
        Its name.
    root : Path
    options : mapping
    per_subject : int
        How many of each subject's recordings are read.
    whole : bool
        Whether it is undamaged; what reading it takes is the measure of memory for those that follow.
    cpu_seconds : float
        How long it may take.
    prelude : Path, optional
        A file of Python that is run first.
    """

    dataset: str
    root: Path
    options: Mapping[str, Any]
    per_subject: int
    whole: bool = False
    cpu_seconds: float = CPU_SECONDS
    prelude: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Parameters
    ----------
    kind : {"read", "left out", "refused", "failed"}
        All was read; something was left out or noted; Limbeck refused the corpus; anything else.
    text : str
        The traceback of a failure, the message of a refusal.
    """

    kind: str
    text: str = ""


def send(stream: IO[bytes], thing: object) -> None:
    """Write a thing."""
    content = pickle.dumps(thing)
    stream.write(struct.pack("<Q", len(content)) + content)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read a thing; None at the end of the stream."""
    head = stream.read(8)
    if len(head) < 8:
        return None
    return pickle.loads(stream.read(struct.unpack("<Q", head)[0]))


class _TooLong(BaseException):
    """No reader may take this for an error of a file."""


def _stop(*_: object) -> None:
    raise _TooLong


def _read(job: Job) -> Outcome:
    import numpy as np

    from limbeck.datasets import guess, load
    from limbeck.errors import LimbeckError, ReadError

    if job.prelude is not None:
        runpy.run_path(str(job.prelude))
    with contextlib.suppress(ReadError):
        guess(job.root)
    try:
        corpus = load(job.dataset, job.root, **job.options)
    except LimbeckError as error:
        return Outcome("refused", str(error))
    kept: dict[str, list[Any]] = {}
    for source in corpus.sources:
        kept.setdefault(source.subject, []).append(source)
    corpus.sources = tuple(source for own in kept.values() for source in own[: job.per_subject])
    n_read = 0
    for recording in corpus:
        n_read += 1
        for modality, held in recording.signals.items():
            if np.isinf(held.data).any():
                raise AssertionError(f"infinite samples of {modality} in {recording.subject} {recording.trial}")
        for name, value in recording.ratings.items():
            if np.isinf(value):
                raise AssertionError(f"{name} of {recording.subject} is infinite")
        for event in recording.events:
            if not (np.isfinite(event.start) and np.isfinite(event.end) and event.start <= event.end):
                raise AssertionError(f"{recording.subject} has the event {event}")
    for source in corpus.sources:
        source.fingerprint()
    return Outcome("read" if n_read == len(corpus) and not corpus.left_out else "left out")


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _limit_memory() -> None:
    used = _address_space()
    if used:  # elsewhere than on Linux nothing tells what is used
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))


def _guarded(job: Job) -> Outcome:
    signal.setitimer(signal.ITIMER_PROF, 0 if job.whole else job.cpu_seconds)
    try:
        outcome = _read(job)
    except _TooLong:
        outcome = Outcome("failed", f"more than {job.cpu_seconds:g} s\n{traceback.format_exc(limit=-8)}")
    except BaseException:
        outcome = Outcome("failed", traceback.format_exc(limit=-8))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return outcome


def main() -> None:
    """Do jobs until there are no more."""
    jobs, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    signal.signal(signal.SIGPROF, _stop)
    while (fields := receive(jobs)) is not None:
        job = Job(**fields)
        if job.whole:
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        outcome = _guarded(job)
        if job.whole:
            _limit_memory()
        send(answers, vars(outcome))


if __name__ == "__main__":
    main()
