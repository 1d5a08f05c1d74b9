"""CASE: eight film clips, eight peripheral channels, and valence and arousal given with a joystick all the time.

Sharma et al., A Dataset of Continuous Affect Annotations and Physiological Signals for Emotion Analysis, Scientific
Data 6:196, 2019. As published: ``data/interpolated/physiological/sub_1.csv`` (1000 Hz) and
``data/interpolated/annotations/sub_1.csv`` (20 Hz), on one clock in milliseconds and in physical units; and
``data/raw/physiological/sub1_DAQ.txt`` and ``data/raw/annotations/sub1_joystick.txt``, in volts and counts of the
joystick, without saying when which clip ran. Conversions are those of the data descriptor.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from limbeck.datasets import Check, DatasetInfo, dataset, locate
from limbeck.datasets.columns import as_float32, read_columns
from limbeck.datasets.files import chosen, find_folder, inside, is_inside, read_bytes, sources_inside, visible
from limbeck.datasets.numbers import plain_text, read_table, shown
from limbeck.errors import DataError, ReadError, did_you_mean
from limbeck.recording import UNITS, Clock, Corpus, Event, LeftOut, Recording, Signal, Source, Trace

__all__ = ["case", "looks_like"]


# ---------------------------------------------------------------------------------------------------------------------
# Physiology
# ---------------------------------------------------------------------------------------------------------------------

Release = Literal["interpolated", "raw"]

_RATE, _ANNOTATION_RATE = 1000.0, 20.0
_RATE_TOLERANCE = 0.02
_LONGEST_STEP = 0.01  # seconds between two logged samples beyond which those between are missing, not late
_MOST_FILLED = 10
_DAY = 86_400.0
_LARGEST_RAW = 2**29
_SUBJECTS, _CLIPS = 30, tuple(range(1, 9))
_MODULES = (*(f"limbeck.datasets.{name}" for name in ("case", "columns", "files", "numbers")), "pandas")


@dataclass(frozen=True)
class _Channel:
    """A column: what it is, the factor from its unit to ours, and slope and offset from volts to its own unit."""

    column: str
    modality: str
    scale: float
    slope: float
    offset: float


_CHANNELS = (
    _Channel("ecg", "ecg", 1.0, 1000 / 50, -2.8 * 1000 / 50),
    _Channel("bvp", "bvp", 1.0, 58.962, -115.09),
    _Channel("gsr", "eda", 1.0, 24.0, -49.2),
    _Channel("rsp", "resp", 1.0, 58.923, -115.01),
    _Channel("skt", "temp", 1.0, 21.341, -32.085),
    _Channel("emg_zygo", "emg", 1e-3, 1e6 / 4000, -2 * 1e6 / 4000),
    _Channel("emg_coru", "emg", 1e-3, 1e6 / 4000, -2 * 1e6 / 4000),
    _Channel("emg_trap", "emg", 1e-3, 1e6 / 4000, -2 * 1e6 / 4000),
)
_LOWEST, _HIGHEST, _REACH = 0.5, 9.5, 26225.0


@dataclass(frozen=True)
class _Logged:
    """One subject's samples as logged: seconds on the common clock, a row per channel, and the clip's number."""

    times: np.ndarray
    samples: np.ndarray
    video: np.ndarray | None


def _interpolated_file(file: Path) -> _Logged:
    names = [channel.column for channel in _CHANNELS]
    found = read_columns(file, ("daqtime", "video", *names)).numbers
    missing = [name for name in ("daqtime", "video", *names) if name not in found]
    if missing:
        expected = f"{', '.join(missing)} among the columns"
        raise ReadError(file, where="row 1", found=shown(", ".join(found) or "none of them"), expected=expected)
    values = np.empty((len(names), len(found["daqtime"])), dtype=np.float64)
    for row, channel in enumerate(_CHANNELS):
        np.multiply(found[channel.column], channel.scale, out=values[row])
    return _Logged(found["daqtime"] / 1000, values, found["video"])


def _raw_table(file: Path, columns: int) -> np.ndarray:
    """Return the numbers of a file without header, divided by tabs."""
    text = plain_text(read_bytes(file, limit=_LARGEST_RAW), str(file)).replace(b"\t", b",")
    if not text.strip():
        raise ReadError(file, found="no rows", expected=f"{columns} numbers per row")
    return read_table(text, str(file), columns, first_row=1)


def _raw_file(file: Path) -> _Logged:
    table = _raw_table(file, len(_CHANNELS) + 1)
    values = np.empty((len(_CHANNELS), len(table)), dtype=np.float64)
    for row, channel in enumerate(_CHANNELS):
        values[row] = (table[:, row + 1] * channel.slope + channel.offset) * channel.scale
    return _Logged(table[:, 0], values, None)


def _in_order(times: np.ndarray, rate: float, file: Path) -> np.ndarray:
    """Return which rows go on in time: those behind their forerunners are few, or the file is not what it should be."""
    if not np.isfinite(times).all():
        row = int(np.argmax(~np.isfinite(times)))
        raise ReadError(file, where=f"sample {row + 1}, time", found="no time", expected="a time in every row")
    latest = np.maximum.accumulate(times)
    forward = np.concatenate([[True], times[1:] > latest[:-1]])
    span = float(latest[-1] - times[0])
    if forward.sum() < 0.99 * len(times) or len(times) < 2:
        row = int(np.argmin(forward))
        found = f"{len(times) - int(forward.sum())} of {len(times)} times that do not follow the one before"
        raise ReadError(file, where=f"sample {row + 1}, time", found=found, expected="times that increase")
    step = float(np.median(np.diff(times[forward])))
    if abs(step * rate - 1) > _RATE_TOLERANCE:
        found = f"samples every {step * 1000:.6g} ms"
        advice = "Is the column of times in another unit?"
        raise ReadError(file, where="time", found=found, expected=f"every {1000 / rate:g} ms", advice=advice)
    if span > _DAY or span * rate > _MOST_FILLED * len(times) + 100:
        found = f"{len(times)} samples over {span:.6g} s"
        raise ReadError(file, where="time", found=found, expected=f"samples at {rate:g} Hz")
    return forward


def _on_grid(logged: _Logged, file: Path) -> tuple[np.ndarray, Clock, list[LeftOut]]:
    """Return the samples on the regular grid of 1000 Hz that starts with the first, where they lie on it or between.

    What was logged late is interpolated between its neighbours, as the authors did for the interpolated release; in
    gaps of more than 10 ms there are none.
    """
    times, notes = logged.times - logged.times[0], []
    places = np.rint(times * _RATE).astype(np.int64)
    size = int(places[-1]) + 1
    jitter = float(np.std(times - places / _RATE))
    steps = np.diff(times)
    late = np.flatnonzero(steps > _LONGEST_STEP)
    if np.abs(times * _RATE - places).max() < 0.05 and (np.diff(places) > 0).all():
        grid = np.full((len(logged.samples), size), np.nan)
        grid[:, places] = logged.samples
    else:
        at = np.arange(size) / _RATE
        grid = np.stack([np.interp(at, times, row) for row in logged.samples])
        later = np.clip(np.searchsorted(times, at), 1, len(times) - 1)
        grid[:, (times[later] - times[later - 1] > _LONGEST_STEP) & (at > times[later - 1]) & (at < times[later])] = (
            np.nan
        )
        why = f"samples were logged up to {float(steps.max()) * 1000:.3g} ms apart; interpolated to {_RATE:g} Hz"
        notes.append(LeftOut(f"{file}: times", why))
    if len(late):
        missing = sum(round(float(steps[i]) * _RATE) - 1 for i in late)
        notes.append(LeftOut(f"{file}: times", f"{len(late)} gaps of {missing} samples in all; taken as missing"))
    gaps = tuple((float(times[i]) + 1 / _RATE, float(times[i + 1])) for i in late[:1000])
    return grid, Clock(jitter=jitter, gaps=gaps, source="time stamps"), notes


def _signals(grid: np.ndarray, file: Path) -> tuple[dict[str, Signal], list[LeftOut]]:
    signals, notes = {}, []
    for modality in dict.fromkeys(channel.modality for channel in _CHANNELS):
        rows = [row for row, channel in enumerate(_CHANNELS) if channel.modality == modality]
        data, wild = as_float32(grid[rows])
        if wild:
            notes.append(LeftOut(f"{file}: {modality}", f"{wild} samples are infinite or too large; taken as missing"))
        if not np.isfinite(data).any():
            notes.append(LeftOut(f"{file}: {modality}", "all samples are missing"))
            continue
        names = tuple(_CHANNELS[row].column for row in rows)
        signals[modality] = Signal(data, _RATE, names, UNITS[modality])
    if not signals:
        raise ReadError(file, found="no samples that are numbers", expected="samples of at least one channel")
    return signals, notes


# ---------------------------------------------------------------------------------------------------------------------
# Clips and annotations
# ---------------------------------------------------------------------------------------------------------------------


def _events(logged: _Logged, names: Mapping[int, str], file: Path) -> tuple[list[Event], list[LeftOut]]:
    """Return every run of one number in the column of clips; it ends where the next one starts."""
    video = logged.video
    if video is None:
        why = "the raw release does not say when which clip ran; there are no events"
        return [], [LeftOut(f"{file}: video", why)]
    numbers = np.where(np.isfinite(video) & (video == np.rint(video)) & (np.abs(video) < 1000), video, -1).astype(int)
    edges = np.flatnonzero(np.diff(numbers)) + 1
    times = logged.times - logged.times[0]
    bounds = np.concatenate([[0], edges, [len(numbers)]])
    ends = np.append(times, times[-1] + 1 / _RATE)
    if len(edges) > 1000:
        found = f"{len(edges)} changes of the clip"
        raise ReadError(file, where="video", found=found, expected="runs of one number per clip")
    strange = int((numbers < 0).sum())
    notes = [LeftOut(f"{file}: video", f"{strange} samples without a clip's number; in no event")] if strange else []
    return [
        Event(names.get(number, f"video_{number}"), float(ends[a]), float(ends[b]))
        for a, b in itertools.pairwise(bounds)
        if (number := int(numbers[a])) >= 0
    ], notes


def _annotated(file: Path, release: Release) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return seconds on the common clock, and valence and arousal from 0.5 to 9.5."""
    if release == "raw":
        table = _raw_table(file, 3)
        scaled = _LOWEST + (_HIGHEST - _LOWEST) * (table[:, 1:] + _REACH) / (2 * _REACH)
        return table[:, 0], {"valence": scaled[:, 0], "arousal": scaled[:, 1]}
    found = read_columns(file, ("jstime", "valence", "arousal")).numbers
    missing = [name for name in ("jstime", "valence", "arousal") if name not in found]
    if missing:
        expected = f"{', '.join(missing)} among the columns"
        raise ReadError(file, where="row 1", found=shown(", ".join(found) or "none of them"), expected=expected)
    return found["jstime"] / 1000, {name: found[name] for name in ("valence", "arousal")}


def _traces(file: Path | None, root: Path, release: Release, origin: float) -> tuple[dict[str, Trace], list[LeftOut]]:
    """Return the annotations on the recording's time; what is wrong with their file costs nothing else."""
    if file is None:
        return {}, []
    try:
        times, found = _annotated(inside(file, root), release)
        forward = _in_order(times, _ANNOTATION_RATE, file)
    except ReadError as error:
        return {}, [LeftOut(error.file, f"{error} The recording is used without annotations.")]
    traces, notes = {}, []
    for name, values in found.items():
        inside_scale = (values >= _LOWEST - 0.01) & (values <= _HIGHEST + 0.01)
        wrong = int((~inside_scale).sum())
        if wrong:
            why = f"{wrong} values are not between {_LOWEST} and {_HIGHEST}; not used"
            notes.append(LeftOut(f"{file}: {name}", why))
        used = inside_scale & forward
        if used.any():
            traces[name] = Trace(times[used] - origin, values[used].astype(np.float32))
    return traces, notes


def _read(
    file: Path, annotations: Path | None, root: Path, subject: str, release: Release, names: Mapping[int, str]
) -> Recording:
    inside(file, root)
    logged = _interpolated_file(file) if release == "interpolated" else _raw_file(file)
    forward = _in_order(logged.times, _RATE, file)
    notes: list[LeftOut] = []
    if not forward.all():
        notes.append(
            LeftOut(f"{file}: times", f"{int((~forward).sum())} samples not behind their forerunner; left out")
        )
        video = None if logged.video is None else logged.video[forward]
        logged = _Logged(logged.times[forward], logged.samples[:, forward], video)
    grid, clock, gaps = _on_grid(logged, file)
    signals, wild = _signals(grid, file)
    events, strange = _events(logged, names, file)
    traces, unused = _traces(annotations, root, release, float(logged.times[0]))
    if annotations is None:
        unused = [LeftOut(f"{file}: annotations", "there is no file of annotations; used without them")]
    if release == "raw":
        why = "no header: columns are taken in the order of the interpolated release"
        notes.append(LeftOut(f"{file}: columns", why))
    clocks = dict.fromkeys(signals, clock) if release == "raw" or clock.gaps else {}
    return Recording(
        subject,
        signals,
        events=tuple(events),
        traces=traces,
        notes=(*notes, *gaps, *wild, *strange, *unused),
        clocks=clocks,
    )


# ---------------------------------------------------------------------------------------------------------------------
# Subjects
# ---------------------------------------------------------------------------------------------------------------------

_FILES = {
    ("interpolated", "physiological"): re.compile(r"sub_?0*(\d{1,3})\.csv", re.IGNORECASE),
    ("interpolated", "annotations"): re.compile(r"sub_?0*(\d{1,3})\.csv", re.IGNORECASE),
    ("raw", "physiological"): re.compile(r"sub_?0*(\d{1,3})_DAQ\.txt", re.IGNORECASE),
    ("raw", "annotations"): re.compile(r"sub_?0*(\d{1,3})_joystick\.txt", re.IGNORECASE),
}


def _subject_files(folder: Path, release: Release, kind: str) -> dict[str, Path]:
    """Return the files of one kind by subject, ordered by number."""
    place = folder / release / kind
    if not place.is_dir():
        return {}
    pattern = _FILES[release, kind]
    found = {int(match[1]): file for file in visible(place) if (match := pattern.fullmatch(file.name))}
    return {f"sub_{number}": found[number] for number in sorted(found)}


def _home(path: Path, releases: Sequence[Release]) -> Path | None:
    """Return the folder that holds the releases: ``data`` in the root or in the one folder in it, or the root."""

    def data(folder: Path) -> Path | None:
        places = (folder / "data", folder)
        return next(
            (p for p in places if is_inside(p, path) and any(_subject_files(p, r, "physiological") for r in releases)),
            None,
        )

    home = find_folder(path, lambda folder: data(folder) is not None)
    return None if home is None else data(home)


def looks_like(path: Path) -> bool:
    """Tell whether a folder is laid out as CASE is published."""
    return _home(path, get_args(Release)) is not None


def _spelling(name: str) -> str:
    match = re.fullmatch(r"(?:sub)?_?0*(\d{1,3})", name.strip(), re.IGNORECASE)
    return f"sub_{int(match[1])}" if match else name


def checks(root: Path, corpus: Corpus) -> Iterator[Check]:
    """Look whether there are the published subjects, clips and rates, and whether both files agree on the clips."""
    lengths: dict[str, list[float]] = {}
    orders: set[tuple[str, ...]] = set()
    for source in corpus.sources:
        try:
            recording = source.read()
        except ReadError as error:
            yield Check(f"{source.subject} can be read", False, str(error))
            continue
        yield from _clip_checks(source, recording)
        trace = recording.traces.get("valence")
        if trace is None or len(trace.times) < 2:
            yield Check(f"{source.subject} is annotated at {_ANNOTATION_RATE:g} Hz", None, "no annotations")
        else:
            rate = 1 / float(np.median(np.diff(trace.times)))
            yield Check(
                f"{source.subject} is annotated at {_ANNOTATION_RATE:g} Hz", abs(rate - 20) < 0.2, f"{rate:.4g} Hz"
            )
        clips = [event for event in recording.events if event.name in _clip_names(source)]
        orders.add(tuple(event.name for event in clips))
        for event in clips:
            lengths.setdefault(event.name, []).append(event.end - event.start)
    for name, found in sorted(lengths.items()):
        span = max(found) - min(found)
        yield Check(f"{name} is as long for every subject", span < 2.0, f"{min(found):.2f} to {max(found):.2f} s")
    if len(corpus.sources) > 1:
        several = len(orders) > 1 if lengths else None
        yield Check("clips were shown in different orders", several, f"{len(orders)} orders" if lengths else "no clips")


def _clip_names(source: Source) -> list[str]:
    names = dict(source.options["names"])
    return [names.get(str(number), f"video_{number}") for number in _CLIPS]


def _clip_checks(source: Source, recording: Recording) -> Iterator[Check]:
    what = f"{source.subject} saw each of the {len(_CLIPS)} clips once"
    if source.options["release"] == "raw":
        yield Check(what, None, "the raw release does not say when which clip ran")
        return
    counts = Counter(event.name for event in recording.events)
    wrong = [f"{name} {counts[name]} times" for name in _clip_names(source) if counts[name] != 1]
    yield Check(what, not wrong, ", ".join(wrong))
    what = f"{source.subject}: physiology and annotations name the same clip at the same time"
    if len(source.files) < 2 or not recording.traces:
        yield Check(what, None, "no file of annotations")
        return
    name, trace = next(iter(recording.traces.items()))
    table = read_columns(source.files[1], ("jstime", "video", name)).numbers
    if "video" not in table:
        yield Check(what, None, f"{source.files[1]} has no column video")
        return
    # the first of these annotations that is used tells when the recording began
    used = int(np.argmax((table[name] >= _LOWEST - 0.01) & (table[name] <= _HIGHEST + 0.01)))
    origin = float(table["jstime"][used]) / 1000 - float(trace.times[0])
    times = table["jstime"] / 1000 - origin
    names = {int(number): name for number, name in source.options["names"].items()}
    starts = np.array([event.start for event in recording.events])
    at = np.searchsorted(starts, times, side="right") - 1
    seen = [recording.events[i].name if i >= 0 else "" for i in at]
    said = [names.get(int(number), f"video_{int(number)}") if np.isfinite(number) else "" for number in table["video"]]
    wrong_rows = [row for row, (a, b) in enumerate(zip(seen, said, strict=True), start=2) if a != b]
    # at a change the slower of the two says so up to one of its samples later
    tolerated = 2 * len(recording.events)
    found = f"{len(wrong_rows)} rows of {source.files[1]} differ, first row {wrong_rows[0]}" if wrong_rows else ""
    yield Check(what, len(wrong_rows) <= tolerated, found)


@dataset(
    "case",
    info=DatasetInfo(
        title="CASE: film clips with continuous valence and arousal, and eight peripheral channels",
        modalities=("ecg", "bvp", "eda", "resp", "temp", "emg"),
        subjects=_SUBJECTS,
        names=tuple(f"sub_{number}" for number in range(1, 31)),
        licence="CC BY",
        citation="Sharma et al., A dataset of continuous affect annotations and physiological signals for emotion "
        "analysis, Scientific Data 6:196, 2019",
        url="https://doi.org/10.6084/m9.figshare.8869157",
        access="open",
        checked="format-faithful files only; never tried on the real corpus",
        obtain="figshare 8869157, or gitlab.com/karan-shr/case_dataset (there, the interpolated files are made by the "
        "scripts in it).",
        uncertain=(
            "which of the videos 10, 11 and 12 are the start, the blue screen and the end: option names",
            "the order of the columns of the raw files, which have no header: taken as in the interpolated release; "
            "option release chooses that one",
        ),
    ),
    checks=checks,
)
def case(
    root: Path | None,
    *,
    subjects: Sequence[str | int] | None = None,
    release: Release = "interpolated",
    names: Mapping[int, str] | None = None,
) -> Corpus:
    """CASE: one recording per subject with an event per clip and the traces ``valence`` and ``arousal`` at 20 Hz.

    At 1000 Hz: `ecg` (mV), `bvp` and `resp` (% of the sensor's range), `eda` (µS), `temp` (°C) and `emg` (mV; of the
    zygomaticus, corrugator and trapezius). Time 0 is the first sample. The events are the runs of the column of
    clips, ``video_1`` to ``video_8`` and, between and around them, ``video_10``, ``video_11`` and ``video_12``; clips
    come in the order in which this subject saw them. Valence and arousal were given with one joystick while watching,
    from 0.5 to 9.5. A subject's file (some 150 MB) takes about five seconds and 0.6 GB to read.

    Parameters
    ----------
    root : Path, optional
        The folder with ``data``, or with ``interpolated`` and ``raw``; by default in the folder of data sets.
    subjects : sequence of str or int, optional
        Only these: ``sub_7``, ``7``.
    release : {"interpolated", "raw"}
        The raw files are in volts and have no clips, so no events; their samples, logged at uneven times, are
        interpolated to 1000 Hz, except in gaps of more than 10 ms.
    names : mapping of int to str, optional
        Names of events by the number of their video, such as ``{11: "blue_screen"}``; else ``video_11``.

    Returns
    -------
    Corpus

    Raises
    ------
    DataError
        `root` does not exist, a subject asked for is not there, or an option has a value that there is not.
    ReadError
        `root` is not laid out as published.
    """
    if release not in get_args(Release):
        raise DataError(f"case: there is no release '{release}'.{did_you_mean(str(release), get_args(Release))}")
    plain = _names(names)
    root = locate("case", root)
    home = _home(root, (release,))
    if home is None:
        other = [name for name in get_args(Release) if name != release and _home(root, (name,)) is not None]
        expected = f"the CASE folder with data/{release}/physiological"
        advice = f"There is the release {other[0]}: use release={other[0]}." if other else ""
        raise ReadError(root, found="no files of subjects", expected=expected, advice=advice)
    files = _subject_files(home, release, "physiological")
    annotations = _subject_files(home, release, "annotations")
    found: list[tuple[Path, Callable[[], Source]]] = [
        (files[subject], partial(_source, files[subject], annotations.get(subject), root, subject, release, plain))
        for subject in chosen(files, subjects, _spelling)
    ]
    sources, outside = sources_inside(root, found)
    alone = [] if subjects is not None else sorted(set(annotations) - set(files))
    left_out = [LeftOut(str(annotations[name]), f"annotations without the physiology of {name}") for name in alone]
    return Corpus("case", sources, [*left_out, *outside])


def _names(names: Mapping[int, str] | None) -> dict[int, str]:
    """Return the names of events by number; numbers may be written as text, as YAML keys are."""
    if names is None:
        return {}
    if not isinstance(names, Mapping):
        raise DataError(f"case: names needs numbers of videos with a name each; found {names!r}.")
    wrong = [key for key, name in names.items() if not str(key).isdecimal() or not isinstance(name, str) or not name]
    if wrong:
        raise DataError(
            f"case: names needs numbers of videos with a name each; found {wrong[0]!r}: {names[wrong[0]]!r}."
        )
    return {int(key): name for key, name in names.items()}


def _source(
    file: Path, annotations: Path | None, root: Path, subject: str, release: Release, names: Mapping[int, str]
) -> Source:
    files = (file,) if annotations is None or not is_inside(annotations, root) else (file, annotations)
    return Source(
        subject=subject,
        read=partial(_read, file, annotations, root, subject, release, dict(names)),
        files=files,
        options={"release": release, "names": {str(number): name for number, name in names.items()}},
        modules=_MODULES,
    )
