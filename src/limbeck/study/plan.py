"""The plan: windows cut, folds made, every stage resolved, keyed and sized, before anything is trained.

A stage's key hashes its resolved definition, its data and what it stands on, so two studies that share a teacher train
it once, and a run that was killed goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import inspect
import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

from limbeck import __version__, datasets
from limbeck import windows as windows_room
from limbeck.datasets.inspecting import pattern, spans
from limbeck.datasets.simulated import STATES
from limbeck.distillation.functional.labels import STEADY
from limbeck.distillation.terms.labels import Hard
from limbeck.errors import DataError, LimbeckError, StudyError, did_you_mean
from limbeck.evaluation import check_target
from limbeck.models import MODELS, count_parameters, dry_run
from limbeck.models.classical import is_classical
from limbeck.models.contract import InputShape, class_of, input_mistakes
from limbeck.protocols import Fold, usable, with_target_of
from limbeck.recording import Corpus, LeftOut
from limbeck.signals import parse_signals
from limbeck.study.expansion import with_recipes
from limbeck.study.grammar import IN_MEMORY, Study, Variant
from limbeck.study.graph import Node, ancestors, build_graph, levels, taken
from limbeck.study.keys import exact
from limbeck.study.store import Store, remove_whole, write_json
from limbeck.study.tasks import (
    FITTED,
    REFIT,
    MemberId,
    Task,
    build_model,
    folds_of,
    labelled_groups,
    make_augmentations,
    make_classical,
    make_learner,
    with_all_labels,
)
from limbeck.targets import Target
from limbeck.training import Ensemble, Member, PartnerWindows, Settings, Taught, WindowTensors, fit, fit_classical
from limbeck.training.loop import steps_per_epoch
from limbeck.training.scalers import is_short, too_short
from limbeck.training.tensors import input_shapes, outputs_of

__all__ = ["Estimate", "Plan", "PlannedStage", "VariantPlan", "by_reason", "make_plan"]

WORKER_MEMORY = 450e6
"""What a worker process takes before it holds any data: mostly PyTorch."""

_REASONS, _NAMED = 12, 400
"""Reasons that a message names, and characters of the names of what was left out for one of them."""

CHOSEN = "chosen"
"""The backend of a stage that takes over what the best of its candidates has left."""

KNOWLEDGE_COPIES = 4
"""Times that a task holds what is handed over, at most: as read, spoiled or put together, and as tensors."""

TIMED_STEPS = 3
"""Steps that are timed per choice of backend, after one that is not."""

_CODE = (
    "limbeck.models",
    "limbeck.augment",
    "limbeck.distillation",
    "limbeck.training",
    "limbeck.metrics",
    "limbeck.protocols",
    "limbeck.study.tasks",
)


@dataclass(frozen=True)
class PlannedStage:
    """A node with its key and how its members are grouped.

    Parameters
    ----------
    node : Node
        What is trained.
    key : str
        In the store.
    backend : str
        Of its ensembles; ``"fitted"`` for a classical model.
    groups : tuple of tuple of MemberId
        The members of each task.
    parameters : int
        Of the network as it is deployed; 0 for a classical model, whose size depends on the data.
    stored : int
        Parameters that are kept of each member: those of the network and of partners that learn.
    n_outputs : int
        How many numbers it says of a window: classes, or the steps of a trace (1 without).
    features : dict of str to tuple of int
        Shapes of its features for one window.
    seconds_per_step : float
        Of one member, as timed; of a classical model the seconds of fitting it.
    """

    node: Node
    key: str
    backend: str
    groups: tuple[tuple[MemberId, ...], ...]
    parameters: int
    stored: int
    n_outputs: int
    features: dict[str, tuple[int, ...]]
    seconds_per_step: float

    def width(self, handed: Iterable[str]) -> int:
        """Return how many values of one window it hands over, of logits and named features."""
        shapes = {**self.features, "logits": (self.n_outputs,)}
        return sum(math.prod(shapes[what]) for what in handed if what in shapes)


@dataclass(frozen=True)
class VariantPlan:
    """The plan of one variant of a study."""

    label: str
    variant: Variant
    windows: Path
    dataset: xr.Dataset
    table: pd.DataFrame
    folds: list[Fold]
    stages: dict[str, PlannedStage]
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...]
    n_subjects: int
    ceilings: dict[str, float]
    quality: tuple[dict[str, Any], ...]
    """Of the signals, as :func:`limbeck.windows.quality_summary` returns it, with the windows that were too poor."""

    def task(self, name: str, group: int | str, store: Store, epochs: int | None = None) -> Task:
        """Return one task of a stage."""
        planned = self.stages[name]
        refit = group == "refit"

        def groups_of(other: str) -> tuple[int | str, ...]:
            return ("refit",) if refit else tuple(range(len(self.stages[other].groups)))

        return Task(
            variant=self.variant,
            node=planned.node,
            key=planned.key,
            group=group,
            members=(REFIT,) if refit else planned.groups[int(group)],
            backend="looped" if refit else planned.backend,
            keys={other: (self.stages[other].key, groups_of(other)) for other in planned.node.needs},
            folds_groups=tuple(range(len(planned.groups))) if refit else (),
            windows=self.windows,
            store=store.root,
            epochs=epochs,
            teacher_shapes={teacher: self.stages[other].features for teacher, other in planned.node.teachers.items()},
        )

    @property
    def counted(self) -> np.ndarray:
        """Which windows count (n_windows,), bool: not those of calibration, nor those with a gap in their trace."""
        return ~self.table["calibration"].to_numpy(dtype=bool) & ~windows_room.with_gap(self.dataset)

    @property
    def validation(self) -> str:
        """How many subjects a fold validates on, in words."""
        counts = sorted({len(fold.validation_subjects) for fold in self.folds})
        return " or ".join(map(str, counts)) + " subjects" if any(counts) else "none: epochs are fixed"

    def stands_on(self, name: str, holds: Callable[[VariantPlan, Node], bool]) -> bool:
        """Say whether something holds of a stage or of anything that it stands on."""
        nodes = {other: planned.node for other, planned in self.stages.items()}
        return any(holds(self, nodes[other]) for other in ancestors(nodes, name))

    def taken_width(self, node: Node) -> int:
        """Return how many values of one window the teachers of a node hand over to it."""
        return sum(self.stages[other].width(taken(node, key)) for key, other in node.teachers.items())

    def refit_stages(self) -> list[str]:
        """Return the stages that the refit of the deployed one needs, in order."""
        return _refitted(self.variant, {name: planned.node for name, planned in self.stages.items()})


@dataclass(frozen=True)
class Estimate:
    """What a run will take, at most."""

    seconds: float
    memory: float
    disk: float
    tasks: int
    done: int


@dataclass(frozen=True)
class Plan:
    """The plans of all variants of a study."""

    study: Study
    out: Path
    store: Store
    variants: tuple[VariantPlan, ...]

    def levels(self) -> list[list[Task]]:
        """Return the tasks level by level; a stage that several nodes or variants share stands there once."""
        result: list[dict[str, list[tuple[VariantPlan, str]]]] = []
        for plan in self.variants:
            for depth, names in enumerate(levels({name: planned.node for name, planned in plan.stages.items()})):
                if depth == len(result):
                    result.append({})
                for name in names:
                    result[depth].setdefault(plan.stages[name].key, []).append((plan, name))
        return [[task for sharing in level.values() for task in self._tasks(sharing)] for level in result]

    def _tasks(self, sharing: Sequence[tuple[VariantPlan, str]]) -> list[Task]:
        """Return the tasks of one key, which leave what any of the nodes that share it is asked for."""
        nodes = [other.stages[shared].node for other, shared in sharing]
        # A task names what it stands on as its own node does: those that share a key may call it otherwise.
        chosen = next((place for place, node in enumerate(nodes) if node.leaves_predictions), 0)
        plan, name = sharing[chosen]
        node = replace(nodes[chosen], hands_over=frozenset().union(*(node.hands_over for node in nodes)))
        groups = range(len(plan.stages[name].groups))
        return [replace(plan.task(name, group, self.store), node=node) for group in groups]

    def estimate(self, jobs: int) -> Estimate:
        """Estimate time, memory and disk of a run with so many processes."""
        work = tasks = done = 0.0
        disk, data, handed = 0.0, 0.0, 0.0
        seen: set[str] = set()
        for plan in self.variants:
            n_windows = plan.dataset.sizes["window"]
            data = max(data, float(sum(v.nbytes for v in plan.dataset.data_vars.values())))
            disk += data
            sizes = {(f.repetition, f.fold): len(f.training) for f in plan.folds}
            for planned in plan.stages.values():
                if planned.key in seen:
                    continue
                seen.add(planned.key)
                settings = plan.variant.settings(planned.node.stage)
                n_members = sum(len(group) for group in planned.groups)
                disk += 4.0 * n_members * (planned.stored + n_windows * planned.width(planned.node.hands_over))
                width = planned.width(planned.node.hands_over) + plan.taken_width(planned.node)
                largest = max(map(len, planned.groups), default=0)
                handed = max(handed, 4.0 * KNOWLEDGE_COPIES * largest * n_windows * width)
                for number, group in enumerate(planned.groups):
                    tasks += 1
                    if self.store.has(planned.key, number):
                        done += 1
                        continue
                    steps = sum(steps_per_epoch(sizes[r, f], settings.batch) for r, f, _ in group) * settings.epochs
                    work += (len(group) if planned.backend == FITTED else steps) * planned.seconds_per_step
            for name in plan.refit_stages():
                tasks += 1
                done += self.store.has(plan.stages[name].key, "refit")
        memory = jobs * (WORKER_MEMORY + 3 * data + handed) + WORKER_MEMORY + data
        return Estimate(work / jobs, memory, disk, int(tasks), int(done))


def make_plan(
    study: Study,
    out: Path,
    *,
    jobs: int = 1,
    report: Callable[[str], None] = lambda _: None,
    progress: Any = None,
    corpus: Corpus | None = None,
) -> Plan:
    """Read the data of a study, cut its windows, and resolve all of its stages.

    Parameters
    ----------
    study : Study
        What is to be run.
    out : Path
        The folder of runs, with the cache and the store.
    jobs : int
        Processes for cutting windows.
    report : callable
        Called with a line for each thing that is being done.
    progress : callable or None
        Handed to :func:`limbeck.windows.cut`.
    corpus : Corpus or None
        The recordings of a study of ``data: {corpus: arrays}``, as of :func:`limbeck.from_arrays`.

    Returns
    -------
    Plan
        Its `study` carries the fingerprint of a corpus that was handed over, so that the runs of two of them never
        meet in one folder.

    Raises
    ------
    StudyError
        With every mistake that only shows against the data: channels, folds, models, features; or with a study of
        arrays that come without a corpus, and the other way round.
    """
    study = _with_corpus(study, corpus)
    store = Store(out / "store")
    absent = _device_mistakes(study)
    if absent:
        raise StudyError(absent, source=study.name)
    plans: list[VariantPlan] = []
    found: dict[str, list[str]] = {}
    for label, variant in study.variants.items():
        report(f"{label or study.name}: reading {variant.data.corpus} and cutting windows")
        try:
            plans.append(_plan_variant(label, variant, out, store, jobs, progress, corpus))
        except (StudyError, DataError) as error:
            wrong = error.mistakes if isinstance(error, StudyError) else [str(error)]
            for mistake in with_recipes(wrong, study.definition):
                found.setdefault(mistake, []).append(label)
    if found:
        everywhere = len(study.variants)
        mistakes = [
            mistake if len(labels) == everywhere else f"{'; '.join(labels)}: {mistake}"
            for mistake, labels in found.items()
        ]
        raise StudyError(mistakes, source=study.name)
    return Plan(study, out, store, tuple(plans))


def _device_mistakes(study: Study) -> list[str]:
    """Return a sentence per device that the study names and this machine does not have."""
    mistakes = []
    for name in dict.fromkeys(variant.engine.device for variant in study.variants.values()):
        try:
            torch.empty(1, device=name)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            mistakes.append(f"engine.device: '{name}' cannot be used here ({reason}); use cpu, or cuda with a GPU.")
    return mistakes


def _with_corpus(study: Study, corpus: Corpus | None) -> Study:
    """Return a study of arrays with the fingerprint of what it is run on, any other as it is."""
    read = [variant.data.corpus for variant in study.variants.values() if variant.data.corpus != IN_MEMORY]
    if corpus is None:
        if len(read) < len(study.variants):
            raise StudyError(
                [
                    f"data.corpus: '{IN_MEMORY}' are in the memory of a program, which has to hand them over: "
                    "limbeck.study.run_study(study, corpus=limbeck.from_arrays(...)). To run from a file, write the "
                    "recordings as tables and read them with corpus: csv."
                ],
                source=study.name,
            )
        return study
    if read:
        raise StudyError(
            [
                f"data.corpus: a corpus was handed over, but the study reads '{read[0]}'; write data: "
                f"{{corpus: {IN_MEMORY}}}, or hand over none."
            ],
            source=study.name,
        )
    digest = hashlib.sha256("".join(source.fingerprint() for source in corpus.sources).encode()).hexdigest()[:32]
    digest = f"sha256-{digest}"
    if any(variant.data.fingerprint not in (None, digest) for variant in study.variants.values()):
        raise StudyError(
            [
                f"data.fingerprint: the study was run on other arrays than '{corpus.name}', which was handed over; "
                "remove the key to start a run of these."
            ],
            source=study.name,
        )
    return study.model_copy(
        update={
            "resolved": {**study.resolved, "data": {**study.resolved["data"], "fingerprint": digest}},
            "variants": {
                label: variant.model_copy(update={"data": variant.data.model_copy(update={"fingerprint": digest})})
                for label, variant in study.variants.items()
            },
        }
    )


def _plan_variant(
    label: str, variant: Variant, out: Path, store: Store, jobs: int, progress: Any, corpus: Corpus | None
) -> VariantPlan:
    if corpus is None:
        corpus = datasets.load(variant.data.corpus, variant.data.root, **variant.data.options)
    else:
        corpus = replace(corpus, left_out=list(corpus.left_out))  # each variant lists its own
    if variant.data.subjects is not None:
        try:
            corpus = corpus.of(variant.data.subjects)
        except DataError as error:
            raise StudyError([f"data.subjects: {line}" for line in str(error).splitlines()]) from error
    path, dataset, left_out, warnings, quality = _cut(corpus, variant, out / "cache", jobs, progress)
    table = windows_room.table(dataset)
    if variant.compare:
        target = dataset["target"].attrs
        metric = variant.report.metric_for(target["kind"])
        check_target(table, metric=metric, classes=list(target.get("classes", [])), level=variant.report.level)
    try:
        folds = folds_of(table, variant.protocol)
    except DataError as error:
        raise DataError(f"{error}{_whose(table)}{_reasons(left_out)}") from error
    members = [(f.repetition, f.fold, seed) for f in folds for seed in variant.protocol.seeds]
    nodes = build_graph(variant, folds)
    shapes, partner_shapes = _shapes_of_nodes(variant, nodes, dataset)
    labels = _labels_of_targets(nodes, dataset, table, folds)
    features, mistakes = _node_mistakes(variant, nodes, shapes, partner_shapes, dataset)
    mistakes += _validation_mistakes(nodes, labels)
    mistakes += _idle_losses(nodes, labels)
    idle = _idle_filters(nodes, labels)
    # A sweep over labelled subjects ends with all of them: a filter has nothing to leave out, and teaching goes on.
    at_the_end = bool(label) and variant.protocol.labelled == "all"
    mistakes += [] if at_the_end else idle
    mistakes += _refit_mistakes(variant, nodes)
    mistakes += _judging_mistakes(nodes, features)
    mistakes += _crossfit_mistakes(nodes, labels, variant.protocol.seed)
    if not mistakes:
        mistakes = _option_mistakes(nodes, shapes, labels, variant.protocol.seed)
    if mistakes:
        raise StudyError(mistakes)
    stages: dict[str, PlannedStage] = {}
    timer = _Timer(variant, dataset, folds, members, store.root / "timings")
    for name, node in nodes.items():
        if node.candidates:
            first = stages[node.candidates[0]]
            backend, groups, seconds = CHOSEN, first.groups, 0.0
        else:
            taught = {teacher: features[other] for teacher, other in node.teachers.items()}
            backend, group, seconds = timer.choose(node, shapes[name], partner_shapes[name], taught)
            groups = _groups(members, labels[node.target].folds, group)
        key = _key(variant, node, dataset.attrs["key"], table, folds, backend, groups, stages)
        outputs = outputs_of(labels[node.target].dataset)
        parameters = count_parameters(build_model(node.stage.model, shapes[name], outputs))
        beside = _learning_partners(variant, node, partner_shapes[name], outputs)
        stages[name] = PlannedStage(
            node,
            key,
            backend,
            groups,
            parameters,
            parameters + sum(map(count_parameters, beside)),
            outputs[0] * max(outputs[1], 1),
            features[name],
            seconds,
        )
    return VariantPlan(
        label,
        variant,
        path,
        dataset,
        table,
        folds,
        stages,
        left_out,
        (
            *warnings,
            *(idle if at_the_end else ()),
            *_gap_warnings(dataset),
            *_stillness_warnings(nodes, dataset, folds),
            *_refit_warnings(variant, nodes),
        ),
        int(table["subject"].nunique()),
        _ceilings(corpus, variant),
        quality,
    )


@dataclass(frozen=True)
class _Labels:
    """The windows with one of the study's targets, and the folds over those that have it."""

    dataset: xr.Dataset
    table: pd.DataFrame
    folds: Sequence[Fold]


def _labels_of_targets(
    nodes: Mapping[str, Node], dataset: xr.Dataset, table: pd.DataFrame, folds: Sequence[Fold]
) -> dict[str, _Labels]:
    """Return windows and folds by the name of the target; that of the study is ``""``."""
    found, mistakes = {"": _Labels(dataset, table, folds)}, []
    for node in nodes.values():
        if node.target in found:
            continue
        own = _with_target(dataset, node)
        rows = windows_room.table(own)
        try:
            found[node.target] = _Labels(own, rows, [with_target_of(fold, rows) for fold in folds])
        except DataError as error:
            mistakes.append(f"{_place_within(node)}target: {error}")
            found[node.target] = found[""]
    if mistakes:
        raise StudyError(mistakes)
    return found


def _learning_partners(
    variant: Variant, node: Node, shapes: Mapping[str, Mapping[str, InputShape]], outputs: tuple[int, int]
) -> list[torch.nn.Module]:
    """Build the partners of a node that learn by gradient, of which the weights are kept."""
    learning = [key for key, partner in node.stage.partners.items() if partner.learns == "gradient"]
    models = {key: variant.partner(node.stage, key)[0] for key in learning}
    return [build_model(model, shapes[key], outputs) for key, model in models.items()]


def _refitted(variant: Variant, nodes: Mapping[str, Node]) -> list[str]:
    """Return the nodes that the refit of the deployed one needs, in order."""
    if variant.refit is None:
        return []
    # What a choice was judged by has done its work in the folds.
    return ancestors({name: replace(node, judges=()) for name, node in nodes.items()}, variant.deployed)


def _groups(members: Sequence[MemberId], folds: Sequence[Fold], size: int) -> tuple[tuple[MemberId, ...], ...]:
    """Divide the members into tasks; those with unlabelled windows draw other batches than those without."""
    unlabelled = {(fold.repetition, fold.fold): bool(len(fold.unlabelled)) for fold in folds}
    kinds = ([m for m in members if unlabelled[m[:2]] is kind] for kind in (False, True))
    return tuple(tuple(kind[i : i + size]) for kind in kinds for i in range(0, len(kind), size))


# ---- windows ----------------------------------------------------------------------------------------------------


def _ceilings(corpus: Corpus, variant: Variant) -> dict[str, float]:
    """Return the best score that any model could reach on the inputs of each stage, where the truth is known.

    It is known of telling the two states of the simulated cohort apart, not of another target on it.
    """
    if sorted(Target.parse(variant.target).events.values()) != sorted((state,) for state in STATES):
        return {}
    known: Mapping[str, float] = corpus.truth.get("ceilings", {})
    views = {name: "+".join(sorted(stage.inputs)) for name, stage in variant.stages.items()}
    whole = [name for name, stage in variant.stages.items() if not any(stage.inputs.values())]
    return {f"{name}: {views[name]}": known[views[name]] for name in whole if views[name] in known}


def _cut(
    corpus: Corpus, variant: Variant, cache: Path, jobs: int, progress: Any
) -> tuple[Path, xr.Dataset, tuple[LeftOut, ...], tuple[str, ...], tuple[dict[str, Any], ...]]:
    """Cut the windows of a variant, leave out who cannot be normalised, and write the set for the workers."""
    calibration, target = variant.calibration, Target.parse(variant.target)
    cut = windows_room.cut(
        corpus,
        signals=variant.signals,
        target=target,
        extra_targets=variant.extra_targets or None,
        length=variant.windows.length,
        hop=variant.windows.hop,
        calibration=windows_room.Calibration(calibration.condition, calibration.seconds) if calibration else None,
        cache=cache,
        progress=progress,
        jobs=jobs,
    )
    left_out = [LeftOut(**entry) for entry in json.loads(cut.attrs["left_out"])]
    warnings: list[str] = []
    if target.is_relative:
        warnings.append(
            f"{target.name} is high or low against the subject's own ratings of all recordings, test subjects' too: "
            "more or less than usual for them, which is known only when they have rated everything."
        )
    cut = _without_lacking(variant, cut, left_out, warnings)
    read = {modality: _known(cut, modality, channels) for modality, channels in variant.channels_read.items()}
    quality = tuple(windows_room.quality_summary(cut, read))
    cut = _without_poor(variant.protocol.minimum_quality, cut, read, left_out, warnings)
    warnings += _borrowed_channels(variant, cut)
    if calibration is not None:
        cut = cut.assign_attrs(calibration_asked=calibration.seconds)
        short = too_short(cut)
        if short and calibration.short == "leave_out":
            cut = _without(cut, is_short(cut))
            # What the windows say of these subjects' calibration is said better here.
            left_out = [entry for entry in left_out if not (entry.what in short and "to calibrate on" in entry.why)]
            left_out += [
                LeftOut(
                    s, f"has less than half of {calibration.seconds:g} s of '{calibration.condition}' to calibrate on"
                )
                for s in short
            ]
        elif short:
            warnings.append(
                f"too little of {calibration.condition} to calibrate on, so scaled by the training subjects of each "
                f"fold ({len(short)}): {', '.join(short)}."
            )
    if not cut.sizes["window"]:
        raise DataError(f"No window was left.{_reasons(left_out)}")
    path = cache / "sets" / f"{cut.attrs['key'][:32]}.zarr"
    try:
        windows_room.save(cut, path)
    except DataError:  # in the cache of runs, what is damaged is made again
        remove_whole(path)
        windows_room.save(cut, path)
    return path, cut, tuple(_below_root(entry, variant.data.root) for entry in left_out), tuple(warnings), quality


def _whose(table: pd.DataFrame) -> str:
    """Say which subjects have usable windows, as a sentence to be put behind a message."""
    subjects = list(dict.fromkeys(table.loc[usable(table), "subject"]))
    return f" Usable windows have: {spans(subjects)}." if subjects else ""


def _reasons(left_out: Sequence[LeftOut]) -> str:
    """Return what was left out, a line for each reason, to be put behind a message."""
    lines = by_reason(left_out)
    more = f"\n  - and {len(lines) - _REASONS} other reasons" if len(lines) > _REASONS else ""
    listed = "".join(f"\n  - {line}" for line in lines[:_REASONS])
    return f" What was left out:{listed}{more}" if lines else ""


def by_reason(left_out: Iterable[LeftOut]) -> list[str]:
    """Group what was left out by the reason, and name everything that it is about.

    Parameters
    ----------
    left_out : iterable of LeftOut

    Returns
    -------
    list of str
        A line for each reason, in the order in which they first appear: ``s04, s07: 150 of 150 windows have missing
        samples (eda 150)``. Where numbers differ, they are those of the first.
    """
    groups: dict[str, dict[str, list[str]]] = {}
    for entry in dict.fromkeys(left_out):
        why = entry.why.removeprefix(entry.what).lstrip(" ,:")
        groups.setdefault(pattern(why.replace(entry.what, "")), {}).setdefault(why, []).append(entry.what)
    lines = []
    for whys in groups.values():
        names = list(dict.fromkeys(name for own in whys.values() for name in own))
        first = next(iter(whys))
        told = f"{_named(names)}: {first}" if len(whys) == 1 else f"{_named(names)}; the first: {first}"
        lines.append(" ".join(told.split()))
    return lines


def _named(names: Sequence[str]) -> str:
    """Return names in few words; where these are still too many, those of the subjects with the number of the rest."""
    shown = spans(names)
    if len(shown) <= _NAMED:
        return shown
    shown = spans(dict.fromkeys(name.split()[0] for name in names if name.split()))
    shown = shown if len(shown) <= _NAMED else f"{shown[:_NAMED].rpartition(', ')[0]} and more"
    return f"{shown} ({len(names):,} in all)"


def _borrowed_channels(variant: Variant, windows: xr.Dataset) -> list[str]:
    """Say which stages choose channels that are made of others, too, which they do not read.

    Raises
    ------
    StudyError
        The student is to run live, on a device that lacks them: nothing was picked that says what the device has.
    """
    borrowed = []
    for modality, pipeline in parse_signals(variant.signals).items():
        shared = pipeline.shared_channels(windows[f"{modality}_quality"].attrs["channels"])
        for name, stage in variant.stages.items():
            read = stage.inputs.get(modality) or []
            # "F3-F4" is made of two channels, "F3.alpha" of one
            parts = {part for channel in read for part in (channel, channel.rpartition(".")[0], *channel.split("-"))}
            lacking = sorted(set(shared) - parts)
            if not read or not lacking:
                continue
            shown = ", ".join(read) if len(read) < 5 else f"{len(read)} channels"
            without = ", ".join(lacking[:5]) + (", ..." if len(lacking) > 5 else "")
            sentence = (
                f"stages.{name} reads {shown} of {modality}, and a step makes these of {len(shared)} channels: a "
                f"device without {without} cannot compute them. Put {{pick: [...]}} before that step, or refer to "
                "channels that the device has."
            )
            if variant.live and name == variant.deployed and all(each.name != "pick" for each in pipeline.steps):
                raise StudyError([f"live: {sentence}"], source=variant.study)
            borrowed.append(sentence)
    return borrowed


def _below_root(entry: LeftOut, root: Path | None) -> LeftOut:
    """Name files from the data's root on: where a machine keeps its data is nobody else's business."""
    if root is None:
        return entry
    prefix = f"{root}{os.sep}"
    return LeftOut(entry.what.replace(prefix, ""), entry.why.replace(prefix, ""))


def _without(windows: xr.Dataset, gone: np.ndarray) -> xr.Dataset:
    """Return the windows but those that are gone, under a key of their own."""
    kept = windows.isel(window=np.flatnonzero(~gone))
    digest = hashlib.sha256(windows.attrs["key"].encode() + np.packbits(gone).tobytes())
    return kept.assign_attrs(key=digest.hexdigest())


def _without_lacking(variant: Variant, windows: xr.Dataset, left_out: list[LeftOut], warnings: list[str]) -> xr.Dataset:
    """Leave out the windows that lack a modality which some model cannot do without, and say whose they are.

    All arms are compared on the same windows, so what one of them cannot read is taken from all.
    """
    stages = [node.stage for node in build_graph(variant).values()]
    read = [(stage.model, stage.inputs) for stage in stages]
    read += [variant.partner(stage, name) for stage in stages for name in stage.partners]
    needed = {
        modality
        for model, inputs in read
        if not getattr(MODELS[model.name], "missing_modalities", False)
        for modality in inputs
    }
    gone = np.zeros(windows.sizes["window"], dtype=bool)
    subjects = windows_room.decode(windows["subject"])
    for modality in sorted(needed & set(windows_room.modalities(windows))):
        lacking = ~windows[f"{modality}_present"].to_numpy().astype(bool)
        gone |= lacking
        for subject in dict.fromkeys(subjects[lacking].tolist()):
            own = subjects == subject
            left_out.append(LeftOut(subject, f"lacks {modality} in {(lacking & own).sum()} of {own.sum()} windows"))
    if not gone.any():
        return windows
    wholly = [s for s in dict.fromkeys(subjects[gone].tolist()) if gone[subjects == s].all()]
    warnings.append(
        f"{int(gone.sum())} windows lack a sensor that a model needs and are left out"
        + (f", and with them all of {', '.join(wholly)}." if wholly else ".")
    )
    return _without(windows, gone)


def _known(windows: xr.Dataset, modality: str, channels: list[str] | None) -> list[str] | None:
    """Return channels as they are, or None, all, where one does not exist, which is told with its stage later."""
    return channels if set(channels or ()) <= set(windows[modality].attrs["channels"]) else None


def _without_poor(
    minimum: Mapping[str, float],
    windows: xr.Dataset,
    read: Mapping[str, list[str] | None],
    left_out: list[LeftOut],
    warnings: list[str],
) -> xr.Dataset:
    """Leave out the windows in which a channel that some stage reads is of too little quality, and say whose they are.

    Those of calibration stay: they are neither trained nor tested on.
    """
    gone = np.zeros(windows.sizes["window"], dtype=bool)
    counted = ~windows["calibration"].to_numpy().astype(bool)
    subjects = windows_room.decode(windows["subject"])
    for modality, least in minimum.items():
        values = windows_room.worst_quality(windows, modality, read[modality])
        poor = counted & (values[:, -1] < least)
        gone |= poor
        for subject in dict.fromkeys(subjects[poor].tolist()):
            own = subjects == subject
            kind = _worst_kind(values[poor & own], windows[f"{modality}_quality"].attrs["kinds"])
            left_out.append(
                LeftOut(
                    subject,
                    f"has {modality} of a quality below {least:g} in {(poor & own).sum()} of {(counted & own).sum()} "
                    f"windows, lowest in {kind}",
                )
            )
    if not gone.any():
        return windows
    wholly = [s for s in dict.fromkeys(subjects[gone].tolist()) if gone[counted & (subjects == s)].all()]
    limits = ", ".join(f"{modality} {least:g}" for modality, least in minimum.items())
    warnings.append(
        f"{int(gone.sum())} of {int(counted.sum())} windows are below the minimum quality ({limits}) and are left out "
        "of training and test"
        + (f", and with them all of {', '.join(wholly)}." if wholly else ".")
        + _lost_by_class(windows["target"], gone, counted)
    )
    return _without(windows, gone)


def _lost_by_class(target: xr.DataArray, gone: np.ndarray, counted: np.ndarray) -> str:
    """Say which share of each class is left out; nothing for a trace."""
    if target.attrs["kind"] != "class":
        return ""
    of_class = [counted & (target.to_numpy() == code) for code in range(len(target.attrs["classes"]))]
    shares = [
        f"{name} {100 * gone[own].mean():.0f} %"
        for name, own in zip(target.attrs["classes"], of_class, strict=True)
        if own.any()
    ]
    return f" By class that is {', '.join(shares)}; where classes lose unequally, the result may be biased."


def _worst_kind(values: np.ndarray, kinds: Sequence[str]) -> str:
    """Return the kind that makes most windows as poor as they are."""
    lowest = np.argmin(np.nan_to_num(values[:, :-1], nan=np.inf), axis=1)
    return kinds[int(np.bincount(lowest).argmax())]


def _shapes_of_nodes(
    variant: Variant, nodes: Mapping[str, Node], dataset: xr.Dataset
) -> tuple[dict[str, dict[str, InputShape]], dict[str, dict[str, dict[str, InputShape]]]]:
    """Return the shapes that each node and each of its partners sees, or refuse channels that the windows lack."""
    shapes: dict[str, dict[str, InputShape]] = {}
    partners: dict[str, dict[str, dict[str, InputShape]]] = {}
    mistakes: list[str] = []

    def shapes_of(place: str, node: Node, inputs: Mapping[str, list[str] | None]) -> dict[str, InputShape]:
        try:
            return input_shapes(windows_room.view(dataset, dict(inputs)), list(inputs))
        except StudyError as error:
            # What is derived has the inputs of a stage that was written, where the mistake is named already.
            mistakes.extend(f"{place}: {mistake}" for mistake in error.mistakes if node.role == "stage")
            return {}

    for name, node in nodes.items():
        shapes[name] = shapes_of(f"stages.{name}.inputs", node, node.stage.inputs)
        partners[name] = {
            key: shapes_of(f"stages.{name}.partners.{key}.inputs", node, variant.partner(node.stage, key)[1])
            for key in node.stage.partners
        }
    if mistakes:
        raise StudyError(mistakes)
    return shapes, partners


def _with_target(dataset: xr.Dataset, node: Node) -> xr.Dataset:
    """Return the windows with the target of a node."""
    return windows_room.with_target(dataset, node.target) if node.target else dataset


# ---- stages -----------------------------------------------------------------------------------------------------


def _node_mistakes(
    variant: Variant,
    nodes: Mapping[str, Node],
    shapes: Mapping[str, Mapping[str, InputShape]],
    partner_shapes: Mapping[str, Mapping[str, Mapping[str, InputShape]]],
    dataset: xr.Dataset,
) -> tuple[dict[str, dict[str, tuple[int, ...]]], list[str]]:
    """Return the features of every node and what is wrong with models, losses and starts, knowing the shapes."""
    mistakes: list[str] = []
    derived: list[str] = []
    unbuilt: dict[str, list[str]] = {}
    underived: dict[str, list[str]] = {}
    networks: dict[str, torch.nn.Module] = {}
    partners: dict[tuple[str, str], torch.nn.Module] = {}
    for name, node in nodes.items():
        found: list[str] = []
        outputs = outputs_of(_with_target(dataset, node))
        beside = {key: variant.partner(node.stage, key)[0] for key in node.stage.partners}
        for key, model, own in [("", node.stage.model, shapes[name])] + [
            (key, model, partner_shapes[name][key]) for key, model in beside.items()
        ]:
            wrong = input_mistakes(model.name, own) + _missing_packages(model.name)
            if not wrong:
                try:
                    network = build_model(model, own, outputs)
                    dry_run(network, own)
                    if key:
                        partners[name, key] = network
                    else:
                        networks[name] = network
                except (TypeError, ValueError, ArithmeticError, LookupError, RuntimeError, LimbeckError) as error:
                    options = f" with {exact(model.options)}" if model.options else ""
                    wrong = [f"the model '{model.name}' cannot be built{options} ({error})."]
            found += wrong
        if found:
            networks.pop(name, None)
        for mistake in found:
            (unbuilt if _is_written(node) else underived).setdefault(mistake, []).append(_written_place(name, node))
    mistakes += [f"{', '.join(places)}: {mistake}" for mistake, places in unbuilt.items()]
    derived += [f"{place}: {mistake}" for mistake, places in underived.items() for place in places]
    features = {
        name: {key: tuple(value.shape[1:]) for key, value in dry_run(network, shapes[name]).features.items()}
        for name, network in networks.items()
    }
    for name, node in nodes.items():
        if name not in networks or node.candidates:
            continue
        windows = _with_target(dataset, node)
        found = _augment_mistakes(node, shapes[name], partner_shapes[name], outputs_of(windows)[1])
        if all(other in features for other in node.teachers.values()) and not is_classical(node.stage.model.name):
            found += _loss_mistakes(variant, node, shapes[name], partner_shapes[name], features, windows)
        (mistakes if _is_written(node) else derived).extend(found)
        if node.start is not None and node.stage.start is not None:
            beside_it = node.stage.start.partner
            for start in nodes[node.start].candidates or (node.start,):
                origin = networks.get(start) if beside_it is None else partners.get((start, beside_it))
                mistakes += _start_mistakes(node, networks[name], origin) if origin is not None else []
        for key, start in node.partner_starts.items():
            for other in nodes[start].candidates or (start,):
                if (name, key) in partners and other in networks:
                    mistakes += _partner_start_mistakes(node, key, partners[name, key], networks[other])
    # What is derived is made of what was written, where the mistake is named already.
    return features, list(dict.fromkeys(mistakes or derived))


def _is_written(node: Node) -> bool:
    """Whether a node stands in the study itself, alone or as one of those that a stage is chosen from."""
    return node.role == "stage" or (node.role == "candidate" and node.name.count("/") == 1)


def _augment_mistakes(
    node: Node,
    shapes: Mapping[str, InputShape],
    partner_shapes: Mapping[str, Mapping[str, InputShape]],
    n_steps: int,
) -> list[str]:
    """Return why windows cannot be changed as a stage says, as sentences."""
    try:
        make_augmentations(node, shapes, partner_shapes, n_steps)
    except StudyError as error:
        return [f"{_place_within(node)}{mistake}" for mistake in error.mistakes]
    return []


def _judging_mistakes(nodes: Mapping[str, Node], features: Mapping[str, Mapping[str, tuple[int, ...]]]) -> list[str]:
    """Return what is wrong with choices: nobody to judge them, or features that depend on what is chosen."""
    mistakes = []
    for name, node in nodes.items():
        if not node.candidates or not _is_written(node):
            continue
        if any(len(others) == 1 for others in node.judges):
            mistakes.append(
                f"choose, stages.{name}: a fold has one labelled subject and no validation subjects, so there is "
                "nobody to judge on; label more subjects, or write one value in the place of the choice."
            )
        for feature in sorted(node.hands_over - {"logits"}):
            shapes = {features[other].get(feature) for other in node.candidates if other in features}
            if len(shapes) > 1:
                shown = " or ".join("missing" if shape is None else str(shape) for shape in sorted(shapes, key=str))
                mistakes.append(
                    f"choose, stages.{name}: it hands over '{feature}', which is {shown} with what is chosen; choose "
                    "among models with the same features, or let it teach by soft."
                )
    return mistakes


def _loss_mistakes(
    variant: Variant,
    node: Node,
    shapes: Mapping[str, InputShape],
    partner_shapes: Mapping[str, Mapping[str, InputShape]],
    features: Mapping[str, Mapping[str, tuple[int, ...]]],
    dataset: xr.Dataset,
) -> list[str]:
    """Return why the losses of a node cannot be joined to its networks, as sentences."""
    try:
        learner = make_learner(
            variant,
            node,
            shapes,
            partner_shapes,
            kind=dataset["target"].attrs["kind"],
            outputs=outputs_of(dataset),
            n_windows=dataset.sizes["window"],
            teacher_shapes={teacher: features[other] for teacher, other in node.teachers.items()},
        )
    except LimbeckError as error:
        return [f"{_place_within(node)}loss.{line}" for line in str(error).splitlines()]
    batch = variant.settings(node.stage).batch
    return [
        f"{_place_within(node)}loss.{name}: it compares at least {loss.fewest} windows of a batch with "
        f"each other, and training.batch is {batch}; raise it."
        for name, loss in learner.named_losses.items()
        if batch < loss.fewest
    ]


def _validation_mistakes(nodes: Mapping[str, Node], labels: Mapping[str, _Labels]) -> list[str]:
    """Return which stages need validation subjects that a fold does not have: for a temperature, or for regulation."""
    lacking = {target for target, own in labels.items() if not all(len(fold.validation) for fold in own.folds)}
    nodes = {name: node for name, node in nodes.items() if node.target in lacking}
    regulated = [
        f"stages.{name}.steps.feedback.regulated: a fold has no validation subjects to compare student and teacher on "
        "(with few labelled subjects all of them are trained on); label 8 subjects or more with protocol.validation, "
        "or take feedback as it is."
        for name, node in nodes.items()
        if _is_written(node) and node.stage.made_steps().regulated
    ]
    return regulated + [
        f"stages.{name}.knowledge.calibrate: a fold has no validation subjects to fit a temperature on (with few "
        "labelled subjects all of them are trained on); add crossfit, which fits it on labelled subjects that a "
        "teacher has not seen."
        for name, node in nodes.items()
        if _is_written(node) and node.stage.knowledge.calibrate and node.stage.crossfit is None
    ]


def _without_unlabelled(nodes: Mapping[str, Node], labels: Mapping[str, _Labels]) -> Iterator[tuple[Node, str]]:
    """Yield the stages that have no unlabelled window to learn from, and why."""
    for node in nodes.values():
        if not _is_written(node) or node.candidates or node.stage.unlabelled is False:
            continue
        lacking = next((fold for fold in labels[node.target].folds if not len(fold.unlabelled)), None)
        if node.all_labels:
            yield node, "the stage sees every label (labelled: all), so no window is unlabelled"
        elif lacking is not None:
            yield node, f"in repetition {lacking.repetition}, fold {lacking.fold}, no window is unlabelled"


def _idle_losses(nodes: Mapping[str, Node], labels: Mapping[str, _Labels]) -> list[str]:
    """Return the losses on unlabelled windows of stages that have none, as sentences."""
    return [
        f"{_place_within(node)}loss.{name}.on: {why} and it would learn nothing; write on: all, or let "
        "protocol.labelled be fewer subjects."
        for node, why in _without_unlabelled(nodes, labels)
        for name, loss in node.stage.made_losses().items()
        if loss.on == "unlabelled"
    ]


def _idle_filters(nodes: Mapping[str, Node], labels: Mapping[str, _Labels]) -> list[str]:
    """Return the filters of unlabelled windows of stages that have none, as sentences."""
    return [
        f"{_place_within(node)}knowledge.{key}: {why} and it would leave out nothing; remove it, or let "
        "protocol.labelled be fewer subjects."
        for node, why in _without_unlabelled(nodes, labels)
        for key in node.stage.filters
    ]


def _refit_mistakes(variant: Variant, nodes: Mapping[str, Node]) -> list[str]:
    """Return what a refit cannot do: it trains on every label, so nothing is unlabelled and nobody validates."""
    mistakes = []
    for node in map(nodes.__getitem__, _refitted(variant, nodes)):
        if not _is_written(node) or node.candidates:
            continue
        mistakes += [
            f"refit: it shows every label, so no window is unlabelled and {_place_within(node)}loss.{name} would learn "
            "nothing; write on: all, deploy another stage, or remove refit."
            for name, loss in node.stage.made_losses().items()
            if loss.on == "unlabelled"
        ]
        if node.stage.knowledge.calibrate and node.stage.crossfit is None:
            mistakes.append(
                f"refit: it has no validation subjects to fit the temperature of {_place_within(node)}"
                "knowledge.calibrate on; add crossfit, deploy another stage, or remove refit."
            )
    return mistakes


def _refit_warnings(variant: Variant, nodes: Mapping[str, Node]) -> list[str]:
    """Say what is otherwise in the refit than in the folds."""
    told = []
    for node in map(nodes.__getitem__, _refitted(variant, nodes)):
        if not _is_written(node) or node.candidates:
            continue
        place, stage = _place_within(node), node.stage
        told += [
            f"refit: every window is labelled there, so {place}knowledge.{key} leaves out nothing, unlike in the folds."
            for key in stage.filters
        ]
        if stage.made_steps().regulated:
            told.append(
                f"refit: it has no validation subjects, so the feedback of {place.rstrip('., ')} is not regulated "
                "there but has its full strength."
            )
        scored = len(stage.cached_teachers) > 1 and next(iter(stage.knowledge.combine)) == "accuracy"
        if scored and stage.crossfit is None:
            told.append(
                f"refit: it has no validation subjects, so {place}knowledge.combine scores the teachers on the labels "
                "that they have learned from, and favours who fits these closest; crossfit scores them on others."
            )
    return told


def _gap_warnings(dataset: xr.Dataset) -> list[str]:
    """Say how many windows are in no fold since their trace lacks a step."""
    gaps = windows_room.with_gap(dataset)
    if not gaps.any():
        return []
    counted = int((~dataset["calibration"].to_numpy().astype(bool)).sum())
    return [
        f"{int(gaps.sum())} of {counted} windows have a gap in the trace {dataset['target'].attrs['name']} and are "
        "neither trained nor tested on."
    ]


def _stillness_warnings(nodes: Mapping[str, Node], dataset: xr.Dataset, folds: Sequence[Fold]) -> list[str]:
    """Say which stages learn a concordance within windows although the truth of some does not move within them."""
    stages: dict[str, None] = {}
    for name, node in nodes.items():
        forms = {loss.form for loss in node.stage.made_losses().values() if isinstance(loss, Hard)}
        if _is_written(node) and not (node.candidates or node.target) and forms == {"ccc"}:
            stages[name.partition("/")[0]] = None
    if not stages or not outputs_of(dataset)[1]:
        return []
    labelled = np.unique(np.concatenate([fold.labelled for fold in folds]))
    still = dataset["target"].to_numpy()[labelled].var(axis=1, dtype=np.float64) <= STEADY
    return [
        f"{', '.join(stages)}: hard with form: ccc learns nothing from windows within which the truth stands still, "
        f"{int(still.sum())} of {len(still)} labelled ones ({100 * still.mean():.0f} %); take form: mse, or add it."
    ] * bool(still.any())


def _missing_packages(model: str) -> list[str]:
    """Say what has to be installed for a model."""
    kind: Any = class_of(model)
    missing = kind.lacking() if is_classical(model) else ""
    return [f"the model '{model}' cannot be fitted: {missing}"] if missing else []


def _written_place(name: str, node: Node) -> str:
    """Return where in the study a node comes from: controls and their teachers stand there by their kind only."""
    if node.role == "stage":
        return f"stages.{name}"
    if _is_written(node):
        stage, _, candidate = name.partition("/")
        return f"stages.{stage}, chosen {candidate}"
    return f"'{name}', which a control or cross-fitting of the study needs, cannot be made"


def _place_within(node: Node) -> str:
    """Return the beginning of a key of a node."""
    return _written_place(node.name, node) + ("." if node.role == "stage" else ", ")


def _start_mistakes(node: Node, network: torch.nn.Module, start: torch.nn.Module) -> list[str]:
    """Check that the weights to start from fit, and that what starts anew exists."""
    written = node.stage.start
    if written is None or not _is_written(node):
        return []
    place = f"{_place_within(node)}start"
    whose = f"'{written.stage}'" if written.partner is None else f"the partner '{written.partner}' of '{written.stage}'"
    parts = {part for name in start.state_dict() for part in _parts(name)}
    mistakes = [
        f"{place}.reset: {whose} has no part '{part}'.{did_you_mean(part, parts)}"
        for part in written.reset
        if part not in parts
    ]
    unfit = _unfit(network, start, written.reset)
    if unfit:
        mistakes.append(
            f"{place}: the weights {', '.join(unfit[:5])} of {whose} do not fit; list their "
            "parts under start.reset, or start from a stage with the same model and inputs."
        )
    return mistakes


def _partner_start_mistakes(node: Node, key: str, partner: torch.nn.Module, start: torch.nn.Module) -> list[str]:
    """Check that a partner can take the weights of the stage that it starts from."""
    unfit = _unfit(partner, start)
    if not unfit or not _is_written(node):
        return []
    return [
        f"{_place_within(node)}partners.{key}.start: the weights {', '.join(unfit[:5])} of "
        f"'{node.stage.partners[key].stage}' do not fit the partner; let it be a stage with the same model, inputs and "
        "target, or remove start."
    ]


def _unfit(network: torch.nn.Module, start: torch.nn.Module, reset: Sequence[str] = ()) -> list[str]:
    """Return the weights of a start, but for what is reset, that a network lacks or has in another shape."""
    own = network.state_dict()
    return [
        name
        for name, value in start.state_dict().items()
        if not set(_parts(name)) & set(reset) and (name not in own or own[name].shape != value.shape)
    ]


def _parts(parameter: str) -> list[str]:
    """Return how ``reset`` may call the modules around a parameter: ``encoder``, ``encoder.stem``, ``stem``."""
    modules = parameter.split(".")[:-1]
    return [".".join(modules[i:j]) for i in range(len(modules)) for j in range(i + 1, len(modules) + 1)]


def _crossfit_mistakes(nodes: Mapping[str, Node], labels: Mapping[str, _Labels], seed: int) -> list[str]:
    """Return where the labelled subjects do not suffice for cross-fitting."""
    mistakes = []
    judging = {nodes[name].holdouts for node in nodes.values() for names in node.judges for name in names}
    for holdouts, all_labels, target in dict.fromkeys(
        (node.holdouts, node.all_labels, node.target) for node in nodes.values() if node.holdouts
    ):
        table = labels[target].table
        key = "choose, by leaving labelled subjects out" if holdouts in judging else "crossfit"
        if holdouts in judging and any(count == 1 for _, count in holdouts):
            continue  # told with the stage that is chosen
        for fold in labels[target].folds:
            left = (with_all_labels(fold) if all_labels else fold).labelled
            try:
                for group, count in holdouts:
                    left = np.setdiff1d(left, labelled_groups(fold, table, count, seed)[group])
            except DataError as error:
                mistakes.append(f"{key}: {error}")
                break
            if not len(left):
                mistakes.append(
                    f"{key}: in repetition {fold.repetition}, fold {fold.fold}, nested cross-fitting leaves a "
                    "teacher no labelled subject; use a larger K or cross-fit one stage only."
                )
                break
    return list(dict.fromkeys(mistakes))


def _option_mistakes(
    nodes: Mapping[str, Node],
    shapes: Mapping[str, Mapping[str, InputShape]],
    labels: Mapping[str, _Labels],
    seed: int,
) -> list[str]:
    """Return where a classical model has options to choose from and one labelled subject, so nobody to judge on."""
    mistakes = []
    for name, node in nodes.items():
        if not is_classical(node.stage.model.name):
            continue
        own = labels[node.target]
        table, subjects = own.table, own.table["subject"].to_numpy()
        model: Any = build_model(node.stage.model, shapes[name], outputs_of(own.dataset))
        for fold in own.folds if len(model.candidates) > 1 else ():
            left = (with_all_labels(fold) if node.all_labels else fold).labelled
            for group, count in node.holdouts:
                left = np.setdiff1d(left, labelled_groups(fold, table, count, seed)[group])
            if len(set(subjects[left])) < 2:
                mistakes.append(
                    f"{_written_place(name, node)}: the model '{node.stage.model.name}' has {len(model.candidates)} "
                    f"combinations of options to choose from, but in repetition {fold.repetition}, fold {fold.fold}, "
                    "one labelled subject only, and nobody to judge on; give every option one value, or label more "
                    "subjects."
                )
                break
    return mistakes


def _key(
    variant: Variant,
    node: Node,
    windows_key: str,
    table: pd.DataFrame,
    folds: Sequence[Fold],
    backend: str,
    groups: Sequence[Sequence[MemberId]],
    stages: Mapping[str, PlannedStage],
) -> str:
    settings = variant.settings(node.stage)
    partners = {name: variant.partner(node.stage, name) for name in node.stage.partners}
    read = {*node.stage.inputs, *(modality for _, inputs in partners.values() for modality in inputs)}
    definition = {
        "model": node.stage.model.model_dump(),
        "inputs": node.stage.inputs,
        "losses": node.stage.losses,
        "unlabelled": node.stage.unlabelled,
        "knowledge": node.stage.knowledge.model_dump(),
        "partners": {
            name: [node.stage.partners[name].model_dump(), model.model_dump(), inputs, _source_of(model.name)]
            for name, (model, inputs) in partners.items()
        },
        "partner_starts": {name: stages[other].key for name, other in node.partner_starts.items()},
        "steps": node.stage.steps,
        "predict_with": node.stage.predict_with,
        "augment": node.stage.augment,
        "without": node.stage.without,
        "training": settings.model_dump(),
        "reset": [node.stage.start.reset, node.stage.start.partner] if node.stage.start else [],
        "spoil": node.spoil,
        "holdouts": node.holdouts,
        "all_labels": node.all_labels,
        "stream": node.stream,
        "target": node.target,
        "candidates": [stages[other].key for other in node.candidates],
        "judges": [[stages[other].key for other in others] for others in node.judges],
        "follows": stages[node.follows].key if node.follows else None,
        "teachers": {name: stages[other].key for name, other in node.teachers.items()},
        "cross_teachers": {name: [stages[o].key for o in others] for name, others in node.cross_teachers.items()},
        "start": stages[node.start].key if node.start else None,
        "windows": windows_key,
        "mode": variant.mode,
        "clip": {modality: limit for modality, limit in variant.clip.items() if modality in read},
        "short": variant.calibration.short if variant.calibration else None,
        "folds": _digest_of_folds(folds),
        "crossfit_seed": variant.protocol.seed,
        "backend": backend,
        "groups": [list(map(list, group)) for group in groups],
        "device": variant.engine.device,
        "code": code_digest(),
        "model_code": _source_of(node.stage.model.name),
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "numpy")}
        | {"limbeck": __version__}
        | _version_of(node.stage.model.name),
    }
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:32]


def _digest_of_folds(folds: Sequence[Fold]) -> str:
    digest = hashlib.sha256()
    for fold in folds:
        digest.update(repr((fold.repetition, fold.fold)).encode())
        for part in (fold.labelled, fold.unlabelled, fold.validation, fold.test):
            digest.update(np.ascontiguousarray(part, dtype="<i8").tobytes() + b"|")
    return digest.hexdigest()


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Return a hash over the source of the modules that decide what a stage learns."""
    digest = hashlib.sha256()
    for name in _CODE:
        module = importlib.import_module(name)
        own = Path(module.__file__ or "")
        files = sorted(own.parent.rglob("*.py")) if own.name == "__init__.py" else [own]
        for file in files:
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _version_of(model: str) -> dict[str, str]:
    """Return the version of the package that fits a classical model."""
    kind: Any = class_of(model)
    return {"fitted_by": kind.version()} if is_classical(model) else {}


def _source_of(model: str) -> str:
    """Return a hash over the module of a model, which may be the user's own; empty where there is no file of it."""
    try:
        file = inspect.getsourcefile(MODELS[model])
    except TypeError:
        return ""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file and Path(file).is_file() else ""


# ---- backends ---------------------------------------------------------------------------------------------------


class _Timer:
    """Chooses backend and grouping by timing a few steps, once per design; the choice is remembered in the store."""

    def __init__(
        self, variant: Variant, dataset: xr.Dataset, folds: list[Fold], members: list[MemberId], memory: Path
    ) -> None:
        self.variant, self.whole, self.members, self.memory = variant, dataset, members, memory
        self.of_main = {(f.repetition, f.fold): f for f in folds}

    def choose(
        self,
        node: Node,
        shapes: Mapping[str, InputShape],
        partner_shapes: Mapping[str, Mapping[str, InputShape]],
        teacher_shapes: Mapping[str, Mapping[str, tuple[int, ...]]],
    ) -> tuple[str, int, float]:
        """Return backend, members per group, and seconds of one step of one member."""
        self.partner_shapes, self.teacher_shapes = partner_shapes, teacher_shapes
        self.dataset, self.folds = self._of_target(node)
        signature = self._signature(node, shapes)
        # A file per choice: runs that share the folder cannot lose each other's.
        file = self.memory / f"{signature}.json"
        try:
            backend, group, seconds = json.loads(file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            backend, group, seconds = self._time(node)
            write_json(file, [backend, group, seconds])
        return str(backend), int(self.variant.engine.group or group), float(seconds)

    def _of_target(self, node: Node) -> tuple[xr.Dataset, dict[tuple[int, int], Fold]]:
        if not node.target:
            return self.whole, self.of_main
        dataset = windows_room.with_target(self.whole, node.target)
        table = windows_room.table(dataset)
        return dataset, {place: with_target_of(fold, table) for place, fold in self.of_main.items()}

    def _signature(self, node: Node, shapes: Mapping[str, InputShape]) -> str:
        settings = self.variant.settings(node.stage)
        parts = [
            node.stage.model.model_dump(),
            {name: [shape.channels, shape.length] for name, shape in shapes.items()},
            settings.batch,
            node.stage.losses if node.stage.partners or len(node.stage.losses) > 1 else {},
            [self.variant.partner(node.stage, name)[0].model_dump() for name in node.stage.partners],
            node.stage.steps,
            node.target,
            outputs_of(self.dataset),
            self.variant.mode == "train",
            len(self.members),
            self.variant.engine.model_dump(),
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def _candidates(self) -> list[tuple[str, int]]:
        """Return backends with how many members are timed side by side; two groups at least, for two processes."""
        most = math.ceil(len(self.members) / 2)
        sizes = sorted({size for size in (4, 16, 64) if size < most} | {min(most, 64)})
        stacked = [("stacked", size) for size in sizes]
        looped = [("looped", min(2, len(self.members)))]
        wanted = self.variant.engine.backend
        return [c for c in looped + stacked if wanted in ("auto", c[0])]

    def _time_fit(self, node: Node) -> tuple[str, int, float]:
        """Return the seconds of fitting one member, and enough groups for several processes."""
        view = windows_room.view(self.dataset, dict(node.stage.inputs))
        tensors = WindowTensors.from_windows(view, list(node.stage.inputs), mode="train")
        repetition, fold, seed = self.members[0]
        start = time.perf_counter()
        fit_classical(
            lambda: make_classical(node, tensors),
            [Member(self.folds[repetition, fold], seed)],
            tensors,
            self.dataset["subject"].to_numpy(),
        )
        count = len(self.members)
        return FITTED, max(1, min(8, math.ceil(count / 4))), time.perf_counter() - start

    def _time(self, node: Node) -> tuple[str, int, float]:
        if is_classical(node.stage.model.name):
            return self._time_fit(node)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        timed = []
        for backend, size in self._candidates():
            try:
                timed.append((self._seconds(node, backend, size), backend, size))
            except DataError:
                # The ensemble refuses to stack a recurrent layer; what cannot even be looped cannot be trained.
                if backend == "looped" or self.variant.engine.backend == "stacked":
                    raise
        torch.set_num_threads(threads)
        seconds, backend, size = min(timed)
        count = len(self.members)
        if backend == "looped":
            size = max(1, min(8, math.ceil(count / 4)))
        return backend, math.ceil(count / math.ceil(count / size)), seconds

    def _seconds(self, node: Node, backend: str, size: int) -> float:
        """Return the seconds of one step of one member, with knowledge that says nothing."""
        device = self.variant.engine.device

        def tensors(inputs: Mapping[str, list[str] | None]) -> WindowTensors:
            view = windows_room.view(self.dataset, dict(inputs))
            return WindowTensors.from_windows(view, list(inputs), mode="train", device=device)

        own = tensors(node.stage.inputs)
        partners = {
            name: PartnerWindows(tensors(self.variant.partner(node.stage, name)[1]))
            for name, partner in node.stage.partners.items()
            if partner.learns != "average"
        }
        kind = len(self.folds[self.members[0][:2]].unlabelled) > 0
        alike = [m for m in self.members if (len(self.folds[m[:2]].unlabelled) > 0) is kind]
        members = [Member(self.folds[r, f], seed) for r, f, seed in alike[:size]]
        settings = Settings(**{**self.variant.settings(node.stage).model_dump(), "select": "last", "patience": None})
        n_windows = len(own.target)
        blank = torch.zeros((), device=device)
        taught = Taught(
            blank.expand(len(members), n_windows, own.width),
            {
                teacher: {
                    "logits": blank.expand(len(members), n_windows, own.width),
                    **{name: blank.expand(len(members), n_windows, math.prod(s)) for name, s in features.items()},
                }
                for teacher, features in self.teacher_shapes.items()
            },
            unlabelled=kind and node.stage.learns_without_labels,
        )
        augmentations = make_augmentations(node, own.shapes, self.partner_shapes, own.n_steps)

        def steps(count: int) -> float:
            ensemble = Ensemble(
                lambda: make_learner(
                    self.variant,
                    node,
                    own.shapes,
                    self.partner_shapes,
                    kind=own.kind,
                    outputs=(own.n_outputs, own.n_steps),
                    n_windows=n_windows,
                    teacher_shapes=self.teacher_shapes,
                ),
                members,
                backend=backend,
                device=device,
            )
            start = time.perf_counter()
            fit(
                ensemble,
                own,
                settings,
                taught,
                steps=node.stage.made_steps(),
                partners=partners,
                augmentations=augmentations,
                max_steps=count,
            )
            return time.perf_counter() - start

        steps(1)
        return steps(TIMED_STEPS) / TIMED_STEPS / len(members)
