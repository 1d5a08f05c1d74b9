"""Losses that bring two clouds of features together as wholes, whichever window lies where."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor

from limbeck.distillation.functional.relations import anchored_similarity_rows, centroid_distance
from limbeck.distillation.functional.weighting import (
    NEVER,
    TINY,
    different,
    flat,
    known,
    pair_weights,
    same_shape,
    shares,
    squared_distances,
    weighted_mean,
)
from limbeck.errors import LimbeckError, did_you_mean

__all__ = [
    "adversarial",
    "adversarial_ramp",
    "coral",
    "mmd",
    "reverse_gradient",
    "similarity_transport",
    "sinkhorn_divergence",
]

GAMMAS = tuple(10.0**power for power in range(-3, 4))
KERNELS = ("multi", "gammas")
ANNEALED = 0.75
"""Share of the iterations of optimal transport in which its regularisation shrinks, by one factor each, to its size."""


def mmd(student: Tensor, teacher: Tensor, weights: Tensor, *, kernel: str = "multi") -> dict[str, Tensor]:
    """Squared maximum mean discrepancy (the biased estimate, which is 0 for identical samples and never negative).

    Parameters
    ----------
    student, teacher : Tensor of shape (batch, width)
        Features of one shape; flattened.
    weights : Tensor of shape (batch,)
        Weight of each window.
    kernel : str
        ``multi``: five Gaussians whose widths are 1/4 to 4 times the mean squared distance of all pairs of both samples
        (detached); ``gammas``: seven, exp(-γ d²) with γ from 0.001 to 1000.

    Returns
    -------
    dict
        ``mmd``.

    Raises
    ------
    LimbeckError
        For another kernel.

    References
    ----------
    Gretton et al., A kernel two-sample test, JMLR 13, 2012; the widths after Long et al., Learning transferable
    features with deep adaptation networks, ICML 2015, and Sarkar, Etemad, XKD, AAAI 2024.
    """
    if kernel not in KERNELS:
        raise LimbeckError(f"There is no kernel '{kernel}' of mmd.{did_you_mean(kernel, KERNELS)}")
    taught = known(teacher, weights)
    same_shape(student, taught, "mmd")
    rows = torch.cat([flat(student), flat(taught)])
    squared = squared_distances(rows, rows)
    if kernel == "multi":
        both = weights.repeat(2)
        width = weighted_mean(squared.detach(), pair_weights(both) * different(both)).clamp_min(TINY)
        likeness = torch.stack([(-squared / (width * 2.0 ** (power - 2))).exp() for power in range(5)]).sum(dim=0)
    else:
        likeness = torch.stack([(-gamma * squared).exp() for gamma in GAMMAS]).sum(dim=0)
    share = shares(weights)
    signed = torch.cat([share, -share])
    return {"mmd": (pair_weights(signed) * likeness).sum()}


def coral(student: Tensor, teacher: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Squared differences of the means and of the covariances.

    Parameters
    ----------
    student, teacher : Tensor of shape (batch, width)
        Features of one shape; flattened. The covariance takes width² numbers.
    weights : Tensor of shape (batch,)
        Weight of each window.

    Returns
    -------
    dict
        ``coral_mean``: mean over elements of the squared difference of means; ``coral_covariance``: mean over pairs of
        elements of the squared difference of covariances (divided by n).

    References
    ----------
    Sun, Saenko, Deep CORAL, ECCV workshops 2016, with the means beside the covariances.
    """
    taught = known(teacher, weights)
    same_shape(student, taught, "coral")
    (mean_student, covariance_student), (mean_teacher, covariance_teacher) = (
        _moments(flat(feature), shares(weights)) for feature in (student, taught)
    )
    return {
        "coral_mean": (mean_student - mean_teacher).square().mean(),
        "coral_covariance": (covariance_student - covariance_teacher).square().mean(),
    }


def sinkhorn_divergence(
    student: Tensor, teacher: Tensor, weights: Tensor, *, blur: float = 0.1, iterations: int = 60
) -> dict[str, Tensor]:
    """Debiased entropic optimal transport between the two clouds, at the cost of half the squared distance.

    Parameters
    ----------
    student, teacher : Tensor of shape (batch, width)
        Features of one shape; flattened.
    weights : Tensor of shape (batch,)
        Mass of each window in both clouds, brought to a sum of 1.
    blur : float
        Distance below which points are not told apart; the entropy counts by its square.
    iterations : int
        Of both potentials at once, in the log domain. The entropy's weight begins at the square of the greatest
        distance and shrinks to `blur` squared. The last iteration alone carries the gradient, which at the fixed point
        is all of it.

    Returns
    -------
    dict
        ``sinkhorn``: OT(student, teacher) - OT(student, student) / 2 - OT(teacher, teacher) / 2; 0 for the same cloud.

    Notes
    -----
    Distances are to be of the order of 1, as between rows of length 1 or of similarities. Between clouds that lie
    hundreds of times `blur` apart 60 iterations find the value to 1 %, but not which window each is matched with.

    References
    ----------
    Feydy et al., Interpolating between optimal transport and MMD using Sinkhorn divergences, AISTATS 2019.
    """
    taught = known(teacher, weights)
    same_shape(student, taught, "sinkhorn")
    x, y = flat(student), flat(taught)
    # Each cloud's own potential carries its gradient: with the other cloud's as well it would be counted twice.
    x_fixed, y_fixed = x.detach(), y.detach()
    log_share = torch.where(weights > 0, shares(weights).clamp_min(TINY**3).log(), NEVER)
    costs = {
        "xy": 0.5 * squared_distances(x, y_fixed),
        "yx": 0.5 * squared_distances(y, x_fixed),
        "xx": 0.5 * squared_distances(x, x_fixed),
        "yy": 0.5 * squared_distances(y, y_fixed),
    }
    steady = {name: cost.detach() for name, cost in costs.items()}
    with torch.no_grad():
        potentials = _potentials(steady, log_share, blur, iterations)
    entropy = torch.as_tensor(blur**2, dtype=x.dtype, device=x.device)
    last = {name: _soft_minimum(costs[name], log_share, potentials[name[::-1]], entropy) for name in costs}
    return {"sinkhorn": (shares(weights) * (last["xy"] - last["xx"] + last["yx"] - last["yy"])).sum()}


def similarity_transport(
    student: Tensor,
    teacher: Tensor,
    weights: Tensor,
    *,
    anchors: int = 30,
    per_row: bool = False,
    blur: float = 0.1,
    iterations: int = 60,
    centroid: float = 0.0,
) -> dict[str, Tensor]:
    """Optimal transport between the windows' similarities to a few anchors, in the student and in the teacher.

    Parameters
    ----------
    student, teacher : Tensor of shape (batch, ...)
        Features; widths may differ.
    weights : Tensor of shape (batch,)
        Weight of each window.
    anchors : int
        How many windows all are compared with.
    per_row : bool
        Every row with its own anchors, as in the published code; `anchored_similarity_rows` says what is wrong there.
    blur, iterations
        Of `sinkhorn_divergence`.
    centroid : float
        Weight of the distance between the mean rows; without that term when 0.

    Returns
    -------
    dict
        ``transport`` and, when asked for, ``transport_centroid``.

    References
    ----------
    Aslam et al., Distilling privileged multimodal information for expression recognition using optimal transport, 2024;
    the centroid: Multi teacher privileged knowledge distillation for multimodal expression recognition, 2024.
    """
    own, taught = anchored_similarity_rows(student, teacher, weights, anchors=anchors, per_row=per_row)
    terms = {"transport": sinkhorn_divergence(own, taught, weights, blur=blur, iterations=iterations)["sinkhorn"]}
    if centroid:
        terms["transport_centroid"] = centroid * centroid_distance(own, taught, weights)
    return terms


def adversarial(student: Tensor, teacher: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Cross-entropy of a discriminator that tells features of the student from those of the teacher.

    Put `reverse_gradient` between the student's feature and the discriminator: it then learns to tell, and the student
    learns not to be told.

    Parameters
    ----------
    student, teacher : Tensor of shape (batch,) or (batch, 1)
        The discriminator's logits of "this is the teacher's".
    weights : Tensor of shape (batch,)
        Weight of each window.

    Returns
    -------
    dict
        ``adversarial``: the mean over both kinds; log 2 when it cannot tell.

    References
    ----------
    Ganin et al., Domain-adversarial training of neural networks, JMLR 17, 2016.
    """
    taught = known(teacher, weights)
    surprise = functional.softplus(flat(student[:, None])) + functional.softplus(-flat(taught[:, None]))
    return {"adversarial": 0.5 * weighted_mean(surprise.mean(dim=1), weights)}


def reverse_gradient(x: Tensor, strength: float | Tensor) -> Tensor:
    """Return `x`, with its gradient multiplied by -`strength` on the way back.

    Parameters
    ----------
    x : Tensor
        A feature.
    strength : float or Tensor of shape ()
        At least 0; `adversarial_ramp` lets it grow. No gradient reaches it.
    """
    reversed_: Tensor = _ReverseGradient.apply(x, torch.as_tensor(strength, dtype=x.dtype, device=x.device))
    return reversed_


def adversarial_ramp(progress: Tensor, *, steepness: float = 10.0) -> Tensor:
    """Return how strongly the gradient is reversed, from 0 at the start of a training to nearly 1 at its end.

    Parameters
    ----------
    progress : Tensor of shape ()
        Share of the training that is done, in [0, 1].
    steepness : float
        How fast it grows.
    """
    return 2.0 / (1.0 + (-steepness * progress).exp()) - 1.0


class _ReverseGradient(torch.autograd.Function):
    """The identity forwards, minus a strength times the gradient backwards."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, strength: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (strength,) = ctx.saved_tensors
        return -strength * gradient, None


def _moments(rows: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weighted mean (width,) and covariance (width, width)."""
    mean = share @ rows
    centred = rows - mean
    return mean, (share[:, None] * centred).T @ centred


def _potentials(costs: dict[str, Tensor], log_share: Tensor, blur: float, iterations: int) -> dict[str, Tensor]:
    """Return the dual potentials, by the pair of clouds whose first one they belong to.

    All are renewed at once, each as the mean of its old value and of what the other asks for, so that exchanging the
    clouds exchanges the potentials.
    """
    counted = pair_weights((log_share > NEVER).to(log_share))
    widest = (2.0 * torch.stack([(cost * counted).amax() for cost in costs.values()]).amax()).clamp_min(blur**2)
    nothing = torch.zeros_like(log_share)
    potentials = {name: _soft_minimum(cost, log_share, nothing, widest) for name, cost in costs.items()}
    for iteration in range(1, iterations + 1):
        entropy = widest * (blur**2 / widest) ** min(1.0, iteration / (ANNEALED * iterations))
        potentials = {
            name: 0.5 * (potentials[name] + _soft_minimum(cost, log_share, potentials[name[::-1]], entropy))
            for name, cost in costs.items()
        }
    return potentials


def _soft_minimum(cost: Tensor, log_share: Tensor, potential: Tensor, entropy: Tensor) -> Tensor:
    """Return, per row, the soft minimum over columns of the cost less the other cloud's potential."""
    return -entropy * (log_share + (potential - cost) / entropy).logsumexp(dim=1)
