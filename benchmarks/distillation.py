"""A study of teaching against a plain PyTorch script, and what caching, sharing and grouping each gain.

The study: a teacher, a student alone, three taught students, and for each of these its two credit controls (a teacher
that has the student's sensors only; scrambled knowledge), leaving out one subject of EEGMAT after the other. The script
does the same as one would without Limbeck: one process per core, fold after fold, ordinary modules with `nn.Dropout`,
`torch.optim.AdamW`, windows as one tensor, and batches by index without a DataLoader; it trains both teachers of a fold
once and calls them under `torch.no_grad()` at every step. Both see the same windows, folds, initial weights, batches
and epochs. Their dropout masks differ, so their scores differ by chance.

The study is also run with three properties of the engine switched on one by one:

* caching: what a teacher says is computed once per fold, not by a frozen network at every step;
* sharing: one store for all arms, so that teachers and the student alone are trained once, not once per taught arm;
* grouping: folds train together (backend and group as the plan chooses them), not one by one.

Windows are cut beforehand and worker processes are warm, for all. *training* is the time of all networks, test
predictions included; *whole* adds the plan (reading windows, timing backends), and of the study the baselines, the
clock, statistics and the report, which the script does without.
"""

from __future__ import annotations

import argparse
import copy
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # workers read these when they import their libraries

import joblib
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from limbeck import __version__
from limbeck.distillation.controls import permute_within, scrambling_groups
from limbeck.metrics import balanced_accuracy
from limbeck.models import Dropout, InputShape, build, count_parameters
from limbeck.protocols import Fold
from limbeck.study import parse_study
from limbeck.study.plan import VariantPlan, make_plan
from limbeck.study.runner import execute, run_study
from limbeck.training import Member, draws
from limbeck.training.loop import class_weights, steps_per_epoch
from limbeck.training.tensors import WindowTensors
from limbeck.windows import view

EEGMAT = Path(__file__).resolve().parents[2] / "shared" / "data" / "eegmat"
TARGET = 3.0
CONTROLS = ("own_input", "scrambled")
BANDS = {"delta": [1, 4], "theta": [4, 8], "alpha": [8, 13], "beta": [13, 30], "gamma": [30, 40]}

View = dict[str, list[str] | None]


# ---- what is compared -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """Networks, what they read, and how three students are taught.

    Parameters
    ----------
    name : str
        For the table.
    base : dict
        Of the study: data, target, signals, windows, normalisation.
    teacher, student : str
        Registered models.
    rich, cheap : dict of str to list of str or None
        What teacher and student read.
    hint, relation : (str, str)
        Features of student and teacher that are compared by FitNets' hint and by similarity.
    epochs, batch : int
        Of every training.
    """

    name: str
    base: dict[str, Any]
    teacher: str
    student: str
    rich: View
    cheap: View
    hint: tuple[str, str]
    relation: tuple[str, str]
    epochs: int
    batch: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.01

    @property
    def teachings(self) -> dict[str, dict[str, Any]]:
        """The losses of the taught students, by name, as a study writes them."""
        soft = {"weight": 1.0, "temperature": 4.0, "balanced": False}
        hint = {"weight": 1.0, "student": self.hint[0], "teacher": self.hint[1], "map": "linear"}
        similarity = {"weight": 10.0, "student": self.relation[0], "teacher": self.relation[1]}
        return {
            "soft": {"hard": 0.5, "soft": soft},
            "hint": {"hard": 0.5, "soft": soft, "hint": hint},
            "similarity": {"hard": 0.5, "soft": soft, "sp": similarity},
        }


@dataclass(frozen=True)
class Engine:
    """Which of its properties a study is run with."""

    name: str
    caching: bool = True
    sharing: bool = True
    grouping: bool = True


ENGINES = (
    Engine("study, none of the three", caching=False, sharing=False, grouping=False),
    Engine("study, caching alone", sharing=False, grouping=False),
    Engine("study, sharing alone", caching=False, grouping=False),
    Engine("study, grouping alone", caching=False, sharing=False),
    Engine("study, all of them"),
)


@dataclass
class Outcome:
    """What one way took and reached.

    Parameters
    ----------
    training, whole : float
        Seconds.
    scores : dict of str to float
        By arm the balanced accuracy, mean over subjects.
    choices : dict of str to str
        By stage how the engine trained it.
    """

    training: float
    whole: float
    scores: dict[str, float]
    choices: dict[str, str] = field(default_factory=dict)


def eegmat_base(root: Path, signals: dict[str, Any], hop: float) -> dict[str, Any]:
    """Return what the studies on EEGMAT have in common."""
    return {
        "data": {"corpus": "eegmat", "root": str(root)},
        "target": {"name": "load", "events": {"rest": ["rest"], "arithmetic": ["task"]}},
        "signals": signals,
        "windows": {"length": 10, "hop": hop},
        "normalise": {"calibration": {"condition": "rest", "seconds": 60}},
    }


def eegmat_cases(root: Path) -> tuple[Case, ...]:
    """Return convolutional networks on samples, tiny ones on running band power, and perceptrons on features."""
    sites = ["Fp1", "Fp2"]
    powers = {"bandpower": {"bands": BANDS, "kinds": ["log_relative"], "taper": "boxcar"}}
    running = {"running_bandpower": {"bands": BANDS, "window": 2, "hop": 0.5}}
    samples = [{"bandpass": [1, 30]}, {"resample": {"to": 64}}]
    return (
        Case(
            "EEGMAT at 64 Hz: fusion_cnn (19 electrodes, ECG) teaches student_cnn (Fp1, Fp2)",
            eegmat_base(root, {"eeg": samples, "ecg": samples}, hop=5),
            "fusion_cnn",
            "student_cnn",
            rich={"eeg": None, "ecg": None},
            cheap={"eeg": sites},
            hint=("embedding", "fused"),
            relation=("embedding", "fused"),
            epochs=20,
        ),
        Case(
            "EEGMAT as band power at 2 Hz: student_small (19 electrodes) teaches student_tiny (Fp1, Fp2)",
            eegmat_base(root, {"eeg": [running]}, hop=5),
            "student_small",
            "student_tiny",
            rich={"eeg": None},
            cheap={"eeg": [f"{site}.{band}" for band in BANDS for site in sites]},
            hint=("embedding", "embedding"),
            relation=("embedding", "embedding"),
            epochs=20,
        ),
        Case(
            "EEGMAT as features: mlp (19 electrodes, ECG) teaches mlp (Fp1, Fp2)",
            eegmat_base(root, {"eeg": [{"features": [powers]}], "ecg": [{"features": ["heart"]}]}, hop=5),
            "mlp",
            "mlp",
            rich={"eeg": None, "ecg": None},
            cheap={"eeg": sites},
            hint=("hidden", "hidden"),
            relation=("hidden", "hidden"),
            epochs=40,
        ),
    )


def quick_case() -> Case:
    """Return a small case that needs no data."""
    base = {
        "data": {"corpus": "simulated", "options": {"preset": "privileged_helps", "seed": 0, "subjects": 4}},
        "target": {"name": "arousal", "events": {"calm": ["calm"], "aroused": ["aroused"]}},
        "signals": {"eeg": [{"resample": {"to": 8}}], "eda": []},
        "windows": {"length": 8, "hop": 8},
        "normalise": {"calibration": {"condition": "rest", "seconds": 96}},
    }
    return Case(
        "simulated cohort: fusion_cnn (EEG, EDA) teaches student_cnn (EDA)",
        base,
        "fusion_cnn",
        "student_cnn",
        rich={"eeg": None, "eda": None},
        cheap={"eda": None},
        hint=("embedding", "fused"),
        relation=("embedding", "fused"),
        epochs=1,
    )


# ---- the study ------------------------------------------------------------------------------------------------------


def definition(case: Case, engine: Engine, arms: Iterable[str]) -> dict[str, Any]:
    """Return the study of some taught arms with their controls."""
    frozen = {"teacher": {"stage": "teacher", "start": True, "learns": "frozen"}}
    stages: dict[str, Any] = {
        "teacher": {"model": case.teacher, "inputs": case.rich},
        "alone": {"model": case.student, "inputs": case.cheap},
    }
    for arm in arms:
        taught = {"like": "alone", "taught_by": "teacher", "loss": case.teachings[arm]}
        stages[arm] = taught if engine.caching else {**taught, "partners": frozen}
    return copy.deepcopy(
        {
            "study": "bench",
            **case.base,
            "protocol": {"split": "leave_one_subject_out", "validation": 0},
            "training": {
                "epochs": case.epochs,
                "batch": case.batch,
                "learning_rate": case.learning_rate,
                "weight_decay": case.weight_decay,
                "patience": None,
                "select": "last",
            },
            "stages": stages,
            "compare": [{"taught": arm, "alone": "alone", "controls": list(CONTROLS)} for arm in arms],
            "engine": {"backend": "auto"} if engine.grouping else {"backend": "looped", "group": 1},
        }
    )


def run_engine(case: Case, engine: Engine, cut: Path, jobs: int) -> Outcome:
    """Run the study in a fresh folder that holds the cut windows alone; where nothing is shared, a study per arm."""
    arms = tuple(case.teachings)
    outcome = Outcome(0.0, 0.0, {})
    for some in [arms] if engine.sharing else [(arm,) for arm in arms]:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            shutil.copytree(cut, out / "cache")
            start = time.perf_counter()
            plan = make_plan(parse_study(definition(case, engine, some)), out, jobs=jobs)
            planned = time.perf_counter()
            for level in plan.levels():
                for _ in execute(level, jobs):
                    pass
            trained = time.perf_counter()
            run = run_study(plan.study, out=out, jobs=jobs, plan=plan)
            outcome.training += trained - planned
            outcome.whole += time.perf_counter() - start
            outcome.scores |= scores(run.predictions)
            for name, stage in plan.variants[0].stages.items():
                if "/" not in name:
                    outcome.choices[name] = f"{stage.backend} {len(stage.groups[0])}"
    return outcome


def scores(predictions: pd.DataFrame) -> dict[str, float]:
    """Return the mean over subjects of the balanced accuracy per window, by arm; baselines are left out."""
    found = {}
    for arm, own in predictions.groupby("arm", observed=True):
        each = [balanced_accuracy(s["truth"], s["prediction"]) for _, s in own.groupby("subject", observed=True)]
        found[str(arm)] = float(np.mean(each))
    return found


# ---- the script -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Arrays:
    """What the script reads: normalised windows of each view, truth and subject of every window, in one file."""

    file: Path
    shapes: dict[str, dict[str, InputShape]]

    @classmethod
    def write(cls, case: Case, plan: VariantPlan, file: Path) -> Arrays:
        """Write the windows of a plan, normalised as the study's are."""
        views = {"rich": case.rich, "cheap": case.cheap}
        saved = {"truth": plan.dataset["target"].to_numpy(), "subject": plan.dataset["subject"].to_numpy()}
        shapes = {}
        for name, inputs in views.items():
            tensors = WindowTensors.from_windows(view(plan.dataset, dict(inputs)), list(inputs), mode="calibration")
            for modality, values in tensors.inputs.items():
                # features that could not be computed stand at the mean, as in the study
                known = torch.nan_to_num(values) if tensors.shapes[modality].is_feature else values
                saved[f"{name}.{modality}"] = known.numpy()
            shapes[name] = tensors.shapes
        np.savez(file, allow_pickle=False, **saved)
        return cls(file, shapes)


def loaded(file: Path) -> dict[str, Tensor]:
    """Return all arrays of a file as tensors."""
    with np.load(file) as saved:
        return {name: torch.from_numpy(saved[name]) for name in saved.files}


def run_script(case: Case, arrays: Arrays, folds: Sequence[Fold], jobs: int) -> Outcome:
    """Train all folds by the script, each process one after the other."""
    start = time.perf_counter()
    found = joblib.Parallel(n_jobs=jobs, batch_size=1)(
        joblib.delayed(script_fold)(case, arrays, fold) for fold in folds
    )
    spent = time.perf_counter() - start
    return Outcome(spent, spent, {arm: float(np.mean([own[arm] for own in found])) for arm in found[0]})


def script_fold(case: Case, arrays: Arrays, fold: Fold) -> dict[str, float]:
    """Train every network of one fold, and return the balanced accuracy of each arm on the subject left out."""
    torch.set_num_threads(1)
    data = loaded(arrays.file)
    views = {
        name: {modality: data[f"{name}.{modality}"] for modality in modalities}
        for name, modalities in arrays.shapes.items()
    }
    train = partial(train_plainly, case, fold, data["truth"].long())
    make = partial(make_plainly, fold, arrays.shapes)
    order = torch.arange(len(data["truth"]))
    teacher = train(make(case.teacher, "rich"), views["rich"], {"hard": 1.0})
    own_teacher = train(make(case.teacher, "cheap"), views["cheap"], {"hard": 1.0})
    alone = train(make(case.student, "cheap"), views["cheap"], {"hard": 1.0})
    trained = {"teacher": (teacher, "rich"), "alone": (alone, "cheap")}
    for arm, losses in case.teachings.items():
        for name, knowing, seen, shown in (
            (arm, teacher, "rich", order),
            (f"{arm}/own_input", own_teacher, "cheap", order),
            (f"{arm}/scrambled", teacher, "rich", scrambled(fold, data)),
        ):
            taught_by = Teacher(knowing, views[seen], shown)
            trained[name] = train(make(case.student, "cheap"), views["cheap"], losses, taught_by), "cheap"
    test = torch.from_numpy(fold.test)
    truth = data["truth"][test].numpy()
    return {
        name: balanced_accuracy(truth, predict_plainly(network, views[read], test))
        for name, (network, read) in trained.items()
    }


@dataclass(frozen=True)
class Teacher:
    """A trained network that is asked at every step, and which window it is shown for each."""

    network: nn.Module
    inputs: Mapping[str, Tensor]
    order: Tensor

    @torch.no_grad()
    def __call__(self, index: Tensor) -> Any:
        """Return what it says of some windows."""
        shown = self.order[index]
        return self.network({name: values[shown] for name, values in self.inputs.items()})


def scrambled(fold: Fold, data: Mapping[str, Tensor]) -> Tensor:
    """Return which window the teacher is shown for each: another of the same class, as in the study's control."""
    windows = fold.training
    subject, truth = data["subject"].numpy()[windows], data["truth"].numpy()[windows]
    groups = scrambling_groups(subject, np.ones(len(windows), dtype=bool), truth, "class")
    order = np.arange(len(data["truth"]))
    order[windows] = windows[permute_within(groups, draws.control_generator(Member(fold, 0)))]
    return torch.from_numpy(order)


def make_plainly(fold: Fold, shapes: Mapping[str, dict[str, InputShape]], model: str, read: str) -> nn.Module:
    """Return a network with PyTorch's own dropout and the weights that the study's begins with."""
    torch.manual_seed(draws.initialisation_seed(Member(fold, 0)))
    network = build(model, shapes[read], 2)
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Dropout):
                setattr(module, name, nn.Dropout(child.p))
    return network


def train_plainly(
    case: Case,
    fold: Fold,
    truth: Tensor,
    network: nn.Module,
    inputs: Mapping[str, Tensor],
    losses: Mapping[str, Any],
    teacher: Teacher | None = None,
) -> nn.Module:
    """Train one network on one fold as one would without Limbeck."""
    first = torch.from_numpy(fold.training[:1])
    network.eval()
    projector = None
    if teacher is not None and "hint" in losses:
        own, taught = losses["hint"]["student"], losses["hint"]["teacher"]
        with torch.no_grad():
            narrow = network({name: values[first] for name, values in inputs.items()}).features[own].shape[1]
        projector = nn.Linear(narrow, teacher(first).features[taught].shape[1])
    learned = [*network.parameters(), *(projector.parameters() if projector is not None else ())]
    optimiser = torch.optim.AdamW(learned, lr=case.learning_rate, weight_decay=case.weight_decay)
    weights = torch.from_numpy(class_weights(truth[fold.labelled].numpy(), 2))
    steps = steps_per_epoch(len(fold.training), case.batch)
    network.train()
    for epoch in range(case.epochs):
        batches = draws.batches(Member(fold, 0), epoch, steps=steps, labelled=case.batch, unlabelled=0)
        for index in torch.from_numpy(batches):
            optimiser.zero_grad()
            outputs = network({name: values[index] for name, values in inputs.items()})
            hard = losses["hard"]
            loss = hard * nn.functional.cross_entropy(outputs.prediction, truth[index], weight=weights)
            if teacher is not None:
                loss = loss + teaching(outputs, teacher(index), losses, projector)
            loss.backward()
            nn.utils.clip_grad_norm_(learned, 1.0)
            optimiser.step()
    return network.eval()


def teaching(outputs: Any, taught: Any, losses: Mapping[str, Any], projector: nn.Module | None) -> Tensor:
    """Return the weighted sum of what the teacher pulls at."""
    soft = losses["soft"]
    temperature = soft["temperature"]
    log_student = (outputs.prediction / temperature).log_softmax(dim=1)
    log_teacher = (taught.prediction / temperature).log_softmax(dim=1)
    divergence = nn.functional.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)
    total = soft["weight"] * temperature**2 * divergence
    if projector is not None:
        given = losses["hint"]
        mapped = projector(outputs.features[given["student"]])
        total = total + given["weight"] * nn.functional.mse_loss(mapped, taught.features[given["teacher"]])
    if "sp" in losses:
        given = losses["sp"]
        gap = likeness(outputs.features[given["student"]]) - likeness(taught.features[given["teacher"]])
        total = total + given["weight"] * gap.square().mean()
    return total


def likeness(feature: Tensor) -> Tensor:
    """Return how alike the windows of a batch are: inner products, rows of length 1."""
    return nn.functional.normalize(feature @ feature.T, dim=1)


@torch.no_grad()
def predict_plainly(network: nn.Module, inputs: Mapping[str, Tensor], index: Tensor) -> np.ndarray:
    """Return the predicted class of some windows."""
    decided: np.ndarray = network({name: values[index] for name, values in inputs.items()}).prediction.argmax(1).numpy()
    return decided


# ---- the table ------------------------------------------------------------------------------------------------------


def machine() -> str:
    """Return machine and versions in a line."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown processor")
    versions = f"torch {torch.__version__}, limbeck {__version__}"
    return f"{name}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {versions}"


def measure(case: Case, jobs: int, repeats: int, chosen: Sequence[Engine]) -> bool:
    """Time the script and the study in each way, in turn, and print a table; say whether the target is met."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        plan = make_plan(parse_study(definition(case, ENGINES[-1], case.teachings)), place, jobs=jobs).variants[0]
        arrays = Arrays.write(case, plan, place / "windows.npz")
        describe(case, plan, arrays)
        ways: dict[str, Callable[[], Outcome]] = {
            "script, a process per core": partial(run_script, case, arrays, plan.folds, jobs),
            **{engine.name: partial(run_engine, case, engine, place / "cache", jobs) for engine in chosen},
        }
        if case.epochs > 1:
            # What a process pays once (imports, kernels, the batching rules of vmap) is paid before anything is timed.
            warm = replace(case, epochs=1)
            run_script(warm, arrays, plan.folds[:jobs], jobs)
            run_engine(warm, ENGINES[-1], place / "cache", jobs)
        found: dict[str, list[Outcome]] = {name: [] for name in ways}
        for _ in range(repeats):
            for name, way in ways.items():
                found[name].append(way())
    script = best(found["script, a process per core"])
    print(f"  {'':<28} {'training':>10} {'':>7} {'whole':>10} {'':>7}   balanced accuracy")
    for name, outcomes in found.items():
        own = best(outcomes)
        shown = ", ".join(f"{arm} {own.scores[arm]:.3f}" for arm in ("teacher", "alone", *case.teachings))
        print(
            f"  {name:<28} {own.training:>8.1f} s {script.training / own.training:>6.2f}x "
            f"{own.whole:>8.1f} s {script.whole / own.whole:>6.2f}x   {shown}"
        )
    compare_scores(case, found)
    last = best(found[chosen[-1].name])
    print("  backend and members per group: " + ", ".join(f"{name} {way}" for name, way in last.choices.items()))
    ratio = script.training / last.training
    print(
        f"  {chosen[-1].name}: {ratio:.2f} times as fast as the script in training; "
        f"the aim of {TARGET:g} is {'met' if ratio >= TARGET else 'missed'}.\n",
        flush=True,
    )
    return ratio >= TARGET


def best(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the least times over the repeats, each on its own."""
    first = outcomes[0]
    return replace(first, training=min(each.training for each in outcomes), whole=min(each.whole for each in outcomes))


def describe(case: Case, plan: VariantPlan, arrays: Arrays) -> None:
    """Print what is trained."""
    teacher, own, student = (
        count_parameters(build(model, arrays.shapes[read], 2))
        for model, read in ((case.teacher, "rich"), (case.teacher, "cheap"), (case.student, "cheap"))
    )
    windows = sorted({len(fold.training) for fold in plan.folds})
    print(case.name)
    print(
        f"  {teacher:,} weights teach {student:,} ({own:,} with the student's sensors); {len(plan.folds)} folds of "
        f"{windows[0]} to {windows[-1]} training windows, batches of {case.batch}, {case.epochs} epochs",
        flush=True,
    )


def compare_scores(case: Case, found: Mapping[str, Sequence[Outcome]]) -> None:
    """Print how far the ways are apart in what they reach, controls included."""
    script, *studies = (outcomes[0].scores for outcomes in found.values())
    arms = [name for name in script if all(name in own for own in studies)]
    furthest = max(arms, key=lambda arm: max(abs(own[arm] - script[arm]) for own in studies))
    gaps = [own[furthest] - script[furthest] for own in studies]
    print(
        f"  of all {len(arms)} arms, study and script differ most in {furthest}: "
        f"{script[furthest]:.3f} by the script, {min(gaps):+.3f} to {max(gaps):+.3f} by the study"
    )
    ends = [max(own[arm] for own in studies) - min(own[arm] for own in studies) for arm in arms]
    print(f"  between the ways of running the study the largest difference of an arm is {max(ends):.4f}")


def main(arguments: list[str] | None = None) -> int:
    """Print a table per case."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a small simulated cohort, one epoch: does it run?")
    parser.add_argument("--eegmat", type=Path, default=EEGMAT, help="the folder of the corpus")
    parser.add_argument("--subjects", nargs="+", help="some of them, as in a study, such as Subject00..Subject05")
    parser.add_argument("--epochs", type=int, help="of every training, where not those of the case")
    parser.add_argument(
        "--case",
        type=int,
        nargs="+",
        choices=(1, 2, 3),
        default=(1, 2, 3),
        help="samples, running band power, features",
    )
    parser.add_argument("--only", choices=("none", "caching", "sharing", "grouping", "all"), nargs="+")
    parser.add_argument("--jobs", type=int, default=2, help="processes, of script and study alike")
    parser.add_argument("--repeats", type=int, default=1, help="the best time of so many is shown")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    # joblib starts a worker anew when its memory has grown by what PyTorch takes; nothing is lost.
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs")
    words = chosen.only or ["all"]
    engines = ENGINES if chosen.only is None else tuple(e for e in ENGINES if any(f" {w}" in e.name for w in words))
    print(
        f"A study of teaching against a plain PyTorch script; {chosen.jobs} processes of one thread each, best of "
        f"{chosen.repeats}"
    )
    print(machine() + "\n")
    if chosen.quick:
        measure(quick_case(), chosen.jobs, 1, engines)
        return 0
    if not chosen.eegmat.is_dir():
        print(f"skipped: there is no folder {chosen.eegmat.name}; name it with --eegmat")
        return 0
    cases = eegmat_cases(chosen.eegmat)
    for number in chosen.case:
        case = cases[number - 1]
        if chosen.subjects:
            case = replace(case, base={**case.base, "data": {**case.base["data"], "subjects": chosen.subjects}})
        measure(replace(case, epochs=chosen.epochs or case.epochs), chosen.jobs, chosen.repeats, engines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
