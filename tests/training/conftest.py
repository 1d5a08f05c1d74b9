"""A small cohort, its folds and networks, for the tests of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from limbeck.augment import Augmentation
from limbeck.distillation import Context, Feedback, Joint, Learner, Loss, Partner, feature_shapes, make_losses
from limbeck.models import Dropout, InputShape, Outputs, build
from limbeck.protocols import Fold
from limbeck.training import Ensemble, Member, PartnerWindows, Settings, Taught, Trained, WindowTensors, fit

SUBJECTS, WINDOWS = 10, 12


class NormalisedCNN(nn.Module):
    """A network with batch normalisation, which no registered model has."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(1, 4, 5, bias=False)
        self.norm = nn.BatchNorm1d(4)
        self.dropout = Dropout(0.3)
        self.head = nn.Linear(4, 2)

    def forward(self, inputs: dict[str, torch.Tensor]) -> Outputs:
        hidden = nn.functional.gelu(self.norm(self.convolution(inputs["eda"]))).mean(dim=-1)
        return Outputs(self.head(self.dropout(hidden)), {"hidden": hidden})


class RichCNN(nn.Module):
    """A network that reads two signals, with batch normalisation and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(2, 6, 5, bias=False)
        self.norm = nn.BatchNorm1d(6)
        self.dropout = Dropout(0.3)
        self.head = nn.Linear(6, 2)

    def forward(self, inputs: dict[str, torch.Tensor]) -> Outputs:
        x = torch.cat([inputs["eda"], inputs["temp"]], dim=1)
        hidden = nn.functional.gelu(self.norm(self.convolution(x))).mean(dim=-1)
        return Outputs(self.head(self.dropout(hidden)), {"embedding": hidden})


class Recurrent(nn.Module):
    """A recurrent network."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.GRU(1, 6, batch_first=True)
        self.head = nn.Linear(6, 2)

    def forward(self, inputs: dict[str, torch.Tensor]) -> Outputs:
        states, _ = self.recurrent(inputs["eda"].transpose(1, 2))
        return Outputs(self.head(states[:, -1]), {"state": states[:, -1]})


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "student_cnn": lambda: build("student_cnn", {"eda": InputShape(1, 32, 4.0)}, 2, width=4, dropout=0.3),
    "normalised_cnn": NormalisedCNN,
    "recurrent": Recurrent,
    "rich_cnn": RichCNN,
    "mlp": lambda: build("mlp", {"ecg": InputShape(5)}, 2, hidden=8, dropout=0.3),
    "trace_mlp": lambda: build("mlp", {"ecg": InputShape(5)}, 1, hidden=8, dropout=0.3),
}


@dataclass(frozen=True)
class Beside:
    """A partner of the trained network: one of `NETWORKS`, or its average, and what it reads."""

    network: str | None = None
    windows: WindowTensors | None = None
    learns: Any = "gradient"
    teaches: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def build(self, shapes: dict[str, InputShape]) -> Partner:
        """Return a fresh partner."""
        return Partner(
            None if self.network is None else NETWORKS[self.network](),
            shapes if self.windows is None else self.windows.shapes,
            learns=self.learns,
            teaches=self.teaches,
            **self.options,
        )


@dataclass(frozen=True)
class Problem:
    """A training that tests vary: windows, members, losses, partners, steps and settings."""

    windows: WindowTensors
    members: Sequence[Member]
    network: str
    losses: dict[str, dict[str, Any]] = field(default_factory=lambda: {"hard": {}})
    settings: Settings = field(default_factory=lambda: Settings(epochs=4, batch=16, learning_rate=5e-3))
    taught: Taught | None = None
    partners: dict[str, Beside] = field(default_factory=dict)
    steps: Joint | Feedback | None = None
    augmentations: dict[str, Augmentation] = field(default_factory=dict)
    deployed: str = "network"
    frozen: tuple[str, ...] = ()
    own_losses: dict[str, Callable[[], Loss]] = field(default_factory=dict)

    def but(self, **changes: Any) -> Problem:
        """Return the problem with something changed."""
        return replace(self, **changes)

    def only(self, positions: Sequence[int]) -> Problem:
        """Return the problem with some of its members, in the order given."""
        taught = None if self.taught is None else self.taught.of(torch.tensor(list(positions)))
        return replace(self, members=[self.members[p] for p in positions], taught=taught)

    def build(self) -> Learner:
        """Return a learner: the network with its losses and partners."""
        network = NETWORKS[self.network]()
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(not name.startswith(self.frozen) if self.frozen else True)
        shapes = {name: self.windows.shapes[name] for name in self.reads}
        partners = {name: partner.build(shapes) for name, partner in self.partners.items()}
        own = feature_shapes(network, shapes)
        beside = {
            name: own if partner.network is None else feature_shapes(partner.network, partner.inputs)
            for name, partner in partners.items()
        }
        handed = {} if self.taught is None else self.taught.teachers
        teachers = {
            name: {what: (v.shape[-1],) for what, v in values.items() if what != "logits"}
            for name, values in handed.items()
        }
        teachers |= {name: beside[name] for name, partner in partners.items() if partner.teaches}
        context = Context(
            self.windows.kind,
            self.windows.n_outputs,
            shapes,
            own,
            teachers,
            beside,
            {name: partner.inputs for name, partner in partners.items()},
            len(self.windows.target),
            self.settings.batch,
        )
        losses = make_losses(self.losses) | {name: make() for name, make in self.own_losses.items()}
        return Learner(network, losses, context, partners, self.deployed)

    @property
    def reads(self) -> tuple[str, ...]:
        """The modalities that the network reads."""
        return ("ecg",) if self.network.endswith("mlp") else ("eda",)

    @property
    def read_by_partners(self) -> dict[str, PartnerWindows]:
        """What the partners read that read something of their own."""
        return {
            name: PartnerWindows(self.windows if partner.windows is None else partner.windows)
            for name, partner in self.partners.items()
            if partner.learns != "average"
        }

    def ensemble(self, backend: str) -> Ensemble:
        return Ensemble(self.build, self.members, backend=backend)

    def fit(self, backend: str = "stacked", **options: Any) -> Trained:
        """Train, on an ensemble of its own."""
        return self.fit_on(self.ensemble(backend), **options)

    def fit_on(self, ensemble: Ensemble, **options: Any) -> Trained:
        """Train a given ensemble."""
        return fit(
            ensemble,
            self.windows,
            self.settings,
            self.taught,
            steps=self.steps,
            partners=self.read_by_partners,
            augmentations=self.augmentations,
            **options,
        )


def subjects_of_windows() -> np.ndarray:
    return np.repeat(np.arange(SUBJECTS), WINDOWS)


def make_fold(
    number: int,
    *,
    unlabelled: Sequence[int] = (),
    validation: Sequence[int] = (),
    test: Sequence[int] = (),
    **others: int,
) -> Fold:
    """Return a fold by the numbers of its subjects; who is nowhere else is labelled."""
    taken = {*unlabelled, *validation, *test}
    labelled = tuple(s for s in range(SUBJECTS) if s not in taken)
    roles = (labelled, tuple(unlabelled), tuple(validation), tuple(test))
    indices = [np.flatnonzero(np.isin(subjects_of_windows(), role)).astype(np.int64) for role in roles]
    return Fold(others.get("repetition", 0), number, *indices, *(tuple(f"S{s}" for s in role) for role in roles))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Two threads for networks this small are many times slower than one where the machine has other work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def fold() -> Callable[..., Fold]:
    """Return :func:`make_fold`."""
    return make_fold


@pytest.fixture
def members() -> list[Member]:
    """Five folds with two seeds between them, each with a test and two validation subjects."""
    return [
        Member(make_fold(f, test=[f], validation=[(f + 1) % SUBJECTS, (f + 5) % SUBJECTS]), seed=f % 2)
        for f in range(5)
    ]


@pytest.fixture
def half_labelled_members() -> list[Member]:
    """Four folds with five unlabelled subjects and no validation."""
    return [
        Member(make_fold(f, test=[f], unlabelled=[s for s in range(SUBJECTS) if s % 2 and s != f]), seed=3)
        for f in range(4)
    ]


def make_windows(*, kind: str = "class", per_fold: bool = True, noise: float = 1.0) -> WindowTensors:
    """Return a signal and features that both tell the class, or a trace, up to noise."""
    rng = np.random.default_rng(0)
    n = SUBJECTS * WINDOWS
    latent = rng.normal(size=n)
    level = np.sign(latent) if kind == "class" else latent
    signal = level[:, None, None] + noise * rng.normal(size=(n, 1, 32)) + 3.0
    features = np.outer(level, rng.normal(size=5)) + noise * rng.normal(size=(n, 5)) - 2.0
    target = torch.from_numpy((latent > 0).astype(np.int64) if kind == "class" else latent.astype(np.float32))
    return WindowTensors(
        inputs={"eda": torch.from_numpy(signal).float(), "ecg": torch.from_numpy(features).float()},
        target=target,
        kind=kind,
        n_outputs=2 if kind == "class" else 1,
        shapes={"eda": InputShape(1, 32, 4.0), "ecg": InputShape(5)},
        per_fold=per_fold,
    )


@pytest.fixture
def beside() -> type[Beside]:
    """Return the partner of a problem."""
    return Beside


@pytest.fixture
def windows() -> Callable[..., WindowTensors]:
    """Return :func:`make_windows`."""
    return make_windows


@pytest.fixture
def problem(members: list[Member]) -> Problem:
    """A student on a signal, with dropout, early stopping and a scaler per fold."""
    return Problem(make_windows(), members, "student_cnn", settings=Settings(epochs=4, batch=16, learning_rate=5e-3))


@pytest.fixture
def taught_problem(half_labelled_members: list[Member]) -> Problem:
    """A student taught by logits and a feature on labelled and unlabelled windows."""
    windows, rng = make_windows(), np.random.default_rng(1)
    logits = np.full((4, len(windows.target), 2), np.nan, dtype=np.float32)
    fused = np.full((4, len(windows.target), 3), np.nan, dtype=np.float32)
    for position, member in enumerate(half_labelled_members):
        training = member.fold.training
        logits[position, training] = rng.normal(0, 2, (len(training), 2))
        fused[position, training] = rng.normal(0, 1, (len(training), 3))
    return Problem(
        windows,
        half_labelled_members,
        "student_cnn",
        losses={
            "hard": {"weight": 1.0},
            "soft": {"weight": 0.5, "temperature": 3.0},
            "hint": {"weight": 0.2, "teacher": "fused", "student": "embedding", "map": "linear"},
        },
        taught=Taught(torch.from_numpy(logits), {"teacher": {"fused": torch.from_numpy(fused)}}, unlabelled=True),
    )


@pytest.fixture
def trace_problem(members: list[Member]) -> Problem:
    """A perceptron that follows a trace."""
    return Problem(make_windows(kind="trace"), members, "trace_mlp")
