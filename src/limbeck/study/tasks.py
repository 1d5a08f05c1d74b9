"""One task: a stage, trained for a group of members. It gets paths and definitions, never arrays."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

from limbeck import windows as windows_room
from limbeck.distillation import Criterion, Student, spoil
from limbeck.errors import LimbeckError
from limbeck.models import build
from limbeck.models.classical import Classical, is_classical
from limbeck.protocols import Fold, crossfit_groups, make_folds, usable
from limbeck.study.graph import Node
from limbeck.study.schema import Variant
from limbeck.study.store import Result, Store
from limbeck.training import (
    Ensemble,
    Member,
    Settings,
    Taught,
    Trained,
    WindowTensors,
    fit,
    fit_classical,
    predict_classical,
)
from limbeck.training.draws import control_generator
from limbeck.training.loop import predict

__all__ = [
    "FITTED",
    "MemberId",
    "Task",
    "folds_of",
    "is_done",
    "labelled_groups",
    "make_classical",
    "make_criterion",
    "make_network",
    "refit_fold",
    "run_task",
    "with_all_labels",
]

MemberId = tuple[int, int, int]
"""Repetition, fold and seed."""

REFIT: MemberId = (0, -1, 0)
"""The member that is trained on everything."""

FITTED = "fitted"
"""The backend of a stage whose model is fitted in one go, member by member."""


@dataclass(frozen=True)
class Task:
    """A stage and a group of members.

    Parameters
    ----------
    variant : Variant
        The study's variant.
    node : Node
        What is trained.
    key : str
        Of the node, in the store.
    group : int or str
        Number of the group, or ``"refit"``.
    members : tuple of MemberId
        Whose networks.
    backend : str
        Of the ensemble; `FITTED` for a classical model.
    keys : dict of str to (str, tuple of int or str)
        Key and groups of every node that this one stands on.
    windows : Path
        The consolidated windows.
    store : Path
        Folder of the store.
    epochs : int or None
        Fixed number of epochs, for the refit.
    """

    variant: Variant
    node: Node
    key: str
    group: int | str
    members: tuple[MemberId, ...]
    backend: str
    keys: dict[str, tuple[str, tuple[int | str, ...]]]
    windows: Path
    store: Path
    epochs: int | None = None

    def __str__(self) -> str:
        return f"{self.node.name}, {'refit' if self.group == 'refit' else f'group {self.group}'}"


def is_done(task: Task) -> bool:
    """Whether a task has left everything that is asked of it."""
    store = Store(task.store)
    return store.has(task.key, task.group) and _lacking(task, store) == (set(), False)


def _lacking(task: Task, store: Store) -> tuple[set[str], bool]:
    predictions = task.node.is_arm and task.group != "refit"
    return store.lacks(task.key, task.group, knowledge=task.node.hands_over, predictions=predictions)


def run_task(task: Task) -> None:
    """Train, hand over, predict, and write the result; what is done already is not done again."""
    store = Store(task.store)
    trained_before = store.has(task.key, task.group)
    wanted, predictions_wanted = _lacking(task, store)
    if trained_before and not wanted and not predictions_wanted:
        return
    torch.set_num_threads(1)
    start = time.perf_counter()
    tensors = _tensors(task)
    everyone = [_member(task, identity) for identity in task.members]
    seen = [_without_test(_held_out(task, member)) for member in everyone]
    final: Ensemble | list[Classical]
    trained: Trained | None
    if is_classical(task.node.stage.model.name):
        # It cannot be stored: where more is asked of it than it has left, it is fitted again, to the same result.
        final, trained = fit_classical(
            lambda: make_classical(task.node, tensors), seen, tensors, _windows(task.windows)["subject"].to_numpy()
        )
        trained = None if trained_before else trained
    else:
        trained = None if trained_before else _train(task, store, tensors, everyone, seen)
        states = store.states(task.key, (task.group,), task.members) if trained is None else trained.states
        final = _trained_ensemble(task, tensors, seen, states)
    scalers = tensors.scalers([member.fold.training for member in seen])
    knowledge = _knowledge(final, tensors, everyone, scalers, wanted)
    predictions = _test_predictions(final, tensors, everyone, scalers) if predictions_wanted else None
    if trained is None:
        store.add(task.key, task.group, knowledge, predictions)
        return
    result = Result(
        members=list(task.members),
        predictions=predictions,
        knowledge=knowledge,
        states=trained.states,
        epochs=trained.epochs,
        history=pd.DataFrame(trained.history),
        seconds=time.perf_counter() - start,
    )
    store.write(task.key, task.group, result)


def _train(task: Task, store: Store, tensors: WindowTensors, everyone: list[Member], seen: list[Member]) -> Trained:
    criterion = make_criterion(task.node, tensors.kind)
    settings, seen = _settings(task, everyone, seen)
    taught = _taught(task, store, _windows(task.windows), everyone)
    widths = {name: values.shape[-1] for name, values in taught.features.items()}
    ensemble = Ensemble(
        lambda: make_network(task.node, tensors, criterion, widths), seen, backend=task.backend, device=tensors.device
    )
    if task.node.start is not None:
        _start(task, store, ensemble)
    return fit(ensemble, tensors, criterion, settings, taught)


def _trained_ensemble(
    task: Task, tensors: WindowTensors, members: list[Member], states: list[dict[str, torch.Tensor]]
) -> Ensemble:
    """Return the networks as trained, without projectors."""
    ensemble = Ensemble(
        lambda: Student(_build(task.node, tensors)), members, backend=task.backend, device=tensors.device
    )
    for position, state in enumerate(states):
        network = {name: value.to(tensors.device) for name, value in state.items() if name.startswith("network.")}
        ensemble.load_state(position, network)
    return ensemble


# ---- windows and folds ------------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def _windows(path: Path) -> xr.Dataset:
    return windows_room.load(path)


@lru_cache(maxsize=4)
def _view(path: Path, inputs: tuple[tuple[str, tuple[str, ...] | None], ...], how: str) -> Any:
    chosen = {name: None if channels is None else list(channels) for name, channels in inputs}
    view = windows_room.view(_windows(path), chosen)
    return WindowTensors.from_windows(view, list(chosen), **json.loads(how))


def _tensors(task: Task) -> WindowTensors:
    variant = task.variant
    inputs = tuple(
        (name, None if channels is None else tuple(channels)) for name, channels in task.node.stage.inputs.items()
    )
    how = {
        "mode": variant.mode,
        "short": variant.calibration.short if variant.calibration else "leave_out",
        "clip": variant.clip,
        "device": variant.engine.device,
    }
    tensors: WindowTensors = _view(task.windows, inputs, json.dumps(how))
    return tensors


@lru_cache(maxsize=4)
def _table(path: Path) -> pd.DataFrame:
    return windows_room.table(_windows(path))


@lru_cache(maxsize=4)
def _folds(path: Path, protocol: str) -> dict[tuple[int, int], Fold]:
    from limbeck.study.schema import Protocol

    return {(f.repetition, f.fold): f for f in folds_of(_table(path), Protocol.model_validate_json(protocol))}


def folds_of(table: pd.DataFrame, protocol: Any) -> list[Fold]:
    """Return the folds of a protocol over a window table."""
    return make_folds(
        table,
        split=protocol.split,
        repetitions=protocol.repetitions,
        validation=protocol.validation,
        labelled=protocol.labelled,
        seed=protocol.seed,
    )


def refit_fold(table: pd.DataFrame) -> Fold:
    """Return the fold of the refit: every usable window is labelled training, nothing is held back."""
    kept = table[usable(table)]
    empty = np.empty(0, dtype=np.int64)
    subjects = tuple(dict.fromkeys(kept["subject"]))
    windows = np.sort(kept["window"].to_numpy(dtype=np.int64))
    return Fold(0, -1, windows, empty, empty, empty, subjects, (), (), ())


def _member(task: Task, identity: MemberId) -> Member:
    repetition, fold, seed = identity
    found = _protocol_fold(task, repetition, fold)
    return Member(with_all_labels(found) if task.node.all_labels else found, seed)


def _protocol_fold(task: Task, repetition: int, fold: int) -> Fold:
    """Return a fold with the labels that the protocol shows, whatever the node may see."""
    if task.group == "refit":
        return refit_fold(_table(task.windows))
    return _folds(task.windows, task.variant.protocol.model_dump_json())[repetition, fold]


def with_all_labels(fold: Fold) -> Fold:
    """Return a fold that shows the labels of all training windows."""
    return replace(
        fold,
        labelled=fold.training,
        unlabelled=np.empty(0, dtype=np.int64),
        labelled_subjects=fold.labelled_subjects + fold.unlabelled_subjects,
        unlabelled_subjects=(),
    )


def _held_out(task: Task, member: Member) -> Member:
    """Take the groups that a teacher of cross-fitting must not see out of its training windows."""
    labelled = member.fold.labelled
    for group, count in task.node.holdouts:
        labelled = np.setdiff1d(labelled, _crossfit_groups(task, member, count)[group])
    return Member(replace(member.fold, labelled=labelled), member.seed)


def _crossfit_groups(task: Task, member: Member, count: int) -> list[np.ndarray]:
    """Return the groups of cross-fitting: over the labels that the protocol shows, so that all nodes have the same."""
    fold = _protocol_fold(task, member.fold.repetition, member.fold.fold)
    return labelled_groups(fold, _table(task.windows), count, task.variant.protocol.seed)


def labelled_groups(fold: Fold, table: pd.DataFrame, count: int, seed: int) -> list[np.ndarray]:
    """Return the labelled windows of a fold in so many groups of subjects, for cross-fitting."""
    # The draw is keyed by the fold's number, which the refit on everything does not have.
    return crossfit_groups(replace(fold, fold=max(fold.fold, 0)), table, count, seed)


def _without_test(member: Member) -> Member:
    """Return what the trainer gets: a member that knows of no test window."""
    return Member(replace(member.fold, test=np.empty(0, dtype=np.int64), test_subjects=()), member.seed)


def _settings(task: Task, everyone: list[Member], seen: list[Member]) -> tuple[Settings, list[Member]]:
    """Return how the stage trains; ``select: test_best`` puts the test windows where validation belongs."""
    chosen = task.variant.settings(task.node.stage).model_dump()
    if chosen["select"] == "test_best" and task.group != "refit":
        seen = [
            Member(replace(own.fold, validation=member.fold.test), own.seed)
            for own, member in zip(seen, everyone, strict=True)
        ]
    chosen["select"] = "last" if task.epochs is not None or chosen["select"] == "last" else "validation"
    if task.epochs is not None:
        chosen |= {"epochs": task.epochs, "patience": None}
    return Settings(**chosen), seen


# ---- networks ---------------------------------------------------------------------------------------------------


def make_criterion(node: Node, kind: str) -> Criterion:
    """Return the losses of a node."""
    return Criterion(node.stage.losses, kind=kind)


def make_network(node: Node, tensors: WindowTensors, criterion: Criterion, teacher_widths: dict[str, int]) -> Student:
    """Build the network of a node with the projectors that its losses need."""
    network = _build(node, tensors)
    return Student(network, criterion.projectors(network, tensors.shapes, teacher_widths))


def make_classical(node: Node, tensors: WindowTensors) -> Classical:
    """Build the model of a node that is fitted in one go."""
    model: Any = _build(node, tensors)
    if not isinstance(model, Classical):
        raise LimbeckError(f"The model '{node.stage.model.name}' is a network; it cannot be fitted in one go.")
    return model


def _build(node: Node, tensors: WindowTensors) -> torch.nn.Module:
    return build(node.stage.model.name, tensors.shapes, tensors.n_outputs, **node.stage.model.options)


def _start(task: Task, store: Store, ensemble: Ensemble) -> None:
    """Load the weights of the stage to start from, without what is reset and without projectors."""
    start = task.node.stage.start
    if start is None or task.node.start is None:
        raise LimbeckError(f"The stage '{task.node.name}' has nothing to start from.")
    key, groups = task.keys[task.node.start]
    for position, state in enumerate(store.states(key, groups, task.members)):
        chosen = {
            name: value
            for name, value in state.items()
            if name.startswith("network.") and not any(f".{part}." in f".{name}" for part in start.reset)
        }
        ensemble.load_state(position, chosen)


# ---- knowledge --------------------------------------------------------------------------------------------------


def _taught(task: Task, store: Store, dataset: xr.Dataset, members: list[Member]) -> Taught:
    """Assemble what the teachers of every member hand over, cross-fitted and spoiled as the node says."""
    node = task.node
    if node.teacher is None:
        return Taught()
    criterion = make_criterion(node, dataset["target"].attrs["kind"])
    names = [*(["logits"] if criterion.needs_logits or node.spoil else []), *criterion.teacher_features]
    key, groups = task.keys[node.teacher]
    knowledge = {name: store.knowledge(key, groups, task.members, name) for name in names}
    if node.cross_teachers:
        knowledge["logits"] = _cross_fitted(task, store, members, knowledge["logits"])
    if node.spoil is not None:
        temperature = float(node.stage.losses.get("soft", {}).get("temperature", 1.0))
        knowledge = _spoiled(node.spoil, knowledge, dataset, members, temperature)
    tensors = {name: torch.from_numpy(values).to(task.variant.engine.device) for name, values in knowledge.items()}
    unlabelled = True if node.stage.unlabelled is None else node.stage.unlabelled
    return Taught(
        logits=tensors.get("logits"),
        features={name: tensors[name] for name in criterion.teacher_features},
        unlabelled=unlabelled and any(len(member.fold.unlabelled) for member in members),
    )


def _cross_fitted(task: Task, store: Store, members: list[Member], logits: np.ndarray) -> np.ndarray:
    """Replace the logits of each group of labelled subjects by those of the teacher that has not seen it."""
    result = logits.copy()
    split = [_crossfit_groups(task, member, len(task.node.cross_teachers)) for member in members]
    for group, teacher in enumerate(task.node.cross_teachers):
        key, groups = task.keys[teacher]
        own = store.knowledge(key, groups, task.members, "logits")
        for position in range(len(members)):
            windows = split[position][group]
            result[position, windows] = own[position, windows]
    return result


def _spoiled(
    control: str,
    knowledge: dict[str, np.ndarray],
    dataset: xr.Dataset,
    members: list[Member],
    temperature: float,
) -> dict[str, np.ndarray]:
    subjects, truth = dataset["subject"].to_numpy(), dataset["target"].to_numpy()
    result = {name: values.copy() for name, values in knowledge.items()}
    for position, member in enumerate(members):
        windows = member.fold.training
        labelled = np.isin(windows, member.fold.labelled)
        spoiled = spoil(
            {name: values[position, windows] for name, values in knowledge.items()},
            control,
            subjects=subjects[windows],
            labelled=labelled,
            truth=np.where(labelled, truth[windows], -1),
            temperature=temperature,
            kind=dataset["target"].attrs["kind"],
            rng=control_generator(member),
        )
        for name, values in spoiled.items():
            result[name][position, windows] = values
    return result


def _predict(
    final: Ensemble | list[Classical],
    tensors: WindowTensors,
    index_sets: list[np.ndarray],
    scalers: Any,
    features: Sequence[str] = (),
) -> list[tuple[torch.Tensor, dict[str, torch.Tensor]]]:
    """Return predictions and features of each member for its own windows."""
    if isinstance(final, Ensemble):
        return predict(final, tensors, index_sets, scalers=scalers, features=features)
    return predict_classical(final, tensors, index_sets, scalers=scalers)


def _knowledge(
    final: Ensemble | list[Classical], tensors: WindowTensors, members: list[Member], scalers: Any, wanted: set[str]
) -> dict[str, np.ndarray]:
    """Return what is handed over of every training window of the fold, held-out ones included; NaN elsewhere."""
    if not wanted:
        return {}
    features = sorted(wanted - {"logits"})
    index_sets = [member.fold.training for member in members]
    found = _predict(final, tensors, index_sets, scalers, features)
    n_windows = len(tensors.target)
    knowledge = {}
    for name in sorted(wanted):
        parts = [prediction if name == "logits" else kept[name] for prediction, kept in found]
        values = np.full((len(members), n_windows, parts[0].shape[1]), np.nan, dtype=np.float32)
        for position, (index, part) in enumerate(zip(index_sets, parts, strict=True)):
            values[position, index] = part.cpu().numpy()
        knowledge[name] = values
    return knowledge


def _test_predictions(
    final: Ensemble | list[Classical], tensors: WindowTensors, members: list[Member], scalers: Any
) -> pd.DataFrame:
    """Return a row per member and test window: probabilities, or the value of a trace."""
    index_sets = [member.fold.test for member in members]
    columns = [f"p{k}" for k in range(tensors.n_outputs)] if tensors.kind == "class" else ["value"]
    frames = []
    for position, (prediction, _) in enumerate(_predict(final, tensors, index_sets, scalers)):
        values = prediction.softmax(dim=-1) if tensors.kind == "class" else prediction
        frame = pd.DataFrame(values.cpu().numpy(), columns=columns)
        frame.insert(0, "window", index_sets[position])
        frame.insert(0, "member", position)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)
