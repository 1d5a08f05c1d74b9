"""cvxEDA: skin conductance as a sparse non-negative driver through a response, a smooth level and noise.

The convex program is that of Greco et al. (2016). It is solved here by a primal-dual interior point method (Mehrotra's
predictor and corrector) on sparse matrices, whose unknowns are ordered along time: the cost grows linearly with the
length of the recording.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from limbeck.errors import DataError

__all__ = ["cvxeda"]

SLOW, FAST = 2.0, 0.7
"""Time constants of the response (Bateman function), in seconds."""

KNOTS = 10.0
"""Seconds between the knots of the level's spline."""

SPARSITY, SMOOTHNESS = 8e-4, 1e-2
"""Penalties on the driver and on the spline's coefficients; they suppose a signal of unit variance."""

_GAP = 1e-9
"""Duality gap, relative to the objective, at which the solution is taken."""

_RESIDUAL = 1e-6
"""Residual of the optimality conditions, relative to their terms, up to which it is taken: rounding leaves as much when
the rate is high, for then the driver is a second difference of large numbers."""

_MOST_ITERATIONS = 100

_SHORT = 0.1
"""Share of the predicted step below which it is no guide."""

_SHORTEST = 10
"""Samples below which the driver's state, the spline and the line are not told apart."""


@dataclass(frozen=True)
class _Program:
    """Matrices of the program for one length and rate, with the unknowns (driver state, spline, line) along time."""

    response: Any  # (n_times, n_unknowns): the phasic part
    level: Any  # (n_times, n_unknowns): the tonic part
    driver: Any  # (n_constraints, n_unknowns): the sudomotor nerve activity, which is not negative
    quadratic: Any  # (n_unknowns, n_unknowns): what the objective has of second order


def cvxeda(rows: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Split skin conductance into tonic and phasic parts by convex optimisation, row by row.

    Each row is standardised before and scaled back after, as the authors recommend: the penalties are made for unit
    variance, and the result no longer depends on the unit.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_times), float64
        Without missing samples; at least 10 of them.
    rate : float
        Hz; 4 to 25 are useful (the cost is per sample).

    Returns
    -------
    tonic, phasic : ndarray of shape (n_rows, n_times), float64
        Their sum is the signal less noise. The tonic part of a constant row is the constant.

    Raises
    ------
    DataError
        Too few samples; no solution within 100 iterations.

    References
    ----------
    Greco, A., Valenza, G., Lanata, A., Scilingo, E. P., & Citi, L., *IEEE Trans. Biomed. Eng.* 63(4):797-804, 2016.
    """
    if rows.shape[-1] < _SHORTEST:
        raise DataError(f"cvxEDA needs at least {_SHORTEST} samples; found {rows.shape[-1]}.")
    program = _program(rows.shape[-1], float(rate))
    mean = rows.mean(axis=-1)
    sd = rows.std(axis=-1)
    sd[sd <= 1e-12 * np.abs(rows).max(axis=-1)] = 0.0  # rounding noise is no signal
    tonic, phasic = np.repeat(mean[:, np.newaxis], rows.shape[-1], axis=-1), np.zeros_like(rows)
    for index in np.flatnonzero(sd > 0):
        unknowns = _solve(program, (rows[index] - mean[index]) / sd[index])
        tonic[index] += sd[index] * (program.level @ unknowns)
        phasic[index] = sd[index] * (program.response @ unknowns)
    return tonic, phasic


@lru_cache(maxsize=8)
def _program(samples: int, rate: float) -> _Program:
    from scipy import sparse

    slow, fast = 1.0 / (SLOW * rate), 1.0 / (FAST * rate)  # per sample
    recursion = np.array(
        [(fast + 2) * (slow + 2), 2 * fast * slow - 8, (fast - 2) * (slow - 2)],
    ) / ((fast - slow) / rate)
    shape = (samples - 2, samples)
    # the response is an ARMA filter by the bilinear transform; the state q has driver = AR q and response = MA q
    driver = sparse.diags_array([recursion[2], recursion[1], recursion[0]], offsets=[0, 1, 2], shape=shape)
    smoothing = sparse.diags_array([1.0, 2.0, 1.0], offsets=[0, 1, 2], shape=shape)
    response = sparse.vstack([sparse.csr_array((2, samples)), smoothing])
    spline, ends = _spline(samples, round(KNOTS * rate))
    line = np.stack([np.ones(samples), np.arange(1, samples + 1) / samples], axis=1)
    # a spline coefficient is eliminated behind the last sample it touches and the line last of all: hardly any fill
    along = np.argsort(np.concatenate([np.arange(samples), ends + 0.5, [np.inf, np.inf]]), kind="stable")
    coefficients = spline.shape[1]
    blank = sparse.csr_array((samples, samples))
    response = sparse.hstack([response, sparse.csr_array((samples, coefficients + 2))]).tocsc()[:, along]
    level = sparse.hstack([blank, spline, sparse.csr_array(line)]).tocsc()[:, along]
    driver = sparse.hstack([driver, sparse.csr_array((samples - 2, coefficients + 2))]).tocsc()[:, along]
    penalty = np.concatenate([np.zeros(samples), np.full(coefficients, SMOOTHNESS), np.zeros(2)])[along]
    model = response + level
    quadratic = (model.T @ model + sparse.diags_array(penalty)).tocsc()
    return _Program(response.tocsr(), level.tocsr(), driver.tocsr(), quadratic)


def _spline(samples: int, knot: int) -> tuple[Any, np.ndarray]:
    """Return the cubic B-splines (samples, n_knots) at every `knot` samples and the last sample each touches."""
    from scipy import sparse

    knot = max(1, knot)
    triangle = np.concatenate([np.arange(1, knot), np.arange(knot, 0, -1)]).astype(np.float64)
    bump = np.convolve(triangle, triangle)
    bump /= bump.max()
    centres = np.arange(0, samples, knot)
    reach = len(bump) // 2
    times = centres[:, np.newaxis] + np.arange(-reach, reach + 1)
    inside = (times >= 0) & (times < samples)
    columns = np.broadcast_to(np.arange(len(centres))[:, np.newaxis], times.shape)
    values = np.broadcast_to(bump, times.shape)
    matrix = sparse.coo_array((values[inside], (times[inside], columns[inside])), shape=(samples, len(centres)))
    return matrix.tocsr(), np.minimum(centres + reach, samples - 1)


def _solve(program: _Program, y: np.ndarray) -> np.ndarray:
    """Return the unknowns that minimise half the squared error plus the penalties, with a driver of at least 0."""
    driver, transposed, quadratic = program.driver, program.driver.T.tocsr(), program.quadratic
    linear = SPARSITY * np.asarray(driver.sum(axis=0)).ravel() - (program.response + program.level).T @ y
    slack, dual = np.ones(driver.shape[0]), np.ones(driver.shape[0])
    unknowns = np.zeros(quadratic.shape[0])
    for _ in range(_MOST_ITERATIONS):
        pull = transposed @ dual
        stationarity = quadratic @ unknowns + linear - pull
        infeasible = driver @ unknowns - slack
        gap = slack @ dual
        objective = 0.5 * unknowns @ (quadratic @ unknowns) + linear @ unknowns
        if (
            gap <= _GAP * max(1.0, abs(objective))
            and np.abs(stationarity).max() <= _RESIDUAL * max(1.0, np.abs(pull).max())
            and np.abs(infeasible).max() <= _RESIDUAL * max(1.0, slack.max())
        ):
            return unknowns
        newton = _Newton(program, transposed, slack, dual, stationarity, infeasible)
        _, slack_move, dual_move = newton.direction(slack * dual)
        reach = min(1.0, _longest(slack, slack_move), _longest(dual, dual_move))
        predicted = (slack + reach * slack_move) @ (dual + reach * dual_move)
        # steps that stop short at once, one after the other, come from a corner; the middle is the way out of it
        second_order, share = (slack_move * dual_move, (predicted / gap) ** 3) if reach > _SHORT else (0.0, 0.5)
        move, slack_move, dual_move = newton.direction(slack * dual + second_order - share * gap / len(slack))
        reach = min(1.0, 0.995 * _longest(slack, slack_move), 0.995 * _longest(dual, dual_move))
        unknowns = unknowns + reach * move
        slack, dual = slack + reach * slack_move, dual + reach * dual_move
    raise DataError(f"cvxEDA found no solution within {_MOST_ITERATIONS} iterations; look at the signal for artefacts.")


class _Newton:
    """The linear system of one iteration, factorised once for the predictor and the corrector."""

    def __init__(
        self,
        program: _Program,
        transposed: Any,
        slack: np.ndarray,
        dual: np.ndarray,
        stationarity: np.ndarray,
        infeasible: np.ndarray,
    ) -> None:
        from scipy import sparse
        from scipy.sparse.linalg import splu

        self.driver, self.transposed = program.driver, transposed
        self.slack, self.weights = slack, dual / slack
        self.stationarity, self.infeasible = stationarity, infeasible
        # positive definite, so that no pivoting is needed and the order along time stays
        self.factors = splu(
            (program.quadratic + transposed @ sparse.diags_array(self.weights) @ program.driver).tocsc(),
            permc_spec="NATURAL",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )

    def direction(self, complementarity: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the moves of unknowns, slack and dual that take the residuals and the complementarity to 0."""
        target = complementarity / self.slack
        move = self.factors.solve(-self.stationarity - self.transposed @ (target + self.weights * self.infeasible))
        slack_move = self.driver @ move + self.infeasible
        return move, slack_move, -target - self.weights * slack_move


def _longest(x: np.ndarray, move: np.ndarray) -> float:
    """Return how far a move can be taken before an entry of `x` falls below 0."""
    falling = move < 0
    return float((-x[falling] / move[falling]).min()) if falling.any() else np.inf
