"""The shapes on which every registered model is tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest
import torch
from torch import Tensor

from limbeck.models import InputShape


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Two threads for networks this small are many times slower than one where the machine has other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def same_start() -> None:
    """Let every test begin with the same random numbers, whatever ran before."""
    torch.manual_seed(0)


@pytest.fixture
def random_inputs() -> Callable[..., dict[str, Tensor]]:
    """Return a function that draws a batch of inputs of given shapes."""

    def draw(modalities: Mapping[str, InputShape], batch: int, seed: int = 0) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        return {name: torch.randn(shape.zeros(batch).shape, generator=generator) for name, shape in modalities.items()}

    return draw
