"""Evaluation: from the table of predictions to a verdict.

To *evaluate* here means: score each arm on each subject (:mod:`~limbeck.evaluation.tables`), test the differences with
the subject as the unit (:mod:`~limbeck.evaluation.statistics`), and say in words whether teaching helped
(:mod:`~limbeck.evaluation.verdicts`). The entry point is :func:`judge`; it needs nothing but the table, so any run can
be judged again at any later time. :func:`baselines` adds to the table the arms that read no sensor;
:func:`check_target` says before any training whether the target can be judged at all. Where variants differ in how many
subjects carry labels, :func:`label_efficiency` says how many of them teaching was worth.
"""

from limbeck.evaluation.baselines import baselines
from limbeck.evaluation.efficiency import label_efficiency, label_efficiency_of
from limbeck.evaluation.gap import gap_closed
from limbeck.evaluation.judgement import (
    ArmScore,
    Comparison,
    Difference,
    GapClosed,
    Interval,
    Judgement,
    LabelEfficiency,
    Verdict,
    Worth,
)
from limbeck.evaluation.tables import check_target
from limbeck.evaluation.verdicts import judge

__all__ = [
    "ArmScore",
    "Comparison",
    "Difference",
    "GapClosed",
    "Interval",
    "Judgement",
    "LabelEfficiency",
    "Verdict",
    "Worth",
    "baselines",
    "check_target",
    "gap_closed",
    "judge",
    "label_efficiency",
    "label_efficiency_of",
]
