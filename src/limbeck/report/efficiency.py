"""Which variants of a study differ only in how many subjects carry labels, and what these tell together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.notation import read_yaml
from limbeck.report import words

if TYPE_CHECKING:
    from limbeck.evaluation.judgement import Judgement, LabelEfficiency, Worth
    from limbeck.report.record import StudyRecord

__all__ = ["ShownEfficiency", "label_efficiencies"]

LABELLED = "protocol.labelled"
"""The key of a sweep over the labelled subjects."""


@dataclass(frozen=True)
class ShownEfficiency:
    """A label-efficiency curve with its name, for page and terminal.

    Parameters
    ----------
    where : str
        What the variants of the curve have in common (``target=valence``); ``""`` when a study sweeps nothing else.
    level : str
        ``window``, ``step`` or ``trial``.
    found : LabelEfficiency
        The curve.
    """

    where: str
    level: str
    found: LabelEfficiency

    @property
    def name(self) -> str:
        """The comparison, with what its variants have in common."""
        pair = f"{self.found.taught} against {self.found.alone}"
        return f"{self.where}: {pair}" if self.where else pair

    @property
    def sentence(self) -> str:
        """What teaching was worth, with what the variants have in common."""
        return f"{self.where}: {self.found.sentence}" if self.where else self.found.sentence

    def rows(self) -> list[dict[str, str]]:
        """Return a row of text per number of labelled subjects.

        Keys ``labelled``; for each of the lines ``alone``, ``taught`` and ``self_taught`` its score and, under
        ``<line>_interval``, the interval; ``worth`` and ``worth_interval``, and the same for ``worth_self_taught``.
        """
        table = self.found.scores.set_index(["labelled", "line"])
        worth = {
            "worth": {held.labelled: held for held in self.found.worth},
            "worth_self_taught": {held.labelled: held for held in self.found.worth_self_taught},
        }
        rows = []
        for labelled in sorted(set(self.found.scores["labelled"])):
            row = {"labelled": count(labelled, self.found)}
            for line in ("alone", "taught", "self_taught"):
                held = table.loc[(labelled, line)] if (labelled, line) in table.index else None
                row[line] = words.score(None if held is None else float(held["score"]))
                row[f"{line}_interval"] = "" if held is None else _ends(held["low"], held["high"])
            for key, by_count in worth.items():
                row[key], row[f"{key}_interval"] = _worth(by_count.get(labelled))
            rows.append(row)
        return rows


def label_efficiencies(record: StudyRecord, judgements: Sequence[Judgement]) -> list[ShownEfficiency]:
    """Return the label-efficiency curves of a study that sweeps the labelled subjects; of others, none.

    A curve per comparison and combination of whatever else the study varies (targets, other swept keys). How many
    subjects a variant labels stands in the protocol of the record, what the study varies in its definition (where the
    two do not fit, there are no curves); "all" counts as the subjects that a fold trains on.

    Parameters
    ----------
    record : StudyRecord
        What was run.
    judgements : sequence of Judgement
        One per variant.
    """
    from limbeck.evaluation import label_efficiency_of

    held = {judgement.variant: judgement for judgement in judgements if judgement.verdicts}
    shown = []
    for where, variants in _families(record):
        counts: dict[str, float] = {}
        for variant, labelled in variants.items():
            if variant not in held:
                continue
            number = held[variant].training_subjects if labelled == "all" else float(labelled)
            # "all" may stand beside the number that it counts as: one of them is enough.
            if np.isfinite(number) and number not in counts.values():
                counts[variant] = number
        curves = label_efficiency_of(judgements, counts)
        shown += [ShownEfficiency(where, held[next(iter(counts))].level, found) for found in curves]
    return shown


def _families(record: StudyRecord) -> list[tuple[str, dict[str, Any]]]:
    """Return the variants that differ only in their labelled subjects, with these, and what they have in common.

    Variants stand in the record as the definition makes them: target by target, then every combination of the sweep,
    its last key varying fastest.
    """
    labelled = record.protocol.get("labelled")
    definition = read_yaml(record.definition)
    sweep = definition.get("sweep") if isinstance(definition, Mapping) else None
    if not (isinstance(labelled, Mapping) and isinstance(sweep, Mapping) and LABELLED in sweep):
        return []
    targets = definition.get("target")
    axes = [range(len(targets) if isinstance(targets, list) else 1), *(range(len(values)) for values in sweep.values())]
    if math.prod(len(axis) for axis in axes) != len(labelled):
        return []
    place = 1 + list(sweep).index(LABELLED)
    families: dict[tuple[int, ...], dict[str, Any]] = {}
    for at, (variant, number) in zip(itertools.product(*axes), labelled.items(), strict=True):
        families.setdefault((*at[:place], *at[place + 1 :]), {})[str(variant)] = number
    return [(_in_common(list(family)), family) for family in families.values() if len(family) > 1]


def _in_common(variants: Sequence[str]) -> str:
    """Return the parts that labels share at the same place."""
    parts = [variant.split(", ") for variant in variants]
    return ", ".join(held[0] for held in zip(*parts, strict=False) if len(set(held)) == 1)


def count(labelled: float, found: LabelEfficiency) -> str:
    """Write a number of labelled subjects, and say when it is all of them."""
    from limbeck.evaluation.efficiency import format_count

    text = format_count(labelled)
    return f"all ({text})" if labelled >= found.all_labelled else text


def _ends(low: float, high: float) -> str:
    from limbeck.evaluation.judgement import Interval

    text = words.interval(Interval(np.nan, float(low), float(high)))
    return "" if text == "–" else text


def _worth(worth: Worth | None) -> tuple[str, str]:
    from limbeck.evaluation.efficiency import format_extra

    if worth is None:
        return "–", ""
    estimate, low, high = (format_extra(worth, v) for v in (worth.extra.estimate, worth.extra.low, worth.extra.high))
    return estimate, f"[{low}, {high}]"
