"""The loop: epochs, early stopping on validation subjects, the best state restored, every member by its own clock.

The loop never sees test windows: members carry training and validation windows only, and :func:`predict` is called with
indices by whoever judges.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from limbeck.augment import Augmentation
from limbeck.distillation.contract import Batch, Loss
from limbeck.distillation.functional.labels import hard_target, mean_squared_error
from limbeck.distillation.steps import Feedback, Joint
from limbeck.errors import DataError, LimbeckError
from limbeck.training import draws
from limbeck.training.ensemble import Ensemble
from limbeck.training.optimiser import AdamW, clip_by_member, learning_rates
from limbeck.training.sights import PartnerWindows, Sights
from limbeck.training.tensors import WindowTensors

__all__ = ["Settings", "Taught", "Trained", "check_inputs", "class_weights", "fit", "predict", "steps_per_epoch"]

PREDICTION_BUDGET = 2_000_000
"""Values of input in one chunk of a prediction: bounds its memory (a network holds some dozens of values per input)."""


@dataclass(frozen=True)
class Settings:
    """How a stage trains.

    Parameters
    ----------
    epochs : int
        At most this many; exactly this many without early stopping.
    batch : int
        Windows per step.
    labelled_share : float
        Share of the labelled windows in a batch, where the fold has unlabelled ones; the same for all arms, so that
        they draw the same labelled windows.
    learning_rate, weight_decay : float
        Of AdamW.
    schedule : str
        ``"constant"`` or ``"cosine"``.
    clip : float or None
        Largest norm of a member's gradient, of its network, of what its losses learn and of each partner apart: the
        network is limited alike with and without what helps it.
    patience : int or None
        Stop after this many epochs without a lower validation loss; None trains all epochs.
    select : str
        Which epoch counts: ``"validation"`` (lowest validation loss; the last one without validation subjects) or
        ``"last"``.
    """

    epochs: int = 30
    batch: int = 64
    labelled_share: float = 0.5
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    schedule: str = "constant"
    clip: float | None = 1.0
    patience: int | None = 10
    select: str = "validation"

    def shares(self, has_unlabelled: bool) -> tuple[int, int]:
        """Return how many labelled and unlabelled windows a batch holds: at least one of each kind that there is.

        Raises
        ------
        DataError
            When the batch is too small.
        """
        least = 2 if has_unlabelled else 1
        if self.batch < least:
            raise DataError(
                f"A batch of {self.batch} is too small; expected at least {least} windows. Raise training.batch."
            )
        if not has_unlabelled:
            return self.batch, 0
        labelled = min(max(1, round(self.batch * self.labelled_share)), self.batch - 1)
        return labelled, self.batch - labelled


@dataclass(frozen=True)
class Taught:
    """What the teachers of the members hand over.

    Parameters
    ----------
    logits : Tensor of shape (n_members, n_windows, width) or None
        Of all teachers together; NaN wherever a window is not among the member's training windows.
    teachers : dict of str to dict of str to Tensor of shape (n_members, n_windows, width)
        By teacher its ``logits`` and its features, flattened.
    trust : Tensor of shape (n_members, n_windows) or None
        How much what is handed over of a window counts; 1 by default.
    unlabelled : bool
        Whether unlabelled windows are learned from.
    """

    logits: Tensor | None = None
    teachers: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    trust: Tensor | None = None
    unlabelled: bool = False

    def of(self, positions: Tensor) -> Taught:
        """Return what the teachers of some members hand over."""
        return Taught(
            None if self.logits is None else self.logits[positions],
            {name: {key: v[positions] for key, v in values.items()} for name, values in self.teachers.items()},
            None if self.trust is None else self.trust[positions],
            self.unlabelled,
        )


@dataclass(frozen=True)
class Trained:
    """What a training leaves.

    Parameters
    ----------
    states : list of dict of str to Tensor
        Parameters and buffers of each member's networks; what only helped to train them is left behind.
    epochs : list of int
        The epoch (from 1) whose state was kept.
    history : list of dict
        Rows with ``repetition fold seed epoch split loss`` and the terms of the loss.
    """

    states: list[dict[str, Tensor]]
    epochs: list[int]
    history: list[dict[str, float | int | str]]


class _Clock:
    """One member's epochs: what it has drawn, its loss so far, its best state."""

    def __init__(self, position: int, steps: int) -> None:
        self.position = position
        self.steps = steps
        self.epoch = 0
        self.step = 0
        self.index = np.empty((0, 0), dtype=np.int64)
        # By term its sum and how often it was found: not every step has every phase.
        self.sums: dict[str, tuple[float, int]] = {}
        self.best_loss = math.inf
        self.best_epoch = 0
        self.best_state: dict[str, Tensor] | None = None


def steps_per_epoch(n_training: int, batch: int) -> int:
    """Return the steps of an epoch: as many batches as the fold's training windows fill, labelled or not.

    The count does not depend on what a stage may see, so every arm of a fold takes the same number of steps.
    """
    return max(1, math.ceil(n_training / batch))


def class_weights(target: np.ndarray, n_classes: int) -> np.ndarray:
    """Return a weight per class, inverse to its frequency among the labelled windows; absent classes weigh 0."""
    counts = np.bincount(target, minlength=n_classes).astype(np.float64)
    present = counts > 0
    weights = np.zeros(n_classes)
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights.astype(np.float32)


def fit(
    ensemble: Ensemble,
    windows: WindowTensors,
    settings: Settings,
    taught: Taught | None = None,
    *,
    steps: Joint | Feedback | None = None,
    partners: Mapping[str, PartnerWindows] | None = None,
    augmentations: Mapping[str, Augmentation] | None = None,
    progress: Callable[[int, int], None] | None = None,
    max_steps: int | None = None,
) -> Trained:
    """Train the members of an ensemble.

    Parameters
    ----------
    ensemble : Ensemble
        Trained in place; members that finish leave it.
    windows : WindowTensors
        The view of all windows; members index into it.
    settings : Settings
        Epochs, batches, optimiser, selection.
    taught : Taught or None
        The teachers' knowledge, by member.
    steps : Joint or Feedback or None
        What a step is; one update by all losses by default.
    partners : mapping of str to PartnerWindows or None
        What the partners of the learners read.
    augmentations : mapping of str to Augmentation or None
        Random changes of what a network reads in training: of the trained one under ``""`` (or, of its second sights
        alone, under :data:`limbeck.training.sights.SECOND`), of partners by name.
    progress : callable or None
        Called with (epochs done by all members together, epochs at most).
    max_steps : int or None
        Stop after this many steps: for timing.

    Returns
    -------
    Trained
        In the order of the members at the start.

    Raises
    ------
    DataError
        When training or validation windows are not finite, or a teacher's knowledge of training windows is missing or
        not finite.
    LimbeckError
        When a loss is no longer finite, naming the member.
    """
    taught = taught or Taught()
    run = _Run(ensemble, windows, settings, taught, steps or Joint(), partners or {}, augmentations or {})
    return run.go(progress, max_steps)


class _Run:
    """The state of one call of :func:`fit`."""

    def __init__(
        self,
        ensemble: Ensemble,
        windows: WindowTensors,
        settings: Settings,
        taught: Taught,
        steps: Joint | Feedback,
        partners: Mapping[str, PartnerWindows],
        augmentations: Mapping[str, Augmentation],
    ) -> None:
        self.ensemble, self.windows = ensemble, windows
        self.settings, self.taught, self.steps = settings, taught, steps
        self.device = windows.device
        members = ensemble.members
        _check_members(members, taught, ensemble)
        for member in members:
            check_inputs(windows, member)
            for partner in partners.values():
                check_inputs(partner.windows, member)
        self.has_unlabelled = bool(len(members[0].fold.unlabelled))
        n_labelled, n_unlabelled = settings.shares(self.has_unlabelled)
        self.draw = (n_labelled, n_unlabelled if taught.unlabelled else 0)
        self.clocks = [
            _Clock(position, steps_per_epoch(len(member.fold.training), settings.batch))
            for position, member in enumerate(members)
        ]
        self.sights = Sights(ensemble.skeleton, windows, partners, augmentations, members)
        self.class_weights = self._class_weights()
        self.groups = {
            phase.trains: ensemble.columns(phase.trains) for step in (0,) for phase in steps.phases(step, 1.0)
        }
        self.optimisers = {
            trains: AdamW(ensemble.flat[:, columns], weight_decay=settings.weight_decay)
            for trains, columns in self.groups.items()
        }
        self.parts = ensemble.parts
        # A stage that is trained to be started from has an untrained head, which nobody needs to validate.
        self.predicts = any(loss.trains_prediction for loss in ensemble.skeleton.named_losses.values())
        self.averages = any(partner.learns == "average" for partner in ensemble.skeleton.settings.values())
        if self.averages:  # weights to start from were loaded after the averages had been made
            ensemble.follow(0)
        self.total_steps = torch.tensor([c.steps * settings.epochs for c in self.clocks], device=self.device).float()
        self.strength = torch.ones(len(members), device=self.device)
        self.active = list(range(len(members)))
        self.history: list[dict[str, float | int | str]] = []
        self.labelled_mask = torch.zeros(len(members), sum(self.draw), device=self.device)
        self.labelled_mask[:, : self.draw[0]] = 1.0
        self.epochs_done = 0

    def go(self, progress: Callable[[int, int], None] | None, max_steps: int | None) -> Trained:
        everyone = list(self.clocks)
        members = self.ensemble.members
        total = len(everyone) * self.settings.epochs
        step = 0
        while self.active and step != max_steps:
            self._step(step)
            step += 1
            if self._end_epochs() and progress is not None:
                progress(self.epochs_done, total)
        if self.active:
            self._leave(self.active)
        if progress is not None:
            progress(total, total)
        states = [clock.best_state for clock in everyone]
        if any(state is None for state in states):
            raise LimbeckError(
                f"A member was not trained: {[str(m) for m, s in zip(members, states, strict=True) if s is None]}"
            )
        return Trained([s for s in states if s is not None], [clock.best_epoch for clock in everyone], self.history)

    def _step(self, step: int) -> None:
        index = torch.from_numpy(np.stack([self._next_batch(self.clocks[f]) for f in self.active])).to(self.device)
        batch = self._gather(index, step)
        found: list[Tensor] = []
        names: list[str] = []
        for phase in self.steps.phases(step, self.settings.learning_rate):
            columns = self.groups[phase.trains]
            gradient, loss, terms = self.ensemble.gradients(phase, batch, step)
            if self.settings.clip is not None:
                gradient = clip_by_member(gradient, self.settings.clip, self.parts)
            gradient = gradient[:, columns]
            rate = phase.rate or self.settings.learning_rate
            rates = learning_rates(rate, self.settings.schedule, step, self.total_steps)
            self.optimisers[phase.trains].step(self.ensemble.flat[:, columns], gradient, rates)
            names += [phase.name, *terms]
            found += [loss, *terms.values()]
        if self.averages:
            self.ensemble.follow(step)
        values = torch.stack(found, dim=1).tolist()
        for f, row in zip(self.active, values, strict=True):
            clock = self.clocks[f]
            clock.step += 1
            for name, value in zip(names, row, strict=True):
                total, count = clock.sums.get(name, (0.0, 0))
                clock.sums[name] = total + value, count + 1
            bad = [(name, value) for name, value in zip(names, row, strict=True) if not math.isfinite(value)]
            if bad:
                member = self.ensemble.members[self.active.index(f)]
                raise LimbeckError(
                    f"The {bad[0][0]} of {member} is {bad[0][1]} in epoch {clock.epoch + 1}; expected a finite number. "
                    "Lower training.learning_rate, or look for infinite values in the windows."
                )

    def _next_batch(self, clock: _Clock) -> np.ndarray:
        """Return the windows of a batch; behind them, those of the quiz."""
        if clock.step % clock.steps == 0:
            member = self.ensemble.members[self.active.index(clock.position)]
            clock.index = draws.batches(
                member, clock.epoch, steps=clock.steps, labelled=self.draw[0], unlabelled=self.draw[1]
            )
            if self.steps.quiz:
                quiz = draws.quizzes(member, clock.epoch, clock.index[:, : self.draw[0]], self.steps.quiz)
                clock.index = np.concatenate([clock.index, quiz], axis=1)
        batch: np.ndarray = clock.index[clock.step % clock.steps]
        return batch

    def _gather(self, index: Tensor, step: int) -> Batch:
        rows = torch.arange(len(self.active), device=self.device)[:, None]
        size = sum(self.draw)
        index, quiz = index[:, :size], index[:, size:]
        sights = self.sights.of(index, step)
        if self.steps.quiz:
            sights |= self.sights.quiz(quiz, self.steps.partner)
        target = self.windows.target
        visible = self.labelled_mask.to(target.dtype).reshape(*self.labelled_mask.shape, *[1] * (target.dim() - 1))
        for partner, shown in self.sights.shown(index).items():
            # A partner that is shown other windows learns what is true of these.
            for key in [key for key in sights if key.startswith(f"{partner}/") and key != f"{partner}/quiz"]:
                own = {"target": target[shown] * visible}
                sights[key] = sights[key]._replace(notes={**sights[key].notes, **own})
        taught = self.taught
        return Batch(
            sights=sights,
            target=target[index] * visible,
            labelled=self.labelled_mask,
            class_weights=self.class_weights,
            logits=torch.empty(*index.shape, 0, device=self.device)
            if taught.logits is None
            else taught.logits[rows, index],
            trust=torch.ones(index.shape, device=self.device) if taught.trust is None else taught.trust[rows, index],
            teachers={
                name: {key: value[rows, index] for key, value in values.items()}
                for name, values in taught.teachers.items()
            },
            index=index,
            progress=step / self.total_steps,
            strength=self.strength,
        )

    def _end_epochs(self) -> bool:
        """Close the epoch of members that reached its end: validate, remember the best, let finished ones leave."""
        ended = [f for f in self.active if self.clocks[f].step % self.clocks[f].steps == 0]
        if not ended:
            return False
        losses = self._validation_losses(ended) if self.predicts else {}
        if self.steps.regulated:
            self._regulate(losses)
        finished = []
        for f in ended:
            clock = self.clocks[f]
            clock.epoch += 1
            self.epochs_done += 1
            self._log(f, "train", {name: total / count for name, (total, count) in clock.sums.items()})
            clock.sums = {}
            validation = losses.get(f)
            if validation is not None:
                self._log(f, "validation", {"loss": validation})
            watching = validation is not None and self.settings.select == "validation"
            if watching and validation is not None and validation < clock.best_loss:
                clock.best_loss, clock.best_epoch = validation, clock.epoch
                clock.best_state = self.ensemble.state_of(self.active.index(f))
            patience = self.settings.patience
            out_of_patience = watching and patience is not None and clock.epoch - clock.best_epoch >= patience
            if clock.epoch >= self.settings.epochs or out_of_patience:
                finished.append(f)
        if finished:
            self._leave(finished)
        return True

    def _leave(self, finished: Sequence[int]) -> None:
        for f in finished:
            clock = self.clocks[f]
            if clock.best_state is None:
                clock.best_epoch = clock.epoch
                clock.best_state = self.ensemble.state_of(self.active.index(f))
        positions = [i for i, f in enumerate(self.active) if f not in set(finished)]
        self.active = [self.active[i] for i in positions]
        if not positions:
            return
        self.ensemble.keep(positions)
        for optimiser in self.optimisers.values():
            optimiser.keep(positions)
        self.sights.keep(positions)
        index = torch.as_tensor(positions, device=self.device)
        self.class_weights, self.total_steps = self.class_weights[index], self.total_steps[index]
        self.labelled_mask, self.strength = self.labelled_mask[index], self.strength[index]
        self.taught = self.taught.of(index)

    def _validation_losses(self, ended: Sequence[int], partner: str = "") -> dict[int, float]:
        """Return the loss against the labels of validation subjects, for the members that have some.

        Of the network that is deployed, or of a partner.
        """
        positions = [self.active.index(f) for f in ended]
        positions = [p for p in positions if len(self.ensemble.members[p].fold.validation)]
        if not positions:
            return {}
        index_sets = [self.ensemble.members[p].fold.validation for p in positions]
        windows, scalers = self.sights.read_by(partner)
        of = f"partners.{partner}" if partner else None
        predictions = predict(self.ensemble, windows, index_sets, scalers=scalers, positions=positions, of=of)
        losses = {}
        for p, index, (prediction, _) in zip(positions, index_sets, predictions, strict=True):
            target = self.windows.target[torch.from_numpy(index).to(self.device)]
            every = torch.ones(len(index), device=self.device)
            if self.windows.kind == "class":
                loss = hard_target(prediction, target, self.class_weights[p], every)["hard"]
            else:
                loss = mean_squared_error(prediction, target, every)["hard"]
            if not bool(torch.isfinite(loss)):
                raise LimbeckError(
                    f"The validation loss of {self.ensemble.members[p]} is {float(loss)}; expected a finite number. "
                    "Lower training.learning_rate."
                )
            losses[self.active[p]] = float(loss)
        return losses

    def _regulate(self, students: Mapping[int, float]) -> None:
        """Weigh the feedback by how much worse a student is than its teacher on the validation subjects."""
        if not students:
            return
        teachers = self._validation_losses(list(students), self.steps.partner)
        for f, own in students.items():
            worse = (own - teachers[f]) / max(teachers[f], 1e-12)
            self.strength[self.active.index(f)] = min(1.0, max(0.0, worse))

    def _class_weights(self) -> Tensor:
        if self.windows.kind != "class":
            return torch.zeros(len(self.ensemble), 1, device=self.device)
        target = self.windows.target.cpu().numpy()
        weights = [class_weights(target[m.fold.labelled], self.windows.n_outputs) for m in self.ensemble.members]
        return torch.from_numpy(np.stack(weights)).to(self.device)

    def _log(self, f: int, split: str, values: Mapping[str, float]) -> None:
        member = self.ensemble.members[self.active.index(f)]
        self.history.append(
            {
                "repetition": member.fold.repetition,
                "fold": member.fold.fold,
                "seed": member.seed,
                "epoch": self.clocks[f].epoch,
                "split": split,
                **values,
            }
        )


def predict(
    ensemble: Ensemble,
    windows: WindowTensors,
    index_sets: Sequence[np.ndarray],
    *,
    scalers: Mapping[str, tuple[Tensor, Tensor]],
    positions: Sequence[int] | None = None,
    features: Sequence[str] = (),
    of: str | None = None,
) -> list[tuple[Tensor, dict[str, Tensor]]]:
    """Return predictions (n_windows, width) and flattened features of each member for its own windows.

    Parameters
    ----------
    ensemble : Ensemble
        The networks.
    windows : WindowTensors
        The view.
    index_sets : sequence of ndarray of int
        Window indices per position.
    scalers : mapping
        Of all members of the ensemble, as :meth:`WindowTensors.scalers` returns it.
    positions : sequence of int or None
        Which members; all by default.
    features : sequence of str
        Names of the features to return.
    of : str or None
        The path of a network in the learner; the one that is deployed by default.
    """
    chosen = list(range(len(ensemble))) if positions is None else list(positions)
    longest = max((len(index) for index in index_sets), default=0)
    if longest == 0:
        raise DataError("There are no windows to predict.")
    values_per_window = sum(values[0].numel() for values in windows.inputs.values())
    chunk = max(1, PREDICTION_BUDGET // (values_per_window * len(chosen)))
    where = torch.as_tensor(chosen, device=windows.device)
    own_scalers = {name: (mean[where], std[where]) for name, (mean, std) in scalers.items()}
    padded = torch.from_numpy(
        np.stack([np.resize(index if len(index) else np.zeros(1, np.int64), longest) for index in index_sets])
    ).to(windows.device)
    predictions, kept = [], {name: [] for name in features}  # type: ignore[var-annotated]
    for start in range(0, longest, chunk):
        outputs = ensemble.outputs(windows.gather(padded[:, start : start + chunk], own_scalers), chosen, of=of)
        predictions.append(outputs.prediction)
        for name in features:
            kept[name].append(outputs.features[name].flatten(2))
    prediction = torch.cat(predictions, dim=1)
    joined = {name: torch.cat(parts, dim=1) for name, parts in kept.items()}
    return [
        (prediction[i, : len(index)], {name: values[i, : len(index)] for name, values in joined.items()})
        for i, index in enumerate(index_sets)
    ]


def _check_members(members: Sequence[draws.Member], taught: Taught, ensemble: Ensemble) -> None:
    for member in members:
        if not len(member.fold.labelled):
            raise DataError(f"There is no labelled training window in {member}.")
        if bool(len(member.fold.unlabelled)) != bool(len(members[0].fold.unlabelled)):
            raise DataError("The members of one ensemble must all have unlabelled windows, or none of them.")
    for position, member in enumerate(members):
        _refuse_nothing_to_learn(position, member, taught, ensemble.skeleton.named_losses)
    live = [name for name, partner in ensemble.skeleton.settings.items() if partner.teaches]
    for name, loss in ensemble.skeleton.named_losses.items():
        if loss.logits and taught.logits is None and not live:
            raise DataError(f"The loss '{name}' takes the teacher's logits, but none were handed over.")
        found = set().union(*taught.teachers.values()) if taught.teachers else set()
        missing = [feature for feature in loss.teacher_features if feature not in found]
        if missing and not live:
            raise DataError(f"The loss '{name}' takes the teacher's features {missing}, but they were not handed over.")
    handed = [("logits", taught.logits), ("trust", taught.trust)]
    handed += [(name, value) for values in taught.teachers.values() for name, value in values.items()]
    for name, values in handed:
        if values is None:
            continue
        for position, member in enumerate(members):
            index = member.fold.training if taught.unlabelled else member.fold.labelled
            if not bool(torch.isfinite(values[position, torch.from_numpy(index).to(values.device)]).all()):
                raise DataError(f"The teacher's {name} of {member} are not finite on every training window.")


def _refuse_nothing_to_learn(position: int, member: draws.Member, taught: Taught, losses: Mapping[str, Loss]) -> None:
    """Refuse a member of which every loss is 0: all learn from unlabelled windows, and none has any weight."""
    if not losses or not all(loss.on == "unlabelled" for loss in losses.values()):
        return
    windows = member.fold.unlabelled if taught.unlabelled else member.fold.unlabelled[:0]
    if not len(windows):
        raise DataError(
            f"{', '.join(losses)}: all losses are on unlabelled windows, of which {member} has none to learn from; "
            "write on: all, or add hard."
        )
    if taught.trust is not None and not bool((taught.trust[position, torch.from_numpy(windows)] > 0).any()):
        raise DataError(
            f"None of the {len(windows)} unlabelled windows of {member} passes the filter of what is handed over, and "
            f"{', '.join(losses)} learn from nothing else; lower knowledge.confidence, take knowledge.share, or add "
            "hard."
        )


def check_inputs(windows: WindowTensors, member: draws.Member) -> None:
    """Refuse windows that are not finite where training or selection would read them; test windows are not read."""
    for kind, index in (("training", member.fold.training), ("validation", member.fold.validation)):
        for modality, unusable in windows.unusable.items():
            bad = index[unusable[index]]
            if len(bad):
                found = "infinite values" if windows.shapes[modality].is_feature else "NaN or infinite values"
                raise DataError(
                    f"{len(bad)} of the {len(index)} {kind} windows of {member} hold {found} in '{modality}' "
                    f"(window {bad[0]} first); expected finite numbers. Interpolate them in signals.{modality}, or "
                    "leave out the recordings they come from."
                )
