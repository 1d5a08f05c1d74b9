"""The teacher of any set of modalities: every subset answers, and missing ones leave no trace."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import xarray as xr
from cases.fusion_teacher import CASES, SHAPES
from learning import gradients_of, labelled_batch, learners, members_of
from torch import Tensor

from limbeck.errors import DataError, LimbeckError
from limbeck.models import InputShape, build
from limbeck.training import Settings, WindowTensors, fit

OPTIONS = CASES["fusion_teacher"].options
SUBSETS = [set(some) for size in (1, 2, 3) for some in itertools.combinations(SHAPES, size)]


def signals(batch: int, seed: int = 0) -> dict[str, Tensor]:
    """Draw a batch."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape.zeros(batch).shape, generator=generator) for name, shape in SHAPES.items()}


def without(inputs: dict[str, Tensor], present: set[str]) -> dict[str, Tensor]:
    """Return inputs of which only some are there."""
    return {name: x if name in present else torch.full_like(x, torch.nan) for name, x in inputs.items()}


@pytest.mark.parametrize("present", SUBSETS, ids=lambda some: "+".join(sorted(some)))
@pytest.mark.parametrize("n_steps", [0, 4])
def test_every_subset_is_answered_by_what_is_there(present: set[str], n_steps: int) -> None:
    torch.manual_seed(0)
    model = build("fusion_teacher", SHAPES, 2, n_steps=n_steps, **OPTIONS).eval()
    outputs = model(without(signals(3), present))

    assert outputs.prediction.isfinite().all()
    for place, name in enumerate(SHAPES):
        there = name in present
        assert bool(outputs.features[name].any()) is there
        assert bool((outputs.features["weights"][..., place] > 0).all()) is there
    total = outputs.features["weights"].sum(dim=-1)
    torch.testing.assert_close(total, torch.ones_like(total))
    alone = build(
        "fusion_teacher", {name: SHAPES[name] for name in SHAPES if name in present}, 2, n_steps=n_steps, **OPTIONS
    )
    shared = {key: value for key, value in model.state_dict().items() if key in alone.state_dict()}
    alone.load_state_dict(shared)
    torch.testing.assert_close(alone.eval()(signals(3)).prediction, outputs.prediction, rtol=1e-4, atol=1e-5)


def test_a_window_without_any_modality_is_answered_alike_whatever_its_companions() -> None:
    torch.manual_seed(0)
    model = build("fusion_teacher", SHAPES, 2, **OPTIONS).eval()
    inputs = signals(3)
    for x in inputs.values():
        x[1] = torch.nan
    outputs = model(inputs)

    assert outputs.prediction.isfinite().all()
    assert not outputs.features["weights"][1].any()
    torch.testing.assert_close(outputs.prediction[[0, 2]], model(signals(3)).prediction[[0, 2]])


def test_a_missing_sample_counts_as_the_mean() -> None:
    torch.manual_seed(0)
    model = build("fusion_teacher", SHAPES, 2, **OPTIONS).eval()
    gap, filled = signals(2), signals(2)
    gap["eda"][:, 0, 5], filled["eda"][:, 0, 5] = torch.nan, 0.0

    assert torch.equal(model(gap).prediction, model(filled).prediction)


def test_in_training_modalities_are_left_out_but_never_all_of_them() -> None:
    torch.manual_seed(0)
    model = build("fusion_teacher", SHAPES, 2, **{**OPTIONS, "dropout": 0.0}).train()
    inputs = without(signals(4), {"eda", "bvp"})
    mask = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]).unsqueeze(-1) / 0.8
    model.leave_out.mask = mask

    weights = model(inputs).features["weights"] > 0

    assert weights.tolist() == [[True, True, False], [True, False, False], [True, True, False], [False, True, False]]
    assert not model.eval()(inputs).features["weights"][:, 2].any()
    assert (model(inputs).features["weights"][:, :2] > 0).all(), "nothing is left out in use"


@pytest.mark.parametrize("backend", ["stacked", "looped"])
def test_each_window_of_each_network_leaves_out_its_own(backend: str) -> None:
    """The engine draws which, as it draws every mask, and gradients stay finite where modalities are missing."""
    ensemble = learners(
        lambda: build("fusion_teacher", SHAPES, 2, modality_dropout=0.5, **OPTIONS),
        SHAPES,
        members_of(2, 6),
        backend=backend,
    )
    inputs = {name: x.expand(2, *x.shape).clone() for name, x in signals(6).items()}
    inputs["bvp"][:, :3] = torch.nan
    batch = labelled_batch(inputs, torch.arange(12).reshape(2, 6) % 2)

    gradient, loss, _ = gradients_of(ensemble, batch, step=1)

    assert gradient.isfinite().all()
    assert loss.isfinite().all()
    drawn = ensemble._draw_masks(batch, 1)["network.leave_out.mask"]
    assert drawn.shape == (2, 6, 3, 1)
    assert not torch.equal(drawn[0], drawn[1])


def windows(*, present: bool) -> xr.Dataset:
    """Make windows of two subjects, of whom the second has no pulse."""
    rng = np.random.default_rng(0)
    n, lacking = 24, np.arange(24) >= 12
    data = {}
    for name, shape in SHAPES.items():
        values = rng.normal(size=(n, shape.channels, shape.length)).astype(np.float32)
        if name == "bvp":
            values[lacking] = np.nan
        data[name] = (("window", f"{name}_channel", f"{name}_time"), values, {"rate": shape.rate})
        data[f"{name}_present"] = ("window", ~lacking if name == "bvp" and not present else np.ones(n, bool))
    data["target"] = ("window", np.arange(n) % 2, {"kind": "class", "classes": ["low", "high"]})
    subject = ("window", np.repeat(np.arange(2, dtype=np.int32), 12), {"categories": ["A", "B"]})
    return xr.Dataset(data, coords={"subject": subject, "calibration": ("window", np.zeros(n, bool))})


@pytest.mark.parametrize("mode", ["train", "transductive"])
def test_it_trains_on_windows_whose_recording_lacks_a_modality(mode: str) -> None:
    tensors = WindowTensors.from_windows(windows(present=False), list(SHAPES), mode=mode)
    ensemble = learners(lambda: build("fusion_teacher", SHAPES, 2, **OPTIONS), SHAPES, members_of(1, 24))
    settings = Settings(epochs=2, batch=8, select="last", patience=None)

    trained = fit(ensemble, tensors, settings)

    assert all(value.isfinite().all() for value in trained.states[0].values())
    assert not any(unusable.any() for unusable in tensors.unusable.values())
    broken = WindowTensors.from_windows(windows(present=True), list(SHAPES), mode=mode)
    with pytest.raises(DataError, match="NaN or infinite values in 'bvp'"):
        fit(ensemble, broken, settings)


def test_windows_that_are_too_short_are_refused() -> None:
    with pytest.raises(LimbeckError, match="8 samples or more; 'eda' has 4"):
        build("fusion_teacher", {**SHAPES, "eda": InputShape(1, 4, 4.0)}, 2)
