"""Verdicts: whether teaching helped, judged from the table of predictions.

*The claim* is that taught beats alone **and** every credit control. Its null hypothesis is a union (at least one of
these gains is absent), so the claim is tested by an intersection-union test (Berger 1982): each gain is tested at the
full level, and the p-value of the claim is the largest of theirs (1 where a mean gain is not above zero). That holds
its level without a correction for the number of controls, since all of them must be beaten: more controls only make it
harder. Different claims, one per comparison and variant, are several chances to claim something; they are corrected
together by Holm over all claims that the study makes, and that decides. A comparison without both credit controls
cannot be claimed and is not counted among the claims.

Besides, the p-value of each credit difference is given after Holm over the credit differences of its variant: it
answers another question, which of the single differences are real, and decides nothing.

*The smallest gain* a study could show is that over alone at 80 % power, at the level that Holm asks of the first of its
claims (alpha over their number); the verdict carries that level. The claim asks for the credit controls too.

*What a mean over subjects hides.* A subject with a single class has no score and is left out of the pairs, which a
warning names. The clock is warned of where it reads the schedule (its interval lies above what a constant scores) and
an arm falls behind it (the interval of their paired difference lies above zero); a dummy, where an arm falls behind it
in the same sense. Means alone would warn of every second null study.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from limbeck.errors import DataError, did_you_mean
from limbeck.evaluation import statistics, tables, wording
from limbeck.evaluation.gap import gap_closed
from limbeck.evaluation.judgement import ArmScore, Comparison, Difference, GapClosed, Interval, Judgement, Verdict
from limbeck.metrics import METRICS, Metric, find_metric

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LEVELS", "judge"]

LEVELS = ("window", "trial")

CLOCK_PREFIX = "confound/"
DUMMIES = ("baseline/majority", "baseline/mean")

FEW_SAMPLES = 3
"""Samples of a class below which a subject's recall of it is a coarse figure, and a warning says so."""


@dataclass(frozen=True)
class _Rules:
    """How a study is judged; the arguments of :func:`judge`."""

    metric: Metric
    level: str
    alpha: float
    rope: float
    resamples: int
    seed: int
    classes: tuple[str, ...]
    n_classes: int


@dataclass(frozen=True)
class _Draft:
    """A comparison before the corrections over the whole study."""

    comparison: Comparison
    differences: tuple[Difference, ...]
    over_alone: np.ndarray
    gap: GapClosed | None
    p_claim: float


def judge(
    predictions: pd.DataFrame,
    comparisons: Mapping[str, Sequence[Comparison]],
    *,
    classes: Sequence[str] = (),
    metric: str = "balanced_accuracy",
    level: str = "window",
    alpha: float = 0.05,
    rope: float = 0.01,
    resamples: int = 10_000,
    seed: int = 0,
) -> tuple[Judgement, ...]:
    """Judge every variant of a study from its test predictions.

    Parameters
    ----------
    predictions : pandas.DataFrame
        The long table of predictions (:mod:`limbeck.evaluation.tables`).
    comparisons : mapping of str to sequence of Comparison
        By variant (``""`` for a study without a sweep); a variant may have none.
    classes : sequence of str
        Names of the classes in the order of their codes; empty for traces.
    metric : str
        What verdicts are made on, a name in `limbeck.metrics.METRICS`.
    level : str
        ``window``, or ``trial``: predictions are averaged over a trial before they are scored.
    alpha : float
        Level of the tests.
    rope : float
        Region of practical equivalence of the Bayesian test, in the unit of the metric.
    resamples : int
        Of the bootstrap, and of the sign-flip test beyond `limbeck.evaluation.statistics.EXACT_UP_TO` subjects.
    seed : int
        Key of all draws; the same table and seed give the same judgement.

    Returns
    -------
    tuple of Judgement
        One per variant, in the order of the predictions.

    Raises
    ------
    DataError
        When the table cannot be scored, a comparison names an arm or variant that is not there, or the arms of a claim
        were not tested on the same windows, or two arms have no subject with a score of both.
    LimbeckError
        When the metric is unknown.
    """
    measure = find_metric(metric)
    if level not in LEVELS:
        raise DataError(f"Judging works by {' or '.join(LEVELS)}; found level '{level}'.")
    tables.check_predictions(predictions)
    _check_comparisons(predictions, comparisons)
    if measure.kind == "trace" and classes:
        raise DataError(f"The metric '{metric}' scores traces, but the target has the classes {list(classes)}.")
    n_classes = tables.class_count(predictions, classes) if measure.kind == "class" else 0
    names = tuple(str(name) for name in classes) or tuple(str(code) for code in range(n_classes))
    rules = _Rules(measure, level, alpha, rope, resamples, seed, names, n_classes)

    variants = predictions["variant"].astype(str)
    judgements, drafts = [], []
    for variant in variants.unique():
        frame = predictions[(variants == variant).to_numpy()]
        judgement, made = _judge_variant(str(variant), frame, tuple(comparisons.get(variant, ())), rules)
        judgements.append(judgement)
        drafts.append(made)
    verdicts, warnings = _correct_over_study(drafts, rules)
    return tuple(
        replace(judgement, verdicts=own, warnings=judgement.warnings + added)
        for judgement, own, added in zip(judgements, verdicts, warnings, strict=True)
    )


def _check_comparisons(predictions: pd.DataFrame, comparisons: Mapping[str, Sequence[Comparison]]) -> None:
    pairs = predictions[["variant", "arm"]].drop_duplicates().astype(str)
    arms = {str(variant): set(rows["arm"]) for variant, rows in pairs.groupby("variant")}
    mistakes = []
    for variant, wanted in comparisons.items():
        if variant not in arms:
            mistakes.append(f"variant '{variant}' has no predictions.{did_you_mean(variant, arms)}")
            continue
        for arm in dict.fromkeys(name for comparison in wanted for name in _arms_of(comparison)):
            if arm not in arms[variant]:
                place = f" of variant '{variant}'" if variant else ""
                mistakes.append(f"arm '{arm}'{place} has no predictions.{did_you_mean(arm, arms[variant])}")
    if mistakes:
        raise DataError("The comparisons do not fit the predictions:\n  - " + "\n  - ".join(mistakes))


def _arms_of(comparison: Comparison) -> Iterator[str]:
    yield from _main_arms(comparison)
    yield from comparison.credit.values()
    yield from comparison.diagnostics.values()


def _main_arms(comparison: Comparison) -> Iterator[str]:
    yield comparison.taught
    yield comparison.alone
    if comparison.teacher is not None:
        yield comparison.teacher
    if comparison.ceiling is not None:
        yield comparison.ceiling


def _judge_variant(
    variant: str, frame: pd.DataFrame, comparisons: tuple[Comparison, ...], rules: _Rules
) -> tuple[Judgement, list[_Draft]]:
    """Score the arms of one variant and test its comparisons, as far as that needs no other variant."""
    import pandas as pd

    warnings = _coverage_warnings(frame, comparisons)
    samples = tables.to_trials(frame, kind=rules.metric.kind) if rules.level == "trial" else frame
    scores = tables.subject_scores(samples, kind=rules.metric.kind, n_classes=rules.n_classes).droplevel("variant")
    arms = list(dict.fromkeys(scores.index.get_level_values("arm")))
    chosen = pd.DataFrame({arm: scores[rules.metric.name].xs(arm, level="arm") for arm in arms})
    chosen = chosen.reindex(tables.natural_order(chosen.index)).rename_axis(index="subject", columns="arm")
    drafts = [_draft(comparison, chosen, rules) for comparison in comparisons]
    in_steps = rules.level == "window" and "step" in frame and frame["step"].notna().any()
    judgement = Judgement(
        variant=variant,
        metric=rules.metric.name,
        level="step" if in_steps else rules.level,
        alpha=rules.alpha,
        arms=_arm_scores(samples, scores, arms, rules),
        verdicts=(),
        per_subject=chosen,
        warnings=(*warnings, *_score_warnings(samples, chosen, comparisons, drafts, rules)),
        classes=rules.classes,
        training_subjects=tables.training_subjects(frame),
    )
    return judgement, drafts


def _arm_scores(samples: pd.DataFrame, scores: pd.DataFrame, arms: list[str], rules: _Rules) -> dict[str, ArmScore]:
    kind = rules.metric.kind
    pooled = tables.pooled_scores(samples, kind=kind, n_classes=rules.n_classes).droplevel("variant")
    confusion = tables.mean_confusion(samples, rules.n_classes) if kind == "class" else {}
    by_arm = {arm: matrix for (_, arm), matrix in confusion.items()}
    names = [name for name, metric in METRICS.items() if metric.kind == kind]
    found = {}
    for arm in arms:
        rows = scores.xs(arm, level="arm")
        values = {name: rows[name].to_numpy() for name in names}
        found[arm] = ArmScore(
            arm=arm,
            scores={
                name: statistics.bootstrap_interval(v, resamples=rules.resamples, seed=rules.seed)
                for name, v in values.items()
            },
            pooled={name: float(pooled.loc[arm, name]) for name in names},
            spread={name: _spread(v) for name, v in values.items()},
            n_subjects=len(rows),
            confusion=by_arm.get(arm),
        )
    return found


def _spread(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def _paired(chosen: pd.DataFrame, arm: str, other: str, metric: Metric) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of two arms on the subjects that both have, higher is better, without rounding noise."""
    pair = chosen[[arm, other]].to_numpy(float)
    pair = pair[np.isfinite(pair).all(1)]
    if not len(pair):
        same = "class" if metric.kind == "class" else "value"
        raise DataError(
            f"No subject has a score ({metric.label}) of both '{arm}' and '{other}', so they cannot be compared. A "
            f"subject has none where all tested windows hold the same {same}; choose a target that differs within a "
            "subject."
        )
    sign = 1.0 if metric.higher_is_better else -1.0
    first, second = sign * pair[:, 0], sign * pair[:, 1]
    # Means over repetitions, summed in another order, leave differences of 1e-17 where there is none.
    same = np.abs(first - second) <= 1e-12 * np.abs(pair).max()
    return first, np.where(same, first, second)


def _difference(chosen: pd.DataFrame, arm: str, other: str, kind: str, role: str, rules: _Rules) -> Difference:
    first, second = _paired(chosen, arm, other, rules.metric)
    gains = first - second
    return Difference(
        arm=arm,
        other=other,
        kind=kind,
        role=role,
        gain=statistics.bootstrap_interval(gains, resamples=rules.resamples, seed=rules.seed),
        p_sign_flip=statistics.sign_flip_test(gains, resamples=rules.resamples, seed=rules.seed),
        p_wilcoxon=statistics.wilcoxon_test(gains),
        p_holm=None,
        effect_size=statistics.cohens_dz(gains),
        standard_error=statistics.standard_error(gains),
        n_subjects=len(gains),
        posterior=statistics.bayesian_signed_rank(first, second, rope=rules.rope, seed=rules.seed),
    )


def _draft(comparison: Comparison, chosen: pd.DataFrame, rules: _Rules) -> _Draft:
    wanted = [(comparison.alone, "alone", "credit")]
    wanted += [(arm, kind, "credit") for kind, arm in comparison.credit.items()]
    wanted += [(arm, kind, "diagnostic") for kind, arm in comparison.diagnostics.items()]
    if comparison.teacher is not None:
        wanted.append((comparison.teacher, "teacher", "reference"))
    if comparison.ceiling not in (None, comparison.teacher):
        wanted.append((str(comparison.ceiling), "ceiling", "reference"))
    differences = tuple(
        _difference(chosen, comparison.taught, other, kind, role, rules) for other, kind, role in wanted
    )
    credit = [d for d in differences if d.role == "credit"]
    first, second = _paired(chosen, comparison.taught, comparison.alone, rules.metric)
    return _Draft(
        comparison=comparison,
        differences=differences,
        over_alone=first - second,
        gap=_gap(comparison, chosen, rules),
        p_claim=max(d.p_sign_flip if d.gain.estimate > 0 else 1.0 for d in credit),
    )


def _gap(comparison: Comparison, chosen: pd.DataFrame, rules: _Rules) -> GapClosed | None:
    if comparison.ceiling is None:
        return None
    sign = 1.0 if rules.metric.higher_is_better else -1.0
    taught, alone, ceiling = (
        sign * chosen[arm].to_numpy(float) for arm in (comparison.taught, comparison.alone, comparison.ceiling)
    )
    return gap_closed(taught, alone, ceiling, resamples=rules.resamples, seed=rules.seed)


def _correct_over_study(
    drafts: list[list[_Draft]], rules: _Rules
) -> tuple[list[tuple[Verdict, ...]], list[tuple[str, ...]]]:
    """Correct the claims of all variants together, and the credit differences of each variant by themselves."""
    claims = [draft.p_claim for variant in drafts for draft in variant if not draft.comparison.missing_credit]
    corrected = iter(statistics.holm(claims))
    verdicts, warnings = [], []
    for variant in drafts:
        by_difference = iter(
            statistics.holm([d.p_sign_flip for draft in variant for d in draft.differences if d.role == "credit"])
        )
        own = []
        for draft in variant:
            differences = tuple(
                replace(d, p_holm=float(next(by_difference))) if d.role == "credit" else d for d in draft.differences
            )
            p_holm = float("nan") if draft.comparison.missing_credit else float(next(corrected))
            own.append(_verdict(draft, differences, p_holm, len(claims), rules))
        verdicts.append(tuple(own))
        warnings.append(_few_subjects_warnings(variant, len(claims), rules.alpha))
    return verdicts, warnings


def _verdict(
    draft: _Draft, differences: tuple[Difference, ...], p_claim_holm: float, n_claims: int, rules: _Rules
) -> Verdict:
    claimable = not draft.comparison.missing_credit
    claim = claimable and p_claim_holm <= rules.alpha
    level = rules.alpha / max(n_claims, 1)
    smallest = statistics.smallest_detectable_gain(draft.over_alone, alpha=level)
    sentence = wording.verdict_sentence(
        [d for d in differences if d.role == "credit"],
        metric=rules.metric,
        alpha=rules.alpha,
        claim=claim,
        p_claim=draft.p_claim,
        p_claim_holm=p_claim_holm,
        n_claims=n_claims,
        smallest_gain=smallest,
    )
    return Verdict(
        comparison=draft.comparison,
        claim=claim,
        p_claim=draft.p_claim,
        p_claim_holm=p_claim_holm,
        sentence=sentence,
        differences=differences,
        gap=draft.gap,
        smallest_gain=smallest,
        level=level,
        n_claims=n_claims,
        claimable=claimable,
    )


def _few_subjects_warnings(drafts: list[_Draft], n_claims: int, alpha: float) -> tuple[str, ...]:
    numbers = {len(draft.over_alone) for draft in drafts}
    m = max(n_claims, 1)
    return tuple(
        wording.too_few_subjects_warning(n, statistics.smallest_possible_p(n), alpha, m)
        for n in sorted(numbers)
        if m * statistics.smallest_possible_p(n) > alpha
    )


def _coverage_warnings(frame: pd.DataFrame, comparisons: Sequence[Comparison]) -> list[str]:
    """Refuse a claim between arms that were not tested on the same windows; warn of lesser differences."""
    if not comparisons:
        return []
    windows, rows = tables.coverage(frame, ("subject", "window"))
    draws, _ = tables.coverage(frame, ("repetition", "seed"))
    warnings = []
    for comparison in comparisons:
        bars = {comparison.taught, *comparison.credit.values()}
        for arm in dict.fromkeys(_arms_of(comparison)):
            differs = windows[arm] != windows[comparison.alone]
            if differs.any() and arm in bars:
                subjects = tables.natural_order(rows["subject"][differs].astype(str).unique().tolist())
                raise DataError(
                    f"'{arm}' and '{comparison.alone}' were not tested on the same windows: "
                    f"{int((differs & ~windows[arm]).sum())} are missing from the first and "
                    f"{int((differs & windows[arm]).sum())} from the second (subjects {subjects[:5]}). A claim needs "
                    "the same windows; finish the run, or give both arms the same data."
                )
            if differs.any():
                warnings.append(
                    f"{arm} was tested on {int(windows[arm].sum())} windows and {comparison.alone} on "
                    f"{int(windows[comparison.alone].sum())}; their scores are not of the same windows."
                )
            if (draws[arm] != draws[comparison.alone]).any():
                warnings.append(
                    f"{arm} was tested in {int(draws[arm].sum())} draws of repetition and seed and {comparison.alone} "
                    f"in {int(draws[comparison.alone].sum())}; their averages do not hold the same draws."
                )
    return list(dict.fromkeys(warnings))


def _score_warnings(
    samples: pd.DataFrame,
    chosen: pd.DataFrame,
    comparisons: Sequence[Comparison],
    drafts: Sequence[_Draft],
    rules: _Rules,
) -> list[str]:
    """Say what a reader must know before believing the scores of one variant."""
    main = list(dict.fromkeys(arm for comparison in comparisons for arm in _main_arms(comparison)))
    if not comparisons:
        main = [arm for arm in chosen.columns if "/" not in arm]
    warnings = [*_clock_warnings(chosen, main, rules), *_dummy_warnings(chosen, main, rules)]
    if rules.metric.kind == "class":
        warnings += _class_warnings(samples, rules)
    for draft in drafts:
        left = len(chosen) - len(draft.over_alone)
        if left:
            warnings.append(
                f"{left} of {len(chosen)} subjects have no {rules.metric.label} of both {draft.comparison.taught} and "
                f"{draft.comparison.alone} and are left out of their comparison."
            )
    return list(dict.fromkeys(warnings))


def _clock_warnings(chosen: pd.DataFrame, arms: Sequence[str], rules: _Rules) -> list[str]:
    """Warn of clocks that read the schedule and of the arms that fall behind them."""
    means, warnings = chosen.mean(), []
    for clock in (arm for arm in chosen.columns if arm.startswith(CLOCK_PREFIX)):
        if not _reads_schedule(chosen, clock, rules):
            continue
        beaten = {arm: float(means[arm]) for arm in arms if _lead(chosen, clock, arm, rules).low > 0}
        if beaten:
            warnings.append(wording.clock_warning(clock, float(means[clock]), beaten, rules.metric))
    return warnings


def _reads_schedule(chosen: pd.DataFrame, clock: str, rules: _Rules) -> bool:
    """Return whether the interval of a clock's score lies above what a constant prediction scores."""
    constant = next((float(chosen[dummy].mean()) for dummy in DUMMIES if dummy in chosen.columns), np.nan)
    if not np.isfinite(constant):
        constant = _score_of_chance(rules)
    sign = 1.0 if rules.metric.higher_is_better else -1.0
    score = statistics.bootstrap_interval(
        sign * chosen[clock].to_numpy(float), resamples=rules.resamples, seed=rules.seed
    )
    return bool(score.low > sign * constant)


def _score_of_chance(rules: _Rules) -> float:
    """Return what a prediction without knowledge scores, where the metric has such a value; else NaN."""
    name = rules.metric.name
    if name == "balanced_accuracy":
        return 1 / rules.n_classes
    return {"auc": 0.5, "kappa": 0.0, "mcc": 0.0, "ccc": 0.0, "pcc": 0.0}.get(name, np.nan)


def _dummy_warnings(chosen: pd.DataFrame, arms: Sequence[str], rules: _Rules) -> list[str]:
    """Warn of arms that fall behind a dummy that knows no signal."""
    means = chosen.mean()
    return [
        wording.below_baseline_warning(arm, float(means[arm]), dummy, float(means[dummy]), rules.metric)
        for dummy in DUMMIES
        if dummy in chosen.columns
        for arm in arms
        if _lead(chosen, dummy, arm, rules).low > 0
    ]


def _lead(chosen: pd.DataFrame, first: str, second: str, rules: _Rules) -> Interval:
    """Return how far the first arm is better than the second, over the subjects that have a score of both."""
    sign = 1.0 if rules.metric.higher_is_better else -1.0
    lead = sign * (chosen[first] - chosen[second]).to_numpy(float)
    return statistics.bootstrap_interval(lead, resamples=rules.resamples, seed=rules.seed)


def _class_warnings(samples: pd.DataFrame, rules: _Rules) -> list[str]:
    """Name the subjects that have one class only, that lack some of several, or that have few samples of one."""
    counts = tables.class_counts(samples, rules.n_classes)
    names = np.asarray(rules.classes)
    single, lacking, few = {}, {}, {}
    for subject, row in zip(counts.index, counts.to_numpy(), strict=True):
        if (row > 0).sum() < 2:
            single[subject] = names[row > 0].tolist()
            continue
        if (row == 0).any():
            lacking[subject] = names[row == 0].tolist()
        scarce = (row > 0) & (row < FEW_SAMPLES)
        if scarce.any():
            few[subject] = [f"{n} of {name}" for n, name in zip(row[scarce], names[scarce], strict=True)]
    warnings = []
    if single:
        warnings.append(wording.single_class_warning(single))
    if lacking:
        warnings.append(wording.lacking_classes_warning(lacking))
    if few:
        warnings.append(wording.few_samples_warning(few, rules.level, FEW_SAMPLES))
    return warnings
