"""Reading CSV files beside a table of channels and a table of labels."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck import windows
from limbeck.datasets import info, load
from limbeck.datasets.csv import looks_like
from limbeck.errors import DataError, ReadError
from limbeck.recording import MODALITIES, UNITS, Corpus, Recording
from limbeck.targets import Target

Write = Callable[..., Path]

CHANNELS = "name,modality,unit,rate\nFz,eeg,uV,\nCz,eeg,V,\nGSR,eda,kOhm,\n"
LABELS = "subject,trial,order,feeling,valence\np1,t1,2,joy,7.5\np1,t2,1,fear,2\np10,t1,1,joy,\n"


def table(columns: Mapping[str, Sequence[float]], separator: str = ",", decimal: str = ".", digits: int = 9) -> str:
    """A table as text; NaN is an empty cell."""
    rows = [separator.join(columns)]
    for values in zip(*columns.values(), strict=True):
        cells = ["" if np.isnan(v) else f"{v:.{digits}g}".replace(".", decimal) for v in values]
        rows.append(separator.join(cells))
    return "\n".join(rows) + "\n"


def columns_of(seed: int, n: int = 512, rate: float = 128, start: float = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "time": start + np.arange(n) / rate,
        "Fz": rng.normal(0, 20, n),
        "Cz": rng.normal(0, 20e-6, n),
        "GSR": rng.uniform(100, 900, n),
    }


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a corpus: files by path, on top of three recordings of two subjects; None leaves one out."""

    def write(files: Mapping[str, str | bytes | None] | None = None, **style: Any) -> Path:
        everything: dict[str, str | bytes | None] = {"channels.csv": CHANNELS, "labels.csv": LABELS}
        for seed, name in enumerate(("p1/t1", "p1/t2", "p10/t1")):
            everything[f"signals/{name}.csv"] = table(columns_of(seed), **style)
        for name, text in (everything | dict(files or {})).items():
            if text is not None:
                file = tmp_path / "corpus" / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(text.encode() if isinstance(text, str) else text)
        return tmp_path / "corpus"

    return write


def alone(text: str | bytes | None, channels: str = CHANNELS, **others: str) -> dict[str, str | bytes | None]:
    """The files of a corpus with one recording and no labels."""
    nothing = dict.fromkeys(("labels.csv", "signals/p1/t2.csv", "signals/p10/t1.csv"))
    return {**nothing, "channels.csv": channels, "signals/p1/t1.csv": text, **others}


def only(corpus: Corpus) -> Recording:
    (recording,) = corpus
    return recording


def refused(corpus: Corpus) -> str:
    """The message of the one recording that cannot be read."""
    assert list(corpus) == []
    return corpus.left_out[-1].why


def assert_as_written(recording: Recording, columns: Mapping[str, np.ndarray]) -> None:
    eeg, eda = recording.signals["eeg"], recording.signals["eda"]
    assert (eeg.channels, eda.channels) == (("Fz", "Cz"), ("GSR",))
    assert {m: s.unit for m, s in recording.signals.items()} == {"eeg": UNITS["eeg"], "eda": UNITS["eda"]}
    assert (eeg.rate, eda.rate, eeg.start) == (128, 128, 0)
    np.testing.assert_allclose(eeg.data, np.stack([columns["Fz"], columns["Cz"] * 1e6]), rtol=1e-5)
    np.testing.assert_allclose(eda.data[0], 1000 / columns["GSR"], rtol=1e-5)


def test_recordings_come_in_their_order_each_with_its_own_labels(write: Write) -> None:
    corpus = load("csv", write())
    recordings = list(corpus)
    assert [(r.subject, r.trial, r.order) for r in recordings] == [("p1", "t2", 0), ("p1", "t1", 1), ("p10", "t1", 0)]
    assert [(s.subject, s.trial) for s in corpus.sources] == [(r.subject, r.trial) for r in recordings]
    assert corpus.left_out == []
    for recording, seed in zip(recordings, (1, 0, 2), strict=True):
        assert_as_written(recording, columns_of(seed))
    assert [[(e.name, e.start, e.end) for e in r.events] for r in recordings] == [
        [("fear", 0, 4)],
        [("joy", 0, 4)],
        [("joy", 0, 4)],
    ]
    np.testing.assert_array_equal([r.ratings["valence"] for r in recordings], [2, 7.5, np.nan])


@pytest.mark.parametrize("shuffled", [[0, 1, 2, 3, 4, 5], [5, 2, 0, 4, 1, 3], [3, 5, 1, 0, 4, 2]])
def test_labels_follow_their_trial_whatever_the_order_of_presentation(write: Write, shuffled: list[int]) -> None:
    names = [f"clip{i}" for i in range(6)]
    rows = [f"p1,{names[i]},{place + 10},{i}" for place, i in enumerate(shuffled)]
    files = {f"signals/p1/{name}.csv": table(columns_of(i)) for i, name in enumerate(names)}
    labels = "\n".join(["subject,trial,order,valence", *sorted(rows, reverse=True)])
    files |= {**dict.fromkeys(("signals/p1/t1.csv", "signals/p1/t2.csv", "signals/p10/t1.csv")), "labels.csv": labels}
    recordings = list(load("csv", write(files)))
    assert [recording.trial for recording in recordings] == [names[i] for i in shuffled]
    for recording in recordings:
        i = names.index(recording.trial)
        assert recording.ratings == {"valence": i}
        assert_as_written(recording, columns_of(i))


@pytest.mark.parametrize(("separator", "decimal"), [(",", "."), (";", "."), (";", ","), ("\t", "."), ("\t", ",")])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_separators_decimal_commas_byte_order_marks_and_line_ends_are_understood(
    write: Write, separator: str, decimal: str, ending: str
) -> None:
    files = {
        "channels.csv": CHANNELS.replace(",", separator),
        "labels.csv": LABELS.replace("7.5", f"7{decimal}5" if separator != "," else "7.5").replace(",", separator)
        if decimal == "."
        else LABELS.replace(",", separator).replace("7.5", "7,5"),
        "signals/p1/t1.csv": table(columns_of(0), separator, decimal),
    }
    encoded = {name: b"\xef\xbb\xbf" + text.replace("\n", ending).encode() for name, text in files.items()}
    recording = list(load("csv", write(encoded)))[1]
    assert_as_written(recording, columns_of(0))
    assert recording.ratings == {"valence": 7.5}


def test_headers_in_quotes_and_columns_of_no_channel_do_no_harm(write: Write) -> None:
    columns = columns_of(0)
    text = table({**columns, "marker": np.arange(512)}).replace("time,Fz", 'Time,"Fz"')
    text = text.replace(",7\n", ",start of trial\n")
    corpus = load("csv", write(alone(text)))
    assert_as_written(only(corpus), columns)
    assert [Path(item.what).name for item in corpus.left_out] == ["labels.csv", "t1.csv: marker"]


@pytest.mark.parametrize("missing", ["", "NaN", "nan", "NA", "n/a"])
def test_missing_samples_are_nan_at_their_place(write: Write, missing: str) -> None:
    columns = columns_of(0)
    rows = table(columns).split("\n")
    for row in (5, 6, 100):
        time, _, *others = rows[row + 1].split(",")
        rows[row + 1] = ",".join([time, missing, *others])
    eeg = only(load("csv", write(alone("\n".join(rows))))).signals["eeg"]
    expected = columns["Fz"].copy()
    expected[[5, 6, 100]] = np.nan
    np.testing.assert_allclose(eeg.data[0], expected, rtol=1e-5)
    assert np.isfinite(eeg.data[1]).all()


def test_without_a_time_column_the_rates_of_channels_csv_hold_and_slower_columns_end_earlier(write: Write) -> None:
    columns = {**columns_of(0)}
    del columns["time"]
    columns["GSR"] = np.where(np.arange(512) < 16, columns["GSR"], np.nan)
    channels = "name,modality,unit,rate\nFz,eeg,,128\nCz,eeg,,128\nGSR,eda,kOhm,4\n"
    recording = only(load("csv", write(alone(table(columns), channels))))
    assert (recording.signals["eeg"].rate, recording.signals["eda"].rate) == (128, 4)
    assert (recording.signals["eeg"].end, recording.signals["eda"].end) == (4, 4)
    np.testing.assert_allclose(recording.signals["eda"].data[0], 1000 / columns["GSR"][:16], rtol=1e-5)


@pytest.mark.parametrize("stated", ["", "4"])
def test_with_a_time_column_a_slower_channel_has_cells_at_its_own_times(write: Write, stated: str) -> None:
    columns = columns_of(0)
    own = np.arange(512) % 32 == 16
    columns["GSR"] = np.where(own, columns["GSR"], np.nan)
    channels = f"name,modality,unit,rate\nFz,eeg,,128\nCz,eeg,,128\nGSR,eda,kOhm,{stated}\n"
    eda = only(load("csv", write(alone(table(columns), channels)))).signals["eda"]
    assert (eda.rate, eda.start) == (4, 0.125)
    np.testing.assert_allclose(eda.data[0], 1000 / columns["GSR"][own], rtol=1e-5)


def test_rates_are_told_by_times_rounded_to_milliseconds_and_by_unix_times(write: Write) -> None:
    columns = columns_of(0, start=1_600_000_000)
    columns["time"] = np.round(columns["time"], 3)
    recording = only(load("csv", write(alone(table(columns, digits=13)))))
    assert_as_written(recording, columns_of(0))


def test_gaps_in_time_become_missing_samples_and_are_told(write: Write) -> None:
    columns = columns_of(0)
    kept = (np.arange(512) < 100) | (np.arange(512) >= 140)
    corpus = load("csv", write(alone(table({name: values[kept] for name, values in columns.items()}))))
    recording = only(corpus)
    eeg = recording.signals["eeg"]
    assert eeg.data.shape == (2, 512)
    assert np.isnan(eeg.data[:, 100:140]).all()
    np.testing.assert_allclose(eeg.data[0][kept], columns["Fz"][kept], rtol=1e-5)
    whys = [item.why for item in corpus.left_out if "eeg" in item.what]
    assert whys == ["1 gap of 40 samples in all; taken as missing"]


def test_a_clock_that_drifts_is_told_and_loses_no_sample(write: Write) -> None:
    columns = columns_of(0, n=51_200 // 4, rate=127.2)
    channels = CHANNELS.replace("V,\n", "V,128\n").replace("kOhm,", "kOhm,128")
    corpus = load("csv", write(alone(table(columns), channels)))
    eeg = only(corpus).signals["eeg"]
    assert eeg.data.shape[1] == 12_800
    assert np.isfinite(eeg.data).all()
    assert any("its clock drifts" in item.why and "127.2 Hz" in item.why for item in corpus.left_out)


def test_intervals_of_continuous_recordings_are_on_the_clock_of_the_time_column(write: Write) -> None:
    labels = (
        "subject,trial,start,end,condition,pain,age\n"
        "p1,t1,100.5,101,rest,0,33\np1,t1,101,103,heat,4,33\np1,t1,103,,rest,,33\np1,t1,900,910,heat,4,33\n"
    )
    traces = "time,Valence,Arousal\n100,0.1,\n101,0.2,5\n102,n/a,6\n"
    files = alone(table(columns_of(0, start=100)), **{"labels.csv": labels, "labels/p1/t1.csv": traces})
    corpus = load("csv", write(files), classes=["condition", "pain"])
    recording = only(corpus)
    assert [(e.name, e.start, e.end) for e in recording.events] == [
        ("rest", 0.5, 1),
        ("0", 0.5, 1),
        ("heat", 1, 3),
        ("4", 1, 3),
        ("rest", 3, 4),
    ]
    assert recording.ratings == {"age": 33}
    np.testing.assert_array_equal(recording.traces["Valence"].times, [0, 1])
    np.testing.assert_allclose(recording.traces["Valence"].values, [0.1, 0.2], rtol=1e-6)
    np.testing.assert_array_equal(recording.traces["Arousal"].times, [1, 2])
    assert [item.why.partition(",")[0] for item in corpus.left_out] == ["labels.csv has it at 900 to 910 s"] * 2
    with pytest.raises(ReadError, match=r"row 3, pain: found 4.0, but 0.0 in row 2.*add 'pain' to the option classes"):
        load("csv", write(files))


def test_a_trace_that_cannot_be_read_is_told_and_the_recording_used(write: Write) -> None:
    corpus = load("csv", write(alone(table(columns_of(0)), **{"labels/p1/t1.csv": "seconds,v\n1,2\n"})))
    assert only(corpus).traces == {}
    assert "no column time" in corpus.left_out[-1].why


def test_listing_reads_no_signals(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write()
    for file in (root / "signals").rglob("*.csv"):
        file.write_bytes(b"\xff not a table")
    corpus = load("csv", root)
    assert len(corpus) == 3
    assert corpus.left_out == []
    assert list(corpus) == []
    assert len(corpus.left_out) == 3


def test_labels_that_do_not_match_recordings_are_told_both_ways(write: Write) -> None:
    labels = "subject,trial,feeling\np1,t1,joy\np1,t22,fear\n"
    corpus = load("csv", write({"labels.csv": labels}))
    assert [(r.subject, r.trial, [e.name for e in r.events]) for r in corpus] == [
        ("p1", "t1", ["joy"]),
        ("p1", "t2", []),
        ("p10", "t1", []),
    ]
    whys = [item.why for item in corpus.left_out]
    assert whys[0] == "there is no file signals/p1/t22.csv. Did you mean 't2'?"
    assert ["no row for it" in why for why in whys] == [False, True, True]


def test_subjects_and_labels_can_be_chosen(write: Write) -> None:
    root = write()
    assert load("csv", root, subjects=["p10"]).subjects == ("p10",)
    assert load("csv", root, subjects=["p10"]).left_out == []
    recordings = list(load("csv", root, labels="feeling"))
    assert [dict(recording.ratings) for recording in recordings] == [{}, {}, {}]
    numbers = list(load("csv", root, labels=[], classes=["valence"]))
    assert [[event.name for event in recording.events] for recording in numbers] == [["2"], ["7.5"], []]
    with pytest.raises(DataError, match="no subject 'p2'"):
        load("csv", root, subjects=["p2"])
    with pytest.raises(DataError, match=r"no label column 'valens'\. Did you mean 'valence'\?.*'felling'"):
        load("csv", root, labels=["valens"], classes=["felling"])


def test_trials_without_an_order_follow_each_other_by_number(write: Write) -> None:
    files = alone(None) | {f"signals/p1/t{i}.csv": table(columns_of(i)) for i in (1, 2, 10)}
    found = [(recording.trial, recording.order) for recording in load("csv", write(files))]
    assert found == [("t1", 0), ("t2", 1), ("t10", 2)]


def test_sessions_count_apart(write: Write) -> None:
    labels = "subject,trial,session,feeling\np1,t1,2,joy\np1,t2,1,fear\np10,t1,1,joy\n"
    found = [(r.subject, r.session, r.trial, r.order) for r in load("csv", write({"labels.csv": labels}))]
    assert found == [("p1", "1", "t2", 0), ("p1", "2", "t1", 0), ("p10", "1", "t1", 0)]


def test_hidden_files_strangers_and_one_more_folder_around_do_no_harm(write: Write, tmp_path: Path) -> None:
    root = write(
        {
            "signals/.DS_Store": b"\0",
            "signals/p1/._t1.csv": b"\0",
            "signals/p1/Thumbs.db": b"\0",
            "signals/p1/notes.txt": "tired",
            "signals/readme.txt": "read me",
        }
    )
    (tmp_path / "around" / "__MACOSX").mkdir(parents=True)
    root.rename(tmp_path / "around" / "corpus")
    corpus = load("csv", tmp_path / "around")
    assert len(list(corpus)) == 3
    assert [Path(item.what).name for item in corpus.left_out] == ["notes.txt", "readme.txt"]
    assert looks_like(tmp_path / "around")
    assert not looks_like(tmp_path)


def test_links_out_of_the_corpus_are_left_out(write: Write, tmp_path: Path) -> None:
    root = write()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "t1.csv").write_text(table(columns_of(7)))
    (root / "signals" / "p3").symlink_to(tmp_path / "elsewhere")
    (root / "signals" / "p1" / "t9.csv").symlink_to(tmp_path / "elsewhere" / "t1.csv")
    corpus = load("csv", root)
    assert len(corpus) == 3
    assert any("links that lead out" in item.why for item in corpus.left_out)


def test_sources_pickle_and_change_with_labels_channels_and_files(write: Write) -> None:
    root = write()
    source = load("csv", root).sources[1]
    copy = pickle.loads(pickle.dumps(source))
    assert_as_written(copy.read(), columns_of(0))
    prints = {source.fingerprint(), copy.fingerprint()}
    assert len(prints) == 1
    for files in (
        {"labels.csv": LABELS.replace("7.5", "7")},
        {"channels.csv": CHANNELS.replace("kOhm", "Ohm")},
        {"signals/p1/t1.csv": table(columns_of(9))},
        {"labels/p1/t1.csv": "time,v\n0,1\n"},
    ):
        prints.add(load("csv", write(files)).sources[1].fingerprint())
        write()
    assert len(prints) == 5


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"channels.csv": None}, "expected a folder with signals and channels.csv"),
        ({"channels.csv": ""}, "expected name, modality among them"),
        ({"channels.csv": "name,modality\n"}, "found no rows; expected a row per channel"),
        ({"channels.csv": "name,modality\nFz,egg\n"}, "row 2: found the modality 'egg'"),
        ({"channels.csv": "name,modality,unit\nFz,eeg,kg\n"}, "row 2: found the unit 'kg' of eeg"),
        ({"channels.csv": "name,modality,rate\nFz,eeg,-1\n"}, "row 2: found the rate '-1'"),
        ({"channels.csv": "name,modality,rate\nFz,eeg,1\nCz,eeg,2\n"}, "row 3: found a second rate of eeg"),
        ({"channels.csv": "name,modality\nFz,eeg\nFz,eeg\n"}, "row 3: found the channel 'Fz'"),
        ({"channels.csv": "name,modality\nFz\n"}, "row 2: found 1 fields in 'Fz'; expected 2"),
        ({"channels.csv": "name,modality\nFz,ee\xe9\n".encode("latin-1")}, "expected text in UTF-8"),
        ({"labels.csv": "trial,feeling\nt1,joy\n"}, "row 1: found the columns 'trial, feeling'; expected subject"),
        ({"labels.csv": "subject,trial,x,x\np1,t1,1,2\n"}, "found x twice"),
        ({"labels.csv": "subject,trial,start\np1,t1,soon\n"}, "row 2, start: found 'soon'; expected a number"),
        ({"labels.csv": "subject,trial,start,end\np1,t1,3,2\n"}, "row 2: found an interval from 3 to 2 s"),
        ({"labels.csv": "subject,trial,order\np1,t1,1.5\n"}, "row 2, order: found 1.5"),
        ({"labels.csv": "subject,trial,order\np1,t1,1\np1,t2,\n"}, "row 3, order: found nothing"),
        ({"labels.csv": "subject,trial,order\np1,t1,1\np1,t2,1\n"}, "row 3, order: found 1, which row 2 has"),
        ({"labels.csv": "subject,trial,session\np1,t1,1\np1,t1,2\n"}, "row 3, session: found 2, but 1 in row 2"),
        ({"labels.csv": "subject,trial\n,t1\n"}, "row 2: found no subject or trial"),
        ({"labels.csv": "subject,trial,a,b\np1,t1,low,high\np1,t2,high,low\n"}, "the class 'high', which 'b' has"),
        ({"labels.csv": b"PK\x03\x04\0\0"}, "found zero bytes; expected text"),
    ],
)
def test_tables_that_cannot_be_used_are_refused_with_the_row(
    write: Write, files: dict[str, str | bytes | None], message: str
) -> None:
    with pytest.raises(ReadError, match=message):
        load("csv", write(files))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: "", "row 1: found ''; expected a header"),
        (lambda t: t.partition("\n")[0], "a header and no rows"),
        (lambda t: t.partition("\n")[2], "expected a header with the channels' names"),
        (lambda t: t[:-50].rpartition(",")[0], "The file ends in the middle of a row"),
        (lambda t: t.replace("\n0.0078125,", "\n0.0078125,9,"), "row 3: found 5 fields"),
        (lambda t: t.replace("\n0.0078125,", "\n0.0078125,9,").replace("\n0.015625,", "\n"), "row 3: found 5 fields"),
        (lambda t: t.replace(".", ","), "row 2: found 7 fields.*Decimal commas need semicolons"),
        (lambda t: t.replace("\n0.0078125,", "\n0.0078125,high"), "row 3, Fz: found 'high"),
        (lambda t: t.replace("\n0.0078125,", "\n,"), "row 3, time: found no time"),
        (lambda t: t.replace("\n0.0078125,", "\n0.5,"), "row 4, time: found 0.015625 s after 0.5 s"),
        (lambda t: t.replace("Fz", "Cz"), "found Cz twice"),
        (lambda t: t.replace("time,Fz,Cz,GSR", "time,a,b,c"), "expected samples of at least one modality"),
        (lambda t: t.replace("time", "t"), "found no column time, and no rate in channels.csv"),
        (lambda t: t.replace("\n3.9921875,", "\n4000,"), "512 samples over 4000 s"),
        (lambda t: t.encode("utf-16"), "zero bytes"),
        (lambda t: t.replace("\n0.0078125,", "\n0.0078125\udcff,").encode("utf-8", "surrogateescape"), "t1.csv"),
    ],
)
def test_a_recording_that_cannot_be_read_is_left_out_with_the_place(
    write: Write, change: Callable[[str], str | bytes], message: str
) -> None:
    import re

    assert re.search(message, refused(load("csv", write(alone(change(table(columns_of(0))))))))


def test_a_rate_that_the_times_contradict_is_refused(write: Write) -> None:
    channels = "name,modality,unit,rate\nFz,eeg,uV,256\nGSR,eda,kOhm,128\n"
    why = refused(load("csv", write(alone(table(columns_of(0)), channels))))
    assert "eeg by the column time: found 128 Hz; expected 256 Hz, as in channels.csv" in why


def test_a_modality_without_its_columns_or_samples_is_told_and_the_rest_used(write: Write) -> None:
    columns = columns_of(0)
    columns["GSR"][:] = np.nan
    corpus = load("csv", write(alone(table(columns))))
    assert sorted(only(corpus).signals) == ["eeg"]
    assert corpus.left_out[-1].why == "all samples are missing"
    del columns["Cz"]
    columns["GSR"][:] = 100
    corpus = load("csv", write(alone(table(columns))))
    assert sorted(only(corpus).signals) == ["eda"]
    assert corpus.left_out[-1].why == "there is no column Cz; eeg is not used here"


def test_infinite_samples_are_missing_and_told(write: Write) -> None:
    text = table(columns_of(0)).replace("\n0.0078125,", "\n0.0078125,inf,").split("\n")
    text[2] = ",".join(text[2].split(",")[:3] + text[2].split(",")[4:])
    corpus = load("csv", write(alone("\n".join(text))))
    assert np.isnan(only(corpus).signals["eeg"].data[0, 1])
    assert any("1 samples are infinite" in item.why for item in corpus.left_out)


@pytest.mark.parametrize("number", ["4.1e3087583328", "1e-4294967295", "1e400", "9" * 5000, "0." + "0" * 5000 + "1"])
def test_numbers_beyond_all_measure_take_nothing_down(write: Write, number: str) -> None:
    text = table(columns_of(0)).split("\n")
    time, _, *others = text[2].split(",")
    text[2] = ",".join([time, number, *others])
    corpus = load("csv", write(alone("\n".join(text))))
    recordings = list(corpus)
    if recordings:
        value = recordings[0].signals["eeg"].data[0, 1]
        assert value == 0 or np.isnan(value)
    else:
        assert "row 3, Fz: found" in corpus.left_out[-1].why


def test_windows_are_cut_from_it(write: Write, tmp_path: Path) -> None:
    cut = windows.cut(
        load("csv", write()),
        signals={"eeg": [], "eda": []},
        target=Target(name="feeling", events={"fear": ["fear"], "joy": ["joy"]}),
        length=1,
        hop=1,
        cache=tmp_path / "cache",
    )
    found = windows.table(cut)
    assert found.groupby(["subject", "trial"], observed=True)["target"].agg(
        ["min", "max", "size"]
    ).to_numpy().tolist() == [
        [1, 1, 4],
        [0, 0, 4],
        [1, 1, 4],
    ]


def test_a_recording_of_full_size_is_read_within_its_time(write: Write) -> None:
    import time

    n = 128 * 60
    values = np.random.default_rng(1).normal(0, 20, (n, 32)).round(3)
    names = [f"e{i}" for i in range(32)]
    channels = "name,modality,unit,rate\n" + "".join(f"{name},eeg,uV,128\n" for name in names)
    text = ",".join(names) + "\n" + "\n".join(",".join(map(str, row)) for row in values.tolist())
    corpus = load("csv", write(alone(text, channels)))
    start = time.perf_counter()
    data = only(corpus).signals["eeg"].data
    assert time.perf_counter() - start < 2
    np.testing.assert_allclose(data.T, values, rtol=1e-6)


def test_it_says_what_it_is() -> None:
    known = info("csv")
    assert known.access == "own"
    assert known.modalities == MODALITIES


# ---- clocks ------------------------------------------------------------------------------------------------------

CLOCKS = "subject,trial,modality,offset,drift\np1,,eda,0.5,\np1,t2,eda,-1.25,0\n"


def test_sensors_with_a_clock_of_their_own_are_put_onto_the_recordings(write: Write) -> None:
    corpus = load("csv", write({"clocks.csv": CLOCKS}))
    recordings = {(r.subject, r.trial): r for r in corpus}
    starts = {key: r.signals["eda"].start for key, r in recordings.items()}
    assert starts == {("p1", "t2"): -1.25, ("p1", "t1"): 0.5, ("p10", "t1"): 0}
    for recording in recordings.values():
        assert recording.signals["eeg"].start == 0
    assert recordings["p1", "t1"].clocks["eda"].offset == 0.5
    assert recordings["p1", "t1"].clocks["eda"].source == "clocks.csv"
    assert recordings["p10", "t1"].clocks == {}
    assert corpus.left_out == []


@pytest.mark.parametrize("cell", ["NaN", "n/a", " "])
def test_a_missing_trial_in_the_table_of_clocks_means_all_trials(cell: str, write: Write) -> None:
    corpus = load("csv", write({"clocks.csv": CLOCKS.replace("p1,,", f"p1,{cell},")}))
    starts = {(r.subject, r.trial): r.signals["eda"].start for r in corpus}
    assert starts == {("p1", "t2"): -1.25, ("p1", "t1"): 0.5, ("p10", "t1"): 0}
    assert corpus.left_out == []


def test_a_drift_is_undone_and_would_be_seen_without(write: Write) -> None:
    own = np.arange(3600 * 4) / 4  # an hour on the sensor's clock
    true = 2 + own * (1 + 80e-6)
    columns = {"time": own, "GSR": np.sin(0.9 * true) + 3}
    channels = "name,modality,unit,rate\nGSR,eda,uS,4\n"
    clocks = "modality;subject;drift;offset\nEDA;p1;80;2,0\n"
    signal = only(load("csv", write(alone(table(columns), channels, **{"clocks.csv": clocks})))).signals["eda"]
    times = signal.start + np.arange(signal.data.shape[1]) / signal.rate
    assert (signal.rate, signal.start) == (4, 2)
    np.testing.assert_allclose(signal.data[0], np.sin(0.9 * times) + 3, atol=0.02)
    offset_only = clocks.replace(";80;", ";0;")
    late = only(load("csv", write(alone(table(columns), channels, **{"clocks.csv": offset_only})))).signals["eda"]
    times = late.start + np.arange(late.data.shape[1]) / late.rate
    assert np.abs(late.data[0] - np.sin(0.9 * times) - 3).max() > 0.2


def test_what_clocks_say_is_part_of_the_fingerprint_of_the_recordings_they_are_about(write: Write) -> None:
    def prints(clocks: str | None) -> list[str]:
        return [source.fingerprint() for source in load("csv", write({"clocks.csv": clocks})).sources]

    before, after = prints(CLOCKS), prints(CLOCKS.replace("0.5", "0.6"))
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]


def test_clocks_of_nothing_are_told(write: Write) -> None:
    text = CLOCKS + "p9,,eda,1,\np1,t7,eda,1,\np10,,acc,1,\n"
    corpus = load("csv", write({"clocks.csv": text}))
    told = "\n".join(f"{item.what}: {item.why}" for item in corpus.left_out)
    assert "clocks.csv: p9: there is no such recording" in told
    assert "clocks.csv: p1, t7: there is no such recording" in told
    assert "clocks.csv: acc: channels.csv has no channel of this modality" in told
    assert load("csv", write({"clocks.csv": text}), subjects=["p1"]).left_out[0].what.endswith("p1, t7")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("subject,modality\np1,eda\n", "row 1: found the columns.*offset, drift or both"),
        ("subject,offset\np1,1\n", "expected modality among them"),
        ("subject,modality,offset\np1,edda,1\n", "row 2: found the modality 'edda'"),
        ("subject,modality,offset\n,eda,1\n", "row 2: found no subject"),
        ("subject,modality,offset\np1,eda,late\n", "row 2, offset: found 'late'"),
        ("subject,modality,offset\np1,eda,1600000000\n", "an offset of 1.6e\\+09 s"),
        ("subject,modality,drift\np1,eda,1000000\n", "a drift of 1e\\+06; expected parts per million"),
        ("subject,modality,drift\np1,eda,1\np1,EDA,2\n", "row 3: found a second clock of eda"),
    ],
)
def test_a_table_of_clocks_that_cannot_be_used_is_refused(text: str, why: str, write: Write) -> None:
    with pytest.raises(ReadError, match=why):
        load("csv", write({"clocks.csv": text}))


def test_a_slip_of_the_pen_among_ratings_makes_no_class_of_them(write: Write) -> None:
    rows = LABELS.replace("p1,t2,1,fear,2", "p1,t2,1,fear,x5").replace("p10,t1,1,joy,", "p10,t1,1,joy,3")
    with pytest.raises(ReadError, match=r"row 3, valence: found 'x5'; expected a number.*option classes"):
        load("csv", write({"labels.csv": rows}))
    asked = load("csv", write({"labels.csv": rows}), classes=["feeling", "valence"])
    assert "x5" in {event.name for recording in asked for event in recording.events}


def test_numbers_among_classes_are_taken_for_classes_and_told(write: Write) -> None:
    corpus = load("csv", write({"labels.csv": LABELS.replace("p1,t2,1,fear,2", "p1,t2,1,5,2")}))
    (note,) = [item for item in corpus.left_out if item.what.endswith("labels.csv: feeling")]
    assert "2 words and 1 numbers (row 3)" in note.why
    assert "5" in {event.name for recording in corpus for event in recording.events}


def test_every_mistake_of_the_tables_is_told_at_once(write: Write) -> None:
    channels = "name,modality,unit,rate\nFz,egg,uV,\nCz,eeg,kg,\nGSR,ppg,,\nX\n"
    labels = (
        "subject,trial,order,start,feeling,valence\n"
        "p1,t1,2,late,joy,7.5\np1,t2,1.5,,fear,2\np10,,1,,joy,1\np2,t1,1,,joy,2\np2,t2,1,,joy,x\n"
    )
    with pytest.raises(ReadError) as caught:
        load("csv", write({"channels.csv": channels, "labels.csv": labels}))
    for said in (
        "channels.csv: found 4 mistakes",
        "row 2: found the modality 'egg'",
        "row 3: found the unit 'kg'",
        "PPG is bvp here",
        "row 5: found 1 fields",
        "labels.csv: found 5 mistakes",
        "row 2, start: found 'late'",
        "row 3, order: found 1.5",
        "row 4: found no subject or trial",
        "row 6, order: found 1, which row 5 has",
        "valence",
    ):
        assert said in str(caught.value)


def test_of_very_many_mistakes_the_first_are_told(write: Write) -> None:
    labels = "subject,trial,order\n" + "".join(f"p{i},t1,x\n" for i in range(90))
    with pytest.raises(ReadError, match=r"(?s)90 mistakes.*row 26, order.*and 65 more") as caught:
        load("csv", write({"labels.csv": labels}))
    assert "row 27" not in str(caught.value)
