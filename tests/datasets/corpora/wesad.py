"""WESAD: a Python-2 pickle per subject, and the questionnaires."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from corpora import Expected, ExpectedSignal, Written, corpus
from corpora.binary import py2_pickle

NAMES = {0: "transient", 1: "baseline", 2: "stress", 3: "amusement", 4: "meditation"}
HEADS = {"baseline": "Base", "stress": "TSST", "amusement": "Fun", "meditation_1": "Medi 1", "meditation_2": "Medi 2"}
CODES = {"baseline": 1, "stress": 2, "amusement": 3, "meditation_1": 4, "meditation_2": 4}
RATES: dict[str, dict[str, int]] = {
    "chest": dict.fromkeys(("ACC", "ECG", "EMG", "EDA", "Temp", "Resp"), 700),
    "wrist": {"ACC": 32, "BVP": 64, "EDA": 4, "TEMP": 4},
}
CHANNELS = {"acc": ("x", "y", "z"), "ecg": ("ECG",), "emg": ("EMG",), "resp": ("Resp",)}


def _sensors(rng: np.random.Generator, seconds: int) -> dict[str, dict[str, np.ndarray]]:
    """Return samples as the pickle has them: chest temperature in float32, the wrist's EDA a sample short."""
    held = {
        device: {key: rng.normal(size=(seconds * rate, 3 if key == "ACC" else 1)) for key, rate in rates.items()}
        for device, rates in RATES.items()
    }
    held["chest"]["Temp"] = held["chest"]["Temp"].astype(np.float32)
    held["wrist"]["ACC"] = rng.integers(-128, 128, held["wrist"]["ACC"].shape).astype(np.float64)
    held["wrist"]["EDA"] = held["wrist"]["EDA"][:-1]
    return held


def _session(rng: np.random.Generator, conditions: list[str]) -> tuple[np.ndarray, list[tuple[str, float, float]]]:
    """Return labels at 700 Hz and the events: transients and labels to be ignored lie between the conditions."""
    codes, seconds = [], []
    for name in conditions:
        codes += [0, CODES[name], int(rng.integers(5, 8))]
        seconds += [1, int(rng.integers(1, 4)), 1]
    ends = np.cumsum(seconds).tolist()
    spans = zip(codes, [0, *ends[:-1]], ends, strict=True)
    events = [(NAMES[code], float(start), float(end)) for code, start, end in spans if code in NAMES]
    return np.repeat(codes, np.array(seconds) * 700).astype(np.int32), events


def _questionnaires(subject: str, conditions: list[str], answers: np.ndarray) -> str:
    """Return the text of the questionnaires; its times are minutes.seconds and those of another clock."""
    times = [f"{10 + 15 * k}.0{k}" for k in range(len(conditions))]
    ends = [f"{20 + 15 * k}.3" for k in range(len(conditions))]
    rows = [f"# Subj;{subject};;;", f"# ORDER;{';'.join(HEADS[name] for name in conditions)};sRead;;"]
    rows += [f"# START;{';'.join(times)};95.01;;", f"# END;{';'.join(ends)};96.02;;", ";;;;"]
    rows += [f"# PANAS;{';'.join('1' * 24)};" for _ in conditions]
    rows += [f"# STAI;{';'.join('2' * 6)};;;" for _ in conditions]
    rows += [f"# DIM;{valence};{arousal};;;" for valence, arousal in answers.tolist()]
    return "\r\n".join([*rows, "# SSSQ;5;3;4;4;2;2;;;"]) + "\r\n"


def _answered(
    conditions: list[str], answers: np.ndarray, events: list[tuple[str, float, float]]
) -> tuple[dict[str, float], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Return ratings, and traces with an answer at each second of the condition that it was given for."""
    rated = [event for event in events if event[0] != "transient"]
    times = [np.arange(start, end) for _, start, end in rated]
    ratings, traces = {}, {}
    for column, scale in enumerate(("valence", "arousal")):
        ratings |= {f"{name}_{scale}": float(answers[k, column]) for k, name in enumerate(conditions)}
        held = [np.full(len(own), answers[k, column]) for k, own in enumerate(times)]
        traces[scale] = (np.concatenate(times), np.concatenate(held))
    return ratings, traces


def _write(folder: Path, rng: np.random.Generator, device: str) -> Written:
    recordings, files = [], []
    for number in (2, 11, 13):
        subject = f"S{number}"
        first, second = rng.permutation(["stress", "amusement"]).tolist()  # the two versions of the protocol
        conditions = ["baseline", first, "meditation_1", second, "meditation_2"]
        labels, events = _session(rng, conditions)
        held = _sensors(rng, len(labels) // 700)
        answers = rng.integers(1, 10, (len(conditions), 2))
        content: dict[str, Any] = {"signal": held, "label": labels, "subject": subject}
        home = folder / subject
        home.mkdir()
        files.append(home / f"{subject}.pkl")
        files[-1].write_bytes(py2_pickle(content))
        (home / f"{subject}_quest.csv").write_bytes(_questionnaires(subject, conditions, answers).encode())
        (home / f"{subject}_readme.txt").write_text("### Subject-specific information\nAge: 27\n")
        signals = {}
        for key, rate in RATES[device].items():
            modality = key.lower()
            data = held[device][key].T / (64 if (device, key) == ("wrist", "ACC") else 1)
            signals[modality] = ExpectedSignal(data, rate, CHANNELS.get(modality, (modality,)))
        if device == "chest":  # the only other sensor of a recording of both
            signals["bvp"] = ExpectedSignal(held["wrist"]["BVP"].T, 64, ("bvp",))
        ratings, traces = _answered(conditions, answers, events)
        recordings.append(Expected(subject, signals, ratings=ratings, events=events, traces=traces))
    options = {} if device == "chest" else {"device": device}
    return Written(folder, recordings, options=options, signal_files=files)


@corpus("wesad")
def write(folder: Path, rng: np.random.Generator) -> Written:
    """Three subjects in both versions of the protocol; no S12, as in the corpus."""
    return _write(folder, rng, "chest")


@corpus("wesad", "wrist")
def write_wrist(folder: Path, rng: np.random.Generator) -> Written:
    """The same by the wristband alone."""
    return _write(folder, rng, "wrist")
