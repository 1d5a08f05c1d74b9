"""How the networks of a learner see a batch: scaled for their fold, changed at random, each member by its own draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from limbeck.augment import Augmentation
from limbeck.distillation import Batch, Loss, Said
from limbeck.training import Sights
from limbeck.training.sights import SECOND

INDEX = torch.tensor([[24, 40, 99, 100], [30, 31, 90, 24], [90, 91, 92, 93], [0, 1, 2, 3], [5, 3, 1, 70]])


class Twice(Loss):
    """Asks for a second sight of the network and of its average, and a shifted one that it makes itself."""

    sights = ("plain", "second", "shifted")

    @property
    def partner_sights(self) -> Mapping[str, tuple[str, ...]]:
        return {"slow": ("second",)}

    def changes(self) -> Mapping[str, Any]:
        return {"shifted": Shifted()}

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        return said.plain.prediction.sum() * 0.0, {}


class Shifted:
    """Adds a number of the member's own and says which."""

    def noise(self, batch: int, rng: Any) -> dict[str, Any]:
        return {"by": rng.normal(size=batch).astype("float32")}

    def apply(self, inputs: dict[str, Tensor], noise: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        by = noise["by"]
        return {**inputs, "eda": inputs["eda"] + by[..., None, None]}, {"by": by}


@pytest.fixture
def twice(problem: Any, beside: Any) -> Any:
    return problem.but(partners={"slow": beside(learns="average")}, own_losses={"twice": Twice})


def sights_of(problem: Any, positions: Sequence[int] = range(5), spec: Mapping[str, Any] | None = None) -> Sights:
    chosen = problem.only(list(positions))
    shapes = {"eda": (1, 32, 4.0)}
    augmentations = {name: Augmentation.parse(one, shapes) for name, one in (spec or {}).items()}
    ensemble = chosen.ensemble("looped")
    return Sights(ensemble.skeleton, chosen.windows, chosen.read_by_partners, augmentations, chosen.members)


JITTER = {"eda": [{"jitter": 0.5}]}


def test_every_network_sees_what_its_losses_ask_for_and_nothing_else(twice: Any) -> None:
    found = sights_of(twice).of(INDEX, 0)

    assert sorted(found) == ["plain", "second", "shifted", "slow/second"]
    assert all(sight.inputs["eda"].shape == (5, 4, 1, 32) for sight in found.values())


def test_windows_are_as_the_fold_scales_them_where_nothing_changes_them(twice: Any) -> None:
    found = sights_of(twice).of(INDEX, 0)
    values = twice.windows.inputs["eda"]

    for position, member in enumerate(twice.members):
        own = values[torch.from_numpy(member.fold.training)]
        expected = (values[INDEX[position]] - own.mean()) / own.std(correction=0)
        torch.testing.assert_close(found["plain"].inputs["eda"][position], expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(found["second"].inputs["eda"], found["plain"].inputs["eda"])
    assert found["plain"].notes == {}


def test_the_plain_sight_is_changed_where_the_stage_augments_and_the_second_one_otherwise(twice: Any) -> None:
    plain = sights_of(twice).of(INDEX, 0)["plain"].inputs["eda"]

    found = sights_of(twice, spec={"": JITTER, "slow": JITTER}).of(INDEX, 0)

    seen = [found[name].inputs["eda"] for name in ("plain", "second", "slow/second")]
    for position, one in enumerate(seen):
        assert 0.3 < float((one - plain).std()) < 0.7
        assert all(not torch.allclose(one, other) for other in seen[position + 1 :])


def test_what_is_drawn_belongs_to_the_member_and_the_step(twice: Any) -> None:
    spec = {"": JITTER, "slow": JITTER}
    together = sights_of(twice, spec=spec)
    first, again, later = together.of(INDEX, 3), together.of(INDEX, 3), together.of(INDEX, 4)

    apart = sights_of(twice, [3, 1], spec=spec).of(INDEX[[3, 1]], 3)
    together.keep([1, 4])
    kept = together.of(INDEX[[1, 4]], 3)
    for name, sight in first.items():
        assert torch.equal(again[name].inputs["eda"], sight.inputs["eda"])
        assert not torch.allclose(later[name].inputs["eda"], sight.inputs["eda"])
        torch.testing.assert_close(apart[name].inputs["eda"], sight.inputs["eda"][[3, 1]])
        torch.testing.assert_close(kept[name].inputs["eda"], sight.inputs["eda"][[1, 4]])


def test_a_loss_that_makes_a_sight_itself_is_told_what_was_drawn(twice: Any) -> None:
    found = sights_of(twice).of(INDEX, 0)

    by = found["shifted"].notes["by"]
    assert by.shape == (5, 4)
    expected = found["plain"].inputs["eda"] + by[..., None, None]
    torch.testing.assert_close(found["shifted"].inputs["eda"], expected)


def test_an_average_reads_what_the_network_reads(twice: Any) -> None:
    sights = sights_of(twice)
    assert sights.read_by("slow")[0] is sights.read_by()[0] is twice.windows


def test_a_quiz_shows_windows_as_they_are_with_the_truth(twice: Any, windows: Callable[..., Any]) -> None:
    found = sights_of(twice, spec={"": JITTER}).quiz(INDEX, "slow")
    plain = sights_of(twice).of(INDEX, 0)["plain"].inputs["eda"]

    assert sorted(found) == ["quiz", "slow/quiz"]
    for sight in found.values():
        assert torch.equal(sight.inputs["eda"], plain)
        assert torch.equal(sight.notes["target"], twice.windows.target[INDEX])


def test_the_second_sight_may_change_while_the_plain_one_stays_as_it_is(twice: Any) -> None:
    plain = sights_of(twice).of(INDEX, 0)["plain"].inputs["eda"]

    found = sights_of(twice, spec={SECOND: JITTER, "slow": JITTER}).of(INDEX, 0)

    assert torch.equal(found["plain"].inputs["eda"], plain)
    for name in ("second", "slow/second"):
        assert 0.3 < float((found[name].inputs["eda"] - plain).std()) < 0.7
