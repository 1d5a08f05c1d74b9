"""The deployed student: one network, trained on everything, with all that it needs to read a new recording.

::

    deployed/student/
      model.json            design, view, signal steps, windows, normalisation, classes
      weights.safetensors   the network, without projectors
      scaler.safetensors    mean and standard deviation per modality (mode train)
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

from limbeck import datasets
from limbeck import windows as windows_room
from limbeck.atomic import write_atomically
from limbeck.datasets.e4 import cut_signal
from limbeck.errors import DataError, LimbeckError, StudyError
from limbeck.models import InputShape, build
from limbeck.models.classical import is_classical
from limbeck.recording import Corpus, LeftOut, Recording
from limbeck.signals import parse_signals
from limbeck.study.grammar import IN_MEMORY, Stage, Variant
from limbeck.study.plan import VariantPlan, by_reason
from limbeck.study.store import Store, remove_whole
from limbeck.study.tasks import REFIT, refit_fold
from limbeck.training.scalers import Scaler, fit_scaler, normalise
from limbeck.training.tensors import outputs_of

__all__ = ["DeployedStudent", "load", "predict_files", "write"]

FORMAT = 3
_FILES = ("model.json", "weights.safetensors", "scaler.safetensors")


def write(plan: VariantPlan, store: Store, folder: Path) -> Path:
    """Write the refitted stage of a variant to a folder; one that is there already is replaced."""
    from safetensors.torch import save_file

    name = plan.variant.deployed
    planned = plan.stages[name]
    stage = _deployed_stage(plan, store)
    (state,) = store.states(planned.key, ("refit",), [REFIT])
    prefix = "network."
    weights = {key[len(prefix) :]: value.contiguous() for key, value in state.items() if key.startswith(prefix)}
    view = windows_room.view(plan.dataset, dict(stage.inputs))
    target, outputs = plan.dataset["target"].attrs, outputs_of(plan.dataset)
    calibration = plan.variant.calibration
    description = {
        "format": FORMAT,
        "study": plan.variant.study,
        "variant": plan.label,
        "stage": name,
        "model": stage.model.model_dump(),
        "inputs": {modality: _layout(view[modality]) for modality in stage.inputs},
        "n_outputs": outputs[0],
        "n_steps": outputs[1],
        "target": {"name": target["name"], "kind": target["kind"], "classes": list(target.get("classes", []))},
        "signals": {modality: plan.variant.signals[modality] for modality in stage.inputs},
        "windows": {"length": plan.variant.windows.length, "hop": plan.variant.windows.hop},
        "normalise": plan.variant.mode,
        "clip": plan.variant.clip,
        "calibration": None if calibration is None else calibration.model_dump(),
        "trim": _trim(plan.variant),
        "minimum_quality": {
            modality: least
            for modality, least in plan.variant.protocol.minimum_quality.items()
            if modality in stage.inputs
        },
        "shared": {modality: _shared(plan.variant.signals, plan.dataset, modality) for modality in stage.inputs},
        "trained_on": sorted(plan.table["subject"].unique().tolist()),
    }

    def fill(place: Path) -> None:
        place.mkdir()
        (place / "model.json").write_text(json.dumps(description, indent=1), encoding="utf-8")
        save_file(weights, place / "weights.safetensors")
        save_file(_as_tensors(_scalers(view, plan, stage)), place / "scaler.safetensors")

    if folder.is_dir():
        # A run that is finished again makes the same student anew; nothing but a student is replaced.
        foreign = sorted(file.name for file in folder.iterdir() if file.name not in _FILES)
        if foreign:
            raise LimbeckError(f"{folder} is to hold the deployed student, but has {', '.join(foreign)}; move it away.")
        remove_whole(folder)
    return write_atomically(folder, fill)


def _deployed_stage(plan: VariantPlan, store: Store) -> Stage:
    """Return the definition of what was refitted; of a choice, of the candidate that was taken."""
    planned = plan.stages[plan.variant.deployed]
    if not planned.node.candidates:
        return planned.node.stage
    (chosen,) = store.chosen(planned.key, ("refit",), [REFIT])
    return plan.stages[planned.node.candidates[chosen]].node.stage


def _layout(variable: xr.DataArray) -> dict[str, Any]:
    """Return what a modality of a new recording must look like: channels, and samples and rate or features."""
    channels = list(dict.fromkeys(variable.attrs["channels"]))
    if "rate" in variable.attrs:
        return {"channels": channels, "samples": variable.shape[2], "rate": float(variable.attrs["rate"])}
    return {"channels": channels, "features": list(variable.attrs["features"])}


def _shared(signals: dict[str, Any], windows: xr.Dataset, modality: str) -> list[str]:
    """Return the channels that go into every channel of a modality, sorted; none if there are no such."""
    pipeline = parse_signals({modality: signals[modality]})[modality]
    return sorted(pipeline.shared_channels(windows[f"{modality}_quality"].attrs["channels"]))


def _trim(variant: Variant) -> float:
    """Return the seconds that the reader of the training data cut off at both ends: there sensors settle."""
    if variant.data.corpus == IN_MEMORY:
        return 0.0
    options = {**datasets.DATASETS.options(variant.data.corpus), **variant.data.options}
    return float(options.get("trim", 0.0) or 0.0)


@dataclass(frozen=True)
class _Trimmed:
    """Reads a recording and cuts its ends off, as the reader of the training data did; times stay as they were."""

    read: Callable[[], Recording]
    seconds: float

    def __call__(self) -> Recording:
        recording = self.read()
        if not self.seconds:
            return recording
        ends = self.seconds, recording.duration - self.seconds
        return replace(recording, signals={m: cut_signal(s, *ends) for m, s in recording.signals.items()})


def _scalers(view: xr.Dataset, plan: VariantPlan, stage: Stage) -> dict[str, Scaler]:
    """Return the scale of the training, where that is what windows are scaled by."""
    if plan.variant.mode != "train":
        return {}
    windows = refit_fold(plan.table).labelled
    return {modality: fit_scaler(view[modality].to_numpy()[windows]) for modality in stage.inputs}


def _as_tensors(scalers: Mapping[str, Scaler]) -> dict[str, torch.Tensor]:
    return {
        f"{modality}.{part}": torch.from_numpy(np.ascontiguousarray(getattr(scaler, part)))
        for modality, scaler in scalers.items()
        for part in ("mean", "std")
    }


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
        By modality, where the scale is that of the training.
    """

    description: dict[str, Any]
    network: torch.nn.Module
    scalers: dict[str, Scaler]

    @property
    def does_without(self) -> bool:
        """Whether a modality that a recording lacks is no reason to leave it out."""
        return bool(getattr(self.network, "missing_modalities", False))

    def predict(self, corpus: Corpus) -> pd.DataFrame:
        """Predict every window of new recordings.

        Parameters
        ----------
        corpus : Corpus
            Recordings; annotations are not looked at. What cannot be predicted is put on its `left_out`.

        Returns
        -------
        DataFrame
            A row per window: ``recording start end`` (seconds) and, for classes, ``prediction`` (name) with a
            probability per class as ``p_<class>``; for a trace its value as ``prediction``, and a row per step where it
            has several values per window. ``quality`` is that of the
            worst channel the student reads, between 0 and 1 (nothing wrong), as of
            :func:`limbeck.signals.window_quality`; where the study asked for a minimum, ``believed`` says whether the
            window reaches it: of windows that do not, the study's scores say nothing.

        Raises
        ------
        DataError
            When no recording can be predicted, with the reasons.

        Notes
        -----
        With normalisation by calibration, a new recording is calibrated on its first seconds, which should be of the
        condition that the study names; windows are cut behind them.

        A student whose network does without a modality (``missing_modalities``) predicts every window that holds at
        least one that it reads.
        """
        frames, refused = [], []
        for subject in corpus.subjects:
            own = Corpus(corpus.name, tuple(source for source in corpus.sources if source.subject == subject))
            try:
                frames.append(self._predict_subject(own))
            except StudyError as error:
                refused.append(LeftOut(subject, self._unlike(error)))
            except windows_room.NoWindowsError as error:
                refused += error.left_out or [LeftOut(subject, str(error))]
            except DataError as error:
                refused.append(LeftOut(subject, str(error)))
            corpus.leave_out(*own.left_out)
        corpus.leave_out(*refused)
        if not frames:
            reasons = "".join(f"\n  - {line}" for line in by_reason(corpus.left_out))
            reads = ", ".join(self.description["inputs"])
            raise DataError(f"There is no window to predict; the student reads {reads}.{reasons}")
        return pd.concat(frames, ignore_index=True)

    def _unlike(self, error: StudyError) -> str:
        """Say what a recording lacks, and what the student reads; the study's own mistakes are none here."""
        mistakes = [mistake.removeprefix("signals: no recording has").strip() for mistake in error.mistakes]
        if all(mistake.startswith("signals: no recording has") for mistake in error.mistakes):
            told = "; ".join(mistakes).replace("; they have", "; it has")
            return f"has no {told}"
        return ". ".join(error.mistakes)

    def _predict_subject(self, corpus: Corpus) -> pd.DataFrame:
        """Predict the recordings of one subject, with their own channels and their own scale."""
        windows = self._cut(corpus)
        kept = ~windows["calibration"].to_numpy()
        if not kept.any():
            before = self.description["trim"] + (self.description["calibration"] or {"seconds": 0.0})["seconds"]
            raise DataError(
                f"The recording is too short: the first {before:g} s are not predicted, and a window needs "
                f"{self.description['windows']['length']:g} s more."
            )
        inputs = {modality: self._input(windows, modality) for modality in self.description["inputs"]}
        held = [windows[f"{m}_present"].to_numpy() for m in inputs if m in windows]
        kept &= np.any(held, axis=0) if self.does_without else np.all(held, axis=0)
        if not kept.any():
            something = "anything" if self.does_without else "everything"
            raise DataError(f"{corpus.subjects[0]} has no window that holds {something} the student reads.")
        with torch.no_grad():
            prediction = self.network({name: torch.from_numpy(x[kept]) for name, x in inputs.items()}).prediction
        frame = self._table(windows_room.table(windows)[kept], prediction)
        per_window = len(frame) // len(prediction)
        return frame.assign(**{name: each.repeat(per_window) for name, each in self._quality(windows, kept).items()})

    def _quality(self, windows: xr.Dataset, kept: np.ndarray) -> dict[str, np.ndarray]:
        """Return how far the windows can be believed, and whether the study would have taken them."""
        worst = {m: windows_room.worst_quality(windows, m)[kept, -1] for m in self.description["inputs"]}
        columns = {"quality": np.fmin.reduce(list(worst.values()))}
        minimum = self.description.get("minimum_quality", {})
        if minimum:
            columns["believed"] = np.all([~(worst[m] < least) for m, least in minimum.items()], axis=0)
        return columns

    def _cut(self, corpus: Corpus) -> xr.Dataset:
        calibration = self.description["calibration"]
        sources = tuple(
            replace(source, read=_Trimmed(source.read, self.description["trim"])) for source in corpus.sources
        )
        trimmed = Corpus(corpus.name, sources, corpus.left_out)
        signals = self.description["signals"]
        if self.does_without:
            held = _held(trimmed)
            signals = {modality: steps for modality, steps in signals.items() if modality in held} or signals
        windows = windows_room.cut(
            trimmed,
            signals=signals,
            target=None,
            length=self.description["windows"]["length"],
            hop=self.description["windows"]["hop"],
            calibration=None if calibration is None else windows_room.Calibration(None, calibration["seconds"]),
        )
        corpus.leave_out(*(LeftOut(**entry) for entry in json.loads(windows.attrs["left_out"])))
        self._refuse_other_shared_channels(windows)
        channels = {modality: layout["channels"] for modality, layout in self.description["inputs"].items()}
        there = {modality: names for modality, names in channels.items() if modality in windows}
        return windows_room.view(windows, there if there and self.does_without else channels)

    def _refuse_other_shared_channels(self, windows: xr.Dataset) -> None:
        """Refuse a recording in which a reference, say, would be made of other channels than in the training."""
        for modality, trained in self.description["shared"].items():
            if f"{modality}_quality" in windows:
                found = _shared(self.description["signals"], windows, modality)
                if found != trained:
                    raise DataError(
                        f"{modality}: a step of the study makes each channel of others, too; in training these were "
                        f"{', '.join(trained)}, here they are {', '.join(found)}. Record the same channels."
                    )

    def _input(self, windows: xr.Dataset, modality: str) -> np.ndarray:
        """Return one modality as the network reads it, or say how the recording differs from the training."""
        layout = self.description["inputs"][modality]
        if modality not in windows:  # which the network does without
            shape = (len(layout["features"]),) if "features" in layout else (len(layout["channels"]), layout["samples"])
            return np.full((windows.sizes["window"], *shape), np.nan, dtype=np.float32)
        variable = windows[modality]
        found = _layout(variable)
        if found != layout:
            differing = [key for key in layout if found.get(key) != layout[key]]
            raise DataError(
                f"{modality} differs from what the student was trained on: "
                + "; ".join(f"{key} {found.get(key)} instead of {layout[key]}" for key in differing)
                + ". Record with the same channels and rate, or put a resample step into the study."
            )
        values, mode = variable.to_numpy(), self.description["normalise"]
        scaled = self.scalers[modality](values) if mode == "train" else normalise(windows, modality, mode)
        clip = self.description["clip"].get(modality)
        if clip is not None:
            scaled = np.clip(scaled, -clip, clip)
        return np.nan_to_num(scaled) if "features" in layout else scaled

    def _table(self, table: pd.DataFrame, prediction: torch.Tensor) -> pd.DataFrame:
        table = table.reset_index(drop=True)
        names = [" ".join(part for part in row if part) for row in table[["subject", "session", "trial"]].to_numpy()]
        frame = pd.DataFrame({"recording": names, "start": table["start"]})
        frame["end"] = frame["start"] + self.description["windows"]["length"]
        classes = self.description["target"]["classes"]
        if not classes:
            return _at_steps(frame, prediction.flatten(1).numpy())
        shares = prediction.softmax(dim=-1).numpy()
        frame["prediction"] = [classes[code] for code in shares.argmax(axis=1)]
        return frame.assign(**{f"p_{name}": shares[:, code] for code, name in enumerate(classes)})


def _at_steps(frame: pd.DataFrame, values: np.ndarray) -> pd.DataFrame:
    """Return a row per window, or per step of a window, with when it begins and ends and its value."""
    steps = values.shape[1]
    width = (frame["end"] - frame["start"]).to_numpy() / steps
    repeated = frame.loc[frame.index.repeat(steps)]
    number = np.tile(np.arange(steps), len(frame))
    start = repeated["start"] + number * np.repeat(width, steps)
    return repeated.assign(start=start, end=start + np.repeat(width, steps), prediction=values.reshape(-1))


def _held(corpus: Corpus) -> set[str]:
    """Return the modalities that some recording holds; those that cannot be read are told where they are cut."""
    held: set[str] = set()
    for source in corpus.sources:
        with contextlib.suppress(LimbeckError):
            held |= set(source.read().signals)
    return held


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
    place = Path(folder)
    patterns = ("model.json", "*/model.json", "deployed/*/model.json")
    found = sorted({file.parent for pattern in patterns for file in place.glob(pattern)})
    if not found:
        raise LimbeckError(f"There is no deployed student in {place}; write `refit: all` in the study and run it.")
    if len(found) > 1:
        names = ", ".join(str(f.relative_to(place)) for f in found)
        raise LimbeckError(f"{place} holds {len(found)} students; give the folder of one of them: {names}.")
    description, network = _load_network(found[0] / "model.json")
    weights = _load_tensors(found[0] / "weights.safetensors")
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise LimbeckError(f"{found[0] / 'weights.safetensors'} does not fit model.json beside it: {error}") from error
    network.eval()
    parts = _load_tensors(found[0] / "scaler.safetensors")
    try:
        scalers = {
            modality: Scaler(parts[f"{modality}.mean"].numpy(), parts[f"{modality}.std"].numpy())
            for modality in (description["inputs"] if description["normalise"] == "train" else ())
        }
    except KeyError as error:
        raise LimbeckError(f"{found[0] / 'scaler.safetensors'} lacks {error}; expected what a run wrote.") from error
    return DeployedStudent(description, network, scalers)


def _load_network(file: Path) -> tuple[dict[str, Any], torch.nn.Module]:
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
        if description["format"] != FORMAT:
            raise LimbeckError(
                f"{file} has format {description['format']}; this version reads {FORMAT}. Run the study again (with "
                "`refit: all`), which writes the student anew."
            )
        shapes = {
            modality: InputShape(len(layout["features"]))
            if "features" in layout
            else InputShape(len(layout["channels"]), layout["samples"], layout["rate"])
            for modality, layout in description["inputs"].items()
        }
        model = dict(description["model"])
        needed = ("target", "signals", "windows", "normalise", "clip", "calibration", "trim")
        missing = [key for key in needed if key not in description]
        if missing:
            raise KeyError(", ".join(missing))
        if is_classical(str(model.get("name"))):
            raise LimbeckError(f"{file} names the model '{model['name']}', which cannot be stored or deployed.")
        outputs = {"n_outputs": description["n_outputs"], "n_steps": description["n_steps"]}
        return description, build(model.pop("name"), shapes, **outputs, **model)
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise LimbeckError(f"{file} cannot be read ({error!r}); expected what a run wrote.") from error


def _load_tensors(file: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(file))
    except (OSError, SafetensorError) as error:
        raise LimbeckError(f"{file} cannot be read ({error}); expected what a run wrote.") from error


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

    Raises
    ------
    LimbeckError
        When the student or all of the files cannot be read, or there is no window to predict.
    """
    student = load(folder)
    corpus = datasets.read_files([Path(file) for file in files])
    return student.predict(corpus), corpus
