"""DEAP: trials by video in pickles and MATLAB files, by presentation in BDF, and the table that says which is which."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from scipy.io import savemat

from corpora import Expected, ExpectedSignal, Written, corpus
from corpora.binary import EdfChannel, edf_bytes, py2_pickle

GENEVA = (
    *("Fp1", "AF3", "F3", "F7", "FC5", "FC1", "C3", "T7", "CP5", "CP1", "P3", "P7", "PO3", "O1", "Oz", "Pz"),
    *("Fp2", "AF4", "Fz", "F4", "F8", "FC6", "FC2", "Cz", "C4", "T8", "CP6", "CP2", "P4", "P8", "PO4", "O2"),
)
TWENTE = (
    *("Fp1", "AF3", "F7", "F3", "FC1", "FC5", "T7", "C3", "CP1", "CP5", "P7", "P3", "Pz", "PO3", "O1", "Oz"),
    *("O2", "PO4", "P4", "P8", "CP6", "CP2", "C4", "T8", "FC6", "FC2", "F4", "F8", "AF4", "Fp2", "Fz", "Cz"),
)
BEHIND = (*(f"EXG{k}" for k in range(1, 9)), "GSR1", "GSR2", "Erg1", "Erg2", "Resp", "Plet", "Temp")
LABELS = ("valence", "arousal", "dominance", "liking")
EVENTS = (("baseline", 0.0, 3.0), ("trial", 3.0, 63.0))
TRIALS = 40
Table = Mapping[int, tuple[np.ndarray, np.ndarray, np.ndarray]]


def draw_ratings(rng: np.random.Generator, subjects: tuple[int, ...]) -> Table:
    """Return, by subject, the video at each place (from 0), and by video the labels and familiarity (NaN: blank)."""
    table = {}
    for subject in subjects:
        labels = rng.uniform(1, 9, (TRIALS, 4)).round(2)
        familiarity = rng.integers(1, 6, TRIALS).astype(float)
        if subject == 2:
            familiarity[:] = np.nan
        table[subject] = (rng.permutation(TRIALS), labels, familiarity)
    return table


def write_ratings(file: Path, table: Table, rng: np.random.Generator) -> None:
    """Write the table as published, but for the order of its rows."""
    rows = []
    for subject, (shown, labels, familiarity) in table.items():
        for place, video in enumerate(shown):
            known = "" if np.isnan(familiarity[video]) else f"{familiarity[video]:g}"
            cells = [subject, place + 1, video + 1, 1_000_000 * place, *labels[video].tolist(), known]
            rows.append(",".join(map(str, cells)))
    header = "Participant_id,Trial,Experiment_id,Start_time,Valence,Arousal,Dominance,Liking,Familiarity"
    file.parent.mkdir(parents=True)
    text = "\r\n".join([header, *(rows[k] for k in rng.permutation(len(rows)))]) + "\r\n"
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())


def expected(subject: int, table: Table, signals: Callable[[int, int], Mapping[str, ExpectedSignal]]) -> list[Expected]:
    """Return a subject's recordings in the order of presentation; ``signals(place, video)`` gives their samples."""
    shown, labels, familiarity = table[subject]
    recordings = []
    for place, video in enumerate(shown.tolist()):
        ratings = dict(zip(LABELS, labels[video].tolist(), strict=True))
        if not np.isnan(familiarity[video]):
            ratings["familiarity"] = float(familiarity[video])
        recordings.append(
            Expected(
                f"s{subject:02d}",
                signals(place, video),
                trial=f"video{video + 1:02d}",
                order=place,
                ratings=ratings,
                events=EVENTS,
            )
        )
    return recordings


# ---------------------------------------------------------------------------------------------------------------------
# Preprocessed
# ---------------------------------------------------------------------------------------------------------------------


def _preprocessed(rng: np.random.Generator) -> np.ndarray:
    """Return data of the published shape in the units of the published files; a row is known by its level."""
    noise = rng.normal(size=(TRIALS, 8064))
    data = np.repeat(noise[np.newaxis], TRIALS, axis=0)
    data += rng.normal(0, 100, (TRIALS, 40, 1))
    data[:, 36] = 250_000 + 1000 * rng.normal(0, 10, (TRIALS, 1)) + 100 * noise[36]  # ohm
    data[:, 39] = 33 + rng.uniform(-1, 1, (TRIALS, 1)) + 0.01 * noise[39]
    return data


def _trial(rows: np.ndarray) -> dict[str, ExpectedSignal]:
    rate = 128
    return {
        "eeg": ExpectedSignal(rows[:32], rate, GENEVA),
        "eog": ExpectedSignal(rows[32:34], rate, ("hEOG", "vEOG")),
        "emg": ExpectedSignal(rows[34:36] / 1e3, rate, ("zEMG", "tEMG")),
        "eda": ExpectedSignal(1e6 / rows[36:37], rate, ("GSR",)),
        "resp": ExpectedSignal(rows[37:38], rate, ("Resp",)),
        "bvp": ExpectedSignal(rows[38:39], rate, ("Plet",)),
        "temp": ExpectedSignal(rows[39:40], rate, ("Temp",)),
    }


def _write_preprocessed(folder: Path, rng: np.random.Generator, release: str) -> Written:
    table = draw_ratings(rng, (2, 31))
    recordings, files = [], []
    home = folder / f"data_preprocessed_{release}"
    home.mkdir()
    for subject, (_, labels, _) in table.items():
        data = _preprocessed(rng)
        if release == "python":
            files.append(home / f"s{subject:02d}.dat")
            files[-1].write_bytes(py2_pickle({"labels": labels, "data": data}))
        else:
            files.append(home / f"s{subject:02d}.mat")
            savemat(files[-1], {"data": data, "labels": labels})
        recordings += expected(subject, table, lambda place, video, data=data: _trial(data[video]))  # type: ignore[misc]
    write_ratings(folder / "metadata_csv" / "participant_ratings.csv", table, rng)
    return Written(folder, recordings, signal_files=files)


@corpus("deap", "python", heavy=True)
def write_python(folder: Path, rng: np.random.Generator) -> Written:
    """Two subjects, one without familiarity; the format has one size, 103 MB."""
    return _write_preprocessed(folder, rng, "python")


@corpus("deap", "matlab", heavy=True)
def write_matlab(folder: Path, rng: np.random.Generator) -> Written:
    """The same as MATLAB files."""
    return _write_preprocessed(folder, rng, "matlab")


# ---------------------------------------------------------------------------------------------------------------------
# Original
# ---------------------------------------------------------------------------------------------------------------------

RATE = 4  # Hz; published files have 512, a reader takes what the header says
PHYSICAL, DIGITAL = (-262144, 262143), (-8388608, 8388607)


def physical(digital: np.ndarray) -> np.ndarray:
    """Return what the header's ranges make of digital values."""
    return (digital - DIGITAL[0]) * (PHYSICAL[1] - PHYSICAL[0]) / (DIGITAL[1] - DIGITAL[0]) + PHYSICAL[0]


def write_original_subject(
    file: Path, rng: np.random.Generator, *, twente: bool, triggers: tuple[str, ...], idle: int, high: int
) -> list[dict[str, ExpectedSignal]]:
    """Write a whole experiment; return the signals of each trial in the order of presentation."""
    onsets = 20 + np.cumsum(rng.integers(0, 6, TRIALS) / RATE + 69)
    seconds = int(onsets[-1]) + 70
    words = np.full(seconds * RATE, idle)
    for onset in onsets:
        for code, offset in ((3, -5), (4, 0), (5, 60), (1, 63)):
            first = round((onset + offset) * RATE)
            words[first : first + RATE] = high | code
    ranges = dict.fromkeys([*GENEVA, *BEHIND], (-32000, 32000))
    ranges |= {"GSR1": (100_000, 200_000) if twente else (3_000_000, 8_000_000), "Temp": (1000, 1100)}
    digital = {name: rng.integers(low, high, seconds * RATE) for name, (low, high) in ranges.items()}
    channels = [
        EdfChannel(name, digital[name], RATE, "uV", PHYSICAL, DIGITAL)
        for name in [*(TWENTE if twente else GENEVA), *BEHIND]
    ]
    for k, label in enumerate(triggers):
        held = words if k == len(triggers) - 1 else np.zeros_like(words)
        channels.append(EdfChannel(label, held, RATE, "Boolean"))
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(edf_bytes(channels, n_records=seconds, kind="BDF"))
    values = {name: physical(steps) for name, steps in digital.items()}
    pairs = zip((1, 3, 5, 7), ("hEOG", "vEOG", "zEMG", "tEMG"), strict=True)
    values |= {name: values[f"EXG{k}"] - values[f"EXG{k + 1}"] for k, name in pairs}
    values["GSR"] = values["GSR1"] / 1e3 if twente else 1e6 / values["GSR1"]
    groups = {"eeg": GENEVA, "eog": ("hEOG", "vEOG"), "emg": ("zEMG", "tEMG"), "eda": ("GSR",)}
    groups |= {"resp": ("Resp",), "bvp": ("Plet",), "temp": ("Temp",)}
    trials = []
    for onset in onsets:
        cut = slice(round((onset - 3) * RATE), round((onset + 60) * RATE))
        signals = {}
        for modality, names in groups.items():
            data = np.stack([values[name][cut] for name in names])
            if modality == "emg":
                data = data / 1e3
            signals[modality] = ExpectedSignal(data, RATE, names, rtol=1e-5, atol=1e-3 if modality != "emg" else 1e-6)
        trials.append(signals)
    return trials


@corpus("deap", "original", heavy=True)
def write_original(folder: Path, rng: np.random.Generator) -> Written:
    """Three subjects as the sites recorded them: named trigger; unnamed, with high bits; two unnamed channels."""
    table = draw_ratings(rng, (2, 24, 29))
    styles = {
        2: {"twente": True, "triggers": ("Status",), "idle": 0, "high": 0},
        24: {"twente": False, "triggers": ("",), "idle": 0x19FF00, "high": 0x18FF00},
        29: {"twente": False, "triggers": ("", ""), "idle": 0x19FF00, "high": 0x58FF00},
    }
    recordings, files = [], []
    for subject, style in styles.items():
        files.append(folder / "data_original" / f"s{subject:02d}.bdf")
        trials = write_original_subject(files[-1], rng, **style)  # type: ignore[arg-type]
        recordings += expected(subject, table, lambda place, video, trials=trials: trials[place])  # type: ignore[misc]
    write_ratings(folder / "metadata_csv" / "participant_ratings.csv", table, rng)
    return Written(folder, recordings, signal_files=files)
