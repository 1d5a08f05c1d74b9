"""The student that ships says of a new recording what its network says of the same windows cut by hand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyedflib
import pytest
import torch

from limbeck import from_arrays
from limbeck.errors import LimbeckError
from limbeck.study import Plan, make_plan, parse_study, predict_files
from limbeck.study import deploy as room
from limbeck.study.store import Store
from limbeck.study.tasks import REFIT, run_task

Definition = Callable[..., dict[str, Any]]
PlanOf = Callable[..., Plan]

LENGTH, HOP = 4, 2
RATE = 4
START = 1_600_000_000.0
CALIBRATION = {"calibration": {"condition": "rest", "seconds": 8}}


def refit(plan: Plan, run: Path) -> Path:
    """Refit the deployed stage of every variant and write the students."""
    for number, variant in enumerate(plan.variants):
        for name in variant.refit_stages():
            run_task(variant.task(name, "refit", plan.store, epochs=20))
        room.write(variant, plan.store, run / "deployed" / f"student{number}")
    return run


@pytest.fixture
def deploy(plan_of: PlanOf, tmp_path: Path) -> Callable[..., Path]:
    """Refit the deployed stage of every variant of a definition, write the students and return their run."""
    return lambda definition: refit(plan_of(definition), tmp_path / "run")


@pytest.fixture(scope="session")
def skin(tiny: Definition) -> Callable[..., dict[str, Any]]:
    """Make a study whose student reads the statistics of skin conductance, as any rate gives them."""
    kinds = ["mean", "sd", "min", "max"]

    def make(**changes: Any) -> dict[str, Any]:
        steps = [{"features": [{"statistics": {"kinds": kinds}}]}]
        definition = tiny(windows={"hop": HOP}, refit="all", **changes)
        definition["signals"]["eda"] = steps
        definition["stages"]["alone"]["training"] = {"learning_rate": 0.05}
        return definition

    return make


def write_e4(folder: Path, eda: np.ndarray | None, *, rate: float = RATE, start: float = START) -> Path:
    """Write an E4 session with skin conductance (µS) and temperature."""
    folder.mkdir(parents=True)

    def text(values: np.ndarray, hz: float) -> str:
        return "\n".join([f"{start:.6f}", f"{hz:.6f}", *(f"{value:.6f}" for value in values)]) + "\n"

    if eda is not None:
        (folder / "EDA.csv").write_text(text(eda, rate))
    (folder / "TEMP.csv").write_text(text(33 + 0.01 * np.arange(160), 4))
    return folder


def statistics(eda: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The features of windows, cut by hand."""
    cut = np.stack([eda[int(start * RATE) : int((start + LENGTH) * RATE)] for start in starts])
    return np.stack([cut.mean(1), cut.std(1), cut.min(1), cut.max(1)], axis=1)


def said_by_hand(plan: Plan, scaled: np.ndarray) -> np.ndarray:
    """What the refitted linear student says of normalised features: probabilities."""
    variant = plan.variants[0]
    (state,) = Store(plan.out / "store").states(variant.stages["taught"].key, ("refit",), [REFIT])
    values = {name: value.numpy().astype(float) for name, value in state.items()}
    (weight,) = [value for value in values.values() if value.ndim == 2]
    (bias,) = [value for value in values.values() if value.ndim == 1]
    from limbeck.models import InputShape, build

    network = build("linear", {"eda": InputShape(4)}, 2)
    network.load_state_dict({name.removeprefix("network."): value for name, value in state.items()})
    import torch

    logits = network({"eda": torch.from_numpy(scaled.astype(np.float32))}).prediction.detach().numpy().astype(float)
    assert weight.shape == (2, 4)
    assert bias.shape == (2,)
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


@pytest.fixture
def eda(rng: np.random.Generator) -> np.ndarray:
    """Forty seconds of skin conductance."""
    return np.round(2 + np.cumsum(rng.normal(0, 0.05, 40 * RATE)), 6)


def probabilities(predictions: pd.DataFrame) -> np.ndarray:
    return predictions[["p_calm", "p_aroused"]].to_numpy()


# ---- the three modes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clip", [{}, {"eda": 1.0}], ids=["whole", "clipped"])
def test_a_student_scaled_by_its_training_says_what_its_network_says(
    skin: Definition,
    deploy: Callable[..., Path],
    plan_of: PlanOf,
    tmp_path: Path,
    eda: np.ndarray,
    clip: dict[str, float],
) -> None:
    definition = skin(clip=clip)
    run = deploy(definition)
    predictions, corpus = predict_files(run, [write_e4(tmp_path / "P01", eda)])
    plan = plan_of(definition)
    trained = plan.variants[0].dataset["eda"].to_numpy()
    starts = np.arange(0, 40 - LENGTH + 1, HOP)
    scaled = (statistics(eda, starts) - trained.mean(axis=0)) / trained.std(axis=0)
    scaled = scaled.clip(-clip["eda"], clip["eda"]) if clip else scaled
    np.testing.assert_allclose(probabilities(predictions), said_by_hand(plan, scaled), atol=1e-4)
    assert predictions["start"].tolist() == starts.tolist()
    assert predictions["end"].tolist() == (starts + LENGTH).tolist()
    assert set(predictions["recording"]) == {"P01"}
    winner = np.array(["calm", "aroused"])[probabilities(predictions).argmax(axis=1)]
    assert predictions["prediction"].tolist() == winner.tolist()
    assert not [entry for entry in corpus.left_out if "EDA" in entry.what or entry.what == "P01"]


def test_a_transductive_student_is_scaled_by_the_whole_of_each_recording(
    skin: Definition, deploy: Callable[..., Path], plan_of: PlanOf, tmp_path: Path, eda: np.ndarray
) -> None:
    definition = skin(normalise="transductive")
    run = deploy(definition)
    files = [write_e4(tmp_path / "P01", eda), write_e4(tmp_path / "P02", 5 + 3 * eda)]
    predictions, _ = predict_files(run, files)
    features = statistics(eda, np.arange(0, 40 - LENGTH + 1, HOP))
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    expected = said_by_hand(plan_of(definition), scaled)
    # Gain and offset of a person are scaled away, so both recordings come to the same.
    for name in ("P01", "P02"):
        own = predictions[predictions["recording"] == name]
        np.testing.assert_allclose(probabilities(own), expected, atol=1e-4)


def test_a_calibrated_student_is_scaled_by_the_first_seconds_and_predicts_what_follows(
    skin: Definition, deploy: Callable[..., Path], plan_of: PlanOf, tmp_path: Path, eda: np.ndarray
) -> None:
    definition = skin(normalise=CALIBRATION)
    run = deploy(definition)
    predictions, _ = predict_files(run, [write_e4(tmp_path / "P01", eda)])
    starts = np.arange(8, 40 - LENGTH + 1, HOP)
    rest = statistics(eda, np.arange(0, 8 - LENGTH + 1, HOP))
    scaled = (statistics(eda, starts) - rest.mean(axis=0)) / rest.std(axis=0)
    assert predictions["start"].tolist() == starts.tolist()
    np.testing.assert_allclose(probabilities(predictions), said_by_hand(plan_of(definition), scaled), atol=1e-4)


def test_a_recording_that_ends_within_its_calibration_is_left_out(
    skin: Definition, deploy: Callable[..., Path], tmp_path: Path, eda: np.ndarray
) -> None:
    run = deploy(skin(normalise=CALIBRATION))
    long, short = write_e4(tmp_path / "long", eda), write_e4(tmp_path / "short", eda[: 8 * RATE])
    predictions, corpus = predict_files(run, [long, short])
    assert set(predictions["recording"]) == {"long"}
    assert any(entry.what == "short" and "the first 8 s are not predicted" in entry.why for entry in corpus.left_out)
    with pytest.raises(LimbeckError, match="no window to predict"):
        predict_files(run, [short])


# ---- other kinds of student -----------------------------------------------------------------------------------------


def test_a_headband_is_read_from_edf_channel_by_channel(
    tiny: Definition, deploy: Callable[..., Path], tmp_path: Path, rng: np.random.Generator
) -> None:
    bands = [{"features": [{"bandpower": {"bands": {"alpha": [8, 13], "beta": [13, 30]}}}]}]
    definition = tiny(
        data={"options": {"modalities": ["eeg", "eda"], "subjects": 4}},
        signals={"eeg": bands, "temp": None},
        stages={"teacher": {"inputs": ["eeg", "eda"]}, "alone": {"inputs": {"eeg": ["O1", "Fp2"]}}},
        protocol={"split": 2, "labelled": "all", "validation": 0},
        refit="all",
    )
    run = deploy(definition)
    signals = {name: rng.normal(0, 10 * (k + 1), 20 * 128) for k, name in enumerate(("Fp1", "Fp2", "Cz", "O1"))}
    forward, _ = predict_files(run, [write_edf(tmp_path / "a.edf", signals)])
    backward, _ = predict_files(run, [write_edf(tmp_path / "b.edf", dict(reversed(signals.items())))])
    assert len(forward) == 5
    # Channels are found by their names, wherever they stand in the file.
    np.testing.assert_allclose(probabilities(forward), probabilities(backward), atol=1e-6)
    exchanged = signals | {"O1": signals["Fp2"], "Fp2": signals["O1"]}
    other, _ = predict_files(run, [write_edf(tmp_path / "c.edf", exchanged)])
    assert np.abs(probabilities(forward) - probabilities(other)).max() > 1e-3
    del signals["O1"]
    with pytest.raises(LimbeckError, match="eeg has no channel 'O1'"):
        predict_files(run, [write_edf(tmp_path / "d.edf", signals)])


def test_channels_that_are_made_of_others_need_the_channels_of_the_training(
    tiny: Definition, deploy: Callable[..., Path], tmp_path: Path, rng: np.random.Generator
) -> None:
    steps = [{"reference": "average"}, {"features": [{"bandpower": {"bands": {"alpha": [8, 13]}}}]}]
    run = deploy(
        tiny(
            data={"options": {"modalities": ["eeg", "eda"], "subjects": 4}},
            signals={"eeg": steps, "temp": None},
            stages={"teacher": {"inputs": ["eeg", "eda"]}, "alone": {"inputs": {"eeg": ["Fp1", "Fp2"]}}},
            protocol={"split": 2, "labelled": "all", "validation": 0},
            refit="all",
        )
    )
    names = ("Fp1", "Fp2", "F3", "F4", "C3", "C4", "O1", "O2")
    cap = {name: rng.normal(0, 10, 20 * 128) for name in names}
    whole, _ = predict_files(run, [write_edf(tmp_path / "cap.edf", cap)])
    assert len(whole) == 5
    two = {name: cap[name] for name in ("Fp1", "Fp2")}
    with pytest.raises(LimbeckError, match=r"a step .* makes each channel of others, too; .* here they are Fp1, Fp2"):
        predict_files(run, [write_edf(tmp_path / "two.edf", two)])


def write_edf(path: Path, signals: dict[str, np.ndarray], rate: int = 128) -> Path:
    with pyedflib.EdfWriter(str(path), len(signals), file_type=pyedflib.FILETYPE_EDF) as file:
        file.setSignalHeaders(
            [
                {
                    "label": f"EEG {name}",
                    "dimension": "uV",
                    "sample_frequency": rate,
                    "physical_min": -500.0,
                    "physical_max": 500.0,
                    "digital_min": -32768,
                    "digital_max": 32767,
                    "transducer": "",
                    "prefilter": "",
                }
                for name in signals
            ]
        )
        file.writeSamples([np.ascontiguousarray(values) for values in signals.values()])
    return path


def test_a_student_of_signals_refuses_another_rate_and_takes_it_after_resampling(
    tiny: Definition, deploy: Callable[..., Path], tmp_path: Path, eda: np.ndarray
) -> None:
    def definition(steps: list[Any]) -> dict[str, Any]:
        stages = {
            "teacher": {"model": "fusion_cnn"},
            "alone": {"model": {"name": "student_cnn", "width": 4}},
            "taught": {"loss": {"hint": {"teacher": "fused", "student": "embedding"}}},
        }
        changed = tiny(stages=stages, refit="all", compare=[])
        changed["signals"] = {"eda": steps, "temp": []}
        changed["deploy"] = "taught"
        return changed

    session = write_e4(tmp_path / "P01", eda)
    run = deploy(definition([]))
    with pytest.raises(LimbeckError, match=r"rate 4\.0 instead of 8\.0") as caught:
        predict_files(run, [session])
    assert "samples 16 instead of 32" in str(caught.value)
    weights = room.load(run).network.state_dict()
    assert not [name for name in weights if "projector" in name]
    shutil.rmtree(run)
    predictions, _ = predict_files(deploy(definition([{"resample": 4}])), [session])
    assert len(predictions) == 10
    assert np.allclose(probabilities(predictions).sum(axis=1), 1, atol=1e-5)


def test_a_trace_is_predicted_as_a_value(
    skin: Definition, deploy: Callable[..., Path], tmp_path: Path, eda: np.ndarray
) -> None:
    definition = skin(compare=[], deploy="taught")
    definition["target"] = {"name": "arousal", "trace": "arousal", "within": ["calm", "aroused"]}
    definition["stages"]["taught"]["loss"] = {"hard": 1, "soft": 1}
    predictions, _ = predict_files(deploy(definition), [write_e4(tmp_path / "P01", eda)])
    assert list(predictions.columns) == ["recording", "start", "end", "prediction", "quality"]
    assert predictions["prediction"].dtype.kind == "f"
    assert predictions["prediction"].nunique() > 5


def test_predictions_say_how_far_their_windows_can_be_believed(
    skin: Definition, deploy: Callable[..., Path], tmp_path: Path, eda: np.ndarray
) -> None:
    off = np.maximum(eda, 1.0)
    off[len(eda) // 2 :] = 0.0  # off the skin
    session = write_e4(tmp_path / "P01", off)
    plain, _ = predict_files(deploy(skin()), [session])
    half = len(eda) / RATE / 2
    before, behind = plain["end"] <= half - 6, plain["start"] >= half
    assert (plain["quality"][before] > 0.9).all()
    assert (plain["quality"][behind] == 0).all()
    assert "believed" not in plain
    shutil.rmtree(tmp_path / "run")
    asked, _ = predict_files(deploy(skin(protocol={"minimum_quality": {"eda": 0.3, "temp": 0.2}})), [session])
    assert asked["start"].tolist() == plain["start"].tolist()  # poor windows are told apart, not withheld
    assert asked["believed"].tolist() == (asked["quality"] >= 0.3).tolist()
    assert 0 < asked["believed"].sum() < len(asked)


# ---- what cannot be predicted ---------------------------------------------------------------------------------------


def test_what_cannot_be_read_is_listed_and_the_rest_is_predicted(
    skin: Definition, deploy: Callable[..., Path], tmp_path: Path, eda: np.ndarray
) -> None:
    run = deploy(skin())
    good = write_e4(tmp_path / "good", eda)
    without = write_e4(tmp_path / "without", None)
    garbled = write_e4(tmp_path / "garbled", eda)
    lines = (garbled / "EDA.csv").read_text().splitlines()
    (garbled / "EDA.csv").write_text("\n".join([*lines[:9], "oops", *lines[10:]]))
    predictions, corpus = predict_files(run, [garbled, good, without])
    assert set(predictions["recording"]) == {"good"}
    why = {entry.what: entry.why for entry in corpus.left_out}
    assert "eda" in why["without"]
    assert any("oops" in reason for reason in why.values())
    with pytest.raises(LimbeckError, match="no window to predict") as caught:
        predict_files(run, [without])
    assert "eda" in str(caught.value)


def test_a_student_that_does_without_a_sensor_predicts_recordings_that_lack_one(
    tiny: Definition, deploy: Callable[..., Path], tmp_path: Path, eda: np.ndarray
) -> None:
    definition = tiny(refit="all", compare=[], windows={"hop": HOP})
    definition["signals"] = {"eda": [{"resample": 4}], "temp": [{"resample": 4}]}
    small = {"name": "fusion_teacher", "width": 4, "hidden": 4, "frames": 16, "depth": 1}
    definition["stages"] = {"alone": {"model": small, "inputs": ["eda", "temp"]}}
    definition["deploy"] = "alone"
    run = deploy(definition)
    both, without = write_e4(tmp_path / "both", eda), write_e4(tmp_path / "without", None)
    nothing = write_e4(tmp_path / "nothing", None)
    (nothing / "TEMP.csv").unlink()

    predictions, corpus = predict_files(run, [both, without, nothing])

    student = room.load(run)
    assert student.does_without
    assert set(predictions["recording"]) == {"both", "without"}
    assert any(entry.what.endswith("nothing") for entry in corpus.left_out)
    scaler = student.scalers["temp"]
    starts = np.arange(0, 40 - LENGTH + 1, HOP)
    temperature = 33 + 0.01 * np.arange(160)
    windows = np.stack([temperature[int(start * RATE) : int((start + LENGTH) * RATE)] for start in starts])
    with torch.no_grad():
        logits = student.network(
            {
                "eda": torch.full((len(starts), 1, LENGTH * RATE), torch.nan),
                "temp": torch.from_numpy(scaler(windows[:, None].astype(np.float32))),
            }
        ).prediction
    lacking = predictions[predictions["recording"] == "without"]
    assert lacking["start"].tolist() == starts.tolist()
    np.testing.assert_allclose(probabilities(lacking), logits.softmax(dim=-1).numpy(), atol=1e-4)
    assert (lacking["quality"] > 0).all()
    assert not np.allclose(probabilities(lacking), probabilities(predictions[predictions["recording"] == "both"]))


# ---- files ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole_student(skin: Definition, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("student")
    return refit(make_plan(parse_study(skin()), out), out / "run") / "deployed" / "student0"


@pytest.fixture
def student(whole_student: Path, tmp_path: Path) -> Path:
    """A student of its own for each test, to be damaged."""
    return shutil.copytree(whole_student, tmp_path / "run" / "deployed" / "student0")


def test_a_student_is_found_by_its_run_its_folder_or_the_folder_of_students(student: Path) -> None:
    for place in (student, student.parent, student.parent.parent):
        assert room.load(place).description["stage"] == "taught"


def test_a_run_of_several_students_asks_which(skin: Definition, deploy: Callable[..., Path], tmp_path: Path) -> None:
    run = deploy(skin(sweep={"normalise": ["train", "transductive"]}))
    with pytest.raises(LimbeckError, match=r"holds 2 students.*student0, deployed/student1"):
        room.load(run)
    assert room.load(run / "deployed" / "student1").description["normalise"] == "transductive"
    assert room.load(run / "deployed" / "student1").scalers == {}


def test_a_folder_without_a_student_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(LimbeckError, match="refit: all"):
        room.load(tmp_path)


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors", "scaler.safetensors"])
@pytest.mark.parametrize("damage", ["empty", "cut", "garbled"])
def test_a_damaged_file_is_named(student: Path, name: str, damage: str) -> None:
    file = student / name
    content = file.read_bytes()
    file.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "garbled": b"\x93" + content[::-1]}[damage])
    with pytest.raises(LimbeckError, match=name.replace(".", r"\.")):
        room.load(student)


@pytest.mark.parametrize("name", ["weights.safetensors", "scaler.safetensors"])
def test_a_missing_file_is_named(student: Path, name: str) -> None:
    (student / name).unlink()
    with pytest.raises(LimbeckError, match=name.replace(".", r"\.")):
        room.load(student)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", 99),
        ("model", {"name": "lineal"}),
        ("model", "linear"),
        ("inputs", None),
        ("inputs", {"eda": {"channels": ["eda"], "features": ["a"]}}),
        ("n_outputs", 3),
        ("signals", ...),
        ("clip", ...),
    ],
)
def test_a_description_that_does_not_fit_is_refused(student: Path, key: str, value: Any) -> None:
    description = json.loads((student / "model.json").read_text())
    if value is ...:
        del description[key]
    else:
        description[key] = value
    (student / "model.json").write_text(json.dumps(description))
    with pytest.raises(LimbeckError):
        room.load(student)


def test_a_student_of_an_earlier_format_is_refused_with_how_to_make_it_anew(student: Path) -> None:
    description = json.loads((student / "model.json").read_text())
    (student / "model.json").write_text(json.dumps({**description, "format": 2}))
    with pytest.raises(
        LimbeckError, match=r"format 2; this version reads 3\. Run the study again \(with `refit: all`\)"
    ):
        room.load(student)


def test_a_student_is_written_again_over_itself_and_over_nothing_else(
    skin: Definition, deploy: Callable[..., Path], student: Path
) -> None:
    before = {file.name: file.read_bytes() for file in student.iterdir()}
    (student / "weights.safetensors").unlink()
    deploy(skin())
    assert {file.name: file.read_bytes() for file in student.iterdir()} == before
    (student / "notes.txt").write_text("mine")
    with pytest.raises(LimbeckError, match=r"notes\.txt"):
        deploy(skin())
    assert (student / "notes.txt").read_text() == "mine"


def test_the_ends_that_the_reader_of_the_training_data_cut_off_are_cut_off_new_recordings_too(
    skin: Definition, deploy: Callable[..., Path], tmp_path: Path, eda: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calibration begins where it began in training: behind the seconds in which the sensor settles."""
    from limbeck.study import deploy as room

    monkeypatch.setattr(room, "_trim", lambda _: 4.0)
    predictions, _ = predict_files(deploy(skin(normalise=CALIBRATION)), [write_e4(tmp_path / "P01", eda)])
    starts = np.arange(4 + 8, 40 - 4 - LENGTH + 1, HOP)
    assert predictions["start"].tolist() == starts.tolist()


def test_recordings_without_the_sensors_are_refused_with_what_they_have(
    tiny: Definition, deploy: Callable[..., Path], rng: np.random.Generator
) -> None:
    definition = tiny(refit="all", compare=[], deploy="teacher")
    definition["stages"] = {"teacher": definition["stages"]["teacher"]}
    student = room.load(deploy(definition))
    ecg = rng.normal(size=(3, 1, 400))
    with pytest.raises(LimbeckError) as caught:
        student.predict(from_arrays({"ecg": ecg}, {"ecg": 20}, ["p1", "p1", "p2"]))
    assert str(caught.value).splitlines() == [
        "There is no window to predict; the student reads eda, temp.",
        "  - p1 0, p1 1, p2 2: has none of the modalities eda, temp; it has ecg.",
    ]
    eda = rng.normal(2, 0.1, (3, 1, 400))
    with pytest.raises(LimbeckError) as caught:
        student.predict(from_arrays({"ecg": ecg, "eda": eda}, {"ecg": 20, "eda": 20}, ["p1", "p1", "p2"]))
    assert str(caught.value).splitlines()[1:] == ["  - p1, p2: has no temp; it has ecg, eda"]
