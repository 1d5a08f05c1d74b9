"""EmoPain: a MATLAB matrix per participant, with joint angles or with coordinates."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from scipy.io import savemat

from corpora import Expected, ExpectedSignal, Written, corpus

__all__ = ["NAMES", "write_participant"]

NAMES = ("emg_1", "emg_2", "emg_3", "emg_4")


def write_participant(
    file: Path, rng: np.random.Generator, width: int, rate: float = 60.0, scale: float = 1.0, variable: str = "BD"
) -> Expected:
    """One participant: frames by columns, behaviour in runs of its own."""
    runs = rng.integers(5, 40, 5)
    protective = np.repeat(np.arange(5) % 2, runs)
    if rng.integers(2):
        protective = 1 - protective
    matrix = rng.normal(size=(len(protective), width))
    first, label = (26, 30) if width == 31 else (66, 72)
    matrix[:, label] = protective
    file.parent.mkdir(parents=True, exist_ok=True)
    savemat(file, {variable: matrix})
    ends = np.cumsum(runs) / rate
    bounds = [0.0, *ends.tolist()]
    names = ["protective" if value else "not_protective" for value in protective[np.cumsum(runs) - 1]]
    events = [(n, a, b) for n, (a, b) in zip(names, itertools.pairwise(bounds), strict=True)]
    return Expected(
        file.stem,
        {"emg": ExpectedSignal(matrix[:, first : first + 4].T * scale, rate, NAMES)},
        session=file.parent.name,
        ratings={"chronic_pain": float(file.stem[0] == "P")},
        events=tuple(events),
        traces={"protective": (np.arange(len(protective)) / rate, protective)},
    )


@corpus("emopain")
def write(folder: Path, rng: np.random.Generator) -> Written:
    """The version with joint angles: patients come before controls, and P10 behind P2."""
    names = ("train/P2", "train/P10", "train/C1", "validation/P3", "validation/C4", "test/C7")
    recordings = [write_participant(folder / f"{name}.mat", rng, 31) for name in names]
    return Written(folder, recordings, signal_files=sorted(folder.rglob("*.mat")))


@corpus("emopain", "coordinates")
def write_coordinates(folder: Path, rng: np.random.Generator) -> Written:
    """The version with coordinates, sEMG in µV and another rate."""
    options = {"rate": 50.0, "emg_unit": "µV"}
    recordings = [
        write_participant(folder / f"{name}.mat", rng, 78, 50.0, 1e-3, "data") for name in ("train/P1", "train/C1")
    ]
    return Written(folder, recordings, options=options, signal_files=sorted(folder.rglob("*.mat")))
