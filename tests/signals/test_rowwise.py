"""Rows are computed block by block, whole or not at all."""

import numpy as np
import pytest

from limbeck.signals.rowwise import compute_rows


def test_rows_are_doubles_and_flat_ones_are_told(rng):
    x = rng.normal(size=(2, 3, 50)).astype(np.float32)
    x[1, 2] = 0.1

    def compute(rows, flat):
        assert rows.dtype == np.float64
        return np.stack([rows.sum(axis=-1), flat], axis=-1)

    values = compute_rows(x, 2, compute)
    assert values.shape == (2, 3, 2)
    np.testing.assert_array_equal(values[..., 1], [[0, 0, 0], [0, 0, 1]])
    np.testing.assert_allclose(values[..., 0], x.sum(axis=-1, dtype=float))


@pytest.mark.parametrize("axes", [1, 2])
def test_many_rows_come_in_blocks_and_gaps_make_rows_nan(axes, rng):
    x = rng.normal(size=(300, *[2] * (axes - 1), 1000))
    x[17].reshape(-1)[5] = np.nan
    seen = []

    def compute(rows, flat):
        assert rows.ndim == axes + 1
        assert flat.shape == rows.shape[:-1]
        assert np.isfinite(rows).all()
        seen.append(len(rows))
        return rows.reshape(len(rows), -1)[:, :1]

    values = compute_rows(x, 1, compute, axes=axes)
    assert len(seen) > 1
    assert sum(seen) == 300
    expected = x.reshape(300, -1)[:, :1].copy()
    expected[17] = np.nan
    np.testing.assert_array_equal(values, expected)


def test_no_rows_make_no_values():
    assert compute_rows(np.empty((0, 4, 30)), 3, lambda rows, flat: np.empty((len(rows), 3))).shape == (0, 4, 3)
