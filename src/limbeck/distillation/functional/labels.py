"""Losses of a prediction against labels: classes, ordinal classes and traces."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

from limbeck.distillation.functional.weighting import TINY, both_steps, known, mean_over, one_of_n, weighted_mean

__all__ = ["ccc_loss", "concordance", "hard_target", "mean_squared_error", "ordinal_target"]

STEADY = 1e-8
"""Added to the denominator of the concordance, so that two constant series have one."""


def hard_target(logits: Tensor, target: Tensor, class_weights: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Cross-entropy with the labels, weighted by class.

    Parameters
    ----------
    logits : Tensor of shape (batch, n_classes)
        The student's logits.
    target : Tensor of shape (batch,), int64
        Class codes; any valid code where the weight is 0.
    class_weights : Tensor of shape (n_classes,)
        Weight of each class.
    weights : Tensor of shape (batch,)
        Weight of each window; 0 for unlabelled ones.

    Returns
    -------
    dict
        ``hard``: the mean over windows, weighted by class weight times window weight.
    """
    log_probabilities = functional.log_softmax(logits, dim=-1)
    picked = -log_probabilities.gather(-1, target[:, None])[:, 0]
    return {"hard": weighted_mean(picked, class_weights[target] * weights)}


def mean_squared_error(prediction: Tensor, target: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Squared error of a trace.

    Parameters
    ----------
    prediction, target : Tensor of shape (batch,), (batch, steps) or (batch, steps, 1)
        One value per window, or one per step.
    weights : Tensor of shape (batch,)
        Weight of each window; 0 for unlabelled ones.

    Returns
    -------
    dict
        ``hard``: the weighted mean.
    """
    prediction, target = both_steps(prediction, known(target, weights))
    return {"hard": mean_over((prediction - target).square(), weights)}


def ordinal_target(logits: Tensor, target: Tensor, class_weights: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Squared earth mover's distance between the predicted distribution and the label, for classes in an order.

    A prediction costs more the further its probability lies from the label, which cross-entropy does not see.

    Parameters
    ----------
    logits : Tensor of shape (batch, n_classes)
        The student's logits, classes in their order.
    target : Tensor of shape (batch,), int64
        Class codes; any valid code where the weight is 0.
    class_weights : Tensor of shape (n_classes,)
        Weight of each class.
    weights : Tensor of shape (batch,)
        Weight of each window; 0 for unlabelled ones.

    Returns
    -------
    dict
        ``ordinal``: the mean over windows of Σ_k (difference of the cumulative distributions at class k)².

    References
    ----------
    Hou, Yu, Samaras, Squared earth mover's distance-based loss for training deep neural networks, arXiv:1611.05916.
    """
    cumulative = functional.softmax(logits, dim=-1).cumsum(dim=-1)
    reached = one_of_n(target, logits.shape[-1], logits).cumsum(dim=-1)
    distance = (cumulative - reached).square().sum(dim=-1)
    return {"ordinal": weighted_mean(distance, class_weights[target] * weights)}


def ccc_loss(prediction: Tensor, target: Tensor, weights: Tensor, *, mixed: bool = False) -> dict[str, Tensor]:
    """One minus the concordance correlation: over the steps of each window, or over the windows of the batch.

    Parameters
    ----------
    prediction, target : Tensor of shape (batch,), (batch, steps) or (batch, steps, 1)
        With several values per window, each window has a correlation of its own, and these are averaged; with one, the
        windows of the batch have one together.
    weights : Tensor of shape (batch,)
        Weight of each window; 0 for unlabelled ones.
    mixed : bool
        Divide the variances by n - 1 and the covariance by n, as published code does.

    Returns
    -------
    dict
        ``ccc``: 0 at equality, 1 without correlation, 2 at equal but opposite series of mean zero.

    Notes
    -----
    Covariance and both variances are weighted means (divided by n). With `mixed` a loss of 1 / n is left at equality,
    where n is the number of steps, or of windows that would weigh as much alike, (Σ w)² / Σ w².

    References
    ----------
    Lin, A concordance correlation coefficient to evaluate reproducibility, Biometrics 45, 1989; as the loss of a trace:
    Zhang, Tang, Guan, Visual-to-EEG cross-modal knowledge distillation for continuous emotion recognition, Pattern
    Recognition 130, 2022.
    """
    prediction, target = both_steps(prediction, known(target, weights))
    if prediction.shape[1] > 1:
        agreement = concordance(prediction, target, torch.ones_like(prediction), mixed=mixed)
        return {"ccc": weighted_mean(1.0 - agreement, weights)}
    agreement = concordance(prediction[:, 0], target[:, 0], weights, mixed=mixed)
    return {"ccc": (1.0 - agreement) * (weights.sum() > 0).to(weights)}


def concordance(first: Tensor, second: Tensor, weights: Tensor, *, mixed: bool = False) -> Tensor:
    """Return the concordance correlation along the last axis.

    Parameters
    ----------
    first, second, weights : Tensor of shape (..., n)
        Two series and the weight of each place.
    mixed : bool
        Divide the variances, and not the covariance, by n - 1.

    Returns
    -------
    Tensor of shape (...)
        2 cov / (var + var + (difference of means)²), in [-1, 1].
    """
    share = weights / weights.sum(dim=-1, keepdim=True).clamp_min(TINY)
    mean_first = (share * first).sum(dim=-1, keepdim=True)
    mean_second = (share * second).sum(dim=-1, keepdim=True)
    covariance = (share * (first - mean_first) * (second - mean_second)).sum(dim=-1)
    spread = (share * ((first - mean_first).square() + (second - mean_second).square())).sum(dim=-1)
    if mixed:
        # n / (n - 1), with 1 / n = the sum of the squared shares.
        spread = spread / (1.0 - share.square().sum(dim=-1)).clamp_min(TINY)
    apart = (mean_first - mean_second)[..., 0].square()
    return 2.0 * covariance / (spread + apart + STEADY)
