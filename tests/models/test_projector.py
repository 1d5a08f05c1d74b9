"""Projectors: their layers, a batch of one, and many of them at once."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from limbeck.errors import LimbeckError
from limbeck.models import count_parameters
from limbeck.models.layers import RowNorm
from limbeck.models.projector import ContrastiveProjector, Predictor, PrototypeProjector


def test_the_contrastive_projector_has_the_published_layers() -> None:
    torch.manual_seed(0)
    projector = ContrastiveProjector(12).train()
    first, norm, _, last = projector.layers
    x = torch.randn(6, 12)
    h = x @ first.weight.T
    h = (h - h.mean(dim=0)) / torch.sqrt(h.var(dim=0, unbiased=False) + 1e-5)

    torch.testing.assert_close(projector(x), h.clamp(min=0) @ last.weight.T + last.bias, rtol=1e-5, atol=1e-5)
    assert count_parameters(projector) == 12 * 512 + 2 * 512 + 513 * 256
    assert isinstance(norm, RowNorm)


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_batch_of_one_is_projected_in_training(norm: str, depth: int) -> None:
    projector = ContrastiveProjector(5, hidden=7, outputs=4, depth=depth, norm=norm).train()

    assert projector(torch.randn(1, 5)).shape == (1, 4)


def test_the_predictor_keeps_the_width() -> None:
    assert Predictor(9, hidden=4)(torch.randn(3, 9)).shape == (3, 9)


def test_prototypes_are_cosines_with_directions_of_fixed_length() -> None:
    torch.manual_seed(0)
    projector = PrototypeProjector(6, hidden=10, bottleneck=4, outputs=7)
    x = torch.randn(5, 6)
    narrow = projector.layers(x)
    directions = projector.directions.weight
    cosines = torch.stack([torch.cosine_similarity(narrow, one[None], dim=1) for one in directions], dim=1)
    spread = (cosines - cosines.mean(1, keepdim=True)) / torch.sqrt(cosines.var(1, unbiased=False, keepdim=True) + 1e-5)

    torch.testing.assert_close(projector(x), spread, rtol=1e-4, atol=1e-5)
    before = projector(x)
    with torch.no_grad():
        directions.mul_(3.0)
    torch.testing.assert_close(projector(x), before)
    assert count_parameters(PrototypeProjector(128)) == 129 * 512 + 513 * 512 + 4 * 512 + 513 * 64 + 64 * 1024


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_many_projectors_go_through_vmap(norm: str) -> None:
    def make() -> nn.Module:
        return nn.Sequential(ContrastiveProjector(5, hidden=6, outputs=4, norm=norm), PrototypeProjector(4, hidden=6))

    networks = [make().train() for _ in range(3)]
    x = torch.randn(3, 8, 5)
    expected = torch.stack([network(rows) for network, rows in zip(networks, x, strict=True)])
    parameters, buffers = torch.func.stack_module_state([network.requires_grad_(False) for network in networks])

    def call(p: dict[str, torch.Tensor], b: dict[str, torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(networks[0], (p, b), (rows,))

    torch.testing.assert_close(torch.vmap(call)(parameters, buffers, x), expected, rtol=1e-4, atol=1e-4)


def test_wrong_options_are_refused() -> None:
    with pytest.raises(LimbeckError, match="norm is 'group'; expected one of batch, layer, none"):
        ContrastiveProjector(4, norm="group")
    with pytest.raises(LimbeckError, match="depth is 0"):
        ContrastiveProjector(4, depth=0)
