"""A network with its losses and partners: what is asked of whom, who learns, who follows, and what is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from limbeck.distillation import Batch, Context, Joint, Learner, Loss, Partner, Said, Sight, feature_shapes, make_losses
from limbeck.distillation.functional import hint, soft_target
from limbeck.errors import LimbeckError
from limbeck.models import Dropout, InputShape, Outputs

Make = Callable[..., Any]
(JOINT,) = Joint().phases(0, 0.1)


class Near(Loss):
    """Squared distance between the network and a partner, and between two sights of the network where asked."""

    trains_prediction = True

    def __init__(self, partner: str = "peer", *, own: tuple[str, ...] = ("plain",), of: tuple[str, ...] = ("plain",)):
        super().__init__()
        self.partner, self.sights, self.asked = partner, own, of

    @property
    def partner_sights(self) -> Mapping[str, tuple[str, ...]]:
        return {self.partner: self.asked}

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        value = torch.zeros_like(batch.trust).sum()
        for sight in self.sights:
            for other in self.asked:
                mine, theirs = said.network[sight].prediction, said.partners[self.partner][other].prediction
                value = value + (mine - theirs).square().mean()
        return value, {"near": value}


class Differ(Loss):
    """How far two answers of a partner to the same windows lie apart."""

    @property
    def partner_sights(self) -> Mapping[str, tuple[str, ...]]:
        return {"teacher": ("plain", "second")}

    def forward(self, said: Said, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        first, second = (said.partners["teacher"][sight].prediction for sight in ("plain", "second"))
        return said.plain.prediction.square().mean(), {"apart": (first - second).abs().mean()}


def largest(gradient: dict[str, Tensor], prefix: str) -> float:
    return max(float(value.abs().max()) for name, value in gradient.items() if name.startswith(prefix))


def peers(small: Any, rich: Any, **options: Any) -> dict[str, Partner]:
    return {"peer": Partner(small(rich), rich, **options)}


def with_peer(batch: Batch) -> Batch:
    return batch._replace(sights={**batch.sights, "peer/plain": batch.sights["teacher/plain"]})


# ---- the losses together --------------------------------------------------------------------------------------------


def test_the_total_is_the_weighted_sum_of_the_terms(bench: Make, batch: Make) -> None:
    own, one = bench({"hard": {"weight": 0.5}, "soft": {"weight": 2.0, "temperature": 3.0}}), batch()
    own.learner.train(False)

    total, terms = own.evaluate(own.parameters, one, "losses")

    assert list(terms) == ["hard", "soft"]
    torch.testing.assert_close(total, 0.5 * terms["hard"] + 2.0 * terms["soft"])


def test_a_term_is_called_as_its_loss_and_two_losses_of_one_kind_are_told_apart(bench: Make, batch: Make) -> None:
    own = bench({"soft": {"temperature": 1}, "late": {"loss": "soft", "temperature": 8}})
    own.learner.train(False)

    _, terms = own.evaluate(own.parameters, batch(), "losses")

    assert list(terms) == ["soft", "late.soft"]
    assert not torch.isclose(terms["soft"], terms["late.soft"])


def test_what_is_handed_over_is_given_to_the_losses_in_the_shape_that_it_has(batch: Make) -> None:
    class Maps(nn.Module):
        def forward(self, inputs: dict[str, Tensor]) -> Outputs:
            x = inputs["x"]
            return Outputs(x[:, :2], {"map": torch.stack([x, 2 * x], dim=1)})

    said: list[Said] = []

    class Listen(Loss):
        def forward(self, heard: Said, one: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            said.append(heard)
            return heard.plain.prediction.sum(), {}

    context = Context("class", 2, {"x": InputShape(3)}, {"map": (2, 3)}, {"teacher": {"map": (4, 5), "level": ()}})
    learner = Learner(Maps(), {"listen": Listen()}, context)
    values = torch.arange(6.0 * 20).reshape(6, 20)
    handed = {"teacher": {"map": values, "level": torch.arange(6.0)[:, None], "logits": torch.ones(6, 2)}}
    learner(batch(teachers=handed, logits=torch.ones(6, 2)))

    torch.testing.assert_close(said[0].teachers["teacher"]["map"], values.reshape(6, 4, 5))
    assert said[0].teachers["teacher"]["level"].shape == (6,)
    assert said[0].teachers["teacher"]["logits"].shape == (6, 2)
    assert said[0].logits is not None


def test_feature_shapes_are_those_of_one_window(small: Any, rich: Any) -> None:
    assert feature_shapes(small(rich), rich) == {"hidden": (4,)}


def test_every_loss_that_cannot_be_joined_is_named_at_once(small: Any, rich: Any) -> None:
    context = Context("class", 2, rich, {"hidden": (4,)}, {"teacher": {"fused": (3,)}})
    losses = make_losses(
        {"early": {"loss": "hint", "student": "hiden", "teacher": "fsed"}, "late": {"loss": "hint", "teacher": "fused"}}
    )

    with pytest.raises(LimbeckError) as caught:
        Learner(small(rich), losses, context)

    found = str(caught.value).splitlines()
    expected = (
        "early.student: the network has no feature 'hiden'. Did you mean 'hidden'?",
        "early.teacher: 'teacher' has no feature 'fsed'. Did you mean 'fused'?",
        "late.student: the network has no feature 'embedding'.",
    )
    assert [line.startswith(start) for line, start in zip(found, expected, strict=True)] == [True] * 3


# ---- teachers that are there ----------------------------------------------------------------------------------------


def test_a_teacher_that_is_a_partner_teaches_what_it_says_now(bench: Make, batch: Make) -> None:
    own, one = bench({"soft": {}, "hint": {"student": "hidden", "teacher": "hidden"}}), batch()
    own.learner.train(False)

    _, terms = own.evaluate(own.parameters, one, "losses")

    network, teacher = own.learner.network, own.learner.partners["teacher"]
    student, told = network(one.sights["plain"].inputs), teacher(one.sights["teacher/plain"].inputs)
    expected = hint(student.features["hidden"], told.features["hidden"], one.trust)["hint"]
    torch.testing.assert_close(terms["hint"], expected)
    weights = one.trust * (told.prediction.softmax(dim=-1) @ one.class_weights)
    torch.testing.assert_close(
        terms["soft"], soft_target(student.prediction, told.prediction, weights, temperature=2.0)["soft"]
    )


@pytest.mark.parametrize("learns", ["gradient", "frozen"])
def test_a_teacher_gets_no_gradient_through_what_it_teaches(
    bench: Make, batch: Make, small: Any, rich: Any, learns: Any
) -> None:
    own = bench(partners={"teacher": Partner(small(rich), rich, learns=learns, teaches=True)})

    gradient = own.gradient(JOINT, batch())

    taught = [name for name in gradient if name.startswith("partners.")]
    assert bool(taught) is (learns == "gradient")
    assert all(not gradient[name].any() for name in taught)
    assert largest(gradient, "network.") > 1e-3


def test_a_partner_that_does_not_learn_has_no_parameters_that_do_and_stays_in_evaluation(
    bench: Make, batch: Make, small: Any, rich: Any
) -> None:
    own = bench(partners={"teacher": Partner(small(rich), rich, learns="frozen", teaches=True)})
    before = {name: value.clone() for name, value in own.buffers.items()}

    own.gradient(JOINT, batch())

    assert not any(name.startswith("partners.") for name in own.parameters)
    assert own.learner.network.training
    assert not any(module.training for module in own.learner.partners["teacher"].modules())
    for name, value in before.items():
        assert torch.equal(own.buffers[name], value) is name.startswith("partners."), name


def test_wanted_dropout_makes_two_answers_differ_and_leaves_the_statistics_alone(
    bench: Make, batch: Make, small: Any, rich: Any
) -> None:
    own = bench(
        partners={"teacher": Partner(small(rich), rich, learns="frozen", dropout=True, teaches=True)},
        extra={"differ": Differ()},
    )
    one = batch()
    one = one._replace(sights={**one.sights, "teacher/second": one.sights["teacher/plain"]})
    before = {name: value.clone() for name, value in own.buffers.items() if name.startswith("partners.")}
    own.learner.train()
    teacher = own.learner.partners["teacher"]
    assert not teacher.norm.training
    assert teacher.dropout.training
    # One mask for both answers, as the engine draws it for all that passes at once.
    teacher.dropout.mask = (torch.rand(2 * 6, 4, dtype=torch.float64) > 0.4).double() / 0.6

    _, terms = own.evaluate(own.parameters, one, "losses")
    assert float(terms["differ.apart"]) > 1e-2
    own.learner.train(False)
    assert not teacher.dropout.training
    _, terms = own.evaluate(own.parameters, one, "losses")
    assert float(terms["differ.apart"]) == 0.0
    assert all(torch.equal(own.buffers[name], value) for name, value in before.items())


def test_a_partner_that_learns_is_moved_by_the_losses_that_ask_it(
    bench: Make, batch: Make, small: Any, rich: Any
) -> None:
    own, one = bench({"hard": {}}, peers(small, rich), extra={"near": Near()}), with_peer(batch())

    gradient = own.gradient(JOINT, one)

    assert largest(gradient, "partners.peer.") > 1e-3
    assert largest(gradient, "network.") > 1e-3
    alone = bench({"hard": {}}, peers(small, rich))
    assert largest(alone.gradient(JOINT, one), "partners.peer.") == 0.0


def test_a_partner_that_no_loss_asks_is_not_run(bench: Make, batch: Make, small: Any, rich: Any) -> None:
    own = bench({"hard": {}}, peers(small, rich))
    assert own.learner.sights == {"": ("plain",), "peer": ()}
    own.evaluate(own.parameters, batch(), "losses")  # without a sight for the peer


# ---- sights ---------------------------------------------------------------------------------------------------------


def test_a_network_is_run_once_on_all_its_sights_together(bench: Make, batch: Make, small: Any, rich: Any) -> None:
    own = bench({}, peers(small, rich, learns="frozen"), extra={"near": Near(own=("plain", "second"))})
    one = with_peer(batch())
    plain = one.sights["plain"].inputs["x"]
    second = Sight({"x": plain + 1.0}, {})
    one = one._replace(sights={**one.sights, "second": second})
    sizes: list[int] = []
    own.learner.network.first.register_forward_hook(lambda _, x, __: sizes.append(len(x[0])))
    own.learner.train(False)

    said = own.learner.say(one)

    assert sizes == [12]
    for name, inputs in (("plain", plain), ("second", plain + 1.0)):
        expected = own.learner.network({"x": inputs})
        torch.testing.assert_close(said.network[name].prediction, expected.prediction)
        torch.testing.assert_close(said.network[name].features["hidden"], expected.features["hidden"])
    assert own.learner.sights == {"": ("plain", "second"), "peer": ("plain",)}


def test_two_losses_that_make_one_sight_differently_are_refused(small: Any, rich: Any) -> None:
    class Change:
        def __init__(self, strength: float) -> None:
            self.strength = strength

    class Masked(Loss):
        sights = ("masked",)

        def __init__(self, strength: float) -> None:
            super().__init__()
            self.strength = strength

        def changes(self) -> Mapping[str, Any]:
            return {"masked": Change(self.strength)}

    context = Context("class", 2, rich, {"hidden": (4,)})
    learner = Learner(small(rich), {"one": Masked(0.5), "other": Masked(0.5)}, context)
    assert list(learner.changes) == ["masked"]
    with pytest.raises(LimbeckError, match="'other' wants the sight 'masked' made otherwise"):
        Learner(small(rich), {"one": Masked(0.5), "other": Masked(0.6)}, context)


# ---- averages -------------------------------------------------------------------------------------------------------


def averaging(bench: Make, momentum: float, **options: Any) -> Any:
    return bench(
        {"hard": {}}, {"slow": Partner(None, {"x": InputShape(3)}, learns="average", momentum=momentum)}, **options
    )


def test_an_average_starts_as_the_network_and_learns_nothing_by_itself(bench: Make) -> None:
    own = averaging(bench, 0.9)

    for name, value in own.learner.network.named_parameters():
        assert torch.equal(own.buffers[f"partners.slow.{name}"], value)
    assert not any(name.startswith("partners.") for name in own.parameters)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_an_average_is_the_closed_form_of_all_states_so_far(bench: Make, momentum: float) -> None:
    """Until the momentum is reached it is the plain mean; afterwards each state counts `momentum` times less a step."""
    own, rng = averaging(bench, momentum), np.random.default_rng(0)
    names = [name.removeprefix("network.") for name in own.parameters if name.startswith("network.")]
    states = [
        {name: rng.normal(size=(2, *own.parameters[f"network.{name}"].shape)) for name in names} for _ in range(30)
    ]
    buffers = {name: torch.stack([value, value]) for name, value in own.buffers.items()}

    for step, state in enumerate(states):
        moving = {f"network.{name}": torch.from_numpy(value) for name, value in state.items()}
        own.learner.follow(moving, buffers, torch.full((2,), float(step), dtype=torch.float64))
        keeps = [min(momentum, 1 - 1 / (k + 1)) for k in range(step + 1)]
        shares = np.array([(1 - keeps[k]) * np.prod(keeps[k + 1 :]) for k in range(step + 1)])
        assert shares.sum() == pytest.approx(1.0)
        for name in names:
            expected = np.tensordot(shares, np.stack([s[name] for s in states[: step + 1]]), axes=1)
            np.testing.assert_allclose(buffers[f"partners.slow.{name}"].numpy(), expected, rtol=1e-9, atol=1e-12)


def test_an_average_has_the_running_statistics_of_the_network(bench: Make) -> None:
    own = averaging(bench, 0.9)
    buffers = {name: torch.stack([value, value]) for name, value in own.buffers.items()}
    buffers["network.norm.running_mean"] += 7.0
    buffers["network.norm.num_batches_tracked"] += 4
    moving = {name: torch.stack([value, value]) for name, value in own.parameters.items()}

    own.learner.follow(moving, buffers, torch.zeros(2, dtype=torch.float64))

    for name in ("norm.running_mean", "norm.running_var", "norm.num_batches_tracked"):
        assert torch.equal(buffers[f"partners.slow.{name}"], buffers[f"network.{name}"])


def test_an_average_of_a_partner_follows_that_partner(bench: Make, small: Any, rich: Any) -> None:
    partners = peers(small, rich) | {"slow": Partner(None, rich, learns="average", of="peer")}
    own = bench({"hard": {}}, partners)
    assert torch.equal(own.buffers["partners.slow.head.weight"], own.parameters["partners.peer.head.weight"])
    buffers = {name: value[None].clone() for name, value in own.buffers.items()}
    moving = {name: value[None] + 1.0 for name, value in own.parameters.items()}

    own.learner.follow(moving, buffers, torch.ones(1, dtype=torch.float64))

    expected = own.parameters["partners.peer.head.weight"] + 0.5
    torch.testing.assert_close(buffers["partners.slow.head.weight"][0], expected.detach())
    with pytest.raises(LimbeckError, match="'slow' averages 'nobody'"):
        bench({"hard": {}}, {"slow": Partner(None, rich, learns="average", of="nobody")})


# ---- what is kept ---------------------------------------------------------------------------------------------------


def test_the_network_and_partners_that_learn_are_kept_and_what_helped_is_not(
    bench: Make, small: Any, rich: Any
) -> None:
    partners = {
        "teacher": Partner(small(rich), rich, learns="frozen", teaches=True),
        "slow": Partner(None, {"x": InputShape(3)}, learns="average"),
        "peer": Partner(small(rich), rich),
    }
    learner = bench({"hint": {"student": "hidden", "teacher": "hidden", "map": "linear"}}, partners).learner
    kept = {name: learner.kept_as(name) for name in learner.state_dict()}

    assert kept["network.head.weight"] == "network.head.weight"
    assert kept["partners.peer.norm.running_mean"] == "partners.peer.norm.running_mean"
    left = {name.split(".")[0] + "." + name.split(".")[1] for name, under in kept.items() if under is None}
    assert left == {"losses.hint", "partners.teacher", "partners.slow"}


def test_an_average_that_is_deployed_is_kept_as_the_network(bench: Make) -> None:
    learner = averaging(bench, 0.9, deployed="slow").learner

    kept = [learner.kept_as(name) for name in learner.state_dict()]

    assert learner.deployed == "partners.slow"
    assert learner.kept_as("partners.slow.head.weight") == "network.head.weight"
    assert learner.kept_as("network.head.weight") is None
    assert sorted(name for name in kept if name) == sorted(f"network.{name}" for name in learner.network.state_dict())


@pytest.mark.parametrize("deployed", ["peer", "nobody"])
def test_only_an_average_can_be_deployed_for_the_network(bench: Make, small: Any, rich: Any, deployed: str) -> None:
    with pytest.raises(LimbeckError, match=f"Only a partner that averages .*'{deployed}'"):
        bench({"hard": {}}, peers(small, rich), deployed=deployed)


def test_partners_draw_no_random_numbers_before_the_network(small: Any, rich: Any) -> None:
    """The network starts the same with and without a slow average of itself."""
    context = Context("class", 2, rich, {"hidden": (4,)})

    def started(partners: dict[str, Partner]) -> Learner:
        torch.manual_seed(1)
        return Learner(small(rich), make_losses({"hard": {}}), context, partners)

    alone, averaged = started({}), started({"slow": Partner(None, rich, learns="average")})
    torch.testing.assert_close(averaged.network.state_dict(), alone.network.state_dict(), rtol=0, atol=0)
    assert torch.initial_seed() == 1


# ---- the quiz -------------------------------------------------------------------------------------------------------


def test_the_quiz_examines_whoever_sees_it(bench: Make, batch: Make) -> None:
    own, one = bench(), batch()
    own.learner.train(False)

    error, found = own.evaluate(own.parameters, one, "quiz")

    truth = one.sights["quiz"].notes["target"]
    expected = {
        "network": own.learner.network(one.sights["quiz"].inputs).prediction,
        "teacher": own.learner.partners["teacher"](one.sights["teacher/quiz"].inputs).prediction,
    }
    assert list(found) == ["network", "teacher"]
    assert error is found["network"]
    for name, prediction in expected.items():
        torch.testing.assert_close(
            found[name], nn.functional.cross_entropy(prediction, truth, weight=one.class_weights)
        )


@pytest.mark.parametrize(("form", "power"), [("mse", 2), ("l1", 1)])
def test_the_quiz_on_a_trace_errs_as_the_stages_own_loss_does_on_every_step(
    small: Any, rich: Any, batch: Make, form: str, power: int
) -> None:
    one = batch()
    sight = one.sights["teacher/quiz"]
    rows = len(sight.notes["target"])
    target = torch.linspace(-1, 1, 2 * rows, dtype=torch.float64).reshape(rows, 2)
    context = Context("trace", 2, rich, {"hidden": (4,)}, n_windows=20, batch=6)
    learner = Learner(small(rich), make_losses({"hard": {"form": form}}), context).double().eval()

    error, _ = learner(one._replace(sights={"quiz": Sight(sight.inputs, {"target": target})}), "quiz")

    prediction = learner.network(sight.inputs).prediction
    torch.testing.assert_close(error, (prediction - target).abs().pow(power).mean())


def test_a_trace_of_another_number_of_steps_is_refused_instead_of_stretched(small: Any, rich: Any, batch: Make) -> None:
    one = batch()
    sight = one.sights["teacher/quiz"]
    target = torch.zeros(len(sight.notes["target"]), dtype=torch.float64)
    context = Context("trace", 1, rich, {"hidden": (4,)}, n_windows=20, batch=6)
    learner = Learner(small(rich), make_losses({"hard": {}}), context).double().eval()
    with pytest.raises(LimbeckError, match="2 steps and one of 1"):
        learner(one._replace(sights={"quiz": Sight(sight.inputs, {"target": target})}), "quiz")


def test_a_learner_runs_under_vmap_as_it_does_alone(bench: Make, batch: Make) -> None:
    own, one = bench({"hard": {}, "soft": {}, "hint": {"student": "hidden", "teacher": "hidden"}}), batch()
    own.learner.train(False)
    twice = {name: torch.stack([value.detach(), value.detach() * 1.1]) for name, value in own.parameters.items()}
    buffers = {name: torch.stack([value, value]) for name, value in own.buffers.items()}

    def run(parameters: dict[str, Tensor], kept: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        found: tuple[Tensor, dict[str, Tensor]] = functional_call(own.learner, ({**parameters, **kept}), (one,))
        return found

    total, terms = torch.vmap(run)(twice, buffers)

    for position in range(2):
        alone, alone_terms = run({n: v[position] for n, v in twice.items()}, own.buffers)
        torch.testing.assert_close(total[position], alone)
        torch.testing.assert_close({n: v[position] for n, v in terms.items()}, alone_terms)


def test_dropout_layers_of_everything_that_helps_are_known_to_the_engine(bench: Make) -> None:
    layers = [name for name, module in bench().learner.named_modules() if isinstance(module, Dropout)]
    assert layers == ["network.dropout", "partners.teacher.dropout"]
