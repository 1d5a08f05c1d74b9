"""Windows written and read per second through `limbeck.windows`, beside plain NumPy files of the same arrays.

Both are read back while the operating system still holds them in memory: what is compared is the cost of the format,
not the disk.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from limbeck import windows

WINDOWS_PER_SUBJECT = 50


@dataclass(frozen=True)
class Case:
    """A shape of windows, as it comes from a corpus."""

    name: str
    n_windows: int
    n_channels: int
    n_times: int
    rate: float

    @property
    def megabytes(self) -> float:
        """Size of the signal in MB (10^6 bytes)."""
        return self.n_windows * self.n_channels * self.n_times * 4 / 1e6


def cases(quick: bool) -> list[Case]:
    """Return the short windows of EEG trials and long ones of continuous recordings."""
    return [
        Case("1 s of EEG", 1000, 32, 128, 128.0),
        Case("60 s of EEG", 50 if quick else 250, 32, 60 * 128, 128.0),
    ]


def make_windows(case: Case) -> xr.Dataset:
    """Return a windowed data set of one modality, with everything that `limbeck.windows.cut` puts beside it."""
    generator = np.random.default_rng(0)
    n = case.n_windows
    signal = generator.standard_normal((n, case.n_channels, case.n_times), dtype=np.float32)
    subject = np.arange(n, dtype=np.int32) // WINDOWS_PER_SUBJECT
    channels = [f"E{number}" for number in range(case.n_channels)]

    def codes(values: np.ndarray, categories: list[str]) -> tuple[str, np.ndarray, dict[str, Any]]:
        return "window", values.astype(np.int32), {"categories": categories}

    return xr.Dataset(
        data_vars={
            "eeg": (
                ("window", "eeg_channel", "eeg_time"),
                signal,
                {"rate": case.rate, "unit": "µV", "channels": channels},
            ),
            "eeg_present": ("window", np.ones(n, dtype=bool)),
            "target": (
                "window",
                generator.integers(0, 2, n, dtype=np.int64),
                {"kind": "class", "name": "arousal", "classes": ["low", "high"]},
            ),
        },
        coords={
            "subject": codes(subject, [f"S{number}" for number in range(int(subject.max()) + 1)]),
            "session": codes(np.zeros(n), [""]),
            "trial": codes(np.zeros(n), [""]),
            "condition": codes(np.zeros(n), ["task"]),
            "start": ("window", np.arange(n, dtype=np.float64) % WINDOWS_PER_SUBJECT),
            "order": ("window", np.zeros(n, dtype=np.int32)),
            "calibration": ("window", np.zeros(n, dtype=bool)),
        },
        attrs={"length": case.n_times / case.rate, "hop": 1.0, "left_out": "[]", "key": "benchmark"},
    )


def best_time(action: Callable[[], Any], repeats: int, prepare: Callable[[], Any] = lambda: None) -> float:
    """Return the shortest of some wall-clock times in seconds; `prepare` runs before each and is not counted."""
    times = []
    for _ in range(repeats):
        prepare()
        begin = time.perf_counter()
        action()
        times.append(time.perf_counter() - begin)
    return min(times)


def measure(case: Case, folder: Path, repeats: int) -> dict[str, tuple[float, float]]:
    """Return, per format, the seconds that writing and reading back took, having checked what was read."""
    dataset = make_windows(case)
    signal = dataset["eeg"].values
    store, file = folder / "windows.zarr", folder / "windows.npy"
    results = {
        "limbeck.windows": (
            best_time(
                lambda: windows.save(dataset, store), repeats, prepare=lambda: shutil.rmtree(store, ignore_errors=True)
            ),
            best_time(lambda: windows.load(store).load(), repeats),
        ),
        "numpy.save": (
            best_time(lambda: np.save(file, signal), repeats, prepare=lambda: file.unlink(missing_ok=True)),
            best_time(lambda: np.load(file), repeats),
        ),
    }
    if not np.array_equal(windows.load(store)["eeg"].values, signal):
        raise SystemExit(f"{case.name}: the windows that were read are not those that were written.")
    return results


def main() -> None:
    """Print a line per shape and format."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a fifth of the long windows, two repeats")
    parser.add_argument("--repeats", type=int, help="measurements of which the best counts (default: 5; quick: 2)")
    arguments = parser.parse_args()
    repeats = arguments.repeats or (2 if arguments.quick else 5)

    print(f"Windows written and read, float32, best of {repeats}\n")
    heading = ("windows", "shape", "MB", "format", "written/s", "MB/s", "read/s", "MB/s")
    row = "{:<12} {:>13} {:>7} {:<16} {:>10} {:>7} {:>10} {:>7}"
    print(row.format(*heading))
    for case in cases(arguments.quick):
        with tempfile.TemporaryDirectory() as folder:
            results = measure(case, Path(folder), repeats)
        shape = f"{case.n_windows}×{case.n_channels}×{case.n_times}"
        for name, seconds in results.items():
            speeds = [f"{amount / taken:,.0f}" for taken in seconds for amount in (case.n_windows, case.megabytes)]
            print(row.format(case.name, shape, f"{case.megabytes:.0f}", name, *speeds))


if __name__ == "__main__":
    main()
