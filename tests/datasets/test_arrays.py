"""A corpus of arrays."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import limbeck
from limbeck import windows
from limbeck.datasets.arrays import from_arrays
from limbeck.errors import DataError
from limbeck.recording import UNITS, Corpus, Recording
from limbeck.targets import Target

SUBJECTS = ["b", "b", "a", "a"]
CLASSES = ["calm", "pain", "pain", "calm"]


def eda(n_trials: int = 4, seconds: float = 10, dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(1).uniform(1, 9, (n_trials, 1, int(4 * seconds))).astype(dtype)


def only(corpus: Corpus) -> Recording:
    (recording,) = corpus
    return recording


def one(modality: str, samples: np.ndarray, **options: Any) -> Recording:
    return only(from_arrays({modality: [samples]}, {modality: 4}, ["s"], **options))


def test_importing_it_brings_no_torch() -> None:
    code = (
        "import sys, limbeck; limbeck.from_arrays; 'from_arrays' in dir(limbeck) or sys.exit('not listed'); "
        "heavy = {'torch', 'pandas', 'scipy', 'xarray', 'mne'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert limbeck.from_arrays is from_arrays


def test_every_trial_becomes_a_recording_with_its_label_over_all_of_it() -> None:
    x = eda()
    acc = np.random.default_rng(2).normal(0, 1, (4, 3, 320)).astype(np.float32)
    corpus = from_arrays({"eda": x, "acc": acc}, {"eda": 4, "acc": 32}, SUBJECTS, CLASSES, name="mine")
    assert (corpus.name, corpus.subjects, len(corpus), corpus.left_out) == ("mine", ("b", "a"), 4, [])
    for i, recording in enumerate(corpus):
        assert (recording.subject, recording.session, recording.trial) == (SUBJECTS[i], "", str(i))
        assert recording.order == i % 2
        assert [(e.name, e.start, e.end) for e in recording.events] == [(CLASSES[i], 0, 10)]
        assert recording.signals["eda"].channels == ("eda",)
        assert recording.signals["acc"].channels == ("x", "y", "z")
        assert {m: s.unit for m, s in recording.signals.items()} == {"eda": "µS", "acc": "g"}
        np.testing.assert_array_equal(recording.signals["eda"].data, x[i])
        np.testing.assert_array_equal(recording.signals["acc"].data, acc[i])


def test_float32_in_limbecks_unit_is_a_view_that_nobody_can_write_through() -> None:
    x = eda()
    data = next(iter(from_arrays({"eda": x}, {"eda": 4}, SUBJECTS))).signals["eda"].data
    assert np.shares_memory(data, x)
    with pytest.raises(ValueError, match="read-only"):
        data[0, 0] = 0
    x[0, 0, 0] = 5  # the user's own array stays writable, and its view shows it
    assert data[0, 0] == 5


@pytest.mark.parametrize("dtype", [np.float64, np.int16, np.uint8])
def test_other_numbers_are_converted_a_trial_at_a_time_and_stay_as_given(dtype: Any) -> None:
    x = eda(dtype=dtype)
    kept = x.copy()
    for i, recording in enumerate(from_arrays({"eda": x}, {"eda": 4}, SUBJECTS)):
        data = recording.signals["eda"].data
        assert data.dtype == np.float32
        data[:] = 0
        np.testing.assert_array_equal(x[i], kept[i])


@pytest.mark.parametrize(
    ("modality", "unit", "given", "expected"),
    [
        ("eeg", "V", 20e-6, 20),
        ("eeg", "uV", 20, 20),
        ("ecg", "µV", 900, 0.9),
        ("eda", "nS", 2500, 2.5),
        ("eda", "kΩ", 200, 5),
        ("temp", "K", 306.15, 33),
        ("acc", "m/s^2", 9.80665, 1),
        ("bvp", "volts of some kind", 3, 3),
    ],
)
def test_units_are_converted(modality: str, unit: str, given: float, expected: float) -> None:
    signal = one(modality, np.full((1, 8), given), units={modality: unit}).signals[modality]
    assert signal.unit == UNITS[modality]
    np.testing.assert_allclose(signal.data, expected, rtol=1e-6)


def test_trials_may_differ_in_length_and_lack_a_modality() -> None:
    rng = np.random.default_rng(4)
    eeg = [rng.normal(0, 10, (2, n)) for n in (256, 512, 384)]
    corpus = from_arrays(
        {"eeg": eeg, "eda": [np.ones((1, 8)), None, np.ones((1, 16))]},
        {"eeg": 128, "eda": 4},
        [1, 1.0, np.int64(2)],
        [0, 1, None],
        channels={"eeg": ["Fz", "Cz"]},
    )
    recordings = list(corpus)
    assert [recording.subject for recording in recordings] == ["1", "1", "2"]
    assert [sorted(recording.signals) for recording in recordings] == [["eda", "eeg"], ["eeg"], ["eda", "eeg"]]
    assert [[(e.name, e.end) for e in r.events] for r in recordings] == [[("0", 2.0)], [("1", 4.0)], []]
    assert recordings[0].signals["eeg"].channels == ("Fz", "Cz")


def test_columns_of_numbers_are_ratings_and_columns_of_words_are_events() -> None:
    labels = {"valence": [1, 2.5, None, float("nan")], "feeling": ["joy", "", None, "fear"]}
    recordings = list(from_arrays({"eda": eda()}, {"eda": 4}, SUBJECTS, labels))
    values = [recording.ratings["valence"] for recording in recordings]
    np.testing.assert_array_equal(values, [1, 2.5, np.nan, np.nan])
    assert [[event.name for event in recording.events] for recording in recordings] == [["joy"], [], [], ["fear"]]


def test_recordings_come_in_the_order_of_recording_with_their_own_labels() -> None:
    x = eda(6)
    subjects, sessions = ["b", "a", "b", "a", "b", "b"], ["1", "1", "2", "1", "1", "2"]
    orders, values = [7, 2, 1, 1, 3, 0], [10, 11, 12, 13, 14, 15]
    names = ["u", "v", "w", "x", "y", "z"]
    corpus = from_arrays(
        {"eda": x},
        {"eda": 4},
        subjects,
        {"v": values},
        sessions=sessions,
        trials=names,
        orders=np.array(orders),
    )
    recordings = list(corpus)
    assert [(r.subject, r.session, r.trial, r.order) for r in recordings] == [
        ("b", "1", "y", 0),
        ("b", "1", "u", 1),
        ("b", "2", "z", 0),
        ("b", "2", "w", 1),
        ("a", "1", "x", 0),
        ("a", "1", "v", 1),
    ]
    for source, recording in zip(corpus.sources, recordings, strict=True):
        i = names.index(recording.trial)
        assert (source.subject, source.session, source.trial) == (subjects[i], sessions[i], names[i])
        assert recording.ratings == {"v": values[i]}
        np.testing.assert_array_equal(recording.signals["eda"].data, x[i])


def test_series_and_object_arrays_are_taken_by_position() -> None:
    import pandas as pd

    ragged = np.empty(4, dtype=object)
    ragged[:] = [np.ones((1, 4 * n)) for n in (2, 3, 4, 5)]
    frame = pd.DataFrame({"who": SUBJECTS, "how": ["x", pd.NA, "y", "x"], "when": [4, 3, 2, 1]}, index=[9, 8, 7, 6])
    corpus = from_arrays({"eda": ragged}, {"eda": 4}, frame["who"], frame["how"], orders=frame["when"])
    found = [(r.subject, r.duration, [event.name for event in r.events]) for r in corpus]
    assert found == [("b", 3, []), ("b", 2, ["x"]), ("a", 5, ["x"]), ("a", 4, ["y"])]


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(DataError) as caught:
        from_arrays(
            {"eda": eda(3), "ecgg": eda(), "acc": np.ones((4, 320, 3)), "bvp": np.ones((4, 40)), "resp": eda()},
            {"eda": 0, "acc": 32, "gsr": 4, "resp": 4},
            SUBJECTS,
            ["calm", 0.5, "pain"],
            units={"eda": "furlong", "resp": "V"},
            channels={"resp": ["a", "a"]},
            orders=[1, 1, 2, 2],
        )
    message = str(caught.value)
    for part in (
        "signals['eda']: found 3 trials, but there are 4 subjects",
        "no modality 'ecgg'. Did you mean 'ecg'?",
        "signals['acc'][0]: found shape (320, 3): more channels than samples",
        "signals['bvp']: found shape (4, 40); expected (n_trials, n_channels, n_times). One channel per trial?",
        "rates['eda']: found 0; expected a number of Hz above 0",
        "rates['bvp']: found nothing",
        "rates: there are no signals 'gsr'",
        "units['eda']: found 'furlong', which cannot be converted into µS",
        "channels['resp']: found a twice",
        "channels['resp']: found 2 names for 1 channels",
        "labels: found 3, but there are 4 subjects",
        "orders: 1 stands twice for subject 'b', session '' (and 1 more)",
    ):
        assert part in message
    assert message.startswith("from_arrays: 12 mistakes\n  - ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signals": {}}, "found no mapping of modality"),
        ({"signals": eda()}, "found no mapping of modality"),
        ({"signals": {"eda": [np.ones(8), *eda(3)]}}, r"\[0\]: found shape \(8,\).*Write array\[None, :\]"),
        ({"signals": {"eda": eda().astype(complex)}}, "numbers of type complex128; expected real ones"),
        ({"signals": {"eda": [["a", "b"]] * 4}}, "found shape"),
        ({"signals": {"eda": [*eda(3), np.ones((2, 9))]}}, "trials of 1 and 2 channels"),
        ({"signals": {"eda": [*eda(3), np.ones((1, 0))]}}, "holds no samples; write None"),
        ({"signals": {"eda": [*eda(3), None]}}, "nothing is given for trial 3"),
        ({"signals": {"eda": [None] * 4}}, "no trial has any samples; leave it out"),
        ({"signals": {"eda": np.ma.masked_less(eda(), 2)}}, r"masked array; write array\.astype\(float\)\.filled"),
        ({"signals": {"eda": "eda.npy"}}, "found str; expected arrays"),
        ({"rates": 4}, "rates: found 4; expected a mapping by modality"),
        ({"rates": {"eda": True}}, "found True; expected a number of Hz"),
        ({"channels": {"eda": [""]}}, "expected words"),
        ({"channels": 3}, "channels: found 3; expected a mapping"),
        ({"subjects": "abab"}, "found 'abab'; give a sequence with one per trial"),
        ({"subjects": None}, "found None; give a sequence with one per trial"),
        ({"subjects": ["a", None, 0.5, ""]}, r"subjects\[1\]: found None \(and 2 more\)"),
        ({"subjects": []}, "subjects: found none; give one per trial"),
        ({"sessions": ["1"]}, "sessions: found 1, but there are 4 subjects"),
        ({"trials": ["1", "1", "2", "2"]}, "the name '1' stands twice for subject 'b'"),
        ({"orders": [1, 2, 1, 0.5]}, "orders: found 0.5; give whole numbers"),
        ({"labels": "pain"}, "labels: found 'pain'; expected a sequence"),
        ({"labels": [1, 2, 3.5, 4]}, r"labels\[2\]: found 3.5; expected a class.*Ratings go into a mapping"),
        ({"labels": {"v": [1, 2, 3]}}, r"labels\['v'\]: found 3, but there are 4"),
        ({"labels": {"v": [["low"], 1, 2, 3]}}, r"labels\['v'\]\[0\]: found \['low'\]"),
        ({"labels": {1: [1, 2, 3, 4]}}, "the name of a rating must be a word"),
        (
            {"labels": {"valence": ["low", "high"] * 2, "arousal": ["low", "mid"] * 2}},
            r"the class 'low' is also in labels\['valence'\].*such as 'arousal low'",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"signals": {"eda": eda()}, "rates": {"eda": 4}, "subjects": SUBJECTS}
    with pytest.raises(DataError, match=message):
        from_arrays(**(arguments | change))


def test_more_channels_than_samples_are_taken_where_the_channels_are_named() -> None:
    names = [f"e{i}" for i in range(12)]
    assert one("eeg", np.ones((12, 8)), channels={"eeg": names}).signals["eeg"].data.shape == (12, 8)


def test_infinite_samples_are_missing_and_noted() -> None:
    x = eda(1, dtype=np.float64)
    x[0, 0, :3] = np.inf, -np.inf, 1e300
    corpus = from_arrays({"eda": x}, {"eda": 4}, ["s"])
    data = only(corpus).signals["eda"].data
    assert np.isnan(data[0, :3]).all()
    assert np.isfinite(data[0, 3:]).all()
    assert np.isinf(x).sum() == 2, "the user's numbers stay as they are"
    assert [item.what for item in corpus.left_out] == ["s 0: eda"]
    assert "3 of 40 samples infinite" in corpus.left_out[0].why


def test_sources_pickle_with_their_own_samples_only() -> None:
    x = eda(100, seconds=100)
    source = from_arrays({"eda": x}, {"eda": 4}, list(range(100)), ["a", "b"] * 50).sources[7]
    packed = pickle.dumps(source)
    assert len(packed) < x[7].nbytes + 4096
    copy = pickle.loads(packed)
    np.testing.assert_array_equal(copy.read().signals["eda"].data, x[7])
    assert copy.fingerprint() == source.fingerprint()


def test_fingerprints_tell_every_sample_and_label_and_nothing_else() -> None:
    x = eda(1)
    options: dict[str, Any] = {"rates": {"eda": 4}, "subjects": ["s"], "labels": ["a"]}

    def fingerprint(samples: np.ndarray = x, **changed: Any) -> str:
        return from_arrays({"eda": samples}, **(options | changed)).sources[0].fingerprint()

    changed = x.copy()
    changed[0, 0, 17] += 1e-3
    wide = np.zeros((1, 1, 80), dtype=np.float32)
    wide[..., ::2] = x
    same = {fingerprint(), fingerprint(x.copy()), fingerprint(wide[..., ::2])}
    assert len(same) == 1
    others = [
        fingerprint(changed),
        fingerprint(x.astype(np.float64)),
        fingerprint(x[:, :, :-1]),
        fingerprint(rates={"eda": 5}),
        fingerprint(labels=["b"]),
        fingerprint(labels={"a": [1]}),
        fingerprint(subjects=["t"]),
        fingerprint(sessions=["1"]),
        fingerprint(units={"eda": "nS"}),
        fingerprint(channels={"eda": ["left"]}),
    ]
    assert len({*same, *others}) == 1 + len(others)
    corpus = from_arrays({"eda": changed}, **options)
    before = corpus.sources[0].fingerprint()
    changed[0, 0, 0] = 0
    assert corpus.sources[0].fingerprint() != before, "numbers changed in place are seen"


def test_memory_mapped_arrays_are_read_when_asked(tmp_path: Path) -> None:
    x = eda()
    np.save(tmp_path / "eda.npy", x)
    mapped = np.load(tmp_path / "eda.npy", mmap_mode="r")
    corpus = from_arrays({"eda": mapped}, {"eda": 4}, SUBJECTS)
    data = next(iter(corpus)).signals["eda"].data
    assert np.shares_memory(data, mapped)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(corpus.sources[1])).read().signals["eda"].data, x[1])


def test_windows_are_cut_from_it_kept_in_the_cache_and_leave_the_arrays_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    eeg = rng.normal(0, 10, (4, 2, 1280)).astype(np.float32)
    kept = eeg.copy()

    def cut(jobs: int = 1) -> Any:
        corpus = from_arrays({"eeg": eeg, "eda": eda()}, {"eeg": 128, "eda": 4}, SUBJECTS, CLASSES)
        return windows.cut(
            corpus,
            signals={"eeg": [{"bandpass": {"low": 4, "high": 30}}], "eda": []},
            target=Target(name="pain", events={"calm": ["calm"], "pain": ["pain"]}),
            length=2,
            hop=2,
            cache=tmp_path,
            jobs=jobs,
        )

    first = cut()
    np.testing.assert_array_equal(eeg, kept)
    assert first.sizes["window"] == 20
    table = windows.table(first)
    classes = dict(zip(table["trial"].astype(str), table["target"], strict=True))
    assert classes == {str(i): int(name == "pain") for i, name in enumerate(CLASSES)}
    entries = {entry: entry.stat().st_mtime_ns for entry in tmp_path.rglob("*.zarr")}
    assert len(entries) == 4
    again = cut()
    np.testing.assert_array_equal(again["eeg"], first["eeg"])
    assert {entry: entry.stat().st_mtime_ns for entry in tmp_path.rglob("*.zarr")} == entries
    eeg[0, 0, 0] += 1
    cut()
    assert len(list(tmp_path.rglob("*.zarr"))) == 5, "only the trial that changed is cut anew"


def test_a_corpus_of_full_size_is_listed_at_once() -> None:
    import time

    eeg = np.zeros((1280, 32, 8064), dtype=np.float32)  # DEAP's shape; pages of zeros take no memory until read
    start = time.perf_counter()
    corpus = from_arrays({"eeg": eeg}, {"eeg": 128}, np.repeat(np.arange(32), 40), {"valence": np.ones(1280)})
    assert time.perf_counter() - start < 1
    assert len(corpus) == 1280
    assert np.shares_memory(corpus.sources[-1].read().signals["eeg"].data, eeg)


@pytest.mark.parametrize(("name", "called"), [("ppg", "PPG is bvp"), ("gsr", "GSR is eda"), ("ecgg", "mean 'ecg'")])
def test_a_modality_by_another_name_is_told_its_own(name: str, called: str) -> None:
    with pytest.raises(DataError, match=called):
        from_arrays({name: np.zeros((1, 1, 40))}, {name: 4}, ["s"])


@pytest.mark.parametrize(
    ("modality", "unit", "size", "doubted"),
    [
        ("eda", "ohm", 2.0, True),
        ("eda", "kOhm", 500.0, False),
        ("eda", "S", 2.0, True),
        ("eeg", "V", 20.0, True),
        ("eeg", "V", 20e-6, False),
        ("ecg", "uV", 1000.0, False),
        ("temp", "K", 306.0, False),
        ("temp", "F", 306.0, True),
        ("eda", "ohm", 0.0, False),
    ],
)
def test_a_unit_that_can_hardly_be_right_is_noted(modality: str, unit: str, size: float, doubted: bool) -> None:
    wave = size * (1 + 0.5 * np.sin(np.arange(400) / 3)) if modality != "temp" else np.full(400, size)
    recording = one(modality, wave[None, :], units={modality: unit})
    assert [note.what.rpartition(": ")[2] for note in recording.notes] == (["unit"] if doubted else [])
    assert all(f"taken to be in {unit}" in note.why and UNITS[modality] in note.why for note in recording.notes)
