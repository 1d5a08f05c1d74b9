"""Reading BioVid."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from limbeck.datasets import info, load
from limbeck.datasets.biovid import CLASSES, COHORTS, HOLD_OUT_26, NON_REACTIVE_20, PART_A_87, RATE, looks_like
from limbeck.errors import DataError, ReadError
from limbeck.recording import Corpus, Recording

COLUMNS = ("gsr", "ecg", "emg_trapezius", "emg_corrugator", "emg_zygomaticus")
ANN, BEN = "010101_w_30", "020202_m_41"  # nobody's
ROWS = 2816
Write = Callable[..., Path]


def bio_text(
    values: np.ndarray, columns: tuple[str, ...] = COLUMNS, separator: str = "\t", blank: str = "", end: str = "\n"
) -> str:
    """A table of biosignals as distributed: microseconds, then values with six decimals."""
    times = np.floor(np.arange(len(values)) * 1e6 / 512).astype(int)
    rows = [separator.join(["time", *(blank + name for name in columns)])]
    rows += [
        separator.join([str(time), *(f"{value:.6f}" for value in row)])
        for time, row in zip(times, values.tolist(), strict=True)
    ]
    return end.join(rows) + end


def window(seed: int, rows: int = ROWS) -> np.ndarray:
    return np.random.default_rng(seed).normal(3, 1, (rows, len(COLUMNS))).round(6)


SAMPLE = bio_text(window(0))


def write_part(
    root: Path,
    trials: Mapping[str, list[str]],
    *,
    variant: str = "biosignals_filtered",
    samples: bool = True,
    replace: Mapping[str, str | None] | None = None,
) -> Path:
    """Write windows of subjects; the mean of ``gsr`` says which trial it is. `replace` gives other texts by trial."""
    rows = ["\t".join(("subject_id", "subject_name", "class_id", "class_name", "sample_id", "sample_name"))]
    for number, (subject, names) in enumerate(trials.items(), start=1):
        folder = root / variant / subject
        folder.mkdir(parents=True, exist_ok=True)
        for index, name in enumerate(names):
            label = name.split("-")[0]
            rows.append("\t".join(map(str, (number, subject, CLASSES.index(label), label, index, f"{subject}-{name}"))))
            text = (replace or {}).get(name, SAMPLE)
            if text is not None:
                (folder / f"{subject}-{name}_bio.csv").write_text(text)
    if samples:
        (root / "starting_point").mkdir(exist_ok=True)
        (root / "starting_point" / "samples.csv").write_text("\n".join(rows) + "\n")
    return root


def only(corpus: Corpus) -> Recording:
    (recording,) = corpus
    return recording


def test_a_window_has_its_signals_in_our_units_its_class_and_what_the_name_says(tmp_path: Path) -> None:
    values = window(7)
    root = write_part(tmp_path / "PartA", {ANN: ["PA3-017"]}, replace={"PA3-017": bio_text(values)})
    listed = load("biovid", root)
    recording = only(listed)
    assert (recording.subject, recording.session, recording.trial) == (ANN, "A", "PA3-017")
    assert {m: (s.rate, s.unit, s.channels, s.data.shape) for m, s in recording.signals.items()} == {
        "eda": (512, "µS", ("gsr",), (1, ROWS)),
        "ecg": (512, "mV", ("ecg",), (1, ROWS)),
        "emg": (512, "mV", ("emg_trapezius",), (1, ROWS)),
    }
    np.testing.assert_array_equal(recording.signals["eda"].data[0], values[:, 0].astype(np.float32))
    np.testing.assert_allclose(recording.signals["ecg"].data[0], values[:, 1] / 1000, rtol=1e-6)
    np.testing.assert_allclose(recording.signals["emg"].data[0], values[:, 2] / 1000, rtol=1e-6)
    assert all(signal.data.dtype == np.float32 for signal in recording.signals.values())
    assert recording.ratings == {"class_id": 3, "age": 30, "woman": 1}
    assert [(e.name, e.start, e.end) for e in recording.events] == [("pa3", 0, 5.5)]
    assert listed.left_out == []


@pytest.mark.parametrize("seed", range(3))
def test_classes_come_from_the_names_whatever_the_order_and_the_numbers(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    levels = rng.permutation(np.repeat(["PA1", "PA2", "PA3", "PA4"], 2))
    trials = [f"{level}-{number:03d}" for number, level in enumerate(levels, start=1)]
    trials += [f"BL1-{number:03d}" for number in ((81, 82) if seed else (1, 2))]
    texts = {trial: bio_text(window(i)) for i, trial in enumerate(trials)}
    shuffled = list(rng.permutation(trials))
    listed = load("biovid", write_part(tmp_path, {ANN: shuffled}, replace=texts), part="A")
    recordings = list(listed)
    assert sorted(r.trial for r in recordings) == sorted(trials)
    for recording in recordings:
        label = recording.trial.split("-")[0]
        assert recording.events[0].name == label.lower()
        assert recording.ratings["class_id"] == CLASSES.index(label)
        expected = window(trials.index(recording.trial))[:, 0].astype(np.float32)
        np.testing.assert_array_equal(recording.signals["eda"].data[0], expected)
    assert [r.order for r in recordings] == list(range(10))
    pain = [r.trial for r in recordings if not r.trial.startswith("BL1")]
    assert pain == trials[:8], "in the order of the running numbers"
    assert listed.left_out == []


def test_part_b_has_facial_emg_and_the_options_turn_it_on_and_off(tmp_path: Path) -> None:
    write_part(tmp_path / "PartA", {ANN: ["PA1-001"]})
    write_part(tmp_path / "PartB", {ANN: ["PA1-001"]})
    read = {
        (part, facial): only(load("biovid", tmp_path, part=part, facial_emg=facial)).signals["emg"].channels
        for part in "AB"
        for facial in (None, True, False)
    }
    assert read["A", None] == read["A", False] == read["B", False] == COLUMNS[2:3]
    assert read["B", None] == read["A", True] == read["B", True] == COLUMNS[2:]
    assert only(load("biovid", tmp_path, part="PartB")).session == "B"


def test_the_variant_and_the_unit_of_voltages_are_options_and_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_part(tmp_path, {ANN: ["PA1-001"]}, replace={"PA1-001": bio_text(window(1))})
    write_part(tmp_path, {ANN: ["PA1-001"]}, replace={"PA1-001": bio_text(window(2))}, variant="biosignals_raw")
    with caplog.at_level(logging.INFO, logger="limbeck"):
        filtered, raw = (only(load("biovid", tmp_path, variant=variant)) for variant in (None, "raw"))
    assert "taken to be in µV" in caplog.text
    assert "corrugator and zygomaticus are not read" in caplog.text
    for recording, seed in ((filtered, 1), (raw, 2)):
        np.testing.assert_allclose(recording.signals["ecg"].data[0], window(seed)[:, 1] / 1000, rtol=1e-6)
    millivolts = only(load("biovid", tmp_path, voltage_unit="mV"))
    np.testing.assert_allclose(millivolts.signals["ecg"].data[0], window(1)[:, 1], rtol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        bio_text(window(5), blank=" "),
        bio_text(window(5), separator=";"),
        bio_text(window(5), separator=","),
        bio_text(window(5), separator="   "),
        bio_text(window(5), end="\r\n"),
        bio_text(window(5)).rstrip("\n"),
        bio_text(window(5)[:, [1, 0, 2]], columns=("ecg", "gsr", "emg_trapezius")),
        "\n".join(line.partition("\t")[2] for line in bio_text(window(5)).split("\n")),
    ],
    ids=["leading blanks", "semicolons", "commas", "blanks", "CRLF", "no last line end", "four columns", "no time"],
)
def test_variants_of_the_table_read_the_same(tmp_path: Path, text: str) -> None:
    listed = load("biovid", write_part(tmp_path, {ANN: ["PA1-001"]}, replace={"PA1-001": text}))
    signals = only(listed).signals
    np.testing.assert_array_equal(signals["eda"].data[0], window(5)[:, 0].astype(np.float32))
    np.testing.assert_allclose(signals["emg"].data[0], window(5)[:, 2] / 1000, rtol=1e-6)
    assert [item.why[:14] for item in listed.left_out] == (
        [] if text.startswith(("time", "\tt")) else ["no column time"]
    )


def test_four_columns_in_part_b_are_read_without_facial_emg_and_noted(tmp_path: Path) -> None:
    text = bio_text(window(5)[:, :3], columns=COLUMNS[:3])
    listed = load("biovid", write_part(tmp_path, {ANN: ["PA1-001"]}, replace={"PA1-001": text}), part="B")
    assert only(listed).signals["emg"].channels == ("emg_trapezius",)
    assert "no column emg_corrugator, emg_zygomaticus" in listed.left_out[0].why


@pytest.mark.parametrize(("rows", "message"), [(2815, "the last are NaN"), (2817, "those beyond are not used")])
def test_a_row_more_or_less_leaves_a_whole_window_and_a_note(tmp_path: Path, rows: int, message: str) -> None:
    values = window(5, rows)
    listed = load("biovid", write_part(tmp_path, {ANN: ["PA1-001"]}, replace={"PA1-001": bio_text(values)}))
    data = only(listed).signals["eda"].data
    assert data.shape == (1, ROWS)
    shared = min(rows, ROWS)
    np.testing.assert_array_equal(data[0, :shared], values[:shared, 0].astype(np.float32))
    assert np.isnan(data[0, shared:]).all()
    assert f"{rows} samples where windows have 2816; {message}" in listed.left_out[0].why


def test_rows_and_cells_that_are_missing_are_nan_where_they_are_missing(tmp_path: Path) -> None:
    lines = bio_text(window(5)).split("\n")
    cells = lines[11].split("\t")
    lines[11] = "\t".join([cells[0], "", *cells[2:]])
    del lines[101:104]  # samples 100 to 102
    listed = load("biovid", write_part(tmp_path, {ANN: ["PA1-001"]}, replace={"PA1-001": "\n".join(lines)}))
    signals = only(listed).signals
    assert np.flatnonzero(np.isnan(signals["eda"].data[0])).tolist() == [10, 100, 101, 102]
    assert np.flatnonzero(np.isnan(signals["ecg"].data[0])).tolist() == [100, 101, 102]
    assert signals["eda"].data[0, 103] == np.float32(window(5)[103, 0])
    assert [item.why[:14] for item in listed.left_out] == ["3 rows are mis", "1 cells withou"]


def test_a_number_beyond_float32_is_no_sample(tmp_path: Path) -> None:
    lines = bio_text(window(5)).split("\n")
    cells = lines[11].split("\t")
    lines[11] = "\t".join([cells[0], "4e39", *cells[2:]])
    listed = load("biovid", write_part(tmp_path, {ANN: ["PA1-001"]}, replace={"PA1-001": "\n".join(lines)}))
    assert np.flatnonzero(~np.isfinite(only(listed).signals["eda"].data[0])).tolist() == [10]
    assert [item.why[:14] for item in listed.left_out] == ["1 cells withou"]
    assert not np.isinf(only(listed).signals["eda"].data).any()


def swapped(text: str) -> str:
    lines = text.split("\n")
    lines[50], lines[51] = lines[51], lines[50]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: "", "found no row of column names"),
        (lambda t: t.split("\n")[0] + "\n", "found no samples"),
        (lambda t: t.partition("\n")[2], "row 1: found the columns"),
        (lambda t: t.replace("gsr", "scl"), "row 1: found the columns.*expected gsr"),
        (lambda t: t.replace("emg_corrugator", "ecg"), "expected each name once"),
        (lambda t: t[: len(t) // 2], "expected (6 numbers|2816|a whole number)"),
        (lambda t: "\n".join(t.split("\n")[:2000]) + "\n", "found 1999 samples; expected 2816"),
        (lambda t: t.replace("\n1953\t", "\n1953\toops"), "row 3: found '1953"),
        (lambda t: t.replace("\n1953\t", "\n1953\t1\t"), "row 3: found '1953"),
        (lambda t: t.replace(".", ","), "row 2: found"),
        (lambda t: t.replace("\n1953\t", "\n1953\t1e-99999"), "row 3: found '1953"),
        (swapped, "row 52: found the time"),
        (lambda t: t + "\0", "which is not text"),
        (lambda t: t.replace("\n5498046\t", "\n99999999999999\t"), "expected at most 4 hours"),
        (
            lambda t: "\n".join(
                line.replace("\t", "000\t" if line[0] != "t" else "\t", 1) for line in t.split("\n")[:-1]
            ),
            "found 0.512 Hz; expected 512 Hz",
        ),
    ],
)
def test_a_damaged_window_is_left_out_with_the_reason_and_the_rest_is_read(
    tmp_path: Path, change: Callable[[str], str], message: str
) -> None:
    root = write_part(tmp_path, {ANN: ["PA1-001", "PA2-002"]}, replace={"PA1-001": change(SAMPLE)})
    listed = load("biovid", root)
    assert [recording.trial for recording in listed] == ["PA2-002"]
    (left,) = listed.left_out
    assert left.what.endswith("PA1-001_bio.csv")
    with pytest.raises(ReadError, match=message):
        listed.sources[0].read()


def test_listing_reads_no_signals_and_sources_pickle(tmp_path: Path) -> None:
    root = write_part(tmp_path, {BEN: ["BL1-081", "PA1-001"], ANN: ["PA4-002"]})
    for file in (root / "biosignals_filtered").rglob("*.csv"):
        file.chmod(0)
    listed = load("biovid", root)
    assert [(s.subject, s.trial) for s in listed.sources] == [(ANN, "PA4-002"), (BEN, "PA1-001"), (BEN, "BL1-081")]
    for file in (root / "biosignals_filtered").rglob("*.csv"):
        file.chmod(0o644)
    source = pickle.loads(pickle.dumps(listed.sources[0]))
    first, second = source.read(), listed.sources[0].read()
    np.testing.assert_array_equal(first.signals["eda"].data, second.signals["eda"].data)
    assert source.fingerprint() == listed.sources[0].fingerprint()
    assert source.fingerprint() != load("biovid", root, voltage_unit="mV").sources[0].fingerprint()


def test_windows_are_compared_with_the_table_of_samples(tmp_path: Path) -> None:
    root = write_part(tmp_path, {ANN: ["PA1-001", "PA2-002"], BEN: ["PA1-001"]}, replace={"PA2-002": None})
    folder = root / "biosignals_filtered"
    (folder / ANN / f"{ANN}-PA4-009_bio.csv").write_text(SAMPLE)
    (folder / BEN / f"{BEN}-PA1-001_bio.csv").unlink()
    (folder / BEN).rmdir()
    listed = load("biovid", root)
    assert [source.trial for source in listed.sources] == ["PA1-001", "PA4-009"]
    assert [item.why for item in listed.left_out] == [
        f"subjects in samples.csv, but not there: {BEN}",
        "in samples.csv, but not there",
        "not in samples.csv, used nevertheless: PA4-009",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace("\t1\tPA1\t", "\t2\tPA1\t"), "row 2: found"),
        (lambda t: t.replace("class_name", "class"), "row 1: found the columns"),
    ],
)
def test_a_table_of_samples_that_contradicts_itself_is_noted_and_not_used(
    tmp_path: Path, change: Callable[[str], str], message: str
) -> None:
    root = write_part(tmp_path, {ANN: ["PA1-001"]})
    table = root / "starting_point" / "samples.csv"
    table.write_text(change(table.read_text()))
    listed = load("biovid", root)
    assert only(listed).events[0].name == "pa1"
    assert message in listed.left_out[0].why


def test_a_class_that_the_table_states_otherwise_is_noted_and_the_name_is_believed(tmp_path: Path) -> None:
    root = write_part(tmp_path, {ANN: ["PA1-001"]})
    table = root / "starting_point" / "samples.csv"
    table.write_text(table.read_text().replace("\t1\tPA1\t", "\t2\tPA2\t"))
    listed = load("biovid", root)
    assert only(listed).events[0].name == "pa1"
    assert "samples.csv states PA2" in listed.left_out[0].why


def test_without_the_table_each_class_is_counted(tmp_path: Path) -> None:
    trials = [f"BL1-{n:03d}" for n in range(81, 101)]
    trials += [f"PA{1 + n % 4}-{n:03d}" for n in range(1, 81)]
    listed = load("biovid", write_part(tmp_path, {ANN: trials}, samples=False))
    assert len(listed) == 100
    assert [item.why[:12] for item in listed.left_out] == ["no such file"]
    (tmp_path / "biosignals_filtered" / ANN / f"{ANN}-PA2-001_bio.csv").unlink()
    assert "found 19 of PA2; expected 20" in load("biovid", tmp_path).left_out[1].why


@pytest.mark.parametrize(
    "nested", ["PartA/PartA", "BioVid/PartA", "PartA/biosignals_filtered", "PartA", "part_a", "Part A", "."]
)
def test_folders_are_found_where_archives_unpacked_them(tmp_path: Path, nested: str) -> None:
    place = tmp_path / nested
    place.mkdir(parents=True, exist_ok=True)
    write_part(place, {ANN: ["PA1-001"]}, samples=False)
    if nested.endswith("filtered"):  # biosignals_filtered/biosignals_filtered
        assert (place / "biosignals_filtered").is_dir()
    (place / "biosignals_filtered" / ".DS_Store").write_bytes(b"\0")
    (place / "biosignals_filtered" / "__MACOSX").mkdir()
    (place / "biosignals_filtered" / ANN / ".DS_Store").write_bytes(b"\0")
    (place / "biosignals_filtered" / ANN / f"._{ANN}-PA1-001_bio.csv").write_bytes(b"\0")
    (place / "biosignals_filtered" / ANN / "Thumbs.db").write_bytes(b"\0")
    listed = load("biovid", tmp_path)
    assert only(listed).trial == "PA1-001"
    assert len(listed.left_out) == 2, "the table of samples and the counts"
    assert looks_like(tmp_path)


def test_what_does_not_belong_is_named(tmp_path: Path) -> None:
    root = write_part(tmp_path, {ANN: ["PA1-001"]})
    folder = root / "biosignals_filtered"
    (folder / "notes").mkdir()
    (folder / ANN / f"{BEN}-PA1-001_bio.csv").write_text(SAMPLE)
    (folder / ANN / f"{ANN}-PA5-001_bio.csv").write_text(SAMPLE)
    listed = load("biovid", root)
    assert len(listed) == 1
    names = [Path(item.what).name for item in listed.left_out]
    assert names == ["notes", f"{ANN}-PA5-001_bio.csv", f"{BEN}-PA1-001_bio.csv"]


def test_links_out_of_the_corpus_are_left_out(tmp_path: Path) -> None:
    root = write_part(tmp_path / "PartA", {ANN: ["PA1-001"]})
    other = write_part(tmp_path / "elsewhere", {BEN: ["PA1-001"]})
    (root / "biosignals_filtered" / BEN).symlink_to(other / "biosignals_filtered" / BEN)
    listed = load("biovid", root)
    assert listed.subjects == (ANN,)
    assert "link" in listed.left_out[0].why


def test_the_published_lists_of_subjects() -> None:
    assert [len(names) for names in COHORTS.values()] == [87, 67, 20, 26, 61]
    assert all(len(set(names)) == len(names) for names in COHORTS.values())
    assert set(NON_REACTIVE_20) <= set(PART_A_87)
    assert set(COHORTS["development_61"]).isdisjoint(HOLD_OUT_26)
    assert set(COHORTS["67"]).isdisjoint(NON_REACTIVE_20)


def test_a_cohort_keeps_its_own_and_names_those_that_are_not_there(tmp_path: Path) -> None:
    present = (COHORTS["67"][0], NON_REACTIVE_20[0])
    root = write_part(tmp_path, {name: ["PA1-001"] for name in present})
    listed = load("biovid", root, cohort="67")
    assert listed.subjects == present[:1]
    assert any("66 subjects of the cohort '67' are not there" in item.why for item in listed.left_out)
    assert load("biovid", root, subjects=[present[1]]).subjects == present[1:]
    with pytest.raises(DataError, match="none of the 61 subjects"):
        load("biovid", root, cohort="development_61", subjects=[NON_REACTIVE_20[0]])


def test_the_temperature_of_the_thermode_is_a_trace(tmp_path: Path) -> None:
    root = write_part(tmp_path, {ANN: ["PA1-001", "PA2-002", "PA3-003"]})
    folder = root / "temperature" / ANN
    folder.mkdir(parents=True)
    (folder / f"{ANN}-PA1-001_temp.csv").write_text("time\ttemperature\n0\t32.0\n500000\t45.5\n")
    (folder / f"{ANN}-PA2-002_temp.csv").write_text("time\ttemperature\n0\t32.0\n0\t45.5\n")
    listed = load("biovid", root, temperature=True)
    first, second, third = listed
    np.testing.assert_array_equal(first.traces["temperature"].times, [0, 0.5])
    np.testing.assert_array_equal(first.traces["temperature"].values, np.float32([32, 45.5]))
    assert not second.traces
    assert not third.traces
    assert listed.left_out[0].why == "no file for PA3-003; used without"
    assert "times that do not increase" in listed.left_out[1].why
    assert not load("biovid", root).sources[0].read().traces


def continuous(root: Path, stimuli: str, seconds: int = 20, text: str | None = None) -> Path:
    (root / "biosignals_raw").mkdir(parents=True)
    (root / "stimulus").mkdir()
    (root / "biosignals_raw" / f"{ANN}.csv").write_text(text or bio_text(window(3, 512 * seconds)))
    (root / "stimulus" / f"{ANN}.csv").write_text(stimuli)
    return root


LABELS = np.repeat([0, 2, 0, 4, 1], np.array([4, 4, 5, 4, 3]) * 512)
PER_SAMPLE = "time\tlabel\n" + "".join(f"{int(i * 1e6 / 512)}\t{label}\n" for i, label in enumerate(LABELS))
PER_CHANGE = "time\tlabel\n0\t0\n4000000\t2\n8000000\t0\n13000000\t4\n17000000\t1\n"


@pytest.mark.parametrize("stimuli", [PER_SAMPLE, PER_CHANGE])
def test_part_c_is_continuous_with_an_event_per_stimulus(tmp_path: Path, stimuli: str) -> None:
    listed = load("biovid", continuous(tmp_path / "PartC", stimuli), part="C")
    recording = only(listed)
    assert (recording.subject, recording.session, recording.trial) == (ANN, "C", "")
    assert recording.signals["eda"].data.shape == (1, 512 * 20)
    assert [(e.name, e.start, e.end) for e in recording.events] == [
        *(("idle", 0, 4), ("pa2", 4, 8), ("idle", 8, 13)),
        *(("pa4", 13, 17), ("pa1", 17, 20)),
    ]
    assert recording.ratings == {"age": 30, "woman": 1}
    assert [e.name for e in only(load("biovid", tmp_path, part="C", idle="")).events] == ["pa2", "pa4", "pa1"]
    assert listed.left_out == []


def test_stimuli_stay_with_their_samples_across_a_gap_and_beyond_the_end_are_noted(tmp_path: Path) -> None:
    lines = bio_text(window(3, 512 * 20)).split("\n")
    del lines[1 + 512 : 1 + 1024]
    root = continuous(tmp_path, PER_CHANGE + "25000000\t3\n26000000\t0\n", text="\n".join(lines))
    listed = load("biovid", root, part="C")
    recording = only(listed)
    assert np.isnan(recording.signals["ecg"].data[0, 512:1024]).all()
    assert [(e.name, e.start) for e in recording.events][1:3] == [("pa2", 4), ("idle", 8)]
    assert "1 stimuli lie outside" in listed.left_out[1].why


@pytest.mark.parametrize("bad", ["0\t0\n5\t7\n", "0\t0\n0\t1\n", "0\tPA1\n", ""])
def test_stimuli_that_cannot_be_read_cost_the_recording(tmp_path: Path, bad: str) -> None:
    listed = load("biovid", continuous(tmp_path, "time\tlabel\n" + bad), part="C")
    assert list(listed) == []
    assert "stimulus" in listed.left_out[0].what


def test_part_c_without_stimuli_of_a_subject_or_of_all(tmp_path: Path) -> None:
    root = continuous(tmp_path, PER_CHANGE)
    (root / "biosignals_raw" / f"{BEN}.csv").write_text(SAMPLE)
    listed = load("biovid", root, part="C")
    assert listed.subjects == (ANN,)
    assert "without its stimuli" in listed.left_out[0].why
    for file in (root / "stimulus").iterdir():
        file.unlink()
    (root / "stimulus").rmdir()
    with pytest.raises(ReadError, match="found no folder stimulus"):
        load("biovid", root, part="C")


def test_mistakes_in_options_and_roots_say_what_to_do(tmp_path: Path) -> None:
    root = write_part(tmp_path / "PartA", {ANN: ["PA1-001"]})
    for options, message in (
        ({"part": "D"}, "part D holds video"),
        ({"part": "E"}, "part E .* layout that Limbeck does not know"),
        ({"part": "Z"}, "no part 'Z'"),
        ({"variant": "filterd"}, "Did you mean 'filtered'"),
        ({"cohort": "hold_out"}, "Did you mean 'hold_out_26'"),
        ({"voltage_unit": "nV"}, "no voltage_unit 'nV'"),
        ({"subjects": ["010101_w_31"]}, f"There is {ANN}"),
    ):
        with pytest.raises(DataError, match=message):
            load("biovid", root, **options)
    with pytest.raises(ReadError, match=r"found biosignals_filtered; .*Set variant to filtered"):
        load("biovid", root, variant="raw")
    with pytest.raises(ReadError, match="found no part B"):
        load("biovid", root, part="B")
    (tmp_path / "empty").mkdir()
    assert not looks_like(tmp_path / "empty")
    assert info("biovid").checked.startswith("format-faithful files only")


def test_rate_is_that_of_the_sheet() -> None:
    assert RATE == 512.0
