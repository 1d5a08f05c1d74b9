"""CogWear: a table of values and times per sensor; the pilot and the second study are laid out differently."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from corpora import Expected, ExpectedSignal, Written, corpus

CONDITIONS = ("cognitive_load", "baseline", "survey")
RATES = {"bvp": 64, "eda": 4, "temp": 4}
OFFSETS = {"bvp": 0.0, "eda": 0.25, "temp": 0.5}
START = 1_700_000_000.0
STROOP = 'text,color,stroop_color_match(yes=1),table_row,pressed_key,"status(correct=1,wrong=2,timeout=3)",'


def table(name: str, values: np.ndarray, times: np.ndarray) -> bytes:
    """Return a table of a sensor."""
    rows = [f"{value},{time}" for value, time in zip(values.tolist(), times.tolist(), strict=True)]
    return ("\r\n".join([f"{name},time", *rows]) + "\r\n").encode()


def _wristband(folder: Path, rng: np.random.Generator, seconds: int) -> dict[str, ExpectedSignal]:
    values = {
        "bvp": rng.normal(0, 50, 64 * seconds).round(2),
        "eda": rng.uniform(0.1, 10, 4 * seconds).round(6),
        "temp": rng.uniform(30, 36, 4 * seconds).round(2),
    }
    signals = {}
    for name, samples in values.items():
        times = START + OFFSETS[name] + np.arange(len(samples)) / RATES[name]
        (folder / f"empatica_{name}.csv").write_bytes(table(name, samples, times))
        channel = "wristband" if name == "bvp" else name
        signals[name] = ExpectedSignal(samples[np.newaxis], RATES[name], (channel,), OFFSETS[name])
    return signals


def _watch(folder: Path, rng: np.random.Generator, seconds: int) -> dict[str, ExpectedSignal]:
    """Write the watch's rows in batches that overlap and are out of order."""
    counts = rng.integers(2_000_000, 2_100_000, 25 * seconds).astype(float)
    batches = [np.arange(first, min(first + 30, len(counts))) for first in range(0, len(counts), 25)]
    rows = np.concatenate([batches[k] for k in rng.permutation(len(batches))])
    times = np.round(START + np.arange(len(counts)) / 25, 3)
    (folder / "samsung_bvp.csv").write_bytes(table("PPG GREEN", counts[rows], times[rows]))
    return {"bvp": ExpectedSignal(counts[np.newaxis], 25, ("watch",), atol=2)}


def _stroop(folder: Path, rng: np.random.Generator) -> dict[str, float]:
    status = rng.permutation([1, 1, 2, 3, int(rng.integers(1, 4))])
    speed = rng.integers(400, 3000, len(status))
    rows = [f"blue,green,0,{k},1,{a},{b}" for k, (a, b) in enumerate(zip(status, speed, strict=True))]
    (folder / "stroop_responses.csv").write_text(
        "\r\n".join([f"{STROOP}response_speed[ms]", *rows]) + "\r\n", newline=""
    )
    return {"stroop_correct": float((status == 1).mean()), "stroop_response": speed[status != 3].mean() / 1000}


def _write(folder: Path, rng: np.random.Generator, device: str) -> Written:
    places = [("3", "", f"pilot/3/{name}") for name in CONDITIONS[:2]]
    second = "survey_gamification/11"
    places += [("11", session, f"{second}/{session}/{name}") for session in ("pre", "post") for name in CONDITIONS]
    recordings, files = [], []
    for subject, session, place in places:
        home = folder / place
        home.mkdir(parents=True)
        seconds = int(rng.integers(4, 8))
        written = {"wristband": _wristband(home, rng, seconds), "watch": _watch(home, rng, seconds)}
        ratings = _stroop(home, rng) if home.name == "cognitive_load" else {}
        signals = written[device]
        starts = [signal.start for signal in signals.values()]
        ends = [signal.start + signal.data.shape[1] / signal.rate for signal in signals.values()]
        recordings.append(
            Expected(
                subject,
                signals,
                session=session,
                trial=home.name,
                order=CONDITIONS.index(home.name),
                ratings=ratings,
                events=[(home.name, max(starts), min(ends))],
            )
        )
        used = ("samsung_bvp",) if device == "watch" else tuple(f"empatica_{name}" for name in RATES)
        files += [home / f"{name}.csv" for name in used]
    return Written(folder, recordings, options={"device": device}, signal_files=files)


@corpus("cogwear", "wristband")
def write_wristband(folder: Path, rng: np.random.Generator) -> Written:
    """A subject of the pilot and one of the second study, who came twice."""
    return _write(folder, rng, "wristband")


@corpus("cogwear", "watch")
def write_watch(folder: Path, rng: np.random.Generator) -> Written:
    """The same recordings by the watch."""
    return _write(folder, rng, "watch")
