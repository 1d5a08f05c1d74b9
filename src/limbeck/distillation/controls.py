"""Controls: the same teaching with knowledge that was spoiled in a known way.

*Credit* controls take from the knowledge what the teacher's sensors know about a window; a claim must beat them.
*Diagnostics* keep the teacher's decisions and spoil the rest; they tell what was transferred. No control reads a label
that the protocol hides: on unlabelled windows it uses the subject or the teacher's own decision.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from limbeck.errors import DataError

__all__ = ["CREDIT", "DIAGNOSTICS", "permute_within", "scrambling_groups", "spoil"]

CREDIT: Mapping[str, str] = {
    "own_input": "the same recipe with a teacher of the same design that has only the student's modalities",
    "scrambled": "the same knowledge permuted within subject (unlabelled windows) or true class (labelled windows)",
}
DIAGNOSTICS: Mapping[str, str] = {
    "hard_labels": "the teacher's decisions alone, as if they were labels",
    "within_predicted": "the same knowledge permuted among windows for which the teacher decided alike",
    "smoothed": "the teacher's decisions, all with the teacher's mean confidence",
}

QUANTILES = 5
"""A trace has no classes to permute within: fifths of the values stand in."""


def spoil(
    knowledge: Mapping[str, np.ndarray],
    control: str,
    *,
    subjects: np.ndarray,
    labelled: np.ndarray,
    truth: np.ndarray,
    temperature: float,
    kind: str,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Return knowledge spoiled as `control` says.

    Parameters
    ----------
    knowledge : mapping of str to ndarray of shape (n_windows, ...)
        ``logits`` and features of the training windows of one fold.
    control : str
        ``scrambled`` or a key of `DIAGNOSTICS`.
    subjects : ndarray of shape (n_windows,), int
        Subject codes.
    labelled : ndarray of shape (n_windows,), bool
        Where the target may be seen.
    truth : ndarray of shape (n_windows,)
        Targets; read only where `labelled`.
    temperature : float
        At which ``smoothed`` matches the mean confidence.
    kind : str
        ``"class"`` or ``"trace"``.
    rng : numpy Generator
        What permutations are drawn from.

    Raises
    ------
    DataError
        When a diagnostic needs class logits that are not there.
    """
    if control == "scrambled":
        groups = scrambling_groups(subjects, labelled, truth, kind)
    elif control in DIAGNOSTICS:
        if kind != "class" or "logits" not in knowledge:
            raise DataError(f"The diagnostic '{control}' needs a teacher's class logits; drop it for this arm.")
        groups = knowledge["logits"].argmax(axis=1)
    else:
        raise DataError(f"There is no way to spoil knowledge called '{control}'.")
    if control in ("scrambled", "within_predicted"):
        order = permute_within(groups, rng)
        return {name: values[order] for name, values in knowledge.items()}
    confidence = 1.0 if control == "hard_labels" else _mean_confidence(knowledge["logits"], temperature)
    return {**knowledge, "logits": constant_confidence(knowledge["logits"], confidence, temperature)}


def permute_within(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return indices that permute the elements of each group among themselves.

    Parameters
    ----------
    groups : ndarray of shape (n,), int
        Group of each element.
    rng : numpy Generator
        What the permutation is drawn from.

    Returns
    -------
    ndarray of shape (n,), int64
        ``values[result]`` has every group's values shuffled in place.
    """
    places = np.argsort(groups, kind="stable")
    shuffled = np.lexsort((rng.random(len(groups)), groups))
    order = np.empty(len(groups), dtype=np.int64)
    order[places] = shuffled
    return order


def constant_confidence(logits: np.ndarray, confidence: float, temperature: float) -> np.ndarray:
    """Return logits with the same decisions whose softened probability of the decision is `confidence`."""
    classes = logits.shape[1]
    confidence = min(confidence, 1.0 - 1e-7)
    height = temperature * np.log(confidence * (classes - 1) / (1.0 - confidence))
    flat = np.zeros_like(logits)
    np.put_along_axis(flat, logits.argmax(axis=1)[:, None], np.asarray(height, dtype=logits.dtype), axis=1)
    return flat


def _mean_confidence(logits: np.ndarray, temperature: float) -> float:
    scaled = logits / temperature
    shares = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return float((1.0 / shares.sum(axis=1)).mean())


def scrambling_groups(subjects: np.ndarray, labelled: np.ndarray, truth: np.ndarray, kind: str) -> np.ndarray:
    """Return the groups (n_windows,) to permute within: subjects of unlabelled windows, true classes of labelled ones.

    Of a trace, fifths of the values; `truth` is read only where `labelled`.
    """
    groups = subjects.astype(np.int64).copy()
    seen = truth[labelled]
    if kind == "trace" and len(seen):
        edges = np.quantile(seen, np.linspace(0, 1, QUANTILES + 1)[1:-1])
        seen = np.searchsorted(edges, seen)
    groups[labelled] = -1 - seen.astype(np.int64)
    return groups
