"""A claim needs alone and every credit control, corrected over the study, on the same windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from limbeck.errors import DataError, LimbeckError
from limbeck.evaluation import Comparison, judge

COMPARISON = Comparison(
    taught="taught",
    alone="alone",
    teacher="teacher",
    ceiling="teacher",
    credit={"own_input": "taught/own_input", "scrambled": "taught/scrambled"},
    diagnostics={"hard_labels": "taught/hard_labels"},
)
LEVELS = {
    "teacher": 0.9,
    "alone": 0.65,
    "taught": 0.75,
    "taught/own_input": 0.65,
    "taught/scrambled": 0.6,
    "taught/hard_labels": 0.74,
}


def simulate(
    levels: dict[str, float], *, variant: str = "", n_subjects: int = 22, n_windows: int = 40, seed: int = 0
) -> pd.DataFrame:
    """Simulate arms that are right as often as told, on subjects that differ alike for all arms."""
    rng = np.random.default_rng(seed)
    ability = rng.normal(0, 0.04, n_subjects)
    truth = np.tile(np.arange(n_windows) % 2, n_subjects)
    subject = np.repeat(np.arange(n_subjects), n_windows)
    tables = []
    for arm, level in levels.items():
        for draw in range(2):
            right = rng.random(len(truth)) < (level + ability)[subject]
            prediction = np.where(right, truth, 1 - truth)
            p1 = np.where(prediction == 1, 0.8, 0.2) + rng.uniform(-0.1, 0.1, len(truth))
            columns = {
                "variant": variant,
                "arm": arm,
                "subject": np.char.add("S", subject.astype(str)),
                "session": "",
                "trial": np.tile(np.arange(n_windows) // 2 % 10, n_subjects).astype(str),
                "window": np.arange(len(truth)),
                "start": 5.0,
                "condition": np.where(truth == 1, "task", "rest"),
                "fold": subject,
                "repetition": draw,
                "seed": 0,
                "truth": truth,
                "prediction": prediction,
                "p0": 1 - p1,
                "p1": p1,
            }
            tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def one(predictions: pd.DataFrame, comparison: Comparison = COMPARISON, **options):
    (judgement,) = judge(predictions, {"": [comparison]}, classes=("rest", "task"), resamples=2000, **options)
    return judgement


def test_a_gain_over_alone_and_both_controls_is_claimed_with_its_figures() -> None:
    judgement = one(simulate(LEVELS))
    verdict = judgement.verdicts[0]
    assert verdict.claim
    assert verdict.sentence.startswith("Teaching helped: taught beats alone by ")
    assert "every credit control" in verdict.sentence
    assert "after Holm over 1 claim)" in verdict.sentence
    over_alone = verdict.differences[0]
    mean = judgement.per_subject["taught"].mean() - judgement.per_subject["alone"].mean()
    assert over_alone.gain.estimate == pytest.approx(mean)
    assert f"{100 * mean:.1f} points" in verdict.sentence
    assert over_alone.gain.low < mean < over_alone.gain.high
    assert verdict.gap is not None
    assert verdict.gap.value is not None
    assert verdict.gap.value.estimate == pytest.approx(0.4, abs=0.15)


def test_differences_have_their_roles_and_only_credit_is_corrected() -> None:
    differences = one(simulate(LEVELS)).verdicts[0].differences
    assert [(d.kind, d.role) for d in differences] == [
        ("alone", "credit"),
        ("own_input", "credit"),
        ("scrambled", "credit"),
        ("hard_labels", "diagnostic"),
        ("teacher", "reference"),
    ]
    assert [d.p_holm is None for d in differences] == [False, False, False, True, True]
    assert all(d.p_holm >= d.p_sign_flip for d in differences if d.p_holm is not None)
    assert all(d.arm == "taught" and d.n_subjects == 22 for d in differences)


def test_the_p_of_a_claim_is_that_of_its_hardest_bar() -> None:
    verdict = one(simulate(LEVELS | {"taught/own_input": 0.72})).verdicts[0]
    credit = [d for d in verdict.differences if d.role == "credit"]
    assert verdict.p_claim == max(d.p_sign_flip for d in credit)


@pytest.mark.parametrize(
    ("control", "words"), [("own_input", "privileged sensors"), ("scrambled", "what the teacher knows")]
)
def test_a_control_that_is_not_beaten_forbids_the_claim(control: str, words: str) -> None:
    verdict = one(simulate(LEVELS | {f"taught/{control}": 0.8})).verdicts[0]
    assert not verdict.claim
    assert verdict.p_claim == 1.0
    assert f"but not {control.replace('_', ' ')}" in verdict.sentence
    assert words in verdict.sentence


def test_diagnostics_are_never_a_bar() -> None:
    assert one(simulate(LEVELS | {"taught/hard_labels": 0.85})).verdicts[0].claim


def test_without_a_gain_the_smallest_gain_is_said() -> None:
    verdict = one(simulate(LEVELS | {"taught": 0.65})).verdicts[0]
    assert not verdict.claim
    assert verdict.sentence.startswith("No evidence that teaching helped")
    amount = f"{100 * verdict.smallest_gain:.1f} points"
    assert f"the smallest gain over alone that these 22 subjects could show at 0.05 is {amount}" in verdict.sentence
    assert "the claim also asks for the controls" in verdict.sentence


def test_a_loss_is_said() -> None:
    verdict = one(simulate(LEVELS | {"taught": 0.52})).verdicts[0]
    assert verdict.sentence.startswith("Teaching hurt: taught falls behind alone by ")
    assert not verdict.claim


def test_without_both_controls_nothing_is_claimed() -> None:
    missing = replace(COMPARISON, credit={"own_input": "taught/own_input"})
    verdict = one(simulate(LEVELS), missing).verdicts[0]
    assert not verdict.claim
    assert not verdict.claimable
    assert np.isnan(verdict.p_claim_holm)
    assert "credit control scrambled was not run" in verdict.sentence


def test_what_cannot_be_claimed_is_not_counted_among_the_claims() -> None:
    predictions = pd.concat([simulate(LEVELS | {"other": 0.7}, variant=v, seed=n) for n, v in enumerate("ab")])
    bare = replace(COMPARISON, taught="other", credit={})
    judgements = judge(predictions, {v: [COMPARISON, bare] for v in "ab"}, resamples=200)
    verdicts = [verdict for judgement in judgements for verdict in judgement.verdicts]
    assert [verdict.claimable for verdict in verdicts] == [True, False, True, False]
    assert {verdict.n_claims for verdict in verdicts} == {2}
    assert {verdict.level for verdict in verdicts} == {0.025}


def test_claims_are_corrected_over_all_variants_and_comparisons() -> None:
    levels = LEVELS | {"taught": 0.705, "other": 0.65}
    variants = [f"labelled={n}" for n in range(5)]
    predictions = pd.concat([simulate(levels, variant=v, seed=n) for n, v in enumerate(variants)])
    comparisons = {v: [COMPARISON, replace(COMPARISON, taught="other")] for v in variants}
    judgements = judge(predictions, comparisons, classes=("rest", "task"), resamples=500)
    verdicts = [v for judgement in judgements for v in judgement.verdicts]
    assert [j.variant for j in judgements] == variants
    p, p_holm = (np.array([getattr(v, name) for v in verdicts]) for name in ("p_claim", "p_claim_holm"))
    assert p_holm[p.argmin()] == pytest.approx(min(1.0, 10 * p.min()))
    assert all(v.claim == (v.p_claim_holm <= 0.05) for v in verdicts)
    lost = [v for v in verdicts if v.p_claim <= 0.05 < v.p_claim_holm]
    assert lost
    assert all("but not after Holm over 10 claims" in v.sentence for v in lost)


def test_the_smallest_gain_grows_with_the_number_of_claims() -> None:
    predictions = pd.concat([simulate(LEVELS, variant="a"), simulate(LEVELS, variant="b", seed=1)])
    both = judge(predictions, {"a": [COMPARISON], "b": [COMPARISON]}, resamples=500)
    single = judge(predictions, {"a": [COMPARISON]}, resamples=500)
    assert both[0].verdicts[0].smallest_gain > single[0].verdicts[0].smallest_gain
    assert single[1].verdicts == ()


def test_arms_that_do_not_differ_are_not_claimed() -> None:
    predictions = [simulate(dict.fromkeys(LEVELS, 0.65), seed=seed, variant=str(seed)) for seed in range(5)]
    judgements = judge(pd.concat(predictions), {str(seed): [COMPARISON] for seed in range(5)}, resamples=200)
    assert not any(judgement.verdicts[0].claim for judgement in judgements)


def test_arms_have_scores_intervals_pooled_scores_and_confusion() -> None:
    predictions = simulate(LEVELS)
    judgement = one(predictions)
    assert list(judgement.arms) == list(LEVELS)
    score = judgement.arms["alone"]
    assert (
        set(score.scores) == {"balanced_accuracy", "accuracy", "macro_f1", "kappa", "mcc", "auc"} == set(score.pooled)
    )
    interval = score.scores["balanced_accuracy"]
    assert interval.low < interval.estimate < interval.high
    assert interval.estimate == pytest.approx(judgement.per_subject["alone"].mean())
    assert score.spread["balanced_accuracy"] == pytest.approx(judgement.per_subject["alone"].std())
    assert score.confusion is not None
    assert score.confusion.sum() == 22 * 40
    assert list(judgement.per_subject.index[:3]) == ["S0", "S1", "S2"]


def test_by_trial_the_windows_of_a_trial_are_one_sample() -> None:
    by_window, by_trial = (one(simulate(LEVELS), level=level) for level in ("window", "trial"))
    alone = by_trial.arms["alone"]
    assert alone.confusion is not None
    assert alone.confusion.sum() == 22 * 20
    assert alone.scores["accuracy"].estimate > by_window.arms["alone"].scores["accuracy"].estimate


def test_the_same_table_and_seed_give_the_same_judgement() -> None:
    predictions = simulate(LEVELS)
    first, again = one(predictions), one(predictions.sample(frac=1, random_state=1))
    assert repr(first.verdicts) == repr(again.verdicts)


def traces(n_subjects: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    truth = np.tile(np.sin(np.arange(50) / 5), n_subjects)
    subject = np.repeat(np.arange(n_subjects), 50)
    noise = {"alone": 1.5, "taught": 0.8, "taught/own_input": 1.5, "taught/scrambled": 1.6}
    return pd.concat(
        [
            pd.DataFrame(
                {"variant": "", "arm": arm, "subject": subject, "session": "", "trial": "", "condition": ""}
                | {"window": np.arange(len(truth)), "repetition": 0, "seed": 0, "truth": truth}
                | {"prediction": truth + rng.normal(0, spread, len(truth))}
            )
            for arm, spread in noise.items()
        ]
    )


@pytest.mark.parametrize("metric", ["ccc", "rmse"])
def test_traces_are_judged_and_a_gain_is_always_for_the_better(metric: str) -> None:
    comparison = replace(COMPARISON, teacher=None, ceiling=None, diagnostics={})
    (judgement,) = judge(traces(), {"": [comparison]}, metric=metric, resamples=1000)
    verdict = judgement.verdicts[0]
    assert verdict.claim
    assert verdict.gap is None
    assert verdict.differences[0].gain.low > 0
    assert "points" not in verdict.sentence
    assert judgement.classes == ()
    assert judgement.arms["taught"].confusion is None
    assert set(judgement.arms["taught"].scores) == {"rmse", "pcc", "ccc"}


def test_the_clock_and_the_dummy_are_warned_of_when_they_win() -> None:
    warnings = one(simulate(LEVELS | {"confound/clock": 0.88, "baseline/majority": 0.7})).warnings
    clock = next(w for w in warnings if "clock" in w)
    assert "0.8" in clock
    assert "alone (0.6" in clock
    assert "taught (0.7" in clock
    assert "teacher (" not in clock
    assert any(w.startswith("Alone scores") and "baseline/majority" in w for w in warnings)
    quiet = one(simulate(LEVELS | {"confound/clock": 0.5, "baseline/majority": 0.5})).warnings
    assert quiet == ()


def test_a_clock_that_is_ahead_by_chance_is_not_warned_of() -> None:
    arms = ["alone", "taught", "confound/clock", "baseline/majority"]
    variants = [simulate(dict.fromkeys(arms, 0.5), seed=seed, variant=str(seed)) for seed in range(10)]
    judgements = judge(pd.concat(variants), {}, classes=("rest", "task"), resamples=500)
    ahead = [j.per_subject.mean()[["confound/clock", "baseline/majority"]].max() for j in judgements]
    behind = [j.per_subject.mean()[["alone", "taught"]].min() for j in judgements]
    assert sum(first > second for first, second in zip(ahead, behind, strict=True)) >= 5  # means alone would warn
    assert sum(bool(judgement.warnings) for judgement in judgements) <= 1


def test_a_clock_above_the_arms_that_knows_no_schedule_is_not_warned_of() -> None:
    levels = dict.fromkeys(LEVELS, 0.35) | {"confound/clock": 0.5}
    predictions = simulate(levels)
    constant = predictions[predictions["arm"] == "alone"].assign(arm="baseline/majority", prediction=0)
    warnings = one(pd.concat([predictions, constant])).warnings
    assert not any("clock" in warning for warning in warnings)
    assert any(warning.startswith("Alone scores") for warning in warnings)


def test_too_few_subjects_for_any_claim_are_warned_of() -> None:
    judgement = one(simulate(LEVELS, n_subjects=5))
    assert any("With 5 subjects the sign-flip test cannot give a p-value below 0.0625" in w for w in judgement.warnings)
    assert not judgement.verdicts[0].claim
    assert judgement.verdicts[0].smallest_gain == np.inf
    few_for_many = pd.concat([simulate(LEVELS, variant=v, n_subjects=7) for v in "abcdef"])
    judgements = judge(few_for_many, {v: [COMPARISON] for v in "abcdef"}, resamples=200)
    assert any("Holm over 6 claims makes 0.0938" in w for w in judgements[0].warnings)


@pytest.mark.parametrize("metric", ["balanced_accuracy", "accuracy", "auc"])
def test_subjects_with_one_class_are_left_out_and_named(metric: str) -> None:
    predictions = simulate(LEVELS)
    judgement = one(predictions[~((predictions["subject"] == "S3") & (predictions["truth"] == 1))], metric=metric)
    assert any("S3 (only rest)" in w for w in judgement.warnings)
    assert judgement.per_subject.loc["S3"].isna().all()
    assert judgement.verdicts[0].differences[0].n_subjects == 21
    assert any("1 of 22 subjects" in w for w in judgement.warnings)


def test_a_shift_of_the_threshold_gains_nothing_where_subjects_have_one_class() -> None:
    predictions = simulate(dict.fromkeys(LEVELS, 0.5), n_subjects=24)
    number = predictions["subject"].str[1:].astype(int)
    predictions = predictions[(number < 8) | (predictions["truth"] == 1)]  # two thirds show nothing but the task
    shifted = predictions["arm"].eq("taught").to_numpy()
    predictions.loc[shifted, "prediction"] = 1
    verdict = one(predictions).verdicts[0]
    assert verdict.differences[0].n_subjects == 8
    assert not verdict.claim
    assert abs(verdict.differences[0].gain.estimate) < 0.05


def test_few_samples_of_a_class_are_warned_of() -> None:
    predictions = simulate(LEVELS)
    rare = (predictions["subject"] == "S3") & (predictions["truth"] == 1) & (predictions["window"] % 40 >= 4)
    warnings = one(predictions[~rare]).warnings
    assert any("1 subject has fewer than 3 windows of a class: S3 (2 of task)" in w for w in warnings)


def test_arms_that_no_subject_can_be_scored_on_are_refused() -> None:
    predictions = simulate(LEVELS)
    even = predictions["subject"].str[1:].astype(int) % 2
    with pytest.raises(DataError, match=r"No subject has a score .* hold the same class"):
        one(predictions[predictions["truth"] == even])


def test_arms_of_a_claim_on_other_windows_are_refused_and_references_warned_of() -> None:
    predictions = simulate(LEVELS)
    lacks = (predictions["subject"] == "S4") & (predictions["window"] % 40 < 5)
    with pytest.raises(DataError, match=r"not tested on the same windows: 5 are missing from the first.*'S4'"):
        one(predictions[~(lacks & (predictions["arm"] == "taught/scrambled"))])
    with pytest.raises(DataError, match="5 from the second"):
        one(predictions[~(lacks & (predictions["arm"] == "alone"))])
    judgement = one(predictions[~(lacks & (predictions["arm"] == "teacher"))])
    assert any("teacher was tested on 875 windows and alone on 880" in w for w in judgement.warnings)


def test_arms_with_other_draws_are_warned_of() -> None:
    predictions = simulate(LEVELS)
    fewer = predictions[~((predictions["arm"] == "taught") & (predictions["repetition"] == 1))]
    assert any("taught was tested in 1 draws" in w for w in one(fewer).warnings)


def test_all_names_that_are_not_there_are_reported_at_once() -> None:
    wrong = replace(COMPARISON, taught="tought", alone="alone_")
    with pytest.raises(DataError) as caught:
        judge(simulate(LEVELS), {"": [wrong], "labelled=3": [COMPARISON]})
    message = str(caught.value)
    assert "Did you mean 'taught'" in message
    assert "Did you mean 'alone'" in message
    assert "variant 'labelled=3' has no predictions" in message


def test_a_metric_or_level_that_does_not_fit_is_refused() -> None:
    with pytest.raises(LimbeckError, match="no metric 'f1'"):
        one(simulate(LEVELS), metric="f1")
    with pytest.raises(DataError, match="window or trial"):
        one(simulate(LEVELS), level="session")
    with pytest.raises(DataError, match="scores traces"):
        one(simulate(LEVELS), metric="ccc")


def test_a_study_without_comparisons_is_scored() -> None:
    (judgement,) = judge(simulate({"teacher": 0.8, "confound/clock": 0.9}), {}, classes=("rest", "task"), resamples=200)
    assert judgement.verdicts == ()
    assert judgement.arms["teacher"].n_subjects == 22
    assert any("clock" in w for w in judgement.warnings)


def test_identical_arms_give_no_evidence_and_no_rounding_noise() -> None:
    predictions = simulate(LEVELS)
    copied = predictions[predictions["arm"] == "alone"].assign(arm="taught")
    predictions = pd.concat([predictions[predictions["arm"] != "taught"], copied.iloc[::-1]])
    difference = one(predictions).verdicts[0].differences[0]
    assert difference.p_sign_flip == 1.0
    assert difference.p_wilcoxon == 1.0
    assert difference.effect_size == 0.0
    assert difference.posterior[1] == pytest.approx(1.0)
