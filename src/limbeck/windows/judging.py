"""How far the windows can be believed: the quality of the worst channel, and what it comes to by subject."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.windows.reading import decode, modalities, sensors_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["LOW", "quality_summary", "worst_quality"]

LOW = 0.5
"""Overall quality below which a summary counts a window as poor."""


def worst_quality(windows: xr.Dataset, modality: str, channels: Sequence[str] | None = None) -> np.ndarray:
    """Return the quality of each window's worst channel.

    Parameters
    ----------
    windows : xarray.Dataset
        As of :func:`limbeck.windows.cut`.
    modality : str
    channels : sequence of str or None
        Those that count, as of :func:`limbeck.windows.view`; None for all.

    Returns
    -------
    ndarray of shape (n_windows, n_kinds), float32
        By kind, in the order of `limbeck.signals.QUALITY`, the overall one last; between 0 and 1, where 1 means that
        nothing is wrong. NaN where a kind does not apply, the window lacks the modality, or no quality was kept.
    """
    name = f"{modality}_quality"
    if name not in windows:
        from limbeck.signals import QUALITY

        return np.full((windows.sizes["window"], len(QUALITY)), np.nan, dtype=np.float32)
    values = windows[name].to_numpy()
    if channels is not None:
        values = values[:, sensors_of(windows, modality, channels)]
    return np.fmin.reduce(values, axis=1)


def quality_summary(
    windows: xr.Dataset, inputs: Mapping[str, Sequence[str] | None] | None = None
) -> list[dict[str, Any]]:
    """Sum up the quality of the worst channel of each window, by modality.

    Parameters
    ----------
    windows : xarray.Dataset
        As of :func:`limbeck.windows.cut`; those of calibration are left out.
    inputs : mapping of str to list of str or None, optional
        Modalities and the channels that count; all by default.

    Returns
    -------
    list of dict
        JSON values, per modality that has a quality: ``modality``, ``windows`` (their number), ``mean`` (overall),
        ``below`` (share of windows below `LOW`), ``kinds`` (mean of each that applies), ``worst`` (the kind with the
        lowest mean; empty where nothing is wrong), ``subjects`` (``{mean, below}`` by name).
    """
    counted = ~windows["calibration"].to_numpy().astype(bool)
    subjects = decode(windows["subject"])
    summary = []
    for modality, channels in (inputs or dict.fromkeys(modalities(windows))).items():
        values = worst_quality(windows, modality, channels)
        known = counted & np.isfinite(values[:, -1])
        if not known.any():
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a kind that never applies has no mean
            means = np.nanmean(values[known].astype(np.float64), axis=0)
        names = windows[f"{modality}_quality"].attrs["kinds"]
        kinds = {name: round(float(mean), 4) for name, mean in zip(names[:-1], means, strict=False) if mean >= 0}
        worst = min(kinds, key=lambda kind: kinds[kind])
        overall = values[:, -1]
        summary.append(
            {
                "modality": modality,
                "windows": int(known.sum()),
                **_mean_and_share(overall[known]),
                "kinds": kinds,
                "worst": worst if kinds[worst] < 1 else "",
                "subjects": {
                    name: _mean_and_share(overall[known & (subjects == name)])
                    for name in dict.fromkeys(subjects[known].tolist())
                },
            }
        )
    return summary


def _mean_and_share(overall: np.ndarray) -> dict[str, float]:
    return {"mean": round(float(overall.mean()), 4), "below": round(float((overall < LOW).mean()), 4)}
