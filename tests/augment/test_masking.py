"""Hidden blocks for reconstruction."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from limbeck.augment import Mask, stacked
from limbeck.errors import DataError, StudyError

SHAPES = {"eeg": (40, 3, 240), "eda": (40, 1, 20), "ecg": (40, 50)}


def test_hidden_blocks_stand_at_zero_and_the_mask_says_where() -> None:
    noise = stacked([Mask(0.5, 24).noise(SHAPES, np.random.default_rng(0))])
    inputs = {name: torch.rand(1, *shape) + 1 for name, shape in SHAPES.items()}
    shown, masks = Mask(0.5, 24).apply(inputs, noise)
    for name, shape in SHAPES.items():
        mask = masks[name]
        assert mask.shape == (1, shape[0], shape[-1])
        over = mask if name == "ecg" else mask.unsqueeze(-2).expand_as(inputs[name])
        assert torch.equal(shown[name], torch.where(over > 0, 0.0, inputs[name]))
        assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert (masks["eeg"].mean(-1) == 0.5).all()
    by_block = masks["eeg"].reshape(1, 40, 24, 10)
    assert (by_block == by_block[..., :1]).all()
    assert (masks["eda"].mean(-1) == 0.5).all(), "short windows have as many blocks as samples"
    assert len({tuple(row) for row in masks["eeg"][0].tolist()}) > 35


@pytest.mark.parametrize(("share", "hidden"), [(0.01, 1), (0.6, 5), (0.99, 7)])
def test_something_is_always_hidden_and_something_shown(share: float, hidden: int) -> None:
    noise = Mask(share, 8).noise({"eda": (30, 1, 8)}, np.random.default_rng(0))
    assert (noise["eda"]["hidden"].sum(1) == hidden).all()


def test_companions_do_not_matter() -> None:
    mask = Mask()
    noises = [mask.noise(SHAPES, np.random.default_rng([1, f])) for f in range(3)]
    inputs = {name: torch.randn(3, *shape) for name, shape in SHAPES.items()}
    shown, masks = mask.apply(inputs, stacked(noises))
    mapped, _ = torch.func.vmap(mask.apply)(inputs, stacked(noises))
    for f in range(3):
        alone, alone_masks = mask.apply({name: x[f : f + 1] for name, x in inputs.items()}, stacked([noises[f]]))
        assert all(torch.equal(shown[name][f], alone[name][0]) for name in SHAPES)
        assert all(torch.equal(mapped[name][f], alone[name][0]) for name in SHAPES)
        assert all(torch.equal(masks[name][f], alone_masks[name][0]) for name in SHAPES)


def test_an_absent_sensor_stays_absent_and_counts_as_not_hidden() -> None:
    inputs = {name: torch.ones(1, *shape) for name, shape in SHAPES.items()}
    for x in inputs.values():
        x[:, :10] = torch.nan
    shown, masks = Mask().apply(inputs, stacked([Mask().noise(SHAPES, np.random.default_rng(0))]))
    assert all(x[:, :10].isnan().all() and x[:, 10:].isfinite().all() for x in shown.values())
    assert all((m[:, :10] == 0).all() and (m[:, 10:].amax(-1) == 1).all() for m in masks.values())


def test_what_cannot_be_hidden_in_part_is_refused() -> None:
    with pytest.raises(DataError, match="temp have one value"):
        Mask().noise({"temp": (4, 1), "eda": (4, 1, 8)}, np.random.default_rng(0))
    with pytest.raises(StudyError, match="2 mistakes"):
        Mask(share=0.0, blocks=1)
