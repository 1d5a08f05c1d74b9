"""DREAMER: one struct in one file, cells of (time, channel) within."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from corpora import Expected, ExpectedSignal, Written, corpus

EMOTIV = ("AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4")
SCORES = {"ScoreValence": "valence", "ScoreArousal": "arousal", "ScoreDominance": "dominance"}


def cell(items: list[Any], shape: tuple[int, int]) -> np.ndarray:
    """An array of cells, filled one by one so that NumPy does not stack them."""
    cells = np.empty(shape, dtype=object)
    for place, item in enumerate(items):
        cells.flat[place] = item
    return cells


def participant(rng: np.random.Generator, seconds: list[int], baseline: int = 2) -> dict[str, Any]:
    """What the file holds of one participant: a film of so many seconds each."""
    n = len(seconds)

    def part(rate: int, columns: int, offset: float, lengths: list[int]) -> np.ndarray:
        return cell([offset + rng.normal(size=(s * rate, columns)) for s in lengths], (n, 1))

    sensors = {
        name: {
            "baseline": part(rate, columns, offset, [baseline] * n),
            "stimuli": part(rate, columns, offset, seconds),
        }
        for name, rate, columns, offset in (("EEG", 128, 14, 4200.0), ("ECG", 256, 2, 0.0))
    }
    scores = {key: rng.integers(1, 6, size=(n, 1)).astype(float) for key in SCORES}
    return {"Age": "25", "Gender": "female", **sensors, **scores}


def content(participants: list[dict[str, Any]], films: int) -> dict[str, Any]:
    """The struct with its numbers for all participants, in the order of fields of the file."""
    return {
        "Data": cell(participants, (1, len(participants))),
        "EEG_SamplingRate": 128.0,
        "ECG_SamplingRate": 256.0,
        "EEG_Electrodes": cell(list(EMOTIV), (1, len(EMOTIV))),
        "noOfSubjects": float(len(participants)),
        "noOfVideoSequences": float(films),
        "Disclaimer": "None of these numbers was recorded from anybody.",
        "Provider": "nobody",
        "Version": "1.0",
        "Acknowledgement": "",
    }


def write_file(folder: Path, struct: dict[str, Any], *, compressed: bool = True) -> Path:
    file = folder / "DREAMER.mat"
    scipy.io.savemat(file, {"DREAMER": struct}, do_compression=compressed)
    return file


def _write(folder: Path, rng: np.random.Generator, *, omit: bool, compressed: bool) -> Written:
    films = 3
    people = [participant(rng, rng.integers(2, 6, films).tolist()) for _ in range(3)]
    file = write_file(folder, content(people, films), compressed=compressed)
    recordings = []
    for number, person in enumerate(people, start=1):
        for film in range(films):
            signals, length = {}, 0.0
            for modality, rate, names in (("eeg", 128, EMOTIV), ("ecg", 256, ("ECG1", "ECG2"))):
                own = person[modality.upper()]
                parts = [own["stimuli"][film, 0]] if omit else [own["baseline"][film, 0], own["stimuli"][film, 0]]
                signals[modality] = ExpectedSignal(np.concatenate(parts).T, rate, names)
                length = len(own["stimuli"][film, 0]) / rate
            start = 0.0 if omit else 2.0
            events = ([] if omit else [("baseline", 0.0, 2.0)]) + [("film", start, start + length)]
            ratings = {name: person[key][film, 0] for key, name in SCORES.items()}
            recordings.append(
                Expected(f"S{number:02d}", signals, trial=str(film + 1), order=film, ratings=ratings, events=events)
            )
    options = {"baseline": "omit"} if omit else {}
    return Written(folder, recordings, options=options, signal_files=[file], listing_opens=[file])


@corpus("dreamer")
def write(folder: Path, rng: np.random.Generator) -> Written:
    """Three participants and three films, each film of another length for each."""
    return _write(folder, rng, omit=False, compressed=True)


@corpus("dreamer", "plain")
def write_plain(folder: Path, rng: np.random.Generator) -> Written:
    """The same, not compressed and read without baselines."""
    return _write(folder, rng, omit=True, compressed=False)
