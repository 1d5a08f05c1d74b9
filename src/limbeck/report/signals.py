"""A window before and after cleaning, drawn for a person who wants to see whether the cleaning is right.

Each modality has what was recorded above, what its steps make of it below, and the spectra of both beside them. What is
found in the cleaned signal is marked on it: beats in ECG and BVP, tonic level and skin conductance responses in EDA,
breaths in respiration. The detectors see exactly what the features of a study see: the one window.
"""

from __future__ import annotations

import html
import io
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.atomic import write_atomically
from limbeck.errors import DataError
from limbeck.recording import Event, Recording, Signal
from limbeck.report import words
from limbeck.report.figures import BLUE, GREEN, INK, MUTED, ORANGE, PAPER, PURPLE, RED, STYLE
from limbeck.signals import Pipeline, Step

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "FORMATS",
    "draw_signal",
    "draw_window",
    "middle_window",
    "panel_height",
    "place_legend",
    "refuse_to_replace",
    "settle",
    "steps_in_words",
    "write_figure",
]

FORMATS = (".png", ".svg", ".html")
"""Endings of the files that a figure can be written to."""

MARK = b"limbeck features --plot"
"""Stands in every file written here, so that no other is ever replaced."""

WIDTH = 11.5
"""Inches."""

TRACES = 6
"""Channels that are drawn of a modality with more; they are taken evenly from its list."""

AXES_COLOURS = (BLUE, RED, GREEN)
"""Of the axes of an accelerometer, which are drawn over one another."""

HIGHEST = {"eeg": 70.0, "eog": 40.0, "ecg": 60.0, "bvp": 16.0, "eda": 2.0, "resp": 2.0, "acc": 16.0}
"""Hz up to which spectra are drawn, where the rate reaches further."""

SEGMENT = {"eda": 30.0, "temp": 30.0, "resp": 30.0}
"""Seconds of the segments whose spectra are averaged; 4 where none are stated."""

_SLACK = 1e-6


@dataclass(frozen=True)
class _View:
    """One modality in one window: what was recorded, and what the steps of its pipeline make of it."""

    pipeline: Pipeline
    before: Signal
    after: Signal

    @property
    def modality(self) -> str:
        return self.pipeline.modality

    @property
    def steps(self) -> str:
        return steps_in_words(self.pipeline.steps)


# ---- which window ---------------------------------------------------------------------------------------------------


def middle_window(signals: Mapping[str, Signal], length: float, hop: float, events: Sequence[Event] = ()) -> float:
    """Return the start of the window in the middle of what all signals cover.

    Windows are laid `hop` seconds apart from the first moment that all signals have; those across the ends of events
    and those with missing samples are passed over for the nearest one without, if there is one.

    Parameters
    ----------
    signals : mapping of str to Signal
    length, hop : float
        Seconds.
    events : sequence of Event
        Of the recording.

    Raises
    ------
    DataError
        The signals have no window of that length in common.
    """
    first, last = _covered(signals, length)
    starts = first + hop * np.arange(int((last - first + _SLACK) / hop) + 1)
    middle = len(starts) // 2
    within = np.zeros(len(starts), dtype=bool)
    for event in events:
        within |= (starts >= event.start - _SLACK) & (starts + length <= event.end + _SLACK)
    nearest = sorted(range(len(starts)), key=lambda index: (not within[index], abs(index - middle)))
    for index in nearest:
        if all(np.isfinite(_window(signal, starts[index], length).data).all() for signal in signals.values()):
            return float(starts[index])
    return float(starts[middle])


def _covered(signals: Mapping[str, Signal], length: float) -> tuple[float, float]:
    """Return the first and the last start of a window that lies within all signals."""
    first, end = max(s.start for s in signals.values()), min(s.end for s in signals.values())
    if end - first < length - _SLACK:
        raise DataError(
            f"{', '.join(signals)} have {max(0.0, end - first):g} s in common, which holds no window of {length:g} s; "
            "choose fewer modalities or a shorter length."
        )
    return first, end - length


def _window(signal: Signal, start: float, length: float) -> Signal:
    samples = max(1, round(length * signal.rate))
    first = int(np.ceil((start - signal.start) * signal.rate - _SLACK))
    first = min(max(0, first), max(0, signal.data.shape[1] - samples))
    return replace(signal, data=signal.data[:, first : first + samples], start=signal.start + first / signal.rate)


# ---- the figure -----------------------------------------------------------------------------------------------------


def draw_window(
    recording: Recording,
    pipelines: Mapping[str, Pipeline],
    *,
    length: float,
    hop: float | None = None,
    start: float | None = None,
    title: str = "",
) -> Figure:
    """Draw one window of a recording before and after cleaning, a block per modality.

    Parameters
    ----------
    recording : Recording
    pipelines : mapping of str to Pipeline
        By modality; their features are not computed. Modalities that the recording lacks are left out.
    length : float
        Seconds.
    hop : float, optional
        Seconds between the windows of which the middle one is taken; `length` by default.
    start : float, optional
        Seconds from the recording's start; by default as of :func:`middle_window`.
    title : str
        Stands before subject and time.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        The recording has none of the modalities or no such window, the window would hold less than two samples, or a
        step refuses the signal.
    """
    present = {
        modality: recording.signals[modality]
        for modality in pipelines
        if modality in recording.signals and recording.signals[modality].data.shape[1]
    }
    if not present:
        raise DataError(
            f"The recording of {recording.subject} has none of the modalities {', '.join(pipelines)}; "
            f"it has {', '.join(sorted(recording.signals)) or 'no signals'}."
        )
    cleaned = {modality: pipelines[modality].on_recording(signal) for modality, signal in present.items()}
    _refuse_short(length, [*present.items(), *cleaned.items()])
    if start is None:
        start = middle_window(cleaned, length, hop or length, recording.events)
    first, last = _covered(cleaned, length)
    if not first - _SLACK <= start <= last + _SLACK:
        raise DataError(
            f"A window of {length:g} s can start from {first:g} to {last:g} s in the recording of "
            f"{recording.subject}; found {start:g} s."
        )
    views = [
        _View(
            pipelines[modality],
            _window(signal, start, length),
            _through_window_steps(pipelines[modality], _window(cleaned[modality], start, length)),
        )
        for modality, signal in present.items()
    ]
    return _draw(views, _heading(recording, start, length, title), (start, start + length))


def _refuse_short(length: float, signals: Iterable[tuple[str, Signal]]) -> None:
    """Refuse a length that is none, or that holds less than two samples of a signal, before or after its steps."""
    if not length > 0:
        raise DataError(f"A window must last a number of seconds above 0; found {length:g}.")
    modality, slowest = min(signals, key=lambda item: item[1].rate)
    if length * slowest.rate < 2 - _SLACK:
        raise DataError(
            f"A window of {length:g} s holds less than two samples of {modality} at {slowest.rate:g} Hz; "
            f"choose a length of {2 / slowest.rate:g} s at least."
        )


def _through_window_steps(pipeline: Pipeline, window: Signal) -> Signal:
    values = replace(pipeline, features=()).on_windows(window.data[np.newaxis], window.rate, window.channels)
    unit = window.unit
    for each in pipeline.steps:
        if each.runs == "window":
            unit = each.kind.new_unit(unit, **each.parameters)  # type: ignore[union-attr]
    return Signal(values.data[0], window.rate, values.channels, unit, window.start)


def steps_in_words(steps: Sequence[Step]) -> str:
    """Return steps with what sets their parameters apart from the defaults: ``bandpass 0.5 8, resample 32``."""
    return ", ".join(_step_in_words(each) for each in steps)


def _step_in_words(each: Step) -> str:
    parts = [each.name]
    for position, (name, parameter) in enumerate(each.kind.parameters.items()):
        value = each.parameters[name]
        if parameter.default is parameter.empty or (position == 0 and isinstance(value, str)):
            parts.append(_value_in_words(value))
        elif value != parameter.default:
            parts.append(name if value is True else f"{name.replace('_', ' ')} {_value_in_words(value)}")
    return " ".join(parts)


def _value_in_words(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(_value_in_words, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _heading(recording: Recording, start: float, length: float, title: str) -> str:
    who = " ".join(part for part in (recording.subject, recording.session, recording.trial) if part)
    during = dict.fromkeys(
        event.name for event in recording.events if event.start < start + length and event.end > start
    )
    parts = [title, who, f"{_clock(start)} to {_clock(start + length)}", ", ".join(during)]
    return words.label(" · ".join(part for part in parts if part), 110)


def _clock(seconds: float) -> str:
    """Return ``31:20`` or ``0:07.5``: minutes and seconds in a recording."""
    minutes, rest = divmod(round(seconds, 2), 60)
    return f"{minutes:.0f}:{rest:02.0f}" if rest == round(rest) else f"{minutes:.0f}:{rest:05.2f}".rstrip("0")


def _draw(views: Sequence[_View], heading: str, span: tuple[float, float]) -> Figure:
    import matplotlib
    from matplotlib.figure import Figure

    found = [_find(view) for view in views]
    heights: list[float] = []
    places: list[list[int]] = []
    for view, each in zip(views, found, strict=True):
        panels = ([panel_height(view.before)] if view.steps else []) + [panel_height(view.after)]
        panels += [0.8] if each.phasic is not None else []
        if places:
            heights.append(0.12)  # air between the blocks
        places.append(list(range(len(heights), len(heights) + len(panels))))
        heights += panels
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # odd signs in names of subjects
        figure = Figure(figsize=(WIDTH, 0.87 + 1.16 * sum(heights)), layout="constrained", facecolor=PAPER)
        figure.get_layout_engine().set(hspace=0.01, wspace=0.03)  # type: ignore[union-attr, call-arg]
        grid = figure.add_gridspec(len(heights), 2, width_ratios=[4.2, 1], height_ratios=heights)
        for view, each, rows in zip(views, found, places, strict=True):
            block = [figure.add_subplot(grid[row, 0]) for row in rows]
            for panel in block:
                panel.set_xlim(*span)
                panel.tick_params(axis="x", labelbottom=panel is block[-1])
            _draw_block(block, figure.add_subplot(grid[rows[0] : rows[-1] + 1, 1]), view, each)
        block[-1].set_xlabel("seconds from the recording's start")
        settle(figure, heading)
    return figure


def settle(figure: Figure, heading: str) -> None:
    """Put a heading on a figure and fix its layout, within the style that it is drawn in."""
    # the empty lines are air between the heading, the edge and the first panel
    figure.suptitle(f"\n{heading}\n", x=0.01, ha="left", fontsize=11, fontweight="bold", linespacing=0.7)
    # Made once, within the style, and rounded: the solver's last digits differ from run to run.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position(tuple(np.round(axes.get_position().bounds, 5)))


def panel_height(signal: Signal) -> float:
    """Return how high the panel of a signal is, in units of a plain one."""
    lanes = min(len(signal.channels), TRACES) if _in_lanes(signal) else 1
    return 0.95 if lanes == 1 else 0.35 + 0.25 * lanes


def _in_lanes(signal: Signal) -> bool:
    return len(signal.channels) > 3 or (len(signal.channels) > 1 and signal.unit != "g")


def _chosen(signal: Signal) -> list[int]:
    """Return the channels that are drawn: all, or `TRACES` spread evenly over the list."""
    count = len(signal.channels)
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, TRACES))})


def _times(signal: Signal) -> np.ndarray:
    return signal.start + np.arange(signal.data.shape[1]) / signal.rate


# ---- what is found in a window --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Mark:
    """Moments of one channel that are marked: seconds from the window's first sample, and how they look."""

    channel: int
    name: str
    at: np.ndarray
    colour: str
    marker: str


@dataclass(frozen=True)
class _Found:
    """What the detectors find in a cleaned window.

    Parameters
    ----------
    marks : sequence of _Mark
    tonic, phasic : Signal or None
        Level and responses of skin conductance.
    told : str
        Why nothing could be looked for.
    """

    marks: Sequence[_Mark] = ()
    tonic: Signal | None = None
    phasic: Signal | None = None
    told: str = ""


def _find(view: _View) -> _Found:
    find = {"ecg": _find_beats, "bvp": _find_beats, "eda": _find_responses, "resp": _find_breaths}.get(view.modality)
    if find is None:
        return _Found()
    if not np.isfinite(view.after.data).all():
        return _Found(told="nothing is sought where samples are missing")
    try:
        return find(view)
    except DataError as error:  # a rate or a length that allows no detection is worth a word, not an end
        return _Found(told=str(error).partition(". ")[0].rstrip("."))


def _find_beats(view: _View) -> _Found:
    from limbeck.signals import find_beats, heart

    signal = view.after
    chosen = _chosen(signal)
    beats = _rows_without_padding(find_beats(signal.data[chosen], signal.rate, modality=view.modality))
    # beats of a pulse are timed at the feet of its waves, and marked from below
    marker, where = ("^", " (feet of the waves)") if view.modality == "bvp" else ("v", "")
    rate = heart(signal.data[chosen[:1]], signal.rate, ["hr"], modality=view.modality)[0, 0]
    per_minute = f", {rate:.0f} per min" if np.isfinite(rate) else ", too doubtful for a heart rate"
    name = _count(len(beats[0]), "beat") + per_minute + where
    return _Found([_Mark(channel, name, times, RED, marker) for channel, times in zip(chosen, beats, strict=True)])


def _rows_without_padding(events: np.ndarray) -> list[np.ndarray]:
    return [row[np.isfinite(row)] for row in events]


def _find_responses(view: _View) -> _Found:
    """Find responses as the study's `eda` feature does; with its defaults, where the study has none."""
    from limbeck.signals import resample
    from limbeck.signals.arrays import is_flat
    from limbeck.signals.decomposition import decompose
    from limbeck.signals.electrodermal import PEAK_RATE
    from limbeck.signals.scr import find_scrs

    signal = view.after
    steps = {each.name for each in view.pipeline.steps}
    if len(signal.channels) > 1 or "tonic" in steps:
        return _Found()
    if is_flat(signal.data).all():
        return _Found(told="nothing moves")
    options = next((each.parameters for each in view.pipeline.features if each.name == "eda"), {})
    tonic = phasic = None
    responses = signal.data
    if "phasic" not in steps:
        method, decimate_to = options.get("method", "highpass"), options.get("decimate_to", 8.0)
        level, responses = decompose(signal.data.astype(np.float64), signal.rate, method, decimate_to=decimate_to)
        tonic, phasic = replace(signal, data=level), replace(signal, data=responses)
    limits = {name: options[name] for name in ("minimum", "relative") if name in options}
    if signal.rate > PEAK_RATE:
        scrs = find_scrs(resample(responses, signal.rate, PEAK_RATE), PEAK_RATE, **limits)
    else:
        scrs = find_scrs(responses, signal.rate, **limits)
    (onset,), (peak,) = _rows_without_padding(scrs.onset), _rows_without_padding(scrs.peak)
    marks = [_Mark(0, "onset", onset, GREEN, "^"), _Mark(0, _count(len(peak), "response"), peak, RED, "v")]
    return _Found(marks, tonic, phasic)


def _find_breaths(view: _View) -> _Found:
    from limbeck.signals import find_breaths

    signal = view.after
    chosen = _chosen(signal)
    marks: list[_Mark] = []
    name = ""
    for channel, times, levels in zip(chosen, *find_breaths(signal.data[chosen], signal.rate), strict=True):
        times, levels = times[np.isfinite(times)], levels[np.isfinite(times)]
        high = np.diff(levels, append=levels[-2:-1]) < 0  # troughs and peaks take turns
        troughs, peaks = times[~high], times[high]
        name = name or _count(len(peaks), "breath") + _per_minute(peaks)
        marks += [_Mark(channel, "trough", troughs, GREEN, "^"), _Mark(channel, name, peaks, RED, "v")]
    return _Found(marks)


def _per_minute(times: np.ndarray) -> str:
    return f", {60 / np.median(np.diff(times)):.0f} per min" if len(times) > 2 else ""


def _count(number: int, one: str) -> str:
    return f"{number} {one if number == 1 else one + 's'}"


# ---- panels ---------------------------------------------------------------------------------------------------------


def _draw_block(panels: Sequence[Axes], beside: Axes, view: _View, found: _Found) -> None:
    before, after = view.before, view.after
    # lanes as far apart before as after, so that what cleaning took away is seen
    apart = max(map(_lane, (before, after))) if view.steps and before.unit == after.unit else None
    head = f"{view.modality}, as recorded"
    if view.steps:
        draw_signal(panels[0], before, AXES_COLOURS if before.unit == "g" else (MUTED,), apart)
        panels[0].set_title(f"{head} ({_size(before)})")
        place_legend(panels[0])
        title = f"after {words.label(view.steps, 70)} ({_size(after)})"
    else:
        title = f"{head}, without steps ({_size(after)})"
    panel = panels[1 if view.steps else 0]
    if found.tonic is not None:
        panel.plot(_times(found.tonic), found.tonic.data[0], color=ORANGE, linewidth=1.2, label="level (tonic)")
    raised = draw_signal(panel, after, AXES_COLOURS if after.unit == "g" else (BLUE,), apart)
    panel.set_title(title)
    _draw_marks(panel, after, found.marks, raised)
    place_legend(panel, found.told)
    if found.phasic is not None:
        panels[-1].axhline(0, color=MUTED, linewidth=0.6)
        raised = draw_signal(panels[-1], found.phasic, (PURPLE,))
        panels[-1].set_title("responses (phasic)", fontweight="normal")
        _draw_marks(panels[-1], found.phasic, found.marks, raised)
    _draw_spectra(beside, view)


def _size(signal: Signal) -> str:
    count = len(signal.channels)
    return f"{signal.rate:g} Hz" + (f"; {TRACES} of {count} channels" if count > TRACES else "")


def _lane(signal: Signal) -> float:
    """Return how far apart the chosen channels stand in lanes, in the signal's unit."""
    data = signal.data[_chosen(signal)].astype(np.float64)
    spread = _quiet(np.nanpercentile, data, 99) - _quiet(np.nanpercentile, data, 1)
    return float(1.15 * (np.nanmax(spread) if np.isfinite(spread).any() else 1.0) or 1.0)


def draw_signal(panel: Axes, signal: Signal, colours: Sequence[str], apart: float | None = None) -> dict[int, float]:
    """Draw the chosen channels, over one another or in lanes; return by channel by how much its trace is raised."""
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    chosen, times = _chosen(signal), _times(signal)
    data: np.ndarray = signal.data[chosen].astype(np.float64)
    raised: np.ndarray = np.zeros(len(chosen))
    over = not _in_lanes(signal)
    if not over:
        data = data - np.nan_to_num(_quiet(np.nanmedian, data))[:, np.newaxis]
        apart = apart or _lane(signal)
        raised = -apart * np.arange(len(chosen))
        panel.set_yticks(raised, [words.label(signal.channels[channel], 10) for channel in chosen])
        panel.set_ylim(raised[-1] - 0.75 * apart, 0.75 * apart)
        panel.set_ylabel(f"{float(f'{apart:.2g}'):g} {signal.unit} apart")
    else:
        panel.set_ylabel(signal.unit)
        panel.yaxis.set_major_locator(MaxNLocator(3))
        formatter = ScalarFormatter(useOffset=False)  # an offset would stand where the title does
        formatter.set_powerlimits((-5, 7))
        panel.yaxis.set_major_formatter(formatter)
    for index, (row, up) in enumerate(zip(data, raised, strict=True)):
        label = words.label(signal.channels[chosen[index]], 10) if over and len(chosen) > 1 else None
        panel.plot(times, row + up, color=colours[index % len(colours)], linewidth=0.8, label=label)
    _shade_gaps(panel, times, np.isnan(data).any(axis=0), 1 / signal.rate)
    panel.grid(axis="y", visible=False)
    return dict(zip(chosen, raised, strict=True))


def _quiet(reduce: Any, data: np.ndarray, *arguments: float) -> np.ndarray:
    """Reduce over time; rows without a sample give NaN without a warning."""
    result = np.full(len(data), np.nan)
    held = np.isfinite(data).any(axis=-1)
    if held.any():
        result[held] = reduce(data[held], *arguments, axis=-1)
    return result


def place_legend(panel: Axes, told: str = "") -> None:
    """Put what is labelled, or a phrase, above the right end of a panel."""
    if told:
        panel.set_title(told, loc="right", fontsize=8, fontweight="normal", color=MUTED)
    handles, labels = panel.get_legend_handles_labels()
    if handles:
        panel.legend(
            handles, labels, loc="lower right", bbox_to_anchor=(1, 1), ncols=6, handlelength=1.2, handletextpad=0.4,
            columnspacing=1, borderaxespad=0.1,
        )  # fmt: skip


def _shade_gaps(panel: Axes, times: np.ndarray, missing: np.ndarray, step: float) -> None:
    """Shade the stretches in which a sample is missing."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], missing.astype(np.int8), [0]])))
    for first, behind in zip(edges[::2], edges[1::2], strict=True):
        panel.axvspan(times[first] - step / 2, times[behind - 1] + step / 2, color=ORANGE, alpha=0.25, linewidth=0)


def _draw_marks(panel: Axes, signal: Signal, marks: Sequence[_Mark], raised: Mapping[int, float]) -> None:
    times = _times(signal)
    named: set[str] = set()
    for mark in marks:
        row = signal.data[mark.channel].astype(np.float64)
        level = np.nan_to_num(np.nanmedian(row)) if _in_lanes(signal) else 0.0
        at = signal.start + mark.at
        panel.plot(
            at, np.interp(at, times, row) - level + raised[mark.channel], mark.marker, color=mark.colour,
            markersize=4.5, markeredgewidth=0, linestyle="none", clip_on=False,
            label=None if mark.name in named else mark.name,
            in_layout=False,
        )  # fmt: skip
        named.add(mark.name)


def _draw_spectra(panel: Axes, view: _View) -> None:
    """Draw the spectra of the window before and after, the median over the channels."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    drawn = [("after", view.after, BLUE)]
    if view.steps:
        drawn.insert(0, ("before", view.before, MUTED))
    largest = 0.0
    for label, signal, colour in drawn:
        spectrum = _spectrum(signal, SEGMENT.get(view.modality, 4.0))
        if spectrum is not None:
            frequencies, power = spectrum
            panel.plot(frequencies, power, color=colour, linewidth=1.1, label=label if view.steps else None)
            largest = max(largest, float(power.max()))
    highest = min(view.before.rate / 2, HIGHEST.get(view.modality, np.inf))
    panel.set_xlim(0, highest)
    panel.set_xlabel("Hz", labelpad=1)
    panel.xaxis.set_major_locator(MaxNLocator(4))
    if largest > 0:
        panel.set_yscale("log")
        panel.set_ylim(largest * 1e-7, largest * 3)
        panel.yaxis.set_major_locator(LogLocator(numticks=5))
        panel.yaxis.set_major_formatter(lambda value, _: _power_of_ten(value))
        panel.yaxis.set_minor_locator(NullLocator())
        if view.steps:
            panel.legend(loc="upper right", handlelength=1.2, borderaxespad=0.1)
    else:
        panel.set_yticks([])
        panel.annotate(
            "no spectrum: samples are missing,\nor nothing moves", (0.5, 0.5), xycoords="axes fraction", ha="center",
            va="center", color=MUTED, fontsize=8,
        )  # fmt: skip
    panel.set_title(f"spectrum, {view.after.unit}²/Hz", fontweight="normal", color=MUTED, fontsize=8)


def _power_of_ten(value: float) -> str:
    return "10" + str(round(np.log10(value))).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _spectrum(signal: Signal, seconds: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Return frequencies and the median power density over the channels that are whole; None where none has any."""
    from scipy.signal import welch

    rows = signal.data[np.isfinite(signal.data).all(axis=-1)].astype(np.float64)
    if not len(rows) or rows.shape[1] < 8:
        return None
    segment = min(rows.shape[1], max(8, round(signal.rate * seconds)))
    frequencies, power = welch(rows, signal.rate, nperseg=segment, detrend="linear")
    power = np.median(power, axis=0)
    return (frequencies[1:], power[1:]) if (power[1:] > 0).any() else None


# ---- files ----------------------------------------------------------------------------------------------------------


def refuse_to_replace(path: Path) -> None:
    """Raise DataError if the name of a file is no picture's, or if it is a file that was not written here."""
    if path.suffix.lower() not in FORMATS:
        raise DataError(f"A figure is written to a file that ends with {', '.join(FORMATS)}; found {path.name}.")
    if path.is_dir():
        raise DataError(f"{path} is a folder; name a file in it, such as {path / 'window.png'}.")
    if path.is_file() and MARK not in path.read_bytes():
        raise DataError(f"{path} is there already and was not drawn by this command; remove it or choose another name.")


def write_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, SVG or a page in HTML, by the ending of its name; whole, or not at all.

    Raises
    ------
    DataError
        As of :func:`refuse_to_replace`.
    """
    refuse_to_replace(path)
    kind = path.suffix.lower()
    if kind == ".png":
        content = _saved(figure, "png", dpi=160, metadata={"Software": MARK.decode()})
    else:
        content = _saved(figure, "svg", metadata={"Date": None, "Creator": MARK.decode()})
        # Verdana is as wide as the font that the layout was made with, and on most machines where that one is not.
        content = content.replace(b"'DejaVu Sans'", b"'DejaVu Sans', Verdana")
    if kind == ".html":
        content = _page(figure, content[content.index(b"<svg") :])
    return write_atomically(path, lambda file: file.write_bytes(content))


def _saved(figure: Figure, kind: str, **options: Any) -> bytes:
    import matplotlib

    stream = io.BytesIO()
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(stream, format=kind, **options)
    return stream.getvalue()


def _page(figure: Figure, svg: bytes) -> bytes:
    title = html.escape(figure.get_suptitle().strip())
    head = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>body{{margin:1rem;background:{PAPER};color:{INK}}}svg{{max-width:100%;height:auto}}</style></head><body>"
    )
    return head.encode() + svg + b"</body></html>\n"
