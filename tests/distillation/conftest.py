"""A tiny student and teacher in double precision, a batch for them, and the learner that holds both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from limbeck.distillation import Batch, Context, Learner, Loss, Partner, Sight, make_losses
from limbeck.models import Dropout, InputShape, Outputs

CHEAP = {"x": InputShape(3)}
RICH = {"x": InputShape(3), "y": InputShape(2)}
WINDOWS, QUIZ, WIDTH = 6, 5, 4


class Small(nn.Module):
    """A perceptron with batch normalisation and dropout."""

    def __init__(self, shapes: dict[str, InputShape], *, norm: bool = True) -> None:
        super().__init__()
        self.names = tuple(shapes)
        self.first = nn.Linear(sum(shape.channels for shape in shapes.values()), WIDTH)
        self.norm = nn.BatchNorm1d(WIDTH) if norm else nn.Identity()
        self.dropout = Dropout(0.4)
        self.head = nn.Linear(WIDTH, 2)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        x = torch.cat([inputs[name] for name in self.names], dim=1)
        hidden = self.dropout(torch.tanh(self.norm(self.first(x))))
        return Outputs(self.head(hidden), {"hidden": hidden})


@dataclass
class Bench:
    """A learner in double precision with what it is evaluated with."""

    learner: Learner
    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor]

    def evaluate(self, parameters: Any, batch: Batch, part: str) -> tuple[Tensor, dict[str, Tensor]]:
        """Run the learner with other parameters, as the engine does."""
        found: tuple[Tensor, dict[str, Tensor]] = functional_call(
            self.learner, (dict(parameters), self.buffers), (batch, part)
        )
        return found

    def gradient(self, phase: Any, batch: Batch) -> dict[str, Tensor]:
        """Return the gradient of a phase at every parameter, zero where none arrives."""
        self.learner.train(phase.training)
        own = {name: value.detach().requires_grad_() for name, value in self.parameters.items()}
        loss, _ = phase.loss(self.evaluate, own, batch)
        found = torch.autograd.grad(loss, list(own.values()), allow_unused=True)
        return {
            name: torch.zeros_like(value) if gradient is None else gradient
            for (name, value), gradient in zip(own.items(), found, strict=True)
        }


def make_bench(
    losses: dict[str, Any] | None = None,
    partners: dict[str, Partner] | None = None,
    *,
    norm: bool = True,
    deployed: str = "network",
    extra: dict[str, Loss] | None = None,
) -> Bench:
    """Return a student that reads `x` with the teacher that reads `x` and `y` as a partner, after some use."""
    torch.manual_seed(3)
    if partners is None:
        partners = {"teacher": Partner(Small(RICH, norm=norm), RICH, teaches=True)}
    features = {name: {"hidden": (WIDTH,)} for name in partners}
    context = Context(
        "class",
        2,
        CHEAP,
        {"hidden": (WIDTH,)},
        {name: features[name] for name, partner in partners.items() if partner.teaches},
        features,
        {name: partner.inputs for name, partner in partners.items()},
        n_windows=20,
        batch=WINDOWS,
    )
    chosen = make_losses({"hard": {"weight": 0.5}, "soft": {}} if losses is None else losses) if losses != {} else {}
    learner = Learner(Small(CHEAP, norm=norm), {**chosen, **(extra or {})}, context, partners, deployed).double()
    for name, buffer in learner.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.copy_(torch.rand_like(buffer) + 0.5)
    parameters = {name: p for name, p in learner.named_parameters() if p.requires_grad}
    buffers = {name: p for name, p in learner.named_parameters() if not p.requires_grad}
    buffers |= {name: b for name, b in learner.named_buffers() if not name.endswith("mask")}
    return Bench(learner, parameters, buffers)


def make_batch(**changes: Any) -> Batch:
    """Return a batch with two unlabelled windows and a quiz."""
    generator = torch.Generator().manual_seed(5)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x, y, quiz_x, quiz_y = drawn(WINDOWS, 3), drawn(WINDOWS, 2), drawn(QUIZ, 3), drawn(QUIZ, 2)
    truth = {"target": torch.tensor([0, 1, 1, 0, 1])}
    batch = Batch(
        sights={
            "plain": Sight({"x": x}, {}),
            "teacher/plain": Sight({"x": x, "y": y}, {}),
            "quiz": Sight({"x": quiz_x}, truth),
            "teacher/quiz": Sight({"x": quiz_x, "y": quiz_y}, truth),
        },
        target=torch.tensor([0, 1, 1, 0, 0, 0]),
        labelled=torch.tensor([1.0, 1, 1, 1, 0, 0], dtype=torch.float64),
        class_weights=torch.tensor([0.8, 1.3], dtype=torch.float64),
        logits=torch.empty(WINDOWS, 0, dtype=torch.float64),
        trust=torch.tensor([1.0, 1, 0.5, 1, 1, 0.2], dtype=torch.float64),
        teachers={},
        index=torch.arange(WINDOWS),
        progress=torch.tensor(0.25, dtype=torch.float64),
        strength=torch.tensor(1.0, dtype=torch.float64),
    )
    return batch._replace(**changes)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Networks this small are slower on two threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def bench() -> Callable[..., Bench]:
    """Return :func:`make_bench`."""
    return make_bench


@pytest.fixture
def batch() -> Callable[..., Batch]:
    """Return :func:`make_batch`."""
    return make_batch


@pytest.fixture
def small() -> type[Small]:
    """Return the network."""
    return Small


@pytest.fixture
def rich() -> dict[str, InputShape]:
    """Return what the teacher reads."""
    return RICH
