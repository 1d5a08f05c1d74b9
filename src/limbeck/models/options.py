"""Options of models against the annotations of their constructors, before any layer is built."""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

__all__ = ["checked_options"]

_PLAIN = (bool, int, float, str)


def checked_options(
    name: str, constructor: Callable[..., Any], given: Mapping[str, Any], least: Mapping[str, int]
) -> tuple[dict[str, Any], list[str]]:
    """Return options as the constructor takes them, and a sentence for each value that it does not take.

    An option is what its annotation says, or of its default's type where it has none. Numbers are finite, whole ones
    at least 1 (or the default, where that is less), shares of dropout at least 0 and below 1. Truth values and numbers
    do not stand for each other, nor do texts for either. NumPy's numbers become Python's.

    Parameters
    ----------
    name : str
        Of the model, for the sentences.
    constructor : callable
        The registered class.
    given : mapping of str to object
        Options that the constructor knows.
    least : mapping of str to int
        Other lower bounds of whole numbers, by option.
    """
    defaults = {option: parameter.default for option, parameter in inspect.signature(constructor).parameters.items()}
    hints = _hints(constructor)
    values, mistakes = {}, []
    for option, value in given.items():
        default = defaults.get(option)
        hint = hints.get(option, type(default) if isinstance(default, _PLAIN) else Any)
        usual = min(1, default) if type(default) is int else 1
        check = _Check(least=least.get(option, usual), share=option == "dropout" or option.endswith("_dropout"))
        values[option] = value = _plain(value)
        if not check.fits(value, hint):
            expected = f"at least {check.least}" if check.is_too_small(value, hint) else check.expected(hint)
            mistakes.append(f"{name}: {option} is {value!r}; expected {expected}.")
    return values, mistakes


def _hints(constructor: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a class's constructor, or of a function; none where they name what does not exist."""
    target: Any = constructor.__init__ if isinstance(constructor, type) else constructor  # type: ignore[misc]
    try:
        return get_type_hints(target)
    except (NameError, TypeError, AttributeError):
        return {}


def _plain(value: Any) -> Any:
    """Return Python's numbers for NumPy's, within lists as well."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value


class _Check:
    """What a value of one option may be."""

    def __init__(self, *, least: int, share: bool) -> None:
        self.least, self.share = least, share

    def fits(self, value: Any, hint: Any) -> bool:
        """Whether a value is what an annotation says."""
        origin, parts = get_origin(hint), get_args(hint)
        if origin in (Union, types.UnionType):
            return any(self.fits(value, part) for part in parts)
        if origin is Literal:
            return any(type(value) is type(part) and value == part for part in parts)
        if _is_sequence(hint):
            inner = [part for part in parts if part is not Ellipsis] or [Any]
            return isinstance(value, list | tuple) and all(self.fits(each, inner[0]) for each in value)
        if hint is int:
            return type(value) is not bool and isinstance(value, int) and value >= self.least
        if hint is float:
            number = type(value) is not bool and isinstance(value, int | float)
            return number and abs(value) < math.inf and (not self.share or 0 <= value < 1)
        if hint in (bool, str):
            return isinstance(value, hint)
        return hint is not type(None) or value is None

    def is_too_small(self, value: Any, hint: Any) -> bool:
        """Whether nothing but its size is wrong with a whole number."""
        return type(value) is int and int in (hint, *get_args(hint)) and value < self.least

    def expected(self, hint: Any, *, many: bool = False) -> str:
        """Return an annotation in words."""
        origin, parts = get_origin(hint), get_args(hint)
        if origin in (Union, types.UnionType):
            return " or ".join(self.expected(part, many=many) for part in parts)
        if origin is Literal:
            return f"one of {', '.join(map(str, parts))}"
        if _is_sequence(hint):
            inner = [part for part in parts if part is not Ellipsis] or [Any]
            return f"a list of {self.expected(inner[0], many=True)}"
        words = {
            bool: ("true or false", "true or false"),
            str: ("a text", "texts"),
            float: ("a number", "numbers"),
            int: (f"a whole number of at least {self.least}", f"whole numbers of at least {self.least}"),
            type(None): ("none", "none"),
        }
        if hint is float and self.share:
            return "a share of at least 0 and below 1"
        return words.get(hint, ("another value", "other values"))[many]


def _is_sequence(hint: Any) -> bool:
    return get_origin(hint) in (Sequence, list, tuple)
