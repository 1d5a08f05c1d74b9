"""Reading SEED, from files that have its format and random numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from corpora.seed import LABELS, make_trials, write_features, write_file

from limbeck.datasets import checks_of, guess, info, load, seed
from limbeck.errors import DataError, ReadError
from limbeck.recording import Corpus


@pytest.fixture
def home(tmp_path: Path, rng: np.random.Generator) -> Path:
    """One subject with three sessions."""
    home = tmp_path / "Preprocessed_EEG"
    for date in (20131101, 20131027, 20131107):
        write_file(home / f"1_{date}.mat", make_trials(rng, 15), "djc", rng)
    scipy.io.savemat(home / "label.mat", {"label": np.array([LABELS], dtype=np.int16)})
    return home


def said(corpus: Corpus) -> str:
    list(corpus)
    return " ".join(f"{item.what}: {item.why}" for item in corpus.left_out)


def test_sessions_are_counted_by_date(home: Path) -> None:
    corpus = load("seed", home)
    first = {source.session: source.files[0].name for source in corpus.sources}
    assert first == {"1": "1_20131027.mat", "2": "1_20131101.mat", "3": "1_20131107.mat"}
    assert len(corpus) == 45
    chosen = load("seed", home, sessions=[2])
    assert {source.session for source in chosen.sources} == {"2"}
    (home / "1_20131101.mat").unlink()
    assert "S01 has 2 of 3 sessions (1_20131027.mat, 1_20131107.mat)" in said(load("seed", home))


def test_trials_are_paired_with_labels_by_number_not_by_place_in_the_file(home: Path, rng: np.random.Generator) -> None:
    trials = {k: np.full((62, 40), float(k)) for k in range(1, 16)}
    content = {f"ab_eeg{k}": trials[k] for k in (10, 2, 1, 15, 3, 9, 4, 11, 8, 5, 14, 7, 12, 6, 13)}
    scipy.io.savemat(home / "1_20131027.mat", content)
    recordings = list(load("seed", home, sessions=["1"]))
    assert [recording.signals["eeg"].data[0, 0] for recording in recordings] == list(range(1, 16))
    assert [recording.ratings["label"] for recording in recordings] == list(LABELS)
    assert {(r.ratings["label"], r.events[0].name) for r in recordings} == {
        (-1, "negative"), (0, "neutral"), (1, "positive"),
    }  # fmt: skip


def test_features_of_the_same_names_are_not_taken_for_signals(home: Path, rng: np.random.Generator) -> None:
    features = home.parent / "ExtractedFeatures"
    file = write_features(features / "1_20131027.mat", rng, 3)
    assert guess(home.parent) == guess(home) == "seed"
    assert not seed.looks_like(features)
    assert {source.files[0].parent.name for source in load("seed", home.parent).sources} == {"Preprocessed_EEG"}
    raw = scipy.io.loadmat(file)
    found = seed.read_features(file)
    assert list(found) == [1, 2, 3]
    np.testing.assert_array_equal(found[2], raw["de_LDS2"])
    np.testing.assert_array_equal(seed.read_features(file, "psd", smoothing="movingAve")[3], raw["psd_movingAve3"])
    with pytest.raises(ReadError, match="no variable asm_LDS1"):
        seed.read_features(file, "asm")
    with pytest.raises(DataError, match=r"no kind 'psb' of features. Did you mean 'psd'"):
        seed.read_features(file, "psb")
    scipy.io.savemat(file, {"de_LDS1": np.zeros((62, 4))})
    with pytest.raises(ReadError, match=r"'de_LDS1': found shape \(62, 4\)"):
        seed.read_features(file)


def test_the_labels_are_those_of_the_file_where_it_can_be_used(home: Path) -> None:
    file = home / "label.mat"
    other = np.array([LABELS])
    other[0, [0, 4]] = -1
    scipy.io.savemat(file, {"label": other})
    corpus = load("seed", home)
    assert [source.options["label"] for source in corpus.sources[:5]] == [-1, 0, -1, -1, -1]
    assert "differs from the published labels in trial 1, 5; it is used" in said(corpus)
    for content, message in (
        ({"label": np.ones((1, 14))}, "1 x 14 numbers"),
        ({"label": np.full((1, 15), 2)}, "expected -1, 0 or 1"),
        ({"labels": other}, "no variable 'label'"),
    ):
        scipy.io.savemat(file, content)
        corpus = load("seed", home)
        assert [source.options["label"] for source in corpus.sources[:15]] == list(LABELS)
        assert message in said(corpus)
    file.unlink()
    assert "label.mat: it is not there; the labels are those published" in said(load("seed", home))


def test_labels_may_stand_in_a_column(home: Path) -> None:
    scipy.io.savemat(home / "label.mat", {"label": np.array([LABELS]).T})
    assert "label.mat" not in said(load("seed", home))


def test_files_of_old_copies_are_called_after_people(home: Path) -> None:
    for file in home.glob("1_*.mat"):
        file.rename(home / file.name.replace("1_", "dujc_"))
    (home / "zhujiayi_20140401.mat").write_bytes(b"")
    corpus = load("seed", home.parent)
    assert corpus.subjects == ("dujc", "zhujiayi")
    first = {source.session: source.files[0].name for source in corpus.sources if source.subject == "dujc"}
    assert first == {"1": "dujc_20131027.mat", "2": "dujc_20131101.mat", "3": "dujc_20131107.mat"}
    assert [source.options["label"] for source in corpus.sources[:15]] == list(LABELS)
    assert corpus.sources[0].read().subject == "dujc"
    assert "there are files of 2 of the 15 subjects" in said(corpus)
    assert load("seed", home, subjects=["zhujiayi"]).subjects == ("zhujiayi",)
    elsewhere = home.rename(home.parent / "mine")
    (elsewhere / "label.mat").unlink()
    assert not seed.looks_like(elsewhere)  # nothing says any more that these are SEED's


def test_a_trial_that_is_not_there_costs_its_own_recording(home: Path, rng: np.random.Generator) -> None:
    trials = make_trials(rng, 15)
    del trials[7]
    trials[3] = trials[3][:61]
    trials[4][:] = np.nan
    trials[5][2, 9] = np.inf
    write_file(home / "1_20131027.mat", trials, "djc", rng)
    corpus = load("seed", home, sessions=[1])
    recordings = {recording.trial: recording for recording in corpus}
    assert set(map(str, range(1, 16))) - set(recordings) == {"3", "4", "7"}
    text = said(corpus)
    assert "expected a variable ending in _eeg7" in text
    assert "found 61 x" in text
    assert "'djc_eeg4': found no sample that is a number" in text
    assert "trial 5: 1 of" in text
    assert np.argwhere(np.isnan(recordings["5"].signals["eeg"].data)).tolist() == [[2, 9]]


def test_two_variables_of_one_trial_are_refused(home: Path, rng: np.random.Generator) -> None:
    scipy.io.savemat(home / "1_20131027.mat", {"ab_eeg1": np.ones((62, 9)), "cd_eeg1": np.ones((62, 9))})
    assert "found 'ab_eeg1' and 'cd_eeg1'; expected one variable" in said(load("seed", home, sessions=[1]))


def test_files_of_other_names_are_reported(home: Path) -> None:
    (home / "djc_20131027.mat").write_bytes(b"")
    (home / "._1_20131027.mat").write_bytes(b"")
    (home / "2_20131027.mat").mkdir()
    corpus = load("seed", home)
    assert corpus.subjects == ("S01",)
    text = said(corpus)
    assert "djc_20131027.mat: found a file of another name" in text
    assert "2_20131027.mat: found a folder" in text
    assert "._1" not in text
    assert "no file of 14 of the 15 subjects: S02" in text


@pytest.mark.parametrize(
    ("eeg", "scale", "unit"), [("µV", 1, "µV"), ("mV", 1e3, "µV"), ("V", 1e6, "µV"), ("stored", 1, "a.u.")]
)
def test_the_unit_is_an_option(home: Path, rng: np.random.Generator, eeg: str, scale: float, unit: str) -> None:
    trials = {1: rng.normal(0, 20 / scale, (62, 50))}
    write_file(home / "1_20131027.mat", trials, "djc", rng)
    recording = load("seed", home, eeg=eeg).sources[0].read()
    signal = recording.signals["eeg"]
    assert (signal.unit, recording.notes) == (unit, ())
    np.testing.assert_allclose(signal.data, trials[1] * scale, rtol=1e-5)


def test_a_unit_that_cannot_be_is_said_once_for_a_file(home: Path) -> None:
    corpus = load("seed", home, sessions=[1], eeg="V")
    text = said(corpus)
    assert text.count("it spans more than EEG does") == 1
    assert "taken to be in V" in text


def test_what_is_not_there_is_said(tmp_path: Path, home: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReadError, match=r"no file such as 1_20131027.mat"):
        load("seed", tmp_path / "empty")
    for options, message in (
        ({"subjects": ["2"]}, "no subject 'S02'"),
        ({"sessions": [4]}, "no session '4' among 1, 2, 3"),
        ({"eeg": "uV"}, "no eeg 'uV'"),
    ):
        settings: dict[str, Any] = options
        with pytest.raises(DataError, match=message):
            load("seed", home, **settings)
    assert any("option eeg" in fact for fact in info("seed").uncertain)


def test_checks(home: Path, rng: np.random.Generator) -> None:
    checks = checks_of("seed")
    assert checks is not None
    found = {check.what: check for check in checks(home, load("seed", home))}
    assert found["every subject has 3 sessions"].passed
    assert found["label.mat holds the published labels"].passed
    assert found["every file has the trials 1 to 15"].passed
    (home / "label.mat").unlink()
    write_file(home / "1_20131027.mat", make_trials(rng, 16), "djc", rng)
    found = {check.what: check for check in checks(home, load("seed", home))}
    assert found["label.mat holds the published labels"].passed is None
    assert "1_20131027.mat: 1, 2" in found["every file has the trials 1 to 15"].found


@pytest.mark.slow
def test_a_session_of_full_length_unpacks_one_trial_at_a_time(home: Path, rng: np.random.Generator) -> None:
    import tracemalloc

    trials = {k: np.full((62, 47_001), float(k)) for k in range(1, 16)}
    trials[9] = rng.normal(0, 20, (62, 47_001))
    write_file(home / "1_20131027.mat", trials, "djc", rng)
    tracemalloc.start()
    try:
        for trial, recording in enumerate(load("seed", home, sessions=[1]), start=1):
            np.testing.assert_array_equal(recording.signals["eeg"].data, trials[trial].astype("f4"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 8 * 62 * 47_001
