"""One task: a stage, trained for a group of members. It gets paths and definitions, never arrays."""

from __future__ import annotations

import json
import re
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

from limbeck import windows as windows_room
from limbeck.augment import Augmentation
from limbeck.distillation import Context, Learner, Partner, combine, confident, feature_shapes, fit_temperature, spoil
from limbeck.distillation.controls import permute_within, scrambling_groups
from limbeck.distillation.teachers import log_softmax
from limbeck.errors import DataError, LimbeckError
from limbeck.models import build
from limbeck.models.classical import Classical, is_classical
from limbeck.models.contract import InputShape
from limbeck.protocols import Fold, crossfit_groups, make_folds, usable, with_target_of
from limbeck.study.grammar import Model, Protocol, Variant
from limbeck.study.graph import Node, taken
from limbeck.study.store import Result, Store
from limbeck.training import (
    Ensemble,
    Member,
    PartnerWindows,
    Settings,
    Taught,
    Trained,
    WindowTensors,
    fit,
    fit_classical,
    predict_classical,
)
from limbeck.training.draws import control_generator
from limbeck.training.loop import class_weights, predict
from limbeck.training.sights import SECOND

__all__ = [
    "FITTED",
    "MemberId",
    "Task",
    "build_model",
    "folds_of",
    "is_done",
    "labelled_groups",
    "make_augmentations",
    "make_classical",
    "make_learner",
    "refit_fold",
    "run_task",
    "with_all_labels",
]

Inputs = tuple[tuple[str, tuple[str, ...] | None], ...]
"""Modalities with the channels that are read of each; None for all."""

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
    teacher_shapes : dict of str to dict of str to tuple of int
        By teacher, as the stage names it, the shapes of its features.
    folds_groups : tuple of int
        Of a refit: the groups of the same stage in the folds.
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
    teacher_shapes: dict[str, dict[str, tuple[int, ...]]] = field(default_factory=dict)
    folds_groups: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.node.name}, {'refit' if self.group == 'refit' else f'group {self.group}'}"


def is_done(task: Task) -> bool:
    """Whether a task has left everything that is asked of it."""
    store = Store(task.store)
    return store.has(task.key, task.group) and _lacking(task, store) == (set(), False)


def _lacking(task: Task, store: Store) -> tuple[set[str], bool]:
    predictions = task.node.leaves_predictions and task.group != "refit"
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
    if task.node.candidates:
        _choose(task, store, wanted, start)
        return
    tensors = _tensors(task)
    everyone = [_member(task, identity) for identity in task.members]
    seen = [_without_test(_held_out(task, member)) for member in everyone]
    final: Ensemble | list[Classical]
    trained: Trained | None
    if is_classical(task.node.stage.model.name):
        # It cannot be stored: where more is asked of it than it has left, it is fitted again, to the same result.
        final, trained = fit_classical(
            lambda: make_classical(task.node, tensors), seen, tensors, _windows(task)["subject"].to_numpy()
        )
        trained = None if trained_before else trained
    else:
        trained = None if trained_before else _train(task, store, tensors, everyone, seen)
        states = store.states(task.key, (task.group,), task.members) if trained is None else trained.states
        final = _trained_ensemble(task, tensors, seen, states)
    scalers = tensors.scalers([member.fold.training for member in seen])
    handed = [_handed_windows(task, identity) for identity in task.members] if wanted else []
    knowledge = _knowledge(final, tensors, handed, scalers, wanted)
    predictions = None
    if predictions_wanted:
        predictions = _test_predictions(final, tensors.without(task.node.stage.without), everyone, scalers)
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
    settings, seen = _settings(task, everyone, seen)
    # Whatever reads the truth is told of no label that the node must not see.
    held = [_held_out(task, member) for member in everyone]
    taught = _taught(task, store, _windows(task), held)
    partners = _partner_windows(task, held)
    shapes = {name: partner.windows.shapes for name, partner in partners.items()}

    def build() -> Learner:
        return make_learner(
            task.variant,
            task.node,
            tensors.shapes,
            shapes,
            kind=tensors.kind,
            outputs=(tensors.n_outputs, tensors.n_steps),
            n_windows=len(tensors.target),
            teacher_shapes=task.teacher_shapes,
        )

    ensemble = Ensemble(build, seen, backend=task.backend, device=tensors.device)
    _start(task, store, ensemble)
    return fit(
        ensemble,
        tensors,
        settings,
        taught,
        steps=task.node.stage.made_steps(),
        partners=partners,
        augmentations=make_augmentations(task.node, tensors.shapes, shapes, tensors.n_steps),
    )


def _trained_ensemble(
    task: Task, tensors: WindowTensors, members: list[Member], states: list[dict[str, torch.Tensor]]
) -> Ensemble:
    """Return the networks as trained, without what helped."""
    context = Context(tensors.kind, tensors.width, tensors.shapes, {})
    ensemble = Ensemble(
        lambda: Learner(_build(task.node, tensors), {}, context), members, backend=task.backend, device=tensors.device
    )
    for position, state in enumerate(states):
        network = {name: value.to(tensors.device) for name, value in state.items() if name.startswith("network.")}
        ensemble.load_state(position, network)
    return ensemble


# ---- windows and folds ------------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def _loaded(path: Path, target: str) -> xr.Dataset:
    windows = windows_room.load(path)
    return windows_room.with_target(windows, target) if target else windows


def _windows(task: Task) -> xr.Dataset:
    """Return the windows with the target of the stage."""
    return _loaded(task.windows, task.node.target)


class _Views:
    """Normalised views, the latest of them: as many as take no more memory than the windows do twice.

    A stage with several teachers or partners reads several views, which take long to normalise and little memory where
    each is one modality of many.

    Parameters
    ----------
    least : int
        Views that are kept whatever they take.
    """

    def __init__(self, least: int = 4) -> None:
        self.least = least
        self.kept: OrderedDict[tuple[Any, ...], WindowTensors] = OrderedDict()

    def of(self, path: Path, target: str, inputs: Inputs, how: str) -> WindowTensors:
        """Return a view of the windows at a path, normalised as `how` says."""
        key = (path, target, inputs, how)
        if key not in self.kept:
            windows = _loaded(path, target)
            chosen = {name: None if channels is None else list(channels) for name, channels in inputs}
            self.kept[key] = WindowTensors.from_windows(
                windows_room.view(windows, chosen), list(chosen), **json.loads(how)
            )
            most = 2 * sum(values.nbytes for values in windows.data_vars.values())
            while len(self.kept) > self.least and sum(map(_bytes_of, self.kept.values())) > most:
                self.kept.popitem(last=False)
        self.kept.move_to_end(key)
        return self.kept[key]


def _bytes_of(tensors: WindowTensors) -> int:
    return sum(values.nbytes for values in tensors.inputs.values())


_VIEWS = _Views()


def _tensors(task: Task, view: Mapping[str, list[str] | None] | None = None) -> WindowTensors:
    """Return the windows of a view; of what the stage reads by default."""
    variant = task.variant
    chosen = task.node.stage.inputs if view is None else view
    inputs = tuple((name, None if channels is None else tuple(channels)) for name, channels in chosen.items())
    how = {
        "mode": variant.mode,
        "short": variant.calibration.short if variant.calibration else "leave_out",
        "clip": variant.clip,
        "device": variant.engine.device,
    }
    return _VIEWS.of(task.windows, task.node.target, inputs, json.dumps(how))


@lru_cache(maxsize=4)
def _table(path: Path, target: str = "") -> pd.DataFrame:
    return windows_room.table(_loaded(path, target))


@lru_cache(maxsize=8)
def _folds(path: Path, protocol: str, target: str) -> dict[tuple[int, int], Fold]:
    folds = {(f.repetition, f.fold): f for f in folds_of(_table(path), Protocol.model_validate_json(protocol))}
    if not target:
        return folds
    return {place: with_target_of(fold, _table(path, target)) for place, fold in folds.items()}


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
    return Member(with_all_labels(found) if task.node.all_labels else found, seed, task.node.stream)


def _protocol_fold(task: Task, repetition: int, fold: int) -> Fold:
    """Return a fold with the labels that the protocol shows, whatever the node may see."""
    if task.group == "refit":
        return refit_fold(_table(task.windows, task.node.target))
    return _folds(task.windows, task.variant.protocol.model_dump_json(), task.node.target)[repetition, fold]


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
    return replace(member, fold=replace(member.fold, labelled=labelled))


def _crossfit_groups(task: Task, member: Member, count: int) -> list[np.ndarray]:
    """Return the groups of cross-fitting: over the labels that the protocol shows, so that all nodes have the same."""
    fold = _protocol_fold(task, member.fold.repetition, member.fold.fold)
    return labelled_groups(fold, _table(task.windows, task.node.target), count, task.variant.protocol.seed)


def labelled_groups(fold: Fold, table: pd.DataFrame, count: int, seed: int) -> list[np.ndarray]:
    """Return the labelled windows of a fold in so many groups of subjects, for cross-fitting."""
    # The draw is keyed by the fold's number, which the refit on everything does not have.
    return crossfit_groups(replace(fold, fold=max(fold.fold, 0)), table, count, seed)


def _without_test(member: Member) -> Member:
    """Return what the trainer gets: a member that knows of no test window."""
    return replace(member, fold=replace(member.fold, test=np.empty(0, dtype=np.int64), test_subjects=()))


def _settings(task: Task, everyone: list[Member], seen: list[Member]) -> tuple[Settings, list[Member]]:
    """Return how the stage trains; ``select: test_best`` puts the test windows where validation belongs."""
    chosen = task.variant.settings(task.node.stage).model_dump()
    if chosen["select"] == "test_best" and task.group != "refit":
        seen = [
            replace(own, fold=replace(own.fold, validation=member.fold.test))
            for own, member in zip(seen, everyone, strict=True)
        ]
    chosen["select"] = "last" if task.epochs is not None or chosen["select"] == "last" else "validation"
    if task.epochs is not None:
        chosen |= {"epochs": task.epochs, "patience": None}
    return Settings(**chosen), seen


# ---- networks ---------------------------------------------------------------------------------------------------


def make_learner(
    variant: Variant,
    node: Node,
    shapes: Mapping[str, InputShape],
    partner_shapes: Mapping[str, Mapping[str, InputShape]],
    *,
    kind: str,
    outputs: tuple[int, int],
    n_windows: int,
    teacher_shapes: Mapping[str, Mapping[str, tuple[int, ...]]],
) -> Learner:
    """Build the network of a node with the losses and partners that train it.

    Parameters
    ----------
    variant : Variant
        The study's variant.
    node : Node
        What is trained.
    shapes, partner_shapes : mapping
        What the network and its partners read.
    kind, outputs : str, (int, int)
        Of the target: classes or a trace; how many classes (1 of a trace) and steps within the window (0: none).
    n_windows : int
        Of the data set.
    teacher_shapes : mapping
        By teacher the shapes of its features.

    Raises
    ------
    LimbeckError
        When a loss cannot be used with these networks.
    """
    network = build_model(node.stage.model, shapes, outputs)
    partners = {}
    for name, partner in node.stage.partners.items():
        beside = None
        if partner.learns != "average":
            model, _ = variant.partner(node.stage, name)
            beside = build_model(model, partner_shapes[name], outputs)
        partners[name] = Partner(
            beside,
            partner_shapes.get(partner.of or name, shapes),
            learns=partner.learns,
            dropout=partner.dropout,
            momentum=partner.momentum,
            of=partner.of,
            teaches=name in node.stage.taught_by,
        )
    own = feature_shapes(network, shapes)
    followed = {name: partners[partner.of or name].network for name, partner in partners.items()}
    beside_shapes = {
        name: own if beside is None else feature_shapes(beside, partners[name].inputs)
        for name, beside in followed.items()
    }
    live = {name: beside_shapes[name] for name, partner in partners.items() if partner.teaches}
    context = Context(
        kind,
        outputs[0] * max(outputs[1], 1),
        shapes,
        own,
        {**teacher_shapes, **live},
        beside_shapes,
        {name: partner.inputs for name, partner in partners.items()},
        n_windows,
        variant.settings(node.stage).batch,
        balanced_trust=node.stage.knowledge.balance,
    )
    deployed = node.stage.predict_with or "network"
    still = node.stage.made_steps().partner
    return Learner(network, node.stage.made_losses(), context, partners, deployed, still)


def make_augmentations(
    node: Node,
    shapes: Mapping[str, InputShape],
    partner_shapes: Mapping[str, Mapping[str, InputShape]],
    n_steps: int = 0,
) -> dict[str, Augmentation]:
    """Return how windows are changed in training: as the stage says, or by default where a loss needs another sight.

    What the network reads itself (its plain sight) changes only where the stage says so: a loss that needs another
    sight must not make an arm differ from the one that it is compared with in how both see their windows. Where the
    target has steps within the window, and a loss learns them, nothing moves in time: the steps would not move along.
    """
    spec = node.stage.augment
    in_time = n_steps > 0 and node.stage.predicts
    found = {} if spec is None else {"": _augmentation(spec, shapes, in_time)}
    needs_second = any(
        sight.startswith("second")
        for loss in node.stage.made_losses().values()
        for sights in (loss.sights, *loss.partner_sights.values())
        for sight in sights
    )
    if needs_second:
        if spec is None:
            found[SECOND] = _augmentation("default", shapes, in_time)
        partners = node.stage.partners
        for name, own in partner_shapes.items():
            found[name] = _augmentation(_partner_augment(spec, shapes, own), own, in_time)
        for name, partner in partners.items():
            if partner.learns == "average":
                found[name] = found[partner.of or ("" if "" in found else SECOND)]
    return found


def _partner_augment(spec: Any, shapes: Mapping[str, InputShape], own: Mapping[str, InputShape]) -> Any:
    """Return how a partner's second sight changes: as the stage says where it reads the same, else by default."""
    if not isinstance(spec, Mapping):
        return spec or "default"
    fits = {name: changes for name, changes in spec.items() if name in own and shapes.get(name) == own[name]}
    unlike = {name: "default" for name in own if shapes.get(name) != own[name]}
    return {**fits, **unlike} or "default"


def _augmentation(spec: Any, shapes: Mapping[str, InputShape], in_time: bool) -> Augmentation:
    view = {name: (own.channels, own.length, own.rate) for name, own in shapes.items()}
    return Augmentation.parse(spec, view, in_time=in_time)


def _partner_windows(task: Task, members: list[Member]) -> dict[str, PartnerWindows]:
    """Return what the partners read; for a control that scrambles, other windows than their own."""
    node, found = task.node, {}
    for name, partner in node.stage.partners.items():
        if partner.learns == "average":
            continue
        _, inputs = task.variant.partner(node.stage, name)
        order = _scrambled_windows(task, members) if node.spoil == "scrambled" else None
        found[name] = PartnerWindows(_tensors(task, inputs), order)
    return found


def _scrambled_windows(task: Task, members: list[Member]) -> torch.Tensor:
    """Return for each member which window stands for which, in the groups of the control."""
    dataset = _windows(task)
    subjects, truth = dataset["subject"].to_numpy(), dataset["target"].to_numpy()
    orders = []
    for member in members:
        windows = member.fold.training
        labelled = np.isin(windows, member.fold.labelled)
        seen = np.where(labelled, _one_each(truth[windows]), -1)
        groups = scrambling_groups(subjects[windows], labelled, seen, dataset["target"].attrs["kind"])
        order = np.arange(len(subjects))
        order[windows] = windows[permute_within(groups, control_generator(member))]
        orders.append(order)
    return torch.from_numpy(np.stack(orders)).to(task.variant.engine.device)


def _one_each(truth: np.ndarray) -> np.ndarray:
    """Return one truth per window: of a trace with steps their mean."""
    return truth if truth.ndim == 1 else truth.mean(axis=1)


def make_classical(node: Node, tensors: WindowTensors) -> Classical:
    """Build the model of a node that is fitted in one go."""
    model: Any = _build(node, tensors)
    if not isinstance(model, Classical):
        raise LimbeckError(f"The model '{node.stage.model.name}' is a network; it cannot be fitted in one go.")
    return model


def _build(node: Node, tensors: WindowTensors) -> torch.nn.Module:
    return build_model(node.stage.model, tensors.shapes, (tensors.n_outputs, tensors.n_steps))


def build_model(model: Model, shapes: Mapping[str, InputShape], outputs: tuple[int, int]) -> torch.nn.Module:
    """Build a model of a study that predicts so many classes (or 1 value), at so many steps (0: once per window)."""
    return build(model.name, shapes, outputs[0], n_steps=outputs[1], **model.options)


def _start(task: Task, store: Store, ensemble: Ensemble) -> None:
    """Load the weights of the stages to start from, without what is reset."""
    start = task.node.stage.start
    if start is not None and task.node.start is not None:
        prefix = "network." if start.partner is None else f"partners.{start.partner}."
        _load(task, store, ensemble, task.node.start, prefix, "network.", start.reset)
    for partner, node in task.node.partner_starts.items():
        _load(task, store, ensemble, node, "network.", f"partners.{partner}.", [])


def _load(task: Task, store: Store, ensemble: Ensemble, node: str, taken: str, into: str, reset: Sequence[str]) -> None:
    """Load those weights of a stage whose names begin with `taken`, under names that begin with `into`.

    Raises
    ------
    LimbeckError
        When the stage has left none: a partner that is not there, or that no gradient trains.
    """
    key, groups = task.keys[node]
    for position, state in enumerate(store.states(key, groups, task.members)):
        if not any(name.startswith(taken) for name in state):
            kept = ", ".join(dict.fromkeys(re.sub(r"^(network|partners\.[^.]+)\..*", r"\1", name) for name in state))
            raise LimbeckError(
                f"{task.node.name}: '{node}' has left no weights called {taken}…, only those of {kept}. A stage keeps "
                "its own network and the partners that learn by gradient: start from one of these."
            )
        chosen = {
            f"{into}{name.removeprefix(taken)}": value
            for name, value in state.items()
            if name.startswith(taken) and not any(f".{part}." in f".{name}" for part in reset)
        }
        ensemble.load_state(position, chosen)


# ---- choosing ---------------------------------------------------------------------------------------------------


def _choose(task: Task, store: Store, wanted: set[str], start: float) -> None:
    """Take, for each member, over what its best candidate has left; who is best is judged without any test window."""
    members = list(task.members)
    if task.node.follows is not None:
        key, groups = task.keys[task.node.follows]
        chosen = store.chosen(key, groups, members)
    elif task.group == "refit":
        chosen = [_most_chosen(task, store)]
    else:
        errors = np.stack([_candidate_errors(task, store, k) for k in range(len(task.node.candidates))])
        chosen = errors.argmin(axis=0).tolist()
    states: list[dict[str, torch.Tensor]] = []
    epochs: list[int] = []
    frames: list[pd.DataFrame] = []
    histories: list[pd.DataFrame] = []
    knowledge: dict[str, list[np.ndarray]] = {name: [] for name in sorted(wanted)}
    for position, (member, k) in enumerate(zip(members, chosen, strict=True)):
        key, groups = task.keys[task.node.candidates[k]]
        states += store.states(key, groups, [member])
        epochs += store.epochs(key, groups, [member])
        for name, values in knowledge.items():
            values.append(store.knowledge(key, groups, [member], name)[0])
        if task.group != "refit" and task.node.leaves_predictions:
            frames.append(store.predictions_of(key, groups, member).assign(member=position))
        histories.append(store.history_of(key, groups, member))
    predictions = pd.concat(frames, ignore_index=True) if frames else None
    result = Result(
        members=members,
        predictions=predictions,
        knowledge={name: np.stack(values) for name, values in knowledge.items()},
        states=states,
        epochs=epochs,
        history=pd.concat(histories, ignore_index=True),
        seconds=time.perf_counter() - start,
        chosen=chosen,
    )
    if store.has(task.key, task.group):
        store.add(task.key, task.group, result.knowledge, predictions)
    else:
        store.write(task.key, task.group, result)


def _most_chosen(task: Task, store: Store) -> int:
    """Return the candidate that was the best in most folds."""
    chosen = [k for group in task.folds_groups for k in store.done(task.key, group)["chosen"]]
    return int(np.bincount(chosen, minlength=len(task.node.candidates)).argmax())


def _candidate_errors(task: Task, store: Store, k: int) -> np.ndarray:
    """Return the error (n_members,) of one candidate on validation subjects, or on labelled ones left out of it.

    What the node itself must not see has no say: of a teacher of cross-fitting, or of one whose student is chosen by
    leaving groups out, the groups that remain judge.
    """
    node, dataset = task.node, _windows(task)
    truth, kind = dataset["target"].to_numpy(), dataset["target"].attrs["kind"]
    members = [_member(task, identity) for identity in task.members]
    errors, counts = np.zeros(len(members)), np.zeros(len(members))
    judges = node.judges[k]
    for source in judges or (node.candidates[k],):
        key, groups = task.keys[source]
        logits = store.knowledge(key, groups, task.members, "logits")
        for position, member in enumerate(members):
            if judges:
                group = _crossfit_groups(task, member, len(judges))[judges.index(source)]
                windows = np.intersect1d(group, _held_out(task, member).fold.labelled)
            else:
                windows = member.fold.validation
            if len(windows):
                classes = dataset["target"].attrs.get("classes", ())
                errors[position] += _error(logits[position, windows], truth[windows], kind, classes)
                counts[position] += 1
    return errors / np.maximum(counts, 1)


def _error(logits: np.ndarray, truth: np.ndarray, kind: str, classes: Sequence[str]) -> float:
    """Return the cross-entropy, every class weighing the same, or the mean squared error of a trace."""
    if kind != "class":
        return float(np.square(logits - truth.reshape(logits.shape)).mean())
    weights = class_weights(truth, len(classes))[truth]
    picked = log_softmax(logits)[np.arange(len(truth)), truth]
    return float(-(weights * picked).sum() / weights.sum())


# ---- knowledge --------------------------------------------------------------------------------------------------


def _taught(task: Task, store: Store, dataset: xr.Dataset, members: list[Member]) -> Taught:
    """Assemble what the teachers of every member hand over: cross-fitted, calibrated, spoiled, together, filtered."""
    node = task.node
    has_unlabelled = any(len(member.fold.unlabelled) for member in members)
    wanted = node.stage.learns_without_labels if node.stage.unlabelled is None else node.stage.unlabelled
    unlabelled = wanted and has_unlabelled
    if not node.teachers:
        return Taught(unlabelled=unlabelled)
    knowledge: dict[str, dict[str, np.ndarray]] = {}
    for name, teacher in node.teachers.items():
        key, groups = task.keys[teacher]
        knowledge[name] = {what: store.knowledge(key, groups, task.members, what) for what in sorted(taken(node, name))}
        if name in node.cross_teachers:
            knowledge[name] = _cross_fitted(task, store, members, knowledge[name], node.cross_teachers[name])
    _check_knowledge(knowledge, members, dataset, unlabelled=unlabelled)
    if node.stage.knowledge.calibrate:
        _calibrate(knowledge, dataset, members, crossfitted=bool(node.cross_teachers))
    if node.spoil is not None:
        knowledge = _spoiled(task, knowledge, dataset, members)
    logits, trust = _together(node, knowledge, dataset, members)
    device = task.variant.engine.device

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(device)

    return Taught(
        logits=None if logits is None else tensor(logits),
        teachers={name: {what: tensor(v) for what, v in values.items()} for name, values in knowledge.items()},
        trust=None if trust is None else tensor(trust),
        unlabelled=unlabelled,
    )


def _check_knowledge(
    knowledge: Mapping[str, Mapping[str, np.ndarray]], members: list[Member], dataset: xr.Dataset, *, unlabelled: bool
) -> None:
    """Refuse teachers that have nothing finite to say of a window that they teach, before anything is trained."""
    subjects = windows_room.decode(dataset["subject"])
    mistakes = []
    for teacher, values in knowledge.items():
        for what, handed in values.items():
            for position, member in enumerate(members):
                taught = member.fold.training if unlabelled else member.fold.labelled
                bad = taught[~np.isfinite(handed[position, taught]).all(axis=-1)]
                if len(bad):
                    of = ", ".join(dict.fromkeys(subjects[bad].tolist()))
                    mistakes.append(
                        f"the {what} of the teacher '{teacher}' are not finite in {len(bad)} of the {len(taught)} "
                        f"windows that it teaches {member} (of {of})"
                    )
    if mistakes:
        raise DataError(
            "\n".join(mistakes[:5])
            + "\nLook for infinite values in these windows (data.subjects leaves subjects out), or lower the teacher's "
            "training.learning_rate."
        )


def _cross_fitted(
    task: Task, store: Store, members: list[Member], knowledge: dict[str, np.ndarray], teachers: Sequence[str]
) -> dict[str, np.ndarray]:
    """Replace the knowledge of each group of labelled subjects by that of the teacher that has not seen it."""
    result = {what: values.copy() for what, values in knowledge.items()}
    split = [_crossfit_groups(task, member, len(teachers)) for member in members]
    for group, teacher in enumerate(teachers):
        key, groups = task.keys[teacher]
        for what, values in result.items():
            own = store.knowledge(key, groups, task.members, what)
            for position in range(len(members)):
                windows = split[position][group]
                values[position, windows] = own[position, windows]
    return result


def _calibrate(
    knowledge: dict[str, dict[str, np.ndarray]], dataset: xr.Dataset, members: list[Member], *, crossfitted: bool
) -> None:
    """Divide each teacher's logits by the temperature that fits what it has not been trained on."""
    truth = dataset["target"].to_numpy()
    for values in knowledge.values():
        logits = values["logits"] = values["logits"].copy()
        for position, member in enumerate(members):
            windows = member.fold.labelled if crossfitted else member.fold.validation
            if not len(windows):
                raise DataError(
                    f"knowledge.calibrate: {member} has no validation subjects to fit a temperature on; add crossfit, "
                    "which fits it on labelled subjects that a teacher has not seen, or label more subjects."
                )
            logits[position] /= fit_temperature(logits[position, windows], truth[windows])


def _together(
    node: Node, knowledge: dict[str, dict[str, np.ndarray]], dataset: xr.Dataset, members: list[Member]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the logits of all teachers together, and how much each window counts."""
    settings = node.stage.knowledge
    if not all("logits" in values for values in knowledge.values()):
        return None, None
    stacked = [values["logits"] for values in knowledge.values()]
    if len(stacked) == 1:
        logits = stacked[0]
    else:
        truth, kind = dataset["target"].to_numpy(), dataset["target"].attrs["kind"]
        name, options = settings.way
        if options.get("of", "logits" if name != "confidence" else "probabilities") == "probabilities":
            # What is averaged is what the loss compares with: probabilities at its temperature.
            options.setdefault("temperature", _temperature(node))
        logits = np.full_like(stacked[0], np.nan)
        for position, member in enumerate(members):
            windows, held_out = member.fold.training, member.fold.validation
            logits[position, windows], _ = combine(
                np.stack([values[position, windows] for values in stacked]),
                name,
                options,
                truth=truth[windows],
                labelled=np.isin(windows, member.fold.labelled),
                validation=(np.stack([values[position, held_out] for values in stacked]), truth[held_out])
                if len(held_out)
                else None,
                kind=kind,
            )
    if settings.confidence is None and settings.share is None:
        return logits, None
    trust = np.ones(logits.shape[:2], dtype=np.float32)
    for position, member in enumerate(members):
        windows = member.fold.unlabelled
        if len(windows):
            trust[position, windows] = confident(
                logits[position, windows],
                threshold=settings.confidence,
                share=settings.share,
                balance=settings.balance,
                labelled=np.zeros(len(windows), dtype=bool),
            )
    return logits, trust


def _temperature(node: Node) -> float:
    """Return the temperature at which the stage softens what its teachers predict, 1 where nothing does."""
    return next(iter(node.stage.soft_temperatures), 1.0)


def _spoiled(
    task: Task, knowledge: dict[str, dict[str, np.ndarray]], dataset: xr.Dataset, members: list[Member]
) -> dict[str, dict[str, np.ndarray]]:
    """Spoil what all teachers hand over, in one way: what belonged together still does."""
    control = str(task.node.spoil)
    subjects, truth = dataset["subject"].to_numpy(), dataset["target"].to_numpy()
    temperature = _temperature(task.node)
    result = {name: {what: v.copy() for what, v in values.items()} for name, values in knowledge.items()}
    for position, member in enumerate(members):
        windows = member.fold.training
        labelled = np.isin(windows, member.fold.labelled)
        for name, values in knowledge.items():
            spoiled = spoil(
                {what: v[position, windows] for what, v in values.items()},
                control,
                subjects=subjects[windows],
                labelled=labelled,
                truth=np.where(labelled, _one_each(truth[windows]), -1),
                temperature=temperature,
                kind=dataset["target"].attrs["kind"],
                rng=control_generator(member),
            )
            for what, v in spoiled.items():
                result[name][what][position, windows] = v
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


def _handed_windows(task: Task, identity: MemberId) -> np.ndarray:
    """Return the windows that a teacher speaks of: those of training and validation, of any target of the study.

    A student with another target than its teacher learns from windows that have none for the teacher.
    """
    repetition, fold, _ = identity
    found = []
    for target in dict.fromkeys(("", task.node.target, *task.variant.extra_targets)):
        if task.group == "refit":
            own = refit_fold(_table(task.windows, target))
        else:
            own = _folds(task.windows, task.variant.protocol.model_dump_json(), target)[repetition, fold]
        found += [own.training, own.validation]
    return np.unique(np.concatenate(found))


def _knowledge(
    final: Ensemble | list[Classical],
    tensors: WindowTensors,
    index_sets: list[np.ndarray],
    scalers: Any,
    wanted: set[str],
) -> dict[str, np.ndarray]:
    """Return what each member hands over of its windows, held-out ones included; NaN elsewhere.

    Of validation windows it serves to calibrate and to weigh teachers, never to teach.
    """
    if not wanted:
        return {}
    features = sorted(wanted - {"logits"})
    found = _predict(final, tensors, index_sets, scalers, features)
    n_windows = len(tensors.target)
    knowledge = {}
    for name in sorted(wanted):
        parts = [prediction if name == "logits" else kept[name] for prediction, kept in found]
        values = np.full((len(index_sets), n_windows, parts[0].shape[1]), np.nan, dtype=np.float32)
        for position, (index, part) in enumerate(zip(index_sets, parts, strict=True)):
            values[position, index] = part.cpu().numpy()
        knowledge[name] = values
    return knowledge


def _test_predictions(
    final: Ensemble | list[Classical], tensors: WindowTensors, members: list[Member], scalers: Any
) -> pd.DataFrame:
    """Return a row per member and test window: probabilities, or the value of a trace at each of its steps."""
    index_sets = [member.fold.test for member in members]
    columns = [f"p{k}" if tensors.kind == "class" else f"value{k}" for k in range(tensors.width)]
    frames = []
    for position, (prediction, _) in enumerate(_predict(final, tensors, index_sets, scalers)):
        values = prediction.softmax(dim=-1) if tensors.kind == "class" else prediction
        frame = pd.DataFrame(values.cpu().numpy(), columns=columns)
        frame.insert(0, "window", index_sets[position])
        frame.insert(0, "member", position)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)
