"""Every random number of training, drawn from generators keyed by member: never from a shared stream.

Keys hold the seed, the repetition and the fold, then what is drawn and when. The stage is not among them: all arms of a
fold share initialisation and batch order, so that only what is compared differs. Teachers of one stage that would be
the same network have streams of their own.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from limbeck.errors import DataError
from limbeck.protocols import Fold

__all__ = [
    "Member",
    "batches",
    "control_generator",
    "generator",
    "initialisation_seed",
    "mask_bits",
    "quizzes",
    "sight_generator",
]

_INITIALISATION, _LABELLED, _UNLABELLED, _MASK, _CONTROL, _QUIZ, _SIGHT = range(7)


@dataclass(frozen=True)
class Member:
    """One network of an ensemble: a fold of a repetition, with a seed.

    Parameters
    ----------
    fold : Fold
        Whose windows.
    seed : int
        Of the study.
    stream : int
        0, or the number of a network that would be the same as another one otherwise: all it draws is its own.
    """

    fold: Fold
    seed: int
    stream: int = 0

    @property
    def key(self) -> tuple[int, int, int]:
        """Seed, repetition and fold (shifted by one, since the refit on everything has fold -1)."""
        return self.seed, self.fold.repetition, self.fold.fold + 1

    def __str__(self) -> str:
        return f"repetition {self.fold.repetition}, fold {self.fold.fold}, seed {self.seed}"


def generator(member: Member, *key: int) -> np.random.Generator:
    """Return a generator keyed by a member and further numbers."""
    own = (member.stream,) if member.stream else ()
    return np.random.default_rng(np.random.SeedSequence([*member.key, *key], spawn_key=own))


def control_generator(member: Member) -> np.random.Generator:
    """Return the generator from which the controls of a member permute."""
    return generator(member, _CONTROL)


def sight_generator(member: Member, step: int, sight: str) -> np.random.Generator:
    """Return the generator of the random changes that make one sight of the windows of one step."""
    return generator(member, _SIGHT, step, zlib.crc32(sight.encode()))


def initialisation_seed(member: Member) -> int:
    """Return the seed of a member's initial weights."""
    return int(generator(member, _INITIALISATION).integers(2**62))


def mask_bits(member: Member, step: int, count: int) -> np.ndarray:
    """Return what a member's dropout masks at one step are made of.

    Sixteen bits per element decide as well as a float between 0 and 1 and cost a fifth of it: drawing masks is a tenth
    of the time of a small convolutional network. They are drawn on the CPU, so that every device sees the same.

    Returns
    -------
    ndarray of shape (count,), int16
        Uniform over all values.
    """
    words: np.ndarray = generator(member, _MASK, step).bit_generator.random_raw(-(-count // 4))
    return words.view(np.int16)[:count]


def batches(member: Member, epoch: int, *, steps: int, labelled: int, unlabelled: int) -> np.ndarray:
    """Draw the window indices of one epoch.

    Each stream goes through its own permutation of the member's windows and starts over at its end, so that every batch
    is full without padding.

    Parameters
    ----------
    member : Member
        Whose windows.
    epoch : int
        Number of the epoch.
    steps : int
        Batches in the epoch.
    labelled, unlabelled : int
        Windows of each kind in a batch.

    Returns
    -------
    ndarray of shape (steps, labelled + unlabelled), int64
        The labelled windows come first in each batch.
    """
    streams = []
    for windows, size, kind in (
        (member.fold.labelled, labelled, _LABELLED),
        (member.fold.unlabelled, unlabelled, _UNLABELLED),
    ):
        if size:
            order = generator(member, kind, epoch).permutation(windows)
            streams.append(np.resize(order, (steps, size)))
    return np.concatenate(streams, axis=1)


def quizzes(member: Member, epoch: int, taught: np.ndarray, size: int) -> np.ndarray:
    """Draw labelled windows for the quizzes of one epoch, none of which is in the batch that the step teaches.

    Parameters
    ----------
    member : Member
        Whose windows.
    epoch : int
        Number of the epoch.
    taught : ndarray of shape (steps, labelled), int64
        The labelled windows of each batch.
    size : int
        Windows of a quiz.

    Returns
    -------
    ndarray of shape (steps, size), int64

    Raises
    ------
    DataError
        When there are too few labelled windows beside those of a batch.
    """
    windows = member.fold.labelled
    left = len(windows) - min(len(windows), taught.shape[1])
    if left < size:
        raise DataError(
            f"A quiz of {size} labelled windows next to the {taught.shape[1]} of a batch needs more than the "
            f"{len(windows)} labelled windows of {member}. Lower training.batch, training.labelled_share or "
            "steps.feedback.quiz."
        )
    order = generator(member, _QUIZ, epoch).random((len(taught), len(windows)))
    np.put_along_axis(order, np.searchsorted(windows, taught), np.inf, axis=1)
    chosen: np.ndarray = windows[np.argsort(order, axis=1)[:, :size]]
    return chosen
