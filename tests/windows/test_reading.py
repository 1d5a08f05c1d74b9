"""Views select what a model sees, and say what is misspelt."""

import numpy as np
import pytest

from limbeck.errors import StudyError
from limbeck.recording import Event, Recording, Signal
from limbeck.windows import cut, modalities, view


@pytest.fixture
def corpus(rng, ramp, make_corpus):
    eeg = Signal(rng.normal(size=(3, 100 * 64)).astype(np.float32), 64.0, ("Fp1", "Fp2", "Cz"), "µV")
    events = (Event("rest", 0, 50), Event("task", 50, 100))
    return make_corpus(Recording("S1", {"eeg": eeg, "eda": ramp(4.0, 100)}, events=events))


def test_samples_are_selected_by_channel_in_the_order_asked(corpus, rest_and_task):
    windows = cut(corpus, signals={"eeg": [], "eda": []}, target=rest_and_task, length=10, hop=5)
    seen = view(windows, {"eeg": ["Cz", "Fp1"]})
    assert modalities(windows) == ("eeg", "eda")
    assert modalities(seen) == ("eeg",)
    assert seen.eeg.attrs == {"rate": 64.0, "unit": "µV", "channels": ["Cz", "Fp1"]}
    np.testing.assert_array_equal(seen.eeg, windows.eeg[:, [2, 0]])
    np.testing.assert_array_equal(seen.target, windows.target)
    assert set(seen.data_vars) == {"eeg", "eeg_present", "eeg_quality", "target"}
    assert "eda" in windows
    assert windows.eeg.attrs["channels"] == ["Fp1", "Fp2", "Cz"]


def test_features_are_selected_by_the_channel_they_come_from(corpus, rest_and_task):
    features = [{"features": [{"bandpower": {"bands": {"a": [1, 8], "b": [8, 20]}}}]}]
    windows = cut(corpus, signals={"eeg": features, "eda": []}, target=rest_and_task, length=10, hop=5)
    seen = view(windows, {"eda": None, "eeg": ["Fp2"]})
    assert seen.eeg.attrs["features"] == ["eeg.Fp2.bandpower.a", "eeg.Fp2.bandpower.b"]
    assert seen.eeg.attrs["channels"] == ["Fp2", "Fp2"]
    np.testing.assert_array_equal(seen.eeg, windows.eeg[:, 2:4])
    assert modalities(seen) == ("eda", "eeg")
    np.testing.assert_array_equal(seen.eda, windows.eda)


def test_a_view_has_its_own_key(corpus, rest_and_task):
    windows = cut(corpus, signals={"eeg": [], "eda": []}, target=rest_and_task, length=10, hop=5)
    inputs = [{"eeg": None}, {"eeg": ["Cz"]}, {"eda": None}, {"eeg": None, "eda": None}]
    keys = {view(windows, each).attrs["key"] for each in inputs} | {windows.attrs["key"]}
    assert len(keys) == 5


def test_all_mistakes_are_told_at_once(corpus, rest_and_task):
    windows = cut(corpus, signals={"eeg": [], "eda": []}, target=rest_and_task, length=10, hop=5)
    with pytest.raises(StudyError) as caught:
        view(windows, {"eeg": ["Fp3", "Cz", "Cz"], "ecg": None, "eda": []})
    text = str(caught.value)
    for part in (
        "eeg has no channel 'Fp3'. Did you mean 'Fp",
        "eeg: 'Cz' is named twice",
        "there is no modality 'ecg' in these windows. Did you mean 'eeg'",
        "eda: name at least one channel",
    ):
        assert part in text
    with pytest.raises(StudyError, match="at least one modality"):
        view(windows, {})
