"""Many networks as one: the backends agree, and what a member gets is its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from limbeck.distillation import Batch, Context, Joint, Learner, Sight, make_losses
from limbeck.errors import DataError
from limbeck.models import Dropout, InputShape, Outputs, build
from limbeck.protocols import Fold
from limbeck.training import Ensemble, Member
from limbeck.training.draws import initialisation_seed

BACKENDS = ("stacked", "looped")
every_backend = pytest.mark.parametrize("backend", BACKENDS)
(HARD,) = Joint().phases(0, 1e-3)


def make_members(fold: Callable[..., Fold], count: int = 3) -> list[Member]:
    return [Member(fold(f), seed=f) for f in range(count)]


def make_batch(members: int, size: int = 8, columns: int = 5) -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch(
        sights={"plain": Sight({"x": torch.randn(members, size, columns, generator=generator)}, {})},
        target=torch.randint(0, 2, (members, size), generator=generator),
        labelled=torch.ones(members, size),
        class_weights=torch.ones(members, 2),
        logits=torch.empty(members, size, 0),
        trust=torch.ones(members, size),
        teachers={},
        index=torch.arange(size).expand(members, size),
        progress=torch.zeros(members),
        strength=torch.ones(members),
    )


def inputs_of(batch: Batch) -> dict[str, Tensor]:
    return batch.sights["plain"].inputs


def learner(network: Callable[[], nn.Module]) -> Callable[[], Learner]:
    """Return how to build a network that learns from labels alone."""

    def build_one() -> Learner:
        context = Context("class", 2, {"x": InputShape(5)}, {})
        return Learner(network(), make_losses({"hard": {}}), context)

    return build_one


def own(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state as the network itself calls it."""
    assert all(name.startswith("network.") for name in state)
    return {name.removeprefix("network."): value for name, value in state.items()}


class Perceptron(nn.Module):
    """A small network with whatever layer a test wants in its middle."""

    def __init__(self, *layers: nn.Module, width: int = 6) -> None:
        super().__init__()
        self.first = nn.Linear(5, width)
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(width, 2)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        hidden = self.layers(torch.tanh(self.first(inputs["x"])))
        return Outputs(self.head(hidden), {"hidden": hidden})


def test_each_member_starts_as_its_own_seed_says(fold: Callable[..., Fold]) -> None:
    members = make_members(fold)
    ensemble = Ensemble(learner(Perceptron), members)

    for position, member in enumerate(members):
        torch.manual_seed(initialisation_seed(member))
        torch.testing.assert_close(own(ensemble.state_of(position)), dict(Perceptron().state_dict()), rtol=0, atol=0)
    assert not torch.equal(ensemble.flat[0], ensemble.flat[1])


def test_building_leaves_the_global_generator_alone(fold: Callable[..., Fold]) -> None:
    state = torch.random.get_rng_state()

    Ensemble(learner(Perceptron), make_members(fold))

    assert torch.equal(state, torch.random.get_rng_state())


@every_backend
def test_gradients_are_those_of_autograd_on_each_network(fold: Callable[..., Fold], backend: str) -> None:
    members, batch = make_members(fold), make_batch(3)
    ensemble = Ensemble(learner(Perceptron), members, backend=backend)

    gradient, loss, terms = ensemble.gradients(HARD, batch, step=0)

    for f in range(3):
        network = Perceptron()
        network.load_state_dict(own(ensemble.state_of(f)))
        expected = nn.functional.cross_entropy(network({"x": inputs_of(batch)["x"][f]}).prediction, batch.target[f])
        expected.backward()
        flat = torch.cat([p.grad.reshape(-1) for p in network.parameters()])
        torch.testing.assert_close(gradient[f], flat, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(loss[f], expected.detach())
    assert not gradient.requires_grad
    assert not loss.requires_grad
    torch.testing.assert_close(terms, {"hard": loss})


@every_backend
def test_a_parameter_that_the_network_does_not_use_has_no_gradient(fold: Callable[..., Fold], backend: str) -> None:
    class Idle(Perceptron):
        def __init__(self) -> None:
            super().__init__()
            self.idle = nn.Parameter(torch.ones(3))

    ensemble = Ensemble(learner(Idle), make_members(fold), backend=backend)
    gradient, _, _ = ensemble.gradients(HARD, make_batch(3), step=0)

    named = ensemble.parameters_of(gradient)
    assert torch.equal(named["network.idle"], torch.zeros(3, 3))
    assert named["network.head.weight"].abs().min() > 0


@every_backend
def test_one_member_that_diverges_does_not_touch_the_others(fold: Callable[..., Fold], backend: str) -> None:
    ensemble, batch = Ensemble(learner(Perceptron), make_members(fold), backend=backend), make_batch(3)
    before, _, _ = ensemble.gradients(HARD, batch, step=0)
    inputs_of(batch)["x"][1] = torch.nan

    after, loss, _ = ensemble.gradients(HARD, batch, step=0)

    assert torch.isnan(loss[1])
    assert torch.equal(after[[0, 2]], before[[0, 2]])


# ---- dropout --------------------------------------------------------------------------------------------------------


@every_backend
def test_dropout_masks_of_a_member_do_not_depend_on_its_companions(fold: Callable[..., Fold], backend: str) -> None:
    members, batch = make_members(fold, 4), make_batch(4)
    together = Ensemble(learner(lambda: Perceptron(Dropout(0.5))), members, backend=backend)
    alone = Ensemble(learner(lambda: Perceptron(Dropout(0.5))), members[2:3], backend=backend)
    alone_batch = batch._replace(
        sights={"plain": Sight({"x": inputs_of(batch)["x"][2:3]}, {})},
        **{name: value[2:3] for name, value in batch._asdict().items() if isinstance(value, Tensor)},
    )

    for step in range(3):
        expected, _, _ = together.gradients(HARD, batch, step)
        found, _, _ = alone.gradients(HARD, alone_batch, step)
        torch.testing.assert_close(found[0], expected[2], rtol=1e-6, atol=1e-7)


def test_dropout_drops_its_share_and_keeps_the_mean(fold: Callable[..., Fold]) -> None:
    ensemble = Ensemble(learner(lambda: Perceptron(Dropout(0.3), width=400)), make_members(fold, 2))

    masks = [ensemble._draw_masks(make_batch(2, size=64), step)["network.layers.0.mask"] for step in range(5)]

    mask = torch.stack(masks)
    assert mask.shape == (5, 2, 64, 400)
    assert (mask == 0).float().mean().item() == pytest.approx(0.3, abs=0.005)
    assert mask.mean().item() == pytest.approx(1.0, abs=0.01)
    assert mask.max().item() == pytest.approx(1 / 0.7, rel=1e-4)
    assert not torch.equal(mask[:, 0], mask[:, 1])
    assert not torch.equal(mask[0], mask[1])


def test_two_dropout_layers_have_masks_of_their_own(fold: Callable[..., Fold]) -> None:
    ensemble = Ensemble(learner(lambda: Perceptron(Dropout(0.5), nn.Tanh(), Dropout(0.5))), make_members(fold))

    masks = ensemble._draw_masks(make_batch(3), step=0)

    assert not torch.equal(masks["network.layers.0.mask"], masks["network.layers.2.mask"])


@every_backend
def test_dropout_changes_gradients_and_leaves_evaluation_alone(fold: Callable[..., Fold], backend: str) -> None:
    dropped = Ensemble(learner(lambda: Perceptron(Dropout(0.5))), make_members(fold), backend=backend)
    plain = Ensemble(learner(lambda: Perceptron(Dropout(0.0))), make_members(fold), backend=backend)
    batch = make_batch(3)

    assert not torch.allclose(dropped.gradients(HARD, batch, 0)[0], plain.gradients(HARD, batch, 0)[0])
    assert torch.equal(dropped.outputs(inputs_of(batch)).prediction, plain.outputs(inputs_of(batch)).prediction)


@every_backend
def test_a_dropout_layer_that_the_network_does_not_use_does_no_harm(fold: Callable[..., Fold], backend: str) -> None:
    class Spare(Perceptron):
        def __init__(self) -> None:
            super().__init__(Dropout(0.5))
            self.spare = Dropout(0.5)

    ensemble = Ensemble(learner(Spare), make_members(fold), backend=backend)

    assert torch.isfinite(ensemble.gradients(HARD, make_batch(3), 0)[0]).all()


def test_a_dropout_layer_that_is_used_twice_is_refused(fold: Callable[..., Fold]) -> None:
    class Twice(Perceptron):
        def forward(self, inputs: dict[str, Tensor]) -> Outputs:
            hidden = self.layers(self.layers(self.first(inputs["x"])))
            return Outputs(self.head(hidden), {})

    ensemble = Ensemble(learner(lambda: Twice(Dropout(0.5))), make_members(fold))

    with pytest.raises(DataError, match=r"'network\.layers\.0' \(Dropout\) is passed through more than once"):
        ensemble.gradients(HARD, make_batch(3), 0)


@pytest.mark.parametrize(
    "layer",
    [nn.Dropout(0.1), nn.AlphaDropout(0.1), nn.GRU(5, 6, num_layers=2, dropout=0.1)],
    ids=lambda x: type(x).__name__,
)
def test_a_layer_that_draws_by_itself_is_refused(fold: Callable[..., Fold], layer: nn.Module) -> None:
    with pytest.raises(
        DataError, match=rf"'network\.layers\.0' \({type(layer).__name__}\) draws its own random numbers"
    ):
        Ensemble(learner(lambda: Perceptron(layer)), make_members(fold), backend="looped")


def test_a_layer_that_would_draw_nothing_is_accepted(fold: Callable[..., Fold]) -> None:
    assert len(Ensemble(learner(lambda: Perceptron(nn.Dropout(0.0))), make_members(fold))) == 3


# ---- normalisation with running statistics ---------------------------------------------------------------------------


@every_backend
def test_running_statistics_advance_in_training_only_and_are_each_members_own(
    fold: Callable[..., Fold], backend: str
) -> None:
    ensemble = Ensemble(learner(lambda: Perceptron(nn.BatchNorm1d(6))), make_members(fold), backend=backend)
    batch = make_batch(3)
    reference = []
    for f in range(3):
        network = Perceptron(nn.BatchNorm1d(6))
        network.load_state_dict(own(ensemble.state_of(f)))
        network.train()
        for _ in range(2):
            network({"x": inputs_of(batch)["x"][f]})
        reference.append(dict(network.named_buffers()))

    ensemble.outputs(inputs_of(batch))
    assert torch.equal(ensemble.buffers["network.layers.0.running_mean"], torch.zeros(3, 6))
    for step in range(2):
        ensemble.gradients(HARD, batch, step)

    for f in range(3):
        found = own({name: values[f] for name, values in ensemble.buffers.items()})
        torch.testing.assert_close(found, reference[f], rtol=1e-5, atol=1e-6)
    assert ensemble.buffers["network.layers.0.num_batches_tracked"].tolist() == [2, 2, 2]


# ---- recurrent networks ----------------------------------------------------------------------------------------------


def test_a_recurrent_network_cannot_be_stacked_and_the_message_says_what_can_be_done(
    fold: Callable[..., Fold],
) -> None:
    class Last(nn.GRU):
        def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
            return super().forward(x)[0]

    with pytest.raises(DataError, match=r"'network\.layers\.0' \(Last\).*looped"):
        Ensemble(learner(lambda: Perceptron(Last(6, 6))), make_members(fold), backend="stacked")
    looped = Ensemble(learner(lambda: Perceptron(Last(6, 6))), make_members(fold), backend="looped")
    assert looped.gradients(HARD, make_batch(3), 0)[0].abs().max() > 0


# ---- state -----------------------------------------------------------------------------------------------------------


@every_backend
def test_outputs_of_some_members_are_those_of_all(fold: Callable[..., Fold], backend: str) -> None:
    ensemble, batch = Ensemble(learner(Perceptron), make_members(fold, 4), backend=backend), make_batch(4)

    everyone = ensemble.outputs(inputs_of(batch))
    some = ensemble.outputs({"x": inputs_of(batch)["x"][[3, 1]]}, positions=[3, 1])

    torch.testing.assert_close(some.prediction, everyone.prediction[[3, 1]], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(some.features["hidden"], everyone.features["hidden"][[3, 1]], rtol=1e-6, atol=1e-7)
    assert not everyone.prediction.requires_grad


def test_a_state_can_be_taken_out_and_put_in(fold: Callable[..., Fold]) -> None:
    make = lambda: Perceptron(nn.BatchNorm1d(6))  # noqa: E731
    ensemble = Ensemble(learner(make), make_members(fold))
    ensemble.gradients(HARD, make_batch(3), 0)
    state = ensemble.state_of(2)
    other = Ensemble(learner(make), make_members(fold))
    untouched = other.state_of(0)

    other.load_state(1, state)

    torch.testing.assert_close(other.state_of(1), state, rtol=0, atol=0)
    torch.testing.assert_close(other.state_of(0), untouched, rtol=0, atol=0)


@every_backend
def test_a_state_is_what_the_network_itself_would_store(fold: Callable[..., Fold], backend: str) -> None:
    view = {"eda": InputShape(1, 16, 4.0)}
    make = lambda: build("student_nano", view, 2, n_steps=4)  # noqa: E731  (with buffers that are derived, not stored)
    ensemble = Ensemble(learner(make), make_members(fold), backend=backend)
    network = make()
    derived = dict(network.named_buffers()).keys() - network.state_dict().keys()
    assert any(not name.endswith("mask") for name in derived)

    state = own(ensemble.state_of(1))

    assert state.keys() == network.state_dict().keys()
    network.load_state_dict(state)


def test_a_state_that_was_taken_out_does_not_change_with_the_ensemble(fold: Callable[..., Fold]) -> None:
    ensemble = Ensemble(learner(Perceptron), make_members(fold))
    state = ensemble.state_of(0)
    before = {name: value.clone() for name, value in state.items()}

    ensemble.flat.zero_()

    torch.testing.assert_close(state, before, rtol=0, atol=0)


def test_part_of_a_state_leaves_the_rest_as_it_is(fold: Callable[..., Fold]) -> None:
    ensemble = Ensemble(learner(Perceptron), make_members(fold))
    before = ensemble.state_of(0)

    ensemble.load_state(0, {"network.first.bias": torch.ones(6)})

    after = ensemble.state_of(0)
    assert torch.equal(after["network.first.bias"], torch.ones(6))
    assert torch.equal(after["network.head.weight"], before["network.head.weight"])


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"network.tail": torch.ones(2)}, r"'network\.tail' of shape \(2,\), the network has nothing of that name"),
        (
            {"network.head.weight": torch.ones(3, 6)},
            r"'network\.head\.weight' of shape \(3, 6\), the network has shape \(2, 6\)",
        ),
    ],
)
def test_a_state_of_another_design_is_refused(
    fold: Callable[..., Fold], state: dict[str, Tensor], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        Ensemble(learner(Perceptron), make_members(fold)).load_state(0, state)


@every_backend
def test_members_that_stay_are_as_they_were(fold: Callable[..., Fold], backend: str) -> None:
    members = make_members(fold, 4)
    ensemble = Ensemble(learner(lambda: Perceptron(nn.BatchNorm1d(6))), members, backend=backend)
    ensemble.gradients(HARD, make_batch(4), 0)
    states = [ensemble.state_of(p) for p in (1, 3)]

    ensemble.keep([1, 3])

    assert len(ensemble) == 2
    assert ensemble.members == (members[1], members[3])
    torch.testing.assert_close([ensemble.state_of(p) for p in range(2)], states, rtol=0, atol=0)


def test_an_ensemble_of_nobody_or_of_an_unknown_backend_is_refused(fold: Callable[..., Fold]) -> None:
    arguments: dict[str, Any] = {"members": make_members(fold)}
    with pytest.raises(DataError, match="stacked or looped, not 'serial'"):
        Ensemble(learner(Perceptron), **arguments, backend="serial")
    with pytest.raises(DataError, match="at least one member"):
        Ensemble(learner(Perceptron), [])
