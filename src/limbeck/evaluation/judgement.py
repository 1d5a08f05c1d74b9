"""The shapes of a judgement: what `limbeck.evaluation.judge` returns and a report prints.

Everything here is a value: no computation, and nothing but NumPy is needed at import.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = [
    "REQUIRED_CREDIT",
    "ArmScore",
    "Comparison",
    "Difference",
    "GapClosed",
    "Interval",
    "Judgement",
    "LabelEfficiency",
    "Verdict",
    "Worth",
]

REQUIRED_CREDIT = ("own_input", "scrambled")
"""The credit controls without which nothing can be claimed; alone is always a bar."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its bootstrap interval over subjects.

    Parameters
    ----------
    estimate, low, high : float
        In the unit of the metric (a balanced accuracy of 0.62, a gain of 0.047); NaN when undefined.
    """

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """What one claim of a study compares; every value is the name of an arm.

    Parameters
    ----------
    taught : str
        The student that a teacher taught.
    alone : str
        The same student without a teacher; always a bar.
    teacher : str or None
        The teacher whose own score is shown beside it.
    ceiling : str or None
        What the gap closed is measured against: the teacher when all are labelled, else the student with all labels.
    credit : mapping of str to str
        Kind to arm of the controls that a claim must beat: ``own_input``, ``scrambled``.
    diagnostics : mapping of str to str
        Kind to arm of the controls that are shown and never a bar: ``hard_labels``, ``within_predicted``, ``smoothed``.
    """

    taught: str
    alone: str
    teacher: str | None
    ceiling: str | None
    credit: Mapping[str, str]
    diagnostics: Mapping[str, str]

    @property
    def missing_credit(self) -> tuple[str, ...]:
        """The credit controls that a claim needs and that were not run."""
        return tuple(kind for kind in REQUIRED_CREDIT if kind not in self.credit)


@dataclass(frozen=True)
class Difference:
    """One arm against another, paired by subject.

    Parameters
    ----------
    arm, other : str
        The taught arm, and what it is held against.
    kind : str
        ``alone``, ``own_input``, ``scrambled``, ``hard_labels``, ..., ``teacher`` or ``ceiling``.
    role : str
        ``credit`` (a bar of the claim), ``diagnostic`` or ``reference``.
    gain : Interval
        Mean over subjects of arm minus other (other minus arm where lower is better, so a gain above zero always means
        that the arm is better), as a fraction.
    p_sign_flip : float
        Two-sided paired sign-flip permutation test on the mean.
    p_wilcoxon : float
        Two-sided Wilcoxon signed-rank test.
    p_holm : float or None
        `p_sign_flip` after Holm over the credit differences of the variant; None for other roles.
    effect_size : float
        Cohen's dz: mean over standard deviation of the paired differences.
    standard_error : float
        Of the mean difference.
    n_subjects : int
        Subjects for whom both arms have a score.
    posterior : tuple of three floats
        P(other better), P(practically equivalent), P(arm better) by the Bayesian signed-rank test.
    """

    arm: str
    other: str
    kind: str
    role: str
    gain: Interval
    p_sign_flip: float
    p_wilcoxon: float
    p_holm: float | None
    effect_size: float
    standard_error: float
    n_subjects: int
    posterior: tuple[float, float, float]


@dataclass(frozen=True)
class GapClosed:
    """(taught - alone) / (ceiling - alone) of the means over subjects.

    Parameters
    ----------
    value : Interval or None
        1 is the whole gap; None when undefined.
    why_undefined : str
        The reason in words; ``""`` when defined.
    ceiling_gap : Interval
        Ceiling minus alone.
    """

    value: Interval | None
    why_undefined: str
    ceiling_gap: Interval


@dataclass(frozen=True)
class Verdict:
    """Whether teaching helped, for one comparison.

    Parameters
    ----------
    comparison : Comparison
        What was compared.
    claim : bool
        True when taught beats alone and every credit control at the level of the study, after Holm over its claims.
    p_claim, p_claim_holm : float
        The intersection-union p-value, and after Holm over all claims of the study; the latter is NaN for a comparison
        that cannot be claimed, which Holm does not count.
    sentence : str
        The verdict in plain words with its figures.
    differences : tuple of Difference
        Credit first, then diagnostics, then references.
    gap : GapClosed or None
        None when the comparison names no ceiling.
    smallest_gain : float
        The gain over alone that these subjects would show with 80 % probability in a test at `level`; infinite when
        they are too few, NaN when all of them gain alike, so that nothing tells how far a mean would move. The claim
        asks for the credit controls too, and so for more.
    level : float
        The level of `smallest_gain`, that which Holm asks of the first of its claims: alpha / `n_claims`.
    n_claims : int
        How many claims of the study Holm corrected for: those that can be claimed.
    claimable : bool
        False when a credit control was not run (``comparison.missing_credit``): nothing can be claimed then.
    """

    comparison: Comparison
    claim: bool
    p_claim: float
    p_claim_holm: float
    sentence: str
    differences: tuple[Difference, ...]
    gap: GapClosed | None
    smallest_gain: float
    level: float
    n_claims: int
    claimable: bool


@dataclass(frozen=True, eq=False)
class ArmScore:
    """The scores of one arm.

    Parameters
    ----------
    arm : str
        Its name.
    scores : mapping of str to Interval
        Per metric the mean over subjects.
    pooled : mapping of str to float
        Per metric the score of all subjects' samples thrown together, averaged over repetitions and seeds.
    spread : mapping of str to float
        Per metric the standard deviation over subjects.
    n_subjects : int
        Subjects with test predictions.
    confusion : ndarray of shape (n_classes, n_classes), float64, or None
        Samples by truth (row) and prediction (column), averaged over repetitions and seeds; None for traces.
    """

    arm: str
    scores: Mapping[str, Interval]
    pooled: Mapping[str, float]
    spread: Mapping[str, float]
    n_subjects: int
    confusion: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Judgement:
    """Everything that can be said about one variant of a study.

    Parameters
    ----------
    variant : str
        ``""`` for a study without a sweep.
    metric : str
        What verdicts are made on.
    level : str
        ``window``, ``step`` (of a trace with several values per window) or ``trial``: what counts as one sample.
    alpha : float
        The level of the tests.
    arms : mapping of str to ArmScore
        In the order of the predictions.
    verdicts : tuple of Verdict
        One per comparison.
    per_subject : pandas.DataFrame
        Index subject, one column per arm, the chosen metric averaged over repetitions and seeds.
    warnings : tuple of str
        What a reader must know before believing the figures.
    classes : tuple of str
        Names of the classes; empty for traces.
    training_subjects : float
        Subjects that a fold has for training, validation included: all who are not tested in it, mean over folds. NaN
        where the predictions do not tell their fold.
    """

    variant: str
    metric: str
    level: str
    alpha: float
    arms: Mapping[str, ArmScore]
    verdicts: tuple[Verdict, ...]
    per_subject: pd.DataFrame
    warnings: tuple[str, ...]
    classes: tuple[str, ...]
    training_subjects: float = float("nan")


@dataclass(frozen=True)
class Worth:
    """How many labelled subjects teaching was worth, with a given number of them.

    Parameters
    ----------
    labelled : float
        Subjects with labels.
    matched : Interval
        With how many labelled subjects alone would score the same; infinite where that is more than the largest number
        that was measured, minus infinity where it is less than the smallest.
    extra : Interval
        `matched` minus `labelled`: what teaching was worth. At or below zero it was worth nothing.
    beyond : float
        What an infinite end of `extra` is more than: the largest number measured, minus `labelled`.
    """

    labelled: float
    matched: Interval
    extra: Interval
    beyond: float


@dataclass(frozen=True, eq=False)
class LabelEfficiency:
    """Scores of one comparison against the number of labelled subjects, and what teaching was worth in these.

    Parameters
    ----------
    taught, alone : str
        The arms that are compared.
    self_taught : str or None
        The control that was taught by a teacher with the student's own modalities; None when it was not run.
    metric : str
        What was scored.
    scores : pandas.DataFrame
        Columns ``line labelled score low high``: a row per line (``alone``, ``taught``, ``self_taught``) and number of
        labelled subjects, the mean over subjects with its 95 % interval. Rows are in order of line and number. With all
        labels, alone may stand there without the others: it is the ceiling of the variants with few labels.
    all_labelled : float
        Subjects that a fold trains on, which is what "all" counts as; NaN when it is not known.
    all_labels : Interval or None
        Score of alone with all labels; None when it was not measured.
    rise : Interval
        Alone with the most labels minus alone with the fewest; above zero when more labels make it better.
    worth, worth_self_taught : tuple of Worth
        Per number of labelled subjects below the largest one at which alone was measured; empty when it cannot be said.
    n_subjects, n_left_out : int
        Subjects with a score on every line at every number, on whom everything here rests, and the others.
    sentence : str
        What teaching was worth, in plain words.
    """

    taught: str
    alone: str
    self_taught: str | None
    metric: str
    scores: pd.DataFrame
    all_labelled: float
    all_labels: Interval | None
    rise: Interval
    worth: tuple[Worth, ...]
    worth_self_taught: tuple[Worth, ...]
    n_subjects: int
    n_left_out: int
    sentence: str
