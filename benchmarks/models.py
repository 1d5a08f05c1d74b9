"""PainAttnNet against a plain transcription of its layer table, and the latency of students in ONNX Runtime.

The plain transcription is what one would write from the layer table: ordinary modules, one per row, PyTorch's own
attention and dropout. Both have the same weights and the same outputs, which is checked first. A training step is
forward, cross-entropy and backward of a batch; ours goes through the training engine, which draws the dropout masks and
hands back one flat gradient. A single window is what a wearable sees.
"""

from __future__ import annotations

import os

# Before NumPy and PyTorch read them: the timings are those of one thread.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from limbeck import __version__
from limbeck.distillation import Batch, Context, Joint, Learner, Sight, make_losses
from limbeck.export import open_session, to_onnx
from limbeck.models import MODELS, InputShape, build, count_parameters
from limbeck.protocols import Fold
from limbeck.training import Ensemble, Member

BATCH = 128
EDA = {"eda": InputShape(1, 2816, 512.0)}
SENSORS = {"eda": InputShape(1, 240, 4.0), "bvp": InputShape(1, 3840, 64.0), "eeg": InputShape(2, 1250, 250.0)}
TARGET = 1.0
"""Milliseconds per window that a student may take."""


class Branch(nn.Sequential):
    """One scale, row by row."""

    def __init__(
        self,
        first: tuple[int, int, int],
        pool: tuple[int, int, int],
        inner: tuple[int, int],
        last: tuple[int, int, int],
        frames: int,
    ) -> None:
        kernel, padding = inner
        super().__init__(
            nn.Conv1d(1, 64, first[0], stride=first[1], padding=first[2], bias=False),
            nn.BatchNorm1d(64),
            nn.GELU(),
            nn.MaxPool1d(*pool),
            nn.Dropout(0.5),
            nn.Conv1d(64, 128, kernel, padding=padding, bias=False),
            nn.BatchNorm1d(128),
            nn.GELU(),
            nn.Conv1d(128, 64, kernel, padding=padding, bias=False),
            nn.BatchNorm1d(64),
            nn.GELU(),
            nn.MaxPool1d(*last),
            nn.Linear(frames, 75),
        )


class Unit(nn.Module):
    """Two causal convolutions with a residual connection."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv1d(30, 30, 7, padding=6), nn.BatchNorm1d(30)
        self.conv2, self.norm2 = nn.Conv1d(30, 30, 7, padding=6), nn.BatchNorm1d(30)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, 30, 75) for the same."""
        h = torch.relu(self.norm1(self.conv1(x)[..., :-6]))
        return torch.relu(self.norm2(self.conv2(h)[..., :-6]) + x)


class Encoder(nn.Module):
    """One layer of the encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = Unit(), Unit(), Unit()
        self.attention = nn.MultiheadAttention(30, 5, dropout=0.1, batch_first=True)
        self.attention_norm, self.norm = nn.LayerNorm(30), nn.LayerNorm(30)
        self.mlp = nn.Sequential(nn.Linear(75, 120), nn.ReLU(), nn.Dropout(0.1), nn.Linear(120, 75))
        self.dropout1, self.dropout2 = nn.Dropout(0.1), nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, 30, 75) for the same."""
        query, key, value = (unit(x).transpose(1, 2) for unit in (self.query, self.key, self.value))
        taken, _ = self.attention(query, key, value, need_weights=False)
        y = query + self.dropout1(taken)
        return y.transpose(1, 2) + self.dropout2(self.mlp(self.norm(y).transpose(1, 2)).transpose(1, 2)).transpose(1, 2)


class Plain(nn.Module):
    """PainAttnNet as the layer table reads."""

    def __init__(self) -> None:
        super().__init__()
        self.short = Branch((50, 6, 24), (8, 2, 4), (8, 4), (4, 4, 2), 60)
        self.medium = Branch((512, 42, 256), (4, 4, 0), (4, 3), (2, 2, 1), 12)
        self.long = Branch((1024, 84, 512), (8, 8, 0), (7, 3), (2, 2, 1), 3)
        self.dropout = nn.Dropout(0.5)
        self.conv1, self.norm1 = nn.Conv1d(192, 30, 1), nn.BatchNorm1d(30)
        self.conv2, self.norm2 = nn.Conv1d(30, 30, 1), nn.BatchNorm1d(30)
        self.excite = nn.Sequential(nn.Linear(30, 1, bias=False), nn.ReLU(), nn.Linear(1, 30, bias=False), nn.Sigmoid())
        self.shortcut, self.shortcut_norm = nn.Conv1d(192, 30, 1, bias=False), nn.BatchNorm1d(30)
        self.encoder = nn.Sequential(Encoder(), Encoder())
        self.norm = nn.LayerNorm(75)
        self.head = nn.Linear(2250, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        x = self.dropout(torch.cat([self.short(x), self.medium(x), self.long(x)], dim=1))
        h = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        h = torch.relu(h * self.excite(h.mean(dim=-1))[..., None] + self.shortcut_norm(self.shortcut(x)))
        return self.head(self.norm(self.encoder(h)).flatten(1))


def take_over(plain: Plain, state: Mapping[str, Tensor]) -> None:
    """Give the transcription the weights and statistics of ours."""
    found = {}
    for key, value in state.items():
        value = value.squeeze(2) if value.ndim == 4 else value
        head, *rest = key.split(".")
        if head == "scales":
            layer = {"conv1": 0, "norm1": 1, "conv2": 5, "norm2": 6, "conv3": 8, "norm3": 9, "resize": 12}[rest[2]]
            found[f"{rest[1]}.{layer}.{rest[3]}"] = value
        elif head == "excitation":
            name = {"squeeze": "excite.0", "excite": "excite.2"}.get(rest[0], rest[0])
            found[f"{name}.{rest[1]}"] = value
        elif head == "encoder" and rest[1] == "units":
            for unit, own in zip(("query", "key", "value"), value.chunk(3) if value.ndim else [value] * 3, strict=True):
                found[f"encoder.{rest[0]}.{unit}.{rest[2]}.{rest[3]}"] = own
        elif head == "encoder":
            name = {"first": "mlp.0", "second": "mlp.3"}.get(rest[1], rest[1])
            if rest[1] != "attention":
                found[f"encoder.{rest[0]}.{name}.{rest[2]}"] = value
        else:
            found[key] = value
    for layer in range(2):
        start = f"encoder.{layer}.attention"
        for kind in ("weight", "bias"):
            parts = [state[f"{start}.{projection}.{kind}"] for projection in ("query", "key", "value")]
            found[f"{start}.in_proj_{kind}"] = torch.cat(parts)
            found[f"{start}.out_proj.{kind}"] = state[f"{start}.out.{kind}"]
    plain.load_state_dict(found)


def check(plain: Plain, ours: nn.Module, x: Tensor) -> float:
    """Return the largest difference of the logits in evaluation, and stop where it matters."""
    with torch.no_grad():
        expected, found = plain.eval()(x), ours.eval()({"eda": x}).prediction
    difference = float((expected - found).abs().max())
    if not torch.allclose(expected, found, rtol=1e-5, atol=1e-5):
        raise SystemExit(f"The two networks differ by {difference:.2g}; nothing to compare.")
    return difference


def best_of(ways: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the best seconds of each way, taken in turns so that other work on the machine meets all alike."""
    best = {name: float("inf") for name in ways}
    for way in ways.values():
        way()
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def forward(network: nn.Module, inputs: object) -> Callable[[], object]:
    """Return what predicts in evaluation mode."""

    def run() -> object:
        with torch.inference_mode():
            return network.eval()(inputs)

    return run


def compare_with_the_plain_transcription(repeats: int, batch: int) -> None:
    """Print forward, training and single-window times of both."""
    torch.manual_seed(0)
    plain, ours = Plain(), build("pain_attn_net", EDA, 2, as_released=True)
    x = torch.randn(batch, 1, 2816)
    ours.train()({"eda": 3.0 * x})  # moves the running statistics away from where they start
    take_over(plain, ours.state_dict())
    difference = check(plain, ours, x[:8])
    target = torch.arange(batch) % 2
    empty = np.empty(0, dtype=np.int64)
    member = Member(Fold(0, 0, np.arange(batch), empty, empty, empty, (), (), (), ()), seed=0)
    ensemble = Ensemble(
        lambda: Learner(
            build("pain_attn_net", EDA, 2, as_released=True), make_losses({"hard": {}}), Context("class", 2, EDA, {})
        ),
        [member],
        backend="looped",
    )
    (phase,) = Joint().phases(0, 1e-3)
    one = Batch(
        sights={"plain": Sight({"eda": x[None]}, {})},
        target=target[None],
        labelled=torch.ones(1, batch),
        class_weights=torch.ones(1, 2),
        logits=torch.empty(1, batch, 0),
        trust=torch.ones(1, batch),
        teachers={},
        index=torch.arange(batch)[None],
        progress=torch.zeros(1),
        strength=torch.ones(1),
    )

    def train_plain() -> None:
        plain.train().zero_grad()
        nn.functional.cross_entropy(plain(x), target).backward()

    rows = {
        "training, per 1,000 windows": (
            {"plain": train_plain, "ours": lambda: ensemble.gradients(phase, one, 0)},
            repeats,
            1_000 / batch,
        ),
        "forward, per 1,000 windows": (
            {"plain": forward(plain, x), "ours": forward(ours, {"eda": x})},
            repeats,
            1_000 / batch,
        ),
        "forward, a single window": (
            {"plain": forward(plain, x[:1]), "ours": forward(ours, {"eda": x[:1]})},
            20 * repeats,
            1.0,
        ),
    }
    print(f"PainAttnNet on 5.5 s of EDA at 512 Hz: {count_parameters(ours):,} parameters, batches of {batch},")
    print(f"best of {repeats}; logits of both agree to {difference:.1g}")
    print(f"{'milliseconds':<30} {'plain':>9} {'ours':>9} {'times as fast':>14}")
    for name, (ways, times, scale) in rows.items():
        found = best_of(ways, times)
        print(
            f"{name:<30} {1e3 * scale * found['plain']:>9.2f} {1e3 * scale * found['ours']:>9.2f} "
            f"{found['plain'] / found['ours']:>14.2f}",
            flush=True,
        )


def in_onnx_runtime(network: nn.Module, modality: str, shape: InputShape) -> Callable[[], np.ndarray]:
    """Return what predicts one window in ONNX Runtime on one thread; the file is checked as it is written."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        to_onnx(network, {modality: shape}, file, tolerance=1e-4)
        session = open_session(file)
    window = {modality: torch.randn(shape.zeros(1).shape).numpy()}
    return lambda: session.run(["prediction"], window)[0]


def print_latencies(repeats: int) -> None:
    """Print what each student takes for a window of each sensor."""
    students = [name for name in MODELS if name.startswith("student_")]
    print(f"A single window, one thread: median and best of {repeats}; at most {TARGET:g} ms is asked for")
    print(f"{'':<44} {'':>8} {'PyTorch':>8} {'ONNX Runtime':>17}")
    print(f"{'milliseconds':<44} {'weights':>8} {'best':>8} {'best':>8} {'median':>8}")
    rows = [(name, sensor, shape) for name in students for sensor, shape in SENSORS.items()]
    for name, sensor, shape in [*rows, ("pain_attn_net", "eda", EDA["eda"])]:
        torch.manual_seed(0)
        network = build(name, {sensor: shape}, 2).eval()
        x = torch.randn(shape.zeros(1).shape)
        run = in_onnx_runtime(network, sensor, shape)
        taken = []
        for _ in range(repeats + 5):
            start = time.perf_counter()
            run()
            taken.append(time.perf_counter() - start)
        eager = best_of({"eager": forward(network, {sensor: x})}, max(3, repeats // 5))
        best, median = min(taken[5:]), statistics.median(taken[5:])
        late = "  over" if name.startswith("student_") and 1e3 * best > TARGET else ""
        where = f"{name}, {sensor} {shape.channels} x {shape.length} at {shape.rate:g} Hz"
        print(
            f"{where:<44} {count_parameters(network):>8} {1e3 * eager['eager']:>8.3f} {1e3 * best:>8.3f} "
            f"{1e3 * median:>8.3f}{late}",
            flush=True,
        )


def machine() -> str:
    """Return machine and versions in a line."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return (
        f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} thread used; load {os.getloadavg()[0]:.1f}; "
        f"Python {platform.python_version()}, torch {torch.__version__}, onnxruntime {onnxruntime.__version__}, "
        f"limbeck {__version__}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small batches and few repeats: does it run?")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(machine())
    print()
    compare_with_the_plain_transcription(1 if chosen.quick else 7, 16 if chosen.quick else BATCH)
    print()
    print_latencies(20 if chosen.quick else 300)
    return 0


if __name__ == "__main__":
    sys.exit(main())
