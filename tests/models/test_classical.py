"""What every classical model promises, and what each of them computes."""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from limbeck.errors import DataError, LimbeckError
from limbeck.models import MODELS, InputShape, build, count_parameters, dry_run
from limbeck.models.classical import (
    KNN,
    LDA,
    LEAST_PROBABILITY,
    Classical,
    LogisticRegression,
    RandomForest,
    is_classical,
    splits_by_group,
)
from limbeck.models.contract import class_of

Draw = Callable[..., dict[str, Tensor]]

COLUMNS = {"eeg": InputShape(3), "ecg": InputShape(2)}
SMALL: dict[str, dict[str, Any]] = {
    "gradient_boosting": {"trees": 5, "leaf": 3},
    "knn": {},
    "lda": {},
    "logistic_regression": {},
    "random_forest": {"trees": 10},
    "svm": {},
    "xgboost": {"trees": 5},
}
"""Options that make each model cheap; tabnet, whose package is an extra, is tried on a stand-in below."""

every_model = pytest.mark.parametrize("name", sorted(SMALL))


@pytest.fixture(autouse=True)
def without_the_extra(request: pytest.FixtureRequest) -> None:
    """Leave out what an install lacks."""
    if "xgboost" in request.node.name and class_of("xgboost").lacking():  # type: ignore[attr-defined]
        pytest.skip("the extra xgboost is not installed")


def make(name: str, n_outputs: int = 2, **options: Any) -> Classical:
    model: Any = build(name, COLUMNS, n_outputs, **{**SMALL.get(name, {}), **options})
    return model


def draw_rows(
    n_classes: int = 2, rows: int = 60, seed: int = 0, distance: float = 1.5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features in which classes lie apart, classes, and whose rows they are (six subjects)."""
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % n_classes
    x = rng.normal(size=(rows, 5)) + distance * np.eye(5)[y % 5]
    return x, y, np.repeat(np.arange(6), -(-rows // 6))[:rows]


def shares(model: Classical, x: np.ndarray) -> np.ndarray:
    said: np.ndarray = np.exp(model.logits(x).astype(np.float64))
    return said


def shared_streams() -> tuple[bytes, bytes]:
    """Return the state of the streams that everybody shares."""
    state: Any = np.random.get_state()  # noqa: NPY002
    return state[1].tobytes(), torch.random.get_rng_state().numpy().tobytes()


def able_to_trace() -> list[str]:
    return [name for name in sorted(SMALL) if class_of(name).traces]  # type: ignore[attr-defined]


# ---- the contract ---------------------------------------------------------------------------------------------------


def test_every_classical_model_is_tried() -> None:
    assert {*SMALL, "tabnet"} == {name for name in MODELS if is_classical(name)}


@every_model
@pytest.mark.parametrize("n_classes", [2, 3])
def test_it_learns_and_gives_probabilities(name: str, n_classes: int) -> None:
    x, y, groups = draw_rows(n_classes)
    model = make(name, n_classes).fit(x, y, groups=groups)
    new, truth, _ = draw_rows(n_classes, rows=300, seed=1)

    logits = model.logits(new)

    assert logits.shape == (300, n_classes)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(np.exp(logits).sum(axis=1), 1, atol=1e-5)
    assert np.exp(logits).min() > LEAST_PROBABILITY / 2
    assert (logits.argmax(axis=1) == truth).mean() > 1 / n_classes + 0.2


@every_model
@pytest.mark.parametrize("batch", [1, 3])
def test_it_answers_as_a_network_does(name: str, batch: int, random_inputs: Draw) -> None:
    x, y, groups = draw_rows()
    model = make(name).fit(x, y, groups=groups)
    inputs = random_inputs(COLUMNS, batch)
    state = torch.random.get_rng_state()

    outputs = model(inputs)

    assert outputs.prediction.shape == (batch, 2)
    assert outputs.prediction.dtype == torch.float32
    assert outputs.features == {}
    assert torch.equal(state, torch.random.get_rng_state())
    rows = torch.cat([inputs["eeg"], inputs["ecg"]], dim=-1).numpy()
    np.testing.assert_array_equal(outputs.prediction.numpy(), model.logits(rows))
    alone = model({modality: values[:1] for modality, values in inputs.items()})
    torch.testing.assert_close(alone.prediction, outputs.prediction[:1], rtol=1e-5, atol=1e-5)


@every_model
def test_before_it_is_fitted_all_classes_are_equally_likely(name: str) -> None:
    model = make(name, 3)
    assert torch.allclose(dry_run(model, COLUMNS).prediction.softmax(-1), torch.full((2, 3), 1 / 3))
    assert count_parameters(model) == 0
    assert model.chosen is None


@every_model
def test_the_same_seed_fits_the_same_model_and_nobody_elses_stream_is_touched(name: str) -> None:
    x, y, groups = draw_rows(distance=0.5)
    before = shared_streams()
    found = [make(name).fit(x, y, seed=seed, groups=groups).logits(x) for seed in (2**61 + 3, 2**61 + 3, 4)]
    assert np.array_equal(found[0], found[1])
    assert shared_streams() == before
    if name == "random_forest":
        assert not np.array_equal(found[0], found[2])


@every_model
def test_a_row_of_weight_zero_is_not_looked_at(name: str) -> None:
    x, y, groups = draw_rows()
    lying = 1 - y
    more = np.concatenate([x, x]), np.concatenate([y, lying]), np.concatenate([np.ones(60), np.zeros(60)])
    with_them = make(name).fit(*more, groups=np.concatenate([groups, groups + 10]))
    assert np.array_equal(with_them.logits(x), make(name).fit(x, y, np.ones(60), groups=groups).logits(x))


@every_model
def test_class_weights_make_up_for_a_rare_class(name: str) -> None:
    x, y, groups = draw_rows(rows=200, distance=0.7)
    kept = (y == 0) | (np.arange(200) % 8 == 1)
    x, y, groups = x[kept], y[kept], groups[kept]
    weights = np.where(y == 1, (y == 0).sum() / (y == 1).sum(), 1.0)
    new = draw_rows(rows=300, seed=1, distance=0.7)[0]
    options = {"neighbours": 25} if name == "knn" else {}

    found = {}
    for kind, given in (("plain", None), ("weighted", weights)):
        model = make(name, **options).fit(x, y, given, groups=groups)
        found[kind] = shares(model, new)[:, 1].mean()

    assert found["weighted"] > found["plain"]


@every_model
def test_a_class_without_rows_is_next_to_impossible(name: str) -> None:
    x, y, groups = draw_rows()
    model = make(name, 4).fit(x, 2 * y + 1, groups=groups)
    said = shares(model, x)
    assert said.shape == (60, 4)
    assert said[:, [0, 2]].max() < 2 * LEAST_PROBABILITY
    assert set(said.argmax(axis=1)) == {1, 3}


@every_model
def test_one_class_alone_is_always_said(name: str) -> None:
    x, _, groups = draw_rows()
    said = shares(make(name, 3).fit(x, np.full(60, 2), groups=groups), x)
    assert (said.argmax(axis=1) == 2).all()
    assert said[:, 2].min() > 0.99


@pytest.mark.parametrize("name", able_to_trace())
def test_a_trace_is_predicted_in_its_own_unit(name: str) -> None:
    x, _, groups = draw_rows(rows=300)
    y = 50 + 20 * x[:, 0] - 10 * x[:, 4]
    new = draw_rows(rows=300, seed=1)[0]
    options = {"trees": 50} if "trees" in SMALL[name] else {}
    model = make(name, 1, **options).fit(x, y, groups=groups)

    said = model.logits(new)

    assert said.shape == (300, 1)
    assert np.corrcoef(said[:, 0], 50 + 20 * new[:, 0] - 10 * new[:, 4])[0, 1] > 0.8
    assert abs(said.mean() - 50) < 25
    constant = make(name, 1).fit(x, np.full(300, 7.0), groups=groups).logits(new)
    np.testing.assert_array_equal(constant, 7.0)


def test_what_predicts_no_trace_names_those_that_do() -> None:
    with pytest.raises(LimbeckError, match=r"The model 'lda' tells classes apart(.|\n)*random_forest, svm"):
        make("lda", 1)


@every_model
def test_the_wrong_kind_of_input_steps_and_options_are_refused(name: str) -> None:
    with pytest.raises(LimbeckError, match="reads features, but 'temp' is a signal"):
        build(name, {"temp": InputShape(1, 60, 4.0)}, 2)
    with pytest.raises(LimbeckError, match="at least one modality"):
        build(name, {}, 2)
    with pytest.raises(LimbeckError, match="predicts once per window, not at 4 steps"):
        build(name, COLUMNS, 2, n_steps=4)
    with pytest.raises(LimbeckError, match="has no option 'wdth'"):
        build(name, COLUMNS, 2, wdth=4)
    assert 20 < len(MODELS.help(name).splitlines()[0]) < 121


@every_model
def test_rows_that_do_not_fit_are_refused(name: str) -> None:
    x, y, _ = draw_rows()
    model = make(name)
    with pytest.raises(DataError, match=r"shape \(60, 4\); expected 5 columns"):
        model.fit(x[:, :4], y)
    with pytest.raises(DataError, match="60 rows, 59 targets"):
        model.fit(x, y[:59])
    with pytest.raises(DataError, match="must be finite"):
        model.fit(np.where(x > 1, np.nan, x), y)
    with pytest.raises(DataError, match="no labelled row"):
        model.fit(x, y, np.zeros(60))
    with pytest.raises(DataError, match="expected codes of 2 classes"):
        model.fit(x, y + 1)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("logistic_regression", {"c": 0}, "c is 0; expected a number above 0"),
        ("logistic_regression", {"c": []}, "c is an empty list"),
        ("svm", {"kernel": "poly"}, "kernel is 'poly'; expected rbf or linear"),
        ("svm", {"gamma": ["scale", -1]}, "gamma is -1; expected a number above 0"),
        ("knn", {"neighbours": 2.5}, "neighbours is 2.5; expected a whole number"),
        ("lda", {"shrinkage": 2}, "shrinkage is 2; expected auto"),
        ("random_forest", {"trees": None}, "trees is None; expected a whole number"),
        ("random_forest", {"depth": 0}, "depth is 0; expected at least 1"),
        ("gradient_boosting", {"leaves": 1}, "leaves is 1; expected 2 or more"),
        ("xgboost", {"learning_rate": 0}, "learning_rate is 0"),
        ("tabnet", {"width": 0}, "width is 0"),
        ("knn", {"neighbours": None}, "neighbours is None; expected a whole number"),
        ("svm", {"gamma": float("inf")}, "gamma is inf; expected a"),
        ("gradient_boosting", {"learning_rate": [0.1, float("inf")]}, "learning_rate is .*inf"),
        ("random_forest", {"as_released": "no"}, "as_released is 'no'; expected true or false"),
        ("random_forest", {"as_released": [True, False]}, "as_released is .*; expected true or false"),
    ],
)
def test_options_without_sense_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(LimbeckError, match=message):
        make(name, **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gradient_boosting", {"leaf": 10**12}),
        ("random_forest", {"depth": 2**63}),
        ("xgboost", {"depth": 10**12}),
        ("xgboost", {"learning_rate": 1e300}),
    ],
)
def test_what_a_library_refuses_is_told_with_the_options(name: str, options: dict[str, Any]) -> None:
    pytest.importorskip(class_of(name).module)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4))
    model = build(name, {"eda": InputShape(4)}, 2, **options)
    with pytest.raises(DataError, match=rf"The model '{name}' cannot be fitted with .*{next(iter(options))}"):
        model.fit(x, (x[:, 0] > 0).astype(int))


def test_numbers_of_numpy_are_options() -> None:
    kinds: list[tuple[type, dict[str, Any]]] = [
        (KNN, {"neighbours": np.int64(3)}),
        (LogisticRegression, {"c": np.float32(0.5)}),
        (LDA, {"shrinkage": np.float32(0.5)}),
    ]
    for kind, options in kinds:
        assert len(kind({"eda": InputShape(2)}, 2, **options).candidates) == 1
    with pytest.raises(LimbeckError, match="neighbours must be given"):
        KNN({"eda": InputShape(2)}, 2, neighbours=None)
    with pytest.raises(LimbeckError, match="as_released is 'no'"):
        RandomForest({"eda": InputShape(2)}, 2, as_released="no")


@pytest.mark.parametrize("shrinkage", [None, 0.0, 0.5, "auto"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.filterwarnings("ignore")
def test_columns_that_tell_the_classes_exactly_decide(shrinkage: Any, n_classes: int) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(60) % n_classes
    for others in ([], [np.full(60, 0.1)], [rng.normal(size=60)], [rng.normal(size=60), np.full(60, 0.1), 3.0 * y]):
        x = np.stack([y.astype(float), *others], axis=1)
        model = build("lda", {"eda": InputShape(x.shape[1])}, n_classes, shrinkage=shrinkage).fit(x, y)
        said = model.logits(x)
        assert np.isfinite(said).all()
        assert (said.argmax(axis=1) == y).all()
    constant = build("lda", {"eda": InputShape(3)}, n_classes, shrinkage=shrinkage).fit(np.full((60, 3), 0.1), y)
    np.testing.assert_allclose(np.exp(constant.logits(rng.normal(size=(4, 3)))), 1 / n_classes, rtol=1e-5)


# ---- options to choose from -----------------------------------------------------------------------------------------


def test_options_are_chosen_on_subjects_that_were_not_fitted_to() -> None:
    # Rows of a subject come in identical copies: who judges on their own subjects finds one neighbour perfect.
    rng = np.random.default_rng(5)
    y = np.tile([0, 1], 30)
    x = rng.normal(size=(60, 5)) + 0.8 * np.eye(5)[y]
    x, y, groups = np.repeat(x, 4, axis=0), np.repeat(y, 4), np.repeat(np.arange(60) // 5, 4)
    chosen = make("knn", neighbours=[1, 60]).fit(x, y, groups=groups).chosen
    by_rows = make("knn", neighbours=[1, 60]).fit(x, y).chosen
    assert chosen == {"neighbours": 60}
    assert by_rows == {"neighbours": 1}


def test_what_is_chosen_is_fitted_to_everything() -> None:
    x, y, groups = draw_rows(distance=0.5)
    many = make("logistic_regression", c=[1e-4, 1.0, 1e4]).fit(x, y, groups=groups)
    assert many.chosen is not None
    assert len(many.candidates) == 3
    one = make("logistic_regression", c=many.chosen["c"]).fit(x, y, groups=groups)
    assert np.array_equal(many.logits(x), one.logits(x))
    trace = make("knn", 1, neighbours=[1, 10]).fit(x, x[:, 0] + 3, groups=groups)
    assert trace.chosen in ({"neighbours": 1}, {"neighbours": 10})


def test_nothing_can_be_chosen_with_one_subject() -> None:
    x, y, _ = draw_rows()
    with pytest.raises(DataError, match="one labelled subject only"):
        make("knn", neighbours=[1, 3]).fit(x, y, groups=np.zeros(60))


def test_parts_hold_whole_subjects_each_judged_once() -> None:
    groups = np.array([7, 7, 3, 3, 3, 5, 1, 1, 9, 9, 4, 2])
    splits = splits_by_group(groups, seed=0)
    assert len(splits) == 5
    assert sorted(np.concatenate([judged for _, judged in splits]).tolist()) == list(range(12))
    for fitted, judged in splits:
        assert not set(groups[fitted]) & set(groups[judged])
        assert len(fitted) + len(judged) == 12
    assert splits_by_group(np.zeros(4), seed=0) == []


# ---- arithmetic -----------------------------------------------------------------------------------------------------


def test_logistic_regression_is_the_minimum_of_the_weighted_penalised_loss() -> None:
    x, y, groups = draw_rows(distance=0.7)
    weights, c = np.random.default_rng(1).uniform(0.5, 2, size=60), 0.3
    # Newton's method on 0.5 |w|² + c Σ weight · log loss; the intercept is free.
    design, penalty, w = np.column_stack([x, np.ones(60)]), np.diag([1.0] * 5 + [0.0]), np.zeros(6)
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ w))
        slope = penalty @ w + c * design.T @ (weights * (p - y))
        curvature = penalty + c * (design * (weights * p * (1 - p))[:, None]).T @ design
        w = w - np.linalg.solve(curvature, slope)
    said = shares(make("logistic_regression", c=c).fit(x, y, weights, groups=groups), x)
    np.testing.assert_allclose(said[:, 1], 1 / (1 + np.exp(-design @ w)), atol=1e-3)


def test_a_trace_of_logistic_regression_is_ridge_regression() -> None:
    x, _, _ = draw_rows()
    y = 3 + x @ np.array([2.0, -1, 0, 0.5, 0]) + np.random.default_rng(2).normal(size=60)
    centred, spread = x - x.mean(axis=0), y.std()
    w = np.linalg.solve(centred.T @ centred + np.eye(5) / 0.5, centred.T @ (y - y.mean()) / spread)
    said = make("logistic_regression", 1, c=0.5).fit(x, y).logits(x)[:, 0]
    np.testing.assert_allclose(said, y.mean() + spread * centred @ w, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shrinkage", [None, 0.3])
def test_discriminant_analysis_is_bayes_rule_for_gaussians_with_one_covariance(shrinkage: float | None) -> None:
    x, y, _ = draw_rows(3, distance=1.0)
    weights = np.array([1.0, 2.0, 3.0])[y]
    means = np.stack([x[y == k].mean(axis=0) for k in range(3)])
    within = x - means[y]
    prior = np.array([weights[y == k].sum() for k in range(3)]) / weights.sum()
    of_class = [within[y == k].T @ within[y == k] / (y == k).sum() for k in range(3)]
    if shrinkage is None:
        # Releases of scikit-learn divide by the rows, or by the rows less the classes.
        covariances = [within.T @ within / 60, within.T @ within / 57]
    else:  # every class counts by its prior
        shrunk = [(1 - shrinkage) * own + shrinkage * np.trace(own) / 5 * np.eye(5) for own in of_class]
        covariances = [np.tensordot(prior, np.stack(shrunk), axes=1)]
    said = shares(make("lda", 3, shrinkage=shrinkage).fit(x, y, weights), x)
    distances = []
    for covariance in covariances:
        inverse = np.linalg.inv(covariance)
        logits = x @ inverse @ means.T - 0.5 * np.einsum("ki,ij,kj->k", means, inverse, means) + np.log(prior)
        expected = np.exp(logits - logits.max(axis=1, keepdims=True))
        distances.append(np.abs(said - expected / expected.sum(axis=1, keepdims=True)).max())
    assert min(distances) < 1e-5


def test_discriminant_analysis_passes_over_columns_without_spread() -> None:
    x, y, _ = draw_rows()
    x[:, 2] = 4.0
    for shrinkage in (None, "auto"):
        assert np.isfinite(make("lda", shrinkage=shrinkage).fit(x, y).logits(x)).all()
    nothing = shares(make("lda").fit(np.ones((60, 5)), y, np.where(y == 1, 3.0, 1.0)), x)
    np.testing.assert_allclose(nothing, np.tile([0.25, 0.75], (60, 1)), atol=1e-6)
    few = shares(make("lda").fit(x[:2], y[:2]), x)
    np.testing.assert_allclose(few, 0.5, atol=1e-6)


def test_neighbours_vote_with_their_weights() -> None:
    x, y, _ = draw_rows(3)
    weights = np.random.default_rng(1).uniform(0.5, 2, size=60)
    new = draw_rows(3, seed=4)[0]
    near = np.argsort(((new[:, None] - x[None]) ** 2).sum(axis=-1), axis=1)[:, :7]
    votes = np.stack([(weights[near] * (y[near] == k)).sum(axis=1) for k in range(3)], axis=1)
    expected = votes / votes.sum(axis=1, keepdims=True)
    said = shares(make("knn", 3, neighbours=7).fit(x, y, weights), new)
    np.testing.assert_allclose(said, expected, atol=1e-5)
    trace = make("knn", 1, neighbours=7).fit(x, 10 + x[:, 1], weights).logits(new)[:, 0]
    expected_trace = (weights[near] * (10 + x[:, 1])[near]).sum(axis=1) / weights[near].sum(axis=1)
    np.testing.assert_allclose(trace, expected_trace, rtol=1e-5)
    everyone = shares(make("knn", 3, neighbours=500).fit(x, y), new)
    np.testing.assert_allclose(everyone, 1 / 3, atol=1e-6)


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_an_svm_says_what_it_decides_and_how_surely_by_held_out_subjects(kernel: str) -> None:
    from sklearn.svm import SVC

    found = {}
    for distance in (2.0, 0.0):
        x, y, groups = draw_rows(rows=120, distance=distance)
        model = make("svm", kernel=kernel).fit(x, y, groups=groups)
        new = draw_rows(rows=200, seed=3, distance=distance)[0]
        decisions = SVC(kernel=kernel).fit(x, y).decision_function(new)
        said = model.logits(new)
        assert np.array_equal(said.argmax(axis=1), decisions > 0)
        factors = (said[:, 1] - said[:, 0]) / decisions
        found[distance] = float(np.median(factors))
        np.testing.assert_allclose(factors, found[distance], rtol=1e-2)
    assert found[2.0] > 1
    assert found[0.0] < 0.5  # where there is nothing to learn, it says so
    one = make("svm", kernel=kernel).fit(x, y, groups=np.zeros(120)).logits(new)
    np.testing.assert_allclose(one[:, 1] - one[:, 0], decisions, rtol=1e-3, atol=1e-4)


def test_the_released_forest_is_a_regression_on_indicators_of_the_classes() -> None:
    from sklearn.ensemble import RandomForestRegressor

    x, y, groups = draw_rows(3, distance=0.7)
    new = draw_rows(3, seed=2)[0]
    reference = RandomForestRegressor(n_estimators=10, random_state=5).fit(x, np.eye(3)[y], np.ones(60)).predict(new)
    released = shares(make("random_forest", 3, as_released=True).fit(x, y, seed=5, groups=groups), new)
    np.testing.assert_allclose(released, reference, atol=1e-5)
    mended = shares(make("random_forest", 3).fit(x, y, seed=5, groups=groups), new)
    assert not np.allclose(mended, released, atol=1e-2)


# ---- extras ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "extra"), [("xgboost", "xgboost"), ("tabnet", "tabnet")])
def test_a_missing_package_is_named_with_its_extra(name: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    x, y, _ = draw_rows()
    model = make(name)
    with pytest.raises(LimbeckError, match=rf"not installed; pip install 'limbeck\[{extra}\]'"):
        model.fit(x, y)


class _Tab:
    """Stands in for the networks of pytorch-tabnet: takes what these take, seeds what these seed."""

    def __init__(self, **given: Any) -> None:
        self.given = given
        torch.manual_seed(given["seed"])
        np.random.seed(given["seed"])  # noqa: NPY002

    def fit(self, x: np.ndarray, y: np.ndarray, **given: Any) -> None:
        assert x.dtype == np.float32
        assert given["virtual_batch_size"] <= given["batch_size"] <= len(x)
        self.given |= {**given, "y": y}

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return np.tile([0.25, 0.75], (len(x), 1))

    def predict(self, x: np.ndarray) -> np.ndarray:
        return np.full((len(x), 1), 2.0)


def test_tabnet_is_given_the_rows_and_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[_Tab] = []

    def make_tab(**given: Any) -> _Tab:
        made.append(_Tab(**given))
        return made[-1]

    package, module = types.ModuleType("pytorch_tabnet"), types.ModuleType("pytorch_tabnet.tab_model")
    module.TabNetClassifier = module.TabNetRegressor = make_tab  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pytorch_tabnet", package)
    monkeypatch.setitem(sys.modules, "pytorch_tabnet.tab_model", module)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: package)
    x, y, _ = draw_rows()
    before = shared_streams()

    said = shares(make("tabnet", width=4).fit(x, y, np.where(y == 1, 2.0, 1.0), seed=3), x)
    trace = make("tabnet", 1).fit(x, 10 + 5 * y).logits(x)

    np.testing.assert_allclose(said, np.tile([0.25, 0.75], (60, 1)), atol=1e-6)
    np.testing.assert_allclose(trace, 12.5 + 2 * 2.5)
    assert made[0].given["n_d"] == made[0].given["n_a"] == 4
    assert made[0].given["weights"].tolist() == np.where(y == 1, 2.0, 1.0).tolist()
    assert made[1].given["y"].shape == (60, 1)
    assert shared_streams() == before
