"""How often the test claims a difference where there is none.

``python -m limbeck.evaluation.null`` simulates tables of predictions of two arms that could be swapped for any subject,
scores them by the road that real predictions take, and prints how often the sign-flip test rejects at 5 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from limbeck.evaluation.statistics import sign_flip_test
from limbeck.evaluation.tables import subject_scores

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["null_p_values", "null_predictions", "rejection_rate"]

ARMS = ("taught", "alone")


def null_predictions(
    n_tables: int, generator: np.random.Generator, *, n_subjects: int = 22, n_windows: int = 35, n_seeds: int = 2
) -> pd.DataFrame:
    """Simulate predictions of two exchangeable arms, one variant per table.

    A subject has a share of class 1, a difficulty that both arms share, and an effect of its own on each arm, drawn
    from one distribution; windows have a difficulty that arms and seeds share. So subjects differ, arms are correlated,
    and the differences of the arms have a spread of their own, as in real tables, but no mean.

    Parameters
    ----------
    n_tables, n_subjects, n_windows, n_seeds : int
        How many of each.
    generator : numpy.random.Generator
        Where everything is drawn from.

    Returns
    -------
    pandas.DataFrame
        A table of predictions; ``variant`` numbers the tables.
    """
    import pandas as pd

    shape = (n_tables, len(ARMS), n_subjects, n_seeds, n_windows)
    share = generator.beta(8, 8, (n_tables, 1, n_subjects, 1, 1))
    truth = generator.random((n_tables, 1, n_subjects, 1, n_windows), np.float32) < share
    skill = generator.normal(0.6, 0.7, (n_tables, 1, n_subjects, 1, 1))
    skill = skill + generator.normal(0.0, 0.4, (n_tables, len(ARMS), n_subjects, 1, 1))
    ease = generator.normal(0.0, 1.0, (n_tables, 1, n_subjects, 1, n_windows))
    right = generator.logistic(size=shape) < skill + ease
    prediction = np.where(right, truth, ~truth)
    tables, arms, subjects, seeds, windows = (axis.ravel() for axis in np.indices(shape, dtype=np.int32))
    return pd.DataFrame(
        {
            "variant": tables,
            "arm": pd.Categorical.from_codes(arms, list(ARMS)),
            "subject": subjects,
            "window": subjects * n_windows + windows,
            "repetition": 0,
            "seed": seeds,
            "truth": np.broadcast_to(truth, shape).ravel().astype(np.int64),
            "prediction": prediction.ravel().astype(np.int64),
        }
    )


def null_p_values(n_tables: int = 1000, *, seed: int = 0, n_subjects: int = 22, chunk: int = 100) -> np.ndarray:
    """Return the sign-flip p-values of taught against alone on tables where they do not differ.

    Parameters
    ----------
    n_tables : int
        Tables to simulate.
    seed : int
        Key of the simulation.
    n_subjects : int
        Subjects per table.
    chunk : int
        Tables held in memory at a time.

    Returns
    -------
    ndarray of shape (n_tables,), float64
    """
    p_values = []
    for first in range(0, n_tables, chunk):
        generator = np.random.default_rng([seed, first])
        size = min(chunk, n_tables - first)
        predictions = null_predictions(size, generator, n_subjects=n_subjects)
        scores = subject_scores(predictions, n_classes=2)["balanced_accuracy"].to_numpy()
        # Rows stand in the order of the simulation: table, arm, subject.
        taught, alone = np.moveaxis(scores.reshape(size, len(ARMS), n_subjects), 1, 0)
        p_values += [sign_flip_test(difference) for difference in np.round(taught - alone, 12)]
    return np.asarray(p_values)


def rejection_rate(n_tables: int = 1000, *, alpha: float = 0.05, seed: int = 0, n_subjects: int = 22) -> float:
    """Return the share of null tables on which the sign-flip test rejects at `alpha`.

    Other arguments as in :func:`null_p_values`.
    """
    return float((null_p_values(n_tables, seed=seed, n_subjects=n_subjects) <= alpha).mean())


def main() -> None:
    """Print the rejection rate at 5 % on 1,000 null tables."""
    n_tables, alpha = 1000, 0.05
    rate = rejection_rate(n_tables, alpha=alpha)
    print(
        f"On {n_tables} null tables of predictions (22 subjects, 35 windows, 2 seeds) the sign-flip test rejects "
        f"{100 * rate:.1f} % at {100 * alpha:g} %."
    )


if __name__ == "__main__":
    main()
