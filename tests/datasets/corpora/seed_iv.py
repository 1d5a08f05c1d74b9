"""SEED-IV: a folder per session, in it a file per subject with a variable per trial."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from corpora import Written, corpus
from corpora.seed import INITIALS, expected, make_trials, write_features, write_file

LABELS = {
    1: (1, 2, 3, 0, 2, 0, 0, 1, 0, 1, 2, 1, 1, 1, 2, 3, 2, 2, 3, 3, 0, 3, 0, 3),
    2: (2, 1, 3, 0, 0, 2, 0, 2, 3, 3, 2, 3, 2, 0, 1, 1, 2, 1, 0, 3, 0, 1, 3, 1),
    3: (1, 2, 2, 1, 3, 3, 3, 1, 1, 2, 1, 0, 2, 3, 3, 0, 2, 3, 0, 0, 2, 0, 1, 0),
}
NAMES = {0: "neutral", 1: "sad", 2: "fear", 3: "happy"}


@corpus("seed-iv")
def write(folder: Path, rng: np.random.Generator) -> Written:
    """Two subjects, one with the second session only; features and eye movements beside them, under the same names."""
    recordings, files = [], []
    for subject, sessions in ((4, (1, 2, 3)), (12, (2,))):
        for session in sessions:
            labels = LABELS[session]
            name = f"{session}/{subject}_201605{rng.integers(10, 30)}.mat"
            trials = make_trials(rng, len(labels))
            files.append(write_file(folder / "eeg_raw_data" / name, trials, INITIALS[subject], rng))
            recordings += expected(subject, session, trials, labels, NAMES)
            write_features(folder / "eeg_feature_smooth" / name, rng, 2)
            write_features(folder / "eye_raw_data" / name, rng, 1)
    return Written(folder, recordings, signal_files=files)
