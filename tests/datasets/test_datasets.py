"""Finding data sets and files by name and by what lies there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from limbeck.datasets import DATASETS, available, data_home, guess, info, load, read_files
from limbeck.errors import DataError, LimbeckError, ReadError
from limbeck.recording import MODALITIES

REAL = ("e4", "edf", "eegmat", "stress-predict")


def test_listing_names_imports_no_reader_and_nothing_heavy() -> None:
    code = (
        "import sys, limbeck.datasets as d; names = d.available(); "
        "heavy = {'pandas', 'scipy', 'torch', 'mne', 'pyedflib', 'pooch', 'neurokit2', 'xarray'} & set(sys.modules); "
        "readers = [m for m in sys.modules if m.startswith('limbeck.datasets.')]; "
        "assert not heavy and not readers, (heavy, readers); "
        "[d.info(n) for n in ('e4', 'edf', 'eegmat', 'stress-predict')]; "
        "heavy = {'pandas', 'scipy', 'torch', 'mne', 'pyedflib', 'pooch'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_data_set_has_a_help_text_and_says_what_it_holds() -> None:
    assert set(REAL) <= set(available()) == set(DATASETS)
    assert len(DATASETS) == len(available())
    for name in REAL:
        assert DATASETS.help(name)
        known = info(name)
        assert set(known.modalities) <= set(MODALITIES)
        assert known.checked
        if known.access == "open":
            assert known.licence
            assert known.citation
            assert known.url.startswith("https://")


def test_an_unknown_data_set_is_refused_with_the_nearest_name() -> None:
    for ask in (load, info):
        with pytest.raises(LimbeckError, match=r"no data set 'eegmatt'\. Did you mean 'eegmat'\?"):
            ask("eegmatt")


def test_all_unknown_options_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no option 'subject'\. Did you mean 'subjects'\?.*no option 'trimm'"):
        load("stress-predict", tmp_path, subject=[1], trimm=3)


def test_a_data_set_that_is_not_there_says_how_to_fetch_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_DATA", str(tmp_path))
    assert data_home() == tmp_path
    with pytest.raises(DataError, match=r"Run `limbeck datasets fetch eegmat`, or give its folder"):
        load("eegmat")
    with pytest.raises(DataError, match=r"cannot download it\. Sign the EULA .* Then give its folder") as refused:
        load("deap")
    assert "datasets fetch" not in str(refused.value)
    with pytest.raises(DataError, match=r"no such file or folder\. Give its folder as root\.$"):
        load("csv")
    with pytest.raises(DataError, match=r"Correct the path"):
        load("eegmat", tmp_path / "nowhere")


def test_fetched_data_sets_are_found_without_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eegmat_edf: Callable[..., bytes]
) -> None:
    monkeypatch.setenv("LIMBECK_DATA", str(tmp_path))
    (tmp_path / "eegmat").mkdir()
    (tmp_path / "eegmat" / "Subject03_1.edf").write_bytes(eegmat_edf(2))
    assert load("eegmat").subjects == ("Subject03",)


def test_the_reader_is_guessed_from_what_lies_there(
    tmp_path: Path, write_e4: Callable[..., Path], eegmat_edf: Callable[..., bytes]
) -> None:
    write_e4(tmp_path / "sp" / "Raw_data" / "S02", 30)
    write_e4(tmp_path / "lab" / "P1", 30)
    for folder, name in (("eegmat", "Subject00_1.edf"), ("edfs", "a.edf"), ("odd", "recording")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(eegmat_edf(1))
    (tmp_path / "s.zip").write_bytes(b"PK")
    expected = {
        "sp": "stress-predict",
        "lab": "e4",
        "lab/P1": "e4",
        "s.zip": "e4",
        "eegmat": "eegmat",
        "eegmat/Subject00_1.edf": "edf",
        "edfs": "edf",
        "odd/recording": "edf",
    }
    assert {path: guess(tmp_path / path) for path in expected} == expected
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReadError, match="found nothing that a reader knows; expected an Empatica E4 session"):
        guess(tmp_path / "empty")
    with pytest.raises(ReadError, match="no such file or folder"):
        guess(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("file", "given", "says"),
    [
        ("s01.dat", "s01.dat", "like a file of deap: give the folder"),
        ("S2.pkl", "S2.pkl", "like a file of wesad"),
        ("mine.csv", "mine.csv", "channels.csv with name, modality, unit and rate"),
        ("lab/mine.csv", "lab", "signals/SUBJECT/TRIAL.csv"),
        ("lab/signals/anna/t1.csv", "lab", "csv wants channels.csv (name, modality, unit, rate) beside it"),
        ("lab/channels.csv", "lab", "csv wants the folder signals beside it"),
        ("deap/metadata_csv/participant_ratings.csv", "deap", "deap wants s01.dat"),
        ("study/participants.tsv", "study", "bids wants folders sub-..."),
        ("odd/x.mat", "odd", "give the data set's name and --root"),
    ],
)
def test_what_nearly_fits_is_told_what_its_reader_wants(tmp_path: Path, file: str, given: str, says: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_bytes(b"1,2\n")
    with pytest.raises(ReadError) as refused:
        guess(tmp_path / given)
    assert says in str(refused.value)


def test_new_files_of_any_kind_are_read_together(
    tmp_path: Path, write_e4: Callable[..., Path], eegmat_edf: Callable[..., bytes]
) -> None:
    write_e4(tmp_path / "anna", 30)
    write_e4(tmp_path / "bert" / "1600000000_A0", 30)
    (tmp_path / "carl.edf").write_bytes(eegmat_edf(2))
    (tmp_path / "dora.edf").write_bytes(eegmat_edf(2)[:-7])
    (tmp_path / "emil.txt").write_text("hello")
    paths = [tmp_path / name for name in ("anna", "bert", "carl.edf", "dora.edf", "emil.txt", "fritz.edf")]
    corpus = read_files(paths)
    recordings = {recording.subject: recording for recording in corpus}
    assert list(recordings) == ["anna", "bert", "carl"]
    assert set(recordings["anna"].signals) == {"acc", "bvp", "eda", "temp"}
    assert set(recordings["carl"].signals) == {"eeg", "ecg"}
    assert recordings["carl"].signals["eeg"].channels[-1] == "A2-A1"
    assert [Path(item.what).name for item in corpus.left_out] == ["emil.txt", "fritz.edf", "dora.edf"]


def test_files_of_the_same_name_stay_apart(tmp_path: Path, eegmat_edf: Callable[..., bytes]) -> None:
    paths = [tmp_path / "a" / "x.edf", tmp_path / "b" / "x.edf", tmp_path / "c.edf"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(eegmat_edf(2))
    corpus = read_files([*paths, paths[0]])
    assert [recording.subject for recording in corpus] == ["a/x", "b/x", "c", "x (2)"]


def test_nothing_readable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no such file"):
        read_files([tmp_path / "a.edf", tmp_path / "b"])


def test_a_corpus_that_is_no_recording_is_sent_to_a_study(tmp_path: Path) -> None:
    (tmp_path / "deap" / "data_preprocessed_python").mkdir(parents=True)
    (tmp_path / "deap" / "data_preprocessed_python" / "s01.dat").write_bytes(b"")
    assert guess(tmp_path / "deap") == "deap"
    with pytest.raises(ReadError, match="found a folder of deap; expected an Empatica E4 session"):
        read_files([tmp_path / "deap"])
