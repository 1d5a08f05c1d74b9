"""Studies: a question, said in YAML, from recordings to a verdict.

A *study* is data, target, protocol, stages and what is compared. :func:`load_study` checks it, :func:`make_plan`
resolves it against the data, :func:`run_study` trains, judges and reports.
"""

from limbeck.study.deploy import DeployedStudent, predict_files
from limbeck.study.grammar import Study
from limbeck.study.plan import Plan, make_plan
from limbeck.study.runner import Run, judge_run, load_run, run, run_study
from limbeck.study.schema import load_study, parse_study

__all__ = [
    "DeployedStudent",
    "Plan",
    "Run",
    "Study",
    "judge_run",
    "load_run",
    "load_study",
    "make_plan",
    "parse_study",
    "predict_files",
    "run",
    "run_study",
]
