"""The shapes on which every registered model is tried."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor

from limbeck.models import InputShape


@pytest.fixture
def random_inputs() -> Callable[..., dict[str, Tensor]]:
    """Return a function that draws a batch of inputs of given shapes."""

    def draw(modalities: Mapping[str, InputShape], batch: int, seed: int = 0) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return {name: torch.randn(shape.zeros(batch).shape, generator=generator) for name, shape in modalities.items()}

    return draw
