"""Features of arrays, without recordings or a study: for people who have windows already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from limbeck.errors import DataError, did_you_mean
from limbeck.signals.arrays import as_signal
from limbeck.signals.parsing import parse_signals

__all__ = ["extract"]


def extract(
    signals: Mapping[str, Any] | str,
    windows: Mapping[str, tuple[np.ndarray, float]],
    channels: Mapping[str, Sequence[str]] | None = None,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Compute the features of windows of several modalities, side by side.

    Parameters
    ----------
    signals : mapping of str to list, or str
        As under ``signals`` in a study, each modality ending in features; or the name of a feature set, of which the
        modalities that `windows` has are computed.
    windows : mapping of str to (ndarray of shape (n_windows, n_channels, n_times), float)
        By modality: samples in Limbeck's unit, and their rate in Hz. Steps that work on recordings see each window as
        one, so that a zero-phase filter has two ends in each, where it is least to be trusted: about the time that is
        one over its lowest cut-off.
    channels : mapping of str to sequence of str, optional
        Names by modality; ``1``, ``2``, ... by default.

    Returns
    -------
    values : ndarray of shape (n_windows, n_columns), float32
        NaN where a feature could not be computed.
    names : tuple of str
        A name per column, such as ``eeg.Fp1.bandpower.alpha``.

    Raises
    ------
    StudyError
        With every mistake in `signals`.
    DataError
        Arrays that do not fit: no features named, other dimensions, other numbers of windows or names.

    Examples
    --------
    >>> eda = np.random.default_rng(0).normal(2, 0.1, size=(3, 1, 240))
    >>> values, names = extract({"eda": [{"features": [{"statistics": ["mean", "sd"]}]}]}, {"eda": (eda, 4.0)})
    >>> values.shape, names
    ((3, 2), ('eda.1.statistics.mean', 'eda.1.statistics.sd'))
    """
    pipelines = parse_signals(signals)
    if isinstance(signals, str):
        pipelines = {modality: pipeline for modality, pipeline in pipelines.items() if modality in windows}
    _refuse_misfits(list(pipelines), windows, channels or {})
    made = []
    for modality, pipeline in pipelines.items():
        data, rate = windows[modality]
        data = as_signal(data, rate)
        if data.ndim != 3:
            raise DataError(
                f"{modality}: windows have shape (window, channel, time); found {data.ndim} dimensions, {data.shape}."
            )
        if not data.shape[1]:
            raise DataError(f"{modality}: the windows have no channels; found shape {data.shape}.")
        numbered = [str(number + 1) for number in range(data.shape[1])]
        names = [str(name) for name in (channels or {}).get(modality, numbered)]
        if len(names) != data.shape[1]:
            raise DataError(f"{modality}: {data.shape[1]} channels, but {len(names)} names: {', '.join(names)}.")
        if not pipeline.features:
            raise DataError(f"{modality}: no features are named; end its steps with {{features: [...]}}.")
        made.append(pipeline.on_arrays(data, rate, names))
    return (
        np.concatenate([values.data for values in made], axis=1),
        tuple(name for values in made for name in values.features or ()),
    )


def _refuse_misfits(
    modalities: Sequence[str],
    windows: Mapping[str, tuple[np.ndarray, float]],
    channels: Mapping[str, Sequence[str]],
) -> None:
    """Refuse modalities without windows, windows or names that nothing asks for, and different numbers of windows."""
    for modality, pair in windows.items():
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and np.ndim(pair[0]) and not np.ndim(pair[1])):
            raise DataError(
                f"{modality}: windows are given as a pair (array, rate in Hz); found {type(pair).__name__}."
            )
    mistakes = [
        f"channels of {modality} are named, which has no windows.{did_you_mean(modality, windows)}"
        for modality in channels
        if modality not in windows
    ]
    mistakes += [
        f"the channels of {modality} are names in a list, found '{names}'"
        for modality, names in channels.items()
        if isinstance(names, str)
    ]
    mistakes += [f"there are no windows of {modality}" for modality in modalities if modality not in windows]
    mistakes += [
        f"nothing is computed of {modality}.{did_you_mean(modality, modalities)}"
        for modality in windows
        if modality not in modalities
    ]
    counts = {modality: len(data) for modality, (data, _) in windows.items()}
    if len(set(counts.values())) > 1:
        mistakes.append(f"the numbers of windows differ: {counts}")
    if mistakes or not modalities:
        raise DataError(f"The windows do not fit the signals: {'; '.join(mistakes) or 'no modality is named'}.")
