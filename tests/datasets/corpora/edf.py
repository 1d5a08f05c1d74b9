"""EDF and BDF files with channels at their own rates, and EEGMAT, which is published in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from corpora import Expected, ExpectedSignal, Written, corpus
from corpora.binary import EdfChannel, edf_bytes

SITES = (
    *("Fp1", "Fp2", "F3", "F4", "F7", "F8", "T3", "T4", "C3", "C4"),
    *("T5", "T6", "P3", "P4", "O1", "O2", "Fz", "Cz", "Pz"),
)

# Label and unit as the file has them, samples per second, and what a reader makes of them: modality, channel, factor.
_MIXED = (
    ("EEG Fp1-Ref", "uV", 32, "eeg", "Fp1", 1.0),
    ("EEG Fp2-Ref", "uV", 32, "eeg", "Fp2", 1.0),
    ("ECG", "uV", 64, "ecg", "ECG", 1e-3),
    ("GSR", "nS", 8, "eda", "GSR", 1e-3),
    ("Resp", "a.u.", 16, "resp", "Resp", 1.0),
    ("Temp", "degC", 1, "temp", "Temp", 1.0),
)


def _write_mixed(folder: Path, rng: np.random.Generator, kind: str) -> Written:
    recordings, files = [], []
    for subject in ("ann", "ben", "cem"):
        seconds = int(rng.integers(3, 7))
        signals: dict[str, ExpectedSignal] = {}
        channels = []
        for label, unit, rate, modality, name, factor in _MIXED:
            digital = rng.integers(-30000, 30000, seconds * rate)
            channels.append(EdfChannel(label, digital, rate, unit))
            data = factor * digital[np.newaxis]
            before = signals.get(modality)
            if before is not None:
                data, names = np.concatenate([before.data, data]), (*before.channels, name)
            else:
                names = (name,)
            signals[modality] = ExpectedSignal(data, rate, names, atol=1e-3)
        if kind == "BDF":
            status = np.zeros(seconds * 64, dtype=int)
            channels.append(EdfChannel("Status", status, 64, "Boolean"))
        files.append(folder / f"{subject}.{kind.lower()}")
        files[-1].write_bytes(edf_bytes(channels, n_records=seconds, kind=kind))
        recordings.append(Expected(subject, signals))
    return Written(folder, recordings, signal_files=files, nests=False)


@corpus("edf", "edf")
def write_edf(folder: Path, rng: np.random.Generator) -> Written:
    """Three recordings of five modalities at five rates."""
    return _write_mixed(folder, rng, "EDF")


@corpus("edf", "bdf")
def write_bdf(folder: Path, rng: np.random.Generator) -> Written:
    """The same in 24 bits, with a trigger channel."""
    return _write_mixed(folder, rng, "BDF")


@corpus("eegmat")
def write_eegmat(folder: Path, rng: np.random.Generator) -> Written:
    """Three subjects with rest and task; channels of each file in an order of their own, the table's rows shuffled."""
    rate, recordings, files, rows = 20, [], [], []
    for subject in ("Subject00", "Subject03", "Subject21"):
        ratings = {"age": 20.0 + len(rows), "subtractions": round(float(rng.uniform(1, 30)), 2)}
        ratings["quality"] = float(rng.integers(0, 2))
        cells = (f"{ratings['age']:g}", "F", "2011", f"{ratings['subtractions']}", f"{ratings['quality']:g}")
        rows.append(",".join([subject, *cells]))
        for order, trial in enumerate(("rest", "task")):
            seconds = int(rng.integers(3, 7))
            digital = {f"EEG {site}": rng.integers(-3000, 3000, seconds * rate) for site in (*SITES, "A2-A1")}
            digital["ECG ECG"] = rng.integers(-3000, 3000, seconds * rate)
            labels = [list(digital)[k] for k in rng.permutation(len(digital))]
            content = edf_bytes([EdfChannel(name, digital[name], rate) for name in labels], n_records=seconds)
            files.append(folder / f"{subject}_{order + 1}.edf")
            files[-1].write_bytes(content)
            signals = {
                "eeg": ExpectedSignal(
                    np.stack([digital[f"EEG {site}"] for site in SITES]), rate, tuple(SITES), atol=1e-3
                ),
                "ecg": ExpectedSignal(digital["ECG ECG"][np.newaxis] / 1e3, rate, ("ECG",), atol=1e-6),
            }
            recordings.append(
                Expected(
                    subject,
                    signals,
                    trial=trial,
                    order=order,
                    ratings=ratings,
                    events=[(trial, 0.0, float(seconds))],
                )
            )
    header = "Subject,Age,Gender,Recording year,Number of subtractions,Count quality"
    (folder / "subject-info.csv").write_text("\n".join([header, *(rows[k] for k in rng.permutation(len(rows)))]) + "\n")
    return Written(folder, recordings, signal_files=files)
