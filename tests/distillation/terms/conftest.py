"""A small network, its teachers and a batch, on which every loss can be tried."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from limbeck.distillation import Batch, Context, Learner, Partner, Sight, make_losses
from limbeck.models import InputShape, Outputs

WINDOWS, LABELLED, ALL = 8, 4, 20
SHAPES = {"eda": InputShape(2, 12, 4.0)}
RICH = {"eeg": InputShape(3, 16, 4.0)}


class Small(nn.Module):
    """A convolution, its mean over time and a linear head; no batch statistics, so windows are apart."""

    def __init__(self, shapes: Mapping[str, InputShape], n_outputs: int, channels: int) -> None:
        super().__init__()
        ((self.modality, shape),) = shapes.items()
        self.layer = nn.Conv1d(shape.channels, channels, 3, padding=1)
        self.head = nn.Linear(channels, n_outputs)

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        series = torch.tanh(self.layer(inputs[self.modality]))
        embedding = series.mean(dim=2)
        return Outputs(self.head(embedding), {"map": series, "embedding": embedding})


TEACHERS = {"rich": {"map": (4, 16), "embedding": (4,)}, "other": {"map": (6, 16), "embedding": (6,)}}


@dataclass(frozen=True)
class Trial:
    """One loss in a learner, with a batch for it.

    Parameters
    ----------
    loss : str
        Its name.
    options : mapping
        Its options.
    kind : str
        Of the target.
    teachers : tuple of str
        Some of `TEACHERS`.
    live : bool
        Whether the teacher ``rich`` is a partner that learns.
    settled : bool
        Whether trust is balanced already.
    steps : int
        Values of a trace per window.
    """

    loss: str
    options: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "class"
    teachers: tuple[str, ...] = ("rich",)
    live: bool = False
    settled: bool = False
    steps: int = 0

    @property
    def n_outputs(self) -> int:
        return 3 if self.kind == "class" else max(self.steps, 1)

    @property
    def context(self) -> Context:
        return Context(
            self.kind,
            self.n_outputs,
            SHAPES,
            {"map": (5, 12), "embedding": (5,)},
            {name: TEACHERS[name] for name in self.teachers},
            n_windows=ALL,
            batch=WINDOWS,
            balanced_trust=self.settled,
        )

    def learner(self, seed: int = 0) -> Learner:
        torch.manual_seed(seed)
        network = Small(SHAPES, self.n_outputs, 5)
        partners = {"rich": Partner(Small(RICH, self.n_outputs, 4), RICH, teaches=True)} if self.live else {}
        losses = make_losses({self.loss: {"loss": self.loss, **self.options}})
        return Learner(network, losses, self.context, partners).double()

    def batch(self, seed: int = 0, **changes: Any) -> Batch:
        generator = torch.Generator().manual_seed(100 + seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        labelled = (torch.arange(WINDOWS) < LABELLED).double()
        codes = torch.randint(0, 3, (WINDOWS,), generator=generator)
        target = codes * labelled.long() if self.kind == "class" else normal(WINDOWS) * labelled
        if self.steps:
            target = normal(WINDOWS, self.steps) * labelled[:, None]
        sights = {"plain": Sight({"eda": normal(WINDOWS, 2, 12)}, {})}
        if self.live:
            sights["rich/plain"] = Sight({"eeg": normal(WINDOWS, 3, 16)}, {})
        teachers = {
            name: {
                "logits": normal(WINDOWS, self.n_outputs),
                **{feature: normal(WINDOWS, *shape).flatten(1) for feature, shape in TEACHERS[name].items()},
            }
            for name in self.teachers
            if not (self.live and name == "rich")
        }
        whole = Batch(
            sights=sights,
            target=target,
            labelled=labelled,
            class_weights=torch.tensor([0.5, 1.0, 1.5], dtype=torch.float64),
            logits=normal(WINDOWS, self.n_outputs),
            trust=torch.ones(WINDOWS, dtype=torch.float64),
            teachers=teachers,
            index=torch.randperm(ALL, generator=generator)[:WINDOWS],
            progress=torch.tensor(0.4, dtype=torch.float64),
            strength=torch.tensor(1.0, dtype=torch.float64),
        )
        return whole._replace(**changes)


def value_of(
    learner: Learner, state: Mapping[str, Tensor], batch: Batch, part: str = "losses"
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the total and the terms under parameters and buffers given by name."""
    found: tuple[Tensor, dict[str, Tensor]] = functional_call(learner, dict(state), (batch, part))
    return found


@pytest.fixture
def trial() -> Callable[..., Trial]:
    return Trial


@pytest.fixture
def evaluate() -> Callable[..., tuple[Tensor, dict[str, Tensor]]]:
    return value_of
