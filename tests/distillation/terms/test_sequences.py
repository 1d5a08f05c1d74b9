"""Losses for traces: agreement with the teacher's values, and the weight of a teacher that is not perfect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck.distillation import functional

Tried = Callable[..., Any]


def test_values_of_a_teacher_that_the_network_repeats_cost_nothing(trial: Tried) -> None:
    for loss, other in (("l1", 1.5), ("ccc", None)):
        tried = trial(loss, kind="trace")
        learner, batch = tried.learner(), tried.batch()
        same = learner.network(batch.sights["plain"].inputs).prediction.detach()
        assert learner(batch._replace(logits=same))[0].item() == pytest.approx(0, abs=1e-6)
        shifted = learner(batch._replace(logits=same + 1.5))[0].item()
        assert shifted == pytest.approx(other) if other else 0 < shifted < 1


@pytest.mark.parametrize(
    ("options", "error", "share"),
    [
        ({}, 0.0, 0.8),
        ({}, 0.5, 0.4),
        ({}, 1.0, 0.0),
        ({}, 1.7, 0.0),
        ({"most": 0.5, "threshold": 0.4}, 0.2, 0.25),
        ({"as_published": True, "threshold": 0.5}, 0.3, 0.5),
        ({"as_published": True, "threshold": 0.5}, 0.7, 1.0),
        ({"as_published": True, "threshold": 0.5}, 1.2, 1.4),
    ],
)
def test_a_worse_teacher_is_followed_less_unless_the_published_rule_is_asked_for(
    trial: Tried, options: dict[str, Any], error: float, share: float
) -> None:
    loss = trial("mmpkd", options, "trace").learner().losses["mmpkd"]
    assert loss.share_of(torch.tensor(error)).item() == pytest.approx(share)


def test_labels_and_feature_are_mixed_by_how_good_the_teacher_is_on_the_labelled_windows(trial: Tried) -> None:
    tried = trial("mmpkd", {"map": "pool"}, "trace")
    learner, batch = tried.learner(), tried.batch()

    def parts(logits: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        found: tuple[Tensor, dict[str, Tensor]] = learner(batch._replace(logits=logits))
        return found

    total, terms = parts(batch.logits)
    gamma = functional.ccc_loss(batch.logits[:4], batch.target[:4], torch.ones(4, dtype=torch.float64))["ccc"]
    torch.testing.assert_close(terms["mmpkd.share"], 0.8 * (1 - gamma).clamp(0, 1))
    share = terms["mmpkd.share"]
    torch.testing.assert_close(total, (1 - share) * terms["mmpkd.hard"] + share * terms["mmpkd.cosine"])
    right = torch.cat([batch.target[:4, None], batch.logits[4:]])
    assert parts(right)[1]["mmpkd.share"].item() == pytest.approx(0.8, abs=1e-6)
    assert parts(-right)[1]["mmpkd.share"] < 0.3
