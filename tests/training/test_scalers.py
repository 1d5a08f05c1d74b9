"""The three modes of normalisation, against naive ones."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
import xarray as xr

from limbeck.errors import DataError
from limbeck.training import WindowTensors, normalise, scalers
from limbeck.training.scalers import Moments, fit_scaler, is_short, too_short

MakeDataset = Callable[..., xr.Dataset]


@pytest.fixture
def dataset(rng: np.random.Generator) -> MakeDataset:
    """Three subjects at different levels, ten windows each, of which the first three are calibration."""

    def make(*, calibrated: tuple[int, ...] = (0, 1, 2), seconds: dict[str, float] | None = None) -> xr.Dataset:
        subject = np.repeat(np.arange(3, dtype=np.int32), 10)
        level, scale = np.array([0.0, 10.0, -5.0])[subject], np.array([1.0, 4.0, 0.5])[subject]
        signal = (level + scale * rng.normal(size=(2, 25, 30))).transpose(2, 0, 1)
        calibration = (np.arange(30) % 10 < 3) & np.isin(subject, calibrated)
        return xr.Dataset(
            {
                "eda": (("window", "eda_channel", "eda_time"), signal.astype(np.float32)),
                "ecg": (("window", "ecg_feature"), signal[:, :, 0].astype(np.float32)),
            },
            coords={
                "subject": ("window", subject, {"categories": ["A", "B", "C"]}),
                "calibration": ("window", calibration),
            },
            attrs={
                "calibration_asked": 60.0,
                "calibration_seconds": json.dumps(seconds or {"A": 60.0, "B": 60.0, "C": 60.0}),
            },
        )

    return make


def test_a_scaler_holds_mean_and_deviation_of_each_channel(rng: np.random.Generator) -> None:
    values = (np.array([1.0, -20.0])[:, None] + np.array([3.0, 0.1])[:, None] * rng.normal(size=(40, 2, 50))).astype(
        np.float32
    )

    scaler = fit_scaler(values)

    np.testing.assert_allclose(scaler.mean, values.astype(float).mean(axis=(0, 2)), rtol=1e-6)
    np.testing.assert_allclose(scaler.std, values.astype(float).std(axis=(0, 2)), rtol=1e-6)
    scaled = scaler(values)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.mean(axis=(0, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.std(axis=(0, 2)), 1, atol=1e-4)


def test_features_are_scaled_by_column(rng: np.random.Generator) -> None:
    values = rng.normal(size=(50, 3)).astype(np.float32)

    np.testing.assert_allclose(fit_scaler(values).std, values.std(axis=0), rtol=1e-5)


def test_missing_values_are_left_out_of_the_scale_and_stay_missing(rng: np.random.Generator) -> None:
    values = rng.normal(5, 2, size=(30, 2)).astype(np.float32)
    values[::3, 0], values[1, 1] = np.nan, np.inf

    scaler = fit_scaler(values)

    np.testing.assert_allclose(scaler.mean[0], np.nanmean(values[:, 0]), rtol=1e-6)
    np.testing.assert_allclose(scaler.std[0], np.nanstd(values[:, 0]), rtol=1e-6)
    np.testing.assert_allclose(scaler.mean[1], np.delete(values[:, 1], 1).mean(), rtol=1e-6)
    assert np.isnan(scaler(values)[::3, 0]).all()


@pytest.mark.parametrize("constant", [0.0, 0.1, 33.3, -4e6])
def test_a_constant_channel_is_only_centred(constant: float) -> None:
    values = np.full((20, 1, 30), constant, dtype=np.float32)

    scaler = fit_scaler(values)

    assert scaler.std[0] == 1.0
    np.testing.assert_array_equal(scaler(values), 0.0)


def test_a_channel_without_any_value_passes_as_it_is() -> None:
    scaler = fit_scaler(np.full((4, 1), np.nan, dtype=np.float32))

    assert (scaler.mean[0], scaler.std[0]) == (0.0, 1.0)


def test_a_small_spread_on_a_high_level_is_a_spread(rng: np.random.Generator) -> None:
    """A skin temperature of 33 degrees that moves by hundredths is not constant."""
    values = (33.0 + 0.01 * rng.normal(size=(40, 1, 100))).astype(np.float32)

    np.testing.assert_allclose(fit_scaler(values).std, 0.01, rtol=0.05)


def test_moments_give_the_scaler_of_any_choice_of_windows(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = (100 * rng.normal(size=(60, 1, 1)) + rng.normal(size=(60, 3, 40))).astype(np.float32)
    values[5, 1, :7] = np.nan
    chosen = rng.permutation(60)[:23]
    whole = Moments.of(values).scaler(chosen)

    monkeypatch.setattr(scalers, "PIECE", 500)
    in_pieces = Moments.of(values).scaler(chosen)

    expected = values[chosen].astype(float)
    for scaler in (whole, in_pieces):
        np.testing.assert_allclose(scaler.mean, np.nanmean(expected, axis=(0, 2)), rtol=1e-5)
        np.testing.assert_allclose(scaler.std, np.nanstd(expected, axis=(0, 2)), rtol=1e-5)


@pytest.mark.parametrize("modality", ["eda", "ecg"])
def test_train_leaves_the_windows_to_their_folds(dataset: MakeDataset, modality: str) -> None:
    windows = dataset()

    np.testing.assert_array_equal(normalise(windows, modality, "train"), windows[modality].to_numpy())


@pytest.mark.parametrize("modality", ["eda", "ecg"])
def test_transductive_scales_each_subject_by_all_of_its_own_windows(dataset: MakeDataset, modality: str) -> None:
    windows = dataset()
    values, subject = windows[modality].to_numpy(), windows["subject"].to_numpy()

    result = normalise(windows, modality, "transductive")

    for code in range(3):
        own = values[subject == code].astype(float)
        axes = tuple(a for a in range(own.ndim) if a != 1)
        expected = (own - own.mean(axis=axes, keepdims=True)) / own.std(axis=axes, keepdims=True)
        np.testing.assert_allclose(result[subject == code], expected, rtol=1e-4, atol=1e-5)


def test_calibration_scales_each_subject_by_its_calibration_windows_alone(dataset: MakeDataset) -> None:
    windows = dataset()
    values, subject = windows["eda"].to_numpy(), windows["subject"].to_numpy()
    result = normalise(windows, "eda", "calibration")

    for code in range(3):
        own = values[subject == code].astype(float)
        reference = own[:3]
        expected = (own - reference.mean(axis=(0, 2), keepdims=True)) / reference.std(axis=(0, 2), keepdims=True)
        np.testing.assert_allclose(result[subject == code], expected, rtol=1e-4, atol=1e-4)

    later = windows.copy(deep=True)
    later["eda"][~windows["calibration"]] += 100.0
    calibration = windows["calibration"].to_numpy()
    np.testing.assert_array_equal(normalise(later, "eda", "calibration")[calibration], result[calibration])


def test_subjects_are_scaled_without_looking_at_each_other(dataset: MakeDataset) -> None:
    windows = dataset()
    changed = windows.copy(deep=True)
    changed["eda"][windows["subject"] == 1] *= 50.0
    others = windows["subject"].to_numpy() != 1

    for mode in ("calibration", "transductive"):
        before, after = normalise(windows, "eda", mode), normalise(changed, "eda", mode)
        np.testing.assert_array_equal(before[others], after[others])


def test_a_subject_with_less_than_half_of_its_calibration_is_too_short(dataset: MakeDataset) -> None:
    seconds = {"A": 60.0, "B": 29.0, "C": 30.0}

    assert too_short(dataset(seconds=seconds)) == ("B",)
    assert too_short(dataset(calibrated=(0, 1))) == ("C",)
    assert too_short(dataset()) == ()


def test_a_subject_that_is_too_short_is_left_as_it_is_or_refused(dataset: MakeDataset) -> None:
    windows = dataset(calibrated=(0, 1))
    last = windows["subject"].to_numpy() == 2

    result = normalise(windows, "eda", "calibration", short="train")

    np.testing.assert_array_equal(result[last], windows["eda"].to_numpy()[last])
    np.testing.assert_array_equal(is_short(windows), last)
    with pytest.raises(DataError, match="Subject C has too little calibration"):
        normalise(windows, "eda", "calibration")


def test_each_fold_scales_who_is_too_short_by_its_own_training_windows_and_nobody_else(dataset: MakeDataset) -> None:
    windows = dataset(calibrated=(0, 1))
    windows["target"] = xr.DataArray(
        np.zeros(30, np.int64), dims="window", attrs={"kind": "class", "classes": ["a", "b"]}
    )
    windows["eda"].attrs["rate"] = 4.0
    raw, last = windows["eda"].to_numpy(), np.flatnonzero(windows["subject"].to_numpy() == 2)
    tensors = WindowTensors.from_windows(windows, ["eda"], mode="calibration", short="train")
    others = np.flatnonzero(windows["subject"].to_numpy() != 2)
    folds = [others, others[: len(others) // 2]]

    batch = tensors.gather(torch.from_numpy(np.stack([last, last])), tensors.scalers(folds))["eda"].numpy()

    for found, training in zip(batch, folds, strict=True):
        np.testing.assert_allclose(found, fit_scaler(raw[training])(raw[last]), rtol=1e-4, atol=1e-5)
    calibrated = tensors.gather(torch.from_numpy(others)[None], tensors.scalers(folds[:1]))["eda"].numpy()
    np.testing.assert_array_equal(calibrated[0], normalise(windows, "eda", "calibration", short="train")[others])


def test_an_unknown_mode_is_refused(dataset: MakeDataset) -> None:
    with pytest.raises(DataError, match=r"no normalisation 'transduct'\. Did you mean 'transductive'"):
        normalise(dataset(), "eda", "transduct")
