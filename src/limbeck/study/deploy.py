"""The deployed student: one network, trained on everything, with all that it needs to read a new recording.

::

    deployed/student/
      model.json            design, view, signal steps, windows, normalisation, classes
      weights.safetensors   the network, without projectors
      scaler.safetensors    mean and standard deviation per modality (mode train)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

from limbeck import datasets
from limbeck import windows as windows_room
from limbeck.errors import DataError, LimbeckError
from limbeck.models import InputShape, build
from limbeck.recording import Corpus, Event, Recording
from limbeck.study.plan import VariantPlan
from limbeck.study.schema import Stage
from limbeck.study.store import Store, write_atomically
from limbeck.study.tasks import REFIT, refit_fold
from limbeck.targets import Target
from limbeck.training import WindowTensors
from limbeck.training.scalers import Scaler

__all__ = ["DeployedStudent", "load", "predict_files", "write"]

FORMAT = 1
WHOLE = "recording"
"""The event that covers a new recording, which has no annotation."""
START = "calibration"
"""The event that covers the seconds on which a new recording is calibrated."""


def write(plan: VariantPlan, store: Store, folder: Path) -> Path:
    """Write the refitted stage of a variant to a folder; one that is there already is replaced."""
    from safetensors.torch import save_file

    name = plan.variant.deployed
    planned = plan.stages[name]
    stage = planned.node.stage
    (state,) = store.states(planned.key, ("refit",), [REFIT])
    prefix = "network."
    weights = {key[len(prefix) :]: value.contiguous() for key, value in state.items() if key.startswith(prefix)}
    view = windows_room.view(plan.dataset, dict(stage.inputs))
    tensors = WindowTensors.from_windows(view, list(stage.inputs), mode=plan.variant.mode, short="train")
    scalers = tensors.scalers([refit_fold(plan.table).labelled])
    target = plan.dataset["target"].attrs
    calibration = plan.variant.calibration
    description = {
        "format": FORMAT,
        "study": plan.variant.study,
        "variant": plan.label,
        "stage": name,
        "model": stage.model.model_dump(),
        "inputs": stage.inputs,
        "shapes": {m: [s.channels, s.length, s.rate] for m, s in tensors.shapes.items()},
        "n_outputs": tensors.n_outputs,
        "target": {"name": target["name"], "kind": target["kind"], "classes": list(target.get("classes", []))},
        "signals": {modality: plan.variant.signals[modality] for modality in stage.inputs},
        "windows": {"length": plan.variant.windows.length, "hop": plan.variant.windows.hop},
        "normalise": plan.variant.mode,
        "clip": plan.variant.clip,
        "calibration": None if calibration is None else calibration.model_dump(),
    }

    def fill(place: Path) -> None:
        place.mkdir()
        (place / "model.json").write_text(json.dumps(description, indent=1), encoding="utf-8")
        save_file(weights, place / "weights.safetensors")
        save_file(
            {
                f"{modality}.{part}": value[0].contiguous()
                for modality, pair in scalers.items()
                for part, value in zip(("mean", "std"), pair, strict=True)
            },
            place / "scaler.safetensors",
        )

    if (folder / "model.json").is_file():
        # A run that is finished again makes the same student anew; only what Limbeck wrote here goes.
        for file in ("model.json", "weights.safetensors", "scaler.safetensors"):
            (folder / file).unlink(missing_ok=True)
        folder.rmdir()
    return write_atomically(folder, fill)


@dataclass(frozen=True)
class DeployedStudent:
    """A student that reads new recordings.

    Parameters
    ----------
    description : dict
        What ``model.json`` holds.
    network : nn.Module
        In evaluation mode.
    scalers : dict of str to Scaler
        By modality, in mode ``train``.
    """

    description: dict[str, Any]
    network: torch.nn.Module
    scalers: dict[str, Scaler]

    def predict(self, corpus: Corpus) -> pd.DataFrame:
        """Predict every window of new recordings.

        Parameters
        ----------
        corpus : Corpus
            Unlabelled recordings; annotations are ignored.

        Returns
        -------
        DataFrame
            A row per window: ``recording start end`` (seconds) and, for classes, ``prediction`` (name) with a probability per
            class as ``p_<class>``; for a trace its value as ``prediction``.

        Raises
        ------
        DataError
            When no window can be cut, or the channels are not those of the training.
        """
        windows = self._cut(corpus)
        stage = Stage.model_validate({"model": self.description["model"], "inputs": self.description["inputs"]})
        view = windows_room.view(windows, dict(stage.inputs))
        inputs = {}
        for modality, (channels, length, rate) in self.description["shapes"].items():
            values = view[modality].values
            expected = InputShape(channels, length, rate)
            shape = (channels,) if expected.is_feature else (channels, length)
            if values.shape[1:] != shape:
                raise DataError(
                    f"The windows of {modality} have shape {values.shape[1:]}; the student was trained on {shape}. "
                    "Record with the same channels and rate, or set a resample step in the study."
                )
            scaled = self.scalers[modality](values) if modality in self.scalers else self._own_scale(view, modality)
            if self.description["clip"] is not None:
                scaled = np.clip(scaled, -self.description["clip"], self.description["clip"])
            inputs[modality] = torch.from_numpy(np.nan_to_num(scaled) if expected.is_feature else scaled)
        with torch.no_grad():
            prediction = self.network(inputs).prediction
        return self._table(windows, prediction)

    def _cut(self, corpus: Corpus) -> xr.Dataset:
        sources = tuple(
            replace(source, read=_Unlabelled(source.read, self._calibration_seconds())) for source in corpus.sources
        )
        calibration = self.description["calibration"]
        return windows_room.cut(
            Corpus(corpus.name, sources, corpus.left_out),
            signals=self.description["signals"],
            target=Target.parse({"name": "none", "events": {WHOLE: [WHOLE]}}),
            length=self.description["windows"]["length"],
            hop=self.description["windows"]["hop"],
            calibration=None if calibration is None else windows_room.Calibration(START, calibration["seconds"]),
        )

    def _calibration_seconds(self) -> float:
        calibration = self.description["calibration"]
        return 0.0 if calibration is None else float(calibration["seconds"])

    def _own_scale(self, windows: xr.Dataset, modality: str) -> np.ndarray:
        from limbeck.training import normalise

        return normalise(windows, modality, self.description["normalise"])

    def _table(self, windows: xr.Dataset, prediction: torch.Tensor) -> pd.DataFrame:
        table = windows_room.table(windows)
        frame = pd.DataFrame({"recording": table["subject"].astype(str), "start": table["start"]})
        frame["end"] = frame["start"] + self.description["windows"]["length"]
        classes = self.description["target"]["classes"]
        if classes:
            shares = prediction.softmax(dim=-1).numpy()
            frame["prediction"] = [classes[code] for code in shares.argmax(axis=1)]
            for code, name in enumerate(classes):
                frame[f"p_{name}"] = shares[:, code]
        else:
            frame["prediction"] = prediction[:, 0].numpy()
        return frame[~table["calibration"].to_numpy(dtype=bool)].reset_index(drop=True)


@dataclass(frozen=True)
class _Unlabelled:
    """Reads a recording and puts the events in place that cutting needs: its start for calibration, and the rest."""

    read: Callable[[], Recording]
    calibration: float

    def __call__(self) -> Recording:
        recording = self.read()
        # Windows begin where every modality has begun.
        begin = max((signal.start for signal in recording.signals.values()), default=0.0)
        events = [Event(WHOLE, begin + self.calibration, recording.duration)]
        if self.calibration:
            events.insert(0, Event(START, begin, begin + self.calibration))
        return replace(recording, events=tuple(events), ratings={}, traces={})


def load(folder: str | Path) -> DeployedStudent:
    """Load a deployed student.

    Parameters
    ----------
    folder : path-like
        A run, its ``deployed`` folder, or the folder of one student.

    Raises
    ------
    LimbeckError
        When there is none, or more than one to choose from.
    """
    from safetensors.torch import load_file

    place = Path(folder)
    found = sorted({file.parent for pattern in ("", "*/", "deployed/*/") for file in place.glob(f"{pattern}model.json")})
    if not found:
        raise LimbeckError(f"There is no deployed student in {place}; write `refit: all` in the study and run it again.")
    if len(found) > 1:
        names = ", ".join(str(f.relative_to(place)) for f in found)
        raise LimbeckError(f"{place} holds {len(found)} students; give the folder of one of them: {names}.")
    try:
        description = json.loads((found[0] / "model.json").read_text(encoding="utf-8"))
        shapes = {m: InputShape(c, n, rate) for m, (c, n, rate) in description["shapes"].items()}
        model = dict(description["model"])
        network = build(model.pop("name"), shapes, description["n_outputs"], **model)
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise LimbeckError(f"{found[0] / 'model.json'} cannot be read ({error}); expected what a run wrote.") from error
    network.load_state_dict(load_file(found[0] / "weights.safetensors"))
    network.eval()
    parts = load_file(found[0] / "scaler.safetensors")
    scalers = {
        modality: Scaler(parts[f"{modality}.mean"].numpy(), parts[f"{modality}.std"].numpy())
        for modality in {key.rsplit(".", 1)[0] for key in parts}
    }
    return DeployedStudent(description, network, scalers)


def predict_files(folder: str | Path, files: Sequence[str | Path]) -> tuple[pd.DataFrame, Corpus]:
    """Predict new recordings with the student of a run.

    Parameters
    ----------
    folder : path-like
        A run, or the folder of a deployed student.
    files : sequence of path-like
        E4 sessions (folders or zips), EDF or BDF files.

    Returns
    -------
    predictions : DataFrame
        As :meth:`DeployedStudent.predict` returns it.
    corpus : Corpus
        With what was left out.
    """
    student = load(folder)
    corpus = datasets.read_files([Path(file) for file in files])
    return student.predict(corpus), corpus

