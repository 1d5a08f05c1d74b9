"""Losses that need no label: what is hidden, formulas, who learns, that they learn, and from whose windows."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from limbeck.augment import Augmentation
from limbeck.distillation import Batch, Context, Learner, Partner, Said, Sight, feature_shapes, make_losses
from limbeck.distillation.terms.pretext import Filling, Hiding
from limbeck.errors import LimbeckError
from limbeck.models import InputShape, Outputs, build, count_parameters
from limbeck.models.ssl_ecg import TRANSFORMATIONS
from limbeck.protocols import Fold
from limbeck.training import Ensemble, Member, PartnerWindows, Settings, Taught, WindowTensors, fit

EDA = {"eda": InputShape(1, 48, 4.0)}
BVP = {"bvp": InputShape(2, 98, 8.0)}
SMALL = {"width": 8, "depth": 1, "heads": 2, "feed_forward": 16, "frames": 12, "dropout": 0.0}
WINDOWS = 6


def network(model: str, shapes: Mapping[str, InputShape], n_outputs: int = 2) -> nn.Module:
    options = {"student_cnn": {"width": 6, "dropout": 0.0}, "mlp": {"hidden": 8, "dropout": 0.0}, "tcn": {"width": 12}}
    return build(model, dict(shapes), n_outputs, **options.get(model, SMALL))


def a_learner(
    loss: str,
    options: Mapping[str, Any] | None = None,
    *,
    model: str = "masked_autoencoder",
    shapes: Mapping[str, InputShape] = EDA,
    other: str = "",
    averages: bool = False,
    batch: int = WINDOWS,
) -> Learner:
    """Return a learner with one loss; beside it another network on the pulse, and averages of both."""
    own = network(model, shapes)
    partners: dict[str, Partner] = {}
    features = {"": feature_shapes(own, shapes)}
    if other:
        partners["other"] = Partner(network(other, BVP), BVP)
        features["other"] = feature_shapes(partners["other"].network, BVP)  # type: ignore[arg-type]
    if averages:
        partners["average"] = Partner(None, shapes, learns="average")
        features["average"] = features[""]
    if averages and other:
        partners["other_average"] = Partner(None, BVP, learns="average", of="other")
        features["other_average"] = features["other"]
    inputs = {name: partner.inputs for name, partner in partners.items()}
    context = Context("class", 2, dict(shapes), features.pop(""), {}, features, inputs, 60, batch)
    return Learner(own, make_losses({loss: dict(options or {})}), context, partners)


def a_batch(sights: Mapping[str, Sight], index: Sequence[int] = range(0, 10 * WINDOWS, 10)) -> Batch:
    n = len(index)
    return Batch(
        sights=dict(sights),
        target=torch.zeros(n, dtype=torch.int64),
        labelled=torch.zeros(n),
        class_weights=torch.ones(2),
        logits=torch.empty(n, 0),
        trust=torch.ones(n),
        teachers={},
        index=torch.tensor(list(index)),
        progress=torch.tensor(0.5),
        strength=torch.ones(()),
    )


def signals(shapes: Mapping[str, InputShape], batch: int = WINDOWS, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape.zeros(batch).shape, generator=generator) for name, shape in shapes.items()}


def hidden_by(change: Hiding, inputs: dict[str, Tensor], seed: int = 0) -> Sight:
    drawn = change.noise(len(next(iter(inputs.values()))), np.random.default_rng(seed))
    return Sight(*change.apply(inputs, {name: torch.from_numpy(values) for name, values in drawn.items()}))


# ---- what is hidden --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blank", [False, True])
def test_the_share_of_patches_is_hidden_over_all_channels(blank: bool) -> None:
    change = Hiding(0.6, {"bvp": 8}, {"bvp": 12}, blank=blank, normalise=False)
    inputs = signals(BVP, 50)

    shown, notes = hidden_by(change, inputs)

    gone = shown["bvp"].isnan() if blank else shown["bvp"] == 0
    assert (notes["hidden.bvp"].sum(dim=1) == 7).all()
    expected = notes["hidden.bvp"].repeat_interleave(8, dim=1).bool()[:, None].expand(-1, 2, -1)
    assert torch.equal(gone[..., :96], expected)
    assert not gone[..., 96:].any()  # behind the last whole patch
    torch.testing.assert_close(shown["bvp"][~gone], inputs["bvp"][~gone])
    assert len(np.unique(notes["hidden.bvp"].numpy(), axis=0)) > 1
    torch.testing.assert_close(notes["patches.bvp"][3, 2], inputs["bvp"][3, :, 16:24].flatten())


def test_an_absent_sensor_stays_absent() -> None:
    change = Hiding(0.5, {"eda": 4}, {"eda": 12}, blank=False, normalise=True)
    inputs = signals(EDA)
    inputs["eda"][2] = torch.nan

    shown, notes = hidden_by(change, inputs)

    assert shown["eda"][2].isnan().all()
    assert notes["patches.eda"][2].isnan().all()
    assert notes["patches.eda"][1].isfinite().all()


def test_patches_to_fill_in_are_normalised_one_by_one() -> None:
    _, notes = hidden_by(Hiding(0.5, {"eda": 4}, {"eda": 12}, blank=True, normalise=True), signals(EDA))

    torch.testing.assert_close(notes["patches.eda"].mean(-1), torch.zeros(WINDOWS, 12), rtol=0, atol=1e-5)
    torch.testing.assert_close(notes["patches.eda"].var(-1, unbiased=False), torch.ones(WINDOWS, 12), rtol=0, atol=1e-2)


@pytest.mark.parametrize("model", ["masked_autoencoder", "xkd"])
def test_a_network_of_patches_reads_shown_ones_as_if_hidden_ones_had_been_taken_out(model: str) -> None:
    torch.manual_seed(0)
    net = network(model, EDA).eval()
    ((feature, encoder),) = net.patch_encoders.items()
    change = Hiding(0.5, encoder.patch, encoder.n_tokens, blank=True, normalise=True)
    inputs = signals(EDA)
    sight = hidden_by(change, inputs)

    found = net(sight.inputs).features

    tokens, _ = encoder.tokens(encoder.patches(inputs))
    for window in range(WINDOWS):
        shown = sight.notes["hidden.eda"][window] == 0
        alone = encoder.summary(tokens[window : window + 1, shown])
        extra = alone.shape[1] - int(shown.sum())
        for block in encoder.blocks:
            alone = block(alone)
        alone = encoder.norm(alone)[0, extra:]
        torch.testing.assert_close(found[feature][window, shown], alone, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found["embedding"][window], alone.mean(dim=0), rtol=1e-4, atol=1e-5)


def test_a_convolutional_network_is_not_shown_what_it_has_to_fill_in() -> None:
    learner = a_learner("reconstruct", model="student_cnn").eval()
    inputs, other = signals(EDA), signals(EDA)
    change = learner.changes["masked"]
    first = hidden_by(change, inputs)
    gone = first.inputs["eda"] == 0
    other["eda"] = torch.where(gone, 9.0, inputs["eda"])

    torch.testing.assert_close(hidden_by(change, other).inputs["eda"], first.inputs["eda"])


# ---- reconstruction --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["masked_autoencoder", "xkd", "student_cnn"])
def test_the_error_is_that_of_hidden_patches_of_sensors_that_are_there(model: str) -> None:
    shapes = {**EDA, **BVP} if model != "student_cnn" else EDA
    learner = a_learner("reconstruct", {"blocks": 12}, model=model, shapes=shapes).eval()
    inputs = signals(shapes)
    if model != "student_cnn":
        inputs["bvp"][0] = torch.nan
    sight = hidden_by(learner.changes["masked"], inputs)
    batch = a_batch({"masked": sight})._replace(trust=torch.tensor([1.0, 2, 1, 0, 1, 1]))

    said = learner.say(batch)
    loss: Any = learner.named_losses["reconstruct"]
    value, _ = loss(said, batch)

    filled = loss.filling.fill(said.network["masked"], sight.notes)
    total, count = 0.0, 0.0
    for name, predicted in filled.items():
        hidden, target = sight.notes[f"hidden.{name}"].numpy(), sight.notes[f"patches.{name}"].numpy()
        for window, patch in np.argwhere(hidden > 0):
            if np.isfinite(target[window, patch]).all():
                gap = predicted[window, patch].detach().numpy() - target[window, patch]
                weight = float(batch.trust[window])
                total, count = total + weight * float((gap**2).mean()), count + weight
    assert value.item() == pytest.approx(total / count, rel=1e-5)


def test_a_decoder_fills_in_from_what_was_shown_alone() -> None:
    torch.manual_seed(0)
    learner = a_learner("reconstruct").eval()
    loss: Any = learner.named_losses["reconstruct"]
    inputs = signals(EDA)
    first = hidden_by(learner.changes["masked"], inputs)
    changed = {"eda": torch.where(first.inputs["eda"].isnan(), -5.0, inputs["eda"])}
    second = hidden_by(learner.changes["masked"], changed)

    one, two = (loss.filling.fill(learner.network(sight.inputs), sight.notes)["eda"] for sight in (first, second))

    torch.testing.assert_close(one, two)


@pytest.mark.parametrize("sequence", [False, True])
def test_a_map_is_filled_in_where_it_lies(sequence: bool) -> None:
    torch.manual_seed(0)
    features = {"map": (24, 5) if sequence else (5, 24)}
    filling = Filling(
        nn.Identity(),
        EDA,
        features,
        feature="map",
        share=0.5,
        blocks=12,
        width=8,
        depth=1,
        normalise=True,
        sequence=sequence,
    )
    seen = torch.randn(2, 5, 24)
    late = torch.cat([seen[..., :12], torch.randn(2, 5, 12)], dim=-1)

    one, two = (
        filling.fill(Outputs(torch.empty(2, 0), {"map": x.mT if sequence else x}), {})["eda"] for x in (seen, late)
    )

    torch.testing.assert_close(one[:, :6], two[:, :6])
    assert not torch.allclose(one[:, 6:], two[:, 6:])


# ---- contrast, byol, match -------------------------------------------------------------------------------------------


def views(first: Tensor, second: Tensor) -> Said:
    both = {
        name: Outputs(torch.empty(0), {"embedding": x}) for name, x in (("second", first), ("second_other", second))
    }
    return Said(both, {}, torch.empty(0), {})


def test_the_contrast_is_lower_where_the_views_of_a_window_are_alike() -> None:
    torch.manual_seed(0)
    loss = a_learner("contrast", {"temperature": 0.5}).named_losses["contrast"].eval()
    first = torch.randn(WINDOWS, 8)
    batch = a_batch({})

    alike, _ = loss(views(first, first + 0.01 * torch.randn(WINDOWS, 8)), batch)
    mixed, _ = loss(views(first, first.roll(1, dims=0)), batch)

    assert alike < mixed


def test_neighbours_in_time_are_no_negatives() -> None:
    torch.manual_seed(0)
    loss = a_learner("contrast", {"apart": 2}).named_losses["contrast"].eval()
    first, second = torch.randn(3, 8), torch.randn(3, 8)
    near, far = a_batch({}, [4, 6, 5]), a_batch({}, [4, 7, 10])

    assert loss(views(first, second), near)[0].item() == pytest.approx(0.0, abs=1e-6)
    assert loss(views(first, second), far)[0] > 0.1


def test_byol_predicts_the_averages_projection_and_holds_it_fixed() -> None:
    torch.manual_seed(0)
    learner = a_learner("byol", {"momentum": 0.9}, averages=True).double()
    loss: Any = learner.named_losses["byol"]
    with torch.no_grad():
        for parameter in loss.projector.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    before = copy.deepcopy(loss.slow)
    own = torch.randn(WINDOWS, 8, dtype=torch.float64, requires_grad=True)
    slow = torch.randn(WINDOWS, 8, dtype=torch.float64, requires_grad=True)
    said = Said(
        {"second": Outputs(torch.empty(0), {"embedding": own})},
        {"average": {"second": Outputs(torch.empty(0), {"embedding": slow})}},
        torch.empty(0),
        {},
    )

    value, _ = loss.train()(said, a_batch({}))

    for p, q, fast in zip(loss.slow.parameters(), before.parameters(), loss.projector.parameters(), strict=True):
        torch.testing.assert_close(p, 0.9 * q + 0.1 * fast)
    a, b = loss.predictor(loss.projector(own)).detach().numpy(), loss.slow(slow).detach().numpy()
    cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert value.item() == pytest.approx((2 - 2 * cosines).mean())
    value.backward()
    assert own.grad is not None
    assert own.grad.any()
    assert slow.grad is None
    assert all(parameter.grad is None for parameter in loss.slow.parameters())


def test_matching_is_lower_for_the_same_windows_and_teaches_both() -> None:
    torch.manual_seed(0)
    loss: Any = a_learner("match", {"temperature": 0.5}, other="student_cnn", model="student_cnn").named_losses["match"]
    loss.eval()
    loss.partner_projector.load_state_dict(loss.projector.state_dict())
    own, other = (torch.randn(WINDOWS, 12) for _ in range(2))
    own.requires_grad_()

    def value(beside: Tensor) -> Tensor:
        one, two = (Outputs(torch.empty(0), {"embedding": x}) for x in (own, beside))
        found: Tensor = loss(Said({"plain": one}, {"other": {"plain": two}}, torch.empty(0), {}), a_batch({}))[0]
        return found

    assert value(own.detach()) < value(other)
    other.requires_grad_()
    value(other).backward()
    assert own.grad is not None
    assert own.grad.any()
    assert other.grad is not None
    assert other.grad.any()


# ---- transformations -------------------------------------------------------------------------------------------------


def test_each_kind_of_transformation_has_a_head_with_the_published_weight() -> None:
    torch.manual_seed(0)
    loss: Any = a_learner("transformations", model="student_cnn").named_losses["transformations"].eval()
    feature, kind = torch.randn(WINDOWS, 12), torch.tensor([0, 3, 6, 1, 1, 5])
    said = Said({"transformed": Outputs(torch.empty(0), {"embedding": feature})}, {}, torch.empty(0), {})

    value, _ = loss(said, a_batch({"transformed": Sight({}, {"kind": kind})}))

    logits = torch.cat([head(feature) for head in loss.heads], dim=1).detach().numpy()
    probability = 1 / (1 + np.exp(-logits))
    true = np.eye(7)[kind.numpy()]
    surprise = -(true * np.log(probability) + (1 - true) * np.log(1 - probability))
    published = np.array([0.195, 0.195, 0.195, 0.0125, 0.0125, 0.195, 0.195])
    assert value.item() == pytest.approx((surprise * published).sum(axis=1).mean(), rel=1e-5)
    assert list(TRANSFORMATIONS.values()) == published.tolist()


def test_encoder_and_heads_have_the_published_number_of_parameters() -> None:
    ecg = {"ecg": InputShape(1, 2560, 256.0)}
    net = build("ssl_ecg", ecg, 2)
    context = Context("class", 2, ecg, feature_shapes(net, ecg))
    learner = Learner(net, make_losses({"transformations": {}}), context)
    loss: Any = learner.named_losses["transformations"]

    assert {count_parameters(head) for head in loss.heads} == {33_153}
    assert count_parameters(net.encoder) + count_parameters(loss.heads) == 561_223


# ---- XKD -------------------------------------------------------------------------------------------------------------


def xkd_batch(learner: Learner) -> Batch:
    own, other = signals(EDA), signals(BVP, seed=1)
    sights = {
        "masked": hidden_by(learner.changes["masked"], own),
        "other/masked": hidden_by(learner.changes["other/masked"], other),
        "average/plain": Sight(own, {}),
        "other_average/plain": Sight(other, {}),
    }
    return a_batch(sights)


PROJECTED = {"projector": 12, "bottleneck": 4, "outputs": 10, "width": 8, "depth": 1}


@pytest.mark.parametrize("as_released", [False, True])
def test_the_parts_of_xkd_follow_their_formulas(as_released: bool) -> None:
    torch.manual_seed(0)
    options = {**PROJECTED, "as_released": as_released}
    learner = a_learner("xkd", options, model="xkd", other="xkd", averages=True).double().eval()
    loss: Any = learner.named_losses["xkd"]
    loss.get_buffer("centre_of_own").copy_(torch.randn(10))
    batch = xkd_batch(learner)
    batch = batch._replace(
        sights={
            name: Sight({k: v.double() for k, v in s.inputs.items()}, {k: v.double() for k, v in s.notes.items()})
            for name, s in batch.sights.items()
        },
        trust=torch.ones(WINDOWS, dtype=torch.float64),
    )
    said = learner.say(batch)

    value, terms = loss(said, batch)

    masked = {"own": said.network["masked"], "other": said.partners["other"]["masked"]}
    s = {side: loss.projectors[side](out.features["embedding"]).detach().numpy() for side, out in masked.items()}
    t = {side: projected.numpy() for side, projected in loss.steady(said).items()}

    def softmax(x: np.ndarray) -> np.ndarray:
        return np.exp(x - x.max(1, keepdims=True)) / np.exp(x - x.max(1, keepdims=True)).sum(1, keepdims=True)

    def mmd(x: np.ndarray, y: np.ndarray) -> float:
        def mean(a: np.ndarray, b: np.ndarray) -> float:
            squared = ((a[:, None] - b[None]) ** 2).sum(-1)
            return float(sum(np.exp(-(10.0**k) * squared).mean() for k in range(-3, 4)))

        return mean(x, x) + mean(y, y) - 2 * mean(x, y)

    centre = loss.get_buffer("centre_of_own").numpy()
    to_other = -(softmax((t["own"] - centre) / 0.1) * np.log(softmax(s["other"] / 0.1))).sum(1).mean()
    to_own = -(softmax(t["other"] / 0.07) * np.log(softmax(s["own"] / 0.1))).sum(1).mean()
    aligned = mmd(s["own"], s["other"])
    if as_released:
        aligned = 0.5 * (aligned + mmd(t["own"], t["other"]))
    notes = {"own": batch.sights["masked"].notes, "other": batch.sights["other/masked"].notes}
    filled = [loss.fillings[side](masked[side], notes[side], batch.trust).item() for side in masked]
    assert terms["distillation"].item() == pytest.approx(0.5 * (to_other + to_own))
    assert terms["alignment"].item() == pytest.approx(aligned)
    assert value.item() == pytest.approx((5 * np.mean(filled) + 0.5 * (to_other + to_own) + aligned) / 7)


def test_both_networks_of_xkd_learn_and_their_averages_do_not() -> None:
    torch.manual_seed(0)
    learner = a_learner("xkd", PROJECTED, model="xkd", other="xkd", averages=True).train()
    before = learner.named_losses["xkd"].get_buffer("centre_of_other").clone()

    learner(xkd_batch(learner))[0].backward()

    reached = {name for name, parameter in learner.named_parameters() if parameter.grad is not None}
    heads = {"network.head.weight", "network.head.bias", "partners.other.head.weight", "partners.other.head.bias"}
    learns = {name for name, parameter in learner.named_parameters() if parameter.requires_grad}
    assert learns - reached == heads
    assert not any(
        name.startswith(("partners.average", "partners.other_average", "losses.xkd.slow")) for name in learns
    )
    assert not torch.equal(learner.named_losses["xkd"].get_buffer("centre_of_other"), before)


def test_the_released_attention_lets_one_number_per_head_pass() -> None:
    torch.manual_seed(0)
    learner = a_learner("xkd", {**PROJECTED, "as_released": True}, model="xkd", other="xkd", averages=True).eval()
    plain = a_learner("xkd", PROJECTED, model="xkd", other="xkd", averages=True).eval()
    plain.load_state_dict(learner.state_dict())
    one, two = signals(EDA), {"bvp": -3.0 * signals(BVP)["bvp"]}

    def steady(of: Learner, other: dict[str, Tensor]) -> Tensor:
        heard = {"average": {"plain": of.partners["average"](one)}}
        heard |= {"other_average": {"plain": of.partners["other_average"](other)}}
        loss: Any = of.named_losses["xkd"]
        found: Tensor = loss.steady(Said({}, heard, torch.empty(0), {}))["own"]
        return found

    assert torch.equal(steady(plain, signals(BVP)), steady(plain, two))
    assert not torch.equal(steady(learner, signals(BVP)), steady(learner, two))


# ---- in training -----------------------------------------------------------------------------------------------------

N, TEST = 60, np.arange(48, 60)


def a_view(shapes: Mapping[str, InputShape], poison: float | None = None) -> WindowTensors:
    """Return windows of one common rhythm, whose phase and speed differ; those of the test may be spoiled."""
    rng = np.random.default_rng(0)
    phase, speed = rng.uniform(0, 6.3, N), rng.uniform(0.5, 1.5, N)
    noise = np.random.default_rng(sum(shape.length for shape in shapes.values()))
    inputs = {}
    for name, shape in shapes.items():
        if shape.rate is None:
            x = np.sin(phase[:, None] + np.arange(shape.channels)) + 0.1 * noise.normal(size=(N, shape.channels))
            inputs[name] = torch.from_numpy(
                x if poison is None else np.where(np.isin(np.arange(N), TEST)[:, None], poison, x)
            ).float()
            continue
        time = np.arange(shape.length) / shape.rate
        wave = np.sin(1.5 * speed[:, None] * time + phase[:, None])[:, None]
        x = wave * np.arange(1, shape.channels + 1)[:, None] + 0.1 * noise.normal(
            size=(N, shape.channels, shape.length)
        )
        if poison is not None:
            x[TEST] = poison
        inputs[name] = torch.from_numpy(x).float()
    return WindowTensors(inputs, torch.zeros(N, dtype=torch.int64), "class", 2, dict(shapes), per_fold=True)


@dataclass(frozen=True)
class Pretext:
    """One way of learning without labels."""

    loss: str
    model: str = "student_cnn"
    options: dict[str, Any] = field(default_factory=dict)
    shapes: Mapping[str, InputShape] = field(default_factory=lambda: EDA)
    other: str = ""
    averages: bool = False
    rate: float = 5e-3

    def fit(self, backend: str = "stacked", epochs: int = 1, poison: float | None = None, folds: int = 2) -> Any:
        """Train some folds."""
        empty, seen = np.empty(0, dtype=np.int64), np.arange(48)
        roles = [(seen[: 24 + f], seen[24 + f :], empty, empty, (), (), (), ()) for f in range(folds)]
        members = [Member(Fold(0, f, *role), seed=1) for f, role in enumerate(roles)]

        def make() -> Learner:
            return a_learner(
                self.loss,
                self.options,
                model=self.model,
                shapes=self.shapes,
                other=self.other,
                averages=self.averages,
                batch=16,
            )

        partners = {"other": PartnerWindows(a_view(BVP, poison))} if self.other else {}
        augmentations = {
            "": Augmentation.parse("weak", {n: (s.channels, s.length, s.rate) for n, s in self.shapes.items()})
        }
        if self.averages:
            augmentations["average"] = augmentations[""]
        settings = Settings(epochs=epochs, batch=16, learning_rate=self.rate, weight_decay=0.0, patience=None)
        return fit(
            Ensemble(make, members, backend=backend),
            a_view(self.shapes, poison),
            settings,
            Taught(unlabelled=True),
            partners=partners,
            augmentations=augmentations,
        )


XKD_OPTIONS = {**PROJECTED, "projector": 16}
WAYS = {
    "reconstruct, patches": Pretext("reconstruct", "masked_autoencoder", {"width": 8, "depth": 1, "share": 0.5}),
    "reconstruct, convolution": Pretext(
        "reconstruct", "tcn", {"blocks": 12, "feature": "sequence", "sequence": True, "share": 0.3}
    ),
    "reconstruct, features": Pretext("reconstruct", "mlp", {"feature": "hidden"}, shapes={"eeg": InputShape(6)}),
    "contrast": Pretext("contrast"),
    "byol": Pretext("byol", averages=True),
    "transformations": Pretext("transformations", options={"dropout": 0.0}),
    "match": Pretext("match", other="student_cnn", options={"temperature": 0.5}),
    "xkd": Pretext("xkd", "xkd", XKD_OPTIONS, other="xkd", averages=True),
    "xkd, convolutions": Pretext("xkd", options=XKD_OPTIONS, other="student_cnn", averages=True),
}


@pytest.mark.parametrize("way", list(WAYS))
def test_it_learns_within_thirty_steps(way: str) -> None:
    history = WAYS[way].fit(epochs=10).history

    losses = [[row["loss"] for row in history if row["fold"] == f and row["split"] == "train"] for f in range(2)]
    for of_fold in losses:
        assert np.mean(of_fold[-2:]) < 0.98 * of_fold[0], of_fold


@pytest.mark.parametrize("way", list(WAYS))
def test_many_folds_at_once_learn_what_each_learns_alone(way: str) -> None:
    stacked, looped = WAYS[way].fit("stacked"), WAYS[way].fit("looped")

    for one, other in zip(stacked.history, looped.history, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
    for mine, others in zip(stacked.states, looped.states, strict=True):
        assert mine.keys() == others.keys()
        assert not any(name.startswith("losses") for name in mine)
        moved = [torch.linalg.vector_norm(mine[name] - others[name]) for name in mine if mine[name].is_floating_point()]
        sizes = [torch.linalg.vector_norm(mine[name]) for name in mine if mine[name].is_floating_point()]
        assert torch.stack(moved).norm() < 2e-2 * torch.stack(sizes).norm()


@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize("way", list(WAYS))
def test_nothing_is_learned_from_test_windows(way: str, poison: float) -> None:
    clean, spoiled = WAYS[way].fit(), WAYS[way].fit(poison=poison)

    for one, other in zip(clean.states, spoiled.states, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_an_average_of_a_partner_follows_it() -> None:
    learner = a_learner("xkd", PROJECTED, model="xkd", other="xkd", averages=True)
    parameters = {name: p.detach()[None] + 1.0 for name, p in learner.named_parameters() if p.requires_grad}
    rest = {name: p.detach()[None].clone() for name, p in learner.named_parameters() if not p.requires_grad}
    buffers = rest | {name: b.detach()[None].clone() for name, b in learner.named_buffers()}
    name = "encoders.bvp.norm.weight"
    before = buffers[f"partners.other_average.{name}"].clone()

    learner.follow(parameters, buffers, torch.tensor([1e6]))

    gap = parameters[f"partners.other.{name}"] - before
    torch.testing.assert_close(buffers[f"partners.other_average.{name}"], before + 0.01 * gap)


# ---- refusals --------------------------------------------------------------------------------------------------------


ROW = {"eeg": InputShape(1)}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: a_learner("reconstruct", {"feature": "map"}, model="student_cnn"), "no feature 'map'"),
        (lambda: a_learner("reconstruct", {"feature": "hidden"}, model="mlp", shapes=ROW), "one value each"),
        (lambda: a_learner("transformations", model="mlp", shapes={"eeg": InputShape(5)}), "has no time"),
        (lambda: a_learner("byol"), "no partner 'average'"),
        (lambda: a_learner("match"), "no partner 'other'"),
        (lambda: a_learner("xkd", other="xkd"), "no partner 'average'"),
        (
            lambda: a_learner("xkd", {"as_released": True}, model="student_cnn", other="xkd", averages=True),
            "attention of their summary",
        ),
    ],
)
def test_what_cannot_be_learned_here_is_refused(make: Callable[[], Learner], message: str) -> None:
    with pytest.raises(LimbeckError, match=message):
        make()


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        ("reconstruct", {"share": 1.0}),
        ("reconstruct", {"blocks": 1}),
        ("reconstruct", {"width": 30}),
        ("contrast", {"apart": -1}),
        ("contrast", {"temperature": 0}),
        ("byol", {"momentum": 2}),
        ("transformations", {"dropout": 1.0}),
        ("xkd", {"centre": -0.1}),
        ("xkd", {"outputs": 1}),
    ],
)
def test_options_out_of_bounds_are_refused_by_name(loss: str, options: dict[str, Any]) -> None:
    with pytest.raises(LimbeckError, match=f"{loss}.{next(iter(options))}: expected"):
        make_losses({loss: options})
