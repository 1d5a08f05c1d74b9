"""A network of a model test in training: two or more of it as one, on labels alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from limbeck.distillation import Batch, Context, Joint, Learner, Sight, feature_shapes, make_losses
from limbeck.models import InputShape
from limbeck.protocols import Fold
from limbeck.training import Ensemble, Member

__all__ = ["gradients_of", "labelled_batch", "learners", "members_of"]

Gradients = tuple[Tensor, Tensor, dict[str, Tensor]]


def members_of(count: int, n_windows: int, seed: int = 7) -> list[Member]:
    """Return members whose folds differ in nothing but their number: every window is a labelled one of training."""
    empty = np.empty(0, dtype=np.int64)
    return [
        Member(Fold(0, number, np.arange(n_windows), empty, empty, empty, (), (), (), ()), seed=seed)
        for number in range(count)
    ]


def learners(
    make: Callable[[], nn.Module],
    shapes: Mapping[str, InputShape],
    members: list[Member],
    n_outputs: int = 2,
    backend: str = "stacked",
) -> Ensemble:
    """Return an ensemble that learns classes, or a trace where there is one output, from labels alone."""

    def build_learner() -> Learner:
        network = make()
        kind = "class" if n_outputs > 1 else "trace"
        context = Context(kind, n_outputs, shapes, feature_shapes(network, shapes))
        return Learner(network, make_losses({"hard": {}}), context)

    return Ensemble(build_learner, members, backend=backend)


def labelled_batch(inputs: Mapping[str, Tensor], target: Tensor, n_outputs: int = 2) -> Batch:
    """Return a batch for each member of which every window is labelled; all tensors begin with (members, batch)."""
    members = len(target)
    return Batch(
        sights={"plain": Sight(dict(inputs), {})},
        target=target,
        labelled=torch.ones(target.shape),
        class_weights=torch.ones(members, n_outputs),
        logits=torch.empty(*target.shape, 0),
        trust=torch.ones(target.shape),
        teachers={},
        index=torch.arange(target.numel()).reshape(target.shape),
        progress=torch.zeros(members),
        strength=torch.ones(members),
    )


def gradients_of(ensemble: Ensemble, batch: Batch, step: int = 0) -> Gradients:
    """Return gradients, losses and terms of the one phase that plain training has."""
    (phase,) = Joint().phases(step, 1e-3)
    return ensemble.gradients(phase, batch, step=step)
