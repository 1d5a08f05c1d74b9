"""From values to the HTML page: what each section shows, as plain dictionaries for the template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.atomic import write_atomically
from limbeck.errors import DataError
from limbeck.evaluation.wording import format_level
from limbeck.report import figures, words
from limbeck.report.efficiency import ShownEfficiency, label_efficiencies

if TYPE_CHECKING:
    import pandas as pd
    from markupsafe import Markup

    from limbeck.evaluation.judgement import ArmScore, Difference, Judgement, LabelEfficiency, Verdict
    from limbeck.report.record import StudyRecord

__all__ = ["render", "write_whole"]

HISTORY = ("variant", "arm", "repetition", "fold", "seed", "epoch", "split", "loss")

CHOICES_SHOWN = 30
"""Folds, at most, for each of which is said what was chosen there."""

LEFT_OUT_SHOWN = 8
"""Longer lists of what was left out are folded."""

GROUP_TITLES: Mapping[str, str] = {
    "judged": "judged",
    "credit": "credit controls",
    "reference": "references: they see more than the student may",
    "other": "in no comparison",
    "diagnostic": "diagnostics",
    "confound": "baselines and confounds",
}

PROTOCOL_TITLES: Mapping[str, str] = {
    "split": "folds",
    "labelled": "labelled subjects",
    "validation": "validation subjects",
}

DATA_TITLES: Mapping[str, str] = {
    "length": "window length (s)",
    "hop": "window hop (s)",
    "classes": "windows per class",
    "ceilings": "best reachable score",
}


def render(record: StudyRecord, judgements: Sequence[Judgement], history: pd.DataFrame) -> str:
    """Return the page as HTML; parameters as in :func:`limbeck.report.write_report`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("limbeck.report", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = _page(record, judgements, history)
    return environment.get_template("report.html.j2").render(record=record, page=page, words=words)


def write_whole(path: Path, text: str) -> Path:
    """Write a text file under a temporary name beside `path` and rename it when it is whole.

    Lone surrogates, which come from file names that are not UTF-8, become question marks.
    """
    return write_atomically(path, lambda p: p.write_bytes(text.encode("utf-8", errors="replace")))


def _page(record: StudyRecord, judgements: Sequence[Judgement], history: pd.DataFrame) -> dict[str, Any]:
    curves = _summaries(history)
    transductive = words.transductive_variants(record.protocol.get("normalisation"))
    swept = len(judgements) > 1
    variants = [
        _variant(f"v{number}", judgement, record, curves, swept=swept, transductive=transductive)
        for number, judgement in enumerate(judgements, start=1)
    ]
    verdicts = [verdict for variant in variants for verdict in variant["verdicts"]]
    claimable = any(verdict["claimable"] for verdict in verdicts)
    metric = judgements[0].metric if judgements else ""
    environment = {key: value for key, value in record.environment.items() if key != "packages"}
    arms = _arms(record)
    efficiencies = label_efficiencies(record, judgements)
    page: dict[str, Any] = {
        "when": record.timing.get("finished") or record.timing.get("started"),
        "headline": _headline(judgements),
        "verdicts": verdicts,
        "cautions": cautions(record, judgements),
        "gains_figure": _gains_figure(judgements, swept=swept),
        "gains_caption": _gains_caption(judgements),
        "overview": [verdict["overview"] for verdict in verdicts] if len(verdicts) > 1 else [],
        "efficiencies": [_efficiency(f"e{number}", shown) for number, shown in enumerate(efficiencies, start=1)],
        "metric_label": words.metric_label(metric),
        "unit": words.gain_unit(metric),
        "level": _level(judgements),
        "protocol": _protocol(record, judgements),
        "data": _data(record),
        "arms": [row for row in arms if not row["derived"]] or arms,
        "derived_arms": [row for row in arms if row["derived"]] if any(not row["derived"] for row in arms) else [],
        "choices": _choices(record),
        "glossary": _glossary(judgements, worth=bool(efficiencies)),
        "variants": variants,
        "smallest": [verdict["overview"] for verdict in verdicts],
        "claimable": claimable,
        "quality": (quality := _quality(record)),
        "quality_kinds": [kind for kind in words.QUALITY if any(kind in row["kinds"] for row in quality)],
        "quality_subjects": _quality_by_subject(record),
        "left_out": list(record.left_out),
        "left_out_shown": LEFT_OUT_SHOWN,
        "environment": [*environment.items(), *_timing(record.timing)],
        "packages": sorted(dict(record.environment.get("packages") or {}).items()),
    }
    page["contents"] = _contents(page)
    return page


def _contents(page: Mapping[str, Any]) -> list[tuple[str, str]]:
    """List what the page contains; a study without a sweep shows the parts of its only variant."""
    entries = [("verdict", "Verdict")]
    entries += [("warnings", "Warnings")] if page["cautions"] else []
    entries += [("gains", "Gains")] if page["gains_figure"] else []
    entries += [("labels", "Labels")] if page["efficiencies"] else []
    entries += [("protocol", "Protocol")]
    if len(page["variants"]) == 1:
        entries += page["variants"][0]["contents"]
    else:
        entries += [(variant["id"], variant["title"]) for variant in page["variants"]]
    entries += [("smallest", "Smallest gain")] if page["smallest"] else []
    entries += [("quality", "Signal quality")] if page["quality"] else []
    return [*entries, ("left-out", "Left out"), ("environment", "Environment"), ("study", "Study")]


def _headline(judgements: Sequence[Judgement]) -> str:
    verdicts = [verdict for judgement in judgements for verdict in judgement.verdicts]
    claims = [verdict.claim for verdict in verdicts if verdict.claimable]
    if not judgements:
        return "Nothing was tested: this run has no predictions."
    if not verdicts:
        return "This study makes no comparison: it reports scores, and no claim that teaching helped."
    if not claims:
        return "Nothing can be claimed: no comparison was run with all credit controls."
    apart = len(verdicts) - len(claims)
    besides = f" {apart} more cannot be claimed." if apart else ""
    held = sum(claims)
    if len(claims) == 1:
        return ("Teaching helped." if held else "This study does not show that teaching helped.") + besides
    if held == 0:
        return f"None of {len(claims)} comparisons shows that teaching helped.{besides}"
    if held == len(claims):
        return f"Teaching helped in all {held} comparisons.{besides}"
    return f"Teaching helped in {held} of {len(claims)} comparisons.{besides}"


def _level(judgements: Sequence[Judgement]) -> str:
    """Return the level at which the smallest gains were computed: alpha, over the number of claims."""
    verdict = next((verdict for judgement in judgements for verdict in judgement.verdicts), None)
    return format_level(judgements[0].alpha, verdict.n_claims) if verdict else ""


def _data(record: StudyRecord) -> list[tuple[str, Any]]:
    """Return what is said of the data; keys without a value are left out."""
    rows = []
    for key, value in record.data.items():
        if value in (None, "", {}, [], ()):
            continue
        if key == "ceilings" and isinstance(value, Mapping):
            value = {view: words.score(float(best)) for view, best in value.items()}
        rows.append((DATA_TITLES.get(key, key.replace("_", " ")), value))
    return rows


def cautions(record: StudyRecord, judgements: Sequence[Judgement]) -> list[str]:
    """Return what a reader must know before believing the figures, each said once, with the variants it holds for.

    Warnings of the run and of the judgements, and what follows from the protocol: transductive normalisation and
    optimistic arms are named even when nobody warned of them.
    """
    where: dict[str, list[str]] = {}
    for text in record.warnings:
        where.setdefault(str(text), [])
    for judgement in judgements:
        for text in judgement.warnings:
            where.setdefault(str(text), []).append(judgement.variant)
    several = len(judgements) > 1
    said = []
    for text, variants in where.items():
        some = several and variants and len(variants) < len(judgements)
        said.append(f"{'; '.join(variants)}: {text}" if some else text)
    together = " ".join(said).lower()
    bare = [
        verdict.comparison.taught
        for judgement in judgements
        for verdict in judgement.verdicts
        if not verdict.comparison.credit
    ]
    if bare:
        said.append(
            f"No credit control stands beside {', '.join(dict.fromkeys(bare))}: a gain over alone can come from being "
            "taught at all, and cannot be credited to the privileged sensors."
        )
    marked = words.optimistic_arms(record.arms)
    if marked and "optimistic" not in together:
        said.insert(
            0,
            f"Optimistic: {', '.join(marked)} was selected with a view of the test subjects. Such figures flatter and "
            "serve only to be laid beside published tables.",
        )
    transductive = words.transductive_variants(record.protocol.get("normalisation"))
    if transductive and "transductive" not in together:
        which = f" ({'; '.join(transductive)})" if transductive != [""] and several else ""
        said.insert(
            0,
            f"Normalisation is transductive{which}: it uses all of a test subject’s unlabelled data, which a device "
            "does not have when it starts to be worn. Expect less in use.",
        )
    return said


def _protocol(record: StudyRecord, judgements: Sequence[Judgement]) -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = [
        (PROTOCOL_TITLES.get(key, key.replace("_", " ")), _compact(value, [held.variant for held in judgements]))
        for key, value in record.protocol.items()
    ]
    if judgements:
        first = judgements[0]
        rows.append(("judged by", f"{words.metric_label(first.metric)} per {first.level}, averaged within a subject"))
        rows.append(("level of the tests", first.alpha))
    return rows


def _compact(value: Any, variants: Sequence[str]) -> Any:
    """Say a value shortly: runs of integers as a range, a value per variant once for the variants that share it."""
    if isinstance(value, (list, tuple)) and len(value) > 3 and all(type(held) is int for held in value):
        first, last = value[0], value[-1]
        return f"{first} to {last}" if list(value) == list(range(first, last + 1)) else value
    if isinstance(value, Mapping) and len(value) > 1 and set(value) <= set(variants):
        shared: dict[str, list[str]] = {}
        for variant, held in value.items():
            shared.setdefault(_listed(held), []).append(variant)
        if len(shared) == 1:
            return next(iter(shared))
        return {held: "; ".join(names) for held, names in shared.items()}
    return value


def _timing(timing: Mapping[str, Any]) -> list[tuple[str, Any]]:
    titles = {"seconds": "time taken", "tasks": "tasks run"}
    return [
        (titles.get(key, key.replace("_", " ")), words.duration(float(value)) if key == "seconds" else value)
        for key, value in timing.items()
        if value is not None
    ]


def _glossary(judgements: Sequence[Judgement], *, worth: bool) -> list[tuple[str, str]]:
    kinds = [kind for judgement in judgements for role in words.roles(judgement).values() for kind in role.kinds]
    terms = {
        "95 % interval": "Subjects are drawn anew, with replacement, many times; 95 % of the means fall between its "
        "ends. It tells how far the mean would move with other subjects of the same kind. A gain whose interval holds "
        "zero is no evidence of a gain.",
        "p, sign-flip": "If two arms were exchangeable, each subject’s difference could as well have had the other "
        "sign. p is the share of such flips with a mean at least as far from zero.",
        "Holm": "Whoever tests often finds something by chance; Holm’s correction keeps the chance of a single false "
        "finding among all rows at the stated level.",
        "claim": "“Teaching helped”: taught beats alone and every credit control. All must be beaten, so the p of the "
        "claim is the largest of theirs, then corrected over all claims of the study.",
        "worse · same · better": "Bayesian signed-rank test: the probabilities that in the population the taught arm "
        "is worse, practically the same, or better.",
        "gap closed": "(taught − alone) / (ceiling − alone): how much of the way to the ceiling teaching covered. "
        "Undefined where the ceiling is not clearly above alone.",
        "pooled": "The score of all subjects’ samples thrown together; every other figure is a mean over subjects.",
    }
    if worth:
        terms["worth n labelled subjects"] = (
            "With m labelled subjects, taught scores what alone would score with m + n. Alone is measured at some "
            "numbers; between them its curve is taken to rise, straight over the logarithm of the number, and beyond "
            "them nothing is said. The interval draws subjects anew for all curves together."
        )
    controls = [(kind.replace("_", " "), words.CONTROLS[kind]) for kind in words.CONTROLS if kind in kinds]
    return [*terms.items(), *controls]


# ---- label efficiency ------------------------------------------------------------------------------------------------


def _efficiency(identifier: str, shown: ShownEfficiency) -> dict[str, Any]:
    found = shown.found
    subjects = f"{found.n_subjects} subjects"
    if found.n_left_out:
        subjects += f" ({found.n_left_out} more lack a score somewhere and are left out)"
    return {
        "id": identifier,
        "name": shown.name,
        "sentence": shown.sentence,
        "rows": shown.rows(),
        "self_taught": found.self_taught or "",
        "figure": figures.label_efficiency(found, name=f"{identifier}-labels"),
        "caption": _efficiency_caption(found),
        "table_caption": f"Mean {words.metric_label(found.metric)} per {shown.level} over {subjects} with its 95 % "
        "interval, and what teaching was worth: how many more labelled subjects alone would need for the same score.",
    }


def _efficiency_caption(found: LabelEfficiency) -> str:
    caption = (
        "Mean over subjects with its 95 % interval; lines stand a little beside each other, so that none covers "
        "another. The axis of labelled subjects is logarithmic."
    )
    drawn = [held for held in found.worth if np.isfinite(held.matched.estimate) and held.extra.estimate > 0]
    if drawn:
        caption += (
            " A dotted line leads from taught to the number of labelled subjects with which alone, smoothed so that it "
            "never falls, scores the same."
        )
    return caption


# ---- one variant -----------------------------------------------------------------------------------------------------


def _variant(
    identifier: str,
    judgement: Judgement,
    record: StudyRecord,
    curves: Mapping[str, pd.DataFrame],
    *,
    swept: bool,
    transductive: Sequence[str],
) -> dict[str, Any]:
    arms = words.roles(judgement)
    described = {
        str(row.get("arm")): row for row in record.arms if str(row.get("variant") or "") in ("", judgement.variant)
    }
    is_transductive = judgement.variant in transductive or "" in transductive
    verdicts = [
        _verdict(f"{identifier}-c{number}", judgement, verdict, swept=swept, transductive=is_transductive)
        for number, verdict in enumerate(judgement.verdicts, start=1)
    ]
    metrics = _metrics(judgement)
    against = words.against(judgement)
    rows = [
        _score_row(arm, role, judgement, metrics, described.get(arm, {}), against.get(arm))
        for arm, role in arms.items()
    ]
    matrices = [(arms[arm].group, _matrix(score, judgement.classes)) for arm, score in _confused(judgement, arms)]
    apart = ("diagnostic", "confound")
    variant = {
        "id": identifier,
        "title": (judgement.variant or "all") if swept else "Results",
        "transductive": is_transductive,
        "level": judgement.level,
        "verdicts": verdicts,
        "metrics": [{"label": words.metric_label(name), "chief": name == judgement.metric} for name in metrics],
        "gains_column": _gains_column(judgement),
        "score_rows": [row for row in rows if row["kind_group"] not in apart],
        "diagnostic_rows": [row for row in rows if row["kind_group"] == "diagnostic"],
        "confound_rows": [row for row in rows if row["kind_group"] == "confound"],
        "confounds": [
            (role.words, role.meaning) for role in arms.values() if role.group == "confound" and role.meaning
        ],
        "score_caption": _score_caption(judgement),
        "scores_figure": None if verdicts else figures.subject_scores(judgement, arms, name=f"{identifier}-subjects"),
        "matrices": [held for group, held in matrices if group not in apart],
        "more_matrices": [held for group, held in matrices if group in apart],
        "curves": _curves(identifier, judgement, arms, curves),
    }
    variant["has_diagnostics"] = bool(variant["diagnostic_rows"]) or any(row["diagnostics"] for row in verdicts)
    variant["contents"] = _variant_contents(variant)
    return variant


def _variant_contents(variant: Mapping[str, Any]) -> list[tuple[str, str]]:
    identifier = variant["id"]
    entries = [(verdict["id"], f"{verdict['taught']} against {verdict['alone']}") for verdict in variant["verdicts"]]
    entries.append((f"{identifier}-arms", "Arms"))
    for part, title, held in (
        ("diagnostics", "Diagnostics", variant["has_diagnostics"]),
        ("confounds", "Confounds", variant["confound_rows"]),
        ("confusion", "Confusion", variant["matrices"] or variant["more_matrices"]),
    ):
        entries += [(f"{identifier}-{part}", title)] if held else []
    return [*entries, (f"{identifier}-curves", "Learning curves")]


def _metrics(judgement: Judgement) -> list[str]:
    """Every metric that some arm has, the one that verdicts are made on first."""
    names = dict.fromkeys(name for score in judgement.arms.values() for name in score.scores)
    return sorted(names, key=lambda name: name != judgement.metric)


def _score_caption(judgement: Judgement) -> str:
    several = {int(count) for count in judgement.per_subject.notna().sum()}
    count = f"{min(several)} to {max(several)}" if len(several) > 1 else str(*several)
    return f"Mean over {count} subjects with its 95 % interval below, per {judgement.level}."


def _gains_column(judgement: Judgement) -> str:
    """Return the heading over what the taught arm gains over each other; ``""`` where nothing is compared."""
    taught = {verdict.comparison.taught for verdict in judgement.verdicts}
    if not taught:
        return ""
    return f"{words.label(taught.pop(), 18)} gains" if len(taught) == 1 else "taught gains"


def _score_row(
    arm: str,
    role: words.Role,
    judgement: Judgement,
    metrics: Sequence[str],
    described: Mapping[str, Any],
    against: Difference | None,
) -> dict[str, Any]:
    held = judgement.arms[arm]
    cells = []
    for name in metrics:
        mean = held.scores.get(name)
        text = words.interval(mean)
        cells.append(
            {
                "value": words.score(None if mean is None else mean.estimate),
                "interval": text if text != "–" else "",
                "chief": name == judgement.metric,
            }
        )
    kind = ", ".join(name.replace("_", " ") for name in role.kinds if name != arm)
    return {
        "arm": arm,
        "kind": "" if arm.endswith(f"/{'_'.join(kind.split())}") else kind,
        "kind_group": role.group,
        "group": GROUP_TITLES[role.group],
        "order": words.GROUPS.index(role.group),
        "reference": role.group == "reference",
        "optimistic": bool(described.get("optimistic")),
        "cells": cells,
        "gain": words.gain(against.gain.estimate, judgement.metric) if against else "",
        "p": words.p_value(against.p_holm) if against and against.p_holm is not None else "",
        "spread": words.score(held.spread.get(judgement.metric)),
        "pooled": words.score(held.pooled.get(judgement.metric)),
    }


def _arms(record: StudyRecord) -> list[dict[str, Any]]:
    """Tell what each arm reads and how it was trained; variants that agree on an arm share its row."""
    variants = {str(row.get("variant") or "") for row in record.arms}
    found: dict[tuple[Any, ...], list[str]] = {}
    for row in record.arms:
        told = (_listed(row.get(key)) for key in ("inputs", "model", "taught_by", "loss"))
        parts = [*told, "; ".join(row.get("besides") or ()), _chosen(row)]
        definition = (str(row.get("arm", "")), _model_size(row.get("parameters")), bool(row.get("optimistic")), *parts)
        found.setdefault(definition, []).append(str(row.get("variant") or ""))
    names = ("arm", "size", "optimistic", "inputs", "model", "taught_by", "loss", "besides", "chosen")
    return [
        {
            **dict(zip(names, definition, strict=True)),
            "where": "" if set(where) == variants else ", ".join(where),
            "derived": "/" in definition[0],
        }
        for definition, where in found.items()
    ]


def _chosen(row: Mapping[str, Any]) -> str:
    """Say how often each candidate was chosen, and of how many times, where there was a choice."""
    counts = dict(row.get("chosen") or {})
    total = sum(counts.values())
    folds = len({choice["fold"] for choice in row.get("choices") or ()})
    unit = f"{total} fold{'s' if total != 1 else ''}" if folds == total else f"{total} trainings"
    first, *others = [f"{candidate} in {count or 'none'}" for candidate, count in counts.items()] or [""]
    return ", ".join([f"{first} of {unit}", *others]) if first else ""


def _choices(record: StudyRecord) -> list[dict[str, Any]]:
    """Tell by variant what was chosen in each fold by every arm that chooses itself, where that is a short table."""
    arms = [row for row in record.arms if row.get("choices") and "/" not in str(row.get("arm"))]
    tables = []
    for variant in dict.fromkeys(str(row.get("variant") or "") for row in arms):
        own = [row for row in arms if str(row.get("variant") or "") == variant]
        places = own[0]["choices"]
        if len(places) > CHOICES_SHOWN:
            continue
        several = [key for key in ("repetition", "seed") if len({place[key] for place in places}) > 1]
        rows = [
            {
                "place": ", ".join([str(place["fold"] + 1), *(f"{key} {place[key]}" for key in several)]),
                "tested": words.label(place["tested"], 80),
                "chosen": [row["choices"][number]["chosen"] for row in own],
            }
            for number, place in enumerate(places)
        ]
        tables.append({"where": variant, "arms": [str(row["arm"]) for row in own], "rows": rows})
    return tables


def _model_size(count: Any) -> str:
    """Return the parameters in words; a model without any is a classical one."""
    if count == 0:
        return "fitted"
    shown = f"{count:,}" if isinstance(count, int) else _listed(count)
    return f"{shown} parameters" if shown else ""


def _quality(record: StudyRecord) -> list[dict[str, Any]]:
    """Tell how far each signal can be believed; variants that agree on a modality share its row."""
    rows: list[dict[str, Any]] = []
    for summary, where in _quality_rows(record):
        kinds = {
            kind: {"text": words.score(value), "share": 1 - float(value), "worst": kind == summary["worst"]}
            for kind, value in summary["kinds"].items()
        }
        rows.append(
            {
                "modality": summary["modality"],
                "where": where,
                "windows": summary["windows"],
                "overall": _quality_cell(summary),
                "kinds": kinds,
            }
        )
    return rows


def _quality_by_subject(record: StudyRecord) -> dict[str, list[dict[str, Any] | None]]:
    """Return, by subject, a cell per row of the table of quality; None where the subject lacks the modality."""
    summaries = [summary["subjects"] for summary, _ in _quality_rows(record)]
    names = sorted({name for subjects in summaries for name in subjects})
    return {name: [_quality_cell(held[name]) if name in held else None for held in summaries] for name in names}


def _quality_rows(record: StudyRecord) -> list[tuple[Mapping[str, Any], str]]:
    """Return each summary of quality once, with the variants it holds for where these are not all."""
    variants = {str(row.get("variant") or "") for row in record.quality}
    found: list[tuple[Mapping[str, Any], list[str]]] = []
    for row in record.quality:
        summary = {key: value for key, value in row.items() if key != "variant"}
        where = next((where for held, where in found if held == summary), None)
        if where is None:
            found.append((summary, where := []))
        where.append(str(row.get("variant") or ""))
    return [(summary, "" if set(where) == variants else "; ".join(where)) for summary, where in found]


def _quality_cell(held: Mapping[str, Any]) -> dict[str, Any]:
    below = float(held["below"])
    return {
        "text": words.score(held["mean"]),
        "share": 1 - float(held["mean"]),
        "below": "none" if not below else "< 1 %" if below < 0.005 else words.share(below),
    }


def _listed(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_listed(held)}" for key, held in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_listed(held) for held in value)
    return str(value)


# ---- one comparison --------------------------------------------------------------------------------------------------


def _verdict(
    identifier: str, judgement: Judgement, verdict: Verdict, *, swept: bool, transductive: bool
) -> dict[str, Any]:
    comparison, metric = verdict.comparison, judgement.metric
    alone = next((row for row in verdict.differences if row.kind == "alone"), None)
    by_role = {
        role: [row for row in verdict.differences if row.role == role] for role in ("credit", "diagnostic", "reference")
    }
    pair = f"{comparison.taught} against {comparison.alone}"
    name = pair
    if swept and judgement.variant:
        name = judgement.variant if len(judgement.verdicts) == 1 else f"{judgement.variant}: {pair}"
    estimate = words.gain(alone.gain.estimate if alone else None, metric)
    bounds = words.interval(alone.gain if alone else None, metric)
    gap = _gap(verdict)
    means = {
        arm: words.score(judgement.arms[arm].scores[metric].estimate)
        for arm in judgement.arms
        if metric in judgement.arms[arm].scores
    }
    smallest = _smallest(verdict, metric)
    held = {
        "id": identifier,
        "name": name,
        "taught": comparison.taught,
        "alone": comparison.alone,
        "transductive": transductive,
        "claim": verdict.claim,
        "label": words.verdict_label(verdict),
        "claimable": verdict.claimable,
        "why_not": words.not_claimable(verdict),
        "n_claims": verdict.n_claims,
        "level": format_level(judgement.alpha, verdict.n_claims),
        "sentence": verdict.sentence,
        "unit": words.gain_unit(metric),
        "gain": estimate,
        "interval": bounds,
        "p_claim": words.p_value(verdict.p_claim),
        "p_claim_holm": words.p_value(verdict.p_claim_holm),
        "gap": gap,
        "smallest": f"{smallest} {words.gain_unit(metric)}" if smallest[:1].isdigit() else smallest,
        "subjects": alone.n_subjects if alone else 0,
        "paired": figures.paired(judgement, verdict, name=f"{identifier}-paired"),
        "credit": [_difference(row, verdict, metric) for row in by_role["credit"]],
        "diagnostics": [_difference(row, verdict, metric) for row in by_role["diagnostic"]],
        "references": [_difference(row, verdict, metric) for row in by_role["reference"]],
        "diagnostics_figure": _diagnostics_figure(identifier, judgement, verdict, by_role["diagnostic"]),
    }
    held["overview"] = {
        **{key: held[key] for key in ("id", "name", "claim", "label", "why_not", "gain", "interval", "subjects")},
        "alone": means.get(comparison.alone, "–"),
        "taught": means.get(comparison.taught, "–"),
        "teacher": means.get(comparison.teacher or "", "–"),
        "ceiling": means.get(comparison.ceiling or "", "–"),
        "ceiling_arm": comparison.ceiling if comparison.ceiling in means else "",
        "gap": gap["value"] if gap else "–",
        "gap_interval": gap["interval"] if gap else "",
        "p": held["p_claim_holm"],
        "smallest": smallest,
        "error": words.gain(alone.standard_error if alone else None, metric, sign=False),
    }
    return held


def _smallest(verdict: Verdict, metric: str) -> str:
    if np.isposinf(verdict.smallest_gain):
        return "none: too few subjects"
    return words.gain(verdict.smallest_gain, metric, sign=False)


def _gap(verdict: Verdict) -> dict[str, str] | None:
    gap = verdict.gap
    if gap is None:
        return None
    if gap.value is None:
        return {"value": "undefined", "note": gap.why_undefined, "interval": ""}
    ends = f"[{words.share(gap.value.low)}, {words.share(gap.value.high)}]"
    note = f"{ends} of the way from alone to the ceiling"
    return {"value": words.share(gap.value.estimate), "note": note, "interval": ends}


def _difference(row: Difference, verdict: Verdict, metric: str) -> dict[str, Any]:
    known = bool(np.isfinite(row.posterior).all())
    shares = zip(("worse", "same", "better"), row.posterior, strict=True)
    return {
        "label": words.difference_label(verdict.comparison, row.other, row.kind),
        "meaning": words.CONTROLS.get(row.kind, ""),
        "gain": words.gain(row.gain.estimate, metric),
        "interval": words.interval(row.gain, metric),
        "effect": words.score(row.effect_size)[:-1] if np.isfinite(row.effect_size) else "–",
        "p_sign_flip": words.p_value(row.p_sign_flip),
        "p_wilcoxon": words.p_value(row.p_wilcoxon),
        "p_holm": words.p_value(row.p_holm),
        "posterior": [(name, float(share)) for name, share in shares] if known else [],
        "posterior_words": " · ".join(words.share(share) for share in row.posterior) if known else "–",
    }


# ---- figures ---------------------------------------------------------------------------------------------------------


def _gain_rows(verdict: Verdict, differences: Sequence[Difference], *, corrected: bool) -> list[figures.GainRow]:
    rows = []
    for row in differences:
        if not np.isfinite(row.gain.estimate):
            continue
        colour, marker = figures.LOOKS.get(row.kind, (figures.GREEN, "v"))
        rows.append(
            figures.GainRow(
                label=f"− {words.difference_label(verdict.comparison, row.other, row.kind)}",
                gain=row.gain,
                p_value=row.p_holm if corrected else row.p_sign_flip,
                colour=figures.BLUE if row.kind == "alone" else colour,
                marker="o" if row.kind == "alone" else marker,
                smallest=verdict.smallest_gain if row.kind == "alone" else np.nan,
            )
        )
    return rows


def _gains_figure(judgements: Sequence[Judgement], *, swept: bool) -> Markup | None:
    groups = []
    several = sum(len(judgement.verdicts) for judgement in judgements) > 1
    for judgement in judgements:
        for verdict in judgement.verdicts:
            credit = [row for row in verdict.differences if row.role == "credit"]
            parts = [judgement.variant] if swept else []
            parts += [verdict.comparison.taught] if len(judgement.verdicts) > 1 or not swept else []
            heading = ": ".join(part for part in parts if part)
            rows = _gain_rows(verdict, credit, corrected=True)
            if rows:
                groups.append((heading if several else "", rows))
    if not groups:
        return None
    title = "Gains of the taught arms over alone and the credit controls, with 95 % intervals."
    return figures.gains(groups, judgements[0].metric, name="gains-figure", title=title)


def _gains_caption(judgements: Sequence[Judgement]) -> str:
    verdicts = [verdict for judgement in judgements for verdict in judgement.verdicts]
    drawn = any(np.isfinite(verdict.smallest_gain) for verdict in verdicts)
    caption = (
        "Right of zero, taught is better. A filled marker has an interval that leaves out zero; p is the sign-flip "
        "test after Holm."
    )
    if drawn:
        caption += f" The grey tick is the smallest gain over alone these subjects could show, at {_level(judgements)}."
    return caption


def _diagnostics_figure(
    identifier: str, judgement: Judgement, verdict: Verdict, differences: Sequence[Difference]
) -> Markup | None:
    rows = _gain_rows(verdict, differences, corrected=False)
    if not rows:
        return None
    taught = words.label(verdict.comparison.taught, 40)
    return figures.gains(
        [("", rows)], judgement.metric, name=f"{identifier}-diagnostics", minuend=taught,
        title=f"Gains of {taught} over its diagnostics, with 95 % intervals.",
    )  # fmt: skip


def _summaries(history: pd.DataFrame) -> dict[str, pd.DataFrame]:
    if history.empty:
        return {}
    missing = [column for column in HISTORY if column not in history.columns]
    if missing:
        raise DataError(
            f"The history of the trainings lacks the columns {missing}; found {list(history.columns)}, "
            f"expected {list(HISTORY)} and, if recorded, metric."
        )
    wanted = [column for column in ("loss", "metric") if column in history.columns]
    return {column: figures.summarise_history(history, column) for column in wanted}


def _curves(
    identifier: str, judgement: Judgement, arms: Mapping[str, words.Role], curves: Mapping[str, pd.DataFrame]
) -> list[tuple[Markup, str]]:
    drawn = []
    for column, table in curves.items():
        held = table[table["variant"].astype(str) == judgement.variant]
        trained = [*arms, *(arm for arm in dict.fromkeys(held["arm"].astype(str)) if arm not in arms)]
        quantity = "loss" if column == "loss" else words.metric_label(judgement.metric)
        figure = figures.learning_curves(held, trained, quantity=quantity, name=f"{identifier}-{column}")
        if figure is not None:
            caption = (
                f"{quantity.capitalize() if column == 'loss' else quantity} by epoch: median over folds, repetitions "
                "and seeds, with the band from 10 % to 90 %. A curve ends where more than half of the trainings have "
                "stopped."
            )
            if column == "loss":
                caption += " Arms are trained with different losses: compare shapes, not heights."
            drawn.append((figure, caption))
    return drawn


# ---- confusion matrices ----------------------------------------------------------------------------------------------


def _confused(judgement: Judgement, arms: Mapping[str, words.Role]) -> list[tuple[str, ArmScore]]:
    return [
        (arm, judgement.arms[arm])
        for arm in arms
        if arm in judgement.arms and judgement.arms[arm].confusion is not None and judgement.classes
    ]


def _matrix(held: ArmScore, classes: Sequence[str]) -> dict[str, Any]:
    counts = np.nan_to_num(np.asarray(held.confusion, dtype=float))
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    whole = bool(np.all(counts == np.rint(counts))) or counts.max(initial=0) >= 20
    rows = []
    for index, name in enumerate(classes):
        seen = totals[index, 0] > 0
        cells = [
            {
                "share": float(share),
                "text": words.share(float(share)) if seen else "–",
                "count": f"{count:,.0f}" if whole else f"{count:,.1f}",
            }
            for share, count in zip(shares[index], counts[index], strict=True)
        ]
        rows.append({"name": words.label(name, 24), "cells": cells})
    return {"arm": held.arm, "classes": [words.label(name, 24) for name in classes], "rows": rows}
