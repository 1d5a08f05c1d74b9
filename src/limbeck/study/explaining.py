"""What the grammar found wrong, in sentences that name the key and the nearest allowed one."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ValidationError

from limbeck.errors import did_you_mean
from limbeck.study.grammar import NAME, Variant

__all__ = ["explain"]

NAME_OR_PLACE = re.compile(f"{NAME.pattern}|[0-9]+")
"""A part of a key such as ``stages.taught.taught_by.0``."""


WANTED = {
    "protocol.split": "expected leave_one_subject_out, or a number of folds of at least 2",
    "protocol.labelled": "expected all, or a number of subjects of at least 1",
    "protocol.validation": "expected a number of subjects, or a share of them below 1",
}
"""By key of several kinds what is expected there, where that of each kind would be no sentence."""


def explain(error: ValidationError, whole: type[BaseModel] = Variant) -> list[str]:
    """Turn pydantic's findings into sentences that name the key, with the nearest allowed one.

    Parameters
    ----------
    error : ValidationError
        What was found.
    whole : type of pydantic model
        What was checked: a study without its sweep, or a part of one, whose keys the sentences begin with.
    """
    mistakes = []
    refused: dict[str, tuple[list[str], Any]] = {}
    for problem in error.errors(include_url=False):
        location = [str(part) for part in problem["loc"] if not _is_union_tag(part)]
        key = ".".join(location)
        if problem["type"] == "extra_forbidden":
            allowed = _allowed_keys(problem["loc"][:-1], whole)
            if location[:1] == ["stages"]:
                allowed = {*allowed, "like"}
            elif len(location) == 1 and whole is Variant:
                allowed = {*allowed, "distil", "sweep"}
            mistakes.append(f"{key}: there is no such key.{did_you_mean(location[-1], allowed)}")
        elif problem["type"] == "missing":
            mistakes.append(f"{key}: this key is needed.")
        elif problem["type"] in ("dict_type", "model_type", "model_attributes_type"):
            mistakes.append(f"{key}: expected a mapping of keys, found {_cropped(problem['input'])}.")
        else:
            # A key that may be of several kinds is refused once per kind; that is one mistake.
            refused.setdefault(key, ([], problem["input"]))[0].append(_wanted(problem))
    mistakes += [
        f"{key}: {WANTED.get(key) or ' or '.join(dict.fromkeys(wanted))}, found {_cropped(value)}."
        + _near(wanted, value)
        for key, (wanted, value) in refused.items()
    ]
    return list(dict.fromkeys(mistakes))


def _wanted(problem: Any) -> str:
    """Return what pydantic expected, in its words, but for names: these are listed."""
    return str(problem["msg"][0].lower() + problem["msg"][1:])


def _near(wanted: list[str], value: Any) -> str:
    """Return the nearest of the names that were expected, as a sentence, or nothing."""
    names = re.findall(r"'([^']+)'", " ".join(wanted))
    hint = did_you_mean(value, names) if isinstance(value, str) and names else ""
    return hint if "Did you mean" in hint else ""


def _cropped(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) < 80 else shown[:77] + "..."


def _is_union_tag(part: int | str) -> bool:
    """Whether a part of pydantic's location names a member of a union instead of a key."""
    is_key = not isinstance(part, str) or all(map(NAME_OR_PLACE.fullmatch, part.split(".")))
    return not is_key or part in ("Calibrated", "int", "float", "function")


def _allowed_keys(location: tuple[int | str, ...], model: type[BaseModel]) -> set[str]:
    """Return the keys that a place of the grammar takes, from a model on."""
    for part in location:
        field = model.model_fields.get(str(part))
        if field is None:
            continue
        nested = _models_in(field.annotation)
        if nested:
            model = nested[0]
    return set(model.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found = []
    for argument in getattr(annotation, "__args__", ()):
        found += _models_in(argument)
    return found
