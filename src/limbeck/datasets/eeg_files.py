"""BrainVision and EEGLAB files, beside EDF and BDF, as channels with names, units and values.

BrainVision Core Data Format 1.0 (Brain Products): a text header (``.vhdr``) that names a file of samples (``.eeg``) and
one of markers (``.vmrk``). EEGLAB (Delorme & Makeig, J. Neurosci. Methods 134:9, 2004): a MATLAB struct ``EEG``, its
samples in it or beside it (``.fdt``).

Headers may point anywhere, so the file of samples is only ever one of those that the caller has found beside it. What
MNE makes of the same files is what the tests compare with.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from limbeck.datasets import edf, matlab
from limbeck.datasets.files import read_bytes
from limbeck.datasets.numbers import shown
from limbeck.errors import ReadError
from limbeck.recording import Event, LeftOut

__all__ = ["MAIN_SUFFIXES", "EegFile", "RawChannel", "read_eeg_file"]

MAIN_SUFFIXES = (".vhdr", ".edf", ".bdf", ".set")
"""How the files end that are asked for; those that they point to lie beside them."""

_MOST_CHANNELS = 10_000
_BLOCK = 2**14  # samples that are turned from time-by-channel into channel-by-time at once


@dataclass(frozen=True)
class RawChannel:
    """One channel: its name and unit as written, its rate in Hz, and what returns its values in that unit (float64)."""

    name: str
    unit: str
    rate: float
    n_times: int
    read: Callable[[], np.ndarray]


@dataclass(frozen=True)
class EegFile:
    """What a file holds: its channels, the events that it marks itself, and what is odd about it."""

    channels: tuple[RawChannel, ...]
    events: Callable[[], list[Event]]
    notes: tuple[LeftOut, ...] = ()


def read_eeg_file(path: Path, beside: Sequence[Path] = ()) -> EegFile:
    """Read what a file says about itself; samples of EDF and BDF are read channel by channel, others at once.

    Parameters
    ----------
    path : Path
        One that ends as `MAIN_SUFFIXES` say.
    beside : sequence of Path
        The files that may be opened along with it: nothing else is, whatever the header points to.

    Returns
    -------
    EegFile

    Raises
    ------
    ReadError
        It is damaged, or a kind that cannot be used: compressed, cut into epochs, in the frequency domain.
    """
    suffix = path.suffix.lower()
    if suffix == ".vhdr":
        return _brainvision(path, beside)
    if suffix == ".set":
        return _eeglab(path, beside)
    return _edf(path)


def _edf(path: Path) -> EegFile:
    header = edf.read_header(path)
    channels = tuple(
        RawChannel(c.label, c.unit, c.rate, c.samples * header.n_records, partial(edf.read_channel, header, c))
        for c in header.channels
        if edf.classify(c.label) is not None or c.label  # those without a label cannot be meant by anyone
    )
    return EegFile(channels, partial(_edf_events, header))


def _edf_events(header: edf.Header) -> list[Event]:
    return [Event(a.text, a.onset, a.onset + a.duration) for a in edf.read_annotations(header)]


class _Samples:
    """Samples that lie in a file time by time, turned round once for all channels."""

    def __init__(self, file: Path, dtype: str, n_channels: int, n_times: int, *, by_time: bool) -> None:
        self._file, self._dtype = file, dtype
        self._shape = (n_times, n_channels) if by_time else (n_channels, n_times)
        self._by_time = by_time
        self._rows: np.ndarray | None = None

    def row(self, number: int, scale: float) -> np.ndarray:
        if self._rows is None:
            self._rows = self._read()
        with np.errstate(all="ignore"):  # what is no number in the file becomes a missing sample later
            return self._rows[number].astype(np.float64) * scale

    def _read(self) -> np.ndarray:
        try:
            stored = np.memmap(self._file, dtype=self._dtype, mode="r", shape=self._shape)
        except (OSError, ValueError) as error:  # the file changed since it was measured
            raise ReadError(self._file, found=str(error), expected="samples as the header says") from error
        if not self._by_time:
            return stored
        rows = np.empty(self._shape[::-1], dtype=stored.dtype.newbyteorder("="))
        for start in range(0, self._shape[0], _BLOCK):
            rows[:, start : start + _BLOCK] = stored[start : start + _BLOCK].T
        return rows


# ---------------------------------------------------------------------------------------------------------------------
# BrainVision
# ---------------------------------------------------------------------------------------------------------------------

_FORMATS = {"INT_16": "i2", "UINT_16": "u2", "INT_32": "i4", "IEEE_FLOAT_32": "f4", "IEEE_FLOAT_64": "f8"}


def _sections(path: Path, limit: int) -> dict[str, dict[str, str]]:
    """Return the entries of a header or marker file by section, both in lower case; comments are dropped."""
    raw = read_bytes(path, limit=limit)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:  # older recorders write the code page of their country
        text = raw.decode("latin-1")
    if not re.match(r"\s*Brain\s?Vision", text, re.IGNORECASE):
        expected = "a line that begins with 'Brain Vision Data Exchange'"
        raise ReadError(path, where="row 1", found=shown(text.split("\n", 1)[0].strip()), expected=expected)
    sections: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[1:]:
        line = line.strip()
        if line.startswith("[") and line.endswith("]"):
            current = sections.setdefault(line[1:-1].strip().lower(), {})
        elif line and not line.startswith(";") and "=" in line:
            key, _, value = line.partition("=")
            current.setdefault(key.strip().lower(), value.strip())
    return sections


def _entry(path: Path, entries: Mapping[str, str], key: str) -> str:
    if key.lower() not in entries:
        raise ReadError(path, found=f"no entry '{key}'", expected="a header with all its entries")
    return entries[key.lower()]


def _positive(path: Path, where: str, text: str) -> float:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and 0 < value < 1e12):
        raise ReadError(path, where=where, found=shown(text), expected="a positive number")
    return value


def _brainvision(path: Path, beside: Sequence[Path]) -> EegFile:
    sections = _sections(path, 2**22)
    common = sections.get("common infos", {})
    for key, only, why in (
        ("DataFormat", "BINARY", "text is not read"),
        ("DataType", "TIMEDOMAIN", "spectra are not read"),
        ("SegmentationType", "NOTSEGMENTED", "epochs have no continuous time"),
    ):
        if common.get(key.lower(), only).upper() != only:
            found = shown(common[key.lower()])
            raise ReadError(path, where=key, found=found, expected=f"{only}: {why}", advice="Export it once more so.")
    count = int(_positive(path, "NumberOfChannels", _entry(path, common, "NumberOfChannels")))
    listed = _brainvision_channels(path, sections.get("channel infos", {}), count)
    kind = _entry(path, sections.get("binary infos", {}), "BinaryFormat").upper()
    if kind not in _FORMATS:
        raise ReadError(path, where="BinaryFormat", found=shown(kind), expected=f"one of {', '.join(_FORMATS)}")
    big = sections["binary infos"].get("usebigendianorder", "NO").upper() == "YES"
    dtype = np.dtype((">" if big else "<") + _FORMATS[kind])
    rate = 1e6 / _positive(path, "SamplingInterval", _entry(path, common, "SamplingInterval"))
    data, notes = _companion(path, _entry(path, common, "DataFile"), beside, (".eeg", ".dat"))
    size = _size(data)
    n_times, rest = divmod(size, dtype.itemsize * len(listed))
    if n_times == 0:
        raise ReadError(data, found=f"{size} bytes", expected=f"samples of {len(listed)} channels")
    stated = common.get("datapoints", "")
    if stated.isdecimal() and len(stated) < 16 and int(stated) > n_times:
        advice = "The file was cut: copy it again from where it was recorded."
        found = f"{n_times} samples per channel"
        raise ReadError(data, found=found, expected=f"{stated}, as {path.name} says", advice=advice)
    if rest:
        notes.append(LeftOut(f"{data}: end", f"the last {rest} bytes are not a sample of every channel"))
    by_time = common.get("dataorientation", "MULTIPLEXED").upper() != "VECTORIZED"
    samples = _Samples(data, dtype.str, len(listed), n_times, by_time=by_time)
    channels = tuple(
        RawChannel(name, unit, rate, n_times, partial(samples.row, i, scale))
        for i, (name, unit, scale) in enumerate(listed)
    )
    named = common.get("markerfile", "")
    return EegFile(channels, partial(_markers, path, named, tuple(beside), rate), tuple(notes))


def _brainvision_channels(path: Path, entries: Mapping[str, str], count: int) -> list[tuple[str, str, float]]:
    """Return name, unit and resolution of each channel."""
    if not 1 <= count <= _MOST_CHANNELS or any(f"ch{i + 1}" not in entries for i in range(count)):
        found = f"{count} channels and {len(entries)} entries in [Channel Infos]"
        raise ReadError(path, where="NumberOfChannels", found=found, expected="an entry Ch1=..., Ch2=... per channel")
    listed = []
    for i in range(count):
        name, _, resolution, unit = (*entries[f"ch{i + 1}"].split(","), "", "", "")[:4]
        scale = _positive(path, f"Ch{i + 1}", resolution) if resolution.strip() else 1.0
        listed.append((name.replace("\\1", ",").strip(), unit.strip() or "µV", scale))
    return listed


def _companion(path: Path, named: str, beside: Sequence[Path], suffixes: Sequence[str]) -> tuple[Path, list[LeftOut]]:
    """Return the file that a header points to, by its name among those beside it; else the one with the same stem."""
    wanted = PurePosixPath(named.replace("\\", "/").replace("$b", path.stem)).name
    by_name = {file.name: file for file in beside}
    if wanted in by_name and named.replace("$b", path.stem) == wanted:
        return by_name[wanted], []
    same = [file for file in beside if file.stem == path.stem and file.suffix.lower() in suffixes]
    if not same:
        found = f"no {shown(named)} beside it"
        raise ReadError(path, found=found, expected="its file of samples", advice="Copy all files of the recording.")
    why = f"points to {shown(named)}, which is not beside it under that name; {same[0].name} is read"
    return same[0], [LeftOut(str(path), why)]


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError as error:
        raise ReadError(file, found=error.strerror or str(error), expected="a file of samples") from error


def _markers(path: Path, named: str, beside: Sequence[Path], rate: float) -> list[Event]:
    """Return the markers of a recording as events, without those that only say that it began."""
    if not named and not any(file.suffix.lower() == ".vmrk" for file in beside):
        return []
    file, _ = _companion(path, named, beside, (".vmrk",))
    events = []
    for key, value in _sections(file, 2**24).get("marker infos", {}).items():
        fields = value.split(",")
        if not re.fullmatch(r"mk\d+", key) or len(fields) < 4 or fields[0].strip().lower() == "new segment":
            continue
        kind, text, place, length = (field.replace("\\1", ",").strip() for field in fields[:4])
        if not (re.fullmatch(r"\d{1,15}", place) and re.fullmatch(r"\d{1,15}", length)):
            expected = "type, description, position and number of samples"
            raise ReadError(file, where=key, found=shown(value), expected=expected)
        start = (int(place) - 1) / rate
        events.append(Event(text or kind, start, start + (int(length) / rate if int(length) > 1 else 0.0)))
    return events


# ---------------------------------------------------------------------------------------------------------------------
# EEGLAB
# ---------------------------------------------------------------------------------------------------------------------

_SET_FIELDS = ("nbchan", "pnts", "trials", "srate", "data", "chanlocs", "event")


def _eeglab(path: Path, beside: Sequence[Path]) -> EegFile:
    content: Mapping[str, Any] = matlab.load(path, [n for n in matlab.names(path) if n == "EEG" or n in _SET_FIELDS])
    if "EEG" in content:
        if not isinstance(content["EEG"], Mapping):
            raise ReadError(path, where="EEG", found=f"a {type(content['EEG']).__name__}", expected="one struct")
        content = content["EEG"]
    n_channels, n_times, n_trials = (_whole(path, content, name) for name in ("nbchan", "pnts", "trials"))
    if n_trials > 1:
        found = f"{n_trials} epochs"
        raise ReadError(path, where="EEG.trials", found=found, expected="one continuous recording (trials = 1)")
    rate = _scalar(path, content, "srate")
    if not (math.isfinite(rate) and 0 < rate < 1e7):
        raise ReadError(path, where="EEG.srate", found=f"{rate}", expected="a rate in Hz")
    names = _eeglab_names(content.get("chanlocs"), n_channels)
    data, notes = content.get("data"), list[LeftOut]()
    if isinstance(data, str):
        file, notes = _companion(path, data, beside, (".fdt",))
        if _size(file) != 4 * n_channels * n_times:
            found, expected = (
                f"{_size(file)} bytes",
                f"{n_channels} x {n_times} numbers of 4 bytes, as {path.name} says",
            )
            raise ReadError(file, found=found, expected=expected)
        samples = _Samples(file, "<f4", n_channels, n_times, by_time=True)
        reads = [partial(samples.row, i, 1.0) for i in range(n_channels)]
    else:
        if not isinstance(data, np.ndarray) or data.dtype.kind not in "iuf" or data.shape != (n_channels, n_times):
            found = f"an array of the shape {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
            raise ReadError(path, where="EEG.data", found=found, expected=f"numbers of {n_channels} x {n_times}")
        reads = [partial(np.asarray, row, np.float64) for row in data]
    channels = tuple(RawChannel(name, "µV", rate, n_times, read) for name, read in zip(names, reads, strict=True))
    return EegFile(channels, partial(_eeglab_events, path, content.get("event"), rate), tuple(notes))


def _scalar(path: Path, content: Mapping[str, Any], name: str) -> float:
    value = content.get(name)
    if not isinstance(value, np.ndarray) or value.size != 1 or value.dtype.kind not in "iufb":
        raise ReadError(path, where=f"EEG.{name}", found="no single number", expected="one number")
    return float(value.ravel()[0])


def _whole(path: Path, content: Mapping[str, Any], name: str) -> int:
    value = _scalar(path, content, name)
    if not (1 <= value <= 1e12 and value == int(value)) or (name == "nbchan" and value > _MOST_CHANNELS):
        raise ReadError(path, where=f"EEG.{name}", found=f"{value:g}", expected="a whole number from 1")
    return int(value)


def _structs(value: Any) -> list[Mapping[str, Any]]:
    """Return the elements of a struct array; v7.3 stores the fields as arrays of their own."""
    if isinstance(value, np.ndarray) and value.dtype == object:
        return [item for item in value.ravel() if isinstance(item, Mapping)]
    if not isinstance(value, Mapping):
        return []
    columns = {name: column.ravel() for name, column in value.items() if _is_objects(column)}
    if not columns or len(columns) < len(value):
        return [value]
    length = min(len(column) for column in columns.values())
    return [{name: column[i] for name, column in columns.items()} for i in range(length)]


def _is_objects(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == object


def _eeglab_names(chanlocs: Any, count: int) -> list[str]:
    labels = [item.get("labels") for item in _structs(chanlocs)]
    if len(labels) != count or not all(isinstance(label, str) and label.strip() for label in labels):
        return [f"channel {i + 1}" for i in range(count)]
    return [str(label).strip() for label in labels]


def _eeglab_events(path: Path, value: Any, rate: float) -> list[Event]:
    events = []
    for item in _structs(value):
        try:
            start = (_scalar(path, item, "latency") - 1) / rate  # MATLAB counts samples from 1
        except ReadError:
            continue
        if not math.isfinite(start):
            continue
        length = item.get("duration")
        seconds = _only(length) / rate if _is_number(length) else 0.0
        kind = item.get("type", "")
        name = f"{_only(kind):g}" if _is_number(kind) else str(kind) if isinstance(kind, str) else ""
        events.append(Event(name or "event", start, start + (seconds if math.isfinite(seconds) and seconds > 0 else 0)))
    return events


def _is_number(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "iuf"


def _only(value: Any) -> float:
    return float(value.ravel()[0])
