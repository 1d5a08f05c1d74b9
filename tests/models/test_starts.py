"""How weights start."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from limbeck.models.layers import Attention
from limbeck.models.starts import start_attention, start_glorot, start_recurrent


@pytest.mark.parametrize("module", [nn.Linear(30, 50), nn.Conv1d(30, 50, 3), nn.Conv2d(30, 50, (3, 5))], ids=repr)
def test_glorots_rule_bounds_the_weights_and_leaves_no_bias(module: nn.Linear | nn.Conv1d | nn.Conv2d) -> None:
    torch.manual_seed(0)
    start_glorot(module)
    spots = module.weight[0, 0].numel()

    bound = (6 / (80 * spots)) ** 0.5
    assert 0.95 * bound < module.weight.abs().max() <= bound
    assert not module.bias.any()


def test_glorots_rule_takes_layers_without_a_bias_and_leaves_others_alone() -> None:
    start_glorot(nn.Conv1d(2, 3, 3, bias=False))
    norm = nn.BatchNorm1d(3)
    start_glorot(norm)
    assert norm.weight.eq(1).all()


@pytest.mark.parametrize("layer", [nn.LSTM(3, 8), nn.GRU(3, 8)], ids=["lstm", "gru"])
def test_recurrent_weights_are_orthogonal_and_the_forget_gate_is_open(layer: nn.LSTM | nn.GRU) -> None:
    start_recurrent(layer)
    product = layer.weight_hh_l0.T @ layer.weight_hh_l0

    torch.testing.assert_close(product, torch.eye(8), rtol=0, atol=1e-5)
    assert not layer.bias_hh_l0.any()
    assert layer.bias_ih_l0.sum() == (8 if isinstance(layer, nn.LSTM) else 0)
    if isinstance(layer, nn.LSTM):
        assert layer.bias_ih_l0.reshape(4, 8)[1].eq(1).all()


def test_attention_starts_as_pytorchs_own() -> None:
    torch.manual_seed(0)
    ours, theirs = Attention(64, 4), nn.MultiheadAttention(64, 4)
    start_attention(ours)
    bound = theirs.in_proj_weight.abs().max()

    for projection in (ours.query, ours.key, ours.value):
        torch.testing.assert_close(projection.weight.abs().max(), bound, rtol=0.01, atol=0)
        assert not projection.bias.any()
    assert not ours.out.bias.any()
