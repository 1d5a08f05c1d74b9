"""All windows as tensors on the device, once: a fold is an index into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from limbeck.models.contract import InputShape
from limbeck.training.scalers import Moments, is_short, normalise

__all__ = ["WindowTensors", "input_shapes", "outputs_of"]


def input_shapes(windows: xr.Dataset, modalities: Sequence[str]) -> dict[str, InputShape]:
    """Return the shape of each modality of a view."""
    shapes = {}
    for modality in modalities:
        variable = windows[modality]
        if variable.ndim == 2:
            shapes[modality] = InputShape(variable.shape[1])
        else:
            shapes[modality] = InputShape(variable.shape[1], variable.shape[2], float(variable.attrs["rate"]))
    return shapes


def outputs_of(windows: xr.Dataset) -> tuple[int, int]:
    """Return what a model is to predict of a window: how many classes (1 for a trace), and at how many steps.

    No step (0) stands for one prediction per window.
    """
    target = windows["target"]
    if target.attrs["kind"] == "class":
        return len(target.attrs["classes"]), 0
    return 1, target.shape[1] if target.ndim > 1 else 0


@dataclass(frozen=True)
class WindowTensors:
    """The windows of one view, normalised and on the device.

    Parameters
    ----------
    inputs : dict of str to Tensor of shape (n_windows, n_channels[, n_times]), float32
        By modality.
    target : Tensor of shape (n_windows,), or (n_windows, n_steps) for a trace with steps
        int64 class codes or float32 trace values; 0 where there is none.
    kind : str
        ``"class"`` or ``"trace"``.
    n_outputs : int
        Number of classes, or 1.
    shapes : dict of str to InputShape
        By modality.
    per_fold : bool
        Whether each fold still has to scale its windows (mode ``train``).
    clip : mapping of str to float
        By modality: normalised values are limited to this many standard deviations from the mean.
    short : Tensor of shape (n_windows,), bool, or None
        Windows of subjects with too little calibration, which each fold scales by its own training windows.
    raw_moments : mapping of str to Moments or None
        By modality, before any scaling; needed where there are short subjects.
    lacking : mapping of str to ndarray of shape (n_windows,), bool
        By modality: windows whose recording lacks it, which hold NaN throughout. Only a network that declares
        ``missing_modalities`` may be given these; a plan leaves them out for any other.
    n_steps : int
        Steps of a trace within the window; 0 for one value per window.
    """

    inputs: dict[str, Tensor]
    target: Tensor
    kind: str
    n_outputs: int
    shapes: dict[str, InputShape]
    per_fold: bool
    clip: Mapping[str, float] = field(default_factory=dict)
    short: Tensor | None = None
    raw_moments: Mapping[str, Moments] | None = None
    lacking: Mapping[str, np.ndarray] = field(default_factory=dict)
    n_steps: int = 0

    @classmethod
    def from_windows(
        cls,
        windows: xr.Dataset,
        modalities: Sequence[str],
        *,
        mode: str,
        short: str = "leave_out",
        clip: Mapping[str, float] | None = None,
        device: str = "cpu",
    ) -> WindowTensors:
        """Normalise a view of windows and put it on the device."""
        inputs = {
            modality: torch.from_numpy(np.ascontiguousarray(normalise(windows, modality, mode, short=short))).to(device)
            for modality in modalities
        }
        uncalibrated = is_short(windows) if mode == "calibration" else np.zeros(windows.sizes["window"], dtype=bool)
        kind = windows["target"].attrs["kind"]
        target = windows["target"].values
        n_outputs, n_steps = outputs_of(windows)
        if kind == "class":
            values = torch.from_numpy(np.where(target < 0, 0, target).astype(np.int64))
        else:
            values = torch.from_numpy(np.nan_to_num(target).astype(np.float32))
        return cls(
            inputs=inputs,
            target=values.to(device),
            kind=kind,
            n_outputs=n_outputs,
            shapes=input_shapes(windows, modalities),
            per_fold=mode == "train",
            clip=clip or {},
            short=torch.from_numpy(uncalibrated).to(device) if uncalibrated.any() else None,
            raw_moments={m: Moments.of(windows[m].values) for m in modalities} if uncalibrated.any() else None,
            lacking={m: ~windows[f"{m}_present"].values.astype(bool) for m in modalities if f"{m}_present" in windows},
            n_steps=n_steps,
        )

    @property
    def width(self) -> int:
        """How many numbers a network says of a window."""
        return self.n_outputs * max(self.n_steps, 1)

    @property
    def device(self) -> torch.device:
        """Where the windows are."""
        return self.target.device

    @cached_property
    def moments(self) -> dict[str, Moments]:
        """What each window adds to the scale of its channels, by modality."""
        if self.raw_moments is not None:
            return dict(self.raw_moments)
        return {name: Moments.of(values.cpu().numpy()) for name, values in self.inputs.items()}

    @cached_property
    def unusable(self) -> dict[str, np.ndarray]:
        """Which windows no network can read, by modality: signals with NaN or infinity, features with infinity.

        Those of recordings that lack the modality are not among them.
        """
        found = {}
        for name, values in self.inputs.items():
            bad = values.isinf() if self.shapes[name].is_feature else ~values.isfinite()
            found[name] = bad.flatten(1).any(1).cpu().numpy()
            if name in self.lacking and self.lacking[name].any():
                found[name] &= ~(self.lacking[name] & values.isnan().flatten(1).all(1).cpu().numpy())
        return found

    def scalers(self, training: Sequence[np.ndarray]) -> dict[str, tuple[Tensor, Tensor]]:
        """Return mean and standard deviation (n_folds, n_channels) of each modality over each fold's windows."""
        if not self.per_fold and self.short is None:
            return {}
        result = {}
        for name, moments in self.moments.items():
            fitted = [moments.scaler(windows) for windows in training]
            result[name] = (
                torch.from_numpy(np.stack([scaler.mean for scaler in fitted])).to(self.device),
                torch.from_numpy(np.stack([scaler.std for scaler in fitted])).to(self.device),
            )
        return result

    def without(self, modalities: Sequence[str]) -> WindowTensors:
        """Return the windows as if no subject had these sensors: signals are NaN, features stand at their mean."""
        if not modalities:
            return self
        gone = {name: torch.full_like(self.inputs[name], torch.nan) for name in modalities}
        return replace(self, inputs={**self.inputs, **gone})

    def gather(self, index: Tensor, scalers: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
        """Return windows by index.

        Parameters
        ----------
        index : Tensor of shape (n_folds, batch), int64
            Which windows.
        scalers : mapping
            As :meth:`scalers` returns it, for the same folds.

        Returns
        -------
        dict of str to Tensor of shape (n_folds, batch, n_channels[, n_times])
            Features that could not be computed (NaN) stand at the mean, which is zero.
        """
        batch = {}
        for name, values in self.inputs.items():
            x = values[index]
            if name in scalers:
                mean, std = scalers[name]
                shape = (mean.shape[0], 1, mean.shape[1]) + (1,) * (x.ndim - 3)
                scaled = (x - mean.reshape(shape)) / std.reshape(shape)
                if self.short is None:
                    x = scaled
                else:
                    own = self.short[index]
                    x = torch.where(own.reshape(own.shape + (1,) * (x.ndim - 2)), scaled, x)
            if name in self.clip:
                x = x.clamp(-self.clip[name], self.clip[name])
            batch[name] = torch.nan_to_num(x) if self.shapes[name].is_feature else x
        return batch
