"""ShallowConvNet against its layer table in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build
from limbeck.models.shallow_conv_net import ShallowConvNet

EEG = {"eeg": InputShape(5, 200, 128.0)}


def bounded(weight: np.ndarray, limit: float) -> np.ndarray:
    norm = np.sqrt((weight**2).sum(axis=tuple(range(1, weight.ndim)), keepdims=True))
    return weight * np.minimum(1.0, limit / norm)


@pytest.mark.parametrize("as_released", [False, True])
def test_it_is_its_layer_table(as_released: bool) -> None:
    torch.manual_seed(0)
    model = build("shallow_conv_net", EEG, 3, as_released=as_released).eval()
    nn.init.normal_(model.temporal.weight)
    nn.init.uniform_(model.norm.running_mean)
    nn.init.uniform_(model.norm.running_var, 0.5, 2.0)
    x = torch.randn(4, 5, 200)
    state = {name: value.double().numpy() for name, value in model.state_dict().items()}

    time, space = bounded(state["temporal.weight"], 2.0)[:, 0, 0], bounded(state["spatial.weight"], 2.0)[..., 0]
    h = np.einsum("bctk,fk->bfct", np.lib.stride_tricks.sliding_window_view(x.double().numpy(), 25, axis=-1), time)
    h = h + state.get("temporal.bias", np.zeros(40))[:, None, None]
    h = np.einsum("bfct,gfc->bgt", h, space)
    h = (h - state["norm.running_mean"][:, None]) / np.sqrt(state["norm.running_var"][:, None] + 1e-5)
    h = h**2
    power = np.log(np.stack([h[..., start : start + 75].mean(axis=-1) for start in range(0, 176 - 74, 15)], axis=-1))
    expected = np.einsum("bct,oct->bo", power, bounded(state["head.weight"], 0.5)) + state["head.bias"]
    found = model({"eeg": x})

    assert ("temporal.bias" in state) is as_released
    np.testing.assert_allclose(found.features["power"].numpy(force=True), power, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.prediction.numpy(force=True), expected, rtol=1e-5, atol=1e-5)


def test_a_signal_without_power_has_a_finite_logarithm_unless_as_released() -> None:
    silence = {"eeg": torch.zeros(2, 5, 200)}
    mended = build("shallow_conv_net", EEG, 2).eval()
    released = build("shallow_conv_net", EEG, 2, as_released=True).eval()
    released.temporal.bias.data.zero_()

    assert mended(silence).prediction.isfinite().all()
    assert not released(silence).features["power"].isfinite().any()


def test_the_shortest_window_is_one_average_of_a_filter() -> None:
    assert build("shallow_conv_net", {"eeg": InputShape(1, 99, 128.0)}, 2).train()(
        {"eeg": torch.randn(1, 1, 99)}
    ).features["power"].shape == (1, 40, 1)
    with pytest.raises(LimbeckError, match="99 samples or more; 'eeg' has 98"):
        build("shallow_conv_net", {"eeg": InputShape(1, 98, 128.0)}, 2)
    with pytest.raises(LimbeckError, match="max_norm is -1"):
        build("shallow_conv_net", EEG, 2, max_norm=-1.0)
    with pytest.raises(LimbeckError, match="head_max_norm is nan"):
        ShallowConvNet(EEG, 2, head_max_norm=float("nan"))


def test_published_sizes_of_the_taps() -> None:
    model = build("shallow_conv_net", {"eeg": InputShape(28, 512, 128.0)}, 2).eval()
    assert model({"eeg": torch.randn(1, 28, 512)}).features["power"].shape == (1, 40, 28)
