"""WESAD: a Python-2 pickle per subject, and the questionnaires."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from corpora import Expected, ExpectedSignal, Written, corpus
from corpora.binary import py2_pickle

NAMES = {1: "baseline", 2: "stress", 3: "amusement", 4: "meditation"}
RATES = {"chest": dict.fromkeys(("ACC", "ECG", "EMG", "EDA", "Temp", "Resp"), 700)} | {
    "wrist": {"ACC": 32, "BVP": 64, "EDA": 4, "TEMP": 4}
}


@corpus("wesad")
def write(folder: Path, rng: np.random.Generator) -> Written:
    """Three subjects, the conditions after the baseline in an order of their own; no S12, as in the corpus."""
    recordings, files = [], []
    for number in (2, 11, 13):
        conditions = [1, *rng.permutation([2, 3, 4]).tolist()]
        spans = [int(span) for span in rng.integers(1, 4, len(conditions))]
        labels, events, now = [], [], 0
        for label, seconds in zip(conditions, spans, strict=True):
            labels += [0] * 700 + [label] * (700 * seconds)
            events += [("transient", now, now + 1), (NAMES[label], now + 1, now + 1 + seconds)]
            now += 1 + seconds
        held = {
            device: {
                key: rng.normal(size=(now * rate, 3 if key == "ACC" else 1)).astype(np.float64)
                for key, rate in rates.items()
            }
            for device, rates in RATES.items()
        }
        content = {"signal": held, "label": np.array(labels, dtype=np.int32), "subject": f"S{number}"}
        file = folder / f"S{number}" / f"S{number}.pkl"
        file.parent.mkdir()
        file.write_bytes(py2_pickle(content))
        files.append(file)
        chest, wrist = held["chest"], held["wrist"]
        signals = {
            "acc": ExpectedSignal(chest["ACC"].T, 700, ("x", "y", "z")),
            "bvp": ExpectedSignal(wrist["BVP"].T, 64, ("bvp",)),
            "ecg": ExpectedSignal(chest["ECG"].T, 700, ("ECG",)),
            "eda": ExpectedSignal(chest["EDA"].T, 700, ("eda",)),
            "emg": ExpectedSignal(chest["EMG"].T, 700, ("EMG",)),
            "resp": ExpectedSignal(chest["Resp"].T, 700, ("Resp",)),
            "temp": ExpectedSignal(chest["Temp"].T, 700, ("temp",)),
        }
        recordings.append(Expected(f"S{number}", signals, events=tuple(events)))
    return Written(folder, recordings, signal_files=files)
