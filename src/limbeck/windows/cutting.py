"""One recording cut into windows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.errors import DataError
from limbeck.recording import Event, LeftOut, Recording, Signal, Source
from limbeck.signals import Pipeline, moving_share, window_quality
from limbeck.targets import Labelled, Segment, Target, joined
from limbeck.windows.plan import SLACK, Calibration, Plan

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["cut_recording", "name_of", "step_name", "truth_name"]

_BATCH = 16_000_000
"""Samples of windows that go through the per-window steps at a time, so that memory stays bounded."""


def name_of(source: Source | Recording) -> str:
    """Return subject, session and trial in one line, for messages."""
    return " ".join(part for part in (source.subject, source.session, source.trial) if part)


@dataclass(frozen=True)
class _Grid:
    """Where the windows of a recording lie, in time.

    Parameters
    ----------
    segments : list of Segment
        Those of the calibration first.
    starts : ndarray of shape (n_windows,), float64
        Increasing.
    owner : ndarray of shape (n_windows,), int64
        The segment of each window.
    calibration : ndarray of shape (n_windows,), bool
    further : ndarray of shape (n_windows,), bool
        Those that lie where the main target says nothing, and others do.
    short : int
        Segments of the main target that hold no window.
    """

    segments: list[Segment]
    starts: np.ndarray
    owner: np.ndarray
    calibration: np.ndarray
    further: np.ndarray
    short: int


def cut_recording(recording: Recording, plan: Plan, wanted: float) -> xr.Dataset:
    """Cut one recording.

    Parameters
    ----------
    recording : Recording
    plan : Plan
    wanted : float
        Seconds of it that calibration still needs.

    Returns
    -------
    xarray.Dataset
        Variables ``start``, ``condition``, ``segment``, ``calibration``, ``truth`` (as of :meth:`Target.values`, NaN in
        calibration; of shape (window, target_step) where a window has several) and, of the further targets that are
        placed otherwise, ``truth_1``, ``truth_2``, ... (:attr:`Plan.placed`), one per modality that the recording has,
        and ``quality``, of the channels of all of these, one behind the other; the attribute ``facts`` (JSON) holds
        what is known without the arrays.

    Raises
    ------
    DataError
        The recording has none of the modalities, or a step or the target refuses it.
    """
    import xarray as xr

    present = _prepared(recording, plan)
    covered = (max(signal.start for signal in present.values()), min(signal.end for signal in present.values()))
    targets = list(plan.placed.values())
    annotated = [target.labelled(recording) for target in targets] or [Labelled([Segment(*covered, "")])]
    main, beside = annotated[0], _only_others(annotated)
    usable = [event for event in recording.events if event not in main.contradictory]
    stretches = _calibration_stretches(usable, recording.duration, plan.calibration, covered, wanted)
    labelled, further = (_without(_clip(segments, covered), stretches) for segments in (main.segments, beside))
    grid = _grid(stretches, labelled, further, plan)
    numbers = _segment_numbers(grid.starts, main.segments)
    aside = _segment_numbers(grid.starts, beside)
    numbers = np.where(grid.further, len(main.segments) + aside, numbers).astype(np.int32)
    truths, lacking = _truths(recording, grid, annotated, targets, plan.length)
    first = {modality: _first_samples(signal, grid.starts, plan.length) for modality, signal in present.items()}
    gaps = {modality: _have_gaps(signal, first[modality], plan.length) for modality, signal in present.items()}
    known = np.stack([_says(truth) for truth in truths])
    kept, reasons = _usable(grid, known, gaps, targets)
    if grid.short:
        reasons = [f"{grid.short} of {len(labelled)} segments are shorter than a window of {plan.length:g} s", *reasons]
    reasons += _uncovered([*main.segments, *beside], covered, plan.length, list(present))
    notes = list(dict.fromkeys(note for each in annotated for note in each.notes))
    left_out = [*recording.notes, *(LeftOut(name_of(recording), why) for why in (*notes, *reasons, *lacking))]

    conditions = list(dict.fromkeys(segment.condition for segment in grid.segments))
    codes = np.array([conditions.index(segment.condition) for segment in grid.segments], dtype=np.int32)
    windows = xr.Dataset(
        {
            "start": ("window", grid.starts[kept]),
            "condition": ("window", codes[grid.owner][kept], {"categories": conditions}),
            "segment": ("window", numbers[kept]),
            "calibration": ("window", grid.calibration[kept]),
            **{
                truth_name(place): (("window", step_name(place))[: truth.ndim], truth[kept])
                for place, truth in enumerate(truths)
            },
        }
    )
    if kept.any():
        for modality, signal in present.items():
            pipeline = plan.pipelines[modality]
            windows[modality] = _modality_variable(pipeline, signal, first[modality][kept], plan.length)
        if plan.quality:
            windows["quality"] = _quality_variable(recording, list(present), grid.starts[kept], plan.length)
    facts = {
        "subject": recording.subject,
        "session": recording.session,
        "trial": recording.trial,
        "order": int(recording.order),
        "windows": int(kept.sum()),
        "calibration_windows": int(grid.calibration[kept].sum()),
        "labelled": np.packbits(known[:, kept]).tobytes().hex(),
        "layouts": {
            modality: {"shape": windows[modality].shape[1:], **windows[modality].attrs}
            for modality in present
            if modality in windows
        },
        "sensors": [[modality, name] for modality in present for name in recording.signals[modality].channels]
        if "quality" in windows
        else [],
        "modalities": sorted(recording.signals),
        "events": list(dict.fromkeys(event.name for event in recording.events)),
        "ratings": {name: float(value) for name, value in recording.ratings.items()},
        "traces": sorted(recording.traces),
        "calibration_seconds": float(sum(stretch.end - stretch.start for stretch in stretches)),
        "left_out": [[entry.what, entry.why] for entry in left_out],
    }
    windows.attrs["facts"] = json.dumps(facts)
    return windows


def _prepared(recording: Recording, plan: Plan) -> dict[str, Signal]:
    """Return the wanted modalities that the recording has, after the steps that run before the cut."""
    present: dict[str, Signal] = {}
    for modality, pipeline in plan.pipelines.items():
        signal = recording.signals.get(modality)
        if signal is not None and signal.data.shape[1]:
            present[modality] = pipeline.on_recording(signal)
    if not present:
        raise DataError(
            f"{name_of(recording)} has none of the modalities {', '.join(plan.pipelines)}; it has "
            f"{', '.join(recording.signals) or 'nothing'}."
        )
    return present


def _only_others(annotated: Sequence[Labelled]) -> list[Segment]:
    """Return the stretches that further targets label and the main one, which is the first, does not.

    They are parted wherever a target begins or ends, so that no window in them crosses a transition of any.
    """
    others = [segment for each in annotated[1:] for segment in each.segments]
    edges = np.unique([edge for segment in (*annotated[0].segments, *others) for edge in (segment.start, segment.end)])
    if not others:
        return []
    middles = (edges[:-1] + edges[1:]) / 2
    middles = middles[np.diff(edges) > SLACK]
    free = ~_inside(middles, annotated[0].segments).any(axis=1)
    inside = _inside(middles, others)
    stretches = []
    for middle, held in zip(middles[free], inside[free], strict=True):
        if held.any():
            begin = np.searchsorted(edges, middle)
            # one that an event names comes before one that is the whole recording
            named = [others[index].condition for index in np.flatnonzero(held) if others[index].condition]
            stretches.append(Segment(float(edges[begin - 1]), float(edges[begin]), named[0] if named else ""))
    return stretches


def _inside(moments: np.ndarray, segments: Sequence[Segment]) -> np.ndarray:
    """Return whether each moment lies in each segment, (n_moments, n_segments)."""
    edges = np.array([(segment.start, segment.end) for segment in segments], dtype=np.float64).reshape(-1, 2)
    return (edges[:, 0] < moments[:, np.newaxis]) & (moments[:, np.newaxis] < edges[:, 1])


def _grid(stretches: list[Segment], labelled: list[Segment], further: list[Segment], plan: Plan) -> _Grid:
    """Lay windows into segments, anew in each."""
    segments = [*stretches, *labelled, *further]
    grids = [_starts(segment, plan.length, plan.hop) for segment in segments]
    starts = np.concatenate([*grids, np.empty(0)])
    owner = np.repeat(np.arange(len(segments)), [len(grid) for grid in grids])
    order = np.argsort(starts, kind="stable")
    starts, owner = starts[order], owner[order]
    behind = len(stretches) + len(labelled)
    short = sum(len(grid) == 0 for grid in grids[len(stretches) : behind])
    return _Grid(segments, starts, owner, owner < len(stretches), owner >= behind, short)


def _segment_numbers(starts: np.ndarray, segments: Sequence[Segment]) -> np.ndarray:
    """Return the number of the labelled segment in which each window starts, -1 where it is none.

    Segments are numbered as the annotations give them, before calibration or coverage cut into them, so that what is
    left of one on either side of a cut stays one trial.
    """
    if not segments:
        return np.full(len(starts), -1, dtype=np.int32)
    numbers = np.searchsorted([segment.start for segment in segments], starts, side="right") - 1
    ends = np.array([segment.end for segment in segments])
    return np.where((numbers >= 0) & (starts < ends[numbers]), numbers, -1).astype(np.int32)


def truth_name(place: int) -> str:
    """Return what the variable of a placed target is called in a recording's windows."""
    return f"truth_{place}" if place else "truth"


def step_name(place: int) -> str:
    """Return what its dimension is called where a window has several values."""
    return f"target_step_{place}" if place else "target_step"


def _truths(
    recording: Recording, grid: _Grid, annotated: Sequence[Labelled], targets: Sequence[Target], length: float
) -> tuple[list[np.ndarray], list[str]]:
    """Return what each target says about each window, NaN in calibration, and what further targets miss and why."""
    if not targets:
        return [np.full(len(grid.starts), np.nan)], []
    codes = np.array([segment.code for segment in grid.segments], dtype=np.int64)[grid.owner]
    # with others beside it, a recording that says nothing of the main target may still serve them
    truth = _values(targets[0], recording, codes, grid.starts, length, optional=len(targets) > 1)
    truth[grid.calibration | grid.further] = np.nan
    truths, lacking = [truth], []
    for labelled, target in zip(annotated[1:], targets[1:], strict=True):
        codes, held, touched = _held(labelled.segments, grid.starts, length)
        truth = _values(target, recording, codes, grid.starts, length, optional=True)
        truth[grid.calibration | ~held] = np.nan
        truths.append(truth)
        crossing = (touched & ~held & ~grid.calibration).sum()
        if crossing:
            lacking.append(
                f"{crossing} of {len(held)} windows cross an edge of {_place(target)}; they have no value of it"
            )
        unknown = held & ~grid.calibration & ~_says(truth)
        if unknown.any():
            lacking.append(f"{unknown.sum()} of {len(held)} windows have no value of {target.name}")
    return truths, lacking


def _values(
    target: Target, recording: Recording, codes: np.ndarray, starts: np.ndarray, length: float, *, optional: bool
) -> np.ndarray:
    """Return what the annotations say; NaN where the recording lacks the trace and that is no fault."""
    if optional and target.trace and target.trace not in recording.traces:
        steps = target.steps(length)
        return np.full(len(starts) if steps is None else (len(starts), steps), np.nan)
    return target.values(recording, codes, starts, length)


def _held(segments: Sequence[Segment], starts: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the class of each window, whether one segment holds it whole, and whether any touches it."""
    numbers = _segment_numbers(starts + SLACK, segments)
    begins, ends = (np.array([getattr(each, edge) for each in segments]) for edge in ("start", "end"))
    touched = np.searchsorted(begins, starts + length - SLACK) > np.searchsorted(ends, starts + SLACK)
    held = numbers >= 0
    held[held] = starts[held] + length <= ends[numbers[held]] + SLACK
    codes = np.array([*(segment.code for segment in segments), -1], dtype=np.int64)[numbers]
    return codes, held, touched


def _place(target: Target) -> str:
    """Return where a target says something, in words that all targets placed there share."""
    if target.is_rated:
        return ", ".join(target.event_names) or "the recording"
    return target.name


def _says(truth: np.ndarray) -> np.ndarray:
    """Return whether there is a value for each window, or for one of its steps at least."""
    finite = np.isfinite(truth)
    return finite.any(axis=1) if finite.ndim > 1 else finite


def _usable(
    grid: _Grid, known: np.ndarray, gaps: dict[str, np.ndarray], targets: Sequence[Target]
) -> tuple[np.ndarray, list[str]]:
    """Return which windows have a target and no missing samples, and what the others lack."""
    kept, reasons = np.ones(known.shape[1], dtype=bool), []
    if targets:
        kept = grid.calibration | known.any(axis=0)
        own = ~grid.further
        lacking = own & ~known[0] & ~grid.calibration
        if lacking.any():
            reasons.append(f"{lacking.sum()} of {own.sum()} windows have no value of {targets[0].name}")
    broken = np.any(list(gaps.values()), axis=0)
    if broken[kept].any():
        counts = ", ".join(f"{modality} {gap[kept].sum()}" for modality, gap in gaps.items() if gap[kept].any())
        reasons.append(f"{broken[kept].sum()} of {kept.sum()} windows have missing samples ({counts})")
    return kept & ~broken, reasons


def _clip(segments: Iterable[Segment], covered: tuple[float, float]) -> list[Segment]:
    """Shorten segments to the time that is covered; those outside vanish."""
    clipped = [
        segment._replace(start=max(segment.start, covered[0]), end=min(segment.end, covered[1])) for segment in segments
    ]
    return [segment for segment in clipped if segment.end > segment.start]


def _uncovered(
    segments: Sequence[Segment], covered: tuple[float, float], length: float, modalities: Sequence[str]
) -> list[str]:
    """Say which labelled segments the signals do not cover: those wholly outside, and those that lose a window.

    Less than a window at an edge is how unevenly sensors start and end, and is worth no line.
    """
    kept = [max(0.0, min(segment.end, covered[1]) - max(segment.start, covered[0])) for segment in segments]
    lost = [
        segment
        for segment, seconds in zip(segments, kept, strict=True)
        if seconds == 0 or segment.end - segment.start - seconds > length - SLACK
    ]
    span = f"{covered[0]:g} to {covered[1]:g} s" if covered[0] < covered[1] else "no time at all"
    if not any(kept):
        return [f"no labelled segment lies in what {', '.join(modalities)} cover together: {span}"]
    if not lost:
        return []
    names = ", ".join(dict.fromkeys(segment.condition or "the whole recording" for segment in lost))
    return [
        f"{len(lost)} of {len(segments)} labelled segments ({names}) lie wholly or partly outside what "
        f"{', '.join(modalities)} cover: {span}"
    ]


def _calibration_stretches(
    events: Sequence[Event],
    duration: float,
    calibration: Calibration | None,
    covered: tuple[float, float],
    wanted: float,
) -> list[Segment]:
    """Return the earliest `wanted` seconds of the condition that a recording of that duration covers."""
    if calibration is None or wanted <= SLACK:
        return []
    if calibration.condition is None:
        events = [Event("", 0.0, duration)]
    named = [event for event in events if calibration.condition is None or event.name == calibration.condition]
    stretches = []
    for segment in _clip(joined([Segment(event.start, event.end, event.name) for event in named]), covered):
        if wanted > SLACK:
            stretches.append(segment._replace(end=min(segment.end, segment.start + wanted)))
            wanted -= stretches[-1].end - stretches[-1].start
    return stretches


def _without(segments: list[Segment], stretches: list[Segment]) -> list[Segment]:
    """Take the calibration stretches out of segments; what is left on either side is a segment of its own."""
    for stretch in stretches:
        parts = [
            part
            for segment in segments
            for part in (
                segment._replace(end=min(segment.end, stretch.start)),
                segment._replace(start=max(segment.start, stretch.end)),
            )
            if stretch.start < segment.end and segment.start < stretch.end
        ]
        apart = [segment for segment in segments if stretch.start >= segment.end or segment.start >= stretch.end]
        segments = sorted(part for part in [*apart, *parts] if part.end > part.start + SLACK)
    return segments


def _starts(segment: Segment, length: float, hop: float) -> np.ndarray:
    """Return the starts of the windows that lie wholly in a segment, the first at its start."""
    last = (segment.end - segment.start - length + SLACK) / hop
    return segment.start + hop * np.arange(int(np.floor(last)) + 1 if last >= 0 else 0)


def _samples(length: float, rate: float) -> int:
    return round(length * rate)


def _first_samples(signal: Signal, starts: np.ndarray, length: float) -> np.ndarray:
    """Return each window's first sample: the first at or after its start, so that no window reaches back."""
    samples = _samples(length, signal.rate)
    if not 0 < samples <= signal.data.shape[1]:
        if len(starts) == 0:
            return np.zeros(0, dtype=np.int64)
        raise DataError(
            f"Windows of {length:g} s hold {samples} samples at {signal.rate:g} Hz; "
            f"the signal has {signal.data.shape[1]}."
        )
    first = np.ceil((starts - signal.start) * signal.rate - SLACK).astype(np.int64)
    return np.clip(first, 0, signal.data.shape[1] - samples)


def _have_gaps(signal: Signal, first: np.ndarray, length: float) -> np.ndarray:
    missing = ~np.isfinite(signal.data).all(axis=0)
    count = np.concatenate([[0], np.cumsum(missing)])
    return count[first + _samples(length, signal.rate)] > count[first] if len(first) else np.zeros(0, dtype=bool)


def _modality_variable(pipeline: Pipeline, signal: Signal, first: np.ndarray, length: float) -> xr.Variable:
    """Gather the windows of one modality and run the per-window steps, a batch at a time."""
    import xarray as xr

    samples = _samples(length, signal.rate)
    sliding = np.lib.stride_tricks.sliding_window_view(signal.data, samples, axis=1)
    size = max(1, _BATCH // (samples * len(signal.channels)))
    batches = []
    for at in range(0, len(first), size):
        data = np.ascontiguousarray(sliding[:, first[at : at + size]].swapaxes(0, 1))
        batches.append(pipeline.on_windows(data, signal.rate, signal.channels))
    data = np.concatenate([batch.data for batch in batches]) if len(batches) > 1 else batches[0].data
    attributes: dict[str, Any] = {"unit": signal.unit, "channels": list(batches[0].channels)}
    modality = pipeline.modality
    if batches[0].features is None:
        attributes["rate"] = float(signal.rate)
        return xr.Variable(("window", f"{modality}_channel", f"{modality}_time"), data, attributes)
    attributes |= {"unit": "", "features": list(batches[0].features)}
    return xr.Variable(("window", f"{modality}_feature"), data, attributes)


def _quality_variable(
    recording: Recording, modalities: Sequence[str], starts: np.ndarray, length: float
) -> xr.Variable:
    """Judge the signals as recorded in the windows' time, whatever steps made of them.

    All modalities go into one array, since a cache pays for each array that it holds.
    """
    import xarray as xr

    acceleration = recording.signals.get("acc")
    moving = None
    if acceleration is not None and acceleration.data.shape[1]:
        moving = moving_share(acceleration.data, acceleration.rate, starts - acceleration.start, length)
    values = []
    for modality in modalities:
        raw = recording.signals[modality]
        samples = min(max(1, _samples(length, raw.rate)), raw.data.shape[1])
        first = np.ceil((starts - raw.start) * raw.rate - SLACK).astype(np.int64)
        first = np.clip(first, 0, raw.data.shape[1] - samples)  # steps may have moved an edge by a sample
        values.append(window_quality(raw.data, raw.rate, modality, first, samples, moving=moving))
    return xr.Variable(("window", "sensor", "kind"), np.concatenate(values, axis=1).astype(np.float32))
