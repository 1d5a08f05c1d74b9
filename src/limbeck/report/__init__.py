"""Report: what a run found, in one page that opens anywhere and in a few lines on the terminal.

A *report* is written from values only: a :class:`StudyRecord` (what was run), judgements (what
:func:`limbeck.evaluation.judge` made of the predictions) and the history of the trainings. It computes no score and no
test of its own; what several variants tell together, it asks :mod:`limbeck.evaluation` for.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from limbeck.report.record import StudyRecord

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from limbeck.evaluation.judgement import Judgement

__all__ = ["StudyRecord", "print_summary", "write_report"]


def write_report(path: Path, record: StudyRecord, judgements: Sequence[Judgement], history: pd.DataFrame) -> Path:
    """Write the report of a study as one self-contained HTML page.

    The page needs no network and runs no script. It appears whole or not at all: it is written beside its place under
    a temporary name and renamed.

    Parameters
    ----------
    path : Path
        The file to write, or a folder, in which it is called ``report.html``.
    record : StudyRecord
        What was run.
    judgements : sequence of Judgement
        One per variant, in the order in which they shall appear.
    history : DataFrame
        Columns ``variant arm repetition fold seed epoch split loss`` and, where it was recorded, ``metric``; `split` is
        ``train`` or ``validation``. May be empty.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    DataError
        If `history` is not empty and lacks a column.
    """
    from limbeck.report.page import render, write_whole

    target = path / "report.html" if path.is_dir() else path
    return write_whole(target, render(record, judgements, history))


def print_summary(
    record: StudyRecord, judgements: Sequence[Judgement], console: Console, *, report: Path | None = None
) -> None:
    """Print verdicts and a table of the arms; see :func:`limbeck.report.terminal.print_summary`."""
    from limbeck.report import terminal

    terminal.print_summary(record, judgements, console, report=report)
