"""XDF files of the Lab Streaming Layer: streams of several devices, with time stamps and measurements of their clocks.

A file is ``XDF:`` and chunks: a length, a tag and a content, which is XML (headers and footers of streams), samples
with time stamps, measurements of how far a stream's clock was from the recorder's, or a mark to find one's place again
(github.com/sccn/xdf, "Specifications", version 1.0; Kothe et al., The Lab Streaming Layer for Synchronized Multimodal
Recording, Imaging Neuroscience 3, 2025).

The chunks are read here and not by pyxdf, which follows lengths and counts wherever they lead, leaves entities of XML
to be expanded and reads sample by sample. The tests compare times and values with pyxdf's. In one thing its times are
not followed: it takes a gap of less than 500 samples to be jitter, which for skin conductance at 4 Hz are two minutes
by which everything before and behind would move.
"""

from __future__ import annotations

import datetime
import itertools
import math
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from limbeck.datasets import Check, DatasetInfo, dataset, locate, markup
from limbeck.datasets.clocks import BREAK, Steady, dejitter, place, robust_line
from limbeck.datasets.edf import classify, doubtful, to_unit
from limbeck.datasets.files import chosen, inside, is_inside, sources_inside, visible
from limbeck.datasets.numbers import shown
from limbeck.errors import DataError, ReadError, did_you_mean
from limbeck.recording import (
    MODALITIES,
    UNITS,
    Clock,
    Corpus,
    Event,
    LeftOut,
    Recording,
    Signal,
    Source,
    Trace,
    which_modality,
)

__all__ = ["Stream", "list_sessions", "looks_like", "read_recording", "read_streams", "synchronised", "xdf"]

_MODULES = tuple(f"limbeck.datasets.{name}" for name in ("xdf", "clocks", "edf", "files", "markup"))
_MAGIC = b"XDF:"
_BOUNDARY = bytes.fromhex("43a546dccbf5410fb30ed5467383cbe4")
_FILE_HEADER, _STREAM_HEADER, _SAMPLES, _CLOCK_OFFSET, _MARK, _STREAM_FOOTER = range(1, 7)
_ADVICE = "The file is damaged: copy it again from where it was recorded."

_FORMATS = {
    "double64": "<f8", "float32": "<f4", "int64": "<i8", "int32": "<i4", "int16": "<i2", "int8": "<i1", "string": "",
}  # fmt: skip

_MOST_CHUNKS = 10_000_000
_MOST_STREAMS = 1000
_MOST_CHANNELS = 65_536
_MOST_MARKERS = 1_000_000
_LARGEST_HEADER = 4 * 2**20  # bytes of XML; a cap of 256 electrodes with their positions has 0.1 MiB
_LARGEST_HEADERS = 32 * 2**20
_HIGHEST_RATE = 1e6
_WINSOR = 1e-4  # seconds beyond which a measurement of a clock counts by its side only, as in pyxdf
_RATE_TOLERANCE = 0.01  # share by which the time stamps' rate may differ from the nominal one
_DEEPEST = 4  # folders: sub-P001/ses-S001/eeg in one more
_MOST_ENTRIES = 20_000  # of a folder and those in it, that are looked at to see what it is

_TYPES = {
    "eeg": ("eeg",),
    "ecg": ("ecg", "ekg"),
    "emg": ("emg",),
    "eog": ("eog",),
    "eda": ("eda", "gsr", "scl", "electrodermal", "skin conductance"),
    "bvp": ("bvp", "ppg", "pleth", "photoplethysmography"),
    "resp": ("resp", "rsp", "rip", "respiration", "breathing"),
    "temp": ("temp", "skt", "temperature"),
    "acc": ("acc", "accel", "accelerometer", "acceleration", "accelerometry"),
    "gaze": ("gaze",),
}
_BY_TYPE = {word: modality for modality, words in _TYPES.items() for word in words}
_MARKER_TYPES = ("marker", "markers", "event", "events", "trigger", "triggers", "stim", "stimulus", "annotations")
_NO_SIGNALS = ("aux", "misc", "trig", "trigger", "stim", "status", "counter", "ref", "impedance", "battery", "gyro")
_NO_SIGNAL_LABEL = re.compile(
    r"trig|stim|status|counter|marker|time_?stamp|packet|interpolated|gyro|battery|impedance|(^|_)cq(_|$)",
    re.IGNORECASE,
)
_NO_EEG_LABEL = re.compile(r"^acc|(^|[ _])aux", re.IGNORECASE)  # a headset's further inputs, where it names no types

_UNIT_WORDS = {
    "microvolts": "uV", "microvolt": "uV", "millivolts": "mV", "millivolt": "mV", "volts": "V", "volt": "V",
    "nanovolts": "nV", "nanovolt": "nV", "microsiemens": "uS", "siemens": "S", "millisiemens": "mS",
    "nanosiemens": "nS", "ohms": "Ohm", "kiloohm": "kOhm", "kiloohms": "kOhm", "kohms": "kOhm", "megaohm": "MOhm",
    "degrees celsius": "C", "degree celsius": "C", "kelvin": "K", "fahrenheit": "F", "gs": "g", "milli-g": "mg",
    "m/s/s": "m/s2", "ms-2": "m/s2", "ms^-2": "m/s2", "meters/second^2": "m/s2", "metres/second^2": "m/s2",
}  # fmt: skip

_PAIR = re.compile(r"(?P<name>.+?)[\s_:./-]?(?P<edge>start|begin|end|stop)", re.IGNORECASE | re.DOTALL)

Markers = Literal["intervals", "next", "points"]
"""What becomes of markers: see :func:`xdf`."""


@dataclass(frozen=True)
class _Channel:
    label: str
    kind: str
    unit: str


@dataclass
class Stream:
    """One stream as a file has it.

    Parameters
    ----------
    number : int
        By which the file calls it.
    name, kind, source_id : str
        What it says of itself; `kind` is XDF's ``type``.
    rate : float
        Nominal rate in Hz, 0 for samples that come as they come.
    format : str
        ``"float32"``, ``"string"`` and so on.
    channels : tuple
        Label, type and unit of each channel, ``""`` where the file does not say.
    clock_times, clock_values : list of float
        When the stream's clock was compared with the recorder's, and what had to be added to it.
    stated : int, optional
        Samples by the footer.
    chunks : list of (int, int, int)
        First and behind-the-last byte of the samples of each chunk, and their number.
    mislabelled : int, optional
        For how many channels the header has labels, where that is another number.
    can_drop : bool
        Whether the stream says that samples may be missing anywhere.
    """

    number: int
    name: str
    kind: str
    source_id: str
    rate: float
    format: str
    channels: tuple[_Channel, ...]
    clock_times: list[float] = field(default_factory=list)
    clock_values: list[float] = field(default_factory=list)
    stated: int | None = None
    chunks: list[tuple[int, int, int]] = field(default_factory=list)
    mislabelled: int | None = None
    can_drop: bool = False

    @property
    def samples(self) -> int:
        """How many samples the file holds."""
        return sum(count for _, _, count in self.chunks)

    def __str__(self) -> str:
        return f"stream {self.number} '{self.name}'"


@dataclass(frozen=True)
class _Contents:
    """What a file holds: its bytes, its streams by number, when it was begun, and what could not be read."""

    raw: np.ndarray
    streams: Mapping[int, Stream]
    started: str
    notes: tuple[LeftOut, ...]


# ---- chunks ------------------------------------------------------------------------------------------------------


def _mapped(file: Path) -> np.ndarray:
    """Return a file's bytes as uint8 without reading them."""
    try:
        with file.open("rb") as stream:
            start = stream.read(4)
        if start != _MAGIC:
            found = f"a file that begins with {start!r}" if start else "an empty file"
            raise ReadError(file, found=found, expected=f"an XDF file, which begins with {_MAGIC!r}", advice=_ADVICE)
        return np.memmap(file, dtype=np.uint8, mode="r").view(np.ndarray)  # slices of which cost less
    except FileNotFoundError as error:
        raise ReadError(file, found="no such file", expected="an XDF file") from error
    except (OSError, ValueError) as error:
        raise ReadError(file, found=str(error), expected="a readable XDF file") from error


def _varlen(view: memoryview, at: int, stop: int) -> tuple[int, int] | None:
    """Return a number of 1, 4 or 8 bytes and where it ends; None where there is none."""
    width = view[at] if at < stop else 0
    if width not in (1, 4, 8) or at + 1 + width > stop:
        return None
    return int.from_bytes(view[at + 1 : at + 1 + width], "little"), at + 1 + width


def _read(file: Path) -> _Contents:
    """Walk through the chunks of a file and return what it holds, without its samples.

    Raises
    ------
    ReadError
        It is no XDF file, or damaged in other ways than by its end missing.
    """
    raw = _mapped(file)
    view = raw.data
    streams: dict[int, Stream] = {}
    notes: list[LeftOut] = []
    started, at, count, markup_bytes = "", len(_MAGIC), 0, 0
    while at < len(view):
        begin = at
        header = _varlen(view, at, len(view))
        if header is None or header[0] < 2 or header[1] + header[0] > len(view):
            notes.append(_cut(file, raw, begin))
            break
        length, at = header
        count += 1
        if count > _MOST_CHUNKS:
            raise ReadError(file, found=f"more than {_MOST_CHUNKS} chunks", expected="a recording", advice=_ADVICE)
        tag, content, at = int.from_bytes(view[at : at + 2], "little"), at + 2, at + length
        where = f"byte {begin}"
        if tag in (_FILE_HEADER, _STREAM_HEADER):
            markup_bytes += length
            if length > _LARGEST_HEADER or markup_bytes > _LARGEST_HEADERS:
                raise ReadError(file, where=where, found=f"a header of {length} bytes", expected="a few thousand bytes")
        if tag == _FILE_HEADER:
            started = _said(_xml(bytes(view[content:at]), file, where), "datetime")
            continue
        if tag not in (_STREAM_HEADER, _SAMPLES, _CLOCK_OFFSET, _STREAM_FOOTER):
            continue  # boundaries, and whatever later versions may add
        if at - content < 4:
            raise ReadError(file, where=where, found=f"a chunk of {length} bytes", expected="the number of its stream")
        number, content = int.from_bytes(view[content : content + 4], "little"), content + 4
        if tag == _STREAM_HEADER:
            if number in streams or len(streams) >= _MOST_STREAMS:
                found = f"a second header of stream {number}" if number in streams else f"{len(streams) + 1} streams"
                raise ReadError(file, where=where, found=found, expected="each stream once", advice=_ADVICE)
            streams[number] = _stream(number, _xml(bytes(view[content:at]), file, where), file, where)
            continue
        if number not in streams:
            found = f"samples or a clock of stream {number}"
            raise ReadError(file, where=where, found=found, expected="its header before them", advice=_ADVICE)
        if tag == _SAMPLES:
            streams[number].chunks.append(_samples_chunk(view, content, at, streams[number], file, where))
        elif tag == _CLOCK_OFFSET:
            _clock_chunk(view, content, at, streams[number], file, where)
        else:
            streams[number].stated = _footer_count(bytes(view[content : min(at, content + _LARGEST_HEADER)]), file)
    return _Contents(raw, streams, started, tuple(notes))


def _cut(file: Path, raw: np.ndarray, at: int) -> LeftOut:
    """Say that a file ends within a chunk; one that goes on behind is damaged, and refused."""
    step = 2**24
    for begin in range(at, len(raw), step):
        if _BOUNDARY in raw[begin : begin + step + len(_BOUNDARY)].tobytes():
            expected = "a chunk that ends before the next begins"
            raise ReadError(file, where=f"byte {at}", found="no length of a chunk", expected=expected, advice=_ADVICE)
    why = (
        f"it ends within a chunk: the last {len(raw) - at} bytes are not read; the recorder was stopped, or a copy cut"
    )
    return LeftOut(f"{file}: end", why)


def _samples_chunk(
    view: memoryview, at: int, stop: int, stream: Stream, file: Path, where: str
) -> tuple[int, int, int]:
    """Return where the samples of a chunk are and how many, after holding the number against the bytes."""
    counted = _varlen(view, at, stop)
    if counted is None:
        raise ReadError(file, where=where, found="no number of samples", expected="one", advice=_ADVICE)
    count, first = counted
    if count * _least_bytes(stream) > stop - first:
        found = f"{count} samples of {stream} in {stop - first} bytes"
        expected = f"{_least_bytes(stream)} bytes or more for each"
        raise ReadError(file, where=where, found=found, expected=expected, advice=_ADVICE)
    return first, stop, count


def _least_bytes(stream: Stream) -> int:
    """Return the bytes of a sample without a time stamp (for strings: of an empty one)."""
    each = np.dtype(_FORMATS[stream.format]).itemsize if stream.format != "string" else 2
    return 1 + each * len(stream.channels)


def _clock_chunk(view: memoryview, at: int, stop: int, stream: Stream, file: Path, where: str) -> None:
    if stop - at != 16:
        found = f"a clock measurement of {stop - at} bytes"
        raise ReadError(file, where=where, found=found, expected="16 bytes", advice=_ADVICE)
    time, value = struct.unpack("<dd", view[at:stop])
    if not (abs(time) < 1e12 and abs(value) < 1e12):
        found = f"the clock of {stream} {value:g} s off at {time:g} s"
        raise ReadError(file, where=where, found=found, expected="times", advice=_ADVICE)
    stream.clock_times.append(time)
    stream.clock_values.append(value)


# ---- headers -----------------------------------------------------------------------------------------------------


def _xml(content: bytes, file: Path, where: str) -> Any:
    """Parse the XML of a chunk by the rules of :mod:`limbeck.datasets.markup`; bytes that are no UTF-8 are replaced."""
    text = content.decode("utf-8", "replace").strip("\0 \r\n\t")
    try:
        return markup.parse_bytes(text.encode(), file)
    except ReadError as error:
        place = f"XML of the chunk at {where}" + (f", {error.where}" if error.where else "")
        raise ReadError(file, where=place, found=error.found, expected=error.expected, advice=error.advice) from error


def _said(element: Any, name: str) -> str:
    """Return the text of an element's child, without line ends and not too long; ``""`` where there is none."""
    return " ".join((element.findtext(name) or "").split())[:200]


def _stream(number: int, header: Any, file: Path, where: str) -> Stream:
    name = _said(header, "name") or f"stream {number}"
    place = f"header of stream {number} '{name}' at {where}"
    n_channels = _amount(_said(header, "channel_count"), file, f"{place}, channel_count", 1, _MOST_CHANNELS)
    if n_channels != int(n_channels):
        raise ReadError(file, where=f"{place}, channel_count", found=f"{n_channels}", expected="a whole number")
    rate = _amount(_said(header, "nominal_srate") or "0", file, f"{place}, nominal_srate", 0, _HIGHEST_RATE)
    kind = _said(header, "channel_format")
    if kind not in _FORMATS:
        expected = f"one of {', '.join(_FORMATS)}"
        raise ReadError(file, where=f"{place}, channel_format", found=shown(kind), expected=expected, advice=_ADVICE)
    listed = header.findall("desc/channels/channel")
    channels = tuple(
        _Channel(_said(c, "label") or _said(c, "name"), _said(c, "type"), _said(c, "unit") or _said(c, "units"))
        for c in listed
    )
    fits = len(channels) == n_channels
    return Stream(
        number=number,
        name=name,
        kind=_said(header, "type"),
        source_id=_said(header, "source_id"),
        rate=rate,
        format=kind,
        channels=channels if fits else (_Channel("", "", ""),) * int(n_channels),
        mislabelled=None if fits or not channels else len(channels),
        can_drop=_said(header, "desc/synchronization/can_drop_samples").lower() == "true",
    )


def _amount(text: str, file: Path, where: str, lowest: float, highest: float) -> float:
    try:
        value = float(text) if len(text) < 50 else math.nan
    except ValueError:
        value = math.nan
    if not lowest <= value <= highest:
        expected = f"a number from {lowest:g} to {highest:g}"
        raise ReadError(file, where=where, found=shown(text), expected=expected, advice=_ADVICE)
    return value


def _footer_count(content: bytes, file: Path) -> int | None:
    """Return how many samples a footer states; one that cannot be read states nothing, as nothing hangs on it."""
    try:
        text = _said(_xml(content, file, "footer"), "sample_count")
    except ReadError:
        return None
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else None


# ---- samples and time stamps -------------------------------------------------------------------------------------


def _numbers(contents: _Contents, stream: Stream, file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return time stamps (n,) as written and the samples (n, n_channels) of a numeric stream."""
    dtype = np.dtype(_FORMATS[stream.format])
    width = dtype.itemsize * len(stream.channels)
    stamps = np.full(stream.samples, np.nan)
    payload = np.empty((stream.samples, width), dtype=np.uint8)
    done = 0
    for first, stop, count in stream.chunks:
        part = slice(done, done + count)
        _unpack(contents.raw[first:stop], stamps[part], payload[part], stream, file, first)
        done += count
    return _deduced(stamps, stream, file), payload.view(dtype)


def _unpack(raw: np.ndarray, stamps: np.ndarray, payload: np.ndarray, stream: Stream, file: Path, first: int) -> None:
    """Take the samples of one chunk apart, run by run of those with and without a time stamp of their own."""
    count, width = payload.shape
    at = done = 0
    look = 16
    while done < count:
        stamped = int(raw[at]) if at < len(raw) else -1
        size = 1 + stamped + width
        if stamped not in (0, 8) or (len(raw) - at) < size:
            found = f"{stream}: no sample where the {done + 1}. of {count} should be"
            raise ReadError(file, where=f"byte {first + at}", found=found, expected="one", advice=_ADVICE)
        span = min(count - done, (len(raw) - at) // size, look)
        others = np.flatnonzero(raw[at : at + span * size : size] != stamped)
        run = int(others[0]) if len(others) else span
        block = raw[at : at + run * size].reshape(run, size)
        if stamped:
            times = np.ascontiguousarray(block[:, 1:9]).view("<f8").ravel()
            if not (np.abs(times) < 1e12).all():
                found = f"{stream}: the time stamp {times[int(np.argmin(np.abs(times) < 1e12))]:g}"
                raise ReadError(file, where=f"byte {first + at}", found=found, expected="seconds", advice=_ADVICE)
            stamps[done : done + run] = times
        payload[done : done + run] = block[:, 1 + stamped :]
        at, done = at + run * size, done + run
        look = min(look * 2, 2**20) if run == span else 16
    if at != len(raw):
        found = f"{stream}: {len(raw) - at} bytes behind the last of {count} samples"
        raise ReadError(file, where=f"byte {first + at}", found=found, expected="the chunk's end", advice=_ADVICE)


def _deduced(stamps: np.ndarray, stream: Stream, file: Path) -> np.ndarray:
    """Return time stamps where those that are missing (NaN) follow the one before by the nominal period."""
    missing = np.isnan(stamps)
    if not missing.any():
        return stamps
    if missing[0]:
        raise ReadError(file, found=f"{stream}: no time stamp with the first sample", expected="one", advice=_ADVICE)
    places = np.arange(len(stamps))
    last = np.maximum.accumulate(np.where(missing, 0, places))
    period = 1 / stream.rate if stream.rate else 0.0
    return stamps[last] + (places - last) * period


def _texts(contents: _Contents, stream: Stream, file: Path) -> tuple[np.ndarray, list[str]]:
    """Return time stamps (n,) as written and the text of each sample of a stream of strings."""
    if stream.samples > _MOST_MARKERS:
        raise ReadError(file, found=f"{stream.samples} markers in {stream}", expected=f"at most {_MOST_MARKERS}")
    view = contents.raw.data
    stamps: list[float] = []
    texts: list[str] = []
    for at, stop, count in stream.chunks:
        for _ in range(count):
            begin, words = at, []
            stamped = view[at] if at < stop else -1
            time = math.nan
            at += 1
            if stamped == 8 and at + 8 <= stop:
                time = struct.unpack("<d", view[at : at + 8])[0]
                at += 8
            if stamped not in (0, 8) or (stamped == 8 and not abs(time) < 1e12):
                raise ReadError(file, where=f"byte {begin}", found=f"{stream}: no time", expected="one", advice=_ADVICE)
            for _ in stream.channels:
                header = _varlen(view, at, stop)
                if header is None or header[1] + header[0] > stop:
                    found = f"{stream}: a text that ends behind its chunk"
                    raise ReadError(file, where=f"byte {begin}", found=found, expected="one in it", advice=_ADVICE)
                length, at = header
                words.append(bytes(view[at : at + min(length, 1000)]).decode("utf-8", "replace").strip())
                at += length
            stamps.append(time)
            texts.append(" ".join(word for word in words if word))
    return _deduced(np.array(stamps, dtype=np.float64), stream, file), texts


def _shortened(stream: Stream, stamps: np.ndarray, notes: list[LeftOut], file: Path) -> np.ndarray:
    """Return the time stamps without what a recorder adds at the end where the sender went away while it listened.

    Such samples are beyond the footer's count, and come with a last clock measurement that is far from all others
    (liblsl issue 246); either alone is no sign of it.
    """
    times, values = np.array(stream.clock_times), np.array(stream.clock_values)
    if stream.stated is None or stream.stated >= len(stamps) or len(times) < 3:
        return stamps
    usual = float(np.median(np.diff(times)[:-1]))
    late = abs(times[-1] - times[-2]) > 10 * usual if usual > 0 else times[-1] != times[-2]
    away = np.abs(values[:-1] - np.median(values[:-1]))
    scatter = 1.4826 * float(np.median(away))
    far = scatter > 1e-15 and abs(values[-1] - np.median(values[:-1])) > 10 * scatter
    if not (late or far):
        return stamps
    del stream.clock_times[-1], stream.clock_values[-1]
    why = (
        f"{len(stamps) - stream.stated} samples beyond the {stream.stated} of the footer, and a wild clock measurement"
    )
    notes.append(LeftOut(f"{file}: {stream}: end", f"{why}; not used"))
    return stamps[: stream.stated]


def synchronised(stamps: np.ndarray, clock_times: Sequence[float], clock_values: Sequence[float]) -> np.ndarray:
    """Return time stamps on the recorder's clock.

    To a stream's own stamps the robust line through the measurements of its clock is added. Where the sender was
    started anew while it was recorded, its clock jumps, and each stretch between jumps gets a line of its own.

    Parameters
    ----------
    stamps : ndarray of shape (n,), float64
        Seconds on the sender's clock.
    clock_times, clock_values : sequence of float
        When that clock was compared, and what had to be added to it, in seconds.

    Returns
    -------
    ndarray of shape (n,), float64
    """
    stamps = np.array(stamps, dtype=np.float64)
    times, values = np.array(clock_times, dtype=np.float64), np.array(clock_values, dtype=np.float64)
    begins = [0, *_resets(times, values)]
    first = 0
    for k, begin in enumerate(begins if len(times) else []):
        last = k + 1 == len(begins)
        stop = len(times) if last else begins[k + 1]
        until = len(stamps)
        if not last:
            rest = stamps[first:]
            beyond = np.abs(rest - times[stop - 1]) >= np.abs(rest - times[stop])
            until = first + int(np.argmax(beyond)) if beyond.any() else len(stamps)
        intercept, slope = _clock_line(times[begin:stop], values[begin:stop])
        stamps[first:until] += intercept + slope * stamps[first:until]
        first = until
    return stamps


def _clock_line(times: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    try:
        return robust_line(times, values, threshold=_WINSOR)
    except DataError:  # one measurement, or all at one time
        return float(np.median(values)), 0.0


def _resets(times: np.ndarray, values: np.ndarray) -> list[int]:
    """Return the measurements before which a clock jumped: back in time, or late and far off at once."""
    if len(times) < 2:
        return []
    waited, moved = np.diff(times), np.diff(values)
    jumped = (waited < 0) | (_odd(waited, 5.0, 5.0) & _odd(moved, 10.0, 1.0))
    return (np.flatnonzero(jumped) + 1).tolist()


def _odd(values: np.ndarray, deviations: float, seconds: float) -> np.ndarray:
    away = np.abs(values - np.median(values))
    return (away > deviations * (float(np.median(away)) + 1e-15)) & (away > seconds)


def read_streams(file: str | Path) -> tuple[Stream, ...]:
    """Return the streams of a file as it describes them, without reading a sample: to see what there is.

    Raises
    ------
    ReadError
        It is no XDF file, or damaged.
    """
    return tuple(_read(Path(file)).streams.values())


# ---- what the streams are ----------------------------------------------------------------------------------------

_Chosen = dict[str, list[tuple[int, str]]]
"""By modality, the channels (by place) of a stream with their names."""


def _word(text: str) -> str:
    return _BY_TYPE.get(text.strip().lower(), "")


def _signals_of(stream: Stream, forced: str) -> tuple[_Chosen, list[str]]:
    """Return what the channels of a stream are, and those that say nothing known."""
    whole = forced or _word(stream.kind) or _named(stream)
    found: _Chosen = {}
    unknown: list[str] = []
    for i, channel in enumerate(stream.channels):
        modality, name = (forced, channel.label) if forced else _signal_of(channel, whole)
        if not modality:
            unknown.append(channel.label or f"channel {i + 1}")
            continue
        found.setdefault(modality, []).append((i, name))
    return {modality: _unique(modality, channels) for modality, channels in found.items()}, unknown


def _signal_of(channel: _Channel, whole: str) -> tuple[str, str]:
    """Return the modality and name of a channel: by its own type, by its label, by its stream's type."""
    own, label = _word(channel.kind), classify(channel.label)
    if not own and (channel.kind.lower() in _NO_SIGNALS or _NO_SIGNAL_LABEL.search(channel.label)):
        return "", ""
    if not own and label is None and whole == "eeg" and _NO_EEG_LABEL.search(channel.label):
        return "", ""
    if not own and label is not None and whole in ("", "eeg"):
        own = label[0]  # an amplifier's further inputs; elsewhere "A1" and "T3" are no electrodes
    modality = own or whole
    return modality, label[1] if label is not None and label[0] == modality else channel.label


def _named(stream: Stream) -> str:
    """Return the one modality that a stream's name has a word for, ``""`` where it has none or several."""
    words = re.split(r"[^a-zA-Z]+", stream.name)
    found = {_word(word) for word in words} - {""}
    return found.pop() if len(found) == 1 and not any(channel.kind for channel in stream.channels) else ""


def _unique(modality: str, channels: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    """Give each channel a name of its own: by number where the file has none."""
    taken: set[str] = set()
    named = []
    for k, (i, given) in enumerate(channels, start=1):
        name = given or (modality if len(channels) == 1 else f"{modality}{k}")
        unused, number = name, 2
        while unused in taken:
            unused, number = f"{name} ({number})", number + 1
        taken.add(unused)
        named.append((i, unused))
    return named


def _forced(stream: Stream, streams: Mapping[str, str]) -> str | None:
    """Return what the option says of a stream, by its number before its name; None if nothing."""
    return streams.get(str(stream.number), streams.get(stream.name))


# ---- one recording -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Options:
    """The reader's options, as checked."""

    streams: Mapping[str, str] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    markers: Markers = "intervals"
    breaks: float = BREAK


def read_recording(
    file: str | Path,
    *,
    subject: str,
    session: str = "",
    trial: str = "",
    order: int = 0,
    root: Path | None = None,
    options: _Options | None = None,
) -> Recording:
    """Read one XDF file; see :func:`xdf` for what becomes of its streams.

    Parameters
    ----------
    file : path-like
        The file.
    subject, session, trial, order
        As in :class:`limbeck.recording.Recording`.
    root : Path, optional
        The folder that no link may lead out of.
    options : optional
        Those of :func:`xdf`, as it checked them; by default what it does by default.

    Returns
    -------
    Recording
        Its time 0 is the first sample of the earliest signal.

    Raises
    ------
    ReadError
        The file is damaged, or has no stream that can become a signal.
    """
    file, options = Path(file), options or _Options()
    contents = _read(file if root is None else inside(file, root))
    notes = list(contents.notes)
    notes += _lacking(file, contents, options)
    sensed, traced, marked = _sorted(file, contents, options, notes)
    picked = _picked(file, sensed, options, notes)
    signals, clocks = _signals(file, contents, picked, options, notes)
    sampled = [stream for stream in contents.streams.values() if stream.samples and stream.format != "string"]
    if not signals and contents.notes and not sampled:
        held = ", ".join(stream.name for stream in contents.streams.values())
        found = f"no samples: {contents.notes[0].why}" + (f" (streams: {held})" if held else "")
        raise ReadError(file, found=found[:2000], expected="a whole file", advice="Copy it again.")
    if not signals:
        held = ", ".join(f"{stream.name} ({stream.kind or 'no type'})" for stream in contents.streams.values())
        why = f" ({'; '.join(dict.fromkeys(note.why for note in (*contents.notes, notes[-1])))})" if notes else ""
        raise ReadError(
            file,
            found=f"the streams {held or 'none'}{why}"[:2000],
            expected=f"samples of a stream of type {', '.join(modality.upper() for modality in _TYPES)}",
            advice="Say what a stream is with the option streams: {name: modality}.",
        )
    zero = min(signal.start for signal in signals.values())
    signals = {m: Signal(s.data, s.rate, s.channels, s.unit, s.start - zero) for m, s in signals.items()}
    clocks = {modality: _since(clock, zero) for modality, clock in clocks.items()}
    end = max(signal.end for signal in signals.values())
    return Recording(
        subject=subject,
        session=session,
        trial=trial,
        order=order,
        signals=signals,
        events=_events(file, contents, marked, zero, end, options.markers, notes),
        traces=_traces(file, contents, traced, zero, notes),
        notes=tuple(notes),
        clocks=clocks,
    )


def _since(clock: Clock, zero: float) -> Clock:
    gaps = tuple((begin - zero, end - zero) for begin, end in clock.gaps)
    return Clock(clock.offset - zero, clock.drift, clock.jitter, gaps, clock.source)


def _callable(contents: _Contents) -> set[str]:
    """Return how options may call the streams of a file: by name or number."""
    return {stream.name for stream in contents.streams.values()} | {str(number) for number in contents.streams}


def _lacking(file: Path, contents: _Contents, options: _Options) -> list[LeftOut]:
    """Name the streams that an option is about and that this file has not."""
    absent = sorted({*options.streams, *options.rates} - _callable(contents))
    return [LeftOut(f"{file}: stream '{name}'", "not in this file, which is read without it") for name in absent]


def _refuse_unknown(sources: Sequence[Source], options: _Options) -> None:
    """Refuse options about streams that no file has: a slip of the pen would otherwise decide nothing.

    Where a file cannot be read to its end, it may be the one that has them, and nothing is refused.
    """
    missing = {*options.streams, *options.rates}
    names: set[str] = set()
    for source in sources if missing else ():
        try:
            contents = _read(source.files[0])
        except ReadError:
            return
        if contents.notes:
            return
        names |= _callable(contents)
        missing -= names
        if not missing:
            return
    mistakes = [
        f"{option}: no file has a stream '{name}'.{did_you_mean(name, names)}"
        for option in ("streams", "rates")
        for name in sorted(set(getattr(options, option)) & missing)
    ]
    if mistakes:
        raise DataError(" ".join(mistakes))


def _sorted(
    file: Path, contents: _Contents, options: _Options, notes: list[LeftOut]
) -> tuple[list[tuple[Stream, _Chosen]], list[Stream], list[Stream]]:
    """Return the streams that are signals (with what their channels are), traces and markers."""
    sensed: list[tuple[Stream, _Chosen]] = []
    traced: list[Stream] = []
    marked: list[Stream] = []
    for stream in contents.streams.values():
        said = _forced(stream, options.streams)
        what = f"{file}: {stream}"
        stream.rate = float(options.rates.get(str(stream.number), options.rates.get(stream.name, stream.rate)))
        if said == "":
            continue
        if not stream.samples:
            notes.append(LeftOut(what, "no samples"))
            continue
        if stream.stated is None:
            notes.append(LeftOut(f"{what}: end", "no footer: the recording was not closed, or its end is missing"))
        if stream.mislabelled is not None:
            n = len(stream.channels)
            notes.append(LeftOut(f"{what}: labels", f"{stream.mislabelled} for {n} channels; named by number"))
        numeric = stream.format != "string"
        if said == "events" or (said is None and (not numeric or stream.kind.lower() in _MARKER_TYPES)):
            marked.append(stream)
        elif not numeric:
            notes.append(LeftOut(what, f"it holds texts and cannot be {said}"))
        elif said == "trace" or (said is None and not stream.rate):
            traced.append(stream)
        elif not stream.rate:
            notes.append(LeftOut(what, f"it has no rate and cannot be {said}; give one with the option rates"))
        else:
            found, unknown = _signals_of(stream, said or "")
            if unknown:
                few = ", ".join(unknown[:8]) + (f" and {len(unknown) - 8} more" if len(unknown) > 8 else "")
                why = f"neither type nor label says what it is (type {shown(stream.kind)})"
                notes.append(LeftOut(f"{what}: {few}", why))
            if found:
                sensed.append((stream, found))
    return sensed, traced, marked


def _picked(
    file: Path, sensed: Sequence[tuple[Stream, _Chosen]], options: _Options, notes: list[LeftOut]
) -> dict[str, tuple[Stream, list[tuple[int, str]]]]:
    """Return one stream per modality: what the option names, else the one with most numbers, else the first."""
    picked = {}
    for modality in MODALITIES:
        rivals = [(stream, found[modality]) for stream, found in sensed if modality in found]
        if not rivals:
            continue
        named = [rival for rival in rivals if _forced(rival[0], options.streams) == modality] or rivals
        best = max(named, key=lambda rival: rival[0].samples * len(rival[1]))  # the first of equals
        picked[modality] = best
        for stream, _ in rivals:
            if stream is not best[0]:
                why = f"{best[0]} is taken for {modality}; the option streams: {{{stream.number}: {modality}}} takes it"
                notes.append(LeftOut(f"{file}: {stream}: {modality}", why))
    return picked


def _signals(
    file: Path,
    contents: _Contents,
    picked: Mapping[str, tuple[Stream, list[tuple[int, str]]]],
    options: _Options,
    notes: list[LeftOut],
) -> tuple[dict[str, Signal], dict[str, Clock]]:
    """Read the streams one by one; one whose times make no sense is noted, and the others go on."""
    signals: dict[str, Signal] = {}
    clocks: dict[str, Clock] = {}
    for stream in {stream.number: stream for stream, _ in picked.values()}.values():
        stamps, values = _numbers(contents, stream, file)
        try:
            steady, values = _timed(stream, stamps, values, options.breaks, notes, file)
            rate = _rate(stream, steady, notes, file)
            for modality, (other, channels) in picked.items():
                if other is stream:
                    made = _signal(file, stream, modality, channels, values, steady, rate, options, notes)
                    if made is not None:
                        signals[modality], clocks[modality] = made
        except DataError as error:
            notes.append(LeftOut(f"{file}: {stream}", f"not used: {str(error).rstrip('.')}"))
    return signals, clocks


def _timed(
    stream: Stream, stamps: np.ndarray, values: np.ndarray, breaks: float, notes: list[LeftOut], file: Path
) -> tuple[Steady, np.ndarray]:
    """Return a regular stream's times on the recorder's clock, without jitter, and the samples that they are of."""
    stamps = _shortened(stream, stamps, notes, file)
    if not stream.clock_times:
        why = "its clock was not compared with the recorder's; its time stamps are taken as they are"
        notes.append(LeftOut(f"{file}: {stream}: clock", why))
    common = synchronised(stamps, stream.clock_times, stream.clock_values)
    if stream.can_drop and len(common) > 1:  # frames that are missing are no jitter
        seconds = float(common[-1] - common[0])
        rate = (len(common) - 1) / seconds if seconds > 0 else np.nan
        return Steady(common, ((0, len(common)),), rate, 0.0), values[: len(common)]
    return dejitter(common, stream.rate, breaks=breaks), values[: len(common)]


def _rate(stream: Stream, steady: Steady, notes: list[LeftOut], file: Path) -> float:
    """Return the rate of the grid: the nominal one, or what the time stamps tell where that is another."""
    told = steady.rate
    if stream.can_drop or not np.isfinite(told) or abs(told - stream.rate) <= _RATE_TOLERANCE * stream.rate:
        return stream.rate
    if not 0 < told <= _HIGHEST_RATE:
        raise DataError(f"its time stamps tell {told:g} Hz")
    rounded = float(f"{told:.4g}")
    why = f"its time stamps tell {told:.6g} Hz, its header {stream.rate:g} Hz; held at {rounded:g} Hz"
    notes.append(LeftOut(f"{file}: {stream}: rate", why))
    return rounded


def _signal(
    file: Path,
    stream: Stream,
    modality: str,
    channels: Sequence[tuple[int, str]],
    values: np.ndarray,
    steady: Steady,
    rate: float,
    options: _Options,
    notes: list[LeftOut],
) -> tuple[Signal, Clock] | None:
    """Return one modality on a regular grid in Limbeck's unit, and how its clock ran."""
    names: list[str] = []
    assumed: dict[str, list[str]] = {}
    columns = np.ascontiguousarray(values.T[[i for i, _ in channels]])
    data = columns if columns.dtype == np.float32 else np.empty(columns.shape, dtype=np.float32)
    for (i, name), column in zip(channels, columns, strict=True):
        unit, given = options.units.get(modality), stream.channels[i].unit
        row = _converted(column, modality, given if unit is None else unit)
        if row is None and _is_other_unit(given):
            why = f"the unit {shown(given)} cannot be converted into {UNITS[modality]}"
            notes.append(LeftOut(f"{file}: {stream}: {name}", why))
            continue
        if (row is None or not given) and unit is None and UNITS[modality] != "a.u.":
            assumed.setdefault(given, []).append(name)
        with np.errstate(over="ignore", invalid="ignore"):
            data[len(names)] = column if row is None else row  # never behind the column that is read
        names.append(name)
    for given, unnamed in assumed.items():
        why = f"{f'the unit {shown(given)} is not known' if given else 'no unit is given'}; taken to be"
        few = ", ".join(unnamed[:8]) + (f" and {len(unnamed) - 8} more" if len(unnamed) > 8 else "")
        notes.append(LeftOut(f"{file}: {stream}: unit of {few}", f"{why} {UNITS[modality]} (option units)"))
    if not names:
        return None
    data = data[: len(names)]
    infinite = np.isinf(data)
    if infinite.any():
        data[infinite] = np.nan
        notes.append(LeftOut(f"{file}: {stream}: {modality}", f"{int(infinite.sum())} infinite samples; missing"))
    if not np.isfinite(data).any():
        notes.append(LeftOut(f"{file}: {stream}: {modality}", "all samples are missing"))
        return None
    given = options.units.get(modality, "")
    doubt = doubtful(data, modality, given) if given else ""
    if doubt:
        notes.append(LeftOut(f"{file}: {stream}: {modality}: unit", f"{doubt} (option units)"))
    placed = place(data, steady.stamps, rate)
    drift = (rate / steady.rate - 1) * 1e6 if np.isfinite(steady.rate) and not stream.can_drop else 0.0
    if placed.gaps:
        seconds = sum(end - begin for begin, end in placed.gaps)
        why = f"{len(placed.gaps)} gap{'s' if len(placed.gaps) > 1 else ''} of {seconds:.6g} s in all; taken as missing"
        notes.append(LeftOut(f"{file}: {stream}: {modality}", why))
    clock = Clock(placed.start, drift, steady.jitter, placed.gaps, "time stamps")
    return Signal(placed.data, rate, tuple(names), UNITS[modality], placed.start), clock


def _converted(values: np.ndarray, modality: str, unit: str) -> np.ndarray | None:
    plain = " ".join(unit.split())
    with np.errstate(over="ignore", invalid="ignore"):
        return to_unit(values.astype(np.float64), modality, _UNIT_WORDS.get(plain.lower(), plain))


def _is_other_unit(unit: str) -> bool:
    """Tell whether a unit is one that some modality has: then it is known, and wrong where it stands."""
    return any(_converted(np.ones(1), m, unit) is not None for m in MODALITIES if UNITS[m] != "a.u.")


# ---- markers and traces ------------------------------------------------------------------------------------------


def _traces(
    file: Path, contents: _Contents, streams: Sequence[Stream], zero: float, notes: list[LeftOut]
) -> dict[str, Trace]:
    """Return the irregular streams of numbers by name and channel."""
    traces: dict[str, Trace] = {}
    for stream in streams:
        stamps, values = _numbers(contents, stream, file)
        stamps = _shortened(stream, stamps, notes, file)
        times = synchronised(stamps, stream.clock_times, stream.clock_values) - zero
        forward = np.concatenate([[True], times[1:] > np.maximum.accumulate(times)[:-1]])
        if not forward.all():
            why = f"{int((~forward).sum())} of {len(times)} samples are not later than those before; not used"
            notes.append(LeftOut(f"{file}: {stream}", why))
        for i, name in _unique("", [(i, channel.label) for i, channel in enumerate(stream.channels)]):
            with np.errstate(over="ignore", invalid="ignore"):
                column = values[: len(times), i].astype(np.float32)
            kept = forward & np.isfinite(column)
            if kept.any():
                full = stream.name if len(stream.channels) == 1 else f"{stream.name} {name}".strip()
                traces[_unused(full, traces)] = Trace(times[kept], column[kept])
    return traces


def _unused(name: str, taken: Mapping[str, object]) -> str:
    unused, number = name, 2
    while unused in taken:
        unused, number = f"{name} ({number})", number + 1
    return unused


def _events(
    file: Path,
    contents: _Contents,
    streams: Sequence[Stream],
    zero: float,
    end: float,
    markers: Markers,
    notes: list[LeftOut],
) -> tuple[Event, ...]:
    """Return the markers of all streams as events, in the order of time."""
    events: list[Event] = []
    for stream in streams:
        what = f"{file}: {stream}"
        try:
            stamps, texts = _marker_texts(contents, stream, file, notes)
        except ReadError as error:
            notes.append(LeftOut(what, f"{error} The recording is used without its markers."))
            continue
        stamps = _shortened(stream, stamps, notes, file)
        times = synchronised(stamps, stream.clock_times, stream.clock_values) - zero
        order = np.argsort(times, kind="stable")
        told = [(float(times[k]), texts[k]) for k in order if texts[k]]
        found = _made(told, end, markers)
        kept = [event for event in found if event.start < end and event.end >= 0 and not event.end == 0 > event.start]
        if len(kept) < len(found):
            why = f"{len(found) - len(kept)} of {len(found)} events are outside of the signals; not used"
            notes.append(LeftOut(what, why))
        events += [Event(event.name, max(event.start, 0.0), min(event.end, end)) for event in kept]
    return tuple(sorted(events, key=lambda event: (event.start, event.end)))


def _marker_texts(
    contents: _Contents, stream: Stream, file: Path, notes: list[LeftOut]
) -> tuple[np.ndarray, list[str]]:
    """Return time stamps (n,) as written and the text of each sample, ``""`` for those that mark nothing."""
    if stream.format == "string":
        return _texts(contents, stream, file)
    stamps, values = _numbers(contents, stream, file)
    marking = np.ones(len(values), dtype=bool)
    if stream.rate:
        marking, idle = _changes(np.nan_to_num(values, posinf=0, neginf=0) if values.dtype.kind == "f" else values)
        why = f"numbers at {stream.rate:g} Hz: a marker is where they change, and {idle} is taken for none"
        notes.append(LeftOut(f"{file}: {stream}", why))
        if len(values) > 1 and 2 * marking.sum() > len(values):
            found = f"{stream}: {int(marking.sum())} changes in {len(values)} samples"
            raise ReadError(file, found=found, expected="a channel of triggers, which rests most of the time")
    if marking.sum() > _MOST_MARKERS:
        raise ReadError(file, found=f"{int(marking.sum())} markers in {stream}", expected=f"at most {_MOST_MARKERS}")
    texts = [""] * len(values)
    for k in np.flatnonzero(marking).tolist():
        texts[k] = _code(values[k])
    return stamps, texts


def _code(row: np.ndarray) -> str:
    return " ".join(f"{value:.10g}" for value in row.tolist())


def _changes(values: np.ndarray) -> tuple[np.ndarray, str]:
    """Return which samples of a trigger channel begin a code, and the code that stands for none.

    That is 0; where there is no 0, what the channel comes back to most often (65280 of some amplifiers).
    """
    begins = np.concatenate([[True], (values[1:] != values[:-1]).any(axis=1)])
    first = np.flatnonzero(begins)
    codes, runs = np.unique(values[first], axis=0, return_counts=True)
    zero = (codes == 0).all(axis=1)
    idle = codes[np.argmax(zero) if zero.any() else np.argmax(runs)]
    begins[first] = (values[first] != idle).any(axis=1)
    return begins, _code(idle)


def _made(told: Sequence[tuple[float, str]], end: float, markers: Markers) -> list[Event]:
    """Make intervals of markers, which are sorted by time."""
    if markers == "points":
        return [Event(text, time, time) for time, text in told]
    pairs = _paired(told) if markers == "intervals" else {}
    closing = set(pairs.values())
    made = []
    following = end  # the time of the next marker that is later
    upcoming = math.inf
    for k in range(len(told) - 1, -1, -1):
        time, text = told[k]
        if time < upcoming:
            following, upcoming = (end if upcoming == math.inf else upcoming), time
        if k in pairs:
            made.append(Event(_PAIR.fullmatch(text)["name"], time, told[pairs[k]][0]))  # type: ignore[index]
        elif k not in closing:
            made.append(Event(text, time, max(following, time)))
    return made[::-1]


def _paired(told: Sequence[tuple[float, str]]) -> dict[int, int]:
    """Return the places of markers that begin something, with those that end it."""
    waiting: dict[str, list[int]] = {}
    pairs = {}
    for k, (time, text) in enumerate(told):
        match = _PAIR.fullmatch(text)
        if match is None:
            continue
        begun = waiting.setdefault(match["name"].lower(), [])
        if match["edge"].lower() in ("start", "begin"):
            begun.append(k)
        elif begun and told[begun[-1]][0] < time:
            pairs[begun.pop()] = k
    return pairs


# ---- files -------------------------------------------------------------------------------------------------------


def looks_like(path: Path) -> bool:
    """Tell whether a file begins like XDF, or a folder holds files that are named so, at most four folders deep."""
    if path.is_dir():
        names = (place.suffix.lower() for place in itertools.islice(_walk(path, path), _MOST_ENTRIES))
        return ".xdf" in names
    try:
        with path.open("rb") as stream:
            return stream.read(4) == _MAGIC
    except OSError as error:
        raise ReadError(path, found=error.strerror or str(error), expected="a readable file") from error


def _walk(folder: Path, root: Path, depth: int = 0) -> Iterator[Path]:
    """Yield the visible files in a folder and those below; a link out of the root is yielded, not entered."""
    for child in visible(folder):
        if not is_inside(child, root) or not child.is_dir():
            yield child
        elif depth < _DEEPEST:
            yield from _walk(child, root, depth + 1)


def _home(path: Path) -> Path:
    """Return the folder that a path unpacked to, where it holds nothing else."""
    children = visible(path)
    if len(children) == 1 and children[0].is_dir() and is_inside(children[0], path):
        name = children[0].name.lower()
        if not name.startswith(("sub-", "ses-")):
            return children[0]
    return path


_Naming = Literal["auto", "file", "folder"]
_ENTITY = re.compile(r"(?:^|_)(sub|ses)-([a-zA-Z0-9+]+)(?=_|$)")
_SUFFIX = re.compile(r"_(?:eeg|beh|physio|ieeg|meg|multimodal)$")


def _identity(file: Path, home: Path, naming: _Naming) -> tuple[str, str, str]:
    """Return subject, session and trial of a file by its name and place."""
    if naming == "file":
        return file.stem, "", ""
    if naming == "folder":
        return file.parent.name, "", file.stem
    said = dict(_ENTITY.findall(file.stem))
    if "sub" in said:
        rest = _SUFFIX.sub("", _ENTITY.sub("", file.stem)).strip("_")
        return said["sub"], said.get("ses", ""), rest
    parts = file.relative_to(home).parts
    return (file.stem, "", "") if len(parts) == 1 else (parts[0], "/".join(parts[1:-1]), file.stem)


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Return a key by which ``run-2`` comes before ``run-10``."""
    parts = re.split(r"([0-9]+)", text)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]


def _identities(files: Sequence[Path], home: Path, naming: _Naming) -> dict[Path, tuple[str, str, str]]:
    """Return subject, session and trial of each file; trials that would be one are told apart by the files' names."""
    identities = {file: _identity(file, home, naming) for file in files}
    shared = Counter(identities.values())
    identities = {f: (n[0], n[1], f.stem) if shared[n] > 1 else n for f, n in identities.items()}
    owner: dict[tuple[str, str, str], Path] = {}
    for file, name in identities.items():
        if owner.setdefault(name, file) != file:
            raise DataError(
                f"{owner[name]} and {file} would both be the recording of '{name[0]}'. Give them names that differ, or "
                "take the subject from the folder: naming='folder'."
            )
    return identities


def _listed(path: Path, naming: _Naming, options: _Options) -> Corpus:
    home = _home(path) if path.is_dir() else path.parent
    left_out: list[LeftOut] = []
    files, linked = [path], []
    if path.is_dir():
        everything = list(_walk(home, path))
        linked = [place for place in everything if place.is_dir()]  # out of the root: told, not followed
        files = [file for file in everything if file.suffix.lower() == ".xdf" and file not in linked]
        packed = [file for file in everything if file.name.lower().endswith((".xdfz", ".xdf.gz"))]
        left_out += [LeftOut(str(file), "packed; unpack it with gzip into a file that ends in .xdf") for file in packed]
    if not files:
        why = f" ({left_out[0].why})" if left_out else ""
        raise ReadError(path, found=f"no XDF file{why}", expected="files that end in .xdf")
    identity = _identities(files, home, naming)
    ordered = sorted(files, key=lambda file: [_natural(part) for part in identity[file]])
    counts: dict[tuple[str, str], int] = {}
    found: list[tuple[Path, Callable[[], Source]]] = [(place, partial(_never, place)) for place in linked]
    for file in ordered:
        who, session, trial = identity[file]
        order = counts.get((who, session), 0)
        counts[who, session] = order + 1
        root = path if path.is_dir() else None
        found.append((file, partial(_source, file, root, who, session, trial, order, options)))
    sources, outside = sources_inside(path, found)
    return Corpus("xdf", sources, [*left_out, *outside])


def _never(place: Path) -> Source:
    raise DataError(f"{place} leads out of the data set's folder.")  # whoever asks for it has not looked


def _source(
    file: Path, root: Path | None, subject: str, session: str, trial: str, order: int, options: _Options
) -> Source:
    read = partial(
        read_recording,
        file,
        subject=subject,
        session=session,
        trial=trial,
        order=order,
        root=root,
        options=options,
    )
    told = {
        "order": order,
        "streams": dict(options.streams),
        "rates": dict(options.rates),
        "units": dict(options.units),
        "markers": options.markers,
        "breaks": options.breaks,
    }
    return Source(subject, read, session, trial, (file,), told, _MODULES)


def list_sessions(path: Path) -> Corpus:
    """List an XDF file, or those in a folder and the folders in it.

    Raises
    ------
    ReadError
        There is none.
    """
    return _listed(path, "auto", _Options())


def _which_role(role: str, roles: Sequence[str]) -> str:
    hint = which_modality(role)
    return hint if hint.endswith("here.") else did_you_mean(role, [name for name in roles if name])


def _checked(
    streams: Mapping[str, str] | None,
    rates: Mapping[str, float] | None,
    units: Mapping[str, str] | None,
    markers: str,
    naming: str,
    breaks: float,
) -> _Options:
    """Return the options, after finding all their mistakes."""
    mistakes = []
    for option, given in (("streams", streams), ("rates", rates), ("units", units)):
        if given is not None and not isinstance(given, Mapping):
            raise DataError(f"{option}: found {given!r}; expected a mapping.")
    roles = (*MODALITIES, "trace", "events", "")
    said = {str(name): str(role) for name, role in (streams or {}).items()}
    for name, role in said.items():
        if role not in roles:
            mistakes.append(f"streams: '{name}' cannot be '{role}'.{_which_role(role, roles)}")
    hertz: dict[str, float] = {}
    for name, rate in (rates or {}).items():
        usable = isinstance(rate, int | float) and not isinstance(rate, bool) and 0 < rate <= _HIGHEST_RATE
        if usable:
            hertz[str(name)] = float(rate)
        else:
            mistakes.append(f"rates: found {rate!r} for '{name}'; expected Hz above 0.")
    for modality, unit in (units or {}).items():
        if modality not in MODALITIES:
            mistakes.append(f"units: there is no modality '{modality}'.{which_modality(str(modality))}")
        elif not isinstance(unit, str) or _converted(np.ones(1), modality, unit) is None:
            mistakes.append(f"units: {unit!r} cannot be converted into {UNITS[modality]}.")
    for option, value, allowed in (
        ("markers", markers, ("intervals", "next", "points")),
        ("naming", naming, ("auto", "file", "folder")),
    ):
        if value not in allowed:
            mistakes.append(f"{option}: found {value!r}.{did_you_mean(str(value), allowed)}")
    if not (isinstance(breaks, int | float) and breaks > 0):
        mistakes.append(f"breaks: found {breaks!r}; expected seconds above 0.")
    if mistakes:
        raise DataError(" ".join(mistakes))
    return _Options(said, hertz, dict(units or {}), markers, float(breaks))  # type: ignore[arg-type]


def _checks(root: Path, corpus: Corpus) -> Iterator[Check]:
    """Look at what the files say of themselves: closed, complete, clocks compared, in the order of their names."""
    del root
    begun: dict[tuple[str, str], list[tuple[datetime.datetime, Path]]] = {}
    for source in corpus.sources:
        file = source.files[0]
        try:
            contents = _read(file)
        except ReadError:
            continue  # told by whoever reads it
        yield from _file_checks(file, contents)
        started = _datetime(contents.started)
        if started is not None:
            begun.setdefault((source.subject, source.session), []).append((started, file))
    for (subject, session), times in begun.items():
        if len(times) < 2:
            continue
        late = [b for (a, _), (c, b) in itertools.pairwise(times) if _before(c, a)]
        what = (
            f"files of {' '.join(part for part in (subject, session) if part)} were begun in the order of their names"
        )
        yield Check(what, not late, f"{late[0]} was begun before the one that its name follows" if late else "")


def _file_checks(file: Path, contents: _Contents) -> Iterator[Check]:
    held = [stream for stream in contents.streams.values() if stream.samples]
    stated = [stream for stream in held if stream.stated is not None]
    wrong = [stream for stream in stated if stream.stated != stream.samples]
    what = f"{file.name} holds as many samples as its footers say"
    found = "; ".join(f"{stream}: {stream.samples}, the footer says {stream.stated}" for stream in wrong)
    yield Check(what, not wrong if stated else None, found or ("" if stated else "it has no footers"))
    alone = [stream for stream in held if not stream.clock_times]
    found = "; ".join(map(str, alone))
    yield Check(f"{file.name} has measurements of every stream's clock", not alone, found)


def _datetime(text: str) -> datetime.datetime | None:
    """Return an ISO 8601 time as LabRecorder writes it; None where it is none."""
    plain = re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", text.strip())
    try:
        return datetime.datetime.fromisoformat(plain)
    except ValueError:
        return None


def _before(a: datetime.datetime, b: datetime.datetime) -> bool:
    if (a.tzinfo is None) != (b.tzinfo is None):
        a, b = a.replace(tzinfo=None), b.replace(tzinfo=None)
    return a < b


@dataset(
    "xdf",
    info=DatasetInfo(
        title="XDF files of the Lab Streaming Layer, of any laboratory",
        modalities=tuple(_TYPES),
        subjects=0,
        licence="",
        citation="",
        url="",
        access="own",
        checked="format-faithful files only, of which times and values are pyxdf's; never tried on a real recording",
        uncertain=(
            "what a stream is, where its type is none of the usual words: streams={name: modality}",
            "the unit of channels that do not name one: units={modality: unit}",
            "what a marker is about: markers='intervals', 'next' or 'points'",
            "which of several streams of one modality is meant: streams={number: modality}",
        ),
    ),
    checks=_checks,
)
def xdf(
    root: Path | None,
    *,
    subjects: Sequence[str] | None = None,
    naming: _Naming = "auto",
    streams: Mapping[str, str] | None = None,
    rates: Mapping[str, float] | None = None,
    units: Mapping[str, str] | None = None,
    markers: Markers = "intervals",
    breaks: float = BREAK,
) -> Corpus:
    """XDF files of the Lab Streaming Layer: a recording per file, all streams on the recorder's clock.

    A stream's type (EEG, ECG, EMG, EOG, GSR/EDA, PPG/BVP, Resp, Temp, ACC, Gaze) says what it is; where it does not, or
    where a channel is of another kind (an EOG among EEG), the channel's type or label does. Regular streams are put on
    a grid of their nominal rate: clocks by the measurements in the file, jitter by a line, drift by linear
    interpolation, gaps as missing; what was done is in the recording's clocks. Irregular streams of numbers become
    traces. Markers become events; a regular stream of numbers that is one of markers, a trigger channel, has one where
    its number changes to another than 0, or, where there is no 0, than the one that it returns to most often. Of
    several streams of one modality the one with most numbers is taken.

    Parameters
    ----------
    root : Path
        A file, or a folder of files, also in folders.
    subjects : sequence of str, optional
        Only these; ``P001`` or ``sub-P001``.
    naming : {"auto", "file", "folder"}
        Where the subject's name is. ``auto``: ``sub-`` (with ``ses-``) in the file's name, else the first folder below
        `root`, else the file's stem.
    streams : mapping of str to str, optional
        By name or number, what a stream is: a modality, ``trace``, ``events``, or ``""`` to leave it out. A file that
        lacks the stream is read without it; a name that no file has is refused.
    rates : mapping of str to float, optional
        By name or number, the rate in Hz of a stream that says another, or none.
    units : mapping of str to str, optional
        By modality, the unit of the numbers, whatever the file says.
    markers : {"intervals", "next", "points"}
        ``intervals``: ``x_start`` and ``x_end`` (begin, stop) become the interval ``x``; any other marker lasts until
        the next of its stream, or the recording's end. ``next``: all of them do. ``points``: they have no length.
    breaks : float
        Seconds of samples that must be missing before a stream's times are taken to be interrupted.

    Returns
    -------
    Corpus

    Raises
    ------
    DataError
        No root is given, it does not exist, an option or a subject asked for is not there.
    ReadError
        There is no XDF file in `root`.
    """
    options = _checked(streams, rates, units, markers, naming, breaks)
    if root is None:
        raise DataError("The data set 'xdf' needs a root: the folder of your own files.")
    corpus = _listed(locate("xdf", root), naming, options)
    _refuse_unknown(corpus.sources, options)
    called = set(corpus.subjects)
    kept = chosen(corpus.subjects, subjects, lambda name: name if name in called else name.removeprefix("sub-"))
    return Corpus("xdf", tuple(source for source in corpus.sources if source.subject in kept), corpus.left_out)
