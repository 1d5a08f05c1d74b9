"""Label efficiency: how many labelled subjects teaching was worth.

Where the variants of a study differ only in how many subjects carry labels, the score of the student alone against
that number is a scale on which teaching can be read: if taught with 3 labelled subjects scores what alone would score
with 7, teaching was worth 4 labelled subjects.

*The scale.* Alone is measured at a few numbers. Between these it is taken to rise, never to fall (isotonic regression
by the max-min formula, every number with the same weight), and to run straight over the *logarithm* of the number:
doubling the labels gains about as much at the small end as at the large one, whereas a straight line over the number
itself would lie below such a curve and credit teaching with more labels than it was worth (where the curve is straight
over the number, teaching is credited with too few). Where the curve is level, the
smallest number that reaches a score counts. Nothing is extrapolated: a score above the curve is worth *more than* the
distance to its end, one below its beginning is worth nothing. With all labels, alone is known from the ceiling of the
variants with few, and ends the curve.

*Its intervals.* Subjects are drawn jointly for all lines and numbers, and the curve is fitted anew in each resample;
the interval is the expanded percentile one of :mod:`limbeck.evaluation.statistics`. Unless the interval of (alone with
the most labels - alone with the fewest) lies above zero there is no scale, and nothing is said. The intervals are not
corrected for their number and nothing is claimed on them: whether teaching helped is what the verdicts say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from limbeck.errors import DataError, did_you_mean
from limbeck.evaluation import tables
from limbeck.evaluation.judgement import Comparison, Interval, Judgement, LabelEfficiency, Worth
from limbeck.evaluation.statistics import bootstrap_interval, bootstrap_means, expanded_tail
from limbeck.evaluation.wording import format_amount, format_interval
from limbeck.metrics import Metric, find_metric

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LINES", "format_count", "format_extra", "isotonic", "label_efficiency", "label_efficiency_of"]

LINES = ("alone", "taught", "self_taught")

ALL_LABELS = "all_labels"
"""The ceiling of few labels is the arm ``<alone>/all_labels``."""


@dataclass(frozen=True)
class _Measured:
    """What was measured with one number of labelled subjects: scores by subject and arm, and who is compared there."""

    labelled: float
    table: pd.DataFrame
    comparisons: tuple[Comparison, ...]
    training_subjects: float


def label_efficiency(
    predictions: pd.DataFrame,
    comparisons: Mapping[str, Sequence[Comparison]],
    counts: Mapping[str, float],
    *,
    classes: Sequence[str] = (),
    metric: str = "balanced_accuracy",
    level: str = "window",
    resamples: int = 10_000,
    seed: int = 0,
) -> tuple[LabelEfficiency, ...]:
    """Say what teaching was worth in labelled subjects, from a table of predictions.

    Parameters
    ----------
    predictions : pandas.DataFrame
        The long table of predictions (:mod:`limbeck.evaluation.tables`); of its variants those in `counts` are used.
    comparisons : mapping of str to sequence of Comparison
        By variant.
    counts : mapping of str to float
        The labelled subjects of variants that differ in nothing else; "all" as the number of subjects a fold trains on.
        Several targets, or another swept key, are several calls.
    classes : sequence of str
        Names of the classes in the order of their codes; empty for traces.
    metric : str
        A name in `limbeck.metrics.METRICS`.
    level : str
        ``window`` or ``trial``.
    resamples, seed : int
        Of the bootstrap over subjects.

    Returns
    -------
    tuple of LabelEfficiency
        One per comparison (taught and alone); empty when fewer than two variants are given.

    Raises
    ------
    DataError
        When a variant has no predictions, two variants have one number of labelled subjects, a number is not above
        zero, or an arm that is compared is missing.
    """
    measure = find_metric(metric)
    if level not in ("window", "trial"):
        raise DataError(f"Scores are of a window or of a trial; found level '{level}'.")
    tables.check_predictions(predictions)
    variants = predictions["variant"].astype(str).to_numpy()
    known = list(dict.fromkeys(variants.tolist()))
    _check_variants(counts, known)
    n_classes = tables.class_count(predictions, classes) if measure.kind == "class" else None
    measured = []
    for variant, count in counts.items():
        frame = predictions[variants == variant]
        samples = tables.to_trials(frame, kind=measure.kind) if level == "trial" else frame
        # A frame by trial has lost its variant; it holds one only.
        samples = samples.assign(variant=variant)
        scores = tables.subject_scores(samples, kind=measure.kind, n_classes=n_classes)[measure.name]
        table = scores.droplevel("variant").unstack("arm")  # noqa: PD010 (a level of the index, one value each)
        given = tuple(comparisons.get(variant, ()))
        measured.append(_Measured(float(count), table, given, tables.training_subjects(frame)))
    return _efficiencies(measured, measure, resamples=resamples, seed=seed)


def label_efficiency_of(
    judgements: Sequence[Judgement], counts: Mapping[str, float], *, resamples: int = 10_000, seed: int = 0
) -> tuple[LabelEfficiency, ...]:
    """Say what teaching was worth in labelled subjects, from judgements, which hold the scores by subject already.

    Parameters
    ----------
    judgements : sequence of Judgement
        Of a study; those of the variants in `counts` are used.
    counts : mapping of str to float
        As in :func:`label_efficiency`, which this equals on the predictions of the judgements.
    resamples, seed : int
        Of the bootstrap over subjects.
    """
    held = {judgement.variant: judgement for judgement in judgements}
    _check_variants(counts, list(held))
    measured = [
        _Measured(
            float(count),
            held[variant].per_subject,
            tuple(verdict.comparison for verdict in held[variant].verdicts),
            held[variant].training_subjects,
        )
        for variant, count in counts.items()
    ]
    if not measured:
        return ()
    metric = find_metric(held[next(iter(counts))].metric)
    return _efficiencies(measured, metric, resamples=resamples, seed=seed)


def _check_variants(counts: Mapping[str, float], known: Sequence[str]) -> None:
    mistakes = [
        f"variant '{variant}' has no predictions.{did_you_mean(variant, known)}"
        for variant in counts
        if variant not in known
    ]
    mistakes += [
        f"variant '{variant}' has {count:g} labelled subjects; expected a number above zero."
        for variant, count in counts.items()
        if not count > 0
    ]
    by_count: dict[float, list[str]] = {}
    for variant, count in counts.items():
        by_count.setdefault(float(count), []).append(variant)
    mistakes += [
        f"the variants {alike} all have {count:g} labelled subjects; give those that differ in nothing else."
        for count, alike in by_count.items()
        if len(alike) > 1
    ]
    if mistakes:
        raise DataError("Label efficiency cannot be computed:\n  - " + "\n  - ".join(mistakes))


def _efficiencies(
    measured: Sequence[_Measured], metric: Metric, *, resamples: int, seed: int
) -> tuple[LabelEfficiency, ...]:
    ordered = sorted(measured, key=lambda held: held.labelled)
    pairs = dict.fromkeys((c.taught, c.alone) for held in ordered for c in held.comparisons)
    if len(ordered) < 2:
        return ()
    return tuple(_efficiency(taught, alone, ordered, metric, resamples=resamples, seed=seed) for taught, alone in pairs)


def _efficiency(
    taught: str, alone: str, measured: Sequence[_Measured], metric: Metric, *, resamples: int, seed: int
) -> LabelEfficiency:
    """Measure one comparison over the numbers of labelled subjects at which it was made."""
    lines, self_taught, all_labelled = _lines(taught, alone, measured)
    table, n_left_out = _complete(lines)
    scores = _score_table(table, resamples=resamples, seed=seed)
    sign = 1.0 if metric.higher_is_better else -1.0
    counts = table["alone"].columns.to_numpy(float)
    curve = sign * table["alone"].to_numpy(float)
    rise = bootstrap_interval(curve[:, -1] - curve[:, 0], resamples=resamples, seed=seed)
    worth: dict[str, tuple[Worth, ...]] = {"taught": (), "self_taught": ()}
    if rise.low > 0:
        for line in set(worth) & set(lines):
            worth[line] = tuple(
                _worth(
                    float(labelled), sign * table[line][labelled].to_numpy(float), curve, counts,
                    resamples=resamples, seed=seed,
                )
                for labelled in table[line].columns
                if labelled < counts[-1]
            )  # fmt: skip
    at_all = scores[(scores["line"] == "alone") & (scores["labelled"] >= all_labelled)]
    return LabelEfficiency(
        taught=taught,
        alone=alone,
        self_taught=self_taught,
        metric=metric.name,
        scores=scores,
        all_labelled=all_labelled,
        all_labels=Interval(*map(float, at_all.iloc[0][["score", "low", "high"]])) if len(at_all) else None,
        rise=rise,
        worth=worth["taught"],
        worth_self_taught=worth["self_taught"],
        n_subjects=len(table),
        n_left_out=n_left_out,
        sentence=_sentence(taught, alone, worth["taught"], rise, counts, len(table), metric),
    )


def _lines(
    taught: str, alone: str, measured: Sequence[_Measured]
) -> tuple[dict[str, dict[float, pd.Series]], str | None, float]:
    """Return the scores by subject of each line at each number, the self-taught arm, and what all labels count as."""
    lines: dict[str, dict[float, pd.Series]] = {line: {} for line in LINES}
    self_taught, ceiling = None, None
    missing = []
    for held in measured:
        comparison = next((c for c in held.comparisons if (c.taught, c.alone) == (taught, alone)), None)
        if comparison is None:
            continue
        own = comparison.credit.get("own_input")
        self_taught = own or self_taught
        for line, arm in zip(LINES, (alone, taught, own), strict=True):
            if arm is None:
                continue
            if arm not in held.table.columns:
                missing.append(f"'{arm}' with {held.labelled:g} labelled subjects")
            else:
                lines[line][held.labelled] = held.table[arm]
        if comparison.ceiling == f"{alone}/{ALL_LABELS}" and comparison.ceiling in held.table.columns:
            ceiling = held.table[comparison.ceiling]
    if missing:
        raise DataError(f"Label efficiency cannot be computed: no predictions of {', '.join(missing)}.")
    all_labelled = max((held.training_subjects for held in measured), default=float("nan"))
    if ceiling is not None and all_labelled > max(lines["alone"]):
        lines["alone"][all_labelled] = ceiling
    return {line: held for line, held in lines.items() if held}, self_taught, all_labelled


def _complete(lines: Mapping[str, Mapping[float, pd.Series]]) -> tuple[pd.DataFrame, int]:
    """Return subjects by (line, labelled), of those who have every score, and how many have not."""
    import pandas as pd

    table = pd.concat({(line, count): held for line, by in lines.items() for count, held in by.items()}, axis=1)
    # The same order of subjects gives the same resamples, wherever the scores come from.
    table = table.reindex(tables.natural_order([str(name) for name in table.index])).astype(float)
    whole = np.isfinite(table.to_numpy()).all(1)
    table.columns.names = ["line", "labelled"]
    return table[whole], int((~whole).sum())


def _score_table(table: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for line, labelled in table.columns:
        mean = bootstrap_interval(table[line, labelled].to_numpy(), resamples=resamples, seed=seed)
        rows.append((line, labelled, mean.estimate, mean.low, mean.high))
    return pd.DataFrame(rows, columns=["line", "labelled", "score", "low", "high"])


def isotonic(values: np.ndarray) -> np.ndarray:
    """Return the closest curves that never fall, in the sense of least squares, along the last axis.

    The max-min formula of isotonic regression with equal weights: each value becomes the largest, over the beginnings
    up to it, of the smallest mean, over the ends from it on (Robertson, Wright and Dykstra 1988).

    Parameters
    ----------
    values : ndarray of shape (..., n_points), float

    Returns
    -------
    ndarray of the same shape, float64
    """
    values = np.asarray(values, float)
    n = values.shape[-1]
    sums = np.concatenate([np.zeros((*values.shape[:-1], 1)), values.cumsum(-1)], axis=-1)
    begin, end = np.arange(n)[:, None], np.arange(n)[None, :]
    length = np.maximum(end - begin + 1, 1)
    means = (sums[..., None, 1:] - sums[..., :-1, None]) / length
    means = np.where(end >= begin, means, np.inf)
    least = np.minimum.accumulate(means[..., ::-1], axis=-1)[..., ::-1]
    fitted: np.ndarray = np.where(end >= begin, least, -np.inf).max(-2)
    return fitted


def _matched(scores: np.ndarray, curves: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the smallest number of labelled subjects with which each curve reaches a score.

    Parameters
    ----------
    scores : ndarray of shape (n,), float
        Higher is better.
    curves : ndarray of shape (n, n_counts), float
        Alone at `counts`; made to rise here.
    counts : ndarray of shape (n_counts,), float
        Rising.

    Returns
    -------
    ndarray of shape (n,), float64
        Infinite above a curve, minus infinity below it.
    """
    curves = isotonic(curves)
    # Scores that differ by rounding are the same, or level parts of a curve would be told by chance.
    rounding = 1e-12 * np.abs(curves).max(1)
    below = (curves < (scores - rounding)[:, None]).sum(1)
    right = np.clip(below, 1, len(counts) - 1)
    rows = np.arange(len(scores))
    low, high = curves[rows, right - 1], curves[rows, right]
    share = np.divide(scores - low, high - low, out=np.zeros_like(scores), where=high > low)
    position = np.log(counts)
    between = np.exp(position[right - 1] + np.clip(share, 0, 1) * (position[right] - position[right - 1]))
    beginning = np.where(scores + rounding < curves[:, 0], -np.inf, counts[0])
    return np.select([below == 0, below == len(counts)], [beginning, np.inf], between)


def _worth(
    labelled: float, scores: np.ndarray, curve: np.ndarray, counts: np.ndarray, *, resamples: int, seed: int
) -> Worth:
    """Read one number of labelled subjects off the curve of alone, with its interval over subjects.

    Parameters
    ----------
    labelled : float
        Where the scores were measured.
    scores : ndarray of shape (n_subjects,), float
        Of the taught arm, higher is better.
    curve : ndarray of shape (n_subjects, n_counts), float
        Of alone, higher is better.
    counts : ndarray of shape (n_counts,), float
        Labelled subjects at the columns of `curve`.
    resamples, seed : int
        Of the bootstrap over subjects.
    """
    both = np.column_stack([scores, curve])
    means = np.vstack([both.mean(0), bootstrap_means(both, resamples=resamples, seed=seed)])
    matched = _matched(means[:, 0], means[:, 1:], counts)
    low, high = _outer_quantiles(matched[1:], expanded_tail(len(scores)))
    found = Interval(float(matched[0]), low, high)
    extra = Interval(found.estimate - labelled, found.low - labelled, found.high - labelled)
    return Worth(labelled, found, extra, float(counts[-1]) - labelled)


def _outer_quantiles(values: np.ndarray, tail: float) -> tuple[float, float]:
    """Return the values at both tails, outwards where they fall between two: between infinities nothing is averaged."""
    ordered, last = np.sort(values), len(values) - 1
    return float(ordered[int(np.floor(tail * last))]), float(ordered[int(np.ceil((1 - tail) * last))])


# ---- in words --------------------------------------------------------------------------------------------------------


def format_count(count: float) -> str:
    """Write a number of labelled subjects; where folds differ in size it is a mean."""
    return f"{count:.0f}" if float(count).is_integer() else f"about {count:.0f}"


def format_extra(worth: Worth, value: float) -> str:
    """Write one figure of a worth (its estimate or an end of its interval): ``nothing``, ``4.2``, ``more than 18``."""
    if np.isposinf(value):
        return f"more than {worth.beyond:.3g}"
    return f"{value:.3g}" if value >= 10 else f"{value:.1f}" if value >= 0.05 else "nothing"


def _told(worth: Worth, unit: str = "") -> str:
    """Write a worth with its interval, and say when it may as well be nothing."""
    estimate, low, high = (format_extra(worth, v) for v in (worth.extra.estimate, worth.extra.low, worth.extra.high))
    amount = estimate if estimate == "nothing" else f"{estimate}{unit}"
    if estimate == low == high:
        return amount
    doubt = ", not shown to be more than nothing" if low == "nothing" != estimate else ""
    return f"{amount} [{low}, {high}]{doubt}"


def _sentence(
    taught: str, alone: str, worth: Sequence[Worth], rise: Interval, counts: np.ndarray, n_subjects: int, metric: Metric
) -> str:
    unsaid = f"{taught} against {alone}: what teaching was worth in labelled subjects cannot be said"
    if len(counts) < 2 or n_subjects < 2:
        found = f"{n_subjects} subject{'s' if n_subjects != 1 else ''} at {len(counts)} of them"
        return f"{unsaid}; it needs scores of two subjects at two numbers of labelled subjects, and there are {found}."
    if not rise.low > 0:
        return (
            f"{unsaid}, since {alone} is not shown to rise with labelled subjects (from {format_count(counts[0])} to "
            f"{format_count(counts[-1])} of them {format_amount(rise.estimate, metric, signed=True)} "
            f"{format_interval(rise, metric)})."
        )
    if not worth:
        return f"{unsaid}, since {taught} was measured only where {alone} was not measured with more labelled subjects."
    first, *others = worth
    parts = [
        f"{taught} against {alone}: with {format_count(first.labelled)} labelled, teaching was worth "
        f"{_told(first, ' labelled subjects')}",
        *(f"with {format_count(held.labelled)}, {_told(held)}" for held in others),
    ]
    return f"{'; '.join(parts)}."
