"""Targets: what is predicted from a window, made from a recording's annotations.

A target comes from *events* (named intervals become classes), from a *rating* (a value per recording, split into
``low`` and ``high``), from *levels* (boxes in the space of several ratings), or from a *trace* (a value that runs with
time, averaged over the window).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NamedTuple

import numpy as np

from limbeck.errors import DataError, StudyError, did_you_mean
from limbeck.recording import Event, Recording

__all__ = ["LEVELS", "Labelled", "Segment", "Target", "joined", "missing_events"]

SUBJECT_THRESHOLDS = ("subject_mean", "subject_median")

_FEAR = ("none", "low", "medium", "high")


def _fear(**intervals: str) -> dict[str, dict[str, str]]:
    """Return a table of fear levels from an interval per level, in the order of `_FEAR`, of each rating."""
    columns = {name: text.split(" | ") for name, text in intervals.items()}
    return {level: {name: column[row] for name, column in columns.items()} for row, level in enumerate(_FEAR)}


LEVELS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "deap_fear": _fear(
        valence="[7, 9] | [5, 7) | [3, 5) | [1, 3)",
        arousal="[1, 3) | [3, 5) | [5, 7) | [7, 9]",
        dominance="[7, 9] | [5, 7) | [3, 5) | [1, 3)",
    ),
    "deap_fear_printed": _fear(
        valence="[7, 9] | [5, 7] | [3, 5] | [1, 3]",
        arousal="[1, 3] | [3, 5] | [5, 7] | [7, 9]",
        dominance="[7, 9] | [5, 7] | [3, 5] | [1, 3]",
    ),
    "ascertain_fear": _fear(
        valence="[1, 3] | (-2, -1] | (-3, -2] | [-3, -3]",
        arousal="[0, 2] | [3, 4) | [4, 5) | [5, 6]",
        engagement="[0, 2] | [3, 4) | [4, 5) | [5, 6]",
        liking="[5, 6] | [3, 4] | (1, 2] | [0, 1]",
        familiarity="(2, 4] | (1, 2] | (0, 1] | [0, 0]",
    ),
    "ascertain_fear_printed": _fear(
        valence="[0, 2] | [3, 4] | [4, 5] | [5, 6]",
        arousal="[1, 3] | [-2, -1] | [-3, -2] | [-3, -3]",
        engagement="[0, 2] | [3, 4] | [4, 5] | [5, 6]",
        liking="[5, 6] | [3, 4] | [1, 2] | [0, 1]",
        familiarity="[2, 4] | [1, 2] | [0, 1] | [0, 0]",
    ),
}
"""Tables of levels by name: for each class the interval in which each rating must lie.

The four levels of fear on DEAP and on ASCERTAIN were published with edges that belong to two levels and, for ASCERTAIN,
with valence (rated from -3 to 3) and arousal (0 to 6) exchanged: ``..._printed`` is that, word for word, and on
ASCERTAIN only its level ``none`` can be met. In ``deap_fear``, an edge belongs to the interval above it, and the end of
the scale to the last one. In ``ascertain_fear``, the columns are put right and a shared edge belongs to the higher
level of fear; else whole-numbered ratings would leave levels empty.
"""

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


@dataclass(frozen=True)
class Target:
    """What is predicted, and where windows are cut for it.

    Exactly one of `events`, `ratings`, `levels` and `trace` says where it comes from.

    Parameters
    ----------
    name : str
        What reports call it.
    events : mapping of str to list of str
        Class to the names of the events that belong to it; windows are cut inside these events, and the classes are
        coded in this order.
    ratings : str
        Key of a rating. A recording is ``high`` when its rating is above the threshold, else ``low``.
    threshold : float or {"subject_mean", "subject_median"}
        With `ratings`: a number on the rating's scale, or the mean or median of the subject's recordings.
    trace : str
        Key of a trace; a window's target is the mean of the samples in it.
    within : list of str
        With `ratings`, `levels` or `trace`: the events inside which windows are cut; the whole recording if empty.
    levels : str or mapping of str to mapping of str to str
        One of :data:`LEVELS`, or such a table: class to the interval (``"[1, 3)"``: 1 belongs to it, 3 does not) in
        which each rating must lie. The classes are coded in this order. A recording that fits none of them, or more
        than one, has no target, and no window of it is used.

    Raises
    ------
    StudyError
        With every mistake found.

    Examples
    --------
    >>> Target(name="stress", events={"rest": ["rest"], "stress": ["stroop", "interview"]}).classes
    ('rest', 'stress')
    >>> Target(name="valence", ratings="valence", threshold=5).classes
    ('low', 'high')
    >>> Target(name="fear", levels="deap_fear").classes
    ('none', 'low', 'medium', 'high')
    """

    name: str
    events: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ratings: str = ""
    threshold: float | str | None = None
    trace: str = ""
    within: tuple[str, ...] = ()
    levels: str | Mapping[str, Mapping[str, str]] = ""

    def __post_init__(self) -> None:
        mistakes = list(_mistakes(self))
        if mistakes:
            raise StudyError(mistakes, source="target")
        object.__setattr__(self, "events", {name: _names(events) for name, events in self.events.items()})
        object.__setattr__(self, "within", _names(self.within))

    @classmethod
    def parse(cls, definition: Mapping[str, Any]) -> Target:
        """Build a target from its YAML form, a mapping with the parameters' names.

        Raises
        ------
        StudyError
            With every mistake: unknown keys (with the nearest), contradictions, wrong values.
        """
        if not isinstance(definition, Mapping):
            raise StudyError(
                [f"expected a mapping such as {{name: ..., events: ...}}, found {definition!r}"], source="target"
            )
        allowed = [entry.name for entry in fields(cls)]
        mistakes = [
            f"there is no key '{key}'.{did_you_mean(str(key), allowed)}" for key in definition if key not in allowed
        ]
        known = {key: value for key, value in definition.items() if key in allowed}
        if "name" not in known:
            mistakes.append("the key 'name' is missing")
            known["name"] = "target"
        try:
            target = cls(**known)
        except StudyError as error:
            raise StudyError([*mistakes, *error.mistakes], source="target") from None
        if mistakes:
            raise StudyError(mistakes, source="target")
        return target

    @property
    def kind(self) -> Literal["class", "trace"]:
        """Whether windows carry a class code or a value."""
        return "trace" if self.trace else "class"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the order of their codes; empty for a trace."""
        if self.trace:
            return ()
        if self.levels:
            return tuple(self.boxes)
        return tuple(self.events) if self.events else ("low", "high")

    @property
    def boxes(self) -> Mapping[str, Mapping[str, str]]:
        """The table of levels, by name or as given; empty for other targets."""
        if isinstance(self.levels, str):
            return LEVELS[self.levels] if self.levels else {}
        return self.levels

    @property
    def definition(self) -> dict[str, Any]:
        """Everything that decides the target, as JSON values."""
        definition: dict[str, Any] = {
            "name": self.name,
            "events": [[name, list(events)] for name, events in self.events.items()],
            "ratings": self.ratings,
            "threshold": self.threshold,
            "trace": self.trace,
            "within": list(self.within),
        }
        if self.levels:  # only then, so that windows cached for other targets stay valid
            definition["levels"] = [[name, dict(box)] for name, box in self.boxes.items()]
        return definition

    @property
    def event_names(self) -> tuple[str, ...]:
        """Events inside which windows are cut; empty when it is the whole recording."""
        return tuple(event for events in self.events.values() for event in events) or self.within

    def labelled(self, recording: Recording) -> Labelled:
        """Return the stretches from which windows are cut.

        Where events of one class overlap, the time that they share is used once: those of one name become one segment,
        of two names the later one begins where the earlier one ends. Where events of different classes overlap, what
        the subject did is not known, and none of them is used.

        Parameters
        ----------
        recording : Recording

        Returns
        -------
        Labelled
        """
        if not self.event_names:
            return Labelled([Segment(0.0, recording.duration, "")])
        codes = {event: code for code, events in enumerate(self.events.values()) for event in events}
        events = sorted(
            (event for event in recording.events if event.name in self.event_names and event.end > event.start),
            key=lambda event: (event.start, event.end),
        )
        clashes = _clashes(events, np.array([codes.get(event.name, -1) for event in events]))
        refused = {index for pair in clashes for index in pair}
        notes = [
            f"the events {_span(events[i])} and {_span(events[j])} overlap and belong to different classes; "
            "neither is used"
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

    def values(self, recording: Recording, codes: np.ndarray, starts: np.ndarray, length: float) -> np.ndarray:
        """Return what the annotations say about windows, before thresholds that need a subject's other recordings.

        Parameters
        ----------
        recording : Recording
        codes : ndarray of shape (n_windows,), int
            Of the segment that each window comes from.
        starts : ndarray of shape (n_windows,), float64
            Seconds from the recording's start.
        length : float
            Seconds.

        Returns
        -------
        ndarray of shape (n_windows,), float64
            Class codes (NaN where no level fits, or more than one), the rating, or the means of the trace (NaN where it
            has no sample in the window).

        Raises
        ------
        DataError
            The recording lacks a rating or the trace.
        """
        if self.levels:
            return np.full(len(starts), _level(self.boxes, recording.ratings))
        if self.ratings:
            if self.ratings not in recording.ratings:
                raise DataError(f"There is no rating '{self.ratings}'.{did_you_mean(self.ratings, recording.ratings)}")
            return np.full(len(starts), float(recording.ratings[self.ratings]))
        if self.trace:
            if self.trace not in recording.traces:
                raise DataError(f"There is no trace '{self.trace}'.{did_you_mean(self.trace, recording.traces)}")
            trace = recording.traces[self.trace]
            return _means(np.asarray(trace.times), np.asarray(trace.values, dtype=np.float64), starts, length)
        return codes.astype(np.float64)

    def split(self, ratings: np.ndarray) -> float:
        """Return the rating above which a recording is ``high``, from the ratings of all of a subject's recordings."""
        if self.threshold == "subject_mean":
            return float(np.nanmean(ratings))
        if self.threshold == "subject_median":
            return float(np.nanmedian(ratings))
        return float(self.threshold if self.threshold is not None else math.nan)


def _level(boxes: Mapping[str, Mapping[str, str]], ratings: Mapping[str, float]) -> float:
    """Return the code of the one level whose intervals hold all ratings, NaN if none or several do."""
    for name in dict.fromkeys(name for box in boxes.values() for name in box):
        if name not in ratings:
            raise DataError(f"There is no rating '{name}'.{did_you_mean(name, ratings)}")
    fitting = [
        code
        for code, box in enumerate(boxes.values())
        if all(_holds(interval, float(ratings[name])) for name, interval in box.items())
    ]
    return float(fitting[0]) if len(fitting) == 1 else math.nan


_NUMBER = r"\s*(-?\d+(?:\.\d*)?)\s*"
_INTERVAL = re.compile(rf"([\[(]){_NUMBER},{_NUMBER}([\])])")


def _holds(interval: str, value: float) -> bool:
    """Tell whether an interval such as ``[1, 3)`` holds a value."""
    match = _INTERVAL.fullmatch(interval)
    if match is None:
        raise DataError(f"'{interval}' is no interval such as '[1, 3)'.")
    low, high = float(match[2]), float(match[3])
    return (value > low or (value == low and match[1] == "[")) and (value < high or (value == high and match[4] == "]"))


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


def _clashes(events: Sequence[Event], codes: np.ndarray) -> list[tuple[int, int]]:
    """Return the pairs of events, by start, that overlap though their codes differ."""
    starts, ends = (np.array([getattr(event, edge) for event in events], dtype=np.float64) for edge in ("start", "end"))
    overlap = np.triu(starts[np.newaxis] < ends[:, np.newaxis] - _SLACK, k=1)
    differ = codes[np.newaxis] != codes[:, np.newaxis]
    return [(int(i), int(j)) for i, j in np.argwhere(overlap & differ)]


def _span(event: Event) -> str:
    return f"{event.name} ({event.start:g} to {event.end:g} s)"


def missing_events(wanted: Sequence[str], found: Sequence[str]) -> Iterator[str]:
    """Yield a mistake for each event that no recording has."""
    for name in wanted:
        if name not in found:
            yield f"no recording has an event '{name}'.{did_you_mean(name, found)}"


def _means(times: np.ndarray, values: np.ndarray, starts: np.ndarray, length: float) -> np.ndarray:
    """Return the mean of the finite values whose times lie in ``[start, start + length)``, NaN where there are none."""
    finite = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(finite, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(finite)])
    # a time that equals a start up to rounding belongs to the window
    first, behind = (np.searchsorted(times, edge - 1e-9, side="left") for edge in (starts, starts + length))
    count = counts[behind] - counts[first]
    return np.divide(sums[behind] - sums[first], count, out=np.full(len(starts), np.nan), where=count > 0)


def _names(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _is_names(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list | tuple) and all(isinstance(entry, str) for entry in value)
    )


def _mistakes(target: Target) -> Iterator[str]:
    if not isinstance(target.name, str) or not target.name:
        yield f"name must be a word, found {target.name!r}"
    given = [key for key in ("events", "ratings", "levels", "trace") if getattr(target, key)]
    if len(given) != 1:
        yield f"give exactly one of events, ratings, levels and trace; found {' and '.join(given) or 'none'}"
    if target.events:
        yield from _event_mistakes(target.events)
    for key in ("ratings", "trace"):
        if not isinstance(getattr(target, key), str):
            yield f"{key} must be the name of an annotation, found {getattr(target, key)!r}"
    if target.levels:
        yield from _level_mistakes(target.levels)
    yield from _threshold_mistakes(target)
    if not _is_names(target.within):
        yield f"within must be a list of event names, found {target.within!r}"
    elif target.within and target.events:
        yield "within goes with ratings, levels or trace; with events, windows are cut inside the events named there"


def _event_mistakes(events: Any) -> Iterator[str]:
    if not isinstance(events, Mapping):
        yield f"events must map classes to lists of events, found {events!r}"
        return
    if len(events) < 2:
        yield f"events needs at least two classes, found {len(events)}"
    seen: dict[str, str] = {}
    for name, names in events.items():
        if not isinstance(name, str):
            yield f"events: the class {name!r} must be a word (put it in quotes)"
        if not _is_names(names) or not names:
            yield f"events.{name} must be a list of event names, found {names!r}"
            continue
        for event in _names(names):
            if event in seen:
                yield (
                    f"events: '{event}' is in both {seen[event]} and {name}"
                    if seen[event] != name
                    else (f"events.{name} names '{event}' twice")
                )
            seen[event] = name


def _level_mistakes(levels: Any) -> Iterator[str]:
    if isinstance(levels, str):
        if levels not in LEVELS:
            yield f"levels: there is no table '{levels}'.{did_you_mean(levels, LEVELS)}"
        return
    if not isinstance(levels, Mapping):
        yield f"levels must be one of {', '.join(LEVELS)}, or map classes to intervals of ratings; found {levels!r}"
        return
    if len(levels) < 2:
        yield f"levels needs at least two classes, found {len(levels)}"
    for name, box in levels.items():
        if not isinstance(name, str):
            yield f"levels: the class {name!r} must be a word (put it in quotes)"
        if not isinstance(box, Mapping) or not box:
            yield f"levels.{name} must map ratings to intervals, found {box!r}"
            continue
        for rating, interval in box.items():
            match = _INTERVAL.fullmatch(interval) if isinstance(interval, str) else None
            if match is None or float(match[2]) > float(match[3]):
                yield f"levels.{name}.{rating} must be an interval such as '[1, 3)', found {interval!r}"


def _threshold_mistakes(target: Target) -> Iterator[str]:
    threshold = target.threshold
    if not target.ratings:
        if threshold is not None:
            yield "threshold goes with ratings"
        return
    number = isinstance(threshold, int | float) and not isinstance(threshold, bool) and math.isfinite(threshold)
    if isinstance(threshold, str) and threshold not in SUBJECT_THRESHOLDS:
        yield f"threshold: there is no '{threshold}'.{did_you_mean(threshold, SUBJECT_THRESHOLDS)}"
    elif not number and not isinstance(threshold, str):
        yield f"threshold must be a number, {' or '.join(SUBJECT_THRESHOLDS)}; found {threshold!r}"
