"""Losses on clouds of features: who pulls in which direction, and which teacher is followed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from limbeck.distillation import functional

Tried = Callable[..., Any]
BOTH = ("rich", "other")


def test_the_discriminator_learns_to_tell_and_the_network_not_to_be_told(trial: Tried) -> None:
    tried = trial("adversarial", {"map": "linear"})
    learner, batch = tried.learner(), tried.batch()
    rows = learner.network(batch.sights["plain"].inputs).features["embedding"]
    mapped, taught = learner.losses["adversarial"].matched["rich"](rows, batch.teachers["rich"]["embedding"])
    tell = learner.losses["adversarial"].discriminators["rich"]
    ones = torch.ones(8, dtype=torch.float64)
    plain = functional.adversarial(tell(mapped)[:, 0], tell(taught)[:, 0], ones)["adversarial"]
    total, _ = learner(batch)
    torch.testing.assert_close(total, plain)
    strength = 2 / (1 + torch.exp(-10 * batch.progress)) - 1
    for parameters, factor in ((list(learner.network.layer.parameters()), -strength), (list(tell.parameters()), 1.0)):
        turned = torch.autograd.grad(total, parameters, retain_graph=True)
        straight = torch.autograd.grad(plain, parameters, retain_graph=True)
        for found, expected in zip(turned, straight, strict=True):
            torch.testing.assert_close(found, factor * expected)


def test_at_the_start_the_discriminator_learns_alone(trial: Tried) -> None:
    tried = trial("adversarial")
    learner = tried.learner()
    total, _ = learner(tried.batch(progress=torch.tensor(0.0, dtype=torch.float64)))
    gradients = torch.autograd.grad(total, list(learner.network.layer.parameters()))
    assert not any(gradient.any() for gradient in gradients)


def test_the_transport_follows_all_teachers_or_the_one_that_is_right_in_the_batch(trial: Tried) -> None:
    def of(**options: Any) -> torch.Tensor:
        tried = trial("pkdot", {"anchors": 4, "weight": 1.0, **options}, teachers=BOTH)
        total: torch.Tensor = tried.learner()(tried.batch())[0]
        return total

    batch = trial("pkdot", teachers=BOTH).batch()
    errors = {name: cross_entropy(batch.teachers[name]["logits"][:4], batch.target[:4]) for name in BOTH}
    best = min(errors, key=lambda name: errors[name].item())
    torch.testing.assert_close(of(select="batch"), of(of=best))
    torch.testing.assert_close(of(), (of(of="rich") + of(of="other")) / 2)
    assert of(centroid=0.2) > of()
    assert not torch.isclose(of(per_row=True), of()), "the published anchors are others"


@pytest.mark.parametrize("loss", ["mmd", "coral", "sinkhorn"])
def test_one_cloud_in_another_order_costs_nothing(trial: Tried, loss: str) -> None:
    tried = trial(loss, {"map": "pool"})
    learner, batch = tried.learner(), tried.batch()
    rows = learner.network(batch.sights["plain"].inputs).features["embedding"].detach()
    student, _ = learner.losses[loss].matched["rich"](rows, batch.teachers["rich"]["embedding"])
    batch.teachers["rich"]["embedding"] = student.flip(0)
    assert learner(batch)[0].item() == pytest.approx(0, abs=1e-9)
