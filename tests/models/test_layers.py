"""Dropout with masks from outside; the encoder that several models share."""

from __future__ import annotations

import pytest
import torch

from limbeck.errors import LimbeckError
from limbeck.models import Dropout, InputShape
from limbeck.models.layers import SignalEncoder


def test_dropout_multiplies_by_its_mask_in_training_only() -> None:
    layer = Dropout(0.5)
    layer.mask = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    x = torch.tensor([[1.0, 1.0], [3.0, 3.0]])

    assert torch.equal(layer.train()(x), torch.tensor([[2.0, 0.0], [0.0, 6.0]]))
    assert torch.equal(layer.eval()(x), x)


def test_dropout_of_nothing_passes_everything_on_whatever_the_mask() -> None:
    layer = Dropout(0.0)
    layer.mask = torch.zeros(2)

    assert torch.equal(layer.train()(torch.ones(2)), torch.ones(2))


def test_the_mask_is_no_part_of_the_state() -> None:
    assert Dropout(0.3).state_dict() == {}


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5])
def test_a_share_outside_the_unit_interval_is_refused(p: float) -> None:
    with pytest.raises(LimbeckError, match=f"dropout is {p}"):
        Dropout(p)


@pytest.mark.parametrize("length", [4, 30, 127, 240, 1000, 3840, 30000])
def test_the_encoder_reads_windows_of_any_length(length: int) -> None:
    shape = InputShape(2, length, 64.0)
    encoder = SignalEncoder(shape, width=4, dropout=0.0)

    assert encoder(torch.randn(2, 2, length)).shape == (2, encoder.width) == (2, 8)


def test_the_first_layer_brings_long_windows_down_to_about_128_steps() -> None:
    for length in (240, 1920, 3840, 30720):
        encoder = SignalEncoder(InputShape(1, length, 64.0), width=4, dropout=0.0)
        assert 100 < encoder.stem(torch.zeros(1, 1, length)).shape[-1] <= 256


def test_the_encoder_tells_levels_apart() -> None:
    """A skin conductance above a person's usual is information; a normalisation layer would take it away."""
    torch.manual_seed(0)
    encoder = SignalEncoder(InputShape(1, 240, 4.0), width=8, dropout=0.0)
    low, high = torch.full((1, 1, 240), -1.0), torch.full((1, 1, 240), 1.0)

    assert (encoder(low) - encoder(high)).abs().max() > 0.05
