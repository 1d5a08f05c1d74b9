"""EEGNet against its layer table in NumPy, and lengths that follow the rate."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build

EEG = {"eeg": InputShape(5, 130, 128.0)}


def elu(h: np.ndarray) -> np.ndarray:
    return np.where(h > 0, h, np.expm1(np.minimum(h, 0)))


def averaged(h: np.ndarray, pool: int) -> np.ndarray:
    steps = h.shape[-1] // pool
    return h[..., : steps * pool].reshape(*h.shape[:-1], steps, pool).mean(axis=-1)


def same(h: np.ndarray, kernel: int) -> np.ndarray:
    """Windows of a signal with zeros around it: an even kernel reads one sample more behind than before."""
    before = (kernel - 1) // 2
    padded = np.pad(h, [(0, 0)] * (h.ndim - 1) + [(before, kernel - 1 - before)])
    return np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=-1)


def bounded(weight: np.ndarray, limit: float) -> np.ndarray:
    norm = np.sqrt((weight**2).sum(axis=tuple(range(1, weight.ndim)), keepdims=True))
    return weight * np.minimum(1.0, limit / norm)


def test_it_is_its_layer_table() -> None:
    torch.manual_seed(0)
    model = build("eegnet", EEG, 3).eval()
    for norm in (model.norm1, model.norm2, model.norm3):
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2.0)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    nn.init.normal_(model.spatial.weight)
    x = torch.randn(4, 5, 130)
    state = {name: value.double().numpy() for name, value in model.state_dict().items()}

    def normalised(name: str, h: np.ndarray) -> np.ndarray:
        weight, bias, mean, var = (
            state[f"{name}.{key}"].reshape(-1, *[1] * (h.ndim - 2))
            for key in ("weight", "bias", "running_mean", "running_var")
        )
        return (h - mean) / np.sqrt(var + 1e-3) * weight + bias

    h = normalised("norm1", np.einsum("bctk,fk->bfct", same(x.double().numpy(), 64), state["temporal.weight"][:, 0, 0]))
    space = bounded(state["spatial.weight"], 1.0)[:, 0, :, 0].reshape(8, 2, 5)
    h = np.einsum("bfct,fdc->bfdt", h, space).reshape(4, 16, 130)
    block1 = averaged(elu(normalised("norm2", h)), 4)
    h = np.einsum("bctk,ck->bct", same(block1, 16), state["separable.weight"][:, 0])
    h = np.einsum("bct,fc->bft", h, state["pointwise.weight"][..., 0])
    block2 = averaged(elu(normalised("norm3", h)), 8)
    expected = block2.reshape(4, -1) @ bounded(state["head.weight"], 0.25).T + state["head.bias"]
    found = model({"eeg": x})

    np.testing.assert_allclose(found.features["block1"].numpy(force=True), block1, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.features["block2"].numpy(force=True), block2, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.prediction.numpy(force=True), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("rate", "kernel", "second", "pool"), [(128.0, 64, 16, 4), (256.0, 128, 16, 8), (250.0, 125, 16, 8), (4.0, 2, 2, 1)]
)
def test_lengths_follow_the_rate(rate: float, kernel: int, second: int, pool: int) -> None:
    shape = InputShape(2, 8 * pool, rate)
    model = build("eegnet", {"x": shape}, 2).train()

    assert model.temporal.kernel_size == (1, kernel)
    assert model.separable.kernel_size == (second,)
    features = model({"x": torch.randn(1, 2, shape.length)}).features
    assert features["block1"].shape == (1, 16, 8)
    assert features["block2"].shape == (1, 16, 1)
    with pytest.raises(LimbeckError, match=f"{8 * pool} samples or more at {rate:g} Hz; 'x' has {8 * pool - 1}"):
        build("eegnet", {"x": InputShape(2, 8 * pool - 1, rate)}, 2)


def test_electrode_weightings_start_as_in_the_published_framework() -> None:
    torch.manual_seed(0)
    model = build("eegnet", {"eeg": InputShape(64, 128, 128.0)}, 2)

    assert model.spatial.weight.abs().max().item() == pytest.approx(math.sqrt(6 / (64 * (8 + 2))), rel=0.01)
    assert model.temporal.weight.abs().max().item() == pytest.approx(math.sqrt(6 / (64 + 8 * 64)), rel=0.02)
    assert not model.head.bias.any()
    with pytest.raises(LimbeckError, match="head_max_norm is 0"):
        build("eegnet", EEG, 2, head_max_norm=0.0)
