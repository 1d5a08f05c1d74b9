"""Figures are written in the unit a reader expects, and each verdict has its sentence."""

from __future__ import annotations

import numpy as np
import pytest

from limbeck.evaluation import wording
from limbeck.evaluation.judgement import Difference, Interval
from limbeck.metrics import METRICS

SHARE, CORRELATION = METRICS["balanced_accuracy"], METRICS["ccc"]


def difference(kind: str, gain: float, p: float) -> Difference:
    return Difference(
        arm="taught",
        other=kind,
        kind=kind,
        role="credit",
        gain=Interval(gain, gain - 0.02, gain + 0.02),
        p_sign_flip=p,
        p_wilcoxon=p,
        p_holm=p,
        effect_size=0.5,
        standard_error=0.01,
        n_subjects=22,
        posterior=(0.0, 0.1, 0.9),
    )


def sentence(*credit: Difference, claim: bool = False, p_holm: float = 1.0, smallest: float = 0.03) -> str:
    return wording.verdict_sentence(
        credit,
        metric=SHARE,
        alpha=0.05,
        claim=claim,
        p_claim=max(d.p_sign_flip for d in credit),
        p_claim_holm=p_holm,
        n_claims=3,
        smallest_gain=smallest,
    )


def test_shares_are_said_in_points_and_correlations_as_they_are() -> None:
    gain = Interval(0.0468, 0.0123, 0.0811)
    assert wording.format_amount(gain.estimate, SHARE) == "4.7 points"
    assert wording.format_interval(gain, SHARE) == "[1.2, 8.1]"
    assert wording.format_amount(gain.estimate, CORRELATION) == "0.047"
    assert wording.format_interval(gain, CORRELATION) == "[0.012, 0.081]"


@pytest.mark.parametrize(("p", "text"), [(0.0123, "p = 0.012"), (0.0004, "p < 0.001"), (1.0, "p = 1.000")])
def test_p_values_are_written_to_three_places(p: float, text: str) -> None:
    assert wording.format_p(p) == text


def test_a_claim_a_loss_and_nothing_each_have_their_sentence() -> None:
    bars = [
        difference("alone", 0.047, 0.004),
        difference("own_input", 0.04, 0.004),
        difference("scrambled", 0.06, 0.001),
    ]
    assert sentence(*bars, claim=True, p_holm=0.012) == (
        "Teaching helped: taught beats alone by 4.7 points [2.7, 6.7] and every credit control "
        "(p = 0.012 after Holm over 3 claims)."
    )
    assert sentence(difference("alone", -0.05, 0.01), *bars[1:]) == (
        "Teaching hurt: taught falls behind alone by 5.0 points [3.0, 7.0] (p = 0.010)."
    )
    assert sentence(difference("alone", 0.01, 0.4), *bars[1:]) == (
        "No evidence that teaching helped: taught against alone is +1.0 points [−1.0, 3.0] (p = 0.400); the smallest "
        "gain over alone that these 22 subjects could show at 0.05/3 is 3.0 points, and the claim also asks for the "
        "controls."
    )
    assert "is unknown" in sentence(difference("alone", 0.0, 1.0), *bars[1:], smallest=np.nan)
    assert "too few to show any gain" in sentence(difference("alone", 0.01, 0.4), *bars[1:], smallest=np.inf)


@pytest.mark.parametrize(
    ("run", "ends"),
    [
        ((), "is 3.0 points; the credit controls own input and scrambled were not run, so none could be claimed."),
        (("own_input",), "is 3.0 points; the credit control scrambled was not run, so none could be claimed."),
        (("own_input", "scrambled"), "is 3.0 points, and the claim also asks for the controls."),
    ],
)
def test_a_claim_that_asks_for_controls_is_spoken_of_only_where_they_were_run(run: tuple[str, ...], ends: str) -> None:
    found = sentence(difference("alone", 0.01, 0.4), *(difference(kind, 0.01, 0.4) for kind in run))
    assert found.endswith(ends)


@pytest.mark.parametrize(
    ("value", "digits", "signed", "text"),
    [
        (-3.14, 1, False, "−3.1"),
        (-0.0004, 3, False, "0.000"),
        (-0.0004, 3, True, "0.000"),
        (0.0004, 3, True, "0.000"),
        (0.5, 1, True, "+0.5"),
        (-0.0, 2, False, "0.00"),
    ],
)
def test_numbers_have_one_minus_sign_and_zero_has_none(value: float, digits: int, signed: bool, text: str) -> None:
    assert wording.format_number(value, digits, signed=signed) == text


def test_every_control_that_is_not_beaten_is_named() -> None:
    bars = [difference("alone", 0.05, 0.01), difference("own_input", 0.01, 0.3), difference("scrambled", -0.06, 0.001)]
    assert sentence(*bars) == (
        "Taught beats alone by 5.0 points [3.0, 7.0], but not own input and scrambled: the gain cannot be credited to "
        "the privileged sensors."
    )


def test_long_lists_of_subjects_are_cut_short() -> None:
    text = wording.lacking_classes_warning({f"S{n}": ["task"] for n in range(11)})
    assert text.startswith("11 subjects lack a class: S0 (no task)")
    assert "and 3 more" in text
    assert wording.lacking_classes_warning({"S1": ["rest"]}).startswith("1 subject lacks a class")
