"""Label-efficiency curves of a study: found from its record, drawn on the page, printed on the terminal."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from rich.console import Console

from limbeck.evaluation.judgement import Judgement
from limbeck.notation import write_yaml
from limbeck.report import StudyRecord, figures, print_summary, write_report
from limbeck.report.efficiency import label_efficiencies

Made = tuple[StudyRecord, Sequence[Judgement], pd.DataFrame]
Make = Callable[..., Made]


def page(tmp_path: Path, study: Made) -> str:
    return write_report(tmp_path / "report.html", *study).read_text(encoding="utf-8")


def printed(study: Made) -> str:
    stream = io.StringIO()
    print_summary(study[0], study[1], Console(file=stream, width=80))
    return stream.getvalue()


def test_variants_that_differ_in_labels_make_a_curve_whose_last_number_is_that_of_a_fold(make_sweep: Make) -> None:
    record, judgements, _ = make_sweep()
    (shown,) = label_efficiencies(record, judgements)
    assert shown.name == "taught against alone"
    assert [row["labelled"] for row in shown.rows()] == ["3", "6", "all (21)"]
    assert [held.labelled for held in shown.found.worth] == [3, 6]
    assert shown.found.worth[0].matched.estimate == pytest.approx(3 * 2**0.8, rel=0.1)
    assert shown.rows()[-1]["worth"] == "–"


def test_every_target_has_its_own_curve(make_sweep: Make, tmp_path: Path) -> None:
    study = make_sweep(targets=("valence", "arousal"))
    shown = label_efficiencies(*study[:2])
    assert [held.where for held in shown] == ["target=valence", "target=arousal"]
    assert shown[0].found.scores["score"].tolist() != shown[1].found.scores["score"].tolist()
    text = page(tmp_path, study)
    assert len(re.findall(r'<title id="e\d-labels-title"', text)) == 2
    assert "target=arousal: taught against alone" in text


def test_other_swept_keys_divide_the_variants_wherever_they_stand(make_sweep: Make) -> None:
    record, judgements, _ = make_sweep(targets=("a", "b"))
    sweep = {"windows.length": [5, 10], "protocol.labelled": [3, 6, "all"]}
    changed = dataclasses.replace(record, definition=write_yaml({"target": "stress", "sweep": sweep}))
    assert [held.where for held in label_efficiencies(changed, judgements)] == ["target=a", "target=b"]
    # the labelled subjects as the key that varies slower
    sweep = {"protocol.labelled": [3, 6], "windows.length": [5, 10]}
    labelled = {"n=3, w=5": 3, "n=3, w=10": 3, "n=6, w=5": 6, "n=6, w=10": 6}
    renamed = [dataclasses.replace(held, variant=name) for held, name in zip(judgements, labelled, strict=False)]
    changed = dataclasses.replace(
        record, definition=write_yaml({"sweep": sweep}), protocol={**record.protocol, "labelled": labelled}
    )
    shown = label_efficiencies(changed, renamed)
    assert [held.where for held in shown] == ["w=5", "w=10"]
    first = judgements[0].per_subject["taught"].mean(), judgements[2].per_subject["taught"].mean()
    scores = shown[0].found.scores
    assert scores.loc[scores["line"] == "taught", "score"].tolist() == pytest.approx(first)


def test_all_beside_the_number_that_it_counts_as_is_one_point(make_sweep: Make) -> None:
    (shown,) = label_efficiencies(*make_sweep(counts=(3, 21, "all"))[:2])
    assert [row["labelled"] for row in shown.rows()] == ["3", "all (21)"]


def test_study_with_one_number_of_labelled_subjects_shows_no_curve(
    make_study: Make, make_sweep: Make, tmp_path: Path
) -> None:
    record, judgements, history = make_study(variants=("length=5", "length=10"), epochs=3)
    changed = dataclasses.replace(record, definition=write_yaml({"sweep": {"windows.length": [5, 10]}}))
    for study in ((changed, judgements, history), make_study(epochs=3), make_sweep(counts=(6,))):
        assert label_efficiencies(*study[:2]) == []
        text = page(tmp_path, study)
        assert "What teaching was worth in labels" not in text
        assert "worth n labelled subjects" not in text
        assert "by labelled subjects" not in printed(study)


def test_record_that_does_not_fit_its_definition_shows_no_curve(make_sweep: Make) -> None:
    record, judgements, _ = make_sweep()
    changed = dataclasses.replace(record, definition=write_yaml({"sweep": {"protocol.labelled": [3, 6]}}))
    assert label_efficiencies(changed, judgements) == []


def test_page_holds_figure_sentence_and_table_of_the_curve(make_sweep: Make, tmp_path: Path) -> None:
    study = make_sweep()
    (shown,) = label_efficiencies(*study[:2])
    text = page(tmp_path, study)
    section = text[
        text.index('<section aria-labelledby="labels">') : text.index('<section aria-labelledby="protocol">')
    ]
    assert shown.found.sentence in section
    assert "taught against alone: with 3 labelled, teaching was worth " in section
    assert section.count("<svg") == 1
    drawing = section[section.index("<svg") : section.index("</svg>")]
    for label in ("alone", "own input", "taught", "alone, all labels", "all (21)", "subjects with labels"):
        assert f">{label}<" in drawing
    table = section[section.index('<table class="efficiency">') :]
    for row in shown.rows():
        for key in ("labelled", "alone", "alone_interval", "taught", "self_taught", "worth", "worth_interval"):
            assert row[key] in table
    assert 'href="#labels"' in text
    assert "worth n labelled subjects" in text  # how to read it


def test_controls_that_were_not_run_leave_no_column(make_sweep: Make, tmp_path: Path) -> None:
    record, judgements, history = make_sweep()
    bare = [
        dataclasses.replace(
            judgement,
            verdicts=tuple(
                dataclasses.replace(held, comparison=dataclasses.replace(held.comparison, credit={}))
                for held in judgement.verdicts
            ),
        )
        for judgement in judgements
    ]
    text = page(tmp_path, (record, bare, history))
    assert "What teaching was worth in labels" in text
    assert "own input</th>" not in text
    assert "<em>Own input</em>" not in text
    assert "own input" not in printed((record, bare, history)).rpartition("by labelled subjects")[2]


def test_terminal_prints_table_and_sentence_within_80_columns(make_sweep: Make) -> None:
    study = make_sweep(targets=("valence", "arousal"))
    text = printed(study)
    assert max(len(line) for line in text.splitlines()) <= 80
    joined = " ".join(text.split())
    for shown in label_efficiencies(*study[:2]):
        assert f"{shown.name}: balanced accuracy by labelled subjects" in joined
        assert shown.found.sentence in joined
    assert len(re.findall(r"^all \(21\) ", text, flags=re.MULTILINE)) == 2


def test_what_cannot_be_said_is_said_with_the_curve(make_sweep: Make, tmp_path: Path) -> None:
    study = make_sweep(rise=0.0)
    text = page(tmp_path, study)
    assert "what teaching was worth in labelled subjects cannot be said, since alone is not shown to rise" in text
    assert "cannot be said" in " ".join(printed(study).split())
    assert "e1-labels-title" in text
    assert "With more labelled subjects a student does better by itself" not in text


def test_markers_stand_on_their_intervals_and_lines_beside_each_other(
    make_sweep: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, judgements, _ = make_sweep()
    (shown,) = label_efficiencies(record, judgements)
    drawn: list[Figure] = []
    monkeypatch.setattr(figures, "_to_svg", lambda figure, **_: drawn.append(figure))
    figures.label_efficiency(shown.found, name="e1")
    (axes,) = drawn[0].axes
    markers = {line.get_label(): list(line.get_xdata()) for line in axes.lines}  # type: ignore[arg-type]
    bars = [[segment[0][0] for segment in held.get_segments()] for held in axes.collections]  # type: ignore[attr-defined]
    for name in ("alone", "own input", "taught"):
        assert markers[name] in bars
    assert len({tuple(markers[name][:2]) for name in ("alone", "own input", "taught")}) == 3
