"""Steps of a training: which part learns from what, in which order.

Most ways of teaching are one step: the gradient of all losses moves everything that learns. Where the teacher learns
how to teach, a step has phases: the student is taught, and then its teacher is told how the student does afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from limbeck.distillation.contract import Batch, number, whole
from limbeck.errors import LimbeckError
from limbeck.registry import Registry

__all__ = ["STEPS", "Feedback", "Joint", "Phase", "make_steps"]

STEPS: Registry = Registry("step")

Tensors = Mapping[str, Tensor]
Losses = tuple[Tensor, dict[str, Tensor]]
Evaluate = Callable[[Tensors, Batch, str], Losses]
"""Run the learner with these parameters on a batch: the sum and the terms of a part (see ``Learner.forward``)."""

Mode = Literal["none", "ce_only", "second_order", "finite_diff"]
Order = Literal["teach_first", "feedback_first"]


@dataclass(frozen=True)
class Phase:
    """One update within a step.

    Parameters
    ----------
    trains : tuple of str
        Prefixes of the parameters that it moves; an empty one is all.
    loss : callable
        From how to evaluate the learner, its parameters and a batch to a loss with its terms, for one network.
    training : bool
        Whether dropout and batch statistics are those of training; otherwise running statistics are used and stay.
    rate : float or None
        Learning rate where it is not that of the stage.
    name : str
        Of its loss in the history.
    """

    trains: tuple[str, ...]
    loss: Callable[[Evaluate, Tensors, Batch], Losses]
    training: bool = True
    rate: float | None = None
    name: str = "loss"


@STEPS.register("joint")
class Joint:
    """All losses move everything that learns, at once."""

    quiz = 0
    regulated = False
    partner = ""

    def phases(self, step: int, rate: float) -> Sequence[Phase]:
        """Return the phases of a step; `rate` is the learning rate of the stage."""
        return (Phase(("",), lambda evaluate, parameters, batch: evaluate(parameters, batch, "losses")),)


@STEPS.register("feedback")
class Feedback:
    """A teacher that learns to teach: after the student's step it is told how the student would do in a quiz.

    Two phases. *Teach*: the student takes a step on its losses, the teacher stays as it is. *Feedback*: a copy of the
    student takes one step of gradient descent on the same losses and is examined on other labelled windows of training
    subjects; the teacher moves down the gradient of its own error in that quiz plus the copy's, which reaches it
    through what it taught. The copy is thrown away.

    Parameters
    ----------
    partner : str
        The partner that teaches.
    mode : {"second_order", "finite_diff", "ce_only", "none"}
        How the copy's error reaches the teacher: exactly; by two further evaluations of the losses; not at all (the
        copy's error is a number without gradient there, which is what the released code of EmotionKD does); or the
        teacher does not learn.
    order : {"teach_first", "feedback_first"}
        Whether the student is taught before or after the teacher learns (MetaDistil: after).
    every : int
        Steps of the student for each of the teacher.
    teacher_weight, student_weight : float
        Of the teacher's own error in the quiz, and of the copy's.
    inner_rate : float or None
        Step size of the copy; the learning rate of the stage by default.
    teacher_rate : float or None
        Learning rate of the teacher; that of the stage by default.
    quiz : int
        Labelled windows of a quiz, none of which is in the batch that teaches.
    regulated : bool
        Whether the copy's part is weighted, epoch by epoch, by how much worse the student is than its teacher on the
        validation subjects: clip((CE_student - CE_teacher) / CE_teacher, 0, 1).

    References
    ----------
    Liu, Jia and Wang, EmotionKD, ACM Multimedia 2023; Zhou, Xu and McAuley, BERT learns to teach (MetaDistil), ACL
    2022; Zhang and Lu, Multimodal knowledge distillation for emotion recognition, Brain Sciences 15, 2025.
    """

    def __init__(
        self,
        partner: str = "teacher",
        mode: Mode = "second_order",
        order: Order = "teach_first",
        every: int = 1,
        teacher_weight: float = 1.0,
        student_weight: float = 1.0,
        inner_rate: float | None = None,
        teacher_rate: float | None = None,
        quiz: int = 16,
        regulated: bool = False,
    ) -> None:
        for name, value, allowed in (("mode", mode, get_args(Mode)), ("order", order, get_args(Order))):
            if value not in allowed:
                raise LimbeckError(f"{name}: expected one of {', '.join(allowed)}, found {value!r}.")
        whole("every", every)
        whole("quiz", quiz)
        if not isinstance(partner, str):
            raise LimbeckError(f"partner: expected the name of a partner, found {partner!r}.")
        self.partner, self.mode, self.order, self.every = partner, mode, order, every
        self.teacher_weight = number("teacher_weight", teacher_weight, least=0.0)
        self.student_weight = number("student_weight", student_weight, least=0.0)
        self.inner_rate = None if inner_rate is None else number("inner_rate", inner_rate, above=0.0)
        self.teacher_rate = None if teacher_rate is None else number("teacher_rate", teacher_rate, above=0.0)
        self.quiz = 0 if mode == "none" else quiz
        self.regulated = bool(regulated) and mode != "none"

    def phases(self, step: int, rate: float) -> Sequence[Phase]:
        """Return the phases of a step; `rate` is the learning rate of the stage."""
        teach = Phase(("network.", "losses."), lambda evaluate, p, batch: evaluate(p, batch, "losses"))
        if self.mode == "none" or step % self.every:
            return (teach,)
        inner = self.inner_rate or rate

        def learn(evaluate: Evaluate, parameters: Tensors, batch: Batch) -> Losses:
            return self._feedback(evaluate, parameters, batch, inner)

        feedback = Phase((self._prefix,), learn, training=False, rate=self.teacher_rate, name="feedback")
        return (teach, feedback) if self.order == "teach_first" else (feedback, teach)

    @property
    def _prefix(self) -> str:
        return f"partners.{self.partner}."

    def _feedback(self, evaluate: Evaluate, parameters: Tensors, batch: Batch, rate: float) -> Losses:
        """Return the teacher's loss in the quiz; only its gradient for the teacher counts."""
        teacher = {name: value for name, value in parameters.items() if name.startswith(self._prefix)}
        student = {name: value.detach() for name, value in parameters.items() if name not in teacher}

        def taught(own: Tensors) -> Tensor:
            return evaluate({**teacher, **own}, batch, "linked")[0]

        _, errors = evaluate({**teacher, **student}, batch, "quiz")
        weight = self.student_weight * batch.strength
        if self.mode == "ce_only":
            told = errors["network"].detach()
        else:
            gradient = torch.func.grad(taught)(student)
            ahead = {name: value - rate * gradient[name] for name, value in student.items()}
            if self.mode == "second_order":
                told = evaluate({**teacher, **ahead}, batch, "quiz")[1]["network"]
            else:
                told = self._by_differences(evaluate, teacher, student, ahead, batch, taught, rate)
        total = self.teacher_weight * errors[self.partner] + weight * told
        return total, {"quiz.teacher": errors[self.partner], "quiz.student": errors["network"]}

    def _by_differences(
        self,
        evaluate: Evaluate,
        teacher: Tensors,
        student: Tensors,
        ahead: Tensors,
        batch: Batch,
        taught: Callable[[Tensors], Tensor],
        rate: float,
    ) -> Tensor:
        """Return a number whose gradient for the teacher is that of the copy's error, to second order in a small step.

        The mixed derivative times a vector is the difference of the losses' gradient along that vector.
        """
        fixed = {name: value.detach() for name, value in teacher.items()}

        def examined(own: dict[str, Tensor]) -> Tensor:
            return evaluate({**fixed, **own}, batch, "quiz")[1]["network"]

        direction = torch.func.grad(examined)({name: value.detach() for name, value in ahead.items()})
        direction = {name: value.detach() for name, value in direction.items()}
        norm = torch.sqrt(sum((value.square().sum() for value in direction.values()), start=batch.strength * 0.0))
        size = (0.01 / norm.clamp_min(1e-12)).detach()
        forth = taught({name: student[name] + size * value for name, value in direction.items()})
        back = taught({name: student[name] - size * value for name, value in direction.items()})
        return -rate * (forth - back) / (2.0 * size)


def make_steps(given: Mapping[str, Mapping[str, Any]] | None) -> Joint | Feedback:
    """Return the steps that a stage names, as ``{feedback: {options}}``; the joint ones by default.

    Raises
    ------
    LimbeckError
        For steps or options that do not exist, or values that they do not take.
    """
    if not given:
        return Joint()
    if len(given) > 1:
        raise LimbeckError(f"a stage takes one kind of step, found {', '.join(given)}.")
    ((name, options),) = given.items()
    mistakes = STEPS.mistakes(name, options or {})
    if mistakes:
        raise LimbeckError("\n".join(mistakes))
    steps: Joint | Feedback = STEPS[name](**(options or {}))
    return steps
