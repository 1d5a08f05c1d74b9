"""MAHNOB-HCI: a BDF file, a description in XML and the tracker's table per session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from corpora import Expected, ExpectedSignal, Written, corpus

RATE = 256
SITES = (
    *("Fp1", "AF3", "F3", "F7", "FC5", "FC1", "C3", "T7", "CP5", "CP1", "P3", "P7", "PO3", "O1", "Oz", "Pz"),
    *("Fp2", "AF4", "Fz", "F4", "F8", "FC6", "FC2", "Cz", "C4", "T8", "CP6", "CP2", "P4", "P8", "PO4", "O2"),
)
LABELS = (*SITES, *(f"EXG{i}" for i in range(1, 9)), "GSR1", "GSR2", "Erg1", "Erg2", "Resp", "Temp", "Status")
EMOTIONS = {0: "neutral", 1: "anger", 2: "disgust", 3: "fear", 4: "joy", 5: "sadness", 6: "surprise"} | {
    11: "amusement",
    12: "anxiety",
}
FELT = {
    "emotion": "feltEmo",
    "arousal": "feltArsl",
    "valence": "feltVlnc",
    "dominance": "feltCtrl",
    "predictability": "feltPred",
}
GAZE = tuple(f"{what}_{eye}" for eye in ("left", "right") for what in ("x", "y", "distance", "pupil"))
COLUMNS = (
    *("Timestamp", "DateTimeStamp", "Number", "GazePointXLeft", "GazePointYLeft", "CamXLeft", "CamYLeft"),
    *("DistanceLeft", "PupilLeft", "ValidityLeft", "GazePointXRight", "GazePointYRight", "CamXRight", "CamYRight"),
    *("DistanceRight", "PupilRight", "ValidityRight", "FixationIndex", "FixationDuration", "Event", "Descriptor"),
    *("StimuliName", "AudioSampleNumber"),
)


def bdf(
    channels: Mapping[str, np.ndarray], *, rate: int = RATE, units: Mapping[str, str] | None = None, records: str = ""
) -> bytes:
    """Write channels of whole seconds as BDF; EEG range, and Status as it is."""
    ranges = {"Status": (-8388608, 8388607, "Boolean"), "Temp": (0, 100, "Degree"), "Resp": (-262144, 262143, "uV")}
    ranges |= {"GSR1": (0, 4_000_000, "Ohm"), "GSR2": (0, 4_000_000, "Ohm")}
    bounds = {label: ranges.get(label, (-262144, 262143, "uV")) for label in channels}
    units = {label: unit for label, (_, _, unit) in bounds.items()} | dict(units or {})
    count, seconds = len(channels), len(next(iter(channels.values()))) // rate

    def column(texts: Sequence[object], width: int) -> bytes:
        return b"".join(str(text).encode("ascii").ljust(width)[:width] for text in texts)

    head = b"\xffBIOSEMI" + column(["", "", "01.01.10", "10.00.00", 256 * (count + 1), "24BIT"], 80)[:160]
    head += b"01.01.1010.00.00" + column([256 * (count + 1)], 8) + column(["24BIT"], 44)
    head += column([records or seconds, 1], 8) + column([count], 4)
    head += column(list(channels), 16) + column(["electrode"] * count, 80) + column([units[c] for c in channels], 8)
    head += column([low for low, _, _ in bounds.values()], 8) + column([high for _, high, _ in bounds.values()], 8)
    head += column([-8388608] * count, 8) + column([8388607] * count, 8)
    head += column(["none"] * count, 80) + column([rate] * count, 8) + column([""] * count, 32)
    digital = np.empty((seconds, count, rate), dtype="<i4")
    for i, (label, values) in enumerate(channels.items()):
        low, high, _ = bounds[label]
        scaled = (values - low) / (high - low) * (2**24 - 1) - 8388608
        digital[:, i] = np.rint(scaled).astype(np.int32).reshape(seconds, rate)
    return head + digital.reshape(-1, 1).view(np.uint8)[:, :3].tobytes()


def random_channels(rng: np.random.Generator, seconds: int, rate: int = RATE) -> dict[str, np.ndarray]:
    """Return 47 channels in the files' units; Status is empty."""
    size = seconds * rate
    channels = {label: rng.normal(0, 50, size) for label in LABELS}
    channels |= {label: 10_000 + rng.normal(0, 300, size) for label in ("EXG1", "EXG2", "EXG3")}
    channels["GSR1"] = rng.uniform(1e5, 5e5) + rng.normal(0, 100, size)
    channels["Temp"] = 31 + rng.normal(0, 0.1, size)
    channels["Status"] = np.zeros(size)
    return channels


@dataclass
class Trial:
    """A stimulus session, to be changed before it is written."""

    subject: int
    trial: int
    clip: float = 2.0
    before: float = 1.0
    after: float = 1.0
    media: str = "69.avi"
    felt: dict[str, int] = field(default_factory=lambda: dict(zip(FELT, (11, 4, 7, 5, 6), strict=True)))
    attributes: dict[str, str | None] = field(default_factory=dict)
    idle: int = 0
    pulses: Sequence[tuple[float, int, int]] | None = None  # time, samples, code
    preamble: int = 23
    gaze: bool = True
    bdf: bool = True
    rate: int = RATE

    @property
    def number(self) -> int:
        return (self.subject - 1) * 130 + 2 * self.trial

    @property
    def seconds(self) -> int:
        return int(np.ceil(self.before + self.clip + self.after))

    @property
    def emotion(self) -> str:
        return EMOTIONS[self.felt["emotion"]]

    @property
    def bdf_name(self) -> str:
        return f"Part_{self.subject}_S_Trial{self.trial}_emotion.bdf"

    @property
    def gaze_name(self) -> str:
        return f"P{self.subject}-Rec1-All-Data-New_Section_{2 * self.trial}.tsv"


def xml(trial: Trial, **changes: str | None) -> str:
    """Return session.xml; a change to None takes an attribute away."""
    attributes: dict[str, str | None] = {
        "sessionId": str(trial.number),
        "date": "2010-01-01",
        "time": "10:00:00.000",
        "experimentType": "emotion elicitation",
        "isStim": "1",
        **{FELT[name]: str(value) for name, value in trial.felt.items()},
        "cutNr": str(2 * trial.trial),
        "cutLenSec": f"{trial.clip:g}",
        "vidRate": "60.97000",
        "audRate": "44100.00",
        "audBeginSmp": "0.0",
        "audEndSmp": "0.0",
        "vidBeginSmp": "100.0",
        "vidEndSmp": f"{100 + 60.97 * trial.clip:.3f}",
        "mediaFile": trial.media,
        **trial.attributes,
        **changes,
    }
    stated = " ".join(f'{name}="{value}"' for name, value in attributes.items() if value is not None)
    video = f"P{trial.subject}-Rec1-2010.01.01.10.00.00_C1 trigger _C_Section_{2 * trial.trial}.avi"
    return (
        '<?xml version="1.0" encoding="utf-8" standalone="yes"?>\n'
        f"<session {stated}>\n"
        f'  <subject id="{trial.subject}" />\n'
        f'  <track type="Video" filename="{video}" color="1">'
        f'<annotation type="Gaze" filename="{trial.gaze_name}" /></track>\n'
        f'  <track type="Physiological" filename="{trial.bdf_name}" />\n'
        "</session>\n"
    )


def tsv(trial: Trial, rng: np.random.Generator) -> tuple[str, np.ndarray, float]:
    """Return the tracker's table, what it holds (8, n), and the seconds from the clip's start to its first sample."""
    count = int(trial.clip * 60)
    started = int(rng.integers(10_000, 90_000))
    late = 5  # ms from MovieStart to the first sample
    times = started + late + np.floor(np.arange(count) * 1000 / 60).astype(int)
    samples = np.round(rng.uniform(1, 1000, (8, count)), 2)
    validity = rng.choice([0, 0, 0, 1, 2, 4], (2, count))
    validity[:, 0] = 0
    rows = [f"Line {i}\tof the preamble" for i in range(trial.preamble)]
    rows.append("\t".join(COLUMNS))
    rows.append(event_row(started, "MovieStart", trial.media))
    truth = samples.copy()
    for i in range(count):
        cells = dict.fromkeys(COLUMNS, "")
        cells |= {"Timestamp": str(times[i]), "Number": str(i)}
        for e, eye in enumerate(("Left", "Right")):
            own = samples[4 * e : 4 * e + 4, i]
            bad = validity[e, i] >= 2
            if bad:
                truth[4 * e : 4 * e + 4, i] = np.nan
            names = ("GazePointX", "GazePointY", "Distance", "Pupil")
            texts = ("-1280.00", "-1024.00", "-1", "-1") if bad else [f"{value:.2f}" for value in own]
            cells |= {f"{name}{eye}": text for name, text in zip(names, texts, strict=True)}
            cells[f"Validity{eye}"] = str(validity[e, i])
        rows.append("\t".join(cells.values()))
        if i == count // 2:
            rows.append(event_row(int(times[i]) + 3, "KeyPress", ""))
    rows.append(event_row(started + round(1000 * trial.clip), "MovieEnd", trial.media))
    return "\ufeff" + "\r\n".join(rows) + "\r\n", truth, late / 1000


def event_row(time: int, event: str, media: str) -> str:
    cells = dict.fromkeys(COLUMNS, "") | {"Timestamp": str(time), "Event": event, "StimuliName": media}
    return "\t".join(cells.values())


def write_trial(sessions: Path, trial: Trial, rng: np.random.Generator) -> Expected:
    """Write a session's folder; return what a reader with its defaults must give."""
    folder = sessions / str(trial.number)
    folder.mkdir(parents=True)
    channels = random_channels(rng, trial.seconds, trial.rate)
    status = np.full(trial.seconds * trial.rate, trial.idle)
    pulses = trial.pulses
    if pulses is None:
        pulses = [(trial.before, 4, 16), (trial.before + trial.clip, 4, 16)]
    for time, width, code in pulses:
        first = round(time * trial.rate)
        status[first : first + width] = (trial.idle & ~0xFF) | code
    channels["Status"] = status
    (folder / "session.xml").write_text(xml(trial), encoding="utf-8")
    if trial.bdf:
        (folder / trial.bdf_name).write_bytes(bdf(channels, rate=trial.rate))
    (folder / f"P{trial.subject}-Rec1-Audio_Section_{2 * trial.trial}.wav").write_bytes(b"RIFF")
    signals = {
        "eeg": ExpectedSignal(np.stack([channels[site] for site in SITES]), trial.rate, SITES, atol=0.02),
        "ecg": ExpectedSignal(
            (channels["EXG2"] - channels["EXG3"])[None] / 1000, trial.rate, ("EXG2-EXG3",), atol=4e-5
        ),
        "eda": ExpectedSignal(1e6 / channels["GSR1"][None], trial.rate, ("GSR1",), rtol=1e-5),
        "resp": ExpectedSignal(channels["Resp"][None], trial.rate, ("Resp",), atol=0.02),
        "temp": ExpectedSignal(channels["Temp"][None], trial.rate, ("Temp",), atol=1e-5),
    }
    if trial.gaze:
        text, truth, late = tsv(trial, rng)
        (folder / trial.gaze_name).write_text(text, encoding="utf-8", newline="")
        signals["gaze"] = ExpectedSignal(truth, 60, GAZE, start=trial.before + late)
    clip = (trial.before, trial.before + trial.clip)
    events = [("baseline", 0.0, clip[0]), ("clip", *clip)]
    if "emotion" in trial.felt:
        events.append((trial.emotion, *clip))
    events.append(("after", clip[1], float(trial.seconds)))
    return Expected(
        subject=f"P{trial.subject}",
        session=str(trial.number),
        trial=f"trial{trial.trial:02d}",
        order=trial.trial - 1,
        signals=signals,
        ratings={name: float(value) for name, value in trial.felt.items()},
        events=events,
    )


def write_neutral(sessions: Path, subject: int, cut: int, rng: np.random.Generator) -> None:
    """Write what was shown between two clips: an odd cut, without ratings."""
    trial = Trial(subject, 1, clip=1.0, felt={})
    folder = sessions / str((subject - 1) * 130 + cut)
    folder.mkdir(parents=True)
    name = f"Part_{subject}_N_Trial{cut // 2 + 1}_emotion.bdf"
    text = xml(trial, sessionId=folder.name, isStim="0", cutNr=str(cut), mediaFile="colorbars_final.avi")
    (folder / "session.xml").write_text(text.replace(trial.bdf_name, name), encoding="utf-8")
    (folder / name).write_bytes(bdf(random_channels(rng, 1)))


def write_labels(file: Path, rows: Mapping[tuple[int, int], np.ndarray], rng: np.random.Generator) -> None:
    """Write the continuous valence; rows in an order of their own, so that only a match by key serves."""
    from scipy.io import savemat

    keys = [list(rows)[i] for i in rng.permutation(len(rows))]
    cells = np.empty((len(keys), 1), dtype=object)
    for i, key in enumerate(keys):
        cells[i, 0] = np.atleast_2d(rows[key])
    content: dict[str, Any] = {"trials_included": np.array(keys, dtype=np.uint8).reshape(-1, 2), "labels": cells}
    savemat(file, content)


def _trials(rng: np.random.Generator) -> list[Trial]:
    """Return clips of subjects with gaps between their numbers, each with an order of clips of its own."""
    trials = []
    for subject in (2, 14, 21):
        media = rng.permutation(["69.avi", "111.avi", "30.avi"]).tolist()
        for place, k in enumerate((1, 2, 10)):
            felt = dict(zip(FELT, (int(rng.choice(list(EMOTIONS))), *map(int, rng.integers(1, 10, 4))), strict=True))
            clip = float(rng.integers(4, 9)) / 4
            trials.append(Trial(subject, k, clip=clip, media=media[place], felt=felt))
    return trials


def _write(folder: Path, rng: np.random.Generator, trials: Sequence[Trial]) -> tuple[list[Expected], list[Path]]:
    sessions = folder / "Sessions"
    expected = [write_trial(sessions, trial, rng) for trial in trials]
    for subject in dict.fromkeys(trial.subject for trial in trials):
        write_neutral(sessions, subject, 1, rng)
    (folder / "Subjects").mkdir()
    (sessions / "desktop.ini").write_text("[x]")
    return expected, [file for trial in trials for file in _files(sessions, trial)]


def _files(sessions: Path, trial: Trial) -> list[Path]:
    return [sessions / str(trial.number) / name for name in (trial.bdf_name, trial.gaze_name)]


@corpus("mahnob-hci")
def write(folder: Path, rng: np.random.Generator) -> Written:
    """Three subjects with three clips each, in an order of their own, and what was shown before the first."""
    expected, files = _write(folder, rng, _trials(rng))
    return Written(folder, expected, signal_files=files)


@corpus("mahnob-hci", "continuous")
def write_continuous(folder: Path, rng: np.random.Generator) -> Written:
    """As above, with continuous valence of some of the clips; one of them was not rated otherwise."""
    trials = _trials(rng)
    trials[4].felt = {}
    expected, _ = _write(folder, rng, trials)
    chosen = sorted([*rng.permutation([0, 1, 2, 3, 5, 6])[:4].tolist(), 4])
    rows = {
        (trials[i].subject, 2 * trials[i].trial): rng.uniform(-0.3, 0.4, (1, round(4 * trials[i].clip))) for i in chosen
    }
    write_labels(folder / "lable_continous_Mahnob.mat", rows, rng)
    with_traces = []
    for i, values in zip(chosen, rows.values(), strict=True):
        times = trials[i].before + np.arange(values.size) / 4
        with_traces.append(replace(expected[i], traces={"valence": (times, values.ravel())}))
    used = [file for i in chosen for file in _files(folder / "Sessions", trials[i])]
    return Written(folder, with_traces, options={"annotation": "continuous_valence"}, signal_files=used)
