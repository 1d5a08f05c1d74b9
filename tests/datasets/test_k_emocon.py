"""Reading K-EmoCon, from files that have its formats and random numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from corpora.k_emocon import INIT, OFFSET, SCALES, annotation, table, write_participant

from limbeck.datasets import checks_of, info, load
from limbeck.datasets.k_emocon import COMPLETE, read_debates
from limbeck.errors import DataError, ReadError
from limbeck.recording import Corpus, Recording


def rng() -> np.random.Generator:
    return np.random.default_rng(4)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_participant(tmp_path, 1, rng())
    return tmp_path


def e4(root: Path, name: str, pid: int = 1) -> Path:
    return root / "e4_data" / str(pid) / f"E4_{name}.csv"


def own(root: Path) -> Path:
    return root / "emotion_annotations" / "self_annotations" / "P1.self.csv"


def only(corpus: Corpus) -> Recording:
    (recording,) = corpus
    return recording


def whys(corpus: Corpus) -> str:
    list(corpus)
    return " | ".join(f"{item.what}: {item.why}" for item in corpus.left_out)


def change(file: Path, edit: Callable[[list[str]], object]) -> None:
    rows = file.read_text().splitlines(keepends=True)
    edit(rows)
    file.write_text("".join(rows))


# --- signals --------------------------------------------------------------------------------------------------------


def test_time_zero_is_the_beginning_of_the_recording(root: Path) -> None:
    recording = only(load("k-emocon", root))
    stamps = {name: float(e4(root, name).read_text().split("\n")[1].split(",")[0]) for name in ("EDA", "BVP")}
    for name, stamp in stamps.items():
        assert recording.signals[name.lower()].start == pytest.approx((stamp - INIT - 10_000_000) / 1000)
        assert recording.clocks[name.lower()].offset == recording.signals[name.lower()].start
    assert [(event.name, event.start) for event in recording.events] == [("baseline", 0.0), ("debate", OFFSET)]


def test_the_baseline_is_of_two_minutes_at_most(root: Path) -> None:
    text = (root / "metadata" / "subjects.csv").read_text()
    init = INIT + 10_000_000
    (root / "metadata" / "subjects.csv").write_text(
        text.split("\n")[0] + f"\n1,{init},{init + 300_000},{init + 900_000}\n"
    )
    assert [(e.name, e.start, e.end) for e in only(load("k-emocon", root)).events] == [
        ("baseline", 0.0, 120.0),
        ("debate", 300.0, 900.0),
    ]


def test_acceleration_is_in_g(root: Path) -> None:
    counts = only(load("k-emocon", root)).signals["acc"].data
    np.testing.assert_allclose(only(load("k-emocon", root, acc_unit="g")).signals["acc"].data, 64 * counts)
    change(e4(root, "ACC"), lambda rows: rows.__setitem__(slice(1, None), [_small(row) for row in rows[1:]]))
    assert "no count is larger than 4" in whys(load("k-emocon", root))
    assert "no count" not in whys(load("k-emocon", root, acc_unit="g"))


def _small(row: str) -> str:
    cells = row.split(",")
    return ",".join([cells[0], "0.5", "-1", "1.5", cells[4]])


def test_gaps_are_missing_samples(root: Path) -> None:
    before = only(load("k-emocon", root)).signals["bvp"]
    change(e4(root, "BVP"), lambda rows: rows.__delitem__(slice(101, 201)))
    listed = load("k-emocon", root)
    after = only(listed)
    data = after.signals["bvp"].data
    assert np.flatnonzero(np.isnan(data[0])).tolist() == list(range(100, 200))
    np.testing.assert_array_equal(data[0, 200:], before.data[0, 200:])
    start = before.start + 100 / 64
    assert after.clocks["bvp"].gaps == (pytest.approx((start, start + 100 / 64)),)
    assert "1 gaps of 100 samples" in whys(listed)


def test_times_in_whole_milliseconds_keep_the_rate(root: Path) -> None:
    def whole(rows: list[str]) -> None:
        for k, row in enumerate(rows[1:], start=1):
            stamp, _, rest = row.partition(",")
            rows[k] = f"{round(float(stamp))},{rest}"

    before = only(load("k-emocon", root)).signals["bvp"]
    change(e4(root, "BVP"), whole)
    after = only(load("k-emocon", root))
    np.testing.assert_array_equal(after.signals["bvp"].data, before.data)
    assert 0 < after.clocks["bvp"].jitter < 0.001


def test_a_clock_that_drifts_is_noted(root: Path) -> None:
    stamps = INIT + 10_000_000 + 250 * 1.004 * np.arange(2400)
    e4(root, "EDA").write_text(table(stamps, {"value": np.ones(2400)}, "A0000F"))
    assert "its clock drifts" in whys(load("k-emocon", root))


def test_samples_from_before_the_recording_are_not_used(root: Path) -> None:
    stamps = INIT + 10_000_000 + 250.0 * np.arange(-8, 40)
    e4(root, "EDA").write_text(table(stamps, {"value": np.arange(48.0)}, "A0000F"))
    listed = load("k-emocon", root)
    signal = only(listed).signals["eda"]
    assert (signal.start, signal.data[0, 0]) == (0.0, 8.0)
    assert "8 samples are from before initTime" in whys(listed)


@pytest.mark.parametrize(
    ("pid", "serials", "kept"),
    [(31, ("A013E1", "A01A3A"), "A013E1"), (32, ("A013E1", "A01A3A"), "A01A3A"), (4, ("A1", "A2"), "A1")],
)
def test_of_two_devices_one_is_read(tmp_path: Path, pid: int, serials: tuple[str, str], kept: str) -> None:
    write_participant(tmp_path, pid, rng())
    for k, name in enumerate(("EDA", "IBI")):
        stamps = INIT + 10_000_000 * pid + 250.0 * np.arange(100)
        parts = [
            table(stamps[: 100 - 10 * i], {"value": np.full(100, i + 1.0)}, serial)
            for i, serial in enumerate((*serials, "A01525")[: 2 + k])
        ]
        head, *rows = parts[0].splitlines(keepends=True)
        for part in parts[1:]:
            rows += part.splitlines(keepends=True)[1:]
        rng().shuffle(rows)
        e4(tmp_path, name, pid).write_text(head + "".join(rows))
    listed = load("k-emocon", tmp_path)
    recording = only(listed)
    assert np.unique(recording.signals["eda"].data).tolist() == [1.0 + serials.index(kept)]
    assert np.unique(recording.traces["ibi"].values).tolist() == [3.0 if pid > 30 else 1.0]
    assert f"but those of {kept}, {'as the authors say' if pid > 30 else 'which has most rows'}" in whys(listed)


def test_what_polar_says_twice_is_used_once(root: Path) -> None:
    before = only(load("k-emocon", root)).traces["polar_hr"]
    change(root / "neurosky_polar_data" / "1" / "Polar_HR.csv", lambda rows: rows.extend(rows[3:6]))
    listed = load("k-emocon", root)
    after = only(listed).traces["polar_hr"]
    np.testing.assert_array_equal(after.times, before.times)
    np.testing.assert_array_equal(after.values, before.values)
    assert "3 rows have the time of the row before" in whys(listed)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda rows: rows.__setitem__(0, "time,value,device_serial\n"), "expected timestamp among them"),
        (lambda rows: rows.__setitem__(5, "12,3.5,A0000F\n"), "found 12; expected unix milliseconds"),
        (lambda rows: rows.__setitem__(5, ",3.5,A0000F\n"), "sample 5, timestamp: found nan"),
        (lambda rows: rows.__setitem__(5, rows[5].replace(",", ",99", 1)), "numbers between -5 and 200"),
        (lambda rows: rows.__setitem__(5, rows[5].replace(",", ",x", 1)), "row 6, value: found 'x"),
        (lambda rows: rows.__delitem__(slice(1, None, 2)), "found 2 Hz; expected 4 Hz"),
    ],
)
def test_a_damaged_sensor_costs_its_own_participant(
    tmp_path: Path, edit: Callable[[list[str]], object], message: str
) -> None:
    for pid in (1, 4):
        write_participant(tmp_path, pid, rng())
    change(e4(tmp_path, "EDA"), edit)
    listed = load("k-emocon", tmp_path)
    with pytest.raises(ReadError, match=message):
        listed.sources[0].read()
    assert [recording.subject for recording in listed] == ["P4"]
    assert listed.left_out[0].what == str(e4(tmp_path, "EDA"))


def test_what_a_participant_lacks_is_noted(root: Path) -> None:
    e4(root, "TEMP").unlink()
    e4(root, "HR").write_text("timestamp,value,device_serial\nx,y,z\n")
    (root / "neurosky_polar_data" / "1" / "Attention.csv").unlink()
    own(root).unlink()
    listed = load("k-emocon", root)
    recording = only(listed)
    assert set(recording.signals) == {"acc", "bvp", "eda"}
    assert {"hr", "attention", "valence_self"}.isdisjoint(recording.traces)
    for why in ("temp is not used", "used without hr", "attention is not used", "no annotations by self"):
        assert why in whys(listed)


@pytest.mark.parametrize("text", ["", "timestamp,value,device_serial\n"])
def test_a_sensor_without_samples_costs_itself(root: Path, text: str) -> None:
    e4(root, "EDA").write_text(text)
    listed = load("k-emocon", root)
    assert set(only(listed).signals) == {"acc", "bvp", "temp"}
    assert "E4_EDA.csv: it has no rows; eda is not used here" in whys(listed)
    for name in ("ACC", "BVP", "TEMP"):
        e4(root, name).write_text(text)
    assert not list(load("k-emocon", root))


def test_a_participant_without_the_headset_is_read(root: Path) -> None:
    (root / "neurosky_polar_data" / "1").rename(root / "neurosky_polar_data" / "2")
    listed = load("k-emocon", root)
    assert "polar_hr" not in only(listed).traces
    assert "no folder of this participant; used without Attention.csv" in whys(listed)
    assert "P2: no folder of this participant in e4_data" in whys(listed)


# --- annotations ----------------------------------------------------------------------------------------------------


def test_a_label_stands_in_the_middle_of_its_five_seconds(root: Path) -> None:
    traces = only(load("k-emocon", root)).traces
    for who in ("self", "partner", "external", "R1", "R2"):
        for scale in SCALES:
            assert traces[f"{scale}_{who}"].times.tolist() == [OFFSET + 2.5 + 5 * k for k in range(4)]
    head, first, *_ = own(root).read_text().split("\n")
    said = dict(zip(head.split(","), first.split(","), strict=True))
    assert traces["valence_self"].values[0] == float(said["valence"])
    assert traces["sad_self"].values[0] == float(said["sad"])


@pytest.mark.parametrize("longer", ["trim_start", "trim_end"])
def test_annotations_longer_than_the_debate_are_trimmed(root: Path, longer: str) -> None:
    text, values = annotation(rng(), 8)  # the debate of 23 s has room for 5
    own(root).write_text(text)
    listed = load("k-emocon", root, longer=longer)
    trace = only(listed).traces["arousal_self"]
    assert trace.times.tolist() == [OFFSET + 2.5 + 5 * k for k in range(5)]
    kept = values["arousal"][3:] if longer == "trim_start" else values["arousal"][:5]
    assert trace.values.tolist() == kept.tolist()
    assert "3 labels more than the debate has" in whys(listed)


def test_a_last_label_that_the_debate_began_is_not_too_much(root: Path) -> None:
    text, values = annotation(rng(), 5)
    own(root).write_text(text)
    listed = load("k-emocon", root)
    assert only(listed).traces["arousal_self"].values.tolist() == values["arousal"].tolist()
    assert listed.left_out == []


def test_labels_outside_of_the_scale_are_not_used(root: Path) -> None:
    def damage(rows: list[str]) -> None:
        cells = rows[2].split(",")
        rows[2] = ",".join([cells[0], "6", "", *cells[3:]])

    change(own(root), damage)
    listed = load("k-emocon", root)
    traces = only(listed).traces
    assert [len(traces[f"{scale}_self"].values) for scale in ("arousal", "valence", "happy")] == [3, 3, 4]
    assert "1 labels are not between 1 and 5" in whys(listed)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda rows: rows.__setitem__(0, rows[0].replace("arousal", "other")), "expected arousal among them"),
        (
            lambda rows: rows.__setitem__(2, rows[2].replace("10,", "11,", 1)),
            "row 3, seconds: found 11; expected 5, 10",
        ),
        (lambda rows: rows.insert(2, rows[2]), "row 4, seconds: found 10"),
        (lambda rows: rows.__setitem__(2, "10,x" + rows[2][4:]), "row 3, arousal: found 'x'"),
    ],
)
def test_a_damaged_annotation_costs_only_itself(root: Path, edit: Callable[[list[str]], object], message: str) -> None:
    change(own(root), edit)
    listed = load("k-emocon", root)
    traces = only(listed).traces
    assert "valence_self" not in traces
    assert "valence_partner" in traces
    assert message in whys(listed)


# --- participants ---------------------------------------------------------------------------------------------------


def test_rows_of_metadata_that_are_none_are_named(tmp_path: Path) -> None:
    file = tmp_path / "subjects.csv"
    rows = [f"1,{INIT},{INIT + 1000},{INIT + 9000}", f"2,{INIT},{INIT + 9000},{INIT + 1000}", "3,,,", "4,1,2,3"]
    rows += [rows[0], f"1.5,{INIT},{INIT},{INIT + 1}", f"6,{INIT},{INIT},{INIT + 9 * 10**7}"]
    file.write_text("pid,initTime,startTime,endTime\n" + "\n".join(rows) + "\n")
    debates, left_out = read_debates(file)
    assert list(debates) == [1]
    assert (debates[1].offset, debates[1].seconds) == (1.0, 8.0)
    assert [item.what[-5:] for item in left_out] == [f"row {k}" for k in range(3, 9)]


def test_a_participant_without_a_row_is_left_out_and_without_the_table_nobody_is_read(root: Path) -> None:
    (root / "e4_data" / "7").mkdir()
    (root / "e4_data" / "7" / "E4_EDA.csv").write_text("timestamp,value\n")
    listed = load("k-emocon", root)
    assert listed.subjects == ("P1",)
    assert "no row that says when this participant's debate was" in whys(listed)
    (root / "metadata" / "subjects.csv").unlink()
    with pytest.raises(ReadError, match="it says when each debate began"):
        load("k-emocon", root)


def test_the_four_folders_may_lie_deeper_and_apart(root: Path) -> None:
    before = load("k-emocon", root).sources[0].fingerprint()
    for name in ("e4_data", "emotion_annotations", "metadata", "neurosky_polar_data"):
        place = root / f"{name}_unpacked"
        place.mkdir()
        (root / name).rename(place / name)
    inner = root / "e4_data_unpacked" / "e4_data"
    inner.rename(root / "inner")
    inner.mkdir()
    (root / "inner").rename(inner / "e4_data")
    assert load("k-emocon", root).sources[0].fingerprint() == before


def test_subjects_by_number_and_the_complete_ones(tmp_path: Path) -> None:
    for pid in (2, 10, 13):
        write_participant(tmp_path, pid, rng())
    assert load("k-emocon", tmp_path).subjects == ("P2", "P10", "P13")
    assert load("k-emocon", tmp_path, complete=True).subjects == ("P10", "P13")
    assert load("k-emocon", tmp_path, subjects=[2, "p13"]).subjects == ("P2", "P13")
    with pytest.raises(DataError, match="no subject 'P3'"):
        load("k-emocon", tmp_path, subjects=[3])
    assert len(COMPLETE) == 21


def test_options_that_there_are_not_are_refused(root: Path) -> None:
    with pytest.raises(DataError, match="no acc_unit 'mg'"):
        load("k-emocon", root, acc_unit="mg")
    with pytest.raises(DataError, match=r"no longer 'trim_begin'"):
        load("k-emocon", root, longer="trim_begin")


def test_what_is_no_k_emocon_says_so(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="found no folder e4_data"):
        load("k-emocon", tmp_path)


# --- checks, size ---------------------------------------------------------------------------------------------------


def checked(root: Path) -> dict[str, tuple[bool | None, str]]:
    check = checks_of("k-emocon")
    assert check is not None
    return {item.what: (item.passed, item.found) for item in check(root, load("k-emocon", root))}


def test_checks_look_for_what_the_authors_say_is_there(root: Path) -> None:
    found = checked(root)
    assert found["participants are among 1 to 32"][0] is True
    assert found["the 21 complete participants are there"][0] is None, "a part of the corpus is no broken one"
    assert found["P1 has every file, as the authors say"] == (True, "")
    assert found["P1: the debate lasted 5 to 20 minutes"] == (False, "23 s")
    both = "P1: own and partner's annotations are of one debate"
    assert found[both] == (True, "self: 4 labels, partner: 4 labels")
    own(root).write_text(annotation(rng(), 40)[0])
    assert checked(root)[both] == (False, "self: 40 labels, partner: 4 labels")
    own(root).unlink()
    assert checked(root)[both][0] is None
    e4(root, "IBI").unlink()
    assert checked(root)["P1 has every file, as the authors say"] == (False, "missing: E4_IBI.csv")


def test_it_says_that_it_never_saw_the_real_corpus() -> None:
    assert "never tried on the real corpus" in info("k-emocon").checked
    assert any("acc_unit" in fact for fact in info("k-emocon").uncertain)


def test_a_session_of_half_an_hour_keeps_its_times(root: Path) -> None:
    count = 1800 * 64
    stamps = INIT + 10_000_000 + 1000 * np.arange(count) / 64
    text = "\n".join(f"{round(stamp)},{k % 50},A0000F" for k, stamp in enumerate(stamps.tolist()))
    e4(root, "BVP").write_text(f"timestamp,value,device_serial\n{text}\n")
    signal = only(load("k-emocon", root)).signals["bvp"]
    assert signal.data.shape == (1, count)
    np.testing.assert_array_equal(signal.data[0], np.arange(count) % 50)
    assert signal.end == pytest.approx(1800)
