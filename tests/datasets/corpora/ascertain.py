"""ASCERTAIN: a MATLAB file per subject, clip and sensor; which number counts clips and which places is an option."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import savemat

from corpora import Expected, ExpectedSignal, Written, corpus

RATINGS = ("arousal", "valence", "engagement", "liking", "familiarity")
PERSONALITY = ("extraversion", "agreeableness", "conscientiousness", "emotional_stability", "openness")
SUBJECTS, CLIPS = 2, 4


def stamps(samples: int, rate: float) -> np.ndarray:
    """Return time stamps in whole ms, as the devices have them."""
    return np.round(5000 + np.arange(samples) * 1000 / rate)


def write_clip(raw: Path, rng: np.random.Generator, subject: int, number: int, place: int) -> dict[str, ExpectedSignal]:
    """Write the files of a clip: the first subject's ECG has fewer columns, and some EEG a ninth row."""
    seconds = int(rng.integers(1, 3))
    ecg = rng.normal(size=(256 * seconds, 5 if subject == 1 else 6))
    ecg[:, 0] = stamps(len(ecg), 256)
    leads = ecg[:, [1, 2] if subject == 1 else [4, 5]].T
    clock = np.array([[2013, 5, 1 + subject, 10, 2 * place, 7.25]])
    gsr = rng.uniform(1, 9, (100 * seconds, 5))
    gsr[:, 0] = stamps(len(gsr), 100)
    eeg = rng.normal(size=(9 if number == 2 else 8, 32 * seconds))
    variables = {"ECG": {"Data_ECG": ecg, "timeECG": clock}, "GSR": {"Data_GSR": gsr}, "EEG": {"ThisEEG": eeg}}
    for kind, content in variables.items():
        file = raw / f"{kind}Data" / f"Movie_P{subject:02d}" / f"{kind}_Clip{number}.mat"
        file.parent.mkdir(parents=True, exist_ok=True)
        savemat(file, content)
    return {
        "ecg": ExpectedSignal(leads, 256, ("A", "B")),
        "eda": ExpectedSignal(gsr[:, [4]].T, 100, ("eda",)),
        "eeg": ExpectedSignal(eeg[:8], 32, tuple(f"row{k}" for k in range(1, 9))),
    }


def _write(folder: Path, rng: np.random.Generator, clip_order: str) -> Written:
    shown = np.stack([rng.permutation(CLIPS) for _ in range(SUBJECTS)])  # by place, the clip
    ratings = rng.integers(0, 4, (len(RATINGS), SUBJECTS, CLIPS)).astype(float)  # by clip
    personality = rng.uniform(1, 7, (SUBJECTS, 5)).round(1)
    raw, tables = folder / "ASCERTAIN_Raw", folder / "ASCERTAIN_Features"
    recordings = []
    for subject in range(SUBJECTS):
        for clip in range(CLIPS):
            place = int(np.flatnonzero(shown[subject] == clip)[0])
            number = 1 + (place if clip_order == "presentation_features" else clip)
            signals = write_clip(raw, rng, subject + 1, number, place)
            values = dict(zip(RATINGS, ratings[:, subject, clip].tolist(), strict=True))
            values |= dict(zip(PERSONALITY, personality[subject].tolist(), strict=True))
            end = min(signal.data.shape[1] / signal.rate for signal in signals.values())
            recordings.append(
                Expected(
                    f"P{subject + 1:02d}",
                    signals,
                    trial=f"clip{clip + 1:02d}",
                    order=place,
                    ratings=values,
                    events=[("clip", 0.0, end)],
                )
            )
    stored = ratings
    if clip_order == "presentation_ratings":
        stored = np.take_along_axis(ratings, shown[np.newaxis], axis=2)
    tables.mkdir()
    savemat(tables / "Dt_SelfReports.mat", {"Ratings": stored})
    savemat(tables / "Dt_Personality.mat", {"Personality": personality})
    savemat(tables / "Dt_Order_Movie.mat", {"PermutationList": (shown + 1).astype(np.uint8)})
    return Written(folder, recordings, options={"clip_order": clip_order}, signal_files=sorted(raw.rglob("*.mat")))


@corpus("ascertain", "clips")
def write_clips(folder: Path, rng: np.random.Generator) -> Written:
    """Numbers of files and columns of ratings count clips."""
    return _write(folder, rng, "clip_id")


@corpus("ascertain", "places")
def write_places(folder: Path, rng: np.random.Generator) -> Written:
    """Numbers of files count places in the presentation, columns of ratings count clips."""
    return _write(folder, rng, "presentation_features")


@corpus("ascertain", "rated-places")
def write_rated_places(folder: Path, rng: np.random.Generator) -> Written:
    """Numbers of files count clips, columns of ratings places in the presentation."""
    return _write(folder, rng, "presentation_ratings")
