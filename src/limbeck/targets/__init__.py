"""Targets: what is predicted from a window, made from a recording's annotations.

A target comes from *events* (named intervals become classes), from a *rating* (a value per recording, split into
``low`` and ``high``), from the *quadrants* of two ratings, from *levels* (boxes in the space of several ratings), or
from a *trace* (a value that runs with time, summed up over the window or brought onto steps inside it).

:data:`TARGETS` holds what is commonly predicted on published data sets, by name; :func:`known_targets` lists it.
"""

from typing import Any

from limbeck.targets.presets import TARGETS, Preset
from limbeck.targets.ratings import LEVELS
from limbeck.targets.segments import Labelled, Segment, joined, missing_events
from limbeck.targets.target import Target, written_out

__all__ = [
    "LEVELS",
    "TARGETS",
    "Labelled",
    "Preset",
    "Segment",
    "Target",
    "joined",
    "known_targets",
    "missing_events",
    "written_out",
]


def known_targets(corpus: str | None = None) -> list[dict[str, Any]]:
    """List the targets that have a name.

    Parameters
    ----------
    corpus : str, optional
        Only those of this data set.

    Returns
    -------
    list of dict
        JSON values, by name in the order of data sets: ``name``, ``corpus``, ``kind`` (``class`` or ``trace``),
        ``classes``, ``about`` (one line) and ``definition`` (as it could stand in a study).
    """
    rows = []
    for name, preset in TARGETS.items():
        if corpus in (None, preset.corpus):
            target = Target.parse(name)
            rows.append(
                {
                    "name": name,
                    "corpus": preset.corpus,
                    "kind": target.kind,
                    "classes": list(target.classes),
                    "about": preset.about,
                    "definition": dict(preset.definition),
                }
            )
    return rows
