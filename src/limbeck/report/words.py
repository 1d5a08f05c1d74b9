"""The words and numbers of a report: labels of metrics and arms, what each control means, how figures are written."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from limbeck.evaluation.wording import format_number
from limbeck.metrics import METRICS

if TYPE_CHECKING:
    from limbeck.evaluation.judgement import Comparison, Difference, Interval, Judgement, Verdict

__all__ = [
    "CONTROLS",
    "Role",
    "against",
    "difference_label",
    "duration",
    "gain",
    "gain_unit",
    "interval",
    "label",
    "metric_label",
    "not_claimable",
    "optimistic_arms",
    "p_value",
    "roles",
    "score",
    "share",
    "transductive_variants",
    "verdict_label",
]

SHORT = {
    "kappa": "Cohen’s κ",
    "mcc": "MCC",
    "auc": "AUC",
    "rmse": "RMSE",
    "pcc": "PCC",
    "ccc": "CCC",
}

IN_POINTS = frozenset(name for name, metric in METRICS.items() if metric.in_points)
"""Metrics that run from 0 to 1 as shares do: their differences are told in points (hundredths)."""

LOWER_IS_BETTER = frozenset(name for name, metric in METRICS.items() if not metric.higher_is_better)

CONTROLS: Mapping[str, str] = {
    "alone": "The same student, trained on labels only: nobody teaches it.",
    "own_input": "The same recipe with a teacher of the same design that has only the student’s own sensors. A student "
    "that does no better than this one gained from being taught (or from unlabelled recordings), not from the "
    "privileged sensors.",
    "scrambled": "The real teacher’s knowledge handed out for the wrong windows: permuted within the subject on "
    "unlabelled windows, within the true class on labelled ones. What is left is the teacher’s general tone, not what "
    "it saw in a window.",
    "hard_labels": "Only the teacher’s decisions, without how sure it was of them. If this does as well, the "
    "decisions are what was transferred.",
    "within_predicted": "Knowledge permuted among windows for which the teacher decided alike. If this does as well, "
    "nothing finer than the decision was transferred.",
    "smoothed": "The teacher’s decisions, all softened to its mean confidence. If this does as well, softness mattered "
    "and the pattern of confidence did not.",
    "teacher": "Reads the privileged sensors too: a reference, not a competitor.",
    "ceiling": "What the student could reach at best in this study: the same student with every label, or the teacher "
    "where all subjects are labelled.",
    "majority": "Always says the most frequent class.",
    "prior": "Guesses with the class frequencies of the training subjects.",
    "mean": "Always says the mean of the training subjects.",
    "clock": "A forest that knows only the time since the start and the order of recordings, no signal. Where everyone "
    "follows one schedule it can beat every sensor: then scores tell the schedule, not the state.",
}
"""What each kind of control, reference and confound means, for a reader who meets it first."""


@dataclass(frozen=True)
class Role:
    """What an arm is in the comparisons of a variant.

    Parameters
    ----------
    group : str
        ``judged``, ``credit``, ``reference``, ``diagnostic``, ``confound`` or ``other``: where it is shown.
    kinds : tuple of str
        What it is called there, such as ``("teacher", "ceiling")``.
    """

    group: str
    kinds: tuple[str, ...]

    @property
    def words(self) -> str:
        """The kinds as words."""
        return ", ".join(kind.replace("_", " ") for kind in self.kinds)

    @property
    def meaning(self) -> str:
        """What the kinds mean, where that is known."""
        return " ".join(CONTROLS[kind] for kind in self.kinds if kind in CONTROLS)


GROUPS = ("judged", "credit", "reference", "other", "diagnostic", "confound")


def roles(judgement: Judgement) -> dict[str, Role]:
    """Return the role of every arm of a judgement, in the order in which a report shows them."""
    found: dict[str, tuple[str, list[str]]] = {}

    def note(arm: str | None, group: str, kind: str) -> None:
        if arm is None or arm not in judgement.arms:
            return
        kinds = found.setdefault(arm, (group, []))[1]
        if kind not in kinds:
            kinds.append(kind)

    comparisons = [verdict.comparison for verdict in judgement.verdicts]
    for comparison in comparisons:
        note(comparison.taught, "judged", "taught")
        note(comparison.alone, "judged", "alone")
    for comparison in comparisons:
        for kind, arm in comparison.credit.items():
            note(arm, "credit", kind)
        note(comparison.teacher, "reference", "teacher")
        note(comparison.ceiling, "reference", "ceiling")
        for kind, arm in comparison.diagnostics.items():
            note(arm, "diagnostic", kind)
    for arm in judgement.arms:
        room, _, kind = arm.partition("/")
        if room in ("baseline", "confound") and kind:
            note(arm, "confound", kind)
        elif arm not in found:
            note(arm, "other", "")
    ordered = sorted(found, key=lambda arm: GROUPS.index(found[arm][0]))
    return {arm: Role(found[arm][0], tuple(kind for kind in found[arm][1] if kind)) for arm in ordered}


def against(judgement: Judgement) -> dict[str, Difference]:
    """Return per arm the difference of a taught arm to it; none where an arm stands beside several taught ones."""
    found: dict[str, list[Difference]] = {}
    for verdict in judgement.verdicts:
        for row in verdict.differences:
            found.setdefault(row.other, []).append(row)
    return {other: rows[0] for other, rows in found.items() if len({row.arm for row in rows}) == 1}


QUALITY: Mapping[str, tuple[str, str]] = {
    "flat": ("not flat", "flat"),
    "clipped": ("not clipped", "clipped"),
    "missing": ("there", "missing samples"),
    "line": ("not mains", "mains hum"),
    "motion": ("still", "motion"),
    "peaks": ("plausible beats or breaths", "implausible beats or breaths"),
}
"""Kinds of signal quality: what is right where they are 1, and what is wrong where they are low."""


def label(text: object, limit: int = 60) -> str:
    """Return a name as one printable line of at most `limit` characters, cut in the middle.

    Control characters and lone surrogates (from odd file names) cannot stand in XML or UTF-8 and become ``�``.
    """
    line = " ".join(str(text).split())
    line = "".join("�" if unicodedata.category(sign) in ("Cc", "Cs", "Cn") else sign for sign in line)
    if len(line) <= limit:
        return line
    head = (limit - 1) * 2 // 3
    return f"{line[:head]}…{line[head + 1 - limit :]}"


def metric_label(metric: str) -> str:
    """Return the name of a metric as it is short enough for the head of a column."""
    if metric in SHORT:
        return SHORT[metric]
    return METRICS[metric].label if metric in METRICS else metric.replace("_", " ")


def gain_unit(metric: str) -> str:
    """Return the unit in which differences of a metric are told: ``points`` (hundredths) or its own."""
    return "points" if metric in IN_POINTS else metric_label(metric)


def score(value: float | None) -> str:
    """Return a score with three decimals, a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else format_number(value, 3)


def gain(value: float | None, metric: str, *, sign: bool = True) -> str:
    """Return a difference of scores: ``+4.7`` points, or ``+0.047`` for metrics that have no points."""
    if value is None or not math.isfinite(value):
        return "–"
    scale, digits = (100, 1) if metric in IN_POINTS else (1, 3)
    return format_number(scale * value, digits, signed=sign)


def interval(value: Interval | None, metric: str | None = None) -> str:
    """Return ``[low, high]`` of an interval: as scores, or as gains of `metric` where it is named."""
    if value is None or not (math.isfinite(value.low) and math.isfinite(value.high)):
        return "–"
    low, high = (score(end) if metric is None else gain(end, metric, sign=False) for end in (value.low, value.high))
    return f"[{low}, {high}]"


def share(value: float | None) -> str:
    """Return a share as a whole percentage."""
    return "–" if value is None or not math.isfinite(value) else f"{format_number(100 * value, 0)} %"


def p_value(value: float | None) -> str:
    """Return a p-value with two significant digits; below 0.001 only as a bound."""
    if value is None or not math.isfinite(value):
        return "–"
    if value < 0.001:
        return "<\N{NO-BREAK SPACE}0.001"
    return f"{value:.3f}" if value < 0.0995 else f"{value:.2f}"


def duration(seconds: float) -> str:
    """Return a stretch of time in the two largest units that matter."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s"


def verdict_label(verdict: Verdict) -> str:
    """Return the verdict in two words at most."""
    if not verdict.claimable:
        return "not claimable"
    return "supported" if verdict.claim else "not supported"


def not_claimable(verdict: Verdict) -> str:
    """Return why nothing can be claimed, as ``scrambled was not run``; ``""`` for what can."""
    missing = [kind.replace("_", " ") for kind in verdict.comparison.missing_credit]
    if verdict.claimable or not missing:
        return ""
    return f"{' and '.join(missing)} {'was' if len(missing) == 1 else 'were'} not run"


def difference_label(comparison: Comparison, other: str, kind: str) -> str:
    """Return the name of a bar in a comparison: its kind, with the arm where the name does not tell it."""
    words = kind.replace("_", " ")
    return words if other == kind or other.endswith(f"/{kind}") else f"{words} ({other})"


def transductive_variants(normalisation: Any) -> list[str]:
    """Return the variants whose normalisation is transductive; ``[""]`` when it is one mode for all.

    Parameters
    ----------
    normalisation : str or mapping
        As in ``StudyRecord.protocol``: one mode, or a mode per variant; a mode may itself be a mapping with ``mode``.
    """
    if isinstance(normalisation, Mapping) and "mode" not in normalisation:
        return [str(variant) for variant, mode in normalisation.items() if "transductive" in str(mode)]
    return [""] if "transductive" in str(normalisation) else []


def optimistic_arms(arms: Any) -> list[str]:
    """Return the names of arms that are marked optimistic, with their variant where there is one."""
    marked = [row for row in arms if row.get("optimistic")]
    return [f"{row['arm']} ({row['variant']})" if row.get("variant") else str(row["arm"]) for row in marked]
