"""The small transformer: tokens along time, one answer or a trace."""

from __future__ import annotations

import pytest
import torch

from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build

MIXED = {"eda": InputShape(1, 96, 4.0), "bvp": InputShape(1, 1536, 64.0)}


def test_it_knows_the_order_of_its_tokens() -> None:
    torch.manual_seed(0)
    model = build("small_transformer", MIXED, 2).eval()
    tokens = model.front({name: torch.randn(shape.zeros(2).shape) for name, shape in MIXED.items()})
    patches = torch.nn.functional.gelu(tokens).mT

    def answer(value: torch.Tensor) -> torch.Tensor:
        return model.blocks(value + model.positions).mean(dim=-2)

    assert not torch.allclose(answer(patches), answer(patches.flip(1)), atol=1e-4)


def test_levels_reach_the_head() -> None:
    torch.manual_seed(0)
    model = build("small_transformer", {"eda": InputShape(1, 96, 4.0)}, 2).eval()
    low, high = (model({"eda": torch.full((1, 1, 96), value)}).prediction for value in (1.0, 2.0))

    assert (low - high).abs().max() > 0.01


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("n_steps", [12, 96])
def test_a_trace_is_predicted_at_every_step_and_causally_on_request(causal: bool, n_steps: int) -> None:
    torch.manual_seed(0)
    model = build("small_transformer", MIXED, 1, n_steps=n_steps, causal=causal).eval()
    inputs = {name: torch.randn(shape.zeros(2).shape) for name, shape in MIXED.items()}
    changed = {
        name: torch.cat([x[..., : x.shape[-1] // 2], 0 * x[..., x.shape[-1] // 2 :]], -1) for name, x in inputs.items()
    }

    before, after = model(inputs), model(changed)

    assert before.prediction.shape == (2, n_steps, 1)
    half = n_steps // 2
    assert torch.allclose(before.prediction[:, :half], after.prediction[:, :half], atol=1e-5) is causal
    assert not torch.allclose(before.prediction[:, half:], after.prediction[:, half:], atol=1e-5)


def test_what_it_cannot_read_is_refused() -> None:
    with pytest.raises(LimbeckError, match="8 samples or more"):
        build("small_transformer", {"eda": InputShape(1, 7, 4.0)}, 2)
    with pytest.raises(LimbeckError, match="heads is 3"):
        build("small_transformer", MIXED, 2, heads=3)
