"""Show what the teachers of a run handed over."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limbeck.cli.printing import ArgumentError, arguments_in_use, counted, print_table
from limbeck.cli.processes import one_thread

if TYPE_CHECKING:
    from limbeck.study.knowledge import Handover, Part

MOST_SUBJECTS = 20
"""Subjects in a table; of more, those at its two ends."""

DETAILED = 3
"""Teachers that are shown in detail unless one is asked for; with more of them, all are lines of a table."""

MOST_PANELS = 8
"""Rows of a figure."""

SCORES: Mapping[str, str] = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced",
    "recall": "recall",
    "predicted": "predicted",
    "confidence": "confidence",
    "entropy": "entropy",
    "entropy_share": "entropy (share)",
    "margin": "margin",
    "ece": "ECE",
    "nll": "NLL",
    "ccc": "CCC",
    "pcc": "PCC",
    "rmse": "RMSE",
}
"""Titles of columns."""


def knowledge(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="Its name in runs/, as limbeck runs lists it, or its folder.")
    ],
    variant: Annotated[
        str | None, typer.Option("--variant", metavar="VARIANT", help="Only this one, such as labelled=3.")
    ] = None,
    stage: Annotated[
        str | None, typer.Option("--stage", metavar="STAGE", help="Only this teacher; any that the plan names.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, all subjects too.")] = False,
    figure: Annotated[
        Path | None,
        typer.Option(
            "--figure",
            metavar="FILE",
            dir_okay=False,
            help="Draw how sure the teachers are, and how right: .png, .svg or .html.",
        ),
    ] = None,
) -> None:
    """Show what the teachers of a run handed over.

    How right it was and how sure, by class and subject, over folds, repetitions and seeds together. The truth
    of windows whose labels the protocol hid is looked at for this display only.

    Example: limbeck knowledge NAME --stage teacher --figure teacher.png. limbeck runs lists the runs; stages and
    variants are named in the study and by limbeck run STUDY --dry-run, and those of a run here without --stage.

    Confidence: probability of the class decided for. Entropy: how spread the probabilities are; its share is 1 where
    all classes are alike. Margin: between the two likeliest classes. ECE: how far confidence is from accuracy. NLL:
    cost of the true class. Effective rank: how many directions a feature uses.
    """
    one_thread()
    from limbeck.report.signals import refuse_to_replace
    from limbeck.study.knowledge import what_was_handed_over

    named = Path("runs") / folder
    folder = named if not folder.exists() and named.is_dir() else folder
    with arguments_in_use():
        if figure is not None:
            refuse_to_replace(figure)
        found = what_was_handed_over(folder, variant=variant, stage=stage)
        detailed = _detailed(found, asked=stage is not None)
        if figure is not None:
            _draw(detailed or found, figure, folder.resolve().name)
    if as_json:
        shown = {"run": folder.resolve().name, "teachers": [_as_json(handover) for handover in found]}
        typer.echo(json.dumps(shown, indent=2, ensure_ascii=False, allow_nan=False))
        return
    for handover in detailed:
        _print(handover)
    others = [handover for handover in found if handover not in detailed]
    if others:
        _print_others(others, heading="Other teachers" if detailed else "Teachers")


def _detailed(found: Sequence[Handover], *, asked: bool) -> list[Handover]:
    """Return the teachers that are worth a page: those of the study, if they are few, or those that were asked for."""
    own = [handover for handover in found if asked or handover.role == "stage"]
    return own if len(own) <= DETAILED else []


# ---- pictures ------------------------------------------------------------------------------------------------------


def _draw(found: Sequence[Handover], file: Path, run: str) -> None:
    from dataclasses import replace

    from limbeck.report.knowledge import draw_knowledge
    from limbeck.report.signals import write_figure

    several = len(found) > 1
    panels = [
        replace(part.panel, title=f"{_whose(handover)}: {part.name}" if several else f"{part.name} windows")
        for handover in found
        for part in handover.parts
    ]
    if not panels:
        raise ArgumentError("There is nothing to draw: these teachers hand over features only.")
    if len(panels) > MOST_PANELS:
        names = ", ".join(dict.fromkeys(handover.stage for handover in found))
        raise ArgumentError(
            f"A figure has {MOST_PANELS} rows at most, and these are {len(panels)}: choose one of the teachers {names} "
            "by --stage, and of the variants by --variant."
        )
    heading = " · ".join([run] if several else [run, _whose(found[0])])
    write_figure(draw_knowledge(panels, heading), file)
    typer.echo(f"drawn to {file}", err=True)


def _whose(handover: Handover) -> str:
    variants = " / ".join(filter(None, handover.variants))
    return f"{handover.stage}, {variants}" if variants else handover.stage


# ---- tables --------------------------------------------------------------------------------------------------------


def _print(handover: Handover) -> None:
    """Print a teacher: parts of the windows, classes, subjects, features, and what it all means."""
    typer.echo(f"{_whose(handover)}: {_trainings(handover)}")
    if handover.knows_all_labels:
        typer.echo("It learned from all labels, also from those that the protocol hides from the student.")
    if handover.parts:
        _print_parts(handover.parts, handover.steps)
        telling = handover.parts[-1]
        if len(telling.classes):
            _print_frame("true class", telling, telling.classes.to_dict("records"), "class")
        _print_frame("subjects", telling, _ends(telling.subjects.to_dict("records")), "subject")
    if handover.features:
        typer.echo("\nfeatures")
        columns = ("feature", "width", "effective rank", "norm", "missing")
        rows = [
            (
                feature.name,
                str(feature.width),
                f"{feature.effective_rank:.1f}",
                f"{feature.norm:.3g} ± {feature.norm_spread:.2g}",
                f"{100 * feature.missing:.1f} %",
            )
            for feature in handover.features
        ]
        print_table(columns, rows, indent=2)
    typer.echo(f"\n{handover.sentence}\n")


def _trainings(handover: Handover) -> str:
    counts = (
        counted(handover.folds, "fold"),
        counted(handover.repetitions, "repetition"),
        counted(handover.seeds, "seed"),
    )
    return " × ".join(counts)


def _print_parts(parts: Sequence[Part], steps: int) -> None:
    typer.echo("\nwindows" + _over(steps))
    names = list(parts[0].scores)
    columns = ("", "windows", "handed over", "missing", *(SCORES[name] for name in names))
    rows = [
        (
            part.name,
            f"{part.windows:,}",
            f"{part.handed_over:,}",
            f"{part.missing:,}" if part.missing else "",
            *(_number(part.scores[name]) for name in names),
        )
        for part in parts
    ]
    print_table(columns, rows, indent=2)


def _over(steps: int) -> str:
    return f", scores over all {steps} steps of each" if steps else ""


def _print_frame(title: str, part: Part, records: Sequence[Mapping[Any, Any] | None], key: str) -> None:
    """Print a table of classes or subjects; None among the records stands for those that were passed over."""
    typer.echo(f"\n{title}, {part.name} windows")
    names = [str(name) for name in next(record for record in records if record) if name not in (key, "handed_over")]
    columns = (key, "handed over", *(SCORES[name] for name in names))
    rows = [
        ("…", *[""] * (len(columns) - 1))
        if record is None
        else (str(record[key]), f"{record['handed_over']:,}", *(_number(record[name]) for name in names))
        for record in records
    ]
    print_table(columns, rows, indent=2)


def _ends(records: Sequence[Mapping[Any, Any]]) -> list[Mapping[Any, Any] | None]:
    """Return all records, or those at both ends with None between."""
    if len(records) <= MOST_SUBJECTS:
        return list(records)
    half = MOST_SUBJECTS // 2
    return [*records[:half], None, *records[-half:]]


def _print_others(found: Sequence[Handover], heading: str) -> None:
    """Print a line per teacher and part of the windows."""
    steps = max(handover.steps for handover in found)
    typer.echo(f"{heading} (one in detail: --stage, --variant){_over(steps)}")
    scores = [
        name for name in ("balanced_accuracy", "confidence", "entropy_share", "ece", "ccc", "rmse") if _has(found, name)
    ]
    rows = [
        (
            handover.stage,
            " / ".join(handover.variants),
            part.name,
            f"{part.windows:,}",
            *(_number(part.scores[name]) for name in scores),
        )
        for handover in found
        for part in handover.parts
    ]
    rows += [
        (handover.stage, " / ".join(handover.variants), "features only", "", *[""] * len(scores))
        for handover in found
        if not handover.parts
    ]
    print_table(("teacher", "variant", "windows of", "windows", *(SCORES[name] for name in scores)), rows, indent=2)


def _has(found: Sequence[Handover], score: str) -> bool:
    return any(score in part.scores for handover in found for part in handover.parts)


def _number(value: float) -> str:
    if math.isnan(value):
        return "undefined"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.4g}"


# ---- JSON ----------------------------------------------------------------------------------------------------------


def _as_json(handover: Handover) -> dict[str, Any]:
    """Return all of a teacher but what is drawn, with null for what is undefined."""
    plain = {name: value for name, value in vars(handover).items() if name not in ("parts", "features")}
    parts = [
        {name: value for name, value in vars(part).items() if name not in ("panel", "classes", "subjects")}
        | {"classes": part.classes.to_dict("records"), "subjects": part.subjects.to_dict("records")}
        for part in handover.parts
    ]
    whole: dict[str, Any] = _defined({**plain, "parts": parts, "features": [asdict(f) for f in handover.features]})
    return whole


def _defined(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _defined(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_defined(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value
