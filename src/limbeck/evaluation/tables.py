"""From the long table of predictions to scores: per subject, pooled, by window or by trial.

The table has one row per test window, arm, repetition and seed: ``variant arm subject session trial window start
condition fold repetition seed truth prediction`` and, for classes, the probabilities ``p0 .. p{K-1}``. Of a trace with
several values per window there is a row per step, numbered in ``step``. Everything is computed over whole columns of
integer codes: a study of 22 subjects, 30 repetitions and 10 arms has a million rows.

A subject is scored per repetition and seed, and these scores are averaged. A subject whose windows hold a single class
has no score of classes (NaN), whatever was predicted: the recall of one class rises with every shift of the threshold
towards it, and an arm that says that class more often would seem to gain. A subject with two classes or more of several
is scored on those that are there: balanced accuracy is then their mean recall. `class_counts` tells who has what.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from limbeck.errors import DataError
from limbeck.metrics import METRICS, confusion_matrix, find_metric, grouped_auc, grouped_trace_scores

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "check_predictions",
    "check_target",
    "class_count",
    "class_counts",
    "coverage",
    "each_step",
    "mean_confusion",
    "natural_order",
    "pooled_scores",
    "probability_columns",
    "step_columns",
    "subject_scores",
    "to_trials",
    "trace_values",
    "training_subjects",
]

SUBJECTS_SHOWN = 8
"""Subjects that a message names."""

DRAW = ("repetition", "seed")
"""What is averaged over."""

COLUMNS = (
    "variant",
    "arm",
    "subject",
    "session",
    "trial",
    "window",
    "condition",
    "repetition",
    "seed",
    "truth",
    "prediction",
)
"""What every table of predictions must have to be judged."""


def check_predictions(predictions: pd.DataFrame) -> None:
    """Refuse a table of predictions that cannot be scored.

    Raises
    ------
    DataError
        When columns are missing, the table is empty, or a truth or prediction has no value.
    """
    missing = [name for name in COLUMNS if name not in predictions.columns]
    if missing:
        raise DataError(f"The table of predictions lacks the columns {missing}; found {list(predictions.columns)}.")
    if not len(predictions):
        raise DataError("The table of predictions is empty; no test window was predicted. Run the study first.")
    for name in ("truth", "prediction"):
        empty = predictions[name].isna().to_numpy()
        if empty.any():
            arms = sorted(predictions.loc[empty, "arm"].astype(str).unique())
            raise DataError(
                f"{int(empty.sum())} rows of the table of predictions have no {name} (arms {arms}); expected a value "
                "in every row. A prediction without a value comes from a training that diverged; lower its learning "
                "rate."
            )


def probability_columns(predictions: pd.DataFrame) -> list[str]:
    """Return the columns ``p0, p1, ...`` of a table of predictions, in the order of classes."""
    names = [str(name) for name in predictions.columns if re.fullmatch(r"p\d+", str(name))]
    return sorted(names, key=lambda name: int(name[1:]))


def step_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns ``target_0, target_1, ...`` of a window table: a trace's steps, in order; none without."""
    count = sum(re.fullmatch(r"target_\d+", str(name)) is not None for name in table.columns)
    return [f"target_{step}" for step in range(count)]


def trace_values(table: pd.DataFrame) -> np.ndarray:
    """Return the values (n_windows, n_steps) of a trace from a window table, float64; one step without steps."""
    return table[step_columns(table) or ["target"]].to_numpy(np.float64)


def each_step(rows: pd.DataFrame, values: np.ndarray) -> pd.DataFrame:
    """Return rows of the table of predictions of a trace: one per window, or one per window and step.

    Parameters
    ----------
    rows : pandas.DataFrame
        A row per window, with ``truth`` and, of a trace with steps, :func:`step_columns`.
    values : ndarray of shape (n_windows, n_steps), float
        The predictions.

    Returns
    -------
    pandas.DataFrame
        `rows` with ``prediction`` and, of a trace with steps, ``step`` and the truth of that step.
    """
    steps = step_columns(rows)
    if not steps:
        return rows.assign(prediction=values[:, 0])
    truth = rows[steps].to_numpy(np.float64)
    repeated = rows.drop(columns=steps).loc[rows.index.repeat(len(steps))].reset_index(drop=True)
    number = np.tile(np.arange(len(steps)), len(rows))
    return repeated.assign(truth=truth.reshape(-1), prediction=values.reshape(-1), step=number)


def class_count(predictions: pd.DataFrame, classes: Sequence[str] = ()) -> int:
    """Return the number of classes: from their names, else from the probabilities, else from the codes."""
    if classes:
        return len(classes)
    columns = probability_columns(predictions)
    return len(columns) or int(predictions[["truth", "prediction"]].to_numpy().max()) + 1


def natural_order(names: Sequence[str]) -> list[str]:
    """Sort names with their numbers as numbers: S2 before S10."""
    return sorted(names, key=lambda name: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)])


def _group(frame: pd.DataFrame, keys: Sequence[str]) -> tuple[np.ndarray, pd.DataFrame]:
    """Give a number to the combinations of some columns, in the order of their first row.

    Returns
    -------
    ndarray of shape (n_rows,), int64
        The number of each row's combination.
    pandas.DataFrame
        The combinations, a row per number.
    """
    import pandas as pd

    code = np.zeros(len(frame), np.int64)
    for key in keys:
        part, values = pd.factorize(frame[key])
        # Numbered anew at each step, so that the product never leaves 64 bits.
        code, _ = pd.factorize(code * max(len(values), 1) + part)
    _, first = np.unique(code, return_index=True)
    return code.astype(np.int64), frame[list(keys)].iloc[first].reset_index(drop=True)


def _score_groups(
    frame: pd.DataFrame, group: np.ndarray, n_groups: int, *, kind: str, n_classes: int
) -> dict[str, np.ndarray]:
    """Score the samples of each group by every metric of a kind."""
    truth, prediction = frame["truth"].to_numpy(), frame["prediction"].to_numpy()
    if kind == "trace":
        return grouped_trace_scores(truth, prediction, group, n_groups)
    confusion = confusion_matrix(truth, prediction, n_classes, group=group, n_groups=n_groups)
    scores = {
        name: metric.of_confusion(confusion)
        for name, metric in METRICS.items()
        if metric.kind == "class" and metric.of_confusion is not None
    }
    columns = probability_columns(frame)
    if columns:
        scores["auc"] = grouped_auc(truth, frame[columns].to_numpy(), group, n_groups)
    else:
        scores["auc"] = np.full(n_groups, np.nan)
    return scores


def _average_draws(keys: pd.DataFrame, scores: dict[str, np.ndarray], by: list[str]) -> pd.DataFrame:
    """Average scores over repetitions and seeds; a draw without a score leaves the average without one."""
    import pandas as pd

    code, rows = _group(keys, by)
    count = np.bincount(code, minlength=len(rows))
    means = {name: np.bincount(code, weights=values, minlength=len(rows)) / count for name, values in scores.items()}
    return pd.DataFrame(means, index=pd.MultiIndex.from_frame(rows.astype(str)))


def subject_scores(predictions: pd.DataFrame, *, kind: str = "class", n_classes: int | None = None) -> pd.DataFrame:
    """Score every arm on every subject.

    Parameters
    ----------
    predictions : pandas.DataFrame
        The table of predictions, by window or by trial.
    kind : str
        ``class`` or ``trace``.
    n_classes : int, optional
        By default as :func:`class_count` finds.

    Returns
    -------
    pandas.DataFrame
        Index ``variant, arm, subject`` in the order of their first rows, one column per metric of the kind; each the
        mean over repetitions and seeds. NaN for classes where the truth of a subject holds one class only.
    """
    by = ["variant", "arm", "subject"]
    return _scores(predictions, by, kind=kind, n_classes=n_classes, least_classes=2)


def pooled_scores(predictions: pd.DataFrame, *, kind: str = "class", n_classes: int | None = None) -> pd.DataFrame:
    """Score every arm on the samples of all subjects together, per repetition and seed, and average these.

    Arguments as in :func:`subject_scores`; the index is ``variant, arm``.
    """
    return _scores(predictions, ["variant", "arm"], kind=kind, n_classes=n_classes)


def _scores(
    predictions: pd.DataFrame, by: list[str], *, kind: str, n_classes: int | None, least_classes: int = 1
) -> pd.DataFrame:
    k = 0 if kind == "trace" else n_classes or class_count(predictions)
    group, keys = _group(predictions, [*by, *DRAW])
    scores = _score_groups(predictions, group, len(keys), kind=kind, n_classes=k)
    if k:
        truth = predictions["truth"].to_numpy(np.int64)
        enough = (np.bincount(group * k + truth, minlength=len(keys) * k).reshape(-1, k) > 0).sum(1) >= least_classes
        scores = {name: np.where(enough, values, np.nan) for name, values in scores.items()}
    return _average_draws(keys, scores, by)


def mean_confusion(predictions: pd.DataFrame, n_classes: int) -> dict[tuple[str, str], np.ndarray]:
    """Return the confusion matrix of each variant and arm over all subjects, averaged over repetitions and seeds.

    Returns
    -------
    dict of (variant, arm) to ndarray of shape (n_classes, n_classes), float64
        Samples by truth (row) and prediction (column).
    """
    group, keys = _group(predictions, ["variant", "arm", *DRAW])
    counts = confusion_matrix(
        predictions["truth"].to_numpy(),
        predictions["prediction"].to_numpy(),
        n_classes,
        group=group,
        n_groups=len(keys),
    )
    code, arms = _group(keys, ["variant", "arm"])
    return {
        (str(variant), str(arm)): counts[code == number].mean(0)
        for number, (variant, arm) in enumerate(arms.itertuples(index=False))
    }


def to_trials(predictions: pd.DataFrame, *, kind: str = "class") -> pd.DataFrame:
    """Aggregate windows to trials: the mean of the probabilities, or of the trace.

    A trial is one labelled segment of a recording: ``(subject, session, trial, segment)``. In a table without the
    column ``segment`` (or with rows that lack it) it is what a subject did in one recording under one condition, and
    segments of one name count as one trial.

    Parameters
    ----------
    predictions : pandas.DataFrame
        The table of predictions by window.
    kind : str
        ``class`` or ``trace``.

    Returns
    -------
    pandas.DataFrame
        A row per trial, arm, repetition and seed, with the columns of `predictions` but ``start`` and ``step``;
        ``window`` is the first window of the trial.

    Raises
    ------
    DataError
        When classes come without probabilities, or the windows of a trial have different truths.
    """
    import pandas as pd

    own = "segment" if _has_segments(predictions) else "condition"
    group, rows = _group(predictions, ["variant", "arm", "subject", "session", "trial", own, *DRAW])
    size = np.bincount(group, minlength=len(rows))

    def mean(column: str) -> np.ndarray:
        return np.bincount(group, weights=predictions[column].to_numpy(float), minlength=len(rows)) / size

    _, first = np.unique(group, return_index=True)
    for column in ("window", "condition", "fold"):
        if column in predictions.columns and column not in rows.columns:
            rows[column] = predictions[column].to_numpy()[first]
    if kind == "trace":
        return rows.assign(truth=mean("truth"), prediction=mean("prediction"))
    truth = predictions["truth"].to_numpy()
    rows["truth"] = truth[first]
    _check_one_truth(predictions, rows, truth[first][group] != truth)
    columns = probability_columns(predictions)
    if not columns:
        raise DataError(
            "Judging by trial averages the probabilities of its windows, but the table of predictions has no columns "
            "p0, p1, ...; judge by window instead."
        )
    probabilities = np.column_stack([mean(column) for column in columns])
    rows["prediction"] = probabilities.argmax(1)
    return pd.concat([rows, pd.DataFrame(probabilities, columns=columns)], axis=1)


def _has_segments(predictions: pd.DataFrame) -> bool:
    return "segment" in predictions.columns and not predictions["segment"].isna().any()


def _check_one_truth(predictions: pd.DataFrame, rows: pd.DataFrame, differs: np.ndarray) -> None:
    if not differs.any():
        return
    row = predictions.iloc[int(differs.argmax())]
    raise DataError(
        f"Judging by trial needs one target per trial, but the windows of subject '{row['subject']}', session "
        f"'{row['session']}', trial '{row['trial']}', condition '{row['condition']}' have several; judge by window "
        "instead."
    )


def coverage(predictions: pd.DataFrame, keys: Sequence[str]) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """Say which arm has which combinations of some columns; for the predictions of one variant.

    Parameters
    ----------
    predictions : pandas.DataFrame
        The table of predictions.
    keys : sequence of str
        ``("subject", "window")``: what was tested; ``("repetition", "seed")``: in which draws.

    Returns
    -------
    dict of str to ndarray of shape (n_combinations,), bool
        By arm.
    pandas.DataFrame
        The combinations.
    """
    import pandas as pd

    code, combinations = _group(predictions, keys)
    arm, names = pd.factorize(predictions["arm"])
    seen = np.zeros((len(names), len(combinations)), bool)
    seen[arm, code] = True
    return {str(name): seen[number] for number, name in enumerate(names)}, combinations


def training_subjects(predictions: pd.DataFrame) -> float:
    """Return how many subjects a fold has for training, validation included; for the predictions of one variant.

    These are the subjects of the table that the fold does not test: the mean over repetitions and folds, which is no
    whole number where folds differ in size. NaN for a table without the column ``fold``.
    """
    if "fold" not in predictions.columns:
        return float("nan")
    _, tested = _group(predictions, ["repetition", "fold", "subject"])
    per_fold = tested.groupby(["repetition", "fold"], observed=True).size()
    return float(tested["subject"].nunique() - per_fold.mean())


def class_counts(predictions: pd.DataFrame, n_classes: int) -> pd.DataFrame:
    """Return how many samples of each class the subjects were tested on; for the predictions of one variant.

    Returns
    -------
    pandas.DataFrame of int64
        Index subject in natural order, one column per class code. Samples that several arms or draws predicted count
        once.
    """
    import pandas as pd

    samples = predictions[["subject", "window", "truth"]].drop_duplicates(["subject", "window"])
    code, subjects = _group(samples, ["subject"])
    truth = samples["truth"].to_numpy(np.int64)
    counts = np.bincount(code * n_classes + truth, minlength=len(subjects) * n_classes).reshape(-1, n_classes)
    table = pd.DataFrame(counts, index=pd.Index(subjects["subject"].astype(str), name="subject"))
    return table.loc[natural_order(table.index)]


def _truths(windows: pd.DataFrame, *, means: bool) -> pd.DataFrame:
    """Return subject and target at every step of the windows that lack none, or of the mean of each."""
    import pandas as pd

    values = windows[["target"]].to_numpy(np.float64) if means else trace_values(windows)
    known = np.isfinite(values).all(axis=1)
    subjects = windows["subject"].to_numpy()[known].repeat(values.shape[1])
    return pd.DataFrame({"subject": subjects, "target": values[known].reshape(-1)})


def check_target(
    windows: pd.DataFrame, *, metric: str = "balanced_accuracy", classes: Sequence[str] = (), level: str = "window"
) -> None:
    """Refuse a target on which no two arms could be compared, before anything is trained.

    Parameters
    ----------
    windows : pandas.DataFrame
        :func:`limbeck.windows.table`: a row per window with ``subject``, ``target`` and, where some windows are for
        calibration, ``calibration``.
    metric : str
        What verdicts are made on; ``rmse`` is defined for a constant trace, all others need two values.
    classes : sequence of str
        Names of the classes in the order of their codes, for the message.
    level : str
        ``window``: every step of a trace counts; ``trial``: the means of windows do.

    Raises
    ------
    DataError
        When there is no subject whose windows hold two classes, or two values of the trace.
    """
    kind = find_metric(metric).kind
    if metric == "rmse":
        return
    used = windows
    if "calibration" in windows.columns:
        used = windows[~windows["calibration"].to_numpy(dtype=bool)]
    if kind == "trace":
        used = _truths(used, means=level == "trial")
    values = used.groupby(used["subject"].astype(str), observed=True)["target"].unique()
    if any(len(found) > 1 for found in values) or not len(values):
        return
    held = []
    for subject in natural_order(values.index)[:SUBJECTS_SHOWN]:
        value = values[subject][0]
        named = classes[int(value)] if kind == "class" and 0 <= value < len(classes) else f"{value:g}"
        held.append(f"{subject} ({named})")
    more = ", ..." if len(values) > SUBJECTS_SHOWN else ""
    what = "class" if kind == "class" else "value of the trace"
    raise DataError(
        f"Each of the {len(values)} subjects has windows of one {what} only: {', '.join(held)}{more}. Scores are "
        f"computed within subjects and need two; choose a target that differs within a subject."
    )
