"""The temporal convolutional network: as deep as its context asks, one answer or a trace."""

from __future__ import annotations

import pytest
import torch

from limbeck.errors import LimbeckError
from limbeck.models import InputShape, build

EDA = {"eda": InputShape(1, 240, 4.0)}
MIXED = {"eda": InputShape(1, 96, 4.0), "bvp": InputShape(1, 1536, 64.0), "temp": InputShape(1, 24, 1.0)}


def stirred(model: torch.nn.Module) -> torch.nn.Module:
    """Give every block something to add."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


@pytest.mark.parametrize(
    ("field", "kernel", "depth"), [(0.0, 5, 5), (1.0, 5, 1), (10.0, 5, 3), (10.0, 2, 5), (10.0, 9, 2)]
)
def test_the_depth_follows_from_the_seconds_wanted(field: float, kernel: int, depth: int) -> None:
    model = build("tcn", EDA, 2, field=field, kernel=kernel, frames=240)
    wanted = field or 60.0

    assert model.depth == len(model.blocks) == depth
    assert model.seconds >= wanted
    if depth > 1:
        assert (model.seconds - 0.25) / 2 < wanted + 0.25, "one block less would not do"


def test_a_causal_step_sees_its_field_and_neither_more_nor_the_future() -> None:
    model = stirred(build("tcn", EDA, 1, n_steps=240, frames=240, field=5.0, kernel=3, width=4, causal=True))
    x = torch.randn(1, 1, 240, generator=torch.Generator().manual_seed(1), requires_grad=True)

    (gradient,) = torch.autograd.grad(model({"eda": x}).prediction[0, 150, 0], x)

    reached = gradient[0, 0].nonzero().flatten()
    front = model.front.fronts["eda"].filter.kernel_size[0] - 1
    assert reached.max() == 150
    assert 150 - reached.min() == round(model.seconds * 4) - 1 + front
    free = stirred(build("tcn", EDA, 1, n_steps=240, frames=240, field=5.0, kernel=3, width=4))
    (gradient,) = torch.autograd.grad(free({"eda": x}).prediction[0, 150, 0], x)
    reached = gradient[0, 0].nonzero().flatten()
    assert reached.max() - 150 == 150 - reached.min()


def test_it_starts_as_its_front_alone_whatever_the_depth() -> None:
    torch.manual_seed(0)
    model = build("tcn", EDA, 2).eval()
    x = torch.randn(2, 1, 240)

    torch.testing.assert_close(
        model({"eda": x}).features["sequence"], torch.nn.functional.gelu(model.front({"eda": x})).mT
    )


@pytest.mark.parametrize("causal", [True, False])
def test_a_trace_is_predicted_at_every_step_from_signals_of_any_rate(causal: bool) -> None:
    model = stirred(build("tcn", MIXED, 1, n_steps=96, causal=causal, width=8))
    inputs = {name: torch.randn(shape.zeros(2).shape) for name, shape in MIXED.items()}
    changed = {
        name: torch.cat([x[..., : x.shape[-1] // 2], 0 * x[..., x.shape[-1] // 2 :]], -1) for name, x in inputs.items()
    }

    before, after = model(inputs), model(changed)

    assert before.prediction.shape == (2, 96, 1)
    assert before.features["sequence"].shape == (2, 96, 8)
    assert torch.allclose(before.prediction[:, :48], after.prediction[:, :48], atol=1e-6) is causal
    assert not torch.allclose(before.prediction[:, 48:], after.prediction[:, 48:])


def test_what_it_cannot_read_is_refused() -> None:
    with pytest.raises(LimbeckError, match="8 samples or more; 'eda' has 6"):
        build("tcn", {"eda": InputShape(1, 6, 4.0)}, 2)
    with pytest.raises(LimbeckError, match="kernel is 1"):
        build("tcn", EDA, 2, kernel=1)
