"""One recording from its start to its end, drawn for a person who wants to see what a reader found in the files.

A strip of its events stands above a panel per modality and per trace; ratings are in the heading. Nothing is filtered.
Long signals are drawn by the lowest and highest sample of each stretch, so that no spike is lost and a gap stays one.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from limbeck.errors import DataError
from limbeck.recording import Event, Recording, Signal, Trace
from limbeck.report import words
from limbeck.report.figures import BLUE, GREEN, INK, MUTED, ORANGE, PAPER, PURPLE, RED, SKY, STYLE
from limbeck.report.signals import AXES_COLOURS, TRACES, WIDTH, draw_signal, panel_height, place_legend, settle

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_recording", "thinned"]

POINTS = 4000
"""Samples per channel that are drawn, at most: about three per dot of the picture."""

EVENTS = 12
"""Kinds of event that have a line of their own."""

BORDERS = 60
"""Borders of events that are drawn through all panels, at most: more would be a fence."""

_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED)
_MOST_TRACES = 8
_APART = 10.0  # ratio of spreads from which on channels in arbitrary units are drawn by their own scales
_BREAK = 10.0  # times the usual step of a trace, from which on its line is broken


def draw_recording(recording: Recording, *, title: str = "", modalities: Sequence[str] = ()) -> Figure:
    """Draw a whole recording.

    Parameters
    ----------
    recording : Recording
    title : str
        Stands before subject, session and trial.
    modalities : sequence of str
        Those to draw; all by default.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        The recording has none of the modalities.
    """
    import matplotlib
    from matplotlib.figure import Figure

    signals = {
        name: thinned(signal)
        for name, signal in recording.signals.items()
        if signal.data.shape[1] and (not modalities or name in modalities)
    }
    if not signals:
        raise DataError(
            f"The recording of {recording.subject} has none of the modalities {', '.join(modalities) or 'at all'}; "
            f"it has {', '.join(sorted(recording.signals)) or 'no signals'}."
        )
    traces = dict(list(recording.traces.items())[:_MOST_TRACES])
    events = _by_name(recording.events)
    heights = [0.3 + 0.19 * len(events)] if events else []
    heights += [panel_height(signal) for signal in signals.values()] + [0.7] * len(traces)
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # odd signs in names of subjects
        figure = Figure(figsize=(WIDTH, 0.9 + 1.16 * sum(heights)), layout="constrained", facecolor=PAPER)
        figure.get_layout_engine().set(hspace=0.01)  # type: ignore[union-attr, call-arg]
        grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
        panels = [figure.add_subplot(grid[row, 0]) for row in range(len(heights))]
        left = list(panels)
        if events:
            _draw_events(left.pop(0), events)
        for name, signal in signals.items():
            _draw_modality(left.pop(0), name, signal, len(recording.signals[name].channels))
        for name, trace in traces.items():
            _draw_trace(left.pop(0), name, trace)
        _borders(panels[1 if events else 0 :], recording.events)
        for panel in panels:
            panel.set_xlim(*_span(recording, traces))
            panel.tick_params(axis="x", labelbottom=panel is panels[-1])
        panels[-1].set_xlabel("seconds from the recording's start")
        settle(figure, _heading(recording, title))
    return figure


def thinned(signal: Signal, points: int = POINTS) -> Signal:
    """Return a signal of at most `points` samples that looks the same: lowest and highest of each stretch in turn.

    Parameters
    ----------
    signal : Signal
    points : int
        Two per stretch.

    Returns
    -------
    Signal
        The signal itself where it is short enough. A stretch without any sample is missing; what is left of the last
        stretch is not drawn.
    """
    count = signal.data.shape[1]
    stretch = -(-2 * count // points)
    if count <= points or stretch < 3:
        return signal
    whole = count // stretch
    blocks = signal.data[:, : whole * stretch].reshape(len(signal.data), whole, stretch)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="All-NaN slice", category=RuntimeWarning)
        pair = np.stack([np.nanmin(blocks, axis=2), np.nanmax(blocks, axis=2)], axis=2)
    return replace(signal, data=pair.reshape(len(signal.data), 2 * whole), rate=2 * signal.rate / stretch)


def _span(recording: Recording, traces: Mapping[str, Trace]) -> tuple[float, float]:
    starts = [signal.start for signal in recording.signals.values()]
    ends = [recording.duration, *(float(trace.times[-1]) for trace in traces.values() if len(trace.times))]
    return min(0.0, *starts), max(end for end in ends if np.isfinite(end))


def _by_name(events: Sequence[Event]) -> dict[str, list[Event]]:
    """Return events by name, those with a line of their own."""
    found: dict[str, list[Event]] = {}
    for event in events:
        if np.isfinite(event.start) and np.isfinite(event.end):
            found.setdefault(event.name, []).append(event)
    return dict(list(found.items())[:EVENTS])


def _draw_events(panel: Axes, events: Mapping[str, Sequence[Event]]) -> None:
    for row, (own, colour) in enumerate(zip(events.values(), _COLOURS * EVENTS, strict=False)):
        spans = [(event.start, event.end - event.start) for event in own]
        panel.broken_barh(spans, (row - 0.32, 0.64), facecolor=colour, edgecolor=PAPER, linewidth=0.4)
        moments = [event.start for event in own if event.end <= event.start]
        panel.plot(moments, [row] * len(moments), "|", color=colour, markersize=7, linestyle="none")
    panel.set_yticks(range(len(events)), [words.label(name, 18) for name in events])
    panel.set_ylim(len(events) - 0.4, -0.6)
    panel.set_title("events")
    panel.grid(axis="y", visible=False)


def _borders(panels: Sequence[Axes], events: Sequence[Event]) -> None:
    """Draw where events begin and end through the panels below."""
    moments = sorted({round(moment, 3) for event in events for moment in (event.start, event.end)})
    if len(moments) <= BORDERS:
        for panel in panels:
            for moment in moments:
                panel.axvline(moment, color=INK, linewidth=0.5, linestyle=(0, (4, 3)), alpha=0.45)


def _draw_modality(panel: Axes, name: str, signal: Signal, channels: int) -> None:
    colours = AXES_COLOURS if signal.unit == "g" else (BLUE,)
    scaled = _own_scales(signal)
    draw_signal(panel, scaled or signal, colours)
    if scaled is not None:
        panel.set_ylabel("own scales")
    shown = f"; {TRACES} of {channels} channels" if channels > TRACES else ""
    panel.set_title(f"{name}{shown}")
    place_legend(panel)


def _own_scales(signal: Signal) -> Signal | None:
    """Return channels in arbitrary units that are far apart, each by its own spread; None where one scale serves all.

    Only the shape of arbitrary units means anything, and beside the counts of one sensor those of another look dead.
    """
    if len(signal.channels) < 2 or signal.unit != "a.u.":
        return None
    spread = np.full(len(signal.channels), np.nan)
    for index, row in enumerate(signal.data):
        held = row[np.isfinite(row)]
        spread[index] = np.subtract(*np.percentile(held, [99, 1])) if len(held) else np.nan
    moving = spread[spread > 0]
    if len(moving) < 2 or moving.max() < _APART * moving.min():
        return None
    return replace(signal, data=signal.data / np.where(spread > 0, spread, 1)[:, np.newaxis].astype(np.float32))


def _draw_trace(panel: Axes, name: str, trace: Trace) -> None:
    times: np.ndarray = trace.times
    given: np.ndarray = trace.values.astype(np.float64)
    steps = np.diff(times)
    # no line across a stretch without values
    breaks = np.flatnonzero(steps > _BREAK * np.median(steps)) + 1 if len(steps) else np.empty(0, dtype=np.int64)
    times, given = np.insert(times, breaks, times[breaks]), np.insert(given, breaks, np.nan)
    panel.plot(times, given, color=PURPLE, linewidth=0.8, marker="." if len(times) < POINTS else "", markersize=2)
    panel.set_title(f"{words.label(name, 40)} (trace)", fontweight="normal", color=MUTED)
    panel.grid(axis="y", visible=False)


def _heading(recording: Recording, title: str) -> str:
    who = " ".join(part for part in (recording.subject, recording.session, recording.trial) if part)
    ratings = ", ".join(f"{name} {value:.3g}" for name, value in recording.ratings.items())
    parts = [title, who, f"{recording.duration:.0f} s", ratings]
    return words.label(" · ".join(part for part in parts if part), 110)
