from __future__ import annotations

import dataclasses
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from limbeck.evaluation.judgement import Interval
from limbeck.report import figures, words


def history_rows(**arms: list[list[float]]) -> pd.DataFrame:
    """Losses by arm, training and epoch."""
    rows = [
        {"variant": "", "arm": arm, "fold": fold, "epoch": epoch, "split": "train", "loss": loss}
        for arm, trainings in arms.items()
        for fold, losses in enumerate(trainings)
        for epoch, loss in enumerate(losses)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_summary_of_curves_is_median_and_quantiles_over_trainings():
    losses = [[1.0, 0.5], [2.0, 0.7], [3.0, 0.6], [10.0, 0.9]]
    table = figures.summarise_history(history_rows(alone=losses), "loss").set_index("epoch")
    for epoch in (0, 1):
        values = [held[epoch] for held in losses]
        np.testing.assert_allclose(
            table.loc[epoch, ["low", "median", "high"]].to_numpy(float), np.quantile(values, [0.1, 0.5, 0.9])
        )
    assert (table["trainings"] == 4).all()


def test_curve_ends_where_most_trainings_have_stopped():
    table = figures.summarise_history(history_rows(a=[[1, 1, 1, 1], [1, 1], [1], [1]], b=[[1, 1, 1]]), "loss")
    assert table[table["arm"] == "a"]["epoch"].tolist() == [0, 1]
    assert table[table["arm"] == "b"]["epoch"].tolist() == [0, 1, 2]


def test_losses_that_are_no_numbers_are_left_out_of_curves():
    table = figures.summarise_history(history_rows(a=[[1.0, np.nan], [3.0, np.inf]]), "loss")
    assert table["epoch"].tolist() == [0]
    assert table["median"].tolist() == [2.0]
    assert figures.summarise_history(history_rows(a=[[np.nan]]), "loss").empty


def test_arms_without_curves_get_no_panel():
    table = figures.summarise_history(history_rows(a=[[1.0, 2.0]]), "loss")
    svg = figures.learning_curves(table, ["z", "a"], quantity="loss", name="f")
    texts = [element.text for element in ET.fromstring(svg).iter() if element.tag.endswith("text")]
    assert "a" in texts
    assert "z" not in texts
    assert figures.learning_curves(table, ["z"], quantity="loss", name="f") is None


def test_figure_keeps_text_follows_the_page_and_explains_itself(make_study):
    judgement = make_study(subjects=5)[1][0]
    svg = str(figures.paired(judgement, judgement.verdicts[0], name="here"))
    root = ET.fromstring(svg)
    assert root.attrib["role"] == "img"
    assert root.find("{http://www.w3.org/2000/svg}title").text.startswith("balanced accuracy of each of 5 subjects")
    texts = {element.text for element in root.iter() if element.tag.endswith("}text")}
    assert {"S01", "alone", "taught", "own input", "balanced accuracy"} <= texts
    assert "var(--blue)" in svg
    assert not any(colour in svg for colour in figures.THEME)
    assert all(element.attrib["id"].startswith("here-") for element in root.iter() if "id" in element.attrib)


def test_gain_whose_interval_leaves_out_zero_has_a_filled_marker():
    rows = [
        figures.GainRow("sure", Interval(0.05, 0.01, 0.09), 0.01, figures.BLUE, "o"),
        figures.GainRow("unsure", Interval(0.01, -0.03, 0.05), 0.6, figures.BLUE, "o"),
    ]
    sure, unsure = (str(figures.gains([("", [row])], "balanced_accuracy", name="g", title="t")) for row in rows)
    assert "fill:var(--paper)" not in sure
    assert "fill:var(--paper)" in unsure
    assert "+5.0 [1.0, 9.0]" in sure


def test_paired_figure_needs_a_subject_with_both_scores(make_study):
    judgement = make_study(subjects=4)[1][0]
    judgement.per_subject.loc[:, "taught"] = np.nan
    assert figures.paired(judgement, judgement.verdicts[0], name="p") is None


def test_drawing_leaves_the_settings_of_matplotlib_alone(make_study):
    before = dict(mpl.rcParams)
    judgement = make_study(subjects=4)[1][0]
    figures.subject_scores(judgement, words.roles(judgement), name="s")
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("name", ["$\\frac{a}{$", "a & b", "<b>", "被験者 1"])
def test_names_of_subjects_are_drawn_as_they_are(make_study, name):
    judgement = make_study(subjects=4, arms=("alone", "taught", "teacher"))[1][0]
    judgement.per_subject.rename(index={"S01": name}, inplace=True)
    svg = figures.paired(judgement, judgement.verdicts[0], name="p")
    assert name in [element.text for element in ET.fromstring(svg).iter()]


def test_lower_is_a_gain_where_lower_is_better(make_study):
    judgement = make_study(subjects=4, classes=())[1][0]
    judgement.per_subject["alone"] = [0.5, 0.5, 0.5, 0.5]
    judgement.per_subject["taught"] = [0.4, 0.4, 0.4, 0.6]
    for metric, told in (("rmse", "3 gain, 1 lose"), ("ccc", "1 gain, 3 lose")):
        held = dataclasses.replace(judgement, metric=metric)
        assert told in str(figures.paired(held, held.verdicts[0], name="p"))
