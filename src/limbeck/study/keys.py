"""Keys of a study as ``a.b.c``: how they are set, and what a list of values for each makes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any

__all__ = ["combinations", "exact", "set_key"]


def set_key(definition: dict[str, Any], key: str, value: Any, prefix: str = "") -> list[str]:
    """Set ``a.b.c`` in nested mappings and lists; return what is wrong with the key."""
    *parents, last = key.split(".")
    place: Any = definition
    for depth, part in enumerate(parents):
        if isinstance(place, list) and part.isdigit() and int(part) < len(place):
            place = place[int(part)]
        elif isinstance(place, dict):
            name = ".".join(parents[: depth + 1])
            if "like" in place and part not in place:
                return [f"{prefix}{key}: {name} is inherited through like; set it as a whole, {name}={{...}}."]
            if place.get(part) is None:
                place[part] = {}
            if not isinstance(place[part], dict | list):
                return [
                    f"{prefix}{key}: {name} is {place[part]!r}, without keys of its own; set it as a whole, "
                    f"{name}={{...}}."
                ]
            place = place[part]
        else:
            return [f"{prefix}{key}: there is nothing called '{'.'.join(parents[: depth + 1])}'."]
    if isinstance(place, list):
        if not (last.isdigit() and int(last) < len(place)):
            return [f"{prefix}{key}: the list has no item {last}."]
        place[int(last)] = value
    else:
        place[last] = value
    return []


def combinations(sweep: Mapping[str, list[Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Return every combination of the values of keys, each with a label: ``"labelled=3, weight=0.1"``."""
    named = {key: [_short(value) for value in values] for key, values in sweep.items()}
    for key, labels in named.items():
        if len(set(labels)) < len(labels):
            named[key] = [exact(value) for value in sweep[key]]
    last = [key.rsplit(".", 1)[-1] for key in sweep]
    names = [short if last.count(short) == 1 else key for key, short in zip(sweep, last, strict=True)]
    return [
        (
            ", ".join(f"{name}={label}" for name, label in zip(names, labels, strict=True)),
            dict(zip(sweep, values, strict=True)),
        )
        for labels, values in zip(itertools.product(*named.values()), itertools.product(*sweep.values()), strict=True)
    ]


def exact(value: Any) -> str:
    """Return a value in one line, the same for equal values only."""
    return json.dumps(value, sort_keys=True, default=str).replace('"', "")


def _short(value: Any) -> str:
    """Name a swept value in a label."""
    if isinstance(value, dict):
        return "+".join(str(key) for key in value)
    if isinstance(value, list):
        return "+".join(_short(item) for item in value)
    return str(value)
