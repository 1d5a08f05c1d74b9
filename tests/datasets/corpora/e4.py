"""Empatica E4: sessions as folders and as zips, from any laboratory and as Stress-Predict has them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from corpora import Expected, ExpectedSignal, Written, corpus

START = 1_600_000_000.0
RATES = {"ACC": 32, "BVP": 64, "EDA": 4, "TEMP": 4}
DECIMALS = {"ACC": 0, "BVP": 2, "EDA": 6, "TEMP": 2}
CHANNELS = {"ACC": ("x", "y", "z"), "BVP": ("bvp",), "EDA": ("eda",), "TEMP": ("temp",)}
SENSOR_FILES = tuple(f"{name}.csv" for name in RATES)


class Session:
    """The texts of a session's files, and what they mean; sensors start at different fractions of a second."""

    def __init__(self, rng: np.random.Generator, seconds: int, tags: Sequence[float] = ()) -> None:
        self.start = START + int(rng.integers(0, 10**6))
        self.seconds = seconds
        self.offsets = dict(zip(RATES, rng.permutation([0.0, 0.25, 0.5, 0.75]).tolist(), strict=True))
        n = {name: seconds * rate for name, rate in RATES.items()}
        self.values = {
            "ACC": rng.integers(-128, 128, (3, n["ACC"])).astype(float),
            "BVP": rng.normal(0, 50, (1, n["BVP"])).round(2),
            "EDA": rng.uniform(0.1, 10, (1, n["EDA"])).round(6),
            "TEMP": rng.uniform(30, 36, (1, n["TEMP"])).round(2),
        }
        self.heart = rng.uniform(60, 90, max(seconds - 10, 1)).round(2)
        self.intervals = rng.integers(40, 70, 8) / 64
        self.beats = 2.0 + np.cumsum(self.intervals)
        self.tags = list(tags)

    def texts(self) -> dict[str, str]:
        """Return the content of each file."""
        texts = {}
        for name, rows in self.values.items():
            head = [f"{self.start + self.offsets[name]:.6f}", f"{RATES[name]:.6f}"]
            lines = [", ".join([cell] * len(rows)) for cell in head]
            lines += [",".join(f"{value:.{DECIMALS[name]}f}" for value in row) for row in rows.T.tolist()]
            texts[f"{name}.csv"] = "\n".join(lines) + "\n"
        heart = "".join(f"{value:.2f}\n" for value in self.heart)
        texts["HR.csv"] = f"{self.start + 10:.6f}\n1.000000\n{heart}"
        beats = "".join(f"{a:.6f},{b:.6f}\n" for a, b in zip(self.beats, self.intervals, strict=True))
        texts["IBI.csv"] = f"{self.start:.6f}, IBI\n{beats}"
        texts["tags.csv"] = "".join(f"{self.start + tag:.2f}\r\n" for tag in self.tags)
        return texts

    def signals(self) -> dict[str, ExpectedSignal]:
        """Return the modalities, acceleration in g."""
        return {
            name.lower(): ExpectedSignal(
                values / 64 if name == "ACC" else values, RATES[name], CHANNELS[name], self.offsets[name]
            )
            for name, values in self.values.items()
        }

    def traces(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return the heart rate, which starts 10 s late, and the intervals between beats, rounded as written."""
        return {
            "hr": (10.0 + np.arange(len(self.heart)), self.heart),
            "ibi": (self.beats, self.intervals),
        }

    def tag_events(self) -> list[tuple[str, float, float]]:
        """Return the spans between button presses."""
        end = max(offset + self.seconds for offset in self.offsets.values())
        stops = [*self.tags[1:], end] if self.tags else []
        return [(f"after_tag_{k}", a, b) for k, (a, b) in enumerate(zip(self.tags, stops, strict=True), start=1)]


def write_folder(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Write a session's files; return those of the sensors."""
    folder.mkdir(parents=True)
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode())
    return [folder / name for name in SENSOR_FILES]


def _sessions(rng: np.random.Generator) -> tuple[dict[tuple[str, str], Session], dict[str, tuple[str, float, float]]]:
    """Return sessions by subject and session, two of one subject, and rows of labels.csv by subject and session."""
    sessions = {
        ("ann", "morning"): Session(rng, 12, [3.0, 7.5]),
        ("ann", "noon"): Session(rng, 13),
        ("ben", ""): Session(rng, 12),
    }
    labels = {}
    for (subject, session), made in sessions.items():
        start = float(rng.integers(0, 4))
        labels[f"{subject},{session}"] = (str(rng.choice(["calm", "stress"])), start, start + made.seconds / 2)
    return sessions, labels


def _write_any(folder: Path, rng: np.random.Generator, *, zipped: bool) -> Written:
    sessions, labels = _sessions(rng)
    recordings: list[Expected] = []
    files: list[Path] = []
    for (subject, session), made in sessions.items():
        place = folder / subject / session if session else folder / subject
        if zipped:
            place = place.with_name(f"{place.name}.zip")
            place.parent.mkdir(exist_ok=True)
            with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, text in made.texts().items():
                    archive.writestr(name, text)
            files.append(place)
        else:
            files += write_folder(place, made.texts())
        events = [labels[f"{subject},{session}"], *made.tag_events()]
        recordings.append(Expected(subject, made.signals(), session=session, events=events, traces=made.traces()))
    rows = [f"{key},{start:g},{end:g},{label}" for key, (label, start, end) in labels.items()]
    rows = [rows[k] for k in rng.permutation(len(rows))]
    (folder / "labels.csv").write_text("\n".join(["subject,session,start,end,label", *rows]) + "\n")
    return Written(folder, recordings, signal_files=files, nests=False)


@corpus("e4", "folders")
def write_folders(folder: Path, rng: np.random.Generator) -> Written:
    """Two subjects, one with two sessions; labels in a table whose rows are shuffled."""
    return _write_any(folder, rng, zipped=False)


@corpus("e4", "zips")
def write_zips(folder: Path, rng: np.random.Generator) -> Written:
    """The same as archives, as the device's service hands them out."""
    return _write_any(folder, rng, zipped=True)


@corpus("stress-predict")
def write_stress_predict(folder: Path, rng: np.random.Generator) -> Written:
    """Three subjects whose tasks are at times of their own; a table of labels at 1 Hz, its participants shuffled."""
    trim, tasks = 5.0, ("stroop", "interview", "hyperventilation")
    recordings, files, blocks = [], [], []
    for number in (2, 7, 30):
        edges = np.sort(rng.choice(np.arange(8, 50), 6, replace=False)).astype(float)
        made = Session(rng, 60, edges.tolist())
        made.offsets = dict.fromkeys(RATES, 0.0)
        texts = made.texts()
        texts[f"tags_S{number:02d}.csv"] = texts.pop("tags.csv")
        files += write_folder(folder / "Raw_data" / f"S{number:02d}", texts)
        seconds = np.arange(60)
        stressed = np.zeros(60, dtype=int)
        for start, end in edges.reshape(3, 2):
            stressed[(seconds >= start) & (seconds < end)] = 1
        blocks.append([f"{number},70,12.5,{made.start + s:.0f},{x}" for s, x in zip(seconds, stressed, strict=True)])
        marks = [0.0, *edges.tolist(), 60.0]
        names = [name for task in tasks for name in ("rest", task)] + ["rest"]
        spans = [(name, max(a, trim), min(b, 60 - trim)) for name, a, b in zip(names, marks, marks[1:], strict=False)]
        signals = {}
        for name, signal in made.signals().items():
            data = signal.data[:, int(trim * signal.rate) : int((60 - trim) * signal.rate)]
            signals[name] = ExpectedSignal(data, signal.rate, signal.channels, trim)
        traces = {
            name: (times[kept], values[kept])
            for name, (times, values) in made.traces().items()
            for kept in [(times >= trim) & (times < 60 - trim)]
        }
        recordings.append(Expected(f"S{number:02d}", signals, events=spans, traces=traces))
    table = folder / "Processed_data" / "Improved_All_Combined_hr_rsp_binary.csv"
    table.parent.mkdir()
    rows = [row for k in rng.permutation(len(blocks)) for row in blocks[k]]
    table.write_text("\n".join(["Participant,HR,respr,Time(sec),Label", *rows]) + "\n")
    return Written(folder, recordings, options={"trim": trim}, signal_files=files)
