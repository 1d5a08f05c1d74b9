"""EDF, EDF+, BDF and BDF+ files, every channel at its own rate, typed by its label.

The header is ASCII in fields of fixed width, the data are records of little-endian int16 (EDF) or int24 (BDF), signal
by signal (Kemp et al., Electroenceph. clin. Neurophysiol. 82:391, 1992; Kemp & Olivan, Clin. Neurophysiol. 114:1755,
2003; BioSemi, "Which file format does BioSemi use").

Libraries were weighed: MNE resamples all channels to the highest rate, and pyedflib refuses files that are common in
laboratories (an unknown number of records, ``µV`` as a unit, umlauts in a name) without saying which field it minds.
The tests compare every value with pyedflib's.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from limbeck.datasets import DatasetInfo, dataset, locate
from limbeck.datasets.files import chosen, sources_inside, visible
from limbeck.errors import DataError, ReadError, did_you_mean
from limbeck.recording import MODALITIES, UNITS, Corpus, Event, LeftOut, Recording, Signal, Source, which_modality

__all__ = [
    "Annotation",
    "Channel",
    "Header",
    "classify",
    "doubtful",
    "edf",
    "list_sessions",
    "looks_like",
    "read_annotations",
    "read_channel",
    "read_header",
    "read_recording",
    "to_unit",
]

_MODULES = ("limbeck.datasets.edf", "limbeck.datasets.files")
_SUFFIXES = (".edf", ".bdf", ".rec")
_ADVICE = "The file is damaged or not EDF/BDF: copy it again from where it was recorded."

# (name, width) of the fields that a file has once, and of those that it has per signal.
_FILE_FIELDS = (
    ("version", 8), ("patient", 80), ("recording", 80), ("start date", 8), ("start time", 8), ("header bytes", 8),
    ("reserved", 44), ("number of records", 8), ("record duration", 8), ("number of signals", 4),
)  # fmt: skip
_SIGNAL_FIELDS = (
    ("label", 16), ("transducer", 80), ("unit", 8), ("physical minimum", 8), ("physical maximum", 8),
    ("digital minimum", 8), ("digital maximum", 8), ("prefilter", 80), ("samples per record", 8), ("reserved", 32),
)  # fmt: skip


@dataclass(frozen=True)
class Channel:
    """One ordinary signal of a file: its label, its unit as written, and where its samples are.

    `rate` is in Hz; a physical value is ``digital * gain + offset`` in `unit`; `first` and `samples` count the samples
    in a record, from 0.
    """

    label: str
    unit: str
    rate: float
    gain: float
    offset: float
    first: int
    samples: int


@dataclass(frozen=True)
class Header:
    """What an EDF or BDF file says about itself.

    Parameters
    ----------
    file : Path
        The file.
    sample_bytes : int
        2 for EDF, 3 for BDF.
    contiguous : bool
        False for files that say that there may be gaps between records (``EDF+D``).
    start : datetime, optional
        When the recording began, None where the file does not say.
    header_bytes, n_records, record_samples : int
        The layout: bytes before the data, whole records, samples of all signals in a record.
    record_seconds : float
        Duration of a record.
    channels : tuple of Channel
        The ordinary signals, in the file's order.
    annotations : tuple of (int, int)
        First sample and number of samples, in a record, of each annotation signal.
    surplus_bytes : int
        What the file holds behind the records; it is not read.
    """

    file: Path
    sample_bytes: int
    contiguous: bool
    start: datetime.datetime | None
    header_bytes: int
    n_records: int
    record_samples: int
    record_seconds: float
    channels: tuple[Channel, ...]
    annotations: tuple[tuple[int, int], ...]
    surplus_bytes: int = 0

    @property
    def seconds(self) -> float:
        """Duration of the recording in s."""
        return self.n_records * self.record_seconds


@dataclass(frozen=True)
class Annotation:
    """A text with onset and duration in seconds from the recording's start."""

    onset: float
    duration: float
    text: str


# ---------------------------------------------------------------------------------------------------------------------
# Header
# ---------------------------------------------------------------------------------------------------------------------


def looks_like(path: Path) -> bool:
    """Tell whether a file begins like EDF or BDF, or a folder holds files that are named so."""
    if path.is_dir():
        return any(child.suffix.lower() in _SUFFIXES for child in visible(path))
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
    except OSError as error:
        raise ReadError(path, found=error.strerror or str(error), expected="a readable file") from error
    return start in (b"0       ", b"\xffBIOSEMI") or path.suffix.lower() in _SUFFIXES


def _text(raw: bytes) -> str:
    """Decode a field: ASCII by the standard, UTF-8 or Latin-1 by those who write ``µV`` and names."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text.replace("\0", " ").strip()


def _whole(text: str, file: Path, field: str, lowest: int, highest: int) -> int:
    if not re.fullmatch(r"[+-]?\d{1,9}", text) or not lowest <= int(text) <= highest:
        expected = f"a whole number from {lowest} to {highest}"
        raise ReadError(file, where=f"header field '{field}'", found=repr(text), expected=expected, advice=_ADVICE)
    return int(text)


def _real(text: str, file: Path, field: str) -> float:
    try:
        value = float(text.replace(",", "."))  # some devices write the decimal sign of their country
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise ReadError(file, where=f"header field '{field}'", found=repr(text), expected="a number", advice=_ADVICE)
    return value


def _split(raw: bytes, fields: Sequence[tuple[str, int]], count: int = 1) -> dict[str, list[str]]:
    """Cut a header into its fields; each comes `count` times in a row before the next."""
    cut: dict[str, list[str]] = {}
    place = 0
    for name, width in fields:
        cut[name] = [_text(raw[place + i * width : place + (i + 1) * width]) for i in range(count)]
        place += count * width
    return cut


def read_header(path: str | Path) -> Header:
    """Read what an EDF or BDF file says about itself, and check it against the file's size.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    Header
        With the number of records that it states; where it says -1 (unknown), that of the whole ones that it holds.

    Raises
    ------
    ReadError
        The file is missing, empty, cut or not EDF/BDF; the message names the field and what was expected.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            first = stream.read(256)
            n_signals = _signal_count(first, path, size)
            second = stream.read(256 * n_signals)
    except OSError as error:
        raise ReadError(path, found=error.strerror or str(error), expected="a readable EDF or BDF file") from error
    if len(second) < 256 * n_signals:
        raise ReadError(
            path,
            where="header",
            found=f"a file that ends after {size} bytes",
            expected=f"a header of {256 * (n_signals + 1)} bytes for {n_signals} signals",
            advice=_ADVICE,
        )
    fields = {name: values[0] for name, values in _split(first, _FILE_FIELDS).items()}
    signals = _split(second, _SIGNAL_FIELDS, n_signals)
    return _assemble(path, size, first[:1] == b"\xff", fields, signals)


def _signal_count(first: bytes, path: Path, size: int) -> int:
    if size == 0:
        raise ReadError(path, found="an empty file", expected="an EDF or BDF recording", advice=_ADVICE)
    if len(first) < 256:
        found, expected = f"a file of {size} bytes", "a header of 256 bytes or more"
        raise ReadError(path, where="header", found=found, expected=expected, advice=_ADVICE)
    if first[:8].rstrip() not in (b"0", b"\xffBIOSEMI"):
        raise ReadError(
            path,
            where="header field 'version'",
            found=repr(first[:8].decode("latin-1")),
            expected="'0       ' (EDF) or 0xFF 'BIOSEMI' (BDF)",
            advice=_ADVICE,
        )
    count = _whole(_text(first[252:256]), path, "number of signals", 1, 9999)
    stated = _whole(_text(first[184:192]), path, "header bytes", 512, 256 * 10_000)
    if stated != 256 * (count + 1):
        raise ReadError(
            path,
            where="header field 'header bytes'",
            found=str(stated),
            expected=f"{256 * (count + 1)}, as there are {count} signals",
            advice=_ADVICE,
        )
    return count


def _assemble(
    path: Path, size: int, is_bdf: bool, fields: Mapping[str, str], signals: Mapping[str, list[str]]
) -> Header:
    sample_bytes = 3 if is_bdf else 2
    seconds = _real(fields["record duration"], path, "record duration")
    if seconds < 0:
        found = fields["record duration"]
        raise ReadError(path, where="header field 'record duration'", found=found, expected="seconds, 0 or more")
    samples = [
        _whole(text, path, f"samples per record of signal {i + 1} '{signals['label'][i]}'", 0, 100_000_000)
        for i, text in enumerate(signals["samples per record"])
    ]
    firsts = np.concatenate([[0], np.cumsum(samples)]).astype(int).tolist()
    channels, annotations = [], []
    for i, label in enumerate(signals["label"]):
        if label in ("EDF Annotations", "BDF Annotations"):
            annotations.append((firsts[i], samples[i]))
        elif samples[i]:
            channels.append(_channel(path, signals, i, firsts[i], samples[i], seconds))
    header_bytes = 256 * (len(samples) + 1)
    record_bytes = firsts[-1] * sample_bytes
    n_records = _record_count(path, size - header_bytes, record_bytes, fields["number of records"])
    return Header(
        file=path,
        sample_bytes=sample_bytes,
        contiguous=not fields["reserved"].startswith(("EDF+D", "BDF+D")),
        start=_start(fields),
        header_bytes=header_bytes,
        n_records=n_records,
        record_samples=firsts[-1],
        record_seconds=seconds,
        channels=tuple(channels),
        annotations=tuple(annotations),
        surplus_bytes=size - header_bytes - n_records * record_bytes,
    )


def _channel(path: Path, signals: Mapping[str, list[str]], i: int, first: int, samples: int, seconds: float) -> Channel:
    label = signals["label"][i]
    low, high, digital_low, digital_high = (
        _real(signals[f"{kind} {end}"][i], path, f"{kind} {end} of signal {i + 1} '{label}'")
        for kind in ("physical", "digital")
        for end in ("minimum", "maximum")
    )
    if digital_low == digital_high:
        raise ReadError(
            path,
            where=f"header field 'digital maximum' of signal {i + 1} '{label}'",
            found=f"{digital_high:g}, the same as the minimum",
            expected="another value: there is no scale",
            advice=_ADVICE,
        )
    if seconds == 0:
        raise ReadError(
            path,
            where="header field 'record duration'",
            found="0",
            expected=f"seconds, as signal {i + 1} '{label}' has {samples} samples per record",
            advice=_ADVICE,
        )
    gain = (high - low) / (digital_high - digital_low)
    return Channel(label, signals["unit"][i], samples / seconds, gain, low - gain * digital_low, first, samples)


def _record_count(path: Path, data_bytes: int, record_bytes: int, text: str) -> int:
    """Return how many records there are: what the header says, or what the file holds where it does not know."""
    stated = _whole(text, path, "number of records", -1, 999_999_999)
    if record_bytes == 0:
        raise ReadError(path, where="header", found="no samples in a record", expected="signals", advice=_ADVICE)
    held = data_bytes // record_bytes
    if held < stated:
        raise ReadError(
            path,
            where=f"record {held + 1}",
            found=f"the end of the file, after {data_bytes} bytes of data",
            expected=f"{stated} records of {record_bytes} bytes, as the header says",
            advice="The file was cut: copy it again from where it was recorded.",
        )
    if held == 0:
        raise ReadError(path, found="a header without data", expected="at least one record", advice=_ADVICE)
    if stated == 0:
        raise ReadError(
            path,
            where="header field 'number of records'",
            found=f"0, where the file holds {held} records",
            expected="how many there are, or -1 if that is not known",
            advice="The recording was not closed: write -1 into the field to read all of it.",
        )
    return held if stated == -1 else stated


def _start(fields: Mapping[str, str]) -> datetime.datetime | None:
    """Return when the recording began; years are those of 1985 to 2084, by the standard."""
    numbers = re.findall(r"\d+", f"{fields['start date']} {fields['start time']}")
    if len(numbers) != 6:
        return None
    day, month, year, hour, minute, second = map(int, numbers)
    try:
        return datetime.datetime(year + (1900 if year >= 85 else 2000), month, day, hour, minute, second)
    except ValueError:  # anonymised files carry dates that do not exist; nothing here depends on the date
        return None


# ---------------------------------------------------------------------------------------------------------------------
# Samples and annotations
# ---------------------------------------------------------------------------------------------------------------------


def _records(header: Header) -> np.ndarray:
    """Return the data as uint8 of shape (n_records, bytes per record), mapped from the file."""
    shape = (header.n_records, header.record_samples * header.sample_bytes)
    try:
        return np.memmap(header.file, dtype=np.uint8, mode="r", offset=header.header_bytes, shape=shape)
    except (OSError, ValueError) as error:  # the file changed since its header was read
        raise ReadError(header.file, found=str(error), expected=f"{shape[0]} records of {shape[1]} bytes") from error


def _digital(records: np.ndarray, header: Header, first: int, samples: int) -> np.ndarray:
    """Return the integers of one signal, shape (n_records * samples,)."""
    width = header.sample_bytes
    raw = np.ascontiguousarray(records[:, first * width : (first + samples) * width])
    if width == 2:
        return raw.view("<i2").ravel()
    parts = raw.reshape(-1, 3)
    padded = np.zeros((len(parts), 4), dtype=np.uint8)
    padded[:, 1:] = parts  # in the upper three bytes, so that the shift back spreads the sign
    return padded.view("<i4").ravel() >> 8


def read_channel(header: Header, channel: Channel) -> np.ndarray:
    """Return the physical values of one channel.

    Parameters
    ----------
    header : Header
        Of the file.
    channel : Channel
        One of ``header.channels``.

    Returns
    -------
    ndarray of shape (n_times,), float64
        In ``channel.unit``, at ``channel.rate``.

    Raises
    ------
    ReadError
        The file has gaps between its records.
    """
    _refuse_gaps(header)
    return _physical(_records(header), header, channel)


def _physical(records: np.ndarray, header: Header, channel: Channel) -> np.ndarray:
    return _digital(records, header, channel.first, channel.samples) * channel.gain + channel.offset


def _annotation_texts(header: Header) -> list[list[bytes]]:
    """Return the lists of annotations (onset, duration and texts, still as bytes) of each record."""
    records = _records(header)
    width = header.sample_bytes
    texts: list[list[bytes]] = []
    for record in records:
        lists: list[bytes] = []
        for first, samples in header.annotations:
            raw = record[first * width : (first + samples) * width].tobytes()
            lists += [part for part in raw.split(b"\0") if part]
        texts.append(lists)
    return texts


def _parse_annotation(raw: bytes, file: Path, record: int) -> tuple[float, float, list[str]]:
    """Return onset, duration and texts of ``+onset[0x15 duration]0x14 text 0x14 ...``."""
    timing, _, texts = raw.partition(b"\x14")
    match = re.fullmatch(rb"([+-]\d+(?:\.\d*)?)(?:\x15(\d+(?:\.\d*)?))?", timing)
    if match is None:
        raise ReadError(
            file,
            where=f"annotations of record {record + 1}",
            found=repr(raw[:40].decode("latin-1")),
            expected="a signed onset in seconds",
            advice=_ADVICE,
        )
    return float(match[1]), float(match[2] or 0), [_text(text) for text in texts.split(b"\x14") if text]


def read_annotations(header: Header) -> list[Annotation]:
    """Return the annotations of an EDF+ or BDF+ file, in the file's order; none for plain EDF and BDF.

    Raises
    ------
    ReadError
        An annotation is garbled; the message names the record.
    """
    found: list[Annotation] = []
    start: float | None = None
    for record, lists in enumerate(_annotation_texts(header) if header.annotations else []):
        for i, raw in enumerate(lists):
            onset, duration, texts = _parse_annotation(raw, header.file, record)
            if start is None and i == 0:  # the first one keeps the time of the record; it need not be 0
                start = onset
            found += [Annotation(onset - (start or 0.0), duration, text) for text in texts]
    return found


def _refuse_gaps(header: Header) -> None:
    """Refuse a file whose records do not follow each other, as time would be wrong behind the first gap."""
    if header.contiguous or not header.annotations:
        return
    onsets = [
        _parse_annotation(lists[0], header.file, record)[0] if lists else np.nan
        for record, lists in enumerate(_annotation_texts(header))
    ]
    expected = onsets[0] + np.arange(len(onsets)) * header.record_seconds
    gaps = np.flatnonzero(~(np.abs(np.array(onsets) - expected) < 1e-3))
    if len(gaps):
        record = int(gaps[0])
        raise ReadError(
            header.file,
            where=f"record {record + 1}",
            found=f"an onset of {onsets[record]:g} s",
            expected=f"{expected[record]:g} s: a recording without gaps",
            advice="Cut the file at its gaps into continuous ones.",
        )


# ---------------------------------------------------------------------------------------------------------------------
# Labels and units
# ---------------------------------------------------------------------------------------------------------------------

# The sites of the 10-20 and 10-10 systems, with the older T3-T6 and the ears and mastoids.
_SITES = {
    site.lower(): site
    for row in (
        "Fp1 Fpz Fp2",
        "AF9 AF7 AF5 AF3 AF1 AFz AF2 AF4 AF6 AF8 AF10",
        "F9 F7 F5 F3 F1 Fz F2 F4 F6 F8 F10",
        "FT9 FT7 FC5 FC3 FC1 FCz FC2 FC4 FC6 FT8 FT10",
        "T9 T7 T3 C5 C3 C1 Cz C2 C4 C6 T4 T8 T10",
        "TP9 TP7 CP5 CP3 CP1 CPz CP2 CP4 CP6 TP8 TP10",
        "T5 T6 P9 P7 P5 P3 P1 Pz P2 P4 P6 P8 P10",
        "PO9 PO7 PO3 POz PO4 PO8 PO10",
        "O1 Oz O2 Iz A1 A2 M1 M2",
    )
    for site in row.split()
}

_KINDS = (
    ("eeg", r"eeg"),
    ("ecg", r"ecg|ekg"),
    ("emg", r"emg"),
    ("eog", r"[hv]?eog"),
    ("eda", r"eda|gsr|scl|skin conductance|galvanic"),
    ("bvp", r"bvp|ppg|pleth?|plethysmo(?:gram|graph)"),
    ("resp", r"resp(?:iration)?|thor(?:ax)?|abdo(?:men)?"),
    ("temp", r"temp(?:erature)?|skt"),
    ("acc", r"acc(?:el(?:eration|erometer)?)?"),
)
_TRIGGER = re.compile(r"status|trig|stim|event|marker", re.IGNORECASE)
_KIND = re.compile("|".join(f"(?P<{kind}>{names})" for kind, names in _KINDS), re.IGNORECASE)


def classify(label: str) -> tuple[str, str] | None:
    """Return the modality and the channel's name that a label stands for.

    Parameters
    ----------
    label : str
        As in the file: ``"EEG Fp1-Ref"``, ``"Fp1"``, ``"C3-M2"``, ``"ECG"``, ``"GSR1"``.

    Returns
    -------
    tuple of (str, str), optional
        ``("eeg", "Fp1")`` and so on; None for a label that says nothing known (triggers, status, free inputs).

    Examples
    --------
    >>> classify("EEG FP1-REF"), classify("ECG ECG"), classify("Status")
    (('eeg', 'Fp1'), ('ecg', 'ECG'), None)
    """
    text = label.strip()
    if _derivation(text) is not None:
        return "eeg", _derivation(text) or text
    match = _KIND.match(text)
    if match is None or match.lastgroup is None or re.match(r"[a-z]", text[match.end() :], re.IGNORECASE):
        return None
    rest = text[match.end() :].strip(" _:.-")
    if match.lastgroup == "eeg" and rest:
        return "eeg", _derivation(rest) or rest
    named = rest if rest and not rest.isdigit() else text
    # an ECG by its German name is the same channel, also to who looks for it by name
    return match.lastgroup, re.sub("^EKG", "ECG", named) if match.lastgroup == "ecg" else named


_EARS = {"a1a2": "A1A2", "a1+a2": "A1+A2", "a1/a2": "A1/A2", "m1m2": "M1M2", "m1+m2": "M1+M2", "m1/m2": "M1/M2"}


def _derivation(text: str) -> str | None:
    """Return a site, or two that a channel is between (``Fp1-A1``, ``C3-M2``, ``Fz-Cz``), in the usual spelling."""
    if _site(text) is not None:
        return _site(text)
    first, mark, second = text.partition("-")
    sites = _SITES.get(first.strip().lower()), _SITES.get(second.strip().lower(), _EARS.get(second.strip().lower()))
    return "-".join(site for site in sites if site) if mark and all(sites) else None


def _site(text: str) -> str | None:
    """Return an electrode's site in its usual spelling, without a common reference behind it or dots around it."""
    bare = re.sub(r"[-_ ]?(?:ref|le|avg|ar|car)$", "", text.strip(". "), flags=re.IGNORECASE).strip(". ")
    return _SITES.get(bare.lower())


_VOLTS = {"v": 1.0, "mv": 1e-3, "uv": 1e-6, "nv": 1e-9}
_SIEMENS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_OHMS = {"ohm": 1.0, "kohm": 1e3, "mohm": 1e6}  # a milliohm of skin there is not
_SAME = {
    "temp": {"c", "degc", "deg c", "°c", "celsius", "grad", "deg"},
    "acc": {"g"},
}
_GRAVITY = 9.80665  # m/s², ISO 80000-3


def to_unit(values: np.ndarray, modality: str, unit: str) -> np.ndarray | None:
    """Convert samples into the unit in which Limbeck holds a modality.

    Parameters
    ----------
    values : ndarray, float
        Samples in `unit`.
    modality : str
        As in :data:`limbeck.recording.UNITS`.
    unit : str
        As a file writes it; ``""`` is taken to be the modality's own.

    Returns
    -------
    ndarray, optional
        Of the same shape; None where the unit is not one of that modality. Resistance becomes conductance.
    """
    # NFKC makes one letter of the two micro signs and the two ohm signs, and 2 of a raised 2.
    plain = unicodedata.normalize("NFKC", unit.strip())
    name = plain.replace("\N{GREEK SMALL LETTER MU}", "u").replace("\N{GREEK CAPITAL LETTER OMEGA}", "ohm").lower()
    if not name or UNITS[modality] == "a.u.":
        return values
    if modality in ("eeg", "eog", "ecg", "emg") and name in _VOLTS:
        return values * (_VOLTS[name] / (1e-6 if UNITS[modality] == "µV" else 1e-3))
    if modality == "eda" and name in _SIEMENS:
        return values * (_SIEMENS[name] / 1e-6)
    if modality == "eda" and name in _OHMS:
        with np.errstate(divide="ignore"):
            conductance = 1e6 / (values * _OHMS[name])
        return np.where(np.isfinite(conductance), conductance, np.nan)
    if modality == "temp" and name in ("k", "f", "degf", "°f"):
        return values - 273.15 if name == "k" else (values - 32) / 1.8
    if modality == "acc" and name in ("mg", "m/s2", "m/s^2"):
        return values / (1000 if name == "mg" else _GRAVITY)
    return values if name in _SAME.get(modality, ()) else None


_SIZES = {
    "eeg": (1e-2, 1e4),
    "eog": (1e-2, 1e5),
    "ecg": (1e-3, 1e2),
    "emg": (1e-5, 1e2),
    "eda": (5e-3, 5e2),
    "temp": (5.0, 60.0),
    "acc": (1e-3, 20.0),
}
"""What numbers of a modality are like in its unit, within an order of magnitude of what no sensor shows: of potentials
the scatter, of the others the size. A wrong unit is off by a thousand, or upside down."""

_LOOKED_AT = 100_000  # samples of a channel that tell its size well enough

_FROM_MIDDLE = ("eeg", "eog", "ecg", "emg")


def doubtful(values: np.ndarray, modality: str, unit: str) -> str:
    """Say that a unit which someone stated can hardly be that of these numbers.

    Parameters
    ----------
    values : ndarray of shape (n_channels, n_times)
        Samples, already in the unit of :data:`limbeck.recording.UNITS`; NaN where missing.
    modality : str
    unit : str
        As it was stated.

    Returns
    -------
    str
        A sentence without its full stop; ``""`` where nothing is odd, and for signals that do not move at all.
    """
    if modality not in _SIZES:
        return ""
    values = values[:, :: max(1, values.shape[1] // _LOOKED_AT)]
    if not np.isfinite(values).any():
        return ""
    sizes = np.abs(values)
    if modality in _FROM_MIDDLE:
        finite = [row[np.isfinite(row)] for row in values]
        sizes = np.concatenate([np.abs(row - np.median(row)) for row in finite if len(row)])
    size = float(np.nanmedian(sizes))
    low, high = _SIZES[modality]
    if size == 0 or low <= size <= high:
        return ""
    what = "scatter by" if modality in _FROM_MIDDLE else "are"
    return (
        f"the numbers, taken to be in {unit}, {what} {size:.3g} {UNITS[modality]} in the middle, where {modality} is "
        f"between {low:g} and {high:g}; is the unit right"
    )


# ---------------------------------------------------------------------------------------------------------------------
# Recordings
# ---------------------------------------------------------------------------------------------------------------------


def read_recording(
    path: str | Path,
    *,
    subject: str,
    session: str = "",
    trial: str = "",
    order: int = 0,
    ratings: Mapping[str, float] | None = None,
    events: Sequence[Event] | None = None,
    select: Mapping[str, Sequence[str]] | None = None,
    channels: Mapping[str, str] | None = None,
) -> Recording:
    """Read an EDF or BDF file as a recording.

    Parameters
    ----------
    path : path-like
        The file.
    subject, session, trial, order, ratings
        As in :class:`limbeck.recording.Recording`.
    events : sequence of Event, optional
        Known intervals; by default the file's annotations.
    select : mapping of str to sequence of str, optional
        By modality, the channels wanted, in this order, by the names that :func:`classify` gives them. By default every
        channel whose label says what it is.
    channels : mapping of str to str, optional
        By label as the file has it, the modality of channels whose label does not say it, or says another; ``""``
        leaves one out. Labels that are not in the file are noted. Not together with `select`.

    Returns
    -------
    Recording
        Each modality at its native rate and in the unit of :data:`limbeck.recording.UNITS`. Channels that could not be
        used are in its notes.

    Raises
    ------
    ReadError
        The file is damaged, or no channel can be used.
    """
    header = read_header(path)
    _refuse_gaps(header)
    groups, label_notes = _by_label(header, channels or {}) if select is None else _selected(header, select)
    notes = _surplus_note(header) + label_notes
    signals: dict[str, Signal] = {}
    records = _records(header)
    for modality, members in groups.items():
        signal, left_out = _signal(records, header, modality, members)
        notes += left_out
        if signal is not None:
            signals[modality] = signal
    if not signals:
        found = f"the channels {', '.join(channel.label for channel in header.channels) or 'none'}"
        expected = "at least one whose label and unit say what it is, such as 'EEG Fp1' in uV"
        advice = "Say what they are with the option channels: {label: modality}."
        raise ReadError(path, found=found, expected=expected, advice=advice)
    if events is None:
        events, more = _annotated(header)
        notes += more
    return Recording(subject, signals, session, trial, order, dict(ratings or {}), tuple(events), notes=tuple(notes))


def _surplus_note(header: Header) -> list[LeftOut]:
    if not header.surplus_bytes:
        return []
    record_bytes = header.record_samples * header.sample_bytes
    held = f"{header.n_records + header.surplus_bytes / record_bytes:.10g} records"
    why = f"the file holds {held}, {header.n_records} are read: the header states no more, or the last one is not whole"
    return [LeftOut(f"{header.file}: end", why)]


def _by_label(header: Header, said: Mapping[str, str]) -> tuple[dict[str, list[tuple[str, Channel]]], list[LeftOut]]:
    """Sort the channels by modality: by what was said of them, else by their labels."""
    groups: dict[str, list[tuple[str, Channel]]] = {}
    unknown = []
    for channel in header.channels:
        forced = said.get(channel.label.strip())
        if forced == "":
            continue
        kind = classify(channel.label) if forced is None else (forced, channel.label.strip())
        if kind is None and _TRIGGER.match(channel.label):
            continue
        if kind is None:
            unknown.append(channel.label or "(no label)")
            continue
        modality, name = kind
        groups.setdefault(modality, []).append((name, channel))
    labels = {channel.label.strip() for channel in header.channels}
    notes = [
        LeftOut(f"{header.file}: channel {name}", "other files have it; this one is read without it")
        for name in sorted(set(said) - labels)
    ]
    if unknown:
        why = "the label does not say what the channel is; the option channels ({label: modality}) does"
        notes.append(LeftOut(f"{header.file}: {', '.join(unknown)}", why))
    return groups, notes


def _selected(
    header: Header, select: Mapping[str, Sequence[str]]
) -> tuple[dict[str, list[tuple[str, Channel]]], list[LeftOut]]:
    """Pick channels by name; of a modality either all wanted channels are there, or none."""
    kinds = {classify(channel.label): channel for channel in reversed(header.channels)}  # the first of a name wins
    groups: dict[str, list[tuple[str, Channel]]] = {}
    notes = []
    for modality, wanted in select.items():
        missing = [name for name in wanted if (modality, name) not in kinds]
        if not missing:
            groups[modality] = [(name, kinds[modality, name]) for name in wanted]
        elif len(missing) == len(wanted):
            why = f"no channel {', '.join(missing)}; the recording is used without {modality}"
            notes.append(LeftOut(f"{header.file}: {modality}", why))
        else:
            raise ReadError(
                header.file,
                where=f"{modality} channels",
                found=f"no {', '.join(missing)}",
                expected=f"all of {', '.join(wanted)}",
            )
    return groups, notes


def _signal(
    records: np.ndarray, header: Header, modality: str, channels: Sequence[tuple[str, Channel]]
) -> tuple[Signal | None, list[LeftOut]]:
    """Read the channels of a modality at the rate that most of them have."""
    rate = Counter(channel.rate for _, channel in channels).most_common(1)[0][0]
    notes: list[LeftOut] = []
    rows: dict[str, np.ndarray] = {}
    for name, channel in channels:
        what = f"{header.file}: {channel.label}"
        if channel.rate != rate:
            notes.append(LeftOut(what, f"{channel.rate:g} Hz where the other {modality} channels have {rate:g} Hz"))
            continue
        values = to_unit(_physical(records, header, channel), modality, channel.unit)
        if values is None:
            notes.append(LeftOut(what, f"the unit {channel.unit!r} cannot be converted into {UNITS[modality]}"))
            continue
        if not channel.unit and UNITS[modality] != "a.u.":
            notes.append(LeftOut(f"{what}: unit", f"none is given; taken to be {UNITS[modality]}"))
        with np.errstate(over="ignore"):
            samples = values.astype(np.float32)
        samples[np.isinf(samples)] = np.nan  # from ranges in the header that no device has
        rows[_unused(name, rows)] = samples
    if not rows:
        return None, notes
    return Signal(np.stack(list(rows.values())), rate, tuple(rows), UNITS[modality]), notes


def _unused(name: str, taken: Mapping[str, object]) -> str:
    number, unused = 2, name
    while unused in taken:
        unused, number = f"{name} ({number})", number + 1
    return unused


def _annotated(header: Header) -> tuple[list[Event], list[LeftOut]]:
    """Return the annotations as events; garbled ones cost the events, not the signals."""
    try:
        annotations = read_annotations(header)
    except ReadError as error:
        return [], [LeftOut(f"{header.file}: annotations", f"{error} The recording is used without events.")]
    return [Event(a.text, a.onset, a.onset + a.duration) for a in annotations], []


def list_sessions(path: Path) -> Corpus:
    """List an EDF or BDF file, or those directly in a folder, as recordings of subjects named by the files' stems.

    Raises
    ------
    ReadError
        There is none.
    """
    return _listed(path, _files(path), {})


def _files(path: Path) -> list[Path]:
    files = [path] if not path.is_dir() else [c for c in visible(path) if c.suffix.lower() in _SUFFIXES]
    if not files:
        raise ReadError(path, found="no EDF or BDF file", expected="files that end in .edf or .bdf")
    return files


def _listed(path: Path, files: Sequence[Path], channels: Mapping[str, str]) -> Corpus:
    found = [(file, partial(_source, file, channels)) for file in files]
    sources, left_out = sources_inside(path, found)
    return Corpus("edf", sources, left_out)


def _source(file: Path, channels: Mapping[str, str]) -> Source:
    read = partial(read_recording, file, subject=file.stem, channels=dict(channels))
    options = {"channels": dict(channels)} if channels else {}
    return Source(subject=file.stem, read=read, files=(file,), options=options, modules=_MODULES)


def _checked(channels: Mapping[str, str] | None) -> dict[str, str]:
    """Return what was said of channels, by label, after finding all mistakes in it."""
    if channels is not None and not isinstance(channels, Mapping):
        raise DataError(f"channels: found {channels!r}; expected a mapping of labels to modalities.")
    said = {str(label).strip(): str(modality or "").strip().lower() for label, modality in (channels or {}).items()}
    wrong = [(label, modality) for label, modality in said.items() if modality not in ("", *MODALITIES)]
    if wrong:
        raise DataError(
            " ".join(f"channels: '{label}' cannot be '{name}'.{which_modality(name)}" for label, name in wrong)
        )
    return said


def _refuse_unknown(sources: Sequence[Source], channels: Mapping[str, str]) -> None:
    """Refuse labels that no file has: a slip of the pen would otherwise decide nothing.

    Where a file cannot be read, it may be the one that has them, and nothing is refused.
    """
    missing: set[str] = set(channels)
    labels: set[str] = set()
    for source in sources if missing else ():
        try:
            own = {channel.label.strip() for channel in read_header(source.files[0]).channels}
        except ReadError:
            return
        labels |= own
        missing -= own
    if missing:
        raise DataError(
            " ".join(
                f"channels: no file has a channel '{name}'.{did_you_mean(name, labels)}" for name in sorted(missing)
            )
        )


@dataset(
    "edf",
    info=DatasetInfo(
        title="EDF and BDF files of any laboratory",
        modalities=("eeg", "ecg", "emg", "eog", "eda", "bvp", "resp", "temp", "acc"),
        subjects=0,
        licence="",
        citation="",
        url="",
        access="own",
        checked="the formats' specifications; 44 real EDF+ files of EEGMAT",
        obtain="Your own: any recorder or program that writes EDF, EDF+, BDF or BDF+.",
        uncertain=("what a channel is, where its label does not say: left out unless channels={label: modality}",),
    ),
)
def edf(
    root: Path | None, *, subjects: Sequence[str] | None = None, channels: Mapping[str, str] | None = None
) -> Corpus:
    """EDF(+) and BDF(+) files: a recording per file, typed by the channels' labels, with the annotations as events.

    Parameters
    ----------
    root : Path
        A file, or a folder of files; the subject is the file's stem.
    subjects : sequence of str, optional
        Only these.
    channels : mapping of str to str, optional
        By label as the files have it, what a channel is where its label does not say so: a modality (``{"Schmerz":
        "eda"}``), or ``""`` to leave it out.

    Returns
    -------
    Corpus

    Raises
    ------
    DataError
        No root is given, it does not exist, a subject or channel asked for is not there, or a modality is none.
    ReadError
        There is no such file in `root`.
    """
    if root is None:
        raise DataError("The data set 'edf' needs a root: the folder of your own files.")
    said = _checked(channels)
    path = locate("edf", root)
    corpus = _listed(path, _files(path), said)
    _refuse_unknown(corpus.sources, said)
    kept = chosen(corpus.subjects, subjects, str)
    return Corpus("edf", tuple(source for source in corpus.sources if source.subject in kept), corpus.left_out)
