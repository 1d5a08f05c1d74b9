"""The losses of one stage put together: what a student is pulled by, and how hard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from limbeck.distillation import losses
from limbeck.errors import LimbeckError, did_you_mean
from limbeck.models.contract import InputShape, Outputs, dry_run

__all__ = ["Batch", "Criterion", "Student"]


class Batch(NamedTuple):
    """What the losses of one batch may look at; the stacked engine adds a leading axis of networks.

    Attributes
    ----------
    inputs : dict of str to Tensor
        Normalised windows by modality, batch first.
    target : Tensor of shape (batch,)
        Class codes (int64) or trace values (float32); zero where `labelled` is 0.
    labelled : Tensor of shape (batch,)
        1 where the target may be seen, 0 elsewhere.
    class_weights : Tensor of shape (n_classes,)
        From the labelled windows of the fold.
    logits : Tensor of shape (batch, n_outputs) or (batch, 0)
        The teacher's logits.
    features : dict of str to Tensor
        The teacher's features, flattened, by name.
    """

    inputs: dict[str, Tensor]
    target: Tensor
    labelled: Tensor
    class_weights: Tensor
    logits: Tensor
    features: dict[str, Tensor]


class Student(nn.Module):
    """A network in training, with the projectors that its losses need and that are left behind afterwards.

    Parameters
    ----------
    network : nn.Module
        The model; its parameters are named ``network.…``, which is what is deployed.
    projectors : mapping of str to (int, int)
        By the name of the student's feature: widths of feature and projection.
    """

    def __init__(self, network: nn.Module, projectors: Mapping[str, tuple[int, int]] | None = None) -> None:
        super().__init__()
        self.network = network
        self.projectors = nn.ModuleDict({name: nn.Linear(*widths) for name, widths in (projectors or {}).items()})

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return the network's outputs, with the projected features as ``projected.<name>``."""
        outputs: Outputs = self.network(inputs)
        projected = {
            f"projected.{name}": projector(losses.flat(outputs.features[name]))
            for name, projector in self.projectors.items()
        }
        return Outputs(outputs.prediction, {**outputs.features, **projected})


class Criterion:
    """The weighted sum of a stage's losses, for one network and one batch.

    Parameters
    ----------
    terms : mapping of str to mapping
        Per loss of `losses.LOSSES` its options; what is not given takes its default.
    kind : str
        ``"class"`` or ``"trace"``.

    Raises
    ------
    LimbeckError
        For a loss or an option that does not exist, or an option that must be given and is not.
    """

    def __init__(self, terms: Mapping[str, Mapping[str, Any]], *, kind: str) -> None:
        mistakes = [mistake for name, options in terms.items() for mistake in _mistakes(name, options)]
        if kind not in ("class", "trace"):
            mistakes.append(f"A target is of kind 'class' or 'trace', not '{kind}'.")
        if not terms:
            mistakes.append(f"A stage needs a loss.{did_you_mean('', losses.LOSSES)}")
        if mistakes:
            raise LimbeckError("\n".join(mistakes))
        self.terms = {name: {**losses.LOSSES[name].options, **options} for name, options in terms.items()}
        self.kind = kind

    @property
    def needs_logits(self) -> bool:
        """Whether some loss takes the teacher's logits."""
        return any(losses.LOSSES[name].needs == "logits" for name in self.terms)

    @property
    def teacher_features(self) -> tuple[str, ...]:
        """Names of the teacher's features that some loss takes."""
        return tuple(options["teacher"] for name, options in self.terms.items() if name == "hint")

    def projectors(
        self, network: nn.Module, shapes: Mapping[str, InputShape], teacher_widths: Mapping[str, int]
    ) -> dict[str, tuple[int, int]]:
        """Return the projectors that the losses need: feature width of the student to that of the teacher."""
        hints = [options for name, options in self.terms.items() if name == "hint"]
        if not hints:
            return {}
        features = dry_run(network, shapes).features
        for whose, has in (("student", features), ("teacher", teacher_widths)):
            for options in hints:
                if options[whose] not in has:
                    raise LimbeckError(
                        f"loss.hint.{whose}: the {whose} has no feature '{options[whose]}'."
                        f"{did_you_mean(options[whose], has)}"
                    )
        return {
            options["student"]: (losses.flat(features[options["student"]]).shape[1], teacher_widths[options["teacher"]])
            for options in hints
        }

    def __call__(self, outputs: Outputs, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the total and the unweighted terms of one batch."""
        every = torch.ones_like(batch.labelled)
        terms: dict[str, Tensor] = {}
        total = outputs.prediction.new_zeros(())
        for name, options in self.terms.items():
            if name == "hard" and self.kind == "class":
                term = losses.hard_target(outputs.prediction, batch.target, batch.class_weights, batch.labelled)
            elif name == "hard":
                term = losses.mean_squared_error(outputs.prediction, batch.target, batch.labelled)
            elif name == "soft" and self.kind == "class":
                term = losses.soft_target(
                    outputs.prediction,
                    batch.logits,
                    losses.expected_class_weights(batch.logits, batch.class_weights),
                    temperature=options["temperature"],
                )
            elif name == "soft":
                term = losses.soft_trace(outputs.prediction, batch.logits, every)
            else:
                projected = outputs.features[f"projected.{options['student']}"]
                term = losses.hint(projected, batch.features[options["teacher"]], every)
            terms.update(term)
            total = total + options["weight"] * term[name]
        return total, terms


def _mistakes(name: str, options: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with one loss of a stage, as sentences."""
    if name not in losses.LOSSES:
        return [f"There is no loss '{name}'.{did_you_mean(name, losses.LOSSES)}"]
    allowed = losses.LOSSES[name].options
    unknown = [
        f"The loss '{name}' has no option '{option}'.{did_you_mean(option, allowed)}"
        for option in options
        if option not in allowed
    ]
    missing = [
        f"The loss '{name}' needs the option '{option}'."
        for option, default in allowed.items()
        if default is None and options.get(option) is None
    ]
    return unknown + missing
