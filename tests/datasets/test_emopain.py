"""Reading EmoPain, from files that have its formats and random numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from corpora.emopain import write_participant
from scipy.io import savemat

from limbeck.datasets import checks_of, info, load
from limbeck.errors import DataError, ReadError
from limbeck.recording import Corpus, Recording


def rng() -> np.random.Generator:
    return np.random.default_rng(6)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_participant(tmp_path / "train" / "P1.mat", rng(), 31)
    return tmp_path


def frames(width: int = 31, count: int = 20) -> np.ndarray:
    matrix = rng().normal(size=(count, width))
    matrix[:, 30 if width == 31 else 72 if width > 72 else 0] = np.arange(count) % 2
    return matrix


def put(root: Path, name: str = "train/P1.mat", **variables: object) -> Path:
    file = root / name
    file.parent.mkdir(exist_ok=True)
    savemat(file, variables)
    return file


def only(corpus: Corpus) -> Recording:
    (recording,) = corpus
    return recording


def whys(corpus: Corpus) -> str:
    list(corpus)
    return " | ".join(f"{item.what}: {item.why}" for item in corpus.left_out)


# --- what it reads --------------------------------------------------------------------------------------------------


def test_both_versions_have_emg_and_behaviour_where_they_should_be(root: Path) -> None:
    for width, first in ((31, 26), (73, 66), (104, 66)):
        matrix = frames(width)
        put(root, BD=matrix)
        recording = only(load("emopain", root))
        np.testing.assert_array_equal(recording.signals["emg"].data, matrix[:, first : first + 4].T.astype(np.float32))
        assert recording.traces["protective"].values.tolist() == [0, 1] * 10
        assert [event.name for event in recording.events][:2] == ["not_protective", "protective"]


def test_what_has_no_modality_is_said(root: Path) -> None:
    assert "13 joint angles and 13 joint energies have no modality in Limbeck; not read" in whys(load("emopain", root))
    put(root, BD=frames(78))
    assert "coordinates of 22 joints have no modality in Limbeck; not read" in whys(load("emopain", root))


def test_the_rate_is_an_option(root: Path) -> None:
    plain, slow = only(load("emopain", root)), only(load("emopain", root, rate=30))
    assert (plain.signals["emg"].rate, slow.signals["emg"].rate) == (60.0, 30.0)
    assert slow.events[-1].end == pytest.approx(2 * plain.events[-1].end)
    for rate in (0, -1, float("nan"), float("inf"), "60", True, 1e9):
        with pytest.raises(DataError, match="rate needs a number of frames per second"):
            load("emopain", root, rate=rate)


def test_the_unit_is_an_option_and_said(root: Path) -> None:
    plain = only(load("emopain", root)).signals["emg"]
    small = only(load("emopain", root, emg_unit="uV")).signals["emg"]
    stored = only(load("emopain", root, emg_unit="stored")).signals["emg"]
    np.testing.assert_allclose(1000 * small.data, plain.data, rtol=1e-5)
    assert (plain.unit, small.unit, stored.unit) == ("mV", "mV", "a.u.")
    assert "the unit is not stated: taken as mV" in whys(load("emopain", root))
    for unit in ("µS", 3):
        with pytest.raises(DataError, match="none that can become mV, nor 'stored'"):
            load("emopain", root, emg_unit=unit)


def test_the_only_matrix_is_taken_whatever_its_name(root: Path) -> None:
    put(root, anything=frames(), note="text", rate=60.0, column=np.ones((20, 1)))
    assert only(load("emopain", root)).signals["emg"].data.shape == (4, 20)


def test_of_several_matrices_one_has_to_be_named(root: Path) -> None:
    put(root, a=frames(), b=2 * frames())
    with pytest.raises(ReadError, match=r"2 matrices of numbers .*option variable"):
        load("emopain", root).sources[0].read()
    first, second = (only(load("emopain", root, variable=name)).signals["emg"].data for name in ("a", "b"))
    np.testing.assert_allclose(second, 2 * first)
    with pytest.raises(ReadError, match="no variable 'c'"):
        load("emopain", root, variable="c").sources[0].read()
    with pytest.raises(DataError, match="variable needs the name of one"):
        load("emopain", root, variable=3)


# --- defects --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"BD": np.ones((20, 12))}, "BD: found 12 columns; expected 31"),
        ({"BD": np.ones((20, 50))}, "found 50 columns"),
        ({"BD": np.ones((20, 1))}, "0 matrices of numbers"),
        ({"BD": "text"}, "0 matrices of numbers"),
        ({"BD": np.full((20, 31), np.nan)}, "no sEMG that is a number"),
    ],
)
def test_what_is_no_matrix_of_frames_costs_its_own_participant(
    root: Path, variables: dict[str, object], message: str
) -> None:
    write_participant(root / "test" / "C2.mat", rng(), 31)
    file = put(root, **variables)
    listed = load("emopain", root)
    with pytest.raises(ReadError, match=message):
        listed.sources[0].read()
    assert [recording.subject for recording in listed] == ["C2"]
    assert str(file) in whys(listed)


def test_a_damaged_file_costs_its_own_participant(root: Path) -> None:
    write_participant(root / "test" / "C2.mat", rng(), 31)
    file = root / "train" / "P1.mat"
    file.write_bytes(file.read_bytes()[:-200])
    assert [recording.subject for recording in load("emopain", root)] == ["C2"]


def test_missing_and_strange_labels_are_in_no_event(root: Path) -> None:
    matrix = frames()
    matrix[:, 30] = [1] * 5 + [np.nan] * 5 + [0] * 5 + [3] * 5
    put(root, BD=matrix)
    listed = load("emopain", root)
    recording = only(listed)
    assert [(e.name, e.start, e.end) for e in recording.events] == [
        ("protective", 0.0, pytest.approx(5 / 60)),
        ("not_protective", pytest.approx(10 / 60), pytest.approx(15 / 60)),
    ]
    np.testing.assert_allclose(recording.traces["protective"].times, [k / 60 for k in (*range(5), *range(10, 15))])
    assert "10 frames are neither 0 nor 1 (frame 6: nan)" in whys(listed)


@pytest.mark.parametrize("width", [30, 70])
def test_a_test_partition_without_labels_is_read(root: Path, width: int) -> None:
    put(root, "test/P9.mat", BD=rng().normal(size=(20, width)))
    recording = list(load("emopain", root))[1]
    assert recording.traces == {}
    assert recording.events == ()
    assert "there is no such column" in str(recording.notes)


def test_samples_that_no_float32_holds_are_missing(root: Path) -> None:
    matrix = frames()
    matrix[3, 26:30] = np.inf, -np.inf, 1e300, np.nan
    put(root, BD=matrix)
    listed = load("emopain", root)
    assert np.isnan(only(listed).signals["emg"].data[:, 3]).all()
    assert "3 samples are infinite or too large" in whys(listed)


# --- participants ---------------------------------------------------------------------------------------------------


def test_participants_partitions_and_groups(tmp_path: Path) -> None:
    for name in ("Train/C2", "Train/P10", "Train/P2", "Valid/P3"):
        put(tmp_path, f"{name}.mat", BD=frames())
    listed = load("emopain", tmp_path)
    assert [(r.subject, r.session, r.ratings["chronic_pain"]) for r in listed] == [
        ("P2", "train", 1.0),
        ("P10", "train", 1.0),
        ("C2", "train", 0.0),
        ("P3", "validation", 1.0),
    ]
    assert load("emopain", tmp_path, subjects=["p02", "C2"]).subjects == ("P2", "C2")
    with pytest.raises(DataError, match="no subject 'P4'"):
        load("emopain", tmp_path, subjects=["P4"])


def test_one_name_in_two_partitions_is_one_participant_or_two(root: Path) -> None:
    write_participant(root / "test" / "P1.mat", rng(), 31)
    listed = load("emopain", root)
    assert [(s.subject, s.session) for s in listed.sources] == [("P1", "train"), ("P1", "test")]
    assert "taken as one participant (option same_names)" in whys(listed)
    listed = load("emopain", root, same_names="different")
    assert listed.subjects == ("train/P1", "test/P1")
    assert load("emopain", root, same_names="different", subjects=["test/p1"]).subjects == ("test/P1",)
    with pytest.raises(DataError, match="no same_names 'both'"):
        load("emopain", root, same_names="both")


def test_files_of_nobody_and_the_other_version_are_named(tmp_path: Path) -> None:
    for version, width in (("AngleData", 31), ("CoordinateData", 78)):
        write_participant(tmp_path / version / "train" / "P1.mat", rng(), width)
    put(tmp_path, "AngleData/train/summary.mat", BD=frames())
    put(tmp_path, "AngleData/train/P01.mat", BD=frames())
    listed = load("emopain", tmp_path)
    assert len(listed) == 1
    assert "summary.mat: called after no participant" in whys(listed)
    assert "a second file of one; not read" in whys(listed)
    assert "CoordinateData: holds participants, too" in whys(listed)


def test_partitions_may_lie_in_a_folder_of_their_own_name(tmp_path: Path) -> None:
    for place in ("train/train/P1.mat", "validation/Validation/C2.mat"):
        write_participant(tmp_path / place, rng(), 31)
    (tmp_path / "train" / "train" / "notes.mat").write_bytes(b"")
    listed = load("emopain", tmp_path)
    assert [(source.subject, source.session) for source in listed.sources] == [("P1", "train"), ("C2", "validation")]
    assert "notes.mat: called after no participant" in whys(listed)


def test_a_partition_behind_a_link_that_leads_out_is_told(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    away = tmp_path_factory.mktemp("away")
    write_participant(away / "P9.mat", rng(), 31)
    (root / "test").symlink_to(away)
    listed = load("emopain", root)
    assert listed.subjects == ("P1",)
    assert f"{root / 'test'}: a link that leads out" in whys(listed)


def test_what_is_no_emopain_says_so(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"no train/P1\.mat or the like"):
        load("emopain", tmp_path)


# --- checks, size ---------------------------------------------------------------------------------------------------


def test_checks_count_participants_and_compare_the_groups(tmp_path: Path) -> None:
    for name, share in (("train/P1", 0.5), ("train/C1", 0.1)):
        matrix = frames(count=100)
        matrix[:, 30] = np.arange(100) < 100 * share
        put(tmp_path, f"{name}.mat", BD=matrix)

    def checked() -> dict[str, tuple[bool | None, str]]:
        check = checks_of("emopain")
        assert check is not None
        return {item.what: (item.passed, item.found) for item in check(tmp_path, load("emopain", tmp_path))}

    rule = "patients are protective more of the time than controls"
    found = checked()
    assert found["train has 10 patients and 6 controls"] == (None, "1 patients and 1 controls")
    assert found["test has 3 patients and 5 controls"][0] is None
    assert found["frames are at the stated rate"][0] is None
    assert found[rule] == (True, "50.0% and 10.0% of the frames")
    (tmp_path / "train" / "P1.mat").rename(tmp_path / "train" / "P2.mat")
    matrix[:, 30] = 1
    put(tmp_path, "train/C1.mat", BD=matrix)
    assert checked()[rule][0] is False
    (tmp_path / "train" / "C1.mat").write_bytes(b"no MATLAB file")
    assert checked()["C1 can be read"][0] is False
    assert checked()[rule][0] is None


def test_it_says_that_it_never_saw_the_real_corpus() -> None:
    assert "never tried on the real corpus" in info("emopain").checked
    assert any("option rate" in fact for fact in info("emopain").uncertain)


def test_a_participant_of_ten_minutes_is_read(root: Path) -> None:
    matrix = np.random.default_rng(1).normal(size=(36_000, 78)).astype(np.float32)
    matrix[:, 72] = np.arange(36_000) // 6000 % 2
    put(root, BD=matrix)
    recording = only(load("emopain", root))
    np.testing.assert_array_equal(recording.signals["emg"].data, matrix[:, 66:70].T)
    assert [event.end for event in recording.events] == pytest.approx([100, 200, 300, 400, 500, 600])
