"""Every recipe on the simulated cohort where teaching must help: gain over alone, gap closed, and time, in one setting.

`studies/recipes.yaml` names the recipes that know classes, `studies/recipes_trace.yaml` those that know traces only;
both have one setting for all, and options of recipes are their defaults, so that nothing is tuned to the cohort. The
table holds each recipe against what it has to beat (the student alone, or with the noise or the cycles of the recipe
where it brings such a student), five seeds, intervals over subjects. *seconds* are those of all networks that only this
recipe needs: teacher and student alone, which most share, stand below the table.

The three recipes with the largest gain, of those that both credit controls mean something for, then meet these: a
teacher with the student's sensors only, and scrambled knowledge. They were chosen on the cohort that judges them, so
they do it again on a cohort of another seed, which chose nothing.

It goes on where it was stopped. Names of recipes make a shorter table; `--markdown` writes it for a document.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # workers read these when they import their libraries

import torch

from limbeck import __version__
from limbeck.distillation.controls import CREDIT
from limbeck.distillation.recipes import RECIPES
from limbeck.evaluation import GapClosed, Interval, Verdict
from limbeck.notation import read_yaml
from limbeck.study import parse_study
from limbeck.study.graph import ancestors
from limbeck.study.plan import Plan, make_plan
from limbeck.study.runner import Run, run_study

STUDIES = Path(__file__).resolve().parent.parent / "studies"
TABLES = ("recipes", "recipes_trace")
BEST = 3
OTHER_SEED = 1
QUICK = {
    "data.options.subjects": 20,
    "data.options.trials": 4,
    "data.options.rest_seconds": 88,
    "protocol.split": 2,
    "protocol.seeds": [0],
    "training.epochs": 1,
    "training.batch": 40,
    "engine.backend": "looped",
}
"""What makes a study so small that it says only whether everything runs."""

Study = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """What a recipe reached.

    Parameters
    ----------
    recipe, metric : str
        Its name, and what is measured.
    alone, taught : float
        Scores, mean over subjects.
    verdict : Verdict
        The comparison of both.
    seconds : float
        Of the networks that no other recipe needs.
    """

    recipe: str
    metric: str
    alone: float
    taught: float
    verdict: Verdict
    seconds: float

    @property
    def gain(self) -> Interval:
        """Taught minus alone."""
        return self.verdict.differences[0].gain

    @property
    def cells(self) -> list[str]:
        """Return what stands in the table."""
        over_alone = self.verdict.differences[0]
        holm = "" if over_alone.p_holm is None else shown_p(over_alone.p_holm, 3)
        return [
            self.recipe,
            f"{self.alone:.3f}",
            f"{self.taught:.3f}",
            f"{self.gain.estimate:+.3f} [{self.gain.low:+.3f}, {self.gain.high:+.3f}]",
            shown_p(over_alone.p_sign_flip, 4),
            holm,
            shown_gap(self.verdict.gap),
            f"{self.seconds:.0f}",
        ]


HEADERS = ("recipe", "alone", "taught", "gain [95 %]", "p", "p Holm", "gap closed [95 %]", "seconds")


def shown_gap(gap: GapClosed | None) -> str:
    """Return the gap closed in words: a share, or that there is none to close."""
    if gap is None or gap.value is None:
        return "undefined"
    ends = [f"{end:.0%}" if math.isfinite(end) else str(end) for end in (gap.value.low, gap.value.high)]
    return f"{gap.value.estimate:.0%} [{', '.join(ends)}]"


def shown_p(p: float, digits: int) -> str:
    """Return a p-value with so many digits; one that they do not show is below the least of them."""
    least = 10.0**-digits
    return f"{p:.{digits}f}" if p >= least else f"<{least:.{digits}f}"


# ---- studies --------------------------------------------------------------------------------------------------------


def load(name: str, *, quick: bool) -> Study:
    """Return a study as it is written, or small."""
    study: Study = read_yaml((STUDIES / f"{name}.yaml").read_text(encoding="utf-8"))
    if quick:
        for key, value in QUICK.items():
            put(study, key, value)
    return study


def put(study: Study, key: str, value: Any) -> None:
    """Set ``data.options.seed`` and the like."""
    *parents, last = key.split(".")
    place = study
    for parent in parents:
        place = place.setdefault(parent, {})
    place[last] = value


def name_of(entry: str | Mapping[str, Any]) -> str:
    """Return the name of an entry under ``distil.recipes``."""
    return entry if isinstance(entry, str) else next(iter(entry))


def narrowed(study: Study, names: Iterable[str], **distil: Any) -> Study:
    """Return a study with these of its recipes, and other keys under ``distil``."""
    wanted = set(names)
    kept = [entry for entry in study["distil"]["recipes"] if name_of(entry) in wanted]
    return {**study, "distil": {**study["distil"], "recipes": kept, **distil}}


def reseeded(study: Study, seed: int) -> Study:
    """Return a study on another cohort, whose folds and draws of labelled subjects are others too."""
    data = {**study["data"], "options": {**study["data"]["options"], "seed": seed}}
    return {**study, "data": data, "protocol": {**study["protocol"], "seed": seed}}


def run(study: Study, out: Path, jobs: int) -> tuple[Plan, Run]:
    """Run a study; what is done already is not done again."""
    parsed = parse_study(study)
    print(f"{parsed.name}: {', '.join(map(name_of, study['distil']['recipes']))}", file=sys.stderr, flush=True)
    plan = make_plan(parsed, out, jobs=jobs)
    return plan, run_study(parsed, out=out, jobs=jobs, plan=plan, progress=show_progress)


def show_progress(done: int, of: int, what: str) -> None:
    """Say what has been trained."""
    print(f"  {done} of {of}: {what}", file=sys.stderr, flush=True)


# ---- rows -----------------------------------------------------------------------------------------------------------


def rows_of(plan: Plan, found: Run) -> list[Row]:
    """Return a row per comparison of a study without a sweep."""
    (judgement,) = found.judgements
    spent = seconds_by_recipe(plan)

    def score(arm: str) -> float:
        return judgement.arms[arm].scores[judgement.metric].estimate

    return [
        Row(
            recipe=verdict.comparison.taught,
            metric=judgement.metric,
            alone=score(verdict.comparison.alone),
            taught=score(verdict.comparison.taught),
            verdict=verdict,
            seconds=spent[verdict.comparison.taught],
        )
        for verdict in judgement.verdicts
    ]


def seconds_by_recipe(plan: Plan) -> dict[str, float]:
    """Return the seconds of the stages that only one recipe stands on, by recipe; of the others under their name."""
    (variant,) = plan.variants
    nodes = {name: planned.node for name, planned in variant.stages.items()}
    arms = [comparison.taught for comparison in variant.variant.compare]
    # one key may stand under two names: two recipes that train the same network train it once
    standing = {arm: {variant.stages[name].key for name in ancestors(nodes, arm)} for arm in arms}
    shared = {variant.stages[name].key for name in ("alone", "teacher") if name in variant.stages}
    spent = {planned.key: stage_seconds(plan, name) for name, planned in variant.stages.items()}
    users = {key: [arm for arm in arms if key in standing[arm]] for key in spent}
    own = {arm: sum(spent[key] for key in standing[arm] if users[key] == [arm] and key not in shared) for arm in arms}
    return own | {name: spent[variant.stages[name].key] for name in ("alone", "teacher") if name in variant.stages}


def stage_seconds(plan: Plan, name: str) -> float:
    """Return how long all networks of a stage took, whenever that was."""
    planned = plan.variants[0].stages[name]
    return float(sum(plan.store.done(planned.key, group)["seconds"] for group in range(len(planned.groups))))


def best_of(rows: Sequence[Row], count: int = BEST) -> list[str]:
    """Return the recipes with the largest gain, of those that both credit controls mean something for."""
    able = [row for row in rows if set(CREDIT) <= set(recipe_class(row.recipe).controls)]
    return [row.recipe for row in sorted(able, key=lambda row: -row.gain.estimate)[:count]]


def recipe_class(name: str) -> Any:
    """Return the class of a recipe."""
    return RECIPES[name]


# ---- tables ---------------------------------------------------------------------------------------------------------


def as_table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, markdown: bool) -> str:
    """Return a table as text in columns, or in Markdown."""
    if markdown:
        lines = [list(headers), ["---"] + ["--:"] * (len(headers) - 1), *map(list, rows)]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
    widths = [max(len(line[place]) for line in (headers, *rows)) for place in range(len(headers))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (headers, *rows)
    )


def controls_table(found: Run, *, markdown: bool) -> str:
    """Return what each of the best gained over alone and over every credit control, and its verdict."""
    (judgement,) = found.judgements
    rows = []
    for verdict in judgement.verdicts:
        gains = {difference.kind: difference for difference in verdict.differences}
        shown = [
            f"{gains[kind].gain.estimate:+.3f} [{gains[kind].gain.low:+.3f}, {gains[kind].gain.high:+.3f}]"
            if kind in gains
            else "-"
            for kind in ("alone", *CREDIT)
        ]
        claim = "claim" if verdict.claim else ("no claim" if verdict.claimable else "cannot be claimed")
        rows.append([verdict.comparison.taught, *shown, shown_p(verdict.p_claim_holm, 4), claim])
    headers = ("recipe", "over alone", *(f"over {kind}" for kind in CREDIT), "p (Holm)", "verdict")
    return as_table(headers, rows, markdown=markdown)


def print_machine() -> None:
    """Print machine and versions."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; torch {torch.__version__}, limbeck {__version__}\n")


def print_recipes(plan: Plan, found: Run, rows: Sequence[Row], *, markdown: bool) -> None:
    """Print the table of a study, and what its recipes share."""
    (judgement,) = found.judgements
    spent = seconds_by_recipe(plan)
    ordered = sorted(rows, key=lambda row: -row.gain.estimate)
    print(f"{judgement.metric}, mean over {plan.variants[0].n_subjects} subjects; {setting(plan)}\n")
    print(as_table(HEADERS, [row.cells for row in ordered], markdown=markdown) + "\n")
    for name in ("teacher", "alone", "alone/all_labels"):
        if name in judgement.arms:
            score = judgement.arms[name].scores[judgement.metric]
            took = f", {spent[name]:.0f} s" if name in spent else ""
            print(f"{name}: {score.estimate:.3f} [{score.low:.3f}, {score.high:.3f}]{took}")
    without = [row.recipe for row in ordered if not row.gain.low > 0]
    print(f"Gain with an interval above zero: {len(rows) - len(without)} of {len(rows)}.")
    if without:
        print(f"Without: {', '.join(without)}.")
    print(flush=True)


def setting(plan: Plan) -> str:
    """Return folds, seeds and labelled subjects in words."""
    (variant,) = plan.variants
    protocol = variant.variant.protocol
    learned = sorted({len(fold.labelled_subjects) for fold in variant.folds})
    return (
        f"{len(variant.folds)} folds, {len(protocol.seeds)} seeds, labels of {' or '.join(map(str, learned))} subjects "
        f"learned from, {variant.validation} to validate"
    )


def main(arguments: list[str] | None = None) -> int:
    """Print the table of all recipes, then the best with their controls, on both cohorts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", help="some of the recipes; all by default")
    parser.add_argument("--quick", action="store_true", help="a tiny cohort and one epoch: does it run?")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="the folder of runs")
    parser.add_argument("--jobs", type=int, default=2, help="worker processes")
    parser.add_argument("--markdown", action="store_true", help="tables in Markdown")
    chosen = parser.parse_args(arguments)
    studies = {name: load(name, quick=chosen.quick) for name in TABLES}
    known = [name_of(entry) for study in studies.values() for entry in study["distil"]["recipes"]]
    strange = [name for name in chosen.recipes if name not in known]
    if strange:
        parser.error(f"there is no recipe {', '.join(strange)}; there are {', '.join(known)}")
    torch.set_num_threads(1)
    started = time.perf_counter()
    print_machine()
    wanted = chosen.recipes or known
    rows: list[Row] = []
    for name, study in studies.items():
        part = narrowed(study, wanted)
        if part["distil"]["recipes"]:
            plan, found = run(part, chosen.out, chosen.jobs)
            made = rows_of(plan, found)
            print_recipes(plan, found, made, markdown=chosen.markdown)
            rows += made if name == TABLES[0] else []
    best = best_of(rows)
    if best:
        print_best(studies[TABLES[0]], best, chosen)
    spent = (time.perf_counter() - started) / 60
    print(f"All of it took {spent:.1f} minutes; networks that a former run had trained were not trained again.")
    return 0


def print_best(study: Study, best: Sequence[str], chosen: argparse.Namespace) -> None:
    """Run the best recipes with their credit controls, here and on another cohort, and print both tables."""
    controlled = narrowed(study, best, controls=list(CREDIT))
    print(f"The largest gains: {', '.join(best)}; chosen on this cohort, so the first table flatters them.\n")
    for title, one in (("This cohort", controlled), ("Another cohort", reseeded(controlled, OTHER_SEED))):
        _, found = run(one, chosen.out, chosen.jobs)
        print(f"{title}:\n\n{controls_table(found, markdown=chosen.markdown)}\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
