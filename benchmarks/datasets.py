"""Corpora read and cut into windows: seconds and memory of full-size files.

Files of the gated corpora are written first, in their formats and sizes, with random numbers; the open recordings are
read where they lie beside the repository. Each run has a process of its own, so that nothing that an earlier one kept
helps it and its peak of memory is its own. Imports are not counted, and the operating system holds the files in
memory: what is measured is the reader, not the disk.
"""

from __future__ import annotations

import os

# Before NumPy counts the cores: all that is measured runs on one.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import json
import platform
import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from limbeck import __version__, datasets, windows
from limbeck.targets import Target

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
WRITERS = ROOT / "tests" / "datasets"
"""Where the formats of the gated corpora are written for the tests."""

MEGABYTE = 1e6
STATUS = Path("/proc/self/status")
"""Where Linux says how much memory a process has and has had at most."""


@dataclass(frozen=True)
class Case:
    """What is read.

    Parameters
    ----------
    title : str
    write : callable
        Writes the files into an empty folder; ``write(folder, quick)``.
    work : callable
        What is timed: ``work(folder, out) -> {step: seconds}``; `out` is a folder to write to, new each time.
    reader : str
        The data set that is read.
    target : float or None
        Seconds that the steps together may take.
    """

    title: str
    write: Callable[[Path, bool], None]
    work: Callable[[Path, Path], dict[str, float]]
    reader: str = ""
    target: float | None = None


# ---------------------------------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------------------------------


def write_deap(folder: Path, quick: bool) -> None:
    """Write s01.dat: 40 trials of 40 channels and 63 s at 128 Hz, 103 MB, and the table of ratings."""
    sys.path.insert(0, str(WRITERS))
    from corpora.binary import py2_pickle

    rng = np.random.default_rng(0)
    data = 10 * rng.standard_normal((40, 40, 8064))  # as published, however quick the rest: others are refused
    data[:, 36] = 3e5 + 1e3 * data[:, 36]  # skin resistance in ohm
    data[:, 39] = 33 + 1e-3 * data[:, 39]  # °C
    labels = rng.uniform(1, 9, (40, 4)).round(2)
    (folder / "data_preprocessed_python").mkdir()
    (folder / "data_preprocessed_python" / "s01.dat").write_bytes(py2_pickle({"labels": labels, "data": data}))
    head = "Participant_id,Trial,Experiment_id,Start_time,Valence,Arousal,Dominance,Liking,Familiarity"
    shown = rng.permutation(40)
    rows = [
        f"1,{shown[k] + 1},{k + 1},{1000 * k},{','.join(f'{value:.2f}' for value in labels[k])},{1 + k % 5}"
        for k in range(40)
    ]
    (folder / "metadata_csv").mkdir()
    (folder / "metadata_csv" / "participant_ratings.csv").write_text("\n".join([head, *rows]) + "\n")


def write_wesad(folder: Path, quick: bool) -> None:
    """Write a subject of 50 minutes: 2.1 million rows of the chest at 700 Hz."""
    sys.path.insert(0, str(WRITERS))
    from corpora.binary import py2_pickle

    rng = np.random.default_rng(0)
    seconds = 60 if quick else 3000
    chest = {
        key: rng.standard_normal((seconds * 700, 3 if key == "ACC" else 1))
        for key in ("ACC", "ECG", "EMG", "EDA", "Temp", "Resp")
    }
    wrist = {
        key: rng.standard_normal((seconds * rate, 3 if key == "ACC" else 1))
        for key, rate in (("ACC", 32), ("BVP", 64), ("EDA", 4), ("TEMP", 4))
    }
    label = np.repeat(np.array([0, 1, 0, 2, 0, 3, 0, 4, 0, 0], dtype=np.int32), seconds * 70)
    content = {"signal": {"chest": chest, "wrist": wrist}, "label": label, "subject": "S2"}
    (folder / "S2").mkdir()
    (folder / "S2" / "S2.pkl").write_bytes(py2_pickle(content))


def write_biovid(folder: Path, quick: bool) -> None:
    """Write a subject of part A: 100 windows of 2816 rows and 6 columns."""
    rng = np.random.default_rng(0)
    subject = "010109_w_30"
    place = folder / "PartA" / "biosignals_filtered" / subject
    place.mkdir(parents=True)
    head = "\t".join(("time", "gsr", "ecg", "emg_trapezius", "emg_corrugator", "emg_zygomaticus"))
    times = (np.arange(2816) * 1_000_000) // 512
    classes = ("BL1", "PA1", "PA2", "PA3", "PA4")
    for number in range(10 if quick else 100):
        values = np.abs(rng.standard_normal((2816, 5))) + 1
        rows = [f"{t}\t" + "\t".join(f"{value:.6f}" for value in row) for t, row in zip(times, values, strict=True)]
        name = f"{subject}-{classes[number % 5]}-{1 + number // 5:03d}_bio.csv"
        (place / name).write_text("\n".join([head, *rows]) + "\n")


def write_bdf(folder: Path, quick: bool) -> None:
    """Write a file as long as a session of MAHNOB-HCI: 47 channels, 256 Hz, 140 s, 24 bits."""
    rng = np.random.default_rng(0)
    rate, seconds, count = 256, 20 if quick else 140, 47
    names = [f"EEG {number}" for number in range(1, count)] + ["Status"]
    lowest, highest = "-8388608", "8388607"
    columns = [
        (names, 16),
        ([""] * count, 80),
        (["uV"] * (count - 1) + ["Boolean"], 8),
        (["-262144"] * (count - 1) + [lowest], 8),
        (["262143"] * (count - 1) + [highest], 8),
        ([lowest] * count, 8),
        ([highest] * count, 8),
        ([""] * count, 80),
        ([str(rate)] * count, 8),
        ([""] * count, 32),
    ]
    fields = (("", 80), ("", 80), ("01.01.10", 8), ("10.00.00", 8), (str(256 * (count + 1)), 8), ("24BIT", 44))
    head = b"\xffBIOSEMI" + b"".join(text.encode().ljust(size) for text, size in fields)
    head += b"".join(str(value).encode().ljust(size) for value, size in ((seconds, 8), (1, 8), (count, 4)))
    head += b"".join(value.encode().ljust(size) for values, size in columns for value in values)
    samples = rng.integers(-3000, 3000, (seconds, count, rate), dtype=np.int32)
    samples[:, -1] = 0
    raw = samples[..., None].view(np.uint8)[..., :3] if sys.byteorder == "little" else None
    body = raw.tobytes() if raw is not None else b"".join(struct.pack("<i", v)[:3] for v in samples.flat)
    (folder / "session.bdf").write_bytes(head + body)


def write_case(folder: Path, quick: bool) -> None:
    """Write a subject of CASE: 2.45 million rows and 10 columns at 1000 Hz, and the joystick at 20 Hz."""
    seconds = 60 if quick else 2450
    rng = np.random.default_rng(0)
    places = [folder / "data" / "interpolated" / name for name in ("physiological", "annotations")]
    for place in places:
        place.mkdir(parents=True)
    block = 10_000
    with (places[0] / "sub_1.csv").open("w") as stream:
        stream.write("daqtime,ecg,bvp,gsr,rsp,skt,emg_zygo,emg_coru,emg_trap,video\n")
        for first in range(0, seconds * 1000, block):
            values = rng.standard_normal((block, 8))
            rows = (
                f"{first + k}," + ",".join(f"{value:.3f}" for value in values[k]) + f",{1 + (first // 200_000) % 8}\n"
                for k in range(block)
            )
            stream.writelines(rows)
    video = [1 + (50 * k // 200_000) % 8 for k in range(seconds * 20)]
    values = rng.uniform(0.5, 9.5, (seconds * 20, 2))
    rows = [f"{50 * k},{values[k, 0]:.3f},{values[k, 1]:.3f},{video[k]}" for k in range(seconds * 20)]
    (places[1] / "sub_1.csv").write_text("\n".join(["jstime,valence,arousal,video", *rows]) + "\n")


def no_files(folder: Path, quick: bool) -> None:
    """Write nothing: the case makes its arrays itself, or reads what lies beside the repository."""


# ---------------------------------------------------------------------------------------------------------------------
# Work
# ---------------------------------------------------------------------------------------------------------------------


def deap_to_zarr(signals: dict[str, Any], *, cached: bool) -> Callable[[Path, Path], dict[str, float]]:
    """Return the work of cutting DEAP into windows of 4 s and writing them as one Zarr group."""

    def work(folder: Path, out: Path) -> dict[str, float]:
        begin = time.perf_counter()
        corpus = datasets.load("deap", folder)
        target = Target(name="valence", ratings="valence", threshold=5)
        cache = out / "cache" if cached else None
        cut = windows.cut(corpus, signals=signals, target=target, length=4, hop=4, cache=cache)
        middle = time.perf_counter()
        windows.save(cut, out / "windows.zarr")
        end = time.perf_counter()
        if cut.sizes["window"] % 40 or not cut.sizes["window"]:
            raise SystemExit(f"{cut.sizes['window']} windows of 40 trials: {cut.attrs['left_out']}")
        return {"read and cut": middle - begin, "Zarr": end - middle}

    return work


def store_windows(_: Path, out: Path) -> dict[str, float]:
    """Write, reopen and load 1,000 windows of 32×128."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from windows import cases, make_windows  # the benchmark beside this one, not the room

    made = make_windows(cases(quick=True)[0])
    begin = time.perf_counter()
    windows.save(made, out / "windows.zarr")
    middle = time.perf_counter()
    loaded = windows.load(out / "windows.zarr").load()
    end = time.perf_counter()
    if not np.array_equal(loaded["eeg"].to_numpy(), made["eeg"].to_numpy()):
        raise SystemExit("The windows that were read are not those that were written.")
    return {"write": middle - begin, "reopen and load": end - middle}


def read_all(name: str, root: Path | None = None, **options: Any) -> Callable[[Path, Path], dict[str, float]]:
    """Return the work of reading every recording of a corpus, in `root` or where its files were written."""

    def work(folder: Path, out: Path) -> dict[str, float]:
        begin = time.perf_counter()
        corpus = datasets.load(name, folder if root is None else root, **options)
        listed = time.perf_counter()
        count = sum(1 for _ in corpus)
        end = time.perf_counter()
        if not count:
            raise SystemExit(f"{name}: nothing was read: {corpus.left_out[:3]}")
        return {"list": listed - begin, "read": end - listed}

    return work


EEG = {"eeg": []}
ALL = {modality: [] for modality in ("eeg", "eda", "emg", "eog", "resp", "bvp", "temp")}

CASES = {
    "deap": Case("DEAP s01.dat, EEG, to 4 s windows in Zarr", write_deap, deap_to_zarr(EEG, cached=False), "deap", 3.0),
    "deap_all": Case("  the same, all 40 channels", write_deap, deap_to_zarr(ALL, cached=False), "deap", 3.0),
    "deap_cached": Case("  the same, each trial cached as well", write_deap, deap_to_zarr(ALL, cached=True), "deap"),
    "windows": Case("1,000 windows of 32×128, there and back", no_files, store_windows, target=0.1),
    "wesad": Case("WESAD S2.pkl, 50 min", write_wesad, read_all("wesad"), "wesad"),
    "biovid": Case("BioVid part A, one subject, 100 files", write_biovid, read_all("biovid", part="A"), "biovid"),
    "bdf": Case("BDF of 47 channels, 256 Hz, 140 s", write_bdf, read_all("edf"), "edf"),
    "case": Case("CASE sub_1.csv, 2.45 million rows", write_case, read_all("case"), "case"),
    "eegmat": Case("EEGMAT, 44 real files", no_files, read_all("eegmat", SHARED / "eegmat"), "eegmat"),
    "stress-predict": Case(
        "Stress-Predict, 25 real subjects",
        no_files,
        read_all("stress-predict", SHARED / "stress-predict"),
        "stress-predict",
    ),
    "cogwear": Case("CogWear, real recordings", no_files, read_all("cogwear", SHARED / "cogwear"), "cogwear"),
}
REAL = ("eegmat", "stress-predict", "cogwear")


# ---------------------------------------------------------------------------------------------------------------------
# Measuring
# ---------------------------------------------------------------------------------------------------------------------


def worker(name: str, folder: Path) -> None:
    """Run a case once; print, as JSON, the seconds of its steps and the memory before and at the peak, in MB."""
    import scipy.signal  # noqa: F401  (imports are not what is measured)
    import xarray as xr
    import zarr  # noqa: F401

    reader = CASES[name].reader
    if reader:
        datasets.info(reader)
    windows.save(
        xr.Dataset({"x": ("window", np.zeros(1))}), folder.parent / f"{os.getpid()}.zarr"
    )  # so is a first use of Zarr
    before = peak()
    with tempfile.TemporaryDirectory() as out:
        steps = CASES[name].work(folder, Path(out))
    print(json.dumps({"steps": steps, "before": before, "peak": peak()}))


def peak() -> float:
    """Return the largest resident set of this process so far, in MB (of Linux: getrusage counts the parent's, too)."""
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / MEGABYTE
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / MEGABYTE


def megabytes(folder: Path) -> float:
    """Return the size of all files below a folder, in MB."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / MEGABYTE


def measure(name: str, quick: bool, repeats: int) -> tuple[dict[str, Any], float]:
    """Write a case's files and run it; return what its quickest process printed, and the size of the files in MB."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "files"
        folder.mkdir()
        CASES[name].write(folder, quick)
        size = megabytes(SHARED / name) if name in REAL else megabytes(folder)
        command = [sys.executable, __file__, "--worker", name, "--folder", str(folder)]
        runs = []
        for _ in range(repeats):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"{CASES[name].title}: {done.stderr.strip()[-2000:]}")
            runs.append(json.loads(done.stdout.splitlines()[-1]))
        return min(runs, key=lambda run: sum(run["steps"].values())), size


def machine() -> str:
    """Return processor, load and versions in one line."""
    import zarr

    return (
        f"{os.cpu_count()} cores, 1 thread used; load {os.getloadavg()[0]:.1f}; Python {platform.python_version()}, "
        f"numpy {np.__version__}, zarr {zarr.__version__}, limbeck {__version__}"
    )


def main() -> int:
    """Print a line per case; return 1 where a target is missed at full size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="CASE", help=f"only these: {', '.join(CASES)}")
    parser.add_argument("--quick", action="store_true", help="small files, one run each; targets are not judged")
    parser.add_argument("--repeats", type=int, help="runs of which the quickest counts (default: 3; quick: 1)")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    repeats = arguments.repeats or (1 if arguments.quick else 3)
    if arguments.worker:
        worker(arguments.worker, arguments.folder)
        return 0
    unknown = [name for name in arguments.names if name not in CASES]
    if unknown:
        parser.error(f"there is no case {', '.join(unknown)}; there are {', '.join(CASES)}")

    print(f"Corpora read and cut, best of {repeats} processes; imports are not counted")
    print(machine() + "\n")
    row = "{:<44} {:>7} {:>8} {:>7} {:>9}  {}"
    print(row.format("", "MB", "seconds", "MB/s", "peak MB", "steps"))
    missed = []
    for name, case in CASES.items():
        if arguments.names and name not in arguments.names:
            continue
        if name in REAL and not (SHARED / name).is_dir():
            print(
                f"{case.title:<44} skipped: there is no {SHARED.parent.name}/{SHARED.name}/{name} beside the repository"
            )
            continue
        found, size = measure(name, arguments.quick, repeats)
        seconds = sum(found["steps"].values())
        steps = ", ".join(f"{step} {taken:.3f}" for step, taken in found["steps"].items())
        verdict = ""
        if case.target is not None and not arguments.quick:
            verdict = f"; at most {case.target:g} s: {'met' if seconds <= case.target else 'MISSED'}"
            missed += [case.title.strip()] if seconds > case.target else []
        memory = f"{found['peak']:.0f}"
        speed = f"{size / seconds:.0f}" if size else ""
        print(row.format(case.title, f"{size:.0f}", f"{seconds:.3f}", speed, memory, steps + verdict), flush=True)
    print("\nPeak: largest resident set of the process, of which about 250 MB are Python and its libraries.")
    if missed:
        print(f"Missed: {'; '.join(missed)}.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
