"""BIDS: EEG and peripheral recordings of any laboratory, laid out by the Brain Imaging Data Structure.

Gorgolewski et al., The brain imaging data structure, Scientific Data 3:160044, 2016; Pernet et al., EEG-BIDS,
Scientific Data 6:103, 2019. Read are EEG as EDF, BDF, BrainVision or EEGLAB with ``_channels.tsv`` and
``_events.tsv``, and peripheral signals as ``_physio.tsv.gz`` (gzip, tabs, no header line) with the sidecar that names
their columns. Sidecars are inherited from the folders above.

All files that share every entity but ``recording-`` are one recording, whichever folder (``eeg``, ``beh``, ``func``)
they lie in. Time 0 is the first sample of the EEG; a physio file that began before it (``StartTime`` below 0) gives a
signal whose `start` is negative.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from limbeck.datasets import Check, DatasetInfo, dataset, locate
from limbeck.datasets.bids_files import (
    Folders,
    Name,
    applying,
    cell_number,
    json_number,
    merged,
    parse_name,
    read_json,
    read_physio,
    read_tsv,
    tsv_rows,
)
from limbeck.datasets.edf import classify, to_unit
from limbeck.datasets.eeg_files import MAIN_SUFFIXES, EegFile, RawChannel, read_eeg_file
from limbeck.datasets.files import chosen, find_folder, visible
from limbeck.datasets.numbers import shown
from limbeck.errors import DataError, ReadError, did_you_mean
from limbeck.recording import MODALITIES, UNITS, Corpus, Event, LeftOut, Recording, Signal, Source, Trace

__all__ = ["bids", "checks", "looks_like"]

_MODULES = tuple(
    f"limbeck.datasets.{name}" for name in ("bids", "bids_files", "eeg_files", "edf", "matlab", "files", "numbers")
)
_COMPANIONS = (".eeg", ".dat", ".vmrk", ".fdt")
_MISSING = ("n/a", "")
_OWN = "limbeck_"
"""How columns begin that `limbeck datasets convert` adds to say what BIDS has no word for."""


# ---------------------------------------------------------------------------------------------------------------------
# What a column or channel is
# ---------------------------------------------------------------------------------------------------------------------

_TYPES = {
    "EEG": "eeg", "EOG": "eog", "HEOG": "eog", "VEOG": "eog", "ECG": "ecg", "EMG": "emg", "GSR": "eda", "EDA": "eda",
    "PPG": "bvp", "BVP": "bvp", "RESP": "resp", "TEMP": "temp", "ACC": "acc", "ACCEL": "acc", "EYEGAZE": "gaze",
}  # fmt: skip
_UNTYPED = ("MISC", "OTHER", "N/A", "")
_COLUMNS = (
    ("resp", r"resp\w*|breath\w*|belt"),
    ("ecg", r"ecg\w*|ekg\w*|electrocardio\w*"),
    ("bvp", r"cardiac|puls\w*|ppg\w*|bvp\w*|pleth\w*|photopleth\w*|oxi\w*"),
    ("eda", r"eda\w*|gsr\w*|scr|scl|skin conductance\w*|galvanic\w*|electrodermal\w*"),
    ("emg", r"emg\w*|electromyo\w*"),
    ("eog", r"[hv]?eog\w*|electrooculo\w*"),
    ("temp", r"temp\w*|skt\w*|skin temp\w*"),
    ("acc", r"acc|acc [xyz]|accel\w*(?: [xyz])?"),
    ("gaze", r"gaze\w*(?: [xy])?|[xy] coordinate"),
)
_IGNORED = re.compile(r"(?:trig|stim|scanner|volume|marker|event|status|time|sample)", re.IGNORECASE)


def _column_kind(name: str, unit: str, told: Any, label: str, columns: Mapping[str, str]) -> str | None:
    """Return the modality of a physio column: ``""`` for one that is no signal, None for one that says nothing known.

    Decided by the user's option, by what `limbeck datasets convert` wrote (`told`), by the column's name and, last, by
    the file's ``recording-`` label.
    """
    if name in columns:
        return columns[name]
    if isinstance(told, str) and told in MODALITIES:
        return told
    plain = re.sub(r"[^a-z0-9]+", " ", name.lower()).strip()
    if plain == "cardiac" and re.fullmatch(r"(?:[mµμun]?v|\w*volts?)", unit.strip().lower()):
        return "ecg"
    for modality, pattern in _COLUMNS:
        if re.fullmatch(pattern, plain):
            return modality
    if _IGNORED.match(plain):
        return ""
    kind = classify(name)
    if kind is not None:
        return kind[0]
    named = {"cardiac": "bvp", "respiratory": "resp"}.get(label, label)
    return named if named in MODALITIES else None


_ARBITRARY = ("a.u.", "au", "arbitrary", "arbitrary units")
_PREFIXES = {"micro": "µ", "milli": "m", "nano": "n", "kilo": "k", "mega": "M"}
_BASES = {"volts": "V", "volt": "V", "v": "V", "siemens": "S", "s": "S", "ohms": "Ohm", "ohm": "Ohm"}


def _unit(text: Any) -> str:
    """Return a unit as `edf.to_unit` knows it: ``microvolts`` and ``microV`` become ``µV``, ``n/a`` nothing."""
    if not isinstance(text, str) or text.strip().lower() in ("n/a", "unknown", *_ARBITRARY):
        return ""
    plain = text.strip()
    match = re.fullmatch(r"(micro|milli|nano|kilo|mega)?[ _-]?(volts?|v|siemens|s|ohms?)", plain, re.IGNORECASE)
    if match is None or (match[1] is None and match[2].lower() in ("v", "s")):
        return plain
    return _PREFIXES.get((match[1] or "").lower(), "") + _BASES[match[2].lower()]


def _converted(values: np.ndarray, modality: str, unit: str, what: str, notes: list[LeftOut]) -> np.ndarray | None:
    """Return values in Limbeck's unit as float32, infinite as missing; None (and a note) for a wrong unit."""
    with np.errstate(all="ignore"):
        found = to_unit(values, modality, unit)
        if found is None:
            notes.append(LeftOut(what, f"the unit {shown(unit)} cannot be converted into {UNITS[modality]}"))
            return None
        data = found.astype(np.float32)
    if not unit and UNITS[modality] != "a.u.":
        notes.append(LeftOut(f"{what}: unit", f"none is given; taken to be {UNITS[modality]}"))
    data[~np.isfinite(data)] = np.nan
    return data


def _taken(
    values: np.ndarray, modality: str, held: str, unit: str, what: str, notes: list[LeftOut]
) -> np.ndarray | None:
    """Return the values of a column: as they stand where its sidecar calls them arbitrary, else as `_converted`."""
    if held == UNITS[modality]:
        return _converted(values.astype(np.float64), modality, unit, what, notes)
    notes.append(LeftOut(what, f"in arbitrary units by its sidecar, not in {UNITS[modality]}; kept as it stands"))
    return np.where(np.isfinite(values), values, np.nan).astype(np.float32)


def _unused(name: str, taken: Mapping[str, object]) -> str:
    number, unused = 2, name
    while unused in taken:
        unused, number = f"{name} ({number})", number + 1
    return unused


# ---------------------------------------------------------------------------------------------------------------------
# EEG
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Options:
    """The reader's options that decide what a recording holds."""

    units: str
    drop_bad: bool
    event_column: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Parts:
    """The files of one recording, and what is known of it before any is opened."""

    root: Path
    subject: str
    session: str
    trial: str
    order: int
    ratings: tuple[tuple[str, float], ...]
    eeg: Path | None
    beside: tuple[Path, ...]
    eeg_json: tuple[Path, ...]
    channels: Path | None
    events: Path | None
    physio: tuple[tuple[Path, tuple[Path, ...], str], ...]
    behaviour: Path | None
    notes: tuple[LeftOut, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        listed = [self.eeg, *self.beside, *self.eeg_json, self.channels, self.events, self.behaviour]
        listed += [file for data, sidecars, _ in self.physio for file in (data, *sidecars)]
        return tuple(dict.fromkeys(file for file in listed if file is not None))


@dataclass(frozen=True)
class _Typed:
    """A channel and what ``_channels.tsv`` says of it."""

    raw: RawChannel
    name: str
    modality: str
    unit: str


def _typed(file: EegFile, path: Path, table: Path | None, options: _Options, notes: list[LeftOut]) -> list[_Typed]:
    """Return the channels that are signals of a known kind, by the table's types, else by their names."""
    rows = {} if table is None else _channel_rows(file, table, notes)
    columns = dict(options.columns)
    typed, unknown, bad = [], [], []
    for i, raw in enumerate(file.channels):
        row = rows.get(i, {})
        kind = row.get("type", "").upper()
        told = columns.get(raw.name, _TYPES.get(kind))
        name, modality = raw.name, told
        if told is None and kind in _UNTYPED:
            guessed = classify(raw.name)
            if guessed is not None:
                modality = guessed[0]
                name = raw.name if row else guessed[1]
        if modality is None and not _IGNORED.match(raw.name) and kind not in ("TRIG", "REF", "SYSCLOCK"):
            unknown.append(raw.name or "(no name)")
        if not modality:
            continue
        if row.get("status", "").lower() == "bad":
            bad.append(raw.name)
            if options.drop_bad:
                continue
        unit = _chosen_unit(raw, row, path, modality, options, notes)
        typed.append(_Typed(raw, name, modality, unit))
    if unknown:
        why = "neither its type nor its name says what it is; name it with the option 'columns'"
        notes.append(LeftOut(f"{path}: {', '.join(unknown)}", why))
    if bad:
        why = "bad by _channels.tsv; " + ("left out" if options.drop_bad else "used all the same (drop_bad is off)")
        notes.append(LeftOut(f"{path}: {', '.join(bad)}", why))
    return typed


def _channel_rows(file: EegFile, table: Path, notes: list[LeftOut]) -> dict[int, dict[str, str]]:
    """Return the table's row of each channel, by name; by place only where no name fits and the numbers do."""
    rows = [row for _, row in read_tsv(table, ("name", "type"))]
    by_name: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_name.setdefault(row["name"], []).append(row)
    found = {}
    for i, channel in enumerate(file.channels):
        if by_name.get(channel.name):
            found[i] = by_name[channel.name].pop(0)
    if found or not rows:
        missing = [channel.name for i, channel in enumerate(file.channels) if i not in found]
        if missing:
            why = f"no row for {', '.join(missing[:8])}; typed by name"
            notes.append(LeftOut(str(table), why))
        return found
    if len(rows) == len(file.channels):
        notes.append(LeftOut(str(table), "no name is one of the data's; its rows are taken in the data's order"))
        return dict(enumerate(rows))
    notes.append(LeftOut(str(table), "no name is one of the data's, and the numbers differ; not used"))
    return {}


def _chosen_unit(
    raw: RawChannel, row: Mapping[str, str], path: Path, modality: str, options: _Options, notes: list[LeftOut]
) -> str:
    """Return the unit of a channel: the recorder's own, or the table's where it gives none or the user says so."""
    stated = _unit(row.get("units", ""))
    own = _unit(raw.unit)
    one = np.ones(1)
    known = own if own and to_unit(one, modality, own) is not None else ""
    listed = stated if stated and to_unit(one, modality, stated) is not None else ""
    if known and listed and to_unit(one, modality, known) != to_unit(one, modality, listed):
        used = known if options.units == "file" else listed
        why = f"{raw.unit} in the file, {row['units']} in _channels.tsv; {used} is used (option 'units')"
        notes.append(LeftOut(f"{path}: {raw.name}", why))
    first, second = (known, listed) if options.units == "file" else (listed, known)
    return first or second or own or stated


def _eeg_signals(
    file: EegFile, typed: Sequence[_Typed], rate_stated: float | None, origin: float, path: Path, notes: list[LeftOut]
) -> dict[str, Signal]:
    """Read the channels of each modality at the rate that most of them have."""
    signals = {}
    for modality in dict.fromkeys(channel.modality for channel in typed):
        group = [channel for channel in typed if channel.modality == modality]
        (rate, length), _ = Counter((c.raw.rate, c.raw.n_times) for c in group).most_common(1)[0]
        rows: dict[str, np.ndarray] = {}
        for channel in group:
            what = f"{path}: {channel.raw.name}"
            if (channel.raw.rate, channel.raw.n_times) != (rate, length):
                why = f"{channel.raw.rate:g} Hz where the other {modality} channels have {rate:g} Hz"
                notes.append(LeftOut(what, why))
                continue
            data = _converted(channel.raw.read(), modality, channel.unit, what, notes)
            if data is not None:
                rows[_unused(channel.name, rows)] = data
        if rows:
            exact = rate_stated if rate_stated and abs(rate_stated / rate - 1) < 1e-4 else rate
            signals[modality] = Signal(np.stack(list(rows.values())), exact, tuple(rows), UNITS[modality], origin)
    return signals


def _read_eeg(parts: _Parts, options: _Options, notes: list[LeftOut]) -> tuple[dict[str, Signal], float, EegFile]:
    """Return the signals of the EEG file, and the time of its first sample."""
    assert parts.eeg is not None  # noqa: S101 - narrows the type; the caller has looked
    file = read_eeg_file(parts.eeg, parts.beside)
    notes += file.notes
    sidecar = _optional(parts.eeg_json, notes)
    origin = json_number(sidecar.get("LimbeckOrigin")) or 0.0
    table = parts.channels
    try:
        typed = _typed(file, parts.eeg, table, options, notes)
    except ReadError as error:
        notes.append(LeftOut(str(table), f"{error} The channels are typed by their names."))
        typed = _typed(file, parts.eeg, None, options, notes)
    stated = json_number(sidecar.get("SamplingFrequency"))
    rates = {channel.raw.rate for channel in typed}
    if stated and rates and all(abs(stated / rate - 1) >= 1e-4 for rate in rates):
        held = ", ".join(f"{rate:g}" for rate in sorted(rates))
        why = f"{stated:g} Hz by the sidecar, {held} Hz by the data; the data's is used"
        notes.append(LeftOut(f"{parts.eeg}: SamplingFrequency", why))
    signals = _eeg_signals(file, typed, stated, origin, parts.eeg, notes)
    return signals, origin, file


def _optional(files: Sequence[Path], notes: list[LeftOut]) -> dict[str, Any]:
    """Return what sidecars say, without those that cannot be read, which are noted."""
    entries: dict[str, Any] = {}
    for file in files:
        try:
            entries |= read_json(file)
        except ReadError as error:
            notes.append(LeftOut(str(file), f"{error} It is not used."))
    return entries


# ---------------------------------------------------------------------------------------------------------------------
# Peripheral signals
# ---------------------------------------------------------------------------------------------------------------------


def _physio_head(file: Path, sidecars: Sequence[Path], notes: list[LeftOut]) -> tuple[list[str], float, float, dict]:
    """Return columns, rate and start of a physio file, and all its sidecar says."""
    if not sidecars:
        expected = "a sidecar with SamplingFrequency, StartTime and Columns"
        raise ReadError(file, found="no _physio.json that applies to it", expected=expected)
    sidecar = merged(sidecars)
    columns = sidecar.get("Columns")
    if not isinstance(columns, list) or not columns or not all(isinstance(name, str) for name in columns):
        raise ReadError(sidecars[-1], where="Columns", found=shown(str(columns)), expected="the columns' names")
    if len(set(columns)) < len(columns) or len(columns) > 10_000:
        raise ReadError(sidecars[-1], where="Columns", found=shown(str(columns)), expected="names that differ")
    rate = json_number(sidecar.get("SamplingFrequency"))
    if rate is None or not 1e-6 < rate < 1e7:
        found = shown(str(sidecar.get("SamplingFrequency")))
        raise ReadError(sidecars[-1], where="SamplingFrequency", found=found, expected="a rate in Hz")
    start = json_number(sidecar.get("StartTime"))
    if start is None:
        found = sidecar.get("StartTime", "nothing")
        notes.append(LeftOut(f"{sidecars[-1]}: StartTime", f"found {shown(str(found))}; taken to be 0 s"))
    return columns, rate, start or 0.0, sidecar


def _read_peripheral(
    file: Path, sidecars: Sequence[Path], label: str, origin: float, options: _Options, notes: list[LeftOut]
) -> dict[str, Signal]:
    """Return the signals of one physio file, by modality."""
    columns, rate, start, sidecar = _physio_head(file, sidecars, notes)
    values, header = read_physio(file, columns)
    if header:
        notes.append(LeftOut(f"{file}: row 1", "a header line, which such a file does not have by BIDS; skipped"))
    rows: dict[str, dict[str, np.ndarray]] = {}
    units: dict[str, str] = {}
    unknown = []
    for name, samples in zip(columns, values, strict=True):
        about = sidecar.get(name)
        about = about if isinstance(about, dict) else {}
        unit = _unit(about.get("Units", ""))
        kind = _column_kind(name, unit, about.get("LimbeckModality"), label, dict(options.columns))
        if kind is None:
            unknown.append(name)
        if not kind:
            continue
        if name.lower() == "cardiac" and kind == "bvp" and "cardiac" not in dict(options.columns):
            why = "a pulse or an ECG; taken to be bvp, as no unit of voltage is given (option 'columns')"
            notes.append(LeftOut(f"{file}: {name}", why))
        arbitrary = str(about.get("Units", "")).strip().lower() in _ARBITRARY
        held = "a.u." if arbitrary else UNITS[kind]
        if units.setdefault(kind, held) != held:
            why = f"its unit is {held}, that of the other columns of {kind} {units[kind]}; not used"
            notes.append(LeftOut(f"{file}: {name}", why))
            continue
        data = _taken(samples, kind, held, unit, f"{file}: {name}", notes)
        if data is not None:
            channel = about.get("LimbeckChannel")
            own = rows.setdefault(kind, {})
            own[_unused(channel if isinstance(channel, str) else name, own)] = data
    if unknown:
        why = "the name does not say what the column is; name it with the option 'columns'"
        notes.append(LeftOut(f"{file}: {', '.join(unknown)}", why))
    return {
        kind: Signal(np.stack(list(own.values())), rate, tuple(own), units[kind], start + origin)
        for kind, own in rows.items()
    }


# ---------------------------------------------------------------------------------------------------------------------
# Events and traces
# ---------------------------------------------------------------------------------------------------------------------


_EVENT_COLUMNS = ("onset", "duration", "trial_type", "value", "sample", "response_time", "stim_file", "hed", "channel")


def _read_events(file: Path, options: _Options, origin: float) -> tuple[list[Event], list[LeftOut]]:
    """Return the rows of ``_events.tsv`` as events; a row without a duration is a moment."""
    events: list[Event] = []
    notes = []
    rows = read_tsv(file, ("onset",))
    columns = list(rows[0][1]) if rows else []
    if options.event_column and rows and options.event_column not in columns:
        found = f"the columns {shown(', '.join(columns))}"
        raise ReadError(file, where="row 1", found=found, expected=f"'{options.event_column}', as asked for")
    names = (options.event_column,) if options.event_column else ("trial_type", "value")
    wrong = []
    for number, row in rows:
        onset, duration = cell_number(row["onset"]), cell_number(row.get("duration", ""))
        if onset is None or (duration is None and row.get("duration", "").lower() not in _MISSING):
            wrong.append(number)
            continue
        name = next((row[key] for key in names if row.get(key, "").lower() not in _MISSING), "event")
        events.append(Event(name, onset + origin, onset + origin + max(duration or 0.0, 0.0)))
    beside = [
        key
        for key in columns
        if key
        and key.lower() not in (*_EVENT_COLUMNS, *names)
        and any(cell_number(row[key]) is not None for _, row in rows)
    ]
    if beside:
        notes.append(LeftOut(f"{file}: {', '.join(beside)}", "numbers beside the events are not read"))
    if wrong:
        where = ", ".join(map(str, wrong[:5])) + (" ..." if len(wrong) > 5 else "")
        notes.append(LeftOut(f"{file}: row {where}", "onset or duration is no number; no event is made of it"))
    return events, notes


def _read_traces(file: Path, origin: float) -> dict[str, Trace]:
    """Return the traces of a ``_beh.tsv`` as `limbeck datasets convert` writes it; other tables hold none."""
    held: dict[str, tuple[list[float], list[float]]] = {}
    for number, row in tsv_rows(file, limit=2**27, most_cells=2**24):
        if not {"time", "trace", "value"} <= set(row):
            return {}
        time, value = cell_number(row["time"]), cell_number(row["value"])
        if time is None or (value is None and row["value"].lower() not in _MISSING):
            found = shown("\t".join(row.values()))
            raise ReadError(file, where=f"row {number}", found=found, expected="time in s, a trace's name and a number")
        times, values = held.setdefault(row["trace"], ([], []))
        times.append(time + origin)
        values.append(math.nan if value is None else value)
    with np.errstate(over="ignore"):
        return {name: Trace(np.array(t), np.array(v, dtype=np.float32)) for name, (t, v) in held.items()}


def _read(parts: _Parts, options: _Options) -> Recording:
    """Read one recording."""
    notes = list(parts.notes)
    signals: dict[str, Signal] = {}
    origin, events = 0.0, list[Event]()
    failure: ReadError | None = None
    file = None
    if parts.eeg is not None:
        signals, origin, file = _read_eeg(parts, options, notes)
    for data, sidecars, label in parts.physio:
        try:
            found = _read_peripheral(data, sidecars, label, origin, options, notes)
        except ReadError as error:
            failure = failure or error
            notes.append(LeftOut(error.file, f"{error} The recording is used without it."))
            continue
        for modality, signal in found.items():
            if modality in signals:
                why = f"a second file with {modality}; a recording holds one signal of it, the first is used"
                notes.append(LeftOut(f"{data}: {', '.join(signal.channels)}", why))
            else:
                signals[modality] = signal
    if not signals:
        if failure is not None:
            raise failure
        place = parts.eeg or (parts.physio[0][0] if parts.physio else parts.root)
        raise ReadError(place, found="no channel of a known kind", expected="at least one (see the option 'columns')")
    try:
        if parts.events is not None:
            events, more = _read_events(parts.events, options, origin)
            notes += more
        elif file is not None:
            events = [Event(e.name, e.start + origin, e.end + origin) for e in file.events()]
    except ReadError as error:
        notes.append(LeftOut(error.file, f"{error} The recording is used without events."))
    traces: dict[str, Trace] = {}
    if parts.behaviour is not None:
        try:
            traces = _read_traces(parts.behaviour, origin)
        except ReadError as error:
            notes.append(LeftOut(error.file, f"{error} The recording is used without traces."))
    identity = (parts.session, parts.trial, parts.order, dict(parts.ratings))
    return Recording(parts.subject, signals, *identity, tuple(events), traces, tuple(dict.fromkeys(notes)))


# ---------------------------------------------------------------------------------------------------------------------
# Listing
# ---------------------------------------------------------------------------------------------------------------------


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts ``run-2`` before ``run-10``."""
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in re.findall(r"\d{1,18}|\D+", text)]


def _is_subject(path: Path) -> bool:
    return re.fullmatch(r"sub-[a-zA-Z0-9+]+", path.name) is not None and path.is_dir()


def _holds_subjects(folder: Path) -> bool:
    subjects = [child for child in visible(folder) if _is_subject(child)]
    if not subjects:
        return False
    if (folder / "dataset_description.json").is_file():
        return True
    pattern = re.compile(r"sub-.*_(?:eeg\.(?:vhdr|edf|bdf|set)|physio\.tsv\.gz)", re.IGNORECASE)
    places = [c for s in subjects[:5] for c in visible(s) if c.is_dir()]
    places += [c for place in places if place.name.startswith("ses-") for c in visible(place) if c.is_dir()]
    return any(pattern.fullmatch(child.name) for place in places for child in visible(place))


def looks_like(path: Path) -> bool:
    """Tell whether a folder is laid out by BIDS."""
    return find_folder(path, _holds_subjects) is not None


def _table(file: Path, key: str, left_out: list[LeftOut]) -> dict[str, dict[str, str]]:
    """Return the rows of an optional table by their first entry; one that is broken is noted and not used."""
    if not file.is_file():
        return {}
    try:
        return {row[key]: row for _, row in read_tsv(file, (key,))}
    except ReadError as error:
        left_out.append(LeftOut(str(file), f"{error} It is not used."))
        return {}


def _ratings(row: Mapping[str, str], prefix: str, skipped: Sequence[str]) -> dict[str, float]:
    """Return the numbers of a row; ``NaN`` is a rating that was not given, ``n/a`` none."""
    found = {}
    for name, text in row.items():
        if name in skipped or name.startswith(_OWN) or not name:
            continue
        value = math.nan if text == "NaN" else cell_number(text)
        if value is not None:
            found[prefix + name.removeprefix("rating_")] = value
    return found


@dataclass
class _Found:
    """The files of one recording as they are found."""

    name: Name
    eeg: list[Path] = field(default_factory=list)
    physio: list[tuple[Path, Name]] = field(default_factory=list)
    behaviour: list[tuple[Path, Name]] = field(default_factory=list)
    written: frozenset[str] | None = None
    """The kinds of files that Limbeck wrote of it, None where it says nothing of that."""

    @property
    def place(self) -> Path:
        return (self.eeg or [path for path, _ in (*self.physio, *self.behaviour)])[0].parent

    @property
    def stem(self) -> str:
        return "_".join(f"{key}-{value}" for key, value in self.name.entities if key != "recording")

    @property
    def kinds(self) -> set[str]:
        """The endings of the names of its files of samples."""
        labels = {name.value("recording") for _, name in self.physio}
        kinds = {f"recording-{label}_physio.tsv.gz" if label else "physio.tsv.gz" for label in labels}
        return kinds | ({"eeg" + self.eeg[0].suffix} if self.eeg else set())

    @property
    def trial(self) -> str:
        rest = [(key, value) for key, value in self.name.entities if key not in ("sub", "ses", "recording")]
        return "_".join(value if key == "task" else f"{key}-{value}" for key, value in rest)


def _places(folders: Folders, subject: Path) -> Iterator[tuple[Path, str, Path]]:
    """Yield the folder of a session (or subject), the session's label and each folder of data in it."""
    for child, _ in folders(subject):
        if not child.is_dir():
            continue
        if child.name.startswith("ses-"):
            yield from ((child, child.name[4:], place) for place, _ in folders(child) if place.is_dir())
        else:
            yield subject, "", child


def _collect(
    folders: Folders, subject: Path, others: Counter[str]
) -> dict[tuple[Path, str], dict[tuple[tuple[str, str], ...], _Found]]:
    """Return a subject's recordings by folder and label of their session."""
    found: dict[tuple[Path, str], dict[tuple[tuple[str, str], ...], _Found]] = {}
    for home, session, place in _places(folders, subject):
        for path, name in folders(place):
            if name is None or path.is_dir():
                continue
            is_eeg = name.suffix == "eeg" and name.ending in MAIN_SUFFIXES
            is_physio = name.suffix == "physio" and name.ending == ".tsv.gz"
            is_table = name.suffix == "beh" and name.ending == ".tsv"
            if not (is_eeg or is_physio or is_table):
                if _is_left(path, name):
                    others[f"*_{name.suffix}{name.ending}"] += 1
                continue
            if name.value("sub") != subject.name[4:] or name.value("ses") != session:
                why = f"its name says another subject or session than its folder, {place.relative_to(folders.root)}"
                folders.left_out.append(LeftOut(str(path), why))
                continue
            own = found.setdefault((home, session), {}).setdefault(name.key, _Found(name))
            if is_eeg:
                own.eeg.append(path)
            else:
                (own.physio if is_physio else own.behaviour).append((path, name))
    return found


def _is_left(path: Path, name: Name) -> bool:
    """Tell whether a file holds samples and is not read; what belongs to files that are read holds none of its own."""
    if name.suffix == "physio":
        return name.ending != ".json"  # not packed, say
    return name.suffix in _OTHERS or (name.suffix == "eeg" and path.suffix.lower() not in (".json", *_COMPANIONS))


_OTHERS = ("meg", "ieeg", "nirs", "bold", "stim", "motion", "emg", "eyetrack", "video", "audio")


_Planned = tuple[_Found, tuple[str, str, str, int], dict[str, float]]


def _usual_files(recordings: Sequence[_Found]) -> dict[str, set[str]]:
    """Return, by task, the kinds of files that at least half of its recordings have."""
    counts: dict[str, Counter[str]] = {}
    for found in recordings:
        counts.setdefault(found.name.value("task"), Counter()).update(found.kinds)
    numbers = Counter(found.name.value("task") for found in recordings)
    return {task: {kind for kind, n in own.items() if 2 * n >= numbers[task]} for task, own in counts.items()}


def _lacking(found: _Found, usual: Mapping[str, set[str]]) -> list[LeftOut]:
    """Say which files a recording has not that others of its task have: a copy that is not whole looks so.

    Of what Limbeck converted it is known which files there were.
    """
    if found.written is None:
        wanted = frozenset(usual[found.name.value("task")])
        why = "there is no such file, though other recordings of the task have one"
    else:
        wanted, why = found.written, "there is no such file, though scans.tsv says that it was written"
    return [LeftOut(str(found.place / f"{found.stem}_{kind}"), why) for kind in sorted(wanted - found.kinds)]


def _parts(
    folders: Folders,
    home: Path,
    found: _Found,
    identity: tuple[str, str, str, int],
    ratings: Mapping[str, float],
    lacking: Sequence[LeftOut],
) -> _Parts:
    """Return what a recording is read from."""
    notes = list(lacking)
    eeg = min(found.eeg, key=lambda path: MAIN_SUFFIXES.index(path.suffix.lower()), default=None)
    notes += [
        LeftOut(str(path), f"the same recording as {eeg.name}, which is read")
        for path in found.eeg
        if path != eeg and eeg
    ]
    beside: tuple[Path, ...] = ()
    channels: list[Path] = []
    sidecars: list[Path] = []
    if eeg is not None:
        name = parse_name(eeg.name) or found.name
        near = [path for path, _ in folders(eeg.parent) if path.suffix.lower() in _COMPANIONS]
        beside = tuple(path for path in near if path.stem == eeg.stem)
        channels = applying(folders, home, eeg, name, "channels", ".tsv")
        sidecars = applying(folders, home, eeg, name, "eeg", ".json")
    mains = [(eeg, found.name)] if eeg is not None else [*found.physio]
    events = [file for path, name in mains for file in applying(folders, home, path, name, "events", ".tsv")]
    physio = tuple(
        (path, tuple(applying(folders, home, path, name, "physio", ".json")), name.value("recording"))
        for path, name in sorted(found.physio, key=lambda item: (item[0].parent.name, item[0].name))
    )
    return _Parts(
        home,
        *identity,
        tuple(sorted(ratings.items())),
        eeg,
        beside,
        tuple(sidecars),
        channels[-1] if channels else None,
        events[-1] if events else None,
        physio,
        found.behaviour[0][0] if found.behaviour else None,
        tuple(notes),
    )


def _scan_rows(home: Path, session: str, subject: str, left_out: list[LeftOut]) -> dict[str, dict[str, str]]:
    stem = f"sub-{subject}_ses-{session}" if session else f"sub-{subject}"
    return _table(home / f"{stem}_scans.tsv", "filename", left_out)


def _ordered(
    recordings: Sequence[_Found], home: Path, scans: Mapping[str, dict[str, str]]
) -> list[tuple[int, _Found, dict[str, str]]]:
    """Return recordings with their place in the session: as said, else by time of acquisition, else by run and name."""
    rows = []
    for found in recordings:
        files = [*found.eeg, *(path for path, _ in (*found.physio, *found.behaviour))]
        names = [file.relative_to(home).as_posix() for file in files]
        rows.append((found, next((scans[name] for name in names if name in scans), {})))
    times = [row.get("acq_time", "") for _, row in rows]
    dated = all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", time) for time in times)
    rows.sort(key=lambda item: (item[1].get("acq_time", "") if dated else "", _natural(item[0].trial)))
    placed = []
    for place, (found, row) in enumerate(rows):
        said = row.get(f"{_OWN}order", "")
        placed.append((int(said) if re.fullmatch(r"\d{1,9}", said) else place, found, row))
    return sorted(placed, key=lambda item: item[0])


def _said(row: Mapping[str, str], name: str, otherwise: str) -> str:
    """Return what a converted data set was called before, where the row says so; ``n/a`` stands for no name."""
    text = row.get(_OWN + name, "")
    return otherwise if not text else "" if text == "n/a" else text


def _list(root: Path, home: Path, tasks: Sequence[str] | None, wanted: Any, options: _Options) -> Corpus:
    left_out: list[LeftOut] = []
    folders = Folders(root)
    participants = _table(home / "participants.tsv", "participant_id", left_out)
    called: dict[str, Path] = {}
    for child, _ in folders(home):
        if _is_subject(child):
            name = _said(participants.get(child.name, {}), "subject", child.name[4:]) or child.name[4:]
            called[child.name[4:] if name in called else name] = child
    others: Counter[str] = Counter()
    planned: list[_Planned] = []
    known: set[str] = set()
    for subject in chosen(sorted(called, key=_natural), wanted, partial(_spelling, called)):
        folder = called[subject]
        about = _ratings(participants.get(folder.name, {}), "participant_", ("participant_id",))
        sessions = _collect(folders, folder, others)
        before = len(planned)
        for (place, session), recordings in sorted(sessions.items(), key=lambda item: _natural(item[0][1])):
            kept = [found for found in recordings.values() if found.eeg or found.physio]
            known |= {found.name.value("task") for found in kept}
            scans = _scan_rows(place, session, folder.name[4:], left_out)
            for order, found, row in _ordered(kept, place, scans):
                said = row.get(f"{_OWN}files", "n/a")
                found.written = None if said == "n/a" else frozenset(said.split())
                identity = (subject, _said(row, "session", session), _said(row, "trial", found.trial), order)
                planned.append((found, identity, about | _ratings(row, "", ("filename", "acq_time"))))
        if len(planned) == before:
            left_out.append(LeftOut(str(folder), "no EEG (EDF, BDF, BrainVision, EEGLAB) and no _physio.tsv.gz in it"))
    if tasks is not None:
        planned = [item for item in planned if item[0].name.value("task") in tasks]
    usual = _usual_files([found for found, _, _ in planned])
    sources = [
        _source(_parts(folders, home, found, identity, ratings, _lacking(found, usual)), options)
        for found, identity, ratings in planned
    ]
    missing = sorted(set(tasks or ()) - known)
    if missing:
        raise DataError(" ".join(f"There is no task '{name}'.{did_you_mean(name, known)}" for name in missing))
    for kind, count in sorted(others.items()):
        left_out.append(
            LeftOut(f"{home}: {kind}", f"{count} file{'s' if count > 1 else ''} of a kind that is not read")
        )
    return Corpus("bids", tuple(sources), [*dict.fromkeys([*left_out, *folders.left_out])])


def _spelling(called: Collection[str], name: str) -> str:
    """Return the subject that is meant: ``sub-07`` and ``7`` are ``07``."""
    label = name.removeprefix("sub-")
    if name in called or label in called or not label.isdecimal():
        return name if name in called else label
    same = [other for other in called if other.isdecimal() and other.lstrip("0") == label.lstrip("0")]
    return same[0] if len(same) == 1 else label


def _source(parts: _Parts, options: _Options) -> Source:
    return Source(
        subject=parts.subject,
        session=parts.session,
        trial=parts.trial,
        read=partial(_read, parts, options),
        files=parts.files,
        options={
            "order": parts.order,
            "ratings": {name: repr(value) for name, value in parts.ratings},
            "units": options.units,
            "drop_bad": options.drop_bad,
            "event_column": options.event_column,
            "columns": dict(options.columns),
        },
        modules=_MODULES,
    )


# ---------------------------------------------------------------------------------------------------------------------
# Checks
# ---------------------------------------------------------------------------------------------------------------------


def checks(root: Path, corpus: Corpus) -> Iterator[Check]:
    """Look whether the files are what BIDS requires and agree with each other; samples are not read."""
    home = find_folder(root, _holds_subjects)
    if home is None:
        yield Check("the folder is laid out by BIDS", False, f"no sub-... folders with data in {root}")
        return
    yield _check_description(home)
    yield _check_participants(home)
    by_kind: dict[str, list[Check]] = {}
    for source in corpus.sources:
        read = source.read
        if isinstance(read, partial) and read.func is _read:
            for check in _check_recording(read.args[0], read.args[1], home):
                by_kind.setdefault(check.what, []).append(check)
    for what, own in by_kind.items():
        yield _together(what, own)


def _together(what: str, own: Sequence[Check]) -> Check:
    """Return one check for those of many recordings: failed where one failed, not possible where none was."""
    failed = [check.found for check in own if check.passed is False]
    if failed:
        more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
        return Check(what, False, "; ".join(failed[:3]) + more)
    unseen = [check.found for check in own if check.passed is None]
    if len(unseen) == len(own):
        return Check(what, None, unseen[0])
    return Check(what, True, f"not possible for {len(unseen)} of {len(own)} recordings" if unseen else "")


def _check_description(home: Path) -> Check:
    what = "dataset_description.json says Name and BIDSVersion"
    try:
        content = read_json(home / "dataset_description.json")
    except ReadError as error:
        return Check(what, False, str(error))
    missing = [name for name in ("Name", "BIDSVersion") if not isinstance(content.get(name), str)]
    return Check(what, not missing, f"no {' and no '.join(missing)}" if missing else "")


def _check_participants(home: Path) -> Check:
    what = "participants.tsv lists exactly the folders of subjects"
    file = home / "participants.tsv"
    if not file.is_file():
        return Check(what, None, f"there is no {file}")
    try:
        listed = {row["participant_id"] for _, row in read_tsv(file, ("participant_id",))}
    except ReadError as error:
        return Check(what, False, str(error))
    there = {child.name for child in visible(home) if _is_subject(child)}
    odd = [f"{name} has no folder" for name in sorted(listed - there)]
    odd += [f"{name} is not listed" for name in sorted(there - listed)]
    return Check(what, not odd, "; ".join(odd[:5]))


def _check_recording(parts: _Parts, options: _Options, home: Path) -> Iterator[Check]:
    """Look at the files of one recording; the checks are called the same for all."""
    end = -math.inf
    if parts.eeg is not None:
        place, what = parts.eeg.relative_to(home).as_posix(), "every EEG file can be opened"
        try:
            file = read_eeg_file(parts.eeg, parts.beside)
        except ReadError as error:
            yield Check(what, False, str(error))
            return
        yield Check(what, True)
        end = max((c.n_times / c.rate for c in file.channels), default=end)
        yield _check_required(parts, place)
        yield _check_rate(parts, file, place)
        yield _check_channels(parts, file, place)
    for data, sidecars, _ in parts.physio:
        place, what = data.relative_to(home).as_posix(), "every physio file has the columns that its sidecar names"
        notes: list[LeftOut] = []
        try:
            columns, rate, start, _ = _physio_head(data, sidecars, notes)
            values, header = read_physio(data, columns)
        except ReadError as error:
            yield Check(what, False, str(error))
            continue
        end = max(end, start + values.shape[1] / rate)
        odd = [f"{note.what}: {note.why}" for note in notes] + ([f"{place} has a header line"] if header else [])
        yield Check(what, not odd, "; ".join(odd))
    yield _check_events(parts, options, end)


_REQUIRED = ("TaskName", "EEGReference", "SamplingFrequency", "PowerLineFrequency", "SoftwareFilters")


def _check_required(parts: _Parts, place: str) -> Check:
    what = "every EEG file has a sidecar that says what BIDS requires"
    try:
        entries = merged(parts.eeg_json)
    except ReadError as error:
        return Check(what, False, str(error))
    missing = [name for name in _REQUIRED if name not in entries]
    return Check(what, not missing, f"{place}: no {', no '.join(missing)}" if missing else "")


def _check_rate(parts: _Parts, file: EegFile, place: str) -> Check:
    what = "SamplingFrequency in the sidecar of every EEG file is the data's"
    try:
        stated = json_number(merged(parts.eeg_json).get("SamplingFrequency"))
    except ReadError as error:
        return Check(what, False, str(error))
    rates = sorted({channel.rate for channel in file.channels})
    passed = stated is not None and any(abs(stated - rate) <= 1e-4 * rate for rate in rates)
    said = "nothing" if stated is None else f"{stated:g} Hz"
    return Check(what, passed, f"{place}: {said} in it, {', '.join(f'{rate:g}' for rate in rates)} Hz in the data")


def _check_channels(parts: _Parts, file: EegFile, place: str) -> Check:
    what = "_channels.tsv lists the channels of every EEG file in their order"
    if parts.channels is None:
        return Check(what, None, "there is no _channels.tsv")
    try:
        listed = [row["name"] for _, row in read_tsv(parts.channels, ("name", "type", "units"))]
    except ReadError as error:
        return Check(what, False, str(error))
    held = [channel.name for channel in file.channels]
    if listed == held:
        return Check(what, True)
    odd = next((i for i, pair in enumerate(zip(listed, held, strict=False)) if pair[0] != pair[1]), None)
    row = f"; row {odd + 2} has {shown(listed[odd])}, the data {shown(held[odd])}" if odd is not None else ""
    return Check(what, False, f"{place}: {len(listed)} rows for {len(held)} channels{row}")


def _check_events(parts: _Parts, options: _Options, end: float) -> Check:
    what = "every event of every _events.tsv lies in the recording"
    if parts.events is None:
        return Check(what, None, "there is no _events.tsv")
    try:
        events, notes = _read_events(parts.events, options, 0.0)
    except ReadError as error:
        return Check(what, False, str(error))
    late = [event for event in events if event.end > end + 1.0]
    odd = [f"{note.what}: {note.why}" for note in notes]
    odd += [f"{parts.events.name}: {shown(e.name)} ends at {e.end:g} s, the data at {end:g} s" for e in late[:3]]
    return Check(what, not odd, "; ".join(odd))


# ---------------------------------------------------------------------------------------------------------------------
# The reader
# ---------------------------------------------------------------------------------------------------------------------


@dataset(
    "bids",
    info=DatasetInfo(
        title="BIDS: EEG and peripheral recordings of any laboratory",
        modalities=("eeg", "ecg", "emg", "eog", "eda", "bvp", "resp", "temp", "acc", "gaze"),
        subjects=0,
        licence="",
        citation="",
        url="https://bids-specification.readthedocs.io",
        access="own",
        checked="the specification; format-faithful files, EEG files also as MNE reads them; no real data set",
        uncertain=(
            "whether a column called 'cardiac' is a pulse or an ECG: columns={'cardiac': 'ecg'}",
            "which unit holds where the file and _channels.tsv disagree: units='channels'",
            "which column of _events.tsv names the events: event_column",
        ),
    ),
    checks=checks,
)
def bids(
    root: Path | None,
    *,
    subjects: Sequence[str | int] | None = None,
    tasks: Sequence[str] | None = None,
    columns: Mapping[str, str] | None = None,
    event_column: str = "",
    units: Literal["file", "channels"] = "file",
    drop_bad: bool = False,
) -> Corpus:
    """BIDS: a recording per run, EEG and physio files together, with `events` from ``_events.tsv``.

    The trial is the task, with the other entities behind it (``rest_run-2``). Time 0 is the EEG's first sample:
    `events` count from it, and a physio signal may start before it. An event without a duration is a moment: its end
    is its start. `ratings` are the numbers of the recording's row in ``_scans.tsv`` and, as ``participant_age``, of the
    subject's in ``participants.tsv``. Without ``acq_time`` in ``_scans.tsv`` the order of recording is not known and
    follows the names.

    Channels are typed by ``_channels.tsv``, else by their names; bad ones are used and noted. Physio columns are typed
    by their names.

    Parameters
    ----------
    root : Path
        The folder with ``dataset_description.json`` and ``sub-...``.
    subjects : sequence of str or int, optional
        Only these: ``01`` or ``sub-01``.
    tasks : sequence of str, optional
        Only recordings of these tasks.
    columns : mapping of str to str, optional
        What columns of physio files, or channels, are: a modality, or ``""`` for those not to be used.
    event_column : str
        The column of ``_events.tsv`` that names the events; by default ``trial_type``, where that is missing ``value``.
    units : {"file", "channels"}
        Whose unit of a channel holds where the two disagree: the recorder's file or ``_channels.tsv``.
    drop_bad : bool
        Whether channels whose status is ``bad`` are left out.

    Returns
    -------
    Corpus
        What is not read (fMRI, MEG, files whose names contradict their folders) is on `left_out`.

    Raises
    ------
    DataError
        No root is given, it does not exist, a subject or task asked for is not there, or an option has a value that
        there is not.
    ReadError
        `root` is not laid out by BIDS.
    """
    if root is None:
        raise DataError("The data set 'bids' needs a root: the folder of your own data set.")
    if units not in ("file", "channels"):
        raise DataError(f"BIDS has no units '{units}'.{did_you_mean(str(units), ('file', 'channels'))}")
    named = {} if columns is None else columns
    if not isinstance(named, Mapping) or not all(isinstance(part, str) for pair in named.items() for part in pair):
        raise DataError("The option 'columns' needs a mapping of columns to modalities, such as {cardiac: ecg}.")
    for name, modality in named.items():
        if modality and modality not in MODALITIES:
            raise DataError(f"The column '{name}' cannot be '{modality}'.{did_you_mean(modality, MODALITIES)}")
    root = locate("bids", root)
    home = find_folder(root, _holds_subjects)
    if home is None:
        found = "no folders sub-... with EEG or physio files"
        raise ReadError(root, found=found, expected="a data set laid out by BIDS, with dataset_description.json")
    options = _Options(units, bool(drop_bad), event_column, tuple(sorted(named.items())))
    wanted = [tasks] if isinstance(tasks, str) else tasks
    return _list(root, home, wanted, subjects, options)
