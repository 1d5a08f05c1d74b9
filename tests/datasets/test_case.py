"""Reading CASE, from files that have its formats and random numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from corpora.case import CHANNELS, LEVELS, lines, write_raw, write_subject

from limbeck.datasets import checks_of, info, load
from limbeck.errors import DataError, ReadError
from limbeck.recording import Corpus, Recording

HEAD = f"daqtime,{','.join(CHANNELS)},video\n"


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def physiology(root: Path, number: int = 1) -> Path:
    return root / "data" / "interpolated" / "physiological" / f"sub_{number}.csv"


def annotations(root: Path, number: int = 1) -> Path:
    return root / "data" / "interpolated" / "annotations" / f"sub_{number}.csv"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_subject(tmp_path / "data", 1, rng(), 0.06)
    return tmp_path


def change(file: Path, edit: Callable[[list[str]], object]) -> None:
    rows = file.read_text().splitlines(keepends=True)
    edit(rows)
    file.write_text("".join(rows))


def only(corpus: Corpus) -> Recording:
    (recording,) = corpus
    return recording


def whys(corpus: Corpus) -> str:
    list(corpus)
    return " | ".join(f"{item.what}: {item.why}" for item in corpus.left_out)


# --- what it reads --------------------------------------------------------------------------------------------------


def test_emg_is_in_millivolts_and_skin_conductance_in_microsiemens(root: Path) -> None:
    recording = only(load("case", root))
    assert recording.signals["emg"].channels == ("emg_zygo", "emg_coru", "emg_trap")
    np.testing.assert_allclose(recording.signals["emg"].data.mean(axis=1), LEVELS[5:] / 1000, atol=2e-4)
    assert recording.signals["eda"].data.mean() == pytest.approx(5, abs=0.2)


def test_clips_are_events_in_the_order_in_which_this_subject_saw_them(tmp_path: Path) -> None:
    generator = rng()
    expected = [write_subject(tmp_path / "data", number, generator, 0.06) for number in (1, 2)]
    found = [[event.name for event in recording.events] for recording in load("case", tmp_path)]
    assert found == [[name for name, _, _ in own.events] for own in expected]
    assert found[0] != found[1]
    assert sorted(set(found[0])) == [f"video_{k}" for k in (1, 10, 11, 12, 2, 3, 4, 5, 6, 7, 8)]


def test_numbers_of_videos_can_be_given_names(root: Path) -> None:
    recording = only(load("case", root, names={10: "start", "11": "blue_screen"}))
    assert recording.events[0].name == "start"
    assert [event.name for event in recording.events].count("blue_screen") == 8
    assert recording.events[-1].name == "video_12"


@pytest.mark.parametrize("names", [{"x": "start"}, {11: 3}, {11: ""}, ["start"]])
def test_names_that_are_none_are_refused(root: Path, names: object) -> None:
    with pytest.raises(DataError, match="names needs numbers of videos with a name each"):
        load("case", root, names=names)


def test_columns_are_found_by_name(root: Path) -> None:
    before = only(load("case", root))
    file = physiology(root)
    table = [line.split(",") for line in file.read_text().splitlines()]
    order = np.random.default_rng(3).permutation(len(table[0]))
    file.write_text("\n".join(",".join(row[k] for k in order) for row in table) + "\n")
    after = only(load("case", root))
    assert after.events == before.events
    for name, signal in before.signals.items():
        np.testing.assert_array_equal(after.signals[name].data, signal.data)


def test_a_column_that_is_not_there_is_named(root: Path) -> None:
    change(physiology(root), lambda rows: rows.__setitem__(0, rows[0].replace("gsr", "other")))
    assert "expected gsr among the columns" in whys(load("case", root))


def test_time_starts_with_the_first_sample_for_annotations_too(root: Path) -> None:
    before = only(load("case", root))
    change(physiology(root), lambda rows: rows.__delitem__(slice(1, 26)))
    after = only(load("case", root))
    np.testing.assert_allclose(after.traces["valence"].times, before.traces["valence"].times - 0.025)
    assert after.events[-1].end == pytest.approx(before.events[-1].end - 0.025)


def test_missing_rows_are_missing_samples(root: Path) -> None:
    before = only(load("case", root))
    change(physiology(root), lambda rows: rows.__delitem__(slice(101, 131)))
    listed = load("case", root)
    after = only(listed)
    data = after.signals["ecg"].data
    assert data.shape == before.signals["ecg"].data.shape
    assert np.flatnonzero(np.isnan(data[0])).tolist() == list(range(100, 130))
    np.testing.assert_array_equal(data[0, 130:], before.signals["ecg"].data[0, 130:])
    assert after.clocks["ecg"].gaps == (pytest.approx((0.1, 0.13)),)
    assert "1 gaps of 30 samples" in whys(listed)


def test_a_row_that_stands_twice_is_used_once(root: Path) -> None:
    before = only(load("case", root))
    change(physiology(root), lambda rows: rows.insert(50, rows[50]))
    listed = load("case", root)
    np.testing.assert_array_equal(only(listed).signals["ecg"].data, before.signals["ecg"].data)
    assert "1 samples not behind their forerunner" in whys(listed)


def test_empty_cells_and_infinity_are_missing_samples(root: Path) -> None:
    def damage(rows: list[str]) -> None:
        for row, cell in ((5, ""), (6, "NaN"), (7, "inf")):
            cells = rows[row].split(",")
            cells[1] = cell
            rows[row] = ",".join(cells)

    change(physiology(root), damage)
    listed = load("case", root)
    assert np.flatnonzero(np.isnan(only(listed).signals["ecg"].data[0])).tolist() == [4, 5, 6]
    assert "1 samples are infinite" in whys(listed)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda rows: rows.__delitem__(slice(1, None)), "a header and no rows"),
        (lambda rows: rows.__setitem__(4, "1,2,3\n"), "row 5: found 3 cells in '1,2,3'; expected 10"),
        (lambda rows: rows.__setitem__(4, rows[4].replace(",", ",x", 1)), "row 5, ecg: found 'x"),
        (lambda rows: rows.append("99999,0.1,3"), "file may end in the middle of a row"),
        (lambda rows: rows.__setitem__(0, rows[0].replace("bvp", "ecg")), "the column 'ecg' twice"),
        (lambda rows: rows.__setitem__(slice(1, None), reversed(rows[1:])), "expected times that increase"),
        (lambda rows: rows.__setitem__(9, rows[9].replace(",", "000000,", 1)), "expected (times that|samples at)"),
        (lambda rows: rows.__setitem__(9, "," + rows[9].partition(",")[2]), "found no time"),
        (lambda rows: rows.__delitem__(slice(2, None, 2)), "samples every 2 ms; expected every 1 ms"),
    ],
)
def test_a_damaged_table_costs_its_own_subject(
    tmp_path: Path, edit: Callable[[list[str]], object], message: str
) -> None:
    for number in (1, 2):
        write_subject(tmp_path / "data", number, rng(), 0.03)
    change(physiology(tmp_path), edit)
    listed = load("case", tmp_path)
    with pytest.raises(ReadError, match=message):
        listed.sources[0].read()
    assert [recording.subject for recording in listed] == ["sub_2"]
    assert listed.left_out[0].what == str(physiology(tmp_path))


def test_damaged_annotations_cost_only_the_annotations(root: Path) -> None:
    change(annotations(root), lambda rows: rows.__setitem__(3, rows[3].replace(",", ",word", 1)))
    listed = load("case", root)
    recording = only(listed)
    assert recording.traces == {}
    assert recording.events
    assert "row 4, valence: found 'word" in whys(listed)


def test_annotations_outside_of_the_scale_are_not_used(root: Path) -> None:
    before = only(load("case", root)).traces["arousal"]

    def damage(rows: list[str]) -> None:
        cells = rows[2].split(",")
        rows[2] = ",".join([cells[0], cells[1], "26225", cells[3]])

    change(annotations(root), damage)
    listed = load("case", root)
    trace = only(listed).traces["arousal"]
    assert len(trace.values) == len(before.values) - 1
    assert "1 values are not between 0.5 and 9.5" in whys(listed)


def test_a_subject_without_annotations_is_read_and_one_without_physiology_is_named(root: Path) -> None:
    annotations(root).rename(annotations(root, 4))
    listed = load("case", root)
    assert only(listed).traces == {}
    assert "annotations without the physiology of sub_4" in whys(listed)
    assert "there is no file of annotations" in whys(listed)


def test_what_is_no_clips_number_is_in_no_event(root: Path) -> None:
    change(physiology(root), lambda rows: rows.__setitem__(3, rows[3].rpartition(",")[0] + ",\n"))
    listed = load("case", root)
    assert [(e.start, e.end) for e in only(listed).events][:2] == [(0.0, 0.002), (0.003, pytest.approx(0.12, abs=0.1))]
    assert "1 samples without a clip's number" in whys(listed)


# --- the raw release ------------------------------------------------------------------------------------------------


def raw(tmp_path: Path, times: np.ndarray) -> Path:
    """A subject whose first channel in volts is the time itself, logged when `times` say."""
    volts = np.full((len(times), 8), 2.5)
    volts[:, 0] = times
    for kind in ("physiological", "annotations"):
        (tmp_path / "raw" / kind).mkdir(parents=True)
    rows = [[f"{t:.6f}", *(f"{v:.6f}" for v in row)] for t, row in zip(times, volts, strict=True)]
    file = tmp_path / "raw" / "physiological" / "sub1_DAQ.txt"
    file.write_text(lines(rows, "\t"))
    return file


def test_volts_become_physical_units(tmp_path: Path) -> None:
    raw(tmp_path, np.arange(500) / 1000)
    recording = only(load("case", tmp_path, release="raw"))
    found = {name: float(signal.data[0, 0]) for name, signal in recording.signals.items()}
    wanted = {"ecg": -56.0, "bvp": 58.962 * 2.5 - 115.09, "eda": 10.8, "resp": 58.923 * 2.5 - 115.01}
    assert found == pytest.approx(wanted | {"temp": 21.341 * 2.5 - 32.085, "emg": 0.125}, rel=1e-5)


def test_samples_that_were_logged_late_are_put_on_the_grid(tmp_path: Path) -> None:
    times = np.cumsum(0.001 + np.random.default_rng(2).uniform(-4e-4, 4e-4, 3000))
    times = times[(times < 1.0) | (times > 1.5)]
    raw(tmp_path, times)
    listed = load("case", tmp_path, release="raw")
    recording = only(listed)
    data = recording.signals["ecg"].data[0]
    grid = times[0] + np.arange(len(data)) / 1000
    known = np.isfinite(data)
    np.testing.assert_allclose(data[known], 20 * grid[known] - 56, atol=1e-4)
    assert not known[(grid > 1.0) & (grid < 1.499)].any()
    assert known[(grid < 0.998) | (grid > 1.502)].all()
    assert recording.clocks["ecg"].jitter > 0
    assert "interpolated to 1000 Hz" in whys(listed)
    assert "does not say when which clip ran" in whys(listed)


@pytest.mark.parametrize("text", ["", "1\t2\n", "a\tb\n", "\xe9", "0.0\t1\t2\t3\t4\t5\t6\t7\tnan\n"])
def test_a_damaged_raw_file_is_refused(tmp_path: Path, text: str) -> None:
    raw(tmp_path, np.arange(3) / 1000).write_text(text)
    with pytest.raises(ReadError):
        load("case", tmp_path, release="raw").sources[0].read()


def test_a_release_that_is_not_there_says_which_is(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="There is the release interpolated: use release=interpolated"):
        load("case", root, release="raw")
    with pytest.raises(DataError, match=r"no release 'intrpolated'\. Did you mean 'interpolated'"):
        load("case", root, release="intrpolated")


# --- checks, size ---------------------------------------------------------------------------------------------------


def checked(root: Path, **options: object) -> dict[str, tuple[bool | None, str]]:
    check = checks_of("case")
    assert check is not None
    return {item.what: (item.passed, item.found) for item in check(root, load("case", root, **options))}


def test_checks_compare_both_files_and_all_subjects(tmp_path: Path) -> None:
    generator = rng()
    for number in (1, 2):
        write_subject(tmp_path / "data", number, generator, 0.2)
    found = checked(tmp_path)
    assert found["clips were shown in different orders"][0] is True
    assert found["sub_1 saw each of the 8 clips once"] == (True, "")
    assert found["sub_2 is annotated at 20 Hz"][0] is True
    agreement = "sub_1: physiology and annotations name the same clip at the same time"
    assert found[agreement][0] is True
    annotations(tmp_path).write_bytes(annotations(tmp_path, 2).read_bytes())
    passed, why = checked(tmp_path)[agreement]
    assert passed is False
    assert "first row" in why


def test_checks_need_not_the_first_annotation_nor_valence(tmp_path: Path) -> None:
    write_subject(tmp_path / "data", 1, rng(), 0.6)
    agreement = "sub_1: physiology and annotations name the same clip at the same time"
    whole = annotations(tmp_path).read_text().splitlines(keepends=True)
    place = whole[0].strip().split(",").index("valence")
    for unusable in (len(whole) // 3, len(whole) - 1):  # the joystick beyond its reach: some of the time, all of it

        def spoil(rows: list[str], last: int = unusable) -> None:
            for k in range(1, last + 1):
                cells = rows[k].split(",")
                cells[place] = "-3"
                rows[k] = ",".join(cells)

        change(annotations(tmp_path), spoil)
        assert checked(tmp_path)[agreement][0] is True


def test_checks_notice_a_clip_that_is_missing_and_other_names(root: Path) -> None:
    change(physiology(root), lambda rows: rows.__setitem__(slice(1, None), [r for r in rows[1:] if r[-3:] != ",5\n"]))
    assert checked(root)["sub_1 saw each of the 8 clips once"] == (False, "video_5 0 times")
    assert checked(root, names={5: "amusing"})["sub_1 saw each of the 8 clips once"] == (False, "amusing 0 times")


def test_checks_of_the_raw_release_say_what_cannot_be_seen(tmp_path: Path) -> None:
    write_raw(tmp_path, rng())
    assert checked(tmp_path, release="raw")["sub_3 saw each of the 8 clips once"][0] is None


def test_it_says_that_it_never_saw_the_real_corpus() -> None:
    assert "never tried on the real corpus" in info("case").checked
    assert any("names" in fact for fact in info("case").uncertain)


@pytest.mark.slow
def test_a_subject_of_full_size_is_read(tmp_path: Path) -> None:
    file = physiology(tmp_path)
    file.parent.mkdir(parents=True)
    seconds, count = 2451, 2_451_000
    video = np.repeat([10, *np.ravel([[k, 11] for k in range(1, 9)]), 12], -(-count // 18))[:count]
    second = np.arange(1000) % 7 / 8
    text = [",".join(f"{value:.3f}" for value in LEVELS + v) for v in second]
    with file.open("w") as stream:
        stream.write(HEAD)
        for s in range(seconds):
            at = s * 1000
            stream.write("".join(f"{at + k},{text[k]},{video[at + k]}\n" for k in range(1000)))
    recording = load("case", tmp_path).sources[0].read()
    file.unlink()
    assert recording.signals["emg"].data.shape == (3, count)
    np.testing.assert_allclose(recording.signals["ecg"].data[0, -1000:], 0.8 + second, atol=6e-4)
    assert len(recording.events) == 18
    assert recording.duration == pytest.approx(seconds)
