"""Window sets in memory: listing them, and selecting modalities and channels."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.errors import StudyError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["decode", "extra_targets", "modalities", "sensors_of", "table", "view", "with_target"]

_CODED = ("subject", "session", "trial", "condition")


def modalities(windows: xr.Dataset) -> tuple[str, ...]:
    """Return the modalities of a window set, in its order."""
    return tuple(str(name) for name in windows.data_vars if f"{name}_present" in windows.data_vars)


def extra_targets(windows: xr.Dataset) -> tuple[str, ...]:
    """Return the names of the further targets of a window set, in its order: ``a`` of the variable ``target_a``."""
    return tuple(str(name).removeprefix("target_") for name in windows.data_vars if str(name).startswith("target_"))


def with_target(windows: xr.Dataset, name: str) -> xr.Dataset:
    """Put a further target in the place of the target, for a stage that is trained on it.

    Parameters
    ----------
    windows : xarray.Dataset
        As of :func:`cut` with `extra_targets`.
    name : str
        One of :func:`extra_targets`.

    Returns
    -------
    xarray.Dataset
        The same windows in the same order, without the target that was. Those that have no value of the new one carry
        -1 (NaN of a trace). Its ``key`` is another.

    Raises
    ------
    StudyError
        There is no such target, with the nearest that is.
    """
    found = extra_targets(windows)
    if name not in found:
        have = "" if found else " These windows have none; name it in extra_targets when they are cut."
        raise StudyError(
            [f"there is no further target '{name}' in these windows.{did_you_mean(name, found)}{have}"], source="target"
        )
    variable = windows[f"target_{name}"].variable
    dropped = windows.drop_vars([*(["target"] if "target" in windows else []), f"target_{name}"])
    dimensions = ("window", "target_step")[: variable.ndim]
    changed = dropped.assign(target=(dimensions, variable.to_numpy(), dict(variable.attrs)))
    if "key" in windows.attrs:
        text = json.dumps([windows.attrs["key"], {"target": name}])
        changed.attrs["key"] = hashlib.sha256(text.encode()).hexdigest()
    return changed


def decode(variable: xr.DataArray) -> np.ndarray:
    """Return the strings behind a coordinate's codes.

    Parameters
    ----------
    variable : xarray.DataArray of shape (window,), int
        With the attribute ``categories``.

    Returns
    -------
    ndarray of shape (window,), str
    """
    return np.asarray(variable.attrs["categories"], dtype=str)[variable.to_numpy()]


def table(windows: xr.Dataset) -> pd.DataFrame:
    """List the windows, a row each, without their samples.

    Parameters
    ----------
    windows : xarray.Dataset
        As of :func:`cut`.

    Returns
    -------
    pandas.DataFrame
        Columns ``window`` (row number), ``subject session trial condition`` (str), ``segment`` (number of the labelled
        segment in its recording, -1: none), ``start`` (s), ``order``, ``calibration``, and ``target`` if there is one:
        a class code (-1: none) or a value (NaN: none). Where a window has a value per step, ``target_0``, ``target_1``,
        ... are these, and ``target`` is their mean: NaN where one is missing, since such a window can be neither
        learned from nor scored as a whole. Of each further target ``a`` (:func:`extra_targets`) the same as
        ``target_a``, ``target_a_0``, ...
    """
    import pandas as pd

    columns: dict[str, Any] = {"window": np.arange(windows.sizes["window"])}
    columns |= {name: decode(windows[name]).astype(object) for name in _CODED}
    columns |= {name: windows[name].to_numpy() for name in ("segment", "start", "order", "calibration")}
    for name in ("target", *(f"target_{name}" for name in extra_targets(windows))):
        if name in windows:
            columns |= _target_columns(name, windows[name].to_numpy())
    return pd.DataFrame(columns)


def with_gap(windows: xr.Dataset) -> np.ndarray:
    """Say which windows know some steps of their trace and lack others: these stand in no fold.

    Parameters
    ----------
    windows : xarray.Dataset
        With ``target``.

    Returns
    -------
    ndarray of shape (window,), bool
        False throughout where a window has one value.
    """
    known = np.isfinite(windows["target"].to_numpy()).reshape(windows.sizes["window"], -1)
    return known.any(axis=1) & ~known.all(axis=1)


def _target_columns(name: str, target: np.ndarray) -> dict[str, np.ndarray]:
    if target.ndim == 1:
        return {name: target}
    mean = target.mean(axis=1, dtype=np.float64).astype(np.float32)
    return {name: mean} | {f"{name}_{step}": target[:, step] for step in range(target.shape[1])}


def view(windows: xr.Dataset, inputs: Mapping[str, Sequence[str] | None]) -> xr.Dataset:
    """Select modalities and channels: what one model sees of the windows.

    Parameters
    ----------
    windows : xarray.Dataset
        As of :func:`cut`.
    inputs : mapping of str to list of str or None
        Modality to channels, in the order wanted; None for all. Of features, all columns that come from these channels.

    Returns
    -------
    xarray.Dataset
        The same windows with these modalities only. Their quality stays with them: of chosen channels, that of these;
        where a chosen channel is none that was recorded but made of several, that of all.

    Raises
    ------
    StudyError
        With every modality or channel that does not exist, and the nearest that does.
    """
    available = modalities(windows)
    mistakes = []
    chosen: dict[str, list[int] | None] = {}
    for modality, channels in inputs.items():
        if modality not in available:
            mistakes.append(f"there is no modality '{modality}' in these windows.{did_you_mean(modality, available)}")
        elif channels is None:
            chosen[modality] = None
        else:
            names = windows[modality].attrs["channels"]
            mistakes += [
                f"{modality} has no channel '{channel}'.{did_you_mean(channel, set(names) - {''})}"
                for channel in channels
                if channel not in names
            ]
            mistakes += [f"{modality}: '{name}' is named twice" for name, n in Counter(channels).items() if n > 1]
            chosen[modality] = [index for channel in channels for index, name in enumerate(names) if name == channel]
            if not channels:
                mistakes.append(f"{modality}: name at least one channel, or none of the list for all")
    if not inputs:
        mistakes.append("name at least one modality")
    if mistakes:
        raise StudyError(mistakes, source="inputs")
    dropped = [name for modality in available if modality not in inputs for name in _belonging(windows, modality)]
    selected = windows.drop_vars(dropped)
    if "key" in windows.attrs:
        asked = [[modality, channels and list(channels)] for modality, channels in inputs.items()]
        selected.attrs["key"] = hashlib.sha256(json.dumps([windows.attrs["key"], asked]).encode()).hexdigest()
    for modality, indices in chosen.items():
        if indices is not None:
            selected = _with_columns(selected, modality, indices)
            selected = _with_sensors(selected, modality, list(inputs[modality] or []))
    ordered = [name for modality in inputs for name in _belonging(selected, modality)]
    return selected[[*ordered, *(name for name in selected.data_vars if name not in ordered)]]


def _belonging(windows: xr.Dataset, modality: str) -> list[str]:
    """Return the variables of a modality."""
    names = [modality, *(f"{modality}_{part}" for part in ("present", "valid", "quality"))]
    return [name for name in names if name in windows.data_vars]


def _with_columns(windows: xr.Dataset, modality: str, indices: list[int]) -> xr.Dataset:
    """Select channels or features of a modality."""
    variable = windows[modality]
    dimension = variable.dims[1]
    picked = variable.isel({dimension: indices})
    for name in ("channels", "features"):
        if name in variable.attrs:
            picked.attrs[name] = [variable.attrs[name][index] for index in indices]
    chosen = {modality: picked}
    if f"{modality}_valid" in windows:
        chosen[f"{modality}_valid"] = windows[f"{modality}_valid"].isel({dimension: indices})
    return windows.drop_vars(list(chosen)).assign(chosen)


def _with_sensors(windows: xr.Dataset, modality: str, channels: Sequence[str]) -> xr.Dataset:
    """Select the quality of the channels as recorded that some channels stand on."""
    name = f"{modality}_quality"
    if name not in windows:
        return windows
    variable = windows[name]
    indices = sensors_of(windows, modality, channels)
    picked = variable.isel({variable.dims[1]: indices})
    picked.attrs["channels"] = [variable.attrs["channels"][index] for index in indices]
    return windows.drop_vars(name).assign({name: picked})


def sensors_of(windows: xr.Dataset, modality: str, channels: Sequence[str]) -> list[int]:
    """Return the places, in the quality of a modality, of the recorded channels that some channels stand on.

    Parameters
    ----------
    windows : xarray.Dataset
    modality : str
        One whose quality was kept.
    channels : sequence of str
        As steps and features name them: as recorded, or of two (``F3-F4``).

    Returns
    -------
    list of int
        In the order of `channels`; all, where one of them names none that was recorded (``magnitude``).
    """
    recorded = list(windows[f"{modality}_quality"].attrs["channels"])
    parts = [[channel] if channel in recorded else channel.split("-") for channel in channels]
    names = list(dict.fromkeys(name for each in parts for name in each))
    if not all(name in recorded for name in names):
        return list(range(len(recorded)))
    return [recorded.index(name) for name in names]
