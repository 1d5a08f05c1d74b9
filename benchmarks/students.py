"""The tiny students: what each size costs, and what it scores alone on two open corpora beside logistic regression.

Costs are those of one window: parameters, kB with 8 and with 32 bits per parameter, multiply-adds, and milliseconds in
ONNX Runtime on one thread (the median of many). Scores are balanced accuracies per window, averaged over subjects, of
`studies/students_eegmat.yaml` and `studies/students_stress.yaml`, five folds over subjects; logistic regression reads
features of the same windows in the same folds. It takes about ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from limbeck.export import open_session, to_onnx
from limbeck.models import InputShape, build, count_multiply_adds, count_parameters
from limbeck.study import run

SIZES = ("student_nano", "student_tiny", "student_small", "student_base", "student_cnn")
SHAPES = {"eda": InputShape(1, 240, 4.0), "bvp": InputShape(1, 3840, 64.0), "eeg": InputShape(2, 1250, 250.0)}
STUDIES = Path(__file__).resolve().parent.parent / "studies"
BANDS = "{delta: [1, 4], theta: [4, 8], alpha: [8, 13], beta: [13, 30], gamma: [30, 40]}"
RUNNING = "{running_bandpower: {bands: " + BANDS + ", window: 2, hop: 0.5}}"
FEATURES = {
    "students_eegmat": {
        "band power": "{bandpower: {bands: " + BANDS + ", kinds: [absolute, log_relative], taper: boxcar}}",
        "mean and sd of the running band power": "{statistics: {kinds: [mean, sd]}}",
    },
    "students_stress": {"features of the set wearable": ""},
}
"""What logistic regression reads, by study: a name and the step."""


def overrides(study: str, feature: str) -> tuple[str, ...]:
    """Return what turns a study of signals into logistic regression on features of the same windows."""
    before = RUNNING + ", " if feature.startswith("{statistics") else ""
    signals = f"{{eeg: [{{pick: [Fp1, Fp2]}}, {before}{{features: [{feature}]}}]}}" if feature else "wearable"
    modality = "eeg" if study == "students_eegmat" else "eda"
    return (
        f"signals={signals}",
        f"stages={{logistic: {{model: linear, inputs: [{modality}]}}}}",
        "training={epochs: 40, batch: 128, learning_rate: 0.03, weight_decay: 0.1, schedule: cosine, patience: null, "
        "select: last}",
    )


def milliseconds(model: nn.Module, modality: str, repeats: int = 300) -> float:
    """Return the median time of one window in ONNX Runtime, on one thread."""
    shape = SHAPES[modality]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "student.onnx"
        to_onnx(model, {modality: shape}, file)
        session = open_session(file)
    x = np.zeros((1, shape.channels, shape.length), dtype=np.float32)
    spent = []
    for _ in range(repeats):
        start = time.perf_counter()
        session.run(["prediction"], {modality: x})
        spent.append(time.perf_counter() - start)
    return float(np.median(spent)) * 1e3


def print_costs() -> None:
    """Print a row per size and shape."""
    print(
        f"{'model':14s} {'window':14s} {'parameters':>10s} {'kB int8':>8s} {'kB f32':>8s} {'mult-adds':>10s} {'ms':>7s}"
    )
    for name in SIZES:
        for modality, shape in SHAPES.items():
            model = build(name, {modality: shape}, 2)
            n = count_parameters(model)
            window = f"{modality} {shape.channels} x {shape.length}"
            operations = count_multiply_adds(model, {modality: shape})
            spent = milliseconds(model, modality)
            print(f"{name:14s} {window:14s} {n:10,d} {n / 1e3:8.1f} {4 * n / 1e3:8.1f} {operations:10,d} {spent:7.3f}")


def print_scores(out: Path, jobs: int) -> None:
    """Run both studies, then logistic regression on features, and print a row per arm."""
    for study, features in FEATURES.items():
        print(f"\n{study}: balanced accuracy per window, mean over subjects, 95 % interval")
        for name, given in {"": (), **{name: overrides(study, feature) for name, feature in features.items()}}.items():
            (judgement,) = run(STUDIES / f"{study}.yaml", out=out, jobs=jobs, overrides=given).judgements
            for arm, found in judgement.arms.items():
                if name and "/" in arm:
                    continue
                score = found.scores[judgement.metric]
                print(f"  {arm:18s} {score.estimate:.3f} [{score.low:.3f}, {score.high:.3f}] {name}")


def main() -> None:
    """Print costs, then scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs"), help="the folder of runs")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes")
    parser.add_argument("--costs", action="store_true", help="print the costs alone")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print_costs()
    if not arguments.costs:
        print_scores(arguments.out, arguments.jobs)


if __name__ == "__main__":
    main()
