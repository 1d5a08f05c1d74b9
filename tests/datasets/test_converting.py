"""Any corpus as BIDS and as Zarr, and back."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from corpora import CASES, Case
from corpora.zarr_store import recording, sources

from limbeck.datasets import checks_of, load
from limbeck.datasets.converting import convert
from limbeck.errors import DataError, ReadError
from limbeck.recording import Corpus, Event, LeftOut, Recording, Signal, Source, Trace


def corpus_of(*recordings: Recording, name: str = "invented") -> Corpus:
    return Corpus(name, tuple(Source(r.subject, partial(_same, r), r.session, r.trial) for r in recordings))


def _same(recording: Recording) -> Recording:
    return recording


def _broken() -> Recording:
    raise ReadError("S9.dat", found="nothing", expected="samples")


def simple(subject: str = "1", session: str = "", trial: str = "", **extra: object) -> Recording:
    signals = extra.pop("signals", {"eda": Signal(np.ones((1, 8), np.float32), 4.0, ("eda",), "µS")})
    return Recording(subject, signals, session, trial, **extra)  # type: ignore[arg-type]


def keyed(recordings: Sequence[Recording]) -> dict[tuple[str, str, str], Recording]:
    found = {(r.subject, r.session, r.trial): r for r in recordings}
    assert len(found) == len(recordings)
    return found


def assert_same_signals(found: Recording, wanted: Recording) -> None:
    full = {modality: signal for modality, signal in wanted.signals.items() if signal.data.shape[1]}
    assert set(found.signals) == set(full)
    for modality, signal in full.items():
        other = found.signals[modality]
        assert (other.channels, other.unit) == (signal.channels, signal.unit)
        assert other.rate == pytest.approx(signal.rate, rel=1e-12)
        assert other.start == pytest.approx(signal.start, abs=1e-9)
        np.testing.assert_array_equal(other.data, signal.data)


def assert_same_annotations(found: Recording, wanted: Recording) -> None:
    assert found.order == wanted.order
    assert found.ratings == pytest.approx(dict(wanted.ratings), nan_ok=True, rel=1e-15)
    assert [e.name for e in found.events] == [" ".join(e.name.split()) for e in wanted.events]
    times = [(e.start, e.end) for e in wanted.events]
    np.testing.assert_allclose([(e.start, e.end) for e in found.events], times, rtol=1e-12, atol=1e-9)
    assert set(found.traces) == {name for name, trace in wanted.traces.items() if len(trace.times)}
    for name, trace in found.traces.items():
        np.testing.assert_allclose(trace.times, wanted.traces[name].times, rtol=1e-12, atol=1e-9)
        np.testing.assert_array_equal(trace.values, wanted.traces[name].values)


_PARAMS = [pytest.param(case, id=str(case), marks=[pytest.mark.slow] if case.heavy else []) for case in CASES]


@pytest.fixture(scope="module", params=_PARAMS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Callable[[], Corpus]]:
    """A corpus in its own files, and what lists it."""
    held: Case = request.param
    written = held.write(tmp_path_factory.mktemp("corpus"), np.random.default_rng(7))
    return held, partial(_some, held.dataset, written.root, **written.options)


def _some(dataset: str, root: Path, **options: object) -> Corpus:
    """List a corpus, without most recordings of one that has more than a few."""
    corpus = load(dataset, root, **options)
    step = max(1, len(corpus.sources) // 3)
    return Corpus(corpus.name, corpus.sources[::step], corpus.left_out)


def test_bids_holds_what_a_corpus_holds(case: tuple[Case, Callable[[], Corpus]], tmp_path: Path) -> None:
    corpus = case[1]()
    wanted = keyed(list(corpus))
    conversion = convert(corpus, tmp_path / "out", to="bids")
    back = load("bids", tmp_path / "out")
    found = keyed(list(back))
    assert conversion.recordings == len(found) == len(wanted)
    assert set(found) == set(wanted)
    for key, own in wanted.items():
        assert_same_signals(found[key], own)
        assert_same_annotations(found[key], own)


def test_zarr_holds_what_a_corpus_holds_exactly(case: tuple[Case, Callable[[], Corpus]], tmp_path: Path) -> None:
    corpus = case[1]()
    recordings = list(corpus)
    convert(corpus, tmp_path / "out", to="zarr")
    back = load("zarr", tmp_path / "out")
    again = list(back)
    assert len(again) == len(recordings)
    assert {(i.what, i.why) for i in back.left_out} == {(i.what, i.why) for i in corpus.left_out}
    for found, wanted in zip(again, recordings, strict=True):
        assert_identical(found, wanted)


def assert_identical(found: Recording, wanted: Recording) -> None:
    for name in ("subject", "session", "trial", "order", "events", "notes"):
        assert getattr(found, name) == getattr(wanted, name), name
    assert repr(dict(found.ratings)) == repr({name: float(value) for name, value in wanted.ratings.items()})
    assert repr(dict(found.clocks)) == repr(dict(wanted.clocks))
    assert list(found.signals) == list(wanted.signals)
    for modality, signal in wanted.signals.items():
        other = found.signals[modality]
        assert (other.rate, other.channels, other.unit, other.start) == (
            *(signal.rate, signal.channels, signal.unit, signal.start),
        )
        assert other.data.tobytes() == np.ascontiguousarray(signal.data).tobytes()
    assert list(found.traces) == list(wanted.traces)
    for name, trace in wanted.traces.items():
        assert found.traces[name].times.tobytes() == np.asarray(trace.times, np.float64).tobytes()
        assert found.traces[name].values.tobytes() == np.asarray(trace.values, np.float32).tobytes()


# ---- what is written -------------------------------------------------------------------------------------------------


def test_what_bids_requires_is_there(tmp_path: Path) -> None:
    corpus = Corpus("wesad", sources(3))
    convert(corpus, tmp_path / "out", to="bids")
    about = json.loads((tmp_path / "out/dataset_description.json").read_text())
    assert about["Name"] == "wesad"
    assert about["BIDSVersion"]
    assert about["License"] == "academic research, non-commercial"
    assert "S/2: temp: no samples" in (tmp_path / "out/README").read_text()
    table = (tmp_path / "out/participants.tsv").read_text()
    assert table == "participant_id\tlimbeck_subject\nsub-Emil1\tÉmil 1\nsub-S2\tS/2\n"
    sidecar = json.loads((tmp_path / "out/sub-Emil1/eeg/sub-Emil1_task-first_eeg.json").read_text())
    assert {"SamplingFrequency", "EEGReference", "PowerLineFrequency", "SoftwareFilters", "TaskName"} <= set(sidecar)
    assert [
        check for check in checks_of("bids")(tmp_path / "out", load("bids", tmp_path / "out")) if not check.passed
    ] == []


def held(recording: Recording) -> Recording:
    return recording


def test_what_was_never_recorded_is_not_missed_in_a_copy_and_what_was_lost_is(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    eeg = Signal(rng.normal(size=(1, 64)).astype(np.float32), 32.0, ("Cz",), "µV")
    eda = Signal(rng.normal(size=(1, 8)).astype(np.float32), 4.0, ("eda",), "µS")
    both = {"eeg": eeg, "eda": eda}
    made = [Recording(f"S{n}", {"eda": eda} if n == 3 else both, trial="rest") for n in (1, 2, 3)]
    listed = tuple(Source(each.subject, partial(held, each), trial=each.trial) for each in made)
    convert(Corpus("lab", listed), tmp_path / "out", to="bids")
    assert [note for recording in load("bids", tmp_path / "out") for note in recording.notes] == []
    (lost,) = (tmp_path / "out" / "sub-S1").rglob("*_recording-eda_physio.tsv.gz")
    lost.unlink()
    notes = [note for recording in load("bids", tmp_path / "out") for note in recording.notes]
    assert [(note.what, "scans.tsv says that it was written" in note.why) for note in notes] == [(str(lost), True)]


def test_a_physio_file_has_no_header_and_says_what_is_missing(tmp_path: Path) -> None:
    data = np.array([[0.1, np.nan, 3.0]], np.float32)
    held = simple(signals={"eda": Signal(data, 4.0, ("wrist",), "µS", 1.5)})
    convert(corpus_of(held), tmp_path / "out", to="bids")
    file = tmp_path / "out/sub-1/beh/sub-1_task-invented_recording-eda_physio.tsv.gz"
    assert gzip.decompress(file.read_bytes()) == b"0.1\nn/a\n3\n"
    sidecar = json.loads(file.with_name(file.name.replace(".tsv.gz", ".json")).read_text())
    assert (sidecar["SamplingFrequency"], sidecar["StartTime"], sidecar["Columns"]) == (4.0, 1.5, ["eda"])
    assert sidecar["eda"]["Units"] == "µS"


def test_eeg_that_began_later_keeps_its_time(tmp_path: Path) -> None:
    signals = {
        "eeg": Signal(np.ones((1, 50), np.float32), 100.0, ("Cz",), "µV", 2.0),
        "eda": Signal(np.ones((1, 8), np.float32), 4.0, ("eda",), "µS"),
    }
    held = simple(
        signals=signals, events=(Event("film", 2.25, 2.5),), traces={"joy": Trace(np.array([1.0]), np.ones(1))}
    )
    convert(corpus_of(held), tmp_path / "out", to="bids")
    table = (tmp_path / "out/sub-1/eeg/sub-1_task-invented_events.tsv").read_text()
    assert table.splitlines()[1].split("\t")[0] == "0.25"  # for others, time counts from the EEG's first sample
    [found] = load("bids", tmp_path / "out")
    assert_same_signals(found, held)
    assert_same_annotations(found, held)


@pytest.mark.parametrize("kind", ["eog", "ecg"])
def test_only_eog_that_shares_every_sample_joins_the_eeg(kind: str, tmp_path: Path) -> None:
    data = np.arange(10, dtype=np.float32)[None]
    unit = {"eog": "µV", "ecg": "mV"}[kind]
    signals = {"eeg": Signal(data, 100.0, ("Cz",), "µV"), kind: Signal(data + 1, 100.0, ("x",), unit)}
    convert(corpus_of(simple(signals=signals)), tmp_path / "out", to="bids")
    table = (tmp_path / "out/sub-1/eeg/sub-1_task-invented_channels.tsv").read_text()
    assert ("EOG" in table) == (kind == "eog")
    assert (len(list((tmp_path / "out").rglob("*_physio.tsv.gz"))) == 0) == (kind == "eog")


def test_mne_reads_the_same_eeg(tmp_path: Path) -> None:
    mne = pytest.importorskip("mne")
    held = recording(5, "1", "", "x", 0)
    convert(corpus_of(held), tmp_path / "out", to="bids")
    raw = mne.io.read_raw_brainvision(tmp_path / "out/sub-1/eeg/sub-1_task-x_eeg.vhdr", verbose="error")
    assert raw.ch_names == ["Fp1", "Cz"]
    assert raw.info["sfreq"] == 128
    np.testing.assert_allclose(raw.get_data() * 1e6, held.signals["eeg"].data, rtol=1e-6)


def test_xarray_and_zarr_read_the_arrays(tmp_path: Path) -> None:
    import zarr

    held = recording(5, "1", "", "x", 0)
    convert(corpus_of(held), tmp_path / "out", to="zarr")
    group = zarr.open_group(tmp_path / "out", mode="r")
    np.testing.assert_array_equal(group["r00000/eeg"][...], held.signals["eeg"].data)  # type: ignore[index]
    assert group["r00000"].attrs["signals"]["eeg"]["channels"] == ["Fp1", "Cz"]  # type: ignore[index]


# ---- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("S 1", "S_1"), ("s1", "S1")])
def test_subjects_that_would_be_called_the_same_are_refused(names: tuple[str, str], tmp_path: Path) -> None:
    corpus = corpus_of(*(simple(name) for name in names))
    with pytest.raises(DataError, match=f"'{names[0]}' and '{names[1]}'.*called the same"):
        convert(corpus, tmp_path / "out", to="bids")
    assert list(tmp_path.iterdir()) == []
    assert convert(corpus, tmp_path / "out", to="zarr").recordings == 2


def test_names_that_no_label_can_hold_come_back(tmp_path: Path) -> None:
    held = [simple("被験者", "β", "a b"), simple("被験者", "β", "a_b"), simple("x-1", "", "12"), simple("x-1", "", "")]
    convert(corpus_of(*held), tmp_path / "out", to="bids")
    found = keyed(list(load("bids", tmp_path / "out")))
    assert set(found) == {(r.subject, r.session, r.trial) for r in held}
    names = {file.name for file in (tmp_path / "out").rglob("*physio.json")}
    assert {name for name in names if "sub-x1" in name} == {
        "sub-x1_task-invented_run-12_recording-eda_physio.json",
        "sub-x1_task-invented_recording-eda_physio.json",
    }


def test_a_name_that_a_table_cannot_hold_is_changed_and_said(tmp_path: Path) -> None:
    held = simple(events=(Event("a\tb\nc", 0.0, 1.0),))
    conversion = convert(corpus_of(held), tmp_path / "out", to="bids")
    assert [e.name for r in load("bids", tmp_path / "out") for e in r.events] == ["a b c"]
    assert any("a\\tb" in item.what for item in conversion.left_out)


# ---- safety ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["bids", "zarr"])
def test_nothing_is_overwritten(to: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="nothing is overwritten"):
        convert(corpus_of(simple()), out, to=to)  # type: ignore[arg-type]
    assert [file.name for file in tmp_path.rglob("*")] == ["out", "mine.txt"]
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(DataError, match="nothing is overwritten"):
        convert(corpus_of(simple()), file, to=to)  # type: ignore[arg-type]


@pytest.mark.parametrize("to", ["bids", "zarr"])
def test_an_empty_folder_is_filled_and_the_size_is_told(to: str, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    out.mkdir(parents=True)
    conversion = convert(corpus_of(simple()), out, to=to)  # type: ignore[arg-type]
    assert conversion.out == out
    assert conversion.bytes == sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    assert [child.name for child in out.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("to", ["bids", "zarr"])
def test_an_interrupted_conversion_leaves_nothing(to: str, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(corpus_of(simple()), tmp_path / "out", to=to, progress=stop)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("to", ["bids", "zarr"])
def test_what_cannot_be_read_is_left_out_and_listed(to: str, tmp_path: Path) -> None:
    corpus = corpus_of(simple("1"), simple("2", notes=(LeftOut("2: temp", "empty"),)))
    corpus.sources = (*corpus.sources, Source("9", _broken))
    seen: list[tuple[int, int]] = []
    conversion = convert(corpus, tmp_path / "out", to=to, progress=lambda *a: seen.append(a))  # type: ignore[arg-type]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert conversion.recordings == 2
    assert [item.what for item in conversion.left_out] == ["S9.dat", "2: temp"]
    assert list(conversion.left_out) == corpus.left_out
    assert [r.subject for r in load(to, tmp_path / "out")] == ["1", "2"]


def test_no_recording_at_all_is_an_error_that_says_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No recording of x could be converted.*S9\.dat"):
        convert(Corpus("x", (Source("9", _broken),)), tmp_path / "out", to="bids")
    assert list(tmp_path.iterdir()) == []


def test_workers_write_the_same(tmp_path: Path) -> None:
    for to in ("bids", "zarr"):
        for jobs in (1, 2):
            convert(Corpus("invented", sources(3)), tmp_path / f"{to}{jobs}", to=to, jobs=jobs)  # type: ignore[arg-type]
        one, two = ({f.relative_to(r): f.read_bytes() for f in r.rglob("*") if f.is_file()} for r in (
            tmp_path / f"{to}1", tmp_path / f"{to}2"))  # fmt: skip
        assert one == two


def test_a_unit_that_is_not_the_usual_one_is_written_and_comes_back(tmp_path: Path) -> None:
    stored = {"eda": Signal(np.arange(8, dtype=np.float32)[np.newaxis] * 1e4, 4.0, ("GSR",), "a.u.")}
    convert(corpus_of(simple(trial="film", signals=stored)), tmp_path / "out", to="bids")
    (sidecar,) = (tmp_path / "out").rglob("*_physio.json")
    assert json.loads(sidecar.read_text())["eda"]["Units"] == "a.u."
    (found,) = load("bids", tmp_path / "out")
    assert found.signals["eda"].unit == "a.u."
    np.testing.assert_array_equal(found.signals["eda"].data, stored["eda"].data)


def _refused() -> Recording:
    raise DataError("A signal needs a positive sampling rate in Hz; found 0.")


def test_whatever_a_reader_refuses_costs_its_own_recording_only(tmp_path: Path) -> None:
    corpus = corpus_of(simple("1"))
    corpus.sources = (*corpus.sources, Source("9", _refused, "b", "t"))
    conversion = convert(corpus, tmp_path / "out", to="zarr")
    assert conversion.recordings == 1
    assert [item.what for item in conversion.left_out] == ["9/b/t"]


def test_a_place_that_cannot_be_written_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match=r"file/out cannot be (written|looked into)"):
        convert(corpus_of(simple()), tmp_path / "file" / "out", to="zarr")
    assert [child.name for child in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(("arguments", "message"), [({"to": "bid"}, "bids"), ({"to": "bids", "jobs": 0}, "jobs is 0")])
def test_mistakes_are_explained(arguments: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        convert(corpus_of(simple()), tmp_path / "out", **arguments)  # type: ignore[arg-type]


def test_float32_survives_text(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 2**32, 4000, dtype=np.uint32).view(np.float32)
    values[~np.isfinite(values)] = np.nan
    held = simple(signals={"bvp": Signal(values.reshape(2, -1), 64.0, ("a", "b"), "a.u.")})
    convert(corpus_of(held), tmp_path / "out", to="bids")
    [found] = load("bids", tmp_path / "out")
    np.testing.assert_array_equal(found.signals["bvp"].data, held.signals["bvp"].data)
