"""K-EmoCon: tables with unix milliseconds per participant and sensor, and annotations by whoever made them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from corpora import Expected, ExpectedSignal, Written, corpus

__all__ = ["INIT", "RATES", "annotation", "table", "write_participant"]

INIT = 1_551_000_000_000
RATES = {"ACC": 32, "BVP": 64, "EDA": 4, "TEMP": 4}
SCALES = {"arousal": 5, "valence": 5, "cheerful": 4, "happy": 4, "angry": 4, "nervous": 4, "sad": 4}
MARKS = ("boredom", "confusion", "delight", "concentration", "frustration", "surprise", "none_1", "confrustion")
MARKS += ("contempt", "dejection", "disgust", "eureka", "pride", "sorrow", "none_2")
SECONDS, OFFSET, DEBATE = 40, 12.5, 23.0


def table(stamps: np.ndarray, columns: dict[str, np.ndarray], serial: str = "") -> str:
    """A table in the long format: time stamps, values and, of the wristband, the device's serial number."""
    head = ["timestamp", *columns, *(["device_serial"] if serial else [])]
    rows = [
        ",".join([f"{stamp:.3f}", *(f"{values[i]:g}" for values in columns.values()), *([serial] if serial else [])])
        for i, stamp in enumerate(stamps)
    ]
    return "\n".join([",".join(head), *rows]) + "\n"


def annotation(rng: np.random.Generator, labels: int) -> tuple[str, dict[str, np.ndarray]]:
    """An annotation of a label per 5 s, with its categories marked by x."""
    values = {name: rng.integers(1, highest + 1, labels) for name, highest in SCALES.items()}
    rows = []
    for k in range(labels):
        marks = [""] * len(MARKS)
        marks[int(rng.integers(0, 8))] = "x"
        rows.append(",".join([str(5 * (k + 1)), *(str(values[name][k]) for name in SCALES), *marks]))
    return "\n".join([",".join(["seconds", *SCALES, *MARKS]), *rows]) + "\n", values


def write_participant(folder: Path, pid: int, rng: np.random.Generator) -> Expected:
    """One participant, each sensor from a moment of its own, with everything that there may be."""
    init = INIT + 10_000_000 * pid
    e4, polar = folder / "e4_data" / str(pid), folder / "neurosky_polar_data" / str(pid)
    e4.mkdir(parents=True)
    polar.mkdir(parents=True)
    signals, traces = {}, {}
    for name, rate in RATES.items():
        start = float(rng.integers(0, 4)) / 4
        axes = ("x", "y", "z") if name == "ACC" else ("value",)
        n = SECONDS * rate
        raw = np.round(rng.uniform(20, 60, (len(axes), n)), 0 if name == "ACC" else 3)
        stamps = init + 1000 * (start + np.arange(n) / rate)
        (e4 / f"E4_{name}.csv").write_text(table(stamps, dict(zip(axes, raw, strict=True)), "A0000F"))
        names = axes if name == "ACC" else (name.lower(),)
        signals[name.lower()] = ExpectedSignal(raw / 64 if name == "ACC" else raw, rate, names, start)
    for label, place, file in (
        ("hr", e4, "E4_HR.csv"),
        ("ibi", e4, "E4_IBI.csv"),
        ("polar_hr", polar, "Polar_HR.csv"),
        ("attention", polar, "Attention.csv"),
        ("meditation", polar, "Meditation.csv"),
    ):
        times = 1 + np.cumsum(np.round(rng.uniform(0.5, 1.5, 20), 3))
        values = np.round(rng.uniform(1, 99, 20), 2)
        serial = "A0000F" if place == e4 else ""
        (place / file).write_text(table(init + 1000 * times, {"value": values}, serial))
        traces[label] = (times, values)
    times = np.arange(2.0, 20.0)
    bands = {name: rng.integers(1000, 90000, len(times)).astype(float) for name in ("delta", "lowAlpha", "theta")}
    (polar / "BrainWave.csv").write_text(table(init + 1000 * times, bands))
    traces |= {f"brainwave_{name.lower()}": (times, values) for name, values in bands.items()}
    kinds = {
        "self": f"self_annotations/P{pid}.self.csv",
        "partner": f"partner_annotations/P{pid}.partner.csv",
        "external": f"aggregated_external_annotations/P{pid}.external.csv",
        "R1": f"external_annotations/P{pid}.R1.csv",
        "R2": f"external_annotations/P{pid}.R2.csv",
    }
    for who, name in kinds.items():
        text, labels = annotation(rng, 4)
        file = folder / "emotion_annotations" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        times = OFFSET + 5 * np.arange(4) + 2.5
        traces |= {f"{scale}_{who}": (times, values) for scale, values in labels.items()}
    metadata = folder / "metadata" / "subjects.csv"
    metadata.parent.mkdir(exist_ok=True)
    before = metadata.read_text() if metadata.exists() else "pid,initTime,startTime,endTime\n"
    start, end = init + int(1000 * OFFSET), init + int(1000 * (OFFSET + DEBATE))
    metadata.write_text(f"{before}{pid},{init},{start},{end}\n")
    events = (("baseline", 0.0, OFFSET), ("debate", OFFSET, OFFSET + DEBATE))
    return Expected(f"P{pid}", signals, events=events, traces=traces)


@corpus("k-emocon")
def write(folder: Path, rng: np.random.Generator) -> Written:
    """Three participants, the rows of metadata in no order."""
    written = {pid: write_participant(folder, pid, rng) for pid in rng.permutation([1, 4, 13]).tolist()}
    files = sorted((folder / "e4_data").rglob("E4_*.csv"))
    return Written(folder, [written[pid] for pid in sorted(written)], signal_files=files)
