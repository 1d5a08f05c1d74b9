from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from limbeck.evaluation.judgement import Interval
from limbeck.report import words


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.00004, "<\N{NO-BREAK SPACE}0.001"), (0.0123, "0.012"), (0.0996, "0.10"), (0.5, "0.50"), (1.0, "1.00"),
     (np.nan, "–"), (None, "–")],
)  # fmt: skip
def test_p_values_are_short_and_never_zero(value, written):
    assert words.p_value(value) == written


@pytest.mark.parametrize(
    ("value", "metric", "written"),
    [(0.0466, "balanced_accuracy", "+4.7"), (-0.0466, "auc", "−4.7"), (0.0466, "ccc", "+0.047"),
     (-0.0001, "accuracy", "0.0"), (np.nan, "ccc", "–")],
)  # fmt: skip
def test_gains_are_told_in_points_where_the_metric_is_a_share(value, metric, written):
    assert words.gain(value, metric) == written


def test_a_score_that_is_shown_as_zero_has_no_sign():
    assert words.score(-0.0004) == "0.000"
    assert words.share(-0.001) == "0 %"


def test_intervals_have_true_minus_signs():
    assert words.interval(Interval(0.0, -0.02, 0.03), "balanced_accuracy") == "[−2.0, 3.0]"
    assert words.interval(Interval(0.6, 0.5812, 0.62)) == "[0.581, 0.620]"
    assert words.interval(Interval(0.6, np.nan, 0.62)) == "–"


def test_labels_are_one_line_and_keep_both_ends():
    assert words.label("a\nb\t c") == "a b c"
    short = words.label("the-beginning-" + "x" * 90 + "-the-end", 30)
    assert len(short) == 30
    assert short.startswith("the-beginning")
    assert short.endswith("-the-end")
    assert words.label("\udce9\x00") == "��"


def test_roles_put_diagnostics_and_confounds_behind_what_is_judged(make_study):
    judgement = make_study()[1][0]
    roles = words.roles(judgement)
    assert set(roles) == set(judgement.arms)
    assert [role.group for role in roles.values()] == sorted(
        (role.group for role in roles.values()), key=words.GROUPS.index
    )
    assert roles["taught/own_input"].group == "credit"
    assert roles["alone/all_labels"].kinds == ("ceiling",)
    assert roles["confound/clock"].group == "confound"


def test_teacher_that_is_also_the_ceiling_has_both_names(make_study):
    judgement = make_study(arms=("teacher", "alone", "taught"))[1][0]
    assert words.roles(judgement)["teacher"].kinds == ("teacher", "ceiling")


def test_arms_in_no_comparison_are_kept(make_study):
    judgement = dataclasses.replace(make_study()[1][0], verdicts=())
    roles = words.roles(judgement)
    assert roles["teacher"].group == "other"
    assert set(roles) == set(judgement.arms)


def test_every_control_is_explained():
    kinds = {
        "alone",
        "own_input",
        "scrambled",
        "hard_labels",
        "within_predicted",
        "smoothed",
        "majority",
        "prior",
        "clock",
    }
    assert kinds <= set(words.CONTROLS)


@pytest.mark.parametrize(
    ("normalisation", "variants"),
    [("transductive", [""]), ("train", []), ({"a": "transductive", "b": "train"}, ["a"]), (None, []),
     ({"mode": "transductive"}, [""]), ({"a": {"mode": "calibration", "seconds": 60}}, [])],
)  # fmt: skip
def test_transductive_normalisation_is_found_however_it_is_written(normalisation, variants):
    assert words.transductive_variants(normalisation) == variants


@pytest.mark.parametrize(("seconds", "written"), [(3.21, "3.2 s"), (812.4, "13 min 32 s"), (7322, "2 h 2 min")])
def test_durations_are_readable(seconds, written):
    assert words.duration(seconds) == written
