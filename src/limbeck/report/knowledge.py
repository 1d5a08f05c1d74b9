"""Pictures of what a teacher hands over: how sure it is against how often it is right, and how sure it is of what."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from limbeck.report.figures import BLUE, GREEN, GRID, INK, MUTED, ORANGE, PAPER, PURPLE, RED, SKY, STYLE, WIDTH
from limbeck.report.signals import settle

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["CertaintyPanel", "TracePanel", "draw_knowledge"]

_LOOKS = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), (PURPLE, ":"), (SKY, "-"), (RED, "--"))
"""Colour and line of the classes, over again where there are more."""

_COLUMNS = 4
"""Classes in a line of a legend."""

_HEIGHT = 2.7
"""Inches of a row."""


@dataclass(frozen=True, eq=False)
class CertaintyPanel:
    """What is drawn of a teacher of classes on one part of the windows.

    Parameters
    ----------
    title : str
        Whose windows these are.
    confidence, accuracy : ndarray of shape (n_bins,), float
        Mean of the highest probability, and share of right decisions, per bin of confidence; NaN where it is empty.
    counts : ndarray of shape (n_bins,), int
        Windows per bin; the bins divide 0 to 1 evenly.
    classes : sequence of str
        Names.
    entropies : ndarray of shape (n_classes, n_entropy_bins), int
        Windows by true class and entropy; these bins divide 0 to the highest possible one evenly.
    """

    title: str
    confidence: np.ndarray
    accuracy: np.ndarray
    counts: np.ndarray
    classes: Sequence[str]
    entropies: np.ndarray


@dataclass(frozen=True, eq=False)
class TracePanel:
    """What is drawn of a teacher of a trace on one part of the windows.

    Parameters
    ----------
    title : str
        Whose windows these are.
    truth, value : ndarray of shape (n_values,), float
        The trace, and what the teacher says of it.
    """

    title: str
    truth: np.ndarray
    value: np.ndarray


def draw_knowledge(panels: Sequence[CertaintyPanel | TracePanel], heading: str) -> Figure:
    """Draw what is handed over, a row per panel.

    Classes: how often the teacher is right by how sure it is (on the diagonal it is as sure as it should be), and the
    entropy of its probabilities by true class. Traces: what it says against what is true, and the distribution of its
    errors.

    Parameters
    ----------
    panels : sequence of CertaintyPanel or TracePanel
        One at least.
    heading : str
        Stands above them.

    Returns
    -------
    matplotlib.figure.Figure
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # odd signs in names of classes
        figure = Figure(figsize=(WIDTH, 0.6 + _HEIGHT * len(panels)), layout="constrained", facecolor=PAPER)
        figure.get_layout_engine().set(hspace=0.06, wspace=0.05)  # type: ignore[union-attr, call-arg]
        grid = figure.add_gridspec(len(panels), 2, width_ratios=[1, 1.6])
        for row, panel in enumerate(panels):
            left, right = figure.add_subplot(grid[row, 0]), figure.add_subplot(grid[row, 1])
            if isinstance(panel, CertaintyPanel):
                _draw_reliability(left, panel)
                _draw_entropies(right, panel)
            else:
                _draw_agreement(left, panel)
                _draw_errors(right, panel)
        settle(figure, heading)
    return figure


def _draw_reliability(axes: Axes, panel: CertaintyPanel) -> None:
    edges = np.linspace(0, 1, len(panel.counts) + 1)
    share = panel.counts / max(1, panel.counts.sum())
    axes.bar(edges[:-1], share, np.diff(edges), align="edge", color=GRID, edgecolor=PAPER, label="share of windows")
    axes.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=0.9, label="as sure as it is right")
    filled = panel.counts > 0
    sizes = 10 + 90 * share[filled]  # a bin of few windows is a coarse figure
    axes.plot(panel.confidence[filled], panel.accuracy[filled], color=BLUE, linewidth=1)
    axes.scatter(panel.confidence[filled], panel.accuracy[filled], s=sizes, color=BLUE, label="right", zorder=3)
    axes.set(xlim=(1 / len(panel.classes) - 0.03, 1.02), ylim=(0, 1.42), title=panel.title)
    axes.set(xlabel="confidence (highest probability)", ylabel="share that is right")
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.legend(loc="upper left", ncols=2, handlelength=1.4, columnspacing=1.2)  # in the room above the curve


def _draw_entropies(axes: Axes, panel: CertaintyPanel) -> None:
    edges = np.linspace(0, 1, panel.entropies.shape[1] + 1)
    for number, (name, counts) in enumerate(zip(panel.classes, panel.entropies, strict=True)):
        colour, line = _LOOKS[number % len(_LOOKS)]
        share = counts / max(1, counts.sum())
        axes.stairs(share, edges, color=colour, linestyle=line, linewidth=1.4, label=f"{name} ({counts.sum():,})")
        axes.stairs(share, edges, color=colour, alpha=0.08, fill=True)
    axes.set(xlim=(0, 1), xlabel="entropy (share of the highest possible: 1 is a guess)", ylabel="share of the class")
    axes.legend(loc="upper center", title="true class", ncols=min(_COLUMNS, len(panel.classes)))
    # Room for the legend above the curves: its title, and a line per so many classes.
    axes.set_ylim(0, axes.get_ylim()[1] * (1.15 + 0.12 * -(-len(panel.classes) // _COLUMNS)))


def _draw_agreement(axes: Axes, panel: TracePanel) -> None:
    axes.scatter(panel.truth, panel.value, s=6, color=BLUE, alpha=0.35, linewidths=0)
    both = np.concatenate([panel.truth, panel.value])
    if len(both):
        ends = [both.min(), both.max()]
        axes.plot(ends, ends, color=MUTED, linestyle="--", linewidth=0.9)
    axes.set(xlabel="truth", ylabel="what the teacher says", title=panel.title)


def _draw_errors(axes: Axes, panel: TracePanel) -> None:
    errors = panel.value.astype(np.float64) - panel.truth
    widest = float(np.abs(errors).max(initial=0)) or 1.0
    axes.hist(errors, bins=40, range=(-widest, widest), color=SKY, edgecolor=PAPER)
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.set(xlabel="error (what the teacher says, minus the truth)", ylabel="values")
