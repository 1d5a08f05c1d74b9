"""Windows on the device: normalised once or per fold, gathered by index."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import xarray as xr

from limbeck.models import InputShape
from limbeck.training import WindowTensors
from limbeck.training.tensors import input_shapes


@pytest.fixture
def dataset(rng: np.random.Generator) -> Callable[..., xr.Dataset]:
    """Two subjects with a signal, features and a target."""

    def make(kind: str = "class") -> xr.Dataset:
        n = 20
        features = rng.normal(size=(n, 4)).astype(np.float32)
        features[3, 1] = np.nan
        if kind == "class":
            target = ("window", np.arange(n) % 3 - 1, {"kind": "class", "classes": ["low", "high"]})
        else:
            values = rng.normal(size=n).astype(np.float32)
            values[2] = np.nan
            target = ("window", values, {"kind": "trace"})
        return xr.Dataset(
            {
                "bvp": (
                    ("window", "bvp_channel", "bvp_time"),
                    (5 + 3 * rng.normal(size=(n, 2, 16))).astype(np.float32),
                    {"rate": 64.0},
                ),
                "ecg": (("window", "ecg_feature"), features),
                "target": target,
            },
            coords={
                "subject": ("window", np.repeat(np.arange(2, dtype=np.int32), 10), {"categories": ["A", "B"]}),
                "calibration": ("window", np.zeros(n, bool)),
            },
        )

    return make


def test_shapes_tell_signals_from_features(dataset: Callable[..., xr.Dataset]) -> None:
    assert input_shapes(dataset(), ["bvp", "ecg"]) == {"bvp": InputShape(2, 16, 64.0), "ecg": InputShape(4)}


def test_a_view_holds_its_modalities_only(dataset: Callable[..., xr.Dataset]) -> None:
    tensors = WindowTensors.from_windows(dataset(), ["ecg"], mode="train")

    assert set(tensors.inputs) == set(tensors.shapes) == {"ecg"}


def test_a_class_that_is_not_known_becomes_a_valid_code(dataset: Callable[..., xr.Dataset]) -> None:
    tensors = WindowTensors.from_windows(dataset(), ["ecg"], mode="train")

    assert tensors.target.dtype == torch.int64
    assert tensors.n_outputs == 2
    assert tensors.target[:6].tolist() == [0, 0, 1, 0, 0, 1]


def test_a_trace_that_is_not_known_becomes_zero(dataset: Callable[..., xr.Dataset]) -> None:
    windows = dataset("trace")
    tensors = WindowTensors.from_windows(windows, ["ecg"], mode="train")

    assert (tensors.kind, tensors.n_outputs, tensors.target.dtype) == ("trace", 1, torch.float32)
    np.testing.assert_array_equal(tensors.target.numpy(), np.nan_to_num(windows["target"].to_numpy()))


def test_in_mode_train_each_fold_is_scaled_by_its_own_training_windows(dataset: Callable[..., xr.Dataset]) -> None:
    windows = dataset()
    tensors = WindowTensors.from_windows(windows, ["bvp", "ecg"], mode="train")
    training = [np.arange(0, 8), np.arange(5, 20)]
    index = torch.tensor([[1, 12, 3], [0, 3, 19]])

    batch = tensors.gather(index, tensors.scalers(training))

    for fold, own in enumerate(training):
        for name in ("bvp", "ecg"):
            values = windows[name].to_numpy().astype(float)
            axes = (0, 2)[: values.ndim - 1]
            mean = np.nanmean(values[own], axis=axes, keepdims=True)
            std = np.nanstd(values[own], axis=axes, keepdims=True)
            expected = np.nan_to_num((values[index[fold].numpy()] - mean) / std)
            np.testing.assert_allclose(batch[name][fold].numpy(), expected, rtol=1e-4, atol=1e-5)


def test_in_the_other_modes_there_is_nothing_left_to_scale(dataset: Callable[..., xr.Dataset]) -> None:
    windows = dataset()
    tensors = WindowTensors.from_windows(windows, ["bvp"], mode="transductive")

    assert tensors.scalers([np.arange(5)]) == {}
    gathered = tensors.gather(torch.arange(10)[None], {})["bvp"]
    np.testing.assert_allclose(gathered.mean(dim=(0, 1, 3)).numpy(), 0, atol=1e-5)


def test_a_feature_that_could_not_be_computed_stands_at_the_mean(dataset: Callable[..., xr.Dataset]) -> None:
    tensors = WindowTensors.from_windows(dataset(), ["ecg"], mode="train")

    batch = tensors.gather(torch.tensor([[3]]), tensors.scalers([np.arange(20)]))

    assert batch["ecg"][0, 0, 1] == 0.0
    assert torch.isfinite(batch["ecg"]).all()


def test_a_missing_sample_of_a_signal_stays_missing(dataset: Callable[..., xr.Dataset]) -> None:
    windows = dataset()
    windows["bvp"][4, 0, 7] = np.nan
    tensors = WindowTensors.from_windows(windows, ["bvp"], mode="train")

    batch = tensors.gather(torch.tensor([[4, 5]]), tensors.scalers([np.arange(20)]))["bvp"]

    assert torch.isnan(batch[0, 0, 0, 7])
    assert torch.isfinite(batch[0, 1]).all()


def test_windows_that_no_network_can_read_are_known(dataset: Callable[..., xr.Dataset]) -> None:
    windows = dataset()
    windows["bvp"][4, 0, 7], windows["bvp"][6, 1, 0] = np.nan, -np.inf
    windows["ecg"][9, 2] = np.inf

    unusable = WindowTensors.from_windows(windows, ["bvp", "ecg"], mode="train").unusable

    assert np.flatnonzero(unusable["bvp"]).tolist() == [4, 6]
    assert np.flatnonzero(unusable["ecg"]).tolist() == [9]


@pytest.mark.parametrize("mode", ["train", "transductive"])
def test_normalised_values_are_limited_on_request_by_modality(dataset: Callable[..., xr.Dataset], mode: str) -> None:
    windows, index, training = dataset(), torch.arange(20)[None], [np.arange(1, 20)]
    windows["ecg"][0, 0] = 1e6
    limited = WindowTensors.from_windows(windows, ["bvp", "ecg"], mode=mode, clip={"ecg": 2.0})
    free = WindowTensors.from_windows(windows, ["bvp", "ecg"], mode=mode)

    batch, expected = (tensors.gather(index, tensors.scalers(training)) for tensors in (limited, free))

    assert batch["ecg"].max() == 2.0 < expected["ecg"].max()
    torch.testing.assert_close(batch["ecg"], expected["ecg"].clamp(-2.0, 2.0))
    assert torch.equal(batch["bvp"], expected["bvp"])
