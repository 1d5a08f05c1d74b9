"""Another head on a trained network: what fine-tuning to other classes starts with.

A network whose prediction comes from one last layer keeps it as ``self.head``: a linear layer or a convolution, or a
sequence that ends in one. Where its weights are not drawn as PyTorch draws them, ``self.initialise`` (a function of one
module) says how.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from limbeck.errors import LimbeckError

__all__ = ["with_new_head"]


def with_new_head(model: nn.Module, n_outputs: int, *, seed: int = 0) -> nn.Module:
    """Return a copy of a network with a fresh last layer; the network itself stays as it is.

    Parameters
    ----------
    model : nn.Module
        With a ``head``; all its other weights are copied.
    n_outputs : int
        Number of classes, or 1 for a trace.
    seed : int
        From which the weights of the new layer are drawn.

    Raises
    ------
    LimbeckError
        When the network has no ``head``, or one that is no linear layer or convolution, or for less than one output.
    """
    if n_outputs < 1:
        raise LimbeckError(f"A head with {n_outputs} outputs predicts nothing; expected at least 1.")
    path, old = _last_layer(model)
    fresh = copy.deepcopy(old)
    fresh.weight = nn.Parameter(torch.empty(n_outputs, *old.weight.shape[1:]))
    if old.bias is not None:
        fresh.bias = nn.Parameter(torch.empty(n_outputs))
    if isinstance(fresh, nn.Linear):
        fresh.out_features = n_outputs
    else:
        fresh.out_channels = n_outputs
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh.reset_parameters()
        initialise = getattr(model, "initialise", None)
        if callable(initialise):
            initialise(fresh)
    changed = copy.deepcopy(model)
    changed.set_submodule(path, fresh.to(old.weight))
    return changed


def _last_layer(model: nn.Module) -> tuple[str, nn.Linear | nn.Conv1d | nn.Conv2d]:
    """Return the path and the layer that makes a network's prediction."""
    path = "head"
    head: object = getattr(model, "head", None)
    while isinstance(head, nn.Sequential) and len(head):
        path, head = f"{path}.{len(head) - 1}", head[-1]
    if isinstance(head, nn.Linear) or (isinstance(head, nn.Conv1d | nn.Conv2d) and head.groups == 1):
        return path, head
    what = "no head" if head is None else f"a head that is no linear layer or convolution ({type(head).__name__})"
    raise LimbeckError(
        f"{type(model).__name__} has {what}, so it cannot be exchanged; build the network anew and load the rest of "
        "its weights (start.reset in a study)."
    )
