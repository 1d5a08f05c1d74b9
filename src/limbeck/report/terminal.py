"""The few lines that end ``limbeck run``: verdicts, the table of arms, where the report is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from limbeck.report import words

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from limbeck.evaluation.judgement import Judgement
    from limbeck.report.efficiency import ShownEfficiency
    from limbeck.report.record import StudyRecord

PLAIN_SIGNS = str.maketrans("−–—’‘“”…×\N{NO-BREAK SPACE}", "---''\"\".x ")
"""What stands for signs that old terminals do not know."""

POOR = 0.1
"""Share of poor windows from which on a signal is named."""

__all__ = ["print_summary"]


def print_summary(
    record: StudyRecord, judgements: Sequence[Judgement], console: Console, *, report: Path | None = None
) -> None:
    """Print what a run found, to be read at 80 columns.

    On a terminal with colour and rules; elsewhere (a pipe, a log) the same lines without either. Names are printed as
    they are: square brackets in them are no markup.

    Parameters
    ----------
    record : StudyRecord
        What was run.
    judgements : sequence of Judgement
        One per variant.
    console : rich.console.Console
        Where to.
    report : Path, optional
        Where the report lies; named in the last line.
    """
    from rich.text import Text

    from limbeck.report.efficiency import label_efficiencies
    from limbeck.report.page import cautions

    def said(text: object, limit: int = 1000) -> str:
        return _spoken(words.label(text, limit), console.encoding)

    console.print(Text(said(record.study, 76), style="bold"))
    for judgement in judgements:
        for verdict in judgement.verdicts:
            why_not = words.not_claimable(verdict)
            state = words.verdict_label(verdict).upper() + (f": {why_not}" if why_not else "")
            line = Text(f"[{state}] ", style="bold green" if verdict.claim else "bold yellow")
            if judgement.variant:
                line.append(f"{said(judgement.variant, 50)}: ", style="bold default")
            line.append(said(verdict.sentence), style="not bold default")
            console.print(line)
    for caution in cautions(record, judgements):
        console.print(Text.assemble(("warning: ", "bold red"), said(caution)))
    plain, encoding = not console.is_terminal, console.encoding
    compared = [judgement for judgement in judgements if judgement.verdicts] if len(judgements) > 1 else []
    if compared:
        metric = words.metric_label(compared[0].metric)
        console.print(Text(f"\n{metric} per {compared[0].level}, mean over subjects", style="bold"))
        console.print(_overview(compared, plain=plain, encoding=encoding))
    for judgement in judgements:
        if judgement in compared:
            continue  # all arms of all variants would not be short; the report has them
        heading = f"{said(judgement.variant, 50)}: " if judgement.variant else ""
        heading += f"{words.metric_label(judgement.metric)} per {judgement.level}, mean over subjects [95 % interval]"
        console.print(Text(f"\n{_spoken(heading, encoding)}", style="bold"))
        console.print(_arms(judgement, plain=plain, encoding=encoding))
    for shown in label_efficiencies(record, judgements):
        heading = f"{shown.name}: {words.metric_label(shown.found.metric)} by labelled subjects"
        console.print(Text(f"\n{said(heading)}", style="bold"))
        console.print(_efficiency(shown, plain=plain, encoding=encoding))
        console.print(Text(said(shown.found.sentence)))
    poor = _poor_signals(record)
    if poor:
        console.print(Text(said(f"Signals in windows that are hard to believe (quality below 0.5): {poor}.")))
    if record.left_out:
        count = len(record.left_out)
        console.print(Text(f"{count} item{'s' if count != 1 else ''} of the data left out; the report lists them."))
    if report is not None:
        # One line, however long: a wrapped path cannot be copied or opened.
        console.print(Text(f"Report: {report}"), soft_wrap=True)


def _poor_signals(record: StudyRecord) -> str:
    """Name the signals of which at least a tenth of the windows is poor, with the share and what is mostly wrong."""
    worst: dict[str, tuple[float, str]] = {}
    for row in record.quality:  # one per variant; the worst is said
        held = (float(row["below"]), str(row["worst"]))
        worst[row["modality"]] = max(worst.get(row["modality"], held), held)
    return ", ".join(
        f"{modality} {words.share(below)} (mostly {words.QUALITY[kind][1]})"
        for modality, (below, kind) in worst.items()
        if below >= POOR
    )


def _empty(*, plain: bool) -> Table:
    from rich import box
    from rich.table import Table

    return Table(box=None if plain else box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2 if plain else 1, 0, 0))


def _overview(judgements: Sequence[Judgement], *, plain: bool, encoding: str) -> Table:
    """One line per comparison of a study with several variants."""
    from rich.text import Text

    table = _empty(plain=plain)
    table.add_column("comparison", overflow="fold", max_width=28)
    unit = words.gain_unit(judgements[0].metric)
    for title in ("alone", "taught", f"gain ({unit})", "interval", "p claim"):
        table.add_column(title, justify="left" if title == "interval" else "right", no_wrap=True)
    for judgement in judgements:
        for verdict in judgement.verdicts:
            pair = verdict.comparison
            gain = next((row.gain for row in verdict.differences if row.kind == "alone"), None)
            means = [judgement.arms[arm].scores.get(judgement.metric) for arm in (pair.alone, pair.taught)]
            name = f"{judgement.variant}: {pair.taught}" if len(judgement.verdicts) > 1 else judgement.variant
            cells = [
                words.label(name, 80),
                *(words.score(None if mean is None else mean.estimate) for mean in means),
                words.gain(None if gain is None else gain.estimate, judgement.metric),
                words.interval(gain, judgement.metric),
                words.p_value(verdict.p_claim_holm),
            ]
            style = "bold green" if verdict.claim else ""
            table.add_row(*(Text(_spoken(cell, encoding), style=style) for cell in cells))
    return table


def _efficiency(shown: ShownEfficiency, *, plain: bool, encoding: str) -> Table:
    """Scores against labelled subjects, and what teaching was worth in these."""
    from rich.text import Text

    table = _empty(plain=plain)
    columns = {"labelled": "labelled", "alone": "alone", "taught": "taught"}
    if shown.found.self_taught is not None:
        columns["self_taught"] = "own input"
    columns |= {"worth": "worth", "worth_interval": "interval"}
    for key, title in columns.items():
        table.add_column(title, justify="left" if key in ("labelled", "worth_interval") else "right", no_wrap=True)
    for row in shown.rows():
        table.add_row(*(Text(_spoken(row[key], encoding)) for key in columns))
    return table


def _arms(judgement: Judgement, *, plain: bool, encoding: str) -> Table:
    """Every arm of one variant, and what the taught arm gains over it."""
    from rich.text import Text

    unit = "points" if judgement.metric in words.IN_POINTS else ""
    table = _empty(plain=plain)
    table.add_column("arm", overflow="fold", max_width=26)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("interval", justify="left", no_wrap=True)
    against = words.against(judgement)
    if against:
        table.add_column(Text(f"taught gains {unit}".strip()), justify="right", no_wrap=True)
        table.add_column("p Holm", justify="right", no_wrap=True)
    for arm, role in words.roles(judgement).items():
        mean = judgement.arms[arm].scores.get(judgement.metric)
        style = {"judged": "bold", "credit": "", "reference": "dim"}.get(role.group, "dim")
        cells = [words.score(None if mean is None else mean.estimate), words.interval(mean)]
        if against:
            row = against.get(arm)
            known = row is not None and np.isfinite(row.gain.estimate)
            cells.append(words.gain(row.gain.estimate, judgement.metric) if row is not None and known else "")
            cells.append(words.p_value(row.p_holm) if row is not None and row.p_holm is not None else "")
        table.add_row(*(Text(_spoken(cell, encoding), style=style) for cell in (words.label(arm, 52), *cells)))
    return table


def _spoken(text: str, encoding: str) -> str:
    """Return a text that a terminal of this encoding can print."""
    if encoding.lower().replace("-", "").replace("_", "").startswith("utf"):
        return text
    return text.translate(PLAIN_SIGNS).encode(encoding, errors="replace").decode(encoding)
