from __future__ import annotations

import numpy as np
import pytest

from limbeck import datasets, windows
from limbeck.errors import DataError, StudyError


def test_a_table_has_a_row_per_window_and_a_column_per_feature():
    corpus = datasets.load("simulated", subjects=2, trials=2, modalities=["eda", "temp"])
    cohort = windows.cut(corpus, signals="wearable", target=None, length=8, hop=8)
    table = windows.feature_table(cohort)
    assert len(table) == cohort.sizes["window"]
    assert list(table.columns[: len(windows.table(cohort).columns)]) == list(windows.table(cohort).columns)
    features = [*cohort["eda"].attrs["features"], *cohort["temp"].attrs["features"]]
    assert list(table.columns[-len(features) :]) == features
    np.testing.assert_array_equal(table[cohort["eda"].attrs["features"]].to_numpy(), cohort["eda"].to_numpy())
    assert table["eda_quality"].between(0, 1).all()


def test_samples_are_no_features():
    corpus = datasets.load("simulated", subjects=1, trials=2, modalities=["eda", "temp"])
    cohort = windows.cut(corpus, signals={"eda": [], "temp": []}, target=None, length=8, hop=8)
    with pytest.raises(DataError, match="hold samples of eda, temp, and no features"):
        windows.feature_table(cohort)


def test_a_feature_set_takes_what_the_recordings_have_and_a_list_of_modalities_does_not():
    corpus = datasets.load("simulated", subjects=1, trials=2, modalities=["eda", "temp"])
    cohort = windows.cut(corpus, signals="wearable", target=None, length=8, hop=8)
    assert windows.modalities(cohort) == ("eda", "temp")
    with pytest.raises(StudyError, match="no recording has ecg"):
        windows.cut(corpus, signals={"eda": [], "ecg": []}, target=None, length=8, hop=8)
    with pytest.raises(DataError, match="none of the modalities eeg"):
        windows.cut(corpus, signals="zhang2022", target=None, length=8, hop=8)
