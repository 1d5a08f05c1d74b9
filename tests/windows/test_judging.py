"""The quality of the signals as recorded stands beside their windows, whatever is made of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from limbeck.recording import Event, Recording, Signal
from limbeck.signals import QUALITY, moving_share, window_quality
from limbeck.windows import cut, load, quality_summary, save, view, worst_quality

EVENTS = (Event("rest", 0, 60), Event("task", 60, 120))
MOTION = QUALITY.index("motion")


@pytest.fixture
def corpus(rng, make_corpus):
    """Two subjects with EEG and EDA; in the second the EDA is off the skin in the task, and Fp2 is flat."""
    eeg = (20 * rng.normal(size=(3, 120 * 128))).astype(np.float32)
    eda = (3 + 0.01 * rng.normal(size=(1, 480))).astype(np.float32)
    good = {"eeg": Signal(eeg, 128.0, ("Fp1", "Fp2", "Cz"), "µV"), "eda": Signal(eda, 4.0, ("eda",), "µS")}
    flat, off = eeg.copy(), eda.copy()
    flat[1], off[:, 240:] = 5.0, 0.0
    bad = {"eeg": replace(good["eeg"], data=flat), "eda": replace(good["eda"], data=off)}
    return make_corpus(Recording("S1", good, events=EVENTS), Recording("S2", bad, events=EVENTS))


def cut_both(corpus, target, eeg=(), eda=(), **options):
    return cut(corpus, signals={"eeg": list(eeg), "eda": list(eda)}, target=target, length=10, hop=5, **options)


def test_quality_is_that_of_the_signal_as_recorded(corpus, rest_and_task):
    windows = cut_both(corpus, rest_and_task)
    cleaned = cut_both(corpus, rest_and_task, [{"bandpass": [1, 40]}, {"resample": 64}], [{"features": ["statistics"]}])
    for modality, channels in (("eeg", ["Fp1", "Fp2", "Cz"]), ("eda", ["eda"])):
        quality = cleaned[f"{modality}_quality"]
        assert quality.dims == ("window", f"{modality}_sensor", "quality")
        assert quality.dtype == np.float32
        assert quality.attrs == {"channels": channels, "kinds": list(QUALITY)}
        np.testing.assert_array_equal(quality, windows[f"{modality}_quality"])


def test_quality_is_judged_on_the_whole_recording_at_the_windows_times(corpus, rest_and_task):
    windows = cut_both(corpus, rest_and_task)
    signal = corpus.sources[1].read().signals["eda"]
    second = windows["subject"].to_numpy() == 1
    first = (windows["start"].to_numpy()[second] * 4).astype(int)
    expected = window_quality(signal.data, 4.0, "eda", first, 40).astype(np.float32)
    np.testing.assert_array_equal(windows["eda_quality"][second], expected)
    overall = windows["eda_quality"][:, 0, -1].to_numpy()
    assert (overall[~second] == 1).all()
    assert (overall[second & (windows["start"].to_numpy() >= 60)] == 0).all()
    eeg = windows["eeg_quality"][:, :, -1].to_numpy()
    assert (eeg[second][:, 1] == 0).all()
    assert (eeg[second][:, [0, 2]] > 0.9).all()


def test_without_quality_there_is_none_and_the_key_is_another(corpus, rest_and_task):
    windows, without = cut_both(corpus, rest_and_task), cut_both(corpus, rest_and_task, quality=False)
    assert not [name for name in without.data_vars if str(name).endswith("_quality")]
    assert without.attrs["key"] != windows.attrs["key"]
    np.testing.assert_array_equal(without["eeg"], windows["eeg"])
    assert np.isnan(worst_quality(without, "eda")).all()
    assert quality_summary(without) == []


def test_features_that_could_not_be_computed_are_not_valid(corpus, rest_and_task):
    features = [{"features": [{"statistics": {"kinds": ["mean", "skewness"]}}]}]
    windows = cut_both(corpus, rest_and_task, eda=features)
    assert windows["eda_valid"].dims == windows["eda"].dims
    np.testing.assert_array_equal(windows["eda_valid"], np.isfinite(windows["eda"]))
    assert windows["eda_valid"][:, 0].all()
    assert not windows["eda_valid"][:, 1].all()  # a constant window has no skewness
    assert "eeg_valid" not in windows


def test_quality_and_validity_are_kept_on_disk_and_in_the_cache(corpus, rest_and_task, tmp_path):
    features = [{"features": ["statistics"]}]
    windows = cut_both(corpus, rest_and_task, eda=features, cache=tmp_path / "cache")
    again = cut_both(corpus, rest_and_task, eda=features, cache=tmp_path / "cache")
    save(windows, tmp_path / "set.zarr")
    for other in (again, load(tmp_path / "set.zarr")):
        for name in ("eeg_quality", "eda_quality", "eda_valid"):
            np.testing.assert_array_equal(other[name], windows[name])
            assert other[name].attrs == windows[name].attrs


def test_a_recording_that_lacks_a_modality_has_no_quality_of_it(corpus, rest_and_task, make_corpus):
    both, _ = (source.read() for source in corpus.sources)
    alone = Recording("S3", {"eeg": both.signals["eeg"]}, events=EVENTS)
    windows = cut_both(make_corpus(both, alone), rest_and_task, eda=[{"features": ["statistics"]}])
    lacking = windows["subject"].to_numpy() == 1
    assert np.isnan(windows["eda_quality"][lacking]).all()
    assert not windows["eda_valid"][lacking].any()
    assert np.isfinite(windows["eda_quality"][~lacking, :, -1]).all()
    assert np.isfinite(windows["eeg_quality"][:, :, -1]).all()


def test_channels_of_recordings_are_brought_into_one_order(corpus, rest_and_task, make_corpus):
    one, other = (source.read() for source in corpus.sources)
    eeg = other.signals["eeg"]
    turned = replace(eeg, data=eeg.data[[2, 0, 1]], channels=("Cz", "Fp1", "Fp2"))
    another = Recording("S2", {**other.signals, "eeg": turned}, events=EVENTS)
    windows = cut_both(make_corpus(one, another), rest_and_task)
    np.testing.assert_array_equal(windows["eeg_quality"], cut_both(corpus, rest_and_task)["eeg_quality"])


def test_a_view_keeps_the_quality_of_its_channels(corpus, rest_and_task):
    windows = cut_both(corpus, rest_and_task, eda=[{"features": ["statistics"]}])
    seen = view(windows, {"eeg": ["Cz", "Fp1"]})
    assert seen["eeg_quality"].attrs["channels"] == ["Cz", "Fp1"]
    np.testing.assert_array_equal(seen["eeg_quality"], windows["eeg_quality"][:, [2, 0]])
    assert set(seen.data_vars) == {"eeg", "eeg_present", "eeg_quality", "target"}
    seen = view(windows, {"eda": ["eda"]})
    assert set(seen.data_vars) == {"eda", "eda_present", "eda_valid", "eda_quality", "target"}
    assert windows["eeg_quality"].attrs["channels"] == ["Fp1", "Fp2", "Cz"]


def test_what_is_made_of_several_channels_is_as_good_as_the_worst_of_them(corpus, rest_and_task):
    windows = cut_both(corpus, rest_and_task)
    second = windows["subject"].to_numpy() == 1
    for channels, good in ((["Cz"], True), (["Fp1-Cz"], True), (["Fp1-Fp2"], False), (["magnitude"], False)):
        assert (worst_quality(windows, "eeg", channels)[second, -1] > 0.9).all() == good
    assert (worst_quality(windows, "eeg")[second, -1] == 0).all()


def test_the_pulse_is_judged_by_the_accelerometer_of_the_recording(rng, make_corpus, rest_and_task):
    times = np.arange(120 * 64) / 64
    bvp = Signal(np.cos(2 * np.pi * 1.2 * times)[np.newaxis].astype(np.float32), 64.0, ("bvp",), "a.u.")
    shaking = np.where(np.arange(130 * 32) < 70 * 32, 0.01, 0.5) * rng.normal(size=(3, 130 * 32))
    acc = Signal(shaking.astype(np.float32), 32.0, ("x", "y", "z"), "g", start=-10.0)
    corpus = make_corpus(Recording("S1", {"bvp": bvp, "acc": acc}, events=EVENTS))
    windows = cut(corpus, signals={"bvp": []}, target=rest_and_task, length=20, hop=20)
    motion = windows["bvp_quality"][:, 0, MOTION].to_numpy()
    expected = 1 - moving_share(acc.data, 32.0, windows["start"].to_numpy() + 10, 20.0)
    np.testing.assert_allclose(motion, expected, atol=1e-6)
    np.testing.assert_allclose(motion, [1, 1, 1, 0, 0, 0], atol=0.06)


def test_the_summary_tells_the_share_of_poor_windows_and_what_is_wrong_with_them(corpus, rest_and_task):
    summary = {row["modality"]: row for row in quality_summary(cut_both(corpus, rest_and_task))}
    eda, eeg = summary["eda"], summary["eeg"]
    assert eda["windows"] == 44
    assert eda["below"] == pytest.approx(0.25, abs=0.03)
    assert eda["subjects"]["S1"] == {"mean": 1.0, "below": 0.0}
    assert eda["subjects"]["S2"]["below"] == pytest.approx(0.5, abs=0.06)
    assert eda["worst"] in ("motion", "flat")
    assert set(eda["kinds"]) == {"flat", "missing", "motion"}
    assert eeg["worst"] == "flat"
    assert eeg["below"] == 0.5
    only = quality_summary(cut_both(corpus, rest_and_task), {"eeg": ["Fp1"]})
    assert [row["modality"] for row in only] == ["eeg"]
    assert only[0]["below"] == 0
