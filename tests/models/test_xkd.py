"""XKD: refinement, what the losses compare, and the way to the task."""

from __future__ import annotations

import pytest
import torch
from cases.xkd import SHAPES, SMALL
from torch import Tensor

from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build
from limbeck.models.xkd import cross_modal_attention, refine


def windows(batch: int = 3, seed: int = 0) -> dict[str, Tensor]:
    """Return random windows of the case."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape.zeros(batch).shape, generator=generator) for name, shape in SHAPES.items()}


def test_refinement_weights_tokens_and_keeps_the_energy_of_their_mean() -> None:
    torch.manual_seed(0)
    tokens, attention = torch.randn(2, 5, 6), torch.rand(2, 3, 5)
    refined = refine(tokens, attention)

    torch.testing.assert_close(refined.mean(1).norm(dim=1), tokens.mean(1).norm(dim=1))
    for window in range(2):
        weights = refined[window] / tokens[window]  # the same number in every column of a token
        torch.testing.assert_close(weights, weights[:, :1].expand(-1, 6), rtol=1e-4, atol=1e-4)
        expected = attention[window].mean(0)
        torch.testing.assert_close(weights[:, 0] / weights[0, 0], expected / expected[0], rtol=1e-4, atol=1e-4)


def test_equal_attention_changes_nothing() -> None:
    tokens = torch.randn(2, 5, 6)

    torch.testing.assert_close(refine(tokens, torch.full((2, 3, 5), 0.2)), tokens)


def test_the_published_attention_across_modalities_is_ones_own_times_a_number() -> None:
    torch.manual_seed(0)
    own, other = torch.rand(2, 3, 5), torch.rand(2, 3, 7)
    every_pair = own[:, :, None] * other[:, :, :, None]
    expected = every_pair.mean(dim=2) / own.mean(dim=2, keepdim=True)

    found = cross_modal_attention(own, other)

    torch.testing.assert_close(found, expected)
    tokens = torch.randn(2, 5, 6)
    torch.testing.assert_close(  # with a single head nothing of the other modality is left
        refine(tokens, found[:, :1]), refine(tokens, own[:, :1]), rtol=1e-4, atol=1e-5
    )


def test_the_network_offers_the_attention_of_each_summary() -> None:
    torch.manual_seed(0)
    model, inputs = build("xkd", SHAPES, 2, **SMALL).eval(), windows()

    features = model(inputs).features

    for name, encoder in model.patch_encoders.items():
        tokens, attention, _ = encoder.read(inputs)
        assert torch.equal(features[name], tokens)
        assert torch.equal(features[f"attention_{name}"], attention)
    means = [features[name].mean(dim=1) for name in SHAPES]
    torch.testing.assert_close(features["embedding"], torch.cat(means, dim=1))


def test_an_absent_sensor_says_nothing_and_changes_nothing_of_the_other() -> None:
    torch.manual_seed(0)
    model, inputs = build("xkd", SHAPES, 2, **SMALL).eval(), windows()
    lacking = {**inputs, "eda": torch.full_like(inputs["eda"], torch.nan)}

    whole, found = model(inputs).features, model(lacking).features

    assert torch.equal(found["acc"], whole["acc"])
    assert not found["embedding"][:, :8].any()
    torch.testing.assert_close(found["embedding"][:, 8:], whole["embedding"][:, 8:])


@pytest.mark.parametrize("modality", list(SHAPES))
def test_one_modality_starts_from_its_encoder_among_several(modality: str) -> None:
    several = build("xkd", SHAPES, 2, **SMALL).eval()
    network = build("xkd", {modality: SHAPES[modality]}, 2, **SMALL).eval()
    start = f"encoders.{modality}."
    kept = {name: value for name, value in several.state_dict().items() if name.startswith(start)}

    found = network.load_state_dict(kept, strict=False)

    assert {name.split(".")[0] for name in found.missing_keys} == {"head"}
    assert torch.equal(network(windows()).features[modality], several(windows()).features[modality])


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_encoder_takes_no_gradient(frozen: bool) -> None:
    model = build("xkd", SHAPES, 2, **SMALL, frozen=frozen)
    model(windows()).prediction.square().sum().backward()

    reached = {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert reached == {"head"} | (set() if frozen else {"encoders"})


def test_what_it_cannot_learn_from_is_refused() -> None:
    with pytest.raises(LimbeckError, match="8 samples or more"):
        build("xkd", {"eda": InputShape(1, 7, 4.0)}, 2)
