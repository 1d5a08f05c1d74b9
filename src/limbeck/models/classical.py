"""Classical models on features: scikit-learn's, gradient-boosted trees of XGBoost, TabNet.

They stand in the same registry as the networks and answer in the same way, a dict of tensors in and :class:`Outputs`
out, but they are fitted in one go (:meth:`Classical.fit`) instead of trained by gradients. What they say of classes are
the logarithms of their probabilities, so they can be compared with networks, and teach them by soft targets. They
cannot be taught, started from, or stored: there is no file format for them that runs no code when it is read.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from limbeck.errors import DataError, LimbeckError
from limbeck.models.contract import MODELS, InputShape, Network, Outputs, class_of

__all__ = [
    "KNN",
    "LDA",
    "SVM",
    "Classical",
    "GradientBoosting",
    "LogisticRegression",
    "RandomForest",
    "TabNet",
    "XGBoost",
    "is_classical",
    "splits_by_group",
]

LEAST_PROBABILITY = 1e-6
"""Probabilities are clipped to this before the logarithm: a forest whose trees all agree says 0 of other classes."""

EXACT = 1e-9
"""Share of a column's range below which it does not vary within a class."""

INNER_FOLDS = 5
"""At most so many parts of the subjects for choosing among options and for the scale of an SVM's probabilities."""

Predictor = Callable[[np.ndarray], np.ndarray]
"""Rows of features to probabilities (rows, classes), or to values (rows,)."""

Options = Mapping[str, Any]


class Classical(Network):
    """A model that is fitted in one go, without gradients; it holds no parameter that PyTorch knows of.

    A subclass hands its options to this constructor as keywords and says in :meth:`learn` how it is fitted. An option
    whose value is a list is chosen from it: every combination is fitted to some of the labelled subjects and judged on
    the others (the weighted log loss, or the squared error of a trace), and the best is fitted to all of them.

    Before it is fitted it holds every class for equally likely, and a trace for 0.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features of any number of modalities, put side by side in this order.
    n_outputs : int
        Number of classes, or 1 for a trace.
    **options
        Of the model.

    Attributes
    ----------
    package, module : str
        The package that it needs, as it is installed and as it is imported.
    extra : str
        The extra of Limbeck that brings the package; empty where every install has it.
    traces : bool
        Whether it predicts traces as well as classes.
    chosen : dict or None
        The options that it was fitted with; None before.
    """

    family = "classical"
    reads = "features"
    looped = "it is fitted in one go, without gradients"
    unexportable = "it is no network"
    package: ClassVar[str] = "scikit-learn"
    module: ClassVar[str] = "sklearn"
    extra: ClassVar[str] = ""
    traces: ClassVar[bool] = True

    def __init__(self, modalities: Mapping[str, InputShape], n_outputs: int, **options: Any) -> None:
        super().__init__()
        self.known_as = name = next((name for name in MODELS if class_of(name) is type(self)), type(self).__name__)
        if n_outputs == 1 and not self.traces:
            able = (other for other in MODELS if is_classical(other) and getattr(class_of(other), "traces", False))
            raise LimbeckError(f"The model '{name}' tells classes apart and predicts no trace; use {', '.join(able)}.")
        lists = {option: value if isinstance(value, list | tuple) else [value] for option, value in options.items()}
        for option, values in lists.items():
            if not values:
                raise LimbeckError(f"{option} is an empty list; expected a value, or several to choose from.")
        self.candidates = [
            dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())
        ]  # fmt: skip
        for candidate in self.candidates:
            self.check(**candidate)
        self.modalities, self.n_outputs = tuple(modalities), n_outputs
        self.columns = sum(shape.channels for shape in modalities.values())
        self.chosen: dict[str, Any] | None = None
        self._present = np.arange(n_outputs)
        self._scale = (0.0, 0.0)
        self._predict: Predictor = _uniform(n_outputs)

    # ---- what a subclass says ----------------------------------------------------------------------------------------

    def check(self, **options: Any) -> None:
        """Raise a LimbeckError when values of options make no sense."""

    def learn(
        self, x: np.ndarray, y: np.ndarray, weights: np.ndarray, seed: int, groups: np.ndarray, options: Options
    ) -> Predictor:
        """Fit the model and return its predictor.

        Parameters
        ----------
        x : ndarray of shape (rows, columns), float64
            Features.
        y : ndarray of shape (rows,)
            Codes of classes from 0 on, all of which occur and of which there are two at least; or values of a trace
            with mean 0 and spread 1.
        weights : ndarray of shape (rows,), float64
            Above 0.
        seed : int
            Of everything that is drawn, below 2**31.
        groups : ndarray of shape (rows,)
            Whose rows they are.
        options : mapping
            One value of every option.
        """
        raise NotImplementedError

    # ---- what others call --------------------------------------------------------------------------------------------

    @classmethod
    def lacking(cls) -> str:
        """Say which package is missing and how to get it; empty where nothing is."""
        if importlib.util.find_spec(cls.module) is not None:
            return ""
        return f"the package {cls.package} is not installed; pip install 'limbeck[{cls.extra}]' brings it."

    @classmethod
    def version(cls) -> str:
        """Return name and version of the package that does the work, on which the result depends."""
        module = importlib.import_module(cls.module)
        return f"{cls.package} {getattr(module, '__version__', '')}"

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray | None = None,
        *,
        seed: int = 0,
        groups: np.ndarray | None = None,
    ) -> Classical:
        """Fit the model to labelled rows and return it.

        Parameters
        ----------
        x : ndarray of shape (rows, columns)
            Finite features, those of all modalities side by side.
        y : ndarray of shape (rows,)
            Codes of classes, of which some may be absent (they are then said to be next to impossible), or values of a
            trace.
        weights : ndarray of shape (rows,) or None
            How much each row counts; one of 0 is left out.
        seed : int
            The same one gives the same model.
        groups : ndarray of shape (rows,) or None
            Whose rows they are: rows of one subject are never divided between fitting and judging. By default every
            row stands for itself.

        Raises
        ------
        DataError
            For rows that do not fit the model, where there are options to choose from and one subject only, and where
            the library cannot fit with these options.
        LimbeckError
            When the package that the model needs is not installed.
        """
        if missing := self.lacking():
            raise LimbeckError(missing[0].upper() + missing[1:])
        x, y = np.asarray(x, dtype=np.float64), np.asarray(y)
        weights = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)
        groups = np.arange(len(y)) if groups is None else np.asarray(groups)
        self._check_rows(x, y, weights, groups)
        kept = weights > 0
        x, y, weights, groups = x[kept], y[kept], weights[kept], groups[kept]
        seed = int(seed) % 2**31
        try:
            with _one_thread():
                several = len(self.candidates) > 1
                self.chosen = self._choose(x, y, weights, seed, groups) if several else self.candidates[0]
                self._fit(x, y, weights, seed, groups, self.chosen)
        except (TypeError, ValueError, ArithmeticError, LookupError, RuntimeError, MemoryError) as error:
            tried = self.candidates if self.chosen is None else self.chosen
            raise DataError(f"The model '{self.known_as}' cannot be fitted with {tried}: {error}") from error
        return self

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Return the logarithms of the probabilities (rows, n_outputs), or the trace (rows, 1), float32."""
        x = np.asarray(x, dtype=np.float64)
        with _one_thread():
            found = self._predict(x)
        if not np.isfinite(found).all():
            raise DataError(f"The model '{self.known_as}' predicts nothing finite with {self.chosen}.")
        if self.n_outputs == 1:
            mean, spread = self._scale
            return (mean + spread * found).reshape(-1, 1).astype(np.float32)
        shares = np.zeros((len(x), self.n_outputs))
        shares[:, self._present] = found
        shares = np.clip(shares, LEAST_PROBABILITY, None)
        logits: np.ndarray = np.log(shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
        return logits

    def forward(self, inputs: dict[str, Tensor]) -> Outputs:
        """Return log probabilities or a trace's value; there are no features."""
        first = next(iter(inputs.values()))
        x = torch.cat([inputs[name] for name in self.modalities], dim=-1)
        return Outputs(torch.from_numpy(self.logits(x.detach().cpu().numpy())).to(first.device), {})

    # ---- fitting -----------------------------------------------------------------------------------------------------

    def _check_rows(self, x: np.ndarray, y: np.ndarray, weights: np.ndarray, groups: np.ndarray) -> None:
        if x.ndim != 2 or x.shape[1] != self.columns:
            raise DataError(f"The features have the shape {x.shape}; expected {self.columns} columns.")
        if not len(x) == len(y) == len(weights) == len(groups):
            raise DataError(
                f"There are {len(x)} rows, {len(y)} targets, {len(weights)} weights and {len(groups)} groups; expected "
                "one each."
            )
        if not (np.isfinite(x).all() and np.isfinite(y).all() and np.isfinite(weights).all()):
            raise DataError("Features, targets and weights must be finite; interpolate what is missing.")
        if not (weights > 0).any() or (weights < 0).any():
            raise DataError("There is no labelled row to fit to: expected a weight above 0, and none below.")
        if self.n_outputs > 1 and not np.isin(y, np.arange(self.n_outputs)).all():
            raise DataError(
                f"The targets hold {np.unique(y).tolist()[:10]}; expected codes of {self.n_outputs} classes."
            )

    def _fit(
        self, x: np.ndarray, y: np.ndarray, weights: np.ndarray, seed: int, groups: np.ndarray, options: Options
    ) -> None:
        if self.n_outputs == 1:
            mean = float(np.average(y, weights=weights))
            spread = float(np.sqrt(np.average((y - mean) ** 2, weights=weights)))
            self._scale = mean, spread
            constant = not spread > 0
            self._predict = (
                (lambda rows: np.zeros(len(rows)))
                if constant
                else self.learn(x, (y - mean) / spread, weights, seed, groups, options)
            )
            return
        self._present, codes = np.unique(y.astype(np.int64), return_inverse=True)
        if len(self._present) == 1:
            self._predict = lambda rows: np.ones((len(rows), 1))
        else:
            self._predict = self.learn(x, codes, weights, seed, groups, options)

    def _choose(
        self, x: np.ndarray, y: np.ndarray, weights: np.ndarray, seed: int, groups: np.ndarray
    ) -> dict[str, Any]:
        """Return the options that do best on subjects that were not fitted to; of equals the first."""
        splits = splits_by_group(groups, seed)
        if not splits:
            raise DataError(
                "There are several options to choose from, but one labelled subject only, and nobody to judge on; give "
                "every option one value."
            )
        losses = []
        for candidate in self.candidates:
            loss = 0.0
            for fitted, judged in splits:
                self._fit(x[fitted], y[fitted], weights[fitted], seed, groups[fitted], candidate)
                loss += self._loss(x[judged], y[judged], weights[judged])
            losses.append(loss)
        return self.candidates[int(np.argmin(losses))]

    def _loss(self, x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
        """Return the weighted sum of log losses or squared errors."""
        said = self.logits(x).astype(np.float64)
        each = (said[:, 0] - y) ** 2 if self.n_outputs == 1 else -said[np.arange(len(y)), y.astype(np.int64)]
        return float((weights * each).sum())


def is_classical(name: str) -> bool:
    """Whether a name is that of a registered model that is fitted in one go."""
    return name in MODELS and getattr(MODELS[name], "family", "") == "classical"


def splits_by_group(groups: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return rows to fit to and rows to judge on, by parts of the groups; none where there is one group only."""
    distinct = np.random.default_rng(seed).permutation(np.unique(groups))
    parts = [distinct[part::INNER_FOLDS] for part in range(min(INNER_FOLDS, len(distinct)))]
    if len(parts) < 2:
        return []
    return [
        (np.flatnonzero(~held_out), np.flatnonzero(held_out)) for held_out in (np.isin(groups, part) for part in parts)
    ]


def _uniform(n_outputs: int) -> Predictor:
    """Return what is said before anything is known."""
    if n_outputs == 1:
        return lambda rows: np.zeros(len(rows))
    return lambda rows: np.full((len(rows), n_outputs), 1 / n_outputs)


def _one_thread() -> Any:
    """Keep the libraries' own threads at one: folds are what is divided among processes."""
    limits: Any = importlib.import_module("threadpoolctl").threadpool_limits
    return limits(1)


def _shares_by_class(y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the share of each class in the weights."""
    sums = np.bincount(y, weights=weights)
    shares: np.ndarray = sums / sums.sum()
    return shares


def _positive(**options: Any) -> None:
    for option, value in options.items():
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < float(value) < math.inf:
            raise LimbeckError(f"{option} is {value!r}; expected a number above 0.")


def _counts(**options: Any) -> None:
    for option, value in options.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1):
            raise LimbeckError(f"{option} is {value!r}; expected a whole number of 1 or more.")


# ---- the models -----------------------------------------------------------------------------------------------------


@MODELS.register("logistic_regression")
class LogisticRegression(Classical):
    """Logistic regression with a squared penalty, fitted to convergence; ridge regression for a trace.

    It has no intermediate features. The network ``linear`` is the same model trained by gradients, which can be taught
    and deployed.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features of any number of modalities.
    n_outputs : int
        Number of classes, or 1 for a trace.
    c : float or list of float
        Inverse of the penalty's strength: scikit-learn's ``C``; ``1 / alpha`` of the ridge regression.
    """

    paper = "Cox, The regression analysis of binary sequences, Journal of the Royal Statistical Society B, 1958"

    def __init__(
        self, modalities: Mapping[str, InputShape], n_outputs: int, *, c: float | Sequence[float] = 1.0
    ) -> None:
        super().__init__(modalities, n_outputs, c=c)

    def check(self, **options: Any) -> None:
        """Raise a LimbeckError when values of options make no sense."""
        _positive(c=options["c"])

    def learn(
        self, x: np.ndarray, y: np.ndarray, weights: np.ndarray, seed: int, groups: np.ndarray, options: Options
    ) -> Predictor:
        """Fit the model and return its predictor."""
        from sklearn import linear_model

        if self.n_outputs == 1:
            return _values(linear_model.Ridge(alpha=1 / options["c"]).fit(x, y, weights))
        return _probabilities(linear_model.LogisticRegression(C=options["c"], max_iter=5000).fit(x, y, weights))


@MODELS.register("svm")
class SVM(Classical):
    """Support vector machine with a Gaussian or linear kernel, its scores scaled to probabilities; SVR for a trace.

    Probabilities are the softmax of the decision values times one factor above 0, which is fitted to the decision
    values of labelled subjects that the machine did not see; so the most probable class is the one that the machine
    decides for, even where few subjects say little. (Of more than two classes the pairwise votes may tie: the margins
    then say which is the most probable, where the library would take the first.) With one subject the factor is 1. It
    has no intermediate features.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features of any number of modalities.
    n_outputs : int
        Number of classes, or 1 for a trace.
    c : float or list of float
        Cost of a window on the wrong side of the margin.
    kernel : {"rbf", "linear"} or list of them
        Gaussian, or none.
    gamma : "scale", float, or list of them
        Of the Gaussian kernel; ``"scale"`` is 1 / (columns · variance of the features).
    """

    paper = "Cortes, Vapnik, Support-vector networks, Machine Learning, 1995"

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        c: float | Sequence[float] = 1.0,
        kernel: str | Sequence[str] = "rbf",
        gamma: str | float | Sequence[str | float] = "scale",
    ) -> None:
        super().__init__(modalities, n_outputs, c=c, kernel=kernel, gamma=gamma)

    def check(self, **options: Any) -> None:
        """Raise a LimbeckError when values of options make no sense."""
        _positive(c=options["c"])
        if options["kernel"] not in ("rbf", "linear"):
            raise LimbeckError(f"kernel is {options['kernel']!r}; expected rbf or linear.")
        if options["gamma"] != "scale":
            _positive(gamma=options["gamma"])

    def learn(
        self, x: np.ndarray, y: np.ndarray, weights: np.ndarray, seed: int, groups: np.ndarray, options: Options
    ) -> Predictor:
        """Fit the model and return its predictor."""
        from sklearn.svm import SVC, SVR

        chosen = {"C": options["c"], "kernel": options["kernel"], "gamma": options["gamma"]}
        if self.n_outputs == 1:
            return _values(SVR(**chosen).fit(x, y, weights))
        factor = self._factor(x, y, weights, seed, groups, chosen)
        scores = _scores(SVC(**chosen).fit(x, y, weights))
        return lambda rows: _softmax(factor * scores(rows))

    def _factor(
        self, x: np.ndarray, y: np.ndarray, weights: np.ndarray, seed: int, groups: np.ndarray, chosen: dict[str, Any]
    ) -> float:
        from scipy.optimize import minimize_scalar
        from sklearn.svm import SVC

        n_classes = int(y.max()) + 1
        splits = [s for s in splits_by_group(groups, seed) if len(np.unique(y[s[0]])) == n_classes]
        if not splits:
            return 1.0
        held_out = [_scores(SVC(**chosen).fit(x[a], y[a], weights[a]))(x[b]) for a, b in splits]
        rows = np.concatenate([b for _, b in splits])
        scores, own = np.concatenate(held_out), np.arange(len(rows))

        def loss(log_factor: float) -> float:
            shares = _softmax(np.exp(log_factor) * scores)[own, y[rows]]
            return float(-(weights[rows] * np.log(np.maximum(shares, 1e-300))).sum())

        return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.01), np.log(100)), method="bounded").x))


@MODELS.register("knn")
class KNN(Classical):
    """The labelled windows nearest by Euclidean distance vote, each with its weight; their mean for a trace.

    It has no intermediate features.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features of any number of modalities.
    n_outputs : int
        Number of classes, or 1 for a trace.
    neighbours : int or list of int
        How many vote; all where there are fewer.
    """

    paper = "Cover, Hart, Nearest neighbor pattern classification, IEEE Transactions on Information Theory, 1967"

    def __init__(
        self, modalities: Mapping[str, InputShape], n_outputs: int, *, neighbours: int | Sequence[int] = 5
    ) -> None:
        super().__init__(modalities, n_outputs, neighbours=neighbours)

    def check(self, **options: Any) -> None:
        """Raise a LimbeckError when values of options make no sense."""
        if options["neighbours"] is None:
            raise LimbeckError("neighbours must be given.")
        _counts(neighbours=options["neighbours"])

    def learn(
        self, x: np.ndarray, y: np.ndarray, weights: np.ndarray, seed: int, groups: np.ndarray, options: Options
    ) -> Predictor:
        """Fit the model and return its predictor."""
        from sklearn.neighbors import NearestNeighbors

        search = NearestNeighbors(n_neighbors=min(options["neighbours"], len(x))).fit(x)
        said = y[:, None] if self.n_outputs == 1 else np.eye(int(y.max()) + 1)[y]

        def vote(rows: np.ndarray) -> np.ndarray:
            near = search.kneighbors(rows, return_distance=False)
            counts = weights[near][..., None]
            shares: np.ndarray = (counts * said[near]).sum(axis=1) / counts.sum(axis=1)
            return shares[:, 0] if self.n_outputs == 1 else shares

        return vote


@MODELS.register("lda")
class LDA(Classical):
    """Linear discriminant analysis: classes as Gaussians that share one covariance; it predicts no trace.

    Weights count as the classes' shares beforehand: with class weights, as of networks, all are equally likely. Columns
    that are the same throughout are left out; those that differ between classes and not within any are given a spread
    of a hundredth of their range, since a Gaussian without one says nothing of values in between. It has no
    intermediate features.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features of any number of modalities.
    n_outputs : int
        Number of classes.
    shrinkage : None, "auto", float, or list of them
        How far the covariance is drawn to a multiple of the identity, between 0 and 1; ``"auto"`` is the estimate of
        Ledoit and Wolf, which few windows with many features need.
    """

    paper = "Fisher, The use of multiple measurements in taxonomic problems, Annals of Eugenics, 1936"
    traces = False

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        shrinkage: str | float | Sequence[str | float | None] | None = None,
    ) -> None:
        super().__init__(modalities, n_outputs, shrinkage=shrinkage)

    def check(self, **options: Any) -> None:
        """Raise a LimbeckError when values of options make no sense."""
        value = options["shrinkage"]
        number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if value is not None and value != "auto" and not (number and 0 <= value <= 1):
            raise LimbeckError(f"shrinkage is {value!r}; expected auto, or a number between 0 and 1.")

    def learn(
        self, x: np.ndarray, y: np.ndarray, weights: np.ndarray, seed: int, groups: np.ndarray, options: Options
    ) -> Predictor:
        """Fit the model and return its predictor."""
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        shares, classes = _shares_by_class(y, weights), np.arange(int(y.max()) + 1)
        reach = np.ptp(x, axis=0)  # a constant column tells nothing, and has no covariance
        if not (reach > 0).any() or len(x) <= len(classes):  # nor have single windows of each class
            return lambda rows: np.tile(shares, (len(rows), 1))
        within = np.max([np.ptp(x[y == code], axis=0) for code in classes], axis=0)
        exact = (reach > 0) & (within <= EXACT * reach)
        others = (reach > 0) & ~exact
        if options["shrinkage"] and others.any():  # which gives every column a spread
            others, exact = others | exact, np.zeros_like(exact)
        means, spread = np.stack([x[y == code].mean(axis=0) for code in classes])[:, exact], 0.01 * reach[exact]
        fitted: Any = None
        if others.any():
            solver = "svd" if options["shrinkage"] is None else "lsqr"
            fitted = LinearDiscriminantAnalysis(solver=solver, shrinkage=options["shrinkage"], priors=shares)
            fitted.fit(x[:, others], y)

        def predict(rows: np.ndarray) -> np.ndarray:
            said = np.tile(shares, (len(rows), 1)) if fitted is None else fitted.predict_proba(rows[:, others])
            if not exact.any():
                return np.asarray(said)
            away = ((rows[:, None, exact] - means) / spread) ** 2
            return _softmax(np.log(np.maximum(said, 1e-300)) - away.sum(axis=2) / 2)

        return predict


@MODELS.register("random_forest")
class RandomForest(Classical):
    """Random forest of 100 trees, the classical model of open pain research; it predicts traces as well.

    It has no intermediate features. The published code fits a *regression* forest to indicators of the classes, which
    looks at all features at every branch instead of at a random choice of them; `as_released` does that, too.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features of any number of modalities.
    n_outputs : int
        Number of classes, or 1 for a trace.
    trees : int or list of int
        How many.
    depth : int, None, or list of them
        Branches from the root to a leaf at most; None for any number.
    leaf : int or list of int
        Fewest windows in a leaf.
    as_released : bool
        Fit a regression forest to indicators of the classes, as the published code does.
    """

    paper = (
        "Gouverneur et al., Explainable artificial intelligence (XAI) in pain research: understanding the role of "
        "electrodermal activity for automated pain recognition, Sensors 23(4):1959, 2023"
    )

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        trees: int | Sequence[int] = 100,
        depth: int | Sequence[int | None] | None = None,
        leaf: int | Sequence[int] = 1,
        as_released: bool = False,
    ) -> None:
        super().__init__(modalities, n_outputs, trees=trees, depth=depth, leaf=leaf)
        if not isinstance(as_released, bool):
            raise LimbeckError(f"as_released is {as_released!r}; expected true or false, and no list of them.")
        self.as_released = as_released

    def check(self, **options: Any) -> None:
        """Raise a LimbeckError when values of options make no sense."""
        if options["trees"] is None or options["leaf"] is None:
            raise LimbeckError("trees and leaf must be given; only depth may be without a limit.")
        _counts(**options)

    def learn(
        self, x: np.ndarray, y: np.ndarray, weights: np.ndarray, seed: int, groups: np.ndarray, options: Options
    ) -> Predictor:
        """Fit the model and return its predictor."""
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        chosen: dict[str, Any] = {
            "n_estimators": options["trees"],
            "max_depth": options["depth"],
            "min_samples_leaf": options["leaf"],
            "random_state": seed,
        }
        if self.n_outputs == 1:
            return _values(RandomForestRegressor(**chosen).fit(x, y, weights))
        if self.as_released:
            return _values(RandomForestRegressor(**chosen).fit(x, np.eye(int(y.max()) + 1)[y], weights))
        return _probabilities(RandomForestClassifier(**chosen).fit(x, y, weights))


@MODELS.register("gradient_boosting")
class GradientBoosting(Classical):
    """Gradient-boosted trees on binned features, of scikit-learn; they predict traces as well.

    Every tree is fitted to all labelled windows: none are set aside for stopping early, which would have to be windows
    of the same subjects. It has no intermediate features.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features of any number of modalities.
    n_outputs : int
        Number of classes, or 1 for a trace.
    trees : int or list of int
        How many, one after the other (per class, where there are more than two).
    learning_rate : float or list of float
        How far each goes.
    leaves : int or list of int
        Of a tree at most, 2 or more.
    leaf : int or list of int
        Fewest windows in a leaf.
    """

    paper = "Friedman, Greedy function approximation: a gradient boosting machine, Annals of Statistics, 2001"

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        trees: int | Sequence[int] = 100,
        learning_rate: float | Sequence[float] = 0.1,
        leaves: int | Sequence[int] = 31,
        leaf: int | Sequence[int] = 20,
    ) -> None:
        super().__init__(modalities, n_outputs, trees=trees, learning_rate=learning_rate, leaves=leaves, leaf=leaf)

    def check(self, **options: Any) -> None:
        """Raise a LimbeckError when values of options make no sense."""
        _positive(**options)
        _counts(trees=options["trees"], leaves=options["leaves"], leaf=options["leaf"])
        if options["leaves"] < 2:
            raise LimbeckError(f"leaves is {options['leaves']}; expected 2 or more.")

    def learn(
        self, x: np.ndarray, y: np.ndarray, weights: np.ndarray, seed: int, groups: np.ndarray, options: Options
    ) -> Predictor:
        """Fit the model and return its predictor."""
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        chosen: dict[str, Any] = {
            "max_iter": options["trees"],
            "learning_rate": options["learning_rate"],
            "max_leaf_nodes": options["leaves"],
            "min_samples_leaf": options["leaf"],
            "early_stopping": False,
            "random_state": seed,
        }
        if self.n_outputs == 1:
            return _values(HistGradientBoostingRegressor(**chosen).fit(x, y, weights))
        return _probabilities(HistGradientBoostingClassifier(**chosen).fit(x, y, weights))


@MODELS.register("xgboost")
class XGBoost(Classical):
    """Gradient-boosted trees of the package xgboost (extra ``limbeck[xgboost]``); they predict traces as well.

    It has no intermediate features.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features of any number of modalities.
    n_outputs : int
        Number of classes, or 1 for a trace.
    trees : int or list of int
        How many, one after the other (per class, where there are more than two).
    depth : int or list of int
        Branches from the root to a leaf at most.
    learning_rate : float or list of float
        How far each tree goes.
    """

    paper = "Chen, Guestrin, XGBoost: a scalable tree boosting system, KDD, 2016"
    package = "xgboost-cpu"
    module = "xgboost"
    extra = "xgboost"

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        trees: int | Sequence[int] = 100,
        depth: int | Sequence[int] = 6,
        learning_rate: float | Sequence[float] = 0.3,
    ) -> None:
        super().__init__(modalities, n_outputs, trees=trees, depth=depth, learning_rate=learning_rate)

    def check(self, **options: Any) -> None:
        """Raise a LimbeckError when values of options make no sense."""
        _positive(**options)
        _counts(trees=options["trees"], depth=options["depth"])

    def learn(
        self, x: np.ndarray, y: np.ndarray, weights: np.ndarray, seed: int, groups: np.ndarray, options: Options
    ) -> Predictor:
        """Fit the model and return its predictor."""
        xgboost: Any = importlib.import_module("xgboost")
        chosen = {
            "n_estimators": options["trees"],
            "max_depth": options["depth"],
            "learning_rate": options["learning_rate"],
            "tree_method": "hist",
            "n_jobs": 1,
            "random_state": seed,
        }
        if self.n_outputs == 1:
            return _values(xgboost.XGBRegressor(**chosen).fit(x, y, sample_weight=weights))
        return _probabilities(xgboost.XGBClassifier(**chosen).fit(x, y, sample_weight=weights))


@MODELS.register("tabnet")
class TabNet(Classical):
    """TabNet, attention over features in several steps, of the package pytorch-tabnet (extra ``limbeck[tabnet]``).

    Weights decide how often a window is drawn for a batch. It has no intermediate features that could be taught from.

    Parameters
    ----------
    modalities : mapping of str to InputShape
        Features of any number of modalities.
    n_outputs : int
        Number of classes, or 1 for a trace.
    width : int or list of int
        Of the decisions and of the attention.
    steps : int or list of int
        Decisions, one after the other.
    epochs : int or list of int
        Passes over the labelled windows; a fixed number, since nothing is set aside for stopping early.
    learning_rate : float or list of float
        Of Adam.
    """

    paper = "Arik, Pfister, TabNet: attentive interpretable tabular learning, AAAI, 2021"
    package = "pytorch-tabnet"
    module = "pytorch_tabnet"
    extra = "tabnet"

    def __init__(
        self,
        modalities: Mapping[str, InputShape],
        n_outputs: int,
        *,
        width: int | Sequence[int] = 8,
        steps: int | Sequence[int] = 3,
        epochs: int | Sequence[int] = 100,
        learning_rate: float | Sequence[float] = 0.02,
    ) -> None:
        super().__init__(modalities, n_outputs, width=width, steps=steps, epochs=epochs, learning_rate=learning_rate)

    def check(self, **options: Any) -> None:
        """Raise a LimbeckError when values of options make no sense."""
        _positive(**options)
        _counts(width=options["width"], steps=options["steps"], epochs=options["epochs"])

    def learn(
        self, x: np.ndarray, y: np.ndarray, weights: np.ndarray, seed: int, groups: np.ndarray, options: Options
    ) -> Predictor:
        """Fit the model and return its predictor."""
        tab_model: Any = importlib.import_module("pytorch_tabnet.tab_model")
        kind = tab_model.TabNetRegressor if self.n_outputs == 1 else tab_model.TabNetClassifier
        batch = min(1024, len(x))
        # The package seeds the streams that everybody shares.
        before = np.random.get_state()  # noqa: NPY002
        with torch.random.fork_rng(devices=[]):
            model = kind(
                n_d=options["width"],
                n_a=options["width"],
                n_steps=options["steps"],
                optimizer_params={"lr": options["learning_rate"]},
                seed=seed,
                verbose=0,
                device_name="cpu",
            )
            model.fit(
                x.astype(np.float32),
                y.astype(np.float32)[:, None] if self.n_outputs == 1 else y,
                max_epochs=options["epochs"],
                batch_size=batch,
                virtual_batch_size=min(128, batch),
                weights=weights,
            )
        np.random.set_state(before)  # noqa: NPY002
        if self.n_outputs == 1:
            return lambda rows: np.asarray(model.predict(rows.astype(np.float32)))[:, 0]
        return lambda rows: np.asarray(model.predict_proba(rows.astype(np.float32)))


def _values(estimator: Any) -> Predictor:
    return lambda rows: np.asarray(estimator.predict(rows), dtype=np.float64)


def _probabilities(estimator: Any) -> Predictor:
    return lambda rows: np.asarray(estimator.predict_proba(rows), dtype=np.float64)


def _scores(machine: Any) -> Predictor:
    """Return decision values (rows, classes), whichever form a machine gives them in."""

    def scores(rows: np.ndarray) -> np.ndarray:
        found = np.asarray(machine.decision_function(rows))
        return found if found.ndim == 2 else np.stack([-found, found], axis=1) / 2

    return scores


def _softmax(x: np.ndarray) -> np.ndarray:
    shares = np.exp(x - x.max(axis=1, keepdims=True))
    result: np.ndarray = shares / shares.sum(axis=1, keepdims=True)
    return result
