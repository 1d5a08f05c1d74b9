"""Losses that tell the other network's view of the same window from its views of other windows."""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.distillation.functional.weighting import NEVER, TINY, known, same_shape, unit_rows, weighted_mean
from limbeck.errors import LimbeckError

__all__ = ["byol_regression", "crd", "crd_normaliser", "info_nce", "nt_xent"]


def info_nce(
    student: Tensor,
    teacher: Tensor,
    weights: Tensor,
    *,
    temperature: float = 0.1,
    classes: Tensor | None = None,
    labelled: Tensor | None = None,
    excluded: Tensor | None = None,
) -> dict[str, Tensor]:
    """Cross-entropy of finding a window's own teacher embedding among those of the batch, and the other way round.

    Parameters
    ----------
    student, teacher : Tensor of shape (batch, width)
        Embeddings of one width; brought to length 1 here.
    weights : Tensor of shape (batch,)
        Weight of each window; those of weight 0 are nobody's negatives either.
    temperature : float
        Cosines are divided by it.
    classes : Tensor of shape (batch,), int64, optional
        Windows of one class are positives of each other.
    labelled : Tensor of shape (batch,), optional
        Where `classes` may be read; elsewhere a window is its own only positive. Everywhere by default.
    excluded : Tensor of shape (batch, batch), optional
        1 for pairs that are neither alike nor different, such as windows that overlap in time. The pair of a window
        with itself always counts.

    Returns
    -------
    dict
        ``info_nce``: the mean of both directions.

    References
    ----------
    van den Oord, Li, Vinyals, Representation learning with contrastive predictive coding, arXiv:1807.03748, 2018;
    with classes: Khosla et al., Supervised contrastive learning, NeurIPS 2020.
    """
    taught = known(teacher, weights)
    same_shape(student, taught, "info_nce")
    scores = unit_rows(student) @ unit_rows(taught).T / temperature
    own = torch.eye(len(student), dtype=scores.dtype, device=scores.device)
    positive = own
    if classes is not None:
        seen = torch.ones_like(weights) if labelled is None else (labelled > 0).to(weights)
        alike = (classes[:, None] == classes[None, :]).to(scores) * seen[:, None] * seen[None, :]
        positive = torch.maximum(own, alike)
    allowed = torch.ones_like(own) if excluded is None else torch.maximum(own, 1.0 - excluded.to(scores))
    there = _found(scores, positive * allowed, allowed, weights)
    back = _found(scores.T, (positive * allowed).T, allowed.T, weights)
    return {"info_nce": 0.5 * (there + back)}


def nt_xent(
    first: Tensor, second: Tensor, weights: Tensor, *, temperature: float = 0.5, excluded: Tensor | None = None
) -> dict[str, Tensor]:
    """Cross-entropy of finding a window's other view among both views of all windows.

    No teacher stands here: the gradient reaches both views.

    Parameters
    ----------
    first, second : Tensor of shape (batch, width)
        Embeddings of two random changes of the same windows; brought to length 1 here.
    weights : Tensor of shape (batch,)
        Weight of each window; those of weight 0 are nobody's negatives either.
    temperature : float
        Cosines are divided by it.
    excluded : Tensor of shape (batch, batch), optional
        1 for pairs of windows that are neither alike nor different.

    Returns
    -------
    dict
        ``nt_xent``: the mean over the views.

    References
    ----------
    Chen, Kornblith, Norouzi, Hinton, A simple framework for contrastive learning of visual representations, ICML 2020.
    """
    same_shape(first, second, "nt_xent")
    rows = torch.cat([unit_rows(first), unit_rows(second)])
    scores = rows @ rows.T / temperature
    itself = torch.eye(len(rows), dtype=scores.dtype, device=scores.device)
    positive = itself.roll(len(first), dims=0)
    allowed = 1.0 - itself
    if excluded is not None:
        allowed = torch.maximum(positive, allowed * (1.0 - excluded.to(scores).repeat(2, 2)))
    return {"nt_xent": _found(scores, positive, allowed, weights.repeat(2))}


def crd(
    student: Tensor,
    teacher: Tensor,
    weights: Tensor,
    *,
    teacher_positive: Tensor,
    teacher_negatives: Tensor,
    student_positive: Tensor,
    student_negatives: Tensor,
    normalisers: tuple[Tensor | float, Tensor | float],
    samples: Tensor | float,
    counts: Tensor | None = None,
    temperature: float = 0.07,
    steady: float = 1e-7,
) -> dict[str, Tensor]:
    """Contrast of each network's embeddings with a bank of the other's, against a known density of noise.

    The teacher's embedding comes from a projection that learns with the student's. Bank rows are detached here, being
    what the networks said before.

    Parameters
    ----------
    student, teacher : Tensor of shape (batch, width)
        Projected embeddings; brought to length 1 here.
    weights : Tensor of shape (batch,)
        Weight of each window.
    teacher_positive, student_positive : Tensor of shape (batch, width)
        The bank's row of the same window, from the teacher's and from the student's bank.
    teacher_negatives, student_negatives : Tensor of shape (batch, n_negatives, width) or (n_negatives, width)
        Rows of other windows (with labels: of other classes), for each window or for all together.
    normalisers : (scalar, scalar)
        What `crd_normaliser` found in the first batch, for the student's and for the teacher's embeddings.
    samples : float or Tensor of shape ()
        Rows of a bank.
    counts : Tensor of shape (batch, n_negatives), optional
        How often a row counts as a negative of a window, 0 for never; once by default. Rows that count K / n times
        stand for K draws from n rows: the sum over them is what the draws are expected to give, without their noise.
    temperature : float
        Inner products are divided by it.
    steady : float
        Added to the denominators.

    Returns
    -------
    dict
        ``crd_student``, ``crd_teacher``: mean over windows of -log h/(h + K/N) for the positive plus the sum of
        -log (K/N)/(h + K/N) over the K negatives, with h = exp(inner product / temperature) / Z.

    References
    ----------
    Tian, Krishnan, Isola, Contrastive representation distillation, ICLR 2020.
    """
    directions = {
        "crd_student": (student, teacher_positive, teacher_negatives, normalisers[0]),
        "crd_teacher": (teacher, student_positive, student_negatives, normalisers[1]),
    }
    terms = {}
    for name, (embedding, positive, negatives, normaliser) in directions.items():
        alike, unlike = (score / normaliser for score in _bank_scores(embedding, positive, negatives, temperature))
        times = torch.ones_like(unlike) if counts is None else counts
        noise = (times.sum(dim=1) / samples).clamp_min(TINY)
        of_negatives = times * (noise[:, None] / (unlike + noise[:, None] + steady)).log()
        surprise = -(alike / (alike + noise + steady)).log() - of_negatives.sum(dim=1)
        terms[name] = weighted_mean(surprise, weights)
    return terms


def crd_normaliser(
    embedding: Tensor,
    positive: Tensor,
    negatives: Tensor,
    *,
    samples: Tensor | float,
    weights: Tensor | None = None,
    counts: Tensor | None = None,
    temperature: float = 0.07,
) -> Tensor:
    """Return Z of `crd`: the mean of exp(inner product / temperature) over a first batch, times the rows of the bank.

    Parameters
    ----------
    embedding, positive : Tensor of shape (batch, width)
        One network's embeddings, and the other bank's rows of the same windows.
    negatives : Tensor of shape (batch, n_negatives, width) or (n_negatives, width)
        Rows of other windows.
    samples : float or Tensor of shape ()
        Rows of the bank.
    weights : Tensor of shape (batch,), optional
        Weight of each window; 1 by default.
    counts : Tensor of shape (batch, n_negatives), optional
        As in `crd`; here a row counts or does not.
    temperature : float
        That of `crd`.

    Returns
    -------
    Tensor of shape ()
        To be kept from then on; detached.
    """
    alike, unlike = _bank_scores(embedding.detach(), positive, negatives, temperature)
    scores = torch.cat([alike[:, None], unlike], dim=1)
    counted = torch.ones_like(unlike) if counts is None else (counts > 0).to(unlike)
    counted = torch.cat([torch.ones_like(alike)[:, None], counted], dim=1)
    mean = weighted_mean(scores, counted if weights is None else weights[:, None] * counted)
    return mean.clamp_min(TINY) * samples


def byol_regression(student: Tensor, teacher: Tensor, weights: Tensor) -> dict[str, Tensor]:
    """Squared distance between directions: of a prediction, and of the other view through a slower network.

    Parameters
    ----------
    student, teacher : Tensor of shape (batch, width)
        The prediction and what it should be.
    weights : Tensor of shape (batch,)
        Weight of each window.

    Returns
    -------
    dict
        ``byol``: the mean of 2 - 2 cos.

    References
    ----------
    Grill et al., Bootstrap your own latent, NeurIPS 2020.
    """
    taught = known(teacher, weights)
    same_shape(student, taught, "byol")
    return {"byol": weighted_mean(2.0 - 2.0 * (unit_rows(student) * unit_rows(taught)).sum(dim=1), weights)}


def _found(scores: Tensor, positive: Tensor, allowed: Tensor, weights: Tensor) -> Tensor:
    """Return the mean over rows of the mean of -log probability over a row's positives.

    Parameters
    ----------
    scores, positive, allowed : Tensor of shape (rows, columns)
        Logits; 1 for the columns to be found; 1 for the columns to choose from.
    weights : Tensor of shape (rows,)
        Of the rows; columns of weight 0 are not there.
    """
    there = (weights > 0).to(scores)
    columns = allowed * there
    log_probabilities = scores - torch.where(columns > 0, scores, NEVER).logsumexp(dim=1, keepdim=True)
    wanted = positive * columns
    # A row of weight 0 may have no column at all, and then no probabilities.
    surprise = torch.where(wanted > 0, -log_probabilities, 0.0).sum(dim=1) / wanted.sum(dim=1).clamp_min(TINY)
    return weighted_mean(surprise, weights)


def _bank_scores(embedding: Tensor, positive: Tensor, negatives: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return exp(inner product / temperature) with the positive (batch,) and with the negatives (batch, n)."""
    common = negatives.ndim == 2 and negatives.shape[1:] == embedding.shape[1:]
    if positive.shape != embedding.shape or not (common or negatives.shape[::2] == embedding.shape):
        raise LimbeckError(
            f"Embeddings of shape {tuple(embedding.shape)} against positives {tuple(positive.shape)} and negatives "
            f"{tuple(negatives.shape)}; expected (batch, width), (batch, width) and (batch, n_negatives, width) or "
            "(n_negatives, width)."
        )
    rows = unit_rows(embedding)
    alike = (rows * positive.detach()).sum(dim=1)
    unlike = rows @ negatives.detach().T if common else (negatives.detach() @ rows[:, :, None])[..., 0]
    return (alike / temperature).exp(), (unlike / temperature).exp()
