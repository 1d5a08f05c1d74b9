"""Convolutions and a recurrent layer on skin conductance."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build

EDA = {"eda": InputShape(1, 64, 16.0)}


def convolved(state: dict[str, Tensor], x: Tensor) -> Tensor:
    h = x
    for place in (0, 3, 6):
        h = F.conv1d(F.pad(h, (3, 3)), state[f"convs.{place}.weight"])[..., ::2]
        norm = f"convs.{place + 1}"
        h = (h - state[f"{norm}.running_mean"][:, None]) / (state[f"{norm}.running_var"][:, None] + 1e-5).sqrt()
        h = (h * state[f"{norm}.weight"][:, None] + state[f"{norm}.bias"][:, None]).clamp(min=0)
    return h


def recurrence(state: dict[str, Tensor], steps: Tensor, suffix: str = "") -> Tensor:
    """A gated recurrent unit, written out: (batch, steps, width) to (batch, steps, hidden)."""
    inner, outer = state[f"recurrent.weight_ih_l0{suffix}"], state[f"recurrent.weight_hh_l0{suffix}"]
    inner_bias, outer_bias = state[f"recurrent.bias_ih_l0{suffix}"], state[f"recurrent.bias_hh_l0{suffix}"]
    hidden = torch.zeros(len(steps), outer.shape[1])
    found = []
    for step in steps.unbind(dim=1):
        reset, update, new = (step @ inner.T + inner_bias).chunk(3, dim=-1)
        reset_h, update_h, new_h = (hidden @ outer.T + outer_bias).chunk(3, dim=-1)
        update = torch.sigmoid(update + update_h)
        hidden = (1 - update) * torch.tanh(new + torch.sigmoid(reset + reset_h) * new_h) + update * hidden
        found.append(hidden)
    return torch.stack(found, dim=1)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_it_is_its_layer_table(bidirectional: bool) -> None:
    torch.manual_seed(0)
    model = build("cnn_rnn", EDA, 3, bidirectional=bidirectional).eval()
    state, x = model.state_dict(), torch.randn(4, 1, 64)

    conv = convolved(state, x)
    steps = conv.transpose(1, 2)
    sequence = recurrence(state, steps)
    if bidirectional:
        sequence = steps + sequence + recurrence(state, steps.flip(1), "_reverse").flip(1)
    hidden = sequence.mean(dim=1) if bidirectional else sequence[:, -1]
    found = model({"eda": x})

    expected = {"conv": conv, "sequence": sequence, "hidden": hidden}
    torch.testing.assert_close(found.features, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        found.prediction, hidden @ state["head.weight"].T + state["head.bias"], rtol=1e-5, atol=1e-5
    )
    assert conv.shape == (4, 64, 8)


def test_the_shortest_window_gives_two_steps() -> None:
    model = build("cnn_rnn", {"eda": InputShape(1, 9, 4.0)}, 2).train()
    assert model({"eda": torch.randn(1, 1, 9)}).features["sequence"].shape == (1, 2, 64)
    with pytest.raises(LimbeckError, match="9 samples or more; 'eda' has 8"):
        build("cnn_rnn", {"eda": InputShape(1, 8, 4.0)}, 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"width": ()}, "width is"),
        ({"width": (4, 0)}, "width is"),
        ({"kernel": 4}, "kernel is 4; expected an odd number"),
        ({"bidirectional": True, "hidden": 32}, "hidden is 32 and the last convolution has 64 filters"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(LimbeckError, match=said):
        build("cnn_rnn", EDA, 2, **options)


def test_one_number_is_one_convolution() -> None:
    assert build("cnn_rnn", EDA, 2, width=8)({"eda": torch.zeros(2, 1, 64)}).features["conv"].shape == (2, 8, 32)
