"""Teachers in the plural: several teachers' knowledge made one, told how sure it may be, and sieved.

Whatever is decided here is decided per window from arrays, before a student trains: which teacher counts how much
(`COMBINATIONS`, :func:`combine`), how sure the knowledge says to be (:func:`fit_temperature`, :func:`calibrated`), and
which windows without a label carry it (:func:`confident`). The truth is read where a window is labelled, and nowhere
else.

A weighted sum of the divergences from several teachers, ``sum_m w_m KL(p_m || p)``, and the divergence from the
weighted mean of their probabilities, ``KL(sum_m w_m p_m || p)``, differ by a number that no student changes. So a loss
over one combined teacher (``of: probabilities``, at the temperature of that loss) teaches what the sum of them does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from limbeck.errors import DataError
from limbeck.metrics import balanced_accuracy, ccc, rmse
from limbeck.registry import Registry

__all__ = [
    "COMBINATIONS",
    "FOR_TRACES",
    "Evidence",
    "calibrated",
    "combine",
    "confident",
    "entropies",
    "fit_temperature",
    "log_softmax",
    "unfittable",
]

COMBINATIONS = Registry("way to combine teachers")
"""Ways to combine teachers by name: of :class:`Evidence`, what is handed over and the weights."""

FOR_TRACES = frozenset({"average", "accuracy", "weights"})
"""The ways that need no probabilities."""

_NAMED = 10
"""Windows that a message names."""

_GRID = 61
"""Temperatures at which the likelihood is looked at before the best is refined."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a way to combine teachers may look at.

    Parameters
    ----------
    values : ndarray of shape (n_teachers, n_windows, width), float64
        Logits of classes, or values of a trace; 0 where a teacher hands over nothing.
    available : ndarray of shape (n_teachers, n_windows), bool
        Which teacher hands over something of which window.
    places : ndarray of shape (n_labelled,), int64
        The labelled windows.
    seen : ndarray of shape (n_labelled,) or (n_labelled, width)
        Their truth; there is no other here.
    validation : (ndarray, ndarray) or None
        Values (n_teachers, n_held_out, width) and truth of validation windows.
    kind : str
        ``"class"`` or ``"trace"``.
    """

    values: np.ndarray
    available: np.ndarray
    places: np.ndarray
    seen: np.ndarray
    validation: tuple[np.ndarray, np.ndarray] | None
    kind: str

    def shares(self, weights: np.ndarray) -> np.ndarray:
        """Return weights (n_teachers, n_windows) that sum to 1 in every window, 0 for who hands over nothing there.

        Raises
        ------
        DataError
            In some window no teacher that hands over something has a weight.
        """
        own = np.where(self.available, weights, 0.0)
        total = own.sum(axis=0)
        if (empty := np.flatnonzero(~(total > 0))).size:
            raise DataError(
                f"In {_windows(empty)} only teachers of weight 0 hand over something; give the others a weight, or "
                "leave these windows out."
            )
        result: np.ndarray = own / total
        return result

    def softest(self, costs: np.ndarray, tau: float) -> np.ndarray:
        """Return shares that fall by e for every `tau` that a teacher's cost (n_teachers, n_windows) is higher."""
        _require_positive("tau", tau)
        lowest = np.where(self.available, costs, np.inf).min(axis=0)
        return self.shares(np.exp(-(np.where(self.available, costs, np.inf) - lowest) / tau))


def combine(
    logits: np.ndarray,
    how: str,
    options: Mapping[str, Any] | None = None,
    *,
    truth: np.ndarray,
    labelled: np.ndarray,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    kind: str = "class",
) -> tuple[np.ndarray, np.ndarray]:
    """Make one teacher of several, window by window.

    Parameters
    ----------
    logits : ndarray of shape (n_teachers, n_windows, width), float
        Logits of classes or values of a trace. A teacher that has NaN in a window (whose sensors its subject lacks)
        weighs nothing there.
    how : str
        A key of `COMBINATIONS`.
    options : mapping, optional
        Of that way.
    truth : ndarray of shape (n_windows,), or (n_windows, width) for a trace with steps
        Class codes or values; read where `labelled`, whatever stands elsewhere.
    labelled : ndarray of shape (n_windows,), bool
        Where the target may be seen.
    validation : (ndarray of shape (n_teachers, n_held_out, width), ndarray of shape (n_held_out, ...)), optional
        Logits and truth of validation windows, on which teachers are scored if there are any; otherwise they are scored
        on the labelled windows, where their knowledge should come from teachers that have not seen these
        (cross-fitting), or the most overfitted one wins.
    kind : str
        ``"class"`` or ``"trace"``.

    Returns
    -------
    combined : ndarray of shape (n_windows, width)
        In the type of `logits`.
    weights : ndarray of shape (n_teachers, n_windows), float64
        They sum to 1 in every window.

    Raises
    ------
    DataError
        Shapes do not match, the way or an option is unknown, no teacher hands over anything of some window, or a
        labelled window has no truth.
    """
    options = dict(options or {})
    mistakes = COMBINATIONS.mistakes(how, options) + _mistakes(logits, truth, labelled, validation, kind)
    if not mistakes and kind == "trace" and how not in FOR_TRACES:
        mistakes.append(
            f"'{how}' needs the probabilities of classes; for a trace take {', '.join(sorted(FOR_TRACES))}."
        )
    if mistakes:
        raise DataError("These teachers cannot be combined:\n" + "\n".join(f"  - {mistake}" for mistake in mistakes))
    values = np.asarray(logits, dtype=np.float64)
    available = np.asarray(~np.isnan(values).any(axis=-1))
    if (empty := np.flatnonzero(~available.any(axis=0))).size:
        raise DataError(
            f"No teacher hands over anything of {_windows(empty)}: all values are NaN. Leave these windows out, or "
            "add a teacher whose sensors their subjects have."
        )
    places = np.flatnonzero(labelled)
    seen = np.asarray(truth)[places]
    _refuse_no_truth(seen, places, values.shape[-1], kind)
    if validation is not None:
        validation = np.asarray(validation[0], dtype=np.float64), np.asarray(validation[1])
        _refuse_no_truth(validation[1], np.arange(len(validation[1])), values.shape[-1], kind)
    evidence = Evidence(np.where(available[..., None], values, 0.0), available, places, seen, validation, kind)
    combined, weights = COMBINATIONS[how](evidence, **options)
    return combined.astype(np.asarray(logits).dtype, copy=False), weights


# ---- ways to combine ------------------------------------------------------------------------------------------------


@COMBINATIONS.register("average")
def average(evidence: Evidence, *, of: str = "logits", temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Weigh all teachers the same.

    Parameters
    ----------
    of : str
        What is averaged: ``logits`` or ``probabilities``, softened by `temperature`.
    temperature : float
        Of the loss that takes the result.
    """
    return _pooled(evidence, evidence.shares(np.ones(evidence.available.shape)), of, temperature)


@COMBINATIONS.register("weights")
def weights(
    evidence: Evidence, *, weights: Sequence[float] = (), of: str = "logits", temperature: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Take the weights as written, one per teacher; where one hands over nothing, the others share its weight.

    Parameters
    ----------
    weights : sequence of float
        In the order of the teachers, none below 0; they need not sum to 1.
    of, temperature
        As of ``average``.
    """
    given = np.asarray(weights, dtype=np.float64)
    count = len(evidence.values)
    if given.shape != (count,) or not np.isfinite(given).all() or (given < 0).any() or not given.any():
        raise DataError(
            f"weights: expected {count} numbers, one per teacher, none below 0 and not all 0; found {list(weights)}."
        )
    return _pooled(
        evidence, evidence.shares(np.broadcast_to(given[:, None], evidence.available.shape)), of, temperature
    )


@COMBINATIONS.register("accuracy")
def accuracy(
    evidence: Evidence, *, tau: float = 0.1, score: str = "ccc", of: str = "logits", temperature: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Weigh better teachers more, everywhere: ``exp(score / tau)``.

    The score of classes is balanced accuracy. It is taken on validation windows, else on the labelled ones; a teacher
    that hands over nothing there counts as the mean of the others.

    Parameters
    ----------
    tau : float
        The difference of scores that makes a factor of e.
    score : str
        Of traces: ``ccc`` (concordance) or ``rmse`` (minus the error, in standard deviations of the truth).
    of, temperature
        As of ``average``.
    """
    if score not in ("ccc", "rmse"):
        raise DataError(f"score: expected ccc or rmse; found '{score}'.")
    scores = _scores(evidence, score)
    if np.isnan(scores).all():
        raise DataError(
            "Teachers cannot be weighed by their scores: there is no labelled window (for a trace: none whose truth "
            "varies) of which one hands over something. Take 'average', or label more subjects."
        )
    scores = np.where(np.isnan(scores), np.nanmean(scores), scores)
    costs = np.broadcast_to(-scores[:, None], evidence.available.shape)
    return _pooled(evidence, evidence.softest(costs, tau), of, temperature)


@COMBINATIONS.register("confidence")
def confidence(
    evidence: Evidence, *, tau: float = 1.0, of: str = "probabilities", temperature: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Weigh more, per window, who is nearer to its label; without a label, who is surer.

    Labelled windows are weighted as in CA-MKD (Zhang, Chen and Wang, ICASSP 2022): with M teachers and their cross
    entropies, ``w_m = (1 - exp(CE_m) / sum_j exp(CE_j)) / (M - 1)``. Elsewhere the weights are the softmax of minus
    entropy over `tau`; the entropy of a calibrated teacher is the cross entropy that one must expect of it.

    Parameters
    ----------
    tau : float
        Nats of entropy that make a factor of e.
    of, temperature
        As of ``average``; of probabilities at the loss' temperature, the combined teacher has the gradient of the
        weighted sum of losses.
    """
    found = evidence.softest(entropies(evidence.values), tau)
    found[:, evidence.places] = _nearness(_cross_entropies(evidence), evidence.available[:, evidence.places])
    return _pooled(evidence, found, of, temperature)


@COMBINATIONS.register("best")
def best(evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Take one teacher per window: who is nearest to its label; without a label, who is surest."""
    costs = -np.exp(log_softmax(evidence.values).max(axis=-1))
    costs[:, evidence.places] = _cross_entropies(evidence)
    chosen = np.where(evidence.available, costs, np.inf).argmin(axis=0)
    one_hot = (np.arange(len(costs))[:, None] == chosen).astype(np.float64)
    return _pooled(evidence, one_hot, "logits", 1.0)


def _pooled(evidence: Evidence, shares: np.ndarray, of: str, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted mean of logits, or the logits of the weighted mean of softened probabilities."""
    if of not in ("logits", "probabilities"):
        raise DataError(f"of: expected logits or probabilities; found '{of}'.")
    _require_positive("temperature", temperature)
    if of == "logits" or evidence.kind == "trace":
        return np.einsum("mw,mwk->wk", shares, evidence.values), shares
    softened = log_softmax(evidence.values / temperature)
    with np.errstate(divide="ignore"):
        logs = softened + np.log(shares)[..., None]
    highest = logs.max(axis=0)
    return temperature * (highest + np.log(np.exp(logs - highest).sum(axis=0))), shares


def _scores(evidence: Evidence, score: str) -> np.ndarray:
    """Return the score (n_teachers,) of every teacher on what it hands over; NaN where it has none."""
    if evidence.validation is not None and len(evidence.validation[1]):
        values, truth = evidence.validation
        available = ~np.isnan(values).any(axis=-1)
    else:
        values, truth = evidence.values[:, evidence.places], evidence.seen
        available = evidence.available[:, evidence.places]
    return np.array(
        [_score(own[has], truth[has], evidence.kind, score) for own, has in zip(values, available, strict=True)]
    )


def _score(values: np.ndarray, truth: np.ndarray, kind: str, score: str) -> float:
    if not len(truth):
        return np.nan
    if kind == "class":
        return balanced_accuracy(truth.astype(np.int64), values.argmax(axis=-1))
    flat, found = truth.reshape(-1), values.reshape(-1)
    known = np.isfinite(flat)
    flat, found = flat[known], found[known]
    if score == "ccc":
        return ccc(flat, found) if len(flat) else np.nan
    spread = float(flat.std()) if len(flat) else 0.0
    return -rmse(flat, found) / spread if spread > 0 else np.nan


def _cross_entropies(evidence: Evidence) -> np.ndarray:
    """Return the cross entropies (n_teachers, n_labelled), nats; of who hands over nothing, those of no knowledge."""
    logs = log_softmax(evidence.values[:, evidence.places])
    index = np.broadcast_to(evidence.seen.astype(np.int64)[None, :, None], (len(logs), len(evidence.places), 1))
    return -np.take_along_axis(logs, index, axis=-1)[..., 0]


def _nearness(costs: np.ndarray, available: np.ndarray) -> np.ndarray:
    """Return CA-MKD's weights over the teachers that hand over something; one alone has it all."""
    shifted = np.where(available, costs, -np.inf)
    far = np.exp(shifted - shifted.max(axis=0, initial=-np.inf))
    far /= far.sum(axis=0)
    others = available.sum(axis=0) - 1
    return np.where(available, np.where(others > 0, (1.0 - far) / np.maximum(others, 1), 1.0), 0.0)


# ---- how sure ----------------------------------------------------------------------------------------------------


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return the logarithms of the probabilities of the last axis, float64."""
    values = np.asarray(logits, dtype=np.float64)
    values = values - values.max(axis=-1, keepdims=True)
    return np.asarray(values - np.log(np.exp(values).sum(axis=-1, keepdims=True)))


def entropies(logits: np.ndarray) -> np.ndarray:
    """Return the entropy of the probabilities of the last axis, nats, float64."""
    logs = log_softmax(logits)
    return np.asarray(-(np.exp(logs) * logs).sum(axis=-1))


def unfittable(truth: np.ndarray) -> str:
    """Return why no temperature can be fitted on windows of this truth; empty if one can."""
    count = len(np.unique(np.asarray(truth)))
    if count >= 2:
        return ""
    found = "none" if not count else "one class only"
    return f"a temperature is fitted on validation windows of two classes or more, and there is {found} among them"


def fit_temperature(logits: np.ndarray, truth: np.ndarray, *, bounds: tuple[float, float] = (0.05, 20.0)) -> float:
    """Find the temperature at which logits are as sure as they are right (Guo et al., ICML 2017).

    Parameters
    ----------
    logits : ndarray of shape (n_windows, n_classes), float
        Of windows that the teacher was not trained on: of validation subjects. Windows with NaN are passed over.
    truth : ndarray of shape (n_windows,), int
        Class codes.
    bounds : (float, float)
        The lowest and the highest that may come out. Few windows that are all right push it to the lowest: no finite
        temperature makes such logits sure enough.

    Returns
    -------
    float
        What to divide the logits by: the one of least negative log likelihood. 1 where it cannot be told, for the
        reason that :func:`unfittable` gives.

    Raises
    ------
    DataError
        Shapes do not match, or codes or bounds are out of range.
    """
    values, codes = np.asarray(logits, dtype=np.float64), np.asarray(truth)
    low, high = bounds
    mistakes = []
    if values.ndim != 2 or codes.shape != values.shape[:1]:
        mistakes.append(
            f"logits (n_windows, n_classes) and truth (n_windows,): found {values.shape} and {codes.shape}."
        )
    elif codes.size and not (codes.min() >= 0 and codes.max() < values.shape[1]):
        mistakes.append(f"class codes from 0 to {values.shape[1] - 1}: found {codes.min()} to {codes.max()}.")
    if not 0 < low < high < np.inf:
        mistakes.append(f"bounds above 0, the lower first: found {bounds}.")
    if mistakes:
        raise DataError("A temperature cannot be fitted; expected " + "; expected ".join(mistakes))
    known = ~np.isnan(values).any(axis=1)
    values, codes = values[known], codes[known].astype(np.int64)
    if unfittable(codes):
        return 1.0

    def cost(exponent: float) -> float:
        logs = log_softmax(values / np.exp(exponent))
        return -float(np.take_along_axis(logs, codes[:, None], axis=1).mean())

    from scipy.optimize import minimize_scalar

    # The likelihood is concave in 1/T, so that there is one best T, which lies beside the best of the grid.
    grid = np.linspace(np.log(low), np.log(high), _GRID)
    costs = np.array([cost(point) for point in grid])
    place = int(costs.argmin())
    around = grid[max(place - 1, 0)], grid[min(place + 1, _GRID - 1)]
    refined = minimize_scalar(cost, bounds=around, method="bounded", options={"xatol": 1e-6})
    best_exponent = refined.x if refined.fun < costs[place] else grid[place]
    return float(np.clip(np.exp(best_exponent), low, high))


def calibrated(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Return logits that are as sure as a temperature of :func:`fit_temperature` says; decisions stay.

    Parameters
    ----------
    logits : ndarray of shape (..., n_classes), float
    temperature : float
        Above 0.
    """
    _require_positive("temperature", temperature)
    values = np.asarray(logits)
    return np.asarray(values / np.asarray(temperature, dtype=values.dtype))


def confident(
    logits: np.ndarray,
    *,
    labelled: np.ndarray,
    threshold: float | None = None,
    share: float | None = None,
    balance: bool = False,
) -> np.ndarray:
    """Weigh windows by whether the teacher is sure enough of them, as noisy student training does.

    Parameters
    ----------
    logits : ndarray of shape (n_windows, n_classes), float
        Unlabelled windows with NaN weigh nothing.
    labelled : ndarray of shape (n_windows,), bool
        These weigh 1, however sure the teacher is.
    threshold : float, optional
        Keep the unlabelled windows whose highest probability is at least this.
    share : float, optional
        Keep this share of those that the teacher takes for one class, the surest ones; at least one of each. With a
        threshold, those that pass both.
    balance : bool
        Weigh what is kept so that every class that the teacher sees in it weighs the same in sum; the mean stays 1.

    Returns
    -------
    ndarray of shape (n_windows,), float64
        0 for what is not kept. All unlabelled ones may be 0, if the threshold is too high for this teacher.

    Raises
    ------
    DataError
        Shapes do not match, or neither `threshold` nor `share` is given, or one does not lie in (0, 1].
    """
    values, labelled = np.asarray(logits, dtype=np.float64), np.asarray(labelled)
    mistakes = []
    if values.ndim != 2 or labelled.shape != values.shape[:1] or labelled.dtype != bool:
        mistakes.append(
            "logits (n_windows, n_classes) and labelled (n_windows,), bool: "
            f"found {values.shape} and {labelled.shape}, {labelled.dtype}."
        )
    if threshold is None and share is None:
        mistakes.append("a threshold, a share or both: found none.")
    for name, value in {"threshold": threshold, "share": share}.items():
        if value is not None and not 0 < value <= 1:
            mistakes.append(f"a {name} above 0 and at most 1: found {value}.")
    if mistakes:
        raise DataError("Windows cannot be chosen by confidence; expected " + "; expected ".join(mistakes))
    candidates = np.flatnonzero(~labelled & ~np.isnan(values).any(axis=1))
    logs = log_softmax(values[candidates])
    decided, sure = logs.argmax(axis=1), np.exp(logs.max(axis=1))
    counts = np.bincount(decided, minlength=values.shape[1])
    # A little less than the share, for 0.1 * 30 is more than 3 in floating point.
    most = counts if share is None else np.ceil(share * counts - 1e-9)
    kept = (sure >= (threshold or 0.0)) & (_ranks(decided, sure) < most[decided])
    weights = labelled.astype(np.float64)
    left = np.bincount(decided[kept], minlength=values.shape[1])
    each = kept.sum() / (np.count_nonzero(left) * left[decided[kept]]) if balance else 1.0
    weights[candidates[kept]] = each
    return weights


def _ranks(groups: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the place of every value among those of its group, the highest first, from 0."""
    order = np.lexsort((-values, groups))
    first = np.searchsorted(groups[order], groups[order])
    ranks = np.empty(len(groups), dtype=np.int64)
    ranks[order] = np.arange(len(groups)) - first
    return ranks


# ---- what is refused ---------------------------------------------------------------------------------------------


def _mistakes(
    logits: np.ndarray,
    truth: np.ndarray,
    labelled: np.ndarray,
    validation: tuple[np.ndarray, np.ndarray] | None,
    kind: str,
) -> list[str]:
    """Return what does not fit together, a sentence each."""
    logits, truth, labelled = np.asarray(logits), np.asarray(truth), np.asarray(labelled)
    if kind not in ("class", "trace"):
        return [f"kind: expected class or trace; found '{kind}'."]
    if logits.ndim != 3 or not logits.shape[0] or not logits.shape[2]:
        return [f"expected logits of shape (n_teachers, n_windows, width), one teacher at least; found {logits.shape}."]
    mistakes = []
    count, n_windows, width = logits.shape
    if kind == "class" and width < 2:
        mistakes.append(f"expected logits of 2 classes or more; found {width}.")
    if infinite := np.flatnonzero(np.isinf(logits).any(axis=(1, 2))).tolist():
        mistakes.append(
            f"values of teachers {infinite} are infinite; their training diverged: lower its learning rate."
        )
    if truth.shape not in _shapes_of_truth(n_windows, width, kind):
        mistakes.append(f"expected the truth of {n_windows} windows; found shape {truth.shape}.")
    if labelled.shape != (n_windows,) or labelled.dtype != bool:
        mistakes.append(f"expected labelled as {n_windows} booleans; found shape {labelled.shape}, {labelled.dtype}.")
    if validation is not None:
        held_out, held_truth = np.asarray(validation[0]), np.asarray(validation[1])
        fits = held_out.ndim == 3 and held_out.shape[0] == count and held_out.shape[2] == width
        if not fits or held_truth.shape not in _shapes_of_truth(held_out.shape[1], width, kind):
            mistakes.append(
                f"expected validation logits of shape ({count}, n_windows, {width}) and the truth of these windows; "
                f"found {held_out.shape} and {held_truth.shape}."
            )
    return mistakes


def _shapes_of_truth(n_windows: int, width: int, kind: str) -> set[tuple[int, ...]]:
    if kind == "class":
        return {(n_windows,)}
    return {(n_windows, width)} | ({(n_windows,)} if width == 1 else set())


def _refuse_no_truth(truth: np.ndarray, places: np.ndarray, width: int, kind: str) -> None:
    """Refuse labelled windows that have no target."""
    if kind == "trace":
        lacking = ~np.isfinite(truth.reshape(len(places), -1)).any(axis=1)
    else:
        lacking = ~((truth >= 0) & (truth < width))
    if lacking.any():
        expected = "a value" if kind == "trace" else f"a class code from 0 to {width - 1}"
        raise DataError(f"Labelled windows must have a target, {expected}; {_windows(places[lacking])} have none.")


def _require_positive(name: str, value: float) -> None:
    if not 0 < value < np.inf:
        raise DataError(f"{name}: expected a number above 0; found {value}.")


def _windows(places: np.ndarray) -> str:
    """Return ``windows 3, 7 and 12 more``."""
    named = ", ".join(map(str, places[:_NAMED].tolist()))
    more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
    return f"{'window' if len(places) == 1 else 'windows'} {named}{more}"
