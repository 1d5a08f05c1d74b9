"""DeepConvNet against its layer table in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build
from limbeck.models.heads import with_new_head

EEG = {"eeg": InputShape(6, 250, 128.0)}

Arrays = dict[str, np.ndarray]


def shortened(weight: np.ndarray, limit: float | None) -> np.ndarray:
    """The published constraint: each output's weights divided by their norm over the limit where that is above 1."""
    result = weight.copy()
    for row in result:
        norm = np.sqrt((row**2).sum())
        if limit is not None and norm > limit:
            row *= limit / norm
    return result


def reference(
    state: Arrays, x: np.ndarray, *, pool: int, limits: tuple[float | None, float | None], training: bool
) -> tuple[np.ndarray, Arrays]:
    """The network as its layer table says, in NumPy and float64."""

    def finish(name: str, h: np.ndarray) -> np.ndarray:
        if training:
            mean, var = h.mean(axis=(0, 2)), h.var(axis=(0, 2))
        else:
            mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        h = (h - mean[:, None]) / np.sqrt(var[:, None] + 1e-5)
        h = h * state[f"{name}.weight"][:, None] + state[f"{name}.bias"][:, None]
        h = np.where(h > 0, h, np.exp(np.minimum(h, 0)) - 1)
        steps = h.shape[-1] // pool
        return h[..., : steps * pool].reshape(*h.shape[:2], steps, pool).max(axis=-1)

    def windows(h: np.ndarray, kernel: int) -> np.ndarray:
        return np.lib.stride_tricks.sliding_window_view(h, kernel, axis=-1)

    time, space = (shortened(state[f"{name}.weight"], limits[0]) for name in ("temporal", "spatial"))
    h = np.einsum("bctk,fk->bfct", windows(x, time.shape[-1]), time[:, 0, 0])
    if "temporal.bias" in state:
        h = h + state["temporal.bias"][:, None, None]
    h = finish("norm", np.einsum("bfct,gfc->bgt", h, space[..., 0]))
    features = {"block1": h}
    for place in range(sum(name.endswith("conv.weight") for name in state)):
        weight = shortened(state[f"blocks.{place}.conv.weight"], limits[0])
        h = finish(f"blocks.{place}.norm", np.einsum("bctk,fck->bft", windows(h, weight.shape[-1]), weight))
        features[f"block{place + 2}"] = h
    head = shortened(state["head.weight"], limits[1])
    return np.einsum("bct,oct->bo", h, head) + state["head.bias"], features


def disturbed(model: nn.Module) -> nn.Module:
    """Weights and statistics of all sizes, some of them beyond the limits."""
    generator = torch.Generator().manual_seed(3)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            positive = "running_var" in name
            drawn = torch.randn(value.shape, generator=generator)
            with torch.no_grad():
                value.copy_(drawn.abs() + 1.0 if positive else 0.6 * drawn)
    return model


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"kernel": 5},
        {"kernel": 5, "as_released": True},
        {"kernel": 10, "depth": 3, "max_norm": None, "head_max_norm": None},
        {"kernel": 4, "pool": 2, "width": 3, "max_norm": 0.7, "head_max_norm": 3.0},
    ],
    ids=["128Hz", "as-released", "unbounded", "small"],
)
def test_it_is_its_layer_table(options: dict[str, Any], training: bool) -> None:
    # as float64: without bounds the values grow to thousands, where rounding to float32 hides the fifth digit
    compare(options, training=training, dtype=torch.float64, tolerance=1e-9)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("as_released", [False, True])
def test_it_is_its_layer_table_in_single_precision(as_released: bool, training: bool) -> None:
    compare({"kernel": 5, "as_released": as_released}, training=training, dtype=torch.float32, tolerance=1e-5)


def compare(options: dict[str, Any], *, training: bool, dtype: torch.dtype, tolerance: float) -> None:
    options = {"max_norm": 2.0, "head_max_norm": 0.5, **options}
    model = disturbed(build("deep_conv_net", EEG, 3, **options)).to(dtype).train(training)
    state = {name: value.to(torch.float64, copy=True).numpy() for name, value in model.state_dict().items()}
    x = torch.randn(4, 6, 250, generator=torch.Generator().manual_seed(1))

    prediction, features = reference(
        state,
        x.double().numpy(),
        pool=options.get("pool", 3),
        limits=(options["max_norm"], options["head_max_norm"]),
        training=training,
    )
    found = model({"eeg": x.to(dtype)})

    assert set(found.features) == set(features)
    for name, value in features.items():
        np.testing.assert_allclose(found.features[name].numpy(force=True), value, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(found.prediction.numpy(force=True), prediction, rtol=tolerance, atol=tolerance)


def test_filters_are_25_50_100_and_200_and_start_as_published() -> None:
    torch.manual_seed(0)
    model = build("deep_conv_net", {"eeg": InputShape(28, 512, 128.0)}, 2)

    shapes = {name: tuple(value.shape[1:]) for name, value in model({"eeg": torch.zeros(2, 28, 512)}).features.items()}

    assert shapes == {"block1": (25, 167), "block2": (50, 52), "block3": (100, 14), "block4": (200, 1)}
    for layer, fans in ((model.spatial, (25 * 28, 25 * 28)), (model.blocks[1].conv, (50 * 10, 100 * 10))):
        assert layer.weight.abs().max().item() == pytest.approx((6 / sum(fans)) ** 0.5, rel=0.01)
    assert not model.head.bias.any()
    assert [block.dropout.p for block in model.blocks] == [0.5] * 3


def test_the_released_bias_changes_nothing() -> None:
    shape = {"eeg": InputShape(2, 60, 64.0)}
    options = {"kernel": 3, "depth": 2, "dropout": 0.0}
    released = build("deep_conv_net", shape, 2, **options, as_released=True).double().train()
    mended = build("deep_conv_net", shape, 2, **options).double().train()
    mended.load_state_dict({k: v for k, v in released.state_dict().items() if k != "temporal.bias"})
    x = torch.randn(3, 2, 60, dtype=torch.float64)
    nn.init.normal_(released.temporal.bias)

    torch.testing.assert_close(released({"eeg": x}).prediction, mended({"eeg": x}).prediction)


def test_a_new_head_keeps_the_norm_and_the_way_it_starts() -> None:
    model = build("deep_conv_net", EEG, 2, kernel=5)

    head = with_new_head(model, 4).head

    assert head.max_norm == 0.5
    assert not head.bias.any()


@pytest.mark.parametrize(("kernel", "shortest"), [(10, 441), (5, 241)])
def test_windows_need_one_step_in_the_last_block(kernel: int, shortest: int) -> None:
    model = build("deep_conv_net", {"eda": InputShape(1, shortest, 128.0)}, 2, kernel=kernel)
    assert model({"eda": torch.randn(1, 1, shortest)}).prediction.shape == (1, 2)

    with pytest.raises(LimbeckError, match=f"windows of {shortest} samples or more; 'eda' has {shortest - 1}"):
        build("deep_conv_net", {"eda": InputShape(1, shortest - 1, 128.0)}, 2, kernel=kernel)


def test_without_pooling_normalisation_sees_two_steps() -> None:
    options = {"kernel": 3, "pool": 1, "depth": 2}
    model = build("deep_conv_net", {"eeg": InputShape(2, 6, 4.0)}, 2, **options).train()
    assert model({"eeg": torch.randn(1, 2, 6)}).prediction.shape == (1, 2)
    with pytest.raises(LimbeckError, match="6 samples or more; 'eeg' has 5"):
        build("deep_conv_net", {"eeg": InputShape(2, 5, 4.0)}, 2, **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"depth": 0}, "depth is 0"), ({"max_norm": 0.0}, "max_norm is 0"), ({"head_max_norm": -1.0}, "head_max_norm")],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(LimbeckError, match=said):
        build("deep_conv_net", EEG, 2, kernel=5, **options)
