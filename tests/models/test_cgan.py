"""The generator of multimodal features, its classifier and its discriminator."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build
from limbeck.models.cgan import Discriminator

GAZE = {"gaze": InputShape(5)}


@pytest.mark.parametrize("activation", ["sigmoid", "identity"])
def test_it_is_its_layer_table(activation: str) -> None:
    torch.manual_seed(0)
    model = build("cgan", GAZE, 3, hidden=(7, 6), code=4, activation=activation)
    state, x = model.state_dict(), torch.randn(8, 5)

    def layer(name: str, h: Tensor) -> Tensor:
        return h @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    h = x
    for place in (0, 3):
        h = layer(f"generator.{place}", h)
        h = torch.where(h > 0, h, 0.2 * h)
    generated = layer("generator.6", h)
    generated = 1 / (1 + (-generated).exp()) if activation == "sigmoid" else generated
    found = model({"gaze": x})

    torch.testing.assert_close(found.features, {"condition": x, "generated": generated}, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.prediction, layer("head", generated), rtol=1e-5, atol=1e-5)


def test_what_it_makes_has_the_shape_and_range_of_the_shared_code() -> None:
    teacher = build("bdae", {"eeg": InputShape(9), **GAZE}, 2)
    student = build("cgan", GAZE, 2)
    x = torch.randn(3, 5)

    shared = teacher({"eeg": torch.randn(3, 9), "gaze": x}).features["shared"]
    generated = student({"gaze": 100 * x}).features["generated"]

    assert generated.shape == shared.shape
    assert ((generated >= 0) & (generated <= 1)).all()


def test_a_discriminator_and_the_generator_can_be_trained_against_each_other() -> None:
    torch.manual_seed(0)
    model, judge = build("cgan", GAZE, 2, hidden=16, code=3), Discriminator(3, 5, hidden=(8,))
    x = torch.randn(64, 5)
    real = torch.sigmoid(2 + x[:, :3])
    rates = {"lr": 0.01, "betas": (0.5, 0.9)}
    judging, making = (torch.optim.Adam(m.parameters(), **rates) for m in (judge, model.generator))

    def distance() -> float:
        return (model({"gaze": x}).features["generated"] - real).abs().mean().item()

    before = distance()
    for _ in range(200):
        features = model({"gaze": x}).features
        made, condition = features["generated"], features["condition"]
        told = judge(real, condition), judge(made.detach(), condition)
        loss = F.softplus(-told[0]).mean() + F.softplus(told[1]).mean()
        judging.zero_grad()
        loss.backward()
        judging.step()
        making.zero_grad()
        F.softplus(-judge(made, condition)).mean().backward()
        making.step()

    assert judge(real, x).shape == (64, 1)
    assert distance() < 0.6 * before


def test_the_discriminator_is_no_part_of_the_deployed_network() -> None:
    model = build("cgan", GAZE, 2)
    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {"generator", "head"}


def test_features_of_several_modalities_are_joined_in_the_order_of_the_view() -> None:
    model = build("cgan", {"gaze": InputShape(2), "eda": InputShape(1)}, 2)
    inputs = {"eda": torch.full((1, 1), 3.0), "gaze": torch.tensor([[1.0, 2.0]])}
    assert model(inputs).features["condition"].tolist() == [[1.0, 2.0, 3.0]]


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(LimbeckError, match="activation is 'relu'; expected one of sigmoid, identity"):
        build("cgan", GAZE, 2, activation="relu")
    for options in ({"hidden": ()}, {"hidden": 0}, {"code": 0}):
        with pytest.raises(LimbeckError, match=r"(hidden|code) is .*; expected .*at least 1"):
            build("cgan", GAZE, 2, **options)
