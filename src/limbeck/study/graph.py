"""The graph of a variant's stages: what was written, and what follows from it.

Controls, ceilings and the teachers of cross-fitting are stages like any other; they are derived here from the stages
of the study, so that nothing about them has to be written by hand, and nothing can be different in them by accident.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from limbeck.distillation.controls import CREDIT
from limbeck.models.contract import class_of
from limbeck.protocols import Fold
from limbeck.signals import parse_signals
from limbeck.study.grammar import MOST_GROUPS, Stage, Variant

__all__ = ["CHOOSING", "Node", "ancestors", "build_graph", "idle_controls", "levels", "taken"]

CHOOSING = "choosing_without_"
"""How the last part of a name begins, of what is trained without a group of subjects who judge a choice."""


@dataclass(frozen=True)
class Node:
    """One stage with everything that decides its result, but the data.

    Parameters
    ----------
    name : str
        Its name among the arms: ``taught``, ``taught/own_input``, ``alone/all_labels``.
    stage : Stage
        Model, inputs, losses, training.
    role : str
        ``"stage"``, ``"credit"``, ``"diagnostic"``, ``"ceiling"``, ``"helper"`` (trained, but not an arm) or
        ``"candidate"`` (one of those that a stage is chosen from).
    teachers : dict of str to str
        The nodes that teach it, by the name that the stage gives them.
    cross_teachers : dict of str to tuple of str
        By teacher the nodes that teach the groups of labelled subjects in cross-fitting.
    partner_starts : dict of str to str
        By partner the node whose weights it starts from.
    start : str or None
        The node whose weights it starts from.
    spoil : str or None
        How the teacher's knowledge is spoiled.
    holdouts : tuple of (int, int)
        Groups (k, K) of the labelled subjects that it does not see; more than one where cross-fitting is nested.
    all_labels : bool
        Whether it sees the labels that the protocol hides.
    target : str
        Its own target, where that is not the study's.
    candidates : tuple of str
        The nodes among which one is chosen for each member; such a node trains nothing itself.
    judges : tuple of tuple of str
        By candidate the same node without each group of labelled subjects, on which it is judged then; empty where
        validation subjects judge. A node that must not see a group chooses anew, by the errors in the other groups
        alone, of the same judges: these were trained with the labels of that group, but are not judged by them.
    follows : str or None
        The node whose choices it takes over.
    hands_over : frozenset of str
        What it hands over to others: ``"logits"`` and names of features.
    stream : int
        0, or its number among the teachers of a stage that would be one and the same network otherwise: two of one
        design that read the same. With random numbers of its own each is another network, so that what several of them
        gain is the gain of several, in the taught arm as in its controls.
    """

    name: str
    stage: Stage
    role: str = "stage"
    teachers: dict[str, str] = field(default_factory=dict)
    cross_teachers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    partner_starts: dict[str, str] = field(default_factory=dict)
    start: str | None = None
    spoil: str | None = None
    holdouts: tuple[tuple[int, int], ...] = ()
    all_labels: bool = False
    target: str = ""
    candidates: tuple[str, ...] = ()
    judges: tuple[tuple[str, ...], ...] = ()
    follows: str | None = None
    hands_over: frozenset[str] = field(default_factory=frozenset)
    stream: int = 0

    @property
    def needs(self) -> tuple[str, ...]:
        """The nodes that it stands on."""
        crossed = [name for names in self.cross_teachers.values() for name in names]
        judging = [name for names in self.judges for name in names]
        named = [*self.teachers.values(), *crossed, *self.partner_starts.values(), self.start]
        named += [*self.candidates, *judging, self.follows]
        return tuple(dict.fromkeys(name for name in named if name is not None))

    @property
    def is_arm(self) -> bool:
        """Whether its test predictions are compared."""
        return self.role not in ("helper", "candidate") and self.stage.predicts and not self.target

    @property
    def leaves_predictions(self) -> bool:
        """Whether it predicts the test windows."""
        return self.is_arm or self.role == "candidate"


def build_graph(variant: Variant, folds: Sequence[Fold] = ()) -> dict[str, Node]:
    """Return the nodes of a variant by name, each behind those that it stands on.

    Parameters
    ----------
    variant : Variant
        What was written.
    folds : sequence of Fold
        Who is there to judge what is chosen; as the protocol says it where they are not known yet.
    """
    graph = _Builder(variant, _judging_groups(folds) if folds else variant.judging_groups)
    for name in variant.stages:
        graph.add_stage(name)
    for comparison in variant.compare:
        for control in comparison.controls:
            graph.add_control(comparison.taught, control, role="credit")
        for diagnostic in comparison.diagnostics:
            graph.add_control(comparison.taught, diagnostic, role="diagnostic")
        if variant.protocol.labelled != "all":
            graph.add_ceiling(comparison.alone)
    return _with_hand_overs(_with_streams(graph.nodes, variant))


def idle_controls(variant: Variant) -> list[str]:
    """Return which comparisons have a control that would be the taught arm itself, a sentence for each.

    A teacher of the same design and training that has no other inputs than in `own_input` is one and the same network.
    """
    if not any("own_input" in comparison.controls for comparison in variant.compare):
        return []
    nodes, told = build_graph(variant), []
    for place, comparison in enumerate(variant.compare):
        arms = [comparison.taught, f"{comparison.taught}/own_input"]
        if "own_input" not in comparison.controls or arms[1] not in nodes:
            continue
        if len({_identity(nodes, arm, variant) for arm in arms}) == 1:
            others = ", ".join(kind for kind in comparison.controls if kind != "own_input")
            told.append(
                f"compare.{place}.controls: own_input of '{arms[0]}' would be '{arms[0]}' once more, since nobody who "
                f"teaches it reads more than '{comparison.alone}' does, so no gain over it could ever be shown; let a "
                f"teacher read more, or write controls: [{others}], with which nothing is claimed of the sensors."
            )
    return told


def _judging_groups(folds: Sequence[Fold]) -> int:
    """Return into how many groups the labelled subjects are split for choices; 0 where all folds validate on others."""
    if all(len(fold.validation) for fold in folds):
        return 0
    return min(MOST_GROUPS, *(len(fold.labelled_subjects) for fold in folds))


class _Builder:
    def __init__(self, variant: Variant, judging_groups: int) -> None:
        self.variant, self.judging_groups = variant, judging_groups
        self.nodes: dict[str, Node] = {}

    def add_stage(self, name: str) -> str:
        """Add a stage as it was written, behind what it stands on."""
        if name in self.nodes:
            return name
        candidates = self.variant.candidates(name)
        if candidates:
            self._add_choice(name, candidates)
        else:
            self.nodes[name] = self._written(name, self.variant.stages[name])
        return name

    def _written(self, name: str, stage: Stage, role: str = "stage") -> Node:
        node = Node(
            name,
            stage,
            role=role,
            teachers={other: self.add_stage(other) for other in stage.cached_teachers},
            partner_starts={
                key: self.add_stage(partner.stage)
                for key, partner in stage.partners.items()
                if partner.start and partner.stage
            },
            start=self.add_stage(stage.start.stage) if stage.start else None,
            all_labels=stage.labelled == "all",
            target=self.variant.target_of(stage),
        )
        return self._cross_fitted(node)

    def _add_choice(self, name: str, stages: dict[str, Stage]) -> None:
        """Add the candidates of a stage, what they are judged by, and the stage as the choice among them."""
        candidates = []
        for label, stage in stages.items():
            candidate = f"{name}/{label}"
            self.nodes[candidate] = self._written(candidate, stage, role="candidate")
            candidates.append(candidate)
        judges: tuple[tuple[str, ...], ...] = ((),) * len(candidates)
        count = self.judging_groups
        if count:
            judges = tuple(
                tuple(
                    self._derive(candidate, f"{CHOOSING}{group + 1}_of_{count}", holdouts=((group, count),))
                    for group in range(count)
                )
                for candidate in candidates
            )
        first = next(iter(stages.values()))
        own = self.nodes[candidates[0]]
        self.nodes[name] = Node(
            name, first, candidates=tuple(candidates), judges=judges, all_labels=own.all_labels, target=own.target
        )

    def add_control(self, taught: str, control: str, *, role: str) -> None:
        """Add a control of a taught arm: all as in the arm, but for the knowledge."""
        name = f"{taught}/{control}"
        if name not in self.nodes and self._is_taught(taught):
            self.nodes[name] = self._spoiled(taught, taught, control, name=name, role=role)

    def _is_taught(self, name: str) -> bool:
        """Whether a node has a teacher or a partner that knows more, or starts from one that has."""
        node = self.nodes[name]
        if node.candidates:
            return any(map(self._is_taught, node.candidates))
        beside = any(partner.learns != "average" for partner in node.stage.partners.values())
        return bool(node.teachers) or beside or (node.start is not None and self._is_taught(node.start))

    def _spoiled(self, original: str, taught: str, control: str, *, name: str, role: str) -> Node:
        """Return a copy of a node whose knowledge, and that of every stage it starts from, is spoiled."""
        node = self.nodes[original]
        if node.candidates:
            return self._spoiled_choice(node, taught, control, name=name, role=role)
        student = self.nodes[taught].stage

        def blinded(other: str) -> str:
            return self._derive(other, f"own_input_of_{taught}", blind=student)

        start = node.start
        if start is not None and control == "own_input" and self._knows_more(node, student):
            start = blinded(start)
        elif start is not None and self._is_taught(start):
            spoiled_start = f"{start}/{control}_before_{taught}"
            if spoiled_start not in self.nodes:
                self.nodes[spoiled_start] = self._spoiled(start, taught, control, name=spoiled_start, role="helper")
            start = spoiled_start
        copied = self._started(replace(node, name=name, role=role), start)
        if control != "own_input":
            beside = any(partner.learns != "average" for partner in node.stage.partners.values())
            return replace(copied, spoil=control) if node.teachers or beside else copied
        copied = replace(
            copied,
            stage=_with_blinded_partners(copied.stage, student, self.variant),
            teachers={key: blinded(other) for key, other in node.teachers.items()},
            partner_starts={key: blinded(other) for key, other in node.partner_starts.items()},
            cross_teachers={},
        )
        return self._cross_fitted(copied)

    def _knows_more(self, node: Node, student: Stage) -> bool:
        """Whether what a node starts from is not of networks that have a student's inputs alone.

        A partner has learned beside the stage's own network, whatever it reads itself.
        """
        start = node.stage.start
        if node.start is None or start is None:
            return False
        first = self.nodes[node.start]
        origins = [self.nodes[other] for other in first.candidates] or [first]
        return start.partner is not None or any(
            _reads_more(origin.stage, student) or self._knows_more(origin, student) for origin in origins
        )

    def _started(self, node: Node, start: str | None) -> Node:
        """Return a node that starts from another copy of its start.

        Where that has given up its design, and its partners with it, the node starts from the network itself if it is
        of its own design, and else afresh.
        """
        written = node.stage.start
        if start is None or written is None or written.partner is None:
            return replace(node, start=start)
        first = self.nodes[start]
        stages = [self.nodes[other].stage for other in first.candidates] or [first.stage]
        if all(written.partner in stage.partners for stage in stages):
            return replace(node, start=start)
        if any((stage.model, stage.inputs) != (node.stage.model, node.stage.inputs) for stage in stages):
            return replace(node, start=None, stage=node.stage.model_copy(update={"start": None}))
        own = written.model_copy(update={"partner": None})
        return replace(node, start=start, stage=node.stage.model_copy(update={"start": own}))

    def _spoiled_choice(self, node: Node, taught: str, control: str, *, name: str, role: str) -> Node:
        """Return the control of a choice: its candidates are spoiled, and the choices are those of the taught arm."""
        candidates = []
        for candidate in node.candidates:
            spoiled = f"{candidate}/{name.removeprefix(f'{node.name}/')}"
            if spoiled not in self.nodes:
                self.nodes[spoiled] = self._spoiled(candidate, taught, control, name=spoiled, role="candidate")
            candidates.append(spoiled)
        judges = ((),) * len(candidates)
        return replace(node, name=name, role=role, candidates=tuple(candidates), judges=judges, follows=node.name)

    def add_ceiling(self, alone: str) -> None:
        """Add what the arm that learns alone reaches with every label."""
        name = f"{alone}/all_labels"
        if name not in self.nodes:
            node = self.nodes[alone]
            for candidate in node.candidates:
                seeing = f"{candidate}/all_labels"
                self.nodes[seeing] = replace(self.nodes[candidate], name=seeing, all_labels=True)
            self.nodes[name] = replace(
                node,
                name=name,
                role="ceiling",
                all_labels=True,
                candidates=tuple(f"{candidate}/all_labels" for candidate in node.candidates),
                judges=((),) * len(node.candidates),
                follows=alone if node.candidates else None,
            )

    def _cross_fitted(self, node: Node) -> Node:
        """Give a node the teachers of cross-fitting, each of which holds out one group."""
        count = node.stage.crossfit
        if count is None:
            return node
        return replace(
            node,
            cross_teachers={
                key: tuple(
                    self._derive(other, f"without_{group + 1}_of_{count}", holdouts=((group, count),))
                    for group in range(count)
                )
                for key, other in node.teachers.items()
            },
        )

    def _derive(
        self,
        name: str,
        suffix: str,
        *,
        blind: Stage | None = None,
        holdouts: tuple[tuple[int, int], ...] = (),
    ) -> str:
        """Add a copy of a node, and of all it stands on, with a student's inputs or without a group of subjects.

        What is chosen is chosen anew. With other inputs, by judges that have them too; without a group of subjects, by
        the errors in all other groups.
        """
        derived = f"{name}/{suffix}"
        if derived not in self.nodes:
            node = self.nodes[name]
            stage = node.stage
            if blind is not None:
                stage = _blinded(stage, blind, self.variant)

            def of(other: str) -> str:
                return self._derive(other, suffix, blind=blind, holdouts=holdouts)

            copied = replace(
                node,
                name=derived,
                stage=stage,
                role="helper",
                teachers={key: of(other) for key, other in node.teachers.items()},
                partner_starts={key: of(other) for key, other in node.partner_starts.items()},
                cross_teachers={key: tuple(map(of, others)) for key, others in node.cross_teachers.items()},
                candidates=tuple(map(of, node.candidates)),
                judges=node.judges if blind is None else tuple(tuple(map(of, names)) for names in node.judges),
                holdouts=tuple(dict.fromkeys((*node.holdouts, *holdouts))),
            )
            self.nodes[derived] = self._started(copied, of(node.start) if node.start else None)
        return derived


def _blinded(stage: Stage, student: Stage, variant: Variant) -> Stage:
    """Return a stage that reads what a student reads, and so do its partners.

    It keeps its design where that can read these inputs; where it cannot (it needs several modalities, or reads
    features where the student reads signals), it takes the student's, and how that is trained.
    """
    stage = _with_blinded_partners(stage, student, variant)
    changes: dict[str, Any] = {
        "inputs": dict(student.inputs),
        "without": [modality for modality in stage.without if modality in student.inputs],
        "augment": _blinded_augment(stage.augment, student.inputs),
    }
    if not _can_read(stage.model.name, student.inputs, variant):
        changes |= {"model": student.model, "training": student.training}
        if not stage.taught_by:  # what else it learned from may be of its own design
            changes |= {"loss": {"hard": {}}, "partners": {}, "steps": None}
    return stage.model_copy(update=changes)


def _blinded_augment(augment: Any, inputs: Mapping[str, Any]) -> Any:
    """Return what is left of changes of windows where other modalities are read: one alone is never dropped."""
    if not isinstance(augment, Mapping):
        return augment
    left = {modality: changes for modality, changes in augment.items() if modality in inputs}
    drop = augment.get("drop")
    if isinstance(drop, Mapping) and len(inputs) > 1:
        left["drop"] = {modality: chance for modality, chance in drop.items() if modality in inputs}
    return {key: value for key, value in left.items() if value or key != "drop"} or None


def _with_blinded_partners(stage: Stage, student: Stage, variant: Variant) -> Stage:
    changed = {}
    for name, partner in stage.partners.items():
        if partner.learns != "average":
            model, _ = variant.partner(stage, name)
            fits = _can_read(model.name, student.inputs, variant)
            own = model if fits else student.model
            partner = partner.model_copy(update={"model": own, "inputs": dict(student.inputs)})
        changed[name] = partner
    return stage.model_copy(update={"partners": changed}) if changed else stage


def _reads_more(stage: Stage, student: Stage) -> bool:
    """Whether a stage reads a modality or a channel that a student does not."""
    for modality, channels in stage.inputs.items():
        if modality not in student.inputs:
            return True
        known = student.inputs[modality]
        if known is not None and (channels is None or not set(channels) <= set(known)):
            return True
    return False


def _can_read(model: str, inputs: Mapping[str, Any], variant: Variant) -> bool:
    design, pipelines = class_of(model), parse_signals(variant.signals)
    kinds = {"features" if pipelines[modality].features else "signals" for modality in inputs}
    most = design.max_modalities
    return kinds == {design.reads} and design.min_modalities <= len(inputs) <= (len(inputs) if most is None else most)


def _with_streams(nodes: dict[str, Node], variant: Variant) -> dict[str, Node]:
    """Give teachers of one stage that would be the same network random numbers of their own, and their copies the same.

    A copy is known by its name, which begins with that of its original.
    """
    alike: dict[str, dict[str, None]] = {}
    for node in nodes.values():
        teachers = dict.fromkeys((*node.teachers.values(), *node.partner_starts.values()))
        if len(teachers) < 2:
            continue
        of = {name: _identity(nodes, name, variant) for name in teachers}
        for name, identity in of.items():
            if sum(other == identity for other in of.values()) > 1:
                alike.setdefault(identity, {})[name] = None
    streams = {name: stream for names in alike.values() for stream, name in enumerate(names)}

    def stream_of(name: str) -> int:
        while name not in streams and "/" in name:
            name = name.rpartition("/")[0]
        return streams.get(name, 0)

    return {name: replace(node, stream=stream_of(name)) for name, node in nodes.items()}


def _identity(nodes: Mapping[str, Node], name: str, variant: Variant) -> str:
    """Return what decides the result of a node, but for what it and those that it stands on are called."""
    node = nodes[name]
    stage = node.stage

    def of(other: str | None) -> str:
        return "" if other is None else _identity(nodes, other, variant)

    written = stage.model_dump(exclude={"taught_by", "loss", "start", "partners", "training"})
    partners = {}
    for key, partner in stage.partners.items():
        model, inputs = variant.partner(stage, key)
        partners[key] = [partner.model_dump(exclude={"stage", "model", "inputs"}), model.model_dump(), inputs]
    definition = {
        **written,
        "losses": stage.losses,
        "partners": partners,
        "training": variant.settings(stage).model_dump(),
        "reset": [stage.start.reset, stage.start.partner] if stage.start else [],
        "teachers": [of(other) for other in node.teachers.values()],
        "crossed": [list(map(of, others)) for others in node.cross_teachers.values()],
        "partner_starts": {key: of(other) for key, other in node.partner_starts.items()},
        "start": of(node.start),
        "candidates": list(map(of, node.candidates)),
        "rest": [node.spoil, node.holdouts, node.all_labels, node.target],
    }
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()


def _with_hand_overs(nodes: dict[str, Node]) -> dict[str, Node]:
    wanted: dict[str, set[str]] = {name: set() for name in nodes}
    for node in nodes.values():
        if node.candidates:
            for other in [*node.candidates, *(name for names in node.judges for name in names)]:
                wanted[other].add("logits")
            continue
        for key, teacher in node.teachers.items():
            for other in (teacher, *node.cross_teachers.get(key, ())):
                wanted[other] |= taken(node, key)
    for name in reversed(list(nodes)):  # what a choice hands over, its candidates hand over
        for candidate in nodes[name].candidates:
            wanted[candidate] |= wanted[name]
    return {name: replace(node, hands_over=frozenset(wanted[name])) for name, node in nodes.items()}


def taken(node: Node, teacher: str) -> set[str]:
    """Return what a node takes of one of its teachers: ``logits`` and names of features."""
    knowledge = node.stage.knowledge
    filtered = knowledge.confidence is not None or knowledge.share is not None
    found = {"logits"} if node.spoil is not None or filtered else set()
    for loss in node.stage.made_losses().values():
        if loss.logits:
            found.add("logits")
        if not loss.of or teacher in loss.of:
            found |= set(loss.teacher_features)
    return found


def ancestors(nodes: dict[str, Node], name: str) -> list[str]:
    """Return a node with all that it stands on, in the order of the graph."""
    wanted = {name}
    for other in reversed(list(nodes)):
        if other in wanted:
            wanted |= set(nodes[other].needs)
    return [other for other in nodes if other in wanted]


def levels(nodes: dict[str, Node]) -> Iterator[list[str]]:
    """Yield the names of nodes level by level: each stands only on earlier levels."""
    level: dict[str, int] = {}
    for name, node in nodes.items():
        level[name] = 1 + max((level[other] for other in node.needs), default=-1)
    for depth in range(max(level.values(), default=-1) + 1):
        yield [name for name in nodes if level[name] == depth]


def credit_arms(taught: str, controls: list[str]) -> dict[str, str]:
    """Return the arms of the credit controls of a taught arm, by kind."""
    return {kind: f"{taught}/{kind}" for kind in CREDIT if kind in controls}
