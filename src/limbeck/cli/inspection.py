"""What an inspection or a validation found, for a terminal of 80 columns and more."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from limbeck.cli.printing import WIDE, counted, in_one_line, print_table, width

if TYPE_CHECKING:
    from limbeck.datasets import Check, DatasetInfo
    from limbeck.datasets.inspecting import Inspection, Reason, SubjectGroup

__all__ = ["print_checks", "print_inspection"]

ROWS = 20
"""Rows of a table that are printed; ``--csv`` has everything."""

REASONS = 10
"""Reasons for leaving something out that are printed."""

FOLDED = 40
"""Checks from which on those that passed alike are told together."""

NAMES = 40
"""Subjects or files that a reason names; the number of the others is said."""

STATES = ("passed", "FAILED", "incomplete", "not possible")
"""What a check may be; incomplete: it holds of the files that are there, while others that were published are not."""


def print_inspection(inspection: Inspection, info: DatasetInfo) -> None:
    """Print what is in a corpus: in the order of questions that one asks before training on it."""
    count = len(inspection.subjects)
    known = info.subjects if info.access in ("open", "gated") else 0
    subjects = counted(count, "subject") if not known or known == count else f"{count} of {known} subjects"
    low, middle, high = inspection.seconds
    typer.echo(f"{inspection.name}: {subjects}, {counted(len(inspection.recordings), 'recording')}", nl=False)
    if inspection.recordings:
        typer.echo(f", {_long(inspection.total_seconds)}; {_between(low, middle, high)} s each", nl=False)
    typer.echo(f"; {len(inspection.unread)} cannot be read" if inspection.unread else "")
    _print_signals(inspection)
    _print_missing(inspection)
    _print_subjects(inspection)
    _print_labels(inspection)
    _print_clocks(inspection)
    _print_reasons("Left out", inspection.unused())
    _print_reasons("Notes on what is used", inspection.notes())


def _section(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], most: Mapping[str, int] | None = None
) -> None:
    if not rows:
        return
    typer.echo(f"\n{title}")
    print_table(columns, rows[:ROWS], indent=2, most=most)
    if len(rows) > ROWS:
        typer.echo(f"  and {len(rows) - ROWS} more")


def _print_signals(inspection: Inspection) -> None:
    groups = inspection.signal_groups()
    told: set[str] = set()
    rows = []
    for group in groups:
        rows.append(
            (
                "" if group.modality in told else group.modality,
                f"{group.rate:.6g} Hz",
                _channels(group.channels),
                group.unit,
                f"{group.recordings:,}",
                f"{len(group.subjects)}: {_spans(group.subjects, 30)}",
                _long(group.seconds),
                _share(group.missing),
            )
        )
        told.add(group.modality)
    columns = ("signals", "rate", "channels", "unit", "recordings", "of subjects", "in all", "missing")
    _section("Signals", columns, rows, {"channels": 40, "of subjects": 30})


def _print_missing(inspection: Inspection) -> None:
    """Say whose signals or samples are missing."""
    rows = [
        (
            group.modality,
            _spans(group.subjects, 100),
            _shares(group.share) if group.recorded else "no such signal",
            f"{group.recordings:,} of {group.of:,}",
        )
        for group in inspection.missing_groups()
    ]
    columns = ("signal", "who", "samples missing", "in recordings of theirs")
    _section("Whose signals are missing, or not whole", columns, rows, {"who": 44})


def _shares(share: tuple[float, float, float]) -> str:
    low, high = share[0], share[2]
    if high == 0:
        return "none where there is a signal"
    return _share(high) if _share(low) == _share(high) else f"{_share(low) or '0%'} to {_share(high)}"


def _print_subjects(inspection: Inspection) -> None:
    rows = [
        (
            _spans(group.subjects, 100),
            str(len(group.subjects)),
            f"{group.recordings}" + (f", and {group.unread} not read" if group.unread else ""),
            _between(*group.seconds) if group.recordings else "",
            _modalities(group),
            ", ".join(group.events[:6]) + (f" and {len(group.events) - 6} more" if len(group.events) > 6 else ""),
        )
        for group in inspection.subject_groups()
    ]
    columns = ("who", "count", "recordings each", "seconds in all", "signals", "events")
    _section("Subjects who have the same", columns, rows, {"who": 26, "signals": 36, "events": 36})


def _modalities(group: SubjectGroup) -> str:
    return ", ".join(
        name if count == group.recordings else f"{name} in {count}" for name, count in group.modalities.items()
    )


def _print_labels(inspection: Inspection) -> None:
    events = [
        (
            group.name,
            str(group.subjects),
            f"{group.recordings:,}",
            f"{group.count:,}",
            _between(*group.seconds),
        )
        for group in inspection.event_groups()
    ]
    columns = ("event", "of subjects", "recordings", "times", "seconds per subject")
    _section("Events", columns, events, {"event": 40})
    ratings = [
        (group.name, f"{group.recordings:,}", f"{group.missing or ''}", str(group.values), _between(*group.range))
        for group in inspection.rating_groups()
    ]
    _section("Ratings", ("rating", "recordings", "without", "different values", "range"), ratings, {"rating": 40})
    traces = [
        (
            group.name,
            f"{group.recordings:,}",
            f"{group.count:,}",
            _share(group.missing),
            f"{group.lowest:.5g} to {group.highest:.5g}",
        )
        for group in inspection.trace_groups()
    ]
    _section("Traces", ("trace", "recordings", "values", "missing", "range"), traces, {"trace": 40})
    if inspection.recordings and not (events or ratings or traces):
        typer.echo("\nNo labels: there is no event, no rating and no trace.")


def _print_clocks(inspection: Inspection) -> None:
    rows = [
        (
            group.modality,
            f"{group.recordings:,}",
            _between(*group.offset, digits=3) + " s",
            _between(*group.drift) + " ppm",
            f"{group.jitter * 1000:.3g} ms",
            f"{group.gaps} ({group.gap_seconds:.1f} s)" if group.gaps else "",
            ", ".join(group.sources),
        )
        for group in inspection.clock_groups()
    ]
    columns = ("sensor", "recordings", "offset", "drift", "jitter at most", "gaps", "known from")
    _section("Clocks of their own", columns, rows)


def _print_reasons(title: str, found: Sequence[Reason]) -> None:
    """Print one example of each reason, and the names of all whom it concerns."""
    if not found:
        return
    typer.echo(f"\n{title}: {counted(sum(reason.count for reason in found), 'item')}")
    for reason in found[:REASONS]:
        text = textwrap.shorten(in_one_line(reason.example), 400, placeholder=" …")
        if reason.count > 1:
            whose = _spans(reason.whose)
            if whose.count(", ") >= NAMES:
                whose = f"{_spans(reason.whose[:NAMES])} and {len(reason.whose) - NAMES} more"
            text += f" (and {reason.count - 1} more like this; in all: {whose})"
        typer.echo(_wrapped(text, "  "))
    if len(found) > REASONS:
        typer.echo(f"  and {len(found) - REASONS} other reasons")


def print_checks(checks: Iterable[Check]) -> None:
    """Print checks with what was found, and how many passed; of many that passed alike, one is printed."""
    made = list(checks)
    for check, more in _folded(made) if len(made) > FOLDED else [(check, 0) for check in made]:
        like = f" (and {more} more like this)" if more else ""
        typer.echo(_wrapped(f"{_state(check):<12}  {check.what}{like}", "", "              "))
        for line in check.found.splitlines() if not more else ():
            typer.echo(_wrapped(" ".join(line.split()), "                "))
    counts = Counter(map(_state, made))
    told = [f"{counts[state]} {state.lower()}" for state in STATES if counts[state] or state in STATES[:2]]
    typer.echo(f"\n{', '.join(told)}")


def _state(check: Check) -> str:
    if check.incomplete:
        return STATES[2]
    return STATES[3] if check.passed is None else STATES[0] if check.passed else STATES[1]


def _folded(checks: Sequence[Check]) -> list[tuple[Check, int]]:
    """Return checks with the number of further ones like them that came out the same; those that failed stay apart."""
    from limbeck.datasets.inspecting import pattern

    alike: dict[object, list[Check]] = {}
    for place, check in enumerate(checks):
        key = place if check.passed is False or check.incomplete else (check.passed, pattern(check.what))
        alike.setdefault(key, []).append(check)
    return [(own[0], len(own) - 1) for own in alike.values()]


def _spans(names: Sequence[str], room: int | None = None) -> str:
    """Return names in few words; on a terminal, in about so many characters at most."""
    from limbeck.datasets.inspecting import spans

    whole = spans(names)
    if room is None or width() == WIDE or len(whole) <= room:
        return whole
    kept = next((count for count in range(len(names) - 1, 1, -1) if len(spans(names[:count])) <= room), 1)
    return f"{spans(names[:kept])} and {len(names) - kept} more"


def _wrapped(text: str, indent: str, more: str | None = None) -> str:
    """Return a text that fits the terminal; a word (a path, say) is never cut."""
    return textwrap.fill(
        text,
        width(),
        initial_indent=indent,
        subsequent_indent=indent + "  " if more is None else more,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
        replace_whitespace=False,
    )


def _channels(names: Sequence[str]) -> str:
    if len(names) <= 3:
        return " ".join(names)
    return f"{len(names)}: {' '.join(names[:3])} …"


def _between(low: float, middle: float, high: float, *, digits: int = 4) -> str:
    """Return ``3 to 9, median 5``, or the one value."""
    texts = [f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:.0f}" for value in (low, middle, high)]
    if texts[0] == texts[2]:
        return texts[0]
    return f"{texts[0]} to {texts[2]}, median {texts[1]}"


def _share(share: float) -> str:
    return "" if share == 0 else f"{share:.1%}" if share >= 0.001 else "<0.1%"


def _long(seconds: float) -> str:
    """Return ``42 s``, ``3.5 min`` or ``12.3 h``."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:,.3g} h"
