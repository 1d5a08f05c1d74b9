"""The learner: a network in training with all that helps it and is left behind afterwards.

Beside the network stand its *losses*, some of which learn or remember something themselves (projectors, banks,
discriminators), and its *partners*: networks that train with it, that are its slow average, or that are asked at every
step because their answers change from step to step.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from limbeck.distillation.contract import Batch, Context, Loss, Said, Sight, as_batch_of
from limbeck.distillation.terms.labels import Hard, error_of
from limbeck.errors import LimbeckError
from limbeck.models.contract import InputShape, Outputs, dry_run
from limbeck.models.layers import Dropout

__all__ = ["Learner", "Partner", "feature_shapes"]

Learns = Literal["gradient", "average", "frozen"]
Part = Literal["losses", "linked", "quiz"]


@dataclass(frozen=True)
class Partner:
    """A network beside the one that is trained.

    Parameters
    ----------
    network : nn.Module or None
        The network; None for a slow average of the trained one.
    inputs : mapping of str to InputShape
        What it reads.
    learns : {"gradient", "average", "frozen"}
        Whether losses train it, it follows the trained network (the exponential moving average of its weights), or it
        stays as it is.
    dropout : bool
        Whether a partner that no gradient trains keeps its dropout: each of its answers is another sub-network's.
    momentum : float
        Of an average: the share of itself that it keeps in a step, once the training is past its start.
    of : str or None
        Of an average: the partner that it follows, one that learns by gradient; the trained network by default.
    teaches : bool
        Whether its answers stand for what the teacher of this name hands over.
    """

    network: nn.Module | None
    inputs: Mapping[str, InputShape]
    learns: Learns = "gradient"
    dropout: bool = False
    momentum: float = 0.99
    of: str | None = None
    teaches: bool = False


class Learner(nn.Module):
    """A network with its losses and partners.

    Called with a batch, it returns the weighted sum of its losses and their terms.

    Parameters
    ----------
    network : nn.Module
        What is trained.
    losses : mapping of str to Loss
        By name; they are joined to the network here.
    context : Context
        What they are told.
    partners : mapping of str to Partner
        By name.
    deployed : str
        Which of the networks predicts in the end: ``network``, or the name of a partner that averages it.
    still : str
        A partner that learns by feedback alone: it teaches in evaluation, and its running statistics stay.

    Attributes
    ----------
    sights : dict of str to tuple of str
        How each network has to see the windows: the trained one under ``""``, partners under their names.
    changes : dict of str to object
        By sight (``<partner>/<sight>`` of a partner) the random change that makes it, where a loss brings its own.
    """

    def __init__(
        self,
        network: nn.Module,
        losses: Mapping[str, Loss],
        context: Context,
        partners: Mapping[str, Partner] | None = None,
        deployed: str = "network",
        still: str = "",
    ) -> None:
        super().__init__()
        partners = dict(partners or {})
        self.network, self.still = network, still
        beside = _beside(network, partners)
        self.context = replace(
            context,
            networks={"": network, **beside},
            learns={name: partner.learns for name, partner in partners.items()},
            noisy=frozenset(n for n, partner in partners.items() if partner.dropout and partner.learns != "gradient"),
            form=next((loss.form for loss in losses.values() if isinstance(loss, Hard)), context.form),
        )
        _join(losses, self.context)
        self.losses = nn.ModuleDict(losses)
        self.partners = nn.ModuleDict(beside)
        self.settings = partners
        averages = [name for name, partner in partners.items() if partner.learns == "average" and partner.of is None]
        if deployed != "network" and deployed not in averages:
            raise LimbeckError(f"Only a partner that averages the network can be deployed for it, not '{deployed}'.")
        self.deployed = "network" if deployed == "network" else f"partners.{deployed}"
        self.sights = {"": _asked(loss.sights for loss in losses.values())}
        for name in partners:
            wanted = _asked(loss.partner_sights.get(name, ()) for loss in losses.values())
            if partners[name].teaches and "plain" not in wanted:
                wanted = ("plain", *wanted)
            self.sights[name] = wanted
        self.changes: dict[str, Any] = {}
        for name, loss in losses.items():
            for sight, change in loss.changes().items():
                if sight in self.changes and vars(self.changes[sight]) != vars(change):
                    raise LimbeckError(f"The loss '{name}' wants the sight '{sight}' made otherwise than another loss.")
                self.changes[sight] = change

    @property
    def named_losses(self) -> dict[str, Loss]:
        """The losses by name."""
        return {name: cast(Loss, loss) for name, loss in self.losses.items()}

    def kept_as(self, name: str) -> str | None:
        """Return under which name a parameter or buffer is kept after training, None for what is left behind."""
        if name.startswith(f"{self.deployed}."):
            return f"network.{name[len(self.deployed) + 1 :]}"
        learns = any(
            name.startswith(f"partners.{partner}.") and settings.learns == "gradient"
            for partner, settings in self.settings.items()
        )
        return name if learns else None

    def train(self, mode: bool = True) -> Learner:
        """Set the mode of all parts; partners that no loss trains stay in evaluation, but for wanted dropout."""
        super().train(mode)
        for name, partner in self.settings.items():
            if partner.learns == "gradient" and name != self.still:
                continue
            beside = self.partners[name].eval()
            if partner.dropout and mode:
                for module in beside.modules():
                    if isinstance(module, Dropout):
                        module.train()
        return self

    def forward(self, batch: Batch, part: Part = "losses") -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum of the losses and their unweighted terms.

        Parameters
        ----------
        batch : Batch
            Of one network.
        part : {"losses", "linked", "quiz"}
            All losses; the same with gradients that flow into a partner that teaches, through what it hands over; or
            the errors of the network (``network``) and of each partner in the quiz, by name.
        """
        if part == "quiz":
            return self._examine(batch)
        said = self.say(batch, linked=part == "linked")
        terms: dict[str, Tensor] = {}
        total = batch.labelled.new_zeros(())
        for name, loss in self.named_losses.items():
            value, own = loss(said, batch)
            total = total + loss.weight * value
            terms |= {_named(name, term): value for term, value in own.items()}
        return total, terms

    def _examine(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the errors of the network and of its partners on the labelled windows of the quiz."""
        found = {}
        for name, network in {"network": self.network, **self.partners}.items():
            sight = batch.sights.get("quiz" if name == "network" else f"{name}/quiz")
            if sight is None:
                continue
            target = sight.notes["target"]
            prediction = _run(network, sight.inputs).prediction
            every = torch.ones_like(batch.labelled[:1]).expand(target.shape[:1])
            found[name] = error_of(self.context, prediction, target, batch.class_weights, every)
        return found["network"], found

    def say(self, batch: Batch, *, linked: bool = False) -> Said:
        """Return what the networks say of a batch.

        Parameters
        ----------
        batch : Batch
            Of one network.
        linked : bool
            Whether gradients flow into a partner that teaches, through what it hands over; otherwise only its own
            losses train it.
        """
        network = _ask(self.network, {sight: batch.sights[sight] for sight in self.sights[""]})
        partners = {}
        for name, wanted in self.sights.items():
            if name:
                sights = {sight: batch.sights[f"{name}/{sight}"] for sight in wanted}
                partners[name] = _ask(self.partners[name], sights) if sights else {}
        logits, teachers = batch.logits, {}
        for teacher, values in batch.teachers.items():
            shapes = self.context.teachers[teacher]
            teachers[teacher] = {
                name: value if name == "logits" else as_batch_of(shapes[name], value) for name, value in values.items()
            }
        for name, partner in self.settings.items():
            if partner.teaches:
                heard = partners[name]["plain"]
                handed = {"logits": heard.prediction, **heard.features}
                if not linked:
                    handed = {key: value.detach() for key, value in handed.items()}
                logits, teachers[name] = handed["logits"], handed
        return Said(network, partners, logits, teachers)

    @torch.no_grad()
    def follow(self, parameters: Mapping[str, Tensor], buffers: Mapping[str, Tensor], progress: Tensor) -> None:
        """Let partners that average a network follow it, after a step.

        Parameters
        ----------
        parameters, buffers : mapping of str to Tensor
            By name, with a leading axis of networks; those of partners are changed in place.
        progress : Tensor of shape (n_networks,)
            Steps done by each so far, which lower the momentum at the start: an average over k steps keeps at most
            1 - 1/(k + 1) of itself.
        """
        for name, partner in self.settings.items():
            if partner.learns != "average":
                continue
            followed = self.network if partner.of is None else self.partners[partner.of]
            path = "network" if partner.of is None else f"partners.{partner.of}"
            keep = torch.minimum(torch.full_like(progress, partner.momentum), 1.0 - 1.0 / (progress + 1.0))
            for own in dict(followed.named_parameters()):
                slow = buffers[f"partners.{name}.{own}"]
                fast = parameters.get(f"{path}.{own}", buffers.get(f"{path}.{own}"))
                if fast is not None:
                    slow.lerp_(fast, (1.0 - keep).reshape(-1, *[1] * (slow.dim() - 1)))
            for own in dict(followed.named_buffers()):
                if f"partners.{name}.{own}" in buffers:
                    buffers[f"partners.{name}.{own}"].copy_(buffers[f"{path}.{own}"])


def _beside(network: nn.Module, partners: Mapping[str, Partner]) -> dict[str, nn.Module]:
    """Return the networks beside the one that is trained; what no gradient trains asks for none."""
    found: dict[str, nn.Module] = {}
    for name, partner in sorted(partners.items(), key=lambda item: item[1].of is not None):
        if partner.of is not None and (partner.of not in partners or partners[partner.of].learns != "gradient"):
            raise LimbeckError(f"The partner '{name}' averages '{partner.of}', which is no partner that learns.")
        # A copy draws no random numbers, so the network starts the same with and without it.
        like = network if partner.of is None else found[partner.of]
        found[name] = copy.deepcopy(like) if partner.network is None else partner.network
        if partner.learns != "gradient":
            found[name].requires_grad_(False)
    return {name: found[name] for name in partners}


def feature_shapes(network: nn.Module, inputs: Mapping[str, InputShape]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each feature of a network for one window."""
    return {name: tuple(value.shape[1:]) for name, value in dry_run(network, inputs).features.items()}


def _join(losses: Mapping[str, Loss], context: Context) -> None:
    """Tell every loss what it works with, and refuse all that cannot be used at once."""
    mistakes: list[str] = []
    for name, loss in losses.items():
        try:
            loss.join(context)
        except LimbeckError as error:
            mistakes += [f"{name}.{line}" for line in str(error).splitlines()]
    if mistakes:
        raise LimbeckError("\n".join(mistakes))


def _named(loss: str, term: str) -> str:
    """Return what a term is called: as its loss where it is the only one of that name."""
    return term if term == loss else f"{loss}.{term}"


def _asked(wanted: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Return all names once, ``plain`` first."""
    names = dict.fromkeys(name for each in wanted for name in each)
    return tuple(sorted(names, key=lambda name: name != "plain"))


def _run(network: nn.Module, inputs: dict[str, Tensor]) -> Outputs:
    """Return what a network says; values at steps of the window, (batch, n_steps, 1), as (batch, n_steps)."""
    prediction, features = network(inputs)
    return Outputs(prediction.flatten(1), features)


def _ask(network: nn.Module, sights: Mapping[str, Sight]) -> dict[str, Outputs]:
    """Run a network once on all sights together and return its outputs by sight.

    Together, since a layer that is passed twice would drop the same elements both times, and batch normalisation would
    count each sight apart.
    """
    if len(sights) == 1:
        ((name, sight),) = sights.items()
        return {name: _run(network, sight.inputs)}
    parts = list(sights.values())
    inputs = {modality: torch.cat([part.inputs[modality] for part in parts]) for modality in parts[0].inputs}
    outputs = _run(network, inputs)
    sizes = [len(next(iter(part.inputs.values()))) for part in parts]
    predictions = outputs.prediction.split(sizes)
    features = {name: value.split(sizes) for name, value in outputs.features.items()}
    return {
        name: Outputs(predictions[i], {feature: pieces[i] for feature, pieces in features.items()})
        for i, name in enumerate(sights)
    }
