"""Data sets on the command line: what they are, what is in a folder, whether it is right, copies in other formats."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from limbeck import cli, datasets
from limbeck.cli import inspection, printing
from limbeck.datasets import Check, DatasetInfo, inspecting
from limbeck.recording import Clock, LeftOut

runner = CliRunner()
KNOWN = DatasetInfo("made", ("eda",), 30, "", "", "", "gated", "")


def invoke(*arguments: object) -> Any:
    return runner.invoke(cli.app, ["datasets", *(str(argument) for argument in arguments)], prog_name="limbeck")


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Pretend that stdout is a terminal of so many columns."""
    from rich.console import Console

    def of(columns: int) -> None:
        monkeypatch.setattr(
            printing, "console", lambda: Console(highlight=False, force_terminal=True, no_color=True, width=columns)
        )

    return of


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A folder of CSV recordings: two subjects with two trials each."""
    root = tmp_path / "lab"
    rng = np.random.default_rng(0)
    for subject in ("anna", "bert"):
        for trial in ("t1", "t2"):
            file = root / "signals" / subject / f"{trial}.csv"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("eda,pulse\n" + "\n".join(f"{a:.4f},{b:.4f}" for a, b in rng.normal(5, 1, (160, 2))) + "\n")
    (root / "channels.csv").write_text("name,modality,unit,rate\neda,eda,uS,8\npulse,bvp,a.u.,8\n")
    rows = [f"{subject},{trial},{value}" for value, subject in ((3, "anna"), (4, "bert")) for trial in ("t1", "t2")]
    (root / "labels.csv").write_text("\n".join(["subject,trial,valence", *rows]) + "\n")
    return root


# ---- list and describe ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 160])
def test_the_list_fits_the_terminal_and_says_terms_way_and_what_was_verified(
    screen: Callable[[int], None], columns: int
) -> None:
    screen(columns)
    result = invoke("list")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= columns
    starts = [line for line in lines if line and not line.startswith(" ")]
    names = [re.split(r"[: ]", line)[0] for line in starts]
    assert [name for name in names if name in datasets.available()] == datasets.available()
    text = " ".join(result.stdout.split())
    for part in ("BSD-3-Clause", "limbeck datasets", "58"):
        assert part in text


def test_in_a_pipe_the_list_is_as_readable_as_on_a_terminal() -> None:
    text = invoke("list").stdout
    assert max(map(len, text.splitlines())) <= 100
    (block,) = re.findall(r"^deap: .*?(?=^\S)", text, flags=re.M | re.S)
    for part in ("32 subjects", "eeg", "EULA", "data_preprocessed_python.zip", "never tried on the real corpus"):
        assert part in " ".join(block.split())
    assert "describe NAME" in text.splitlines()[-1]


def test_describe_says_how_to_get_it_and_what_is_uncertain() -> None:
    result = invoke("describe", "ascertain")
    text = " ".join(result.stdout.split())
    for part in ("MHUG", "which clip a rating belongs to: option clip_order", "Subramanian", "clip_order='clip_id'"):
        assert part in text
    assert "validate has checks of its own" in text
    assert max(map(len, result.stdout.split("\n\n")[0].splitlines())) <= 100


# ---- inspect --------------------------------------------------------------------------------------------------------


def test_a_folder_is_guessed_and_what_is_in_it_is_told(lab: Path) -> None:
    result = invoke("inspect", lab, "--jobs", 1)
    assert result.exit_code == 0, result.output
    assert f"{lab} is read as csv" in result.stderr
    out = result.stdout
    assert out.startswith("csv: 2 subjects, 4 recordings, 80 s; 20 s each\n")
    assert re.search(r"^  bvp +8 Hz +pulse +a\.u\. +4 +2: anna, bert +80 s", out, flags=re.M)
    assert re.search(r"^  anna, bert +2 +2 +40 +bvp, eda$", out, flags=re.M)
    assert re.search(r"^  valence +4 +2 +3 to 4, median 3\.5$", out, flags=re.M)
    assert "Left out" not in out


def test_a_name_goes_with_a_root_and_options_are_yaml(lab: Path) -> None:
    result = invoke("inspect", "csv", "--root", lab, "--option", "subjects=[anna]", "--jobs", 1)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("csv: 1 subject, 2 recordings")
    assert "is read as" not in result.stderr


def test_without_a_root_a_data_set_is_looked_for_where_it_is_fetched_to(
    tmp_path: Path, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMBECK_DATA", str(tmp_path))
    lab.rename(tmp_path / "csv")
    assert invoke("inspect", "csv", "--jobs", 1).exit_code == 0
    result = invoke("inspect", "eegmat")
    assert result.exit_code == 2
    assert "limbeck datasets fetch eegmat" in result.stderr
    result = invoke("fetch", "cogwear")
    assert result.exit_code == 2
    text = " ".join(result.stderr.split())
    assert "only eegmat and stress-predict can be fetched. For cogwear: Limbeck cannot download it." in text
    assert "PhysioNet" in text
    result = invoke("fetch", "eegmatt")
    assert result.exit_code == 2
    assert "Did you mean 'eegmat'?" in result.stderr


def test_a_folder_that_is_called_like_a_data_set_is_not_passed_over_in_silence(
    tmp_path: Path, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMBECK_DATA", str(tmp_path / "nowhere"))
    monkeypatch.chdir(tmp_path)
    lab.rename(tmp_path / "csv")
    result = invoke("inspect", "csv", "--jobs", 1)
    assert result.exit_code == 2
    assert "write ./csv or --root csv" in result.stderr
    for arguments in (("./csv",), ("csv", "--root", "csv")):
        result = invoke("inspect", *arguments, "--jobs", 1)
        assert result.exit_code == 0
        assert "is taken for" not in result.stderr


def test_a_single_file_is_inspected(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    session = tmp_path / "1600000000_A1"
    session.mkdir()
    rows = ["1600000000.0", "4.0", *(f"{value:.3f}" for value in rng.normal(5, 1, 200))]
    (session / "EDA.csv").write_text("\n".join(rows) + "\n")
    result = invoke("inspect", session)
    assert result.exit_code == 0, result.output
    assert "is read as e4" in result.stderr
    assert "No labels" in result.stdout


def test_broken_files_are_told_and_only_nothing_readable_is_a_failure(lab: Path) -> None:
    broken = lab / "signals" / "anna" / "t1.csv"
    broken.write_text("eda,pulse\n1,x\n")
    result = invoke("inspect", lab, "--jobs", 1)
    assert result.exit_code == 0
    assert "; 1 cannot be read" in result.stdout
    assert "1, and 1 not read" in result.stdout
    assert re.search(r"^Left out: 1 item\n  \S+t1\.csv", result.stdout, flags=re.M)
    for file in lab.glob("signals/*/*.csv"):
        file.write_text("eda,pulse\n1,x\n")
    result = invoke("inspect", lab, "--jobs", 1)
    assert result.exit_code == 1
    assert "4 cannot be read" in result.stdout
    assert "(and 3 more like this; in all: anna, bert)" in result.stdout


def test_whose_signals_are_missing_is_told_by_name(lab: Path) -> None:
    for name in ("anna", "cleo", "dora"):
        (lab / "signals" / name).mkdir(exist_ok=True)
        (lab / "signals" / name / "t1.csv").write_bytes((lab / "signals" / "bert" / "t1.csv").read_bytes())
    file = lab / "signals" / "cleo" / "t1.csv"
    header, *rows = file.read_text().splitlines()
    blank = [f",{row.split(',')[1]}" for row in rows]
    file.write_text("\n".join([header, *rows[:40], *blank[40:120], *rows[120:]]) + "\n")
    file = lab / "signals" / "dora" / "t1.csv"
    file.write_text("\n".join(["pulse", *(row[1:] for row in blank)]) + "\n")
    out = invoke("inspect", lab, "--jobs", 1).stdout
    assert "Whose signals are missing, or not whole" in out
    assert re.search(r"^  eda +dora +no such signal +1 of 1$", out, flags=re.M), out
    assert re.search(r"^  eda +cleo +50\.0% +1 of 1$", out, flags=re.M), out


def test_parts_that_a_used_recording_lacks_are_notes(capsys: pytest.CaptureFixture[str]) -> None:
    def facts(subject: str) -> inspecting.RecordingFacts:
        note = LeftOut(f"/data/{subject}.csv", "the clock was set back; the samples are used")
        return inspecting.RecordingFacts(subject, "", "", 0, 1.0, {}, notes=(note,))

    held = tuple(facts(f"s{number:02d}") for number in (1, 2, 3, 7))
    notes = [note for each in held for note in each.notes]
    table = LeftOut("/data/labels.csv", "no such file; the recordings are read without labels")
    other = LeftOut("/data/odd.csv", "no header; it is not used")
    unread = inspecting.Unread("s09", "", "", LeftOut("/data/s09.csv", "is empty"))
    left_out = (other, table, unread.why, *notes)
    inspection.print_inspection(inspecting.Inspection("made", held, (unread,), left_out), KNOWN)
    out = capsys.readouterr().out
    before, _, after = out.partition("Notes on what is used: 5 items")
    assert "Left out: 2 items" in before
    assert "odd.csv" in before
    assert "s09.csv" in before
    assert "labels.csv" in after
    assert "(and 3 more like this; in all: s01 to s03, s07)" in after


def test_the_table_of_recordings_and_a_drawing_are_written(lab: Path, tmp_path: Path) -> None:
    table, drawing = tmp_path / "all.csv", tmp_path / "one.png"
    result = invoke(
        *("inspect", lab, "--csv", table, "--plot", drawing, "--subject", "bert", "--trial", "t2", "--modality", "eda"),
        *("--jobs", 1),
    )
    assert result.exit_code == 0, result.output
    assert "bert/t2 drawn to" in result.stderr
    assert drawing.read_bytes().startswith(b"\x89PNG")
    frame = pd.read_csv(table)
    assert list(zip(frame["subject"], frame["trial"], strict=True)) == [
        (s, t) for s in ("anna", "bert") for t in ("t1", "t2")
    ]
    assert frame["rating:valence"].tolist() == [3, 3, 4, 4]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("inspect",), 2, "give the name of a data set"),
        (("inspect", "eegmatt"), 2, "Did you mean 'eegmat'?"),
        (("inspect", "{lab}", "--root", "{lab}"), 2, "give its name with --root"),
        (("inspect", "{lab}", "--subject", "anna"), 2, "go with --plot"),
        (("inspect", "{lab}", "--option", "subjects"), 2, "KEY=VALUE"),
        (("inspect", "{lab}", "--option", "subjects=[a"), 2, "is no YAML"),
        (("inspect", "{lab}", "--option", "subject=a"), 2, "Did you mean 'subjects'?"),
        (("inspect", "{lab}", "--option", "subjects=5"), 2, "subject"),
        (("inspect", "deap", "--root", "{lab}", "--option", "release=foo"), 2, "release"),
        (("validate", "{lab}", "--option", "subjects=[nobody]"), 2, "nobody"),
        (("inspect", "{lab}", "--plot", "{lab}/labels.csv"), 2, "ends with .png"),
        (("inspect", "{lab}", "--plot", "x.png", "--subject", "ana"), 2, "no subject 'ana'. There are anna, bert."),
        (("inspect", "{lab}/signals/anna"), 1, "nothing that a reader knows"),
        (("validate", "nowhere"), 2, "no data set and no folder or file 'nowhere'"),
        (("convert", "{lab}", "--to", "edf", "--out", "x"), 2, "there is no format 'edf'"),
        (("convert", "{lab}", "--to", "zarr"), 2, "--out"),
    ],
)
def test_mistakes_are_met_with_what_was_meant(lab: Path, arguments: tuple[str, ...], code: int, says: str) -> None:
    result = invoke(*(argument.format(lab=lab) for argument in arguments))
    assert result.exit_code == code, result.output
    assert says in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.output
    assert not Path("x.png").exists()


def test_a_table_of_recordings_replaces_only_another_one(lab: Path, tmp_path: Path) -> None:
    labels = (lab / "labels.csv").read_bytes()
    result = invoke("inspect", lab, "--jobs", 1, "--csv", lab / "labels.csv")
    assert result.exit_code == 2
    assert "was not written by this command" in result.stderr
    assert (lab / "labels.csv").read_bytes() == labels
    for made in (True, False):
        result = invoke("inspect", lab, "--jobs", 1, "--csv", tmp_path / "new" / "all.csv")
        assert result.exit_code == 0
        assert ("new was made for it" in result.stderr) is made
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["all.csv"]
    (tmp_path / "file").write_text("")
    result = invoke("inspect", lab, "--jobs", 1, "--csv", tmp_path / "file" / "all.csv")
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[010, 08, 0]", ["010", "08", 0]),
        ("010", "010"),
        ("-7", -7),
        ("1e3", 1000.0),
        ("[.5, -2.25, 1.]", [0.5, -2.25, 1.0]),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2020-01-01", "2020-01-01"),
        ("{a: true, b: null}", {"a": True, "b": None}),
        ("0x10", "0x10"),
    ],
)
def test_names_of_digits_stay_names_and_numbers_are_numbers(text: str, value: object) -> None:
    from limbeck.cli import datasets as commands

    found = commands._options([f"subjects={text}"], "csv")["subjects"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "option", "says"),
    [
        ("stress-predict", "trim=long", "needs a number; found 'long'"),
        ("stress-predict", "trim=true", "needs a number; found True"),
        ("bids", "drop_bad=perhaps", "needs true or false"),
        ("ascertain", "gsr_column=1.5", "needs a whole number"),
        ("ascertain", "gsr_rate=[1]", "needs a number"),
    ],
)
def test_values_of_another_kind_are_mistakes_of_the_user(lab: Path, name: str, option: str, says: str) -> None:
    result = invoke("inspect", name, "--root", lab, "--option", option, "--jobs", 1)
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.split())


def test_a_folder_that_may_not_be_read_is_refused(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "iterdir", refuse)
        for arguments in ((lab,), ("csv", "--root", lab)):
            result = invoke("validate", *arguments)
            assert result.exit_code == 1
            assert "cannot be looked into: Permission denied" in result.stderr
    result = invoke("inspect", "x" * 300)
    assert result.exit_code == 1
    assert "cannot be looked into: File name too long" in result.stderr


def test_values_that_fit_are_taken() -> None:
    from limbeck.cli import datasets as commands

    assert commands._options(["trim=10"], "stress-predict") == {"trim": 10}
    given = ["gsr_rate=null", "gsr_column=3", "ecg_rate=2.5e2", "modalities=[ecg]"]
    wanted = {"gsr_rate": None, "gsr_column": 3, "ecg_rate": 250.0, "modalities": ["ecg"]}
    assert commands._options(given, "ascertain") == wanted


def inspected(subjects: int) -> inspecting.Inspection:
    """An inspection of many subjects, each with something of its own."""
    recordings = [
        inspecting.RecordingFacts(
            f"subject_with_a_long_name_{s:03d}",
            "morning",
            f"video{t:02d}",
            t,
            60.0 + s,
            {
                name: inspecting.SignalFacts(rate + s % 2, names, "µV", 0.0, 60.0, 0.01, 0, (), (), f"{s}{t}{name}")
                for name, rate, names in (("eeg", 512.0, tuple(f"E{k}" for k in range(64))), ("eda", 4.0, ("eda",)))
            },
            {"valence": float(t % 9), "arousal": float(s % 9)},
            {f"event{t % 30}": inspecting.EventFacts(1, 60.0, 0)},
            clocks={"eda": Clock(0.123456 * s, 12.3 * s, 0.001, ((1.0, 2.0),), "time stamps")},
        )
        for s in range(subjects)
        for t in range(40)
    ]
    left_out = tuple(
        LeftOut(f"/a/long/folder/s{k}.dat", f"/a/long/folder/s{k}.dat: found {k} rows; expected 9.") for k in range(300)
    )
    return inspecting.Inspection("made", tuple(recordings), (), left_out)


@pytest.mark.parametrize("columns", [80, 140])
def test_two_thousand_recordings_are_told_on_two_screens(
    screen: Callable[[int], None], capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    screen(columns)
    inspection.print_inspection(inspected(50), KNOWN)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("made: 50 of 30 subjects, 2,000 recordings")
    assert len(lines) < 110
    assert max(map(len, lines)) <= columns
    text = " ".join(" ".join(lines).split())
    assert "and 10 more" in text  # kinds of event
    assert "(and 299 more like this; in all: s0.dat to s299.dat)" in text
    assert "Clocks of their own" in text
    assert "ppm" in text


# ---- validate -------------------------------------------------------------------------------------------------------


def test_a_sound_folder_is_valid_and_ends_with_0(lab: Path) -> None:
    result = invoke("validate", lab, "--jobs", 1)
    assert result.exit_code == 0, result.output
    assert re.search(r"^passed +every recording can be read\n +4 recordings$", result.stdout, flags=re.M)
    assert re.search(r"^\d+ passed, 0 failed", result.stdout.splitlines()[-1])


def test_what_fails_is_named_and_ends_with_1_as_json_too(lab: Path) -> None:
    first, second = (lab / "signals" / "anna" / f"t{k}.csv" for k in (1, 2))
    second.write_bytes(first.read_bytes())
    result = invoke("validate", "csv", "--root", lab, "--jobs", 1)
    assert result.exit_code == 1
    assert re.search(
        r"^FAILED +no two recordings hold the same signal\n +eda of anna/t1 and anna/t2", result.stdout, flags=re.M
    )
    result = invoke("validate", "csv", "--root", lab, "--jobs", 1, "--json")
    assert result.exit_code == 1
    checks = {check["what"]: check for check in json.loads(result.stdout)}
    assert checks["no two recordings hold the same signal"]["passed"] is False
    assert checks["every recording can be read"]["passed"] is True


def test_a_check_that_is_not_possible_is_told_apart_from_one_that_failed(capsys: pytest.CaptureFixture[str]) -> None:
    inspection.print_checks([Check("a", True), Check("b", None, "no table"), Check("c", False, "row 3")])
    assert capsys.readouterr().out.splitlines() == [
        "passed        a",
        "not possible  b",
        "                no table",
        "FAILED        c",
        "                row 3",
        "",
        "1 passed, 1 failed, 1 not possible",
    ]


def test_what_is_incomplete_is_a_state_of_its_own_and_lines_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    inspection.print_checks([Check("a", None, "1 of 2", incomplete=True), Check("b", False, "2 cannot:\nx\ny")])
    assert capsys.readouterr().out.splitlines() == [
        "incomplete    a",
        "                1 of 2",
        "FAILED        b",
        "                2 cannot:",
        "                x",
        "                y",
        "",
        "0 passed, 1 failed, 1 incomplete",
    ]


def test_of_very_many_checks_those_that_passed_alike_are_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    made = [Check(f"sub-{k:02d}/x_{k}.tsv has a sidecar", k != 7, f"found {k}") for k in range(99)]
    inspection.print_checks(made)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 10
    assert any("(and 97 more like this)" in line for line in lines)
    assert any(line.startswith("FAILED        sub-07/x_7.tsv") for line in lines)
    assert lines[-1] == "98 passed, 1 failed"


# ---- convert --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("to", "read_as"), [("BIDS", "bids"), ("bids", "bids"), ("zarr", "zarr")])
def test_a_folder_is_converted_and_its_copy_is_guessed_and_read(
    lab: Path, tmp_path: Path, to: str, read_as: str
) -> None:
    out = tmp_path / "copy"
    result = invoke("convert", lab, "--to", to, "--out", out, "--jobs", 1)
    assert result.exit_code == 0, result.output
    assert re.fullmatch(rf"4 recordings written to {re.escape(str(out))}, [\d.]+ \w+\n", result.stdout)
    copy = invoke("inspect", out, "--jobs", 1)
    assert f"is read as {read_as}" in copy.stderr
    assert re.match(rf"{read_as}: 2 subjects, 4 recordings", copy.stdout)


def test_a_folder_that_is_not_empty_is_never_written_to(lab: Path) -> None:
    result = invoke("convert", lab, "--to", "zarr", "--out", lab, "--jobs", 1)
    assert result.exit_code == 2
    assert sorted(path.name for path in lab.iterdir()) == ["channels.csv", "labels.csv", "signals"]


def test_nothing_is_written_into_the_folder_that_is_read(lab: Path) -> None:
    for arguments in ((lab,), ("csv", "--root", lab)):
        result = invoke("convert", *arguments, "--to", "zarr", "--out", lab / "signals" / "copy", "--jobs", 1)
        assert result.exit_code == 2
        assert "the folder of the data set itself" in result.stderr
    assert sorted(path.name for path in (lab / "signals").iterdir()) == ["anna", "bert"]


def test_the_terms_of_the_original_are_said(tmp_path: Path) -> None:
    result = invoke(
        "convert", "simulated", "--to", "zarr", "--out", tmp_path / "z", "--option", "subjects=2", "--jobs", 1
    )
    assert result.exit_code == 0, result.output
    assert "terms of simulated: BSD-3-Clause" in result.stderr


# ---- interrupted ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "function", "goes_on"),
    [
        (("fetch", "eegmat"), "limbeck.datasets.fetch.fetch", True),
        (("inspect", "{lab}", "--jobs", "1"), "limbeck.datasets.inspecting.inspect", False),
        (("validate", "{lab}", "--jobs", "1"), "limbeck.datasets.validating.validate", False),
    ],
)
def test_only_what_goes_on_where_it_stopped_says_so(
    lab: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], function: str, goes_on: bool
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(function, stop)
    result = invoke(*(argument.format(lab=lab) for argument in arguments))
    assert result.exit_code == 130
    assert "stopped" in result.stderr
    assert ("go on where it stopped" in result.stderr) is goes_on
