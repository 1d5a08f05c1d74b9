"""Baselines and the clock: predictors that read no sensor, fitted on the labelled windows of every fold.

*Baselines* know no signal: ``baseline/majority`` and ``baseline/prior`` for classes, ``baseline/mean`` for traces.

The *clock* (``confound/clock``) knows the schedule: a random forest on the time since the session began, the order of
the recording and the time within it. Where everyone follows one schedule it predicts the target without any physiology,
and a score that is not above it shows nothing about sensors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from limbeck.errors import DataError
from limbeck.evaluation.tables import each_step, step_columns, trace_values

if TYPE_CHECKING:
    import pandas as pd

    from limbeck.protocols import Fold

__all__ = ["CLOCK", "MAJORITY", "MEAN", "PRIOR", "baselines", "schedule"]

MAJORITY, PRIOR, MEAN, CLOCK = "baseline/majority", "baseline/prior", "baseline/mean", "confound/clock"

COLUMNS = ("subject", "session", "trial", "condition", "start", "order", "target")


def baselines(
    table: pd.DataFrame, folds: Sequence[Fold], *, classes: Sequence[str] = (), seed: int = 0, variant: str = ""
) -> pd.DataFrame:
    """Predict the test windows of every fold without looking at a signal.

    Folds of different repetitions that share their labelled and test windows are fitted once.

    Parameters
    ----------
    table : pandas.DataFrame
        :func:`limbeck.windows.table` of all windows, a row per window in the order of window indices.
    folds : sequence of Fold
        The folds that the arms were trained on.
    classes : sequence of str
        Names of the classes; empty for a trace.
    seed : int
        Key of the draws of ``baseline/prior`` and of the forests; also the ``seed`` of the rows.
    variant : str
        The variant that the rows belong to.

    Returns
    -------
    pandas.DataFrame
        Rows of the table of predictions (:mod:`limbeck.evaluation.tables`).

    Raises
    ------
    DataError
        When `table` is not the table that the folds index, or a fold has no labelled window.
    """
    import pandas as pd

    _check(table, folds)
    clock = schedule(table)
    target = table["target"].to_numpy() if classes else trace_values(table)
    fitted: dict[bytes, dict[str, np.ndarray]] = {}
    rows = []
    for fold in folds:
        key = _key(fold)
        if key not in fitted:
            fitted[key] = _fit(fold, clock, target, len(classes), seed, key)
        rows += [_rows(table, fold, arm, values, seed, variant, bool(classes)) for arm, values in fitted[key].items()]
    return pd.concat(rows, ignore_index=True)


def _check(table: pd.DataFrame, folds: Sequence[Fold]) -> None:
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise DataError(f"The table of windows lacks the columns {missing}; found {list(table.columns)}.")
    if not folds:
        raise DataError("Baselines need at least one fold; found none.")
    last = max(int(fold.test.max(initial=-1)) for fold in folds)
    if last >= len(table):
        raise DataError(f"The folds name window {last}, but the table holds {len(table)}; give the table they index.")
    for fold in folds:
        if not len(fold.labelled) or not len(fold.test):
            raise DataError(
                f"Repetition {fold.repetition}, fold {fold.fold} has {len(fold.labelled)} labelled and "
                f"{len(fold.test)} test windows; a baseline needs at least one of each."
            )


def schedule(table: pd.DataFrame) -> np.ndarray:
    """Return what the clock knows of each window.

    Parameters
    ----------
    table : pandas.DataFrame
        A row per window with ``subject session trial order start``.

    Returns
    -------
    ndarray of shape (n_windows, 3), float64
        Seconds since the session began, order of the recording, seconds since the recording began. Pauses between
        recordings are unknown: a recording is taken to begin where the last window of the one before it ended.
    """
    start, order = table["start"].to_numpy(float), table["order"].to_numpy(float)
    recordings = table.assign(order=order, end=start + _hop(table))
    ends = recordings.groupby(["subject", "session", "order"], observed=True, sort=True)["end"].max()
    begins = ends.groupby(level=["subject", "session"], observed=True).cumsum() - ends
    offset = recordings.join(begins.rename("begin"), on=["subject", "session", "order"])["begin"].to_numpy()
    return np.column_stack([offset + start, order, start])


def _hop(table: pd.DataFrame) -> float:
    """Return the usual step between windows of one recording; 0 where every recording has one window."""
    in_time = table.sort_values("start", kind="stable")
    steps = in_time.groupby(["subject", "session", "order"], observed=True)["start"].diff().to_numpy()
    steps = steps[steps > 0]
    return float(np.median(steps)) if len(steps) else 0.0


def _key(fold: Fold) -> bytes:
    digest = hashlib.sha256()
    for part in (fold.labelled, fold.test):
        digest.update(np.ascontiguousarray(part, dtype="<i8").tobytes() + b"|")
    return digest.digest()


def _fit(
    fold: Fold, clock: np.ndarray, target: np.ndarray, n_classes: int, seed: int, key: bytes
) -> dict[str, np.ndarray]:
    """Return, by arm, what is predicted for the test windows: (n_test, n_classes + 1) or (n_test, n_steps) of a trace.

    For classes the first column is the code and the rest are the probabilities.
    """
    # Keyed by what is fitted, so that a fold's draws do not depend on which other folds there are.
    generator = np.random.default_rng([seed, *key[:16]])
    labelled = target[fold.labelled]
    if not n_classes:
        clock_trace = _clock(clock, labelled, fold, generator, n_classes)
        return {MEAN: np.full((len(fold.test), target.shape[1]), labelled.mean(dtype=float)), CLOCK: clock_trace}
    labelled = labelled.astype(np.int64)
    if labelled.min() < 0 or labelled.max() >= n_classes:
        raise DataError(
            f"Labelled windows of repetition {fold.repetition}, fold {fold.fold} have class codes {labelled.min()} .. "
            f"{labelled.max()}; expected 0 .. {n_classes - 1}. Windows of the calibration stretch cannot be trained on."
        )
    prior = np.bincount(labelled, minlength=n_classes) / len(labelled)
    majority = np.zeros(n_classes)
    majority[prior.argmax()] = 1.0
    drawn = generator.choice(n_classes, len(fold.test), p=prior)
    return {
        MAJORITY: _with_code(np.full(len(fold.test), prior.argmax()), majority),
        PRIOR: _with_code(drawn, prior),
        CLOCK: _clock(clock, labelled, fold, generator, n_classes),
    }


def _with_code(code: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    return np.column_stack([code, np.broadcast_to(probabilities, (len(code), probabilities.shape[-1]))])


def _clock(
    clock: np.ndarray, labelled: np.ndarray, fold: Fold, generator: np.random.Generator, n_classes: int
) -> np.ndarray:
    """Fit the forest on the schedule of the labelled windows and predict the test windows."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    settings: dict[str, Any] = {
        "n_estimators": 100,
        "min_samples_leaf": 5,
        "n_jobs": 1,
        "random_state": int(generator.integers(2**31)),
    }
    if not n_classes:
        values = labelled[:, 0] if labelled.shape[1] == 1 else labelled
        regressor = RandomForestRegressor(**settings).fit(clock[fold.labelled], values)
        return regressor.predict(clock[fold.test]).reshape(len(fold.test), labelled.shape[1])
    forest = RandomForestClassifier(class_weight="balanced", **settings).fit(clock[fold.labelled], labelled)
    probabilities = np.zeros((len(fold.test), n_classes))
    probabilities[:, forest.classes_] = forest.predict_proba(clock[fold.test])
    return _with_code(probabilities.argmax(1), probabilities)


def _rows(
    table: pd.DataFrame, fold: Fold, arm: str, values: np.ndarray, seed: int, variant: str, is_class: bool
) -> pd.DataFrame:
    """Write the predictions of one arm on one fold as rows of the table of predictions."""
    tested = table.iloc[fold.test]
    known = [name for name in ("subject", "session", "trial", "segment") if name in tested.columns]
    rows = tested[known].reset_index(drop=True)
    rows.insert(0, "variant", variant)
    rows.insert(1, "arm", arm)
    rows = rows.assign(
        window=np.asarray(fold.test, np.int64),
        start=tested["start"].to_numpy(float),
        condition=tested["condition"].to_numpy(),
        fold=fold.fold,
        repetition=fold.repetition,
        seed=seed,
        truth=tested["target"].to_numpy(np.int64 if is_class else float),
    )
    if not is_class:
        steps = {name: tested[name].to_numpy(float) for name in step_columns(tested)}
        return each_step(rows.assign(**steps), values)
    rows = rows.assign(prediction=values[:, 0].astype(np.int64))
    return rows.assign(**{f"p{k}": values[:, k + 1].astype(np.float32) for k in range(values.shape[1] - 1)})
