"""Reading Stress-Predict."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from limbeck.datasets import load
from limbeck.errors import DataError, ReadError
from limbeck.recording import Corpus, Recording

Write = Callable[..., Path]
START = 1_600_000_000.0
TASKS = ((130, 330), (400, 800), (860, 960))
SECONDS = 1200
TABLE = Path("Processed_data") / "Improved_All_Combined_hr_rsp_binary.csv"


@pytest.fixture
def corpus(tmp_path: Path, write_e4: Write) -> Callable[..., Path]:
    """Write a corpus of some subjects: their tags in seconds, and the tasks that the table of labels has of them."""

    def write(
        tags: dict[int, Sequence[float]],
        labels: dict[int, Sequence[tuple[int, int]]] | None = None,
        replace: dict[str, str | bytes | None] | None = None,
        start: float = START,
    ) -> Path:
        for number, times in tags.items():
            name = f"S{number:02d}"
            text = "".join(f"{start + time:.2f}\r\n" for time in times)
            files = {"tags.csv": None, f"tags_{name}.csv": text, **(replace or {})}
            write_e4(tmp_path / "Raw_data" / name, SECONDS, start=start, replace=files)
        if labels is not None:
            rows = ["Participant,HR,respr,Time(sec),Label"]
            for number, tasks in labels.items():
                seconds = np.arange(9, SECONDS)
                stressed = np.any([(seconds >= a) & (seconds < b) for a, b in tasks], axis=0)
                rows += [f"{number},70,12.5,{start + s:.0f},{int(x)}" for s, x in zip(seconds, stressed, strict=True)]
            (tmp_path / "Processed_data").mkdir(exist_ok=True)
            (tmp_path / TABLE).write_text("\n".join(rows) + "\n")
        return tmp_path

    return write


def flat(tasks: Sequence[tuple[float, float]]) -> list[float]:
    return [time for task in tasks for time in task]


def spans(recording: Recording) -> list[tuple[str, float, float]]:
    return [(event.name, event.start, event.end) for event in recording.events]


def only(corpus: Corpus) -> Recording:
    (recording,) = corpus
    return recording


SCHEDULE = [
    ("rest", 30, 130),
    ("stroop", 130, 330),
    ("rest", 330, 400),
    ("interview", 400, 800),
    ("rest", 800, 860),
    ("hyperventilation", 860, 960),
    ("rest", 960, SECONDS - 30),
]


def test_labels_give_the_tasks_and_rest_lies_before_between_and_after(corpus: Callable[..., Path]) -> None:
    listed = load("stress-predict", corpus({2: [*flat(TASKS), 1100]}, {2: TASKS}))
    assert spans(only(listed)) == SCHEDULE
    assert listed.left_out == []


def test_the_first_six_tags_serve_where_the_table_lacks_the_participant(corpus: Callable[..., Path]) -> None:
    listed = load("stress-predict", corpus({30: [*flat(TASKS), 1100, 1150]}, {2: TASKS}))
    assert spans(only(listed)) == SCHEDULE
    assert listed.left_out == []


@pytest.mark.parametrize("early", [[0], [3, 6], [0, 1, 2, 3, 4, 5, 6]])
@pytest.mark.parametrize("labelled", [True, False])
def test_tags_half_a_day_early_are_put_right(corpus: Callable[..., Path], early: list[int], labelled: bool) -> None:
    tags = np.array([*flat(TASKS), 1100.0])
    tags[early] -= 43_200
    listed = load("stress-predict", corpus({31: tags}, {31: TASKS} if labelled else {2: TASKS}))
    assert spans(only(listed)) == SCHEDULE
    assert listed.left_out == [], "corrected tags agree with the labels"


def test_tags_that_disagree_with_the_labels_are_noted_and_the_labels_used(corpus: Callable[..., Path]) -> None:
    tags = [100.0, 331.0, *flat(TASKS)[2:]]
    listed = load("stress-predict", corpus({17: tags}, {17: TASKS}))
    assert spans(only(listed)) == SCHEDULE
    (note,) = listed.left_out
    assert note.what.endswith("S17: button presses")
    assert "press 1 at 100 s (labels: 130 s)" in note.why
    assert "press 2" not in note.why, "a second off is agreement"


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ([], "found 0 button presses; expected six"),
        ([130, 330, 400], "found 3 button presses; expected six"),
        (
            [400, 800, 860, 960, 1000, 1100],
            "found interview from 860 to 960 s",
        ),  # the presses of the Stroop are missing
        ([130, 330, 400, 800, 860, 1190], "found hyperventilation from 860 to 1190 s"),
        ([600, 800, 100, 500, 860, 960], "one after the other"),
    ],
)
def test_a_subject_whose_tags_cannot_be_the_tasks_is_left_out_and_the_rest_read(
    corpus: Callable[..., Path], tags: list[float], message: str
) -> None:
    listed = load("stress-predict", corpus({30: tags, 31: flat(TASKS)}, {2: TASKS}))
    assert [recording.subject for recording in listed] == ["S31"]
    assert message in listed.left_out[0].why


def test_sessions_with_known_quirks_have_their_intervals_without_the_table(corpus: Callable[..., Path]) -> None:
    # The tenth of a published session is enough to see that its own intervals are taken, and cut where samples end.
    listed = load("stress-predict", corpus({1: [5, 6, 7]}, {2: TASKS}, start=1_644_226_061.0))
    assert spans(only(listed)) == [
        ("rest", 30, 79),
        ("stroop", 79, 374),
        ("rest", 374, 1031),
        ("interview", 1031, SECONDS - 30),
    ]
    assert any("interview until 1596 s" in item.why for item in listed.left_out)


def test_without_the_table_the_tags_serve_and_its_absence_is_noted(corpus: Callable[..., Path]) -> None:
    listed = load("stress-predict", corpus({2: flat(TASKS)}))
    assert spans(only(listed)) == SCHEDULE
    assert "no such file" in listed.left_out[0].why
    assert listed.left_out[0].what.endswith(TABLE.name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: "", "found an empty file"),
        (lambda t: t.replace("Label", "Stress"), "found the columns"),
        (lambda t: t.replace(",", ";"), "found the columns"),
        (lambda t: t.replace("\n2,", "\n2,9,9,", 1), "row 2: found more fields"),
        (lambda t: t.replace("\n2,", "\n2,9,9,"), "row 2: found more fields"),
        (lambda t: t[:9000] + ",9,9" + t[9000:], "Expected 5 fields"),
    ],
)
def test_a_table_that_cannot_be_read_is_noted_and_the_tags_serve(
    corpus: Callable[..., Path], change: Callable[[str], str], message: str
) -> None:
    root = corpus({2: flat(TASKS)}, {2: TASKS})
    (root / TABLE).write_text(change((root / TABLE).read_text()))
    listed = load("stress-predict", root)
    assert spans(only(listed)) == SCHEDULE
    assert message in listed.left_out[0].why


@pytest.mark.parametrize(
    "bad",
    [
        "2,70,12.5,soon,1",
        "2,70,12.5,1e999700000000,1",
        "2,70,12.5,1600000500,2",
        "2,70,12.5,1600000500,",
        "2,70",
    ],
)
def test_a_bad_row_of_the_table_costs_that_participants_labels_and_is_named(
    corpus: Callable[..., Path], bad: str
) -> None:
    root = corpus({2: flat(TASKS), 3: flat(TASKS)}, {2: TASKS, 3: [(10, 20)]})
    lines = (root / TABLE).read_text().split("\n")
    lines[500] = bad
    (root / TABLE).write_text("\n".join(lines))
    listed = load("stress-predict", root)
    assert [spans(recording) for recording in listed] == [SCHEDULE, SCHEDULE]
    row, runs = listed.left_out
    assert row.what.endswith("row 501")
    assert "labels of participant 2 not used" in row.why
    assert "S03" in runs.what
    assert "expected three" in runs.why


def test_the_table_reads_the_same_with_byte_order_mark_and_crlf(corpus: Callable[..., Path]) -> None:
    root = corpus({2: []}, {2: TASKS})
    text = (root / TABLE).read_text()
    (root / TABLE).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert spans(only(load("stress-predict", root))) == SCHEDULE


def test_signals_are_cut_to_the_shortest_sensor_and_trimmed(
    corpus: Callable[..., Path], e4_files: Callable[..., dict[str, str]]
) -> None:
    shorter = e4_files(SECONDS - 5)["EDA.csv"]
    recording = only(load("stress-predict", corpus({2: flat(TASKS)}, {2: TASKS}, replace={"EDA.csv": shorter})))
    ends = {name: signal.end for name, signal in recording.signals.items()}
    assert ends == dict.fromkeys(("acc", "bvp", "eda", "temp"), SECONDS - 5 - 30)
    assert {signal.start for signal in recording.signals.values()} == {30.0}
    assert recording.events[-1].end == SECONDS - 35
    assert recording.traces["hr"].times[0] == 30


def test_a_sensor_that_stopped_long_before_the_others_does_not_shorten_them(
    corpus: Callable[..., Path], e4_files: Callable[..., dict[str, str]]
) -> None:
    listed = load(
        "stress-predict",
        corpus({2: flat(TASKS)}, {2: TASKS}, replace={"TEMP.csv": e4_files(300)["TEMP.csv"]}),
    )
    recording = only(listed)
    assert recording.signals["temp"].end == 300
    assert recording.signals["eda"].end == SECONDS - 30
    assert "stops at 300 s of 1200 s" in listed.left_out[0].why


def test_trim_is_an_option(corpus: Callable[..., Path]) -> None:
    root = corpus({2: flat(TASKS)}, {2: TASKS})
    assert only(load("stress-predict", root, trim=0)).events[0].start == 0
    listed = load("stress-predict", root, trim=600)
    assert list(listed) == []
    assert "more than twice the trim" in listed.left_out[0].why


def test_subjects_can_be_chosen_by_name_or_number(corpus: Callable[..., Path]) -> None:
    root = corpus(dict.fromkeys((2, 7, 30), flat(TASKS)))
    assert load("stress-predict", root).subjects == ("S02", "S07", "S30")
    assert load("stress-predict", root, subjects=["S30", 2]).subjects == ("S02", "S30")
    with pytest.raises(DataError, match=r"no subject 'S70'\. Did you mean 'S07'\?.*'S99'|'S70'.*'S99'"):
        load("stress-predict", root, subjects=[70, "S99"])


def test_the_corpus_is_found_where_an_archive_unpacked_it(corpus: Callable[..., Path], tmp_path: Path) -> None:
    corpus({2: flat(TASKS)}, {2: TASKS})
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "Stress-Predict-Dataset-main").mkdir()
    for name in ("Raw_data", "Processed_data"):
        (tmp_path / name).rename(tmp_path / "home" / "Stress-Predict-Dataset-main" / name)
    assert spans(only(load("stress-predict", tmp_path / "home"))) == SCHEDULE
    raw = tmp_path / "home" / "Stress-Predict-Dataset-main" / "Raw_data"
    assert load("stress-predict", raw).left_out == []


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Raw_data").mkdir()
    with pytest.raises(ReadError, match=r"found no Raw_data/S01"):
        load("stress-predict", tmp_path)


def test_links_out_of_the_corpus_are_left_out(corpus: Callable[..., Path], tmp_path: Path, write_e4: Write) -> None:
    root = corpus({2: flat(TASKS)}, {2: TASKS})
    elsewhere = write_e4(tmp_path.parent / f"{tmp_path.name}-elsewhere", 60)
    (root / "Raw_data" / "S03").symlink_to(elsewhere)
    listed = load("stress-predict", root)
    assert listed.subjects == ("S02",)
    assert "link" in listed.left_out[0].why


def test_a_linked_folder_of_subjects_is_told_once_with_the_real_one(
    corpus: Callable[..., Path], tmp_path: Path
) -> None:
    root = corpus(dict.fromkeys((2, 7, 30), flat(TASKS)))
    home = tmp_path / "home"
    home.mkdir()
    (home / "Raw_data").symlink_to(root / "Raw_data")
    listed = load("stress-predict", home)
    links = [entry for entry in listed.left_out if "link" in entry.why and "Raw_data" in entry.what]
    assert len(listed) == 0
    assert [entry.what for entry in links] == [f"{home / 'Raw_data' / 'S02'} and 2 more"]
    assert f"pass the real folder ({(root / 'Raw_data').resolve()})" in links[0].why


def test_sources_carry_the_labels_and_change_with_them(corpus: Callable[..., Path]) -> None:
    (source,) = load("stress-predict", corpus({2: flat(TASKS)}, {2: TASKS})).sources
    assert spans(pickle.loads(pickle.dumps(source)).read()) == SCHEDULE
    (other,) = load("stress-predict", corpus({2: flat(TASKS)}, {2: [(131, 330), *TASKS[1:]]})).sources
    assert source.fingerprint() != other.fingerprint()


def test_the_real_recordings_read_as_their_notes_say(shared_data: Path) -> None:
    listed = load("stress-predict", shared_data / "stress-predict")
    recordings = {recording.subject: recording for recording in listed}
    assert len(recordings) == 25
    names = ["rest", "stroop", "rest", "interview", "rest", "hyperventilation", "rest"]
    for recording in recordings.values():
        assert [event.name for event in recording.events] == names
        assert {m: s.rate for m, s in recording.signals.items()} == {"acc": 32, "bvp": 64, "eda": 4, "temp": 4}
        assert np.linalg.norm(recording.signals["acc"].data, axis=0).mean() == pytest.approx(1, abs=0.05)
        assert 20 < np.median(recording.signals["temp"].data) < 37
        assert all(np.isfinite(signal.data).all() for signal in recording.signals.values())
        assert recording.signals["eda"].data[0, 0] > 0, "the first sample of the file, a zero, is trimmed"
        ends = [signal.end for signal in recording.signals.values()]
        assert recording.events[-1].end <= min(ends) <= max(ends) <= recording.events[-1].end + 0.25
    for subject, tasks in {
        "S01": ((79, 374), (1031, 1596), (1930, 2072)),
        "S06": ((600, 960), (1320, 1980), (2280, 2400)),
        "S17": ((671, 1031), (1361, 1991), (2339, 2435)),
    }.items():
        found = [(e.start, e.end) for e in recordings[subject].events if e.name != "rest"]
        assert found == list(tasks)
    noted = sorted({Path(item.what.partition(":")[0]).name for item in listed.left_out})
    assert noted == ["S06", "S17", "S18"], "only these have presses that contradict the labels"


def test_real_tags_alone_give_the_same_tasks_as_the_labels(shared_data: Path) -> None:
    from limbeck.datasets.e4 import load_session
    from limbeck.datasets.stress_predict import read_labels, task_intervals

    root = shared_data / "stress-predict"
    labels, _ = read_labels(root / TABLE)
    for number in (2, 9, 18, 25):
        session = load_session(root / "Raw_data" / f"S{number:02d}")
        by_labels, _ = task_intervals(session, labels[number], "")
        by_tags, _ = task_intervals(session, None, "")
        np.testing.assert_allclose(by_tags, by_labels, atol=4.5 if number == 18 else 1)
