"""What models refuse, in one wording."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from limbeck.errors import LimbeckError
from limbeck.models import InputShape
from limbeck.models.shapes import checked_widths, refuse_limits, refuse_short, shortest_window

VIEW = {"bvp": InputShape(1, 64, 64.0), "eda": InputShape(1, 7, 4.0)}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "or more; 'eda' has 7. Use longer windows or a higher rate."),
        ({"or_else": "a pool"}, "or more; 'eda' has 7. Use longer windows, a higher rate, or a pool."),
        ({"by_rate": True}, "or more at 4 Hz; 'eda' has 7. Use longer windows."),
        ({"by_rate": True, "or_else": "a pool"}, "or more at 4 Hz; 'eda' has 7. Use longer windows or a pool."),
    ],
)
def test_a_short_window_is_refused_with_what_would_help(options: dict[str, object], said: str) -> None:
    refuse_short("net", VIEW, 7, **options)
    with pytest.raises(LimbeckError) as refusal:
        refuse_short("net", VIEW, 8, **options)
    assert str(refusal.value) == f"net reads windows of 8 samples {said}"
    with pytest.raises(LimbeckError, match="8 samples or more"):
        refuse_short("net", VIEW)


@pytest.mark.parametrize("spans", [[(5, 1)], [(5, 2), (2, 2), (3, 1), (2, 2)], [(7, 4), (4, 4), (7, 2), (2, 1)], []])
def test_the_shortest_window_leaves_one_step(spans: list[tuple[int, int]]) -> None:
    layers = nn.Sequential(*(nn.Conv1d(1, 1, kernel, stride=stride) for kernel, stride in spans))
    shortest = shortest_window(*spans)

    assert layers(torch.zeros(1, 1, shortest)).shape[-1] == 1
    if spans:
        with pytest.raises(RuntimeError, match="size"):
            layers(torch.zeros(1, 1, shortest - 1))


def test_widths_are_a_list_of_numbers_of_at_least_one() -> None:
    assert checked_widths("net", "width", 3) == [3]
    assert checked_widths("net", "width", (3, 4)) == [3, 4]
    for wrong in ((), 0, (3, 0)):
        with pytest.raises(LimbeckError, match=r"net: width is .*; expected one width or more, each at least 1"):
            checked_widths("net", "width", wrong)


def test_limits_are_above_zero_or_none() -> None:
    refuse_limits("net", max_norm=None, head_max_norm=0.5)
    for wrong in (0.0, -1.0):
        with pytest.raises(LimbeckError, match=f"net: head_max_norm is {wrong}; expected more than 0"):
            refuse_limits("net", max_norm=1.0, head_max_norm=wrong)
