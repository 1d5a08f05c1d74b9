"""Reading WESAD, from files that have its formats and random numbers."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpora.binary import py2_pickle

from limbeck.datasets import info, load, pickles
from limbeck.datasets import wesad as module
from limbeck.datasets.wesad import looks_like, read_questionnaires
from limbeck.errors import DataError, ReadError
from limbeck.recording import Corpus, Recording

SCHEDULE = ((0, 1), (1, 3), (0, 1), (2, 2), (0, 1), (4, 1), (5, 1), (3, 2), (0, 1), (4, 2), (7, 1), (6, 1))
"""Labels and the seconds that they last."""
SECONDS = sum(seconds for _, seconds in SCHEDULE)
RATES = {"chest": dict.fromkeys(("ACC", "ECG", "EMG", "EDA", "Temp", "Resp"), 700)} | {
    "wrist": {"ACC": 32, "BVP": 64, "EDA": 4, "TEMP": 4}
}
ORDER = "# ORDER;Base;TSST;Medi 1;Fun;Medi 2;sRead;fRead;;"
START = "# START;7.08;39.55;70.19;81.25;93.38;54.42;89.51;;"
END = "# END;26.32;50.3;77.10;87.47;100.15;56.07;91.15;;"
DIM = ((8, 2), (3, 7), (7, 1), (9, 4), (6, 3))


def content(subject: int = 2, schedule: Sequence[tuple[int, float]] = SCHEDULE) -> dict[str, Any]:
    """What a subject's pickle holds, every sensor with its own numbers."""
    rng = np.random.default_rng(subject)
    seconds = sum(length for _, length in schedule)
    signal: dict[str, dict[str, np.ndarray]] = {}
    for device, rates in RATES.items():
        signal[device] = {}
        for key, rate in rates.items():
            shape = (int(seconds * rate), 3 if key == "ACC" else 1)
            values = rng.normal(size=shape)
            signal[device][key] = values.astype(np.float32) if key == "Temp" else values
    signal["wrist"]["ACC"] = rng.integers(-128, 128, (int(seconds * 32), 3)).astype(np.float64)
    labels = np.concatenate([np.full(int(length * 700), label, dtype=np.int32) for label, length in schedule])
    return {"signal": signal, "label": labels, "subject": f"S{subject}"}


def quest_text(subject: int = 2, replace: Mapping[str, str] | None = None) -> str:
    rows = [f"# Subj;S{subject};;;", ORDER, START, END, ";;;;"]
    rows += [f"# PANAS;{';'.join(str(1 + (k + i) % 5) for i in range(26 if k == 1 else 24))};" for k in range(5)]
    rows += [";;;", *(f"# STAI;{';'.join(str(1 + (k + i) % 4) for i in range(6))};;;" for k in range(5)), ";;;"]
    rows += [*(f"# DIM;{valence};{arousal};;;" for valence, arousal in DIM), ";;;", "# SSSQ;5;3;4;4;2;2;;;"]
    text = "\r\n".join(rows) + "\r\n"
    for old, new in (replace or {}).items():
        assert old in text
        text = text.replace(old, new)
    return text


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a subject; `change` alters what the pickle holds before it is written."""

    def write_subject(
        subject: int = 2,
        *,
        change: Callable[[dict[str, Any]], object] | None = None,
        quest: str | None = "",
        raw: bytes | None = None,
        schedule: Sequence[tuple[int, float]] = SCHEDULE,
    ) -> Path:
        folder = tmp_path / "WESAD" / f"S{subject}"
        folder.mkdir(parents=True)
        held = content(subject, schedule)
        if change is not None:
            change(held)
        (folder / f"S{subject}.pkl").write_bytes(py2_pickle(held) if raw is None else raw)
        (folder / f"S{subject}_readme.txt").write_text("### Subject\nAge: 27\n")
        if quest is not None:
            (folder / f"S{subject}_quest.csv").write_bytes((quest or quest_text(subject)).encode("latin1"))
        return tmp_path / "WESAD"

    return write_subject


def only(corpus: Corpus) -> Recording:
    (recording,) = corpus
    return recording


def shapes(recording: Recording) -> dict[str, tuple[float, tuple[str, ...], str, tuple[int, ...]]]:
    return {n: (s.rate, s.channels, s.unit, s.data.shape) for n, s in recording.signals.items()}


CHEST = {
    "acc": (700.0, ("x", "y", "z"), "g", (3, 700 * SECONDS)),
    "ecg": (700.0, ("ECG",), "mV", (1, 700 * SECONDS)),
    "eda": (700.0, ("eda",), "µS", (1, 700 * SECONDS)),
    "emg": (700.0, ("EMG",), "mV", (1, 700 * SECONDS)),
    "resp": (700.0, ("Resp",), "a.u.", (1, 700 * SECONDS)),
    "temp": (700.0, ("temp",), "°C", (1, 700 * SECONDS)),
}
WRIST = {
    "acc": (32.0, ("x", "y", "z"), "g", (3, 32 * SECONDS)),
    "bvp": (64.0, ("bvp",), "a.u.", (1, 64 * SECONDS)),
    "eda": (4.0, ("eda",), "µS", (1, 4 * SECONDS)),
    "temp": (4.0, ("temp",), "°C", (1, 4 * SECONDS)),
}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {**WRIST, **CHEST}),
        ({"shared": "wrist"}, {**CHEST, **WRIST}),
        ({"device": "chest"}, CHEST),
        ({"device": "wrist"}, WRIST),
    ],
)
def test_each_device_is_read_at_its_native_rates(write: Write, options: dict[str, Any], expected: object) -> None:
    assert shapes(only(load("wesad", write(), **options))) == expected


def test_samples_are_those_written_in_the_units_of_limbeck(write: Write) -> None:
    root, held = write(), content()["signal"]
    keys = {"acc": "ACC", "ecg": "ECG", "eda": "EDA", "emg": "EMG", "resp": "Resp", "temp": "Temp"}
    chest = only(load("wesad", root, device="chest"))
    for modality, key in keys.items():
        np.testing.assert_array_equal(chest.signals[modality].data, held["chest"][key].T.astype(np.float32))
        assert chest.signals[modality].data.dtype == np.float32
    wrist = only(load("wesad", root, device="wrist"))
    np.testing.assert_array_equal(wrist.signals["acc"].data, held["wrist"]["ACC"].T.astype(np.float32) / 64)
    np.testing.assert_array_equal(wrist.signals["temp"].data, held["wrist"]["TEMP"].T.astype(np.float32))
    np.testing.assert_array_equal(wrist.signals["bvp"].data, held["wrist"]["BVP"].T.astype(np.float32))


def test_runs_of_labels_are_events_and_labels_to_be_ignored_are_not(write: Write) -> None:
    expected = [
        ("transient", 0, 1),
        ("baseline", 1, 4),
        ("transient", 4, 5),
        ("stress", 5, 7),
        ("transient", 7, 8),
        ("meditation", 8, 9),
        ("amusement", 10, 12),
        ("transient", 12, 13),
        ("meditation", 13, 15),
    ]
    root = write()
    recording = only(load("wesad", root))
    assert [(event.name, event.start, event.end) for event in recording.events] == expected
    recording = only(load("wesad", root, transient=False))
    assert [(e.name, e.start, e.end) for e in recording.events] == [e for e in expected if e[0] != "transient"]


@pytest.mark.parametrize("dtype", ["<i8", "<i2", "<f8", "<i4"])
def test_labels_come_in_any_width(write: Write, dtype: str) -> None:
    root = write(change=lambda held: held.update(label=held["label"].astype(dtype)))
    assert [event.name for event in only(load("wesad", root)).events].count("meditation") == 2


# --- questionnaires -------------------------------------------------------------------------------------------------


def test_times_of_conditions_are_minutes_and_seconds(write: Write) -> None:
    answers = read_questionnaires(write() / "S2" / "S2_quest.csv")
    assert answers.subject == "S2"
    assert answers.order == ("baseline", "stress", "meditation_1", "amusement", "meditation_2")
    assert answers.spans["baseline"] == (7 * 60 + 8, 26 * 60 + 32)
    assert answers.spans["stress"] == (39 * 60 + 55, 50 * 60 + 30), "50.3 is 50.30: the last zero gets lost"
    assert [len(answers.panas[name]) for name in answers.order] == [24, 26, 24, 24, 24]
    assert answers.stai["meditation_1"] == (3, 4, 1, 2, 3, 4)
    assert answers.sssq == {"stress": (5, 3, 4, 4, 2, 2)}


def test_answers_go_to_the_conditions_they_were_given_for(write: Write) -> None:
    recording = only(load("wesad", write()))
    names = ("baseline", "stress", "meditation_1", "amusement", "meditation_2")
    expected = {f"{name}_valence": valence for name, (valence, _) in zip(names, DIM, strict=True)}
    expected |= {f"{name}_arousal": arousal for name, (_, arousal) in zip(names, DIM, strict=True)}
    assert recording.ratings == expected
    np.testing.assert_array_equal(recording.traces["valence"].times, [1, 2, 3, 5, 6, 8, 10, 11, 13, 14])
    np.testing.assert_array_equal(recording.traces["valence"].values, [8, 8, 8, 3, 3, 7, 9, 9, 6, 6])
    np.testing.assert_array_equal(recording.traces["arousal"].values, [2, 2, 2, 7, 7, 1, 4, 4, 3, 3])


def test_the_other_version_of_the_order_gives_each_condition_its_own_answers(write: Write) -> None:
    other = "# ORDER;Base;Fun;Medi 1;TSST;Medi 2;bRead;fRead;;"
    schedule = ((1, 2), (3, 2), (4, 2), (2, 2), (4, 2))
    recording = only(load("wesad", write(quest=quest_text(2, {ORDER: other}), schedule=schedule)))
    assert recording.ratings["amusement_valence"] == 3
    assert recording.ratings["stress_valence"] == 9
    np.testing.assert_array_equal(recording.traces["valence"].values, [8, 8, 3, 3, 7, 7, 9, 9, 6, 6])


def test_reading_aloud_between_conditions_takes_no_answers(write: Write) -> None:
    moved = "# ORDER;Base;sRead;TSST;Medi 1;Fun;fRead;Medi 2;;"
    answers = read_questionnaires(write(quest=quest_text(2, {ORDER: moved})) / "S2" / "S2_quest.csv")
    assert answers.valence == dict(
        zip(("baseline", "stress", "meditation_1", "amusement", "meditation_2"), (8, 3, 7, 9, 6), strict=True)
    )
    assert answers.spans["stress"] == (70 * 60 + 19, 77 * 60 + 10), "times stand under their own condition"


@pytest.mark.parametrize(
    ("replace", "message"),
    [
        ({"7.08": "7.68"}, "row 3: found '7.68'; expected minutes.seconds"),
        ({"7.08": "soon"}, "row 3: found 'soon'"),
        ({"26.32": "6.32"}, "rows 3 and 4: found Base from 7.08 to 6.32"),
        ({"TSST": "Lunch"}, "row 2: found 'Lunch'"),
        ({"Medi 2": "Medi 1"}, "row 2: found 'Medi 1'"),
        ({"# ORDER": "# Other"}, "found no row '# ORDER'"),
        ({"# DIM;8;2": "# DIM;8;12"}, "found '8;12'; expected valence and arousal"),
        ({"# DIM;8;2": "# DIM;8;high"}, "found '8;high'; expected numbers"),
        ({"# SSSQ;5": "# DIM;5;5\r\n# SSSQ;5"}, "found 6 rows '# DIM' for 5 conditions"),
        ({"81.25;93.38;54.42;89.51;;": ""}, "found no time for 'Fun'"),
        ({"# Subj;S2": "# Subj;S3"}, "found the answers of S3; expected those of S2"),
        ({"Base;TSST": "TSST;Base"}, "the labels have baseline, stress"),
    ],
)
def test_wrong_questionnaires_are_noted_and_the_signals_read(
    write: Write, replace: dict[str, str], message: str
) -> None:
    listed = load("wesad", write(quest=quest_text(2, replace)))
    recording = only(listed)
    assert set(recording.signals) == {*CHEST, *WRIST}
    assert recording.traces == {}
    (note,) = listed.left_out
    assert message in note.why


def test_without_questionnaires_there_are_no_ratings(write: Write) -> None:
    listed = load("wesad", write(quest=None))
    assert only(listed).ratings == {}
    assert listed.left_out == []


# --- defects --------------------------------------------------------------------------------------------------------


def test_a_wrist_signal_shorter_by_a_sample_is_nothing_and_by_seconds_is_noted(write: Write) -> None:
    def shorten(held: dict[str, Any]) -> None:
        held["signal"]["wrist"]["EDA"] = held["signal"]["wrist"]["EDA"][:-1]
        held["signal"]["wrist"]["BVP"] = held["signal"]["wrist"]["BVP"][: -64 * 5]

    listed = load("wesad", write(change=shorten), device="wrist")
    recording = only(listed)
    assert recording.signals["eda"].data.shape == (1, 4 * SECONDS - 1)
    (note,) = listed.left_out
    assert note.what.endswith("wrist BVP")
    assert f"ends at {SECONDS - 5:.1f} s, the labels at {SECONDS:.1f} s" in note.why


def test_samples_that_are_not_numbers_are_nan(write: Write) -> None:
    def damage(held: dict[str, Any]) -> None:
        held["signal"]["chest"]["EDA"][3:5, 0] = np.nan, np.inf

    data = only(load("wesad", write(change=damage))).signals["eda"].data
    assert np.flatnonzero(np.isnan(data)).tolist() == [3, 4]


def drop(*keys: str) -> Callable[[dict[str, Any]], object]:
    def change(held: dict[str, Any]) -> None:
        for key in keys[:-1]:
            held = held[key]
        del held[keys[-1]]

    return change


def put(value: object, *keys: str) -> Callable[[dict[str, Any]], object]:
    def change(held: dict[str, Any]) -> None:
        for key in keys[:-1]:
            held = held[key]
        held[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("label"), "content: found the entries signal, subject; expected 'label'"),
        (drop("signal"), "expected 'signal' among them"),
        (drop("signal", "wrist"), "expected 'wrist' among them"),
        (drop("signal", "chest", "Temp"), "signal, chest: found the entries .*; expected 'Temp' among them"),
        (put("text", "signal"), "found a str; expected a dictionary"),
        (put(np.zeros((4, 2)), "signal", "chest", "ECG"), r"chest, ECG: found an array of float64 .*\(samples, 1\)"),
        (put(np.zeros((0, 1)), "signal", "wrist", "BVP"), r"wrist, BVP: found .*\(0, 1\)"),
        (put(np.zeros((9, 1)), "signal", "chest", "ECG"), "found 9 samples and .* labels; expected a label per sample"),
        (put(np.full(700 * SECONDS, 9, dtype="<i4"), "label"), "label of sample 0: found 9; expected 0 to 7"),
        (put(np.full(700 * SECONDS, 0.5), "label"), "label of sample 0: found 0.5"),
        (put(np.zeros((10, 2)), "label"), r"found an array of float64 with the shape \(10, 2\)"),
        (put("text", "label"), "label: found values of type"),
        (put({"a": "b"}, "signal", "wrist", "BVP"), "wrist, BVP: found values of type object"),
        (put("S3", "subject"), "found 'S3'; expected S2. .*two subjects would be one"),
    ],
)
def test_a_pickle_that_is_not_a_subjects_is_refused_and_the_others_read(
    write: Write, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    write(2, change=change)
    listed = load("wesad", write(4))
    with pytest.raises(ReadError, match=message):
        listed.sources[0].read()
    assert [recording.subject for recording in listed] == ["S4"]
    assert listed.left_out[0].what.endswith("S2.pkl")


def test_lists_of_unequal_lengths_are_refused(write: Write) -> None:
    held = content()
    held["label"] = [[1, 2], [3]]
    listed = load("wesad", write(raw=pickle.dumps(held, protocol=4)))
    with pytest.raises(ReadError, match=r"label: found .*expected an array of numbers"):
        listed.sources[0].read()


@pytest.mark.parametrize("raw", [b"", b"not a pickle", py2_pickle(content(2))[:-3000], py2_pickle("text")])
def test_a_damaged_pickle_is_refused_and_the_others_read(write: Write, raw: bytes) -> None:
    write(2, raw=raw)
    listed = load("wesad", write(4))
    with pytest.raises(ReadError):
        listed.sources[0].read()
    assert [recording.subject for recording in listed] == ["S4"]


# --- the folder -----------------------------------------------------------------------------------------------------


def test_subjects_come_by_number_and_gaps_in_them_are_no_matter(write: Write) -> None:
    for subject in (13, 2, 11):
        root = write(subject, schedule=((1, 1),))
    assert load("wesad", root).subjects == ("S2", "S11", "S13")
    for name in (11, "11", "S11", "s11"):
        assert load("wesad", root, subjects=[name]).subjects == ("S11",)
    with pytest.raises(DataError, match="no subject 'S12'"):
        load("wesad", root, subjects=[12])


def test_a_folder_without_its_pickle_is_left_out(write: Write) -> None:
    root = write()
    (root / "S3").mkdir()
    listed = load("wesad", root)
    assert listed.subjects == ("S2",)
    assert "no S3.pkl" in listed.left_out[0].why


def test_hidden_files_and_one_more_level_are_tolerated(write: Write, tmp_path: Path) -> None:
    root = write()
    for place in (root, root / "S2"):
        (place / ".DS_Store").write_bytes(b"\0")
        (place / "._S2.pkl").write_bytes(b"\0")
        (place / "__MACOSX").mkdir()
    (root / "S2" / "S2").mkdir()
    for file in (root / "S2").glob("S2*.*"):
        file.rename(root / "S2" / "S2" / file.name)
    listed = load("wesad", tmp_path)
    assert only(listed).ratings
    assert listed.left_out == []
    assert looks_like(tmp_path)


def test_links_out_of_the_root_are_not_followed(write: Write, tmp_path: Path) -> None:
    write(2)
    root = write(4)
    for file in ("S2/S2.pkl", "S4/S4_quest.csv"):
        away = tmp_path / Path(file).name
        (root / file).rename(away)
        (root / file).symlink_to(away)
    listed = load("wesad", root)
    assert only(listed).subject == "S4"
    assert ["a link that leads out" in item.why for item in listed.left_out] == [True, True]


def test_what_is_no_wesad_says_so(tmp_path: Path) -> None:
    assert not looks_like(tmp_path)
    with pytest.raises(ReadError, match=r"found no S2/S2\.pkl"):
        load("wesad", tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        load("wesad", tmp_path / "nowhere")


def test_options_that_there_are_not_are_refused(write: Write) -> None:
    root = write()
    with pytest.raises(DataError, match=r"no device 'wirst'\. Did you mean 'wrist'"):
        load("wesad", root, device="wirst")
    with pytest.raises(DataError, match="no shared 'both'"):
        load("wesad", root, shared="both")


def test_listing_opens_no_pickle(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    original = pickles.load

    def watched(path: Path, **options: Any) -> Any:
        opened.append(path)
        return original(path, **options)

    monkeypatch.setattr(module.pickles, "load", watched)
    root = write()
    listed = load("wesad", root)
    assert opened == []
    listed.sources[0].read()
    assert opened == [root / "S2" / "S2.pkl"]


def test_sources_travel_to_workers_and_read_the_same_twice(write: Write) -> None:
    root = write()
    (source,), (again,) = load("wesad", root).sources, load("wesad", root).sources
    assert source.fingerprint() == again.fingerprint()
    assert source.fingerprint() != load("wesad", root, shared="wrist").sources[0].fingerprint()
    here, there = source.read(), pickle.loads(pickle.dumps(source)).read()
    assert (here.events, here.ratings) == (there.events, there.ratings)
    for name, signal in here.signals.items():
        np.testing.assert_array_equal(signal.data, there.signals[name].data)


def test_a_session_of_ten_minutes_keeps_its_times(write: Write) -> None:
    schedule = ((0, 60.5), (1, 240), (0, 0.3), (2, 120), (0, 179.2))
    recording = only(load("wesad", write(quest=None, schedule=schedule), device="wrist"))
    assert [(e.name, e.start, e.end) for e in recording.events if e.name != "transient"] == [
        ("baseline", pytest.approx(60.5), pytest.approx(300.5)),
        ("stress", pytest.approx(300.8), pytest.approx(420.8)),
    ]
    assert recording.signals["bvp"].data.shape == (1, 38400)


@pytest.mark.slow
def test_a_subject_of_full_size_is_read(write: Write) -> None:
    schedule = ((0, 300), (1, 1200), (0, 400), (2, 600), (0, 400), (4, 420), (0, 100), (3, 390), (0, 200), (4, 420))
    root = write(schedule=schedule)
    source = load("wesad", root).sources[0]
    recording = source.read()
    (root / "S2" / "S2.pkl").unlink()  # 290 MB that pytest would keep
    assert recording.signals["ecg"].data.shape == (1, 3_101_000)
    assert [event.name for event in recording.events].count("meditation") == 2
    np.testing.assert_array_equal(recording.traces["arousal"].values[[0, -1]], [2, 3])


def test_it_says_that_it_never_saw_the_real_corpus() -> None:
    assert "never tried on the real corpus" in info("wesad").checked
