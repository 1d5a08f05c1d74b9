"""Losses on labels: what their options add."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.errors import LimbeckError

Tried = Callable[..., Any]


def test_ordinal_adds_a_distance_that_grows_with_how_far_off_the_prediction_is(trial: Tried) -> None:
    tried = trial("hard", {"ordinal": True})
    total, terms = tried.learner()(tried.batch())
    torch.testing.assert_close(total, terms["hard"] + terms["hard.ordinal"])
    plain = trial("hard")
    torch.testing.assert_close(plain.learner()(plain.batch())[0], terms["hard"])
    batch = tried.batch(target=torch.zeros(8, dtype=torch.int64), class_weights=torch.ones(3, dtype=torch.float64))
    errors = []
    for wrong in (1, 2):
        learner = tried.learner()
        with torch.no_grad():
            learner.network.head.weight.zero_()
            learner.network.head.bias.copy_(5.0 * torch.nn.functional.one_hot(torch.tensor(wrong), 3))
        errors.append(learner(batch)[1])
    torch.testing.assert_close(errors[0]["hard"], errors[1]["hard"])
    assert errors[1]["hard.ordinal"] > 1.5 * errors[0]["hard.ordinal"]


@pytest.mark.parametrize(
    ("form", "formula"),
    [
        ("mse", lambda x, y: ((x - y) ** 2).mean()),
        ("l1", lambda x, y: np.abs(x - y).mean()),
        ("ccc", lambda x, y: 1 - 2 * np.cov(x, y, ddof=0)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)),
    ],
)
def test_the_error_of_a_trace_has_three_forms(trial: Tried, form: str, formula: Callable[..., float]) -> None:
    tried = trial("hard", {"form": form}, "trace")
    learner, batch = tried.learner(), tried.batch()
    predicted = learner.network(batch.sights["plain"].inputs).prediction[:4, 0].detach().numpy()
    assert learner(batch)[0].item() == pytest.approx(formula(predicted, batch.target[:4].numpy()), rel=1e-6)


def test_options_of_the_other_kind_of_target_are_refused(trial: Tried) -> None:
    with pytest.raises(LimbeckError, match="no classes in an order"):
        trial("hard", {"ordinal": True}, "trace").learner()
    with pytest.raises(LimbeckError, match="'ccc' is for a trace"):
        trial("hard", {"form": "ccc"}).learner()
    with pytest.raises(LimbeckError, match=r"form: expected one of mse, l1, ccc, found 'mae'"):
        trial("hard", {"form": "mae"}, "trace").learner()


def test_the_published_estimator_leaves_an_error_where_prediction_and_label_agree(trial: Tried) -> None:
    for mixed, left in ((False, 0.0), (True, 1 / 4)):
        tried = trial("hard", {"form": "ccc", "mixed": mixed}, "trace")
        learner, batch = tried.learner(), tried.batch()
        same = learner.network(batch.sights["plain"].inputs).prediction.detach()[:, 0]
        assert learner(batch._replace(target=same))[0].item() == pytest.approx(left, abs=1e-4)
    with pytest.raises(LimbeckError, match="mixed: it is an option of the form ccc, found 'mse'"):
        trial("hard", {"mixed": True}, "trace").learner()
