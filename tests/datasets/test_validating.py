"""Whether a corpus is what it should be: each check passes on what is sound, and fails on what is not."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpora import CASES, Written

from limbeck import datasets
from limbeck.datasets import Check, DatasetInfo, ascertain, biovid, inspecting, validating
from limbeck.errors import ReadError
from limbeck.recording import Corpus, Event, Recording, Signal, Source, Trace


def signal(seconds: float = 20, rate: float = 8, *, seed: int = 0, start: float = 0.0) -> Signal:
    data = np.random.default_rng(seed).normal(size=(1, round(seconds * rate))).astype(np.float32)
    return Signal(data, rate, ("eda",), "µS", start=start)


def changed(held: Signal, first: int, last: int, value: float) -> Signal:
    data = held.data.copy()
    data[:, first:last] = value
    return dataclasses.replace(held, data=data)


def recording(number: int = 0, **options: Any) -> Recording:
    defaults: dict[str, Any] = {
        "subject": f"S{number}",
        "signals": {"eda": signal(seed=number), "temp": dataclasses.replace(signal(seed=50 + number), unit="°C")},
        "events": (Event("rest", 0, 20),),
        "traces": {"hr": Trace(np.arange(4.0), np.ones(4, dtype=np.float32))},
    }
    return Recording(**(defaults | options))


def give(held: Recording) -> Recording:
    return held


def fail() -> Recording:
    raise ReadError("S9.dat", found="nothing", expected="samples")


def checked(*recordings: Recording, broken: int = 0, chosen: bool = False, **known: Any) -> dict[str, Check]:
    sources = [Source(held.subject, partial(give, held), held.session, held.trial) for held in recordings]
    sources += [Source("S9", fail)] * broken
    found = inspecting.inspect(Corpus("made", tuple(sources)))
    blank: dict[str, Any] = {"licence": "", "citation": "", "url": "", "access": "gated", "checked": ""}
    published = DatasetInfo("made", ("eda",), **blank, **known) if known else None
    made = validating.general_checks(found, published, chosen=chosen)
    return {check.what: check for check in made}


# ---- what holds for every corpus ------------------------------------------------------------------------------------


def test_a_sound_corpus_passes_all_that_holds_for_every_corpus() -> None:
    checks = checked(recording(0), recording(1), subjects=2, each=1)
    assert len(checks) == 12
    assert all(check.passed for check in checks.values())
    assert not validating.failed(checks.values())


def trace(*times: float) -> dict[str, Trace]:
    return {"hr": Trace(np.array(times), np.ones(len(times), dtype=np.float32))}


@pytest.mark.parametrize(
    ("what", "spoilt", "found"),
    [
        ("finite", recording(1, signals={"eda": changed(signal(), 3, 5, np.inf)}), "S1: 2 infinite samples of eda"),
        ("more than half", recording(1, signals={"eda": changed(signal(seed=9), 0, 81, np.nan)}), "S1: 51% of eda"),
        ("flat", recording(1, signals={"eda": changed(signal(), 0, 160, 2.0)}), "S1: eda eda"),
        ("more than half", recording(1, signals={"eda": changed(signal(), 0, 160, np.nan)}), "S1: 100% of eda"),
        (
            "same time",
            recording(1, signals={"eda": signal(7, seed=8), "temp": signal(seed=9)}),
            "eda has 7.0 of 20.0 s",
        ),
        ("same signal", recording(1, signals={"eda": signal(seed=0)}), "eda of S0 and S1"),
        ("inside", recording(1, events=(Event("task", 12, 25),)), "S1: 1 of 1 task"),
        ("inside", recording(1, events=(Event("task", float("nan"), 5),)), "S1: 1 of 1 task"),
        ("times of traces", recording(1, traces=trace(0, 2, 1)), "S1: hr"),
        ("has a label", recording(1, events=(), traces={}), "1 without: S1"),
        ("differ in subject", recording(0, signals={"eda": signal(seed=7)}), "S0"),
    ],
)
def test_each_defect_fails_its_own_check_and_is_named(what: str, spoilt: Recording, found: str) -> None:
    checks = checked(recording(0), spoilt)
    failed = [check for check in checks.values() if check.passed is False]
    assert [what in check.what for check in failed] == [True]
    assert found in failed[0].found


def test_recordings_that_cannot_be_read_fail_with_the_file() -> None:
    check = checked(recording(), broken=2)["every recording can be read"]
    assert check.passed is False
    assert "2 of 3 cannot" in check.found
    assert "S9.dat" in check.found
    assert checked()["every recording can be read"].passed is False


def test_one_file_that_spoils_many_recordings_is_told_once() -> None:
    check = checked(recording(), broken=40)["every recording can be read"]
    assert check.found.splitlines()[0] == "40 of 41 cannot:"
    assert check.found.count("S9.dat") == 1
    assert check.found.endswith("(40 recordings)")


def test_fewer_subjects_than_published_are_incomplete_and_named_and_more_are_a_failure() -> None:
    what = "every published subject is there"
    two = recording(0), recording(1)
    assert checked(*two, subjects=5)[what] == Check(what, None, "2 of 5", incomplete=True)
    names = tuple(f"S{number}" for number in (0, 1, 2, 4, 5, 6, 9))
    found = checked(*two, broken=1, subjects=7, names=names)[what]
    assert found.incomplete
    assert found.found == "3 of 7; S2, S4 to S6 are not there"  # S9 is there, and cannot be read
    assert not validating.failed([found])
    assert checked(*two, subjects=2, names=("S0", "S1"))[what] == Check(what, True, "2 of 2")
    chosen = checked(*two, subjects=7, names=names, chosen=True)[what]
    assert chosen.incomplete
    assert "option subjects" in chosen.found
    assert checked(*two, subjects=1)["there are no more subjects than published"].passed is False


def test_recordings_of_every_subject_are_counted_as_read_and_not_as_planned() -> None:
    what = "2 recordings of every subject were read"
    whole = [recording(0, trial="a"), recording(0, trial="b", order=1)]
    assert checked(*whole, subjects=2, each=2)[what].passed
    found = checked(*whole, broken=2, subjects=2, each=2)[what]
    assert found == Check(what, False, "1 of 2 subjects: S9 has 0")


def test_what_is_incomplete_has_neither_passed_nor_failed() -> None:
    with pytest.raises(ValueError, match="neither"):
        Check("a", True, incomplete=True)


def test_what_is_alike_in_many_recordings_of_a_subject_is_told_once_and_every_subject_is_named() -> None:
    spoilt = [
        recording(s, trial=str(t), order=t, signals={"eda": changed(signal(seed=10 * s + t), 0, 160, np.nan)})
        for s in range(6)
        for t in range(10)
    ]
    found = checked(*spoilt)["of no signal, more than half of the samples are missing"].found
    assert "S0/0: 100% of eda (and 9 more recordings of S0)" in found
    assert found.endswith("; and 3 more, of S3 to S5")


def test_a_message_about_a_file_that_was_told_is_not_told_again() -> None:
    def checks(root: Path, corpus: Corpus) -> Iterator[Check]:
        yield Check("S9 can be read", False, "S9.dat: found nothing; expected samples.")
        fail()

    corpus = Corpus("made", ())
    told = {"S9.dat: found nothing; expected samples."}
    assert list(validating._own_checks(checks, Path(), corpus, told)) == [
        Check("what is known of made can be checked", None, "S9.dat cannot be read")
    ]
    assert [check.passed for check in validating._own_checks(checks, Path(), corpus, ())] == [False, False]


def test_a_corpus_without_any_label_is_no_failure() -> None:
    check = checked(recording(events=(), traces={}))["every recording has a label: an event, a rating or a trace"]
    assert check.passed is None
    assert not validating.failed([check])


def test_gaze_may_be_shorter_than_what_the_body_gives() -> None:
    gaze = Signal(signal(5).data, 8.0, ("x",), "a.u.")
    checks = checked(recording(signals={"eda": signal(seed=1), "gaze": gaze}))
    assert checks["the signals of a recording cover the same time"].passed


def test_many_offenders_are_counted_and_the_first_are_named() -> None:
    assert validating.named(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert validating.outcome("x", ["a"], 5, of="files") == Check("x", False, "1 of 5 files: a")
    assert validating.outcome("x", [], 5, of="files") == Check("x", True, "5 files")
    assert validating.outcome("x", [], 0, missing="no table") == Check("x", None, "no table")


# ---- checksums ------------------------------------------------------------------------------------------------------


@pytest.fixture
def listed(tmp_path: Path, make_edf: Callable[..., bytes]) -> Path:
    """A folder of two EDF files and a table, with a list of their checksums."""
    root = tmp_path / "lab"
    root.mkdir()
    for number in (1, 2):
        digital = np.random.default_rng(number).integers(-999, 999, 200)
        (root / f"s{number}.edf").write_bytes(make_edf([{"label": "EEG Cz", "digital": digital, "samples": 50}]))
    (root / "notes.csv").write_text("a,b\n1,2\n")
    sums = [f"{hashlib.sha256(f.read_bytes()).hexdigest()} {f.name}" for f in sorted(root.iterdir())]
    (root / "SHA256SUMS.txt").write_text("\n".join([*sums, f"{'0' * 64}  gone.edf", f"{'1' * 64}  ../../x"]) + "\n")
    return root


def published(root: Path) -> list[Check]:
    return [check for check in validating.validate("edf", root) if "SHA-256" in check.what]


def test_files_are_compared_with_the_list_beside_them_and_missing_ones_are_no_failure(listed: Path) -> None:
    (check,) = published(listed)
    assert check.incomplete
    assert check.found == "3 of the 4 in SHA256SUMS.txt are there and equal; 1 are not there: gone.edf"
    sums = listed / "SHA256SUMS.txt"
    sums.write_text("\n".join(sums.read_text().splitlines()[:3]) + "\n")
    (check,) = published(listed)
    assert check == Check(check.what, True, "3 of the 3 in SHA256SUMS.txt are there and equal")


def test_a_signal_file_that_is_not_the_published_one_fails(listed: Path) -> None:
    content = bytearray((listed / "s2.edf").read_bytes())
    content[-1] ^= 1
    (listed / "s2.edf").write_bytes(bytes(content))
    (check,) = published(listed)
    assert check.passed is False
    assert "differ: s2.edf" in check.found


def test_another_file_that_differs_is_said_and_no_failure(listed: Path) -> None:
    (listed / "notes.csv").write_text("a,b\n")
    (check,) = published(listed)
    assert check.passed is not False
    assert "differ, and hold no signals: notes.csv" in check.found


def test_without_a_list_nothing_is_said_of_checksums(listed: Path) -> None:
    (listed / "SHA256SUMS.txt").unlink()
    assert published(listed) == []


# ---- what is known of one corpus ------------------------------------------------------------------------------------


def written(name: str, folder: Path) -> Written:
    (case,) = [case for case in CASES if str(case) == name]
    return case.write(folder, np.random.default_rng(0))


def own(name: str, held: Written, **options: Any) -> dict[str, Check]:
    """Return the checks that are the reader's own."""
    corpus = datasets.load(name, held.root, **{**held.options, **options})
    checks = datasets.checks_of(name)
    assert checks is not None
    return {check.what: check for check in checks(held.root, corpus)}


def one(checks: dict[str, Check], words: str) -> Check:
    (check,) = [check for what, check in checks.items() if words in what]
    return check


def test_a_reader_whose_files_cannot_be_checked_fails_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def checks(root: Path, corpus: Corpus) -> Iterator[Check]:
        yield Check("first", True)
        raise ReadError("table.csv", found="nothing", expected="rows")

    monkeypatch.setattr(validating, "checks_of", lambda name: checks)
    monkeypatch.setattr(validating, "locate", lambda name, root: root)
    monkeypatch.setattr(validating, "load", lambda name, root, **options: Corpus("made", ()))
    made = validating.validate("edf", Path("x"))
    assert made[-2] == Check("first", True)
    assert made[-1].passed is False
    assert "table.csv" in made[-1].found


@pytest.fixture(scope="module")
def deap(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return written("deap-python", tmp_path_factory.mktemp("deap"))


def test_labels_of_deap_are_compared_with_the_table_for_every_trial(deap: Written) -> None:
    checks = own("deap", deap)
    labels = one(checks, "labels of the files")
    assert labels.passed
    trials = 40 * len({expected.subject for expected in deap.recordings})
    assert labels.found == f"{trials} trials"
    assert one(checks, "order of Geneva").passed is None
    assert all(check.passed in (True, None) for check in checks.values())


def rewritten(deap: Written, change: Callable[[list[str]], list[str]]) -> Iterator[dict[str, Check]]:
    """Yield the checks under another table of ratings, and put the table back."""
    (file,) = deap.root.rglob("participant_ratings.csv")
    before = file.read_bytes()
    try:
        header, *rows = before.decode("utf-8-sig").splitlines()
        new = [",".join(change(row.split(","))) for row in rows]
        file.write_text("\n".join([header, *new]) + "\n")
        yield own("deap", deap)
    finally:
        file.write_bytes(before)


def test_a_rating_of_deap_that_differs_by_a_tenth_is_named_with_file_and_row(deap: Written) -> None:
    subject = int(deap.recordings[0].subject[1:])

    def change(row: list[str]) -> list[str]:
        return [*row[:4], f"{float(row[4]) - 0.1:.2f}", *row[5:]] if row[0] == str(subject) and row[2] == "7" else row

    for checks in rewritten(deap, change):
        check = one(checks, "labels of the files")
        assert check.passed is False
        assert check.found.endswith(f"s{subject:02d}.dat, row 7")


def test_rows_of_deap_in_the_order_of_presentation_are_recognised(deap: Written) -> None:
    for checks in rewritten(deap, lambda row: [row[0], row[2], row[1], *row[3:]]):
        check = one(checks, "labels of the files")
        assert check.passed is False
        assert "follow Trial, the order of presentation" in check.found


def test_a_table_of_deap_that_was_cut_is_said_to_be(deap: Written) -> None:
    lost = max(deap.recordings, key=lambda expected: expected.subject).subject
    (file,) = deap.root.rglob("participant_ratings.csv")
    before = file.read_bytes()
    try:
        rows = before.decode("utf-8-sig").splitlines()
        file.write_text("\n".join(row for row in rows if row.split(",")[0] != f"{int(lost[1:])}") + "\n")
        check = one(own("deap", deap), "rows of every subject")
    finally:
        file.write_bytes(before)
    assert check.passed is False
    assert check.found == f"no row of {lost}: the table was cut; copy it again"
    assert one(own("deap", deap), "rows of every subject").passed


def test_a_table_of_deap_that_repeats_a_trial_fails(deap: Written) -> None:
    for checks in rewritten(deap, lambda row: [row[0], "1", *row[2:]]):
        assert one(checks, "each once").passed is False


def test_a_deap_without_its_table_makes_checks_impossible_and_not_wrong(deap: Written) -> None:
    (file,) = deap.root.rglob("participant_ratings.csv")
    before = file.read_bytes()
    file.unlink()
    try:
        checks = own("deap", deap)
    finally:
        file.write_bytes(before)
    assert one(checks, "labels of the files").passed is None
    assert not validating.failed(checks.values())


def test_the_electrodes_of_deaps_original_files_are_those_of_their_site(tmp_path: Path) -> None:
    held = written("deap-original", tmp_path)
    assert one(own("deap", held), "Twente up to s22").passed
    (file, *_) = sorted(tmp_path.rglob("s*.bdf"))
    content = file.read_bytes()
    file.write_bytes(content.replace(b"Fp1 ", b"tmp ", 1).replace(b"AF3 ", b"Fp1 ", 1).replace(b"tmp ", b"AF3 ", 1))
    assert f"{file.name} is not in the order of" in one(own("deap", held), "Twente up to s22").found


def test_windows_of_biovid_are_counted_by_class_and_compared_with_their_list(tmp_path: Path) -> None:
    held = written("biovid-A", tmp_path)
    checks = own("biovid", held)
    assert one(checks, "87 of part A").passed is None  # invented names, of which nothing can be said
    assert "has 1 of BL1" in one(checks, "20 windows of each class").found
    for words in ("those of samples.csv", "classes of samples.csv", "has 2816 rows"):
        assert one(checks, words).passed
    (home,) = {file.parent.parent for file in held.signal_files}
    (home / biovid.PART_A_87[0]).mkdir()
    stranger = held.signal_files[0]
    known = home / biovid.PART_A_87[0] / stranger.name.replace(stranger.parent.name, biovid.PART_A_87[0])
    known.write_bytes(stranger.read_bytes())
    assert one(own("biovid", held), "87 of part A").passed is False  # some are, and some are not
    known.unlink()
    known.parent.rmdir()
    gone, cut, *_ = held.signal_files
    gone.unlink()
    cut.write_bytes(b"\n".join(cut.read_bytes().splitlines()[:-1]) + b"\n")
    checks = own("biovid", held)
    assert one(checks, "those of samples.csv").passed is False
    assert one(checks, "has 2816 rows").found == f"1 of 9 windows: {cut.name} has 2815"


@pytest.mark.parametrize(("shift", "passed"), [(2.0, True), (0.0, False)])
def test_the_clips_of_ascertain_have_to_show_the_contrast_that_they_were_chosen_for(shift: float, passed: bool) -> None:
    rng = np.random.default_rng(0)
    sources = [
        Source(
            f"P{s:02d}", fail, trial=f"clip{c:02d}", options={"ratings": {"valence": rng.normal() + shift * (c < 19)}}
        )
        for s in range(1, 9)
        for c in range(1, 37)
    ]
    check = ascertain._check_contrast(Corpus("ascertain", tuple(sources)))
    assert check.passed is passed
    assert ("try another clip_order" in check.found) is not passed
    assert ascertain._check_contrast(Corpus("ascertain", tuple(sources[:36]))).passed is None
    few = ascertain._check_contrast(Corpus("ascertain", tuple(sources[:108])))
    assert few.passed is (True if passed else None)  # three subjects may bear it out, and cannot refute it


QUEST = "# Subj;{subject};;\n# ORDER;{order}\n# START;{starts}\n# END;{ends}\n"
NAMES = {"baseline": "Base", "stress": "TSST", "amusement": "Fun"}


@pytest.mark.parametrize(
    ("swap", "late", "failing"), [(False, 0, ""), (True, 0, "order of conditions"), (False, 9, "times")]
)
def test_labels_of_wesad_are_compared_with_the_questionnaires(
    tmp_path: Path, swap: bool, late: int, failing: str
) -> None:
    held = written("wesad", tmp_path)
    for expected in held.recordings:
        meditations = iter(("Medi 1", "Medi 2"))
        found = [event for event in expected.events if event[0] != "transient"]
        names = [NAMES.get(name) or next(meditations) for name, _, _ in found]
        names = [names[1], names[0], *names[2:]] if swap else names
        clocks = [
            ";".join(f"{(late * 60 + t) // 60:.0f}.{t % 60:02.0f}" for t in times)
            for times in zip(*[e[1:] for e in found], strict=True)
        ]
        text = QUEST.format(subject=expected.subject, order=";".join(names), starts=clocks[0], ends=clocks[1])
        (tmp_path / expected.subject / f"{expected.subject}_quest.csv").write_text(text)
    checks = own("wesad", held)
    assert one(checks, "S2 to S17").passed
    wanted = {"order of conditions": failing != "order of conditions", "times, read as": failing != "times"}
    assert {words: one(checks, words).passed for words in wanted} == wanted


def test_the_load_of_cogwear_has_to_come_before_the_baseline(tmp_path: Path) -> None:
    held = written("cogwear-wristband", tmp_path)
    assert one(own("cogwear", held), "before the baseline").passed
    load = next(folder for folder in tmp_path.rglob("cognitive_load") if (folder.parent / "baseline").is_dir())
    for file in load.glob("*_[!r]*.csv"):  # an hour later
        header, *rows = file.read_text().splitlines()
        cells = [row.split(",") for row in rows]
        file.write_text("\n".join([header, *(f"{value},{float(time) + 3600}" for value, time in cells)]) + "\n")
    assert one(own("cogwear", held), "before the baseline").passed is False


def test_the_headers_of_eegmat_are_compared_with_what_is_published(
    tmp_path: Path, eegmat_edf: Callable[..., bytes]
) -> None:
    for number in (1, 2):
        (tmp_path / f"Subject03_{number}.edf").write_bytes(eegmat_edf(60))
    held = Written(tmp_path, ())
    checks = own("eegmat", held)
    assert one(checks, "500 Hz").passed is False
    assert one(checks, "21 channels").passed
    assert one(checks, "a rest lasts").passed
    assert one(checks, "subject-info.csv").passed is None
    (tmp_path / "Subject03_1.edf").unlink()
    assert one(own("eegmat", held), "a rest and a task").passed is False


def test_a_survey_of_cogwear_at_another_time_is_no_failure(tmp_path: Path) -> None:
    held = written("cogwear-wristband", tmp_path)
    for survey in tmp_path.rglob("survey"):
        for file in survey.glob("empatica_*.csv"):  # an hour earlier
            header, *rows = file.read_text().splitlines()
            cells = [row.split(",") for row in rows]
            file.write_text("\n".join([header, *(f"{value},{float(time) - 3600}" for value, time in cells)]) + "\n")
    assert one(own("cogwear", held), "before the baseline").passed


def test_button_presses_of_subjects_whom_nobody_compared_are_told_and_not_judged(
    tmp_path: Path, write_e4: Callable[..., Path]
) -> None:
    tasks = ((130, 330), (400, 800), (860, 960))
    rows = ["Participant,HR,respr,Time(sec),Label"]
    for number in (2, 30):
        late = 100 if number == 30 else 0
        tags = "".join(f"{1.6e9 + time + late:.2f}\n" for task in tasks for time in task)
        files = {"tags.csv": None, f"tags_S{number:02d}.csv": tags}
        write_e4(tmp_path / "Raw_data" / f"S{number:02d}", 1200, start=1.6e9, replace=files)
        rows += [
            f"{number},70,12,{1.6e9 + second:.0f},{int(any(a <= second < b for a, b in tasks))}"
            for second in range(9, 1200)
        ]
    write_e4(
        tmp_path / "Raw_data" / "S35", 1200, start=1.6e9, replace={**files, "tags_S30.csv": None, "tags.csv": tags}
    )
    (tmp_path / "Processed_data").mkdir()
    table = tmp_path / "Processed_data" / "Improved_All_Combined_hr_rsp_binary.csv"
    table.write_text("\n".join(rows) + "\n")
    checks = own("stress-predict", Written(tmp_path, ()))
    presses = one(checks, "button presses")
    assert presses.passed
    assert "S30: press 1 at 230 s" in presses.found
    listed = one(checks, "table of labels has every subject")
    assert listed.passed  # S35 stands behind the last in the table, which may have been cut
    behind = one(checks, "goes on to the last subject")
    assert behind.incomplete
    assert "it ends with S30, and recordings of S35 are there" in behind.found
    table.write_text("\n".join(row.replace("2,70", "1,70") if row.startswith("2,") else row for row in rows) + "\n")
    assert one(own("stress-predict", Written(tmp_path, ())), "table of labels has every subject").passed is False


def test_a_table_of_eegmat_that_was_cut_is_said_to_be(tmp_path: Path) -> None:
    held = written("eegmat", tmp_path)
    (table,) = tmp_path.rglob("subject-info.csv")
    assert one(own("eegmat", held), "subject-info.csv has every subject").passed
    lost = max(expected.subject for expected in held.recordings)
    rows = table.read_text(encoding="utf-8-sig").splitlines()
    table.write_text("\n".join(row for row in rows if lost not in row) + "\n")
    check = one(own("eegmat", held), "subject-info.csv has every subject")
    assert check.passed is False
    assert check.found == f"nothing of {lost}: the table was cut, or is not the published one"


@pytest.mark.parametrize("name", ["eegmat", "cogwear", pytest.param("stress-predict", marks=pytest.mark.slow)])
def test_the_open_recordings_pass_all_checks_and_are_the_published_files(shared_data: Path, name: str) -> None:
    checks = validating.validate(name, shared_data / name)
    assert [check for check in checks if check.passed is False] == []
    (sums,) = [check for check in checks if "SHA-256" in check.what]
    found = re.match(r"(\d+) of the", sums.found)
    assert found is not None
    assert int(found[1]) >= 44
