"""Several data sets as one: named apart, read as they are read alone, and brought to one layout by steps."""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from corpora import CASES

from limbeck.datasets import info, load
from limbeck.datasets.joined import join, source_of
from limbeck.errors import DataError, ReadError
from limbeck.recording import Corpus, Event, LeftOut, Recording, Signal, Source
from limbeck.targets import Target
from limbeck.windows import cut, decode, view

RELAXED = Target("relaxed", events={"low": ("rest",), "high": ("task", "film")})
STEPS = {"eeg": [{"pick": ["T7", "O1"]}, {"resample": 32}]}


@pytest.fixture
def homes(tmp_path: Path, eegmat_edf: Callable[..., bytes]) -> Path:
    """EEGMAT (19 electrodes at 50 Hz, older names) beside DREAMER (14 electrodes at 128 Hz, newer names)."""
    (tmp_path / "arithmetic").mkdir()
    (tmp_path / "films").mkdir()
    for subject in ("00", "01"):
        (tmp_path / "arithmetic" / f"Subject{subject}_1.edf").write_bytes(eegmat_edf(6))
        (tmp_path / "arithmetic" / f"Subject{subject}_2.edf").write_bytes(eegmat_edf(4))
    next(case for case in CASES if str(case) == "dreamer").write(tmp_path / "films", np.random.default_rng(0))
    return tmp_path


def both(homes: Path, **keys: object) -> Corpus:
    """The two, DREAMER's baselines being called rest."""
    parts = [
        {"corpus": "eegmat", "root": "arithmetic"},
        {"corpus": "dreamer", "root": "films", "rename": {"events": {"baseline": "rest"}}},
    ]
    return load("joined", homes, of=parts, **keys)


def windows_of(corpus: Corpus, **options: object):
    return cut(corpus, **{"signals": STEPS, "target": RELAXED, "length": 1, "hop": 1, **options})


def left_out(windows) -> str:
    return "\n".join(f"{entry['what']}: {entry['why']}" for entry in json.loads(windows.attrs["left_out"]))


# ---- what is read ---------------------------------------------------------------------------------------------------


def test_subjects_stand_under_the_name_of_their_data_set_and_are_read_as_they_are_alone(homes):
    whole = both(homes)
    alone = [*load("eegmat", homes / "arithmetic"), *load("dreamer", homes / "films")]
    assert whole.name == "joined"
    assert whole.subjects == ("eegmat:Subject00", "eegmat:Subject01", "dreamer:S01", "dreamer:S02", "dreamer:S03")
    for source, recording, own in zip(whole.sources, whole, alone, strict=True):
        assert recording.subject == source.subject == f"{source_of(source.subject)}:{own.subject}"
        assert (recording.session, recording.trial, recording.order) == (own.session, own.trial, own.order)
        assert recording.ratings == own.ratings
        assert {name: signal.channels for name, signal in recording.signals.items()} == {
            name: signal.channels for name, signal in own.signals.items()
        }
        for name, signal in own.signals.items():
            np.testing.assert_array_equal(recording.signals[name].data, signal.data)
        renamed = {"baseline": "rest"} if source_of(source.subject) == "dreamer" else {}
        assert [event.name for event in recording.events] == [renamed.get(e.name, e.name) for e in own.events]


def test_the_data_source_of_a_subject_is_read_back():
    assert source_of("deap:s01") == "deap"
    assert source_of("lab a:P:01") == "lab a"
    assert source_of("s01") == ""
    assert info("joined").access == "own"


def test_subjects_are_chosen_by_their_names_in_the_whole(homes):
    assert both(homes, subjects=["dreamer:S02", "eegmat:Subject01"]).subjects == ("eegmat:Subject01", "dreamer:S02")
    with pytest.raises(DataError, match="There is no subject 'S02'"):
        both(homes, subjects=["S02"])


def test_sources_travel_to_workers_and_their_keys_know_the_readers_and_what_is_renamed(homes):
    whole = both(homes)
    source = whole.sources[-1]
    assert pickle.loads(pickle.dumps(source)).read().subject == source.subject
    assert {"limbeck.datasets.joined", "limbeck.datasets.dreamer"} <= set(source.modules)
    alone = load("dreamer", homes / "films").sources[-1]
    assert source.files == alone.files
    parts = [{"corpus": "eegmat", "root": "arithmetic"}, {"corpus": "dreamer", "root": "films"}]
    plain = load("joined", homes, of=parts).sources[-1]
    assert len({source.fingerprint(), plain.fingerprint(), alone.fingerprint()}) == 3


def test_roots_start_in_the_root_of_the_whole_unless_they_are_absolute(homes):
    parts = [
        {"corpus": "eegmat", "root": str(homes / "arithmetic")},
        {"corpus": "dreamer", "root": "films"},
    ]
    assert len(load("joined", homes, of=parts)) == 13
    with pytest.raises(DataError, match="The data set 'dreamer' is not in films: there is no such file or folder"):
        load("joined", of=parts)


def test_one_data_set_may_come_twice_under_names_of_its_own():
    parts = [
        {"corpus": "simulated", "name": name, "options": {"subjects": 2, "trials": 4, "seed": seed}}
        for seed, name in enumerate("ab")
    ]
    parts[1]["rename"] = {"channels": {"eda": {"eda": "skin"}}, "traces": {"arousal": "latent"}}
    whole = load("joined", of=parts)
    assert whole.subjects == ("a:S001", "a:S002", "b:S001", "b:S002")
    first, *_, last = whole
    assert (first.signals["eda"].channels, last.signals["eda"].channels) == (("eda",), ("skin",))
    assert (list(first.traces), list(last.traces)) == (["arousal"], ["latent"])
    assert set(whole.truth) == {"a", "b"}


def test_what_a_part_left_out_stands_under_its_name(homes):
    broken = homes / "arithmetic" / "Subject01_2.edf"
    broken.write_bytes(broken.read_bytes()[:100])
    whole = both(homes)
    read = {(recording.subject, recording.trial) for recording in whole}
    assert ("eegmat:Subject01", "task") not in read
    assert any("Subject01_2.edf" in entry.why for entry in whole.left_out)


def test_corpora_in_memory_are_joined_too():
    def corpus(name: str) -> Corpus:
        recording = Recording(
            "s1",
            {"eda": Signal(np.zeros((1, 40), np.float32), 4.0, ("eda",), "µS")},
            notes=(LeftOut("s1", "has no ecg"),),
        )
        return Corpus(name, (Source("s1", lambda: recording),), [LeftOut("s2", "is empty")])

    whole = join({"a": corpus("a"), "b": corpus("b")})
    assert [recording.subject for recording in whole] == ["a:s1", "b:s1"]
    assert [entry.what for entry in whole.left_out] == ["a:s2", "b:s2", "a:s1", "b:s1"]
    with pytest.raises(DataError, match="two corpora at least"):
        join({"a": corpus("a")})
    with pytest.raises(DataError, match="without ':'"):
        join({"a": corpus("a"), "b:c": corpus("b")})


# ---- what is refused ------------------------------------------------------------------------------------------------


def test_every_mistake_in_the_parts_is_named_at_once():
    parts = [
        {"corpus": "eegmta"},
        {"corpus": "deap", "options": {"subject": [1], "root": "x"}, "rooot": "x"},
        {"corpus": "joined", "name": "a:b"},
        {"corpus": "simulated", "root": "x", "rename": {"events": ["rest"], "channel": {}, "channels": {"gsr": {}}}},
        {"corpus": "simulated"},
    ]
    with pytest.raises(DataError) as refused:
        load("joined", of=parts)
    text = str(refused.value)
    for part in (
        "of[0].corpus: there is no data set 'eegmta'. Did you mean 'eegmat'?",
        "of[1].options: The data set 'deap' has no option 'subject'. Did you mean 'subjects'?",
        "of[1].options.root: the root is no option of a reader",
        "of[1].rooot: there is no such key. Did you mean 'root'?",
        "of[2].corpus: what is joined cannot be joined again",
        "of[2].name: it must be a word without ':'",
        "of[3].root: the data set 'simulated' is made and has no folder",
        "of[3].rename.events: it must map old names to new ones",
        "of[3].rename.channel: there is no such kind. Did you mean 'channels'?",
        "of[3].rename.channels.gsr: there is no such modality. GSR is eda here.",
        "of: 2 parts are called 'simulated'; give each a name of its own",
    ):
        assert part in text


@pytest.mark.parametrize("of", [None, "deap", [{"corpus": "simulated"}], ["deap", "dreamer"]])
def test_fewer_than_two_parts_or_no_list_is_refused_with_an_example(of):
    with pytest.raises(DataError, match=r"of must list .*corpus: deap, root: deap"):
        load("joined", of=of)


def test_all_parts_that_are_not_there_are_named_at_once(homes):
    parts = [{"corpus": "eegmat", "root": "no"}, {"corpus": "dreamer", "root": "nowhere"}]
    with pytest.raises(DataError) as refused:
        load("joined", homes, of=parts)
    assert "eegmat: The data set" in str(refused.value)
    assert "dreamer: The data set" in str(refused.value)
    (homes / "empty").mkdir()
    with pytest.raises(ReadError, match="empty"):
        load("joined", homes, of=[{"corpus": "eegmat", "root": "arithmetic"}, {"corpus": "dreamer", "root": "empty"}])


def test_two_names_that_would_become_one_leave_the_recording_out(homes):
    parts = [
        {"corpus": "eegmat", "root": "arithmetic"},
        {"corpus": "dreamer", "root": "films", "rename": {"ratings": {"valence": "arousal"}}},
    ]
    whole = load("joined", homes, of=parts)
    assert {source_of(recording.subject) for recording in whole} == {"eegmat"}
    assert "two ratings that would both be called arousal" in whole.left_out[0].why


# ---- windows of them ------------------------------------------------------------------------------------------------


def test_electrodes_that_all_have_at_one_rate_are_one_layout(homes, tmp_path):
    windows = windows_of(both(homes), cache=tmp_path / "cache")
    assert windows.eeg.shape[1:] == (2, 32)
    assert windows.eeg.attrs["rate"] == 32
    assert windows.eeg_present.all()
    assert np.isfinite(windows.eeg).all()
    sources = np.array([source_of(subject) for subject in decode(windows.subject)])
    assert dict(zip(*np.unique(sources, return_counts=True), strict=True))["eegmat"] == 20
    # of EEGMAT the electrode that DREAMER calls T7 is T3, its seventh, and O1 the fifteenth
    np.testing.assert_allclose(windows.eeg[sources == "eegmat"].mean(("window", "eeg_time")), [600, 1400], rtol=0.01)
    assert set(np.unique(windows.target[sources == "eegmat"])) == {0, 1}
    assert set(np.unique(windows.target[sources == "dreamer"])) == {0, 1}
    assert windows.identical(windows_of(both(homes), cache=tmp_path / "cache"))
    assert np.isfinite(view(windows, {"eeg": ["O1"]}).eeg_quality[..., -1]).all()


def test_features_of_electrodes_by_older_and_newer_names_are_the_same_columns(homes):
    windows = windows_of(both(homes), signals={"eeg": [*STEPS["eeg"], {"features": ["statistics"]}]})
    assert windows.eeg_valid.any(dim="eeg_feature").all()
    assert len({name.split(".")[1] for name in windows.eeg.attrs["features"]}) == 2


def test_different_montages_are_refused_with_the_electrodes_to_pick(homes):
    with pytest.raises(DataError) as refused:
        windows_of(both(homes), signals={"eeg": [{"resample": 32}]})
    text = str(refused.value)
    assert "eegmat lacks" in text
    assert "dreamer" in text
    assert "Add {pick: [F7, F3, T7, P7, O1, O2, P8, T8, F4, F8]}" in text
    assert "signals.eeg" in text


def test_different_rates_are_refused_with_the_step_that_helps(homes):
    with pytest.raises(DataError) as refused:
        windows_of(both(homes), signals={"eeg": [{"pick": ["T7", "O1"]}]})
    text = str(refused.value)
    assert "128 Hz" in text
    assert "(dreamer:S01" in text
    assert "(eegmat:Subject00" in text
    assert "add {resample: 128} to signals.eeg" in text


def test_a_step_that_one_data_set_cannot_take_is_refused_with_its_reason(homes):
    with pytest.raises(DataError) as refused:
        windows_of(both(homes), signals={"eeg": [{"pick": ["AF3"]}, {"resample": 32}]})
    text = str(refused.value)
    assert "No recording of eegmat could be used, only those of dreamer" in text
    assert "There is no channel 'AF3'" in text


def test_channels_that_share_no_name_are_refused_with_how_to_rename_them():
    parts = [{"corpus": "simulated", "name": name, "options": {"subjects": 2, "trials": 4}} for name in "ab"]
    parts[1]["rename"] = {"channels": {"eda": {"eda": "skin"}}}
    target = Target("state", events={"calm": ("calm",), "aroused": ("aroused",)})
    with pytest.raises(DataError) as refused:
        cut(load("joined", of=parts), signals={"eda": []}, target=target, length=8, hop=8)
    assert "share no channel by name" in str(refused.value)
    assert "rename: {channels: {eda: {old: new}}}" in str(refused.value)


def test_a_colon_in_the_names_of_subjects_makes_no_joined_data_sets():
    parts = [{"corpus": "simulated", "name": name, "options": {"subjects": 2, "trials": 4}} for name in "ab"]
    parts[1]["rename"] = {"channels": {"eda": {"eda": "skin"}}}
    target = Target("state", events={"calm": ("calm",), "aroused": ("aroused",)})
    one = dataclasses.replace(load("joined", of=parts), name="clinic")  # its subjects are called a:..., b:...
    windows = cut(one, signals={"eda": []}, target=target, length=8, hop=8)
    assert {source_of(subject) for subject in decode(windows.subject)} == {"a"}
    assert "b:S001" in left_out(windows)
    windows = cut(one, signals={"eda": [{"pick": ["skin"]}]}, target=target, length=8, hop=8)
    assert {source_of(subject) for subject in decode(windows.subject)} == {"b"}


def test_a_modality_or_target_that_only_one_has_leaves_the_other_with_a_reason(homes):
    def recording(subject: str) -> Recording:
        signal = Signal(np.zeros((1, 400), np.float32), 4.0, ("eda",), "µS")
        return Recording(subject, {"eda": signal}, events=(Event("rest", 0, 50), Event("task", 50, 100)))

    read = {subject: recording(subject) for subject in ("s1", "s2")}
    wrist = Corpus("wrist", tuple(Source(name, lambda name=name: read[name]) for name in read))
    whole = join({"wrist": wrist, "eegmat": load("eegmat", homes / "arithmetic")})
    load_target = Target("load", events={"rest": ("rest",), "task": ("task",)})
    windows = windows_of(whole, signals={**STEPS, "eda": []}, target=load_target)
    sources = np.array([source_of(subject) for subject in decode(windows.subject)])
    np.testing.assert_array_equal(windows.eeg_present, sources == "eegmat")
    np.testing.assert_array_equal(windows.eda_present, sources == "wrist")
    assert "wrist:s1: has no eeg; its windows carry NaN there" in left_out(windows)
    assert "eegmat:Subject00 rest: has no eda; its windows carry NaN there" in left_out(windows)
    films = Target("films", ratings="valence", threshold="subject_median", within="film")
    with_films = windows_of(both(homes), target=RELAXED, extra_targets={"films": films})
    sources = np.array([source_of(subject) for subject in decode(with_films.subject)])
    assert (with_films.target_films.to_numpy()[sources == "eegmat"] == -1).all()
    assert (with_films.target_films.to_numpy()[sources == "dreamer"] >= 0).any()
