"""Reading CogWear."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from limbeck.datasets import info, load
from limbeck.datasets.cogwear import CONDITIONS, looks_like
from limbeck.errors import DataError, ReadError
from limbeck.recording import Recording

START = 1_700_000_000.0
SECONDS = 20
STROOP = (
    'text,color,stroop_color_match(yes=1),table_row,pressed_key,"status(correct=1,wrong=2,timeout=3)",'
    "response_speed[ms]\r\nblue,green,0,14,1,1,1000\r\nblue,green,0,14,1,2,500\r\nred,red,1,1,1,3,3000\r\n"
    "red,red,1,1,1,1,900\r\n"
)
VALUES = {
    "bvp": np.round(50 * np.sin(np.arange(64 * SECONDS)), 2),
    "eda": np.round(0.5 + 0.001 * np.arange(4 * SECONDS), 6),
    "temp": np.round(33 + 0.01 * np.arange(4 * SECONDS), 2),
}
RATES = {"bvp": 64, "eda": 4, "temp": 4}
OFFSETS = {"bvp": 0.0, "eda": 0.25, "temp": 0.25}
COUNTS = 2_000_000 + 100 * np.arange(25 * SECONDS)


def table(name: str, values: np.ndarray, times: np.ndarray) -> str:
    rows = [f"{value},{time}" for value, time in zip(values.tolist(), times.tolist(), strict=True)]
    return "\r\n".join([f"{name},time", *rows]) + "\r\n"


def watch_times(order: np.ndarray | None = None) -> np.ndarray:
    times = np.round(START + np.arange(25 * SECONDS) / 25, 3)
    return times if order is None else times[order]


def write(folder: Path, **replace: str | None) -> Path:
    """Write one condition; keyword arguments replace files (without .csv, None leaves one out)."""
    folder.mkdir(parents=True, exist_ok=True)
    texts: dict[str, str | None] = {
        f"empatica_{name}": table(name, values, START + OFFSETS[name] + np.arange(len(values)) / RATES[name])
        for name, values in VALUES.items()
    }
    texts["samsung_bvp"] = table("PPG GREEN", COUNTS.astype(float), watch_times())
    if folder.name == "cognitive_load":
        texts["stroop_responses"] = STROOP
    for name, text in {**texts, **replace}.items():
        if text is not None:
            (folder / f"{name}.csv").write_bytes(text.encode())
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One subject of the pilot and one of the second study."""
    for condition in CONDITIONS[:2]:
        write(tmp_path / "pilot" / "2" / condition)
    for session in ("pre", "post"):
        for condition in CONDITIONS:
            write(tmp_path / "survey_gamification" / "11" / session / condition)
    return tmp_path


def read(root: Path, **options: str) -> Recording:
    return load("cogwear", root, **options).sources[0].read()


def test_conditions_come_in_the_order_of_recording_with_their_events(root: Path) -> None:
    listed = load("cogwear", root)
    recordings = list(listed)
    assert [(r.subject, r.session, r.trial, r.order) for r in recordings] == [
        ("2", "", "cognitive_load", 0),
        ("2", "", "baseline", 1),
        *(("11", session, name, i) for session in ("pre", "post") for i, name in enumerate(CONDITIONS)),
    ]
    assert all([e.name for e in r.events] == [r.trial] for r in recordings)
    assert listed.left_out == []
    assert listed.subjects == ("2", "11")
    assert looks_like(root)


def test_the_wristband_has_its_values_rates_units_and_starts(root: Path) -> None:
    recording = read(root)
    for name, values in VALUES.items():
        signal = recording.signals[name]
        assert signal.rate == RATES[name]
        assert signal.start == OFFSETS[name]
        assert signal.channels == ("wristband" if name == "bvp" else name,)
        np.testing.assert_array_equal(signal.data, values[np.newaxis].astype(np.float32))
    units = {name: signal.unit for name, signal in recording.signals.items()}
    assert units == {"bvp": "a.u.", "eda": "µS", "temp": "°C"}
    (event,) = recording.events
    assert (event.start, event.end) == (0.25, SECONDS)
    assert recording.ratings == {"stroop_correct": 0.5, "stroop_response": 0.8}


def test_the_watch_alone_and_beside_the_wristband(root: Path) -> None:
    alone = read(root, device="watch").signals
    assert list(alone) == ["bvp"]
    assert (alone["bvp"].rate, alone["bvp"].channels) == (25, ("watch",))
    np.testing.assert_allclose(alone["bvp"].data[0], COUNTS, atol=1)
    both = read(root, device="both")
    assert list(both.signals) == ["bvp", "eda", "temp"]
    bvp = both.signals["bvp"]
    assert (bvp.rate, bvp.channels) == (64, ("wristband", "watch"))
    np.testing.assert_array_equal(bvp.data[0], VALUES["bvp"].astype(np.float32))
    within = np.arange(64 * SECONDS) / 64 <= SECONDS - 1 / 25
    expected = 2_000_000 + 2500 * np.arange(64 * SECONDS) / 64
    np.testing.assert_allclose(bvp.data[1, within], expected[within], atol=3)
    assert np.isnan(bvp.data[1, ~within]).all()
    assert both.events[0].end == pytest.approx(within.sum() / 64), "cut to where both have samples"


def test_watch_rows_are_sorted_and_repeats_dropped(root: Path) -> None:
    order = np.arange(25 * SECONDS)
    order[100:125], order[125:150] = order[125:150].copy(), order[100:125].copy()
    doubled = np.concatenate([order, order])
    text = table("Samsung HR Raw Sensor", COUNTS[doubled].astype(float), watch_times(doubled))
    write(root / "pilot" / "2" / "cognitive_load", samsung_bvp=text)
    np.testing.assert_allclose(read(root, device="watch").signals["bvp"].data[0], COUNTS, atol=1)


def test_long_gaps_of_the_watch_are_nan_and_short_ones_bridged(root: Path) -> None:
    kept = np.setdiff1d(np.arange(25 * SECONDS), [*range(50, 75), *range(200, 300)])  # 1.04 s and 4.04 s
    text = table("PPG GREEN", COUNTS[kept].astype(float), watch_times(kept))
    write(root / "pilot" / "2" / "cognitive_load", samsung_bvp=text)
    data = read(root, device="watch").signals["bvp"].data[0]
    assert np.flatnonzero(np.isnan(data)).tolist() == list(range(200, 300))
    np.testing.assert_allclose(data[50:75], COUNTS[50:75], atol=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file"),
        (
            table("PPG GREEN", np.full(60, 2.7e-39), START + np.arange(60) // 25 * 1.0),
            "times in whole seconds and values",
        ),
        ("PPG GREEN,time\r\n", "found 0 samples"),
        ("PPG GREEN,time\r\n1.0,5.0\r\n", "unix seconds"),
        ("PPG GREEN\r\n1.0\r\n", "row 1"),
    ],
)
def test_an_unusable_watch_costs_only_recordings_that_ask_for_it(root: Path, text: str | None, message: str) -> None:
    folder = root / "pilot" / "2" / "cognitive_load"
    (folder / "samsung_bvp.csv").unlink()
    write(folder, samsung_bvp=text)
    for device in ("watch", "both"):
        listed = load("cogwear", root, subjects=[2], device=device)
        assert [r.trial for r in listed] == ["baseline"]
        assert message in listed.left_out[0].why
    listed = load("cogwear", root, subjects=[2])
    assert len(list(listed)) == 2
    assert listed.left_out == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace("eda,time", "eda"), "row 1"),
        (lambda t: t[:-8], "row 81"),
        (lambda t: t.replace("\r\n0.51,", "\r\n999,"), "row 12: found 999"),
        (lambda t: t.replace("\r\n0.51,", "\r\nx,"), "row 12"),
        (lambda t: t.replace("\r\n0.51,", "\r\n1e999700000000,"), "row 12"),
        (lambda t: t.replace(",1700000005.25", ",1700000001.25"), "found the time 1700000001"),
        (lambda t: t.replace(",1700000005.25", ",5.25"), "unix seconds"),
        (lambda t: table("eda", VALUES["eda"], START + np.arange(80) / 8), "found 8 Hz"),
    ],
)
def test_a_damaged_sensor_costs_its_recording(root: Path, change: Callable[[str], str], message: str) -> None:
    file = root / "pilot" / "2" / "cognitive_load" / "empatica_eda.csv"
    file.write_bytes(change(file.read_bytes().decode()).encode())
    listed = load("cogwear", root, subjects=["2"])
    assert [r.trial for r in listed] == ["baseline"]
    (left,) = listed.left_out
    assert left.what.endswith("empatica_eda.csv")
    assert message in left.why


@pytest.mark.parametrize(("text", "message"), [(None, "no such file"), ("eda,time\r\n", "no samples")])
def test_a_sensor_without_samples_costs_only_itself(root: Path, text: str | None, message: str) -> None:
    folder = root / "pilot" / "2" / "cognitive_load"
    (folder / "empatica_eda.csv").unlink()
    recording = load("cogwear", write(folder, empatica_eda=text).parents[2]).sources[0].read()
    assert list(recording.signals) == ["bvp", "temp"]
    assert message in recording.notes[0].why


def test_the_one_file_that_is_published_under_another_name_is_read(root: Path) -> None:
    folder = root / "pilot" / "2" / "cognitive_load"
    held = load("cogwear", root).sources[0].read().signals["eda"].data
    (folder / "empatica_eda.csv").rename(folder / "empatica_emda.csv")
    source = load("cogwear", root).sources[0]
    np.testing.assert_array_equal(source.read().signals["eda"].data, held)
    assert folder / "empatica_emda.csv" in source.files
    (folder / "empatica_eda.csv").write_text("eda,time\r\n")
    assert "eda" not in load("cogwear", root).sources[0].read().signals  # the right name comes first


def test_rows_that_are_missing_are_nan(root: Path) -> None:
    file = root / "pilot" / "2" / "cognitive_load" / "empatica_eda.csv"
    lines = file.read_text().split("\n")
    file.write_text("\n".join(lines[:11] + lines[14:]))
    recording = read(root)
    assert np.flatnonzero(np.isnan(recording.signals["eda"].data[0])).tolist() == [10, 11, 12]
    assert "3 samples are missing" in recording.notes[0].why


@pytest.mark.parametrize(
    "text", [None, "", "text,color\n", STROOP.replace(",2,500", ",7,500"), STROOP.replace("900", "x")]
)
def test_stroop_answers_that_cannot_be_read_cost_only_the_ratings(root: Path, text: str | None) -> None:
    folder = root / "pilot" / "2" / "cognitive_load"
    (folder / "stroop_responses.csv").unlink()
    write(folder, stroop_responses=text)
    recording = read(root)
    assert recording.ratings == {}
    assert recording.notes[0].what.endswith("stroop_responses.csv")


def test_listing_reads_nothing_and_sources_pickle(root: Path) -> None:
    expected = read(root, device="both")
    source = pickle.loads(pickle.dumps(load("cogwear", root, device="both").sources[0]))
    np.testing.assert_array_equal(source.read().signals["bvp"].data, expected.signals["bvp"].data)
    assert source.fingerprint() != load("cogwear", root).sources[0].fingerprint()
    for file in root.rglob("*.csv"):
        file.write_bytes(b"\0")
    assert len(load("cogwear", root)) == 8


def test_nesting_hidden_files_missing_conditions_and_links(root: Path, tmp_path: Path) -> None:
    home = tmp_path / "unpacked"
    (home / "cogwear-1.0.0").mkdir(parents=True)
    for study in ("pilot", "survey_gamification"):
        (tmp_path / study).rename(home / "cogwear-1.0.0" / study)
    pilot = home / "cogwear-1.0.0" / "pilot"
    (pilot / ".DS_Store").write_bytes(b"\0")
    (pilot / "__MACOSX").mkdir()
    for file in (pilot / "2" / "baseline").iterdir():
        file.unlink()
    (pilot / "2" / "baseline").rmdir()
    write(tmp_path / "elsewhere" / "3" / "baseline")
    write(tmp_path / "elsewhere" / "3" / "cognitive_load")
    (pilot / "3").symlink_to(tmp_path / "elsewhere" / "3")
    listed = load("cogwear", home)
    assert listed.subjects == ("2", "11")
    assert ["no such folder" in item.why or "link" in item.why for item in listed.left_out] == [True, True]


def test_mistakes_say_what_to_do(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no device 'wach'\. Did you mean 'watch'"):
        load("cogwear", root, device="wach")
    with pytest.raises(DataError, match="no subject '12'"):
        load("cogwear", root, subjects=[12])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReadError, match="found no pilot/0"):
        load("cogwear", tmp_path / "empty")
    assert info("cogwear").access == "open"


def test_the_real_recordings_read_as_their_notes_say(shared_data: Path) -> None:
    listed = load("cogwear", shared_data / "cogwear")
    recordings = list(listed)
    assert listed.left_out == []
    assert listed.subjects == tuple(map(str, [*range(7), *range(11, 18)]))
    assert [sum(r.trial == name for r in recordings) for name in CONDITIONS] == [21, 21, 14]
    for recording in recordings:
        assert {m: s.rate for m, s in recording.signals.items()} == {"bvp": 64, "eda": 4, "temp": 4}
        assert all(np.isfinite(signal.data).all() for signal in recording.signals.values())
        assert 20 < np.median(recording.signals["temp"].data) < 40
        assert set(recording.ratings) == ({"stroop_correct", "stroop_response"} if recording.order == 0 else set())
    shortest = min(recordings, key=lambda r: r.duration)
    assert (shortest.subject, shortest.session, shortest.trial) == ("11", "post", "cognitive_load")
    assert shortest.duration == pytest.approx(32, abs=1)


def test_the_real_watch_reads_as_its_notes_say(shared_data: Path) -> None:
    listed = load("cogwear", shared_data / "cogwear", device="watch")
    recordings = {(r.subject, r.session, r.trial): r for r in listed}
    assert len(recordings) == 50
    unusable = sorted({Path(item.what).parts[-3] for item in listed.left_out})
    assert unusable == ["1", "3", "5"]
    doubled = recordings["17", "pre", "baseline"].signals["bvp"]
    assert doubled.data.shape[1] / doubled.rate == pytest.approx(184.8, abs=0.5)
    assert np.isnan(recordings["0", "", "cognitive_load"].signals["bvp"].data).mean() == pytest.approx(0.081, abs=0.002)
    assert np.nanmedian(recordings["2", "", "baseline"].signals["bvp"].data) > 1e5
