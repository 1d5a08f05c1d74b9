"""What every loss keeps: its formula, its gradient, what a weight of 0 means, and one result under ``torch.vmap``.

References are written in NumPy from the formulas, over the counted windows alone, with loops where the formula has a
sum over pairs or triples.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from limbeck.distillation import functional

WINDOWS, CLASSES, WIDTH, OTHER, CHANNELS, TIME = 7, 4, 5, 8, 3, 6
WEIGHTS = np.array([1.0, 0.0, 2.0, 0.5, 0.0, 1.0, 1.5])
KEPT = np.flatnonzero(WEIGHTS)


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(0, 1.5, shape)


TARGET = np.array([0, 2, 1, 3, 0, 2, 1])
LABELLED = np.array([1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 2.0])
CLASS_WEIGHTS = np.array([0.5, 2.0, 1.5, 0.7])
PARTS = np.abs(drawn(WINDOWS, 2, seed=6))
EXCLUDED = (drawn(WINDOWS, WINDOWS, seed=7) > 0.8).astype(float)
EXCLUDED = np.maximum(EXCLUDED, EXCLUDED.T)
RAW = drawn(CHANNELS, seed=8)
BANK = {
    "teacher_positive": drawn(WINDOWS, WIDTH, seed=11) / 4,
    "teacher_negatives": drawn(WINDOWS, 9, WIDTH, seed=12) / 4,
    "student_positive": drawn(WINDOWS, WIDTH, seed=13) / 4,
    "student_negatives": drawn(WINDOWS, 9, WIDTH, seed=14) / 4,
}


def tensor(values: np.ndarray, rows: Tensor | None = None) -> Tensor:
    whole = torch.from_numpy(np.ascontiguousarray(values))
    return whole if rows is None else whole[rows]


# NumPy, over counted windows only.


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


def mean(values: np.ndarray | list[float], w: np.ndarray) -> float:
    return float((np.asarray(values) * w).sum() / w.sum())


def kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return (p * np.log(p / q)).sum(axis=-1)


def cross_entropy(x: np.ndarray, classes: np.ndarray) -> np.ndarray:
    return -np.log(softmax(x))[np.arange(len(x)), classes]


def ccc(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    mx, my = np.average(x, weights=w), np.average(y, weights=w)
    vx, vy = np.average((x - mx) ** 2, weights=w), np.average((y - my) ** 2, weights=w)
    cov = np.average((x - mx) * (y - my), weights=w)
    return float(2 * cov / (vx + vy + (mx - my) ** 2 + 1e-8))


def cosines(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = x.reshape(len(x), -1), y.reshape(len(y), -1)
    return (x @ y.T) / np.linalg.norm(x, axis=1)[:, None] / np.linalg.norm(y, axis=1)[None, :]


def pairs_mean(values: Callable[[int, int], float], w: np.ndarray, *, itself: bool) -> float:
    pairs = [(i, j) for i, j in itertools.product(range(len(w)), repeat=2) if itself or i != j]
    return sum(w[i] * w[j] * values(i, j) for i, j in pairs) / sum(w[i] * w[j] for i, j in pairs)


def half_square_then_line(d: float) -> float:
    return 0.5 * d**2 if abs(d) < 1 else abs(d) - 0.5


def decoupled_reference(s: np.ndarray, t: np.ndarray, w: np.ndarray, k: np.ndarray) -> dict[str, float]:
    first: list[float] = []
    second: list[float] = []
    for p, q, y in zip(softmax(t / 3.0), softmax(s / 3.0), TARGET[k], strict=True):
        first.append(p[y] * np.log(p[y] / q[y]) + (1 - p[y]) * np.log((1 - p[y]) / (1 - q[y])))
        others = [c for c in range(CLASSES) if c != y]
        second.append(sum(p[c] / (1 - p[y]) * np.log(p[c] / (1 - p[y]) * (1 - q[y]) / q[c]) for c in others))
    return {"decoupled_class": 0.5 * 9 * mean(first, w), "decoupled_others": 2.0 * 9 * mean(second, w)}


def released_decoupled_reference(s: np.ndarray, t: np.ndarray, w: np.ndarray, k: np.ndarray) -> dict[str, float]:
    rows = np.arange(len(w))
    p, q = (softmax(x / 3.0)[rows, TARGET[k]] for x in (t, s))
    whole = decoupled_reference(s, t, w, k)["decoupled_others"] / 2.0
    return {"decoupled_class": 9 * mean(p * np.log(p / q), w), "decoupled_others": whole}


def pseudo_reference(s: np.ndarray, t: np.ndarray, w: np.ndarray, k: np.ndarray) -> dict[str, float]:
    confidence, decision = softmax(t).max(axis=1), t.argmax(axis=1)
    kept = w * confidence * (confidence >= 0.5)
    assert 0 < (confidence >= 0.5).sum() < len(w), "the threshold must matter"
    return {"pseudo": mean(cross_entropy(s, decision), kept)}


def attention(x: np.ndarray, axis: int) -> np.ndarray:
    q = (x**2).mean(axis=axis)
    return q / np.linalg.norm(q, axis=1, keepdims=True)


def attention_reference(s: np.ndarray, t: np.ndarray, w: np.ndarray, k: np.ndarray) -> dict[str, float]:
    q = (t**2).mean(axis=1).reshape(len(t), TIME, 2).mean(axis=2)  # the teacher's is twice as long
    q = q / np.linalg.norm(q, axis=1, keepdims=True)
    return {"attention": mean(((attention(s, 1) - q) ** 2).mean(axis=1), w)}


def distances(x: np.ndarray) -> np.ndarray:
    return np.array([[np.linalg.norm(a - b) for b in x] for a in x])


def rkd_distance_reference(s: np.ndarray, t: np.ndarray, w: np.ndarray) -> float:
    ds, dt = distances(s), distances(t)
    ms = pairs_mean(lambda i, j: ds[i, j], w, itself=False)
    mt = pairs_mean(lambda i, j: dt[i, j], w, itself=False)
    return pairs_mean(lambda i, j: half_square_then_line(ds[i, j] / ms - dt[i, j] / mt), w, itself=False)


def rkd_angle_reference(s: np.ndarray, t: np.ndarray, w: np.ndarray) -> float:
    def cosine(x: np.ndarray, i: int, j: int, k: int) -> float:
        a, b = x[j] - x[i], x[k] - x[i]
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    total = weight = 0.0
    for i, j, k in itertools.permutations(range(len(w)), 3):
        total += w[i] * w[j] * w[k] * half_square_then_line(cosine(s, i, j, k) - cosine(t, i, j, k))
        weight += w[i] * w[j] * w[k]
    return total / weight


def in_windows(w: np.ndarray) -> np.ndarray:
    """Return weights in units of windows: 1 where all weigh the same, whatever they weigh."""
    return w * w.sum() / (w**2).sum()


def gram(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    g = x.reshape(len(x), -1) @ x.reshape(len(x), -1).T
    return g / np.sqrt((in_windows(w) * g**2).sum(axis=1, keepdims=True))


def similarity_reference(s: np.ndarray, t: np.ndarray, w: np.ndarray, k: np.ndarray) -> dict[str, float]:
    gap = gram(s, w) - gram(t, w)
    return {"similarity": float((np.outer(w, w) * gap**2).sum() / w.sum() ** 2)}


def many_reference(s: np.ndarray, t: np.ndarray, w: np.ndarray, k: np.ndarray) -> dict[str, float]:
    parts = PARTS[k] / PARTS[k].sum(axis=1, keepdims=True)
    together = parts[:, :1] * gram(t[:, :3], w) + parts[:, 1:] * gram(t[:, 3:], w)
    return {"similarity": float((np.outer(w, w) * (gram(s, w) - together) ** 2).sum() / w.sum() ** 2)}


def pkt_reference(s: np.ndarray, t: np.ndarray, w: np.ndarray, k: np.ndarray) -> dict[str, float]:
    def probabilities(x: np.ndarray) -> np.ndarray:
        likeness = (1 + cosines(x, x)) / 2
        return likeness / (in_windows(w) * likeness).sum(axis=1, keepdims=True)

    p, q = probabilities(t), probabilities(s)
    return {"pkt": mean((in_windows(w) * p * np.log((p + 1e-7) / (q + 1e-7))).sum(axis=1), w)}


def correlation_reference(s: np.ndarray, t: np.ndarray, w: np.ndarray, k: np.ndarray) -> dict[str, float]:
    def kernel(x: np.ndarray) -> np.ndarray:
        c = cosines(x, x)
        return np.exp(-0.8) * (1 + 0.8 * c + 0.32 * c**2)

    gap = kernel(s) - kernel(t)
    return {"correlation": pairs_mean(lambda i, j: gap[i, j] ** 2, w, itself=True)}


def anchored_rows(s: np.ndarray, t: np.ndarray, w: np.ndarray, anchors: int) -> tuple[np.ndarray, np.ndarray]:
    cs, ct = cosines(s, s), cosines(t, t)
    cs, ct = cs - cs.min(), ct - ct.min()
    chosen = np.argsort((w[:, None] * ct).sum(axis=0))[:anchors]
    return cs[:, chosen], ct[:, chosen]


def found(scores: np.ndarray, positive: np.ndarray, allowed: np.ndarray, w: np.ndarray) -> float:
    rows = []
    for i in range(len(scores)):
        log_sum = np.log(np.exp(scores[i][allowed[i] > 0]).sum())
        rows.append(np.mean([log_sum - scores[i, j] for j in range(len(scores)) if positive[i, j] and allowed[i, j]]))
    return mean(np.array(rows), w)


def info_nce_reference(s: np.ndarray, t: np.ndarray, w: np.ndarray, k: np.ndarray) -> dict[str, float]:
    scores, n = cosines(s, t) / 0.2, len(w)
    positive = np.array(
        [
            [i == j or bool(TARGET[a] == TARGET[b] and LABELLED[a] and LABELLED[b]) for j, b in enumerate(k)]
            for i, a in enumerate(k)
        ]
    )
    allowed = np.maximum(np.eye(n), 1 - EXCLUDED[np.ix_(k, k)])
    both = found(scores, positive, allowed, w) + found(scores.T, positive.T, allowed.T, w)
    return {"info_nce": both / 2}


def nt_xent_reference(s: np.ndarray, t: np.ndarray, w: np.ndarray, k: np.ndarray) -> dict[str, float]:
    rows, n = np.concatenate([s, t]), len(w)
    positive = np.roll(np.eye(2 * n), n, axis=0)
    allowed = (1 - np.eye(2 * n)) * (1 - np.tile(EXCLUDED[np.ix_(k, k)], (2, 2)))
    allowed = np.maximum(allowed, positive)
    return {"nt_xent": found(cosines(rows, rows) / 0.5, positive, allowed, np.tile(w, 2))}


def crd_reference(s: np.ndarray, t: np.ndarray, w: np.ndarray, k: np.ndarray) -> dict[str, float]:
    def one_way(x: np.ndarray, bank: str, z: float) -> float:
        rows = []
        for e, p, ns in zip(x, BANK[f"{bank}_positive"][k], BANK[f"{bank}_negatives"][k], strict=True):
            e = e / np.linalg.norm(e)
            h, noise = np.exp(e @ p / 0.5) / z, 9 / 50
            rows.append(
                -np.log(h / (h + noise + 1e-7))
                - sum(np.log(noise / (np.exp(e @ n / 0.5) / z + noise + 1e-7)) for n in ns)
            )
        return mean(np.array(rows), w)

    return {"crd_student": one_way(s, "teacher", 40.0), "crd_teacher": one_way(t, "student", 60.0)}


def mmd_reference(kernels: Callable[[float], Callable[[float], float]]) -> Callable[..., dict[str, float]]:
    def reference(s: np.ndarray, t: np.ndarray, w: np.ndarray, k: np.ndarray) -> dict[str, float]:
        both, u = np.concatenate([s, t]), np.tile(w, 2)
        kernel = kernels(pairs_mean(lambda i, j: float(((both[i] - both[j]) ** 2).sum()), u, itself=False))

        def expected(x: np.ndarray, y: np.ndarray) -> float:
            return sum(
                a * b * kernel(float(((p - q) ** 2).sum()))
                for a, p in zip(w, x, strict=True)
                for b, q in zip(w, y, strict=True)
            ) / (w.sum() ** 2)

        return {"mmd": expected(s, s) + expected(t, t) - 2 * expected(s, t)}

    return reference


def coral_reference(s: np.ndarray, t: np.ndarray, w: np.ndarray, k: np.ndarray) -> dict[str, float]:
    means = np.average(s, axis=0, weights=w) - np.average(t, axis=0, weights=w)
    covariances = np.cov(s.T, aweights=w, ddof=0) - np.cov(t.T, aweights=w, ddof=0)
    return {"coral_mean": float((means**2).mean()), "coral_covariance": float((covariances**2).mean())}


def sinkhorn(x: np.ndarray, y: np.ndarray, w: np.ndarray, blur: float) -> float:
    """Return the transport's entropic cost, from plain matrix scaling."""
    a = w / w.sum()
    cost = 0.5 * ((x[:, None] - y[None, :]) ** 2).sum(axis=2)
    kernel, v = np.exp(-cost / blur**2), np.ones(len(a))
    for _ in range(5000):
        u = 1 / (kernel @ (a * v))
        v = 1 / (kernel.T @ (a * u))
    return float(blur**2 * (a @ np.log(u) + a @ np.log(v)))


def transport(x: np.ndarray, y: np.ndarray, w: np.ndarray, blur: float) -> float:
    return sinkhorn(x, y, w, blur) - (sinkhorn(x, x, w, blur) + sinkhorn(y, y, w, blur)) / 2


def similarity_transport_reference(s: np.ndarray, t: np.ndarray, w: np.ndarray, k: np.ndarray) -> dict[str, float]:
    rs, rt = anchored_rows(s, t, w, 4)
    centre = np.linalg.norm(np.average(rs - rt, axis=0, weights=w))
    return {"transport": transport(rs, rt, w, 0.5), "transport_centroid": 0.3 * float(centre)}


def softplus(x: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(x))


def vid_reference(s: np.ndarray, t: np.ndarray, w: np.ndarray, k: np.ndarray) -> dict[str, float]:
    variance = (softplus(RAW) + 1e-5)[None, :, None]
    return {"vid": mean((((s - t) ** 2 / variance + np.log(variance)) / 2).mean(axis=(1, 2)), w)}


def ordinal_gap(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return ((np.cumsum(p, axis=1) - np.cumsum(q, axis=1)) ** 2).sum(axis=1)


@dataclass(frozen=True)
class Case:
    """One loss: how it is called for some windows, its formula, and the shapes that it takes."""

    call: Callable[[Tensor, Tensor, Tensor, Tensor], dict[str, Tensor]]
    formula: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], dict[str, float]]
    student: tuple[int, ...]
    teacher: tuple[int, ...]
    teaches: bool = True
    """Whether one side is given, so that it may be missing where the weight is 0."""
    teacher_moves: bool = True
    """Whether the loss depends on the teacher's tensor, and is to teach it."""
    exact_gradient: bool = True
    """Whether finite differences must see the gradient: not where a part is detached on purpose."""


LOGITS, TRACES, ROWS, MAPS = (CLASSES,), (TIME,), (WIDTH,), (CHANNELS, TIME)

CASES = {
    "hard_target": Case(
        lambda s, t, w, r: functional.hard_target(s, tensor(TARGET, r), tensor(CLASS_WEIGHTS), w),
        lambda s, t, w, k: {"hard": mean(cross_entropy(s, TARGET[k]), w * CLASS_WEIGHTS[TARGET[k]])},
        LOGITS,
        LOGITS,
        teacher_moves=False,
    ),
    "mean_squared_error": Case(
        lambda s, t, w, r: functional.mean_squared_error(s, t, w),
        lambda s, t, w, k: {"hard": mean(((s - t) ** 2).mean(axis=1), w)},
        TRACES,
        TRACES,
    ),
    "ordinal_target": Case(
        lambda s, t, w, r: functional.ordinal_target(s, tensor(TARGET, r), tensor(CLASS_WEIGHTS), w),
        lambda s, t, w, k: {
            "ordinal": mean(ordinal_gap(softmax(s), np.eye(CLASSES)[TARGET[k]]), w * CLASS_WEIGHTS[TARGET[k]])
        },
        LOGITS,
        LOGITS,
        teacher_moves=False,
    ),
    "ccc_loss": Case(
        lambda s, t, w, r: functional.ccc_loss(s, t, w),
        lambda s, t, w, k: {"ccc": 1 - ccc(s[:, 0], t[:, 0], w)},
        (1,),
        (1,),
    ),
    "soft_target": Case(
        lambda s, t, w, r: functional.soft_target(s, t, w, temperature=3.0),
        lambda s, t, w, k: {"soft": 9 * mean(kl(softmax(t / 3), softmax(s / 3)), w)},
        LOGITS,
        LOGITS,
    ),
    "soft_target of a softened teacher": Case(
        lambda s, t, w, r: functional.soft_target(s, t, w, temperature=2.0, student_temperature=1.0),
        lambda s, t, w, k: {"soft": mean(kl(softmax(t / 2), softmax(s)), w)},
        LOGITS,
        LOGITS,
    ),
    "soft_target the other way, unscaled": Case(
        lambda s, t, w, r: functional.soft_target(s, t, w, temperature=2.0, reverse=True, scale=False),
        lambda s, t, w, k: {"soft": mean(kl(softmax(s / 2), softmax(t / 2)), w)},
        LOGITS,
        LOGITS,
    ),
    "soft_cross_entropy": Case(
        lambda s, t, w, r: functional.soft_cross_entropy(s, t, w, temperature=3.0),
        lambda s, t, w, k: {"soft": -9 * mean((softmax(t / 3) * np.log(softmax(s / 3))).sum(axis=1), w)},
        LOGITS,
        LOGITS,
    ),
    "decoupled": Case(
        lambda s, t, w, r: functional.decoupled(s, t, tensor(TARGET, r), w, alpha=0.5, beta=2.0, temperature=3.0),
        decoupled_reference,
        LOGITS,
        LOGITS,
    ),
    "decoupled as released": Case(
        lambda s, t, w, r: functional.decoupled(s, t, tensor(TARGET, r), w, temperature=3.0, as_released=True),
        released_decoupled_reference,
        LOGITS,
        LOGITS,
    ),
    "pseudo_label": Case(
        lambda s, t, w, r: functional.pseudo_label(s, t, w, threshold=0.5, by_confidence=True),
        pseudo_reference,
        LOGITS,
        LOGITS,
    ),
    "ordinal_soft": Case(
        lambda s, t, w, r: functional.ordinal_soft(s, t, w, temperature=2.0),
        lambda s, t, w, k: {"ordinal_soft": 4 * mean(ordinal_gap(softmax(s / 2), softmax(t / 2)), w)},
        LOGITS,
        LOGITS,
    ),
    "soft_trace": Case(
        lambda s, t, w, r: functional.soft_trace(s, t, w),
        lambda s, t, w, k: {"soft": mean(((s - t) ** 2).mean(axis=1), w)},
        TRACES,
        TRACES,
    ),
    "soft_trace, absolute": Case(
        lambda s, t, w, r: functional.soft_trace(s, t, w, norm="l1"),
        lambda s, t, w, k: {"soft": mean(abs(s - t)[:, 0], w)},
        (1,),
        (1,),
    ),
    "consistency": Case(
        lambda s, t, w, r: functional.consistency(s, t, w),
        lambda s, t, w, k: {"consistency": mean(((softmax(s) - softmax(t)) ** 2).mean(axis=1), w)},
        LOGITS,
        LOGITS,
    ),
    "mutual with weights for each": Case(
        lambda s, t, w, r: functional.mutual(s, t.chunk(2, dim=1), [w, w * tensor(LABELLED, r)], average=False),
        lambda s, t, w, k: {
            "mutual": sum(
                mean(kl(softmax(o), softmax(s)), v)
                for o, v in zip(np.split(t, 2, 1), (w, w * LABELLED[k]), strict=True)
            )
        },
        LOGITS,
        (2 * CLASSES,),
        teacher_moves=False,
    ),
    "mutual": Case(
        lambda s, t, w, r: functional.mutual(s, t.chunk(2, dim=1), w, temperature=2.0),
        lambda s, t, w, k: {"mutual": 2 * sum(mean(kl(softmax(o / 2), softmax(s / 2)), w) for o in np.split(t, 2, 1))},
        LOGITS,
        (2 * CLASSES,),
        teacher_moves=False,
    ),
    "cosine": Case(
        lambda s, t, w, r: functional.cosine(s, t, w),
        lambda s, t, w, k: {"cosine": mean(1 - np.diag(cosines(s, t)), w)},
        MAPS,
        MAPS,
    ),
    "hint": Case(
        lambda s, t, w, r: functional.hint(s, t, w),
        lambda s, t, w, k: {"hint": mean(((s - t) ** 2).mean(axis=(1, 2)), w)},
        MAPS,
        MAPS,
    ),
    "l1": Case(
        lambda s, t, w, r: functional.l1(s, t, w),
        lambda s, t, w, k: {"l1": mean(abs(s - t).mean(axis=(1, 2)), w)},
        MAPS,
        MAPS,
    ),
    "attention_transfer": Case(
        lambda s, t, w, r: functional.attention_transfer(s, t, w),
        attention_reference,
        MAPS,
        (CHANNELS + 1, 2 * TIME),
    ),
    "attention_transfer over channels": Case(
        lambda s, t, w, r: functional.attention_transfer(s, t, w, form="channel"),
        lambda s, t, w, k: {"attention": mean(((attention(s, 2) - attention(t, 2)) ** 2).mean(axis=1), w)},
        MAPS,
        (CHANNELS, TIME + 3),
    ),
    "vid": Case(lambda s, t, w, r: functional.vid(s, t, w, variance=tensor(RAW)), vid_reference, MAPS, MAPS),
    "rkd_distance": Case(
        lambda s, t, w, r: functional.rkd_distance(s, t, w),
        lambda s, t, w, k: {"rkd_distance": rkd_distance_reference(s, t, w)},
        ROWS,
        (OTHER,),
    ),
    "rkd_angle": Case(
        lambda s, t, w, r: functional.rkd_angle(s, t, w),
        lambda s, t, w, k: {"rkd_angle": rkd_angle_reference(s, t, w)},
        ROWS,
        (OTHER,),
    ),
    "similarity": Case(lambda s, t, w, r: functional.similarity(s, t, w), similarity_reference, MAPS, (OTHER,)),
    "similarity_of_many": Case(
        lambda s, t, w, r: functional.similarity_of_many(s, [t[:, :3], t[:, 3:]], w, parts=tensor(PARTS, r)),
        many_reference,
        ROWS,
        (OTHER,),
    ),
    "pkt": Case(lambda s, t, w, r: functional.pkt(s, t, w), pkt_reference, ROWS, (OTHER,)),
    "correlation_congruence": Case(
        lambda s, t, w, r: functional.correlation_congruence(s, t, w), correlation_reference, ROWS, (OTHER,)
    ),
    "info_nce": Case(
        lambda s, t, w, r: functional.info_nce(
            s,
            t,
            w,
            temperature=0.2,
            classes=tensor(TARGET, r),
            labelled=tensor(LABELLED, r),
            excluded=tensor(EXCLUDED, r)[:, r],
        ),
        info_nce_reference,
        ROWS,
        ROWS,
    ),
    "nt_xent": Case(
        lambda s, t, w, r: functional.nt_xent(s, t, w, excluded=tensor(EXCLUDED, r)[:, r]),
        nt_xent_reference,
        ROWS,
        ROWS,
        teaches=False,
    ),
    "crd": Case(
        lambda s, t, w, r: functional.crd(
            s,
            t,
            w,
            teacher_positive=tensor(BANK["teacher_positive"], r).to(s),
            teacher_negatives=tensor(BANK["teacher_negatives"], r).to(s),
            student_positive=tensor(BANK["student_positive"], r).to(s),
            student_negatives=tensor(BANK["student_negatives"], r).to(s),
            normalisers=(40.0, 60.0),
            samples=50,
            temperature=0.5,
        ),
        crd_reference,
        ROWS,
        ROWS,
        teaches=False,
    ),
    "byol_regression": Case(
        lambda s, t, w, r: functional.byol_regression(s, t, w),
        lambda s, t, w, k: {"byol": mean(2 - 2 * np.diag(cosines(s, t)), w)},
        ROWS,
        ROWS,
    ),
    "mmd": Case(
        lambda s, t, w, r: functional.mmd(s, t, w),
        mmd_reference(lambda b: lambda d: sum(np.exp(-d / (b * 2.0 ** (i - 2))) for i in range(5))),
        ROWS,
        ROWS,
        exact_gradient=False,
    ),
    "mmd with fixed widths": Case(
        lambda s, t, w, r: functional.mmd(s, t, w, kernel="gammas"),
        mmd_reference(lambda b: lambda d: sum(np.exp(-g * d) for g in (1e-3, 1e-2, 1e-1, 1, 1e1, 1e2, 1e3))),
        ROWS,
        ROWS,
    ),
    "coral": Case(lambda s, t, w, r: functional.coral(s, t, w), coral_reference, ROWS, ROWS),
    "sinkhorn_divergence": Case(
        lambda s, t, w, r: functional.sinkhorn_divergence(s, t, w, blur=1.0, iterations=150),
        lambda s, t, w, k: {"sinkhorn": transport(s, t, w, 1.0)},
        ROWS,
        ROWS,
    ),
    "similarity_transport": Case(
        lambda s, t, w, r: functional.similarity_transport(s, t, w, anchors=4, blur=0.5, iterations=150, centroid=0.3),
        similarity_transport_reference,
        ROWS,
        (OTHER,),
    ),
    "adversarial": Case(
        lambda s, t, w, r: functional.adversarial(s, t, w),
        lambda s, t, w, k: {"adversarial": mean((softplus(s) + softplus(-t))[:, 0] / 2, w)},
        (1,),
        (1,),
        teaches=False,
    ),
}

every_loss = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
EVERY = torch.arange(WINDOWS)


def inputs(case: Case, seed: int = 0) -> tuple[Tensor, Tensor]:
    student = tensor(drawn(WINDOWS, *case.student, seed=2 * seed + 1))
    return student.requires_grad_(), tensor(drawn(WINDOWS, *case.teacher, seed=2 * seed + 2)).requires_grad_()


def total(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()


@every_loss
def test_the_loss_is_its_formula_over_the_counted_windows(case: Case) -> None:
    student, teacher = inputs(case)
    found_terms = case.call(student, teacher, tensor(WEIGHTS), EVERY)
    expected = case.formula(student.detach().numpy()[KEPT], teacher.detach().numpy()[KEPT], WEIGHTS[KEPT], KEPT)
    assert found_terms.keys() == expected.keys()
    for name, value in expected.items():
        assert found_terms[name].shape == ()
        assert found_terms[name].item() == pytest.approx(value, rel=1e-6, abs=1e-10), name
        assert value != 0


@every_loss
def test_the_gradient_is_that_of_finite_differences(case: Case) -> None:
    student, teacher = inputs(case)
    if case.exact_gradient:
        assert torch.autograd.gradcheck(
            lambda x: total(case.call(x, teacher.detach(), tensor(WEIGHTS), EVERY)), (student,), atol=1e-6
        )
    else:
        (gradient,) = torch.autograd.grad(total(case.call(student, teacher, tensor(WEIGHTS), EVERY)), student)
        assert gradient[KEPT].abs().min(dim=1).values.gt(0).all()


@every_loss
def test_the_gradient_reaches_a_teacher_that_is_not_detached(case: Case) -> None:
    student, teacher = inputs(case)
    if case.exact_gradient and case.teacher_moves:
        assert torch.autograd.gradcheck(
            lambda x: total(case.call(student.detach(), x, tensor(WEIGHTS), EVERY)), (teacher,), atol=1e-6
        )
    (gradient,) = torch.autograd.grad(
        total(case.call(student, teacher, tensor(WEIGHTS), EVERY)), teacher, allow_unused=True
    )
    assert (gradient is not None and bool(gradient[KEPT].any())) == case.teacher_moves


@every_loss
@pytest.mark.parametrize("factor", [1e-3, 40.0])
def test_a_common_factor_of_all_weights_changes_nothing(case: Case, factor: float) -> None:
    student, teacher = inputs(case)
    for given in (tensor(WEIGHTS), torch.ones(WINDOWS, dtype=torch.float64)):
        before, after = (case.call(student, teacher, scale * given, EVERY) for scale in (1.0, factor))
        assert before.keys() == after.keys()
        for name, value in before.items():
            torch.testing.assert_close(after[name], value, rtol=1e-9, atol=1e-12, msg=name)
        of_before, of_after = (torch.autograd.grad(total(terms), student)[0] for terms in (before, after))
        torch.testing.assert_close(of_after, of_before, rtol=1e-7, atol=1e-10)


@every_loss
def test_weight_zero_is_leaving_the_window_out(case: Case) -> None:
    student, teacher = inputs(case)
    rows = torch.from_numpy(KEPT)
    whole = total(case.call(student, teacher, tensor(WEIGHTS), EVERY))
    part = total(case.call(student[rows], teacher[rows], tensor(WEIGHTS)[rows], rows))
    torch.testing.assert_close(whole, part, rtol=1e-9, atol=1e-12)
    of_whole, of_part = (torch.autograd.grad(value, student)[0] for value in (whole, part))
    torch.testing.assert_close(of_whole, of_part, rtol=1e-7, atol=1e-10)
    assert not of_whole[WEIGHTS == 0].any()


@every_loss
def test_what_a_teacher_says_of_a_window_of_weight_zero_may_be_missing(case: Case) -> None:
    if not case.teaches:
        pytest.skip("both sides learn: there is no knowledge")
    student, teacher = inputs(case)
    weights = tensor(WEIGHTS)
    missing = torch.where((weights > 0).reshape(-1, *[1] * (teacher.ndim - 1)), teacher, torch.nan)
    terms = case.call(student, missing, weights, EVERY)
    whole = total(case.call(student, teacher, weights, EVERY))
    torch.testing.assert_close(total(terms), whole)


@every_loss
def test_without_any_weight_the_loss_is_zero_and_its_gradient_finite(case: Case) -> None:
    for dtype in (torch.float64, torch.float32):
        student, teacher = (x.detach().to(dtype).requires_grad_() for x in inputs(case))
        terms = case.call(student, teacher, torch.zeros(WINDOWS, dtype=dtype), EVERY)
        assert all(term.item() == 0 for term in terms.values())
        (gradient,) = torch.autograd.grad(total(terms), student, allow_unused=True)
        assert gradient is None or not gradient.any()


@every_loss
def test_equal_features_and_one_window_leave_the_gradient_finite(case: Case) -> None:
    student, teacher = (torch.ones_like(x).requires_grad_() for x in inputs(case))
    one = torch.zeros(WINDOWS, dtype=torch.float64)
    one[3] = 1.0
    for weights in (torch.ones(WINDOWS, dtype=torch.float64), one):
        value = total(case.call(student, teacher, weights, EVERY))
        (gradient,) = torch.autograd.grad(value, student, allow_unused=True)
        assert value.isfinite()
        assert gradient is None or gradient.isfinite().all()


@every_loss
def test_many_networks_at_once_get_what_each_gets_alone(case: Case) -> None:
    members = [inputs(case, seed) for seed in range(3)]
    students, teachers = (torch.stack([member[i].detach() for member in members]) for i in (0, 1))
    weights = torch.stack([tensor(WEIGHTS), tensor(WEIGHTS).flip(0), torch.ones(WINDOWS, dtype=torch.float64)])

    def value(student: Tensor, teacher: Tensor, weight: Tensor) -> Tensor:
        return total(case.call(student, teacher, weight, EVERY))

    together = torch.vmap(torch.func.grad_and_value(value))(students, teachers, weights)
    alone = [torch.func.grad_and_value(value)(*member) for member in zip(students, teachers, weights, strict=True)]
    for place, what in enumerate(("gradient", "value")):
        torch.testing.assert_close(together[place], torch.stack([member[place] for member in alone]), msg=what)


def test_every_loss_of_the_package_is_held_to_the_contract() -> None:
    tools = {
        *("adversarial_ramp", "anchored_similarity_rows", "automatic_map", "build_map", "crd_normaliser"),
        *("expected_class_weights", "flat", "known", "possible_maps", "raw_variance", "reverse_gradient"),
        *("weighted_mean", "gated_mixture"),
    }
    losses = {name for name in functional.__all__ if name.islower()} - tools
    covered = {name.partition(" ")[0].strip(",") for name in CASES}
    assert losses == covered
