"""Every random number is keyed by its member: by seed, repetition and fold, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from limbeck.errors import DataError
from limbeck.protocols import Fold
from limbeck.training import Member, draws
from limbeck.training.draws import (
    batches,
    control_generator,
    initialisation_seed,
    mask_bits,
    quizzes,
    sight_generator,
)

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


def test_a_quiz_holds_labelled_windows_of_which_none_is_in_the_batch(member: Member) -> None:
    taught = batches(member, 0, steps=90, labelled=6, unlabelled=0)

    drawn = quizzes(member, 0, taught, 9)

    assert drawn.shape == (90, 9)
    for batch, quiz in zip(taught, drawn, strict=True):
        assert len(set(quiz)) == 9
        assert set(quiz) <= set(member.fold.labelled) - set(batch)
    # Over many steps every labelled window is asked for.
    assert set(drawn.ravel()) == set(member.fold.labelled)


def test_a_quiz_is_the_members_own_and_another_one_every_epoch(member: Member) -> None:
    taught = batches(member, 0, steps=5, labelled=6, unlabelled=0)
    first = quizzes(member, 0, taught, 9)

    np.testing.assert_array_equal(quizzes(member, 0, taught, 9), first)
    assert (quizzes(member, 1, taught, 9) != first).any()
    assert (quizzes(replace(member, seed=5), 0, taught, 9) != first).any()


def test_a_quiz_may_take_all_that_a_batch_leaves_and_no_more(member: Member) -> None:
    few = Member(replace(member.fold, labelled=member.fold.labelled[:10]), member.seed)
    taught = batches(few, 0, steps=4, labelled=6, unlabelled=0)

    drawn = quizzes(few, 0, taught, 4)
    assert all(set(quiz) | set(batch) == set(few.fold.labelled) for quiz, batch in zip(drawn, taught, strict=True))
    with pytest.raises(DataError, match=r"A quiz of 5 labelled windows next to the 6 .*10 labelled windows.*quiz"):
        quizzes(few, 0, taught, 5)
    with pytest.raises(DataError, match="A quiz of 1 "):
        quizzes(few, 0, batches(few, 0, steps=1, labelled=16, unlabelled=0), 1)


def test_random_changes_are_keyed_by_member_step_and_sight(member: Member) -> None:
    def drawn(who: Member, step: int, sight: str) -> list[float]:
        found: list[float] = sight_generator(who, step, sight).random(4).tolist()
        return found

    first = drawn(member, 3, "second")
    assert drawn(member, 3, "second") == first
    others = [
        drawn(member, 4, "second"),
        drawn(member, 3, "slow/second"),
        drawn(replace(member, seed=5), 3, "second"),
        drawn(replace(member, fold=replace(member.fold, repetition=1)), 3, "second"),
    ]
    assert first not in others
    assert len({tuple(other) for other in others}) == 4


def test_a_stream_of_its_own_makes_another_network_on_the_same_windows(fold: Callable[..., Fold]) -> None:
    first, second = Member(fold(1), 3), Member(fold(1), 3, stream=1)

    assert draws.initialisation_seed(first) != draws.initialisation_seed(second)
    assert draws.initialisation_seed(second) != draws.initialisation_seed(Member(fold(1), 3, stream=2))
    drawn = [draws.batches(member, 0, steps=2, labelled=8, unlabelled=0) for member in (first, second)]
    assert not np.array_equal(*drawn)
    assert np.isin(drawn[1], first.fold.labelled).all()
    # Whoever has none draws as from the plain key.
    expected = np.random.default_rng([*first.key, 7]).random(3)
    np.testing.assert_array_equal(draws.generator(first, 7).random(3), expected)
