"""Several data sets as one: the subjects of each under its name (``deap:s01``), each read by its own reader.

What different laboratories call differently is brought together as each recording is read: ``rename`` says what the
channels, events, ratings and traces of one data set are called in the whole. Channels and rates are made alike by the
steps of a study (``pick``, ``resample``), which see all recordings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from limbeck.datasets import DATASETS, DatasetInfo, dataset, info, load
from limbeck.datasets.files import chosen
from limbeck.errors import DataError, ReadError, did_you_mean
from limbeck.recording import MODALITIES, Corpus, LeftOut, Recording, Source, which_modality

__all__ = ["is_joined", "join", "joined", "source_of"]

_NAME = "joined"
_BETWEEN = ":"
_KEYS = ("corpus", "root", "name", "options", "rename")
_RENAMED = ("events", "ratings", "traces")
_MODULE = "limbeck.datasets.joined"

_Value = TypeVar("_Value")


def is_joined(corpus: Corpus) -> bool:
    """Whether a corpus is several data sets put together; subjects of others may have a colon in their names, too."""
    return corpus.name == _NAME


def source_of(subject: str) -> str:
    """Return the data source of a subject of a joined corpus: ``deap`` of ``deap:s01``, ``""`` without a colon.

    Parameters
    ----------
    subject : str
        As in the windows and predictions of a joined corpus.

    Returns
    -------
    str
    """
    source, between, _ = subject.partition(_BETWEEN)
    return source if between else ""


@dataset(
    _NAME,
    info=DatasetInfo(
        title="Several data sets as one corpus",
        modalities=MODALITIES,
        subjects=0,
        licence="",
        citation="",
        url="",
        access="own",
        checked="against its parts, read apart",
        obtain="Name the data sets in the option `of`.",
    ),
)
def joined(
    root: Path | None = None,
    *,
    of: list[dict[str, Any]] | None = None,
    subjects: list[str] | None = None,
) -> Corpus:
    """Read several data sets as one corpus, to train on all of them.

    Every subject is called by its data set and its own name, ``deap:s01``. A study needs windows that are alike:
    ``{pick: [Fp1, Fp2]}`` keeps the electrodes that all have, ``{resample: 128}`` brings them to one rate. Recordings
    that lack a modality or an event are treated as in any corpus.

    Parameters
    ----------
    root : Path, optional
        The folder in which relative roots of the parts start.
    of : list of mappings
        The parts: ``corpus`` (the data set's name), ``root`` (its folder; by default where it is fetched to),
        ``options`` (of its reader), ``name`` (what stands before its subjects' names; by default the data set's, and
        needed where one is there twice) and ``rename``: what is called otherwise in the whole, ``{channels: {eda:
        {GSR: EDA}}, events: {baseline: rest}, ratings: {...}, traces: {...}}``, each the old name to the new one.
    subjects : list of str, optional
        Only these, as ``deap:s01``.

    Returns
    -------
    Corpus
        In the order of the parts. What a part left out is listed under its name.

    Raises
    ------
    DataError
        With every mistake in `of`, and every part that cannot be listed.
    ReadError
        One part alone cannot be listed, since its files are not what they should be.
    """
    parts = list(of) if isinstance(of, list | tuple) else []
    mistakes = list(_mistakes(of))
    if mistakes:
        raise DataError(f"The data set '{_NAME}': " + " ".join(mistakes))
    corpora: dict[str, Corpus] = {}
    failures: dict[str, DataError | ReadError] = {}
    for part in parts:
        name = _name_of(part)
        try:
            corpora[name] = _loaded(part, root)
        except (DataError, ReadError) as error:
            failures[name] = error
    if len(failures) == 1:
        raise next(iter(failures.values()))
    if failures:
        raise DataError("\n".join(f"{name}: {error}" for name, error in failures.items()))
    whole = join(corpora)
    wanted = set(chosen(whole.subjects, subjects, str))
    whole.sources = tuple(source for source in whole.sources if source.subject in wanted)
    return whole


def join(corpora: Mapping[str, Corpus]) -> Corpus:
    """Put corpora together, those in memory too.

    Parameters
    ----------
    corpora : mapping of str to Corpus
        What stands before the subjects' names, to the corpus.

    Returns
    -------
    Corpus
        Named ``joined``; its subjects are called ``<name>:<subject>``. `truth` holds that of each corpus, by name.

    Raises
    ------
    DataError
        Fewer than two corpora, or a name with a colon in it.
    """
    if len(corpora) < 2:
        raise DataError(f"Give two corpora at least to be joined; found {', '.join(corpora) or 'none'}.")
    wrong = [name for name in corpora if not name or _BETWEEN in name]
    if wrong:
        raise DataError(f"A name before those of subjects must be a word without '{_BETWEEN}'; found {wrong}.")
    sources = tuple(_under(name, source) for name, corpus in corpora.items() for source in corpus.sources)
    left_out = [_told_under(name, entry) for name, corpus in corpora.items() for entry in corpus.left_out]
    return Corpus(_NAME, sources, left_out, {name: dict(corpus.truth) for name, corpus in corpora.items()})


# ---------------------------------------------------------------------------------------------------------------------
# What is asked
# ---------------------------------------------------------------------------------------------------------------------


def _name_of(part: Mapping[str, Any]) -> str:
    return str(part.get("name") or part.get("corpus"))


def _mistakes(of: Any) -> Iterator[str]:
    """Yield what is wrong with the list of parts."""
    form = "such as [{corpus: deap, root: deap}, {corpus: dreamer, root: dreamer}]"
    if not isinstance(of, list | tuple) or not all(isinstance(part, Mapping) for part in of):
        yield f"of must list the data sets, {form}; found {of!r}."
        return
    if len(of) < 2:
        yield f"of must list two data sets at least, {form}; found {len(of)}."
    for number, part in enumerate(of):
        yield from (f"of[{number}].{mistake}" for mistake in _part_mistakes(part))
    names = [_name_of(part) for part in of if part.get("corpus")]
    yield from (
        f"of: {names.count(name)} parts are called '{name}'; give each a name of its own (name: ...)."
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    )


def _part_mistakes(part: Mapping[str, Any]) -> Iterator[str]:
    for key in part:
        if key not in _KEYS:
            yield f"{key}: there is no such key.{did_you_mean(str(key), _KEYS)}"
    name, corpus = part.get("name"), part.get("corpus")
    if name is not None and (not isinstance(name, str) or not name or _BETWEEN in name):
        yield f"name: it must be a word without '{_BETWEEN}'; found {name!r}."
    options = part.get("options") or {}
    if not isinstance(options, Mapping):
        yield f"options: they must map the reader's options to values; found {options!r}."
        options = {}
    if not isinstance(corpus, str):
        yield f"corpus: it must be the name of a data set; found {corpus!r}."
    elif corpus == _NAME:
        yield "corpus: what is joined cannot be joined again; list all data sets in one."
    elif corpus not in DATASETS:
        yield f"corpus: there is no data set '{corpus}'.{did_you_mean(corpus, DATASETS)}"
    else:
        yield from (f"options: {mistake}" for mistake in DATASETS.mistakes(corpus, options))
        if "root" in options:
            yield "options.root: the root is no option of a reader; write it as root."
        if part.get("root") is not None and info(corpus).access == "simulated":
            yield f"root: the data set '{corpus}' is made and has no folder; remove it."
    if part.get("root") is not None and not isinstance(part["root"], str | Path):
        yield f"root: it must be a folder; found {part['root']!r}."
    yield from _rename_mistakes(part.get("rename"))


def _rename_mistakes(rename: Any) -> Iterator[str]:
    if rename is None:
        return
    if not isinstance(rename, Mapping):
        yield f"rename: it must map {', '.join(('channels', *_RENAMED))} to old and new names; found {rename!r}."
        return
    for kind, names in rename.items():
        if kind not in ("channels", *_RENAMED):
            yield f"rename.{kind}: there is no such kind.{did_you_mean(str(kind), ('channels', *_RENAMED))}"
        elif kind == "channels" and isinstance(names, Mapping):
            for modality, own in names.items():
                if modality not in MODALITIES:
                    yield f"rename.channels.{modality}: there is no such modality.{which_modality(str(modality))}"
                yield from _pair_mistakes(f"rename.channels.{modality}", own)
        else:
            yield from _pair_mistakes(f"rename.{kind}", names)


def _pair_mistakes(where: str, names: Any) -> Iterator[str]:
    if not isinstance(names, Mapping) or not all(isinstance(name, str) for pair in names.items() for name in pair):
        yield f"{where}: it must map old names to new ones; found {names!r}."


# ---------------------------------------------------------------------------------------------------------------------
# What is read
# ---------------------------------------------------------------------------------------------------------------------


def _loaded(part: Mapping[str, Any], root: Path | None) -> Corpus:
    """List one part, its recordings under the names that they have in the whole."""
    place = part.get("root")
    if place is not None:
        place = Path(place).expanduser()
        place = root / place if root is not None else place
    corpus = load(part["corpus"], place, **(part.get("options") or {}))
    rename = {kind: names for kind, names in (part.get("rename") or {}).items() if names}
    if not rename:
        return corpus
    sources = tuple(
        dataclasses.replace(
            source,
            read=partial(_read_renamed, source, rename),
            options={**source.options, "rename": rename},
            modules=(*source.modules, _MODULE),
        )
        for source in corpus.sources
    )
    return dataclasses.replace(corpus, sources=sources)


def _read_renamed(source: Source, rename: Mapping[str, Mapping[str, Any]]) -> Recording:
    """Read a recording and call its parts what they are called in the whole."""
    recording = source.read()
    called = {kind: rename.get(kind, {}) for kind in (*_RENAMED, "channels")}
    signals = dict(recording.signals)
    for modality, names in called["channels"].items():
        if modality in signals:
            channels = tuple(names.get(channel, channel) for channel in signals[modality].channels)
            _refuse_twice(source, f"channels of {modality}", channels)
            signals[modality] = dataclasses.replace(signals[modality], channels=channels)
    return dataclasses.replace(
        recording,
        signals=signals,
        events=tuple(
            dataclasses.replace(event, name=called["events"].get(event.name, event.name)) for event in recording.events
        ),
        ratings=_under_new_names(source, "ratings", recording.ratings, called["ratings"]),
        traces=_under_new_names(source, "traces", recording.traces, called["traces"]),
    )


def _under_new_names(
    source: Source, kind: str, values: Mapping[str, _Value], names: Mapping[str, str]
) -> dict[str, _Value]:
    _refuse_twice(source, kind, [names.get(name, name) for name in values])
    return {names.get(name, name): value for name, value in values.items()}


def _refuse_twice(source: Source, kind: str, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ReadError(
            source.files[0] if source.files else source.subject,
            found=f"two {kind} that would both be called {', '.join(twice)}",
            expected="a name for each",
            advice="Choose other names in rename.",
        )


def _under(name: str, source: Source) -> Source:
    """Return the source with its subject under the name of its data set."""
    subject = f"{name}{_BETWEEN}{source.subject}"
    return dataclasses.replace(
        source,
        subject=subject,
        read=partial(_read_under, name, source, subject),
        modules=tuple(dict.fromkeys((*source.modules, _MODULE))),
    )


def _read_under(name: str, source: Source, subject: str) -> Recording:
    recording = source.read()
    notes = tuple(_told_under(name, note) for note in recording.notes)
    return dataclasses.replace(recording, subject=subject, notes=notes)


def _told_under(name: str, entry: LeftOut) -> LeftOut:
    """Put the data set's name before what is left out, unless it is a file, whose folder tells."""
    if "/" in entry.what or "\\" in entry.what:
        return entry
    return dataclasses.replace(entry, what=f"{name}{_BETWEEN}{entry.what}")
