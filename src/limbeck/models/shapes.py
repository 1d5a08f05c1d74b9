"""What models refuse, in one wording: windows too short to be read, widths and limits that are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from limbeck.errors import LimbeckError
from limbeck.models.contract import InputShape

__all__ = ["SHORTEST", "checked_widths", "refuse_limits", "refuse_short", "shortest_window"]

SHORTEST = 8
"""Samples below which a window is refused by models that bring any rate down to a few steps."""


def refuse_short(
    name: str,
    modalities: Mapping[str, InputShape],
    shortest: int = SHORTEST,
    *,
    or_else: str = "",
    by_rate: bool = False,
) -> None:
    """Raise LimbeckError if the windows of a modality are too short to be read.

    Parameters
    ----------
    name : str
        Of the model.
    modalities : mapping of str to InputShape
        What it reads.
    shortest : int
        Samples that it needs.
    or_else : str
        What would help beside longer windows and a higher rate.
    by_rate : bool
        Whether `shortest` follows from the rate, which is then said, and a higher one would not help.
    """
    helps = ["longer windows", *([] if by_rate else ["a higher rate"]), *([or_else] if or_else else [])]
    advice = ", ".join([*helps[:-1], f"or {helps[-1]}"]) if len(helps) > 2 else " or ".join(helps)
    for modality, shape in modalities.items():
        if shape.length < shortest:
            rate = f" at {shape.rate:g} Hz" if by_rate and shape.rate else ""
            raise LimbeckError(
                f"{name} reads windows of {shortest} samples or more{rate}; '{modality}' has {shape.length}. "
                f"Use {advice}."
            )


def shortest_window(*spans: tuple[int, int]) -> int:
    """Return the samples for one step behind unpadded layers of given kernels and strides, in their order."""
    shortest = 1
    for kernel, stride in reversed(spans):
        shortest = (shortest - 1) * stride + kernel
    return shortest


def checked_widths(name: str, option: str, widths: Sequence[int] | int) -> list[int]:
    """Return the widths of layers as a list, of one for a number; LimbeckError for none or for one below 1."""
    found = [widths] if isinstance(widths, int) else list(widths)
    if not found or min(found) < 1:
        raise LimbeckError(f"{name}: {option} is {widths}; expected one width or more, each at least 1.")
    return found


def refuse_limits(name: str, **limits: float | None) -> None:
    """Raise LimbeckError unless each limit of a norm is None or above zero."""
    for option, limit in limits.items():
        if limit is not None and not limit > 0:
            raise LimbeckError(f"{name}: {option} is {limit}; expected more than 0, or none for no limit.")
