"""K-EmoCon: debates of two, with a wristband, a heart belt and an EEG headset, and emotions annotated every 5 seconds.

Park et al., K-EmoCon, a multimodal sensor dataset for continuous emotion recognition in naturalistic conversations,
Scientific Data 7:293, 2020. As published, in four archives: ``e4_data/1/E4_BVP.csv`` and its like,
``neurosky_polar_data/1/Attention.csv`` and its like, ``emotion_annotations/self_annotations/P1.self.csv`` and its like,
and ``metadata/subjects.csv``, which says when each recording and each debate began and ended. All times are unix
milliseconds, except those of the annotations, which are seconds of the debate.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from limbeck.datasets import Check, DatasetInfo, dataset, locate
from limbeck.datasets.columns import as_float32, header_of, read_columns
from limbeck.datasets.files import chosen, inside, is_inside, sources_inside, visible
from limbeck.datasets.numbers import shown
from limbeck.datasets.tables import read_rows
from limbeck.errors import DataError, ReadError, did_you_mean
from limbeck.recording import UNITS, Clock, Corpus, Event, LeftOut, Recording, Signal, Source, Trace

__all__ = ["COMPLETE", "Debate", "k_emocon", "looks_like", "read_debates"]

COMPLETE = (1, 4, 5, 8, 9, 10, 11, 13, 14, 15, 16, 19, 22, 23, 24, 25, 26, 27, 28, 31, 32)
"""The participants of whom, as the authors say, everything is there."""

Longer = Literal["trim_start", "trim_end"]
AccUnit = Literal["1/64 g", "g"]

_SUBJECTS = 32
_PARTS = ("e4_data", "neurosky_polar_data", "emotion_annotations", "metadata")
_FIRST_TIME, _LAST_TIME = 946_684_800e3, 4_102_444_800e3  # the years 2000 and 2100, in ms
_DAY = 86_400.0
_BASELINE = 120.0
_GAP = 1.5  # sampling periods between neighbours from which on samples are missing
_MOST_FILLED = 10
_RATE_TOLERANCE = 0.02
_STEP = 5.0  # seconds that an annotation is about: those before its time
_SCALES = {"arousal": 5, "valence": 5, "cheerful": 4, "happy": 4, "angry": 4, "nervous": 4, "sad": 4}
_FOUR = "Attention.csv, BrainWave.csv, Meditation.csv and Polar_HR.csv"
_MODULES = (*(f"limbeck.datasets.{name}" for name in ("k_emocon", "columns", "files")), "pandas")

# Two wristbands' rows lie in the files of these participants; these are theirs, and so is the other in IBI.
_SERIALS = {31: ("A013E1",), 32: ("A01A3A",)}
_IBI_SERIAL = "A01525"


@dataclass(frozen=True)
class _Sensor:
    """A wristband's file: its columns, its rate in Hz, and the believable range in the file's unit."""

    file: str
    columns: tuple[str, ...]
    rate: float
    lowest: float
    highest: float


_SENSORS = {
    "acc": _Sensor("E4_ACC.csv", ("x", "y", "z"), 32.0, -1024, 1024),
    "bvp": _Sensor("E4_BVP.csv", ("value",), 64.0, -1e6, 1e6),
    "eda": _Sensor("E4_EDA.csv", ("value",), 4.0, -5, 200),
    "temp": _Sensor("E4_TEMP.csv", ("value",), 4.0, -60, 150),
}
_TRACES = {
    "hr": ("e4_data", "E4_HR.csv"),
    "ibi": ("e4_data", "E4_IBI.csv"),
    "polar_hr": ("neurosky_polar_data", "Polar_HR.csv"),
    "attention": ("neurosky_polar_data", "Attention.csv"),
    "meditation": ("neurosky_polar_data", "Meditation.csv"),
    "brainwave": ("neurosky_polar_data", "BrainWave.csv"),
}


@dataclass(frozen=True)
class Debate:
    """When a participant's recording and debate began and ended, in unix milliseconds."""

    init: float
    start: float
    end: float

    @property
    def offset(self) -> float:
        """Seconds from the recording's start to the debate's."""
        return (self.start - self.init) / 1000

    @property
    def seconds(self) -> float:
        """How long the debate was."""
        return (self.end - self.start) / 1000


def read_debates(file: Path) -> tuple[dict[int, Debate], list[LeftOut]]:
    """Read ``metadata/subjects.csv``.

    Parameters
    ----------
    file : Path
        With the columns pid, initTime, startTime and endTime.

    Returns
    -------
    debates : dict of int to Debate
        By participant.
    left_out : list of LeftOut
        Rows that are not used, and why.

    Raises
    ------
    ReadError
        The file cannot be read or lacks a column.
    """
    debates: dict[int, Debate] = {}
    left_out: list[LeftOut] = []
    for number, row in read_rows(file, needed=("pid", "inittime", "starttime", "endtime")):
        cells = [row[name] for name in ("pid", "inittime", "starttime", "endtime")]
        plain = all(re.fullmatch(r"\d{1,15}(\.\d{0,9})?", cell) for cell in cells)
        pid, init, start, end = (float(cell) if plain else math.nan for cell in cells)
        fits = (
            plain and pid == int(pid) and _FIRST_TIME <= init <= start < end <= _LAST_TIME and end - init < _DAY * 1e3
        )
        if not fits or int(pid) in debates:
            why = f"found {shown(', '.join(cells))}; expected a participant who has no row yet, and three times in ms"
            left_out.append(LeftOut(f"{file}, row {number}", why))
        else:
            debates[int(pid)] = Debate(init, start, end)
    return debates, left_out


# ---------------------------------------------------------------------------------------------------------------------
# Wristband
# ---------------------------------------------------------------------------------------------------------------------


def _timed(
    file: Path, root: Path, wanted: Collection[str], pid: int, debate: Debate, notes: list[LeftOut]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return times in seconds from the recording's start, increasing, and the wanted columns."""
    table = read_columns(inside(file, root), {"timestamp", *wanted}, text=("device_serial",))
    missing = [name for name in ("timestamp", *wanted) if name not in table.numbers]
    if missing:
        names = shown(", ".join(table.numbers) or "none of them")
        raise ReadError(file, where="row 1", found=f"the columns {names}", expected=f"{', '.join(missing)} among them")
    stamps = table.numbers["timestamp"]
    columns = {name: table.numbers[name] for name in wanted}
    if "device_serial" in table.text:
        own = _own_device(table.text["device_serial"], file, pid, notes)
        stamps, columns = stamps[own], {name: values[own] for name, values in columns.items()}
    wrong = ~((stamps >= _FIRST_TIME) & (stamps <= _LAST_TIME))
    wrong |= ~(np.abs(stamps - debate.init) < _DAY * 1000)
    if wrong.any():
        row = int(np.argmax(wrong))
        expected = "unix milliseconds on the day of the debate"
        raise ReadError(file, where=f"sample {row + 1}, timestamp", found=f"{stamps[row]:.15g}", expected=expected)
    order = np.argsort(stamps, kind="stable")
    stamps = stamps[order]
    again = np.concatenate([[False], np.diff(stamps) == 0])
    if again.any():
        why = f"{int(again.sum())} rows have the time of the row before; the first of each is used"
        notes.append(LeftOut(f"{file}: timestamp", why))
    kept = order[~again]
    return (stamps[~again] - debate.init) / 1000, {name: values[kept] for name, values in columns.items()}


def _own_device(serials: np.ndarray, file: Path, pid: int, notes: list[LeftOut]) -> np.ndarray:
    """Return which rows are of the participant's own wristband, where a file has rows of several."""
    names, counts = np.unique(serials.astype(str), return_counts=True)
    if len(names) == 1:
        return np.ones(len(serials), dtype=bool)
    stated = _SERIALS.get(pid, ())
    if pid in _SERIALS and file.name.lower() == "e4_ibi.csv":
        stated = (_IBI_SERIAL, *stated)
    known = [name for name in stated if name in names]
    kept = known[0] if known else str(names[np.argmax(counts)])
    why = "as the authors say" if known else "which has most rows"
    others = ", ".join(shown(str(name)) for name in names[:5] if name != kept)
    notes.append(LeftOut(f"{file}: device_serial", f"rows of {others} are not used, but those of {kept}, {why}"))
    return serials.astype(str) == kept


def _places(times: np.ndarray, rate: float, file: Path) -> tuple[np.ndarray, Clock]:
    """Return the place of each sample on the regular grid, where gaps leave places free, and what its clock did.

    Within a stretch without gaps samples follow each other, whatever the jitter of their times; each stretch begins
    where its first time says.
    """
    steps = np.diff(times)
    span = float(times[-1] - times[0])
    if len(steps):
        step = float(np.mean(steps[steps <= _GAP * np.median(steps)]))  # times are rounded: no single step will do
        if abs(step * rate - 1) > _RATE_TOLERANCE:
            raise ReadError(file, where="timestamp", found=f"{1 / step:.5g} Hz", expected=f"{rate:g} Hz")
    if span * rate > _MOST_FILLED * len(times) + 600 * rate:
        found = f"{len(times)} samples over {span:.6g} s"
        raise ReadError(file, where="timestamp", found=found, expected=f"samples at {rate:g} Hz")
    breaks = np.flatnonzero(steps > _GAP / rate) + 1
    starts = np.concatenate([[0], breaks])
    lengths = np.diff(np.concatenate([starts, [len(times)]]))
    before = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    begins = np.rint((times[starts] - times[0]) * rate).astype(np.int64)
    # a stretch whose clock is a little slow must not run into the next one
    begins = np.maximum.accumulate(begins - before) + before
    places = np.repeat(begins - starts, lengths) + np.arange(len(times))
    off = times - times[0] - places / rate
    gaps = tuple((float(times[i - 1]) + 1 / rate, float(times[i])) for i in breaks[:1000])
    return places, Clock(offset=float(times[0]), jitter=float(np.std(off)), gaps=gaps, source="time stamps")


def _has_rows(file: Path) -> bool:
    """Tell whether anything follows a table's header: the wristband's files of a sensor that was off are empty."""
    try:
        with file.open("rb") as stream:
            stream.readline(2**14)
            return bool(stream.read(2**14).strip())
    except OSError:
        return True  # what is wrong is said where it is read


def _signal(
    modality: str, folder: Path, root: Path, pid: int, debate: Debate, acc_unit: AccUnit, notes: list[LeftOut]
) -> tuple[Signal, Clock] | None:
    """Return a wristband's sensor on its regular grid; None, with a note, where there is nothing of it."""
    sensor = _SENSORS[modality]
    file = folder / sensor.file
    if not file.exists():
        notes.append(LeftOut(str(file), f"no such file; {modality} is not used here"))
        return None
    if not _has_rows(inside(file, root)):
        notes.append(LeftOut(str(file), f"it has no rows; {modality} is not used here"))
        return None
    times, columns = _timed(file, root, sensor.columns, pid, debate, notes)
    samples = np.stack([columns[name] for name in sensor.columns])
    outside = ((samples < sensor.lowest) | (samples > sensor.highest)).any(axis=0)
    if outside.any():
        place = int(np.argmax(outside))
        found = ", ".join(f"{value:g}" for value in samples[:, place])
        expected = f"numbers between {sensor.lowest:g} and {sensor.highest:g}"
        raise ReadError(file, where=f"at {times[place]:.3f} s", found=found, expected=expected)
    known = (times >= 0) & np.isfinite(samples).any(axis=0)
    early = int((times < 0).sum())
    if early:
        notes.append(LeftOut(f"{file}: start", f"{early} samples are from before initTime; not used"))
    if not known.any():
        notes.append(LeftOut(str(file), f"no samples behind initTime; {modality} is not used here"))
        return None
    times, samples = times[known], samples[:, known]
    if modality == "acc" and acc_unit == "1/64 g":
        if np.nanmax(np.abs(samples)) <= 4:
            why = "no count is larger than 4: is it in g? acc_unit says so"
            notes.append(LeftOut(f"{file}: unit", why))
        samples = samples / 64
    places, clock = _places(times, sensor.rate, file)
    data = np.full((len(samples), int(places[-1]) + 1), np.nan, dtype=np.float32)
    data[:, places], _ = as_float32(samples)
    if clock.gaps:
        free = data.shape[1] - len(places)
        why = f"{len(clock.gaps)} gaps of {free} samples in all; taken as missing"
        notes.append(LeftOut(f"{file}: timestamp", why))
    slide = times[-1] - times[0] - float(places[-1]) / sensor.rate
    if abs(slide) > 0.5:
        why = f"at {sensor.rate:g} Hz it ends {abs(slide):.2f} s from where its times say; its clock drifts"
        notes.append(LeftOut(f"{file}: timestamp", why))
    names = sensor.columns if modality == "acc" else (modality,)
    return Signal(data, sensor.rate, names, UNITS[modality], start=float(times[0])), clock


# ---------------------------------------------------------------------------------------------------------------------
# What runs with time
# ---------------------------------------------------------------------------------------------------------------------


def _device_traces(
    name: str, file: Path, root: Path, pid: int, debate: Debate, notes: list[LeftOut]
) -> Iterator[tuple[str, Trace]]:
    """Yield what a device computed itself, such as heart rate; a file that cannot be read costs only that."""
    if not file.exists():
        notes.append(LeftOut(str(file), f"no such file; {name} is not used here"))
        return
    try:
        columns = ["value"]
        if name == "brainwave":  # its columns are bands by name, as many as there are
            inside(file, root)
            columns = [c.lower() for c in header_of(file) if c.lower() not in ("timestamp", "device_serial", "pid", "")]
        times, found = _timed(file, root, columns[:32], pid, debate, notes)
    except ReadError as error:
        notes.append(LeftOut(error.file, f"{error} The recording is used without {name}."))
        return
    for column, values in found.items():
        plain, _ = as_float32(values)
        used = np.isfinite(plain) & (times >= 0)
        if used.any():
            label = f"brainwave_{column}" if name == "brainwave" else name
            yield label, Trace(times[used], plain[used])


def _annotated(
    file: Path, root: Path, who: str, debate: Debate, longer: Longer, notes: list[LeftOut]
) -> dict[str, Trace]:
    """Return one annotator's scales, each label in the middle of the five seconds that it is about."""
    try:
        found = read_columns(inside(file, root), {"seconds", *_SCALES}).numbers
        missing = [name for name in ("seconds", "arousal", "valence") if name not in found]
        if missing:
            names = shown(", ".join(found) or "none of them")
            expected = f"{', '.join(missing)} among them"
            raise ReadError(file, where="row 1", found=f"the columns {names}", expected=expected)
        seconds = found["seconds"]
        wrong = ~(np.isfinite(seconds) & (seconds > 0) & (seconds < _DAY) & (seconds % _STEP == 0))
        wrong[1:] |= ~(np.diff(seconds) > 0)
        if wrong.any():
            row = int(np.argmax(wrong))
            expected = "5, 10, 15, ..., increasing"
            raise ReadError(file, where=f"row {row + 2}, seconds", found=f"{seconds[row]:g}", expected=expected)
    except ReadError as error:
        notes.append(LeftOut(error.file, f"{error} The recording is used without it."))
        return {}
    used, shift = np.ones(len(seconds), dtype=bool), 0.0
    last = math.ceil(debate.seconds / _STEP) * _STEP
    if seconds[-1] > last:
        if longer == "trim_start":
            shift = seconds[-1] - last
            used = seconds > shift
        else:
            used = seconds <= last
        where = "beginning, so that both end together" if longer == "trim_start" else "end"
        why = f"{int((~used).sum())} labels more than the debate has; left out at the {where}"
        notes.append(LeftOut(f"{file}: seconds", why))
    times = debate.offset + seconds - shift - _STEP / 2
    traces = {}
    for name, highest in _SCALES.items():
        if name not in found:
            continue
        values = found[name]
        outside = (values < 1) | (values > highest)
        if outside.any():
            why = f"{int(outside.sum())} labels are not between 1 and {highest}; not used"
            notes.append(LeftOut(f"{file}: {name}", why))
        said = used & np.isfinite(values) & ~outside
        if said.any():
            traces[f"{name}_{who}"] = Trace(times[said], values[said].astype(np.float32))
    return traces


# ---------------------------------------------------------------------------------------------------------------------
# Participants
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Settings:
    acc_unit: AccUnit
    longer: Longer


def _read(
    e4: Path,
    neurosky: Path | None,
    annotations: Mapping[str, Path],
    root: Path,
    pid: int,
    debate: Debate,
    settings: _Settings,
) -> Recording:
    notes: list[LeftOut] = []
    signals: dict[str, Signal] = {}
    clocks: dict[str, Clock] = {}
    for modality in _SENSORS:
        read = _signal(modality, e4, root, pid, debate, settings.acc_unit, notes)
        if read is not None:
            signals[modality], clocks[modality] = read
    if not signals:
        raise ReadError(e4, found="no samples", expected="samples of at least one file of the wristband")
    traces: dict[str, Trace] = {}
    for name, (part, own) in _TRACES.items():
        folder = e4 if part == "e4_data" else neurosky
        if folder is not None:
            traces |= dict(_device_traces(name, folder / own, root, pid, debate, notes))
    if neurosky is None:
        notes.append(LeftOut(f"P{pid}: neurosky_polar_data", f"no folder of this participant; used without {_FOUR}"))
    for who, file in annotations.items():
        traces |= _annotated(file, root, who, debate, settings.longer, notes)
    missing = [who for who in ("self", "partner", "external") if who not in annotations]
    if missing:
        notes.append(LeftOut(f"P{pid}: emotion_annotations", f"no annotations by {', '.join(missing)}; used without"))
    offset = debate.offset
    events = [Event("debate", offset, offset + debate.seconds)]
    if offset > 0:
        events.insert(0, Event("baseline", 0.0, min(_BASELINE, offset)))
    return Recording(f"P{pid}", signals, events=tuple(events), traces=traces, notes=tuple(notes), clocks=clocks)


def _part(root: Path, name: str) -> Path | None:
    """Return one of the four folders: in the root, in a folder in it, or in one of its own name."""
    places = [root, *(child for child in visible(root) if child.is_dir() and is_inside(child, root))]
    for place in places:
        folder = place / name
        if folder.is_dir() and is_inside(folder, root):
            nested = folder / name
            return nested if nested.is_dir() and is_inside(nested, root) else folder
    return None


def _number(name: str) -> int | None:
    match = re.fullmatch(r"[Pp]?0*(\d{1,3})", name)
    return int(match[1]) if match else None


def _spelling(name: str) -> str:
    number = _number(name)
    return name if number is None else f"P{number}"


def _folders(part: Path | None) -> dict[int, Path]:
    """Return the folders of participants by number."""
    if part is None:
        return {}
    found = {number: child for child in visible(part) if child.is_dir() and (number := _number(child.name)) is not None}
    return {number: found[number] for number in sorted(found)}


def _annotation_files(part: Path | None) -> dict[int, dict[str, Path]]:
    """Return the files of annotations by participant and by who made them: self, partner, external, R1, R2, ..."""
    found: dict[int, dict[str, Path]] = {}
    for place in [] if part is None else [part, *(c for c in visible(part) if c.is_dir() and is_inside(c, part))]:
        for file in visible(place):
            match = re.fullmatch(r"P0*(\d{1,3})\.(self|partner|external|R\d{1,2})\.csv", file.name, re.IGNORECASE)
            if match:
                who = match[2].upper() if match[2][0] in "rR" else match[2].lower()
                found.setdefault(int(match[1]), {}).setdefault(who, file)
    return {pid: dict(sorted(files.items())) for pid, files in found.items()}


def looks_like(path: Path) -> bool:
    """Tell whether a folder is laid out as K-EmoCon is published."""
    if not path.is_dir():
        return False
    e4 = _part(path, "e4_data")
    return any((folder / sensor.file).exists() for folder in _folders(e4).values() for sensor in _SENSORS.values())


def checks(root: Path, corpus: Corpus) -> Iterator[Check]:
    """Look whether there are the published participants, complete where they should be, and who annotated whom."""
    there = {int(name[1:]) for name in corpus.subjects}
    unknown = sorted(there - set(range(1, _SUBJECTS + 1)))
    yield Check(f"participants are among 1 to {_SUBJECTS}", not unknown, ", ".join(map(str, unknown)))
    absent = [pid for pid in COMPLETE if pid not in there]
    found = f"missing: {absent}" if absent else ""  # whoever holds a part of the corpus holds no broken one
    yield Check("the 21 complete participants are there", None if absent else True, found)
    for source in corpus.sources:
        names = {file.name for file in source.files}
        needed = [*(sensor.file for sensor in _SENSORS.values()), *(file for _, file in _TRACES.values())]
        own = [name for name in needed if name not in names]
        what = f"{source.subject} has every file, as the authors say"
        if int(source.subject[1:]) in COMPLETE:
            yield Check(what, not own, f"missing: {', '.join(own)}" if own else "")
        debate = source.options["debate"]
        seconds = (debate["end"] - debate["start"]) / 1000
        yield Check(f"{source.subject}: the debate lasted 5 to 20 minutes", 300 <= seconds <= 1200, f"{seconds:.0f} s")
        yield from _partner_check(root, source)


def _partner_check(root: Path, source: Source) -> Iterator[Check]:
    """Look whether a participant's own and the partner's annotation of the debate are equally long, up to a minute."""
    files = {
        who: Path(file) for file in source.files for who in ("self", "partner") if file.name.endswith(f".{who}.csv")
    }
    what = f"{source.subject}: own and partner's annotations are of one debate"
    if len(files) < 2:
        yield Check(what, None, "one of them is missing")
        return
    try:
        lengths = {who: len(read_columns(file, ("seconds",)).numbers["seconds"]) for who, file in files.items()}
    except (ReadError, KeyError) as error:
        yield Check(what, False, str(error))
        return
    found = ", ".join(f"{who}: {count} labels" for who, count in sorted(lengths.items(), reverse=True))
    yield Check(what, abs(lengths["self"] - lengths["partner"]) <= 60 / _STEP, found)


@dataset(
    "k-emocon",
    info=DatasetInfo(
        title="K-EmoCon: debates with wristband, heart belt and EEG headset, emotions annotated every 5 s",
        modalities=("acc", "bvp", "eda", "temp"),
        subjects=_SUBJECTS,
        names=tuple(f"P{number}" for number in range(1, _SUBJECTS + 1)),
        licence="on request, academic research only",
        citation="Park et al., K-EmoCon, a multimodal sensor dataset for continuous emotion recognition in "
        "naturalistic conversations, Scientific Data 7:293, 2020",
        url="https://doi.org/10.5281/zenodo.3931963",
        access="gated",
        checked="format-faithful files only; never tried on the real corpus",
        obtain="Ask for access at Zenodo 3931963; take e4_data, neurosky_polar_data, emotion_annotations and metadata, "
        "and unpack them into one folder.",
        uncertain=(
            "how the archives nest: the four folders are found in the root or one level deeper",
            "whether acceleration is in 1/64 g, as the wristband counts: option acc_unit",
            "at which end annotations that are longer than the debate are trimmed: option longer",
            "whose view a partner's file is: traces ..._partner are of the file that carries the participant's number",
            "which wristband's intervals belong to participants 31 and 32: A01525's where it has any, which is noted",
        ),
    ),
    checks=checks,
)
def k_emocon(
    root: Path | None,
    *,
    subjects: Sequence[str | int] | None = None,
    complete: bool = False,
    acc_unit: AccUnit = "1/64 g",
    longer: Longer = "trim_start",
) -> Corpus:
    """K-EmoCon: a recording per participant, with the events ``baseline`` and ``debate`` and annotations as traces.

    Of the wristband: `acc` (g, 32 Hz), `bvp` (64 Hz), `eda` (µS) and `temp` (°C, 4 Hz), on regular grids with what its
    times leave out as NaN. Time 0 is ``initTime``; samples from before are not used, and each signal starts where its
    own first time says. ``baseline`` is the first two minutes, ``debate`` from ``startTime`` to ``endTime``.

    Traces ``valence_self``, ``arousal_partner``, ``happy_external``, ... : ``self``, ``partner``, ``external`` (the
    aggregate of outside raters) and each of these raters (``R1``, ...), for valence and arousal (1 to 5) and cheerful,
    happy, angry, nervous and sad (1 to 4). A label is about the five seconds before its time and stands in the middle
    of these. Further traces are what the devices computed: ``hr``, ``ibi``, ``polar_hr``, ``attention``,
    ``meditation`` and ``brainwave_...`` (the headset's bands; its EEG itself was not published). The categories that
    annotators marked with an ``x`` (boredom, confusion, ...) are not read.

    Parameters
    ----------
    root : Path, optional
        The folder with ``e4_data``, ``neurosky_polar_data``, ``emotion_annotations`` and ``metadata``, each there or
        one level deeper; by default in the folder of data sets.
    subjects : sequence of str or int, optional
        Only these: ``P7``, ``7``.
    complete : bool
        Only the participants of :data:`COMPLETE`.
    acc_unit : {"1/64 g", "g"}
        The unit that the files of acceleration are taken to hold.
    longer : {"trim_start", "trim_end"}
        Where annotations that are longer than the debate lose labels: at their start, so that both end together, or
        at their end.

    Returns
    -------
    Corpus
        Participants without a wristband or without a row in ``subjects.csv`` are on `left_out`.

    Raises
    ------
    DataError
        `root` does not exist, a participant asked for is not there, or an option has a value that there is not.
    ReadError
        `root` is not laid out as published, or ``subjects.csv`` cannot be read.
    """
    for name, value, allowed in (("acc_unit", acc_unit, get_args(AccUnit)), ("longer", longer, get_args(Longer))):
        if value not in allowed:
            raise DataError(f"k-emocon: there is no {name} '{value}'.{did_you_mean(str(value), allowed)}")
    root = locate("k-emocon", root)
    if not root.is_dir() or _part(root, "e4_data") is None:
        expected = "the K-EmoCon folder with e4_data, emotion_annotations, metadata and neurosky_polar_data"
        raise ReadError(root, found="no folder e4_data", expected=expected)
    parts = {name: _part(root, name) for name in _PARTS}
    debates, left_out = _debates(root, parts["metadata"])
    left_out += [
        LeftOut(f"{root}: {name}", "no such folder; recordings are used without it")
        for name in ("neurosky_polar_data", "emotion_annotations")
        if parts[name] is None
    ]
    e4, neurosky = _folders(parts["e4_data"]), _folders(parts["neurosky_polar_data"])
    annotations = _annotation_files(parts["emotion_annotations"])
    if complete:
        e4 = {pid: folder for pid, folder in e4.items() if pid in COMPLETE}
    elif subjects is None:
        alone = sorted((set(debates) | set(neurosky) | set(annotations)) - set(e4))
        left_out += [LeftOut(f"P{pid}", "no folder of this participant in e4_data; not read") for pid in alone]
    settings = _Settings(acc_unit, longer)
    found: list[tuple[Path, Callable[[], Source]]] = []
    for subject in chosen([f"P{pid}" for pid in e4], subjects, _spelling):
        pid = int(subject[1:])
        if pid not in debates:
            why = "subjects.csv has no row that says when this participant's debate was; not read"
            left_out.append(LeftOut(str(e4[pid]), why))
            continue
        own = annotations.get(pid, {})
        found.append((e4[pid], partial(_source, e4[pid], neurosky.get(pid), own, root, pid, debates[pid], settings)))
    sources, outside = sources_inside(root, found)
    return Corpus("k-emocon", sources, [*left_out, *outside])


def _debates(root: Path, metadata: Path | None) -> tuple[dict[int, Debate], list[LeftOut]]:
    """Read when the debates were; without it no time of an annotation means anything."""
    places = [root] if metadata is None else [metadata, root]
    files = [place / "subjects.csv" for place in places]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        advice = "Take it from the archive metadata: it says when each debate began."
        raise ReadError(files[0], found="no such file", expected="metadata/subjects.csv", advice=advice)
    return read_debates(inside(file, root))


def _source(
    e4: Path,
    neurosky: Path | None,
    annotations: Mapping[str, Path],
    root: Path,
    pid: int,
    debate: Debate,
    settings: _Settings,
) -> Source:
    files = [e4 / sensor.file for sensor in _SENSORS.values()]
    for part, name in _TRACES.values():
        folder = e4 if part == "e4_data" else neurosky
        if folder is not None:
            files.append(folder / name)
    files += annotations.values()
    return Source(
        subject=f"P{pid}",
        read=partial(_read, e4, neurosky, dict(annotations), root, pid, debate, settings),
        files=tuple(file for file in files if file.is_file() and is_inside(file, root)),
        options={"debate": asdict(debate), **asdict(settings)},
        modules=_MODULES,
    )
