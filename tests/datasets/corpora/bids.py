"""BIDS: EEG in each of its four formats, physio files, and the tables and sidecars around them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpora import Expected, ExpectedSignal, Written, corpus

SITES = ("Fp1", "Cz", "O2")


def write_json(file: Path, content: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def write_tsv(file: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(header), *("\t".join(map(str, row)) for row in rows)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_sidecar(file: Path, task: str, rate: float) -> None:
    """Write what BIDS asks for beside EEG."""
    unknown = dict.fromkeys(("EEGReference", "PowerLineFrequency", "SoftwareFilters"), "n/a")
    write_json(file, {"TaskName": task, "SamplingFrequency": rate, **unknown})


def write_description(folder: Path) -> None:
    write_json(folder / "dataset_description.json", {"Name": "Invented", "BIDSVersion": "1.10.0"})
    (folder / "README").write_text("Random numbers.\n")


def write_physio(
    file: Path, columns: Mapping[str, np.ndarray], rate: float, start: float, units: Mapping[str, str] | None = None
) -> None:
    """Write a packed table without header line, and its sidecar beside it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    cells = [["n/a" if np.isnan(v) else repr(float(v)) for v in values] for values in columns.values()]
    text = "".join("\t".join(row) + "\n" for row in zip(*cells, strict=True))
    file.write_bytes(gzip.compress(text.encode()))
    about = {name: {"Units": unit} for name, unit in (units or {}).items()}
    head = {"SamplingFrequency": rate, "StartTime": start, "Columns": list(columns)}
    write_json(file.with_name(file.name.removesuffix(".tsv.gz") + ".json"), {**head, **about})


def write_brainvision(
    stem: Path, data: np.ndarray, rate: float, names: Sequence[str], *, kind: str = "IEEE_FLOAT_32", scale: float = 1.0,
    vectorized: bool = False, data_file: str = "", unit: str = "µV", markers: Sequence[str] = (),
) -> None:  # fmt: skip
    """Write the three files of a BrainVision recording; `data` are the stored numbers."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    dtype = {"IEEE_FLOAT_32": "<f4", "INT_16": "<i2"}[kind]
    stored = data.astype(dtype)
    stem.with_name(stem.name + ".eeg").write_bytes((stored if vectorized else stored.T).tobytes())
    listed = [f"Ch{i + 1}={name.replace(',', chr(92) + '1')},,{scale:g},{unit}" for i, name in enumerate(names)]
    head = [
        *("Brain Vision Data Exchange Header File Version 1.0", "; invented", "[Common Infos]", "Codepage=UTF-8"),
        *(f"DataFile={data_file or stem.name + '.eeg'}", f"MarkerFile={stem.name}.vmrk", "DataFormat=BINARY"),
        f"DataOrientation={'VECTORIZED' if vectorized else 'MULTIPLEXED'}",
        *(f"NumberOfChannels={len(names)}", f"SamplingInterval={1e6 / rate:g}", "[Binary Infos]"),
        *(f"BinaryFormat={kind}", "[Channel Infos]", *listed),
    ]
    marks = ["Brain Vision Data Exchange Marker File, Version 1.0", "[Common Infos]", f"DataFile={stem.name}.eeg"]
    marks += ["[Marker Infos]", "Mk1=New Segment,,1,1,0", *(f"Mk{i + 2}={mark}" for i, mark in enumerate(markers))]
    for ending, lines in ((".vhdr", head), (".vmrk", marks)):
        stem.with_name(stem.name + ending).write_text("\n".join(lines) + "\n", encoding="utf-8")


@corpus("bids")
def write(folder: Path, rng: np.random.Generator) -> Written:
    """BrainVision with physio that began before it, in sessions whose runs were recorded in an order of their own."""
    write_description(folder)
    write_sidecar(folder / "task-rest_eeg.json", "rest", 200)
    ages = {"01": 31.0, "x2": 44.0}
    write_tsv(
        folder / "participants.tsv",
        ("participant_id", "age", "sex"),
        [(f"sub-{name}", int(age), "n/a") for name, age in ages.items()],
    )
    recordings, files = [], []
    for subject, age in ages.items():
        for session in ("a", "b"):
            home = folder / f"sub-{subject}" / f"ses-{session}"
            order = rng.permutation(2).tolist()  # by run, the place in the session
            scans, own = [], {}
            for run, place in enumerate(order, start=1):
                stem = home / "eeg" / f"sub-{subject}_ses-{session}_task-rest_run-{run}"
                stored = rng.integers(-3000, 3000, (5, 400))
                names = [*SITES, "HEOG", "TRIG"]
                eeg = stem.with_name(stem.name + "_eeg")
                write_brainvision(eeg, stored, 200, names, kind="INT_16", scale=0.1, vectorized=run == 2)
                kinds = ("EEG", "EEG", "EEG", "EOG", "TRIG")
                rows = [(n, k, "uV", "good") for n, k in zip(names, kinds, strict=True)]
                write_tsv(stem.with_name(stem.name + "_channels.tsv"), ("name", "type", "units", "status"), rows)
                seconds = [(0.25, 1.0, "go"), (1.5, "n/a", "stop")]
                write_tsv(stem.with_name(stem.name + "_events.tsv"), ("onset", "duration", "trial_type"), seconds)
                eda = rng.uniform(1, 9, 90)
                eda[rng.integers(90)] = np.nan
                breath, trigger = rng.normal(size=90), rng.integers(0, 2, 90).astype(float)
                physio = stem.with_name(stem.name + "_physio.tsv.gz")
                columns = {"gsr": eda, "respiratory": breath, "trigger": trigger}
                write_physio(physio, columns, 20, -2.5, {"gsr": "microsiemens"})
                signals = {
                    "eeg": ExpectedSignal(stored[:3] * 0.1, 200, SITES),
                    "eog": ExpectedSignal(stored[3:4] * 0.1, 200, ("HEOG",)),
                    "eda": ExpectedSignal(eda[None], 20, ("gsr",), -2.5),
                    "resp": ExpectedSignal(breath[None], 20, ("respiratory",), -2.5),
                }
                valence = float(rng.integers(1, 10))
                scans.append((f"eeg/{eeg.name}.vhdr", f"2020-01-0{place + 1}T10:00:00", valence))
                own[place] = Expected(
                    subject,
                    signals,
                    session,
                    f"rest_run-{run}",
                    place,
                    {"participant_age": age, "valence": valence},
                    (("go", 0.25, 1.25), ("stop", 1.5, 1.5)),
                )
                files += [eeg.with_name(f"{eeg.name}.eeg"), eeg.with_name(f"{eeg.name}.vhdr"), physio]
            scans = [scans[i] for i in rng.permutation(2)]
            write_tsv(home / f"sub-{subject}_ses-{session}_scans.tsv", ("filename", "acq_time", "valence"), scans)
            recordings += [own[place] for place in sorted(own)]
    return Written(folder, recordings, signal_files=files)


@corpus("bids", "edf")
def write_edf(folder: Path, rng: np.random.Generator) -> Written:
    """EDF and BDF whose channels differ in rate, without tables of types; the pulse lies in `func`."""
    import pyedflib

    write_description(folder)
    recordings, files = [], []
    for subject, ending, kind in (("1", "edf", pyedflib.FILETYPE_EDFPLUS), ("2", "bdf", pyedflib.FILETYPE_BDFPLUS)):
        stem = f"sub-{subject}_task-film"
        file = folder / f"sub-{subject}" / "eeg" / f"{stem}_eeg.{ending}"
        file.parent.mkdir(parents=True)
        rates = {"Fp1": (100, "uV"), "Cz": (100, "uV"), "ECG": (250, "mV"), "GSR": (10, "uS")}
        values = {name: rng.uniform(-90, 90, 4 * rate) for name, (rate, _) in rates.items()}
        with pyedflib.EdfWriter(str(file), len(rates), file_type=kind) as writer:
            writer.setSignalHeaders(
                [
                    {
                        **{
                            "label": name,
                            "dimension": unit,
                            "sample_frequency": rate,
                            "transducer": "",
                            "prefilter": "",
                        },
                        **{"physical_min": -100, "physical_max": 100},
                        "digital_min": -32768 if ending == "edf" else -8388608,
                        "digital_max": 32767 if ending == "edf" else 8388607,
                    }
                    for name, (rate, unit) in rates.items()
                ]
            )
            writer.writeSamples(list(values.values()))
        write_sidecar(file.with_name(f"{stem}_eeg.json"), "film", 250)
        names = ("onset", "duration", "trial_type", "value")
        write_tsv(file.with_name(f"{stem}_events.tsv"), names, [(1, 2, "n/a", 7), (3, 0, "end", 8)])
        pulse = rng.normal(size=200)
        physio = folder / f"sub-{subject}" / "func" / f"{stem}_recording-pulse_physio.tsv.gz"
        write_physio(physio, {"cardiac": pulse}, 50, 0.0)
        files += [file, physio]
        signals = {
            "eeg": ExpectedSignal(np.stack([values["Fp1"], values["Cz"]]), 100, ("Fp1", "Cz"), atol=4e-3),
            "ecg": ExpectedSignal(values["ECG"][None], 250, ("ECG",), atol=4e-3),
            "eda": ExpectedSignal(values["GSR"][None], 10, ("GSR",), atol=4e-3),
            "bvp": ExpectedSignal(pulse[None], 50, ("cardiac",)),
        }
        recordings.append(Expected(subject, signals, trial="film", events=(("7", 1, 3), ("end", 3, 3))))
    return Written(folder, recordings, signal_files=files)


@corpus("bids", "eeglab")
def write_eeglab(folder: Path, rng: np.random.Generator) -> Written:
    """EEGLAB with its samples beside the struct and in it; a table of channels for all, at the top."""
    from scipy.io import savemat

    write_description(folder)
    write_sidecar(folder / "task-sit_eeg.json", "sit", 128)
    rows = [(name, "EEG", "microV") for name in SITES]
    write_tsv(folder / "task-sit_channels.tsv", ("name", "type", "units"), rows)
    recordings, files = [], []
    for number in (1, 2, 10):
        file = folder / f"sub-{number}" / "eeg" / f"sub-{number}_task-sit_eeg.set"
        file.parent.mkdir(parents=True)
        data = rng.normal(0, 20, (3, 300)).astype(np.float32)
        apart = number != 2
        events = [("type", "O"), ("latency", "O"), ("duration", "O")]
        content = {
            **{"nbchan": 3.0, "pnts": 300.0, "trials": 1.0, "srate": 128.0, "xmin": 0.0},
            "data": f"{file.stem}.fdt" if apart else data,
            "chanlocs": np.array([(name, 0.5) for name in SITES], dtype=[("labels", "O"), ("theta", "O")]),
            "event": np.array([("tone", 129.0, 0.0), ("tone", 257.0, 0.0)], dtype=events),
        }  # fmt: skip
        savemat(file, {"EEG": content} if number != 10 else content)
        files.append(file)
        if apart:
            file.with_suffix(".fdt").write_bytes(data.T.tobytes())
            files.append(file.with_suffix(".fdt"))
        signals = {"eeg": ExpectedSignal(data, 128, SITES)}
        recordings.append(Expected(f"{number}", signals, trial="sit", events=(("tone", 1, 1), ("tone", 2, 2))))
    return Written(folder, recordings, signal_files=files)


@corpus("bids", "physio")
def write_peripheral(folder: Path, rng: np.random.Generator) -> Written:
    """No EEG: a file per sensor, each with its rate and start, under one sidecar per sensor at the top."""
    write_description(folder)
    heads = {"ecg": (100, 0.5, "mV"), "eda": (8, 0.0, "uS"), "acc": (16, -1.0, "m/s^2")}
    for kind, (rate, start, unit) in heads.items():
        columns = ["x", "y", "z"] if kind == "acc" else ["value"]
        head = {"SamplingFrequency": rate, "StartTime": start, "Columns": columns}
        write_json(folder / f"recording-{kind}_physio.json", head | {c: {"Units": unit} for c in columns})
    recordings, files = [], []
    for subject in ("A", "B"):
        signals, home = {}, folder / f"sub-{subject}" / "beh"
        for kind, (rate, start, _) in heads.items():
            names = ("x", "y", "z") if kind == "acc" else ("value",)
            values = rng.normal(size=(len(names), 5 * rate))
            file = home / f"sub-{subject}_task-walk_recording-{kind}_physio.tsv.gz"
            file.parent.mkdir(parents=True, exist_ok=True)
            rows = ["\t".join(map(repr, row)) for row in values.T.tolist()]
            file.write_bytes(gzip.compress("\n".join(rows).encode()))  # no line end behind the last row
            scaled = values / 9.80665 if kind == "acc" else values
            signals[kind] = ExpectedSignal(scaled, rate, names, start)
            files.append(file)
        recordings.append(Expected(subject, signals, trial="walk"))
    return Written(folder, recordings, signal_files=files)
