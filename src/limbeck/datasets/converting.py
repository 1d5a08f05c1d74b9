"""Any corpus, in Limbeck's units and at native rates, written as BIDS or as Zarr.

===== ====================================================================================================
BIDS  for everybody else: EEG (with EOG that shares its clock) as BrainVision, other signals as
      ``_physio.tsv.gz``, events, ratings in ``_scans.tsv``, traces in ``_beh.tsv``
Zarr  for Limbeck and array libraries: everything a recording holds, bit for bit
===== ====================================================================================================

Both are read back by the data sets of these names. What BIDS has no word for stands in columns and entries that begin
with ``limbeck``; what the clocks of sensors were is kept by Zarr only. The BIDS validator (3.0.2) finds no error in
what is written, and warns of what nobody knows here (authors, manufacturers, caps).
"""

from __future__ import annotations

import gzip
import importlib.metadata
import json
import math
import re
import shutil
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from limbeck.atomic import temporary_beside
from limbeck.datasets import info, zarr_store
from limbeck.errors import DataError, LimbeckError, ReadError, did_you_mean
from limbeck.recording import Corpus, LeftOut, Recording, Signal, Source

__all__ = ["FORMATS", "Conversion", "convert"]

FORMATS = ("bids", "zarr")
_BIDS_VERSION = "1.10.0"
_ROWS = 2**16
_TYPES = {"eeg": "EEG", "eog": "EOG"}


@dataclass(frozen=True)
class Conversion:
    """What a conversion wrote.

    Parameters
    ----------
    out : Path
        The folder.
    recordings : int
        How many are in it.
    bytes : int
        What its files take.
    left_out : tuple of LeftOut
        What could not be read, what recordings lacked, and names that had to be changed.
    """

    out: Path
    recordings: int
    bytes: int
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class _Item:
    """A recording to be converted: where it comes from, and how its files are called."""

    source: Source
    group: str
    entities: tuple[tuple[str, str], ...] = ()

    @property
    def stem(self) -> str:
        return "_".join(f"{key}-{value}" for key, value in self.entities)

    @property
    def home(self) -> str:
        """The folder of its session, or of its subject, as a relative path."""
        return "/".join(f"{key}-{value}" for key, value in self.entities if key in ("sub", "ses"))

    @property
    def task(self) -> str:
        return dict(self.entities)["task"]


@dataclass(frozen=True)
class _Done:
    """What is known of a recording that was written; no samples."""

    item: _Item
    failed: LeftOut | None = None
    order: int = 0
    ratings: Mapping[str, float] = field(default_factory=dict)
    file: str = ""
    notes: tuple[LeftOut, ...] = ()
    changed: tuple[LeftOut, ...] = ()
    kinds: tuple[str, ...] = ()


def convert(
    corpus: Corpus,
    out: str | Path,
    *,
    to: Literal["bids", "zarr"],
    progress: Callable[[int, int], None] | None = None,
    jobs: int = 1,
) -> Conversion:
    """Write a corpus' recordings in another format; one recording per worker is in memory at a time.

    The folder appears whole, or not at all: it is written under a temporary name beside `out` and renamed. What the
    corpus left out is listed on `corpus.left_out` as by iterating it.

    Parameters
    ----------
    corpus : Corpus
        As from :func:`limbeck.datasets.load`.
    out : path-like
        A folder that does not exist, or is empty: nothing is ever overwritten.
    to : {"bids", "zarr"}
        The format.
    progress : callable, optional
        Called with the number of recordings done and of all.
    jobs : int
        Processes that read and write; -1 for one per core.

    Returns
    -------
    Conversion

    Raises
    ------
    DataError
        `out` holds something or cannot be written, two subjects (or sessions) would get the same BIDS label, or no
        recording could be read.
    """
    if to not in FORMATS:
        raise DataError(f"There is no format '{to}' to convert to.{did_you_mean(str(to), FORMATS)}")
    if isinstance(jobs, bool) or not isinstance(jobs, int) or (jobs < 1 and jobs != -1):
        raise DataError(f"jobs is {jobs}; give a number of processes from 1, or -1 for one per core.")
    out = Path(out)
    _refuse_taken(out)
    items = _plan(corpus, to)
    write = _write_bids if to == "bids" else _write_zarr
    temporary = temporary_beside(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        done = _converted(items, partial(_one, write, temporary), progress, jobs)
        kept = [result for result in done if result.failed is None]
        corpus.leave_out(*(result.failed for result in done if result.failed is not None))
        before = tuple(corpus.left_out)
        corpus.leave_out(*(note for result in kept for note in result.notes))
        if not kept:
            reasons = " ".join(item.why for item in corpus.left_out[:3])
            raise DataError(f"No recording of {corpus.name} could be converted. {reasons}".strip())
        changed = tuple(dict.fromkeys(item for result in kept for item in result.changed))
        left_out = (*corpus.left_out, *changed)
        if to == "bids":
            _finish_bids(temporary, corpus.name, kept, left_out)
        else:
            noted = {note for result in kept for note in result.notes}
            groups = [_identity(result.item) for result in kept]
            zarr_store.manifest(temporary, corpus.name, groups, [item for item in before if item not in noted])
        size = sum(file.stat().st_size for file in temporary.rglob("*") if file.is_file())
        _put(temporary, out)
    except OSError as error:  # no right to write there, a file in the place of a folder, no room left
        raise DataError(f"{out} cannot be written: {error}. Choose another folder.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Conversion(out, len(kept), size, left_out)


def _refuse_taken(out: Path) -> None:
    """Refuse a place where something lies."""
    try:
        taken = out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir())))
    except OSError as error:
        raise DataError(f"{out} cannot be looked into: {error}.") from error
    if taken:
        raise DataError(f"{out} is there and not an empty folder; nothing is overwritten. Choose another folder.")


def _put(temporary: Path, out: Path) -> None:
    """Give the whole folder its name, in the place of an empty one."""
    try:
        if out.is_dir():
            out.rmdir()  # fails where something was put into it meanwhile
        temporary.rename(out)
    except OSError as error:
        raise DataError(f"{out} came into being while it was written ({error}); nothing is overwritten.") from error


def _converted(
    items: Sequence[_Item], one: Callable[[_Item], _Done], progress: Callable[[int, int], None] | None, jobs: int
) -> list[_Done]:
    """Return what became of each recording, in the items' order."""
    results: Iterable[_Done]
    if jobs == 1:
        results = map(one, items)
    else:
        import joblib

        parallel = joblib.Parallel(n_jobs=jobs, backend="loky", return_as="generator", pre_dispatch="2*n_jobs")
        results = parallel(joblib.delayed(one)(item) for item in items)
    done = []
    for result in results:
        done.append(result)
        if progress is not None:
            progress(len(done), len(items))
    return done


def _one(write: Callable[[_Item, Recording, Path], _Done], target: Path, item: _Item) -> _Done:
    """Read and write one recording; one that cannot be read leaves nothing behind."""
    source = item.source
    try:
        recording = source.read()
    except LimbeckError as error:
        name = "/".join(part for part in (source.subject, source.session, source.trial) if part)
        return _Done(item, LeftOut(error.file if isinstance(error, ReadError) else name, str(error)))
    return write(item, recording, target)


# ---------------------------------------------------------------------------------------------------------------------
# Plan
# ---------------------------------------------------------------------------------------------------------------------


def _plan(corpus: Corpus, to: str) -> list[_Item]:
    width = max(5, len(str(len(corpus.sources))))
    items = [_Item(source, f"r{number:0{width}d}") for number, source in enumerate(corpus.sources)]
    if to == "zarr":
        return items
    subjects = _labels(corpus.subjects, "subjects")
    sessions = _labels(tuple(dict.fromkeys(s.session for s in corpus.sources if s.session)), "sessions")
    planned, taken = [], set[str]()
    for item in items:
        source = item.source
        entities = [("sub", subjects[source.subject])]
        if source.session:
            entities.append(("ses", sessions[source.session]))
        entities += _task(source.trial, corpus.name)
        number = 1
        planned.append(_Item(source, item.group, tuple(entities)))
        while planned[-1].stem.lower() in taken:  # several recordings of one name, or file systems without case
            number += 1
            planned[-1] = _Item(source, item.group, (*entities[:-1], *_again(entities[-1], number)))
        taken.add(planned[-1].stem.lower())
    return planned


def _again(last: tuple[str, str], number: int) -> list[tuple[str, str]]:
    """Return the last entity of a name that is taken, told apart by another."""
    return [("acq", f"{number}"), last] if last[0] == "run" else [last, ("run", f"{number}")]


def _task(trial: str, corpus: str) -> list[tuple[str, str]]:
    """Return the entities that a trial becomes: its name is the task; a mere number is a run of the corpus' task."""
    general = _label(corpus) or "recording"
    if re.fullmatch(r"\d{1,9}", trial):
        return [("task", general), ("run", trial)]
    named = re.fullmatch(r"([a-zA-Z0-9]+)_run-(\d{1,9})", trial)  # as the reader of BIDS calls it
    if named is not None:
        return [("task", named[1]), ("run", named[2])]
    return [("task", _label(trial) or general)]


def _label(name: str) -> str:
    """Return the letters and digits of a name, without accents: all that BIDS allows in a label."""
    plain = unicodedata.normalize("NFKD", name)
    return re.sub(r"[^a-zA-Z0-9]", "", plain.encode("ascii", "ignore").decode())


def _labels(names: Sequence[str], what: str) -> dict[str, str]:
    """Return a label per name.

    Raises
    ------
    DataError
        Two names would get the same one (in a file system that does not tell small letters from capitals, too).
    """
    labels = {name: _label(name) or f"{number:03d}" for number, name in enumerate(names, start=1)}
    by_label: dict[str, list[str]] = {}
    for name, label in labels.items():
        by_label.setdefault(label.lower(), []).append(name)
    shared = [" and ".join(f"'{name}'" for name in own) for own in by_label.values() if len(own) > 1]
    if shared:
        raise DataError(
            f"BIDS allows letters and digits only, so that the {what} {'; '.join(shared[:5])} would be called "
            "the same. Rename them, or convert to zarr."
        )
    return labels


# ---------------------------------------------------------------------------------------------------------------------
# Zarr
# ---------------------------------------------------------------------------------------------------------------------


def _write_zarr(item: _Item, recording: Recording, target: Path) -> _Done:
    zarr_store.write_recording(recording, target / item.group)
    return _Done(item, order=recording.order, notes=recording.notes)


def _identity(item: _Item) -> dict[str, str]:
    source = item.source
    return {"group": item.group, "subject": source.subject, "session": source.session, "trial": source.trial}


# ---------------------------------------------------------------------------------------------------------------------
# BIDS: one recording
# ---------------------------------------------------------------------------------------------------------------------


def _write_bids(item: _Item, recording: Recording, target: Path) -> _Done:
    home, stem = target / item.home, item.stem
    signals = {modality: signal for modality, signal in recording.signals.items() if signal.data.shape[1]}
    changed = [
        LeftOut(f"{stem}: {modality}", "no samples; BIDS has no file without")
        for modality in recording.signals
        if modality not in signals
    ]
    scalp = _scalp(signals)
    origin = next(iter(scalp.values())).start if scalp else 0.0
    data = home / ("eeg" if scalp else "beh")
    if not signals:
        return _Done(item, LeftOut(stem, "the recording has no samples; BIDS has no file without"))
    data.mkdir(parents=True, exist_ok=True)
    files = []
    if scalp:
        files.append(_write_eeg(data, stem, item.task, scalp, origin))
    for modality, signal in signals.items():
        if modality not in scalp:
            name = f"{stem}_recording-{modality}_physio"
            files.append(_write_physio(data, name, item.task, modality, signal, origin))
    if recording.events:
        changed += _write_events(data / f"{stem}_events.tsv", recording, origin)
    if recording.traces:
        changed += _write_traces(home / "beh", stem, item.task, recording, origin)
    return _Done(
        item,
        None,
        recording.order,
        dict(recording.ratings),
        files[0].relative_to(home).as_posix(),
        recording.notes,
        tuple(changed),
        tuple(file.name.removeprefix(f"{stem}_") for file in files),
    )


def _scalp(signals: Mapping[str, Signal]) -> dict[str, Signal]:
    """Return the signals that become one BrainVision file: EEG, and EOG if each of its samples has one of the EEG."""
    eeg = signals.get("eeg")
    if eeg is None:
        return {}
    eog = signals.get("eog")
    if eog is None or (eog.rate, eog.start, eog.data.shape[1]) != (eeg.rate, eeg.start, eeg.data.shape[1]):
        return {"eeg": eeg}
    return {"eeg": eeg, "eog": eog}


def _write_eeg(folder: Path, stem: str, task: str, signals: Mapping[str, Signal], origin: float) -> Path:
    import pybv

    first = signals["eeg"]
    names: list[str] = []
    for channel in (channel for signal in signals.values() for channel in signal.channels):
        names.append(_unlike(_text(channel) or "channel", names))
    data = np.concatenate([signal.data for signal in signals.values()]).astype(np.float64)
    data *= 1e-6  # pybv takes volts; in float64 and back, every float32 stays itself
    pybv.write_brainvision(
        data=data,
        sfreq=first.rate,
        ch_names=names,
        fname_base=f"{stem}_eeg",
        folder_out=folder,
        resolution=1.0,
        unit="µV",
        fmt="binary_float32",
    )
    types = [_TYPES[modality] for modality, signal in signals.items() for _ in signal.channels]
    rows = [[name, kind, "µV", "good"] for name, kind in zip(names, types, strict=True)]
    _write_tsv(folder / f"{stem}_channels.tsv", ["name", "type", "units", "status"], rows)
    _write_json(
        folder / f"{stem}_eeg.json",
        {
            "TaskName": task,
            "SamplingFrequency": first.rate,
            "EEGReference": "n/a",
            "PowerLineFrequency": "n/a",
            "SoftwareFilters": "n/a",
            "RecordingDuration": first.data.shape[1] / first.rate,
            "RecordingType": "continuous",
            "EEGChannelCount": types.count("EEG"),
            "EOGChannelCount": types.count("EOG"),
            **({"LimbeckOrigin": origin} if origin else {}),
        },
    )
    return folder / f"{stem}_eeg.vhdr"


def _write_physio(folder: Path, name: str, task: str, modality: str, signal: Signal, origin: float) -> Path:
    columns: list[str] = []
    for channel in signal.channels:
        plain = modality if len(signal.channels) == 1 else f"{modality}_{_text(channel)}"
        columns.append(_unlike(plain, columns))
    about = {
        column: {"Units": signal.unit, "LimbeckModality": modality, "LimbeckChannel": channel}
        for column, channel in zip(columns, signal.channels, strict=True)
    }
    head = {
        "TaskName": task,
        "PhysioType": "generic",
        "SamplingFrequency": signal.rate,
        "StartTime": signal.start - origin,
        "Columns": columns,
    }
    _write_json(folder / f"{name}.json", {**head, **about})
    file = folder / f"{name}.tsv.gz"
    with file.open("wb") as stream, gzip.GzipFile("", "wb", 4, stream, mtime=0) as packed:
        for text in _rows_of_numbers(signal.data):
            packed.write(text)
    return file


def _rows_of_numbers(data: np.ndarray) -> Iterator[bytes]:
    """Yield a table of shape (channel, time) as text, a row per time, with digits enough for every float32."""
    import io

    import pyarrow as pa
    import pyarrow.csv

    options = pyarrow.csv.WriteOptions(include_header=False, delimiter="\t")
    for start in range(0, data.shape[1], _ROWS):
        part = np.asarray(data[:, start : start + _ROWS], dtype=np.float32)
        table = pa.table([pa.array(np.ascontiguousarray(row)) for row in part], [str(i) for i in range(len(part))])
        text = io.BytesIO()
        pyarrow.csv.write_csv(table, text, options)
        yield text.getvalue().replace(b"nan", b"n/a")


def _write_events(file: Path, recording: Recording, origin: float) -> list[LeftOut]:
    changed, rows = [], []
    for event in recording.events:
        name = _text(event.name) or "event"
        if name != event.name:
            changed.append(LeftOut(f"{file.name}: {event.name!r}", f"written as {name!r}, as a table's cell holds it"))
        rows.append([repr(float(event.start - origin)), repr(float(event.end - event.start)), name])
    _write_tsv(file, ["onset", "duration", "trial_type"], rows)
    return changed


def _write_traces(folder: Path, stem: str, task: str, recording: Recording, origin: float) -> list[LeftOut]:
    folder.mkdir(parents=True, exist_ok=True)
    changed, rows = [], []
    for name, trace in recording.traces.items():
        plain = _text(name)
        if plain != name:
            changed.append(LeftOut(f"{stem}: {name!r}", f"written as {plain!r}, as a table's cell holds it"))
        for time, value in zip(trace.times.tolist(), trace.values, strict=True):
            rows.append([repr(float(time - origin)), plain, "n/a" if np.isnan(value) else str(value)])
    _write_tsv(folder / f"{stem}_beh.tsv", ["time", "trace", "value"], rows)
    about = {
        "TaskName": task,
        "time": {"Description": "Time in the recording", "Units": "s"},
        "trace": {"Description": "Which annotation the value belongs to"},
        "value": {"Description": "The annotated value at that time"},
    }
    _write_json(folder / f"{stem}_beh.json", about)
    return changed


# ---------------------------------------------------------------------------------------------------------------------
# BIDS: the tables of the whole
# ---------------------------------------------------------------------------------------------------------------------


def _finish_bids(target: Path, name: str, done: Sequence[_Done], left_out: Sequence[LeftOut]) -> None:
    """Write what BIDS asks for beside the recordings."""
    by_home: dict[str, list[_Done]] = {}
    for result in done:
        by_home.setdefault(result.item.home, []).append(result)
    for home, own in by_home.items():
        _write_scans(target / home, home.replace("/", "_"), own)
    subjects = dict.fromkeys((result.item.entities[0][1], result.item.source.subject) for result in done)
    rows = [[f"sub-{label}", _text(subject) or "n/a"] for label, subject in subjects]
    _write_tsv(target / "participants.tsv", ["participant_id", "limbeck_subject"], rows)
    description = {"limbeck_subject": {"Description": "What the subject was called in the data set this was made from"}}
    _write_json(target / "participants.json", description)
    _describe(target, name, left_out)


def _write_scans(folder: Path, stem: str, done: Sequence[_Done]) -> None:
    """Write the table of a session's recordings: their names and order before, and their ratings."""
    ratings = sorted({name for result in done for name in result.ratings})
    header = ["filename", "limbeck_session", "limbeck_trial", "limbeck_order", "limbeck_files"]
    rows = []
    for result in done:
        source = result.item.source
        row = [result.file, _text(source.session) or "n/a", _text(source.trial) or "n/a", str(result.order)]
        row.append(" ".join(result.kinds))
        rows.append(row + [_rating(result.ratings.get(name)) for name in ratings])
    _write_tsv(folder / f"{stem}_scans.tsv", [*header, *(f"rating_{_text(name)}" for name in ratings)], rows)
    about = {
        "limbeck_session": {"Description": "What the session was called in the data set this was made from"},
        "limbeck_trial": {"Description": "What the trial was called in the data set this was made from"},
        "limbeck_order": {"Description": "Place of the recording in its session, from 0"},
        "limbeck_files": {"Description": "Endings of the names of the recording's files of samples"},
        **{f"rating_{_text(name)}": {"Description": f"Rating of the recording: {name}"} for name in ratings},
    }
    _write_json(folder / f"{stem}_scans.json", about)


def _rating(value: float | None) -> str:
    """Return a rating as a cell; one that was asked for and not given is not the same as none."""
    if value is None:
        return "n/a"
    return "NaN" if math.isnan(value) else repr(float(value))


def _describe(target: Path, name: str, left_out: Sequence[LeftOut]) -> None:
    version = importlib.metadata.version("limbeck")
    about: dict[str, Any] = {"Name": name, "BIDSVersion": _BIDS_VERSION, "DatasetType": "raw"}
    lines = [f"{name}, converted to BIDS by Limbeck {version}.", ""]
    try:
        known = info(name)
    except LimbeckError:  # a corpus made of single files, say, is no registered data set
        known = None
    if known is not None:
        if known.licence:
            about["License"] = known.licence
        if known.citation:
            about["HowToAcknowledge"] = known.citation
        if known.url:
            about["SourceDatasets"] = [{"URL": known.url}]
        listed = (known.title, known.citation, known.url, f"Licence: {known.licence}" if known.licence else "")
        lines += [line for line in listed if line] + [""]
    about["GeneratedBy"] = [{"Name": "Limbeck", "Version": version}]
    lines += [
        "EEG (and EOG that shares its samples) is BrainVision in µV; every other signal is a physio file of its own,",
        "in the unit that its sidecar says, at the rate at which it was recorded. Ratings of a recording are the",
        "columns rating_... of scans.tsv; values that run with time are in beh.tsv (time in s, trace, value). Columns",
        "and entries that begin with limbeck say what things were called before, for reading back.",
        "",
        "Not in this data set, or in part:" if left_out else "Nothing was left out.",
        *(f"- {_text(item.what)}: {_text(item.why)}" for item in left_out),
    ]
    _write_json(target / "dataset_description.json", about)
    (target / "README").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _text(text: str) -> str:
    """Return a text as a table's cell holds it: on one line, without tabs, and without blanks around it."""
    return re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]+", " ", text).strip()


def _unlike(name: str, taken: Sequence[str]) -> str:
    number, unused = 2, name
    while unused in taken:
        unused, number = f"{name} ({number})", number + 1
    return unused


def _write_tsv(file: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    lines = ["\t".join(header), *("\t".join(row) for row in rows)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
