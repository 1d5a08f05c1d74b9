"""Verdicts and warnings in plain words, with their figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from limbeck.evaluation.judgement import REQUIRED_CREDIT, Difference, Interval
from limbeck.metrics import Metric

__all__ = [
    "below_baseline_warning",
    "clock_warning",
    "few_samples_warning",
    "format_amount",
    "format_interval",
    "format_level",
    "format_number",
    "format_p",
    "lacking_classes_warning",
    "single_class_warning",
    "too_few_subjects_warning",
    "verdict_sentence",
]

SUBJECTS_SHOWN = 8
"""Subjects that a warning names."""


def format_number(value: float, digits: int, *, signed: bool = False) -> str:
    """Write a number with a true minus sign; one that is shown as zero has no sign."""
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("+-")


def format_amount(value: float, metric: Metric, *, signed: bool = False) -> str:
    """Write a difference: in points for shares, else as it is."""
    if metric.in_points:
        return f"{format_number(100 * value, 1, signed=signed)} points"
    return format_number(value, 3, signed=signed)


def format_interval(gain: Interval, metric: Metric) -> str:
    """Write the limits of an interval of a difference."""
    scale, digits = (100, 1) if metric.in_points else (1, 3)
    return f"[{format_number(scale * gain.low, digits)}, {format_number(scale * gain.high, digits)}]"


def format_p(p: float) -> str:
    """Write a p-value as ``p = 0.012``."""
    return "p < 0.001" if p < 0.001 else f"p = {min(p, 1.0):.3f}"


def format_level(alpha: float, n_claims: int) -> str:
    """Write the level that Holm asks of the first of several claims, as ``0.05/6``."""
    return f"{alpha:g}/{n_claims}" if n_claims > 1 else f"{alpha:g}"


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _kinds(controls: Sequence[str]) -> str:
    return _list([kind.replace("_", " ") for kind in controls])


def verdict_sentence(
    credit: Sequence[Difference],
    *,
    metric: Metric,
    alpha: float,
    claim: bool,
    p_claim: float,
    p_claim_holm: float,
    n_claims: int,
    smallest_gain: float,
) -> str:
    """Say in words what the credit differences of one comparison show.

    Parameters
    ----------
    credit : sequence of Difference
        The first is that against alone.
    metric : Metric
        What was scored.
    alpha : float
        The level of the tests.
    claim : bool
        Whether teaching is claimed to have helped.
    p_claim, p_claim_holm : float
        As in :class:`limbeck.evaluation.judgement.Verdict`.
    n_claims : int
        How many claims Holm corrected for.
    smallest_gain : float
        As in :class:`limbeck.evaluation.judgement.Verdict`.
    """
    over_alone, controls = credit[0], credit[1:]
    gain = over_alone.gain
    taught, alone = over_alone.arm, over_alone.other
    beats = f"{taught} beats {alone} by {format_amount(gain.estimate, metric)} {format_interval(gain, metric)}"
    claims = f"{n_claims} claim{'s' if n_claims != 1 else ''}"
    if claim:
        return f"Teaching helped: {beats} and every credit control ({format_p(p_claim_holm)} after Holm over {claims})."
    if over_alone.p_sign_flip > alpha:
        missing = _not_run(controls)
        return _no_evidence(over_alone, metric, smallest_gain, format_level(alpha, n_claims), missing)
    if gain.estimate <= 0:
        return (
            f"Teaching hurt: {taught} falls behind {alone} by {format_amount(-gain.estimate, metric)} "
            f"{format_interval(_mirrored(gain), metric)} ({format_p(over_alone.p_sign_flip)})."
        )
    unbeaten = [d.kind for d in controls if d.gain.estimate <= 0 or d.p_sign_flip > alpha]
    if unbeaten:
        return f"{_capital(beats)}, but not {_kinds(unbeaten)}: {_why_no_credit(unbeaten)}."
    missing = _not_run(controls)
    if missing:
        return (
            f"{_capital(beats)} ({format_p(over_alone.p_sign_flip)}), but {missing}: what the gain comes from is open, "
            "and nothing is claimed."
        )
    return (
        f"{_capital(beats)} and every credit control ({format_p(p_claim)}), but not after Holm over {claims} "
        f"({format_p(p_claim_holm)}): nothing is claimed."
    )


def _not_run(controls: Sequence[Difference]) -> str:
    """Say which of the credit controls that a claim needs were not run; nothing where all were."""
    missing = [kind for kind in REQUIRED_CREDIT if kind not in {d.kind for d in controls}]
    if not missing:
        return ""
    several = len(missing) > 1
    return f"the credit control{'s' if several else ''} {_kinds(missing)} {'were' if several else 'was'} not run"


def _no_evidence(over_alone: Difference, metric: Metric, smallest_gain: float, level: str, missing: str) -> str:
    gain, n = over_alone.gain, over_alone.n_subjects
    if np.isposinf(smallest_gain):
        shown = f"{n} subjects are too few to show any gain at {level}"
    elif np.isnan(smallest_gain):
        shown = f"the differences of all {n} subjects are alike, so the smallest gain they could show is unknown"
    else:
        amount = format_amount(smallest_gain, metric)
        shown = (
            f"the smallest gain over {over_alone.other} that these {n} subjects could show at {level} is {amount}"
            + (f"; {missing}, so none could be claimed" if missing else ", and the claim also asks for the controls")
        )
    return (
        f"No evidence that teaching helped: {over_alone.arm} against {over_alone.other} is "
        f"{format_amount(gain.estimate, metric, signed=True)} {format_interval(gain, metric)} "
        f"({format_p(over_alone.p_sign_flip)}); {shown}."
    )


def _mirrored(gain: Interval) -> Interval:
    return Interval(-gain.estimate, -gain.high, -gain.low)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _why_no_credit(unbeaten: Sequence[str]) -> str:
    if "own_input" in unbeaten:
        return "the gain cannot be credited to the privileged sensors"
    if "scrambled" in unbeaten:
        return "the gain cannot be credited to what the teacher knows of each window"
    return "the gain cannot be credited to the teaching"


def clock_warning(clock: str, score: float, beaten: Mapping[str, float], metric: Metric) -> str:
    """Say that a predictor that knows only the schedule scores above arms that read sensors."""
    arms = _list([f"{arm} ({format_number(value, 2)})" for arm, value in beaten.items()])
    return (
        f"The clock alone ({clock}) scores {format_number(score, 2)} ({metric.label}), better than {arms}. Where "
        "everyone follows one schedule, time tells the target without any sensor: a high score on these data is no "
        "proof of reading physiology."
    )


def below_baseline_warning(arm: str, score: float, baseline: str, baseline_score: float, metric: Metric) -> str:
    """Say that an arm scores worse than a dummy that knows no signal."""
    return (
        f"{_capital(arm)} scores {format_number(score, 3)} ({metric.label}), worse than {baseline} "
        f"({format_number(baseline_score, 3)}), which knows no signal; gains over it mean little."
    )


def too_few_subjects_warning(n_subjects: int, smallest_p: float, alpha: float, n_claims: int) -> str:
    """Say that no claim can be made with so few subjects."""
    after = f", which Holm over {n_claims} claims makes {min(1.0, n_claims * smallest_p):.3g}" if n_claims > 1 else ""
    return (
        f"With {n_subjects} subjects the sign-flip test cannot give a p-value below {smallest_p:.3g}{after}: no claim "
        f"can be made at {100 * alpha:g} %."
    )


def single_class_warning(held: Mapping[str, Sequence[str]]) -> str:
    """Say which subjects have a single class in their test windows, and so no score."""
    shown = _subjects({subject: f"only {_list(list(names))}" for subject, names in held.items()})
    return (
        f"{len(held)} subject{' has' if len(held) == 1 else 's have'} windows of one class only: {shown}. Without a "
        "score, they are left out of means and tests: the recall of a single class rises and falls with the threshold "
        "and tells nothing."
    )


def lacking_classes_warning(lacking: Mapping[str, Sequence[str]]) -> str:
    """Say which subjects lack some of several classes in their test windows."""
    shown = _subjects({subject: f"no {_list(list(names))}" for subject, names in lacking.items()})
    return (
        f"{len(lacking)} subject{'s lack' if len(lacking) != 1 else ' lacks'} a class: {shown}. Their balanced "
        "accuracy is the mean recall of the classes they have, for which 1 / classes is not the chance level."
    )


def few_samples_warning(few: Mapping[str, Sequence[str]], level: str, least: int) -> str:
    """Say which subjects have so few samples of a class that its recall is a coarse figure."""
    shown = _subjects({subject: _list(list(parts)) for subject, parts in few.items()})
    return (
        f"{len(few)} subject{'s have' if len(few) != 1 else ' has'} fewer than {least} {level}s of a class: {shown}. "
        f"The recall of that class moves in large steps, and a single {level} weighs as much as many elsewhere."
    )


def _subjects(said: Mapping[str, str]) -> str:
    shown = [f"{subject} ({text})" for subject, text in list(said.items())[:SUBJECTS_SHOWN]]
    more = f" and {len(said) - SUBJECTS_SHOWN} more" if len(said) > SUBJECTS_SHOWN else ""
    return f"{', '.join(shown)}{more}"
