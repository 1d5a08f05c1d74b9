"""Losses that learn from labels."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from limbeck.distillation import functional
from limbeck.distillation.contract import LOSSES, Batch, Context, Loss, Said, one_of
from limbeck.errors import LimbeckError

__all__ = ["FORMS", "Hard", "error_of", "sum_of", "trace_error"]

Form = Literal["mse", "l1", "ccc"]

FORMS = ("mse", "l1", "ccc")
"""How far a trace is from another: squared, absolute, or one minus the concordance correlation."""


@LOSSES.register("hard")
class Hard(Loss):
    """Cross-entropy with the labels, weighted by class; the error of a trace.

    Parameters
    ----------
    weight : float
        Factor in the total.
    ordinal : bool
        For classes in an order: adds the squared earth mover's distance from the label, which grows with how far off a
        prediction is (Hou, Yu and Samaras, 2016).
    form : {"mse", "l1", "ccc"}
        For a trace: mean squared or mean absolute error, or one minus the concordance correlation, over the steps of
        each labelled window where the target has steps, else over the labelled windows of the batch. Within a window
        where the truth stands still the concordance is 0 whatever is predicted: the loss is 1 there and teaches
        nothing. Where that is common take ``mse``, or add it as a loss of its own.
    mixed : bool
        For ``ccc``: divide the variances by n - 1 but the covariance by n, as the published code of the visual-to-EEG
        distillation does, so that 1 / n of the loss is left where prediction and label agree (``true``).
    """

    labels = True
    trains_prediction = True

    def __init__(self, weight: float = 1.0, ordinal: bool = False, form: Form = "mse", mixed: bool = False) -> None:
        super().__init__(weight, "labelled")
        self.form = one_of("form", form, FORMS)
        self.ordinal, self.mixed = bool(ordinal), bool(mixed)
        if self.mixed and form != "ccc":
            raise LimbeckError(f"mixed: it is an option of the form ccc, found {form!r}; remove it or set form: ccc.")

    def join(self, context: Context) -> None:
        """Remember the kind of the target.

        Raises
        ------
        LimbeckError
            For an option of the other kind of target.
        """
        self.kind = context.kind
        if self.kind == "trace" and self.ordinal:
            raise LimbeckError("ordinal: the target is a trace, which has no classes in an order; remove it.")
        if self.kind == "class" and self.form != "mse":
            raise LimbeckError(f"form: '{self.form}' is for a trace, and the target is a class; remove it.")

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the error on the labelled windows."""
        prediction = said.plain.prediction
        if self.kind == "class":
            terms = functional.hard_target(prediction, batch.target, batch.class_weights, batch.labelled)
            if self.ordinal:
                terms |= functional.ordinal_target(prediction, batch.target, batch.class_weights, batch.labelled)
            return sum_of(terms), terms
        return (value := self._of_trace(prediction, batch)), {"hard": value}

    def _of_trace(self, prediction: Tensor, batch: Batch) -> Tensor:
        if self.mixed:
            return functional.ccc_loss(prediction, batch.target, batch.labelled, mixed=True)["ccc"]
        return trace_error(prediction, batch.target, batch.labelled, self.form)


def trace_error(prediction: Tensor, reference: Tensor, weights: Tensor, form: str) -> Tensor:
    """Return how far predicted values (batch, n_steps) are from others, in one of `FORMS`; (batch,) is one step."""
    if form == "ccc":
        return functional.ccc_loss(prediction, reference, weights)["ccc"]
    return functional.soft_trace(prediction, reference, weights, norm="l1" if form == "l1" else "l2")["soft"]


def error_of(context: Context, prediction: Tensor, target: Tensor, class_weights: Tensor, weights: Tensor) -> Tensor:
    """Return how far predictions are from labels, as the stage's loss ``hard`` takes it.

    Parameters
    ----------
    context : Context
        Says the kind of the target, and the form of a trace's error.
    prediction : Tensor of shape (batch, n_outputs)
        Logits or values.
    target : Tensor of shape (batch,) or (batch, n_steps)
        Class codes (int64) or values.
    class_weights : Tensor of shape (n_classes,)
        Weight of each class; of no effect on a trace.
    weights : Tensor of shape (batch,)
        Weight of each window.
    """
    if context.kind == "class":
        return functional.hard_target(prediction, target, class_weights, weights)["hard"]
    return trace_error(prediction, target, weights, context.form)


def sum_of(terms: dict[str, Tensor]) -> Tensor:
    """Return the sum of the terms of a loss."""
    first, *others = terms.values()
    total = first
    for other in others:
        total = total + other
    return total
