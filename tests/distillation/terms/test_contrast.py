"""Contrastive losses: what a memory remembers, who is a negative of whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.distillation import functional
from limbeck.errors import LimbeckError

Tried = Callable[..., Any]
OPTIONS = {"width": 6, "temperature": 0.3, "weight": 1.0, "negatives": 9}


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Reference:
    """The loss in NumPy, with loops and dictionaries for memories."""

    def __init__(self, momentum: float, apart: int) -> None:
        self.momentum, self.apart = momentum, apart
        self.student: dict[int, np.ndarray] = {}
        self.teacher: dict[int, np.ndarray] = {}
        self.classes: dict[int, int] = {}
        self.z: dict[str, float] = {}

    def step(self, own: np.ndarray, taught: np.ndarray, index: list[int], classes: list[int]) -> float:
        for i, window in enumerate(index):
            self.student.setdefault(window, own[i])
            self.teacher.setdefault(window, taught[i])
            self.classes[window] = classes[i]
        negatives = [
            [
                w
                for w in self.student
                if abs(w - window) > self.apart and (classes[i] < 0 or self.classes[w] != classes[i])
            ]
            for i, window in enumerate(index)
        ]
        n, total = len(self.student), 0.0
        for side, rows, bank in (("student", own, self.teacher), ("teacher", taught, self.student)):
            h = [
                (np.exp(rows[i] @ bank[w] / 0.3), np.array([np.exp(rows[i] @ bank[v] / 0.3) for v in negatives[i]]))
                for i, w in enumerate(index)
            ]
            self.z.setdefault(side, float(np.mean(np.concatenate([np.append(unlike, like) for like, unlike in h]))))
            z = self.z[side] * n
            for like, unlike in h:
                draws = min(9, 4 * len(unlike))
                noise = draws / n
                found = -np.log(like / z / (like / z + noise + 1e-7))
                found -= draws * np.mean(np.log(noise / (unlike / z + noise + 1e-7)))
                total += found / len(index)
        for i, window in enumerate(index):
            for bank, rows in ((self.student, own), (self.teacher, taught)):
                bank[window] = unit(self.momentum * bank[window][None] + (1 - self.momentum) * rows[i][None])[0]
        return total


@pytest.mark.parametrize(("momentum", "apart"), [(0.5, 0), (0.8, 1), (0.0, 2)])
def test_contrast_with_the_memory_is_its_formula_step_after_step(trial: Tried, momentum: float, apart: int) -> None:
    given = {} if momentum == 0.5 else {"momentum": momentum}  # 0.5 is what it starts from
    tried = trial("crd", {**OPTIONS, **given, "apart": apart})
    learner, reference = tried.learner(), Reference(momentum, apart)
    for seed in range(4):
        batch = tried.batch(seed)
        said = learner.network(batch.sights["plain"].inputs).features["embedding"]
        projected = learner.losses["crd"].projections["rich"](said, batch.teachers["rich"]["embedding"])
        own, taught = (rows.detach().numpy() for rows in projected)
        classes = torch.where(batch.labelled > 0, batch.target, -1).tolist()
        expected = reference.step(own, taught, batch.index.tolist(), classes)
        total, terms = learner(batch)
        assert total.item() == pytest.approx(expected, rel=1e-9)
        torch.testing.assert_close(total, terms["crd.student"] + terms["crd.teacher"])
    memory = learner.losses["crd"].memories["rich"]
    assert set(memory.seen.nonzero()[:, 0].tolist()) == set(reference.student)
    for window, row in reference.student.items():
        np.testing.assert_allclose(memory.student[window].numpy(), row, rtol=1e-9)


def test_memories_move_in_training_only_and_hold_only_windows_that_the_loss_learns_from(trial: Tried) -> None:
    tried = trial("crd", {**OPTIONS, "on": "unlabelled"})
    learner, batch = tried.learner(), tried.batch()
    memory = learner.losses["crd"].memories["rich"]
    before = {name: value.clone() for name, value in memory.named_buffers()}
    learner.eval()(batch)
    assert all(torch.equal(value, before[name]) for name, value in memory.named_buffers())
    learner.train()(batch)
    assert memory.seen.nonzero()[:, 0].tolist() == sorted(batch.index[4:].tolist())
    assert (memory.classes == -1).all(), "no label of an unlabelled window may be remembered"
    assert (memory.normalisers > 0).all()
    kept = memory.normalisers.clone()
    learner(tried.batch(1))
    assert torch.equal(memory.normalisers, kept), "the normaliser is that of the first batch"


def test_a_window_that_stands_twice_in_a_batch_is_remembered_once_and_is_not_its_own_negative(trial: Tried) -> None:
    tried = trial("crd", OPTIONS)
    learner, batch = tried.learner(), tried.batch()
    twice = batch._replace(index=torch.cat([batch.index[:7], batch.index[:1]]))
    total, _ = learner(twice)
    memory = learner.losses["crd"].memories["rich"]
    assert total.isfinite()
    assert memory.seen.sum() == 7
    said = learner.network(batch.sights["plain"].inputs).features["embedding"][:1]
    own, _ = learner.losses["crd"].projections["rich"](said, batch.teachers["rich"]["embedding"][:1])
    torch.testing.assert_close(memory.student[batch.index[0]], own[0].detach())


def test_without_labels_every_other_window_is_a_negative_and_with_them_those_of_its_class_are_not(
    trial: Tried,
) -> None:
    tried = trial("info_nce", {"width": 6, "supervised": True, "apart": 0})
    batch = tried.batch()
    learner = tried.learner()
    said = learner.network(batch.sights["plain"].inputs).features["embedding"]
    rows = learner.losses["info_nce"].projections["rich"](said, batch.teachers["rich"]["embedding"])
    ones = torch.ones(8, dtype=torch.float64)
    expected = functional.info_nce(*rows, ones, classes=batch.target, labelled=batch.labelled)["info_nce"]
    torch.testing.assert_close(learner(batch)[0], expected)
    plain = trial("info_nce", {"width": 6, "apart": 0})
    torch.testing.assert_close(plain.learner()(batch)[0], functional.info_nce(*rows, ones)["info_nce"])
    assert not torch.isclose(expected, plain.learner()(batch)[0])


@pytest.mark.parametrize("loss", ["info_nce", "crd"])
@pytest.mark.parametrize("apart", [1, 2])
def test_windows_that_lie_no_further_apart_than_this_are_no_negatives(trial: Tried, loss: str, apart: int) -> None:
    options = {"width": 6, "temperature": 0.3, **({} if apart == 1 else {"apart": apart})}
    trust = torch.tensor([1.0, 1, 0, 0, 0, 0, 0, 0], dtype=torch.float64)

    def of(gap: int, **changes: Any) -> float:
        tried = trial(loss, {**options, **changes})
        index = torch.tensor([4, 4 + gap, *range(12, 18)])
        batch = tried.batch(trust=trust, index=index, labelled=torch.zeros(8, dtype=torch.float64))
        found: float = tried.learner()(batch)[0].item()
        return found

    assert of(apart) == pytest.approx(0, abs=1e-5), "nothing is left to confuse it with"
    assert of(apart + 1) > 0.1
    assert of(1, apart=0) > 0.1


def test_a_window_that_stands_twice_in_a_batch_is_no_negative_of_itself(trial: Tried) -> None:
    tried = trial("info_nce", {"width": 6, "apart": 0})
    batch = tried.batch(trust=torch.tensor([1.0, 1, 0, 0, 0, 0, 0, 0], dtype=torch.float64))
    twice = batch._replace(index=batch.index[:1].expand(8))
    assert tried.learner()(twice)[0].item() == pytest.approx(0, abs=1e-9)
    assert tried.learner()(batch)[0] > 0.01


def test_what_has_no_negatives_or_no_classes_is_refused(trial: Tried) -> None:
    with pytest.raises(LimbeckError, match=r"info_nce\.supervised: the target is a trace, which has no classes"):
        trial("info_nce", {"supervised": True}, "trace").learner()
    with pytest.raises(LimbeckError, match=r"width: expected a whole number of at least 1, found 0"):
        trial("crd", {"width": 0}).learner()
    with pytest.raises(LimbeckError, match="momentum: expected a share below 1"):
        trial("crd", {"momentum": 1.0}).learner()
