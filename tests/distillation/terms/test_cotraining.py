"""Losses between networks that learn together: formulas, who learns from what, dropout, refusals."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from limbeck.distillation import Batch, Context, Learner, Partner, Said, Sight, feature_shapes, functional, make_losses
from limbeck.errors import LimbeckError
from limbeck.models import Dropout, InputShape, Outputs, build
from limbeck.protocols import Fold
from limbeck.training import Ensemble, Member, PartnerWindows, Settings, Taught, WindowTensors, fit

WINDOWS, LABELLED, CLASSES = 6, 4, 3
SHAPES = {"x": InputShape(4)}
RICH = {"y": InputShape(5)}


class Small(nn.Module):
    """A perceptron with batch normalisation and dropout; its parts may answer for themselves."""

    def __init__(self, shapes: Mapping[str, InputShape], n_outputs: int = CLASSES, *, dropout: float = 0.4) -> None:
        super().__init__()
        ((self.name, shape),) = shapes.items()
        self.first, self.norm = nn.Linear(shape.channels, 4, bias=False), nn.BatchNorm1d(4)
        self.dropout, self.head = Dropout(dropout), nn.Linear(4, n_outputs)
        self.parts = nn.ModuleDict({name: nn.Linear(4, n_outputs) for name in ("a", "b")})
        self.adapters = nn.ModuleDict({name: nn.Linear(4, 4) for name in ("a", "b")})

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        hidden = self.dropout(torch.tanh(self.norm(self.first(inputs[self.name]))))
        features = {f"logits_{name}": part(hidden) for name, part in self.parts.items()}
        features |= {f"adapted_{name}": adapter(hidden) for name, adapter in self.adapters.items()}
        return Outputs(self.head(hidden), {**features, "embedding": hidden, "joint": hidden})


def drawn(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed + 1000 * len(shape) + shape[-1])
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def a_learner(
    loss: str,
    options: Mapping[str, Any] | None = None,
    *,
    kind: str = "class",
    seed: int = 0,
    form: str = "",
    settled: bool = False,
    **beside: Partner,
) -> Learner:
    """Return a learner in double precision, with one loss, some partners and a loss `hard` of a form."""
    torch.manual_seed(seed)
    n_outputs = CLASSES if kind == "class" else 1
    network = Small(SHAPES, n_outputs)
    own = feature_shapes(network, SHAPES)
    features = {
        name: own if partner.network is None else feature_shapes(partner.network, partner.inputs)
        for name, partner in beside.items()
    }
    inputs = {name: partner.inputs for name, partner in beside.items()}
    context = Context(
        kind, n_outputs, SHAPES, own, {}, features, inputs, n_windows=20, batch=WINDOWS, balanced_trust=settled
    )
    losses = make_losses({loss: dict(options or {}), **({"hard": {"form": form}} if form else {})})
    return Learner(network, losses, context, beside).double()


def a_peer(kind: str = "class", seed: int = 7, **options: Any) -> Partner:
    torch.manual_seed(seed)
    return Partner(Small(RICH, CLASSES if kind == "class" else 1), RICH, **options)


def a_batch(kind: str = "class", progress: float = 0.4, sights: Mapping[str, Sight] | None = None) -> Batch:
    labelled = (torch.arange(WINDOWS) < LABELLED).double()
    target = torch.tensor([0, 2, 1, 1, 0, 0]) if kind == "class" else drawn(WINDOWS) * labelled
    return Batch(
        sights=dict(sights or {}),
        target=target,
        labelled=labelled,
        class_weights=torch.tensor([0.5, 1.0, 1.5], dtype=torch.float64),
        logits=torch.empty(WINDOWS, 0, dtype=torch.float64),
        trust=torch.ones(WINDOWS, dtype=torch.float64),
        teachers={},
        index=torch.arange(WINDOWS),
        progress=torch.tensor(progress, dtype=torch.float64),
        strength=torch.ones((), dtype=torch.float64),
    )


def outputs(seed: int, width: int = CLASSES, **features: Tensor) -> Outputs:
    """Return what a network might have said, as leaves that gradients reach."""
    given = {"embedding": drawn(WINDOWS, 4, seed=50 + seed), **features}
    return Outputs(drawn(WINDOWS, width, seed=seed).requires_grad_(), {n: v.requires_grad_() for n, v in given.items()})


def said(own: Outputs, **beside: Outputs) -> Said:
    partners = {name: {"plain": each} for name, each in beside.items()}
    return Said({"plain": own}, partners, torch.empty(WINDOWS, 0), {})


# NumPy


def array(x: Tensor) -> np.ndarray:
    return x.detach().numpy()


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


def kl(p: np.ndarray, q: np.ndarray) -> float:
    return float((p * np.log(p / q)).sum(axis=-1).mean())


def cross_entropy(logits: np.ndarray, batch: Batch) -> float:
    target, weights = array(batch.target), array(batch.class_weights)[array(batch.target)] * array(batch.labelled)
    surprise = -np.log(softmax(logits))[np.arange(WINDOWS), target]
    return float((surprise * weights).sum() / weights.sum())


# ---- mutual ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("average", "share"), [(True, 0.5), (False, 1.0)])
def test_mutual_learning_follows_its_formula(average: bool, share: float) -> None:
    options = {"partner": ["one", "two"], "temperature": 2.0, "hard": 0.5, "average": average, "balanced": False}
    loss = a_learner("mutual", options, one=a_peer(), two=a_peer(seed=8)).named_losses["mutual"]
    nets, batch = [outputs(seed) for seed in range(3)], a_batch()

    value, terms = loss(said(nets[0], one=nets[1], two=nets[2]), batch)

    p = [softmax(array(net.prediction) / 2.0) for net in nets]
    pulls = [share * sum(4.0 * kl(p[j], p[i]) for j in range(3) if j != i) for i in range(3)]
    hard = 0.5 * sum(cross_entropy(array(net.prediction), batch) for net in nets[1:])
    assert terms["mutual"].item() == pytest.approx(pulls[0])
    assert value.item() == pytest.approx(sum(pulls) + hard)


def test_what_the_others_say_is_held_fixed_for_each_network() -> None:
    loss = a_learner("mutual", {"hard": 0.0, "balanced": False}, peer=a_peer()).named_losses["mutual"]
    own, peer = outputs(0), outputs(1)

    loss(said(own, peer=peer), a_batch())[0].backward()

    p, q = softmax(array(own.prediction)), softmax(array(peer.prediction))
    np.testing.assert_allclose(own.prediction.grad, (p - q) / WINDOWS, atol=1e-12)
    np.testing.assert_allclose(peer.prediction.grad, (q - p) / WINDOWS, atol=1e-12)


@pytest.mark.parametrize("kind", ["class", "trace"])
def test_networks_that_learn_from_each_other_can_be_exchanged(kind: str) -> None:
    width = CLASSES if kind == "class" else 1
    mutual = a_learner("mutual", kind=kind, peer=a_peer(kind)).named_losses["mutual"]
    hard = a_learner("hard", kind=kind).named_losses["hard"]
    own, peer, batch = outputs(0, width), outputs(1, width), a_batch(kind)

    def total(first: Outputs, second: Outputs) -> float:
        heard = said(first, peer=second)
        return (mutual(heard, batch)[0] + hard(heard, batch)[0]).item()

    assert total(own, peer) == pytest.approx(total(peer, own))


# ---- one -------------------------------------------------------------------------------------------------------------


def test_the_ensemble_of_branches_follows_its_formula() -> None:
    loss = a_learner("one", {"hard": 0.7, "temperature": 3.0, "balanced": False}, peer=a_peer()).named_losses["one"]
    own, peer, batch = outputs(0), outputs(1), a_batch()

    value, terms = loss(said(own, peer=peer), batch)

    z = np.stack([array(own.prediction), array(peer.prediction)], axis=1)
    gate = softmax(array(loss.gate(torch.from_numpy(z.reshape(WINDOWS, -1)))))
    mixture = (gate[:, :, None] * z).sum(axis=1)
    pulls = 9.0 * sum(kl(softmax(mixture / 3.0), softmax(z[:, k] / 3.0)) for k in range(2))
    assert terms["one"].item() == pytest.approx(pulls)
    assert terms["ensemble"].item() == pytest.approx(0.7 * cross_entropy(mixture, batch))
    assert terms["hard"].item() == pytest.approx(0.7 * cross_entropy(z[:, 1], batch))
    assert value.item() == pytest.approx(sum(term.item() for term in terms.values()))


def test_the_gate_learns_from_labels_and_not_from_the_branches_distance() -> None:
    loss = a_learner("one", peer=a_peer()).named_losses["one"]
    _, terms = loss(said(outputs(0), peer=outputs(1)), a_batch())
    gate = list(loss.gate.parameters())

    assert all(grad is None for grad in torch.autograd.grad(terms["one"], gate, allow_unused=True, retain_graph=True))
    assert any(grad.any() for grad in torch.autograd.grad(terms["ensemble"], gate))


def test_the_gate_reads_branches_that_it_does_not_move() -> None:
    loss: Any = a_learner("one", peer=a_peer()).named_losses["one"]
    own, peer, batch = outputs(0), outputs(1), a_batch()

    _, terms = loss(said(own, peer=peer), batch)

    fixed = [outputs(seed) for seed in range(2)]
    read = torch.stack([branch.prediction for branch in fixed], dim=1).detach()
    gate = loss.gate(read.flatten(1)).detach()
    branches = torch.stack([branch.prediction for branch in fixed], dim=1)
    mixture = functional.gated_mixture(branches, gate)
    hard = functional.hard_target(mixture, batch.target, batch.class_weights, batch.labelled)["hard"]
    found = torch.autograd.grad(terms["ensemble"], [own.prediction, peer.prediction])
    expected = torch.autograd.grad(hard, [branch.prediction for branch in fixed])
    for gradient, alone in zip(found, expected, strict=True):
        torch.testing.assert_close(gradient, alone)


# ---- consistency -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("progress", "ramp"), [(0.05, 0.2), (0.2, 0.2), (0.9, 0.2), (0.1, 0.0)])
def test_consistency_is_the_distance_of_probabilities_and_grows(progress: float, ramp: float) -> None:
    average = Partner(None, SHAPES, learns="average")
    loss = a_learner("consistency", {"ramp": ramp}, average=average).named_losses["consistency"]
    own, slow = outputs(0), outputs(1)
    heard = Said({"second": own}, {"average": {"second": slow}}, torch.empty(0), {})

    value, terms = loss(heard, a_batch(progress=progress))

    gap = ((softmax(array(own.prediction)) - softmax(array(slow.prediction))) ** 2).mean()
    left = 1.0 - min(progress / ramp, 1.0) if ramp else 0.0
    assert terms["consistency"].item() == pytest.approx(gap)
    assert value.item() == pytest.approx(np.exp(-5 * left**2) * gap)
    value.backward()
    assert own.prediction.grad.any()
    assert slow.prediction.grad is None


def test_consistency_of_traces_is_their_squared_distance() -> None:
    average = Partner(None, SHAPES, learns="average")
    loss = a_learner("consistency", {"sight": "plain"}, kind="trace", average=average).named_losses["consistency"]
    own, slow = outputs(0, 1), outputs(1, 1)

    _, terms = loss(Said({"plain": own}, {"average": {"second": slow}}, torch.empty(0), {}), a_batch("trace"))

    assert terms["consistency"].item() == pytest.approx(((own.prediction - slow.prediction) ** 2).mean().item())


# ---- stochastic ------------------------------------------------------------------------------------------------------


def answers(passes: int) -> dict[str, Outputs]:
    """Return the answers of a teacher of which some units drop out."""
    return {f"pass_{i}": outputs(i, embedding=drawn(WINDOWS, 4, seed=200 + i)) for i in range(passes)}


def a_noisy(dropout: bool = True) -> Partner:
    return a_peer(learns="frozen", dropout=dropout)


@pytest.mark.parametrize(
    ("passes", "percentile", "kept"), [(30, 90, 3), (15, 90, 2), (5, 90, 1), (4, 0, 4), (8, 50, 4)]
)
def test_a_tenth_of_the_answers_rounded_up_is_kept(passes: int, percentile: float, kept: int) -> None:
    options = {"passes": passes, "percentile": percentile, "map": "none"}
    loss = a_learner("stochastic", options, teacher=a_noisy()).named_losses["stochastic"]
    own, heard = drawn(WINDOWS, 4), answers(passes)
    stacked = torch.stack([each.features["embedding"] for each in heard.values()], dim=1)

    shares = loss.shares(own, stacked)

    torch.testing.assert_close(shares.sum(dim=1), torch.ones(WINDOWS, dtype=torch.float64))
    assert ((shares > 0).sum(dim=1) == kept).all()


def test_the_student_is_pulled_to_the_answers_that_it_chose() -> None:
    loss = a_learner("stochastic", {"passes": 20, "map": "none"}, teacher=a_noisy()).named_losses["stochastic"]
    own, heard = outputs(0), answers(20)

    value, _ = loss(Said({"plain": own}, {"teacher": heard}, torch.empty(0), {}), a_batch())

    s = array(own.features["embedding"])
    t = np.stack([array(each.features["embedding"]) for each in heard.values()], axis=1)
    likely = softmax(np.einsum("bd,bnd->bn", s, t) / 5.0)
    kept = np.where(likely >= np.quantile(likely, 0.9, axis=1)[:, None], likely, 0.0)
    mixture = ((kept / kept.sum(axis=1, keepdims=True))[:, :, None] * t).sum(axis=1)
    assert value.item() == pytest.approx(((s - mixture) ** 2).mean())
    value.backward()
    np.testing.assert_allclose(own.features["embedding"].grad, 2 * (s - mixture) / s.size, atol=1e-12)
    assert all(each.features["embedding"].grad is None for each in heard.values())


def test_without_detaching_the_gradient_also_goes_through_the_choice() -> None:
    found = []
    for detach in (True, False):
        options = {"passes": 20, "map": "none", "detach": detach}
        loss = a_learner("stochastic", options, teacher=a_noisy()).named_losses["stochastic"]
        own = outputs(0)
        value, _ = loss(Said({"plain": own}, {"teacher": answers(20)}, torch.empty(0), {}), a_batch())
        value.backward()
        found.append((value.item(), own.features["embedding"].grad))

    assert found[0][0] == pytest.approx(found[1][0])
    assert not torch.allclose(found[0][1], found[1][1])


def test_the_cosine_to_all_answers_follows_its_formula() -> None:
    options = {"passes": 3, "map": "none", "cosine": True}
    loss = a_learner("stochastic", options, teacher=a_noisy()).named_losses["stochastic"]
    own, heard = outputs(0), answers(3)

    value, _ = loss(Said({"plain": own}, {"teacher": heard}, torch.empty(0), {}), a_batch())

    s = array(own.features["embedding"])
    each = [array(answer.features["embedding"]) for answer in heard.values()]
    cosines = [(s * t).sum(1) / np.linalg.norm(s, axis=1) / np.linalg.norm(t, axis=1) for t in each]
    assert value.item() == pytest.approx(1 - np.mean(cosines))


def test_answers_differ_by_dropout_alone_and_the_teacher_stays_as_it_is() -> None:
    options = {"passes": 4, "map": "none"}
    learner = a_learner("stochastic", options, teacher=a_noisy()).train()
    teacher = learner.partners["teacher"]
    teacher.dropout.mask = (torch.rand(4 * WINDOWS, 4, generator=torch.Generator().manual_seed(0)) > 0.4).double() / 0.6
    before = copy.deepcopy(teacher.state_dict())
    rich = drawn(WINDOWS, 5)
    sights = {"plain": Sight({"x": drawn(WINDOWS, 4)}, {})}
    sights |= {f"teacher/pass_{i}": Sight({"y": rich}, {}) for i in range(4)}

    heard = learner.say(a_batch(sights=sights)).partners["teacher"]

    assert not torch.allclose(heard["pass_0"].features["embedding"], heard["pass_1"].features["embedding"])
    assert not teacher.norm.training
    assert teacher.dropout.training
    for name, value in teacher.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert not learner.eval().partners["teacher"].dropout.training


def test_the_released_passes_are_all_the_same() -> None:
    options = {"passes": 30, "map": "none", "as_released": True}
    loss = a_learner("stochastic", options, teacher=a_noisy(dropout=False)).named_losses["stochastic"]
    own, taught = outputs(0), outputs(3)

    value, _ = loss(said(own, teacher=taught), a_batch())

    gap = array(own.features["embedding"]) - array(taught.features["embedding"])
    assert loss.partner_sights == {"teacher": ("plain",)}
    assert value.item() == pytest.approx((gap**2).mean())


# ---- within one network ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("t_squared", "factor"), [(True, 64.0), (False, 1.0)])
def test_parts_learn_from_labels_and_from_the_whole(t_squared: bool, factor: float) -> None:
    options = {"hard": 0.5, "soft": 2.0, "temperature": 8.0, "t_squared": t_squared, "balanced": False}
    loss = a_learner("self_distil", options).named_losses["self_distil"]
    parts = {f"logits_{name}": drawn(WINDOWS, CLASSES, seed=70 + i) for i, name in enumerate("ab")}
    own, batch = outputs(0, **parts), a_batch()

    value, terms = loss(said(own), batch)

    whole = softmax(array(own.prediction) / 8.0)
    pulls = [factor * kl(whole, softmax(array(parts[name]) / 8.0)) for name in parts]
    assert terms["soft"].item() == pytest.approx(2.0 * sum(pulls))
    assert terms["hard"].item() == pytest.approx(
        0.5 * sum(cross_entropy(array(part), batch) for part in parts.values())
    )
    value.backward()
    assert own.prediction.grad is None
    assert parts["logits_a"].grad.any()


def test_the_released_self_distillation_also_pulls_the_whole_to_its_parts() -> None:
    loss = a_learner("self_distil", {"detach_teacher": False}).named_losses["self_distil"]
    parts = {f"logits_{name}": drawn(WINDOWS, CLASSES, seed=70 + i) for i, name in enumerate("ab")}
    own = outputs(0, **parts)

    loss(said(own), a_batch())[0].backward()

    assert own.prediction.grad.any()


@pytest.mark.parametrize("detach", [False, True])
def test_adapted_features_point_where_the_joint_one_does(detach: bool) -> None:
    loss = a_learner("adapters", {"detach": detach}).named_losses["adapters"]
    given = {f"adapted_{name}": drawn(WINDOWS, 4, seed=80 + i) for i, name in enumerate("ab")}
    given |= {f"logits_{name}": drawn(WINDOWS, CLASSES, seed=70 + i) for i, name in enumerate("ab")}
    own, batch = outputs(0, **given, joint=drawn(WINDOWS, 4, seed=90)), a_batch()

    value, _ = loss(said(own), batch)

    j = array(own.features["joint"])
    apart = sum(
        1 - ((a := array(given[f"adapted_{n}"])) * j).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(j, axis=1)
        for n in "ab"
    )
    hard = sum(cross_entropy(array(given[f"logits_{n}"]), batch) for n in "ab")
    assert value.item() == pytest.approx(0.5 * apart.mean() + 0.25 * hard)
    value.backward()
    assert (own.features["joint"].grad is None) == detach


# ---- a teacher that learns beside ------------------------------------------------------------------------------------


def test_a_weaker_modality_learns_from_the_dominant_one() -> None:
    options = {"map": "none", "apart": 0, "balanced": False}
    loss = a_learner("joint_teacher", options, teacher=a_peer()).named_losses["joint_teacher"]
    own, rich, batch = outputs(0), outputs(1), a_batch()

    value, terms = loss(said(own, teacher=rich), batch)

    def unit(x: Tensor) -> np.ndarray:
        return array(x) / np.linalg.norm(array(x), axis=1, keepdims=True)

    scores = unit(own.features["embedding"]) @ unit(rich.features["embedding"]).T / 0.1
    contrast = -0.5 * (np.log(softmax(scores).diagonal()).mean() + np.log(softmax(scores.T).diagonal()).mean())
    p, q = array(own.prediction), array(rich.prediction)
    both = torch.stack([own.features["embedding"], rich.features["embedding"]], dim=1)
    shares = softmax(array(loss.score(torch.tanh(loss.attend(both))))[..., 0])
    mixed = (shares[:, :, None] * softmax(np.stack([p, q], axis=1))).sum(axis=1)
    assert terms["feature"].item() == pytest.approx(0.5 * contrast)
    assert terms["label"].item() == pytest.approx(0.5 * 4.0 * kl(softmax(q / 2), softmax(p / 2)))
    assert terms["fused"].item() == pytest.approx(cross_entropy(np.log(mixed), batch))
    assert terms["hard"].item() == pytest.approx(cross_entropy(q, batch))
    assert value.item() == pytest.approx(sum(term.item() for term in terms.values()))


def test_the_dominant_network_learns_from_labels_and_not_from_its_student() -> None:
    loss = a_learner("joint_teacher", {"map": "none"}, teacher=a_peer()).named_losses["joint_teacher"]
    own, rich = outputs(0), outputs(1)
    _, terms = loss(said(own, teacher=rich), a_batch())

    def reached(term: str) -> bool:
        places = (rich.prediction, rich.features["embedding"])
        grads = torch.autograd.grad(terms[term], places, allow_unused=True, retain_graph=True)
        return any(grad is not None and grad.any() for grad in grads)

    assert {term: reached(term) for term in terms} == {"hard": True, "fused": True, "feature": False, "label": False}


@pytest.mark.parametrize("apart", [0, 1, 2])
def test_repeats_and_neighbours_are_no_negatives_of_the_dominant_networks_features(apart: int) -> None:
    options = {"map": "none", "apart": apart} if apart != 1 else {"map": "none"}
    loss = a_learner("joint_teacher", options, teacher=a_peer()).named_losses["joint_teacher"]

    def contrast(gap: int) -> float:
        index = 4 + gap * (torch.arange(WINDOWS) % 2)
        _, terms = loss(said(outputs(0), teacher=outputs(1)), a_batch()._replace(index=index))
        found: float = terms["feature"].item()
        return found

    assert contrast(apart) == pytest.approx(0.0, abs=1e-9)
    assert contrast(apart + 1) > 0.1


# ---- what all of them share ------------------------------------------------------------------------------------------

PULLS = {
    "mutual": ("mutual", {"hard": 0.0}, {"peer": 7}),
    "one": ("one", {}, {"peer": 7}),
    "self_distil": ("soft", {}, {}),
    "joint_teacher": ("label", {"map": "none"}, {"teacher": 7}),
}


def pull(loss: str, batch: Batch, settled: bool = False, **more: Any) -> tuple[Tensor, Tensor]:
    """Return the distance of the network from what teaches it, and the logits of what teaches it."""
    term, options, partners = PULLS[loss]
    beside = {name: a_peer() for name in partners}
    made: Any = a_learner(loss, {**options, **more}, settled=settled, **beside).named_losses[loss]
    parts = {f"logits_{name}": drawn(WINDOWS, CLASSES, seed=70 + i) for i, name in enumerate("ab")}
    own, other = outputs(0, **parts), outputs(1)
    taught = {"self_distil": own.prediction}.get(loss, other.prediction)
    if loss == "one":
        both = torch.stack([own.prediction, other.prediction], dim=1)
        taught = functional.gated_mixture(both, made.gate(both.flatten(1)))
    found: Tensor = made(said(own, **dict.fromkeys(partners, other)), batch)[1][term]
    return found, taught.detach()


@pytest.mark.parametrize("loss", PULLS)
def test_what_networks_learn_of_each_other_is_balanced_as_soft_targets_are(loss: str) -> None:
    batch = a_batch()
    value, taught = pull(loss, batch)
    expected = functional.expected_class_weights(taught, batch.class_weights)
    weighed, plain = (pull(loss, each, balanced=False)[0] for each in (batch._replace(trust=expected), batch))
    torch.testing.assert_close(value, weighed)
    assert not torch.isclose(value, plain)

    settled = torch.where(batch.labelled > 0, expected, 1.0)
    torch.testing.assert_close(
        pull(loss, batch, settled=True)[0], pull(loss, batch._replace(trust=settled), balanced=False)[0]
    )


@pytest.mark.parametrize("form", ["mse", "l1", "ccc"])
@pytest.mark.parametrize(
    ("loss", "term"), [("mutual", "hard"), ("one", "hard"), ("joint_teacher", "hard"), ("partner_hard", "teacher")]
)
def test_partners_err_on_traces_as_the_stages_own_loss_does(loss: str, term: str, form: str) -> None:
    options = {"map": "none"} if loss == "joint_teacher" else {"partner": "teacher"}
    learner = a_learner(loss, options, kind="trace", form=form, teacher=a_peer("trace"))
    own, peer, batch = outputs(0, 1), outputs(1, 1), a_batch("trace")

    _, terms = learner.named_losses[loss](said(own, teacher=peer), batch)

    x, y = array(peer.prediction)[:LABELLED, 0], array(batch.target)[:LABELLED]
    spread = x.var() + y.var() + (x.mean() - y.mean()) ** 2
    expected = {
        "mse": ((x - y) ** 2).mean(),
        "l1": abs(x - y).mean(),
        "ccc": 1 - 2 * ((x - x.mean()) * (y - y.mean())).mean() / (spread + 1e-8),
    }
    assert terms[term].item() == pytest.approx(expected[form])


def test_partners_learn_from_labels_on_labelled_windows_alone() -> None:
    loss = a_learner("partner_hard", {"partner": ["one", "two"]}, one=a_peer(), two=a_peer()).named_losses[
        "partner_hard"
    ]
    own, one, two, batch = outputs(0), outputs(1), outputs(2), a_batch()

    value, terms = loss(said(own, one=one, two=two), batch)
    value.backward()

    assert terms["one"].item() == pytest.approx(cross_entropy(array(one.prediction), batch))
    assert value.item() == pytest.approx((terms["one"] + terms["two"]).item())
    assert own.prediction.grad is None
    assert not one.prediction.grad[LABELLED:].any()


# ---- in training -----------------------------------------------------------------------------------------------------


def windows_of(shapes: Mapping[str, InputShape], kind: str = "class") -> WindowTensors:
    rng = np.random.default_rng(len(shapes) + sum(shape.channels for shape in shapes.values()))
    n = 60
    latent = np.random.default_rng(0).normal(size=n)
    inputs = {
        name: torch.from_numpy(np.outer(latent, rng.normal(size=s.channels)) + rng.normal(size=(n, s.channels))).float()
        for name, s in shapes.items()
    }
    codes = np.digitize(latent, [-0.5, 0.5]).astype(np.int64)
    target = torch.from_numpy(codes if kind == "class" else latent.astype(np.float32))
    return WindowTensors(inputs, target, kind, CLASSES if kind == "class" else 1, dict(shapes), per_fold=True)


def members() -> list[Member]:
    everyone, empty = np.arange(60), np.empty(0, dtype=np.int64)
    return [
        Member(
            Fold(
                0, f, everyone[everyone % 3 != f][:20], everyone[everyone % 3 != f][20:], empty, empty, (), (), (), ()
            ),
            3,
        )
        for f in range(3)
    ]


TRIALS: dict[str, tuple[dict[str, Any], dict[str, dict[str, Any]]]] = {
    "mutual": ({}, {"peer": {}}),
    "one": ({}, {"peer": {}}),
    "consistency": ({"sight": "second"}, {"average": {"learns": "average"}}),
    "stochastic": ({"passes": 4, "percentile": 50}, {"teacher": {"learns": "frozen", "dropout": True}}),
    "self_distil": ({}, {}),
    "adapters": ({}, {}),
    "joint_teacher": ({}, {"teacher": {}}),
    "partner_hard": ({}, {"teacher": {}}),
}


def trained(loss: str, backend: str, kind: str = "class", epochs: int = 2) -> Any:
    """Train three folds with a loss beside `hard`, and return them."""
    options, beside = TRIALS[loss]
    n_outputs = CLASSES if kind == "class" else 1

    def make() -> Learner:
        network = Small(SHAPES, n_outputs)
        partners = {
            name: Partner(None, SHAPES, **how)
            if how.get("learns") == "average"
            else Partner(Small(RICH, n_outputs), RICH, **how)
            for name, how in beside.items()
        }
        own = feature_shapes(network, SHAPES)
        features = {
            name: own if partner.network is None else feature_shapes(partner.network, RICH)
            for name, partner in partners.items()
        }
        inputs = {name: partner.inputs for name, partner in partners.items()}
        context = Context(kind, n_outputs, SHAPES, own, {}, features, inputs, 60, 16)
        return Learner(network, make_losses({"hard": {}, loss: options}), context, partners)

    rich = {
        name: PartnerWindows(windows_of(RICH, kind)) for name, how in beside.items() if how.get("learns") != "average"
    }
    ensemble = Ensemble(make, members(), backend=backend)
    settings = Settings(epochs=epochs, batch=16, learning_rate=5e-3)
    return fit(ensemble, windows_of(SHAPES, kind), settings, Taught(unlabelled=True), partners=rich)


@pytest.mark.parametrize("kind", ["class", "trace"])
@pytest.mark.parametrize("loss", list(TRIALS))
def test_networks_that_learn_together_train_alike_stacked_and_looped(loss: str, kind: str) -> None:
    stacked, looped = trained(loss, "stacked", kind), trained(loss, "looped", kind)

    for one, other in zip(stacked.states, looped.states, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            torch.testing.assert_close(one[name], other[name], rtol=2e-4, atol=2e-5, msg=name)


@pytest.mark.parametrize("loss", ["mutual", "joint_teacher"])
def test_what_learned_beside_the_network_is_kept(loss: str) -> None:
    ((name, _),) = TRIALS[loss][1].items()
    state = trained(loss, "stacked", epochs=1).states[0]

    assert {key.split(".")[0] for key in state} == {"network", "partners"}
    assert any(key.startswith(f"partners.{name}.first") for key in state)


# ---- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "options", "beside", "message"),
    [
        ("mutual", {}, {}, "no partner 'peer'"),
        ("mutual", {}, {"peer": a_peer(learns="frozen")}, "expected learns: gradient"),
        ("one", {}, {"pear": a_peer()}, "no partner 'peer'.*'pear'"),
        ("consistency", {}, {"average": a_peer()}, "expected learns: average"),
        ("stochastic", {}, {"teacher": a_noisy(dropout=False)}, "would be the same"),
        ("stochastic", {"as_released": True}, {"teacher": a_noisy()}, "dropout: false"),
        ("stochastic", {"teacher": "fused"}, {"teacher": a_noisy()}, "no feature 'fused'"),
        ("joint_teacher", {}, {"teacher": a_peer(learns="frozen")}, "expected learns: gradient"),
        ("partner_hard", {"partner": ["a", "b"]}, {"a": a_peer()}, "no partner 'b'"),
    ],
)
def test_what_cannot_learn_together_is_refused(
    loss: str, options: dict[str, Any], beside: dict[str, Partner], message: str
) -> None:
    with pytest.raises(LimbeckError, match=message):
        a_learner(loss, options, **beside)


@pytest.mark.parametrize("loss", ["self_distil", "adapters"])
def test_a_network_whose_parts_do_not_answer_is_refused(loss: str) -> None:
    network = build("mlp", SHAPES, 2)
    context = Context("class", 2, SHAPES, feature_shapes(network, SHAPES))
    with pytest.raises(LimbeckError, match="in which its parts answer for themselves"):
        Learner(network, make_losses({loss: {}}), context)


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        ("mutual", {"partner": []}),
        ("mutual", {"partner": ["a", "a"]}),
        ("mutual", {"temperature": 0}),
        ("consistency", {"sight": "third"}),
        ("consistency", {"ramp": 2}),
        ("consistency", {"partner": ["a", "b"]}),
        ("stochastic", {"passes": 0}),
        ("stochastic", {"percentile": 101}),
        ("one", {"hidden": 1.5}),
    ],
)
def test_options_out_of_bounds_are_refused_by_name(loss: str, options: dict[str, Any]) -> None:
    with pytest.raises(LimbeckError, match=f"{loss}.{next(iter(options))}: expected"):
        make_losses({loss: options})
