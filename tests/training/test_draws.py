"""Every random number is keyed by its member: by seed, repetition and fold, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from limbeck.protocols import Fold
from limbeck.training import Member, draws
from limbeck.training.draws import batches, control_generator, initialisation_seed, mask_bits

MakeFold = Callable[..., Fold]


@pytest.fixture
def member(fold: MakeFold) -> Member:
    return Member(fold(2, test=[0], unlabelled=[1, 3, 5]), seed=4)


def test_every_batch_is_full_and_labelled_windows_come_first(member: Member) -> None:
    drawn = batches(member, 0, steps=5, labelled=6, unlabelled=10)

    assert drawn.shape == (5, 16)
    assert np.isin(drawn[:, :6], member.fold.labelled).all()
    assert np.isin(drawn[:, 6:], member.fold.unlabelled).all()


def test_a_stream_meets_every_window_before_it_starts_over(member: Member) -> None:
    n = len(member.fold.labelled)
    stream = batches(member, 0, steps=20, labelled=10, unlabelled=0).ravel()

    assert len(stream) > 2 * n
    assert sorted(stream[:n]) == member.fold.labelled.tolist()
    np.testing.assert_array_equal(stream[n : 2 * n], stream[:n])


def test_a_fold_smaller_than_a_batch_fills_it_by_starting_over(member: Member) -> None:
    few = Member(replace(member.fold, labelled=member.fold.labelled[:3]), member.seed)

    counts = np.bincount(batches(few, 0, steps=1, labelled=8, unlabelled=0)[0])
    assert sorted(counts[counts > 0]) == [2, 3, 3]


def test_the_labelled_windows_drawn_do_not_depend_on_whether_unlabelled_ones_are(member: Member) -> None:
    """An arm that is taught on unlabelled windows and one that is not meet the same labels in the same order."""
    taught, alone = (batches(member, 3, steps=5, labelled=6, unlabelled=u) for u in (10, 0))

    np.testing.assert_array_equal(taught[:, :6], alone)


def test_each_epoch_has_its_own_order(member: Member) -> None:
    first, second = (batches(member, epoch, steps=5, labelled=6, unlabelled=4) for epoch in (0, 1))

    assert (first != second).any()
    np.testing.assert_array_equal(first, batches(member, 0, steps=5, labelled=6, unlabelled=4))


@pytest.mark.parametrize("change", ["seed", "fold", "repetition"])
def test_seed_fold_and_repetition_each_change_every_draw(member: Member, change: str) -> None:
    if change == "seed":
        other = Member(member.fold, member.seed + 1)
    else:
        other = Member(replace(member.fold, **{change: getattr(member.fold, change) + 1}), member.seed)

    assert initialisation_seed(other) != initialisation_seed(member)
    assert (
        batches(other, 0, steps=5, labelled=6, unlabelled=0) != batches(member, 0, steps=5, labelled=6, unlabelled=0)
    ).any()
    assert (mask_bits(other, 0, 100) != mask_bits(member, 0, 100)).any()
    assert control_generator(other).random() != control_generator(member).random()


def test_members_that_exchange_seed_and_fold_draw_differently(fold: MakeFold) -> None:
    assert initialisation_seed(Member(fold(2), 4)) != initialisation_seed(Member(fold(4), 2))


def test_masks_change_from_step_to_step_and_come_again(member: Member) -> None:
    bits = [mask_bits(member, step, 1001) for step in range(50)]

    assert len({b.tobytes() for b in bits}) == 50
    assert bits[0].shape == (1001,)
    np.testing.assert_array_equal(bits[7], mask_bits(member, 7, 1001))


def test_mask_bits_are_spread_evenly_over_sixteen_bits(member: Member) -> None:
    bits = np.concatenate([mask_bits(member, step, 10_000) for step in range(20)]).astype(float)

    counts, _ = np.histogram(bits, bins=16, range=(-(2**15), 2**15))
    assert counts.sum() == 200_000
    assert np.abs(counts / 12_500 - 1).max() < 0.05


def test_the_refit_on_everything_has_draws_of_its_own(fold: MakeFold) -> None:
    """Its fold is numbered -1, which no generator would take as it is."""
    refit, first = Member(fold(-1), 0), Member(fold(0), 0)

    assert initialisation_seed(refit) != initialisation_seed(first)
    assert (mask_bits(refit, 0, 10) != mask_bits(first, 0, 10)).any()


def test_a_member_is_named_by_repetition_fold_and_seed(fold: MakeFold) -> None:
    assert str(Member(fold(3, repetition=2), 7)) == "repetition 2, fold 3, seed 7"
    assert draws.Member is Member
