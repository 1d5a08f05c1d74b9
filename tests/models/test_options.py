"""Options against annotations, apart from any model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pytest

from limbeck.models.options import checked_options


class Annotated:
    """A constructor with every kind of option."""

    def __init__(
        self,
        *,
        width: int = 8,
        pools: int = 2,
        speakers: int = 0,
        kernel: int | None = None,
        hidden: Sequence[int] | int = (4, 2),
        rate: float = 1.0,
        dropout: float = 0.1,
        gate: Literal["learnt", "identity"] = "learnt",
        name: str = "",
        causal: bool = False,
    ) -> None:
        pass


def bare(*, width=3, share=0.5, causal=False, anything=None):  # type: ignore[no-untyped-def]
    """Take options without annotations."""


def refused(options: dict[str, Any], constructor: Any = Annotated) -> list[str]:
    return checked_options("it", constructor, options, {"pools": 0})[1]


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("width", [1, 9]),
        ("pools", [0, 1]),
        ("speakers", [0, 3]),
        ("kernel", [None, 1]),
        ("hidden", [3, [3], (3, 4), []]),
        ("rate", [0, -1.5, 2]),
        ("dropout", [0, 0.0, 0.99]),
        ("gate", ["identity"]),
        ("name", ["", "ir50"]),
        ("causal", [True, False]),
    ],
)
def test_what_an_annotation_allows_is_taken_as_it_is(option: str, values: list[Any]) -> None:
    for value in values:
        assert checked_options("it", Annotated, {option: value}, {"pools": 0}) == ({option: value}, [])


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("width", 0, "at least 1"),
        ("width", True, "a whole number of at least 1"),
        ("width", 2.0, "a whole number of at least 1"),
        ("width", None, "a whole number of at least 1"),
        ("pools", -1, "at least 0"),
        ("speakers", -1, "at least 0"),
        ("kernel", 0, "at least 1"),
        ("kernel", "3", "a whole number of at least 1 or none"),
        ("hidden", [3, 0], "a list of whole numbers of at least 1 or a whole number of at least 1"),
        ("hidden", "ab", "a list of whole numbers of at least 1 or a whole number of at least 1"),
        ("rate", float("nan"), "a number"),
        ("rate", False, "a number"),
        ("dropout", 1.0, "a share of at least 0 and below 1"),
        ("gate", "sigmoid", "one of learnt, identity"),
        ("gate", None, "one of learnt, identity"),
        ("name", 3, "a text"),
        ("causal", "false", "true or false"),
        ("causal", 0, "true or false"),
        ("causal", None, "true or false"),
    ],
)
def test_anything_else_is_refused_with_what_is_expected(option: str, value: Any, expected: str) -> None:
    assert refused({option: value}) == [f"it: {option} is {value!r}; expected {expected}."]


def test_without_annotations_the_defaults_say_what_an_option_is() -> None:
    assert refused({"width": 2, "share": 1, "causal": True, "anything": object()}, bare) == []
    assert len(refused({"width": 2.5, "share": "a", "causal": 1}, bare)) == 3


def test_numbers_of_numpy_become_those_of_python() -> None:
    values, mistakes = checked_options(
        "it",
        Annotated,
        {"width": np.int64(3), "rate": np.float32(0.5), "hidden": [np.int32(2)], "causal": np.True_},
        {},
    )
    assert not mistakes
    assert values == {"width": 3, "rate": 0.5, "hidden": [2], "causal": True}
    assert [type(value) for value in values.values()] == [int, float, list, bool]
    assert checked_options("it", Annotated, {"hidden": np.array([4, 2])}, {}) == ({"hidden": [4, 2]}, [])
