"""The three modes of normalisation: where mean and standard deviation of each channel come from.

* ``train``: the training windows of the fold (no label is needed, so unlabelled ones count).
* ``calibration``: per subject, the earliest samples of a named condition, which are in no other set.
* ``transductive``: per subject, all of the subject's own unlabelled data, test subjects included.

The last two do not depend on the fold and are applied once; the first is applied when a batch is gathered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from limbeck.errors import DataError, did_you_mean

__all__ = ["MODES", "Moments", "Scaler", "fit_scaler", "is_short", "normalise", "too_short"]

MODES = ("train", "calibration", "transductive")

FLOOR = 1e-6
"""Below this share of the scale of the data a standard deviation counts as zero: a constant channel is only centred."""

PIECE = 2_000_000
"""Values whose moments are taken at once."""


@dataclass(frozen=True)
class Scaler:
    """Mean and standard deviation of each channel (or feature column) of one modality.

    Parameters
    ----------
    mean, std : ndarray of shape (n_channels,), float32
        In the unit of the modality.
    """

    mean: np.ndarray
    std: np.ndarray

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return values of shape (n_windows, n_channels[, n_times]), normalised, float32."""
        shape = (1, -1) + (1,) * (values.ndim - 2)
        scaled: np.ndarray = (values - self.mean.reshape(shape)) / self.std.reshape(shape)
        return scaled.astype(np.float32, copy=False)


@dataclass(frozen=True)
class Moments:
    """What each window adds to the mean and the standard deviation of its channels.

    Folds share most of their training windows: with the moments of each window at hand, the scaler of a fold costs a
    sum over windows instead of one over samples.

    Parameters
    ----------
    count, mean, squares : ndarray of shape (n_windows, n_channels), float64
        Number of finite samples, their mean, and their squared distance from it, summed.
    """

    count: np.ndarray
    mean: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Moments:
        """Return the moments of windows of shape (n_windows, n_channels[, n_times]); NaN and infinity are left out."""
        count, mean, squares = (np.empty(values.shape[:2]) for _ in range(3))
        # In pieces, so that what is computed in double precision stays small beside the windows.
        step = max(1, PIECE // max(1, values[:1].size))
        for start in range(0, len(values), step):
            piece = values[start : start + step].reshape(*values[start : start + step].shape[:2], -1)
            finite = np.isfinite(piece)
            n = finite.sum(axis=2)
            m = np.where(finite, piece, 0.0).sum(axis=2, dtype=np.float64) / np.maximum(n, 1)
            count[start : start + step], mean[start : start + step] = n, m
            squares[start : start + step] = (np.where(finite, piece - m[:, :, None], 0.0) ** 2).sum(axis=2)
        return cls(count, mean, squares)

    def scaler(self, windows: np.ndarray | slice) -> Scaler:
        """Return the scaler of some of the windows.

        A channel without any value gets mean 0 and standard deviation 1; one without spread, standard deviation 1.
        """
        count, own = self.count[windows], self.mean[windows]
        total = np.maximum(count.sum(axis=0), 1.0)
        mean = (count * own).sum(axis=0) / total
        std = np.sqrt((self.squares[windows] + count * (own - mean) ** 2).sum(axis=0) / total)
        std = np.where(std > FLOOR * np.maximum(np.abs(mean), FLOOR), std, 1.0)
        return Scaler(mean.astype(np.float32), std.astype(np.float32))


def fit_scaler(values: np.ndarray) -> Scaler:
    """Fit a scaler.

    Parameters
    ----------
    values : ndarray of shape (n_windows, n_channels[, n_times])
        NaN is left out.

    Returns
    -------
    Scaler
        A channel without any value gets mean 0 and standard deviation 1; one without spread, standard deviation 1.
    """
    return Moments.of(values).scaler(slice(None))


def normalise(windows: xr.Dataset, modality: str, mode: str, *, short: str = "leave_out") -> np.ndarray:
    """Return one modality of all windows, normalised per subject where the mode says so.

    Parameters
    ----------
    windows : Dataset
        As :func:`limbeck.windows.cut` returns it.
    modality : str
        Which variable.
    mode : str
        ``"train"`` (returned as it is), ``"calibration"`` or ``"transductive"``.
    short : str
        For ``"calibration"``: what becomes of a subject with less than half of the asked seconds; ``"leave_out"``
        subjects must be out of the windows already, ``"train"`` returns theirs as they are, for each fold to scale.

    Returns
    -------
    ndarray of shape (n_windows, n_channels[, n_times]), float32
        NaN features (that could not be computed) stay NaN.

    Raises
    ------
    DataError
        For an unknown mode, or for a subject that should have been left out.
    """
    if mode not in MODES:
        raise DataError(f"There is no normalisation '{mode}'.{did_you_mean(mode, MODES)}")
    values = windows[modality].values
    if mode == "train":
        return values
    subjects = windows["subject"].values
    calibration = windows["calibration"].values.astype(bool)
    result = values.astype(np.float32)
    uncalibrated = is_short(windows) if mode == "calibration" else np.zeros(len(subjects), dtype=bool)
    if uncalibrated.any() and short != "train":
        names = ", ".join(too_short(windows))
        raise DataError(f"Subject {names} has too little calibration; it should have been left out.")
    for code in np.unique(subjects[~uncalibrated]):
        own = subjects == code
        reference = own if mode == "transductive" else own & calibration
        result[own] = fit_scaler(values[reference])(values[own])
    return result


def is_short(windows: xr.Dataset) -> np.ndarray:
    """Say which windows belong to a subject with too little calibration: bool, (n_windows,)."""
    names = windows["subject"].attrs["categories"]
    codes = [names.index(name) for name in too_short(windows)]
    belongs: np.ndarray = np.isin(windows["subject"].values, codes)
    return belongs


def too_short(windows: xr.Dataset) -> tuple[str, ...]:
    """Return the subjects with less than half of the calibration that was asked for, or no calibration window."""
    recorded: Mapping[str, float] = json.loads(windows.attrs.get("calibration_seconds", "{}"))
    asked = float(windows.attrs.get("calibration_asked", 0.0))
    calibrated = set(windows["subject"].values[windows["calibration"].values.astype(bool)].tolist())
    names = windows["subject"].attrs["categories"]
    present = np.unique(windows["subject"].values)
    return tuple(
        names[code] for code in present if code not in calibrated or recorded.get(names[code], asked) < asked / 2
    )
