"""BioVid: tables of windows (parts A and B) and of whole sessions with their stimuli (part C)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from corpora import Expected, ExpectedSignal, Written, corpus

CLASSES = ("BL1", "PA1", "PA2", "PA3", "PA4")
COLUMNS = ("gsr", "ecg", "emg_trapezius", "emg_corrugator", "emg_zygomaticus")
SUBJECTS = {"010101_w_30": {"age": 30.0, "woman": 1.0}, "020202_m_41": {"age": 41.0, "woman": 0.0}}  # nobody's
RATE, ROWS = 512, 2816


def table(values: np.ndarray, columns: tuple[str, ...] = COLUMNS) -> str:
    """Return a table of biosignals as distributed: whole microseconds, then values with six decimals."""
    times = np.floor(np.arange(len(values)) * 1e6 / RATE).astype(int)
    rows = ["\t".join(("time", *columns))]
    pattern = "\t".join(["%d", *["%.6f"] * len(columns)])
    rows += [pattern % (time, *row) for time, row in zip(times.tolist(), values.tolist(), strict=True)]
    return "\n".join(rows) + "\n"


def signals_of(values: np.ndarray, emg: tuple[str, ...]) -> dict[str, ExpectedSignal]:
    """Return the modalities of a table: voltages are taken to be µV."""
    columns = dict(zip(COLUMNS, values.T, strict=True))
    return {
        "eda": ExpectedSignal(columns["gsr"][np.newaxis], RATE, ("gsr",)),
        "ecg": ExpectedSignal(columns["ecg"][np.newaxis] / 1e3, RATE, ("ecg",), atol=1e-9),
        "emg": ExpectedSignal(np.stack([columns[name] for name in emg]) / 1e3, RATE, emg, atol=1e-9),
    }


def _write_windows(folder: Path, rng: np.random.Generator, part: str, emg: tuple[str, ...]) -> Written:
    home = folder / f"Part{part}"
    rows = []
    recordings, files = [], []
    for number, (subject, personal) in enumerate(SUBJECTS.items(), start=1):
        names = [f"{label}-{k:03d}" for k, label in enumerate(rng.permutation(CLASSES[1:]).tolist(), start=1)]
        names.append(f"BL1-{int(rng.integers(81, 101)):03d}")
        for place in (home / "biosignals_filtered" / subject, home / "temperature" / subject):
            place.mkdir(parents=True)
        for order, name in enumerate(names):
            label = name[:3]
            values = rng.normal(3, 1, (ROWS, len(COLUMNS))).round(6)
            files.append(home / "biosignals_filtered" / subject / f"{subject}-{name}_bio.csv")
            files[-1].write_text(table(values))
            warm = rng.uniform(32, 50, 6).round(2)
            lines = [f"{k * 1_000_000}\t{value}" for k, value in enumerate(warm.tolist())]
            file = home / "temperature" / subject / f"{subject}-{name}_temp.csv"
            file.write_text("\n".join(["time\ttemperature", *lines]) + "\n")
            cells = (number, subject, CLASSES.index(label), label, order + 1, f"{subject}-{name}")
            rows.append("\t".join(map(str, cells)))
            recordings.append(
                Expected(
                    subject,
                    signals_of(values, emg),
                    session=part,
                    trial=name,
                    order=order,
                    ratings={"class_id": CLASSES.index(label), **personal},
                    events=[(label.lower(), 0.0, 5.5)],
                    traces={"temperature": (np.arange(6.0), warm)},
                )
            )
    (home / "starting_point").mkdir()
    header = "subject_id\tsubject_name\tclass_id\tclass_name\tsample_id\tsample_name"
    shuffled = [rows[k] for k in rng.permutation(len(rows))]
    (home / "starting_point" / "samples.csv").write_text("\n".join([header, *shuffled]) + "\n")
    return Written(folder, recordings, options={"part": part, "temperature": True}, signal_files=files)


@corpus("biovid", "A")
def write_a(folder: Path, rng: np.random.Generator) -> Written:
    """A window per class of two subjects, classes in an order of their own; columns of facial EMG that hold nothing."""
    return _write_windows(folder, rng, "A", ("emg_trapezius",))


@corpus("biovid", "B")
def write_b(folder: Path, rng: np.random.Generator) -> Written:
    """The same with facial EMG."""
    return _write_windows(folder, rng, "B", COLUMNS[2:])


@corpus("biovid", "C")
def write_c(folder: Path, rng: np.random.Generator) -> Written:
    """Two whole sessions; the levels of pain in an order of their own, a row of labels per sample."""
    home = folder / "PartC"
    recordings, files = [], []
    for place in (home / "biosignals_raw", home / "stimulus"):
        place.mkdir(parents=True)
    for subject, personal in SUBJECTS.items():
        levels = [0, *(int(x) for level in rng.permutation([1, 2, 3, 4]) for x in (level, 0))]
        seconds = rng.integers(1, 3, len(levels))
        labels = np.repeat(levels, seconds * RATE)
        values = rng.normal(3, 1, (len(labels), len(COLUMNS))).round(6)
        files.append(home / "biosignals_raw" / f"{subject}.csv")
        files[-1].write_text(table(values))
        times = np.floor(np.arange(len(labels)) * 1e6 / RATE).astype(int)
        stimuli = "".join(f"{time}\t{label}\n" for time, label in zip(times, labels, strict=True))
        (home / "stimulus" / f"{subject}.csv").write_text(f"time\tlabel\n{stimuli}")
        ends = np.cumsum(seconds).tolist()
        names = ["idle" if level == 0 else f"pa{level}" for level in levels]
        recordings.append(
            Expected(
                subject,
                signals_of(values, ("emg_trapezius",)),
                session="C",
                ratings=personal,
                events=list(zip(names, [0, *ends[:-1]], ends, strict=True)),
            )
        )
    return Written(folder, recordings, options={"part": "C"}, signal_files=files)
