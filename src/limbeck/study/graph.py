"""The graph of a variant's stages: what was written, and what follows from it.

Controls, ceilings and the teachers of cross-fitting are stages like any other; they are derived here from the stages
of the study, so that nothing about them has to be written by hand, and nothing can be different in them by accident.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from limbeck.distillation.controls import CREDIT
from limbeck.study.schema import Stage, Variant

__all__ = ["Node", "ancestors", "build_graph", "levels"]


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
        ``"stage"``, ``"credit"``, ``"diagnostic"``, ``"ceiling"`` or ``"helper"`` (trained, but not an arm).
    teacher : str or None
        The node that teaches it.
    cross_teachers : tuple of str
        The nodes that teach the groups of labelled subjects in cross-fitting.
    start : str or None
        The node whose weights it starts from.
    spoil : str or None
        How the teacher's knowledge is spoiled.
    holdouts : tuple of (int, int)
        Groups (k, K) of the labelled subjects that it does not see; more than one where cross-fitting is nested.
    all_labels : bool
        Whether it sees the labels that the protocol hides.
    hands_over : frozenset of str
        What it hands over to others: ``"logits"`` and names of features.
    """

    name: str
    stage: Stage
    role: str = "stage"
    teacher: str | None = None
    cross_teachers: tuple[str, ...] = ()
    start: str | None = None
    spoil: str | None = None
    holdouts: tuple[tuple[int, int], ...] = ()
    all_labels: bool = False
    hands_over: frozenset[str] = field(default_factory=frozenset)

    @property
    def needs(self) -> tuple[str, ...]:
        """The nodes that it stands on."""
        return tuple(name for name in (self.teacher, *self.cross_teachers, self.start) if name is not None)

    @property
    def is_arm(self) -> bool:
        """Whether its test predictions are compared."""
        return self.role != "helper"


def build_graph(variant: Variant) -> dict[str, Node]:
    """Return the nodes of a variant by name, each behind those that it stands on."""
    graph = _Builder(variant)
    for name in variant.stages:
        graph.add_stage(name)
    for comparison in variant.compare:
        for control in comparison.controls:
            graph.add_control(comparison.taught, control, role="credit")
        for diagnostic in comparison.diagnostics:
            graph.add_control(comparison.taught, diagnostic, role="diagnostic")
        if variant.protocol.labelled != "all":
            graph.add_ceiling(comparison.alone)
    return _with_hand_overs(graph.nodes)


class _Builder:
    def __init__(self, variant: Variant) -> None:
        self.variant = variant
        self.nodes: dict[str, Node] = {}

    def add_stage(self, name: str) -> str:
        """Add a stage as it was written, behind what it stands on."""
        if name not in self.nodes:
            stage = self.variant.stages[name]
            teacher = self.add_stage(stage.taught_by) if stage.taught_by else None
            start = self.add_stage(stage.start.stage) if stage.start else None
            node = Node(name, stage, teacher=teacher, start=start, all_labels=stage.labelled == "all")
            self.nodes[name] = self._cross_fitted(node)
        return name

    def add_control(self, taught: str, control: str, *, role: str) -> None:
        """Add a control of a taught arm: all as in the arm, but for the knowledge."""
        name = f"{taught}/{control}"
        if name not in self.nodes and self._is_taught(taught):
            self.nodes[name] = self._spoiled(taught, taught, control, name=name, role=role)

    def _is_taught(self, name: str) -> bool:
        """Whether a node has a teacher, or starts from one that has."""
        node = self.nodes[name]
        return node.teacher is not None or (node.start is not None and self._is_taught(node.start))

    def _spoiled(self, original: str, taught: str, control: str, *, name: str, role: str) -> Node:
        """Return a copy of a node whose knowledge, and that of every stage it starts from, is spoiled."""
        node = self.nodes[original]
        start = node.start
        if start is not None and self._is_taught(start):
            spoiled_start = f"{start}/{control}_of_{taught}"
            if spoiled_start not in self.nodes:
                self.nodes[spoiled_start] = self._spoiled(start, taught, control, name=spoiled_start, role="helper")
            start = spoiled_start
        copied = replace(node, name=name, role=role, start=start)
        if node.teacher is None:
            return copied
        if control != "own_input":
            return replace(copied, spoil=control)
        teacher = self._derive(node.teacher, f"own_input_of_{taught}", inputs=self.nodes[taught].stage.inputs)
        return self._cross_fitted(replace(copied, teacher=teacher, cross_teachers=()))

    def add_ceiling(self, alone: str) -> None:
        """Add what the arm that learns alone reaches with every label."""
        name = f"{alone}/all_labels"
        if name not in self.nodes:
            self.nodes[name] = replace(self.nodes[alone], name=name, role="ceiling", all_labels=True)

    def _cross_fitted(self, node: Node) -> Node:
        """Give a node the teachers of cross-fitting, each of which holds out one group."""
        count = node.stage.crossfit
        if count is None or node.teacher is None:
            return node
        teachers = tuple(
            self._derive(node.teacher, f"without_{group + 1}_of_{count}", holdouts=((group, count),))
            for group in range(count)
        )
        return replace(node, cross_teachers=teachers)

    def _derive(
        self,
        name: str,
        suffix: str,
        *,
        inputs: dict[str, list[str] | None] | None = None,
        holdouts: tuple[tuple[int, int], ...] = (),
    ) -> str:
        """Add a copy of a node, and of all that it stands on, with other inputs or without a group of subjects."""
        derived = f"{name}/{suffix}"
        if derived not in self.nodes:
            node = self.nodes[name]
            stage = node.stage if inputs is None else node.stage.model_copy(update={"inputs": dict(inputs)})

            def of(other: str) -> str:
                return self._derive(other, suffix, inputs=inputs, holdouts=holdouts)

            copied = replace(
                node,
                name=derived,
                stage=stage,
                role="helper",
                teacher=of(node.teacher) if node.teacher else None,
                start=of(node.start) if node.start else None,
                cross_teachers=tuple(of(other) for other in node.cross_teachers),
                holdouts=tuple(dict.fromkeys((*node.holdouts, *holdouts))),
            )
            self.nodes[derived] = copied
        return derived


def _with_hand_overs(nodes: dict[str, Node]) -> dict[str, Node]:
    wanted: dict[str, set[str]] = {name: set() for name in nodes}
    for node in nodes.values():
        knowledge = set()
        for loss, options in node.stage.losses.items():
            if loss == "soft" or (node.spoil is not None and loss == "hint"):
                knowledge.add("logits")
            if loss == "hint":
                knowledge.add(str(options["teacher"]))
        for teacher in (node.teacher, *node.cross_teachers):
            if teacher is not None:
                wanted[teacher] |= knowledge
    return {name: replace(node, hands_over=frozenset(wanted[name])) for name, node in nodes.items()}


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
