"""Recordings of any corpus that Limbeck converted to Zarr: read back exactly, without the corpus' own reader.

The folder is one Zarr group (format 3). Its attributes list the recordings; each is a group of its own with a float32
array ``<modality>`` of shape (channel, time) per signal and two one-dimensional arrays per trace. What else a recording
is (ratings, events, notes, clocks) stands in the group's attributes. Chunks are uncompressed and carry checksums.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.datasets import Check, DatasetInfo, dataset, locate
from limbeck.datasets.files import chosen, find_folder, inside, is_inside, read_bytes, visible
from limbeck.datasets.numbers import shown
from limbeck.errors import DataError, ReadError
from limbeck.recording import MODALITIES, Clock, Corpus, Event, LeftOut, Recording, Signal, Source, Trace

__all__ = ["FORMAT", "checks", "looks_like", "manifest", "write_recording", "zarr_store"]

FORMAT = "limbeck recordings"
_VERSION = 1
_CHUNK_BYTES = 8 * 2**20
_LARGEST_DOCUMENT = 2**25
_MODULES = ("limbeck.datasets.zarr_store", "limbeck.datasets.files")


# ---------------------------------------------------------------------------------------------------------------------
# Writing
# ---------------------------------------------------------------------------------------------------------------------


def _plain(value: float) -> float | str:
    """Return a number as JSON holds it: NaN and infinities as words."""
    return float(value) if math.isfinite(value) else repr(float(value))


def write_recording(recording: Recording, folder: Path) -> None:
    """Write one recording as a Zarr group.

    Parameters
    ----------
    recording : Recording
    folder : Path
        Where the group shall lie; there is nothing yet.
    """
    import zarr

    folder.mkdir(parents=True)
    for modality, signal in recording.signals.items():
        _write_array(folder / modality, np.asarray(signal.data, dtype=np.float32), ("channel", "time"))
    for number, trace in enumerate(recording.traces.values()):
        _write_array(folder / f"trace{number}_times", np.asarray(trace.times, dtype=np.float64), ("time",))
        _write_array(folder / f"trace{number}_values", np.asarray(trace.values, dtype=np.float32), ("time",))
    # Last, so that a group which is there is whole, and its document is written once.
    zarr.create_group(folder, zarr_format=3, attributes=_attributes(recording) | {"files": _sizes(folder)})


def _attributes(recording: Recording) -> dict[str, Any]:
    return {
        "subject": recording.subject,
        "session": recording.session,
        "trial": recording.trial,
        "order": int(recording.order),
        "signals": {
            modality: {
                "rate": _plain(signal.rate),
                "channels": list(signal.channels),
                "unit": signal.unit,
                "start": _plain(signal.start),
            }
            for modality, signal in recording.signals.items()
        },
        "ratings": [[name, _plain(value)] for name, value in recording.ratings.items()],
        "events": [[event.name, _plain(event.start), _plain(event.end)] for event in recording.events],
        "traces": list(recording.traces),
        "notes": [[note.what, note.why] for note in recording.notes],
        "clocks": {
            modality: {
                "offset": _plain(clock.offset),
                "drift": _plain(clock.drift),
                "jitter": _plain(clock.jitter),
                "gaps": [[_plain(start), _plain(end)] for start, end in clock.gaps],
                "source": clock.source,
            }
            for modality, clock in recording.clocks.items()
        },
    }


def _write_array(place: Path, values: np.ndarray, dimensions: Sequence[str]) -> None:
    import zarr
    from zarr.codecs import Crc32cCodec

    bytes_per_time = max(1, values[..., :1].nbytes)
    length = max(1, min(values.shape[-1], _CHUNK_BYTES // bytes_per_time))
    array = zarr.create_array(
        place,
        zarr_format=3,
        shape=values.shape,
        dtype=values.dtype,
        chunks=(*(max(1, size) for size in values.shape[:-1]), length),
        compressors=[Crc32cCodec()],
        fill_value=0,
        dimension_names=list(dimensions),
        config={"write_empty_chunks": True},  # so that a missing chunk is known to be a missing file
    )
    array[...] = np.ascontiguousarray(values)


def _sizes(folder: Path) -> dict[str, int]:
    """Return the files below a group that hold samples, with their sizes."""
    return {
        file.relative_to(folder).as_posix(): file.stat().st_size
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != "zarr.json"
    }


def manifest(folder: Path, name: str, groups: Sequence[Mapping[str, str]], left_out: Sequence[LeftOut]) -> None:
    """Write the group that holds the recordings' groups.

    Parameters
    ----------
    folder : Path
        Where the recordings' groups lie.
    name : str
        The corpus.
    groups : sequence of mapping
        Per recording, in order: ``group`` (its folder), ``subject``, ``session``, ``trial``.
    left_out : sequence of LeftOut
        What the corpus left out as a whole; what a recording left out is with the recording.
    """
    import zarr

    attributes = {
        "format": FORMAT,
        "version": _VERSION,
        "corpus": name,
        "recordings": [dict(group) for group in groups],
        "left_out": [[item.what, item.why] for item in left_out],
    }
    zarr.create_group(folder, zarr_format=3, attributes=attributes)


# ---------------------------------------------------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------------------------------------------------


def _document(folder: Path) -> dict[str, Any]:
    """Return what a group's or array's ``zarr.json`` holds."""
    file = folder / "zarr.json"
    try:
        content = json.loads(read_bytes(file, limit=_LARGEST_DOCUMENT))
    except (ValueError, RecursionError) as error:
        raise ReadError(file, found=str(error), expected="a Zarr document in JSON") from error
    if not isinstance(content, dict) or content.get("zarr_format") != 3:
        raise ReadError(file, found="no Zarr document of format 3", expected="one as Limbeck writes it")
    return content


def _attributes_of(folder: Path) -> dict[str, Any]:
    attributes = _document(folder).get("attributes")
    if not isinstance(attributes, dict):
        raise ReadError(folder / "zarr.json", found="no attributes", expected="a group as Limbeck writes it")
    return attributes


def _is_store(folder: Path) -> bool:
    if not (folder / "zarr.json").is_file():
        return False
    try:
        return _attributes_of(folder).get("format") == FORMAT
    except ReadError:
        return False


def looks_like(path: Path) -> bool:
    """Tell whether a folder is one that `limbeck datasets convert --to zarr` wrote."""
    return find_folder(path, _is_store) is not None


class _Fields:
    """The attributes of a group, taken out one by one, each refused by name where it is not what it should be."""

    def __init__(self, file: Path, entries: Any, where: str = "") -> None:
        self.file, self.where = file, where
        self.entries = self._is(entries, dict, where or "attributes", "an object")

    def _is(self, value: Any, kind: type, where: str, expected: str) -> Any:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ReadError(self.file, where=where, found=shown(str(value)), expected=expected)
        return value

    def _name(self, key: str) -> str:
        return f"{self.where}, {key}" if self.where else key

    def text(self, key: str) -> str:
        return str(self._is(self.entries.get(key), str, self._name(key), "text"))

    def whole(self, key: str) -> int:
        return int(self._is(self.entries.get(key), int, self._name(key), "a whole number"))

    def number(self, key: str) -> float:
        return self.as_number(self.entries.get(key), self._name(key))

    def as_number(self, value: Any, where: str) -> float:
        if value in ("nan", "inf", "-inf"):
            return float(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300:
            raise ReadError(self.file, where=where, found=shown(str(value)), expected="a number")
        return float(value)

    def listed(self, key: str) -> list[Any]:
        return list(self._is(self.entries.get(key), list, self._name(key), "a list"))

    def texts(self, key: str) -> list[str]:
        return [str(self._is(item, str, self._name(key), "texts")) for item in self.listed(key)]

    def rows(self, key: str, *kinds: str) -> list[tuple[Any, ...]]:
        """Return the rows of a table whose columns are ``text`` or ``number``."""
        where, rows = self._name(key), []
        for row in self.listed(key):
            if not isinstance(row, list) or len(row) != len(kinds):
                raise ReadError(self.file, where=where, found=shown(str(row)), expected=f"rows of {', '.join(kinds)}")
            rows.append(
                tuple(
                    self._is(value, str, where, "text") if kind == "text" else self.as_number(value, where)
                    for value, kind in zip(row, kinds, strict=True)
                )
            )
        return rows

    def objects(self, key: str) -> dict[str, _Fields]:
        entries = self._is(self.entries.get(key), dict, self._name(key), "an object")
        return {name: _Fields(self.file, value, f"{self._name(key)}, {name}") for name, value in entries.items()}


def _check_sizes(folder: Path, fields: _Fields) -> None:
    """Refuse a group of which a file is missing or has another size than it was written with."""
    sizes = fields.entries.get("files")
    if not isinstance(sizes, dict):
        raise ReadError(fields.file, where="files", found="none", expected="the sizes of the files of samples")
    for name, size in sizes.items():
        if not re.fullmatch(r"[a-z0-9_]+/c(?:/\d+)+", name):
            raise ReadError(fields.file, where="files", found=shown(name), expected="files of samples")
        try:
            found = inside(folder / name, folder).stat().st_size
        except OSError as error:
            raise ReadError(folder / name, found="no such file", expected=f"{size} bytes of samples") from error
        if found != size:
            advice = "The file is damaged: copy the folder again."
            raise ReadError(folder / name, found=f"{found} bytes", expected=f"{size} bytes", advice=advice)


def _array(folder: Path, name: str, fields: _Fields, dtype: str, dimensions: int) -> np.ndarray:
    """Return an array of a group; what it takes in memory is held against its files before it is read."""
    import zarr

    place = folder / name
    document = _document(inside(place, folder))
    shape = document.get("shape")
    if not isinstance(shape, list) or len(shape) != dimensions or not all(_is_size(size) for size in shape):
        found = shown(str(shape))
        raise ReadError(place / "zarr.json", where="shape", found=found, expected=f"{dimensions} sizes")
    if document.get("data_type") != dtype:
        found = shown(str(document.get("data_type")))
        raise ReadError(place / "zarr.json", where="data_type", found=found, expected=dtype)
    codecs = document.get("codecs")
    named = [codec.get("name") for codec in codecs if isinstance(codec, dict)] if isinstance(codecs, list) else []
    if named != ["bytes", "crc32c"]:
        found = shown(str(named))
        raise ReadError(place / "zarr.json", where="codecs", found=found, expected="bytes, crc32c, as Limbeck writes")
    chunks = _chunks(place, document, shape)
    expected = math.prod(-(-size // chunk) for size, chunk in zip(shape, chunks, strict=True))
    own = {key: size for key, size in fields.entries["files"].items() if key.startswith(f"{name}/")}
    itemsize = np.dtype(dtype).itemsize
    if len(own) != expected or any(size != math.prod(chunks) * itemsize + 4 for size in own.values()):
        found = f"{len(own)} files of samples"
        raise ReadError(place, found=found, expected=f"{expected}, each with {math.prod(chunks)} numbers")
    try:
        array = zarr.open_array(place, mode="r", zarr_format=3)
        return np.asarray(array[...])
    except MemoryError as error:
        raise ReadError(place, found=f"an array of the shape {shape}", expected="one that fits in memory") from error
    except Exception as error:  # whatever zarr makes of garbled bytes
        advice = "The file is damaged: copy the folder again."
        raise ReadError(place, found=f"{type(error).__name__}: {error}", expected="samples", advice=advice) from error


def _chunks(place: Path, document: Mapping[str, Any], shape: Sequence[int]) -> list[int]:
    grid = document.get("chunk_grid")
    configuration = grid.get("configuration") if isinstance(grid, dict) else None
    chunks = configuration.get("chunk_shape") if isinstance(configuration, dict) else None
    if not isinstance(chunks, list) or len(chunks) != len(shape) or not all(_is_size(c) and c > 0 for c in chunks):
        expected = "the sizes of a regular chunk"
        raise ReadError(place / "zarr.json", where="chunk_grid", found=shown(str(grid)), expected=expected)
    return chunks


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40


def _read(folder: Path, root: Path, subject: str, session: str, trial: str) -> Recording:
    fields = _Fields(inside(folder, root) / "zarr.json", _attributes_of(folder))
    stated = (fields.text("subject"), fields.text("session"), fields.text("trial"))
    if stated != (subject, session, trial):
        expected = f"{(subject, session, trial)}, as the list of recordings says"
        raise ReadError(fields.file, where="subject, session, trial", found=shown(str(stated)), expected=expected)
    _check_sizes(folder, fields)
    traces = {}
    for number, name in enumerate(fields.texts("traces")):
        times = _array(folder, f"trace{number}_times", fields, "float64", 1)
        values = _array(folder, f"trace{number}_values", fields, "float32", 1)
        if len(times) != len(values):
            found = f"{len(times)} times and {len(values)} values"
            raise ReadError(fields.file, where=f"trace {shown(name)}", found=found, expected="as many of both")
        traces[name] = Trace(times, values)
    try:
        return Recording(
            subject=subject,
            session=session,
            trial=trial,
            order=fields.whole("order"),
            signals={
                modality: _signal(folder, modality, entry, fields)
                for modality, entry in fields.objects("signals").items()
            },
            ratings=dict(fields.rows("ratings", "text", "number")),
            events=tuple(Event(*row) for row in fields.rows("events", "text", "number", "number")),
            traces=traces,
            notes=tuple(LeftOut(*row) for row in fields.rows("notes", "text", "text")),
            clocks={modality: _clock(entry) for modality, entry in fields.objects("clocks").items()},
        )
    except DataError as error:
        raise ReadError(fields.file, found=str(error), expected="a recording as Limbeck writes it") from error


def _signal(folder: Path, modality: str, entry: _Fields, fields: _Fields) -> Signal:
    if modality not in MODALITIES:
        raise ReadError(fields.file, where="signals", found=shown(modality), expected="modalities of Limbeck")
    data = _array(folder, modality, fields, "float32", 2)
    return Signal(data, entry.number("rate"), tuple(entry.texts("channels")), entry.text("unit"), entry.number("start"))


def _clock(entry: _Fields) -> Clock:
    gaps = tuple((start, end) for start, end in entry.rows("gaps", "number", "number"))
    return Clock(entry.number("offset"), entry.number("drift"), entry.number("jitter"), gaps, entry.text("source"))


def _entries(home: Path) -> tuple[_Fields, list[dict[str, str]]]:
    """Return the store's attributes and its list of recordings."""
    fields = _Fields(home / "zarr.json", _attributes_of(home))
    if fields.whole("version") != _VERSION:
        found, expected = str(fields.whole("version")), f"{_VERSION}: this Limbeck reads no other"
        raise ReadError(fields.file, where="version", found=found, expected=expected)
    entries = []
    for number, entry in enumerate(fields.listed("recordings")):
        own = _Fields(fields.file, entry, f"recordings, {number}")
        named = {key: own.text(key) for key in ("group", "subject", "session", "trial")}
        if not re.fullmatch(r"r\d{1,9}", named["group"]):
            raise ReadError(
                fields.file, where=own.where, found=shown(named["group"]), expected="a group such as r00007"
            )
        entries.append(named)
    return fields, entries


def checks(root: Path, corpus: Corpus) -> Iterator[Check]:
    """Look whether every listed recording is there, whole by the sizes it was written with."""
    home = find_folder(root, _is_store)
    if home is None:
        yield Check("the folder holds recordings that Limbeck converted", False, f"no such zarr.json in {root}")
        return
    try:
        _, entries = _entries(home)
    except ReadError as error:
        yield Check("the list of recordings can be read", False, str(error))
        return
    listed = {entry["group"] for entry in entries}
    there = {child.name for child in visible(home) if child.is_dir() and re.fullmatch(r"r\d{1,9}", child.name)}
    odd = [f"{n} is listed and not there" for n in sorted(listed - there)]
    odd += [f"{n} is there and not listed" for n in sorted(there - listed)]
    yield Check("the recordings listed are those there", not odd, "; ".join(odd[:5]))
    broken = []
    for name in sorted(listed & there):
        try:
            fields = _Fields(home / name / "zarr.json", _attributes_of(inside(home / name, home)))
            _check_sizes(home / name, fields)
        except ReadError as error:
            broken.append(str(error))
    yield Check("every file of samples has the size that it was written with", not broken, "; ".join(broken[:3]))


@dataset(
    "zarr",
    info=DatasetInfo(
        title="Recordings of any corpus that Limbeck converted to Zarr",
        modalities=MODALITIES,
        subjects=0,
        licence="that of the corpus which was converted",
        citation="",
        url="",
        access="own",
        checked="round trips of the format-faithful files of every reader",
    ),
    checks=checks,
)
def zarr_store(root: Path | None, *, subjects: Sequence[str] | None = None) -> Corpus:
    """Zarr: recordings as `limbeck datasets convert --to zarr` wrote them, equal to those of the corpus' own reader.

    Parameters
    ----------
    root : Path
        The folder that was written.
    subjects : sequence of str, optional
        Only these.

    Returns
    -------
    Corpus
        Its `left_out` has what the conversion had to leave out.

    Raises
    ------
    DataError
        No root is given, it does not exist, or a subject asked for is not there.
    ReadError
        `root` is not such a folder, or its list of recordings is damaged.
    """
    if root is None:
        raise DataError("The data set 'zarr' needs a root: the folder that was converted.")
    root = locate("zarr", root)
    home = find_folder(root, _is_store)
    if home is None:
        expected = "a folder that `limbeck datasets convert --to zarr` wrote"
        raise ReadError(root, found="no zarr.json of converted recordings", expected=expected)
    fields, entries = _entries(home)
    kept = set(chosen(dict.fromkeys(entry["subject"] for entry in entries), subjects, str))
    left_out = [LeftOut(*row) for row in fields.rows("left_out", "text", "text")]
    sources = []
    for entry in entries:
        if entry["subject"] not in kept:
            continue
        folder = home / entry["group"]
        if not is_inside(folder, root):
            why = "a link that leads out of the data set's folder is not followed; copy what it leads to"
            left_out.append(LeftOut(str(folder), why))
            continue
        identity = (entry["subject"], entry["session"], entry["trial"])
        sources.append(
            Source(
                *(entry["subject"], partial(_read, folder, root, *identity), entry["session"], entry["trial"]),
                files=_files(folder),
                modules=_MODULES,
            )
        )
    return Corpus("zarr", tuple(sources), left_out)


def _files(folder: Path) -> tuple[Path, ...]:
    """Return every file of a recording's group."""
    files = [folder / "zarr.json"]
    if folder.is_dir():
        for child in visible(folder):
            files += sorted(file for file in child.rglob("*") if file.is_file()) if child.is_dir() else []
    return tuple(files)
