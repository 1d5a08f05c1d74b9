"""What is in a corpus: every recording read once and reduced to a few numbers, before anybody trains on it.

*Facts* are what is kept of a signal, an event, a trace or a recording: counts, rates, ranges and a fingerprint of the
samples, never the samples. :func:`inspect` gathers them, in several processes where asked to; an :class:`Inspection`
pools them over recordings, and :mod:`limbeck.datasets.validating` asks them questions.
"""

from __future__ import annotations

import hashlib
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from limbeck.errors import DataError, LimbeckError, ReadError, did_you_mean
from limbeck.recording import Clock, Corpus, Event, LeftOut, Recording, Signal, Source, Trace

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "KEYS",
    "ClockGroup",
    "EventFacts",
    "EventGroup",
    "Inspection",
    "MissingGroup",
    "RatingGroup",
    "Reason",
    "RecordingFacts",
    "SignalFacts",
    "SignalGroup",
    "SubjectGroup",
    "TraceFacts",
    "TraceGroup",
    "Unread",
    "facts_of",
    "find_source",
    "inspect",
    "pattern",
    "reasons",
    "spans",
]

Progress = Callable[[int, int, str], None]
"""Told recordings done, recordings in all, and whose are read."""

Range = tuple[float, float, float]
"""Lowest, median and highest of some values; NaN where there are none."""

KEYS = ("subject", "session", "trial", "order", "seconds")
"""The first columns of the table of recordings."""

_SLACK = 0.5  # seconds by which an event may reach beyond the signals: annotations are often in whole seconds


# ---------------------------------------------------------------------------------------------------------------------
# What is kept of a recording
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SignalFacts:
    """What is kept of a signal.

    Parameters
    ----------
    rate : float
        Hz.
    channels : tuple of str
    unit : str
    start, seconds : float
        When it starts in the recording, and how long it is.
    missing : float
        Share of the samples of all channels that are NaN.
    infinite : int
        Samples that are infinite, which no reader should hand out.
    flat : tuple of str
        Channels that never move although they have samples.
    empty : tuple of str
        Channels without any sample.
    digest : str
        The same for signals of the same samples; ``""`` of signals in which nothing moves.
    """

    rate: float
    channels: tuple[str, ...]
    unit: str
    start: float
    seconds: float
    missing: float
    infinite: int
    flat: tuple[str, ...]
    empty: tuple[str, ...]
    digest: str


@dataclass(frozen=True)
class EventFacts:
    """How often an event comes in a recording, how long all of these last in s, and how many do not lie inside it."""

    count: int
    seconds: float
    outside: int


@dataclass(frozen=True)
class TraceFacts:
    """How many values a trace has, how many of them are missing, their range, and whether its times increase."""

    count: int
    missing: int
    lowest: float
    highest: float
    ordered: bool


@dataclass(frozen=True)
class RecordingFacts:
    """What is kept of a recording; the fields are those of :class:`limbeck.recording.Recording`."""

    subject: str
    session: str
    trial: str
    order: int
    seconds: float
    signals: Mapping[str, SignalFacts]
    ratings: Mapping[str, float] = field(default_factory=dict)
    events: Mapping[str, EventFacts] = field(default_factory=dict)
    traces: Mapping[str, TraceFacts] = field(default_factory=dict)
    notes: tuple[LeftOut, ...] = ()
    clocks: Mapping[str, Clock] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Subject, session and trial in one word: ``S02/pre/baseline``."""
        return "/".join(part for part in (self.subject, self.session, self.trial) if part)


@dataclass(frozen=True)
class Unread:
    """A recording that could not be read, and why."""

    subject: str
    session: str
    trial: str
    why: LeftOut


def _signal_facts(signal: Signal) -> SignalFacts:
    flat, empty, missing, infinite = [], [], 0, 0
    digest = hashlib.sha256()
    for name, row in zip(signal.channels, signal.data, strict=True):  # row by row: no copy of the whole
        finite = np.isfinite(row)
        held = row if finite.all() else row[finite]
        infinite += int(np.isinf(row).sum()) if len(held) < len(row) else 0
        missing += len(row) - len(held)
        if len(held) == 0:
            empty.append(name)
        elif len(held) > 1 and held.min() == held.max():
            flat.append(name)
        digest.update(np.ascontiguousarray(row).tobytes())
    moves = len(flat) + len(empty) < len(signal.channels)
    return SignalFacts(
        rate=signal.rate,
        channels=signal.channels,
        unit=signal.unit,
        start=signal.start,
        seconds=signal.data.shape[1] / signal.rate,
        missing=(missing - infinite) / signal.data.size if signal.data.size else 1.0,
        infinite=infinite,
        flat=tuple(flat),
        empty=tuple(empty),
        digest=digest.hexdigest() if moves else "",
    )


def _event_facts(events: Iterable[Event], seconds: float) -> dict[str, EventFacts]:
    facts: dict[str, EventFacts] = {}
    for event in events:
        known = facts.get(event.name, EventFacts(0, 0.0, 0))
        inside = -_SLACK <= event.start <= event.end <= seconds + _SLACK  # false for NaN, too
        length = event.end - event.start if np.isfinite(event.end - event.start) else 0.0
        facts[event.name] = EventFacts(known.count + 1, known.seconds + length, known.outside + (not inside))
    return facts


def _trace_facts(trace: Trace) -> TraceFacts:
    given: np.ndarray = trace.values  # noqa: PD011 - no frame's
    held = given[np.isfinite(given)]
    return TraceFacts(
        count=len(given),
        missing=len(given) - len(held),
        lowest=float(held.min()) if len(held) else float("nan"),
        highest=float(held.max()) if len(held) else float("nan"),
        ordered=bool(np.isfinite(trace.times).all() and (np.diff(trace.times) >= 0).all()),
    )


def facts_of(recording: Recording) -> RecordingFacts:
    """Return what is kept of a recording."""
    return RecordingFacts(
        subject=recording.subject,
        session=recording.session,
        trial=recording.trial,
        order=recording.order,
        seconds=recording.duration,
        signals={modality: _signal_facts(signal) for modality, signal in recording.signals.items()},
        ratings=dict(recording.ratings),
        events=_event_facts(recording.events, recording.duration),
        traces={name: _trace_facts(trace) for name, trace in recording.traces.items()},
        notes=recording.notes,
        clocks=dict(recording.clocks),
    )


# ---------------------------------------------------------------------------------------------------------------------
# Reading everything
# ---------------------------------------------------------------------------------------------------------------------


def inspect(corpus: Corpus, *, jobs: int = 1, progress: Progress | None = None) -> Inspection:
    """Read every recording of a corpus once and keep what can be said of it in a few numbers.

    Parameters
    ----------
    corpus : Corpus
        As of :func:`limbeck.datasets.load`.
    jobs : int
        Worker processes, over subjects; each holds one recording at a time and hands back facts, not samples.
    progress : callable, optional
        Told recordings done, recordings in all, and whose are read.

    Returns
    -------
    Inspection
        A recording that cannot be read is on `unread`, and the others are read.
    """
    groups: dict[str, list[Source]] = {}
    for source in corpus.sources:
        groups.setdefault(source.subject, []).append(source)
    read: list[RecordingFacts] = []
    unread: list[Unread] = []
    done = 0
    for subject, results in _results(groups, jobs):
        for result in results:
            done += 1
            if isinstance(result, Unread):
                unread.append(result)
            else:
                read.append(result)
            if progress is not None:
                progress(done, len(corpus.sources), subject)
    notes = [note for facts in read for note in facts.notes]
    left_out = tuple(dict.fromkeys([*corpus.left_out, *(each.why for each in unread), *notes]))
    return Inspection(corpus.name, tuple(read), tuple(unread), left_out)


def _results(
    groups: Mapping[str, Sequence[Source]], jobs: int
) -> Iterator[tuple[str, Iterable[RecordingFacts | Unread]]]:
    """Yield the facts of each subject, in the order of the corpus."""
    jobs = min(jobs, len(groups))
    if jobs <= 1:
        for subject, sources in groups.items():
            yield subject, map(_read, sources)
        return
    import joblib

    work = (joblib.delayed(_read_all)(sources) for sources in groups.values())
    yield from zip(groups, joblib.Parallel(n_jobs=jobs, backend="loky", return_as="generator")(work), strict=True)


def _read_all(sources: Sequence[Source]) -> list[RecordingFacts | Unread]:
    return [_read(source) for source in sources]


def _read(source: Source) -> RecordingFacts | Unread:
    try:
        return facts_of(source.read())
    except LimbeckError as error:
        name = "/".join(part for part in (source.subject, source.session, source.trial) if part)
        what = error.file if isinstance(error, ReadError) else name
        return Unread(source.subject, source.session, source.trial, LeftOut(what, str(error)))


def find_source(corpus: Corpus, subject: str | None = None, trial: str | None = None) -> Source:
    """Return the first source of a subject and trial; a trial may be named by its session, too.

    Raises
    ------
    DataError
        There is no such recording, with the nearest name.
    """
    sources = list(corpus.sources)
    if subject is not None:
        own = [source for source in sources if source.subject == subject]
        if not own:
            there = f" There are {spans(corpus.subjects)}." if corpus.subjects else ""
            raise DataError(f"{corpus.name}: there is no subject '{subject}'.{there}")
        sources = own
    if trial is not None:
        own = [source for source in sources if trial in (source.trial, source.session)]
        if not own:
            names = {name for source in sources for name in (source.trial, source.session) if name}
            raise DataError(f"{corpus.name}: there is no trial '{trial}'.{did_you_mean(trial, names)}")
        sources = own
    if not sources:
        raise DataError(f"{corpus.name}: there is no recording.")
    return sources[0]


# ---------------------------------------------------------------------------------------------------------------------
# What all of them are
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SignalGroup:
    """Recordings whose signals of a modality are alike: the same rate, channels and unit.

    Parameters
    ----------
    modality, rate, channels, unit
        What they share.
    subjects : tuple of str
        Whose they are.
    recordings : int
    seconds : float
        In all.
    missing : float
        Share of samples.
    """

    modality: str
    rate: float
    channels: tuple[str, ...]
    unit: str
    subjects: tuple[str, ...]
    recordings: int
    seconds: float
    missing: float


@dataclass(frozen=True)
class SubjectGroup:
    """Subjects that have the same number of recordings, with the same modalities and the same kinds of event.

    Parameters
    ----------
    subjects : tuple of str
    recordings, unread : int
        Per subject.
    modalities : mapping of str to int
        In how many of a subject's recordings each modality is.
    events : tuple of str
    seconds : tuple of float
        Lowest, median and highest over the subjects, of all recordings of each.
    """

    subjects: tuple[str, ...]
    recordings: int
    unread: int
    modalities: Mapping[str, int]
    events: tuple[str, ...]
    seconds: Range


@dataclass(frozen=True)
class MissingGroup:
    """Subjects who lack a modality that others have, or about as much of its samples.

    Parameters
    ----------
    modality : str
    subjects : tuple of str
    recorded : bool
        Whether they have signals of it at all.
    share : tuple of float
        Lowest, median and highest share of missing samples over the subjects, in all of their signals of the modality;
        a recording without it counts for nothing.
    recordings, of : int
        In how many of their recordings there is no signal or a sample is missing, and how many recordings they have.
    """

    modality: str
    subjects: tuple[str, ...]
    recorded: bool
    share: Range
    recordings: int
    of: int


@dataclass(frozen=True)
class Reason:
    """Why things were not used: one of them, how many there are, and whose they are, by subject or by file."""

    example: LeftOut
    count: int
    whose: tuple[str, ...]


@dataclass(frozen=True)
class EventGroup:
    """An event: in how many recordings of how many subjects it is, how often in all, and its seconds per subject."""

    name: str
    recordings: int
    subjects: int
    count: int
    seconds: Range


@dataclass(frozen=True)
class RatingGroup:
    """A rating: how many recordings have it and how many not, how many different values, and its range."""

    name: str
    recordings: int
    missing: int
    values: int
    range: Range


@dataclass(frozen=True)
class TraceGroup:
    """A trace: how many recordings have it, how many values in all, the share of them missing, and its range."""

    name: str
    recordings: int
    count: int
    missing: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class ClockGroup:
    """How the clocks of a sensor ran against those of the recordings; ranges over the recordings.

    Parameters
    ----------
    modality : str
    recordings : int
    offset, drift : tuple of float
        Seconds, and parts per million.
    jitter : float
        The largest, in seconds.
    gaps : int
    gap_seconds : float
        Of all gaps.
    sources : tuple of str
        Where offset and drift come from.
    """

    modality: str
    recordings: int
    offset: Range
    drift: Range
    jitter: float
    gaps: int
    gap_seconds: float
    sources: tuple[str, ...]


def _range(values: Iterable[float]) -> Range:
    held = [value for value in values if np.isfinite(value)]
    return (min(held), statistics.median(held), max(held)) if held else (float("nan"),) * 3


@dataclass(frozen=True)
class Inspection:
    """What is in a corpus.

    Parameters
    ----------
    name : str
        The corpus.
    recordings : tuple of RecordingFacts
        Those that were read, in the order of the corpus.
    unread : tuple of Unread
        Those that could not be read.
    left_out : tuple of LeftOut
        Everything that was not used: what the listing found, recordings that could not be read, parts of the others.
    """

    name: str
    recordings: tuple[RecordingFacts, ...]
    unread: tuple[Unread, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects of whom a recording was read."""
        return tuple(dict.fromkeys(facts.subject for facts in self.recordings))

    @property
    def seconds(self) -> Range:
        """Seconds per recording."""
        return _range(facts.seconds for facts in self.recordings)

    @property
    def total_seconds(self) -> float:
        """Seconds of all recordings."""
        return sum(facts.seconds for facts in self.recordings)

    def signal_groups(self) -> list[SignalGroup]:
        """Return the modalities in order of name, of each the variants, the most common first."""
        found: dict[tuple[str, float, tuple[str, ...], str], list[RecordingFacts]] = {}
        for facts in self.recordings:
            for modality, signal in facts.signals.items():
                found.setdefault((modality, signal.rate, signal.channels, signal.unit), []).append(facts)
        groups = []
        for (modality, rate, channels, unit), own in found.items():
            signals = [facts.signals[modality] for facts in own]
            seconds = sum(signal.seconds for signal in signals)
            missing = sum(signal.missing * signal.seconds for signal in signals) / seconds if seconds else 1.0
            subjects = tuple(dict.fromkeys(facts.subject for facts in own))
            groups.append(SignalGroup(modality, rate, channels, unit, subjects, len(own), seconds, missing))
        return sorted(groups, key=lambda group: (group.modality, -group.recordings))

    def subject_groups(self) -> list[SubjectGroup]:
        """Return the subjects, those who have the same together, in the order of the corpus."""
        unread = Counter(each.subject for each in self.unread)
        by_subject: dict[str, list[RecordingFacts]] = {}
        for facts in self.recordings:
            by_subject.setdefault(facts.subject, []).append(facts)
        alike: dict[tuple[object, ...], list[str]] = {}
        for subject in dict.fromkeys([*by_subject, *unread]):
            own = by_subject.get(subject, [])
            modalities = Counter(modality for facts in own for modality in facts.signals)
            events = tuple(sorted({name for facts in own for name in facts.events}))
            key = (len(own), unread[subject], tuple(sorted(modalities.items())), events)
            alike.setdefault(key, []).append(subject)
        return [
            SubjectGroup(
                tuple(subjects),
                recordings,  # type: ignore[arg-type]
                missed,  # type: ignore[arg-type]
                dict(modalities),  # type: ignore[call-overload]
                events,  # type: ignore[arg-type]
                _range(sum(facts.seconds for facts in by_subject.get(subject, [])) for subject in subjects),
            )
            for (recordings, missed, modalities, events), subjects in alike.items()
        ]

    def missing_groups(self) -> list[MissingGroup]:
        """Return who lacks which modality, or samples of it; of each modality, those who lack most come first."""
        by_subject: dict[str, list[RecordingFacts]] = {}
        for facts in self.recordings:
            by_subject.setdefault(facts.subject, []).append(facts)
        found = []
        for modality in dict.fromkeys(name for facts in self.recordings for name in facts.signals):
            alike: dict[int, list[tuple[str, float, int, int]]] = {}
            for subject, own in by_subject.items():
                signals = [facts.signals[modality] for facts in own if modality in facts.signals]
                without = len(own) - len(signals)
                share = _share_missing(signals)
                if without or share:
                    incomplete = without + sum(signal.missing > 0 for signal in signals)
                    alike.setdefault(_grade(share), []).append((subject, share, incomplete, len(own)))
            for grade, rows in sorted(alike.items()):
                subjects, shares, lacking, of = zip(*rows, strict=True)
                found.append(MissingGroup(modality, subjects, grade > 0, _range(shares), sum(lacking), sum(of)))
        return found

    def unused(self) -> list[Reason]:
        """Return why recordings and files were not used, the most common reason first."""
        own = {each.why: [each.subject] for each in self.unread}
        notes = {note for facts in self.recordings for note in facts.notes}
        return _reasons([item for item in self.left_out if item not in notes and not _says_used(item)], own)

    def notes(self) -> list[Reason]:
        """Return what could not be used of recordings that are, or was done to them; the most common reason first."""
        own: dict[LeftOut, list[str]] = {}
        for facts in self.recordings:
            for note in facts.notes:
                own.setdefault(note, []).append(facts.subject)
        return _reasons([item for item in self.left_out if item in own or _says_used(item)], own)

    def event_groups(self) -> list[EventGroup]:
        """Return the events, in the order in which they were met."""
        names = dict.fromkeys(name for facts in self.recordings for name in facts.events)
        groups = []
        for name in names:
            own = [facts for facts in self.recordings if name in facts.events]
            seconds: Counter[str] = Counter()
            for facts in own:
                seconds[facts.subject] += facts.events[name].seconds  # type: ignore[assignment]
            count = sum(facts.events[name].count for facts in own)
            groups.append(EventGroup(name, len(own), len(seconds), count, _range(seconds.values())))
        return groups

    def rating_groups(self) -> list[RatingGroup]:
        """Return the ratings, in the order in which they were met."""
        names = dict.fromkeys(name for facts in self.recordings for name in facts.ratings)
        groups = []
        for name in names:
            values = [facts.ratings[name] for facts in self.recordings if name in facts.ratings]
            held = [value for value in values if np.isfinite(value)]
            groups.append(RatingGroup(name, len(held), len(self.recordings) - len(held), len(set(held)), _range(held)))
        return groups

    def trace_groups(self) -> list[TraceGroup]:
        """Return the traces, in the order in which they were met."""
        names = dict.fromkeys(name for facts in self.recordings for name in facts.traces)
        groups = []
        for name in names:
            own = [facts.traces[name] for facts in self.recordings if name in facts.traces]
            count = sum(trace.count for trace in own)
            missing = sum(trace.missing for trace in own) / count if count else 0.0
            lowest, highest = _range(t.lowest for t in own)[0], _range(t.highest for t in own)[2]
            groups.append(TraceGroup(name, len(own), count, missing, lowest, highest))
        return groups

    def clock_groups(self) -> list[ClockGroup]:
        """Return the sensors whose clock was not the recording's."""
        names = sorted({modality for facts in self.recordings for modality in facts.clocks})
        groups = []
        for modality in names:
            own = [facts.clocks[modality] for facts in self.recordings if modality in facts.clocks]
            gaps = [gap for clock in own for gap in clock.gaps]
            groups.append(
                ClockGroup(
                    modality,
                    len(own),
                    _range(clock.offset for clock in own),
                    _range(clock.drift for clock in own),
                    max(clock.jitter for clock in own),
                    len(gaps),
                    sum(end - start for start, end in gaps),
                    tuple(dict.fromkeys(clock.source for clock in own if clock.source)),
                )
            )
        return groups

    def to_frame(self) -> pd.DataFrame:
        """Return a row per recording, also of those that could not be read.

        Returns
        -------
        DataFrame
            ``subject session trial order seconds``; per modality ``_rate _channels _unit _start _seconds _missing
            _flat``, and of those with a clock of their own ``_offset _drift _gaps``; per event ``event:NAME``
            (seconds), per rating ``rating:NAME``, per trace ``trace:NAME`` (values that are there); ``notes``, and
            ``unread`` with the reason where there is one.
        """
        import pandas as pd

        rows = [_row(facts) for facts in self.recordings]
        rows += [
            {"subject": u.subject, "session": u.session, "trial": u.trial, "unread": " ".join(u.why.why.split())}
            for u in self.unread
        ]
        frame = pd.DataFrame(rows)
        first = list(KEYS)
        last = ["notes", "unread"]
        names = [name for name in frame.columns if name not in (*first, *last)]
        return frame.reindex(columns=[*first, *names, *last])


def _row(facts: RecordingFacts) -> dict[str, object]:
    row: dict[str, object] = {
        "subject": facts.subject,
        "session": facts.session,
        "trial": facts.trial,
        "order": facts.order,
        "seconds": round(facts.seconds, 3),
    }
    for modality, signal in facts.signals.items():
        row |= {
            f"{modality}_rate": signal.rate,
            f"{modality}_channels": " ".join(signal.channels),
            f"{modality}_unit": signal.unit,
            f"{modality}_start": round(signal.start, 6),
            f"{modality}_seconds": round(signal.seconds, 3),
            f"{modality}_missing": round(signal.missing, 6),
            f"{modality}_flat": " ".join((*signal.flat, *signal.empty)),
        }
        if modality in facts.clocks:
            clock = facts.clocks[modality]
            row |= {
                f"{modality}_offset": clock.offset,
                f"{modality}_drift": clock.drift,
                f"{modality}_gaps": len(clock.gaps),
            }
    row |= {f"event:{name}": round(event.seconds, 3) for name, event in facts.events.items()}
    row |= {f"rating:{name}": value for name, value in facts.ratings.items()}
    row |= {f"trace:{name}": trace.count - trace.missing for name, trace in facts.traces.items()}
    row["notes"] = "; ".join(" ".join(f"{note.what}: {note.why}".split()) for note in facts.notes)
    return row


def spans(names: Iterable[str]) -> str:
    """Return names in few words: those that are numbered one after the other are ``s01 to s08``.

    Parameters
    ----------
    names : iterable of str
        In the order in which they are to be told.
    """
    runs: list[list[str]] = []
    for name in names:
        if runs and _follows(runs[-1][-1], name):
            runs[-1].append(name)
        else:
            runs.append([name])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(run) for run in runs)


def _follows(name: str, other: str) -> bool:
    """Tell whether `other` is the next number after `name`: ``s08`` and ``s09``, ``S9`` and ``S10``."""
    first, second = (re.fullmatch(r"(.*?)(\d{1,18})(\D*)", each, re.DOTALL) for each in (name, other))
    if first is None or second is None or (first[1], first[3]) != (second[1], second[3]):
        return False
    return int(second[2]) == int(first[2]) + 1 and len(second[2]) in (len(first[2]), len(str(int(second[2]))))


def _share_missing(signals: Sequence[SignalFacts]) -> float:
    """Return the share of missing samples of several signals; NaN where there are none."""
    samples = sum(signal.seconds * signal.rate * len(signal.channels) for signal in signals)
    missing = sum(signal.missing * signal.seconds * signal.rate * len(signal.channels) for signal in signals)
    return missing / samples if samples else 1.0 if signals else float("nan")


def _grade(share: float) -> int:
    """Return how bad a share of missing samples is: from 0, no signal, over 1, no sample, to hardly any missing."""
    if np.isnan(share):
        return 0
    return 2 + sum(share <= limit for limit in (0.5, 0.1, 0.01)) if share < 1 else 1


def _says_used(item: LeftOut) -> bool:
    """Tell whether what a reader says while listing is of recordings that are used nevertheless."""
    return re.search(r"\b(?:is|are) (?:used|read) without\b", item.why) is not None


def _reasons(items: Sequence[LeftOut], owners: Mapping[LeftOut, Sequence[str]]) -> list[Reason]:
    groups: dict[str, list[LeftOut]] = {}
    for item in items:
        groups.setdefault(pattern(item.why.replace(item.what, "")), []).append(item)
    found = []
    for own in groups.values():
        if all(item in owners for item in own):
            whose = dict.fromkeys(subject for item in own for subject in owners[item])
        else:
            whose = dict.fromkeys(_short([item.what.partition(": ")[0] for item in own]))
        found.append(Reason(own[0], len(own), tuple(whose)))
    return sorted(found, key=lambda reason: -reason.count)


def _short(places: Sequence[str]) -> list[str]:
    """Return the names of files without the folders that they share."""
    parts = [re.split(r"[/\\]", place) for place in places]
    shared = 0
    while all(len(own) > shared + 1 and own[shared] == parts[0][shared] for own in parts):
        shared += 1
    return ["/".join(own[shared:]) for own in parts]


def reasons(left_out: Iterable[LeftOut]) -> list[tuple[LeftOut, int]]:
    """Return one example of each reason for which something was left out, and how often it came, the most common first.

    Reasons are the same if their :func:`pattern` is.
    """
    groups: dict[str, list[LeftOut]] = {}
    for entry in left_out:
        groups.setdefault(pattern(entry.why.replace(entry.what, "")), []).append(entry)
    return sorted(((own[0], len(own)) for own in groups.values()), key=lambda item: -item[1])


def pattern(text: str) -> str:
    """Return a sentence without its numbers, quotations and names of files: what it has in common with others."""
    text = re.sub(r"'[^']*'|\S*[/\\]\S*|[-+]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?", "…", text)
    return re.sub(r"[\w.-]*…[\w…-]*(?:\.\w+)*|…(?:,? (?:and )?…)+", "…", text)
