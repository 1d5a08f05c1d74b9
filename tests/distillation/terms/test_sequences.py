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


def test_how_good_a_teacher_of_steps_is_is_judged_over_all_steps_together(trial: Tried) -> None:
    tried = trial("mmpkd", {"map": "pool"}, "trace", steps=5)
    learner, batch = tried.learner(), tried.batch()
    level = torch.arange(8, dtype=torch.float64)[:, None].expand(8, 5)  # apart between windows, still within them
    right = batch._replace(target=level * batch.labelled[:, None], logits=level)
    assert learner(right)[1]["mmpkd.share"].item() == pytest.approx(0.8, abs=1e-6)
    every = torch.ones(20, dtype=torch.float64)
    gamma = functional.ccc_loss(batch.logits[:4].reshape(-1), batch.target[:4].reshape(-1), every)["ccc"]
    torch.testing.assert_close(learner(batch)[1]["mmpkd.share"], 0.8 * (1 - gamma).clamp(0, 1))


def test_how_good_a_teacher_is_is_judged_where_it_is_trusted(trial: Tried) -> None:
    tried = trial("mmpkd", {"map": "pool"}, "trace")
    trust = torch.tensor([1.0, 0, 1, 1, 1, 1, 1, 1], dtype=torch.float64)
    batch = tried.batch(trust=trust)
    batch.logits[1] = torch.nan
    rows = torch.tensor([0, 2, 3])
    gamma = functional.ccc_loss(batch.logits[rows], batch.target[rows], torch.ones(3, dtype=torch.float64))["ccc"]
    total, terms = tried.learner()(batch)
    assert total.isfinite()
    torch.testing.assert_close(terms["mmpkd.share"], 0.8 * (1 - gamma).clamp(0, 1))


def test_the_published_mixture_turns_from_the_labels_where_the_teacher_is_wrong(trial: Tried) -> None:
    tried = trial("mmpkd", {"map": "pool", "as_published": True}, "trace")
    learner, batch = tried.learner(), tried.batch()
    wrong = torch.cat([-batch.target[:4, None], batch.logits[4:]])
    gamma = functional.ccc_loss(wrong[:4], batch.target[:4], torch.ones(4, dtype=torch.float64))["ccc"]
    assert gamma > 0.8, "the weight of the labels must be negative"
    total, terms = learner(batch._replace(logits=wrong))
    expected = (0.8 - gamma) * terms["mmpkd.hard"] + (0.2 + gamma) * terms["mmpkd.cosine"]
    torch.testing.assert_close(total, expected)
