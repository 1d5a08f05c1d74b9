"""Run a study: plan, train level by level, gather the predictions, judge, report, refit."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import math
import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from limbeck import __version__, datasets, evaluation
from limbeck.atomic import write_atomically
from limbeck.errors import LimbeckError
from limbeck.evaluation import Comparison, Judgement, tables
from limbeck.evaluation.baselines import baselines
from limbeck.metrics import find_metric
from limbeck.recording import Corpus
from limbeck.report import StudyRecord, write_report
from limbeck.study import deploy
from limbeck.study.facts import besides, losses_in_words
from limbeck.study.grammar import IN_MEMORY, Study
from limbeck.study.graph import Node, credit_arms
from limbeck.study.plan import Plan, VariantPlan, make_plan
from limbeck.study.schema import as_yaml, load_study
from limbeck.study.store import Store, mark_run, read_run, sweep_unfinished, write_json
from limbeck.study.tasks import Task, is_done, run_task

__all__ = ["Run", "load_run", "run", "run_study"]

Progress = Callable[[int, int, str], None]
"""Called with (done, of how many, what)."""


@dataclass(frozen=True)
class Run:
    """A finished run.

    Parameters
    ----------
    path : Path
        The run directory.
    record : StudyRecord
        What was run.
    predictions : DataFrame
        A row per test window (of a trace with steps: per step), arm, fold, repetition and seed: the record from which
        every score comes.
    history : DataFrame
        Learning curves.
    judgements : tuple of Judgement
        One per variant.
    """

    path: Path
    record: StudyRecord
    predictions: pd.DataFrame
    history: pd.DataFrame
    judgements: tuple[Judgement, ...]

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / "report.html"


def run(study: str | Path, *, out: str | Path = "runs", jobs: int = 1, overrides: Iterable[str] = ()) -> Run:
    """Run a study from a YAML file.

    Parameters
    ----------
    study : path-like
        The file.
    out : path-like
        Folder of runs; created when it is not there.
    jobs : int
        Worker processes, each with one thread.
    overrides : iterable of str
        ``"protocol.labelled=6"``.

    Returns
    -------
    Run
        With predictions, judgements and the path of the report.
    """
    return run_study(load_study(study, overrides), out=out, jobs=jobs)


def run_study(
    study: Study,
    *,
    out: str | Path = "runs",
    jobs: int = 1,
    say: Callable[[str], None] = lambda _: None,
    progress: Progress = lambda *_: None,
    plan: Plan | None = None,
    command: str = "",
    corpus: Corpus | None = None,
) -> Run:
    """Run a study; what is done already is not done again.

    Parameters
    ----------
    study : Study
        As :func:`limbeck.study.load_study` or :func:`limbeck.study.parse_study` return it.
    out : path-like
        Folder of runs.
    jobs : int
        Worker processes.
    say : callable
        Called with a line for each thing that is being done.
    progress : callable
        Called with (done, of how many, what).
    plan : Plan or None
        When it was made already.
    command : str
        For the report.
    corpus : Corpus or None
        The recordings of a study of ``data: {corpus: arrays}``, as of :func:`limbeck.from_arrays`; they are known by
        their content, so that another corpus makes another run.
    """
    if jobs < 1:
        raise LimbeckError(f"jobs is {jobs}; expected 1 worker process or more.")
    started = time.time()
    out = Path(out)
    sweep_unfinished(out)
    plan = plan or make_plan(study, out, jobs=jobs, report=say, corpus=corpus)
    study = plan.study
    folder = run_folder(study, out)
    keys = [planned.key for variant in plan.variants for planned in variant.stages.values()]
    mark = partial(mark_run, folder, study=study.name, stages=keys)
    mark(state="running")
    try:
        write_atomically(folder / "study.yaml", lambda p: p.write_text(as_yaml(study.resolved), encoding="utf-8"))
        write_json(folder / "plan.json", _describe_plan(plan))
        tasks = _train(plan, folder, jobs, progress)
        say("gathering predictions; fitting baselines and the clock")
        predictions = gather_predictions(plan, jobs)
        history = gather_history(plan)
        write_atomically(folder / "predictions.parquet", lambda p: predictions.to_parquet(p, index=False))
        write_atomically(folder / "history.parquet", lambda p: history.to_parquet(p, index=False))
        record = make_record(plan, started=started, tasks=tasks, command=command)
        write_json(
            folder / "record.json", {"record": dataclasses.asdict(record), "judging": _judging(plan, predictions)}
        )
        say("judging")
        judged = judge_run(folder)
    except BaseException as error:
        mark(state="failed" if isinstance(error, Exception) else "stopped")
        raise
    mark(state="finished")
    return judged


def _train(plan: Plan, folder: Path, jobs: int, progress: Progress) -> int:
    """Train level by level, then refit and deploy; return the number of tasks."""
    levels = plan.levels()
    total = sum(len(level) for level in levels) + sum(len(variant.refit_stages()) for variant in plan.variants)
    done = 0
    for level in levels:
        for finished in execute(level, jobs):
            done += 1
            progress(done, total, finished)
    for variant in plan.variants:
        for finished in _refit(variant, plan.store):
            done += 1
            progress(done, total, finished)
        if variant.variant.refit is not None:
            deploy.write(variant, plan.store, folder / "deployed" / (_slug(variant.label) or "student"))
    return total


def judge_run(folder: Path) -> Run:
    """Judge a run from its predictions and write its report: every score can be computed again at any later time."""
    run = load_run(folder)
    write_report(run.report, run.record, run.judgements, run.history)
    return run


def load_run(folder: str | Path) -> Run:
    """Load a run directory and judge its predictions.

    Raises
    ------
    LimbeckError
        When the folder is not a run, or the run is not finished.
    """
    folder = Path(folder)
    info = read_run(folder)
    if not (folder / "record.json").is_file():
        raise LimbeckError(
            f"The run {folder} is {info.state}: it has no predictions yet. Run the study again to go on."
        )
    saved = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    record = StudyRecord(**saved["record"])
    predictions = pd.read_parquet(folder / "predictions.parquet")
    judging = saved["judging"]
    comparisons = {
        label: [Comparison(**comparison) for comparison in given] for label, given in judging["comparisons"].items()
    }
    judgements = evaluation.judge(
        predictions,
        comparisons,
        classes=judging["classes"],
        metric=judging["metric"],
        level=judging["level"],
        alpha=judging["alpha"],
        rope=judging["rope"],
    )
    return Run(folder, record, predictions, pd.read_parquet(folder / "history.parquet"), tuple(judgements))


def run_folder(study: Study, out: Path) -> Path:
    """Return where a study is run: its name and a hash of its definition, so that the same study goes on there."""
    shown = json.dumps(study.resolved, sort_keys=True, default=str)
    return out / f"{study.name}-{hashlib.sha256(shown.encode()).hexdigest()[:8]}"


# ---- execution --------------------------------------------------------------------------------------------------


def execute(tasks: list[Task], jobs: int) -> Iterable[str]:
    """Run the tasks of one level and yield the name of each as it ends; those that are done are not run again.

    With one job they run in this process, else in worker processes of one thread each.
    """
    waiting = []
    for task in tasks:
        if is_done(task):
            yield str(task)
        else:
            waiting.append(task)
    if jobs == 1 or len(waiting) < 2:
        for task in waiting:
            yield _guarded(task)
        return
    import joblib

    # A worker's libraries read these when they are first imported: one thread per process.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch="2*n_jobs", batch_size=1)
    yield from parallel(joblib.delayed(_guarded)(task) for task in waiting)


def _guarded(task: Task) -> str:
    """Run a task; whatever goes wrong says in which task it went wrong."""
    try:
        run_task(task)
    except LimbeckError as error:
        raise LimbeckError(f"{task}: {error}") from error
    return str(task)


def _refit(plan: VariantPlan, store: Store) -> Iterable[str]:
    """Train the deployed stage once on everything, with what it stands on."""
    for name in plan.refit_stages():
        planned = plan.stages[name]
        epochs = [e for group in range(len(planned.groups)) for e in store.done(planned.key, group)["epochs"]]
        yield _guarded(plan.task(name, "refit", store, epochs=max(1, round(float(np.median(epochs))))))


# ---- gathering --------------------------------------------------------------------------------------------------


def gather_predictions(plan: Plan, jobs: int = 1) -> pd.DataFrame:
    """Return the test predictions of every arm, the baselines and the clock, as one long table."""
    frames = _baselines(plan, jobs)
    for variant in plan.variants:
        columns = _window_columns(variant)
        classes = list(variant.dataset["target"].attrs.get("classes", []))
        for name, planned in variant.stages.items():
            if planned.node.is_arm:
                frames += [
                    _arm_frame(plan.store, planned.key, group, columns, bool(classes)).assign(
                        variant=variant.label, arm=name
                    )
                    for group in range(len(planned.groups))
                ]
    table = pd.concat(frames, ignore_index=True)
    for column in ("variant", "arm", "subject", "session", "trial", "condition"):
        table[column] = table[column].astype(str).astype("category")
    if "step" in table:  # which a variant whose target has none lacks
        table["step"] = table["step"].astype("Int16")
    return table


def _baselines(plan: Plan, jobs: int) -> list[pd.DataFrame]:
    """Return the predictions of baselines and clock; a forest per fold is worth sharing out among processes."""
    import joblib

    # All repetitions of a fold go to one process: those that are alike are fitted once.
    shares = [
        (variant, [fold for fold in variant.folds if fold.fold % jobs == share])
        for variant in plan.variants
        for share in range(jobs)
    ]
    frames: list[pd.DataFrame] = joblib.Parallel(n_jobs=jobs)(
        joblib.delayed(baselines)(
            variant.table,
            folds,
            classes=list(variant.dataset["target"].attrs.get("classes", [])),
            seed=variant.variant.protocol.seed,
            variant=variant.label,
        )
        for variant, folds in shares
        if folds
    )
    return frames


def _window_columns(variant: VariantPlan) -> pd.DataFrame:
    table = variant.table.set_index("window", drop=False)
    columns = ["window", "subject", "session", "trial", "segment", "start", "condition", "target"]
    columns += tables.step_columns(table)
    return table[columns].rename(columns={"target": "truth"})


def _arm_frame(store: Store, key: str, group: int, columns: pd.DataFrame, is_class: bool) -> pd.DataFrame:
    predictions = store.predictions(key, group)
    members = np.asarray(store.done(key, group)["members"]).reshape(-1, 3)
    own = members[predictions["member"].to_numpy(dtype=np.int64)]
    windows = predictions["window"].to_numpy(dtype=np.int64)
    frame = columns.loc[windows].reset_index(drop=True)
    frame = frame.assign(fold=own[:, 1], repetition=own[:, 0], seed=own[:, 2])
    values = predictions.drop(columns=["member", "window"]).to_numpy(dtype=np.float32)
    if not is_class:
        return tables.each_step(frame, values)
    frame = frame.assign(prediction=values.argmax(axis=1))
    return pd.concat([frame, pd.DataFrame(values, columns=[f"p{k}" for k in range(values.shape[1])])], axis=1)


def gather_history(plan: Plan) -> pd.DataFrame:
    """Return the learning curves of every arm as one long table."""
    frames = [
        plan.store.history(planned.key, group).assign(variant=variant.label, arm=name)
        for variant in plan.variants
        for name, planned in variant.stages.items()
        if planned.node.is_arm
        for group in range(len(planned.groups))
    ]
    return pd.concat(frames, ignore_index=True)


# ---- what the report states -------------------------------------------------------------------------------------


def _judging(plan: Plan, predictions: pd.DataFrame) -> dict[str, Any]:
    first = plan.variants[0]
    kind = first.dataset["target"].attrs["kind"]
    report = first.variant.report
    return {
        "comparisons": {
            variant.label: [dataclasses.asdict(c) for c in comparisons_of(variant, predictions)]
            for variant in plan.variants
        },
        "classes": list(first.dataset["target"].attrs.get("classes", [])),
        "metric": report.metric_for(kind),
        "level": report.level,
        "alpha": report.alpha,
        "rope": report.rope,
    }


def comparisons_of(plan: VariantPlan, predictions: pd.DataFrame) -> list[Comparison]:
    """Return what is compared in a variant, with the arms of controls, teacher and ceiling.

    Of several teachers the best on the test subjects stands for all of them: the gap is closed to what can be reached,
    and a ceiling that was chosen for being high makes the share that is closed the smaller.

    Parameters
    ----------
    plan : VariantPlan
        The variant.
    predictions : DataFrame
        Of all variants, as the run keeps them.
    """
    few_labels = plan.variant.protocol.labelled != "all"
    result = []
    for comparison in plan.variant.compare:
        taught_by = plan.variant.stages[comparison.taught].taught_by
        teacher = _best_arm(plan, [name for name in taught_by if plan.stages[name].node.is_arm], predictions)
        result.append(
            Comparison(
                taught=comparison.taught,
                alone=comparison.alone,
                teacher=teacher,
                ceiling=f"{comparison.alone}/all_labels" if few_labels else teacher,
                credit=credit_arms(comparison.taught, comparison.controls),
                diagnostics={kind: f"{comparison.taught}/{kind}" for kind in comparison.diagnostics},
            )
        )
    return result


def _best_arm(plan: VariantPlan, arms: Sequence[str], predictions: pd.DataFrame) -> str | None:
    """Return the arm with the best mean score over subjects, the first of several alike; None of no arms."""
    if len(arms) < 2:
        return next(iter(arms), None)
    target, report = plan.dataset["target"], plan.variant.report
    kind = target.attrs["kind"]
    metric = find_metric(report.metric_for(kind))
    rows = predictions[(predictions["variant"] == plan.label) & predictions["arm"].isin(arms)]
    if report.level == "trial":
        rows = tables.to_trials(rows, kind=kind)
    classes = len(target.attrs.get("classes", [])) or None
    means = tables.subject_scores(rows, kind=kind, n_classes=classes)[metric.name].groupby("arm", observed=True).mean()
    sign = 1.0 if metric.higher_is_better else -1.0
    known = {arm: sign * float(means.loc[arm]) for arm in arms}
    return max(known, key=lambda arm: -math.inf if math.isnan(known[arm]) else known[arm])


def make_record(plan: Plan, *, started: float, tasks: int, command: str) -> StudyRecord:
    """Return what the report states of a study besides its scores."""
    first = plan.variants[0]
    alike = len({_counted(variant) for variant in plan.variants}) == 1 or not _several_targets(plan)
    arms = []
    for variant in plan.variants:
        for name, planned in variant.stages.items():
            if not planned.node.is_arm:
                continue
            choices = _choices(variant, name, plan.store)
            counts = Counter(dict.fromkeys(planned.node.candidates, 0))
            counts.update(choice["chosen"] for choice in choices)
            chosen = dict(counts.most_common())  # of several alike, that which was written first stands first
            shown = variant.stages[next(iter(chosen), name)]  # of a choice, what was taken most often
            arms.append(
                {
                    "variant": variant.label,
                    "arm": name,
                    "model": shown.node.stage.model.name,
                    "inputs": _shown_inputs(shown.node.stage.inputs),
                    "parameters": shown.parameters,
                    "taught_by": ", ".join(shown.node.stage.taught_by) or None,
                    "loss": losses_in_words(shown.node.stage.losses),
                    "besides": besides(shown),
                    "chosen": {candidate.removeprefix(f"{name}/"): count for candidate, count in chosen.items()},
                    "choices": [{**choice, "chosen": choice["chosen"].removeprefix(f"{name}/")} for choice in choices],
                    "role": planned.node.role,
                    "optimistic": variant.stands_on(name, _chosen_on_test),
                }
            )
    left_out = {(e.what, e.why): dataclasses.asdict(e) for variant in plan.variants for e in variant.left_out}
    return StudyRecord(
        study=plan.study.name,
        question=first.variant.question,
        definition=as_yaml(plan.study.definition),
        data={
            **_corpus_facts(first),
            "subjects": first.n_subjects,
            "windows": _counted(first) if alike else {v.label: _counted(v) for v in plan.variants},
            "length": first.variant.windows.length,
            "hop": first.variant.windows.hop,
            **_targets(plan),
            **_ceilings(plan),
        },
        protocol=_protocol(plan),
        arms=arms,
        quality=[{"variant": variant.label, **summary} for variant in plan.variants for summary in variant.quality],
        left_out=list(left_out.values()),
        warnings=_warnings(plan),
        environment=environment(),
        timing={
            "seconds": round(time.time() - started, 1),
            "tasks": tasks,
            "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        command=command,
    )


def _corpus_facts(plan: VariantPlan) -> dict[str, str]:
    """Return what is known of the data set; of arrays that were handed over, only what they are called."""
    name = plan.variant.data.corpus
    if name == IN_MEMORY:
        return {"name": plan.dataset.attrs["corpus"], "title": "arrays of the user"}
    info = datasets.info(name)
    return {"name": name, "title": info.title, "licence": info.licence, "citation": info.citation}


def _targets(plan: Plan) -> dict[str, Any]:
    """Return the windows per class; of several targets, or of one that is swept, for each of them."""
    if not _several_targets(plan):
        return {"classes": _class_counts(plan.variants[0])}
    counts: dict[str, str] = {}
    for variant in plan.variants:
        shown = ", ".join(f"{name} {count}" for name, count in _class_counts(variant).items())
        if shown:
            counts[variant.label] = shown
    return {"classes": counts}


def _ceilings(plan: Plan) -> dict[str, Any]:
    """Return the best reachable scores, of several targets those that are known."""
    if not _several_targets(plan):
        known = plan.variants[0].ceilings
    else:
        known = {f"{v.label}, {view}": best for v in plan.variants for view, best in v.ceilings.items()}
    return {"ceilings": known} if known else {}


def _several_targets(plan: Plan) -> bool:
    return any(variant.variant.target != plan.variants[0].variant.target for variant in plan.variants)


def _counted(plan: VariantPlan) -> int:
    """Return the number of windows outside of calibration, without those that have a gap in their trace."""
    return int(plan.counted.sum())


def _class_counts(plan: VariantPlan) -> dict[str, int]:
    target = plan.dataset["target"]
    if target.attrs["kind"] != "class":
        return {}
    used = target.to_numpy()[~plan.table["calibration"].to_numpy(dtype=bool)]
    return {name: int((used == code).sum()) for code, name in enumerate(target.attrs["classes"])}


def _protocol(plan: Plan) -> dict[str, Any]:
    """Return the protocol; what differs between variants stands there by variant."""

    def of(variant: VariantPlan) -> dict[str, Any]:
        protocol = variant.variant.protocol
        split = protocol.split
        count = len(variant.folds) // protocol.repetitions
        return {
            "split": f"leave one subject out ({count} folds)"
            if isinstance(split, str)
            else f"{count} folds over subjects",
            "repetitions": protocol.repetitions,
            "seeds": protocol.seeds,
            "labelled": protocol.labelled,
            "validation": variant.validation,
            "normalisation": _shown_normalisation(variant),
            "minimum_quality": _shown_quality(protocol.minimum_quality),
        }

    all_of = {variant.label: of(variant) for variant in plan.variants}
    first = next(iter(all_of.values()))
    if all(other["minimum_quality"] == "none" for other in all_of.values()):
        first = {key: value for key, value in first.items() if key != "minimum_quality"}
    return {
        key: value if all(other[key] == value for other in all_of.values()) else {k: o[key] for k, o in all_of.items()}
        for key, value in first.items()
    }


def _shown_quality(minimum: Mapping[str, float]) -> str:
    return ", ".join(f"{modality} {least:g}" for modality, least in minimum.items()) or "none"


def _shown_normalisation(plan: VariantPlan) -> str:
    calibration = plan.variant.calibration
    if calibration is None:
        return plan.variant.mode
    return f"calibration on the first {calibration.seconds:g} s of {calibration.condition}"


def _warnings(plan: Plan) -> list[str]:
    warnings = []
    for variant in plan.variants:
        where = f"{variant.label}: " if variant.label else ""
        if variant.variant.mode == "transductive":
            warnings.append(
                f"{where}normalisation is transductive: every test subject was scaled by all of their own unlabelled "
                "data, which a device has only after the fact."
            )
        arms = [name for name, planned in variant.stages.items() if planned.node.is_arm]
        protocol = variant.variant.protocol
        if "validation" in protocol.model_fields_set and protocol.validation and variant.validation.startswith("none"):
            warnings.append(
                f"{where}validation: {protocol.validation:g} was asked for, but with so few labelled subjects all of "
                "them are trained on and epochs are fixed."
            )
        optimistic = [name for name in arms if variant.stands_on(name, _chosen_on_test)]
        if optimistic:
            warnings.append(
                f"{where}optimistic: the epoch of {', '.join(optimistic)}, or of what they stand on, was chosen on the "
                "test subjects; their scores are too high and only good for comparison with papers that did the same."
            )
        informed = [
            name
            for name in arms
            if variant.stages[name].node.role != "ceiling" and variant.stands_on(name, _sees_all_labels)
        ]
        if informed and variant.variant.protocol.labelled != "all":
            warnings.append(
                f"{where}{', '.join(informed)} learned from labels that the protocol hides (labelled: all), or from a "
                "stage that did: no claim about few labels rests on them."
            )
        warnings += [f"{where}{warning}" for warning in variant.warnings]
    return warnings


def _chosen_on_test(variant: VariantPlan, node: Node) -> bool:
    return variant.variant.settings(node.stage).select == "test_best"


def _sees_all_labels(_: VariantPlan, node: Node) -> bool:
    return node.all_labels


def _shown_inputs(inputs: Mapping[str, list[str] | None]) -> str:
    return " + ".join(
        name if channels is None else f"{name} ({', '.join(channels)})" for name, channels in inputs.items()
    )


def _choices(plan: VariantPlan, name: str, store: Store) -> list[dict[str, Any]]:
    """Return which candidate of a stage was chosen in each fold, repetition and seed; empty where nothing is chosen."""
    planned = plan.stages[name]
    tested = {(fold.repetition, fold.fold): fold.test_subjects for fold in plan.folds}
    found = []
    for group in range(len(planned.groups) if planned.node.candidates else 0):
        done = store.done(planned.key, group)
        for (repetition, fold, seed), k in zip(done["members"], done["chosen"], strict=True):
            place = {"repetition": repetition, "fold": fold, "seed": seed}
            subjects = ", ".join(tested[repetition, fold])
            found.append({**place, "tested": subjects, "chosen": planned.node.candidates[k]})
    return sorted(found, key=lambda choice: (choice["repetition"], choice["fold"], choice["seed"]))


def environment() -> dict[str, Any]:
    """Return what a result depends on besides the study: interpreter, platform, versions."""
    packages = ("torch", "numpy", "scipy", "pandas", "xarray", "zarr", "scikit-learn", "neurokit2")
    return {
        "limbeck": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "packages": {name: importlib.metadata.version(name) for name in packages},
    }


def _describe_plan(plan: Plan) -> dict[str, Any]:
    return {
        variant.label: {
            "windows": str(variant.windows.relative_to(plan.out)),
            "folds": len(variant.folds),
            "stages": {
                name: {
                    "key": planned.key,
                    "role": planned.node.role,
                    "backend": planned.backend,
                    "groups": len(planned.groups),
                    "needs": list(planned.node.needs),
                    "parameters": planned.parameters,
                }
                for name, planned in variant.stages.items()
            },
        }
        for variant in plan.variants
    }


def _slug(label: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in label).strip("-")
