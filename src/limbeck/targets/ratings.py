"""Classes from what subjects said of whole recordings: thresholds, quadrants, and boxes in the space of ratings."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from limbeck.errors import DataError

__all__ = [
    "AT_THRESHOLD",
    "LEVELS",
    "SUBJECT_THRESHOLDS",
    "Interval",
    "is_high",
    "is_number",
    "level_of",
    "parse_interval",
    "quadrant_names",
    "thresholds_of",
]

SUBJECT_THRESHOLDS = ("subject_mean", "subject_median")
AT_THRESHOLD = ("low", "high", "drop")

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

_HUGE = 1e300
_NUMBER = r"\s*(-?\d+(?:\.\d*)?)\s*"
_INTERVAL = re.compile(rf"([\[(]){_NUMBER},{_NUMBER}([\])])")


class Interval(NamedTuple):
    """A stretch of a scale, and whether its ends belong to it."""

    low: float
    high: float
    with_low: bool = True
    with_high: bool = True

    def holds(self, value: float) -> bool:
        """Tell whether a value lies in it."""
        above = value > self.low or (value == self.low and self.with_low)
        return above and (value < self.high or (value == self.high and self.with_high))


def parse_interval(value: Any) -> Interval | None:
    """Read ``"[1, 3)"`` (1 belongs to it, 3 does not) or a pair of numbers (both belong to it).

    Parameters
    ----------
    value : str or sequence of two float

    Returns
    -------
    Interval or None
        None where it is neither, or its ends are the wrong way round.
    """
    if isinstance(value, str):
        match = _INTERVAL.fullmatch(value)
        if match is None:
            return None
        found = Interval(float(match[2]), float(match[3]), match[1] == "[", match[4] == "]")
    elif isinstance(value, list | tuple) and len(value) == 2 and all(is_number(end) for end in value):
        found = Interval(float(value[0]), float(value[1]))
    else:
        return None
    return found if found.low <= found.high else None


def is_number(value: Any) -> bool:
    """Tell whether a value is a number that arithmetic can bear: finite, and no whole number beyond all floats."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _HUGE


def thresholds_of(wanted: Mapping[str, float | str | None], ratings: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the numbers that part low from high for one subject.

    Parameters
    ----------
    wanted : mapping of str to float, {"subject_mean", "subject_median"} or None
        By rating.
    ratings : sequence of mapping of str to float
        Of all of the subject's recordings; those that lack a rating do not count for it.

    Returns
    -------
    dict of str to float
        NaN where there is none: nothing was asked, or the subject rated nothing.
    """
    found = {}
    for name, threshold in wanted.items():
        if isinstance(threshold, str):
            given = np.array([each[name] for each in ratings if name in each], dtype=np.float64)
            given = given[np.isfinite(given)]
            of = np.mean if threshold == "subject_mean" else np.median
            found[name] = float(of(given)) if given.size else math.nan
        else:
            found[name] = math.nan if threshold is None else float(threshold)
    return found


def is_high(value: float, threshold: float, at_threshold: str, neutral: Interval | None) -> bool | None:
    """Say on which side of a threshold a rating lies, None where on neither.

    Parameters
    ----------
    value : float
    threshold : float
        NaN where only `neutral` parts the scale.
    at_threshold : {"low", "high", "drop"}
        What a rating that equals the threshold is.
    neutral : Interval or None
        Ratings that are on neither side.

    Returns
    -------
    bool or None
    """
    if neutral is not None:
        return None if not math.isfinite(value) or neutral.holds(value) else value >= neutral.high
    if not (math.isfinite(value) and math.isfinite(threshold)):
        return None
    if value == threshold:
        return {"low": False, "high": True, "drop": None}[at_threshold]
    return value > threshold


def level_of(boxes: Mapping[str, Mapping[str, str]], ratings: Mapping[str, float]) -> float:
    """Return the code of the one level whose intervals hold all ratings, NaN if none or several do."""
    fitting = [
        code
        for code, box in enumerate(boxes.values())
        if all(_holds(interval, float(ratings[name])) for name, interval in box.items())
    ]
    return float(fitting[0]) if len(fitting) == 1 else math.nan


def _holds(text: str, value: float) -> bool:
    interval = parse_interval(text)
    if interval is None:
        raise DataError(f"'{text}' is no interval such as '[1, 3)'.")
    return interval.holds(value)


def quadrant_names(first: str, second: str) -> tuple[str, ...]:
    """Return ``hvha hvla lvha lvla`` for valence and arousal; ratings of one initial letter are written out."""
    if first[:1] == second[:1]:
        return tuple(f"{a} {first}, {b} {second}" for a in ("high", "low") for b in ("high", "low"))
    return tuple(f"{a}{first[0]}{b}{second[0]}" for a in "hl" for b in "hl")
