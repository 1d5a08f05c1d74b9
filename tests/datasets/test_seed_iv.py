"""Reading SEED-IV, from files that have its format and random numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from corpora.seed import make_trials, write_features, write_file
from corpora.seed_iv import LABELS, NAMES

from limbeck.datasets import checks_of, guess, info, load, seed_iv
from limbeck.errors import DataError, ReadError
from limbeck.recording import Corpus


@pytest.fixture
def home(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Two subjects, of which the second has no third session."""
    for subject, sessions in ((2, (1, 2, 3)), (10, (1, 2))):
        for session in sessions:
            # The latest date is that of the first session: folders decide, not dates.
            name = f"{session}/{subject}_2015{13 - session}01.mat"
            write_file(tmp_path / "eeg_raw_data" / name, make_trials(rng, 24), f"x{subject}", rng)
            write_features(tmp_path / "eeg_feature_smooth" / name, rng, 1)
    return tmp_path


def said(corpus: Corpus) -> str:
    list(corpus)
    return " ".join(f"{item.what}: {item.why}" for item in corpus.left_out)


def test_labels_depend_on_the_session(home: Path) -> None:
    assert guess(home) == guess(home / "eeg_raw_data") == "seed-iv"
    corpus = load("seed-iv", home)
    for session, labels in LABELS.items():
        own = [s for s in corpus.sources if (s.subject, s.session) == ("S02", str(session))]
        assert [source.options["label"] for source in own] == list(labels)
        assert all(source.files[0].parent.name == str(session) for source in own)
    recording = corpus.sources[3].read()
    assert (recording.ratings["label"], recording.events[0].name) == (0, "neutral")
    assert [sum(labels.count(k) for labels in LABELS.values()) for k in NAMES] == [18] * 4, "as the design has it"


def test_sessions_and_subjects_are_chosen(home: Path) -> None:
    corpus = load("seed-iv", home, subjects=[10], sessions=[2])
    assert {(source.subject, source.session) for source in corpus.sources} == {("S10", "2")}
    assert len(corpus) == 24
    with pytest.raises(DataError, match="no subject 'S03'"):
        load("seed-iv", home, subjects=[3])
    with pytest.raises(DataError, match="no session '4' among 1, 2, 3"):
        load("seed-iv", home, sessions=[4])
    with pytest.raises(DataError, match="no eeg 'volt'"):
        load("seed-iv", home, eeg="volt")


def test_what_is_missing_is_reported(home: Path, rng: np.random.Generator) -> None:
    raw = home / "eeg_raw_data"
    write_file(raw / "1" / "2_20160101.mat", make_trials(rng, 24), "x2", rng)
    (raw / "1" / "notes.mat").write_bytes(b"")
    text = said(load("seed-iv", home, sessions=[1, 3]))
    assert "S10: there is no file of session 3" in text
    assert "2_20160101.mat: 2_20151201.mat is of the same subject and session" in text
    assert "notes.mat: found a file of another name" in text
    assert "no file of 13 of the 15 subjects" in text
    for file in (raw / "3").iterdir():
        file.unlink()
    (raw / "3").rmdir()
    assert "there is no folder of session 3" in said(load("seed-iv", home))


def test_a_damaged_file_costs_its_own_recordings(home: Path) -> None:
    broken = home / "eeg_raw_data" / "1" / "2_20151201.mat"
    broken.write_bytes(broken.read_bytes()[:-50])
    corpus = load("seed-iv", home)
    assert {(r.subject, r.session) for r in corpus} == {("S02", "2"), ("S02", "3"), ("S10", "1"), ("S10", "2")}
    assert str(broken) in said(corpus)


def test_folders_of_features_and_eye_movements_are_not_signals(home: Path, tmp_path: Path) -> None:
    assert not seed_iv.looks_like(home / "eeg_feature_smooth")
    with pytest.raises(ReadError, match=r"no file such as 1/1_20160518.mat"):
        load("seed-iv", home / "eeg_feature_smooth")
    assert any("eye movements: not read" in fact for fact in info("seed-iv").uncertain)


def test_checks(home: Path) -> None:
    checks = checks_of("seed-iv")
    assert checks is not None
    found = {check.what: check for check in checks(home, load("seed-iv", home))}
    assert found["every subject has the sessions 1, 2 and 3"].found == "S10: 1, 2"
    assert found["every file has the trials 1 to 24"].passed
    assert found["the labels are those of the files"].passed is None


@pytest.mark.slow
def test_a_session_of_full_length(home: Path, rng: np.random.Generator) -> None:
    trials = {k: np.full((62, 30_000 + k), float(k)) for k in range(1, 25)}
    trials[24] = rng.normal(0, 20, (62, 45_000))
    write_file(home / "eeg_raw_data" / "1" / "2_20151201.mat", trials, "x2", rng)
    for k, recording in enumerate(load("seed-iv", home, subjects=[2], sessions=[1]), start=1):
        np.testing.assert_array_equal(recording.signals["eeg"].data, trials[k].astype("f4"))
