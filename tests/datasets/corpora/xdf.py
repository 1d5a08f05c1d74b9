"""XDF: chunks of XML, of samples with time stamps and of measurements of clocks, as LabRecorder writes them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from corpora import Expected, ExpectedSignal, Written, corpus

BOUNDARY = bytes.fromhex("43a546dccbf5410fb30ed5467383cbe4")
DTYPES = {"double64": "<f8", "float32": "<f4", "int64": "<i8", "int32": "<i4", "int16": "<i2", "int8": "<i1"}


def varlen(n: int, width: int = 0) -> bytes:
    width = width or (1 if n < 256 else 4 if n < 2**32 else 8)
    return bytes([width]) + n.to_bytes(width, "little")


def chunk(tag: int, content: bytes, width: int = 0) -> bytes:
    return varlen(len(content) + 2, width) + struct.pack("<H", tag) + content


@dataclass
class XdfStream:
    """What one stream of a file is to hold.

    Parameters
    ----------
    samples : ndarray of shape (n, n_channels), or sequence of str or tuples of str
    stamps : ndarray of shape (n,)
        Seconds on the sender's clock; NaN for those that are left to be deduced.
    offsets : sequence of (float, float)
        When the sender's clock was compared, and what had to be added.
    sizes : int
        Samples per chunk.
    stated : int, optional
        The footer's count; -1 for no footer.
    """

    name: str
    kind: str
    rate: float
    samples: Sequence[object] | np.ndarray
    stamps: np.ndarray
    format: str = "float32"
    labels: Sequence[str] | None = None
    units: Sequence[str] | None = None
    kinds: Sequence[str] | None = None
    offsets: Sequence[tuple[float, float]] = ()
    sizes: int = 32
    stated: int | None = None
    extra: str = ""
    channels: int = 0
    replace: Mapping[str, str] = field(default_factory=dict)

    def header(self) -> bytes:
        first = self.samples[0] if len(self.samples) else ()
        n = self.channels or (len(first) if isinstance(first, tuple | np.ndarray) else 1)
        listed = ""
        if self.labels is not None or self.units is not None or self.kinds is not None:
            count = len(self.labels or self.units or self.kinds or ())
            for i in range(count):
                listed += "<channel>"
                for tag, values in (("label", self.labels), ("unit", self.units), ("type", self.kinds)):
                    listed += f"<{tag}>{values[i]}</{tag}>" if values is not None else ""
                listed += "</channel>"
            listed = f"<channels>{listed}</channels>"
        text = (
            f'<?xml version="1.0"?><info><name>{self.name}</name><type>{self.kind}</type>'
            f"<channel_count>{n}</channel_count><nominal_srate>{self.rate:.15f}</nominal_srate>"
            f"<channel_format>{self.format}</channel_format><source_id>id-{self.name}</source_id><version>1.1</version>"
            f"<created_at>1000.5</created_at><uid>0</uid><session_id>default</session_id><hostname>lab</hostname>"
            f"<desc>{listed}{self.extra}</desc></info>"
        )
        for old, new in self.replace.items():
            assert old in text
            text = text.replace(old, new)
        return text.encode()

    def chunks(self, number: int) -> list[tuple[float, bytes]]:
        """Return the chunks of samples and clocks with the time at which they were written."""
        made = []
        if self.format != "string":
            self.samples = np.ascontiguousarray(self.samples, dtype=DTYPES[self.format])
        for first in range(0, len(self.stamps), self.sizes):
            stamps = self.stamps[first : first + self.sizes]
            body = b""
            for stamp, row in zip(stamps, self.samples[first : first + self.sizes], strict=True):
                body += b"\0" if np.isnan(stamp) else b"\x08" + struct.pack("<d", stamp)
                if self.format == "string":
                    texts = row if isinstance(row, tuple) else (row,)
                    body += b"".join(varlen(len(str(t).encode())) + str(t).encode() for t in texts)
                else:
                    body += row.tobytes()
            content = struct.pack("<I", number) + varlen(len(stamps), 4) + body
            made.append((float(np.nanmax(stamps, initial=0.0)), chunk(3, content, 4)))
        for time, value in self.offsets:
            made.append((time, chunk(4, struct.pack("<Idd", number, time, value))))
        return made


def xdf_bytes(
    streams: Sequence[XdfStream] | Mapping[int, XdfStream],
    *,
    started: str = "2024-03-01T10:00:00+0100",
    interleaved: bool = True,
) -> bytes:
    """A file of these streams, numbered from 1 unless numbers are given; chunks by time, or stream by stream."""
    numbered = streams if isinstance(streams, Mapping) else dict(enumerate(streams, start=1))
    head = f'<?xml version="1.0"?><info><version>1.0</version><datetime>{started}</datetime></info>'
    out = [b"XDF:", chunk(1, head.encode())]
    out += [chunk(2, struct.pack("<I", number) + s.header(), 4) for number, s in numbered.items()]
    body = [timed for number, s in numbered.items() for timed in s.chunks(number)]
    if interleaved:
        body.sort(key=lambda timed: timed[0])
    for k, (_, content) in enumerate(body):
        if k % 20 == 10:
            out.append(chunk(5, BOUNDARY))
        out.append(content)
    for number, s in numbered.items():
        stated = len(s.stamps) if s.stated is None else s.stated
        if stated >= 0:
            text = f'<?xml version="1.0"?><info><sample_count>{stated}</sample_count><clock_offsets/></info>'
            out.append(chunk(6, struct.pack("<I", number) + text.encode()))
    return b"".join(out)


def steady(start: float, n: int, rate: float) -> np.ndarray:
    return start + np.arange(n) / rate


def offsets(start: float, seconds: float, value: float) -> list[tuple[float, float]]:
    return [(float(t), value) for t in np.arange(start, start + seconds + 1, 1.0)]


def _recording(
    rng: np.random.Generator, seconds: int, labels: Sequence[str]
) -> tuple[
    list[XdfStream], dict[str, ExpectedSignal], list[tuple[str, float, float]], dict[str, tuple[np.ndarray, np.ndarray]]
]:
    """Three devices on clocks of their own: an amplifier with an EOG, a wristband, and the marks of the experiment."""
    amplifier, wrist, marks = (float(v) for v in rng.uniform(1000, 5000, 3))  # what their clocks say when all begins
    common = float(rng.uniform(10_000, 20_000))  # what the recorder's says then
    eeg = rng.normal(0, 20, (64 * seconds, len(labels))).astype("<f4")
    eda = rng.uniform(1, 5, (4 * seconds, 1)).astype("<f4")
    acc = rng.integers(-2000, 2000, (32 * seconds, 3))
    late = 0.25
    conditions = [f"block{k}" for k in rng.permutation(3)]
    times = np.arange(3) * (seconds / 3) + 0.5
    rating_times = np.sort(rng.uniform(0.2, seconds - 0.2, 5))
    ratings = rng.uniform(0, 9, 5).astype("<f4")
    units = ["microvolts"] * (len(labels) - 1) + ["volts"]
    kinds = ["EEG"] * (len(labels) - 1) + ["EOG"]
    texts, at = [], []
    for time, condition in zip(times, conditions, strict=True):
        texts += [f"{condition}_start", f"{condition}_end"]
        at += [time, time + seconds / 4]
    stamps = steady(amplifier, len(eeg), 64)
    stamps[1::3] = np.nan  # as LabRecorder leaves out what follows from the one before
    streams = [
        XdfStream(
            "Amp", "EEG", 64, eeg, stamps, labels=labels, units=units, kinds=kinds,
            offsets=offsets(amplifier, seconds, common - amplifier),
        ),
        XdfStream(
            "Wrist-GSR", "GSR", 4, eda, steady(wrist + late, len(eda), 4), labels=["GSR"], units=["microsiemens"],
            offsets=offsets(wrist, seconds, common - wrist), sizes=8,
        ),
        XdfStream(
            "Wrist-ACC", "Accelerometer", 32, acc, steady(wrist + late, len(acc), 32), format="int16",
            labels=["x", "y", "z"], units=["mg"] * 3, offsets=offsets(wrist, seconds, common - wrist),
        ),
        XdfStream(
            "Marks", "Markers", 0, texts, marks + np.array(at), format="string", sizes=1,
            offsets=offsets(marks, seconds, common - marks),
        ),
        XdfStream(
            "Slider", "Rating", 0, ratings[:, None], marks + rating_times, sizes=1,
            offsets=offsets(marks, seconds, common - marks),
        ),
        XdfStream("Idle", "ECG", 250, np.empty((0, 1)), np.empty(0), channels=1),
    ]  # fmt: skip
    signals = {
        "eeg": ExpectedSignal(eeg[:, :-1].T.astype(np.float64), 64, tuple(labels[:-1])),
        "eog": ExpectedSignal(eeg[:, -1:].T.astype(np.float64) * 1e6, 64, (labels[-1],)),
        "eda": ExpectedSignal(eda.T.astype(np.float64), 4, ("GSR",), start=late),
        "acc": ExpectedSignal(acc.T / 1000, 32, ("x", "y", "z"), start=late),
    }
    events = [(name, float(t), float(t + seconds / 4)) for name, t in zip(conditions, times, strict=True)]
    return streams, signals, events, {"Slider": (rating_times, ratings)}


def _shuffled(rng: np.random.Generator, streams: Sequence[XdfStream]) -> dict[int, XdfStream]:
    """Give streams numbers in an order of their own, as they were found on the network."""
    numbers = rng.choice(np.arange(1, 50), len(streams), replace=False)
    return {int(n): streams[k] for n, k in zip(numbers, rng.permutation(len(streams)), strict=True)}


def _expected(
    file: Path, rng: np.random.Generator, subject: str, *, session: str = "", trial: str = "", order: int = 0
) -> Expected:
    labels = [*rng.permutation(["Fz", "Cz", "Pz", "O1"]).tolist(), "EOG1"]
    streams, signals, events, traces = _recording(rng, int(rng.integers(9, 14)), labels)
    signals["eog"] = ExpectedSignal(signals["eog"].data, 64, ("EOG1",), rtol=1e-5)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(xdf_bytes(_shuffled(rng, streams), started=f"2024-03-01T1{order}:00:00+0100"))
    return Expected(subject, signals, session, trial, order, events=events, traces=traces)


@corpus("xdf")
def write(folder: Path, rng: np.random.Generator) -> Written:
    """Three files side by side, the subject in the file's name."""
    names = ("P1", "P2", "P10")
    recordings = [_expected(folder / f"{name}.xdf", rng, name) for name in names]
    return Written(folder, recordings, signal_files=[folder / f"{name}.xdf" for name in names])


@corpus("xdf", "labrecorder")
def write_labrecorder(folder: Path, rng: np.random.Generator) -> Written:
    """Folders and names as LabRecorder's template makes them."""
    recordings, files = [], []
    for subject, runs in (("P001", (1, 2, 10)), ("P002", (1,))):
        for order, run in enumerate(runs):
            stem = f"sub-{subject}_ses-S001_task-film_run-{run}"
            files.append(folder / f"sub-{subject}" / "ses-S001" / "eeg" / f"{stem}_eeg.xdf")
            name = {"session": "S001", "trial": f"task-film_run-{run}", "order": order}
            recordings.append(_expected(files[-1], rng, subject, **name))
    return Written(folder, recordings, signal_files=files)
