"""CASE: two tables per subject on one clock, interpolated or raw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from corpora import Expected, ExpectedSignal, Written, corpus

__all__ = ["CHANNELS", "SIGNALS", "lines", "write_subject"]

CHANNELS = ("ecg", "bvp", "gsr", "rsp", "skt", "emg_zygo", "emg_coru", "emg_trap")
SIGNALS = {"ecg": (0,), "bvp": (1,), "eda": (2,), "resp": (3,), "temp": (4,), "emg": (5, 6, 7)}
LEVELS = np.array([0.8, 35, 5, 30, 32, 6, 7, 8])


def lines(rows: Sequence[Sequence[object]], mark: str = ",") -> str:
    return "".join(mark.join(map(str, row)) + "\n" for row in rows)


def write_subject(data: Path, number: int, rng: np.random.Generator, seconds: float = 0.12) -> Expected:
    """A start, the clips in this subject's own order with a blue screen behind each, and an end."""
    videos = [10]
    for clip in rng.permutation(np.arange(1, 9)):
        videos += [int(clip), 11]
    videos += [12]
    lengths = [int(seconds * 1000 * rng.integers(1, 4)) for _ in videos]
    ids = np.repeat(videos, lengths)
    samples = np.round(LEVELS[:, None] + rng.normal(size=(8, len(ids))), 3)
    rows = [[t, *(f"{v:.3f}" for v in samples[:, t]), ids[t]] for t in range(len(ids))]
    for kind in ("physiological", "annotations"):
        (data / "interpolated" / kind).mkdir(parents=True, exist_ok=True)
        (data / "interpolated" / kind / "README_x.txt").write_text("about these files\n")
    head = f"daqtime,{','.join(CHANNELS)},video\n"
    file = data / "interpolated" / "physiological" / f"sub_{number}.csv"
    file.write_text(head + lines(rows))
    times = np.arange(0, len(ids), 50)
    given = np.round(rng.uniform(0.5, 9.5, (2, len(times))), 3)
    rows = [[t, f"{given[0, i]:.3f}", f"{given[1, i]:.3f}", ids[t]] for i, t in enumerate(times)]
    own = data / "interpolated" / "annotations" / f"sub_{number}.csv"
    own.write_text("jstime,valence,arousal,video\n" + lines(rows))
    ends = np.cumsum(lengths) / 1000
    events = [(f"video_{v}", e - n / 1000, e) for v, n, e in zip(videos, lengths, ends, strict=True)]
    scale = np.array([1, 1, 1, 1, 1, 1e-3, 1e-3, 1e-3])[:, None]
    signals = {
        name: ExpectedSignal((samples * scale)[list(places)], 1000, tuple(CHANNELS[p] for p in places))
        for name, places in SIGNALS.items()
    }
    traces = {"valence": (times / 1000, given[0]), "arousal": (times / 1000, given[1])}
    return Expected(f"sub_{number}", signals, events=tuple(events), traces=traces)


@corpus("case")
def write(folder: Path, rng: np.random.Generator) -> Written:
    """Three subjects; sub_10 comes behind sub_2."""
    recordings = [write_subject(folder / "data", number, rng) for number in (1, 2, 10)]
    files = sorted((folder / "data").rglob("physiological/sub_*.csv"))
    return Written(folder, recordings, signal_files=files)


@corpus("case", "raw")
def write_raw(folder: Path, rng: np.random.Generator) -> Written:
    """Two subjects in volts and counts, without names of columns, and logged from another moment than 0."""
    slopes = np.array([20, 58.962, 24, 58.923, 21.341, 250, 250, 250])
    offsets = np.array([-56, -115.09, -49.2, -115.01, -32.085, -500, -500, -500])
    scale = np.array([1, 1, 1, 1, 1, 1e-3, 1e-3, 1e-3])
    recordings, files = [], []
    for kind in ("physiological", "annotations"):
        (folder / "data" / "raw" / kind).mkdir(parents=True)
    for number in (3, 4):
        volts = np.round(rng.uniform(1, 3, (8, 400)), 6)
        start = 2.0 + number
        rows = [[f"{start + t / 1000:.3f}", *(f"{v:.6f}" for v in volts[:, t])] for t in range(400)]
        file = folder / "data" / "raw" / "physiological" / f"sub{number}_DAQ.txt"
        file.write_text(lines(rows, "\t"))
        files.append(file)
        counts = rng.integers(-26225, 26226, (2, 8))
        rows = [[f"{start + i / 20:.3f}", counts[0, i], counts[1, i]] for i in range(8)]
        (folder / "data" / "raw" / "annotations" / f"sub{number}_joystick.txt").write_text(lines(rows, "\t"))
        own = (volts * slopes[:, None] + offsets[:, None]) * scale[:, None]
        signals = {
            name: ExpectedSignal(own[list(places)], 1000, tuple(CHANNELS[p] for p in places), rtol=1e-5, atol=1e-6)
            for name, places in SIGNALS.items()
        }
        times, given = np.arange(8) / 20, 0.5 + 9 * (counts + 26225) / 52450
        traces = {"valence": (times, given[0]), "arousal": (times, given[1])}
        recordings.append(Expected(f"sub_{number}", signals, traces=traces))
    return Written(folder, recordings, options={"release": "raw"}, signal_files=files)
