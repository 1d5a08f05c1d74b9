"""The bimodal deep auto-encoder."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build

PAIR = {"eeg": InputShape(7), "gaze": InputShape(4)}


def draw(batch: int = 5) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(batch, shape.channels, generator=generator) for name, shape in PAIR.items()}


def test_it_is_its_layer_table() -> None:
    torch.manual_seed(0)
    model = build("bdae", PAIR, 3, hidden=(6, 5), code=4)
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    state, inputs = model.state_dict(), draw()

    def layer(name: str, h: Tensor) -> Tensor:
        return h @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    branches = {
        name: layer(f"encoders.{name}.2", layer(f"encoders.{name}.0", x).sigmoid()).sigmoid()
        for name, x in inputs.items()
    }
    shared = layer("share", torch.cat([branches["eeg"], branches["gaze"]], dim=1)).sigmoid()
    parts = layer("unfold", shared).sigmoid()
    decoded = [
        layer(f"decoders.{name}.2", layer(f"decoders.{name}.0", part).sigmoid())
        for name, part in (("eeg", parts[:, :5]), ("gaze", parts[:, 5:]))
    ]
    found = model(inputs)

    expected = {**branches, "shared": shared, "reconstruction": torch.cat(decoded, dim=1)}
    torch.testing.assert_close(found.features, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.prediction, layer("head", shared), rtol=1e-5, atol=1e-5)


def test_the_decoder_starts_as_the_encoder_unfolded_and_is_free_of_it() -> None:
    model = build("bdae", PAIR, 2, hidden=(6, 5), code=4)

    assert torch.equal(model.unfold.weight, model.share.weight.T)
    for name in PAIR:
        assert torch.equal(model.decoders[name][0].weight, model.encoders[name][2].weight.T)
        assert torch.equal(model.decoders[name][2].weight, model.encoders[name][0].weight.T)
    assert model.unfold.weight.data_ptr() != model.share.weight.data_ptr()


def test_a_loss_on_the_reconstruction_trains_encoder_and_decoder() -> None:
    torch.manual_seed(0)
    model = build("bdae", PAIR, 2, hidden=12, code=6)
    inputs = draw(20)
    target = torch.cat(list(inputs.values()), dim=1)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    errors = []
    for _ in range(150):
        error = (model(inputs).features["reconstruction"] - target).square().mean()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        errors.append(error.item())

    assert errors[-1] < 0.5 * errors[0]
    reached = {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert reached == {"encoders", "share", "unfold", "decoders"}


@pytest.mark.parametrize(("as_released", "trained"), [(True, {"head"}), (False, {"head", "share", "encoders"})])
def test_as_released_the_labels_train_the_linear_layer_alone(as_released: bool, trained: set[str]) -> None:
    model = build("bdae", PAIR, 2, as_released=as_released)

    model(draw()).prediction.square().sum().backward()

    reached = {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert reached == trained


def test_it_needs_two_modalities_and_takes_more() -> None:
    with pytest.raises(LimbeckError, match="at least 2 modalities"):
        build("bdae", {"eeg": InputShape(7)}, 2)
    three = {**PAIR, "ecg": InputShape(2)}
    model = build("bdae", three, 2)
    outputs = model({name: shape.zeros(3) for name, shape in three.items()})
    assert outputs.features["reconstruction"].shape == (3, 13)
    for options in ({"hidden": ()}, {"hidden": (4, 0)}, {"code": 0}):
        with pytest.raises(LimbeckError, match=r"(hidden|code) is .*; expected .*at least 1"):
            build("bdae", PAIR, 2, **options)
