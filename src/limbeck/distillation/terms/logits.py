"""Losses that take what teachers predict."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as nn_functional
from torch import Tensor, nn

from limbeck.distillation import functional
from limbeck.distillation.contract import LOSSES, Batch, Context, Loss, On, Said, number, one_of
from limbeck.distillation.functional.weighting import known, one_of_n, shares, steps
from limbeck.distillation.terms.labels import error_of, sum_of
from limbeck.errors import LimbeckError
from limbeck.models.layers import Dropout

__all__ = [
    "Decoupled",
    "Dense",
    "Gated",
    "OrdinalSoft",
    "Pseudo",
    "Soft",
    "SoftCrossEntropy",
    "class_balanced",
    "errors_of_teachers",
    "shares_of_best",
    "soft_distance",
]

Select = Literal["none", "window", "batch"]
SELECTIONS = ("none", "window", "batch")
GATE_WIDTH = 64


@LOSSES.register("soft")
class Soft(Loss):
    """Hinton's soft target: T² times the divergence from the teacher's softened probabilities.

    The squared distance from the teacher's value for a trace, which has no temperature.

    Parameters
    ----------
    weight : float
        Factor in the total.
    temperature : float
        Both logits are divided by it.
    student_temperature : float or None
        Divides the student's logits where it is not `temperature`; 1 softens the teacher alone, as snapshot
        distillation does. The loss is multiplied by its square.
    t_squared : bool
        Multiply by the temperature squared, which keeps the gradient of one size whatever the temperature. The
        published code of SDT and of densely guided distillation leaves it out, so that at T = 8 the term all but
        vanishes (``false``).
    reverse : bool
        Take the divergence of the teacher from the student. The published code of densely guided distillation does,
        since the arguments of its divergence are swapped (``true``).
    balanced : bool
        Weigh a window by the class weights of the classes that the teacher sees in it, as the hard loss weighs it by
        that of its label; unlabelled windows that ``knowledge: {balance: true}`` balances already are not weighed
        again. The literature weighs all windows alike (``false``), and so does every published code named here.
    select : {"none", "window", "batch"}
        Of several teachers, follow all together; for each labelled window the one that errs least on it (and all
        together where there is no label); or the one that errs least on the labelled windows of the batch, for all of
        them, as MT-PKDOT does: a teacher that is right about one window then answers for all others.
    of_probabilities : bool
        Soften probabilities as if they were logits, as a published programme for fear does (``true``): they lie between
        0 and 1, so little is left of the divergence.
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from.
    """

    paper: ClassVar[str] = "Hinton, Vinyals and Dean, Distilling the knowledge in a neural network, 2015"
    trains_prediction = True
    logits = True

    def __init__(
        self,
        weight: float = 1.0,
        temperature: float = 2.0,
        student_temperature: float | None = None,
        t_squared: bool = True,
        reverse: bool = False,
        balanced: bool = True,
        select: Select = "none",
        of_probabilities: bool = False,
        on: On = "all",
    ) -> None:
        super().__init__(weight, on)
        self.temperature = number("temperature", temperature, above=0.0)
        own = temperature if student_temperature is None else student_temperature
        self.student_temperature = number("student_temperature", own, above=0.0)
        self.t_squared, self.reverse, self.balanced = bool(t_squared), bool(reverse), bool(balanced)
        self.select = one_of("select", select, SELECTIONS)
        self.of_probabilities = bool(of_probabilities)

    def join(self, context: Context) -> None:
        """Remember the kind of the target and the teachers.

        Raises
        ------
        LimbeckError
            For a selection among fewer than two teachers.
        """
        self.kind, self.among, self.settled = context.kind, tuple(context.teachers), context.balanced_trust
        if self.select != "none":
            refuse_fewer_than_two("select", self.among)

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the distance from the teachers' predictions."""
        prediction, weights = said.plain.prediction, self.weights(batch)
        heard = known(self._heard(said, batch), weights)
        if self.kind == "trace":
            terms = functional.soft_trace(prediction, heard, weights)
            return terms["soft"], terms
        if self.balanced:
            weights = class_balanced(heard, batch, weights, settled=self.settled)
        if self.of_probabilities:
            prediction, heard = prediction.softmax(dim=-1), heard.softmax(dim=-1)
        terms = functional.soft_target(
            prediction,
            heard,
            weights,
            temperature=self.temperature,
            student_temperature=self.student_temperature,
            scale=self.t_squared,
            reverse=self.reverse,
        )
        return terms["soft"], terms

    def _heard(self, said: Said, batch: Batch) -> Tensor:
        """Return the logits (batch, n_outputs) that are followed."""
        if self.select == "none":
            return said.logits
        spoken = torch.stack([said.teachers[name]["logits"] for name in self.among], dim=1)
        errors = errors_of_teachers(spoken, batch, self.kind)
        if self.select == "batch":
            return (shares_of_best(errors, batch.labelled)[:, None] * spoken).sum(dim=1)
        best = one_of_n(errors.argmin(dim=1), len(self.among), spoken)
        return torch.where(batch.labelled[:, None] > 0, (best[..., None] * spoken).sum(dim=1), said.logits)


@LOSSES.register("soft_ce")
class SoftCrossEntropy(Loss):
    """Cross-entropy with the teacher's softened probabilities, times T²: the gradient of ``soft``, another value.

    Parameters
    ----------
    weight : float
        Factor in the total.
    temperature : float
        Both logits are divided by it.
    balanced : bool
        Weigh a window by the class weights of the classes that the teacher sees in it, as ``soft`` does; the literature
        weighs all windows alike (``false``).
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from.
    """

    paper: ClassVar[str] = "Hinton, Vinyals and Dean, Distilling the knowledge in a neural network, 2015"
    kinds = ("class",)
    trains_prediction = True
    logits = True

    def __init__(self, weight: float = 1.0, temperature: float = 2.0, balanced: bool = True, on: On = "all") -> None:
        super().__init__(weight, on)
        self.temperature, self.balanced = number("temperature", temperature, above=0.0), bool(balanced)

    def join(self, context: Context) -> None:
        """Remember whether trust is balanced already."""
        self.settled = context.balanced_trust

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the cross-entropy."""
        weights = self.weights(batch)
        if self.balanced:
            weights = class_balanced(said.logits, batch, weights, settled=self.settled)
        terms = functional.soft_cross_entropy(said.plain.prediction, said.logits, weights, temperature=self.temperature)
        return terms["soft"], {"soft_ce": terms["soft"]}


@LOSSES.register("dkd")
class Decoupled(Loss):
    """Soft targets in two parts: how sure the teacher is of the class, and how it sees the others.

    The class is the label, or the teacher's decision where there is none. With two classes there are no others, and the
    second part is 0.

    Parameters
    ----------
    weight : float
        Factor in the total.
    temperature : float
        Both logits are divided by it.
    alpha, beta : float
        Weights of the two parts.
    as_released : bool
        Of the divergence in the first part, p log(p / q) + (1 - p) log((1 - p) / (1 - q)), the released code of a
        follow-up on emotion keeps the first half alone (``true``): the student is not drawn to the teacher's
        probability but ever above it, and the value may be below 0. Nothing is balanced then.
    balanced : bool
        Weigh a window by the class weights of the classes that the teacher sees in it, as ``soft`` does; the literature
        weighs all windows alike (``false``).
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from.
    """

    paper: ClassVar[str] = "Zhao et al., Decoupled knowledge distillation, CVPR 2022"
    kinds = ("class",)
    trains_prediction = True
    logits = True

    def __init__(
        self,
        weight: float = 1.0,
        temperature: float = 4.0,
        alpha: float = 1.0,
        beta: float = 1.0,
        as_released: bool = False,
        balanced: bool = True,
        on: On = "all",
    ) -> None:
        super().__init__(weight, on)
        self.temperature = number("temperature", temperature, above=0.0)
        self.alpha, self.beta = number("alpha", alpha, least=0.0), number("beta", beta, least=0.0)
        if not self.alpha and not self.beta:
            raise LimbeckError("alpha: it and beta are both 0, which leaves nothing to learn; raise one of them.")
        self.as_released = bool(as_released)
        self.balanced = bool(balanced) and not self.as_released

    def join(self, context: Context) -> None:
        """Remember whether trust is balanced already."""
        self.settled = context.balanced_trust

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the sum of the two parts."""
        weights = self.weights(batch)
        heard = known(said.logits, weights)
        target = torch.where(batch.labelled > 0, batch.target, heard.argmax(dim=-1))
        if self.balanced:
            weights = class_balanced(heard, batch, weights, settled=self.settled)
        terms = functional.decoupled(
            said.plain.prediction,
            heard,
            target,
            weights,
            alpha=self.alpha,
            beta=self.beta,
            temperature=self.temperature,
            as_released=self.as_released,
        )
        return sum_of(terms), terms


@LOSSES.register("ordinal")
class OrdinalSoft(Loss):
    """Squared earth mover's distance from the teacher's softened distribution over classes in an order.

    Parameters
    ----------
    weight : float
        Factor in the total.
    temperature : float
        Both logits are divided by it; the loss is multiplied by its square.
    balanced : bool
        Weigh a window by the class weights of the classes that the teacher sees in it, as ``soft`` does; the literature
        weighs all windows alike (``false``).
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from.
    """

    paper: ClassVar[str] = "Hou, Yu and Samaras, Squared earth mover's distance-based loss, 2016"
    kinds = ("class",)
    trains_prediction = True
    logits = True

    def __init__(self, weight: float = 1.0, temperature: float = 1.0, balanced: bool = True, on: On = "all") -> None:
        super().__init__(weight, on)
        self.temperature, self.balanced = number("temperature", temperature, above=0.0), bool(balanced)

    def join(self, context: Context) -> None:
        """Remember whether trust is balanced already."""
        self.settled = context.balanced_trust

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the distance."""
        weights = self.weights(batch)
        if self.balanced:
            weights = class_balanced(said.logits, batch, weights, settled=self.settled)
        terms = functional.ordinal_soft(said.plain.prediction, said.logits, weights, temperature=self.temperature)
        return terms["ordinal_soft"], {"ordinal": terms["ordinal_soft"]}


@LOSSES.register("pseudo")
class Pseudo(Loss):
    """Cross-entropy with the teacher's decisions, as if they were labels: weighed by class as labels are.

    Unlabelled windows that ``knowledge: {balance: true}`` balances already are not weighed by class again.

    Parameters
    ----------
    weight : float
        Factor in the total.
    threshold : float
        Windows of whose class the teacher is less sure than this are left out; 0 keeps all.
    by_confidence : bool
        Weigh windows by the teacher's probability of the class that it decides for.
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from.
    """

    paper: ClassVar[str] = "Lee, Pseudo-label, ICML workshops 2013"
    kinds = ("class",)
    trains_prediction = True
    logits = True

    def __init__(
        self, weight: float = 1.0, threshold: float = 0.0, by_confidence: bool = False, on: On = "unlabelled"
    ) -> None:
        super().__init__(weight, on)
        self.threshold = number("threshold", threshold, least=0.0, most=1.0)
        self.by_confidence = bool(by_confidence)

    def join(self, context: Context) -> None:
        """Remember whether trust is balanced already."""
        self.settled = context.balanced_trust

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean over the windows that remain."""
        weights = self.weights(batch)
        decision = known(said.logits, weights).argmax(dim=-1)
        terms = functional.pseudo_label(
            said.plain.prediction,
            said.logits,
            weights * settled_as(self.settled, batch, batch.class_weights[decision]),
            threshold=self.threshold,
            by_confidence=self.by_confidence,
        )
        return terms["pseudo"], terms


@LOSSES.register("gated")
class Gated(Loss):
    """Soft targets from a mixture of several teachers, in proportions that a small gate learns for each window.

    The gate reads what all teachers say and learns from the labels to mix them; the student learns from the mixture,
    and does not move the gate.

    Parameters
    ----------
    weight : float
        Factor in the total, of the gate's error too.
    temperature : float
        Of the divergence from the mixture; without effect on a trace.
    balanced : bool
        Weigh a window by the class weights of the classes that the mixture sees in it, as ``soft`` does; the literature
        weighs all windows alike (``false``).
    on : {"all", "labelled", "unlabelled"}
        Windows on which the student follows the mixture; the gate learns on labelled ones.
    """

    paper: ClassVar[str] = "After Lan, Zhu and Gong, Knowledge distillation by on-the-fly native ensemble, NeurIPS 2018"
    trains_prediction = True
    logits = True

    def __init__(self, weight: float = 1.0, temperature: float = 3.0, balanced: bool = True, on: On = "all") -> None:
        super().__init__(weight, on)
        self.temperature, self.balanced = number("temperature", temperature, above=0.0), bool(balanced)

    def join(self, context: Context) -> None:
        """Make the gate.

        Raises
        ------
        LimbeckError
            For fewer than two teachers.
        """
        self.context, self.among = context.kept(), tuple(context.teachers)
        refuse_fewer_than_two("taught_by", self.among)
        n_teachers = len(self.among)
        self.gate = nn.Sequential(
            nn.Linear(n_teachers * context.n_outputs, GATE_WIDTH), nn.ReLU(), nn.Linear(GATE_WIDTH, n_teachers)
        )

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the distance from the mixture, and the mixture's own error."""
        weights, prediction = self.weights(batch), said.plain.prediction
        spoken = torch.stack([known(said.teachers[name]["logits"], batch.trust) for name in self.among], dim=1)
        gate = self.gate(spoken.flatten(1))
        mixture, followed = functional.gated_mixture(spoken, gate), functional.gated_mixture(spoken, gate.detach())
        soft = soft_distance(
            self.context, prediction, followed, batch, weights, temperature=self.temperature, balanced=self.balanced
        )
        # What a teacher hands over of a window that nobody trusts tells the gate nothing.
        heard = batch.labelled * (batch.trust > 0)
        wrong = error_of(self.context, mixture, batch.target, batch.class_weights, heard)
        return soft + wrong, {"gated": soft, "gate": wrong}


@LOSSES.register("dense")
class Dense(Loss):
    """Soft targets of every teacher apart, each of which is left out of a step by chance.

    For a student that learns from a teacher and all its assistants. The sum over the teachers, as published.

    Parameters
    ----------
    weight : float
        Factor in the total.
    temperature : float
        Both logits are divided by it; without effect on a trace.
    drop : float
        Probability with which a teacher is left out of a step, drawn for each teacher, network and step.
    t_squared : bool
        Multiply by the temperature squared; the released code does not (``false``).
    reverse : bool
        Take the divergence of the teacher from the student, as the released code does (``true``).
    balanced : bool
        Weigh a window by the class weights of the classes that the teacher sees in it, as ``soft`` does; the literature
        weighs all windows alike (``false``).
    on : {"all", "labelled", "unlabelled"}
        Windows that it learns from.
    """

    paper: ClassVar[str] = (
        "Son et al., Densely guided knowledge distillation using multiple teacher assistants, ICCV 2021"
    )
    trains_prediction = True
    logits = True

    def __init__(
        self,
        weight: float = 1.0,
        temperature: float = 2.0,
        drop: float = 0.5,
        t_squared: bool = True,
        reverse: bool = False,
        balanced: bool = True,
        on: On = "all",
    ) -> None:
        super().__init__(weight, on)
        self.temperature = number("temperature", temperature, above=0.0)
        self.drop = number("drop", drop, least=0.0)
        if self.drop >= 1:
            raise LimbeckError(
                f"drop: expected a probability below 1, found {drop!r}; 1 would leave out every teacher."
            )
        self.t_squared, self.reverse, self.balanced = bool(t_squared), bool(reverse), bool(balanced)

    def join(self, context: Context) -> None:
        """Remember the teachers; what is left out is drawn like the masks of dropout.

        Raises
        ------
        LimbeckError
            When there is no teacher.
        """
        self.context, self.among = context.kept(), tuple(context.teachers)
        if not self.among:
            raise LimbeckError("taught_by: there is no teacher; name some.")
        self.dropout = Dropout(self.drop)

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the sum over the teachers that are there, and the distance from each."""
        weights, prediction = self.weights(batch), said.plain.prediction
        apart = torch.stack(
            [
                soft_distance(
                    self.context,
                    prediction,
                    known(said.teachers[name]["logits"], weights),
                    batch,
                    weights,
                    temperature=self.temperature,
                    scale=self.t_squared,
                    reverse=self.reverse,
                    balanced=self.balanced,
                )
                for name in self.among
            ]
        )
        # The mask holds 0 or 1 / (1 - drop); a teacher that is there counts once.
        value = (self.dropout(torch.ones_like(apart)) * (1.0 - self.drop) * apart).sum()
        return value, dict(zip(self.among, apart.unbind(), strict=True))


def class_balanced(teacher: Tensor, batch: Batch, weights: Tensor, *, settled: bool) -> Tensor:
    """Return weights of windows times the class weight that the teacher makes one expect of each.

    Parameters
    ----------
    teacher : Tensor of shape (batch, n_classes)
        Its logits; no gradient reaches it from here, or a teacher that learns how to teach would do so by the weight
        of windows rather than by what it says of them.
    batch : Batch
        With the class weights.
    weights : Tensor of shape (batch,)
        Weight of each window.
    settled : bool
        Whether the weights of unlabelled windows are balanced already.
    """
    expected = functional.expected_class_weights(known(teacher, weights), batch.class_weights).detach()
    return weights * settled_as(settled, batch, expected)


def settled_as(settled: bool, batch: Batch, class_weights: Tensor) -> Tensor:
    """Return the class weight (batch,) of each window; 1 for unlabelled ones where their trust is balanced already."""
    return torch.where(batch.labelled > 0, class_weights, 1.0) if settled else class_weights


def soft_distance(
    context: Context,
    own: Tensor,
    other: Tensor,
    batch: Batch,
    weights: Tensor,
    *,
    temperature: float,
    scale: bool = True,
    reverse: bool = False,
    balanced: bool = True,
) -> Tensor:
    """Return how far a prediction is from another: the divergence of classes, the squared difference of traces.

    Parameters
    ----------
    context : Context
        Says the kind of the target, and whether trust is balanced already.
    own, other : Tensor of shape (batch, n_outputs)
        What is moved, and what it is moved to.
    batch : Batch
        With the class weights.
    weights : Tensor of shape (batch,)
        Weight of each window.
    temperature, scale, reverse
        Of :func:`~limbeck.distillation.functional.soft_target`.
    balanced : bool
        Weigh windows by the classes that the other one sees in them.
    """
    if context.kind == "trace":
        return functional.soft_trace(own, other, weights)["soft"]
    if balanced:
        weights = class_balanced(other, batch, weights, settled=context.balanced_trust)
    return functional.soft_target(own, other, weights, temperature=temperature, scale=scale, reverse=reverse)["soft"]


def errors_of_teachers(spoken: Tensor, batch: Batch, kind: str) -> Tensor:
    """Return how wrong each teacher is about each window: cross-entropy, or the squared error of a trace.

    Parameters
    ----------
    spoken : Tensor of shape (batch, n_teachers, n_outputs)
        What the teachers say.
    batch : Batch
        With the targets; where there is no label the error means nothing.
    kind : {"class", "trace"}
        Of the target.

    Returns
    -------
    Tensor of shape (batch, n_teachers)
        Without gradient: it is there to choose by.
    """
    spoken = known(spoken, batch.trust).detach()
    if kind == "trace":
        return (spoken - steps(batch.target)[:, None]).square().mean(dim=-1)
    index = batch.target[:, None, None].expand(-1, spoken.shape[1], 1)
    return -nn_functional.log_softmax(spoken, dim=-1).gather(-1, index)[..., 0]


def shares_of_best(errors: Tensor, labelled: Tensor) -> Tensor:
    """Return 1 for the teacher (n_teachers,) that errs least on the labelled windows together, 0 for the others."""
    mean = (shares(labelled)[:, None] * errors).sum(dim=0)
    return one_of_n(mean.argmin(), errors.shape[1], errors)


def refuse_fewer_than_two(place: str, teachers: tuple[str, ...]) -> None:
    """Refuse to choose or mix where there is no choice.

    Raises
    ------
    LimbeckError
        For fewer than two teachers.
    """
    if len(teachers) < 2:
        raise LimbeckError(
            f"{place}: it takes at least 2 teachers, found {len(teachers)}; name more in taught_by, or use soft "
            "for one."
        )
