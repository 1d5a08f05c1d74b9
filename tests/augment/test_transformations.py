"""Transformations that a network learns to tell apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from limbeck.augment import Transformations, stacked
from limbeck.errors import DataError, StudyError
from limbeck.models.ssl_ecg import TRANSFORMATIONS

BATCH, TIME = 700, 360


def transformed(x: Tensor, task: Transformations | None = None, seed: int = 0) -> tuple[Tensor, Tensor]:
    task = task or Transformations()
    noise = stacked([task.noise({"ecg": tuple(x.shape)}, np.random.default_rng(seed))])
    changed, kind = task.apply({"ecg": x[None]}, noise)
    return changed["ecg"][0], kind[0]


def of(kind: Tensor, name: str) -> Tensor:
    return kind == Transformations.KINDS.index(name)


def test_kinds_are_those_of_the_pretext_network_in_its_order() -> None:
    assert tuple(TRANSFORMATIONS) == Transformations.KINDS


def test_each_kind_is_as_likely_and_does_what_it_is_called() -> None:
    x = torch.randn(BATCH, 2, TIME)
    y, kind = transformed(x)
    assert kind.dtype == torch.int64
    assert kind.bincount(minlength=7).min() > 60
    assert torch.equal(y[of(kind, "original")], x[of(kind, "original")])
    assert torch.allclose(y[of(kind, "scale")], 1.1 * x[of(kind, "scale")])
    assert torch.equal(y[of(kind, "negate")], -x[of(kind, "negate")])
    assert torch.equal(y[of(kind, "flip")], x[of(kind, "flip")].flip(-1))
    added = (y - x)[of(kind, "noise")]
    ratio = 10 * torch.log10(x[of(kind, "noise")].square().mean() / added.square().mean())
    assert ratio.item() == pytest.approx(15, abs=0.1)


def test_permuted_windows_hold_the_same_twenty_pieces() -> None:
    x = torch.arange(float(TIME)).expand(BATCH, 1, TIME)
    y, kind = transformed(x)
    rows = y[of(kind, "permute"), 0]
    pieces = rows.reshape(-1, 20, TIME // 20)
    assert torch.equal(rows.sort(-1).values, x[: len(rows), 0])
    assert (pieces.diff(dim=-1) == 1).all()
    assert ((pieces[..., 0].diff(dim=-1) != TIME // 20).sum(-1) > 10).all()


def test_warped_windows_are_five_parts_stretched_and_four_squeezed() -> None:
    x = torch.arange(float(TIME)).expand(BATCH, 1, TIME)
    y, kind = transformed(x)
    rows = y[of(kind, "time_warp"), 0]
    step = rows.diff(dim=-1)
    assert step.min() >= 1 / 1.05 - 1e-3
    assert step.max() <= 1.05 + 1e-3
    slow = (step < 1).float().mean(-1)
    assert ((slow > 0.5) & (slow < 0.65)).all()
    changes = ((step[:, 1:] - step[:, :-1]).abs() > 0.03).sum(-1)
    assert (changes <= 16).all()
    assert rows[:, 0].max() > 0.5, "what is cut out always begins with the window"
    assert rows.max() <= TIME - 1


def test_all_signals_of_a_window_undergo_the_same() -> None:
    shapes = {"ecg": (200, 1, 200), "eda": (200, 1, 50)}
    task = Transformations()
    inputs = {name: torch.randn(1, *shape) for name, shape in shapes.items()}
    changed, kind = task.apply(inputs, stacked([task.noise(shapes, np.random.default_rng(0))]))
    for name in shapes:
        assert torch.equal(changed[name][of(kind, "flip")], inputs[name][of(kind, "flip")].flip(-1))
        assert torch.equal(changed[name][of(kind, "original")], inputs[name][of(kind, "original")])


def test_companions_do_not_matter() -> None:
    task, shapes = Transformations(), {"ecg": (32, 1, 128)}
    noises = [task.noise(shapes, np.random.default_rng([1, f])) for f in range(4)]
    x = torch.randn(4, 32, 1, 128)
    together, kind = task.apply({"ecg": x}, stacked(noises))
    mapped, mapped_kind = torch.func.vmap(task.apply)({"ecg": x}, stacked(noises))
    assert torch.equal(mapped_kind, kind)
    assert torch.equal(mapped["ecg"], together["ecg"])
    for f in range(4):
        alone, alone_kind = task.apply({"ecg": x[f : f + 1]}, stacked([noises[f]]))
        assert torch.equal(together["ecg"][f], alone["ecg"][0])
        assert torch.equal(kind[f], alone_kind[0])


def test_windows_shorter_than_the_pieces_and_absent_ones_pass() -> None:
    x = torch.randn(100, 1, 6)
    x[:50] = torch.nan
    y, _ = transformed(x)
    assert y[:50].isnan().all()
    assert y[50:].isfinite().all()


def test_windows_without_time_are_refused() -> None:
    with pytest.raises(DataError, match="not so eda"):
        Transformations().noise({"ecg": (4, 1, 64), "eda": (4, 12)}, np.random.default_rng(0))
    with pytest.raises(DataError, match="empty view"):
        Transformations().noise({}, np.random.default_rng(0))
    with pytest.raises(StudyError, match="2 mistakes"):
        Transformations(pieces=1, stretch=1.0)
