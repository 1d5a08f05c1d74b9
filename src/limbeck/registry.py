"""Registries: the function's name is the public name, its docstring is the help text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from limbeck.errors import LimbeckError, did_you_mean

__all__ = ["Registry"]


class Registry:
    """A named collection of callables, filled by a decorator.

    Parameters
    ----------
    kind : str
        What is registered, as a word for messages: ``"model"``, ``"data set"``.

    Examples
    --------
    >>> steps = Registry("step")
    >>> @steps.register("double")
    ... def double(x):
    ...     "Twice the input."
    ...     return 2 * x
    >>> steps["double"](3)
    6
    >>> steps.help("double")
    'Twice the input.'
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Callable[..., Any]] = {}

    def register(self, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register a callable under `name`; a name may be taken once."""

        def decorate(entry: Callable[..., Any]) -> Callable[..., Any]:
            if name in self._entries:
                raise LimbeckError(f"The {self.kind} '{name}' is registered twice.")
            self._entries[name] = entry
            return entry

        return decorate

    def __getitem__(self, name: str) -> Callable[..., Any]:
        if name not in self._entries:
            raise LimbeckError(f"There is no {self.kind} '{name}'.{did_you_mean(name, self)}")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def help(self, name: str) -> str:
        """Return the docstring of an entry, without indentation."""
        import inspect

        return inspect.getdoc(self[name]) or ""

    def options(self, name: str) -> dict[str, Any]:
        """Return the options of an entry with their defaults: its keyword parameters that have one."""
        import inspect

        parameters = inspect.signature(self[name]).parameters.values()
        return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}

    def mistakes(self, name: str, given: Iterable[str]) -> list[str]:
        """Return a sentence per option that the entry does not take, or one if there is no such entry."""
        if name not in self:
            return [f"There is no {self.kind} '{name}'.{did_you_mean(name, self)}"]
        allowed = self.options(name)
        return [
            f"The {self.kind} '{name}' has no option '{option}'.{did_you_mean(option, allowed)}"
            for option in given
            if option not in allowed
        ]
