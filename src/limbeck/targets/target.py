"""The target of a study: its definition, and what it makes of a recording's annotations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np

from limbeck.errors import DataError, StudyError, did_you_mean
from limbeck.recording import Recording
from limbeck.targets.checking import names_of, target_mistakes
from limbeck.targets.presets import TARGETS, Preset
from limbeck.targets.ratings import (
    LEVELS,
    Interval,
    is_high,
    level_of,
    parse_interval,
    quadrant_names,
    thresholds_of,
)
from limbeck.targets.segments import Labelled, Segment, label_events
from limbeck.targets.traces import n_steps, over_steps, over_windows

__all__ = ["Target", "written_out"]


@dataclass(frozen=True)
class Target:
    """What is predicted, and where windows are cut for it.

    Exactly one of `events`, `ratings`, `quadrants`, `levels` and `trace` says where it comes from.

    Parameters
    ----------
    name : str
        What reports call it.
    events : mapping of str to list of str
        Class to the names of the events that belong to it; windows are cut inside these events, and the classes are
        coded in this order.
    ratings : str
        Key of a rating. A recording is ``high`` when its rating is above the threshold, else ``low``.
    threshold : float or {"subject_mean", "subject_median"}, or mapping of str to these
        With `ratings`: a number on the rating's scale, or the mean or median of what the subject said of all of their
        recordings. With `quadrants`: one for both ratings, or one for each by name.
    trace : str
        Key of a trace; a window's target is the mean of the samples in it.
    within : list of str
        With `ratings`, `quadrants`, `levels` or `trace`: the events inside which windows are cut; the whole recording
        if empty.
    levels : str or mapping of str to mapping of str to str
        One of :data:`LEVELS`, or such a table: class to the interval (``"[1, 3)"``: 1 belongs to it, 3 does not) in
        which each rating must lie. The classes are coded in this order. A recording that fits none of them, or more
        than one, has no target, and no window of it is used.
    quadrants : list of two str
        Two ratings, each split as with `ratings`; the classes are the four combinations, ``hvha hvla lvha lvla`` for
        valence and arousal.
    at_threshold : {"low", "high", "drop"}
        What a rating that equals its threshold is; a recording that is dropped has no target.
    neutral : (float, float) or str, or mapping of str to these
        With `ratings` or `quadrants`, instead of `threshold`: a zone of the scale between low and high; recordings
        rated in it have no target. Both ends of ``[4, 6]`` belong to it, those of ``"(4, 6)"`` do not.
    rate : float
        With `trace`: target values per second, so that a window carries one per step of ``1 / rate`` seconds instead of
        one in all.
    aggregate : {"mean", "median", "last"}
        With `trace`: how the samples of a window, or of a step, become one value.
    lag : float
        With `trace`: seconds by which the annotation comes late, since annotators need time to answer. A window from 10
        to 14 s takes the samples between ``10 + lag`` and ``14 + lag``.

    Raises
    ------
    StudyError
        With every mistake found.

    Notes
    -----
    The thresholds ``subject_mean`` and ``subject_median`` look at the subject's own ratings, those of test subjects
    too. Nothing of that reaches a model, but a class that is defined so is known only when the subject has rated
    everything, and it balances the classes within each subject: a result is about more or less than usual for this
    subject, and says nothing of a level on the scale.

    Examples
    --------
    >>> Target(name="stress", events={"rest": ["rest"], "stress": ["stroop", "interview"]}).classes
    ('rest', 'stress')
    >>> Target(name="valence", ratings="valence", threshold=5).classes
    ('low', 'high')
    >>> Target(name="fear", levels="deap_fear").classes
    ('none', 'low', 'medium', 'high')
    >>> Target(name="affect", quadrants=["valence", "arousal"], threshold="subject_median").classes
    ('hvha', 'hvla', 'lvha', 'lvla')
    >>> Target.parse("biovid_t0_t4").classes
    ('no_pain', 'pain')
    """

    name: str
    events: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ratings: str = ""
    threshold: float | str | Mapping[str, float | str] | None = None
    trace: str = ""
    within: tuple[str, ...] = ()
    levels: str | Mapping[str, Mapping[str, str]] = ""
    quadrants: tuple[str, ...] = ()
    at_threshold: Literal["low", "high", "drop"] = "low"
    neutral: Any = None
    rate: float | None = None
    aggregate: Literal["mean", "median", "last"] = "mean"
    lag: float = 0.0

    def __post_init__(self) -> None:
        mistakes = list(target_mistakes(self))
        if mistakes:
            raise StudyError(mistakes, source="target")
        # a key that YAML leaves empty is None
        object.__setattr__(self, "events", {name: names_of(events) for name, events in (self.events or {}).items()})
        object.__setattr__(self, "within", names_of(self.within))
        object.__setattr__(self, "quadrants", tuple(self.quadrants or ()))
        object.__setattr__(self, "levels", self.levels or "")

    @classmethod
    def parse(cls, definition: Target | Preset | Mapping[str, Any] | str) -> Target:
        """Build a target from its YAML form.

        Parameters
        ----------
        definition : mapping, str, Preset or Target
            A mapping with the parameters' names; the name of one of :data:`TARGETS`, or the entry itself; ``{preset:
            that name}`` with what is to be different beside it. A target is returned as it is.

        Raises
        ------
        StudyError
            With every mistake: unknown keys and names (with the nearest), contradictions, wrong values.
        """
        if isinstance(definition, cls):
            return definition
        if not isinstance(definition, str | Mapping | Preset):
            raise StudyError(
                [
                    "expected a mapping such as {name: ..., events: ...} or the name of a known target, found "
                    f"{definition!r}"
                ],
                source="target",
            )
        definition = written_out(definition)
        allowed = [entry.name for entry in fields(cls)]
        mistakes = [
            f"there is no key '{key}'.{did_you_mean(str(key), [*allowed, 'preset'])}"
            for key in definition
            if key not in allowed
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
        if self.quadrants:
            return quadrant_names(*self.quadrants)
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
            "threshold": dict(self.threshold) if isinstance(self.threshold, Mapping) else self.threshold,
            "trace": self.trace,
            "within": list(self.within),
        }
        if self.levels:
            definition["levels"] = [[name, dict(box)] for name, box in self.boxes.items()]
        # Only where they say something, so that windows cached for other targets stay valid.
        if self.quadrants:
            definition["quadrants"] = list(self.quadrants)
        if self.neutral is not None:
            definition["neutral"] = {name: list(zone) for name, zone in self._zones.items() if zone is not None}
        if self.at_threshold != "low":
            definition["at_threshold"] = self.at_threshold
        if self.rate is not None:
            definition["rate"] = float(self.rate)
        if self.aggregate != "mean":
            definition["aggregate"] = self.aggregate
        if self.lag:
            definition["lag"] = float(self.lag)
        return definition

    @property
    def placement(self) -> dict[str, Any]:
        """What of it decides a single recording's windows, as JSON values.

        What comes from ratings is the same for all windows of a recording and decided when all recordings of a subject
        are known: windows within the same events serve every such target.
        """
        return {"rated": True, "within": list(self.within)} if self.is_rated else self.definition

    @property
    def is_rated(self) -> bool:
        """Whether it comes from ratings, and so is one class for a whole recording."""
        return bool(self.ratings or self.levels or self.quadrants)

    @property
    def rating_names(self) -> tuple[str, ...]:
        """The ratings that it comes from."""
        if self.levels:
            return tuple(dict.fromkeys(name for box in self.boxes.values() for name in box))
        return tuple(self.quadrants) or ((self.ratings,) if self.ratings else ())

    @property
    def is_relative(self) -> bool:
        """Whether a class depends on the subject's other ratings."""
        return any(isinstance(threshold, str) for threshold in self._wanted.values())

    @property
    def event_names(self) -> tuple[str, ...]:
        """Events inside which windows are cut; empty when it is the whole recording."""
        return tuple(event for events in self.events.values() for event in events) or self.within

    @property
    def _wanted(self) -> dict[str, float | str | None]:
        """The thresholds by rating, as they were asked for."""
        given = self.threshold
        if self.levels:
            return {}
        return {name: given.get(name) if isinstance(given, Mapping) else given for name in self.rating_names}

    @property
    def _zones(self) -> dict[str, Interval | None]:
        """The neutral zones by rating."""
        given = self.neutral
        return {
            name: parse_interval(given.get(name) if isinstance(given, Mapping) else given) for name in self.rating_names
        }

    def steps(self, length: float) -> int | None:
        """Return how many values a window of `length` seconds carries; None for one that is no sequence."""
        return None if self.rate is None else n_steps(length, self.rate)

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
        return label_events([event for event in recording.events if event.name in self.event_names], codes)

    def values(self, recording: Recording, codes: np.ndarray, starts: np.ndarray, length: float) -> np.ndarray:
        """Return what events or a trace say about windows.

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
        ndarray of shape (n_windows,) or, with `rate`, (n_windows, n_steps), float64
            Class codes, or values of the trace (NaN where it has no sample); zeros where ratings decide
            (:meth:`codes_of`).

        Raises
        ------
        DataError
            The recording lacks the trace.
        """
        if self.is_rated:
            return np.zeros(len(starts))
        if not self.trace:
            return codes.astype(np.float64)
        if self.trace not in recording.traces:
            raise DataError(f"There is no trace '{self.trace}'.{did_you_mean(self.trace, recording.traces)}")
        trace = recording.traces[self.trace]
        if self.rate is None:
            return over_windows(trace, starts, length, self.aggregate, self.lag)
        return over_steps(trace, starts, length, self.rate, self.aggregate, self.lag)

    def codes_of(self, ratings: Sequence[Mapping[str, float]]) -> np.ndarray:
        """Return the classes of a subject's recordings from their ratings.

        Parameters
        ----------
        ratings : sequence of n_recordings mappings of str to float
            Of all of the subject's recordings; those without a rating do not count for its threshold.

        Returns
        -------
        ndarray of shape (n_recordings,), float64
            Class codes; NaN where a rating is missing, neutral, at a threshold that drops it, or in no level.
        """
        thresholds = thresholds_of(self._wanted, ratings)
        return np.array([self._code(each, thresholds) for each in ratings], dtype=np.float64)

    def _code(self, ratings: Mapping[str, float], thresholds: Mapping[str, float]) -> float:
        if not all(name in ratings for name in self.rating_names):
            return math.nan
        if self.levels:
            return level_of(self.boxes, ratings)
        zones = self._zones
        high = [
            is_high(float(ratings[name]), thresholds[name], self.at_threshold, zones[name])
            for name in self.rating_names
        ]
        if any(side is None for side in high):
            return math.nan
        # low, high; of two ratings, both high, the first, the second, none
        return float(bool(high[0])) if self.ratings else 2.0 * (not high[0]) + (not high[1])


def written_out(definition: Target | Preset | Mapping[str, Any] | str) -> dict[str, Any]:
    """Put what a preset stands for in its place, with what was written beside it on top.

    Parameters
    ----------
    definition : mapping, str, Preset or Target
        As of :meth:`Target.parse`; of a target, what is not as it is by default.

    Returns
    -------
    dict

    Raises
    ------
    StudyError
        There is no such preset.
    """
    if isinstance(definition, Preset):
        return dict(definition.definition)
    if isinstance(definition, Target):
        values = {entry.name: (getattr(definition, entry.name), entry.default) for entry in fields(Target)}
        return {name: value for name, (value, default) in values.items() if value != default and value != {}}
    given = {"preset": definition} if isinstance(definition, str) else dict(definition)
    if "preset" not in given:
        return given
    name = given.pop("preset")
    if not isinstance(name, str) or name not in TARGETS:
        hint = did_you_mean(name, TARGETS) if isinstance(name, str) else ""
        raise StudyError([f"there is no known target '{name}'.{hint}"], source="target")
    return {**TARGETS[name].definition, **given}
