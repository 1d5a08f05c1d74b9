"""What every loss promises: options by name, what it takes of whom, named terms for one network and one batch.

A loss is a class below :class:`Loss`, registered with ``@LOSSES.register(name)``. Its constructor takes options alone,
so that a study can be checked before anything is built; :meth:`Loss.join` is then told the shapes and makes what the
loss learns or remembers (projectors, banks). It is called with what the networks said of the batch (:class:`Said`).
Everything in it runs under ``torch.vmap``: no boolean indexing, no branch on a tensor's values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from limbeck.errors import LimbeckError, did_you_mean
from limbeck.models.contract import InputShape, Outputs
from limbeck.registry import Registry

__all__ = ["LOSSES", "Batch", "Context", "Loss", "Said", "Sight", "make_losses", "number"]

LOSSES: Registry = Registry("loss")

On = Literal["all", "labelled", "unlabelled"]
"""Which windows of a batch a loss learns from."""

Shape = tuple[int, ...]


class Sight(NamedTuple):
    """One way in which a network sees the windows of a batch.

    Attributes
    ----------
    inputs : dict of str to Tensor
        Normalised windows by modality, batch first.
    notes : dict of str to Tensor
        What a change of the windows left behind: ``hidden.<modality>`` (batch, patches), ``patches.<modality>``
        (batch, patches, values), ``kind`` (batch,).
    """

    inputs: dict[str, Tensor]
    notes: dict[str, Tensor]


class Batch(NamedTuple):
    """What the losses of one batch may look at; the engine adds a leading axis of networks to every tensor.

    Attributes
    ----------
    sights : dict of str to Sight
        ``plain``: what the network reads. Further names are sights that losses ask for; those of a partner stand under
        ``<partner>/<sight>``.
    target : Tensor of shape (batch,), or (batch, n_steps) for a trace with steps
        Class codes (int64) or trace values (float32); zero where `labelled` is 0.
    labelled : Tensor of shape (batch,)
        1 where the target may be seen, 0 elsewhere.
    class_weights : Tensor of shape (n_classes,)
        From the labelled windows of the fold.
    logits : Tensor of shape (batch, n_outputs) or (batch, 0)
        What the teachers hand over, put together.
    trust : Tensor of shape (batch,)
        How much what was handed over of each window counts.
    teachers : dict of str to dict of str to Tensor
        By teacher its ``logits`` and its features, flattened.
    index : Tensor of shape (batch,), int64
        Which windows these are, from 0 over the whole data set.
    progress : Tensor of shape ()
        Share of the training that is done, in [0, 1).
    strength : Tensor of shape ()
        Of the feedback, in [0, 1]; 1 unless it is regulated.
    """

    sights: dict[str, Sight]
    target: Tensor
    labelled: Tensor
    class_weights: Tensor
    logits: Tensor
    trust: Tensor
    teachers: dict[str, dict[str, Tensor]]
    index: Tensor  # type: ignore[assignment]
    progress: Tensor
    strength: Tensor

    def target_of(self, partner: str) -> Tensor:
        """Return the targets of the windows that a partner is shown.

        Those of the network, unless a control shows the partner other ones; zero where `labelled` is 0.
        """
        sight = self.sights.get(f"{partner}/plain")
        return self.target if sight is None else sight.notes.get("target", self.target)


class Said(NamedTuple):
    """What the networks said of a batch.

    Attributes
    ----------
    network : dict of str to Outputs
        Of the network that is trained, by sight.
    partners : dict of str to dict of str to Outputs
        Of those beside it, by sight.
    logits : Tensor of shape (batch, n_outputs) or (batch, 0)
        Of the teachers together: handed over, or said just now by a teacher that is a partner.
    teachers : dict of str to dict of str to Tensor
        By teacher its ``logits`` and its features in their own shapes, batch first.
    """

    network: dict[str, Outputs]
    partners: dict[str, dict[str, Outputs]]
    logits: Tensor
    teachers: dict[str, dict[str, Tensor]]

    @property
    def plain(self) -> Outputs:
        """What the network said of the windows as they are (or as the stage augments them)."""
        return self.network["plain"]


@dataclass(frozen=True)
class Context:
    """What a loss is told before training; every shape is that of one window.

    Parameters
    ----------
    kind : str
        ``"class"`` or ``"trace"``.
    n_outputs : int
        Classes; of a trace its steps within a window, 1 where it has none.
    inputs : mapping of str to InputShape
        What the network reads.
    features : mapping of str to tuple of int
        Features of the network.
    teachers : mapping of str to mapping of str to tuple of int
        By teacher its features.
    partners : mapping of str to mapping of str to tuple of int
        By partner its features.
    partner_inputs : mapping of str to mapping of str to InputShape
        By partner what it reads.
    n_windows : int
        Of the whole data set, for memories by window.
    batch : int
        Windows per batch.
    networks : mapping of str to nn.Module
        The network under ``""`` and its partners, to ask what they are made of; a loss keeps none of them.
    learns : mapping of str to str
        By partner ``gradient``, ``average`` or ``frozen``.
    noisy : frozenset of str
        Partners that no gradient trains and whose dropout stays on.
    balanced_trust : bool
        Whether the trust in unlabelled windows already makes the teacher's decisions weigh alike, so that a loss that
        weighs them by class once more would turn an imbalance round.
    form : str
        How far a predicted trace is from the labels for the stage's loss ``hard``: ``mse``, ``l1`` or ``ccc``.
    """

    kind: str
    n_outputs: int
    inputs: Mapping[str, InputShape]
    features: Mapping[str, Shape]
    teachers: Mapping[str, Mapping[str, Shape]] = field(default_factory=dict)
    partners: Mapping[str, Mapping[str, Shape]] = field(default_factory=dict)
    partner_inputs: Mapping[str, Mapping[str, InputShape]] = field(default_factory=dict)
    n_windows: int = 0
    batch: int = 0
    networks: Mapping[str, nn.Module] = field(default_factory=dict)
    learns: Mapping[str, str] = field(default_factory=dict)
    noisy: frozenset[str] = frozenset()
    balanced_trust: bool = False
    form: str = "mse"

    def kept(self) -> Context:
        """Return what a loss may keep: all but the networks, which are copied and stored apart from it."""
        return replace(self, networks={})


class Loss(nn.Module):
    """What pulls a network; below it, one class per way of pulling.

    Attributes
    ----------
    paper : str
        Where it was published, in one line; empty for what is common knowledge.
    kinds : tuple of str
        Kinds of target that it knows: ``class``, ``trace``.
    labels : bool
        Whether it learns from labels alone; where no loss does more, unlabelled windows are not drawn.
    trains_prediction : bool
        Whether it teaches the network to predict the target; a stage whose losses do not is not compared.
    logits : bool
        Whether it takes the teachers' logits.
    relational : bool
        Whether it compares windows with each other, so that features of different teachers need no common space.
    fewest : int
        Windows that it compares with each other, at least; a batch must hold as many.
    sights : tuple of str
        How the network has to see the windows for it.
    weight : float
        Factor of its value in the total.
    """

    paper: ClassVar[str] = ""
    kinds: ClassVar[tuple[str, ...]] = ("class", "trace")
    labels: ClassVar[bool] = False
    trains_prediction: ClassVar[bool] = False
    logits: ClassVar[bool] = False
    relational: ClassVar[bool] = False
    fewest: ClassVar[int] = 1
    sights: tuple[str, ...] = ("plain",)

    def __init__(self, weight: float = 1.0, on: On = "all") -> None:
        super().__init__()
        self.weight = number("weight", weight, above=0.0)
        if on not in ("all", "labelled", "unlabelled"):
            raise LimbeckError(f"on: expected all, labelled or unlabelled, found {on!r}.")
        self.on = on

    @property
    def student_features(self) -> tuple[str, ...]:
        """Names of the network's features that it reads."""
        return ()

    @property
    def teacher_features(self) -> tuple[str, ...]:
        """Names of the teachers' features that it takes."""
        return ()

    @property
    def of(self) -> tuple[str, ...]:
        """The teachers whose features it takes; empty for all of the stage."""
        return ()

    @property
    def partner_sights(self) -> Mapping[str, tuple[str, ...]]:
        """By partner the sights that it needs of it."""
        return {}

    def changes(self) -> Mapping[str, Any]:
        """Return by sight the random change of the windows that makes it; known once the loss is joined.

        A change has ``noise(batch, rng)``, all that is random for one network as nested arrays with the batch first,
        and ``apply(inputs, noise)``, which returns changed inputs and notes, with any axes before the batch.
        """
        return {}

    def join(self, context: Context) -> None:
        """Make what the loss learns or remembers, knowing the shapes.

        Raises
        ------
        LimbeckError
            When it cannot be used here, saying what would work.
        """

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of one network on one batch, and its unweighted terms by name."""
        raise NotImplementedError

    def weights(self, batch: Batch) -> Tensor:
        """Return the weight of each window: where the loss learns, times the trust in what was handed over."""
        if self.on == "labelled":
            return batch.labelled * batch.trust
        if self.on == "unlabelled":
            return (1.0 - batch.labelled) * batch.trust
        return batch.trust


def number(
    name: str, value: Any, *, above: float | None = None, least: float | None = None, most: float = math.inf
) -> float:
    """Return an option as a float, or refuse it with its name.

    Raises
    ------
    LimbeckError
        When it is no number, or not within the bounds.
    """
    bound = f"above {above:g}" if above is not None else f"of at least {least:g}" if least is not None else ""
    bound += f" and at most {most:g}" if math.isfinite(most) else ""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if good and (above is None or value > above) and (least is None or value >= least) and value <= most:
        return float(value)
    raise LimbeckError(f"{name}: expected a number{' ' + bound if bound else ''}, found {value!r}.")


def whole(option: str, value: int, least: int = 1) -> int:
    """Return an option that is a whole number, or refuse it with its name.

    Raises
    ------
    LimbeckError
        When it is none, or too small.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise LimbeckError(f"{option}: expected a whole number of at least {least}, found {value!r}.")
    return value


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """Return an option that is one of some words, or refuse it.

    Raises
    ------
    LimbeckError
        For another value.
    """
    if value not in allowed:
        near = did_you_mean(str(value).lower(), allowed)
        meant = near if near.startswith(" Did you mean") else ""  # all that is allowed stands there already
        raise LimbeckError(f"{name}: expected one of {', '.join(allowed)}, found {value!r}.{meant}")
    return value


def make_losses(terms: Mapping[str, Mapping[str, Any]]) -> dict[str, Loss]:
    """Return the losses of a stage by the names that the study gives them.

    Parameters
    ----------
    terms : mapping of str to mapping
        By name the options; ``loss`` among them names the kind where it is not the name itself.

    Raises
    ------
    LimbeckError
        With every loss and option that does not exist, and every value that is not taken.
    """
    mistakes, losses = [], {}
    for name, given in terms.items():
        options = dict(given)
        kind = str(options.pop("loss", name))
        if kind not in LOSSES:
            mistakes.append(f"{name}: there is no loss '{kind}'.{did_you_mean(kind, LOSSES)}")
            continue
        allowed = LOSSES.options(kind)
        wrong = [
            f"{name}: there is no option '{option}'.{did_you_mean(option, allowed)}"
            for option in options
            if option not in allowed
        ]
        mistakes += wrong
        if not wrong:
            try:
                losses[name] = LOSSES[kind](**options)
            except LimbeckError as error:
                mistakes += [f"{name}.{line}" for line in str(error).splitlines()]
    if not terms:
        mistakes.append(f"a stage needs a loss.{did_you_mean('', LOSSES)}")
    if mistakes:
        raise LimbeckError("\n".join(mistakes))
    return losses


def as_batch_of(shape: Shape, values: Tensor) -> Tensor:
    """Return flattened values (batch, width) in the shape that one window has."""
    return values.reshape(values.shape[0], *shape) if shape else torch.squeeze(values, -1)
