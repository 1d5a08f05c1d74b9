"""Arrays that are in memory already: the way in for recordings that no reader knows.

::

    import limbeck

    corpus = limbeck.from_arrays(
        signals={"eeg": eeg, "eda": eda},  # (trial, channel, time) each
        rates={"eeg": 128, "eda": 4},
        subjects=["p01", "p01", "p02", "p02"],
        labels=["calm", "pain", "pain", "calm"],
        channels={"eeg": ["Fz", "Cz", "Pz"]},
    )
    windows = limbeck.windows.cut(corpus, signals={"eeg": [], "eda": []}, target=target, length=4, hop=4)
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from limbeck.datasets.edf import doubtful, to_unit
from limbeck.errors import DataError, did_you_mean
from limbeck.recording import MODALITIES, UNITS, Corpus, Event, LeftOut, Recording, Signal, Source, which_modality

__all__ = ["ArraySource", "from_arrays"]

_MODULES = ("limbeck.datasets.arrays", "limbeck.datasets.edf")

Trials = Sequence[np.ndarray | None]
"""What each trial holds of a modality, shape (n_channels, n_times) each; None where it has nothing."""


@dataclass(frozen=True)
class _Layout:
    """What is the same in all trials of a modality: Hz, channels, and the unit that the user's numbers have."""

    rate: float
    channels: tuple[str, ...]
    unit: str


@dataclass(frozen=True)
class _Trial:
    """One trial as it was given; the arrays are views of the user's."""

    subject: str
    session: str
    name: str
    order: int
    arrays: Mapping[str, np.ndarray]
    layouts: Mapping[str, _Layout]
    classes: tuple[str, ...]
    ratings: Mapping[str, float]


@dataclass(frozen=True, repr=False)
class ArraySource(Source):
    """A source whose content is arrays in memory; it pickles with the samples of its own trial and no others.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        The samples by modality, as they were given.
    """

    arrays: Mapping[str, np.ndarray] | None = None

    def fingerprint(self) -> str:
        """Return a SHA-256 over identity, options and the samples as they are now."""
        digest = hashlib.sha256(super().fingerprint().encode())
        for modality, samples in sorted((self.arrays or {}).items()):
            digest.update(f"{modality} {samples.dtype.str} {samples.shape}".encode())
            for row in samples:  # a row at a time: the copy of a strided or memory-mapped row is all the memory needed
                digest.update(np.ascontiguousarray(row).data.cast("B"))
        return digest.hexdigest()


def from_arrays(
    signals: Mapping[str, Any],
    rates: Mapping[str, float],
    subjects: Sequence[Any],
    labels: Sequence[Any] | Mapping[str, Sequence[Any]] | None = None,
    *,
    channels: Mapping[str, Sequence[str]] | None = None,
    units: Mapping[str, str] | None = None,
    sessions: Sequence[Any] | None = None,
    trials: Sequence[Any] | None = None,
    orders: Sequence[int] | None = None,
    name: str = "arrays",
) -> Corpus:
    """Make a corpus of arrays.

    Nothing is copied here: recordings are views of the arrays where these hold float32 in Limbeck's own unit, else one
    trial is converted when it is read. Memory-mapped arrays (``numpy.load(file, mmap_mode="r")``) are read when needed.

    Parameters
    ----------
    signals : mapping of str to array-like
        By modality (:data:`limbeck.recording.MODALITIES`): an array of shape (n_trials, n_channels, n_times), or one
        array of shape (n_channels, n_times) per trial, of lengths that may differ; None for a trial without the
        modality. Missing samples are NaN.
    rates : mapping of str to float
        Hz, by modality.
    subjects : sequence of n_trials str or int
        Whose trial it is.
    labels : sequence of n_trials, or mapping of str to such sequences, optional
        A sequence holds a class per trial, by name or whole number; it becomes an event of that name over the whole
        trial (``1`` becomes ``"1"``). In a mapping, columns of numbers become ratings and columns of words become such
        events. None, NaN and ``""`` say that a trial has no label. Left out, the trials are unlabelled.
    channels : mapping of str to sequence of str, optional
        Names of the rows; by default ``x``, ``y``, ``z`` for three of `acc`, else the modality's name, numbered where
        there are several. Steps that look for electrodes need their names.
    units : mapping of str to str, optional
        Unit of the numbers, such as ``{"eeg": "V", "eda": "kOhm"}``; by default that of
        :data:`limbeck.recording.UNITS`, into which all others are converted.
    sessions : sequence of n_trials str or int, optional
        The sessions of a subject come in the order in which they first appear.
    trials : sequence of n_trials str or int, optional
        Names, by default the place in the arrays from 0.
    orders : sequence of n_trials int, optional
        When each trial was recorded, as a number that grows within subject and session; by default as given.
    name : str
        What the corpus is called in messages and reports.

    Returns
    -------
    Corpus
        By subject in the order in which they first appear, then by session and order.

    Raises
    ------
    DataError
        With every mistake found, not only the first.

    Notes
    -----
    Sources are known by the samples themselves, so that a cache of windows finds them again in another process, and
    notices when a sample has changed.

    Examples
    --------
    >>> import numpy as np
    >>> eda = np.full((4, 1, 40), 2000.0)
    >>> corpus = from_arrays({"eda": eda}, {"eda": 4}, ["a", "a", "b", "b"], ["rest", "pain"] * 2, units={"eda": "nS"})
    >>> recording = next(iter(corpus))
    >>> recording.events, float(recording.signals["eda"].data[0, 0])
    ((Event(name='rest', start=0.0, end=10.0),), 2.0)
    """
    mistakes: list[str] = []
    orders = None if orders is None else list(orders)
    columns = _columns(subjects, sessions, trials, orders, mistakes)
    n_trials = len(columns["subjects"])
    given = _signals(signals, n_trials, set(channels) if isinstance(channels, Mapping) else (), mistakes)
    layouts = _layouts(given, signals, rates, channels or {}, units or {}, mistakes)
    classes, ratings = _labels(labels, n_trials, mistakes)
    if not mistakes:
        mistakes += _empty_trials(given, n_trials)
    if mistakes:
        listed = "\n".join(f"  - {mistake}" for mistake in mistakes)
        raise DataError(f"from_arrays: {len(mistakes)} mistake{'s' if len(mistakes) != 1 else ''}\n{listed}")
    sources = [
        _source(
            _Trial(
                columns["subjects"][i],
                columns["sessions"][i],
                columns["trials"][i],
                place,
                {modality: samples for modality, arrays in given.items() if (samples := arrays[i]) is not None},
                layouts,
                classes[i],
                {rating: values[i] for rating, values in ratings.items()},
            )
        )
        for i, place in _in_order(columns["subjects"], columns["sessions"], orders)
    ]
    return Corpus(name, tuple(sources))


# ---- what every trial is called ----------------------------------------------------------------------------------


def _columns(
    subjects: Sequence[Any],
    sessions: Sequence[Any] | None,
    trials: Sequence[Any] | None,
    orders: Sequence[int] | None,
    mistakes: list[str],
) -> dict[str, list[str]]:
    """Return the names of subjects, sessions and trials, one per trial."""
    names = {"subjects": _names("subjects", subjects, mistakes)}
    n_trials = len(names["subjects"])
    if n_trials == 0:
        mistakes.append("subjects: found none; give one per trial")
    names["sessions"] = [""] * n_trials if sessions is None else _names("sessions", sessions, mistakes)
    names["trials"] = [str(i) for i in range(n_trials)] if trials is None else _names("trials", trials, mistakes)
    lengths = {key: len(found) for key, found in names.items()}
    if orders is not None:
        lengths["orders"] = len(orders)
        wrong = [value for value in orders if not _is_whole(value)]
        if wrong:
            mistakes.append(f"orders: found {wrong[0]!r}; give whole numbers")
    for key, length in lengths.items():
        if length != n_trials:
            mistakes.append(f"{key}: found {length}, but there are {n_trials} subjects; give one per trial")
    if set(lengths.values()) == {n_trials}:
        keys = list(zip(names["subjects"], names["sessions"], names["trials"], strict=True))
        mistakes += _twice(keys, "trials: the name {2!r} stands twice for subject {0!r}, session {1!r}")
        if orders is not None:
            ranks = list(zip(names["subjects"], names["sessions"], orders, strict=True))
            mistakes += _twice(ranks, "orders: {2} stands twice for subject {0!r}, session {1!r}")
    return names


def _twice(keys: Sequence[tuple[Any, ...]], sentence: str) -> Iterator[str]:
    """Yield a sentence for the first key that stands twice, with how many more do."""
    repeated = [key for key, count in _counts(keys).items() if count > 1]
    if repeated:
        more = f" (and {len(repeated) - 1} more)" if len(repeated) > 1 else ""
        yield sentence.format(*repeated[0]) + more


def _counts(keys: Sequence[tuple[Any, ...]]) -> dict[tuple[Any, ...], int]:
    counts: dict[tuple[Any, ...], int] = {}
    for key in keys:
        counts[key] = counts.get(key, 0) + 1
    return counts


def _names(what: str, values: Sequence[Any], mistakes: list[str]) -> list[str]:
    """Return words, whole numbers written as such; None where one is neither."""
    if isinstance(values, str) or not hasattr(values, "__len__"):
        mistakes.append(f"{what}: found {values!r}; give a sequence with one per trial")
        return []
    names = [_word(value) for value in values]
    wrong = [(i, value) for i, (name, value) in enumerate(zip(names, values, strict=True)) if not name]
    if wrong:
        place, value = wrong[0]
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        mistakes.append(f"{what}[{place}]: found {value!r}{more}; give a word or a whole number")
    return [name or "" for name in names]


def _word(value: Any) -> str | None:
    """Return a word or a whole number (also one held as float) as text, else None."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, int | float | np.integer | np.floating) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _in_order(
    subjects: Sequence[str], sessions: Sequence[str], orders: Sequence[int] | None
) -> Iterator[tuple[int, int]]:
    """Yield places in the arrays by subject, session and order, with the place in the order of recording."""
    groups: dict[str, dict[str, list[int]]] = {}
    for i, (subject, session) in enumerate(zip(subjects, sessions, strict=True)):
        groups.setdefault(subject, {}).setdefault(session, []).append(i)
    for of_subject in groups.values():
        for members in of_subject.values():
            if orders is not None:
                members.sort(key=lambda i: orders[i])
            for place, i in enumerate(members):
                yield i, place


# ---- signals -----------------------------------------------------------------------------------------------------


def _signals(
    signals: Mapping[str, Any], n_trials: int, named: Collection[str], mistakes: list[str]
) -> dict[str, Trials]:
    """Return an array or None per trial by modality, without what cannot be used.

    Whose channels are `named` may have more of them than samples: counting the names shows which axis is which.
    """
    if not isinstance(signals, Mapping) or not signals:
        mistakes.append("signals: found no mapping of modality to arrays, such as {'eda': array}")
        return {}
    usable: dict[str, Trials] = {}
    for modality, value in signals.items():
        if modality not in MODALITIES:
            mistakes.append(f"signals: there is no modality {modality!r}.{which_modality(str(modality))}")
            continue
        found = len(mistakes)
        arrays = _trials_of(modality, value, mistakes)
        if arrays is None:
            continue
        if len(arrays) != n_trials:
            mistakes.append(
                f"signals[{modality!r}]: found {len(arrays)} trials, but there are {n_trials} subjects; "
                "give one array per trial, None for a trial without it"
            )
        for i, samples in enumerate(arrays):
            wrong = None if samples is None else _wrong_trial(samples, modality in named)
            if wrong:
                mistakes.append(f"signals[{modality!r}][{i}]: {wrong}")
                break  # the others are most likely alike
        if len(mistakes) == found:
            mistakes += _wrong_together(modality, arrays)
        if len(mistakes) == found:
            usable[modality] = arrays
    return usable


def _trials_of(modality: str, value: Any, mistakes: list[str]) -> Trials | None:
    """Return the arrays of the trials as views; None where the value has no trials."""
    if isinstance(value, str | bytes | Mapping):
        mistakes.append(f"signals[{modality!r}]: found {type(value).__name__}; expected arrays")
        return None
    if isinstance(value, list | tuple):
        return [None if samples is None else _as_array(samples) for samples in value]
    stacked = _as_array(value)
    if stacked.dtype == object and stacked.ndim == 1:
        return [None if samples is None else _as_array(samples) for samples in stacked]
    if stacked.ndim != 3:
        hint = " One channel per trial? Write array[:, None, :]." if stacked.ndim == 2 else ""
        mistakes.append(
            f"signals[{modality!r}]: found shape {stacked.shape}; expected (n_trials, n_channels, n_times).{hint}"
        )
        return None
    return list(stacked)


def _as_array(value: Any) -> np.ndarray:
    """Return an array without copying one; a mask stays on it, to be refused."""
    return value if isinstance(value, np.ma.MaskedArray) else np.asarray(value)


def _wrong_trial(samples: np.ndarray, named: bool) -> str:
    """Return what is wrong with the samples of one trial, ``""`` if nothing is."""
    if isinstance(samples, np.ma.MaskedArray):
        return "found a masked array; write array.astype(float).filled(numpy.nan)"
    if samples.ndim != 2:
        hint = " One channel? Write array[None, :]." if samples.ndim == 1 else ""
        return f"found shape {samples.shape}; expected (n_channels, n_times).{hint}"
    if samples.dtype.kind not in "fiub":
        return f"found numbers of type {samples.dtype}; expected real ones"
    if 0 in samples.shape:
        return f"found shape {samples.shape}, which holds no samples; write None for a trial without the modality"
    if samples.shape[0] > samples.shape[1] and not named:
        return (
            f"found shape {samples.shape}: more channels than samples. "
            "Expected (n_channels, n_times); is it the wrong way round? If not, name the channels."
        )
    return ""


def _wrong_together(modality: str, arrays: Trials) -> Iterator[str]:
    """Yield what is wrong with the trials of a modality as a whole."""
    counts = sorted({len(samples) for samples in arrays if samples is not None})
    if not counts:
        yield f"signals[{modality!r}]: no trial has any samples; leave it out"
    if len(counts) > 1:
        yield f"signals[{modality!r}]: found trials of {' and '.join(map(str, counts))} channels; expected one number"


def _empty_trials(given: Mapping[str, Trials], n_trials: int) -> Iterator[str]:
    """Yield a mistake if there are trials without any modality."""
    empty = [i for i in range(n_trials) if all(arrays[i] is None for arrays in given.values())]
    if empty:
        places = ", ".join(map(str, empty[:5])) + (" and more" if len(empty) > 5 else "")
        yield f"signals: nothing is given for trial {places}; leave such trials out everywhere"


def _layouts(
    given: Mapping[str, Trials],
    signals: Mapping[str, Any],
    rates: Mapping[str, float],
    channels: Mapping[str, Sequence[str]],
    units: Mapping[str, str],
    mistakes: list[str],
) -> dict[str, _Layout]:
    """Return rate, channels and unit by modality, after checking them also for modalities with other mistakes."""
    rates = _by_modality("rates", rates, mistakes)
    channels = _by_modality("channels", channels, mistakes)
    units = _by_modality("units", units, mistakes)
    known = [modality for modality in signals if modality in MODALITIES] if isinstance(signals, Mapping) else []
    for what, mapping in (("rates", rates), ("channels", channels), ("units", units)):
        unused = [key for key in mapping if key not in known]
        mistakes += [f"{what}: there are no signals {key!r}.{did_you_mean(str(key), known)}" for key in unused]
    layouts = {}
    for modality in known:
        rate = _rate(rates.get(modality))
        if rate is None:
            shown = repr(rates[modality]) if modality in rates else "nothing"
            mistakes.append(f"rates[{modality!r}]: found {shown}; expected a number of Hz above 0")
        unit = units.get(modality, "")
        if not isinstance(unit, str) or to_unit(np.ones(1), modality, unit) is None:
            mistakes.append(
                f"units[{modality!r}]: found {unit!r}, which cannot be converted into {UNITS[modality]}; "
                "convert the numbers and leave the unit out"
            )
        count = next((len(samples) for samples in given.get(modality, ()) if samples is not None), None)
        names = _channel_names(modality, count, channels.get(modality), mistakes)
        layouts[modality] = _Layout(rate or math.nan, names, str(unit))
    return layouts


def _by_modality(what: str, mapping: Any, mistakes: list[str]) -> Mapping[str, Any]:
    if isinstance(mapping, Mapping):
        return mapping
    mistakes.append(f"{what}: found {mapping!r}; expected a mapping by modality, such as {{'eda': ...}}")
    return {}


def _rate(value: Any) -> float | None:
    """Return a sampling rate as float, None where it is none."""
    number = _number(value)
    return number if number is not None and number > 0 else None


def _channel_names(modality: str, count: int | None, names: Any, mistakes: list[str]) -> tuple[str, ...]:
    """Return a name per row; `count` is None where the samples cannot be used, so that only the names are checked."""
    place = f"channels[{modality!r}]"
    if names is None:
        if modality == "acc" and count == 3:
            return ("x", "y", "z")
        return (modality,) if count == 1 else tuple(f"{modality}{i + 1}" for i in range(count or 0))
    listed = [names] if isinstance(names, str) else list(names)
    if not all(isinstance(entry, str) and entry.strip() for entry in listed):
        mistakes.append(f"{place}: found {listed!r}; expected words")
        return ()
    named = tuple(str(entry).strip() for entry in listed)
    twice = sorted({entry for entry in named if named.count(entry) > 1})
    if twice:
        mistakes.append(f"{place}: found {', '.join(twice)} twice; expected names that differ")
    if count is not None and count != len(named):
        mistakes.append(f"{place}: found {len(named)} names for {count} channels; give one per row of the arrays")
    return named


# ---- labels ------------------------------------------------------------------------------------------------------


def _labels(
    labels: Sequence[Any] | Mapping[str, Sequence[Any]] | None, n_trials: int, mistakes: list[str]
) -> tuple[list[tuple[str, ...]], dict[str, list[float]]]:
    """Return the classes of each trial, and the values of each rating."""
    classes: list[list[str]] = [[] for _ in range(n_trials)]
    ratings: dict[str, list[float]] = {}
    seen: dict[str, str] = {}
    columns = labels if isinstance(labels, Mapping) else {} if labels is None else {"": labels}
    for column, given in columns.items():
        place = f"labels[{column!r}]" if isinstance(labels, Mapping) else "labels"
        if isinstance(given, str) or not hasattr(given, "__len__"):
            mistakes.append(f"{place}: found {given!r}; expected a sequence with one per trial")
            continue
        values = list(given)
        if len(values) != n_trials:
            mistakes.append(f"{place}: found {len(values)}, but there are {n_trials} subjects; give one per trial")
            continue
        if isinstance(labels, Mapping) and not (isinstance(column, str) and column):
            mistakes.append(f"{place}: the name of a rating must be a word")
        numbers = [math.nan if _missing(value) else _number(value) for value in values]
        if isinstance(labels, Mapping) and None not in numbers:
            ratings[column] = [value for value in numbers if value is not None]
            continue
        words = [None if _missing(value) else _word(value) for value in values]
        wrong = [i for i, value in enumerate(values) if words[i] is None and not _missing(value)]
        if wrong:
            mistakes.append(
                f"{place}[{wrong[0]}]: found {values[wrong[0]]!r}; expected a class by name or whole number. "
                "Ratings go into a mapping, such as labels={'valence': [...]}"
            )
        for i, word in enumerate(words):
            if word is not None:
                classes[i].append(word)
        for word in sorted({word for word in words if word is not None}):
            if word in seen:
                mistakes.append(
                    f"{place}: the class {word!r} is also in labels[{seen[word]!r}]; give classes of different "
                    f"meaning different names, such as '{column} {word}'"
                )
            seen[word] = column
    return [tuple(found) for found in classes], ratings


def _missing(value: Any) -> bool:
    if value is None or (isinstance(value, str) and not value.strip()):
        return True
    if type(value).__name__ in ("NAType", "NaTType"):  # of pandas, which is not imported for this
        return True
    return isinstance(value, float | np.floating) and math.isnan(value)


def _number(value: Any) -> float | None:
    """Return a finite number as float, None where it is none; truth values are classes."""
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) else None
    return None


# ---- recordings --------------------------------------------------------------------------------------------------


def _source(trial: _Trial) -> ArraySource:
    layouts = {m: [layout.rate, list(layout.channels), layout.unit] for m, layout in trial.layouts.items()}
    return ArraySource(
        subject=trial.subject,
        session=trial.session,
        trial=trial.name,
        read=partial(_read_trial, trial),
        options={
            "order": trial.order,
            "layouts": {modality: layouts[modality] for modality in sorted(trial.arrays)},
            "classes": list(trial.classes),
            "ratings": dict(trial.ratings),
        },
        modules=_MODULES,
        arrays=trial.arrays,
    )


def _read_trial(trial: _Trial) -> Recording:
    """Return the recording of one trial."""
    notes: list[LeftOut] = []
    signals = {
        modality: _signal(trial, modality, samples, trial.layouts[modality], notes)
        for modality, samples in trial.arrays.items()
    }
    end = max(signal.end for signal in signals.values())
    return Recording(
        subject=trial.subject,
        session=trial.session,
        trial=trial.name,
        order=trial.order,
        signals=signals,
        ratings=dict(trial.ratings),
        events=tuple(Event(name, 0.0, end) for name in trial.classes),
        notes=tuple(notes),
    )


def _signal(trial: _Trial, modality: str, samples: np.ndarray, layout: _Layout, notes: list[LeftOut]) -> Signal:
    """Return the samples in Limbeck's unit, a view of the user's array where nothing has to change."""
    values = samples
    if layout.unit:
        # in float64, so that neither the factor nor the offset of a unit costs digits of the numbers given
        converted = to_unit(samples.astype(np.float64), modality, layout.unit)
        values = samples if converted is None else converted  # None was refused when the corpus was made
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is told below
        data = values.astype(np.float32, copy=False)
    what = " ".join(part for part in (trial.subject, trial.session, trial.name) if part)
    infinite = np.isinf(data)
    if infinite.any():
        data = np.where(infinite, np.float32(np.nan), data)
        why = f"found {int(infinite.sum())} of {data.size} samples infinite; expected finite ones; taken as missing"
        notes.append(LeftOut(f"{what}: {modality}", why))
    doubt = doubtful(data, modality, layout.unit) if layout.unit else ""
    if doubt:
        notes.append(LeftOut(f"{what}: {modality}: unit", doubt))
    if data is samples or np.shares_memory(data, samples):
        data = data.view()
        data.flags.writeable = False  # the user's own numbers: whoever works in place shall notice
    return Signal(data, layout.rate, layout.channels, UNITS[modality])
