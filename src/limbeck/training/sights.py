"""Sights: how every network of a learner sees the windows of a batch, random changes included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from limbeck.augment import Augmentation, stacked
from limbeck.distillation.contract import Sight
from limbeck.distillation.learner import Learner
from limbeck.training import draws
from limbeck.training.tensors import WindowTensors

__all__ = ["SECOND", "PartnerWindows", "Sights"]

Scalers = Mapping[str, tuple[Tensor, Tensor]]

SECOND = "/second"
"""The place of what changes the second sights of the trained network alone, while its plain one stays as it is."""


@dataclass(frozen=True)
class PartnerWindows:
    """What a partner reads.

    Parameters
    ----------
    windows : WindowTensors
        Its view of all windows.
    order : Tensor of shape (n_members, n_windows), int64, or None
        For a control: which window it is shown instead of each.
    """

    windows: WindowTensors
    order: Tensor | None = None


class Sights:
    """Makes the sights that a learner asks for.

    Parameters
    ----------
    learner : Learner
        Says which.
    windows : WindowTensors
        What the trained network reads.
    partners : mapping of str to PartnerWindows
        What its partners read.
    augmentations : mapping of str to Augmentation
        Of the trained network under ``""`` for all its sights or under `SECOND` for all but ``plain``, of partners by
        name. They make ``plain`` of the trained network, and every sight called ``second…``.
    members : sequence of Member
        Whose windows; random changes are drawn for each from generators of its own.
    """

    def __init__(
        self,
        learner: Learner,
        windows: WindowTensors,
        partners: Mapping[str, PartnerWindows],
        augmentations: Mapping[str, Augmentation],
        members: Sequence[draws.Member],
    ) -> None:
        self.learner, self.members = learner, tuple(members)
        self.windows = {"": windows, **{name: partner.windows for name, partner in partners.items()}}
        for name, partner in learner.settings.items():
            if partner.learns == "average":
                self.windows.setdefault(name, self.windows[partner.of or ""])
        training = [member.fold.training for member in members]
        own: dict[int, Scalers] = {}
        for view in self.windows.values():
            if id(view) not in own:
                own[id(view)] = view.scalers(training)
        self.scalers = {name: own[id(view)] for name, view in self.windows.items()}
        self.orders = {name: partner.order for name, partner in partners.items() if partner.order is not None}
        for name, partner in learner.settings.items():
            if partner.of in self.orders:
                self.orders[name] = self.orders[partner.of]
        self.changes = dict(learner.changes)
        for name, sights in learner.sights.items():
            for sight in sights:
                change = augmentations.get(name)
                if sight.startswith("second"):
                    change = change or (augmentations.get(SECOND) if name == "" else None)
                elif name or sight != "plain":
                    change = None
                if change is not None:
                    self.changes.setdefault(_key(name, sight), _Augmented(change))

    def read_by(self, partner: str = "") -> tuple[WindowTensors, Scalers]:
        """Return what a network reads, and how it is scaled."""
        return self.windows[partner], self.scalers[partner]

    def keep(self, positions: Sequence[int]) -> None:
        """Let all but the given members leave."""
        self.members = tuple(self.members[p] for p in positions)
        index = torch.as_tensor(positions, device=self.windows[""].device)
        kept: dict[int, Scalers] = {}
        for scalers in self.scalers.values():
            kept.setdefault(id(scalers), {name: (mean[index], std[index]) for name, (mean, std) in scalers.items()})
        self.scalers = {name: kept[id(scalers)] for name, scalers in self.scalers.items()}
        self.orders = {name: order[index] for name, order in self.orders.items()}

    def of(self, index: Tensor, step: int) -> dict[str, Sight]:
        """Return the sights of a batch.

        Parameters
        ----------
        index : Tensor of shape (n_members, batch), int64
            Which windows.
        step : int
            The step, which keys the random changes.

        Returns
        -------
        dict of str to Sight
            ``plain``, and ``<partner>/plain`` of a partner.
        """
        found = {}
        for name, sights in self.learner.sights.items():
            if not sights:
                continue
            plain = self._gather(name, index)
            for sight in sights:
                key = _key(name, sight)
                found[key] = self._changed(key, self.windows[name], plain, step, index.shape[1])
        return found

    def shown(self, index: Tensor) -> dict[str, Tensor]:
        """Return which windows (n_members, batch) are shown to the partners that are shown others than `index`."""
        return {name: order.gather(1, index) for name, order in self.orders.items()}

    def quiz(self, index: Tensor, partner: str) -> dict[str, Sight]:
        """Return how the trained network and one partner see the labelled windows of a quiz, with the truth of each."""
        target = self.windows[""].target
        return {
            "quiz": Sight(self._gather("", index), {"target": target[index]}),
            f"{partner}/quiz": Sight(
                self._gather(partner, index), {"target": target[self.shown(index).get(partner, index)]}
            ),
        }

    def _gather(self, name: str, index: Tensor) -> dict[str, Tensor]:
        if name in self.orders:
            index = self.orders[name].gather(1, index)
        return self.windows[name].gather(index, self.scalers[name])

    def _changed(self, key: str, windows: WindowTensors, plain: dict[str, Tensor], step: int, batch: int) -> Sight:
        change = self.changes.get(key)
        if change is None:
            return Sight(plain, {})
        drawn = [change.noise(batch, draws.sight_generator(member, step, key)) for member in self.members]
        inputs, notes = change.apply(plain, stacked(drawn, windows.device))
        # An absent sensor is NaN where it is a signal; features that are not there stand at their mean.
        kept = {name: torch.nan_to_num(x) if windows.shapes[name].is_feature else x for name, x in inputs.items()}
        return Sight(kept, notes)


class _Augmented:
    """An augmentation as a change that leaves no notes."""

    def __init__(self, augmentation: Augmentation) -> None:
        self.noise, self._apply = augmentation.noise, augmentation.apply

    def apply(self, inputs: dict[str, Tensor], noise: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        return self._apply(inputs, noise), {}


def _key(name: str, sight: str) -> str:
    return f"{name}/{sight}" if name else sight
