"""What teaching was worth in labelled subjects, on scores whose truth is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest

from limbeck.errors import DataError
from limbeck.evaluation import Comparison, judge, label_efficiency, label_efficiency_of
from limbeck.evaluation.efficiency import isotonic
from limbeck.evaluation.judgement import Judgement

ALL = 23
Curve = Callable[[float], float]
COUNTS: dict[str, float] = {"labelled=3": 3, "labelled=6": 6, "labelled=12": 12, "labelled=all": ALL}


def comparison(alone: str = "alone", taught: str = "taught", *, few: bool = True) -> Comparison:
    return Comparison(
        taught=taught,
        alone=alone,
        teacher="teacher",
        ceiling=f"{alone}/all_labels" if few else "teacher",
        credit={"own_input": f"{taught}/own_input", "scrambled": f"{taught}/scrambled"},
        diagnostics={},
    )


def windows_of(variant: str, arm: str, shares: np.ndarray, n_windows: int = 200) -> pd.DataFrame:
    """Predictions of subjects who are right in a known share of each class; one fold per subject."""
    subjects = len(shares)
    truth = np.tile(np.arange(n_windows) % 2, subjects)
    subject = np.repeat(np.arange(subjects), n_windows)
    within = np.tile(np.arange(n_windows) // 2, subjects)
    right = within < np.rint(shares * (n_windows // 2))[subject]
    prediction = np.where(right, truth, 1 - truth)
    columns = {
        "variant": variant, "arm": arm, "subject": np.char.add("S", subject.astype(str)), "session": "",
        "trial": np.tile(np.arange(n_windows) // 20, subjects).astype(str), "window": np.arange(len(truth)),
        "start": 0.0, "condition": np.where(truth == 1, "task", "rest"), "fold": subject, "repetition": 0, "seed": 0,
        "truth": truth, "prediction": prediction, "p0": 1.0 - prediction, "p1": prediction.astype(float),
    }  # fmt: skip
    return pd.DataFrame(columns)


def study(
    alone_at: Curve,
    taught_at: Curve,
    own_at: Curve | None = None,
    *,
    counts: Mapping[str, float] = COUNTS,
    subjects: int = ALL + 1,
    spread: float = 0.02,
    pair: tuple[str, str] = ("alone", "taught"),
) -> pd.DataFrame:
    """Predictions whose mean shares are functions of the labelled subjects; subjects differ alike in all arms."""
    rng = np.random.default_rng(0)
    ability = rng.normal(0, 0.04, subjects)
    alone, taught = pair
    frames = []
    for variant, count in counts.items():
        levels = {alone: alone_at(count), taught: taught_at(count), f"{taught}/own_input": (own_at or alone_at)(count)}
        if count < ALL:
            levels[f"{alone}/all_labels"] = alone_at(ALL)
        for arm, level in {**levels, f"{taught}/scrambled": alone_at(count), "teacher": 0.9}.items():
            noise = rng.normal(0, spread, subjects)
            own = ability + noise - (ability + noise).mean()  # the mean over subjects is the level itself
            frames.append(windows_of(variant, arm, level + own))
    return pd.concat(frames, ignore_index=True)


def comparisons(counts: Mapping[str, float] = COUNTS, *pairs: tuple[str, str]) -> dict[str, list[Comparison]]:
    pairs = pairs or (("alone", "taught"),)
    return {variant: [comparison(*pair, few=count < ALL) for pair in pairs] for variant, count in counts.items()}


def rising(count: float) -> float:
    return 0.55 + 0.01 * count


def ahead(labels: float) -> Curve:
    return lambda count: rising(count + labels)


def test_teaching_that_stands_for_twice_the_labels_was_worth_as_many_again() -> None:
    table = study(rising, lambda count: rising(min(2 * count, 24)))
    (found,) = label_efficiency(table, comparisons(), COUNTS, classes=("rest", "task"))
    assert [held.labelled for held in found.worth] == [3, 6, 12]
    assert found.worth[0].extra.estimate == pytest.approx(3, abs=0.25)
    assert found.worth[1].extra.estimate == pytest.approx(6, abs=0.5)
    assert found.worth[2].matched.estimate == np.inf  # 24 labelled were never measured
    assert found.worth[2].beyond == ALL - 12
    assert found.worth[0].extra.low < found.worth[0].extra.estimate < found.worth[0].extra.high
    assert found.sentence.startswith("taught against alone: with 3 labelled, teaching was worth ")
    assert "with 12, more than 11" in found.sentence


def test_lines_hold_the_means_over_subjects_with_their_intervals() -> None:
    (found,) = label_efficiency(study(rising, lambda count: 0.75), comparisons(), COUNTS)
    table = found.scores.set_index(["line", "labelled"])
    assert list(table.index.unique("line")) == ["alone", "taught", "self_taught"]
    assert table.loc[("alone", 6.0), "score"] == pytest.approx(0.61, abs=0.002)
    assert (table["low"] < table["score"]).all()
    assert (table["score"] < table["high"]).all()
    assert found.all_labelled == ALL
    assert found.all_labels is not None
    assert found.all_labels.estimate == table.loc[("alone", float(ALL)), "score"]
    assert (found.n_subjects, found.n_left_out) == (ALL + 1, 0)


def test_between_measured_numbers_the_curve_runs_over_the_logarithm() -> None:
    counts = {"labelled=2": 2, "labelled=8": 8}
    table = study(lambda count: 0.6 if count == 2 else 0.7 if count == 8 else 0.8, lambda count: 0.65, counts=counts)
    (found,) = label_efficiency(table, comparisons(counts), counts)
    assert found.worth[0].matched.estimate == pytest.approx(4, abs=0.15)


def test_all_labels_are_measured_by_the_ceiling_where_no_variant_has_them() -> None:
    counts = {"labelled=3": 3, "labelled=6": 6}
    (found,) = label_efficiency(study(rising, lambda count: 0.7, counts=counts), comparisons(counts), counts)
    alone = found.scores[found.scores["line"] == "alone"]
    assert alone["labelled"].tolist() == [3, 6, ALL]
    share = (0.70 - rising(6)) / (rising(ALL) - rising(6))
    assert found.worth[0].matched.estimate == pytest.approx(6 * (ALL / 6) ** share, rel=0.05)
    assert found.all_labels is not None


def test_what_is_below_the_curve_was_worth_nothing() -> None:
    (found,) = label_efficiency(study(rising, lambda count: 0.53), comparisons(), COUNTS)
    assert all(held.extra.estimate == -np.inf for held in found.worth)
    assert "worth nothing" in found.sentence


def test_taught_like_alone_was_worth_nothing_and_no_interval_pretends_otherwise() -> None:
    table = study(rising, rising, spread=0.0)
    (found,) = label_efficiency(table, comparisons(), COUNTS)
    assert [held.extra.estimate for held in found.worth] == pytest.approx([0, 0, 0], abs=1e-6)
    assert "with 3 labelled, teaching was worth nothing; with 6, nothing;" in found.sentence


def test_a_worth_whose_interval_holds_nothing_is_said_not_to_be_shown() -> None:
    table = study(rising, lambda count: rising(count + 1), spread=0.08)
    (found,) = label_efficiency(table, comparisons(), COUNTS)
    assert found.worth[0].extra.estimate > 0 > found.worth[0].extra.low
    assert "[nothing, " in found.sentence
    assert "], not shown to be more than nothing" in found.sentence


def test_nothing_is_said_where_alone_does_not_rise() -> None:
    (found,) = label_efficiency(study(lambda _: 0.6, lambda _: 0.7), comparisons(), COUNTS)
    assert found.worth == ()
    assert "cannot be said" in found.sentence
    assert "not shown to rise" in found.sentence
    assert len(found.scores) == 12  # the curve is shown all the same


def test_curves_that_cross_are_worth_something_before_and_nothing_after() -> None:
    (found,) = label_efficiency(study(rising, lambda _: 0.64, spread=0.005), comparisons(), COUNTS)
    early, middle, late = (held.extra.estimate for held in found.worth)
    assert early > middle > 0 > late


def test_dips_of_alone_are_smoothed_and_the_smallest_number_that_reaches_a_score_counts() -> None:
    levels: dict[float, float] = {3: 0.60, 6: 0.66, 12: 0.62, ALL: 0.72}
    table = study(levels.__getitem__, lambda count: 0.64 if count == 3 else 0.6, spread=0.0)
    (found,) = label_efficiency(table, comparisons(), COUNTS)
    assert found.worth[0].matched.estimate == pytest.approx(6, abs=1e-6)


def test_self_taught_is_read_off_the_same_curve() -> None:
    table = study(rising, lambda count: rising(2 * count) if count < ALL else rising(count), own_at=rising, spread=0.0)
    (found,) = label_efficiency(table, comparisons(), COUNTS)
    assert found.self_taught == "taught/own_input"
    assert found.worth_self_taught[0].extra.estimate == pytest.approx(0, abs=0.01)
    assert found.worth[0].extra.estimate == pytest.approx(3, abs=0.01)


def test_every_comparison_has_its_own_curve() -> None:
    pairs = (("alone", "taught"), ("ears", "ears_taught"))
    tables = [study(rising, ahead(gain), pair=pair) for pair, gain in zip(pairs, (3, 6), strict=True)]
    tables[1] = tables[1][tables[1]["arm"] != "teacher"]
    found = label_efficiency(pd.concat(tables, ignore_index=True), comparisons(COUNTS, *pairs), COUNTS)
    assert [(held.alone, held.taught) for held in found] == list(pairs)
    assert found[0].worth[0].extra.estimate == pytest.approx(3, abs=0.4)
    assert found[1].worth[0].extra.estimate == pytest.approx(6, abs=1)


def test_targets_are_told_apart_by_the_variants_that_are_given() -> None:
    tables, wanted = [], {}
    for target, gain in (("valence", 3), ("arousal", 0)):
        counts = {f"target={target}, {label}": count for label, count in COUNTS.items()}
        tables.append(study(rising, ahead(gain), counts=counts, spread=0.0))
        wanted[target] = counts
    table = pd.concat(tables, ignore_index=True)
    by_variant = {variant: given for counts in wanted.values() for variant, given in comparisons(counts).items()}
    (valence,) = label_efficiency(table, by_variant, wanted["valence"])
    (arousal,) = label_efficiency(table, by_variant, wanted["arousal"])
    assert valence.worth[0].extra.estimate == pytest.approx(3, abs=0.01)
    assert arousal.worth[0].extra.estimate == pytest.approx(0, abs=0.01)


def test_judgements_give_the_same_as_their_predictions() -> None:
    table = study(rising, lambda count: rising(count + 2))
    judgements = judge(table, comparisons(), classes=("rest", "task"), resamples=500)
    assert [held.training_subjects for held in judgements] == [ALL] * 4
    (direct,) = label_efficiency(table, comparisons(), COUNTS, classes=("rest", "task"), resamples=500)
    (read,) = label_efficiency_of(judgements, COUNTS, resamples=500)
    pd.testing.assert_frame_equal(read.scores, direct.scores)
    assert read.worth == direct.worth
    assert read.sentence == direct.sentence


def test_scores_by_trial_are_those_of_trials() -> None:
    table = study(rising, lambda count: rising(count + 2))
    (by_window,) = label_efficiency(table, comparisons(), COUNTS, resamples=200)
    (by_trial,) = label_efficiency(table, comparisons(), COUNTS, level="trial", resamples=200)
    judged = judge(table, comparisons(), level="trial", resamples=200)
    assert by_trial.scores["score"].iloc[0] == pytest.approx(judged[0].per_subject["alone"].mean())
    assert by_trial.scores["score"].iloc[0] != by_window.scores["score"].iloc[0]


def score_judgement(variant: str, scores: dict[str, np.ndarray], *, metric: str) -> Judgement:
    """Return a judgement of which only the scores by subject and the comparison are used."""

    class Verdict:
        pass

    verdict = Verdict()
    verdict.comparison = comparison()  # type: ignore[attr-defined]
    names = pd.Index([f"S{number}" for number in range(len(scores["alone"]))], name="subject")
    table = pd.DataFrame(scores, index=names)
    return Judgement(variant, metric, "window", 0.05, {}, (verdict,), table, (), ())  # type: ignore[arg-type]


def drawn(
    rng: np.random.Generator, alone_at: Curve, taught_at: Curve, *, error: float = 0.04,
    metric: str = "balanced_accuracy", subjects: int = 22,
) -> tuple[list[Judgement], dict[str, float]]:  # fmt: skip
    ability = rng.normal(0, 0.05, subjects)
    counts: dict[str, float] = {f"n={count}": count for count in (3, 6, 12, 21)}
    judgements = []
    for variant, count in counts.items():
        levels = {"alone": alone_at(count), "taught": taught_at(count)}
        levels |= dict.fromkeys(("taught/own_input", "taught/scrambled"), alone_at(count))
        scores = {arm: level + ability + rng.normal(0, error, subjects) for arm, level in levels.items()}
        judgements.append(score_judgement(variant, scores, metric=metric))
    return judgements, counts


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)

    def by_doubling(count: float) -> float:
        return 0.5 + 0.05 * np.log2(count)

    inside = []
    for _ in range(150):
        judgements, counts = drawn(rng, by_doubling, lambda count: by_doubling(count * 1.6))
        (found,) = label_efficiency_of(judgements, counts, resamples=400)
        inside += [held.extra.low <= 0.6 * held.labelled <= held.extra.high for held in found.worth[:2]]
    assert 0.9 < np.mean(inside) < 0.995


def test_lower_may_be_better() -> None:
    rng = np.random.default_rng(2)
    judgements, counts = drawn(
        rng, lambda n: 1 - 0.1 * np.log2(n), lambda n: 0.9 - 0.1 * np.log2(n), error=0.01, metric="rmse"
    )
    (found,) = label_efficiency_of(judgements, counts, resamples=400)
    assert found.rise.low > 0
    assert found.worth[0].extra.estimate == pytest.approx(3, abs=0.6)


def test_subjects_without_a_score_somewhere_are_left_out_everywhere_and_counted() -> None:
    rng = np.random.default_rng(3)
    judgements, counts = drawn(rng, rising, rising)
    judgements[1].per_subject.loc["S4", "taught"] = np.nan
    (found,) = label_efficiency_of(judgements, counts, resamples=100)
    assert (found.n_subjects, found.n_left_out) == (21, 1)
    assert found.scores["score"].iloc[0] == pytest.approx(judgements[0].per_subject["alone"].drop("S4").mean())


def test_one_number_of_labelled_subjects_makes_no_curve() -> None:
    table = study(rising, rising, counts={"": 3})
    assert label_efficiency(table, comparisons({"": 3}), {"": 3}) == ()


def test_mistakes_are_named_together() -> None:
    table = study(rising, rising)
    with pytest.raises(DataError) as error:
        label_efficiency(table, comparisons(), {"labelled=3": 3, "labelled=6": 3, "labelled=12": 0, "labeled=all": 23})
    message = str(error.value)
    assert "['labelled=3', 'labelled=6'] all have 3" in message
    assert "expected a number above zero" in message
    assert "Did you mean" in message
    bare = table[(table["arm"] != "taught") | (table["variant"] != "labelled=6")]
    with pytest.raises(DataError, match="no predictions of 'taught' with 6 labelled subjects"):
        label_efficiency(bare, comparisons(), COUNTS)


def test_isotonic_agrees_with_scikit_learn() -> None:
    from sklearn.isotonic import IsotonicRegression

    values = np.random.default_rng(0).normal(size=(50, 7))
    expected = [IsotonicRegression().fit_transform(np.arange(7), row) for row in values]
    np.testing.assert_allclose(isotonic(values), expected, atol=1e-12)
