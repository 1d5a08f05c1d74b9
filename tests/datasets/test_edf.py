"""Reading EDF and BDF files."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from limbeck.datasets import edf, load
from limbeck.datasets.files import there_are
from limbeck.errors import DataError, ReadError
from limbeck.recording import UNITS, Event

Make = Callable[..., bytes]


def put(folder: Path, content: bytes, name: str = "a.edf") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


@pytest.fixture
def mixed(rng: np.random.Generator) -> list[dict[str, object]]:
    """Channels at different rates, in different units."""
    return [
        {
            "label": "EEG Fp1-Ref",
            "digital": rng.integers(-2000, 2000, 400),
            "samples": 100,
            "physical": (-3276.8, 3276.7),
        },
        {"label": "Fp2", "digital": rng.integers(-2000, 2000, 400), "samples": 100},
        {"label": "ECG", "digital": rng.integers(-2000, 2000, 800), "samples": 200, "unit": "uV"},
        {"label": "GSR1", "digital": rng.integers(1, 2000, 40), "samples": 10, "unit": "kOhm"},
        {"label": "Temp", "digital": rng.integers(20, 40, 8), "samples": 2, "unit": "degC"},
        {"label": "Status", "digital": np.zeros(400, int), "samples": 100, "unit": "Boolean"},
    ]


@pytest.mark.parametrize("kind", ["EDF", "BDF"])
def test_each_channel_keeps_its_rate_and_comes_in_our_unit(
    tmp_path: Path, make_edf: Make, mixed: list, kind: str
) -> None:
    recording = edf.read_recording(put(tmp_path, make_edf(mixed, kind=kind)), subject="a")
    assert {m: (s.rate, s.unit, s.channels) for m, s in recording.signals.items()} == {
        "eeg": (100.0, "µV", ("Fp1", "Fp2")),
        "ecg": (200.0, "mV", ("ECG",)),
        "eda": (10.0, "µS", ("GSR1",)),
        "temp": (2.0, "°C", ("Temp",)),
    }
    if kind == "EDF":
        np.testing.assert_allclose(recording.signals["eeg"].data[0], mixed[0]["digital"] / 10, rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(recording.signals["eeg"].data[1], mixed[1]["digital"], atol=1e-3)
    np.testing.assert_allclose(recording.signals["ecg"].data[0], mixed[2]["digital"] / 1000, atol=1e-5)
    np.testing.assert_allclose(recording.signals["eda"].data[0], 1e3 / mixed[3]["digital"], rtol=1e-5)
    assert recording.notes == (), "a status channel is no loss"
    assert recording.duration == 4.0


@pytest.mark.parametrize(("kind", "bits"), [("EDF", 16), ("BDF", 24)])
def test_values_and_annotations_agree_with_pyedflib(
    tmp_path: Path, rng: np.random.Generator, kind: str, bits: int
) -> None:
    import pyedflib

    path = tmp_path / f"a.{kind.lower()}"
    kinds = {"EDF": pyedflib.FILETYPE_EDFPLUS, "BDF": pyedflib.FILETYPE_BDFPLUS}
    limit = 2 ** (bits - 1)
    with pyedflib.EdfWriter(str(path), 2, file_type=kinds[kind]) as writer:
        for i, (label, rate) in enumerate([("EEG Cz", 100), ("Resp", 20)]):
            header = {"label": label, "dimension": "uV", "sample_frequency": rate, "transducer": "", "prefilter": ""}
            ranges = {"physical_min": -187.5, "physical_max": 211.25, "digital_min": -limit, "digital_max": limit - 1}
            writer.setSignalHeader(i, {**header, **ranges})
        writer.writeSamples([rng.uniform(-180, 200, 700), rng.uniform(-180, 200, 140)])
        writer.writeAnnotation(1.5, 2.0, "stimulus")
        writer.writeAnnotation(4.25, -1, "button")
    recording = edf.read_recording(path, subject="a")
    with pyedflib.EdfReader(str(path)) as reader:
        np.testing.assert_allclose(recording.signals["eeg"].data[0], reader.readSignal(0), rtol=1e-6, atol=1e-4)
        np.testing.assert_allclose(recording.signals["resp"].data[0], reader.readSignal(1), rtol=1e-6, atol=1e-4)
        assert edf.read_header(path).start == reader.getStartdatetime().replace(microsecond=0)
    assert recording.events == (Event("stimulus", 1.5, 3.5), Event("button", 4.25, 4.25))


def test_every_int24_is_read_with_its_sign(tmp_path: Path, make_edf: Make) -> None:
    digital = np.array([0, 1, -1, 127, 128, -128, 32767, 32768, -32769, 8388607, -8388608, 65536])
    channel = {"label": "Cz", "digital": digital, "samples": 12}
    header = edf.read_header(put(tmp_path, make_edf([channel], n_records=1, kind="BDF")))
    np.testing.assert_allclose(edf.read_channel(header, header.channels[0]), digital)


def test_onsets_count_from_the_first_record_and_texts_may_be_many(tmp_path: Path, make_edf: Make) -> None:
    channel = {"label": "Cz", "digital": np.zeros(200), "samples": 100}
    annotations = [
        [b"+0.5\x14\x14\0", b"+0.75\x150.5\x14a\x14b\x14\0"],
        [b"+1.5\x14\x14\0", "+2\x14größe\x14\0".encode()],
    ]
    path = put(tmp_path, make_edf([channel], n_records=2, reserved="EDF+C", annotations=annotations))
    assert [(a.onset, a.duration, a.text) for a in edf.read_annotations(edf.read_header(path))] == [
        (0.25, 0.5, "a"),
        (0.25, 0.5, "b"),
        (1.5, 0.0, "größe"),
    ]


def test_garbled_annotations_cost_the_events_not_the_signals(tmp_path: Path, make_edf: Make) -> None:
    channel = {"label": "Cz", "digital": np.zeros(200), "samples": 100}
    annotations = [[b"+0\x14\x14\0"], [b"+1\x14\x14\0", b"soon\x14pain\x14\0"]]
    path = put(tmp_path, make_edf([channel], n_records=2, reserved="EDF+C", annotations=annotations))
    recording = edf.read_recording(path, subject="a")
    assert recording.events == ()
    assert "annotations of record 2" in recording.notes[0].why


def test_a_file_that_may_have_gaps_is_read_if_it_has_none_and_refused_if_it_has(tmp_path: Path, make_edf: Make) -> None:
    channel = {"label": "Cz", "digital": np.zeros(300), "samples": 100}
    for third, fits in ((b"+2\x14\x14\0", True), (b"+7\x14\x14\0", False), (b"", False)):
        annotations = [[b"+0\x14\x14\0"], [b"+1\x14\x14\0"], [third]]
        path = put(tmp_path, make_edf([channel], n_records=3, reserved="EDF+D", annotations=annotations))
        if fits:
            assert edf.read_recording(path, subject="a").duration == 3
        else:
            with pytest.raises(ReadError, match=r"record 3: found an onset of (7|nan) s; expected 2 s"):
                edf.read_recording(path, subject="a")


def test_an_unknown_number_of_records_is_taken_from_the_file(tmp_path: Path, make_edf: Make) -> None:
    channel = {"label": "Cz", "digital": np.arange(400), "samples": 100}
    whole = make_edf([channel], stated_records=-1)
    recording = edf.read_recording(put(tmp_path, whole), subject="a")
    assert (recording.duration, recording.notes) == (4.0, ())
    cut = edf.read_recording(put(tmp_path, whole[:-50]), subject="a")
    assert cut.duration == 3.0
    assert "holds 3.75 records, 3 are read" in cut.notes[0].why


def test_what_lies_behind_the_records_that_the_header_states_is_not_read_but_noted(
    tmp_path: Path, make_edf: Make
) -> None:
    channel = {"label": "Cz", "digital": np.arange(400), "samples": 100}
    recording = edf.read_recording(put(tmp_path, make_edf([channel], stated_records=3)), subject="a")
    assert recording.signals["eeg"].data.shape == (1, 300)
    (note,) = recording.notes
    assert "holds 4 records, 3 are read" in note.why
    with pytest.raises(ReadError, match=r"'number of records': found 0, where the file holds 4.*write -1"):
        edf.read_recording(put(tmp_path, make_edf([channel], stated_records=0)), subject="a")


def patch(content: bytes, place: int, text: bytes) -> bytes:
    return content[:place] + text + content[place + len(text) :]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b"", "found an empty file; expected an EDF or BDF recording"),
        (lambda b: b[:100], "header: found a file of 100 bytes; expected a header of 256 bytes"),
        (lambda b: b[:400], "header: found a file that ends after 400 bytes; expected a header of 768 bytes for 2"),
        (lambda b: b[:768], "record 1: found the end of the file, after 0 bytes of data; expected 4 records"),
        (lambda b: b[:-1], "record 4: found the end of the file.*; expected 4 records of 400 bytes"),
        (lambda b: b[: 768 + 900], "record 3: found the end of the file"),
        (lambda b: b"GIF89a  " + b[8:], "header field 'version': found 'GIF89a  '"),
        (lambda b: patch(b, 184, b"12345   "), "header field 'header bytes': found '?12345'?; expected 768"),
        (
            lambda b: patch(b, 236, b"many    "),
            "header field 'number of records': found 'many'; expected a whole number",
        ),
        (lambda b: patch(b, 236, b"9999    "), "record 5: found the end of the file"),
        (lambda b: patch(b, 244, b"1 s     "), "header field 'record duration': found '1 s'; expected a number"),
        (lambda b: patch(b, 244, b"-1      "), "header field 'record duration': found -1; expected seconds"),
        (lambda b: patch(b, 244, b"0       "), "'record duration': found 0; expected seconds, as signal 1 'Cz'"),
        (lambda b: patch(b, 252, b"2x  "), "header field 'number of signals': found '2x'"),
        (lambda b: patch(b, 252, b"0   "), "header field 'number of signals': found '0'; expected .* from 1"),
        (lambda b: patch(b, 256 + 2 * 104, b"low     "), "'physical minimum of signal 1 'Cz'': found 'low'"),
        (lambda b: patch(b, 256 + 2 * 104, b"nan     "), "'physical minimum of signal 1 'Cz'': found 'nan'"),
        (lambda b: patch(b, 256 + 2 * 128, b"-32768  "), "'digital maximum' of signal 1 'Cz': found -32768"),
        (lambda b: patch(b, 256 + 2 * 216, b"1.5     "), "'samples per record of signal 1 'Cz'': found '1.5'"),
        (lambda b: patch(b, 256 + 2 * 216, b"99999999"), "record 1: found the end of the file"),
        (lambda b: bytes(reversed(b)), "header field 'version'"),
    ],
)
def test_a_damaged_file_is_refused_naming_the_field_and_what_was_expected(
    tmp_path: Path, make_edf: Make, change: Callable[[bytes], bytes], message: str
) -> None:
    channels = [{"label": label, "digital": np.zeros(400), "samples": 100} for label in ("Cz", "Pz")]
    path = put(tmp_path, change(make_edf(channels)))
    with pytest.raises(ReadError, match=rf"a\.edf.*{message}"):
        edf.read_recording(path, subject="a")


def test_random_damage_is_refused_or_read_but_never_crashes(
    tmp_path: Path, make_edf: Make, mixed: list, rng: np.random.Generator
) -> None:
    whole = np.frombuffer(make_edf(mixed), dtype=np.uint8)
    refused = 0
    for _ in range(300):
        damaged = whole[: rng.integers(1, len(whole))] if rng.random() < 0.3 else whole.copy()
        if len(damaged) == len(whole):
            damaged[rng.integers(0, 256 * 7, rng.integers(1, 6))] = rng.integers(0, 256, 1)
        try:
            edf.read_recording(put(tmp_path, damaged.tobytes()), subject="a")
        except ReadError:
            refused += 1
    assert refused > 100


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"no\.edf: found No such file"):
        edf.read_header(tmp_path / "no.edf")
    with pytest.raises(ReadError, match="expected a readable EDF or BDF file"):
        edf.read_header(tmp_path)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("EEG Fp1", ("eeg", "Fp1")),
        ("EEG FP1-REF", ("eeg", "Fp1")),
        ("Fp1.", ("eeg", "Fp1")),
        ("cz", ("eeg", "Cz")),
        ("T7", ("eeg", "T7")),
        ("EEG Fpz-Cz", ("eeg", "Fpz-Cz")),
        ("EEG A2-A1", ("eeg", "A2-A1")),
        ("ECG ECG", ("ecg", "ECG")),
        ("EKG1", ("ecg", "ECG1")),
        ("EKG", ("ecg", "ECG")),
        ("Fp1-A1", ("eeg", "Fp1-A1")),
        ("C3-M2", ("eeg", "C3-M2")),
        ("FP1-f7", ("eeg", "Fp1-F7")),
        ("EEG c3-a1a2", ("eeg", "C3-A1A2")),
        ("Resp. Belt", ("resp", "Belt")),
        ("C3-nothing", None),
        ("-", None),
        ("ECG II", ("ecg", "II")),
        ("EMG_trapezius", ("emg", "trapezius")),
        ("HEOG", ("eog", "HEOG")),
        ("GSR1", ("eda", "GSR1")),
        ("EDA", ("eda", "EDA")),
        ("Plet", ("bvp", "Plet")),
        ("PPG", ("bvp", "PPG")),
        ("Resp", ("resp", "Resp")),
        ("Temp", ("temp", "Temp")),
        ("Acc X", ("acc", "X")),
        ("Status", None),
        ("EXG1", None),
        ("", None),
        ("Temporal", None),
        ("Respondent", None),
        ("Accept", None),
    ],
)
def test_labels_say_what_a_channel_is(label: str, expected: tuple[str, str] | None) -> None:
    assert edf.classify(label) == expected


@pytest.mark.parametrize(
    ("modality", "unit", "value", "expected"),
    [
        ("eeg", "uV", 1.0, 1.0),
        ("eeg", "\N{MICRO SIGN}V", 1.0, 1.0),
        ("eeg", "\N{GREEK SMALL LETTER MU}V", 1.0, 1.0),
        ("eeg", "mV", 1.0, 1000.0),
        ("eeg", "V", 1.0, 1e6),
        ("eeg", "", 7.0, 7.0),
        ("ecg", "uV", 1000.0, 1.0),
        ("ecg", "mV", 1.0, 1.0),
        ("emg", "nV", 1e6, 1.0),
        ("eda", "uS", 2.0, 2.0),
        ("eda", "nS", 2000.0, 2.0),
        ("eda", "Ohm", 500_000.0, 2.0),
        ("eda", "k\N{OHM SIGN}", 500.0, 2.0),
        ("eda", "M\N{GREEK CAPITAL LETTER OMEGA}", 0.5, 2.0),
        ("temp", "degC", 36.5, 36.5),
        ("temp", "K", 309.65, 36.5),
        ("temp", "F", 97.7, 36.5),
        ("acc", "mg", 1000.0, 1.0),
        ("acc", "m/s\N{SUPERSCRIPT TWO}", 9.80665, 1.0),
        ("resp", "mV", 3.0, 3.0),
        ("eeg", "degC", 1.0, None),
        ("temp", "uV", 1.0, None),
    ],
)
def test_units_are_converted_into_ours(modality: str, unit: str, value: float, expected: float | None) -> None:
    converted = edf.to_unit(np.array([value]), modality, unit)
    if expected is None:
        assert converted is None
    else:
        np.testing.assert_allclose(converted, [expected])
    assert modality in UNITS


def test_ranges_that_no_device_has_make_no_infinite_samples(tmp_path: Path, make_edf: Make) -> None:
    channel = {"label": "Cz", "digital": np.arange(400), "samples": 100, "physical": (-1e300, "1e300")}
    (tmp_path / "a.edf").write_bytes(make_edf([channel]))
    data = edf.read_recording(tmp_path / "a.edf", subject="a").signals["eeg"].data
    assert np.isnan(data).any()
    assert not np.isinf(data).any()


def test_no_resistance_is_no_conductance(tmp_path: Path) -> None:
    converted = edf.to_unit(np.array([0.0, 1e6]), "eda", "Ohm")
    assert converted is not None
    np.testing.assert_array_equal(converted, [np.nan, 1.0])


def test_units_written_in_latin_1_or_utf_8_are_understood(tmp_path: Path, make_edf: Make) -> None:
    for encoding in ("latin-1", "utf-8"):
        channel = {"label": "ECG", "digital": np.full(400, 1000), "samples": 100, "unit": "µV".encode(encoding)}
        recording = edf.read_recording(put(tmp_path, make_edf([channel])), subject="a")
        np.testing.assert_allclose(recording.signals["ecg"].data, 1.0, rtol=1e-4)


def test_channels_that_cannot_be_used_are_noted(tmp_path: Path, make_edf: Make) -> None:
    channels = [
        {"label": "Cz", "digital": np.zeros(400), "samples": 100},
        {"label": "Pz", "digital": np.zeros(400), "samples": 100},
        {"label": "Oz", "digital": np.zeros(200), "samples": 50},
        {"label": "Fz", "digital": np.zeros(400), "samples": 100, "unit": "furlong"},
        {"label": "Cz", "digital": np.ones(400), "samples": 100, "unit": ""},
        {"label": "EXG1", "digital": np.ones(400), "samples": 100},
        {"label": "Trigger", "digital": np.ones(400), "samples": 100},
    ]
    recording = edf.read_recording(put(tmp_path, make_edf(channels)), subject="a")
    assert recording.signals["eeg"].channels == ("Cz", "Pz", "Cz (2)")
    whys = {note.what.partition(": ")[2]: note.why for note in recording.notes}
    assert whys.keys() == {"Oz", "Fz", "Cz: unit", "EXG1"}
    assert "50 Hz" in whys["Oz"]
    assert "furlong" in whys["Fz"]


def test_a_file_without_any_known_channel_is_refused(tmp_path: Path, make_edf: Make) -> None:
    channel = {"label": "Trigger", "digital": np.zeros(400), "samples": 100}
    with pytest.raises(ReadError, match=r"found the channels Trigger; expected at least one"):
        edf.read_recording(put(tmp_path, make_edf([channel])), subject="a")


def test_chosen_channels_come_in_the_order_asked_for(tmp_path: Path, make_edf: Make, mixed: list) -> None:
    path = put(tmp_path, make_edf(mixed))
    recording = edf.read_recording(path, subject="a", select={"eeg": ("Fp2", "Fp1"), "emg": ("chin",)}, events=())
    assert recording.signals["eeg"].channels == ("Fp2", "Fp1")
    assert set(recording.signals) == {"eeg"}
    assert "without emg" in recording.notes[0].why
    with pytest.raises(ReadError, match="eeg channels: found no Cz; expected all of Fp1, Cz"):
        edf.read_recording(path, subject="a", select={"eeg": ("Fp1", "Cz")})


def test_a_folder_of_files_is_a_corpus_with_a_subject_per_file(tmp_path: Path, make_edf: Make, mixed: list) -> None:
    root = tmp_path / "lab"
    root.mkdir()
    for name in ("p2.edf", "P1.EDF"):
        put(root, make_edf(mixed), name)
    put(root, make_edf(mixed, kind="BDF"), "p3.bdf")
    put(root, make_edf(mixed)[:300], "p4.edf")
    put(root, b"text", "readme.txt")
    (root / "p5.edf").symlink_to(put(tmp_path, make_edf(mixed)))
    corpus = load("edf", root)
    assert corpus.subjects == ("P1", "p2", "p3", "p4")
    assert [recording.subject for recording in corpus] == ["P1", "p2", "p3"]
    assert [Path(item.what).name for item in corpus.left_out] == ["p5.edf", "p4.edf"]
    assert pickle.loads(pickle.dumps(corpus.sources[0])).read().subject == "P1"
    assert load("edf", root, subjects=["p3"]).subjects == ("p3",)
    with pytest.raises(DataError, match="no subject 'p9'"):
        load("edf", root, subjects=["p9"])


def test_a_place_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no EDF or BDF file"):
        load("edf", tmp_path)
    with pytest.raises(DataError, match="needs a root"):
        load("edf")


def assert_as_mne(file: Path) -> None:
    """Every channel of a file, in µV as float64, is what MNE reads."""
    import mne

    header = edf.read_header(file)
    raw = mne.io.read_raw_edf(file, preload=True, verbose="error")
    assert raw.ch_names == [channel.label for channel in header.channels]
    for channel, theirs in zip(header.channels, raw.get_data() * 1e6, strict=True):
        ours = edf.to_unit(edf.read_channel(header, channel), "eeg", channel.unit)
        assert ours is not None
        assert ours.dtype == np.float64
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


def test_microvolts_are_those_of_mne_before_any_cast(tmp_path: Path, make_edf: Make, rng: np.random.Generator) -> None:
    channels = [
        {
            "label": label,
            "digital": rng.integers(-32768, 32768, 2000),
            "samples": 500,
            "physical": (-327.68, 327.67 + k),
            "unit": unit,
        }
        for k, (label, unit) in enumerate([("EEG Fp1", "uV"), ("EEG O2", "uV"), ("ECG ECG", "mV")])
    ]
    assert_as_mne(put(tmp_path, make_edf(channels)))


def test_the_real_recordings_are_those_of_mne(shared_data: Path) -> None:
    files = sorted((shared_data / "eegmat").rglob("*.edf"))
    assert len(files) == 44
    for file in files:
        assert_as_mne(file)


def test_what_a_channel_is_can_be_said(tmp_path: Path, make_edf: Make) -> None:
    root = tmp_path / "lab"
    root.mkdir()
    names = {"p1": ("Cz", "Schmerz", "EXG1"), "p2": ("Cz", "Haut", "EXG1")}
    for name, labels in names.items():
        channels = [{"label": label, "digital": np.arange(400), "samples": 100} for label in labels]
        put(root, make_edf(channels), f"{name}.edf")
    corpus = load("edf", root, channels={"Schmerz": "resp", "Cz": "", "EXG1": "bvp"})
    found = {recording.subject: {m: s.channels for m, s in recording.signals.items()} for recording in corpus}
    assert found == {"p1": {"resp": ("Schmerz",), "bvp": ("EXG1",)}, "p2": {"bvp": ("EXG1",)}}
    told = {item.what.rpartition(": ")[2]: item.why for item in corpus.left_out}
    assert "read without it" in told["channel Schmerz"]
    assert "option channels" in told["Haut"]
    plain = load("edf", root)
    assert {source.fingerprint() for source in plain.sources}.isdisjoint(s.fingerprint() for s in corpus.sources)
    with pytest.raises(DataError, match=r"no file has a channel 'Schmertz'\. Did you mean 'Schmerz'"):
        load("edf", root, channels={"Schmertz": "eda"})
    with pytest.raises(DataError, match="GSR is eda here"):
        load("edf", root, channels={"Schmerz": "gsr"})
    with pytest.raises(DataError, match="expected a mapping"):
        load("edf", root, channels=["Schmerz"])
    put(root, b"damaged", "p0.edf")  # which may be the one that had it
    assert len(list(load("edf", root, channels={"Schmertz": "eda"}))) == 2


def test_subjects_that_are_there_are_named(tmp_path: Path, make_edf: Make, mixed: list) -> None:
    for name in ("s01", "s02", "s08"):
        put(tmp_path, make_edf(mixed), f"{name}.edf")
    with pytest.raises(DataError, match=r"no subject 's05', 's09'\. There are s01, s02, s08\."):
        load("edf", tmp_path, subjects=["s05", "s09"])
    assert there_are([f"s{i}" for i in range(100)]).endswith("s58, s59 and 40 more.")
    assert there_are([]) == " There is none."
