"""Folds trained together, stacked and looped, against a plain PyTorch loop that trains one fold after the other.

All three train the same networks on the same number of windows with cross-entropy, dropout, gradient clipping and
AdamW. The plain loop is what one would write without Limbeck, and written to be fast: ordinary modules with
`nn.Dropout`, the windows as one tensor, batches by index without a DataLoader, `torch.optim.AdamW`. Windows are taken
as normalised in all three; building the networks is not timed.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from limbeck import __version__
from limbeck.distillation import Context, Learner, make_losses
from limbeck.models import Dropout, InputShape, build, count_parameters
from limbeck.protocols import Fold
from limbeck.training import Ensemble, Member, Settings, WindowTensors, fit

BATCH = 64
SETTINGS = Settings(batch=BATCH, learning_rate=1e-3, weight_decay=0.01, clip=1.0, patience=None, select="last")


@dataclass(frozen=True)
class Case:
    """A network with the windows it reads.

    Parameters
    ----------
    name : str
        For the table.
    model : str
        A registered model.
    shapes : dict of str to InputShape
        By modality.
    steps : int
        Batches per fold and epoch.
    epochs : int
        Epochs of one timing.
    """

    name: str
    model: str
    shapes: dict[str, InputShape]
    steps: int
    epochs: int

    @property
    def n_training(self) -> int:
        """Training windows of a fold."""
        return self.steps * BATCH

    def network(self) -> nn.Module:
        """Return a fresh network for two classes."""
        return build(self.model, self.shapes, 2)

    def learner(self) -> Learner:
        """Return a fresh network that learns from labels alone."""
        return Learner(self.network(), make_losses({"hard": {}}), Context("class", 2, self.shapes, {}))


CASES = (
    Case("mlp on 40 features", "mlp", {"eda": InputShape(40)}, steps=12, epochs=4),
    Case("student_cnn on band power of a cap", "student_cnn", {"eeg": InputShape(95, 20, 2.0)}, steps=12, epochs=2),
    Case("student_cnn on 60 s of EDA", "student_cnn", {"eda": InputShape(1, 240, 4.0)}, steps=6, epochs=1),
    Case(
        "fusion_cnn on 60 s of EDA, BVP, TEMP, ACC",
        "fusion_cnn",
        {
            "eda": InputShape(1, 240, 4.0),
            "bvp": InputShape(1, 1920, 32.0),
            "temp": InputShape(1, 240, 4.0),
            "acc": InputShape(3, 960, 16.0),
        },
        steps=2,
        epochs=1,
    ),
)


def make_windows(case: Case, device: str) -> WindowTensors:
    """Return noise of a case's shapes with a fifth more windows than a fold trains on, and random classes."""
    generator = torch.Generator().manual_seed(0)
    n = case.n_training * 6 // 5
    inputs = {
        name: torch.randn(shape.zeros(n).shape, generator=generator).to(device) for name, shape in case.shapes.items()
    }
    return WindowTensors(
        inputs=inputs,
        target=torch.randint(0, 2, (n,), generator=generator).to(device),
        kind="class",
        n_outputs=2,
        shapes=case.shapes,
        per_fold=False,
    )


def make_folds(case: Case, n_folds: int) -> list[Fold]:
    """Return folds of which each trains on its own draw of the windows."""
    rng = np.random.default_rng(0)
    empty = np.empty(0, dtype=np.int64)
    n = case.n_training * 6 // 5
    labelled = [np.sort(rng.permutation(n)[: case.n_training]) for _ in range(n_folds)]
    return [Fold(0, f, windows, empty, empty, empty, (), (), (), ()) for f, windows in enumerate(labelled)]


def prepare_ensemble(case: Case, windows: WindowTensors, folds: list[Fold], backend: str) -> Callable[[], None]:
    """Return what trains all folds together for the epochs of a case."""
    members = [Member(fold, seed=0) for fold in folds]
    ensemble = Ensemble(case.learner, members, backend=backend, device=windows.device)

    def run() -> None:
        fit(ensemble, windows, replace(SETTINGS, epochs=case.epochs))

    return run


def prepare_plain(case: Case, windows: WindowTensors, folds: list[Fold]) -> Callable[[], None]:
    """Return the plain loop: fold after fold."""
    networks = [with_ordinary_dropout(case.network()).to(windows.device) for _ in folds]

    def run() -> None:
        for network, fold in zip(networks, folds, strict=True):
            train_plainly(network, windows, torch.from_numpy(fold.labelled).to(windows.device), case.epochs)

    return run


def with_ordinary_dropout(network: nn.Module) -> nn.Module:
    """Replace the dropout that Limbeck draws masks for by PyTorch's own."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Dropout):
                setattr(module, name, nn.Dropout(child.p))
    return network


def train_plainly(network: nn.Module, windows: WindowTensors, training: torch.Tensor, epochs: int) -> None:
    """Train one network on one fold as one would without Limbeck."""
    target = windows.target[training]
    weights = len(target) / (2.0 * torch.bincount(target, minlength=2).float())
    optimiser = torch.optim.AdamW(network.parameters(), lr=SETTINGS.learning_rate, weight_decay=SETTINGS.weight_decay)
    network.train()
    for _ in range(epochs):
        order = training[torch.randperm(len(training), device=training.device)]
        for index in order.split(BATCH):
            optimiser.zero_grad()
            outputs = network({name: values[index] for name, values in windows.inputs.items()})
            loss = nn.functional.cross_entropy(outputs.prediction, windows.target[index], weight=weights)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()


def seconds_per_epoch(prepare: Callable[[], Callable[[], None]], epochs: int, repeats: int, device: str) -> float:
    """Return the best time of an epoch of all folds over some repeats, each on fresh networks."""
    best = float("inf")
    for _ in range(repeats):
        run = prepare()
        synchronise(device)
        start = time.perf_counter()
        run()
        synchronise(device)
        best = min(best, time.perf_counter() - start)
    return best / epochs


def synchronise(device: str) -> None:
    """Wait for a GPU to finish what it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def machine(device: str) -> str:
    """Return machine and versions in a line."""
    name = platform.processor() or platform.machine()
    info = "/proc/cpuinfo"
    if os.path.exists(info):  # noqa: PTH110
        with open(info, encoding="utf-8") as lines:  # noqa: PTH123
            name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), name)
    if device.startswith("cuda"):
        name = f"{torch.cuda.get_device_name()} ({name})"
    return (
        f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} thread used; load {os.getloadavg()[0]:.1f}; "
        f"Python {platform.python_version()}, torch {torch.__version__}, limbeck {__version__}"
    )


def measure(case: Case, n_folds: int, repeats: int, device: str) -> dict[str, float]:
    """Return seconds per epoch of all folds, by way of training."""
    windows, folds = make_windows(case, device), make_folds(case, n_folds)
    ways: dict[str, Callable[[], Callable[[], None]]] = {
        "plain": lambda: prepare_plain(case, windows, folds),
        "looped": lambda: prepare_ensemble(case, windows, folds, "looped"),
        "stacked": lambda: prepare_ensemble(case, windows, folds, "stacked"),
    }
    # A first run of a way pays for what PyTorch sets up once (kernels, the batching rules of vmap).
    for way in ways.values():
        way()()
    return {name: seconds_per_epoch(way, case.epochs, repeats, device) for name, way in ways.items()}


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few folds and no repeats: does it run?")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    fold_counts = (2, 4) if chosen.quick else (8, 32)
    repeats = 1 if chosen.quick else 3
    print("Folds trained together against a plain PyTorch loop; seconds per epoch of all folds, best of", repeats)
    print(machine(chosen.device))
    print()
    header = f"{'network':<42} {'weights':>7} {'folds':>5} {'steps':>5}"
    print(f"{header} {'plain':>9} {'looped':>9} {'stacked':>9}   {'looped':>7} {'stacked':>7}")
    print(f"{'':<62} {'s/epoch':>9} {'s/epoch':>9} {'s/epoch':>9}   {'times as fast':>15}")
    for case in CASES:
        for n_folds in fold_counts:
            found = measure(case, n_folds, repeats, chosen.device)
            print(
                f"{case.name:<42} {count_parameters(case.network()):>7} {n_folds:>5} {case.steps:>5} "
                f"{found['plain']:>9.4f} {found['looped']:>9.4f} {found['stacked']:>9.4f}   "
                f"{found['plain'] / found['looped']:>7.2f} {found['plain'] / found['stacked']:>7.2f}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
