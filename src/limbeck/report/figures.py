"""The figures of a report, as inline SVG.

Matplotlib draws through the object API (no pyplot state); its SVG is then reduced to what an HTML page needs: text
stays text in the page's font, colours become CSS variables so that figures follow a dark page, identifiers become
unique, coordinates keep two decimals.

Colours are Okabe and Ito's palette, which stays apart for the colour-blind (https://jfly.uni-koeln.de/color/);
whatever a colour tells is told by the shape of a marker or by position too.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np

from limbeck.report import words

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from limbeck.evaluation.judgement import Comparison, Interval, Judgement, LabelEfficiency, Verdict

__all__ = ["gains", "label_efficiency", "learning_curves", "paired", "subject_scores", "summarise_history"]

INK, MUTED, GRID, PAPER = "#1b1e23", "#5f6670", "#d9dce1", "#ffffff"
BLUE, ORANGE, GREEN, PURPLE, SKY, RED = "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"

THEME = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    PAPER: "paper",
    BLUE: "blue",
    ORANGE: "orange",
    GREEN: "green",
    PURPLE: "purple",
    SKY: "sky",
    RED: "red",
}
"""Colours that the page redefines for dark screens, by the names of its CSS variables."""

LOOKS: Mapping[str, tuple[str, str]] = {
    "taught": (BLUE, "o"),
    "alone": (MUTED, "s"),
    "own_input": (ORANGE, "^"),
    "scrambled": (PURPLE, "D"),
    "teacher": (GREEN, "P"),
    "ceiling": (SKY, "X"),
}
"""Colour and marker of the arms that most studies have."""

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "limbeck",
    "text.parse_math": False,  # names of subjects and arms may hold dollar signs
    "axes.unicode_minus": True,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with Matplotlib: layouts do not depend on the machine's fonts
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.7,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "path.simplify_threshold": 0.2,
}

WIDTH = 9.6
"""Inches; the page shows them about 960 px wide, so that 9 pt become 12 px."""

CURVE_POINTS = 120
"""Epochs drawn per learning curve; longer ones are thinned, which keeps the page small."""


@dataclass(frozen=True)
class GainRow:
    """One line of a figure of gains: a label, the gain with its interval, and the look of its marker."""

    label: str
    gain: Interval
    p_value: float | None
    colour: str
    marker: str
    smallest: float = np.nan


def gains(
    groups: Sequence[tuple[str, Sequence[GainRow]]], metric: str, *, name: str, title: str, minuend: str = "taught"
) -> Markup:
    """Draw gains with their intervals, one below the other, under a heading per group.

    Parameters
    ----------
    groups : sequence of (heading, rows)
        A heading may be empty.
    metric : str
        Decides the unit.
    name, title : str
        Prefix of identifiers, and what the figure shows in words, for those who do not see it.
    minuend : str
        What the others are subtracted from, for the axis.
    """
    factor = 100.0 if metric in words.IN_POINTS else 1.0
    ticks: list[tuple[float, str, bool]] = []
    placed: list[tuple[float, GainRow]] = []
    place = 0.0
    for heading, rows in groups:
        if heading:
            ticks.append((place, heading, True))
            place += 1
        for row in rows:
            ticks.append((place, row.label, False))
            placed.append((place, row))
            place += 1
        place += 0.35
    with _styled() as figure_of:
        figure = figure_of(WIDTH, 0.75 + 0.235 * place)
        axes = figure.subplots()
        axes.grid(axis="y", visible=False)
        axes.axvline(0, color=INK, linewidth=0.9)
        for height, row in placed:
            _gain_line(axes, height, row, factor)
            told = f"{words.gain(row.gain.estimate, metric)} {words.interval(row.gain, metric)}"
            tested = "" if row.p_value is None else f"p {words.p_value(row.p_value)}"
            for text, offset in ((told, 8), (tested, 104)):
                axes.annotate(
                    text, (1.0, height), xycoords=("axes fraction", "data"), xytext=(offset, 0),
                    textcoords="offset points", va="center", fontsize=8, color=INK, annotation_clip=False,
                )  # fmt: skip
        axes.set_yticks([at for at, _, _ in ticks], [words.label(text, 46) for _, text, _ in ticks])
        for tick, (_, _, bold) in zip(axes.get_yticklabels(), ticks, strict=True):
            tick.set_fontweight("bold" if bold else "normal")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_ylim(place - 0.2, -0.8)
        _include_zero(axes)
        unit = "points of balanced accuracy" if metric == "balanced_accuracy" else _gain_axis(metric)
        axes.set_xlabel(f"gain: {minuend} minus the other, {unit} (mean over subjects and 95 % interval)")
        return _to_svg(figure, name=name, title=title)


def _gain_axis(metric: str) -> str:
    label = words.metric_label(metric)
    return f"points of {label}" if metric in words.IN_POINTS else label


def _gain_line(axes: Axes, height: float, row: GainRow, factor: float) -> None:
    low, middle, high = (factor * end for end in (row.gain.low, row.gain.estimate, row.gain.high))
    axes.plot([low, high], [height, height], color=row.colour, linewidth=2, solid_capstyle="round")
    filled = row.colour if low > 0 or high < 0 else PAPER
    axes.plot(
        middle, height, row.marker, markersize=6, markeredgecolor=row.colour, markerfacecolor=filled,
        markeredgewidth=1.4,
    )  # fmt: skip
    if np.isfinite(row.smallest):
        axes.plot(factor * row.smallest, height, marker="|", markersize=9, markeredgewidth=1.3, color=MUTED)


def _include_zero(axes: Axes) -> None:
    low, high = axes.get_xlim()
    margin = 0.04 * max(high - low, 1e-9)
    axes.set_xlim(min(low, -margin), max(high, margin))


def paired(judgement: Judgement, verdict: Verdict, *, name: str) -> Markup | None:
    """Draw every subject: alone against taught with a line each, the controls and references, and who gained how much.

    Returns None when no subject has a score of both arms.
    """
    comparison = verdict.comparison
    table = judgement.per_subject
    if not {comparison.taught, comparison.alone} <= set(table.columns):
        return None
    pairs = table[[comparison.alone, comparison.taught]].dropna()
    if pairs.empty:
        return None
    gained = _gained(pairs, judgement.metric)
    pairs, gained = pairs.iloc[np.argsort(gained, kind="stable")], np.sort(gained)
    height = min(3.1 + 0.07 * len(pairs), 11.5)
    with _styled() as figure_of:
        figure = figure_of(WIDTH, height)
        left, right = figure.subplots(1, 2, width_ratios=[1.35, 1])
        _columns(left, judgement, _paired_columns(comparison, table), lines=pairs)
        _who_gained(right, pairs, judgement.metric, height)
        title = (
            f"{words.metric_label(judgement.metric)} of each of {len(pairs)} subjects, {comparison.alone} against "
            f"{comparison.taught}: {int((gained > 0).sum())} subjects gain."
        )
        return _to_svg(figure, name=name, title=title)


def _gained(pairs: pd.DataFrame, metric: str) -> np.ndarray:
    """Second column minus first, turned round where a lower score is better."""
    before, after = pairs.to_numpy(dtype=float).T
    return before - after if metric in words.LOWER_IS_BETTER else after - before


@dataclass(frozen=True)
class Column:
    """One arm in a plot of subjects: where it stands, what it is called, how it looks."""

    place: float
    arm: str
    label: str
    colour: str
    marker: str


def _paired_columns(comparison: Comparison, table: pd.DataFrame) -> list[Column]:
    """Alone and taught first, then the controls, then the references, with a gap between the groups."""
    references = {"teacher": comparison.teacher, "ceiling": comparison.ceiling}
    if comparison.teacher == comparison.ceiling:
        references = {"teacher": comparison.teacher}
    groups: list[Mapping[str, str | None]] = [
        {"alone": comparison.alone, "taught": comparison.taught},
        dict(comparison.credit),
        references,
    ]
    columns: list[Column] = []
    place = 0.0
    for group in groups:
        held = {kind: arm for kind, arm in group.items() if arm in table.columns and table[arm].notna().any()}
        for kind, arm in held.items():
            colour, marker = LOOKS.get(kind, (RED, "v"))
            columns.append(Column(place, str(arm), kind.replace("_", " "), colour, marker))
            place += 1
        place += 0.5 if held else 0
    return columns


def _columns(axes: Axes, judgement: Judgement, columns: Sequence[Column], lines: pd.DataFrame | None = None) -> None:
    """Draw a column of subjects per arm, with mean and interval beside it."""
    if lines is not None:
        before, after = lines.to_numpy(dtype=float).T
        for rises, colour in ((True, BLUE), (False, RED)):
            chosen = (_gained(lines, judgement.metric) > 0) == rises
            axes.plot([0, 1], [before[chosen], after[chosen]], color=colour, linewidth=0.9, alpha=0.55)
    for column in columns:
        values = judgement.per_subject[column.arm].dropna().to_numpy(dtype=float)
        axes.plot(
            np.full(len(values), column.place), values, column.marker, markersize=4, color=column.colour, alpha=0.45,
            markeredgewidth=0,
        )  # fmt: skip
        mean = judgement.arms[column.arm].scores.get(judgement.metric) if column.arm in judgement.arms else None
        if mean is not None and np.isfinite(mean.estimate):
            beside = column.place + (-0.17 if lines is not None and column.place == 0 else 0.17)
            axes.plot([beside, beside], [mean.low, mean.high], color=column.colour, linewidth=2)
            axes.plot(beside, mean.estimate, column.marker, markersize=7, color=column.colour, markeredgewidth=0)
    places = [column.place for column in columns]
    turned = len(columns) > 6 or any(len(column.label) > 14 for column in columns)
    axes.set_xticks(
        places,
        [words.label(column.label, 28) for column in columns],
        rotation=25 if turned else 0,
        ha="right" if turned else "center",
    )
    axes.set_xlim(-0.45, max(places) + 0.5)
    axes.grid(axis="x", visible=False)
    axes.set_ylabel(words.metric_label(judgement.metric))
    axes.set_title("Every subject; mean with 95 % interval beside")
    if judgement.metric == "balanced_accuracy" and judgement.classes:
        chance = 1 / len(judgement.classes)
        axes.axhline(chance, color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)))
        axes.annotate(
            "chance", (1, chance), xycoords=("axes fraction", "data"), xytext=(-2, 2), textcoords="offset points",
            ha="right", fontsize=7.5, color=MUTED,
        )  # fmt: skip


def _who_gained(axes: Axes, pairs: pd.DataFrame, metric: str, height: float) -> None:
    before, after = pairs.to_numpy(dtype=float).T
    gained = _gained(pairs, metric)
    rows = np.arange(len(pairs))
    for rises, colour in ((True, BLUE), (False, RED)):
        chosen = (gained > 0) == rises
        axes.hlines(rows[chosen], before[chosen], after[chosen], color=colour, linewidth=1.6, alpha=0.8)
    axes.plot(before, rows, "s", markersize=3.8, color=MUTED, markeredgewidth=0, label="alone")
    axes.plot(after, rows, "o", markersize=4.6, color=BLUE, markeredgewidth=0, label="taught")
    # Names overlap when rows come closer than a line of text.
    size = min(8.0, 72 * 0.85 * (height - 0.9) / max(len(pairs), 1))
    if size >= 5:
        axes.set_yticks(rows, [words.label(subject, 18) for subject in pairs.index], fontsize=size)
    else:
        axes.set_yticks([])
    axes.set_ylabel("subject, by gain")
    axes.set_ylim(-0.8, len(pairs) - 0.2)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(words.metric_label(metric))
    axes.set_title(f"{int((gained > 0).sum())} gain, {int((gained < 0).sum())} lose")
    axes.legend(
        loc="lower right", bbox_to_anchor=(1, 1), ncols=2, handletextpad=0.1, columnspacing=1, borderaxespad=0.1
    )


def subject_scores(judgement: Judgement, arms: Mapping[str, words.Role], *, name: str) -> Markup | None:
    """Draw the subjects of every arm beside each other: for variants in which nothing is compared."""
    table = judgement.per_subject
    held = [arm for arm in arms if arm in table.columns and table[arm].notna().any()]
    if not held:
        return None
    looks = list(LOOKS.values())
    columns = [Column(float(place), arm, arm, *looks[place % len(looks)]) for place, arm in enumerate(held)]
    with _styled() as figure_of:
        figure = figure_of(min(1.4 + 1.3 * len(held), WIDTH), 3.6)
        _columns(figure.subplots(), judgement, columns)
        title = f"{words.metric_label(judgement.metric)} of {len(table)} subjects in {len(held)} arms."
        return _to_svg(figure, name=name, title=title)


EFFICIENCY_LINES: Mapping[str, tuple[str, str, str, float]] = {
    "alone": (*LOOKS["alone"], "-", 0.975),
    "self_taught": (*LOOKS["own_input"], "--", 1.025),
    "taught": (*LOOKS["taught"], "-", 1.0),
}
"""Colour, marker, dashes, and where beside its number a line is drawn, so that none covers another."""


def label_efficiency(found: LabelEfficiency, *, name: str) -> Markup:
    """Draw score against labelled subjects, on a logarithmic axis: alone, own input and taught, and all labels.

    A dotted line leads from taught to where alone scores the same, which is what teaching was worth.

    Parameters
    ----------
    found : LabelEfficiency
        The curve.
    name : str
        Prefix of identifiers.
    """
    counts = sorted(set(found.scores["labelled"]))
    with _styled() as figure_of:
        figure = figure_of(0.72 * WIDTH, 3.5)
        axes = figure.subplots()
        axes.set_xscale("log")
        if found.all_labels is not None:
            axes.axhline(
                found.all_labels.estimate, color=SKY, linewidth=1.6, linestyle=(0, (7, 2.5)), zorder=1.5,
                label="alone, all labels",
            )  # fmt: skip
        for line, (colour, marker, dashes, beside) in EFFICIENCY_LINES.items():
            rows = found.scores[found.scores["line"] == line]
            if len(rows):
                place = rows["labelled"].to_numpy(float) * beside
                axes.vlines(place, rows["low"], rows["high"], color=colour, linewidth=1.8, alpha=0.55)
                axes.plot(
                    place, rows["score"], color=colour, marker=marker, linestyle=dashes, linewidth=1.6, markersize=6,
                    markeredgewidth=0, label="own input" if line == "self_taught" else line,
                )  # fmt: skip
        _worth_lines(axes, found)
        axes.set_xticks(counts, [_count_tick(labelled, found) for labelled in counts])
        axes.minorticks_off()
        axes.set_xlim(counts[0] / 1.16, counts[-1] * 1.16)
        axes.grid(axis="x", visible=False)
        axes.margins(y=0.1)
        axes.set_xlabel("subjects with labels")
        axes.set_ylabel(words.metric_label(found.metric))
        axes.legend(
            loc="lower right", bbox_to_anchor=(1, 1), ncols=4, borderaxespad=0.2, columnspacing=1.4, handlelength=3
        )
        title = f"{words.metric_label(found.metric)} against the number of labelled subjects. {found.sentence}"
        return _to_svg(figure, name=name, title=title)


def _count_tick(labelled: float, found: LabelEfficiency) -> str:
    text = f"{labelled:.0f}"
    return f"all ({text})" if labelled >= found.all_labelled else text


def _worth_lines(axes: Axes, found: LabelEfficiency) -> None:
    taught = found.scores[found.scores["line"] == "taught"].set_index("labelled")["score"]
    for worth in found.worth:
        if np.isfinite(worth.matched.estimate) and worth.extra.estimate > 0:
            height = float(taught[worth.labelled])
            axes.plot(
                [worth.labelled, worth.matched.estimate], [height, height], color=BLUE, linewidth=1.3,
                linestyle=(0, (1, 1.6)), marker="|", markevery=[1], markersize=9, markeredgewidth=1.3,
            )  # fmt: skip


def summarise_history(history: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return median and 10 % and 90 % quantiles of a column over trainings, per variant, arm, split and epoch.

    Epochs that fewer than half of an arm's trainings reached are left out: what stopped early is not like what went on.

    Returns
    -------
    DataFrame
        Columns ``variant arm split epoch low median high trainings``.
    """
    import pandas as pd

    keys = ["variant", "arm", "split", "epoch"]
    names = [*keys, "low", "median", "high", "trainings"]
    values = pd.to_numeric(history[column], errors="coerce").replace([np.inf, -np.inf], np.nan)
    known = history[keys].assign(value=values).dropna(subset=["value"])
    if known.empty:
        return pd.DataFrame(columns=names)
    grouped = known.groupby(keys, observed=True, sort=True)["value"]
    quantiles = {"low": 0.1, "median": 0.5, "high": 0.9}
    table = pd.DataFrame({name: grouped.quantile(level) for name, level in quantiles.items()})
    table = table.assign(trainings=grouped.size()).reset_index()
    most = table.groupby(["variant", "arm", "split"], observed=True)["trainings"].transform("max")
    return table[table["trainings"] >= most / 2][names]


def learning_curves(curves: pd.DataFrame, arms: Sequence[str], *, quantity: str, name: str) -> Markup | None:
    """Draw training and validation against the epoch, a panel per arm: median and band from 10 % to 90 %.

    Parameters
    ----------
    curves : DataFrame
        From :func:`summarise_history`, of one variant.
    arms : sequence of str
        The order of panels; arms without curves are skipped.
    quantity : str
        The label of the vertical axis.
    name : str
        Prefix of identifiers.
    """
    held = [arm for arm in arms if (curves["arm"] == arm).any()]
    if not held:
        return None
    across = min(len(held), 4)
    down = -(-len(held) // across)
    with _styled() as figure_of:
        figure = figure_of(0.4 + 2.3 * across, 0.5 + 1.75 * down)
        panels = figure.subplots(down, across, squeeze=False)
        for panel, arm in zip(panels.flat, held, strict=False):
            _curve_panel(panel, curves[curves["arm"] == arm], arm)
        for panel in panels.flat[len(held) :]:
            panel.set_visible(False)
        figure.supxlabel("epoch", fontsize=STYLE["axes.labelsize"])
        figure.supylabel(quantity, fontsize=STYLE["axes.labelsize"])
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=2)
        title = f"Learning curves: {quantity} against epoch, in training and validation, for {len(held)} arms."
        return _to_svg(figure, name=name, title=title)


def _curve_panel(axes: Axes, curves: pd.DataFrame, arm: str) -> None:
    from matplotlib.ticker import MaxNLocator

    for split, colour, dashes in (("train", BLUE, "-"), ("validation", RED, (0, (4, 1.5)))):
        line = curves[curves["split"] == split].sort_values("epoch")
        if line.empty and split == "validation":
            continue
        line = line.iloc[np.unique(np.linspace(0, len(line) - 1, min(len(line), CURVE_POINTS)).astype(int))]
        epochs = line["epoch"].to_numpy(dtype=float)
        axes.fill_between(epochs, line["low"], line["high"], color=colour, alpha=0.18, linewidth=0)
        alone = "o" if len(epochs) == 1 else ""
        axes.plot(epochs, line["median"], color=colour, linewidth=1.5, linestyle=dashes, marker=alone, label=split)
    axes.set_title(words.label(arm, 26), fontsize=8.5)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))


@contextmanager
def _styled() -> Iterator[Any]:
    """Within this style, hand out a function that makes a figure of a width and height in inches."""
    import matplotlib
    from matplotlib.figure import Figure

    def figure_of(width: float, height: float) -> Figure:
        return Figure(figsize=(width, height), layout="constrained")

    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # The reader's browser draws the text: what Matplotlib's own font lacks is of no concern.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield figure_of


NUMBER = re.compile(r"-?\d+\.\d{3,}")
COLOUR = re.compile("|".join(THEME))
FONT = re.compile(r"\s*font-family: [^;]*;?")
SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


def _to_svg(figure: Figure, *, name: str, title: str) -> Markup:
    """Return a figure as an SVG element for a page, with identifiers that start with `name`."""
    from markupsafe import Markup

    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    root = ET.fromstring(text.getvalue())  # noqa: S314 - written by Matplotlib two lines above
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")) or _is_nothing(child):
                parent.remove(child)
    _rename(root, name)
    for element in root.iter():
        element.tail = None
        if element.text and not element.text.strip():
            element.text = None
        for key in ("d", "x", "y", "width", "height", "transform", "points"):
            if key in element.attrib:
                value = NUMBER.sub(_two_decimals, element.attrib[key])
                element.set(key, " ".join(value.split()))
        style = element.attrib.get("style")
        if style is not None:
            style = FONT.sub("", style).replace(": ", ":").replace("; ", ";").strip(";")
            element.set("style", COLOUR.sub(lambda found: f"var(--{THEME[found.group()]})", style))
        if element.tag.endswith("}text") and re.match(r"rotate\(-?0 ", element.attrib.get("transform", "")):
            del element.attrib["transform"]
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    wide = figure.get_figwidth() * 100  # CSS pixels at which 9 pt are as large as the text of tables
    root.set("style", f"max-width:{wide:.0f}px;min-width:{min(640.0, wide):.0f}px")
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title")
    heading = ET.Element(f"{{{SVG}}}title", {"id": f"{name}-title"})
    heading.text = words.label(title, 400)
    root.insert(0, heading)
    # Global, but for two namespaces that everybody spells like this.
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", XLINK)
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704 - serialised XML, its text is escaped


def _is_nothing(element: ET.Element) -> bool:
    """Backgrounds of figure and axes are drawn as paths without fill or stroke."""
    return element.tag == f"{{{SVG}}}path" and element.attrib.get("style") == "fill: none"


def _two_decimals(found: re.Match[str]) -> str:
    return f"{float(found.group()):.2f}".rstrip("0").rstrip(".")


def _rename(root: ET.Element, name: str) -> None:
    """Keep only identifiers that something refers to, and give them names that no other figure of the page has."""
    link = f"{{{XLINK}}}href"
    used: dict[str, str] = {}
    for element in root.iter():
        for value in (element.attrib.get(link, ""), element.attrib.get("clip-path", "")):
            target = re.search(r"#([^)]+)", value)
            if target:
                used.setdefault(target.group(1), f"{name}-{len(used)}")
    for element in root.iter():
        identifier = element.attrib.pop("id", None)
        if identifier in used:
            element.set("id", used[identifier])
        if link in element.attrib:
            element.set("href", f"#{used[element.attrib.pop(link)[1:]]}")
        if "clip-path" in element.attrib:
            element.set("clip-path", f"url(#{used[element.attrib['clip-path'][5:-1]]})")
