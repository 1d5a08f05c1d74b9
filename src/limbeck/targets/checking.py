"""Every mistake in the definition of a target, as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from limbeck.errors import did_you_mean
from limbeck.targets.ratings import AT_THRESHOLD, LEVELS, SUBJECT_THRESHOLDS, is_number, parse_interval
from limbeck.targets.traces import AGGREGATES

if TYPE_CHECKING:
    from limbeck.targets.target import Target

__all__ = ["names_of", "target_mistakes"]

_SOURCES = ("events", "ratings", "quadrants", "levels", "trace")


def names_of(value: Any) -> tuple[str, ...]:
    """Return a name, or several, as a tuple."""
    return (value,) if isinstance(value, str) else tuple(value)


def _are_names(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list | tuple) and all(isinstance(entry, str) for entry in value)
    )


def target_mistakes(target: Target) -> Iterator[str]:
    """Yield what is wrong with the definition of a target."""
    if not isinstance(target.name, str) or not target.name:
        yield f"name must be a word, found {target.name!r}"
    given = [key for key in _SOURCES if getattr(target, key)]
    if len(given) != 1:
        yield f"give exactly one of events, ratings, quadrants, levels and trace; found {' and '.join(given) or 'none'}"
    if target.events:
        yield from _event_mistakes(target.events)
    for key in ("ratings", "trace"):
        if not isinstance(getattr(target, key), str):
            yield f"{key} must be the name of an annotation, found {getattr(target, key)!r}"
    if target.levels:
        yield from _level_mistakes(target.levels)
    if target.quadrants:
        yield from _quadrant_mistakes(target.quadrants)
    yield from _threshold_mistakes(target)
    yield from _trace_mistakes(target)
    if not _are_names(target.within):
        yield f"within must be a list of event names, found {target.within!r}"
    elif target.within and target.events:
        yield (
            "within goes with ratings, quadrants, levels or trace; with events, windows are cut inside the events "
            "named there"
        )


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
        if not _are_names(names) or not names:
            yield f"events.{name} must be a list of event names, found {names!r}"
            continue
        for event in names_of(names):
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
            if not isinstance(interval, str) or parse_interval(interval) is None:
                yield f"levels.{name}.{rating} must be an interval such as '[1, 3)', found {interval!r}"


def _quadrant_mistakes(quadrants: Any) -> Iterator[str]:
    names = quadrants if isinstance(quadrants, list | tuple) else ()
    if len(names) != 2 or not all(isinstance(name, str) and name for name in names) or names[0] == names[1]:
        yield f"quadrants must be a list of two ratings, such as [valence, arousal]; found {quadrants!r}"


def _threshold_mistakes(target: Target) -> Iterator[str]:
    threshold, neutral = target.threshold, target.neutral
    if target.at_threshold not in AT_THRESHOLD:
        known = f"{', '.join(AT_THRESHOLD[:-1])} or {AT_THRESHOLD[-1]}"
        yield f"at_threshold must be {known}; found {target.at_threshold!r}"
    ratings = _split_ratings(target)
    if not ratings:
        keys = (("threshold", threshold is not None), ("neutral", neutral is not None))
        set_keys = [key for key, is_set in (*keys, ("at_threshold", target.at_threshold != "low")) if is_set]
        yield from (f"{key} goes with ratings or quadrants" for key in set_keys)
        return
    for key, value in (("threshold", threshold), ("neutral", neutral)):
        if isinstance(value, Mapping):
            yield from (
                f"{key}: there is no rating '{name}' in this target.{did_you_mean(str(name), ratings)}"
                for name in value
                if name not in ratings
            )
    if target.at_threshold != "low" and _all_zoned(neutral, ratings):
        yield "at_threshold goes with threshold; with neutral, '[4, 6]' or '(4, 6)' says where the zone's ends belong"
    for name in ratings:
        own = threshold.get(name) if isinstance(threshold, Mapping) else threshold
        zone = neutral.get(name) if isinstance(neutral, Mapping) else neutral
        by_name = isinstance(threshold, Mapping) or isinstance(neutral, Mapping)
        yield from _split_mistakes(own, zone, f" of {name}" if by_name else "")
        if not by_name:
            break


def _all_zoned(neutral: Any, ratings: tuple[str, ...]) -> bool:
    """Tell whether every rating has a neutral zone, so that none is at a threshold."""
    return all(neutral.get(name) is not None for name in ratings) if isinstance(neutral, Mapping) else bool(neutral)


def _split_ratings(target: Target) -> tuple[str, ...]:
    """Return the ratings that are split into low and high, as far as they are told."""
    if isinstance(target.quadrants, list | tuple) and target.quadrants:
        return tuple(name for name in target.quadrants if isinstance(name, str))
    return names_of(target.ratings) if target.ratings and _are_names(target.ratings) else ()


def _split_mistakes(threshold: Any, neutral: Any, of: str) -> Iterator[str]:
    """Check what parts low from high of one rating."""
    zone = parse_interval(neutral)
    if neutral is not None and zone is None:
        yield f"neutral{of} must be an interval such as [4, 6] or '(4, 6)', found {neutral!r}"
    if threshold is None and neutral is not None:
        return
    if isinstance(threshold, str):
        if threshold not in SUBJECT_THRESHOLDS:
            yield f"threshold{of}: there is no '{threshold}'.{did_you_mean(threshold, SUBJECT_THRESHOLDS)}"
        elif neutral is not None:
            yield f"neutral{of} is a fixed zone of the scale, and the threshold is {threshold}; give one of the two"
    elif not is_number(threshold):
        yield f"threshold{of} must be a number, {' or '.join(SUBJECT_THRESHOLDS)}; found {threshold!r}"
    elif zone is not None and not zone.low <= threshold <= zone.high:
        yield f"threshold{of} is {threshold:g}, outside of what is neutral, {neutral!r}"


def _trace_mistakes(target: Target) -> Iterator[str]:
    if target.aggregate not in AGGREGATES:
        yield f"aggregate must be {', '.join(AGGREGATES[:-1])} or {AGGREGATES[-1]}; found {target.aggregate!r}"
    if target.rate is not None and not (is_number(target.rate) and target.rate > 0):
        yield f"rate must be a number of values per second above 0, found {target.rate!r}"
    if not (is_number(target.lag) and target.lag >= 0):
        yield f"lag must be a number of seconds, 0 or more; found {target.lag!r}"
    if not target.trace:
        set_keys = (("rate", None), ("aggregate", "mean"), ("lag", 0))
        yield from (f"{key} goes with trace" for key, default in set_keys if getattr(target, key) != default)
