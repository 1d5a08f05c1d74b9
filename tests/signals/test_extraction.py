from __future__ import annotations

import numpy as np
import pytest

from limbeck.errors import DataError, StudyError
from limbeck.signals import extract, statistics

MEAN = [{"features": [{"statistics": {"kinds": ["mean"]}}]}]


def test_modalities_stand_side_by_side_in_the_order_asked(rng):
    eda, temp = rng.normal(size=(3, 1, 20)), rng.normal(size=(3, 2, 40))
    values, names = extract({"temp": MEAN, "eda": MEAN}, {"eda": (eda, 4), "temp": (temp, 8)}, {"temp": ["a", "b"]})
    assert names == ("temp.a.statistics.mean", "temp.b.statistics.mean", "eda.1.statistics.mean")
    np.testing.assert_allclose(values[:, :2], statistics(temp, 8, ["mean"])[..., 0], rtol=1e-6)
    np.testing.assert_allclose(values[:, 2:], statistics(eda, 4, ["mean"])[..., 0], rtol=1e-6)


def test_steps_of_recordings_see_each_window_as_one(rng):
    eda = rng.normal(size=(3, 1, 64))
    steps = {"eda": [{"resample": 2}, {"lowpass": 0.5}, *MEAN]}
    whole, _ = extract(steps, {"eda": (eda, 4)})
    parts = [extract(steps, {"eda": (eda[[row]], 4)})[0] for row in range(3)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_no_windows_have_no_rows_and_all_columns(rng):
    values, names = extract("wearable", {"eda": (rng.normal(size=(0, 1, 240)), 4.0)})
    assert values.shape == (0, len(names))
    assert len(names) == 10


def test_what_does_not_fit_is_told_at_once(rng):
    eda = rng.normal(size=(3, 1, 20))
    with pytest.raises(DataError, match=r"no windows of temp; nothing is computed of eda"):
        extract({"temp": MEAN}, {"eda": (eda, 4)})
    with pytest.raises(DataError, match="numbers of windows differ"):
        extract({"temp": MEAN, "eda": MEAN}, {"eda": (eda, 4), "temp": (eda[:2], 4)})
    with pytest.raises(DataError, match="1 channels, but 2 names"):
        extract({"eda": MEAN}, {"eda": (eda, 4)}, {"eda": ["a", "b"]})
    with pytest.raises(DataError, match="no features are named"):
        extract({"eda": []}, {"eda": (eda, 4)})
    with pytest.raises(DataError, match="2 dimensions"):
        extract({"eda": MEAN}, {"eda": (eda[0], 4)})
    with pytest.raises(DataError, match=r"found \(20, 4\), more channels than samples"):
        extract({"eda": MEAN}, {"eda": (eda.repeat(4, axis=1).swapaxes(1, 2), 4)})
    with pytest.raises(DataError, match="no channels"):
        extract({"eda": MEAN}, {"eda": (eda[:, :0], 4)})
    for pair in (eda, (5, 4), (eda, 4, 4), (eda, [4])):
        with pytest.raises(DataError, match="pair"):
            extract({"eda": MEAN}, {"eda": pair})
    with pytest.raises(DataError, match=r"channels of edda are named.*; the channels of eda are names in a list"):
        extract({"eda": MEAN}, {"eda": (eda, 4)}, {"edda": ["a"], "eda": "a"})
    with pytest.raises(DataError, match=r"twice, such as eda\.a\.statistics\.mean"):
        extract({"eda": MEAN}, {"eda": (np.concatenate([eda, eda], axis=1), 4)}, {"eda": np.array(["a", "a"])})
    with pytest.raises(DataError, match="sampling rate"):
        extract({"eda": MEAN}, {"eda": (eda, 0)})
    with pytest.raises(StudyError, match="There is no feature set"):
        extract("wearabel", {"eda": (eda, 4)})
