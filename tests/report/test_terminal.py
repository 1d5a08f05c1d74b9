from __future__ import annotations

import dataclasses
import io
from pathlib import Path

from rich.console import Console

from limbeck.report import print_summary


def printed(study, *, terminal: bool = False, encoding: str = "utf-8", **options: object) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    print_summary(study[0], study[1], Console(file=stream, width=80, force_terminal=terminal), **options)
    stream.flush()
    return raw.getvalue().decode(encoding)


def test_summary_tells_verdict_arms_and_the_report_within_80_columns(make_study):
    study = make_study()
    text = printed(study, report=Path("runs") / "x" / "report.html")
    assert max(len(line) for line in text.splitlines()) <= 80
    joined = " ".join(text.split())
    assert "SUPPORTED] " + study[1][0].verdicts[0].sentence in joined
    assert all(arm in joined for arm in study[1][0].arms)
    assert joined.endswith(f"Report: {Path('runs') / 'x' / 'report.html'}")


def test_summary_of_a_sweep_is_one_line_per_comparison(make_study):
    variants = [f"labelled={count}, student={place}" for count in (3, 6) for place in ("Fp1+Fp2", "T3+T4")]
    text = printed(make_study(variants=variants))
    table = text[text.index("comparison") :]
    assert len(table.splitlines()) == 1 + len(variants) + 1
    assert max(len(line) for line in text.splitlines()) <= 80


def test_what_cannot_be_claimed_is_said_with_its_reason(make_study):
    text = printed(make_study(arms=("teacher", "alone", "taught", "taught/own_input")))
    assert "[NOT CLAIMABLE: scrambled was not run]" in text


def test_colour_is_for_terminals_only(make_study):
    assert "\x1b[" not in printed(make_study())
    assert "\x1b[" in printed(make_study(), terminal=True)


def test_brackets_and_control_signs_in_names_are_printed_as_text(make_study):
    record, judgements, history = make_study(study="[bold]a[/nonsense] \x1b[31m", arms=("teacher", "alone", "taught"))
    judgements = [dataclasses.replace(judgements[0], warnings=("see [red]this[/]",))]
    text = printed((record, judgements, history))
    assert "[bold]a[/nonsense]" in text
    assert "see [red]this[/]" in text
    assert "\x1b" not in text


def test_old_terminals_get_signs_they_know(make_study):
    text = printed(make_study(study="Schlüssel – 被験者"), encoding="latin-1")
    assert "Schlüssel - ???" in text
    assert "-5.0" in text


def test_long_path_of_the_report_stays_on_one_line(make_study):
    path = Path("a" * 60) / ("b" * 60) / "report.html"
    assert f"Report: {path}" in printed(make_study(), report=path).splitlines()


def test_study_without_comparison_prints_its_scores(make_study):
    text = printed(make_study(arms=("teacher", "baseline/majority"), compare=False, left_out=[]))
    assert "teacher" in text
    assert "taught" not in text
    assert "left out" not in text


def test_signals_that_are_hard_to_believe_are_named_with_what_is_wrong(make_study):
    row = {"variant": "", "windows": 10, "mean": 0.5, "kinds": {}, "subjects": {}}
    quality = [
        {**row, "modality": "bvp", "below": 0.3, "worst": "motion"},
        {**row, "modality": "bvp", "below": 0.41, "worst": "peaks", "variant": "n=3"},
        {**row, "modality": "eda", "below": 0.05, "worst": "motion"},
    ]
    text = " ".join(printed(make_study(quality=quality)).split())
    expected = "Signals in windows that are hard to believe (quality below 0.5): bvp 41 % (mostly implausible beats or"
    assert expected in text
    assert "hard to believe" not in printed(make_study())
