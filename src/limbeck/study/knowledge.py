"""What the teachers of a run handed over, held against the truth.

Knowledge is stored per teacher and fold; which windows were labelled comes from the study's protocol, which is drawn
again from its keys. The truth of windows whose labels were hidden is looked at here only, when nothing trains any more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from limbeck import windows as windows_room
from limbeck.distillation.teachers import entropies, log_softmax
from limbeck.errors import DataError, LimbeckError, did_you_mean
from limbeck.metrics import balanced_accuracy, balanced_accuracy_of, confusion_matrix, grouped_trace_scores
from limbeck.protocols import Fold, with_target_of
from limbeck.report.knowledge import CertaintyPanel, TracePanel
from limbeck.study.grammar import Variant
from limbeck.study.graph import CHOOSING, Node, build_graph
from limbeck.study.schema import load_study
from limbeck.study.store import Store, read_run

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "FeatureSummary",
    "Handover",
    "Part",
    "class_scores",
    "effective_rank",
    "in_one_sentence",
    "reliability",
    "what_was_handed_over",
]

BINS = 15
"""Bins of confidence, as usual for the expected calibration error."""

ENTROPY_BINS = 25

RANKED_MEMBERS = 16
"""Trainings whose features are decomposed, which is slow: those of a stage are alike."""

DRAWN_VALUES = 4000
"""Values of a trace that a picture shows."""

LABELLED, VALIDATION, HELD_OUT, UNLABELLED = "labelled", "validation", "held out", "unlabelled"

WHOSE: Mapping[str, str] = {
    LABELLED: "the windows that it learned from",
    VALIDATION: "the validation windows, on which its epoch was chosen",
    HELD_OUT: "the labelled windows that cross-fitting kept from it",
    UNLABELLED: "the windows whose labels were hidden",
}
"""Parts of the windows that knowledge is handed over of, the more telling ones later."""


@dataclass(frozen=True, eq=False)
class Part:
    """What a teacher handed over of one part of the windows.

    Parameters
    ----------
    name : str
        A key of `WHOSE`.
    windows : int
        Different windows.
    handed_over, missing : int
        How often one was handed over, over folds, repetitions and seeds; and how often there was no knowledge of it.
    scores : dict of str to float
        As of :func:`class_scores`, or ``rmse pcc ccc``; over all that was handed over.
    classes : DataFrame
        Of classes, a row per true class: ``class handed_over recall predicted confidence entropy margin
        nll``. Else empty.
    subjects : DataFrame
        A row per subject, from the one of whom the teacher knows least: ``subject handed_over`` and scores.
    panel : CertaintyPanel or TracePanel
        To be drawn.
    """

    name: str
    windows: int
    handed_over: int
    missing: int
    scores: dict[str, float]
    classes: pd.DataFrame
    subjects: pd.DataFrame
    panel: CertaintyPanel | TracePanel


@dataclass(frozen=True)
class FeatureSummary:
    """What a teacher handed over of one named feature.

    Parameters
    ----------
    name : str
        The feature.
    width : int
        Its numbers per window.
    norm, norm_spread : float
        Mean and standard deviation of its Euclidean norm over windows.
    effective_rank : float
        Of `width` directions, how many it uses (:func:`effective_rank`); mean over trainings.
    missing : float
        Share of the training windows of which it was not handed over.
    """

    name: str
    width: int
    norm: float
    norm_spread: float
    effective_rank: float
    missing: float


@dataclass(frozen=True, eq=False)
class Handover:
    """All that one stage handed over.

    Parameters
    ----------
    stage, role : str
        Its name, and ``stage`` or ``helper`` (a teacher that follows from a control or from cross-fitting).
    variants : tuple of str
        The variants of the study that stand on it.
    kind : str
        ``"class"`` or ``"trace"``.
    classes : tuple of str
        Names.
    steps : int
        Values of a trace per window, over all of which it is scored; 0 where there is one value.
    repetitions, folds, seeds : int
        Of its trainings.
    knows_all_labels : bool
        Whether it learned from labels that the protocol hides.
    parts : tuple of Part
        Of the logits or values, those that have windows; none where only features were handed over.
    features : tuple of FeatureSummary
    sentence : str
        What it means.
    """

    stage: str
    role: str
    variants: tuple[str, ...]
    kind: str
    classes: tuple[str, ...]
    steps: int
    repetitions: int
    folds: int
    seeds: int
    knows_all_labels: bool
    parts: tuple[Part, ...]
    features: tuple[FeatureSummary, ...]
    sentence: str


def what_was_handed_over(folder: str | Path, *, variant: str | None = None, stage: str | None = None) -> list[Handover]:
    """Summarise the knowledge that lies in the store of a run.

    Parameters
    ----------
    folder : path-like
        The run.
    variant, stage : str, optional
        Only these. A teacher that several variants share is there once.

    Returns
    -------
    list of Handover
        In the order of the study, teachers that were written before those that follow from them.

    Raises
    ------
    LimbeckError
        The folder is no run, the run is not that far yet, or what was handed over is gone.
    DataError
        There is no such variant or stage, or nobody is taught by it.
    """
    run = _Run(Path(folder))
    found: dict[tuple[str, str], Handover] = {}
    for teacher in run.teachers(variant, stage):
        place = teacher.key, teacher.stage
        found[place] = _also_in(found[place], teacher.variant) if place in found else run.summarise(teacher)
    return sorted(found.values(), key=lambda handover: handover.role == "helper")


def _also_in(handover: Handover, variant: str) -> Handover:
    return replace(handover, variants=(*handover.variants, variant))


# ---- what lies where ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Teacher:
    variant: str
    stage: str
    role: str
    key: str
    groups: int
    node: Node


class _Run:
    """A run directory with its plan, its study and the store that it stands on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = read_run(folder).state
        self.out = folder.resolve().parent
        self.store = Store(self.out / "store")
        if not (folder / "plan.json").is_file():
            raise LimbeckError(f"The run {folder} is {self.state}: it has no plan yet. Run the study again to go on.")
        try:
            self.plan: dict[str, Any] = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
        except ValueError as error:
            raise LimbeckError(f"{folder / 'plan.json'} cannot be read ({error}). Run the study again.") from error
        self.variants: dict[str, Variant] = load_study(folder / "study.yaml").variants
        if unlike := sorted(set(self.plan) ^ set(self.variants)):
            raise LimbeckError(
                f"The plan and the study of {folder} do not fit together: only one of them has the variants "
                f"{', '.join(map(repr, unlike))}. Run the study again."
            )
        self._windows: dict[str, xr.Dataset] = {}
        self.graphs = {label: self._graph(label) for label in self.plan}
        self.choosing = {label: _for_choosing(nodes) for label, nodes in self.graphs.items()}

    def _graph(self, label: str) -> dict[str, Node]:
        """Return the graph of a variant as its plan made it: by how many subjects choices are judged, folds tell."""
        variant = self.variants[label]
        if not variant.choose:
            return build_graph(variant)
        return build_graph(variant, list(self._folds(label, windows_room.table(self.windows(label))).values()))

    def teachers(self, variant: str | None, stage: str | None) -> list[_Teacher]:
        """Return the stages that handed something over.

        Raises
        ------
        LimbeckError
            As of :func:`what_was_handed_over`.
        """
        if variant is not None and variant not in self.plan:
            if set(self.plan) == {""}:
                raise DataError(f"The run {self.folder} has no variants, and so no '{variant}': leave --variant out.")
            raise DataError(f"The run {self.folder} has no variant '{variant}'.{did_you_mean(variant, self.plan)}")
        chosen = [label for label in self.plan if variant in (None, label)]
        asked = [
            _Teacher(label, name, planned["role"], planned["key"], planned["groups"], self._node(label, name))
            for label in chosen
            for name, planned in self.plan[label]["stages"].items()
            if stage in (None, name)
        ]
        if not asked:
            stages = {name for label in chosen for name in self.plan[label]["stages"]}
            raise DataError(f"The run {self.folder} has no stage '{stage}'.{did_you_mean(str(stage), stages)}")
        teachers = [
            teacher
            for teacher in asked
            if teacher.node.hands_over and (stage is not None or teacher.stage not in self.choosing[teacher.variant])
        ]
        if not teachers:
            raise DataError(self._nobody(chosen, stage))
        waiting = [teacher for teacher in teachers if not self._is_whole(teacher)]
        if waiting and (stage is not None or len(waiting) == len(teachers) or self.state == "finished"):
            raise LimbeckError(self._not_there(waiting))
        return [teacher for teacher in teachers if teacher not in waiting]

    def _node(self, variant: str, stage: str) -> Node:
        if stage not in self.graphs[variant]:
            raise LimbeckError(
                f"The plan of {self.folder} has a stage '{stage}', which this version of Limbeck does not make of its "
                "study. Run the study again."
            )
        return self.graphs[variant][stage]

    def _nobody(self, variants: Sequence[str], stage: str | None) -> str:
        nodes = [node for label in variants for node in self.graphs[label].values()]
        choosing = {name for label in variants for name in self.choosing[label]}
        teaching = dict.fromkeys(
            node.name for node in nodes if node.hands_over and node.role != "helper" and node.name not in choosing
        )
        if teaching and stage is not None:
            return (
                f"The stage '{stage}' hands nothing over: nobody is taught by it. Who teaches: {', '.join(teaching)}."
            )
        live = {
            f"{teacher} of {node.name}": None
            for node in nodes
            if node.role == "stage"
            for teacher in node.stage.taught_by
            if teacher in node.stage.partners
        }
        if live:
            return (
                f"The run {self.folder} keeps nothing that was handed over: who teaches is live ({', '.join(live)}), "
                "answers at every step of the training, and its answers are not kept."
            )
        return f"Nobody is taught in the run {self.folder}: no stage of it hands anything over."

    def _is_whole(self, teacher: _Teacher) -> bool:
        return all(
            self.store.has(teacher.key, group)
            and not self.store.lacks(teacher.key, group, knowledge=teacher.node.hands_over, predictions=False)[0]
            for group in range(teacher.groups)
        )

    def _not_there(self, waiting: Sequence[_Teacher]) -> str:
        names = ", ".join(sorted({teacher.stage for teacher in waiting}))
        if self.state == "finished":
            keys = ", ".join(sorted({teacher.key for teacher in waiting}))
            return (
                f"What {names} handed over is no longer in {self.store.root} ({keys}): it was removed. Run the study "
                "again; what is there is not trained again."
            )
        return (
            f"The run {self.folder} is {self.state}, and what {names} hands over is not there yet. Run the study again "
            "to go on."
        )

    def windows(self, variant: str) -> xr.Dataset:
        """Return the windows of a variant."""
        path = self.out / self.plan[variant]["windows"]
        if str(path) not in self._windows:
            if not path.is_dir():
                raise LimbeckError(
                    f"The windows of the run {self.folder} are gone: there is no {path}. Run the study again; they are "
                    "cut again, and nothing is trained again."
                )
            try:
                dataset = windows_room.load(path)
            except DataError as error:
                raise LimbeckError(
                    f"{error} Run the study again: they are cut again, and nothing is trained again."
                ) from error
            self._windows = {str(path): dataset}  # one set at a time: they are large
        return self._windows[str(path)]

    def summarise(self, teacher: _Teacher) -> Handover:
        """Summarise what one teacher handed over."""
        dataset = self.windows(teacher.variant)
        folds = self._folds(teacher.variant, windows_room.table(dataset))
        if teacher.node.target:
            dataset = windows_room.with_target(dataset, teacher.node.target)
        table = windows_room.table(dataset)
        if teacher.node.target:
            folds = {place: with_target_of(fold, table) for place, fold in folds.items()}
        members = self._members(teacher)
        splits = [self._parts_of(teacher, folds[member[:2]], table) for member in members]
        target = dataset["target"]
        kind, names = str(target.attrs["kind"]), tuple(target.attrs.get("classes", ()))
        parts: tuple[Part, ...] = ()
        if "logits" in teacher.node.hands_over:
            values = self._values(teacher, "logits")
            _refuse_other_windows(next(self._values(teacher, "logits")), table, teacher.stage)
            rows = _rows(values, splits)
            parts = tuple(
                _part(name, rows, target.to_numpy(), table, names) for name in WHOSE if (rows.part == name).any()
            )
        training = [np.concatenate([split[name] for name in WHOSE if name != VALIDATION]) for split in splits]
        features = tuple(
            _feature_summary(name, self._values(teacher, name), training)
            for name in sorted(teacher.node.hands_over - {"logits"})
        )
        return Handover(
            stage=teacher.stage,
            role=teacher.role,
            variants=(teacher.variant,),
            kind=kind,
            classes=names,
            steps=target.shape[1] if target.ndim > 1 else 0,
            repetitions=len({member[0] for member in members}),
            folds=len({member[1] for member in members}),
            seeds=len({member[2] for member in members}),
            knows_all_labels=teacher.node.all_labels,
            parts=parts,
            features=features,
            sentence=in_one_sentence(teacher.stage, parts, features, len(names)),
        )

    def _members(self, teacher: _Teacher) -> list[tuple[int, int, int]]:
        return [
            (int(repetition), int(fold), int(seed))
            for group in range(teacher.groups)
            for repetition, fold, seed in self.store.done(teacher.key, group)["members"]
        ]

    def _values(self, teacher: _Teacher, name: str) -> Iterator[np.ndarray]:
        """Yield knowledge (n_windows, width) of one member after the other, in the order of :meth:`_members`."""
        for group in range(teacher.groups):
            path = self.store.group(teacher.key, group) / f"knowledge.{name}.npy"
            yield from np.load(path, mmap_mode="r")

    def _folds(self, variant: str, table: pd.DataFrame) -> dict[tuple[int, int], Fold]:
        from limbeck.study.tasks import folds_of

        return {(fold.repetition, fold.fold): fold for fold in folds_of(table, self.variants[variant].protocol)}

    def _parts_of(self, teacher: _Teacher, fold: Fold, table: pd.DataFrame) -> dict[str, np.ndarray]:
        """Return the windows of a fold that knowledge is handed over of, by what the teacher knew of their labels."""
        from limbeck.study.tasks import labelled_groups

        seed = self.variants[teacher.variant].protocol.seed
        groups = [labelled_groups(fold, table, count, seed)[group] for group, count in teacher.node.holdouts]
        held_out = np.unique(np.concatenate(groups)) if groups else np.empty(0, dtype=np.int64)
        known = fold.training if teacher.node.all_labels else fold.labelled
        return {
            LABELLED: np.setdiff1d(known, held_out),
            VALIDATION: fold.validation,
            HELD_OUT: held_out,
            UNLABELLED: np.setdiff1d(fold.training, np.union1d(known, held_out)),
        }


def _for_choosing(nodes: Mapping[str, Node]) -> set[str]:
    """Return the nodes that are there to choose by: candidates, and what is trained without those who judge."""
    candidates = {name for node in nodes.values() for name in node.candidates}
    return candidates | {name for name in nodes if f"/{CHOOSING}" in name}


def _refuse_other_windows(values: np.ndarray, table: pd.DataFrame, stage: str) -> None:
    if len(values) != len(table):
        raise LimbeckError(
            f"What '{stage}' handed over is of {len(values)} windows, and the run's windows are {len(table)}. Run the "
            "study again."
        )


# ---- rows ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Rows:
    """Knowledge of every training and window of its fold, one below the other."""

    window: np.ndarray
    part: np.ndarray
    knowledge: np.ndarray


def _rows(values: Iterable[np.ndarray], splits: Sequence[Mapping[str, np.ndarray]]) -> _Rows:
    window, part, found = [], [], []
    for own, split in zip(values, splits, strict=True):
        for name, index in split.items():
            window.append(index)
            part.append(np.full(len(index), name))
            found.append(np.asarray(own[index], dtype=np.float32))
    return _Rows(np.concatenate(window), np.concatenate(part), np.concatenate(found))


def _part(name: str, rows: _Rows, truth: np.ndarray, table: pd.DataFrame, classes: Sequence[str]) -> Part:
    own = rows.part == name
    window, values = rows.window[own], rows.knowledge[own]
    given = ~np.isnan(values).any(axis=1)
    window, values = window[given], values[given]
    subjects = table["subject"].to_numpy().astype(str)[window]
    panel: CertaintyPanel | TracePanel
    if classes:
        scores, by_class, by_subject, panel = _of_classes(values, truth[window], subjects, classes, WHOSE[name])
    else:
        by_class = pd.DataFrame()
        scores, by_subject, panel = _of_trace(values, truth[window], subjects, WHOSE[name])
    return Part(
        name=name,
        windows=len(np.unique(window)),
        handed_over=len(window),
        missing=int(np.count_nonzero(~given)),
        scores=scores,
        classes=by_class,
        subjects=by_subject,
        panel=panel,
    )


def _of_classes(
    logits: np.ndarray, truth: np.ndarray, subjects: np.ndarray, classes: Sequence[str], title: str
) -> tuple[dict[str, float], pd.DataFrame, pd.DataFrame, CertaintyPanel]:
    each = _each_window(logits, truth).assign(subject=subjects)
    counted = len(classes)
    means = ["confidence", "entropy", "margin", "nll"]
    by_class = each.groupby("truth")[["right", *means]].mean().rename(columns={"right": "recall"})
    by_class.insert(0, "handed_over", each["truth"].value_counts())
    by_class.insert(
        2, "predicted", each["decided"].value_counts(normalize=True).reindex(by_class.index, fill_value=0.0)
    )
    by_class.insert(0, "class", [classes[code] for code in by_class.index])
    by_subject = each.groupby("subject")[["right", *means]].mean().rename(columns={"right": "accuracy"})
    by_subject.insert(0, "handed_over", each["subject"].value_counts())
    codes, names = pd.factorize(each["subject"])
    matrices = confusion_matrix(truth.astype(np.int64), each["decided"].to_numpy(), counted, group=codes)
    by_subject.insert(2, "balanced_accuracy", pd.Series(balanced_accuracy_of(matrices), index=names))
    by_subject = by_subject.sort_values(["accuracy", "nll"], ascending=[True, False]).reset_index()
    confidence, accuracy, counts = reliability(each["confidence"].to_numpy(), each["right"].to_numpy())
    share = (each["entropy"].to_numpy() / np.log(counted)).clip(0, 1 - 1e-9)
    cells = truth.astype(np.int64) * ENTROPY_BINS + (share * ENTROPY_BINS).astype(np.int64)
    spread = np.bincount(cells, minlength=counted * ENTROPY_BINS).reshape(counted, ENTROPY_BINS)
    panel = CertaintyPanel(title, confidence, accuracy, counts, tuple(classes), spread)
    return class_scores(logits, truth), by_class.reset_index(drop=True), by_subject, panel


def _each_window(logits: np.ndarray, truth: np.ndarray) -> pd.DataFrame:
    logs = log_softmax(logits)
    probabilities = np.sort(np.exp(logs), axis=1)
    decided = logs.argmax(axis=1)
    return pd.DataFrame(
        {
            "truth": truth.astype(np.int64),
            "decided": decided,
            "right": (decided == truth).astype(np.float64),
            "confidence": probabilities[:, -1],
            "entropy": entropies(logits),
            "margin": probabilities[:, -1] - probabilities[:, -2],
            "nll": -np.take_along_axis(logs, truth.astype(np.int64)[:, None], axis=1)[:, 0],
        }
    )


def _of_trace(
    values: np.ndarray, truth: np.ndarray, subjects: np.ndarray, title: str
) -> tuple[dict[str, float], pd.DataFrame, TracePanel]:
    truth = truth.reshape(len(truth), -1)
    flat, said = truth.reshape(-1), values.reshape(-1)
    known = np.isfinite(flat)
    flat, said = flat[known], said[known]
    codes, names = pd.factorize(np.repeat(subjects, truth.shape[1])[known])
    whole = grouped_trace_scores(flat, said, np.zeros(len(flat), dtype=np.int64), 1)
    by_subject = pd.DataFrame(
        {"subject": names, "handed_over": pd.Series(subjects).value_counts().reindex(names).to_numpy()}
        | grouped_trace_scores(flat, said, codes, len(names))
    )
    by_subject = by_subject.sort_values(["ccc", "rmse"], ascending=[True, False], na_position="first")
    drawn = np.unique(np.linspace(0, len(flat) - 1, min(len(flat), DRAWN_VALUES)).astype(np.int64))
    scores = {name: float(score[0]) for name, score in whole.items()}
    return scores, by_subject.reset_index(drop=True), TracePanel(title, flat[drawn], said[drawn])


# ---- scores -------------------------------------------------------------------------------------------------------


def class_scores(logits: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return how right a teacher is, and how sure.

    Parameters
    ----------
    logits : ndarray of shape (n_windows, n_classes), float
        Without NaN.
    truth : ndarray of shape (n_windows,), int
        Class codes.

    Returns
    -------
    dict of str to float
        ``accuracy``, ``balanced_accuracy``; ``confidence`` (mean highest probability); ``entropy`` (nats) and
        ``entropy_share`` (of the highest possible); ``margin`` (mean difference of the two highest probabilities);
        ``ece`` (expected calibration error: mean distance of confidence and accuracy over `BINS` bins of confidence, by
        their windows); ``nll`` (negative log likelihood, nats). NaN without windows.
    """
    if not len(truth):
        names = ("accuracy", "balanced_accuracy", "confidence", "entropy", "entropy_share", "margin", "ece", "nll")
        return dict.fromkeys(names, np.nan)
    each = _each_window(logits, truth)
    confidence, accuracy, counts = reliability(each["confidence"].to_numpy(), each["right"].to_numpy())
    filled = counts > 0
    means = each[["right", "confidence", "entropy", "margin", "nll"]].mean()
    return {
        "accuracy": float(means["right"]),
        "balanced_accuracy": balanced_accuracy(each["truth"].to_numpy(), each["decided"].to_numpy()),
        "confidence": float(means["confidence"]),
        "entropy": float(means["entropy"]),
        "entropy_share": float(means["entropy"] / np.log(logits.shape[1])),
        "margin": float(means["margin"]),
        "ece": float((np.abs(confidence - accuracy)[filled] * counts[filled]).sum() / counts.sum()),
        "nll": float(means["nll"]),
    }


def reliability(
    confidence: np.ndarray, right: np.ndarray, bins: int = BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean confidence, accuracy and count of windows in even bins of confidence.

    Parameters
    ----------
    confidence : ndarray of shape (n_windows,), float
        Highest probabilities.
    right : ndarray of shape (n_windows,), bool or float
        Whether the decision is right.
    bins : int
        Bin k holds confidences above ``k / bins``, up to ``(k + 1) / bins``.

    Returns
    -------
    confidence, accuracy : ndarray of shape (bins,), float64
        NaN where there is no window.
    counts : ndarray of shape (bins,), int64
    """
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    filled = np.where(counts > 0, counts, np.nan)
    return (
        np.bincount(place, weights=confidence, minlength=bins) / filled,
        np.bincount(place, weights=right, minlength=bins) / filled,
        counts,
    )


def effective_rank(values: np.ndarray) -> float:
    """Return how many directions features use: e to the entropy of their singular values (Roy and Vetterli 2007).

    Parameters
    ----------
    values : ndarray of shape (n_windows, width), float
        Without NaN; their mean is taken off.

    Returns
    -------
    float
        From 1 to the lesser of width and windows; 0 where all windows are alike, NaN without windows.
    """
    if not len(values):
        return np.nan
    centred = np.asarray(values, dtype=np.float64)
    scale = np.abs(centred).max()
    centred = centred - centred.mean(axis=0)
    strengths = np.linalg.svd(centred, compute_uv=False)
    strengths = strengths[strengths > 1e-7 * scale * np.sqrt(centred.size)]  # what float32 leaves of a mean
    if not len(strengths):
        return 0.0
    shares = strengths / strengths.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _feature_summary(name: str, values: Iterable[np.ndarray], training: Sequence[np.ndarray]) -> FeatureSummary:
    ranked = set(np.linspace(0, len(training) - 1, min(len(training), RANKED_MEMBERS)).astype(int).tolist())
    norms, ranks, width = [], [], 0
    for position, (own, index) in enumerate(zip(values, training, strict=True)):
        rows = np.asarray(own[index]).reshape(len(index), -1)
        width = rows.shape[1]
        rows = rows[~np.isnan(rows).any(axis=1)]
        norms.append(np.linalg.norm(rows.astype(np.float64), axis=1))
        if position in ranked and len(rows):
            ranks.append(effective_rank(rows))
    every = np.concatenate(norms)
    return FeatureSummary(
        name=name,
        width=width,
        norm=float(every.mean()) if len(every) else np.nan,
        norm_spread=float(every.std()) if len(every) else np.nan,
        effective_rank=float(np.mean(ranks)) if ranks else np.nan,
        missing=1 - len(every) / max(1, sum(map(len, training))),
    )


# ---- in words ------------------------------------------------------------------------------------------------------

NEAR_CHANCE, NEAR_SURE = 0.05, 0.05
"""Differences of shares below which a teacher is no better than guessing, and as sure as it should be."""


def in_one_sentence(stage: str, parts: Sequence[Part], features: Sequence[FeatureSummary], n_classes: int) -> str:
    """Say what knowledge is worth, from the windows that tell most: those whose labels were hidden, if there are any.

    Parameters
    ----------
    stage : str
        Who teaches.
    parts : sequence of Part
        Of its logits or values, the more telling ones later.
    features : sequence of FeatureSummary
        Of its features.
    n_classes : int
        0 for a trace.
    """
    telling = next((part for part in reversed(parts) if part.handed_over), None)
    if telling is None:
        return _features_in_words(stage, features)
    known = " (it knew their labels, so this tells little)" if telling.name == LABELLED else ""
    if not n_classes:
        ccc = telling.scores["ccc"]
        if np.isnan(ccc):
            return f"How '{stage}' follows the truth cannot be told: the truth of {WHOSE[telling.name]} never changes."
        return f"What '{stage}' says agrees with the truth by {ccc:.2f} (concordance) on {WHOSE[telling.name]}{known}."
    scores = telling.scores
    sentence = (
        f"'{stage}' is right on {100 * scores['accuracy']:.0f} % of {WHOSE[telling.name]}{known}, {_how_sure(scores)}"
    )
    if scores["balanced_accuracy"] < 1 / n_classes + NEAR_CHANCE:
        sentence += (
            f"; with all classes weighing the same that is {100 * scores['balanced_accuracy']:.0f} %, where guessing "
            f"makes {100 / n_classes:.0f} %: there is little to hand over"
        )
    return f"{sentence}."


def _how_sure(scores: Mapping[str, float]) -> str:
    surer = scores["confidence"] - scores["accuracy"]
    if abs(surer) <= NEAR_SURE:
        return f"and about as sure as it should be (confidence {scores['confidence']:.2f})"
    return f"and {'surer' if surer > 0 else 'less sure'} than it should be (confidence {scores['confidence']:.2f})"


def _features_in_words(stage: str, features: Sequence[FeatureSummary]) -> str:
    shown = "; ".join(
        f"{feature.name}, of whose {feature.width} directions it uses {feature.effective_rank:.1f}"
        for feature in features
    )
    return f"'{stage}' hands over features only: {shown}." if shown else f"'{stage}' handed nothing over."
