"""StressID: a table per subject and task without times, labels by subject and task, answers by subject."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from corpora import Expected, ExpectedSignal, Written, corpus

__all__ = ["TASKS", "write_corpus"]

TASKS = (
    *("Baseline", "Breathing", "Video1", "Video2", "Counting1", "Counting2"),
    *("Stroop", "Speaking", "Math", "Reading", "Counting3", "Relax"),
)
SCALES = ("relax", "stress", "valence", "arousal")


def write_corpus(
    folder: Path, rng: np.random.Generator, suffix: str = ".txt", tasks: tuple[str, ...] = TASKS
) -> Written:
    """Three subjects, their files and labels written in an order that says nothing."""
    recordings, files = [], []
    labels: list[str] = []
    answers: dict[str, dict[str, int | str]] = {}
    for subject in ("2ea4", "g7h1", "r5s8"):
        place = folder / "Physiological" / subject
        place.mkdir(parents=True)
        answers[subject] = {}
        for order, task in enumerate(tasks):
            if (subject, task) == ("g7h1", "Video2"):
                labels.append("g7h1_Video2,1,2")
                continue
            samples = np.round(np.array([[0.1], [4.0], [0.0]]) + 0.1 * rng.normal(size=(3, 100)), 4)
            file = place / f"{subject}_{task}{suffix}"
            rows = [",".join(f"{v:.4f}" for v in column) for column in samples.T]
            file.write_text("\n".join(["ECG,EDA,RR", *rows]) + "\n")
            files.append(file)
            signals = {
                "ecg": ExpectedSignal(samples[[0]], 500, ("ECG",)),
                "eda": ExpectedSignal(samples[[1]], 500, ("EDA",)),
                "resp": ExpectedSignal(samples[[2]], 500, ("RR",)),
            }
            if (subject, task) == ("r5s8", "Counting3"):
                del signals["eda"]
            ratings: dict[str, float] = {}
            events = [(task, 0.0, 0.2)]
            if task != "Baseline":
                given = {scale: int(rng.integers(0, 11)) for scale in SCALES}
                binary, three = int(given["stress"] >= 5), int(rng.integers(0, 3))
                blank = (subject, task) == ("2ea4", "Math")
                labels.append(f"{subject}_{task},{'' if blank else binary},{'NaN' if blank else three}")
                answers[subject] |= {f"{task}_{scale}": value for scale, value in given.items()}
                if task == "Stroop":
                    answers[subject]["Stroop_valence"] = ""
                    del given["valence"]
                ratings = {scale: float(value) for scale, value in given.items()}
                if not blank:
                    ratings |= {"binary_stress": float(binary), "affect3": float(three)}
                    events.append(("stressed" if binary else "not_stressed", 0.0, 0.2))
            recordings.append(
                Expected(subject, signals, trial=task, order=order, ratings=ratings, events=tuple(events))
            )
    rng.shuffle(labels)
    (folder / "labels.csv").write_text("\n".join(["subject/task,binary-stress,affect3-class", *labels]) + "\n")
    names = [f"{task}_{scale}" for task in rng.permutation(tasks).tolist() for scale in SCALES if task != "Baseline"]
    rows = [";".join([subject, *(str(own.get(name, "")) for name in names)]) for subject, own in answers.items()]
    (folder / "self_assessments.csv").write_text("\n".join([";".join(["subject", *names]), *rows]) + "\n")
    return Written(folder, recordings, signal_files=files)


@corpus("stressid")
def write(folder: Path, rng: np.random.Generator) -> Written:
    return write_corpus(folder, rng)


@corpus("stressid", "csv")
def write_csv(folder: Path, rng: np.random.Generator) -> Written:
    """The same in files called .csv, with the tasks in an order that the user knows."""
    tasks = tuple(rng.permutation(TASKS).tolist())
    written = write_corpus(folder, rng, ".csv", tasks)
    return Written(folder, written.recordings, options={"tasks": list(tasks)}, signal_files=written.signal_files)
