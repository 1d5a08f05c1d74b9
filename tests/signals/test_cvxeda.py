"""The convex program of skin conductance is solved: agreement with a dense solver, and with cvxopt where it is."""

import importlib.util
import warnings

import numpy as np
import pytest
from scipy import optimize

from limbeck.errors import DataError
from limbeck.signals import cvxeda as module
from limbeck.signals.cvxeda import cvxeda


def bateman_signal(rate: float, seconds: float, onsets: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return a rising level with responses, and the responses alone."""
    times = np.arange(int(seconds * rate)) / rate
    since = np.maximum(0, times[:, np.newaxis] - np.array(onsets))
    responses = (np.exp(-since / 2.0) - np.exp(-since / 0.7)).sum(axis=1)
    return 5 + 0.01 * times + responses, responses


def test_the_solution_is_the_least_squares_one_of_the_definition():
    """A dense solver on the impulse responses, the spline and the line, with the penalties as written in the paper."""
    rate, samples = 2.0, 60
    x, _ = bateman_signal(rate, samples / rate, (4.0, 6.5, 18.0))
    x = x + 0.02 * np.random.default_rng(0).normal(size=samples)
    y = (x - x.mean()) / x.std()
    program = module._program(samples, rate)
    driver, response, level = (part.toarray() for part in (program.driver, program.response, program.level))
    penalty = np.diag(program.quadratic.toarray() - (response + level).T @ (response + level))

    def objective(unknowns: np.ndarray) -> float:
        error = (response + level) @ unknowns - y
        smooth = 0.5 * (penalty * unknowns**2).sum()
        return 0.5 * error @ error + module.SPARSITY * (driver @ unknowns).sum() + smooth

    solution = module._solve(program, y)
    assert (driver @ solution).min() > -1e-9
    best = optimize.minimize(
        objective,
        np.zeros(len(solution)),
        jac=lambda u: program.quadratic @ u - (response + level).T @ y + module.SPARSITY * driver.sum(axis=0),
        constraints={"type": "ineq", "fun": lambda u: driver @ u, "jac": lambda u: driver},
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-12},
    )
    assert objective(solution) <= best.fun + 1e-7
    assert objective(solution) == pytest.approx(best.fun, rel=1e-3)


@pytest.mark.skipif(
    importlib.util.find_spec("cvxopt") is None, reason="cvxopt, which neurokit2's cvxEDA needs, is absent"
)
@pytest.mark.parametrize(("rate", "seconds"), [(4, 60), (8, 60), (8, 5.5), (25, 20)])
def test_it_agrees_with_neurokit2_on_the_standardised_signal(rate, seconds):
    import neurokit2 as nk

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = nk.eda_simulate(duration=60, sampling_rate=rate, scr_number=5, noise=0.01, random_state=1)
        x = x[: int(seconds * rate)]
        expected = nk.eda_phasic((x - x.mean()) / x.std(), sampling_rate=rate, method="cvxeda")
    tonic, phasic = cvxeda(x[np.newaxis], rate)
    np.testing.assert_allclose((tonic[0] - x.mean()) / x.std(), expected["EDA_Tonic"], atol=1e-4)
    np.testing.assert_allclose(phasic[0] / x.std(), expected["EDA_Phasic"], atol=1e-4)


def test_responses_are_told_from_the_level_and_the_parts_add_up_to_the_signal():
    x, responses = bateman_signal(8, 60, (5.0, 12.0, 14.0, 30.0, 47.0))
    tonic, phasic = cvxeda(x[np.newaxis], 8)
    np.testing.assert_allclose(tonic + phasic, x[np.newaxis], atol=0.03)
    assert np.corrcoef(phasic[0], responses)[0, 1] > 0.99
    assert phasic.min() > -0.02


def test_unit_and_offset_scale_and_shift_the_parts(rng):
    x = rng.normal(size=(2, 120)).cumsum(axis=-1)
    tonic, phasic = cvxeda(x, 4)
    other_tonic, other_phasic = cvxeda(1000 * x - 50, 4)
    np.testing.assert_allclose(other_tonic, 1000 * tonic - 50, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(other_phasic, 1000 * phasic, rtol=1e-4, atol=1e-2)


def test_a_constant_is_all_level():
    tonic, phasic = cvxeda(np.full((2, 40), 0.1), 4)
    np.testing.assert_array_equal(tonic, 0.1)
    np.testing.assert_array_equal(phasic, 0)


@pytest.mark.parametrize("rate", [1, 4, 8, 25])
@pytest.mark.parametrize("samples", [10, 23, 44, 240])
def test_noise_steps_and_spikes_have_a_solution(rate, samples, rng):
    half = samples // 2
    rows = np.stack(
        [
            rng.normal(size=samples),
            rng.normal(size=samples).cumsum(),
            rng.standard_cauchy(size=samples),
            np.arange(samples),
            (np.arange(samples) >= half).astype(float),
            (np.arange(samples) == half).astype(float),
            (-1.0) ** np.arange(samples),
            np.round(rng.normal(size=samples).cumsum()),
        ]
    )
    tonic, phasic = cvxeda(rows, rate)
    assert np.isfinite(tonic).all()
    assert np.isfinite(phasic).all()


def test_too_few_samples_are_refused():
    with pytest.raises(DataError, match="at least 10 samples; found 9"):
        cvxeda(np.zeros((1, 9)), 4)
