"""TSception against its layer table in NumPy, and the order of the electrodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from limbeck.datasets.deap import GENEVA
from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build

EEG = {"eeg": InputShape(6, 150, 64.0)}
DEAP_ORDER = [*range(14), 16, 17, *range(19, 23), *range(24, 32)]


def leaky_mean(h: np.ndarray, pool: int) -> np.ndarray:
    h = np.where(h > 0, h, 0.01 * h)
    steps = h.shape[-1] // pool
    return h[..., : steps * pool].reshape(*h.shape[:-1], steps, pool).mean(axis=-1)


def test_it_is_its_layer_table() -> None:
    torch.manual_seed(0)
    model = build("tsception", EEG, 3, width=4, spatial=5, hidden=7).eval()
    for norm in (model.temporal_norm, model.spatial_norm, model.fusion_norm):
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2.0)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    x = torch.randn(4, 6, 150)
    state = {name: value.double().numpy() for name, value in model.state_dict().items()}

    def normalised(name: str, h: np.ndarray) -> np.ndarray:
        weight, bias, mean, var = (
            state[f"{name}.{key}"][:, None, None] for key in ("weight", "bias", "running_mean", "running_var")
        )
        return (h - mean) / np.sqrt(var + 1e-5) * weight + bias

    def bias(name: str) -> np.ndarray:
        return state[f"{name}.bias"][:, None, None]

    scales = []
    for place, span in enumerate((32, 16, 8)):
        windows = np.lib.stride_tricks.sliding_window_view(x.double().numpy(), span, axis=-1)
        h = np.einsum("bctk,fk->bfct", windows, state[f"temporal.{place}.weight"][:, 0, 0])
        scales.append(leaky_mean(h + bias(f"temporal.{place}"), 8))
    temporal = normalised("temporal_norm", np.concatenate(scales, axis=-1))
    parts = [
        np.einsum("bfct,gfc->bgt", part, state[f"{name}.weight"][..., 0])[:, :, None] + bias(name)
        for name, part in (("whole", temporal), ("halves", temporal[:, :, :3]), ("halves", temporal[:, :, 3:]))
    ]
    spatial = normalised("spatial_norm", leaky_mean(np.concatenate(parts, axis=2), 2))
    h = np.einsum("bfct,gfc->bgt", spatial, state["fusion.weight"][..., 0])[:, :, None] + bias("fusion")
    fused = normalised("fusion_norm", leaky_mean(h, 4)).mean(axis=(2, 3))
    hidden = np.maximum(fused @ state["dense.weight"].T + state["dense.bias"], 0)
    expected = hidden @ state["head.weight"].T + state["head.bias"]
    found = model({"eeg": x})

    for name, value in {"temporal": temporal, "spatial": spatial, "fused": fused, "hidden": hidden}.items():
        np.testing.assert_allclose(found.features[name].numpy(force=True), value, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.prediction.numpy(force=True), expected, rtol=1e-5, atol=1e-5)


def test_both_halves_are_read_by_one_filter() -> None:
    torch.manual_seed(0)
    model = build("tsception", EEG, 2).eval()
    x = torch.randn(2, 6, 150)
    swapped = torch.cat([x[:, 3:], x[:, :3]], dim=1)

    before, after = (model({"eeg": value}).features["spatial"] for value in (x, swapped))

    torch.testing.assert_close(before[:, :, 1], after[:, :, 2])
    torch.testing.assert_close(before[:, :, 2], after[:, :, 1])
    assert not torch.allclose(before[:, :, 0], after[:, :, 0])


def test_the_order_puts_left_before_right_and_leaves_the_midline_out() -> None:
    left = ["Fp1", "AF3", "F3", "F7", "FC5", "FC1", "C3", "T7", "CP5", "CP1", "P3", "P7", "PO3", "O1"]
    right = ["Fp2", "AF4", "F4", "F8", "FC6", "FC2", "C4", "T8", "CP6", "CP2", "P4", "P8", "PO4", "O2"]
    assert [GENEVA[place] for place in DEAP_ORDER] == left + right

    torch.manual_seed(0)
    ordered = build("tsception", {"eeg": InputShape(32, 160, 64.0)}, 2, order=DEAP_ORDER).eval()
    picked = build("tsception", {"eeg": InputShape(28, 160, 64.0)}, 2).eval()
    picked.load_state_dict(ordered.state_dict())
    x = torch.randn(2, 32, 160)
    torch.testing.assert_close(ordered({"eeg": x}).prediction, picked({"eeg": x[:, DEAP_ORDER]}).prediction)


def test_the_shortest_window_leaves_two_steps_to_the_last_normalisation() -> None:
    model = build("tsception", {"eeg": InputShape(2, 79, 128.0)}, 2).train()
    assert model({"eeg": torch.randn(1, 2, 79)}).prediction.shape == (1, 2)
    with pytest.raises(LimbeckError, match="79 samples or more at 128 Hz; 'eeg' has 78"):
        build("tsception", {"eeg": InputShape(2, 78, 128.0)}, 2)
    assert build("tsception", {"eeg": InputShape(2, 140, 4.0)}, 2, kernel=0.5).temporal[0].kernel_size == (1, 2)


@pytest.mark.parametrize(
    ("channels", "options", "said"),
    [
        (1, {}, "reads pairs of electrodes, left and right; 'eeg' gives it 1"),
        (5, {}, "pairs of electrodes, left and right; 'eeg' gives it 5"),
        (6, {"order": [0, 1, 2]}, "gives it 3"),
        (6, {"order": []}, "gives it 0"),
        (6, {"order": [0, 6]}, r"there is no channel at \[6\]"),
        (6, {"order": [1, 1]}, "a channel comes twice"),
        (6, {"kernel": []}, "expected seconds above 0"),
        (6, {"kernel": (0.5, 0.0)}, "expected seconds above 0"),
    ],
)
def test_what_makes_no_pairs_or_filters_is_refused(channels: int, options: dict[str, Any], said: str) -> None:
    with pytest.raises(LimbeckError, match=said):
        build("tsception", {"eeg": InputShape(channels, 300, 64.0)}, 2, **options)
