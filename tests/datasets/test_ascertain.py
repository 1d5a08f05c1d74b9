"""Reading ASCERTAIN, from files that have its formats and random numbers."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from limbeck.datasets import ascertain as module
from limbeck.datasets import checks_of, info, load, matlab
from limbeck.datasets.ascertain import CLIP_ORDERS, PERSONALITY, RATINGS, check_order, looks_like, read_features
from limbeck.errors import DataError, ReadError
from limbeck.recording import Corpus, Recording

CLIPS = 6
ROWS = ("ecg", "eda", "eeg")


@dataclass
class Written:
    """A small corpus, with what was written into it by subject (from 0) and clip (from 0)."""

    root: Path
    ratings: np.ndarray  # (5, subject, clip), by clip
    order: np.ndarray  # (subject, place): clip, from 1
    personality: np.ndarray
    features: dict[str, np.ndarray] = field(default_factory=dict)  # (subject, clip, feature), by clip

    def raw(self, kind: str, subject: int, number: int) -> Path:
        return self.root / "ASCERTAIN_Raw" / f"{kind}Data" / f"Movie_P{subject:02d}" / f"{kind}_Clip{number}.mat"

    def table(self, name: str) -> Path:
        return self.root / "ASCERTAIN_Features" / f"Dt_{name}.mat"


def mark(subject: int, clip: int) -> float:
    """The value that every sample of a clip has, so that a recording says which clip it is."""
    return 10.0 * subject + clip


def stamps(n: int, rate: float, start: float = 5000.0) -> np.ndarray:
    return np.round(start + np.arange(n) * 1000 / rate)


def cell(tables: Sequence[np.ndarray]) -> np.ndarray:
    cells = np.empty((1, len(tables)), dtype=object)
    for index, table in enumerate(tables):
        cells.flat[index] = table
    return cells


def write_clip(written: Written, subject: int, number: int, value: float, *, place: int, seconds: float) -> None:
    """Write one clip: `number` is that of the files, `place` when it was shown."""
    for kind in ("ECG", "GSR", "EEG", "EMO"):
        written.raw(kind, subject, number).parent.mkdir(parents=True, exist_ok=True)
    n = int(256 * seconds)
    columns = 5 if subject == 1 else 6
    ecg = np.full((n, columns), -9.0)
    ecg[:, 0] = stamps(n, 256)
    ecg[:, [1, 2] if columns < 6 else [4, 5]] = (value, value + 0.5)
    clock = np.array([[2013, 5, 1 + subject, 10, 2 * place, 7.25]])
    savemat(written.raw("ECG", subject, number), {"Data_ECG": ecg, "timeECG": clock})
    n = int(100 * seconds)
    gsr = np.full((n, 5), -9.0)
    gsr[:, 0], gsr[:, 4] = stamps(n, 100), value
    savemat(written.raw("GSR", subject, number), {"Data_GSR": gsr})
    rows = 9 if number == 2 else 8
    eeg = np.repeat(value + np.arange(rows)[:, None] / 16, int(32 * seconds), axis=1)
    savemat(written.raw("EEG", subject, number), {"ThisEEG": eeg})
    savemat(written.raw("EMO", subject, number), {"Whatever": np.zeros((5, 12))})


def write_corpus(
    root: Path, n_subjects: int = 2, n_clips: int = CLIPS, *, clip_order: str = "clip_id", seconds: float = 2.0
) -> Written:
    """Write a corpus as published, the numbers of files, rows and columns meaning what `clip_order` says."""
    rng = np.random.default_rng(5)
    ratings = np.round(rng.uniform(0, 6, (5, n_subjects, n_clips)))
    ratings[1] = rng.integers(1, 4, (n_subjects, n_clips)) * np.where(np.arange(n_clips) < n_clips // 2, 1, -1)
    order = np.array([rng.permutation(n_clips) + 1 for _ in range(n_subjects)])
    personality = np.round(rng.uniform(1, 7, (n_subjects, 5)), 1)
    written = Written(root, ratings, order, personality)
    written.table("X").parent.mkdir(parents=True)
    for s in range(n_subjects):
        for place, clip in enumerate(order[s]):
            number = place + 1 if clip_order == "presentation_features" else int(clip)
            write_clip(written, s + 1, number, mark(s + 1, int(clip)), place=place, seconds=seconds)
    shown = order[None] - 1
    stored = ratings if clip_order != "presentation_ratings" else np.take_along_axis(ratings, shown, axis=2)
    savemat(written.table("SelfReports"), {"Ratings": stored})
    savemat(written.table("Personality"), {"Personality": personality})
    savemat(written.table("Order_Movie"), {"PermutationList": order.astype(np.uint8)})
    for kind, size in {"ECG": 32, "GSR": 31, "EEG": 88, "EMO": 72}.items():
        written.features[kind] = rng.normal(size=(n_subjects, n_clips, size))
        stored = written.features[kind].copy()
        if clip_order == "presentation_features":
            stored = np.take_along_axis(stored, order[:, :, None] - 1, axis=1)
        savemat(written.table(f"{kind}Features"), {f"{kind}Features_58": cell(list(stored))})
    return written


@pytest.fixture
def corpus(tmp_path: Path) -> Written:
    return write_corpus(tmp_path)


def read(listed: Corpus) -> dict[tuple[str, str], Recording]:
    return {(recording.subject, recording.trial): recording for recording in listed}


def without_emo(listed: Corpus) -> list[str]:
    """What was left out besides the folder of facial motion and the ninth rows, which every small corpus has."""
    return [item.what for item in listed.left_out if "EMOData" not in item.what and "row 9" not in item.what]


def test_channels_rates_and_units_are_those_published(corpus: Written) -> None:
    recording = load("ascertain", corpus.root).sources[8].read()
    assert (recording.subject, recording.trial) == ("P02", "clip03")
    shown = {name: (s.channels, s.rate, s.unit, s.data.shape) for name, s in recording.signals.items()}
    assert shown == {
        "ecg": (("A", "B"), 256.0, "mV", (2, 512)),
        "eda": (("eda",), 100.0, "µS", (1, 200)),
        "eeg": (tuple(f"row{k}" for k in range(1, 9)), 32.0, "µV", (8, 64)),
    }
    assert all(signal.data.dtype == np.float32 for signal in recording.signals.values())
    np.testing.assert_array_equal(recording.signals["ecg"].data[:, 0], [23, 23.5])
    np.testing.assert_array_equal(recording.signals["eeg"].data[:, 0], 23 + np.arange(8) / 16)
    (event,) = recording.events
    assert (event.name, event.start, event.end) == ("clip", 0.0, 2.0)


@pytest.mark.parametrize("clip_order", CLIP_ORDERS)
def test_each_clip_has_its_own_ratings_whatever_the_numbers_count(tmp_path: Path, clip_order: str) -> None:
    corpus = write_corpus(tmp_path, clip_order=clip_order)
    listed = load("ascertain", corpus.root, clip_order=clip_order)
    recordings = read(listed)
    assert len(recordings) == 2 * CLIPS
    for (subject, trial), recording in recordings.items():
        s, c = int(subject[1:]) - 1, int(trial[4:]) - 1
        for signal in recording.signals.values():
            assert signal.data[0, 0] == mark(s + 1, c + 1)
        expected = dict(zip(RATINGS, corpus.ratings[:, s, c], strict=True))
        expected |= dict(zip(PERSONALITY, corpus.personality[s], strict=True))
        assert recording.ratings == expected
        assert recording.order == list(corpus.order[s]).index(c + 1)
    assert without_emo(listed) == []


@pytest.mark.parametrize("clip_order", CLIP_ORDERS)
@pytest.mark.parametrize("kind", ["ECG", "GSR", "EEG", "EMO"])
def test_each_row_of_features_has_its_own_ratings(tmp_path: Path, clip_order: str, kind: str) -> None:
    corpus = write_corpus(tmp_path, clip_order=clip_order, seconds=0.1)
    features = read_features(corpus.root, kind, clip_order=clip_order)  # type: ignore[arg-type]
    assert features.left_out == ()
    for row, (subject, clip) in enumerate(zip(features.subjects, features.clips, strict=True)):
        s, c = int(subject[1:]) - 1, int(clip[4:]) - 1
        np.testing.assert_array_equal(features.values[row], corpus.features[kind][s, c])
        assert features.ratings["valence"][row] == corpus.ratings[1, s, c]
        assert features.orders[row] == list(corpus.order[s]).index(c + 1)


@pytest.mark.parametrize("name", ["ECGFeatures", "ECGFeatures_58"])
@pytest.mark.parametrize("form", ["row of cells", "column of cells", "array"])
def test_features_come_in_cells_or_in_one_array_under_either_name(corpus: Written, name: str, form: str) -> None:
    values = corpus.features["ECG"]
    forms = {"row of cells": cell(list(values)), "column of cells": cell(list(values)).T, "array": values}
    failures = cell([np.zeros((1, 0)), np.array([[3]])])
    savemat(corpus.table("ECGFeatures"), {"ECGFailures": failures, name: forms[form]})
    np.testing.assert_array_equal(read_features(corpus.root, "ECG").values, values.reshape(-1, 32))


def test_features_that_could_not_be_computed_are_nan(corpus: Written) -> None:
    values = corpus.features["GSR"].copy()
    values[0, 1, 2], values[1, 0, 3] = np.inf, np.nan
    savemat(corpus.table("GSRFeatures"), {"GSRFeatures_58": cell(list(values))})
    read_values = read_features(corpus.root, "gsr").values
    assert np.argwhere(np.isnan(read_values)).tolist() == [[1, 2], [CLIPS, 3]]


def test_a_subject_without_features_is_left_out(corpus: Written) -> None:
    savemat(corpus.table("ECGFeatures"), {"ECGFeatures": cell([np.zeros((0, 0)), corpus.features["ECG"][1]])})
    features = read_features(corpus.root, "ECG")
    assert set(features.subjects) == {"P02"}
    assert features.left_out[0].what.endswith("P01")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"Other": np.zeros((2, 2))}, "found the variables Other; expected 'ECGFeatures'"),
        ({"ECGFeatures": "text"}, "expected a cell"),
        ({"ECGFeatures": cell([np.zeros((6, 32)), np.zeros((6, 31))])}, "found tables of shapes"),
        ({"ECGFeatures": np.zeros((6, 32))}, "found tables of shapes"),
    ],
)
def test_features_of_another_form_are_refused(corpus: Written, content: Mapping[str, object], message: str) -> None:
    savemat(corpus.table("ECGFeatures"), content)
    with pytest.raises(ReadError, match=message):
        read_features(corpus.root, "ECG")


def test_unknown_kinds_and_missing_files_of_features_are_named(corpus: Written) -> None:
    with pytest.raises(DataError, match=r"no features 'ECC'\. Did you mean 'ECG'"):
        read_features(corpus.root, "ECC")
    corpus.table("ECGFeatures").unlink()
    with pytest.raises(ReadError, match=r"no Dt_ECGFeatures\.mat"):
        read_features(corpus.root, "ECG")


# --- the order of clips ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clip_order", CLIP_ORDERS)
def test_the_right_clip_order_is_found_in_ratings_and_clocks(tmp_path: Path, clip_order: str) -> None:
    corpus = write_corpus(tmp_path, n_subjects=8, n_clips=12, clip_order=clip_order, seconds=0.1)
    check = check_order(corpus.root)
    assert check.suggests == (clip_order,)
    assert (check.files_by_clip, check.files_by_place) == ((0, 8) if "features" in clip_order else (8, 0))
    right = "presentation_ratings" if clip_order == "presentation_ratings" else "clip_id"
    assert check.contrasts[right][0] > 3


@pytest.mark.parametrize("clip_order", CLIP_ORDERS)
def test_a_clip_order_that_the_clocks_speak_against_fails_its_check(tmp_path: Path, clip_order: str) -> None:
    corpus = write_corpus(tmp_path, n_subjects=8, n_clips=12, clip_order="presentation_features", seconds=0.1)
    checks = checks_of("ascertain")
    assert checks is not None
    made = checks(corpus.root, load("ascertain", corpus.root, clip_order=clip_order))
    (check,) = [check for check in made if "agree with the chosen clip_order" in check.what]
    assert check.passed is (clip_order == "presentation_features")
    assert "presentation_features; 0 subjects' files count clips by their clocks, 8 count places" in check.found


def test_random_ratings_prefer_no_order(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path, n_subjects=8, n_clips=12, seconds=0.1)
    rng = np.random.default_rng(1)
    savemat(corpus.table("SelfReports"), {"Ratings": rng.integers(0, 4, (5, 8, 12)).astype(float)})
    assert check_order(corpus.root).suggests == ("clip_id", "presentation_ratings")


def test_clocks_that_contradict_each_other_suggest_nothing(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path, n_subjects=2, seconds=0.1)
    for number in range(1, CLIPS + 1):
        file = corpus.raw("ECG", 2, number)
        savemat(file, {**matlab.load(file), "timeECG": np.array([[2013, 5, 3, 10, number, 1.5]])})
    check = check_order(corpus.root)
    assert (check.files_by_clip, check.files_by_place, check.suggests) == (1, 1, ())


@pytest.mark.parametrize("clock", [np.array([[2013, 13, 1, 1, 1, 1.0]]), np.zeros((1, 3)), np.full((1, 6), np.nan)])
def test_clocks_that_cannot_be_read_say_nothing(corpus: Written, clock: np.ndarray) -> None:
    for subject in (1, 2):
        for number in range(1, CLIPS + 1):
            savemat(corpus.raw("ECG", subject, number), {"Data_ECG": np.zeros((3, 6)), "timeECG": clock})
    check = check_order(corpus.root)
    assert (check.files_by_clip, check.files_by_place) == (0, 0)


def test_a_wrong_clip_order_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    corpus = write_corpus(tmp_path, n_subjects=8, n_clips=12, clip_order="presentation_ratings", seconds=0.1)
    with caplog.at_level(logging.WARNING):
        load("ascertain", corpus.root)
    assert "do not bear that out" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        load("ascertain", corpus.root, clip_order="presentation_ratings")
    assert "do not bear that out" not in caplog.text
    assert "clip_order='presentation_ratings'" in caplog.text
    assert "'gsr_unit': 'uS'" in caplog.text, "what is assumed is logged"


def test_an_unknown_clip_order_is_refused(corpus: Written) -> None:
    with pytest.raises(DataError, match="Did you mean 'clip_id'"):
        load("ascertain", corpus.root, clip_order="clip_ids")


def test_places_cannot_become_clips_without_the_order(corpus: Written) -> None:
    corpus.table("Order_Movie").unlink()
    listed = load("ascertain", corpus.root, clip_order="presentation_features")
    assert len(listed) == 0
    assert any("needs the order of presentation" in item.why for item in listed.left_out)
    listed = load("ascertain", corpus.root)
    assert [source.read().order for source in listed.sources[:CLIPS]] == list(range(CLIPS)), "the clip's own number"


def test_a_row_that_is_no_order_costs_that_subjects_order(corpus: Written) -> None:
    order = corpus.order.copy()
    order[0, 0] = order[0, 1]
    savemat(corpus.table("Order_Movie"), {"PermutationList": order})
    listed = load("ascertain", corpus.root, clip_order="presentation_features")
    assert listed.subjects == ("P02",)
    assert any("row 1" in item.what for item in listed.left_out)


def test_a_number_beyond_float32_is_no_sample(corpus: Written) -> None:
    file = corpus.raw("EEG", 1, 1)
    values = matlab.load(file)["ThisEEG"]
    values[3, 5] = 1e200
    savemat(file, {"ThisEEG": values})
    data = load("ascertain", corpus.root).sources[0].read().signals["eeg"].data
    assert np.argwhere(np.isnan(data)).tolist() == [[3, 5]]
    assert not np.isinf(data).any()


# --- labels ---------------------------------------------------------------------------------------------------------


def test_ratings_that_are_missing_or_off_their_scale_are_absent_and_named(corpus: Written) -> None:
    ratings = corpus.ratings.copy()
    ratings[0, 0, 2], ratings[1, 1, 4] = np.nan, 5
    savemat(corpus.table("SelfReports"), {"Ratings": ratings})
    listed = load("ascertain", corpus.root)
    recordings = read(listed)
    assert "arousal" not in recordings["P01", "clip03"].ratings
    assert "valence" in recordings["P01", "clip03"].ratings
    assert "valence" not in recordings["P02", "clip05"].ratings
    assert any("found 5 and 0 more; expected -3 to 3" in item.why for item in listed.left_out)
    assert [what for what in without_emo(listed) if what.startswith("P")] == [
        "P01, clip03: arousal",
        "P02, clip05: valence",
    ]


@pytest.mark.parametrize("table", ["SelfReports", "Personality", "Order_Movie"])
@pytest.mark.parametrize("content", [None, b"not MATLAB", {"Ratings": np.zeros((5, 4)), "Personality": np.zeros(3)}])
def test_a_table_that_is_missing_or_broken_costs_its_labels_only(
    corpus: Written, table: str, content: dict[str, object] | bytes | None
) -> None:
    file = corpus.table(table)
    if content is None:
        file.unlink()
    elif isinstance(content, bytes):
        file.write_bytes(content)
    else:
        savemat(file, content)
    listed = load("ascertain", corpus.root)
    recordings = read(listed)
    assert len(recordings) == 2 * CLIPS
    ratings = recordings["P01", "clip01"].ratings
    assert ("valence" in ratings) == (table != "SelfReports")
    assert ("openness" in ratings) == (table != "Personality")
    assert sum(table in what for what in without_emo(listed)) == 1


def test_without_the_features_folder_signals_are_read(corpus: Written) -> None:
    listed = load("ascertain", corpus.root / "ASCERTAIN_Raw")
    recording = listed.sources[0].read()
    assert recording.ratings == {}
    assert any("Give the folder that holds ASCERTAIN_Features too" in item.why for item in listed.left_out)


# --- raw files ------------------------------------------------------------------------------------------------------


def test_the_ecg_leads_of_files_with_fewer_columns_are_the_second_and_third(corpus: Written) -> None:
    recording = load("ascertain", corpus.root, subjects=[1]).sources[3].read()
    np.testing.assert_array_equal(recording.signals["ecg"].data[:, 0], [14, 14.5])
    recording = load("ascertain", corpus.root, subjects="P02", ecg_columns=[1, 4]).sources[3].read()
    np.testing.assert_array_equal(recording.signals["ecg"].data[:, 0], [-9, 24])


def test_the_ninth_row_of_eeg_is_noted_and_not_read(corpus: Written) -> None:
    recording = load("ascertain", corpus.root).sources[1].read()
    assert recording.signals["eeg"].data.shape[0] == 8
    assert [note.what.split(": ")[-1] for note in recording.notes] == ["ThisEEG, row 9"]


@pytest.mark.parametrize(("rate", "found"), [(8.0, 8.0), (99.0, 100.0), (128.0, 128.0), (43.0, 43.0)])
def test_the_rate_of_skin_conductance_comes_from_its_time_stamps(corpus: Written, rate: float, found: float) -> None:
    gsr = np.column_stack([stamps(600, rate), *np.ones((4, 600))])
    savemat(corpus.raw("GSR", 1, 1), {"Data_GSR": gsr})
    source = load("ascertain", corpus.root).sources[0]
    assert source.read().signals["eda"].rate == pytest.approx(found, rel=1e-3)
    assert load("ascertain", corpus.root, gsr_rate=7).sources[0].read().signals["eda"].rate == 7


def test_gaps_and_other_rates_than_stated_are_noted(corpus: Written) -> None:
    gsr = np.column_stack([stamps(600, 100), *np.ones((4, 600))])
    gsr[300:, 0] += 2000
    savemat(corpus.raw("GSR", 1, 1), {"Data_GSR": gsr})
    ecg = np.column_stack([stamps(600, 128), *np.ones((5, 600))])
    savemat(corpus.raw("ECG", 1, 1), {"Data_ECG": ecg})
    recording = load("ascertain", corpus.root).sources[0].read()
    assert recording.signals["ecg"].rate == 256
    assert ["128 Hz by the time stamps" in n.why or "a gap of 2.01 s" in n.why for n in recording.notes] == [True, True]


def test_units_become_those_of_limbeck(corpus: Written) -> None:
    recording = load("ascertain", corpus.root, gsr_unit="kohm", ecg_unit="uV", eeg_unit="mV").sources[4].read()
    np.testing.assert_allclose(recording.signals["eda"].data, 1000 / 15, rtol=1e-6)
    np.testing.assert_allclose(recording.signals["ecg"].data[0], 0.015, rtol=1e-6)
    np.testing.assert_allclose(recording.signals["eeg"].data[0], 15_000, rtol=1e-6)


def test_options_that_cannot_be_are_all_refused_at_once(corpus: Written) -> None:
    with pytest.raises(
        DataError, match=r"gsr_unit needs a unit that becomes µS; found 'V'.*eeg_rate.*from 0; found a neg"
    ):
        load("ascertain", corpus.root, gsr_unit="V", eeg_rate=0, gsr_column=-1)
    with pytest.raises(DataError, match="ecg_columns needs two columns"):
        load("ascertain", corpus.root, ecg_columns=[1])


def test_samples_that_are_not_numbers_are_nan(corpus: Written) -> None:
    eeg = np.ones((8, 20))
    eeg[2, 3], eeg[4, 5] = np.inf, np.nan
    savemat(corpus.raw("EEG", 1, 1), {"ThisEEG": eeg})
    data = load("ascertain", corpus.root).sources[0].read().signals["eeg"].data
    assert np.argwhere(np.isnan(data)).tolist() == [[2, 3], [4, 5]]


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        ("ECG", {"Other": np.zeros((3, 6))}, "found the variables Other; expected 'Data_ECG'"),
        ("ECG", {"Data_ECG": np.zeros((3, 2))}, "found 2 columns"),
        ("GSR", {"Data_GSR": np.zeros((9, 3))}, "found 3 columns"),
        ("GSR", {"Data_GSR": np.zeros((9, 5))}, "time stamps that do not rise"),
        ("GSR", {"Data_GSR": np.zeros((1, 5))}, "a single sample"),
        ("GSR", {"Data_GSR": np.zeros((0, 5))}, "found the shape"),
        ("EEG", {"ThisEEG": np.zeros((20, 8))}, r"found the shape \(20, 8\)"),
        ("EEG", {"ThisEEG": "text"}, "ThisEEG: found"),
        ("EEG", b"", "v5 format"),
    ],
)
def test_a_broken_file_costs_its_clip_and_the_others_are_read(
    corpus: Written, kind: str, content: dict[str, object] | bytes, message: str
) -> None:
    file = corpus.raw(kind, 1, 3)
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        savemat(file, content)
    listed = load("ascertain", corpus.root)
    with pytest.raises(ReadError, match=message):
        listed.sources[2].read()
    assert len(list(listed)) == 2 * CLIPS - 1
    assert str(file) in without_emo(listed)


def test_a_missing_file_costs_its_modality_and_is_named(corpus: Written) -> None:
    corpus.raw("GSR", 2, 5).unlink()
    listed = load("ascertain", corpus.root)
    assert set(read(listed)["P02", "clip05"].signals) == {"ecg", "eeg"}
    assert without_emo(listed) == ["P02, GSR_Clip5.mat"]


def test_files_of_poor_quality_are_not_used_and_named(corpus: Written) -> None:
    rows = ["Subject,Clip,ECG,GSR,EEG,EMO", "1,1,4,4,3,1", "P01,2,5,1,4,1", "2,3,6,6,6,6", "2,4,good,1,1,1", "2,5,,1,"]
    (corpus.root / "quality.csv").write_text("\n".join(rows) + "\n")
    listed = load("ascertain", corpus.root, quality="quality.csv")
    named = without_emo(listed)
    recordings = read(listed)
    assert set(recordings["P01", "clip01"].signals) == {"ecg", "eda", "eeg"}, "as bad as is kept"
    assert set(recordings["P01", "clip02"].signals) == {"eda"}
    assert ("P02", "clip03") not in recordings
    assert set(recordings["P02", "clip05"].signals) == {"ecg", "eda", "eeg"}, "what is not judged is kept"
    assert [what for what in named if what.startswith("P")] == [
        *(f"P01, {kind}_Clip2.mat" for kind in ("ECG", "EEG")),
        *(f"P02, {kind}_Clip3.mat" for kind in ("ECG", "GSR", "EEG")),
    ]
    assert sum(what.endswith("quality.csv, row 5") for what in named) == 1
    listed = load("ascertain", corpus.root, quality="quality.csv", worst_quality={"ecg": 5, "eeg": 5})
    assert set(read(listed)["P01", "clip02"].signals) == {"ecg", "eda", "eeg"}


def test_a_table_of_quality_that_is_not_there_is_refused(corpus: Written) -> None:
    with pytest.raises(ReadError, match="found no such file"):
        load("ascertain", corpus.root, quality="quality.csv")
    with pytest.raises(DataError, match=r"no modalities \['gsr'\]"):
        load("ascertain", corpus.root, worst_quality={"gsr": 3})


def test_one_modality_needs_no_files_of_the_others(corpus: Written) -> None:
    recording = load("ascertain", corpus.root, modalities=["eda"]).sources[0].read()
    assert set(recording.signals) == {"eda"}
    with pytest.raises(DataError, match=r"no modalities \['gsr'\]; choose among ecg, eda, eeg"):
        load("ascertain", corpus.root, modalities=["gsr"])


# --- the folder -----------------------------------------------------------------------------------------------------


def test_hidden_files_and_one_more_level_are_tolerated(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "inner", seconds=0.1)
    raw = corpus.raw("ECG", 1, 1)
    for place in (raw.parent, raw.parents[1], raw.parents[2], corpus.table("X").parent):
        (place / ".DS_Store").write_bytes(b"\0")
        (place / "._ECG_Clip1.mat").write_bytes(b"\0")
        (place / "__MACOSX").mkdir()
    (raw.parent / "notes.txt").write_text("x")
    (raw.parents[1] / "inner").mkdir()
    for child in raw.parents[1].glob("Movie_*"):
        child.rename(raw.parents[1] / "inner" / child.name)
    listed = load("ascertain", tmp_path)
    assert len(listed) == 2 * CLIPS
    assert without_emo(listed) == []
    assert looks_like(tmp_path)


def test_links_out_of_the_root_are_not_followed(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", seconds=0.1)
    for name, file in {"a": corpus.raw("GSR", 1, 1), "b": corpus.table("SelfReports")}.items():
        file.rename(tmp_path / name)
        file.symlink_to(tmp_path / name)
    listed = load("ascertain", corpus.root)
    assert len(listed) == 2 * CLIPS - 1
    assert sum("a link that leads out" in item.why for item in listed.left_out) == 2


def test_folders_behind_links_out_of_the_root_are_named(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", seconds=0.1)
    for name, folder in {"P02": corpus.raw("ECG", 2, 1).parent, "GSR": corpus.raw("GSR", 1, 1).parents[1]}.items():
        folder.rename(tmp_path / name)
        folder.symlink_to(tmp_path / name, target_is_directory=True)
    listed = load("ascertain", corpus.root)
    assert [item.what[-9:] for item in listed.left_out if "leads out" in item.why] == ["Movie_P02", "w/GSRData"]
    recordings = read(listed)
    assert set(recordings["P01", "clip01"].signals) == {"ecg", "eeg"}
    assert set(recordings["P02", "clip01"].signals) == {"eeg"}


def test_what_is_no_ascertain_says_so(tmp_path: Path) -> None:
    assert not looks_like(tmp_path)
    with pytest.raises(ReadError, match=r"expected the folder that ASCERTAIN_Raw\.zip unpacks into"):
        load("ascertain", tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        load("ascertain", tmp_path / "nowhere")


def test_subjects_are_chosen_by_any_of_their_names(corpus: Written) -> None:
    for name in (2, "2", "P02", "Movie_P02"):
        assert load("ascertain", corpus.root, subjects=[name]).subjects == ("P02",)
    with pytest.raises(DataError, match="no subject 'P03'"):
        load("ascertain", corpus.root, subjects=[3])


def test_listing_reads_labels_and_no_signals(corpus: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    original = matlab.load

    def watched(path: Path, *args: object, **options: object) -> dict[str, object]:
        opened.append(path.name)
        return original(path, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module.matlab, "load", watched)
    listed = load("ascertain", corpus.root)
    assert sorted(opened) == ["Dt_Order_Movie.mat", "Dt_Personality.mat", "Dt_SelfReports.mat"]
    listed.sources[0].read()
    assert len(opened) == 6


def test_sources_travel_to_workers_and_read_the_same_twice(corpus: Written) -> None:
    first, again = load("ascertain", corpus.root), load("ascertain", corpus.root)
    for source, other in zip(first.sources, again.sources, strict=True):
        assert source.fingerprint() == other.fingerprint()
        here, there = source.read(), pickle.loads(pickle.dumps(source)).read()
        assert here.ratings == there.ratings
        for name in ROWS:
            np.testing.assert_array_equal(here.signals[name].data, there.signals[name].data)
    prints = {source.fingerprint() for source in first.sources}
    assert len(prints) == len(first), "no two clips share a key"
    relabelled = load("ascertain", corpus.root, clip_order="presentation_ratings")
    assert {source.fingerprint() for source in relabelled.sources} != prints


def test_a_full_set_of_clips_has_its_shapes(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path, n_subjects=1, n_clips=36, seconds=0.1)
    write_clip(corpus, 1, 36, 1.0, place=0, seconds=127.0)
    listed = load("ascertain", corpus.root)
    recording = listed.sources[35].read()
    shapes = {name: signal.data.shape for name, signal in recording.signals.items()}
    assert shapes == {"ecg": (2, 32512), "eda": (1, 12700), "eeg": (8, 4064)}
    assert len(listed) == 36
    assert read_features(corpus.root, "EEG").values.shape == (36, 88)


def test_it_says_that_it_never_saw_the_real_corpus() -> None:
    assert "never tried on the real corpus" in info("ascertain").checked
