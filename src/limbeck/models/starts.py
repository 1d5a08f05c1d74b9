"""How weights start, where that is not as PyTorch draws them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:  # layers draw their own weights by what stands here
    from limbeck.models.layers import Attention

__all__ = ["start_attention", "start_glorot", "start_recurrent"]


def start_glorot(module: nn.Module) -> None:
    """Draw the weights of convolutions and linear layers by Glorot and Bengio's uniform rule, with biases of zero.

    Other modules stay as they are, so that a network can ``apply`` it.
    """
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def start_recurrent(layer: nn.LSTM | nn.GRU) -> None:
    """Draw Glorot-uniform input weights and orthogonal recurrent ones; an LSTM's forget gate starts open."""
    tensors = dict(layer.named_parameters()) | dict(layer.named_buffers())
    nn.init.xavier_uniform_(tensors["weight_ih_l0"])
    nn.init.orthogonal_(tensors["weight_hh_l0"])
    nn.init.zeros_(tensors["bias_ih_l0"])
    nn.init.zeros_(tensors["bias_hh_l0"])
    if isinstance(layer, nn.LSTM):
        with torch.no_grad():
            tensors["bias_ih_l0"][layer.hidden_size : 2 * layer.hidden_size] = 1.0


def start_attention(attention: Attention) -> None:
    """Draw weights as PyTorch's own attention does: three projections as one matrix, biases of zero."""
    width, source = attention.query.weight.shape
    bound = math.sqrt(6 / (3 * width + source))
    for projection in (attention.query, attention.key, attention.value):
        nn.init.uniform_(projection.weight, -bound, bound)
        nn.init.zeros_(projection.bias)
    nn.init.zeros_(attention.out.bias)
