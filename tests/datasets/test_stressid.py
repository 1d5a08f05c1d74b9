"""Reading StressID, from files that have its formats and random numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from corpora.stressid import TASKS, write_corpus

from limbeck.datasets import checks_of, info, load
from limbeck.datasets.stressid import read_assessments, read_labels
from limbeck.errors import DataError, ReadError
from limbeck.recording import Corpus, Recording


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_corpus(tmp_path, np.random.default_rng(3))
    return tmp_path


def file_of(root: Path, subject: str, task: str, suffix: str = ".txt") -> Path:
    return root / "Physiological" / subject / f"{subject}_{task}{suffix}"


def recording_of(corpus: Corpus, subject: str, task: str) -> Recording:
    (source,) = [s for s in corpus.sources if (s.subject, s.trial) == (subject, task)]
    return source.read()


def whys(corpus: Corpus) -> str:
    return " | ".join(f"{item.what}: {item.why}" for item in corpus.left_out)


def edit(file: Path, change: Callable[[str], str]) -> None:
    before = file.read_text()
    after = change(before)
    assert after != before
    file.write_text(after)


# --- what it reads --------------------------------------------------------------------------------------------------


def test_a_recording_is_a_task_in_the_order_of_the_protocol(root: Path) -> None:
    corpus = load("stressid", root)
    assert [s.trial for s in corpus.sources if s.subject == "2ea4"] == list(TASKS)
    assert [s.trial for s in corpus.sources if s.subject == "g7h1"] == [task for task in TASKS if task != "Video2"]
    orders = [source.read().order for source in corpus.sources if source.subject == "g7h1"]
    assert orders == [0, 1, 2, *range(4, 12)]


def test_the_tasks_asked_for_come_in_the_order_in_which_they_are_named(root: Path) -> None:
    corpus = load("stressid", root, tasks=["stroop", "Baseline"], subjects=["2EA4"])
    assert [(r.trial, r.order) for r in corpus] == [("Stroop", 0), ("Baseline", 1)]
    with pytest.raises(DataError, match=r"no task 'Strop'\. Did you mean 'Stroop'"):
        load("stressid", root, tasks=["Strop"])


def test_classes_can_be_had_from_events_and_from_ratings(root: Path) -> None:
    for recording in load("stressid", root):
        names = [event.name for event in recording.events]
        assert names[0] == recording.trial
        assert {(event.start, event.end) for event in recording.events} == {(0.0, 0.2)}
        binary = recording.ratings.get("binary_stress")
        assert names[1:] == ([] if binary is None else ["stressed" if binary else "not_stressed"])


def test_tasks_without_a_label_have_their_answers(root: Path) -> None:
    ratings = recording_of(load("stressid", root), "2ea4", "Math").ratings
    assert set(ratings) == {"relax", "stress", "valence", "arousal"}
    assert "valence" not in recording_of(load("stressid", root), "2ea4", "Stroop").ratings
    assert recording_of(load("stressid", root), "2ea4", "Baseline").ratings == {}


def test_the_channel_that_the_authors_call_unusable_is_not_used(root: Path) -> None:
    recording = recording_of(load("stressid", root), "r5s8", "Counting3")
    assert set(recording.signals) == {"ecg", "resp"}
    assert ["as the authors say" in note.why for note in recording.notes] == [True]
    assert "eda" in recording_of(load("stressid", root), "2ea4", "Counting3").signals


def test_units_are_converted(root: Path) -> None:
    plain = recording_of(load("stressid", root), "2ea4", "Math").signals
    other = recording_of(load("stressid", root, ecg_unit="V", eda_unit="kOhm"), "2ea4", "Math")
    np.testing.assert_allclose(other.signals["ecg"].data, 1000 * plain["ecg"].data, rtol=1e-5)
    np.testing.assert_allclose(other.signals["eda"].data, 1000 / plain["eda"].data, rtol=1e-5)
    assert all(f"{name}_unit says another unit" in str(other.notes) for name in ("ecg", "eda"))
    for wrong in ({"ecg_unit": "µS"}, {"eda_unit": "volt"}, {"eda_unit": 3}):
        with pytest.raises(DataError, match="is no unit that can become"):
            load("stressid", root, **wrong)


def test_columns_are_found_by_name_and_missing_ones_named(root: Path) -> None:
    before = recording_of(load("stressid", root), "2ea4", "Math").signals
    file = file_of(root, "2ea4", "Math")
    rows = [line.split(",") for line in file.read_text().splitlines()]
    file.write_text("\n".join(f"{row[2]},{row[0]}" for row in rows) + "\n")
    after = recording_of(load("stressid", root), "2ea4", "Math")
    for modality in ("ecg", "resp"):
        np.testing.assert_array_equal(after.signals[modality].data, before[modality].data)
    assert "there is no column EDA" in str(after.notes)
    file.write_text("a,b\n1,2\n")
    with pytest.raises(ReadError, match="found the columns 'a, b'; expected ECG, EDA and RR"):
        recording_of(load("stressid", root), "2ea4", "Math")


# --- defects --------------------------------------------------------------------------------------------------------


def test_missing_samples_are_nan_and_noted(root: Path) -> None:
    file = file_of(root, "2ea4", "Math")
    rows = file.read_text().splitlines()
    rows[1:4] = ["NaN,NaN,NaN", ",1,2", "inf,1,2"]
    file.write_text("\n".join(rows) + "\n")
    recording = recording_of(load("stressid", root), "2ea4", "Math")
    assert np.flatnonzero(np.isnan(recording.signals["ecg"].data)).tolist() == [0, 1, 2]
    assert "1 samples are infinite" in str(recording.notes)
    assert "3 samples are missing" in str(recording.notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "header"),
        ("ECG,EDA,RR\n", "a header and no rows"),
        ("ECG,EDA,RR\n1,2,3\n1,2\n", "row 3: found 2 cells"),
        ("ECG,EDA,RR\n1,2,3\n1,word,3\n", "row 3, eda: found 'word'; expected a number"),
        ("ECG,EDA,RR\nNaN,,nan\n", "no samples that can be used"),
    ],
)
def test_a_damaged_file_costs_its_own_recording(root: Path, text: str, message: str) -> None:
    file = file_of(root, "2ea4", "Math")
    file.write_text(text)
    corpus = load("stressid", root)
    with pytest.raises(ReadError, match=message):
        recording_of(corpus, "2ea4", "Math")
    assert len(list(corpus)) == len(corpus) - 1
    assert str(file) in whys(corpus)


def test_a_second_file_of_a_task_and_files_of_no_task_are_named(root: Path) -> None:
    file_of(root, "2ea4", "Math", ".csv").write_text("ECG,EDA,RR\n9,9,9\n")
    file_of(root, "2ea4", "Lunch").write_text("ECG,EDA,RR\n9,9,9\n")
    corpus = load("stressid", root)
    assert "a second file of Math; 2ea4_Math.txt is read" in whys(corpus)
    assert "'Lunch' is no task of the protocol" in whys(corpus)
    assert recording_of(corpus, "2ea4", "Math").signals["ecg"].data.shape == (1, 100)


def test_files_called_otherwise_are_named(root: Path) -> None:
    file = file_of(root, "2ea4", "Stroop")
    file.rename(file.with_name("2ea4_Stroop (1).txt"))
    assert "2ea4_Stroop (1).txt: not called as a recording of 2ea4" in whys(load("stressid", root))


def test_a_row_without_a_label_contradicts_none(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("subject/task,binary-stress\n2ea4_Math,NaN\n2ea4_Math,1\n2ea4_Math,\n")
    assert read_labels(file) == ({("2ea4", "math"): {"binary_stress": 1.0}}, [])


def test_a_row_of_answers_that_never_ends_costs_itself(tmp_path: Path) -> None:
    file = tmp_path / "self_assessments.csv"
    file.write_text(f"subject;Math_stress\n2ea4;7\n{'x' * 200_000};3\n")
    ratings, left_out = read_assessments(file)
    assert ratings == {("2ea4", "math"): {"stress": 7.0}}
    assert left_out[0].what.endswith("row 3")


def test_labels_without_a_recording_are_named(root: Path) -> None:
    assert "labels.csv: g7h1: no recording of Video2" in whys(load("stressid", root))
    assert "g7h1" not in whys(load("stressid", root, subjects=["2ea4"]))


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("2ea4_Stroop,2,1", "found binary-stress 2; expected one of 0, 1"),
        ("2ea4_Stroop,1,7", "found affect3-class 7; expected one of 0, 1, 2"),
        ("2ea4_Stroop,yes,1", "found 'yes'; expected a label"),
        ("stroop,1,1", "found 'stroop'; expected subject and task"),
    ],
)
def test_rows_of_labels_that_are_none_are_named(tmp_path: Path, row: str, why: str) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(f"subject/task,binary-stress,affect3-class\n{row}\n2ea4_Math,1,2\n")
    ratings, left_out = read_labels(file)
    assert ratings == {("2ea4", "math"): {"binary_stress": 1.0, "affect3": 2.0}}
    ((what, said),) = [(item.what, item.why) for item in left_out]
    assert what.endswith("labels.csv, row 2")
    assert why in said


def test_labels_that_contradict_each_other_are_named(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("subject/task,binary-stress\n2ea4_Math,1\n2ea4_Math,1\n2ea4_Math,0\n2ea4_Relax,NaN\n")
    ratings, left_out = read_labels(file)
    assert ratings == {("2ea4", "math"): {"binary_stress": 1.0}, ("2ea4", "relax"): {}}
    assert [item.what[-5:] for item in left_out] == ["row 4"]


def test_answers_outside_of_the_scale_are_not_used(tmp_path: Path) -> None:
    file = tmp_path / "self_assessments.csv"
    file.write_text(
        "subject;Math_stress;Math_relax;Math_valence;note\n2ea4;11;3,5;x;hello\ng7h1;7;;2;\n2ea4;1;1;1;\n;;;;\n"
    )
    ratings, left_out = read_assessments(file)
    assert ratings == {("2ea4", "math"): {"relax": 3.5}, ("g7h1", "math"): {"stress": 7.0, "valence": 2.0}}
    found = [(item.what.partition(", ")[2], item.why) for item in left_out]
    assert found == [
        ("row 2, math_stress", "found '11'; expected a number from 0 to 10; not used"),
        ("row 2, math_valence", "found 'x'; expected a number from 0 to 10; not used"),
        ("row 4", "a second row of '2ea4'; the first is used"),
    ]


@pytest.mark.parametrize("name", ["labels.csv", "self_assessments.csv"])
@pytest.mark.parametrize("content", [None, b"", b"a,b\n1,2\n", b"\xff\xfe\0"])
def test_tables_that_are_not_there_or_broken_cost_what_they_say(root: Path, name: str, content: bytes | None) -> None:
    if content is None:
        (root / name).unlink()
    else:
        (root / name).write_bytes(content)
    corpus = load("stressid", root)
    ratings = recording_of(corpus, "2ea4", "Relax").ratings
    lost = {"binary_stress", "affect3"} if name == "labels.csv" else {"stress", "relax", "valence", "arousal"}
    assert set(ratings) == {"binary_stress", "affect3", "stress", "relax", "valence", "arousal"} - lost
    assert f"{name}" in whys(corpus)
    assert "used without what it says" in whys(corpus)


def test_the_folder_of_recordings_may_hold_another_of_its_name(root: Path, tmp_path: Path) -> None:
    before = [source.fingerprint() for source in load("stressid", root).sources]
    (root / "Physiological").rename(root / "inner")
    (root / "Physiological").mkdir()
    (root / "inner").rename(root / "Physiological" / "Physiological")
    place = root / "Physiological" / "Physiological" / "2ea4"
    files = list(place.iterdir())
    (place / "2ea4").mkdir()
    for file in files:
        file.rename(place / "2ea4" / file.name)
    assert [source.fingerprint() for source in load("stressid", root).sources] == before


def test_what_is_no_stressid_says_so(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no Physiological/2ea4/2ea4_Stroop"):
        load("stressid", tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        load("stressid", tmp_path / "nowhere")


def test_a_change_of_labels_changes_the_fingerprint(root: Path) -> None:
    def prints() -> dict[tuple[str, str], str]:
        return {(s.subject, s.trial): s.fingerprint() for s in load("stressid", root).sources}

    before = prints()
    edit(root / "labels.csv", lambda text: text.replace("2ea4_Relax,", "2ea4_Other,"))
    after = prints()
    assert [key for key in before if before[key] != after[key]] == [("2ea4", "Relax")]


# --- checks, size ---------------------------------------------------------------------------------------------------


def checked(root: Path) -> dict[str, tuple[bool | None, str]]:
    check = checks_of("stressid")
    assert check is not None
    return {item.what: (item.passed, item.found) for item in check(root, load("stressid", root))}


def test_checks_hold_labels_against_answers(root: Path) -> None:
    rule = "a recording is labelled as stressed where the answer to stress is 5 or more"
    found = checked(root)
    assert found[rule] == (True, "")
    assert found["there are at most 65 subjects"] == (True, "3 subjects")
    assert found["signals are at 500 Hz"][0] is None
    assert found["labels.csv has every recording"] == (True, "")
    assert found["every row of labels.csv has a label"] == (None, "2ea4_Math")  # there are such rows as published
    stressed = recording_of(load("stressid", root), "2ea4", "Relax").ratings["binary_stress"] == 1
    old, new = ("1,", "0,") if stressed else ("0,", "1,")
    edit(root / "labels.csv", lambda text: text.replace(f"2ea4_Relax,{old}", f"2ea4_Relax,{new}"))
    assert checked(root)[rule] == (False, "2ea4_Relax")
    edit(root / "labels.csv", lambda text: text.replace("2ea4_Stroop,", "2ea9_Stroop,"))
    assert checked(root)["labels.csv has every recording"] == (False, "2ea4_Stroop")
    (root / "self_assessments.csv").unlink()
    assert checked(root)[rule][0] is None
    (root / "labels.csv").unlink()
    assert checked(root)["labels.csv has every recording"][0] is None


def test_it_says_that_it_never_saw_the_real_corpus() -> None:
    assert "never tried on the real corpus" in info("stressid").checked
    assert any("ecg_unit" in fact for fact in info("stressid").uncertain)


def test_a_task_of_three_minutes_is_read(root: Path) -> None:
    samples = np.round(np.random.default_rng(1).normal(size=(90_000, 3)), 5)
    rows = "\n".join(f"{a},{b},{c}" for a, b, c in samples.tolist())
    file_of(root, "2ea4", "Speaking").write_text(f"ECG,EDA,RR\n{rows}\n")
    recording = recording_of(load("stressid", root), "2ea4", "Speaking")
    assert recording.duration == 180.0
    np.testing.assert_array_equal(recording.signals["resp"].data[0], samples[:, 2].astype(np.float32))
