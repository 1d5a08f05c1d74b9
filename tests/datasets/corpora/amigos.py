"""AMIGOS, preprocessed: a file per participant, with a cell per video of signals, ratings and annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from corpora import Expected, ExpectedSignal, Written, corpus
from corpora.dreamer import EMOTIV, cell

LABELS = (
    *("arousal", "valence", "dominance", "liking", "familiarity"),
    *("neutral", "disgust", "happiness", "surprise", "anger", "fear", "sadness"),
)
SHORT = [str(number) for number in (3, 7, 12, 101)]
LONG = ["N1", "U1"]
BASELINE = 5


def participant(rng: np.random.Generator, videos: list[str], seconds: list[int]) -> dict[str, Any]:
    """What the file holds of a participant: a cell per video."""
    n = len(videos)
    joined, own, external = [], [], []
    for length in seconds:
        samples = rng.normal(0, 10, size=(length * 128, 17))
        samples[:, 14:16] /= 10
        samples[:, 16] = rng.uniform(100, 900, len(samples))
        joined.append(samples)
        ratings = rng.uniform(1, 9, (1, 12))
        ratings[0, 5:] = rng.integers(0, 2, 7)
        own.append(ratings)
        segments = -(-(length - BASELINE) // 20)
        external.append(np.column_stack([np.arange(1, segments + 1), rng.uniform(-1, 1, (segments, 2))]))
    return {
        "joined_data": cell(joined, (1, n)),
        "labels_selfassessment": cell(own, (1, n)),
        "labels_ext_annotation": cell(external, (1, n)),
        "VideoIDs": cell(videos, (1, n)),
    }


def write_file(file: Path, content: dict[str, Any]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(file, content, do_compression=True)
    return file


def signals(samples: np.ndarray) -> dict[str, ExpectedSignal]:
    """The modalities of a video, its GSR in kilo-ohm."""
    return {
        "eeg": ExpectedSignal(samples[:, :14].T, 128, EMOTIV),
        "ecg": ExpectedSignal(samples[:, 14:16].T, 128, ("ECG right", "ECG left")),
        "eda": ExpectedSignal(1000 / samples[:, 16:].T, 128, ("GSR",)),
    }


def _write(folder: Path, rng: np.random.Generator, *, apart: bool) -> Written:
    recordings, files = [], []
    for number in (2, 11, 40):
        videos = [*rng.permutation(SHORT).tolist(), *rng.permutation(LONG).tolist()]
        seconds = rng.integers(BASELINE + 1, BASELINE + 50, len(videos)).tolist()
        content = participant(rng, videos, seconds)
        name = f"Data_Preprocessed_P{number:02d}"
        files.append(write_file(folder / (f"{name}/{name}.mat" if apart else f"{name}.mat"), content))
        for place, (video, length) in enumerate(zip(videos, seconds, strict=True)):
            table = content["labels_ext_annotation"][0, place]
            starts = BASELINE + 20.0 * np.arange(len(table))
            middles = (starts + np.minimum(starts + 20, length)) / 2
            is_long = place >= len(SHORT)
            recordings.append(
                Expected(
                    f"P{number:02d}",
                    signals(content["joined_data"][0, place]),
                    session="long" if is_long else "short",
                    trial=video,
                    order=place - len(SHORT) * is_long,
                    ratings=dict(zip(LABELS, content["labels_selfassessment"][0, place][0].tolist(), strict=True)),
                    events=[("baseline", 0, BASELINE), ("video", BASELINE, length)],
                    traces={"valence_external": (middles, table[:, 1]), "arousal_external": (middles, table[:, 2])},
                )
            )
    return Written(folder, recordings, options={"gsr": "kohm"}, signal_files=files, listing_opens=files)


@corpus("amigos")
def write(folder: Path, rng: np.random.Generator) -> Written:
    """Three participants beside one another, the videos in an order of their own for each."""
    return _write(folder, rng, apart=False)


@corpus("amigos", "folders")
def write_folders(folder: Path, rng: np.random.Generator) -> Written:
    """The same with a folder for each participant, as the archives unpack."""
    return _write(folder, rng, apart=True)
