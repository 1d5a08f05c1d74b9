"""Whether a corpus is what it should be: what holds for every corpus, and what is known of this one.

The general checks ask the facts of :mod:`limbeck.datasets.inspecting`, so that every recording is read once; the checks
of a corpus (its labels against its tables, its counts against the paper) are its reader's, see
:func:`limbeck.datasets.checks_of`.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from limbeck.datasets import Check, Checks, DatasetInfo, checks_of, info, load, locate
from limbeck.datasets.files import find_folder, is_inside, read_bytes
from limbeck.datasets.inspecting import Inspection, Progress, RecordingFacts, inspect, pattern, spans
from limbeck.errors import LimbeckError, ReadError
from limbeck.recording import Corpus

__all__ = ["failed", "general_checks", "named", "outcome", "published_check", "validate"]

LINES = 10
"""Files that cannot be read of which it is said why; the others are named."""

NAMED = 3
"""Offenders that a check names; the number of the others is said."""

_MOSTLY_MISSING = 0.5  # share of samples
_COVERED = 0.9  # share of a recording that each of its signals should cover
_FEW_SECONDS = 5.0  # by which one may be shorter in any case
_ON_THEIR_OWN = ("gaze", "video")  # recorded by another machine, for the stimulus only
_LISTS = ("SHA256SUMS.txt", "SHA256SUMS.published", "SHA256SUMS")


def validate(
    name: str,
    root: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    jobs: int = 1,
    progress: Progress | None = None,
) -> list[Check]:
    """Look over a corpus.

    Parameters
    ----------
    name : str
        One of :func:`limbeck.datasets.available`.
    root : path-like, optional
        Its folder; by default where it is fetched to.
    options : mapping, optional
        Of the reader.
    jobs : int
        Worker processes, over subjects.
    progress : callable, optional
        Told recordings done, recordings in all, and whose are read.

    Returns
    -------
    list of Check
        The general ones, the comparison with published checksums, and those of the corpus; passed is None for those
        that could not be made, and for those that hold of what is there while something published is not
        (`Check.incomplete`).

    Raises
    ------
    DataError, ReadError
        The corpus cannot be listed.
    """
    corpus = load(name, root, **dict(options or {}))
    inspection = inspect(corpus, jobs=jobs, progress=progress)
    known = info(name)
    chosen = dict(options or {}).get("subjects") is not None
    published = known if known.access in ("open", "gated") else None
    checks = list(general_checks(inspection, published, chosen=chosen))
    place = None if known.access == "simulated" else locate(name, None if root is None else Path(root))
    if place is not None:
        checks += published_check(name, place, corpus)
        told = {" ".join(each.why.why.split()) for each in inspection.unread}
        checks += _own_checks(checks_of(name), place, corpus, told)
    return checks


def failed(checks: Iterable[Check]) -> bool:
    """Tell whether a check failed; one that could not be made did not."""
    return any(check.passed is False for check in checks)


def _own_checks(make: Checks | None, root: Path, corpus: Corpus, told: Collection[str]) -> Iterator[Check]:
    """Yield a reader's checks; one that cannot go on because of a file fails, and says which, unless that is `told`."""
    if make is None:
        return
    checks = make(root, corpus)
    while True:
        try:
            check = next(checks, None)
        except LimbeckError as error:
            what = f"what is known of {corpus.name} can be checked"
            if " ".join(str(error).split()) in told:
                yield Check(what, None, f"{error.file if isinstance(error, ReadError) else 'a file'} cannot be read")
            else:
                yield Check(what, False, str(error))
            return
        if check is None:
            return
        if check.passed is not False or " ".join(check.found.split()) not in told:  # once is enough
            yield check


def named(offenders: Sequence[str]) -> str:
    """Return the first of many in words: ``S02, S03, S04 and 5 more``."""
    more = len(offenders) - NAMED
    return ", ".join(offenders[:NAMED]) + (f" and {more} more" if more > 0 else "")


def outcome(what: str, wrong: Sequence[str], looked_at: int, *, of: str = "", missing: str = "") -> Check:
    """Return a check of many things of a kind.

    Parameters
    ----------
    what : str
        What should hold.
    wrong : sequence of str
        Those for which it does not, each with what was found.
    looked_at : int
        How many there were; 0 makes it a check that was not possible.
    of : str
        What they are, in the plural.
    missing : str
        What would be needed, where none could be looked at.
    """
    if not looked_at:
        return Check(what, None, missing or f"there are no {of}")
    told = f"{looked_at:,} {of}" if of else ""
    return Check(what, not wrong, f"{len(wrong):,} of {told or looked_at}: {named(wrong)}" if wrong else told)


# ---------------------------------------------------------------------------------------------------------------------
# What holds for every corpus
# ---------------------------------------------------------------------------------------------------------------------


def general_checks(
    inspection: Inspection, published: DatasetInfo | None = None, *, chosen: bool = False
) -> Iterator[Check]:
    """Yield what should hold for every corpus.

    Parameters
    ----------
    inspection : Inspection
    published : DatasetInfo, optional
        What the corpus is as published; None where it is the user's own.
    chosen : bool
        Whether only some of its subjects were asked for.
    """
    yield _readable(inspection)
    yield from _subjects(inspection, published, chosen=chosen)
    if not inspection.recordings:
        return
    yield _told_apart(inspection)
    for what, offends in (
        ("samples are finite, or missing (NaN)", _infinite),
        ("of no signal, more than half of the samples are missing", _mostly_missing),
        ("no channel is flat, or empty beside others", _flat),
        ("the signals of a recording cover the same time", _short),
    ):
        found = [(facts, text) for facts in inspection.recordings for text in offends(facts)]
        yield Check(what, not found, _by_subject(found))
    yield _no_copies(inspection)
    yield from _annotated(inspection.recordings)


def _readable(inspection: Inspection) -> Check:
    what = "every recording can be read"
    total = len(inspection.recordings) + len(inspection.unread)
    if not inspection.unread:
        return Check(what, total > 0, f"{total} recordings" if total else "found no recording")
    by_file: dict[str, list[str]] = {}
    for each in inspection.unread:
        by_file.setdefault(each.why.what, []).append(" ".join(each.why.why.split()))
    lines = [f"{own[0]} ({len(own)} recordings)" if len(own) > 1 else own[0] for own in by_file.values()]
    more = len(lines) - LINES
    lines = lines[:LINES] + ([f"and {more} more files: {', '.join([*by_file][LINES:])}"] if more > 0 else [])
    return Check(what, False, "\n".join([f"{len(inspection.unread)} of {total} cannot:", *lines]))


def _subjects(inspection: Inspection, published: DatasetInfo | None, *, chosen: bool) -> Iterator[Check]:
    """Check who is there, against who was published, and how many recordings of each were read."""
    found = len(inspection.subjects)
    if published is None or not published.subjects:
        yield Check("there are subjects", found > 0, f"{found} subjects")
        return
    listed = _listed(inspection)
    count = f"{len(listed)} of {published.subjects}"
    if len(listed) > published.subjects:
        yield Check("there are no more subjects than published", False, count)
        return
    what = "every published subject is there"
    absent = [name for name in published.names if name not in listed]
    if chosen:
        yield Check(what, None, f"{count}, as asked for by the option subjects", incomplete=True)
    elif absent:
        yield Check(
            what, None, f"{count}; {spans(absent)} {'are' if len(absent) > 1 else 'is'} not there", incomplete=True
        )
    elif len(listed) < published.subjects:
        yield Check(what, None, count, incomplete=True)
    else:
        yield Check(what, True, count)
    if published.each:
        counts = Counter(facts.subject for facts in inspection.recordings)
        uneven = [f"{subject} has {counts[subject]}" for subject in listed if counts[subject] != published.each]
        yield outcome(f"{published.each} recordings of every subject were read", uneven, len(listed), of="subjects")


def _listed(inspection: Inspection) -> list[str]:
    """Return the subjects who were found, whether or not anything of theirs can be read."""
    return [*dict.fromkeys([*inspection.subjects, *(each.subject for each in inspection.unread)])]


def _by_subject(found: Iterable[tuple[RecordingFacts, str]]) -> str:
    """Return what was found, what is alike in the recordings of a subject once, and name every subject."""
    alike: dict[tuple[str, str], list[str]] = {}
    for facts, text in found:
        alike.setdefault((facts.subject, pattern(text)), []).append(f"{facts.name}: {text}")
    texts = [
        own[0] + (f" (and {len(own) - 1} more recordings of {subject})" if len(own) > 1 else "")
        for (subject, _), own in alike.items()
    ]
    others = dict.fromkeys(subject for subject, _ in [*alike][NAMED:])
    return "; ".join(texts[:NAMED]) + (f"; and {len(texts) - NAMED} more, of {spans(others)}" if others else "")


def _told_apart(inspection: Inspection) -> Check:
    names = Counter((facts.subject, facts.session, facts.trial) for facts in inspection.recordings)
    orders = Counter((facts.subject, facts.session, facts.order) for facts in inspection.recordings)
    twice = ["/".join(filter(None, name)) for name, count in names.items() if count > 1]
    twice += [f"order {key[2]} of {'/'.join(filter(None, key[:2]))}" for key, count in orders.items() if count > 1]
    return Check("recordings differ in subject, session or trial, and in their order", not twice, named(twice))


def _infinite(facts: RecordingFacts) -> list[str]:
    return [
        f"{signal.infinite} infinite samples of {name}" for name, signal in facts.signals.items() if signal.infinite
    ]


def _mostly_missing(facts: RecordingFacts) -> list[str]:
    return [
        f"{signal.missing:.0%} of {name}" for name, signal in facts.signals.items() if signal.missing > _MOSTLY_MISSING
    ]


def _flat(facts: RecordingFacts) -> list[str]:
    found = []
    for name, signal in facts.signals.items():
        whole = len(signal.empty) == len(signal.channels)  # told as missing
        if bad := (*signal.flat, *(() if whole else signal.empty)):
            found.append(f"{name} {', '.join(bad)}")
    return found


def _short(facts: RecordingFacts) -> list[str]:
    signals = {name: signal for name, signal in facts.signals.items() if name not in _ON_THEIR_OWN}
    if not facts.signals:
        return ["no signal"]
    if not signals:
        return []
    first = min(signal.start for signal in signals.values())
    whole = max(signal.start + signal.seconds for signal in signals.values()) - first
    return [
        f"{name} has {signal.seconds:.1f} of {whole:.1f} s"
        for name, signal in signals.items()
        if signal.seconds < min(_COVERED * whole, whole - _FEW_SECONDS)
    ]


def _no_copies(inspection: Inspection) -> Check:
    """Look for signals that stand in two recordings: a file that was copied over another."""
    owners: dict[tuple[str, str], list[str]] = {}
    for facts in inspection.recordings:
        for modality, signal in facts.signals.items():
            if signal.digest:
                owners.setdefault((modality, signal.digest), []).append(facts.name)
    found = [
        f"{modality} of {' and '.join(names[:2])}" + (f" and {len(names) - 2} more" if len(names) > 2 else "")
        for (modality, _), names in owners.items()
        if len(names) > 1
    ]
    return Check("no two recordings hold the same signal", not found, named(found))


def _annotated(recordings: Sequence[RecordingFacts]) -> Iterator[Check]:
    events = [
        f"{facts.name}: {event.outside} of {event.count} {name}"
        for facts in recordings
        for name, event in facts.events.items()
        if event.outside
    ]
    what = "events lie inside their recording"
    if any(facts.events for facts in recordings):
        yield Check(what, not events, named(events))
    traces = [f"{facts.name}: {name}" for facts in recordings for name, t in facts.traces.items() if not t.ordered]
    if any(facts.traces for facts in recordings):
        yield Check("the times of traces increase", not traces, named(traces))
    what = "every recording has a label: an event, a rating or a trace"
    bare = [facts.name for facts in recordings if not (facts.events or facts.ratings or facts.traces)]
    if len(bare) == len(recordings):
        yield Check(what, None, "no recording has any: its labels come from elsewhere")
    else:
        yield Check(what, not bare, f"{len(bare)} without: {named(bare)}" if bare else "")


# ---------------------------------------------------------------------------------------------------------------------
# Published checksums
# ---------------------------------------------------------------------------------------------------------------------


def published_check(name: str, root: Path, corpus: Corpus) -> Iterator[Check]:
    """Compare files with the checksums that are published with a data set, if any are.

    Files that recordings are read from must be the published ones; of others it is said where they differ. Where fewer
    are there than published, the check is incomplete.

    Parameters
    ----------
    name : str
    root : Path
        As of :func:`limbeck.datasets.locate`.
    corpus : Corpus
    """
    what = "files are the published ones (SHA-256)"
    try:
        home, listed, source = _published(name, root)
    except LimbeckError as error:
        yield Check(what, None, f"the list cannot be read: {error}")
        return
    if not listed:
        return
    sources = {file.resolve() for each in corpus.sources for file in each.files}
    read: list[str] = []
    other: list[str] = []
    absent: list[str] = []
    equal = 0
    for path, digest in listed.items():
        file = home / path
        if not file.is_file() or not is_inside(file, home):
            absent.append(path)
            continue
        if _sha256(file) == digest:
            equal += 1
        else:
            (read if file.resolve() in sources else other).append(path)
    if not equal and not read and not other:
        yield Check(what, None, f"none of the {len(listed)} files of {source} is there")
        return
    found = f"{equal} of the {len(listed)} in {source} are there and equal"
    if absent:
        found += f"; {len(absent)} are not there: {named(absent)}"
    if read:
        found += f"; differ: {named(read)}"
    if other:
        found += f"; differ, and hold no signals: {named(other)}"
    if absent and not read:
        yield Check(what, None, found, incomplete=True)
    else:
        yield Check(what, not read, found)


def _published(name: str, root: Path) -> tuple[Path, dict[str, str], str]:
    """Return the folder that a list's paths start from, the SHA-256 by path, and where the list is from."""
    from limbeck.datasets import fetch

    def lists(folder: Path) -> bool:
        return any((folder / file).is_file() for file in _LISTS)

    if name in fetch.fetchable():
        listed = fetch.checksums(name)
        home = find_folder(root, lambda folder: any((folder / path).exists() for path in listed))
        return home or root, listed, "Limbeck's list"
    home = find_folder(root, lists)
    if home is None:
        return root, {}, ""
    file = next(home / file for file in _LISTS if (home / file).is_file())
    if not is_inside(file, root):
        return root, {}, ""
    rows = read_bytes(file, limit=16 * 2**20).decode("utf-8", "replace").splitlines()
    matches = (re.fullmatch(r"([0-9a-fA-F]{64})\s+\*?(.+)", row.strip()) for row in rows)
    paths = {match[2]: match[1].lower() for match in matches if match}
    inner = {path: digest for path, digest in paths.items() if ".." not in PurePosixPath(path).parts}
    return home, inner, file.name


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""
