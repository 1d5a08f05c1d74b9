"""Classical models of many folds: fitted one after the other, in one go each, to labelled windows alone.

What a fold may see, how its windows are scaled and how its classes weigh are as for networks; epochs, batches and
validation subjects have no part in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from limbeck.errors import DataError
from limbeck.models.classical import Classical
from limbeck.training import draws
from limbeck.training.draws import Member
from limbeck.training.loop import Trained, check_inputs, class_weights
from limbeck.training.tensors import WindowTensors

__all__ = ["fit_classical", "predict_classical"]

Scalers = Mapping[str, tuple[Tensor, Tensor]]


def fit_classical(
    build: Callable[[], Classical], members: Sequence[Member], windows: WindowTensors, subjects: np.ndarray
) -> tuple[list[Classical], Trained]:
    """Fit a classical model for each member.

    Parameters
    ----------
    build : callable without arguments
        Returns a fresh model.
    members : sequence of Member
        Whose models. Of a fold's training windows the labelled ones are fitted to; the scale is that of all of them.
    windows : WindowTensors
        The view of all windows; members index into it.
    subjects : ndarray of shape (n_windows,)
        Whose windows they are: options are chosen on subjects that were not fitted to.

    Returns
    -------
    models : list of Classical
        In the order of the members.
    trained : Trained
        States without a tensor, and a history of one epoch: the weighted loss on the labelled windows and, where there
        are some, on those of validation subjects.

    Raises
    ------
    DataError
        When a member has no labelled window, or windows are not finite.
    """
    scalers = windows.scalers([member.fold.training for member in members])
    target, models = windows.target.cpu().numpy(), []
    history: list[dict[str, float | int | str]] = []
    for position, member in enumerate(members):
        labelled = member.fold.labelled
        if not len(labelled):
            raise DataError(f"There is no labelled training window in {member}.")
        check_inputs(windows, member)
        weights = _weights(windows, target, labelled, labelled)
        x = _rows(windows, labelled, scalers, position)
        seed = draws.initialisation_seed(member)
        model = build().fit(x, target[labelled], weights, seed=seed, groups=subjects[labelled])
        models.append(model)
        for split, index in (("train", labelled), ("validation", member.fold.validation)):
            if len(index):
                said = model.logits(_rows(windows, index, scalers, position))
                loss = _loss(windows, said, target[index], _weights(windows, target, labelled, index))
                history.append(
                    {
                        "repetition": member.fold.repetition,
                        "fold": member.fold.fold,
                        "seed": member.seed,
                        "epoch": 1,
                        "split": split,
                        "loss": loss,
                        **({"hard": loss} if split == "train" else {}),
                    }
                )
    return models, Trained([{} for _ in members], [1] * len(members), history)


def predict_classical(
    models: Sequence[Classical], windows: WindowTensors, index_sets: Sequence[np.ndarray], *, scalers: Scalers
) -> list[tuple[Tensor, dict[str, Tensor]]]:
    """Return what each model says of its own windows (n_windows, n_outputs), and no features.

    Parameters
    ----------
    models : sequence of Classical
        Of all members.
    windows : WindowTensors
        The view.
    index_sets : sequence of ndarray of int
        Window indices per model.
    scalers : mapping
        As :meth:`WindowTensors.scalers` returns it, for the members.
    """
    if not any(len(index) for index in index_sets):
        raise DataError("There are no windows to predict.")
    said: list[tuple[Tensor, dict[str, Tensor]]] = []
    for position, (model, index) in enumerate(zip(models, index_sets, strict=True)):
        found = (
            model.logits(_rows(windows, index, scalers, position)) if len(index) else np.empty((0, windows.n_outputs))
        )
        said.append((torch.from_numpy(found.astype(np.float32, copy=False)), {}))
    return said


def _rows(windows: WindowTensors, index: np.ndarray, scalers: Scalers, position: int) -> np.ndarray:
    """Return the features of windows as one member reads them, the modalities side by side."""
    own = {name: (mean[position : position + 1], std[position : position + 1]) for name, (mean, std) in scalers.items()}
    gathered = windows.gather(torch.from_numpy(index)[None].to(windows.device), own)
    return torch.cat([gathered[name][0] for name in windows.inputs], dim=-1).cpu().numpy()


def _weights(windows: WindowTensors, target: np.ndarray, labelled: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return the weights of windows: those of their classes among the labelled ones, as networks have them."""
    if windows.kind != "class":
        return np.ones(len(index))
    weights: np.ndarray = class_weights(target[labelled], windows.n_outputs)[target[index]]
    return weights.astype(np.float64)


def _loss(windows: WindowTensors, said: np.ndarray, target: np.ndarray, weights: np.ndarray) -> float:
    each = -said[np.arange(len(target)), target] if windows.kind == "class" else (said[:, 0] - target) ** 2
    return float((weights * each).sum() / max(weights.sum(), 1e-12))
