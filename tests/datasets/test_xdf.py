"""Reading XDF, from files that have its format and random numbers; pyxdf is the reference for times and values."""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyxdf
from corpora.xdf import XdfStream, chunk, steady, varlen, xdf_bytes

from limbeck.datasets import checks_of, guess, info, load, read_files, xdf
from limbeck.datasets.clocks import dejitter
from limbeck.errors import DataError, ReadError
from limbeck.recording import Corpus, Recording

Read = Callable[..., Recording]
AT = 5000.0  # seconds on the clock of whatever the file begins with


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a file of these streams."""

    def to_file(streams: Any, name: str = "P1.xdf", **options: Any) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(streams if isinstance(streams, bytes) else xdf_bytes(streams, **options))
        return file

    return to_file


@pytest.fixture
def read(write: Callable[..., Path]) -> Read:
    """Write a file of these streams and read it with these options."""

    def only(held: Any, /, **options: Any) -> Recording:
        (recording,) = load("xdf", write(held), **options)
        return recording

    return only


def refused(corpus: Corpus) -> str:
    assert list(corpus) == []
    return corpus.left_out[-1].why


def eeg(n: int = 640, rate: float = 64, seed: int = 0, **fields: Any) -> XdfStream:
    samples = np.random.default_rng(seed).normal(0, 20, (n, 2)).astype("<f4")
    fields = {"labels": ("Fz", "Cz"), "units": ("uV", "uV"), "stamps": steady(AT, n, rate), **fields}
    return XdfStream(fields.pop("name", "Amp"), fields.pop("kind", "EEG"), rate, samples, **fields)


def one(kind: str, values: Sequence[float] | np.ndarray, rate: float = 4, unit: str = "", **fields: Any) -> XdfStream:
    samples = np.asarray(values, dtype=np.float64)[:, None]
    fields = {"format": "double64", "stamps": steady(AT, len(samples), rate or 1), **fields}
    return XdfStream(fields.pop("name", f"the {kind}"), kind, rate, samples, units=(unit,), **fields)


def marks(times: Sequence[float], texts: Sequence[str], **fields: Any) -> XdfStream:
    fields = {"name": "Marks", "kind": "Markers", **fields}
    return XdfStream(
        rate=0, samples=list(texts), stamps=AT + np.asarray(times, float), format="string", sizes=1, **fields
    )


def notes_of(recording: Recording) -> str:
    return "\n".join(f"{note.what}: {note.why}" for note in recording.notes)


# ---- against pyxdf -----------------------------------------------------------------------------------------------

N = 2400
RATE = 100


def _jittered(rng: np.random.Generator) -> np.ndarray:
    return 1000 + np.arange(N) / RATE * (1 + 80e-6) + rng.exponential(0.003, N)


def _drifting(rng: np.random.Generator) -> tuple[np.ndarray, list[tuple[float, float]], int | None]:
    times = np.arange(1000, 1031, 1.0)
    values = 500 + 50e-6 * times + rng.normal(0, 2e-4, len(times))
    values[5] += 0.02
    return _jittered(rng), list(zip(times, values, strict=True)), None


def _gap(rng: np.random.Generator) -> tuple[np.ndarray, list[tuple[float, float]], int | None]:
    stamps, offsets, _ = _drifting(rng)
    stamps[N // 3 :] += 10
    return stamps, offsets, None


def _restart(rng: np.random.Generator, begin: float) -> tuple[np.ndarray, list[tuple[float, float]], int | None]:
    stamps = np.concatenate([1000 + np.arange(N // 2) / RATE, begin + np.arange(N // 2) / RATE])
    times = np.concatenate([np.arange(1000, 1015, 1.0), begin + np.arange(0, 20, 1.0)])
    values = np.repeat([500.0, 1517.0 - begin], [15, 20]) + rng.normal(0, 1e-4, 35)
    return stamps, list(zip(times, values, strict=True)), None


def _late_samples(rng: np.random.Generator) -> tuple[np.ndarray, list[tuple[float, float]], int | None]:
    stamps, offsets, _ = _drifting(rng)
    stamps[-1] = 9e5
    return stamps, [*offsets, (9e5, -77.0)], N - 1


def _deduced(rng: np.random.Generator) -> tuple[np.ndarray, list[tuple[float, float]], int | None]:
    stamps = steady(1000, N, RATE)
    stamps[1:][rng.random(N - 1) < 0.6] = np.nan
    return stamps, [(1000.0, 5.0)], None


REFERENCE = {
    "drift, jitter and a wild measurement": _drifting,
    "a gap": _gap,
    "a clock that began anew": lambda rng: _restart(rng, 10.0),
    "a clock that jumped ahead": lambda rng: _restart(rng, 5000.0),
    "samples beyond the footer": _late_samples,
    "stamps left to be deduced": _deduced,
    "no measurements": lambda rng: (_jittered(rng), [], None),
}


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        *((what, "float32") for what in REFERENCE),
        *(("a gap", f) for f in ("double64", "int8", "int16", "int32", "int64")),
    ],
)
def test_times_and_values_are_those_of_pyxdf(
    what: str, kind: str, write: Callable[..., Path], rng: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    stamps, offsets, stated = REFERENCE[what](rng)
    samples = rng.integers(-100, 100, (N, 3))
    stream = XdfStream("Amp", "EEG", RATE, samples, stamps, format=kind, offsets=offsets, stated=stated)
    file = write([stream], interleaved=False)
    with caplog.at_level(logging.CRITICAL, logger="pyxdf"):
        raw = pyxdf.load_xdf(file, dejitter_timestamps=False)[0][0]
        whole = pyxdf.load_xdf(file)[0][0]
    contents = xdf._read(file)
    (own,) = contents.streams.values()
    times, values = xdf._numbers(contents, own, file)
    times = xdf._shortened(own, times, [], file)
    common = xdf.synchronised(times, own.clock_times, own.clock_values)
    np.testing.assert_allclose(common, raw["time_stamps"], rtol=0, atol=1e-6)
    even = dejitter(common, RATE)
    np.testing.assert_allclose(even.stamps, whole["time_stamps"], rtol=0, atol=1e-6)
    assert even.rate == pytest.approx(whole["info"]["effective_srate"], rel=1e-9)
    np.testing.assert_array_equal(values[: len(times)], whole["time_series"])
    assert values.dtype == np.dtype(xdf._FORMATS[kind])


def test_markers_are_those_of_pyxdf(write: Callable[..., Path], rng: np.random.Generator) -> None:
    texts = ["", "å", "x" * 300, *(f"m{k}" for k in range(20))]
    offsets = [(AT + t, 3.25) for t in range(10)]
    file = write([marks(np.sort(rng.uniform(0, 9, len(texts))), texts, offsets=offsets)])
    (reference,), _ = pyxdf.load_xdf(file)
    contents = xdf._read(file)
    (own,) = contents.streams.values()
    times, found = xdf._texts(contents, own, file)
    assert [[text] for text in found] == reference["time_series"] == [[text] for text in texts]
    common = xdf.synchronised(times, own.clock_times, own.clock_values)
    np.testing.assert_allclose(common, reference["time_stamps"], atol=1e-6)


# ---- time --------------------------------------------------------------------------------------------------------


def test_devices_on_their_own_clocks_come_onto_one(read: Read) -> None:
    """One wave seen by two devices whose clocks began apart and drift apart."""
    drift, seconds = 200e-6, 300

    def wave(times: np.ndarray) -> np.ndarray:
        return np.sin(2 * np.pi * 0.5 * times) + np.sin(2 * np.pi * 0.13 * times)

    times = np.arange(seconds * 32) / 32
    own = 70 + times * (1 + drift)  # what the second device's clock says at these moments
    measured = np.arange(0, seconds, 5.0)
    offsets = [(float(70 + t * (1 + drift)), float(AT + t - (70 + t * (1 + drift)))) for t in measured]
    first = one("ECG", wave(times), 32, "mV", offsets=[(AT + t, 0.0) for t in measured])
    second = one("EMG", wave(times), 32, "mV", stamps=own, offsets=offsets)
    recording = read([first, second])
    ecg, emg = recording.signals["ecg"], recording.signals["emg"]
    assert (ecg.start, emg.start) == (pytest.approx(0, abs=1e-6), pytest.approx(0, abs=1e-6))
    np.testing.assert_allclose(ecg.data, emg.data, atol=2e-3)
    assert recording.clocks["emg"].source == "time stamps"
    unsynchronised = read([first, one("EMG", wave(times), 32, "mV", stamps=AT - 70 + own)])
    n = min(unsynchronised.signals[m].data.shape[1] for m in ("ecg", "emg"))
    apart = unsynchronised.signals["ecg"].data[:, :n] - unsynchronised.signals["emg"].data[:, :n]
    assert np.nanmax(np.abs(apart)) > 0.1, "without the measurements they are 60 ms apart at the end"
    assert "EMG" in notes_of(unsynchronised)
    assert "was not compared with the recorder's" in notes_of(unsynchronised)


def test_drift_jitter_and_rate_are_undone_and_told(read: Read, rng: np.random.Generator) -> None:
    n, rate = 20_000, 100
    true = np.arange(n) / rate * (1 + 150e-6)
    stamps = AT + true + rng.normal(0, 0.002, n)
    recording = read([one("Resp", np.sin(true), rate, stamps=stamps, sizes=1000)])
    resp, clock = recording.signals["resp"], recording.clocks["resp"]
    assert resp.rate == rate
    assert clock.drift == pytest.approx(150, abs=5)
    assert clock.jitter == pytest.approx(0.002, rel=0.1)
    assert clock.gaps == ()
    assert resp.data.shape[1] == pytest.approx(n * (1 + 150e-6), abs=1)
    times = np.arange(resp.data.shape[1]) / rate
    np.testing.assert_allclose(resp.data[0], np.sin(times), atol=2e-3)


@pytest.mark.parametrize("rate", [4, 64])
def test_gaps_are_missing_samples_of_their_length(read: Read, rate: float) -> None:
    values = np.arange(120.0 * rate)
    stamps = np.delete(steady(AT, len(values), rate), np.s_[40 * rate : 70 * rate])
    recording = read([one("EDA", np.delete(values, np.s_[40 * rate : 70 * rate]), rate, "uS", stamps=stamps)])
    data = recording.signals["eda"].data[0]
    assert np.isnan(data[40 * rate : 70 * rate]).all()
    kept = np.isfinite(data)
    assert kept.sum() == 90 * rate
    np.testing.assert_allclose(data[kept], values[kept], rtol=1e-5)
    (gap,) = recording.clocks["eda"].gaps
    assert gap == pytest.approx((40, 70), abs=1e-3)
    assert "1 gap of 30 s in all" in notes_of(recording)
    assert read([eeg(), one("EDA", np.delete(values, np.s_[40 * rate : 70 * rate]), rate, "uS", stamps=stamps)],
                breaks=100.0).clocks["eda"].gaps == ()  # fmt: skip


def test_time_begins_with_the_earliest_signal(read: Read) -> None:
    late = one("EDA", np.arange(40.0), 4, "uS", stamps=steady(AT + 2.5, 40, 4))
    recording = read([late, eeg(), marks([-3, -1, 4], ["early", "a", "b"])], markers="points")
    assert recording.signals["eeg"].start == 0
    assert recording.signals["eda"].start == pytest.approx(2.5)
    assert [(e.name, e.start) for e in recording.events] == [("b", pytest.approx(4))]
    assert "2 of 3 events are outside of the signals" in notes_of(recording)


def test_a_rate_that_is_not_the_stated_one_is_told_and_held(read: Read) -> None:
    recording = read([one("EDA", np.arange(500.0), 4, "uS", stamps=steady(AT, 500, 5))])
    assert recording.signals["eda"].rate == 5
    np.testing.assert_array_equal(recording.signals["eda"].data[0], np.arange(500))
    assert "tell 5 Hz, its header 4 Hz; held at 5 Hz" in notes_of(recording)


def test_a_stream_that_may_drop_frames_keeps_its_own_times(read: Read) -> None:
    stamps = np.delete(steady(AT, 200, 10), [50, 51, 52])
    extra = "<synchronization><can_drop_samples>true</can_drop_samples></synchronization>"
    gaze = one("Gaze", np.delete(np.arange(200.0), [50, 51, 52]), 10, stamps=stamps, extra=extra)
    data = read([gaze]).signals["gaze"].data[0]
    assert np.flatnonzero(np.isnan(data)).tolist() == [50, 51, 52]
    np.testing.assert_allclose(data[[49, 53, 199]], [49, 53, 199])


def test_a_stream_whose_time_runs_back_is_left_out_and_the_others_read(read: Read) -> None:
    stamps = np.concatenate([steady(AT, 400, 4), steady(AT + 20, 400, 4)])
    recording = read(xdf_bytes([eeg(), one("EDA", np.arange(800.0), 4, "uS", stamps=stamps)], interleaved=False))
    assert set(recording.signals) == {"eeg"}
    assert "not used: time runs back behind sample 399" in notes_of(recording)


# ---- what the streams are ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "modality"),
    [
        ("EEG", "eeg"), ("ECG", "ecg"), ("EKG", "ecg"), ("EMG", "emg"), ("EOG", "eog"), ("GSR", "eda"), ("EDA", "eda"),
        ("PPG", "bvp"), ("BVP", "bvp"), ("Resp", "resp"), ("Respiration", "resp"), ("Temp", "temp"),
        ("Temperature", "temp"), ("ACC", "acc"), ("Accelerometer", "acc"), ("Gaze", "gaze"), ("gsr", "eda"),
    ],
)  # fmt: skip
def test_types_say_what_streams_are(kind: str, modality: str, read: Read) -> None:
    recording = read([one(kind, np.arange(100.0), 10)])
    assert set(recording.signals) == {modality}
    assert recording.signals[modality].channels == (modality,)


def test_channels_of_another_kind_go_where_they_belong(read: Read) -> None:
    rng = np.random.default_rng(0)
    labels = ("Fz", "x", "ECG", "TRIGGER", "Packet Counter", "AUX1", "Fz")
    kinds = ("EEG", "EOG", "", "", "", "AUX", "EEG")
    samples = rng.normal(size=(100, 7))
    stream = XdfStream("Amp", "EEG", 50, samples, steady(AT, 100, 50), "double64", labels, ["microvolts"] * 7, kinds)
    recording = read([stream])
    assert {m: s.channels for m, s in recording.signals.items()} == {
        "eeg": ("Fz", "Fz (2)"),
        "eog": ("x",),
        "ecg": ("ECG",),
    }
    np.testing.assert_allclose(recording.signals["eeg"].data, samples[:, [0, 6]].T, rtol=1e-6)
    np.testing.assert_allclose(recording.signals["ecg"].data[0], samples[:, 2] / 1e3, rtol=1e-6)
    assert "TRIGGER, Packet Counter, AUX1: neither type nor label" in notes_of(recording)


def test_channels_of_a_headset_that_are_no_electrodes_are_told(read: Read) -> None:
    labels = ("INTERPOLATED", "AF3", "RAW_CQ", "GYROX", "Right AUX", "AccelX", "E5", "TIME_STAMP_s")
    samples = np.random.default_rng(0).normal(size=(100, 8))
    stream = XdfStream("Headset", "EEG", 50, samples, steady(AT, 100, 50), "double64", labels, ["uV"] * 8)
    recording = read([stream])
    assert {m: s.channels for m, s in recording.signals.items()} == {"eeg": ("AF3", "E5")}
    assert "INTERPOLATED, RAW_CQ, GYROX, Right AUX, AccelX, TIME_STAMP_s: neither" in notes_of(recording)
    own = one("ACC", np.zeros((10, 1))[:, 0], labels=("AccX",))
    assert read([own]).signals["acc"].channels == ("AccX",)


def test_streams_without_a_type_are_known_by_labels_or_by_name(read: Read) -> None:
    labelled = eeg(kind="", labels=("GSR", "Temp"), units=("uS", "C"))
    assert set(read([labelled]).signals) == {"eda", "temp"}
    named = one("Physio", np.arange(50.0), 10, name="Shimmer-PPG")
    assert set(read([named]).signals) == {"bvp"}


@pytest.mark.parametrize(
    ("kind", "unit", "factor"),
    [
        ("EEG", "microvolts", 1), ("EEG", "uV", 1), ("EEG", "µV", 1), ("EEG", "V", 1e6), ("EEG", "volts", 1e6),
        ("EEG", "millivolts", 1e3), ("ECG", "mV", 1), ("ECG", "uV", 1e-3), ("EDA", "microsiemens", 1),
        ("EDA", "S", 1e6), ("ACC", "g", 1), ("ACC", "mg", 1e-3), ("ACC", "m/s^2", 1 / 9.80665), ("Temp", "celsius", 1),
    ],
)  # fmt: skip
def test_units_are_converted(kind: str, unit: str, factor: float, read: Read) -> None:
    recording = read([one(kind, np.arange(1.0, 50.0), 10, unit)])
    (signal,) = recording.signals.values()
    np.testing.assert_allclose(signal.data[0], np.arange(1, 50) * factor, rtol=1e-5)
    assert "option units" not in notes_of(recording)


@pytest.mark.parametrize("unit", ["", "arbitrary"])
def test_a_unit_that_says_nothing_is_assumed_and_told_and_can_be_given(unit: str, read: Read) -> None:
    recording = read([one("EEG", np.arange(50.0), 10, unit)])
    np.testing.assert_array_equal(recording.signals["eeg"].data[0], np.arange(50))
    assert "taken to be µV (option units)" in notes_of(recording)
    given = read([one("EEG", np.arange(50.0), 10, unit)], units={"eeg": "mV"})
    np.testing.assert_allclose(given.signals["eeg"].data[0], 1e3 * np.arange(50))
    assert "taken to be µV" not in notes_of(given)


def test_a_unit_of_another_kind_is_not_taken(read: Read) -> None:
    recording = read([eeg(), one("Temp", np.arange(50.0), 10, "kOhm")])
    assert set(recording.signals) == {"eeg"}
    assert "the unit 'kOhm' cannot be converted into °C" in notes_of(recording)


def test_labels_that_are_missing_or_do_not_fit_are_numbers(read: Read) -> None:
    recording = read([eeg(labels=None, units=None)])
    assert recording.signals["eeg"].channels == ("eeg1", "eeg2")
    misfit = read([eeg(labels=("Fz", "Cz", "Pz"), units=("uV",) * 3)])
    assert misfit.signals["eeg"].channels == ("eeg1", "eeg2")
    assert "3 for 2 channels; named by number" in notes_of(misfit)


def test_of_several_streams_of_a_modality_the_largest_is_taken_or_what_is_asked_for(read: Read) -> None:
    streams = [one("ACC", np.arange(100.0), 10, "g", name="Watch"), eeg(), eeg(seed=1), eeg(320, 32, seed=2)]
    streams.append(one("ACC", np.arange(200.0), 20, "g", name="Belt"))
    recording = read(streams)
    assert recording.signals["acc"].rate == 20
    np.testing.assert_array_equal(recording.signals["eeg"].data, streams[1].samples.T)  # type: ignore[union-attr]
    assert "stream 1 'Watch': acc: stream 5 'Belt' is taken for acc" in notes_of(recording)
    assert "stream 3 'Amp': eeg: stream 2 'Amp' is taken for eeg" in notes_of(recording)
    other = read(streams, streams={"Watch": "acc", 4: "eeg"})
    assert other.signals["acc"].rate == 10
    assert other.signals["eeg"].rate == 32


def test_a_stream_can_be_called_what_it_is_or_left_out(read: Read) -> None:
    slider = one("Rating", np.arange(50.0), 10, name="Slider")
    odd = one("Biodata", np.arange(50.0), 10, "mV", name="Box")
    recording = read([eeg(), slider, odd], streams={"Slider": "trace", "Box": "ecg", "Amp": ""})
    assert set(recording.signals) == {"ecg"}
    assert recording.traces["Slider"].values.tolist() == list(range(50))
    assert "neither type nor label" in notes_of(read([eeg(), slider]))


def test_an_irregular_stream_can_be_given_a_rate(read: Read) -> None:
    stream = one("EDA", np.arange(50.0), 0, "uS", stamps=steady(AT, 50, 10), name="Band")
    recording = read([eeg(), stream])
    assert "eda" not in recording.signals
    assert recording.traces["Band"].values.tolist() == list(range(50))
    given = read([stream], rates={"Band": 10})
    assert given.signals["eda"].rate == 10
    assert "it has no rate and cannot be eda" in notes_of(read([eeg(), stream], streams={"Band": "eda"}))


def test_an_empty_stream_costs_nothing_and_is_told(read: Read) -> None:
    empty = XdfStream("Idle", "ECG", 250, np.empty((0, 1)), np.empty(0), channels=1)
    recording = read([empty, eeg(), marks([], [], channels=1)])
    assert set(recording.signals) == {"eeg"}
    assert "stream 1 'Idle': no samples" in notes_of(recording)


def test_infinite_and_missing_samples_are_missing(read: Read) -> None:
    values = np.arange(50.0)
    values[[3, 7, 9]] = np.nan, np.inf, 1e300
    recording = read([one("EEG", values, 10, "uV")])
    assert np.flatnonzero(np.isnan(recording.signals["eeg"].data[0])).tolist() == [3, 7, 9]
    assert "2 infinite samples" in notes_of(recording)
    assert "all samples are missing" in notes_of(read([eeg(), one("ECG", np.full(50, np.nan), 10)]))


# ---- markers and traces ------------------------------------------------------------------------------------------

TIMES = (0.5, 1, 2, 3, 4, 5, 6)
TEXTS = ("instruction", "film_start", "scene", "film_end", "Rest-Begin", "rest-stop", "bye")


@pytest.mark.parametrize(
    ("markers", "expected"),
    [
        (
            "intervals",
            [("instruction", 0.5, 1), ("film", 1, 3), ("scene", 2, 3), ("Rest", 4, 5), ("bye", 6, 10)],
        ),
        ("next", [*zip(TEXTS, TIMES, (*TIMES[1:], 10), strict=True)]),
        ("points", [*zip(TEXTS, TIMES, TIMES, strict=True)]),
    ],
)
def test_markers_become_events(markers: str, expected: list[tuple[str, float, float]], read: Read) -> None:
    recording = read([eeg(), marks(TIMES, TEXTS)], markers=markers)
    assert [event.name for event in recording.events] == [name for name, _, _ in expected]
    found = [(event.start, event.end) for event in recording.events]
    np.testing.assert_allclose(found, [(a, b) for _, a, b in expected], atol=1e-6)


def test_a_beginning_without_an_end_lasts_like_any_other_marker(read: Read) -> None:
    recording = read([eeg(), marks([1, 2, 2, 4], ["a_start", "b", "c", "d_end"])])
    found = [(event.name, round(event.start, 6), round(event.end, 6)) for event in recording.events]
    assert found == [("a_start", 1, 2), ("b", 2, 4), ("c", 2, 4), ("d_end", 4, 10)]


def test_streams_of_markers_end_each_others_nothing_and_codes_are_markers_too(read: Read) -> None:
    codes = XdfStream(
        "Codes", "Markers", 0, np.array([[1], [12]]), AT + np.array([1.5, 6]), "int32", sizes=1
    )  # fmt: skip
    recording = read([marks([1, 8], ["a", "b"]), codes, eeg()])
    found = [(event.name, round(event.start, 6), round(event.end, 6)) for event in recording.events]
    assert found == [("a", 1, 8), ("1", 1.5, 6), ("12", 6, 10), ("b", 8, 10)]


@pytest.mark.parametrize("idle", [0, 65280])
def test_a_channel_of_triggers_marks_where_its_numbers_change(idle: int, read: Read) -> None:
    codes = np.full(1280, idle)
    for at, code in ((128, 3), (320, 4), (640, 3)):
        codes[at : at + 5] = code
    triggers = one("Markers", codes, 64, format="int32")
    recording = read([eeg(1280), triggers])
    found = [(event.name, event.start, event.end) for event in recording.events]
    assert found == [
        (name, pytest.approx(start), pytest.approx(end))
        for name, start, end in (("3", 2, 5), ("4", 5, 10), ("3", 10, 20))
    ]
    assert f"a marker is where they change, and {idle} is taken for none" in notes_of(recording)


def test_numbers_that_change_all_the_time_are_no_triggers(read: Read) -> None:
    recording = read([eeg(), one("Trigger", np.arange(640), 64)])
    assert recording.events == ()
    assert "639 changes in 640 samples" in notes_of(recording)


def test_irregular_numbers_are_traces_with_the_times_they_came_at(read: Read) -> None:
    times = np.array([0.5, 2, 2, 1.9, 7])
    stream = XdfStream("Dial", "Rating", 0, np.arange(10.0).reshape(5, 2), AT + times, labels=("v", "a"), sizes=1)
    recording = read(xdf_bytes([eeg(), stream], interleaved=False))
    assert set(recording.traces) == {"Dial v", "Dial a"}
    np.testing.assert_allclose(recording.traces["Dial a"].times, [0.5, 2, 7], atol=1e-6)
    assert recording.traces["Dial a"].values.tolist() == [1, 3, 9]
    assert "2 of 5 samples are not later" in notes_of(recording)


# ---- files -------------------------------------------------------------------------------------------------------


def test_subjects_come_from_names_or_folders(write: Callable[..., Path], tmp_path: Path) -> None:
    runs = ("run-10_eeg", "run-2_eeg", "run-2_eeg_old1")
    for name in ("P2/b", "P2/day1/a", *(f"sub-P3_ses-1_task-x_{run}" for run in runs)):
        write([eeg()], f"corpus/{name}.xdf")
    (tmp_path / "corpus" / ".hidden.xdf").write_bytes(b"")
    (tmp_path / "corpus" / "P2" / "c.xdfz").write_bytes(b"")
    root = tmp_path / "corpus"
    corpus = load("xdf", root)
    assert [(s.subject, s.session, s.trial) for s in corpus.sources] == [
        ("P2", "", "b"),
        ("P2", "day1", "a"),
        ("P3", "1", "task-x_run-2"),
        ("P3", "1", "task-x_run-2_eeg_old1"),
        ("P3", "1", "task-x_run-10"),
    ]
    assert [recording.order for recording in corpus] == [0, 0, 0, 1, 2]
    assert "packed" in corpus.left_out[0].why
    assert load("xdf", root, subjects=["sub-P3"]).subjects == ("P3",)
    assert set(load("xdf", root, naming="folder").subjects) == {"P2", "day1", "corpus"}
    assert load("xdf", root, naming="file").subjects[0] == "a"


def test_files_that_would_be_one_recording_are_refused(write: Callable[..., Path], tmp_path: Path) -> None:
    write([eeg()], "corpus/P1/a.xdf")
    write([eeg()], "corpus/P2/a.xdf")
    with pytest.raises(DataError, match="naming='folder'"):
        load("xdf", tmp_path / "corpus", naming="file")


def test_links_out_of_the_folder_are_told_and_not_followed(write: Callable[..., Path], tmp_path: Path) -> None:
    outside = write([eeg()], "elsewhere/P9/a.xdf")
    write([eeg()], "corpus/P1.xdf")
    write([eeg()], "corpus/P2.xdf")
    (tmp_path / "corpus" / "P9").symlink_to(outside.parent)
    (tmp_path / "corpus" / "P8.xdf").symlink_to(outside)
    corpus = load("xdf", tmp_path / "corpus")
    assert corpus.subjects == ("P1", "P2")
    assert "lead out of the data set's folder" in corpus.left_out[0].why


def test_files_and_folders_are_recognised(write: Callable[..., Path], tmp_path: Path) -> None:
    file = write([eeg()], "corpus/sub-1/ses-1/eeg/sub-1_ses-1_eeg.xdf")
    assert guess(file) == guess(tmp_path / "corpus") == "xdf"
    assert [source.subject for source in read_files([file]).sources] == ["sub-1_ses-1_eeg"]
    (tmp_path / "x.xdf").write_bytes(b"not this")
    assert not xdf.looks_like(tmp_path / "x.xdf")
    (file.parent.parent.parent / "none").mkdir()
    with pytest.raises(ReadError, match="no XDF file"):
        xdf.list_sessions(file.parent.parent.parent / "none")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"streams": {"Amp": "egg"}}, r"streams: 'Amp' cannot be 'egg'. Did you mean 'e"),
        ({"rates": {"Amp": 0}, "units": {"eeg": "kOhm"}}, "rates: found 0.*units: 'kOhm' cannot be converted into µV"),
        ({"units": {"egg": "uV"}}, "no modality 'egg'"),
        ({"markers": "interval"}, "Did you mean 'intervals'"),
        ({"naming": "folders"}, "Did you mean 'folder'"),
        ({"breaks": -1}, "breaks: found -1"),
        ({"subjects": ["P7"]}, "no subject 'P7'"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], why: str, write: Callable[..., Path]) -> None:
    file = write([eeg()])
    with pytest.raises(DataError, match=why):
        load("xdf", file, **options)
    with pytest.raises(DataError, match="needs a root"):
        load("xdf")


def test_an_option_about_a_stream_that_is_not_there_is_told(write: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match=r"streams: no file has a stream 'Ampp'\. Did you mean 'Amp'"):
        load("xdf", write([eeg()]), streams={"Ampp": "eeg"})
    with pytest.raises(DataError, match=r"rates: no file has a stream '9'"):
        load("xdf", write([eeg()]), rates={"9": 4})


def test_a_file_says_what_it_holds_without_being_read(write: Callable[..., Path]) -> None:
    eda = one("EDA", np.arange(40.0))
    streams = xdf.read_streams(write([eeg(), eda]))
    assert [(s.name, s.kind, s.rate, s.samples, s.stated) for s in streams] == [
        ("Amp", "EEG", 64, 640, 640),
        ("the EDA", "EDA", 4, 40, 40),
    ]
    assert "uncertain" not in info("xdf").checked
    assert len(info("xdf").uncertain) == 4


# ---- damage ------------------------------------------------------------------------------------------------------


def _with_chunk(tag: int, content: bytes) -> bytes:
    return xdf_bytes([eeg()]) + chunk(tag, content)


def _samples_of(number: int, count: int, body: bytes = b"") -> bytes:
    return struct.pack("<I", number) + varlen(count, 8) + body


DAMAGES = {
    "empty": (b"", "an empty file"),
    "another file": (b"RIFF1234", "a file that begins with b'RIFF'"),
    "no streams": (b"XDF:", "the streams none"),
    "a huge number of samples": (_with_chunk(3, _samples_of(1, 2**60)), "samples of stream 1 'Amp' in 0 bytes"),
    "fewer samples": (_with_chunk(3, _samples_of(1, 2, b"\x08" + bytes(16) + b"\x08" + bytes(8))), "the 2. of 2"),
    "no sample at all": (_with_chunk(3, _samples_of(1, 1, b"\x05" + bytes(8))), "no sample where the 1. of 1"),
    "more bytes than samples": (_with_chunk(3, _samples_of(1, 1, b"\x00" + bytes(11))), "3 bytes behind the last"),
    "no count": (_with_chunk(3, struct.pack("<I", 1) + b"\x03"), "no number of samples"),
    "samples of no stream": (_with_chunk(3, _samples_of(9, 0)), "samples or a clock of stream 9"),
    "no stream": (_with_chunk(3, b"\x01"), "a chunk of 3 bytes"),
    "a clock of the wrong size": (_with_chunk(4, struct.pack("<I", 1) + bytes(9)), "a clock measurement of 9 bytes"),
    "a clock that is none": (_with_chunk(4, struct.pack("<Idd", 1, 1.0, np.nan)), "nan s off"),
    "a wild time stamp": (_with_chunk(3, _samples_of(1, 1, b"\x08" + struct.pack("<d", 1e300) + bytes(8))), "1e\\+300"),
    "two headers": (_with_chunk(2, struct.pack("<I", 1) + eeg().header()), "a second header of stream 1"),
    "XML that is none": (_with_chunk(2, struct.pack("<I", 2) + b"<info><name>"), "XML of the chunk at byte"),
    "entities": (
        _with_chunk(2, struct.pack("<I", 2) + b'<!DOCTYPE a [<!ENTITY b "c">]><info><name>&b;</name></info>'),
        "a document type declaration",
    ),
    "a format that is none": (xdf_bytes([eeg(replace={">float32<": ">float16<"})]), "channel_format: found 'float16'"),
    "a rate that is none": (xdf_bytes([eeg(replace={">64.0": ">-64.0"})]), "nominal_srate: found '-64.0"),
    "channels that are none": (xdf_bytes([eeg(replace={"count>2": "count>0"})]), "channel_count: found '0'"),
    "too many channels": (xdf_bytes([eeg(replace={"count>2": "count>99999999"})]), "channel_count: found '99999999'"),
    "half a channel": (xdf_bytes([eeg(replace={"count>2": "count>1.5"})]), "expected a whole number"),
    "no first time": (xdf_bytes([eeg(stamps=np.full(640, np.nan))]), "no time stamp with the first sample"),
    "no signals": (xdf_bytes([one("Audio", np.arange(9.0), name="Mic")]), "the streams Mic \\(Audio\\)"),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_file_is_refused_with_its_place(what: str, write: Callable[..., Path]) -> None:
    content, why = DAMAGES[what]
    assert re.search(why, refused(load("xdf", write(content))))


def test_a_file_whose_end_is_missing_is_read_to_there(write: Callable[..., Path]) -> None:
    whole = xdf_bytes([eeg()])
    (recording,) = load("xdf", write(whole[: 3 * len(whole) // 4]))
    n = recording.signals["eeg"].data.shape[1]
    assert 300 < n < 640
    np.testing.assert_array_equal(recording.signals["eeg"].data, eeg().samples[:n].T)  # type: ignore[call-overload]
    assert "it ends within a chunk" in notes_of(recording)
    assert "no footer" in notes_of(recording)


def test_a_length_that_leads_astray_within_a_file_is_no_end(write: Callable[..., Path]) -> None:
    content = bytearray(xdf_bytes([eeg()]))
    place = content.index(struct.pack("<BIH", 4, 32 * 17 + 11, 3))  # the first chunk of samples
    content[place] = 7
    assert "no length of a chunk" in refused(load("xdf", write(bytes(content))))


def test_markers_that_cannot_be_read_cost_the_markers(write: Callable[..., Path]) -> None:
    content = bytearray(xdf_bytes([marks([1], ["abcdef"]), eeg()]))
    place = content.index(b"\x06abcdef")
    content[place] = 200
    (recording,) = load("xdf", write(bytes(content)))
    assert set(recording.signals) == {"eeg"}
    assert "a text that ends behind its chunk" in notes_of(recording)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_bytes_nothing_but_read_errors(seed: int, write: Callable[..., Path]) -> None:
    rng = np.random.default_rng(seed)
    whole = xdf_bytes([eeg(), marks([1, 2], ["a_start", "a_end"], offsets=[(AT, 0.1), (AT + 1, 0.1)])])
    for _ in range(60):
        content = bytearray(whole)
        for _ in range(int(rng.integers(1, 6))):
            place = int(rng.integers(len(content)))
            action = rng.integers(4)
            if action == 0:
                content[place] ^= 1 << int(rng.integers(8))
            elif action == 1:
                del content[place : place + int(rng.integers(1, 100))]
            elif action == 2:
                content[place:place] = content[place : place + int(rng.integers(1, 500))]
            else:
                content[place : place + 8] = rng.bytes(8)
        for recording in load("xdf", write(bytes(content))):
            assert recording.signals


# ---- checks ------------------------------------------------------------------------------------------------------


def _checked(root: Path) -> dict[str, tuple[bool | None, str]]:
    checks = checks_of("xdf")
    assert checks is not None
    return {check.what: (check.passed, check.found) for check in checks(root, load("xdf", root))}


def test_checks_look_at_footers_clocks_and_order(write: Callable[..., Path], tmp_path: Path) -> None:
    good = eeg(offsets=[(AT, 0.0), (AT + 5, 0.0)])
    write([good], "corpus/sub-1_run-1.xdf", started="2024-03-01T10:00:00+0100")
    write([good], "corpus/sub-1_run-2.xdf", started="2024-03-01T11:00:00+0100")
    found = _checked(tmp_path / "corpus")
    assert {passed for passed, _ in found.values()} == {True}
    write([eeg(stated=639)], "corpus/sub-1_run-2.xdf", started="2024-03-01T09:00:00+0100")
    write([eeg(stated=-1)], "corpus/sub-1_run-3.xdf", started="yesterday")
    (tmp_path / "corpus" / "sub-1_run-4.xdf").write_bytes(b"nothing")
    found = _checked(tmp_path / "corpus")
    passed, why = found["sub-1_run-2.xdf holds as many samples as its footers say"]
    assert (passed, why) == (False, "stream 1 'Amp': 640, the footer says 639")
    assert found["sub-1_run-3.xdf holds as many samples as its footers say"] == (None, "it has no footers")
    assert found["sub-1_run-2.xdf has measurements of every stream's clock"][0] is False
    passed, why = found["files of 1 were begun in the order of their names"]
    assert passed is False
    assert "sub-1_run-2.xdf was begun before" in why


# ---- full size ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ten_minutes_of_an_amplifier_and_a_wristband(read: Read) -> None:
    rng = np.random.default_rng(0)
    n = 600 * 500
    amp = rng.normal(0, 20, (n, 64)).astype("<f4")
    labels = [f"E{k}" for k in range(64)]
    offsets = [(AT + t, 0.0) for t in np.arange(0, 600, 5.0)]
    described = {"labels": labels, "units": ["uV"] * 64, "offsets": offsets, "sizes": 250}
    eda = one("EDA", rng.uniform(1, 5, 2400), 4, "uS", offsets=offsets)
    recording = read([XdfStream("Amp", "EEG", 500, amp, steady(AT, n, 500), **described), eda])
    np.testing.assert_array_equal(recording.signals["eeg"].data, amp.T)
    assert recording.signals["eda"].data.shape == (1, 2400)


def test_a_stream_that_only_some_files_have_costs_the_others_nothing(write: Callable[..., Path]) -> None:
    thing = one("Thing", np.arange(100.0), 10, name="Thing")
    root = write([eeg(), thing], "lab/P1.xdf").parent
    write([eeg()], "lab/P2.xdf")
    corpus = load("xdf", root, streams={"Thing": "eda"})
    found = {recording.subject: sorted(recording.signals) for recording in corpus}
    assert found == {"P1": ["eda", "eeg"], "P2": ["eeg"]}
    (note,) = [item for item in corpus.left_out if "stream 'Thing'" in item.what]
    assert "P2.xdf" in note.what
    with pytest.raises(DataError, match=r"no file has a stream 'Thingg'\. Did you mean 'Thing'"):
        load("xdf", root, streams={"Thingg": "eda"})
    write(xdf_bytes([eeg()])[:-100], "lab/P3.xdf")  # which may be the one that had it
    assert {recording.subject for recording in load("xdf", root, streams={"Thingg": "eda"})} == {"P1", "P2", "P3"}


def test_a_file_cut_before_its_samples_is_said_to_be_cut(write: Callable[..., Path]) -> None:
    whole = xdf_bytes([eeg()])
    cut = whole.index(b"</info>", whole.index(b"nominal_srate")) + 12
    why = refused(load("xdf", write(whole[:cut])))
    assert "it ends within a chunk" in why
    assert "Copy it again" in why
    assert "option streams" not in why


def test_a_modality_by_another_name_is_told_its_own(write: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match="PPG is bvp here"):
        load("xdf", write([eeg()]), streams={"Amp": "ppg"})


def test_a_unit_that_can_hardly_be_right_is_noted(read: Read) -> None:
    skin = one("EDA", 2 + np.sin(np.arange(200.0)), 10, "")
    assert "is the unit right (option units)" in notes_of(read([skin], units={"eda": "ohm"}))
    assert "is the unit right" not in notes_of(read([skin], units={"eda": "uS"}))
