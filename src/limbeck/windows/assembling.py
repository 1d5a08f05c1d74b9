"""The windows of a corpus: its recordings cut, and put together into one array set."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.datasets.joined import is_joined, source_of
from limbeck.errors import DataError, StudyError, did_you_mean
from limbeck.recording import Corpus, LeftOut
from limbeck.signals import QUALITY, electrode_name
from limbeck.targets import Preset, Target, missing_events
from limbeck.windows.caching import Piece, each_subject, sweep, windows_of
from limbeck.windows.cutting import name_of, truth_name
from limbeck.windows.plan import SLACK, Calibration, Plan, make_plan

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["NoWindowsError", "cut"]

Progress = Callable[[int, int], None]

_SHOWN = 5
"""Channels that a message names."""

_Layouts = dict[str, tuple[tuple[int, ...], dict[str, Any]]]
"""Shape of a window and attributes, by modality."""


class NoWindowsError(DataError):
    """No recording gave a window; `left_out` says of each why."""

    def __init__(self, message: str, left_out: Sequence[LeftOut] = ()) -> None:
        super().__init__(message)
        self.left_out = tuple(left_out)


def cut(
    corpus: Corpus,
    *,
    signals: Mapping[str, Any] | str,
    target: Target | Preset | Mapping[str, Any] | str | None,
    extra_targets: Mapping[str, Target | Preset | Mapping[str, Any] | str] | None = None,
    length: float,
    hop: float,
    calibration: Calibration | None = None,
    quality: bool = True,
    cache: Path | None = None,
    progress: Progress | None = None,
    jobs: int = 1,
) -> xr.Dataset:
    """Cut the recordings of a corpus into windows.

    Windows start anew in each labelled segment, so that none crosses a transition; what is left at a segment's end is
    not used. Segments are first shortened to the time that all wanted modalities of the recording cover. Windows with
    missing samples are dropped. What was dropped or could not be read is listed in the attribute ``left_out``.

    Parameters
    ----------
    corpus : Corpus
        Its sources list the recordings of a subject in the order of recording where `calibration` is used.
    signals : mapping of str to list, or str
        The wanted modalities with their steps, as of :func:`limbeck.signals.parse_signals`; ``[]`` keeps the samples as
        they are. The name of a feature set takes those of its modalities that any recording has.
    target : Target, Preset, mapping, str or None
        What is predicted: a :class:`limbeck.targets.Target`, or what :meth:`limbeck.targets.Target.parse` makes one of:
        the name of a known target (``"deap_valence"``), its entry in :data:`limbeck.targets.TARGETS`, or a mapping as
        in a study (``{"name": "stress", "events": {...}}``). None cuts whole recordings and leaves out
        the target: for recordings that nobody has labelled.
    extra_targets : mapping of str to Target, Preset, mapping or str, optional
        Further targets of the same windows, each as `target`; the name makes its variable, ``target_<name>``. The
        windows of `target` are what they are without them. A window has a value of a further target where one segment
        of that target holds it whole. Where only further targets say something, windows are added, which have no value
        of `target`; they restart wherever one of these begins or ends.
    length, hop : float
        Seconds. A window holds ``round(length * rate)`` samples, the first of which is the first at or after its start.
    calibration : Calibration, optional
        Cut apart before windowing; its windows carry ``calibration = True``.
    quality : bool
        Whether to judge the signals as they were recorded, before any step, in the time of each window, as of
        :func:`limbeck.signals.window_quality`.
    cache : Path, optional
        Folder in which each recording's windows are kept, under ``windows/``; entries are keyed by the content of the
        files, the parameters, and the code that did the work.
    progress : callable, optional
        Called with the number of recordings done and their total.
    jobs : int
        Worker processes, over subjects.

    Returns
    -------
    xarray.Dataset
        As the module describes, ordered by subject, session, order and start. Attributes: ``corpus``, ``length``,
        ``hop``, ``left_out`` (JSON list of ``{what, why}``), ``calibration_seconds`` (JSON, by subject), ``key`` (a
        hash of all that decides the content).

    Raises
    ------
    StudyError
        Mistakes in `signals`, `target`, lengths, or names of events that no recording has.
    DataError
        No windows at all, a class without windows, or a modality at different rates.
    """
    plan = make_plan(signals, target, length, hop, calibration, quality, extra_targets)
    if cache is not None:
        sweep(Path(cache) / "windows")
    store = Path(cache) / "windows" if cache is not None else None
    left_out = list(corpus.left_out)
    pieces: list[Piece] = []
    done = 0
    for sources, (found, lost) in each_subject(corpus, plan, store, jobs):
        pieces += found
        left_out += lost
        done += len(sources)
        if progress is not None:
            progress(done, len(corpus))
    return _assemble(corpus, plan, pieces, left_out, store)


def _assemble(
    corpus: Corpus, plan: Plan, pieces: list[Piece], left_out: list[LeftOut], store: Path | None
) -> xr.Dataset:
    """Put the pieces of all recordings into one array set."""
    if is_joined(corpus):
        _refuse_absent_sources(corpus, pieces, left_out)
    left_out = left_out + [LeftOut(*entry) for piece in pieces for entry in piece.facts["left_out"]]
    wanted = _wanted(plan, pieces)
    _refuse_unknown_names(plan, wanted, pieces, left_out)
    attributes = {
        "corpus": corpus.name,
        "length": plan.length,
        "hop": plan.hop,
        "calibration_seconds": json.dumps(_calibrated(plan, pieces, left_out)),
        "key": hashlib.sha256("".join(piece.key for piece in pieces).encode()).hexdigest(),
    }
    # what ratings decide, and what further targets are called, is in no recording's key
    decided: list[Any] = [plan.target.definition] if plan.target is not None and plan.target.is_rated else []
    if plan.extras:
        decided.append({name: target.definition for name, target in plan.extras.items()})
    if decided:
        parts = json.dumps([attributes["key"], *decided], sort_keys=True)
        attributes["key"] = hashlib.sha256(parts.encode()).hexdigest()
    classes = _classes_by_rating(plan, pieces, left_out)
    layouts, pieces = _common_layouts(wanted, pieces, left_out, joined=is_joined(corpus))
    if not pieces:
        raise NoWindowsError(f"No windows could be cut from {corpus.name}.{_first_reasons(left_out)}", left_out)
    attributes["left_out"] = json.dumps([{"what": entry.what, "why": entry.why} for entry in dict.fromkeys(left_out)])
    pieces = _in_order(corpus, pieces)
    sensors = _common_sensors(layouts, pieces)
    samples, qualities, columns, conditions = _gathered(pieces, layouts, sensors, plan, store)
    variables: dict[str, Any] = _modality_variables(pieces, layouts, samples)
    variables |= _quality_variables(sensors, qualities)
    for name, target in plan.targets.items():
        truth = columns[truth_name(plan.place(name))]
        if name in classes:
            counts = [piece.facts["windows"] for piece in pieces]
            codes = np.repeat([classes[name][id(piece)] for piece in pieces], counts)
            truth = np.where(np.isfinite(truth), codes, np.nan)
        variables[f"target_{name}" if name else "target"] = _target_variable(name, target, truth, left_out)
    return _dataset(pieces, variables, columns, conditions, attributes)


def _gathered(
    pieces: list[Piece], layouts: _Layouts, sensors: dict[str, list[str]], plan: Plan, store: Path | None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray], list[str]]:
    """Return samples and quality by modality, columns by name, and names of conditions, reading piece by piece."""
    edges = np.cumsum([0, *(piece.facts["windows"] for piece in pieces)])
    total = int(edges[-1])
    samples = {modality: np.full((total, *shape), np.nan, np.float32) for modality, (shape, _) in layouts.items()}
    qualities = {
        modality: np.full((total, len(names), len(QUALITY)), np.nan, np.float32) for modality, names in sensors.items()
    }
    columns = {"start": np.empty(total), "calibration": np.empty(total, dtype=bool)}
    truths = {}
    for place, target in enumerate(plan.placed.values()):
        steps = target.steps(plan.length)
        truths[truth_name(place)] = np.empty(total if steps is None else (total, steps))
    columns |= truths
    columns |= {name: np.empty(total, dtype=np.int32) for name in ("condition", "segment")}
    conditions: dict[str, int] = {}
    for piece, first, behind in zip(pieces, edges, edges[1:], strict=False):
        windows = windows_of(piece, plan, store)
        if piece.kept is not None:
            windows = windows.isel(window=piece.kept)
        piece.windows = None  # so that memory holds the result and one recording
        rows = slice(first, behind)
        for modality, (_, wanted) in layouts.items():
            if modality in piece.facts["layouts"]:
                _fill(samples[modality][rows], windows[modality].to_numpy(), piece.facts["layouts"][modality], wanted)
        for modality, names in sensors.items():
            own = [index for index, (of, _) in enumerate(piece.facts["sensors"]) if of == modality]
            found = _places({"channels": [piece.facts["sensors"][index][1] for index in own]}, {"channels": names})
            shared = [index for index, place in enumerate(found) if place >= 0]
            if shared:
                values = windows["quality"].to_numpy()[:, [own[found[index]] for index in shared]]
                qualities[modality][rows, shared] = values
        for name in ("start", "segment", "calibration", *truths):
            columns[name][rows] = windows[name].to_numpy()
        codes = [conditions.setdefault(name, len(conditions)) for name in windows["condition"].attrs["categories"]]
        columns["condition"][rows] = np.array(codes, dtype=np.int32)[windows["condition"].to_numpy()]
    return samples, qualities, columns, list(conditions)


def _modality_variables(
    pieces: list[Piece], layouts: _Layouts, samples: dict[str, np.ndarray]
) -> dict[str, tuple[Any, ...]]:
    """Return the samples or features of each modality, where there are any, and which features could be computed."""
    counts = [piece.facts["windows"] for piece in pieces]
    variables: dict[str, tuple[Any, ...]] = {}
    for modality, (shape, layout) in layouts.items():
        present = np.repeat([modality in piece.facts["layouts"] for piece in pieces], counts)
        dimensions = _dimensions(modality, len(shape))
        variables[modality] = (dimensions, samples[modality], layout)
        variables[f"{modality}_present"] = ("window", present)
        if "features" in layout:
            variables[f"{modality}_valid"] = (dimensions, np.isfinite(samples[modality]))
    return variables


def _quality_variables(sensors: dict[str, list[str]], qualities: dict[str, np.ndarray]) -> dict[str, tuple[Any, ...]]:
    return {
        f"{modality}_quality": (
            ("window", f"{modality}_sensor", "quality"),
            qualities[modality],
            {"channels": names, "kinds": list(QUALITY)},
        )
        for modality, names in sensors.items()
    }


def _dataset(
    pieces: list[Piece],
    variables: dict[str, Any],
    columns: dict[str, np.ndarray],
    conditions: list[str],
    attributes: dict[str, Any],
) -> xr.Dataset:
    import xarray as xr

    counts = [piece.facts["windows"] for piece in pieces]
    coordinates: dict[str, Any] = {}
    for name in ("subject", "session", "trial"):
        codes, categories = _coded([piece.facts[name] for piece in pieces])
        coordinates[name] = ("window", np.repeat(codes, counts), {"categories": categories})
    orders = np.array([piece.facts["order"] for piece in pieces], dtype=np.int32)
    coordinates |= {
        "condition": ("window", columns["condition"], {"categories": conditions}),
        "segment": ("window", columns["segment"]),
        "start": ("window", columns["start"], {"unit": "s"}),
        "order": ("window", np.repeat(orders, counts)),
        "calibration": ("window", columns["calibration"]),
    }
    return xr.Dataset(variables, coordinates, attributes)


def _calibrated(plan: Plan, pieces: list[Piece], left_out: list[LeftOut]) -> dict[str, float]:
    """Return the seconds of calibration by subject, and list those who have less than was asked."""
    if plan.calibration is None:
        return {}
    seconds: dict[str, float] = {}
    for piece in pieces:
        subject = piece.facts["subject"]
        seconds[subject] = seconds.get(subject, 0.0) + piece.facts["calibration_seconds"]
    asked = plan.calibration
    for subject, found in seconds.items():
        if found < asked.seconds - SLACK:
            of = f"of '{asked.condition}'" if asked.condition else "from the start"
            left_out.append(LeftOut(subject, f"has {found:g} of {asked.seconds:g} s {of} to calibrate on"))
    return seconds


def _classes_by_rating(plan: Plan, pieces: list[Piece], left_out: list[LeftOut]) -> dict[str, dict[int, float]]:
    """Return the class of each recording, by the identity of its piece, for each target that ratings decide.

    Of a recording, those windows are kept that have a value of any target, and those of calibration.
    """
    rated = {name: target for name, target in plan.targets.items() if target.is_rated}
    if not rated:
        return {}
    subjects: dict[str, list[Piece]] = {}
    for piece in pieces:
        subjects.setdefault(piece.facts["subject"], []).append(piece)
    classes: dict[str, dict[int, float]] = {name: {} for name in rated}
    for own in subjects.values():
        for name, target in rated.items():
            codes = target.codes_of([piece.facts["ratings"] for piece in own])
            classes[name] |= {id(piece): code for piece, code in zip(own, codes.tolist(), strict=True)}
        for piece in own:
            _keep_those_with_a_value(piece, plan, {name: classes[name][id(piece)] for name in rated}, left_out)
    return classes


def _keep_those_with_a_value(piece: Piece, plan: Plan, codes: Mapping[str, float], left_out: list[LeftOut]) -> None:
    """Keep the windows of a recording that have a value of any target when ratings have said theirs."""
    count = piece.facts["windows"]
    bits = np.unpackbits(
        np.frombuffer(bytes.fromhex(piece.facts["labelled"]), np.uint8), count=len(plan.placed) * count
    )
    placed = bits.reshape(len(plan.placed), count).astype(bool)
    kept = np.logical_not(placed.any(axis=0))  # those of calibration
    for name, target in plan.targets.items():
        own = placed[plan.place(name)]
        if np.isfinite(codes.get(name, 0.0)):
            kept |= own
        elif own.any():
            given = ", ".join(_shown_rating(rating, piece.facts["ratings"]) for rating in target.rating_names)
            why = f"{own.sum()} of {own.sum()} windows have no value of {target.name} ({given})"
            left_out.append(LeftOut(name_of(piece.source), why))
    if not kept.all():
        piece.kept = kept
        piece.facts = {**piece.facts, "windows": int(kept.sum())}


def _shown_rating(name: str, ratings: Mapping[str, float]) -> str:
    return f"{name} {ratings[name]:g}" if np.isfinite(ratings.get(name, np.nan)) else f"no {name}"


def _wanted(plan: Plan, pieces: list[Piece]) -> list[str]:
    """Return the modalities that the windows are to have; those of a feature set only where any recording has them."""
    recorded = {modality for piece in pieces for modality in piece.facts["modalities"]}
    at_hand = [modality for modality in plan.pipelines if modality in recorded]
    return at_hand if plan.at_hand and at_hand else list(plan.pipelines)


def _refuse_unknown_names(plan: Plan, wanted: list[str], pieces: list[Piece], left_out: list[LeftOut]) -> None:
    """Refuse events and modalities that no recording has: a misspelt one would only make the windows fewer."""
    if not pieces:
        return
    events = sorted({event for piece in pieces for event in piece.facts["events"]})
    mistakes = [
        f"extra_targets.{name}: {mistake}" if name else mistake
        for name, target in plan.targets.items()
        for mistake in _absent_annotations(target, events, pieces, traces=bool(plan.extras))
    ]
    if plan.calibration is not None and plan.calibration.condition is not None:
        mistakes += [f"calibration: {mistake}" for mistake in missing_events([plan.calibration.condition], events)]
    recorded = sorted({modality for piece in pieces for modality in piece.facts["modalities"]})
    absent = [modality for modality in wanted if modality not in recorded]
    if absent:
        named = " or ".join(filter(None, (", ".join(absent[:-1]), absent[-1])))
        mistakes.append(f"signals: no recording has {named}; they have {', '.join(recorded)}")
    if mistakes:
        if left_out:  # a name may be missing because the rows or files that have it could not be used
            mistakes[-1] += _first_reasons(left_out, indent=6)
        raise StudyError(mistakes, source="windows")
    for modality in wanted:
        lacking = [piece for piece in pieces if modality not in piece.facts["modalities"]]
        left_out += [
            LeftOut(name_of(piece.source), f"has no {modality}; its windows carry NaN there") for piece in lacking
        ]


def _absent_annotations(target: Target, events: Sequence[str], pieces: list[Piece], *, traces: bool) -> Iterator[str]:
    """Yield what a target comes from and no recording has."""
    yield from missing_events(target.event_names, events)
    kinds = [("rating", "ratings", target.rating_names)]
    if traces:  # of a target alone, each recording that lacks the trace has been left out with that reason
        kinds.append(("trace", "traces", (target.trace,) if target.trace else ()))
    for kind, key, wanted in kinds:
        found = sorted({name for piece in pieces for name in piece.facts[key]})
        yield from (
            f"no recording has a {kind} '{name}'.{did_you_mean(name, found)}" for name in wanted if name not in found
        )


def _common_layouts(
    wanted: list[str], pieces: list[Piece], left_out: list[LeftOut], *, joined: bool
) -> tuple[_Layouts, list[Piece]]:
    """Return shape and attributes of each modality, and the pieces with windows that have its channels.

    The channels are those of most recordings; a recording that lacks one of them is left out, its further ones are not
    used. Where that would leave out all that one of several joined data sets has, it is refused. Electrodes are the
    same that :func:`limbeck.signals.electrode_name` makes the same: data sets write them differently.
    """
    pieces = [piece for piece in pieces if piece.facts["windows"]]
    layouts: _Layouts = {}
    for modality in wanted:
        having = [piece for piece in pieces if modality in piece.facts["layouts"]]
        if not having and pieces:
            raise DataError(f"No recording from which windows could be cut has {modality}.{_first_reasons(left_out)}")
        if not having:
            continue
        _refuse_different_rates(modality, having)
        names = Counter(_names_of(piece.facts["layouts"][modality]) for piece in having).most_common(1)[0][0]
        typical = next(
            layout for layout in (piece.facts["layouts"][modality] for piece in having) if _names_of(layout) == names
        )
        layouts[modality] = (
            tuple(typical["shape"]),
            {name: value for name, value in typical.items() if name != "shape"},
        )
        lacking = {id(piece): _lacking(piece.facts["layouts"][modality], typical) for piece in having}
        if joined:
            _refuse_to_drop_a_source(modality, typical, having, lacking)
        for piece in having:
            lost = lacking[id(piece)]
            if lost:
                why = f"lacks {len(lost)} of {len(names)} {modality} channels: {', '.join(lost[:5])}"
                left_out.append(LeftOut(name_of(piece.source), why))
                pieces = [other for other in pieces if other is not piece]
    return layouts, pieces


def _lacking(layout: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Return the channels or features of a common layout that a recording's own has not."""
    return [name for name, place in zip(_names_of(wanted), _places(layout, wanted), strict=True) if place < 0]


def _refuse_absent_sources(corpus: Corpus, pieces: list[Piece], left_out: list[LeftOut]) -> None:
    """Refuse joined data sets of which one has no recording that the steps can be run on."""
    sources = dict.fromkeys(source_of(subject) for subject in corpus.subjects)
    found = {source_of(piece.source.subject) for piece in pieces}
    absent = [name for name in sources if name not in found]
    if not absent or not found:
        return
    own = [entry for entry in left_out if source_of(entry.what) in absent] or left_out
    raise DataError(
        f"No recording of {' or '.join(absent)} could be used, only those of {' and '.join(sorted(found))}. Choose "
        "steps that fit all joined data sets ({pick: [...]} with channels that all have, {resample: ...}), or leave "
        f"out what does not fit.{_first_reasons(own)}"
    )


def _refuse_to_drop_a_source(
    modality: str, typical: Mapping[str, Any], having: list[Piece], lacking: Mapping[int, list[str]]
) -> None:
    """Refuse joined data sets of which one has this modality and no recording with the channels of the others."""
    sources: dict[str, list[Piece]] = {}
    for piece in having:
        sources.setdefault(source_of(piece.source.subject), []).append(piece)
    dropped = [name for name, own in sources.items() if all(lacking[id(piece)] for piece in own)]
    if len(sources) < 2 or not dropped:
        return
    kept = [name for name in sources if name not in dropped]
    found = []
    for name in dropped:
        lost = lacking[id(sources[name][0])]
        few = f"{', '.join(lost[:_SHOWN])}{' ...' if len(lost) > _SHOWN else ''}"
        found.append(f"{name} lacks {len(lost)} of {len(_names_of(typical))} ({few})")
    every = [piece.facts["layouts"][modality] for piece in having]
    shared = [
        channel
        for channel in dict.fromkeys(typical["channels"])
        if channel and all(electrode_name(channel) in map(electrode_name, layout["channels"]) for layout in every)
    ]
    if shared:
        advice = f"Add {{pick: [{', '.join(shared)}]}}, which all of them have, to signals.{modality}"
    else:
        own = ", ".join(sources[dropped[0]][0].facts["layouts"][modality]["channels"][:_SHOWN])
        advice = (
            f"They share no channel by name ({dropped[0]} has {own}); where two mean the same, call one as the other "
            f"with rename: {{channels: {{{modality}: {{old: new}}}}}} of its part"
        )
    raise DataError(
        f"The {modality} of joined data sets has different channels: of those of {', '.join(kept)}, "
        f"{'; '.join(found)}. Windows need the same. {advice}."
    )


def _places(layout: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[int]:
    """Return where the channels or features of a common layout are in a recording's own, -1 where they are not.

    Names are compared as by the step ``pick``: as they are written, then as electrodes.
    """
    keys, wanted_keys = _keys(layout), _keys(wanted)
    once = {key for of in (keys, wanted_keys) for key in of} - {
        key for of in (keys, wanted_keys) for key, count in Counter(of).items() if count > 1
    }
    alike = {key: index for index, key in enumerate(keys) if key in once}
    exact = {name: index for index, name in enumerate(_names_of(layout))}
    pairs = zip(_names_of(wanted), wanted_keys, strict=True)
    return [exact.get(name, alike.get(key, -1)) for name, key in pairs]


def _keys(layout: Mapping[str, Any]) -> list[str]:
    """Return the names of channels or features with those of electrodes as they are compared."""
    pairs = zip(_names_of(layout), layout["channels"], strict=True)
    return [name.replace(channel, electrode_name(channel)) if channel else name for name, channel in pairs]


def _common_sensors(layouts: _Layouts, pieces: list[Piece]) -> dict[str, list[str]]:
    """Return the channels, as recorded, whose quality is kept: those of most recordings, by modality."""
    sensors = {}
    for modality in layouts:
        named = [tuple(name for of, name in piece.facts["sensors"] if of == modality) for piece in pieces]
        counted = Counter(names for names in named if names)
        if counted:
            sensors[modality] = list(counted.most_common(1)[0][0])
    return sensors


def _refuse_different_rates(modality: str, pieces: list[Piece]) -> None:
    rates: dict[float, list[str]] = {}
    for piece in pieces:
        rate = piece.facts["layouts"][modality].get("rate")
        if rate is not None:
            rates.setdefault(round(rate, 6), []).append(name_of(piece.source))
    if len(rates) > 1:
        found = "; ".join(f"{rate:g} Hz in {len(names)} recordings ({names[0]})" for rate, names in rates.items())
        most = max(rates, key=lambda rate: len(rates[rate]))
        raise DataError(
            f"The {modality} of these recordings has different rates: {found}. "
            f"Windows need one: add {{resample: {most:g}}} to signals.{modality}."
        )


def _names_of(layout: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(layout.get("features", layout["channels"]))


def _fill(rows: np.ndarray, values: np.ndarray, layout: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Copy a recording's windows, its channels brought into the common order."""
    rows[...] = values if _names_of(layout) == _names_of(wanted) else values[:, _places(layout, wanted)]


def _in_order(corpus: Corpus, pieces: list[Piece]) -> list[Piece]:
    """Sort by subject, session (both in the order of the corpus), order of recording, and place in the corpus."""
    subjects = {subject: index for index, subject in enumerate(corpus.subjects)}
    sessions: dict[tuple[str, str], int] = {}
    for index, source in enumerate(corpus.sources):
        sessions.setdefault((source.subject, source.session), index)
    rank = {
        id(piece): (
            subjects[piece.source.subject],
            sessions[piece.source.subject, piece.source.session],
            piece.facts["order"],
        )
        for piece in pieces
    }
    return sorted(pieces, key=lambda piece: rank[id(piece)])


def _dimensions(modality: str, inner: int) -> tuple[str, ...]:
    if inner == 1:
        return ("window", f"{modality}_feature")
    return ("window", f"{modality}_channel", f"{modality}_time")


def _coded(names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Return codes and, in the order of their first appearance, categories."""
    codes: dict[str, int] = {}
    coded = np.array([codes.setdefault(name, len(codes)) for name in names], dtype=np.int32)
    return coded, list(codes)


def _target_variable(name: str, target: Target, truth: np.ndarray, left_out: list[LeftOut]) -> xr.Variable:
    """Return a target's variable; `name` is ``""`` for the main one."""
    import xarray as xr

    called = f"extra_targets.{name}: " if name else ""
    if target.kind == "trace":
        if name and not np.isfinite(truth).any():
            raise DataError(f"{called}No window has a value of {target.name}.{_first_reasons(left_out)}")
        attributes: dict[str, Any] = {"kind": "trace", "name": target.name}
        if target.rate is not None:
            attributes["rate"] = float(target.rate)
        steps = f"target_{name}_step" if name else "target_step"
        return xr.Variable(("window", steps)[: truth.ndim], truth.astype(np.float32), attributes)
    codes = np.where(np.isfinite(truth), truth, -1).astype(np.int64)
    empty = [label for code, label in enumerate(target.classes) if not (codes == code).any()]
    if empty:
        raise DataError(
            f"{called}No window of the class {' or '.join(empty)} of {target.name} could be cut; "
            "its events may be shorter than a window, or the threshold out of range."
        )
    return xr.Variable("window", codes, {"kind": "class", "name": target.name, "classes": list(target.classes)})


def _first_reasons(left_out: list[LeftOut], indent: int = 2) -> str:
    line = "\n" + " " * indent
    reasons = "".join(f"{line}- {_told(entry)}" for entry in left_out[:5])
    more = f"{line}and {len(left_out) - 5} more" if len(left_out) > 5 else ""
    return f" What was left out:{reasons}{more}" if reasons else " It has no recordings."


def _told(entry: LeftOut) -> str:
    """Return what was left out and why; messages of readers begin with the file."""
    return entry.why if entry.why.startswith(entry.what) else f"{entry.what}: {entry.why}"
