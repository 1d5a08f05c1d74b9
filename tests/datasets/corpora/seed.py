"""SEED: a file per subject and session with a variable per trial, and the labels beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.io

from corpora import Expected, ExpectedSignal, Written, corpus

SITES = """
    FP1 FPZ FP2 AF3 AF4 F7 F5 F3 F1 FZ F2 F4 F6 F8 FT7 FC5 FC3 FC1 FCZ FC2 FC4 FC6 FT8 T7 C5 C3 C1 CZ C2 C4 C6 T8
    TP7 CP5 CP3 CP1 CPZ CP2 CP4 CP6 TP8 P7 P5 P3 P1 PZ P2 P4 P6 P8 PO7 PO5 PO3 POZ PO4 PO6 PO8 CB1 O1 OZ O2 CB2
""".split()  # noqa: SIM905
LABELS = (1, 0, -1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 0, 1, -1)
NAMES = {-1: "negative", 0: "neutral", 1: "positive"}
INITIALS = {4: "xyz", 12: "q_r"}


def write_file(file: Path, trials: dict[int, np.ndarray], initials: str, rng: np.random.Generator) -> Path:
    """Write the trials of a session under the subject's initials, in any order."""
    file.parent.mkdir(parents=True, exist_ok=True)
    shuffled = rng.permutation(list(trials)).tolist()
    scipy.io.savemat(file, {f"{initials}_eeg{trial}": trials[trial] for trial in shuffled}, do_compression=True)
    return file


def make_trials(rng: np.random.Generator, count: int) -> dict[int, np.ndarray]:
    return {k: rng.normal(0, 20, size=(62, int(rng.integers(30, 60)))) for k in range(1, count + 1)}


def expected(
    subject: int, session: int, trials: dict[int, np.ndarray], labels: tuple[int, ...], names: dict[int, str]
) -> list[Expected]:
    return [
        Expected(
            f"S{subject:02d}",
            {"eeg": ExpectedSignal(trials[k], 200, tuple(SITES))},
            session=str(session),
            trial=str(k),
            order=k - 1,
            ratings={"label": label},
            events=[(names[label], 0, trials[k].shape[1] / 200)],
        )
        for k, label in enumerate(labels, start=1)
    ]


def write_features(file: Path, rng: np.random.Generator, count: int) -> Path:
    """Features have the names of the files of signals."""
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {
        f"{kind}_{smoothing}{k}": rng.normal(size=(62, 3 + k % 2, 5))
        for k in range(1, count + 1)
        for kind in ("de", "psd")
        for smoothing in ("movingAve", "LDS")
    }
    scipy.io.savemat(file, content)
    return file


@corpus("seed")
def write(folder: Path, rng: np.random.Generator) -> Written:
    """Two subjects, three sessions each; dates decide which is which."""
    home = folder / "Preprocessed_EEG"
    recordings, files = [], []
    for subject, initials in INITIALS.items():
        dates = sorted(rng.choice(np.arange(20130101, 20130129), 3, replace=False).tolist())
        for session, date in enumerate(dates, start=1):
            trials = make_trials(rng, len(LABELS))
            files.append(write_file(home / f"{subject}_{date}.mat", trials, initials, rng))
            recordings += expected(subject, session, trials, LABELS, NAMES)
        write_features(folder / "ExtractedFeatures" / f"{subject}_{dates[0]}.mat", rng, 2)
    scipy.io.savemat(home / "label.mat", {"label": np.array([LABELS], dtype=np.int16)})
    return Written(folder, recordings, signal_files=files)
