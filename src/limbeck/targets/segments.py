"""Where windows are cut: the stretches of a recording that its events name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from limbeck.errors import did_you_mean
from limbeck.recording import Event

__all__ = ["Labelled", "Segment", "joined", "label_events", "missing_events"]

_SLACK = 1e-6  # seconds by which rounding may make neighbours overlap
_SHOWN = 3  # contradictions that a note names


class Segment(NamedTuple):
    """A stretch of a recording from which windows are cut; none crosses its ends.

    Parameters
    ----------
    start, end : float
        Seconds from the recording's start.
    condition : str
        The event that it comes from, ``""`` if none.
    code : int
        Class of its windows, -1 where the segment does not decide it.
    """

    start: float
    end: float
    condition: str
    code: int = -1


class Labelled(NamedTuple):
    """What the events of a recording say about where windows are cut.

    Parameters
    ----------
    segments : list of Segment
        By start; they do not overlap.
    contradictory : tuple of Event
        Events that overlap one of another class; no segment comes from them.
    notes : tuple of str
        What was not taken as it stands, and why.
    """

    segments: list[Segment]
    contradictory: tuple[Event, ...] = ()
    notes: tuple[str, ...] = ()


def label_events(events: Sequence[Event], codes: dict[str, int]) -> Labelled:
    """Turn events into segments of their classes.

    Where events of one class overlap, the time that they share is used once: those of one name become one segment, of
    two names the later one begins where the earlier one ends. Where events of different classes overlap, what the
    subject did is not known, and none of them is used.

    Parameters
    ----------
    events : sequence of Event
        Those that count, in any order; empty ones are skipped.
    codes : dict of str to int
        Class by name; -1 for names that are not in it.

    Returns
    -------
    Labelled
    """
    events = sorted((event for event in events if event.end > event.start), key=lambda event: (event.start, event.end))
    clashes = _clashes(events, np.array([codes.get(event.name, -1) for event in events]))
    refused = {index for pair in clashes for index in pair}
    notes = [
        f"the events {_span(events[i])} and {_span(events[j])} overlap and belong to different classes; neither is used"
        for i, j in clashes[:_SHOWN]
    ]
    if len(clashes) > _SHOWN:
        notes.append(f"{len(clashes) - _SHOWN} more pairs of events of different classes overlap; none is used")
    found = [
        Segment(event.start, event.end, event.name, codes.get(event.name, -1))
        for index, event in enumerate(events)
        if index not in refused
    ]
    ends = np.maximum.accumulate([segment.end for segment in found]) if found else np.empty(0)
    shared = sum(later.start < end - _SLACK for later, end in zip(found[1:], ends, strict=False))
    if shared:
        notes.append(f"{shared} of {len(events)} events overlap others of their class; the time shared counts once")
    return Labelled(joined(found), tuple(events[index] for index in sorted(refused)), tuple(notes))


def joined(segments: Sequence[Segment]) -> list[Segment]:
    """Return segments of one class by start, without overlaps.

    Parameters
    ----------
    segments : sequence of Segment

    Returns
    -------
    list of Segment
        Covering the same time: overlapping ones of one condition are one; of two, the later one begins where the
        earlier one ends.
    """
    apart: list[Segment] = []
    for segment in sorted(segments):
        last = apart[-1] if apart else None
        if last is None or segment.start >= last.end - _SLACK:
            apart.append(segment)
        elif segment.condition == last.condition:
            apart[-1] = last._replace(end=max(last.end, segment.end))
        elif segment.end > last.end:
            apart.append(segment._replace(start=last.end))
    return apart


def missing_events(wanted: Sequence[str], found: Sequence[str]) -> Iterator[str]:
    """Yield a mistake for each event that no recording has."""
    for name in wanted:
        if name not in found:
            yield f"no recording has an event '{name}'.{did_you_mean(name, found)}"


def _clashes(events: Sequence[Event], codes: np.ndarray) -> list[tuple[int, int]]:
    """Return the pairs of events, by start, that overlap though their codes differ."""
    starts, ends = (np.array([getattr(event, edge) for event in events], dtype=np.float64) for edge in ("start", "end"))
    overlap = np.triu(starts[np.newaxis] < ends[:, np.newaxis] - _SLACK, k=1)
    differ = codes[np.newaxis] != codes[:, np.newaxis]
    return [(int(i), int(j)) for i, j in np.argwhere(overlap & differ)]


def _span(event: Event) -> str:
    return f"{event.name} ({event.start:g} to {event.end:g} s)"
